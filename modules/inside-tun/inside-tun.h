/* SPDX-License-Identifier: MIT */
#ifndef LW_INSIDE_TUN_H
#define LW_INSIDE_TUN_H

#include <stdint.h>

#include <laneway/module.h>

#include "device.h"

/* what the table of options fills */
struct lw_tun_options {
	const char *name;
	const char *device;
	struct lw_addr address;
	struct lw_addr peer;
	int64_t mtu;
	int64_t queue_length;
};

enum {
	TUN_CTR_RX_PACKETS,
	TUN_CTR_RX_BYTES,
	TUN_CTR_RX_TOO_LONG,
	TUN_CTR_RX_ERRORS,
	TUN_CTR_TX_PACKETS,
	TUN_CTR_TX_BYTES,
	TUN_CTR_TX_BUSY,
	TUN_CTR_TX_DOWN,
	TUN_CTR_TX_INVALID,
	TUN_CTR_TX_ERRORS
};

struct lw_tun {
	const struct lw_host *host;
	const struct lw_tun_options *opts;
	struct lw_tun_device dev;
};

/* what lw_worker.state points at: the worker's queue, one of lw_tun_device.queues */
struct lw_tun_queue {
	int fd;
	uint32_t mtu;
};

int lw_tun_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b);
int lw_tun_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef LW_INSIDE_TUN_H
#define LW_INSIDE_TUN_H

#include <stdint.h>
#include <sys/uio.h>

#include <laneway/module.h>

#include "device.h"
#include "vnet.h"

/* bytes that one read may need where superpackets are granted: more than the largest, since the
 * kernel cuts what does not fit without a word */
#define LW_TUN_ROOM (66u << 10)

/*
 * Pieces of a packet up to this size are copied together: a piece of its own costs the kernel 15 to
 * 20 ns, a copy of 512 bytes half of that, one of 1,348 bytes twice as much (measured on 6.18).
 */
#define LW_TUN_COPY_MAX 512u

/* the virtio header, the first part, and pieces: larger ones with small ones, joined, around each.
 * The kernel takes 1,024 */
#define LW_TUN_IOV_MAX (3u + 2u * (LW_TUN_PACKET_MAX / (LW_TUN_COPY_MAX + 1u)))

/* what the table of options fills */
struct lw_tun_options {
	const char *name;
	const char *device;
	struct lw_addr address;
	struct lw_addr peer;
	int64_t mtu;
	int64_t queue_length;
	int32_t offload;
	int32_t tso;
	int32_t uso;
	int32_t checksum;
	int32_t coalesce;
};

enum {
	TUN_CTR_RX_PACKETS,
	TUN_CTR_RX_BYTES,
	TUN_CTR_RX_SUPERPACKETS,
	TUN_CTR_RX_SEGMENTS,
	TUN_CTR_RX_PARTIAL,
	TUN_CTR_RX_TOO_LONG,
	TUN_CTR_RX_INVALID,
	TUN_CTR_RX_ERRORS,
	TUN_CTR_TX_PACKETS,
	TUN_CTR_TX_BYTES,
	TUN_CTR_TX_SUPERPACKETS,
	TUN_CTR_TX_SEGMENTS,
	TUN_CTR_TX_REFUSED,
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

/* where the pieces of one packet come together; small ones are copied */
struct lw_tun_scratch {
	struct iovec iov[LW_TUN_IOV_MAX];
	uint8_t copy[LW_TUN_PACKET_MAX];
};

/**
 * struct lw_tun_queue - what lw_worker.state points at, one of lw_tun_device.queues
 *
 * @fd:      attached to the device
 * @mtu:     bytes of the largest packet or segment
 * @room:    bytes that a read may need, the virtio header not counted
 * @hdr:     bytes of the virtio header, 0: packets are bare
 * @mask:    TUN_F_* granted
 * @caps:    LW_CAP_* granted
 * @scratch: where superpackets may be written, else NULL
 */
struct lw_tun_queue {
	int fd;
	uint32_t mtu;
	uint32_t room;
	uint32_t hdr;
	uint32_t mask;
	uint64_t caps;
	struct lw_tun_scratch *scratch;
};

int lw_tun_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b);
int lw_tun_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done);

/**
 * lw_tun_write() - write one packet
 *
 * @q:            the queue; its scratch is used
 * @p:            single or superpacket
 * @ret_segments: set to the packets that it stands for
 *
 * Context: the queue's worker, or the control thread before there is one.
 * Return:  0; the kernel's negative errno; -EINVAL: a packet that cannot be written as it is;
 *          -EOPNOTSUPP: a superpacket of a kind that was not granted.
 */
int lw_tun_write(const struct lw_tun_queue *q, const struct lw_packet *p, uint32_t *ret_segments);

#endif

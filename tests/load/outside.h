/* SPDX-License-Identifier: MIT */
/* Sockets of clients: one each, connected to the server, never waiting. */
#ifndef LW_LOAD_OUTSIDE_H
#define LW_LOAD_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

#include "session/stream.h"

/* the longest datagram or run that is read */
#define LOAD_READ_MAX 65536u

/* what went out and came in; of TCP, its bytes only */
struct load_traffic {
	uint64_t tx_datagrams;
	uint64_t tx_bytes;
	uint64_t rx_datagrams;
	uint64_t rx_bytes;
	uint64_t tx_refused; /* datagrams that the system did not take */
};

/**
 * load_outside_open() - a socket that is connected, or about to be
 *
 * @from: host order, 0: the system chooses
 *
 * Return: the descriptor or a negative errno.
 */
int load_outside_open(bool tcp, uint32_t from, const struct lw_addr *server);

/* load_outside_send() - all of a batch; what the system does not take is lost and counted */
void load_outside_send(int fd, const struct lw_batch *wire, struct load_traffic *tr);

/**
 * load_outside_recv() - a datagram, or a run
 *
 * @ret_stride: length of all datagrams of a run but the last; 0: a single one
 *
 * Return: bytes, or a negative errno.
 */
int load_outside_recv(int fd, uint8_t *buf, uint16_t *ret_stride, struct load_traffic *tr);

/* load_outside_flush() - what a stream holds; 0: all of it, 1: some is left, or a negative errno */
int load_outside_flush(int fd, struct lw_stream *s, struct load_traffic *tr);

/* load_outside_read() - bytes of a stream; 0: its end, or a negative errno */
int load_outside_read(int fd, uint8_t *buf, uint32_t cap, struct load_traffic *tr);

#endif

/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <unistd.h>

#include "inside-tun.h"

/*
 * The kernel cuts a packet that does not fit, without a word. One byte more than the MTU tells a
 * whole packet from one that was cut because somebody raised the MTU of the device since.
 */
#define ROOM_TO_NOTICE 1u

static ssize_t read_packet(int fd, void *buf, size_t cap)
{
	ssize_t n;

	do {
		n = read(fd, buf, cap);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* As many reads as the batch has descriptors, dropped ones included, so that a round ends. */
int lw_tun_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b)
{
	const struct lw_tun_queue *q = w->state;
	uint64_t packets = 0, bytes = 0, too_long = 0;
	uint32_t room = q->mtu + ROOM_TO_NOTICE;
	int r = 0;

	(void)inst;
	(void)tag;
	for (uint32_t reads = 0; reads < b->cap; reads++) {
		struct lw_packet *p = lw_batch_reserve(b, room);
		ssize_t n;

		if (p == NULL)
			break;
		n = read_packet(q->fd, lw_packet_data(p), room);
		if (n < 0) {
			r = (int)n;
			break;
		}
		if ((size_t)n > q->mtu) {
			too_long++;
			continue;
		}
		lw_batch_commit(b, (uint32_t)n);
		packets++;
		bytes += (uint64_t)n;
	}
	lw_worker_count(w, TUN_CTR_RX_PACKETS, packets);
	lw_worker_count(w, TUN_CTR_RX_BYTES, bytes);
	lw_worker_count(w, TUN_CTR_RX_TOO_LONG, too_long);
	if (r < 0 && r != -EAGAIN)
		lw_worker_count(w, TUN_CTR_RX_ERRORS, 1);
	return r;
}

/* A device is never granted superpackets here, so neither they nor scattered bytes can be sent. */
static int write_packet(int fd, const struct lw_packet *p)
{
	ssize_t n;

	if (p->gso_size > 0 || p->n_more > 0)
		return -EOPNOTSUPP;
	do {
		n = write(fd, lw_packet_data(p), p->len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static uint32_t cause_of(int r)
{
	switch (r) {
	case -EAGAIN:
	case -ENOBUFS:
		return TUN_CTR_TX_BUSY;
	case -EIO: /* the device is down */
		return TUN_CTR_TX_DOWN;
	case -EINVAL: /* no IP packet */
		return TUN_CTR_TX_INVALID;
	default:
		return TUN_CTR_TX_ERRORS;
	}
}

int lw_tun_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	const struct lw_tun_queue *q = w->state;
	uint64_t bytes = 0;
	uint32_t done = 0;
	int r = 0;

	(void)inst;
	while (done < b->n) {
		r = write_packet(q->fd, &b->pkt[done]);
		if (r < 0)
			break;
		bytes += b->pkt[done++].len;
	}
	if (r == -ENOMEM)
		r = -ENOBUFS;
	if (r < 0)
		lw_worker_count(w, cause_of(r), 1);
	lw_worker_count(w, TUN_CTR_TX_PACKETS, done);
	lw_worker_count(w, TUN_CTR_TX_BYTES, bytes);
	*ret_done = done;
	return r;
}

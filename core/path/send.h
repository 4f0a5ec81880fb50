/* SPDX-License-Identifier: MIT */
/*
 * The policy of sending datagrams: what a module's send() answers, and what follows from it
 * (laneway/module.h, "Sending"). Order is kept: nothing overtakes what waits.
 */
#ifndef LW_PATH_SEND_H
#define LW_PATH_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

/* what waits for a socket that takes nothing for so long is dropped */
#define LW_SEND_WAIT_US 20000u
/* pause after -ENOBUFS */
#define LW_SEND_RETRY_US 1000u

/* lw_send_taken() - how many of n packets a send() took that answered r and `taken`: 0 means all,
 * and none can be taken that was not given */
static inline uint32_t lw_send_taken(int r, uint32_t taken, uint32_t n)
{
	return r == 0 || taken > n ? n : taken;
}

struct lw_sender {
	const struct lw_outside_udp_ops *ops;
	void *inst;
	struct lw_worker *w;
	struct lw_batch *wire; /* what is to be sent, in order */
	uint32_t done;         /* packets of it that are gone */
	bool blocked;          /* waits for an edge or a time */
	uint32_t blocked_tag;  /* the socket that said -EAGAIN */
	uint64_t blocked_since_us;
	uint64_t retry_at_us; /* UINT64_MAX: only an edge helps */
	/* one writer, relaxed readers */
	uint64_t sent;
	uint64_t dropped;
	uint64_t blocks;
};

/* lw_sender_init() - nothing waits; @wire has endpoints and outlives the sender */
void lw_sender_init(struct lw_sender *s, const struct lw_outside_udp_ops *ops, void *inst,
                    struct lw_worker *w, struct lw_batch *wire);

/**
 * lw_sender_flush() - send what waits, as far as the socket takes it
 *
 * Return: true when nothing waits any more; false: blocked, see blocked_tag and retry_at_us.
 */
bool lw_sender_flush(struct lw_sender *s, uint64_t at);

/* lw_sender_unblock() - an edge came for this tag */
void lw_sender_unblock(struct lw_sender *s, uint32_t tag);

/* lw_sender_deadline() - when to flush again without an edge, UINT64_MAX: nothing waits */
uint64_t lw_sender_deadline(const struct lw_sender *s);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The policy of sending datagrams: what a module's send() answers, and what follows from it
 * (laneway/module.h, "Sending"). Order is kept: nothing overtakes what waits.
 *
 * A run that is refused, or too large, is sent again cut at its stride. If the pieces pass, it was
 * the form: no runs are made for LW_SEND_RUNS_OFF_US. If one is refused too, it was something else,
 * as the path's MTU.
 */
#ifndef LW_PATH_SEND_H
#define LW_PATH_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

#include "path/pace.h"

/* what waits for a socket that takes nothing for so long is dropped */
#define LW_SEND_WAIT_US 20000u
/* pause after -ENOBUFS */
#define LW_SEND_RETRY_US 1000u
/* runs that the kernel refused are tried again after so long */
#define LW_SEND_RUNS_OFF_US 600000000u
/* most datagrams and bytes of a run, where the module has no limit of its own */
#define LW_SEND_RUN_SEGS  63u
#define LW_SEND_RUN_BYTES 65507u
/* pieces of a run that are offered at once when it is sent cut */
#define LW_SEND_PIECES 64u

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
	/* what prepare() granted: datagrams and bytes of a run; 0 datagrams: single ones only */
	uint32_t run_segs;
	uint32_t run_bytes;
	uint64_t runs_off_until_us; /* the kernel refused one; relaxed readers, and of the error */
	int32_t runs_off_error;     /* what it said, negative errno, 0: not told */
	bool runs_refused;          /* that is news, which the caller takes back */
	struct lw_pace *pace;       /* the caller's; NULL: nothing is spaced */
	uint64_t nobufs_serial;     /* the session whose packet the kernel had no memory for */
	uint32_t nobufs_bytes;      /* how many bytes it was, 0: none since this was taken */
	/* the packet that is sent piece by piece, for it did not go as a run */
	bool cutting;
	bool cut_refused;  /* the kernel refused the form, not the size */
	int32_t cut_error; /* what it said */
	uint32_t cut_at;   /* bytes of it that are gone */
	struct lw_packet pieces[LW_SEND_PIECES];
	/* one writer, relaxed readers */
	uint64_t sent;
	uint64_t dropped;
	uint64_t blocks;
	uint64_t spaced;    /* pieces that waited for their session's turn */
	uint64_t cut;       /* runs that were sent piece by piece */
	uint64_t fallbacks; /* times that runs were given up for a while */
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

/* lw_sender_run_segs() - most datagrams that a run may have now; 0: make none */
static inline uint32_t lw_sender_run_segs(const struct lw_sender *s, uint64_t at)
{
	return at < s->runs_off_until_us ? 0 : s->run_segs;
}

/* a form that the kernel refused while running, as others than the worker may see it */
struct lw_refusal {
	uint64_t until_us; /* it is not used before then; 0: it was never refused */
	int32_t error;     /* what the kernel said, negative errno, 0: not told */
};

/* lw_sender_refusal() - the last refusal of a run; any thread */
static inline struct lw_refusal lw_sender_refusal(const struct lw_sender *s)
{
	return (struct lw_refusal){
		.until_us = __atomic_load_n(&s->runs_off_until_us, __ATOMIC_RELAXED),
		.error = __atomic_load_n(&s->runs_off_error, __ATOMIC_RELAXED),
	};
}

/* lw_sender_due() - flush it: something is there that may leave */
static inline bool lw_sender_due(const struct lw_sender *s, uint64_t at)
{
	return s->wire->n > 0 || (s->pace != NULL && lw_pace_deadline(s->pace) <= at);
}

/* lw_sender_take_nobufs() - bytes of that session that the kernel last had no memory for, told once
 */
uint32_t lw_sender_take_nobufs(struct lw_sender *s, uint64_t serial);

/* lw_sender_unblock() - an edge came for this tag */
void lw_sender_unblock(struct lw_sender *s, uint32_t tag);

/* lw_sender_deadline() - when to flush again without an edge, UINT64_MAX: nothing waits */
uint64_t lw_sender_deadline(const struct lw_sender *s);

#endif

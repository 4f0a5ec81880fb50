/* SPDX-License-Identifier: MIT */
#include "path/pace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE   UINT32_MAX
#define PASSED LW_PACE_PASSED
/* a piece that leaves so late does not push back the next one: what timers are late by */
#define LATE_US 100u

/* a piece that waits: datagrams of one stride */
struct slot {
	struct lw_endpoint endpoint;
	uint32_t len;
	uint16_t gso_size; /* 0: one datagram */
	uint32_t next;     /* of its queue, or of the free */
};

/* one session; over when nothing waits and next_us has come */
struct queue {
	uint64_t serial;
	uint64_t left_us; /* when its last piece left, or should have */
	uint64_t next_us; /* when its next piece may leave */
	uint32_t left;    /* bytes of the last */
	uint32_t first;
	uint32_t last;
	uint32_t bytes; /* that wait */
	uint32_t segs;  /* lw_pace_mark() */
	uint32_t rate;
	uint32_t hurry; /* bytes per ms at which the most that waited leaves in LW_PACE_SPREAD_US */
};

struct lw_pace {
	struct queue queues[LW_PACE_SESSIONS];
	uint32_t n_queues;
	struct slot slots[LW_PACE_SLOTS];
	uint32_t free; /* what was used last is used first: its memory is there */
	uint32_t n_free;
	uint64_t bytes; /* that wait, of all queues */
	uint64_t held;  /* pieces that ever waited */
	uint8_t *arena;
};

/* --- life --- */

int lw_pace_create(struct lw_pace **ret)
{
	struct lw_pace *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->arena = aligned_alloc(64, (size_t)LW_PACE_SLOTS * LW_PACE_SLOT_BYTES);
	if (p->arena == NULL) {
		free(p);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < LW_PACE_SLOTS; i++)
		p->slots[i].next = i + 1 < LW_PACE_SLOTS ? i + 1 : NONE;
	p->n_free = LW_PACE_SLOTS;
	*ret = p;
	return 0;
}

void lw_pace_destroy(struct lw_pace *p)
{
	if (p == NULL)
		return;
	free(p->arena);
	free(p);
}

/* --- queues --- */

static void forget_over(struct lw_pace *p, uint64_t at)
{
	for (uint32_t i = p->n_queues; i-- > 0;) {
		const struct queue *q = &p->queues[i];

		if (q->bytes == 0 && q->next_us <= at)
			p->queues[i] = p->queues[--p->n_queues];
	}
}

/* The session's queue, a new one where it is to be spaced; NULL: it is not, or too many are. */
static struct queue *queue_of(struct lw_pace *p, const struct lw_packet *pkt)
{
	struct queue *q = NULL;

	for (uint32_t i = 0; i < p->n_queues && q == NULL; i++) {
		if (p->queues[i].serial == pkt->core[0])
			q = &p->queues[i];
	}
	if (pkt->core[2] == 0)
		return q;
	if (q == NULL && p->n_queues < LW_PACE_SESSIONS) {
		q = &p->queues[p->n_queues++];
		*q = (struct queue){ .serial = pkt->core[0], .first = NONE, .last = NONE };
	}
	if (q != NULL) {
		q->segs = (uint32_t)(pkt->core[2] >> 32);
		q->rate = (uint32_t)pkt->core[2];
	}
	return q;
}

/* What is next follows at the session's rate, or faster where that takes too long for what waits.
 */
static void set_next(struct queue *q)
{
	uint64_t rate = q->hurry > q->rate ? q->hurry : q->rate;

	q->next_us = q->left_us + q->left * 1000ull / (rate > 0 ? rate : 1);
}

static void leave(struct queue *q, uint32_t bytes, uint64_t at)
{
	/* or not yet its time */
	q->left_us = at - q->next_us > LATE_US ? at : q->next_us;
	q->left = bytes;
	set_next(q);
}

/* bytes of a packet that may leave at once: whole datagrams, and what a slot takes */
static uint32_t piece_of(const struct queue *q, const struct lw_packet *pkt)
{
	uint32_t stride = pkt->gso_size;
	uint32_t bytes;

	if (stride == 0 || pkt->len <= stride)
		return pkt->len;
	bytes = q->segs < LW_PACE_SLOT_BYTES / stride ? q->segs * stride : LW_PACE_SLOT_BYTES;
	if (bytes < LW_PACE_PIECE_MIN)
		bytes = LW_PACE_PIECE_MIN;
	return bytes > stride ? bytes / stride * stride : stride;
}

static void hold(struct lw_pace *p, struct queue *q, const struct lw_packet *pkt, uint32_t at,
                 uint32_t len)
{
	uint32_t i = p->free;
	struct slot *s = &p->slots[i];

	p->free = s->next;
	p->n_free--;
	s->endpoint = *pkt->endpoint;
	s->len = len;
	s->gso_size = len > pkt->gso_size ? pkt->gso_size : 0;
	s->next = NONE;
	memcpy(p->arena + (size_t)i * LW_PACE_SLOT_BYTES, lw_packet_data(pkt) + at, len);
	if (q->first == NONE)
		q->first = i;
	else
		p->slots[q->last].next = i;
	q->last = i;
	q->bytes += len;
	p->bytes += len;
	p->held++;
}

/* All of a packet from `at` on; what finds no slot is lost, and cannot be: LW_PACE_RESERVE. */
static void hold_rest(struct lw_pace *p, struct queue *q, const struct lw_packet *pkt, uint32_t at,
                      uint32_t piece)
{
	uint64_t hurry;

	while (at < pkt->len && p->n_free > 0) {
		uint32_t len = pkt->len - at < piece ? pkt->len - at : piece;

		hold(p, q, pkt, at, len);
		at += len;
	}
	hurry = (uint64_t)q->bytes * 1000u / LW_PACE_SPREAD_US;
	if (hurry <= q->hurry)
		return;
	q->hurry = (uint32_t)hurry;
	set_next(q);
}

static void shorten(struct lw_packet *pkt, uint32_t len)
{
	pkt->len = len;
	if (len > pkt->gso_size)
		return;
	pkt->gso_size = 0;
	pkt->gso_type = LW_GSO_NONE;
}

/* True: all of the packet waits. */
static bool take(struct lw_pace *p, struct lw_packet *pkt, uint64_t at)
{
	struct queue *q = pkt->core[2] != PASSED ? queue_of(p, pkt) : NULL;
	uint32_t piece;

	pkt->core[2] = PASSED;
	if (q == NULL)
		return false;
	pkt->core[1] = 0; /* nothing joins it any more */
	piece = piece_of(q, pkt);
	if (piece > LW_PACE_SLOT_BYTES)
		return false; /* one datagram, larger than any that a link carries */
	if (q->bytes > 0 || q->next_us > at) {
		hold_rest(p, q, pkt, 0, piece);
		return true;
	}
	if (piece > pkt->len)
		piece = pkt->len;
	q->hurry = 0;
	hold_rest(p, q, pkt, piece, piece);
	leave(q, piece, at);
	shorten(pkt, piece);
	return false;
}

static bool anything(const struct lw_pace *p, const struct lw_batch *wire, uint32_t first)
{
	if (p->n_queues > 0)
		return true;
	for (uint32_t i = first; i < wire->n; i++) {
		if (wire->pkt[i].core[2] != 0 && wire->pkt[i].core[2] != PASSED)
			return true;
	}
	return false;
}

uint32_t lw_pace_take(struct lw_pace *p, struct lw_batch *wire, uint32_t first, uint64_t at)
{
	uint32_t kept = wire->n;

	if (!anything(p, wire, first))
		return first;
	forget_over(p, at);
	for (uint32_t i = first; i < wire->n; i++) {
		if (take(p, &wire->pkt[i], at))
			wire->pkt[i].verdict = LW_VERDICT_DROP;
	}
	for (uint32_t i = wire->n; i-- > first;) {
		if (wire->pkt[i].verdict != LW_VERDICT_DROP)
			wire->pkt[--kept] = wire->pkt[i];
	}
	return kept;
}

/* --- and back --- */

static bool give(struct lw_pace *p, struct queue *q, struct lw_batch *wire, uint64_t at)
{
	uint32_t i = q->first;
	struct slot *s = &p->slots[i];
	struct lw_packet *pkt = lw_batch_reserve(wire, s->len);

	if (pkt == NULL)
		return false;
	memcpy(lw_packet_data(pkt), p->arena + (size_t)i * LW_PACE_SLOT_BYTES, s->len);
	(void)lw_batch_commit(wire, s->len);
	*pkt->endpoint = s->endpoint;
	pkt->gso_size = s->gso_size;
	pkt->gso_type = s->gso_size > 0 ? LW_GSO_RUN : LW_GSO_NONE;
	pkt->core[0] = q->serial;
	pkt->core[2] = PASSED;
	q->first = s->next;
	q->bytes -= s->len;
	p->bytes -= s->len;
	leave(q, s->len, at);
	s->next = p->free;
	p->free = i;
	p->n_free++;
	return true;
}

void lw_pace_give(struct lw_pace *p, struct lw_batch *wire, uint64_t at)
{
	bool all = p->n_free < LW_PACE_RESERVE;

	for (uint32_t i = 0; i < p->n_queues && p->bytes > 0; i++) {
		struct queue *q = &p->queues[i];

		while (q->bytes > 0 && (all || q->next_us <= at)) {
			if (!give(p, q, wire, at))
				return;
		}
	}
}

uint64_t lw_pace_deadline(const struct lw_pace *p)
{
	uint64_t best = UINT64_MAX;

	if (p->bytes == 0)
		return best;
	if (p->n_free < LW_PACE_RESERVE)
		return 0;
	for (uint32_t i = 0; i < p->n_queues; i++) {
		if (p->queues[i].bytes > 0 && p->queues[i].next_us < best)
			best = p->queues[i].next_us;
	}
	return best;
}

uint64_t lw_pace_bytes(const struct lw_pace *p)
{
	return p->bytes;
}

uint64_t lw_pace_held(const struct lw_pace *p)
{
	return p->held;
}

/* SPDX-License-Identifier: MIT */
#include "session/step.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session/tunnel_priv.h"

#define FIRST_BYTES 2048u
#define IN_BYTES    (LW_STEP_READ_BYTES + LW_STEP_DATAGRAMS * sizeof(uint32_t))

/* --- pieces --- */

static bool make_room(struct lw_pieces *p, uint32_t bytes)
{
	uint32_t cap = p->cap > 0 ? p->cap : FIRST_BYTES;
	uint8_t *bigger;

	while (cap - p->used < bytes)
		cap *= 2;
	if (cap == p->cap)
		return true;
	bigger = realloc(p->bytes, cap);
	if (bigger == NULL)
		return false;
	p->bytes = bigger;
	p->cap = cap;
	return true;
}

bool lw_pieces_add(struct lw_pieces *p, const void *piece, size_t len, uint32_t max_bytes)
{
	uint32_t n = (uint32_t)len;

	if (p->used + sizeof(n) > max_bytes || len > max_bytes - p->used - sizeof(n) ||
	    !make_room(p, (uint32_t)sizeof(n) + n))
		return false;
	memcpy(p->bytes + p->used, &n, sizeof(n));
	memcpy(p->bytes + p->used + sizeof(n), piece, n);
	p->used += (uint32_t)sizeof(n) + n;
	p->n++;
	return true;
}

const uint8_t *lw_pieces_next(const struct lw_pieces *p, uint32_t *at, size_t *ret_len)
{
	const uint8_t *piece;
	uint32_t n;

	if (*at == p->used)
		return NULL;
	memcpy(&n, p->bytes + *at, sizeof(n));
	piece = p->bytes + *at + sizeof(n);
	*at += (uint32_t)sizeof(n) + n;
	*ret_len = n;
	return piece;
}

void lw_pieces_fini(struct lw_pieces *p)
{
	free(p->bytes);
	*p = (struct lw_pieces){ .bytes = NULL };
}

/* --- on any thread --- */

/* A datagram without room is lost, as on a network; a stream would have a gap. */
static int collect(void *arg, const uint8_t *p, size_t len)
{
	struct lw_step *s = arg;

	return lw_pieces_add(&s->out, p, len, LW_STEP_OUT_BYTES) ? 0 : -ENOSPC;
}

void lw_step_run(struct lw_step *s)
{
	struct lw_tls_io io = { .out = collect, .arg = s };
	uint32_t at = 0;

	do { /* the listener has taken the first datagram: there may be none here */
		io.in = lw_pieces_next(&s->in, &at, &io.in_len);
		s->result = lw_tls_step(s->tls, &io);
	} while (s->result == 0 && at < s->in.used);
}

void lw_step_fini(struct lw_step *s)
{
	lw_tls_destroy(s->tls);
	lw_pieces_fini(&s->in);
	lw_pieces_fini(&s->out);
	s->tls = NULL;
}

/* --- the tunnel's side --- */

/* A client sends each datagram three times. */
static bool waits_already(const struct lw_pieces *p, const uint8_t *piece, size_t len)
{
	const uint8_t *other;
	uint32_t at = 0;
	size_t n;

	while ((other = lw_pieces_next(p, &at, &n)) != NULL) {
		if (n == len && memcmp(other, piece, n) == 0)
			return true;
	}
	return false;
}

bool lw_step_keep(struct lw_tunnel *t, const uint8_t *p, size_t len)
{
	struct lw_pieces *w = &t->waiting;

	if (!t->is_stream && waits_already(w, p, len))
		return true;
	if (w->n < LW_STEP_DATAGRAMS && lw_pieces_add(w, p, len, IN_BYTES))
		return true;
	lw_count(t->counters, LW_CTR_HANDSHAKE_DROPPED);
	return false;
}

void lw_step_want(struct lw_tunnel *t, struct lw_sink *k)
{
	if (!lw_tunnel_is_lent(t) && t->waiting.n > 0)
		lw_tunnel_event(k, LW_EVENT_STEP, 0);
}

void lw_tunnel_lend(struct lw_tunnel *t, struct lw_step *ret)
{
	*ret = (struct lw_step){ .tls = t->tls, .in = t->waiting };
	t->tls = NULL;
	t->waiting = (struct lw_pieces){ .bytes = NULL };
	t->tls_tick_at = LW_NEVER; /* the library's clock is not ours to look at meanwhile */
}

/* 0, or what a stream without room says, which ends it as it would have ended the step */
static int send_pieces(struct lw_tunnel *t, const struct lw_pieces *p, struct lw_sink *k)
{
	struct lw_out o = { .t = t, .k = k };
	const struct lw_tls_io io = lw_out_io(&o, NULL, 0);
	const uint8_t *piece;
	uint32_t at = 0;
	size_t len;
	int r = 0;

	while (r == 0 && (piece = lw_pieces_next(p, &at, &len)) != NULL)
		r = io.out(io.arg, piece, len);
	return r;
}

int lw_tunnel_stepped(struct lw_tunnel *t, struct lw_step *s, uint64_t at, struct lw_sink *k)
{
	int r;

	t->tls = s->tls;
	s->tls = NULL;
	t->lends = !lw_tls_answered(t->tls);
	r = send_pieces(t, &s->out, k);
	r = lw_tunnel_after_step(t, r < 0 ? r : s->result, at, k);
	if (r < 0)
		return r;
	if (!t->lends) /* sent before our answer: copies of what that is an answer to */
		lw_pieces_fini(&t->waiting);
	else
		lw_step_want(t, k);
	return 0;
}

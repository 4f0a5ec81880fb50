/* SPDX-License-Identifier: MIT */
#include "path/send.h"

#include <errno.h>

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static void forget(struct lw_sender *s)
{
	lw_batch_reset(s->wire);
	s->done = 0;
	s->blocked = false;
	s->cutting = false;
}

/*
 * Drops what waits for the blocked socket. What others wait for moves to the end, for the batch
 * hands out the endpoints behind its last packet anew.
 */
static void give_up(struct lw_sender *s)
{
	struct lw_batch *b = s->wire;
	uint32_t kept = b->n;

	for (uint32_t i = b->n; i-- > s->done;) {
		if (b->pkt[i].endpoint->tag == s->blocked_tag)
			add(&s->dropped, 1);
		else
			b->pkt[--kept] = b->pkt[i];
	}
	s->done = kept;
	s->blocked = false;
	s->cutting = false; /* what was being cut waited for that socket */
}

/* The socket takes no more. The wait begins with the last packet that it took. */
static void block(struct lw_sender *s, uint64_t at, int r, bool progress)
{
	if (!s->blocked || progress)
		s->blocked_since_us = at;
	s->blocked = true;
	s->blocked_tag = s->wire->pkt[s->done].endpoint->tag;
	s->retry_at_us = r == -EAGAIN ? UINT64_MAX : at + LW_SEND_RETRY_US;
	add(&s->blocks, 1);
	if (r != -ENOBUFS)
		return;
	s->nobufs_serial = s->wire->pkt[s->done].core[0];
	s->nobufs_bytes = s->wire->pkt[s->done].len;
}

static bool is_too_late(const struct lw_sender *s, uint64_t at)
{
	return at - s->blocked_since_us >= LW_SEND_WAIT_US;
}

void lw_sender_init(struct lw_sender *s, const struct lw_outside_udp_ops *ops, void *inst,
                    struct lw_worker *w, struct lw_batch *wire)
{
	*s = (struct lw_sender){ .ops = ops, .inst = inst, .w = w, .wire = wire };
}

static int offer(struct lw_sender *s, struct lw_packet *pkt, uint32_t n, uint32_t *ret_taken)
{
	struct lw_batch rest = *s->wire;
	uint32_t taken = 0;
	int r;

	rest.pkt = pkt;
	rest.n = n;
	r = s->ops->send(s->inst, s->w, &rest, &taken);
	*ret_taken = lw_send_taken(r, taken, n);
	return r;
}

static int send_rest(struct lw_sender *s)
{
	uint32_t taken;
	int r = offer(s, &s->wire->pkt[s->done], s->wire->n - s->done, &taken);

	add(&s->sent, taken);
	s->done += taken;
	return r;
}

/* --- a run that does not go as one --- */

static bool begin_cut(struct lw_sender *s, int r)
{
	const struct lw_packet *p = &s->wire->pkt[s->done];

	if (p->gso_type != LW_GSO_RUN || p->gso_size == 0 || (r != -EOPNOTSUPP && r != -EMSGSIZE))
		return false;
	s->cutting = true;
	s->cut_at = 0;
	s->cut_refused = r == -EOPNOTSUPP;
	s->cut_error = p->status;
	add(&s->cut, 1);
	return true;
}

/* Was that the last of it? */
static void end_cut(struct lw_sender *s, uint64_t at)
{
	if (s->cut_at < s->wire->pkt[s->done].len)
		return;
	s->cutting = false;
	s->done++;
	if (s->cut_refused && at >= s->runs_off_until_us) {
		__atomic_store_n(&s->runs_off_error, s->cut_error, __ATOMIC_RELAXED);
		__atomic_store_n(&s->runs_off_until_us, at + LW_SEND_RUNS_OFF_US, __ATOMIC_RELAXED);
		s->runs_refused = true;
		add(&s->fallbacks, 1);
	}
}

static uint32_t make_pieces(struct lw_sender *s)
{
	const struct lw_packet *p = &s->wire->pkt[s->done];
	uint32_t at = s->cut_at;
	uint32_t n = 0;

	while (n < LW_SEND_PIECES && at < p->len) {
		struct lw_packet *piece = &s->pieces[n++];

		*piece = *p;
		piece->gso_type = LW_GSO_NONE;
		piece->gso_size = 0;
		piece->off = p->off + at;
		piece->len = p->len - at < p->gso_size ? p->len - at : p->gso_size;
		at += piece->len;
	}
	return n;
}

/* As many pieces as go in one call; one that is refused is lost, as on a network. */
static int send_pieces(struct lw_sender *s, uint64_t at)
{
	uint32_t n = make_pieces(s);
	uint32_t taken;
	int r = offer(s, s->pieces, n, &taken);

	for (uint32_t i = 0; i < taken; i++)
		s->cut_at += s->pieces[i].len;
	add(&s->sent, taken);
	if (taken == n) {
		r = 0; /* what it said concerns none of them */
	} else if (r != -EAGAIN && r != -ENOBUFS) {
		s->cut_at += s->pieces[taken].len;
		s->cut_refused = false; /* not the form alone */
		add(&s->dropped, 1);
		r = 0;
	}
	end_cut(s, at);
	return r;
}

/* What must wait leaves the batch, but for what was offered before; what has waited enough comes
 * back. */
static void space(struct lw_sender *s, uint64_t at)
{
	uint64_t held;

	if (s->pace == NULL)
		return;
	held = lw_pace_held(s->pace);
	s->done = lw_pace_take(s->pace, s->wire, s->done, at);
	lw_pace_give(s->pace, s->wire, at);
	add(&s->spaced, lw_pace_held(s->pace) - held);
}

/* False: blocked. */
static bool send_all(struct lw_sender *s, uint64_t at)
{
	uint64_t before = s->sent;

	while (s->done < s->wire->n) {
		int r = s->cutting ? send_pieces(s, at) : send_rest(s);

		if (s->done == s->wire->n || r == 0)
			continue;
		if (r == -EAGAIN || r == -ENOBUFS) {
			block(s, at, r, s->sent > before);
			if (!is_too_late(s, at))
				return false;
			give_up(s);
			before = s->sent;
		} else if (!begin_cut(s, r)) {
			/* too large for the path, refused, unreachable: lost, as on a network */
			s->done++;
			add(&s->dropped, 1);
		}
	}
	forget(s);
	return true;
}

bool lw_sender_flush(struct lw_sender *s, uint64_t at)
{
	if (s->blocked && at < s->retry_at_us) {
		if (!is_too_late(s, at))
			return false;
		give_up(s);
	}
	do {
		space(s, at);
		if (!send_all(s, at))
			return false;
	} while (lw_sender_due(s, at));
	return true;
}

uint32_t lw_sender_take_nobufs(struct lw_sender *s, uint64_t serial)
{
	uint32_t bytes = s->nobufs_serial == serial ? s->nobufs_bytes : 0;

	if (bytes > 0)
		s->nobufs_bytes = 0;
	return bytes;
}

void lw_sender_unblock(struct lw_sender *s, uint32_t tag)
{
	if (s->blocked && s->blocked_tag == tag)
		s->retry_at_us = 0;
}

uint64_t lw_sender_deadline(const struct lw_sender *s)
{
	uint64_t give_up = s->blocked_since_us + LW_SEND_WAIT_US;

	if (!s->blocked)
		return s->pace != NULL ? lw_pace_deadline(s->pace) : UINT64_MAX;
	return s->retry_at_us < give_up ? s->retry_at_us : give_up;
}

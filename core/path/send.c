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

static int send_rest(struct lw_sender *s)
{
	const uint32_t n = s->wire->n - s->done;
	struct lw_batch rest = *s->wire;
	uint32_t taken = 0;
	int r;

	rest.pkt += s->done;
	rest.n = n;
	r = s->ops->send(s->inst, s->w, &rest, &taken);
	taken = lw_send_taken(r, taken, n);
	add(&s->sent, taken);
	s->done += taken;
	return r;
}

bool lw_sender_flush(struct lw_sender *s, uint64_t at)
{
	uint32_t before = s->done;

	if (s->blocked && at < s->retry_at_us) {
		if (!is_too_late(s, at))
			return false;
		give_up(s);
	}
	while (s->done < s->wire->n) {
		int r = send_rest(s);

		if (s->done == s->wire->n)
			break;
		if (r == -EAGAIN || r == -ENOBUFS) {
			block(s, at, r, s->done > before);
			if (!is_too_late(s, at))
				return false;
			give_up(s);
			before = s->done;
			continue;
		}
		/* too large for the path, refused, unreachable: this one is lost, as on a network
		 */
		s->done++;
		add(&s->dropped, 1);
	}
	forget(s);
	return true;
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
		return UINT64_MAX;
	return s->retry_at_us < give_up ? s->retry_at_us : give_up;
}

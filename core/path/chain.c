/* SPDX-License-Identifier: MIT */
#include "path/chain.h"

#include "wire/frame.h"

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

bool lw_chain_in_bounds(const struct lw_packet *p)
{
	return p->off >= LW_FRAME_DATA_HEADER && p->off <= p->cap && p->len > 0 &&
	       p->len <= p->cap - p->off && p->n_more == 0;
}

/* Takes what did not pass out of the batch; answers go to `reply`. */
static void compact(struct lw_chain *c, struct lw_batch *b, struct lw_batch *reply)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct lw_packet *p = &b->pkt[i];

		if (!lw_chain_in_bounds(p)) {
			add(&c->broken, 1);
		} else if (p->verdict == LW_VERDICT_PASS) {
			b->pkt[kept++] = *p;
		} else if (p->verdict == LW_VERDICT_REPLY && reply->n < reply->cap) {
			p->verdict = LW_VERDICT_PASS;
			/* it answers a superpacket with one packet, its checksum complete */
			p->gso_type = LW_GSO_NONE;
			p->gso_size = 0;
			p->flags = 0;
			reply->pkt[reply->n++] = *p;
		} else {
			add(&c->dropped, 1);
		}
	}
	b->n = kept;
}

static void run(struct lw_chain *c, const struct lw_link *l, bool ingress, struct lw_batch *b,
                struct lw_batch *reply)
{
	int (*fn)(void *, struct lw_worker *, struct lw_batch *) =
		ingress ? l->ops->ingress : l->ops->egress;
	const uint32_t given = b->n;

	if (fn == NULL || given == 0)
		return;
	if (fn(l->inst, l->w, b) < 0) {
		add(&c->broken, given);
		b->n = 0;
		return;
	}
	if (b->n > given) { /* these have no session */
		add(&c->broken, b->n - given);
		b->n = given;
	} else {
		add(&c->broken, given - b->n);
	}
	compact(c, b, reply);
}

uint32_t lw_chain_first_single(const struct lw_chain *c)
{
	uint32_t n = 0;

	while (n < c->n && !c->links[n].single)
		n++;
	return n;
}

void lw_chain_ingress(struct lw_chain *c, uint32_t first, uint32_t end, struct lw_batch *b,
                      struct lw_batch *reply)
{
	for (uint32_t i = first; i < end; i++)
		run(c, &c->links[i], true, b, reply);
}

void lw_chain_egress(struct lw_chain *c, struct lw_batch *b, struct lw_batch *reply)
{
	for (uint32_t i = c->n; i-- > 0;)
		run(c, &c->links[i], false, b, reply);
}

static void close_first(struct lw_chain *c, uint32_t n, struct lw_session *s)
{
	while (n-- > 0) {
		const struct lw_link *l = &c->links[n];

		if (l->ops->session_close != NULL)
			l->ops->session_close(l->inst, l->w, s);
	}
}

int lw_chain_open(struct lw_chain *c, struct lw_session *s)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct lw_link *l = &c->links[i];
		int r = l->ops->session_open != NULL ? l->ops->session_open(l->inst, l->w, s) : 0;

		if (r < 0) {
			close_first(c, i, s);
			return r;
		}
	}
	return 0;
}

void lw_chain_close(struct lw_chain *c, struct lw_session *s)
{
	close_first(c, c->n, s);
}

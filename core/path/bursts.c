/* SPDX-License-Identifier: MIT */
/* The bursts of the sessions of a path: session/burst.h finds their limits, pace.h keeps them. */
#include "path/path_priv.h"

/* How many sessions of the port have which limit. */
static void count(struct lw_port *port, uint32_t limit, uint32_t n)
{
	uint32_t *at = &port->bursts[limit];

	__atomic_store_n(at, *at + n, __ATOMIC_RELAXED);
}

void lw_path_burst_begin(struct lw_tunnel *t)
{
	struct lw_port *port = lw_path_port(t);

	if (t->is_stream || port->sender.pace == NULL)
		return;
	lw_burst_init(&t->burst, port->caps.burst);
	count(port, t->burst.limit, 1);
	t->burst_watched = true;
}

void lw_path_burst_end(struct lw_tunnel *t)
{
	if (t->burst_watched)
		count(lw_path_port(t), t->burst.limit, (uint32_t)-1);
	t->burst_watched = false;
}

void lw_path_rehome(struct lw_tunnel *t, struct lw_port *port)
{
	struct lw_burst burst = t->burst;
	bool watched = t->burst_watched;

	if (lw_path_port(t) == port)
		return;
	lw_path_burst_end(t);
	t->port = port;
	if (!watched || port->sender.pace == NULL)
		return;
	t->burst = burst;
	count(port, t->burst.limit, 1);
	t->burst_watched = true;
}

void lw_path_burst_watch(struct lw_path *p, const struct lw_packet *pkt, uint64_t at)
{
	struct lw_tunnel *t = lw_path_tunnel(pkt);
	struct lw_port *port = lw_path_port(t);
	uint32_t before = t->burst.limit;
	uint32_t refused;
	int step;

	if (!t->burst_watched)
		return;
	refused = lw_sender_take_nobufs(&port->sender, t->s.serial);
	if (refused > 0)
		lw_burst_refused(&t->burst, refused);
	step = lw_burst_sent(&t->burst, pkt, at);
	if (step == 0)
		return;
	lw_count(&p->sessions, step < 0 ? LW_CTR_BURSTS_SHRUNK : LW_CTR_BURSTS_GROWN);
	count(port, before, (uint32_t)-1);
	count(port, t->burst.limit, 1);
}

void lw_path_burst_mark(const struct lw_tunnel *t, struct lw_batch *wire, uint32_t first)
{
	uint64_t mark;

	if (!t->burst_watched || !lw_burst_limited(&t->burst))
		return;
	mark = lw_pace_mark(t->burst.limit, lw_burst_rate(&t->burst));
	/* the one before may have been joined; what has passed must not get behind what waits */
	for (uint32_t i = first > 0 ? first - 1 : 0; i < wire->n; i++) {
		struct lw_packet *pkt = &wire->pkt[i];

		if (pkt->core[0] == t->s.serial && pkt->core[2] != LW_PACE_PASSED)
			pkt->core[2] = mark;
	}
}

struct lw_port_bursts lw_port_bursts(const struct lw_port *port)
{
	struct lw_port_bursts b = { .least = LW_BURST_MAX };

	for (uint32_t limit = LW_BURST_MAX - 1; limit > 0; limit--) {
		uint32_t n = __atomic_load_n(&port->bursts[limit], __ATOMIC_RELAXED);

		if (n > 0)
			b.least = limit;
		b.limited += n;
	}
	return b;
}

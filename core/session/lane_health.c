/* SPDX-License-Identifier: MIT */
/* wire.md 7.9: what both ends have counted, compared with each answer to a keepalive. */
#include "session/expresslane.h"
#include "session/tunnel_priv.h"

/* answers without counters in a row, or bad windows, after which the lane is given up */
#define MISSING_MAX 3
#define STRIKES_MAX 3
/* fewer packets than these say nothing */
#define SENT_MIN 10

bool lw_lane_totals(const struct lw_lane *l, struct lw_frame_counters *ret_c)
{
	if (!lw_lane_ready(l))
		return false;
	*ret_c = (struct lw_frame_counters){ .sent = l->sent, .received = l->received };
	return true;
}

/* More than half of what was sent did not come. What came late makes the difference negative. */
static bool is_bad(uint64_t sent, uint64_t received)
{
	return sent >= SENT_MIN && received < sent && sent - received > received;
}

/* Each direction has its own strikes: one that works does not make up for one that does not. */
static bool weigh(uint32_t *strikes, bool bad)
{
	if (bad)
		++*strikes;
	else if (*strikes > 0)
		--*strikes;
	return *strikes >= STRIKES_MAX;
}

/* true: it is out */
static bool check_windows(struct lw_lane *l, const struct lw_frame_counters *peer)
{
	struct lw_lane_health *h = &l->health;
	const struct lw_frame_counters own = { .sent = l->sent, .received = l->received };
	bool in, out;

	in = weigh(&h->strikes[0],
	           is_bad(peer->sent - h->peer.sent, own.received - h->own.received));
	out = weigh(&h->strikes[1],
	            is_bad(own.sent - h->own.sent, peer->received - h->peer.received));
	h->own = own;
	h->peer = *peer;
	return in || out;
}

void lw_lane_pong(struct lw_tunnel *t, const struct lw_frame_ping *f, uint64_t at,
                  struct lw_sink *k)
{
	struct lw_lane *l = t->lane;
	struct lw_frame_counters peer;
	bool out;

	if (!lw_lane_ready(l))
		return;
	if (lw_frame_read_counters(f, &peer)) {
		l->health.missing = 0;
		out = check_windows(l, &peer);
	} else {
		out = ++l->health.missing >= MISSING_MAX;
	}
	if (out)
		lw_lane_degrade(t, at, k);
}

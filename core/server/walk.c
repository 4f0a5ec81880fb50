/* SPDX-License-Identifier: MIT */
#include "server/walk.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "server/record.h"

static_assert(sizeof(((struct lw_row *)NULL)->user) == sizeof(((struct lw_tunnel *)NULL)->user),
              "a row has room for any user");

void lw_walk_begin(struct lw_sessions *s, struct lw_walk *w)
{
	*w = (struct lw_walk){ .next = s->walks, .at = s->first, .youngest = s->serial };
	s->walks = w;
}

void lw_walk_end(struct lw_sessions *s, const struct lw_walk *w)
{
	struct lw_walk **at = &s->walks;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
}

void lw_walk_pass(struct lw_sessions *s, const struct lw_record *rec)
{
	for (struct lw_walk *w = s->walks; w != NULL; w = w->next) {
		if (w->at == rec)
			w->at = rec->next;
	}
}

struct lw_record *lw_walk_next(struct lw_walk *w)
{
	struct lw_record *rec = w->at;

	if (rec == NULL || rec->timed.tunnel->s.serial > w->youngest)
		return NULL;
	w->at = rec->next;
	return rec;
}

/* --- lists --- */

static const char *state_of(const struct lw_tunnel *t)
{
	switch (t->state) {
	case LW_TUNNEL_ONLINE:
		return "online";
	case LW_TUNNEL_LINK_UP:
	case LW_TUNNEL_AUTHENTICATING:
		return "login";
	case LW_TUNNEL_CONNECTING:
	case LW_TUNNEL_CLOSED:
		break;
	}
	return "connecting";
}

static void fill(const struct lw_sessions *s, const struct lw_record *rec, struct lw_row *row)
{
	const struct lw_tunnel *t = rec->timed.tunnel;
	struct lw_tls_info info = { .cipher = NULL };

	if (t->handshake_done) /* before, it may be a helper's */
		lw_tls_info(t->tls, &info);
	*row = (struct lw_row){ .serial = t->s.serial,
		                .outside = t->endpoint.remote,
		                .inside = t->s.inside,
		                .state = state_of(t),
		                .cipher = info.cipher,
		                .stream = t->is_stream,
		                .lane = lw_lane_ready(t->lane),
		                .age_us = s->core->now_us - rec->began_us,
		                .idle_us = s->core->now_us - t->last_rx_us,
		                .rx_packets = t->rx_packets,
		                .rx_bytes = t->rx_bytes,
		                .tx_packets = t->tx_packets,
		                .tx_bytes = t->tx_bytes };
	memcpy(row->user, t->user, sizeof(row->user));
}

uint32_t lw_walk_list(const struct lw_sessions *s, struct lw_walk *w, struct lw_row *rows)
{
	const struct lw_record *rec;
	uint32_t n = 0;

	while (n < LW_WALK_ROUND && (rec = lw_walk_next(w)) != NULL)
		fill(s, rec, &rows[n++]);
	return n;
}

/* SPDX-License-Identifier: MIT */
/* Under which id a tunnel is known and where its peer is: wire.md 6. */
#include <assert.h>

#include "session/tunnel_priv.h"
#include "wire/header.h"

/* The first datagram with the new id ends a rotation. Till then, and out of order after it, the
 * peer uses the old one. */
static void server_saw_id(struct lw_tunnel *t, uint64_t session, struct lw_sink *k)
{
	if (session != t->id) {
		if (session != t->old_id)
			lw_count(t->counters, LW_CTR_SESSION_ID_MISMATCH);
		return;
	}
	if (t->old_id == LW_WIRE_ID_EMPTY)
		return;
	t->old_id = LW_WIRE_ID_EMPTY;
	lw_tunnel_event(k, LW_EVENT_ROTATED, 0);
}

/* After a datagram with at least one frame, or an Expresslane packet: wire.md 6.1. */
void lw_tunnel_accepted(struct lw_tunnel *t, uint64_t session, uint64_t at, struct lw_sink *k)
{
	lw_tunnel_heard(t, at);
	if (session == LW_WIRE_ID_EMPTY)
		return;
	if (t->conf->role == LW_ROLE_CLIENT)
		t->id = session;
	else
		server_saw_id(t, session, k);
}

void lw_tunnel_move(struct lw_tunnel *t, const struct lw_endpoint *ep)
{
	t->endpoint = *ep;
	t->endpoint.tos = 0;
}

bool lw_tunnel_may_rotate(const struct lw_tunnel *t)
{
	return t->conf->role == LW_ROLE_SERVER && !t->is_stream && t->state != LW_TUNNEL_CLOSED &&
	       t->old_id == LW_WIRE_ID_EMPTY;
}

void lw_tunnel_rotate(struct lw_tunnel *t, uint64_t id, uint64_t at, struct lw_sink *k)
{
	assert(lw_tunnel_may_rotate(t) && !lw_wire_id_reserved(id) && id != t->id);
	t->old_id = t->id;
	t->id = id;
	if (t->state == LW_TUNNEL_ONLINE)
		lw_tunnel_ping(t, at, k);
}

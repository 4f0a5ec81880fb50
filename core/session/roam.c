/* SPDX-License-Identifier: MIT */
/* Under which id a tunnel is known and where its peer is: wire.md 6. */
#include <assert.h>

#include "session/tunnel_priv.h"
#include "wire/header.h"

/* a datagram with a replaced id that comes so long after the new one is not late */
#define LATE_US (2 * LW_S)

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

/*
 * A server never sends an id again that it has replaced, so what comes with one is late. To go back
 * to it would be the end if the address changed next: from elsewhere the server does not know it.
 * But ids of DTLS datagrams are not authenticated, so what would be late for long is taken.
 */
static bool is_late(const struct lw_tunnel *t, uint64_t session, uint64_t at)
{
	bool past = false;

	for (uint32_t i = 0; i < LW_TUNNEL_PAST_IDS; i++)
		past |= t->past_ids[i] == session;
	return past && at - t->adopted_us < LATE_US;
}

static void client_saw_id(struct lw_tunnel *t, uint64_t session, uint64_t at)
{
	if (session == t->id || is_late(t, session, at))
		return;
	t->past_ids[t->next_past] = t->id;
	t->next_past = (t->next_past + 1) % LW_TUNNEL_PAST_IDS;
	t->id = session;
	t->adopted_us = at;
}

/* After a datagram with at least one frame, or an Expresslane packet: wire.md 6.1. */
void lw_tunnel_accepted(struct lw_tunnel *t, uint64_t session, uint64_t at, struct lw_sink *k)
{
	lw_tunnel_heard(t, at);
	if (session == LW_WIRE_ID_EMPTY)
		return;
	if (t->conf->role == LW_ROLE_CLIENT)
		client_saw_id(t, session, at);
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

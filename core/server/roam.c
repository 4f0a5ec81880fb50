/* SPDX-License-Identifier: MIT */
#include "server/roam.h"

#include "base/addr.h"
#include "base/log.h"
#include "server/record.h"

#define WHO "session"

static void tell(struct lw_sessions *s, const struct lw_tunnel *t, const struct lw_endpoint *ep)
{
	const bool online = lw_record_of(t)->online;
	char from[LW_ADDR_TEXT_MAX];
	char to[LW_ADDR_TEXT_MAX];

	if (!lw_sessions_may_tell(s, &s->moves_told))
		return;
	lw_log_write(LW_LOG_INFO, WHO, "%llu has moved: %s from %s to %s",
	             (unsigned long long)t->s.serial, online ? t->s.user : "peer",
	             lw_addr_format(&t->endpoint.remote, from), lw_addr_format(&ep->remote, to));
}

void lw_roam_rotated(struct lw_sessions *s, struct lw_tunnel *t)
{
	struct lw_record *rec = lw_record_of(t);

	if (rec->rotating && lw_tunnel_may_rotate(t))
		lw_record_rotated(s, rec);
}

void lw_roam_rotate(struct lw_sessions *s, struct lw_tunnel *t)
{
	if (!lw_tunnel_may_rotate(t))
		return;
	lw_roam_rotated(s, t); /* one datagram may end a rotation and call for the next */

	struct lw_sink k = lw_path_sink(&s->core->path, t);

	lw_tunnel_rotate(t, lw_record_rotate(s, lw_record_of(t)), s->core->now_us, &k);
	lw_path_after(&s->core->path, t, &k);
}

void lw_roam_heard(struct lw_sessions *s, struct lw_port *port, struct lw_tunnel *t,
                   const struct lw_packet *dgram, int frames)
{
	struct lw_record *rec = lw_record_of(t);

	if (t->state == LW_TUNNEL_CLOSED || lw_record_is_at(rec, port, dgram->endpoint))
		return;
	if (frames <= 0) {
		lw_sessions_count(s, LW_SRV_MOVES_REFUSED, 1);
		return;
	}
	lw_sessions_count(s, LW_SRV_MOVES, 1);
	tell(s, t, dgram->endpoint);
	lw_record_move(s, rec, port, dgram->endpoint);
	lw_tunnel_move(t, dgram->endpoint);
	lw_path_rehome(t, port);
	lw_roam_rotate(s, t); /* announced at the new address */
}

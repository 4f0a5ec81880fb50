/* SPDX-License-Identifier: MIT */
/*
 * Peers whose address changes, and session ids that change with it: wire.md 6. A datagram names its
 * session by id, so it is found from any address; the session moves there once the datagram has
 * proved to be the peer's and new.
 */
#ifndef LW_SERVER_ROAM_H
#define LW_SERVER_ROAM_H

#include "server/sessions.h"

/**
 * lw_roam_heard() - a datagram, or a run, was given to the tunnel of its id
 *
 * If it came from elsewhere and holds something that the tunnel accepted, the session moves, and
 * another id is begun, so that nobody on the new path can tell what it was on the old one. The
 * peer's next datagram from where it is takes back what somebody else sent on from another place.
 *
 * @port:   where it came in
 * @frames: what lw_tunnel_rx() returned
 *
 * Context: the worker, as all here.
 */
void lw_roam_heard(struct lw_sessions *s, struct lw_port *port, struct lw_tunnel *t,
                   const struct lw_packet *dgram, int frames);

/* lw_roam_rotate() - begin another id, unless one is on its way to the peer already */
void lw_roam_rotate(struct lw_sessions *s, struct lw_tunnel *t);

/* lw_roam_rotated() - if the peer uses it, the old one finds nobody any more */
void lw_roam_rotated(struct lw_sessions *s, struct lw_tunnel *t);

#endif

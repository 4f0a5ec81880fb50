/* SPDX-License-Identifier: MIT */
/* Datagrams from addresses that no session has: cookies, first hellos, rejects. */
#ifndef LW_SERVER_STRANGERS_H
#define LW_SERVER_STRANGERS_H

#include "server/sessions.h"

/* lw_strangers_init() - make the cookie listener; 0 or a negative errno with a sentence */
int lw_strangers_init(struct lw_sessions *s, struct lw_err *err);

/* lw_strangers_keep() - a datagram with the empty id, until lw_strangers_serve() in its batch */
void lw_strangers_keep(struct lw_sessions *s, struct lw_packet *dgram);

/* lw_strangers_serve() - answer with cookies, begin sessions for those that come back */
void lw_strangers_serve(struct lw_sessions *s, struct lw_port *port);

/* lw_strangers_reject() - wire.md 1.5, step 7: 16 bytes for at least 16; never for a reject, or two
 * servers would talk on */
void lw_strangers_reject(struct lw_sessions *s, struct lw_port *port,
                         const struct lw_packet *dgram);

#endif

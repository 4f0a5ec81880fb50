/* SPDX-License-Identifier: MIT */
/* Steps of handshakes that helpers take: lent by a worker, and back by mail. */
#ifndef LW_SERVER_STEPS_H
#define LW_SERVER_STEPS_H

#include <stdbool.h>

#include "server/sessions.h"

/*
 * Steps of one worker that may be out at once. With a P-256 key one helper takes so many in a fifth
 * of a second, with RSA-4096 in some seconds: whoever comes after as many would wait in vain.
 */
#define LW_STEPS_MAX 1024u

struct lw_lent;

/* lw_steps_full() - as many are out as may be: nobody new is listened to */
bool lw_steps_full(const struct lw_sessions *s);

/* lw_steps_turn_away() - somebody is not served for that: counted, and told of */
void lw_steps_turn_away(struct lw_sessions *s);

/* lw_steps_lend() - LW_EVENT_STEP. What cannot be lent is counted: on UDP the peer sends again, a
 * connection ends */
void lw_steps_lend(struct lw_sessions *s, struct lw_tunnel *t);

/* lw_steps_abandon() - its session has gone: it ends when it comes back; NULL is fine */
void lw_steps_abandon(struct lw_lent *l);

/* lw_steps_fini() - those whose mail nobody read; their helpers have ended */
void lw_steps_fini(struct lw_sessions *s);

#endif

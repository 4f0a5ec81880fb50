/* SPDX-License-Identifier: MIT */
/* Sessions that an operator ends, found by a walk. */
#ifndef LW_SERVER_KICK_H
#define LW_SERVER_KICK_H

#include <stdbool.h>
#include <stdint.h>

#include "server/walk.h"

/* sessions that a round ends at most: each takes farewells that are sealed and sent */
#define LW_KICK_ROUND 16u

/* who is meant: the sessions of a user, or of serials. Zeroed memory means nobody */
struct lw_kick {
	char user[64];     /* "": the serials count */
	uint64_t *serials; /* sorted, each once */
	bool *found;       /* of each of them */
	uint32_t n_serials;
	uint32_t n_found;
	uint64_t n_ended;
};

/**
 * lw_kick_serials() - those of a list, as "12 14 17"
 *
 * Context: any thread, as all calls here but lw_kick_round().
 * Return:  0, -EINVAL (it is no such list) or -ENOMEM; lw_kick_fini() also after a failure.
 */
int lw_kick_serials(struct lw_kick *k, const char *list);

/* lw_kick_user() - those of a user; 0 or -EINVAL: nobody can have this name */
int lw_kick_user(struct lw_kick *k, const char *user);

void lw_kick_fini(struct lw_kick *k);

/* lw_kick_complete() - nobody else can be meant, whoever is met */
bool lw_kick_complete(const struct lw_kick *k);

/* lw_kick_round() - worker's thread: Goodbye to those who are meant of at most LW_WALK_ROUND; true:
 * the walk goes on */
bool lw_kick_round(struct lw_sessions *s, struct lw_walk *w, struct lw_kick *k);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A walk over the sessions of one worker in the order in which they began, with pauses in which
 * sessions begin, move and end. Each that is there all the time is met once, one that ends
 * meanwhile is not met any more, and one that begins meanwhile is not met.
 */
#ifndef LW_SERVER_WALK_H
#define LW_SERVER_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/addr.h>

#include "server/sessions.h"

/* sessions that a round meets at most, for a worker's packets wait meanwhile */
#define LW_WALK_ROUND 256u

struct lw_walk {
	struct lw_walk *next; /* of the same worker */
	struct lw_record *at; /* is met next; NULL: nobody is left */
	uint64_t youngest;    /* the serial of the last to be met */
};

/* what a list tells of a session */
struct lw_row {
	uint64_t serial;
	char user[64]; /* "": not logged in */
	struct lw_addr outside;
	struct lw_addr inside; /* family 0: none yet */
	const char *state;     /* a constant, as the others */
	const char *cipher;    /* NULL: the handshake is not done */
	bool stream;
	bool lane; /* data goes by Expresslane */
	uint64_t age_us;
	uint64_t idle_us; /* since something authentic came */
	uint64_t rx_packets;
	uint64_t rx_bytes;
	uint64_t tx_packets;
	uint64_t tx_bytes;
};

/* lw_walk_begin() - over the sessions that there are; worker's thread, as all of these. It must not
 * be under way */
void lw_walk_begin(struct lw_sessions *s, struct lw_walk *w);

/* lw_walk_end() - wherever it is */
void lw_walk_end(struct lw_sessions *s, const struct lw_walk *w);

/* lw_walk_next() - whom it meets now; NULL: it has met all */
struct lw_record *lw_walk_next(struct lw_walk *w);

/* lw_walk_pass() - this session goes out of the tables: who would meet it meets the one after it */
void lw_walk_pass(struct lw_sessions *s, const struct lw_record *rec);

/* lw_walk_list() - one round; the rows that it filled, of LW_WALK_ROUND. Fewer: it was the last */
uint32_t lw_walk_list(const struct lw_sessions *s, struct lw_walk *w, struct lw_row *rows);

#endif

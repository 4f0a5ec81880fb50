/* SPDX-License-Identifier: MIT */
/*
 * A server's answer to a ClientHello costs more than the rest of a handshake: key exchange and
 * signature. A driver that has threads for it lets one of them carry out the steps up to there. The
 * TLS object goes to that thread, together with what the peer has sent, and comes back with what
 * the library made of it; the tunnel has no TLS object meanwhile.
 */
#ifndef LW_SESSION_STEP_H
#define LW_SESSION_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/tls.h"

/* datagrams from the peer, different ones, that wait for the next step */
#define LW_STEP_DATAGRAMS 8u
/* what a stream is read by at most while its steps are lent: it is not read while one is out */
#define LW_STEP_READ_BYTES (16u << 10)
/* for the peer: certificates are the most of it. Not less than one sink has room for */
#define LW_STEP_OUT_BYTES (64u << 10)

/* datagrams, or runs of a stream, in order; all zero: none */
struct lw_pieces {
	uint8_t *bytes; /* of each its length, as an uint32_t, then itself */
	uint32_t used;
	uint32_t cap;
	uint32_t n;
};

struct lw_step {
	struct lw_tls *tls;
	struct lw_pieces in;
	struct lw_pieces out;
	int result; /* of lw_tls_step() */
};

/* lw_pieces_add() - a copy behind the others; false: there would be more than max_bytes with it, or
 * there is no memory */
bool lw_pieces_add(struct lw_pieces *p, const void *piece, size_t len, uint32_t max_bytes);

/**
 * lw_pieces_next() - one after the other
 *
 * @at:      0 for the first; moved to the next
 * @ret_len: of the piece
 *
 * Return:  the piece, which lives until the next lw_pieces_add(); NULL: there are no more.
 */
const uint8_t *lw_pieces_next(const struct lw_pieces *p, uint32_t *at, size_t *ret_len);

/* lw_pieces_fini() - free; none are left */
void lw_pieces_fini(struct lw_pieces *p);

/* lw_step_run() - carry it out; any thread, while nobody else has the step */
void lw_step_run(struct lw_step *s);

/* lw_step_fini() - free what it still holds, its TLS object too; as lw_tls_destroy() */
void lw_step_fini(struct lw_step *s);

#endif

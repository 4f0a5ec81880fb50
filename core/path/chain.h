/* SPDX-License-Identifier: MIT */
/* The filters between inside and outside, in the order of the configuration. */
#ifndef LW_PATH_CHAIN_H
#define LW_PATH_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

#define LW_CHAIN_MAX 16u

struct lw_link {
	const struct lw_filter_ops *ops;
	void *inst;
	struct lw_worker *w;
	bool single; /* takes no superpackets */
};

struct lw_chain {
	struct lw_link links[LW_CHAIN_MAX];
	uint32_t n;
	uint64_t dropped; /* by verdict, or an answer without room; one writer, relaxed readers */
	uint64_t broken;  /* a filter failed or left a packet out of its bounds */
};

/* lw_chain_in_bounds() - a module left a packet where its bytes are, with room for a frame's header
 * in front */
bool lw_chain_in_bounds(const struct lw_packet *p);

/* lw_chain_first_single() - number of the first filter that takes no superpackets; n: all do */
uint32_t lw_chain_first_single(const struct lw_chain *c);

/**
 * lw_chain_ingress() - inside -> outside, some filters in a row
 *
 * @first: number of the first
 * @end:   number of the one behind the last
 * @b:     what passed stays in it, in order
 * @reply: answers of filters, for the way back; they go no further in this chain
 *
 * Context: the worker.
 */
void lw_chain_ingress(struct lw_chain *c, uint32_t first, uint32_t end, struct lw_batch *b,
                      struct lw_batch *reply);

/* lw_chain_egress() - outside -> inside, last filter to first; replies are for the peer */
void lw_chain_egress(struct lw_chain *c, struct lw_batch *b, struct lw_batch *reply);

/**
 * lw_chain_open() - tell all filters that a session is online
 *
 * Return: 0, or the negative errno of the first that refused; those before it were told that it
 *         closed.
 */
int lw_chain_open(struct lw_chain *c, struct lw_session *s);
void lw_chain_close(struct lw_chain *c, struct lw_session *s);

#endif

/* SPDX-License-Identifier: MIT */
/* What the files of core/path/ share of a path. */
#ifndef LW_PATH_PATH_PRIV_H
#define LW_PATH_PATH_PRIV_H

#include "path/path.h"

static inline void lw_path_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t lw_path_bytes(const struct lw_packet *p, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += p[i].len + p[i].more_len;
	return sum;
}

static inline struct lw_tunnel *lw_path_tunnel(const struct lw_packet *p)
{
	return (struct lw_tunnel *)p->session; /* a tunnel begins with its session */
}

static inline struct lw_port *lw_path_port(const struct lw_tunnel *t)
{
	return t->port;
}

/* path.c: a sink with the room that there is now */
struct lw_sink lw_path_sink_as_is(struct lw_path *p, struct lw_tunnel *t);
void lw_path_mark_dirty(struct lw_path *p, struct lw_tunnel *t);

/* bursts.c: of a tunnel that is online, until it is destroyed */
void lw_path_burst_begin(struct lw_tunnel *t);
void lw_path_burst_end(struct lw_tunnel *t);
/* bursts.c: a packet or superpacket of the inside is next; its loss and rate are its session's */
void lw_path_burst_watch(struct lw_path *p, const struct lw_packet *pkt, uint64_t at);
/* bursts.c: what a limited session has made, from the packet `first` on, does not leave at once */
void lw_path_burst_mark(const struct lw_tunnel *t, struct lw_batch *wire, uint32_t first);

/* singles.c: the next single packets of what came from the inside */
void lw_path_cut_up(struct lw_path *p);

/* ingress.c: send what tunnels made, as far as sockets take it */
void lw_path_flush_outside(struct lw_path *p, uint64_t at);

/* egress.c: packets, or answers of filters, to the inside */
void lw_path_send_inside(struct lw_path *p, struct lw_batch *b);
/* egress.c: through the chain to the inside what tunnels made */
void lw_path_flush_inside(struct lw_path *p, uint64_t at);

#endif

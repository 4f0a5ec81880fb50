/* SPDX-License-Identifier: MIT */
/* The life of a path, and of the tunnels in it. */
#include "path/path.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "path/path_priv.h"

/* what waits for its session's turn finds a slot */
static_assert(LW_PACE_RESERVE >= LW_WIRE_PACKETS + LW_WIRE_BYTES / LW_PACE_PIECE_MIN,
              "slots for all of a wire batch");

/* --- memory --- */

static struct lw_batch *batch_create(uint32_t packets, uint32_t bytes, bool endpoints)
{
	struct lw_batch *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->cap = packets;
	b->arena_cap = bytes;
	b->pkt = aligned_alloc(64, packets * sizeof(*b->pkt));
	b->ep = endpoints ? calloc(packets, sizeof(*b->ep)) : NULL;
	b->arena = bytes > 0 ? aligned_alloc(64, bytes) : NULL;
	if (b->pkt == NULL || (endpoints && b->ep == NULL) || (bytes > 0 && b->arena == NULL)) {
		free(b->pkt);
		free(b->ep);
		free(b->arena);
		free(b);
		return NULL;
	}
	return b;
}

static void batch_destroy(struct lw_batch *b)
{
	if (b == NULL)
		return;
	free(b->pkt);
	free(b->ep);
	free(b->arena);
	free(b);
}

/* A limit that a module granted; 0 is none of its own. */
static uint32_t limit(uint32_t granted, uint32_t ours)
{
	return granted == 0 || granted > ours ? ours : granted;
}

static int port_init(struct lw_port *port)
{
	if (port->tcp)
		return 0;
	port->rx = batch_create(
		LW_UDP_RX_PACKETS,
		port->caps.flags & LW_CAP_GRO ? LW_UDP_RX_RUN_BYTES : LW_UDP_RX_BYTES, true);
	port->pieces = batch_create(LW_UDP_RX_PIECES, 0, false);
	port->wire = batch_create(LW_WIRE_PACKETS, LW_WIRE_BYTES, true);
	if (port->rx == NULL || port->pieces == NULL || port->wire == NULL)
		return -ENOMEM;
	lw_sender_init(&port->sender, port->module->ops.udp, port->inst, port->w, port->wire);
	if ((port->caps.flags & LW_CAP_GSO) == 0)
		return 0;
	port->sender.run_segs = limit(port->caps.max_segs, LW_SEND_RUN_SEGS);
	port->sender.run_bytes = limit(port->caps.max_bytes, LW_SEND_RUN_BYTES);
	return port->caps.burst < LW_BURST_MAX ? lw_pace_create(&port->sender.pace) : 0;
}

static int merging_init(struct lw_path *p)
{
	const struct lw_coalesce_conf conf = { .packets = LW_INSIDE_TX_PACKETS,
		                               .max_segs = p->inside_caps.max_segs,
		                               .max_bytes = p->inside_caps.max_bytes };

	if ((p->inside_caps.flags & (LW_CAP_SEND_TSO | LW_CAP_SEND_USO)) == 0)
		return 0;
	p->undone = batch_create(LW_COALESCE_SEGS_MAX + 1, 0, false);
	return p->undone != NULL ? lw_coalesce_create(&conf, &p->merging) : -ENOMEM;
}

int lw_path_init(struct lw_path *p, uint32_t chunks)
{
	p->rx = batch_create(LW_INSIDE_RX_PACKETS, LW_INSIDE_RX_BYTES, false);
	p->tx = batch_create(LW_INSIDE_TX_PACKETS, LW_INSIDE_TX_BYTES, false);
	p->singles = batch_create(LW_SINGLES_PACKETS, LW_SINGLES_BYTES, false);
	p->reply = batch_create(LW_SINGLES_PACKETS, 0, false);
	p->tcp_buf = malloc(LW_TCP_RX_BYTES);
	p->record = malloc(sizeof(*p->record));
	if (p->rx == NULL || p->singles == NULL || p->tx == NULL || p->reply == NULL ||
	    p->tcp_buf == NULL || p->record == NULL || merging_init(p) < 0)
		return -ENOMEM;
	p->rx->headroom = LW_INSIDE_HEADROOM;
	p->singles->headroom = LW_INSIDE_HEADROOM;
	p->out = p->rx;
	for (uint32_t i = 0; i < p->n_ports; i++) {
		if (port_init(&p->ports[i]) < 0)
			return -ENOMEM;
	}
	return lw_chunk_pool_init(&p->chunks, chunks);
}

void lw_path_fini(struct lw_path *p)
{
	batch_destroy(p->rx);
	batch_destroy(p->singles);
	batch_destroy(p->tx);
	batch_destroy(p->reply);
	batch_destroy(p->undone);
	lw_coalesce_destroy(p->merging);
	free(p->tcp_buf);
	free(p->record);
	for (uint32_t i = 0; i < p->n_ports; i++) {
		batch_destroy(p->ports[i].rx);
		batch_destroy(p->ports[i].pieces);
		batch_destroy(p->ports[i].wire);
		lw_pace_destroy(p->ports[i].sender.pace);
	}
	lw_chunk_pool_fini(&p->chunks);
	lw_lane_env_fini(&p->lane);
}

/* --- what every call to a tunnel is followed by --- */

struct lw_sink lw_path_sink_as_is(struct lw_path *p, struct lw_tunnel *t)
{
	const struct lw_port *port = lw_path_port(t);
	uint32_t segs = lw_sender_run_segs(&port->sender, port->w->now_us);

	p->record->len = 0;
	p->record->frames = 0;
	return (struct lw_sink){ .wire = port->wire,
		                 .inside = p->tx,
		                 .record = p->record,
		                 .run_segs = segs < t->burst.limit ? segs : t->burst.limit,
		                 .run_bytes = port->sender.run_bytes };
}

/* Singles use up the packets first, runs the bytes. */
static bool is_short(const struct lw_batch *wire)
{
	return wire->cap - wire->n < LW_SINK_DATAGRAMS ||
	       wire->arena_cap - wire->arena_used < LW_SINK_DATAGRAMS * LW_SINK_DATAGRAM_BYTES;
}

struct lw_sink lw_path_sink(struct lw_path *p, struct lw_tunnel *t)
{
	struct lw_port *port = lw_path_port(t);

	/* room for the largest answer: a sender that takes nothing loses what comes later */
	if (!port->tcp && is_short(port->wire))
		(void)lw_sender_flush(&port->sender, port->w->now_us);
	return lw_path_sink_as_is(p, t);
}

void lw_path_mark_dirty(struct lw_path *p, struct lw_tunnel *t)
{
	if (!t->is_stream || t->dirty || t->stream.used == 0)
		return;
	t->dirty = true;
	t->next_dirty = p->dirty;
	p->dirty = t;
}

static void bury(struct lw_path *p, struct lw_tunnel *t)
{
	t->next_dead = p->dead;
	p->dead = t;
}

/* Takes one session's packets out of a batch, from the packet `first` on. */
static void forget_packets(struct lw_batch *b, uint32_t first, const struct lw_session *s)
{
	uint32_t kept = first;

	for (uint32_t i = first; i < b->n; i++) {
		if (b->pkt[i].session != s)
			b->pkt[kept++] = b->pkt[i];
	}
	b->n = kept;
}

/* It may send. The filters hear of a session before they see its packets; if one refuses they see
 * none. */
static bool join_chain(struct lw_path *p, struct lw_tunnel *t)
{
	lw_path_burst_begin(t);
	t->in_chain = lw_chain_open(&p->chain, &t->s) == 0;
	if (!t->in_chain)
		forget_packets(p->tx, 0, &t->s);
	return t->in_chain;
}

void lw_path_after(struct lw_path *p, struct lw_tunnel *t, struct lw_sink *k)
{
	lw_path_mark_dirty(p, t);
	for (uint32_t i = 0; i < k->n_events; i++) {
		const struct lw_event *e = &k->events[i];

		if (e->type == LW_EVENT_ONLINE && !join_chain(p, t)) {
			if (t->state == LW_TUNNEL_CLOSED)
				continue; /* the event for that follows */
			lw_path_close(p, t, t->last_rx_us);
			return;
		}
		p->ops->event(p->role, t, e);
		if (e->type == LW_EVENT_CLOSED) {
			bury(p, t);
			return;
		}
	}
	k->n_events = 0;
	p->driver_ops->deadline(p->driver, t);
}

static void closed(struct lw_path *p, struct lw_tunnel *t)
{
	const struct lw_event e = { .type = LW_EVENT_CLOSED, .arg = (uint32_t)t->reason };

	p->ops->event(p->role, t, &e);
	bury(p, t);
}

void lw_path_close(struct lw_path *p, struct lw_tunnel *t, uint64_t at)
{
	struct lw_sink k = lw_path_sink(p, t);

	if (t->state == LW_TUNNEL_CLOSED)
		return;
	lw_tunnel_close(t, at, &k);
	lw_path_mark_dirty(p, t);
	closed(p, t);
}

void lw_path_drop(struct lw_path *p, struct lw_tunnel *t)
{
	if (t->state == LW_TUNNEL_CLOSED)
		return;
	lw_tunnel_drop(t);
	closed(p, t);
}

/* --- end of a batch --- */

/* Packets that wait must not name a session that is going. */
static void forget_session(struct lw_path *p, const struct lw_tunnel *t)
{
	if (p->next < p->out->n && p->out->pkt[p->next].session == &t->s)
		p->seg_open = false;
	forget_packets(p->out, p->next, &t->s);
	if (p->out == p->rx)
		return;
	if (p->rx_cut < p->rx->n && p->rx->pkt[p->rx_cut].session == &t->s)
		p->cutter_open = false;
	forget_packets(p->rx, p->rx_cut, &t->s);
}

static void unlink_dirty(struct lw_tunnel **list, const struct lw_tunnel *t)
{
	while (*list != NULL && *list != t)
		list = &(*list)->next_dirty;
	if (*list != NULL)
		*list = t->next_dirty;
}

static void reap(struct lw_path *p)
{
	while (p->dead != NULL) {
		struct lw_tunnel *t = p->dead;

		p->dead = t->next_dead;
		forget_session(p, t);
		if (t->dirty) {
			unlink_dirty(&p->dirty, t);
			unlink_dirty(&p->again, t);
		}
		lw_path_burst_end(t);
		if (t->in_chain)
			lw_chain_close(&p->chain, &t->s);
		if (t->is_stream)
			lw_path_port(t)->module->ops.tcp->close(
				lw_path_port(t)->inst, lw_path_port(t)->w, t->endpoint.tag);
		p->ops->gone(p->role, t);
		lw_tunnel_destroy(t);
	}
}

/* Once: the sessions that notice go on in DTLS. */
static void tell_broken(struct lw_path *p)
{
	p->lane.broken = false;
	if (!p->lane_told)
		lw_log_write(LW_LOG_ERROR, "expresslane",
		             "the cipher has failed, sessions fall back to DTLS");
	p->lane_told = true;
}

void lw_path_flush(struct lw_path *p, uint64_t at)
{
	lw_path_flush_inside(p, at);
	lw_path_flush_outside(p, at);
	reap(p);
	if (p->lane.broken)
		tell_broken(p);
}

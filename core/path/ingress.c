/* SPDX-License-Identifier: MIT */
/* Inside -> outside. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "packet/ipv4.h"
#include "packet/rewrite.h"
#include "path/path_priv.h"

/* pieces of one socket write of a stream */
#define STREAM_IOV 20u
/* bytes that wait for their session's turn while a client still reads its inside */
#define SPACED_MAX (256u << 10)

/* --- from tunnels to sockets --- */

/* One connection's ciphertext, as far as its socket takes it; false: the kernel has no memory. */
static bool flush_stream(struct lw_path *p, struct lw_tunnel *t)
{
	struct lw_port *port = lw_path_port(t);
	struct iovec iov[STREAM_IOV];

	while (t->stream.used > 0) {
		uint32_t n = lw_stream_peek(&t->stream, iov, STREAM_IOV);
		uint32_t sent = 0;
		int r = port->module->ops.tcp->send(port->inst, port->w, t->endpoint.tag, iov, n,
		                                    &sent);

		if (r == -ENOBUFS)
			return false;
		if (r == -EAGAIN || r == -EINPROGRESS || (r == 0 && sent == 0)) {
			p->driver_ops->want_write(p->driver, port, t->endpoint.tag);
			break;
		}
		if (r < 0 || sent > t->stream.used) {
			lw_path_drop(p, t);
			break;
		}
		lw_stream_consume(&t->stream, sent);
	}
	return true;
}

/* Those for which the kernel had no memory: another try, at most one a millisecond. */
static void take_again(struct lw_path *p, uint64_t at)
{
	if (at < p->again_at_us)
		return;
	while (p->again != NULL) {
		struct lw_tunnel *t = p->again;

		p->again = t->next_dirty;
		t->next_dirty = p->dirty;
		p->dirty = t;
	}
}

static void flush_streams(struct lw_path *p, uint64_t at)
{
	take_again(p, at);
	while (p->dirty != NULL) {
		struct lw_tunnel *t = p->dirty;

		p->dirty = t->next_dirty;
		t->dirty = !flush_stream(p, t);
		if (!t->dirty)
			continue;
		if (p->again == NULL)
			p->again_at_us = at + LW_SEND_RETRY_US;
		t->next_dirty = p->again;
		p->again = t;
	}
}

static void flush_senders(struct lw_path *p, uint64_t at)
{
	for (uint32_t i = 0; i < p->n_ports; i++) {
		struct lw_port *port = &p->ports[i];

		if (port->tcp || !lw_sender_due(&port->sender, at))
			continue;
		if (!lw_sender_flush(&port->sender, at) && port->sender.retry_at_us == UINT64_MAX)
			p->driver_ops->want_write(p->driver, port, port->sender.blocked_tag);
		if (port->sender.runs_refused)
			lw_log_write(LW_LOG_WARN, port->module->name,
			             "the kernel refuses runs of datagrams, sending them one by "
			             "one for 10 minutes");
		port->sender.runs_refused = false;
	}
}

void lw_path_flush_outside(struct lw_path *p, uint64_t at)
{
	flush_streams(p, at);
	flush_senders(p, at);
}

/* Enough waits for its session's turn: more would only wait elsewhere. A server's inside serves
 * others and does not wait for one session. */
static bool spacing_waits(const struct lw_path *p, const struct lw_sender *s)
{
	return p->role_kind == LW_ROLE_CLIENT && s->pace != NULL &&
	       lw_pace_bytes(s->pace) >= SPACED_MAX;
}

bool lw_path_paused(const struct lw_path *p)
{
	for (uint32_t i = 0; i < p->n_ports; i++) {
		const struct lw_sender *s = &p->ports[i].sender;

		if (!p->ports[i].tcp && (s->blocked || spacing_waits(p, s)))
			return true;
	}
	return false;
}

uint64_t lw_path_deadline(const struct lw_path *p)
{
	uint64_t best = p->again != NULL ? p->again_at_us : UINT64_MAX;

	for (uint32_t i = 0; i < p->n_ports; i++) {
		uint64_t d = p->ports[i].tcp ? UINT64_MAX : lw_sender_deadline(&p->ports[i].sender);

		best = d < best ? d : best;
	}
	return best;
}

/* --- from the inside to tunnels --- */

static bool admit(struct lw_path *p, struct lw_packet *pkt)
{
	struct lw_tunnel *t;

	if (!lw_chain_in_bounds(pkt) || (pkt->gso_size == 0 && pkt->len > p->inside_mtu) ||
	    !lw_ipv4_valid(lw_packet_data(pkt), pkt->len)) {
		lw_path_add(&p->counters.inside_invalid, 1);
		return false;
	}
	t = p->ops->by_inside(p->role, pkt);
	if (t == NULL && p->ops->elsewhere != NULL && p->ops->elsewhere(p->role, pkt))
		return false;
	if (t == NULL || t->state != LW_TUNNEL_ONLINE) {
		lw_path_add(&p->counters.inside_no_session, 1);
		return false;
	}
	pkt->session = &t->s;
	if (p->role_kind == LW_ROLE_SERVER)
		(void)lw_rewrite_dst(pkt, lw_ipv4_number(&t->s.told));
	else
		(void)lw_rewrite_src(pkt, lw_ipv4_number(&t->s.told));
	return true;
}

/* Some filters in a row; their answers go back to the inside. */
static void filter(struct lw_path *p, uint32_t first, uint32_t end, struct lw_batch *b)
{
	lw_chain_ingress(&p->chain, first, end, b, p->reply);
	lw_path_send_inside(p, p->reply);
	lw_batch_reset(p->reply);
}

static void empty_rx(struct lw_path *p)
{
	lw_batch_reset(p->rx);
	p->rx_cut = 0;
	p->cutter_open = false;
}

/* What has come from the inside, as far as it is for a tunnel of ours. */
static void take_in(struct lw_path *p)
{
	struct lw_batch *b = p->rx;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		if (admit(p, &b->pkt[i]))
			b->pkt[kept++] = b->pkt[i];
	}
	b->n = kept;
	filter(p, 0, lw_chain_first_single(&p->chain), b);
}

static int read_inside(struct lw_path *p, uint32_t tag)
{
	int r;

	empty_rx(p);
	r = p->inside->recv(p->inside_inst, p->inside_w, tag, p->rx);
	lw_path_add(&p->counters.inside_rx, p->rx->n);
	lw_path_add(&p->counters.inside_rx_bytes, lw_path_bytes(p->rx->pkt, p->rx->n));
	take_in(p);
	return r;
}

/* All of the last batch from the inside has been cut up, if it must be. */
static bool rx_is_used_up(const struct lw_path *p)
{
	return p->out == p->rx || p->rx_cut == p->rx->n;
}

/* The next packets of it for tunnels; true: that was not all. */
static bool prepare_out(struct lw_path *p)
{
	uint32_t single = lw_chain_first_single(&p->chain);

	p->next = 0;
	p->seg_open = false;
	p->out = p->rx;
	if (single == p->chain.n)
		return false;
	lw_path_cut_up(p);
	filter(p, single, p->chain.n, p->singles);
	p->out = p->singles;
	return p->rx_cut < p->rx->n;
}

/* What is left of the last batch from the inside, or a new one. */
static int refill(struct lw_path *p, uint32_t tag)
{
	int r = 0;

	if (rx_is_used_up(p))
		r = read_inside(p, tag);
	return prepare_out(p) ? 0 : r; /* more waits, whatever the inside said */
}

/* A packet found no room: send what is there. */
static void make_room(struct lw_path *p, struct lw_tunnel *t, uint64_t at)
{
	lw_path_mark_dirty(p, t);
	lw_path_flush_outside(p, at);
}

/* Begins with the segments of a packet, none of which may be larger than the tunnel carries. */
static bool cut(struct lw_path *p, struct lw_packet *pkt, uint64_t at)
{
	if (lw_seg_init(&p->seg, pkt) < 0 || lw_seg_len_max(&p->seg) > p->inside_mtu)
		return false;
	lw_path_burst_watch(p, pkt, at);
	return true;
}

/* One packet, as far as there is room. */
static int transmit_one(struct lw_path *p, struct lw_packet *pkt, struct lw_sink *k, uint64_t at)
{
	struct lw_tunnel *t = lw_path_tunnel(pkt);
	uint32_t first;
	int r;

	if (!p->seg_open && !cut(p, pkt, at)) {
		lw_path_add(&p->counters.inside_invalid, 1);
		return 0;
	}
	first = t->is_stream ? 0 : k->wire->n;
	r = lw_tunnel_tx(t, &p->seg, at, k);
	lw_path_burst_mark(t, k->wire, first);
	return r;
}

/*
 * The packets of one tunnel that follow each other. False: no room; the packet waits as it is.
 *
 * A full stream is no reason to wait. The inside would then queue in front of us, where neither
 * its bytes nor its time can be bounded and where every packet waits, those of other tunnels too:
 * so what the stream cannot take is lost, as at any full queue of a network.
 */
static bool transmit_some(struct lw_path *p, struct lw_tunnel *t, uint64_t at)
{
	struct lw_sink k = lw_path_sink_as_is(p, t);
	uint32_t stuck = UINT32_MAX; /* the segment that found no room before */
	bool full = false;           /* nor did it when all was written that could be */

	while (p->next < p->out->n && lw_path_tunnel(&p->out->pkt[p->next]) == t) {
		int r = transmit_one(p, &p->out->pkt[p->next], &k, at);

		if (r == -EAGAIN && !full && p->seg.next != stuck) {
			p->seg_open = true;
			stuck = p->seg.next;
			make_room(p, t, at);
			if (!t->is_stream && lw_path_paused(p))
				return false;
			continue;
		}
		full = r == -EAGAIN;
		if (full)
			lw_count_n(&p->sessions,
			           t->is_stream ? LW_CTR_STREAM_FULL : LW_CTR_SINK_FULL,
			           p->seg.count - p->seg.next);
		stuck = UINT32_MAX;
		p->seg_open = false;
		p->next++;
	}
	lw_tunnel_tx_end(t, at, &k);
	lw_path_after(p, t, &k);
	return true;
}

/* false: no room outside */
static bool transmit(struct lw_path *p, uint64_t at)
{
	while (p->next < p->out->n) {
		if (!transmit_some(p, lw_path_tunnel(&p->out->pkt[p->next]), at))
			return false;
	}
	return true;
}

int lw_path_from_inside(struct lw_path *p, uint32_t tag, uint64_t at)
{
	int r = -EBUSY;

	if (!lw_path_paused(p)) {
		r = p->next == p->out->n ? refill(p, tag) : 0;
		if (!transmit(p, at))
			r = -EBUSY;
	}
	lw_path_flush(p, at);
	return r;
}

/* Into the batch from the inside, as if it had been read here. False: that is in use. */
static bool put_in(struct lw_path *p, const struct lw_packet *pkt)
{
	struct lw_packet *own;

	if (lw_path_paused(p) || p->next < p->out->n || !rx_is_used_up(p))
		return false;
	empty_rx(p);
	own = lw_batch_reserve(p->rx, pkt->len);
	if (own == NULL)
		return false;
	memcpy(lw_packet_data(own), lw_packet_data(pkt), pkt->len);
	own->gso_type = pkt->gso_type;
	own->gso_size = pkt->gso_size;
	own->flags = pkt->flags;
	own->csum_start = pkt->csum_start;
	own->csum_off = pkt->csum_off;
	(void)lw_batch_commit(p->rx, pkt->len);
	return true;
}

bool lw_path_handed_inside(struct lw_path *p, const struct lw_packet *pkt, uint64_t at)
{
	bool more = true;
	bool room = true;

	if (!put_in(p, pkt)) {
		lw_path_add(&p->counters.handed_dropped, 1);
		return false;
	}
	p->handed = true;
	take_in(p);
	p->handed = false;
	while (more && room) {
		more = prepare_out(p);
		room = transmit(p, at);
	}
	lw_path_flush(p, at);
	return !room;
}

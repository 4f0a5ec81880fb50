/* SPDX-License-Identifier: MIT */
#include "path/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/ipv4.h"
#include "packet/rewrite.h"

/* pieces of one socket write of a stream */
#define STREAM_IOV 20u
/* what a packet may need in a stream beyond its own bytes */
#define STREAM_RECORD_EXTRA 128u
/* bytes taken from one connection in one round, so that others get their turn */
#define TCP_ROUND_BYTES (512u << 10)

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static uint64_t bytes_of(const struct lw_packet *p, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += p[i].len + p[i].more_len;
	return sum;
}

static struct lw_tunnel *tunnel_of(const struct lw_packet *p)
{
	return (struct lw_tunnel *)p->session; /* a tunnel begins with its session */
}

static struct lw_port *port_of(const struct lw_tunnel *t)
{
	return t->port;
}

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

static int port_init(struct lw_port *port)
{
	if (port->tcp)
		return 0;
	port->rx = batch_create(LW_UDP_RX_PACKETS, LW_UDP_RX_BYTES, true);
	port->wire = batch_create(LW_WIRE_PACKETS, LW_WIRE_BYTES, true);
	if (port->rx == NULL || port->wire == NULL)
		return -ENOMEM;
	lw_sender_init(&port->sender, port->module->ops.udp, port->inst, port->w, port->wire);
	return 0;
}

int lw_path_init(struct lw_path *p, uint32_t chunks)
{
	p->rx = batch_create(LW_INSIDE_RX_PACKETS, LW_INSIDE_RX_BYTES, false);
	p->tx = batch_create(LW_INSIDE_TX_PACKETS, LW_INSIDE_TX_BYTES, false);
	p->reply = batch_create(LW_INSIDE_RX_PACKETS, 0, false);
	p->tcp_buf = malloc(LW_TCP_RX_BYTES);
	if (p->rx == NULL || p->tx == NULL || p->reply == NULL || p->tcp_buf == NULL)
		return -ENOMEM;
	p->rx->headroom = LW_INSIDE_HEADROOM;
	for (uint32_t i = 0; i < p->n_ports; i++) {
		if (port_init(&p->ports[i]) < 0)
			return -ENOMEM;
	}
	return lw_chunk_pool_init(&p->chunks, chunks);
}

void lw_path_fini(struct lw_path *p)
{
	batch_destroy(p->rx);
	batch_destroy(p->tx);
	batch_destroy(p->reply);
	free(p->tcp_buf);
	for (uint32_t i = 0; i < p->n_ports; i++) {
		batch_destroy(p->ports[i].rx);
		batch_destroy(p->ports[i].wire);
	}
	lw_chunk_pool_fini(&p->chunks);
}

/* --- what every call to a tunnel is followed by --- */

struct lw_sink lw_path_sink(struct lw_path *p, struct lw_tunnel *t)
{
	struct lw_port *port = port_of(t);

	/* room for the largest answer: a sender that takes nothing loses what comes later */
	if (!port->tcp && port->wire->cap - port->wire->n < LW_SINK_DATAGRAMS)
		(void)lw_sender_flush(&port->sender, port->w->now_us);
	return (struct lw_sink){ .wire = port->wire, .inside = p->tx };
}

static void mark_dirty(struct lw_path *p, struct lw_tunnel *t)
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

/* The filters hear of a session before they see its packets; if one refuses they see none. */
static bool join_chain(struct lw_path *p, struct lw_tunnel *t)
{
	t->in_chain = lw_chain_open(&p->chain, &t->s) == 0;
	if (!t->in_chain)
		forget_packets(p->tx, 0, &t->s);
	return t->in_chain;
}

void lw_path_after(struct lw_path *p, struct lw_tunnel *t, struct lw_sink *k)
{
	mark_dirty(p, t);
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
	mark_dirty(p, t);
	closed(p, t);
}

void lw_path_drop(struct lw_path *p, struct lw_tunnel *t)
{
	if (t->state == LW_TUNNEL_CLOSED)
		return;
	lw_tunnel_drop(t);
	closed(p, t);
}

/* --- to the outside --- */

/* One connection's ciphertext, as far as its socket takes it. */
static void flush_stream(struct lw_path *p, struct lw_tunnel *t)
{
	struct lw_port *port = port_of(t);
	struct iovec iov[STREAM_IOV];

	while (t->stream.used > 0) {
		uint32_t n = lw_stream_peek(&t->stream, iov, STREAM_IOV);
		uint32_t sent = 0;
		int r = port->module->ops.tcp->send(port->inst, port->w, t->endpoint.tag, iov, n,
		                                    &sent);

		if (r == -EAGAIN || r == -EINPROGRESS || (r == 0 && sent == 0)) {
			p->driver_ops->want_write(p->driver, port, t->endpoint.tag);
			return;
		}
		if (r < 0 || sent > t->stream.used) {
			lw_path_drop(p, t);
			return;
		}
		lw_stream_consume(&t->stream, sent);
	}
}

static void flush_streams(struct lw_path *p)
{
	while (p->dirty != NULL) {
		struct lw_tunnel *t = p->dirty;

		p->dirty = t->next_dirty;
		t->dirty = false;
		flush_stream(p, t);
	}
}

static void flush_senders(struct lw_path *p, uint64_t at)
{
	for (uint32_t i = 0; i < p->n_ports; i++) {
		struct lw_port *port = &p->ports[i];

		if (port->tcp || port->wire->n == 0)
			continue;
		if (!lw_sender_flush(&port->sender, at) && port->sender.retry_at_us == UINT64_MAX)
			p->driver_ops->want_write(p->driver, port, port->sender.blocked_tag);
	}
}

/*
 * A client's stream that is full; its socket's edge will make room. Reading goes on when half of it
 * is free again. A server's inside serves others and does not wait for a stream.
 */
static bool stream_waits(const struct lw_path *p, const struct lw_packet *pkt)
{
	const struct lw_tunnel *t = tunnel_of(pkt);

	if (p->role_kind != LW_ROLE_CLIENT || !t->is_stream || t->state != LW_TUNNEL_ONLINE)
		return false;
	return t->stream.used > LW_STREAM_MAX / 2 ||
	       (t->stream.used > 0 &&
	        lw_stream_room(&t->stream, false) < pkt->len + STREAM_RECORD_EXTRA);
}

bool lw_path_paused(const struct lw_path *p)
{
	for (uint32_t i = 0; i < p->n_ports; i++) {
		if (!p->ports[i].tcp && p->ports[i].sender.blocked)
			return true;
	}
	return p->next < p->rx->n && stream_waits(p, &p->rx->pkt[p->next]);
}

uint64_t lw_path_deadline(const struct lw_path *p)
{
	uint64_t best = UINT64_MAX;

	for (uint32_t i = 0; i < p->n_ports; i++) {
		uint64_t d = p->ports[i].tcp ? UINT64_MAX : lw_sender_deadline(&p->ports[i].sender);

		best = d < best ? d : best;
	}
	return best;
}

/* --- outside -> inside --- */

static void rewrite_egress(struct lw_path *p, struct lw_packet *pkt)
{
	if (p->role_kind == LW_ROLE_SERVER)
		(void)lw_rewrite_src(pkt, lw_ipv4_number(&pkt->session->inside));
	else
		(void)lw_rewrite_dst(pkt, lw_ipv4_number(&p->tun_address));
}

/*
 * What passed the filters, or their answers, under the addresses that the system knows. A write to
 * the inside never waits: what it does not take is lost and counted.
 */
static void send_inside(struct lw_path *p, struct lw_batch *b)
{
	uint32_t done = 0;

	LW_BATCH_FOREACH (pkt, b)
		rewrite_egress(p, pkt);
	while (done < b->n) {
		const uint32_t n = b->n - done;
		struct lw_batch rest = *b;
		uint32_t taken = 0;
		int r;

		rest.pkt += done;
		rest.n = n;
		r = p->inside->send(p->inside_inst, p->inside_w, &rest, &taken);
		taken = lw_send_taken(r, taken, n);
		add(&p->counters.inside_tx, taken);
		add(&p->counters.inside_tx_bytes, bytes_of(b->pkt + done, taken));
		done += taken;
		if (done < b->n) {
			add(&p->counters.inside_tx_dropped, 1);
			done++;
		}
	}
}

/* An answer of a filter to the peer: single, complete, at most the inside MTU. */
static void reply_outside(struct lw_path *p, uint64_t at)
{
	LW_BATCH_FOREACH (pkt, p->reply) {
		struct lw_tunnel *t = tunnel_of(pkt);
		struct lw_sink k = lw_path_sink(p, t);
		struct lw_seg seg;
		int r = -EMSGSIZE;

		if (pkt->len <= p->inside_mtu)
			r = lw_seg_init(&seg, pkt);
		if (r == 0)
			r = lw_tunnel_tx(t, &seg, at, &k);
		if (r < 0)
			add(&p->chain.dropped, 1);
		lw_path_after(p, t, &k);
	}
	lw_batch_reset(p->reply);
}

static void flush_inside(struct lw_path *p, uint64_t at)
{
	if (p->tx->n > 0) {
		lw_chain_egress(&p->chain, p->tx, p->reply);
		send_inside(p, p->tx);
		reply_outside(p, at);
	}
	lw_batch_reset(p->tx);
}

int lw_path_from_udp(struct lw_path *p, struct lw_port *port, uint32_t tag, uint64_t at)
{
	int r;

	lw_batch_reset(port->rx);
	r = port->module->ops.udp->recv(port->inst, port->w, tag, port->rx);
	add(&p->counters.outside_rx, port->rx->n);
	LW_BATCH_FOREACH (dgram, port->rx) {
		struct lw_tunnel *t = p->ops->by_dgram(p->role, port, dgram);

		if (t == NULL)
			continue;
		struct lw_sink k = lw_path_sink(p, t);

		(void)lw_tunnel_rx(t, dgram, at, &k);
		lw_path_after(p, t, &k);
	}
	p->ops->after_dgrams(p->role, port);
	lw_path_flush(p, at); /* before the batch is read over: packets are views into it */
	return r;
}

static int feed(struct lw_path *p, struct lw_tunnel *t, const uint8_t *buf, size_t len, uint64_t at)
{
	int r;

	do {
		struct lw_sink k = lw_path_sink(p, t);
		size_t used = 0;

		r = lw_tunnel_rx_bytes(t, buf, len, &used, at, &k);
		buf += used;
		len -= used;
		lw_path_after(p, t, &k);
		flush_inside(p, at);
	} while (r == -EAGAIN);
	return r;
}

int lw_path_from_tcp(struct lw_path *p, struct lw_port *port, struct lw_tunnel *t, uint64_t at)
{
	uint32_t total = 0;
	int r = 0;

	while (r == 0 && total < TCP_ROUND_BYTES) {
		uint32_t len = 0;

		r = port->module->ops.tcp->recv(port->inst, port->w, t->endpoint.tag, p->tcp_buf,
		                                LW_TCP_RX_BYTES, &len);
		if (r == -EINPROGRESS)
			r = -EAGAIN;
		if (r == -EAGAIN)
			break;
		if (r < 0 || len == 0 || len > LW_TCP_RX_BYTES) {
			lw_path_drop(p, t);
			r = -EAGAIN;
			break;
		}
		total += len;
		if (feed(p, t, p->tcp_buf, len, at) < 0)
			r = -EAGAIN; /* closed */
		else if (len < LW_TCP_RX_BYTES / 2)
			break; /* ask again in the next round: the socket is most likely empty */
	}
	lw_path_flush(p, at);
	return r;
}

/* --- inside -> outside --- */

static bool admit(struct lw_path *p, struct lw_packet *pkt)
{
	struct lw_tunnel *t;

	if (!lw_chain_in_bounds(pkt) || pkt->len > p->inside_mtu ||
	    !lw_ipv4_valid(lw_packet_data(pkt), pkt->len)) {
		add(&p->counters.inside_invalid, 1);
		return false;
	}
	t = p->ops->by_inside(p->role, pkt);
	if (t == NULL || t->state != LW_TUNNEL_ONLINE) {
		add(&p->counters.inside_no_session, 1);
		return false;
	}
	pkt->session = &t->s;
	if (p->role_kind == LW_ROLE_SERVER)
		(void)lw_rewrite_dst(pkt, lw_ipv4_number(&t->s.told));
	else
		(void)lw_rewrite_src(pkt, lw_ipv4_number(&t->s.told));
	return true;
}

static int refill(struct lw_path *p, uint32_t tag)
{
	struct lw_batch *b = p->rx;
	uint32_t kept = 0;
	int r;

	lw_batch_reset(b);
	p->next = 0;
	p->seg_open = false;
	r = p->inside->recv(p->inside_inst, p->inside_w, tag, b);
	add(&p->counters.inside_rx, b->n);
	add(&p->counters.inside_rx_bytes, bytes_of(b->pkt, b->n));
	for (uint32_t i = 0; i < b->n; i++) {
		if (admit(p, &b->pkt[i]))
			b->pkt[kept++] = b->pkt[i];
	}
	b->n = kept;
	lw_chain_ingress(&p->chain, b, p->reply);
	send_inside(p, p->reply);
	lw_batch_reset(p->reply);
	return r;
}

/* A packet found no room: send what is there. */
static void make_room(struct lw_path *p, struct lw_tunnel *t, uint64_t at)
{
	mark_dirty(p, t);
	flush_streams(p);
	flush_senders(p, at);
}

/* false: no room outside; the packet waits as it is */
static bool transmit(struct lw_path *p, uint64_t at)
{
	uint32_t stuck = UINT32_MAX; /* the segment that found no room before */

	while (p->next < p->rx->n) {
		struct lw_packet *pkt = &p->rx->pkt[p->next];
		struct lw_tunnel *t = tunnel_of(pkt);
		struct lw_sink k = { .wire = port_of(t)->wire, .inside = p->tx };
		int r = 0;

		if (!p->seg_open && lw_seg_init(&p->seg, pkt) < 0)
			add(&p->counters.inside_invalid, 1);
		else
			r = lw_tunnel_tx(t, &p->seg, at, &k);
		if (r == -EAGAIN && p->seg.next != stuck) {
			p->seg_open = true;
			stuck = p->seg.next;
			make_room(p, t, at);
			if (lw_path_paused(p))
				return false;
			continue;
		}
		if (r == -EAGAIN) /* nothing that it could wait for */
			lw_count(&p->sessions,
			         t->is_stream ? LW_CTR_STREAM_FULL : LW_CTR_SINK_FULL);
		stuck = UINT32_MAX;
		p->seg_open = false;
		p->next++;
		if (p->next == p->rx->n || tunnel_of(&p->rx->pkt[p->next]) != t)
			lw_path_after(p, t, &k);
	}
	return true;
}

int lw_path_from_inside(struct lw_path *p, uint32_t tag, uint64_t at)
{
	int r = -EBUSY;

	if (!lw_path_paused(p)) {
		r = p->next == p->rx->n ? refill(p, tag) : 0;
		if (!transmit(p, at))
			r = -EBUSY;
	}
	lw_path_flush(p, at);
	return r;
}

/* --- end of a batch --- */

/* Packets that wait must not name a session that is going. */
static void forget_session(struct lw_path *p, const struct lw_tunnel *t)
{
	if (p->next < p->rx->n && p->rx->pkt[p->next].session == &t->s)
		p->seg_open = false;
	forget_packets(p->rx, p->next, &t->s);
}

static void reap(struct lw_path *p)
{
	while (p->dead != NULL) {
		struct lw_tunnel *t = p->dead;

		p->dead = t->next_dead;
		forget_session(p, t);
		if (t->in_chain)
			lw_chain_close(&p->chain, &t->s);
		if (t->is_stream)
			port_of(t)->module->ops.tcp->close(port_of(t)->inst, port_of(t)->w,
			                                   t->endpoint.tag);
		p->ops->gone(p->role, t);
		lw_tunnel_destroy(t);
	}
}

void lw_path_flush(struct lw_path *p, uint64_t at)
{
	flush_inside(p, at);
	flush_streams(p);
	flush_senders(p, at);
	reap(p);
}

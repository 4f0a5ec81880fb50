/* SPDX-License-Identifier: MIT */
/* Outside -> inside. */
#include <errno.h>

#include "base/log.h"
#include "packet/coalesce.h"
#include "packet/ipv4.h"
#include "packet/rewrite.h"
#include "path/path_priv.h"

/* bytes taken from one connection in one round, so that others get their turn */
#define TCP_ROUND_BYTES (512u << 10)

static void rewrite_egress(struct lw_path *p, struct lw_packet *pkt)
{
	if (p->role_kind == LW_ROLE_SERVER)
		(void)lw_rewrite_src(pkt, lw_ipv4_number(&pkt->session->inside));
	else
		(void)lw_rewrite_dst(pkt, lw_ipv4_number(&p->tun_address));
}

/* kinds of superpackets, and what the inside must have granted for each */
static const struct {
	uint8_t gso;
	uint64_t cap;
} kinds[] = { { LW_GSO_TCP4, LW_CAP_SEND_TSO },
	      { LW_GSO_TCP6, LW_CAP_SEND_TSO },
	      { LW_GSO_UDP, LW_CAP_SEND_USO } };

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Kinds of superpackets that the inside takes now: LW_COALESCE_*. */
static uint32_t mergeable(const struct lw_path *p, uint64_t at)
{
	uint32_t types = 0;

	for (size_t i = 0; i < N_KINDS; i++) {
		if ((p->inside_caps.flags & kinds[i].cap) != 0 &&
		    at >= p->merge_off_until_us[kinds[i].gso])
			types |= 1u << kinds[i].gso;
	}
	return types;
}

struct lw_refusal lw_path_merge_refusal(const struct lw_path *p, uint64_t cap)
{
	struct lw_refusal last = { .until_us = 0 };

	for (size_t i = 0; i < N_KINDS; i++) {
		uint8_t gso = kinds[i].gso;
		uint64_t until = __atomic_load_n(&p->merge_off_until_us[gso], __ATOMIC_RELAXED);

		if (kinds[i].cap != cap || until <= last.until_us)
			continue;
		last.until_us = until;
		last.error = __atomic_load_n(&p->merge_off_error[gso], __ATOMIC_RELAXED);
	}
	return last;
}

static uint32_t segments_of(const struct lw_packet *p, uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += p[i].gso_size > 0 ? p[i].n_more + 1u : 1u;
	return sum;
}

/* Offers packets from the first on; *ret_done of n were taken. */
static int offer(struct lw_path *p, struct lw_packet *pkt, uint32_t n, uint32_t *ret_done)
{
	struct lw_batch b = { .pkt = pkt, .n = n, .cap = n };
	uint32_t taken = 0;
	int r = p->inside->send(p->inside_inst, p->inside_w, &b, &taken);

	taken = lw_send_taken(r, taken, n);
	lw_path_add(&p->counters.inside_tx, segments_of(pkt, taken));
	lw_path_add(&p->counters.inside_tx_bytes, lw_path_bytes(pkt, taken));
	*ret_done = taken;
	return r;
}

/* Offers packets until all were taken or lost. True: all were taken. */
static bool offer_all(struct lw_path *p, struct lw_packet *pkt, uint32_t n)
{
	uint32_t lost = 0;

	for (uint32_t done = 0; done < n; done++) {
		uint32_t taken;

		(void)offer(p, pkt + done, n - done, &taken);
		done += taken;
		lost += done < n;
	}
	lw_path_add(&p->counters.inside_tx_dropped, lost);
	return lost == 0;
}

/* The inside did not take this superpacket. If it takes the packets of it, it was the form. */
static void unmerge(struct lw_path *p, const struct lw_packet *pkt, uint64_t at)
{
	uint8_t kind = pkt->gso_type;

	lw_path_add(&p->counters.inside_tx_refused, 1);
	lw_batch_reset(p->undone);
	if (lw_coalesce_undo(pkt, p->undone) < 0 || !offer_all(p, p->undone->pkt, p->undone->n))
		return;
	if (at < p->merge_off_until_us[kind])
		return; /* of the same batch as the one that has told already */
	lw_path_add(&p->counters.inside_tx_fallbacks, 1);
	__atomic_store_n(&p->merge_off_error[kind], pkt->status, __ATOMIC_RELAXED);
	__atomic_store_n(&p->merge_off_until_us[kind], at + LW_SEND_RUNS_OFF_US, __ATOMIC_RELAXED);
	lw_log_write(LW_LOG_WARN, "inside",
	             "the kernel refuses superpackets, sending their packets one by one for "
	             "10 minutes");
}

/*
 * What passed the filters, or their answers, under the addresses that the system knows. A write to
 * the inside never waits: what it does not take is lost and counted.
 */
void lw_path_send_inside(struct lw_path *p, struct lw_batch *b)
{
	uint64_t at = p->inside_w->now_us;
	uint64_t merged = 0;
	uint32_t done = 0;

	LW_BATCH_FOREACH (pkt, b)
		rewrite_egress(p, pkt);
	if (p->merging != NULL && b->n > 1) {
		lw_coalesce_batch(p->merging, b, mergeable(p, at));
		LW_BATCH_FOREACH (pkt, b)
			merged += pkt->gso_size > 0;
		lw_path_add(&p->counters.inside_tx_merged, merged);
		lw_path_add(&p->counters.inside_tx_bad_sums, lw_coalesce_bad_sums(p->merging));
	}
	while (done < b->n) {
		uint32_t taken;
		int r = offer(p, b->pkt + done, b->n - done, &taken);

		done += taken;
		if (done == b->n)
			break;
		if (r == -EOPNOTSUPP && b->pkt[done].gso_size > 0)
			unmerge(p, &b->pkt[done], at);
		else
			lw_path_add(&p->counters.inside_tx_dropped, segments_of(&b->pkt[done], 1));
		done++;
	}
}

/* An answer of a filter to the peer: single, complete, at most the inside MTU. */
static void reply_outside(struct lw_path *p, uint64_t at)
{
	LW_BATCH_FOREACH (pkt, p->reply) {
		struct lw_tunnel *t = lw_path_tunnel(pkt);
		struct lw_sink k = lw_path_sink(p, t);
		struct lw_seg seg;
		int r = -EMSGSIZE;

		if (pkt->len <= p->inside_mtu)
			r = lw_seg_init(&seg, pkt);
		if (r == 0)
			r = lw_tunnel_tx(t, &seg, at, &k);
		lw_tunnel_tx_end(t, at, &k);
		if (r < 0)
			lw_path_add(&p->chain.dropped, 1);
		lw_path_after(p, t, &k);
	}
	lw_batch_reset(p->reply);
}

void lw_path_flush_inside(struct lw_path *p, uint64_t at)
{
	if (p->tx->n > 0) {
		lw_chain_egress(&p->chain, p->tx, p->reply);
		lw_path_send_inside(p, p->tx);
		reply_outside(p, at);
	}
	lw_batch_reset(p->tx);
}

/* Less than half is left: what the next tunnel makes may not fit. */
static bool is_crowded(const struct lw_batch *b)
{
	return b->n > b->cap / 2 || b->arena_used > b->arena_cap / 2;
}

static void take_datagram(struct lw_path *p, struct lw_port *port, struct lw_packet *dgram,
                          uint64_t at)
{
	struct lw_tunnel *t = p->ops->by_dgram(p->role, port, dgram);
	int frames;

	if (t == NULL)
		return;
	struct lw_sink k = lw_path_sink(p, t);

	frames = lw_tunnel_rx(t, dgram, at, &k);
	lw_path_after(p, t, &k);
	p->ops->heard(p->role, port, t, dgram, frames);
	if (is_crowded(p->tx))
		lw_path_flush_inside(p, at);
}

/* A run whose sender is unknown, as the copies of a hello, is looked at one by one. */
static void take_pieces(struct lw_path *p, struct lw_port *port, const struct lw_packet *run,
                        uint64_t at)
{
	for (uint32_t off = 0; off < run->len; off += run->gso_size) {
		uint32_t left = run->len - off;
		struct lw_packet *piece;

		if (port->pieces->n == port->pieces->cap)
			return; /* strangers are served so many at a time */
		piece = &port->pieces->pkt[port->pieces->n++];
		*piece = *run;
		piece->gso_type = LW_GSO_NONE;
		piece->gso_size = 0;
		piece->off += off;
		piece->len = left < run->gso_size ? left : run->gso_size;
		take_datagram(p, port, piece, at);
	}
}

static void take_run(struct lw_path *p, struct lw_port *port, struct lw_packet *dgram, uint64_t at)
{
	if (dgram->gso_size > 0 && !p->ops->knows(p->role, port, dgram))
		take_pieces(p, port, dgram, at);
	else
		take_datagram(p, port, dgram, at);
}

void lw_path_handed_dgram(struct lw_path *p, struct lw_port *port, struct lw_packet *dgram,
                          uint64_t at)
{
	lw_batch_reset(port->pieces);
	p->handed = true;
	take_run(p, port, dgram, at);
	p->ops->after_dgrams(p->role, port);
	p->handed = false;
	lw_path_flush(p, at);
}

int lw_path_from_udp(struct lw_path *p, struct lw_port *port, uint32_t tag, uint64_t at)
{
	int r;

	lw_batch_reset(port->rx);
	r = port->module->ops.udp->recv(port->inst, port->w, tag, port->rx);
	lw_path_add(&p->counters.outside_rx, port->rx->n);
	lw_batch_reset(port->pieces);
	LW_BATCH_FOREACH (dgram, port->rx)
		take_run(p, port, dgram, at);
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
		lw_path_flush_inside(p, at);
	} while (r == -EAGAIN);
	return r;
}

/* A hello that has not been answered waits as a whole. */
static uint32_t read_size(const struct lw_tunnel *t)
{
	return t->lends ? LW_STEP_READ_BYTES : LW_TCP_RX_BYTES;
}

int lw_path_from_tcp(struct lw_path *p, struct lw_port *port, struct lw_tunnel *t, uint64_t at)
{
	uint32_t total = 0;
	int r = 0;

	if (lw_tunnel_is_lent(t))
		return -EAGAIN; /* who brings it back has its connection looked at again */
	while (r == 0 && total < TCP_ROUND_BYTES) {
		uint32_t cap = read_size(t);
		uint32_t len = 0;

		r = port->module->ops.tcp->recv(port->inst, port->w, t->endpoint.tag, p->tcp_buf,
		                                cap, &len);
		if (r == -EINPROGRESS)
			r = -EAGAIN;
		if (r == -EAGAIN)
			break;
		if (r < 0 || len == 0 || len > cap) {
			lw_path_drop(p, t);
			r = -EAGAIN;
			break;
		}
		total += len;
		if (feed(p, t, p->tcp_buf, len, at) < 0 || lw_tunnel_is_lent(t))
			r = -EAGAIN; /* closed, or lent */
		else if (len < cap / 2)
			break; /* ask again in the next round: the socket is most likely empty */
	}
	lw_path_flush(p, at);
	return r;
}

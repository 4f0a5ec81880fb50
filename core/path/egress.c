/* SPDX-License-Identifier: MIT */
/* Outside -> inside. */
#include <errno.h>

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

/*
 * What passed the filters, or their answers, under the addresses that the system knows. A write to
 * the inside never waits: what it does not take is lost and counted.
 */
void lw_path_send_inside(struct lw_path *p, struct lw_batch *b)
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
		lw_path_add(&p->counters.inside_tx, taken);
		lw_path_add(&p->counters.inside_tx_bytes, lw_path_bytes(b->pkt + done, taken));
		done += taken;
		if (done < b->n) {
			lw_path_add(&p->counters.inside_tx_dropped, 1);
			done++;
		}
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

int lw_path_from_udp(struct lw_path *p, struct lw_port *port, uint32_t tag, uint64_t at)
{
	int r;

	lw_batch_reset(port->rx);
	r = port->module->ops.udp->recv(port->inst, port->w, tag, port->rx);
	lw_path_add(&p->counters.outside_rx, port->rx->n);
	LW_BATCH_FOREACH (dgram, port->rx) {
		struct lw_tunnel *t = p->ops->by_dgram(p->role, port, dgram);

		if (t == NULL)
			continue;
		struct lw_sink k = lw_path_sink(p, t);

		(void)lw_tunnel_rx(t, dgram, at, &k);
		lw_path_after(p, t, &k);
		if (is_crowded(p->tx))
			lw_path_flush_inside(p, at);
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
		lw_path_flush_inside(p, at);
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

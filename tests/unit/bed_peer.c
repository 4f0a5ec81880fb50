/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "fake/fake_host.h"
#include "session/tunnel_priv.h"
#include "unit/bed_server.h"
#include "unit/test.h"

static void open_tunnel(struct peer *p)
{
	struct lw_tunnel_start start = { .endpoint = { .remote = p->server },
		                         .stream = p->stream,
		                         .minor = 3,
		                         .pool = &p->chunks,
		                         .counters = &p->counters,
		                         .serial = 1 };

	assert_int_equal(lw_tls_create(p->tls, p->stream ? LW_TLS_STREAM : LW_TLS_DGRAM,
	                               p->conf.outside_mtu, &start.tls),
	                 0);
	assert_int_equal(lw_tunnel_create(&p->conf, &start, net_clock_us, &p->t), 0);
}

struct peer *peer_create_at(struct bed *b, const struct lw_addr *addr, bool stream,
                            uint32_t outside_mtu)
{
	struct peer *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->net = b->net;
	p->addr = *addr;
	p->server = b->addr;
	p->stream = stream;
	p->tls = bed_client_ctx("ca.crt");
	p->conf = (struct lw_tunnel_conf){ .role = LW_ROLE_CLIENT,
		                           .outside_mtu = outside_mtu,
		                           .inside_mtu = 1350,
		                           .stale_us = 60 * LW_US_PER_S,
		                           .user = "me",
		                           .password = "secret",
		                           .keepalive_us = 10 * LW_US_PER_S,
		                           .keepalive_timeout_us = 60 * LW_US_PER_S };
	p->wire = lw_fake_batch_create(64, 1 << 17, true);
	p->inside = lw_fake_batch_create(1024, 1 << 17, false);
	assert_int_equal(lw_chunk_pool_init(&p->chunks, 8), 0);
	if (!stream)
		net_node_add(p->net, &p->node, &p->addr, -1);
	open_tunnel(p);
	return p;
}

struct peer *peer_create(struct bed *b, uint32_t ip, uint16_t port, bool stream)
{
	struct lw_addr addr = lw_addr_ipv4(ip, port);

	return peer_create_at(b, &addr, stream, 1500);
}

void peer_vanish(struct peer *p)
{
	net_node_remove(p->net, &p->node);
	net_conn_close(&p->conn);
	p->closed = true;
}

void peer_destroy(struct peer *p)
{
	peer_vanish(p);
	lw_tunnel_destroy(p->t);
	lw_fake_batch_destroy(p->wire);
	lw_fake_batch_destroy(p->inside);
	lw_chunk_pool_fini(&p->chunks);
	lw_tls_ctx_destroy(p->tls);
	free(p);
}

static struct lw_sink sink_of(struct peer *p)
{
	return (struct lw_sink){ .wire = p->wire, .inside = p->inside };
}

static void transmit(struct peer *p)
{
	LW_BATCH_FOREACH (pkt, p->wire) {
		p->n_sent++;
		p->bytes_sent += pkt->len;
		net_send(p->net, &p->addr, &p->server, lw_packet_data(pkt), pkt->len);
	}
	lw_batch_reset(p->wire);
	while (p->t->stream.used > 0) {
		struct iovec iov;
		size_t n;

		assert_int_equal(lw_stream_peek(&p->t->stream, &iov, 1), 1);
		n = net_conn_write(&p->conn, iov.iov_base, iov.iov_len);
		if (n == 0)
			break;
		p->bytes_sent += n;
		lw_stream_consume(&p->t->stream, n);
	}
}

static void absorb(struct peer *p, const struct lw_sink *k)
{
	for (uint32_t i = 0; i < k->n_events; i++) {
		if (k->events[i].type == LW_EVENT_ONLINE)
			p->online = true;
		if (k->events[i].type == LW_EVENT_CLOSED)
			p->closed = true;
	}
	LW_BATCH_FOREACH (pkt, p->inside) {
		assert_true(pkt->len <= sizeof(p->last));
		memcpy(p->last, lw_packet_data(pkt), pkt->len);
		p->last_len = pkt->len;
		p->n_inside++;
	}
	lw_batch_reset(p->inside);
	transmit(p);
}

void peer_begin(struct peer *p)
{
	struct lw_sink k = sink_of(p);

	if (p->stream) {
		p->conn = (struct net_conn){ .local = p->addr,
			                     .remote = p->server,
			                     .fd = -1,
			                     .open = true,
			                     .in = malloc(NET_STREAM) };
		assert_non_null(p->conn.in);
		assert_int_equal(net_connect(p->net, &p->conn, &p->addr, &p->server), 0);
	}
	(void)lw_tunnel_begin(p->t, net_clock_us, &k);
	absorb(p, &k);
}

static bool take_dgram(struct peer *p)
{
	struct net_dgram *d = net_take(&p->node);
	struct lw_sink k = sink_of(p);
	struct lw_packet pkt;

	if (d == NULL)
		return false;
	p->n_got++;
	p->bytes_got += d->len;
	pkt = (struct lw_packet){ .buf = d->bytes, .cap = sizeof(d->bytes), .len = d->len };
	(void)lw_tunnel_rx(p->t, &pkt, net_clock_us, &k);
	absorb(p, &k);
	free(d);
	return true;
}

static bool take_bytes(struct peer *p)
{
	size_t len = p->conn.in_len;
	size_t done = 0;
	int r;

	if (len == 0 && p->conn.twin == NULL) {
		p->closed = true;
		return true;
	}
	if (len == 0)
		return false;
	do {
		struct lw_sink k = sink_of(p);
		size_t used = 0;

		r = lw_tunnel_rx_bytes(p->t, p->conn.in + done, len - done, &used, net_clock_us,
		                       &k);
		done += used;
		absorb(p, &k);
	} while (r == -EAGAIN);
	p->bytes_got += len;
	p->conn.in_len = 0;
	return true;
}

bool peer_round(struct peer *p)
{
	struct lw_sink k = sink_of(p);

	if (p->closed)
		return false;
	if (p->stream ? p->conn.open && take_bytes(p) : take_dgram(p))
		return true;
	if (lw_tunnel_deadline(p->t) > net_clock_us)
		return false;
	(void)lw_tunnel_tick(p->t, net_clock_us, &k);
	absorb(p, &k);
	return true;
}

void peer_close(struct peer *p)
{
	struct lw_sink k = sink_of(p);

	lw_tunnel_close(p->t, net_clock_us, &k);
	absorb(p, &k);
	peer_vanish(p);
}

void peer_move(struct peer *p, uint32_t ip, uint16_t port)
{
	net_node_remove(p->net, &p->node);
	p->addr = lw_addr_ipv4(ip, port);
	net_node_add(p->net, &p->node, &p->addr, -1);
}

void peer_send(struct peer *p, const void *packet, uint32_t len)
{
	uint8_t buf[2048];
	struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .off = 64, .len = len };
	struct lw_sink k = sink_of(p);
	struct lw_seg seg;

	memcpy(buf + 64, packet, len);
	assert_int_equal(lw_seg_init(&seg, &pkt), 0);
	assert_int_equal(lw_tunnel_tx(p->t, &seg, net_clock_us, &k), 0);
	absorb(p, &k);
}

void peer_frame(struct peer *p, const void *frame, size_t len)
{
	struct lw_sink k = sink_of(p);

	assert_int_equal(lw_send_plain(p->t, frame, len, net_clock_us, &k), 0);
	absorb(p, &k);
}

void peer_login(struct peer *p)
{
	struct lw_sink k = sink_of(p);

	lw_tunnel_send_login(p->t, net_clock_us, &k);
	absorb(p, &k);
}

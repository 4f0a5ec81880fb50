/* SPDX-License-Identifier: MIT */
#include "unit/session_pair.h"

#include <sys/time.h>

#include "base/addr.h"
#include "fake/fake_host.h"
#include "session/tunnel_priv.h"
#include "unit/frame_examples.h"
#include "unit/hex.h"
#include "unit/test.h"
#include "wire/header.h"

/* The library keeps retransmissions apart by the clock of the wall, which here is the pair's. */
static uint64_t clock_us;

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	(void)tz;
	tv->tv_sec = (time_t)(1700000000 + clock_us / LW_S);
	tv->tv_usec = (suseconds_t)(clock_us % LW_S);
	return 0;
}

static uint8_t *slurp(const char *name, size_t *ret_len)
{
	const char *top = getenv("top_srcdir");
	char path[512];
	uint8_t *buf = malloc(1 << 16);
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/tests/data/tls/%s", top != NULL ? top : ".", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_non_null(buf);
	*ret_len = fread(buf, 1, 1 << 16, f);
	fclose(f);
	return buf;
}

struct lw_tls_ctx *pair_client_ctx(const char *ca)
{
	struct lw_tls_client_config cfg = { .cipher = LW_TLS_AES256 };
	struct lw_tls_ctx *ctx = NULL;
	struct lw_err err = { 0 };
	uint8_t *pem = slurp(ca, &cfg.ca_len);

	cfg.ca_pem = pem;
	if (lw_tls_ctx_create_client(&cfg, &ctx, &err) < 0)
		fail_msg("%s", err.text);
	free(pem);
	return ctx;
}

static struct lw_tls_ctx *server_ctx(void)
{
	struct lw_tls_server_config cfg = { 0 };
	struct lw_tls_ctx *ctx = NULL;
	struct lw_err err = { 0 };
	uint8_t *cert = slurp("server.crt", &cfg.cert_len);
	uint8_t *key = slurp("server.key", &cfg.key_len);

	cfg.cert_pem = cert;
	cfg.key_pem = key;
	if (lw_tls_ctx_create_server(&cfg, &ctx, &err) < 0)
		fail_msg("%s", err.text);
	free(cert);
	free(key);
	return ctx;
}

static void side_init(struct pair_side *s, uint32_t role)
{
	s->conf = (struct lw_tunnel_conf){
		.role = role,
		.outside_mtu = 1500,
		.inside_mtu = 1350,
		.client_address = lw_addr_ipv4(0x0a7d0005, 0),
		.server_address = lw_addr_ipv4(0x0a7d0006, 0),
		.dns = lw_addr_ipv4(0x0a7d0001, 0),
		.key_update_us = 900 * LW_S,
		.stale_us = 60 * LW_S,
		.idle_us = 86400 * LW_S,
		.user = "me",
		.password = "secret",
		.keepalive_us = 10 * LW_S,
		.keepalive_timeout_us = 60 * LW_S,
	};
	s->wire = lw_fake_batch_create(64, 1 << 18, true);
	s->inside = lw_fake_batch_create(1024, 1 << 18, false);
	assert_int_equal(lw_chunk_pool_init(&s->chunks, 64), 0);
}

static void side_fini(struct pair_side *s)
{
	lw_tunnel_destroy(s->t);
	lw_fake_batch_destroy(s->wire);
	lw_fake_batch_destroy(s->inside);
	lw_chunk_pool_fini(&s->chunks);
}

static struct lw_endpoint endpoint(bool server)
{
	return (struct lw_endpoint){ .remote = lw_addr_ipv4(server ? 0x7f000002 : 0x7f000001,
		                                            server ? 40000 : 27690) };
}

static int open_side(struct pair *p, struct pair_side *s, struct lw_tls *tls)
{
	bool server = s == &p->server;
	struct lw_tunnel_start start = { .tls = tls,
		                         .endpoint = endpoint(server),
		                         .stream = p->stream,
		                         .minor = p->stream && server ? 1 : p->minor,
		                         .id = server && !p->stream ? 0x1122334455667788 : 0,
		                         .pool = &s->chunks,
		                         .lane = s->lane,
		                         .counters = &s->counters,
		                         .serial = 1 };

	return lw_tunnel_create(&s->conf, &start, p->now_us, &s->t);
}

struct pair *pair_prepare(bool stream, uint64_t seed)
{
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->stream = stream;
	p->seed = seed * 0x9e3779b97f4a7c15u + 1;
	p->now_us = 1000 * LW_S;
	clock_us = p->now_us;
	p->delay_us = 2 * LW_MS;
	p->piece = 700; /* cuts records */
	p->answer_at_once = true;
	p->minor = LW_WIRE_MINOR_MAX;
	p->packets = calloc(PAIR_FLIGHT, sizeof(*p->packets));
	assert_non_null(p->packets);
	for (uint32_t i = 0; i < PAIR_FLIGHT; i++)
		p->flight[i] = &p->packets[i];
	p->server_ctx = server_ctx();
	p->client_ctx = pair_client_ctx("ca.crt");
	side_init(&p->server, LW_ROLE_SERVER);
	side_init(&p->client, LW_ROLE_CLIENT);
	return p;
}

void pair_open(struct pair *p)
{
	const uint8_t secret[LW_TLS_SECRET_SIZE] = { 7 };
	struct lw_tls *tls;

	if (p->stream) {
		assert_int_equal(lw_tls_create(p->server_ctx, LW_TLS_STREAM, 0, &tls), 0);
		assert_int_equal(open_side(p, &p->server, tls), 0);
	} else {
		assert_int_equal(lw_tls_listener_create(p->server_ctx, secret, NULL, p->now_us,
		                                        &p->listener, NULL),
		                 0);
	}
	assert_int_equal(lw_tls_create(p->client_ctx, p->stream ? LW_TLS_STREAM : LW_TLS_DGRAM,
	                               p->client.conf.outside_mtu, &tls),
	                 0);
	assert_int_equal(open_side(p, &p->client, tls), 0);
}

struct pair *pair_create(bool stream, uint64_t seed)
{
	struct pair *p = pair_prepare(stream, seed);

	pair_open(p);
	return p;
}

void pair_destroy(struct pair *p)
{
	free(p->packets);
	side_fini(&p->server);
	side_fini(&p->client);
	lw_tls_listener_destroy(p->listener);
	lw_tls_ctx_destroy(p->server_ctx);
	lw_tls_ctx_destroy(p->client_ctx);
	free(p);
}

/* --- the network --- */

static void launch(struct pair *p, bool to_server, const uint8_t *data, uint32_t len)
{
	struct pair_packet *q;

	assert_true(p->n_flight < PAIR_FLIGHT);
	q = p->flight[p->n_flight++];
	assert_true(len <= sizeof(q->data));
	q->due_us = p->now_us + p->delay_us;
	if (p->reorder)
		q->due_us += test_random(&p->seed) % (p->delay_us + 1);
	q->to_server = to_server;
	q->len = len;
	memcpy(q->data, data, len);
}

static void sent(struct pair *p, bool to_server, const uint8_t *dgram, size_t len)
{
	uint64_t n = p->datagrams[to_server ? 0 : 1]++;

	if (n < 64)
		p->send_times[to_server ? 0 : 1][n] = p->now_us;
	if (p->tap != NULL)
		p->tap(p->tap_arg, to_server, dgram, len);
}

static bool is_lost(struct pair *p, struct pair_side *s)
{
	if (s->drop_next > 0) {
		s->drop_next--;
		return true;
	}
	return s->mute || test_random(&p->seed) % 100 < p->loss_percent;
}

static void transmit(struct pair *p, struct pair_side *s)
{
	bool to_server = s == &p->client;

	LW_BATCH_FOREACH (pkt, s->wire) {
		sent(p, to_server, lw_packet_data(pkt), pkt->len);
		if (is_lost(p, s))
			continue;
		launch(p, to_server, lw_packet_data(pkt), pkt->len);
		if (test_random(&p->seed) % 100 < p->twice_percent)
			launch(p, to_server, lw_packet_data(pkt), pkt->len);
	}
	lw_batch_reset(s->wire);
	while (s->t != NULL && s->t->stream.used > 0) {
		struct iovec iov;
		uint32_t n;

		assert_int_equal(lw_stream_peek(&s->t->stream, &iov, 1), 1);
		n = iov.iov_len < p->piece ? (uint32_t)iov.iov_len : p->piece;
		if (!s->mute)
			launch(p, to_server, iov.iov_base, n);
		lw_stream_consume(&s->t->stream, n);
	}
}

/* --- the driver --- */

static void absorb(struct pair *p, struct pair_side *s, struct lw_sink *k, int r)
{
	for (uint32_t i = 0; i < k->n_events; i++) {
		if (k->events[i].type == LW_EVENT_ONLINE)
			s->n_online++;
		if (k->events[i].type == LW_EVENT_CLOSED)
			s->n_closed++;
		if (k->events[i].type == LW_EVENT_KEY_UPDATE)
			s->n_key_updates++;
		if (k->events[i].type == LW_EVENT_ROTATED)
			s->n_rotated++;
		if (k->events[i].type == LW_EVENT_AUTH_WANTED) {
			struct lw_login *l = lw_tunnel_take_login(s->t);

			s->n_auth_wanted++;
			assert_non_null(l);
			p->login = *l;
			free(l);
		}
	}
	if (r < 0 && s->result == 0 && r != -EAGAIN)
		s->result = r;
	LW_BATCH_FOREACH (pkt, s->inside) {
		if (s->n_got < 64 && pkt->len <= sizeof(s->got[0])) {
			memcpy(s->got[s->n_got], lw_packet_data(pkt), pkt->len);
			s->got_len[s->n_got++] = pkt->len;
		}
	}
	lw_batch_reset(s->inside);
	transmit(p, s);
	if (p->answer_at_once && s->t != NULL && s->t->auth_pending && !pair_closed(s))
		pair_auth(p, LW_AUTH_YES);
}

static struct lw_sink sink_of(struct pair_side *s)
{
	return (struct lw_sink){ .wire = s->wire, .inside = s->inside };
}

static int reply_out(void *arg, const uint8_t *d, size_t len)
{
	struct pair *p = arg;
	uint8_t buf[PAIR_PACKET];
	const struct lw_wire_header h = { .major = 1, .minor = p->minor };

	lw_wire_header_write(buf, &h);
	memcpy(buf + LW_WIRE_HEADER_LEN, d, len);
	sent(p, false, buf, len + LW_WIRE_HEADER_LEN);
	if (!is_lost(p, &p->server))
		launch(p, false, buf, (uint32_t)len + LW_WIRE_HEADER_LEN);
	return 0;
}

static void listen_one(struct pair *p, struct pair_packet *q)
{
	const struct lw_endpoint from = endpoint(true);
	struct lw_tls_io io = { .in = q->data + LW_WIRE_HEADER_LEN,
		                .in_len = q->len - LW_WIRE_HEADER_LEN,
		                .out = reply_out,
		                .arg = p };
	struct lw_tls *tls = NULL;
	struct lw_sink k = sink_of(&p->server);
	int r;

	if (lw_tls_listen(p->listener, &from, &io, &tls) != 1)
		return;
	if (open_side(p, &p->server, tls) < 0)
		return;
	r = lw_tunnel_begin(p->server.t, p->now_us, &k);
	absorb(p, &p->server, &k, r);
}

static int feed_stream(struct pair *p, struct pair_side *s, const struct pair_packet *q)
{
	size_t done = 0;
	int r;

	do {
		struct lw_sink k = sink_of(s);
		size_t used = 0;

		r = lw_tunnel_rx_bytes(s->t, q->data + done, q->len - done, &used, p->now_us, &k);
		done += used;
		absorb(p, s, &k, r);
	} while (r == -EAGAIN);
	return r;
}

static void arrive(struct pair *p, struct pair_packet *q)
{
	struct pair_side *s = q->to_server ? &p->server : &p->client;
	struct lw_packet pkt = { .buf = q->data, .cap = sizeof(q->data), .len = q->len };
	struct lw_sink k = sink_of(s);
	int r;

	if (s->t == NULL) {
		listen_one(p, q);
		return;
	}
	if (s->t->state == LW_TUNNEL_CLOSED)
		return;
	if (p->stream) {
		(void)feed_stream(p, s, q);
		return;
	}
	r = lw_tunnel_rx(s->t, &pkt, p->now_us, &k);
	absorb(p, s, &k, r);
}

size_t pair_take(struct pair *p, uint8_t buf[static PAIR_PACKET])
{
	const struct pair_packet *q;

	assert_true(p->n_flight > 0);
	q = p->flight[--p->n_flight];
	memcpy(buf, q->data, q->len);
	return q->len;
}

int pair_feed(struct pair *p, struct pair_side *to, const void *dgram, size_t len)
{
	uint8_t buf[PAIR_PACKET];
	struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .len = (uint32_t)len };
	struct lw_sink k = sink_of(to);
	int r;

	assert_true(len <= sizeof(buf));
	memcpy(buf, dgram, len);
	r = lw_tunnel_rx(to->t, &pkt, p->now_us, &k);
	absorb(p, to, &k, r);
	return r;
}

static bool deliver_due(struct pair *p)
{
	static struct pair_packet here;
	uint32_t best = UINT32_MAX;
	struct pair_packet *q;

	for (uint32_t i = 0; i < p->n_flight; i++) {
		if (p->flight[i]->due_us <= p->now_us &&
		    (best == UINT32_MAX || p->flight[i]->due_us < p->flight[best]->due_us))
			best = i;
	}
	if (best == UINT32_MAX)
		return false;
	q = p->flight[best];
	p->n_flight--;
	for (uint32_t i = best; i < p->n_flight; i++)
		p->flight[i] = p->flight[i + 1];
	p->flight[p->n_flight] = q;
	here = *q; /* its place is free for what is sent in answer */
	arrive(p, &here);
	return true;
}

/* A deadline that stays in the past would keep a worker busy for ever. */
static void tick(struct pair *p, struct pair_side *s)
{
	for (int i = 0; s->t != NULL && lw_tunnel_deadline(s->t) <= p->now_us; i++) {
		struct lw_sink k = sink_of(s);
		int r = lw_tunnel_tick(s->t, p->now_us, &k);

		absorb(p, s, &k, r);
		assert_in_range(i, 0, 8);
	}
}

static uint64_t next_time(const struct pair *p, uint64_t end)
{
	uint64_t next = end;

	for (uint32_t i = 0; i < p->n_flight; i++)
		next = p->flight[i]->due_us < next ? p->flight[i]->due_us : next;
	if (p->server.t != NULL && lw_tunnel_deadline(p->server.t) < next)
		next = lw_tunnel_deadline(p->server.t);
	if (lw_tunnel_deadline(p->client.t) < next)
		next = lw_tunnel_deadline(p->client.t);
	return next;
}

static bool both_online(const struct pair *p)
{
	return p->server.t != NULL && p->server.t->state == LW_TUNNEL_ONLINE &&
	       p->client.t->state == LW_TUNNEL_ONLINE;
}

void pair_run(struct pair *p, uint64_t us, bool until_online)
{
	uint64_t end = p->now_us + us;

	while (p->now_us < end && !(until_online && both_online(p))) {
		uint64_t next = next_time(p, end);

		p->now_us = next > p->now_us ? next : p->now_us;
		clock_us = p->now_us;
		while (deliver_due(p))
			;
		tick(p, &p->server);
		tick(p, &p->client);
	}
}

void pair_begin(struct pair *p)
{
	struct lw_sink k = sink_of(&p->client);
	int r = lw_tunnel_begin(p->client.t, p->now_us, &k);

	absorb(p, &p->client, &k, r);
}

void pair_connect(struct pair *p)
{
	pair_begin(p);
	pair_run(p, 30 * LW_S, true);
	assert_true(both_online(p));
	pair_run(p, 50 * LW_MS, false); /* what is still under way */
}

void pair_flush(struct pair *p, struct pair_side *side)
{
	struct lw_sink k = sink_of(side);

	absorb(p, side, &k, 0);
}

struct pair *pair_online(bool stream)
{
	struct pair *p = pair_create(stream, 1);

	pair_connect(p);
	return p;
}

struct pair *pair_at_login(bool stream)
{
	struct pair *p = pair_create(stream, 1);

	p->answer_at_once = false;
	pair_begin(p);
	for (int i = 0; i < 50 && p->server.n_auth_wanted == 0; i++)
		pair_run(p, 1 * LW_MS, false);
	assert_int_equal(p->server.n_auth_wanted, 1);
	assert_int_equal(p->server.t->state, LW_TUNNEL_LINK_UP);
	assert_int_equal(p->client.t->state, LW_TUNNEL_AUTHENTICATING);
	return p;
}

void pair_run_to(struct pair *p, const struct pair_side *s, enum lw_tunnel_state state)
{
	for (int i = 0; i < 10000 && (s->t == NULL || s->t->state != state); i++)
		pair_run(p, 100, false);
	assert_non_null(s->t);
	assert_int_equal(s->t->state, state);
}

struct pair_side *pair_end(struct pair *p, bool server)
{
	return server ? &p->server : &p->client;
}

struct pair_side *pair_peer(struct pair *p, const struct pair_side *s)
{
	return s == &p->client ? &p->server : &p->client;
}

bool pair_closed(const struct pair_side *s)
{
	return s->t->state == LW_TUNNEL_CLOSED;
}

void pair_inject(struct pair *p, struct pair_side *from, const void *frame, size_t len)
{
	struct lw_sink k = sink_of(from);

	assert_int_equal(lw_send_plain(from->t, frame, len, p->now_us, &k), 0);
	absorb(p, from, &k, 0);
}

void pair_inject_hex(struct pair *p, struct pair_side *from, const char *hex)
{
	uint8_t frames[2 * FRAME_MAX_EXAMPLE];
	size_t len = hex_read(hex, frames, sizeof(frames));

	pair_inject(p, from, frames, len);
	pair_run(p, 5 * LW_MS, false);
}

void pair_check_lives(struct pair *p, struct pair_side *s)
{
	uint64_t frames = s->counters.n[LW_CTR_FRAMES_RX];

	pair_inject_hex(p, pair_peer(p, s), "01");
	assert_int_equal(s->counters.n[LW_CTR_FRAMES_RX], frames + 1);
	assert_false(pair_closed(s));
}

void pair_send(struct pair *p, struct pair_side *from, const void *packet, uint32_t len)
{
	uint8_t buf[4096];
	struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .off = 64, .len = len };
	struct lw_sink k = sink_of(from);
	struct lw_seg seg;

	memcpy(buf + 64, packet, len);
	assert_int_equal(lw_seg_init(&seg, &pkt), 0);
	assert_int_equal(lw_tunnel_tx(from->t, &seg, p->now_us, &k), 0);
	assert_int_equal(k.n_events, 0);
	pair_flush(p, from);
}

void pair_auth(struct pair *p, uint32_t verdict)
{
	struct lw_auth_answer a = { .size = sizeof(a), .verdict = verdict, .user = "me" };
	struct lw_sink k = sink_of(&p->server);
	int r;

	p->server.t->s.inside = lw_addr_ipv4(0x0a7d447b, 0);
	r = lw_tunnel_auth(p->server.t, &a, p->now_us, &k);
	absorb(p, &p->server, &k, r);
}

void pair_close(struct pair *p, struct pair_side *side)
{
	struct lw_sink k = sink_of(side);

	lw_tunnel_close(side->t, p->now_us, &k);
	absorb(p, side, &k, 0);
}

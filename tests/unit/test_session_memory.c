/* SPDX-License-Identifier: MIT */
/* Allocations that fail: those of core/session one by one, and every one of the library's too. */
#include <errno.h>

#include "fake/fake_cipher.h"
#include "session/reassembly.h"
#include "session/tunnel_priv.h"
#include "unit/session_pair.h"
#include "unit/test.h"

#define PACKET 100u

/* --- an allocator that fails when told: linked in place of libc's with --wrap --- */

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *p, size_t len);
void *__real_aligned_alloc(size_t align, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *p, size_t len);
void *__wrap_aligned_alloc(size_t align, size_t len);

/* the next allocations: `skip` of at least `min_len` bytes pass, then one fails */
static struct {
	bool armed;
	bool hit;
	size_t min_len;
	size_t max_len;
	unsigned skip;
	bool all; /* it and all that follow */
} failure;

static bool fails(size_t len)
{
	if (!failure.armed || len < failure.min_len || len > failure.max_len)
		return false;
	if (failure.skip > 0) {
		failure.skip--;
		return false;
	}
	failure.armed = failure.all;
	failure.hit = true;
	return true;
}

void *__wrap_malloc(size_t len)
{
	return fails(len) ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t n, size_t len)
{
	return fails(n * len) ? NULL : __real_calloc(n, len);
}

void *__wrap_realloc(void *p, size_t len)
{
	return fails(len) ? NULL : __real_realloc(p, len);
}

void *__wrap_aligned_alloc(size_t align, size_t len)
{
	return fails(len) ? NULL : __real_aligned_alloc(align, len);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static void fail_one(size_t min_len, size_t max_len)
{
	memset(&failure, 0, sizeof(failure));
	failure.min_len = min_len;
	failure.max_len = max_len;
	failure.armed = true;
}

/* What was armed has failed, and nothing fails from here on. */
static void check_hit(void)
{
	failure.armed = false;
	assert_true(failure.hit);
}

/* --- core/session's own --- */

static void create__no_memory__refused(void **state)
{
	const size_t sizes[] = { sizeof(struct lw_tunnel), 5000 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct pair *p = pair_prepare(true, 1);
		struct lw_tunnel_start start = { .stream = true };
		struct lw_tunnel *t = NULL;

		start.pool = &p->client.chunks;
		start.counters = &p->client.counters;
		p->client.conf.state_bytes = 5000;
		assert_int_equal(lw_tls_create(p->client_ctx, LW_TLS_STREAM, 0, &start.tls), 0);
		fail_one(sizes[i], sizes[i]);
		assert_int_equal(lw_tunnel_create(&p->client.conf, &start, 1, &t), -ENOMEM);
		check_hit();
		assert_null(t);
		assert_int_equal(p->client.counters.n[LW_CTR_SESSIONS_OPENED], 0);
		pair_open(p);
		pair_destroy(p);
	}
}

static void chunk_pool__no_memory__refused(void **state)
{
	const size_t len = (size_t)4 * LW_CHUNK_BYTES;
	struct lw_chunk_pool pool;

	(void)state;
	fail_one(len, len);
	assert_int_equal(lw_chunk_pool_init(&pool, 4), -ENOMEM);
	check_hit();
	assert_int_equal(pool.n_free, 0);
	lw_chunk_pool_fini(&pool);
}

/* the peer asks again, and is heard then */
static void login__no_memory__next_one_is_heard(void **state)
{
	struct pair *p = pair_create(false, 1);

	(void)state;
	p->answer_at_once = false;
	pair_begin(p);
	pair_run_to(p, &p->client, LW_TUNNEL_AUTHENTICATING);
	fail_one(sizeof(struct lw_login), sizeof(struct lw_login));
	pair_run(p, 10 * LW_MS, false);
	check_hit();
	p->answer_at_once = true;
	assert_int_equal(p->server.n_auth_wanted, 0);
	assert_false(p->server.t->auth_pending);
	assert_false(pair_closed(&p->server));
	pair_run(p, 200 * LW_MS, true);
	assert_int_equal(p->client.n_online, 1);
	pair_destroy(p);
}

/* An end without memory for its part of Expresslane stays in DTLS; a server hears the next copy of
 * the offer. */
static void lane__no_memory__dtls_or_the_next_offer(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		static struct lw_fake_cipher ciphers[2];
		static struct lw_random randoms[2];
		static struct lw_lane_env envs[2];
		struct pair *p = pair_prepare(false, 1);
		uint8_t packet[PACKET] = { 0x45 };

		for (int i = 0; i < 2; i++) {
			lw_lane_env_init(&envs[i], &lw_fake_cipher_ops, &ciphers[i], NULL,
			                 &randoms[i]);
			pair_end(p, i)->lane = &envs[i];
			pair_end(p, i)->conf.lane_rotate_us = 900 * LW_S;
		}
		pair_open(p);
		pair_begin(p);
		fail_one(sizeof(struct lw_lane), sizeof(struct lw_lane));
		failure.skip = (unsigned)server; /* the client's comes first */
		pair_run(p, 100 * LW_MS, false);
		check_hit();
		assert_null(pair_end(p, server)->t->lane);
		pair_run(p, 1 * LW_S, false);
		assert_int_equal(lw_lane_ready(p->client.t->lane), server);
		for (int i = 0; i < 2; i++) {
			pair_send(p, pair_end(p, i), packet, sizeof(packet));
			pair_run(p, 10 * LW_MS, false);
			assert_int_equal(pair_peer(p, pair_end(p, i))->n_got, 1);
		}
		pair_destroy(p);
		assert_int_equal(ciphers[0].alive + ciphers[1].alive, 0);
	}
}

static void fragment__no_memory__packet_lost(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *s = pair_end(p, i % 2);
		size_t least = (size_t)LW_REASSEMBLY_SLOTS * LW_REASSEMBLY_BYTES;

		fail_one(least, 2 * least);
		pair_inject_hex(p, pair_peer(p, s), "0f 0008 0001 2000 4500000000000000");
		check_hit();
		assert_null(s->t->reassembly);
		pair_inject_hex(p, pair_peer(p, s),
		                "0f 0010 0001 0001 00000000000000000000000000000000");
		assert_int_equal(s->n_got, 0);
		pair_inject_hex(p, pair_peer(p, s), "0f 0008 0001 2000 4500000000000000");
		assert_int_equal(s->n_got, 1);
		pair_destroy(p);
	}
}

/* on a stream a frame that cannot be kept is a gap */
static void carry__no_memory__ends(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(true);
		struct pair_side *s = pair_end(p, side);
		static const uint8_t head[777] = { LW_FRAME_DATA, 0x10 };

		pair_inject(p, pair_peer(p, s), head, sizeof(head));
		pair_run(p, 100, false);
		fail_one(sizeof(head), sizeof(head));
		pair_run(p, 5 * LW_MS, false);
		check_hit();
		assert_true(pair_closed(s));
		assert_int_equal(s->n_closed, 1);
		assert_int_equal(pair_peer(p, s)->t->reason, LW_CLOSE_PEER);
		pair_destroy(p);
	}
}

/* --- the library's --- */

/* the library cannot build a record: the session is broken, and its next tick, due at once, ends
 * it; nothing can be said */
static void check_broken(struct pair *p, struct pair_side *s, uint64_t sent)
{
	failure.armed = false;
	if (!failure.hit)
		skip(); /* a wolfSSL that is not linked statically has an allocator of its own */
	pair_flush(p, s);
	if (!pair_closed(s)) {
		assert_true(lw_tunnel_deadline(s->t) <= p->now_us);
		pair_run(p, 1, false);
	}
	assert_true(pair_closed(s));
	assert_int_equal(s->n_closed, 1);
	assert_int_equal(s->t->reason, LW_CLOSE_HANDSHAKE);
	assert_int_equal(s->result, -EPROTO);
	assert_int_equal(s->counters.n[LW_CTR_FRAMES_TX], sent);
}

static void fail_all(void)
{
	fail_one(1, SIZE_MAX);
	failure.all = true;
}

static void tx__library_without_memory__ends(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *s = pair_end(p, i % 2);
		uint64_t sent = s->counters.n[LW_CTR_FRAMES_TX];
		uint8_t buf[64 + PACKET] = { 0 };
		struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .off = 64, .len = PACKET };
		struct lw_sink k = { .wire = s->wire, .inside = s->inside };
		struct lw_seg seg;

		buf[64] = 0x45;
		assert_int_equal(lw_seg_init(&seg, &pkt), 0);
		fail_all();
		assert_int_equal(lw_tunnel_tx(s->t, &seg, p->now_us, &k), 0);
		failure.armed = false;
		assert_int_equal(s->t->tx_packets, 0);
		assert_true(s->t->broken);
		/* what comes meanwhile is not sent */
		assert_int_equal(lw_seg_init(&seg, &pkt), 0);
		assert_int_equal(lw_tunnel_tx(s->t, &seg, p->now_us, &k), 0);
		assert_int_equal(seg.next, 0);
		check_broken(p, s, sent);
		pair_destroy(p);
	}
}

static void login_frame__library_without_memory__ends(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_at_login(stream);
		struct lw_sink k = { .wire = p->client.wire, .inside = p->client.inside };
		uint64_t sent = p->client.counters.n[LW_CTR_FRAMES_TX];

		fail_all();
		lw_tunnel_send_login(p->client.t, p->now_us, &k);
		check_broken(p, &p->client, sent);
		pair_destroy(p);
	}
}

static void auth_success__library_without_memory__ends(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_at_login(stream);
		uint64_t sent = p->server.counters.n[LW_CTR_FRAMES_TX];

		fail_all();
		pair_auth(p, LW_AUTH_YES);
		check_broken(p, &p->server, sent);
		pair_destroy(p);
	}
}

static void keepalive__library_without_memory__ends(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);
		uint64_t sent = p->client.counters.n[LW_CTR_FRAMES_TX];
		struct lw_sink k = { .wire = p->client.wire, .inside = p->client.inside };

		p->now_us = p->client.t->ping_at;
		fail_all();
		assert_int_equal(lw_tunnel_tick(p->client.t, p->now_us, &k), 0);
		assert_int_equal(p->client.counters.n[LW_CTR_PINGS_TX], 1);
		check_broken(p, &p->client, sent);
		pair_destroy(p);
	}
}

static void key_update__library_without_memory__ends(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);
		struct lw_sink k = { .wire = p->server.wire, .inside = p->server.inside };
		uint64_t sent = p->server.counters.n[LW_CTR_FRAMES_TX];

		p->server.t->key_update_at = p->now_us;
		fail_all();
		lw_tunnel_key_update(p->server.t, p->now_us, &k);
		check_broken(p, &p->server, sent);
		assert_int_equal(p->server.counters.n[LW_CTR_KEY_UPDATES], 0);
		pair_destroy(p);
	}
}

/* a login that cannot be encoded: its configuration has been checked, so this is for safety */
static void login_frame__user_too_long__ends(void **state)
{
	struct pair *p = pair_prepare(false, 1);
	uint64_t end;

	(void)state;
	p->client.conf.user = "a user name of more than the fifty bytes that fit into it";
	pair_open(p);
	pair_begin(p);
	end = p->now_us + 1 * LW_S;
	while (!pair_closed(&p->client) && p->now_us < end)
		pair_run(p, 1 * LW_MS, false);
	assert_true(pair_closed(&p->client));
	assert_int_equal(p->client.n_closed, 1);
	assert_int_equal(p->client.t->reason, LW_CLOSE_HANDSHAKE);
	assert_int_equal(p->client.counters.n[LW_CTR_FRAMES_TX], 0);
	pair_destroy(p);
}

/* --- every one in turn --- */

static void use(struct pair *p)
{
	uint8_t packet[PACKET] = { 0x45 };

	pair_begin(p);
	pair_run(p, 1 * LW_S, true);
	for (int i = 0; i < 4; i++) {
		struct pair_side *s = pair_end(p, i % 2);

		if (s->t != NULL && s->t->state == LW_TUNNEL_ONLINE)
			pair_send(p, s, packet, PACKET);
	}
	pair_run(p, 1 * LW_S, false);
}

/* A tunnel whose TLS has failed must not linger. */
static void check_settled(const struct pair_side *s)
{
	if (s->t == NULL || pair_closed(s))
		return;
	assert_int_equal(s->n_closed, 0);
	assert_string_equal(lw_tls_error(s->t->tls), "");
	assert_false(s->t->broken);
}

/* Both go on, or the client has ended; a server that was online is then for its idle timer. */
static void check_over(struct pair *p)
{
	const struct pair_side *s = &p->server;

	if (!pair_closed(&p->client)) {
		assert_int_equal(p->client.t->state, LW_TUNNEL_ONLINE);
		pair_check_lives(p, &p->server);
	}
	assert_true(s->t == NULL || pair_closed(s) || s->t->state == LW_TUNNEL_ONLINE);
}

static void sweep(bool stream)
{
	unsigned online = 0;
	unsigned n = 0;

	for (;; n++) {
		struct pair *p = pair_create(stream, 1);

		fail_one(1, SIZE_MAX);
		failure.skip = n;
		use(p);
		failure.armed = false;
		check_settled(&p->client);
		check_settled(&p->server);
		assert_true(p->client.n_closed <= 1 && p->server.n_closed <= 1);
		pair_run(p, 200 * LW_S, false);
		check_over(p);
		online += !pair_closed(&p->client);
		pair_destroy(p);
		if (!failure.hit)
			break;
	}
	print_message("%u allocations, %u of them needless\n", n, online - 1);
	assert_true(online >= 1);
	assert_true(n > 3);
}

static void udp__each_allocation_fails_in_turn__lives_or_ends(void **state)
{
	(void)state;
	sweep(false);
}

static void tcp__each_allocation_fails_in_turn__lives_or_ends(void **state)
{
	(void)state;
	sweep(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create__no_memory__refused),
		cmocka_unit_test(chunk_pool__no_memory__refused),
		cmocka_unit_test(login__no_memory__next_one_is_heard),
		cmocka_unit_test(lane__no_memory__dtls_or_the_next_offer),
		cmocka_unit_test(fragment__no_memory__packet_lost),
		cmocka_unit_test(carry__no_memory__ends),
		cmocka_unit_test(tx__library_without_memory__ends),
		cmocka_unit_test(login_frame__library_without_memory__ends),
		cmocka_unit_test(auth_success__library_without_memory__ends),
		cmocka_unit_test(keepalive__library_without_memory__ends),
		cmocka_unit_test(key_update__library_without_memory__ends),
		cmocka_unit_test(login_frame__user_too_long__ends),
		cmocka_unit_test(udp__each_allocation_fails_in_turn__lives_or_ends),
		cmocka_unit_test(tcp__each_allocation_fails_in_turn__lives_or_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "unit/test.h"
#include "unit/test_tls_pair.h"

#define START_US   1000000
#define LIMIT_US   12700000
#define EPOCH_BITS 3

static struct lw_tls_ctx *server;
static struct lw_tls_ctx *client;

static int open_contexts(void **state)
{
	(void)state;
	server = pair_server_ctx("chain");
	client = pair_client_ctx("ca.crt", "server.test", LW_TLS_AES256);
	return 0;
}

static int close_contexts(void **state)
{
	(void)state;
	lw_tls_ctx_destroy(server);
	lw_tls_ctx_destroy(client);
	return 0;
}

static struct pair *connected(enum lw_tls_transport transport)
{
	struct pair *p = pair_open(transport, server, client, 1500);

	pair_connect(p);
	return p;
}

static void exchange(struct pair *p)
{
	for (int side = 0; side < 2; side++) {
		p->end[!side].got_len = 0;
		assert_int_equal(pair_send(p, side, "seven!!", 7), 0);
		pair_run(p, p->now_us + 20000);
		assert_int_equal(p->end[!side].got_len, 7);
		assert_memory_equal(p->end[!side].got, "seven!!", 7);
	}
}

static void handshake__lossy_network__every_seed_completes(void **state)
{
	uint64_t slowest = 0;
	uint64_t sum = 0;

	(void)state;
	for (unsigned seed = 1; seed <= 200; seed++) {
		struct pair *p = pair_open(LW_TLS_DGRAM, server, client, seed % 2 ? 1500 : 576);
		uint64_t took;

		p->net = (struct pair_net){ .seed = seed,
			                    .loss_percent = 35,
			                    .dup_percent = 10,
			                    .copies = 3,
			                    .jitter_us = 5000 };
		pair_start(p);
		while (!(p->end[0].done && p->end[1].done) && p->end[0].error == 0 &&
		       p->end[1].error == 0)
			pair_run(p, p->now_us + 1000);
		if (!p->end[0].done || !p->end[1].done)
			fail_msg("seed %u: errors %d %d", seed, p->end[0].error, p->end[1].error);
		took = p->now_us - START_US;
		sum += took;
		slowest = took > slowest ? took : slowest;
		p->net = (struct pair_net){ .seed = seed };
		exchange(p);
		pair_close(p);
	}
	print_message("35 %% loss: mean %llu ms, slowest %llu ms\n",
	              (unsigned long long)(sum / 200000), (unsigned long long)(slowest / 1000));
}

static void handshake__no_answer__resends_then_times_out(void **state)
{
	static const uint64_t expected_ms[] = { 0, 100, 300, 700, 1500, 3100, 6300 };
	struct pair *p = pair_open(LW_TLS_DGRAM, server, client, 1500);
	struct pair_end *c = &p->end[PAIR_CLIENT];

	(void)state;
	c->mute = true;
	pair_start(p);
	pair_run(p, START_US + LIMIT_US - 1000);
	assert_int_equal(c->error, 0);
	assert_int_equal(c->n_sent, 7);
	for (size_t i = 0; i < 7; i++)
		assert_in_range(c->sent_us[i], START_US + expected_ms[i] * 1000,
		                START_US + expected_ms[i] * 1000 + 10000);
	pair_run(p, START_US + LIMIT_US + 1000);
	assert_int_equal(c->error, -ETIMEDOUT);
	assert_string_equal(lw_tls_error(c->tls), "the peer does not answer");
	assert_int_equal(lw_tls_step(c->tls, &c->io), -ETIMEDOUT);
	assert_int_equal(lw_tls_timeout_us(c->tls), 0);
	pair_close(p);
}

static void handshake__client_vanishes__server_times_out(void **state)
{
	struct pair *p = pair_open(LW_TLS_DGRAM, server, client, 1500);
	struct pair_end *s = &p->end[PAIR_SERVER];

	(void)state;
	pair_start(p);
	while (s->tls == NULL)
		pair_run(p, p->now_us + 500);
	p->end[PAIR_CLIENT].mute = true;
	s->mute = true;
	p->end[PAIR_CLIENT].error = -ECANCELED;
	pair_run(p, p->now_us + LIMIT_US - 10000);
	assert_int_equal(s->error, 0);
	pair_run(p, p->now_us + 50000); /* a first quick tick takes 25 ms */
	assert_int_equal(s->error, -ETIMEDOUT);
	pair_close(p);
}

static void handshake__done__needs_no_tick(void **state)
{
	struct pair *p = connected(LW_TLS_DGRAM);

	(void)state;
	for (int side = 0; side < 2; side++) {
		uint64_t next = 99;

		assert_int_equal(lw_tls_timeout_us(p->end[side].tls), 0);
		p->end[side].n_sent = 0;
		for (int i = 0; i < 200; i++)
			assert_int_equal(lw_tls_tick(p->end[side].tls, &p->end[side].io, &next), 0);
		assert_int_equal(next, 0);
		assert_int_equal(p->end[side].n_sent, 0);
	}
	exchange(p);
	pair_close(p);
}

static void stream__never_needs_a_tick(void **state)
{
	struct pair *p = pair_open(LW_TLS_STREAM, server, client, 0);
	uint64_t next = 99;

	(void)state;
	pair_start(p);
	assert_int_equal(lw_tls_timeout_us(p->end[0].tls), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(lw_tls_tick(p->end[0].tls, &p->end[0].io, &next), 0);
	assert_int_equal(next, 0);
	assert_int_equal(p->end[0].n_sent, 1);
	pair_close(p);
}

static void start_update(struct pair *p, int side)
{
	assert_int_equal(lw_tls_update_keys(p->end[side].tls, &p->end[side].io), 0);
	assert_true(lw_tls_key_update_pending(p->end[side].tls));
	pair_arm(&p->end[side]);
}

static void check_updated(struct pair *p)
{
	for (int side = 0; side < 2; side++) {
		if (p->end[side].error != 0)
			fail_msg("side %d: %s", side, lw_tls_error(p->end[side].tls));
		assert_false(lw_tls_key_update_pending(p->end[side].tls));
	}
	exchange(p);
}

static void key_update__either_side__both_keys_change(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = connected(i % 2 ? LW_TLS_DGRAM : LW_TLS_STREAM);

		for (unsigned round = 1; round <= 5; round++) {
			start_update(p, i / 2);
			assert_int_equal(lw_tls_update_keys(p->end[i / 2].tls, &p->end[i / 2].io),
			                 0);
			pair_run(p, p->now_us + 1000000);
			check_updated(p);
			if (p->transport == LW_TLS_STREAM)
				continue;
			for (int side = 0; side < 2; side++)
				assert_int_equal(p->end[side].sent_first & EPOCH_BITS,
				                 (3 + round) & EPOCH_BITS);
		}
		pair_close(p);
	}
}

static void key_update__data_amid_it__none_lost(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = connected(i % 2 ? LW_TLS_DGRAM : LW_TLS_STREAM);

		for (int n = 0; n < 60; n++) {
			if (n == 20)
				start_update(p, i / 2);
			assert_int_equal(pair_send(p, 0, "x", 1), 0);
			assert_int_equal(pair_send(p, 1, "x", 1), 0);
			pair_run(p, p->now_us + 100);
		}
		pair_run(p, p->now_us + 1000000);
		assert_int_equal(p->end[0].got_len, 60);
		assert_int_equal(p->end[1].got_len, 60);
		check_updated(p);
		pair_close(p);
	}
}

/* which of the next datagrams of which end is lost: the KeyUpdate, its ACK, the answering one */
static void key_update__one_message_lost__repaired_by_ticks(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		for (unsigned lost = 0; lost < 4; lost++) {
			struct pair *p = connected(LW_TLS_DGRAM);

			if (lost == 0)
				p->end[side].drop_next = 1;
			else
				p->end[!side].drop_next = lost;
			start_update(p, side);
			pair_run(p, p->now_us + 2000000);
			check_updated(p);
			assert_int_equal(p->end[side].sent_first & EPOCH_BITS, 0);
			pair_close(p);
		}
	}
}

static void key_update__both_sides_at_once__settles(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair *p = connected(i ? LW_TLS_DGRAM : LW_TLS_STREAM);

		for (int round = 0; round < 4; round++) {
			start_update(p, 0);
			start_update(p, 1);
			pair_run(p, p->now_us + 1000000);
			check_updated(p);
		}
		pair_close(p);
	}
}

static void key_update__lossy_network__settles(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 100; seed++) {
		struct pair *p = connected(LW_TLS_DGRAM);

		p->rng = seed * UINT64_C(0x9e3779b97f4a7c15);
		p->net = (struct pair_net){ .loss_percent = 20,
			                    .dup_percent = 10,
			                    .jitter_us = 5000 };
		for (int round = 0; round < 3; round++) {
			start_update(p, (int)(seed + (unsigned)round) % 2);
			for (int n = 0; n < 50; n++) {
				assert_int_equal(pair_send(p, 0, "x", 1), 0);
				assert_int_equal(pair_send(p, 1, "x", 1), 0);
				pair_run(p, p->now_us + 10000);
			}
			pair_run(p, p->now_us + LIMIT_US);
		}
		p->net = (struct pair_net){ .seed = 0 };
		check_updated(p);
		pair_close(p);
	}
}

/* a lossy handshake leaves the counter high: an update must not time out at its first tick */
static void key_update__after_slow_handshake__starts_from_100_ms(void **state)
{
	struct pair *p = pair_open(LW_TLS_DGRAM, server, client, 1500);

	(void)state;
	pair_start(p);
	while (!p->end[1].done) {
		pair_run(p, p->now_us + 1000);
		p->end[1].mute = p->end[1].tls != NULL && p->end[0].n_sent >= 3;
	}
	pair_run(p, p->now_us + 6000000);
	assert_false(p->end[0].done);
	p->end[1].mute = false;
	pair_run(p, p->now_us + 6000000);
	assert_true(p->end[0].done);
	start_update(p, 0);
	assert_int_equal(lw_tls_timeout_us(p->end[0].tls), 100000);
	pair_run(p, p->now_us + 1000000);
	check_updated(p);
	pair_close(p);
}

static void key_update__no_answer__times_out(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = connected(LW_TLS_DGRAM);
		uint64_t start;

		p->end[!side].mute = true;
		pair_run(p, p->now_us + 1000000);
		start = p->now_us;
		start_update(p, side);
		pair_run(p, start + LIMIT_US - 1000);
		assert_int_equal(p->end[side].error, 0);
		pair_run(p, start + LIMIT_US + 1000);
		assert_int_equal(p->end[side].error, -ETIMEDOUT);
		pair_close(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake__lossy_network__every_seed_completes),
		cmocka_unit_test(handshake__no_answer__resends_then_times_out),
		cmocka_unit_test(handshake__client_vanishes__server_times_out),
		cmocka_unit_test(handshake__done__needs_no_tick),
		cmocka_unit_test(stream__never_needs_a_tick),
		cmocka_unit_test(key_update__either_side__both_keys_change),
		cmocka_unit_test(key_update__data_amid_it__none_lost),
		cmocka_unit_test(key_update__one_message_lost__repaired_by_ticks),
		cmocka_unit_test(key_update__both_sides_at_once__settles),
		cmocka_unit_test(key_update__lossy_network__settles),
		cmocka_unit_test(key_update__after_slow_handshake__starts_from_100_ms),
		cmocka_unit_test(key_update__no_answer__times_out),
	};

	return cmocka_run_group_tests(tests, open_contexts, close_contexts);
}

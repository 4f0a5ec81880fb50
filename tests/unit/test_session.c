/* SPDX-License-Identifier: MIT */
#include "session/tunnel_priv.h"
#include "unit/session_pair.h"
#include "unit/test.h"

/* an IPv4 packet of len bytes whose last ones tell it from others */
static void make_packet(uint8_t *p, uint32_t len, uint8_t mark)
{
	memset(p, mark, len);
	p[0] = 0x45;
}

static void connect_and_exchange(bool stream, uint64_t seed, unsigned loss, bool reorder)
{
	struct pair *p = pair_create(stream, seed);
	uint8_t packet[1350];

	p->loss_percent = loss;
	p->twice_percent = stream ? 0 : loss;
	p->reorder = reorder;
	pair_connect(p);
	assert_string_equal(p->login.user, "me");
	assert_memory_equal(p->login.secret, "secret", p->login.secret_len);
	assert_string_equal(p->server.t->s.user, "me");
	p->loss_percent = 0;
	p->twice_percent = 0;
	for (uint32_t i = 0; i < 10; i++) {
		make_packet(packet, 20 + 133 * i, (uint8_t)i);
		pair_send(p, &p->client, packet, 20 + 133 * i);
		pair_send(p, &p->server, packet, 20 + 133 * i);
	}
	pair_run(p, 1 * LW_S, false);
	assert_int_equal(p->client.n_got, 10);
	assert_int_equal(p->server.n_got, 10);
	if (!reorder) {
		for (uint32_t i = 0; i < 10; i++) {
			make_packet(packet, 20 + 133 * i, (uint8_t)i);
			assert_int_equal(p->server.got_len[i], 20 + 133 * i);
			assert_memory_equal(p->server.got[i], packet, p->server.got_len[i]);
			assert_memory_equal(p->client.got[i], packet, p->client.got_len[i]);
		}
	}
	assert_int_equal(p->client.n_online, 1);
	assert_int_equal(p->server.n_online, 1);
	if (!stream)
		assert_true(p->client.t->id == p->server.t->id);
	pair_destroy(p);
}

static void session__udp__online_and_data_both_ways(void **state)
{
	(void)state;
	connect_and_exchange(false, 1, 0, false);
}

static void session__tcp__online_and_data_both_ways(void **state)
{
	(void)state;
	connect_and_exchange(true, 1, 0, false);
}

static void session__udp_loss_and_reordering__gets_online(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		connect_and_exchange(false, seed, 30, true);
}

static void goodbye__either_side__closes_both(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_create(i % 2 == 1, 1);
		struct pair_side *a = i < 2 ? &p->client : &p->server;
		struct pair_side *b = i < 2 ? &p->server : &p->client;

		pair_connect(p);
		pair_close(p, a);
		pair_run(p, 1 * LW_S, false);
		assert_int_equal(b->t->state, LW_TUNNEL_CLOSED);
		assert_int_equal(b->t->reason, LW_CLOSE_PEER);
		assert_int_equal(a->t->reason, LW_CLOSE_LOCAL);
		assert_int_equal(b->n_closed, 1);
		pair_destroy(p);
	}
}

static void auth__refused__client_knows(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_create(stream == 1, 1);

		p->answer_at_once = false;
		pair_begin(p);
		pair_run(p, 100 * LW_MS, false);
		assert_int_equal(p->server.n_auth_wanted, 1);
		pair_auth(p, LW_AUTH_NO);
		pair_run(p, 1 * LW_S, false);
		assert_int_equal(p->client.t->reason, LW_CLOSE_AUTH);
		assert_int_equal(p->server.t->reason, LW_CLOSE_AUTH);
		assert_int_equal(p->client.n_online, 0);
		pair_destroy(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(session__udp__online_and_data_both_ways),
		cmocka_unit_test(session__tcp__online_and_data_both_ways),
		cmocka_unit_test(session__udp_loss_and_reordering__gets_online),
		cmocka_unit_test(goodbye__either_side__closes_both),
		cmocka_unit_test(auth__refused__client_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

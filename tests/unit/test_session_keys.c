/* SPDX-License-Identifier: MIT */
/* wire.md 4.7: key updates of a tunnel. Those of core/tls alone are in test_tls_loss.c. */
#include <errno.h>

#include "session/tunnel_priv.h"
#include "unit/session_pair.h"
#include "unit/test.h"
#include "wire/header.h"

#define UPDATE_US  (900 * LW_S)
#define LIMIT_US   (12700 * LW_MS)
#define EPOCH_BITS 3
#define NOOP       "01"

/* Nobody says anything by himself. */
static struct pair *quiet_pair(bool stream, uint64_t update_us)
{
	struct pair *p = pair_prepare(stream, 1);

	p->client.conf.keepalive_us = 100000 * LW_S;
	p->server.conf.key_update_us = update_us;
	pair_open(p);
	pair_connect(p);
	return p;
}

static uint64_t updates(const struct pair_side *s)
{
	return s->counters.n[LW_CTR_KEY_UPDATES];
}

/* Let the server begin an update, which is not under way to the client yet. */
static void begin_update(struct pair *p)
{
	uint64_t before = updates(&p->server);

	p->now_us += UPDATE_US;
	pair_inject(p, &p->client, "\x01", 1);
	pair_run(p, p->delay_us, false);
	assert_int_equal(updates(&p->server), before + 1);
	assert_true(p->server.t->key_updating);
}

static void send_marked(struct pair *p, struct pair_side *from, uint8_t mark)
{
	uint8_t packet[100] = { 0x45 };

	packet[99] = mark;
	pair_send(p, from, packet, sizeof(packet));
}

static void check_marked(const struct pair_side *s, uint32_t n)
{
	assert_int_equal(s->n_got, n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(s->got[i][99], i);
}

/* Both ways work, and on UDP under this epoch. */
static void check_settled(struct pair *p, uint8_t epoch)
{
	assert_false(lw_tls_key_update_pending(p->server.t->tls));
	assert_false(lw_tls_key_update_pending(p->client.t->tls));
	for (int side = 0; side < 2; side++) {
		struct pair_side *s = pair_end(p, side);
		uint8_t d[PAIR_PACKET];
		size_t len;

		pair_check_lives(p, s);
		if (p->stream)
			continue;
		pair_inject(p, s, "\x01", 1);
		len = pair_take(p, d);
		assert_true(len > LW_WIRE_HEADER_LEN);
		assert_int_equal(d[LW_WIRE_HEADER_LEN] & EPOCH_BITS, epoch & EPOCH_BITS);
	}
}

static void key_update__clock__looked_at_after_frames_only(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = quiet_pair(stream, UPDATE_US);
		uint64_t online = p->server.t->key_update_at - UPDATE_US;

		assert_in_range(p->now_us - online, 50 * LW_MS, 60 * LW_MS);
		pair_run(p, online + UPDATE_US - 3 * LW_MS - p->now_us, false);
		pair_inject(p, &p->client, "\x01", 1);
		pair_run(p, 2 * LW_MS, false); /* 1 ms too early */
		assert_int_equal(updates(&p->server), 0);
		pair_run(p, 100 * LW_S, false); /* nothing comes, nothing goes */
		pair_inject_hex(p, &p->server, NOOP);
		assert_int_equal(updates(&p->server), 0);
		pair_inject_hex(p, &p->client, NOOP);
		assert_int_equal(updates(&p->server), 1);
		pair_run(p, 1 * LW_S, false);
		check_settled(p, 4);
		pair_destroy(p);
	}
}

static void key_update__next_one__counted_from_the_end_of_the_last(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = quiet_pair(stream, UPDATE_US);

		for (uint8_t round = 1; round <= 6; round++) {
			uint64_t done;

			begin_update(p);
			assert_true(p->server.t->key_update_at == LW_NEVER);
			while (p->server.t->key_updating)
				pair_run(p, 100, false);
			done = p->now_us;
			assert_in_range(p->server.t->key_update_at, done + UPDATE_US - 100,
			                done + UPDATE_US);
			pair_run(p, 1 * LW_S, false);
			check_settled(p, (uint8_t)(3 + round));
			assert_int_equal(updates(&p->server), round);
		}
		pair_destroy(p);
	}
}

static void key_update__interval_0__never(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = quiet_pair(stream, 0);

		for (int i = 0; i < 24; i++) {
			pair_run(p, 3600 * LW_S, false);
			pair_inject_hex(p, &p->client, NOOP);
		}
		assert_int_equal(updates(&p->server), 0);
		check_settled(p, 3);
		pair_destroy(p);
	}
}

static void key_update__client__begins_none_by_time(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_prepare(stream, 1);

		p->client.conf.key_update_us = 1 * LW_S;
		p->server.conf.key_update_us = 0;
		pair_open(p);
		pair_connect(p);
		for (int i = 0; i < 100; i++) {
			pair_run(p, 10 * LW_S, false);
			pair_inject_hex(p, &p->server, NOOP);
		}
		assert_int_equal(updates(&p->client), 0);
		check_settled(p, 3);
		pair_destroy(p);
	}
}

/* the timer runs from the first login on, a repeated one does not move it */
static void key_update__repeated_login__clock_stays(void **state)
{
	struct pair *p = quiet_pair(false, UPDATE_US);
	uint64_t at = p->server.t->key_update_at;

	(void)state;
	pair_run(p, 5 * LW_S, false);
	pair_inject_hex(p, &p->client, "04 02 0005 746f6b656e");
	assert_int_equal(p->server.n_auth_wanted, 2);
	assert_int_equal(p->server.t->key_update_at, at);
	pair_destroy(p);
}

static void key_update__pending__no_second_one(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = quiet_pair(stream, 1);

		pair_run(p, 1 * LW_S, false);
		p->delay_us = 500 * LW_MS;
		pair_inject(p, &p->client, "\x01", 1);
		for (int i = 0; i < 20; i++) {
			pair_run(p, 20 * LW_MS, false);
			pair_inject(p, &p->client, "\x01", 1);
		}
		pair_run(p, 500 * LW_MS, false);
		assert_true(p->server.t->last_rx_us + 100 * LW_MS > p->now_us);
		assert_int_equal(updates(&p->server), 1);
		pair_destroy(p);
	}
}

static void key_update__data_amid_it__none_lost(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = quiet_pair(stream, UPDATE_US);

		p->now_us += UPDATE_US;
		for (uint8_t i = 0; i < 60; i++) {
			send_marked(p, &p->client, i);
			send_marked(p, &p->server, i);
			pair_run(p, 500, false);
		}
		pair_run(p, 1 * LW_S, false);
		assert_int_equal(updates(&p->server), 1);
		check_marked(&p->client, 60);
		check_marked(&p->server, 60);
		check_settled(p, 4);
		pair_destroy(p);
	}
}

/* Which datagrams are lost from the start of the update on: the first n of a side. */
static void check_repaired(unsigned by_server, unsigned by_client)
{
	struct pair *p = quiet_pair(false, UPDATE_US);
	uint64_t began;

	p->server.drop_next = by_server;
	p->now_us += UPDATE_US;
	pair_inject(p, &p->client, "\x01", 1);
	p->client.drop_next = by_client;
	pair_run(p, p->delay_us, false);
	began = p->now_us;
	assert_int_equal(p->server.t->tls_tick_at, began + 100 * LW_MS);
	for (uint8_t i = 0; i < 60; i++) {
		pair_run(p, 30 * LW_MS, false);
		send_marked(p, &p->server, i); /* data does not wait for it */
		if (i >= 10)                   /* the client's losses are behind us */
			send_marked(p, &p->client, (uint8_t)(i - 10));
	}
	pair_run(p, 1 * LW_S, false);
	assert_int_equal(p->client.drop_next + p->server.drop_next, 0);
	check_marked(&p->client, 60);
	check_marked(&p->server, 50);
	assert_int_equal(updates(&p->server), 1);
	assert_false(p->server.t->key_updating);
	check_settled(p, 4);
	pair_destroy(p);
}

static void key_update__one_message_lost__repaired(void **state)
{
	(void)state;
	check_repaired(1, 0); /* the KeyUpdate */
	check_repaired(0, 1); /* its ACK, or the client's */
	check_repaired(0, 2);
	check_repaired(1, 1);
}

static void key_update__lost_message__sent_again_at_100_300_700_ms(void **state)
{
	static const uint64_t expected_ms[] = { 0, 100, 300, 700, 1500, 3100, 6300 };
	struct pair *p = quiet_pair(false, UPDATE_US);
	uint64_t began;

	(void)state;
	p->datagrams[1] = 0;
	p->server.mute = true;
	begin_update(p);
	began = p->now_us;
	pair_run(p, LIMIT_US - 1, false);
	assert_false(pair_closed(&p->server));
	assert_int_equal(p->datagrams[1], 7);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(p->send_times[1][i] - began, expected_ms[i] * LW_MS);
	pair_run(p, 1, false);
	assert_true(pair_closed(&p->server));
	assert_int_equal(p->server.t->reason, LW_CLOSE_TIMEOUT);
	assert_int_equal(p->server.result, -ETIMEDOUT);
	pair_destroy(p);
}

/* once armed the tick fires, whatever comes meanwhile */
static void key_update__lost_amid_traffic__sent_again_all_the_same(void **state)
{
	struct pair *p = quiet_pair(false, UPDATE_US);
	uint64_t began;

	(void)state;
	p->server.drop_next = 1;
	begin_update(p);
	began = p->now_us;
	p->datagrams[1] = 0;
	for (uint8_t i = 0; i < 30; i++) {
		send_marked(p, &p->client, i);
		pair_run(p, 10 * LW_MS, false);
	}
	assert_true(p->datagrams[1] > 0);
	assert_int_equal(p->send_times[1][0] - began, 100 * LW_MS);
	assert_false(p->server.t->key_updating);
	check_marked(&p->server, 30);
	pair_destroy(p);
}

/* TCP repairs losses itself; who does not answer is found by other means */
static void key_update__tcp_unanswered__no_tick(void **state)
{
	struct pair *p = quiet_pair(true, UPDATE_US);

	(void)state;
	p->server.mute = true;
	begin_update(p);
	assert_true(p->server.t->tls_tick_at == LW_NEVER);
	pair_run(p, 1000 * LW_S, false);
	assert_false(pair_closed(&p->server));
	assert_true(p->server.t->key_updating);
	pair_destroy(p);
}

/* the sink or the stream has no room: it is done after a later datagram */
static void key_update__no_room__later(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = quiet_pair(stream, UPDATE_US);
		struct lw_chunk_pool kept = p->server.chunks;
		uint32_t cap = p->server.wire->cap;

		pair_run(p, UPDATE_US, false);
		p->server.wire->cap = 1;
		p->server.chunks.n_free = 0;
		pair_inject_hex(p, &p->client, NOOP);
		assert_int_equal(updates(&p->server), 0);
		assert_false(p->server.t->key_updating);
		p->server.wire->cap = cap;
		p->server.chunks.n_free = kept.n_free;
		pair_inject_hex(p, &p->client, NOOP);
		assert_int_equal(updates(&p->server), 1);
		pair_run(p, 1 * LW_S, false);
		check_settled(p, 4);
		pair_destroy(p);
	}
}

/* --- an update that the client's library begins, as it does after 2^24.5 records --- */

static void begin_client_update(struct pair *p)
{
	struct lw_sink k = { .wire = p->client.wire, .inside = p->client.inside };
	struct lw_out o = { .t = p->client.t, .k = &k };
	struct lw_tls_io io = lw_out_io(&o, NULL, 0);

	assert_int_equal(lw_tls_update_keys(p->client.t->tls, &io), 0);
	pair_flush(p, &p->client);
}

static void client_update__delivered__both_go_on(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = quiet_pair(stream, 0);

		begin_client_update(p);
		for (uint8_t i = 0; i < 40; i++) {
			send_marked(p, &p->client, i);
			send_marked(p, &p->server, i);
			pair_run(p, 500, false);
		}
		pair_run(p, 1 * LW_S, false);
		check_marked(&p->client, 40);
		check_marked(&p->server, 40);
		check_settled(p, 4);
		pair_destroy(p);
	}
}

/* the client's tick runs while its own KeyUpdate is not acknowledged: nothing else resends it */
static void client_update__lost__clients_tick_resends_it(void **state)
{
	struct pair *p = quiet_pair(false, 0);

	(void)state;
	p->client.drop_next = 1;
	begin_client_update(p);
	assert_true(p->client.t->tls_tick_at == LW_NEVER);
	pair_inject_hex(p, &p->server, NOOP); /* any datagram makes the client look */
	assert_true(p->client.t->tls_tick_at != LW_NEVER);
	assert_true(lw_tls_key_update_pending(p->client.t->tls));
	pair_run(p, 1 * LW_S, false);
	check_settled(p, 4);
	pair_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_update__clock__looked_at_after_frames_only),
		cmocka_unit_test(key_update__next_one__counted_from_the_end_of_the_last),
		cmocka_unit_test(key_update__interval_0__never),
		cmocka_unit_test(key_update__client__begins_none_by_time),
		cmocka_unit_test(key_update__repeated_login__clock_stays),
		cmocka_unit_test(key_update__pending__no_second_one),
		cmocka_unit_test(key_update__data_amid_it__none_lost),
		cmocka_unit_test(key_update__one_message_lost__repaired),
		cmocka_unit_test(key_update__lost_message__sent_again_at_100_300_700_ms),
		cmocka_unit_test(key_update__lost_amid_traffic__sent_again_all_the_same),
		cmocka_unit_test(key_update__tcp_unanswered__no_tick),
		cmocka_unit_test(key_update__no_room__later),
		cmocka_unit_test(client_update__delivered__both_go_on),
		cmocka_unit_test(client_update__lost__clients_tick_resends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

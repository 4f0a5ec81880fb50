/* SPDX-License-Identifier: MIT */
/* wire.md 5.2, "Client keepalive machine", and the round-trip time. */
#include <errno.h>

#include "session/tunnel_priv.h"
#include "unit/frame_examples.h"
#include "unit/session_pair.h"
#include "unit/test.h"
#include "wire/header.h"

#define INTERVAL_US (10 * LW_S)
#define TIMEOUT_US  (60 * LW_S)
#define NOOP        "01"
#define PONG        "03 0000 0000"

static uint64_t pings(const struct pair *p)
{
	return p->client.counters.n[LW_CTR_PINGS_TX];
}

/* Run to the next Ping, and return when it went out. */
static uint64_t next_ping(struct pair *p)
{
	uint64_t before = pings(p);

	while (pings(p) == before)
		pair_run(p, lw_tunnel_deadline(p->client.t) - p->now_us, false);
	assert_int_equal(pings(p), before + 1);
	return p->now_us;
}

static void check_ends_at(struct pair *p, uint64_t at_us)
{
	assert_true(at_us > p->now_us);
	pair_run(p, at_us - 1 - p->now_us, false);
	assert_false(pair_closed(&p->client));
	pair_run(p, 1, false);
	assert_true(pair_closed(&p->client));
	assert_int_equal(p->client.t->reason, LW_CLOSE_TIMEOUT);
	assert_int_equal(p->client.result, -ETIMEDOUT);
	assert_int_equal(p->client.n_closed, 1);
}

static void keepalive__silence__ping_every_interval(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);
		uint64_t heard = p->client.t->last_rx_us;

		for (int i = 0; i < 5; i++) {
			assert_int_equal(next_ping(p) - heard, INTERVAL_US);
			pair_run(p, 10 * LW_MS, false); /* the Pong */
			heard = p->client.t->last_rx_us;
			assert_int_equal(p->now_us - heard, 6 * LW_MS);
		}
		assert_int_equal(p->server.counters.n[LW_CTR_PINGS_TX], 0);
		pair_destroy(p);
	}
}

/* wire.md: with inbound traffic more frequent than the interval no Ping is ever sent */
static void keepalive__inbound_traffic__no_ping(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);

		for (int i = 0; i < 20; i++) {
			pair_inject_hex(p, &p->server, NOOP);
			pair_run(p, 9 * LW_S, false);
		}
		assert_int_equal(pings(p), 0);
		pair_run(p, 2 * LW_S, false);
		assert_int_equal(pings(p), 1);
		pair_destroy(p);
	}
}

static void keepalive__outbound_traffic__pings_all_the_same(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);

		for (int i = 0; i < 11; i++) {
			pair_inject_hex(p, &p->client, NOOP);
			pair_run(p, 1 * LW_S, false);
		}
		assert_int_equal(pings(p), 1);
		pair_destroy(p);
	}
}

static void keepalive__no_answer__ends_60_s_after_the_first_ping(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);
		uint64_t sent;
		uint64_t frames;
		uint64_t first;

		p->server.mute = true;
		first = next_ping(p);
		assert_int_equal(p->client.t->dead_at, first + TIMEOUT_US);
		for (uint64_t i = 1; i < 6; i++)
			assert_int_equal(next_ping(p), first + i * INTERVAL_US);
		sent = p->datagrams[0];
		frames = p->client.counters.n[LW_CTR_FRAMES_TX];
		check_ends_at(p, first + TIMEOUT_US);
		assert_int_equal(pings(p), 6);
		assert_int_equal(p->client.counters.n[LW_CTR_FRAMES_TX], frames + 1); /* goodbye */
		if (!stream)
			assert_int_equal(p->datagrams[0], sent + 2);
		pair_run(p, 10 * LW_MS, false);
		assert_int_equal(p->server.t->reason, LW_CLOSE_PEER);
		pair_destroy(p);
	}
}

/* "outside activity": any frame, not the Pong alone */
static void keepalive__any_frame__disarms_the_timeout(void **state)
{
	static const char *const frames[] = { NOOP, PONG, "03 0001 0000", "05 0003 febeaa",
		                              "02 0000 0000" };

	(void)state;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct pair *p = pair_online(false);
		uint64_t heard;

		p->server.mute = true;
		(void)next_ping(p);
		pair_run(p, 55 * LW_S, false);
		assert_true(p->client.t->dead_at != LW_NEVER);
		p->server.mute = false;
		pair_inject_hex(p, &p->server, frames[i]);
		heard = p->client.t->last_rx_us;
		p->server.mute = true;
		assert_true(p->client.t->dead_at == LW_NEVER);
		assert_int_equal(next_ping(p), heard + INTERVAL_US);
		check_ends_at(p, heard + INTERVAL_US + TIMEOUT_US);
		pair_destroy(p);
	}
}

/* what is no frame: junk, a replay, an unknown type, half a frame */
static void keepalive__no_frame__does_not_disarm(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(false);
		uint8_t d[PAIR_PACKET];
		size_t len;
		uint64_t first;

		pair_inject(p, &p->server, "\x01", 1);
		len = pair_take(p, d);
		assert_int_equal(pair_feed(p, &p->client, d, len), 1);
		p->server.mute = true;
		first = next_ping(p);
		pair_run(p, 35 * LW_S, false);
		p->server.mute = false;
		if (i == 1)
			d[len - 1] ^= 1;
		if (i < 2)
			assert_int_equal(pair_feed(p, &p->client, d, len), 0);
		else
			pair_inject_hex(p, &p->server, i == 2 ? "ff" : "02 0000");
		p->server.mute = true;
		check_ends_at(p, first + TIMEOUT_US);
		pair_destroy(p);
	}
}

static void keepalive__one_pong_lost__goes_on(void **state)
{
	struct pair *p = pair_online(false);
	uint64_t first;

	(void)state;
	p->server.drop_next = 1;
	first = next_ping(p);
	assert_int_equal(next_ping(p), first + INTERVAL_US);
	pair_run(p, 10 * LW_MS, false);
	assert_true(p->client.t->dead_at == LW_NEVER);
	pair_run(p, 200 * LW_S, false);
	assert_false(pair_closed(&p->client));
	pair_destroy(p);
}

static void keepalive__other_intervals__as_configured(void **state)
{
	struct pair *p = pair_prepare(false, 1);
	uint64_t first;
	uint64_t heard;

	(void)state;
	p->client.conf.keepalive_us = 1 * LW_S;
	p->client.conf.keepalive_timeout_us = 2500 * LW_MS;
	pair_open(p);
	pair_connect(p);
	heard = p->client.t->last_rx_us;
	p->server.mute = true;
	first = next_ping(p);
	assert_int_equal(first, heard + 1 * LW_S);
	check_ends_at(p, first + 2500 * LW_MS);
	assert_int_equal(pings(p), 3);
	pair_destroy(p);
}

/* a server keeps nobody alive and gives nobody up for it */
/* --- rejects: a server that does not know the session, or somebody who says so --- */

static void reject(struct pair *p, struct pair_side *s)
{
	uint8_t d[LW_WIRE_HEADER_LEN];
	const struct lw_wire_header h = { .session = LW_WIRE_ID_REJECTED,
		                          .major = LW_WIRE_MAJOR,
		                          .minor = s->t->minor };

	lw_wire_header_write(d, &h);
	assert_int_equal(pair_feed(p, s, d, sizeof(d)), 0);
}

static void reject__server_has_gone__asked_once_a_second_and_ended_after_5_s(void **state)
{
	struct pair *p = pair_online(false);
	uint64_t first;

	(void)state;
	p->server.mute = true;
	pair_run(p, 2 * LW_S, false);
	first = p->now_us;
	for (int i = 0; i < 12; i++) {
		reject(p, &p->client);
		pair_run(p, 300 * LW_MS, false);
	}
	assert_int_equal(pings(p), 3); /* at 0, 1.2 and 2.4 s */
	check_ends_at(p, first + 5 * LW_S);
	pair_destroy(p);
}

/* whoever it was: at most a Ping a second, and what the server answers ends the doubt */
static void reject__server_answers__lives_on(void **state)
{
	struct pair *p = pair_online(false);

	(void)state;
	pair_run(p, 2 * LW_S, false);
	for (int i = 0; i < 600; i++) {
		reject(p, &p->client);
		pair_run(p, 100 * LW_MS, false);
	}
	assert_in_range(pings(p), 59, 61);
	assert_true(p->client.t->dead_at == LW_NEVER);
	/* the last one came when the answer was there already */
	pair_run(p, 8 * LW_S, false);
	assert_false(pair_closed(&p->client));
	pair_destroy(p);
}

static void reject__patience_ends_sooner__stays(void **state)
{
	struct pair *p = pair_online(false);
	uint64_t first;

	(void)state;
	p->server.mute = true;
	first = next_ping(p);
	pair_run(p, 58 * LW_S, false);
	reject(p, &p->client);
	check_ends_at(p, first + TIMEOUT_US);
	pair_destroy(p);
}

static void reject__to_a_server_or_before_online__nothing(void **state)
{
	struct pair *p = pair_online(false);

	(void)state;
	pair_run(p, 2 * LW_S, false);
	reject(p, &p->server);
	assert_int_equal(p->server.counters.n[LW_CTR_PINGS_TX], 0);
	assert_true(p->server.t->dead_at == LW_NEVER);
	pair_destroy(p);
	p = pair_create(false, 1);
	pair_begin(p);
	reject(p, &p->client);
	assert_int_equal(pings(p), 0);
	assert_true(p->client.t->dead_at == LW_NEVER);
	pair_destroy(p);
}

static void keepalive__server__has_none(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_prepare(stream, 1);

		p->server.conf.keepalive_us = 1 * LW_S;
		p->server.conf.keepalive_timeout_us = 1 * LW_S;
		p->client.conf.keepalive_us = 1000 * LW_S;
		pair_open(p);
		pair_connect(p);
		pair_run(p, 900 * LW_S, false);
		assert_int_equal(p->server.counters.n[LW_CTR_PINGS_TX], 0);
		assert_false(pair_closed(&p->server));
		pair_destroy(p);
	}
}

/* --- round-trip time --- */

static void rtt__answered_ping__measured(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);

		assert_int_equal(p->client.t->rtt_us, 0);
		for (uint64_t ms = 3; ms < 300; ms *= 3) {
			p->delay_us = ms * LW_MS;
			(void)next_ping(p);
			pair_run(p, 2 * ms * LW_MS + 1, false);
			assert_int_equal(p->client.t->rtt_us, 2 * ms * LW_MS);
			assert_int_equal(p->client.counters.rtt_us, 2 * ms * LW_MS);
		}
		assert_int_equal(p->server.t->rtt_us, 0);
		pair_destroy(p);
	}
}

static void rtt__pong_without_ping__not_measured(void **state)
{
	struct pair *p = pair_online(false);

	(void)state;
	pair_inject_hex(p, &p->server, PONG);
	assert_int_equal(p->client.t->rtt_us, 0);
	(void)next_ping(p);
	pair_run(p, 10 * LW_MS, false);
	assert_int_equal(p->client.t->rtt_us, 4 * LW_MS);
	pair_run(p, 1 * LW_S, false);
	pair_inject_hex(p, &p->server, PONG); /* a second one to the same Ping */
	assert_int_equal(p->client.t->rtt_us, 4 * LW_MS);
	p->server.mute = true;
	(void)next_ping(p);
	pair_run(p, 1 * LW_S, false);
	p->server.mute = false;
	pair_inject_hex(p, &p->server, "03 0007 0000"); /* of a probe */
	assert_int_equal(p->client.t->rtt_us, 4 * LW_MS);
	assert_true(p->client.t->keepalive_due);
	pair_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keepalive__silence__ping_every_interval),
		cmocka_unit_test(keepalive__inbound_traffic__no_ping),
		cmocka_unit_test(keepalive__outbound_traffic__pings_all_the_same),
		cmocka_unit_test(keepalive__no_answer__ends_60_s_after_the_first_ping),
		cmocka_unit_test(keepalive__any_frame__disarms_the_timeout),
		cmocka_unit_test(keepalive__no_frame__does_not_disarm),
		cmocka_unit_test(keepalive__one_pong_lost__goes_on),
		cmocka_unit_test(keepalive__other_intervals__as_configured),
		cmocka_unit_test(reject__server_has_gone__asked_once_a_second_and_ended_after_5_s),
		cmocka_unit_test(reject__server_answers__lives_on),
		cmocka_unit_test(reject__patience_ends_sooner__stays),
		cmocka_unit_test(reject__to_a_server_or_before_online__nothing),
		cmocka_unit_test(keepalive__server__has_none),
		cmocka_unit_test(rtt__answered_ping__measured),
		cmocka_unit_test(rtt__pong_without_ping__not_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

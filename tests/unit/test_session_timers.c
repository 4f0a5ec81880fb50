/* SPDX-License-Identifier: MIT */
/* wire.md 4.6 and 5.2: every timer up to Online, and those of a server's sessions. */
#include <errno.h>

#include "session/tunnel_priv.h"
#include "unit/frame_examples.h"
#include "unit/session_pair.h"
#include "unit/test.h"

/* bytes of datagrams: header, record, frame */
#define LEN_LOGIN   (16 + LW_TLS_RECORD_OVERHEAD + 104)
#define LEN_GOODBYE (16 + LW_TLS_RECORD_OVERHEAD + 1)
#define LEN_NOTIFY  (16 + LW_TLS_RECORD_OVERHEAD + 2)

#define HANDSHAKE_LIMIT_US (12700 * LW_MS)
/* the first tick after a handshake message is for its ACK alone */
#define QUICK_US (25 * LW_MS)

/* the datagrams of one side: when, and how long */
struct record {
	bool from_client;
	size_t only; /* bytes; 0: all */
	const struct pair *p;
	uint32_t n;
	uint64_t us[256];
	size_t len[256];
};

static void note(void *arg, bool from_client, const uint8_t *dgram, size_t len)
{
	struct record *r = arg;

	(void)dgram;
	if (from_client != r->from_client || (r->only != 0 && len != r->only))
		return;
	assert_in_range(r->n, 0, 255);
	r->us[r->n] = r->p->now_us;
	r->len[r->n++] = len;
}

static void record(struct pair *p, struct record *r, bool from_client, size_t only)
{
	*r = (struct record){ .from_client = from_client, .only = only, .p = p };
	p->tap = note;
	p->tap_arg = r;
}

/* A side ends at this time, not before. */
static void check_ends_at(struct pair *p, struct pair_side *s, uint64_t at_us,
                          enum lw_close_reason reason)
{
	assert_true(at_us > p->now_us);
	pair_run(p, at_us - 1 - p->now_us, false);
	assert_false(pair_closed(s));
	pair_run(p, 1, false);
	assert_true(pair_closed(s));
	assert_int_equal(s->t->reason, reason);
	assert_int_equal(s->n_closed, 1);
	assert_true(lw_tunnel_deadline(s->t) == LW_NEVER);
}

static void check_says_goodbye(const struct record *r, uint32_t from, uint32_t copies)
{
	assert_int_equal(r->n, from + 2 * copies);
	assert_int_equal(r->len[from], LEN_GOODBYE);
	assert_int_equal(r->len[from + copies], LEN_NOTIFY);
}

/* --- the handshake: 4.6 --- */

static const uint64_t resend_ms[] = { 0, 100, 300, 700, 1500, 3100, 6300 };

static void handshake__no_server__resent_then_timed_out(void **state)
{
	struct pair *p = pair_create(false, 1);
	uint64_t start = p->now_us;
	struct record r;

	(void)state;
	record(p, &r, true, 0);
	p->client.mute = true;
	pair_begin(p);
	check_ends_at(p, &p->client, start + HANDSHAKE_LIMIT_US, LW_CLOSE_TIMEOUT);
	assert_int_equal(p->client.result, -ETIMEDOUT);
	assert_int_equal(p->client.counters.n[LW_CTR_CLOSED_TIMEOUT], 1);
	assert_int_equal(r.n, 7 * 3); /* no goodbye */
	for (uint32_t i = 0; i < r.n; i++)
		assert_int_equal(r.us[i] - start, resend_ms[i / 3] * LW_MS);
	pair_destroy(p);
}

static void handshake__client_vanishes__server_resends_then_times_out(void **state)
{
	struct pair *p = pair_create(false, 1);
	struct record r;
	uint64_t start;
	uint32_t flight;

	(void)state;
	pair_begin(p);
	record(p, &r, false, 0);
	pair_run_to(p, &p->server, LW_TUNNEL_CONNECTING);
	p->n_flight = 0;
	p->client.mute = true;
	start = p->now_us;
	flight = r.n - 3; /* without the answers of the listener */
	assert_in_range(flight, 1, 5);
	check_ends_at(p, &p->server, start + QUICK_US + HANDSHAKE_LIMIT_US, LW_CLOSE_TIMEOUT);
	assert_int_equal(r.n, 3 + 7 * flight); /* one copy, no goodbye */
	for (uint32_t i = flight; i < 7 * flight; i++)
		assert_int_equal(r.us[3 + i] - start, QUICK_US + resend_ms[i / flight] * LW_MS);
	pair_destroy(p);
}

/* each answer makes the counter start anew */
static void handshake__slow_peer__counts_from_the_last_message(void **state)
{
	struct pair *p = pair_create(false, 1);
	uint64_t answered = p->now_us + 6300 * LW_MS + 2 * p->delay_us;

	(void)state;
	p->client.mute = true;
	pair_begin(p);
	pair_run(p, 6200 * LW_MS, false);
	p->client.mute = false; /* the last copies, at 6.3 s, bring the cookie */
	pair_run(p, 103 * LW_MS, false);
	assert_int_equal(p->datagrams[1], 3);
	p->client.mute = true;
	check_ends_at(p, &p->client, answered + QUICK_US + HANDSHAKE_LIMIT_US, LW_CLOSE_TIMEOUT);
	pair_destroy(p);
}

static void handshake__tcp__needs_no_tick(void **state)
{
	struct pair *p = pair_create(true, 1);

	(void)state;
	p->client.mute = true;
	pair_begin(p);
	assert_true(p->client.t->tls_tick_at == LW_NEVER);
	assert_true(p->server.t->tls_tick_at == LW_NEVER);
	pair_destroy(p);
}

/* a driver may call it at any time: the library's own clock must not run faster for it */
static void tick__before_the_deadline_while_connecting__harmless(void **state)
{
	struct pair *p = pair_create(false, 1);
	struct lw_sink k = { .wire = p->client.wire, .inside = p->client.inside };
	uint64_t start = p->now_us;

	(void)state;
	p->client.mute = true;
	pair_begin(p);
	for (int i = 0; i < 99; i++) {
		assert_int_equal(lw_tunnel_tick(p->client.t, p->now_us, &k), 0);
		p->now_us += 1 * LW_MS;
	}
	assert_int_equal(p->client.wire->n, 0);
	check_ends_at(p, &p->client, start + HANDSHAKE_LIMIT_US, LW_CLOSE_TIMEOUT);
	pair_destroy(p);
}

static void tick__before_the_deadline__harmless(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = i / 2 == 0 ? pair_online(false) : pair_at_login(false);
		struct pair_side *s = pair_end(p, i % 2);
		uint64_t sent = p->datagrams[i % 2];
		struct lw_sink k = { .wire = s->wire, .inside = s->inside };

		for (int n = 0; n < 100; n++) {
			assert_int_equal(lw_tunnel_tick(s->t, p->now_us, &k), 0);
			pair_flush(p, s);
		}
		assert_int_equal(p->datagrams[i % 2], sent);
		assert_int_equal(k.n_events, 0);
		pair_destroy(p);
	}
}

/* --- the login --- */

static void login__unanswered_on_udp__resent_then_given_up(void **state)
{
	static const uint64_t first_ms[] = { 0, 100, 300, 700, 1500, 3100, 4700, 6300 };
	struct pair *p = pair_create(false, 1);
	struct record r;
	uint64_t start;

	(void)state;
	record(p, &r, true, LEN_LOGIN);
	pair_begin(p);
	pair_run_to(p, &p->client, LW_TUNNEL_AUTHENTICATING);
	start = p->now_us;
	p->client.mute = true;
	p->server.mute = true;
	pair_run(p, LW_LOGIN_GIVE_UP_US - 100 * LW_MS, false);
	/* 0, 0.1, 0.3, 0.7, 1.5, then every 1.6 s up to 29.9 s */
	assert_int_equal(r.n, 3 * (5 + 17));
	for (uint32_t i = 0; i < r.n; i++) {
		uint64_t ms = i / 3 < 8 ? first_ms[i / 3] : 6300 + (i / 3 - 7) * 1600;

		assert_int_equal(r.us[i] - start, ms * LW_MS);
	}
	record(p, &r, true, 0);
	check_ends_at(p, &p->client, start + LW_LOGIN_GIVE_UP_US, LW_CLOSE_TIMEOUT);
	check_says_goodbye(&r, 0, 3);
	pair_destroy(p);
}

static void login__unanswered_on_tcp__sent_once_then_given_up(void **state)
{
	struct pair *p = pair_create(true, 1);
	uint64_t start;

	(void)state;
	p->answer_at_once = false;
	pair_begin(p);
	pair_run_to(p, &p->client, LW_TUNNEL_AUTHENTICATING);
	start = p->now_us;
	p->server.mute = true;
	pair_run(p, LW_LOGIN_GIVE_UP_US - 100 * LW_MS, false);
	assert_int_equal(p->client.counters.n[LW_CTR_FRAMES_TX], 1);
	check_ends_at(p, &p->client, start + LW_LOGIN_GIVE_UP_US, LW_CLOSE_TIMEOUT);
	assert_int_equal(p->client.counters.n[LW_CTR_FRAMES_TX], 2); /* goodbye */
	pair_destroy(p);
}

/* wire.md 5.2, "server LinkUp wait" */
static void link_up__no_login_on_udp__ends_after_12700_ms(void **state)
{
	struct pair *p = pair_create(false, 1);
	struct record r;

	(void)state;
	pair_begin(p);
	pair_run_to(p, &p->server, LW_TUNNEL_LINK_UP);
	p->n_flight = 0;
	p->client.mute = true;
	pair_run(p, 1 * LW_S, false); /* what is due for the handshake itself */
	record(p, &r, false, 0);
	check_ends_at(p, &p->server, p->now_us + LW_LOGIN_WAIT_US - 1 * LW_S, LW_CLOSE_STALE);
	check_says_goodbye(&r, 0, 1);
	assert_int_equal(p->server.n_auth_wanted, 0);
	assert_int_equal(p->server.counters.n[LW_CTR_CLOSED_STALE], 1);
	assert_int_equal(p->server.result, -ETIMEDOUT);
	pair_destroy(p);
}

/* --- not online in time --- */

static void stale__tcp_server_without_a_byte__ends_after_60_s(void **state)
{
	struct pair *p = pair_create(true, 1);

	(void)state;
	check_ends_at(p, &p->server, p->now_us + 60 * LW_S, LW_CLOSE_STALE);
	assert_int_equal(p->n_flight, 0); /* nothing said while connecting */
	assert_int_equal(p->server.counters.n[LW_CTR_CLOSED_STALE], 1);
	pair_destroy(p);
}

static void stale__tcp_server_without_login__ends_60_s_after_its_creation(void **state)
{
	struct pair *p = pair_create(true, 1);
	uint64_t start = p->now_us;
	uint64_t frames;

	(void)state;
	p->answer_at_once = false;
	pair_run(p, 20 * LW_S, false);
	pair_begin(p);
	pair_run_to(p, &p->server, LW_TUNNEL_LINK_UP);
	p->server.t->auth_at = LW_NEVER; /* a login that has not come */
	p->server.t->auth_pending = false;
	p->client.mute = true;
	frames = p->server.counters.n[LW_CTR_FRAMES_TX];
	check_ends_at(p, &p->server, start + 60 * LW_S, LW_CLOSE_STALE);
	assert_int_equal(p->server.counters.n[LW_CTR_FRAMES_TX], frames + 1); /* goodbye */
	pair_destroy(p);
}

static void stale__tcp_client_without_server__ends_after_60_s(void **state)
{
	struct pair *p = pair_create(true, 1);
	uint64_t start = p->now_us;

	(void)state;
	p->client.mute = true;
	pair_begin(p);
	check_ends_at(p, &p->client, start + 60 * LW_S, LW_CLOSE_STALE);
	pair_destroy(p);
}

/* a configured limit shorter than the wait for the login wins */
static void stale__udp_server__never_later_than_its_limit(void **state)
{
	struct pair *p = pair_prepare(false, 1);
	uint64_t start;

	(void)state;
	p->server.conf.stale_us = 5 * LW_S;
	pair_open(p);
	pair_begin(p);
	pair_run_to(p, &p->server, LW_TUNNEL_CONNECTING);
	start = p->now_us;
	pair_run_to(p, &p->server, LW_TUNNEL_LINK_UP);
	p->n_flight = 0;
	p->client.mute = true;
	check_ends_at(p, &p->server, start + 5 * LW_S, LW_CLOSE_STALE);
	pair_destroy(p);
}

static void stale__online__no_more(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *s = pair_end(p, i % 2);

		pair_run(p, 200 * LW_S, false);
		assert_false(pair_closed(s));
		assert_true(s->t->stale_at == LW_NEVER);
		pair_destroy(p);
	}
}

/* --- the server's backend --- */

static void backend__no_answer_in_10_s__refused(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_create(stream, 1);
		uint64_t asked;

		p->answer_at_once = false;
		pair_begin(p);
		while (p->server.n_auth_wanted == 0)
			pair_run(p, 100, false);
		asked = p->now_us;
		check_ends_at(p, &p->server, asked + LW_AUTH_ANSWER_US, LW_CLOSE_AUTH);
		assert_int_equal(p->server.n_auth_wanted, 1);
		pair_run(p, 10 * LW_MS, false);
		assert_int_equal(p->client.t->reason, LW_CLOSE_AUTH);
		assert_int_equal(p->client.result, -EACCES);
		pair_destroy(p);
	}
}

static void backend__late_answer__ignored(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_at_login(stream);
		uint64_t frames;

		pair_run(p, 11 * LW_S, false);
		assert_true(pair_closed(&p->server));
		frames = p->server.counters.n[LW_CTR_FRAMES_TX];
		pair_auth(p, LW_AUTH_YES);
		pair_run(p, 10 * LW_MS, false);
		assert_int_equal(p->server.counters.n[LW_CTR_FRAMES_TX], frames);
		assert_int_equal(p->server.n_online, 0);
		assert_int_equal(p->client.n_online, 0);
		assert_int_equal(p->server.n_closed, 1);
		pair_destroy(p);
	}
}

static void backend__second_answer__ignored(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_at_login(stream);
		uint64_t frames;

		pair_auth(p, LW_AUTH_YES);
		frames = p->server.counters.n[LW_CTR_FRAMES_TX];
		pair_auth(p, LW_AUTH_NO);
		pair_auth(p, LW_AUTH_YES);
		assert_int_equal(p->server.counters.n[LW_CTR_FRAMES_TX], frames);
		pair_run(p, 20 * LW_S, false);
		assert_int_equal(p->server.n_online, 1);
		assert_false(pair_closed(&p->server));
		assert_false(pair_closed(&p->client));
		pair_destroy(p);
	}
}

/* --- idle --- */

static struct pair *quiet_pair(bool stream)
{
	struct pair *p = pair_prepare(stream, 1);

	p->client.conf.keepalive_us = 8640000 * LW_S;
	pair_open(p);
	pair_connect(p);
	return p;
}

static void idle__nothing_for_24_h__ends(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = quiet_pair(stream);
		uint64_t last = p->server.t->last_rx_us;

		check_ends_at(p, &p->server, last + 86400 * LW_S, LW_CLOSE_IDLE);
		assert_int_equal(p->server.result, -ETIMEDOUT);
		assert_int_equal(p->server.counters.n[LW_CTR_CLOSED_IDLE], 1);
		pair_run(p, 10 * LW_MS, false);
		assert_int_equal(p->client.t->reason, LW_CLOSE_PEER);
		pair_destroy(p);
	}
}

/* what counts is that something came; what the server sends does not, nor what is no frame */
static void idle__counted_from_the_last_frame(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = quiet_pair(stream);
		uint64_t last;

		pair_run(p, 40000 * LW_S, false);
		pair_inject_hex(p, &p->client, "01");
		last = p->server.t->last_rx_us;
		pair_run(p, 40000 * LW_S, false);
		pair_inject_hex(p, &p->server, "01");
		if (!stream)
			pair_inject_hex(p, &p->client, "ff");
		check_ends_at(p, &p->server, last + 86400 * LW_S, LW_CLOSE_IDLE);
		pair_destroy(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake__no_server__resent_then_timed_out),
		cmocka_unit_test(handshake__client_vanishes__server_resends_then_times_out),
		cmocka_unit_test(handshake__slow_peer__counts_from_the_last_message),
		cmocka_unit_test(handshake__tcp__needs_no_tick),
		cmocka_unit_test(tick__before_the_deadline__harmless),
		cmocka_unit_test(tick__before_the_deadline_while_connecting__harmless),
		cmocka_unit_test(login__unanswered_on_udp__resent_then_given_up),
		cmocka_unit_test(login__unanswered_on_tcp__sent_once_then_given_up),
		cmocka_unit_test(link_up__no_login_on_udp__ends_after_12700_ms),
		cmocka_unit_test(stale__tcp_server_without_a_byte__ends_after_60_s),
		cmocka_unit_test(stale__tcp_server_without_login__ends_60_s_after_its_creation),
		cmocka_unit_test(stale__tcp_client_without_server__ends_after_60_s),
		cmocka_unit_test(stale__udp_server__never_later_than_its_limit),
		cmocka_unit_test(stale__online__no_more),
		cmocka_unit_test(backend__no_answer_in_10_s__refused),
		cmocka_unit_test(backend__late_answer__ignored),
		cmocka_unit_test(backend__second_answer__ignored),
		cmocka_unit_test(idle__nothing_for_24_h__ends),
		cmocka_unit_test(idle__counted_from_the_last_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

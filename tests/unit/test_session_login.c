/* SPDX-License-Identifier: MIT */
/* Logins (wire.md 2.4 to 2.6), and the exact bytes of every answer that a tunnel gives. */
#include <errno.h>

#include "session/tunnel_priv.h"
#include "unit/frame_examples.h"
#include "unit/hex.h"
#include "unit/session_pair.h"
#include "unit/test.h"
#include "wire/header.h"

#define HEX_TOKEN "04 02 0005 746f6b656e"

/* As if the client's own login had not come. */
static void forget_login(struct pair *p)
{
	p->server.t->auth_pending = false;
	p->server.t->auth_at = LW_NEVER;
	p->server.t->last_login_us = 0;
	p->server.n_auth_wanted = 0;
}

static void login__every_method__handed_over(void **state)
{
	static const struct {
		const char *hex;
		const char *user;
		const char *secret;
		uint32_t method;
		uint32_t len;
	} logins[] = {
		{ HEX_PASSWORD, "me", "secret", LW_AUTH_METHOD_PASSWORD, 6 },
		{ "0401 0000" HEX_ZEROS_32 HEX_ZEROS_32 HEX_ZEROS_32 "00000000", "", "",
		  LW_AUTH_METHOD_PASSWORD, 0 },
		{ HEX_TOKEN, "", "token", LW_AUTH_METHOD_TOKEN, 5 },
		{ "04 02 0000", "", "", LW_AUTH_METHOD_TOKEN, 0 },
		{ "04 03 01 03 0005 746f6b656e", "", "token", LW_AUTH_METHOD_VERSIONED_TOKEN, 5 },
		{ "04 17 0004 c3280080", "", "\xc3\x28\0\x80", LW_AUTH_METHOD_CALLBACK, 4 },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(logins) / sizeof(logins[0]); i++) {
		struct pair *p = pair_at_login(i % 2 == 1);

		forget_login(p);
		memset(&p->login, 0xff, sizeof(p->login));
		pair_inject_hex(p, &p->client, logins[i / 2].hex);
		assert_int_equal(p->server.n_auth_wanted, 1);
		assert_int_equal(p->login.method, logins[i / 2].method);
		assert_string_equal(p->login.user, logins[i / 2].user);
		assert_int_equal(p->login.secret_len, logins[i / 2].len);
		assert_memory_equal(p->login.secret, logins[i / 2].secret, logins[i / 2].len);
		assert_null(lw_tunnel_take_login(p->server.t));
		pair_destroy(p);
	}
}

/* user and password of 50 bytes, tokens of 1347, 1345 and 1347 */
static void login__longest_fields__handed_over(void **state)
{
	static const struct {
		const char *head;
		uint32_t secret;
		uint32_t user;
	} longest[] = { { "04 01 32 32", 50, 50 },
		        { "04 02 0543", 1347, 0 },
		        { "04 03 01 01 0541", 1345, 0 },
		        { "04 17 0543", 1347, 0 } };

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		struct pair *p = pair_at_login(i % 2 == 1);
		uint8_t frame[LW_AUTH_REQUEST_MAX];
		size_t head = hex_read(longest[i / 2].head, frame, sizeof(frame));
		uint32_t secret = longest[i / 2].secret;

		forget_login(p);
		memset(frame + head, 'a', sizeof(frame) - head);
		pair_inject(p, &p->client, frame, head + longest[i / 2].user + secret);
		pair_run(p, 5 * LW_MS, false);
		assert_int_equal(p->server.n_auth_wanted, 1);
		assert_int_equal(p->login.secret_len, secret);
		assert_memory_equal(p->login.secret, frame + head, secret);
		assert_int_equal(strlen(p->login.user), longest[i / 2].user);
		pair_destroy(p);
	}
}

/* --- answers, byte by byte --- */

/* The next frame that one side has sent, read with the TLS of the other in its tunnel's place. */
static size_t read_frame(struct pair *p, struct pair_side *to, uint8_t *frame, size_t cap)
{
	struct lw_sink k = { .wire = to->wire, .inside = to->inside };
	struct lw_out o = { .t = to->t, .k = &k };
	uint8_t cipher[4 * PAIR_PACKET];
	size_t len = 0;
	size_t n = 0;
	struct lw_tls_io io;

	for (uint32_t i = 0; i < p->n_flight && (p->stream || i == 0); i++) {
		size_t skip = p->stream ? 0 : LW_WIRE_HEADER_LEN;

		memcpy(cipher + len, p->flight[i]->data + skip, p->flight[i]->len - skip);
		len += p->flight[i]->len - skip;
	}
	p->n_flight = 0;
	io = lw_out_io(&o, cipher, len);
	assert_int_equal(lw_tls_read(to->t->tls, frame, cap, &n, &io), 0);
	return n;
}

static void check_frame(struct pair *p, struct pair_side *to, const char *hex)
{
	uint8_t expected[FRAME_MAX_EXAMPLE];
	uint8_t frame[2048];
	size_t len = hex_read(hex, expected, sizeof(expected));

	assert_int_equal(read_frame(p, to, frame, sizeof(frame)), len);
	assert_memory_equal(frame, expected, len);
}

static void login__as_sent__is_the_password_frame(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_at_login(stream);
		struct lw_sink k = { .wire = p->client.wire, .inside = p->client.inside };

		assert_int_equal(p->n_flight, 0);
		lw_tunnel_send_login(p->client.t, p->now_us, &k);
		pair_flush(p, &p->client);
		check_frame(p, &p->server, HEX_PASSWORD);
		pair_destroy(p);
	}
}

static void auth_success__as_sent__is_the_example(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_at_login(stream);
		char hex[] = HEX_SUCCESS;

		if (stream) /* the id is of datagrams */
			memset(hex + sizeof(hex) - 17, '0', 16);
		pair_auth(p, LW_AUTH_YES);
		check_frame(p, &p->client, hex);
		pair_destroy(p);
	}
}

/* wire.md 2.6: AuthFailure, and at once Goodbye and close_notify */
static void auth_failure__as_sent__then_goodbye(void **state)
{
	struct pair *p = pair_at_login(false);
	uint64_t sent = p->datagrams[1];

	(void)state;
	pair_auth(p, LW_AUTH_NO);
	assert_int_equal(p->datagrams[1], sent + 3);
	assert_int_equal(p->server.counters.n[LW_CTR_CLOSED_AUTH], 1);
	assert_int_equal(p->server.result, -EACCES);
	assert_int_equal(p->flight[0]->len, 16 + 22 + 53);
	assert_int_equal(p->flight[1]->len, 16 + 22 + 1);
	assert_int_equal(p->flight[2]->len, 16 + 22 + 2);
	check_frame(p, &p->client, "07 0000000000000000000000000000000000000000" HEX_ZEROS_32);
	pair_destroy(p);
}

/* wire.md 2.3 and 7.3: what asks, and what is answered; "" for nothing */
static const struct {
	const char *question;
	const char *answer;
} answers[] = {
	{ "02 0000 0000", "03 0000 0000" },
	{ "02 0000 0010 00000000000003e8 00000000000003de", "03 0000 0000" },
	{ "02 f00b 0000", "03 f00b 0000" },
	{ "02 ffff 0003 010203", "03 ffff 0000" },
	{ "03 0000 0000", "" },
	{ "03 0001 0000", "" },
	{ "14 02 80 0000 0000000000000001" HEX_KEY_32,
	  "14 02 c0 0000 0000000000000001" HEX_KEY_32 },
	{ "14 01 80 0000 123456789abcdef0" HEX_KEY_32,
	  "14 01 c0 0000 123456789abcdef0" HEX_KEY_32 },
	{ "14 00 80 0000 0000000000000009" HEX_KEY_32,
	  "14 02 c0 0000 0000000000000009" HEX_KEY_32 },
	{ "14 03 80 0000 0000000000000009" HEX_KEY_32,
	  "14 02 c0 0000 0000000000000009" HEX_KEY_32 },
	{ "14 ff bf ffff ffffffffffffffff" HEX_KEY_32,
	  "14 02 c0 0000 ffffffffffffffff" HEX_KEY_32 },
	{ "14 02 00 0000 0000000000000002" HEX_ZEROS_32,
	  "14 02 40 0000 0000000000000002" HEX_ZEROS_32 },
	{ "14 02 c0 0000 0000000000000001" HEX_KEY_32, "" },
	{ "14 02 40 0000 0000000000000002" HEX_ZEROS_32, "" },
};

static void check_answer(size_t i, bool stream, bool server)
{
	struct pair *p = pair_online(stream);
	struct pair_side *to = pair_end(p, server);
	struct pair_side *from = pair_peer(p, to);
	uint64_t frames = to->counters.n[LW_CTR_FRAMES_TX];
	uint8_t question[FRAME_MAX_EXAMPLE];
	size_t len = hex_read(answers[i].question, question, sizeof(question));

	pair_inject(p, from, question, len);
	pair_run(p, p->delay_us, false); /* the answer is on its way */
	if (answers[i].answer[0] != '\0') {
		assert_int_equal(to->counters.n[LW_CTR_FRAMES_TX], frames + 1);
		check_frame(p, from, answers[i].answer);
	} else {
		/* nor does it come later */
		pair_run(p, 9 * LW_S, false);
		assert_int_equal(to->counters.n[LW_CTR_FRAMES_TX], frames);
	}
	pair_destroy(p);
}

static void answer__as_sent__byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		for (int side = 0; side < 4; side++) {
			print_message("%s, side %d\n", answers[i].question, side);
			check_answer(i, side / 2 == 1, side % 2 == 1);
		}
	}
}

/* An offer is acknowledged and nothing is offered back, however long one waits: 7.3. */
static void expresslane__offered__acknowledged_only(void **state)
{
	struct pair *p = pair_prepare(false, 1);
	uint64_t frames;

	(void)state;
	p->client.conf.keepalive_us = 1000 * LW_S;
	pair_open(p);
	pair_connect(p);
	frames = p->server.counters.n[LW_CTR_FRAMES_TX];
	for (uint64_t i = 1; i <= 5; i++) {
		pair_inject_hex(p, &p->client, "14 02 80 0000 0000000000000001" HEX_KEY_32);
		pair_run(p, 20 * LW_S, false);
		assert_int_equal(p->server.counters.n[LW_CTR_FRAMES_TX], frames + i);
	}
	pair_destroy(p);
}

/* --- repeated requests --- */

/* the answer is lost: the client's next login after a second brings it again */
static void repeat__answer_lost__answered_again(void **state)
{
	struct pair *p = pair_at_login(false);
	uint64_t asked = p->now_us;

	(void)state;
	p->server.drop_next = 1;
	pair_auth(p, LW_AUTH_YES);
	p->answer_at_once = true;
	assert_int_equal(p->server.n_online, 1);
	/* logins after 0.1, 0.3 and 0.7 s are too early to be looked at */
	pair_run(p, 1 * LW_S, false);
	assert_int_equal(p->server.n_auth_wanted, 1);
	assert_int_equal(p->server.counters.n[LW_CTR_AUTH_REPEATED], 3);
	assert_int_equal(p->client.n_online, 0);
	pair_run(p, 1 * LW_S, true);
	assert_int_equal(p->client.n_online, 1);
	assert_in_range(p->now_us - asked, 1500 * LW_MS, 1510 * LW_MS);
	assert_int_equal(p->server.n_auth_wanted, 2);
	assert_int_equal(p->server.n_online, 1);
	pair_destroy(p);
}

/* while the backend thinks it is not asked again */
static void repeat__while_pending__counted(void **state)
{
	struct pair *p = pair_at_login(false);

	(void)state;
	pair_run(p, 9 * LW_S, false);
	assert_int_equal(p->server.n_auth_wanted, 1);
	/* 0.1, 0.3, 0.7, 1.5, 3.1, 4.7, 6.3, 7.9 s */
	assert_int_equal(p->server.counters.n[LW_CTR_AUTH_REPEATED], 8);
	pair_auth(p, LW_AUTH_YES);
	pair_run(p, 10 * LW_MS, false);
	assert_int_equal(p->client.n_online, 1);
	pair_destroy(p);
}

static void repeat__online__once_a_second(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);
		uint64_t answers_before = p->client.counters.n[LW_CTR_FRAMES_RX];
		uint64_t repeated;

		pair_run(p, 2 * LW_S, false);
		for (int i = 0; i < 40; i++) { /* every 100 ms */
			pair_inject_hex(p, &p->client, HEX_PASSWORD);
			pair_run(p, 95 * LW_MS, false);
		}
		repeated = p->server.counters.n[LW_CTR_AUTH_REPEATED];
		assert_int_equal(p->server.n_auth_wanted, 1 + 4);
		assert_int_equal(repeated, 36);
		assert_int_equal(p->client.counters.n[LW_CTR_FRAMES_RX], answers_before + 4);
		assert_int_equal(p->server.n_online, 1);
		assert_int_equal(p->client.n_online, 1);
		assert_int_equal(p->server.counters.n[LW_CTR_SESSIONS_ONLINE], 1);
		pair_destroy(p);
	}
}

/* who came in with one name does not get another's */
static void repeat__online_as_another__name_stays(void **state)
{
	struct pair *p = pair_online(false);
	struct lw_auth_answer other = { .size = sizeof(other),
		                        .verdict = LW_AUTH_YES,
		                        .user = "other" };
	struct lw_sink k = { .wire = p->server.wire, .inside = p->server.inside };

	(void)state;
	p->answer_at_once = false;
	pair_run(p, 2 * LW_S, false);
	pair_inject_hex(p, &p->client, HEX_TOKEN);
	assert_true(p->server.t->auth_pending);
	assert_int_equal(lw_tunnel_auth(p->server.t, &other, p->now_us, &k), 0);
	assert_string_equal(p->server.t->s.user, "me");
	assert_int_equal(k.n_events, 0);
	pair_destroy(p);
}

static void repeat__online_refused__ends_both(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i % 2 == 1);
		uint64_t asked;

		p->answer_at_once = false;
		pair_run(p, 2 * LW_S, false);
		asked = p->now_us + p->delay_us;
		pair_inject_hex(p, &p->client, HEX_TOKEN);
		assert_true(p->server.t->auth_pending);
		assert_false(pair_closed(&p->server));
		if (i / 2 == 0) {
			pair_auth(p, LW_AUTH_NO);
		} else { /* no answer is a refusal */
			pair_run(p, asked + LW_AUTH_ANSWER_US - p->now_us, false);
		}
		assert_int_equal(p->server.t->reason, LW_CLOSE_AUTH);
		pair_run(p, 10 * LW_MS, false);
		assert_int_equal(p->client.t->reason, LW_CLOSE_AUTH);
		pair_destroy(p);
	}
}

static void auth__any_verdict_but_yes__refused(void **state)
{
	static const uint32_t verdicts[] = { LW_AUTH_NO, LW_AUTH_NOT_MINE, LW_AUTH_ERROR, 99 };

	(void)state;
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		struct pair *p = pair_at_login(false);

		pair_auth(p, verdicts[i]);
		assert_int_equal(p->server.t->reason, LW_CLOSE_AUTH);
		assert_int_equal(p->server.n_online, 0);
		assert_string_equal(p->server.t->s.user, "");
		pair_destroy(p);
	}
}

/* one that the driver did not fetch goes with the answer, or with the tunnel */
static void login__not_taken__freed(void **state)
{
	const struct lw_auth_answer yes = { .size = sizeof(yes), .verdict = LW_AUTH_YES };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair *p = pair_online(false);
		struct lw_sink k = { .wire = p->server.wire, .inside = p->server.inside };
		uint8_t token[] = { LW_FRAME_AUTH_REQUEST, LW_AUTH_METHOD_TOKEN, 0, 1, 't' };
		uint8_t d[PAIR_PACKET];
		struct lw_packet pkt = { .buf = d, .cap = sizeof(d) };

		p->now_us += 2 * LW_S;
		pair_inject(p, &p->client, token, sizeof(token));
		pkt.len = (uint32_t)pair_take(p, d);
		assert_int_equal(lw_tunnel_rx(p->server.t, &pkt, p->now_us, &k), 1);
		assert_int_equal(k.n_events, 1);
		assert_int_equal(k.events[0].type, LW_EVENT_AUTH_WANTED);
		assert_non_null(p->server.t->login);
		if (i == 0)
			assert_int_equal(lw_tunnel_auth(p->server.t, &yes, p->now_us, &k), 0);
		assert_int_equal(p->server.t->login == NULL, i == 0);
		pair_destroy(p); /* a sanitizer sees what is not freed */
	}
}

/* a server whose addresses do not fit the frame: its configuration has been checked */
static void auth_success__addresses_not_ipv4__ends(void **state)
{
	struct pair *p = pair_at_login(false);

	(void)state;
	p->server.conf.dns.family = 6;
	pair_auth(p, LW_AUTH_YES);
	pair_run(p, 1, false);
	assert_true(pair_closed(&p->server));
	assert_int_equal(p->server.n_closed, 1);
	assert_int_equal(p->client.n_online, 0);
	pair_destroy(p);
}

static void online__server_session__has_name_and_told_address(void **state)
{
	struct pair *p = pair_at_login(false);

	(void)state;
	assert_string_equal(p->server.t->s.user, "");
	assert_int_equal(p->server.t->s.told.family, 0);
	pair_auth(p, LW_AUTH_YES);
	assert_string_equal(p->server.t->s.user, "me");
	assert_memory_equal(&p->server.t->s.told, &p->server.conf.client_address,
	                    sizeof(struct lw_addr));
	assert_int_equal(p->server.t->s.serial, 1);
	pair_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(login__every_method__handed_over),
		cmocka_unit_test(login__longest_fields__handed_over),
		cmocka_unit_test(login__as_sent__is_the_password_frame),
		cmocka_unit_test(auth_success__as_sent__is_the_example),
		cmocka_unit_test(auth_failure__as_sent__then_goodbye),
		cmocka_unit_test(answer__as_sent__byte_by_byte),
		cmocka_unit_test(expresslane__offered__acknowledged_only),
		cmocka_unit_test(repeat__answer_lost__answered_again),
		cmocka_unit_test(repeat__while_pending__counted),
		cmocka_unit_test(repeat__online__once_a_second),
		cmocka_unit_test(repeat__online_as_another__name_stays),
		cmocka_unit_test(repeat__online_refused__ends_both),
		cmocka_unit_test(auth__any_verdict_but_yes__refused),
		cmocka_unit_test(login__not_taken__freed),
		cmocka_unit_test(auth_success__addresses_not_ipv4__ends),
		cmocka_unit_test(online__server_session__has_name_and_told_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* What stands in front of a datagram: wire.md 1.2 to 1.7, and what it does to session ids: 5.1
 * and 6.1. */
#include <errno.h>

#include "session/tunnel_priv.h"
#include "unit/frame_examples.h"
#include "unit/hex.h"
#include "unit/session_pair.h"
#include "unit/test.h"
#include "wire/header.h"

#define SERVER_ID UINT64_C(0x1122334455667788)
#define OTHER_ID  UINT64_C(0x99aabbccddeeff01)
#define NOOP      "\x01"

static void write_header(uint8_t *dgram, uint8_t minor, bool expresslane, uint64_t id)
{
	const struct lw_wire_header h = {
		.session = id, .major = LW_WIRE_MAJOR, .minor = minor, .expresslane = expresslane
	};

	lw_wire_header_write(dgram, &h);
}

static uint64_t id_of(const uint8_t *dgram, size_t len)
{
	struct lw_wire_header h;

	assert_int_equal(lw_wire_header_parse(dgram, len, &h), 0);
	return h.session;
}

/* A genuine datagram with one frame from the peer of a side. */
static size_t genuine(struct pair *p, struct pair_side *to, const char *frame, size_t frame_len,
                      uint8_t buf[static PAIR_PACKET])
{
	pair_inject(p, pair_peer(p, to), frame, frame_len);
	return pair_take(p, buf);
}

/* anybody can send 16 bytes */
static void header__nothing_behind_it__ignored(void **state)
{
	static const uint64_t ids[] = { LW_WIRE_ID_EMPTY, SERVER_ID, OTHER_ID };

	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(false);
		struct pair *q = pair_at_login(false);
		uint8_t d[PAIR_PACKET];

		for (size_t i = 0; i < 3; i++) {
			write_header(d, 3, false, ids[i]);
			assert_int_equal(pair_feed(p, pair_end(p, side), d, LW_WIRE_HEADER_LEN), 0);
			assert_int_equal(pair_feed(q, pair_end(q, side), d, LW_WIRE_HEADER_LEN), 0);
		}
		pair_check_lives(p, pair_end(p, side));
		pair_check_lives(q, pair_end(q, side));
		pair_destroy(p);
		pair_destroy(q);
	}
}

static void header__nothing_behind_it_while_connecting__ignored(void **state)
{
	struct pair *p = pair_create(false, 1);
	uint8_t d[PAIR_PACKET];

	(void)state;
	write_header(d, 3, false, SERVER_ID);
	pair_begin(p);
	assert_int_equal(pair_feed(p, &p->client, d, LW_WIRE_HEADER_LEN), 0);
	while (p->server.t == NULL)
		pair_run(p, 100, false);
	assert_int_equal(p->server.t->state, LW_TUNNEL_CONNECTING);
	assert_int_equal(pair_feed(p, &p->server, d, LW_WIRE_HEADER_LEN), 0);
	pair_run(p, 1 * LW_S, true);
	assert_int_equal(p->client.t->state, LW_TUNNEL_ONLINE);
	pair_destroy(p);
}

static void header__malformed__counted(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {
		{ 0, 'h' }, { 1, 'E' }, { 2, 0 }, { 2, 2 }, { 3, 0 }, { 3, 4 }, { 3, 255 },
	};

	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(false);
		struct pair_side *s = pair_end(p, side);
		uint64_t expected = 0;
		uint8_t good[PAIR_PACKET];
		size_t len = genuine(p, s, NOOP, 1, good);

		for (size_t i = 1; i < LW_WIRE_HEADER_LEN; i++) {
			assert_int_equal(pair_feed(p, s, good, i), 0);
			assert_int_equal(s->counters.n[LW_CTR_HEADER_BAD], ++expected);
		}
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			uint8_t d[PAIR_PACKET];

			memcpy(d, good, len);
			d[bad[i].at] = bad[i].value;
			assert_int_equal(pair_feed(p, s, d, len), 0);
			assert_int_equal(s->counters.n[LW_CTR_HEADER_BAD], ++expected);
		}
		/* nothing of it was taken */
		assert_int_equal(pair_feed(p, s, good, len), 1);
		pair_destroy(p);
	}
}

/* wire.md 1.5, step 8, and 1.6 */
static void header__other_version__server_ignores_client_takes(void **state)
{
	(void)state;
	for (uint8_t minor = 1; minor <= 2; minor++) {
		struct pair *p = pair_online(false);
		uint8_t d[PAIR_PACKET];
		size_t len = genuine(p, &p->server, NOOP, 1, d);

		write_header(d, minor, false, SERVER_ID);
		assert_int_equal(pair_feed(p, &p->server, d, len), 0);
		assert_int_equal(p->server.counters.n[LW_CTR_HEADER_VERSION], 1);
		write_header(d, 3, false, SERVER_ID);
		assert_int_equal(pair_feed(p, &p->server, d, len), 1);
		len = genuine(p, &p->client, NOOP, 1, d);
		write_header(d, minor, false, SERVER_ID);
		assert_int_equal(pair_feed(p, &p->client, d, len), 1);
		assert_int_equal(p->client.counters.n[LW_CTR_HEADER_VERSION], 0);
		pair_destroy(p);
	}
}

/* REJECTED, and the Expresslane flag: not even the payload is looked at */
static void header__rejected_or_expresslane__ignored(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(false);
		struct pair_side *s = pair_end(p, i % 2);
		bool lane = i / 2 == 1;
		enum lw_counter counter =
			lane ? LW_CTR_EXPRESSLANE_UNWANTED : LW_CTR_HEADER_REJECTED;
		uint64_t heard = s->t->last_rx_us;
		uint64_t id = s->t->id;
		uint8_t d[PAIR_PACKET];
		size_t len = genuine(p, s, NOOP, 1, d);

		p->now_us += LW_S;
		write_header(d, 3, lane, lane ? OTHER_ID : LW_WIRE_ID_REJECTED);
		assert_int_equal(pair_feed(p, s, d, LW_WIRE_HEADER_LEN), 0);
		assert_int_equal(pair_feed(p, s, d, len), 0);
		assert_int_equal(s->counters.n[counter], 2);
		assert_true(s->t->id == id);
		assert_int_equal(s->t->last_rx_us, heard);
		write_header(d, 3, false, SERVER_ID);
		assert_int_equal(pair_feed(p, s, d, len), 1);
		pair_destroy(p);
	}
}

/* what each side has put into its headers so far */
struct seen {
	uint32_t n[2]; /* by the client, by the server */
	uint32_t n_with_id[2];
	uint8_t minor;
	bool bad;
};

static void look(void *arg, bool from_client, const uint8_t *dgram, size_t len)
{
	struct seen *s = arg;
	struct lw_wire_header h;

	if (lw_wire_header_parse(dgram, len, &h) < 0 || h.minor != s->minor || dgram[4] != 0 ||
	    dgram[5] != 0 || dgram[6] != 0 || dgram[7] != 0) {
		s->bad = true;
		return;
	}
	s->n[from_client ? 0 : 1]++;
	s->n_with_id[from_client ? 0 : 1] += h.session == SERVER_ID;
	if (h.session != SERVER_ID && h.session != LW_WIRE_ID_EMPTY)
		s->bad = true;
}

/* wire.md 1.3: the client knows no id before AuthSuccess, the server has one from its second
 * flight on; its first answers are the listener's. The version is the client's. */
static void header__as_sent__has_version_and_id(void **state)
{
	(void)state;
	for (uint8_t minor = 1; minor <= 3; minor++) {
		struct pair *p = pair_prepare(false, 1);
		struct seen s = { .minor = minor };
		uint32_t online;

		p->minor = minor;
		pair_open(p);
		p->tap = look;
		p->tap_arg = &s;
		pair_begin(p);
		pair_run(p, 1 * LW_S, true);
		assert_int_equal(p->client.t->state, LW_TUNNEL_ONLINE);
		assert_int_equal(s.n_with_id[0], 0);
		assert_int_equal(s.n[1] - s.n_with_id[1], 3); /* one answer per copy of the hello */
		assert_true(s.n_with_id[1] >= 3);             /* flight, ACK, AuthSuccess */
		online = s.n[0];
		pair_inject(p, &p->client, NOOP, 1);
		assert_int_equal(s.n[0], online + 1);
		assert_int_equal(s.n_with_id[0], 1);
		assert_false(s.bad);
		pair_destroy(p);
	}
}

/* the last datagrams of either side, to see copies */
struct copies {
	uint8_t last[2][PAIR_PACKET];
	size_t last_len[2];
	uint32_t run[2]; /* how often in a row it was sent */
	uint32_t runs[8];
	bool client_only;
};

static void look_for_copies(void *arg, bool from_client, const uint8_t *dgram, size_t len)
{
	struct copies *c = arg;
	int i = from_client ? 0 : 1;

	if (c->client_only && !from_client)
		return;
	if (c->run[i] > 0 && c->last_len[i] == len && memcmp(c->last[i], dgram, len) == 0) {
		c->run[i]++;
		return;
	}
	c->runs[c->run[i] < 8 ? c->run[i] : 7]++;
	memcpy(c->last[i], dgram, len);
	c->last_len[i] = len;
	c->run[i] = 1;
}

/* wire.md 1.4 */
static void aggressive__until_online__three_copies_of_each(void **state)
{
	struct pair *p = pair_create(false, 1);
	struct copies c = { .client_only = true };

	(void)state;
	p->tap = look_for_copies;
	p->tap_arg = &c;
	pair_begin(p);
	pair_run(p, 1 * LW_S, true);
	assert_int_equal(p->client.t->state, LW_TUNNEL_ONLINE);
	pair_inject(p, &p->client, NOOP, 1);
	assert_true(c.runs[3] >= 4); /* hello, hello with cookie, Finished, login */
	for (size_t i = 1; i < 8; i++)
		assert_true(i == 3 || c.runs[i] == 0);
	memset(&c, 0, sizeof(c));
	for (int i = 0; i < 5; i++) {
		pair_inject(p, &p->client, NOOP, 1);
		pair_inject(p, &p->server, NOOP, 1);
	}
	assert_int_equal(c.runs[1], 8);
	assert_int_equal(c.run[0], 1);
	assert_int_equal(c.run[1], 1);
	pair_destroy(p);
}

static void aggressive__server__one_copy_of_each(void **state)
{
	struct pair *p = pair_at_login(false);
	uint64_t sent = p->datagrams[1];

	(void)state;
	pair_inject(p, &p->server, NOOP, 1);
	assert_int_equal(p->datagrams[1], sent + 1);
	pair_auth(p, LW_AUTH_YES);
	assert_int_equal(p->datagrams[1], sent + 2);
	pair_destroy(p);
}

/* wire.md 5.1, row 9: the id is adopted when the datagram has been handled */
static void adoption__answer_within_auth_success__still_empty(void **state)
{
	struct pair *p = pair_at_login(false);
	uint8_t frames[FRAME_MAX_EXAMPLE];
	uint8_t d[PAIR_PACKET];
	size_t len = hex_read(HEX_SUCCESS "02 0000 0000", frames, sizeof(frames));
	uint64_t sent;

	(void)state;
	pair_inject(p, &p->server, frames, len);
	len = pair_take(p, d);
	sent = p->datagrams[0];
	assert_int_equal(pair_feed(p, &p->client, d, len), 2);
	assert_int_equal(p->datagrams[0], sent + 1);
	len = pair_take(p, d);
	assert_true(id_of(d, len) == LW_WIRE_ID_EMPTY);
	pair_inject(p, &p->client, NOOP, 1);
	len = pair_take(p, d);
	assert_true(id_of(d, len) == SERVER_ID);
	pair_destroy(p);
}

/* the session id within AuthSuccess is not the one that counts: wire.md 2.5 */
static void adoption__auth_success__header_is_the_only_source(void **state)
{
	struct pair *p = pair_at_login(false);
	uint8_t frame[FRAME_MAX_EXAMPLE];
	uint8_t d[PAIR_PACKET];
	size_t len = hex_read(HEX_SUCCESS, frame, sizeof(frame));

	(void)state;
	pair_inject(p, &p->server, frame, len);
	len = pair_take(p, d);
	write_header(d, 3, false, OTHER_ID);
	assert_int_equal(pair_feed(p, &p->client, d, len), 1);
	assert_true(p->client.t->id == OTHER_ID);
	pair_destroy(p);
}

/*
 * Ids have no order, so a client of the stock kind goes back to the previous one with a datagram
 * that is late (wire.md 6.1). Ours does not, unless it is so late that the newer one was a lie.
 */
static void adoption__late_datagram__newer_id_stays_for_2_s(void **state)
{
	static const struct {
		uint64_t id;
		uint64_t adopted;
		uint64_t after_us;
	} steps[] = {
		{ OTHER_ID, OTHER_ID, 0 },
		{ SERVER_ID, OTHER_ID, 0 },
		{ LW_WIRE_ID_EMPTY, OTHER_ID, 0 },
		{ OTHER_ID + 1, OTHER_ID + 1, 0 },
		{ OTHER_ID + 2, OTHER_ID + 2, 1 },
		{ OTHER_ID, OTHER_ID + 2, 0 },
		{ SERVER_ID, OTHER_ID + 2, 1999 * LW_MS },
		{ OTHER_ID + 1, OTHER_ID + 1, 2 * LW_MS },
		{ OTHER_ID + 2, OTHER_ID + 1, 0 },
	};
	struct pair *p = pair_online(false);

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		uint8_t d[PAIR_PACKET];
		size_t len;

		p->now_us += steps[i].after_us;
		len = genuine(p, &p->client, NOOP, 1, d);

		write_header(d, 3, false, steps[i].id);
		assert_int_equal(pair_feed(p, &p->client, d, len), 1);
		assert_true(p->client.t->id == steps[i].adopted);
		pair_inject(p, &p->client, NOOP, 1);
		len = pair_take(p, d);
		assert_true(id_of(d, len) == steps[i].adopted);
	}
	pair_destroy(p);
}

/* a replay, junk, an unknown frame, one that is not for now: no frame, no adoption, no activity */
static void adoption__no_frame_accepted__nothing_happens(void **state)
{
	static const char *const frames[] = { "\x01", "\xff", "\x05\0", "\x03\0\0\0\0" };
	static const size_t lens[] = { 1, 1, 2, 5 };

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct pair *p = pair_at_login(false);
		struct pair_side *s = pair_end(p, i % 2);
		uint64_t id;
		uint64_t heard;
		uint8_t d[PAIR_PACKET];
		size_t len = genuine(p, s, frames[i / 2], lens[i / 2], d);

		if (i / 2 == 0)
			assert_int_equal(pair_feed(p, s, d, len), 1);
		heard = s->t->last_rx_us;
		p->now_us += LW_MS;
		id = s->t->id;
		write_header(d, 3, false, OTHER_ID);
		assert_int_equal(pair_feed(p, s, d, len), 0);
		assert_true(s->t->id == id);
		assert_int_equal(s->t->last_rx_us, heard);
		assert_int_equal(s->counters.n[LW_CTR_SESSION_ID_MISMATCH], 0);
		pair_destroy(p);
	}
}

static void server__unknown_id__counted_and_kept(void **state)
{
	struct pair *p = pair_online(false);
	uint8_t d[PAIR_PACKET];
	size_t len = 0;
	static const uint64_t ids[] = { LW_WIRE_ID_EMPTY, SERVER_ID, OTHER_ID };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		len = genuine(p, &p->server, NOOP, 1, d);
		write_header(d, 3, false, ids[i]);
		assert_int_equal(pair_feed(p, &p->server, d, len), 1);
		assert_int_equal(p->server.counters.n[LW_CTR_SESSION_ID_MISMATCH], i == 2);
		assert_true(p->server.t->id == SERVER_ID);
	}
	pair_destroy(p);
}

/* --- several of it at once --- */

static void datagram__several_records__all_handled(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(false);
		struct pair_side *s = pair_end(p, side);
		uint8_t d[PAIR_PACKET];
		uint8_t more[PAIR_PACKET];
		size_t len = genuine(p, s, NOOP NOOP, 2, d);
		size_t n;

		n = genuine(p, s, "\xff" NOOP, 2, more); /* ends its record only */
		memcpy(d + len, more + LW_WIRE_HEADER_LEN, n - LW_WIRE_HEADER_LEN);
		len += n - LW_WIRE_HEADER_LEN;
		n = genuine(p, s, NOOP NOOP NOOP, 3, more);
		memcpy(d + len, more + LW_WIRE_HEADER_LEN, n - LW_WIRE_HEADER_LEN);
		len += n - LW_WIRE_HEADER_LEN;
		assert_int_equal(pair_feed(p, s, d, len), 5);
		assert_int_equal(s->counters.n[LW_CTR_FRAME_UNKNOWN], 1);
		pair_destroy(p);
	}
}

/* No server sends a frame in one datagram with the ACK that ends the handshake; should one do it,
 * the frame may be lost, the handshake may not. */
static void datagram__end_of_handshake_and_a_frame__handshake_done(void **state)
{
	struct pair *p = pair_create(false, 1);
	uint8_t d[PAIR_PACKET];
	uint8_t more[PAIR_PACKET];
	size_t len;
	size_t n;

	(void)state;
	pair_begin(p);
	pair_run_to(p, &p->server, LW_TUNNEL_LINK_UP);
	assert_int_equal(p->client.t->state, LW_TUNNEL_CONNECTING);
	len = pair_take(p, d);
	n = genuine(p, &p->client, NOOP NOOP, 2, more);
	memcpy(d + len, more + LW_WIRE_HEADER_LEN, n - LW_WIRE_HEADER_LEN);
	assert_true(pair_feed(p, &p->client, d, len + n - LW_WIRE_HEADER_LEN) >= 0);
	assert_int_equal(p->client.t->state, LW_TUNNEL_AUTHENTICATING);
	pair_run(p, 1 * LW_S, true);
	assert_int_equal(p->client.t->state, LW_TUNNEL_ONLINE);
	pair_destroy(p);
}

/* a frame that overtakes that ACK is nobody's yet: dropped, and nothing else happens */
static void datagram__frame_before_end_of_handshake__dropped(void **state)
{
	struct pair *p = pair_create(false, 1);
	uint8_t d[PAIR_PACKET];
	size_t len;

	(void)state;
	pair_begin(p);
	pair_run_to(p, &p->server, LW_TUNNEL_LINK_UP);
	len = genuine(p, &p->client, NOOP, 1, d);
	assert_int_equal(pair_feed(p, &p->client, d, len), 0);
	assert_int_equal(p->client.counters.n[LW_CTR_FRAMES_RX], 0);
	assert_false(pair_closed(&p->client));
	pair_run(p, 1 * LW_S, true);
	assert_int_equal(p->client.t->state, LW_TUNNEL_ONLINE);
	pair_destroy(p);
}

static void run__good_and_bad_pieces__good_ones_handled(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(false);
		struct pair_side *s = pair_end(p, side);
		uint8_t buf[6 * PAIR_PACKET];
		uint8_t d[PAIR_PACKET];
		size_t stride = genuine(p, s, NOOP NOOP, 2, d);
		struct lw_packet run = { .buf = buf,
			                 .cap = sizeof(buf),
			                 .gso_size = (uint16_t)stride,
			                 .gso_type = LW_GSO_RUN };
		struct lw_sink k = { .wire = s->wire, .inside = s->inside };

		for (int i = 0; i < 4; i++) {
			memcpy(buf + run.len, d, stride);
			buf[run.len] ^= i == 1 ? 1 : 0; /* not our magic */
			run.len += (uint32_t)stride;
			assert_int_equal(genuine(p, s, NOOP NOOP, 2, d), stride);
		}
		run.len += (uint32_t)genuine(p, s, NOOP, 1, buf + run.len);
		assert_int_equal(lw_tunnel_rx(s->t, &run, p->now_us, &k), 7);
		assert_int_equal(s->counters.n[LW_CTR_HEADER_BAD], 1);
		pair_destroy(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header__nothing_behind_it__ignored),
		cmocka_unit_test(header__nothing_behind_it_while_connecting__ignored),
		cmocka_unit_test(header__malformed__counted),
		cmocka_unit_test(header__other_version__server_ignores_client_takes),
		cmocka_unit_test(header__rejected_or_expresslane__ignored),
		cmocka_unit_test(header__as_sent__has_version_and_id),
		cmocka_unit_test(aggressive__until_online__three_copies_of_each),
		cmocka_unit_test(aggressive__server__one_copy_of_each),
		cmocka_unit_test(adoption__answer_within_auth_success__still_empty),
		cmocka_unit_test(adoption__auth_success__header_is_the_only_source),
		cmocka_unit_test(adoption__late_datagram__newer_id_stays_for_2_s),
		cmocka_unit_test(adoption__no_frame_accepted__nothing_happens),
		cmocka_unit_test(server__unknown_id__counted_and_kept),
		cmocka_unit_test(datagram__several_records__all_handled),
		cmocka_unit_test(datagram__end_of_handshake_and_a_frame__handshake_done),
		cmocka_unit_test(datagram__frame_before_end_of_handshake__dropped),
		cmocka_unit_test(run__good_and_bad_pieces__good_ones_handled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* wire.md 4.8 and 5.1: how a tunnel ends, what it says then, and that it stays ended. */
#include <errno.h>

#include "session/tunnel_priv.h"
#include "unit/frame_examples.h"
#include "unit/session_pair.h"
#include "unit/test.h"

/* bytes of datagrams: 4.8 */
#define LEN_GOODBYE 39
#define LEN_NOTIFY  40

/* the lengths of a side's datagrams */
struct sizes {
	uint32_t n[2];
	size_t len[2][32];
};

static void note(void *arg, bool from_client, const uint8_t *dgram, size_t len)
{
	struct sizes *s = arg;
	int i = from_client ? 0 : 1;

	(void)dgram;
	assert_in_range(s->n[i], 0, 31);
	s->len[i][s->n[i]++] = len;
}

static void check_goodbye(const struct sizes *s, int side, uint32_t copies)
{
	assert_int_equal(s->n[side], 2 * copies);
	for (uint32_t i = 0; i < copies; i++) {
		assert_int_equal(s->len[side][i], LEN_GOODBYE);
		assert_int_equal(s->len[side][copies + i], LEN_NOTIFY);
	}
}

static void close__online_on_udp__39_and_40_bytes_each_way(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(false);
		struct sizes s = { 0 };

		p->tap = note;
		p->tap_arg = &s;
		pair_close(p, pair_end(p, side));
		check_goodbye(&s, side, 1);
		assert_int_equal(s.n[!side], 0);
		pair_run(p, 1 * LW_S, false);
		check_goodbye(&s, side, 1);
		check_goodbye(&s, !side, 1); /* the peer's teardown */
		assert_int_equal(pair_end(p, side)->t->reason, LW_CLOSE_LOCAL);
		assert_int_equal(pair_end(p, !side)->t->reason, LW_CLOSE_PEER);
		assert_int_equal(pair_end(p, !side)->counters.n[LW_CTR_CLOSED_BY_PEER], 1);
		pair_destroy(p);
	}
}

/* a client that is not online yet says it three times */
static void close__before_online__both_told(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_at_login(i / 2 == 1);
		struct pair_side *a = pair_end(p, i % 2);
		struct sizes s = { 0 };

		p->tap = note;
		p->tap_arg = &s;
		pair_close(p, a);
		if (!p->stream)
			check_goodbye(&s, i % 2, i % 2 == 0 ? 3 : 1);
		pair_run(p, 10 * LW_MS, false);
		assert_int_equal(a->t->reason, LW_CLOSE_LOCAL);
		assert_int_equal(pair_peer(p, a)->t->reason, LW_CLOSE_PEER);
		assert_int_equal(pair_peer(p, a)->n_closed, 1);
		pair_destroy(p);
	}
}

/* wire.md 4.8: a disconnect in state Connecting sends nothing */
static void close__connecting__nothing_sent(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_create(i / 2 == 1, 1);
		struct pair_side *a = pair_end(p, i % 2);
		struct sizes s = { 0 };

		pair_begin(p);
		pair_run_to(p, a, LW_TUNNEL_CONNECTING);
		p->n_flight = 0;
		p->tap = note;
		p->tap_arg = &s;
		pair_close(p, a);
		assert_int_equal(p->n_flight, 0);
		assert_int_equal(s.n[0] + s.n[1], 0);
		assert_true(pair_closed(a));
		assert_int_equal(a->t->reason, LW_CLOSE_LOCAL);
		assert_int_equal(a->counters.n[LW_CTR_FRAMES_TX], 0);
		pair_destroy(p);
	}
}

/* close_notify without Goodbye is an end too */
static void close_notify__alone__ends_the_peer(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *a = pair_end(p, i % 2);
		struct pair_side *b = pair_peer(p, a);
		struct lw_sink k = { .wire = a->wire, .inside = a->inside };
		struct lw_out o = { .t = a->t, .k = &k };
		struct lw_tls_io io = lw_out_io(&o, NULL, 0);

		lw_tls_close(a->t->tls, &io);
		pair_flush(p, a);
		pair_run(p, 5 * LW_MS, false);
		assert_int_equal(b->t->reason, LW_CLOSE_PEER);
		assert_int_equal(b->result, -ECONNRESET);
		assert_int_equal(b->n_closed, 1);
		pair_destroy(p);
	}
}

/* both at once: neither is told of it as of the other's */
static void close__both_at_once__each_its_own(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);

		pair_close(p, &p->client);
		pair_close(p, &p->server);
		pair_run(p, 1 * LW_S, false);
		assert_int_equal(p->client.t->reason, LW_CLOSE_LOCAL);
		assert_int_equal(p->server.t->reason, LW_CLOSE_LOCAL);
		assert_int_equal(p->client.n_closed + p->server.n_closed, 0);
		pair_destroy(p);
	}
}

/* without room it is an end all the same */
static void close__no_room__nothing_sent(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *a = pair_end(p, i % 2);
		uint32_t cap = a->wire->cap;
		uint32_t free = a->chunks.n_free;

		a->wire->cap = 1;
		a->chunks.n_free = 0;
		pair_close(p, a);
		assert_int_equal(p->n_flight, 0);
		assert_true(pair_closed(a));
		assert_int_equal(a->counters.n[LW_CTR_SINK_FULL], 1);
		a->wire->cap = cap;
		a->chunks.n_free = free;
		pair_destroy(p);
	}
}

/* who cannot write does not say goodbye */
static void close__broken__nothing_sent(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *a = pair_end(p, i % 2);

		lw_tunnel_break(a->t, p->now_us);
		pair_close(p, a);
		assert_int_equal(p->n_flight, 0);
		assert_int_equal(a->t->reason, LW_CLOSE_LOCAL);
		pair_destroy(p);
	}
}

static void drop__connection_gone__nothing_said(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *a = pair_end(p, i % 2);
		uint64_t frames = a->counters.n[LW_CTR_FRAMES_TX];

		lw_tunnel_drop(a->t);
		pair_flush(p, a);
		assert_int_equal(p->n_flight, 0);
		assert_int_equal(a->counters.n[LW_CTR_FRAMES_TX], frames);
		assert_int_equal(a->t->reason, LW_CLOSE_LOST);
		lw_tunnel_drop(a->t);
		assert_int_equal(a->counters.n[LW_CTR_CLOSED_LOST], 1);
		assert_int_equal(a->counters.n[LW_CTR_SESSIONS_CLOSED], 1);
		pair_destroy(p);
	}
}

/* --- an ended tunnel --- */

static void check_is_dead(struct pair *p, struct pair_side *s)
{
	struct lw_sink k = { .wire = s->wire, .inside = s->inside };
	struct lw_auth_answer yes = { .size = sizeof(yes), .verdict = LW_AUTH_YES };
	uint8_t buf[256] = { 0 };
	struct lw_packet pkt = { .buf = buf, .cap = 256, .off = 64, .len = 100 };
	struct lw_counters before = s->counters;
	enum lw_close_reason reason = s->t->reason;
	struct lw_seg seg;
	size_t used = 99;

	buf[64] = 0x45;
	assert_int_equal(lw_seg_init(&seg, &pkt), 0);
	assert_int_equal(lw_tunnel_tx(s->t, &seg, p->now_us, &k), 0);
	assert_int_equal(lw_tunnel_rx(s->t, &pkt, p->now_us, &k), -ESHUTDOWN);
	assert_int_equal(lw_tunnel_rx_bytes(s->t, buf, 10, &used, p->now_us, &k), -ESHUTDOWN);
	assert_int_equal(used, 10);
	assert_int_equal(lw_tunnel_tick(s->t, p->now_us + 86400 * LW_S, &k), -ESHUTDOWN);
	s->t->auth_pending = true;
	assert_int_equal(lw_tunnel_auth(s->t, &yes, p->now_us, &k), 0);
	lw_tunnel_close(s->t, p->now_us, &k);
	lw_tunnel_drop(s->t);
	assert_true(lw_tunnel_deadline(s->t) == LW_NEVER);
	assert_int_equal(k.n_events, 0);
	assert_int_equal(s->wire->n + s->inside->n, 0);
	assert_int_equal(s->t->stream.used, 0);
	assert_int_equal(s->t->state, LW_TUNNEL_CLOSED);
	assert_int_equal(s->t->reason, reason);
	assert_memory_equal(&before, &s->counters, sizeof(before));
}

static void ended__every_call__does_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);

		pair_close(p, pair_end(p, i % 2));
		pair_run(p, 1 * LW_S, false);
		check_is_dead(p, &p->client);
		check_is_dead(p, &p->server);
		pair_destroy(p);
	}
}

/* what comes in the same record, datagram or run behind the end is not handled */
static void ended__rest_of_the_input__not_handled(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *s = pair_end(p, i % 2);
		uint64_t frames = s->counters.n[LW_CTR_FRAMES_RX];

		pair_inject_hex(p, pair_peer(p, s), "01 0c 01 02 0000 0000");
		assert_int_equal(s->counters.n[LW_CTR_FRAMES_RX], frames + 2);
		assert_int_equal(s->n_closed, 1);
		pair_destroy(p);
	}
}

static void ended__rest_of_a_run__not_handled(void **state)
{
	struct pair *p = pair_online(false);
	uint8_t buf[2 * PAIR_PACKET];
	struct lw_packet run = { .buf = buf, .cap = sizeof(buf), .gso_type = LW_GSO_RUN };
	struct lw_sink k = { .wire = p->client.wire, .inside = p->client.inside };
	uint64_t frames = p->client.counters.n[LW_CTR_FRAMES_RX];

	(void)state;
	pair_inject(p, &p->server, "\x0c", 1);
	run.gso_size = (uint16_t)pair_take(p, buf);
	pair_inject(p, &p->server, "\x01", 1);
	run.len = run.gso_size + (uint32_t)pair_take(p, buf + run.gso_size);
	assert_int_equal(lw_tunnel_rx(p->client.t, &run, p->now_us, &k), -ECONNRESET);
	assert_int_equal(p->client.counters.n[LW_CTR_FRAMES_RX], frames + 1);
	assert_int_equal(k.n_events, 1);
	assert_int_equal(k.events[0].type, LW_EVENT_CLOSED);
	assert_int_equal(k.events[0].arg, LW_CLOSE_PEER);
	pair_destroy(p);
}

/* --- TLS that fails --- */

static int feed_bytes(struct pair *p, struct pair_side *s, const void *bytes, size_t len)
{
	struct lw_sink k = { .wire = s->wire, .inside = s->inside };
	size_t used = 0;
	int r = lw_tunnel_rx_bytes(s->t, bytes, len, &used, p->now_us, &k);

	s->n_closed += k.n_events > 0 && k.events[k.n_events - 1].type == LW_EVENT_CLOSED;
	return r;
}

static void check_tls_failed(struct pair_side *s, int r)
{
	assert_int_equal(r, -EPROTO);
	assert_int_equal(s->n_closed, 1);
	assert_int_equal(s->t->reason, LW_CLOSE_HANDSHAKE);
	assert_int_equal(s->counters.n[LW_CTR_CLOSED_HANDSHAKE], 1);
	assert_true(strlen(lw_tls_error(s->t->tls)) > 0);
}

static void tls__no_handshake_on_tcp__ends(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: example\r\n\r\n";

	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_create(true, 1);
		struct pair_side *s = pair_end(p, side);

		if (side == 0)
			pair_begin(p);
		check_tls_failed(s, feed_bytes(p, s, request, sizeof(request) - 1));
		assert_int_equal(s->counters.n[LW_CTR_FRAMES_TX], 0);
		pair_destroy(p);
	}
}

/* on a stream a record that does not decrypt is an attack; nothing is said under its key */
static void tls__bad_record_on_tcp__ends_without_goodbye(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(true);
		struct pair_side *s = pair_end(p, side);
		uint64_t frames = s->counters.n[LW_CTR_FRAMES_TX];
		struct pair_packet *q;

		pair_inject(p, pair_peer(p, s), "\x01", 1);
		q = p->flight[0];
		q->data[q->len - 1] ^= 1;
		check_tls_failed(s, feed_bytes(p, s, q->data, q->len));
		assert_int_equal(s->counters.n[LW_CTR_FRAMES_TX], frames);
		pair_destroy(p);
	}
}

/* a fatal alert of the peer, here for a certificate of another CA */
static void tls__certificate_refused__both_end(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_prepare(stream, 1);

		lw_tls_ctx_destroy(p->client_ctx);
		p->client_ctx = pair_client_ctx("other-ca.crt");
		pair_open(p);
		pair_begin(p);
		pair_run(p, 1 * LW_S, false);
		assert_int_equal(p->client.t->reason, LW_CLOSE_HANDSHAKE);
		assert_int_equal(p->client.n_closed, 1);
		assert_non_null(strstr(lw_tls_error(p->client.t->tls), "CA"));
		assert_int_equal(p->client.counters.n[LW_CTR_FRAMES_TX], 0);
		assert_int_equal(p->server.t->reason, LW_CLOSE_HANDSHAKE);
		assert_int_equal(p->server.n_closed, 1);
		assert_int_equal(p->server.counters.n[LW_CTR_FRAMES_TX], 0);
		pair_destroy(p);
	}
}

/* --- small print --- */

static void reason__every_one__has_a_text_of_its_own(void **state)
{
	(void)state;
	for (int a = LW_CLOSE_NONE; a <= LW_CLOSE_PROTOCOL; a++) {
		assert_true(strlen(lw_close_reason_text((enum lw_close_reason)a)) > 5);
		for (int b = LW_CLOSE_NONE; b < a; b++)
			assert_string_not_equal(lw_close_reason_text((enum lw_close_reason)a),
			                        lw_close_reason_text((enum lw_close_reason)b));
	}
	assert_string_equal(lw_counter_names[LW_CTR_SESSIONS_OPENED], "sessions_opened");
	assert_string_equal(lw_counter_names[LW_CTR_MAX - 1], "bursts_grown");
}

static void create__state_of_modules__zeroed_and_tos_not_taken(void **state)
{
	struct pair *p = pair_prepare(true, 1);
	struct lw_tunnel_start start = { .stream = true, .serial = 7 };
	struct lw_tunnel *t;

	(void)state;
	start.pool = &p->client.chunks;
	start.counters = &p->client.counters;
	start.endpoint.tos = 0xb8;
	p->client.conf.state_bytes = 96;
	assert_int_equal(lw_tls_create(p->client_ctx, LW_TLS_STREAM, 0, &start.tls), 0);
	assert_int_equal(lw_tunnel_create(&p->client.conf, &start, 1, &t), 0);
	for (uint32_t i = 0; i < 96; i++)
		assert_int_equal(t->s.state[i], 0);
	assert_int_equal(t->endpoint.tos, 0);
	assert_int_equal(t->s.serial, 7);
	assert_int_equal(t->state, LW_TUNNEL_CONNECTING);
	assert_int_equal(p->client.counters.n[LW_CTR_SESSIONS_OPENED], 1);
	lw_tunnel_destroy(t);
	lw_tunnel_destroy(NULL);
	pair_open(p);
	pair_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close__online_on_udp__39_and_40_bytes_each_way),
		cmocka_unit_test(close__before_online__both_told),
		cmocka_unit_test(close__connecting__nothing_sent),
		cmocka_unit_test(close_notify__alone__ends_the_peer),
		cmocka_unit_test(close__both_at_once__each_its_own),
		cmocka_unit_test(close__no_room__nothing_sent),
		cmocka_unit_test(close__broken__nothing_sent),
		cmocka_unit_test(drop__connection_gone__nothing_said),
		cmocka_unit_test(ended__every_call__does_nothing),
		cmocka_unit_test(ended__rest_of_the_input__not_handled),
		cmocka_unit_test(ended__rest_of_a_run__not_handled),
		cmocka_unit_test(tls__no_handshake_on_tcp__ends),
		cmocka_unit_test(tls__bad_record_on_tcp__ends_without_goodbye),
		cmocka_unit_test(tls__certificate_refused__both_end),
		cmocka_unit_test(reason__every_one__has_a_text_of_its_own),
		cmocka_unit_test(create__state_of_modules__zeroed_and_tos_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

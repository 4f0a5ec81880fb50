/* SPDX-License-Identifier: MIT */
/* Rotation of session ids and another address, as one tunnel sees them: wire.md 6 and 7.11. */
#include <string.h>

#include "base/addr.h"
#include "session/tunnel_priv.h"
#include "unit/lane_bed.h"
#include "unit/session_pair.h"
#include "unit/test.h"
#include "wire/header.h"

#define NOOP "01"
#define A    UINT64_C(0x1122334455667788) /* what session_pair.c begins with */
#define B    UINT64_C(0x00b0b0b0b0b0b0b0)
#define C    UINT64_C(0x00c0c0c0c0c0c0c0)

static const uint8_t ipv4_packet[28] = { 0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17,
	                                 0,    0, 10, 1,  1, 1, 8, 8, 8,  8 };

/* ids in the headers that a side has sent, the last ones */
struct seen {
	uint64_t id[2]; /* of the client, of the server */
	uint32_t n[2];
};

static void look(void *arg, bool from_client, const uint8_t *dgram, size_t len)
{
	struct seen *s = arg;
	struct lw_wire_header h;

	assert_int_equal(lw_wire_header_parse(dgram, len, &h), 0);
	s->id[from_client ? 0 : 1] = h.session;
	s->n[from_client ? 0 : 1]++;
}

static void rotate(struct pair *p, uint64_t id)
{
	struct lw_sink k = { .wire = p->server.wire, .inside = p->server.inside };

	assert_true(lw_tunnel_may_rotate(p->server.t));
	lw_tunnel_rotate(p->server.t, id, p->now_us, &k);
	pair_flush(p, &p->server);
}

/* A client's frame under an id of the test's choice; what the server made of it. */
static int feed_server(struct pair *p, uint64_t id)
{
	uint8_t d[PAIR_PACKET];
	const struct lw_wire_header h = { .session = id, .major = LW_WIRE_MAJOR, .minor = 3 };
	size_t len;

	pair_inject(p, &p->client, "\x01", 1);
	len = pair_take(p, d);
	lw_wire_header_write(d, &h);
	return pair_feed(p, &p->server, d, len);
}

/* The Pong leaves before the client has adopted the id, so it is the next datagram that ends it. */
static void rotate__online__ping_announces_and_client_adopts(void **state)
{
	struct pair *p = pair_online(false);
	struct seen s = { 0 };

	(void)state;
	pair_inject_hex(p, &p->client, NOOP);
	p->tap = look;
	p->tap_arg = &s;
	assert_true(p->client.t->id == A);
	rotate(p, B);
	assert_false(lw_tunnel_may_rotate(p->server.t));
	assert_int_equal(s.n[1], 1);
	assert_true(s.id[1] == B);
	pair_run(p, 10 * LW_MS, false);
	assert_int_equal(s.n[0], 1);
	assert_true(s.id[0] == A);
	assert_true(p->client.t->id == B);
	assert_int_equal(p->server.n_rotated, 0);
	assert_in_range(p->server.counters.rtt_us, 4 * LW_MS, 5 * LW_MS);
	pair_inject_hex(p, &p->client, NOOP);
	assert_true(s.id[0] == B);
	assert_int_equal(p->server.n_rotated, 1);
	assert_true(lw_tunnel_may_rotate(p->server.t));
	pair_inject_hex(p, &p->client, NOOP);
	assert_int_equal(p->server.n_rotated, 1);
	assert_int_equal(p->server.counters.n[LW_CTR_SESSION_ID_MISMATCH], 0);
	pair_destroy(p);
}

static void rotate__announcement_lost__any_later_datagram_tells(void **state)
{
	struct pair *p = pair_online(false);

	(void)state;
	pair_inject_hex(p, &p->client, NOOP);
	p->server.drop_next = 1;
	rotate(p, B);
	pair_run(p, 10 * LW_MS, false);
	assert_true(p->client.t->id == A);
	pair_inject_hex(p, &p->client, NOOP);
	assert_int_equal(p->server.n_rotated, 0);
	pair_send(p, &p->server, ipv4_packet, sizeof(ipv4_packet));
	pair_run(p, 10 * LW_MS, false);
	assert_int_equal(p->client.n_got, 1);
	assert_true(p->client.t->id == B);
	pair_inject_hex(p, &p->client, NOOP);
	assert_int_equal(p->server.n_rotated, 1);
	pair_destroy(p);
}

/* There is no limit to the wait, and the client's own keepalive ends it. */
static void rotate__client_silent_for_long__its_keepalive_ends_it(void **state)
{
	struct pair *p = pair_online(false);

	(void)state;
	p->server.mute = true;
	rotate(p, B);
	pair_run(p, 9 * LW_S, false);
	p->server.mute = false;
	assert_false(lw_tunnel_may_rotate(p->server.t));
	pair_run(p, 30 * LW_S, false);
	assert_true(p->client.t->id == B);
	assert_int_equal(p->server.n_rotated, 1);
	assert_false(pair_closed(&p->client));
	pair_destroy(p);
}

static void rotate__pending__both_ids_are_the_peers(void **state)
{
	struct pair *p = pair_online(false);
	const uint64_t *mismatches = &p->server.counters.n[LW_CTR_SESSION_ID_MISMATCH];

	(void)state;
	p->server.drop_next = 1;
	rotate(p, B);
	assert_int_equal(feed_server(p, A), 1);
	assert_int_equal(feed_server(p, LW_WIRE_ID_EMPTY), 1);
	assert_int_equal(*mismatches, 0);
	assert_int_equal(feed_server(p, C), 1);
	assert_int_equal(*mismatches, 1);
	assert_int_equal(p->server.n_rotated, 0);
	assert_true(p->server.t->id == B && p->server.t->old_id == A);
	assert_int_equal(feed_server(p, B), 1);
	assert_int_equal(p->server.n_rotated, 1);
	assert_int_equal(*mismatches, 1);
	/* late, from where the peer is known: taken, but no longer its id */
	assert_int_equal(feed_server(p, A), 1);
	assert_int_equal(*mismatches, 2);
	assert_int_equal(p->server.n_rotated, 1);
	pair_destroy(p);
}

static void rotate__nothing_accepted__goes_on(void **state)
{
	struct pair *p = pair_online(false);
	const struct lw_wire_header h = { .session = B, .major = LW_WIRE_MAJOR, .minor = 3 };
	uint8_t d[PAIR_PACKET];
	size_t len;

	(void)state;
	p->server.drop_next = 1;
	rotate(p, B);
	pair_inject(p, &p->client, "\x01", 1);
	len = pair_take(p, d);
	assert_int_equal(pair_feed(p, &p->server, d, len), 1);
	lw_wire_header_write(d, &h); /* the same once more, under the new id */
	assert_int_equal(pair_feed(p, &p->server, d, len), 0);
	assert_int_equal(pair_feed(p, &p->server, d, LW_WIRE_HEADER_LEN), 0);
	d[len - 1] ^= 1;
	assert_int_equal(pair_feed(p, &p->server, d, len), 0);
	assert_int_equal(p->server.n_rotated, 0);
	assert_true(p->server.t->old_id == A);
	pair_destroy(p);
}

/* Before the login there is nothing to ping; the answer to it tells. */
static void rotate__login_on_its_way__no_ping_and_answer_tells(void **state)
{
	struct pair *p = pair_at_login(false);
	struct seen s = { 0 };

	(void)state;
	pair_run(p, 20 * LW_MS, false);
	p->tap = look;
	p->tap_arg = &s;
	rotate(p, B);
	assert_int_equal(s.n[1], 0);
	assert_int_equal(p->server.counters.n[LW_CTR_PINGS_TX], 0);
	pair_auth(p, LW_AUTH_YES);
	pair_run(p, 20 * LW_MS, false);
	assert_true(s.id[1] == B);
	assert_true(p->client.t->id == B);
	pair_inject_hex(p, &p->client, NOOP);
	assert_int_equal(p->server.n_rotated, 1);
	pair_destroy(p);
}

static void may_rotate__client_stream_or_closed__no(void **state)
{
	struct pair *p = pair_online(false);
	struct pair *q = pair_online(true);

	(void)state;
	assert_true(lw_tunnel_may_rotate(p->server.t));
	assert_false(lw_tunnel_may_rotate(p->client.t));
	assert_false(lw_tunnel_may_rotate(q->server.t));
	assert_false(lw_tunnel_may_rotate(q->client.t));
	pair_close(p, &p->server);
	assert_false(lw_tunnel_may_rotate(p->server.t));
	pair_destroy(p);
	pair_destroy(q);
}

/* wire.md 4.7: on UDP a key update of the server's is time for another id */
static void key_update__begun__event_on_udp_only(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);

		pair_run(p, 895 * LW_S, false);
		assert_int_equal(p->server.n_key_updates, 0);
		pair_run(p, 20 * LW_S, false);
		assert_int_equal(p->server.counters.n[LW_CTR_KEY_UPDATES], 1);
		assert_int_equal(p->server.n_key_updates, stream ? 0 : 1);
		assert_int_equal(p->client.n_key_updates, 0);
		pair_run(p, 920 * LW_S, false);
		assert_int_equal(p->server.counters.n[LW_CTR_KEY_UPDATES], 2);
		assert_int_equal(p->server.n_key_updates, stream ? 0 : 2);
		pair_destroy(p);
	}
}

/* With loss, reordering and doubles, and a rotation every 200 ms: it is always the newest in the
 * end, and never a third one that either end takes for its own. */
static void rotate__bad_network__ends_agree_in_the_end(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct pair *p = pair_online(false);
		uint32_t begun = 0;

		p->seed = seed * 77;
		p->loss_percent = 30;
		p->twice_percent = 20;
		p->reorder = true;
		for (uint64_t i = 0; i < 200; i++) {
			if (lw_tunnel_may_rotate(p->server.t)) {
				rotate(p, 0x1000 + i);
				begun++;
			}
			pair_send(p, &p->client, ipv4_packet, sizeof(ipv4_packet));
			pair_send(p, &p->server, ipv4_packet, sizeof(ipv4_packet));
			pair_run(p, 20 * LW_MS, false);
			assert_int_equal(p->server.n_rotated + !lw_tunnel_may_rotate(p->server.t),
			                 begun);
		}
		assert_true(begun > 20);
		p->loss_percent = 0;
		for (int i = 0; i < 3; i++) {
			pair_send(p, &p->server, ipv4_packet, sizeof(ipv4_packet));
			pair_run(p, 20 * LW_MS, false);
			pair_send(p, &p->client, ipv4_packet, sizeof(ipv4_packet));
			pair_run(p, 20 * LW_MS, false);
		}
		assert_true(p->client.t->id == p->server.t->id);
		assert_int_equal(p->server.n_rotated, begun);
		pair_destroy(p);
	}
}

/* --- Expresslane: the id is in the header and in what is authenticated --- */

static void lane_packets(struct pair *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		pair_send(p, &p->client, ipv4_packet, sizeof(ipv4_packet));
		pair_send(p, &p->server, ipv4_packet, sizeof(ipv4_packet));
	}
	pair_run(p, 5 * LW_MS, false);
}

static void lane__rotations_under_traffic__every_packet_opens(void **state)
{
	struct lane_bed b;
	struct pair *p;

	(void)state;
	lane_bed_init_pair(&b, 1, 900 * LW_S);
	p = b.p;
	lane_packets(p, 1);
	for (uint64_t i = 0; i < 10; i++) {
		uint64_t rx[2] = { p->client.counters.n[LW_CTR_EXPRESSLANE_RX],
			           p->server.counters.n[LW_CTR_EXPRESSLANE_RX] };

		p->server.drop_next = 1; /* data alone announces it */
		rotate(p, 0x500 + i);
		lane_packets(p, 3); /* the client's under the old id, the server's under the new */
		assert_int_equal(p->server.n_rotated, i);
		assert_true(p->client.t->id == 0x500 + i);
		lane_packets(p, 3);
		assert_int_equal(p->server.n_rotated, i + 1);
		assert_int_equal(p->client.counters.n[LW_CTR_EXPRESSLANE_RX], rx[0] + 6);
		assert_int_equal(p->server.counters.n[LW_CTR_EXPRESSLANE_RX], rx[1] + 6);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pair_end(p, i)->counters.n[LW_CTR_EXPRESSLANE_AUTH_FAILED], 0);
		assert_int_equal(pair_end(p, i)->counters.n[LW_CTR_SESSION_ID_MISMATCH], 0);
	}
	lane_bed_fini(&b);
}

/* Unlike in DTLS nobody on the way can give it another id. */
static void lane__id_changed_on_the_way__not_opened(void **state)
{
	struct lane_bed b;
	uint8_t d[PAIR_PACKET];
	struct pair *p;
	size_t len;

	(void)state;
	lane_bed_init_pair(&b, 1, 900 * LW_S);
	p = b.p;
	lane_packets(p, 1);
	p->server.drop_next = 1;
	rotate(p, B);
	pair_send(p, &p->client, ipv4_packet, sizeof(ipv4_packet));
	len = pair_take(p, d);
	assert_true(d[5] == 1);
	memcpy(d + 8, "\x00\xb0\xb0\xb0\xb0\xb0\xb0\xb0", 8);
	assert_int_equal(pair_feed(p, &p->server, d, len), 0);
	assert_int_equal(p->server.counters.n[LW_CTR_EXPRESSLANE_AUTH_FAILED], 1);
	assert_int_equal(p->server.n_rotated, 0);
	lane_bed_fini(&b);
}

/* --- addresses --- */

static void move__what_follows__goes_there_and_joins_no_run(void **state)
{
	struct pair *p = pair_online(false);
	struct lw_tunnel *t = p->server.t;
	const struct lw_endpoint before = t->endpoint;
	const struct lw_endpoint there = { .remote = lw_addr_ipv4(0xcb007109, 4242),
		                           .local = lw_addr_ipv4(0xc6336402, 27690),
		                           .tag = 3,
		                           .tos = 0xb8 };
	struct lw_sink k = { .wire = p->server.wire,
		             .inside = p->server.inside,
		             .run_segs = 64,
		             .run_bytes = 60000 };

	(void)state;
	lw_send_keepalive(t, LW_FRAME_PING, 0, p->now_us, &k);
	lw_tunnel_move(t, &there);
	lw_send_keepalive(t, LW_FRAME_PING, 0, p->now_us, &k);
	lw_send_keepalive(t, LW_FRAME_PING, 0, p->now_us, &k);
	assert_int_equal(k.wire->n, 2);
	assert_memory_equal(k.wire->pkt[0].endpoint, &before, sizeof(before));
	assert_true(lw_addr_equal(&k.wire->pkt[1].endpoint->remote, &there.remote));
	assert_true(lw_addr_equal(&k.wire->pkt[1].endpoint->local, &there.local));
	assert_int_equal(k.wire->pkt[1].endpoint->tag, 3);
	assert_int_equal(k.wire->pkt[1].endpoint->tos, 0);
	assert_int_equal(k.wire->pkt[1].gso_type, LW_GSO_RUN);
	lw_batch_reset(k.wire);
	pair_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rotate__online__ping_announces_and_client_adopts),
		cmocka_unit_test(rotate__announcement_lost__any_later_datagram_tells),
		cmocka_unit_test(rotate__client_silent_for_long__its_keepalive_ends_it),
		cmocka_unit_test(rotate__pending__both_ids_are_the_peers),
		cmocka_unit_test(rotate__nothing_accepted__goes_on),
		cmocka_unit_test(rotate__login_on_its_way__no_ping_and_answer_tells),
		cmocka_unit_test(may_rotate__client_stream_or_closed__no),
		cmocka_unit_test(key_update__begun__event_on_udp_only),
		cmocka_unit_test(rotate__bad_network__ends_agree_in_the_end),
		cmocka_unit_test(lane__rotations_under_traffic__every_packet_opens),
		cmocka_unit_test(lane__id_changed_on_the_way__not_opened),
		cmocka_unit_test(move__what_follows__goes_there_and_joins_no_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

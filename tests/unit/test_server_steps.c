/* SPDX-License-Identifier: MIT */
/* Steps of handshakes that helpers take, and all that can happen to a session meanwhile. */
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "server/record.h"
#include "server/steps.h"
#include "unit/bed_server.h"
#include "unit/test.h"
#include "wire/header.h"

#define HOME 0xc0000201u
#define PORT 1000

/* outside MTUs: the second hello takes one datagram, or two */
#define MTU_OF_ONE 1500
#define MTU_OF_TWO 1450

static struct bed *bed_of(struct net *net, uint32_t helpers)
{
	return bed_create(net, &(struct bed_plan){ .helpers = helpers });
}

static struct peer *peer_at(struct bed *b, bool stream, uint32_t mtu)
{
	const struct lw_addr addr = lw_addr_ipv4(HOME, PORT);

	return peer_create_at(b, &addr, stream, mtu);
}

/* A peer has said hello, and the first step of its session waits for a helper. */
static struct peer *begin_held(struct bed *b, bool stream, uint32_t mtu)
{
	struct peer *p = peer_at(b, stream, mtu);

	bed_hold_steps(b);
	peer_begin(p);
	bed_settle(b, &p, 1);
	assert_int_equal(b->s.n_lent, 1);
	assert_int_equal(b->s.n, 1);
	return p;
}

/* With one helper: what it was given before is done when it is held again; nobody reads the mail.
 */
static void take_steps(struct bed *b)
{
	bed_release_steps(b);
	bed_hold_steps(b);
}

/* a server has one session at most in these tests */
static struct lw_record *record(struct bed *b)
{
	const struct lw_endpoint ep = { .remote = lw_addr_ipv4(HOME, PORT) };
	struct lw_record *rec = lw_record_find(&b->s, &b->s.core->path.ports[0], &ep);

	assert_non_null(rec);
	return rec;
}

static struct lw_tunnel *tunnel(struct bed *b)
{
	return record(b)->timed.tunnel;
}

static void finish(struct bed *b, struct peer *p)
{
	peer_destroy(p);
	bed_destroy(b);
}

/* --- all goes well --- */

static void steps__helpers_take_them__online_at_once(void **state)
{
	static const struct {
		bool stream;
		uint32_t mtu;
		uint64_t lent; /* how often */
	} kinds[] = { { false, MTU_OF_ONE, 1 }, { false, MTU_OF_TWO, 2 }, { true, 1500, 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct net net = { 0 };
		struct bed *b = bed_of(&net, 2);
		struct peer *p = peer_at(b, kinds[i].stream, kinds[i].mtu);

		peer_begin(p);
		bed_settle(b, &p, 1);
		assert_true(p->online);
		assert_int_equal(bed_counter(b, LW_SRV_HANDSHAKES_LENT), kinds[i].lent);
		assert_int_equal(b->s.n_lent, 0);
		finish(b, p);
	}
}

static void steps__of_many_at_once__each_gets_its_own(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 2);
	struct peer *p[40];
	uint32_t n = sizeof(p) / sizeof(p[0]);

	(void)state;
	for (uint32_t i = 0; i < n; i++) {
		p[i] = peer_create(b, HOME + i, PORT, i % 4 == 0);
		peer_begin(p[i]);
	}
	/* some go while their step may be with a helper */
	for (uint32_t i = 0; i < n; i += 5) {
		(void)bed_round(b);
		peer_vanish(p[i]);
	}
	bed_run(b, p, n, LW_US_PER_S); /* of so many in a batch some say hello again */
	for (uint32_t i = 0; i < n; i++)
		assert_true(p[i]->online || i % 5 == 0);
	assert_int_equal(b->s.n_lent, 0);
	for (uint32_t i = 0; i < n; i++)
		peer_destroy(p[i]);
	bed_destroy(b);
}

/* A hash takes a helper as long as hundreds of handshakes. */
static void steps__authenticators_block__handshakes_go_on(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p[LW_HELPER_THREADS + 1];
	uint32_t n = LW_HELPER_THREADS;

	(void)state;
	bed_verdict(b, 0, BED_BLOCK);
	for (uint32_t i = 0; i <= n; i++) {
		p[i] = peer_create(b, HOME + i, PORT, false);
		peer_begin(p[i]);
		for (int k = 0; k < 5000 && bed_jobs(b) <= i; k++) {
			(void)lw_core_round(b->engine.cores, LW_US_PER_MS);
			(void)peer_round(p[i]);
		}
		if (i + 1 == n)
			bed_wait_blocked(b, 0, n);
		assert_true(p[i]->t->handshake_done);
		assert_false(p[i]->online);
	}
	bed_release(b, 0);
	bed_settle(b, p, n + 1);
	for (uint32_t i = 0; i <= n; i++) {
		assert_true(p[i]->online);
		peer_destroy(p[i]);
	}
	bed_destroy(b);
}

/* --- while a step is out --- */

static void step__is_out__copies_wait_once(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = begin_held(b, false, MTU_OF_ONE);

	(void)state;
	assert_true(lw_tunnel_is_lent(tunnel(b)));
	assert_int_equal(tunnel(b)->waiting.n, 1);
	bed_release_steps(b);
	bed_settle(b, &p, 1);
	assert_true(p->online);
	assert_int_equal(tunnel(b)->waiting.cap, 0);
	assert_int_equal(bed_counter(b, LW_SRV_HANDSHAKES_LENT), 1);
	finish(b, p);
}

static void step__is_out__second_fragment_waits(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = begin_held(b, false, MTU_OF_TWO);

	(void)state;
	assert_int_equal(tunnel(b)->waiting.n, 2);
	bed_release_steps(b);
	bed_settle(b, &p, 1); /* no time passes: nothing is sent again */
	assert_true(p->online);
	finish(b, p);
}

static void step__is_out__junk_has_an_end(void **state)
{
	const struct lw_wire_header h = { .major = LW_WIRE_MAJOR, .minor = LW_WIRE_MINOR_MAX };
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = begin_held(b, false, MTU_OF_ONE);
	uint8_t junk[1400] = { 0 };

	(void)state;
	lw_wire_header_write(junk, &h);
	for (uint8_t i = 0; i < 50; i++) {
		junk[LW_WIRE_HEADER_LEN] = i;
		net_send(&net, &p->addr, &p->server, junk, sizeof(junk));
	}
	bed_settle(b, &p, 1);
	assert_int_equal(tunnel(b)->waiting.n, LW_STEP_DATAGRAMS);
	assert_int_equal(bed_tunnels(b, LW_CTR_HANDSHAKE_DROPPED), 51 - LW_STEP_DATAGRAMS);
	bed_release_steps(b);
	bed_settle(b, &p, 1);
	assert_true(p->online);
	finish(b, p);
}

/* Who guesses an id, or has seen it, cannot move a session that has no keys yet. */
static void step__is_out__its_id_from_elsewhere__not_moved(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = begin_held(b, false, MTU_OF_ONE);
	const struct lw_wire_header h = { .session = record(b)->id.id,
		                          .major = LW_WIRE_MAJOR,
		                          .minor = LW_WIRE_MINOR_MAX };
	const struct lw_addr other = lw_addr_ipv4(HOME + 1, PORT);
	uint8_t junk[100] = { 0 };

	(void)state;
	lw_wire_header_write(junk, &h);
	net_send(&net, &other, &p->server, junk, sizeof(junk));
	bed_settle(b, &p, 1);
	assert_int_equal(bed_counter(b, LW_SRV_MOVES_REFUSED), 1);
	bed_release_steps(b);
	bed_settle(b, &p, 1);
	assert_true(p->online);
	assert_int_equal(bed_counter(b, LW_SRV_MOVES), 0);
	finish(b, p);
}

/* Its own timers run on: it stays no longer than any other that gets nowhere. */
static void step__is_out_for_a_minute__session_ends(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct net net = { 0 };
		struct bed *b = bed_of(&net, 1);
		struct peer *p = begin_held(b, stream, MTU_OF_ONE);

		bed_run(b, NULL, 0, 59 * LW_US_PER_S);
		assert_int_equal(b->s.n, 1);
		bed_run(b, NULL, 0, 2 * LW_US_PER_S);
		assert_int_equal(b->s.n, 0);
		assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_STALE), 1);
		assert_int_equal(b->s.n_lent, 1);
		bed_release_steps(b);
		bed_settle(b, NULL, 0);
		assert_int_equal(b->s.n_lent, 0);
		finish(b, p);
	}
}

/* The library's clock begins anew where it stood: nothing is sent twice for a late answer. */
static void step__is_out_for_seconds__answered_once(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = begin_held(b, false, MTU_OF_ONE);
	uint64_t got;

	(void)state;
	bed_run(b, NULL, 0, 5 * LW_US_PER_S); /* the peer is asleep */
	assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_CLOSED), 0);
	got = p->n_got;
	bed_release_steps(b);
	bed_settle(b, NULL, 0);
	assert_int_equal(b->s.n_lent, 0);
	bed_settle(b, &p, 1);
	assert_true(p->online);
	assert_in_range(p->n_got - got, 2, 12);
	finish(b, p);
}

/* --- the server ends --- */

static void server__ends_while_a_step_is_out__nothing_left(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct net net = { 0 };
		struct bed *b = bed_of(&net, 1);
		struct peer *p = begin_held(b, stream, MTU_OF_ONE);

		finish(b, p);
	}
}

static void server__ends_before_it_reads_the_mail__nothing_left(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct net net = { 0 };
		struct bed *b = bed_of(&net, 1);
		struct peer *p = begin_held(b, stream, MTU_OF_ONE);

		take_steps(b);
		lw_sessions_close_all(&b->s);
		assert_int_equal(b->s.n_lent, 1);
		finish(b, p);
	}
}

/* The mail has come: the session it is for goes in the same round, before it is read. */
static void session__ends_before_its_step_is_back__nothing_is_sent(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = begin_held(b, false, MTU_OF_ONE);
	uint64_t got = p->n_got;

	(void)state;
	take_steps(b);
	lw_path_close(&b->s.core->path, tunnel(b), b->s.core->now_us);
	bed_release_steps(b);
	bed_settle(b, NULL, 0);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(b->s.n_lent, 0);
	bed_settle(b, &p, 1);
	assert_int_equal(p->n_got, got);
	finish(b, p);
}

/* --- no room --- */

static void hello__too_many_steps_are_out__dropped_until_there_is_room(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = peer_at(b, false, MTU_OF_ONE);

	(void)state;
	b->s.n_lent = LW_STEPS_MAX;
	bed_hold_steps(b); /* so that bed_settle() does not wait for them */
	peer_begin(p);
	bed_settle(b, &p, 1);
	assert_int_equal(bed_counter(b, LW_SRV_HANDSHAKES_BUSY), 3);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), 0);
	assert_int_equal(b->s.n, 0);
	b->s.n_lent = 0;
	bed_release_steps(b);
	bed_run(b, &p, 1, 200 * LW_US_PER_MS);
	assert_true(p->online);
	finish(b, p);
}

static void fragment__too_many_steps_are_out__waits_for_a_resend(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = begin_held(b, false, MTU_OF_TWO);

	(void)state;
	take_steps(b);
	b->s.n_lent = LW_STEPS_MAX;
	bed_settle(b, NULL, 0); /* the first step is back, the next finds no room */
	assert_int_equal(bed_counter(b, LW_SRV_HANDSHAKES_BUSY), 1);
	assert_int_equal(b->s.n, 1);
	assert_int_equal(tunnel(b)->waiting.n, 2);
	b->s.n_lent = 0;
	bed_release_steps(b);
	bed_settle(b, &p, 1);
	assert_false(p->online);
	bed_run(b, &p, 1, 200 * LW_US_PER_MS);
	assert_true(p->online);
	finish(b, p);
}

static void connection__too_many_steps_are_out__ends(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = peer_at(b, true, 1500);

	(void)state;
	b->s.n_lent = LW_STEPS_MAX;
	bed_hold_steps(b);
	peer_begin(p);
	bed_settle(b, &p, 1);
	assert_true(p->closed);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(bed_counter(b, LW_SRV_HANDSHAKES_BUSY), 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_LOST), 1);
	b->s.n_lent = 0;
	finish(b, p);
}

/* --- TCP --- */

static void connection__step_is_out__not_read(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = begin_held(b, true, 1500);
	const uint8_t junk[] = "nobody reads this before the hello is answered";

	(void)state;
	assert_int_equal(p->conn.twin->in_len, 0);
	assert_int_equal(net_conn_write(&p->conn, junk, sizeof(junk)), sizeof(junk));
	bed_settle(b, NULL, 0);
	assert_int_equal(p->conn.twin->in_len, sizeof(junk));
	assert_int_equal(b->s.n, 1);
	bed_release_steps(b);
	bed_settle(b, &p, 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_HANDSHAKE), 1);
	assert_true(p->closed);
	finish(b, p);
}

static void connection__ends_while_the_step_is_out__so_does_the_session(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = begin_held(b, true, 1500);

	(void)state;
	peer_vanish(p);
	bed_settle(b, NULL, 0);
	assert_int_equal(b->s.n, 1);
	bed_release_steps(b);
	bed_settle(b, NULL, 0);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_LOST), 1);
	finish(b, p);
}

static void connection__hello_in_two_pieces__online(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = peer_at(b, true, 1500);
	uint8_t rest[4096];
	size_t len;

	(void)state;
	peer_begin(p);
	len = p->conn.twin->in_len - 100;
	assert_in_range(len, 1, sizeof(rest));
	memcpy(rest, p->conn.twin->in + 100, len);
	p->conn.twin->in_len = 100;
	bed_settle(b, &p, 1);
	assert_int_equal(bed_counter(b, LW_SRV_HANDSHAKES_LENT), 1);
	assert_int_equal(net_conn_write(&p->conn, rest, len), len);
	bed_settle(b, &p, 1);
	assert_int_equal(bed_counter(b, LW_SRV_HANDSHAKES_LENT), 2);
	assert_true(p->online);
	finish(b, p);
}

/* The bytes of one who cannot connect, from one read; the session ends, after so many steps. */
static void check_refused(const uint8_t *bytes, size_t len, uint64_t lent, size_t answer)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = peer_at(b, true, 1500);

	peer_begin(p);
	p->conn.twin->in_len = 0; /* its hello */
	assert_int_equal(net_conn_write(&p->conn, bytes, len), len);
	bed_settle(b, NULL, 0);
	assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_HANDSHAKE), 1);
	assert_int_equal(bed_counter(b, LW_SRV_HANDSHAKES_LENT), lent);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(p->conn.in_len, answer);
	finish(b, p);
}

static void connection__hello_says_nothing__alert(void **state)
{
	static const uint8_t hello[] = { 22, 3, 3, 0, 10, 1, 0, 0, 6, 3, 3, 0, 0, 0, 0 };

	(void)state;
	check_refused(hello, sizeof(hello), 1, 7);
}

/* What a record of the longest kind says is known when its end has come, in the second piece. */
static void connection__longest_record_without_sense__ends_after_two_steps(void **state)
{
	static uint8_t junk[100000] = { 22, 3, 3, 0x40, 0 };

	(void)state;
	memset(junk + 5, 0x55, sizeof(junk) - 5);
	check_refused(junk, sizeof(junk), 2, 0);
}

/* The answer that a helper brings back finds no room: a stream with a gap would be worth nothing.
 */
static void connection__no_room_for_the_answer__ends(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_of(&net, 1);
	struct peer *p = begin_held(b, true, 1500);
	struct lw_chunk_pool *pool = &b->s.core->path.chunks;
	const struct lw_chunk_pool all = *pool;

	(void)state;
	pool->free = NULL;
	pool->n_free = 0;
	bed_release_steps(b);
	bed_settle(b, NULL, 0);
	assert_int_equal(bed_tunnels(b, LW_CTR_STREAM_FULL), 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_HANDSHAKE), 1);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(p->conn.in_len, 0);
	*pool = all;
	finish(b, p);
}

/* --- what travels with a step --- */

static void pieces__any_number__in_order_up_to_the_bytes(void **state)
{
	struct lw_pieces p = { .bytes = NULL };
	uint8_t piece[3000];
	uint32_t at = 0;
	size_t len = 1;

	(void)state;
	assert_null(lw_pieces_next(&p, &at, &len));
	for (uint32_t i = 0; i < 4; i++) {
		memset(piece, (int)i, sizeof(piece));
		assert_true(lw_pieces_add(&p, piece, i * 1000, 6016));
	}
	assert_false(lw_pieces_add(&p, piece, 0, 6016)); /* its length has no room */
	assert_int_equal(p.n, 4);
	for (uint32_t i = 0; i < 4; i++) {
		const uint8_t *q = lw_pieces_next(&p, &at, &len);

		assert_non_null(q);
		assert_int_equal(len, i * 1000);
		assert_true(len == 0 || (q[0] == i && q[len - 1] == i));
	}
	assert_null(lw_pieces_next(&p, &at, &len));
	lw_pieces_fini(&p);
	assert_int_equal(p.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps__helpers_take_them__online_at_once),
		cmocka_unit_test(steps__of_many_at_once__each_gets_its_own),
		cmocka_unit_test(steps__authenticators_block__handshakes_go_on),
		cmocka_unit_test(step__is_out__copies_wait_once),
		cmocka_unit_test(step__is_out__second_fragment_waits),
		cmocka_unit_test(step__is_out__junk_has_an_end),
		cmocka_unit_test(step__is_out__its_id_from_elsewhere__not_moved),
		cmocka_unit_test(step__is_out_for_a_minute__session_ends),
		cmocka_unit_test(step__is_out_for_seconds__answered_once),
		cmocka_unit_test(server__ends_while_a_step_is_out__nothing_left),
		cmocka_unit_test(server__ends_before_it_reads_the_mail__nothing_left),
		cmocka_unit_test(session__ends_before_its_step_is_back__nothing_is_sent),
		cmocka_unit_test(hello__too_many_steps_are_out__dropped_until_there_is_room),
		cmocka_unit_test(fragment__too_many_steps_are_out__waits_for_a_resend),
		cmocka_unit_test(connection__too_many_steps_are_out__ends),
		cmocka_unit_test(connection__step_is_out__not_read),
		cmocka_unit_test(connection__ends_while_the_step_is_out__so_does_the_session),
		cmocka_unit_test(connection__hello_in_two_pieces__online),
		cmocka_unit_test(connection__hello_says_nothing__alert),
		cmocka_unit_test(connection__no_room_for_the_answer__ends),
		cmocka_unit_test(pieces__any_number__in_order_up_to_the_bytes),
		cmocka_unit_test(connection__longest_record_without_sense__ends_after_two_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

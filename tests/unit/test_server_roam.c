/* SPDX-License-Identifier: MIT */
/* Peers whose address changes, one at a time: what moves a session and what does not. wire.md 6 */
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "server/record.h"
#include "unit/bed_server.h"
#include "unit/test.h"
#include "wire/header.h"

#define HOME  0xc0000201u
#define AWAY  0xcb007150u /* 203.0.113.80 */
#define OTHER 0xcb007151u
#define PORT  1000

static const uint8_t ipv4_packet[28] = { 0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17,
	                                 0,    0, 10, 1,  1, 1, 8, 8, 8,  8 };

/* a server and one peer that is online and knows its id */
struct roamer {
	struct net net;
	struct bed *b;
	struct peer *p;
	uint8_t inside[4];
	struct net_dgram last; /* what the peer sent last */
};

static bool keep_last(void *arg, struct net_dgram *d)
{
	struct roamer *r = arg;

	if (lw_addr_equal(&d->to, &r->b->addr))
		r->last = *d;
	return true;
}

/* whether a packet goes from the peer to the inside, and one back */
static bool works(struct roamer *r)
{
	uint32_t got = r->b->inside.n_got;
	uint32_t back = r->p->n_inside;
	uint8_t packet[sizeof(ipv4_packet)];

	peer_send(r->p, ipv4_packet, sizeof(ipv4_packet));
	bed_settle(r->b, &r->p, 1);
	if (r->b->inside.n_got != got + 1)
		return false;
	memcpy(r->inside, r->b->inside.got[got] + 12, 4);
	r->b->inside.n_got = 0;
	memcpy(packet, ipv4_packet, sizeof(packet));
	memcpy(packet + 16, r->inside, 4);
	net_inside_put(&r->b->inside, packet, sizeof(packet));
	bed_settle(r->b, &r->p, 1);
	return r->p->n_inside == back + 1;
}

static void open_roamer(struct roamer *r)
{
	*r = (struct roamer){ .net = { .pass = keep_last, .arg = r } };
	r->b = bed_create(&r->net, &(struct bed_plan){ 0 });
	r->p = bed_online(r->b, HOME, PORT, false);
	assert_true(works(r));
}

static void close_roamer(struct roamer *r)
{
	peer_destroy(r->p);
	bed_destroy(r->b);
}

static uint64_t moves(const struct roamer *r)
{
	return bed_counter(r->b, LW_SRV_MOVES);
}

static uint64_t refused(const struct roamer *r)
{
	return bed_counter(r->b, LW_SRV_MOVES_REFUSED);
}

static uint64_t begun(const struct roamer *r)
{
	return bed_counter(r->b, LW_SRV_ROTATIONS);
}

static uint64_t done(const struct roamer *r)
{
	return bed_counter(r->b, LW_SRV_ROTATIONS_DONE);
}

static struct lw_record *record_at(const struct roamer *r, uint32_t ip, uint16_t port)
{
	const struct lw_endpoint ep = { .remote = lw_addr_ipv4(ip, port) };

	return lw_record_find(&r->b->s, &r->b->engine.cores->path.ports[0], &ep);
}

static uint64_t id_of(const struct roamer *r)
{
	return record_at(r, (uint32_t)lw_addr_u32(&r->p->addr), r->p->addr.port)->id.id;
}

/* --- what moves a session --- */

static void move__data_from_another_address__session_follows(void **state)
{
	struct roamer r;
	uint8_t inside[4];
	uint64_t first;

	(void)state;
	open_roamer(&r);
	first = id_of(&r);
	memcpy(inside, r.inside, 4);
	peer_move(r.p, AWAY, 4242);
	assert_true(works(&r));
	assert_memory_equal(r.inside, inside, 4);
	assert_int_equal(moves(&r), 1);
	assert_int_equal(begun(&r), 1);
	assert_int_equal(r.b->s.n, 1);
	assert_null(record_at(&r, HOME, PORT));
	/* the announcement came, its Pong went under the old id, and so the next one ends it */
	assert_true(r.p->t->id == id_of(&r) && r.p->t->id != first);
	assert_int_equal(r.p->t->id >> 56, 0); /* the same worker */
	assert_int_equal(done(&r), 0);
	assert_int_equal(r.b->s.n_rotating, 1);
	assert_int_equal(r.b->s.by_id.n, 2);
	assert_true(works(&r));
	assert_int_equal(done(&r), 1);
	assert_int_equal(r.b->s.n_rotating, 0);
	assert_int_equal(r.b->s.by_id.n, 1);
	assert_null(lw_record_of_id(&r.b->s, first));
	assert_int_equal(moves(&r), 1);
	assert_int_equal(refused(&r), 0);
	close_roamer(&r);
}

/* Nothing but time: the peer's own keepalive tells the server, and what waited goes on. */
static void move__idle_peer__its_keepalive_tells(void **state)
{
	struct roamer r;

	(void)state;
	open_roamer(&r);
	peer_move(r.p, HOME, PORT + 1); /* a NAT has forgotten: another port is enough */
	bed_run(r.b, &r.p, 1, 11 * LW_US_PER_S);
	assert_int_equal(moves(&r), 1);
	assert_non_null(record_at(&r, HOME, PORT + 1));
	bed_run(r.b, &r.p, 1, 100 * LW_US_PER_S);
	assert_false(r.p->closed);
	assert_int_equal(done(&r), 1);
	assert_true(works(&r));
	close_roamer(&r);
}

static void move__again_and_again__every_time(void **state)
{
	struct roamer r;

	(void)state;
	open_roamer(&r);
	for (uint32_t i = 1; i <= 50; i++) {
		peer_move(r.p, i % 2 != 0 ? AWAY : HOME, (uint16_t)(PORT + i % 3));
		assert_true(works(&r));
		assert_int_equal(moves(&r), i);
		assert_in_range(begun(&r) - done(&r), 0, 1);
		assert_in_range(r.b->s.by_id.n, 1, 2);
		assert_int_equal(r.b->s.by_addr.n, 1);
	}
	close_roamer(&r);
}

/* Another listener, or another of its addresses: the answers come from there. */
static void move__to_another_listener__answered_from_there(void **state)
{
	struct roamer r;

	(void)state;
	open_roamer(&r);
	r.p->server = r.b->udp.listen[1];
	assert_true(works(&r));
	assert_int_equal(moves(&r), 1);
	assert_true(
		lw_addr_equal(&r.b->udp.listen[1],
	                      &lw_record_of_id(&r.b->s, r.p->t->id)->timed.tunnel->endpoint.local));
	assert_true(works(&r));
	close_roamer(&r);
}

/* --- what does not --- */

struct watch {
	struct net_node node;
	struct lw_addr addr;
};

static void open_watch(struct watch *w, struct roamer *r, uint32_t ip, uint16_t port)
{
	w->addr = lw_addr_ipv4(ip, port);
	net_node_add(&r->net, &w->node, &w->addr, -1);
}

/* Sends it; nothing has moved and nothing was sent there. */
static void check_refused(struct roamer *r, struct watch *w, const uint8_t *d, size_t len)
{
	uint64_t before = refused(r);

	net_send(&r->net, &w->addr, &r->b->addr, d, len);
	bed_settle(r->b, &r->p, 1);
	assert_int_equal(refused(r), before + 1);
	assert_int_equal(moves(r), 0);
	assert_int_equal(begun(r), 0);
	assert_int_equal(w->node.n, 0);
	assert_null(record_at(r, lw_addr_u32(&w->addr), w->addr.port));
	assert_int_equal(r->b->s.n, 1);
}

static void refuse__replay_from_another_address__nothing_moves(void **state)
{
	struct roamer r;
	struct watch w;

	(void)state;
	open_roamer(&r);
	open_watch(&w, &r, AWAY, 1);
	for (int i = 0; i < 3; i++) {
		assert_true(works(&r));
		check_refused(&r, &w, r.last.bytes, r.last.len);
		check_refused(&r, &w, r.last.bytes, r.last.len);
	}
	assert_true(works(&r));
	net_node_remove(&r.net, &w.node);
	close_roamer(&r);
}

/* Whoever has seen the id can make these. */
static void refuse__forged_in_its_name__nothing_moves_or_is_sent(void **state)
{
	static const uint8_t types[] = { 20, 21, 22, 23, 26, 0x2f, 0xff };
	struct roamer r;
	struct watch w;
	uint8_t d[256];

	(void)state;
	open_roamer(&r);
	open_watch(&w, &r, AWAY, 1);
	memset(d, 0, sizeof(d));
	memcpy(d, r.last.bytes, LW_WIRE_HEADER_LEN);
	check_refused(&r, &w, d, LW_WIRE_HEADER_LEN);
	for (size_t i = 0; i < sizeof(types); i++) {
		d[LW_WIRE_HEADER_LEN] = types[i];
		d[LW_WIRE_HEADER_LEN + 1] = 0xfe;
		d[LW_WIRE_HEADER_LEN + 2] = 0xfd;
		d[LW_WIRE_HEADER_LEN + 12] = 200;
		for (size_t len = LW_WIRE_HEADER_LEN + 1; len < sizeof(d); len += 13)
			check_refused(&r, &w, d, len);
	}
	d[5] = 1; /* Expresslane, which this session has not */
	check_refused(&r, &w, d, sizeof(d));
	d[5] = 0;
	d[3] = 1; /* another version than the session's */
	check_refused(&r, &w, d, sizeof(d));
	for (uint32_t i = LW_WIRE_HEADER_LEN; i < r.last.len; i += 3) {
		r.last.bytes[i] ^= 1;
		check_refused(&r, &w, r.last.bytes, r.last.len);
		r.last.bytes[i] ^= 1;
	}
	assert_true(works(&r));
	net_node_remove(&r.net, &w.node);
	close_roamer(&r);
}

/* It ends the session, and what is said of that goes to where the peer was. */
static void goodbye_from_another_address__session_ends_there_hears_nothing(void **state)
{
	static const uint8_t goodbye[] = { 12 };
	struct roamer r;

	(void)state;
	open_roamer(&r);
	peer_move(r.p, AWAY, 1);
	r.p->n_got = 0;
	peer_frame(r.p, goodbye, sizeof(goodbye));
	(void)bed_round(r.b);
	assert_int_equal(r.b->s.n, 0);
	assert_int_equal(bed_tunnels(r.b, LW_CTR_CLOSED_BY_PEER), 1);
	assert_int_equal(r.p->node.n, 0);
	assert_int_equal(moves(&r) + refused(&r), 0);
	close_roamer(&r);
}

/* Somebody on the way sends it on from a victim's address, first. The peer's next one corrects it,
 * and the victim gets no more than came in its name and one announcement. */
static void stolen_race__first_datagram_from_elsewhere__next_one_takes_it_back(void **state)
{
	struct roamer r;
	struct watch w;
	struct net_dgram *d;

	(void)state;
	open_roamer(&r);
	open_watch(&w, &r, AWAY, 1);
	peer_send(r.p, ipv4_packet, sizeof(ipv4_packet));
	d = net_take(&r.b->udp.socks[0]); /* held back */
	net_send(&r.net, &w.addr, &r.b->addr, d->bytes, d->len);
	bed_settle(r.b, &r.p, 1);
	assert_int_equal(moves(&r), 1);
	net_send(&r.net, &d->from, &r.b->addr, d->bytes, d->len);
	bed_settle(r.b, &r.p, 1);
	assert_int_equal(refused(&r), 1);
	assert_int_equal(w.node.n, 1);
	r.b->inside.n_got = 0;
	assert_true(works(&r));
	assert_int_equal(moves(&r), 2);
	assert_int_equal(begun(&r), 1); /* the one that is under way is told to the peer */
	assert_int_equal(w.node.n, 1);
	assert_true(works(&r));
	assert_int_equal(done(&r), 1);
	free(d);
	net_node_remove(&r.net, &w.node);
	close_roamer(&r);
}

/* --- rotation and addresses: the table of wire.md 6.3 --- */

/* The peer's next datagram under an id of the test's choice. */
static void send_under(struct roamer *r, uint64_t id)
{
	r->p->t->id = id;
	peer_send(r->p, ipv4_packet, sizeof(ipv4_packet));
	(void)bed_round(r->b);
}

/* A rotation whose announcement is lost, from an address where the peer is now. */
static void begin_rotation(struct roamer *r, uint64_t *ret_a, uint64_t *ret_b)
{
	*ret_a = id_of(r);
	peer_move(r->p, AWAY, 1);
	peer_send(r->p, ipv4_packet, sizeof(ipv4_packet));
	(void)bed_round(r->b);
	*ret_b = id_of(r);
	assert_true(*ret_a != *ret_b);
	peer_move(r->p, AWAY, 1); /* loses what came */
	assert_true(r->p->t->id == *ret_a);
	r->b->inside.n_got = 0;
}

static void pending__old_id_same_address__accepted_and_stays_open(void **state)
{
	struct roamer r;
	uint64_t a, b;

	(void)state;
	open_roamer(&r);
	begin_rotation(&r, &a, &b);
	send_under(&r, a);
	assert_int_equal(r.b->inside.n_got, 1);
	assert_int_equal(done(&r), 0);
	assert_int_equal(moves(&r), 1);
	assert_int_equal(bed_tunnels(r.b, LW_CTR_SESSION_ID_MISMATCH), 0);
	close_roamer(&r);
}

static void pending__old_id_new_address__moves_without_a_second_rotation(void **state)
{
	struct roamer r;
	uint64_t a, b;

	(void)state;
	open_roamer(&r);
	begin_rotation(&r, &a, &b);
	peer_move(r.p, OTHER, 2);
	send_under(&r, a);
	assert_int_equal(moves(&r), 2);
	assert_int_equal(begun(&r), 1);
	assert_int_equal(done(&r), 0);
	assert_true(id_of(&r) == b);
	assert_true(works(&r)); /* data tells of b */
	assert_true(works(&r));
	assert_int_equal(done(&r), 1);
	close_roamer(&r);
}

static void pending__new_id_new_address__ends_it_moves_and_begins_another(void **state)
{
	struct roamer r;
	uint64_t a, b;

	(void)state;
	open_roamer(&r);
	begin_rotation(&r, &a, &b);
	peer_move(r.p, OTHER, 2);
	send_under(&r, b);
	assert_int_equal(moves(&r), 2);
	assert_int_equal(done(&r), 1);
	assert_int_equal(begun(&r), 2);
	assert_true(id_of(&r) != b);
	assert_null(lw_record_of_id(&r.b->s, a));
	assert_non_null(lw_record_of_id(&r.b->s, b));
	assert_int_equal(r.b->s.by_id.n, 2);
	assert_true(works(&r));
	assert_true(works(&r));
	assert_int_equal(done(&r), 2);
	close_roamer(&r);
}

static void ended__old_id_new_address__rejected(void **state)
{
	struct roamer r;
	struct net_dgram *d;
	uint64_t a, b;
	uint64_t rejects;

	(void)state;
	open_roamer(&r);
	begin_rotation(&r, &a, &b);
	send_under(&r, b);
	assert_int_equal(done(&r), 1);
	rejects = bed_counter(r.b, LW_SRV_REJECTS_SENT);
	peer_move(r.p, OTHER, 2);
	send_under(&r, a);
	assert_int_equal(bed_counter(r.b, LW_SRV_REJECTS_SENT), rejects + 1);
	assert_int_equal(moves(&r), 1);
	assert_int_equal(r.p->node.n, 1);
	d = net_take(&r.p->node);
	assert_int_equal(d->len, LW_WIRE_HEADER_LEN);
	free(d);
	/* the id that it was told last is the one that brings it back */
	r.p->t->id = b;
	assert_true(works(&r));
	assert_int_equal(moves(&r), 2);
	close_roamer(&r);
}

static void ended__old_id_same_address__accepted_by_its_address(void **state)
{
	struct roamer r;
	uint64_t a, b;

	(void)state;
	open_roamer(&r);
	begin_rotation(&r, &a, &b);
	send_under(&r, b);
	send_under(&r, a);
	assert_int_equal(r.b->inside.n_got, 2);
	assert_int_equal(bed_tunnels(r.b, LW_CTR_SESSION_ID_MISMATCH), 1);
	assert_int_equal(begun(&r), 1);
	assert_true(works(&r));
	close_roamer(&r);
}

/* --- rotation at a key update --- */

static void key_update__begun__id_rotates_in_place(void **state)
{
	struct roamer r;
	uint64_t first;

	(void)state;
	open_roamer(&r);
	first = id_of(&r);
	bed_run(r.b, &r.p, 1, 950 * LW_US_PER_S);
	assert_int_equal(bed_tunnels(r.b, LW_CTR_KEY_UPDATES), 1);
	assert_int_equal(begun(&r), 1);
	assert_int_equal(done(&r), 1);
	assert_int_equal(moves(&r), 0);
	assert_true(id_of(&r) != first && r.p->t->id == id_of(&r));
	assert_true(works(&r));
	close_roamer(&r);
}

static void key_update__rotation_pending__id_is_kept(void **state)
{
	struct roamer r;
	uint64_t a, b;

	(void)state;
	open_roamer(&r);
	begin_rotation(&r, &a, &b);
	for (int i = 0; i < 91; i++) { /* its Pings go on under the old id */
		bed_run(r.b, NULL, 0, 10 * LW_US_PER_S);
		send_under(&r, a);
		peer_move(r.p, AWAY, 1);
		r.b->inside.n_got = 0;
	}
	assert_int_equal(bed_tunnels(r.b, LW_CTR_KEY_UPDATES), 1);
	assert_int_equal(begun(&r), 1);
	assert_true(id_of(&r) == b);
	close_roamer(&r);
}

/* The datagram that ends a rotation is the one after which the clock calls for a key update. */
static void key_update__begun_by_what_ends_a_rotation__another_begins(void **state)
{
	struct roamer r;
	uint64_t a, b;

	(void)state;
	open_roamer(&r);
	begin_rotation(&r, &a, &b);
	bed_run(r.b, NULL, 0, 901 * LW_US_PER_S);
	send_under(&r, b);
	assert_int_equal(bed_tunnels(r.b, LW_CTR_KEY_UPDATES), 1);
	assert_int_equal(done(&r), 1);
	assert_int_equal(begun(&r), 2);
	assert_int_equal(r.b->s.n_rotating, 1);
	assert_int_equal(r.b->s.by_id.n, 2);
	assert_null(lw_record_of_id(&r.b->s, a));
	assert_non_null(lw_record_of_id(&r.b->s, b));
	assert_true(works(&r));
	assert_true(works(&r));
	assert_int_equal(done(&r), 2);
	assert_true(r.p->t->id == id_of(&r) && r.p->t->id != b);
	close_roamer(&r);
}

/* --- the log --- */

static void tell__many_in_a_second__ten(void **state)
{
	struct roamer r;

	(void)state;
	open_roamer(&r);
	for (int second = 0; second < 3; second++) {
		struct lw_told told = { .n = 0 };

		for (int i = 0; i < 30; i++)
			assert_int_equal(lw_sessions_may_tell(&r.b->s, &told), i < 10);
		r.b->engine.cores->now_us += LW_US_PER_S;
		assert_true(lw_sessions_may_tell(&r.b->s, &told));
	}
	close_roamer(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(move__data_from_another_address__session_follows),
		cmocka_unit_test(move__idle_peer__its_keepalive_tells),
		cmocka_unit_test(move__again_and_again__every_time),
		cmocka_unit_test(move__to_another_listener__answered_from_there),
		cmocka_unit_test(refuse__replay_from_another_address__nothing_moves),
		cmocka_unit_test(refuse__forged_in_its_name__nothing_moves_or_is_sent),
		cmocka_unit_test(goodbye_from_another_address__session_ends_there_hears_nothing),
		cmocka_unit_test(
			stolen_race__first_datagram_from_elsewhere__next_one_takes_it_back),
		cmocka_unit_test(pending__old_id_same_address__accepted_and_stays_open),
		cmocka_unit_test(pending__old_id_new_address__moves_without_a_second_rotation),
		cmocka_unit_test(pending__new_id_new_address__ends_it_moves_and_begins_another),
		cmocka_unit_test(ended__old_id_new_address__rejected),
		cmocka_unit_test(ended__old_id_same_address__accepted_by_its_address),
		cmocka_unit_test(key_update__begun__id_rotates_in_place),
		cmocka_unit_test(key_update__rotation_pending__id_is_kept),
		cmocka_unit_test(key_update__begun_by_what_ends_a_rotation__another_begins),
		cmocka_unit_test(tell__many_in_a_second__ten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Peers that move to the address of another, as when a NAT hands it out again, or because somebody
 * who has an account pretends to: nobody loses a session by it. And moves while a login is on its
 * way, with TCP beside.
 */
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "server/record.h"
#include "unit/bed_server.h"
#include "unit/test.h"
#include "wire/header.h"

#define HOME 0xc0000200u
#define PORT 1000

static const uint8_t ipv4_packet[28] = { 0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17,
	                                 0,    0, 10, 1,  1, 1, 8, 8, 8,  8 };

/* whether a packet of this peer comes out of the server's inside, under its own address there */
static bool sends(struct bed *b, struct peer *p, uint32_t inside)
{
	uint32_t got = b->inside.n_got;
	struct lw_addr source;
	bool ok;

	peer_send(p, ipv4_packet, sizeof(ipv4_packet));
	(void)bed_round(b);
	source = lw_addr_ipv4(inside, 0);
	ok = b->inside.n_got == got + 1 && memcmp(b->inside.got[got] + 12, source.ip, 4) == 0;
	b->inside.n_got = got;
	return ok;
}

/* the inside address that a session was given */
static uint32_t inside_of(struct bed *b, const struct peer *p)
{
	const struct lw_record *rec = lw_record_of_id(&b->s, p->t->id);

	assert_non_null(rec);
	return lw_addr_u32(&rec->timed.tunnel->s.inside);
}

/* a peer that is online, knows its id and has sent under it */
static struct peer *ready_peer(struct bed *b, uint32_t i)
{
	struct peer *p = bed_online(b, HOME + i, PORT, false);

	assert_true(sends(b, p, inside_of(b, p)));
	bed_settle(b, &p, 1);
	return p;
}

/* who has the address of a peer in the server's table */
static const struct lw_tunnel *holder(struct bed *b, const struct peer *p)
{
	const struct lw_endpoint ep = { .remote = p->addr };
	const struct lw_record *rec = lw_record_find(&b->s, &b->engine.cores->path.ports[0], &ep);

	return rec != NULL ? rec->timed.tunnel : NULL;
}

static const struct lw_tunnel *must_hold(struct bed *b, const struct peer *p)
{
	const struct lw_tunnel *t = holder(b, p);

	return t != NULL ? t : (abort(), NULL);
}

static const struct lw_tunnel *tunnel_of(struct bed *b, const struct peer *p)
{
	return lw_record_of_id(&b->s, p->t->id)->timed.tunnel;
}

static void shared__moved_to_anothers_address__both_work(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p[2] = { ready_peer(b, 0), ready_peer(b, 1) };
	const uint32_t inside[2] = { inside_of(b, p[0]), inside_of(b, p[1]) };

	(void)state;
	peer_move(p[0], HOME + 1, PORT);
	for (int i = 0; i < 6; i++)
		assert_true(sends(b, p[i % 2], inside[i % 2]));
	assert_int_equal(bed_counter(b, LW_SRV_MOVES), 1);
	assert_int_equal(bed_counter(b, LW_SRV_MOVES_REFUSED), 0);
	assert_int_equal(b->s.by_addr.n, 1);
	assert_int_equal(b->s.n_online, 2);
	peer_move(p[1], HOME, PORT); /* they have changed places */
	for (int i = 0; i < 6; i++)
		assert_true(sends(b, p[i % 2], inside[i % 2]));
	assert_int_equal(bed_counter(b, LW_SRV_MOVES), 2);
	assert_int_equal(b->s.by_addr.n, 2);
	for (int i = 0; i < 2; i++)
		peer_destroy(p[i]);
	bed_destroy(b);
}

/* In whatever order they leave an address that many have, the rest stays found. */
static void shared__many_at_one_address__leave_in_any_order(void **state)
{
	static const uint8_t orders[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 } };
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });

	(void)state;
	for (size_t o = 0; o < 3; o++) {
		struct peer *p[4];
		uint32_t inside[4];

		for (uint32_t i = 0; i < 4; i++) {
			p[i] = ready_peer(b, i);
			inside[i] = inside_of(b, p[i]);
		}
		for (uint32_t i = 1; i < 4; i++) {
			peer_move(p[i], HOME, PORT);
			assert_true(sends(b, p[i], inside[i]));
		}
		assert_int_equal(b->s.by_addr.n, 1);
		for (uint32_t i = 0; i < 4; i++) {
			uint32_t who = orders[o][i];

			if (i % 2 == 0) {
				peer_close(p[who]);
			} else {
				peer_move(p[who], HOME + 100 + who, PORT);
				assert_true(sends(b, p[who], inside[who]));
			}
			(void)bed_round(b);
			for (uint32_t k = i + 1; k < 4; k++)
				assert_true(sends(b, p[orders[o][k]], inside[orders[o][k]]));
			assert_int_equal(b->s.by_addr.n, (i + 1) / 2 + (i < 3));
		}
		for (uint32_t i = 0; i < 4; i++) {
			if (!p[i]->closed)
				peer_close(p[i]);
			peer_destroy(p[i]);
		}
		(void)bed_round(b);
		assert_int_equal(b->s.n, 0);
	}
	bed_destroy(b);
}

/* close_all() finds those behind too. */
static void shared__close_all__ends_all(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p[5];

	(void)state;
	for (uint32_t i = 0; i < 5; i++) {
		p[i] = ready_peer(b, i);
		peer_move(p[i], HOME, PORT);
		assert_true(sends(b, p[i], inside_of(b, p[i])));
	}
	assert_int_equal(b->s.n, 5);
	lw_sessions_close_all(&b->s);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(b->s.n_rotating, 0);
	for (uint32_t i = 0; i < 5; i++)
		peer_destroy(p[i]);
	bed_destroy(b);
}

/* A handshake and a login have no id of their own yet: who moves in must not get in their way. */
static void login_in_flight__another_moves_in__login_goes_on(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *mover = ready_peer(b, 0);
	uint32_t inside = inside_of(b, mover);
	struct peer *fresh = peer_create(b, HOME + 1, PORT, false);
	const struct lw_tunnel *t;

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	peer_begin(fresh);
	bed_settle(b, &fresh, 1);
	t = must_hold(b, fresh);
	assert_int_equal(t->state, LW_TUNNEL_LINK_UP);
	peer_move(mover, HOME + 1, PORT);
	assert_true(sends(b, mover, inside));
	assert_ptr_equal(holder(b, fresh), t);
	peer_login(fresh); /* once more, under no id */
	(void)bed_round(b);
	assert_int_equal(bed_tunnels(b, LW_CTR_AUTH_REPEATED), 1);
	peer_move(mover, HOME, PORT);
	assert_true(sends(b, mover, inside));
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, &fresh, 1);
	assert_true(fresh->online);
	assert_true(sends(b, mover, inside));
	assert_int_equal(b->s.n_online, 2);
	peer_destroy(mover);
	peer_destroy(fresh);
	bed_destroy(b);
}

/* Both at once at one address when the login is granted: whoever moved in is left alone. */
static void login_granted__another_has_moved_in__both_live(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *mover = ready_peer(b, 0);
	uint32_t inside = inside_of(b, mover);
	struct peer *fresh = peer_create(b, HOME + 1, PORT, false);

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	peer_begin(fresh);
	bed_settle(b, &fresh, 1);
	peer_move(mover, HOME + 1, PORT);
	assert_true(sends(b, mover, inside));
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, &fresh, 1);
	assert_true(fresh->online);
	assert_int_equal(b->s.n_online, 2);
	assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_LOST), 0);
	peer_move(mover, HOME + 7, PORT);
	assert_true(sends(b, mover, inside));
	assert_true(sends(b, fresh, inside_of(b, fresh)));
	peer_destroy(mover);
	peer_destroy(fresh);
	bed_destroy(b);
}

/* A newcomer at an address that one began on and another moved to: it takes the place of the first
 * only, for only that one is bound to it. */
static void restart__at_a_shared_address__only_who_began_there_goes(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *began = ready_peer(b, 1);
	struct peer *mover = ready_peer(b, 0);
	uint32_t inside = inside_of(b, mover);
	struct peer *fresh;

	(void)state;
	peer_move(mover, HOME + 1, PORT);
	assert_true(sends(b, mover, inside));
	net_node_remove(&net, &mover->node);
	net_node_remove(&net, &began->node);
	fresh = peer_create(b, HOME + 1, PORT, false);
	bed_connect(b, fresh);
	assert_int_equal(b->s.n_online, 2);
	assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_LOST), 1);
	assert_false(sends(b, began, 0));
	peer_move(mover, HOME + 9, PORT);
	assert_true(sends(b, mover, inside));
	assert_true(sends(b, fresh, inside_of(b, fresh)));
	peer_destroy(began);
	peer_destroy(mover);
	peer_destroy(fresh);
	bed_destroy(b);
}

/* Who uses its id before it is online, which no client of ours or the stock one does, is moved like
 * any other: its login is answered where it is. */
static void login_in_flight__peer_itself_moves__answered_there(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = peer_create(b, HOME, PORT, false);
	const struct lw_tunnel *t;

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	peer_begin(p);
	bed_settle(b, &p, 1);
	t = must_hold(b, p);
	peer_move(p, HOME + 5, PORT);
	p->t->id = t->id;
	peer_frame(p, "\x01", 1);
	(void)bed_round(b);
	assert_int_equal(bed_counter(b, LW_SRV_MOVES), 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_PINGS_TX), 0);
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, &p, 1);
	assert_true(p->online);
	assert_true(sends(b, p, inside_of(b, p)));
	peer_destroy(p);
	bed_destroy(b);
}

/* The client of a login in flight sends no id: what it sends from elsewhere is a stranger's. */
static void login_in_flight__same_peer_without_id__nothing_moves(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = peer_create(b, HOME, PORT, false);
	const struct lw_tunnel *t;

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	peer_begin(p);
	bed_settle(b, &p, 1);
	t = must_hold(b, p);
	peer_move(p, HOME + 5, PORT);
	peer_login(p);
	(void)bed_round(b);
	assert_int_equal(bed_counter(b, LW_SRV_MOVES), 0);
	assert_null(holder(b, p));
	assert_int_equal(p->node.n, 0);
	peer_move(p, HOME, PORT);
	assert_ptr_equal(holder(b, p), t);
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, &p, 1);
	assert_true(p->online);
	peer_destroy(p);
	bed_destroy(b);
}

/* TCP has no ids on the wire, and none that a datagram could name. */
static void stream__datagrams_with_any_id__do_not_touch_it(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = bed_online(b, HOME, PORT, true);
	struct peer *q = ready_peer(b, 0); /* its twin on UDP */
	const struct lw_tunnel *t = NULL;
	uint8_t d[64] = { 'H', 'e', 1, 3 };

	(void)state;
	assert_null(lw_record_of_id(&b->s, LW_WIRE_ID_EMPTY));
	assert_int_equal(b->s.by_id.n, 1);
	for (int i = 0; i < 3; i++) {
		memset(d + 8, i == 0 ? 0 : i == 1 ? 0xff : 0x11, 8);
		net_send(&net, &p->addr, &b->addr, d, sizeof(d));
		(void)bed_round(b);
	}
	t = tunnel_of(b, q);
	assert_false(t->is_stream);
	assert_int_equal(bed_counter(b, LW_SRV_MOVES) + bed_counter(b, LW_SRV_MOVES_REFUSED), 0);
	peer_move(q, HOME + 3, PORT);
	assert_true(sends(b, q, inside_of(b, q)));
	peer_send(p, ipv4_packet, sizeof(ipv4_packet));
	b->inside.n_got = 0;
	bed_settle(b, &p, 1);
	assert_int_equal(b->inside.n_got, 1);
	assert_false(p->closed);
	peer_destroy(p);
	peer_destroy(q);
	bed_destroy(b);
}

/* A session that ends amid a rotation leaves neither of its ids. */
static void end__amid_a_rotation__both_ids_find_nobody(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ .idle_us = 60 * LW_US_PER_S });

	(void)state;
	for (int how = 0; how < 2; how++) {
		struct peer *p = ready_peer(b, 0);
		uint64_t old = p->t->id;
		uint64_t new;

		peer_move(p, HOME + 2, PORT);
		peer_send(p, ipv4_packet, sizeof(ipv4_packet));
		(void)bed_round(b);
		new = tunnel_of(b, p)->id;
		assert_true(new != old);
		assert_int_equal(b->s.n_rotating, 1);
		if (how == 0)
			peer_close(p);
		bed_run(b, NULL, 0, how == 0 ? 0 : 61 * LW_US_PER_S);
		assert_int_equal(b->s.n, 0);
		assert_int_equal(b->s.n_rotating, 0);
		assert_null(lw_record_of_id(&b->s, old));
		assert_null(lw_record_of_id(&b->s, new));
		peer_destroy(p);
	}
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shared__moved_to_anothers_address__both_work),
		cmocka_unit_test(shared__many_at_one_address__leave_in_any_order),
		cmocka_unit_test(shared__close_all__ends_all),
		cmocka_unit_test(login_in_flight__another_moves_in__login_goes_on),
		cmocka_unit_test(login_granted__another_has_moved_in__both_live),
		cmocka_unit_test(restart__at_a_shared_address__only_who_began_there_goes),
		cmocka_unit_test(login_in_flight__peer_itself_moves__answered_there),
		cmocka_unit_test(login_in_flight__same_peer_without_id__nothing_moves),
		cmocka_unit_test(stream__datagrams_with_any_id__do_not_touch_it),
		cmocka_unit_test(end__amid_a_rotation__both_ids_find_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

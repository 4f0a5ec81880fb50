/* SPDX-License-Identifier: MIT */
/* Every way in which a session ends, and that nothing is left of it. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/bed_server.h"
#include "unit/test.h"

#define HOME 0xc0000201u
#define PORT 1000

static const uint8_t ipv4_packet[28] = { 0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17,
	                                 0,    0, 10, 1,  1, 1, 8, 8, 8,  8 };

/* the server has nobody, and has given back what it gave */
static void check_empty(const struct bed *b, enum lw_counter reason)
{
	assert_int_equal(b->s.n, 0);
	assert_int_equal(b->s.n_online, 0);
	assert_int_equal(b->s.by_addr.n, 0);
	assert_int_equal(b->s.by_id.n, 0);
	assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap);
	assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_OPENED), 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_CLOSED), 1);
	assert_int_equal(bed_tunnels(b, reason), 1);
}

/* --- who was online --- */

static void by_goodbye(struct bed *b, struct peer *p)
{
	peer_close(p);
	bed_settle(b, NULL, 0);
}

/* a frame that only a server sends */
static void by_wrong_frame(struct bed *b, struct peer *p)
{
	static const uint8_t encoding_response[] = { 19, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0 };

	peer_frame(p, encoding_response, sizeof(encoding_response));
	bed_settle(b, &p, 1);
}

static void by_idleness(struct bed *b, struct peer *p)
{
	peer_vanish(p);
	p->closed = true;
	bed_run(b, NULL, 0, 101 * LW_US_PER_S);
}

static void by_lost_connection(struct bed *b, struct peer *p)
{
	peer_vanish(p);
	bed_settle(b, NULL, 0);
}

static void by_broken_connection(struct bed *b, struct peer *p)
{
	p->conn.twin->error = -ECONNRESET;
	net_wake(p->conn.twin->fd);
	bed_settle(b, &p, 1);
}

static void by_garbage(struct bed *b, struct peer *p)
{
	uint8_t junk[300];

	memset(junk, 0x55, sizeof(junk));
	assert_int_equal(net_conn_write(&p->conn, junk, sizeof(junk)), sizeof(junk));
	bed_settle(b, &p, 1);
}

static void by_close_all(struct bed *b, struct peer *p)
{
	lw_sessions_close_all(&b->s);
	bed_settle(b, &p, 1);
	assert_true(p->closed);
	assert_int_equal(p->t->reason, LW_CLOSE_PEER);
}

static void by_repeated_login(struct bed *b, struct peer *p)
{
	bed_verdict(b, 0, BED_NO);
	net_clock_us += 2 * LW_US_PER_S;
	peer_login(p);
	bed_settle(b, &p, 1);
	assert_int_equal(p->t->reason, LW_CLOSE_AUTH);
	assert_int_equal(bed_counter(b, LW_SRV_LOGINS_REFUSED), 1);
}

static const struct {
	const char *name;
	bool udp;
	bool tcp;
	void (*end)(struct bed *b, struct peer *p);
	enum lw_counter reason;
} ends[] = {
	{ "goodbye", true, true, by_goodbye, LW_CTR_CLOSED_BY_PEER },
	{ "wrong frame", true, true, by_wrong_frame, LW_CTR_CLOSED_PROTOCOL },
	{ "idle", true, false, by_idleness, LW_CTR_CLOSED_IDLE },
	{ "lost", false, true, by_lost_connection, LW_CTR_CLOSED_LOST },
	{ "broken", false, true, by_broken_connection, LW_CTR_CLOSED_LOST },
	{ "garbage", false, true, by_garbage, LW_CTR_CLOSED_HANDSHAKE },
	{ "close all", true, true, by_close_all, LW_CTR_SESSIONS_CLOSED },
	{ "repeated login", true, true, by_repeated_login, LW_CTR_CLOSED_AUTH },
};

static void online__any_end__nothing_left(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		for (int stream = 0; stream < 2; stream++) {
			struct net net = { 0 };
			struct bed *b;
			struct peer *p;

			if (stream ? !ends[i].tcp : !ends[i].udp)
				continue;
			print_message("%s over %s\n", ends[i].name, stream ? "tcp" : "udp");
			b = bed_create(&net, &(struct bed_plan){ .idle_us = 100 * LW_US_PER_S });
			p = bed_online(b, HOME, PORT, stream);
			assert_int_equal(b->s.n_online, 1);
			assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap - 1);
			peer_send(p, ipv4_packet, sizeof(ipv4_packet));
			bed_settle(b, &p, 1);
			assert_int_equal(b->inside.n_got, 1);
			ends[i].end(b, p);
			check_empty(b, ends[i].reason);
			peer_destroy(p);
			bed_destroy(b);
		}
	}
}

/* --- who was not --- */

static void handshake__silent_after_the_cookie__gone_in_time(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = peer_create(b, HOME, PORT, false);

	(void)state;
	peer_begin(p);
	(void)bed_round(b);
	(void)peer_round(p);
	(void)bed_round(b);
	assert_int_equal(b->s.n, 1);
	peer_vanish(p);
	bed_run(b, NULL, 0, 13 * LW_US_PER_S);
	check_empty(b, LW_CTR_CLOSED_TIMEOUT);
	peer_destroy(p);
	bed_destroy(b);
}

static void handshake__connection_that_says_nothing__gone_in_time(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = peer_create(b, HOME, PORT, true);

	(void)state;
	p->conn = (struct net_conn){ .fd = -1, .open = true, .in = malloc(NET_STREAM) };
	assert_int_equal(net_connect(&net, &p->conn, &p->addr, &p->server), 0);
	bed_run(b, NULL, 0, 59 * LW_US_PER_S);
	assert_int_equal(b->s.n, 1);
	bed_run(b, NULL, 0, 2 * LW_US_PER_S);
	assert_null(p->conn.twin);
	check_empty(b, LW_CTR_CLOSED_STALE);
	peer_destroy(p);
	bed_destroy(b);
}

static void handshake__garbage_on_a_connection__closed(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: example.net\r\n\r\n";
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = peer_create(b, HOME, PORT, true);

	(void)state;
	p->conn = (struct net_conn){ .fd = -1, .open = true, .in = malloc(NET_STREAM) };
	assert_int_equal(net_connect(&net, &p->conn, &p->addr, &p->server), 0);
	assert_int_equal(net_conn_write(&p->conn, http, sizeof(http)), sizeof(http));
	bed_settle(b, NULL, 0);
	assert_null(p->conn.twin);
	check_empty(b, LW_CTR_CLOSED_HANDSHAKE);
	peer_destroy(p);
	bed_destroy(b);
}

/* A filter that does not take a session ends it before it counts as online. */
static void online__filter_refuses__not_counted(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct net net = { 0 };
		struct bed *b = bed_create(&net, &(struct bed_plan){ .filter = true });
		struct peer *p = peer_create(b, HOME, PORT, stream);

		b->filter.result = -EPERM;
		peer_begin(p);
		bed_settle(b, &p, 1);
		assert_true(p->closed);
		check_empty(b, LW_CTR_SESSIONS_CLOSED);
		peer_destroy(p);
		b->filter.result = 0;
		p = bed_online(b, HOME, PORT + 1, stream);
		assert_int_equal(b->s.n_online, 1);
		assert_int_equal(b->filter.n_open, 1);
		peer_close(p);
		bed_settle(b, NULL, 0);
		assert_int_equal(b->s.n_online, 0);
		assert_int_equal(b->filter.n_close, 1);
		peer_destroy(p);
		bed_destroy(b);
	}
}

/* --- the end of the server --- */

static void close_all__in_every_state__all_told_and_gone(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p[8];

	(void)state;
	for (int i = 0; i < 8; i++) {
		p[i] = peer_create(b, HOME + (uint32_t)i, PORT, i % 2 == 1);
		if (i < 4)
			bed_connect(b, p[i]);
	}
	/* two that wait for the answer to their login, two in the middle of the handshake */
	bed_verdict(b, 0, BED_HOLD);
	peer_begin(p[4]);
	peer_begin(p[5]);
	bed_settle(b, p, 6);
	assert_int_equal(bed_jobs(b), 2);
	peer_begin(p[6]);
	peer_begin(p[7]);
	(void)bed_round(b);
	(void)peer_round(p[6]);
	(void)bed_round(b);
	assert_int_equal(b->s.n, 8);
	lw_sessions_close_all(&b->s);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(b->s.n_online, 0);
	assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap);
	bed_settle(b, p, 8);
	for (int i = 0; i < 6; i++) {
		assert_true(p[i]->closed);
		assert_int_equal(p[i]->t->reason, LW_CLOSE_PEER);
	}
	assert_true(p[7]->closed); /* its connection */
	/* answers that come now find nobody */
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_answer(b, 0, 1, LW_AUTH_YES);
	bed_settle(b, NULL, 0);
	assert_int_equal(bed_jobs(b), 0);
	assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap);
	for (int i = 0; i < 8; i++)
		peer_destroy(p[i]);
	bed_destroy(b);
}

static void close_all__socket_busy__ends_all_the_same(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p[40];

	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		p[i] = bed_online(b, HOME + i, PORT, false);
	b->udp.busy = true;
	lw_sessions_close_all(&b->s);
	assert_int_equal(b->s.n, 0);
	b->udp.busy = false;
	for (uint32_t i = 0; i < 40; i++)
		peer_destroy(p[i]);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(online__any_end__nothing_left),
		cmocka_unit_test(handshake__silent_after_the_cookie__gone_in_time),
		cmocka_unit_test(handshake__connection_that_says_nothing__gone_in_time),
		cmocka_unit_test(handshake__garbage_on_a_connection__closed),
		cmocka_unit_test(online__filter_refuses__not_counted),
		cmocka_unit_test(close_all__in_every_state__all_told_and_gone),
		cmocka_unit_test(close_all__socket_busy__ends_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

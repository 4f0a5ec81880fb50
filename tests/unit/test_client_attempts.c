/* SPDX-License-Identifier: MIT */
/* A client's attempts against real servers in memory: who wins, who is told, and what is said. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/bed_client.h"
#include "unit/test.h"

static const uint8_t ipv4_packet[28] = { 0x45, 0, 0,   28, 0, 0, 0, 0, 64, 17,
	                                 0,    0, 100, 64, 0, 6, 8, 8, 8,  8 };

/* --- winning --- */

static void attempts__one_server__online_and_carries_packets(void **state)
{
	(void)state;
	for (int tcp = 0; tcp < 2; tcp++) {
		struct bed_client *c = bed_client_create();
		struct bed *b = bed_client_server(c, BED_YES, NULL);
		struct lw_target t = bed_client_target(0, tcp);

		bed_client_begin(c, &t, 1);
		assert_int_equal(c->n_online, 1);
		assert_int_equal(c->online.tcp, tcp);
		assert_int_equal(c->n_lost, 0);
		net_inside_put(&c->inside, ipv4_packet, sizeof(ipv4_packet));
		bed_client_settle(c);
		assert_int_equal(b->inside.n_got, 1);
		assert_memory_equal(b->inside.got[0] + 16, ipv4_packet + 16, 4);
		bed_client_destroy(c);
	}
}

static void attempts__several__first_wins_and_others_are_told(void **state)
{
	(void)state;
	for (uint32_t first = 0; first < 3; first++) {
		struct bed_client *c = bed_client_create();
		struct lw_target t[3] = { bed_client_target(0, false), bed_client_target(1, true),
			                  bed_client_target(2, false) };

		for (uint32_t i = 0; i < 3; i++)
			(void)bed_client_server(c, BED_HOLD, NULL);
		bed_client_begin(c, t, 3);
		for (uint32_t i = 0; i < 3; i++)
			assert_int_equal(c->server[i]->s.n, 1);
		assert_int_equal(c->n_online, 0);
		bed_answer(c->server[first], 0, 0, LW_AUTH_YES);
		bed_client_settle(c);
		assert_int_equal(c->n_online, 1);
		assert_int_equal(c->online.server, first);
		assert_int_equal(c->attempts.n_live, 1);
		assert_int_equal(c->udp.n_open + c->tcp.n_open, 1);
		for (uint32_t i = 0; i < 3; i++) {
			assert_int_equal(c->server[i]->s.n, i == first);
			assert_int_equal(bed_tunnels(c->server[i], LW_CTR_CLOSED_BY_PEER),
			                 i != first);
		}
		assert_int_equal(c->n_lost, 0);
		/* answers to the others come too late */
		for (uint32_t i = 0; i < 3; i++)
			bed_answer(c->server[i], 0, 0, LW_AUTH_YES);
		bed_client_settle(c);
		assert_int_equal(c->n_online, 1);
		bed_client_destroy(c);
	}
}

/* Two servers let the client in at the same moment: it hears of both in one round. */
static void attempts__two_online_at_once__second_is_closed(void **state)
{
	struct bed_client *c = bed_client_create();
	struct lw_target t[2] = { bed_client_target(0, false), bed_client_target(1, false) };

	(void)state;
	(void)bed_client_server(c, BED_HOLD, NULL);
	(void)bed_client_server(c, BED_HOLD, NULL);
	bed_client_begin(c, t, 2);
	for (uint32_t i = 0; i < 2; i++) {
		bed_answer(c->server[i], 0, 0, LW_AUTH_YES);
		bed_settle(c->server[i], NULL, 0);
		assert_int_equal(c->server[i]->s.n_online, 1);
	}
	bed_client_settle(c);
	assert_int_equal(c->n_online, 1);
	assert_int_equal(c->n_lost, 0);
	assert_int_equal(c->udp.n_open, 1);
	assert_int_equal(c->server[0]->s.n_online + c->server[1]->s.n_online, 1);
	assert_int_equal(c->server[c->online.server]->s.n_online, 1);
	bed_client_destroy(c);
}

static void attempts__some_fail__another_wins(void **state)
{
	struct bed_client *c = bed_client_create();
	struct lw_target t[4] = { bed_client_target(0, false), bed_client_target(1, false),
		                  bed_client_target(2, true), bed_client_target(7, true) };

	(void)state;
	(void)bed_client_server(c, BED_NO, NULL);
	(void)bed_client_server(c, BED_YES, "expired");
	(void)bed_client_server(c, BED_HOLD, NULL);
	bed_client_begin(c, t, 4);
	assert_int_equal(c->attempts.n_live, 1);
	assert_int_equal(c->n_lost, 0);
	bed_answer(c->server[2], 0, 0, LW_AUTH_YES);
	bed_client_settle(c);
	assert_int_equal(c->n_online, 1);
	assert_int_equal(c->online.server, 2);
	assert_int_equal(c->n_lost, 0);
	bed_client_destroy(c);
}

/* --- failing --- */

/* Whatever the order, a refused login tells most, then a certificate, then silence. */
static void attempts__all_fail__most_telling_reason(void **state)
{
	static const uint32_t orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 } };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct bed_client *c = bed_client_create();
		struct lw_target t[3];

		(void)bed_client_server(c, BED_NO, NULL);
		(void)bed_client_server(c, BED_YES, "expired");
		for (uint32_t k = 0; k < 3; k++)
			t[k] = bed_client_target(orders[i][k], false); /* nobody is at 2 */
		bed_client_begin(c, t, 3);
		assert_int_equal(c->n_lost, 0);
		bed_client_run(c, 13 * LW_US_PER_S);
		assert_int_equal(c->n_lost, 1);
		assert_int_equal(c->reason, LW_CLOSE_AUTH);
		assert_non_null(strstr(c->text, "udp://198.51.100.1:27690: login refused"));
		bed_client_check_idle(c);
		/* without the first */
		for (uint32_t k = 0; k < 2; k++)
			t[k] = bed_client_target(k == i % 2 ? 1 : 2, false);
		bed_client_begin(c, t, 2);
		bed_client_run(c, 13 * LW_US_PER_S);
		assert_int_equal(c->n_lost, 2);
		assert_int_equal(c->reason, LW_CLOSE_HANDSHAKE);
		assert_non_null(strstr(c->text, "udp://198.51.100.2:27690: TLS failed"));
		assert_non_null(strstr(c->text, "expired"));
		bed_client_destroy(c);
	}
}

static void attempts__nobody_there__lost_in_time(void **state)
{
	struct bed_client *c = bed_client_create();
	struct lw_target t[2] = { bed_client_target(0, false), bed_client_target(0, true) };

	(void)state;
	bed_client_begin(c, t, 1);
	bed_client_run(c, 12 * LW_US_PER_S);
	assert_int_equal(c->n_lost, 0);
	bed_client_run(c, LW_US_PER_S);
	assert_int_equal(c->n_lost, 1);
	assert_int_equal(c->reason, LW_CLOSE_TIMEOUT);
	bed_client_check_idle(c);
	/* a connection that never stands */
	c->tcp.deaf = true;
	bed_client_begin(c, t + 1, 1);
	bed_client_run(c, 59 * LW_US_PER_S);
	assert_int_equal(c->n_lost, 1);
	bed_client_run(c, 2 * LW_US_PER_S);
	assert_int_equal(c->n_lost, 2);
	assert_int_equal(c->reason, LW_CLOSE_STALE);
	bed_client_check_idle(c);
	bed_client_destroy(c);
}

static void attempts__cannot_even_begin__lost_once_with_the_error(void **state)
{
	struct bed_client *c = bed_client_create();
	struct lw_target t[3] = { bed_client_target(0, false), bed_client_target(0, true),
		                  bed_client_target(1, false) };

	(void)state;
	c->udp.connect_error = -ENETUNREACH;
	c->tcp.connect_error = -ENETUNREACH;
	lw_attempts_begin(&c->attempts, t, 3);
	assert_int_equal(c->n_lost, 1);
	assert_int_equal(c->reason, LW_CLOSE_LOST);
	assert_string_equal(c->text, "udp://198.51.100.2:27690: Network is unreachable");
	bed_client_settle(c);
	bed_client_check_idle(c);
	/* one can begin: it decides */
	c->tcp.connect_error = 0;
	(void)bed_client_server(c, BED_YES, NULL);
	bed_client_begin(c, t, 3);
	assert_int_equal(c->n_lost, 1);
	assert_int_equal(c->n_online, 1);
	assert_true(c->online.tcp);
	bed_client_destroy(c);
}

static void attempts__connection_refused__lost_once(void **state)
{
	struct bed_client *c = bed_client_create();
	struct lw_target t[2] = { bed_client_target(0, true), bed_client_target(1, true) };

	(void)state;
	bed_client_begin(c, t, 2);
	assert_int_equal(c->n_lost, 1);
	assert_int_equal(c->reason, LW_CLOSE_LOST);
	assert_non_null(strstr(c->text, "tcp://198.51.100."));
	bed_client_destroy(c);
}

static void attempts__more_than_there_is_room_for__rest_is_left_out(void **state)
{
	struct bed_client *c = bed_client_create();
	struct lw_target t[LW_CLIENT_SERVERS + 4];

	(void)state;
	for (uint32_t i = 0; i < LW_CLIENT_SERVERS + 4; i++)
		t[i] = bed_client_target(i, false);
	bed_client_begin(c, t, LW_CLIENT_SERVERS + 4);
	assert_int_equal(c->attempts.n_live, LW_CLIENT_SERVERS);
	assert_int_equal(c->udp.n_open, LW_CLIENT_SERVERS);
	bed_client_destroy(c);
}

/* --- losing what was won --- */

static void winner__server_says_goodbye__lost(void **state)
{
	(void)state;
	for (int tcp = 0; tcp < 2; tcp++) {
		struct bed_client *c = bed_client_create();
		struct bed *b = bed_client_server(c, BED_YES, NULL);
		struct lw_target t = bed_client_target(0, tcp);

		bed_client_begin(c, &t, 1);
		lw_sessions_close_all(&b->s);
		bed_client_settle(c);
		assert_int_equal(c->n_lost, 1);
		assert_int_equal(c->reason, LW_CLOSE_PEER);
		bed_client_check_idle(c);
		bed_client_destroy(c);
	}
}

/* What other servers said while the winner was sought must not be taken for the winner's end: a
 * refused login ends the client, a loss makes it connect again. */
static void winner__lost_after_another_refused__own_reason(void **state)
{
	struct bed_client *c = bed_client_create();
	struct lw_target t[2] = { bed_client_target(0, false), bed_client_target(1, false) };

	(void)state;
	(void)bed_client_server(c, BED_NO, NULL);
	(void)bed_client_server(c, BED_HOLD, NULL);
	bed_client_begin(c, t, 2);
	assert_int_equal(c->attempts.n_live, 1);
	bed_answer(c->server[1], 0, 0, LW_AUTH_YES);
	bed_client_settle(c);
	assert_int_equal(c->n_online, 1);
	lw_sessions_close_all(&c->server[1]->s);
	bed_client_settle(c);
	assert_int_equal(c->n_lost, 1);
	assert_int_equal(c->reason, LW_CLOSE_PEER);
	assert_non_null(strstr(c->text, "udp://198.51.100.2:27690: closed by the peer"));
	bed_client_destroy(c);
}

static void winner__server_gone_without_a_word__lost_by_keepalive(void **state)
{
	struct bed_client *c = bed_client_create();
	struct bed *b = bed_client_server(c, BED_YES, NULL);
	struct lw_target t = bed_client_target(0, false);

	(void)state;
	bed_client_begin(c, &t, 1);
	bed_client_run(c, 100 * LW_US_PER_S);
	assert_int_equal(c->n_lost, 0);
	net_node_remove(&c->net, &b->udp.socks[0]); /* nobody has its address any more */
	bed_client_run(c, 65 * LW_US_PER_S);
	assert_int_equal(c->n_lost, 0);
	bed_client_run(c, 10 * LW_US_PER_S);
	assert_int_equal(c->n_lost, 1);
	assert_int_equal(c->reason, LW_CLOSE_TIMEOUT);
	bed_client_check_idle(c);
	bed_client_destroy(c);
}

static void winner__socket_breaks__lost(void **state)
{
	struct bed_client *c = bed_client_create();
	struct bed *b = bed_client_server(c, BED_YES, NULL);
	struct lw_target t[2] = { bed_client_target(0, false), bed_client_target(0, true) };

	(void)state;
	bed_client_begin(c, &t[0], 1);
	c->udp.recv_error = -EBADF;
	net_wake(c->udp.socks[0].fd);
	bed_client_settle(c);
	assert_int_equal(c->n_lost, 1);
	assert_int_equal(c->reason, LW_CLOSE_LOST);
	bed_client_check_idle(c);
	bed_client_begin(c, &t[1], 1);
	assert_int_equal(c->n_online, 2);
	c->tcp.conns[0].error = -ECONNRESET;
	net_wake(c->tcp.conns[0].fd);
	bed_client_settle(c);
	assert_int_equal(c->n_lost, 2);
	assert_int_equal(c->reason, LW_CLOSE_LOST);
	bed_client_check_idle(c);
	/* the server's UDP session is left behind, for it was told nothing */
	assert_int_equal(b->s.n, 1);
	bed_client_destroy(c);
}

static void winner__reject_from_the_server__ignored(void **state)
{
	static const uint8_t reject[16] = { 'H',  'e',  1,    1,    0,    0,    0,    0,
		                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct bed_client *c = bed_client_create();
	struct bed *b = bed_client_server(c, BED_YES, NULL);
	struct lw_target t = bed_client_target(0, false);

	(void)state;
	bed_client_begin(c, &t, 1);
	net_send(&c->net, &b->addr, &c->udp.socks[0].addr, reject, sizeof(reject));
	bed_client_settle(c);
	net_inside_put(&c->inside, ipv4_packet, sizeof(ipv4_packet));
	bed_client_settle(c);
	assert_int_equal(b->inside.n_got, 1);
	assert_int_equal(c->n_lost, 0);
	bed_client_destroy(c);
}

/* --- the end, and again --- */

static void end__in_every_state__servers_told_and_nobody_else(void **state)
{
	struct bed_client *c = bed_client_create();
	struct lw_target t[3] = { bed_client_target(0, false), bed_client_target(1, true),
		                  bed_client_target(2, false) };

	(void)state;
	(void)bed_client_server(c, BED_HOLD, NULL);
	(void)bed_client_server(c, BED_HOLD, NULL);
	bed_client_begin(c, t, 3);
	lw_attempts_end(&c->attempts);
	bed_client_settle(c);
	bed_client_check_idle(c);
	assert_int_equal(c->n_lost, 0);
	assert_int_equal(c->server[0]->s.n + c->server[1]->s.n, 0);
	lw_attempts_end(&c->attempts);
	assert_int_equal(c->n_lost, 0);
	bed_verdict(c->server[1], 0, BED_YES);
	bed_client_begin(c, t, 3);
	assert_int_equal(c->n_online, 1);
	lw_attempts_end(&c->attempts);
	bed_client_settle(c);
	assert_int_equal(c->n_lost, 0);
	assert_int_equal(c->server[1]->s.n, 0);
	bed_client_run(c, 13 * LW_US_PER_S); /* a loser in its handshake cannot say anything yet */
	assert_int_equal(c->server[0]->s.n, 0);
	bed_client_destroy(c);
}

static void again__many_times__the_same_each_time(void **state)
{
	struct bed_client *c = bed_client_create();
	struct bed *b = bed_client_server(c, BED_YES, NULL);
	struct lw_target t[2] = { bed_client_target(0, false), bed_client_target(0, true) };

	(void)state;
	for (uint32_t i = 1; i <= 20; i++) {
		bed_client_begin(c, t, 2);
		assert_int_equal(c->n_online, i);
		assert_int_equal(c->udp.n_open + c->tcp.n_open, 1);
		lw_sessions_close_all(&b->s);
		b->s.closing = false;
		bed_client_settle(c);
		assert_int_equal(c->n_lost, i);
		bed_client_check_idle(c);
	}
	bed_client_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attempts__one_server__online_and_carries_packets),
		cmocka_unit_test(attempts__several__first_wins_and_others_are_told),
		cmocka_unit_test(attempts__two_online_at_once__second_is_closed),
		cmocka_unit_test(attempts__some_fail__another_wins),
		cmocka_unit_test(attempts__all_fail__most_telling_reason),
		cmocka_unit_test(attempts__nobody_there__lost_in_time),
		cmocka_unit_test(attempts__cannot_even_begin__lost_once_with_the_error),
		cmocka_unit_test(attempts__connection_refused__lost_once),
		cmocka_unit_test(attempts__more_than_there_is_room_for__rest_is_left_out),
		cmocka_unit_test(winner__server_says_goodbye__lost),
		cmocka_unit_test(winner__lost_after_another_refused__own_reason),
		cmocka_unit_test(winner__server_gone_without_a_word__lost_by_keepalive),
		cmocka_unit_test(winner__socket_breaks__lost),
		cmocka_unit_test(winner__reject_from_the_server__ignored),
		cmocka_unit_test(end__in_every_state__servers_told_and_nobody_else),
		cmocka_unit_test(again__many_times__the_same_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Walks over a worker's sessions, in rounds, while sessions begin, move and end. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "server/kick.h"
#include "server/record.h"
#include "server/walk.h"
#include "unit/bed_server.h"
#include "unit/test.h"

#define HOME 0xc0000200u /* 192.0.2.0 */
#define MANY 600u

static struct net net;
static struct bed *b;
static struct lw_row rows[LW_WALK_ROUND];
static uint32_t met[2 * MANY]; /* how often, by serial */

/* a session whose peer has said nothing yet */
static struct lw_record *open_one(uint16_t port)
{
	const struct lw_endpoint ep = { .remote = lw_addr_ipv4(HOME, port) };
	struct lw_tls *tls = NULL;
	struct lw_tunnel *t = NULL;

	assert_int_equal(lw_tls_create(b->tls, LW_TLS_STREAM, 0, &tls), 0);
	assert_int_equal(lw_record_open(&b->s, &b->s.core->path.ports[0], tls, &ep, 3, NULL, &t),
	                 0);
	return lw_record_of(t);
}

static int make_bed(void **state)
{
	(void)state;
	net = (struct net){ 0 };
	memset(met, 0, sizeof(met));
	b = bed_create(&net, &(struct bed_plan){ 0 });
	return 0;
}

static int remove_bed(void **state)
{
	(void)state;
	assert_null(b->s.walks);
	lw_sessions_close_all(&b->s);
	assert_null(b->s.first);
	assert_null(b->s.last);
	bed_destroy(b);
	return 0;
}

static void open_many(struct lw_record *recs[MANY])
{
	for (uint32_t i = 0; i < MANY; i++)
		recs[i] = open_one((uint16_t)(1000 + i));
}

static uint32_t one_round(struct lw_walk *w)
{
	uint32_t n = lw_walk_list(&b->s, w, rows);

	for (uint32_t i = 0; i < n; i++)
		met[rows[i].serial]++;
	return n;
}

static void walk_list__many__in_rounds_in_order_each_once(void **state)
{
	struct lw_record *recs[MANY];
	struct lw_walk w;
	uint64_t last = 0;

	(void)state;
	open_many(recs);
	lw_walk_begin(&b->s, &w);
	for (uint32_t left = MANY; left > 0;) {
		uint32_t n = one_round(&w);

		assert_int_equal(n, left < 256 ? left : 256);
		for (uint32_t i = 0; i < n; i++) {
			assert_true(rows[i].serial > last);
			last = rows[i].serial;
		}
		left -= n;
	}
	assert_int_equal(one_round(&w), 0);
	lw_walk_end(&b->s, &w);
}

static void move(struct lw_record *rec, uint16_t port)
{
	const struct lw_endpoint ep = { .remote = lw_addr_ipv4(HOME + 1, port) };

	lw_record_move(&b->s, rec, &b->s.core->path.ports[0], &ep);
	lw_tunnel_move(rec->timed.tunnel, &ep);
}

static void close_one(struct lw_record *rec)
{
	lw_path_close(&b->s.core->path, rec->timed.tunnel, net_clock_us);
	lw_path_flush(&b->s.core->path, net_clock_us);
}

static void walk_list__changes_between_rounds__whoever_stays_is_met_once(void **state)
{
	struct lw_record *recs[MANY];
	uint64_t serials[MANY];
	struct lw_walk w;
	struct lw_walk other;

	(void)state;
	open_many(recs);
	for (uint32_t i = 0; i < MANY; i++)
		serials[i] = recs[i]->timed.tunnel->s.serial;
	lw_walk_begin(&b->s, &other);
	lw_walk_begin(&b->s, &w);
	assert_int_equal(one_round(&w), 256);
	/* who is next and the one behind, one that was met, the first and the last of all */
	close_one(recs[256]);
	close_one(recs[257]);
	close_one(recs[100]);
	close_one(recs[0]);
	close_one(recs[MANY - 1]);
	move(recs[10], 7);
	move(recs[300], 8);
	(void)open_one(9);
	while (one_round(&w) > 0)
		;
	for (uint32_t i = 0; i < MANY; i++) {
		bool ended = i == 256 || i == 257 || i == MANY - 1;

		assert_int_equal(met[serials[i]], ended ? 0 : 1);
	}
	assert_int_equal(met[serials[MANY - 1] + 1], 0); /* began too late */
	lw_walk_end(&b->s, &w);
	/* the other has stood at the first of all */
	assert_int_equal(lw_walk_list(&b->s, &other, rows), 256);
	assert_int_equal(rows[0].serial, serials[1]);
	lw_walk_end(&b->s, &other);
}

static void walk__all_end_meanwhile__comes_to_its_end(void **state)
{
	struct lw_record *recs[MANY];
	struct lw_walk w;

	(void)state;
	open_many(recs);
	lw_walk_begin(&b->s, &w);
	assert_int_equal(one_round(&w), 256);
	for (uint32_t i = MANY; i-- > 0;)
		close_one(recs[i]);
	(void)open_one(9);
	assert_int_equal(one_round(&w), 0);
	lw_walk_end(&b->s, &w);
	lw_walk_begin(&b->s, &w);
	assert_int_equal(one_round(&w), 1);
	lw_walk_end(&b->s, &w);
}

static void walk_list__sessions__are_as_they_are(void **state)
{
	static const uint8_t packet[28] = { 0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17,
		                            0,    0, 10, 1,  1, 1, 8, 8, 8,  8 };
	struct peer *udp = bed_online(b, HOME + 5, 1000, false);
	struct peer *tcp = bed_online(b, HOME + 6, 1001, true);
	struct lw_walk w;

	(void)state;
	(void)open_one(9);
	net_clock_us += 7 * LW_US_PER_S;
	peer_send(udp, packet, sizeof(packet));
	bed_settle(b, &udp, 1);
	net_clock_us += 2 * LW_US_PER_S;
	(void)bed_round(b);
	lw_walk_begin(&b->s, &w);
	assert_int_equal(lw_walk_list(&b->s, &w, rows), 3);
	lw_walk_end(&b->s, &w);
	assert_string_equal(rows[0].state, "online");
	assert_string_equal(rows[0].user, "me");
	assert_true(lw_addr_equal(&rows[0].outside, &udp->addr));
	assert_int_equal(rows[0].inside.family, 4);
	assert_false(rows[0].stream);
	assert_string_equal(rows[0].cipher, "TLS_AES_256_GCM_SHA384");
	assert_int_equal(rows[0].age_us / LW_US_PER_S, 9);
	assert_int_equal(rows[0].idle_us / LW_US_PER_S, 2);
	assert_int_equal(rows[0].rx_packets, 1);
	assert_int_equal(rows[0].rx_bytes, sizeof(packet));
	assert_true(rows[1].stream);
	assert_int_equal(rows[1].rx_packets, 0);
	assert_int_equal(rows[1].idle_us / LW_US_PER_S, 9);
	assert_string_equal(rows[2].state, "connecting");
	assert_string_equal(rows[2].user, "");
	assert_null(rows[2].cipher);
	assert_int_equal(rows[2].inside.family, 0);
	peer_destroy(udp);
	peer_destroy(tcp);
}

/* --- kicks --- */

static uint32_t kick_all(struct lw_kick *k)
{
	struct lw_walk w;
	uint32_t rounds = 1;

	lw_walk_begin(&b->s, &w);
	while (lw_kick_round(&b->s, &w, k))
		rounds++;
	lw_walk_end(&b->s, &w);
	return rounds;
}

static void kick_serials__list__those_end_and_no_others(void **state)
{
	struct lw_record *recs[MANY];
	struct lw_kick k = { .user = "" };
	char list[64];

	(void)state;
	open_many(recs);
	(void)snprintf(list, sizeof(list), "%llu 99999 %llu %llu",
	               (unsigned long long)recs[500]->timed.tunnel->s.serial,
	               (unsigned long long)recs[3]->timed.tunnel->s.serial,
	               (unsigned long long)recs[500]->timed.tunnel->s.serial);
	assert_int_equal(lw_kick_serials(&k, list), 0);
	assert_int_equal(k.n_serials, 3);
	assert_int_equal(kick_all(&k), 3);
	assert_int_equal(k.n_ended, 2);
	assert_true(k.found[0] && k.found[1]);
	assert_false(k.found[2]);
	assert_false(lw_kick_complete(&k));
	assert_int_equal(b->s.n, MANY - 2);
	lw_kick_fini(&k);
	/* when all are found the rest need not be met */
	(void)snprintf(list, sizeof(list), "%llu",
	               (unsigned long long)recs[5]->timed.tunnel->s.serial);
	assert_int_equal(lw_kick_serials(&k, list), 0);
	assert_int_equal(kick_all(&k), 1);
	assert_true(lw_kick_complete(&k));
	assert_int_equal(b->s.n, MANY - 3);
	lw_kick_fini(&k);
}

static void kick_serials__no_list__is_refused(void **state)
{
	static const char *const lists[] = { "",
		                             " ",
		                             "x",
		                             "1x",
		                             "1  2",
		                             " 1",
		                             "1 ",
		                             "-1",
		                             "+1",
		                             "0x1",
		                             "1,2",
		                             "1\t2",
		                             "18446744073709551616" };

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct lw_kick k = { .user = "" };

		print_message("'%s'\n", lists[i]);
		assert_int_equal(lw_kick_serials(&k, lists[i]), -EINVAL);
		lw_kick_fini(&k);
	}
}

static void kick_user__their_sessions__are_told_goodbye_some_a_round(void **state)
{
	struct peer *peers[40];
	struct lw_kick k = { .user = "" };
	char longest[65];

	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		peers[i] = bed_online(b, HOME + i, 1000, i % 4 == 0);
	(void)open_one(9); /* nobody yet */
	memset(longest, 'x', sizeof(longest));
	longest[64] = '\0';
	assert_int_equal(lw_kick_user(&k, longest), -EINVAL);
	assert_int_equal(lw_kick_user(&k, ""), -EINVAL);
	assert_int_equal(lw_kick_user(&k, "m"), 0);
	assert_int_equal(kick_all(&k), 1);
	assert_int_equal(k.n_ended, 0);
	assert_int_equal(lw_kick_user(&k, "me"), 0);
	assert_int_equal(kick_all(&k), 3); /* 16, 16, 8 */
	assert_int_equal(k.n_ended, 40);
	bed_settle(b, peers, 40);
	for (uint32_t i = 0; i < 40; i++) {
		assert_true(peers[i]->closed);
		assert_int_equal(peers[i]->t->reason, LW_CLOSE_PEER);
		peer_destroy(peers[i]);
	}
	assert_int_equal(b->s.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_BED(f) cmocka_unit_test_setup_teardown(f, make_bed, remove_bed)
		WITH_BED(walk_list__many__in_rounds_in_order_each_once),
		WITH_BED(walk_list__changes_between_rounds__whoever_stays_is_met_once),
		WITH_BED(walk__all_end_meanwhile__comes_to_its_end),
		WITH_BED(walk_list__sessions__are_as_they_are),
		WITH_BED(kick_serials__list__those_end_and_no_others),
		WITH_BED(kick_serials__no_list__is_refused),
		WITH_BED(kick_user__their_sessions__are_told_goodbye_some_a_round),
#undef WITH_BED
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

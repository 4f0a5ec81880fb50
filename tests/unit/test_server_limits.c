/* SPDX-License-Identifier: MIT */
/* Who may begin a session, and that what was taken comes back. */
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/bed_server.h"
#include "unit/test.h"
#include "wire/header.h"

#define START_US (5000 * LW_US_PER_S)
#define HOME     0xc0000200u /* 192.0.2.0 */

static const struct lw_addr nobody = { .family = 4 };

/* handshakes granted at one moment, until the first refusal; each asked for from another address */
static uint64_t take_all(struct lw_limits *l, uint64_t now)
{
	static uint32_t from;
	enum lw_limit limit;
	uint32_t refused = 0; /* sources, one after the other */
	uint64_t n = 0;

	do {
		const struct lw_addr one = lw_addr_ipv4(from++, 5);

		limit = lw_limits_admit(l, 0, &one, now);
		n += limit == LW_LIMIT_NONE;
		refused = limit == LW_LIMIT_SOURCE ? refused + 1 : 0;
		assert_true(refused < 100000);
	} while (limit == LW_LIMIT_NONE || limit == LW_LIMIT_SOURCE);
	assert_int_equal(limit, LW_LIMIT_HANDSHAKES);
	return n;
}

/* the same from one address, until it has had its share */
static uint64_t take_share(struct lw_limits *l, const struct lw_addr *from, uint64_t now)
{
	enum lw_limit limit;
	uint64_t n = 0;

	while ((limit = lw_limits_admit(l, 0, from, now)) == LW_LIMIT_NONE)
		n++;
	assert_int_equal(limit, LW_LIMIT_SOURCE);
	return n;
}

static struct lw_limits *make_limits(uint64_t rate)
{
	const struct lw_server_limits max = { .sessions = 100, .handshakes_per_s = rate };
	struct lw_limits *l = malloc(sizeof(*l));

	assert_non_null(l);
	lw_limits_init(l, &max, START_US);
	return l;
}

static void rate__burst__one_second_then_refused(void **state)
{
	struct lw_limits *l = make_limits(10);

	(void)state;
	assert_int_equal(take_all(l, START_US), 10);
	assert_int_equal(lw_limits_admit(l, 0, &nobody, START_US), LW_LIMIT_HANDSHAKES);
	assert_int_equal(take_all(l, START_US + 99999), 0);
	assert_int_equal(take_all(l, START_US + 100000), 1);
	assert_int_equal(take_all(l, START_US + 350000), 2);
	assert_int_equal(take_all(l, START_US + 400000), 1);
	free(l);
}

static void rate__long_pause__one_second_and_no_more(void **state)
{
	static const uint64_t pauses[] = { LW_US_PER_S, 3600 * LW_US_PER_S, UINT64_MAX / 2 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct lw_limits *l = make_limits(1000000);

		assert_int_equal(take_all(l, START_US), 1000000);
		assert_int_equal(take_all(l, START_US + pauses[i]), 1000000);
		free(l);
	}
}

static void rate__clock_wraps_or_goes_back__no_gift(void **state)
{
	struct lw_limits *l = make_limits(10);

	(void)state;
	assert_int_equal(take_all(l, START_US), 10);
	assert_int_equal(take_all(l, START_US - 500000), 0);
	assert_int_equal(take_all(l, START_US - 400000), 1);
	assert_int_equal(take_all(l, UINT64_MAX - 10), 10);
	assert_int_equal(take_all(l, 10), 0); /* wrapped */
	assert_int_equal(take_all(l, 100010), 1);
	free(l);
}

/* Rates that do not divide a second are kept too. */
static void rate__uneven__exact_over_ten_seconds(void **state)
{
	static const uint64_t rates[] = { 1, 3, 999, 1000, 300000, 700000 };

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct lw_limits *l = make_limits(rates[i]);
		uint64_t n = 0;

		assert_int_equal(take_all(l, START_US), rates[i]);
		for (uint64_t ms = 1; ms <= 10000; ms++)
			n += take_all(l, START_US + ms * LW_US_PER_MS);
		assert_int_equal(n, 10 * rates[i]);
		free(l);
	}
}

static void sessions__full__refused_and_no_handshake_taken(void **state)
{
	struct lw_limits *l = make_limits(2);

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(lw_limits_admit(l, 100, &nobody, START_US), LW_LIMIT_SESSIONS);
	assert_int_equal(lw_limits_admit(l, 99, &nobody, START_US), LW_LIMIT_NONE);
	assert_int_equal(take_all(l, START_US), 1);
	free(l);
}

static struct lw_addr address(const char *text)
{
	struct lw_addr a;

	assert_int_equal(lw_addr_parse(text, &a), 0);
	return a;
}

static void source__many_handshakes__its_share_and_no_more(void **state)
{
	static const struct {
		uint64_t rate, share;
	} cases[] = { { 1, 1 }, { 3, 1 }, { 5, 2 }, { 10, 3 }, { 1000, 250 } };
	const struct lw_addr greedy = address("192.0.2.1:5");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lw_limits *l = make_limits(cases[i].rate);
		uint64_t now = START_US;
		uint64_t n;

		if (cases[i].rate > 1) {
			n = take_share(l, &greedy, now);
			assert_int_equal(n, cases[i].share);
			/* refusals cost the others nothing */
			assert_int_equal(take_all(l, now), cases[i].rate - n);
		}
		now += 10 * LW_US_PER_S;
		for (n = 0; now < START_US + 20 * LW_US_PER_S; now += LW_US_PER_MS)
			n += lw_limits_admit(l, 0, &greedy, now) == LW_LIMIT_NONE;
		assert_in_range(n, 10 * cases[i].share, 11 * cases[i].share);
		free(l);
	}
}

static void source__share_taken_and_clock_goes_back__not_locked_out(void **state)
{
	struct lw_limits *l = make_limits(100);
	const struct lw_addr a = address("192.0.2.1:5");

	(void)state;
	assert_int_equal(take_share(l, &a, START_US), 25);
	assert_int_equal(take_share(l, &a, START_US - 3600 * LW_US_PER_S), 25);
	free(l);
}

/* LW_PENDING_PER_SOURCE on their way from one address; who else is refused? */
static enum lw_limit beside(const char *busy, const char *other)
{
	struct lw_limits *l = make_limits(1000);
	struct lw_addr from = address(busy);
	struct lw_addr to = address(other);
	enum lw_limit r;

	for (uint32_t i = 0; i < LW_PENDING_PER_SOURCE; i++) {
		assert_int_equal(lw_limits_admit(l, 0, &to, START_US), LW_LIMIT_NONE);
		(void)lw_limits_begin(l, &from);
	}
	r = lw_limits_admit(l, 0, &to, START_US);
	lw_limits_end(l, lw_limits_begin(l, &from));
	lw_limits_end(l, lw_limits_begin(l, &to));
	free(l);
	return r;
}

static void source__busy__ports_and_hosts_of_a_64_share_it(void **state)
{
	(void)state;
	assert_int_equal(beside("192.0.2.1:5", "192.0.2.1:5"), LW_LIMIT_SOURCE);
	assert_int_equal(beside("192.0.2.1:5", "192.0.2.1:6"), LW_LIMIT_SOURCE);
	assert_int_equal(beside("[2001:db8:1:2::1]:5", "[2001:db8:1:2:ffff::9]:6"),
	                 LW_LIMIT_SOURCE);
}

/* The hash is keyed: a neighbour shares a bucket by chance only, 1 in 4096, so some are tried. */
static void source__busy__others_do_not_share_it(void **state)
{
	char other[64];
	int shared = 0;

	(void)state;
	for (int i = 0; i < 16; i++) {
		(void)snprintf(other, sizeof(other), "192.0.2.%d:5", 2 + i);
		shared += beside("192.0.2.1:5", other) != LW_LIMIT_NONE;
		(void)snprintf(other, sizeof(other), "[2001:db8:1:%x::1]:5", 3 + i);
		shared += beside("[2001:db8:1:2::1]:5", other) != LW_LIMIT_NONE;
	}
	assert_in_range(shared, 0, 2);
}

static void source__some_end__as_many_may_begin(void **state)
{
	struct lw_limits *l = make_limits(1000);
	struct lw_addr a = address("192.0.2.1:5");
	uint32_t bucket = 0;

	(void)state;
	for (uint32_t i = 0; i < LW_PENDING_PER_SOURCE; i++)
		bucket = lw_limits_begin(l, &a);
	assert_int_equal(lw_limits_admit(l, 0, &a, START_US), LW_LIMIT_SOURCE);
	lw_limits_end(l, bucket);
	assert_int_equal(lw_limits_admit(l, 0, &a, START_US), LW_LIMIT_NONE);
	(void)lw_limits_begin(l, &a);
	assert_int_equal(lw_limits_admit(l, 0, &a, START_US), LW_LIMIT_SOURCE);
	free(l);
}

/* --- the same, of a server --- */

static void server__sessions_full__counted_and_free_again(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ .sessions = 2 });
	struct peer *one = bed_online(b, HOME + 1, 1, false);
	struct peer *two = bed_online(b, HOME + 2, 1, true);
	struct peer *three = peer_create(b, HOME + 3, 1, false);
	struct peer *four = peer_create(b, HOME + 4, 1, true);
	struct peer *both[] = { three, four };

	(void)state;
	peer_begin(three);
	peer_begin(four);
	bed_settle(b, both, 2);
	assert_true(four->closed);
	/* the connection, and three copies of the hello */
	assert_int_equal(bed_counter(b, LW_SRV_SESSIONS_LIMITED), 4);
	assert_int_equal(b->s.n, 2);
	peer_close(one);
	bed_run(b, both, 2, 5 * LW_US_PER_S); /* it asks again by itself */
	assert_true(three->online);
	assert_int_equal(b->s.n, 2);
	assert_int_equal(b->s.n_online, 2);
	peer_close(two);
	peer_destroy(four);
	four = bed_online(b, HOME + 4, 2, true);
	peer_destroy(one);
	peer_destroy(two);
	peer_destroy(three);
	peer_destroy(four);
	bed_destroy(b);
}

static void server__too_many_handshakes__counted_and_later_taken(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ .handshakes_per_s = 2 });
	struct peer *p[4];
	uint32_t open = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		p[i] = peer_create(b, HOME + 1 + (uint32_t)i, 1, i % 2 == 1);
		peer_begin(p[i]);
	}
	bed_settle(b, p, 4);
	for (int i = 0; i < 4; i++)
		open += p[i]->online;
	assert_int_equal(open, 2);
	assert_in_range(bed_counter(b, LW_SRV_HANDSHAKES_LIMITED), 2, 6);
	assert_int_equal(bed_counter(b, LW_SRV_SESSIONS_LIMITED), 0);
	bed_run(b, p, 4, 3 * LW_US_PER_S);
	for (int i = 0; i < 4; i++) {
		assert_true(p[i]->online || p[i]->stream);
		peer_destroy(p[i]);
	}
	bed_destroy(b);
}

/* connections that say nothing, from one address; answers how many were kept */
static uint32_t open_silent(struct bed *b, struct peer **p, uint32_t n, uint32_t ip)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++) {
		p[i] = peer_create(b, ip, (uint16_t)(1000 + i), true);
		p[i]->conn = (struct net_conn){ .fd = -1, .open = true, .in = malloc(NET_STREAM) };
		assert_int_equal(net_connect(b->net, &p[i]->conn, &p[i]->addr, &p[i]->server), 0);
	}
	bed_settle(b, NULL, 0);
	for (uint32_t i = 0; i < n; i++)
		kept += p[i]->conn.twin != NULL;
	return kept;
}

static void server__source_busy__counted_until_its_sessions_end(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *silent[LW_PENDING_PER_SOURCE + 6];
	struct peer *other;
	struct peer *again;

	(void)state;
	assert_int_equal(open_silent(b, silent, LW_PENDING_PER_SOURCE + 6, HOME + 1),
	                 LW_PENDING_PER_SOURCE);
	assert_int_equal(bed_counter(b, LW_SRV_SOURCES_LIMITED), 6);
	other = bed_online(b, HOME + 9, 1, false);
	again = peer_create(b, HOME + 1, 1, false);
	peer_begin(again);
	bed_settle(b, &again, 1);
	assert_false(again->online);
	assert_int_equal(bed_counter(b, LW_SRV_SOURCES_LIMITED), 9); /* three copies */
	/* one of the silent goes: there is room for one */
	peer_vanish(silent[0]);
	bed_run(b, &again, 1, 5 * LW_US_PER_S);
	assert_true(again->online);
	/* who is online is no longer on its way */
	peer_destroy(silent[1]);
	silent[1] = bed_online(b, HOME + 1, 2, true);
	/* all others are not online in time */
	bed_run(b, NULL, 0, 61 * LW_US_PER_S);
	assert_int_equal(b->s.n, 3);
	assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_STALE), LW_PENDING_PER_SOURCE - 2);
	for (uint32_t i = 0; i < LW_PENDING_PER_SOURCE + 6; i++)
		peer_destroy(silent[i]);
	assert_int_equal(open_silent(b, silent, LW_PENDING_PER_SOURCE, HOME + 1),
	                 LW_PENDING_PER_SOURCE);
	for (uint32_t i = 0; i < LW_PENDING_PER_SOURCE; i++)
		peer_destroy(silent[i]);
	peer_destroy(other);
	peer_destroy(again);
	bed_destroy(b);
}

/* All places are taken by such as say nothing, but for one who is online. */
static void server__sessions_full_of_silent__the_oldest_makes_room(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ .sessions = 3 });
	struct peer *online = bed_online(b, HOME + 1, 1, false);
	struct peer *silent[3];
	struct peer *other;

	(void)state;
	assert_int_equal(open_silent(b, silent, 1, HOME + 2), 1);
	bed_run(b, NULL, 0, 1 * LW_US_PER_S);
	assert_int_equal(open_silent(b, silent + 1, 1, HOME + 3), 1);
	bed_run(b, NULL, 0, 999 * LW_US_PER_MS);
	assert_int_equal(open_silent(b, silent + 2, 1, HOME + 4), 0); /* too early */
	peer_destroy(silent[2]);
	assert_int_equal(bed_counter(b, LW_SRV_SESSIONS_DISPLACED), 0);
	bed_run(b, NULL, 0, 10 * LW_US_PER_MS);
	assert_int_equal(open_silent(b, silent + 2, 1, HOME + 4), 1);
	assert_null(silent[0]->conn.twin);
	assert_non_null(silent[1]->conn.twin);
	assert_int_equal(bed_counter(b, LW_SRV_SESSIONS_DISPLACED), 1);
	assert_int_equal(bed_counter(b, LW_SRV_SESSIONS_LIMITED), 1);
	bed_run(b, NULL, 0, 1 * LW_US_PER_S);
	b->common.draining = true; /* for nobody */
	other = peer_create(b, HOME + 5, 9, true);
	peer_begin(other);
	bed_settle(b, &other, 1);
	assert_true(other->closed);
	peer_destroy(other);
	assert_int_equal(bed_counter(b, LW_SRV_SESSIONS_DISPLACED), 1);
	b->common.draining = false;
	other = bed_online(b, HOME + 5, 1, false); /* in place of the second */
	assert_null(silent[1]->conn.twin);
	assert_non_null(silent[2]->conn.twin);
	assert_true(online->online && !online->closed);
	bed_run(b, NULL, 0, 1 * LW_US_PER_S);
	peer_destroy(silent[0]);
	silent[0] = bed_online(b, HOME + 6, 1, true);
	assert_int_equal(b->s.n_online, 3);
	/* nobody is left who could make room */
	bed_run(b, NULL, 0, 5 * LW_US_PER_S);
	peer_destroy(silent[1]);
	assert_int_equal(open_silent(b, silent + 1, 1, HOME + 7), 0);
	assert_int_equal(bed_counter(b, LW_SRV_SESSIONS_DISPLACED), 3);
	for (int i = 0; i < 3; i++)
		peer_destroy(silent[i]);
	peer_destroy(online);
	peer_destroy(other);
	bed_destroy(b);
}

static bool keep_and_lose(void *arg, struct net_dgram *d)
{
	struct net_dgram *kept = arg;

	*kept = *d;
	return false;
}

/* a peer whose hello, which is kept, does not arrive */
static struct peer *lose_hello(struct bed *b, struct net *net, struct net_dgram *ret_hello)
{
	struct peer *p = peer_create(b, HOME + 1, 1, false);

	net->pass = keep_and_lose;
	net->arg = ret_hello;
	peer_begin(p);
	net->pass = NULL;
	return p;
}

static void server__strangers_while_busy__a_few_a_batch(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct net_dgram hello;
	struct peer *p = lose_hello(b, &net, &hello);

	(void)state;
	for (int busy = 0; busy < 2; busy++) {
		b->engine.cores->few_strangers = busy == 1;
		for (uint16_t i = 0; i < 40; i++) {
			struct lw_addr from = lw_addr_ipv4(HOME + 2, (uint16_t)(1000 + i));

			net_send(&net, &from, &b->addr, hello.bytes, hello.len);
		}
		bed_settle(b, NULL, 0);
	}
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), 40 + LW_STRANGERS_WHEN_BUSY);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS_DROPPED), 40 - LW_STRANGERS_WHEN_BUSY);
	assert_int_equal(net.nowhere, 40 + LW_STRANGERS_WHEN_BUSY);
	assert_false(b->engine.cores->strangers_welcome);
	peer_destroy(p);
	p = bed_online(b, HOME + 3, 1, false);
	assert_true(b->engine.cores->strangers_welcome);
	peer_destroy(p);
	bed_destroy(b);
}

/* What is no copy: from elsewhere, shorter, of other bytes, or not next to the first. */
static void server__copies_while_busy__one_is_served(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct lw_addr from = lw_addr_ipv4(HOME + 2, 1000);
	struct net_dgram hello;
	struct peer *p = lose_hello(b, &net, &hello);

	(void)state;
	b->engine.cores->few_strangers = true;
	for (int i = 0; i < 3; i++)
		net_send(&net, &from, &b->addr, hello.bytes, hello.len);
	from.port++;
	net_send(&net, &from, &b->addr, hello.bytes, hello.len);
	net_send(&net, &from, &b->addr, hello.bytes, hello.len - 1u);
	net_send(&net, &from, &b->addr, hello.bytes, hello.len);
	hello.bytes[LW_WIRE_HEADER_LEN + 30] ^= 1; /* its random number */
	net_send(&net, &from, &b->addr, hello.bytes, hello.len);
	bed_settle(b, NULL, 0);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS_COPIES), 2);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), 5);
	net_send(&net, &from, &b->addr, hello.bytes, hello.len); /* in a batch of its own */
	bed_settle(b, NULL, 0);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS_COPIES), 2);
	peer_destroy(p);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate__burst__one_second_then_refused),
		cmocka_unit_test(rate__long_pause__one_second_and_no_more),
		cmocka_unit_test(rate__clock_wraps_or_goes_back__no_gift),
		cmocka_unit_test(rate__uneven__exact_over_ten_seconds),
		cmocka_unit_test(sessions__full__refused_and_no_handshake_taken),
		cmocka_unit_test(source__many_handshakes__its_share_and_no_more),
		cmocka_unit_test(source__share_taken_and_clock_goes_back__not_locked_out),
		cmocka_unit_test(source__busy__ports_and_hosts_of_a_64_share_it),
		cmocka_unit_test(source__busy__others_do_not_share_it),
		cmocka_unit_test(source__some_end__as_many_may_begin),
		cmocka_unit_test(server__sessions_full__counted_and_free_again),
		cmocka_unit_test(server__too_many_handshakes__counted_and_later_taken),
		cmocka_unit_test(server__source_busy__counted_until_its_sessions_end),
		cmocka_unit_test(server__sessions_full_of_silent__the_oldest_makes_room),
		cmocka_unit_test(server__strangers_while_busy__a_few_a_batch),
		cmocka_unit_test(server__copies_while_busy__one_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

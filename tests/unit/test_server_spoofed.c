/* SPDX-License-Identifier: MIT */
/* A flood of first hellos from addresses that nobody has: the figures of wire.md 4.9.2. */
#include <malloc.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/bed_server.h"
#include "unit/test.h"
#include "wire/header.h"

#define SPOOFED   100000u
#define HOME      0xc0000200u
#define RANDOM_AT (LW_WIRE_HEADER_LEN + 13 + 12 + 2)

/* a sanitizer's allocator counts for itself */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t bytes_in_use(void)
{
	if (__sanitizer_get_current_allocated_bytes != NULL)
		return __sanitizer_get_current_allocated_bytes();
	return mallinfo2().uordblks;
}

/* glibc counts what it keeps for reuse as in use, the sanitizer does not: after sessions came and
 * went only the latter is exact. */
static void check_bytes(size_t before)
{
	size_t slack = __sanitizer_get_current_allocated_bytes != NULL ? 0 : 8192;

	assert_in_range(bytes_in_use(), before - slack, before + slack);
}

static bool keep_and_lose(void *arg, struct net_dgram *d)
{
	struct net_dgram *kept = arg;

	*kept = *d;
	return false;
}

static struct net_dgram first_hello(struct bed *b, uint32_t outside_mtu)
{
	struct lw_addr addr = lw_addr_ipv4(HOME + 99, 99);
	struct peer *p = peer_create_at(b, &addr, false, outside_mtu);
	struct net_dgram hello;

	b->net->pass = keep_and_lose;
	b->net->arg = &hello;
	peer_begin(p);
	b->net->pass = NULL;
	peer_destroy(p);
	return hello;
}

/* hello number n, from an address and with a random number of its own */
static void spoof(struct bed *b, struct net_dgram *hello, uint32_t n)
{
	struct lw_addr from = lw_addr_ipv4(0x0b000000u + n / 7, (uint16_t)(1024 + n % 7));

	if (n % 3 == 0) {
		from = (struct lw_addr){ .family = 6, .port = from.port, .ip = { 0x20, 1 } };
		memcpy(from.ip + 4, &n, sizeof(n));
	}
	memcpy(hello->bytes + RANDOM_AT, &n, sizeof(n));
	net_send(b->net, &from, &b->addr, hello->bytes, hello->len);
}

static void flood(struct bed *b, struct net_dgram *hello, uint32_t from, uint32_t until)
{
	uint64_t answered = b->net->nowhere;

	for (uint32_t n = from; n < until; n++) {
		spoof(b, hello, n);
		if (n % LW_STRANGERS_PER_BATCH == 0 || n == until - 1)
			bed_settle(b, NULL, 0);
	}
	assert_int_equal(b->net->nowhere - answered, until - from);
}

/* A genuine peer comes online although each batch is full of strangers. */
static struct peer *genuine(struct bed *b, struct net_dgram *hello, uint32_t *n)
{
	struct peer *p = peer_create(b, HOME + 1, (uint16_t)(1000 + *n % 1000), false);
	uint64_t end = net_clock_us + 5 * LW_US_PER_S;

	peer_begin(p);
	while (!p->online && net_clock_us < end) {
		for (int i = 0; i < 20; i++)
			spoof(b, hello, (*n)++);
		bed_run(b, &p, 1, 10 * LW_US_PER_MS);
	}
	assert_true(p->online);
	return p;
}

static void end_session(struct bed *b, struct peer *p)
{
	peer_close(p);
	bed_settle(b, NULL, 0);
	peer_destroy(p);
	assert_int_equal(b->s.n, 0);
}

static void flood__distinct_addresses__no_memory_no_amplification(void **state)
{
	static const uint32_t mtus[] = { 1500, 576 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct net net = { 0 };
		struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
		struct net_dgram hello = first_hello(b, mtus[i]);
		uint32_t n = 2 * SPOOFED;
		size_t before;
		clock_t start;

		end_session(b, genuine(b, &hello, &n)); /* what is allocated once, is now */
		net.nowhere_longest = 0;
		flood(b, &hello, 0, 64);
		before = bytes_in_use();
		start = clock();
		flood(b, &hello, 64, SPOOFED / 2);
		assert_int_equal(bytes_in_use(), before);
		end_session(b, genuine(b, &hello, &n));
		flood(b, &hello, SPOOFED / 2, SPOOFED);
		print_message("%u spoofed hellos of %u bytes: %.2f us each, answers of %zu bytes\n",
		              SPOOFED, hello.len,
		              (double)(clock() - start) * 1e6 / CLOCKS_PER_SEC / SPOOFED,
		              net.nowhere_longest);
		check_bytes(before);
		assert_in_range(net.nowhere_longest, LW_WIRE_HEADER_LEN + 1, hello.len);
		assert_int_equal(bed_counter(b, LW_SRV_COOKIES_GOOD), 2);
		assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_OPENED), 2);
		assert_int_equal(b->s.by_addr.mask, 63);
		end_session(b, genuine(b, &hello, &n));
		bed_destroy(b);
	}
}

/* strangers that are faster than a genuine peer, each time that it says hello */
struct swarm {
	struct bed *bed;
	struct net_dgram hello;
	uint32_t n;
	uint64_t seed;
};

static bool swarm(void *arg, struct net_dgram *d)
{
	struct swarm *s = arg;

	if (!lw_addr_equal(&d->to, &s->bed->addr) || d->bytes[LW_WIRE_HEADER_LEN] != 22)
		return true;
	s->bed->net->pass = NULL;
	for (uint64_t i = test_random(&s->seed) % 20; i > 0; i--)
		spoof(s->bed, &s->hello, s->n++);
	s->bed->net->pass = swarm;
	return true;
}

/* More strangers than a busy worker's batch serves: the rest is dropped, and a genuine peer asks
 * again. */
static void flood__full_batches__genuine_ones_come_through(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct swarm s = { .bed = b, .hello = first_hello(b, 1500), .seed = 20261125 };

	(void)state;
	net.arg = &s;
	b->engine.cores->few_strangers = true;
	for (uint16_t i = 0; i < 20; i++) {
		struct peer *p = peer_create(b, HOME + 1, (uint16_t)(1000 + i), false);

		net.pass = swarm;
		bed_connect(b, p);
		net.pass = NULL;
		end_session(b, p);
	}
	assert_in_range(bed_counter(b, LW_SRV_HELLOS_DROPPED), 300, s.n);
	assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_ONLINE), 20);
	bed_destroy(b);
}

/* a peer whose second hello is on its way but has not arrived; the first copy of it */
static struct net_dgram second_hello(struct bed *b, struct peer *p)
{
	struct net_dgram second;

	peer_begin(p);
	(void)bed_round(b);
	b->net->pass = keep_and_lose;
	b->net->arg = &second;
	while (peer_round(p))
		continue;
	b->net->pass = NULL;
	assert_int_equal(second.bytes[LW_WIRE_HEADER_LEN + 13 + 5], 1); /* message 1: the second */
	return second;
}

static void deliver(struct bed *b, struct peer *p, const struct net_dgram *d)
{
	net_send(b->net, &d->from, &d->to, d->bytes, d->len);
	bed_settle(b, &p, 1);
}

/* Behind more first hellos than a busy worker answers, the second one of a peer is served. */
static void flood__second_hello_is_last__served_all_the_same(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct net_dgram hello = first_hello(b, 1500);
	struct peer *p = peer_create(b, HOME + 1, 1, false);
	struct net_dgram second = second_hello(b, p);
	uint64_t answered = bed_counter(b, LW_SRV_HELLOS);

	(void)state;
	b->engine.cores->few_strangers = true;
	for (uint32_t n = 0; n < 40; n++)
		spoof(b, &hello, n);
	deliver(b, p, &second);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), answered + LW_STRANGERS_WHEN_BUSY + 1);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_GOOD), 1);
	assert_true(p->online);
	end_session(b, p);
	bed_destroy(b);
}

/* --- the secret of cookies changes every two minutes --- */

static void rekey__cookie_of_the_secret_before__good_for_15_s(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct net_dgram hello = first_hello(b, 1500);
	struct peer *in_time;
	struct peer *late;
	struct net_dgram first;
	struct net_dgram second;

	(void)state;
	net_clock_us += 119 * LW_US_PER_S;
	in_time = peer_create(b, HOME + 1, 1, false);
	late = peer_create(b, HOME + 2, 1, false);
	first = second_hello(b, in_time);
	second = second_hello(b, late);
	net_clock_us += 2 * LW_US_PER_S;
	flood(b, &hello, 0, 1); /* the secret changes with the next stranger */
	deliver(b, in_time, &first);
	assert_true(in_time->online);
	net_clock_us += 16 * LW_US_PER_S;
	deliver(b, late, &second);
	assert_false(late->online);
	assert_int_equal(b->s.n, 1);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_GOOD), 1);
	peer_destroy(in_time);
	peer_destroy(late);
	bed_destroy(b);
}

static void rekey__many_times_under_flood__genuine_ones_come_through(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct net_dgram hello = first_hello(b, 1500);
	uint32_t n = 0;
	size_t before = 0;

	(void)state;
	for (int i = 0; i < 6; i++) {
		flood(b, &hello, n, n + 200);
		n += 200;
		end_session(b, genuine(b, &hello, &n));
		net_clock_us += 30 * LW_US_PER_S;
		flood(b, &hello, n, n + 200); /* the old secret is forgotten */
		n += 200;
		if (i == 1)
			before = bytes_in_use();
		net_clock_us += 100 * LW_US_PER_S;
	}
	net_clock_us += 30 * LW_US_PER_S;
	flood(b, &hello, n, n + 200);
	net_clock_us += 20 * LW_US_PER_S;
	flood(b, &hello, n, n + 200);
	check_bytes(before);
	bed_destroy(b);
}

/* The cookie of one server is nothing to another. */
static void rekey__cookie_of_another_secret__nothing(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct bed *other = bed_create(&net, &(struct bed_plan){ .ip = BED_SERVER + 1 });
	struct peer *p = peer_create(other, HOME + 1, 1, false);
	struct net_dgram d = second_hello(other, p);

	(void)state;
	d.to = b->addr;
	deliver(b, p, &d);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), 1);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_SENT), 0);
	d.to = other->addr;
	deliver(other, p, &d);
	assert_true(p->online);
	peer_destroy(p);
	bed_destroy(other);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flood__distinct_addresses__no_memory_no_amplification),
		cmocka_unit_test(flood__full_batches__genuine_ones_come_through),
		cmocka_unit_test(flood__second_hello_is_last__served_all_the_same),
		cmocka_unit_test(rekey__cookie_of_the_secret_before__good_for_15_s),
		cmocka_unit_test(rekey__many_times_under_flood__genuine_ones_come_through),
		cmocka_unit_test(rekey__cookie_of_another_secret__nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

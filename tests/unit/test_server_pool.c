/* SPDX-License-Identifier: MIT */
#include <pthread.h>

#include "base/addr.h"
#include "server/pool.h"
#include "unit/test.h"

static struct lw_addr prefix(const char *text, uint8_t len)
{
	struct lw_addr a;

	assert_int_equal(lw_addr_parse(text, &a), 0);
	a.prefix = len;
	return a;
}

static void pool__all_taken__each_once_and_never_a_reserved_one(void **state)
{
	const struct lw_addr p = prefix("10.125.0.0", 24);
	const struct lw_addr reserved[] = { prefix("10.125.0.5", 0), prefix("10.125.0.6", 0),
		                            prefix("192.0.2.1", 0) };
	uint8_t seen[256] = { 0 };
	struct lw_pool pool;
	int owner;

	(void)state;
	assert_int_equal(lw_pool_init(&pool, &p, reserved, 3, 1), 0);
	assert_int_equal(pool.cap, 252);
	for (int i = 0; i < 252; i++) {
		uint32_t a = lw_pool_take(&pool, 0, &owner);

		assert_int_equal(a & 0xffffff00, 0x0a7d0000);
		assert_int_equal(seen[a & 255]++, 0);
		assert_ptr_equal(lw_pool_owner(&pool, 0, a), &owner);
	}
	assert_int_equal(seen[0] + seen[255] + seen[5] + seen[6], 0);
	assert_int_equal(lw_pool_take(&pool, 0, &owner), 0);
	lw_pool_fini(&pool);
}

static void pool__given_back__rests_longest(void **state)
{
	const struct lw_addr p = prefix("10.0.0.0", 28);
	struct lw_pool pool;
	uint32_t first;
	int owner;

	(void)state;
	assert_int_equal(lw_pool_init(&pool, &p, NULL, 0, 1), 0);
	first = lw_pool_take(&pool, 0, &owner);
	lw_pool_give(&pool, first);
	assert_null(lw_pool_owner(&pool, 0, first));
	for (uint32_t i = 1; i < pool.cap; i++)
		assert_int_not_equal(lw_pool_take(&pool, 0, &owner), first);
	assert_int_equal(lw_pool_take(&pool, 0, &owner), first);
	lw_pool_fini(&pool);
}

static void pool_owner__outside_the_prefix__nobody(void **state)
{
	const struct lw_addr p = prefix("10.0.0.0", 28);
	struct lw_pool pool;

	(void)state;
	assert_int_equal(lw_pool_init(&pool, &p, NULL, 0, 1), 0);
	assert_null(lw_pool_owner(&pool, 0, 0x0a000010));
	assert_null(lw_pool_owner(&pool, 0, 0x09ffffff));
	assert_null(lw_pool_owner(&pool, 0, UINT32_MAX));
	assert_int_equal(lw_pool_worker(&pool, 0x0a000010), LW_POOL_NOBODY);
	assert_int_equal(lw_pool_worker(&pool, 0x0a000001), LW_POOL_NOBODY);
	lw_pool_fini(&pool);
}

/* What the program on the device computes, for numbers of workers that do not divide the prefix. */
static void pool__several_workers__each_has_its_own_addresses(void **state)
{
	const struct lw_addr p = prefix("10.125.0.0", 24);

	(void)state;
	for (uint32_t n = 2; n < 8; n++) {
		struct lw_pool pool;
		int owner[8];

		assert_int_equal(lw_pool_init(&pool, &p, NULL, 0, n), 0);
		assert_int_equal(pool.cap, 254);
		for (uint32_t i = 0; i < 30 * n; i++) {
			uint32_t a = lw_pool_take(&pool, i % n, &owner[i % n]);

			assert_int_equal(a % n, i % n);
			assert_int_equal(lw_pool_worker(&pool, a), i % n);
			assert_ptr_equal(lw_pool_owner(&pool, i % n, a), &owner[i % n]);
			assert_null(lw_pool_owner(&pool, (i + 1) % n, a));
		}
		assert_int_equal(lw_pool_free(&pool), 254 - 30 * n);
		lw_pool_fini(&pool);
	}
}

static uint32_t fullest(const struct lw_pool *pool)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < pool->n_slices; i++)
		most = pool->slices[i].n_free > most ? pool->slices[i].n_free : most;
	return most;
}

/* Of 62 addresses workers 0 and 3 have 15 and the others 16, of which worker 2 takes four. */
static void pool_take__own_are_used_up__others_come_from_the_fullest(void **state)
{
	const struct lw_addr p = prefix("10.125.0.0", 26);
	struct lw_pool pool;
	uint32_t took[62];
	uint32_t n = 0;
	int owner;

	(void)state;
	assert_int_equal(lw_pool_init(&pool, &p, NULL, 0, 4), 0);
	while (n < 4)
		took[n++] = lw_pool_take(&pool, 2, &owner);
	while (n < 4 + 15) {
		took[n] = lw_pool_take(&pool, 0, &owner);
		assert_int_equal(took[n++] % 4, 0);
	}
	while (n < 62) {
		uint32_t most = fullest(&pool);

		took[n] = lw_pool_take(&pool, 0, &owner);
		assert_int_not_equal(took[n], 0);
		assert_int_equal(pool.slices[took[n] % 4].n_free, most - 1);
		assert_ptr_equal(lw_pool_owner(&pool, 0, took[n++]), &owner);
	}
	assert_int_equal(lw_pool_take(&pool, 3, &owner), 0);
	while (n > 0)
		lw_pool_give(&pool, took[--n]);
	assert_int_equal(lw_pool_free(&pool), 62);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(pool.slices[i].n_free, pool.slices[i].cap);
	lw_pool_fini(&pool);
}

/* --- several threads --- */

#define THREADS 4
#define TIMES   1000000
#define MOST    20 /* addresses that one has at a time: together more than there are */

struct tenant {
	struct lw_pool *pool;
	uint32_t worker;
	uint32_t *taken;          /* by address: how many have it now; atomic */
	pthread_barrier_t *begin; /* all at once */
	uint32_t wrong;
};

static void take_one(struct tenant *t, uint32_t *ret)
{
	*ret = lw_pool_take(t->pool, t->worker, t);
	if (*ret == 0)
		return; /* the others have them all */
	if (__atomic_add_fetch(&t->taken[*ret % 64], 1, __ATOMIC_RELAXED) != 1 ||
	    lw_pool_owner(t->pool, t->worker, *ret) != t)
		t->wrong++;
}

static void give_one(struct tenant *t, uint32_t *address)
{
	if (*address == 0)
		return;
	(void)__atomic_sub_fetch(&t->taken[*address % 64], 1, __ATOMIC_RELAXED);
	lw_pool_give(t->pool, *address);
}

static void *take_and_give(void *arg)
{
	struct tenant *t = arg;
	uint32_t has[MOST] = { 0 };

	(void)pthread_barrier_wait(t->begin);
	for (uint32_t i = 0; i < TIMES; i++) {
		give_one(t, &has[i % MOST]);
		take_one(t, &has[i % MOST]);
		if (lw_pool_free(t->pool) > t->pool->cap)
			t->wrong++;
	}
	for (uint32_t i = 0; i < MOST; i++)
		give_one(t, &has[i]);
	return NULL;
}

static void pool__several_threads_take_and_give__no_address_is_there_twice(void **state)
{
	const struct lw_addr p = prefix("10.125.0.0", 26);
	struct tenant tenants[THREADS];
	pthread_t threads[THREADS];
	uint32_t taken[64] = { 0 };
	pthread_barrier_t begin;
	struct lw_pool pool;

	(void)state;
	assert_int_equal(lw_pool_init(&pool, &p, NULL, 0, THREADS), 0);
	assert_int_equal(pthread_barrier_init(&begin, NULL, THREADS), 0);
	for (uint32_t i = 0; i < THREADS; i++) {
		tenants[i] = (struct tenant){
			.pool = &pool, .worker = i, .taken = taken, .begin = &begin
		};
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &tenants[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		(void)pthread_join(threads[i], NULL);
		assert_int_equal(tenants[i].wrong, 0);
	}
	(void)pthread_barrier_destroy(&begin);
	assert_int_equal(lw_pool_free(&pool), pool.cap);
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(pool.slices[i].n_free, pool.slices[i].cap);
	for (uint32_t i = 0; i < pool.cap; i++)
		assert_int_equal(taken[lw_pool_take(&pool, 0, &pool) % 64]++, 0);
	assert_int_equal(lw_pool_take(&pool, 0, &pool), 0);
	lw_pool_fini(&pool);
}

static void pool_init__bad_prefix__refused(void **state)
{
	const struct lw_addr too_long = prefix("10.0.0.0", 31);
	const struct lw_addr too_short = prefix("10.0.0.0", 9);
	struct lw_pool pool;

	(void)state;
	assert_int_equal(lw_pool_init(&pool, &too_long, NULL, 0, 1), -22);
	assert_int_equal(lw_pool_init(&pool, &too_short, NULL, 0, 1), -22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool__all_taken__each_once_and_never_a_reserved_one),
		cmocka_unit_test(pool__given_back__rests_longest),
		cmocka_unit_test(pool_owner__outside_the_prefix__nobody),
		cmocka_unit_test(pool__several_workers__each_has_its_own_addresses),
		cmocka_unit_test(pool_take__own_are_used_up__others_come_from_the_fullest),
		cmocka_unit_test(pool__several_threads_take_and_give__no_address_is_there_twice),
		cmocka_unit_test(pool_init__bad_prefix__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
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

static void pool_take__own_are_used_up__others_come_from_the_fullest(void **state)
{
	const struct lw_addr p = prefix("10.125.0.0", 26);
	struct lw_pool pool;
	uint32_t took[62];
	int owner;

	(void)state;
	assert_int_equal(lw_pool_init(&pool, &p, NULL, 0, 4), 0);
	for (uint32_t i = 0; i < 4; i++)
		took[i] = lw_pool_take(&pool, 2, &owner); /* one less than worker 1 has */
	for (uint32_t i = 0; i < 62; i++) {
		uint32_t most = 0;

		for (uint32_t k = 0; k < 4; k++)
			most = pool.slices[k].n_free > most ? pool.slices[k].n_free : most;
		if (i < 4)
			continue;
		if (pool.slices[0].n_free == 0)
			assert_int_not_equal(most, 0);
		took[i] = lw_pool_take(&pool, 0, &owner);
		assert_int_not_equal(took[i], 0);
		if (i >= 4 + 15)
			assert_int_equal(pool.slices[took[i] % 4].n_free, most - 1);
		else
			assert_int_equal(took[i] % 4, 0);
		assert_ptr_equal(lw_pool_owner(&pool, 0, took[i]), &owner);
	}
	assert_int_equal(lw_pool_take(&pool, 3, &owner), 0);
	for (uint32_t i = 0; i < 62; i++)
		lw_pool_give(&pool, took[i]);
	assert_int_equal(lw_pool_free(&pool), 62);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(pool.slices[i].n_free, pool.slices[i].cap);
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
		cmocka_unit_test(pool_init__bad_prefix__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

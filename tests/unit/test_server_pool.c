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
	assert_int_equal(lw_pool_init(&pool, &p, reserved, 3), 0);
	assert_int_equal(pool.cap, 252);
	for (int i = 0; i < 252; i++) {
		uint32_t a = lw_pool_take(&pool, &owner);

		assert_int_equal(a & 0xffffff00, 0x0a7d0000);
		assert_int_equal(seen[a & 255]++, 0);
		assert_ptr_equal(lw_pool_owner(&pool, a), &owner);
	}
	assert_int_equal(seen[0] + seen[255] + seen[5] + seen[6], 0);
	assert_int_equal(lw_pool_take(&pool, &owner), 0);
	lw_pool_fini(&pool);
}

static void pool__given_back__rests_longest(void **state)
{
	const struct lw_addr p = prefix("10.0.0.0", 28);
	struct lw_pool pool;
	uint32_t first;
	int owner;

	(void)state;
	assert_int_equal(lw_pool_init(&pool, &p, NULL, 0), 0);
	first = lw_pool_take(&pool, &owner);
	lw_pool_give(&pool, first);
	assert_null(lw_pool_owner(&pool, first));
	for (uint32_t i = 1; i < pool.cap; i++)
		assert_int_not_equal(lw_pool_take(&pool, &owner), first);
	assert_int_equal(lw_pool_take(&pool, &owner), first);
	lw_pool_fini(&pool);
}

static void pool_owner__outside_the_prefix__nobody(void **state)
{
	const struct lw_addr p = prefix("10.0.0.0", 28);
	struct lw_pool pool;

	(void)state;
	assert_int_equal(lw_pool_init(&pool, &p, NULL, 0), 0);
	assert_null(lw_pool_owner(&pool, 0x0a000010));
	assert_null(lw_pool_owner(&pool, 0x09ffffff));
	assert_null(lw_pool_owner(&pool, UINT32_MAX));
	lw_pool_fini(&pool);
}

static void pool_init__bad_prefix__refused(void **state)
{
	const struct lw_addr too_long = prefix("10.0.0.0", 31);
	const struct lw_addr too_short = prefix("10.0.0.0", 9);
	struct lw_pool pool;

	(void)state;
	assert_int_equal(lw_pool_init(&pool, &too_long, NULL, 0), -22);
	assert_int_equal(lw_pool_init(&pool, &too_short, NULL, 0), -22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool__all_taken__each_once_and_never_a_reserved_one),
		cmocka_unit_test(pool__given_back__rests_longest),
		cmocka_unit_test(pool_owner__outside_the_prefix__nobody),
		cmocka_unit_test(pool_init__bad_prefix__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

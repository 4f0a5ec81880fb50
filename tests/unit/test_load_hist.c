/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "load/hist.h"

static void percentile__nothing__is_0(void **state)
{
	struct load_hist h = { 0 };

	(void)state;
	assert_int_equal(load_hist_percentile(&h, 50), 0);
	assert_int_equal(load_hist_percentile(&h, 100), 0);
}

static void percentile__small_values__are_exact(void **state)
{
	struct load_hist h = { 0 };

	(void)state;
	for (uint64_t us = 100; us >= 1; us--)
		load_hist_add(&h, us);
	assert_int_equal(load_hist_percentile(&h, 1), 1);
	assert_int_equal(load_hist_percentile(&h, 50), 50);
	assert_int_equal(load_hist_percentile(&h, 99), 99);
	assert_int_equal(load_hist_percentile(&h, 100), 100);
	assert_int_equal(h.max_us, 100);
}

/* The rank is rounded up: of 3 values the median is the second, p99 the third. */
static void percentile__few_values__rank_is_rounded_up(void **state)
{
	struct load_hist h = { 0 };

	(void)state;
	load_hist_add(&h, 30);
	load_hist_add(&h, 10);
	load_hist_add(&h, 20);
	assert_int_equal(load_hist_percentile(&h, 33), 10);
	assert_int_equal(load_hist_percentile(&h, 34), 20);
	assert_int_equal(load_hist_percentile(&h, 50), 20);
	assert_int_equal(load_hist_percentile(&h, 99), 30);
}

static void percentile__one_value__never_less_and_a_64th_more_at_most(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct load_hist h = { 0 };
		uint64_t us = test_random(&seed) >> test_random(&seed) % 63;
		uint64_t p;

		load_hist_add(&h, us);
		h.max_us = UINT64_MAX; /* which would hide the bucket's width */
		p = load_hist_percentile(&h, 50);
		assert_true(p >= us);
		assert_true(p - us <= us / 64);
	}
}

static void percentile__longest__is_not_exceeded(void **state)
{
	struct load_hist h = { 0 };

	(void)state;
	load_hist_add(&h, 1000001);
	assert_int_equal(load_hist_percentile(&h, 99), 1000001);
	load_hist_add(&h, UINT64_MAX);
	assert_int_equal(load_hist_percentile(&h, 100), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentile__nothing__is_0),
		cmocka_unit_test(percentile__small_values__are_exact),
		cmocka_unit_test(percentile__few_values__rank_is_rounded_up),
		cmocka_unit_test(percentile__one_value__never_less_and_a_64th_more_at_most),
		cmocka_unit_test(percentile__longest__is_not_exceeded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

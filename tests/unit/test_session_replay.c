/* SPDX-License-Identifier: MIT */
/* wire.md 7.7 */
#include "session/replay.h"
#include "unit/test.h"

/* wire.md 13.3 */
static void replay__the_specifications_sequence__as_written(void **state)
{
	static const struct {
		uint64_t counter;
		bool accepted;
	} steps[] = { { 0, false },      { 1, true },     { 1, false },      { 3, true },
		      { 2, true },       { 2, false },    { 8194, true },    { 3, false },
		      { 4, true },       { 2, false },    { 1000000, true }, { 991809, true },
		      { 991808, false }, { 8194, false }, { 999999, true },  { 1000001, true } };
	struct lw_replay r = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		print_message("  %llu\n", (unsigned long long)steps[i].counter);
		assert_int_equal(lw_replay_check(&r, steps[i].counter), steps[i].accepted);
		assert_int_equal(lw_replay_commit(&r, steps[i].counter), steps[i].accepted);
		assert_false(lw_replay_check(&r, steps[i].counter));
	}
}

static void replay__asked_only__nothing_moves(void **state)
{
	struct lw_replay r = { 0 };
	struct lw_replay before;

	(void)state;
	for (uint64_t c = 1; c < 100; c++)
		assert_true(lw_replay_commit(&r, c));
	before = r;
	assert_true(lw_replay_check(&r, UINT64_MAX));
	assert_true(lw_replay_check(&r, 9000000));
	assert_false(lw_replay_check(&r, 50));
	assert_memory_equal(&r, &before, sizeof(r));
}

/* Against a set that forgets nothing, with steps of every size. */
static void replay__random_steps__as_a_plain_set(void **state)
{
	enum { TOP = 1 << 17 };
	static bool seen[TOP];

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		uint64_t random = seed * 0x9e3779b97f4a7c15u;
		struct lw_replay r = { 0 };
		uint64_t highest = 0;

		memset(seen, 0, sizeof(seen));
		for (int i = 0; i < 20000; i++) {
			uint64_t span = UINT64_C(1) << test_random(&random) % 15;
			uint64_t c = highest + test_random(&random) % span;
			uint64_t back = test_random(&random) % (2 * span);
			bool expected;

			c = c > back ? c - back : 0;
			if (c >= TOP)
				break;
			expected = c > 0 && !seen[c] && (c > highest || highest - c < 8192);
			assert_int_equal(lw_replay_commit(&r, c), expected);
			seen[c] = seen[c] || expected;
			highest = expected && c > highest ? c : highest;
			assert_int_equal(r.highest, highest);
		}
	}
}

static void replay__at_the_end_of_the_counters__goes_on(void **state)
{
	struct lw_replay r = { 0 };

	(void)state;
	assert_true(lw_replay_commit(&r, UINT64_MAX - 1));
	assert_true(lw_replay_commit(&r, UINT64_MAX));
	assert_false(lw_replay_commit(&r, UINT64_MAX));
	assert_true(lw_replay_commit(&r, UINT64_MAX - 8191));
	assert_false(lw_replay_commit(&r, UINT64_MAX - 8192));
	assert_false(lw_replay_commit(&r, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay__the_specifications_sequence__as_written),
		cmocka_unit_test(replay__asked_only__nothing_moves),
		cmocka_unit_test(replay__random_steps__as_a_plain_set),
		cmocka_unit_test(replay__at_the_end_of_the_counters__goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

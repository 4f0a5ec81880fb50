/* SPDX-License-Identifier: MIT */
#include "base/wheel.h"
#include "unit/test.h"

struct timer {
	struct lw_timer t;
	uint64_t deadline;
	int armed;
};

#define N 300

static uint64_t random_span(uint64_t *seed)
{
	/* from microseconds to weeks, so that every level is used */
	return test_random(seed) % (1ull << (test_random(seed) % 41));
}

static void arm(struct lw_wheel *w, struct timer *t, uint64_t deadline)
{
	t->deadline = deadline;
	t->armed = 1;
	lw_wheel_set(w, &t->t, deadline);
}

static void check_all(struct lw_wheel *w, struct timer *timers, uint64_t now, uint64_t *seed)
{
	struct lw_timer *due;
	uint64_t earliest = UINT64_MAX;

	while ((due = lw_wheel_expire(w, now)) != NULL) {
		struct timer *t = (struct timer *)(void *)due;

		assert_true(t->armed);
		assert_true(t->deadline <= now);
		t->armed = 0;
		if (test_random(seed) % 2)
			arm(w, t, now + 1 + random_span(seed));
	}
	for (int i = 0; i < N; i++) {
		if (!timers[i].armed)
			continue;
		/* late by less than a tick */
		assert_true(timers[i].deadline + LW_WHEEL_TICK_US > now);
		if (timers[i].deadline < earliest)
			earliest = timers[i].deadline;
	}
	assert_true(lw_wheel_next_us(w) <=
	            (earliest == UINT64_MAX ? UINT64_MAX : earliest + LW_WHEEL_TICK_US));
}

static void wheel__random_work__never_early_never_late(void **state)
{
	(void)state;
	for (uint64_t run = 1; run <= 40; run++) {
		struct timer timers[N] = { 0 };
		uint64_t seed = run;
		uint64_t now = test_random(&seed) % 100000000;
		struct lw_wheel w;

		lw_wheel_init(&w, now);
		for (int i = 0; i < 3000; i++) {
			struct timer *t = &timers[test_random(&seed) % N];

			if (test_random(&seed) % 4 != 0) {
				arm(&w, t, now + random_span(&seed));
			} else {
				lw_wheel_cancel(&w, &t->t);
				t->armed = 0;
			}
			now += test_random(&seed) % 3 ? random_span(&seed) >> 12 : 0;
			check_all(&w, timers, now, &seed);
		}
	}
}

static void wheel_next__followed__reaches_each_deadline(void **state)
{
	struct timer timers[N] = { 0 };
	uint64_t seed = 7;
	uint64_t now = 5;
	struct lw_wheel w;
	int steps = 0;

	(void)state;
	lw_wheel_init(&w, now);
	for (int i = 0; i < N; i++)
		arm(&w, &timers[i], random_span(&seed));
	while (lw_wheel_next_us(&w) != UINT64_MAX) {
		struct lw_timer *due;

		now = lw_wheel_next_us(&w) > now ? lw_wheel_next_us(&w) : now;
		while ((due = lw_wheel_expire(&w, now)) != NULL)
			assert_true(((struct timer *)(void *)due)->deadline <= now);
		assert_true(++steps < 100 * N);
	}
	assert_int_equal(w.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wheel__random_work__never_early_never_late),
		cmocka_unit_test(wheel_next__followed__reaches_each_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

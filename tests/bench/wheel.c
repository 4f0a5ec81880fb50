/* SPDX-License-Identifier: MIT */
/*
 * The time that one millisecond of a worker's timers takes, with one timer for each of so many
 * sessions, which expires and is armed again every ten seconds: prints microseconds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/wheel.h"

#define PERIOD_US (10 * LW_US_PER_S)
#define ROUNDS_MS 60000u

int main(int argc, char **argv)
{
	unsigned long n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	struct lw_timer *timers = n > 0 && n <= 4000000 ? calloc(n, sizeof(*timers)) : NULL;
	struct lw_wheel wheel;
	uint64_t began;
	struct lw_timer *t;

	if (timers == NULL) {
		(void)fprintf(stderr, "usage: wheel SESSIONS\n");
		return 64;
	}
	lw_wheel_init(&wheel, 0);
	for (unsigned long i = 0; i < n; i++)
		lw_wheel_set(&wheel, &timers[i], PERIOD_US * i / n);
	began = lw_clock_us();
	for (uint64_t ms = 1; ms <= ROUNDS_MS; ms++) {
		uint64_t now_us = ms * LW_US_PER_MS;

		while ((t = lw_wheel_expire(&wheel, now_us)) != NULL)
			lw_wheel_set(&wheel, t, now_us + PERIOD_US);
	}
	(void)printf("%.4f\n", (double)(lw_clock_us() - began) / ROUNDS_MS);
	free(timers);
	return 0;
}

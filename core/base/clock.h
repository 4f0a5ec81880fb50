/* SPDX-License-Identifier: MIT */
#ifndef LW_BASE_CLOCK_H
#define LW_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define LW_US_PER_MS 1000ull
#define LW_US_PER_S  1000000ull

static inline uint64_t lw_clock_read(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts); /* cannot fail for these two clocks */
	return (uint64_t)ts.tv_sec * LW_US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

/* lw_clock_us() - monotonic time in microseconds; any thread */
static inline uint64_t lw_clock_us(void)
{
	return lw_clock_read(CLOCK_MONOTONIC);
}

/* lw_clock_wall_us() - microseconds since 1970; any thread */
static inline uint64_t lw_clock_wall_us(void)
{
	return lw_clock_read(CLOCK_REALTIME);
}

#endif

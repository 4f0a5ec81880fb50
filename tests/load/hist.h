/* SPDX-License-Identifier: MIT */
#ifndef LW_LOAD_HIST_H
#define LW_LOAD_HIST_H

#include <stdint.h>

/* below it each value has a bucket of its own; above it each power of two has half as many */
#define LOAD_HIST_FINE    128u
#define LOAD_HIST_BUCKETS (LOAD_HIST_FINE + (64 - 7) * (LOAD_HIST_FINE / 2))

/*
 * How often a duration was seen, in buckets that are at most a 64th of their value wide, so that
 * millions of them take no more memory than one.
 */
struct load_hist {
	uint64_t n;
	uint64_t max_us;
	uint64_t buckets[LOAD_HIST_BUCKETS];
};

/* load_hist_add() - one duration more */
void load_hist_add(struct load_hist *h, uint64_t us);

/**
 * load_hist_percentile() - the least duration that so many percent of all do not exceed
 *
 * @percent: 1..100
 *
 * Return: microseconds, at most a 64th too many and never more than the longest; 0 of none.
 */
uint64_t load_hist_percentile(const struct load_hist *h, unsigned percent);

#endif

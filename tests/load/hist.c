/* SPDX-License-Identifier: MIT */
#include "load/hist.h"

#define HALF (LOAD_HIST_FINE / 2)

/* value >> shift is HALF..2 * HALF - 1, which names the bucket within its power of two */
static uint32_t bucket_of(uint64_t us)
{
	unsigned shift = 0;

	if (us < LOAD_HIST_FINE)
		return (uint32_t)us;
	while (us >> shift >= LOAD_HIST_FINE)
		shift++;
	return LOAD_HIST_FINE + (shift - 1) * HALF + (uint32_t)(us >> shift) - HALF;
}

static uint64_t highest_of(uint32_t bucket)
{
	unsigned shift;

	if (bucket < LOAD_HIST_FINE)
		return bucket;
	bucket -= LOAD_HIST_FINE;
	shift = bucket / HALF + 1;
	return (((uint64_t)(bucket % HALF + HALF) + 1) << shift) - 1;
}

void load_hist_add(struct load_hist *h, uint64_t us)
{
	h->n++;
	h->buckets[bucket_of(us)]++;
	if (us > h->max_us)
		h->max_us = us;
}

uint64_t load_hist_percentile(const struct load_hist *h, unsigned percent)
{
	uint64_t rank = h->n / 100 * percent + (h->n % 100 * percent + 99) / 100;
	uint64_t seen = 0;

	for (uint32_t i = 0; i < LOAD_HIST_BUCKETS && rank > 0; i++) {
		seen += h->buckets[i];
		if (seen >= rank)
			return highest_of(i) < h->max_us ? highest_of(i) : h->max_us;
	}
	return 0;
}

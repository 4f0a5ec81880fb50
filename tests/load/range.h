/* SPDX-License-Identifier: MIT */
#ifndef LW_LOAD_RANGE_H
#define LW_LOAD_RANGE_H

#include <stdint.h>

#include <laneway/err.h>

/* IPv4 addresses in a row; first in host order */
struct load_range {
	uint32_t first;
	uint32_t n;
};

/**
 * load_range_parse() - read "192.0.2.1", "192.0.2.1-192.0.2.9" or "192.0.2.0/24"
 *
 * Of a prefix shorter than 31 the first and the last address are left out.
 *
 * Return: 0, or -EINVAL with a sentence.
 */
int load_range_parse(const char *text, struct load_range *ret, struct lw_err *err);

/* load_range_at() - the address with this index; behind the last one comes the first */
static inline uint32_t load_range_at(const struct load_range *r, uint64_t i)
{
	return r->first + (uint32_t)(i % r->n);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The implementations behind checksum.h. One is chosen when the program starts; tests and the
 * benchmark run each.
 */
#ifndef LW_PACKET_CHECKSUM_IMPL_H
#define LW_PACKET_CHECKSUM_IMPL_H

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "packet/checksum.h"

#if defined(__x86_64__)
#define LW_CSUM_AVX2 1
#endif

/* summing and copying are one function, of which the compiler makes two: dst is NULL, or is not */
#define LW_CSUM_INLINE static inline __attribute__((always_inline))

/* sum and copy have the contracts of lw_csum_sum() and lw_csum_copy() */
struct lw_csum_impl {
	const char *name;
	uint16_t (*sum)(const void *p, size_t len);
	uint16_t (*copy)(void *dst, const void *src, size_t len);
};

extern const struct lw_csum_impl lw_csum_portable;
#ifdef LW_CSUM_AVX2
extern const struct lw_csum_impl lw_csum_avx2;
#endif

/* lw_csum_impl_get() - the i-th that this processor can run, the fastest first; NULL: no more */
const struct lw_csum_impl *lw_csum_impl_get(size_t i);

/* lw_csum_impl_chosen() - the one behind lw_csum_sum() and lw_csum_copy() */
const struct lw_csum_impl *lw_csum_impl_chosen(void);

/*
 * Words are added in the machine's own order: the one's complement sum of swapped words is the
 * swapped sum (RFC 1071, section 2), so one swap at the end is enough.
 */
LW_CSUM_INLINE uint64_t lw_csum_add64(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

LW_CSUM_INLINE uint16_t lw_csum_finish(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return ntohs(lw_csum_fold((uint32_t)sum));
}

/* the next n bytes, at most 8, as a word */
LW_CSUM_INLINE uint64_t lw_csum_take(uint8_t *dst, const uint8_t *src, size_t n)
{
	uint64_t word = 0;

	memcpy(&word, src, n);
	if (dst != NULL)
		memcpy(dst, &word, n);
	return word;
}

LW_CSUM_INLINE uint8_t *lw_csum_skip(uint8_t *dst, size_t n)
{
	return dst != NULL ? dst + n : NULL;
}

/* what is left behind the last whole block: any length, but meant for short ones */
LW_CSUM_INLINE uint64_t lw_csum_rest(uint64_t sum, uint8_t *dst, const uint8_t *src, size_t len)
{
	uint64_t last = 0;

	for (; len >= 8; len -= 8, src += 8, dst = lw_csum_skip(dst, 8))
		sum = lw_csum_add64(sum, lw_csum_take(dst, src, 8));
	/* an odd last byte is the first in memory of a word whose second is zero; the order of
	 * words does not matter */
	if ((len & 4) != 0) {
		last = lw_csum_take(dst, src, 4);
		src += 4;
		dst = lw_csum_skip(dst, 4);
	}
	if ((len & 2) != 0) {
		last += lw_csum_take(dst, src, 2);
		src += 2;
		dst = lw_csum_skip(dst, 2);
	}
	if ((len & 1) != 0)
		last += lw_csum_take(dst, src, 1);
	return lw_csum_add64(sum, last);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * AVX2: halves of 64-bit words are added into 64-bit lanes, which cannot overflow. Unpacking them
 * costs as much as masking and shifting, but gcc 12 would load everything twice for the latter.
 * SSE2 was tried and left out: it gained nothing (sum) and a tenth (copy) over four sums in
 * ordinary registers.
 */
#include "packet/checksum_impl.h"

#ifdef LW_CSUM_AVX2

#include <immintrin.h>

#define TARGET_AVX2 __attribute__((target("avx2")))

TARGET_AVX2 LW_CSUM_INLINE __m256i avx2_load(uint8_t *dst, const uint8_t *src)
{
	__m256i v = _mm256_loadu_si256((const void *)src);

	if (dst != NULL)
		_mm256_storeu_si256((void *)dst, v);
	return v;
}

TARGET_AVX2 LW_CSUM_INLINE __m256i avx2_add(__m256i sum, __m256i v)
{
	const __m256i zero = _mm256_setzero_si256();

	v = _mm256_add_epi64(_mm256_unpacklo_epi32(v, zero), _mm256_unpackhi_epi32(v, zero));
	return _mm256_add_epi64(sum, v);
}

TARGET_AVX2 LW_CSUM_INLINE uint64_t avx2_lanes(__m256i v)
{
	__m128i two = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	return (uint64_t)_mm_cvtsi128_si64(two) +
	       (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(two, two));
}

TARGET_AVX2 LW_CSUM_INLINE uint16_t avx2_both(uint8_t *dst, const uint8_t *src, size_t len)
{
	__m256i even = _mm256_setzero_si256();
	__m256i odd = even;
	uint64_t sum;

	for (; len >= 64; len -= 64, src += 64, dst = lw_csum_skip(dst, 64)) {
		even = avx2_add(even, avx2_load(dst, src));
		odd = avx2_add(odd, avx2_load(lw_csum_skip(dst, 32), src + 32));
	}
	if (len >= 32) {
		even = avx2_add(even, avx2_load(dst, src));
		len -= 32;
		src += 32;
		dst = lw_csum_skip(dst, 32);
	}
	sum = avx2_lanes(_mm256_add_epi64(even, odd));
	return lw_csum_finish(lw_csum_rest(sum, dst, src, len));
}

TARGET_AVX2 static uint16_t avx2_sum(const void *p, size_t len)
{
	return avx2_both(NULL, p, len);
}

TARGET_AVX2 static uint16_t avx2_copy(void *dst, const void *src, size_t len)
{
	return avx2_both(dst, src, len);
}

const struct lw_csum_impl lw_csum_avx2 = { .name = "avx2", .sum = avx2_sum, .copy = avx2_copy };

#endif

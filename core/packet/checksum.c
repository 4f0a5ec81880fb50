/* SPDX-License-Identifier: MIT */
#include "packet/checksum_impl.h"

#include <stdbool.h>

/* --- any processor --- */

LW_CSUM_INLINE void store64(uint8_t *p, uint64_t word)
{
	memcpy(p, &word, sizeof(word));
}

/* four sums side by side: one alone waits for its own carry at every word */
LW_CSUM_INLINE uint16_t portable_both(uint8_t *dst, const uint8_t *src, size_t len)
{
	uint64_t sum[4] = { 0 };

	for (; len >= 32; len -= 32, src += 32) {
		uint64_t w = lw_csum_take(NULL, src, 8);
		uint64_t x = lw_csum_take(NULL, src + 8, 8);
		uint64_t y = lw_csum_take(NULL, src + 16, 8);
		uint64_t z = lw_csum_take(NULL, src + 24, 8);

		if (dst != NULL) {
			store64(dst, w);
			store64(dst + 8, x);
			store64(dst + 16, y);
			store64(dst + 24, z);
			dst += 32;
		}
		sum[0] = lw_csum_add64(sum[0], w);
		sum[1] = lw_csum_add64(sum[1], x);
		sum[2] = lw_csum_add64(sum[2], y);
		sum[3] = lw_csum_add64(sum[3], z);
	}
	sum[0] = lw_csum_add64(sum[0], sum[1]);
	sum[2] = lw_csum_add64(sum[2], sum[3]);
	return lw_csum_finish(lw_csum_rest(lw_csum_add64(sum[0], sum[2]), dst, src, len));
}

static uint16_t portable_sum(const void *p, size_t len)
{
	return portable_both(NULL, p, len);
}

static uint16_t portable_copy(void *dst, const void *src, size_t len)
{
	return portable_both(dst, src, len);
}

const struct lw_csum_impl lw_csum_portable = {
	.name = "portable",
	.sum = portable_sum,
	.copy = portable_copy,
};

/* --- the choice --- */

static const struct lw_csum_impl *const impls[] = {
#ifdef LW_CSUM_AVX2
	&lw_csum_avx2,
#endif
	&lw_csum_portable,
};

static bool runs_here(const struct lw_csum_impl *impl)
{
#ifdef LW_CSUM_AVX2
	if (impl == &lw_csum_avx2) {
		__builtin_cpu_init();
		return __builtin_cpu_supports("avx2") != 0;
	}
#endif
	return impl != NULL;
}

const struct lw_csum_impl *lw_csum_impl_get(size_t i)
{
	for (size_t n = 0; n < sizeof(impls) / sizeof(impls[0]); n++) {
		if (runs_here(impls[n]) && i-- == 0)
			return impls[n];
	}
	return NULL;
}

/* set before main() and not again; what runs earlier still has one that works */
static const struct lw_csum_impl *chosen = &lw_csum_portable;

__attribute__((constructor)) static void choose(void)
{
	chosen = lw_csum_impl_get(0);
}

const struct lw_csum_impl *lw_csum_impl_chosen(void)
{
	return chosen;
}

uint16_t lw_csum_sum(const void *p, size_t len)
{
	return chosen->sum(p, len);
}

uint16_t lw_csum_copy(void *dst, const void *src, size_t len)
{
	return chosen->copy(dst, src, len);
}

/* --- changes --- */

/* a - b in one's complement: what is borrowed is taken off again at the end */
static uint16_t subtract(uint16_t a, uint16_t b)
{
	return (uint16_t)(a - b - (a < b));
}

uint16_t lw_csum_update(uint16_t check, uint16_t old, uint16_t now)
{
	return subtract(subtract(check, (uint16_t)~old), now);
}

uint16_t lw_csum_update32(uint16_t check, uint32_t old, uint32_t now)
{
	check = lw_csum_update(check, (uint16_t)(old >> 16), (uint16_t)(now >> 16));
	return lw_csum_update(check, (uint16_t)old, (uint16_t)now);
}

uint16_t lw_csum_adjust32(uint16_t sum, uint32_t old, uint32_t now)
{
	uint32_t total = sum;

	total += (uint16_t) ~(old >> 16);
	total += (uint16_t)~old;
	total += now >> 16;
	total += now & 0xffff;
	return lw_csum_fold(total);
}

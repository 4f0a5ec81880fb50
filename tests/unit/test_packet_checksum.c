/* SPDX-License-Identifier: MIT */
#include "hex.h"

#include "packet/checksum_impl.h"

static uint64_t seed = 0x636b73;

/* RFC 1071 word by word, as slow as it reads */
static uint16_t plain_sum(const uint8_t *p, size_t len)
{
	uint64_t total = 0;

	for (size_t i = 0; i < len; i++)
		total += i % 2 == 0 ? (uint64_t)p[i] << 8 : p[i];
	while (total >> 16 != 0)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

static void sum__rfc_1071_example__is_ddf2(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	(void)state;
	assert_int_equal(lw_csum_sum(bytes, sizeof(bytes)), 0xddf2);
	assert_int_equal(lw_csum_sum(bytes, 0), 0);
	assert_int_equal(lw_csum_sum(NULL, 0), 0);
	assert_int_equal(lw_csum_sum(bytes + 2, 1), 0xf200);
}

static void sum__ipv4_header__is_all_ones(void **state)
{
	uint8_t header[20];

	(void)state;
	assert_int_equal(hex_read("4500002100010000401112806440000601020304", header, 20), 20);
	assert_int_equal(lw_csum_sum(header, 20), 0xffff);
}

#define LENGTH_MAX 2100
#define ALIGN_MAX  64

static uint8_t noise[ALIGN_MAX + LENGTH_MAX];

static int fill_noise(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)test_random(&seed);
	return 0;
}

/* all implementations that this processor has, and the chosen one */
static void assert_sum(const uint8_t *p, size_t len, uint16_t want)
{
	const struct lw_csum_impl *impl;

	for (size_t i = 0; (impl = lw_csum_impl_get(i)) != NULL; i++)
		assert_int_equal(impl->sum(p, len), want);
	assert_int_equal(lw_csum_sum(p, len), want);
}

static void assert_copy(uint8_t *dst, const uint8_t *src, size_t len)
{
	const struct lw_csum_impl *impl;

	for (size_t i = 0; (impl = lw_csum_impl_get(i)) != NULL; i++) {
		memset(dst, 0, len);
		assert_int_equal(impl->copy(dst, src, len), lw_csum_portable.sum(src, len));
		assert_memory_equal(dst, src, len);
	}
	memset(dst, 0, len);
	assert_int_equal(lw_csum_copy(dst, src, len), lw_csum_portable.sum(src, len));
	assert_memory_equal(dst, src, len);
}

static void impl__portable_one__is_always_the_last(void **state)
{
	const struct lw_csum_impl *impl;
	const struct lw_csum_impl *last = NULL;

	(void)state;
	for (size_t i = 0; (impl = lw_csum_impl_get(i)) != NULL; i++)
		last = impl;
	assert_ptr_equal(last, &lw_csum_portable);
}

static void impl__chosen_one__is_the_fastest(void **state)
{
	(void)state;
	assert_ptr_equal(lw_csum_impl_chosen(), lw_csum_impl_get(0));
#ifdef LW_CSUM_AVX2
	if (__builtin_cpu_supports("avx2"))
		assert_ptr_equal(lw_csum_impl_chosen(), &lw_csum_avx2);
#endif
}

static void sum__each_length_and_alignment__equals_word_by_word(void **state)
{
	(void)state;
	for (size_t start = 0; start < ALIGN_MAX; start++) {
		uint32_t want = 0; /* grows with the length */

		for (size_t len = 0; len <= LENGTH_MAX; len++) {
			uint32_t last = len > 0 ? noise[start + len - 1] : 0;

			want = lw_csum_fold(want + (len % 2 != 0 ? last << 8 : last));
			if (len % 97 == 0)
				assert_int_equal(want, plain_sum(noise + start, len));
			assert_sum(noise + start, len, (uint16_t)want);
		}
	}
}

static void sum__block_of_its_own_size__is_not_read_behind(void **state)
{
	(void)state;
	for (size_t len = 0; len <= LENGTH_MAX; len++) {
		uint8_t *copy = exact_copy(noise, len);

		assert_sum(copy, len, plain_sum(noise, len));
		free(copy);
	}
}

static void sum__65535_bytes_of_ones__does_not_overflow(void **state)
{
	static uint8_t bytes[65535];

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	assert_sum(bytes, 65534, 0xffff);
	assert_sum(bytes, 65535, plain_sum(bytes, 65535));
}

static void check_copy(size_t from, size_t to, size_t len)
{
	static uint8_t dst[2 * ALIGN_MAX + LENGTH_MAX];

	memset(dst, 0xa5, to + len + 32);
	assert_copy(dst + to, noise + from, len);
	for (size_t i = 0; i < 32; i++)
		assert_int_equal(dst[to + len + i], 0xa5);
	for (size_t i = 0; i < to; i++)
		assert_int_equal(dst[i], 0xa5);
}

static void copy__each_length_and_alignment__copies_and_sums(void **state)
{
	(void)state;
	for (size_t len = 0; len <= LENGTH_MAX; len++) {
		for (size_t align = 0; align < ALIGN_MAX; align += 7) {
			check_copy(align, (align * 5 + len) % ALIGN_MAX, len);
			check_copy((align * 3 + len) % ALIGN_MAX, align, len);
		}
	}
}

static void copy__blocks_of_their_own_size__nothing_outside_is_touched(void **state)
{
	(void)state;
	for (size_t len = 1; len <= LENGTH_MAX; len++) {
		uint8_t *from = exact_copy(noise, len);
		uint8_t *to = exact_copy(noise, len);

		assert_copy(to, from, len);
		free(from);
		free(to);
	}
}

static void join__any_cut__gives_the_sum_of_the_whole(void **state)
{
	(void)state;
	for (size_t len = 0; len < 200; len++) {
		for (size_t cut = 0; cut <= len; cut++)
			assert_int_equal(lw_csum_join(lw_csum_sum(noise, cut), cut,
			                              lw_csum_sum(noise + cut, len - cut)),
			                 plain_sum(noise, len));
	}
}

static void fold__totals__keep_their_value_modulo_ffff(void **state)
{
	(void)state;
	assert_int_equal(lw_csum_fold(0), 0);
	assert_int_equal(lw_csum_fold(0xffff), 0xffff);
	assert_int_equal(lw_csum_fold(0x10000), 1);
	assert_int_equal(lw_csum_fold(0x1ffff), 1);
	assert_int_equal(lw_csum_fold(0x1fffe), 0xffff);
	assert_int_equal(lw_csum_fold(0xffffffff), 0xffff);
	for (int i = 0; i < 10000; i++) {
		uint32_t total = (uint32_t)test_random(&seed);

		assert_int_equal(lw_csum_fold(total) % 0xffff, total % 0xffff);
	}
}

static void update__rfc_1624_and_wire_13_5_examples__match(void **state)
{
	(void)state;
	assert_int_equal(lw_csum_update(0xdd2f, 0x5555, 0x3285), 0x0000);
	assert_int_equal(lw_csum_update32(0x46bd, 0x0a041721, 0x0a0414d0), 0x490e);
}

static void update__random_words__equals_recomputation(void **state)
{
	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint8_t bytes[16];
		uint64_t bits = test_random(&seed);
		size_t at = (bits & 7) * 2;
		uint16_t now = (bits & 8) != 0    ? 0xffff
		               : (bits & 16) != 0 ? 0
		                                  : (uint16_t)(bits >> 8);
		uint16_t old;
		uint16_t check;

		for (size_t b = 0; b < sizeof(bytes); b++)
			bytes[b] = (uint8_t)((bits & 32) != 0 ? test_random(&seed) : 0xff);
		bytes[at ^ 2] = 0x45; /* a header is never all zeros */
		old = (uint16_t)(bytes[at] << 8 | bytes[at + 1]);
		check = (uint16_t)~plain_sum(bytes, sizeof(bytes));
		bytes[at] = (uint8_t)(now >> 8);
		bytes[at + 1] = (uint8_t)now;
		assert_int_equal(lw_csum_update(check, old, now),
		                 (uint16_t)~plain_sum(bytes, sizeof(bytes)));
	}
}

static uint32_t word32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void update32_and_adjust32__random__equal_recomputation(void **state)
{
	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint8_t before[12];
		uint8_t after[12];
		uint16_t sum;

		for (size_t b = 0; b < sizeof(before); b++)
			before[b] = (uint8_t)test_random(&seed);
		before[8] = 0x11;
		memcpy(after, before, sizeof(after));
		for (size_t b = 4; b < 8; b++)
			after[b] = (uint8_t)(i % 3 == 0   ? 0xff
			                     : i % 3 == 1 ? 0
			                                  : test_random(&seed));
		sum = plain_sum(before, sizeof(before));
		assert_int_equal(
			lw_csum_update32((uint16_t)~sum, word32(before + 4), word32(after + 4)),
			(uint16_t)~plain_sum(after, sizeof(after)));
		assert_int_equal(lw_csum_adjust32(sum, word32(before + 4), word32(after + 4)),
		                 plain_sum(after, sizeof(after)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum__rfc_1071_example__is_ddf2),
		cmocka_unit_test(sum__ipv4_header__is_all_ones),
		cmocka_unit_test(impl__portable_one__is_always_the_last),
		cmocka_unit_test(impl__chosen_one__is_the_fastest),
		cmocka_unit_test(sum__each_length_and_alignment__equals_word_by_word),
		cmocka_unit_test(sum__block_of_its_own_size__is_not_read_behind),
		cmocka_unit_test(sum__65535_bytes_of_ones__does_not_overflow),
		cmocka_unit_test(copy__each_length_and_alignment__copies_and_sums),
		cmocka_unit_test(copy__blocks_of_their_own_size__nothing_outside_is_touched),
		cmocka_unit_test(join__any_cut__gives_the_sum_of_the_whole),
		cmocka_unit_test(fold__totals__keep_their_value_modulo_ffff),
		cmocka_unit_test(update__rfc_1624_and_wire_13_5_examples__match),
		cmocka_unit_test(update__random_words__equals_recomputation),
		cmocka_unit_test(update32_and_adjust32__random__equal_recomputation),
	};

	return cmocka_run_group_tests(tests, fill_noise, NULL);
}

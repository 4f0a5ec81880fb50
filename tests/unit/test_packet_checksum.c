/* SPDX-License-Identifier: MIT */
#include "hex.h"

#include "packet/checksum.h"

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

static void sum__each_length_and_alignment__equals_word_by_word(void **state)
{
	uint8_t bytes[300];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)test_random(&seed);
	for (size_t start = 0; start < 9; start++) {
		for (size_t len = 0; len < sizeof(bytes) - start; len++) {
			uint8_t *copy = exact_copy(bytes + start, len);

			assert_int_equal(lw_csum_sum(copy, len), plain_sum(copy, len));
			assert_int_equal(lw_csum_sum(bytes + start, len),
			                 plain_sum(bytes + start, len));
			free(copy);
		}
	}
}

static void sum__65535_bytes_of_ones__does_not_overflow(void **state)
{
	static uint8_t bytes[65535];

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(lw_csum_sum(bytes, 65534), 0xffff);
	assert_int_equal(lw_csum_sum(bytes, 65535), plain_sum(bytes, 65535));
}

static void copy__each_length__copies_and_sums(void **state)
{
	uint8_t src[300];

	(void)state;
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)test_random(&seed);
	for (size_t len = 0; len < sizeof(src); len++) {
		uint8_t *from = exact_copy(src, len);
		uint8_t *to = exact_copy(src, len);

		if (len > 0)
			memset(to, 0, len);
		assert_int_equal(lw_csum_copy(to, from, len), plain_sum(src, len));
		if (len > 0)
			assert_memory_equal(to, src, len);
		free(from);
		free(to);
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
		cmocka_unit_test(sum__each_length_and_alignment__equals_word_by_word),
		cmocka_unit_test(sum__65535_bytes_of_ones__does_not_overflow),
		cmocka_unit_test(copy__each_length__copies_and_sums),
		cmocka_unit_test(fold__totals__keep_their_value_modulo_ffff),
		cmocka_unit_test(update__rfc_1624_and_wire_13_5_examples__match),
		cmocka_unit_test(update__random_words__equals_recomputation),
		cmocka_unit_test(update32_and_adjust32__random__equal_recomputation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

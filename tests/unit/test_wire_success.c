/* SPDX-License-Identifier: MIT */
#include "hex.h"

#include "frame_examples.h"
#include "wire/success.h"

#define LEN LW_FRAME_SUCCESS_LEN

static const struct lw_success example = {
	.local = { .family = 4, .ip = { 10, 125, 0, 5 } },
	.peer = { .family = 4, .ip = { 10, 125, 0, 6 } },
	.dns = { .family = 4, .ip = { 10, 125, 0, 1 } },
	.mtu = 1350,
	.session = UINT64_C(0x1122334455667788),
};

/* the example with one text replaced by exactly 24 bytes */
static int decode_with(unsigned field, const void *text, uint8_t *bytes, struct lw_frame *ret_f)
{
	assert_int_equal(hex_read(HEX_SUCCESS, bytes, LEN), LEN);
	memcpy(bytes + 1 + (size_t)24 * field, text, 24);
	return lw_frame_decode(bytes, LEN, ret_f);
}

static int read_with(unsigned field, const char *text, struct lw_success *ret_s)
{
	char padded[24] = { 0 };
	uint8_t bytes[LEN];
	struct lw_frame f;

	memcpy(padded, text, strlen(text));
	assert_int_equal(decode_with(field, padded, bytes, &f), LEN);
	return lw_success_read(&f.success, ret_s);
}

static void success__example__reads_as_values(void **state)
{
	uint8_t bytes[LEN];
	struct lw_success s;
	struct lw_frame f;

	(void)state;
	assert_int_equal(hex_read(HEX_SUCCESS, bytes, LEN), LEN);
	assert_int_equal(lw_frame_decode(bytes, LEN, &f), LEN);
	assert_int_equal(lw_success_read(&f.success, &s), 0);
	assert_memory_equal(&s.local, &example.local, sizeof(s.local));
	assert_memory_equal(&s.peer, &example.peer, sizeof(s.peer));
	assert_memory_equal(&s.dns, &example.dns, sizeof(s.dns));
	assert_int_equal(s.mtu, 1350);
	assert_true(s.session == example.session);
}

static void success__values__write_the_example(void **state)
{
	uint8_t want[LEN];
	uint8_t out[LEN];

	(void)state;
	assert_int_equal(hex_read(HEX_SUCCESS, want, LEN), LEN);
	assert_int_equal(lw_success_write(out, LEN, &example), LEN);
	assert_memory_equal(out, want, LEN);
	assert_int_equal(lw_success_write(out, LEN - 1, &example), LW_FRAME_NO_ROOM);
}

static void success__longest_values__fit(void **state)
{
	struct lw_success s = example;
	struct lw_success got;
	struct lw_frame f;
	uint8_t out[LEN];

	(void)state;
	memset(s.local.ip, 255, 4);
	s.mtu = 65535;
	assert_int_equal(lw_success_write(out, LEN, &s), LEN);
	assert_int_equal(lw_frame_decode(out, LEN, &f), LEN);
	assert_int_equal(f.success.local.len, 15);
	assert_int_equal(lw_success_read(&f.success, &got), 0);
	assert_int_equal(got.mtu, 65535);
	assert_memory_equal(got.local.ip, s.local.ip, 4);
}

static void success__address_of_another_family__is_not_written(void **state)
{
	uint8_t out[LEN];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct lw_success s = example;

		(i == 0 ? &s.local : i == 1 ? &s.peer : &s.dns)->family = i == 1 ? 0 : 6;
		assert_int_equal(lw_success_write(out, LEN, &s), -EAFNOSUPPORT);
	}
}

static void success__24th_bytes_set__texts_have_23(void **state)
{
	uint8_t bytes[LEN];
	struct lw_frame f;

	(void)state;
	memset(bytes, 'a', LEN);
	bytes[0] = LW_FRAME_AUTH_SUCCESS;
	for (size_t i = 1; i <= 4; i++)
		bytes[24 * i] = 0xff;
	assert_int_equal(lw_frame_decode(bytes, LEN, &f), LEN);
	assert_int_equal(f.success.local.len, 23);
	assert_int_equal(f.success.peer.len, 23);
	assert_int_equal(f.success.dns.len, 23);
	assert_int_equal(f.success.mtu.len, 23);
	assert_ptr_equal(f.success.mtu.p, bytes + 73);
}

static void success__bytes_behind_the_zero__are_ignored(void **state)
{
	uint8_t bytes[LEN];
	struct lw_success s;
	struct lw_frame f;

	(void)state;
	assert_int_equal(decode_with(0, "10.0.0.9\0\xff\xfe...............", bytes, &f), LEN);
	assert_int_equal(lw_success_read(&f.success, &s), 0);
	assert_int_equal(s.local.ip[3], 9);
}

static void success__bad_text_in_any_field__is_an_error(void **state)
{
	static const uint8_t bad[24] = { '1', 0xc3, 0x28 };
	uint8_t bytes[LEN];
	struct lw_frame f;

	(void)state;
	for (unsigned field = 0; field < 4; field++)
		assert_int_equal(decode_with(field, bad, bytes, &f), LW_FRAME_BAD_TEXT);
}

static void success__text_that_is_no_address__is_refused(void **state)
{
	static const char *const texts[] = { "",          "10.125.0",    "10.125.0.256",
		                             "::1",       "10.125.0.05", " 10.1.1.1",
		                             "10.1.1.1 ", "10.1.1.1.1",  "10.1.1.1/24",
		                             "host" };
	struct lw_success s = { .mtu = 7 };

	(void)state;
	for (unsigned field = 0; field < 3; field++) {
		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
			assert_int_equal(read_with(field, texts[i], &s), -EINVAL);
	}
	assert_int_equal(s.mtu, 7);
}

static void success__text_that_is_no_mtu__reads_as_0(void **state)
{
	static const char *const texts[] = { "",      "0", "65536", "-1",
		                             "1350x", "x", "+1350", "99999999999999999999999" };
	struct lw_success s;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(read_with(3, texts[i], &s), 0);
		assert_int_equal(s.mtu, 0);
	}
	assert_int_equal(read_with(3, "01280", &s), 0);
	assert_int_equal(s.mtu, 1280);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(success__example__reads_as_values),
		cmocka_unit_test(success__values__write_the_example),
		cmocka_unit_test(success__longest_values__fit),
		cmocka_unit_test(success__address_of_another_family__is_not_written),
		cmocka_unit_test(success__24th_bytes_set__texts_have_23),
		cmocka_unit_test(success__bytes_behind_the_zero__are_ignored),
		cmocka_unit_test(success__bad_text_in_any_field__is_an_error),
		cmocka_unit_test(success__text_that_is_no_address__is_refused),
		cmocka_unit_test(success__text_that_is_no_mtu__reads_as_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

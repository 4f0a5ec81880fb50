/* SPDX-License-Identifier: MIT */
#include "base/cursor.h"
#include "base/random.h"
#include "base/wipe.h"
#include "unit/test.h"

static void reader__short_input__bad_and_untouched(void **state)
{
	const uint8_t in[3] = { 1, 2, 3 };
	struct lw_reader r = lw_reader_init(in, sizeof(in));

	(void)state;
	assert_int_equal(lw_read_u16(&r), 0x0102);
	assert_int_equal(lw_read_u16(&r), 0);
	assert_true(r.bad);
	assert_int_equal(lw_reader_left(&r), 1);
	assert_int_equal(lw_read_u8(&r), 0); /* bad stays */
	assert_null(lw_read_bytes(&r, 0));
}

static void reader__empty__nothing(void **state)
{
	struct lw_reader r = lw_reader_init(NULL, 0);

	(void)state;
	assert_int_equal(lw_reader_left(&r), 0);
	assert_int_equal(lw_read_u8(&r), 0);
	assert_true(r.bad);
}

static void writer__full__bad_and_nothing_behind_the_end(void **state)
{
	uint8_t out[8] = { 0 };
	struct lw_writer w = lw_writer_init(out, 7);

	(void)state;
	lw_write_u32(&w, 0x01020304);
	lw_write_u32(&w, 0xffffffff);
	assert_true(w.bad);
	assert_memory_equal(out, "\1\2\3\4\0\0\0\0", 8);
}

static void cursor__all_widths__round_trip(void **state)
{
	uint8_t buf[15 + 3 + 2];
	struct lw_writer w = lw_writer_init(buf, sizeof(buf));
	struct lw_reader r = lw_reader_init(buf, sizeof(buf));

	(void)state;
	lw_write_u8(&w, 0xab);
	lw_write_u16(&w, 0x1234);
	lw_write_u32(&w, 0xdeadbeef);
	lw_write_u64(&w, 0x0102030405060708u);
	lw_write_bytes(&w, "xyz", 3);
	lw_write_zeros(&w, 2);
	assert_false(w.bad);
	assert_int_equal(lw_writer_left(&w), 0);
	assert_int_equal(lw_read_u8(&r), 0xab);
	assert_int_equal(lw_read_u16(&r), 0x1234);
	assert_int_equal(lw_read_u32(&r), 0xdeadbeef);
	assert_true(lw_read_u64(&r) == 0x0102030405060708u);
	assert_memory_equal(lw_read_bytes(&r, 3), "xyz", 3);
	assert_int_equal(lw_read_u16(&r), 0);
	assert_false(r.bad);
}

static void random_take__pool__handed_out_bytes_are_wiped(void **state)
{
	static struct lw_random r;
	uint8_t a[100];
	uint8_t b[5000];
	uint8_t zero[100] = { 0 };

	(void)state;
	lw_random_take(&r, a, sizeof(a));
	assert_memory_equal(r.pool, zero, sizeof(zero));
	assert_memory_not_equal(a, zero, sizeof(zero));
	lw_random_take(&r, b, sizeof(b));
	assert_memory_not_equal(b + sizeof(b) - sizeof(a), a, sizeof(a));
}

static void equal_ct__any_byte__told_apart(void **state)
{
	uint8_t a[32] = { 0 };
	uint8_t b[32] = { 0 };

	(void)state;
	assert_true(lw_equal_ct(a, b, sizeof(a)));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] = 0x80;
		assert_false(lw_equal_ct(a, b, sizeof(a)));
		lw_wipe(b, sizeof(b));
	}
	assert_true(lw_equal_ct(a, b, sizeof(a)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader__short_input__bad_and_untouched),
		cmocka_unit_test(reader__empty__nothing),
		cmocka_unit_test(writer__full__bad_and_nothing_behind_the_end),
		cmocka_unit_test(cursor__all_widths__round_trip),
		cmocka_unit_test(random_take__pool__handed_out_bytes_are_wiped),
		cmocka_unit_test(equal_ct__any_byte__told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

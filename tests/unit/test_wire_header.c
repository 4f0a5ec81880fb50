/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <errno.h>

#include "wire/header.h"

/* a block of exactly len bytes, so that a sanitizer sees a read behind it */
static int parse_exact(const uint8_t *buf, size_t len, struct lw_wire_header *ret_h)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, buf, len);
	r = lw_wire_header_parse(len > 0 ? copy : NULL, len, ret_h);
	free(copy);
	return r;
}

static void header__no_session__reads_and_writes_back(void **state)
{
	static const uint8_t bytes[16] = { 0x48, 0x65, 1, 3 };
	uint8_t out[16];
	struct lw_wire_header h;

	(void)state;
	assert_int_equal(parse_exact(bytes, 16, &h), 0);
	assert_true(h.session == LW_WIRE_ID_EMPTY);
	assert_int_equal(h.major, 1);
	assert_int_equal(h.minor, 3);
	assert_false(h.aggressive);
	assert_false(h.expresslane);
	memset(out, 0xee, sizeof(out));
	lw_wire_header_write(out, &h);
	assert_memory_equal(out, bytes, 16);
}

static void header__expresslane_datagram__has_flag_and_session(void **state)
{
	/* the first 24 bytes of wire.md 13.2 */
	static const uint8_t bytes[24] = {
		0x48, 0x65, 1,    3,    0, 1, 0, 0, 0x11, 0x22, 0x33, 0x44,
		0x55, 0x66, 0x77, 0x88, 0, 0, 0, 0, 0,    0,    0,    7,
	};
	uint8_t out[16];
	struct lw_wire_header h;

	(void)state;
	assert_int_equal(parse_exact(bytes, sizeof(bytes), &h), 0);
	assert_true(h.expresslane);
	assert_false(h.aggressive);
	assert_true(h.session == UINT64_C(0x1122334455667788));
	lw_wire_header_write(out, &h);
	assert_memory_equal(out, bytes, 16);
}

static void header__reject__writes_the_16_bytes(void **state)
{
	static const uint8_t bytes[16] = { 0x48, 0x65, 1,    1,    0,    0,    0,    0,
		                           0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct lw_wire_header h = { .session = LW_WIRE_ID_REJECTED, .major = 1, .minor = 1 };
	uint8_t out[16];

	(void)state;
	lw_wire_header_write(out, &h);
	assert_memory_equal(out, bytes, 16);
	assert_int_equal(parse_exact(bytes, 16, &h), 0);
	assert_true(h.session == LW_WIRE_ID_REJECTED);
}

static void header__aggressive_1_2__reads_every_field(void **state)
{
	static const uint8_t bytes[16] = { 0x48, 0x65, 1,    2,    1,    0,    0,    0,
		                           0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0 };
	struct lw_wire_header h;

	(void)state;
	assert_int_equal(parse_exact(bytes, 16, &h), 0);
	assert_int_equal(h.minor, 2);
	assert_true(h.aggressive);
	assert_false(h.expresslane);
	assert_true(h.session == UINT64_C(0x123456789abcdef0));
}

static void header__any_nonzero_flag_and_reserved__are_accepted(void **state)
{
	static const uint8_t bytes[16] = { 0x48, 0x65, 1, 1, 0x80, 0xfe, 0xab, 0xcd };
	struct lw_wire_header h;

	(void)state;
	assert_int_equal(parse_exact(bytes, 16, &h), 0);
	assert_true(h.aggressive);
	assert_true(h.expresslane);
}

static void header__short__is_told_before_anything_else(void **state)
{
	uint8_t bytes[16] = { 0x48, 0x65, 1, 3 };
	struct lw_wire_header h = { .minor = 77 };

	(void)state;
	for (size_t len = 0; len < 16; len++)
		assert_int_equal(parse_exact(bytes, len, &h), -ENODATA);
	bytes[0] = 0;
	assert_int_equal(parse_exact(bytes, 15, &h), -ENODATA);
	assert_int_equal(h.minor, 77);
}

static void header__wrong_magic__is_told_before_the_version(void **state)
{
	static const uint8_t magics[][2] = { { 0x48, 0x5f }, { 0x5f, 0x65 }, { 0x65, 0x48 } };
	uint8_t bytes[16] = { 0x48, 0x65, 9, 9 };
	struct lw_wire_header h;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		memcpy(bytes, magics[i], 2);
		assert_int_equal(parse_exact(bytes, 16, &h), -EBADMSG);
	}
}

static void header__each_version__only_1_1_to_1_3_pass(void **state)
{
	uint8_t bytes[16] = { 0x48, 0x65 };
	struct lw_wire_header h;

	(void)state;
	for (unsigned v = 0; v < 65536; v++) {
		bytes[2] = (uint8_t)(v >> 8);
		bytes[3] = (uint8_t)v;
		assert_int_equal(parse_exact(bytes, 16, &h),
		                 v >= 0x101 && v <= 0x103 ? 0 : -EPROTONOSUPPORT);
	}
}

static void header__reserved_ids__are_empty_and_rejected_only(void **state)
{
	(void)state;
	assert_true(lw_wire_id_reserved(0));
	assert_true(lw_wire_id_reserved(UINT64_MAX));
	assert_false(lw_wire_id_reserved(1));
	assert_false(lw_wire_id_reserved(UINT64_MAX - 1));
}

static void header__random_values__survive_a_round_trip(void **state)
{
	uint64_t seed = 0x1234567;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		uint64_t bits = test_random(&seed);
		struct lw_wire_header h = { .session = test_random(&seed),
			                    .major = 1,
			                    .minor = (uint8_t)(1 + bits % 3),
			                    .aggressive = (bits >> 8) & 1,
			                    .expresslane = (bits >> 9) & 1 };
		struct lw_wire_header back;
		uint8_t out[16];

		lw_wire_header_write(out, &h);
		assert_int_equal(parse_exact(out, 16, &back), 0);
		assert_true(back.session == h.session);
		assert_int_equal(back.major, 1);
		assert_int_equal(back.minor, h.minor);
		assert_int_equal(back.aggressive, h.aggressive);
		assert_int_equal(back.expresslane, h.expresslane);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header__no_session__reads_and_writes_back),
		cmocka_unit_test(header__expresslane_datagram__has_flag_and_session),
		cmocka_unit_test(header__reject__writes_the_16_bytes),
		cmocka_unit_test(header__aggressive_1_2__reads_every_field),
		cmocka_unit_test(header__any_nonzero_flag_and_reserved__are_accepted),
		cmocka_unit_test(header__short__is_told_before_anything_else),
		cmocka_unit_test(header__wrong_magic__is_told_before_the_version),
		cmocka_unit_test(header__each_version__only_1_1_to_1_3_pass),
		cmocka_unit_test(header__reserved_ids__are_empty_and_rejected_only),
		cmocka_unit_test(header__random_values__survive_a_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "hex.h"

#include "packet/ipv4.h"

#define HEADER "4500002100010000401112806440000601020304"

static bool valid(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = exact_copy(bytes, len);
	bool ok = lw_ipv4_valid(copy, len);

	free(copy);
	return ok;
}

static size_t l4(const uint8_t *bytes, size_t len, uint8_t *ret_proto)
{
	uint8_t *copy = exact_copy(bytes, len);
	size_t at = lw_ipv4_l4(copy, len, ret_proto);

	free(copy);
	return at;
}

static void valid__each_length__needs_20_bytes(void **state)
{
	uint8_t bytes[24] = { 0 };

	(void)state;
	(void)hex_read(HEADER, bytes, sizeof(bytes));
	for (size_t len = 0; len <= sizeof(bytes); len++)
		assert_int_equal(valid(bytes, len), len >= 20);
}

static void valid__each_version__only_4_passes(void **state)
{
	uint8_t bytes[20] = { 0 };

	(void)state;
	for (unsigned version = 0; version < 16; version++) {
		bytes[0] = (uint8_t)(version << 4 | 5);
		assert_int_equal(valid(bytes, 20), version == 4);
	}
}

static void valid__nonsense_the_protocol_ignores__passes(void **state)
{
	uint8_t bytes[20] = { 0x40, 0, 0xff, 0xff }; /* header length 0, total length 65535 */

	(void)state;
	assert_true(valid(bytes, 20));
}

static void addr__both_addresses__are_host_order(void **state)
{
	struct lw_addr a = { .family = 4, .ip = { 10, 125, 0, 5 } };
	uint8_t bytes[20];

	(void)state;
	(void)hex_read(HEADER, bytes, sizeof(bytes));
	assert_int_equal(lw_ipv4_addr(bytes, LW_IPV4_SRC), 0x64400006);
	assert_int_equal(lw_ipv4_addr(bytes, LW_IPV4_DST), 0x01020304);
	assert_int_equal(lw_ipv4_number(&a), 0x0a7d0005);
}

static void l4__header_lengths__are_bounded_by_the_packet(void **state)
{
	uint8_t bytes[64] = { 0 };
	uint8_t proto = 0;

	(void)state;
	(void)hex_read(HEADER, bytes, sizeof(bytes));
	assert_int_equal(l4(bytes, 33, &proto), 20);
	assert_int_equal(proto, 17);
	assert_int_equal(l4(bytes, 20, &proto), 20);
	for (size_t words = 0; words < 16; words++) {
		bytes[0] = (uint8_t)(0x40 | words);
		for (size_t len = 20; len <= sizeof(bytes); len++)
			assert_int_equal(l4(bytes, len, &proto),
			                 words >= 5 && words * 4 <= len ? words * 4 : 0);
	}
}

static void l4__fragments__only_the_first_has_one(void **state)
{
	uint8_t bytes[20];
	uint8_t proto = 77;

	(void)state;
	(void)hex_read(HEADER, bytes, sizeof(bytes));
	memcpy(bytes + 6, "\xe0\x00", 2); /* DF, MF and the reserved bit are no offset */
	assert_int_equal(l4(bytes, 20, &proto), 20);
	proto = 77;
	memcpy(bytes + 6, "\x00\x01", 2);
	assert_int_equal(l4(bytes, 20, &proto), 0);
	memcpy(bytes + 6, "\x10\x00", 2);
	assert_int_equal(l4(bytes, 20, &proto), 0);
	assert_int_equal(proto, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid__each_length__needs_20_bytes),
		cmocka_unit_test(valid__each_version__only_4_passes),
		cmocka_unit_test(valid__nonsense_the_protocol_ignores__passes),
		cmocka_unit_test(addr__both_addresses__are_host_order),
		cmocka_unit_test(l4__header_lengths__are_bounded_by_the_packet),
		cmocka_unit_test(l4__fragments__only_the_first_has_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

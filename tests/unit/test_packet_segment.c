/* SPDX-License-Identifier: MIT */
#include "hex.h"

#include <errno.h>

#include "packet/segment.h"

#define UDP "4500002100010000401112806440000601020304 9c400035000db740 68656c6c6f"
#define TCP                                                                                        \
	"4500002c0001000040061280 64400006 01020304 9c4001bb112233440000000060022000"              \
	"2d790000 020405b4"

static struct lw_packet make_hex(const char *hex)
{
	uint8_t bytes[128];
	size_t len = hex_read(hex, bytes, sizeof(bytes));

	return (struct lw_packet){ .buf = exact_copy(bytes, len),
		                   .cap = (uint32_t)len,
		                   .len = (uint32_t)len };
}

/* as a TUN with checksum offload gives it: the field holds the pseudo header's sum */
static struct lw_packet make_partial(const char *hex, uint16_t csum_off)
{
	struct lw_packet p = make_hex(hex);
	uint32_t sum = 0x6440 + 0x0006 + 0x0102 + 0x0304 + p.buf[9] + p.len - 20;

	p.flags = LW_PKT_CSUM_PARTIAL | LW_PKT_CSUM_GOOD;
	p.csum_start = 20;
	p.csum_off = csum_off;
	p.buf[20 + csum_off] = (uint8_t)(sum >> 8);
	p.buf[21 + csum_off] = (uint8_t)sum;
	return p;
}

static void assert_bytes(const uint8_t *got, uint32_t len, const char *hex)
{
	uint8_t want[128];

	assert_non_null(got);
	assert_int_equal(len, hex_read(hex, want, sizeof(want)));
	assert_memory_equal(got, want, len);
}

static void copy__single__is_one_segment_as_it_was(void **state)
{
	struct lw_packet p = make_hex(UDP);
	uint8_t *dst = malloc(33);
	struct lw_seg g;

	(void)state;
	assert_non_null(dst);
	assert_int_equal(lw_seg_init(&g, &p), 0);
	assert_ptr_equal(g.super, &p);
	assert_int_equal(g.count, 1);
	assert_int_equal(lw_seg_copy(&g, dst, 33), 33);
	assert_bytes(dst, 33, UDP);
	assert_int_equal(lw_seg_copy(&g, dst, 33), 0);
	free(dst);
	free(p.buf);
}

static void copy__too_little_room__does_not_move_on(void **state)
{
	struct lw_packet p = make_hex(UDP);
	uint8_t dst[33];
	struct lw_seg g;

	(void)state;
	assert_int_equal(lw_seg_init(&g, &p), 0);
	for (uint32_t cap = 0; cap < 33; cap++)
		assert_int_equal(lw_seg_copy(&g, dst, cap), 0);
	assert_int_equal(g.next, 0);
	assert_int_equal(lw_seg_copy(&g, dst, 33), 33);
	assert_int_equal(g.next, 1);
	free(p.buf);
}

static void copy__partial_checksum__is_completed_in_the_copy(void **state)
{
	static const struct {
		const char *hex;
		uint16_t csum_off;
	} cases[] = { { UDP, 6 }, { TCP, 16 } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct lw_packet p = make_partial(cases[i].hex, cases[i].csum_off);
		uint8_t *before = exact_copy(p.buf, p.len);
		uint8_t *dst = malloc(p.len);
		struct lw_seg g;

		assert_int_equal(lw_seg_init(&g, &p), 0);
		assert_int_equal(lw_seg_copy(&g, dst, p.len), p.len);
		assert_bytes(dst, p.len, cases[i].hex);
		assert_memory_equal(p.buf, before, p.len);
		assert_int_equal(p.flags, LW_PKT_CSUM_PARTIAL | LW_PKT_CSUM_GOOD);
		free(before);
		free(dst);
		free(p.buf);
	}
}

static void expose__partial_checksum__is_completed_in_place_once(void **state)
{
	struct lw_packet p = make_partial(TCP, 16);
	struct lw_seg g;
	uint32_t len = 0;

	(void)state;
	assert_int_equal(lw_seg_init(&g, &p), 0);
	assert_ptr_equal(lw_seg_expose(&g, &len), p.buf);
	assert_bytes(p.buf, len, TCP);
	assert_int_equal(p.flags, LW_PKT_CSUM_GOOD);
	assert_null(lw_seg_expose(&g, &len));
	assert_int_equal(lw_seg_init(&g, &p), 0);
	assert_ptr_equal(lw_seg_expose(&g, &len), p.buf);
	assert_bytes(p.buf, len, TCP);
	free(p.buf);
}

static void expose__behind_headroom__leaves_it_alone(void **state)
{
	uint8_t bytes[56 + 33];
	struct lw_packet p = { .buf = bytes, .cap = sizeof(bytes), .off = 56, .len = 33 };
	struct lw_seg g;
	uint32_t len = 0;

	(void)state;
	memset(bytes, 0xaa, sizeof(bytes));
	(void)hex_read(UDP, bytes + 56, 33);
	assert_int_equal(lw_seg_init(&g, &p), 0);
	assert_ptr_equal(lw_seg_expose(&g, &len), bytes + 56);
	assert_bytes(bytes + 56, len, UDP);
	for (size_t i = 0; i < 56; i++)
		assert_int_equal(bytes[i], 0xaa);
}

static void partial__udp_sum_that_gives_0__is_sent_as_ffff(void **state)
{
	static const uint16_t offs[] = { 6, 16 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint8_t bytes[20] = { 0 };
		uint8_t dst[20];
		struct lw_packet p = { .buf = bytes,
			               .cap = 20,
			               .len = 20,
			               .flags = LW_PKT_CSUM_PARTIAL,
			               .csum_off = offs[i] };
		struct lw_seg g;
		uint32_t len = 0;
		const char *want = offs[i] == 6 ? "\xff\xff" : "\0\0";

		bytes[0] = bytes[1] = 0xff;
		assert_int_equal(lw_seg_init(&g, &p), 0);
		assert_int_equal(lw_seg_copy(&g, dst, 20), 20);
		assert_memory_equal(dst + offs[i], want, 2);
		assert_int_equal(lw_seg_init(&g, &p), 0);
		assert_non_null(lw_seg_expose(&g, &len));
		assert_memory_equal(bytes + offs[i], want, 2);
	}
}

static void init__checksum_field_outside__is_refused(void **state)
{
	static const struct {
		uint16_t start;
		uint16_t off;
		int want;
	} cases[] = { { 20, 11, 0 },          { 20, 12, -EBADMSG },         { 31, 0, 0 },
		      { 32, 0, -EBADMSG },    { 0xffff, 0xffff, -EBADMSG }, { 0, 0xffff, -EBADMSG },
		      { 0xffff, 0, -EBADMSG } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lw_packet p = make_hex(UDP);
		uint32_t len = 0;
		struct lw_seg g;

		p.flags = LW_PKT_CSUM_PARTIAL;
		p.csum_start = cases[i].start;
		p.csum_off = cases[i].off;
		assert_int_equal(lw_seg_init(&g, &p), cases[i].want);
		if (cases[i].want == 0)
			assert_non_null(lw_seg_expose(&g, &len));
		free(p.buf);
	}
}

static void init__encoded_unit__is_opaque(void **state)
{
	struct lw_packet p = make_hex("00ff01");
	uint8_t dst[3];
	struct lw_seg g;
	uint32_t len = 0;

	(void)state;
	p.flags = LW_PKT_ENCODED | LW_PKT_CSUM_PARTIAL;
	p.csum_start = 100;
	assert_int_equal(lw_seg_init(&g, &p), 0);
	assert_int_equal(lw_seg_copy(&g, dst, 3), 3);
	assert_memory_equal(dst, "\x00\xff\x01", 3);
	assert_int_equal(lw_seg_init(&g, &p), 0);
	assert_ptr_equal(lw_seg_expose(&g, &len), p.buf);
	assert_bytes(p.buf, len, "00ff01");
	free(p.buf);
}

static void init__empty_or_half_a_superpacket__is_refused(void **state)
{
	struct lw_packet p = make_hex(TCP);
	struct lw_seg g;

	(void)state;
	p.gso_size = 2;
	assert_int_equal(lw_seg_init(&g, &p), -EBADMSG);
	p.gso_size = 0;
	p.gso_type = LW_GSO_UDP;
	assert_int_equal(lw_seg_init(&g, &p), -EBADMSG);
	p.gso_type = LW_GSO_NONE;
	assert_int_equal(lw_seg_init(&g, &p), 0);
	p.len = 0;
	assert_int_equal(lw_seg_init(&g, &p), -EBADMSG);
	free(p.buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy__single__is_one_segment_as_it_was),
		cmocka_unit_test(copy__too_little_room__does_not_move_on),
		cmocka_unit_test(copy__partial_checksum__is_completed_in_the_copy),
		cmocka_unit_test(expose__partial_checksum__is_completed_in_place_once),
		cmocka_unit_test(expose__behind_headroom__leaves_it_alone),
		cmocka_unit_test(partial__udp_sum_that_gives_0__is_sent_as_ffff),
		cmocka_unit_test(init__checksum_field_outside__is_refused),
		cmocka_unit_test(init__encoded_unit__is_opaque),
		cmocka_unit_test(init__empty_or_half_a_superpacket__is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

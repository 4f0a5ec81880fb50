/* SPDX-License-Identifier: MIT */
/* Superpackets through the segmenter, against the plain one of packet_ref.c and wire.md 13.6. */
#include "hex.h"

#include <errno.h>

#include "packet/segment.h"
#include "ref/packet_ref.h"

static uint64_t seed = 0x7365676d656e74;

/* a superpacket in a block of exactly its size */
struct super {
	struct lw_packet p;
	uint8_t *block;
};

static struct super make_block(const uint8_t *bytes, struct lw_packet p)
{
	struct super s = { .p = p, .block = exact_copy(bytes, p.len) };

	if (s.block == NULL)
		abort();
	s.p.buf = s.block;
	s.p.cap = p.len;
	return s;
}

static struct super make_super(const struct ref_super *spec)
{
	static uint8_t bytes[REF_SUPER_MAX];
	struct lw_packet p;

	ref_make_super(&seed, spec, bytes, &p);
	return make_block(bytes, p);
}

static struct super copy_super(const struct super *s)
{
	return make_block(s->block, s->p);
}

/* the next segment, into a block of exactly its size; NULL: there is none */
static uint8_t *copy_next(struct lw_seg *g, uint32_t want_len)
{
	uint8_t *dst = malloc(want_len);

	assert_non_null(dst);
	assert_int_equal(lw_seg_copy(g, dst, want_len - 1), 0);
	assert_int_equal(lw_seg_copy(g, dst, want_len), want_len);
	return dst;
}

static void assert_segment(const struct super *original, uint32_t i, const uint8_t *got,
                           uint32_t len)
{
	static uint8_t want[REF_SUPER_MAX];

	assert_int_equal(
		ref_segment(original->block, original->p.len, original->p.gso_size, i, want), len);
	assert_memory_equal(got, want, len);
}

/* `how` is a bit per segment, again and again: 1 exposes it, 0 copies it */
static void check_segments(const struct super *original, uint64_t how)
{
	struct super s = copy_super(original);
	struct lw_seg g;
	uint32_t i = 0;
	uint32_t len = 0;
	static uint8_t want[REF_SUPER_MAX];

	assert_int_equal(lw_seg_init(&g, &s.p), 0);
	for (; g.next < g.count; i++) {
		assert_int_equal(g.next, i);
		if ((how >> i % 64 & 1) != 0) {
			const uint8_t *at = lw_seg_expose(&g, &len);

			assert_ptr_equal(at, s.block + (size_t)i * s.p.gso_size);
			assert_segment(original, i, at, len);
		} else {
			uint8_t *copy;

			len = ref_segment(original->block, s.p.len, s.p.gso_size, i, want);
			copy = copy_next(&g, len);
			assert_segment(original, i, copy, len);
			free(copy);
		}
	}
	assert_int_equal(ref_segment(original->block, s.p.len, s.p.gso_size, i, want), 0);
	assert_null(lw_seg_expose(&g, &len));
	assert_int_equal(lw_seg_copy(&g, want, sizeof(want)), 0);
	free(s.block);
}

static void check_spec(const struct ref_super *spec)
{
	struct super s = make_super(spec);

	check_segments(&s, 0);
	check_segments(&s, UINT64_MAX);
	check_segments(&s, ref_random(&seed));
	free(s.block);
}

static void segments__of_wire_13_6__are_its_lines(void **state)
{
	static const char *const lines[] = {
		"45000032fffe40004006fa6a5db8d8220a7d0005 01bb9c400000100000002000501020006d590000 "
		"00010203040506070809",
		"45000032ffff40004006fa695db8d8220a7d0005 01bb9c400000100a00002000501020003b1d0000 "
		"0a0b0c0d0e0f10111213",
		"4500002d000040004006fa6e5db8d8220a7d0005 01bb9c400000101400002000501920003f2e0000 "
		"1415161718",
	};
	uint8_t bytes[128];
	uint8_t want[64];
	struct lw_packet p = { .gso_type = LW_GSO_TCP4, .gso_size = 10 };
	struct super s;
	struct lw_seg g;

	(void)state;
	p.len = (uint32_t)hex_read(
		"45000041fffe40004006fa5b5db8d8220a7d0005 01bb9c40000010000000200050192000e4c90000"
		"000102030405060708090a0b0c0d0e0f101112131415161718",
		bytes, sizeof(bytes));
	s = make_block(bytes, p); /* its checksum is complete: the segments' come from nothing */
	assert_int_equal(lw_seg_init(&g, &s.p), 0);
	assert_int_equal(g.count, 3);
	for (size_t i = 0; i < 3; i++) {
		uint32_t len = (uint32_t)hex_read(lines[i], want, sizeof(want));
		uint8_t *copy = copy_next(&g, len);

		assert_memory_equal(copy, want, len);
		free(copy);
	}
	free(s.block);
}

static void segments__random_superpackets__equal_the_reference(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct ref_super spec = ref_draw_super(&seed, 200);

		check_spec(&spec);
	}
}

static void segments__without_partial_checksum__come_from_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++) {
		struct ref_super spec = ref_draw_super(&seed, 20);
		struct super s;

		if (spec.gso_type == LW_GSO_UDP)
			continue;
		s = make_super(&spec);
		s.p.flags = 0;
		ref_put16(s.block + s.p.csum_start + 16, (uint16_t)ref_random(&seed));
		check_segments(&s, ref_random(&seed));
		free(s.block);
	}
}

static void segments__edges__equal_the_reference(void **state)
{
	static const struct ref_super specs[] = {
		{ LW_GSO_TCP4, .gso_size = 1, .payload = 65535 - 40 },
		{ LW_GSO_TCP4, .gso_size = 1348, .payload = 65535 - 40 },
		{ LW_GSO_TCP4, .ip_options = 40, .tcp_options = 40, .gso_size = 1, .payload = 130 },
		{ LW_GSO_TCP6, true, .gso_size = 1328, .payload = 65535 - 20 },
		{ LW_GSO_TCP6, true, .ip_options = 152, .tcp_options = 40, .gso_size = 9,
		  .payload = 99 },
		{ LW_GSO_UDP, .gso_size = 1, .payload = 65535 - 28 },
		{ LW_GSO_UDP, .gso_size = 1372, .payload = 65535 - 28 },
		{ LW_GSO_UDP, true, .gso_size = 10, .payload = 1280 },
		{ LW_GSO_UDP, true, .gso_size = 1200, .payload = 65535 - 8 },
		{ LW_GSO_TCP4, .gso_size = 1400, .payload = 1401 },
		{ LW_GSO_TCP4, .gso_size = 1400, .payload = 2800 },
		{ LW_GSO_UDP, .gso_size = 65000, .payload = 65001 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++)
		check_spec(&specs[i]);
}

static void segments__each_tcp_flag__goes_where_it_belongs(void **state)
{
	const struct ref_super spec = { LW_GSO_TCP4, .gso_size = 100, .payload = 300 };

	(void)state;
	for (unsigned flags = 0; flags < 256; flags++) {
		struct super s = make_super(&spec);
		struct lw_seg g;

		s.block[33] = (uint8_t)flags;
		check_segments(&s, flags);
		assert_int_equal(lw_seg_init(&g, &s.p), 0);
		for (unsigned i = 0; i < 3; i++) {
			unsigned want = flags & ~(i > 0 ? 0x80u : 0) & ~(i < 2 ? 0x09u : 0);
			uint8_t *copy = copy_next(&g, 140);

			assert_int_equal(copy[33], want);
			free(copy);
		}
		free(s.block);
	}
}

static void segments__numbers_that_wrap__go_on_from_0(void **state)
{
	const struct ref_super spec = { LW_GSO_TCP4, .gso_size = 3, .payload = 30 };
	struct super s = make_super(&spec);

	(void)state;
	ref_put16(s.block + 4, 0xfffc);
	ref_put32(s.block + 24, 0xfffffff5);
	ref_finish(s.block, s.p.len, true);
	check_segments(&s, 0x5555);
	free(s.block);
}

/* a word of each segment's payload is chosen so that its checksum is computed as 0 */
static void segments__checksum_of_0__is_ffff_for_udp_only(void **state)
{
	static const struct ref_super specs[] = {
		{ LW_GSO_UDP, .gso_size = 10, .payload = 20 },
		{ LW_GSO_UDP, true, .gso_size = 10, .payload = 20 },
		{ LW_GSO_TCP4, .gso_size = 10, .payload = 20 },
	};
	uint8_t want[100];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct super s = make_super(&specs[i]);
		struct ref_layout l = ref_layout(s.block);

		for (uint32_t k = 0; k < 2; k++) {
			uint8_t *word = s.block + l.hl + (size_t)k * 10;

			ref_put16(word, 0);
			(void)ref_segment(s.block, s.p.len, 10, k, want);
			ref_put16(word, ref_get16(want + l.check));
			(void)ref_segment(s.block, s.p.len, 10, k, want);
			assert_int_equal(ref_get16(want + l.check),
			                 specs[i].gso_type == LW_GSO_UDP ? 0xffff : 0);
		}
		check_segments(&s, 0);
		check_segments(&s, 3);
		free(s.block);
	}
}

static void segments__wrong_partial_sum__stays_as_wrong(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		struct ref_super spec = ref_draw_super(&seed, 4);
		struct super s = make_super(&spec);
		uint32_t field = (uint32_t)s.p.csum_start + s.p.csum_off;
		uint16_t off_by = (uint16_t)(1 + ref_below(&seed, 0xfffe));
		struct lw_seg g;

		ref_put16(s.block + field, ref_fold(ref_get16(s.block + field) + (uint32_t)off_by));
		assert_int_equal(lw_seg_init(&g, &s.p), 0);
		while (g.next < g.count) {
			uint8_t want[2000];
			uint8_t got[2000];
			uint32_t len = ref_segment(s.block, s.p.len, s.p.gso_size, g.next, want);
			uint32_t wrong = ref_get16(want + field) + (uint16_t)~off_by;

			assert_int_equal(lw_seg_copy(&g, got, sizeof(got)), len);
			assert_int_equal(ref_get16(got + field) % 0xffff, wrong % 0xffff);
		}
		free(s.block);
	}
}

static void init__payload_of_one_segment__is_a_single_packet(void **state)
{
	static const uint8_t types[] = { LW_GSO_TCP4, LW_GSO_TCP6, LW_GSO_UDP };

	(void)state;
	for (uint32_t i = 0; i < 9; i++) {
		struct ref_super spec = { .gso_type = types[i % 3], .v6 = i % 3 == 1 };
		struct super s;
		uint8_t *copy;
		struct lw_seg g;
		uint32_t len = 0;

		spec.gso_size = 100;
		spec.payload = i / 3 * 50; /* 0, 50, 100 */
		s = make_super(&spec);
		assert_int_equal(lw_seg_init(&g, &s.p), 0);
		assert_int_equal(g.count, 1);
		copy = copy_next(&g, s.p.len);
		assert_true(ref_good(copy, s.p.len));
		assert_int_equal(lw_seg_init(&g, &s.p), 0);
		assert_ptr_equal(lw_seg_expose(&g, &len), s.block);
		assert_int_equal(len, s.p.len);
		assert_memory_equal(copy, s.block, len);
		ref_finish(s.block, s.p.len, false);
		assert_memory_equal(copy, s.block, len);
		free(copy);
		free(s.block);
	}
}

static void init__bytes_behind_the_packet__are_cut_off(void **state)
{
	static uint8_t bytes[3000];
	const struct ref_super spec = { LW_GSO_TCP4, .gso_size = 700, .payload = 2000 };
	struct super longer;
	struct lw_packet p;
	struct lw_seg g;

	(void)state;
	ref_make_super(&seed, &spec, bytes, &p);
	p.len += 500;
	longer = make_block(bytes, p);
	assert_int_equal(lw_seg_init(&g, &longer.p), 0);
	assert_int_equal(longer.p.len, 2040);
	assert_int_equal(g.count, 3);
	check_segments(&longer, 2);
	free(longer.block);
}

static void expose__headroom_and_payload__are_left_alone(void **state)
{
	static uint8_t bytes[REF_SUPER_MAX + 128];
	static uint8_t before[REF_SUPER_MAX];
	const struct ref_super spec = { LW_GSO_UDP, .gso_size = 5, .payload = 104 };
	struct lw_packet p;
	struct lw_seg g;
	uint32_t len = 0;

	(void)state;
	memset(bytes, 0xaa, sizeof(bytes));
	ref_make_super(&seed, &spec, bytes + 64, &p);
	memcpy(before, bytes + 64, p.len);
	p.buf = bytes;
	p.cap = sizeof(bytes);
	p.off = 64;
	assert_int_equal(lw_seg_init(&g, &p), 0);
	while (g.next < g.count) {
		uint32_t done = 28 + (g.next + 1) * 5;
		const uint8_t *at = lw_seg_expose(&g, &len);

		assert_ptr_equal(at, bytes + 64 + (size_t)(g.next - 1) * 5);
		if (done < p.len)
			assert_memory_equal(bytes + 64 + done, before + done, p.len - done);
	}
	for (size_t i = 0; i < 64; i++) {
		assert_int_equal(bytes[i], 0xaa);
		assert_int_equal(bytes[64 + p.len + i], 0xaa);
	}
}

static void copy__state_that_was_put_aside__goes_on(void **state)
{
	const struct ref_super spec = { LW_GSO_TCP4, .gso_size = 11, .payload = 5000 };
	struct super s = make_super(&spec);
	struct lw_seg g;
	uint32_t i = 0;

	(void)state;
	assert_int_equal(lw_seg_init(&g, &s.p), 0);
	for (bool more = true; more; i++) {
		struct lw_seg aside = g;
		uint8_t got[51];
		uint32_t len;

		memset(&g, 0xee, sizeof(g));
		len = lw_seg_copy(&aside, got, sizeof(got));
		assert_segment(&s, i, got, len);
		g = aside;
		more = g.next < g.count;
	}
	assert_int_equal(i, 455);
	free(s.block);
}

/* --- metadata and headers that lie --- */

static struct super victim(uint8_t gso_type)
{
	const struct ref_super spec = { gso_type, gso_type == LW_GSO_TCP6, .gso_size = 100,
		                        .payload = 250 };

	return make_super(&spec);
}

static void refuse(struct super *s)
{
	struct lw_seg g;
	uint8_t *before = exact_copy(s->block, s->p.len);

	assert_int_equal(lw_seg_init(&g, &s->p), -EBADMSG);
	assert_memory_equal(s->block, before, s->p.len);
	free(before);
	free(s->block);
}

static void init__kind_that_does_not_fit__is_refused(void **state)
{
	static const uint8_t types[] = { LW_GSO_TCP4, LW_GSO_TCP6, LW_GSO_UDP };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (unsigned type = 0; type < 256; type++) {
			struct super s = victim(types[i]);
			struct lw_seg g;

			s.p.gso_type = (uint8_t)type;
			assert_int_equal(lw_seg_init(&g, &s.p), type == types[i] ? 0 : -EBADMSG);
			free(s.block);
		}
	}
}

static void init__gso_size_of_0__is_refused(void **state)
{
	(void)state;
	for (int type = LW_GSO_TCP4; type <= LW_GSO_UDP; type++) {
		struct super s = victim((uint8_t)type);

		s.p.gso_size = 0;
		refuse(&s);
	}
}

static void init__checksum_field_elsewhere__is_refused(void **state)
{
	static const struct {
		uint16_t start;
		uint16_t off;
	} cases[] = { { 0, 16 },      { 19, 16 },         { 21, 16 }, { 40, 16 }, { 24, 16 },
		      { 20, 6 },      { 20, 15 },         { 20, 17 }, { 20, 0 },  { 20, 0xffff },
		      { 0xffff, 16 }, { 0xffff, 0xffff }, { 290, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct super s = victim(LW_GSO_TCP4);

		s.p.csum_start = cases[i].start;
		s.p.csum_off = cases[i].off;
		refuse(&s);
	}
}

static void init__header_bytes_that_lie__are_refused(void **state)
{
	static const struct {
		uint16_t at;
		uint8_t type;
		uint8_t value;
	} cases[] = {
		{ 0, LW_GSO_TCP4, 0x44 },  /* header of 16 bytes */
		{ 0, LW_GSO_TCP4, 0x46 },  /* of 24: csum_start says 20 */
		{ 0, LW_GSO_TCP4, 0x65 },  /* version */
		{ 2, LW_GSO_TCP4, 0x02 },  /* total length beyond the end */
		{ 2, LW_GSO_TCP4, 0x00 },  /* total length of 34 */
		{ 6, LW_GSO_TCP4, 0x20 },  /* more fragments */
		{ 7, LW_GSO_TCP4, 0x01 },  /* fragment offset */
		{ 9, LW_GSO_TCP4, 17 },    /* protocol */
		{ 9, LW_GSO_TCP4, 1 },     /* protocol */
		{ 32, LW_GSO_TCP4, 0x40 }, /* TCP header of 16 bytes */
		{ 4, LW_GSO_TCP6, 0x02 },  /* payload length beyond the end */
		{ 6, LW_GSO_TCP6, 44 },    /* fragment header */
		{ 6, LW_GSO_TCP6, 58 },    /* ICMP */
		{ 6, LW_GSO_TCP6, 60 },    /* extension header where TCP is */
		{ 25, LW_GSO_UDP, 0 },     /* UDP length of something else */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct super s = victim(cases[i].type);

		memset(s.block + ref_layout(s.block).hl, 0, 250);
		s.block[cases[i].at] = cases[i].value;
		refuse(&s);
	}
}

static void init__tcp_header_longer_than_the_packet__is_refused(void **state)
{
	const struct ref_super spec = { LW_GSO_TCP4, .gso_size = 10, .payload = 20 };
	struct super s = make_super(&spec);

	(void)state;
	s.block[32] = 0xf0; /* 60 bytes, 40 are there */
	refuse(&s);
}

static void init__no_room_for_the_header__is_refused(void **state)
{
	struct ref_super spec = { LW_GSO_TCP6, true, .gso_size = 100, .payload = 250,
		                  .tcp_options = 40 };
	struct lw_seg g;
	struct super s;

	(void)state;
	spec.ip_options = 152; /* 252 bytes in all */
	s = make_super(&spec);
	assert_int_equal(lw_seg_init(&g, &s.p), 0);
	free(s.block);
	spec.ip_options = 160;
	s = make_super(&spec);
	refuse(&s);
}

static void init__udp_without_partial_checksum__is_refused(void **state)
{
	struct super s = victim(LW_GSO_UDP);

	(void)state;
	s.p.flags = LW_PKT_CSUM_GOOD;
	refuse(&s);
}

static void init__encoded_or_gathered__is_refused(void **state)
{
	struct super s = victim(LW_GSO_TCP4);
	struct iovec more = { .iov_base = s.block, .iov_len = 10 };
	struct lw_seg g;

	(void)state;
	s.p.more = &more;
	s.p.n_more = 1;
	assert_int_equal(lw_seg_init(&g, &s.p), -EBADMSG);
	s.p.gso_type = LW_GSO_NONE;
	s.p.gso_size = 0;
	assert_int_equal(lw_seg_init(&g, &s.p), -EBADMSG);
	free(s.block);
	s = victim(LW_GSO_TCP4);
	s.p.flags |= LW_PKT_ENCODED;
	refuse(&s);
}

static void init__each_truncation__is_refused(void **state)
{
	(void)state;
	for (int type = LW_GSO_TCP4; type <= LW_GSO_UDP; type++) {
		struct super whole = victim((uint8_t)type);

		for (uint32_t len = 0; len < whole.p.len; len++) {
			struct lw_packet p = whole.p;
			struct lw_seg g;

			p.buf = exact_copy(whole.block, len);
			p.len = p.cap = len;
			assert_int_equal(lw_seg_init(&g, &p), -EBADMSG);
			free(p.buf);
		}
		free(whole.block);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments__of_wire_13_6__are_its_lines),
		cmocka_unit_test(segments__random_superpackets__equal_the_reference),
		cmocka_unit_test(segments__without_partial_checksum__come_from_nothing),
		cmocka_unit_test(segments__edges__equal_the_reference),
		cmocka_unit_test(segments__each_tcp_flag__goes_where_it_belongs),
		cmocka_unit_test(segments__numbers_that_wrap__go_on_from_0),
		cmocka_unit_test(segments__checksum_of_0__is_ffff_for_udp_only),
		cmocka_unit_test(segments__wrong_partial_sum__stays_as_wrong),
		cmocka_unit_test(init__payload_of_one_segment__is_a_single_packet),
		cmocka_unit_test(init__bytes_behind_the_packet__are_cut_off),
		cmocka_unit_test(expose__headroom_and_payload__are_left_alone),
		cmocka_unit_test(copy__state_that_was_put_aside__goes_on),
		cmocka_unit_test(init__kind_that_does_not_fit__is_refused),
		cmocka_unit_test(init__gso_size_of_0__is_refused),
		cmocka_unit_test(init__checksum_field_elsewhere__is_refused),
		cmocka_unit_test(init__header_bytes_that_lie__are_refused),
		cmocka_unit_test(init__tcp_header_longer_than_the_packet__is_refused),
		cmocka_unit_test(init__no_room_for_the_header__is_refused),
		cmocka_unit_test(init__udp_without_partial_checksum__is_refused),
		cmocka_unit_test(init__encoded_or_gathered__is_refused),
		cmocka_unit_test(init__each_truncation__is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

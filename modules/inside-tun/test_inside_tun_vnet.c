/* SPDX-License-Identifier: MIT */
/* the virtio header: what the kernel may say, what it may not, and what we say to it */
#include <errno.h>
#include <stdbool.h>

#include "unit/test.h"

#include "vnet.h"

#define MTU 1350u
#define ALL (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6)

enum { NEEDS = VIRTIO_NET_HDR_F_NEEDS_CSUM, VALID = VIRTIO_NET_HDR_F_DATA_VALID };

/* the packets that headers are told of, by what they are */
enum form { TCP4, TCP6, UDP4, UDP6, FORMS };

static const uint8_t l4_of[FORMS] = { 20, 40, 20, 40 };
static const uint8_t hl_of[FORMS] = { 40, 60, 28, 48 };
static const uint8_t csum_of[FORMS] = { 16, 16, 6, 6 };
static const uint8_t type_of[FORMS] = { 1, 4, 5, 5 };
static const uint8_t gso_of[FORMS] = { LW_GSO_TCP4, LW_GSO_TCP6, LW_GSO_UDP, LW_GSO_UDP };

struct sample {
	uint8_t *bytes; /* exactly len, so that a sanitizer sees every read behind it */
	uint32_t len;
	struct lw_packet p;
	struct virtio_net_hdr h;
	uint32_t mask;
	uint32_t mtu;
	uint32_t segments;
};

/* the first len bytes of a packet of that form, and the header of a superpacket of 1,000 a segment
 */
static void sample_init(struct sample *s, enum form form, uint32_t len)
{
	uint8_t head[60] = { 0 };

	head[0] = form == TCP4 || form == UDP4 ? 0x45 : 0x60;
	head[9] = form == TCP4 ? 6 : (form == UDP4 ? 17 : 0);
	if (form == TCP4 || form == TCP6)
		head[l4_of[form] + 12] = 0x50;
	*s = (struct sample){ .len = len, .mask = ALL, .mtu = MTU };
	s->bytes = calloc(1, len);
	assert_non_null(s->bytes);
	memcpy(s->bytes, head, len < sizeof(head) ? len : sizeof(head));
	s->h = (struct virtio_net_hdr){ .flags = NEEDS,
		                        .gso_type = type_of[form],
		                        .gso_size = 1000,
		                        .hdr_len = hl_of[form],
		                        .csum_start = l4_of[form],
		                        .csum_offset = csum_of[form] };
}

static int parse(struct sample *s)
{
	s->p = (struct lw_packet){ .buf = s->bytes, .cap = s->len };
	return lw_tun_vnet_parse((const uint8_t *)&s->h, s->mask, s->mtu, s->len, &s->p,
	                         &s->segments);
}

static void sample_fini(struct sample *s)
{
	free(s->bytes);
}

static void parse__all_zero__is_a_single_packet(void **state)
{
	struct sample s;

	(void)state;
	for (enum form f = TCP4; f < FORMS; f++) {
		sample_init(&s, f, MTU);
		memset(&s.h, 0, sizeof(s.h));
		assert_int_equal(parse(&s), 0);
		assert_int_equal(s.p.flags, 0);
		assert_int_equal(s.p.gso_size, 0);
		assert_int_equal(s.p.gso_type, LW_GSO_NONE);
		assert_int_equal(s.segments, 1);
		sample_fini(&s);
	}
}

static void parse__superpackets__say_type_size_and_checksum(void **state)
{
	struct sample s;

	(void)state;
	for (enum form f = TCP4; f < FORMS; f++) {
		sample_init(&s, f, hl_of[f] + 2001u);
		assert_int_equal(parse(&s), 0);
		assert_int_equal(s.p.flags, LW_PKT_CSUM_PARTIAL);
		assert_int_equal(s.p.gso_size, 1000);
		assert_int_equal(s.p.gso_type, gso_of[f]);
		assert_int_equal(s.p.csum_start, l4_of[f]);
		assert_int_equal(s.p.csum_off, csum_of[f]);
		assert_int_equal(s.segments, 3);
		assert_int_equal(s.p.l4_off, 0);
		assert_int_equal(s.p.hdr_len, 0);
		sample_fini(&s);
	}
}

/* whether a device with this mask may hand over that type with such a packet */
static bool may_be(uint8_t type, enum form f, uint32_t mask)
{
	if ((mask & TUN_F_CSUM) == 0)
		return false;
	if (type == type_of[f] || (type == (0x80 | type_of[f]) && (f == TCP4 || f == TCP6)))
		return (mask & (f == TCP4   ? TUN_F_TSO4
		                : f == TCP6 ? TUN_F_TSO6
		                            : TUN_F_USO4 | TUN_F_USO6)) != 0;
	return false;
}

static void parse__every_gso_type__is_taken_only_where_it_can_be(void **state)
{
	static const uint32_t masks[] = { 0,   TUN_F_CSUM, TUN_F_CSUM | TUN_F_TSO4,
		                          ALL, 7,          TUN_F_CSUM | TUN_F_TSO6,
		                          0xf, 0x61 };
	struct sample s;

	(void)state;
	for (unsigned i = 0; i < FORMS * 256 * 8; i++) {
		enum form f = (enum form)(i / 256 % FORMS);

		sample_init(&s, f, 1200);
		s.h.gso_type = (uint8_t)i;
		s.mask = masks[i / 256 / FORMS];
		if (s.h.gso_type == 0) {
			assert_int_equal(parse(&s), (s.mask & TUN_F_CSUM) != 0 ? 0 : -EBADMSG);
		} else if (may_be(s.h.gso_type, f, s.mask)) {
			assert_int_equal(parse(&s), 0);
			assert_int_equal(s.p.gso_type, gso_of[f]);
			assert_int_equal((s.p.flags & LW_PKT_ECN) != 0, s.h.gso_type > 0x7f);
		} else {
			assert_int_equal(parse(&s), -EBADMSG);
		}
		sample_fini(&s);
	}
}

static void parse__every_flag__only_two_are_known(void **state)
{
	static const uint16_t expected[] = { 0, LW_PKT_CSUM_PARTIAL, LW_PKT_CSUM_GOOD,
		                             LW_PKT_CSUM_PARTIAL };
	struct sample s;

	(void)state;
	for (unsigned i = 0; i < 512; i++) {
		sample_init(&s, i < 256 ? TCP4 : UDP6, 1200);
		s.h.flags = (uint8_t)i;
		assert_int_equal(parse(&s), s.h.flags <= 3 ? 0 : -EBADMSG);
		if (s.h.flags <= 3)
			assert_int_equal(s.p.flags, expected[s.h.flags]);
		sample_fini(&s);
	}
}

static void parse__any_hdr_len__is_not_believed(void **state)
{
	static const uint16_t lies[] = { 0, 1, 100, 1052, 1500, 2528, 65535 };
	struct sample s;

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		sample_init(&s, TCP4, 5040);
		s.h.hdr_len = lies[i];
		assert_int_equal(parse(&s), 0);
		assert_int_equal(s.segments, 5);
		assert_int_equal(s.p.hdr_len, 0);
		sample_fini(&s);
	}
}

static void parse__checksum_of_a_single_packet__must_lie_inside(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s, UDP4, 100);
	s.h.gso_type = 0;
	for (uint32_t start = 0; start < 65536; start++) {
		static const uint16_t offs[] = { 0, 6, 16, 65535 };

		for (size_t i = 0; i < 4; i++) {
			bool inside = start >= 20 && start + offs[i] + 2u <= 100;

			s.h.csum_start = (uint16_t)start;
			s.h.csum_offset = offs[i];
			assert_int_equal(parse(&s), inside ? 0 : -EBADMSG);
			assert_true(!inside ||
			            (s.p.csum_start == start && s.p.csum_off == offs[i]));
		}
	}
	sample_fini(&s);
}

static void parse__checksum_of_a_superpacket__must_be_its_transports(void **state)
{
	struct sample s;

	(void)state;
	for (enum form f = TCP4; f < FORMS; f++) {
		sample_init(&s, f, 1300);
		s.mtu = 3000;
		for (uint32_t start = 0; start < 65536; start++) {
			/* behind extension headers of IPv6, of which only the kernel knows here */
			bool v6 = l4_of[f] == 40;
			bool good = start == l4_of[f] ||
			            (v6 && start > 40 && f == UDP6 && start <= 1300 - 8);

			if (v6 && f == TCP6 && start > 40)
				continue; /* its bytes are no TCP header there */
			s.h.csum_start = (uint16_t)start;
			assert_int_equal(parse(&s), good ? 0 : -EBADMSG);
		}
		s.h.csum_start = l4_of[f];
		for (uint32_t off = 0; off < 65536; off++) {
			s.h.csum_offset = (uint16_t)off;
			assert_int_equal(parse(&s), off == csum_of[f] ? 0 : -EBADMSG);
		}
		sample_fini(&s);
	}
}

static void parse__extension_header__shifts_the_transport(void **state)
{
	struct sample s;

	(void)state;
	sample_init(&s, TCP6, 68 + 2000);
	s.bytes[6] = 60; /* destination options of 8 bytes, then TCP with 20 bytes */
	s.bytes[48 + 12] = 0x50;
	s.h.csum_start = 48;
	assert_int_equal(parse(&s), 0);
	assert_int_equal(s.segments, 2);
	assert_int_equal(s.p.csum_start, 48);
	sample_fini(&s);
}

static void parse__headers_that_do_not_fit__are_bad(void **state)
{
	struct sample s;

	(void)state;
	for (enum form f = TCP4; f < FORMS; f++) {
		for (uint32_t len = 1; len <= hl_of[f] + 1001u; len++) {
			sample_init(&s, f, len);
			assert_int_equal(parse(&s), len < hl_of[f] ? -EBADMSG : 0);
			if (len >= hl_of[f]) /* one segment: a single packet */
				assert_int_equal(s.p.gso_size, len > hl_of[f] + 1000u ? 1000 : 0);
			s.h.flags = 0; /* the same where nothing is said of the checksum */
			assert_int_equal(parse(&s), len < hl_of[f] ? -EBADMSG : 0);
			sample_fini(&s);
		}
	}
}

static void parse__lengths_in_the_headers__must_be_possible(void **state)
{
	struct sample s;

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		sample_init(&s, TCP4, 1000);
		s.h.flags = 0;
		s.bytes[0] = (uint8_t)i; /* version and IPv4 header length */
		s.bytes[4 * (i & 15) + 12] = 0x50;
		s.bytes[9] = 6;
		assert_int_equal(parse(&s), i >> 4 == 4 && (i & 15) >= 5 ? 0 : -EBADMSG);
		sample_fini(&s);
		sample_init(&s, TCP4, 1000);
		s.bytes[32] = (uint8_t)i; /* TCP data offset */
		assert_int_equal(parse(&s), i >> 4 >= 5 ? 0 : -EBADMSG);
		sample_fini(&s);
		sample_init(&s, i & 1 ? TCP4 : UDP4, 1000);
		s.bytes[9] = (uint8_t)i;
		assert_int_equal(parse(&s), i == (i & 1 ? 6 : 17) ? 0 : -EBADMSG);
		sample_fini(&s);
	}
}

static void parse__larger_than_the_mtu__is_too_long(void **state)
{
	struct sample s;

	(void)state;
	for (enum form f = TCP4; f < FORMS; f++) {
		sample_init(&s, f, 4000);
		s.h.gso_size = (uint16_t)(MTU - hl_of[f]);
		assert_int_equal(parse(&s), 0);
		s.h.gso_size++;
		assert_int_equal(parse(&s), -EMSGSIZE);
		s.h.gso_size = 65535;
		assert_int_equal(parse(&s), -EMSGSIZE);
		s.mtu = hl_of[f] - 1u;
		s.h.gso_size = 1;
		assert_int_equal(parse(&s), -EMSGSIZE);
		s.h.gso_size = 0;
		assert_int_equal(parse(&s), -EBADMSG);
		sample_fini(&s);
	}
	for (uint32_t len = MTU - 1; len <= MTU + 1; len++) {
		sample_init(&s, UDP4, len);
		s.h.gso_type = 0;
		assert_int_equal(parse(&s), len > MTU ? -EMSGSIZE : 0);
		sample_fini(&s);
	}
	sample_init(&s, TCP6, LW_TUN_PACKET_MAX);
	assert_int_equal(parse(&s), 0);
	s.len++; /* the whole room was used: it may have been cut */
	assert_int_equal(parse(&s), -EMSGSIZE);
	sample_fini(&s);
}

static void parse__any_number_of_segments__is_counted(void **state)
{
	static const uint32_t counts[] = { 2, 64, 65, 128, 129, 1000, 65000 };
	struct sample s;

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		sample_init(&s, TCP4, 40 + counts[i]);
		s.h.gso_size = 1;
		assert_int_equal(parse(&s), 0);
		assert_int_equal(s.segments, counts[i]);
		sample_fini(&s);
	}
	for (uint32_t extra = 0; extra <= 7; extra++) {
		sample_init(&s, UDP4, 28 + 14 + extra);
		s.h.gso_size = 7;
		assert_int_equal(parse(&s), 0);
		assert_int_equal(s.segments, 2 + (extra > 0));
		sample_fini(&s);
	}
}

/* --- what we write --- */

static void out_init(struct sample *s, enum form f, uint32_t len)
{
	sample_init(s, f, len);
	s->p = (struct lw_packet){ .buf = s->bytes,
		                   .cap = len,
		                   .len = len,
		                   .gso_size = 1000,
		                   .gso_type = gso_of[f],
		                   .flags = LW_PKT_CSUM_PARTIAL,
		                   .csum_start = l4_of[f],
		                   .csum_off = csum_of[f] };
}

static int make(struct sample *s)
{
	memset(&s->h, 0xff, sizeof(s->h));
	return lw_tun_vnet_make(&s->p, &s->h, &s->segments);
}

static void make__superpackets__name_what_the_kernel_asks_for(void **state)
{
	struct sample s;

	(void)state;
	for (enum form f = TCP4; f < FORMS; f++) {
		out_init(&s, f, hl_of[f] + 500u);
		s.p.more_len = 2000;
		assert_int_equal(make(&s), 0);
		assert_int_equal(s.h.flags, NEEDS);
		assert_int_equal(s.h.gso_type, type_of[f]);
		assert_int_equal(s.h.gso_size, 1000);
		assert_int_equal(s.h.hdr_len, hl_of[f]);
		assert_int_equal(s.h.csum_start, l4_of[f]);
		assert_int_equal(s.h.csum_offset, csum_of[f]);
		assert_int_equal(s.segments, 3);
		s.p.flags |= LW_PKT_ECN;
		assert_int_equal(make(&s), 0);
		assert_int_equal(s.h.gso_type, 0x80 | type_of[f]);
		sample_fini(&s);
	}
}

static void make__single_packets__are_all_zero_or_partial(void **state)
{
	static const struct virtio_net_hdr zero;
	struct sample s;

	(void)state;
	for (enum form f = TCP4; f < FORMS; f++) {
		out_init(&s, f, 1000);
		s.p.gso_size = 0;
		assert_int_equal(make(&s), 0);
		assert_int_equal(s.segments, 1);
		assert_int_equal(s.h.flags, NEEDS);
		assert_int_equal(s.h.csum_start, l4_of[f]);
		assert_int_equal(s.h.csum_offset, csum_of[f]);
		assert_int_equal(s.h.gso_type, 0);
		assert_int_equal(s.h.hdr_len, 0);
		s.p.flags = LW_PKT_CSUM_GOOD; /* left over from another form: not said again */
		assert_int_equal(make(&s), 0);
		assert_memory_equal(&s.h, &zero, sizeof(zero));
		sample_fini(&s);
	}
}

static void make__what_is_no_superpacket__is_refused(void **state)
{
	struct sample s;

	(void)state;
	for (enum form f = TCP4; f < FORMS; f++) {
		out_init(&s, f, hl_of[f] + 1002u);
		assert_int_equal(make(&s), 0);
		s.p.flags = 0;
		assert_int_equal(make(&s), -EINVAL);
		s.p.flags = LW_PKT_CSUM_PARTIAL;
		s.p.csum_start++;
		assert_int_equal(make(&s), f == UDP6 ? 0 : -EINVAL);
		s.p.csum_start--;
		s.p.csum_off++;
		assert_int_equal(make(&s), -EINVAL);
		s.p.csum_off--;
		s.p.len -= 2; /* one segment */
		assert_int_equal(make(&s), -EINVAL);
		s.p.len = hl_of[f] - 1u; /* headers are not all in front */
		s.p.more_len = 2000;
		assert_int_equal(make(&s), -EINVAL);
		s.p.len = 0;
		assert_int_equal(make(&s), -EINVAL);
		s.p.len = s.len;
		s.p.gso_type = LW_GSO_RUN;
		assert_int_equal(make(&s), -EINVAL);
		s.p.gso_type = LW_GSO_NONE;
		assert_int_equal(make(&s), -EINVAL);
		s.p.gso_type = gso_of[(f + 1) % 2];
		assert_int_equal(make(&s), -EINVAL);
		sample_fini(&s);
	}
}

/* the kernel would take more, and its length field would wrap */
static void make__longer_than_a_length_field__is_refused(void **state)
{
	struct sample s;

	(void)state;
	for (enum form f = TCP4; f < FORMS; f++) {
		uint32_t max = l4_of[f] == 20 ? 65535 : 65575;

		out_init(&s, f, 100);
		s.p.more_len = max - 100;
		assert_int_equal(make(&s), 0);
		s.p.more_len++;
		assert_int_equal(make(&s), -EINVAL);
		s.p.more_len = UINT32_MAX - 50; /* len + more_len is 49 */
		assert_int_equal(make(&s), -EINVAL);
		sample_fini(&s);
	}
}

/* what cannot be said of a packet is not believed, and what was believed can be said again */
static void parse__random__never_reads_behind_and_goes_round(void **state)
{
	uint64_t seed = 20261;
	unsigned taken = 0;
	struct sample s;

	(void)state;
	for (unsigned i = 0; i < 300000; i++) {
		uint64_t r = test_random(&seed);
		uint8_t *h = (uint8_t *)&s.h;
		uint64_t change = test_random(&seed);
		int got;

		sample_init(&s, (enum form)(r % FORMS), 1 + (uint32_t)(r >> 8) % 3000);
		for (unsigned n = (unsigned)(r >> 48) % 4; n > 0; n--, change >>= 16)
			h[(change & 0xff) % sizeof(s.h)] = (uint8_t)(change >> 8);
		if ((r >> 56 & 1) != 0)
			s.bytes[(change & 0xffff) % s.len] = (uint8_t)(change >> 24);
		s.mask = (r >> 57 & 1) != 0 ? ALL : (uint32_t)(r >> 58) & ALL;
		got = parse(&s);
		assert_true(got == 0 || got == -EBADMSG || got == -EMSGSIZE);
		if (got == 0 && s.p.gso_size > 0 && (s.p.flags & LW_PKT_CSUM_PARTIAL) != 0) {
			struct virtio_net_hdr before = s.h;
			uint32_t segments = s.segments;

			s.p.len = s.len;
			assert_int_equal(make(&s), 0);
			assert_int_equal(s.segments, segments);
			before.hdr_len = s.h.hdr_len;
			before.flags &= NEEDS;
			assert_memory_equal(&before, &s.h, sizeof(before));
			taken++;
		}
		sample_fini(&s);
	}
	assert_in_range(taken, 30000, 200000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__all_zero__is_a_single_packet),
		cmocka_unit_test(parse__superpackets__say_type_size_and_checksum),
		cmocka_unit_test(parse__every_gso_type__is_taken_only_where_it_can_be),
		cmocka_unit_test(parse__every_flag__only_two_are_known),
		cmocka_unit_test(parse__any_hdr_len__is_not_believed),
		cmocka_unit_test(parse__checksum_of_a_single_packet__must_lie_inside),
		cmocka_unit_test(parse__checksum_of_a_superpacket__must_be_its_transports),
		cmocka_unit_test(parse__extension_header__shifts_the_transport),
		cmocka_unit_test(parse__headers_that_do_not_fit__are_bad),
		cmocka_unit_test(parse__lengths_in_the_headers__must_be_possible),
		cmocka_unit_test(parse__larger_than_the_mtu__is_too_long),
		cmocka_unit_test(parse__any_number_of_segments__is_counted),
		cmocka_unit_test(make__superpackets__name_what_the_kernel_asks_for),
		cmocka_unit_test(make__single_packets__are_all_zero_or_partial),
		cmocka_unit_test(make__what_is_no_superpacket__is_refused),
		cmocka_unit_test(make__longer_than_a_length_field__is_refused),
		cmocka_unit_test(parse__random__never_reads_behind_and_goes_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Each rule of offload.md 3 by itself: what is merged, what is not, what ends a superpacket. */
#include "hex.h"

#include "ref/coalesce_case.h"

#define ACK 0x10
#define PSH 0x08
#define FIN 0x01

static struct lw_coalesce *plain; /* default limits */
static struct coalesce_case t;

static int create_plain(void **state)
{
	const struct lw_coalesce_conf conf = { .packets = COALESCE_MAX };

	(void)state;
	return lw_coalesce_create(&conf, &plain);
}

static int destroy_plain(void **state)
{
	(void)state;
	lw_coalesce_destroy(plain);
	return 0;
}

#define EXPECT(...) coalesce_expect(&t, plain, COALESCE_ALL, COALESCE_GROUPS(__VA_ARGS__))

static void merge__three_of_wire_13_7__is_its_line(void **state)
{
	static const char *const in[] = {
		"45000032004240004006fa275db8d8220a7d0005 01bb9c40000010000000200050102000"
		"3b2c0000 41414141414141414141",
		"45000032004340004006fa265db8d8220a7d0005 01bb9c400000100a0000200050102000"
		"361d0000 42424242424242424242",
		"45000032004440004006fa255db8d8220a7d0005 01bb9c40000010140000200050182000"
		"31060000 43434343434343434343",
	};
	uint8_t bytes[100];
	uint8_t want[100];
	size_t len;

	(void)state;
	coalesce_empty(&t);
	for (size_t i = 0; i < 3; i++) {
		len = hex_read(in[i], bytes, sizeof(bytes));
		(void)coalesce_add(&t, bytes, (uint32_t)len);
	}
	lw_coalesce_batch(plain, &t.b, COALESCE_ALL);
	coalesce_groups(&t, COALESCE_GROUPS(3));
	len = hex_read("45000046004240004006fa135db8d8220a7d0005 01bb9c40000010000000200050182000"
	               "40950000 414141414141414141414242424242424242424243434343434343434343",
	               want, sizeof(want));
	assert_int_equal(coalesce_linear(&t.pkt[0], bytes), len);
	assert_memory_equal(bytes, want, len);
	assert_int_equal(t.pkt[0].flags, LW_PKT_CSUM_PARTIAL);
	assert_int_equal(t.pkt[0].gso_type, LW_GSO_TCP4);
	assert_int_equal(t.pkt[0].hdr_len, 40);
	assert_int_equal(t.pkt[0].gso_size, 10);
	assert_int_equal(t.pkt[0].csum_start, 20);
	assert_int_equal(t.pkt[0].csum_off, 16);
	coalesce_undone(&t);
	coalesce_free(&t);
}

static void merge__rows_of_each_kind__are_one_superpacket(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (uint32_t n = 1; n < 9; n++) {
			coalesce_empty(&t);
			(void)coalesce_row(&t, coalesce_kinds[i], n, ACK);
			EXPECT(n);
		}
	}
}

static void merge__empty_batch__stays_empty(void **state)
{
	(void)state;
	coalesce_empty(&t);
	lw_coalesce_batch(plain, &t.b, COALESCE_ALL);
	assert_int_equal(t.b.n, 0);
}

static void merge__kind_not_asked_for__is_left_alone(void **state)
{
	static const uint32_t bits[] = { LW_COALESCE_TCP4, LW_COALESCE_TCP6, LW_COALESCE_UDP,
		                         LW_COALESCE_UDP };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		coalesce_empty(&t);
		(void)coalesce_row(&t, coalesce_kinds[i], 2, ACK);
		coalesce_expect(&t, plain, bits[i], COALESCE_GROUPS(2));
		coalesce_empty(&t);
		(void)coalesce_row(&t, coalesce_kinds[i], 2, ACK);
		coalesce_expect(&t, plain, COALESCE_ALL & ~bits[i], COALESCE_GROUPS(1, 1));
	}
}

static void merge__odd_payloads_and_options__are_whole(void **state)
{
	struct ref_packet p = coalesce_tcp4;

	(void)state;
	coalesce_empty(&t);
	p.payload = 1;
	p.stamp = 12345;
	p = coalesce_row(&t, &p, 5, ACK);
	p.payload = 777;
	(void)coalesce_row(&t, &p, 3, ACK | PSH);
	EXPECT(5, 3);
}

static void merge__sequence_and_identification_that_wrap__go_on(void **state)
{
	struct ref_packet p = coalesce_tcp4;

	(void)state;
	coalesce_empty(&t);
	p.seq = 0xffffff38; /* the third begins at 0 */
	p.id = 0xfffe;
	(void)coalesce_row(&t, &p, 4, ACK);
	EXPECT(4);
}

/* --- what keeps two packets apart: one byte of the second --- */

struct difference {
	const struct ref_packet *kind;
	uint16_t at;
	uint8_t flip;
	bool merges;
};

static void check_difference(const struct difference *d)
{
	struct ref_packet p = *d->kind;
	struct ref_packet second = coalesce_next(&p);
	uint8_t bytes[300];
	uint32_t len;

	coalesce_empty(&t);
	p.stamp = second.stamp = p.udp ? 0 : 0x01020304;
	(void)coalesce_make(&t, &p);
	len = ref_make_packet(&second, bytes);
	bytes[d->at] ^= d->flip;
	ref_finish(bytes, len, false);
	(void)coalesce_add(&t, bytes, len);
	if (d->merges)
		EXPECT(2);
	else
		EXPECT(1, 1);
}

static const struct difference differences[] = {
	{ &coalesce_tcp4, 40, 0x00, true },  /* nothing */
	{ &coalesce_tcp4, 1, 0x04, false },  /* TOS */
	{ &coalesce_tcp4, 1, 0x01, false },  /* ECN */
	{ &coalesce_tcp4, 4, 0x01, false },  /* identification, no DF */
	{ &coalesce_tcp4, 6, 0x40, false },  /* DF */
	{ &coalesce_tcp4, 6, 0x80, false },  /* the reserved bit */
	{ &coalesce_tcp4, 8, 0x01, false },  /* TTL */
	{ &coalesce_tcp4, 15, 0x01, false }, /* source */
	{ &coalesce_tcp4, 19, 0x01, false }, /* destination */
	{ &coalesce_tcp4, 21, 0x01, false }, /* source port */
	{ &coalesce_tcp4, 23, 0x01, false }, /* destination port */
	{ &coalesce_tcp4, 24, 0x01, false }, /* sequence */
	{ &coalesce_tcp4, 27, 0x01, false },
	{ &coalesce_tcp4, 28, 0x01, false }, /* acknowledgement */
	{ &coalesce_tcp4, 31, 0x01, false },
	{ &coalesce_tcp4, 32, 0x01, false }, /* reserved, AE */
	{ &coalesce_tcp4, 32, 0x08, false },
	{ &coalesce_tcp4, 32, 0xd0, false }, /* data offset 5: options
	                      are payload */
	{ &coalesce_tcp4, 33, 0x01, true },  /* FIN */
	{ &coalesce_tcp4, 33, 0x02, false }, /* SYN */
	{ &coalesce_tcp4, 33, 0x04, false }, /* RST */
	{ &coalesce_tcp4, 33, 0x08, true },  /* PSH */
	{ &coalesce_tcp4, 33, 0x10, false }, /* ACK */
	{ &coalesce_tcp4, 33, 0x20, false }, /* URG */
	{ &coalesce_tcp4, 33, 0x40, false }, /* ECE */
	{ &coalesce_tcp4, 33, 0x80, false }, /* CWR */
	{ &coalesce_tcp4, 34, 0x01, false }, /* window */
	{ &coalesce_tcp4, 35, 0x01, false },
	{ &coalesce_tcp4, 38, 0x01, false }, /* urgent pointer */
	{ &coalesce_tcp4, 39, 0x01, false },
	{ &coalesce_tcp4, 40, 0x01, false }, /* options */
	{ &coalesce_tcp4, 47, 0x01, false }, /* timestamp */
	{ &coalesce_tcp4, 51, 0x01, false }, /* the last byte of options */
	{ &coalesce_tcp4, 52, 0x01, true },  /* payload */
	{ &coalesce_udp4, 28, 0x01, true },
	{ &coalesce_udp4, 1, 0x04, false },
	{ &coalesce_udp4, 4, 0x01, false },
	{ &coalesce_udp4, 6, 0x40, false },
	{ &coalesce_udp4, 8, 0x01, false },
	{ &coalesce_udp4, 15, 0x01, false },
	{ &coalesce_udp4, 19, 0x01, false },
	{ &coalesce_udp4, 21, 0x01, false },
	{ &coalesce_udp4, 23, 0x01, false },
	{ &coalesce_tcp6, 72, 0x01, true },
	{ &coalesce_tcp6, 0, 0x01, false }, /* traffic class */
	{ &coalesce_tcp6, 1, 0x10, false },
	{ &coalesce_tcp6, 1, 0x01, false }, /* flow label */
	{ &coalesce_tcp6, 3, 0x01, false },
	{ &coalesce_tcp6, 7, 0x01, false }, /* hop limit */
	{ &coalesce_tcp6, 8, 0x01, false }, /* source */
	{ &coalesce_tcp6, 23, 0x01, false },
	{ &coalesce_tcp6, 24, 0x01, false }, /* destination */
	{ &coalesce_tcp6, 39, 0x01, false },
	{ &coalesce_tcp6, 41, 0x01, false }, /* ports */
	{ &coalesce_tcp6, 47, 0x01, false }, /* sequence */
	{ &coalesce_tcp6, 53, 0x40, false }, /* ECE */
	{ &coalesce_tcp6, 55, 0x01, false }, /* window */
	{ &coalesce_tcp6, 71, 0x01, false }, /* timestamp */
	{ &coalesce_udp6, 48, 0x01, true },
	{ &coalesce_udp6, 2, 0x01, false },
	{ &coalesce_udp6, 39, 0x01, false },
	{ &coalesce_udp6, 43, 0x01, false },
};

static void differ__one_field__keeps_apart_or_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++)
		check_difference(&differences[i]);
}

static void differ__flags_that_both_have__decide_for_both(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 256; flags++) {
		/* what may not be merged is not, even with its like; ECE may */
		bool merges = (flags & ~0x40u) == ACK;
		struct ref_packet p = coalesce_tcp4;

		p.flags = (uint8_t)flags;
		coalesce_empty(&t);
		(void)coalesce_row(&t, &p, 2, (uint8_t)flags);
		if (merges)
			EXPECT(2);
		else
			EXPECT(1, 1);
	}
}

static void differ__reserved_bits_that_both_have__keep_apart(void **state)
{
	(void)state;
	for (uint8_t bits = 0; bits < 16; bits++) {
		struct ref_packet p = coalesce_tcp4;

		coalesce_empty(&t);
		for (uint32_t i = 0; i < 2; i++) {
			uint8_t bytes[200];
			uint32_t len = ref_make_packet(&p, bytes);

			bytes[32] |= bits;
			ref_finish(bytes, len, false);
			(void)coalesce_add(&t, bytes, len);
			p = coalesce_next(&p);
		}
		if (bits == 0)
			EXPECT(2);
		else
			EXPECT(1, 1);
	}
}

static void differ__identification_with_df__does_not_matter(void **state)
{
	struct ref_packet p = coalesce_tcp4;

	(void)state;
	coalesce_empty(&t);
	p.fragment = 0x4000;
	for (uint16_t i = 0; i < 4; i++) {
		(void)coalesce_make(&t, &p);
		p = coalesce_next(&p);
		p.id = (uint16_t)(i * 333);
	}
	EXPECT(4);
}

static void differ__sessions__keep_apart(void **state)
{
	struct lw_session a = { .serial = 1 };
	struct lw_session b = { .serial = 2 };
	struct ref_packet p = coalesce_tcp4;

	(void)state;
	coalesce_empty(&t);
	coalesce_make(&t, &p)->session = &a;
	p = coalesce_next(&p);
	coalesce_make(&t, &p)->session = &b;
	EXPECT(1, 1);
}

/* --- what ends a superpacket --- */

static void end__psh_or_fin__is_the_last(void **state)
{
	static const uint8_t flags[] = { ACK | PSH, ACK | FIN, ACK | PSH | FIN };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct ref_packet p;

		coalesce_empty(&t);
		p = coalesce_row(&t, &coalesce_tcp4, 3, flags[i]);
		p = coalesce_row(&t, &p, 1, flags[i]); /* alone: nothing may follow it */
		(void)coalesce_row(&t, &p, 2, ACK);
		EXPECT(3, 1, 2);
	}
}

static void end__shorter_payload__is_the_last(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct ref_packet p;

		coalesce_empty(&t);
		p = coalesce_row(&t, coalesce_kinds[i], 3, ACK);
		p.payload = 99;
		p = coalesce_row(&t, &p, 1, ACK);
		p = coalesce_row(&t, &p, 2, ACK);
		EXPECT(4, 2);
	}
}

static void end__longer_payload__begins_anew(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct ref_packet p;

		coalesce_empty(&t);
		p = coalesce_row(&t, coalesce_kinds[i], 3, ACK);
		p.payload = 101;
		(void)coalesce_row(&t, &p, 2, ACK);
		EXPECT(3, 2);
	}
}

static void end__segments__are_limited(void **state)
{
	const struct lw_coalesce_conf conf = { .packets = 200, .max_segs = 100 };
	const struct lw_coalesce_conf one = { .packets = 200, .max_segs = 1 };
	struct lw_coalesce *c = NULL;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		coalesce_empty(&t);
		(void)coalesce_row(&t, coalesce_kinds[i], 130, ACK);
		EXPECT(64, 64, 2);
	}
	assert_int_equal(lw_coalesce_create(&conf, &c), 0);
	coalesce_empty(&t);
	(void)coalesce_row(&t, &coalesce_tcp4, 130, ACK);
	coalesce_expect(&t, c, COALESCE_ALL, COALESCE_GROUPS(100, 30));
	coalesce_empty(&t);
	(void)coalesce_row(&t, &coalesce_udp6, 130, ACK); /* the kernel takes no more */
	coalesce_expect(&t, c, COALESCE_ALL, COALESCE_GROUPS(64, 64, 2));
	lw_coalesce_destroy(c);
	assert_int_equal(lw_coalesce_create(&one, &c), 0);
	coalesce_empty(&t);
	(void)coalesce_row(&t, &coalesce_tcp4, 3, ACK);
	coalesce_expect(&t, c, COALESCE_ALL, COALESCE_GROUPS(1, 1, 1));
	lw_coalesce_destroy(c);
}

static void end__limits_beyond_the_highest__are_the_highest(void **state)
{
	const struct lw_coalesce_conf conf = { .packets = COALESCE_MAX,
		                               .max_segs = UINT32_MAX,
		                               .max_bytes = UINT32_MAX };
	struct ref_packet p = coalesce_tcp4;
	struct lw_coalesce *c = NULL;

	(void)state;
	assert_int_equal(lw_coalesce_create(&conf, &c), 0);
	p.payload = 1;
	coalesce_empty(&t);
	(void)coalesce_row(&t, &p, 1010, ACK);
	coalesce_expect(&t, c, COALESCE_ALL, COALESCE_GROUPS(1000, 10));
	p.payload = 1500;
	coalesce_empty(&t);
	(void)coalesce_row(&t, &p, 44, ACK); /* 40 + 43 * 1500 = 64540 */
	coalesce_expect(&t, c, COALESCE_ALL, COALESCE_GROUPS(43, 1));
	lw_coalesce_destroy(c);
}

static void end__bytes__are_limited(void **state)
{
	const struct lw_coalesce_conf conf = { .packets = 200, .max_bytes = 540 };
	struct lw_coalesce *c = NULL;

	(void)state;
	assert_int_equal(lw_coalesce_create(&conf, &c), 0);
	coalesce_empty(&t);
	(void)coalesce_row(&t, &coalesce_tcp4, 7, ACK); /* 40 + 5 * 100 */
	coalesce_expect(&t, c, COALESCE_ALL, COALESCE_GROUPS(5, 2));
	coalesce_empty(&t);
	(void)coalesce_row(&t, &coalesce_tcp6, 7, ACK); /* 60 + 4 * 100 */
	coalesce_expect(&t, c, COALESCE_ALL, COALESCE_GROUPS(4, 3));
	lw_coalesce_destroy(c);
}

static void end__65535_bytes__are_reached_and_not_passed(void **state)
{
	struct ref_packet p = coalesce_tcp4;

	(void)state;
	for (uint32_t more = 0; more < 2; more++) {
		coalesce_empty(&t);
		p = coalesce_tcp4;
		p.payload = 1310; /* 40 + 49 * 1310 + 1305 = 65535 */
		p = coalesce_row(&t, &p, 49, ACK);
		p.payload = 1305 + more;
		(void)coalesce_row(&t, &p, 1, ACK);
		if (more == 0)
			EXPECT(50);
		else
			EXPECT(49, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merge__three_of_wire_13_7__is_its_line),
		cmocka_unit_test(merge__rows_of_each_kind__are_one_superpacket),
		cmocka_unit_test(merge__empty_batch__stays_empty),
		cmocka_unit_test(merge__kind_not_asked_for__is_left_alone),
		cmocka_unit_test(merge__odd_payloads_and_options__are_whole),
		cmocka_unit_test(merge__sequence_and_identification_that_wrap__go_on),
		cmocka_unit_test(differ__one_field__keeps_apart_or_not),
		cmocka_unit_test(differ__flags_that_both_have__decide_for_both),
		cmocka_unit_test(differ__reserved_bits_that_both_have__keep_apart),
		cmocka_unit_test(differ__identification_with_df__does_not_matter),
		cmocka_unit_test(differ__sessions__keep_apart),
		cmocka_unit_test(end__psh_or_fin__is_the_last),
		cmocka_unit_test(end__shorter_payload__is_the_last),
		cmocka_unit_test(end__longer_payload__begins_anew),
		cmocka_unit_test(end__segments__are_limited),
		cmocka_unit_test(end__limits_beyond_the_highest__are_the_highest),
		cmocka_unit_test(end__bytes__are_limited),
		cmocka_unit_test(end__65535_bytes__are_reached_and_not_passed),
	};

	return cmocka_run_group_tests(tests, create_plain, destroy_plain);
}

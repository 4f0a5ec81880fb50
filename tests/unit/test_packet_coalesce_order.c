/* SPDX-License-Identifier: MIT */
/* What comes between packets of a flow, and what the coalescer never merges. */
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

/* --- what is in between --- */

/* two packets, the one in between, and two more that would go on */
static void check_between(const struct ref_packet *kind, const uint8_t *bytes, uint32_t len,
                          bool ends)
{
	struct ref_packet p;

	coalesce_empty(&t);
	p = coalesce_row(&t, kind, 2, ACK);
	(void)coalesce_add(&t, bytes, len);
	(void)coalesce_row(&t, &p, 2, ACK);
	if (ends)
		EXPECT(2, 1, 2);
	else
		EXPECT(4, 1);
}

static void between__pure_ack_of_the_flow__is_not_overtaken(void **state)
{
	struct ref_packet p = coalesce_tcp4;
	uint8_t bytes[200];

	(void)state;
	p.payload = 0;
	p.id = 99;
	check_between(&coalesce_tcp4, bytes, ref_make_packet(&p, bytes), true);
	p.flow = 1;
	check_between(&coalesce_tcp4, bytes, ref_make_packet(&p, bytes), false);
	p = coalesce_udp4; /* an empty datagram */
	p.payload = 0;
	check_between(&coalesce_udp4, bytes, ref_make_packet(&p, bytes), true);
}

static void between__each_flag_of_the_flow__is_not_overtaken(void **state)
{
	uint8_t bytes[200];

	(void)state;
	for (uint8_t bit = 0x02; bit != 0; bit = (uint8_t)(bit << 1)) {
		struct ref_packet p = coalesce_tcp4;

		p.flags ^= bit;
		if (bit == PSH)
			continue;
		check_between(&coalesce_tcp4, bytes, ref_make_packet(&p, bytes), true);
	}
}

static void between__duplicate_or_gap__is_not_overtaken(void **state)
{
	static const uint32_t seqs[] = { 1000, 1099, 1199, 1201, 1300, 5000 };
	uint8_t bytes[200];

	(void)state;
	for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++) {
		struct ref_packet p = coalesce_tcp4;
		struct ref_packet first;

		p.fragment = 0x4000;
		first = p;
		p.seq = seqs[i];
		/* 1300 begins where the third would end: what follows it would fit again */
		check_between(&first, bytes, ref_make_packet(&p, bytes), true);
	}
}

/* the second once more: what follows continues it as well as the first one */
static void between__duplicate_of_the_last__is_continued(void **state)
{
	struct ref_packet p;

	(void)state;
	coalesce_empty(&t);
	p = coalesce_row(&t, &coalesce_tcp4, 1, ACK);
	(void)coalesce_row(&t, &p, 1, ACK);
	p = coalesce_row(&t, &p, 1, ACK);
	(void)coalesce_row(&t, &p, 2, ACK);
	EXPECT(2, 3);
}

static void between__fragment__ends_all_flows(void **state)
{
	static const uint16_t words[] = { 0x2000, 0x0001, 0x2010 };
	uint8_t bytes[200];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct ref_packet p = coalesce_udp4;

		p.fragment = words[i];
		check_between(&coalesce_tcp4, bytes, ref_make_packet(&p, bytes), true);
		check_between(&coalesce_tcp6, bytes, ref_make_packet(&p, bytes), true);
	}
	(void)hex_read("60000000 0010 2c40 20010db8000000000000000000000001"
	               "20010db8000000000000000000000002 1100 0001 00000001 0102030405060708",
	               bytes, sizeof(bytes));
	check_between(&coalesce_tcp6, bytes, 56, true);
}

static void between__unreadable_packets__end_all_flows(void **state)
{
	uint8_t bytes[200];
	uint32_t len = ref_make_packet(&coalesce_tcp4, bytes);

	(void)state;
	check_between(&coalesce_tcp4, bytes, 0, true);
	check_between(&coalesce_tcp4, bytes, 1, true);
	check_between(&coalesce_tcp4, bytes, len - 1, true); /* total length beyond the end */
	bytes[0] = 0x44;
	check_between(&coalesce_tcp4, bytes, len, true);
	bytes[0] = 0x15;
	check_between(&coalesce_udp6, bytes, len, true);
	len = ref_make_packet(&coalesce_tcp4, bytes);
	bytes[32] = 0x40; /* data offset 16 */
	check_between(&coalesce_tcp4, bytes, len, true);
}

static void between__other_protocols__end_nothing(void **state)
{
	static const uint8_t protocols[] = { 1, 47, 50, 58, 132, 136 };
	uint8_t bytes[200];

	(void)state;
	for (size_t i = 0; i < sizeof(protocols); i++) {
		uint32_t len = ref_make_packet(&coalesce_tcp4, bytes);

		bytes[9] = protocols[i];
		check_between(&coalesce_tcp4, bytes, len, false);
	}
}

static void between__other_kinds_and_flows__end_nothing(void **state)
{
	uint8_t bytes[200];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < 4; j++) {
			struct ref_packet p = *coalesce_kinds[j];

			p.flow = i == j ? 1 : 0;
			check_between(coalesce_kinds[i], bytes, ref_make_packet(&p, bytes), false);
		}
	}
}

/* --- what is never merged --- */

/* three packets that would be one superpacket, the second changed in this way */
static void check_second(const struct ref_packet *kind, uint32_t at, uint8_t flip)
{
	struct ref_packet p = *kind;

	coalesce_empty(&t);
	for (uint32_t i = 0; i < 3; i++) {
		struct lw_packet *q = coalesce_make(&t, &p);

		if (i == 1) {
			t.in[1].block[at] ^= flip;
			t.in[1].before[at] ^= flip;
		}
		assert_non_null(q);
		p = coalesce_next(&p);
	}
	EXPECT(1, 1, 1);
}

static void never__wrong_checksum__each_bit_of_the_packet(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		uint8_t bytes[200];
		uint32_t len = ref_make_packet(coalesce_kinds[i], bytes);
		uint32_t from = ref_layout(bytes).l4;

		/* behind the lengths, which make it unreadable; addresses and ports are of another
		 * flow then, and the rest is still one superpacket of two with a gap */
		for (uint32_t at = from + 4; at < len; at++)
			check_second(coalesce_kinds[i], at, (uint8_t)(1u << at % 8));
	}
}

static void never__wrong_header_checksum__is_merged(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 16; bit++) {
		check_second(&coalesce_tcp4, 10 + bit / 8, (uint8_t)(1u << bit % 8));
		assert_int_equal(lw_coalesce_bad_sums(plain), 1);
	}
	check_second(&coalesce_udp4, 10, 1);
	assert_int_equal(lw_coalesce_bad_sums(plain), 1);
}

static void never__wrong_first_packet__is_continued(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		coalesce_empty(&t);
		(void)coalesce_row(&t, coalesce_kinds[i], 3, ACK);
		t.in[0].block[t.in[0].len - 1] ^= 1;
		t.in[0].before[t.in[0].len - 1] ^= 1;
		EXPECT(1, 2);
		assert_int_equal(lw_coalesce_bad_sums(plain), 1);
		coalesce_empty(&t);
		(void)coalesce_row(&t, coalesce_kinds[i], 3, ACK);
		EXPECT(3);
		assert_int_equal(lw_coalesce_bad_sums(plain), 0); /* of the last batch */
	}
}

static void never__udp_without_checksum__is_merged(void **state)
{
	struct ref_packet p = coalesce_udp4;

	(void)state;
	coalesce_empty(&t);
	for (uint32_t i = 0; i < 3; i++) {
		(void)coalesce_make(&t, &p);
		memset(t.in[i].block + 26, 0, 2);
		memset(t.in[i].before + 26, 0, 2);
		p = coalesce_next(&p);
	}
	EXPECT(1, 1, 1);
}

/* the sum over such a packet is right: it was computed as 0, and then sent as if there were none */
static void never__udp_checksum_computed_as_0__is_merged(void **state)
{
	struct ref_packet p = coalesce_udp4;
	uint8_t bytes[200];

	(void)state;
	coalesce_empty(&t);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t len = ref_make_packet(&p, bytes);

		ref_put16(bytes + 28,
		          ref_fold((uint32_t)ref_get16(bytes + 28) + ref_get16(bytes + 26)));
		ref_finish(bytes, len, false);
		assert_int_equal(ref_get16(bytes + 26), 0xffff);
		ref_put16(bytes + 26, 0);
		(void)coalesce_add(&t, bytes, len);
		p = coalesce_next(&p);
	}
	EXPECT(1, 1);
}

static void never__udp_length_of_something_else__is_merged(void **state)
{
	struct ref_packet p = coalesce_udp4;
	uint8_t bytes[200];

	(void)state;
	coalesce_empty(&t);
	(void)coalesce_make(&t, &p);
	p = coalesce_next(&p);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t len = ref_make_packet(&p, bytes);
		uint32_t sum;

		ref_put16(bytes + 24, 107); /* and a checksum that is right all the same */
		sum = ref_get16(bytes + 26) + 1u;
		ref_put16(bytes + 26, ref_fold(sum));
		(void)coalesce_add(&t, bytes, len);
		p = coalesce_next(&p);
	}
	EXPECT(1, 1, 1);
}

static void never__bytes_behind_the_packet__are_merged(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct ref_packet p = *coalesce_kinds[i];
		uint8_t bytes[300] = { 0 };

		coalesce_empty(&t);
		for (uint32_t n = 0; n < 3; n++) {
			uint32_t len = ref_make_packet(&p, bytes);

			bytes[len] = bytes[len + 1] = 0;
			(void)coalesce_add(&t, bytes, len + (n == 1 ? 2 : 0));
			p = coalesce_next(&p);
		}
		EXPECT(1, 1, 1);
	}
}

static void never__options_of_ip__are_merged(void **state)
{
	struct ref_packet p = coalesce_tcp4;
	uint8_t bytes[300];
	uint8_t longer[300];

	(void)state;
	coalesce_empty(&t);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t len = ref_make_packet(&p, bytes);

		memcpy(longer, bytes, 20);
		memset(longer + 20, 1, 4);
		memcpy(longer + 24, bytes + 20, len - 20);
		longer[0] = 0x46;
		ref_finish(longer, len + 4, false);
		(void)coalesce_add(&t, longer, len + 4);
		p = coalesce_next(&p);
	}
	p = coalesce_tcp6;
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t len = ref_make_packet(&p, bytes);

		memcpy(longer, bytes, 40);
		ref_put32(longer + 40, 0x06000104);
		ref_put32(longer + 44, 0);
		memcpy(longer + 48, bytes + 40, len - 40);
		longer[6] = 60;
		ref_finish(longer, len + 8, false);
		(void)coalesce_add(&t, longer, len + 8);
		p = coalesce_next(&p);
	}
	EXPECT(1, 1, 1, 1);
}

static void never__what_is_not_a_plain_packet__is_merged(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		struct ref_packet p = coalesce_tcp4;

		coalesce_empty(&t);
		for (uint32_t i = 0; i < 3; i++) {
			struct lw_packet *q = coalesce_make(&t, &p);

			if (i == 1 && how == 0)
				q->flags = LW_PKT_CSUM_PARTIAL;
			if (i == 1 && how == 1)
				q->flags = LW_PKT_ENCODED;
			if (i == 1 && how == 2)
				q->gso_size = 50;
			if (i == 1 && how == 3)
				q->gso_type = LW_GSO_TCP4;
			p = coalesce_next(&p);
		}
		lw_coalesce_batch(plain, &t.b, COALESCE_ALL);
		coalesce_groups(&t, COALESCE_GROUPS(1, 1, 1));
		for (uint32_t i = 0; i < 3; i++)
			assert_memory_equal(t.in[i].block, t.in[i].before, t.in[i].len);
		coalesce_free(&t);
	}
}

static void good__checksum_known_to_be_right__is_not_verified(void **state)
{
	struct ref_packet p = coalesce_tcp4;
	uint8_t bytes[400];

	(void)state;
	coalesce_empty(&t);
	for (uint32_t i = 0; i < 2; i++) {
		struct lw_packet *q = coalesce_make(&t, &p);

		q->flags = LW_PKT_CSUM_GOOD;
		t.in[i].block[q->len - 1] ^= 1;
		p = coalesce_next(&p);
	}
	lw_coalesce_batch(plain, &t.b, COALESCE_ALL);
	coalesce_groups(&t, COALESCE_GROUPS(2));
	assert_int_equal(lw_coalesce_bad_sums(plain), 0);
	assert_int_equal(t.pkt[0].flags, LW_PKT_CSUM_PARTIAL);
	assert_int_equal(coalesce_linear(&t.pkt[0], bytes), 240);
	coalesce_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(between__pure_ack_of_the_flow__is_not_overtaken),
		cmocka_unit_test(between__each_flag_of_the_flow__is_not_overtaken),
		cmocka_unit_test(between__duplicate_or_gap__is_not_overtaken),
		cmocka_unit_test(between__duplicate_of_the_last__is_continued),
		cmocka_unit_test(between__fragment__ends_all_flows),
		cmocka_unit_test(between__unreadable_packets__end_all_flows),
		cmocka_unit_test(between__other_protocols__end_nothing),
		cmocka_unit_test(between__other_kinds_and_flows__end_nothing),
		cmocka_unit_test(never__wrong_checksum__each_bit_of_the_packet),
		cmocka_unit_test(never__wrong_header_checksum__is_merged),
		cmocka_unit_test(never__wrong_first_packet__is_continued),
		cmocka_unit_test(never__udp_without_checksum__is_merged),
		cmocka_unit_test(never__udp_checksum_computed_as_0__is_merged),
		cmocka_unit_test(never__udp_length_of_something_else__is_merged),
		cmocka_unit_test(never__bytes_behind_the_packet__are_merged),
		cmocka_unit_test(never__options_of_ip__are_merged),
		cmocka_unit_test(never__what_is_not_a_plain_packet__is_merged),
		cmocka_unit_test(good__checksum_known_to_be_right__is_not_verified),
	};

	return cmocka_run_group_tests(tests, create_plain, destroy_plain);
}

/* SPDX-License-Identifier: MIT */
/* wire.md 7.6: packets that come on Expresslane, made up by the test. */
#include <errno.h>

#include "unit/lane_bed.h"
#include "unit/test.h"
#include "wire/header.h"

/* the peer's key and session in lane_up() */
static const struct lane_packet genuine = {
	.key = 0xa1, .version = 2, .session = 0x1122334455667788, .counter = 1
};

static void open_bed(struct lane_bed *b, uint8_t version)
{
	lane_bed_init(b, false);
	lane_say(b, version, true, false, 1, 0xa1);
	lane_say(b, version, true, true, 1, 0);
	assert_true(lw_lane_ready(lane_of(b)));
	b->side->n_got = 0;
}

/* one datagram in a bed; what it moved */
static void expect(struct lane_bed *b, const uint8_t *d, size_t len, enum lw_counter counter)
{
	uint64_t before = lane_count(b, counter);
	uint32_t got = b->side->n_got;
	bool good = counter == LW_CTR_EXPRESSLANE_RX;

	assert_int_equal(lane_feed(b, d, len), good);
	assert_int_equal(lane_count(b, counter), before + 1);
	assert_int_equal(b->side->n_got, got + good);
}

static void rx__genuine__delivered_once(void **state)
{
	uint8_t d[PAIR_PACKET];
	struct lane_bed b;
	size_t len;

	(void)state;
	for (uint8_t version = 1; version <= 2; version++) {
		struct lane_packet k = genuine;

		k.version = version;
		open_bed(&b, version);
		len = lane_seal(d, &k, 100, 7);
		expect(&b, d, len, LW_CTR_EXPRESSLANE_RX);
		assert_int_equal(b.side->got_len[0], 100);
		assert_int_equal(b.side->got[0][1], 7);
		assert_int_equal(lane_of(&b)->received, 1);
		expect(&b, d, len, LW_CTR_EXPRESSLANE_REPLAYED);
		assert_int_equal(lane_of(&b)->received, 1);
		lane_bed_fini(&b);
	}
}

static void rx__sizes__from_nothing_to_all_of_it(void **state)
{
	uint8_t d[PAIR_PACKET];
	struct lane_packet k = genuine;
	struct lane_bed b;
	size_t len;

	(void)state;
	open_bed(&b, 2);
	len = lane_seal(d, &k, 60, 0);
	for (size_t n = LW_WIRE_HEADER_LEN; n < len; n++)
		expect(&b, d, n, LW_CTR_EXPRESSLANE_TRUNCATED);
	memset(d + len, 0xee, 200);
	expect(&b, d, len + 200, LW_CTR_EXPRESSLANE_RX); /* what follows it is ignored */
	assert_int_equal(b.side->got_len[0], 60);
	k.counter = 2;
	len = lane_seal(d, &k, 1444, 0);
	expect(&b, d, len, LW_CTR_EXPRESSLANE_RX);
	k.counter = 3;
	/* authentic, and no packet */
	len = lane_seal(d, &k, 0, 0);
	assert_int_equal(lane_feed(&b, d, len), 1);
	assert_int_equal(lane_count(&b, LW_CTR_INSIDE_INVALID), 1);
	assert_int_equal(lane_of(&b)->received, 3);
	lane_bed_fini(&b);
}

/* 13.1, negative cases, and every other bit */
static void rx__any_bit_turned_over__refused(void **state)
{
	uint8_t d[PAIR_PACKET], bad[PAIR_PACKET];
	struct lane_packet k = genuine;
	struct lane_bed b;
	size_t len;
	uint64_t counted = 0;

	(void)state;
	open_bed(&b, 2);
	len = lane_seal(d, &k, 60, 0);
	for (size_t bit = 64; bit < len * 8; bit++) {
		memcpy(bad, d, len);
		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (memcmp(bad + 8, "\0\0\0\0\0\0\0\0", 8) == 0)
			continue;
		assert_int_equal(lane_feed(&b, bad, len), 0);
		counted++;
	}
	assert_int_equal(b.side->n_got, 0);
	assert_int_equal(lane_count(&b, LW_CTR_EXPRESSLANE_AUTH_FAILED) +
	                         lane_count(&b, LW_CTR_EXPRESSLANE_TRUNCATED) +
	                         lane_count(&b, LW_CTR_EXPRESSLANE_REPLAYED),
	                 counted);
	expect(&b, d, len, LW_CTR_EXPRESSLANE_RX); /* the window has not moved */
	lane_bed_fini(&b);
}

static void rx__forged_counter__the_window_stays(void **state)
{
	uint8_t d[PAIR_PACKET];
	struct lane_packet k = genuine;
	struct lane_bed b;
	size_t len;

	(void)state;
	open_bed(&b, 2);
	len = lane_seal(d, &k, 60, 0);
	d[16 + 5] = 0x89; /* 9,000,000 or so */
	expect(&b, d, len, LW_CTR_EXPRESSLANE_AUTH_FAILED);
	assert_int_equal(lane_of(&b)->replay.highest, 0);
	len = lane_seal(d, &k, 60, 0);
	expect(&b, d, len, LW_CTR_EXPRESSLANE_RX);
	lane_bed_fini(&b);
}

static void rx__another_version_than_agreed__refused(void **state)
{
	(void)state;
	for (uint8_t version = 1; version <= 2; version++) {
		struct lane_packet k = genuine;
		uint8_t d[PAIR_PACKET];
		struct lane_bed b;
		size_t len;

		open_bed(&b, version);
		k.version = (uint8_t)(3 - version);
		len = lane_seal(d, &k, 60, 0);
		expect(&b, d, len, LW_CTR_EXPRESSLANE_AUTH_FAILED);
		lane_bed_fini(&b);
	}
}

/* 7.5: version 2 covers all 16 bits, and the reserved ones mean nothing */
static void rx__reserved_flags__ignored(void **state)
{
	uint8_t d[PAIR_PACKET];
	struct lane_packet k = genuine;
	struct lane_bed b;
	size_t len;

	(void)state;
	open_bed(&b, 2);
	for (uint16_t bit = 0; bit < 15; bit++) {
		k.flags = (uint16_t)(1u << bit);
		k.counter = bit + 1u;
		len = lane_seal(d, &k, 60, 0);
		expect(&b, d, len, LW_CTR_EXPRESSLANE_RX);
	}
	lane_bed_fini(&b);
}

/* Without a codec a unit of one ends the session, as its frame does; but in version 1 the flag is
 * anybody's. */
static void rx__encoded__ends_where_it_is_authentic(void **state)
{
	(void)state;
	for (uint8_t version = 1; version <= 2; version++) {
		struct lane_packet k = genuine;
		uint8_t d[PAIR_PACKET];
		struct lane_bed b;
		size_t len;

		open_bed(&b, version);
		k.version = version;
		k.flags = LW_LANE_ENCODED;
		len = lane_seal(d, &k, 60, 0);
		assert_int_equal(lane_feed(&b, d, len), version == 1 ? 1 : -EPROTO);
		assert_int_equal(lane_count(&b, LW_CTR_EXPRESSLANE_ENCODED), 1);
		assert_int_equal(b.side->n_got, 0);
		assert_int_equal(pair_closed(b.side), version == 2);
		lane_bed_fini(&b);
	}
}

static void rx__no_key__counted(void **state)
{
	uint8_t d[PAIR_PACKET];
	struct lane_bed b;
	size_t len = lane_seal(d, &genuine, 60, 0);

	(void)state;
	lane_bed_init(&b, true); /* a server that has heard no offer */
	expect(&b, d, len, LW_CTR_EXPRESSLANE_UNWANTED);
	lane_offer(&b, 1, 0);
	expect(&b, d, len, LW_CTR_EXPRESSLANE_NO_KEY);
	lane_offer(&b, 2, 0xa1);
	/* 7.2: the keys decide, not the state: ours is not acknowledged yet */
	assert_int_equal(lane_of(&b)->state, LW_LANE_INACTIVE);
	expect(&b, d, len, LW_CTR_EXPRESSLANE_RX);
	lane_offer(&b, 3, 0); /* the one before does not help */
	lane_bed_fini(&b);
}

/* 13.1: after degrade, a frame under the sentinel is refused; what is under way is not */
static void rx__degraded__keys_stay_and_zeros_open_nothing(void **state)
{
	uint8_t d[PAIR_PACKET];
	struct lane_packet k = genuine;
	struct lw_sink sink;
	struct lane_bed b;
	size_t len;

	(void)state;
	open_bed(&b, 2);
	sink = (struct lw_sink){ .wire = b.side->wire, .inside = b.side->inside };
	lw_lane_degrade(b.side->t, b.p->now_us, &sink);
	len = lane_seal(d, &k, 60, 0);
	expect(&b, d, len, LW_CTR_EXPRESSLANE_RX);
	memset(d + 16 + 8, 0, 28);
	d[16 + 7] = 2;
	expect(&b, d, len, LW_CTR_EXPRESSLANE_AUTH_FAILED);
	lane_bed_fini(&b);
}

/* A packet is a sign of life, and its id is adopted by a client (6.1), once it is authentic. */
static void rx__id_in_the_header__bound_and_adopted(void **state)
{
	uint8_t d[PAIR_PACKET];
	struct lane_packet k = genuine;
	struct lane_bed b;
	size_t len;

	(void)state;
	open_bed(&b, 2);
	len = lane_seal(d, &k, 60, 0);
	d[15] ^= 1;
	lane_wait(&b, 5 * LW_S);
	expect(&b, d, len, LW_CTR_EXPRESSLANE_AUTH_FAILED);
	assert_true(b.side->t->last_rx_us < b.p->now_us);
	k.session = 0x99;
	len = lane_seal(d, &k, 60, 0);
	expect(&b, d, len, LW_CTR_EXPRESSLANE_RX);
	assert_int_equal(b.side->t->id, 0x99);
	assert_int_equal(b.side->t->last_rx_us, b.p->now_us);
	/* a packet with the id before, overtaken by the new one, opens too (7.11) */
	k.session = genuine.session;
	k.counter = 2;
	len = lane_seal(d, &k, 60, 0);
	expect(&b, d, len, LW_CTR_EXPRESSLANE_RX);
	lane_bed_fini(&b);
}

static void rx__cipher_fails__lane_given_up_session_lives(void **state)
{
	uint8_t d[PAIR_PACKET];
	struct lane_bed b;
	size_t len = lane_seal(d, &genuine, 60, 0);

	(void)state;
	open_bed(&b, 2);
	b.own->cipher.fail = -EIO;
	expect(&b, d, len, LW_CTR_EXPRESSLANE_CIPHER_FAILED);
	assert_int_equal(lane_of(&b)->state, LW_LANE_DEGRADED);
	b.own->cipher.fail = 0;
	expect(&b, d, len, LW_CTR_EXPRESSLANE_RX);
	lane_bed_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rx__genuine__delivered_once),
		cmocka_unit_test(rx__sizes__from_nothing_to_all_of_it),
		cmocka_unit_test(rx__any_bit_turned_over__refused),
		cmocka_unit_test(rx__forged_counter__the_window_stays),
		cmocka_unit_test(rx__another_version_than_agreed__refused),
		cmocka_unit_test(rx__reserved_flags__ignored),
		cmocka_unit_test(rx__encoded__ends_where_it_is_authentic),
		cmocka_unit_test(rx__no_key__counted),
		cmocka_unit_test(rx__degraded__keys_stay_and_zeros_open_nothing),
		cmocka_unit_test(rx__id_in_the_header__bound_and_adopted),
		cmocka_unit_test(rx__cipher_fails__lane_given_up_session_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

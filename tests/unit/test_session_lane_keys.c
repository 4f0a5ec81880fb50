/* SPDX-License-Identifier: MIT */
/* wire.md 7.4: rotation of Expresslane keys, and the peer's keys that come and go with it. */
#include "unit/lane_bed.h"
#include "unit/test.h"
#include "wire/header.h"

static uint64_t count(const struct lane_bed *b, enum lw_counter i)
{
	return b->side->counters.n[i];
}

/* --- rotation --- */

static void rotation__by_time__with_the_next_packet(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	lane_wait(&b, 900 * LW_S - 1); /* since ours was acknowledged */
	lane_packet(&b);
	lane_quiet(&b); /* 1 us too young */
	lane_wait(&b, 3600 * LW_S);
	lane_quiet(&b); /* an idle tunnel does not rotate */
	lane_packet(&b);
	(void)lane_expect(&b, true, false, 2);
	lane_packet(&b);
	lane_quiet(&b); /* one at a time */
	lane_bed_fini(&b);
}

static void rotation__by_time__with_the_peers_config(void **state)
{
	(void)state;
	for (int ack = 0; ack < 2; ack++) {
		struct lane_bed b;

		lane_bed_init(&b, true);
		lane_up(&b);
		lane_wait(&b, 1000 * LW_S);
		lane_say(&b, 2, true, false, 2, 0x44);
		(void)lane_expect(&b, true, true, 2);
		(void)lane_expect(&b, true, false, 2);
		lane_bed_fini(&b);
	}
}

static void rotation__by_count__before_the_interval(void **state)
{
	struct lane_bed b;

	(void)state;
	assert_true(LW_LANE_ROTATE_PACKETS < LW_LANE_MAX_PACKETS);
	assert_true(LW_LANE_MAX_PACKETS < UINT64_C(1) << 32);
	lane_bed_init(&b, false);
	lane_up(&b);
	lane_of(&b)->key_packets = LW_LANE_ROTATE_PACKETS - 2;
	lane_packet(&b);
	lane_quiet(&b);
	lane_of(&b)->key_packets = LW_LANE_ROTATE_PACKETS;
	lane_packet(&b);
	(void)lane_expect(&b, true, false, 2);
	lane_packet(&b);
	lane_quiet(&b);
	lane_ack(&b, 2);
	assert_int_equal(lane_of(&b)->key_packets, 0);
	lane_packet(&b);
	lane_quiet(&b);
	lane_bed_fini(&b);
}

static void rotation__unanswered__old_key_until_given_up(void **state)
{
	struct lane_bed b;
	const void *tx;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	tx = lane_of(&b)->tx.handle;
	lane_wait(&b, 1000 * LW_S);
	lane_packet(&b);
	lane_wait(&b, 10499 * LW_MS);
	assert_true(lw_lane_ready(lane_of(&b)));
	assert_ptr_equal(lane_of(&b)->tx.handle, tx);
	lane_wait(&b, 1 * LW_MS);
	assert_int_equal(lane_of(&b)->state, LW_LANE_INACTIVE);
	lane_packet(&b);
	b.n_read = b.n_got - 1;
	(void)lane_expect(&b, true, false, 3);
	lane_ack(&b, 3);
	assert_true(lw_lane_ready(lane_of(&b)));
	lane_bed_fini(&b);
}

/* Rotation far shorter than the retries: they finish first. */
static void rotation__short_interval__no_offer_while_one_is_open(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init_minor(&b, false, LW_WIRE_MINOR_MAX, 1 * LW_S);
	for (int i = 0; i < 100; i++) {
		lane_packet(&b);
		lane_wait(&b, 100 * LW_MS);
	}
	assert_int_equal(b.n_got, 6);
	assert_int_equal(lane_of(&b)->offer, 1);
	lane_ack(&b, 1);
	lane_wait(&b, 1 * LW_S - 1); /* and the key is in use for an interval */
	lane_packet(&b);
	assert_int_equal(lane_of(&b)->offer, 1);
	lane_wait(&b, 1);
	lane_packet(&b);
	assert_int_equal(lane_of(&b)->offer, 2);
	lane_bed_fini(&b);
}

/* A network that loses, doubles and reorders, a rotation a second: both ends agree in the end. */
static void rotation__bad_network__both_ends_agree(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		const struct lw_lane *c, *s;
		struct lane_bed b;

		lane_bed_init_pair(&b, seed, 1 * LW_S);
		b.p->loss_percent = 20;
		b.p->twice_percent = 20;
		b.p->reorder = true;
		for (int i = 0; i < 300; i++) {
			uint8_t packet[100] = { 0x45 };

			pair_send(b.p, pair_end(b.p, i % 2), packet, sizeof(packet));
			lane_wait(&b, 100 * LW_MS);
		}
		b.p->loss_percent = 0;
		lane_wait(&b, 11 * LW_S);
		for (int i = 0; i < 2; i++) { /* who has given up begins anew */
			uint8_t packet[100] = { 0x45 };

			pair_send(b.p, pair_end(b.p, i), packet, sizeof(packet));
			lane_wait(&b, 100 * LW_MS);
		}
		c = b.p->client.t->lane;
		s = b.p->server.t->lane;
		assert_true(lw_lane_ready(c) && lw_lane_ready(s));
		assert_memory_equal(lw_fake_key(c->tx.handle), lw_fake_key(s->rx.handle), 32);
		assert_memory_equal(lw_fake_key(s->tx.handle), lw_fake_key(c->rx.handle), 32);
		assert_true(c->offer > 10 && s->offer > 10);
		lane_bed_fini(&b);
	}
}

/* --- the peer's keys --- */

static void install__second_key__the_one_before_is_kept(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	assert_null(lane_of(&b)->old.handle);
	lane_offer(&b, 2, 0xa2);
	assert_int_equal(lw_fake_key(lane_of(&b)->rx.handle)[0], 0xa2);
	assert_int_equal(lw_fake_key(lane_of(&b)->old.handle)[0], 0xa1);
	lane_offer(&b, 3, 0xa3);
	assert_int_equal(lw_fake_key(lane_of(&b)->rx.handle)[0], 0xa3);
	assert_int_equal(lw_fake_key(lane_of(&b)->old.handle)[0], 0xa2);
	assert_int_equal(b.own->cipher.alive, 3); /* ours, and two of the peer's */
	assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_KEYS_RX), 3);
	lane_bed_fini(&b);
}

/* 7.4, Q and REC: the acknowledgement was lost, the offer comes again. */
static void install__same_offer_again__acknowledged_and_nothing_else(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	lane_offer(&b, 2, 0xa2);
	for (int i = 0; i < 3; i++)
		lane_offer(&b, 2, 0xa2);
	for (int i = 0; i < 4; i++)
		(void)lane_expect(&b, true, true, 2);
	lane_quiet(&b);
	assert_int_equal(lw_fake_key(lane_of(&b)->rx.handle)[0], 0xa2);
	assert_int_equal(lw_fake_key(lane_of(&b)->old.handle)[0], 0xa1);
	assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_KEYS_RX), 2);
	lane_bed_fini(&b);
}

/* A copy of an offer that arrives behind the one that replaced it. */
static void install__offer_overtaken__not_taken_and_not_acknowledged(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	lane_offer(&b, 3, 0xa3);
	(void)lane_expect(&b, true, true, 3);
	lane_offer(&b, 2, 0xa2);
	lane_say(&b, 2, false, false, 2, 0);
	lane_quiet(&b);
	assert_int_equal(lw_fake_key(lane_of(&b)->rx.handle)[0], 0xa3);
	assert_int_equal(lw_fake_key(lane_of(&b)->old.handle)[0], 0xa1);
	assert_true(lw_lane_ready(lane_of(&b)));
	assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_STALE), 2);
	lane_bed_fini(&b);
}

static void grace__ends_60_s_after_the_new_key_worked(void **state)
{
	struct lane_bed b;
	struct lw_lane *l;

	(void)state;
	lane_bed_init(&b, true);
	lane_up(&b);
	l = lane_of(&b);
	lw_lane_opened(l, false, b.p->now_us);
	lane_wait(&b, 1000 * LW_S);
	lane_offer(&b, 2, 0xa2);
	lane_ack(&b, 2);
	lw_lane_opened(l, true, b.p->now_us);
	assert_true(lw_lane_deadline(l) == LW_NEVER);
	lane_wait(&b, 1000 * LW_S); /* until then it stays, as long as it takes */
	assert_non_null(l->old.handle);
	lw_lane_opened(l, false, b.p->now_us);
	assert_int_equal(lw_lane_deadline(l), b.p->now_us + 60 * LW_S);
	assert_int_equal(lw_tunnel_deadline(b.side->t), b.p->now_us + 60 * LW_S);
	lane_wait(&b, 30 * LW_S);
	lw_lane_opened(l, true, b.p->now_us); /* does not put it off, nor does the next */
	lw_lane_opened(l, false, b.p->now_us);
	lane_wait(&b, 30 * LW_S - 1);
	assert_non_null(l->old.handle);
	lane_wait(&b, 1);
	assert_null(l->old.handle);
	assert_int_equal(l->old.bytes[0], 0);
	assert_int_equal(b.own->cipher.alive, 2);
	assert_true(lw_lane_deadline(l) == LW_NEVER);
	assert_int_equal(l->received, 5);
	lane_bed_fini(&b);
}

/* The grace of one key does not end that of the next. */
static void grace__rotated_within__begins_anew(void **state)
{
	struct lane_bed b;
	struct lw_lane *l;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	l = lane_of(&b);
	lane_offer(&b, 2, 0xa2);
	lw_lane_opened(l, false, b.p->now_us);
	lane_wait(&b, 59 * LW_S);
	lane_offer(&b, 3, 0xa3);
	lane_wait(&b, 100 * LW_S);
	assert_int_equal(lw_fake_key(l->old.handle)[0], 0xa2);
	lane_bed_fini(&b);
}

/* --- the cipher refuses --- */

static void key_failed__of_ours__no_offer_until_the_next_is_due(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	lane_wait(&b, 1000 * LW_S);
	b.own->cipher.fail_keys = 1;
	lane_packet(&b);
	lane_packet(&b);
	lane_quiet(&b);
	assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_KEY_FAILED), 1);
	assert_true(lw_lane_ready(lane_of(&b))); /* with the key that there is */
	lane_wait(&b, 900 * LW_S);
	lane_packet(&b);
	(void)lane_expect(&b, true, false, 2);
	lane_bed_fini(&b);
}

static void key_failed__of_the_peers__not_acknowledged(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	b.own->cipher.fail_keys = 1;
	lane_offer(&b, 2, 0xa2);
	lane_quiet(&b);
	assert_int_equal(lw_fake_key(lane_of(&b)->rx.handle)[0], 0xa1);
	assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_KEY_FAILED), 1);
	lane_offer(&b, 2, 0xa2); /* comes again */
	(void)lane_expect(&b, true, true, 2);
	assert_int_equal(lw_fake_key(lane_of(&b)->rx.handle)[0], 0xa2);
	lane_bed_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rotation__by_time__with_the_next_packet),
		cmocka_unit_test(rotation__by_time__with_the_peers_config),
		cmocka_unit_test(rotation__by_count__before_the_interval),
		cmocka_unit_test(rotation__unanswered__old_key_until_given_up),
		cmocka_unit_test(rotation__short_interval__no_offer_while_one_is_open),
		cmocka_unit_test(rotation__bad_network__both_ends_agree),
		cmocka_unit_test(install__second_key__the_one_before_is_kept),
		cmocka_unit_test(install__same_offer_again__acknowledged_and_nothing_else),
		cmocka_unit_test(install__offer_overtaken__not_taken_and_not_acknowledged),
		cmocka_unit_test(grace__ends_60_s_after_the_new_key_worked),
		cmocka_unit_test(grace__rotated_within__begins_anew),
		cmocka_unit_test(key_failed__of_ours__no_offer_until_the_next_is_due),
		cmocka_unit_test(key_failed__of_the_peers__not_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

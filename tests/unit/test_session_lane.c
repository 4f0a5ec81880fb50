/* SPDX-License-Identifier: MIT */
/* wire.md 7.1 to 7.4: offers and acknowledgements of Expresslane. */
#include "unit/lane_bed.h"
#include "unit/test.h"

static uint64_t count(const struct lane_bed *b, enum lw_counter i)
{
	return b->side->counters.n[i];
}

/* --- start --- */

static void start__client__offers_when_online(void **state)
{
	const struct lane_frame *g;
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	g = lane_expect(&b, true, false, 1);
	assert_int_equal(g->at_us, b.p->now_us);
	assert_int_equal(g->config.version, 2);
	assert_memory_equal(g->key, lw_fake_key(lane_of(&b)->next.handle), sizeof(g->key));
	assert_int_equal(lane_of(&b)->state, LW_LANE_INACTIVE);
	assert_false(lw_lane_ready(lane_of(&b)));
	lane_quiet(&b);
	lane_bed_fini(&b);
}

static void start__server__waits_for_the_clients_offer(void **state)
{
	const struct lane_frame *g;
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, true);
	lane_packet(&b);
	lane_ack(&b, 1); /* of nothing */
	lane_wait(&b, 60 * LW_S);
	lane_packet(&b);
	lane_quiet(&b);
	assert_null(lane_of(&b));
	lane_offer(&b, 7, 0x33);
	g = lane_expect(&b, true, true, 7); /* its own counter and key come back */
	for (size_t i = 0; i < sizeof(g->key); i++)
		assert_int_equal(g->key[i], 0x33);
	(void)lane_expect(&b, true, false, 1);
	assert_false(lw_lane_ready(lane_of(&b)));
	lane_ack(&b, 1);
	assert_true(lw_lane_ready(lane_of(&b)));
	lane_bed_fini(&b);
}

static void start__client__active_with_both_keys(void **state)
{
	(void)state;
	for (int ack_first = 0; ack_first < 2; ack_first++) {
		uint8_t key[LW_FRAME_KEY_LEN];
		struct lane_bed b;

		lane_bed_init(&b, false);
		memcpy(key, lane_expect(&b, true, false, 1)->key, sizeof(key));
		if (ack_first)
			lane_ack(&b, 1);
		else
			lane_offer(&b, 1, 0xa1);
		assert_int_equal(lane_of(&b)->state, LW_LANE_INACTIVE);
		if (ack_first)
			lane_offer(&b, 1, 0xa1);
		else
			lane_ack(&b, 1);
		assert_int_equal(lane_of(&b)->state, LW_LANE_ACTIVE);
		assert_true(lw_lane_ready(lane_of(&b)));
		assert_memory_equal(lw_fake_key(lane_of(&b)->tx.handle), key, sizeof(key));
		assert_int_equal(lw_fake_key(lane_of(&b)->rx.handle)[31], 0xa1);
		assert_null(lane_of(&b)->next.handle);
		(void)lane_expect(&b, true, true, 1);
		lane_quiet(&b); /* the server's offer is no reason for another of ours */
		lane_bed_fini(&b);
	}
}

static void start__both_ours__active_with_each_others_keys(void **state)
{
	struct lane_bed b;
	const struct lw_lane *c, *s;

	(void)state;
	lane_bed_init_pair(&b, 1, 900 * LW_S);
	c = b.p->client.t->lane;
	s = b.p->server.t->lane;
	assert_true(lw_lane_ready(c) && lw_lane_ready(s));
	assert_int_equal(c->offer, 1);
	assert_int_equal(s->offer, 1);
	assert_int_equal(c->version, 2);
	assert_int_equal(s->version, 2);
	assert_memory_equal(lw_fake_key(c->tx.handle), lw_fake_key(s->rx.handle), 32);
	assert_memory_equal(lw_fake_key(s->tx.handle), lw_fake_key(c->rx.handle), 32);
	assert_int_equal(b.p->client.counters.n[LW_CTR_EXPRESSLANE_OFFERS_TX], 1);
	assert_int_equal(b.p->server.counters.n[LW_CTR_EXPRESSLANE_OFFERS_TX], 1);
	assert_int_equal(b.p->server.counters.n[LW_CTR_EXPRESSLANE_KEYS_TX], 1);
	assert_int_equal(b.p->server.counters.n[LW_CTR_EXPRESSLANE_KEYS_RX], 1);
	lane_bed_fini(&b);
}

/* 7.3: who takes no part acknowledges, so that the peer stops asking, and offers nothing. */
static void start__not_supported__acknowledged_only(void **state)
{
	static const struct {
		uint8_t minor;
		uint64_t rotate_us;
	} cases[] = { { 1, 900 * LW_S }, { 2, 900 * LW_S }, { 3, 0 } };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct lane_bed b;

		lane_bed_init_minor(&b, i % 2, cases[i / 2].minor, cases[i / 2].rotate_us);
		lane_packet(&b);
		lane_quiet(&b);
		lane_offer(&b, 1, 0x33);
		(void)lane_expect(&b, true, true, 1);
		lane_say(&b, 2, false, false, 2, 0);
		(void)lane_expect(&b, false, true, 2);
		lane_ack(&b, 1);
		lane_packet(&b);
		lane_wait(&b, 60 * LW_S);
		lane_packet(&b);
		lane_quiet(&b);
		assert_null(lane_of(&b));
		assert_int_equal(b.own->cipher.created, 0);
		lane_bed_fini(&b);
	}
}

/* --- versions --- */

static void version__each_of_the_peer__the_lower_is_taken(void **state)
{
	static const uint8_t cases[][2] = { { 0, 2 }, { 1, 1 }, { 2, 2 }, { 3, 2 }, { 255, 2 } };

	(void)state;
	for (size_t i = 0; i < 4 * sizeof(cases) / sizeof(cases[0]); i++) {
		bool by_ack = i % 4 / 2;
		struct lane_bed b;

		lane_bed_init(&b, i % 2);
		if (!(i % 2))
			assert_int_equal(lane_expect(&b, true, false, 1)->config.version, 2);
		else if (by_ack) /* a server has something to acknowledge only behind an offer */
			lane_offer(&b, 1, 0x33);
		lane_say(&b, cases[i / 4][0], true, by_ack, 1, 0x33);
		assert_int_equal(lane_of(&b)->version, cases[i / 4][1]);
		if (!by_ack) {
			const struct lane_frame *g = lane_expect(&b, true, true, 1);

			assert_int_equal(g->config.version, cases[i / 4][1]);
			if (i % 2) /* and in what is offered next */
				assert_int_equal(lane_expect(&b, true, false, 1)->config.version,
				                 cases[i / 4][1]);
		}
		lane_bed_fini(&b);
	}
}

static void version__after_a_packet_of_ours__kept(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	lane_of(&b)->sent = 1;
	lane_say(&b, 1, true, false, 2, 0x44);
	assert_int_equal(lane_expect(&b, true, true, 2)->config.version, 2);
	assert_int_equal(lane_of(&b)->version, 2);
	assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_VERSION_KEPT), 1);
	assert_int_equal(lw_fake_key(lane_of(&b)->rx.handle)[0], 0x44);
	lane_bed_fini(&b);
}

/* --- an offer that is not answered --- */

static void offer__not_answered__sent_six_times_then_given_up(void **state)
{
	static const uint64_t times_ms[] = { 0, 500, 1500, 3000, 5000, 7500 };

	(void)state;
	for (int server = 0; server < 2; server++) {
		uint8_t key[LW_FRAME_KEY_LEN];
		uint64_t began;
		struct lane_bed b;

		lane_bed_init(&b, server);
		if (server) {
			lane_offer(&b, 1, 0x33);
			(void)lane_expect(&b, true, true, 1);
		}
		began = b.p->now_us;
		memcpy(key, lane_of(&b)->next.bytes, sizeof(key));
		for (int i = 0; i < 30; i++) { /* traffic makes no difference */
			lane_packet(&b);
			lane_wait(&b, 350 * LW_MS - 1);
		}
		for (size_t i = 0; i < sizeof(times_ms) / sizeof(times_ms[0]); i++) {
			const struct lane_frame *g = lane_expect(&b, true, false, 1);

			assert_int_equal(g->at_us - began, times_ms[i] * LW_MS);
			assert_memory_equal(g->key, key, sizeof(key));
		}
		lane_quiet(&b);
		assert_true(lane_of(&b)->offering);
		lane_wait(&b, 30); /* 10.5 s */
		assert_false(lane_of(&b)->offering);
		assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_UNANSWERED), 1);
		lane_wait(&b, 60 * LW_S);
		lane_quiet(&b);
		lane_packet(&b); /* tries again */
		assert_memory_not_equal(lane_expect(&b, true, false, 2)->key, key, sizeof(key));
		lane_bed_fini(&b);
	}
}

static void offer__acknowledged_after_each_copy__stops_there(void **state)
{
	(void)state;
	for (uint64_t copies = 1; copies <= 6; copies++) {
		struct lane_bed b;

		lane_bed_init(&b, false);
		while (b.n_got < copies)
			lane_wait(&b, 10 * LW_MS);
		lane_ack(&b, 1);
		assert_non_null(lane_of(&b)->tx.handle);
		lane_wait(&b, 60 * LW_S);
		assert_int_equal(b.n_got, copies);
		assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_UNANSWERED), 0);
		lane_bed_fini(&b);
	}
}

/* The peer's first acknowledgement was lost and the tunnel has given up: a late one still counts.
 */
static void ack__after_the_offer_was_given_up__taken(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_offer(&b, 1, 0xa1);
	lane_wait(&b, 11 * LW_S);
	assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_UNANSWERED), 1);
	assert_false(lw_lane_ready(lane_of(&b)));
	lane_ack(&b, 1);
	assert_true(lw_lane_ready(lane_of(&b)));
	lane_bed_fini(&b);
}

static void ack__of_another_offer__ignored(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_offer(&b, 1, 0xa1);
	lane_ack(&b, 0);
	lane_ack(&b, 2);
	lane_ack(&b, UINT64_MAX);
	assert_null(lane_of(&b)->tx.handle);
	assert_true(lane_of(&b)->offering);
	/* what else stands in an acknowledgement is not looked at */
	lane_say(&b, 2, false, true, 1, 0);
	assert_true(lw_lane_ready(lane_of(&b)));
	lane_bed_fini(&b);
}

static void ack__twice__once(void **state)
{
	struct lane_bed b;
	const void *tx;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	tx = lane_of(&b)->tx.handle;
	lane_of(&b)->key_packets = 5;
	lane_ack(&b, 1);
	assert_ptr_equal(lane_of(&b)->tx.handle, tx);
	assert_int_equal(lane_of(&b)->key_packets, 5);
	assert_true(lw_lane_ready(lane_of(&b)));
	assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_KEYS_TX), 1);
	lane_bed_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start__client__offers_when_online),
		cmocka_unit_test(start__server__waits_for_the_clients_offer),
		cmocka_unit_test(start__client__active_with_both_keys),
		cmocka_unit_test(start__both_ours__active_with_each_others_keys),
		cmocka_unit_test(start__not_supported__acknowledged_only),
		cmocka_unit_test(version__each_of_the_peer__the_lower_is_taken),
		cmocka_unit_test(version__after_a_packet_of_ours__kept),
		cmocka_unit_test(offer__not_answered__sent_six_times_then_given_up),
		cmocka_unit_test(offer__acknowledged_after_each_copy__stops_there),
		cmocka_unit_test(ack__after_the_offer_was_given_up__taken),
		cmocka_unit_test(ack__of_another_offer__ignored),
		cmocka_unit_test(ack__twice__once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

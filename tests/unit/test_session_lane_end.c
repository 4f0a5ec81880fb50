/* SPDX-License-Identifier: MIT */
/* wire.md 7.1, 7.8, 7.9: the sentinel, notices, the health check, and what is left of keys. */
#include "unit/lane_bed.h"
#include "unit/test.h"

static uint64_t count(const struct lane_bed *b, enum lw_counter i)
{
	return b->side->counters.n[i];
}

static const uint8_t zeros[LW_FRAME_KEY_LEN];

/* --- the sentinel --- */

/* The cipher of the bed ends the program when it is given zeros. */
static void sentinel__offered_as_a_key__nothing_can_be_opened(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_offer(&b, 1, 0);
	lane_ack(&b, 1);
	assert_false(lw_lane_ready(lane_of(&b)));
	assert_int_equal(lane_of(&b)->state, LW_LANE_INACTIVE);
	lane_offer(&b, 2, 0xa2);
	assert_true(lw_lane_ready(lane_of(&b)));
	lane_offer(&b, 3, 0);
	assert_false(lw_lane_ready(lane_of(&b)));
	assert_null(lane_of(&b)->rx.handle);
	assert_null(lane_of(&b)->old.handle); /* the one before does not help out */
	lane_bed_fini(&b);
}

/* --- a peer that takes no part --- */

static void notice__from_the_peer__acknowledged_then_silence(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		struct lane_bed b;
		const struct lane_frame *g;

		lane_bed_init(&b, server);
		lane_up(&b);
		lane_say(&b, 2, false, false, 2, 0);
		g = lane_expect(&b, false, true, 2);
		assert_memory_equal(g->key, zeros, sizeof(zeros));
		assert_int_equal(lane_of(&b)->state, LW_LANE_INACTIVE);
		for (int i = 0; i < 10; i++) { /* no more offers that nobody acknowledges */
			lane_wait(&b, 500 * LW_S);
			lane_packet(&b);
		}
		lane_quiet(&b);
		lane_ack(&b, 1);
		assert_int_equal(lane_of(&b)->state, LW_LANE_INACTIVE);
		lane_say(&b, 2, false, false, 2, 0); /* its acknowledgement was lost */
		(void)lane_expect(&b, false, true, 2);
		assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_REFUSED), 2);
		lane_bed_fini(&b);
	}
}

static void notice__then_an_offer__takes_part_again(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	lane_say(&b, 2, false, false, 2, 0);
	(void)lane_expect(&b, false, true, 2);
	lane_wait(&b, 1000 * LW_S);
	lane_offer(&b, 3, 0xa3);
	(void)lane_expect(&b, true, true, 3);
	(void)lane_expect(&b, true, false, 2);
	assert_true(lw_lane_ready(lane_of(&b)));
	lane_bed_fini(&b);
}

/* What it could not be told before comes first: a server has not offered anything yet. */
static void notice__first_of_all__no_offer(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, true);
	lane_say(&b, 2, false, false, 1, 0);
	(void)lane_expect(&b, false, true, 1);
	lane_packet(&b);
	lane_quiet(&b);
	lane_bed_fini(&b);
}

/* --- our own end of it --- */

static void degrade__now(struct lane_bed *b)
{
	struct lw_sink k = { .wire = b->side->wire, .inside = b->side->inside };

	lw_lane_degrade(b->side->t, b->p->now_us, &k);
	pair_flush(b->p, b->side);
}

static void degrade__notice__as_an_offer_and_never_again(void **state)
{
	static const uint64_t times_ms[] = { 0, 500, 1500, 3000, 5000, 7500 };

	(void)state;
	for (int server = 0; server < 2; server++) {
		struct lane_bed b;
		uint64_t began;

		lane_bed_init(&b, server);
		lane_up(&b);
		began = b.p->now_us;
		degrade__now(&b);
		degrade__now(&b); /* once */
		assert_false(lw_lane_ready(lane_of(&b)));
		assert_null(lane_of(&b)->tx.handle);
		assert_non_null(lane_of(&b)->rx.handle); /* for what is under way */
		lane_wait(&b, 60 * LW_S);
		for (size_t i = 0; i < sizeof(times_ms) / sizeof(times_ms[0]); i++) {
			const struct lane_frame *g = lane_expect(&b, false, false, 2);

			assert_int_equal(g->at_us - began, times_ms[i] * LW_MS);
			assert_memory_equal(g->key, zeros, sizeof(zeros));
		}
		lane_wait(&b, 2000 * LW_S);
		lane_packet(&b);
		lane_quiet(&b);
		assert_int_equal(lane_of(&b)->state, LW_LANE_DEGRADED);
		assert_int_equal(count(&b, LW_CTR_EXPRESSLANE_DEGRADED), 1);
		lane_bed_fini(&b);
	}
}

static void degrade__acknowledged__silent_for_good(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	degrade__now(&b);
	(void)lane_expect(&b, false, false, 2);
	lane_say(&b, 2, false, true, 2, 0);
	lane_wait(&b, 60 * LW_S);
	lane_offer(&b, 5, 0xa5); /* is not taken and not acknowledged */
	lane_say(&b, 2, false, false, 6, 0);
	lane_ack(&b, 2);
	lane_packet(&b);
	lane_wait(&b, 2000 * LW_S);
	lane_packet(&b);
	lane_quiet(&b);
	assert_int_equal(lane_of(&b)->state, LW_LANE_DEGRADED);
	assert_null(lane_of(&b)->tx.handle);
	assert_int_equal(lw_fake_key(lane_of(&b)->rx.handle)[0], 0xa1);
	lane_bed_fini(&b);
}

/* An offer was under way: its acknowledgement, which comes behind, revives nothing. */
static void degrade__with_an_offer_open__stays_closed(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	lane_wait(&b, 1000 * LW_S);
	lane_packet(&b);
	(void)lane_expect(&b, true, false, 2);
	degrade__now(&b);
	(void)lane_expect(&b, false, false, 3);
	lane_ack(&b, 2);
	assert_null(lane_of(&b)->tx.handle);
	assert_true(lane_of(&b)->offering);
	lane_say(&b, 2, false, true, 3, 0);
	assert_false(lane_of(&b)->offering);
	assert_null(lane_of(&b)->tx.handle);
	lane_bed_fini(&b);
}

/* --- health --- */

/* what a check compares: packets since the one before */
struct window {
	uint64_t own_sent, own_received, peer_sent, peer_received;
};

static void check(struct lane_bed *b, struct lw_frame_counters *peer, const struct window *w)
{
	lane_of(b)->sent += w->own_sent;
	lane_of(b)->received += w->own_received;
	peer->sent += w->peer_sent;
	peer->received += w->peer_received;
	lane_pong(b, peer);
}

static const struct {
	const char *name;
	struct window w;
	bool bad;
} windows[] = {
	{ "idle", { 0, 0, 0, 0 }, false },
	{ "all came", { 100, 100, 100, 100 }, false },
	{ "half to us", { 0, 50, 100, 0 }, false },
	{ "less than half to us", { 0, 49, 100, 0 }, true },
	{ "half from us", { 100, 0, 0, 50 }, false },
	{ "less than half from us", { 100, 0, 0, 49 }, true },
	{ "none of nine", { 9, 0, 9, 0 }, false },
	{ "none of ten to us", { 0, 0, 10, 0 }, true },
	{ "none of ten from us", { 10, 0, 0, 0 }, true },
	{ "more than were sent", { 10, 1000, 10, 1000 }, false },
	{ "none of very many", { 0, 0, UINT64_MAX / 8, 0 }, true },
};

static void health__window__three_bad_ones_in_a_row_degrade(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(windows) / sizeof(windows[0]); i++) {
		struct lw_frame_counters peer = { 0 };
		struct lane_bed b;

		print_message("  %s\n", windows[i / 2].name);
		lane_bed_init(&b, i % 2);
		lane_up(&b);
		for (int n = 1; n <= 5; n++) {
			check(&b, &peer, &windows[i / 2].w);
			assert_int_equal(lane_of(&b)->state == LW_LANE_DEGRADED,
			                 windows[i / 2].bad && n >= 3);
		}
		lane_bed_fini(&b);
	}
}

static void health__good_ones_between__take_strikes_back(void **state)
{
	static const struct window good = { 100, 100, 100, 100 };
	static const struct window bad = { 100, 100, 100, 0 };
	static const char *const orders[] = { "BGBGBGBGBG", "BBGBGBGBGB", "GGGBBGG", "BBGBB" };
	static const bool ends[] = { false, false, false, true };

	(void)state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct lw_frame_counters peer = { 0 };
		struct lane_bed b;

		lane_bed_init(&b, false);
		lane_up(&b);
		for (const char *c = orders[i]; *c != '\0'; c++)
			check(&b, &peer, *c == 'B' ? &bad : &good);
		assert_int_equal(lane_of(&b)->state == LW_LANE_DEGRADED, ends[i]);
		lane_bed_fini(&b);
	}
}

/* 7.9, first check: since 0, so a loss before it counts */
static void health__first_check__counts_from_the_beginning(void **state)
{
	struct lane_bed b;
	const struct lw_frame_counters none = { 0 };

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	lane_of(&b)->sent = 10;
	lane_pong(&b, &none);
	assert_int_equal(lane_of(&b)->health.strikes[1], 1);
	lane_pong(&b, &none); /* nothing since */
	assert_int_equal(lane_of(&b)->health.strikes[1], 0);
	lane_bed_fini(&b);
}

static void health__no_totals__third_in_a_row_degrades(void **state)
{
	const struct lw_frame_counters some = { 5, 5 };
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	lane_pong(&b, NULL);
	lane_pong(&b, NULL);
	lane_pong(&b, &some);
	lane_pong(&b, NULL);
	lane_pong(&b, NULL);
	assert_true(lw_lane_ready(lane_of(&b)));
	lane_pong(&b, NULL);
	(void)lane_expect(&b, false, false, 2);
	assert_int_equal(lane_of(&b)->state, LW_LANE_DEGRADED);
	lane_bed_fini(&b);
}

static void health__payload_of_another_size__counts_as_none(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	pair_inject_hex(b.p, b.hand, "03 0000 000f 000000000000000000000000000000");
	pair_inject_hex(b.p, b.hand, "03 0000 0011 0000000000000000000000000000000000");
	assert_int_equal(lane_of(&b)->health.missing, 2);
	pair_inject_hex(b.p, b.hand, "03 0001 0000"); /* of a probe: says nothing */
	assert_int_equal(lane_of(&b)->health.missing, 2);
	lane_bed_fini(&b);
}

static void health__not_ready__not_checked(void **state)
{
	struct lane_bed b;

	(void)state;
	lane_bed_init(&b, false);
	for (int i = 0; i < 10; i++)
		lane_pong(&b, NULL);
	assert_int_equal(lane_of(&b)->state, LW_LANE_INACTIVE);
	lane_up(&b);
	assert_int_equal(lane_of(&b)->health.missing, 0);
	lane_bed_fini(&b);
}

/* 2.3: our totals are in a keepalive while the lane is ready, and not in the answer to a probe */
static void totals__ping_and_pong__while_ready_only(void **state)
{
	(void)state;
	for (int ready = 0; ready < 2; ready++) {
		struct lane_bed b;
		const struct lane_frame *g;
		struct lw_sink k;

		lane_bed_init(&b, false);
		if (ready)
			lane_up(&b);
		lane_of(&b)->sent = 1000;
		lane_of(&b)->received = 990;
		k = (struct lw_sink){ .wire = b.side->wire, .inside = b.side->inside };
		lw_send_keepalive(b.side->t, LW_FRAME_PING, 0, b.p->now_us, &k);
		pair_flush(b.p, b.side);
		pair_inject_hex(b.p, b.hand, "02 0000 0000");
		pair_inject_hex(b.p, b.hand, "02 0007 0000");
		for (uint32_t i = 0; i < 3; i++) {
			g = &b.got[b.n_got - 3 + i];
			assert_int_equal(g->type, i == 0 ? LW_FRAME_PING : LW_FRAME_PONG);
			assert_int_equal(g->totals, ready && i < 2);
			if (g->totals) {
				assert_int_equal(g->counters.sent, 1000);
				assert_int_equal(g->counters.received, 990);
			}
		}
		lane_bed_fini(&b);
	}
}

/* --- traces --- */

static bool holds(const uint8_t *p, size_t len, uint8_t byte)
{
	for (size_t i = 0, run = 0; i < len; i++) {
		run = p[i] == byte ? run + 1 : 0;
		if (run == 8)
			return true;
	}
	return false;
}

static void keys__in_what_came__wiped(void **state)
{
	uint8_t frame[LW_FRAME_EXPRESSLANE_LEN] = { LW_FRAME_EXPRESSLANE_CONFIG, 2, 0x80 };
	uint8_t d[PAIR_PACKET];
	struct lw_packet pkt = { .buf = d, .cap = sizeof(d) };
	struct lane_bed b;
	struct lw_sink k;

	(void)state;
	lane_bed_init(&b, false);
	lane_up(&b);
	frame[12] = 9;
	memset(frame + 13, 0xa9, LW_FRAME_KEY_LEN);
	pair_inject(b.p, b.hand, frame, sizeof(frame));
	pkt.len = (uint32_t)pair_take(b.p, d);
	k = (struct lw_sink){ .wire = b.side->wire, .inside = b.side->inside };
	assert_int_equal(lw_tunnel_rx(b.side->t, &pkt, b.p->now_us, &k), 1);
	assert_int_equal(lw_fake_key(lane_of(&b)->rx.handle)[0], 0xa9);
	assert_false(holds(d, sizeof(d), 0xa9));
	/* nor is ours kept once the cipher has it */
	assert_memory_equal(lane_of(&b)->tx.bytes, zeros, sizeof(zeros));
	assert_memory_equal(lane_of(&b)->next.bytes, zeros, sizeof(zeros));
	lane_bed_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sentinel__offered_as_a_key__nothing_can_be_opened),
		cmocka_unit_test(notice__from_the_peer__acknowledged_then_silence),
		cmocka_unit_test(notice__then_an_offer__takes_part_again),
		cmocka_unit_test(notice__first_of_all__no_offer),
		cmocka_unit_test(degrade__notice__as_an_offer_and_never_again),
		cmocka_unit_test(degrade__acknowledged__silent_for_good),
		cmocka_unit_test(degrade__with_an_offer_open__stays_closed),
		cmocka_unit_test(health__window__three_bad_ones_in_a_row_degrade),
		cmocka_unit_test(health__good_ones_between__take_strikes_back),
		cmocka_unit_test(health__first_check__counts_from_the_beginning),
		cmocka_unit_test(health__no_totals__third_in_a_row_degrades),
		cmocka_unit_test(health__payload_of_another_size__counts_as_none),
		cmocka_unit_test(health__not_ready__not_checked),
		cmocka_unit_test(totals__ping_and_pong__while_ready_only),
		cmocka_unit_test(keys__in_what_came__wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

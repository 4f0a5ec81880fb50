/* SPDX-License-Identifier: MIT */
/* The limit of a session's bursts, in virtual time: inside TCP streams over paths that lose. */
#include <string.h>

#include "packet/bytes.h"
#include "session/burst.h"
#include "unit/test.h"

#define MS      1000ul
#define SECOND  1000000ull
#define MSS     1348u
#define SEGS    30u /* of a superpacket: one each millisecond are 324 Mbit/s */
#define STREAMS 100u

/* lost segments of a million with this limit */
typedef uint32_t loss_fn(uint32_t limit);

struct stream {
	uint32_t seq;
	uint16_t port;
};

struct bed {
	struct lw_burst b;
	struct stream streams[STREAMS];
	uint32_t n_streams;
	uint32_t next;
	uint64_t now;
	uint64_t tick; /* between superpackets */
	uint64_t seed;
	loss_fn *loss;
	uint32_t shrunk;
	uint32_t grown;
	uint64_t ms_at[LW_BURST_MAX + 1]; /* time with each limit */
	uint64_t segments;
	uint64_t lost;
};

static void bed_init(struct bed *t, uint32_t datagrams, uint32_t streams, loss_fn *loss)
{
	*t = (struct bed){
		.n_streams = streams, .now = 7 * SECOND, .tick = MS, .seed = 1, .loss = loss
	};
	lw_burst_init(&t->b, datagrams);
	t->b.since = t->now;
	for (uint32_t i = 0; i < streams; i++)
		t->streams[i] = (struct stream){ .seq = 0u - 5000000u * (i + 1),
			                         .port = (uint16_t)(1000 + i * 7) };
}

static uint32_t draw(struct bed *t)
{
	t->seed = t->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(t->seed >> 33);
}

/* What is handed over of a packet: its headers; `bytes` of payload are only claimed. */
static void pass(struct bed *t, const uint8_t *header, uint32_t hl, uint32_t bytes)
{
	static uint8_t buf[65536];
	struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .len = hl + bytes };
	int step;

	memcpy(buf, header, hl);
	step = lw_burst_sent(&t->b, &pkt, t->now);
	t->shrunk += step < 0;
	t->grown += step > 0;
	assert_in_range(t->b.limit, LW_BURST_FLOOR, LW_BURST_MAX);
}

static void send_tcp4(struct bed *t, uint16_t port, uint32_t seq, uint32_t bytes, uint8_t flags)
{
	uint8_t h[40] = { 0x45 };

	lw_store16(h + 2, (uint16_t)(40 + bytes));
	h[9] = 6;
	lw_store32(h + 12, 0x0a7d0005);
	lw_store32(h + 16, 0xc0000201);
	lw_store16(h + 20, port);
	lw_store16(h + 22, 443);
	lw_store32(h + 24, seq);
	h[32] = 0x50;
	h[33] = flags;
	pass(t, h, sizeof(h), bytes);
}

static void send_tcp6(struct bed *t, uint16_t port, uint32_t seq, uint32_t bytes)
{
	uint8_t h[60] = { 0x60 };

	lw_store16(h + 4, (uint16_t)(20 + bytes));
	h[6] = 6;
	h[8] = 0xfd;
	h[24] = 0xfd;
	lw_store16(h + 40, port);
	lw_store32(h + 44, seq);
	h[52] = 0x50;
	h[53] = 0x10;
	pass(t, h, sizeof(h), bytes);
}

/* One superpacket of one stream, and what of the one before was lost, again. */
static void send_one(struct bed *t)
{
	struct stream *s = &t->streams[t->next++ % t->n_streams];
	uint32_t loss = t->loss != NULL ? t->loss(t->b.limit) : 0;

	send_tcp4(t, s->port, s->seq, SEGS * MSS, 0x10);
	for (uint32_t i = 0; i < SEGS; i++) {
		t->segments++;
		if (draw(t) % 1000000u >= loss)
			continue;
		t->lost++;
		send_tcp4(t, s->port, s->seq + i * MSS, MSS, 0x10);
	}
	s->seq += SEGS * MSS;
}

static void run(struct bed *t, uint64_t seconds)
{
	uint64_t until = t->now + seconds * SECOND;

	while (t->now < until) {
		send_one(t);
		t->ms_at[t->b.limit]++;
		t->now += t->tick;
	}
}

/* percent of the time in which the limit was at most so much */
static uint32_t percent_at_most(const struct bed *t, uint32_t limit)
{
	uint64_t all = 0;
	uint64_t some = 0;

	for (uint32_t i = 0; i <= LW_BURST_MAX; i++) {
		all += t->ms_at[i];
		some += i <= limit ? t->ms_at[i] : 0;
	}
	return (uint32_t)(some * 100 / all);
}

static uint32_t shallow(uint32_t limit)
{
	return limit > 16 ? 6000 : 800;
}

static uint32_t shallower(uint32_t limit)
{
	return limit * limit * 10;
}

static uint32_t everywhere(uint32_t limit)
{
	(void)limit;
	return 10000;
}

static uint32_t seldom(uint32_t limit)
{
	(void)limit;
	return 1500;
}

static void burst_sent__no_loss__stays(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, NULL);
	run(&t, 60);
	assert_int_equal(t.b.limit, LW_BURST_MAX);
	assert_int_equal(t.shrunk + t.grown, 0);
	assert_false(lw_burst_limited(&t.b));
}

static void burst_sent__bursts_are_lost__shrinks_and_stays_there(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, shallow);
	run(&t, 10);
	assert_in_range(t.b.limit, LW_BURST_FLOOR, 32);
	run(&t, 290);
	assert_true(percent_at_most(&t, 16) >= 85);
	/* probes of larger ones become rare: with pauses of 5 s they would be 60 */
	assert_in_range(t.grown, 1, 20);
	assert_true(t.lost * 1000000 / t.segments < 1700); /* 6000 with a fixed 63 */
}

/* A stream that finds its rate loses much once; that says nothing about bursts. */
static void burst_sent__loss_only_at_the_start__stays(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, everywhere);
	for (int i = 0; i < 400; i++, t.now += MS)
		send_one(&t);
	assert_true(t.b.lost > 0);
	t.loss = NULL;
	run(&t, 60);
	assert_int_equal(t.shrunk, 0);
}

/* The share falls with every step, so the floor is best. */
static void burst_sent__each_step_helps__goes_to_the_floor(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, shallower);
	run(&t, 60);
	assert_true(percent_at_most(&t, LW_BURST_FLOOR) >= 70);
}

static void burst_sent__path_is_good_again__grows_back(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, shallow);
	run(&t, 20);
	assert_in_range(t.b.limit, LW_BURST_FLOOR, 32);
	t.loss = NULL;
	run(&t, 60);
	assert_int_equal(t.b.limit, LW_BURST_MAX);
}

/* What smaller bursts do not help is not paid for with small bursts. */
static void burst_sent__loss_at_any_size__is_not_pinned(void **state)
{
	static loss_fn *const losses[] = { everywhere, seldom };

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		struct bed t;

		bed_init(&t, 0, 1, losses[i % 2]);
		t.tick = i < 20 ? MS : 12 * MS; /* 27 Mbit/s */
		t.seed = i * 7919 + 1;
		run(&t, 300);
		print_message("  %u%% full, %u%% at most 16\n",
		              100 - percent_at_most(&t, LW_BURST_MAX - 1), percent_at_most(&t, 16));
		assert_true(percent_at_most(&t, LW_BURST_MAX - 1) <= 40);
		assert_true(percent_at_most(&t, 16) <= 15);
	}
}

static void burst_sent__many_streams__some_are_enough(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, STREAMS, shallow);
	run(&t, 60);
	assert_in_range(t.b.limit, LW_BURST_FLOOR, 16);
}

static void burst_sent__fixed__never_moves(void **state)
{
	static const uint32_t limits[] = { 1, 8, 40, 62 };

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct lw_burst b;
		struct bed t;

		bed_init(&t, 63, 1, shallow);
		run(&t, 10);
		assert_int_equal(t.b.limit, 63);
		assert_int_equal(t.shrunk + t.grown, 0);
		lw_burst_init(&b, limits[i]);
		assert_int_equal(b.limit, limits[i]);
		assert_true(lw_burst_limited(&b));
	}
}

/* Too slow for bursts to matter, and too little to judge by. */
static void burst_sent__slow_session__stays(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, everywhere);
	for (int i = 0; i < 6000; i++) {
		send_one(&t);
		t.now += 100 * MS;
	}
	assert_int_equal(t.shrunk, 0);
}

static void burst_sent__sequence_wraps__nothing_is_lost(void **state)
{
	struct bed t;
	uint32_t seq = 0u - 1000 * MSS;

	(void)state;
	bed_init(&t, 0, 1, NULL);
	for (int i = 0; i < 2000; i++, seq += MSS) {
		send_tcp4(&t, 1, seq, MSS, 0x10);
		send_tcp6(&t, 1, seq, MSS);
	}
	assert_int_equal(t.b.lost, 0);
	assert_int_equal(t.b.sent, 4000 * MSS);
	/* again, over the wrap */
	send_tcp4(&t, 1, seq - 1500 * MSS, 1000 * MSS % 60000, 0x10);
	assert_int_equal(t.b.lost, 1000 * MSS % 60000);
}

/* What did not come here before was not lost behind us. */
static void burst_sent__gap_is_filled__not_counted(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, NULL);
	send_tcp4(&t, 1, 1000, 1000, 0x10);
	send_tcp4(&t, 1, 4000, 1000, 0x10); /* 2000 are missing */
	send_tcp4(&t, 1, 3000, 1000, 0x10);
	send_tcp4(&t, 1, 2000, 1000, 0x10);
	assert_int_equal(t.b.lost, 0);
	send_tcp4(&t, 1, 4000, 1000, 0x10);
	assert_int_equal(t.b.lost, 1000);
	/* half of it is new */
	send_tcp4(&t, 1, 4500, 1000, 0x10);
	assert_int_equal(t.b.lost, 1500);
	send_tcp4(&t, 1, 4500, 1000, 0x10);
	assert_int_equal(t.b.lost, 2500);
	send_tcp4(&t, 1, 5500, 1000, 0x10);
	assert_int_equal(t.b.lost, 2500);
}

static void burst_sent__no_data__not_watched(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, NULL);
	for (uint16_t port = 0; port < 1000; port++) {
		send_tcp4(&t, port, 5, 0, 0x10);
		send_tcp4(&t, port, 5, 0, 0x02);
		send_tcp4(&t, port, 5, 100, 0x02);
	}
	assert_int_equal(t.b.sent, 0);
	for (uint32_t i = 0; i < LW_BURST_FLOWS; i++)
		assert_int_equal(t.b.flows[i].id, 0);
}

/* A port that is used again begins anew, far away or with a SYN between. */
static void burst_sent__sequence_jumps__not_loss(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, NULL);
	for (uint32_t i = 0; i < 100; i++)
		send_tcp4(&t, 1, i * 0x70000000u, MSS, 0x10);
	assert_int_equal(t.b.lost, 0);
}

static void burst_sent__stream_ends__its_place_is_taken(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, STREAMS, NULL);
	run(&t, 10);
	for (uint32_t i = 0; i < STREAMS; i++)
		t.streams[i].port = (uint16_t)(t.streams[i].port + 20000);
	t.loss = shallow;
	run(&t, 60);
	assert_in_range(t.b.limit, LW_BURST_FLOOR, 16);
}

static void burst_refused__often__shrinks(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, NULL);
	for (int i = 0; i < 1500; i++) {
		if (i % 10 == 0)
			lw_burst_refused(&t.b, 65507);
		run(&t, 0);
		send_one(&t);
		t.now += MS;
	}
	assert_true(t.shrunk > 0);
}

/* Bytes that lie about everything move nothing but this limit, and that within its bounds. */
static void burst_sent__hostile_packets__within_bounds(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, NULL);
	for (int i = 0; i < 400000; i++) {
		uint8_t h[64];
		uint32_t len = draw(&t) % sizeof(h);

		for (uint32_t at = 0; at < len; at++)
			h[at] = (uint8_t)draw(&t);
		if (len > 34 && draw(&t) % 2 == 0) {
			h[0] = draw(&t) % 4 == 0 ? 0x60 : 0x45;
			h[6] = h[0] == 0x60 ? 6 : 0;
			h[7] = 0;
			h[9] = 6;
			h[32] = 0x50;
		}
		pass(&t, h, len, draw(&t) % 60000);
		t.now += draw(&t) % 8 == 0 ? draw(&t) % (10 * MS) : 0;
	}
	assert_int_equal(t.b.fixed, false);
}

static void burst_rate__steady__a_quarter_more_than_comes(void **state)
{
	const uint32_t per_ms = SEGS * MSS + 40;
	struct bed t;

	(void)state;
	bed_init(&t, 0, 1, NULL);
	assert_int_equal(lw_burst_rate(&t.b), 500);
	run(&t, 2);
	assert_in_range(lw_burst_rate(&t.b), per_ms * 5 / 4 * 95 / 100, per_ms * 5 / 4 * 105 / 100);
	t.now += 60 * SECOND;
	run(&t, 1);
	assert_in_range(lw_burst_rate(&t.b), per_ms * 5 / 4 * 95 / 100, per_ms * 5 / 4 * 105 / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_sent__no_loss__stays),
		cmocka_unit_test(burst_sent__bursts_are_lost__shrinks_and_stays_there),
		cmocka_unit_test(burst_sent__loss_only_at_the_start__stays),
		cmocka_unit_test(burst_sent__each_step_helps__goes_to_the_floor),
		cmocka_unit_test(burst_sent__path_is_good_again__grows_back),
		cmocka_unit_test(burst_sent__loss_at_any_size__is_not_pinned),
		cmocka_unit_test(burst_sent__many_streams__some_are_enough),
		cmocka_unit_test(burst_sent__fixed__never_moves),
		cmocka_unit_test(burst_sent__slow_session__stays),
		cmocka_unit_test(burst_sent__sequence_wraps__nothing_is_lost),
		cmocka_unit_test(burst_sent__gap_is_filled__not_counted),
		cmocka_unit_test(burst_sent__no_data__not_watched),
		cmocka_unit_test(burst_sent__sequence_jumps__not_loss),
		cmocka_unit_test(burst_sent__stream_ends__its_place_is_taken),
		cmocka_unit_test(burst_refused__often__shrinks),
		cmocka_unit_test(burst_sent__hostile_packets__within_bounds),
		cmocka_unit_test(burst_rate__steady__a_quarter_more_than_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

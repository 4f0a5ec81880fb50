/* SPDX-License-Identifier: MIT */
/* Runs of limited sessions: what waits, for how long, in which order; and under a sender. */
#include <errno.h>

#include "fake/fake_host.h"
#include "packet/bytes.h"
#include "path/send.h"
#include "unit/test.h"

#define LEN      1000u /* of a datagram */
#define SEGS     8u
#define RATE     10000u /* bytes per ms: a piece of SEGS in 800 us */
#define SESSIONS 100u

struct bed {
	struct lw_pace *pace;
	struct lw_batch *wire;
	struct lw_sender sender;
	struct lw_worker worker;
	uint64_t now;
	uint64_t seed;
	uint32_t made[SESSIONS]; /* datagrams of each session, numbered */
	uint32_t seen[SESSIONS];
	uint64_t bytes_seen;
	uint32_t calls;
	bool faults;
};

/* a datagram of what was sent: its session's next */
static void see(struct bed *t, const uint8_t *p, uint32_t len)
{
	uint32_t session = lw_load32(p);

	assert_true(session < SESSIONS);
	assert_int_equal(lw_load32(p + 4), t->seen[session]);
	assert_int_equal(lw_load32(p + 8), len);
	t->seen[session]++;
	t->bytes_seen += len;
}

static void see_packet(struct bed *t, const struct lw_packet *p)
{
	uint32_t stride = p->gso_size > 0 ? p->gso_size : p->len;

	assert_int_equal(p->gso_type, p->gso_size > 0 ? LW_GSO_RUN : LW_GSO_NONE);
	assert_true(p->gso_size == 0 || p->len > p->gso_size);
	assert_int_equal(p->endpoint->tag, 7);
	for (uint32_t off = 0; off < p->len; off += stride)
		see(t, lw_packet_data(p) + off, p->len - off < stride ? p->len - off : stride);
}

static bool fault(struct bed *t, uint32_t one_of)
{
	return t->faults && test_random(&t->seed) % one_of == 0;
}

static int fake_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	struct bed *t = inst;

	(void)w;
	t->calls++;
	for (*ret_done = 0; *ret_done < b->n; (*ret_done)++) {
		const struct lw_packet *p = &b->pkt[*ret_done];

		if (fault(t, 16))
			return -EAGAIN;
		if (fault(t, 32))
			return -ENOBUFS;
		if (p->gso_type == LW_GSO_RUN && fault(t, 8))
			return -EMSGSIZE; /* not latched; the pieces pass */
		see_packet(t, p);
	}
	return 0;
}

static const struct lw_outside_udp_ops fake_ops = { .size = sizeof(fake_ops), .send = fake_send };

static void bed_init(struct bed *t)
{
	*t = (struct bed){ .now = 5000000, .seed = 4711 };
	assert_int_equal(lw_pace_create(&t->pace), 0);
	t->wire = lw_fake_batch_create(256, 512u << 10, true);
	lw_sender_init(&t->sender, &fake_ops, t, &t->worker, t->wire);
	t->sender.pace = t->pace;
}

static void bed_fini(struct bed *t)
{
	lw_pace_destroy(t->pace);
	lw_fake_batch_destroy(t->wire);
}

/* A run of n datagrams, the last of them `last` bytes; mark 0: not spaced. False: no room. */
static bool make(struct bed *t, uint32_t session, uint32_t n, uint32_t last, uint64_t mark)
{
	uint32_t len = (n - 1) * LEN + last;
	struct lw_packet *p = lw_batch_reserve(t->wire, len);

	if (p == NULL)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *d = lw_packet_data(p) + (size_t)i * LEN;

		lw_store32(d, session);
		lw_store32(d + 4, t->made[session]++);
		lw_store32(d + 8, i + 1 < n ? LEN : last);
	}
	(void)lw_batch_commit(t->wire, len);
	p->endpoint->tag = 7;
	p->gso_size = n > 1 ? LEN : 0;
	p->gso_type = n > 1 ? LW_GSO_RUN : LW_GSO_NONE;
	p->core[0] = session;
	p->core[1] = 1;
	p->core[2] = mark;
	return true;
}

static void flush(struct bed *t)
{
	(void)lw_sender_flush(&t->sender, t->now);
}

/* Until nothing waits; returns how long that took. */
static uint64_t drain(struct bed *t)
{
	uint64_t began = t->now;

	while (lw_pace_bytes(t->pace) > 0 || t->wire->n > 0) {
		uint64_t next = lw_sender_deadline(&t->sender);

		if (next == UINT64_MAX || next > t->now + 1000)
			next = t->now + 1000; /* an edge */
		if (next > t->now)
			t->now = next;
		lw_sender_unblock(&t->sender, 7);
		flush(t);
		assert_true(t->now - began < 10000000);
	}
	return t->now - began;
}

static void check_all_seen(const struct bed *t)
{
	assert_int_equal(t->sender.dropped, 0);
	for (uint32_t i = 0; i < SESSIONS; i++)
		assert_int_equal(t->seen[i], t->made[i]);
}

static void pace__not_marked__all_leaves_at_once(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t);
	assert_true(make(&t, 1, 40, 77, 0));
	assert_true(make(&t, 2, 1, LEN, 0));
	flush(&t);
	check_all_seen(&t);
	assert_int_equal(lw_sender_deadline(&t.sender), UINT64_MAX);
	assert_int_equal(t.sender.spaced, 0);
	bed_fini(&t);
}

static void pace__marked_run__leaves_in_pieces_at_the_rate(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t);
	assert_true(make(&t, 1, 36, 500, lw_pace_mark(SEGS, RATE)));
	flush(&t);
	for (uint32_t piece = 1; piece <= 4; piece++) {
		assert_int_equal(t.seen[1], piece * SEGS);
		assert_int_equal(lw_sender_deadline(&t.sender), t.now + 800);
		assert_false(lw_sender_due(&t.sender, t.now + 799));
		t.now += 799;
		flush(&t);
		assert_int_equal(t.seen[1], piece * SEGS);
		t.now += 1;
		assert_true(lw_sender_due(&t.sender, t.now));
		flush(&t);
	}
	check_all_seen(&t);
	assert_int_equal(t.bytes_seen, 35500);
	assert_int_equal(t.sender.spaced, 4);
	assert_int_equal(lw_sender_deadline(&t.sender), UINT64_MAX);
	bed_fini(&t);
}

/* The gap is kept behind the last piece too, and what comes then waits. */
static void pace__next_run__waits_for_the_one_before(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t);
	assert_true(make(&t, 1, SEGS, LEN, lw_pace_mark(SEGS, RATE)));
	flush(&t);
	assert_int_equal(t.seen[1], SEGS);
	t.now += 500;
	assert_true(make(&t, 1, SEGS, LEN, lw_pace_mark(SEGS, RATE)));
	flush(&t);
	assert_int_equal(t.seen[1], SEGS);
	assert_int_equal(lw_sender_deadline(&t.sender), t.now + 300);
	assert_int_equal(drain(&t), 300);
	/* long idle gains nothing: only a piece at once */
	t.now += 10000000;
	assert_true(make(&t, 1, 2 * SEGS, LEN, lw_pace_mark(SEGS, RATE)));
	flush(&t);
	assert_int_equal(t.seen[1], 3 * SEGS);
	assert_int_equal(drain(&t), 800);
	check_all_seen(&t);
	bed_fini(&t);
}

/* A timer that is late by a little does not slow the session down. */
static void pace__late_timer__rate_is_kept(void **state)
{
	struct bed t;
	uint64_t began;

	(void)state;
	bed_init(&t);
	began = t.now;
	assert_true(make(&t, 1, 6 * SEGS, LEN, lw_pace_mark(SEGS, RATE)));
	flush(&t);
	while (lw_pace_bytes(t.pace) > 0) {
		t.now = lw_sender_deadline(&t.sender) + 60;
		flush(&t);
	}
	assert_int_equal(t.now - began, 5 * 800 + 60);
	bed_fini(&t);
}

static void pace__slow_rate__nothing_waits_longer_than_the_spread(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t);
	for (int i = 0; i < 7; i++)
		assert_true(make(&t, 1, 50, LEN, lw_pace_mark(SEGS, 1)));
	flush(&t);
	assert_in_range(drain(&t), LW_PACE_SPREAD_US * 8 / 10, LW_PACE_SPREAD_US * 12 / 10);
	check_all_seen(&t);
	bed_fini(&t);
}

/* What is not marked, as a control frame, is not before what waits; other sessions do not wait. */
static void pace__order__kept_within_a_session(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t);
	assert_true(make(&t, 1, 20, LEN, lw_pace_mark(SEGS, RATE)));
	assert_true(make(&t, 2, 20, LEN, 0));
	assert_true(make(&t, 1, 1, 60, 0));
	assert_true(make(&t, 3, 10, LEN, lw_pace_mark(SEGS, RATE)));
	flush(&t);
	assert_int_equal(t.seen[1], SEGS);
	assert_int_equal(t.seen[2], 20);
	assert_int_equal(t.seen[3], SEGS);
	t.now += 800;
	flush(&t);
	assert_int_equal(t.seen[1], 2 * SEGS);
	assert_int_equal(t.seen[3], 10);
	(void)drain(&t);
	check_all_seen(&t);
	bed_fini(&t);
}

/* Nothing joins a piece that is followed by others. */
static void pace__piece_that_stays__cannot_be_joined(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t);
	assert_true(make(&t, 1, 20, LEN, lw_pace_mark(SEGS, RATE)));
	assert_int_equal(lw_pace_take(t.pace, t.wire, 0, t.now), 0);
	assert_int_equal(t.wire->pkt[0].len, SEGS * LEN);
	assert_int_equal(t.wire->pkt[0].core[1], 0);
	/* and does not wait when it is looked at again, as behind a socket that is full */
	assert_int_equal(lw_pace_take(t.pace, t.wire, 0, t.now), 0);
	assert_int_equal(t.wire->n, 1);
	assert_int_equal(lw_pace_bytes(t.pace), 12 * LEN);
	/* of jumbo frames a piece may be one, and then is no run */
	assert_true(make(&t, 2, 15, LEN, lw_pace_mark(1, RATE)));
	t.wire->pkt[1].gso_size = 5000;
	assert_int_equal(lw_pace_take(t.pace, t.wire, 0, t.now), 0);
	assert_int_equal(t.wire->pkt[1].len, 5000);
	assert_int_equal(t.wire->pkt[1].gso_size, 0);
	assert_int_equal(t.wire->pkt[1].gso_type, LW_GSO_NONE);
	bed_fini(&t);
}

static void pace__too_much_waits__leaves_at_once(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t);
	for (int i = 0; i < 40; i++) {
		for (int j = 0; j < 10; j++) {
			if (!make(&t, 1, 30, LEN, lw_pace_mark(1, RATE)))
				break;
		}
		flush(&t);
		t.now += 100;
	}
	assert_true(t.seen[1] > 3000); /* 50 at the rate */
	(void)drain(&t);
	check_all_seen(&t);
	bed_fini(&t);
}

static void pace__too_many_sessions__others_do_not_wait(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t);
	for (uint32_t i = 0; i < SESSIONS; i++)
		assert_true(make(&t, i, 5, 20, lw_pace_mark(1, RATE)));
	flush(&t);
	/* no run is cut into pieces that are smaller than LW_PACE_PIECE_MIN */
	for (uint32_t i = 0; i < SESSIONS; i++)
		assert_int_equal(t.seen[i], i < LW_PACE_SESSIONS ? 4 : 5);
	(void)drain(&t);
	/* the places are free again */
	t.now += 1000;
	assert_true(make(&t, 99, 5, LEN, lw_pace_mark(1, RATE)));
	flush(&t);
	assert_int_equal(t.seen[99], 9);
	(void)drain(&t);
	check_all_seen(&t);
	bed_fini(&t);
}

/* Sockets that are full, kernels without memory, runs that must be cut: each datagram once, in the
 * order of its session. */
static void pace__faults_of_sockets__each_datagram_once(void **state)
{
	struct bed t;

	(void)state;
	bed_init(&t);
	t.faults = true;
	for (int i = 0; i < 20000; i++) {
		uint32_t session = (uint32_t)(test_random(&t.seed) % 6);
		uint32_t n = 1 + (uint32_t)(test_random(&t.seed) % 40);
		uint32_t last = 12 + (uint32_t)(test_random(&t.seed) % (LEN - 11));
		uint32_t segs = 1 + (uint32_t)(test_random(&t.seed) % 60);
		uint32_t rate = (uint32_t)(test_random(&t.seed) % 200000);

		(void)make(&t, session, n, last,
		           session < 3 || i % 16 == 0 ? 0 : lw_pace_mark(segs, rate));
		if (test_random(&t.seed) % 4 == 0)
			lw_sender_unblock(&t.sender, 7);
		if (test_random(&t.seed) % 2 == 0)
			flush(&t);
		t.now += test_random(&t.seed) % 400;
	}
	(void)drain(&t);
	check_all_seen(&t);
	assert_true(t.sender.spaced > 1000 && t.sender.cut > 100 && t.sender.nobufs_bytes > 0);
	bed_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pace__not_marked__all_leaves_at_once),
		cmocka_unit_test(pace__marked_run__leaves_in_pieces_at_the_rate),
		cmocka_unit_test(pace__next_run__waits_for_the_one_before),
		cmocka_unit_test(pace__late_timer__rate_is_kept),
		cmocka_unit_test(pace__slow_rate__nothing_waits_longer_than_the_spread),
		cmocka_unit_test(pace__order__kept_within_a_session),
		cmocka_unit_test(pace__piece_that_stays__cannot_be_joined),
		cmocka_unit_test(pace__too_much_waits__leaves_at_once),
		cmocka_unit_test(pace__too_many_sessions__others_do_not_wait),
		cmocka_unit_test(pace__faults_of_sockets__each_datagram_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The bursts of sessions in a path: who is limited, what waits, and what that does to others. */
#include <errno.h>

#include "unit/path_super.h"
#include "unit/test.h"

#define SEGS 60u

/* a path whose UDP port grants bursts of so many datagrams */
static struct path_bed *burst_bed(uint32_t role, uint32_t burst)
{
	struct path_bed *b = super_bed(role, 63);

	bed_udp_port(b)->caps.burst = burst;
	return b;
}

static uint32_t datagrams_of(const struct bed_item *item)
{
	return item->gso_size == 0 ? 1 : (item->len + item->gso_size - 1) / item->gso_size;
}

/* Datagrams of a peer that have left, which must be in no run of more than `most`. */
static uint32_t left(const struct path_bed *b, const struct bed_peer *peer, uint32_t most)
{
	uint32_t n = 0;

	for (const struct bed_item *item = b->udp_out.head; item != NULL; item = item->next) {
		if (item->tag != peer->tag)
			continue;
		assert_in_range(datagrams_of(item), 1, most);
		n += datagrams_of(item);
	}
	return n;
}

static void pass_time(struct path_bed *b, uint64_t us)
{
	b->now += us;
	b->w.now_us = b->now;
}

/* Until nothing waits any more; how long that took. */
static uint64_t drain(struct path_bed *b)
{
	uint64_t began = b->now;

	while (lw_path_deadline(&b->path) != UINT64_MAX) {
		uint64_t next = lw_path_deadline(&b->path);

		assert_true(next - began < 1000000);
		pass_time(b, next > b->now ? next - b->now : 0);
		lw_path_flush(&b->path, b->now);
	}
	return b->now - began;
}

static void limit(struct bed_peer *peer, uint32_t datagrams)
{
	struct lw_port *port = peer->t->port;

	port->bursts[peer->t->burst.limit]--;
	peer->t->burst.limit = datagrams;
	port->bursts[datagrams]++;
}

static void bursts__no_limit__leaves_as_it_comes(void **state)
{
	static const uint32_t granted[] = { 0, 63 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct path_bed *b = burst_bed(LW_ROLE_SERVER, granted[i]);
		struct bed_peer *peer = bed_join(b, false);

		push_super(b, peer, SEGS, 10);
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		assert_int_equal(left(b, peer, 63), SEGS);
		assert_int_equal(lw_path_deadline(&b->path), UINT64_MAX);
		assert_int_equal(lw_port_bursts(bed_udp_port(b)).least, 63);
		assert_int_equal(lw_port_bursts(bed_udp_port(b)).limited, 0);
		bed_destroy(b);
	}
}

/* Both roles, DTLS and Expresslane: short runs, spaced, complete and in order. */
static void bursts__limited__spaced_and_complete(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		uint32_t most = i < 4 ? 8 : 2; /* less than a piece has at least */
		struct path_bed *b = burst_bed(i % 2 ? LW_ROLE_CLIENT : LW_ROLE_SERVER, most);
		struct bed_peer *peer = i % 4 < 2 ? bed_join(b, false) : bed_join_lane(b);

		push_super(b, peer, SEGS, 10);
		(void)bed_from_inside(b);
		assert_int_equal(left(b, peer, most), most);
		assert_int_equal(lw_port_bursts(bed_udp_port(b)).least, most);
		assert_int_equal(lw_port_bursts(bed_udp_port(b)).limited, 1);
		assert_in_range(drain(b), LW_PACE_SPREAD_US / 2, LW_PACE_SPREAD_US * 3 / 2);
		assert_int_equal(left(b, peer, most), SEGS);
		assert_int_equal(bed_counter(b, "outside_tx_spaced"), (SEGS - 1) / most);
		bed_deliver(b);
		check_all(b, peer, SEGS, 10);
		bed_destroy(b);
	}
}

/* It counts from when it is online, and not on a stream. */
static void bursts__session_comes_online__has_its_limit(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct path_bed *b = burst_bed(LW_ROLE_SERVER, 8);
		struct bed_peer *peer = bed_join_pending(b, stream == 1);

		assert_int_equal(lw_port_bursts(bed_udp_port(b)).limited, 0);
		bed_answer(b, peer, LW_AUTH_YES);
		assert_int_equal(peer->t->state, LW_TUNNEL_ONLINE);
		assert_int_equal(lw_port_bursts(bed_udp_port(b)).limited, 1 - stream);
		assert_int_equal(peer->t->burst.limit, stream ? 63 : 8);
		bed_destroy(b);
	}
}

/* Of two sessions the other one sends at once, and a server goes on reading. */
static void bursts__one_is_limited__others_do_not_wait(void **state)
{
	struct path_bed *b = burst_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *slow = bed_join(b, false);
	struct bed_peer *fast = bed_join(b, false);

	(void)state;
	limit(slow, 8);
	push_super(b, slow, SEGS, 10);
	push_super(b, fast, SEGS, 10);
	(void)bed_from_inside(b);
	assert_int_equal(left(b, slow, 8), 8);
	assert_int_equal(left(b, fast, 63), SEGS);
	assert_false(lw_path_paused(&b->path));
	assert_int_equal(lw_port_bursts(bed_udp_port(b)).limited, 1);
	(void)drain(b);
	bed_deliver(b);
	check_all(b, slow, SEGS, 10);
	check_all(b, fast, SEGS, 10);
	bed_destroy(b);
}

/* A client's device waits instead; all of it arrives. */
static void bursts__much_waits__a_client_reads_no_more(void **state)
{
	struct path_bed *b = burst_bed(LW_ROLE_CLIENT, 8);
	struct bed_peer *peer = bed_join(b, false);
	uint32_t rounds = 0;

	(void)state;
	for (int i = 0; i < 24; i++)
		push_super(b, peer, 40, MSS);
	(void)bed_from_inside(b);
	assert_true(lw_path_paused(&b->path));
	while (b->inside_in.n > 0 || b->path.next < b->path.out->n || b->udp_out.n < 120) {
		assert_true(rounds++ < 1000);
		(void)drain(b);
		(void)bed_from_inside(b);
	}
	(void)drain(b);
	assert_int_equal(left(b, peer, 8), 24 * 40);
	assert_int_equal(bed_counter(b, "sink_full"), 0);
	bed_deliver(b);
	assert_int_equal(peer->got.n, 24 * 40);
	bed_destroy(b);
}

/* What a session has sent leaves after its end, the goodbye last. */
static void bursts__session_ends__what_waits_still_leaves(void **state)
{
	struct path_bed *b = burst_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *peer = bed_join(b, false);
	uint32_t n;

	(void)state;
	limit(peer, 8);
	push_super(b, peer, SEGS, 10);
	(void)bed_from_inside(b);
	n = b->udp_out.n;
	lw_path_close(&b->path, peer->t, b->now);
	lw_path_flush(&b->path, b->now);
	assert_int_equal(lw_port_bursts(bed_udp_port(b)).limited, 0);
	assert_int_equal(b->udp_out.n, n);
	(void)drain(b);
	assert_true(left(b, peer, 8) > SEGS);
	assert_true(datagrams_of(b->udp_out.tail) < 8); /* the goodbye */
	bed_destroy(b);
}

/* Bytes that pass again, for seconds: that session shrinks, the other does not. */
static void bursts__inside_stream_repeats_itself__only_its_session_shrinks(void **state)
{
	struct path_bed *b = burst_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *bad = bed_join(b, false);
	struct bed_peer *good = bed_join(b, false);
	static uint8_t buf[1 << 16];

	(void)state;
	for (uint32_t i = 0; i < 1500; i++) {
		push_super(b, bad, SEGS, MSS); /* always the same bytes */
		bed_tcp_packet(buf, 40040, BED_HOST, good->address, i * 40000, 'g');
		(void)bed_push(&b->inside_in, buf, 40040);
		(void)bed_from_inside(b);
		pass_time(b, 1000);
		bed_deliver(b);
		while (bad->got.n > 0)
			free(bed_pop(&bad->got));
		while (good->got.n > 0)
			free(bed_pop(&good->got));
	}
	assert_true(bad->t->burst.limit < LW_BURST_MAX);
	assert_int_equal(good->t->burst.limit, LW_BURST_MAX);
	assert_true(bed_counter(b, "bursts_shrunk") >= 1);
	assert_int_equal(lw_port_bursts(bed_udp_port(b)).limited, 1);
	assert_int_equal(lw_port_bursts(bed_udp_port(b)).least, bad->t->burst.limit);
	bed_destroy(b);
}

/* The kernel's want of memory is told to the session whose packet it was, once. */
static void bursts__kernel_without_memory__told_to_its_session(void **state)
{
	struct path_bed *b = burst_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *one = bed_join(b, false);
	struct bed_peer *two = bed_join(b, false);

	(void)state;
	b->udp_script.steps[0] = (struct bed_step){ -ENOBUFS, 0 };
	b->udp_script.n = 1;
	push_super(b, one, SEGS, MSS);
	(void)bed_from_inside(b);
	(void)drain(b);
	push_super(b, two, SEGS, MSS);
	(void)bed_from_inside(b);
	assert_int_equal(two->t->burst.lost, 0);
	push_super(b, one, SEGS, MSS);
	(void)bed_from_inside(b);
	/* a run has 60 datagrams, of 1,000 bytes and what DTLS and we add, and they came again */
	assert_in_range(one->t->burst.lost, 2 * SEGS * MSS, 2 * SEGS * MSS + SEGS * 120);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bursts__no_limit__leaves_as_it_comes),
		cmocka_unit_test(bursts__limited__spaced_and_complete),
		cmocka_unit_test(bursts__session_comes_online__has_its_limit),
		cmocka_unit_test(bursts__one_is_limited__others_do_not_wait),
		cmocka_unit_test(bursts__much_waits__a_client_reads_no_more),
		cmocka_unit_test(bursts__session_ends__what_waits_still_leaves),
		cmocka_unit_test(bursts__inside_stream_repeats_itself__only_its_session_shrinks),
		cmocka_unit_test(bursts__kernel_without_memory__told_to_its_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

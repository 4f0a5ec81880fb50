/* SPDX-License-Identifier: MIT */
/* When a worker wakes: tunnels' timers, full sockets, a paused inside, and nothing else. */
#include <errno.h>

#include "base/clock.h"
#include "unit/test.h"
#include "unit/worker_bed.h"

#define MS LW_US_PER_MS
#define S  LW_US_PER_S

/* How long the next round would wait, in ms; the call itself is interrupted. */
static int wait_of(struct worker_bed *b, uint64_t max_us)
{
	wb_calls.wait_error = EINTR;
	assert_int_equal(lw_core_round(&b->core, max_us), 0);
	return wb_calls.timeout_ms;
}

static void wait__nothing_to_do__as_long_as_it_may(void **state)
{
	static const struct {
		uint64_t max_us;
		int ms;
	} waits[] = { { 0, 0 },
		      { 1, 1 },
		      { 1000, 1 },
		      { 1001, 2 },
		      { 7000, 7 },
		      { 60 * S, 60000 },
		      { 61 * S, 60000 },
		      { 1ull << 40, 60000 },
		      { 1ull << 63, 60000 },
		      { UINT64_MAX, 60000 } };
	struct worker_bed *b = wb_create();

	(void)state;
	(void)wb_open(b, b->udp);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		assert_int_equal(wait_of(b, waits[i].max_us), waits[i].ms);
	wb_destroy(b);
}

static void wait__something_is_ready__not_at_all(void **state)
{
	struct worker_bed *b = wb_create();
	uint32_t tag = wb_open(b, b->udp);

	(void)state;
	wb_write(b, tag, 2);
	(void)wb_round(b);
	assert_int_equal(wait_of(b, 1 * S), 0);
	wb_destroy(b);
}

static void wait__a_timer__until_it_is_due(void **state)
{
	struct worker_bed *b = wb_create();
	struct wb_tunnel *wt;

	(void)state;
	(void)wb_tunnel(b, wb_open(b, b->tcp), 60 * S);
	wt = wb_tunnel(b, wb_open(b, b->tcp), 5 * S);
	(void)wb_round(b);
	assert_in_range(wait_of(b, 10 * S), 1, 5001);
	assert_int_equal(wait_of(b, 1 * MS), 1);
	wt->t->stale_at = lw_clock_us(); /* due, but not by the wheel before it is told */
	lw_path_after(&b->core.path, wt->t, &(struct lw_sink){ 0 });
	assert_in_range(wait_of(b, 10 * S), 0, 1);
	wb_destroy(b);
}

static void wait__epoll_fails__the_round_says_so(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	wb_calls.wait_error = EBADF;
	assert_int_equal(lw_core_round(&b->core, 0), -EBADF);
	assert_int_equal(lw_core_round(&b->core, 0), 0);
	wb_destroy(b);
}

/* --- timers --- */

static bool is_gone(void *arg)
{
	const struct wb_tunnel *wt = arg;

	return wt->t == NULL;
}

static void timer__due__tunnel_ends_not_before_its_time(void **state)
{
	struct worker_bed *b = wb_create();
	struct wb_tunnel *late = wb_tunnel(b, wb_open(b, b->tcp), 60 * S);
	struct wb_tunnel *wt = wb_tunnel(b, wb_open(b, b->tcp), 30 * MS);
	uint64_t due = wt->t->stale_at;

	(void)state;
	wb_rounds_until(b, is_gone, wt);
	assert_true(lw_clock_us() >= due);
	assert_int_equal(wt->reason, LW_CLOSE_STALE);
	assert_non_null(strstr(b->log, "closed1 x1 gone1 "));
	assert_non_null(late->t);
	wb_destroy(b);
}

/* A deadline that moves takes its timer with it, both ways, and away. */
static void timer__deadline_moves__fires_at_the_new_one_only(void **state)
{
	struct worker_bed *b = wb_create();
	struct wb_tunnel *sooner = wb_tunnel(b, wb_open(b, b->tcp), 60 * S);
	struct wb_tunnel *later = wb_tunnel(b, wb_open(b, b->tcp), 20 * MS);
	struct wb_tunnel *never = wb_tunnel(b, wb_open(b, b->tcp), 20 * MS);
	struct lw_sink k = { 0 };

	(void)state;
	sooner->t->stale_at = lw_clock_us() + 60 * MS;
	later->t->stale_at = lw_clock_us() + 60 * S;
	never->t->stale_at = UINT64_MAX;
	lw_path_after(&b->core.path, sooner->t, &k);
	lw_path_after(&b->core.path, later->t, &k);
	lw_path_after(&b->core.path, never->t, &k);
	assert_int_equal(b->core.wheel.n, 2);
	wb_rounds_until(b, is_gone, sooner);
	assert_non_null(later->t);
	assert_non_null(never->t);
	assert_int_equal(b->core.wheel.n, 1);
	assert_in_range(wait_of(b, 60 * S), 1000, 60000);
	wb_destroy(b);
}

/* The wheel rounds up and looks at coarse slots early: that must not be taken for the deadline. */
static void timer__not_yet_due__is_armed_again(void **state)
{
	struct worker_bed *b = wb_create();
	struct wb_tunnel *wt = wb_tunnel(b, wb_open(b, b->tcp), 30 * MS);

	(void)state;
	wt->t->stale_at = lw_clock_us() + 90 * MS; /* nobody told the worker */
	wb_rounds_until(b, is_gone, wt);
	assert_true(lw_clock_us() >= wt->timed.armed_us);
	assert_int_equal(wt->reason, LW_CLOSE_STALE);
	wb_destroy(b);
}

static void drop_all(struct worker_bed *b, struct wb_tunnel *wt)
{
	(void)wt;
	for (uint32_t i = 0; i < b->n_tunnels; i++) {
		if (b->tunnels[i].t != NULL)
			lw_path_drop(&b->core.path, b->tunnels[i].t);
	}
}

static void timer__first_of_many_ends_the_others__each_once(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	for (int i = 0; i < WB_TUNNELS; i++)
		(void)wb_tunnel(b, wb_open(b, b->tcp), 10 * MS);
	b->on_closed = drop_all;
	wb_rounds_until(b, is_gone, &b->tunnels[0]);
	for (uint32_t i = 0; i < WB_TUNNELS; i++) {
		assert_null(b->tunnels[i].t);
		assert_int_equal(b->socks[i].fd, -1);
	}
	assert_int_equal(b->core.wheel.n, 0);
	assert_int_equal(b->core.path.sessions.n[LW_CTR_SESSIONS_CLOSED], WB_TUNNELS);
	wb_destroy(b);
}

/* --- a full socket and the inside --- */

struct paused_case {
	const char *name;
	bool edge; /* the far end reads */
	uint32_t insides;
};

static const struct paused_case paused_cases[] = {
	{ "edge", true, 1 },
	{ "no edge", false, 1 },
	{ "edge, two queues", true, 2 },
	{ "no edge, two queues", false, 2 },
};

static bool inside_was_read(void *arg)
{
	const struct worker_bed *b = arg;

	return b->socks[1].served > 0;
}

/* false: this machine held us up for longer than a datagram may wait */
static bool pause_and_go_on(const struct paused_case *c)
{
	struct worker_bed *b = wb_create();
	uint32_t udp = wb_open(b, b->udp);
	const struct lw_sender *sender = &b->core.path.ports[0].sender;
	uint32_t waits;
	bool in_time;

	for (uint32_t n = 0; n < c->insides; n++)
		wb_write(b, wb_open(b, b->inside), 1);
	wb_fill(b, udp);
	wb_queue(b, udp);
	lw_path_flush(&b->core.path, lw_clock_us());
	assert_true(lw_path_paused(&b->core.path));
	(void)wb_round(b);
	(void)wait_of(b, 1 * S);
	in_time = b->core.now_us < sender->blocked_since_us + LW_SEND_WAIT_US;
	if (in_time) {
		assert_string_equal(b->log, "");             /* it is not read, and */
		assert_in_range(wb_calls.timeout_ms, 1, 20); /* no reason to hurry */
		waits = wb_calls.waits;
		if (c->edge)
			(void)wb_drain(b, udp);
		wb_rounds_until(b, inside_was_read, b);
		in_time = !c->edge || sender->dropped == 0;
		assert_int_equal(sender->dropped, in_time && c->edge ? 0 : 1);
		assert_int_equal(wb_calls.waits - waits, 1);
		assert_false(lw_path_paused(&b->core.path));
	}
	wb_destroy(b);
	return in_time;
}

static void paused__inside_has_packets__sleeps_until_the_socket_or_20_ms(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(paused_cases) / sizeof(paused_cases[0]); i++) {
		int tries = 0;

		print_message("  %s\n", paused_cases[i].name);
		while (!pause_and_go_on(&paused_cases[i]))
			assert_true(++tries < 100);
	}
}

static void blocked__kernel_without_buffers__tries_again_in_a_millisecond(void **state)
{
	struct worker_bed *b = wb_create();
	uint32_t udp = wb_open(b, b->udp);
	struct lw_sender *sender = &b->core.path.ports[0].sender;

	(void)state;
	wb_queue(b, udp);
	sender->blocked = true; /* as after -ENOBUFS */
	sender->blocked_tag = udp;
	sender->blocked_since_us = lw_clock_us();
	sender->retry_at_us = sender->blocked_since_us + LW_SEND_RETRY_US;
	assert_in_range(wait_of(b, 1 * S), 0, 1);
	while (sender->blocked)
		assert_int_equal(lw_core_round(&b->core, 1 * S), 0);
	assert_int_equal(wb_drain(b, udp), 1);
	assert_false(wb_writing(b, udp));
	wb_destroy(b);
}

/* What is spaced does not wait for whole milliseconds; before Linux 5.11 it does. */
static void spaced__a_piece_waits__until_it_is_due(void **state)
{
	(void)state;
	for (int in_ms = 0; in_ms < 2; in_ms++) {
		struct worker_bed *b = wb_create();
		uint32_t udp = wb_open(b, b->udp);
		struct lw_sender *sender = &b->core.path.ports[0].sender;

		b->core.waits_in_ms = in_ms == 1;
		assert_int_equal(lw_pace_create(&sender->pace), 0);
		for (int i = 0; i < 2; i++) {
			wb_queue(b, udp);
			sender->wire->pkt[sender->wire->n - 1].core[2] = lw_pace_mark(8, 1);
		}
		lw_path_flush(&b->core.path, lw_clock_us());
		assert_int_equal(wb_drain(b, udp), 1);
		assert_in_range(wait_of(b, 1 * S), 0, 10);
		if (in_ms == 1)
			assert_int_equal(wb_calls.timeout_us % 1000, 0);
		while (lw_pace_bytes(sender->pace) > 0)
			assert_int_equal(lw_core_round(&b->core, 1 * S), 0);
		assert_int_equal(wb_drain(b, udp), 1);
		wb_destroy(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wait__nothing_to_do__as_long_as_it_may),
		cmocka_unit_test(wait__something_is_ready__not_at_all),
		cmocka_unit_test(wait__a_timer__until_it_is_due),
		cmocka_unit_test(wait__epoll_fails__the_round_says_so),
		cmocka_unit_test(timer__due__tunnel_ends_not_before_its_time),
		cmocka_unit_test(timer__deadline_moves__fires_at_the_new_one_only),
		cmocka_unit_test(timer__not_yet_due__is_armed_again),
		cmocka_unit_test(timer__first_of_many_ends_the_others__each_once),
		cmocka_unit_test(paused__inside_has_packets__sleeps_until_the_socket_or_20_ms),
		cmocka_unit_test(blocked__kernel_without_buffers__tries_again_in_a_millisecond),
		cmocka_unit_test(spaced__a_piece_waits__until_it_is_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

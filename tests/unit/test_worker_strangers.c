/* SPDX-License-Identifier: MIT */
/* When a worker serves strangers: after all others, and how much of its time; time is the test's.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/test.h"
#include "unit/worker_bed.h"

#define COST_US 100

static uint64_t clock_us;
static uint64_t away_us;      /* of it, time that others had the processor */
static uint64_t strangers_us; /* spent on them */
static uint32_t few;          /* turns of theirs that were to be short */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t us = id == CLOCK_THREAD_CPUTIME_ID ? clock_us - away_us : clock_us;

	if (id != CLOCK_MONOTONIC && id != CLOCK_THREAD_CPUTIME_ID)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = (time_t)(us / LW_US_PER_S);
	ts->tv_nsec = (long)(us % LW_US_PER_S) * 1000;
	return 0;
}

static void cost(struct worker_bed *b, uint32_t tag)
{
	(void)tag;
	clock_us += COST_US;
	strangers_us += COST_US;
	few += b->core.few_strangers;
}

static void cost_and_wait(struct worker_bed *b, uint32_t tag)
{
	cost(b, tag);
	clock_us += LW_US_PER_S;
	away_us += LW_US_PER_S;
}

static void cost_of_session(struct worker_bed *b, uint32_t tag)
{
	(void)tag;
	clock_us += 10;
	assert_false(b->core.few_strangers);
}

static struct worker_bed *begin(void)
{
	clock_us = 1000000;
	away_us = 0;
	strangers_us = 0;
	few = 0;
	return wb_create();
}

static uint32_t open_strangers(struct worker_bed *b)
{
	uint32_t tag = wb_open_strangers(b);

	b->socks[tag].on_serve = cost;
	return tag;
}

static void strangers__nobody_else__served_all_the_time(void **state)
{
	struct worker_bed *b = begin();
	uint32_t tag = open_strangers(b);

	(void)state;
	wb_write(b, tag, 3);
	for (int i = 0; i < 4; i++) {
		assert_string_equal(wb_round(b), "?0 ");
		assert_int_equal(wb_calls.timeout_us, 0);
	}
	assert_string_equal(wb_round(b), "");
	assert_int_equal(few, 0);
	wb_destroy(b);
}

static void strangers__came_first__served_behind_all_others(void **state)
{
	struct worker_bed *b = begin();

	(void)state;
	wb_write(b, open_strangers(b), 9);
	assert_string_equal(wb_round(b), "?0 ");
	clock_us += LW_US_PER_S;
	wb_write(b, wb_open(b, b->udp), 1);
	wb_write(b, wb_open(b, b->inside), 1);
	assert_string_equal(wb_round(b), "u1 i2 ?0 ");
	assert_int_equal(few, 1);
	wb_destroy(b);
}

/* Whoever has sessions to serve all the time spends a twentieth of it on strangers, however many.
 */
static void strangers__worker_is_busy__a_twentieth_of_its_time(void **state)
{
	(void)state;
	for (uint32_t n = 1; n <= 3; n++) {
		struct worker_bed *b = begin();
		uint64_t from = clock_us;

		for (uint32_t i = 0; i < n; i++)
			b->socks[open_strangers(b)].answer = WB_MORE;
		wb_write(b, wb_open(b, b->udp), 1);
		for (uint32_t i = 0; i < n; i++)
			wb_write(b, i, 1);
		b->socks[n].answer = WB_MORE;
		b->socks[n].on_serve = cost_of_session;
		while (clock_us < from + LW_US_PER_S)
			(void)wb_round(b);
		assert_in_range(strangers_us * 1000 / (clock_us - from), 47, 51);
		assert_int_equal(few * COST_US, strangers_us);
		wb_destroy(b);
	}
}

/* how long the next round would wait, in us; the call itself is interrupted */
static int64_t wait_of(struct worker_bed *b)
{
	wb_calls.wait_error = EINTR;
	assert_int_equal(lw_core_round(&b->core, LW_US_PER_S), 0);
	return wb_calls.timeout_us;
}

static void strangers__session_comes_between__wait_for_their_turn(void **state)
{
	struct worker_bed *b = begin();

	(void)state;
	wb_write(b, open_strangers(b), 9);
	(void)wb_open(b, b->udp);
	assert_string_equal(wb_round(b), "?0 ");
	wb_write(b, 1, 1);
	assert_string_equal(wb_round(b), "u1 ");
	assert_string_equal(wb_round(b), "u1 "); /* finds nothing */
	clock_us += 19 * COST_US - 1;
	assert_string_equal(wb_round(b), "");
	assert_int_equal(wait_of(b), 1000); /* rounded up; they are why it ends so soon */
	clock_us += 1;
	assert_int_equal(wait_of(b), 0);
	assert_string_equal(b->log, "?0 ");
	assert_int_equal(few, 1);
	wb_destroy(b);
}

static void cost_of_peer(struct worker_bed *b, uint32_t tag)
{
	cost(b, tag);
	b->core.strangers_welcome = true;
}

/* Who comes in is no flood, and pays for those of the same turn: the next one is not put off. */
static void strangers__one_comes_in__the_next_turn_is_at_once(void **state)
{
	struct worker_bed *b = begin();
	uint32_t tag = open_strangers(b);

	(void)state;
	b->socks[tag].answer = WB_MORE;
	wb_write(b, tag, 9);
	(void)wb_open(b, b->udp);
	wb_write(b, 1, 1);
	b->socks[1].answer = WB_MORE;
	b->socks[1].on_serve = cost_of_session;
	assert_string_equal(wb_round(b), "u1 ?0 ");
	assert_string_equal(wb_round(b), "u1 ");
	clock_us += 19 * COST_US;
	b->socks[tag].on_serve = cost_of_peer;
	for (int i = 0; i < 3; i++)
		assert_string_equal(wb_round(b), "u1 ?0 ");
	b->socks[tag].on_serve = cost;
	assert_string_equal(wb_round(b), "u1 ?0 ");
	assert_string_equal(wb_round(b), "u1 ");
	wb_destroy(b);
}

/* They may share a processor. */
static void strangers__another_worker_is_busy__a_twentieth_here_too(void **state)
{
	static struct lw_core peers[2];
	struct worker_bed *b = begin();

	(void)state;
	wb_write(b, open_strangers(b), 9);
	b->core.peers = peers;
	b->core.n_peers = 2;
	peers[1].busy_until_us = clock_us + 5 * LW_US_PER_MS;
	assert_string_equal(wb_round(b), "?0 ");
	assert_int_equal(few, 1);
	assert_string_equal(wb_round(b), "");
	clock_us += 19 * COST_US;
	assert_string_equal(wb_round(b), "?0 ");
	assert_string_equal(wb_round(b), "");
	clock_us += 5 * LW_US_PER_MS;
	for (int i = 0; i < 3; i++)
		assert_string_equal(wb_round(b), "?0 ");
	assert_int_equal(few, 2);
	wb_destroy(b);
}

/* A flood must not wake a worker for each datagram that it will not look at. */
static void strangers__more_come_while_they_wait__nobody_is_woken(void **state)
{
	struct worker_bed *b = begin();
	uint32_t tag = open_strangers(b);

	(void)state;
	wb_write(b, tag, 1);
	wb_write(b, wb_open(b, b->udp), 1);
	assert_string_equal(wb_round(b), "u1 ?0 ");
	(void)wb_round(b);
	for (int i = 0; i < 3; i++) {
		wb_write(b, tag, 1);
		assert_string_equal(wb_round(b), "");
		assert_int_equal(wb_calls.n_events, 0);
	}
	clock_us += 19 * COST_US;
	for (int i = 0; i < 4; i++) {
		assert_string_equal(wb_round(b), "?0 "); /* the last time nothing is left */
		clock_us += 19 * COST_US;
	}
	wb_write(b, tag, 1);
	assert_string_equal(wb_round(b), "?0 ");
	assert_int_equal(wb_calls.n_events, 1);
	wb_destroy(b);
}

static void strangers__sessions_are_silent_again__served_all_the_time(void **state)
{
	struct worker_bed *b = begin();
	uint32_t session = wb_open(b, b->udp);

	(void)state;
	wb_write(b, session, 1);
	(void)wb_round(b);
	assert_string_equal(wb_round(b), "u0 "); /* the last time */
	clock_us += 10 * LW_US_PER_MS - 1;
	wb_write(b, open_strangers(b), 9);
	assert_string_equal(wb_round(b), "?1 ");
	assert_int_equal(few, 1);
	for (int i = 0; i < 3; i++)
		assert_string_equal(wb_round(b), "?1 ");
	assert_int_equal(few, 1);
	wb_destroy(b);
}

static void strangers__processor_was_away__is_not_held_against_them(void **state)
{
	struct worker_bed *b = begin();
	uint32_t tag = open_strangers(b);

	(void)state;
	b->socks[tag].on_serve = cost_and_wait;
	wb_write(b, tag, 9);
	wb_write(b, wb_open(b, b->udp), 9);
	assert_string_equal(wb_round(b), "u1 ?0 ");
	clock_us += 19 * COST_US - 1;
	assert_string_equal(wb_round(b), "u1 ");
	clock_us += 1;
	assert_string_equal(wb_round(b), "u1 ?0 ");
	wb_destroy(b);
}

static void shut_next(struct worker_bed *b, uint32_t tag)
{
	wb_shut(b, tag + 1);
}

static void strangers__their_socket_is_unwatched__not_served_any_more(void **state)
{
	struct worker_bed *b = begin();

	(void)state;
	for (int i = 0; i < 4; i++)
		wb_write(b, wb_open_strangers(b), 5);
	b->socks[0].on_serve = shut_next;
	b->socks[2].on_serve = shut_next; /* the last */
	assert_string_equal(wb_round(b), "?0 ?2 ");
	b->socks[0].on_serve = NULL;
	b->socks[2].on_serve = NULL;
	assert_string_equal(wb_round(b), "?0 ?2 ");
	wb_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strangers__nobody_else__served_all_the_time),
		cmocka_unit_test(strangers__came_first__served_behind_all_others),
		cmocka_unit_test(strangers__worker_is_busy__a_twentieth_of_its_time),
		cmocka_unit_test(strangers__session_comes_between__wait_for_their_turn),
		cmocka_unit_test(strangers__one_comes_in__the_next_turn_is_at_once),
		cmocka_unit_test(strangers__another_worker_is_busy__a_twentieth_here_too),
		cmocka_unit_test(strangers__more_come_while_they_wait__nobody_is_woken),
		cmocka_unit_test(strangers__sessions_are_silent_again__served_all_the_time),
		cmocka_unit_test(strangers__processor_was_away__is_not_held_against_them),
		cmocka_unit_test(strangers__their_socket_is_unwatched__not_served_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

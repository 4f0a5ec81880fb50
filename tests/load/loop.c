/* SPDX-License-Identifier: MIT */
/* All are begun, stay a while, and are closed. */
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/clock.h"
#include "load/load.h"

#define EVENTS 256
/* longest wait of a round: a signal is seen by then */
#define WAIT_MAX_US (100 * LW_US_PER_MS)
/* for answers that are on their way when sending ends */
#define DRAIN_US (500 * LW_US_PER_MS)
/* at the end, so that the farewells of thousands do not flood the server's socket */
#define CLOSES_PER_MS 8

volatile int load_told_to_end;

static uint64_t thread_cpu_us(void)
{
	return lw_clock_read(CLOCK_THREAD_CPUTIME_ID);
}

static void expire(struct load *l)
{
	struct lw_timer *t;

	while ((t = lw_wheel_expire(&l->wheel, l->now_us)) != NULL) {
		struct load_timer *lt = (struct load_timer *)(void *)t;

		if (lt->work)
			load_work_do(l, lt->client, true);
		else
			load_client_tick(l, lt->client);
	}
}

/* One round, which waits at most until then. */
static void round_until(struct load *l, uint64_t until_us)
{
	struct epoll_event events[EVENTS];
	uint64_t timer_us = lw_wheel_next_us(&l->wheel);
	uint64_t wait_us;
	int n;

	l->now_us = lw_clock_us();
	until_us = timer_us < until_us ? timer_us : until_us;
	wait_us = until_us > l->now_us ? until_us - l->now_us : 0;
	if (wait_us > WAIT_MAX_US)
		wait_us = WAIT_MAX_US;
	n = epoll_wait(l->epfd, events, EVENTS, (int)((wait_us + 999) / LW_US_PER_MS));
	l->now_us = lw_clock_us();
	for (int i = 0; i < n; i++)
		load_client_ready(l, events[i].data.ptr, events[i].events);
	expire(l);
}

/* --- connect --- */

/* When the next client may begin by the rate; now where there is none. */
static uint64_t next_begins_us(const struct load *l)
{
	return l->o->rate > 0 ? l->began_us + l->next * LW_US_PER_S / l->o->rate : 0;
}

static bool may_begin(const struct load *l)
{
	return l->next < l->o->clients && l->counts.on_their_way < l->o->concurrent &&
	       next_begins_us(l) <= l->now_us;
}

static void connect_all(struct load *l, uint64_t until_us)
{
	while ((l->next < l->o->clients || l->counts.on_their_way > 0) && !load_told_to_end &&
	       l->now_us < until_us) {
		uint64_t next = until_us;

		while (may_begin(l))
			load_client_begin(l, &l->clients[l->next++]);
		if (l->next < l->o->clients && l->counts.on_their_way < l->o->concurrent)
			next = next_begins_us(l);
		round_until(l, next < until_us ? next : until_us);
	}
}

/* --- hold, close --- */

static void wait_until(struct load *l, uint64_t until_us)
{
	while (!load_told_to_end && l->now_us < until_us)
		round_until(l, until_us);
}

static void close_all(struct load *l)
{
	for (uint32_t i = 0; i < l->next; i++) {
		load_client_close(l, &l->clients[i]);
		if (i % CLOSES_PER_MS == CLOSES_PER_MS - 1)
			round_until(l, l->now_us + LW_US_PER_MS);
	}
}

static void span_begin(struct load_span *s)
{
	s->wall_us = lw_clock_us();
	s->cpu_us = thread_cpu_us();
}

static void span_end(struct load_span *s)
{
	s->wall_us = lw_clock_us() - s->wall_us;
	s->cpu_us = thread_cpu_us() - s->cpu_us;
}

/* who watches waits for these words */
static void say(const struct load *l, const char *what)
{
	(void)fprintf(stderr, "load: %s: %llu online, %llu failed\n", what,
	              (unsigned long long)l->counts.online, (unsigned long long)l->counts.failed);
}

static void hold(struct load *l, uint64_t until_us)
{
	struct load_stranger_thread *strangers = NULL;
	struct lw_err err;

	if (l->o->spoof > 0 && load_strangers_start(l, &strangers, &err) < 0) {
		(void)fprintf(stderr, "load: %s\n", err.text);
		return;
	}
	load_work_begin(l);
	wait_until(l, until_us);
	load_strangers_stop(strangers);
	l->holding = false;
}

void load_run(struct load *l)
{
	uint64_t until_us;
	uint64_t end_us;

	l->now_us = lw_clock_us();
	l->began_us = l->now_us;
	end_us = l->now_us + l->o->seconds * LW_US_PER_S;
	say(l, "begins");
	span_begin(&l->connecting);
	connect_all(l, end_us);
	span_end(&l->connecting);
	say(l, "connected");
	wait_until(l, l->now_us + l->o->wait_ms * LW_US_PER_MS);
	span_begin(&l->held);
	until_us = l->now_us + l->o->hold_s * LW_US_PER_S;
	if (l->o->hold_s > 0)
		hold(l, until_us < end_us ? until_us : end_us);
	span_end(&l->held);
	if (l->o->probe_ms > 0)
		wait_until(l, l->now_us + DRAIN_US);
	say(l, "closes");
	close_all(l);
}

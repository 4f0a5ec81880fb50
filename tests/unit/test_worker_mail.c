/* SPDX-License-Identifier: MIT */
/* Mailboxes, the worker's thread, and helpers. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/test.h"
#include "unit/worker_bed.h"
#include "worker/helper.h"

#define THREADS 4u
#define MAILS   20000u

int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

static int fail_thread; /* the how manyth from now on cannot be made, 0: none */

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
	if (fail_thread > 0 && --fail_thread == 0)
		return EAGAIN;
	return __real_pthread_create(ret, attr, fn, arg);
}

/* --- a counter that threads can wait for --- */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	uint32_t n;
};

static void gate_init(struct gate *g)
{
	*g = (struct gate){ .n = 0 };
	assert_int_equal(pthread_mutex_init(&g->lock, NULL), 0);
	assert_int_equal(pthread_cond_init(&g->moved, NULL), 0);
}

static void gate_fini(struct gate *g)
{
	(void)pthread_cond_destroy(&g->moved);
	(void)pthread_mutex_destroy(&g->lock);
}

static void gate_step(struct gate *g)
{
	(void)pthread_mutex_lock(&g->lock);
	g->n++;
	(void)pthread_cond_broadcast(&g->moved);
	(void)pthread_mutex_unlock(&g->lock);
}

/* Waits until at least n steps were made; false after WB_WAIT_S. */
static bool gate_wait(struct gate *g, uint32_t n)
{
	struct timespec end;
	bool there;

	(void)clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += WB_WAIT_S;
	(void)pthread_mutex_lock(&g->lock);
	while (g->n < n && pthread_cond_timedwait(&g->moved, &g->lock, &end) == 0)
		;
	there = g->n >= n;
	(void)pthread_mutex_unlock(&g->lock);
	return there;
}

/* --- mailboxes --- */

struct numbered {
	struct lw_mail mail; /* first */
	struct reader *reader;
	uint32_t from;
	uint32_t number;
};

struct reader {
	struct lw_mailbox mb;
	uint32_t next[THREADS]; /* number that is expected of each sender */
	uint32_t wrong;
	pthread_t thread;
	pthread_barrier_t begin; /* all at once */
};

static void take_number(struct lw_mail *m)
{
	struct numbered *n = (struct numbered *)(void *)m;

	if (n->number != n->reader->next[n->from])
		n->reader->wrong++;
	if (!pthread_equal(pthread_self(), n->reader->thread))
		n->reader->wrong++;
	n->reader->next[n->from] = n->number + 1;
	free(n);
}

struct sender {
	struct reader *reader;
	uint32_t from;
};

static void *send_numbers(void *arg)
{
	struct sender *s = arg;

	(void)pthread_barrier_wait(&s->reader->begin);
	for (uint32_t i = 0; i < MAILS; i++) {
		struct numbered *n = calloc(1, sizeof(*n));

		if (n == NULL)
			abort();
		*n = (struct numbered){ .mail = { .deliver = take_number },
			                .reader = s->reader,
			                .from = s->from,
			                .number = i };
		lw_mailbox_post(&s->reader->mb, &n->mail);
	}
	return NULL;
}

static bool all_came(const struct reader *r)
{
	for (uint32_t i = 0; i < THREADS; i++) {
		if (r->next[i] < MAILS)
			return false;
	}
	return true;
}

static void mailbox__several_senders__each_in_its_order_on_the_readers_thread(void **state)
{
	struct reader r = { .thread = pthread_self() };
	struct sender senders[THREADS];
	pthread_t threads[THREADS];
	uint64_t end = lw_clock_us() + WB_WAIT_S * LW_US_PER_S;

	(void)state;
	assert_int_equal(lw_mailbox_init(&r.mb), 0);
	assert_int_equal(pthread_barrier_init(&r.begin, NULL, THREADS), 0);
	for (uint32_t i = 0; i < THREADS; i++) {
		senders[i] = (struct sender){ .reader = &r, .from = i };
		assert_int_equal(pthread_create(&threads[i], NULL, send_numbers, &senders[i]), 0);
	}
	while (!all_came(&r) && lw_clock_us() < end)
		lw_mailbox_deliver(&r.mb);
	for (uint32_t i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	assert_true(all_came(&r));
	assert_int_equal(r.wrong, 0);
	(void)pthread_barrier_destroy(&r.begin);
	lw_mailbox_fini(&r.mb);
}

struct again {
	struct lw_mail mail; /* first */
	struct lw_mailbox *mb;
	uint32_t times;
};

static void send_again(struct lw_mail *m)
{
	struct again *a = (struct again *)(void *)m;

	a->times++;
	lw_mailbox_post(a->mb, m);
}

static void mailbox__sent_again_from_its_delivery__comes_next_time(void **state)
{
	struct lw_mailbox mb;
	struct again a = { .mail = { .deliver = send_again }, .mb = &mb };

	(void)state;
	assert_int_equal(lw_mailbox_init(&mb), 0);
	lw_mailbox_deliver(&mb); /* nothing there: does not wait */
	lw_mailbox_post(&mb, &a.mail);
	for (uint32_t i = 1; i < 5; i++) {
		struct pollfd wake = { .fd = mb.fd, .events = POLLIN };

		lw_mailbox_deliver(&mb);
		assert_int_equal(a.times, i);
		assert_int_equal(poll(&wake, 1, 0), 1); /* the reader hears of it */
	}
	lw_mailbox_fini(&mb);
	assert_int_equal(mb.fd, -1);
	lw_mailbox_fini(&mb); /* harmless */
}

/* --- the worker's thread --- */

struct post {
	struct lw_mail mail; /* first */
	struct gate *gate;
	struct lw_core *stops;
};

static void on_post(struct lw_mail *m)
{
	struct post *p = (struct post *)(void *)m;

	if (p->stops != NULL)
		p->stops->stop = true;
	gate_step(p->gate);
}

static uint32_t told; /* of loops that ended by themselves */

static void on_ended(struct lw_mail *m)
{
	(void)m;
	told++;
}

/* Idle between mails it must sleep: each epoll_wait has a cause. */
static void core_thread__mails_come__wakes_for_each_and_sleeps_between(void **state)
{
	struct worker_bed *b = wb_create();
	struct lw_mailbox control;
	struct gate gate;
	struct post post[8];

	(void)state;
	told = 0;
	gate_init(&gate);
	assert_int_equal(lw_mailbox_init(&control), 0);
	b->core.ended_to = &control;
	b->core.ended.deliver = on_ended;
	(void)wb_open(b, b->udp);
	assert_int_equal(lw_core_start(&b->core), 0);
	for (uint32_t i = 0; i < 8; i++) {
		post[i] = (struct post){ .mail = { .deliver = on_post }, .gate = &gate };
		post[i].stops = i == 7 ? &b->core : NULL;
		lw_mailbox_post(&b->core.mail, &post[i].mail);
		assert_true(gate_wait(&gate, i + 1));
	}
	lw_core_join(&b->core);
	assert_false(b->core.started);
	lw_core_join(&b->core); /* harmless */
	lw_mailbox_deliver(&control);
	assert_int_equal(told, 0); /* it was asked to */
	lw_mailbox_fini(&control);
	assert_in_range(__atomic_load_n(&wb_calls.waits, __ATOMIC_RELAXED), 1, 16);
	assert_int_equal(b->core.failed, 0);
	gate_fini(&gate);
	wb_destroy(b);
}

static void core_thread__loop_ends_by_itself__the_control_thread_is_told(void **state)
{
	(void)state;
	for (int how = 0; how < 2; how++) {
		struct worker_bed *b = wb_create();
		struct lw_mailbox control;
		uint32_t tag = wb_open(b, b->inside);

		told = 0;
		assert_int_equal(lw_mailbox_init(&control), 0);
		b->core.ended_to = &control;
		b->core.ended.deliver = on_ended;
		if (how == 0) {
			b->socks[tag].answer = -ENODEV;
			wb_write(b, tag, 1);
		} else {
			wb_calls.wait_error = EBADF;
		}
		assert_int_equal(lw_core_start(&b->core), 0);
		lw_core_join(&b->core);
		assert_int_equal(b->core.failed, how == 0 ? -ENODEV : -EBADF);
		lw_mailbox_deliver(&control);
		assert_int_equal(told, 1);
		lw_mailbox_fini(&control);
		wb_destroy(b);
	}
}

static void core_start__no_thread__says_so(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	fail_thread = 1;
	assert_int_equal(lw_core_start(&b->core), -EAGAIN);
	assert_false(b->core.started);
	lw_core_join(&b->core); /* does not wait for what never began */
	wb_destroy(b);
}

/* --- helpers --- */

struct job {
	struct gate *open;  /* the job waits for it, NULL: does not */
	struct gate *began; /* NULL: nobody counts */
	struct gate *done;
};

static void run_job(void *arg)
{
	struct job *j = arg;

	if (j->began != NULL)
		gate_step(j->began);
	if (j->open != NULL)
		(void)gate_wait(j->open, 1);
	gate_step(j->done);
}

static void helpers__some_block__others_run_and_the_queue_has_an_end(void **state)
{
	struct gate open, began, done;
	struct job blocks = { &open, &began, &done };
	struct job quick = { NULL, NULL, &done };
	struct lw_helpers *h = NULL;

	(void)state;
	gate_init(&open);
	gate_init(&began);
	gate_init(&done);
	assert_int_equal(lw_helpers_create(2, 4, &h), 0);
	assert_int_equal(lw_helpers_call(h, run_job, &blocks), 0);
	assert_true(gate_wait(&began, 1));
	for (uint32_t i = 1; i <= 10; i++) { /* the other helper does these */
		assert_int_equal(lw_helpers_call(h, run_job, &quick), 0);
		assert_true(gate_wait(&done, i));
	}
	assert_int_equal(lw_helpers_call(h, run_job, &blocks), 0);
	assert_true(gate_wait(&began, 2));
	for (int i = 0; i < 4; i++) /* both are held: these wait */
		assert_int_equal(lw_helpers_call(h, run_job, &quick), 0);
	assert_int_equal(lw_helpers_call(h, run_job, &quick), -EAGAIN);
	assert_int_equal(done.n, 10);
	gate_step(&open);
	assert_true(gate_wait(&done, 16));
	lw_helpers_destroy(h);
	gate_fini(&open);
	gate_fini(&began);
	gate_fini(&done);
}

struct ordered {
	uint32_t number;
	uint32_t *last;
	uint32_t *wrong;
};

static void run_ordered(void *arg)
{
	const struct ordered *o = arg;

	if (*o->last + 1 != o->number)
		(*o->wrong)++;
	*o->last = o->number;
}

static void helpers__one_thread__runs_what_it_was_given_in_order(void **state)
{
	struct ordered jobs[10];
	struct lw_helpers *h = NULL;
	uint32_t last = 0;
	uint32_t wrong = 0;

	(void)state;
	assert_int_equal(lw_helpers_create(1, 3, &h), 0);
	for (uint32_t i = 0; i < 10; i++) {
		jobs[i] = (struct ordered){ .number = i + 1, .last = &last, .wrong = &wrong };
		while (lw_helpers_call(h, run_ordered, &jobs[i]) == -EAGAIN)
			(void)sched_yield();
	}
	lw_helpers_destroy(h);
	assert_int_equal(last, 10);
	assert_int_equal(wrong, 0);
}

static void *destroy_helpers(void *arg)
{
	lw_helpers_destroy(arg);
	return NULL;
}

/* Queued work holds what it was given: it is done before the helpers end. */
static void helpers_destroy__work_is_queued__finishes_it(void **state)
{
	struct gate open, began, done;
	struct job blocks = { &open, &began, &done };
	struct job quick = { NULL, NULL, &done };
	struct lw_helpers *h = NULL;
	pthread_t thread;

	(void)state;
	gate_init(&open);
	gate_init(&began);
	gate_init(&done);
	assert_int_equal(lw_helpers_create(1, 8, &h), 0);
	assert_int_equal(lw_helpers_call(h, run_job, &blocks), 0);
	assert_true(gate_wait(&began, 1));
	for (int i = 0; i < 5; i++)
		assert_int_equal(lw_helpers_call(h, run_job, &quick), 0);
	assert_int_equal(pthread_create(&thread, NULL, destroy_helpers, h), 0);
	gate_step(&open);
	(void)pthread_join(thread, NULL);
	assert_int_equal(done.n, 6);
	lw_helpers_destroy(NULL);
	gate_fini(&open);
	gate_fini(&began);
	gate_fini(&done);
}

static void tell_nice(void *arg)
{
	*(int *)arg = getpriority(PRIO_PROCESS, (id_t)gettid());
}

/* A worker that has packets gets the processor. */
static void helpers__beside_a_worker__give_way(void **state)
{
	struct lw_helpers *h = NULL;
	int before = getpriority(PRIO_PROCESS, 0);
	int theirs = before;

	(void)state;
	assert_int_equal(lw_helpers_create(1, 1, &h), 0);
	assert_int_equal(lw_helpers_call(h, tell_nice, &theirs), 0);
	lw_helpers_destroy(h);
	assert_int_equal(theirs, before + 10 < 19 ? before + 10 : 19);
	assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
}

static void helpers_create__each_step_fails__nothing_is_left(void **state)
{
	struct lw_helpers *h = NULL;

	(void)state;
	for (int i = 1; i <= 3; i++) {
		wb_calls.fail_calloc = i;
		assert_int_equal(lw_helpers_create(2, 4, &h), -ENOMEM);
		assert_int_equal(wb_calls.fail_calloc, 0);
		assert_null(h);
	}
	for (int i = 1; i <= 2; i++) {
		fail_thread = i;
		assert_int_equal(lw_helpers_create(2, 4, &h), -EAGAIN);
		assert_null(h);
	}
	assert_int_equal(lw_helpers_create(2, 4, &h), 0);
	lw_helpers_destroy(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mailbox__several_senders__each_in_its_order_on_the_readers_thread),
		cmocka_unit_test(mailbox__sent_again_from_its_delivery__comes_next_time),
		cmocka_unit_test(core_thread__mails_come__wakes_for_each_and_sleeps_between),
		cmocka_unit_test(core_thread__loop_ends_by_itself__the_control_thread_is_told),
		cmocka_unit_test(core_start__no_thread__says_so),
		cmocka_unit_test(helpers__some_block__others_run_and_the_queue_has_an_end),
		cmocka_unit_test(helpers__one_thread__runs_what_it_was_given_in_order),
		cmocka_unit_test(helpers_destroy__work_is_queued__finishes_it),
		cmocka_unit_test(helpers__beside_a_worker__give_way),
		cmocka_unit_test(helpers_create__each_step_fails__nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The control thread's loop, what modules may ask of the host, and how the worker is stopped. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/engine_bed.h"
#include "unit/test.h"

/* longest wait for anything that must happen */
#define WAIT_US (10 * LW_US_PER_S)

/* a descriptor of the control thread */
struct knock {
	struct lw_engine *e;
	int fd;
	uint32_t n;
	int unwatches; /* descriptor that its handler unwatches, -1: none */
	uint32_t wakes_at;
};

static void on_knock(void *arg)
{
	struct knock *k = arg;
	uint64_t count;

	assert_int_equal(read(k->fd, &count, sizeof(count)), sizeof(count));
	k->n++;
	if (k->unwatches >= 0)
		lw_engine_unwatch(k->e, k->unwatches);
	if (k->n == k->wakes_at)
		k->e->wake = true;
}

static void knock_init(struct knock *k, struct lw_engine *e)
{
	*k = (struct knock){ .e = e, .fd = eventfd(0, EFD_NONBLOCK), .unwatches = -1 };
	assert_true(k->fd >= 0);
	assert_int_equal(lw_engine_watch(e, k->fd, on_knock, k), 0);
}

static void knock(const struct knock *k)
{
	const uint64_t one = 1;

	assert_int_equal(write(k->fd, &one, sizeof(one)), sizeof(one));
}

static struct engine_bed *only_init(void)
{
	struct engine_bed *b = eb_create();

	assert_int_equal(lw_engine_init(&b->engine, 1, &b->err), 0);
	return b;
}

static void engine_run__descriptor_readable__calls_its_handler(void **state)
{
	struct engine_bed *b = only_init();
	struct lw_engine *e = &b->engine;
	struct knock k[2];

	(void)state;
	knock_init(&k[0], e);
	knock_init(&k[1], e);
	knock(&k[0]);
	knock(&k[1]);
	lw_engine_run(e, 0); /* no time: nobody is served */
	assert_int_equal(k[0].n + k[1].n, 0);
	k[0].wakes_at = 1;
	lw_engine_run(e, UINT64_MAX);
	assert_int_equal(k[0].n, 1);
	assert_int_equal(k[1].n, 1);
	lw_engine_unwatch(e, k[0].fd);
	lw_engine_unwatch(e, k[0].fd); /* harmless */
	knock(&k[0]);
	knock(&k[1]);
	k[1].wakes_at = 2;
	lw_engine_run(e, WAIT_US);
	assert_int_equal(k[0].n, 1);
	assert_int_equal(k[1].n, 2);
	assert_int_equal(lw_engine_watch(e, k[0].fd, on_knock, &k[0]), 0); /* it was let go */
	assert_false(e->stop);
	eb_destroy(b);
	(void)close(k[0].fd);
	(void)close(k[1].fd);
}

static void engine_run__handler_unwatches_another__that_is_not_called(void **state)
{
	struct engine_bed *b = only_init();
	struct lw_engine *e = &b->engine;
	struct knock k[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		knock_init(&k[i], e);
	for (int i = 0; i < 2; i++) {
		k[i].unwatches = k[1 - i].fd;
		k[i].wakes_at = 1;
		knock(&k[i]);
	}
	lw_engine_run(e, WAIT_US);
	assert_int_equal(k[0].n + k[1].n, 1);
	eb_destroy(b);
	(void)close(k[0].fd);
	(void)close(k[1].fd);
}

static void engine_watch__no_room_or_no_descriptor__says_so(void **state)
{
	struct engine_bed *b = only_init();
	struct lw_engine *e = &b->engine;
	struct knock k[64];
	uint32_t n = 0;
	int fd = eventfd(0, EFD_NONBLOCK);

	(void)state;
	assert_int_equal(lw_engine_watch(e, -1, on_knock, &k[0]), -EBADF);
	assert_int_equal(lw_engine_watch(e, e->mail.fd, on_knock, &k[0]), -EEXIST);
	while (e->n_watches < sizeof(e->watches) / sizeof(e->watches[0]))
		knock_init(&k[n++], e);
	assert_int_equal(lw_engine_watch(e, fd, on_knock, &k[0]), -ENOSPC);
	lw_engine_unwatch(e, k[0].fd);
	assert_int_equal(lw_engine_watch(e, fd, on_knock, &k[0]), 0);
	k[n - 1].wakes_at = 1; /* the last took the place of the one that left */
	knock(&k[n - 1]);
	lw_engine_run(e, WAIT_US);
	assert_int_equal(k[n - 1].n, 1);
	eb_destroy(b);
	(void)close(fd);
	while (n > 0)
		(void)close(k[--n].fd);
}

static void engine_run__time_is_up__returns(void **state)
{
	struct engine_bed *b = only_init();
	uint64_t began = lw_clock_us();

	(void)state;
	lw_engine_run(&b->engine, 3 * LW_US_PER_MS);
	assert_true(lw_clock_us() - began >= 3 * LW_US_PER_MS);
	assert_false(b->engine.stop);
	eb_destroy(b);
}

static void engine_run__signals__end_it_or_not(void **state)
{
	static const struct {
		int signal;
		bool ends;
	} signals[] = { { SIGTERM, true }, { SIGINT, true }, { SIGHUP, false } };

	(void)state;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct engine_bed *b = only_init();
		struct knock k;

		knock_init(&k, &b->engine);
		k.wakes_at = 1; /* both are there when it looks */
		knock(&k);
		assert_int_equal(kill(getpid(), signals[i].signal), 0);
		lw_engine_run(&b->engine, WAIT_US);
		assert_int_equal(k.n, 1);
		assert_int_equal(b->engine.stop, signals[i].ends);
		assert_int_equal(b->engine.signal, signals[i].ends ? signals[i].signal : 0);
		eb_destroy(b);
		(void)close(k.fd);
	}
}

/* --- what modules ask of the host --- */

static void host_watch__control_thread__module_is_told_its_tag(void **state)
{
	struct engine_bed *b = eb_create();
	struct lw_engine *e = &b->engine;
	const struct lw_host *h;
	struct knock k;
	int fd = eventfd(1, EFD_NONBLOCK);

	(void)state;
	assert_int_equal(eb_start(b), 0);
	h = b->insts[3].host;
	assert_int_equal(h->watch(h, NULL, fd, 7), 0);
	knock_init(&k, e);
	k.wakes_at = 1;
	knock(&k);
	b->log[0] = '\0';
	lw_engine_run(e, WAIT_US);
	assert_string_equal(b->log, "ready7D ");
	h->unwatch(h, NULL, fd);
	k.wakes_at = 2;
	knock(&k);
	lw_engine_run(e, WAIT_US);
	assert_string_equal(b->log, "ready7D ");
	eb_stop(b);
	eb_destroy(b);
	(void)close(fd);
	(void)close(k.fd);
}

static void host_watch__worker__is_the_workers(void **state)
{
	struct engine_bed *b = eb_create();
	struct lw_engine *e = &b->engine;
	const struct lw_host *h;
	int fd = eventfd(0, EFD_NONBLOCK);

	(void)state;
	assert_int_equal(eb_start(b), 0);
	eb_stop(b); /* its thread has ended: its things are ours */
	h = b->insts[1].host;
	assert_int_equal(h->watch(h, b->insts[1].w, fd, 7), 0);
	assert_int_equal(e->cores->by_fd.n, 1);
	assert_int_equal(h->watch(h, b->insts[1].w, fd, 7), -EEXIST);
	h->unwatch(h, b->insts[1].w, fd);
	assert_int_equal(e->cores->by_fd.n, 0);
	eb_destroy(b);
	(void)close(fd);
}

static void host_random__worker_or_not__gives_different_bytes(void **state)
{
	struct engine_bed *b = eb_create();
	uint8_t bytes[3][32] = { { 0 } };

	(void)state;
	assert_int_equal(eb_start(b), 0);
	eb_stop(b);
	b->insts[0].host->random(b->insts[0].w, bytes[0], 32);
	b->insts[0].host->random(b->insts[0].w, bytes[1], 32);
	b->insts[0].host->random(NULL, bytes[2], 32);
	for (int i = 0; i < 3; i++)
		assert_memory_not_equal(bytes[i], bytes[(i + 1) % 3], 32);
	assert_int_equal(b->engine.cores->random.left, LW_RANDOM_POOL - 64);
	eb_destroy(b);
}

struct heard {
	uint64_t token;
	uint32_t verdict;
	uint32_t n;
};

static void on_answer(void *arg, uint64_t token, const struct lw_auth_answer *a)
{
	struct heard *h = arg;

	h->token = token;
	h->verdict = a->verdict;
	h->n++;
}

static void host_answer__role_listens_or_not__is_handed_on(void **state)
{
	const struct lw_auth_answer no = { .size = sizeof(no), .verdict = LW_AUTH_NO };
	struct engine_bed *b = eb_create();
	struct heard heard = { 0 };
	const struct lw_host *h;

	(void)state;
	assert_int_equal(eb_start(b), 0);
	h = b->insts[3].host;
	h->answer(h, 1, &no); /* nobody listens */
	b->engine.answer = on_answer;
	b->engine.answer_arg = &heard;
	h->answer(h, 77, &no);
	assert_int_equal(heard.n, 1);
	assert_int_equal(heard.token, 77);
	assert_int_equal(heard.verdict, LW_AUTH_NO);
	eb_stop(b);
	eb_destroy(b);
}

/* Both ends of a call that crosses threads. */
struct call {
	struct lw_mail mail; /* first */
	struct lw_engine *e;
	pthread_t thread;
	uint32_t n;
};

static void on_call(struct lw_mail *m)
{
	struct call *c = (struct call *)(void *)m;

	c->n++;
	c->thread = pthread_self();
}

static void deferred(void *arg)
{
	struct call *c = arg;

	c->thread = pthread_self();
	lw_mailbox_post(&c->e->mail, &c->mail); /* helpers tell the control thread so */
}

static void on_back(struct lw_mail *m)
{
	struct call *c = (struct call *)(void *)m;

	c->n++;
	c->e->wake = true;
}

static void host_defer__anything__runs_on_a_helper(void **state)
{
	struct engine_bed *b = eb_create();
	struct call c = { .mail = { .deliver = on_back }, .e = &b->engine };
	const struct lw_host *h;

	(void)state;
	assert_int_equal(eb_start(b), 0);
	h = b->insts[3].host;
	assert_int_equal(h->defer(h, deferred, &c), 0);
	lw_engine_run(&b->engine, WAIT_US);
	assert_int_equal(c.n, 1);
	assert_false(pthread_equal(c.thread, pthread_self()));
	eb_stop(b);
	eb_destroy(b);
}

static void engine_call__a_mail__runs_on_the_worker(void **state)
{
	struct engine_bed *b = eb_create();
	struct call c = { .mail = { .deliver = on_call } };

	(void)state;
	assert_int_equal(eb_start(b), 0);
	lw_engine_call(&b->engine, 0, &c.mail);
	eb_stop(b); /* in order: behind it */
	assert_int_equal(c.n, 1);
	assert_false(pthread_equal(c.thread, pthread_self()));
	eb_destroy(b);
}

/* A worker whose inside is gone ends by itself; what stops it has still to be done: Goodbyes. */
static void engine_stop__worker_ended_by_itself__mail_is_delivered_all_the_same(void **state)
{
	struct engine_bed *b = eb_create();
	struct call c = { .mail = { .deliver = on_call } };
	int fd = eventfd(1, EFD_NONBLOCK);

	(void)state;
	b->inside_fd = fd;
	b->inside_r = -ENODEV;
	assert_int_equal(eb_start(b), 0);
	lw_engine_run(&b->engine, WAIT_US);
	assert_true(b->engine.stop);
	assert_int_equal(b->engine.signal, 0);
	lw_engine_call(&b->engine, 0, &c.mail);
	eb_stop(b);
	assert_int_equal(b->engine.cores->failed, -ENODEV);
	assert_int_equal(c.n, 1); /* what was sent before comes before */
	assert_int_equal(b->stops, 1);
	eb_destroy(b);
	(void)close(fd);
}

/* A module may ask for a helper to the last; when they have ended the answer is that of a full
 * queue.
 */
static void host_defer__helpers_have_ended__is_refused(void **state)
{
	struct engine_bed *b = eb_create();
	struct eb_inst *in = &b->insts[1];

	(void)state;
	assert_int_equal(eb_start(b), 0);
	eb_stop(b);
	in->defer_at_end = true;
	lw_engine_fini(&b->engine);
	assert_int_equal(in->defer_r, -EAGAIN);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engine_run__descriptor_readable__calls_its_handler),
		cmocka_unit_test(engine_run__handler_unwatches_another__that_is_not_called),
		cmocka_unit_test(engine_watch__no_room_or_no_descriptor__says_so),
		cmocka_unit_test(engine_run__time_is_up__returns),
		cmocka_unit_test(engine_run__signals__end_it_or_not),
		cmocka_unit_test(host_watch__control_thread__module_is_told_its_tag),
		cmocka_unit_test(host_watch__worker__is_the_workers),
		cmocka_unit_test(host_random__worker_or_not__gives_different_bytes),
		cmocka_unit_test(host_answer__role_listens_or_not__is_handed_on),
		cmocka_unit_test(host_defer__anything__runs_on_a_helper),
		cmocka_unit_test(engine_call__a_mail__runs_on_the_worker),
		cmocka_unit_test(
			engine_stop__worker_ended_by_itself__mail_is_delivered_all_the_same),
		cmocka_unit_test(host_defer__helpers_have_ended__is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

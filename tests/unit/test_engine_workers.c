/* SPDX-License-Identifier: MIT */
/* An engine with several workers: all of them start, or none; all of them end, whoever does first.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/engine_bed.h"
#include "unit/test.h"
#include "worker/offload.h"

#define N EB_WORKERS
/* longest wait for anything that must happen */
#define WAIT_US (10 * LW_US_PER_S)

int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);

static uint32_t fail_thread; /* the how manyth from now on, 0: none */

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
	if (fail_thread > 0 && --fail_thread == 0)
		return EAGAIN;
	return __real_pthread_create(t, a, fn, arg);
}

static struct engine_bed *bed(void)
{
	struct engine_bed *b = eb_create();

	fail_thread = 0;
	b->workers = N;
	return b;
}

static void append(char *dst, const char *step, uint32_t i, uint32_t w)
{
	(void)snprintf(dst + strlen(dst), 16, "%s%c%u ", step, (char)('A' + i), (unsigned)w);
}

/* What stops n starts, in order of instance and worker. */
static void expect_stops(char *dst, uint32_t n)
{
	dst[0] = '\0';
	for (uint32_t i = EB_MODULES; i-- > 0;) {
		for (uint32_t w = 0; w < N && i * N + w < n; w++)
			append(dst, "stop", i, w);
		(void)snprintf(dst + strlen(dst), 32, "retire%c destroy%c ", (char)('A' + i),
		               (char)('A' + i));
	}
}

static void expect_starts(char *dst, uint32_t n)
{
	dst[0] = '\0';
	for (uint32_t k = 0; k < n; k++)
		append(dst, "start", k / N, k % N);
}

/* the log of what came after all were prepared */
static const char *starts_of(const struct engine_bed *b)
{
	static const char last[] = "prepareD ";
	const char *at = strstr(b->log, last);

	assert_non_null(at);
	return at + strlen(last);
}

static void assert_undone(struct engine_bed *b, uint32_t starts)
{
	char want[1024];

	b->log[0] = '\0';
	lw_engine_fini(&b->engine);
	expect_stops(want, starts);
	assert_string_equal(b->log, want);
	free(b);
}

static void engine__several_workers__each_instance_on_each_and_back(void **state)
{
	struct engine_bed *b = bed();
	char want[1024];

	(void)state;
	assert_int_equal(eb_start(b), 0);
	expect_starts(want, EB_MODULES * N);
	assert_string_equal(starts_of(b), want);
	for (uint32_t w = 0; w < N; w++) {
		assert_true(b->engine.cores[w].started);
		assert_int_equal(b->engine.cores[w].n_attach, EB_MODULES);
		assert_ptr_equal(b->engine.cores[w].attach[2].w, &b->in[2]->workers[w]);
	}
	eb_stop(b);
	assert_int_equal(b->stops, N);
	assert_int_equal(lw_engine_failed(&b->engine), 0);
	assert_false(b->engine.running);
	assert_undone(b, EB_MODULES * N);
}

static void engine_start__any_instance_fails_on_any_worker__undoes_all(void **state)
{
	(void)state;
	for (uint32_t k = 0; k < EB_MODULES * N; k++) {
		struct engine_bed *b = bed();
		char want[1024];
		char text[32];

		b->insts[k / N].start_r = -EIO;
		b->insts[k / N].start_at = k % N;
		assert_int_equal(eb_start(b), -EIO);
		expect_starts(want, k + 1);
		assert_string_equal(starts_of(b), want);
		(void)snprintf(text, sizeof(text), "cannot start %c", b->insts[k / N].letter);
		assert_string_equal(b->err.text, text);
		for (uint32_t w = 0; w < N; w++)
			assert_false(b->engine.cores[w].started);
		assert_false(b->engine.running);
		assert_undone(b, k);
	}
}

/* Those that run already are told to end, as after any other failure. */
static void engine_start__a_thread_does_not_start__the_others_are_joined(void **state)
{
	(void)state;
	for (uint32_t which = 0; which < N; which++) {
		struct engine_bed *b = bed();

		fail_thread = LW_HELPER_THREADS + which + 1;
		assert_int_equal(eb_start(b), -EAGAIN);
		assert_int_equal(fail_thread, 0);
		assert_string_equal(b->err.text,
		                    "cannot start a thread: Resource temporarily unavailable");
		for (uint32_t w = 0; w < N; w++)
			assert_int_equal(b->engine.cores[w].started, w < which);
		assert_int_equal(b->engine.running, which > 0);
		eb_stop(b);
		assert_int_equal(b->stops, which); /* nobody reads the mail of the rest */
		for (uint32_t w = 0; w < N; w++)
			assert_false(b->engine.cores[w].started);
		assert_undone(b, EB_MODULES * N);
	}
}

/* --- one ends by itself --- */

struct call {
	struct lw_mail mail; /* first */
	uint32_t n;
	bool here; /* on the test's thread */
	pthread_t test;
};

static void on_call(struct lw_mail *m)
{
	struct call *c = (struct call *)(void *)m;

	c->n++;
	c->here = pthread_equal(pthread_self(), c->test);
}

static void engine__one_inside_dies__all_end_and_mail_is_delivered(void **state)
{
	(void)state;
	for (uint32_t dead = 0; dead < N; dead++) {
		struct engine_bed *b = bed();
		int fd = eventfd(1, EFD_NONBLOCK);
		struct call calls[N];

		b->inside_fd = fd;
		b->inside_at = dead;
		b->inside_r = -ENODEV;
		assert_int_equal(eb_start(b), 0);
		lw_engine_run(&b->engine, WAIT_US);
		assert_true(b->engine.stop);
		assert_int_equal(b->engine.signal, 0);
		for (uint32_t w = 0; w < N; w++) {
			calls[w] = (struct call){ .mail = { .deliver = on_call },
				                  .test = pthread_self() };
			lw_engine_call(&b->engine, w, &calls[w].mail);
		}
		eb_stop(b);
		for (uint32_t w = 0; w < N; w++) {
			assert_int_equal(calls[w].n, 1);
			assert_int_equal(calls[w].here, w == dead);
			assert_int_equal(b->engine.cores[w].failed, w == dead ? -ENODEV : 0);
			assert_null(b->engine.cores[w].mail.head);
		}
		assert_int_equal(b->stops, N);
		assert_int_equal(lw_engine_failed(&b->engine), -ENODEV);
		assert_undone(b, EB_MODULES * N);
		(void)close(fd);
	}
}

/* --- sums --- */

struct listing {
	char text[1536];
};

static void list_counter(void *arg, const char *name, uint64_t value)
{
	struct listing *l = arg;
	size_t n = strlen(l->text);

	(void)snprintf(l->text + n, sizeof(l->text) - n, "%s=%u ", name, (unsigned)value);
}

static void engine_counters__several_workers__summed(void **state)
{
	struct engine_bed *b = bed();
	struct listing l = { { 0 } };

	(void)state;
	assert_int_equal(eb_start(b), 0);
	eb_stop(b);
	for (uint32_t w = 0; w < N; w++) {
		lw_worker_count(&b->in[1]->workers[w], 0, 1u << w);
		lw_worker_count(&b->in[1]->workers[w], 1, 100);
	}
	lw_worker_count(&b->in[3]->workers[N - 1], 1, 5);
	lw_engine_counters(&b->engine, list_counter, &l);
	assert_string_equal(l.text, "outside-rec.hits=7 outside-rec.misses=300 "
	                            "auth-rec.hits=0 auth-rec.misses=5 ");
	eb_destroy(b);
}

static void path_counters__several_workers__summed(void **state)
{
	struct engine_bed *b = bed();
	const struct lw_path *paths[N];
	struct listing l = { { 0 } };

	(void)state;
	assert_int_equal(eb_start(b), 0);
	eb_stop(b);
	for (uint32_t w = 0; w < N; w++) {
		struct lw_path *p = &b->engine.cores[w].path;

		p->counters.handed_over = 1u << w;
		p->counters.handed_over_dropped = 10u << w;
		p->ports[0].sender.sent = 100u << w;
		p->sessions.n[LW_CTR_HEADER_BAD] = 1;
		paths[w] = p;
	}
	lw_path_each_counter(paths, N, list_counter, &l);
	assert_non_null(strstr(l.text, "handed_over=7 "));
	assert_non_null(strstr(l.text, "handed_over_dropped=70 "));
	assert_non_null(strstr(l.text, "outside_tx=700 "));
	assert_non_null(strstr(l.text, "=3 "));
	eb_destroy(b);
}

static void list_off(void *arg, const struct lw_offload *o)
{
	struct listing *l = arg;
	size_t n = strlen(l->text);

	if (!o->on && strncmp(o->reason, "refused", 7) == 0)
		(void)snprintf(l->text + n, sizeof(l->text) - n, "%s %s: %s\n", o->direction,
		               o->name, o->reason);
}

#define AT (5000 * LW_US_PER_S)

static void refuse(struct lw_core *c, uint64_t at, int error)
{
	struct lw_sender *s = &c->path.ports[0].sender;

	c->path.merge_off_until_us[LW_GSO_TCP4] = at + LW_SEND_RUNS_OFF_US;
	c->path.merge_off_error[LW_GSO_TCP4] = error;
	s->runs_off_until_us = at + LW_SEND_RUNS_OFF_US;
	s->runs_off_error = error;
}

/* Each worker finds out by itself: what any has found is shown, of several the last. */
static void engine_offloads__refused_on_any_worker__is_told(void **state)
{
	(void)state;
	for (uint32_t which = 0; which < N; which++) {
		struct engine_bed *b = bed();
		struct listing l[2] = { { { 0 } }, { { 0 } } };

		b->insts[1].grants = LW_CAP_GSO;
		b->insts[2].grants = LW_CAP_SEND_TSO;
		assert_int_equal(eb_start(b), 0);
		eb_stop(b);
		refuse(&b->engine.cores[which], AT, -EIO);
		lw_engine_offloads(&b->engine, AT, list_off, &l[0]);
		refuse(&b->engine.cores[(which + 1) % N], AT - LW_US_PER_S, -EINVAL);
		lw_engine_offloads(&b->engine, AT, list_off, &l[1]);
		assert_string_equal(l[0].text, l[1].text);
		assert_non_null(strstr(l[0].text, "refused by the kernel (EIO) 0 s ago"));
		assert_ptr_not_equal(strchr(l[0].text, '\n'),
		                     l[0].text + strlen(l[0].text) - 1); /* both */
		eb_destroy(b);
	}
}

/* --- memory --- */

static void engine_init__each_allocation_fails__nothing_is_left(void **state)
{
	struct lw_err err = { 0 };
	struct lw_engine e;
	int n;

	(void)state;
	for (n = 1; n < 1000; n++) {
		int r;

		eb_fail_alloc = n;
		r = lw_engine_init(&e, N, &err);
		if (eb_fail_alloc > 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_true(e.n_workers <= N);
		lw_engine_fini(&e);
	}
	eb_fail_alloc = 0;
	assert_in_range(n, 2 * N, 999); /* each has parcels of its own */
	for (uint32_t w = 0; w < N; w++) {
		assert_non_null(e.cores[w].handover.parcels);
		assert_ptr_equal(e.cores[w].peers, e.cores);
		assert_int_equal((uintptr_t)&e.cores[w] % _Alignof(struct lw_core), 0);
	}
	lw_engine_fini(&e);
	assert_int_equal(lw_engine_init(&e, 1, &err), 0);
	assert_null(e.cores->handover.parcels); /* there is nobody else */
	lw_engine_fini(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engine__several_workers__each_instance_on_each_and_back),
		cmocka_unit_test(engine_start__any_instance_fails_on_any_worker__undoes_all),
		cmocka_unit_test(engine_start__a_thread_does_not_start__the_others_are_joined),
		cmocka_unit_test(engine__one_inside_dies__all_end_and_mail_is_delivered),
		cmocka_unit_test(engine_counters__several_workers__summed),
		cmocka_unit_test(path_counters__several_workers__summed),
		cmocka_unit_test(engine_offloads__refused_on_any_worker__is_told),
		cmocka_unit_test(engine_init__each_allocation_fails__nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

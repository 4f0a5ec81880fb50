/* SPDX-License-Identifier: MIT */
#include "module/instance.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"

/* Modules get a const table; it is the first member of an instance that is ours to change. */
static struct lw_instance *instance_of(const struct lw_host *h)
{
	union {
		const struct lw_host *in;
		struct lw_instance *out;
	} u = { .in = h };

	return u.out;
}

static void host_log(const struct lw_host *h, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void host_log(const struct lw_host *h, int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	lw_log_vwrite(level, instance_of(h)->module->name, fmt, ap);
	va_end(ap);
}

static int host_watch(const struct lw_host *h, struct lw_worker *w, int fd, uint32_t tag)
{
	struct lw_instance *in = instance_of(h);

	if (in->hooks->watch == NULL)
		return -EOPNOTSUPP;
	return in->hooks->watch(in->hooks->arg, in, w, fd, tag);
}

static void host_unwatch(const struct lw_host *h, struct lw_worker *w, int fd)
{
	struct lw_instance *in = instance_of(h);

	if (in->hooks->unwatch != NULL)
		in->hooks->unwatch(in->hooks->arg, in, w, fd);
}

static void host_random(struct lw_worker *w, void *buf, uint32_t len)
{
	const struct lw_hooks *hooks = w != NULL ? instance_of(w->host)->hooks : NULL;

	if (hooks != NULL && hooks->random != NULL)
		hooks->random(w, buf, len);
	else
		lw_random_bytes(buf, len);
}

static int host_defer(const struct lw_host *h, void (*fn)(void *arg), void *arg)
{
	struct lw_instance *in = instance_of(h);

	return in->hooks->defer != NULL ? in->hooks->defer(in->hooks->arg, fn, arg) : -EAGAIN;
}

static void host_answer(const struct lw_host *h, uint64_t token, const struct lw_auth_answer *a)
{
	struct lw_instance *in = instance_of(h);

	if (in->hooks->answer != NULL)
		in->hooks->answer(in->hooks->arg, token, a);
}

static void host_lacks(const struct lw_host *h, uint64_t caps, const char *why)
{
	struct lw_instance *in = instance_of(h);

	for (uint32_t i = 0; i < LW_INSTANCE_CAPS; i++) {
		if ((caps >> i & 1u) != 0)
			(void)snprintf(in->why[i], sizeof(in->why[i]), "%s", why);
	}
}

static uint32_t count_counters(const struct lw_module *m)
{
	uint32_t n = 0;

	while (m->counters != NULL && m->counters[n] != NULL)
		n++;
	return n;
}

/* Counters of one worker start on a cache line of their own. */
static uint32_t counter_stride(uint32_t n)
{
	return (n + 7u) & ~7u;
}

static int make_workers(struct lw_instance *in, uint32_t n)
{
	uint32_t stride;

	in->n_counters = count_counters(in->module);
	stride = counter_stride(in->n_counters + 1);
	in->workers = calloc(n, sizeof(*in->workers));
	in->started = calloc(n, sizeof(*in->started));
	in->counters = aligned_alloc(64, (size_t)n * stride * sizeof(*in->counters));
	if (in->workers == NULL || in->started == NULL || in->counters == NULL)
		return -ENOMEM;
	memset(in->counters, 0, (size_t)n * stride * sizeof(*in->counters));
	in->n_workers = n;
	for (uint32_t i = 0; i < n; i++)
		in->workers[i] = (struct lw_worker){ .size = sizeof(struct lw_worker),
			                             .index = i,
			                             .conf = in->conf,
			                             .counters = in->counters + (size_t)i * stride,
			                             .host = &in->host };
	return 0;
}

/* What a module said of one step: 0, or an error that has a sentence. */
static int outcome(const struct lw_instance *in, const char *step, int r, struct lw_err *err)
{
	const char *name = in->module->name;

	if (r > 0)
		return lw_err_set(err, -EPROTO, "%s answered %d to %s()", name, r, step);
	if (r < 0 && err != NULL && err->text[0] == '\0')
		(void)lw_err_set(err, r, "%s failed in %s(): %s", name, step, strerror(-r));
	return r;
}

static void clear(struct lw_err *err)
{
	if (err != NULL)
		err->text[0] = '\0';
}

int lw_instance_create(const struct lw_module *m, const void *opts, const struct lw_hooks *hooks,
                       uint32_t n_workers, struct lw_instance **ret, struct lw_err *err)
{
	struct lw_instance *in = calloc(1, sizeof(*in));
	int r = -ENOMEM;

	if (in == NULL)
		return lw_err_set(err, r, "out of memory");
	in->module = m;
	in->hooks = hooks;
	in->host = (struct lw_host){ .size = sizeof(in->host),
		                     .abi_minor = LW_ABI_MINOR,
		                     .log = host_log,
		                     .watch = host_watch,
		                     .unwatch = host_unwatch,
		                     .random = host_random,
		                     .defer = host_defer,
		                     .answer = host_answer,
		                     .lacks = host_lacks };
	clear(err);
	r = m->life->create(&in->host, opts, &in->inst, &in->conf, err);
	r = outcome(in, "create", r, err);
	if (r < 0) {
		in->inst = NULL;
		lw_instance_destroy(in);
		return r;
	}
	r = make_workers(in, n_workers);
	if (r < 0) {
		lw_instance_destroy(in);
		return lw_err_set(err, r, "out of memory");
	}
	*ret = in;
	return 0;
}

/* An operation that this module may lack: NULL, or behind the end of its table. */
#define OPTIONAL(in, member)                                                                       \
	((in)->module->life->size > offsetof(struct lw_life_ops, member)                           \
	         ? (in)->module->life->member                                                      \
	         : NULL)

int lw_instance_prepare(struct lw_instance *in, const struct lw_env *env, struct lw_err *err)
{
	int r = 0;

	clear(err);
	if (OPTIONAL(in, prepare) != NULL)
		r = in->module->life->prepare(in->inst, env, &in->caps, err);
	r = outcome(in, "prepare", r, err);
	in->prepared = r == 0;
	return r;
}

int lw_instance_start(struct lw_instance *in, uint32_t worker, struct lw_err *err)
{
	struct lw_worker *w = &in->workers[worker];
	int r = 0;

	clear(err);
	if (OPTIONAL(in, worker_start) != NULL)
		r = in->module->life->worker_start(in->inst, w, &w->state, err);
	r = outcome(in, "worker_start", r, err);
	in->started[worker] = r == 0;
	return r;
}

void lw_instance_stop(struct lw_instance *in, uint32_t worker)
{
	if (!in->started[worker])
		return;
	in->started[worker] = false;
	if (OPTIONAL(in, worker_stop) != NULL)
		in->module->life->worker_stop(in->inst, &in->workers[worker]);
}

void lw_instance_destroy(struct lw_instance *in)
{
	if (in == NULL)
		return;
	for (uint32_t i = 0; i < in->n_workers; i++)
		lw_instance_stop(in, i);
	if (in->inst != NULL) {
		if (in->conf != NULL && OPTIONAL(in, retire) != NULL)
			in->module->life->retire(in->inst, in->conf);
		in->module->life->destroy(in->inst);
	}
	free(in->workers);
	free(in->started);
	free(in->counters);
	free(in);
}

void lw_instance_ready(struct lw_instance *in, uint32_t tag)
{
	if (OPTIONAL(in, ready) != NULL)
		in->module->life->ready(in->inst, tag);
}

const char *lw_instance_why(const struct lw_instance *in, uint64_t cap)
{
	for (uint32_t i = 0; i < LW_INSTANCE_CAPS; i++) {
		if (cap == 1ull << i)
			return in->why[i];
	}
	return "";
}

uint64_t lw_instance_counter(const struct lw_instance *in, uint32_t i)
{
	uint64_t sum = 0;

	for (uint32_t w = 0; w < in->n_workers; w++)
		sum += __atomic_load_n(&in->workers[w].counters[i], __ATOMIC_RELAXED);
	return sum;
}

uint32_t lw_instances_layout(struct lw_instance *const *list, uint32_t n)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t w = 0; w < list[i]->n_workers; w++)
			list[i]->workers[w].session_off = total;
		total += (list[i]->module->session_bytes + 7u) & ~7u;
	}
	return total;
}

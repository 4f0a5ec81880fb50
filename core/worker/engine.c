/* SPDX-License-Identifier: MIT */
#include "worker/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tls/records.h"
#include "worker/cipher.h"
#include "worker/offload.h"
#include "worker/records.h"
#include "worker/steer.h"

/* 16 KiB each, touched when used: 64 MiB of queues for all TCP sessions of the worker */
#define STREAM_CHUNKS 4096u

/* --- hooks of the instances --- */

static struct lw_control_watch *find_watch(struct lw_engine *e, int fd)
{
	for (uint32_t i = 0; i < e->n_watches; i++) {
		if (e->watches[i].fd == fd)
			return &e->watches[i];
	}
	return NULL;
}

static int add_watch(struct lw_engine *e, struct lw_control_watch watch)
{
	struct epoll_event ev = { .events = EPOLLIN, .data = { .fd = watch.fd } };

	if (e->n_watches == sizeof(e->watches) / sizeof(e->watches[0]))
		return -ENOSPC;
	if (epoll_ctl(e->epfd, EPOLL_CTL_ADD, watch.fd, &ev) < 0)
		return -errno;
	e->watches[e->n_watches++] = watch;
	return 0;
}

/* Before a cipher is chosen the worker's view has no core behind it yet: see worker/cipher.c. */
static int hook_watch(void *arg, struct lw_instance *in, struct lw_worker *w, int fd, uint32_t tag)
{
	if (w != NULL)
		return w->core != NULL ? lw_core_watch(w->core, fd, tag) : -EOPNOTSUPP;
	return add_watch(arg, (struct lw_control_watch){ .fd = fd, .tag = tag, .in = in });
}

static void hook_unwatch(void *arg, struct lw_instance *in, struct lw_worker *w, int fd)
{
	(void)in;
	if (w != NULL && w->core != NULL)
		lw_core_unwatch(w->core, fd);
	else if (w == NULL)
		lw_engine_unwatch(arg, fd);
}

static void hook_random(struct lw_worker *w, void *buf, uint32_t len)
{
	const struct lw_attach *a = w->core;

	if (a != NULL)
		lw_random_take(&a->core->random, buf, len);
	else
		lw_random_bytes(buf, len);
}

static int hook_defer(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
	struct lw_engine *e = arg;

	return e->helpers != NULL ? lw_helpers_call(e->helpers, fn, fn_arg) : -EAGAIN;
}

static void hook_answer(void *arg, uint64_t token, const struct lw_auth_answer *a)
{
	struct lw_engine *e = arg;

	if (e->answer != NULL)
		e->answer(e->answer_arg, token, a);
}

/* --- life --- */

static int take_signals(struct lw_engine *e)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	e->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return e->signal_fd < 0 ? -errno : 0;
}

static void on_signal(void *arg)
{
	struct lw_engine *e = arg;
	struct signalfd_siginfo info;

	while (read(e->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			continue; /* nothing can be reloaded in this version */
		e->signal = (int)info.ssi_signo;
		e->stop = true;
	}
}

static void on_mail(void *arg)
{
	struct lw_engine *e = arg;

	lw_mailbox_deliver(&e->mail);
}

/* A worker could not go on. */
static void on_ended(struct lw_mail *m)
{
	const struct lw_core *c =
		(struct lw_core *)(void *)((char *)m - offsetof(struct lw_core, ended));
	struct lw_engine *e = (struct lw_engine *)(void *)((char *)c->ended_to -
	                                                   offsetof(struct lw_engine, mail));

	e->stop = true;
}

static int make_cores(struct lw_engine *e, uint32_t n)
{
	size_t bytes = n * sizeof(*e->cores);
	int r = 0;

	/* no line of one worker's is another's */
	e->cores = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	if (e->cores == NULL)
		return -ENOMEM;
	while (r == 0 && e->n_workers < n) {
		struct lw_core *c = &e->cores[e->n_workers++];

		r = lw_core_init(c);
		c->ended_to = &e->mail;
		c->ended.deliver = on_ended;
		if (n > 1) {
			c->peers = e->cores;
			c->n_peers = n;
		}
		if (r == 0 && n > 1)
			r = lw_handover_init(&c->handover);
	}
	return r;
}

int lw_engine_init(struct lw_engine *e, uint32_t workers, struct lw_err *err)
{
	int r;

	*e = (struct lw_engine){ .epfd = -1, .signal_fd = -1, .mail = { .fd = -1 } };
	e->hooks = (struct lw_hooks){ .arg = e,
		                      .watch = hook_watch,
		                      .unwatch = hook_unwatch,
		                      .random = hook_random,
		                      .defer = hook_defer,
		                      .answer = hook_answer };
	e->epfd = epoll_create1(EPOLL_CLOEXEC);
	r = e->epfd < 0 ? -errno : take_signals(e);
	if (r == 0)
		r = lw_mailbox_init(&e->mail);
	if (r == 0)
		r = lw_engine_watch(e, e->signal_fd, on_signal, e);
	if (r == 0)
		r = lw_engine_watch(e, e->mail.fd, on_mail, e);
	if (r == 0)
		r = make_cores(e, workers);
	if (r == 0)
		r = lw_helpers_create(LW_HELPER_THREADS, LW_HELPER_QUEUE, &e->helpers);
	if (r < 0)
		return lw_err_set(err, r, "cannot start: %s", strerror(-r));
	return 0;
}

void lw_engine_fini(struct lw_engine *e)
{
	for (uint32_t i = 0; i < e->n_workers; i++)
		lw_core_join(&e->cores[i]);
	lw_helpers_destroy(e->helpers);
	e->helpers = NULL; /* modules may still ask */
	for (uint32_t i = 0; i < e->n_workers; i++) {
		lw_tls_records_destroy(e->cores[i].records);
		e->cores[i].records = NULL;
	}
	for (uint32_t i = e->n_instances; i-- > 0;)
		lw_instance_destroy(e->instances[i]);
	for (uint32_t i = 0; i < e->n_workers; i++)
		lw_core_fini(&e->cores[i]);
	free(e->cores);
	lw_mailbox_fini(&e->mail);
	if (e->signal_fd >= 0)
		(void)close(e->signal_fd);
	if (e->epfd >= 0)
		(void)close(e->epfd);
}

int lw_engine_add(struct lw_engine *e, const struct lw_module *m, const void *opts,
                  struct lw_instance **ret, struct lw_err *err)
{
	int r;

	if (e->n_instances == LW_ENGINE_INSTANCES)
		return lw_err_set(err, -E2BIG, "more than %u module instances",
		                  LW_ENGINE_INSTANCES);
	r = lw_instance_create(m, opts, &e->hooks, e->n_workers, ret, err);
	if (r == 0)
		e->instances[e->n_instances++] = *ret;
	return r;
}

void lw_engine_remove(struct lw_engine *e, struct lw_instance *in)
{
	if (e->n_instances == 0 || e->instances[e->n_instances - 1] != in)
		return;
	e->n_instances--;
	lw_instance_destroy(in);
}

/* What the path can deal with. */
static uint64_t caps_for(uint32_t kind)
{
	switch (kind) {
	case LW_KIND_INSIDE:
		return LW_CAP_SEND_TSO | LW_CAP_SEND_USO | LW_CAP_CSUM | LW_CAP_TSO | LW_CAP_USO;
	case LW_KIND_OUTSIDE_UDP:
		return LW_CAP_GSO | LW_CAP_GRO;
	default:
		return 0;
	}
}

int lw_engine_prepare(struct lw_instance *in, uint32_t role, uint32_t inside_mtu,
                      struct lw_err *err)
{
	const struct lw_env env = { .size = sizeof(env),
		                    .role = role,
		                    .workers = in->n_workers,
		                    .inside_mtu = inside_mtu,
		                    .caps_wanted = caps_for(in->module->kind) };
	char text[LW_OFFLOAD_TEXT_MAX];
	int r = lw_instance_prepare(in, &env, err);

	if (r == 0 && *lw_offload_text(in, text) != '\0')
		lw_log_write(LW_LOG_INFO, in->module->name, "%s", text);
	return r;
}

static void attach_port(struct lw_path *p, const struct lw_instance *in, struct lw_worker *w)
{
	p->ports[p->n_ports] = (struct lw_port){ .module = in->module,
		                                 .inst = in->inst,
		                                 .w = w,
		                                 .caps = in->caps,
		                                 .index = p->n_ports,
		                                 .tcp = in->module->kind == LW_KIND_OUTSIDE_TCP };
	p->n_ports++;
}

static void attach_filter(struct lw_path *p, const struct lw_instance *in, struct lw_worker *w)
{
	p->chain.links[p->chain.n++] =
		(struct lw_link){ .ops = in->module->ops.filter,
		                  .inst = in->inst,
		                  .w = w,
		                  .single = (in->caps.flags & LW_CAP_SUPER) == 0 };
}

static int attach(struct lw_core *c, struct lw_instance *in, struct lw_worker *w)
{
	struct lw_path *p = &c->path;
	enum lw_attach_kind kind = LW_ATTACH_OTHER;
	uint32_t port = p->n_ports;

	if (in->module->kind == LW_KIND_OUTSIDE_UDP || in->module->kind == LW_KIND_OUTSIDE_TCP) {
		if (p->n_ports == LW_PATH_PORTS)
			return -E2BIG;
		kind = LW_ATTACH_PORT;
		attach_port(p, in, w);
	} else if (in->module->kind == LW_KIND_INSIDE) {
		kind = LW_ATTACH_INSIDE;
	} else if (in->module->kind == LW_KIND_CIPHER) {
		lw_cipher_attach(c, in, w);
	} else if (in->module->kind == LW_KIND_FILTER) {
		if (p->chain.n == LW_CHAIN_MAX)
			return -E2BIG;
		attach_filter(p, in, w);
	}
	return lw_core_attach(c, kind, port, w) != NULL ? 0 : -E2BIG;
}

static int attach_all(struct lw_engine *e, uint32_t worker, uint32_t inside_mtu, struct lw_err *err)
{
	struct lw_core *c = &e->cores[worker];
	struct lw_path *p = &c->path;
	int r = 0;

	p->inside = e->inside->module->ops.inside;
	p->inside_inst = e->inside->inst;
	p->inside_w = &e->inside->workers[worker];
	p->inside_caps = e->inside->caps;
	p->inside_mtu = inside_mtu;
	for (uint32_t i = 0; r == 0 && i < e->n_instances; i++)
		r = attach(c, e->instances[i], &e->instances[i]->workers[worker]);
	if (r < 0)
		return lw_err_set(err, r, "too many module instances");
	r = lw_path_init(p, STREAM_CHUNKS);
	if (r < 0)
		return lw_err_set(err, r, "out of memory for packet buffers");
	return 0;
}

int lw_engine_attach(struct lw_engine *e, struct lw_instance *inside, uint32_t inside_mtu,
                     struct lw_err *err)
{
	int r = 0;

	e->state_bytes = lw_instances_layout(e->instances, e->n_instances);
	e->inside = inside;
	for (uint32_t i = 0; r == 0 && i < e->n_workers; i++)
		r = attach_all(e, i, inside_mtu, err);
	return r;
}

int lw_engine_start(struct lw_engine *e, struct lw_err *err)
{
	int r = 0;

	lw_engine_steer(e);
	for (uint32_t i = 0; r == 0 && i < e->n_instances; i++) {
		for (uint32_t w = 0; r == 0 && w < e->n_workers; w++)
			r = lw_instance_start(e->instances[i], w, err);
	}
	if (r == 0)
		r = lw_cipher_examine(e, err);
	if (r < 0)
		return r;
	lw_records_choose(e);
	for (uint32_t w = 0; r == 0 && w < e->n_workers; w++) {
		r = lw_core_start(&e->cores[w]);
		e->running |= r == 0;
	}
	if (r < 0)
		return lw_err_set(err, r, "cannot start a thread: %s", strerror(-r));
	return 0;
}

/* --- the control thread --- */

int lw_engine_watch(struct lw_engine *e, int fd, void (*fn)(void *arg), void *arg)
{
	return add_watch(e, (struct lw_control_watch){ .fd = fd, .fn = fn, .arg = arg });
}

void lw_engine_unwatch(struct lw_engine *e, int fd)
{
	struct lw_control_watch *w = find_watch(e, fd);

	if (w == NULL)
		return;
	(void)epoll_ctl(e->epfd, EPOLL_CTL_DEL, fd, NULL);
	*w = e->watches[--e->n_watches];
}

static void dispatch(struct lw_engine *e, int fd)
{
	struct lw_control_watch *w = find_watch(e, fd);

	if (w == NULL)
		return; /* unwatched by the handler before */
	if (w->in != NULL)
		lw_instance_ready(w->in, w->tag);
	else
		w->fn(w->arg);
}

void lw_engine_run(struct lw_engine *e, uint64_t max_us)
{
	uint64_t end = lw_clock_us() + (max_us == UINT64_MAX ? 0 : max_us);

	e->wake = false;
	while (!e->stop && !e->wake) {
		struct epoll_event events[16];
		uint64_t now = lw_clock_us();
		int wait = -1;
		int n;

		if (max_us != UINT64_MAX) {
			if (now >= end)
				return;
			wait = (int)((end - now) / LW_US_PER_MS) + 1;
		}
		n = epoll_wait(e->epfd, events, 16, wait);
		for (int i = 0; i < n; i++)
			dispatch(e, events[i].data.fd);
	}
}

void lw_engine_call(struct lw_engine *e, uint32_t worker, struct lw_mail *m)
{
	lw_mailbox_post(&e->cores[worker].mail, m);
}

void lw_engine_join(struct lw_engine *e)
{
	for (uint32_t i = 0; i < e->n_workers; i++) {
		struct lw_core *c = &e->cores[i];
		bool started = c->started;

		lw_core_join(c);
		if (started && c->failed != 0) /* it had ended by itself, and its things are ours */
			lw_mailbox_deliver(&c->mail);
	}
	e->running = false;
}

int lw_engine_failed(const struct lw_engine *e)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < e->n_workers; i++)
		r = e->cores[i].failed;
	return r;
}

static uint64_t sum_counter(const struct lw_engine *e, const struct lw_module *m, uint32_t c)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < e->n_instances; i++) {
		if (e->instances[i]->module == m)
			sum += lw_instance_counter(e->instances[i], c);
	}
	return sum;
}

static bool is_first_use(const struct lw_engine *e, uint32_t i)
{
	for (uint32_t j = 0; j < i; j++) {
		if (e->instances[j]->module == e->instances[i]->module)
			return false;
	}
	return true;
}

void lw_engine_counters(const struct lw_engine *e,
                        void (*fn)(void *arg, const char *name, uint64_t value), void *arg)
{
	for (uint32_t i = 0; i < e->n_instances; i++) {
		const struct lw_module *m = e->instances[i]->module;

		for (uint32_t c = 0; is_first_use(e, i) && c < e->instances[i]->n_counters; c++) {
			char name[128];

			(void)snprintf(name, sizeof(name), "%s.%s", m->name, m->counters[c]);
			fn(arg, name, sum_counter(e, m, c));
		}
	}
}

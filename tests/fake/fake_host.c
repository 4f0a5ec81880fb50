/* SPDX-License-Identifier: MIT */
#include "fake/fake_host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tests hand the module a const table that is in truth the recorder: one place undoes the const. */
static struct lw_fake_host *fake(const struct lw_host *h)
{
	union {
		const struct lw_host *in;
		struct lw_fake_host *out;
	} u = { .in = h };

	return u.out;
}

static void die(const char *what)
{
	(void)fprintf(stderr, "fake host: %s\n", what);
	abort();
}

static void fake_log(const struct lw_host *h, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fake_log(const struct lw_host *h, int level, const char *fmt, ...)
{
	struct lw_fake_host *f = fake(h);
	va_list ap;

	if (level < LW_LOG_ERROR || level > LW_LOG_DEBUG)
		die("log level out of range");
	f->n_logs[level]++;
	va_start(ap, fmt);
	(void)vsnprintf(f->last_log, sizeof(f->last_log), fmt, ap);
	va_end(ap);
}

static int fake_watch(const struct lw_host *h, struct lw_worker *w, int fd, uint32_t tag)
{
	struct lw_fake_host *f = fake(h);

	if (f->n_watches == LW_FAKE_WATCHES)
		return -ENOSPC;
	if (lw_fake_watch_of(f, fd) != NULL)
		die("descriptor watched twice");
	f->watches[f->n_watches++] = (struct lw_fake_watch){ .fd = fd, .tag = tag, .worker = w };
	return 0;
}

static void fake_unwatch(const struct lw_host *h, struct lw_worker *w, int fd)
{
	struct lw_fake_host *f = fake(h);

	for (uint32_t i = 0; i < f->n_watches; i++) {
		if (f->watches[i].fd == fd && f->watches[i].worker == w) {
			f->watches[i] = f->watches[--f->n_watches];
			return;
		}
	}
	die("unwatch of a descriptor that is not watched");
}

/* xorshift64 from a fixed seed: the table has no pointer to the recorder here */
static void fake_random(struct lw_worker *w, void *buf, uint32_t len)
{
	static uint64_t state = 88172645463325252u;
	uint8_t *p = buf;

	(void)w;
	for (uint32_t i = 0; i < len; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		p[i] = (uint8_t)state;
	}
}

static int fake_defer(const struct lw_host *h, void (*fn)(void *arg), void *arg)
{
	struct lw_fake_host *f = fake(h);

	if (f->n_defers == LW_FAKE_DEFERS)
		return -EAGAIN;
	f->defers[f->n_defers].fn = fn;
	f->defers[f->n_defers++].arg = arg;
	return 0;
}

static void fake_answer(const struct lw_host *h, uint64_t token, const struct lw_auth_answer *a)
{
	struct lw_fake_host *f = fake(h);

	if (f->n_answers == LW_FAKE_ANSWERS)
		die("more answers than the recorder holds");
	f->answers[f->n_answers++] = (struct lw_fake_answer){ .token = token, .answer = *a };
}

static void fake_lacks(const struct lw_host *h, uint64_t caps, const char *why)
{
	struct lw_fake_host *f = fake(h);

	if (strlen(why) >= sizeof(f->why[0]))
		die("a reason longer than the interface allows");
	for (uint32_t i = 0; i < LW_FAKE_CAPS; i++) {
		if ((caps >> i & 1u) != 0)
			(void)snprintf(f->why[i], sizeof(f->why[i]), "%s", why);
	}
}

void lw_fake_host_init(struct lw_fake_host *f)
{
	*f = (struct lw_fake_host){
		.host = { .size = sizeof(struct lw_host),
		          .abi_minor = LW_ABI_MINOR,
		          .log = fake_log,
		          .watch = fake_watch,
		          .unwatch = fake_unwatch,
		          .random = fake_random,
		          .defer = fake_defer,
		          .answer = fake_answer,
		          .lacks = fake_lacks },
	};
}

const struct lw_fake_watch *lw_fake_watch_of(const struct lw_fake_host *f, int fd)
{
	for (uint32_t i = 0; i < f->n_watches; i++) {
		if (f->watches[i].fd == fd)
			return &f->watches[i];
	}
	return NULL;
}

const char *lw_fake_why(const struct lw_fake_host *f, uint64_t cap)
{
	for (uint32_t i = 0; i < LW_FAKE_CAPS; i++) {
		if (cap == 1ull << i)
			return f->why[i];
	}
	die("ask for one capability");
	return "";
}

void lw_fake_run_defers(struct lw_fake_host *f)
{
	for (uint32_t i = 0; i < f->n_defers; i++)
		f->defers[i].fn(f->defers[i].arg);
	f->n_defers = 0;
}

void lw_fake_worker_init(struct lw_fake_worker *fw, struct lw_fake_host *f,
                         const struct lw_module *m, uint32_t index)
{
	uint32_t n = 0;

	while (m->counters != NULL && m->counters[n] != NULL)
		n++;
	if (n > LW_FAKE_COUNTERS)
		die("more counters than a fake worker has");
	*fw = (struct lw_fake_worker){ .w = { .size = sizeof(struct lw_worker),
		                              .index = index,
		                              .now_us = 1000000,
		                              .host = &f->host } };
	fw->w.counters = fw->counters;
}

uint64_t lw_fake_counter(const struct lw_fake_worker *fw, const struct lw_module *m,
                         const char *name)
{
	for (uint32_t i = 0; m->counters != NULL && m->counters[i] != NULL; i++) {
		if (strcmp(m->counters[i], name) == 0)
			return fw->counters[i];
	}
	die(name);
	return 0;
}

struct lw_batch *lw_fake_batch_create(uint32_t cap, uint32_t arena, bool endpoints)
{
	struct lw_batch *b = calloc(1, sizeof(*b));

	arena = (arena + 63u) & ~63u;
	if (b == NULL)
		die("out of memory");
	*b = (struct lw_batch){ .cap = cap, .arena_cap = arena };
	b->pkt = calloc(cap, sizeof(*b->pkt));
	b->ep = endpoints ? calloc(cap, sizeof(*b->ep)) : NULL;
	b->arena = aligned_alloc(64, arena);
	if (b->pkt == NULL || b->arena == NULL || (endpoints && b->ep == NULL))
		die("out of memory");
	return b;
}

void lw_fake_batch_destroy(struct lw_batch *b)
{
	if (b == NULL)
		return;
	free(b->pkt);
	free(b->ep);
	free(b->arena);
	free(b);
}

struct lw_packet *lw_fake_batch_add(struct lw_batch *b, const void *data, uint32_t len)
{
	struct lw_packet *p = lw_batch_reserve(b, len);

	if (p == NULL)
		die("batch is full");
	if (len > 0)
		memcpy(lw_packet_data(p), data, len);
	return lw_batch_commit(b, len);
}

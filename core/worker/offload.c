/* SPDX-License-Identifier: MIT */
#include "worker/offload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "worker/engine.h"

static const struct facility {
	uint32_t kind; /* of module */
	uint64_t cap;
	const char *direction;
	const char *name;
} facilities[] = {
	{ LW_KIND_INSIDE, LW_CAP_TSO, "read", "tso" },
	{ LW_KIND_INSIDE, LW_CAP_USO, "read", "uso" },
	{ LW_KIND_INSIDE, LW_CAP_CSUM, "read", "checksum" },
	{ LW_KIND_INSIDE, LW_CAP_SEND_TSO, "write", "coalesce-tcp" },
	{ LW_KIND_INSIDE, LW_CAP_SEND_USO, "write", "coalesce-udp" },
	{ LW_KIND_OUTSIDE_UDP, LW_CAP_GSO, "send", "gso" },
	{ LW_KIND_OUTSIDE_UDP, LW_CAP_GRO, "receive", "gro" },
};

#define N_FACILITIES (sizeof(facilities) / sizeof(facilities[0]))

/* --- as prepare() left it --- */

static struct lw_offload describe(const struct lw_instance *in, const struct facility *f)
{
	struct lw_offload o = { .module = in->module->name,
		                .direction = f->direction,
		                .name = f->name,
		                .on = (in->caps.flags & f->cap) != 0 };
	const char *why = lw_instance_why(in, f->cap);

	if (!o.on)
		(void)snprintf(o.reason, sizeof(o.reason), "%s",
		               *why != '\0' ? why : "the module does not grant it");
	return o;
}

/* all of an instance */
static uint32_t describe_all(const struct lw_instance *in, struct lw_offload ret[N_FACILITIES])
{
	uint32_t n = 0;

	for (size_t i = 0; i < N_FACILITIES; i++) {
		if (facilities[i].kind == in->module->kind)
			ret[n++] = describe(in, &facilities[i]);
	}
	return n;
}

/* --- what the kernel refuses since --- */

static const char *error_name(int error)
{
	switch (error) {
	case -EIO:
		return "EIO";
	case -EINVAL:
		return "EINVAL";
	case -EOPNOTSUPP:
		return "EOPNOTSUPP";
	case -ENOPROTOOPT:
		return "ENOPROTOOPT";
	default:
		return strerror(-error);
	}
}

static void format_span(char *dst, size_t cap, uint64_t s)
{
	if (s < 60)
		(void)snprintf(dst, cap, "%u s", (unsigned)s);
	else
		(void)snprintf(dst, cap, "%u min", (unsigned)(s / 60));
}

/* Past time is rounded down and that to come up, so that they add up to the whole. */
static void tell_refusal(struct lw_offload *o, const struct lw_refusal *r, uint64_t at)
{
	uint64_t began = r->until_us - LW_SEND_RUNS_OFF_US;
	uint64_t past_s = at > began ? (at - began) / LW_US_PER_S : 0;
	uint64_t left_s = (r->until_us - at + LW_US_PER_S - 1) / LW_US_PER_S;
	char error[48] = "";
	char past[16];
	char left[16];

	if (r->error != 0)
		(void)snprintf(error, sizeof(error), " (%s)", error_name(r->error));
	format_span(past, sizeof(past), past_s);
	format_span(left, sizeof(left), left_s < 60 ? left_s : left_s + 59);
	o->on = false;
	(void)snprintf(o->reason, sizeof(o->reason),
	               "refused by the kernel%s %s ago; tried again in %s", error, past, left);
}

static struct lw_refusal refusal_on(const struct lw_path *p, const struct lw_engine *e,
                                    const struct lw_instance *in, uint64_t cap)
{
	if (in == e->inside)
		return lw_path_merge_refusal(p, cap);
	for (uint32_t i = 0; i < p->n_ports; i++) {
		if (p->ports[i].inst == in->inst && cap == LW_CAP_GSO)
			return lw_sender_refusal(&p->ports[i].sender);
	}
	return (struct lw_refusal){ .until_us = 0 };
}

/* Of all workers that which lasts longest: each finds out by itself. */
static struct lw_refusal find_refusal(const struct lw_engine *e, const struct lw_instance *in,
                                      uint64_t cap)
{
	struct lw_refusal last = { .until_us = 0 };

	for (uint32_t i = 0; i < e->n_workers; i++) {
		struct lw_refusal r = refusal_on(&e->cores[i].path, e, in, cap);

		if (r.until_us > last.until_us)
			last = r;
	}
	return last;
}

static uint32_t number_of(const struct lw_engine *e, uint32_t i)
{
	uint32_t n = 1;

	for (uint32_t j = 0; j < i; j++)
		n += e->instances[j]->module == e->instances[i]->module;
	return n;
}

void lw_engine_offloads(const struct lw_engine *e, uint64_t at,
                        void (*fn)(void *arg, const struct lw_offload *o), void *arg)
{
	for (uint32_t i = 0; i < e->n_instances; i++) {
		const struct lw_instance *in = e->instances[i];

		for (size_t f = 0; in->prepared && f < N_FACILITIES; f++) {
			struct lw_offload o;
			struct lw_refusal r;

			if (facilities[f].kind != in->module->kind)
				continue;
			o = describe(in, &facilities[f]);
			o.instance = number_of(e, i);
			r = find_refusal(e, in, facilities[f].cap);
			if (o.on && at < r.until_us)
				tell_refusal(&o, &r, at);
			fn(arg, &o);
		}
	}
}

/* --- for the log --- */

struct line {
	char *text;
	size_t n;
};

static void put(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->n, LW_OFFLOAD_TEXT_MAX - l->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->n += (size_t)n < LW_OFFLOAD_TEXT_MAX - l->n ? (size_t)n
		                                               : LW_OFFLOAD_TEXT_MAX - 1 - l->n;
}

/* Those that have this reason, "" for those that are on; what is told has no module any more. */
static bool put_group(struct line *l, struct lw_offload *list, uint32_t n, const char *reason,
                      const char *before)
{
	bool any = false;

	for (uint32_t i = 0; i < n; i++) {
		if (list[i].module == NULL || strcmp(list[i].reason, reason) != 0)
			continue;
		put(l, "%s%s %s", any ? ", " : before, list[i].direction, list[i].name);
		list[i].module = NULL;
		any = true;
	}
	return any;
}

const char *lw_offload_text(const struct lw_instance *in, char text[LW_OFFLOAD_TEXT_MAX])
{
	struct lw_offload list[N_FACILITIES];
	uint32_t n = describe_all(in, list);
	struct line l = { .text = text };
	const char *before;

	*text = '\0';
	before = put_group(&l, list, n, "", "offload on: ") ? "; off: " : "offload off: ";
	for (uint32_t i = 0; i < n; i++) {
		if (put_group(&l, list, n, list[i].reason, before)) {
			put(&l, " (%s)", list[i].reason);
			before = ", ";
		}
	}
	return text;
}

/* SPDX-License-Identifier: MIT */
#include "worker/cipher.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "module/cipher_check.h"
#include "module/cipher_race.h"

#define WHO    "expresslane"
#define TRIALS 8u

static int use_one(struct lw_engine *e, const struct lw_module *m, uint32_t role,
                   uint32_t inside_mtu, struct lw_err *err)
{
	struct lw_instance *in;
	int r = lw_engine_add(e, m, NULL, &in, err);

	if (r < 0)
		return r;
	r = lw_engine_prepare(in, role, inside_mtu, err);
	if (r < 0)
		lw_engine_remove(e, in);
	return r;
}

static int examine_one(const struct lw_instance *in, struct lw_err *err)
{
	struct lw_err why = { 0 };
	int r = lw_cipher_check(in->module->ops.cipher, in->inst, &in->workers[0], &why);

	if (r < 0)
		return lw_err_set(err, r, "%s must not be used: %s", in->module->name, why.text);
	return 0;
}

/* --- the fastest --- */

/* ciphers that are there for a race, the last of the engine's instances */
struct trial {
	struct lw_instance *in[TRIALS];
	struct lw_cipher_racer racer[TRIALS];
	uint32_t n;
};

/* One that takes part is as ready as it will be with the worker. */
static int enter(struct lw_engine *e, struct trial *t, const struct lw_module *m, uint32_t role,
                 uint32_t inside_mtu, struct lw_err *err)
{
	struct lw_instance *in;
	int r = use_one(e, m, role, inside_mtu, err);

	if (r < 0)
		return r;
	in = e->instances[e->n_instances - 1];
	r = lw_instance_start(in, 0, err);
	if (r == 0)
		r = examine_one(in, err);
	if (r < 0) {
		lw_engine_remove(e, in);
		return r;
	}
	t->in[t->n] = in;
	t->racer[t->n++] = (struct lw_cipher_racer){ .ops = m->ops.cipher,
		                                     .inst = in->inst,
		                                     .w = &in->workers[0] };
	return 0;
}

/* What is sealed here is opened elsewhere: both count. */
static uint64_t cost(const struct lw_cipher_racer *c)
{
	return c->result == 0 ? (uint64_t)c->seal_ns + c->open_ns : UINT64_MAX;
}

/* "cipher-a 150 and 148, cipher-b 370 and 361": as much of it as there is room for */
static void tell_times(const struct trial *t, char *text, size_t size)
{
	size_t used = 0;

	for (uint32_t i = 0; i < t->n && used < size; i++) {
		const char *name = t->in[i]->module->name;
		const struct lw_cipher_racer *c = &t->racer[i];
		const char *comma = i > 0 ? ", " : "";

		if (c->result < 0)
			used += (size_t)snprintf(text + used, size - used, "%s%s failed: %s", comma,
			                         name, strerror(-c->result));
		else
			used += (size_t)snprintf(text + used, size - used, "%s%s %u and %u", comma,
			                         name, c->seal_ns, c->open_ns);
	}
}

/* The module that won, or NULL; `why` is for the log. */
static const struct lw_module *decide(struct trial *t, char *why, size_t size)
{
	struct lw_err err = { 0 };
	uint32_t best = 0;
	char times[256] = "";

	if (t->n == 0 || lw_cipher_race(t->racer, t->n, &err) < 0)
		return NULL;
	for (uint32_t i = 1; i < t->n; i++) {
		if (cost(&t->racer[i]) < cost(&t->racer[best]))
			best = i;
	}
	if (t->racer[best].result < 0)
		return NULL;
	tell_times(t, times, sizeof(times));
	(void)snprintf(why, size, ": the %s here; ns to seal and to open %u bytes: %s",
	               t->n > 1 ? "fastest" : "only one", LW_CIPHER_RACE_BYTES, times);
	return t->in[best]->module;
}

static const struct lw_module *find_fastest(struct lw_engine *e, const struct lw_cipher_plan *plan,
                                            uint32_t role, uint32_t inside_mtu, char *why,
                                            size_t size)
{
	const struct lw_module *m;
	struct trial t = { .n = 0 };

	for (uint32_t i = 0; i < plan->n && t.n < TRIALS; i++) {
		struct lw_err err = { 0 };

		if (enter(e, &t, plan->modules[i], role, inside_mtu, &err) < 0)
			lw_log_write(LW_LOG_WARN, WHO, "%s is left out: %s", plan->modules[i]->name,
			             err.text);
	}
	m = decide(&t, why, size);
	while (t.n > 0)
		lw_engine_remove(e, t.in[--t.n]);
	return m;
}

/* --- which one --- */

static int taken(struct lw_engine *e, const struct lw_module *m, const struct lw_cipher_plan *plan,
                 const char *why, uint64_t *ret_rotate_us)
{
	e->lane = plan->rotate_us > 0;
	if (!e->lane) {
		lw_log_write(LW_LOG_NOTICE, WHO, "off, all data goes in DTLS; %s for its records%s",
		             m->name, why);
		return 0;
	}
	lw_log_write(LW_LOG_NOTICE, WHO, "%s, a new key every %llu s%s", m->name,
	             (unsigned long long)(plan->rotate_us / LW_US_PER_S), why);
	*ret_rotate_us = plan->rotate_us;
	return 0;
}

static int none(void)
{
	lw_log_write(LW_LOG_NOTICE, WHO, "off, all data goes in DTLS");
	return 0;
}

int lw_cipher_use(struct lw_engine *e, const struct lw_cipher_plan *plan, uint32_t role,
                  uint32_t inside_mtu, uint64_t *ret_rotate_us, struct lw_err *err)
{
	char why[384] = "";

	*ret_rotate_us = 0;
	if (plan->fastest) {
		const struct lw_module *m =
			find_fastest(e, plan, role, inside_mtu, why, sizeof(why));
		int r = m != NULL ? use_one(e, m, role, inside_mtu, err) : 0;

		if (r < 0)
			return r;
		return m != NULL ? taken(e, m, plan, why, ret_rotate_us) : none();
	}
	for (uint32_t i = 0; i < plan->n; i++) {
		const struct lw_module *m = plan->modules[i];
		struct lw_err reason = { 0 };
		int r = use_one(e, m, role, inside_mtu, &reason);

		if (r == 0)
			return taken(e, m, plan, why, ret_rotate_us);
		if (r != -EOPNOTSUPP || i + 1 == plan->n)
			return lw_err_set(err, r, "%s cannot be used: %s", m->name, reason.text);
		lw_log_write(LW_LOG_WARN, WHO, "%s cannot be used: %s", m->name, reason.text);
	}
	return none();
}

void lw_cipher_attach(struct lw_core *c, const struct lw_instance *in, struct lw_worker *w)
{
	lw_lane_env_init(&c->path.lane, in->module->ops.cipher, in->inst, w, &c->random);
}

int lw_cipher_examine(const struct lw_engine *e, struct lw_err *err)
{
	for (uint32_t i = 0; i < e->n_instances; i++) {
		const struct lw_instance *in = e->instances[i];
		int r = in->module->kind == LW_KIND_CIPHER ? examine_one(in, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

struct lw_instance *lw_cipher_instance(const struct lw_engine *e)
{
	for (uint32_t i = 0; i < e->n_instances; i++) {
		if (e->instances[i]->module->kind == LW_KIND_CIPHER)
			return e->instances[i];
	}
	return NULL;
}

const char *lw_cipher_name(const struct lw_engine *e)
{
	return e->lane ? lw_cipher_instance(e)->module->name : "off";
}

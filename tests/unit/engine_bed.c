/* SPDX-License-Identifier: MIT */
#include "unit/engine_bed.h"

#include <errno.h>

#include "unit/test.h"

int eb_fail_alloc;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);

static bool fails_now(void)
{
	return eb_fail_alloc > 0 && --eb_fail_alloc == 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails_now() ? NULL : __real_aligned_alloc(align, size);
}

static void note(const struct eb_inst *i, const char *what)
{
	char *log = i->bed->log;

	assert_true(strlen(log) + strlen(what) + 3 < sizeof(i->bed->log));
	strcat(log, what);
	strncat(log, &i->letter, 1);
	strcat(log, " ");
}

static void note_on(const struct eb_inst *i, const char *what, const struct lw_worker *w)
{
	char *log = i->bed->log;

	note(i, what);
	if (i->bed->workers > 1)
		(void)snprintf(log + strlen(log) - 1, 4, "%u ", (unsigned)w->index % 10);
}

/* --- life --- */

static int refuse(const struct eb_inst *i, int r, const char *text, struct lw_err *err)
{
	return i->mute ? r : lw_err_set(err, r, "%s %c", text, i->letter);
}

static int eb_create_inst(const struct lw_host *h, const void *opts, void **ret_inst,
                          const void **ret_conf, struct lw_err *err)
{
	struct eb_inst *i = ((const struct eb_opts *)opts)->inst;

	note(i, "create");
	i->host = h;
	*ret_conf = opts;
	if (i->create_r != 0)
		return refuse(i, i->create_r, "cannot create", err);
	*ret_inst = i;
	return 0;
}

static int eb_prepare(void *inst, const struct lw_env *env, struct lw_caps *ret_caps,
                      struct lw_err *err)
{
	struct eb_inst *i = inst;

	note(i, "prepare");
	assert_int_equal(env->size, sizeof(*env));
	assert_int_equal(env->role, LW_ROLE_CLIENT);
	assert_int_equal(env->workers, i->bed->workers);
	assert_int_equal(env->inside_mtu, EB_MTU);
	i->wanted = lw_env_caps_wanted(env);
	if (i->prepare_r != 0)
		return refuse(i, i->prepare_r, "cannot prepare", err);
	if (i->why != NULL)
		lw_host_lacks(i->host, i->lacks, i->why);
	ret_caps->flags = i->grants | (i->not_super ? 0 : LW_CAP_SUPER);
	return 0;
}

static int eb_worker_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	struct eb_inst *i = inst;

	note_on(i, "start", w);
	assert_int_equal(w->size, sizeof(*w));
	assert_ptr_equal(w->host, i->host);
	if (i->start_r != 0 && w->index == i->start_at)
		return refuse(i, i->start_r, "cannot start", err);
	i->w = w;
	*ret_state = i;
	if (i->letter == 'C' && i->bed->inside_fd >= 0 && w->index == i->bed->inside_at)
		return i->host->watch(i->host, w, i->bed->inside_fd, 0);
	return 0;
}

static void eb_worker_stop(void *inst, struct lw_worker *w)
{
	const struct eb_inst *i = inst;

	assert_ptr_equal(w->state, i);
	note_on(i, "stop", w);
	if (i->letter == 'C' && i->bed->inside_fd >= 0 && w->index == i->bed->inside_at)
		i->host->unwatch(i->host, w, i->bed->inside_fd);
}

static void eb_retire(void *inst, const void *conf)
{
	(void)conf;
	note(inst, "retire");
}

static void nothing(void *arg)
{
	(void)arg;
}

static void eb_destroy_inst(void *inst)
{
	struct eb_inst *i = inst;

	note(i, "destroy");
	if (i->defer_at_end)
		i->defer_r = i->host->defer(i->host, nothing, NULL);
}

static void eb_ready(void *inst, uint32_t tag)
{
	note(inst, tag == 7 ? "ready7" : "ready?");
}

static const struct lw_life_ops life = { .size = sizeof(life),
	                                 .create = eb_create_inst,
	                                 .prepare = eb_prepare,
	                                 .worker_start = eb_worker_start,
	                                 .worker_stop = eb_worker_stop,
	                                 .retire = eb_retire,
	                                 .destroy = eb_destroy_inst,
	                                 .ready = eb_ready };

static const struct lw_life_ops least_life = { .size = offsetof(struct lw_life_ops, ready),
	                                       .create = eb_create_inst,
	                                       .destroy = eb_destroy_inst,
	                                       .ready = eb_ready };

/* --- operations --- */

static int inside_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b)
{
	const struct eb_inst *i = inst;

	(void)w;
	(void)tag;
	(void)b;
	return i->bed->inside_r;
}

static const struct lw_inside_ops inside_ops = { .size = sizeof(inside_ops), .recv = inside_recv };
static const struct lw_outside_udp_ops udp_ops = { .size = sizeof(udp_ops) };
static const struct lw_filter_ops filter_ops = { .size = sizeof(filter_ops) };
static const struct lw_auth_ops auth_ops = { .size = sizeof(auth_ops) };

static const char *const counters[] = { "hits", "misses", NULL };
static const char *const no_counters[] = { NULL };

const struct lw_module eb_modules[EB_MODULES] = {
	{ .magic = LW_ABI_MAGIC,
	  .abi_minor = LW_ABI_MINOR,
	  .size = sizeof(struct lw_module),
	  .kind = LW_KIND_FILTER,
	  .name = "filter-rec",
	  .life = &life,
	  .counters = NULL,
	  .ops = { .filter = &filter_ops },
	  .session_bytes = 13 },
	{ .magic = LW_ABI_MAGIC,
	  .abi_minor = LW_ABI_MINOR,
	  .size = sizeof(struct lw_module),
	  .kind = LW_KIND_OUTSIDE_UDP,
	  .name = "outside-rec",
	  .life = &life,
	  .counters = counters,
	  .ops = { .udp = &udp_ops },
	  .session_bytes = 0 },
	{ .magic = LW_ABI_MAGIC,
	  .abi_minor = LW_ABI_MINOR,
	  .size = sizeof(struct lw_module),
	  .kind = LW_KIND_INSIDE,
	  .name = "inside-rec",
	  .life = &life,
	  .counters = no_counters,
	  .ops = { .inside = &inside_ops },
	  .session_bytes = 8 },
	{ .magic = LW_ABI_MAGIC,
	  .abi_minor = LW_ABI_MINOR,
	  .size = sizeof(struct lw_module),
	  .kind = LW_KIND_AUTH,
	  .name = "auth-rec",
	  .life = &life,
	  .counters = counters,
	  .ops = { .auth = &auth_ops },
	  .session_bytes = 1 },
};
const struct lw_module eb_least = { .magic = LW_ABI_MAGIC,
	                            .abi_minor = LW_ABI_MINOR,
	                            .size = sizeof(struct lw_module),
	                            .kind = LW_KIND_AUTH,
	                            .name = "auth-least",
	                            .life = &least_life,
	                            .counters = NULL,
	                            .ops = { .auth = &auth_ops },
	                            .session_bytes = 0 };

/* --- the bed --- */

static void on_stop(struct lw_mail *m)
{
	struct eb_stop *s = (struct eb_stop *)(void *)m;

	(void)__atomic_add_fetch(&s->bed->stops, 1, __ATOMIC_RELAXED);
	s->bed->engine.cores[s->worker].stop = true;
}

struct engine_bed *eb_create(void)
{
	struct engine_bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	for (int i = 0; i < EB_MODULES; i++) {
		b->insts[i] = (struct eb_inst){ .bed = b, .letter = (char)('A' + i) };
		b->opts[i].inst = &b->insts[i];
	}
	for (uint32_t i = 0; i < EB_WORKERS; i++)
		b->stop[i] = (struct eb_stop){ { .deliver = on_stop }, b, i };
	b->workers = 1;
	b->inside_r = -EAGAIN;
	b->inside_fd = -1;
	return b;
}

int eb_start(struct engine_bed *b)
{
	struct lw_engine *e = &b->engine;
	int r = lw_engine_init(e, b->workers, &b->err);

	for (int i = 0; r == 0 && i < EB_MODULES; i++) {
		r = lw_engine_add(e, &eb_modules[i], &b->opts[i], &b->in[i], &b->err);
		if (r == 0)
			r = lw_engine_prepare(b->in[i], LW_ROLE_CLIENT, EB_MTU, &b->err);
	}
	if (r == 0)
		r = lw_engine_attach(e, b->in[2], EB_MTU, &b->err);
	if (r == 0)
		r = lw_engine_start(e, &b->err);
	return r;
}

void eb_stop(struct engine_bed *b)
{
	for (uint32_t i = 0; b->engine.running && i < b->workers; i++)
		lw_engine_call(&b->engine, i, &b->stop[i].mail);
	lw_engine_join(&b->engine);
}

void eb_destroy(struct engine_bed *b)
{
	eb_fail_alloc = 0;
	lw_engine_fini(&b->engine);
	free(b);
}

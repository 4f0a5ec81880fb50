/* SPDX-License-Identifier: MIT */
#ifndef LW_MODULE_INSTANCE_H
#define LW_MODULE_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

struct lw_instance;

/* capabilities whose reasons are kept: those in the lowest bits of lw_caps.flags */
#define LW_INSTANCE_CAPS 8

/* what lw_host offers and only the engine can do; any may be NULL, which refuses it */
struct lw_hooks {
	void *arg;
	int (*watch)(void *arg, struct lw_instance *in, struct lw_worker *w, int fd, uint32_t tag);
	void (*unwatch)(void *arg, struct lw_instance *in, struct lw_worker *w, int fd);
	void (*random)(struct lw_worker *w, void *buf, uint32_t len);
	int (*defer)(void *arg, void (*fn)(void *fn_arg), void *fn_arg);
	void (*answer)(void *arg, uint64_t token, const struct lw_auth_answer *a);
};

/* one use of a module, with its life and its workers' views */
struct lw_instance {
	struct lw_host host; /* first: a module's host pointer leads back here */
	const struct lw_module *module;
	const struct lw_hooks *hooks;
	void *inst;
	const void *conf;
	struct lw_caps caps;
	struct lw_worker *workers; /* n_workers of them */
	bool *started;
	uint64_t *counters; /* n_counters a worker */
	uint32_t n_workers;
	uint32_t n_counters;
	bool prepared;
	/* what the module said last of a capability that it does not grant, by number of its bit */
	char why[LW_INSTANCE_CAPS][LW_WHY_MAX];
};

/**
 * lw_instance_create() - make an instance; nothing is opened yet
 *
 * @opts:  the module's options; must live as long as the instance
 * @hooks: must live as long as the instance
 *
 * Context: control thread, as all calls here but where said.
 * Return:  0 or a negative errno with a sentence in @err.
 */
int lw_instance_create(const struct lw_module *m, const void *opts, const struct lw_hooks *hooks,
                       uint32_t n_workers, struct lw_instance **ret, struct lw_err *err);

/* lw_instance_prepare() - the step with privileges; caps is filled; -EOPNOTSUPP: try another */
int lw_instance_prepare(struct lw_instance *in, const struct lw_env *env, struct lw_err *err);

/* lw_instance_start() - begin on a worker: before its thread runs, or on it */
int lw_instance_start(struct lw_instance *in, uint32_t worker, struct lw_err *err);

/* lw_instance_stop() - end on a worker; one that was not started is left alone */
void lw_instance_stop(struct lw_instance *in, uint32_t worker);

/* lw_instance_destroy() - stop everywhere, destroy, free; takes NULL */
void lw_instance_destroy(struct lw_instance *in);

/* lw_instance_ready() - a descriptor that it watches on the control thread is readable */
void lw_instance_ready(struct lw_instance *in, uint32_t tag);

/**
 * lw_instance_why() - why a capability is not granted
 *
 * @cap: one of LW_CAP_*
 *
 * Context: control thread.
 * Return:  what was said last, "" for nothing; belongs to the instance.
 */
const char *lw_instance_why(const struct lw_instance *in, uint64_t cap);

/* lw_instance_counter() - sum of a counter over the workers; any thread */
uint64_t lw_instance_counter(const struct lw_instance *in, uint32_t i);

/**
 * lw_instances_layout() - give each instance its place in the sessions' module bytes
 *
 * Return: bytes that a session needs in all.
 */
uint32_t lw_instances_layout(struct lw_instance *const *list, uint32_t n);

#endif

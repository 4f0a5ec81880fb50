/* SPDX-License-Identifier: MIT */
/*
 * What both daemons are made of: module instances, workers, helpers, and the control thread's loop
 * with its signals. The role is put into the path of each core before lw_engine_start().
 */
#ifndef LW_WORKER_ENGINE_H
#define LW_WORKER_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "module/instance.h"
#include "worker/helper.h"
#include "worker/worker.h"

#define LW_ENGINE_INSTANCES 48u
#define LW_ENGINE_WORKERS   255u /* one byte of a session's id names the worker */
/* for what may block: while a hash is checked another login, or a module, is not kept waiting. More
 * of them would take more of the processors from workers whenever many log in */
#define LW_HELPER_THREADS 2u
#define LW_HELPER_QUEUE   1024u

struct lw_engine;

/* a descriptor of the control thread */
struct lw_control_watch {
	int fd;
	uint32_t tag;
	struct lw_instance *in; /* NULL: call fn */
	void (*fn)(void *arg);
	void *arg;
};

struct lw_engine {
	struct lw_core *cores; /* n_workers, each a worker */
	uint32_t n_workers;
	struct lw_hooks hooks;
	struct lw_helpers *helpers;
	struct lw_mailbox mail; /* of the control thread */
	struct lw_instance *instances[LW_ENGINE_INSTANCES];
	uint32_t n_instances;
	struct lw_instance *inside;
	bool lane;            /* Expresslane is on */
	uint32_t state_bytes; /* modules' bytes of a session, after lw_engine_prepare() */
	struct lw_control_watch watches[64];
	uint32_t n_watches;
	int epfd;
	int signal_fd;
	int signal;   /* that ended the loop, 0: none */
	bool running; /* workers were started */
	bool stop;    /* the control loop ends */
	bool wake;    /* lw_engine_run() returns: its caller's deadlines have moved */
	void (*answer)(void *arg, uint64_t token, const struct lw_auth_answer *a);
	void *answer_arg;
};

/**
 * lw_engine_init() - nothing runs; SIGINT, SIGTERM and SIGHUP are blocked from here on
 *
 * @workers: 1..LW_ENGINE_WORKERS
 *
 * Context: control thread, as all calls here but where said.
 * Return:  0 or a negative errno; lw_engine_fini() also after a failure.
 */
int lw_engine_init(struct lw_engine *e, uint32_t workers, struct lw_err *err);

/* lw_engine_fini() - waits for the workers; stops and destroys all instances in reverse */
void lw_engine_fini(struct lw_engine *e);

/**
 * lw_engine_add() - one more instance
 *
 * @opts: lives as long as the engine
 *
 * Return: 0 or a negative errno with a sentence.
 */
int lw_engine_add(struct lw_engine *e, const struct lw_module *m, const void *opts,
                  struct lw_instance **ret, struct lw_err *err);

/* lw_engine_remove() - undo the last lw_engine_add(): it answered -EOPNOTSUPP, another is tried */
void lw_engine_remove(struct lw_engine *e, struct lw_instance *in);

/* lw_engine_prepare() - the step with privileges of one instance, for all workers */
int lw_engine_prepare(struct lw_instance *in, uint32_t role, uint32_t inside_mtu,
                      struct lw_err *err);

/**
 * lw_engine_attach() - make ports, chain and inside of the instances, and the batches, on each
 * worker
 *
 * To be followed by the role's own preparation, then by lw_engine_start().
 */
int lw_engine_attach(struct lw_engine *e, struct lw_instance *inside, uint32_t inside_mtu,
                     struct lw_err *err);

/* lw_engine_start() - start the instances on the workers, then their threads */
int lw_engine_start(struct lw_engine *e, struct lw_err *err);

/* lw_engine_watch() - call fn(arg) when this descriptor is readable (level-triggered) */
int lw_engine_watch(struct lw_engine *e, int fd, void (*fn)(void *arg), void *arg);
void lw_engine_unwatch(struct lw_engine *e, int fd);

/* lw_engine_run() - the control loop, until a signal, e->stop or e->wake; at most max_us when not
 * UINT64_MAX */
void lw_engine_run(struct lw_engine *e, uint64_t max_us);

/* lw_engine_counters() - fn(arg, "MODULE.NAME", value) for each counter of each module, summed over
 * its instances and workers; control thread */
void lw_engine_counters(const struct lw_engine *e,
                        void (*fn)(void *arg, const char *name, uint64_t value), void *arg);

/* lw_engine_call() - any thread: run m->deliver(m) on a worker */
void lw_engine_call(struct lw_engine *e, uint32_t worker, struct lw_mail *m);

/* lw_engine_join() - wait for all workers, whose `stop` mail has set or will set. Mail to one that
 * has ended by itself is delivered here, on the control thread */
void lw_engine_join(struct lw_engine *e);

/* lw_engine_failed() - why a worker ended by itself, negative errno; 0: none has */
int lw_engine_failed(const struct lw_engine *e);

#endif

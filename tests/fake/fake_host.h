/* SPDX-License-Identifier: MIT */
/*
 * A host for the tests of one module: it records what the module asks for and runs nothing by
 * itself, so that a test decides when a helper runs.
 */
#ifndef LW_TESTS_FAKE_HOST_H
#define LW_TESTS_FAKE_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

#define LW_FAKE_WATCHES  256
#define LW_FAKE_ANSWERS  64
#define LW_FAKE_DEFERS   64
#define LW_FAKE_COUNTERS 64
#define LW_FAKE_CAPS     64

struct lw_fake_watch {
	int fd;
	uint32_t tag;
	const struct lw_worker *worker; /* NULL: control thread */
};

struct lw_fake_answer {
	uint64_t token;
	struct lw_auth_answer answer;
};

struct lw_fake_host {
	struct lw_host host; /* first: a module's host pointer is this struct */
	struct lw_fake_watch watches[LW_FAKE_WATCHES];
	uint32_t n_watches;
	struct lw_fake_answer answers[LW_FAKE_ANSWERS];
	uint32_t n_answers;
	struct {
		void (*fn)(void *arg);
		void *arg;
	} defers[LW_FAKE_DEFERS];
	uint32_t n_defers;
	uint32_t n_logs[LW_LOG_DEBUG + 1];
	char last_log[512];
	char why[LW_FAKE_CAPS][LW_WHY_MAX]; /* what lacks() said last, by the capability's bit */
};

/* lw_fake_host_init() - a host that has seen nothing */
void lw_fake_host_init(struct lw_fake_host *f);

/* lw_fake_watch_of() - the watch of a descriptor, NULL when there is none */
const struct lw_fake_watch *lw_fake_watch_of(const struct lw_fake_host *f, int fd);

/* lw_fake_why() - what the module said last of a capability that it lacks, "" for nothing */
const char *lw_fake_why(const struct lw_fake_host *f, uint64_t cap);

/* lw_fake_run_defers() - run what the module deferred, in order, on this thread */
void lw_fake_run_defers(struct lw_fake_host *f);

/* one worker with counters, for the data-path calls of a test */
struct lw_fake_worker {
	struct lw_worker w;
	uint64_t counters[LW_FAKE_COUNTERS];
};

/* lw_fake_worker_init() - worker number @index of an instance of @m */
void lw_fake_worker_init(struct lw_fake_worker *fw, struct lw_fake_host *f,
                         const struct lw_module *m, uint32_t index);

/* lw_fake_counter() - a counter by its name; a name that the module lacks ends the test program */
uint64_t lw_fake_counter(const struct lw_fake_worker *fw, const struct lw_module *m,
                         const char *name);

/* lw_fake_batch_create() - a batch with cap descriptors and an arena; ends the program when memory
 * is short */
struct lw_batch *lw_fake_batch_create(uint32_t cap, uint32_t arena, bool endpoints);
void lw_fake_batch_destroy(struct lw_batch *b);

/* lw_fake_batch_add() - append a packet with these bytes */
struct lw_packet *lw_fake_batch_add(struct lw_batch *b, const void *data, uint32_t len);

#endif

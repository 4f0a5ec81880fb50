/* SPDX-License-Identifier: MIT */
/*
 * An engine and modules that write down what is asked of them. Programs that use it are linked with
 * --wrap for calloc, malloc and aligned_alloc.
 */
#ifndef LW_TESTS_ENGINE_BED_H
#define LW_TESTS_ENGINE_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/engine.h"

#define EB_MODULES 4
#define EB_WORKERS 3 /* most of them */
#define EB_MTU     1350u

struct engine_bed;

/* one instance's options, and the instance itself */
struct eb_inst {
	struct engine_bed *bed;
	char letter; /* in the log */
	int create_r;
	int prepare_r;
	uint64_t wanted; /* LW_CAP_* that prepare() was told of */
	bool not_super;  /* it grants nothing */
	uint64_t grants; /* LW_CAP_* that it grants besides */
	uint64_t lacks;  /* LW_CAP_* of which it says why, NULL: nothing */
	const char *why;
	int start_r;
	uint32_t start_at; /* on this worker */
	bool mute;         /* fails without a sentence */
	const struct lw_host *host;
	struct lw_worker *w;
	bool defer_at_end; /* destroy() asks for a helper */
	int defer_r;
};

struct eb_opts {
	struct eb_inst *inst;
};

/* what stops one worker */
struct eb_stop {
	struct lw_mail mail; /* first */
	struct engine_bed *bed;
	uint32_t worker;
};

struct engine_bed {
	struct lw_engine engine;
	uint32_t workers; /* 1 unless the test sets it before eb_start() */
	struct eb_inst insts[EB_MODULES];
	struct eb_opts opts[EB_MODULES];
	struct lw_instance *in[EB_MODULES];
	struct eb_stop stop[EB_WORKERS];
	uint32_t stops;     /* how often they were delivered; atomic */
	int inside_r;       /* what the inside's recv() says */
	int inside_fd;      /* what it watches on the worker, -1: nothing */
	uint32_t inside_at; /* on this worker */
	char log[1024];     /* "stepLETTER "; the worker's number follows where there are several */
	struct lw_err err;
};

/* the modules, by kind: filter, outside_udp, inside, auth; the second has counters */
extern const struct lw_module eb_modules[EB_MODULES];
/* one whose life has only what is required, and ends before ready() */
extern const struct lw_module eb_least;

/* eb_create() - an engine that was not initialised, and options for one instance of each module */
struct engine_bed *eb_create(void);

/* eb_destroy() - lw_engine_fini() and free() */
void eb_destroy(struct engine_bed *b);

/* eb_start() - init, add and prepare all, attach, start: until one fails */
int eb_start(struct engine_bed *b);

/* eb_stop() - the workers end, as the daemons do it */
void eb_stop(struct engine_bed *b);

/* the how manyth allocation from now on fails, 0: none */
extern int eb_fail_alloc;

#endif

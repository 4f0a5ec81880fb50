/* SPDX-License-Identifier: MIT */
/* Who seals and opens the AES-256-GCM records of the worker's TLS sessions. */
#ifndef LW_WORKER_RECORDS_H
#define LW_WORKER_RECORDS_H

#include <stdint.h>

struct lw_engine;

/**
 * lw_records_choose() - the engine's cipher for all workers, where it is faster than wolfSSL; logs
 * which, and why
 *
 * The cipher must have answered the questions of lw_cipher_examine(). Nothing that fails here is an
 * error: wolfSSL can always do it. Takes a few milliseconds.
 *
 * Context: control thread, when the instances are started and before the worker runs.
 */
void lw_records_choose(struct lw_engine *e);

/* lw_records_name() - for people: the module, or "wolfssl" */
const char *lw_records_name(const struct lw_engine *e);

/* lw_records_counters() - fn(arg, name, value) for what a module has done; zeros without one */
void lw_records_counters(const struct lw_engine *e,
                         void (*fn)(void *arg, const char *name, uint64_t value), void *arg);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef LW_WORKER_HELPER_H
#define LW_WORKER_HELPER_H

#include <stdint.h>

struct lw_helpers;

/**
 * lw_helpers_create() - threads for work that may block, or that workers should not wait for
 *
 * They give way to all other threads of the process. Work that takes long and work that must be
 * done soon want helpers of their own.
 *
 * @threads: how many, at least 1
 * @queue:   calls that may wait
 *
 * Context: control thread.
 * Return:  0 or a negative errno.
 */
int lw_helpers_create(uint32_t threads, uint32_t queue, struct lw_helpers **ret);

/* lw_helpers_destroy() - finish what was queued, then end the threads; takes NULL */
void lw_helpers_destroy(struct lw_helpers *h);

/* lw_helpers_call() - run fn(arg) on a helper; any thread; 0, or -EAGAIN: queue full */
int lw_helpers_call(struct lw_helpers *h, void (*fn)(void *arg), void *arg);

#endif

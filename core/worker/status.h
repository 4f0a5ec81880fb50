/* SPDX-License-Identifier: MIT */
/* What a daemon of either role answers to `lanewayctl status` about its engine. */
#ifndef LW_WORKER_STATUS_H
#define LW_WORKER_STATUS_H

#include "control/json.h"

struct lw_engine;

/**
 * lw_engine_status() - members of the answer: "offloads", "bursts" and "counters"
 *
 * @e:        an engine that was attached
 * @counters: adds counters of the role in front of the others, NULL: it has none
 * @arg:      handed to @counters
 *
 * Context: control thread.
 */
void lw_engine_status(const struct lw_engine *e, struct lw_json *out,
                      void (*counters)(const void *arg, struct lw_json *out), const void *arg);

#endif

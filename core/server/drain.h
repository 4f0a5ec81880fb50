/* SPDX-License-Identifier: MIT */
/* The quiet way to end a server: nobody new is let in, and it ends with its last session. */
#ifndef LW_SERVER_DRAIN_H
#define LW_SERVER_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/err.h>

#include "control/json.h"

struct lw_sessions_common;

struct lw_drain {
	struct lw_sessions_common *common; /* whose `draining` says whether it is on */
	uint64_t until_us;                 /* UINT64_MAX: without an end */
};

/**
 * lw_drain_command() - "drain", "drain TIME", "drain off"
 *
 * @at: now, in us, as in all calls here
 *
 * Context: control thread, as all calls here.
 * Return:  0, -ENOSYS (it is another command), or -EINVAL with a sentence in @err.
 */
int lw_drain_command(struct lw_drain *d, const char *command, uint64_t at, struct lw_json *out,
                     struct lw_err *err);

/* lw_drain_status() - members "draining" and, where it has an end, "drain_left_s" */
void lw_drain_status(const struct lw_drain *d, uint64_t at, struct lw_json *out);

/* lw_drain_done() - is it time for the daemon to end? Then the log says why */
bool lw_drain_done(const struct lw_drain *d, uint64_t at);

/* lw_drain_look_us() - how long until lw_drain_done() is worth a look; UINT64_MAX: it is off */
uint64_t lw_drain_look_us(const struct lw_drain *d, uint64_t at);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Commands that concern every session: they ask one worker after the other by mail, a bounded round
 * at a time, and answer late.
 */
#ifndef LW_SERVER_SURVEY_H
#define LW_SERVER_SURVEY_H

#include <stdint.h>

#include <laneway/err.h>

#include "control/control.h"

/* that may be under way: some may wait for a client, and some for a worker after theirs has gone */
#define LW_SURVEYS_MAX (2u * LW_CONTROL_CLIENTS)

struct lw_engine;
struct lw_survey;

/* those under way */
struct lw_surveys {
	struct lw_engine *engine; /* its workers' roles are struct lw_sessions */
	struct lw_survey *first;
	uint32_t n;
};

/**
 * lw_survey_command() - "sessions", "kick ID...", "kick-user NAME"
 *
 * @out: the answer, to which what comes first is added
 *
 * Context: control thread, while the workers run.
 * Return:  -EINPROGRESS with *ret_late, -ENOSYS (it is another command), -EINVAL, -EBUSY (too many
 *          are under way), -ENOMEM; the last three with a sentence in @err.
 */
int lw_survey_command(struct lw_surveys *all, const char *command, struct lw_json *out,
                      struct lw_control_late **ret_late, struct lw_err *err);

/* lw_surveys_end() - workers and sessions have ended: what is under way will not be answered.
 * Before lw_control_close() and lw_engine_fini() */
void lw_surveys_end(struct lw_surveys *all);

#endif

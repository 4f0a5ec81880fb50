/* SPDX-License-Identifier: MIT */
/* What a user types, as the line that a daemon understands. */
#ifndef LW_CTL_COMMAND_H
#define LW_CTL_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/err.h>

#include "control/control.h"

/* the words and those options that belong to one command; NULL or false: not given */
struct lw_ctl_words {
	const char *const *word; /* the command, then what follows it */
	uint32_t n;
	const char *user;
	const char *timeout;
	bool off;
};

/**
 * lw_ctl_command() - check a command and write it as one line, without its end
 *
 * Context: any thread.
 * Return:  0, or -EINVAL with a sentence in @err.
 */
int lw_ctl_command(const struct lw_ctl_words *w, char line[LW_CONTROL_REQUEST_MAX],
                   struct lw_err *err);

#endif

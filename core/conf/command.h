/* SPDX-License-Identifier: MIT */
/* The command line that both daemons share, and their exit codes. */
#ifndef LW_CONF_COMMAND_H
#define LW_CONF_COMMAND_H

#include "conf/conf.h"

enum {
	LW_EXIT_USAGE = 64,
	LW_EXIT_NO_SERVER = 69,
	LW_EXIT_SYSTEM = 71,
	LW_EXIT_IN_USE = 75,
	LW_EXIT_NOT_PERMITTED = 77,
	LW_EXIT_CONFIG = 78
};

/* lw_exit_code() - the exit code for a negative errno of a start that failed */
int lw_exit_code(int error);

/**
 * lw_command_read() - command line, file and environment
 *
 * @options: zeroed struct of the program
 * @finish:  the program's own checks, which may call lw_conf_error(); after all others
 * @ret:     the configuration, when the daemon is to run
 *
 * Context: control thread.
 * Return:  -1: run; else the exit code: the work was to print something, or there are mistakes,
 *          which are told.
 */
int lw_command_read(const struct lw_conf_program *program, int argc, char **argv, void *options,
                    struct lw_loader *loader, void (*finish)(struct lw_conf *c, void *options),
                    struct lw_conf **ret);

#endif

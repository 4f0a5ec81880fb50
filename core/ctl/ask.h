/* SPDX-License-Identifier: MIT */
#ifndef LW_CTL_ASK_H
#define LW_CTL_ASK_H

#include <laneway/err.h>

/**
 * lw_ctl_ask() - send a command to a daemon and take its answer
 *
 * @socket:  path of the daemon's socket
 * @command: without a line end
 * @ret:     set on success: the answer, ends with a zero; free with free()
 * @err:     a sentence on failure
 *
 * Context: waits at most some seconds for anything to come.
 * Return:  0, -ENOENT or -ECONNREFUSED (nobody is there), -EACCES, -EBADMSG, -ETIMEDOUT, -EFBIG,
 * ...
 */
int lw_ctl_ask(const char *socket, const char *command, char **ret, struct lw_err *err);

#endif

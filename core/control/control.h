/* SPDX-License-Identifier: MIT */
/*
 * The unix socket on which a daemon answers lanewayctl.
 *
 * A client sends one line, the command, and gets one JSON object and the end of the connection.
 * Every answer begins with "schema" and "version"; lanewayctl(1) describes the rest.
 */
#ifndef LW_CONTROL_CONTROL_H
#define LW_CONTROL_CONTROL_H

#include <laneway/err.h>

#include "control/json.h"

#define LW_CONTROL_SCHEMA      1
#define LW_CONTROL_CLIENTS     16  /* one more, and the oldest is dropped */
#define LW_CONTROL_REQUEST_MAX 256 /* bytes of a command with its line end */

/**
 * typedef lw_control_handler - answer one command
 *
 * @arg:     as given to lw_control_open()
 * @command: the line without its end
 * @out:     inside the answer's object: add members. On failure what was added is thrown away
 * @err:     why not, for the client
 *
 * Return: 0, -ENOSYS (no such command; err need not be filled), or any other negative errno.
 */
typedef int lw_control_handler(void *arg, const char *command, struct lw_json *out,
                               struct lw_err *err);

struct lw_control;

/**
 * lw_control_open() - listen on a unix socket
 *
 * @path:    of the socket; the directory that holds it is made (0755) when it is missing. A socket
 *           on which nobody answers is removed
 * @group:   members may connect too (mode 0660); NULL: the owner only (0600)
 * @handler: called for every command but "version"
 * @arg:     the handler's
 * @ret:     set on success; close with lw_control_close()
 * @err:     a sentence on failure; option "socket" or "group"
 *
 * Context: control thread, before privileges are dropped.
 * Return:  0, -EADDRINUSE (another daemon answers there), -ENAMETOOLONG, -EEXIST (the path is no
 *          socket), -ENOENT (no such group), -ENOMEM, or what the failing call said.
 */
int lw_control_open(const char *path, const char *group, lw_control_handler *handler, void *arg,
                    struct lw_control **ret, struct lw_err *err);

/* lw_control_fd() - readable while lw_control_step() has something to do */
int lw_control_fd(const struct lw_control *c);

/**
 * lw_control_step() - accept, read and answer, without waiting for anybody
 *
 * Context: control thread.
 * Return:  0: nothing is left to do; 1: call again after the other events.
 */
int lw_control_step(struct lw_control *c);

/* lw_control_close() - drop the clients and remove the socket if it is still ours; takes NULL */
void lw_control_close(struct lw_control *c);

#endif

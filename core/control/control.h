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
#define LW_CONTROL_CLIENTS     16   /* one more, and the oldest is dropped */
#define LW_CONTROL_REQUEST_MAX 4096 /* bytes of a command with its line end */

struct lw_control_client;

/**
 * struct lw_control_late - an answer that is made bit by bit, while the control thread does other
 * things
 *
 * @wake:   called when the client has taken all that was pushed: time for more; and when it has
 *          gone, which lw_control_out() tells: then nobody else knows of this any more
 * @client: the control socket's
 *
 * Lives in the handler's own object, up to the wake that says that the client has gone, or to
 * lw_control_finish(). wake may be called from within lw_control_push() and lw_control_close().
 */
struct lw_control_late {
	void (*wake)(struct lw_control_late *late);
	struct lw_control_client *client;
};

/**
 * typedef lw_control_handler - answer one command
 *
 * @arg:      as given to lw_control_open()
 * @command:  the line without its end
 * @out:      inside the answer's object: add members. On failure what was added is thrown away
 * @ret_late: set with -EINPROGRESS: who will end the answer with lw_control_finish(), but not
 *            before the handler has returned
 * @err:      why not, for the client
 *
 * Return: 0, -EINPROGRESS, -ENOSYS (no such command; err need not be filled), or any other negative
 *         errno.
 */
typedef int lw_control_handler(void *arg, const char *command, struct lw_json *out,
                               struct lw_control_late **ret_late, struct lw_err *err);

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

/* lw_control_out() - the answer so far: add members; NULL: the client has gone */
struct lw_json *lw_control_out(const struct lw_control_late *late);

/**
 * lw_control_push() - send what was added, and forget it; wake follows, perhaps before this returns
 *
 * An answer of any length so takes the memory of its longest part, and a client that stops reading
 * stops the making of it.
 *
 * Context: control thread; not between a push and its wake.
 */
void lw_control_push(struct lw_control_late *late);

/**
 * lw_control_finish() - the answer is complete; @late is no longer known here
 *
 * @r:   0, or a negative errno: the client gets @err instead, or, if a part of the answer is with
 * it already, a document without an end
 * @err: a sentence, when @r is negative
 *
 * Context: control thread; not between a push and its wake but when @r is negative. Nothing happens
 *          when the client has gone.
 */
void lw_control_finish(struct lw_control_late *late, int r, const struct lw_err *err);

/* lw_control_close() - drop the clients and remove the socket if it is still ours; takes NULL */
void lw_control_close(struct lw_control *c);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Names of servers to addresses, on a thread of its own: a resolver that does not answer takes half
 * a minute to say so, and must keep nobody from ending the client.
 */
#ifndef LW_CLIENT_RESOLVE_H
#define LW_CLIENT_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/attempts.h"
#include "client/client.h"
#include "worker/mailbox.h"

struct lw_resolve;

/* all addresses of all servers, at most as many as can be tried */
struct lw_resolved {
	struct lw_target targets[LW_CLIENT_SERVERS];
	uint32_t n;
	char why[128]; /* there is none of some server, "" when there is of all */
};

/* lw_resolve_numeric() - without asking anybody; false: some server is a name. Cannot block */
bool lw_resolve_numeric(const struct lw_client_server *servers, uint32_t n,
                        struct lw_resolved *ret);

/**
 * lw_resolve_start() - look them up
 *
 * @servers: copied
 * @mb:      of the caller's thread; outlives the look-up, or lw_resolve_drop()
 * @done:    called there with what was found
 *
 * Return: 0, -ENOMEM or -EAGAIN (no thread).
 */
int lw_resolve_start(const struct lw_client_server *servers, uint32_t n, struct lw_mailbox *mb,
                     void (*done)(void *arg, const struct lw_resolved *found), void *arg,
                     struct lw_resolve **ret);

/* lw_resolve_drop() - the answer has come, or is no longer wanted; the caller's thread; takes NULL
 */
void lw_resolve_drop(struct lw_resolve *r);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The client's part of the worker: all servers are tried together, the first that comes online
 * wins and the others are told goodbye.
 */
#ifndef LW_CLIENT_ATTEMPTS_H
#define LW_CLIENT_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/worker.h"

#define LW_CLIENT_SERVERS 16u

/* a server's address; a name with several gives several */
struct lw_target {
	struct lw_addr addr;
	uint32_t server; /* index in the configuration, for people */
	bool tcp;
};

struct lw_attempt {
	struct lw_timed timed; /* first */
	struct lw_target target;
	bool live;
};

/* what the control thread is told, on the worker's thread */
struct lw_attempts_ops {
	/* one won; the tunnel stays valid until lost() */
	void (*online)(void *arg, const struct lw_attempt *a);
	/* none is left: the winner ended, or all failed; the last reason and sentence */
	void (*lost)(void *arg, enum lw_close_reason reason, const char *text);
};

struct lw_attempts {
	struct lw_core *core;
	struct lw_tls_ctx *tls;
	const struct lw_tunnel_conf *conf;
	const struct lw_attempts_ops *ops;
	void *arg;
	struct lw_port *udp; /* NULL: no server of that kind */
	struct lw_port *tcp;
	struct lw_attempt attempts[LW_CLIENT_SERVERS];
	struct lw_attempt *winner;
	uint32_t n_live;
	uint64_t serial;
	enum lw_close_reason worst; /* of the failed ones: a refused login tells most */
	char text[192];
};

/* lw_attempts_init() - nothing tried; core->path gets this role; control thread */
void lw_attempts_init(struct lw_attempts *a, struct lw_core *core, struct lw_tls_ctx *tls,
                      const struct lw_tunnel_conf *conf, const struct lw_attempts_ops *ops,
                      void *arg);

/* lw_attempts_begin() - worker's thread: try these, at most LW_CLIENT_SERVERS. What cannot even
 * begin counts as failed; lost() may be called before this returns */
void lw_attempts_begin(struct lw_attempts *a, const struct lw_target *targets, uint32_t n);

/* lw_attempts_end() - worker's thread, or any after it has ended: Goodbye to whatever there is;
 * lost() is not called. Again: does nothing */
void lw_attempts_end(struct lw_attempts *a);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Logins on their way through the authenticators: asked in order on helper threads, answered by
 * mail to the worker. Nobody said yes means no.
 */
#ifndef LW_SERVER_AUTH_H
#define LW_SERVER_AUTH_H

#include <pthread.h>
#include <stdint.h>

#include <laneway/module.h>

#include "server/server.h"
#include "session/tunnel.h"
#include "worker/helper.h"
#include "worker/mailbox.h"

/* logins that may be on their way at once; more are refused at once */
#define LW_AUTH_JOBS 256u
/* as many as a configuration may name */
#define LW_AUTH_BACKENDS LW_SERVER_USES

struct lw_auth;

struct lw_auth_job {
	struct lw_mail mail; /* first: what the worker gets */
	struct lw_auth *auth;
	struct lw_login *login;
	struct lw_auth_request rq;
	struct lw_auth_answer answer;
	void *session;      /* the worker's; NULL: it has gone meanwhile */
	uint32_t abandoned; /* relaxed: no backend need be asked any more */
	uint32_t backend;
	uint32_t generation;
	int busy; /* 0 free, 1 with the backends, 2 answered */
};

struct lw_auth {
	pthread_mutex_t lock;
	uint32_t worker;
	struct lw_helpers *helpers;
	struct lw_mailbox *mail;                              /* the worker's */
	void (*answered)(void *arg, struct lw_auth_job *job); /* on the worker's thread */
	void *arg;
	struct {
		const struct lw_auth_ops *ops;
		void *inst;
	} backends[LW_AUTH_BACKENDS];
	uint32_t n_backends;
	struct lw_auth_job jobs[LW_AUTH_JOBS];
};

/* lw_auth_init() - no login on its way; control thread */
void lw_auth_init(struct lw_auth *a, uint32_t worker, struct lw_helpers *helpers,
                  struct lw_mailbox *mail, void (*answered)(void *arg, struct lw_auth_job *job),
                  void *arg);
void lw_auth_fini(struct lw_auth *a);

/**
 * lw_auth_submit() - send a login on its way
 *
 * @login:   taken, also on failure
 * @session: handed back in the job
 *
 * Context: the worker.
 * Return:  the job, so that the session can take its name off it; NULL: too many at once.
 */
struct lw_auth_job *lw_auth_submit(struct lw_auth *a, struct lw_login *login,
                                   const struct lw_addr *from, void *session);

/* lw_auth_abandon() - its session has gone: a backend that was not asked yet will not be; worker */
void lw_auth_abandon(struct lw_auth_job *job);

/* lw_auth_worker() - whose logins a token belongs to; of a wrong one any number */
static inline uint32_t lw_auth_worker(uint64_t token)
{
	return (uint32_t)token >> 16;
}

/* lw_auth_answer() - lw_host.answer(): any thread; a late or second one is ignored */
void lw_auth_answer(struct lw_auth *a, uint64_t token, const struct lw_auth_answer *answer);

/* lw_auth_done() - the worker has used the answer: the job is free again */
void lw_auth_done(struct lw_auth_job *job);

#endif

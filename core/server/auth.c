/* SPDX-License-Identifier: MIT */
#include "server/auth.h"

#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"

enum { FREE, ASKED, ANSWERED };

static void wipe_login(struct lw_auth_job *job)
{
	if (job->login == NULL)
		return;
	lw_wipe(job->login, sizeof(*job->login));
	free(job->login);
	job->login = NULL;
}

static void deliver(struct lw_mail *m)
{
	struct lw_auth_job *job = (struct lw_auth_job *)(void *)m;

	wipe_login(job);
	job->auth->answered(job->auth->arg, job);
}

static void finish(struct lw_auth_job *job, uint32_t verdict)
{
	job->answer.verdict = verdict;
	job->busy = ANSWERED;
	lw_mailbox_post(job->auth->mail, &job->mail);
}

/* On a helper: ask the job's present backend, which may take a second of processor time. */
static void ask(void *arg)
{
	struct lw_auth_job *job = arg;
	struct lw_auth *a = job->auth;
	const struct lw_auth_answer error = { .size = sizeof(error), .verdict = LW_AUTH_ERROR };
	const struct lw_auth_answer no = { .size = sizeof(no), .verdict = LW_AUTH_NO };
	uint64_t token = job->rq.token;

	if (__atomic_load_n(&job->abandoned, __ATOMIC_RELAXED) != 0)
		lw_auth_answer(a, token, &no);
	else if (a->backends[job->backend].ops->submit(a->backends[job->backend].inst, &job->rq) <
	         0)
		lw_auth_answer(a, token, &error);
}

static uint64_t token_of(const struct lw_auth *a, const struct lw_auth_job *job)
{
	return (uint64_t)job->generation << 32 | (uint64_t)a->worker << 16 |
	       (uint64_t)(job - a->jobs);
}

void lw_auth_init(struct lw_auth *a, uint32_t worker, struct lw_helpers *helpers,
                  struct lw_mailbox *mail, void (*answered)(void *arg, struct lw_auth_job *job),
                  void *arg)
{
	(void)pthread_mutex_init(&a->lock, NULL);
	a->worker = worker;
	a->helpers = helpers;
	a->mail = mail;
	a->answered = answered;
	a->arg = arg;
	for (uint32_t i = 0; i < LW_AUTH_JOBS; i++)
		a->jobs[i] = (struct lw_auth_job){ .mail = { .deliver = deliver }, .auth = a };
}

void lw_auth_fini(struct lw_auth *a)
{
	for (uint32_t i = 0; i < LW_AUTH_JOBS; i++)
		wipe_login(&a->jobs[i]);
	(void)pthread_mutex_destroy(&a->lock);
}

static struct lw_auth_job *free_job(struct lw_auth *a)
{
	for (uint32_t i = 0; i < LW_AUTH_JOBS; i++) {
		if (a->jobs[i].busy == FREE)
			return &a->jobs[i];
	}
	return NULL;
}

struct lw_auth_job *lw_auth_submit(struct lw_auth *a, struct lw_login *login,
                                   const struct lw_addr *from, void *session)
{
	struct lw_auth_job *job;

	(void)pthread_mutex_lock(&a->lock);
	job = free_job(a);
	if (job != NULL) {
		job->busy = ASKED;
		job->generation++;
		job->backend = 0;
	}
	(void)pthread_mutex_unlock(&a->lock);
	if (job == NULL) {
		lw_wipe(login, sizeof(*login));
		free(login);
		return NULL;
	}
	job->login = login;
	job->session = session;
	__atomic_store_n(&job->abandoned, 0, __ATOMIC_RELAXED);
	job->rq = (struct lw_auth_request){ .size = sizeof(job->rq),
		                            .method = login->method,
		                            .token = token_of(a, job),
		                            .user = login->user,
		                            .secret = login->secret,
		                            .secret_len = login->secret_len,
		                            .from = *from };
	if (a->n_backends > 0 && lw_helpers_call(a->helpers, ask, job) == 0)
		return job;
	job->session = NULL;
	wipe_login(job);
	lw_auth_done(job);
	return NULL;
}

void lw_auth_answer(struct lw_auth *a, uint64_t token, const struct lw_auth_answer *answer)
{
	uint32_t i = (uint32_t)token & 0xffff;
	struct lw_auth_job *job;

	if (lw_auth_worker(token) != a->worker || i >= LW_AUTH_JOBS)
		return;
	job = &a->jobs[i];
	(void)pthread_mutex_lock(&a->lock);
	if (job->busy != ASKED || job->generation != token >> 32) {
		(void)pthread_mutex_unlock(&a->lock);
		return;
	}
	job->answer = *answer;
	job->answer.user[sizeof(job->answer.user) - 1] = '\0';
	if (answer->verdict == LW_AUTH_YES || answer->verdict == LW_AUTH_NO) {
		finish(job, answer->verdict);
	} else if (++job->backend < a->n_backends) {
		/* a new token: the backend before may not answer twice */
		job->generation++;
		job->rq.token = token_of(a, job);
		if (lw_helpers_call(a->helpers, ask, job) < 0)
			finish(job, LW_AUTH_NO);
	} else {
		finish(job, LW_AUTH_NO);
	}
	(void)pthread_mutex_unlock(&a->lock);
}

void lw_auth_abandon(struct lw_auth_job *job)
{
	job->session = NULL;
	__atomic_store_n(&job->abandoned, 1, __ATOMIC_RELAXED);
}

void lw_auth_done(struct lw_auth_job *job)
{
	(void)pthread_mutex_lock(&job->auth->lock);
	job->session = NULL;
	job->busy = FREE;
	(void)pthread_mutex_unlock(&job->auth->lock);
}

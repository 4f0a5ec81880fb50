/* SPDX-License-Identifier: MIT */
/*
 * Lets everybody in, at once: so that a test or a benchmark measures handshakes and not password
 * hashes. Never installed.
 */
#include <stddef.h>
#include <string.h>

#include <laneway/module.h>

static int anyone_create(const struct lw_host *h, const void *opts, void **ret_inst,
                         const void **ret_conf, struct lw_err *err)
{
	union {
		const struct lw_host *host;
		void *inst;
	} u = { .host = h };

	(void)opts;
	(void)err;
	*ret_inst = u.inst; /* there is nothing else to know */
	*ret_conf = NULL;
	return 0;
}

static void anyone_destroy(void *inst)
{
	(void)inst;
}

static int anyone_submit(void *inst, const struct lw_auth_request *rq)
{
	const struct lw_host *h = inst;
	struct lw_auth_answer a = { .size = sizeof(a), .verdict = LW_AUTH_YES };

	memcpy(a.user, rq->user, strnlen(rq->user, sizeof(a.user) - 1));
	h->answer(h, rq->token, &a);
	return 0;
}

static const struct lw_life_ops life = { .size = sizeof(life),
	                                 .create = anyone_create,
	                                 .destroy = anyone_destroy };

static const struct lw_auth_ops ops = { .size = sizeof(ops), .submit = anyone_submit };

LW_MODULE(LW_KIND_AUTH, "auth-anyone", "0.1.0", "Lets everybody in: for tests only.", NULL, 0, NULL,
          &life, &ops, 0);

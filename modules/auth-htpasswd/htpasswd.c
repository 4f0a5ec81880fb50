/* SPDX-License-Identifier: MIT */
/*
 * Users and passwords from a file of "user:hash" lines, as htpasswd -B makes them.
 *
 * Helpers verify while the control thread may put in new users: a helper borrows the snapshot by
 * count, under the instance's lock, and computes the hash without it.
 */
#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <laneway/module.h>

#include "users.h"

struct options {
	const char *file;
};

/* one file as it was read once */
struct snapshot {
	struct htpasswd_users *users;
	uint32_t refs; /* under inst.lock */
};

struct inst {
	const struct lw_host *host;
	pthread_mutex_t lock;
	struct snapshot *current; /* under lock; holds a reference */
	uint64_t *counters;       /* worker 0's, under lock; NULL while there is no worker */
};

enum { CTR_ACCEPTED, CTR_WRONG_PASSWORD, CTR_UNKNOWN_USER, CTR_OTHER_METHOD, CTR_FAILED };

static const char *const counters[] = {
	[CTR_ACCEPTED] = "accepted",
	[CTR_WRONG_PASSWORD] = "wrong_password",
	[CTR_UNKNOWN_USER] = "unknown_user",
	[CTR_OTHER_METHOD] = "other_method",
	[CTR_FAILED] = "failed",
	NULL,
};

static const struct lw_option options[] = {
	{ .name = "file",
	  .doc = "File of user:hash lines, readable by its owner only; htpasswd -B adds one.",
	  .type = LW_OPT_SECRET_PATH,
	  .flags = LW_OPTF_REQUIRED | LW_OPTF_RELOAD,
	  LW_OPTION_AT(struct options, file) },
	{ .name = NULL },
};

/* Helpers have no worker: they share worker 0's numbers, which nobody else of this module writes.
 */
static void count(struct inst *in, uint32_t counter)
{
	(void)pthread_mutex_lock(&in->lock);
	if (in->counters != NULL) {
		uint64_t *c = &in->counters[counter];

		__atomic_store_n(c, *c + 1, __ATOMIC_RELAXED);
	}
	(void)pthread_mutex_unlock(&in->lock);
}

static struct snapshot *snapshot_take(struct inst *in)
{
	struct snapshot *s;

	(void)pthread_mutex_lock(&in->lock);
	s = in->current;
	if (s != NULL)
		s->refs++;
	(void)pthread_mutex_unlock(&in->lock);
	return s;
}

static void snapshot_drop(struct inst *in, struct snapshot *s)
{
	uint32_t left;

	if (s == NULL)
		return;
	(void)pthread_mutex_lock(&in->lock);
	left = --s->refs;
	(void)pthread_mutex_unlock(&in->lock);
	if (left > 0)
		return;
	htpasswd_users_free(s->users);
	free(s);
}

static void warn_of_weak(const struct inst *in, const char *file, uint32_t n_weak)
{
	if (n_weak > 0)
		lw_log(in->host, LW_LOG_WARN,
		       "%s: %u users have a hash of an outdated kind, make new ones with "
		       "htpasswd -B",
		       file, n_weak);
}

/* a snapshot with the core's reference */
static int snapshot_load(const struct inst *in, const struct options *opts, struct snapshot **ret,
                         struct lw_err *err)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	uint64_t seed;
	int r;

	if (s == NULL)
		return lw_err_set(err, -ENOMEM, "no memory for the users");
	in->host->random(NULL, &seed, sizeof(seed));
	s->refs = 1;
	r = htpasswd_users_load(opts->file, seed, &s->users, err);
	if (r < 0) {
		free(s);
		return r;
	}
	warn_of_weak(in, opts->file, s->users->n_weak);
	*ret = s;
	return 0;
}

/* the core hands snapshots back as the const pointers that it was given */
static struct snapshot *snapshot_of(const void *conf)
{
	union {
		const void *in;
		struct snapshot *out;
	} u = { .in = conf };

	return u.out;
}

/* Helpers use @next from now on; NULL: nobody does any more. */
static void snapshot_use(struct inst *in, struct snapshot *next)
{
	struct snapshot *old;

	(void)pthread_mutex_lock(&in->lock);
	old = in->current;
	in->current = next;
	if (next != NULL)
		next->refs++;
	(void)pthread_mutex_unlock(&in->lock);
	snapshot_drop(in, old);
}

static void htpasswd_destroy(void *inst)
{
	struct inst *in = inst;

	if (in == NULL)
		return;
	snapshot_use(in, NULL);
	(void)pthread_mutex_destroy(&in->lock);
	free(in);
}

static int htpasswd_create(const struct lw_host *h, const void *opts, void **ret_inst,
                           const void **ret_conf, struct lw_err *err)
{
	struct inst *in = calloc(1, sizeof(*in));
	struct snapshot *first = NULL;
	int r;

	if (in == NULL)
		return lw_err_set(err, -ENOMEM, "no memory for the users");
	in->host = h;
	(void)pthread_mutex_init(&in->lock, NULL);
	r = snapshot_load(in, opts, &first, err);
	if (r < 0) {
		htpasswd_destroy(in);
		return r;
	}
	snapshot_use(in, first);
	*ret_inst = in;
	*ret_conf = first;
	return 0;
}

static int htpasswd_reload(void *inst, const void *opts, const void **ret_conf, struct lw_err *err)
{
	struct snapshot *next = NULL;
	int r = snapshot_load(inst, opts, &next, err);

	if (r == 0)
		*ret_conf = next;
	return r;
}

static void htpasswd_worker_conf(void *inst, struct lw_worker *w, const void *next)
{
	(void)w;
	snapshot_use(inst, snapshot_of(next));
}

static void htpasswd_retire(void *inst, const void *conf)
{
	struct inst *in = inst;
	bool in_use;

	(void)pthread_mutex_lock(&in->lock);
	in_use = in->current == conf;
	(void)pthread_mutex_unlock(&in->lock);
	if (in_use) /* the last one, at the end */
		snapshot_use(in, NULL);
	snapshot_drop(in, snapshot_of(conf));
}

static void set_counters(struct inst *in, uint64_t *c)
{
	(void)pthread_mutex_lock(&in->lock);
	in->counters = c;
	(void)pthread_mutex_unlock(&in->lock);
}

static int htpasswd_worker_start(void *inst, struct lw_worker *w, void **ret_state,
                                 struct lw_err *err)
{
	(void)err;
	*ret_state = NULL;
	if (w->index == 0)
		set_counters(inst, w->counters);
	return 0;
}

static void htpasswd_worker_stop(void *inst, struct lw_worker *w)
{
	if (w->index == 0)
		set_counters(inst, NULL);
}

static bool equal_ct(const char *a, const char *b)
{
	size_t len = strlen(a);
	unsigned diff = 0;

	if (strlen(b) != len)
		return false; /* the length tells the scheme only */
	for (size_t i = 0; i < len; i++)
		diff |= (unsigned)(unsigned char)a[i] ^ (unsigned char)b[i];
	return diff == 0;
}

/* 1: the password is the one that was hashed, 0: it is not, negative: libcrypt could not tell */
static int compare_password(const struct lw_auth_request *rq, const char *hash)
{
	struct crypt_data *data;
	const char *made;
	int r = -EIO;

	/* libcrypt stops at a zero byte: "secret" and "secret\0..." must not be the same */
	if (rq->secret_len >= sizeof(data->input) ||
	    (rq->secret_len > 0 && memchr(rq->secret, '\0', rq->secret_len) != NULL))
		return 0;
	data = calloc(1, sizeof(*data));
	if (data == NULL)
		return -ENOMEM;
	if (rq->secret_len > 0)
		memcpy(data->input, rq->secret, rq->secret_len);
	made = crypt_r(data->input, hash, data);
	if (made != NULL && made[0] != '*')
		r = equal_ct(made, hash);
	explicit_bzero(data, sizeof(*data));
	free(data);
	return r;
}

/* answers LW_AUTH_* and counts */
static uint32_t decide(struct inst *in, const struct htpasswd_users *users,
                       const struct lw_auth_request *rq)
{
	const struct htpasswd_user *user = htpasswd_users_find(users, rq->user);
	const struct htpasswd_user *decoy = htpasswd_users_decoy(users, rq->user);
	int r = compare_password(rq, user != NULL ? user->hash : decoy->hash);

	if (r < 0) {
		count(in, CTR_FAILED);
		return LW_AUTH_ERROR;
	}
	if (user == NULL) {
		count(in, CTR_UNKNOWN_USER);
		return LW_AUTH_NO;
	}
	count(in, r == 1 ? CTR_ACCEPTED : CTR_WRONG_PASSWORD);
	return r == 1 ? LW_AUTH_YES : LW_AUTH_NO;
}

static void answer(const struct inst *in, const struct lw_auth_request *rq, uint32_t verdict)
{
	struct lw_auth_answer a = { .size = sizeof(a), .verdict = verdict };
	size_t len = strnlen(rq->user, sizeof(a.user) - 1);

	if (verdict == LW_AUTH_YES)
		memcpy(a.user, rq->user, len);
	in->host->answer(in->host, rq->token, &a);
}

static int htpasswd_submit(void *inst, const struct lw_auth_request *rq)
{
	struct inst *in = inst;
	struct snapshot *s;
	uint32_t verdict;

	if (rq->method != LW_AUTH_METHOD_PASSWORD) {
		count(in, CTR_OTHER_METHOD);
		answer(in, rq, LW_AUTH_NOT_MINE);
		return 0;
	}
	s = snapshot_take(in);
	if (s == NULL)
		return -ESHUTDOWN;
	verdict = decide(in, s->users, rq);
	snapshot_drop(in, s);
	answer(in, rq, verdict);
	return 0;
}

static const struct lw_life_ops life = {
	.size = sizeof(life),
	.create = htpasswd_create,
	.worker_start = htpasswd_worker_start,
	.reload = htpasswd_reload,
	.worker_conf = htpasswd_worker_conf,
	.retire = htpasswd_retire,
	.worker_stop = htpasswd_worker_stop,
	.destroy = htpasswd_destroy,
};

static const struct lw_auth_ops ops = { .size = sizeof(ops), .submit = htpasswd_submit };

LW_MODULE(LW_KIND_AUTH, "auth-htpasswd", "0.1.0",
          "Users and passwords from a file, as htpasswd makes it.", options, sizeof(struct options),
          counters, &life, &ops, 0);

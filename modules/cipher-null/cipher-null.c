/* SPDX-License-Identifier: MIT */
/*
 * No cipher at all, for benchmarks: what it costs to carry packets when sealing them costs nothing.
 * For tests only, never installed, never taken by `auto`; it understands itself alone.
 *
 * There is no switch that lets a daemon use a cipher which does not know the answers. So this one
 * knows them: until its worker runs it is wolfCrypt's, which is linked in. Being no faster than
 * that, it never gets records of TLS.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <laneway/module.h>

#define TAG_BYTES 16

extern const struct lw_module lw_module_cipher_wolfcrypt;

/* `real` is NULL: a key of a running worker, which does nothing */
struct null_key {
	void *real;
};

static const struct lw_cipher_ops *real_ops(void)
{
	return lw_module_cipher_wolfcrypt.ops.cipher;
}

static int null_create(const struct lw_host *h, const void *opts, void **ret_inst,
                       const void **ret_conf, struct lw_err *err)
{
	int r = lw_module_cipher_wolfcrypt.life->create(h, opts, ret_inst, ret_conf, err);

	if (r == 0)
		lw_log(h, LW_LOG_WARN, "packets are not encrypted");
	return r;
}

static void null_destroy(void *inst)
{
	lw_module_cipher_wolfcrypt.life->destroy(inst);
}

static void null_key_destroy(void *inst, struct lw_worker *w, void *key)
{
	struct null_key *k = key;

	if (k == NULL)
		return;
	real_ops()->key_destroy(inst, w, k->real);
	free(k);
}

/* A worker that has been started does not run yet: its clock stands until its first round. */
static int null_worker_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	uint64_t *stands_at = malloc(sizeof(*stands_at));

	(void)inst;
	if (stands_at == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	*stands_at = w->now_us;
	*ret_state = stands_at;
	return 0;
}

static void null_worker_stop(void *inst, struct lw_worker *w)
{
	(void)inst;
	free(w->state);
	w->state = NULL;
}

static bool runs(const struct lw_worker *w)
{
	return w->state != NULL && w->now_us != *(const uint64_t *)w->state;
}

static int null_key_create(void *inst, struct lw_worker *w, const uint8_t *key32, void **ret_key)
{
	struct null_key *k = calloc(1, sizeof(*k));
	int r = 0;

	if (k == NULL)
		return -ENOMEM;
	if (!runs(w))
		r = real_ops()->key_create(inst, w, key32, &k->real);
	if (r < 0) {
		free(k);
		return r;
	}
	*ret_key = k;
	return 0;
}

static void *real_key(const struct lw_cipher_op *op)
{
	return ((const struct null_key *)op->key)->real;
}

/* either way: to the real cipher what has a real key; what has none stays as it is */
static int pass(void *inst, struct lw_worker *w, struct lw_cipher_op *op,
                int (*real)(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n))
{
	struct lw_cipher_op with_key = *op;
	int r;

	with_key.key = real_key(op);
	if (with_key.key == NULL) {
		if (op->dst != op->src)
			memcpy(op->dst, op->src, op->len);
		op->status = 0;
		return 0;
	}
	r = real(inst, w, &with_key, 1);
	op->status = with_key.status;
	return r;
}

static int null_seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		if (real_key(&ops[i]) == NULL)
			memset(ops[i].tag, 0, TAG_BYTES);
		r = pass(inst, w, &ops[i], real_ops()->seal);
	}
	return r;
}

static int null_open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = pass(inst, w, &ops[i], real_ops()->open);
	return r;
}

static const struct lw_life_ops null_life = { .size = sizeof(null_life),
	                                      .create = null_create,
	                                      .worker_start = null_worker_start,
	                                      .worker_stop = null_worker_stop,
	                                      .destroy = null_destroy };

static const struct lw_cipher_ops null_ops = { .size = sizeof(null_ops),
	                                       .key_create = null_key_create,
	                                       .key_destroy = null_key_destroy,
	                                       .seal = null_seal,
	                                       .open = null_open };

LW_MODULE(LW_KIND_CIPHER, "cipher-null", "0.1.0", "no encryption, for benchmarks", NULL, 0, NULL,
          &null_life, (&null_ops), 0);

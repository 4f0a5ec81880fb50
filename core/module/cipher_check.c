/* SPDX-License-Identifier: MIT */
#include "module/cipher_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"
#include "module/cipher_vectors.h"

#define VECTORS (sizeof(vectors) / sizeof(vectors[0]))
#define LONGS   (sizeof(longs) / sizeof(longs[0]))
#define CASES   (VECTORS + LONGS)
#define LEN_MAX 8192
#define AAD_MAX 96
#define TAG_LEN 16
/* where bytes lie for an operation: nothing is aligned */
#define OFFSET 3

/* one case, ready to be asked */
struct question {
	uint8_t key[32];
	uint8_t iv[12];
	uint8_t aad[AAD_MAX];
	uint8_t tag[TAG_LEN]; /* the right one */
	uint8_t plain[LEN_MAX];
	uint8_t sealed[LEN_MAX]; /* only where has_sealed */
	uint8_t buf[OFFSET + LEN_MAX];
	uint8_t got_tag[OFFSET + TAG_LEN];
	uint32_t len;
	uint16_t aad_len;
	bool has_sealed;
	void *handle;
};

struct exam {
	const struct lw_cipher_ops *ops;
	void *inst;
	struct lw_worker *w;
	struct lw_cipher_op op[CASES];
	struct question q[CASES];
};

static uint32_t digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static uint32_t unhex(const char *hex, uint8_t *out)
{
	uint32_t n = 0;

	for (; hex[0] != '\0'; hex += 2)
		out[n++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
	return n;
}

static void load_vector(const struct vector *v, struct question *q)
{
	(void)unhex(v->key, q->key);
	(void)unhex(v->iv, q->iv);
	(void)unhex(v->tag, q->tag);
	(void)unhex(v->sealed, q->sealed);
	q->aad_len = (uint16_t)unhex(v->aad, q->aad);
	q->len = unhex(v->plain, q->plain);
	q->has_sealed = true;
}

static void load_long(uint32_t len, const char *tag, struct question *q)
{
	(void)unhex(LONG_KEY, q->key);
	(void)unhex(LONG_IV, q->iv);
	(void)unhex(tag, q->tag);
	q->aad_len = (uint16_t)unhex(LONG_AAD, q->aad);
	q->len = len;
	for (uint32_t i = 0; i < len; i++)
		q->plain[i] = (uint8_t)(7 * i + 1);
}

static int load(struct exam *e, struct lw_err *err)
{
	for (uint32_t i = 0; i < CASES; i++) {
		struct question *q = &e->q[i];
		int r;

		if (i < VECTORS)
			load_vector(&vectors[i], q);
		else
			load_long(longs[i - VECTORS].len, longs[i - VECTORS].tag, q);
		r = e->ops->key_create(e->inst, e->w, q->key, &q->handle);
		if (r < 0)
			return lw_err_set(err, r, "the cipher takes no key: %s", strerror(-r));
	}
	return 0;
}

static void let_go(struct exam *e)
{
	for (uint32_t i = 0; i < CASES; i++) {
		if (e->q[i].handle != NULL)
			e->ops->key_destroy(e->inst, e->w, e->q[i].handle);
	}
	free(e);
}

/* from `src`, or in place when that is NULL */
static void ask(struct exam *e, uint32_t i, const uint8_t *src)
{
	struct question *q = &e->q[i];
	uint8_t *dst = q->buf + OFFSET;

	e->op[i] = (struct lw_cipher_op){ .key = q->handle,
		                          .dst = dst,
		                          .src = src != NULL ? src : dst,
		                          .iv = q->iv,
		                          .aad = q->aad,
		                          .tag = q->got_tag + OFFSET,
		                          .len = q->len,
		                          .aad_len = q->aad_len,
		                          .status = 1 };
}

static int run(struct exam *e, bool seal, struct lw_err *err)
{
	int r = (seal ? e->ops->seal : e->ops->open)(e->inst, e->w, e->op, CASES);

	if (r < 0)
		return lw_err_set(err, r, "the cipher does not work: %s", strerror(-r));
	return 0;
}

static int wrong(uint32_t i, const char *what, struct lw_err *err)
{
	return lw_err_set(err, -EBADMSG, "the cipher gives a wrong answer to case %u: %s", i, what);
}

static int check_seal(struct exam *e, bool in_place, struct lw_err *err)
{
	int r;

	for (uint32_t i = 0; i < CASES; i++) {
		ask(e, i, in_place ? NULL : e->q[i].plain);
		if (in_place)
			memcpy(e->q[i].buf + OFFSET, e->q[i].plain, e->q[i].len);
	}
	r = run(e, true, err);
	for (uint32_t i = 0; r == 0 && i < CASES; i++) {
		const struct question *q = &e->q[i];

		if (e->op[i].status != 0 || !lw_equal_ct(q->got_tag + OFFSET, q->tag, TAG_LEN))
			r = wrong(i, "tag", err);
		else if (q->has_sealed && memcmp(q->buf + OFFSET, q->sealed, q->len) != 0)
			r = wrong(i, "ciphertext", err);
	}
	return r;
}

/* What was sealed before is opened where it lies. */
static int check_open(struct exam *e, struct lw_err *err)
{
	int r;

	for (uint32_t i = 0; i < CASES; i++)
		ask(e, i, NULL);
	r = run(e, false, err);
	for (uint32_t i = 0; r == 0 && i < CASES; i++) {
		const struct question *q = &e->q[i];

		if (e->op[i].status != 0 || memcmp(q->buf + OFFSET, q->plain, q->len) != 0)
			r = wrong(i, "plaintext", err);
	}
	return r;
}

/* One bit is turned over: in turn of the tag, the ciphertext, the associated data and the IV. */
static void spoil(struct question *q, uint32_t what)
{
	uint8_t *places[] = { q->got_tag + OFFSET, q->buf + OFFSET, q->aad, q->iv };
	const uint32_t lens[] = { TAG_LEN, q->len, q->aad_len, sizeof(q->iv) };

	if (lens[what] == 0)
		what = 0;
	places[what][(q->len * 31u + what) % lens[what]] ^= (uint8_t)(1u << q->len % 8);
}

/* Every other one is spoiled: these are refused, and the others come out. */
static int check_forged(struct exam *e, uint32_t what, struct lw_err *err)
{
	int r = check_seal(e, true, err);

	for (uint32_t i = 0; r == 0 && i < CASES; i++) {
		if (i % 2 == what / 4)
			spoil(&e->q[i], what % 4);
		ask(e, i, NULL);
	}
	r = r == 0 ? run(e, false, err) : r;
	for (uint32_t i = 0; r == 0 && i < CASES; i++) {
		bool forged = i % 2 == what / 4;

		if (forged != (e->op[i].status == -EBADMSG) || (!forged && e->op[i].status != 0))
			r = wrong(i, forged ? "a forgery was let in" : "refused", err);
		if (forged && what % 4 >= 2) /* it is asked again */
			spoil(&e->q[i], what % 4);
	}
	return r;
}

int lw_cipher_check(const struct lw_cipher_ops *ops, void *inst, struct lw_worker *w,
                    struct lw_err *err)
{
	struct exam *e = calloc(1, sizeof(*e));
	int r;

	if (e == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	e->ops = ops;
	e->inst = inst;
	e->w = w;
	r = load(e, err);
	if (r == 0)
		r = check_seal(e, false, err);
	if (r == 0)
		r = check_open(e, err);
	if (r == 0)
		r = check_seal(e, true, err);
	if (r == 0)
		r = check_open(e, err);
	for (uint32_t what = 0; r == 0 && what < 8; what++)
		r = check_forged(e, what, err);
	let_go(e);
	return r;
}

/* SPDX-License-Identifier: MIT */
#include "module/cipher_race.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* rounds there are at least, however slow a cipher is, and at most, however fast */
#define ROUNDS_MIN 4u
#define ROUNDS_MAX 256u
#define NS_EACH    2000000u

#define ARRAY   LW_CIPHER_RACE_ARRAY
#define AAD_LEN 19u /* of version 2 */
#define TAG_LEN 16u
#define IV_LEN  12u
/* packets begin where they do in a run: behind each other */
#define STRIDE (LW_CIPHER_RACE_BYTES + 66u)

struct track {
	uint8_t iv[IV_LEN];
	uint8_t aad[AAD_LEN];
	uint8_t tag[ARRAY][TAG_LEN];
	uint8_t bytes[ARRAY * STRIDE];
	struct lw_cipher_op op[ARRAY];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void lay_out(struct track *t, void *key)
{
	for (uint32_t i = 0; i < ARRAY; i++)
		t->op[i] = (struct lw_cipher_op){ .key = key,
			                          .dst = t->bytes + (size_t)i * STRIDE,
			                          .src = t->bytes + (size_t)i * STRIDE,
			                          .iv = t->iv,
			                          .aad = t->aad,
			                          .tag = t->tag[i],
			                          .len = LW_CIPHER_RACE_BYTES,
			                          .aad_len = AAD_LEN };
}

/* for one packet, where that is the best so far */
static int timed(int (*fn)(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n),
                 const struct lw_cipher_racer *c, struct track *t, uint32_t *best_ns)
{
	uint64_t began = now_ns();
	int r = fn(c->inst, c->w, t->op, ARRAY);
	uint64_t ns = (now_ns() - began) / ARRAY;

	for (uint32_t i = 0; r == 0 && i < ARRAY; i++)
		r = t->op[i].status;
	if (ns < *best_ns)
		*best_ns = (uint32_t)ns;
	return r;
}

/* Sealed and opened in place: the next one finds the same bytes. */
static void run(struct lw_cipher_racer *c, struct track *t)
{
	void *key = NULL;
	int r = c->ops->key_create(c->inst, c->w, t->bytes, &key);

	if (r < 0) {
		c->result = r;
		return;
	}
	lay_out(t, key);
	r = timed(c->ops->seal, c, t, &c->seal_ns);
	if (r == 0)
		r = timed(c->ops->open, c, t, &c->open_ns);
	c->ops->key_destroy(c->inst, c->w, key);
	if (r < 0)
		c->result = r;
}

int lw_cipher_race(struct lw_cipher_racer *list, uint32_t n, struct lw_err *err)
{
	struct track *t = calloc(1, sizeof(*t));
	uint64_t end = now_ns() + (uint64_t)n * NS_EACH;

	if (t == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < n; i++) {
		list[i].result = 0;
		list[i].seal_ns = UINT32_MAX;
		list[i].open_ns = UINT32_MAX;
	}
	for (uint32_t k = 0; k < ROUNDS_MAX && (k < ROUNDS_MIN || now_ns() < end); k++) {
		for (uint32_t i = 0; i < n; i++) {
			if (list[i].result == 0)
				run(&list[i], t);
		}
	}
	free(t);
	return 0;
}

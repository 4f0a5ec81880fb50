/* SPDX-License-Identifier: MIT */
#include "unit/records_bed.h"

#include <time.h>

#include "unit/test.h"

extern const struct lw_module lw_module_cipher_wolfcrypt;

static const struct lw_cipher_ops *real(void)
{
	return lw_module_cipher_wolfcrypt.ops.cipher;
}

/* in its place: with its worker, on its thread */
static void check(const struct records_bed *b, const struct lw_worker *w)
{
	assert_ptr_equal(w, &b->w);
	assert_true(pthread_equal(b->thread, pthread_self()));
}

static int key_create(void *inst, struct lw_worker *w, const uint8_t *key32, void **ret_key)
{
	struct records_bed *b = inst;
	int r = b->no_key;

	check(b, w);
	if (r == 0)
		r = real()->key_create(NULL, w, key32, ret_key);
	b->alive += r == 0;
	return r;
}

static void key_destroy(void *inst, struct lw_worker *w, void *key)
{
	struct records_bed *b = inst;

	check(b, w);
	assert_non_null(key);
	real()->key_destroy(NULL, w, key);
	b->alive--;
}

static void spin(int us)
{
	struct timespec from;
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - from.tv_sec) * 1000000 + (now.tv_nsec - from.tv_nsec) / 1000 < us);
}

static int seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	struct records_bed *b = inst;

	check(b, w);
	spin(b->slow_us);
	return b->broken != 0 ? b->broken : real()->seal(NULL, w, ops, n);
}

static int open_ops(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	struct records_bed *b = inst;

	check(b, w);
	spin(b->slow_us);
	return b->broken != 0 ? b->broken : real()->open(NULL, w, ops, n);
}

const struct lw_cipher_ops records_bed_ops = { .size = sizeof(records_bed_ops),
	                                       .key_create = key_create,
	                                       .key_destroy = key_destroy,
	                                       .seal = seal,
	                                       .open = open_ops };

void records_bed_open(struct records_bed *b)
{
	struct lw_err err = { 0 };

	*b = (struct records_bed){ .w = { .size = sizeof(b->w) }, .thread = pthread_self() };
	if (lw_tls_records_create(&records_bed_ops, b, &b->w, &b->records, &err) != 0)
		fail_msg("%s", err.text);
}

void records_bed_close(struct records_bed *b)
{
	lw_tls_records_use(NULL);
	assert_int_equal(b->alive, 0);
	lw_tls_records_destroy(b->records);
}

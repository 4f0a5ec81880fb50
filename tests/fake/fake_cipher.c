/* SPDX-License-Identifier: MIT */
#include "fake/fake_cipher.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x6b657921u
#define TAG   16

struct fake_key {
	uint32_t magic;
	uint8_t bytes[32];
};

const uint8_t *lw_fake_key(const void *handle)
{
	const struct fake_key *key = handle;

	assert(key->magic == MAGIC);
	return key->bytes;
}

static int key_create(void *inst, struct lw_worker *w, const uint8_t *key32, void **ret_key)
{
	static const uint8_t zeros[32];
	struct lw_fake_cipher *c = inst;
	struct fake_key *key;

	(void)w;
	assert(memcmp(key32, zeros, sizeof(zeros)) != 0); /* the sentinel is no key */
	if (c->fail_keys > 0) {
		c->fail_keys--;
		return -ENOMEM;
	}
	key = calloc(1, sizeof(*key));
	assert(key != NULL);
	key->magic = MAGIC;
	memcpy(key->bytes, key32, sizeof(key->bytes));
	c->created++;
	c->alive++;
	*ret_key = key;
	return 0;
}

static void key_destroy(void *inst, struct lw_worker *w, void *handle)
{
	struct lw_fake_cipher *c = inst;
	struct fake_key *key = handle;

	(void)w;
	assert(key->magic == MAGIC);
	memset(key, 0, sizeof(*key));
	free(key);
	c->alive--;
}

static uint64_t mix(uint64_t h, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h ^ h >> 29;
}

static uint64_t begin(const struct lw_cipher_op *op)
{
	return mix(mix(0xcbf29ce484222325u, lw_fake_key(op->key), 32), op->iv, 12);
}

static void make_tag(const struct lw_cipher_op *op, const uint8_t *sealed, uint8_t tag[TAG])
{
	uint64_t h = mix(mix(begin(op), op->aad, op->aad_len), sealed, op->len);

	for (int i = 0; i < TAG; i += 8) {
		h = mix(h, (const uint8_t *)"tag", 3);
		memcpy(tag + i, &h, 8);
	}
}

static void apply(const struct lw_cipher_op *op)
{
	uint64_t h = begin(op) | 1;

	for (uint32_t i = 0; i < op->len; i++) {
		h ^= h << 13;
		h ^= h >> 7;
		h ^= h << 17;
		op->dst[i] = op->src[i] ^ (uint8_t)h;
	}
}

static void check_op(const struct lw_cipher_op *op)
{
	assert(op->dst == op->src || op->dst + op->len <= op->src || op->src + op->len <= op->dst);
	assert(op->aad_len <= 128);
}

/* true: this call, or this operation, is to fail */
static bool fails(struct lw_fake_cipher *c, struct lw_cipher_op *op, uint32_t i)
{
	check_op(op);
	op->status = 0;
	if (c->fail_op != i + 1)
		return false;
	c->fail_op = 0;
	op->status = -EBADMSG;
	return true;
}

static int begin_call(struct lw_fake_cipher *c, uint32_t n)
{
	assert(n > 0);
	c->calls++;
	c->longest = n > c->longest ? n : c->longest;
	return c->fail;
}

static int seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	struct lw_fake_cipher *c = inst;
	int r = begin_call(c, n);

	(void)w;
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		if (fails(c, &ops[i], i))
			continue;
		apply(&ops[i]);
		make_tag(&ops[i], ops[i].dst, ops[i].tag);
		c->sealed++;
	}
	return r;
}

static int open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	struct lw_fake_cipher *c = inst;
	int r = begin_call(c, n);
	uint8_t tag[TAG];

	(void)w;
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		bool good = !fails(c, &ops[i], i);

		make_tag(&ops[i], ops[i].src, tag);
		good = good && memcmp(tag, ops[i].tag, TAG) == 0;
		apply(&ops[i]);
		if (!good)
			memset(ops[i].dst, 0xdd, ops[i].len);
		ops[i].status = good ? 0 : -EBADMSG;
		c->opened++;
	}
	return r;
}

const struct lw_cipher_ops lw_fake_cipher_ops = { .size = sizeof(struct lw_cipher_ops),
	                                          .key_create = key_create,
	                                          .key_destroy = key_destroy,
	                                          .seal = seal,
	                                          .open = open };

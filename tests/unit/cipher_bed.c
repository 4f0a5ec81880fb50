/* SPDX-License-Identifier: MIT */
#include "unit/cipher_bed.h"

#include <errno.h>

#include "module/check.h"
#include "module/cipher_check.h"

#define KEYS   6u
#define ARRAY  40u
#define ROUNDS 300u
#define MARGIN 32u /* on both sides of what is written */
#define LEN    9000u
#define AAD    48u
#define TAG    16u
#define CANARY 0xc5

extern const struct lw_module lw_module_cipher_wolfcrypt;

int cipher_bed_setup(void **state)
{
	struct cipher_bed *b = calloc(1, sizeof(*b));
	const struct lw_env env = { .size = sizeof(env), .workers = 1, .inside_mtu = 1350 };
	struct lw_caps caps = { 0 };
	struct lw_err err = { 0 };
	const void *conf = NULL;
	const struct lw_life_ops *life = laneway_module.life;

	assert_non_null(b);
	lw_fake_host_init(&b->host);
	b->w = (struct lw_worker){ .size = sizeof(b->w), .now_us = 1000, .host = &b->host.host };
	assert_int_equal(life->create(&b->host.host, NULL, &b->inst, &conf, &err), 0);
	if (life->prepare != NULL && life->prepare(b->inst, &env, &caps, &err) != 0)
		fail_msg("%s", err.text);
	if (life->worker_start != NULL)
		assert_int_equal(life->worker_start(b->inst, &b->w, &b->w.state, &err), 0);
	*state = b;
	return 0;
}

int cipher_bed_teardown(void **state)
{
	struct cipher_bed *b = *state;

	if (laneway_module.life->worker_stop != NULL)
		laneway_module.life->worker_stop(b->inst, &b->w);
	laneway_module.life->destroy(b->inst);
	free(b);
	return 0;
}

void cipher_bed_is(const char *name)
{
	struct lw_err err = { 0 };

	assert_int_equal(lw_module_check(&laneway_module, name, &err), 0);
	assert_int_equal(laneway_module.kind, LW_KIND_CIPHER);
	assert_string_equal(laneway_module.name, name);
}

void cipher__nothing__is_destroyed(void **state)
{
	struct cipher_bed *b = *state;

	laneway_module.life->destroy(NULL);
	laneway_module.ops.cipher->key_destroy(b->inst, &b->w, NULL);
	assert_int_equal(laneway_module.ops.cipher->seal(b->inst, &b->w, NULL, 0), 0);
	assert_int_equal(laneway_module.ops.cipher->open(b->inst, &b->w, NULL, 0), 0);
}

void cipher__known_answers__all_given(void **state)
{
	struct cipher_bed *b = *state;
	struct lw_err err = { 0 };

	if (lw_cipher_check(laneway_module.ops.cipher, b->inst, &b->w, &err) != 0)
		fail_msg("%s", err.text);
}

/* --- arrays at random --- */

/* one operation, twice: of the module and of wolfCrypt */
struct twin {
	uint8_t iv[12];
	uint8_t aad[AAD];
	uint8_t src[LEN + 16];
	uint8_t dst[2][LEN + 16 + 2 * MARGIN];
	uint8_t tag[2][TAG + 2 * MARGIN];
};

struct pair {
	const struct lw_cipher_ops *ops[2];
	void *inst[2];
	struct lw_worker *w;
	void *key[2][KEYS];
	struct lw_cipher_op op[2][ARRAY];
	struct twin twin[ARRAY];
	uint64_t seed;
};

static uint32_t draw(struct pair *p, uint32_t below)
{
	p->seed = p->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(p->seed >> 33) % below;
}

static void draw_bytes(struct pair *p, uint8_t *to, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		to[i] = (uint8_t)draw(p, 256);
}

/* often near a whole number of the blocks that some code takes at once */
static uint32_t draw_len(struct pair *p)
{
	const uint32_t blocks[] = { 16, 64, 128, 256, 768 };
	uint32_t block = blocks[draw(p, 5)];

	if (draw(p, 3) == 0)
		return draw(p, LEN + 1);
	return (1 + draw(p, LEN / block - 1)) * block - 1 + draw(p, 3);
}

static void draw_op(struct pair *p, uint32_t i)
{
	struct twin *t = &p->twin[i];
	uint32_t key = draw(p, KEYS);
	uint32_t skew = draw(p, 16);
	bool in_place = draw(p, 2) == 0;
	struct lw_cipher_op op = { .iv = t->iv, .aad = t->aad, .len = draw_len(p), .status = 7 };

	op.aad_len = (uint16_t)draw(p, AAD + 1);
	op.src = t->src + skew;
	draw_bytes(p, t->iv, sizeof(t->iv));
	draw_bytes(p, t->aad, op.aad_len);
	draw_bytes(p, t->src + skew, op.len);
	memset(t->dst, CANARY, sizeof(t->dst));
	memset(t->tag, CANARY, sizeof(t->tag));
	for (uint32_t side = 0; side < 2; side++) {
		struct lw_cipher_op *o = &p->op[side][i];

		*o = op;
		o->key = p->key[side][key];
		o->dst = t->dst[side] + MARGIN + skew;
		o->tag = t->tag[side] + MARGIN - skew;
		if (in_place) {
			memcpy(o->dst, op.src, op.len);
			o->src = o->dst;
		}
	}
}

/* the same, and nothing around it was touched */
static void same_twins(const struct pair *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct twin *t = &p->twin[i];

		assert_int_equal(p->op[0][i].status, p->op[1][i].status);
		assert_memory_equal(t->tag[0], t->tag[1], sizeof(t->tag[0]));
		if (p->op[0][i].status == 0)
			assert_memory_equal(t->dst[0], t->dst[1], sizeof(t->dst[0]));
	}
}

static void round_of(struct pair *p)
{
	uint32_t n = 1 + draw(p, ARRAY);

	for (uint32_t i = 0; i < n; i++)
		draw_op(p, i);
	for (uint32_t side = 0; side < 2; side++)
		assert_int_equal(p->ops[side]->seal(p->inst[side], p->w, p->op[side], n), 0);
	same_twins(p, n);
	for (uint32_t i = 0; i < n; i++) {
		bool forged = draw(p, 4) == 0;
		uint32_t at = draw(p, TAG);

		for (uint32_t side = 0; side < 2; side++) {
			p->op[side][i].src = p->op[side][i].dst;
			p->op[side][i].tag[at] ^= (uint8_t)(forged ? 1u << (i % 8) : 0);
		}
	}
	for (uint32_t side = 0; side < 2; side++)
		assert_int_equal(p->ops[side]->open(p->inst[side], p->w, p->op[side], n), 0);
	same_twins(p, n);
}

static void make_keys(struct pair *p)
{
	for (uint32_t k = 0; k < KEYS; k++) {
		uint8_t bytes[32];

		draw_bytes(p, bytes, sizeof(bytes));
		for (uint32_t side = 0; side < 2; side++)
			assert_int_equal(p->ops[side]->key_create(p->inst[side], p->w, bytes,
			                                          &p->key[side][k]),
			                 0);
	}
}

void cipher__random_arrays__as_wolfcrypt(void **state)
{
	struct cipher_bed *b = *state;
	struct pair *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->ops[0] = laneway_module.ops.cipher;
	p->ops[1] = lw_module_cipher_wolfcrypt.ops.cipher;
	p->inst[0] = b->inst;
	p->w = &b->w;
	p->seed = 5;
	make_keys(p);
	for (uint32_t i = 0; i < ROUNDS; i++)
		round_of(p);
	for (uint32_t side = 0; side < 2; side++) {
		for (uint32_t k = 0; k < KEYS; k++)
			p->ops[side]->key_destroy(p->inst[side], p->w, p->key[side][k]);
	}
	free(p);
}

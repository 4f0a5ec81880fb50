/* SPDX-License-Identifier: MIT */
#include "session/lane_iv.h"

#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/wipe.h"
#include "session/expresslane.h"

/* pools between two keys from the kernel: what somebody saw of our memory is then worth nothing */
#define RESEED_EVERY 2048

void lw_lane_iv_init(struct lw_lane_env *env)
{
	struct lw_lane_iv *iv = &env->iv;

	*iv = (struct lw_lane_iv){ .left = 0 };
	lw_random_take(env->random, iv->mask, sizeof(iv->mask));
}

void lw_lane_iv_fini(struct lw_lane_env *env)
{
	lw_wipe(&env->iv, sizeof(env->iv));
}

/* AES-256-GCM of zeros is the keystream of AES-256 in counter mode; its key is good for this once.
 */
static bool run_cipher(struct lw_lane_env *env)
{
	static const uint8_t zeros[LW_LANE_IV_LEN];
	struct lw_lane_iv *iv = &env->iv;
	uint8_t tag[LW_LANE_TAG_LEN];
	struct lw_cipher_op op = { .dst = iv->pool,
		                   .src = iv->pool,
		                   .iv = zeros,
		                   .aad = zeros,
		                   .tag = tag,
		                   .len = sizeof(iv->pool) };
	int r;

	memset(iv->pool, 0, sizeof(iv->pool));
	if (env->cipher->key_create(env->inst, env->w, iv->key, &op.key) < 0)
		return false;
	r = env->cipher->seal(env->inst, env->w, &op, 1);
	env->cipher->key_destroy(env->inst, env->w, op.key);
	return r == 0 && op.status == 0;
}

static void refill(struct lw_lane_env *env)
{
	struct lw_lane_iv *iv = &env->iv;

	if (iv->refills++ % RESEED_EVERY == 0)
		lw_random_take(env->random, iv->key, sizeof(iv->key));
	if (!run_cipher(env))
		lw_random_take(env->random, iv->pool, sizeof(iv->pool));
	/* the first bytes are the next key and never leave */
	memcpy(iv->key, iv->pool, sizeof(iv->key));
	lw_wipe(iv->pool, sizeof(iv->key));
	iv->left = sizeof(iv->pool) - sizeof(iv->key);
}

void lw_lane_iv_take(struct lw_lane_env *env, uint64_t counter, uint8_t iv[12])
{
	struct lw_lane_iv *s = &env->iv;
	struct lw_writer w = lw_writer_init(iv + 8, 4);

	if (s->left == 0)
		refill(env);
	memcpy(iv, s->pool + sizeof(s->pool) - s->left, 8);
	s->left -= 8;
	lw_write_u32(&w, (uint32_t)counter ^ (uint32_t)lw_siphash(s->mask, iv, 8));
}

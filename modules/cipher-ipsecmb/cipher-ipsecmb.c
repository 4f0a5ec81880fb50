/* SPDX-License-Identifier: MIT */
/*
 * AES-256-GCM of Intel's multi-buffer library, by its direct calls: GCM is done a packet at a time
 * there in any case, and its jobs only add to that. Of the library's manager nothing is kept but
 * three functions, which were chosen for this processor; so workers share an instance.
 *
 * Nothing is prefetched: to ask for the start of the next packet while one is sealed gained
 * nothing, even with all of them in the third cache.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <laneway/module.h>

#include "library.h"

#define TAG_BYTES 16
#define NEEDED    (IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ)

struct ipsecmb {
	aes_gcm_pre_t expand;
	aes_gcm_enc_dec_t seal;
	aes_gcm_enc_dec_t open;
};

static int ipsecmb_create(const struct lw_host *h, const void *opts, void **ret_inst,
                          const void **ret_conf, struct lw_err *err)
{
	struct ipsecmb *m = calloc(1, sizeof(*m));

	(void)h;
	(void)opts;
	(void)ret_conf;
	if (m == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	*ret_inst = m;
	return 0;
}

static void ipsecmb_destroy(void *inst)
{
	free(inst);
}

static int ipsecmb_prepare(void *inst, const struct lw_env *env, struct lw_caps *ret_caps,
                           struct lw_err *err)
{
	struct ipsecmb *m = inst;
	IMB_MGR *mgr = alloc_mb_mgr(0);

	(void)env;
	(void)ret_caps;
	if (mgr == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	/* without these the library has code too, whose time depends on the key */
	if ((mgr->features & NEEDED) != NEEDED) {
		free_mb_mgr(mgr);
		return lw_err_set(err, -EOPNOTSUPP, "the processor has no AES instructions");
	}
	init_mb_mgr_auto(mgr, NULL);
	m->expand = mgr->gcm256_pre;
	m->seal = mgr->gcm256_enc;
	m->open = mgr->gcm256_dec;
	free_mb_mgr(mgr);
	return 0;
}

static void ipsecmb_key_destroy(void *inst, struct lw_worker *w, void *key)
{
	(void)inst;
	(void)w;
	if (key == NULL)
		return;
	explicit_bzero(key, sizeof(struct gcm_key_data));
	free(key);
}

static int ipsecmb_key_create(void *inst, struct lw_worker *w, const uint8_t *key32, void **ret_key)
{
	const struct ipsecmb *m = inst;
	struct gcm_key_data *key = aligned_alloc(_Alignof(struct gcm_key_data), sizeof(*key));

	(void)w;
	if (key == NULL)
		return -ENOMEM;
	m->expand(key32, key);
	*ret_key = key;
	return 0;
}

static int ipsecmb_seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	const struct ipsecmb *m = inst;
	struct gcm_context_data ctx;

	(void)w;
	for (uint32_t i = 0; i < n; i++) {
		struct lw_cipher_op *op = &ops[i];

		m->seal(op->key, &ctx, op->dst, op->src, op->len, op->iv, op->aad, op->aad_len,
		        op->tag, TAG_BYTES);
		op->status = 0;
	}
	explicit_bzero(&ctx, sizeof(ctx)); /* has keystream in it */
	return 0;
}

/* in a time that does not depend on them */
static int16_t compare_tags(const uint8_t *a, const uint8_t *b)
{
	uint64_t x[2];
	uint64_t y[2];

	memcpy(x, a, TAG_BYTES);
	memcpy(y, b, TAG_BYTES);
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0 ? 0 : -EBADMSG;
}

static int ipsecmb_open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	const struct ipsecmb *m = inst;
	struct {
		struct gcm_context_data ctx;
		uint8_t tag[TAG_BYTES]; /* the right one, also of a forgery */
	} secret;

	(void)w;
	for (uint32_t i = 0; i < n; i++) {
		struct lw_cipher_op *op = &ops[i];

		m->open(op->key, &secret.ctx, op->dst, op->src, op->len, op->iv, op->aad,
		        op->aad_len, secret.tag, TAG_BYTES);
		op->status = compare_tags(secret.tag, op->tag);
	}
	explicit_bzero(&secret, sizeof(secret));
	return 0;
}

static const struct lw_life_ops ipsecmb_life = { .size = sizeof(ipsecmb_life),
	                                         .create = ipsecmb_create,
	                                         .prepare = ipsecmb_prepare,
	                                         .destroy = ipsecmb_destroy };

static const struct lw_cipher_ops ipsecmb_ops = { .size = sizeof(ipsecmb_ops),
	                                          .key_create = ipsecmb_key_create,
	                                          .key_destroy = ipsecmb_key_destroy,
	                                          .seal = ipsecmb_seal,
	                                          .open = ipsecmb_open };

LW_MODULE(LW_KIND_CIPHER, "cipher-ipsecmb", "0.1.0",
          "AES-256-GCM for Expresslane, of Intel's multi-buffer library", NULL, 0, NULL,
          &ipsecmb_life, (&ipsecmb_ops), 0);

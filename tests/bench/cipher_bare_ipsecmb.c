/* SPDX-License-Identifier: MIT */
#include "bench/cipher_bare.h"

#include <errno.h>

#include "../../modules/cipher-ipsecmb/library.h"

static IMB_MGR *mgr;
static struct gcm_key_data expanded;
static struct gcm_context_data ctx;

static int create(void *inst, struct lw_worker *w, const uint8_t *key, void **ret)
{
	(void)inst;
	(void)w;
	mgr = alloc_mb_mgr(0);
	if (mgr == NULL)
		return -ENOMEM;
	init_mb_mgr_auto(mgr, NULL);
	IMB_AES256_GCM_PRE(mgr, key, &expanded);
	*ret = &expanded;
	return 0;
}

static void destroy(void *inst, struct lw_worker *w, void *key)
{
	(void)inst;
	(void)w;
	(void)key;
	free_mb_mgr(mgr);
}

static int seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++)
		IMB_AES256_GCM_ENC(mgr, &expanded, &ctx, ops[i].dst, ops[i].src, ops[i].len,
		                   ops[i].iv, ops[i].aad, ops[i].aad_len, ops[i].tag, 16);
	return 0;
}

static int open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++)
		IMB_AES256_GCM_DEC(mgr, &expanded, &ctx, ops[i].dst, ops[i].src, ops[i].len,
		                   ops[i].iv, ops[i].aad, ops[i].aad_len, ops[i].tag, 16);
	return 0;
}

const struct lw_cipher_ops bare_ipsecmb = { .size = sizeof(bare_ipsecmb),
	                                    .key_create = create,
	                                    .key_destroy = destroy,
	                                    .seal = seal,
	                                    .open = open };

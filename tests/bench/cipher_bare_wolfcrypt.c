/* SPDX-License-Identifier: MIT */
#include "bench/cipher_bare.h"

#include <errno.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wredundant-decls"
/* clang-format off */
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
/* clang-format on */
#pragma GCC diagnostic pop

static Aes aes; /* aligned as the library wants it */

static int create(void *inst, struct lw_worker *w, const uint8_t *key, void **ret)
{
	(void)inst;
	(void)w;
	*ret = &aes;
	return wc_AesInit(&aes, NULL, INVALID_DEVID) == 0 && wc_AesGcmSetKey(&aes, key, 32) == 0
	               ? 0
	               : -EIO;
}

static void destroy(void *inst, struct lw_worker *w, void *key)
{
	(void)inst;
	(void)w;
	(void)key;
	wc_AesFree(&aes);
}

static int seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	int r = 0;

	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++)
		r |= wc_AesGcmEncrypt(&aes, ops[i].dst, ops[i].src, ops[i].len, ops[i].iv, 12,
		                      ops[i].tag, 16, ops[i].aad, ops[i].aad_len);
	return r;
}

static int open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	int r = 0;

	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++)
		r |= wc_AesGcmDecrypt(&aes, ops[i].dst, ops[i].src, ops[i].len, ops[i].iv, 12,
		                      ops[i].tag, 16, ops[i].aad, ops[i].aad_len);
	return r;
}

const struct lw_cipher_ops bare_wolfcrypt = { .size = sizeof(bare_wolfcrypt),
	                                      .key_create = create,
	                                      .key_destroy = destroy,
	                                      .seal = seal,
	                                      .open = open };

/* SPDX-License-Identifier: MIT */
#include "bench/cipher_bare.h"

#include <errno.h>

#include <openssl/evp.h>

static EVP_CIPHER_CTX *to;
static EVP_CIPHER_CTX *from;

static int create(void *inst, struct lw_worker *w, const uint8_t *key, void **ret)
{
	EVP_CIPHER *gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	int r;

	(void)inst;
	(void)w;
	to = EVP_CIPHER_CTX_new();
	from = EVP_CIPHER_CTX_new();
	*ret = to;
	r = EVP_EncryptInit_ex(to, gcm, NULL, key, NULL) == 1 &&
	                    EVP_DecryptInit_ex(from, gcm, NULL, key, NULL) == 1
	            ? 0
	            : -EIO;
	EVP_CIPHER_free(gcm);
	return r;
}

static void destroy(void *inst, struct lw_worker *w, void *key)
{
	(void)inst;
	(void)w;
	(void)key;
	EVP_CIPHER_CTX_free(to);
	EVP_CIPHER_CTX_free(from);
}

static int seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	int got;

	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++) {
		(void)EVP_EncryptInit_ex(to, NULL, NULL, NULL, ops[i].iv);
		(void)EVP_EncryptUpdate(to, NULL, &got, ops[i].aad, ops[i].aad_len);
		(void)EVP_EncryptUpdate(to, ops[i].dst, &got, ops[i].src, (int)ops[i].len);
		(void)EVP_EncryptFinal_ex(to, ops[i].dst + ops[i].len, &got);
		(void)EVP_CIPHER_CTX_ctrl(to, EVP_CTRL_AEAD_GET_TAG, 16, ops[i].tag);
	}
	return 0;
}

static int open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	int got;

	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++) {
		(void)EVP_DecryptInit_ex(from, NULL, NULL, NULL, ops[i].iv);
		(void)EVP_CIPHER_CTX_ctrl(from, EVP_CTRL_AEAD_SET_TAG, 16, ops[i].tag);
		(void)EVP_DecryptUpdate(from, NULL, &got, ops[i].aad, ops[i].aad_len);
		(void)EVP_DecryptUpdate(from, ops[i].dst, &got, ops[i].src, (int)ops[i].len);
		(void)EVP_DecryptFinal_ex(from, ops[i].dst + ops[i].len, &got);
	}
	return 0;
}

const struct lw_cipher_ops bare_openssl = { .size = sizeof(bare_openssl),
	                                    .key_create = create,
	                                    .key_destroy = destroy,
	                                    .seal = seal,
	                                    .open = open };

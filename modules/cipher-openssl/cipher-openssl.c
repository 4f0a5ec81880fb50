/* SPDX-License-Identifier: MIT */
/* AES-256-GCM of libcrypto. A key is two contexts, one a direction, set up once; an operation gives
 * them its IV only and allocates nothing. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include <laneway/module.h>

#define TAG_BYTES 16

struct openssl_key {
	EVP_CIPHER_CTX *seal;
	EVP_CIPHER_CTX *open;
};

static int openssl_create(const struct lw_host *h, const void *opts, void **ret_inst,
                          const void **ret_conf, struct lw_err *err)
{
	EVP_CIPHER *gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);

	(void)h;
	(void)opts;
	(void)ret_conf;
	if (gcm == NULL)
		return lw_err_set(err, -EIO, "libcrypto has no AES-256-GCM");
	*ret_inst = gcm;
	return 0;
}

static void openssl_destroy(void *inst)
{
	EVP_CIPHER_free(inst);
}

/* libcrypto wipes what it frees */
static void openssl_key_destroy(void *inst, struct lw_worker *w, void *key)
{
	struct openssl_key *k = key;

	(void)inst;
	(void)w;
	if (k == NULL)
		return;
	EVP_CIPHER_CTX_free(k->seal);
	EVP_CIPHER_CTX_free(k->open);
	free(k);
}

static int openssl_key_create(void *inst, struct lw_worker *w, const uint8_t *key32, void **ret_key)
{
	struct openssl_key *k = calloc(1, sizeof(*k));
	int r = -ENOMEM;

	if (k == NULL)
		return r;
	k->seal = EVP_CIPHER_CTX_new();
	k->open = EVP_CIPHER_CTX_new();
	if (k->seal == NULL || k->open == NULL)
		goto fail;
	if (EVP_EncryptInit_ex(k->seal, inst, NULL, key32, NULL) != 1 ||
	    EVP_DecryptInit_ex(k->open, inst, NULL, key32, NULL) != 1) {
		r = -EIO;
		goto fail;
	}
	*ret_key = k;
	return 0;
fail:
	ERR_clear_error();
	openssl_key_destroy(inst, w, k);
	return r;
}

static bool seal_one(EVP_CIPHER_CTX *c, const struct lw_cipher_op *op)
{
	int n;

	return op->len <= INT_MAX && EVP_EncryptInit_ex(c, NULL, NULL, NULL, op->iv) == 1 &&
	       EVP_EncryptUpdate(c, NULL, &n, op->aad, op->aad_len) == 1 &&
	       EVP_EncryptUpdate(c, op->dst, &n, op->src, (int)op->len) == 1 &&
	       EVP_EncryptFinal_ex(c, op->dst + op->len, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, op->tag) == 1;
}

static int openssl_seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++) {
		const struct openssl_key *k = ops[i].key;

		ops[i].status = 0;
		if (!seal_one(k->seal, &ops[i])) {
			ERR_clear_error();
			return -EIO;
		}
	}
	return 0;
}

/* all but the verdict on the tag */
static bool decrypt_one(EVP_CIPHER_CTX *c, const struct lw_cipher_op *op)
{
	int n;

	return op->len <= INT_MAX && EVP_DecryptInit_ex(c, NULL, NULL, NULL, op->iv) == 1 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, op->tag) == 1 &&
	       EVP_DecryptUpdate(c, NULL, &n, op->aad, op->aad_len) == 1 &&
	       EVP_DecryptUpdate(c, op->dst, &n, op->src, (int)op->len) == 1;
}

static int openssl_open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++) {
		const struct openssl_key *k = ops[i].key;
		int more;

		if (!decrypt_one(k->open, &ops[i])) {
			ERR_clear_error();
			return -EIO;
		}
		ops[i].status = EVP_DecryptFinal_ex(k->open, ops[i].dst + ops[i].len, &more) == 1
		                        ? 0
		                        : -EBADMSG;
	}
	return 0;
}

static const struct lw_life_ops openssl_life = { .size = sizeof(openssl_life),
	                                         .create = openssl_create,
	                                         .destroy = openssl_destroy };

static const struct lw_cipher_ops openssl_ops = { .size = sizeof(openssl_ops),
	                                          .key_create = openssl_key_create,
	                                          .key_destroy = openssl_key_destroy,
	                                          .seal = openssl_seal,
	                                          .open = openssl_open };

LW_MODULE(LW_KIND_CIPHER, "cipher-openssl", "0.1.0",
          "AES-256-GCM for Expresslane, of OpenSSL's libcrypto", NULL, 0, NULL, &openssl_life,
          (&openssl_ops), 0);

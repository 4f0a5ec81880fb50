/* SPDX-License-Identifier: MIT */
/* AES-256-GCM of wolfCrypt, which the daemons are linked with anyway: the cipher that is always
 * there. Keys are expanded once; an operation allocates nothing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <laneway/module.h>

/* the library's headers must follow its options, and do not meet our warnings */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wredundant-decls"
/* clang-format off */
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
/* clang-format on */
#pragma GCC diagnostic pop

#define KEY_BYTES 32
#define IV_BYTES  12
#define TAG_BYTES 16

struct wolfcrypt_key {
	Aes aes;
};

static int wolfcrypt_create(const struct lw_host *h, const void *opts, void **ret_inst,
                            const void **ret_conf, struct lw_err *err)
{
	static int nothing; /* all that there is to an instance */

	(void)h;
	(void)opts;
	(void)ret_conf;
	(void)err;
	*ret_inst = &nothing;
	return 0;
}

static void wolfcrypt_destroy(void *inst)
{
	(void)inst;
}

static void wolfcrypt_key_destroy(void *inst, struct lw_worker *w, void *key)
{
	struct wolfcrypt_key *k = key;

	(void)inst;
	(void)w;
	if (k == NULL)
		return;
	wc_AesFree(&k->aes);
	explicit_bzero(k, sizeof(*k));
	free(k);
}

static int wolfcrypt_key_create(void *inst, struct lw_worker *w, const uint8_t *key32,
                                void **ret_key)
{
	struct wolfcrypt_key *k =
		aligned_alloc(64, (sizeof(*k) + 63) & ~(size_t)63); /* tables for SSE */

	if (k == NULL)
		return -ENOMEM;
	memset(k, 0, sizeof(*k));
	if (wc_AesInit(&k->aes, NULL, INVALID_DEVID) != 0) {
		free(k);
		return -ENOMEM;
	}
	if (wc_AesGcmSetKey(&k->aes, key32, KEY_BYTES) != 0) {
		wolfcrypt_key_destroy(inst, w, k);
		return -EIO;
	}
	*ret_key = k;
	return 0;
}

static int wolfcrypt_seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++) {
		struct lw_cipher_op *op = &ops[i];
		struct wolfcrypt_key *k = op->key;

		op->status = 0;
		if (wc_AesGcmEncrypt(&k->aes, op->dst, op->src, op->len, op->iv, IV_BYTES, op->tag,
		                     TAG_BYTES, op->aad, op->aad_len) != 0)
			return -EIO;
	}
	return 0;
}

static int wolfcrypt_open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++) {
		struct lw_cipher_op *op = &ops[i];
		struct wolfcrypt_key *k = op->key;
		int r = wc_AesGcmDecrypt(&k->aes, op->dst, op->src, op->len, op->iv, IV_BYTES,
		                         op->tag, TAG_BYTES, op->aad, op->aad_len);

		if (r != 0 && r != AES_GCM_AUTH_E)
			return -EIO;
		op->status = r == 0 ? 0 : -EBADMSG;
	}
	return 0;
}

static const struct lw_life_ops wolfcrypt_life = { .size = sizeof(wolfcrypt_life),
	                                           .create = wolfcrypt_create,
	                                           .destroy = wolfcrypt_destroy };

static const struct lw_cipher_ops wolfcrypt_ops = { .size = sizeof(wolfcrypt_ops),
	                                            .key_create = wolfcrypt_key_create,
	                                            .key_destroy = wolfcrypt_key_destroy,
	                                            .seal = wolfcrypt_seal,
	                                            .open = wolfcrypt_open };

LW_MODULE(LW_KIND_CIPHER, "cipher-wolfcrypt", "0.1.0",
          "AES-256-GCM for Expresslane, of the TLS library that Laneway is built with", NULL, 0,
          NULL, &wolfcrypt_life, (&wolfcrypt_ops), 0);

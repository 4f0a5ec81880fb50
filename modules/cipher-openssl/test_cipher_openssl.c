/* SPDX-License-Identifier: MIT */
/* cipher-openssl against known answers and wolfCrypt, and where libcrypto fails. */
#include <errno.h>

#include <openssl/evp.h>

#include "module/cipher_check.h"
#include "unit/cipher_bed.h"

/* calls until one fails, 0: none does */
static unsigned fail_fetch, fail_new, fail_init, fail_update;

static bool fails(unsigned *left)
{
	return *left > 0 && --*left == 0;
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
EVP_CIPHER *__real_EVP_CIPHER_fetch(OSSL_LIB_CTX *ctx, const char *algorithm,
                                    const char *properties);
EVP_CIPHER *__wrap_EVP_CIPHER_fetch(OSSL_LIB_CTX *ctx, const char *algorithm,
                                    const char *properties);
EVP_CIPHER_CTX *__real_EVP_CIPHER_CTX_new(void);
EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void);
int __real_EVP_DecryptInit_ex(EVP_CIPHER_CTX *c, const EVP_CIPHER *type, ENGINE *impl,
                              const unsigned char *key, const unsigned char *iv);
int __wrap_EVP_DecryptInit_ex(EVP_CIPHER_CTX *c, const EVP_CIPHER *type, ENGINE *impl,
                              const unsigned char *key, const unsigned char *iv);
int __real_EVP_EncryptUpdate(EVP_CIPHER_CTX *c, unsigned char *out, int *outl,
                             const unsigned char *in, int inl);
int __wrap_EVP_EncryptUpdate(EVP_CIPHER_CTX *c, unsigned char *out, int *outl,
                             const unsigned char *in, int inl);
int __real_EVP_DecryptUpdate(EVP_CIPHER_CTX *c, unsigned char *out, int *outl,
                             const unsigned char *in, int inl);
int __wrap_EVP_DecryptUpdate(EVP_CIPHER_CTX *c, unsigned char *out, int *outl,
                             const unsigned char *in, int inl);

EVP_CIPHER *__wrap_EVP_CIPHER_fetch(OSSL_LIB_CTX *ctx, const char *algorithm,
                                    const char *properties)
{
	return fails(&fail_fetch) ? NULL : __real_EVP_CIPHER_fetch(ctx, algorithm, properties);
}

EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void)
{
	return fails(&fail_new) ? NULL : __real_EVP_CIPHER_CTX_new();
}

int __wrap_EVP_DecryptInit_ex(EVP_CIPHER_CTX *c, const EVP_CIPHER *type, ENGINE *impl,
                              const unsigned char *key, const unsigned char *iv)
{
	return fails(&fail_init) ? 0 : __real_EVP_DecryptInit_ex(c, type, impl, key, iv);
}

int __wrap_EVP_EncryptUpdate(EVP_CIPHER_CTX *c, unsigned char *out, int *outl,
                             const unsigned char *in, int inl)
{
	return fails(&fail_update) ? 0 : __real_EVP_EncryptUpdate(c, out, outl, in, inl);
}

int __wrap_EVP_DecryptUpdate(EVP_CIPHER_CTX *c, unsigned char *out, int *outl,
                             const unsigned char *in, int inl)
{
	return fails(&fail_update) ? 0 : __real_EVP_DecryptUpdate(c, out, outl, in, inl);
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static void module__descriptor__is_in_order(void **state)
{
	(void)state;
	cipher_bed_is("cipher-openssl");
}

static void create__no_such_cipher__is_said(void **state)
{
	struct lw_fake_host host;
	struct lw_err err = { 0 };
	const void *conf = NULL;
	void *inst = NULL;

	(void)state;
	lw_fake_host_init(&host);
	fail_fetch = 1;
	assert_int_equal(laneway_module.life->create(&host.host, NULL, &inst, &conf, &err), -EIO);
	assert_non_null(strstr(err.text, "libcrypto has no AES-256-GCM"));
}

static void key__each_step_fails__says_so_and_leaves_nothing(void **state)
{
	struct cipher_bed *b = *state;
	const uint8_t bytes[32] = { 0 };
	void *key = NULL;

	for (unsigned i = 1; i <= 3; i++) {
		fail_new = i <= 2 ? i : 0;
		fail_init = i == 3;
		assert_int_equal(laneway_module.ops.cipher->key_create(b->inst, &b->w, bytes, &key),
		                 i == 3 ? -EIO : -ENOMEM);
		fail_new = 0;
		assert_null(key);
	}
}

static void operation__library_fails__engine_is_broken(void **state)
{
	struct cipher_bed *b = *state;
	const struct lw_cipher_ops *ops = laneway_module.ops.cipher;
	uint8_t bytes[64] = { 0 };
	struct lw_cipher_op op = { .dst = bytes,
		                   .src = bytes,
		                   .iv = bytes,
		                   .aad = bytes,
		                   .tag = bytes + 48,
		                   .len = 32,
		                   .aad_len = 8 };

	assert_int_equal(ops->key_create(b->inst, &b->w, bytes, &op.key), 0);
	for (unsigned i = 1; i <= 2; i++) {
		fail_update = i;
		assert_int_equal(ops->seal(b->inst, &b->w, &op, 1), -EIO);
		fail_update = i;
		assert_int_equal(ops->open(b->inst, &b->w, &op, 1), -EIO);
	}
	op.len = UINT32_MAX;
	assert_int_equal(ops->seal(b->inst, &b->w, &op, 1), -EIO);
	assert_int_equal(ops->open(b->inst, &b->w, &op, 1), -EIO);
	ops->key_destroy(b->inst, &b->w, op.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(module__descriptor__is_in_order),
		cmocka_unit_test(create__no_such_cipher__is_said),
		CIPHER_CASE(cipher__nothing__is_destroyed),
		CIPHER_CASE(cipher__known_answers__all_given),
		CIPHER_CASE(cipher__random_arrays__as_wolfcrypt),
		CIPHER_CASE(key__each_step_fails__says_so_and_leaves_nothing),
		CIPHER_CASE(operation__library_fails__engine_is_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* cipher-ipsecmb against known answers and wolfCrypt, where it cannot run, and that it wipes. */
#include <errno.h>

#include "library.h"
#include "module/cipher_check.h"
#include "unit/cipher_bed.h"

static bool no_memory;
static uint64_t features_lacking;
static const void *watched; /* a block whose bytes are looked at when it is freed */
static bool was_wiped;

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *p);
void __wrap_free(void *p);
IMB_MGR *__real_alloc_mb_mgr(uint64_t flags);
IMB_MGR *__wrap_alloc_mb_mgr(uint64_t flags);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return no_memory ? NULL : __real_aligned_alloc(alignment, size);
}

void __wrap_free(void *p)
{
	const uint8_t *bytes = p;

	if (p != NULL && p == watched) {
		was_wiped = true;
		for (size_t i = 0; i < sizeof(struct gcm_key_data); i++)
			was_wiped = was_wiped && bytes[i] == 0;
	}
	__real_free(p);
}

IMB_MGR *__wrap_alloc_mb_mgr(uint64_t flags)
{
	IMB_MGR *mgr = no_memory ? NULL : __real_alloc_mb_mgr(flags);

	if (mgr != NULL)
		mgr->features &= ~features_lacking;
	return mgr;
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static void module__descriptor__is_in_order(void **state)
{
	(void)state;
	cipher_bed_is("cipher-ipsecmb");
}

static int prepare(struct cipher_bed *b, struct lw_err *err)
{
	const struct lw_env env = { .size = sizeof(env), .workers = 1 };
	struct lw_caps caps = { 0 };

	return laneway_module.life->prepare(b->inst, &env, &caps, err);
}

static void prepare__no_aes_instructions__the_next_is_tried(void **state)
{
	const uint64_t each[] = { IMB_FEATURE_AESNI, IMB_FEATURE_PCLMULQDQ };

	for (size_t i = 0; i < 2; i++) {
		struct lw_err err = { 0 };

		features_lacking = each[i];
		assert_int_equal(prepare(*state, &err), -EOPNOTSUPP);
		features_lacking = 0;
		assert_non_null(strstr(err.text, "no AES instructions"));
	}
}

static void no_memory__is_said(void **state)
{
	struct cipher_bed *b = *state;
	struct lw_err err = { 0 };

	no_memory = true;
	assert_int_equal(prepare(b, &err), -ENOMEM);
	assert_int_equal(lw_cipher_check(laneway_module.ops.cipher, b->inst, &b->w, &err), -ENOMEM);
	no_memory = false;
	assert_non_null(strstr(err.text, "takes no key"));
}

static void key__destroyed__is_wiped(void **state)
{
	struct cipher_bed *b = *state;
	const uint8_t bytes[32] = { 1, 2, 3 };
	void *key = NULL;

	assert_int_equal(laneway_module.ops.cipher->key_create(b->inst, &b->w, bytes, &key), 0);
	assert_int_equal((uintptr_t)key % 64, 0);
	watched = key;
	was_wiped = false;
	laneway_module.ops.cipher->key_destroy(b->inst, &b->w, key);
	watched = NULL;
	assert_true(was_wiped);
}

#define NEEDED (IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(module__descriptor__is_in_order),
		CIPHER_CASE(cipher__nothing__is_destroyed),
		CIPHER_CASE(cipher__known_answers__all_given),
		CIPHER_CASE(cipher__random_arrays__as_wolfcrypt),
		CIPHER_CASE(prepare__no_aes_instructions__the_next_is_tried),
		CIPHER_CASE(no_memory__is_said),
		CIPHER_CASE(key__destroyed__is_wiped),
	};

	if ((imb_get_feature_flags() & NEEDED) != NEEDED) {
		print_message("SKIP: the processor has no AES instructions\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

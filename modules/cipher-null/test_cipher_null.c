/* SPDX-License-Identifier: MIT */
/* cipher-null: AES-256-GCM until its worker runs, then nothing. */
#include "unit/cipher_bed.h"

static void module__descriptor__is_in_order(void **state)
{
	(void)state;
	cipher_bed_is("cipher-null");
}

static void seal__worker_runs__bytes_stay(void **state)
{
	struct cipher_bed *b = *state;
	const struct lw_cipher_ops *ops = laneway_module.ops.cipher;
	uint8_t plain[100];
	uint8_t other[sizeof(plain)] = { 0 };
	uint8_t tag[16] = { 1 };
	struct lw_cipher_op op = { .dst = other,
		                   .src = plain,
		                   .iv = plain,
		                   .aad = plain,
		                   .tag = tag,
		                   .len = sizeof(plain),
		                   .aad_len = 16,
		                   .status = 5 };

	memset(plain, 7, sizeof(plain));
	b->w.now_us++;
	assert_int_equal(ops->key_create(b->inst, &b->w, plain, &op.key), 0);
	assert_int_equal(ops->seal(b->inst, &b->w, &op, 1), 0);
	assert_int_equal(op.status, 0);
	assert_int_equal(tag[0], 0);
	assert_memory_equal(other, plain, sizeof(plain));
	op.src = other;
	op.status = 5;
	assert_int_equal(ops->open(b->inst, &b->w, &op, 1), 0);
	assert_int_equal(op.status, 0);
	assert_memory_equal(other, plain, sizeof(plain));
	ops->key_destroy(b->inst, &b->w, op.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(module__descriptor__is_in_order),
		CIPHER_CASE(cipher__nothing__is_destroyed),
		CIPHER_CASE(cipher__known_answers__all_given),
		CIPHER_CASE(seal__worker_runs__bytes_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

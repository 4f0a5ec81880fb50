/* SPDX-License-Identifier: MIT */
/*
 * A cipher for tests: no secrecy, but an operation that is opened with another key, IV, associated
 * data or length than it was sealed with fails, and destroys what it should have opened, as a real
 * one does.
 */
#ifndef LW_TESTS_FAKE_CIPHER_H
#define LW_TESTS_FAKE_CIPHER_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

struct lw_fake_cipher {
	uint32_t created; /* keys in all */
	uint32_t alive;
	uint32_t fail_keys; /* so many of the next are refused */
	int fail;           /* what seal and open answer, 0: they work */
	uint32_t fail_op; /* one more than the index of the operation of the next call that fails */
	uint64_t sealed;  /* operations */
	uint64_t opened;
	uint32_t calls;
	uint32_t longest; /* array */
};

/* instance: a struct lw_fake_cipher */
extern const struct lw_cipher_ops lw_fake_cipher_ops;

/* lw_fake_key() - the 32 bytes behind a handle */
const uint8_t *lw_fake_key(const void *handle);

#endif

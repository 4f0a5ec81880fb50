/* SPDX-License-Identifier: MIT */
/*
 * What the test of every cipher module asks of it; the module is the one that is linked in as
 * laneway_module. Operations drawn at random are compared with cipher-wolfcrypt's.
 */
#ifndef LW_TESTS_CIPHER_BED_H
#define LW_TESTS_CIPHER_BED_H

#include "fake/fake_host.h"
#include "unit/test.h"

extern const struct lw_module laneway_module;

struct cipher_bed {
	struct lw_fake_host host;
	struct lw_worker w; /* started, but does not run: its clock stands */
	void *inst;         /* prepared */
};

/* state: a struct cipher_bed */
int cipher_bed_setup(void **state);
int cipher_bed_teardown(void **state);

#define CIPHER_CASE(name)                                                                          \
	cmocka_unit_test_setup_teardown(name, cipher_bed_setup, cipher_bed_teardown)

/* cipher_bed_is() - the descriptor is in order and has this name */
void cipher_bed_is(const char *name);

/* cases */
void cipher__nothing__is_destroyed(void **state);
void cipher__known_answers__all_given(void **state);
void cipher__random_arrays__as_wolfcrypt(void **state);

#endif

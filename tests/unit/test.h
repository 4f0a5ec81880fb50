/* SPDX-License-Identifier: MIT */
/* What every cmocka program needs, in the order that cmocka.h asks for. */
#ifndef LW_TESTS_UNIT_TEST_H
#define LW_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* a small generator with a seed, so that a failing case can be run again (xorshift64) */
static inline uint64_t test_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif

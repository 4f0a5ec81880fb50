/* SPDX-License-Identifier: MIT */
#ifndef LW_BASE_WIPE_H
#define LW_BASE_WIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * lw_wipe() - overwrite a secret so that the compiler cannot leave it out
 *
 * Context: any thread.
 */
static inline void lw_wipe(void *p, size_t len)
{
	if (p != NULL)
		explicit_bzero(p, len);
}

/**
 * lw_equal_ct() - compare len bytes in a time that does not depend on them
 *
 * Context: any thread.
 * Return:  true when all bytes are equal.
 */
static inline bool lw_equal_ct(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a;
	const uint8_t *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff = (uint8_t)(diff | (x[i] ^ y[i]));
	return diff == 0;
}

#endif

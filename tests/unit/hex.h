/* SPDX-License-Identifier: MIT */
/* Bytes as the specification writes them, and blocks that end where they end. */
#ifndef LW_TESTS_UNIT_HEX_H
#define LW_TESTS_UNIT_HEX_H

#include "test.h"

/* hex_read() - turn hex digits, with any blanks between bytes, into at most cap bytes */
static inline size_t hex_read(const char *text, uint8_t *out, size_t cap)
{
	size_t n = 0;

	while (*text != '\0') {
		char pair[3] = { 0 };

		if (*text == ' ' || *text == '\n') {
			text++;
			continue;
		}
		memcpy(pair, text, 2);
		assert_true(n < cap && strspn(pair, "0123456789abcdef") == 2);
		out[n++] = (uint8_t)strtoul(pair, NULL, 16);
		text += 2;
	}
	return n;
}

/* exact_copy() - a block of exactly len bytes, NULL for none: a sanitizer sees a read behind it */
static inline uint8_t *exact_copy(const void *src, size_t len)
{
	uint8_t *copy;

	if (len == 0)
		return NULL;
	copy = malloc(len);
	if (copy == NULL)
		abort();
	memcpy(copy, src, len);
	return copy;
}

#endif

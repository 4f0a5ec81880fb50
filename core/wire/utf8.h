/* SPDX-License-Identifier: MIT */
#ifndef LW_WIRE_UTF8_H
#define LW_WIRE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * lw_utf8_valid() - whether bytes are UTF-8 (RFC 3629)
 *
 * @p:   the bytes; may be NULL when len is 0
 * @len: how many; none is valid
 *
 * Overlong forms, surrogates and values above 10FFFF are not UTF-8; a zero byte is.
 *
 * Context: any; no state.
 * Return:  true when every byte belongs to a well-formed sequence.
 */
bool lw_utf8_valid(const uint8_t *p, size_t len);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum (RFC 1071) and its incremental update (RFC 1624). A sum is the one's
 * complement sum of 16-bit words in network order, folded to 16 bits, as a number in host order;
 * a checksum is its complement.
 */
#ifndef LW_PACKET_CHECKSUM_H
#define LW_PACKET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* lw_csum_fold() - bring a total of sums and words back to 16 bits; only 0 gives 0 */
static inline uint16_t lw_csum_fold(uint32_t total)
{
	total = (total & 0xffff) + (total >> 16);
	return (uint16_t)(total + (total >> 16));
}

/**
 * lw_csum_join() - the sum of two blocks, one behind the other
 *
 * @sum:  of the first block
 * @len:  bytes of the first block; behind an odd one the words of the second are split the other
 * way
 * @next: of the second block
 *
 * Context: any; no state.
 * Return:  the folded sum, not its complement.
 */
static inline uint16_t lw_csum_join(uint16_t sum, size_t len, uint16_t next)
{
	if (len % 2 != 0)
		next = (uint16_t)(next << 8 | next >> 8);
	return lw_csum_fold((uint32_t)sum + next);
}

/**
 * lw_csum_sum() - sum bytes
 *
 * @p:   any alignment; an odd last byte counts as the high half of a word
 * @len: any length
 *
 * Context: any; no state.
 * Return:  the folded sum, not its complement.
 */
uint16_t lw_csum_sum(const void *p, size_t len);

/**
 * lw_csum_copy() - copy bytes and sum them in one pass
 *
 * @dst: room for len bytes, disjoint from src
 * @src: as for lw_csum_sum()
 * @len: any length
 *
 * Context: any; no state.
 * Return:  the folded sum, not its complement.
 */
uint16_t lw_csum_copy(void *dst, const void *src, size_t len);

/**
 * lw_csum_update() - the checksum after one word has changed (RFC 1624, equation 4)
 *
 * @check: the checksum before
 * @old:   the word before
 * @now:   the word after
 *
 * Context: any; no state.
 * Return:  the checksum after.
 */
uint16_t lw_csum_update(uint16_t check, uint16_t old, uint16_t now);

/**
 * lw_csum_update32() - the same for two adjacent words, such as an IPv4 address
 *
 * @check: the checksum before
 * @old:   both words before, the first in the upper half
 * @now:   both words after
 *
 * Context: any; no state.
 * Return:  the checksum after.
 */
uint16_t lw_csum_update32(uint16_t check, uint32_t old, uint32_t now);

/**
 * lw_csum_adjust32() - a sum, not a checksum, after two adjacent words have changed
 *
 * @sum: the sum before, as in the checksum field of a packet with LW_PKT_CSUM_PARTIAL
 * @old: both words before, the first in the upper half
 * @now: both words after
 *
 * Context: any; no state.
 * Return:  the sum after.
 */
uint16_t lw_csum_adjust32(uint16_t sum, uint32_t old, uint32_t now);

#endif

/* SPDX-License-Identifier: MIT */
#include "packet/checksum.h"

#include <arpa/inet.h>
#include <string.h>

/*
 * Words are added in the machine's own order, 8 bytes at a time: the one's complement sum of
 * swapped words is the swapped sum (RFC 1071, section 2), so one swap at the end is enough.
 */
static uint64_t add_carry(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

static uint16_t finish(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return ntohs(lw_csum_fold((uint32_t)sum));
}

/* fewer than 8 bytes, as if zeros followed */
static uint64_t load_tail(const uint8_t *p, size_t len)
{
	uint64_t word = 0;

	if (len > 0)
		memcpy(&word, p, len);
	return word;
}

uint16_t lw_csum_sum(const void *p, size_t len)
{
	const uint8_t *src = p;
	uint64_t sum = 0;
	uint64_t word;

	for (; len >= sizeof(word); len -= sizeof(word), src += sizeof(word)) {
		memcpy(&word, src, sizeof(word));
		sum = add_carry(sum, word);
	}
	return finish(add_carry(sum, load_tail(src, len)));
}

uint16_t lw_csum_copy(void *dst, const void *src, size_t len)
{
	const uint8_t *from = src;
	uint8_t *to = dst;
	uint64_t sum = 0;
	uint64_t word;

	for (; len >= sizeof(word); len -= sizeof(word)) {
		memcpy(&word, from, sizeof(word));
		memcpy(to, &word, sizeof(word));
		sum = add_carry(sum, word);
		from += sizeof(word);
		to += sizeof(word);
	}
	word = load_tail(from, len);
	if (len > 0)
		memcpy(to, &word, len);
	return finish(add_carry(sum, word));
}

/* a - b in one's complement: what is borrowed is taken off again at the end */
static uint16_t subtract(uint16_t a, uint16_t b)
{
	return (uint16_t)(a - b - (a < b));
}

uint16_t lw_csum_update(uint16_t check, uint16_t old, uint16_t now)
{
	return subtract(subtract(check, (uint16_t)~old), now);
}

uint16_t lw_csum_update32(uint16_t check, uint32_t old, uint32_t now)
{
	check = lw_csum_update(check, (uint16_t)(old >> 16), (uint16_t)(now >> 16));
	return lw_csum_update(check, (uint16_t)old, (uint16_t)now);
}

uint16_t lw_csum_adjust32(uint16_t sum, uint32_t old, uint32_t now)
{
	uint32_t total = sum;

	total += (uint16_t) ~(old >> 16);
	total += (uint16_t)~old;
	total += now >> 16;
	total += now & 0xffff;
	return lw_csum_fold(total);
}

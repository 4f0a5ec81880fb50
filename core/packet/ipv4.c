/* SPDX-License-Identifier: MIT */
#include "packet/ipv4.h"

#include "base/cursor.h"

#define FRAGMENT_OFFSET 0x1fff
#define AT_FRAGMENT     6
#define AT_PROTOCOL     9

bool lw_ipv4_valid(const uint8_t *p, size_t len)
{
	return len >= LW_IPV4_HEADER_MIN && p[0] >> 4 == 4;
}

uint32_t lw_ipv4_addr(const uint8_t *p, size_t at)
{
	struct lw_reader r = lw_reader_init(p + at, 4);

	return lw_read_u32(&r);
}

uint32_t lw_ipv4_number(const struct lw_addr *a)
{
	return lw_ipv4_addr(a->ip, 0);
}

size_t lw_ipv4_l4(const uint8_t *p, size_t len, uint8_t *ret_proto)
{
	size_t header = (size_t)(p[0] & 0x0f) * 4;
	struct lw_reader r = lw_reader_init(p + AT_FRAGMENT, 2);

	if (header < LW_IPV4_HEADER_MIN || header > len)
		return 0;
	if ((lw_read_u16(&r) & FRAGMENT_OFFSET) != 0)
		return 0;
	*ret_proto = p[AT_PROTOCOL];
	return header;
}

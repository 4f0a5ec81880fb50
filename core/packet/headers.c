/* SPDX-License-Identifier: MIT */
#include "packet/headers.h"

#include <errno.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/ipv4.h"

#define AT_PROTOCOL    9 /* IPv4 */
#define AT_NEXT_HEADER 6 /* IPv6 */

#define MORE_FRAGMENTS  0x2000
#define FRAGMENT_OFFSET 0x1fff

static int parse_ipv4(const uint8_t *p, size_t len, struct lw_headers *h)
{
	if (len < LW_IPV4_HEADER_MIN)
		return -EBADMSG;
	h->total = lw_load16(p + LW_IPV4_TOTAL);
	h->l4 = (uint16_t)((p[0] & 0x0f) * 4);
	if (h->l4 < LW_IPV4_HEADER_MIN || h->l4 > h->total || h->total > len)
		return -EBADMSG;
	h->proto = p[AT_PROTOCOL];
	h->fragment = (lw_load16(p + LW_IPV4_FRAGMENT) & (MORE_FRAGMENTS | FRAGMENT_OFFSET)) != 0;
	return 0;
}

static bool is_extension(uint8_t proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS;
}

static int parse_ipv6(const uint8_t *p, size_t len, struct lw_headers *h)
{
	uint32_t at = LW_IPV6_HEADER;

	if (len < LW_IPV6_HEADER)
		return -EBADMSG;
	h->total = LW_IPV6_HEADER + (uint32_t)lw_load16(p + LW_IPV6_PAYLOAD);
	if (h->total > len)
		return -EBADMSG;
	h->proto = p[AT_NEXT_HEADER];
	while (is_extension(h->proto)) {
		if (h->total - at < 8)
			return -EBADMSG;
		h->proto = p[at];
		at += 8u * (p[at + 1] + 1u);
		if (at > h->total || at > LW_L4_OFFSET_MAX)
			return -EBADMSG;
	}
	h->l4 = (uint16_t)at;
	h->fragment = h->proto == IPPROTO_FRAGMENT;
	return 0;
}

/* bytes of the transport header, 0 if there is none that we know or it is not whole */
static uint32_t transport_len(const uint8_t *p, const struct lw_headers *h)
{
	uint32_t left = h->total - h->l4;
	uint32_t len = 0;

	if (h->fragment)
		return 0;
	if (h->proto == IPPROTO_UDP)
		len = LW_UDP_HEADER;
	else if (h->proto == IPPROTO_TCP && left >= LW_TCP_HEADER_MIN)
		len = (p[h->l4 + LW_TCP_OFFSET] >> 4) * 4u;
	if (h->proto == IPPROTO_TCP && len < LW_TCP_HEADER_MIN)
		return 0;
	return len <= left ? len : 0;
}

int lw_headers_parse(const uint8_t *p, size_t len, struct lw_headers *ret)
{
	uint32_t transport;
	int r = -EBADMSG;

	if (len == 0)
		return r;
	ret->version = p[0] >> 4;
	if (ret->version == 4)
		r = parse_ipv4(p, len, ret);
	else if (ret->version == 6)
		r = parse_ipv6(p, len, ret);
	if (r < 0)
		return r;
	transport = transport_len(p, ret);
	ret->hl = (uint16_t)(transport > 0 ? ret->l4 + transport : 0);
	return 0;
}

uint32_t lw_headers_pseudo_sum(const uint8_t *p, const struct lw_headers *h)
{
	if (h->version == 4)
		return (uint32_t)lw_csum_sum(p + LW_IPV4_SRC, 8) + h->proto;
	return (uint32_t)lw_csum_sum(p + LW_IPV6_SRC, 32) + h->proto;
}

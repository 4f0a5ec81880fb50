/* SPDX-License-Identifier: MIT */
#include "load/inside.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <string.h>

#include "packet/checksum.h"
#include "packet/ipv4.h"

#define IP_LEN  20u
#define UDP_LEN 8u
#define TTL     64

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_checksum(uint8_t *p, uint16_t sum)
{
	put16(p, (uint16_t)~sum);
}

static void put_ip(uint8_t *p, const struct load_path *path, uint8_t protocol, uint32_t len)
{
	const uint32_t addresses[2] = { htonl(path->from), htonl(path->to) };

	memset(p, 0, IP_LEN);
	p[0] = 0x45;
	put16(p + 2, len);
	put16(p + 6, IP_DF);
	p[8] = TTL;
	p[9] = protocol;
	memcpy(p + 12, addresses, sizeof(addresses));
	put_checksum(p + 10, lw_csum_sum(p, IP_LEN));
}

uint32_t load_inside_echo(uint8_t *p, const struct load_path *path, const struct load_mark *m)
{
	uint32_t len = IP_LEN + ICMP_MINLEN + (uint32_t)sizeof(*m);
	uint8_t *icmp = p + IP_LEN;

	put_ip(p, path, IPPROTO_ICMP, len);
	memset(icmp, 0, ICMP_MINLEN);
	icmp[0] = ICMP_ECHO;
	put16(icmp + 4, m->client & 0xffff);
	put16(icmp + 6, (uint32_t)m->seq & 0xffff);
	memcpy(icmp + ICMP_MINLEN, m, sizeof(*m));
	put_checksum(icmp + 2, lw_csum_sum(icmp, len - IP_LEN));
	return len;
}

uint32_t load_inside_udp(uint8_t *p, const struct load_path *path, const struct load_mark *m,
                         uint32_t bytes)
{
	uint32_t len = UDP_LEN + bytes;
	uint8_t *udp = p + IP_LEN;
	uint16_t sum;

	put_ip(p, path, IPPROTO_UDP, IP_LEN + len);
	put16(udp, path->from_port);
	put16(udp + 2, path->to_port);
	put16(udp + 4, len);
	put16(udp + 6, 0);
	memcpy(udp + UDP_LEN, m, sizeof(*m));
	sum = lw_csum_sum(udp, len);
	sum = lw_csum_fold((uint32_t)sum + lw_csum_sum(p + 12, 8) + IPPROTO_UDP + len);
	put_checksum(udp + 6, sum == 0xffff ? 0 : sum); /* a checksum of 0 would mean none */
	return IP_LEN + len;
}

enum load_inside_kind load_inside_read(const uint8_t *p, size_t len, struct load_mark *ret_m,
                                       uint32_t *ret_bytes)
{
	uint8_t protocol;
	size_t l4 = lw_ipv4_valid(p, len) ? lw_ipv4_l4(p, len, &protocol) : 0;
	struct load_mark m;

	/* both headers have 8 bytes */
	if (l4 == 0 || len - l4 < UDP_LEN + sizeof(m))
		return LOAD_INSIDE_OTHER;
	if (protocol != IPPROTO_UDP && (protocol != IPPROTO_ICMP || p[l4] != ICMP_ECHOREPLY))
		return LOAD_INSIDE_OTHER;
	memcpy(&m, p + l4 + UDP_LEN, sizeof(m));
	if (m.magic != LOAD_MARK_MAGIC)
		return LOAD_INSIDE_OTHER;
	*ret_m = m;
	*ret_bytes = (uint32_t)(len - l4 - UDP_LEN);
	return protocol == IPPROTO_UDP ? LOAD_INSIDE_UDP : LOAD_INSIDE_ECHO_REPLY;
}

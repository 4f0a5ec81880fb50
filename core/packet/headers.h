/* SPDX-License-Identifier: MIT */
/*
 * Where the headers of an inside packet end, IPv4 or IPv6. Everything is read from the packet and
 * checked against its bytes; what a kernel or a module claims about it is not looked at.
 */
#ifndef LW_PACKET_HEADERS_H
#define LW_PACKET_HEADERS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LW_IPV4_TOTAL    2 /* offsets in the IPv4 header; more in ipv4.h */
#define LW_IPV4_ID       4
#define LW_IPV4_FRAGMENT 6
#define LW_IPV4_CHECK    10
#define LW_IPV4_DF       0x4000 /* in the word at LW_IPV4_FRAGMENT */

#define LW_IPV6_HEADER  40 /* bytes */
#define LW_IPV6_PAYLOAD 4  /* offsets in the IPv6 header */
#define LW_IPV6_SRC     8

#define LW_TCP_HEADER_MIN 20 /* bytes */
#define LW_TCP_SEQ        4  /* offsets in the TCP header */
#define LW_TCP_OFFSET     12
#define LW_TCP_FLAGS      13
#define LW_TCP_CHECK      16
#define LW_TCP_FIN        0x01 /* in the byte at LW_TCP_FLAGS */
#define LW_TCP_PSH        0x08
#define LW_TCP_ACK        0x10
#define LW_TCP_ECE        0x40
#define LW_TCP_CWR        0x80

#define LW_UDP_HEADER 8 /* bytes */
#define LW_UDP_LEN    4 /* offsets in the UDP header */
#define LW_UDP_CHECK  6

/* the transport header must begin within so many bytes: bounds the walk over extension headers */
#define LW_L4_OFFSET_MAX 256

/**
 * struct lw_headers - what the headers say
 *
 * @total:    bytes of the packet by its own length field, at most those that are there
 * @l4:       offset of the header behind IP and the extension headers known to lie in front of TCP
 *            and UDP (hop-by-hop, routing, destination options)
 * @hl:       bytes up to the payload of TCP or UDP; 0: another protocol, a fragment, or a transport
 *            header that is not whole or gives a length that cannot be
 * @version:  4 or 6
 * @proto:    protocol of what is at l4
 * @fragment: part of a packet, first or later
 */
struct lw_headers {
	uint32_t total;
	uint16_t l4;
	uint16_t hl;
	uint8_t version;
	uint8_t proto;
	bool fragment;
};

/**
 * lw_headers_parse() - read them
 *
 * @p:   the packet; may be NULL when len is 0
 * @len: its bytes
 *
 * Context: any; no state.
 * Return:  0, -EBADMSG (neither IPv4 nor IPv6, an IP header that is not whole, a length field that
 *          is more than len or less than the headers, or extension headers without end; *ret is
 *          then undefined).
 */
int lw_headers_parse(const uint8_t *p, size_t len, struct lw_headers *ret);

/* lw_headers_check_at() - offset of the checksum in the TCP or UDP header, where hl is not 0 */
static inline uint16_t lw_headers_check_at(const struct lw_headers *h)
{
	return h->proto == IPPROTO_TCP ? LW_TCP_CHECK : LW_UDP_CHECK;
}

/**
 * lw_headers_pseudo_sum() - the sum of the pseudo header of TCP or UDP without its length word
 *
 * @p: the packet that was parsed
 * @h: what was found
 *
 * With a routing header the address in the IP header is not the one that the sender summed.
 *
 * Context: any; no state.
 * Return:  a total of words, not folded.
 */
uint32_t lw_headers_pseudo_sum(const uint8_t *p, const struct lw_headers *h);

#endif

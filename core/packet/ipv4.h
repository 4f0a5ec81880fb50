/* SPDX-License-Identifier: MIT */
/*
 * What the core needs to know of an inside packet. It trusts no length in it.
 */
#ifndef LW_PACKET_IPV4_H
#define LW_PACKET_IPV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <laneway/addr.h>

#define LW_IPV4_HEADER_MIN 20
#define LW_IPV4_SRC        12 /* offset of the source address */
#define LW_IPV4_DST        16 /* offset of the destination address */

/**
 * lw_ipv4_valid() - whether bytes may travel through the tunnel as an IPv4 packet
 *
 * @p:   the bytes; may be NULL when len is 0
 * @len: how many
 *
 * TTL, checksum, header length and total length are not looked at: the protocol leaves them to
 * the ends.
 *
 * Context: any; no state.
 * Return:  true when the version is 4 and the fixed 20 bytes are all here.
 */
bool lw_ipv4_valid(const uint8_t *p, size_t len);

/* lw_ipv4_addr() - the address at LW_IPV4_SRC or LW_IPV4_DST of a valid packet, in host order */
uint32_t lw_ipv4_addr(const uint8_t *p, size_t at);

/* lw_ipv4_number() - an address of family 4 as a number in host order */
uint32_t lw_ipv4_number(const struct lw_addr *a);

/**
 * lw_ipv4_l4() - find the transport header
 *
 * @p:         a packet that lw_ipv4_valid() accepts
 * @len:       its bytes
 * @ret_proto: set to the protocol when there is a transport header
 *
 * Context: any; no state.
 * Return:  offset of the first byte behind the IPv4 header, at most len; 0 when the packet is a
 *          later fragment or its header length cannot be true.
 */
size_t lw_ipv4_l4(const uint8_t *p, size_t len, uint8_t *ret_proto);

#endif

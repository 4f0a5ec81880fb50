/* SPDX-License-Identifier: MIT */
#ifndef LW_LANEWAY_ADDR_H
#define LW_LANEWAY_ADDR_H

#include <stdint.h>

#include <laneway/abi.h>

/**
 * struct lw_addr - an IP address, an address with port, or a prefix
 *
 * @family: 0 none, 4, 6; an IPv4 address is never written as a v4-mapped IPv6 one
 * @prefix: length in bits where the value is a prefix, else 0
 * @port:   host order, 0 for none
 * @scope:  IPv6 zone (interface index), 0 for none
 * @ip:     network order; for IPv4 the first 4 bytes. What is not used is zero, so that two
 *          equal addresses compare equal with memcmp()
 *
 * Since: ABI 0.1
 */
struct lw_addr {
	uint8_t family;
	uint8_t prefix;
	uint16_t port;
	uint32_t scope;
	uint8_t ip[16];
};
LW_ASSERT_SIZE(lw_addr, 24);

/**
 * struct lw_endpoint - the two ends of an outside flow and the socket that carries it
 *
 * @remote: the peer
 * @local:  our address that the peer sent to; replies leave from it. family 0: any
 * @tag:    the outside module's name for one socket or connection
 * @tos:    IP TOS or IPv6 traffic class, as received or to send
 *
 * Since: ABI 0.1
 */
struct lw_endpoint {
	struct lw_addr remote;
	struct lw_addr local;
	uint32_t tag;
	uint8_t tos;
	uint8_t reserved[11];
};
LW_ASSERT_SIZE(lw_endpoint, 64);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef LW_BASE_ADDR_H
#define LW_BASE_ADDR_H

#include <stdbool.h>
#include <sys/socket.h>

#include <laneway/addr.h>

/* "[ffff:...]:65535" with a zone, and the final zero */
#define LW_ADDR_TEXT_MAX 72

/**
 * lw_addr_parse() - read "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80"
 *
 * @text: borrowed
 * @ret:  written on success; port 0 when the text has none
 *
 * Context: any thread.
 * Return:  0, or -EINVAL.
 */
int lw_addr_parse(const char *text, struct lw_addr *ret);

/**
 * lw_addr_format() - the same text back, with "/N" where a prefix is set
 *
 * @buf: LW_ADDR_TEXT_MAX bytes
 *
 * Return: buf; "none" for family 0.
 */
const char *lw_addr_format(const struct lw_addr *a, char buf[LW_ADDR_TEXT_MAX]);

/* lw_addr_ipv4() - an IPv4 address from its 32 bits in host order */
struct lw_addr lw_addr_ipv4(uint32_t ip, uint16_t port);

/* lw_addr_u32() - the 32 bits of an IPv4 address in host order, 0 for any other family */
uint32_t lw_addr_u32(const struct lw_addr *a);

/* lw_addr_equal() - same family, address, port, zone and prefix */
bool lw_addr_equal(const struct lw_addr *a, const struct lw_addr *b);

/**
 * lw_addr_from_sockaddr() - a kernel's address; a v4-mapped one becomes IPv4
 *
 * Return: 0, or -EAFNOSUPPORT.
 */
int lw_addr_from_sockaddr(const struct sockaddr_storage *ss, struct lw_addr *ret);

/**
 * lw_addr_to_sockaddr() - the reverse; all bytes of @ret that are not used are zero
 *
 * Return: length of the address, 0 for family 0.
 */
socklen_t lw_addr_to_sockaddr(const struct lw_addr *a, struct sockaddr_storage *ret);

#endif

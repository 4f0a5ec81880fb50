/* SPDX-License-Identifier: MIT */
#ifndef LW_OUTSIDE_TCP_SOCKNAME_H
#define LW_OUTSIDE_TCP_SOCKNAME_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include <laneway/addr.h>

/* "[", an IPv6 address, "%" and a zone, "]:65535" and the final zero */
#define TCP_NAME_TEXT_MAX 72

/* the kernel's form of an address, as the calls want it */
union tcp_name {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* lw_tcp_name_set() - fill the kernel's form; answers its length, 0 for family 0 */
socklen_t lw_tcp_name_set(union tcp_name *name, const struct lw_addr *a);

/* lw_tcp_name_get() - the reverse; false when the family is neither IPv4 nor IPv6 */
bool lw_tcp_name_get(const union tcp_name *name, struct lw_addr *ret);

/* lw_tcp_name_any() - whether it is the unspecified address of its family */
bool lw_tcp_name_any(const struct lw_addr *a);

/* lw_tcp_name_format() - "192.0.2.1:80" or "[2001:db8::1]:80", for sentences; answers buf */
const char *lw_tcp_name_format(const struct lw_addr *a, char buf[TCP_NAME_TEXT_MAX]);

#endif

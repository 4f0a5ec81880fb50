/* SPDX-License-Identifier: MIT */
#include "sockname.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

socklen_t lw_tcp_name_set(union tcp_name *name, const struct lw_addr *a)
{
	memset(name, 0, sizeof(*name));
	if (a->family == 4) {
		name->in.sin_family = AF_INET;
		name->in.sin_port = htons(a->port);
		memcpy(&name->in.sin_addr, a->ip, 4);
		return sizeof(name->in);
	}
	if (a->family == 6) {
		name->in6.sin6_family = AF_INET6;
		name->in6.sin6_port = htons(a->port);
		name->in6.sin6_scope_id = a->scope;
		memcpy(&name->in6.sin6_addr, a->ip, 16);
		return sizeof(name->in6);
	}
	return 0;
}

bool lw_tcp_name_get(const union tcp_name *name, struct lw_addr *ret)
{
	*ret = (struct lw_addr){ .family = 0 };
	if (name->sa.sa_family == AF_INET) {
		ret->family = 4;
		ret->port = ntohs(name->in.sin_port);
		memcpy(ret->ip, &name->in.sin_addr, 4);
	} else if (name->sa.sa_family == AF_INET6) {
		ret->family = 6;
		ret->port = ntohs(name->in6.sin6_port);
		ret->scope = name->in6.sin6_scope_id;
		memcpy(ret->ip, &name->in6.sin6_addr, 16);
	}
	return ret->family != 0;
}

bool lw_tcp_name_any(const struct lw_addr *a)
{
	static const uint8_t zero[sizeof(a->ip)];

	return memcmp(a->ip, zero, sizeof(zero)) == 0;
}

const char *lw_tcp_name_format(const struct lw_addr *a, char buf[TCP_NAME_TEXT_MAX])
{
	char ip[INET6_ADDRSTRLEN] = "";
	char zone[16] = "";

	(void)inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, ip, sizeof(ip));
	if (a->scope != 0)
		(void)snprintf(zone, sizeof(zone), "%%%u", a->scope);
	(void)snprintf(buf, TCP_NAME_TEXT_MAX, a->family == 4 ? "%s%s:%u" : "[%s%s]:%u", ip, zone,
	               a->port);
	return buf;
}

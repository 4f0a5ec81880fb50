/* SPDX-License-Identifier: MIT */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, uint16_t *ret)
{
	unsigned long v = 0;

	if (*text == '\0' || strlen(text) > 5)
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (unsigned long)(*text - '0');
	}
	if (v > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)v;
	return 0;
}

static int parse_v4(char *text, struct lw_addr *a)
{
	char *colon = strchr(text, ':');

	if (colon != NULL) {
		*colon = '\0';
		if (parse_port(colon + 1, &a->port) < 0)
			return -EINVAL;
	}
	a->family = 4;
	return inet_pton(AF_INET, text, a->ip) == 1 ? 0 : -EINVAL;
}

static int parse_v6(char *text, struct lw_addr *a)
{
	char *zone;

	if (*text == '[') {
		char *close = strchr(text, ']');

		if (close == NULL)
			return -EINVAL;
		*close = '\0';
		if (close[1] == ':') {
			if (parse_port(close + 2, &a->port) < 0)
				return -EINVAL;
		} else if (close[1] != '\0') {
			return -EINVAL;
		}
		text++;
	}
	zone = strchr(text, '%');
	if (zone != NULL) {
		*zone = '\0';
		a->scope = if_nametoindex(zone + 1);
		if (a->scope == 0)
			return -EINVAL;
	}
	a->family = 6;
	return inet_pton(AF_INET6, text, a->ip) == 1 ? 0 : -EINVAL;
}

int lw_addr_parse(const char *text, struct lw_addr *ret)
{
	struct lw_addr a = { 0 };
	char copy[LW_ADDR_TEXT_MAX];
	const char *colon;
	int r;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	(void)snprintf(copy, sizeof(copy), "%s", text);
	colon = strchr(text, ':');
	/* two colons, or a bracket, make it IPv6 */
	if (*text == '[' || (colon != NULL && strchr(colon + 1, ':') != NULL))
		r = parse_v6(copy, &a);
	else
		r = parse_v4(copy, &a);
	if (r == 0)
		*ret = a;
	return r;
}

const char *lw_addr_format(const struct lw_addr *a, char buf[LW_ADDR_TEXT_MAX])
{
	char ip[INET6_ADDRSTRLEN] = "";
	char zone[16] = "";
	char tail[16] = "";

	if (a->family != 4 && a->family != 6) {
		(void)snprintf(buf, LW_ADDR_TEXT_MAX, "none");
		return buf;
	}
	(void)inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, ip, sizeof(ip));
	if (a->scope != 0)
		(void)snprintf(zone, sizeof(zone), "%%%u", a->scope);
	if (a->port != 0)
		(void)snprintf(tail, sizeof(tail), ":%u", a->port);
	else if (a->prefix != 0)
		(void)snprintf(tail, sizeof(tail), "/%u", a->prefix);
	if (a->family == 6 && a->port != 0)
		(void)snprintf(buf, LW_ADDR_TEXT_MAX, "[%s%s]%s", ip, zone, tail);
	else
		(void)snprintf(buf, LW_ADDR_TEXT_MAX, "%s%s%s", ip, zone, tail);
	return buf;
}

struct lw_addr lw_addr_ipv4(uint32_t ip, uint16_t port)
{
	struct lw_addr a = { .family = 4, .port = port };

	for (int i = 0; i < 4; i++)
		a.ip[i] = (uint8_t)(ip >> (24 - 8 * i));
	return a;
}

uint32_t lw_addr_u32(const struct lw_addr *a)
{
	if (a->family != 4)
		return 0;
	return (uint32_t)a->ip[0] << 24 | (uint32_t)a->ip[1] << 16 | (uint32_t)a->ip[2] << 8 |
	       a->ip[3];
}

bool lw_addr_equal(const struct lw_addr *a, const struct lw_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

int lw_addr_from_sockaddr(const struct sockaddr_storage *ss, struct lw_addr *ret)
{
	struct lw_addr a = { 0 };

	if (ss->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, ss, sizeof(in));
		a.family = 4;
		a.port = ntohs(in.sin_port);
		memcpy(a.ip, &in.sin_addr, 4);
	} else if (ss->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, ss, sizeof(in6));
		a.port = ntohs(in6.sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
			a.family = 4;
			memcpy(a.ip, in6.sin6_addr.s6_addr + 12, 4);
		} else {
			a.family = 6;
			a.scope = in6.sin6_scope_id;
			memcpy(a.ip, in6.sin6_addr.s6_addr, 16);
		}
	} else {
		return -EAFNOSUPPORT;
	}
	*ret = a;
	return 0;
}

socklen_t lw_addr_to_sockaddr(const struct lw_addr *a, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (a->family == 4) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(a->port) };

		memcpy(&in.sin_addr, a->ip, 4);
		memcpy(ret, &in, sizeof(in));
		return sizeof(in);
	}
	if (a->family == 6) {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
			                    .sin6_port = htons(a->port),
			                    .sin6_scope_id = a->scope };

		memcpy(&in6.sin6_addr, a->ip, 16);
		memcpy(ret, &in6, sizeof(in6));
		return sizeof(in6);
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "wire/success.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define TEXT_SIZE (LW_SUCCESS_TEXT_MAX + 1)
#define MTU_MAX   65535u

static bool format_ipv4(char text[TEXT_SIZE], const struct lw_addr *a)
{
	return a->family == 4 && inet_ntop(AF_INET, a->ip, text, TEXT_SIZE) != NULL;
}

static bool parse_ipv4(struct lw_bytes text, struct lw_addr *ret_addr)
{
	char copy[TEXT_SIZE] = { 0 };
	struct lw_addr a = { .family = 4 };

	memcpy(copy, text.p, text.len);
	if (inet_pton(AF_INET, copy, a.ip) != 1)
		return false;
	*ret_addr = a;
	return true;
}

static uint32_t parse_mtu(struct lw_bytes text)
{
	uint32_t mtu = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return 0;
		mtu = mtu * 10 + (uint32_t)(text.p[i] - '0');
		if (mtu > MTU_MAX)
			return 0;
	}
	return mtu;
}

static struct lw_bytes text_view(const char *text)
{
	return (struct lw_bytes){ .p = (const uint8_t *)text, .len = strlen(text) };
}

int lw_success_write(uint8_t *dst, size_t cap, const struct lw_success *s)
{
	char local[TEXT_SIZE];
	char peer[TEXT_SIZE];
	char dns[TEXT_SIZE];
	char mtu[TEXT_SIZE];
	struct lw_frame f = { .type = LW_FRAME_AUTH_SUCCESS };

	if (!format_ipv4(local, &s->local) || !format_ipv4(peer, &s->peer) ||
	    !format_ipv4(dns, &s->dns))
		return -EAFNOSUPPORT;
	(void)snprintf(mtu, sizeof(mtu), "%u", s->mtu);
	f.success = (struct lw_frame_success){ .local = text_view(local),
		                               .peer = text_view(peer),
		                               .dns = text_view(dns),
		                               .mtu = text_view(mtu),
		                               .session = s->session };
	return lw_frame_encode(dst, cap, &f);
}

int lw_success_read(const struct lw_frame_success *f, struct lw_success *ret_s)
{
	struct lw_success s = { .mtu = parse_mtu(f->mtu), .session = f->session };

	if (!parse_ipv4(f->local, &s.local) || !parse_ipv4(f->peer, &s.peer) ||
	    !parse_ipv4(f->dns, &s.dns))
		return -EINVAL;
	*ret_s = s;
	return 0;
}

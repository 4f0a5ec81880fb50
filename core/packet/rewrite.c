/* SPDX-License-Identifier: MIT */
#include "packet/rewrite.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/ipv4.h"

/* one change of an address; old and now in host order */
struct change {
	uint32_t old;
	uint32_t now;
};

/* whether the field of this transport header holds a sum; a sum that belongs to a header further
 * inside (a tunnel in the tunnel) knows nothing of our addresses */
static bool is_partial(const struct lw_packet *p, size_t l4, size_t check)
{
	return (p->flags & LW_PKT_CSUM_PARTIAL) != 0 && p->csum_start == l4 && p->csum_off == check;
}

static void fix_tcp(const struct lw_packet *p, uint8_t *data, size_t l4, struct change c)
{
	uint8_t *field = data + l4 + LW_TCP_CHECK;

	if (is_partial(p, l4, LW_TCP_CHECK))
		lw_store16(field, lw_csum_adjust32(lw_load16(field), c.old, c.now));
	else
		lw_store16(field, lw_csum_update32(lw_load16(field), c.old, c.now));
}

static void fix_udp(const struct lw_packet *p, uint8_t *data, size_t l4, struct change c)
{
	uint8_t *field = data + l4 + LW_UDP_CHECK;
	uint16_t check = lw_load16(field);

	if (is_partial(p, l4, LW_UDP_CHECK)) {
		lw_store16(field, lw_csum_adjust32(check, c.old, c.now));
		return;
	}
	if (check == 0) /* the sender computed none */
		return;
	check = lw_csum_update32(check, c.old, c.now);
	lw_store16(field, check != 0 ? check : 0xffff);
}

static void fix_transport(const struct lw_packet *p, uint8_t *data, struct change c)
{
	uint8_t proto = 0;
	size_t l4 = lw_ipv4_l4(data, p->len, &proto);

	if (l4 == 0)
		return;
	if (proto == IPPROTO_TCP && p->len - l4 >= LW_TCP_HEADER_MIN)
		fix_tcp(p, data, l4, c);
	else if (proto == IPPROTO_UDP && p->len - l4 >= LW_UDP_HEADER)
		fix_udp(p, data, l4, c);
}

static int rewrite(struct lw_packet *p, size_t at, uint32_t addr)
{
	uint8_t *data = lw_packet_data(p);
	uint8_t *check = data + LW_IPV4_CHECK;
	struct change c = { .now = addr };

	if (!lw_ipv4_valid(data, p->len))
		return -EBADMSG;
	c.old = lw_ipv4_addr(data, at);
	if (c.old == c.now)
		return 0;
	lw_store32(data + at, addr);
	lw_store16(check, lw_csum_update32(lw_load16(check), c.old, c.now));
	fix_transport(p, data, c);
	return 0;
}

int lw_rewrite_src(struct lw_packet *p, uint32_t addr)
{
	return rewrite(p, LW_IPV4_SRC, addr);
}

int lw_rewrite_dst(struct lw_packet *p, uint32_t addr)
{
	return rewrite(p, LW_IPV4_DST, addr);
}

/* SPDX-License-Identifier: MIT */
#include "packet/segment.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "packet/checksum.h"

#define UDP_CHECK 6

static bool is_partial(const struct lw_packet *p)
{
	return (p->flags & (LW_PKT_CSUM_PARTIAL | LW_PKT_ENCODED)) == LW_PKT_CSUM_PARTIAL;
}

static uint32_t field_end(const struct lw_packet *p)
{
	return (uint32_t)p->csum_start + p->csum_off + 2;
}

/* `sum` covers the packet from csum_start on, the field's own content included (offload.md 2.5) */
static void store_check(const struct lw_packet *p, uint8_t *data, uint16_t sum)
{
	uint8_t *field = data + p->csum_start + p->csum_off;
	uint16_t check = (uint16_t)~sum;

	if (check == 0 && p->csum_off == UDP_CHECK)
		check = 0xffff;
	field[0] = (uint8_t)(check >> 8);
	field[1] = (uint8_t)check;
}

int lw_seg_init(struct lw_seg *g, struct lw_packet *p)
{
	if (p->gso_size > 0 || p->gso_type != LW_GSO_NONE || p->len == 0)
		return -EBADMSG;
	if (is_partial(p) && field_end(p) > p->len)
		return -EBADMSG;
	g->super = p;
	g->next = 0;
	g->count = 1;
	g->hl = 0;
	return 0;
}

uint32_t lw_seg_copy(struct lw_seg *g, uint8_t *dst, uint32_t cap)
{
	const struct lw_packet *p = g->super;
	const uint8_t *data = lw_packet_data(p);
	uint32_t start = is_partial(p) ? p->csum_start : p->len;

	if (g->next == g->count || p->len > cap)
		return 0;
	memcpy(dst, data, start);
	if (start < p->len)
		store_check(p, dst, lw_csum_copy(dst + start, data + start, p->len - start));
	g->next++;
	return p->len;
}

uint8_t *lw_seg_expose(struct lw_seg *g, uint32_t *ret_len)
{
	struct lw_packet *p = g->super;
	uint8_t *data = lw_packet_data(p);

	if (g->next == g->count)
		return NULL;
	if (is_partial(p)) {
		store_check(p, data, lw_csum_sum(data + p->csum_start, p->len - p->csum_start));
		p->flags &= (uint16_t)~LW_PKT_CSUM_PARTIAL;
	}
	g->next++;
	*ret_len = p->len;
	return data;
}

/* SPDX-License-Identifier: MIT */
#include "packet/segment.h"

#include <errno.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"

/* --- a packet of one segment --- */

static bool is_partial(const struct lw_packet *p)
{
	return (p->flags & (LW_PKT_CSUM_PARTIAL | LW_PKT_ENCODED)) == LW_PKT_CSUM_PARTIAL;
}

static uint32_t field_end(const struct lw_packet *p)
{
	return (uint32_t)p->csum_start + p->csum_off + 2;
}

static void store_check(uint8_t *field, uint32_t total, bool udp)
{
	uint16_t check = (uint16_t)~lw_csum_fold(total);

	lw_store16(field, check == 0 && udp ? 0xffff : check);
}

/* `sum` covers the packet from csum_start on, the field's own content included (offload.md 2.5) */
static void complete(const struct lw_packet *p, uint8_t *data, uint16_t sum)
{
	store_check(data + p->csum_start + p->csum_off, sum, p->csum_off == LW_UDP_CHECK);
}

static uint32_t copy_single(const struct lw_packet *p, uint8_t *dst, uint32_t cap)
{
	const uint8_t *data = lw_packet_data(p);
	uint32_t start = is_partial(p) ? p->csum_start : p->len;

	if (p->len > cap)
		return 0;
	memcpy(dst, data, start);
	if (start < p->len)
		complete(p, dst, lw_csum_copy(dst + start, data + start, p->len - start));
	return p->len;
}

static uint8_t *expose_single(struct lw_packet *p, uint32_t *ret_len)
{
	uint8_t *data = lw_packet_data(p);

	if (is_partial(p)) {
		complete(p, data, lw_csum_sum(data + p->csum_start, p->len - p->csum_start));
		p->flags &= (uint16_t)~LW_PKT_CSUM_PARTIAL;
	}
	*ret_len = p->len;
	return data;
}

/* --- several segments --- */

static bool is_of_type(const struct lw_headers *h, uint8_t gso_type)
{
	switch (gso_type) {
	case LW_GSO_TCP4:
		return h->proto == IPPROTO_TCP && h->version == 4;
	case LW_GSO_TCP6:
		return h->proto == IPPROTO_TCP && h->version == 6;
	case LW_GSO_UDP:
		return h->proto == IPPROTO_UDP;
	default:
		return false;
	}
}

/* whether this is a superpacket in which everything fits together (offload.md 2.1) */
static bool parse_super(const struct lw_packet *p, struct lw_headers *h)
{
	const uint8_t *data = lw_packet_data(p);

	if (p->gso_size == 0 || p->n_more > 0 || (p->flags & LW_PKT_ENCODED) != 0)
		return false;
	if (lw_headers_parse(data, p->len, h) < 0 || h->hl == 0 || h->hl > LW_SEG_HEADER_MAX)
		return false;
	if (!is_of_type(h, p->gso_type))
		return false;
	if (is_partial(p) && (p->csum_start != h->l4 || p->csum_off != lw_headers_check_at(h)))
		return false;
	if (h->proto == IPPROTO_TCP)
		return true;
	return is_partial(p) && lw_load16(data + h->l4 + LW_UDP_LEN) == h->total - h->l4;
}

/* takes the words that differ out of the header and keeps what they begin with */
static void make_template(struct lw_seg *g, const struct lw_headers *h)
{
	uint8_t *ip = g->hdr;
	uint8_t *l4 = g->hdr + h->l4;

	if (h->version == 4) {
		g->id = lw_load16(ip + LW_IPV4_ID);
		lw_store16(ip + LW_IPV4_TOTAL, 0);
		lw_store16(ip + LW_IPV4_ID, 0);
		lw_store16(ip + LW_IPV4_CHECK, 0);
		g->ip_sum = lw_csum_sum(ip, h->l4);
	}
	if (g->tcp) {
		g->seq = lw_load32(l4 + LW_TCP_SEQ);
		g->flags = l4[LW_TCP_FLAGS];
		lw_store32(l4 + LW_TCP_SEQ, 0);
		l4[LW_TCP_FLAGS] = 0;
	} else {
		lw_store16(l4 + LW_UDP_LEN, 0);
	}
	lw_store16(l4 + lw_headers_check_at(h), 0);
	g->l4_sum += lw_csum_sum(l4, (size_t)(h->hl - h->l4));
}

/*
 * A partial checksum is the sum of the pseudo header with the length of the whole superpacket,
 * which is taken off again (offload.md 2.3): one that was wrong stays wrong, and behind a routing
 * header only the sender knows the address that it summed. A complete one says nothing of the
 * segments; the kernel computes theirs from nothing too.
 */
static uint32_t pseudo_sum(const struct lw_packet *p, const struct lw_headers *h)
{
	const uint8_t *data = lw_packet_data(p);

	if (!is_partial(p))
		return lw_headers_pseudo_sum(data, h);
	return lw_load16(data + h->l4 + lw_headers_check_at(h)) + 0xffff - (h->total - h->l4);
}

static int init_super(struct lw_seg *g, struct lw_packet *p)
{
	struct lw_headers h;

	if (!parse_super(p, &h))
		return -EBADMSG;
	p->len = h.total;
	g->payload = h.total - h.hl;
	if (g->payload <= p->gso_size)
		return 0;
	g->count = (g->payload - 1) / p->gso_size + 1;
	g->l4 = h.l4;
	g->hl = h.hl;
	g->tcp = h.proto == IPPROTO_TCP;
	g->l4_sum = pseudo_sum(p, &h);
	memcpy(g->hdr, lw_packet_data(p), h.hl);
	make_template(g, &h);
	return 0;
}

/* the lengths, and the identification of IPv4, which counts whatever DF says */
static void write_ip(const struct lw_seg *g, uint8_t *ip, uint32_t len)
{
	uint16_t id = (uint16_t)(g->id + g->next);

	if (ip[0] >> 4 == 6) {
		lw_store16(ip + LW_IPV6_PAYLOAD, (uint16_t)(len - LW_IPV6_HEADER));
		return;
	}
	lw_store16(ip + LW_IPV4_TOTAL, (uint16_t)len);
	lw_store16(ip + LW_IPV4_ID, id);
	store_check(ip + LW_IPV4_CHECK, g->ip_sum + len + id, false);
}

/* PSH and FIN belong to the last segment, CWR to the first */
static uint32_t write_tcp(const struct lw_seg *g, uint8_t *tcp)
{
	uint32_t seq = g->seq + g->next * g->super->gso_size;
	uint8_t flags = g->flags;

	if (g->next > 0)
		flags &= (uint8_t)~LW_TCP_CWR;
	if (g->next + 1 < g->count)
		flags &= (uint8_t) ~(LW_TCP_PSH | LW_TCP_FIN);
	lw_store32(tcp + LW_TCP_SEQ, seq);
	tcp[LW_TCP_FLAGS] = flags;
	return (seq >> 16) + (seq & 0xffff) + flags;
}

static uint32_t write_udp(uint8_t *udp, uint32_t len)
{
	lw_store16(udp + LW_UDP_LEN, (uint16_t)len);
	return len;
}

static uint32_t offset_of_next(const struct lw_seg *g)
{
	return g->next * g->super->gso_size;
}

static uint32_t size_of_next(const struct lw_seg *g)
{
	uint32_t left = g->payload - offset_of_next(g);

	return left < g->super->gso_size ? left : g->super->gso_size;
}

/* the next segment's header, complete for a payload of `size` bytes and this sum */
static void write_header(const struct lw_seg *g, uint8_t *dst, uint32_t size, uint16_t sum)
{
	uint8_t *l4 = dst + g->l4;
	uint32_t len = g->hl + size - g->l4;
	uint32_t total = g->l4_sum + len + sum;

	memcpy(dst, g->hdr, g->hl);
	write_ip(g, dst, g->hl + size);
	if (g->tcp)
		store_check(l4 + LW_TCP_CHECK, total + write_tcp(g, l4), false);
	else
		store_check(l4 + LW_UDP_CHECK, total + write_udp(l4, len), true);
}

static uint32_t copy_next(const struct lw_seg *g, uint8_t *dst, uint32_t cap)
{
	const uint8_t *payload = lw_packet_data(g->super) + g->hl + offset_of_next(g);
	uint32_t size = size_of_next(g);

	if (g->hl + size > cap)
		return 0;
	write_header(g, dst, size, lw_csum_copy(dst + g->hl, payload, size));
	return g->hl + size;
}

static uint8_t *expose_next(const struct lw_seg *g, uint32_t *ret_len)
{
	uint8_t *dst = lw_packet_data(g->super) + offset_of_next(g);
	uint32_t size = size_of_next(g);

	write_header(g, dst, size, lw_csum_sum(dst + g->hl, size));
	*ret_len = g->hl + size;
	return dst;
}

/* --- either --- */

int lw_seg_init(struct lw_seg *g, struct lw_packet *p)
{
	g->super = p;
	g->next = 0;
	g->count = 1;
	g->hl = 0;
	if (p->gso_size > 0 || p->gso_type != LW_GSO_NONE)
		return init_super(g, p);
	if (p->len == 0 || p->n_more > 0 || (is_partial(p) && field_end(p) > p->len))
		return -EBADMSG;
	return 0;
}

uint32_t lw_seg_copy(struct lw_seg *g, uint8_t *dst, uint32_t cap)
{
	uint32_t len;

	if (g->next == g->count)
		return 0;
	len = g->count == 1 ? copy_single(g->super, dst, cap) : copy_next(g, dst, cap);
	if (len > 0)
		g->next++;
	return len;
}

uint8_t *lw_seg_expose(struct lw_seg *g, uint32_t *ret_len)
{
	uint8_t *data;

	if (g->next == g->count)
		return NULL;
	data = g->count == 1 ? expose_single(g->super, ret_len) : expose_next(g, ret_len);
	g->next++;
	return data;
}

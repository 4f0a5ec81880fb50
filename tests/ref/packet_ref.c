/* SPDX-License-Identifier: MIT */
#include "ref/packet_ref.h"

#include <assert.h>
#include <string.h>

uint64_t ref_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

uint32_t ref_below(uint64_t *seed, uint32_t n)
{
	return (uint32_t)(ref_random(seed) >> 20) % n;
}

uint16_t ref_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

void ref_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void ref_put32(uint8_t *p, uint32_t v)
{
	ref_put16(p, (uint16_t)(v >> 16));
	ref_put16(p + 2, (uint16_t)v);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)ref_get16(p) << 16 | ref_get16(p + 2);
}

uint32_t ref_words(uint32_t total, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		total += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	return total;
}

uint16_t ref_fold(uint32_t total)
{
	while (total >> 16 != 0)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

struct ref_layout ref_layout(const uint8_t *p)
{
	struct ref_layout l = { .v6 = p[0] >> 4 == 6 };

	if (l.v6) {
		l.proto = p[6];
		l.l4 = 40;
		while (l.proto == 0 || l.proto == 43 || l.proto == 60) {
			l.proto = p[l.l4];
			l.l4 += 8 + 8u * p[l.l4 + 1];
		}
	} else {
		assert(p[0] >> 4 == 4);
		l.proto = p[9];
		l.l4 = (p[0] & 15u) * 4;
	}
	assert(l.proto == 6 || l.proto == 17);
	l.hl = l.l4 + (l.proto == 6 ? (p[l.l4 + 12] >> 4) * 4u : 8u);
	l.check = l.l4 + (l.proto == 6 ? 16 : 6);
	return l;
}

static uint32_t pseudo_header(const uint8_t *p, uint32_t len, const struct ref_layout *l)
{
	return ref_words(l->proto + len - l->l4, p + (l->v6 ? 8 : 12), l->v6 ? 32 : 8);
}

void ref_finish(uint8_t *p, uint32_t len, bool partial)
{
	struct ref_layout l = ref_layout(p);
	uint32_t pseudo = pseudo_header(p, len, &l);
	uint16_t check;

	if (l.v6) {
		ref_put16(p + 4, (uint16_t)(len - 40));
	} else {
		ref_put16(p + 2, (uint16_t)len);
		ref_put16(p + 10, 0);
		ref_put16(p + 10, (uint16_t)~ref_fold(ref_words(0, p, l.l4)));
	}
	if (l.proto == 17)
		ref_put16(p + l.l4 + 4, (uint16_t)(len - l.l4));
	ref_put16(p + l.check, 0);
	check = (uint16_t)~ref_fold(ref_words(pseudo, p + l.l4, len - l.l4));
	if (l.proto == 17 && check == 0)
		check = 0xffff;
	ref_put16(p + l.check, partial ? ref_fold(pseudo) : check);
}

bool ref_good(const uint8_t *p, uint32_t len)
{
	struct ref_layout l = ref_layout(p);

	if (!l.v6 && ref_fold(ref_words(0, p, l.l4)) != 0xffff)
		return false;
	return ref_fold(ref_words(pseudo_header(p, len, &l), p + l.l4, len - l.l4)) == 0xffff;
}

uint32_t ref_segment(const uint8_t *super, uint32_t len, uint32_t gso_size, uint32_t i,
                     uint8_t *out)
{
	struct ref_layout l = ref_layout(super);
	uint32_t n = (len - l.hl + gso_size - 1) / gso_size;
	uint32_t begin = l.hl + i * gso_size;
	uint32_t end = i + 1 < n ? begin + gso_size : len;

	if (i >= n)
		return 0;
	memcpy(out, super, l.hl);
	memcpy(out + l.hl, super + begin, end - begin);
	if (!l.v6)
		ref_put16(out + 4, (uint16_t)(ref_get16(super + 4) + i));
	if (l.proto == 6) {
		ref_put32(out + l.l4 + 4, get32(super + l.l4 + 4) + i * gso_size);
		if (i > 0)
			out[l.l4 + 13] &= 0x7f; /* CWR */
		if (i + 1 < n)
			out[l.l4 + 13] &= 0xf6; /* PSH, FIN */
	}
	ref_finish(out, l.hl + end - begin, false);
	return l.hl + end - begin;
}

/* --- one packet --- */

static const uint8_t addresses4[8] = { 198, 18, 0, 1, 198, 19, 0, 2 };
static const uint8_t addresses6[32] = {
	0x20, 0x01, 0x0d, 0xb8, 0, 0x0a, [15] = 1, [16] = 0x20, 0x01, 0x0d, 0xb8, 0, 0x0b, [31] = 2,
};

static uint32_t write_ip(const struct ref_packet *s, uint8_t *out)
{
	if (s->v6) {
		ref_put32(out, 0x60000000u | (uint32_t)s->tos << 20 | 0x4711);
		out[6] = s->udp ? 17 : 6;
		out[7] = s->ttl;
		memcpy(out + 8, addresses6, sizeof(addresses6));
		out[22] = s->flow >> 4;
		return 40;
	}
	out[0] = 0x45;
	out[1] = s->tos;
	ref_put16(out + 4, s->id);
	ref_put16(out + 6, s->fragment);
	out[8] = s->ttl;
	out[9] = s->udp ? 17 : 6;
	memcpy(out + 12, addresses4, sizeof(addresses4));
	out[14] = s->flow >> 4;
	return 20;
}

static uint32_t write_tcp(const struct ref_packet *s, uint8_t *out)
{
	uint32_t len = s->stamp != 0 ? 32 : 20;

	ref_put32(out + 4, s->seq);
	ref_put32(out + 8, s->ack);
	out[12] = (uint8_t)(len / 4 << 4);
	out[13] = s->flags;
	ref_put16(out + 14, s->window);
	if (len > 20) {
		ref_put32(out + 20, 0x0101080a);
		ref_put32(out + 24, s->stamp);
	}
	return len;
}

uint32_t ref_make_packet(const struct ref_packet *s, uint8_t *out)
{
	uint32_t l4;
	uint32_t hl;

	memset(out, 0, 80);
	l4 = write_ip(s, out);
	ref_put16(out + l4, (uint16_t)(40000 + s->flow));
	ref_put16(out + l4 + 2, 443);
	hl = l4 + (s->udp ? 8 : write_tcp(s, out + l4));
	for (uint32_t i = 0; i < s->payload; i++)
		out[hl + i] = (uint8_t)(s->pattern + i * 7);
	ref_finish(out, hl + s->payload, false);
	return hl + s->payload;
}

/* --- random superpackets --- */

static uint32_t draw_gso_size(uint64_t *seed)
{
	static const uint16_t usual[] = { 1, 2, 7, 536, 1208, 1348, 1388, 1400, 1448 };

	if (ref_below(seed, 3) > 0)
		return usual[ref_below(seed, sizeof(usual) / sizeof(usual[0]))];
	return 1 + ref_below(seed, ref_below(seed, 2) != 0 ? 1400 : 64);
}

struct ref_super ref_draw_super(uint64_t *seed, uint32_t max_segs)
{
	static const uint8_t types[] = { LW_GSO_TCP4, LW_GSO_TCP6, LW_GSO_UDP, LW_GSO_UDP };
	struct ref_super s = { .gso_type = types[ref_below(seed, 4)] };
	uint32_t most;
	uint32_t n;

	s.v6 = s.gso_type == LW_GSO_TCP6 || (s.gso_type == LW_GSO_UDP && ref_below(seed, 2) != 0);
	if (ref_below(seed, 3) == 0)
		s.ip_options = s.v6 ? 8 * (1 + ref_below(seed, 4)) : 4 * (1 + ref_below(seed, 10));
	if (s.gso_type != LW_GSO_UDP)
		s.tcp_options = 4 * ref_below(seed, 11);
	s.gso_size = draw_gso_size(seed);
	most = (65535 - 200) / s.gso_size;
	most = most < max_segs ? most : max_segs;
	n = ref_below(seed, 4) != 0 ? 2 + ref_below(seed, 6) : 2 + ref_below(seed, most);
	n = n < most ? n : most;
	s.payload = (n - 1) * s.gso_size + 1 + ref_below(seed, s.gso_size);
	if (ref_below(seed, 8) == 0)
		s.payload = n * s.gso_size;
	return s;
}

/* hop-by-hop and then destination options, or one of these, or a routing header behind them */
static uint32_t put_extensions(uint64_t *seed, uint8_t *p, uint32_t bytes, uint8_t proto)
{
	static const uint8_t later[] = { 60, 60, 43 };
	uint8_t *next = p + 6;
	uint32_t at = 40;

	for (bool first = true; bytes > 0; first = false) {
		uint32_t n = first ? 8 : bytes;

		*next = first && ref_below(seed, 2) != 0 ? 0 : later[ref_below(seed, 3)];
		next = p + at;
		memset(next, 0, n);
		next[1] = (uint8_t)(n / 8 - 1);
		if (p[6] == 0 && first) /* the kernel looks at these: PadN over the whole */
			ref_put16(next + 2, 0x0104);
		at += n;
		bytes -= n;
	}
	*next = proto;
	return at;
}

static uint32_t put_ip(uint64_t *seed, const struct ref_super *s, uint8_t *p, uint8_t proto)
{
	if (s->v6) {
		p[0] = (uint8_t)(0x60 | (p[0] & 15));
		p[7] = (uint8_t)(2 + ref_below(seed, 254));
		memcpy(p + 8, addresses6, 8);
		memcpy(p + 24, addresses6 + 16, 8);
		return put_extensions(seed, p, s->ip_options, proto);
	}
	p[0] = (uint8_t)(0x45 + s->ip_options / 4);
	ref_put16(p + 6, ref_below(seed, 2) != 0 ? 0x4000 : 0);
	p[8] = (uint8_t)(2 + ref_below(seed, 254));
	p[9] = proto;
	memcpy(p + 12, addresses4, 2); /* 198.18.0.0/16 to 198.19.0.0/16 */
	memcpy(p + 16, addresses4 + 4, 2);
	memset(p + 20, 1, s->ip_options); /* no operation */
	return 20 + s->ip_options;
}

void ref_make_super(uint64_t *seed, const struct ref_super *s, uint8_t *buf, struct lw_packet *p)
{
	uint8_t proto = s->gso_type == LW_GSO_UDP ? 17 : 6;
	uint32_t hl = (s->v6 ? 40 : 20) + s->ip_options;
	uint32_t l4;

	hl += proto == 6 ? 20 + s->tcp_options : 8;
	for (uint32_t i = 0; i < hl + s->payload; i++)
		buf[i] = (uint8_t)ref_random(seed);
	l4 = put_ip(seed, s, buf, proto);
	if (proto == 6)
		buf[l4 + 12] = (uint8_t)((5 + s->tcp_options / 4) << 4 | (buf[l4 + 12] & 15));
	*p = (struct lw_packet){
		.buf = buf,
		.cap = hl + s->payload,
		.len = hl + s->payload,
		.gso_size = (uint16_t)s->gso_size,
		.gso_type = s->gso_type,
		.flags = LW_PKT_CSUM_PARTIAL,
		.csum_start = (uint16_t)l4,
		.csum_off = proto == 6 ? 16 : 6,
	};
	ref_finish(buf, p->len, true);
}

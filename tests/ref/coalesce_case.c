/* SPDX-License-Identifier: MIT */
#include "ref/coalesce_case.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* packets, in a row, with what they belong to */
enum kind { KIND_FLOW, KIND_NONE, KIND_ANY };
struct item {
	enum kind kind;
	uint32_t len;
	uint8_t key[38];
	uint8_t *bytes;
};
struct list {
	struct item item[COALESCE_MAX];
	uint32_t n;
};

const struct ref_packet coalesce_tcp4 = {
	.ttl = 64, .flags = 0x10, .id = 7, .window = 500, .seq = 1000, .ack = 77, .payload = 100
};
const struct ref_packet coalesce_tcp6 = {
	.v6 = true, .ttl = 64, .flags = 0x10, .window = 500, .seq = 1000, .ack = 77, .payload = 100
};
const struct ref_packet coalesce_udp4 = { .udp = true, .ttl = 64, .id = 7, .payload = 100 };
const struct ref_packet coalesce_udp6 = { .v6 = true, .udp = true, .ttl = 64, .payload = 100 };
const struct ref_packet *const coalesce_kinds[COALESCE_KINDS] = {
	&coalesce_tcp4,
	&coalesce_tcp6,
	&coalesce_udp4,
	&coalesce_udp6,
};

void coalesce_empty(struct coalesce_case *t)
{
	memset(t, 0, sizeof(*t));
	t->b.pkt = t->pkt;
	t->b.cap = COALESCE_MAX;
}

static uint8_t *copy_of(const uint8_t *bytes, uint32_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	assert(copy != NULL);
	memcpy(copy, bytes, len);
	return copy;
}

struct lw_packet *coalesce_add(struct coalesce_case *t, const uint8_t *bytes, uint32_t len)
{
	struct coalesce_in *in = &t->in[t->n_in++];
	struct lw_packet *p = &t->pkt[t->b.n++];

	assert(t->n_in <= COALESCE_MAX);
	*in = (struct coalesce_in){
		.before = copy_of(bytes, len),
		.block = copy_of(bytes, len),
		.len = len,
	};
	*p = (struct lw_packet){ .buf = in->block, .cap = len, .len = len };
	return p;
}

struct lw_packet *coalesce_make(struct coalesce_case *t, const struct ref_packet *s)
{
	uint8_t bytes[2048];

	assert(s->payload <= sizeof(bytes) - 80);
	return coalesce_add(t, bytes, ref_make_packet(s, bytes));
}

uint32_t coalesce_linear(const struct lw_packet *p, uint8_t *out)
{
	uint32_t len = p->len;

	memcpy(out, lw_packet_data(p), p->len);
	for (uint32_t i = 0; i < p->n_more; i++) {
		memcpy(out + len, p->more[i].iov_base, p->more[i].iov_len);
		len += (uint32_t)p->more[i].iov_len;
	}
	assert(len == p->len + p->more_len);
	return len;
}

/* --- what a packet belongs to --- */

static bool has_ports(const uint8_t *p, uint32_t end, uint32_t l4, uint8_t proto)
{
	if (proto == 17)
		return end - l4 >= 8;
	return end - l4 >= 20 && p[l4 + 12] >> 4 >= 5 && (p[l4 + 12] >> 4) * 4u <= end - l4;
}

static enum kind kind_of_l4(struct item *it, uint32_t end, uint32_t l4, uint8_t proto)
{
	if (proto != 6 && proto != 17)
		return KIND_NONE;
	if (!has_ports(it->bytes, end, l4, proto))
		return KIND_ANY;
	it->key[36] = it->bytes[0] >> 4;
	it->key[37] = proto;
	memcpy(it->key + 32, it->bytes + l4, 4);
	return KIND_FLOW;
}

static enum kind kind_of_ipv4(struct item *it)
{
	const uint8_t *p = it->bytes;
	uint32_t l4;

	if (it->len < 20)
		return KIND_ANY;
	l4 = (p[0] & 15u) * 4;
	if (l4 < 20 || ref_get16(p + 2) < l4 || ref_get16(p + 2) > it->len)
		return KIND_ANY;
	if ((ref_get16(p + 6) & 0x3fff) != 0)
		return KIND_ANY;
	memcpy(it->key, p + 12, 8);
	return kind_of_l4(it, ref_get16(p + 2), l4, p[9]);
}

static enum kind kind_of_ipv6(struct item *it)
{
	const uint8_t *p = it->bytes;
	uint32_t l4 = 40;
	uint32_t end;
	uint8_t proto;

	if (it->len < 40)
		return KIND_ANY;
	end = 40u + ref_get16(p + 4);
	if (end > it->len)
		return KIND_ANY;
	proto = p[6];
	while (proto == 0 || proto == 43 || proto == 60) {
		if (l4 + 8 > end)
			return KIND_ANY;
		proto = p[l4];
		l4 += 8u + 8u * p[l4 + 1];
		if (l4 > end || l4 > 256)
			return KIND_ANY;
	}
	if (proto == 44)
		return KIND_ANY;
	memcpy(it->key, p + 8, 32);
	return kind_of_l4(it, end, l4, proto);
}

static void push(struct list *l, const uint8_t *bytes, uint32_t len)
{
	struct item *it = &l->item[l->n++];

	assert(l->n <= COALESCE_MAX);
	*it = (struct item){ .kind = KIND_ANY, .len = len, .bytes = copy_of(bytes, len) };
	if (len > 0 && bytes[0] >> 4 == 4)
		it->kind = kind_of_ipv4(it);
	else if (len > 0 && bytes[0] >> 4 == 6)
		it->kind = kind_of_ipv6(it);
	if (it->kind == KIND_FLOW && bytes[0] >> 4 == 4 && (bytes[6] & 0x40) != 0) {
		memset(it->bytes + 4, 0, 2); /* the identification, and the sum over it */
		memset(it->bytes + 10, 0, 2);
	}
}

static void clear(struct list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->item[i].bytes);
	l->n = 0;
}

/* --- comparing --- */

static void push_segments(struct list *l, const struct lw_packet *p)
{
	static uint8_t super[REF_SUPER_MAX];
	static uint8_t segment[REF_SUPER_MAX];
	uint32_t len = coalesce_linear(p, super);
	uint32_t n = p->n_more + 1u;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t seg_len = ref_segment(super, len, p->gso_size, i, segment);

		assert(seg_len > 0);
		push(l, segment, seg_len);
	}
	assert(ref_segment(super, len, p->gso_size, n, segment) == 0);
}

static void check_super(const struct lw_packet *p, uint32_t max_segs, uint32_t max_bytes)
{
	static uint8_t super[REF_SUPER_MAX];
	static uint8_t want[REF_SUPER_MAX];
	uint32_t len = coalesce_linear(p, super);
	struct ref_layout l = ref_layout(super);

	assert(len <= max_bytes);
	assert(p->n_more + 1u <= max_segs);
	assert(p->gso_type == (l.proto == 17 ? LW_GSO_UDP : l.v6 ? LW_GSO_TCP6 : LW_GSO_TCP4));
	assert(p->l4_off == l.l4);
	assert(p->hdr_len == l.hl);
	assert(p->gso_size == p->len - l.hl);
	assert(p->csum_start + p->csum_off == l.check);
	assert(p->flags == LW_PKT_CSUM_PARTIAL);
	memcpy(want, super, len);
	ref_finish(want, len, true);
	assert(memcmp(super, want, len) == 0);
}

static bool in_row(const struct item *it, const struct item *flow)
{
	return it->kind == KIND_ANY ||
	       (it->kind == flow->kind && memcmp(it->key, flow->key, sizeof(it->key)) == 0);
}

/* those of one flow, and those that may be of any, are the same in both */
static void compare_row(const struct list *a, const struct list *b, const struct item *flow)
{
	uint32_t j = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		if (!in_row(&a->item[i], flow))
			continue;
		while (j < b->n && !in_row(&b->item[j], flow))
			j++;
		assert(j < b->n);
		assert(a->item[i].len == b->item[j].len);
		assert(memcmp(a->item[i].bytes, b->item[j].bytes, a->item[i].len) == 0);
		j++;
	}
}

void coalesce_check(const struct coalesce_case *t, uint32_t max_segs, uint32_t max_bytes)
{
	static struct list in;
	static struct list out;
	static bool done[COALESCE_MAX];

	for (uint32_t i = 0; i < t->n_in; i++)
		push(&in, t->in[i].before, t->in[i].len);
	for (uint32_t i = 0; i < t->b.n; i++) {
		const struct lw_packet *p = &t->b.pkt[i];

		if (p->n_more == 0) {
			push(&out, lw_packet_data(p), p->len);
			continue;
		}
		check_super(p, max_segs, max_bytes);
		push_segments(&out, p);
	}
	assert(in.n == out.n);
	memset(done, 0, sizeof(done));
	for (uint32_t i = 0; i < in.n; i++) {
		if (done[i])
			continue;
		compare_row(&in, &out, &in.item[i]);
		for (uint32_t j = i; j < in.n; j++)
			done[j] = done[j] || in_row(&in.item[j], &in.item[i]);
	}
	clear(&in);
	clear(&out);
}

void coalesce_groups(const struct coalesce_case *t, const uint32_t *want)
{
	uint32_t i = 0;

	for (; want[i] != 0; i++) {
		assert(i < t->b.n);
		assert(t->b.pkt[i].n_more + 1u == want[i]);
	}
	assert(t->b.n == i);
}

void coalesce_undone(const struct coalesce_case *t)
{
	static struct lw_packet pkt[COALESCE_MAX];
	static bool seen[COALESCE_MAX];
	struct lw_batch b = { .pkt = pkt };

	for (uint32_t i = 0; i < t->b.n; i++) {
		uint32_t n = t->b.pkt[i].n_more + 1u;

		b.cap = b.n + n - 1;
		assert(lw_coalesce_undo(&t->b.pkt[i], &b) == -ENOSPC);
		b.cap = b.n + n;
		assert(lw_coalesce_undo(&t->b.pkt[i], &b) == 0);
	}
	assert(b.n == t->n_in);
	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < b.n; i++) {
		uint32_t at = 0;

		while (at < t->n_in && t->in[at].block != lw_packet_data(&pkt[i]))
			at++;
		assert(at < t->n_in && !seen[at]);
		seen[at] = true;
		assert(pkt[i].len == t->in[at].len);
		assert(memcmp(lw_packet_data(&pkt[i]), t->in[at].before, pkt[i].len) == 0);
		assert(pkt[i].n_more == 0);
		assert(pkt[i].more_len == 0);
	}
}

void coalesce_free(struct coalesce_case *t)
{
	for (uint32_t i = 0; i < t->n_in; i++) {
		free(t->in[i].before);
		free(t->in[i].block);
	}
	t->n_in = 0;
}

struct ref_packet coalesce_next(const struct ref_packet *s)
{
	struct ref_packet n = *s;

	n.seq += s->payload;
	n.id++;
	n.pattern += 31;
	return n;
}

struct ref_packet coalesce_row(struct coalesce_case *t, const struct ref_packet *s, uint32_t n,
                               uint8_t last_flags)
{
	struct ref_packet p = *s;

	for (uint32_t i = 0; i < n; i++) {
		if (i + 1 == n)
			p.flags = last_flags;
		(void)coalesce_make(t, &p);
		p = coalesce_next(&p);
	}
	p.flags = s->flags;
	return p;
}

void coalesce_expect(struct coalesce_case *t, struct lw_coalesce *c, uint32_t types,
                     const uint32_t *groups)
{
	lw_coalesce_batch(c, &t->b, types);
	coalesce_groups(t, groups);
	coalesce_check(t, LW_COALESCE_SEGS_MAX, LW_COALESCE_BYTES_MAX);
	coalesce_undone(t);
	coalesce_free(t);
}

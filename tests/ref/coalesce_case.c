/* SPDX-License-Identifier: MIT */
#include "ref/coalesce_case.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ref/packet_list.h"

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

/* --- comparing --- */

static void add_segments(struct ref_list *l, const struct lw_packet *p)
{
	static uint8_t super[REF_SUPER_MAX];
	static uint8_t segment[REF_SUPER_MAX];
	uint32_t len = coalesce_linear(p, super);
	uint32_t n = p->n_more + 1u;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t seg_len = ref_segment(super, len, p->gso_size, i, segment);

		assert(seg_len > 0);
		ref_list_add(l, segment, seg_len);
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

void coalesce_check(const struct coalesce_case *t, uint32_t max_segs, uint32_t max_bytes)
{
	static struct ref_list in;
	static struct ref_list out;

	for (uint32_t i = 0; i < t->n_in; i++)
		ref_list_add(&in, t->in[i].before, t->in[i].len);
	for (uint32_t i = 0; i < t->b.n; i++) {
		const struct lw_packet *p = &t->b.pkt[i];

		if (p->n_more == 0) {
			ref_list_add(&out, lw_packet_data(p), p->len);
			continue;
		}
		check_super(p, max_segs, max_bytes);
		add_segments(&out, p);
	}
	assert(ref_list_same(&in, &out));
	ref_list_clear(&in);
	ref_list_clear(&out);
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

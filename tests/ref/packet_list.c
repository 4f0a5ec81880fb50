/* SPDX-License-Identifier: MIT */
#include "ref/packet_list.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/packet_ref.h"

/* what a packet belongs to: a flow of TCP or UDP, none of these, or perhaps any */
enum { KIND_FLOW, KIND_NONE, KIND_ANY };

static bool has_ports(const uint8_t *p, uint32_t end, uint32_t l4, uint8_t proto)
{
	if (proto == 17)
		return end - l4 >= 8;
	return end - l4 >= 20 && p[l4 + 12] >> 4 >= 5 && (p[l4 + 12] >> 4) * 4u <= end - l4;
}

static uint8_t kind_of_l4(struct ref_item *it, uint32_t end, uint32_t l4, uint8_t proto)
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

static uint8_t kind_of_ipv4(struct ref_item *it)
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

static uint8_t kind_of_ipv6(struct ref_item *it)
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

void ref_list_add(struct ref_list *l, const uint8_t *bytes, uint32_t len)
{
	struct ref_item *it = &l->item[l->n++];

	assert(l->n <= REF_LIST_MAX);
	*it = (struct ref_item){ .kind = KIND_ANY, .len = len, .bytes = malloc(len > 0 ? len : 1) };
	assert(it->bytes != NULL);
	memcpy(it->bytes, bytes, len);
	if (len > 0 && bytes[0] >> 4 == 4)
		it->kind = kind_of_ipv4(it);
	else if (len > 0 && bytes[0] >> 4 == 6)
		it->kind = kind_of_ipv6(it);
	if (it->kind == KIND_FLOW && bytes[0] >> 4 == 4 && (bytes[6] & 0x40) != 0) {
		memset(it->bytes + 4, 0, 2); /* the identification, and the sum over it */
		memset(it->bytes + 10, 0, 2);
	}
}

void ref_list_clear(struct ref_list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->item[i].bytes);
	l->n = 0;
}

static bool in_row(const struct ref_item *it, const struct ref_item *flow)
{
	return it->kind == KIND_ANY ||
	       (it->kind == flow->kind && memcmp(it->key, flow->key, sizeof(it->key)) == 0);
}

/* the next of this row, from i on */
static uint32_t next_in_row(const struct ref_list *l, const struct ref_item *flow, uint32_t i)
{
	while (i < l->n && !in_row(&l->item[i], flow))
		i++;
	return i;
}

static bool same_item(const struct ref_item *a, const struct ref_item *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* those of one flow, and those that may be of any, are the same in both */
static bool same_row(const struct ref_list *a, const struct ref_list *b,
                     const struct ref_item *flow)
{
	uint32_t i = next_in_row(a, flow, 0);
	uint32_t j = next_in_row(b, flow, 0);

	while (i < a->n && j < b->n && same_item(&a->item[i], &b->item[j])) {
		i = next_in_row(a, flow, i + 1);
		j = next_in_row(b, flow, j + 1);
	}
	if (i == a->n && j == b->n)
		return true;
	(void)fprintf(stderr, "packet %u of %u is not packet %u of %u\n", i, a->n, j, b->n);
	return false;
}

bool ref_list_same(const struct ref_list *a, const struct ref_list *b)
{
	bool done[REF_LIST_MAX] = { false };

	if (a->n != b->n) {
		(void)fprintf(stderr, "%u packets, not %u\n", b->n, a->n);
		return false;
	}
	for (uint32_t i = 0; i < a->n; i++) {
		if (done[i])
			continue;
		if (!same_row(a, b, &a->item[i]))
			return false;
		for (uint32_t j = i; j < a->n; j++)
			done[j] = done[j] || in_row(&a->item[j], &a->item[i]);
	}
	return true;
}

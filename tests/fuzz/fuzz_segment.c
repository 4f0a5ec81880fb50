/* SPDX-License-Identifier: MIT */
/*
 * A packet or superpacket with what a module may claim about it. The input begins with 8 bytes:
 * flags, csum_start, csum_off, gso_size, gso_type; the packet follows.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "packet/segment.h"
#include "ref/packet_ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *copy_of(const uint8_t *src, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);

	assert(copy != NULL);
	if (len > 0)
		memcpy(copy, src, len);
	return copy;
}

/* whether the segments can be known without the segmenter: not from a sum that is wrong */
static bool has_known_segments(const struct lw_packet *p)
{
	uint8_t *right = copy_of(p->buf, p->len);
	bool known = true;

	if ((p->flags & LW_PKT_CSUM_PARTIAL) != 0) {
		ref_finish(right, p->len, true);
		known = ref_get16(right + p->csum_start + p->csum_off) % 0xffff ==
		        ref_get16(p->buf + p->csum_start + p->csum_off) % 0xffff;
	}
	free(right);
	return known;
}

static void check_single(struct lw_seg *g, const struct lw_packet *p)
{
	struct lw_packet again = *p;
	uint8_t *dst = copy_of(p->buf, p->len);
	const uint8_t *exposed;
	uint32_t len = 0;

	assert(lw_seg_copy(g, dst, p->len - 1) == 0);
	assert(lw_seg_copy(g, dst, p->len) == p->len);
	assert(lw_seg_copy(g, dst, p->len) == 0);
	assert(lw_seg_init(g, &again) == 0);
	exposed = lw_seg_expose(g, &len);
	assert(exposed == p->buf && len == p->len);
	assert(memcmp(exposed, dst, len) == 0);
	assert(lw_seg_expose(g, &len) == NULL);
	free(dst);
}

static void check_super(struct lw_seg *g, const struct lw_packet *p)
{
	struct lw_packet again = *p;
	uint32_t most = (uint32_t)g->hl + p->gso_size;
	uint8_t *dst = malloc(most);
	uint8_t *want = malloc(most);
	bool known = has_known_segments(p);
	struct lw_seg in_place;
	uint32_t payload = 0;

	assert(dst != NULL && want != NULL);
	again.buf = copy_of(p->buf, p->len);
	assert(lw_seg_init(&in_place, &again) == 0);
	for (uint32_t i = 0; i < g->count; i++) {
		uint32_t len = lw_seg_copy(g, dst, g->hl) + lw_seg_copy(g, dst, most);
		uint32_t exposed_len = 0;
		const uint8_t *exposed = lw_seg_expose(&in_place, &exposed_len);

		assert(len > g->hl && (len == most || i + 1 == g->count));
		assert(exposed_len == len && memcmp(exposed, dst, len) == 0);
		payload += len - g->hl;
		if (!known)
			continue;
		assert(ref_segment(p->buf, p->len, p->gso_size, i, want) == len);
		assert(memcmp(dst, want, len) == 0);
	}
	assert(payload == p->len - g->hl);
	assert(lw_seg_copy(g, dst, most) == 0);
	free(again.buf);
	free(want);
	free(dst);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lw_reader r = lw_reader_init(data, size);
	struct lw_packet p = { 0 };
	struct lw_seg g;

	p.flags = lw_read_u8(&r);
	p.csum_start = lw_read_u16(&r);
	p.csum_off = lw_read_u16(&r);
	p.gso_size = lw_read_u16(&r);
	p.gso_type = lw_read_u8(&r);
	if (r.bad)
		return 0;
	p.len = p.cap = (uint32_t)lw_reader_left(&r);
	p.buf = copy_of(r.p, p.len);
	if (lw_seg_init(&g, &p) == 0) {
		if (g.count > 1)
			check_super(&g, &p);
		else
			check_single(&g, &p);
	}
	free(p.buf);
	return 0;
}

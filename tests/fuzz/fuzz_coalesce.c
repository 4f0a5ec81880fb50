/* SPDX-License-Identifier: MIT */
/*
 * A batch of packets through the coalescer: what comes out must be what went in. The input is a
 * row of packets, each with its length (2 bytes) and flags (1 byte: those of struct lw_packet but
 * LW_PKT_CSUM_GOOD, which is believed; 0x10: gso_size 1; 0x20: the checksums are made right, which
 * no fuzzer does by itself) in front.
 */
#include <assert.h>

#include "base/cursor.h"
#include "packet/headers.h"
#include "ref/coalesce_case.h"

#define GSO   0x10
#define RIGHT 0x20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_right(const struct coalesce_in *in)
{
	struct lw_headers h;

	if (lw_headers_parse(in->block, in->len, &h) < 0 || h.hl == 0 || h.total != in->len)
		return;
	ref_finish(in->block, in->len, false);
	ref_finish(in->before, in->len, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lw_coalesce *c;
	static struct coalesce_case t;
	const struct lw_coalesce_conf conf = { .packets = COALESCE_MAX };
	struct lw_reader r = lw_reader_init(data, size);

	if (c == NULL)
		assert(lw_coalesce_create(&conf, &c) == 0);
	coalesce_empty(&t);
	while (t.n_in < COALESCE_MAX && lw_reader_left(&r) > 0) {
		size_t len = lw_read_u16(&r);
		uint8_t flags = lw_read_u8(&r);
		struct lw_packet *p;

		if (r.bad)
			break;
		len = len < lw_reader_left(&r) ? len : lw_reader_left(&r);
		p = coalesce_add(&t, lw_read_bytes(&r, len), (uint32_t)len);
		p->flags = flags & (LW_PKT_CSUM_PARTIAL | LW_PKT_ENCODED);
		p->gso_size = (flags & GSO) != 0;
		if ((flags & RIGHT) != 0)
			make_right(&t.in[t.n_in - 1]);
	}
	lw_coalesce_batch(c, &t.b, COALESCE_ALL);
	coalesce_check(&t, LW_COALESCE_SEGS, LW_COALESCE_BYTES_MAX);
	coalesce_undone(&t);
	coalesce_free(&t);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * An inside packet with what a module may claim about it. The input begins with 12 bytes: flags,
 * csum_start, csum_off, gso_size, choice, address; the packet follows.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "packet/checksum.h"
#include "packet/ipv4.h"
#include "packet/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *copy_of(const uint8_t *src, size_t len)
{
	uint8_t *copy = calloc(1, len > 0 ? len : 1);

	assert(copy != NULL);
	if (len > 0)
		memcpy(copy, src, len);
	return copy;
}

/* only the address, the header's checksum and one transport checksum may differ */
static void check_rewrite(struct lw_packet *p, bool src, uint32_t addr)
{
	uint8_t *before = copy_of(p->buf, p->len);
	size_t at = src ? LW_IPV4_SRC : LW_IPV4_DST;
	bool valid = lw_ipv4_valid(before, p->len);
	size_t changed = 0;

	assert((src ? lw_rewrite_src(p, addr) : lw_rewrite_dst(p, addr)) == (valid ? 0 : -EBADMSG));
	for (size_t i = 0; i < p->len; i++)
		changed += p->buf[i] != before[i];
	assert(valid ? changed <= 8 && lw_ipv4_addr(p->buf, at) == addr : changed == 0);
	/* the header, where it is whole, stays as right or wrong as it was */
	if (valid)
		assert(lw_csum_sum(p->buf, 20) % 0xffff == lw_csum_sum(before, 20) % 0xffff);
	free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lw_reader r = lw_reader_init(data, size);
	struct lw_packet p = { 0 };
	uint8_t choice;
	uint32_t addr;

	p.flags = lw_read_u8(&r);
	p.csum_start = lw_read_u16(&r);
	p.csum_off = lw_read_u16(&r);
	p.gso_size = lw_read_u16(&r);
	choice = lw_read_u8(&r);
	addr = lw_read_u32(&r);
	if (r.bad)
		return 0;
	p.gso_type = choice >> 1 & 7;
	p.len = p.cap = (uint32_t)lw_reader_left(&r);
	p.buf = copy_of(r.p, p.len);
	check_rewrite(&p, (choice & 1) != 0, addr);
	free(p.buf);
	return 0;
}

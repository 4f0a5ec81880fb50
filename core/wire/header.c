/* SPDX-License-Identifier: MIT */
#include "wire/header.h"

#include <errno.h>

#include "base/cursor.h"

int lw_wire_header_parse(const uint8_t *buf, size_t len, struct lw_wire_header *ret_h)
{
	struct lw_reader r = lw_reader_init(buf, len);
	uint16_t magic = lw_read_u16(&r);
	struct lw_wire_header h = { 0 };

	if (len < LW_WIRE_HEADER_LEN)
		return -ENODATA;
	if (magic != LW_WIRE_MAGIC)
		return -EBADMSG;
	h.major = lw_read_u8(&r);
	h.minor = lw_read_u8(&r);
	h.aggressive = lw_read_u8(&r) != 0;
	h.expresslane = lw_read_u8(&r) != 0;
	(void)lw_read_u16(&r); /* reserved */
	h.session = lw_read_u64(&r);
	if (!lw_wire_version_ok(h.major, h.minor))
		return -EPROTONOSUPPORT;
	*ret_h = h;
	return 0;
}

void lw_wire_header_write(uint8_t *dst, const struct lw_wire_header *h)
{
	struct lw_writer w = lw_writer_init(dst, LW_WIRE_HEADER_LEN);

	lw_write_u16(&w, LW_WIRE_MAGIC);
	lw_write_u8(&w, h->major);
	lw_write_u8(&w, h->minor);
	lw_write_u8(&w, h->aggressive);
	lw_write_u8(&w, h->expresslane);
	lw_write_u16(&w, 0);
	lw_write_u64(&w, h->session);
}

/* SPDX-License-Identifier: MIT */
#include "wire/expresslane.h"

#include <errno.h>

#include "base/cursor.h"

int lw_lane_frame_read(const uint8_t *p, size_t len, struct lw_lane_frame *ret)
{
	struct lw_reader r = lw_reader_init(p, len);
	struct lw_lane_frame f;

	if (len < LW_LANE_FRAME_HEADER)
		return -ENODATA;
	f.counter = lw_read_u64(&r);
	(void)lw_read_bytes(&r, LW_LANE_IV_LEN + LW_LANE_TAG_LEN);
	f.len = lw_read_u16(&r);
	f.flags = lw_read_u16(&r);
	if (f.len > len - LW_LANE_FRAME_HEADER)
		return -ENODATA;
	*ret = f;
	return 0;
}

void lw_lane_frame_write(uint8_t *p, const struct lw_lane_frame *f)
{
	struct lw_writer w = lw_writer_init(p, LW_LANE_FRAME_HEADER);

	lw_write_u64(&w, f->counter);
	(void)lw_write_room(&w, LW_LANE_IV_LEN + LW_LANE_TAG_LEN);
	lw_write_u16(&w, f->len);
	lw_write_u16(&w, f->flags);
}

uint16_t lw_lane_aad(uint8_t dst[LW_LANE_AAD_MAX], uint8_t version, uint64_t session,
                     const struct lw_lane_frame *f)
{
	struct lw_writer w = lw_writer_init(dst, LW_LANE_AAD_MAX);

	lw_write_u64(&w, session);
	lw_write_u64(&w, f->counter);
	lw_write_u16(&w, f->flags);
	return version == 2 ? LW_LANE_AAD_MAX : LW_LANE_AAD_V1;
}

/* SPDX-License-Identifier: MIT */
/* A record of frames, read as the session reads it: one frame after the other to the first error.
 */
#include <assert.h>
#include <string.h>

#include "wire/frame.h"
#include "wire/success.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* what was decoded must encode to a frame that encodes to the same bytes again */
static void check_round_trip(const struct lw_frame *f, int len)
{
	static uint8_t first[LW_FRAME_MAX];
	static uint8_t second[LW_FRAME_MAX];
	struct lw_frame back;
	struct lw_success s;

	assert(lw_frame_encode(first, sizeof(first), f) == len);
	assert(lw_frame_decode(first, (size_t)len, &back) == len);
	assert(lw_frame_encode(second, sizeof(second), &back) == len);
	assert(memcmp(first, second, (size_t)len) == 0);
	if (f->type == LW_FRAME_AUTH_SUCCESS && lw_success_read(&f->success, &s) == 0)
		assert(lw_success_write(first, sizeof(first), &s) == LW_FRAME_SUCCESS_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lw_frame f;

	while (size > 0) {
		int used = lw_frame_decode(data, size, &f);

		if (used <= 0) {
			assert(used < 0);
			return 0;
		}
		assert((size_t)used <= size && (size_t)used >= lw_frame_min_len(f.type));
		check_round_trip(&f, used);
		data += used;
		size -= (size_t)used;
	}
	return 0;
}

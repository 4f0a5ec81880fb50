/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <string.h>

#include "wire/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t out[LW_WIRE_HEADER_LEN];
	struct lw_wire_header h;
	struct lw_wire_header again;

	if (lw_wire_header_parse(data, size, &h) < 0)
		return 0;
	assert(size >= LW_WIRE_HEADER_LEN);
	lw_wire_header_write(out, &h);
	assert(memcmp(out, data, 4) == 0 && memcmp(out + 8, data + 8, 8) == 0);
	assert(lw_wire_header_parse(out, sizeof(out), &again) == 0);
	assert(again.session == h.session && again.minor == h.minor);
	assert(again.aggressive == h.aggressive && again.expresslane == h.expresslane);
	return 0;
}

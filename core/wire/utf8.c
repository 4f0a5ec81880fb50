/* SPDX-License-Identifier: MIT */
#include "wire/utf8.h"

static bool between(uint8_t c, uint8_t low, uint8_t high)
{
	return c >= low && c <= high;
}

/* the bytes that follow this lead byte, -1 when no sequence starts with it */
static int tail_len(uint8_t lead)
{
	if (lead < 0x80)
		return 0;
	if (between(lead, 0xc2, 0xdf))
		return 1;
	if (between(lead, 0xe0, 0xef))
		return 2;
	return between(lead, 0xf0, 0xf4) ? 3 : -1;
}

/* RFC 3629, section 4: some lead bytes allow only part of the second bytes */
static bool second_ok(uint8_t lead, uint8_t c)
{
	switch (lead) {
	case 0xe0:
		return between(c, 0xa0, 0xbf);
	case 0xed:
		return between(c, 0x80, 0x9f);
	case 0xf0:
		return between(c, 0x90, 0xbf);
	case 0xf4:
		return between(c, 0x80, 0x8f);
	default:
		return between(c, 0x80, 0xbf);
	}
}

bool lw_utf8_valid(const uint8_t *p, size_t len)
{
	size_t at = 0;

	while (at < len) {
		uint8_t lead = p[at++];
		int tail = tail_len(lead);

		if (tail < 0 || (size_t)tail > len - at)
			return false;
		if (tail > 0 && !second_ok(lead, p[at]))
			return false;
		for (int i = 1; i < tail; i++) {
			if (!between(p[at + (size_t)i], 0x80, 0xbf))
				return false;
		}
		at += (size_t)tail;
	}
	return true;
}

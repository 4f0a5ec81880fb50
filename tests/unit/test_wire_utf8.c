/* SPDX-License-Identifier: MIT */
#include "hex.h"

#include "wire/utf8.h"

static bool valid(const char *hex)
{
	uint8_t bytes[64];
	size_t len = hex_read(hex, bytes, sizeof(bytes));
	uint8_t *copy = exact_copy(bytes, len);
	bool ok = lw_utf8_valid(copy, len);

	free(copy);
	return ok;
}

static void utf8__well_formed__is_valid(void **state)
{
	static const char *const texts[] = {
		"",         "00",       "7f",     "6d65",       "c280",     "dfbf",
		"e0a080",   "ed9fbf",   "ee8080", "efbfbf",     "e282ac",   "f0908080",
		"f48fbfbf", "f1808080", "ecbfbf", "f3bfbfbf41", "c3a9c3a9",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_true(valid(texts[i]));
}

static void utf8__malformed__is_not(void **state)
{
	static const char *const texts[] = {
		"80",       "bf",       "c328",     "c0af",     "c1bf",     "e08080",
		"e09fbf",   "eda080",   "edbfbf",   "f08fbfbf", "f4908080", "f5",
		"fe",       "ff",       "c2",       "e282",     "f09080",   "e28228",
		"41c2",     "f0908028", "f0902880", "e2",       "f0",       "c2c280",
		"e2c280ac", "41ff41",   "f8888080", "f4ffbfbf", "f0808080", "e0c08041",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(valid(texts[i]));
}

static size_t encode_point(uint32_t point, uint8_t *out)
{
	if (point < 0x80) {
		out[0] = (uint8_t)point;
		return 1;
	}
	if (point < 0x800) {
		out[0] = (uint8_t)(0xc0 | point >> 6);
		out[1] = (uint8_t)(0x80 | (point & 0x3f));
		return 2;
	}
	if (point < 0x10000) {
		out[0] = (uint8_t)(0xe0 | point >> 12);
		out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (point & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | point >> 18);
	out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (point & 0x3f));
	return 4;
}

static void utf8__each_code_point__is_valid_unless_surrogate_or_too_high(void **state)
{
	uint8_t bytes[4];

	(void)state;
	for (uint32_t point = 0; point < 0x200000; point++) {
		size_t len = encode_point(point, bytes);
		bool want = point < 0xd800 || (point > 0xdfff && point < 0x110000);

		assert_int_equal(lw_utf8_valid(bytes, len), want);
		assert_false(len > 1 && lw_utf8_valid(bytes, len - 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8__well_formed__is_valid),
		cmocka_unit_test(utf8__malformed__is_not),
		cmocka_unit_test(utf8__each_code_point__is_valid_unless_surrogate_or_too_high),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

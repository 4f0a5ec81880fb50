/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <errno.h>

#include "load/range.h"

static void is(const char *text, uint32_t first, uint32_t n)
{
	struct load_range r;
	struct lw_err err;

	if (load_range_parse(text, &r, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(r.first, first);
	assert_int_equal(r.n, n);
}

static void parse__good_texts__give_their_addresses(void **state)
{
	(void)state;
	is("10.1.2.3", 0x0a010203, 1);
	is("10.1.2.3-10.1.2.3", 0x0a010203, 1);
	is("10.1.2.3-10.1.3.2", 0x0a010203, 256);
	is("10.1.2.3/32", 0x0a010203, 1);
	is("10.1.2.3/31", 0x0a010202, 2);
	is("10.1.2.3/30", 0x0a010201, 2);
	is("10.1.2.3/24", 0x0a010201, 254);
	is("10.64.0.0/12", 0x0a400001, (1 << 20) - 2);
	is("128.0.0.0/1", 0x80000001, 0x7ffffffe);
	is("0.0.0.1-255.255.255.255", 1, UINT32_MAX);
}

static void parse__bad_texts__are_refused_and_named(void **state)
{
	static const char *const texts[] = {
		"",
		"10.1.2",
		"10.1.2.3:80",
		"2001:db8::1",
		"10.1.2.3/",
		"10.1.2.3/0",
		"10.1.2.3/33",
		"10.1.2.3/-1",
		"10.1.2.3-",
		"10.1.2.3/24x",
		"10.1.2.3/ 24",
		"10.1.2.3-10.1.2.2",
		"-",
		"10.1.2.3-10.1.2.1",
		"10.1.2.3,24",
		"0.0.0.0-255.255.255.255",
		"/24",
		"x",
		"10.1.2.3-x/24",
		"10.1.2.3 - 10.1.2.4 and more than fits",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct load_range r = { 1, 2 };
		struct lw_err err = { 0 };

		assert_int_equal(load_range_parse(texts[i], &r, &err), -EINVAL);
		assert_non_null(strstr(err.text, texts[i]));
		assert_int_equal(r.first, 1);
		assert_int_equal(r.n, 2);
	}
}

static void at__behind_the_last__begins_anew(void **state)
{
	const struct load_range r = { .first = 100, .n = 3 };

	(void)state;
	assert_int_equal(load_range_at(&r, 0), 100);
	assert_int_equal(load_range_at(&r, 2), 102);
	assert_int_equal(load_range_at(&r, 3), 100);
	assert_int_equal(load_range_at(&r, UINT64_C(3000000000001)), 101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__good_texts__give_their_addresses),
		cmocka_unit_test(parse__bad_texts__are_refused_and_named),
		cmocka_unit_test(at__behind_the_last__begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

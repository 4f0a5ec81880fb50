/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <errno.h>

#include <laneway/addr.h>

#include "module/check.h"
#include "module/number.h"
#include "module/value.h"

static const char *const colours[] = { "red", "green", "blue", NULL };

struct values {
	int32_t flag, tri, colour;
	int64_t count, size, time, rate, bits;
	const char *text, *path, *secret;
	struct lw_addr addr, prefix;
	struct lw_list addrs, texts;
};

enum {
	FLAG,
	TRI,
	COLOUR,
	COUNT,
	SIZE,
	TIME,
	RATE,
	BITS,
	TEXT,
	PATH,
	SECRET,
	ADDR,
	PREFIX,
	ADDRS,
	TEXTS,
	LIMIT
};

static const struct lw_option table[] = {
	[FLAG] = { .name = "flag",
	           .type = LW_OPT_BOOL,
	           .flags = 0,
	           LW_OPTION_AT(struct values, flag) },
	[TRI] = { .name = "tri",
	          .def = "auto",
	          .type = LW_OPT_TRI,
	          .flags = 0,
	          LW_OPTION_AT(struct values, tri) },
	[COLOUR] = { .name = "colour",
	             .def = "green",
	             .choices = colours,
	             .type = LW_OPT_ENUM,
	             .flags = 0,
	             LW_OPTION_AT(struct values, colour) },
	[COUNT] = { .name = "count",
	            .unit = "bytes",
	            .def = "1350",
	            .type = LW_OPT_INT,
	            .flags = 0,
	            LW_OPTION_AT(struct values, count),
	            .min = 576,
	            .max = 65535 },
	[SIZE] = { .name = "size",
	           .type = LW_OPT_SIZE,
	           .flags = 0,
	           LW_OPTION_AT(struct values, size) },
	[TIME] = { .name = "time",
	           .type = LW_OPT_DURATION,
	           .flags = 0,
	           LW_OPTION_AT(struct values, time),
	           .max = (int64_t)86400 * 1000000 },
	[RATE] = { .name = "rate",
	           .type = LW_OPT_RATE,
	           .flags = 0,
	           LW_OPTION_AT(struct values, rate) },
	[BITS] = { .name = "bits",
	           .unit = "bit/s",
	           .type = LW_OPT_RATE,
	           .flags = 0,
	           LW_OPTION_AT(struct values, bits) },
	[TEXT] = { .name = "text",
	           .type = LW_OPT_STRING,
	           .flags = 0,
	           LW_OPTION_AT(struct values, text) },
	[PATH] = { .name = "path",
	           .type = LW_OPT_PATH,
	           .flags = 0,
	           LW_OPTION_AT(struct values, path) },
	[SECRET] = { .name = "secret",
	             .type = LW_OPT_INT,
	             .flags = LW_OPTF_SECRET,
	             LW_OPTION_AT(struct values, count) },
	[ADDR] = { .name = "addr",
	           .type = LW_OPT_ADDR,
	           .flags = 0,
	           LW_OPTION_AT(struct values, addr) },
	[PREFIX] = { .name = "prefix",
	             .type = LW_OPT_PREFIX,
	             .flags = 0,
	             LW_OPTION_AT(struct values, prefix) },
	[ADDRS] = { .name = "addrs",
	            .def = "0.0.0.0:1, [::]:1",
	            .type = LW_OPT_ADDR,
	            .flags = LW_OPTF_LIST,
	            LW_OPTION_AT(struct values, addrs) },
	[TEXTS] = { .name = "texts",
	            .type = LW_OPT_STRING,
	            .flags = LW_OPTF_LIST,
	            LW_OPTION_AT(struct values, texts) },
	[LIMIT] = { .name = "limit",
	            .type = LW_OPT_INT,
	            .flags = LW_OPTF_AUTO,
	            LW_OPTION_AT(struct values, count),
	            .min = 1,
	            .max = 63 },
	{ .name = NULL },
};

/* what an operator may write, and the one text that stands for the same value */
static const struct {
	int row;
	const char *text, *canonical;
} good_texts[] = {
	{ FLAG, "yes", "on" },
	{ FLAG, "true", "on" },
	{ FLAG, "ON", "on" },
	{ FLAG, "no", "off" },
	{ FLAG, "False", "off" },
	{ TRI, "auto", "auto" },
	{ TRI, "off", "off" },
	{ COLOUR, "blue", "blue" },
	{ COUNT, "576", "576" },
	{ COUNT, "65535", "65535" },
	{ SIZE, "15 MiB", "15 MiB" },
	{ SIZE, "15MiB", "15 MiB" },
	{ SIZE, "1.5 KiB", "1536 B" },
	{ SIZE, "1024 KiB", "1 MiB" },
	{ SIZE, "2.5 GB", "2500 MB" },
	{ SIZE, "0 B", "0 B" },
	{ SIZE, "8388607 TiB", "8388607 TiB" },
	{ TIME, "0", "0s" },
	{ TIME, "15m", "15m" },
	{ TIME, "1h30m", "1h30m" },
	{ TIME, "1h 30m", "1h30m" },
	{ TIME, "90m", "1h30m" },
	{ TIME, "1.5s", "1s500ms" },
	{ TIME, "1d", "24h" },
	{ TIME, "7us", "7us" },
	{ RATE, "1000/s", "1000/s" },
	{ BITS, "100 Mbit/s", "100 Mbit/s" },
	{ BITS, "0.5 Gbit/s", "500 Mbit/s" },
	{ TEXT, "", "" },
	{ TEXT, "a: b", "a: b" },
	{ PATH, "./x", "./x" },
	{ ADDR, "[::]:27690", "[::]:27690" },
	{ ADDR, "10.0.0.1:5", "10.0.0.1:5" },
	{ ADDR, "2001:DB8::1", "2001:db8::1" },
	{ PREFIX, "10.125.0.0/16", "10.125.0.0/16" },
	{ PREFIX, "10.125.0.1", "10.125.0.1/32" },
	{ PREFIX, "0.0.0.0/0", "0.0.0.0/0" },
	{ PREFIX, "::1", "::1/128" },
	{ PREFIX, "2001:db8::/32", "2001:db8::/32" },
	{ LIMIT, "auto", "auto" },
	{ LIMIT, "Auto", "auto" },
	{ LIMIT, "1", "1" },
	{ LIMIT, "63", "63" },
};

static void value_parse__good_text__formats_to_its_canonical_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good_texts) / sizeof(good_texts[0]); i++) {
		const struct lw_option *o = &table[good_texts[i].row];
		struct values v = { 0 };
		struct lw_err err = { 0 };
		char text[LW_VALUE_TEXT_MAX];

		assert_int_equal(lw_value_parse(o, good_texts[i].text, &v, &err), 0);
		assert_int_equal(lw_value_format(o, &v, 0, text, sizeof(text)), 0);
		assert_string_equal(text, good_texts[i].canonical);
		lw_value_clear(o, &v);
	}
}

static const struct {
	int row;
	const char *text, *sentence;
} bad_texts[] = {
	{ FLAG, "auto", "'auto' is not a switch; write on or off" },
	{ TRI, "maybe", "'maybe' is not a switch; write on, auto or off" },
	{ COLOUR, "pink", "'pink' is not a choice here; use red, green or blue" },
	{ COUNT, "575", "'575' is too small; allowed is 576 to 65535 bytes" },
	{ COUNT, "65536", "'65536' is too large; allowed is 576 to 65535 bytes" },
	{ COUNT, "99999999999999999999",
	  "'99999999999999999999' is too large; allowed is 576 to 65535 bytes" },
	{ COUNT, "-1", "'-1' is too small; allowed is 576 to 65535 bytes" },
	{ COUNT, "1500 B", "'1500 B' has a unit; write the bare number" },
	{ COUNT, "many", "'many' is not a number; write one like 1 or 1000" },
	{ COUNT, "0x10", "'0x10' has a unit; write the bare number" },
	{ COUNT, "", "'' is not a number; write one like 1 or 1000" },
	{ SIZE, "15", "'15' lacks a unit; write a size like 15 MiB or 1500 B" },
	{ SIZE, "15 Mb",
	  "'15 Mb' has an unknown unit; use B, kB, MB, GB, TB, KiB, MiB, GiB or TiB" },
	{ SIZE, "8388608 TiB", "'8388608 TiB' is too large; write a smaller number" },
	{ SIZE, "0.3 KiB", "'0.3 KiB' is finer than what can be set; use a smaller unit" },
	{ SIZE, "1 MiB x", "'1 MiB x' is not a size; write one like 15 MiB or 1500 B" },
	{ TIME, "15", "'15' lacks a unit; write a duration like 15m or 1h30m" },
	{ TIME, "25h", "'25h' is too large; allowed is 0s to 24h" },
	{ TIME, "30m1h", "'30m1h' is not a duration; write one like 15m or 1h30m" },
	{ TIME, "-5s", "'-5s' is not a duration; write one like 15m or 1h30m" },
	{ RATE, "1000", "'1000' lacks a unit; write a rate like 1000/s" },
	{ RATE, "100 Mbit/s", "'100 Mbit/s' has an unknown unit; use /s" },
	{ BITS, "1000/s",
	  "'1000/s' has an unknown unit; use bit/s, kbit/s, Mbit/s, Gbit/s or Tbit/s" },
	{ PATH, "", "the path is empty; name a file" },
	{ SECRET, "hunter2", "the value is not a number; write one like 1 or 1000" },
	{ ADDR, "localhost:5",
	  "'localhost:5' is not an address; write one like 10.0.0.1:5 or [::]:27690" },
	{ ADDR, "10.0.0.1:70000",
	  "'10.0.0.1:70000' is not an address; write one like 10.0.0.1:5 or "
	  "[::]:27690" },
	{ PREFIX, "10.0.0.0/33", "'10.0.0.0/33' is not a prefix; write one like 10.125.0.0/16" },
	{ PREFIX, "10.0.0.0/", "'10.0.0.0/' is not a prefix; write one like 10.125.0.0/16" },
	{ PREFIX, "10.0.0.0:5/8", "'10.0.0.0:5/8' is not a prefix; write one like 10.125.0.0/16" },
	{ LIMIT, "0", "'0' is too small; allowed is 1 to 63" },
	{ LIMIT, "64", "'64' is too large; allowed is 1 to 63" },
	{ LIMIT, "on", "'on' is not a number or auto; write one like 1 or 1000" },
	{ COUNT, "auto", "'auto' is not a number; write one like 1 or 1000" },
	{ TRI, "a\nb", "'a\\x0ab' is not a switch; write on, auto or off" },
};

static void value_parse__bad_text__says_what_is_wrong_and_what_to_do(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_texts) / sizeof(bad_texts[0]); i++) {
		const struct lw_option *o = &table[bad_texts[i].row];
		struct values v = { 0 };
		struct values zero = { 0 };
		struct lw_err err = { 0 };

		assert_true(lw_value_parse(o, bad_texts[i].text, &v, &err) < 0);
		assert_string_equal(err.text, bad_texts[i].sentence);
		assert_string_equal(err.option, o->name);
		assert_memory_equal(&v, &zero, sizeof(v));
	}
}

static void value_parse__list__appends_and_clears(void **state)
{
	struct values v = { 0 };
	char text[LW_VALUE_TEXT_MAX];

	(void)state;
	assert_int_equal(lw_value_parse(&table[TEXTS], "a", &v, NULL), 0);
	assert_int_equal(lw_value_parse(&table[TEXTS], "b", &v, NULL), 0);
	assert_int_equal(v.texts.n, 2);
	assert_int_equal(v.texts.item_size, sizeof(char *));
	assert_string_equal(lw_value_string(&table[TEXTS], &v, 1), "b");
	assert_int_equal(lw_value_parse(&table[ADDRS], "10.0.0.1:5", &v, NULL), 0);
	assert_int_equal(lw_value_parse(&table[ADDRS], "nonsense", &v, NULL), -EINVAL);
	assert_int_equal(lw_value_count(&table[ADDRS], &v), 1);
	assert_int_equal(lw_value_format(&table[ADDRS], &v, 1, text, sizeof(text)), -ENOENT);
	lw_values_fini(table, &v);
	assert_int_equal(v.texts.n, 0);
	assert_null(v.texts.items);
}

static void values_init__table__gives_every_default(void **state)
{
	struct values v = { 0 };
	char text[LW_VALUE_TEXT_MAX];

	(void)state;
	assert_int_equal(lw_values_init(table, &v, NULL), 0);
	assert_int_equal(v.tri, 2);
	assert_int_equal(v.colour, 1);
	assert_int_equal(v.count, 1350);
	assert_null(v.text);
	assert_int_equal(v.addrs.n, 2);
	assert_int_equal(lw_value_format(&table[ADDRS], &v, 1, text, sizeof(text)), 0);
	assert_string_equal(text, "[::]:1");
	assert_int_equal(lw_value_format(&table[ADDR], &v, 0, text, sizeof(text)), -ENOENT);
	lw_values_fini(table, &v);
}

static void value_format__random_numbers__parse_back(void **state)
{
	static const int rows[] = { SIZE, TIME, RATE, BITS, SECRET };
	uint64_t seed = 20260701;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct lw_option o = table[rows[i % 5]];
		int64_t before = (int64_t)(test_random(&seed) >> (1 + test_random(&seed) % 63));
		int64_t after = -1;
		char text[LW_NUMBER_TEXT_MAX];

		/* round numbers take the larger units */
		if (i % 2)
			before = before / 3600000000 * 3600000000;
		(void)lw_number_format(&o, before, text);
		assert_int_equal(lw_number_parse(&o, text, &after), LW_NUMBER_OK);
		assert_int_equal(after, before);
	}
}

static void value_format__random_addresses__parse_back(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		const struct lw_option *o = &table[i % 2 ? PREFIX : ADDR];
		struct values a = { 0 };
		struct values b = { 0 };
		struct lw_addr *at = i % 2 ? &a.prefix : &a.addr;
		char text[LW_VALUE_TEXT_MAX];

		at->family = i % 4 < 2 ? 4 : 6;
		for (int j = 0; j < (at->family == 4 ? 4 : 16); j++)
			at->ip[j] = (uint8_t)(test_random(&seed) & (test_random(&seed) % 2 * 255));
		if (i % 2)
			at->prefix = (uint8_t)(test_random(&seed) % (at->family == 4 ? 33 : 129));
		else
			at->port = (uint16_t)test_random(&seed);
		assert_int_equal(lw_value_format(o, &a, 0, text, sizeof(text)), 0);
		assert_int_equal(lw_value_parse(o, text, &b, NULL), 0);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

/* any bytes are answered with a value or a sentence; the sanitizers look for the rest */
static void value_parse__random_text__never_breaks(void **state)
{
	static const char alphabet[] = "0123456789.:/[]%- smhdKMGTiBbt\x01\xff";
	uint64_t seed = 99;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		const struct lw_option *o = &table[test_random(&seed) % TEXTS];
		struct values v = { 0 };
		struct lw_err err = { 0 };
		char text[40] = "";
		size_t n = test_random(&seed) % sizeof(text);

		for (size_t j = 0; j < n; j++)
			text[j] = alphabet[test_random(&seed) % (sizeof(alphabet) - 1)];
		text[n] = '\0';
		if (lw_value_parse(o, text, &v, &err) < 0)
			assert_true(err.text[0] != '\0');
		lw_value_clear(o, &v);
	}
}

static void value_member__name_and_type__both_must_fit(void **state)
{
	const struct values v = { .count = 7 };

	(void)state;
	assert_ptr_equal(lw_value_member(table, &v, "count", LW_OPT_INT), &v.count);
	assert_ptr_equal(lw_value_member(table, &v, "prefix", LW_OPT_PREFIX), &v.prefix);
	assert_null(lw_value_member(table, &v, "count", LW_OPT_SIZE));
	assert_null(lw_value_member(table, &v, "coun", LW_OPT_INT));
	assert_null(lw_value_member(table, &v, "addrs", LW_OPT_ADDR)); /* a list */
	assert_null(lw_value_member(NULL, &v, "count", LW_OPT_INT));
}

/* The word stands for 0, which must not be a number that may be written. */
static void table_check__auto_where_0_is_a_value__refused(void **state)
{
	struct lw_option row[2] = { table[LIMIT] };
	struct lw_err err = { 0 };

	(void)state;
	row[0].doc = "Most.";
	assert_int_equal(lw_table_check(row, sizeof(struct values), 1, &err), 0);
	row[0].min = 0;
	assert_int_equal(lw_table_check(row, sizeof(struct values), 1, &err), -EINVAL);
	assert_string_equal(err.text, "row 'limit' of the option table: auto needs a number that "
	                              "is at least 1");
	row[0] = table[SIZE];
	row[0].doc = "Size.";
	row[0].flags = LW_OPTF_AUTO;
	assert_int_equal(lw_table_check(row, sizeof(struct values), 1, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_parse__good_text__formats_to_its_canonical_form),
		cmocka_unit_test(value_parse__bad_text__says_what_is_wrong_and_what_to_do),
		cmocka_unit_test(value_parse__list__appends_and_clears),
		cmocka_unit_test(values_init__table__gives_every_default),
		cmocka_unit_test(value_format__random_numbers__parse_back),
		cmocka_unit_test(value_format__random_addresses__parse_back),
		cmocka_unit_test(value_parse__random_text__never_breaks),
		cmocka_unit_test(value_member__name_and_type__both_must_fit),
		cmocka_unit_test(table_check__auto_where_0_is_a_value__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "module/number.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* digits after the point; with any of our units the product stays inside 64 bits or is refused */
#define FRACTION_DIGITS_MAX 9

struct unit {
	const char *name;
	int64_t factor;
};

struct unit_set {
	const struct unit *units; /* ends with name NULL, in rising order where it matters */
	const char *words;
	const char *example;
};

static const struct unit duration_units[] = {
	{ "us", 1 },         { "ms", 1000 },       { "s", 1000000 }, { "m", 60000000 },
	{ "h", 3600000000 }, { "d", 86400000000 }, { .name = NULL },
};

static const struct unit size_units[] = {
	{ "B", 1 },         { "KiB", 1 << 10 },          { "MiB", 1 << 20 },
	{ "GiB", 1 << 30 }, { "TiB", (int64_t)1 << 40 }, { "kB", 1000 },
	{ "MB", 1000000 },  { "GB", 1000000000 },        { "TB", 1000000000000 },
	{ .name = NULL },
};

static const struct unit bit_rate_units[] = {
	{ "bit/s", 1 },           { "kbit/s", 1000 },          { "Mbit/s", 1000000 },
	{ "Gbit/s", 1000000000 }, { "Tbit/s", 1000000000000 }, { .name = NULL },
};

static const struct unit rate_units[] = { { "/s", 1 }, { .name = NULL } };

static const struct unit_set set_duration = { duration_units, "us, ms, s, m, h or d",
	                                      "15m or 1h30m" };
static const struct unit_set set_size = { size_units, "B, kB, MB, GB, TB, KiB, MiB, GiB or TiB",
	                                  "15 MiB or 1500 B" };
static const struct unit_set set_bit_rate = { bit_rate_units,
	                                      "bit/s, kbit/s, Mbit/s, Gbit/s or Tbit/s",
	                                      "100 Mbit/s" };
static const struct unit_set set_rate = { rate_units, "/s", "1000/s" };
static const struct unit_set set_int = { NULL, "", "1 or 1000" };

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text);
	size_t m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static const struct unit_set *units_of(const struct lw_option *o)
{
	switch (o->type) {
	case LW_OPT_DURATION:
		return &set_duration;
	case LW_OPT_SIZE:
		return &set_size;
	case LW_OPT_RATE:
		return o->unit != NULL && ends_with(o->unit, "bit/s") ? &set_bit_rate : &set_rate;
	default:
		return &set_int;
	}
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_unit_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/';
}

static void skip_spaces(const char **pos)
{
	while (**pos == ' ')
		(*pos)++;
}

/* decimal digits at *pos; at least one */
static enum lw_number_fault take_digits(const char **pos, int64_t *ret)
{
	int64_t v = 0;

	if (!is_digit(**pos))
		return LW_NUMBER_SYNTAX;
	for (; is_digit(**pos); (*pos)++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, **pos - '0', &v))
			return LW_NUMBER_TOO_LARGE;
	}
	*ret = v;
	return LW_NUMBER_OK;
}

/* ".5": *ret_scale is the power of ten below it, 1 when there is no point */
static enum lw_number_fault take_fraction(const char **pos, int64_t *ret, int64_t *ret_scale)
{
	const char *start = *pos + 1;
	enum lw_number_fault f;
	int64_t scale = 1;

	*ret = 0;
	*ret_scale = 1;
	if (**pos != '.')
		return LW_NUMBER_OK;
	*pos = start;
	f = take_digits(pos, ret);
	if (f != LW_NUMBER_OK)
		return f;
	if (*pos - start > FRACTION_DIGITS_MAX)
		return LW_NUMBER_INEXACT;
	for (; start < *pos; start++)
		scale *= 10;
	*ret_scale = scale;
	return LW_NUMBER_OK;
}

static enum lw_number_fault take_unit(const char **pos, const struct unit *units, size_t *ret)
{
	const char *start = *pos;
	size_t n;

	while (is_unit_char(**pos))
		(*pos)++;
	n = (size_t)(*pos - start);
	if (n == 0)
		return LW_NUMBER_NO_UNIT;
	for (size_t i = 0; units[i].name != NULL; i++) {
		if (strlen(units[i].name) == n && memcmp(units[i].name, start, n) == 0) {
			*ret = i;
			return LW_NUMBER_OK;
		}
	}
	return LW_NUMBER_BAD_UNIT;
}

/* "1.5 GB": digits, a fraction, spaces and a unit */
static enum lw_number_fault take_amount(const char **pos, const struct unit *units, int64_t *ret,
                                        size_t *ret_unit)
{
	int64_t whole = 0;
	int64_t part = 0;
	int64_t scale = 1;
	int64_t factor;
	enum lw_number_fault f = take_digits(pos, &whole);

	if (f == LW_NUMBER_OK)
		f = take_fraction(pos, &part, &scale);
	if (f != LW_NUMBER_OK)
		return f;
	skip_spaces(pos);
	f = take_unit(pos, units, ret_unit);
	if (f != LW_NUMBER_OK)
		return f;
	factor = units[*ret_unit].factor;
	if (__builtin_mul_overflow(whole, factor, &whole) ||
	    __builtin_mul_overflow(part, factor, &part))
		return LW_NUMBER_TOO_LARGE;
	if (part % scale != 0)
		return LW_NUMBER_INEXACT;
	return __builtin_add_overflow(whole, part / scale, ret) ? LW_NUMBER_TOO_LARGE
	                                                        : LW_NUMBER_OK;
}

/* "1h30m": amounts with falling units */
static enum lw_number_fault parse_duration(const char *text, int64_t *ret)
{
	size_t last = sizeof(duration_units) / sizeof(duration_units[0]);
	int64_t sum = 0;

	if (strcmp(text, "0") == 0) {
		*ret = 0;
		return LW_NUMBER_OK;
	}
	do {
		int64_t v = 0;
		size_t unit = 0;
		enum lw_number_fault f = take_amount(&text, duration_units, &v, &unit);

		if (f != LW_NUMBER_OK)
			return f;
		if (unit >= last)
			return LW_NUMBER_SYNTAX;
		last = unit;
		if (__builtin_add_overflow(sum, v, &sum))
			return LW_NUMBER_TOO_LARGE;
		skip_spaces(&text);
	} while (*text != '\0');
	*ret = sum;
	return LW_NUMBER_OK;
}

static enum lw_number_fault parse_amount(const char *text, const struct unit *units, int64_t *ret)
{
	int64_t v = 0;
	size_t unit = 0;
	enum lw_number_fault f = take_amount(&text, units, &v, &unit);

	if (f != LW_NUMBER_OK)
		return f;
	if (*text != '\0')
		return LW_NUMBER_SYNTAX;
	*ret = v;
	return LW_NUMBER_OK;
}

static enum lw_number_fault parse_int(const char *text, int64_t *ret)
{
	bool minus = *text == '-';
	int64_t v = 0;
	enum lw_number_fault f;

	text += minus ? 1 : 0;
	f = take_digits(&text, &v);
	if (f != LW_NUMBER_OK)
		return f;
	skip_spaces(&text);
	if (is_unit_char(*text))
		return LW_NUMBER_UNWANTED_UNIT;
	if (*text != '\0')
		return LW_NUMBER_SYNTAX;
	*ret = minus ? -v : v;
	return LW_NUMBER_OK;
}

enum lw_number_fault lw_number_parse(const struct lw_option *o, const char *text, int64_t *ret)
{
	const struct unit_set *set = units_of(o);

	if (o->type == LW_OPT_DURATION)
		return parse_duration(text, ret);
	if (set->units == NULL)
		return parse_int(text, ret);
	return parse_amount(text, set->units, ret);
}

static void format_duration(int64_t v, char buf[LW_NUMBER_TEXT_MAX])
{
	size_t used = 0;

	/* from hours down: a day reads better as 24h */
	for (size_t i = 5; i-- > 0 && v != 0;) {
		int64_t n = v / duration_units[i].factor;

		if (n == 0)
			continue;
		used += (size_t)snprintf(buf + used, LW_NUMBER_TEXT_MAX - used, "%lld%s",
		                         (long long)n, duration_units[i].name);
		v %= duration_units[i].factor;
	}
	if (used == 0)
		(void)snprintf(buf, LW_NUMBER_TEXT_MAX, "0s");
}

/* the unit that leaves the smallest whole number */
static const struct unit *best_unit(const struct unit *units, int64_t v)
{
	const struct unit *best = &units[0];

	for (const struct unit *u = units; v != 0 && u->name != NULL; u++) {
		if (v % u->factor == 0 && u->factor > best->factor)
			best = u;
	}
	return best;
}

const char *lw_number_format(const struct lw_option *o, int64_t v, char buf[LW_NUMBER_TEXT_MAX])
{
	const struct unit_set *set = units_of(o);
	const struct unit *u;

	if ((o->flags & LW_OPTF_AUTO) && v == 0) {
		(void)snprintf(buf, LW_NUMBER_TEXT_MAX, "auto");
	} else if (o->type == LW_OPT_DURATION) {
		format_duration(v, buf);
	} else if (set->units == NULL) {
		(void)snprintf(buf, LW_NUMBER_TEXT_MAX, "%lld", (long long)v);
	} else {
		u = best_unit(set->units, v);
		(void)snprintf(buf, LW_NUMBER_TEXT_MAX, "%lld%s%s", (long long)(v / u->factor),
		               u->name[0] == '/' ? "" : " ", u->name);
	}
	return buf;
}

const char *lw_number_units(const struct lw_option *o)
{
	return units_of(o)->words;
}

const char *lw_number_example(const struct lw_option *o)
{
	return units_of(o)->example;
}

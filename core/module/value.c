/* SPDX-License-Identifier: MIT */
#include "module/value.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/wipe.h"
#include "module/number.h"

/* how much of an operator's text an error sentence repeats */
#define QUOTE_MAX 64

/* one value before it reaches its member; text is malloced */
union value {
	int32_t word;
	int64_t number;
	char *text;
	struct lw_addr addr;
};

static const char *const bool_words[] = { "off", "on", "auto", NULL };

static bool is_text(uint32_t type)
{
	return type == LW_OPT_STRING || type == LW_OPT_PATH || type == LW_OPT_SECRET_PATH;
}

static bool is_number(uint32_t type)
{
	return type == LW_OPT_INT || type == LW_OPT_SIZE || type == LW_OPT_DURATION ||
	       type == LW_OPT_RATE;
}

uint32_t lw_value_size(uint32_t type)
{
	if (is_text(type))
		return sizeof(char *);
	if (is_number(type))
		return sizeof(int64_t);
	if (type == LW_OPT_BOOL || type == LW_OPT_TRI || type == LW_OPT_ENUM)
		return sizeof(int32_t);
	if (type == LW_OPT_ADDR || type == LW_OPT_PREFIX)
		return sizeof(struct lw_addr);
	return 0;
}

/* the operator's text in quotes, cut and escaped, or a word for it when it is a secret */
static const char *quote(const struct lw_option *o, const char *text, char buf[QUOTE_MAX])
{
	size_t n;

	if (o->flags & LW_OPTF_SECRET) {
		(void)snprintf(buf, QUOTE_MAX, "the value");
		return buf;
	}
	buf[0] = '\'';
	n = lw_log_escape(buf + 1, QUOTE_MAX - 2, text);
	(void)snprintf(buf + 1 + n, QUOTE_MAX - 1 - n, "'");
	return buf;
}

const char *lw_value_range(const struct lw_option *o, char buf[LW_VALUE_RANGE_MAX])
{
	char lo[LW_NUMBER_TEXT_MAX];
	char hi[LW_NUMBER_TEXT_MAX];
	const char *unit = o->type == LW_OPT_INT && o->unit != NULL ? o->unit : "";

	buf[0] = '\0';
	if (!is_number(o->type) || (o->min == 0 && o->max == 0))
		return buf;
	(void)lw_number_format(o, o->min, lo);
	(void)lw_number_format(o, o->max, hi);
	if (o->max == INT64_MAX)
		(void)snprintf(buf, LW_VALUE_RANGE_MAX, "%s%s%.8s or more", lo, *unit ? " " : "",
		               unit);
	else
		(void)snprintf(buf, LW_VALUE_RANGE_MAX, "%s to %s%s%.8s", lo, hi, *unit ? " " : "",
		               unit);
	return buf;
}

static int fail_range(const struct lw_option *o, const char *quoted, bool large, struct lw_err *err)
{
	char range[LW_VALUE_RANGE_MAX];

	if (*lw_value_range(o, range) == '\0')
		return lw_err_set_at(err, -ERANGE, o->name, "%s is too %s; write a %s number",
		                     quoted, large ? "large" : "small",
		                     large ? "smaller" : "larger");
	return lw_err_set_at(err, -ERANGE, o->name, "%s is too %s; allowed is %s", quoted,
	                     large ? "large" : "small", range);
}

static int fail_number(const struct lw_option *o, const char *text, enum lw_number_fault f,
                       struct lw_err *err)
{
	char q[QUOTE_MAX];

	(void)quote(o, text, q);
	switch (f) {
	case LW_NUMBER_TOO_LARGE:
		return fail_range(o, q, text[0] != '-', err);
	case LW_NUMBER_NO_UNIT:
		return lw_err_set_at(err, -EINVAL, o->name, "%s lacks a unit; write a %s like %s",
		                     q, lw_value_type_name(o), lw_number_example(o));
	case LW_NUMBER_BAD_UNIT:
		return lw_err_set_at(err, -EINVAL, o->name, "%s has an unknown unit; use %s", q,
		                     lw_number_units(o));
	case LW_NUMBER_UNWANTED_UNIT:
		return lw_err_set_at(err, -EINVAL, o->name, "%s has a unit; write the bare number",
		                     q);
	case LW_NUMBER_INEXACT:
		return lw_err_set_at(err, -EINVAL, o->name,
		                     "%s is finer than what can be set; use a smaller unit", q);
	case LW_NUMBER_OK:
	case LW_NUMBER_SYNTAX:
		break;
	}
	return lw_err_set_at(err, -EINVAL, o->name, "%s is not a %s; write one like %s", q,
	                     lw_value_type_name(o), lw_number_example(o));
}

static int parse_number(const struct lw_option *o, const char *text, union value *v,
                        struct lw_err *err)
{
	enum lw_number_fault f;
	char q[QUOTE_MAX];

	if ((o->flags & LW_OPTF_AUTO) && strcasecmp(text, "auto") == 0) {
		v->number = 0;
		return 0;
	}
	f = lw_number_parse(o, text, &v->number);
	if (f != LW_NUMBER_OK)
		return fail_number(o, text, f, err);
	if (o->min == 0 && o->max == 0)
		return 0;
	if (v->number < o->min || v->number > o->max)
		return fail_range(o, quote(o, text, q), v->number > o->max, err);
	return 0;
}

/* yes, on, true: 1; no, off, false: 0; otherwise -1 */
static int32_t switch_of(const char *text)
{
	static const char *const words[] = { "off", "on", "no", "yes", "false", "true" };

	for (int32_t i = 0; i < 6; i++) {
		if (strcasecmp(text, words[i]) == 0)
			return i & 1;
	}
	return -1;
}

static int parse_switch(const struct lw_option *o, const char *text, union value *v,
                        struct lw_err *err)
{
	char q[QUOTE_MAX];

	v->word = switch_of(text);
	if (v->word < 0 && o->type == LW_OPT_TRI && strcasecmp(text, "auto") == 0)
		v->word = 2;
	if (v->word >= 0)
		return 0;
	return lw_err_set_at(err, -EINVAL, o->name, "%s is not a switch; write on%s or off",
	                     quote(o, text, q), o->type == LW_OPT_TRI ? ", auto" : "");
}

static int parse_enum(const struct lw_option *o, const char *text, union value *v,
                      struct lw_err *err)
{
	char words[120] = "";
	char q[QUOTE_MAX];
	size_t used = 0;

	for (v->word = 0; o->choices[v->word] != NULL; v->word++) {
		const char *next = o->choices[v->word + 1];

		if (strcmp(text, o->choices[v->word]) == 0)
			return 0;
		if (used < sizeof(words))
			used += (size_t)snprintf(words + used, sizeof(words) - used, "%s%s",
			                         o->choices[v->word],
			                         next == NULL                      ? ""
			                         : o->choices[v->word + 2] == NULL ? " or "
			                                                           : ", ");
	}
	return lw_err_set_at(err, -EINVAL, o->name, "%s is not a choice here; use %s",
	                     quote(o, text, q), words);
}

static int parse_addr(const struct lw_option *o, const char *text, union value *v,
                      struct lw_err *err)
{
	char q[QUOTE_MAX];

	if (lw_addr_parse(text, &v->addr) == 0)
		return 0;
	return lw_err_set_at(err, -EINVAL, o->name,
	                     "%s is not an address; write one like 10.0.0.1:5 or [::]:27690",
	                     quote(o, text, q));
}

/* the digits behind the slash; -1 when they are none or too many */
static int prefix_length(const char *text, int max)
{
	int n = 0;

	if (*text == '\0' || strlen(text) > 3)
		return -1;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		n = n * 10 + (*text - '0');
	}
	return n <= max ? n : -1;
}

static int parse_prefix(const struct lw_option *o, const char *text, union value *v,
                        struct lw_err *err)
{
	char ip[LW_ADDR_TEXT_MAX];
	size_t n = strcspn(text, "/");
	char q[QUOTE_MAX];
	int bits;

	if (n >= sizeof(ip) || *text == '[')
		goto bad;
	memcpy(ip, text, n);
	ip[n] = '\0';
	if (lw_addr_parse(ip, &v->addr) < 0 || v->addr.port != 0)
		goto bad;
	bits = v->addr.family == 4 ? 32 : 128;
	if (text[n] == '/')
		bits = prefix_length(text + n + 1, bits);
	if (bits < 0)
		goto bad;
	v->addr.prefix = (uint8_t)bits;
	return 0;
bad:
	return lw_err_set_at(err, -EINVAL, o->name,
	                     "%s is not a prefix; write one like 10.125.0.0/16", quote(o, text, q));
}

static int parse_text(const struct lw_option *o, const char *text, union value *v,
                      struct lw_err *err)
{
	if (*text == '\0' && o->type != LW_OPT_STRING)
		return lw_err_set_at(err, -EINVAL, o->name, "the path is empty; name a file");
	v->text = strdup(text);
	if (v->text == NULL)
		return lw_err_set_at(err, -ENOMEM, o->name, "out of memory");
	return 0;
}

static int parse_one(const struct lw_option *o, const char *text, union value *v,
                     struct lw_err *err)
{
	memset(v, 0, sizeof(*v));
	if (is_number(o->type))
		return parse_number(o, text, v, err);
	if (is_text(o->type))
		return parse_text(o, text, v, err);
	if (o->type == LW_OPT_BOOL || o->type == LW_OPT_TRI)
		return parse_switch(o, text, v, err);
	if (o->type == LW_OPT_ENUM)
		return parse_enum(o, text, v, err);
	if (o->type == LW_OPT_ADDR)
		return parse_addr(o, text, v, err);
	if (o->type == LW_OPT_PREFIX)
		return parse_prefix(o, text, v, err);
	return lw_err_set_at(err, -EINVAL, o->name, "this is no single value");
}

static void free_text(char *text)
{
	if (text != NULL)
		lw_wipe(text, strlen(text)); /* it may be a secret, and wiping the rest is cheap */
	free(text);
}

static int append(const struct lw_option *o, const union value *v, void *member, struct lw_err *err)
{
	uint32_t size = lw_value_size(o->type);
	struct lw_list list;
	char *items;

	memcpy(&list, member, sizeof(list));
	items = list.n < UINT32_MAX ? reallocarray(list.items, (size_t)list.n + 1, size) : NULL;
	if (items == NULL)
		return lw_err_set_at(err, -ENOMEM, o->name, "out of memory");
	memcpy(items + (size_t)list.n * size, v, size);
	list = (struct lw_list){ .items = items, .n = list.n + 1, .item_size = size };
	memcpy(member, &list, sizeof(list));
	return 0;
}

int lw_value_parse(const struct lw_option *o, const char *text, void *opts, struct lw_err *err)
{
	char *member = (char *)opts + o->offset;
	union value v;
	int r = parse_one(o, text, &v, err);

	if (r < 0)
		return r;
	if (o->flags & LW_OPTF_LIST) {
		r = append(o, &v, member, err);
		if (r < 0 && is_text(o->type))
			free_text(v.text);
		return r;
	}
	lw_value_clear(o, opts);
	memcpy(member, &v, lw_value_size(o->type));
	return 0;
}

/* where item number index lies, NULL when there is none */
static const char *item_at(const struct lw_option *o, const void *opts, uint32_t index)
{
	const char *member = (const char *)opts + o->offset;
	struct lw_list list;

	if (!(o->flags & LW_OPTF_LIST))
		return index == 0 ? member : NULL;
	memcpy(&list, member, sizeof(list));
	return index < list.n ? (const char *)list.items + (size_t)index * list.item_size : NULL;
}

const char *lw_value_string(const struct lw_option *o, const void *opts, uint32_t index)
{
	const char *at = item_at(o, opts, index);
	const char *text = NULL;

	if (at != NULL && is_text(o->type))
		memcpy(&text, at, sizeof(text));
	return text;
}

static int put(char *buf, size_t cap, const char *text)
{
	return (size_t)snprintf(buf, cap, "%s", text) < cap ? 0 : -ENOSPC;
}

static int format_addr(const struct lw_option *o, struct lw_addr a, char *buf, size_t cap)
{
	char text[LW_ADDR_TEXT_MAX];
	unsigned prefix = a.prefix;

	if (a.family == 0)
		return -ENOENT;
	if (o->type == LW_OPT_ADDR)
		return put(buf, cap, lw_addr_format(&a, text));
	a.prefix = 0; /* written here: lw_addr_format() leaves out a prefix of 0 bits */
	return (size_t)snprintf(buf, cap, "%s/%u", lw_addr_format(&a, text), prefix) < cap
	               ? 0
	               : -ENOSPC;
}

int lw_value_format(const struct lw_option *o, const void *opts, uint32_t index, char *buf,
                    size_t cap)
{
	const char *at = item_at(o, opts, index);
	char number[LW_NUMBER_TEXT_MAX];
	union value v = { 0 };

	if (at == NULL)
		return -ENOENT;
	memcpy(&v, at, lw_value_size(o->type));
	if (is_text(o->type))
		return v.text == NULL ? -ENOENT : put(buf, cap, v.text);
	if (is_number(o->type))
		return put(buf, cap, lw_number_format(o, v.number, number));
	if (o->type == LW_OPT_ADDR || o->type == LW_OPT_PREFIX)
		return format_addr(o, v.addr, buf, cap);
	if (o->type == LW_OPT_ENUM)
		return put(buf, cap, o->choices[v.word]);
	return put(buf, cap, bool_words[v.word]);
}

uint32_t lw_value_count(const struct lw_option *o, const void *opts)
{
	char buf[LW_VALUE_TEXT_MAX];
	struct lw_list list;

	if (!(o->flags & LW_OPTF_LIST))
		return lw_value_format(o, opts, 0, buf, sizeof(buf)) != -ENOENT;
	memcpy(&list, (const char *)opts + o->offset, sizeof(list));
	return list.n;
}

static void clear_list(const struct lw_option *o, char *member)
{
	struct lw_list list;
	char **texts;

	memcpy(&list, member, sizeof(list));
	texts = list.items;
	for (uint32_t i = 0; is_text(o->type) && i < list.n; i++)
		free_text(texts[i]);
	free(list.items);
	memset(member, 0, sizeof(list));
}

void lw_value_clear(const struct lw_option *o, void *opts)
{
	char *member = (char *)opts + o->offset;
	char *text;

	if (o->flags & LW_OPTF_LIST) {
		clear_list(o, member);
		return;
	}
	if (is_text(o->type)) {
		memcpy(&text, member, sizeof(text));
		free_text(text);
	}
	memset(member, 0, lw_value_size(o->type));
}

/* "a, b": each part without the spaces around it */
static int default_list(const struct lw_option *o, void *opts, struct lw_err *err)
{
	char *copy = strdup(o->def);
	char *pos = copy;
	char *part;
	int r = 0;

	if (copy == NULL)
		return lw_err_set_at(err, -ENOMEM, o->name, "out of memory");
	while (r == 0 && (part = strsep(&pos, ",")) != NULL) {
		size_t n;

		part += strspn(part, " ");
		n = strlen(part);
		while (n > 0 && part[n - 1] == ' ')
			part[--n] = '\0';
		r = lw_value_parse(o, part, opts, err);
	}
	free(copy);
	return r;
}

int lw_value_default(const struct lw_option *o, void *opts, struct lw_err *err)
{
	if (o->def == NULL)
		return 0;
	if (o->flags & LW_OPTF_LIST)
		return default_list(o, opts, err);
	return lw_value_parse(o, o->def, opts, err);
}

int lw_values_init(const struct lw_option *table, void *opts, struct lw_err *err)
{
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		int r = 0;

		if (o->type == LW_OPT_SECTION)
			r = lw_values_init(o->section, (char *)opts + o->offset, err);
		else if (o->type != LW_OPT_MODULE)
			r = lw_value_default(o, opts, err);
		if (r < 0) {
			lw_values_fini(table, opts);
			return r;
		}
	}
	return 0;
}

void lw_values_fini(const struct lw_option *table, void *opts)
{
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		if (o->type == LW_OPT_SECTION)
			lw_values_fini(o->section, (char *)opts + o->offset);
		else if (o->type != LW_OPT_MODULE)
			lw_value_clear(o, opts);
	}
}

const char *lw_value_type_name(const struct lw_option *o)
{
	static const char *const one[] = {
		[LW_OPT_BOOL] = "switch",       [LW_OPT_TRI] = "switch or auto",
		[LW_OPT_INT] = "number",        [LW_OPT_SIZE] = "size",
		[LW_OPT_DURATION] = "duration", [LW_OPT_RATE] = "rate",
		[LW_OPT_STRING] = "text",       [LW_OPT_PATH] = "path",
		[LW_OPT_SECRET_PATH] = "path",  [LW_OPT_ADDR] = "address",
		[LW_OPT_PREFIX] = "prefix",     [LW_OPT_ENUM] = "choice",
		[LW_OPT_SECTION] = "section",   [LW_OPT_MODULE] = "module",
	};

	if (o->flags & LW_OPTF_AUTO)
		return "number or auto";
	return o->type <= LW_OPT_MODULE ? one[o->type] : "value";
}

const void *lw_value_member(const struct lw_option *table, const void *opts, const char *name,
                            uint32_t type)
{
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		if (o->type == type && o->flags == 0 && strcmp(o->name, name) == 0)
			return (const char *)opts + o->offset;
	}
	return NULL;
}

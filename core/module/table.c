/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "module/check.h"
#include "module/value.h"

#define ROWS_MAX 256u
#define ALL_FLAGS                                                                                  \
	(LW_OPTF_REQUIRED | LW_OPTF_LIST | LW_OPTF_RELOAD | LW_OPTF_SECRET | LW_OPTF_DEPRECATED |  \
	 LW_OPTF_AUTO)

static bool good_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n < sizeof(((struct lw_err *)0)->option) && name[0] >= 'a' &&
	       name[0] <= 'z' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

static int bad_row(const struct lw_option *o, struct lw_err *err, const char *why)
{
	return lw_err_set(err, -EINVAL, "row '%.40s' of the option table: %s", o->name, why);
}

/* a member that does not fit its type is how a row written without .flags shows */
static int check_member(const struct lw_option *o, uint32_t size, struct lw_err *err)
{
	uint32_t want =
		o->flags & LW_OPTF_LIST ? (uint32_t)sizeof(struct lw_list) : lw_value_size(o->type);

	if (o->type == LW_OPT_SECTION || o->type == LW_OPT_MODULE)
		want = o->size;
	if (o->size != want || o->size == 0)
		return bad_row(o, err, "size of the member does not fit the type");
	if (o->offset > size || o->size > size - o->offset)
		return bad_row(o, err, "the member lies outside the options");
	if (o->offset % (want < 8 ? want : 8) != 0)
		return bad_row(o, err, "the member is not aligned");
	return 0;
}

static int check_row(const struct lw_option *o, uint32_t size, bool of_module, struct lw_err *err)
{
	bool core = o->type == LW_OPT_SECTION || o->type == LW_OPT_MODULE;

	if (!good_name(o->name))
		return bad_row(o, err, "the name must be a-z, 0-9 and _, at most 43 bytes");
	if (o->type > LW_OPT_MODULE || (of_module && core))
		return bad_row(o, err, "unknown type");
	if (o->flags & ~(uint32_t)ALL_FLAGS)
		return bad_row(o, err, "unknown flag");
	if (of_module && (strcmp(o->name, "module") == 0 || strcmp(o->name, "path") == 0))
		return bad_row(o, err, "the name is the core's own");
	if (o->doc == NULL)
		return bad_row(o, err, "no sentence describes it");
	if (o->type == LW_OPT_ENUM && (o->choices == NULL || o->choices[0] == NULL))
		return bad_row(o, err, "no choices");
	if ((o->flags & LW_OPTF_AUTO) && (o->type != LW_OPT_INT || o->min < 1))
		return bad_row(o, err, "auto needs a number that is at least 1");
	if (o->min > o->max)
		return bad_row(o, err, "the smallest value is above the largest");
	return check_member(o, size, err);
}

/* each default must be a value that an operator may write */
static int check_default(const struct lw_option *o, void *opts, struct lw_err *err)
{
	struct lw_err why = { 0 };
	int r = lw_value_default(o, opts, &why);

	lw_value_clear(o, opts);
	if (r == -ENOMEM)
		return lw_err_set(err, r, "out of memory");
	if (r < 0)
		return lw_err_set(err, r, "row '%.40s' of the option table: default: %.120s",
		                  o->name, why.text);
	return 0;
}

static int check_against(const struct lw_option *table, const struct lw_option *o,
                         struct lw_err *err)
{
	for (const struct lw_option *p = table; p < o; p++) {
		if (strcmp(p->name, o->name) == 0)
			return bad_row(o, err, "the name stands twice");
		if (p->offset < o->offset + o->size && o->offset < p->offset + p->size)
			return bad_row(o, err, "shares its member with another row");
	}
	return 0;
}

int lw_table_check(const struct lw_option *table, uint32_t size, int of_module, struct lw_err *err)
{
	char *scratch = NULL;
	int r = 0;

	if (table == NULL || table[0].name == NULL)
		return 0;
	scratch = calloc(1, size > 0 ? size : 1);
	if (scratch == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	for (const struct lw_option *o = table; r == 0 && o->name != NULL; o++) {
		if ((size_t)(o - table) >= ROWS_MAX)
			r = lw_err_set(err, -EINVAL, "more than %u options", ROWS_MAX);
		else
			r = check_row(o, size, of_module != 0, err);
		if (r == 0)
			r = check_against(table, o, err);
		if (r == 0 && o->type == LW_OPT_SECTION)
			r = lw_table_check(o->section, o->size, of_module, err);
		else if (r == 0 && o->type != LW_OPT_MODULE)
			r = check_default(o, scratch, err);
	}
	free(scratch);
	return r;
}

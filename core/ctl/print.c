/* SPDX-License-Identifier: MIT */
#include "ctl/print.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define CELL_MAX    128
#define COLUMNS_MAX 16

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s);
	size_t end_len = strlen(end);

	return len > end_len && strcmp(s + len - end_len, end) == 0;
}

/* how many bytes of a key are its name, and what to make of the number */
static const char *unit_of(const char *key)
{
	static const char *const units[] = { "_s", "_us", "_bps", "_bytes" };

	for (size_t i = 0; key != NULL && i < sizeof(units) / sizeof(units[0]); i++) {
		if (ends_with(key, units[i]))
			return units[i];
	}
	return "";
}

static void format_duration(char *dst, size_t cap, unsigned long long s)
{
	if (s >= 86400)
		(void)snprintf(dst, cap, "%llud %lluh", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		(void)snprintf(dst, cap, "%lluh %llum", s / 3600, s / 60 % 60);
	else if (s >= 60)
		(void)snprintf(dst, cap, "%llum %llus", s / 60, s % 60);
	else
		(void)snprintf(dst, cap, "%llus", s);
}

static void format_scaled(char *dst, size_t cap, double v, double step, const char *const *unit)
{
	int i = 0;

	for (; v >= step && unit[i + 1] != NULL; i++)
		v /= step;
	(void)snprintf(dst, cap, "%.*f %s", i == 0 ? 0 : 1, v, unit[i]);
}

static void format_number(char *dst, size_t cap, const char *key, const char *text)
{
	static const char *const bits[] = { "bit/s", "kbit/s", "Mbit/s", "Gbit/s", NULL };
	static const char *const bytes[] = { "B", "KiB", "MiB", "GiB", "TiB", NULL };
	const char *unit = unit_of(key);
	unsigned long long v = strtoull(text, NULL, 10);

	if (strcmp(unit, "_s") == 0)
		format_duration(dst, cap, v);
	else if (strcmp(unit, "_us") == 0)
		(void)snprintf(dst, cap, "%.1f ms", (double)v / 1000);
	else if (strcmp(unit, "_bps") == 0)
		format_scaled(dst, cap, (double)v, 1000, bits);
	else if (strcmp(unit, "_bytes") == 0)
		format_scaled(dst, cap, (double)v, 1024, bytes);
	else
		(void)lw_log_escape(dst, cap, text);
}

static const char *format_value(const struct lw_json_node *n, char *dst, size_t cap)
{
	switch (n->type) {
	case LW_JSON_NUMBER:
		format_number(dst, cap, n->key, n->text);
		break;
	case LW_JSON_STRING:
		(void)lw_log_escape(dst, cap, n->text);
		break;
	case LW_JSON_TRUE:
	case LW_JSON_FALSE:
		(void)snprintf(dst, cap, "%s", n->type == LW_JSON_TRUE ? "yes" : "no");
		break;
	case LW_JSON_NULL:
	case LW_JSON_ARRAY:
	case LW_JSON_OBJECT:
		(void)snprintf(dst, cap, "-");
		break;
	}
	return dst;
}

static const char *format_key(const char *key, char *dst, size_t cap)
{
	(void)lw_log_escape(dst, cap, key);
	dst[strlen(dst) - strlen(unit_of(dst))] = '\0';
	for (char *p = dst; *p != '\0'; p++) {
		if (*p == '_')
			*p = ' ';
	}
	return dst;
}

static bool is_scalar(const struct lw_json_node *n)
{
	return n->type != LW_JSON_ARRAY && n->type != LW_JSON_OBJECT;
}

static bool is_zero(const struct lw_json_node *n)
{
	return n->type == LW_JSON_NUMBER && strcmp(n->text, "0") == 0;
}

static void print_scalar(FILE *out, const char *indent, const struct lw_json_node *n)
{
	char key[CELL_MAX];
	char value[4 * CELL_MAX];

	(void)fprintf(out, "%s%-*s  %s\n", indent, 22 - (int)strlen(indent),
	              format_key(n->key, key, sizeof(key)), format_value(n, value, sizeof(value)));
}

static void print_object(FILE *out, const struct lw_json_node *object)
{
	bool counters = strcmp(object->key, "counters") == 0;
	char key[CELL_MAX];

	(void)fprintf(out, "%s\n", format_key(object->key, key, sizeof(key)));
	for (const struct lw_json_node *n = object->child; n != NULL; n = n->next) {
		if (is_scalar(n) && !(counters && is_zero(n)))
			print_scalar(out, "  ", n);
	}
}

/* the first row of a table names the columns; a row that lacks one shows a dash */
static uint32_t measure(const struct lw_json_node *rows, const char *columns[], int width[])
{
	uint32_t n = 0;
	char cell[CELL_MAX];

	for (const struct lw_json_node *c = rows->child; c != NULL && n < COLUMNS_MAX;
	     c = c->next) {
		columns[n] = c->key;
		width[n++] = (int)strlen(format_key(c->key, cell, sizeof(cell)));
	}
	for (const struct lw_json_node *row = rows; row != NULL; row = row->next) {
		for (uint32_t i = 0; i < n; i++) {
			const struct lw_json_node *c = lw_json_get(row, columns[i]);
			int w = c == NULL ? 1 : (int)strlen(format_value(c, cell, sizeof(cell)));

			width[i] = w > width[i] ? w : width[i];
		}
	}
	return n;
}

static void print_row(FILE *out, const struct lw_json_node *row, uint32_t n,
                      const char *const columns[], const int width[])
{
	char cell[CELL_MAX];

	(void)fputs(" ", out);
	for (uint32_t i = 0; i < n; i++) {
		const struct lw_json_node *c = lw_json_get(row, columns[i]);
		const char *text = c == NULL ? "-" : format_value(c, cell, sizeof(cell));

		(void)fprintf(out, " %-*s", i + 1 < n ? width[i] : 0, text);
	}
	(void)fputc('\n', out);
}

static void print_table(FILE *out, const struct lw_json_node *array)
{
	const char *columns[COLUMNS_MAX];
	int width[COLUMNS_MAX];
	uint32_t n = measure(array->child, columns, width);
	char text[CELL_MAX];

	(void)fprintf(out, "%s\n ", format_key(array->key, text, sizeof(text)));
	for (uint32_t i = 0; i < n; i++)
		(void)fprintf(out, " %-*s", i + 1 < n ? width[i] : 0,
		              format_key(columns[i], text, sizeof(text)));
	(void)fputc('\n', out);
	for (const struct lw_json_node *row = array->child; row != NULL; row = row->next)
		print_row(out, row, n, columns, width);
}

static void print_list(FILE *out, const struct lw_json_node *array)
{
	char text[4 * CELL_MAX];

	(void)fprintf(out, "%-22s ", format_key(array->key, text, sizeof(text)));
	for (const struct lw_json_node *n = array->child; n != NULL; n = n->next)
		(void)fprintf(out, " %s", format_value(n, text, sizeof(text)));
	(void)fputs(array->child == NULL ? " -\n" : "\n", out);
}

void lw_ctl_print(FILE *out, const struct lw_json_node *root)
{
	for (const struct lw_json_node *n = root->child; n != NULL; n = n->next) {
		if (strcmp(n->key, "schema") == 0)
			continue;
		if (n->type == LW_JSON_OBJECT)
			print_object(out, n);
		else if (n->type == LW_JSON_ARRAY && n->child != NULL && !is_scalar(n->child))
			print_table(out, n);
		else if (n->type == LW_JSON_ARRAY)
			print_list(out, n);
		else
			print_scalar(out, "", n);
	}
}

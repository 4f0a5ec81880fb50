/* SPDX-License-Identifier: MIT */
/* The option tables as the body of a manual page. */
#include <string.h>

#include "conf/conf.h"
#include "module/value.h"

/* text for roff: a backslash, and a dot or quote at the start of a line, mean something there */
static void put_roff(const char *text, FILE *out)
{
	if (*text == '.' || *text == '\'')
		(void)fputs("\\&", out);
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			(void)fputs("\\e", out);
		else if (*text == '-')
			(void)fputs("\\-", out);
		else
			(void)fputc(*text, out);
	}
}

static void reference_row(const struct lw_option *o, FILE *out)
{
	char range[LW_VALUE_RANGE_MAX];

	(void)fprintf(out, ".TP\n.B %s\n", o->name);
	put_roff(o->doc, out);
	(void)fprintf(out, ".\nType: %s%s", o->flags & LW_OPTF_LIST ? "list of: " : "",
	              lw_value_type_name(o));
	for (uint32_t i = 0; o->type == LW_OPT_ENUM && o->choices[i] != NULL; i++)
		(void)fprintf(out, "%s%s", i > 0 ? ", " : " of ", o->choices[i]);
	if (o->type != LW_OPT_MODULE && *lw_value_range(o, range) != '\0')
		(void)fprintf(out, ", %s", range);
	(void)fputs(o->flags & LW_OPTF_REQUIRED ? ". Required.\n" : ".\n", out);
	if (o->def != NULL) {
		(void)fputs("Default: ", out);
		put_roff(o->def, out);
		(void)fputs("\n", out);
	}
}

static void reference_rows(const struct lw_option *table, FILE *out)
{
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		if (o->type != LW_OPT_SECTION)
			reference_row(o, out);
	}
}

struct reference {
	struct lw_loader *loader;
	FILE *out;
};

static void reference_module(void *arg, const char *name)
{
	const struct reference *r = arg;
	const struct lw_module *m = NULL;

	if (lw_loader_get(r->loader, name, NULL, &m, NULL) < 0)
		return;
	(void)fprintf(r->out, ".SS ");
	put_roff(m->name, r->out);
	(void)fputs("\n", r->out);
	put_roff(m->summary, r->out);
	(void)fputs("\n", r->out);
	reference_rows(m->options, r->out);
}

void lw_conf_reference(const struct lw_conf_program *s, struct lw_loader *l, FILE *out)
{
	struct reference r = { .loader = l, .out = out };

	(void)fputs(".SH KEYS\n", out);
	reference_rows(s->table, out);
	for (const struct lw_option *o = s->table; o->name != NULL; o++) {
		if (o->type != LW_OPT_SECTION)
			continue;
		(void)fprintf(out, ".SS Section %s: ", o->name);
		put_roff(o->doc, out);
		(void)fputs("\n", out);
		reference_rows(o->section, out);
	}
	(void)fputs(".SH MODULES\nBeside the key\n.B module\nstand the module's own.\n", out);
	for (const struct lw_option *o = s->table; o->name != NULL; o++) {
		if (o->type == LW_OPT_MODULE)
			lw_loader_each(l, o->choices[0], reference_module, &r);
	}
}

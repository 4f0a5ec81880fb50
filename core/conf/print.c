/* SPDX-License-Identifier: MIT */
/* What the option tables say to people: the effective configuration and the help. */
#include <string.h>

#include "conf/internal.h"
#include "module/value.h"

#define TEXT_MAX 256

static void indent(FILE *out, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		(void)fputs("  ", out);
}

static void print_source(const struct lw_conf *c, const void *member, FILE *out)
{
	const struct place *p = conf_find_place(c, member);

	if (p == NULL)
		(void)fputs("  # default\n", out);
	else if (p->at.source != NULL)
		(void)fprintf(out, "  # %s\n", p->at.source);
	else
		(void)fprintf(out, "  # %s:%u:%u\n", c->file, p->at.line, p->at.column);
}

/* a double-quoted scalar of YAML, in which any byte can be told */
static void print_quoted(const char *text, FILE *out)
{
	(void)fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			(void)fprintf(out, "\\%c", *text);
		else if (*text == '\n')
			(void)fputs("\\n", out);
		else if ((unsigned char)*text < 32 || *text == 127)
			(void)fprintf(out, "\\x%02x", (unsigned)*text);
		else
			(void)fputc(*text, out);
	}
	(void)fputc('"', out);
}

static void print_text(const struct lw_option *o, const char *base, uint32_t i, FILE *out)
{
	const char *string = lw_value_string(o, base, i);
	char text[TEXT_MAX];

	if (o->flags & LW_OPTF_SECRET) {
		(void)fputs("'***'", out);
	} else if (string != NULL) {
		print_quoted(string, out);
	} else if (lw_value_format(o, base, i, text, sizeof(text)) == 0) {
		(void)fprintf(out, strpbrk(text, ":[") != NULL ? "\"%s\"" : "%s", text);
	}
}

static void print_option(const struct lw_conf *c, const struct lw_option *o, const char *base,
                         unsigned depth, FILE *out)
{
	uint32_t n = lw_value_count(o, base);

	/* a number that was not given and has no default is no value, though its member is zero */
	if (conf_find_place(c, base + o->offset) == NULL && (o->def == NULL || n == 0))
		return;
	indent(out, depth);
	(void)fprintf(out, "%s: ", o->name);
	if (o->flags & LW_OPTF_LIST)
		(void)fputc('[', out);
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			(void)fputs(", ", out);
		print_text(o, base, i, out);
	}
	if (o->flags & LW_OPTF_LIST)
		(void)fputc(']', out);
	print_source(c, base + o->offset, out);
}

static void print_use(const struct lw_conf *c, const struct lw_conf_use *u, unsigned depth,
                      bool item, FILE *out)
{
	const char *dash = strchr(u->module->name, '-');

	indent(out, depth);
	(void)fprintf(out, "%smodule: %s\n", item ? "- " : "",
	              dash != NULL ? dash + 1 : u->module->name);
	if (u->path != NULL) {
		indent(out, depth + (item ? 1 : 0));
		(void)fputs("path: ", out);
		print_quoted(u->path, out);
		(void)fputc('\n', out);
	}
	for (const struct lw_option *o = u->module->options; o != NULL && o->name != NULL; o++)
		print_option(c, o, u->opts, depth + (item ? 1 : 0), out);
}

static void print_table(const struct lw_conf *c, const struct lw_option *table, const char *base,
                        unsigned depth, FILE *out)
{
	for (const struct lw_option *o = table; o->name != NULL; o++) {
		const struct lw_list *list =
			(const struct lw_list *)(const void *)(base + o->offset);
		const struct lw_conf_use *uses = list->items;

		if (o->type == LW_OPT_SECTION) {
			indent(out, depth);
			(void)fprintf(out, "%s:\n", o->name);
			print_table(c, o->section, base + o->offset, depth + 1, out);
		} else if (o->type == LW_OPT_MODULE) {
			if (list->n > 0)
				(void)fprintf(out, "%s:\n", o->name);
			for (uint32_t i = 0; i < list->n; i++)
				print_use(c, &uses[i], 1, list->n > 1 || (o->flags & LW_OPTF_LIST),
				          out);
		} else {
			print_option(c, o, base, depth, out);
		}
	}
}

void lw_conf_print(const struct lw_conf *c, FILE *out)
{
	print_table(c, c->program->table, c->options, 0, out);
}

static void help_row(const struct lw_option *o, const char *prefix, FILE *out)
{
	char range[LW_VALUE_RANGE_MAX];
	const char *limits = o->type == LW_OPT_MODULE ? "" : lw_value_range(o, range);

	(void)fprintf(out, "  %s%s  (%s%s%s%s)\n      %s", prefix, o->name, lw_value_type_name(o),
	              o->flags & LW_OPTF_LIST ? ", list" : "", *limits != '\0' ? ", " : "", limits,
	              o->doc);
	if (o->type == LW_OPT_ENUM) {
		(void)fputs(":", out);
		for (uint32_t i = 0; o->choices[i] != NULL; i++)
			(void)fprintf(out, " %s", o->choices[i]);
	}
	if (o->flags & LW_OPTF_REQUIRED)
		(void)fputs("; must be given", out);
	else if (o->def != NULL)
		(void)fprintf(out, "; default %s", o->def);
	(void)fputc('\n', out);
}

static void help_table(const struct lw_option *table, const char *prefix, FILE *out)
{
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		char deeper[TEXT_MAX];

		if (o->type != LW_OPT_SECTION) {
			help_row(o, prefix, out);
			continue;
		}
		(void)snprintf(deeper, sizeof(deeper), "%s%s.", prefix, o->name);
		help_table(o->section, deeper, out);
	}
}

void lw_conf_help(const struct lw_conf_program *program, FILE *out)
{
	(void)fprintf(
		out,
		"%s\n\n"
		"usage: %s [--config FILE] [--SECTION-KEY VALUE]...\n"
		"  -c, --config FILE    configuration; default %s\n"
		"  --check-config       tell all mistakes and end; changes nothing\n"
		"  --print-config       the effective configuration, with where it came from\n"
		"  --module-help NAME   the options of a module, such as inside-tun\n"
		"  --print-schema       a JSON Schema of the file, for editors\n"
		"  --print-reference    all keys as the body of a manual page\n"
		"  --version, --help\n\n"
		"keys of the file; a single value may also be set as --network-mtu VALUE or by\n"
		"the environment as LANEWAY_NETWORK_MTU:\n",
		program->summary, program->name, program->default_file);
	help_table(program->table, "", out);
	(void)fputs(
		"\nexit codes: 0; 64 command line; 69 no server answered; 71 the system lacks\n"
		"something; 75 address, port, device or name in use; 77 not permitted, or login\n"
		"refused; 78 configuration\n",
		out);
}

void lw_conf_module_help(const struct lw_module *m, FILE *out)
{
	(void)fprintf(out, "%s %s: %s\n", m->name, m->version, m->summary);
	help_table(m->options, "", out);
}

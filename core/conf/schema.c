/* SPDX-License-Identifier: MIT */
/* The option tables as a JSON Schema, for editors. */
#include <string.h>

#include "conf/conf.h"
#include "module/value.h"

struct writer {
	FILE *out;
	struct lw_loader *loader;
	bool first; /* nothing stands in the innermost object or array yet */
};

static void put_string(struct writer *w, const char *text)
{
	(void)fputc('"', w->out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			(void)fprintf(w->out, "\\%c", *text);
		else if ((unsigned char)*text < 32)
			(void)fprintf(w->out, "\\u%04x", (unsigned)*text);
		else
			(void)fputc(*text, w->out);
	}
	(void)fputc('"', w->out);
}

static void comma(struct writer *w)
{
	if (!w->first)
		(void)fputs(",", w->out);
	w->first = false;
}

static void key(struct writer *w, const char *name)
{
	comma(w);
	put_string(w, name);
	(void)fputs(":", w->out);
}

static void open_(struct writer *w, char bracket)
{
	(void)fputc(bracket, w->out);
	w->first = true;
}

static void close_(struct writer *w, char bracket)
{
	(void)fputc(bracket, w->out);
	w->first = false;
}

static void pair(struct writer *w, const char *name, const char *value)
{
	key(w, name);
	put_string(w, value);
}

static void words(struct writer *w, const char *const *list)
{
	for (uint32_t i = 0; list[i] != NULL; i++) {
		comma(w);
		put_string(w, list[i]);
	}
}

/* YAML of editors reads on and off as text or as truth, so both may stand there */
static void put_switch(struct writer *w, bool tri)
{
	static const char *const spoken[] = { "on", "off", "yes", "no", NULL };
	static const char *const automatic[] = { "auto", NULL };

	key(w, "enum");
	open_(w, '[');
	(void)fputs("true,false", w->out);
	w->first = false;
	words(w, spoken);
	if (tri)
		words(w, automatic);
	close_(w, ']');
}

static void put_integer(struct writer *w, const struct lw_option *o)
{
	pair(w, "type", "integer");
	if (o->min == 0 && o->max == 0)
		return;
	key(w, "minimum");
	(void)fprintf(w->out, "%lld", (long long)o->min);
	key(w, "maximum");
	(void)fprintf(w->out, "%lld", (long long)o->max);
}

static void put_integer_or_auto(struct writer *w, const struct lw_option *o)
{
	key(w, "anyOf");
	(void)fputs("[{\"const\":\"auto\"},", w->out);
	open_(w, '{');
	put_integer(w, o);
	close_(w, '}');
	close_(w, ']');
}

/* the members that tell the type of one value, without the braces */
static void put_type(struct writer *w, const struct lw_option *o)
{
	switch (o->type) {
	case LW_OPT_BOOL:
	case LW_OPT_TRI:
		put_switch(w, o->type == LW_OPT_TRI);
		return;
	case LW_OPT_INT:
		if (o->flags & LW_OPTF_AUTO)
			put_integer_or_auto(w, o);
		else
			put_integer(w, o);
		return;
	case LW_OPT_ENUM:
		key(w, "enum");
		open_(w, '[');
		words(w, o->choices);
		close_(w, ']');
		return;
	case LW_OPT_DURATION:
		key(w, "anyOf");
		(void)fputs("[{\"const\":0},{\"type\":\"string\",\"pattern\":"
		            "\"^([0-9]+(\\\\.[0-9]+)? *(us|ms|s|m|h|d) *)+$\"}]",
		            w->out);
		return;
	case LW_OPT_SIZE:
		pair(w, "type", "string");
		pair(w, "pattern", "^[0-9]+(\\.[0-9]+)? *([kMGT]B|[KMGT]iB|B)$");
		return;
	case LW_OPT_RATE:
		pair(w, "type", "string");
		pair(w, "pattern", "^[0-9]+(\\.[0-9]+)? *([kMGT]?bit)?/s$");
		return;
	default:
		pair(w, "type", "string");
		return;
	}
}

static void put_item(struct writer *w, const struct lw_option *o)
{
	open_(w, '{');
	put_type(w, o);
	close_(w, '}');
}

/* one value, or a list of them */
static void put_list(struct writer *w, const struct lw_option *o)
{
	key(w, "anyOf");
	open_(w, '[');
	put_item(w, o);
	(void)fputs(",", w->out);
	open_(w, '{');
	pair(w, "type", "array");
	key(w, "items");
	put_item(w, o);
	close_(w, '}');
	close_(w, ']');
}

/* uses of modules: the kind's definition, alone or in a list */
static void put_uses(struct writer *w, const struct lw_option *o)
{
	key(w, "anyOf");
	(void)fprintf(w->out,
	              "[{\"$ref\":\"#/$defs/%s\"},"
	              "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/%s\"}}]",
	              o->choices[0], o->choices[0]);
}

static void put_value_row(struct writer *w, const struct lw_option *o)
{
	key(w, o->name);
	open_(w, '{');
	pair(w, "description", o->doc);
	if (o->def != NULL && o->type != LW_OPT_MODULE)
		pair(w, "default", o->def);
	if (o->type == LW_OPT_MODULE)
		put_uses(w, o);
	else if (o->flags & LW_OPTF_LIST)
		put_list(w, o);
	else
		put_type(w, o);
	close_(w, '}');
}

static void put_values(struct writer *w, const struct lw_option *table)
{
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		if (o->type != LW_OPT_SECTION)
			put_value_row(w, o);
	}
}

static void put_required(struct writer *w, const struct lw_option *table)
{
	key(w, "required");
	open_(w, '[');
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		if (o->flags & LW_OPTF_REQUIRED) {
			comma(w);
			put_string(w, o->name);
		}
	}
	close_(w, ']');
}

static void begin_object(struct writer *w)
{
	pair(w, "type", "object");
	key(w, "additionalProperties");
	(void)fputs("false", w->out);
	key(w, "properties");
	open_(w, '{');
}

static void put_section(struct writer *w, const struct lw_option *o)
{
	key(w, o->name);
	open_(w, '{');
	pair(w, "description", o->doc);
	begin_object(w);
	put_values(w, o->section);
	close_(w, '}');
	put_required(w, o->section);
	close_(w, '}');
}

/* `module`, alone or, where one of several is needed, in a list of names */
static void put_name(struct writer *w, const char *name)
{
	key(w, "module");
	open_(w, '{');
	key(w, "anyOf");
	open_(w, '[');
	comma(w);
	open_(w, '{');
	pair(w, "const", name);
	close_(w, '}');
	(void)fputs(",{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", w->out);
	close_(w, ']');
	close_(w, '}');
}

static void put_module(void *arg, const char *name)
{
	const struct lw_module *m = NULL;
	struct writer *w = arg;

	if (lw_loader_get(w->loader, name, NULL, &m, NULL) < 0)
		return;
	comma(w);
	open_(w, '{');
	pair(w, "description", m->summary);
	begin_object(w);
	put_name(w, strchr(m->name, '-') + 1);
	(void)fputs(",\"path\":{\"type\":\"string\"}", w->out);
	put_values(w, m->options);
	close_(w, '}');
	put_required(w, m->options);
	close_(w, '}');
}

static void put_kind(struct writer *w, const struct lw_option *o)
{
	key(w, o->choices[0]);
	open_(w, '{');
	key(w, "anyOf");
	open_(w, '[');
	lw_loader_each(w->loader, o->choices[0], put_module, w);
	close_(w, ']');
	close_(w, '}');
}

static void put_top(struct writer *w, const struct lw_conf_program *s)
{
	begin_object(w);
	put_values(w, s->table);
	for (const struct lw_option *o = s->table; o->name != NULL; o++) {
		if (o->type == LW_OPT_SECTION)
			put_section(w, o);
	}
	close_(w, '}');
	put_required(w, s->table);
}

void lw_conf_schema(const struct lw_conf_program *s, struct lw_loader *l, FILE *out)
{
	struct writer w = { .out = out, .loader = l };

	open_(&w, '{');
	pair(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
	pair(&w, "title", s->name);
	pair(&w, "description", s->summary);
	put_top(&w, s);
	key(&w, "$defs");
	open_(&w, '{');
	for (const struct lw_option *o = s->table; o->name != NULL; o++) {
		if (o->type == LW_OPT_MODULE)
			put_kind(&w, o);
	}
	close_(&w, '}');
	close_(&w, '}');
	(void)fputs("\n", out);
}

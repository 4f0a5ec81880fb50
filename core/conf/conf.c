/* SPDX-License-Identifier: MIT */
#include "conf/conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/internal.h"
#include "module/value.h"

#define ERRORS_MAX 100u

/* --- mistakes and places --- */

static void keep_error(struct lw_conf *c, char *text)
{
	char **more;

	if (text == NULL || c->n_errors == ERRORS_MAX) {
		free(text);
		return;
	}
	more = reallocarray((void *)c->errors, c->n_errors + 1, sizeof(*more));
	if (more == NULL) {
		free(text);
		return;
	}
	c->errors = more;
	c->errors[c->n_errors++] = text;
}

static void verror(struct lw_conf *c, uint32_t line, uint32_t column, const char *fmt, va_list ap)
	__attribute__((format(printf, 4, 0)));

static void verror(struct lw_conf *c, uint32_t line, uint32_t column, const char *fmt, va_list ap)
{
	char what[512];
	char *text = NULL;
	int r;

	(void)vsnprintf(what, sizeof(what), fmt, ap);
	if (line > 0)
		r = asprintf(&text, "%s:%u:%u: %s", c->file, line, column, what);
	else if (c->file != NULL)
		r = asprintf(&text, "%s: %s", c->file, what);
	else
		r = asprintf(&text, "%s", what);
	keep_error(c, r < 0 ? NULL : text);
}

void conf_error_at(struct lw_conf *c, uint32_t line, uint32_t column, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(c, line, column, fmt, ap);
	va_end(ap);
}

void lw_conf_error(struct lw_conf *c, const void *member, const char *fmt, ...)
{
	const struct place *p = conf_find_place(c, member);
	va_list ap;

	va_start(ap, fmt);
	verror(c, p != NULL ? p->line : 0, p != NULL ? p->column : 0, fmt, ap);
	va_end(ap);
}

void conf_place(struct lw_conf *c, const void *member, uint32_t line, uint32_t column,
                const char *source)
{
	struct place *more = reallocarray(c->places, c->n_places + 1, sizeof(*more));

	if (more == NULL)
		return; /* the value stands, only its origin is not told */
	c->places = more;
	c->places[c->n_places++] = (struct place){
		.member = member, .line = line, .column = column, .source = source
	};
}

const struct place *conf_find_place(const struct lw_conf *c, const void *member)
{
	for (uint32_t i = c->n_places; i-- > 0;) { /* the last one won */
		if (c->places[i].member == member)
			return &c->places[i];
	}
	return NULL;
}

/* --- values --- */

char *lw_conf_path(const struct lw_conf *c, const char *path)
{
	const char *slash = c->file != NULL ? strrchr(c->file, '/') : NULL;
	char *joined = NULL;

	int r;

	if (path[0] == '/')
		return strdup(path);
	/* never a bare word: dlopen() would look for that elsewhere */
	if (slash == NULL)
		r = asprintf(&joined, "./%s", path);
	else
		r = asprintf(&joined, "%.*s/%s", (int)(slash - c->file), c->file, path);
	return r < 0 ? NULL : joined;
}

/* A file with a secret: there, a regular file, and its owner's only. */
static void check_secret(struct lw_conf *c, const char *key, const char *path, uint32_t line,
                         uint32_t column)
{
	struct stat st;

	if (stat(path, &st) < 0)
		conf_error_at(c, line, column, "%s: cannot read '%s': %s", key, path,
		              strerror(errno));
	else if (!S_ISREG(st.st_mode))
		conf_error_at(c, line, column, "%s: '%s' is not a regular file", key, path);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		conf_error_at(c, line, column, "%s: '%s' belongs to another user; chown it to root",
		              key, path);
	else if ((st.st_mode & 077) != 0)
		conf_error_at(c, line, column,
		              "%s: others may read '%s' (mode %04o); run chmod 600 '%s'", key, path,
		              (unsigned)(st.st_mode & 07777), path);
}

void conf_value(struct lw_conf *c, const struct lw_option *o, char *base, const char *key,
                const char *text, uint32_t line, uint32_t column, const char *source)
{
	bool path = o->type == LW_OPT_PATH || o->type == LW_OPT_SECRET_PATH;
	char *joined = path ? lw_conf_path(c, text) : NULL;
	struct lw_err err = { 0 };

	if (lw_value_parse(o, joined != NULL ? joined : text, base, &err) < 0)
		conf_error_at(c, line, column, "%s: %s", key, err.text);
	else
		conf_place(c, base + o->offset, line, column, source);
	if (o->type == LW_OPT_SECRET_PATH && joined != NULL)
		check_secret(c, key, joined, line, column);
	if ((o->flags & LW_OPTF_SECRET) && line > 0)
		c->secrets_inline = true;
	free(joined);
}

/* --- life --- */

int lw_conf_create(const struct lw_conf_program *program, void *options, struct lw_loader *loader,
                   struct lw_conf **ret)
{
	struct lw_conf *c = calloc(1, sizeof(*c));
	struct lw_err err;
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->program = program;
	c->options = options;
	c->loader = loader;
	r = lw_values_init(program->table, options, &err);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

static void free_uses(const struct lw_option *table, char *base)
{
	for (const struct lw_option *o = table; o->name != NULL; o++) {
		struct lw_list *list = (struct lw_list *)(void *)(base + o->offset);
		struct lw_conf_use *uses;

		if (o->type == LW_OPT_SECTION)
			free_uses(o->section, base + o->offset);
		if (o->type != LW_OPT_MODULE)
			continue;
		uses = list->items;
		for (uint32_t i = 0; i < list->n; i++) {
			lw_values_fini(uses[i].module->options, uses[i].opts);
			free(uses[i].opts);
		}
		free(uses);
		*list = (struct lw_list){ 0 };
	}
}

void lw_conf_destroy(struct lw_conf *c)
{
	if (c == NULL)
		return;
	free_uses(c->program->table, c->options);
	lw_values_fini(c->program->table, c->options);
	for (uint32_t i = 0; i < c->n_errors; i++)
		free(c->errors[i]);
	free((void *)c->errors);
	free(c->places);
	free(c->file);
	free(c);
}

void lw_conf_load(struct lw_conf *c, const char *file)
{
	c->file = strdup(file);
	if (c->file != NULL)
		conf_read_file(c);
	conf_environment(c);
}

/* --- what must be there --- */

static void require(struct lw_conf *c, const struct lw_option *table, char *base,
                    const char *prefix, uint32_t line, uint32_t column)
{
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		const struct lw_list *list =
			(const struct lw_list *)(const void *)(base + o->offset);
		char path[128];
		bool missing;

		(void)snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix != '\0' ? "." : "",
		               o->name);
		if (o->type == LW_OPT_SECTION) {
			require(c, o->section, base + o->offset, path, line, column);
			continue;
		}
		missing = o->type == LW_OPT_MODULE ? list->n == 0 : lw_value_count(o, base) == 0;
		if ((o->flags & LW_OPTF_REQUIRED) && missing)
			conf_error_at(c, line, column, "%s is missing: %s", path, o->doc);
	}
}

static void check_use(struct lw_conf *c, const struct lw_conf_use *u)
{
	const struct lw_module *m = u->module;
	struct lw_err err = { 0 };

	require(c, m->options, u->opts, m->name, u->line, u->column);
	if (m->life->size <= offsetof(struct lw_life_ops, check) || m->life->check == NULL ||
	    m->life->check(u->opts, &err) == 0)
		return;
	for (const struct lw_option *o = m->options; o != NULL && o->name != NULL; o++) {
		const struct place *p = conf_find_place(c, (char *)u->opts + o->offset);

		if (strcmp(o->name, err.option) == 0 && p != NULL && p->line > 0) {
			conf_error_at(c, p->line, p->column, "%s: %s", o->name, err.text);
			return;
		}
	}
	conf_error_at(c, u->line, u->column, "%s%s%s: %s", m->name, *err.option != '\0' ? "." : "",
	              err.option, err.text);
}

static void finish_uses(struct lw_conf *c, const struct lw_option *table, char *base)
{
	for (const struct lw_option *o = table; o->name != NULL; o++) {
		const struct lw_list *list =
			(const struct lw_list *)(const void *)(base + o->offset);
		const struct lw_conf_use *uses;

		if (o->type != LW_OPT_MODULE)
			continue;
		if (list->n == 0 && o->def != NULL)
			conf_read_default(c, o, base);
		uses = list->items;
		for (uint32_t i = 0; i < list->n; i++)
			check_use(c, &uses[i]);
	}
}

void lw_conf_finish(struct lw_conf *c)
{
	struct stat st;

	if (c->n_errors == 0) /* a file that cannot be read has nothing to be missing */
		require(c, c->program->table, c->options, "", 0, 0);
	finish_uses(c, c->program->table, c->options);
	if (c->secrets_inline && c->file != NULL && stat(c->file, &st) == 0 &&
	    (st.st_mode & 077) != 0)
		conf_error_at(c, 0, 0,
		              "a secret stands in this file, but others may read it (mode %04o); "
		              "run chmod 600, or keep the secret in a file of its own",
		              (unsigned)(st.st_mode & 07777));
}

uint32_t lw_conf_errors(const struct lw_conf *c)
{
	return c->n_errors;
}

void lw_conf_report(const struct lw_conf *c, FILE *out)
{
	for (uint32_t i = 0; i < c->n_errors; i++)
		(void)fprintf(out, "%s\n", c->errors[i]);
}

/* SPDX-License-Identifier: MIT */
#include "conf/conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
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

static void verror(struct lw_conf *c, const struct spot *at, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

static void verror(struct lw_conf *c, const struct spot *at, const char *fmt, va_list ap)
{
	char plain[512];
	char what[1024];
	char *text = NULL;
	int r;

	(void)vsnprintf(plain, sizeof(plain), fmt, ap);
	(void)lw_log_escape(what, sizeof(what), plain); /* keys and values are anybody's bytes */
	if (at->name != NULL)
		r = asprintf(&text, "%s: %s", at->name, what);
	else if (at->line > 0)
		r = asprintf(&text, "%s:%u:%u: %s", c->file, at->line, at->column, what);
	else if (c->file != NULL)
		r = asprintf(&text, "%s: %s", c->file, what);
	else
		r = asprintf(&text, "%s", what);
	keep_error(c, r < 0 ? NULL : text);
	if (at->name != NULL && strncmp(at->name, "--", 2) == 0)
		c->usage = true;
}

void conf_error_at(struct lw_conf *c, const struct spot *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verror(c, at, fmt, ap);
	va_end(ap);
}

void lw_conf_error(struct lw_conf *c, const void *member, const char *fmt, ...)
{
	const struct place *p = conf_find_place(c, member);
	const struct spot nowhere = { .line = 0 };
	va_list ap;

	va_start(ap, fmt);
	verror(c, p != NULL ? &p->at : &nowhere, fmt, ap);
	va_end(ap);
}

void lw_conf_error_item(struct lw_conf *c, const void *member, uint32_t item, const char *fmt, ...)
{
	const struct place *p = conf_find_item(c, member, item);
	const struct spot nowhere = { .line = 0 };
	va_list ap;

	va_start(ap, fmt);
	verror(c, p != NULL ? &p->at : &nowhere, fmt, ap);
	va_end(ap);
}

void lw_conf_error_use(struct lw_conf *c, const struct lw_conf_use *use, const char *fmt, ...)
{
	const struct spot at = { .line = use->line, .column = use->column };
	va_list ap;

	va_start(ap, fmt);
	verror(c, &at, fmt, ap);
	va_end(ap);
}

void conf_place(struct lw_conf *c, const void *member, uint32_t item, const struct spot *at)
{
	struct place *more = reallocarray(c->places, c->n_places + 1, sizeof(*more));

	if (more == NULL)
		return; /* the value stands, only its origin is not told */
	c->places = more;
	more[c->n_places] = (struct place){ .member = member, .item = item, .at = *at };
	more[c->n_places++].at.name = NULL; /* it does not live long enough */
}

const struct place *conf_find_item(const struct lw_conf *c, const void *member, uint32_t item)
{
	for (uint32_t i = c->n_places; i-- > 0;) { /* the last one won */
		if (c->places[i].member == member && c->places[i].item == item)
			return &c->places[i];
	}
	return NULL;
}

const struct place *conf_find_place(const struct lw_conf *c, const void *member)
{
	for (uint32_t i = c->n_places; i-- > 0;) {
		if (c->places[i].member == member && c->places[i].item < ITEM_KEY)
			return &c->places[i];
	}
	return NULL;
}

/* --- values --- */

char *lw_conf_path(const struct lw_conf *c, const char *path)
{
	const char *slash = c->file != NULL ? strrchr(c->file, '/') : NULL;
	char *joined = NULL;

	if (path[0] == '/' || slash == NULL)
		return strdup(path);
	return asprintf(&joined, "%.*s/%s", (int)(slash - c->file), c->file, path) < 0 ? NULL
	                                                                               : joined;
}

/* A file with a secret: there, a regular file, and its owner's only. */
static void check_secret(struct lw_conf *c, const char *key, const char *path,
                         const struct spot *at)
{
	struct stat st;

	if (stat(path, &st) < 0)
		conf_error_at(c, at, "%s: cannot read '%s': %s", key, path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		conf_error_at(c, at, "%s: '%s' is not a regular file", key, path);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		conf_error_at(c, at, "%s: '%s' belongs to another user; chown it to root", key,
		              path);
	else if ((st.st_mode & 077) != 0)
		conf_error_at(c, at, "%s: others may read '%s' (mode %04o); run chmod 600 '%s'",
		              key, path, (unsigned)(st.st_mode & 07777), path);
}

/* which item of a list was added last, 0 for what is none */
static uint32_t last_item(const struct lw_option *o, const char *base)
{
	uint32_t n = o->flags & LW_OPTF_LIST ? lw_value_count(o, base) : 0;

	return n > 0 ? n - 1 : 0;
}

static bool is_path(const struct lw_option *o)
{
	return o->type == LW_OPT_PATH || o->type == LW_OPT_SECRET_PATH;
}

/* What is typed at a shell is relative to where that shell is, all else to the file. */
static char *join_path(const struct lw_conf *c, const struct lw_option *o, const char *text,
                       const struct spot *at)
{
	if (!is_path(o) || *text == '\0')
		return NULL;
	return at->name == NULL ? lw_conf_path(c, text) : strdup(text);
}

void conf_value(struct lw_conf *c, const struct lw_option *o, char *base, const char *key,
                const char *text, const struct spot *at)
{
	char *joined = join_path(c, o, text, at);
	const char *prefix = at->name != NULL ? "" : key;
	struct lw_err err = { 0 };

	if (lw_value_parse(o, joined != NULL ? joined : text, base, &err) < 0)
		conf_error_at(c, at, "%s%s%s", prefix, *prefix != '\0' ? ": " : "", err.text);
	else
		conf_place(c, base + o->offset, last_item(o, base), at);
	if (o->type == LW_OPT_SECRET_PATH && joined != NULL)
		check_secret(c, o->name, joined, at);
	if ((o->flags & LW_OPTF_SECRET) && at->line > 0)
		c->secret = *at;
	free(joined);
}

/* A default path is relative to the file too, and the file behind it is looked at as any other. */
static void default_path(struct lw_conf *c, const struct lw_option *o, char *base)
{
	const struct spot at = { .source = "default" };

	if (!is_path(o) || (o->flags & LW_OPTF_LIST) || o->def == NULL || *o->def == '/' ||
	    conf_find_place(c, base + o->offset) != NULL)
		return;
	conf_value(c, o, base, o->name, o->def, &at);
}

static void default_paths(struct lw_conf *c, const struct lw_option *table, char *base)
{
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		if (o->type == LW_OPT_SECTION)
			default_paths(c, o->section, base + o->offset);
		else if (o->type != LW_OPT_MODULE)
			default_path(c, o, base);
	}
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
			free(uses[i].path);
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
                    const char *prefix, const struct spot *around)
{
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		const struct place *section = conf_find_item(c, base + o->offset, ITEM_SECTION);
		const struct lw_list *list =
			(const struct lw_list *)(const void *)(base + o->offset);
		char path[128];
		bool missing;

		(void)snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix != '\0' ? "." : "",
		               o->name);
		if (o->type == LW_OPT_SECTION) {
			require(c, o->section, base + o->offset, path,
			        section != NULL ? &section->at : around);
			continue;
		}
		missing = o->type == LW_OPT_MODULE ? list->n == 0 : lw_value_count(o, base) == 0;
		/* a key whose value is wrong is not missing: that was told already */
		if ((o->flags & LW_OPTF_REQUIRED) && missing &&
		    conf_find_item(c, base + o->offset, ITEM_KEY) == NULL)
			conf_error_at(c, around, "%s is missing: %s", path, o->doc);
	}
}

static void check_use(struct lw_conf *c, const struct lw_conf_use *u)
{
	const struct lw_module *m = u->module;
	const struct spot here = { .line = u->line, .column = u->column };
	uint32_t before = c->n_errors;
	struct lw_err err = { 0 };

	require(c, m->options, u->opts, "", &here);
	if (c->n_errors > before || u->wrong)
		return; /* rules across options are for options that are right */
	if (m->life->size < offsetof(struct lw_life_ops, check) + sizeof(m->life->check) ||
	    m->life->check == NULL || m->life->check(u->opts, &err) == 0)
		return;
	for (const struct lw_option *o = m->options; o != NULL && o->name != NULL; o++) {
		const struct place *p = conf_find_place(c, (char *)u->opts + o->offset);

		if (strcmp(o->name, err.option) == 0 && p != NULL && p->at.line > 0) {
			conf_error_at(c, &p->at, "%s: %s", o->name, err.text);
			return;
		}
	}
	conf_error_at(c, &here, "%s%s%s: %s", m->name, *err.option != '\0' ? "." : "", err.option,
	              err.text);
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

/* at the secret, which is what must go or be shut away */
static void check_open_file(struct lw_conf *c)
{
	struct stat st;

	if (c->secret.line > 0 && stat(c->file, &st) == 0 && (st.st_mode & 077) != 0)
		conf_error_at(c, &c->secret,
		              "a secret stands in this file, but others may read it (mode %04o); "
		              "run chmod 600, or keep the secret in a file of its own",
		              (unsigned)(st.st_mode & 07777));
}

void lw_conf_finish(struct lw_conf *c)
{
	const struct spot top = { .line = 1, .column = 1 };

	if (!c->unread) {
		require(c, c->program->table, c->options, "", &top);
		default_paths(c, c->program->table, c->options);
	}
	finish_uses(c, c->program->table, c->options);
	check_open_file(c);
}

bool lw_conf_usage(const struct lw_conf *c)
{
	return c->usage;
}

uint32_t lw_conf_errors(const struct lw_conf *c)
{
	return c->n_errors;
}

void lw_conf_report(const struct lw_conf *c, FILE *out)
{
	for (uint32_t i = 0; i < c->n_errors; i++)
		(void)fprintf(out, "%s\n", c->errors[i]);
	if (c->n_errors == ERRORS_MAX)
		(void)fprintf(out, "%s: no more than %u mistakes are told\n", c->file, ERRORS_MAX);
}

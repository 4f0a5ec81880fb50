/* SPDX-License-Identifier: MIT */
/* A YAML document, walked by the option tables. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "conf/internal.h"
#include "module/near.h"
#include "module/value.h"

#define ROWS_MAX  256u
#define FILE_MAX  (1u << 20)
#define NAMES_MAX 8u

/* one document being read */
struct reader {
	struct lw_conf *c;
	yaml_document_t *doc;
	bool from_default; /* its lines are not the file's */
};

static uint32_t line_of(const struct reader *r, const yaml_node_t *node)
{
	return r->from_default ? 0 : (uint32_t)node->start_mark.line + 1;
}

static uint32_t column_of(const struct reader *r, const yaml_node_t *node)
{
	return r->from_default ? 0 : (uint32_t)node->start_mark.column + 1;
}

#define node_error(r, node, ...)                                                                   \
	conf_error_at((r)->c, line_of((r), (node)), column_of((r), (node)), __VA_ARGS__)

static yaml_node_t *node_at(const struct reader *r, yaml_node_item_t i)
{
	return yaml_document_get_node(r->doc, i);
}

/* NULL when the node is no scalar, or holds a zero byte */
static const char *text_of(const yaml_node_t *node)
{
	const char *text;

	if (node == NULL || node->type != YAML_SCALAR_NODE)
		return NULL;
	text = (const char *)node->data.scalar.value;
	return strlen(text) == node->data.scalar.length ? text : NULL;
}

static bool is_empty(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0 &&
	       node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static const struct lw_option *find_row(const struct lw_option *table, const char *name)
{
	for (const struct lw_option *o = table; o != NULL && o->name != NULL; o++) {
		if (strcmp(o->name, name) == 0)
			return o;
	}
	return NULL;
}

static void unknown_key(const struct reader *r, const yaml_node_t *key, const char *where,
                        const struct lw_near *near)
{
	if (near->best != NULL)
		node_error(r, key, "unknown key '%s'%s%s; did you mean '%s'?", text_of(key),
		           *where != '\0' ? " in " : "", where, near->best);
	else
		node_error(r, key, "unknown key '%s'%s%s; --help lists all keys", text_of(key),
		           *where != '\0' ? " in " : "", where);
}

/* --- scalars and lists of them --- */

static void read_scalar(const struct reader *r, const struct lw_option *o, char *base,
                        const yaml_node_t *node)
{
	const char *text = text_of(node);

	if (text == NULL || is_empty(node))
		node_error(r, node, "%s: needs a %s", o->name, lw_value_type_name(o));
	else
		conf_value(r->c, o, base, o->name, text, line_of(r, node), column_of(r, node),
		           r->from_default ? "default" : NULL);
}

static void read_values(const struct reader *r, const struct lw_option *o, char *base,
                        const yaml_node_t *node)
{
	if (!(o->flags & LW_OPTF_LIST)) {
		read_scalar(r, o, base, node);
		return;
	}
	lw_value_clear(o, base); /* the default gives way */
	if (node->type != YAML_SEQUENCE_NODE) {
		read_scalar(r, o, base, node);
		return;
	}
	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     i < node->data.sequence.items.top; i++)
		read_scalar(r, o, base, node_at(r, *i));
}

/* --- modules --- */

struct wanted {
	const char *names[NAMES_MAX];
	uint32_t n;
	const char *path;
};

static void read_names(const struct reader *r, const yaml_node_t *node, struct wanted *w)
{
	if (node->type != YAML_SEQUENCE_NODE) {
		w->names[w->n++] = text_of(node);
		return;
	}
	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     i < node->data.sequence.items.top && w->n < NAMES_MAX; i++)
		w->names[w->n++] = text_of(node_at(r, *i));
}

/* The keys `module` and `path`, which are the core's own. */
static void read_wanted(const struct reader *r, const struct lw_option *o, const yaml_node_t *map,
                        struct wanted *w)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		const char *key = text_of(node_at(r, p->key));

		if (key != NULL && strcmp(key, "module") == 0)
			read_names(r, node_at(r, p->value), w);
		else if (key != NULL && strcmp(key, "path") == 0)
			w->path = text_of(node_at(r, p->value));
	}
	if (w->n == 0 && !(o->flags & LW_OPTF_LIST) && o->unit != NULL)
		w->names[w->n++] = o->unit; /* the default module of this kind */
}

static int make_use(const struct reader *r, const struct lw_option *o, const yaml_node_t *map,
                    const char *name, const char *path, struct lw_conf_use *ret)
{
	char *file = path != NULL ? lw_conf_path(r->c, path) : NULL;
	struct lw_err err = { 0 };
	char full[128];
	int e;

	(void)snprintf(full, sizeof(full), "%s-%s", o->choices[0], name);
	e = lw_loader_get(r->c->loader, full, file, &ret->module, &err);
	free(file);
	if (e < 0) {
		node_error(r, map, "%s: %s", o->name, err.text);
		return e;
	}
	ret->line = line_of(r, map);
	ret->column = column_of(r, map);
	ret->opts = calloc(1, ret->module->options_size + 1);
	if (ret->opts == NULL)
		return -ENOMEM;
	return lw_values_init(ret->module->options, ret->opts, &err);
}

static int add_use(struct lw_list *list, const struct lw_conf_use *use)
{
	struct lw_conf_use *more = reallocarray(list->items, list->n + 1, sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	list->items = more;
	list->item_size = sizeof(*more);
	more[list->n++] = *use;
	return 0;
}

/* Each key goes to every module that knows it; one that none knows is a mistake. */
static void read_module_keys(const struct reader *r, const yaml_node_t *map,
                             struct lw_conf_use *uses, uint32_t n)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		const yaml_node_t *key = node_at(r, p->key);
		const char *name = text_of(key);
		struct lw_near near;
		bool known = false;

		if (name == NULL || strcmp(name, "module") == 0 || strcmp(name, "path") == 0)
			continue;
		lw_near_init(&near, name);
		for (uint32_t i = 0; i < n; i++) {
			const struct lw_option *table = uses[i].module->options;
			const struct lw_option *o = find_row(table, name);

			for (; o == NULL && table != NULL && table->name != NULL; table++)
				lw_near_offer(&near, table->name);
			if (o != NULL)
				read_values(r, o, uses[i].opts, node_at(r, p->value));
			known = known || o != NULL;
		}
		if (!known && n > 0)
			unknown_key(r, key, uses[0].module->name, &near);
	}
}

static void check_repeated(const struct reader *r, const yaml_node_t *map)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		const char *name = text_of(node_at(r, p->key));

		for (yaml_node_pair_t *q = map->data.mapping.pairs.start; q < p; q++) {
			const char *before = text_of(node_at(r, q->key));

			if (name == NULL || before == NULL || strcmp(name, before) != 0)
				continue;
			node_error(r, node_at(r, p->key),
			           "key '%s' stands here again; it was first in line %zu", name,
			           node_at(r, q->key)->start_mark.line + 1);
			break;
		}
	}
}

static void read_use(const struct reader *r, const struct lw_option *o, char *base,
                     const yaml_node_t *map)
{
	struct lw_list *list = (struct lw_list *)(void *)(base + o->offset);
	struct wanted w = { .n = 0 };
	struct lw_conf_use uses[NAMES_MAX];
	uint32_t n = 0;

	if (map->type != YAML_MAPPING_NODE) {
		node_error(r, map, "%s: needs keys, such as 'module: NAME'", o->name);
		return;
	}
	check_repeated(r, map);
	read_wanted(r, o, map, &w);
	if (w.n == 0)
		node_error(r, map, "%s: needs 'module: NAME'", o->name);
	for (uint32_t i = 0; i < w.n; i++) {
		if (w.names[i] == NULL)
			node_error(r, map, "%s: module needs a name", o->name);
		else if (make_use(r, o, map, w.names[i], w.path, &uses[n]) == 0)
			n++;
	}
	read_module_keys(r, map, uses, n);
	for (uint32_t i = 0; i < n; i++)
		(void)add_use(list, &uses[i]);
}

static void read_uses(const struct reader *r, const struct lw_option *o, char *base,
                      const yaml_node_t *node)
{
	if (!(o->flags & LW_OPTF_LIST) || node->type != YAML_SEQUENCE_NODE) {
		read_use(r, o, base, node);
		return;
	}
	for (yaml_node_item_t *i = node->data.sequence.items.start;
	     i < node->data.sequence.items.top; i++)
		read_use(r, o, base, node_at(r, *i));
}

/* --- sections --- */

static void read_section(const struct reader *r, const struct lw_option *table, char *base,
                         const yaml_node_t *map, const char *where);

static void read_key(const struct reader *r, const struct lw_option *o, char *base,
                     const yaml_node_t *value)
{
	if (o->type == LW_OPT_SECTION)
		read_section(r, o->section, base + o->offset, value, o->name);
	else if (o->type == LW_OPT_MODULE)
		read_uses(r, o, base, value);
	else
		read_values(r, o, base, value);
}

static void read_section(const struct reader *r, const struct lw_option *table, char *base,
                         const yaml_node_t *map, const char *where)
{
	if (is_empty(map))
		return;
	if (map->type != YAML_MAPPING_NODE) {
		node_error(r, map, "%s needs keys and values here",
		           *where != '\0' ? where : "the file");
		return;
	}
	check_repeated(r, map);
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		const yaml_node_t *key = node_at(r, p->key);
		const char *name = text_of(key);
		const struct lw_option *o = name != NULL ? find_row(table, name) : NULL;
		struct lw_near near;

		if (o != NULL) {
			read_key(r, o, base, node_at(r, p->value));
			continue;
		}
		if (name == NULL) {
			node_error(r, key, "a key must be a word");
			continue;
		}
		lw_near_init(&near, name);
		for (const struct lw_option *t = table; t->name != NULL; t++)
			lw_near_offer(&near, t->name);
		unknown_key(r, key, where, &near);
	}
}

/* --- documents --- */

static void syntax_error(struct lw_conf *c, const yaml_parser_t *p)
{
	conf_error_at(c, (uint32_t)p->problem_mark.line + 1, (uint32_t)p->problem_mark.column + 1,
	              "not YAML: %s%s%s", p->problem != NULL ? p->problem : "unreadable",
	              p->context != NULL ? ", " : "", p->context != NULL ? p->context : "");
}

static void read_document(struct lw_conf *c, yaml_parser_t *parser)
{
	yaml_document_t doc;
	struct reader r = { .c = c, .doc = &doc };
	yaml_node_t *root;

	if (!yaml_parser_load(parser, &doc)) {
		syntax_error(c, parser);
		return;
	}
	root = yaml_document_get_root_node(&doc);
	if (root != NULL)
		read_section(&r, c->program->table, c->options, root, "");
	yaml_document_delete(&doc);
}

void conf_read_file(struct lw_conf *c)
{
	FILE *f = fopen(c->file, "re");
	yaml_parser_t parser;
	char *text;
	size_t n;

	if (f == NULL) {
		conf_error_at(c, 0, 0, "cannot read the configuration: %s", strerror(errno));
		return;
	}
	text = malloc(FILE_MAX);
	n = text != NULL ? fread(text, 1, FILE_MAX, f) : 0;
	if (text == NULL || ferror(f) || n == FILE_MAX) {
		conf_error_at(c, 0, 0, "cannot read the configuration: %s",
		              n == FILE_MAX ? "more than 1 MiB" : strerror(errno));
	} else if (yaml_parser_initialize(&parser)) {
		yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
		read_document(c, &parser);
		yaml_parser_delete(&parser);
	}
	if (text != NULL)
		explicit_bzero(text, n); /* a password may stand in it */
	free(text);
	(void)fclose(f);
}

void conf_read_default(struct lw_conf *c, const struct lw_option *o, char *base)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	struct reader r = { .c = c, .doc = &doc, .from_default = true };

	if (!yaml_parser_initialize(&parser))
		return;
	yaml_parser_set_input_string(&parser, (const unsigned char *)o->def, strlen(o->def));
	if (yaml_parser_load(&parser, &doc)) {
		read_uses(&r, o, base, yaml_document_get_root_node(&doc));
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&parser);
}

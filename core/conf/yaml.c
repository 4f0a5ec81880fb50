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
#define KEYS_MAX  1000

/* one document being read */
struct reader {
	struct lw_conf *c;
	yaml_document_t *doc;
	bool from_default; /* its lines are not the file's */
};

static struct spot spot_of(const struct reader *r, const yaml_node_t *node)
{
	if (r->from_default)
		return (struct spot){ .source = "default" };
	return (struct spot){ .line = (uint32_t)node->start_mark.line + 1,
		              .column = (uint32_t)node->start_mark.column + 1 };
}

#define node_error(r, node, ...)                                                                   \
	do {                                                                                       \
		const struct spot at_ = spot_of((r), (node));                                      \
                                                                                                   \
		conf_error_at((r)->c, &at_, __VA_ARGS__);                                          \
	} while (0)

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

/* nothing stands there, or one of YAML's words for it */
static bool is_empty(const yaml_node_t *node)
{
	const char *text = text_of(node);

	return text != NULL && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (*text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
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
	const struct spot at = spot_of(r, node);
	const char *text = text_of(node);

	if (text == NULL || is_empty(node))
		node_error(r, node, "%s: needs a single value: %s", o->name, lw_value_type_name(o));
	else
		conf_value(r->c, o, base, o->name, text, &at);
}

static void read_values(const struct reader *r, const struct lw_option *o, char *base,
                        const yaml_node_t *node)
{
	const struct spot at = spot_of(r, node);

	if (!(o->flags & LW_OPTF_LIST)) {
		read_scalar(r, o, base, node);
		return;
	}
	lw_value_clear(o, base); /* the default gives way */
	conf_place(r->c, base + o->offset, 0, &at);
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
	     i < node->data.sequence.items.top; i++) {
		if (w->n == NAMES_MAX) {
			node_error(r, node, "module: more than %u to choose from; remove some",
			           NAMES_MAX);
			return;
		}
		w->names[w->n++] = text_of(node_at(r, *i));
	}
}

/* The keys `module` and `path`, which are the core's own. */
static void read_wanted(const struct reader *r, const struct lw_option *o, const yaml_node_t *map,
                        struct wanted *w)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++) {
		const char *key = text_of(node_at(r, p->key));
		const yaml_node_t *value = node_at(r, p->value);

		if (key != NULL && strcmp(key, "module") == 0)
			read_names(r, value, w);
		if (key == NULL || strcmp(key, "path") != 0)
			continue;
		w->path = text_of(value);
		if (w->path == NULL || *w->path == '\0')
			node_error(r, value, "path: needs the file of a module");
	}
	if (w->n == 0 && !(o->flags & LW_OPTF_LIST) && o->unit != NULL)
		w->names[w->n++] = o->unit; /* the default module of this kind */
}

static void free_use(struct lw_conf_use *use)
{
	free(use->opts);
	free(use->path);
}

static int make_use(const struct reader *r, const struct lw_option *o, const yaml_node_t *map,
                    const char *name, const char *path, struct lw_conf_use *ret)
{
	const struct spot at = spot_of(r, map);
	struct lw_err err = { 0 };
	char full[128];
	int e;

	*ret = (struct lw_conf_use){ .line = at.line, .column = at.column };
	ret->path = path != NULL ? lw_conf_path(r->c, path) : NULL;
	(void)snprintf(full, sizeof(full), "%s-%s", o->choices[0], name);
	e = lw_loader_get(r->c->loader, full, ret->path, &ret->module, &err);
	if (e != 0)
		node_error(r, map, "%s: %s", o->name, err.text);
	else
		ret->opts = calloc(1, ret->module->options_size + 1);
	if (e == 0)
		e = ret->opts == NULL ? -ENOMEM
		                      : lw_values_init(ret->module->options, ret->opts, &err);
	if (e != 0)
		free_use(ret);
	return e;
}

/* takes the use */
static void add_use(struct lw_list *list, struct lw_conf_use *use)
{
	struct lw_conf_use *more = reallocarray(list->items, list->n + 1, sizeof(*more));

	if (more == NULL) {
		lw_values_fini(use->module->options, use->opts);
		free_use(use);
		return;
	}
	list->items = more;
	list->item_size = sizeof(*more);
	more[list->n++] = *use;
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

		if (name == NULL)
			node_error(r, key, "a key must be a word");
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

/* false: there are so many keys that no reading of them makes sense */
static bool check_repeated(const struct reader *r, const yaml_node_t *map)
{
	if (map->data.mapping.pairs.top - map->data.mapping.pairs.start > KEYS_MAX) {
		node_error(r, map, "more than %d keys in one place", KEYS_MAX);
		return false;
	}
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
	return true;
}

static void make_uses(const struct reader *r, const struct lw_option *o, const yaml_node_t *map,
                      const struct wanted *w, struct lw_list *list)
{
	uint32_t before = r->c->n_errors;
	struct lw_conf_use uses[NAMES_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n; i++) {
		if (w->names[i] == NULL)
			node_error(r, map, "%s: module needs a name", o->name);
		else if (make_use(r, o, map, w->names[i], w->path, &uses[n]) == 0)
			n++;
	}
	read_module_keys(r, map, uses, n);
	for (uint32_t i = 0; i < n; i++) {
		uses[i].wrong = r->c->n_errors > before;
		add_use(list, &uses[i]);
	}
}

static void read_use(const struct reader *r, const struct lw_option *o, char *base,
                     const yaml_node_t *map)
{
	struct lw_list *list = (struct lw_list *)(void *)(base + o->offset);
	struct wanted w = { .n = 0 };

	if (map->type != YAML_MAPPING_NODE) {
		node_error(r, map, "%s: needs keys, such as 'module: NAME'", o->name);
		return;
	}
	if (!check_repeated(r, map))
		return;
	read_wanted(r, o, map, &w);
	if (w.n == 0)
		node_error(r, map, "%s: needs 'module: NAME'", o->name);
	/* what is too much must not be left out in silence: it may be a filter */
	if (o->max > 0 && list->n + w.n > (uint64_t)o->max)
		node_error(r, map, "%s: at most %lld modules; remove some", o->name,
		           (long long)o->max);
	else
		make_uses(r, o, map, &w, list);
}

static void read_uses(const struct reader *r, const struct lw_option *o, char *base,
                      const yaml_node_t *node)
{
	if (node->type != YAML_SEQUENCE_NODE) {
		read_use(r, o, base, node);
		return;
	}
	if (node->data.sequence.items.start == node->data.sequence.items.top &&
	    (o->def != NULL || (o->flags & LW_OPTF_REQUIRED)))
		node_error(r, node, "%s: the list is empty; name a module%s", o->name,
		           o->def != NULL ? ", or remove the key for the default" : "");
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
	const struct spot at = spot_of(r, value);

	conf_place(r->c, base + o->offset, o->type == LW_OPT_SECTION ? ITEM_SECTION : ITEM_KEY,
	           &at);
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
	if (!check_repeated(r, map))
		return;
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
	const struct spot at = { .line = (uint32_t)p->problem_mark.line + 1,
		                 .column = (uint32_t)p->problem_mark.column + 1 };

	c->unread = true;
	conf_error_at(c, &at, "not YAML: %s%s%s; look at indentation and quotes",
	              p->problem != NULL ? p->problem : "unreadable",
	              p->context != NULL ? ", " : "", p->context != NULL ? p->context : "");
}

/* What stands in a second document would have no effect. */
static void expect_end(struct lw_conf *c, yaml_parser_t *parser)
{
	yaml_document_t doc;
	const struct reader r = { .c = c, .doc = &doc };
	const yaml_node_t *root;

	if (!yaml_parser_load(parser, &doc)) {
		syntax_error(c, parser);
		return;
	}
	root = yaml_document_get_root_node(&doc);
	if (root != NULL)
		node_error(&r, root, "a second document; remove the line '---' before it");
	yaml_document_delete(&doc);
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
	if (root != NULL) {
		read_section(&r, c->program->table, c->options, root, "");
		expect_end(c, parser);
	}
	yaml_document_delete(&doc);
}

static void unreadable(struct lw_conf *c, const char *why)
{
	const struct spot nowhere = { .line = 0 };

	c->unread = true;
	conf_error_at(c, &nowhere, "cannot read the configuration: %s", why);
}

void conf_read_file(struct lw_conf *c)
{
	FILE *f = fopen(c->file, "re");
	yaml_parser_t parser;
	char *text;
	size_t n;

	if (f == NULL) {
		unreadable(c, strerror(errno));
		return;
	}
	text = malloc(FILE_MAX);
	n = text != NULL ? fread(text, 1, FILE_MAX, f) : 0;
	if (text == NULL || ferror(f) || n == FILE_MAX) {
		unreadable(c, n == FILE_MAX ? "more than 1 MiB" : strerror(errno));
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

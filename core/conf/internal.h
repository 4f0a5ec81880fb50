/* SPDX-License-Identifier: MIT */
#ifndef LW_CONF_INTERNAL_H
#define LW_CONF_INTERNAL_H

#include "conf/conf.h"

/* items that are no values: the section that begins there; that the key stands in the file */
#define ITEM_SECTION UINT32_MAX
#define ITEM_KEY     (UINT32_MAX - 1)

/* where a text stands, for messages and for --print-config */
struct spot {
	uint32_t line; /* 0: at no line of the file */
	uint32_t column;
	const char *source; /* "default", "environment", "command line", or NULL: the file */
	const char *name;   /* of the variable or argument; NULL where a line tells enough */
};

/* where a value came from */
struct place {
	const void *member;
	uint32_t item; /* of a list, or ITEM_* */
	struct spot at;
};

struct lw_conf {
	const struct lw_conf_program *program;
	char *options;
	struct lw_loader *loader;
	char *file;
	struct place *places;
	uint32_t n_places;
	char **errors;
	uint32_t n_errors;
	bool unread;        /* the file could not be read: nothing can be missing from it */
	bool usage;         /* some of the mistakes are on the command line */
	struct spot secret; /* a secret that stands in the file, line 0: none does */
};

/* conf.c */
void conf_place(struct lw_conf *c, const void *member, uint32_t item, const struct spot *at);
/* the place of a value, or of the last item of a list; NULL: it is a default */
const struct place *conf_find_place(const struct lw_conf *c, const void *member);
const struct place *conf_find_item(const struct lw_conf *c, const void *member, uint32_t item);
void conf_error_at(struct lw_conf *c, const struct spot *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* one value's text into its member, with all that its type asks for */
void conf_value(struct lw_conf *c, const struct lw_option *o, char *base, const char *key,
                const char *text, const struct spot *at);

/* yaml.c */
void conf_read_file(struct lw_conf *c);
/* text: what would stand behind the key of row o */
void conf_read_default(struct lw_conf *c, const struct lw_option *o, char *base);

/* layers.c */
void conf_environment(struct lw_conf *c);

#endif

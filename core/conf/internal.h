/* SPDX-License-Identifier: MIT */
#ifndef LW_CONF_INTERNAL_H
#define LW_CONF_INTERNAL_H

#include "conf/conf.h"

/* where a value came from */
struct place {
	const void *member;
	uint32_t line; /* 0: not from a file */
	uint32_t column;
	const char *source; /* "default", "environment", "command line", or NULL: the file */
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
	bool secrets_inline; /* a secret stands in the file */
};

/* conf.c */
void conf_place(struct lw_conf *c, const void *member, uint32_t line, uint32_t column,
                const char *source);
const struct place *conf_find_place(const struct lw_conf *c, const void *member);
void conf_error_at(struct lw_conf *c, uint32_t line, uint32_t column, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* one value's text into its member, with all that its type asks for */
void conf_value(struct lw_conf *c, const struct lw_option *o, char *base, const char *key,
                const char *text, uint32_t line, uint32_t column, const char *source);

/* yaml.c */
void conf_read_file(struct lw_conf *c);
/* text: what would stand behind the key of row o */
void conf_read_default(struct lw_conf *c, const struct lw_option *o, char *base);

/* layers.c */
void conf_environment(struct lw_conf *c);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * From a YAML file, the environment and the command line to option structs, by way of option
 * tables: the core's own and the modules'. Every mistake is found in one run and told with file,
 * line and column. The only folder that knows libyaml.
 */
#ifndef LW_CONF_CONF_H
#define LW_CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <laneway/module.h>

#include "module/loader.h"

/*
 * What a row of type LW_OPT_MODULE fills: a struct lw_list of these, in the order of the file.
 * Such a row has choices { kind word, NULL }, and as default YAML text: what would stand behind
 * the key. With LW_OPTF_LIST it is a list of uses; without, a list means preference in order, and
 * so does `module: [a, b]`. The column max is how many uses there may be, 0: any number.
 */
struct lw_conf_use {
	const struct lw_module *module;
	void *opts;
	char *path; /* it was loaded from; NULL: the modules directory */
	uint32_t line;
	uint32_t column;
	bool wrong; /* some of its options were mistakes */
};

struct lw_conf;

/* one of the two programs, for its words */
struct lw_conf_program {
	const char *name;         /* "lanewayd" */
	const char *summary;      /* what --help says first */
	const char *default_file; /* without --config */
	const struct lw_option *table;
	uint32_t options_size;
};

/**
 * lw_conf_create() - defaults only
 *
 * @options: zeroed struct of the program's options; must outlive the configuration
 *
 * Context: control thread, as all calls here.
 * Return:  0 or -ENOMEM.
 */
int lw_conf_create(const struct lw_conf_program *program, void *options, struct lw_loader *loader,
                   struct lw_conf **ret);

/* lw_conf_destroy() - free all values, the modules' options too; takes NULL */
void lw_conf_destroy(struct lw_conf *c);

/* lw_conf_load() - a file, then the environment; mistakes are collected */
void lw_conf_load(struct lw_conf *c, const char *file);

/**
 * lw_conf_set() - one scalar by its name on the command line: "network-mtu"
 *
 * @near: LW_CONF_NEAR_MAX bytes for a key that may have been meant, "" for none
 *
 * Return: false when there is no such key.
 */
#define LW_CONF_NEAR_MAX 128
bool lw_conf_set(struct lw_conf *c, const char *name, const char *value,
                 char near[LW_CONF_NEAR_MAX]);

/* lw_conf_finish() - what must be there, and the modules' own checks */
void lw_conf_finish(struct lw_conf *c);

/* lw_conf_error() - one more mistake, at the value that fills @member, NULL: at no place */
void lw_conf_error(struct lw_conf *c, const void *member, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* lw_conf_error_item() - the same for one item of a list */
void lw_conf_error_item(struct lw_conf *c, const void *member, uint32_t item, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* lw_conf_error_use() - the same for one use of a module */
void lw_conf_error_use(struct lw_conf *c, const struct lw_conf_use *use, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* lw_conf_errors() - how many mistakes were found */
uint32_t lw_conf_errors(const struct lw_conf *c);

/* lw_conf_usage() - whether some of them are on the command line */
bool lw_conf_usage(const struct lw_conf *c);

/* lw_conf_report() - write all mistakes, a line each */
void lw_conf_report(const struct lw_conf *c, FILE *out);

/**
 * lw_conf_path() - a path relative to the file that names it
 *
 * Return: text to free(), NULL when memory is short.
 */
char *lw_conf_path(const struct lw_conf *c, const char *path);

/* lw_conf_print() - the effective configuration, each value with where it came from */
void lw_conf_print(const struct lw_conf *c, FILE *out);

/* lw_conf_help() - --help: usage and all keys; lw_conf_module_help() - one module's options */
void lw_conf_help(const struct lw_conf_program *program, FILE *out);
void lw_conf_module_help(const struct lw_module *m, FILE *out);

/* lw_conf_schema() - a JSON Schema of the file, with every module that the loader finds and takes
 */
void lw_conf_schema(const struct lw_conf_program *s, struct lw_loader *l, FILE *out);

/* lw_conf_reference() - all keys in the sections KEYS and MODULES of a manual page, in roff */
void lw_conf_reference(const struct lw_conf_program *s, struct lw_loader *l, FILE *out);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The text of an option and its typed member in an options struct. The members' types are listed
 * in <laneway/option.h>. Texts and list items belong to the struct; lw_values_fini() frees them.
 */
#ifndef LW_MODULE_VALUE_H
#define LW_MODULE_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include <laneway/err.h>
#include <laneway/option.h>

/* any value that is not text fits */
#define LW_VALUE_TEXT_MAX 80

/**
 * lw_value_parse() - read one value into its member
 *
 * @o:    row of the table; any type but SECTION and MODULE
 * @text: as an operator writes it; borrowed
 * @opts: the options struct, zeroed or filled before. A LIST grows by one; a scalar is replaced
 * @err:  a sentence "what is wrong; what to do" without the key's name, which is in err->option.
 *        The value is quoted unless the option is a secret. May be NULL
 *
 * Paths are stored as given: who knows the file that names them makes them relative to it.
 *
 * Context: control thread.
 * Return:  0, -EINVAL, -ERANGE, -ENOMEM; the struct is as before on failure.
 */
int lw_value_parse(const struct lw_option *o, const char *text, void *opts, struct lw_err *err);

/**
 * lw_value_format() - the text that lw_value_parse() reads as this value
 *
 * @index: item of a LIST, 0 for a scalar
 * @buf:   LW_VALUE_TEXT_MAX bytes are enough for what is not text
 *
 * Context: control thread.
 * Return:  0; -ENOENT when there is no value: text not given, address of family 0, no such item;
 *          -ENOSPC when buf is too small.
 */
int lw_value_format(const struct lw_option *o, const void *opts, uint32_t index, char *buf,
                    size_t cap);

/* lw_value_member() - where a scalar of this name and type is, for the few that the core has to
 * know of a module; NULL: there is none */
const void *lw_value_member(const struct lw_option *table, const void *opts, const char *name,
                            uint32_t type);

/* lw_value_string() - an item of type STRING, PATH or SECRET_PATH; NULL when not given */
const char *lw_value_string(const struct lw_option *o, const void *opts, uint32_t index);

/* lw_value_count() - items of a LIST; 1 for a scalar that has a value, else 0 */
uint32_t lw_value_count(const struct lw_option *o, const void *opts);

/* lw_value_clear() - free and zero one member; secrets are wiped */
void lw_value_clear(const struct lw_option *o, void *opts);

/**
 * lw_value_default() - give a member the default of its row
 *
 * The items of a LIST stand in one text, divided by commas. Without a default the member is left
 * as it is.
 *
 * Return: as lw_value_parse().
 */
int lw_value_default(const struct lw_option *o, void *opts, struct lw_err *err);

/**
 * lw_values_init() - give all members of a zeroed options struct their defaults
 *
 * @table: may be NULL; sections are filled too, modules are not
 *
 * Return: as lw_value_parse(); nothing is left allocated on failure.
 */
int lw_values_init(const struct lw_option *table, void *opts, struct lw_err *err);

/* lw_values_fini() - free what the members hold, sections included, and zero them */
void lw_values_fini(const struct lw_option *table, void *opts);

/* lw_value_size() - bytes of one value of a type, 0 for SECTION, MODULE and what is no type */
uint32_t lw_value_size(uint32_t type);

/* lw_value_type_name() - "duration", "address"..., for people */
const char *lw_value_type_name(const struct lw_option *o);

/**
 * lw_value_range() - the limits of a number in the operator's units: "1s to 24h"
 *
 * @buf: LW_VALUE_RANGE_MAX bytes; "" when the row has no limits
 *
 * Return: buf.
 */
#define LW_VALUE_RANGE_MAX 144
const char *lw_value_range(const struct lw_option *o, char buf[LW_VALUE_RANGE_MAX]);

#endif

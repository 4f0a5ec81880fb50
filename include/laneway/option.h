/* SPDX-License-Identifier: MIT */
#ifndef LW_LANEWAY_OPTION_H
#define LW_LANEWAY_OPTION_H

#include <stddef.h>
#include <stdint.h>

#include <laneway/abi.h>

/*
 * Types of options, and what the core writes into the member at `offset`:
 *   BOOL, ENUM  int32_t: 0 or 1; index in choices     TRI   int32_t: 0 off, 1 on, 2 auto
 *   INT         int64_t                               SIZE  int64_t, bytes
 *   DURATION    int64_t, microseconds                 RATE  int64_t, per second (bits for bit/s)
 *   STRING, PATH, SECRET_PATH  const char *, NULL when not given; paths are already made relative
 *               to the file that names them; the file behind SECRET_PATH must be its owner's only
 *   ADDR, PREFIX  struct lw_addr
 * SECTION and MODULE are for the core's own tables.
 */
enum {
	LW_OPT_BOOL,
	LW_OPT_TRI,
	LW_OPT_INT,
	LW_OPT_SIZE,
	LW_OPT_DURATION,
	LW_OPT_RATE,
	LW_OPT_STRING,
	LW_OPT_PATH,
	LW_OPT_SECRET_PATH,
	LW_OPT_ADDR,
	LW_OPT_PREFIX,
	LW_OPT_ENUM,
	LW_OPT_SECTION,
	LW_OPT_MODULE
};

enum {
	LW_OPTF_REQUIRED = 1,
	LW_OPTF_LIST = 2, /* the member is a struct lw_list of the type above */
	LW_OPTF_RELOAD = 4,
	LW_OPTF_SECRET = 8, /* the value never reaches a log, an error text or --print-config */
	LW_OPTF_DEPRECATED = 16,
	LW_OPTF_AUTO = 32 /* INT: or the word auto, which is 0; min is at least 1; since ABI 0.4 */
};

/**
 * struct lw_list - what an option with LW_OPTF_LIST fills
 *
 * @items:     n values of item_size bytes each, NULL when n is 0; lives as long as the options
 * @n:         how many
 * @item_size: bytes of one
 *
 * Since: ABI 0.1
 */
struct lw_list {
	void *items;
	uint32_t n;
	uint32_t item_size;
};

/**
 * struct lw_option - one row of a module's option table; the row after the last has name NULL
 *
 * @name:    key, lower case with underscores
 * @unit:    unit in the manual where the type does not say it, or NULL
 * @def:     default as an operator would write it; NULL: zero, not given
 * @doc:     one sentence for --module-help and the manual
 * @choices: ENUM: the words, ends with NULL
 * @section: SECTION: the table of its keys
 * @type:    LW_OPT_*
 * @flags:   LW_OPTF_*
 * @offset:  of the member in the options struct
 * @size:    of the member
 * @min:     smallest value of a number, in the units above
 * @max:     largest; min == max == 0: no limits
 *
 * Since: ABI 0.1
 */
struct lw_option {
	const char *name;
	const char *unit;
	const char *def;
	const char *doc;
	const char *const *choices;
	const struct lw_option *section;
	uint32_t type;
	uint32_t flags;
	uint32_t offset;
	uint32_t size;
	int64_t min;
	int64_t max;
};
LW_ASSERT_SIZE(lw_option, 80);

/*
 * LW_OPTION_AT() - offset and size of a member, for the two columns that nobody should count. In C
 * they are named, so they may stand anywhere in the row; in C++, where rows go by position, they
 * follow the flags.
 */
#ifdef __cplusplus
#define LW_OPTION_AT(type, member)                                                                 \
	(uint32_t) offsetof(type, member), (uint32_t)sizeof(((type *)0)->member)
#else
#define LW_OPTION_AT(type, member)                                                                 \
	.offset = (uint32_t)offsetof(type, member), .size = (uint32_t)sizeof(((type *)0)->member)
#endif

#endif

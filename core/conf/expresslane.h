/* SPDX-License-Identifier: MIT */
/* The section `expresslane`, which both programs have. */
#ifndef LW_CONF_EXPRESSLANE_H
#define LW_CONF_EXPRESSLANE_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

struct lw_conf;

#define LW_EXPRESSLANE_CIPHERS 8u

/* what the section fills; behind it what lw_expresslane_find() makes of it */
struct lw_expresslane_options {
	int32_t enabled;
	struct lw_list cipher; /* of const char * */
	int64_t rotate_us;
	const struct lw_module *modules[LW_EXPRESSLANE_CIPHERS]; /* in order of preference */
	uint32_t n_modules;
	bool fastest; /* the fastest of them, in no order */
};

/* its table */
extern const struct lw_option lw_expresslane_table[];

/**
 * lw_expresslane_find() - load the modules that are named
 *
 * With `auto` none may be there, or none that can be loaded: the lane is off then, which is no
 * mistake.
 *
 * Context: control thread, in the program's check.
 */
void lw_expresslane_find(struct lw_conf *c, struct lw_expresslane_options *o);

/* lw_expresslane_rotate_us() - age of a key, 0 where Expresslane is off: the modules are then there
 * for TLS records only */
uint64_t lw_expresslane_rotate_us(const struct lw_expresslane_options *o);

#endif

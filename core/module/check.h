/* SPDX-License-Identifier: MIT */
#ifndef LW_MODULE_CHECK_H
#define LW_MODULE_CHECK_H

#include <stdint.h>

#include <laneway/err.h>
#include <laneway/module.h>

/**
 * lw_module_check() - whether this host can use a module
 *
 * Everything that the core relies on later is looked at here once: the frozen head, the operations
 * of the kind, the option table and its defaults, counters.
 *
 * @m:    the descriptor, as it lies in the module; not trusted beyond its size member
 * @file: where it came from, for the sentence
 *
 * Context: control thread.
 * Return:  0, or -ENOEXEC with a sentence that names the file.
 */
int lw_module_check(const struct lw_module *m, const char *file, struct lw_err *err);

/**
 * lw_table_check() - whether an option table is sound
 *
 * @table:     rows up to the one without a name; may be NULL
 * @size:      bytes of the options struct
 * @of_module: SECTION, MODULE, and the keys `module` and `path` are the core's own
 *
 * Return: 0, or -EINVAL with a sentence that names the row.
 */
int lw_table_check(const struct lw_option *table, uint32_t size, int of_module, struct lw_err *err);

/* lw_kind_word() - what names of modules of a kind begin with: "inside", "outside", ...; NULL for
 * a kind that this host does not know */
const char *lw_kind_word(uint32_t kind);

/* lw_module_counters() - number of an instance's counters */
uint32_t lw_module_counters(const struct lw_module *m);

#endif

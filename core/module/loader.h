/* SPDX-License-Identifier: MIT */
#ifndef LW_MODULE_LOADER_H
#define LW_MODULE_LOADER_H

#include <stdint.h>

#include <laneway/module.h>

/* a module that is linked in; make writes the table of them */
struct lw_static_module {
	const char *name;
	const struct lw_module *module;
};
extern const struct lw_static_module lw_static_modules[]; /* ends with name NULL */

/**
 * lw_loader_get() - find and check a module
 *
 * @name:  "inside-tun": its file is NAME.so in the modules directory, unless it is linked in
 * @path:  NULL, or a file to load instead
 * @kind:  LW_KIND_* that is wanted, 0: any
 * @ret:   a descriptor that has passed all checks; lives until the process ends, for a module is
 *         never unloaded: a stale code pointer is worse than a mapping that stays
 * @err:   one sentence that names the file
 *
 * Context: control thread.
 * Return:  0, -ENOENT (no such module), -ENOEXEC (not a module, or not for this host), -EINVAL (a
 *          broken descriptor, or of another kind).
 */
int lw_loader_get(const char *name, const char *path, uint32_t kind, const struct lw_module **ret,
                  struct lw_err *err);

/**
 * lw_module_check() - is this a descriptor that this host can use?
 *
 * @file: for the sentence
 *
 * Return: 0, -ENOEXEC or -EINVAL.
 */
int lw_module_check(const struct lw_module *m, const char *file, uint32_t kind, struct lw_err *err);

/* lw_module_dir() - where modules are looked for: beside the program in the build tree, else the
 * installed folder; constant after the first call */
const char *lw_module_dir(void);

/* lw_kind_name() - "inside", "outside_udp", ...; "unknown" for none */
const char *lw_kind_name(uint32_t kind);

#endif

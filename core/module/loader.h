/* SPDX-License-Identifier: MIT */
/*
 * Finds modules by name, in a folder or among those linked in, and checks them. What was loaded
 * stays until the loader goes: code that may still be on a stack is never unmapped while running.
 */
#ifndef LW_MODULE_LOADER_H
#define LW_MODULE_LOADER_H

#include <laneway/err.h>
#include <laneway/module.h>

struct lw_loader;

/* all descriptors that were linked in, ends with NULL; exists with --enable-static-modules only,
 * where make writes it */
extern const struct lw_module *const lw_static_modules[];

/**
 * lw_loader_create() - a loader that has loaded nothing
 *
 * @dir:    modules directory, copied. NULL: modules/.libs beside the running program when that
 *          exists, which is the build tree, else the one chosen by configure
 * @linked: descriptors that are linked in, ends with NULL; these win over files. NULL: none
 *
 * Context: control thread, as all of this file.
 * Return:  0, or -ENOMEM.
 */
int lw_loader_create(const char *dir, const struct lw_module *const *linked,
                     struct lw_loader **ret);

/* lw_loader_destroy() - unload everything; no instance may be alive. Takes NULL */
void lw_loader_destroy(struct lw_loader *l);

/**
 * lw_loader_get() - the checked descriptor of a module
 *
 * @name: full name, "outside-udp"
 * @path: file to load instead of the one in the modules directory, or NULL; what it holds must
 *        still be called @name
 * @ret:  written on success; the loader's
 *
 * Loading it again gives the same descriptor.
 *
 * Return: 0, -ENOENT (no such module), -ENOEXEC (refused), -ENOMEM; the sentence names the file.
 */
int lw_loader_get(struct lw_loader *l, const char *name, const char *path,
                  const struct lw_module **ret, struct lw_err *err);

/**
 * lw_loader_each() - call fn with the name of every module at hand, in order of name
 *
 * @word: only names of this kind, such as "inside"; NULL: all
 *
 * Nothing is loaded by it.
 */
void lw_loader_each(const struct lw_loader *l, const char *word,
                    void (*fn)(void *arg, const char *name), void *arg);

/* lw_loader_where() - the modules directory, or words for "linked in" */
const char *lw_loader_where(const struct lw_loader *l);

#endif

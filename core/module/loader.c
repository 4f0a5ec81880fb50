/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "module/loader.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "module/check.h"
#include "module/near.h"

#ifndef LW_STATIC_MODULES
#include <dlfcn.h>
#endif

struct loaded {
	struct loaded *next;
	const struct lw_module *module;
	void *handle; /* NULL: linked in */
	char file[];
};

struct lw_loader {
	char *dir;
	const struct lw_module *const *linked;
	struct loaded *all;
};

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* modules/.libs beside the running program: we run from the build tree */
static char *build_dir(void)
{
	char exe[4096];
	char *dir = NULL;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n <= 0)
		return NULL;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (slash == NULL)
		return NULL;
	*slash = '\0';
	if (asprintf(&dir, "%s/modules/.libs", exe) < 0)
		return NULL;
	if (is_dir(dir))
		return dir;
	free(dir);
	return NULL;
}

int lw_loader_create(const char *dir, const struct lw_module *const *linked, struct lw_loader **ret)
{
	struct lw_loader *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	l->linked = linked;
	l->dir = dir != NULL ? strdup(dir) : build_dir();
	if (l->dir == NULL && dir == NULL)
		l->dir = strdup(LW_MODULE_DIR);
	if (l->dir == NULL) {
		lw_loader_destroy(l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

/* The leak checker names functions by their mapping, so with it the code stays mapped. */
static void unload(void *handle)
{
#if defined(LW_STATIC_MODULES) || defined(__SANITIZE_ADDRESS__)
	(void)handle;
#elif defined(__has_feature)
#if !__has_feature(address_sanitizer)
	if (handle != NULL)
		(void)dlclose(handle);
#else
	(void)handle;
#endif
#else
	if (handle != NULL)
		(void)dlclose(handle);
#endif
}

void lw_loader_destroy(struct lw_loader *l)
{
	if (l == NULL)
		return;
	while (l->all != NULL) {
		struct loaded *m = l->all;

		l->all = m->next;
		unload(m->handle);
		free(m);
	}
	free(l->dir);
	free(l);
}

static const struct lw_module *find_linked(const struct lw_loader *l, const char *name)
{
	for (size_t i = 0; l->linked != NULL && l->linked[i] != NULL; i++) {
		const struct lw_module *m = l->linked[i];

		if (m->name != NULL && strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

static bool is_of_kind(const char *name, const char *word)
{
	size_t n = strlen(word);

	return strncmp(name, word, n) == 0 && name[n] == '-';
}

static int by_name(const void *a, const void *b)
{
	const char *const *x = a;
	const char *const *y = b;

	return strcmp(*x, *y);
}

/* "inside-tun.so" -> "inside-tun" when it is of the kind; malloced */
static char *name_of_file(const char *file, const char *word)
{
	size_t n = strlen(file);

	if (n < 4 || strcmp(file + n - 3, ".so") != 0)
		return NULL;
	if (word != NULL && !is_of_kind(file, word))
		return NULL;
	return strndup(file, n - 3);
}

struct names {
	char **v;
	size_t n;
};

/* takes name, which may be NULL; what cannot be kept for want of memory is left out of the list */
static void names_add(struct names *all, char *name)
{
	char **v = name != NULL ? reallocarray(all->v, all->n + 1, sizeof(*v)) : NULL;

	if (v == NULL) {
		free(name);
		return;
	}
	all->v = v;
	v[all->n++] = name;
}

static void names_of_dir(const char *path, const char *word, struct names *all)
{
	DIR *dir = opendir(path);
	const struct dirent *e;

	if (dir == NULL)
		return;
	while ((e = readdir(dir)) != NULL)
		names_add(all, name_of_file(e->d_name, word));
	(void)closedir(dir);
}

const char *lw_loader_where(const struct lw_loader *l)
{
	return l->linked != NULL ? "this program" : l->dir;
}

void lw_loader_each(const struct lw_loader *l, const char *word,
                    void (*fn)(void *arg, const char *name), void *arg)
{
	struct names all = { 0 };

	for (size_t i = 0; l->linked != NULL && l->linked[i] != NULL; i++) {
		const char *name = l->linked[i]->name;

		if (name != NULL && (word == NULL || is_of_kind(name, word)))
			names_add(&all, strdup(name));
	}
	if (l->linked == NULL)
		names_of_dir(l->dir, word, &all);
	if (all.n > 1)
		qsort(all.v, all.n, sizeof(*all.v), by_name);
	for (size_t i = 0; i < all.n; i++) {
		fn(arg, all.v[i]);
		free(all.v[i]);
	}
	free(all.v);
}

/* the nearest name, in memory that outlives the walk */
struct nearest {
	struct lw_near near;
	char best[72];
};

static void offer(void *arg, const char *name)
{
	struct nearest *n = arg;

	lw_near_offer(&n->near, name);
	if (n->near.best == name) {
		(void)snprintf(n->best, sizeof(n->best), "%s", name);
		n->near.best = n->best;
	}
}

static int no_such_module(const struct lw_loader *l, const char *name, struct lw_err *err)
{
	struct nearest n = { .best = "" };

	lw_near_init(&n.near, name);
	lw_loader_each(l, NULL, offer, &n);
	return lw_err_set(err, -ENOENT, "no module %.40s in %.90s%s%.40s", name, lw_loader_where(l),
	                  n.best[0] != '\0' ? "; did you mean " : "", n.best);
}

static int keep(struct lw_loader *l, const struct lw_module *m, void *handle, const char *file)
{
	struct loaded *new = calloc(1, sizeof(*new) + strlen(file) + 1);

	if (new == NULL)
		return -ENOMEM;
	*new = (struct loaded){ .next = l->all, .module = m, .handle = handle };
	memcpy(new->file, file, strlen(file) + 1);
	l->all = new;
	return 0;
}

static const struct lw_module *find_loaded(const struct lw_loader *l, const char *file)
{
	for (const struct loaded *m = l->all; m != NULL; m = m->next) {
		if (strcmp(m->file, file) == 0)
			return m->module;
	}
	return NULL;
}

static int check_named(const struct lw_module *m, const char *name, const char *file,
                       struct lw_err *err)
{
	int r = lw_module_check(m, file, err);

	if (r == 0 && strcmp(m->name, name) != 0)
		return lw_err_set(err, -ENOEXEC, "%.90s: holds module %.40s, not %.40s", file,
		                  m->name, name);
	return r;
}

#ifdef LW_STATIC_MODULES
static int open_file(const char *file, const struct lw_module **ret, void **ret_handle,
                     struct lw_err *err)
{
	(void)ret;
	(void)ret_handle;
	return lw_err_set(err, -ENOEXEC,
	                  "%.90s: this build has its modules linked in and loads no others", file);
}
#else
static int open_file(const char *file, const struct lw_module **ret, void **ret_handle,
                     struct lw_err *err)
{
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	void *symbol;

	if (handle == NULL)
		return lw_err_set(err, -ENOEXEC, "cannot load %.180s", dlerror());
	symbol = dlsym(handle, "laneway_module");
	if (symbol == NULL) {
		(void)dlclose(handle);
		return lw_err_set(err, -ENOEXEC,
		                  "%.90s: no Laneway module: no symbol laneway_module", file);
	}
	*ret = symbol;
	*ret_handle = handle;
	return 0;
}
#endif

static int load(struct lw_loader *l, const char *name, const char *file,
                const struct lw_module **ret, struct lw_err *err)
{
	const struct lw_module *m = find_loaded(l, file);
	void *handle = NULL;
	int r;

	if (m != NULL) {
		r = check_named(m, name, file, err);
	} else {
		r = open_file(file, &m, &handle, err);
		if (r < 0)
			return r;
		assert(m != NULL);
		r = check_named(m, name, file, err);
		if (r == 0 && keep(l, m, handle, file) < 0)
			r = lw_err_set(err, -ENOMEM, "out of memory");
		if (r < 0)
			unload(handle);
	}
	if (r == 0)
		*ret = m;
	return r;
}

static bool good_name(const char *name)
{
	return *name != '\0' && strlen(name) <= 64 &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

int lw_loader_get(struct lw_loader *l, const char *name, const char *path,
                  const struct lw_module **ret, struct lw_err *err)
{
	const struct lw_module *m = path == NULL ? find_linked(l, name) : NULL;
	char file[4096];
	int r;

	if (!good_name(name))
		return lw_err_set(err, -ENOENT, "a module's name has only a-z, 0-9 and -");
	if (m != NULL) {
		(void)snprintf(file, sizeof(file), "(linked in) %s", name);
		r = check_named(m, name, file, err);
		if (r == 0)
			*ret = m;
		return r;
	}
	/* never a bare word: dlopen() would look for that in the system's folders */
	if (path != NULL)
		(void)snprintf(file, sizeof(file), "%s%s", strchr(path, '/') == NULL ? "./" : "",
		               path);
	else
		(void)snprintf(file, sizeof(file), "%s/%s.so", l->dir, name);
	if (access(file, F_OK) < 0)
		return path != NULL ? lw_err_set(err, -ENOENT, "%.150s: no such file", path)
		                    : no_such_module(l, name, err);
	return load(l, name, file, ret, err);
}

/* SPDX-License-Identifier: MIT */
#include "module/loader.h"

#include "config.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "module/value.h"

/* an operation that a kind cannot do without */
struct required {
	uint32_t kind;
	uint32_t offset;
	const char *name;
};

#define NEED(kind, ops, member)                                                                    \
	{                                                                                          \
		kind, (uint32_t)offsetof(struct ops, member), #member                              \
	}

static const struct required required[] = {
	NEED(LW_KIND_INSIDE, lw_inside_ops, recv),
	NEED(LW_KIND_INSIDE, lw_inside_ops, send),
	NEED(LW_KIND_OUTSIDE_UDP, lw_outside_udp_ops, recv),
	NEED(LW_KIND_OUTSIDE_UDP, lw_outside_udp_ops, send),
	NEED(LW_KIND_OUTSIDE_UDP, lw_outside_udp_ops, connect),
	NEED(LW_KIND_OUTSIDE_UDP, lw_outside_udp_ops, close),
	NEED(LW_KIND_OUTSIDE_TCP, lw_outside_tcp_ops, accept),
	NEED(LW_KIND_OUTSIDE_TCP, lw_outside_tcp_ops, connect),
	NEED(LW_KIND_OUTSIDE_TCP, lw_outside_tcp_ops, recv),
	NEED(LW_KIND_OUTSIDE_TCP, lw_outside_tcp_ops, send),
	NEED(LW_KIND_OUTSIDE_TCP, lw_outside_tcp_ops, close),
	NEED(LW_KIND_CIPHER, lw_cipher_ops, key_create),
	NEED(LW_KIND_CIPHER, lw_cipher_ops, key_destroy),
	NEED(LW_KIND_CIPHER, lw_cipher_ops, seal),
	NEED(LW_KIND_CIPHER, lw_cipher_ops, open),
	NEED(LW_KIND_FILTER, lw_filter_ops, ingress),
	NEED(LW_KIND_FILTER, lw_filter_ops, egress),
	NEED(LW_KIND_CODEC, lw_codec_ops, encode),
	NEED(LW_KIND_CODEC, lw_codec_ops, decode),
	NEED(LW_KIND_AUTH, lw_auth_ops, submit),
};

static const char *const kinds[] = { "unknown", "inside", "outside_udp", "outside_tcp",
	                             "cipher",  "filter", "codec",       "auth" };
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

const char *lw_kind_name(uint32_t kind)
{
	return kind < KINDS ? kinds[kind] : kinds[0];
}

/* Is the pointer at this offset of a table there, and within the size that the table tells? */
static int has_pointer(const void *table, uint32_t offset)
{
	uint32_t size;
	const void *p;

	memcpy(&size, table, sizeof(size));
	if (size < offset + sizeof(p))
		return 0;
	memcpy(&p, (const char *)table + offset, sizeof(p));
	return p != NULL;
}

static int check_head(const struct lw_module *m, const char *file, struct lw_err *err)
{
	if (m->magic != LW_ABI_MAGIC)
		return lw_err_set(err, -ENOEXEC,
		                  "'%s' is not a Laneway module (magic %08x, expected %08x)", file,
		                  m->magic, LW_ABI_MAGIC);
	if (m->abi_major != LW_ABI_MAJOR)
		return lw_err_set(err, -ENOEXEC,
		                  "module '%s' was built for ABI %u.%u, this Laneway has %u.%u; "
		                  "build it again with this version's headers",
		                  file, m->abi_major, m->abi_minor, LW_ABI_MAJOR, LW_ABI_MINOR);
	if (m->abi_minor > LW_ABI_MINOR)
		return lw_err_set(
			err, -ENOEXEC,
			"module '%s' needs ABI %u.%u, this Laneway has %u.%u; use a newer "
			"Laneway",
			file, m->abi_major, m->abi_minor, LW_ABI_MAJOR, LW_ABI_MINOR);
	if (m->size < sizeof(*m))
		return lw_err_set(err, -ENOEXEC,
		                  "module '%s' has a descriptor of %u bytes, expected %zu", file,
		                  m->size, sizeof(*m));
	if (m->name == NULL || *m->name == '\0' || m->version == NULL || m->summary == NULL)
		return lw_err_set(err, -EINVAL, "module '%s' has no name, version or summary",
		                  file);
	return 0;
}

static int check_ops(const struct lw_module *m, const char *file, struct lw_err *err)
{
	if (m->life == NULL || m->ops.any == NULL)
		return lw_err_set(err, -EINVAL, "module '%s' has no table of operations", file);
	if (!has_pointer(m->life, offsetof(struct lw_life_ops, create)))
		return lw_err_set(err, -EINVAL, "module '%s' lacks the operation 'create'", file);
	if (!has_pointer(m->life, offsetof(struct lw_life_ops, destroy)))
		return lw_err_set(err, -EINVAL, "module '%s' lacks the operation 'destroy'", file);
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		if (required[i].kind == m->kind && !has_pointer(m->ops.any, required[i].offset))
			return lw_err_set(err, -EINVAL, "module '%s' lacks the operation '%s'",
			                  file, required[i].name);
	}
	return 0;
}

static int option_fits(const struct lw_module *m, const struct lw_option *o)
{
	uint32_t size =
		o->flags & LW_OPTF_LIST ? (uint32_t)sizeof(struct lw_list) : lw_value_size(o->type);

	return size != 0 && o->size == size && o->offset <= m->options_size &&
	       size <= m->options_size - o->offset &&
	       (o->type != LW_OPT_ENUM || o->choices != NULL) && o->doc != NULL;
}

static int check_options(const struct lw_module *m, const char *file, struct lw_err *err)
{
	struct lw_err why = { 0 };
	void *opts;
	int r;

	if (m->options == NULL)
		return 0;
	for (const struct lw_option *o = m->options; o->name != NULL; o++) {
		if (!islower((unsigned char)*o->name) || !option_fits(m, o))
			return lw_err_set(err, -EINVAL,
			                  "module '%s' describes its option '%s' wrongly", file,
			                  o->name);
	}
	opts = calloc(1, m->options_size);
	if (opts == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	r = lw_values_init(m->options, opts, &why);
	lw_values_fini(m->options, opts);
	free(opts);
	if (r < 0)
		return lw_err_set(err, -EINVAL, "module '%s': bad default of its option '%s': %s",
		                  file, why.option, why.text);
	return 0;
}

int lw_module_check(const struct lw_module *m, const char *file, uint32_t kind, struct lw_err *err)
{
	int r = check_head(m, file, err);

	if (r < 0)
		return r;
	if (m->kind == 0 || m->kind >= KINDS)
		return lw_err_set(err, -EINVAL, "module '%s' is of the unknown kind %u", file,
		                  m->kind);
	if (kind != 0 && m->kind != kind)
		return lw_err_set(err, -EINVAL, "module '%s' is of kind %s, %s is needed here",
		                  file, lw_kind_name(m->kind), lw_kind_name(kind));
	r = check_ops(m, file, err);
	return r < 0 ? r : check_options(m, file, err);
}

const char *lw_module_dir(void)
{
	static char dir[PATH_MAX];
	char exe[PATH_MAX - 32];
	ssize_t n;
	char *slash;

	if (dir[0] != '\0')
		return dir;
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	slash = strrchr(exe, '/');
	if (slash != NULL) {
		*slash = '\0';
		(void)snprintf(dir, sizeof(dir), "%s/modules/.libs", exe);
		if (access(dir, X_OK) == 0)
			return dir;
	}
	(void)snprintf(dir, sizeof(dir), "%s", LW_MODULE_DIR);
	return dir;
}

static const struct lw_module *find_static(const char *name)
{
	for (const struct lw_static_module *s = lw_static_modules; s->name != NULL; s++) {
		if (strcmp(s->name, name) == 0)
			return s->module;
	}
	return NULL;
}

static int load_file(const char *file, const struct lw_module **ret, struct lw_err *err)
{
	void *handle;

	if (access(file, R_OK) != 0)
		return lw_err_set(err, -ENOENT, "no module '%s': %s", file, strerror(errno));
	handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL)
		return lw_err_set(err, -ENOEXEC, "cannot load '%s': %s", file, dlerror());
	*ret = dlsym(handle, "laneway_module");
	if (*ret == NULL) {
		(void)dlclose(handle);
		return lw_err_set(err, -ENOEXEC,
		                  "'%s' is not a Laneway module (no symbol laneway_module)", file);
	}
	return 0;
}

int lw_loader_get(const char *name, const char *path, uint32_t kind, const struct lw_module **ret,
                  struct lw_err *err)
{
	const struct lw_module *m = path == NULL ? find_static(name) : NULL;
	char file[PATH_MAX];
	int r = 0;

	if (path != NULL)
		(void)snprintf(file, sizeof(file), "%s", path);
	else if (m != NULL)
		(void)snprintf(file, sizeof(file), "%s", name);
	else
		(void)snprintf(file, sizeof(file), "%s/%s.so", lw_module_dir(), name);
	if (m == NULL)
		r = load_file(file, &m, err);
	if (r == 0)
		r = lw_module_check(m, file, kind, err);
	if (r == 0)
		*ret = m;
	return r;
}

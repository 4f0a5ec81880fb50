/* SPDX-License-Identifier: MIT */
#include "module/check.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "module/value.h"

/* bytes of the descriptor of ABI 0.1, which every later one begins with */
#define DESCRIPTOR_0_1 80u
/* far more than any module of sense has, so that a broken table does not run on for ever */
#define COUNTERS_MAX      1024u
#define SESSION_BYTES_MAX 65536u
#define OPTIONS_SIZE_MAX  (1u << 20)

/* one required operation: its name and where its pointer lies in the table of the kind */
struct op {
	uint32_t kind; /* 0: the life table */
	uint32_t offset;
	const char *name;
};

#define OP(kind, type, member)                                                                     \
	{                                                                                          \
		kind, (uint32_t)offsetof(struct type, member), #member                             \
	}

static const struct op required[] = {
	OP(0, lw_life_ops, create),
	OP(0, lw_life_ops, destroy),
	OP(LW_KIND_INSIDE, lw_inside_ops, recv),
	OP(LW_KIND_INSIDE, lw_inside_ops, send),
	OP(LW_KIND_OUTSIDE_UDP, lw_outside_udp_ops, recv),
	OP(LW_KIND_OUTSIDE_UDP, lw_outside_udp_ops, send),
	OP(LW_KIND_OUTSIDE_UDP, lw_outside_udp_ops, connect),
	OP(LW_KIND_OUTSIDE_UDP, lw_outside_udp_ops, close),
	OP(LW_KIND_OUTSIDE_TCP, lw_outside_tcp_ops, accept),
	OP(LW_KIND_OUTSIDE_TCP, lw_outside_tcp_ops, connect),
	OP(LW_KIND_OUTSIDE_TCP, lw_outside_tcp_ops, recv),
	OP(LW_KIND_OUTSIDE_TCP, lw_outside_tcp_ops, send),
	OP(LW_KIND_OUTSIDE_TCP, lw_outside_tcp_ops, close),
	OP(LW_KIND_CIPHER, lw_cipher_ops, key_create),
	OP(LW_KIND_CIPHER, lw_cipher_ops, key_destroy),
	OP(LW_KIND_CIPHER, lw_cipher_ops, seal),
	OP(LW_KIND_CIPHER, lw_cipher_ops, open),
	OP(LW_KIND_FILTER, lw_filter_ops, ingress),
	OP(LW_KIND_FILTER, lw_filter_ops, egress),
	OP(LW_KIND_CODEC, lw_codec_ops, encode),
	OP(LW_KIND_CODEC, lw_codec_ops, decode),
	OP(LW_KIND_CODEC, lw_codec_ops, flush),
	OP(LW_KIND_AUTH, lw_auth_ops, submit),
};

const char *lw_kind_word(uint32_t kind)
{
	static const char *const words[] = {
		[LW_KIND_INSIDE] = "inside",       [LW_KIND_OUTSIDE_UDP] = "outside",
		[LW_KIND_OUTSIDE_TCP] = "outside", [LW_KIND_CIPHER] = "cipher",
		[LW_KIND_FILTER] = "filter",       [LW_KIND_CODEC] = "codec",
		[LW_KIND_AUTH] = "auth",
	};

	return kind <= LW_KIND_AUTH ? words[kind] : NULL;
}

uint32_t lw_module_counters(const struct lw_module *m)
{
	uint32_t n = 0;

	while (m->counters != NULL && n < COUNTERS_MAX && m->counters[n] != NULL)
		n++;
	return n;
}

static int refuse(const char *file, struct lw_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(const char *file, struct lw_err *err, const char *fmt, ...)
{
	char why[sizeof(err->text)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return lw_err_set(err, -ENOEXEC, "%.90s: %.110s", file, why);
}

/* what the frozen head says; nothing behind it is read before it is fine */
static int check_head(const struct lw_module *m, const char *file, struct lw_err *err)
{
	if (m->magic != LW_ABI_MAGIC)
		return refuse(file, err, "no Laneway module: magic is %08x, not %08x", m->magic,
		              LW_ABI_MAGIC);
	if (m->abi_major != LW_ABI_MAJOR)
		return refuse(file, err, "built for ABI %u.%u, this host has %u.%u; rebuild it",
		              m->abi_major, m->abi_minor, LW_ABI_MAJOR, LW_ABI_MINOR);
	if (m->abi_minor > LW_ABI_MINOR)
		return refuse(file, err, "needs ABI %u.%u, this host has %u.%u; update Laneway",
		              m->abi_major, m->abi_minor, LW_ABI_MAJOR, LW_ABI_MINOR);
	if (m->size < DESCRIPTOR_0_1)
		return refuse(file, err, "descriptor has %u bytes, ABI %u.%u has %u", m->size,
		              m->abi_major, m->abi_minor, DESCRIPTOR_0_1);
	if (lw_kind_word(m->kind) == NULL)
		return refuse(file, err, "kind %u is none that this host knows", m->kind);
	if (m->name == NULL || m->version == NULL || m->summary == NULL)
		return refuse(file, err, "name, version or summary is missing");
	return 0;
}

static int check_name(const struct lw_module *m, const char *file, struct lw_err *err)
{
	const char *word = lw_kind_word(m->kind);
	size_t n = strlen(word);

	if (strncmp(m->name, word, n) != 0 || m->name[n] != '-' || m->name[n + 1] == '\0')
		return refuse(file, err, "name '%.30s' does not begin with %s-", m->name, word);
	if (m->name[strspn(m->name, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
		return refuse(file, err, "name '%.30s' has more than a-z, 0-9 and -", m->name);
	return 0;
}

static int check_op(const struct op *op, const void *table, const char *file, struct lw_err *err)
{
	void (*fn)(void) = NULL;
	uint32_t size;

	memcpy(&size, table, sizeof(size));
	if (op->offset + sizeof(fn) <= size)
		memcpy(&fn, (const char *)table + op->offset, sizeof(fn));
	if (fn == NULL)
		return refuse(file, err, "operation '%s' is missing", op->name);
	return 0;
}

static int check_ops(const struct lw_module *m, const char *file, struct lw_err *err)
{
	int r = 0;

	if (m->life == NULL || m->ops.any == NULL)
		return refuse(file, err, "table of %s is missing",
		              m->life == NULL ? "life operations" : "operations");
	for (size_t i = 0; r == 0 && i < sizeof(required) / sizeof(required[0]); i++) {
		const struct op *op = &required[i];

		if (op->kind == 0)
			r = check_op(op, m->life, file, err);
		else if (op->kind == m->kind)
			r = check_op(op, m->ops.any, file, err);
	}
	return r;
}

static int check_sizes(const struct lw_module *m, const char *file, struct lw_err *err)
{
	if (m->session_bytes > SESSION_BYTES_MAX)
		return refuse(file, err, "wants %u bytes in each session, at most %u are given",
		              m->session_bytes, SESSION_BYTES_MAX);
	if (m->options_size > OPTIONS_SIZE_MAX)
		return refuse(file, err, "options of %u bytes, at most %u are given",
		              m->options_size, OPTIONS_SIZE_MAX);
	if (lw_module_counters(m) == COUNTERS_MAX)
		return refuse(file, err, "more than %u counters", COUNTERS_MAX - 1);
	return 0;
}

int lw_module_check(const struct lw_module *m, const char *file, struct lw_err *err)
{
	struct lw_err why = { 0 };
	int r = check_head(m, file, err);

	if (r == 0)
		r = check_name(m, file, err);
	if (r == 0)
		r = check_ops(m, file, err);
	if (r == 0)
		r = check_sizes(m, file, err);
	if (r < 0)
		return r;
	if (lw_table_check(m->options, m->options_size, true, &why) < 0)
		return refuse(file, err, "%s", why.text);
	return 0;
}

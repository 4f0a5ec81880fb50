/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that a host must take or refuse. ABI_CASE(name) is an initialiser, so that the same
 * one makes a shared object of its own (module.c) and a row of a linked-in table.
 */
#ifndef LW_TESTS_ABI_H
#define LW_TESTS_ABI_H

#include <errno.h>

#include <laneway/module.h>

struct abi_options {
	int64_t count;
	struct lw_list words;
	const char *file;
	int64_t span;
};

static inline int abi_check(const void *opts, struct lw_err *err)
{
	const struct abi_options *o = opts;

	if (o->count == 13)
		return lw_err_set_at(err, -EINVAL, "count", "13 brings bad luck; choose another");
	return 0;
}

static inline int abi_create(const struct lw_host *h, const void *opts, void **ret_inst,
                             const void **ret_conf, struct lw_err *err)
{
	static int token;

	(void)h;
	(void)err;
	*ret_inst = &token;
	*ret_conf = opts;
	return 0;
}

static inline void abi_destroy(void *inst)
{
	(void)inst;
}

static inline int abi_batch(void *inst, struct lw_worker *w, struct lw_batch *b)
{
	(void)inst;
	(void)w;
	(void)b;
	return 0;
}

#define ABI_ROW_COUNT(default_)                                                                    \
	{                                                                                          \
		.name = "count", .unit = "packets", .def = (default_), .doc = "How many at once.", \
		.type = LW_OPT_INT, .flags = 0, LW_OPTION_AT(struct abi_options, count), .min = 1, \
		.max = 100                                                                         \
	}

static const struct lw_option abi_table[] = {
	ABI_ROW_COUNT("7"),
	{ .name = "words",
	  .doc = "Words to look for.",
	  .type = LW_OPT_STRING,
	  .flags = LW_OPTF_LIST,
	  LW_OPTION_AT(struct abi_options, words) },
	{ .name = "file",
	  .doc = "File of rules.",
	  .type = LW_OPT_PATH,
	  .flags = 0,
	  LW_OPTION_AT(struct abi_options, file) },
	{ .name = "span",
	  .def = "5s",
	  .doc = "How long a packet waits.",
	  .type = LW_OPT_DURATION,
	  .flags = 0,
	  LW_OPTION_AT(struct abi_options, span),
	  .max = 60000000 },
	{ .name = NULL },
};

static const char *const abi_counters[] = { "seen", "dropped", NULL };

static const struct lw_life_ops abi_life = {
	.size = sizeof(struct lw_life_ops),
	.check = abi_check,
	.create = abi_create,
	.destroy = abi_destroy,
};

static __attribute__((unused)) const struct lw_filter_ops abi_filter = {
	.size = sizeof(struct lw_filter_ops),
	.ingress = abi_batch,
	.egress = abi_batch,
};

static __attribute__((unused)) const struct lw_filter_ops abi_filter_one_way = {
	.size = sizeof(struct lw_filter_ops),
	.ingress = abi_batch,
};

/* clang-format off */
#define ABI_MODULE(magic_, major_, minor_, name_, ops_)                                            \
	{                                                                                          \
		.magic = (magic_), .abi_major = (major_), .abi_minor = (minor_),                   \
		.size = sizeof(struct lw_module), .kind = LW_KIND_FILTER, .name = (name_),         \
		.version = "1.0", .summary = "Looks at packets, for tests.",                       \
		.options = abi_table, .counters = abi_counters, .life = &abi_life,                 \
		.ops = { (ops_) }, .options_size = sizeof(struct abi_options),                     \
		.session_bytes = 12                                                                \
	}
/* clang-format on */

#define ABI_GOOD ABI_MODULE(LW_ABI_MAGIC, LW_ABI_MAJOR, LW_ABI_MINOR, "filter-good", &abi_filter)
#define ABI_WRONG_MAGIC                                                                            \
	ABI_MODULE(0x4e414c45, LW_ABI_MAJOR, LW_ABI_MINOR, "filter-wrong-magic", &abi_filter)
#define ABI_OTHER_MAJOR                                                                            \
	ABI_MODULE(LW_ABI_MAGIC, LW_ABI_MAJOR + 1, 0, "filter-other-major", &abi_filter)
#define ABI_NEWER_MINOR                                                                            \
	ABI_MODULE(LW_ABI_MAGIC, LW_ABI_MAJOR, LW_ABI_MINOR + 1, "filter-newer-minor", &abi_filter)
#define ABI_MISSING_OP                                                                             \
	ABI_MODULE(LW_ABI_MAGIC, LW_ABI_MAJOR, LW_ABI_MINOR, "filter-missing-op",                  \
	           &abi_filter_one_way)
#define ABI_OTHER_NAME                                                                             \
	ABI_MODULE(LW_ABI_MAGIC, LW_ABI_MAJOR, LW_ABI_MINOR, "filter-somebody", &abi_filter)

#endif

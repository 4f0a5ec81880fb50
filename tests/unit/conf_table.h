/* SPDX-License-Identifier: MIT */
/* A table with every kind of row, and linked-in filters, for what reads configurations. */
#ifndef LW_TESTS_UNIT_CONF_TABLE_H
#define LW_TESTS_UNIT_CONF_TABLE_H

#include "abi/abi.h"
#include "conf/conf.h"

static const char *const colours[] = { "red", "green", NULL };
static const char *const kind_filter[] = { "filter", NULL };

struct network {
	int64_t mtu;
	struct lw_addr pool;
};

struct login {
	const char *password;
	const char *key;
};

struct options {
	struct network network;
	struct login login;
	int32_t colour;
	int64_t pause;
	const char *file;
	struct lw_list names;
	struct lw_list one;
	struct lw_list chain;
};

static const struct lw_option network_rows[] = {
	{ .name = "mtu",
	  .unit = "bytes",
	  .def = "1350",
	  .doc = "Size.",
	  .type = LW_OPT_INT,
	  LW_OPTION_AT(struct network, mtu),
	  .min = 576,
	  .max = 1500 },
	{ .name = "pool",
	  .doc = "Pool.",
	  .type = LW_OPT_PREFIX,
	  LW_OPTION_AT(struct network, pool) },
	{ .name = NULL },
};

static const struct lw_option login_rows[] = {
	{ .name = "password",
	  .doc = "Password.",
	  .type = LW_OPT_STRING,
	  .flags = LW_OPTF_SECRET,
	  LW_OPTION_AT(struct login, password) },
	{ .name = "key",
	  .def = "own.key",
	  .doc = "Key.",
	  .type = LW_OPT_SECRET_PATH,
	  LW_OPTION_AT(struct login, key) },
	{ .name = NULL },
};

static const struct lw_option table[] = {
	{ .name = "network",
	  .doc = "Network.",
	  .section = network_rows,
	  .type = LW_OPT_SECTION,
	  LW_OPTION_AT(struct options, network) },
	{ .name = "login",
	  .doc = "Login.",
	  .section = login_rows,
	  .type = LW_OPT_SECTION,
	  LW_OPTION_AT(struct options, login) },
	{ .name = "colour",
	  .def = "red",
	  .doc = "Colour.",
	  .choices = colours,
	  .type = LW_OPT_ENUM,
	  LW_OPTION_AT(struct options, colour) },
	{ .name = "pause",
	  .def = "1s",
	  .doc = "Pause.",
	  .type = LW_OPT_DURATION,
	  LW_OPTION_AT(struct options, pause),
	  .max = 60000000 },
	{ .name = "file", .doc = "File.", .type = LW_OPT_PATH, LW_OPTION_AT(struct options, file) },
	{ .name = "names",
	  .doc = "name them",
	  .type = LW_OPT_STRING,
	  .flags = LW_OPTF_LIST | LW_OPTF_REQUIRED,
	  LW_OPTION_AT(struct options, names) },
	{ .name = "one",
	  .unit = "good",
	  .def = "{ module: good }",
	  .doc = "One.",
	  .choices = kind_filter,
	  .type = LW_OPT_MODULE,
	  LW_OPTION_AT(struct options, one) },
	{ .name = "chain",
	  .doc = "Chain.",
	  .choices = kind_filter,
	  .type = LW_OPT_MODULE,
	  .flags = LW_OPTF_LIST,
	  LW_OPTION_AT(struct options, chain),
	  .max = 3 },
	{ .name = NULL },
};

static const struct lw_conf_program program = {
	.name = "test",
	.summary = "test",
	.default_file = "test.yaml",
	.table = table,
	.options_size = sizeof(struct options),
};

static const struct lw_module good = ABI_GOOD;
static const struct lw_module other =
	ABI_MODULE(LW_ABI_MAGIC, LW_ABI_MAJOR, LW_ABI_MINOR, "filter-other", &abi_filter);
static const struct lw_module newer = ABI_NEWER_MINOR;
static const struct lw_module *const linked[] = { &good, &other, &newer, NULL };

#endif

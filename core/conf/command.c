/* SPDX-License-Identifier: MIT */
#include "conf/command.h"

#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum task { RUN, CHECK, PRINT };

struct command {
	const char *file;
	enum task task;
	int first_key; /* arguments that set keys begin somewhere after it */
};

int lw_exit_code(int error)
{
	switch (error) {
	case 0:
		return 0;
	case -EHOSTUNREACH:
		return LW_EXIT_NO_SERVER;
	case -EADDRINUSE:
	case -EADDRNOTAVAIL:
	case -EBUSY:
	case -EEXIST:
		return LW_EXIT_IN_USE;
	case -EPERM:
	case -EACCES:
		return LW_EXIT_NOT_PERMITTED;
	case -EINVAL:
	case -EKEYREJECTED:
	case -EUSERS:
		return LW_EXIT_CONFIG;
	default:
		return LW_EXIT_SYSTEM;
	}
}

static int usage_error(const struct lw_conf_program *p, const char *what, const char *word)
{
	(void)fprintf(stderr, "%s: %s '%s'; %s --help lists what there is\n", p->name, what, word,
	              p->name);
	return LW_EXIT_USAGE;
}

static int module_help(struct lw_loader *loader, const char *name)
{
	const struct lw_module *m;
	struct lw_err err;

	if (lw_loader_get(loader, name, NULL, &m, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return LW_EXIT_CONFIG;
	}
	lw_conf_module_help(m, stdout);
	return 0;
}

/* The value of an argument: behind '=', or the next word; NULL: there is none. */
static const char *value_of(int argc, char **argv, int *i)
{
	const char *equals = strchr(argv[*i], '=');

	if (equals != NULL)
		return equals + 1;
	return *i + 1 < argc ? argv[++*i] : NULL;
}

static bool is(const char *arg, const char *name)
{
	size_t n = strlen(name);

	return strncmp(arg, name, n) == 0 && (arg[n] == '\0' || arg[n] == '=');
}

/* First pass: what is to be done; keys wait until the file was read. -1: go on */
static int read_words(const struct lw_conf_program *p, int argc, char **argv,
                      struct lw_loader *loader, struct command *cmd)
{
	for (int i = 1; i < argc; i++) {
		if (is(argv[i], "--config") || strcmp(argv[i], "-c") == 0) {
			cmd->file = value_of(argc, argv, &i);
			if (cmd->file == NULL)
				return usage_error(p, "a file is missing after", argv[argc - 1]);
		} else if (is(argv[i], "--module-help")) {
			const char *name = value_of(argc, argv, &i);

			if (name == NULL)
				return usage_error(p, "a name is missing after", argv[argc - 1]);
			return module_help(loader, name);
		} else if (strcmp(argv[i], "--check-config") == 0) {
			cmd->task = CHECK;
		} else if (strcmp(argv[i], "--print-config") == 0) {
			cmd->task = PRINT;
		} else if (strcmp(argv[i], "--print-schema") == 0) {
			lw_conf_schema(p, loader, stdout);
			return 0;
		} else if (strcmp(argv[i], "--print-reference") == 0) {
			lw_conf_reference(p, loader, stdout);
			return 0;
		} else if (strcmp(argv[i], "--version") == 0) {
			(void)printf("%s %s\n", p->name, PACKAGE_VERSION);
			return 0;
		} else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			lw_conf_help(p, stdout);
			return 0;
		} else if (strncmp(argv[i], "--", 2) == 0) {
			(void)value_of(argc, argv, &i); /* a key: second pass */
		} else {
			return usage_error(p, "unknown word", argv[i]);
		}
	}
	return -1;
}

static bool is_own_word(const char *arg)
{
	return is(arg, "--config") || strcmp(arg, "-c") == 0;
}

/* Second pass: keys over file and environment. -1: go on */
static int read_keys(struct lw_conf *c, const struct lw_conf_program *p, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char name[128];
		char near[LW_CONF_NEAR_MAX];
		const char *arg = argv[i];
		const char *value;

		if (strcmp(arg, "--check-config") == 0 || strcmp(arg, "--print-config") == 0)
			continue;
		value = value_of(argc, argv, &i);
		if (is_own_word(arg))
			continue;
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
		if (value == NULL)
			return usage_error(p, "a value is missing after", arg);
		if (lw_conf_set(c, name, value, near))
			continue;
		if (*near == '\0')
			return usage_error(p, "unknown option", arg);
		(void)fprintf(stderr, "%s: unknown option '%s'; did you mean --%s?\n", p->name, arg,
		              near);
		return LW_EXIT_USAGE;
	}
	return -1;
}

static int finish(struct lw_conf *c, const struct command *cmd)
{
	if (lw_conf_errors(c) > 0) {
		lw_conf_report(c, stderr);
		return lw_conf_usage(c) ? LW_EXIT_USAGE : LW_EXIT_CONFIG;
	}
	if (cmd->task == PRINT)
		lw_conf_print(c, stdout);
	return cmd->task == RUN ? -1 : 0;
}

int lw_command_read(const struct lw_conf_program *program, int argc, char **argv, void *options,
                    struct lw_loader *loader, void (*check)(struct lw_conf *c, void *options),
                    struct lw_conf **ret)
{
	struct command cmd = { .file = program->default_file };
	struct lw_conf *c = NULL;
	int code = read_words(program, argc, argv, loader, &cmd);

	if (code >= 0)
		return code;
	if (lw_conf_create(program, options, loader, &c) < 0) {
		(void)fprintf(stderr, "%s: out of memory\n", program->name);
		return LW_EXIT_SYSTEM;
	}
	lw_conf_load(c, cmd.file);
	code = read_keys(c, program, argc, argv);
	if (code < 0) {
		lw_conf_finish(c);
		if (lw_conf_errors(c) == 0)
			check(c, options);
		code = finish(c, &cmd);
	}
	if (code >= 0)
		lw_conf_destroy(c);
	else
		*ret = c;
	return code;
}

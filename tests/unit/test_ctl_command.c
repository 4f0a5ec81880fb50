/* SPDX-License-Identifier: MIT */
/* What users type, and the line that goes to the daemon. */
#include <errno.h>

#include "ctl/command.h"
#include "unit/test.h"

#define WORDS 5

static const struct {
	const char *word[WORDS]; /* up to the first NULL */
	const char *user;
	const char *timeout;
	bool off;
	const char *line;  /* NULL: it is refused */
	const char *error; /* a part of the sentence */
} cases[] = {
	{ .word = { "status" }, .line = "status" },
	{ .word = { "sessions" }, .line = "sessions" },
	{ .word = { "kick", "12" }, .line = "kick 12" },
	{ .word = { "kick", "12", "3", "12" }, .line = "kick 12 3 12" },
	{ .word = { "kick" }, .user = "alice", .line = "kick-user alice" },
	{ .word = { "kick" }, .user = "a b", .line = "kick-user a b" },
	{ .word = { "drain" }, .line = "drain" },
	{ .word = { "drain" }, .timeout = "1h30m", .line = "drain 1h30m" },
	{ .word = { "drain" }, .timeout = "0s", .line = "drain 0s" },
	{ .word = { "drain" }, .off = true, .line = "drain off" },

	{ .word = { NULL }, .error = "give a command: status, sessions, kick or drain" },
	{ .word = { "dance" }, .error = "give a command: " },
	{ .word = { "" }, .error = "give a command: " },
	{ .word = { "status", "all" }, .error = "status takes no 'all'" },
	{ .word = { "sessions", "1" }, .error = "sessions takes no '1'" },
	{ .word = { "drain", "5m" }, .error = "drain takes no '5m'" },
	{ .word = { "status" }, .user = "x", .error = "status takes no --user" },
	{ .word = { "drain" }, .user = "x", .error = "drain takes no --user" },
	{ .word = { "kick", "1" }, .timeout = "1m", .error = "kick takes no --timeout" },
	{ .word = { "sessions" }, .off = true, .error = "sessions takes no --off" },
	{ .word = { "kick" }, .error = "kick takes ids of sessions, or --user NAME" },
	{ .word = { "kick", "1" }, .user = "x", .error = "kick takes ids of sessions, or" },
	{ .word = { "kick", "x" }, .error = "'x' is no id" },
	{ .word = { "kick", "1", "" }, .error = "'' is no id" },
	{ .word = { "kick", "-1" }, .error = "'-1' is no id" },
	{ .word = { "kick", "1 2" }, .error = "'1 2' is no id" },
	{ .word = { "kick", "12345678901234567890" }, .error = "is no id" },
	{ .word = { "kick" }, .user = "a\nstatus", .error = "a command is one line" },
	{ .word = { "drain" }, .timeout = "10", .error = "--timeout takes a time such as 15m" },
	{ .word = { "drain" }, .timeout = "", .error = "--timeout takes a time such as 15m" },
	{ .word = { "drain" }, .timeout = "off", .error = "--timeout takes a time such as 15m" },
	{ .word = { "drain" },
	  .timeout = "1m",
	  .off = true,
	  .error = "--timeout or --off, not both" },
};

static void ctl_command__words__are_a_line_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lw_ctl_words w = { .word = cases[i].word,
			                  .user = cases[i].user,
			                  .timeout = cases[i].timeout,
			                  .off = cases[i].off };
		char line[LW_CONTROL_REQUEST_MAX];
		struct lw_err err = { 0 };

		while (w.n < WORDS && w.word[w.n] != NULL)
			w.n++;
		print_message("%zu\n", i);
		if (cases[i].line != NULL) {
			assert_int_equal(lw_ctl_command(&w, line, &err), 0);
			assert_string_equal(line, cases[i].line);
		} else {
			assert_int_equal(lw_ctl_command(&w, line, &err), -EINVAL);
			assert_non_null(strstr(err.text, cases[i].error));
		}
	}
}

static void ctl_command__long__as_far_as_a_line_goes(void **state)
{
	static char name[LW_CONTROL_REQUEST_MAX];
	const char *word = "kick";
	struct lw_ctl_words w = { .word = &word, .n = 1, .user = name };
	char line[LW_CONTROL_REQUEST_MAX];
	struct lw_err err = { 0 };
	size_t longest = LW_CONTROL_REQUEST_MAX - 1 - strlen("kick-user ");

	(void)state;
	memset(name, 'x', longest);
	assert_int_equal(lw_ctl_command(&w, line, &err), 0);
	assert_int_equal(strlen(line), LW_CONTROL_REQUEST_MAX - 1);
	name[longest] = 'x';
	assert_int_equal(lw_ctl_command(&w, line, &err), -EINVAL);
	assert_string_equal(err.text, "a command has at most 4095 bytes, give it in parts");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ctl_command__words__are_a_line_or_refused),
		cmocka_unit_test(ctl_command__long__as_far_as_a_line_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

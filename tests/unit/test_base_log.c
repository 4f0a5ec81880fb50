/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "base/log.h"
#include "unit/test.h"

/* what one call writes to stderr */
static void capture(char *dst, size_t cap, int level, const char *text)
{
	int fds[2];
	int saved = dup(STDERR_FILENO);
	ssize_t n = 0;

	assert_int_equal(pipe(fds), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	close(fds[1]);
	lw_log_write(level, "test", "%s", text);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	n = read(fds[0], dst, cap - 1);
	close(fds[0]);
	dst[n > 0 ? n : 0] = '\0';
}

static void log_write__control_characters__escaped(void **state)
{
	char line[512];

	(void)state;
	lw_log_open(LW_LOG_INFO);
	capture(line, sizeof(line), LW_LOG_WARN, "user 'a\nb\x1b[2J\xff'");
	assert_non_null(strstr(line, "Z warn test: user 'a\\x0ab\\x1b[2J\\xff'\n"));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void log_write__above_level__nothing(void **state)
{
	char line[512];

	(void)state;
	lw_log_open(LW_LOG_WARN);
	capture(line, sizeof(line), LW_LOG_INFO, "quiet");
	assert_string_equal(line, "");
}

static void log_write__long__cut_in_one_line(void **state)
{
	char text[5000];
	char line[9000];

	(void)state;
	memset(text, 1, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	lw_log_open(LW_LOG_INFO);
	capture(line, sizeof(line), LW_LOG_INFO, text);
	assert_int_equal(line[strlen(line) - 1], '\n');
	assert_true(strlen(line) <= 2048);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_write__control_characters__escaped),
		cmocka_unit_test(log_write__above_level__nothing),
		cmocka_unit_test(log_write__long__cut_in_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/control.h"
#include "ctl/print.h"
#include "unit/test.h"

#define SESSIONS 3000
#define WORDS    5

static char dir[] = "/tmp/lw-ctl-XXXXXX";
static char sock[64];
static char out_path[64];

static void fill_status(struct lw_json *out)
{
	lw_json_string(out, "role", "server");
	lw_json_uint(out, "uptime_s", 3725);
	lw_json_uint(out, "rtt_us", 12345);
	lw_json_uint(out, "rate_in_bps", 94300000);
	lw_json_string(out, "server", "evil\n\x1b[2J");
	lw_json_array(out, "listeners");
	for (int i = 0; i < 2; i++) {
		lw_json_object(out, NULL);
		lw_json_string(out, "module", i == 0 ? "outside-udp" : "tcp");
		if (i == 0)
			lw_json_string(out, "address", "[::]:27690");
		lw_json_end(out);
	}
	lw_json_end(out);
	lw_json_array(out, "empty");
	lw_json_end(out);
	lw_json_array(out, "offloads");
	for (int i = 0; i < 2; i++) {
		lw_json_object(out, NULL);
		lw_json_string(out, "offload", i == 0 ? "tso" : "coalesce-tcp");
		lw_json_string(out, "state", i == 0 ? "on" : "off");
		lw_json_string(out, "reason", i == 0 ? NULL : "tso is off in the configuration");
		lw_json_end(out);
	}
	lw_json_end(out);
	lw_json_object(out, "counters");
	lw_json_uint(out, "dropped", 0);
	lw_json_uint(out, "auth-htpasswd.accepted", 7);
	lw_json_end(out);
}

static const char expected[] = "role                    server\n"
			       "uptime                  1h 2m\n"
			       "rtt                     12.3 ms\n"
			       "rate in                 94.3 Mbit/s\n"
			       "server                  evil\\x0a\\x1b[2J\n"
			       "listeners\n"
			       "  module      address\n"
			       "  outside-udp [::]:27690\n"
			       "  tcp         -\n"
			       "empty                   -\n"
			       "offloads\n"
			       "  offload      state reason\n"
			       "  tso          on    -\n"
			       "  coalesce-tcp off   tso is off in the configuration\n"
			       "counters\n"
			       "  auth-htpasswd.accepted  7\n";

static void ctl_print__status__is_lines_and_tables(void **state)
{
	struct lw_json j = { .text = NULL };
	struct lw_json_node *root;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	lw_json_object(&j, NULL);
	lw_json_uint(&j, "schema", 1);
	fill_status(&j);
	lw_json_end(&j);
	assert_int_equal(lw_json_read(j.text, &root), 0);
	lw_ctl_print(f, root);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, expected);
	free(text);
	lw_json_free(root);
	lw_json_fini(&j);
}

/* more than is read at once */
static void fill_sessions(struct lw_json *out)
{
	lw_json_array(out, "sessions");
	for (uint64_t i = 0; i < SESSIONS; i++) {
		lw_json_object(out, NULL);
		lw_json_uint(out, "id", i);
		lw_json_string(out, "user", i % 2 == 0 ? "alice" : NULL);
		lw_json_uint(out, "rx_bytes", 2048 * i);
		lw_json_bool(out, "expresslane", true);
		lw_json_end(out);
	}
	lw_json_end(out);
}

static void fill_kick(struct lw_json *out, const char *command)
{
	lw_json_uint(out, "ended", 1);
	lw_json_array(out, "not_found");
	if (command[4] == ' ') {
		lw_json_string(out, NULL, "4");
		lw_json_string(out, NULL, "5");
	} else {
		lw_json_string(out, NULL, command + strlen("kick-user "));
	}
	lw_json_end(out);
}

static int handle(void *arg, const char *command, struct lw_json *out,
                  struct lw_control_late **ret_late, struct lw_err *err)
{
	(void)ret_late;
	if (arg != NULL)
		return lw_err_set(err, -5, "the disk \"burns\"");
	if (strcmp(command, "status") == 0)
		fill_status(out);
	if (strcmp(command, "sessions") == 0)
		fill_sessions(out);
	if (strcmp(command, "kick 5 4 5") == 0 || strncmp(command, "kick-user ", 10) == 0)
		fill_kick(out, command);
	return 0;
}

/* Runs the program; if c is given, answers it. Returns the exit status; out_path has what it said.
 */
static int run_with(struct lw_control *c, const char *const words[WORDS])
{
	const time_t deadline = time(NULL) + 30;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(out_path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

		if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
			_exit(126);
		(void)execl("./lanewayctl", "lanewayctl", "--socket", sock, words[0], words[1],
		            words[2], words[3], words[4], NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct pollfd p = { .fd = c != NULL ? lw_control_fd(c) : -1, .events = POLLIN };

		assert_true(time(NULL) < deadline);
		if (poll(&p, 1, 10) > 0)
			(void)lw_control_step(c);
	}
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define run(c, ...) run_with(c, (const char *const[WORDS]){ __VA_ARGS__ })

static const char *said(void)
{
	static char text[1 << 20];
	int fd = open(out_path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	assert_int_equal(close(fd), 0);
	return text;
}

static void lanewayctl__status__prints_what_the_daemon_answers(void **state)
{
	struct lw_control *c;
	struct lw_err err;
	struct lw_json_node *root;
	char json[4096];

	(void)state;
	assert_int_equal(lw_control_open(sock, NULL, handle, NULL, &c, &err), 0);
	assert_int_equal(run(c, "status"), 0);
	assert_non_null(strstr(said(), expected));
	assert_int_equal(run(c, "--json", "status"), 0);
	(void)snprintf(json, sizeof(json), "%s", said());
	assert_int_equal(lw_json_read(json, &root), 0);
	assert_string_equal(lw_json_get(root, "schema")->text, "1");
	assert_string_equal(lw_json_get(root, "server")->text, "evil\n\x1b[2J");
	lw_json_free(root);
	lw_control_close(c);
}

static void lanewayctl__sessions__are_a_table(void **state)
{
	struct lw_control *c;
	struct lw_err err;
	uint32_t lines = 0;

	(void)state;
	assert_int_equal(lw_control_open(sock, NULL, handle, NULL, &c, &err), 0);
	assert_int_equal(run(c, "sessions"), 0);
	assert_non_null(strstr(said(), "sessions\n"
	                               "  id   user  rx         expresslane\n"
	                               "  0    alice 0 B        yes\n"
	                               "  1    -     2.0 KiB    yes\n"));
	for (const char *at = said(); (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	assert_int_equal(lines, 3 + SESSIONS);
	assert_int_equal(run(c, "--json", "sessions"), 0);
	assert_true(strlen(said()) > 65536);
	lw_control_close(c);
}

static void lanewayctl__kick__tells_who_was_not_found(void **state)
{
	static const char said_of_ids[] = "lanewayctl: there is no session 4, 5\n";
	static const char said_of_user[] = "lanewayctl: there is no session of b\\x1b[b\n";
	char longest[LW_CONTROL_REQUEST_MAX - sizeof("kick-user ") + 1] = "";
	struct lw_control *c;
	struct lw_err err;

	(void)state;
	assert_int_equal(lw_control_open(sock, NULL, handle, NULL, &c, &err), 0);
	assert_int_equal(run(c, "kick", "5", "4", "5"), 67);
	assert_non_null(strstr(said(), said_of_ids));
	assert_non_null(strstr(said(), "ended                   1\n"));
	assert_int_equal(run(c, "--json", "kick", "5", "4", "5"), 67);
	assert_non_null(strstr(said(), said_of_ids));
	assert_non_null(strstr(said(), "\"ended\":1"));
	assert_int_equal(run(c, "kick", "--user", "b\x1b[b"), 67);
	assert_non_null(strstr(said(), said_of_user));
	/* as long as a line may be, on its whole way */
	memset(longest, 'x', sizeof(longest) - 1);
	assert_int_equal(run(c, "kick", "--user", longest), 67);
	assert_non_null(strstr(said(), "there is no session of xxx"));
	lw_control_close(c);
}

static void lanewayctl__daemon_has_no_answer__says_why(void **state)
{
	struct lw_control *c;
	struct lw_err err;

	(void)state;
	assert_int_equal(lw_control_open(sock, NULL, handle, &err, &c, &err), 0);
	assert_int_equal(run(c, "status"), 69);
	assert_string_equal(said(), "lanewayctl: the disk \"burns\"\n");
	assert_int_equal(run(c, "status", "--json"), 69);
	assert_non_null(strstr(said(), "\"error\":\"the disk \\\"burns\\\"\""));
	lw_control_close(c);
}

static void lanewayctl__no_daemon__is_69(void **state)
{
	char want[256];

	(void)state;
	assert_int_equal(run(NULL, "status"), 69);
	(void)snprintf(want, sizeof(want),
	               "lanewayctl: cannot connect to '%s': No such file or directory\n", sock);
	assert_string_equal(said(), want);
}

static void lanewayctl__command_line__is_checked(void **state)
{
	(void)state;
	assert_int_equal(run(NULL, NULL), 64);
	assert_string_equal(
		said(),
		"lanewayctl: give a command: status, sessions, kick or drain; --help tells more\n");
	assert_int_equal(run(NULL, "dance"), 64);
	assert_int_equal(run(NULL, "status", "twice"), 64);
	assert_int_equal(run(NULL, "--what", "status"), 64);
	assert_int_equal(run(NULL, "--help"), 0);
	assert_non_null(strstr(said(), "Usage: lanewayctl"));
	assert_int_equal(run(NULL, "--version"), 0);
}

static int make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(sock, sizeof(sock), "%s/x.sock", dir);
	(void)snprintf(out_path, sizeof(out_path), "%s/out", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	(void)unlink(out_path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ctl_print__status__is_lines_and_tables),
		cmocka_unit_test(lanewayctl__status__prints_what_the_daemon_answers),
		cmocka_unit_test(lanewayctl__sessions__are_a_table),
		cmocka_unit_test(lanewayctl__kick__tells_who_was_not_found),
		cmocka_unit_test(lanewayctl__daemon_has_no_answer__says_why),
		cmocka_unit_test(lanewayctl__no_daemon__is_69),
		cmocka_unit_test(lanewayctl__command_line__is_checked),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

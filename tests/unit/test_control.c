/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"
#include "control/control.h"
#include "unit/control_client.h"
#include "unit/test.h"

#define BIG 300000ul

static char last_command[LW_CONTROL_REQUEST_MAX];

static int handle(void *arg, const char *command, struct lw_json *out,
                  struct lw_control_late **ret_late, struct lw_err *err)
{
	(void)ret_late;
	(void)snprintf(last_command, sizeof(last_command), "%s", command);
	if (strcmp(command, "status") == 0) {
		lw_json_string(out, "role", arg);
		return 0;
	}
	if (strcmp(command, "big") == 0) {
		lw_json_array(out, "numbers");
		for (uint64_t i = 0; i < BIG; i++)
			lw_json_uint(out, NULL, i % 10);
		lw_json_end(out);
		return 0;
	}
	if (strcmp(command, "broken") == 0) {
		lw_json_string(out, "half", "way");
		return lw_err_set(err, -EIO, "it \"broke\"");
	}
	return -ENOSYS;
}

static char role[] = "server";

static struct lw_control *open_at(const char *at)
{
	struct lw_control *c = NULL;
	struct lw_err err;

	assert_int_equal(lw_control_open(at, NULL, handle, role, &c, &err), 0);
	return c;
}

static void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void step_all(struct lw_control *c)
{
	int left = 1000;

	while (lw_control_step(c) == 1)
		assert_true(left-- > 0);
}

/* up to the end of the connection, letting the daemon go on in between; bytes read */
static size_t get(struct lw_control *c, int fd, char *buf, size_t cap)
{
	size_t len = 0;

	for (;;) {
		ssize_t n;

		step_all(c);
		n = recv(fd, buf + len, cap - 1 - len, MSG_DONTWAIT);
		assert_true(n >= 0); /* an answer or an end must be there already */
		if (n == 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	assert_int_equal(close(fd), 0);
	return len;
}

static const char *ask(struct lw_control *c, const char *request)
{
	static char answer[4096];
	int fd = control_dial("");

	put(fd, request);
	(void)get(c, fd, answer, sizeof(answer));
	return answer;
}

#define HEAD "{\"schema\":1,\"version\":\"" PACKAGE_VERSION "\""

static void control__commands__are_answered(void **state)
{
	struct lw_control *c = open_at(control_path);

	(void)state;
	assert_string_equal(ask(c, "status\n"), HEAD ",\"role\":\"server\"}");
	assert_string_equal(ask(c, "status\r\nmore"), HEAD ",\"role\":\"server\"}");
	assert_string_equal(ask(c, "version\n"), HEAD "}");
	assert_string_equal(ask(c, "kick 3\n"), HEAD ",\"error\":\"there is no such command\"}");
	assert_string_equal(last_command, "kick 3");
	assert_string_equal(ask(c, "broken\n"), HEAD ",\"error\":\"it \\\"broke\\\"\"}");
	lw_control_close(c);
}

static void control__request_in_pieces__is_answered_when_whole(void **state)
{
	struct lw_control *c = open_at(control_path);
	struct pollfd p = { .events = POLLIN };
	char answer[256];

	(void)state;
	p.fd = control_dial("");
	put(p.fd, "sta");
	step_all(c);
	assert_int_equal(poll(&p, 1, 0), 0);
	put(p.fd, "tus\n");
	assert_true(get(c, p.fd, answer, sizeof(answer)) > 0);
	lw_control_close(c);
}

static void control__request_too_long__is_refused(void **state)
{
	struct lw_control *c = open_at(control_path);
	char request[LW_CONTROL_REQUEST_MAX + 1];

	(void)state;
	memset(request, 'x', sizeof(request));
	request[LW_CONTROL_REQUEST_MAX - 1] = '\n';
	request[LW_CONTROL_REQUEST_MAX] = '\0';
	assert_non_null(strstr(ask(c, request), "no such command"));
	assert_int_equal(strlen(last_command), LW_CONTROL_REQUEST_MAX - 1);
	request[LW_CONTROL_REQUEST_MAX - 1] = 'x';
	assert_non_null(strstr(ask(c, request), "at most 4095 bytes"));
	lw_control_close(c);
}

static void control__client_that_does_not_read__holds_up_nobody(void **state)
{
	struct lw_control *c = open_at(control_path);
	char *answer = malloc(3 * BIG);
	int slow = control_dial("");

	(void)state;
	assert_non_null(answer);
	put(slow, "big\n");
	step_all(c);
	assert_non_null(strstr(ask(c, "status\n"), "server"));
	assert_true(get(c, slow, answer, 3 * BIG) > 2 * BIG - 1);
	assert_string_equal(answer + strlen(answer) - 4, ",9]}");
	free(answer);
	lw_control_close(c);
}

static void control__client_that_leaves__is_forgotten(void **state)
{
	struct lw_control *c = open_at(control_path);

	(void)state;
	for (int i = 0; i < 3 * LW_CONTROL_CLIENTS; i++) {
		int fd = control_dial("");

		put(fd, i % 2 == 0 ? "big\n" : "sta");
		step_all(c);
		assert_int_equal(close(fd), 0);
		step_all(c);
	}
	assert_non_null(strstr(ask(c, "status\n"), "server"));
	lw_control_close(c);
}

static void control__more_clients_than_places__drops_the_oldest(void **state)
{
	struct lw_control *c = open_at(control_path);
	int fd[LW_CONTROL_CLIENTS];
	char byte;

	(void)state;
	for (int i = 0; i < LW_CONTROL_CLIENTS; i++) {
		fd[i] = control_dial("");
		step_all(c);
	}
	assert_non_null(strstr(ask(c, "status\n"), "server"));
	assert_int_equal(recv(fd[0], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(fd[1], &byte, 1, MSG_DONTWAIT), -1);
	for (int i = 0; i < LW_CONTROL_CLIENTS; i++)
		assert_int_equal(close(fd[i]), 0);
	lw_control_close(c);
}

static void control__fd__is_readable_while_there_is_work(void **state)
{
	struct lw_control *c = open_at(control_path);
	struct pollfd p = { .fd = lw_control_fd(c), .events = POLLIN };
	int fd;

	(void)state;
	assert_int_equal(poll(&p, 1, 0), 0);
	fd = control_dial("");
	assert_int_equal(poll(&p, 1, 0), 1);
	step_all(c);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(close(fd), 0);
	lw_control_close(c);
}

static mode_t mode_of(const char *at)
{
	struct stat st;

	assert_int_equal(lstat(at, &st), 0);
	return st.st_mode & 07777;
}

static void control_open__socket__has_its_mode_whatever_the_umask(void **state)
{
	char deep[128];
	char sub[64];
	mode_t old = umask(0);
	struct lw_control *c;
	struct lw_err err;

	(void)state;
	(void)snprintf(sub, sizeof(sub), "%s/run", control_folder);
	(void)snprintf(deep, sizeof(deep), "%s/x.sock", sub);
	c = open_at(deep);
	assert_int_equal(mode_of(deep), 0600);
	assert_int_equal(mode_of(sub), 0755);
	lw_control_close(c);
	assert_int_equal(access(deep, F_OK), -1);
	assert_int_equal(rmdir(sub), 0);
	(void)umask(0777);
	c = open_at(deep);
	assert_int_equal(mode_of(sub), 0755);
	lw_control_close(c);
	assert_int_equal(rmdir(sub), 0);
	(void)umask(old);
	assert_int_equal(lw_control_open(control_path, "no-such-group", handle, role, &c, &err),
	                 -ENOENT);
	assert_string_equal(err.option, "group");
	assert_string_equal(err.text, "there is no group 'no-such-group'");
	assert_int_equal(access(control_path, F_OK), -1);
}

static void control_open__group__may_connect(void **state)
{
	struct lw_control *c;
	struct lw_err err;

	(void)state;
	if (geteuid() != 0)
		skip(); /* only root may give a file to any group */
	assert_int_equal(lw_control_open(control_path, "daemon", handle, role, &c, &err), 0);
	assert_int_equal(mode_of(control_path), 0660);
	lw_control_close(c);
}

static void control_open__second_daemon__is_told(void **state)
{
	struct lw_control *c = open_at(control_path);
	struct lw_control *second = NULL;
	struct lw_err err;

	(void)state;
	assert_int_equal(lw_control_open(control_path, NULL, handle, role, &second, &err),
	                 -EADDRINUSE);
	assert_null(second);
	assert_string_equal(err.option, "socket");
	assert_non_null(strstr(err.text, "another daemon answers on"));
	assert_non_null(strstr(ask(c, "status\n"), "server"));
	lw_control_close(c);
}

static void control_open__dead_socket__is_replaced(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct lw_control *c;

	(void)state;
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", control_path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(close(fd), 0);
	c = open_at(control_path);
	assert_non_null(strstr(ask(c, "status\n"), "server"));
	lw_control_close(c);
	assert_int_equal(access(control_path, F_OK), -1);
}

static void control_open__file_in_the_way__stays(void **state)
{
	struct lw_control *c = NULL;
	struct lw_err err;
	int fd = open(control_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(close(fd), 0);
	assert_int_equal(lw_control_open(control_path, NULL, handle, role, &c, &err), -EEXIST);
	assert_non_null(strstr(err.text, "no socket"));
	assert_int_equal(unlink(control_path), 0);
}

static void control_open__bad_path__is_refused(void **state)
{
	char longest[200];
	struct lw_control *c = NULL;
	struct lw_err err;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[108] = '\0';
	assert_int_equal(lw_control_open(longest, NULL, handle, role, &c, &err), -ENAMETOOLONG);
	assert_int_equal(lw_control_open("", NULL, handle, role, &c, &err), -ENAMETOOLONG);
	assert_int_equal(lw_control_open("/no/such/dir/x", NULL, handle, role, &c, &err), -ENOENT);
	assert_string_equal(err.text,
	                    "cannot make the directory '/no/such/dir': No such file or directory");
}

static void control_close__socket_of_another__stays(void **state)
{
	struct lw_control *c = open_at(control_path);
	struct lw_control *next;

	(void)state;
	assert_int_equal(unlink(control_path), 0);
	next = open_at(control_path);
	lw_control_close(c);
	assert_non_null(strstr(ask(next, "status\n"), "server"));
	lw_control_close(next);
	lw_control_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control__commands__are_answered),
		cmocka_unit_test(control__request_in_pieces__is_answered_when_whole),
		cmocka_unit_test(control__request_too_long__is_refused),
		cmocka_unit_test(control__client_that_does_not_read__holds_up_nobody),
		cmocka_unit_test(control__client_that_leaves__is_forgotten),
		cmocka_unit_test(control__more_clients_than_places__drops_the_oldest),
		cmocka_unit_test(control__fd__is_readable_while_there_is_work),
		cmocka_unit_test(control_open__socket__has_its_mode_whatever_the_umask),
		cmocka_unit_test(control_open__group__may_connect),
		cmocka_unit_test(control_open__second_daemon__is_told),
		cmocka_unit_test(control_open__dead_socket__is_replaced),
		cmocka_unit_test(control_open__file_in_the_way__stays),
		cmocka_unit_test(control_open__bad_path__is_refused),
		cmocka_unit_test(control_close__socket_of_another__stays),
	};

	return cmocka_run_group_tests(tests, control_folder_make, control_folder_remove);
}

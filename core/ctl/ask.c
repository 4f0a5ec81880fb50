/* SPDX-License-Identifier: MIT */
#include "ctl/ask.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/control.h"

#define WAIT_S     5
#define ANSWER_MAX ((size_t)1 << 30) /* bytes */

static int fail(struct lw_err *err, int r, const char *what, const char *path)
{
	if (r == -EAGAIN)
		r = -ETIMEDOUT;
	return lw_err_set(err, r, "%s '%s': %s", what, path, strerror(-r));
}

static int connect_to(const char *path, struct lw_err *err)
{
	const struct timeval wait = { .tv_sec = WAIT_S };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(at.sun_path))
		return fail(err, -ENAMETOOLONG, "cannot connect to", path);
	memcpy(at.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(err, -errno, "cannot make a socket for", path);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0 ||
	    connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		int r = fail(err, -errno, "cannot connect to", path);

		(void)close(fd);
		return r;
	}
	return fd;
}

static int send_line(int fd, const char *command)
{
	char line[LW_CONTROL_REQUEST_MAX + 1];
	int len = snprintf(line, sizeof(line), "%s\n", command);

	if (len < 0 || (size_t)len >= sizeof(line))
		return -E2BIG;
	/* so short a text fits into an empty socket at once */
	return send(fd, line, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -errno;
}

/* what has come so far */
struct text {
	char *bytes;
	size_t len;
	size_t cap;
};

static int make_room(struct text *t)
{
	size_t cap = t->cap == 0 ? 65536 : 2 * t->cap;
	char *bigger;

	if (t->len + 1 < t->cap)
		return 0;
	if (cap > ANSWER_MAX)
		return -EFBIG;
	bigger = realloc(t->bytes, cap);
	if (bigger == NULL)
		return -ENOMEM;
	t->bytes = bigger;
	t->cap = cap;
	return 0;
}

static int receive_all(int fd, struct text *t)
{
	for (;;) {
		int r = make_room(t);
		ssize_t n;

		if (r < 0)
			return r;
		n = recv(fd, t->bytes + t->len, t->cap - 1 - t->len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		t->len += (size_t)n;
		t->bytes[t->len] = '\0';
		if (n == 0)
			return t->len > 0 ? 0 : -EBADMSG;
	}
}

int lw_ctl_ask(const char *socket, const char *command, char **ret, struct lw_err *err)
{
	int fd = connect_to(socket, err);
	struct text answer = { .bytes = NULL };
	int r;

	if (fd < 0)
		return fd;
	r = send_line(fd, command);
	if (r == 0)
		r = receive_all(fd, &answer);
	(void)close(fd);
	if (r < 0) {
		free(answer.bytes);
		return fail(err, r, "no answer from", socket);
	}
	*ret = answer.bytes;
	return 0;
}

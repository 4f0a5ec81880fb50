/* SPDX-License-Identifier: MIT */
#include "config.h" /* first: it asks for accept4() */

#include "control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/socket.h"

#define ROUNDS_MAX 64 /* of events in one step: others wait for the control thread too */

struct client {
	int fd; /* -1: free */
	uint64_t number;
	char request[LW_CONTROL_REQUEST_MAX];
	size_t got;
	struct lw_json answer;
	size_t sent;
};

struct lw_control {
	int fd;
	int epoll;
	char *path;
	dev_t dev;
	ino_t ino;
	lw_control_handler *handler;
	void *arg;
	uint64_t accepted;
	struct client client[LW_CONTROL_CLIENTS];
};

static void drop(struct client *cl)
{
	if (cl->fd >= 0)
		(void)close(cl->fd); /* takes it out of epoll as well */
	lw_json_fini(&cl->answer);
	*cl = (struct client){ .fd = -1 };
}

static void begin_answer(struct lw_json *j)
{
	lw_json_fini(j);
	lw_json_object(j, NULL);
	lw_json_uint(j, "schema", LW_CONTROL_SCHEMA);
	lw_json_string(j, "version", PACKAGE_VERSION);
}

static void answer_error(struct lw_json *j, const char *text)
{
	begin_answer(j);
	lw_json_string(j, "error", text);
	lw_json_end(j);
}

static void answer_command(const struct lw_control *c, struct client *cl)
{
	struct lw_err err = { .code = 0 };
	int r = 0;

	begin_answer(&cl->answer);
	if (strcmp(cl->request, "version") != 0)
		r = c->handler(c->arg, cl->request, &cl->answer, &err);
	if (r == 0 && !cl->answer.failed) {
		lw_json_end(&cl->answer);
		return;
	}
	if (err.text[0] == '\0')
		(void)lw_err_set(&err, r, "%s",
		                 r == -ENOSYS ? "there is no such command"
		                              : "the answer does not fit in memory");
	answer_error(&cl->answer, err.text);
}

/* sends what the socket takes; the client is gone when all is sent */
static void send_some(struct lw_control *c, struct client *cl)
{
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = cl };

	while (cl->sent < cl->answer.len) {
		ssize_t n = send(cl->fd, cl->answer.text + cl->sent, cl->answer.len - cl->sent,
		                 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN &&
		    epoll_ctl(c->epoll, EPOLL_CTL_MOD, cl->fd, &ev) == 0)
			return;
		if (n <= 0)
			break;
		cl->sent += (size_t)n;
	}
	drop(cl);
}

/* A document of our own never holds a line end, so one ends it. */
static void answer(struct lw_control *c, struct client *cl)
{
	char *end = memchr(cl->request, '\n', cl->got);

	if (end == NULL) {
		answer_error(&cl->answer, "a command is one line of at most 255 bytes");
	} else {
		if (end > cl->request && end[-1] == '\r')
			end--;
		*end = '\0';
		answer_command(c, cl);
	}
	if (cl->answer.failed) {
		drop(cl);
		return;
	}
	send_some(c, cl);
}

static void receive(struct lw_control *c, struct client *cl)
{
	ssize_t n =
		recv(cl->fd, cl->request + cl->got, sizeof(cl->request) - cl->got, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(cl);
		return;
	}
	cl->got += (size_t)n;
	if (cl->got == sizeof(cl->request) || memchr(cl->request, '\n', cl->got) != NULL)
		answer(c, cl);
}

/* a free place, or that of the client who came first: nobody can keep others out by waiting */
static struct client *find_place(struct lw_control *c)
{
	struct client *oldest = &c->client[0];

	for (size_t i = 0; i < LW_CONTROL_CLIENTS; i++) {
		if (c->client[i].fd < 0)
			return &c->client[i];
		if (c->client[i].number < oldest->number)
			oldest = &c->client[i];
	}
	drop(oldest);
	return oldest;
}

static void accept_one(struct lw_control *c)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct client *cl;
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	cl = find_place(c);
	cl->fd = fd;
	cl->number = ++c->accepted;
	ev.data.ptr = cl;
	if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		drop(cl);
}

static void serve(struct lw_control *c, const struct epoll_event *ev)
{
	struct client *cl = ev->data.ptr;

	if (cl == NULL)
		accept_one(c);
	else if (cl->answer.len > 0)
		send_some(c, cl);
	else
		receive(c, cl);
}

/* One event at a time: serving one may drop the client of another. */
int lw_control_step(struct lw_control *c)
{
	for (int i = 0; i < ROUNDS_MAX; i++) {
		struct epoll_event ev;

		if (epoll_wait(c->epoll, &ev, 1, 0) <= 0)
			return 0;
		serve(c, &ev);
	}
	return 1;
}

int lw_control_fd(const struct lw_control *c)
{
	return c->epoll;
}

static int start_listening(struct lw_control *c, const char *path, const char *group,
                           struct lw_err *err)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct stat st;

	c->path = strdup(path);
	if (c->path == NULL)
		return lw_err_set_at(err, -ENOMEM, "socket", "no memory for the control socket");
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (c->epoll < 0)
		return lw_err_set_at(err, -errno, "socket", "cannot make an event queue: %s",
		                     strerror(errno));
	c->fd = lw_control_socket_open(path, group, err);
	if (c->fd < 0)
		return c->fd;
	if (lstat(path, &st) == 0) {
		c->dev = st.st_dev;
		c->ino = st.st_ino;
	}
	if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		return lw_err_set_at(err, -errno, "socket", "cannot watch '%s': %s", path,
		                     strerror(errno));
	return 0;
}

int lw_control_open(const char *path, const char *group, lw_control_handler *handler, void *arg,
                    struct lw_control **ret, struct lw_err *err)
{
	struct lw_control *c = calloc(1, sizeof(*c));
	int r;

	if (c == NULL)
		return lw_err_set_at(err, -ENOMEM, "socket", "no memory for the control socket");
	c->fd = c->epoll = -1;
	c->handler = handler;
	c->arg = arg;
	for (size_t i = 0; i < LW_CONTROL_CLIENTS; i++)
		c->client[i].fd = -1;
	r = start_listening(c, path, group, err);
	if (r < 0) {
		lw_control_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

void lw_control_close(struct lw_control *c)
{
	struct stat st;

	if (c == NULL)
		return;
	for (size_t i = 0; i < LW_CONTROL_CLIENTS; i++)
		drop(&c->client[i]);
	if (c->fd >= 0) {
		/* another daemon may have put its own socket there since */
		if (lstat(c->path, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino)
			(void)unlink(c->path);
		(void)close(c->fd);
	}
	if (c->epoll >= 0)
		(void)close(c->epoll);
	free(c->path);
	free(c);
}

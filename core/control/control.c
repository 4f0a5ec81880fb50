/* SPDX-License-Identifier: MIT */
#include "config.h" /* first: it asks for accept4() */

#include "control/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/socket.h"

#define ROUNDS_MAX 64 /* of events in one step: others wait for the control thread too */

enum state { READING, WAITING, SENDING };

struct lw_control_client {
	int fd; /* -1: free */
	int epoll;
	uint64_t number;
	enum state state;
	char request[LW_CONTROL_REQUEST_MAX];
	size_t got;
	struct lw_json answer;
	size_t sent;                  /* bytes of it */
	bool begun;                   /* a part of the answer has been sent */
	struct lw_control_late *late; /* there is more to come; NULL: it is whole */
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
	struct lw_control_client client[LW_CONTROL_CLIENTS];
};

static void drop(struct lw_control_client *cl)
{
	struct lw_control_late *late = cl->late;

	if (cl->fd >= 0)
		(void)close(cl->fd); /* takes it out of epoll as well */
	lw_json_fini(&cl->answer);
	*cl = (struct lw_control_client){ .fd = -1 };
	if (late == NULL)
		return;
	late->client = NULL;
	late->wake(late);
}

/* What is not asked for is told all the same: that the client has gone. */
static bool watch(struct lw_control_client *cl, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = cl };

	return epoll_ctl(cl->epoll, EPOLL_CTL_MOD, cl->fd, &ev) == 0;
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

/* The handler has no more to add, or has failed. */
static void complete(struct lw_control_client *cl, int r, const struct lw_err *err)
{
	if (r == 0 && !cl->answer.failed) {
		lw_json_end(&cl->answer);
		return;
	}
	if (err->text[0] != '\0')
		answer_error(&cl->answer, err->text);
	else
		answer_error(&cl->answer, r == -ENOSYS ? "there is no such command"
		                                       : "the answer does not fit in memory");
}

static void answer_command(const struct lw_control *c, struct lw_control_client *cl)
{
	struct lw_err err = { .code = 0 };
	int r = 0;

	begin_answer(&cl->answer);
	if (strcmp(cl->request, "version") != 0)
		r = c->handler(c->arg, cl->request, &cl->answer, &cl->late, &err);
	if (r == -EINPROGRESS)
		cl->late->client = cl;
	else
		complete(cl, r, &err);
}

/* Until the handler pushes. */
static void await_more(struct lw_control_client *cl)
{
	cl->state = WAITING;
	if (!watch(cl, 0))
		drop(cl);
}

/* The client has taken all that was there. */
static void sent_all(struct lw_control_client *cl)
{
	struct lw_control_late *late = cl->late;

	if (late == NULL) {
		drop(cl);
		return;
	}
	lw_json_forget(&cl->answer);
	cl->sent = 0;
	cl->state = WAITING;
	if (watch(cl, 0))
		late->wake(late);
	else
		drop(cl);
}

static void send_some(struct lw_control_client *cl)
{
	cl->state = SENDING;
	while (cl->sent < cl->answer.len) {
		ssize_t n = send(cl->fd, cl->answer.text + cl->sent, cl->answer.len - cl->sent,
		                 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && watch(cl, EPOLLOUT))
			return;
		if (n <= 0) {
			drop(cl);
			return;
		}
		cl->sent += (size_t)n;
		cl->begun = true;
	}
	sent_all(cl);
}

static void send_answer(struct lw_control_client *cl)
{
	if (cl->answer.failed)
		drop(cl);
	else
		send_some(cl);
}

/* A document of our own never holds a line end, so one ends it. */
static void answer(struct lw_control *c, struct lw_control_client *cl)
{
	char *end = memchr(cl->request, '\n', cl->got);
	char text[64];

	if (end == NULL) {
		(void)snprintf(text, sizeof(text), "a command is one line of at most %d bytes",
		               LW_CONTROL_REQUEST_MAX - 1);
		answer_error(&cl->answer, text);
	} else {
		if (end > cl->request && end[-1] == '\r')
			end--;
		*end = '\0';
		answer_command(c, cl);
	}
	if (cl->late != NULL)
		await_more(cl);
	else
		send_answer(cl);
}

static void receive(struct lw_control *c, struct lw_control_client *cl)
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
static struct lw_control_client *find_place(struct lw_control *c)
{
	struct lw_control_client *oldest = &c->client[0];

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
	struct lw_control_client *cl;
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	cl = find_place(c);
	cl->fd = fd;
	cl->epoll = c->epoll;
	cl->number = ++c->accepted;
	ev.data.ptr = cl;
	if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		drop(cl);
}

static void serve(struct lw_control *c, const struct epoll_event *ev)
{
	struct lw_control_client *cl = ev->data.ptr;

	if (cl == NULL)
		accept_one(c);
	else if (cl->state == READING)
		receive(c, cl);
	else if (cl->state == SENDING)
		send_some(cl);
	else
		drop(cl); /* it has gone */
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

struct lw_json *lw_control_out(const struct lw_control_late *late)
{
	return late->client != NULL ? &late->client->answer : NULL;
}

void lw_control_push(struct lw_control_late *late)
{
	if (late->client != NULL)
		send_answer(late->client);
}

void lw_control_finish(struct lw_control_late *late, int r, const struct lw_err *err)
{
	struct lw_control_client *cl = late->client;

	if (cl == NULL)
		return;
	late->client = NULL;
	cl->late = NULL;
	if (cl->begun && (r < 0 || cl->answer.failed)) {
		drop(cl);
		return;
	}
	complete(cl, r, err);
	send_answer(cl);
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

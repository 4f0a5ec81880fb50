/* SPDX-License-Identifier: MIT */
#include "outside-tcp.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define TCP_CONNS_FIRST 64 /* slots of the first growth */
#define TCP_IOVS_MAX    1024

/* one call of accept passes over as many connections that died in the queue */
#define TCP_ACCEPT_ERRORS_MAX 64

static struct tcp_conn *conn_get(struct tcp_worker *tw, uint32_t tag)
{
	uint32_t slot = tag - tw->n_listen;

	if (tag < tw->n_listen || slot >= tw->n_conns || tw->conns[slot].fd < 0)
		return NULL;
	return &tw->conns[slot];
}

static int grow(struct tcp_worker *tw)
{
	uint32_t n = tw->n_conns == 0 ? TCP_CONNS_FIRST : tw->n_conns * 2;
	struct tcp_conn *grown;

	if (n > tw->max_conns)
		n = tw->max_conns;
	if (n == tw->n_conns)
		return -EMFILE;
	grown = realloc(tw->conns, n * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	for (uint32_t i = tw->n_conns; i < n; i++)
		grown[i] = (struct tcp_conn){ .fd = -1, .next_free = i + 1 };
	tw->conns = grown;
	tw->free_head = tw->n_conns;
	tw->n_conns = n;
	return 0;
}

/* 0 when a free slot is there: it is free_head */
static int reserve_slot(struct tcp_worker *tw)
{
	return tw->free_head < tw->n_conns ? 0 : grow(tw);
}

/* Puts a descriptor into the reserved slot and has it watched. */
static int take_slot(struct lw_worker *w, int fd, bool connecting, uint32_t *ret_tag)
{
	struct tcp_worker *tw = w->state;
	uint32_t slot = tw->free_head;
	struct tcp_conn *c = &tw->conns[slot];
	int r = w->host->watch(w->host, w, fd, tw->n_listen + slot);

	if (r < 0)
		return r;
	tw->free_head = c->next_free;
	*c = (struct tcp_conn){ .fd = fd, .connecting = connecting };
	*ret_tag = tw->n_listen + slot;
	return 0;
}

/* Has epoll look at a listener anew: connections that wait there then count as an edge again. */
static int rearm(struct lw_worker *w, uint32_t tag)
{
	struct tcp_worker *tw = w->state;
	struct tcp_listener *l = &tw->listeners[tag];
	int r;

	if (l->watched)
		w->host->unwatch(w->host, w, l->fd);
	r = w->host->watch(w->host, w, l->fd, tag);
	l->watched = r == 0;
	return r;
}

/* Without a descriptor or slot connections stay in the queue, where no edge tells of them again. A
 * call that did not say "none left" would be repeated at once, for as long as that lasts. */
static int pause_listener(struct lw_worker *w, uint32_t tag)
{
	struct tcp_worker *tw = w->state;

	lw_worker_count(w, TCP_CTR_ACCEPT_PAUSED, 1);
	if (!tw->listeners[tag].paused) {
		tw->listeners[tag].paused = true;
		tw->n_paused++;
	}
	return -EAGAIN;
}

static void resume_listeners(struct lw_worker *w)
{
	struct tcp_worker *tw = w->state;

	for (uint32_t tag = 0; tag < tw->n_listen && tw->n_paused > 0; tag++) {
		if (!tw->listeners[tag].paused || rearm(w, tag) < 0)
			continue;
		tw->listeners[tag].paused = false;
		tw->n_paused--;
	}
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* errors that say that the listener itself is of no use; all others are a connection's own */
static bool is_fatal(int error)
{
	return error == EBADF || error == ENOTSOCK || error == EFAULT || error == EINVAL ||
	       error == EOPNOTSUPP;
}

/* A wildcard listener does not know which of our addresses the peer called. */
static int admit(struct lw_worker *w, int fd, const union tcp_name *remote,
                 struct lw_endpoint *ret_ep)
{
	struct lw_endpoint ep = { .tag = 0 };
	union tcp_name local;
	socklen_t len = sizeof(local);
	int r;

	if (getsockname(fd, &local.sa, &len) < 0)
		return -errno;
	if (!lw_tcp_name_get(remote, &ep.remote) || !lw_tcp_name_get(&local, &ep.local))
		return -EAFNOSUPPORT;
	r = take_slot(w, fd, false, &ep.tag);
	if (r == 0)
		*ret_ep = ep;
	return r;
}

/* Answers 1 when a connection died in the queue and the next one should be looked at. */
static int accept_one(struct lw_worker *w, uint32_t tag, struct lw_endpoint *ret_ep)
{
	struct tcp_worker *tw = w->state;
	union tcp_name remote;
	socklen_t len = sizeof(remote);
	int fd;

	if (reserve_slot(tw) < 0)
		return pause_listener(w, tag);
	fd = accept4(tw->listeners[tag].fd, &remote.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		int error = errno;

		if (error == EAGAIN)
			return -EAGAIN;
		if (is_shortage(error))
			return pause_listener(w, tag);
		if (is_fatal(error))
			return -error;
	} else if (admit(w, fd, &remote, ret_ep) == 0) {
		return 0;
	} else {
		(void)close(fd);
	}
	lw_worker_count(w, TCP_CTR_ACCEPT_ERRORS, 1);
	return 1;
}

int lw_tcp_accept(void *inst, struct lw_worker *w, uint32_t tag, struct lw_endpoint *ret_ep)
{
	struct tcp_worker *tw = w->state;
	int r = 1;

	(void)inst;
	if (tag >= tw->n_listen)
		return -EBADF;
	for (int i = 0; i < TCP_ACCEPT_ERRORS_MAX && r == 1; i++)
		r = accept_one(w, tag, ret_ep);
	if (r != 1)
		return r;
	/* more may wait: go on next round; if even that fails, when a connection ends */
	return rearm(w, tag) < 0 ? pause_listener(w, tag) : -EAGAIN;
}

int lw_tcp_connect(void *inst, struct lw_worker *w, const struct lw_addr *remote,
                   struct lw_endpoint *ret_ep)
{
	const struct tcp *t = inst;
	struct lw_endpoint ep = { .remote = *remote };
	union tcp_name name;
	socklen_t len = lw_tcp_name_set(&name, remote);
	const char *step;
	int fd;
	int r;

	if (len == 0 || remote->port == 0)
		return -EINVAL;
	r = reserve_slot(w->state);
	if (r < 0)
		return r;
	fd = lw_tcp_socket_open(remote->family, &step);
	if (fd < 0)
		return fd;
	r = lw_tcp_socket_congestion(fd, t->opts->congestion);
	if (r == 0 && connect(fd, &name.sa, len) < 0)
		r = -errno;
	if (r == 0 || r == -EINPROGRESS)
		r = take_slot(w, fd, r == -EINPROGRESS, &ep.tag);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	*ret_ep = ep;
	return 0;
}

static int finish_connect(struct tcp_conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = 0;

	if (poll(&p, 1, 0) <= 0)
		return -EINPROGRESS;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	if (error != 0)
		return -error;
	c->connecting = false;
	return 0;
}

/* The open connection of a tag, through *ret, once it stands. */
static int conn_ready(struct tcp_worker *tw, uint32_t tag, struct tcp_conn **ret)
{
	*ret = conn_get(tw, tag);
	if (*ret == NULL)
		return -ENOTCONN;
	return (*ret)->connecting ? finish_connect(*ret) : 0;
}

int lw_tcp_recv(void *inst, struct lw_worker *w, uint32_t tag, void *buf, uint32_t cap,
                uint32_t *ret_len)
{
	struct tcp_conn *c;
	ssize_t n;
	int r = conn_ready(w->state, tag, &c);

	(void)inst;
	if (r < 0)
		return r;
	/* reading into no room would look like the orderly end */
	if (cap == 0)
		return -EINVAL;
	do {
		n = recv(c->fd, buf, cap, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		*ret_len = (uint32_t)n;
		return 0;
	}
	r = -errno;
	if (r != -EAGAIN)
		lw_worker_count(w, TCP_CTR_RECV_ERRORS, 1);
	return r;
}

static int map_send_error(struct lw_worker *w, int error)
{
	if (error == EAGAIN) {
		lw_worker_count(w, TCP_CTR_SEND_BLOCKED, 1);
		return -EAGAIN;
	}
	if (error == ENOBUFS || error == ENOMEM)
		return -ENOBUFS;
	lw_worker_count(w, TCP_CTR_SEND_ERRORS, 1);
	return -error;
}

/* sendmsg() takes no const iovec, although it writes none. */
static struct iovec *borrow_iov(const struct iovec *iov)
{
	union {
		const struct iovec *in;
		struct iovec *out;
	} u = { .in = iov };

	return u.out;
}

int lw_tcp_send(void *inst, struct lw_worker *w, uint32_t tag, const struct iovec *iov, uint32_t n,
                uint32_t *ret_sent)
{
	struct msghdr h = { .msg_iov = borrow_iov(iov),
		            .msg_iovlen = n < TCP_IOVS_MAX ? n : TCP_IOVS_MAX };
	struct tcp_conn *c;
	ssize_t sent;
	int r = conn_ready(w->state, tag, &c);

	(void)inst;
	*ret_sent = 0;
	if (r < 0)
		return r;
	do {
		sent = sendmsg(c->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return map_send_error(w, errno);
	*ret_sent = (uint32_t)sent;
	return 0;
}

void lw_tcp_close(void *inst, struct lw_worker *w, uint32_t tag)
{
	struct tcp_worker *tw = w->state;
	struct tcp_conn *c = conn_get(tw, tag);

	(void)inst;
	if (c == NULL)
		return;
	w->host->unwatch(w->host, w, c->fd);
	(void)close(c->fd);
	*c = (struct tcp_conn){ .fd = -1, .next_free = tw->free_head };
	tw->free_head = tag - tw->n_listen;
	resume_listeners(w);
}

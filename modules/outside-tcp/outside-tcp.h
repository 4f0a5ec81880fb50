/* SPDX-License-Identifier: MIT */
/*
 * Private parts of outside-tcp. Listeners belong to the instance and have the tags
 * 0..n_listen-1, the same for every worker; a connection belongs to its worker, and its tag is
 * n_listen plus its slot.
 */
#ifndef LW_OUTSIDE_TCP_H
#define LW_OUTSIDE_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

#include "sockname.h"

enum {
	TCP_CTR_ACCEPT_PAUSED,
	TCP_CTR_ACCEPT_ERRORS,
	TCP_CTR_RECV_ERRORS,
	TCP_CTR_SEND_BLOCKED,
	TCP_CTR_SEND_ERRORS
};

struct tcp_options {
	struct lw_list listen; /* of struct lw_addr */
	int64_t backlog;
	int64_t connections;
	const char *congestion; /* NULL, "auto": the system's */
};

struct tcp_listener {
	int fd;
	bool watched;
	bool paused; /* connections may wait although no edge will tell */
};

struct tcp_conn {
	int fd; /* -1: free */
	bool connecting;
	uint32_t next_free;
};

struct tcp_worker {
	struct tcp_listener *listeners;
	uint32_t n_listen;
	struct tcp_conn *conns;
	uint32_t n_conns;   /* slots there are */
	uint32_t max_conns; /* slots there may be */
	uint32_t free_head; /* first free slot, n_conns when there is none */
	uint32_t n_paused;
};

struct tcp {
	const struct lw_host *host;
	const struct tcp_options *opts;
	int *fds; /* n_workers times n_listen, worker by worker */
	uint32_t n_listen;
	uint32_t n_workers;
};

/**
 * lw_tcp_socket_open() - a non-blocking socket with the options of a connection
 *
 * @family:   4 or 6
 * @ret_step: on failure what failed, for a sentence
 *
 * An accepted connection inherits these options from its listener, so accepting sets none.
 * Return: the descriptor, or the negative errno of the step that failed.
 */
int lw_tcp_socket_open(uint8_t family, const char **ret_step);

/* lw_tcp_socket_congestion() - choose a congestion control by name, NULL: leave the system's; 0 or
 * negative errno */
int lw_tcp_socket_congestion(int fd, const char *name);

/**
 * lw_tcp_socket_listen() - bind a socket of lw_tcp_socket_open() and listen
 *
 * @reuseport: whether to join the listeners that are there already
 * @ret_step:  on failure what failed
 *
 * Return: 0 or the negative errno of the step that failed; the descriptor stays the caller's.
 */
int lw_tcp_socket_listen(int fd, const struct lw_addr *at, int backlog, bool reuseport,
                         const char **ret_step);

/* lw_tcp_socket_share() - let later listeners with reuseport join this one; 0 or negative errno */
int lw_tcp_socket_share(int fd);

int lw_tcp_accept(void *inst, struct lw_worker *w, uint32_t tag, struct lw_endpoint *ret_ep);
int lw_tcp_connect(void *inst, struct lw_worker *w, const struct lw_addr *remote,
                   struct lw_endpoint *ret_ep);
int lw_tcp_recv(void *inst, struct lw_worker *w, uint32_t tag, void *buf, uint32_t cap,
                uint32_t *ret_len);
int lw_tcp_send(void *inst, struct lw_worker *w, uint32_t tag, const struct iovec *iov, uint32_t n,
                uint32_t *ret_sent);
void lw_tcp_close(void *inst, struct lw_worker *w, uint32_t tag);

#endif

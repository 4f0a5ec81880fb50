/* SPDX-License-Identifier: MIT */
/*
 * Private parts of outside-udp. The sockets of the listeners belong to the instance and have the
 * tags 0..n_listen-1, the same for every worker; a client's own sockets belong to their worker
 * and have the tags behind those.
 */
#ifndef LW_OUTSIDE_UDP_H
#define LW_OUTSIDE_UDP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <laneway/module.h>

#include "sockname.h"

#define UDP_RX_BURST 32   /* messages of one recvmmsg */
#define UDP_TX_BURST 64   /* messages of one sendmmsg */
#define UDP_TX_IOVS  1024 /* what the kernel takes for one message */
#define UDP_SLOT_MIN 2048 /* room for the largest datagram of a usual path, and some */

enum {
	UDP_CTR_RECV_TRUNCATED,
	UDP_CTR_RECV_FOREIGN,
	UDP_CTR_RECV_ERRORS,
	UDP_CTR_SEND_BLOCKED,
	UDP_CTR_SEND_NOBUFS,
	UDP_CTR_SEND_RETRIED,
	UDP_CTR_SEND_ERRORS
};

struct udp_options {
	struct lw_list listen; /* of struct lw_addr */
	int64_t buffer;
};

struct udp_sock {
	int fd;               /* -1: free */
	uint8_t family;       /* 4 or 6 */
	bool any;             /* listener on the unspecified address: each packet names ours */
	struct lw_addr local; /* listener: what it is bound to; client: none */
	struct lw_addr peer;  /* client: nobody else is heard; listener: none */
};

/* room for the address that a packet came to or leaves from, and its traffic class */
union udp_control {
	size_t align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

struct udp_rx {
	struct mmsghdr msg[UDP_RX_BURST];
	struct iovec iov[UDP_RX_BURST];
	union udp_name name[UDP_RX_BURST];
	union udp_control control[UDP_RX_BURST];
	uint32_t used[UDP_RX_BURST]; /* batch.arena_used before each slot */
};

struct udp_tx {
	struct mmsghdr msg[UDP_TX_BURST];
	union udp_name name[UDP_TX_BURST];
	union udp_control control[UDP_TX_BURST];
	struct iovec iov[UDP_TX_IOVS];
	uint32_t n_iov;
};

struct udp_worker {
	struct udp_sock *socks; /* by tag */
	uint32_t n_socks;
	bool told_small; /* the warning about small buffers was given */
	struct udp_rx rx;
	struct udp_tx tx;
};

struct udp {
	const struct lw_host *host;
	const struct udp_options *opts;
	struct udp_sock *socks; /* n_workers times n_listen, worker by worker */
	uint32_t n_listen;
	uint32_t n_workers;
	uint32_t slot_bytes;
	bool told_small;
};

enum {
	UDP_OPEN_REUSEPORT = 1, /* join the sockets that are bound there already */
	UDP_OPEN_PKTINFO = 2    /* tell of each packet which of our addresses it came to */
};

/* what lw_udp_socket_open() found on its way */
struct udp_opened {
	int fd;
	int64_t buffer;   /* the smaller of both buffers that the kernel granted, in bytes */
	const char *step; /* what failed, for a sentence: "open", "set up", "bind" */
};

/**
 * lw_udp_socket_open() - one bound, non-blocking socket with our options
 *
 * @at:     address to bind to
 * @flags:  UDP_OPEN_*
 * @buffer: bytes wanted for each of both buffers
 * @ret:    on success all members, on failure only step
 *
 * Return: 0, or the negative errno of the step that failed; then nothing is open.
 */
int lw_udp_socket_open(const struct lw_addr *at, unsigned flags, int64_t buffer,
                       struct udp_opened *ret);

/**
 * lw_udp_socket_share() - let later sockets with UDP_OPEN_REUSEPORT join this bound one
 *
 * Return: 0 or a negative errno.
 */
int lw_udp_socket_share(int fd);

/* lw_udp_warn_small() - say once that the buffers are smaller than asked, and what to raise */
void lw_udp_warn_small(const struct lw_host *h, int64_t asked, int64_t granted, bool *told);

/* lw_udp_sock_get() - the open socket of a tag, or NULL */
struct udp_sock *lw_udp_sock_get(struct udp_worker *uw, uint32_t tag);

int lw_udp_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b);
int lw_udp_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done);
int lw_udp_connect(void *inst, struct lw_worker *w, const struct lw_addr *remote,
                   struct lw_endpoint *ret_ep);
void lw_udp_close(void *inst, struct lw_worker *w, uint32_t tag);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Private parts of outside-udp. The sockets of the listeners belong to the instance and have the
 * tags 0..n_listen-1, the same for every worker; a client's own sockets belong to their worker
 * and have the tags behind those. Where a program steers, a listener has two sockets: peers without
 * a session arrive at the second, so that a flood of them fills no queue of sessions. It is watched
 * under the same tag with LW_TAG_STRANGERS; nothing is sent from it.
 */
#ifndef LW_OUTSIDE_UDP_H
#define LW_OUTSIDE_UDP_H

#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <laneway/module.h>

#include "sockname.h"

/* older C libraries lack these; whether the kernel has them is found out at run time */
#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define UDP_RX_BURST     32     /* messages of one recvmmsg */
#define UDP_RX_BURST_RUN 16     /* the same where each may be a run: more gains little */
#define UDP_SLOT_MIN     2048u  /* room for the largest datagram of a usual path, and some */
#define UDP_SLOT_RUN     65536u /* room for the longest run: with less, the kernel cuts its tail */

/*
 * What strangers may fill of the kernel's memory. The kernel doubles it and counts a hello of 1,400
 * bytes as 2,304: this holds 900 of them, which is 9 ms of 100,000 a second. More would only make
 * genuine ones among them wait longer.
 */
#define UDP_STRANGERS_BUFFER (1 << 20)

#define UDP_TX_BURST 64   /* messages of one sendmmsg */
#define UDP_TX_IOVS  4096 /* pieces of all of them */
#define UDP_MSG_IOVS 1024 /* what the kernel takes for one message */

/*
 * Limits of a run that is sent. Before Linux 5.16, 64 full datagrams were too many. The kernel
 * takes 65,507 bytes, but with headers of IP, UDP and link it must stay below 64 KiB, the
 * gso_max_size of most devices, or it is cut before the device: at 65,493 bytes of IPv4 a datagram
 * cost 63 ns, at 65,494 800 ns (veth). This leaves room for IPv6 and a longer link header.
 */
#define UDP_RUN_SEGS 63u
#define UDP_RUN_MAX  65456u

enum {
	UDP_CTR_RECV_TRUNCATED,
	UDP_CTR_RECV_FOREIGN,
	UDP_CTR_RECV_ERRORS,
	UDP_CTR_SEND_BLOCKED,
	UDP_CTR_SEND_NOBUFS,
	UDP_CTR_SEND_RETRIED,
	UDP_CTR_SEND_ERRORS,
	UDP_CTR_SEND_DATAGRAMS,
	UDP_CTR_SEND_RUNS,
	UDP_CTR_SEND_RUN_DATAGRAMS,
	UDP_CTR_SEND_RUNS_REFUSED,
	UDP_CTR_RECV_DATAGRAMS,
	UDP_CTR_RECV_RUNS,
	UDP_CTR_RECV_RUN_DATAGRAMS,
	UDP_CTR_RECV_RUN_INVALID
};

/* values of an option of type TRI */
enum { UDP_OFF, UDP_ON, UDP_AUTO };

struct udp_options {
	struct lw_list listen; /* of struct lw_addr */
	int64_t buffer;
	int32_t gso;
	int32_t gro;
	int64_t burst; /* 0: auto */
};

struct udp_sock {
	int fd;               /* -1: free */
	int strangers_fd;     /* listener: its second socket, -1: none */
	uint8_t family;       /* 4 or 6 */
	bool any;             /* listener on the unspecified address: each packet names ours */
	struct lw_addr local; /* listener: what it is bound to; client: none */
	struct lw_addr peer;  /* client: nobody else is heard; listener: none */
};

/* room for the address that a packet came to or leaves from, its traffic class, and the stride of
 * a run, which the kernel takes as 16 bits and gives as an int */
union udp_control {
	size_t align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int))];
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
	uint32_t datagrams[UDP_TX_BURST]; /* of each message */
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
	uint64_t caps; /* LW_CAP_GSO, LW_CAP_GRO: granted */
	bool told_small;
};

enum {
	UDP_OPEN_REUSEPORT = 1, /* join the sockets that are bound there already */
	UDP_OPEN_PKTINFO = 2,   /* tell of each packet which of our addresses it came to */
	UDP_OPEN_GRO = 4        /* take runs in one piece */
};

/* what lw_udp_socket_open() found on its way */
struct udp_opened {
	int fd;
	int64_t buffer;   /* the smaller of both buffers that the kernel granted, in bytes */
	const char *step; /* what failed, for a sentence: "open", "set up", "bind" */
};

/**
 * lw_udp_offload_decide() - find out which of runs can be used, into u->caps, and tell why not
 *
 * @wanted: what the host can deal with
 *
 * Return: 0, or -EOPNOTSUPP: the operator demands what host or kernel lacks.
 */
int lw_udp_offload_decide(struct udp *u, uint64_t wanted, struct lw_err *err);

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

/**
 * lw_udp_socket_steer() - which of the sockets of its address gets a datagram is for a program to
 * say
 *
 * Return: 0 or a negative errno.
 */
int lw_udp_socket_steer(int fd, const struct lw_steer *s);

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

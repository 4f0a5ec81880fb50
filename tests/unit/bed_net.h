/* SPDX-License-Identifier: MIT */
/*
 * A network in memory with a clock of its own, and modules that stand on it: outside sockets,
 * outside connections and an inside, for cores that a test drives round by round. No packet leaves
 * the process; each socket has an eventfd, which is all that a core's epoll sees of it.
 */
#ifndef LW_TESTS_BED_NET_H
#define LW_TESTS_BED_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <laneway/module.h>

#define NET_NODES  2048
#define NET_SOCKS  32
#define NET_CONNS  512
#define NET_STREAM (1 << 18) /* bytes that wait for one reader */

/* the time of lw_clock_us() and of the TLS library in this program */
extern uint64_t net_clock_us;

struct net_dgram {
	struct net_dgram *next;
	struct lw_addr from;
	struct lw_addr to;
	uint32_t len;
	uint8_t bytes[2048];
};

/* whoever has an address: a socket of a core, or a peer that the test plays */
struct net_node {
	struct lw_addr addr;
	struct net_dgram *head;
	struct net_dgram *tail;
	uint32_t n;
	int fd; /* eventfd of a core's socket, -1: none */
};

struct net_tcp;

struct net {
	struct net_node *nodes[NET_NODES];
	uint32_t n_nodes;
	struct net_tcp *listeners[8];
	uint32_t n_listeners;
	bool (*pass)(void *arg, struct net_dgram *d); /* false: it is lost. NULL: all pass */
	void *arg;
	uint64_t nowhere; /* datagrams to addresses that nobody has */
	uint64_t nowhere_bytes;
	size_t nowhere_longest;
	uint16_t next_port;
};

void net_node_add(struct net *net, struct net_node *node, const struct lw_addr *addr, int fd);
void net_node_remove(struct net *net, struct net_node *node);

/* net_send() - deliver at once, if pass() agrees */
void net_send(struct net *net, const struct lw_addr *from, const struct lw_addr *to,
              const uint8_t *p, size_t len);

/* net_take() - the oldest datagram of a node, to free(); NULL: none */
struct net_dgram *net_take(struct net_node *node);

/* one end of a connection */
struct net_conn {
	struct net_conn *twin; /* NULL: the other end has gone */
	struct lw_addr local;
	struct lw_addr remote;
	int fd; /* eventfd of a core's end, -1: none */
	bool open;
	bool connecting; /* for ever, if nobody ends it */
	int error;       /* what the next call answers */
	uint8_t *in;     /* bytes that came */
	size_t in_len;
};

/* net_connect() - a connection to whoever listens there; negative errno: nobody does */
int net_connect(struct net *net, struct net_conn *c, const struct lw_addr *from,
                const struct lw_addr *to);
size_t net_conn_write(struct net_conn *c, const void *p, size_t len);
void net_conn_close(struct net_conn *c);

/* An instance; its module's options are a struct net_use of it. */
struct net_udp {
	struct net *net;
	const struct lw_host *host;
	struct lw_addr listen[4];
	uint32_t n_listen;
	struct lw_addr source; /* client: where its sockets come from; each has a port of its own */
	struct net_node socks[NET_SOCKS]; /* by tag */
	bool open[NET_SOCKS];
	uint32_t n_open;
	int connect_error;
	int recv_error; /* once, for any socket */
	int send_error;
	bool busy; /* sends say -EAGAIN */
};

struct net_tcp {
	struct net *net;
	const struct lw_host *host;
	struct lw_addr listen; /* family 0: none */
	int listen_fd;
	struct lw_addr source;
	struct net_conn conns[NET_CONNS]; /* tag - 1 */
	uint32_t waiting[NET_CONNS];      /* to be accepted */
	uint32_t n_waiting;
	uint32_t n_open;
	int connect_error; /* of connect() itself */
	bool deaf;         /* connections never stand */
};

struct net_inside {
	struct net *net;
	const struct lw_host *host;
	int fd;
	uint8_t in[16][1500];
	uint32_t in_len[16];
	uint32_t n_in;
	uint8_t got[64][1500];
	uint32_t got_len[64];
	uint32_t n_got;
	int recv_error; /* once */
};

struct net_use {
	void *inst;
};

extern const struct lw_module net_udp_module;
extern const struct lw_module net_tcp_module;
extern const struct lw_module net_inside_module;

/* net_wake() - tell a core that something waits */
void net_wake(int fd);

/* net_inside_put() - a packet from the inside into the tunnel */
void net_inside_put(struct net_inside *i, const void *p, uint32_t len);

#endif

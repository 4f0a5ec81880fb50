/* SPDX-License-Identifier: MIT */
/*
 * A worker whose modules read and write one end of real socket pairs; the test has the other. Each
 * program that uses it is linked with --wrap for epoll_ctl, epoll_wait, epoll_pwait2 and
 * calloc.
 */
#ifndef LW_TESTS_WORKER_BED_H
#define LW_TESTS_WORKER_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "unit/session_pair.h"
#include "worker/worker.h"

#define WB_SOCKS   96
#define WB_TUNNELS 8
#define WB_WAIT_S  10 /* longest wait for anything that must happen */
#define WB_MORE    1  /* answer: something came, and there may be more */

struct worker_bed;

/* a watched descriptor; its tag is its index */
struct wb_sock {
	int fd;
	int far; /* the test's end */
	struct lw_attach *attach;
	uint32_t served;
	int answer; /* what recv() or accept() says instead of reading, 0: the truth */
	void (*on_serve)(struct worker_bed *b, uint32_t tag);
};

struct wb_tunnel {
	struct lw_timed timed; /* first */
	struct worker_bed *bed;
	struct lw_tunnel *t; /* NULL: destroyed */
	enum lw_close_reason reason;
};

struct worker_bed {
	struct lw_core core;
	struct lw_worker w[4];
	struct lw_attach *inside;
	struct lw_attach *udp;
	struct lw_attach *tcp;
	struct lw_attach *other;
	struct wb_sock socks[WB_SOCKS];
	uint32_t n_socks;
	struct wb_tunnel tunnels[WB_TUNNELS];
	uint32_t n_tunnels;
	struct pair *pair; /* its client's TLS */
	struct lw_tunnel_conf conf;
	char log[2048];   /* what was called, in order */
	uint32_t waiting; /* connections that accept() has to give */
	int accepted_r;
	int dead_error;
	void (*on_closed)(struct worker_bed *b, struct wb_tunnel *wt);
};

struct worker_bed *wb_create(void);
void wb_destroy(struct worker_bed *b);

/* wb_open() - a socket pair, watched for an attachment: datagrams, or a stream for tcp */
uint32_t wb_open(struct worker_bed *b, struct lw_attach *a);

/* wb_open_strangers() - the same of udp, where strangers come */
uint32_t wb_open_strangers(struct worker_bed *b);

/* wb_write() - n messages from the test's end */
void wb_write(struct worker_bed *b, uint32_t tag, uint32_t n);

/* wb_shut() - unwatch and close, as a module does */
void wb_shut(struct worker_bed *b, uint32_t tag);

/* wb_round() - one round that does not wait; the log of that round alone */
const char *wb_round(struct worker_bed *b);

/* wb_rounds_until() - rounds until cond(arg) or the test fails */
void wb_rounds_until(struct worker_bed *b, bool (*cond)(void *arg), void *arg);

/* wb_tunnel() - a client's tunnel that was not begun, bound to a tcp socket; it ends after stale_us
 */
struct wb_tunnel *wb_tunnel(struct worker_bed *b, uint32_t tag, uint64_t stale_us);

/* wb_queue() - a datagram that the udp port has to send on this socket */
void wb_queue(struct worker_bed *b, uint32_t tag);

/* wb_fill() - write to the module's own end until it is full; wb_drain() empties the far end */
void wb_fill(struct worker_bed *b, uint32_t tag);
uint32_t wb_drain(struct worker_bed *b, uint32_t tag);

/* what the wrapped calls saw and are to do */
struct wb_calls {
	uint32_t waits;        /* of both kinds; atomic */
	int timeout_ms;        /* of the last, rounded up */
	int64_t timeout_us;    /* the same, exactly */
	int n_events;          /* that the last one told of */
	int wait_error;        /* the next epoll_wait fails with it */
	int ctl_error;         /* the next epoll_ctl fails with it */
	uint32_t events[1024]; /* by descriptor: what it is watched for, 0: not */
	int fail_calloc;       /* the how manyth from now on fails, 0: none */
};
extern struct wb_calls wb_calls;

/* wb_writing() - epoll would tell when this socket is writable */
bool wb_writing(const struct worker_bed *b, uint32_t tag);

#endif

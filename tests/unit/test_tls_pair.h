/* SPDX-License-Identifier: MIT */
/*
 * A client and a server of core/tls joined in memory, on a clock of their own: datagrams may be
 * lost, doubled and delayed by a seeded generator. test_tls_pair.c also replaces gettimeofday(),
 * by which the library keeps retransmissions 100 ms apart.
 */
#ifndef LW_TESTS_UNIT_TEST_TLS_PAIR_H
#define LW_TESTS_UNIT_TEST_TLS_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/listener.h"
#include "tls/records.h"
#include "tls/tls.h"

#define PAIR_QUEUE 256
#define PAIR_DGRAM 20000
#define PAIR_SENT  256
#define PAIR_GOT   (1 << 17)

enum { PAIR_CLIENT, PAIR_SERVER };

/* how a network treats datagrams; zero: perfectly */
struct pair_net {
	uint64_t seed;
	unsigned loss_percent;
	unsigned dup_percent;
	unsigned copies;    /* the client sends each datagram so often, 0 is 1 (aggressive mode) */
	unsigned jitter_us; /* more than a hop takes: datagrams overtake each other */
};

struct pair_dgram {
	uint64_t at_us;
	size_t len;
	int to;
	uint8_t bytes[PAIR_DGRAM];
};

struct pair;

struct pair_end {
	struct pair *pair;
	struct lw_tls *tls; /* the server's on DGRAM: NULL until the listener made one */
	struct lw_tls_io io;
	struct lw_tls_records *records; /* what this end's thread would use; NULL: nothing */
	uint64_t tick_us;               /* 0: not armed */
	int side;
	int error;
	bool done;
	bool refuse;        /* @out answers -EAGAIN: nothing moves on this end */
	bool mute;          /* what this end sends is lost */
	unsigned drop_next; /* so many of the next datagrams of this end are lost */
	size_t n_sent;
	uint8_t sent_first; /* first byte of the last datagram: type or epoch */
	uint64_t sent_us[PAIR_SENT];
	size_t sent_len[PAIR_SENT];
	size_t n_got; /* records */
	size_t got_len;
	size_t got_last;
	uint8_t got[PAIR_GOT];
};

struct pair {
	enum lw_tls_transport transport;
	struct pair_net net;
	uint64_t rng;
	uint64_t now_us;
	struct lw_tls_listener *listener;
	struct lw_endpoint from;
	struct pair_end end[2];
	size_t n;
	struct pair_dgram *queue[PAIR_QUEUE];
};

/* pair_file() - a file of tests/data/tls, to be freed */
uint8_t *pair_file(const char *name, size_t *ret_len);

/* contexts from files of tests/data/tls; a failed creation fails the test */
struct lw_tls_ctx *pair_server_ctx(const char *name);
struct lw_tls_ctx *pair_client_ctx(const char *ca, const char *name, enum lw_tls_cipher cipher);

/* pair_open() - a listener or a server's session, and a client that has not begun */
struct pair *pair_open(enum lw_tls_transport transport, struct lw_tls_ctx *server,
                       struct lw_tls_ctx *client, unsigned outside_mtu);
void pair_close(struct pair *p);

/* pair_endpoint() - an address with this number in it */
struct lw_endpoint pair_endpoint(uint32_t n);

/* pair_start() - the client's first flight */
void pair_start(struct pair *p);

/* pair_run() - until both ends are done and nothing is under way, an end failed, or the time came
 */
void pair_run(struct pair *p, uint64_t until_us);

/* pair_connect() - start, run, and fail the test if it does not work out */
void pair_connect(struct pair *p);

/* pair_send() - one write; pair_tick_all() arms ticks that a write or update made necessary */
int pair_send(struct pair *p, int side, const void *data, size_t len);
void pair_arm(struct pair_end *e);

/* the contexts of both roles */
struct pair_ctxs {
	struct lw_tls_ctx *server;
	struct lw_tls_ctx *client;
};

void pair_ctxs_open(struct pair_ctxs *f, const char *server, const char *ca, const char *name,
                    enum lw_tls_cipher cipher);
void pair_ctxs_close(struct pair_ctxs *f);

/* pair_exchange() - data both ways, so that a handshake with wrong keys cannot pass */
void pair_exchange(struct pair *p);

uint32_t pair_random(struct pair *p, uint32_t below);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A server's workers on a network in memory. Each has sockets at an address of its own: to send
 * there is what the kernel does that brings a datagram to a worker. The test's thread is all of
 * them.
 */
#ifndef LW_TESTS_BED_WORKERS_H
#define LW_TESTS_BED_WORKERS_H

#include "unit/bed_server.h"

#define BW_WORKERS 3
#define BW_BASE    0x0a7d0000u /* of the pool */

struct bw_plan {
	uint32_t workers;
	uint8_t prefix; /* of the pool, 0: 16 */
	uint32_t sessions;
	uint64_t handshakes_per_s;
	bool hold; /* logins are kept: bw_answer() */
};

/* one worker */
struct bw_end {
	struct net_udp udp;
	struct net_inside inside;
	struct lw_sessions s;
	struct bed face; /* what its peers see of it */
};

struct bw {
	struct net net;
	struct lw_engine engine;
	struct bw_end ends[BW_WORKERS];
	uint32_t n;
	struct lw_sessions_common common;
	struct lw_tunnel_conf conf;
	struct lw_tls_ctx *tls;
	const struct lw_host *host; /* of the authenticator */
	pthread_mutex_t lock;
	bool hold;
	uint64_t tokens[16]; /* that it keeps, under the lock */
	uint32_t n_tokens;
};

/* bw_create() - ends the test when something fails; zero members of the plan are defaults */
struct bw *bw_create(const struct bw_plan *plan);

/* bw_destroy() - close_all() on each worker; fails the test when anything is left of the sessions
 */
void bw_destroy(struct bw *b);

/* bw_settle() - rounds of all workers and peers until nothing moves; no time passes */
void bw_settle(struct bw *b, struct peer *const *peers, uint32_t n);

/* bw_begin() - a peer that says hello to a worker; it may not get farther */
struct peer *bw_begin(struct bw *b, uint32_t worker, uint32_t ip);

/* bw_online() - the same, which must come online */
struct peer *bw_online(struct bw *b, uint32_t worker, uint32_t ip);

struct lw_core *bw_core(struct bw *b, uint32_t worker);

/* bw_tunnel() - the worker's end of a peer; NULL: it has none */
struct lw_tunnel *bw_tunnel(struct bw *b, uint32_t worker, const struct peer *p);

/* bw_counter(), bw_path() - of one worker */
uint64_t bw_counter(const struct bw *b, uint32_t worker, enum lw_server_counter i);
const struct lw_path_counters *bw_path(const struct bw *b, uint32_t worker);

#endif

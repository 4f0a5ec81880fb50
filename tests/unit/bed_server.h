/* SPDX-License-Identifier: MIT */
/*
 * A server's worker on a network in memory, with its real engine, helpers and tables, and peers
 * that the test plays: client tunnels with addresses of their own. The test's thread is the worker.
 */
#ifndef LW_TESTS_BED_SERVER_H
#define LW_TESTS_BED_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/sessions.h"
#include "unit/bed_net.h"
#include "worker/engine.h"

#define BED_BACKENDS 3
#define BED_SERVER   0xc6336401u /* 198.51.100.1 */
#define BED_PORT     27690

/* what an authenticator of the test does with a login */
enum bed_verdict {
	BED_YES = LW_AUTH_YES,
	BED_NO = LW_AUTH_NO,
	BED_NOT_MINE = LW_AUTH_NOT_MINE,
	BED_ERROR = LW_AUTH_ERROR,
	BED_HOLD,   /* keeps it: bed_answer() */
	BED_REFUSE, /* submit() itself fails */
	BED_BLOCK   /* its helper waits for bed_release(), then says yes */
};

struct bed_backend {
	const struct lw_host *host;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum bed_verdict verdict;
	uint32_t n_asked;
	uint32_t n_blocked; /* helpers that wait in it */
	bool released;
	uint64_t tokens[LW_AUTH_JOBS + 8]; /* of those that it keeps */
	uint32_t n_held;
	char user[52]; /* of the last login */
	char secret[52];
	struct net_use use;
};

struct bed_plan {
	const char *pool; /* NULL: 10.125.0.0/16 */
	uint32_t sessions;
	uint64_t handshakes_per_s;
	uint64_t idle_us;
	uint32_t ip;      /* of the listeners, 0: BED_SERVER */
	const char *cert; /* in tests/data/tls, NULL: server */
	bool no_udp;
	bool filter; /* one that answers filter_result when a session comes online */
	uint32_t n_backends;
	uint32_t helpers; /* that take steps of handshakes; 0: the worker does it itself */
};

/* what keeps the helpers of steps from going on */
struct bed_gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;
	uint32_t n_waiting;
};

struct bed_filter {
	struct net *net; /* as in the modules of bed_net.h */
	const struct lw_host *host;
	int result;
	uint32_t n_open;
	uint32_t n_close;
};

struct bed {
	struct net *net;
	struct lw_engine engine;
	struct lw_sessions s;
	struct lw_sessions_common common;
	struct lw_tunnel_conf conf;
	struct lw_tls_ctx *tls;
	struct net_udp udp;
	struct net_tcp tcp;
	struct net_inside inside;
	struct bed_filter filter;
	struct bed_gate gate;
	uint32_t helpers;
	struct net_use use[4];
	struct bed_backend backends[BED_BACKENDS];
	struct lw_addr addr; /* of its first listeners, UDP and TCP */
};

/* bed_create() - ends the test when something fails; zero members of the plan are defaults */
struct bed *bed_create(struct net *net, const struct bed_plan *plan);

/* bed_destroy() - with whatever sessions there are; fails the test when they left something */
void bed_destroy(struct bed *b);

/* bed_round() - one round of the worker; answers whether there is more to do now */
bool bed_round(struct bed *b);

/* bed_waits() - whether something has come that no round has looked at */
bool bed_waits(const struct bed *b);

/* bed_answer() - the backend answers the i-th login that it keeps; it keeps it all the same */
void bed_answer(struct bed *b, uint32_t backend, uint32_t i, uint32_t verdict);

/* bed_verdict() - what a backend says from now on */
void bed_verdict(struct bed *b, uint32_t backend, enum bed_verdict v);

/* bed_wait_blocked() - until so many helpers wait in a backend; bed_release() lets them go */
void bed_wait_blocked(struct bed *b, uint32_t backend, uint32_t n);
void bed_release(struct bed *b, uint32_t backend);

/* bed_hold_steps() - helpers take no step, and bed_settle() does not wait for any, until
 * bed_release_steps() */
void bed_hold_steps(struct bed *b);
void bed_release_steps(struct bed *b);

/* bed_asked() - how often a backend was asked */
uint32_t bed_asked(struct bed *b, uint32_t backend);

/* bed_counter() - of the server, bed_tunnels() - of all its tunnels */
uint64_t bed_counter(const struct bed *b, enum lw_server_counter i);
uint64_t bed_tunnels(const struct bed *b, enum lw_counter i);

/* bed_jobs() - logins on their way */
uint32_t bed_jobs(struct bed *b);

struct lw_tls_ctx *bed_server_ctx(const char *name);
struct lw_tls_ctx *bed_client_ctx(const char *ca);

/* --- peers --- */

struct peer {
	struct net *net;
	struct net_node node;
	struct net_conn conn;
	struct lw_tls_ctx *tls;
	struct lw_tunnel_conf conf;
	struct lw_tunnel *t;
	struct lw_counters counters;
	struct lw_chunk_pool chunks;
	struct lw_batch *wire;
	struct lw_batch *inside;
	struct lw_addr addr;
	struct lw_addr server;
	bool stream;
	bool online;
	bool closed;
	uint64_t bytes_sent;
	uint64_t bytes_got;
	uint64_t n_sent;
	uint64_t n_got;
	uint8_t last[1500]; /* the last inside packet that came */
	uint32_t last_len;
	uint32_t n_inside;
};

/* peer_create() - before its first byte; addr has a port */
struct peer *peer_create(struct bed *b, uint32_t ip, uint16_t port, bool stream);
struct peer *peer_create_at(struct bed *b, const struct lw_addr *addr, bool stream,
                            uint32_t outside_mtu);
void peer_destroy(struct peer *p);

/* peer_begin() - its first hello, or the connection */
void peer_begin(struct peer *p);

/* peer_round() - take in what came, tick; answers whether it did something */
bool peer_round(struct peer *p);

/* peer_close() - say goodbye; peer_vanish() - be gone without a word */
void peer_close(struct peer *p);
void peer_vanish(struct peer *p);

/* peer_move() - another address; what waits at the old one is lost */
void peer_move(struct peer *p, uint32_t ip, uint16_t port);

/* peer_send() - an inside packet; peer_frame() - one frame's bytes */
void peer_send(struct peer *p, const void *packet, uint32_t len);
void peer_frame(struct peer *p, const void *frame, size_t len);

/* peer_login() - send the login, once more */
void peer_login(struct peer *p);

/* --- time --- */

/* bed_settle() - rounds of server and peers until nothing moves, helpers included; no time passes
 */
void bed_settle(struct bed *b, struct peer *const *peers, uint32_t n);

/* bed_run() - let time pass, with all timers */
void bed_run(struct bed *b, struct peer *const *peers, uint32_t n, uint64_t us);

/* bed_connect() - a peer from nothing to online; fails the test when it does not get there */
void bed_connect(struct bed *b, struct peer *p);

/* bed_online() - the same for a new one */
struct peer *bed_online(struct bed *b, uint32_t ip, uint16_t port, bool stream);

#endif

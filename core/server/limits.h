/* SPDX-License-Identifier: MIT */
/*
 * Who may begin a session, which costs a signature and memory: so many at a time, so many a second,
 * and of one source a share of these and so many on their way.
 */
#ifndef LW_SERVER_LIMITS_H
#define LW_SERVER_LIMITS_H

#include <stdint.h>

#include <laneway/addr.h>

/* sessions of one source that may be on their way to online */
#define LW_PENDING_PER_SOURCE 64u
/* one source may take a quarter of the handshakes of a second, at least one: the others connect too
 */
#define LW_SOURCE_SHARE 4u
/* sources are told apart by a hash; two that share a bucket share what it holds */
#define LW_PENDING_BUCKETS 4096u

/* what an operator limits */
struct lw_server_limits {
	uint32_t sessions;
	uint64_t handshakes_per_s; /* at least 1 */
};

enum lw_limit { LW_LIMIT_NONE, LW_LIMIT_SESSIONS, LW_LIMIT_SOURCE, LW_LIMIT_HANDSHAKES };

struct lw_source {
	uint64_t share_at_us; /* its share of the handshakes has come back by then */
	uint32_t pending;
};

struct lw_limits {
	struct lw_server_limits max;
	uint64_t credit; /* in millionths of a handshake, at most those of one second */
	uint64_t credit_at_us;
	uint64_t key[2];
	struct lw_source sources[LW_PENDING_BUCKETS];
};

/* lw_limits_init() - a full second's handshakes, nobody on the way; afterwards the worker's */
void lw_limits_init(struct lw_limits *l, const struct lw_server_limits *max, uint64_t now_us);

/**
 * lw_limits_admit() - may a peer begin one session more?
 *
 * @n:      sessions that there are
 * @remote: its address; the port does not matter, of IPv6 only the /64 does
 *
 * Context: the worker.
 * Return:  LW_LIMIT_NONE, and a handshake is taken from the second's; or which limit stands
 *          against it, and nothing is taken.
 */
enum lw_limit lw_limits_admit(struct lw_limits *l, uint64_t n, const struct lw_addr *remote,
                              uint64_t now_us);

/* lw_limits_begin() - a session is on its way; lw_limits_end() takes what this returns */
uint32_t lw_limits_begin(struct lw_limits *l, const struct lw_addr *remote);

/* lw_limits_end() - it is online, or it has gone */
void lw_limits_end(struct lw_limits *l, uint32_t bucket);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The server's part of one worker: which session a packet or datagram belongs to, who may begin
 * one, and what follows from its events.
 */
#ifndef LW_SERVER_SESSIONS_H
#define LW_SERVER_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "server/auth.h"
#include "server/limits.h"
#include "server/pool.h"
#include "tls/listener.h"
#include "worker/worker.h"

/* datagrams of strangers that are served after each batch, those that bring a cookie before the
 * others, and so many of each; the rest is dropped and counted */
#define LW_STRANGERS_PER_BATCH 64u
/* the same of those without a cookie while sessions wait. To read a datagram and drop it costs a
 * tenth of an answer: with few answers more are read, and so more of those that bring a cookie */
#define LW_STRANGERS_WHEN_BUSY 8u

#define LW_SERVER_COUNTERS(X)                                                                      \
	X(HELLOS, "hellos")                                                                        \
	X(HELLOS_DROPPED, "hellos_dropped")                                                        \
	X(HELLOS_COPIES, "hellos_copies")                                                          \
	X(HELLOS_BAD, "hellos_bad")                                                                \
	X(COOKIES_SENT, "cookies_sent")                                                            \
	X(COOKIES_GOOD, "cookies_good")                                                            \
	X(HANDSHAKES_LENT, "handshakes_lent")                                                      \
	X(HANDSHAKES_BUSY, "handshakes_busy")                                                      \
	X(HANDSHAKES_LIMITED, "handshakes_limited")                                                \
	X(SESSIONS_LIMITED, "sessions_limited")                                                    \
	X(SESSIONS_DISPLACED, "sessions_displaced")                                                \
	X(SOURCES_LIMITED, "sources_limited")                                                      \
	X(REJECTS_SENT, "rejects_sent")                                                            \
	X(REJECTS_DROPPED, "rejects_dropped")                                                      \
	X(UNKNOWN_DATAGRAMS, "unknown_datagrams")                                                  \
	X(MOVES, "moves")                                                                          \
	X(MOVES_REFUSED, "moves_refused")                                                          \
	X(ROTATIONS, "rotations")                                                                  \
	X(ROTATIONS_DONE, "rotations_done")                                                        \
	X(LOGINS, "logins")                                                                        \
	X(LOGINS_REFUSED, "logins_refused")                                                        \
	X(LOGINS_BUSY, "logins_busy")                                                              \
	X(POOL_EMPTY, "pool_empty")

enum lw_server_counter {
#define X(id, text) LW_SRV_##id,
	LW_SERVER_COUNTERS(X)
#undef X
		LW_SRV_MAX
};

extern const char *const lw_server_counter_names[LW_SRV_MAX];

/* what the sessions of all workers have in common; outlives them */
struct lw_sessions_common {
	struct lw_tls_ctx *tls;
	const struct lw_tunnel_conf *conf;
	struct lw_server_limits limits; /* of the whole server */
	struct lw_helpers *helpers;     /* ask authenticators, which may take long */
	struct lw_helpers *steps; /* take steps of handshakes; NULL: the workers do it themselves */
	struct lw_pool pool;
	uint32_t n_workers;
	bool udp;      /* cookie listeners are needed */
	bool draining; /* nobody may begin a session; set by the control thread; relaxed */
	uint64_t n;    /* sessions of all workers; atomic, relaxed */
};

/* what peers can cause, and how often: log lines of a kind, rejects */
struct lw_told {
	uint64_t since_us;
	uint32_t n; /* since then */
};

/* strangers' datagrams of one batch */
struct lw_strangers {
	struct lw_packet *pkt[LW_STRANGERS_PER_BATCH];
	uint32_t n;
};

struct lw_sessions {
	struct lw_sessions_common *common;
	uint32_t worker;
	struct lw_core *core;
	struct lw_tls_ctx *tls;
	struct lw_tls_listener *listener; /* NULL: no UDP */
	const struct lw_tunnel_conf *conf;
	struct lw_limits limits;
	struct lw_auth auth;
	struct lw_hash by_addr; /* of struct lw_record, by_id of struct lw_record_id */
	struct lw_hash by_id;
	struct lw_record *first; /* in the order in which they began */
	struct lw_record *last;
	struct lw_walk *walks;           /* over these, on their way */
	struct lw_record *first_pending; /* who began first of those that are not online yet */
	struct lw_record *last_pending;
	struct lw_strangers returning;   /* with a cookie, by their looks */
	struct lw_strangers asking;      /* any others */
	struct lw_packet *last_stranger; /* of either, served or not; NULL: none in this batch */
	struct lw_lent *lent;            /* all that helpers have */
	uint32_t n_lent;
	uint64_t lent_max_us; /* the longest that one was away; relaxed readers */
	uint64_t serial;
	uint64_t n;          /* sessions of this worker; relaxed readers */
	uint64_t n_online;   /* relaxed readers */
	uint64_t n_rotating; /* their peers may not have learned their new id; relaxed readers */
	struct lw_told refusals_told;
	struct lw_told moves_told;
	struct lw_told rejects;
	struct lw_told busy_told;
	struct lw_told steps_told;
	uint64_t rekey_at_us;
	bool closing;
	uint64_t counters[LW_SRV_MAX];
};

/**
 * lw_sessions_init() - no sessions
 *
 * @core: the worker's; its path gets this role
 *
 * Context: control thread, before the worker runs.
 * Return:  0 or a negative errno with a sentence in @err; lw_sessions_fini() also after a failure.
 */
int lw_sessions_init(struct lw_sessions *s, uint32_t worker, struct lw_core *core,
                     struct lw_sessions_common *common, struct lw_err *err);
void lw_sessions_fini(struct lw_sessions *s);

/* lw_sessions_admit() - may this peer begin a session? What stands against it is counted */
bool lw_sessions_admit(struct lw_sessions *s, const struct lw_addr *remote);

/* lw_sessions_count() - the worker's; others read relaxed */
static inline void lw_sessions_count(struct lw_sessions *s, enum lw_server_counter i, uint64_t n)
{
	__atomic_store_n(&s->counters[i], s->counters[i] + n, __ATOMIC_RELAXED);
}

/* lw_sessions_set() - the same of a gauge */
static inline void lw_sessions_set(uint64_t *gauge, uint64_t n)
{
	__atomic_store_n(gauge, n, __ATOMIC_RELAXED);
}

/* lw_sessions_may() - may it happen once more, of so many times in so many us? */
bool lw_sessions_may(const struct lw_sessions *s, struct lw_told *told, uint32_t most,
                     uint64_t period_us);

/* lw_sessions_may_tell() - the same of log lines */
bool lw_sessions_may_tell(const struct lw_sessions *s, struct lw_told *told);

/* lw_sessions_may_complain() - the same of what the operator should change, which lasts */
bool lw_sessions_may_complain(const struct lw_sessions *s, struct lw_told *told);

/* lw_sessions_close_all() - worker's thread, or any after it has ended: Goodbye to all, nobody new
 */
void lw_sessions_close_all(struct lw_sessions *s);

#endif

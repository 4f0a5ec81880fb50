/* SPDX-License-Identifier: MIT */
/*
 * Expresslane: inside packets sealed straight into datagrams, past DTLS (wire.md 7). Here: keys,
 * how they are offered, acknowledged, rotated and retired, and when the lane is given up. The
 * cipher comes from the driver as a table of operations; no key outlives a call that uses it, so
 * nothing has to wait when one is replaced.
 */
#ifndef LW_SESSION_EXPRESSLANE_H
#define LW_SESSION_EXPRESSLANE_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

#include "base/random.h"
#include "session/lane_iv.h"
#include "session/replay.h"
#include "wire/expresslane.h"
#include "wire/frame.h"

struct lw_sink;
struct lw_tunnel;

/*
 * Packets under one key. The first bound is where a new key is offered: 2^28 packets of 94 blocks
 * are 2^34.6 blocks, the amount for which RFC 8446, 5.5 gives AES-GCM a margin of 2^-57. At the
 * second, of which a peer that does not acknowledge may be the cause, the lane is not used.
 */
#define LW_LANE_ROTATE_PACKETS (UINT64_C(1) << 28)
#define LW_LANE_MAX_PACKETS    (UINT64_C(1) << 30)

/* operations that the cipher gets at once; a run has at most so many datagrams */
#define LW_LANE_ARRAY 64u
/* bytes of an array that is opened out of place: a run's, or a datagram's, and no more */
#define LW_LANE_SPARE 65536u

/* what all sessions of a worker share; the last part is in use within one call only */
struct lw_lane_env {
	const struct lw_cipher_ops *cipher; /* NULL: there is no Expresslane */
	void *inst;
	struct lw_worker *w;
	struct lw_random *random;
	uint64_t rotate_packets;
	uint64_t max_packets;
	bool broken; /* the cipher has failed: news for whoever logs, who takes it back */
	struct lw_lane_iv iv;
	struct lw_cipher_op ops[LW_LANE_ARRAY];
	uint8_t aad[LW_LANE_ARRAY][LW_LANE_AAD_MAX];
	uint32_t n_ops; /* to be opened */
	uint32_t spare_used;
	uint8_t spare[LW_LANE_SPARE];
};

enum lw_lane_state {
	LW_LANE_INACTIVE,
	LW_LANE_ACTIVE,
	LW_LANE_DEGRADED /* for good */
};

/* a key in one of its places; without a handle it is none, or the sentinel of zeros */
struct lw_lane_key {
	void *handle;
	uint8_t bytes[LW_FRAME_KEY_LEN];
};

/* wire.md 7.9 */
struct lw_lane_health {
	struct lw_frame_counters own; /* at the last check */
	struct lw_frame_counters peer;
	uint32_t missing;    /* Pongs in a row without counters */
	uint32_t strikes[2]; /* to us, from us */
};

struct lw_lane {
	struct lw_lane_env *env;
	enum lw_lane_state state;
	uint8_t version;      /* 1, 2; 0: not negotiated */
	bool peer_off;        /* the peer has said that it takes no part */
	bool offering;        /* our last offer is unanswered */
	bool offered;         /* offered_us counts */
	bool rx_worked;       /* rx has opened a packet */
	bool rx_by_old;       /* the last packet was opened by old */
	uint32_t resends;     /* of our last offer */
	uint64_t offer;       /* its counter, which names it */
	uint64_t offered_us;  /* when it was made */
	uint64_t resend_at;   /* deadlines in us, UINT64_MAX: none */
	uint64_t old_until;   /* the grace of `old` ends */
	uint64_t peer_offer;  /* the highest counter of the peer's offers */
	uint64_t key_packets; /* sealed with tx */
	uint64_t sent;        /* counter of the last packet; never begins anew */
	uint64_t received;
	struct lw_lane_key next; /* offered, its acknowledgement would make it tx */
	struct lw_lane_key tx;
	struct lw_lane_key rx;
	struct lw_lane_key old; /* what rx was before */
	struct lw_lane_health health;
	struct lw_replay replay;
};

/* lw_lane_env_init() - with the bounds of above; @cipher and what follows outlive it. Calls the
 * cipher later only, when the worker runs */
void lw_lane_env_init(struct lw_lane_env *env, const struct lw_cipher_ops *cipher, void *inst,
                      struct lw_worker *w, struct lw_random *random);

/* lw_lane_env_fini() - wipe; takes one that was never used */
void lw_lane_env_fini(struct lw_lane_env *env);

/* lw_lane_online() - the tunnel is: a client begins, a server waits for the client's offer */
void lw_lane_online(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);

/* lw_lane_destroy() - wipe all keys; takes NULL */
void lw_lane_destroy(struct lw_lane *l);

/* lw_lane_rotate() - offer a new key when it is time; costs nothing when it is not */
void lw_lane_rotate(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);

/* lw_lane_config() - an offer, a notice or an acknowledgement of the peer */
void lw_lane_config(struct lw_tunnel *t, const struct lw_frame_expresslane *f, uint64_t at,
                    struct lw_sink *k);

/* lw_lane_pong() - the answer to a keepalive: is the lane as good as it should be? */
void lw_lane_pong(struct lw_tunnel *t, const struct lw_frame_ping *f, uint64_t at,
                  struct lw_sink *k);

/* lw_lane_degrade() - give it up for good and tell the peer */
void lw_lane_degrade(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);

/* lw_lane_broken() - the cipher has failed, which cost n packets: as lw_lane_degrade() */
void lw_lane_broken(struct lw_tunnel *t, uint32_t n, uint64_t at, struct lw_sink *k);

/* lw_lane_opened() - a packet was opened by the present key, or by the one before it */
void lw_lane_opened(struct lw_lane *l, bool by_old, uint64_t at);

/* lw_lane_tick() - its deadline has come; harmless when it has not */
void lw_lane_tick(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);

/* lw_lane_deadline() - UINT64_MAX: none; takes NULL */
uint64_t lw_lane_deadline(const struct lw_lane *l);

/* lw_lane_totals() - what a keepalive carries; false: nothing. Takes NULL */
bool lw_lane_totals(const struct lw_lane *l, struct lw_frame_counters *ret_c);

/* lw_lane_ready() - data may be sent on it; takes NULL */
static inline bool lw_lane_ready(const struct lw_lane *l)
{
	return l != NULL && l->state == LW_LANE_ACTIVE && l->tx.handle != NULL &&
	       l->rx.handle != NULL;
}

#endif

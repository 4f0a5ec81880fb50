/* SPDX-License-Identifier: MIT */
/* What a worker counts about all its tunnels: one writer, readers load relaxed. */
#ifndef LW_SESSION_COUNTERS_H
#define LW_SESSION_COUNTERS_H

#include <stdint.h>

/* name, meaning; the order is that of `lanewayctl status` */
#define LW_COUNTERS(X)                                                                             \
	X(SESSIONS_OPENED, "sessions_opened")                                                      \
	X(SESSIONS_ONLINE, "sessions_online")                                                      \
	X(SESSIONS_CLOSED, "sessions_closed")                                                      \
	X(CLOSED_BY_PEER, "closed_by_peer")                                                        \
	X(CLOSED_AUTH, "closed_auth")                                                              \
	X(CLOSED_HANDSHAKE, "closed_handshake")                                                    \
	X(CLOSED_TIMEOUT, "closed_timeout")                                                        \
	X(CLOSED_STALE, "closed_stale")                                                            \
	X(CLOSED_IDLE, "closed_idle")                                                              \
	X(CLOSED_LOST, "closed_lost")                                                              \
	X(CLOSED_PROTOCOL, "closed_protocol")                                                      \
	X(FRAMES_RX, "frames_rx")                                                                  \
	X(FRAMES_TX, "frames_tx")                                                                  \
	X(FRAME_UNKNOWN, "frame_unknown")                                                          \
	X(FRAME_MALFORMED, "frame_malformed")                                                      \
	X(FRAME_TRUNCATED, "frame_truncated")                                                      \
	X(FRAME_BAD_STATE, "frame_bad_state")                                                      \
	X(FRAME_BAD_MODE, "frame_bad_mode")                                                        \
	X(INSIDE_INVALID, "inside_invalid")                                                        \
	X(INSIDE_TOO_BIG, "inside_too_big")                                                        \
	X(SINK_FULL, "sink_full")                                                                  \
	X(STREAM_FULL, "stream_full")                                                              \
	X(HANDSHAKE_DROPPED, "handshake_dropped")                                                  \
	X(HEADER_BAD, "header_bad")                                                                \
	X(HEADER_VERSION, "header_version")                                                        \
	X(HEADER_REJECTED, "header_rejected")                                                      \
	X(SESSION_ID_MISMATCH, "session_id_mismatch")                                              \
	X(EXPRESSLANE_UNWANTED, "expresslane_unwanted")                                            \
	X(EXPRESSLANE_OFFERS_TX, "expresslane_offers_tx")                                          \
	X(EXPRESSLANE_OFFERS_RX, "expresslane_offers_rx")                                          \
	X(EXPRESSLANE_KEYS_TX, "expresslane_keys_tx")                                              \
	X(EXPRESSLANE_KEYS_RX, "expresslane_keys_rx")                                              \
	X(EXPRESSLANE_KEY_FAILED, "expresslane_key_failed")                                        \
	X(EXPRESSLANE_UNANSWERED, "expresslane_unanswered")                                        \
	X(EXPRESSLANE_STALE, "expresslane_stale")                                                  \
	X(EXPRESSLANE_REFUSED, "expresslane_refused")                                              \
	X(EXPRESSLANE_VERSION_KEPT, "expresslane_version_kept")                                    \
	X(EXPRESSLANE_DEGRADED, "expresslane_degraded")                                            \
	X(EXPRESSLANE_TX, "expresslane_tx")                                                        \
	X(EXPRESSLANE_RX, "expresslane_rx")                                                        \
	X(EXPRESSLANE_TRUNCATED, "expresslane_truncated")                                          \
	X(EXPRESSLANE_NO_KEY, "expresslane_no_key")                                                \
	X(EXPRESSLANE_REPLAYED, "expresslane_replayed")                                            \
	X(EXPRESSLANE_AUTH_FAILED, "expresslane_auth_failed")                                      \
	X(EXPRESSLANE_ENCODED, "expresslane_encoded")                                              \
	X(EXPRESSLANE_CIPHER_FAILED, "expresslane_cipher_failed")                                  \
	X(KEY_UPDATES, "key_updates")                                                              \
	X(AUTH_REPEATED, "auth_repeated")                                                          \
	X(PINGS_TX, "pings_tx")                                                                    \
	X(FRAGMENTS_RX, "fragments_rx")                                                            \
	X(FRAGMENTS_BAD, "fragments_bad")                                                          \
	X(BURSTS_SHRUNK, "bursts_shrunk")                                                          \
	X(BURSTS_GROWN, "bursts_grown")

enum lw_counter {
#define X(id, text) LW_CTR_##id,
	LW_COUNTERS(X)
#undef X
		LW_CTR_MAX
};

extern const char *const lw_counter_names[LW_CTR_MAX];

struct lw_counters {
	uint64_t n[LW_CTR_MAX];
	uint64_t rtt_us; /* of the last answered Ping of any tunnel, 0: none yet */
};

static inline void lw_count(struct lw_counters *c, enum lw_counter i)
{
	__atomic_store_n(&c->n[i], c->n[i] + 1, __ATOMIC_RELAXED);
}

static inline void lw_count_n(struct lw_counters *c, enum lw_counter i, uint64_t n)
{
	__atomic_store_n(&c->n[i], c->n[i] + n, __ATOMIC_RELAXED);
}

#endif

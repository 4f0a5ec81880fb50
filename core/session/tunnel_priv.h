/* SPDX-License-Identifier: MIT */
/* What the files of core/session/ share of a tunnel. */
#ifndef LW_SESSION_TUNNEL_PRIV_H
#define LW_SESSION_TUNNEL_PRIV_H

#include "session/expresslane.h"
#include "session/tunnel.h"
#include "wire/frame.h"

#define LW_NEVER UINT64_MAX
#define LW_MS    1000ull
#define LW_S     1000000ull

/* wire.md 4.6: the handshake's own limit, which the server also grants for the login */
#define LW_LOGIN_WAIT_US (12700 * LW_MS)
/* the backend's time for an answer */
#define LW_AUTH_ANSWER_US (10 * LW_S)
/* the client sends its login again after 100 ms, 200 ms, ... at most 1.6 s, and gives up */
#define LW_LOGIN_RESEND_US     (100 * LW_MS)
#define LW_LOGIN_RESEND_MAX_US (1600 * LW_MS)
#define LW_LOGIN_GIVE_UP_US    (30 * LW_S)
/* a login that is repeated while online is looked at once a second */
#define LW_LOGIN_REPEAT_US (1 * LW_S)
/* tunnel protocol version 1.minor from which on there is Expresslane */
#define LW_LANE_MINOR 3
/* the longest control frame that we send: AuthSuccess */
#define LW_CONTROL_MAX 128u

/* what a TLS call writes to: lent for one call */
struct lw_out {
	struct lw_tunnel *t;
	struct lw_sink *k;
	uint32_t calls; /* records that came out */
};

/* wire_out.c */
uint8_t *lw_out_datagram(const struct lw_out *o, uint32_t len);
struct lw_tls_io lw_out_io(struct lw_out *o, const uint8_t *in, size_t in_len);
bool lw_out_room(const struct lw_tunnel *t, const struct lw_sink *k, size_t plaintext,
                 bool control);
void lw_send_frame(struct lw_tunnel *t, const struct lw_frame *f, uint64_t at, struct lw_sink *k);
void lw_send_keepalive(struct lw_tunnel *t, uint8_t type, uint16_t id, uint64_t at,
                       struct lw_sink *k);
int lw_send_plain(struct lw_tunnel *t, const uint8_t *p, size_t len, uint64_t at,
                  struct lw_sink *k);

/* tunnel.c */
void lw_tunnel_event(struct lw_sink *k, enum lw_event_type type, uint32_t arg);
int lw_tunnel_fail(struct lw_tunnel *t, enum lw_close_reason reason, uint64_t at,
                   struct lw_sink *k);
void lw_tunnel_break(struct lw_tunnel *t, uint64_t at);
int lw_tunnel_after_step(struct lw_tunnel *t, int result, uint64_t at, struct lw_sink *k);
void lw_tunnel_go_online(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);
void lw_tunnel_send_login(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);

/* step.c: false: there is no room */
bool lw_step_keep(struct lw_tunnel *t, const uint8_t *p, size_t len);
void lw_step_want(struct lw_tunnel *t, struct lw_sink *k);

/* timers.c */
void lw_tunnel_arm_tls(struct lw_tunnel *t, uint64_t at);
void lw_tunnel_heard(struct lw_tunnel *t, uint64_t at);
void lw_tunnel_doubt(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);
void lw_tunnel_ping(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);
void lw_tunnel_pong(struct lw_tunnel *t, uint64_t at);
void lw_tunnel_key_update(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);

/* frames.c */
int lw_tunnel_frame(struct lw_tunnel *t, const struct lw_frame *f, struct lw_packet *from,
                    uint64_t at, struct lw_sink *k);

/* roam.c */
void lw_tunnel_accepted(struct lw_tunnel *t, uint64_t session, uint64_t at, struct lw_sink *k);

/* rx.c */
bool lw_deliver(struct lw_tunnel *t, struct lw_packet *from, const uint8_t *p, size_t len,
                struct lw_sink *k);

/* lane_tx.c: may a packet of that length go on Expresslane now? Then it can be given to it. */
bool lw_lane_takes(const struct lw_tunnel *t, uint32_t len);
int lw_lane_tx(struct lw_tunnel *t, struct lw_seg *g, uint64_t at, struct lw_sink *k);

/* lane_rx.c: one datagram is gathered; then all that were are opened. Frames, or negative: the
 * session has ended */
int lw_lane_rx(struct lw_tunnel *t, struct lw_packet *dgram, uint8_t *p, size_t len,
               uint64_t session, uint64_t at, struct lw_sink *k);
int lw_lane_rx_run(struct lw_tunnel *t, struct lw_packet *dgram, uint64_t at, struct lw_sink *k);

/* lw_lane_waits() - are there gathered ones? */
static inline bool lw_lane_waits(const struct lw_tunnel *t)
{
	return t->lane != NULL && t->lane->env->n_ops > 0;
}

#endif

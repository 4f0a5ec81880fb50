/* SPDX-License-Identifier: MIT */
/*
 * One tunnel, either role, sans-I/O: it is fed bytes, packets and the time, and answers with
 * batches, events and one deadline. It opens, reads and waits for nothing and calls no module.
 * Behaviour: the Lightway protocol, spec/wire.md; sections are named where a rule comes from.
 *
 * Expresslane stands beside the TLS data path. A server's driver finds a tunnel by address or by
 * id, so ids are its to draw, and it moves a tunnel whose peer has another address (wire.md 6).
 */
#ifndef LW_SESSION_TUNNEL_H
#define LW_SESSION_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <laneway/module.h>

#include "packet/segment.h"
#include "session/burst.h"
#include "session/counters.h"
#include "session/step.h"
#include "session/stream.h"
#include "tls/tls.h"

struct lw_lane;
struct lw_lane_env;
struct lw_reassembly;

/* datagrams, with bytes for each, and events that a sink must have room for when it is lent */
#define LW_SINK_DATAGRAMS      24
#define LW_SINK_DATAGRAM_BYTES 2048
#define LW_SINK_EVENTS         8

/* ids that a client remembers to have replaced */
#define LW_TUNNEL_PAST_IDS 4u

enum lw_tunnel_state {
	LW_TUNNEL_CONNECTING,
	LW_TUNNEL_LINK_UP,        /* server: waits for the login */
	LW_TUNNEL_AUTHENTICATING, /* client: waits for the answer */
	LW_TUNNEL_ONLINE,
	LW_TUNNEL_CLOSED
};

/* why a tunnel ended */
enum lw_close_reason {
	LW_CLOSE_NONE,
	LW_CLOSE_LOCAL,     /* we said goodbye */
	LW_CLOSE_PEER,      /* Goodbye or close_notify from the peer */
	LW_CLOSE_AUTH,      /* login refused */
	LW_CLOSE_HANDSHAKE, /* TLS failed: lw_tls_error() says how */
	LW_CLOSE_TIMEOUT,   /* handshake, login or keepalive unanswered */
	LW_CLOSE_STALE,     /* not online in time */
	LW_CLOSE_IDLE,
	LW_CLOSE_LOST,    /* TCP: the connection broke */
	LW_CLOSE_PROTOCOL /* the peer broke the protocol */
};

enum lw_event_type {
	LW_EVENT_STEP, /* server that lends: lw_tunnel_lend() has a step for another thread */
	LW_EVENT_AUTH_WANTED, /* server: lw_tunnel_take_login() has what the peer sent */
	LW_EVENT_ONLINE,
	LW_EVENT_KEY_UPDATE, /* server, UDP: one of ours has begun, time for another session id */
	LW_EVENT_ROTATED,    /* server: the peer uses the new session id, the old one has ended */
	LW_EVENT_CLOSED      /* arg: enum lw_close_reason; destroy it after the call */
};

struct lw_event {
	uint32_t type;
	uint32_t arg;
};

/* data frames that will be one TLS record of a stream */
struct lw_out_record {
	uint32_t len;
	uint32_t frames;
	uint8_t data[LW_TLS_STREAM_RECORD_MAX];
};

/*
 * Where one call puts its results; lent by the driver.
 * wire:   datagrams for the peer, Lightway header included (UDP)
 * inside: packets for the chain: views into what came in, or into its own arena (TCP, fragments)
 * record: where frames of a stream gather, empty at first; NULL: each gets a record of its own
 * run_*:  limits of a run, in datagrams and bytes; 0 datagrams: single ones only
 */
struct lw_sink {
	struct lw_batch *wire;
	struct lw_batch *inside;
	struct lw_out_record *record;
	uint32_t run_segs;
	uint32_t run_bytes;
	struct lw_event events[LW_SINK_EVENTS];
	uint32_t n_events;
};

/* what all tunnels of a daemon share; outlives them, read-only */
struct lw_tunnel_conf {
	uint32_t role;           /* LW_ROLE_* */
	uint32_t outside_mtu;    /* bytes of the largest outside IP packet, 1500 */
	uint32_t inside_mtu;     /* bytes; the server announces it */
	uint32_t state_bytes;    /* of all modules, per session */
	uint64_t lane_rotate_us; /* age of an Expresslane key; 0: none is offered or taken */
	/* server */
	struct lw_addr client_address; /* what every client is told */
	struct lw_addr server_address;
	struct lw_addr dns;
	uint64_t key_update_us; /* 0: never by time */
	uint64_t stale_us;
	uint64_t idle_us;
	/* client */
	const char *user;
	const char *password;
	uint64_t keepalive_us;
	uint64_t keepalive_timeout_us;
};

/* a login as it came from the peer */
struct lw_login {
	uint32_t method; /* LW_AUTH_METHOD_* */
	uint32_t secret_len;
	char user[52];
	uint8_t secret[1348];
};

/* how a tunnel is begun */
struct lw_tunnel_start {
	struct lw_tls *tls; /* taken, also on failure */
	struct lw_endpoint endpoint;
	bool stream;                /* TCP */
	bool lends;                 /* server: see LW_EVENT_STEP; else steps are taken here */
	uint8_t minor;              /* tunnel protocol version 1.minor */
	uint64_t id;                /* server on UDP: drawn by the driver; else 0 */
	struct lw_chunk_pool *pool; /* TCP */
	struct lw_lane_env *lane;   /* of the worker; NULL: no Expresslane */
	struct lw_counters *counters;
	uint64_t serial;
};

struct lw_tunnel {
	struct lw_session s; /* first: what modules see */
	const struct lw_tunnel_conf *conf;
	struct lw_counters *counters;
	struct lw_tls *tls;           /* NULL: it is lent */
	void *owner;                  /* the driver's: its own record of this tunnel */
	void *port;                   /* the driver's: the outside instance that carries it */
	struct lw_tunnel *next_dirty; /* the driver's list of streams to flush */
	struct lw_tunnel *next_dead;  /* the driver's list of what to destroy */
	struct lw_endpoint endpoint;
	struct lw_burst burst; /* UDP; the driver's, which spaces */
	struct lw_stream stream;
	enum lw_tunnel_state state;
	enum lw_close_reason reason;
	bool is_stream;
	bool aggressive; /* send each datagram three times: wire.md 1.4 */
	bool lends;      /* until the TLS object has answered the hello */
	bool handshake_done;
	bool auth_pending;  /* the backend is asked */
	bool key_updating;  /* one of ours waits for its answer */
	bool keepalive_due; /* a Ping is unanswered */
	bool burst_watched; /* the driver's */
	bool in_chain;      /* the driver's: filters know of it */
	bool dirty;         /* in the driver's list */
	bool broken;        /* a write failed: the next tick ends it */
	uint8_t minor;
	uint64_t id;     /* in the header of what we send */
	uint64_t old_id; /* server: what the peer may still use; LW_WIRE_ID_EMPTY: nothing */
	uint64_t past_ids[LW_TUNNEL_PAST_IDS]; /* client: what id was before, in a ring */
	uint32_t next_past;
	uint64_t adopted_us; /* client: when it took id */
	char user[64];
	struct lw_pieces waiting; /* what the peer has sent, for the step that is lent next */
	struct lw_login *login;   /* waits for the driver */
	struct lw_reassembly *reassembly;
	struct lw_lane_env *lane_env;
	struct lw_lane *lane; /* NULL: neither end has begun with one */
	uint8_t *carry;       /* TCP: head of a frame whose rest has not come */
	uint32_t carry_len;
	uint32_t carry_cap;
	/* client, from AuthSuccess */
	struct lw_addr told_server;
	struct lw_addr told_dns;
	/* deadlines in us, UINT64_MAX: none */
	uint64_t tls_tick_at;
	uint64_t auth_at;      /* client: send the login again. server: the backend must answer */
	uint64_t auth_until;   /* client: give up */
	uint64_t stale_at;     /* server: must be online; also the wait for the login */
	uint64_t idle_at;      /* server */
	uint64_t ping_at;      /* client */
	uint64_t dead_at;      /* client */
	uint64_t ping_sent_us; /* for the round-trip time */
	uint64_t key_update_at;
	uint64_t auth_wait_us; /* present gap between logins */
	uint64_t last_login_us;
	uint64_t last_rx_us;
	uint64_t rtt_us; /* of the last answered Ping, 0: none yet */
	/* totals for people */
	uint64_t rx_packets;
	uint64_t rx_bytes;
	uint64_t tx_packets;
	uint64_t tx_bytes;
};

/**
 * lw_tunnel_create() - a tunnel before its first byte
 *
 * @conf:  borrowed, outlives it
 * @start: copied; its TLS object is taken, also on failure
 * @at:    now, in microseconds, as in all calls here
 *
 * Context: the tunnel's worker, as all calls here.
 * Return:  0 or -ENOMEM.
 */
int lw_tunnel_create(const struct lw_tunnel_conf *conf, const struct lw_tunnel_start *start,
                     uint64_t at, struct lw_tunnel **ret);

/* lw_tunnel_destroy() - wipe and free; takes NULL. Says nothing to the peer */
void lw_tunnel_destroy(struct lw_tunnel *t);

/**
 * lw_tunnel_begin() - first step of the handshake: the client's hello, or what follows the
 * cookie on a server
 *
 * Return: 0, or a negative errno: closed, destroy it.
 */
int lw_tunnel_begin(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);

/**
 * lw_tunnel_lend() - take the TLS object, with what has come for it, after LW_EVENT_STEP
 *
 * Another thread may carry the step out. All other calls for the tunnel may come meanwhile; what
 * the peer sends waits. A driver that cannot lend now leaves it: more from the peer asks again.
 *
 * @ret: the caller's: lw_tunnel_stepped(), or, when the tunnel is gone, lw_step_fini()
 */
void lw_tunnel_lend(struct lw_tunnel *t, struct lw_step *ret);

static inline bool lw_tunnel_is_lent(const struct lw_tunnel *t)
{
	return t->lends && t->tls == NULL;
}

/**
 * lw_tunnel_stepped() - the step was carried out: the tunnel has its TLS object again
 *
 * @s: lw_step_fini() is still the caller's to call
 *
 * Return: 0, or a negative errno: closed, destroy it.
 */
int lw_tunnel_stepped(struct lw_tunnel *t, struct lw_step *s, uint64_t at, struct lw_sink *k);

/**
 * lw_tunnel_rx() - one datagram, or a run, from the peer: UDP
 *
 * Its bytes are overwritten; packets in k->inside are views into them.
 *
 * Return: frames accepted, or a negative errno: closed (t->reason says why), flush the sink and
 *         destroy it.
 */
int lw_tunnel_rx(struct lw_tunnel *t, struct lw_packet *dgram, uint64_t at, struct lw_sink *k);

/**
 * lw_tunnel_rx_bytes() - bytes from the peer: TCP
 *
 * @ret_used: bytes taken; what is left must be offered again after -EAGAIN
 *
 * Return: frames accepted; -EAGAIN: the sink is full, empty it and call again, also with nothing
 *         left, for the library may hold more; any other: closed, as for lw_tunnel_rx().
 */
int lw_tunnel_rx_bytes(struct lw_tunnel *t, const uint8_t *p, size_t len, size_t *ret_used,
                       uint64_t at, struct lw_sink *k);

/**
 * lw_tunnel_tx() - one packet, superpacket or encoded unit for the peer
 *
 * What gathers in k->record is sent by lw_tunnel_tx_end(), which must follow the last of several
 * calls with the same sink, before any other call for this tunnel.
 *
 * Return: 0: sent, gathered, or dropped and counted; -EAGAIN: the sink is full, nothing is
 *         gathered; empty it and call again with the same g.
 */
int lw_tunnel_tx(struct lw_tunnel *t, struct lw_seg *g, uint64_t at, struct lw_sink *k);

/**
 * lw_tunnel_move() - what follows goes to this address: a datagram that was accepted came from it
 *
 * What the tunnel made before, as the answer to that very datagram, is on its way to the old one.
 *
 * @ep: copied
 */
void lw_tunnel_move(struct lw_tunnel *t, const struct lw_endpoint *ep);

/**
 * lw_tunnel_rotate() - from now on another session id is sent, and a Ping announces it
 *
 * The old one stays the peer's to use until LW_EVENT_ROTATED. There is no limit to that: an
 * announcement that is lost is made up for by any later datagram (wire.md 6.3).
 *
 * @id: drawn by the driver, which must find the tunnel by it and by the old one
 *
 * Context: only while lw_tunnel_may_rotate().
 */
void lw_tunnel_rotate(struct lw_tunnel *t, uint64_t id, uint64_t at, struct lw_sink *k);

/* lw_tunnel_may_rotate() - a server's on UDP, open, and no rotation is under way */
bool lw_tunnel_may_rotate(const struct lw_tunnel *t);

/* lw_tunnel_tx_end() - what has gathered becomes a record; room for it is there */
void lw_tunnel_tx_end(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);

/**
 * lw_tunnel_tick() - the deadline has come; harmless when it has not
 *
 * Return: 0, or a negative errno: closed.
 */
int lw_tunnel_tick(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);

/**
 * lw_tunnel_take_login() - what the peer sent to log in, after LW_EVENT_AUTH_WANTED
 *
 * Return: the login, now the caller's: wipe and free() it. NULL: none waits.
 */
struct lw_login *lw_tunnel_take_login(struct lw_tunnel *t);

/**
 * lw_tunnel_auth() - the backend's answer; s.inside must be set by then when it is a yes
 *
 * Return: 0, or a negative errno: closed (login refused).
 */
int lw_tunnel_auth(struct lw_tunnel *t, const struct lw_auth_answer *a, uint64_t at,
                   struct lw_sink *k);

/* lw_tunnel_close() - Goodbye and close_notify, as far as the state allows; then destroy it */
void lw_tunnel_close(struct lw_tunnel *t, uint64_t at, struct lw_sink *k);

/* lw_tunnel_drop() - its connection is gone: closed without a word to the peer; then destroy it */
void lw_tunnel_drop(struct lw_tunnel *t);

/* lw_tunnel_deadline() - when lw_tunnel_tick() must be called, UINT64_MAX: never; any call moves it
 */
uint64_t lw_tunnel_deadline(const struct lw_tunnel *t);

/* lw_close_reason_text() - in words for the operator */
const char *lw_close_reason_text(enum lw_close_reason reason);

#endif

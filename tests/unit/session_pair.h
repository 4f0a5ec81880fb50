/* SPDX-License-Identifier: MIT */
/*
 * A client's and a server's tunnel joined in memory, with virtual time and a network that loses,
 * doubles and reorders from a seed.
 */
#ifndef LW_TESTS_SESSION_PAIR_H
#define LW_TESTS_SESSION_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "session/tunnel.h"
#include "tls/listener.h"

#define PAIR_FLIGHT 512
#define PAIR_PACKET 2048

/* a datagram, or a piece of a stream, on its way */
struct pair_packet {
	uint64_t due_us;
	uint32_t len;
	bool to_server;
	uint8_t data[PAIR_PACKET];
};

struct pair_side {
	struct lw_tunnel_conf conf;
	struct lw_tunnel *t;
	struct lw_counters counters;
	struct lw_batch *wire;
	struct lw_batch *inside;
	struct lw_chunk_pool chunks;
	struct lw_lane_env *lane; /* NULL: no Expresslane; also conf.lane_rotate_us */
	int result;               /* of the call that closed it, 0: open */
	bool mute;                /* what it sends is lost; a stream does not recover */
	unsigned drop_next;       /* so many of the next datagrams that it sends are lost */
	uint32_t n_online;
	uint32_t n_auth_wanted;
	uint32_t n_closed;
	uint32_t n_key_updates;
	uint32_t n_rotated;
	/* inside packets that came out of it */
	uint8_t got[64][2048];
	uint32_t got_len[64];
	uint32_t n_got;
};

struct pair {
	bool stream;
	struct lw_tls_ctx *server_ctx;
	struct lw_tls_ctx *client_ctx;
	struct lw_tls_listener *listener;
	struct pair_side server;
	struct pair_side client;
	struct lw_login login; /* what the server was given last */
	bool answer_at_once;   /* say yes to every login */
	uint64_t now_us;
	uint64_t seed;
	unsigned loss_percent;
	unsigned twice_percent;
	uint64_t delay_us; /* one way; up to twice of it where reordering */
	uint32_t piece;    /* bytes of a stream that arrive at a time */
	bool reorder;
	struct pair_packet *flight[PAIR_FLIGHT]; /* the first n_flight are under way */
	uint32_t n_flight;
	struct pair_packet *packets; /* memory of all, so that nothing is allocated on the way */
	uint8_t minor;               /* the client's tunnel protocol version, 1.minor */
	/* told of every datagram that a side sends, lost ones and each copy included */
	void (*tap)(void *arg, bool from_client, const uint8_t *dgram, size_t len);
	void *tap_arg;
	uint64_t datagrams[2]; /* sent: by the client, by the server */
	uint64_t send_times[2][64];
};

/* pair_create() - both ends before the first byte; ends the test program when that fails */
struct pair *pair_create(bool stream, uint64_t seed);
void pair_destroy(struct pair *p);

/* pair_prepare(), pair_open() - the two halves of pair_create(): between them both ends have a
 * configuration and no tunnel yet */
struct pair *pair_prepare(bool stream, uint64_t seed);
void pair_open(struct pair *p);

/* pair_client_ctx() - what a client needs that trusts a CA of tests/data/tls */
struct lw_tls_ctx *pair_client_ctx(const char *ca);

/* pair_begin() - the client's hello */
void pair_begin(struct pair *p);

/* pair_run() - let time pass until a deadline, or until both are online when told so */
void pair_run(struct pair *p, uint64_t us, bool until_online);

/* pair_run_to() - run, 100 us at a time and 1 s at most, until a side has got into a state */
void pair_run_to(struct pair *p, const struct pair_side *s, enum lw_tunnel_state state);

/* pair_connect() - begin and run until both are online; fails the test when they do not get there
 */
void pair_connect(struct pair *p);

/* pair_online() - create and connect; seed 1, a network without faults */
struct pair *pair_online(bool stream);

/* pair_at_login() - create and run until the server's backend is asked and has not answered */
struct pair *pair_at_login(bool stream);

/* pair_end() - a side by number: 0 is the client, 1 the server; pair_peer() - the other side */
struct pair_side *pair_end(struct pair *p, bool server);
struct pair_side *pair_peer(struct pair *p, const struct pair_side *s);

/* pair_closed() - whether a side has ended */
bool pair_closed(const struct pair_side *s);

/* pair_inject() - one frame's bytes from one side, through its TLS, as if it had sent it */
void pair_inject(struct pair *p, struct pair_side *from, const void *frame, size_t len);

/* pair_inject_hex() - the same from hex digits, and the time that it takes to arrive */
void pair_inject_hex(struct pair *p, struct pair_side *from, const char *hex);

/* pair_check_lives() - fail the test unless a side is open and takes the next frame */
void pair_check_lives(struct pair *p, struct pair_side *s);

/* pair_take() - take the datagram that was sent last out of the network; returns its length */
size_t pair_take(struct pair *p, uint8_t buf[static PAIR_PACKET]);

/* pair_feed() - hand a side a datagram as it stands; returns what lw_tunnel_rx() did */
int pair_feed(struct pair *p, struct pair_side *to, const void *dgram, size_t len);

/* pair_send() - an inside packet into one side */
void pair_send(struct pair *p, struct pair_side *from, const void *packet, uint32_t len);

/* pair_flush() - send what a call of the test's own left in a side's batches and stream */
void pair_flush(struct pair *p, struct pair_side *side);

/* pair_auth() - the server's backend answers */
void pair_auth(struct pair *p, uint32_t verdict);

/* pair_close() - one side says goodbye */
void pair_close(struct pair *p, struct pair_side *side);

#endif

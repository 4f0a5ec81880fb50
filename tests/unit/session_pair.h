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

/* a datagram, or a piece of a stream, on its way */
struct pair_packet {
	uint64_t due_us;
	uint32_t len;
	bool to_server;
	uint8_t data[2048];
};

struct pair_side {
	struct lw_tunnel_conf conf;
	struct lw_tunnel *t;
	struct lw_counters counters;
	struct lw_batch *wire;
	struct lw_batch *inside;
	struct lw_chunk_pool chunks;
	int result; /* of the call that closed it, 0: open */
	uint32_t n_online;
	uint32_t n_auth_wanted;
	uint32_t n_closed;
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
	bool reorder;
	struct pair_packet *flight[PAIR_FLIGHT];
	uint32_t n_flight;
	uint64_t datagrams[2]; /* sent: by the client, by the server */
	uint64_t send_times[2][64];
};

/* pair_create() - both ends before the first byte; ends the test program when that fails */
struct pair *pair_create(bool stream, uint64_t seed);
void pair_destroy(struct pair *p);

/* pair_begin() - the client's hello */
void pair_begin(struct pair *p);

/* pair_run() - let time pass until a deadline, or until both are online when told so */
void pair_run(struct pair *p, uint64_t us, bool until_online);

/* pair_connect() - begin and run until both are online; fails the test when they do not get there
 */
void pair_connect(struct pair *p);

/* pair_inject() - one frame's bytes from one side, through its TLS, as if it had sent it */
void pair_inject(struct pair *p, struct pair_side *from, const void *frame, size_t len);

/* pair_send() - an inside packet into one side */
void pair_send(struct pair *p, struct pair_side *from, const void *packet, uint32_t len);

/* pair_auth() - the server's backend answers */
void pair_auth(struct pair *p, uint32_t verdict);

/* pair_close() - one side says goodbye */
void pair_close(struct pair *p, struct pair_side *side);

#endif

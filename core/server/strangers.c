/* SPDX-License-Identifier: MIT */
#include "server/strangers.h"

#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/random.h"
#include "server/record.h"
#include "server/steps.h"
#include "wire/header.h"

/* a cookie carries no time, so its secret changes: wire.md 4.9.2 */
#define REKEY_US (120 * LW_US_PER_S)
/* Rejects of a worker: after a restart its peers, whose ids mean nothing any more, learn that
 * within seconds, and a flood costs no more than the look at its ids. */
#define REJECTS_PER_S 1000u
/* where DTLS says what a datagram is: RFC 9147, 5.2. Record type, message type and its number */
#define RECORD_TYPE  LW_WIRE_HEADER_LEN
#define MESSAGE_TYPE (LW_WIRE_HEADER_LEN + 13)
#define MESSAGE_SEQ  (MESSAGE_TYPE + 5)
#define HANDSHAKE    22
#define CLIENT_HELLO 1

int lw_strangers_init(struct lw_sessions *s, struct lw_err *err)
{
	uint8_t secret[LW_TLS_SECRET_SIZE];
	int r;

	lw_random_bytes(secret, sizeof(secret));
	r = lw_tls_listener_create(s->tls, secret, NULL, s->core->now_us, &s->listener, err);
	explicit_bzero(secret, sizeof(secret));
	s->rekey_at_us = s->core->now_us + REKEY_US;
	return r;
}

/* A client sends each datagram of its handshake three times. Three answers are more likely to
 * arrive than one, so each gets its own while there is time for it. */
static bool is_copy(const struct lw_packet *a, const struct lw_packet *b)
{
	return a->len == b->len && a->endpoint->tag == b->endpoint->tag &&
	       lw_addr_equal(&a->endpoint->remote, &b->endpoint->remote) &&
	       memcmp(lw_packet_data(a), lw_packet_data(b), a->len) == 0;
}

/* A client's second hello is the one that brings a cookie. Anybody can make one that looks so, at
 * the price that we look at the cookie. */
static bool is_second_hello(const struct lw_packet *dgram)
{
	const uint8_t *p = lw_packet_data(dgram);

	return dgram->len > MESSAGE_SEQ && p[RECORD_TYPE] == HANDSHAKE &&
	       p[MESSAGE_TYPE] == CLIENT_HELLO && p[MESSAGE_SEQ] == 1;
}

void lw_strangers_keep(struct lw_sessions *s, struct lw_packet *dgram)
{
	struct lw_strangers *list = &s->asking;
	uint32_t most = s->core->few_strangers ? LW_STRANGERS_WHEN_BUSY : LW_STRANGERS_PER_BATCH;
	const struct lw_packet *last = s->last_stranger;

	s->last_stranger = dgram;
	if (s->core->few_strangers && last != NULL && is_copy(last, dgram)) {
		lw_sessions_count(s, LW_SRV_HELLOS_COPIES, 1);
		return;
	}
	if (is_second_hello(dgram)) {
		list = &s->returning;
		most = LW_STRANGERS_PER_BATCH;
	}
	if (list->n < most)
		list->pkt[list->n++] = dgram;
	else
		lw_sessions_count(s, LW_SRV_HELLOS_DROPPED, 1);
}

struct reply {
	struct lw_port *port;
	const struct lw_packet *dgram;
	uint8_t minor;
	bool sent;
};

/* One answer of the cookie listener; it goes out under no session id. */
static int out_reply(void *arg, const uint8_t *p, size_t len)
{
	struct reply *r = arg;
	const struct lw_wire_header h = { .major = LW_WIRE_MAJOR, .minor = r->minor };
	struct lw_packet *pkt =
		lw_batch_reserve(r->port->wire, (uint32_t)(LW_WIRE_HEADER_LEN + len));

	if (pkt == NULL)
		return 0;
	lw_wire_header_write(lw_packet_data(pkt), &h);
	memcpy(lw_packet_data(pkt) + LW_WIRE_HEADER_LEN, p, len);
	*pkt->endpoint = *r->dgram->endpoint;
	pkt->endpoint->tos = 0;
	(void)lw_batch_commit(r->port->wire, (uint32_t)(LW_WIRE_HEADER_LEN + len));
	r->sent = true;
	return 0;
}

static void begin_udp(struct lw_sessions *s, struct lw_port *port, struct lw_tls *tls,
                      const struct lw_packet *dgram, uint8_t minor, struct lw_record *older)
{
	struct lw_tunnel *t;

	lw_sessions_count(s, LW_SRV_COOKIES_GOOD, 1);
	if (!lw_sessions_admit(s, &dgram->endpoint->remote)) {
		lw_tls_destroy(tls);
		return;
	}
	s->core->strangers_welcome = true;
	if (lw_record_open(s, port, tls, dgram->endpoint, minor, older, &t) < 0)
		return;

	struct lw_sink k = lw_path_sink(&s->core->path, t);

	(void)lw_tunnel_begin(t, s->core->now_us, &k);
	lw_path_after(&s->core->path, t, &k);
}

static void feed(struct lw_sessions *s, struct lw_tunnel *t, struct lw_packet *dgram)
{
	struct lw_sink k = lw_path_sink(&s->core->path, t);

	(void)lw_tunnel_rx(t, dgram, s->core->now_us, &k);
	lw_path_after(&s->core->path, t, &k);
}

static void serve_stranger(struct lw_sessions *s, struct lw_port *port, struct lw_packet *dgram)
{
	struct reply reply = { .port = port, .dgram = dgram };
	struct lw_tls_io io = { .in = lw_packet_data(dgram) + LW_WIRE_HEADER_LEN,
		                .in_len = dgram->len - LW_WIRE_HEADER_LEN,
		                .out = out_reply,
		                .arg = &reply };
	struct lw_record *rec = lw_record_find(s, port, dgram->endpoint);
	struct lw_wire_header h;
	struct lw_tls *tls = NULL;
	int r;

	if (lw_wire_header_parse(lw_packet_data(dgram), dgram->len, &h) < 0)
		return;
	/* an earlier one of this batch has begun it: this is a copy, or the hello's second part */
	if (rec != NULL && !lw_record_forgotten(s, rec)) {
		feed(s, rec->timed.tunnel, dgram);
		return;
	}
	if (lw_steps_full(s)) { /* it sends again */
		lw_steps_turn_away(s);
		return;
	}
	reply.minor = h.minor;
	r = lw_tls_listen(s->listener, dgram->endpoint, &io, &tls);
	lw_sessions_count(s, LW_SRV_HELLOS, 1);
	if (reply.sent)
		lw_sessions_count(s, LW_SRV_COOKIES_SENT, 1);
	if (r < 0)
		lw_sessions_count(s, LW_SRV_HELLOS_BAD, 1);
	if (r == 1)
		begin_udp(s, port, tls, dgram, h.minor, rec);
}

static void rekey(struct lw_sessions *s)
{
	uint8_t secret[LW_TLS_SECRET_SIZE];

	(void)lw_tls_listener_expire(s->listener, s->core->now_us);
	if (s->core->now_us < s->rekey_at_us)
		return;
	lw_random_take(&s->core->random, secret, sizeof(secret));
	if (lw_tls_listener_rekey(s->listener, secret, s->core->now_us) == 0)
		s->rekey_at_us = s->core->now_us + REKEY_US;
	explicit_bzero(secret, sizeof(secret));
}

static void serve_strangers(struct lw_sessions *s, struct lw_port *port, struct lw_strangers *list)
{
	for (uint32_t i = 0; i < list->n; i++)
		serve_stranger(s, port, list->pkt[i]);
	list->n = 0;
}

void lw_strangers_serve(struct lw_sessions *s, struct lw_port *port)
{
	if (s->last_stranger == NULL)
		return;
	s->last_stranger = NULL;
	rekey(s);
	serve_strangers(s, port, &s->returning);
	serve_strangers(s, port, &s->asking);
}

void lw_strangers_reject(struct lw_sessions *s, struct lw_port *port, const struct lw_packet *dgram)
{
	const struct lw_wire_header h = { .session = LW_WIRE_ID_REJECTED,
		                          .major = LW_WIRE_MAJOR,
		                          .minor = LW_WIRE_MINOR_MIN };
	struct lw_packet *pkt = NULL;

	if (lw_sessions_may(s, &s->rejects, REJECTS_PER_S, LW_US_PER_S))
		pkt = lw_batch_reserve(port->wire, LW_WIRE_HEADER_LEN);
	if (pkt == NULL) {
		lw_sessions_count(s, LW_SRV_REJECTS_DROPPED, 1);
		return;
	}
	lw_wire_header_write(lw_packet_data(pkt), &h);
	*pkt->endpoint = *dgram->endpoint;
	pkt->endpoint->tos = 0;
	(void)lw_batch_commit(port->wire, LW_WIRE_HEADER_LEN);
	lw_sessions_count(s, LW_SRV_REJECTS_SENT, 1);
}

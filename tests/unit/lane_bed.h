/* SPDX-License-Identifier: MIT */
/*
 * Expresslane of one tunnel in virtual time against a peer by hand: what the tunnel sends is opened
 * with the peer's TLS and written down, and what the peer says is the test's.
 */
#ifndef LW_TESTS_LANE_BED_H
#define LW_TESTS_LANE_BED_H

#include "fake/fake_cipher.h"
#include "session/expresslane.h"
#include "session/tunnel_priv.h"
#include "unit/session_pair.h"

#define LANE_FRAMES 256

/* a control frame that the tunnel under test sent */
struct lane_frame {
	uint64_t at_us;
	uint8_t type;
	bool totals; /* of a Ping or Pong: there are some */
	struct lw_frame_counters counters;
	struct lw_frame_expresslane config; /* key: NULL */
	uint8_t key[LW_FRAME_KEY_LEN];
};

struct lane_end {
	struct lw_fake_cipher cipher;
	struct lw_worker w;
	struct lw_random random;
	struct lw_lane_env env;
};

struct lane_bed {
	struct pair *p;
	struct pair_side *side; /* under test */
	struct pair_side *hand;
	struct lane_end end[2]; /* client, server */
	struct lane_end *own;   /* of the side under test */
	struct lane_frame got[LANE_FRAMES];
	uint32_t n_got;
	uint32_t n_read;
	bool deaf; /* the peer does not open what it gets */
};

/* lane_bed_init() - the tunnel is online and the peer, which is not `side`, is the test */
void lane_bed_init(struct lane_bed *b, bool server);

/* lane_bed_init_minor() - the same with a tunnel protocol version, and a rotation interval */
void lane_bed_init_minor(struct lane_bed *b, bool server, uint8_t minor, uint64_t rotate_us);

/* lane_bed_init_pair() - both ends are tunnels of ours, online; nothing is written down */
void lane_bed_init_pair(struct lane_bed *b, uint64_t seed, uint64_t rotate_us);

/* lane_bed_fini() - and no key has survived */
void lane_bed_fini(struct lane_bed *b);

/* lane_next() - the next config that was sent, NULL: none */
const struct lane_frame *lane_next(struct lane_bed *b);

/* lane_expect() - the next config, which must be this; lane_quiet() - there is none */
const struct lane_frame *lane_expect(struct lane_bed *b, bool enabled, bool ack, uint64_t counter);
void lane_quiet(struct lane_bed *b);

/* lane_say() - a config of the peer: its key is 32 times `key`; arrives 2 ms later */
void lane_say(struct lane_bed *b, uint8_t version, bool enabled, bool ack, uint64_t counter,
              uint8_t key);
void lane_offer(struct lane_bed *b, uint64_t counter, uint8_t key);
void lane_ack(struct lane_bed *b, uint64_t counter);

/* lane_up() - both directions have a key: the peer's offer 1 with key `a1` */
void lane_up(struct lane_bed *b);

/* lane_packet() - an inside packet into the tunnel under test */
void lane_packet(struct lane_bed *b);

/* lane_pong() - the peer's answer to a keepalive; NULL: without totals */
void lane_pong(struct lane_bed *b, const struct lw_frame_counters *c);

/* a packet that the test makes up; `key` is 32 times that byte */
struct lane_packet {
	uint8_t key;
	uint8_t version;
	uint64_t session;
	uint64_t counter;
	uint16_t flags;
};

/* lane_seal() - a datagram with an inside packet of `len` bytes whose second byte is `mark` */
size_t lane_seal(uint8_t dgram[PAIR_PACKET], const struct lane_packet *k, uint32_t len,
                 uint8_t mark);

/* lane_feed() - hand the tunnel under test a datagram; what lw_tunnel_rx() answered */
int lane_feed(struct lane_bed *b, const uint8_t *dgram, size_t len);

/* lane_count() - of the tunnel under test */
static inline uint64_t lane_count(const struct lane_bed *b, enum lw_counter i)
{
	return b->side->counters.n[i];
}

/* lane_wait() - let time pass */
void lane_wait(struct lane_bed *b, uint64_t us);

static inline struct lw_lane *lane_of(const struct lane_bed *b)
{
	return b->side->t->lane;
}

#endif

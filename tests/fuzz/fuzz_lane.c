/* SPDX-License-Identifier: MIT */
/*
 * Datagrams of Expresslane to a tunnel that has keys. The first byte chooses the version, whether a
 * key before the present one lives, and whether they come as one run. Then packets, each behind a
 * byte that says what it is: genuine under one of the keys with the counter of the next two bytes,
 * or bytes as they stand, behind their length. What comes out must be genuine, and only once.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "fake/fake_cipher.h"
#include "fake/fake_host.h"
#include "session/tunnel_priv.h"
#include "wire/header.h"

#define VERSION_1 1
#define TWO_KEYS  2
#define AS_RUN    4

#define GENUINE    0 /* under the present key */
#define BEFORE     1 /* under the one before */
#define AS_IT_IS   2
#define KINDS      3
#define SESSION    UINT64_C(0x1122334455667788)
#define INSIDE_LEN 44
#define PACKET_LEN (LW_WIRE_HEADER_LEN + LW_LANE_FRAME_HEADER + INSIDE_LEN)
#define RUN_MAX    65507

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lw_fake_cipher cipher;
static struct lw_lane_env env;
static struct lw_random random_pool;
static struct lw_batch *wire;
static struct lw_batch *inside;
static uint8_t came[1 << 16]; /* by counter */
static uint64_t n_came;

static void *make_key(uint8_t byte)
{
	uint8_t bytes[LW_FRAME_KEY_LEN];
	void *key = NULL;

	memset(bytes, byte, sizeof(bytes));
	if (lw_fake_cipher_ops.key_create(&cipher, NULL, bytes, &key) < 0)
		abort();
	return key;
}

static void make_tunnel(struct lw_tunnel *t, struct lw_counters *counters, uint8_t mode)
{
	static const struct lw_tunnel_conf conf = { .role = LW_ROLE_CLIENT, .outside_mtu = 1500 };
	struct lw_lane *l = calloc(1, sizeof(*l));

	if (l == NULL)
		abort();
	l->env = &env;
	l->version = mode & VERSION_1 ? 1 : 2;
	l->state = LW_LANE_ACTIVE;
	l->rx.handle = make_key(2);
	l->tx.handle = make_key(3);
	if (mode & TWO_KEYS)
		l->old.handle = make_key(1);
	*t = (struct lw_tunnel){ .conf = &conf,
		                 .counters = counters,
		                 .state = LW_TUNNEL_ONLINE,
		                 .minor = 3,
		                 .id = SESSION,
		                 .lane_env = &env,
		                 .lane = l,
		                 .handshake_done = true };
}

/* a packet that carries its counter and its key */
static void seal(uint8_t *dgram, uint8_t key, uint8_t version, uint16_t counter)
{
	const struct lw_wire_header h = {
		.session = SESSION, .major = 1, .minor = 3, .expresslane = true
	};
	const struct lw_lane_frame f = { .counter = counter, .len = INSIDE_LEN };
	uint8_t *frame = dgram + LW_WIRE_HEADER_LEN;
	uint8_t *packet = frame + LW_LANE_FRAME_HEADER;
	uint8_t aad[LW_LANE_AAD_MAX];
	struct lw_cipher_op op = { .key = make_key(key),
		                   .dst = packet,
		                   .src = packet,
		                   .iv = frame + LW_LANE_IV,
		                   .aad = aad,
		                   .aad_len = lw_lane_aad(aad, version, SESSION, &f),
		                   .tag = frame + LW_LANE_TAG,
		                   .len = INSIDE_LEN };

	memset(dgram, 0, PACKET_LEN);
	lw_wire_header_write(dgram, &h);
	lw_lane_frame_write(frame, &f);
	packet[0] = 0x45;
	packet[20] = (uint8_t)(counter >> 8);
	packet[21] = (uint8_t)counter;
	packet[22] = key;
	if (lw_fake_cipher_ops.seal(&cipher, NULL, &op, 1) < 0)
		abort();
	lw_fake_cipher_ops.key_destroy(&cipher, NULL, op.key);
}

static void check_delivered(uint8_t mode)
{
	LW_BATCH_FOREACH (p, inside) {
		const uint8_t *packet = lw_packet_data(p);
		uint32_t counter = (uint32_t)packet[20] << 8 | packet[21];

		assert(p->len == INSIDE_LEN && counter > 0);
		assert(packet[22] == 2 || (packet[22] == 1 && (mode & TWO_KEYS)));
		assert(came[counter] == 0);
		came[counter] = 1;
		n_came++;
	}
	lw_batch_reset(inside);
}

static void hand_over(struct lw_tunnel *t, const uint8_t *p, uint32_t len, uint8_t mode)
{
	struct lw_packet pkt = { .cap = len, .len = len };
	struct lw_sink k = { .wire = wire, .inside = inside };
	uint8_t *copy;

	if (len == 0)
		return;
	copy = malloc(len); /* a block of its own, so that a read behind it shows */
	if (copy == NULL)
		abort();
	pkt.buf = copy;
	memcpy(copy, p, len);
	if (mode & AS_RUN)
		pkt.gso_size = PACKET_LEN;
	assert(lw_tunnel_rx(t, &pkt, 1000000, &k) >= 0);
	check_delivered(mode);
	assert(t->lane->received == n_came);
	assert(wire->n == 0 && env.n_ops == 0);
	free(copy);
}

/* the next datagram of the input; 0: there is none */
static uint32_t next(struct lw_reader *r, uint8_t *dgram, uint8_t mode)
{
	uint8_t kind = lw_read_u8(r) % KINDS;
	size_t len = kind == AS_IT_IS ? lw_read_u8(r) : 2;
	const uint8_t *p;

	len = len < lw_reader_left(r) ? len : lw_reader_left(r);
	p = lw_read_bytes(r, len);
	if (len < 2 || p == NULL)
		return 0;
	if (kind != AS_IT_IS) {
		seal(dgram, kind == GENUINE ? 2 : 1, mode & VERSION_1 ? 1 : 2,
		     (uint16_t)(p[0] << 8 | p[1]));
		return PACKET_LEN;
	}
	memcpy(dgram, p, len);
	if (len > 5)
		dgram[5] = 1; /* never DTLS: there is none here */
	return (uint32_t)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t run[RUN_MAX];
	struct lw_counters counters = { .rtt_us = 0 };
	struct lw_reader r = lw_reader_init(data, size);
	uint8_t mode = lw_read_u8(&r);
	struct lw_tunnel t;
	uint32_t used = 0;

	if (wire == NULL) {
		wire = lw_fake_batch_create(64, 1 << 16, true);
		inside = lw_fake_batch_create(4096, 0, false);
		lw_lane_env_init(&env, &lw_fake_cipher_ops, &cipher, NULL, &random_pool);
	}
	memset(came, 0, sizeof(came));
	n_came = 0;
	make_tunnel(&t, &counters, mode);
	while (lw_reader_left(&r) > 2) {
		uint32_t len = next(&r, run + used, mode);

		if (len == 0)
			continue;
		if (mode & AS_RUN && len == PACKET_LEN && used + 2 * PACKET_LEN < sizeof(run)) {
			used += len;
			continue;
		}
		hand_over(&t, run, used + len, mode);
		used = 0;
	}
	hand_over(&t, run, used, mode);
	lw_lane_destroy(t.lane);
	assert(cipher.alive == 0);
	return 0;
}

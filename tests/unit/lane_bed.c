/* SPDX-License-Identifier: MIT */
#include "unit/lane_bed.h"

#include "unit/test.h"
#include "wire/header.h"

#define LONG_US (100000 * LW_S)

static void note_config(struct lane_frame *g, const struct lw_frame *f)
{
	g->config = f->expresslane;
	g->config.key = NULL;
	memcpy(g->key, f->expresslane.key, sizeof(g->key));
}

static void note(struct lane_bed *b, const uint8_t *p, size_t len)
{
	struct lane_frame *g;
	struct lw_frame f;

	assert_int_equal(lw_frame_decode(p, len, &f), len);
	assert_true(b->n_got < LANE_FRAMES);
	g = &b->got[b->n_got++];
	*g = (struct lane_frame){ .at_us = b->p->now_us, .type = f.type };
	if (f.type == LW_FRAME_EXPRESSLANE_CONFIG)
		note_config(g, &f);
	if (f.type == LW_FRAME_PING || f.type == LW_FRAME_PONG)
		g->totals = lw_frame_read_counters(&f.ping, &g->counters);
}

static int no_answer(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)p;
	(void)len;
	return 0;
}

/* What the tunnel under test sends comes here and no further. */
static void tap(void *arg, bool from_client, const uint8_t *dgram, size_t len)
{
	struct lane_bed *b = arg;
	struct lw_tls_io io = { .in = dgram + LW_WIRE_HEADER_LEN,
		                .in_len = len - LW_WIRE_HEADER_LEN,
		                .out = no_answer };
	uint8_t plain[PAIR_PACKET];
	size_t n = 0;

	if (b->deaf || from_client != (b->side == &b->p->client) || dgram[5] != 0)
		return;
	while (lw_tls_read(b->hand->t->tls, plain, sizeof(plain), &n, &io) == 0) {
		if (plain[0] != LW_FRAME_DATA)
			note(b, plain, n);
	}
}

static void end_init(struct lane_end *e)
{
	lw_lane_env_init(&e->env, &lw_fake_cipher_ops, &e->cipher, &e->w, &e->random);
}

static void prepare(struct lane_bed *b, uint64_t seed, uint64_t rotate_us)
{
	struct pair *p = pair_prepare(false, seed);

	b->p = p;
	for (int i = 0; i < 2; i++) {
		struct pair_side *s = pair_end(p, i);

		end_init(&b->end[i]);
		s->lane = &b->end[i].env;
		s->conf.lane_rotate_us = rotate_us;
	}
	p->client.conf.keepalive_us = LONG_US;
	p->server.conf.key_update_us = 0;
}

static void mute(struct lane_bed *b)
{
	b->side->mute = true;
	b->p->tap = tap;
	b->p->tap_arg = b;
}

void lane_bed_init_minor(struct lane_bed *b, bool server, uint8_t minor, uint64_t rotate_us)
{
	struct pair *p;

	*b = (struct lane_bed){ .n_got = 0 };
	prepare(b, 1, rotate_us);
	p = b->p;
	p->minor = minor;
	b->own = &b->end[server];
	b->side = pair_end(p, server);
	b->hand = pair_peer(p, b->side);
	b->hand->lane = NULL;
	pair_open(p);
	pair_begin(p);
	pair_run_to(p, &p->server, LW_TUNNEL_ONLINE);
	if (!server)
		mute(b); /* its first offer leaves with the login's answer */
	pair_run_to(p, &p->client, LW_TUNNEL_ONLINE);
	mute(b);
}

void lane_bed_init(struct lane_bed *b, bool server)
{
	lane_bed_init_minor(b, server, LW_WIRE_MINOR_MAX, 900 * LW_S);
}

void lane_bed_init_pair(struct lane_bed *b, uint64_t seed, uint64_t rotate_us)
{
	*b = (struct lane_bed){ .n_got = 0 };
	prepare(b, seed, rotate_us);
	b->side = &b->p->client;
	b->hand = &b->p->server;
	b->own = &b->end[0];
	pair_open(b->p);
	pair_connect(b->p);
}

void lane_bed_fini(struct lane_bed *b)
{
	pair_destroy(b->p);
	for (int i = 0; i < 2; i++)
		assert_int_equal(b->end[i].cipher.alive, 0);
}

const struct lane_frame *lane_next(struct lane_bed *b)
{
	while (b->n_read < b->n_got) {
		const struct lane_frame *g = &b->got[b->n_read++];

		if (g->type == LW_FRAME_EXPRESSLANE_CONFIG)
			return g;
	}
	return NULL;
}

const struct lane_frame *lane_expect(struct lane_bed *b, bool enabled, bool ack, uint64_t counter)
{
	const struct lane_frame *g = lane_next(b);

	assert_non_null(g);
	if (g == NULL) /* which the compiler does not know */
		return NULL;
	assert_int_equal(g->config.enabled, enabled);
	assert_int_equal(g->config.ack, ack);
	assert_int_equal(g->config.counter, counter);
	return g;
}

void lane_quiet(struct lane_bed *b)
{
	assert_null(lane_next(b));
}

void lane_say(struct lane_bed *b, uint8_t version, bool enabled, bool ack, uint64_t counter,
              uint8_t key)
{
	uint8_t bytes[LW_FRAME_KEY_LEN];
	uint8_t frame[LW_FRAME_EXPRESSLANE_LEN];
	const struct lw_frame f = {
		.type = LW_FRAME_EXPRESSLANE_CONFIG,
		.expresslane = { .version = 2,
		                 .enabled = enabled,
		                 .ack = ack,
		                 .counter = counter,
		                 .key = bytes },
	};

	memset(bytes, key, sizeof(bytes));
	assert_int_equal(lw_frame_encode(frame, sizeof(frame), &f), sizeof(frame));
	frame[1] = version; /* any value */
	pair_inject(b->p, b->hand, frame, sizeof(frame));
	lane_wait(b, b->p->delay_us);
}

void lane_offer(struct lane_bed *b, uint64_t counter, uint8_t key)
{
	lane_say(b, 2, true, false, counter, key);
}

void lane_ack(struct lane_bed *b, uint64_t counter)
{
	lane_say(b, 2, true, true, counter, 0x5a);
}

void lane_up(struct lane_bed *b)
{
	lane_offer(b, 1, 0xa1);
	lane_ack(b, lane_of(b)->offer);
	assert_true(lw_lane_ready(lane_of(b)));
	b->n_read = b->n_got;
}

void lane_packet(struct lane_bed *b)
{
	uint8_t packet[100] = { 0x45 };

	pair_send(b->p, b->side, packet, sizeof(packet));
}

void lane_pong(struct lane_bed *b, const struct lw_frame_counters *c)
{
	uint8_t frame[LW_FRAME_PING_HEADER + LW_FRAME_COUNTERS_LEN];
	int len = lw_frame_write_ping(frame, sizeof(frame), LW_FRAME_PONG, 0, c);

	assert_true(len > 0);
	pair_inject(b->p, b->hand, frame, (size_t)len);
	lane_wait(b, b->p->delay_us);
}

void lane_wait(struct lane_bed *b, uint64_t us)
{
	pair_run(b->p, us, false);
}

size_t lane_seal(uint8_t dgram[PAIR_PACKET], const struct lane_packet *k, uint32_t len,
                 uint8_t mark)
{
	const struct lw_wire_header h = {
		.session = k->session, .major = 1, .minor = 3, .expresslane = true
	};
	const struct lw_lane_frame f = { .counter = k->counter,
		                         .len = (uint16_t)len,
		                         .flags = k->flags };
	struct lw_fake_cipher cipher = { .fail = 0 };
	uint8_t *frame = dgram + LW_WIRE_HEADER_LEN;
	uint8_t key[LW_FRAME_KEY_LEN];
	uint8_t aad[LW_LANE_AAD_MAX];
	struct lw_cipher_op op = { .dst = frame + LW_LANE_FRAME_HEADER,
		                   .src = frame + LW_LANE_FRAME_HEADER,
		                   .iv = frame + LW_LANE_IV,
		                   .aad = aad,
		                   .tag = frame + LW_LANE_TAG,
		                   .len = len };

	memset(dgram, 0, LW_WIRE_HEADER_LEN + LW_LANE_FRAME_HEADER + len);
	lw_wire_header_write(dgram, &h);
	lw_lane_frame_write(frame, &f);
	frame[LW_LANE_FRAME_HEADER] = 0x45;
	frame[LW_LANE_FRAME_HEADER + 1] = mark;
	memset(frame + LW_LANE_IV, (int)k->counter, LW_LANE_IV_LEN);
	memset(key, k->key, sizeof(key));
	op.aad_len = lw_lane_aad(aad, k->version, k->session, &f);
	assert_int_equal(lw_fake_cipher_ops.key_create(&cipher, NULL, key, &op.key), 0);
	assert_int_equal(lw_fake_cipher_ops.seal(&cipher, NULL, &op, 1), 0);
	lw_fake_cipher_ops.key_destroy(&cipher, NULL, op.key);
	return LW_WIRE_HEADER_LEN + LW_LANE_FRAME_HEADER + len;
}

int lane_feed(struct lane_bed *b, const uint8_t *dgram, size_t len)
{
	return pair_feed(b->p, b->side, dgram, len);
}

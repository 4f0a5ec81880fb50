/* SPDX-License-Identifier: MIT */
/*
 * Expresslane datagrams to inside packets: wire.md 7.6. The datagrams of a run are gathered and
 * opened as one array; a DTLS datagram among them, which may bring another key, is a barrier.
 */
#include <string.h>

#include "base/cursor.h"
#include "session/tunnel_priv.h"

/* While the key before the present one lives a packet may be sealed with either, and a failed open
 * destroys what it wrote to: the first try writes elsewhere. */
static bool has_two_keys(const struct lw_lane *l)
{
	return l->old.handle != NULL;
}

static void *first_key(const struct lw_lane *l)
{
	return l->rx_by_old && has_two_keys(l) ? l->old.handle : l->rx.handle;
}

static void make_op(struct lw_tunnel *t, uint8_t *p, const struct lw_lane_frame *f,
                    uint64_t session)
{
	struct lw_lane *l = t->lane;
	struct lw_lane_env *env = l->env;
	uint8_t *data = p + LW_LANE_FRAME_HEADER;
	uint8_t *aad = env->aad[env->n_ops];
	uint8_t *dst = data;

	if (has_two_keys(l)) {
		dst = env->spare + env->spare_used;
		env->spare_used += f->len;
	}
	env->ops[env->n_ops] = (struct lw_cipher_op){ .key = first_key(l),
		                                      .dst = dst,
		                                      .src = data,
		                                      .iv = p + LW_LANE_IV,
		                                      .aad = aad,
		                                      .tag = p + LW_LANE_TAG,
		                                      .user = f->flags,
		                                      .len = f->len };
	env->ops[env->n_ops++].aad_len = lw_lane_aad(aad, l->version, session, f);
}

static int refuse(struct lw_tunnel *t, enum lw_counter why)
{
	lw_count(t->counters, why);
	return 0;
}

int lw_lane_rx(struct lw_tunnel *t, struct lw_packet *dgram, uint8_t *p, size_t len,
               uint64_t session, uint64_t at, struct lw_sink *k)
{
	struct lw_lane *l = t->lane;
	struct lw_lane_frame f;
	int frames = 0;

	if (l == NULL)
		return refuse(t, LW_CTR_EXPRESSLANE_UNWANTED);
	if (lw_lane_frame_read(p, len, &f) < 0)
		return refuse(t, LW_CTR_EXPRESSLANE_TRUNCATED);
	if (!lw_replay_check(&l->replay, f.counter))
		return refuse(t, LW_CTR_EXPRESSLANE_REPLAYED);
	if (l->rx.handle == NULL)
		return refuse(t, LW_CTR_EXPRESSLANE_NO_KEY);
	if (l->env->n_ops == LW_LANE_ARRAY || l->env->spare_used + f.len > LW_LANE_SPARE)
		frames = lw_lane_rx_run(t, dgram, at, k);
	if (frames >= 0)
		make_op(t, p, &f, session);
	return frames;
}

/* The second try writes in place: there is no third. */
static bool try_other(struct lw_lane *l, struct lw_cipher_op *op, uint8_t *data)
{
	struct lw_lane_env *env = l->env;

	op->key = op->key == l->rx.handle ? l->old.handle : l->rx.handle;
	op->dst = data;
	return env->cipher->open(env->inst, env->w, op, 1) == 0 && op->status == 0;
}

/* true: the plaintext lies where the ciphertext did */
static bool is_open(struct lw_lane *l, struct lw_cipher_op *op, uint8_t *data)
{
	if (op->status != 0)
		return has_two_keys(l) && try_other(l, op, data);
	if (op->dst != data)
		memcpy(data, op->dst, op->len);
	return true;
}

/* A codec's unit, and there is no codec: as a frame of one. What version 1 says of it anybody can
 * have changed on the way. */
static int take_encoded(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	lw_count(t->counters, LW_CTR_EXPRESSLANE_ENCODED);
	return t->lane->version == 1 ? 0 : lw_tunnel_fail(t, LW_CLOSE_PROTOCOL, at, k);
}

/* 1: accepted, 0: not; negative: the session has ended */
static int take(struct lw_tunnel *t, struct lw_packet *dgram, struct lw_cipher_op *op,
                uint8_t *data, uint64_t at, struct lw_sink *k)
{
	struct lw_lane *l = t->lane;
	struct lw_reader aad = lw_reader_init(op->aad, op->aad_len);
	uint64_t session = lw_read_u64(&aad);
	uint64_t counter = lw_read_u64(&aad);
	int r = 0;

	if (!is_open(l, op, data))
		return refuse(t, LW_CTR_EXPRESSLANE_AUTH_FAILED);
	if (!lw_replay_commit(&l->replay, counter))
		return refuse(t, LW_CTR_EXPRESSLANE_REPLAYED);
	lw_lane_opened(l, op->key != l->rx.handle, at);
	lw_count(t->counters, LW_CTR_EXPRESSLANE_RX);
	lw_tunnel_accepted(t, session, at, k);
	if (op->user & LW_LANE_ENCODED)
		r = take_encoded(t, at, k);
	else
		(void)lw_deliver(t, dgram, data, op->len, k);
	return r < 0 ? r : 1;
}

int lw_lane_rx_run(struct lw_tunnel *t, struct lw_packet *dgram, uint64_t at, struct lw_sink *k)
{
	struct lw_lane *l = t->lane;
	struct lw_lane_env *env = l->env;
	uint32_t n = env->n_ops;
	int frames = 0;

	env->n_ops = 0;
	env->spare_used = 0;
	if (n > 0 && env->cipher->open(env->inst, env->w, env->ops, n) < 0) {
		lw_lane_broken(t, n, at, k);
		return 0;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct lw_cipher_op *op = &env->ops[i];
		int r = take(t, dgram, op, dgram->buf + (op->src - dgram->buf), at, k);

		if (r < 0)
			return r;
		frames += r;
	}
	return frames;
}

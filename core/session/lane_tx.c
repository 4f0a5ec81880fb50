/* SPDX-License-Identifier: MIT */
/* From a superpacket to sealed Expresslane datagrams, where they will be sent from: wire.md 7.5. */
#include <errno.h>
#include <string.h>

#include "session/tunnel_priv.h"
#include "wire/header.h"

#define HEADERS (LW_WIRE_HEADER_LEN + LW_LANE_FRAME_HEADER)
/* IPv4 and UDP around it */
#define OUTER 28u

/* the end of the wire batch before an array, for nothing of one that was not sealed may leave */
struct mark {
	uint32_t n;
	uint32_t arena_used;
	struct lw_packet last;
};

static struct mark mark_end(const struct lw_batch *b)
{
	struct mark m = { .n = b->n, .arena_used = b->arena_used };

	if (b->n > 0)
		m.last = b->pkt[b->n - 1];
	return m;
}

static void cut_back(struct lw_batch *b, const struct mark *m)
{
	b->n = m->n;
	b->arena_used = m->arena_used;
	if (m->n > 0)
		b->pkt[m->n - 1] = m->last;
}

/* What DTLS carries and this does not, for it adds more, goes there. */
bool lw_lane_takes(const struct lw_tunnel *t, uint32_t len)
{
	const struct lw_lane *l = t->lane;

	return lw_lane_ready(l) && l->key_packets < l->env->max_packets &&
	       len + HEADERS + OUTER <= t->conf->outside_mtu;
}

static uint32_t array_max(const struct lw_lane *l)
{
	uint64_t left = l->env->max_packets - l->key_packets;

	return left < LW_LANE_ARRAY ? (uint32_t)left : LW_LANE_ARRAY;
}

static void make_op(struct lw_tunnel *t, uint8_t *frame, uint16_t len, uint32_t i)
{
	struct lw_lane *l = t->lane;
	const struct lw_lane_frame f = { .counter = ++l->sent, .len = len };
	uint8_t *aad = l->env->aad[i];

	l->key_packets++;
	lw_lane_frame_write(frame, &f);
	lw_lane_iv_take(l->env, f.counter, frame + LW_LANE_IV);
	l->env->ops[i] =
		(struct lw_cipher_op){ .key = l->tx.handle,
		                       .dst = frame + LW_LANE_FRAME_HEADER,
		                       .src = frame + LW_LANE_FRAME_HEADER,
		                       .iv = frame + LW_LANE_IV,
		                       .aad = aad,
		                       .tag = frame + LW_LANE_TAG,
		                       .len = len,
		                       .aad_len = lw_lane_aad(aad, l->version, t->id, &f) };
}

/* As many segments as there is room for, each once copied; the number of operations. */
static uint32_t gather(struct lw_tunnel *t, struct lw_seg *g, struct lw_sink *k)
{
	const struct lw_wire_header h = {
		.session = t->id, .major = LW_WIRE_MAJOR, .minor = t->minor, .expresslane = true
	};
	const struct lw_out o = { .t = t, .k = k };
	uint32_t max = array_max(t->lane);
	uint32_t n = 0;

	while (n < max && g->next < g->count) {
		uint32_t len = lw_seg_len_next(g);
		uint8_t *to = lw_out_datagram(&o, HEADERS + len);

		if (to == NULL)
			break;
		lw_wire_header_write(to, &h);
		(void)lw_seg_copy(g, to + HEADERS, len);
		make_op(t, to + LW_WIRE_HEADER_LEN, (uint16_t)len, n++);
		t->tx_bytes += len;
	}
	t->tx_packets += n;
	return n;
}

static bool seal(struct lw_lane_env *env, uint32_t n)
{
	int r = env->cipher->seal(env->inst, env->w, env->ops, n);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = env->ops[i].status;
	return r == 0;
}

/*
 * -EAGAIN: no room, the rest waits. 0: all segments are gone, or the lane is, and the rest is for
 * DTLS. A cipher that does not seal is not asked again: what it had is lost, as on a network.
 */
int lw_lane_tx(struct lw_tunnel *t, struct lw_seg *g, uint64_t at, struct lw_sink *k)
{
	while (g->next < g->count && lw_lane_takes(t, lw_seg_len_next(g))) {
		const struct mark end = mark_end(k->wire);
		uint32_t n = gather(t, g, k);

		if (n == 0)
			return -EAGAIN;
		if (!seal(t->lane->env, n)) {
			cut_back(k->wire, &end);
			lw_lane_broken(t, n, at, k);
			return 0;
		}
		lw_count_n(t->counters, LW_CTR_EXPRESSLANE_TX, n);
	}
	return 0;
}

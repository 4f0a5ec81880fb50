/* SPDX-License-Identifier: MIT */
#include "session/expresslane.h"

#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"
#include "session/tunnel_priv.h"

/* wire.md 7.3: an offer is sent again after 0.5 s, 1 s, ... 2.5 s more, then given up */
#define RESEND_US   (500 * LW_MS)
#define RESENDS_MAX 5
/* how long the key before the present one is kept after that one first opened a packet */
#define GRACE_US (60 * LW_S)
/* our version */
#define VERSION 2

static const uint8_t no_key[LW_FRAME_KEY_LEN];

/* --- keys --- */

static bool is_sentinel(const uint8_t *bytes)
{
	return lw_equal_ct(bytes, no_key, sizeof(no_key));
}

static void drop_key(const struct lw_lane *l, struct lw_lane_key *key)
{
	if (key->handle != NULL)
		l->env->cipher->key_destroy(l->env->inst, l->env->w, key->handle);
	lw_wipe(key, sizeof(*key));
}

/* The zeros are a key that opens and seals nothing: no cipher ever sees them. */
static int make_key(const struct lw_lane *l, const uint8_t *bytes, struct lw_lane_key *ret)
{
	int r = 0;

	ret->handle = NULL;
	if (!is_sentinel(bytes))
		r = l->env->cipher->key_create(l->env->inst, l->env->w, bytes, &ret->handle);
	if (r < 0)
		return r;
	memcpy(ret->bytes, bytes, sizeof(ret->bytes));
	return 0;
}

static void move_key(const struct lw_lane *l, struct lw_lane_key *to, struct lw_lane_key *from)
{
	drop_key(l, to);
	*to = *from;
	lw_wipe(from, sizeof(*from));
}

void lw_lane_env_init(struct lw_lane_env *env, const struct lw_cipher_ops *cipher, void *inst,
                      struct lw_worker *w, struct lw_random *random)
{
	memset(env, 0, sizeof(*env));
	env->cipher = cipher;
	env->inst = inst;
	env->w = w;
	env->random = random;
	env->rotate_packets = LW_LANE_ROTATE_PACKETS;
	env->max_packets = LW_LANE_MAX_PACKETS;
	lw_lane_iv_init(env);
}

void lw_lane_env_fini(struct lw_lane_env *env)
{
	lw_lane_iv_fini(env);
	lw_wipe(env->spare, sizeof(env->spare)); /* plaintext */
}

/* --- life --- */

static bool may_have_lane(const struct lw_tunnel *t)
{
	return t->lane_env != NULL && t->lane_env->cipher != NULL && t->conf->lane_rotate_us > 0 &&
	       !t->is_stream && t->minor >= LW_LANE_MINOR;
}

static struct lw_lane *open_lane(struct lw_tunnel *t)
{
	struct lw_lane *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->env = t->lane_env;
	l->resend_at = LW_NEVER;
	l->old_until = LW_NEVER;
	return l;
}

void lw_lane_online(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	if (!may_have_lane(t) || t->conf->role != LW_ROLE_CLIENT)
		return;
	t->lane = open_lane(t);
	lw_lane_rotate(t, at, k);
}

void lw_lane_destroy(struct lw_lane *l)
{
	if (l == NULL)
		return;
	drop_key(l, &l->next);
	drop_key(l, &l->tx);
	drop_key(l, &l->rx);
	drop_key(l, &l->old);
	lw_wipe(l, sizeof(*l));
	free(l);
}

/* --- offers --- */

static void send_config(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	const struct lw_lane *l = t->lane;
	const struct lw_frame f = {
		.type = LW_FRAME_EXPRESSLANE_CONFIG,
		.expresslane = { .version = l->version != 0 ? l->version : VERSION,
		                 .enabled = l->state != LW_LANE_DEGRADED,
		                 .counter = l->offer,
		                 .key = l->next.bytes },
	};

	lw_count(t->counters, LW_CTR_EXPRESSLANE_OFFERS_TX);
	lw_send_frame(t, &f, at, k);
}

/* What is in `next` is the peer's to acknowledge. */
static void offer_next(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	struct lw_lane *l = t->lane;

	l->offer++;
	l->offering = true;
	l->resends = 0;
	l->resend_at = at + RESEND_US;
	send_config(t, at, k);
}

/* Late enough, or the key has sealed enough. What is unanswered goes its way first. */
static bool is_due(const struct lw_tunnel *t, uint64_t at)
{
	const struct lw_lane *l = t->lane;

	if (l->offering)
		return false;
	return !l->offered || at - l->offered_us >= t->conf->lane_rotate_us ||
	       l->key_packets >= l->env->rotate_packets;
}

/* A cipher that cannot take a key is asked again when the next would be due. */
static bool draw_key(struct lw_tunnel *t)
{
	struct lw_lane *l = t->lane;
	uint8_t bytes[LW_FRAME_KEY_LEN];
	int r;

	drop_key(l, &l->next);
	do {
		lw_random_take(l->env->random, bytes, sizeof(bytes));
	} while (is_sentinel(bytes));
	r = make_key(l, bytes, &l->next);
	lw_wipe(bytes, sizeof(bytes));
	if (r < 0)
		lw_count(t->counters, LW_CTR_EXPRESSLANE_KEY_FAILED);
	return r == 0;
}

void lw_lane_rotate(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	struct lw_lane *l = t->lane;

	if (l == NULL || l->state == LW_LANE_DEGRADED || l->peer_off || !is_due(t, at))
		return;
	l->offered = true;
	l->offered_us = at;
	if (draw_key(t))
		offer_next(t, at, k);
}

static void give_up(struct lw_tunnel *t)
{
	struct lw_lane *l = t->lane;

	/* `next` stays: an acknowledgement may come late */
	l->offering = false;
	l->offered = false;
	l->resend_at = LW_NEVER;
	if (l->state != LW_LANE_DEGRADED)
		l->state = LW_LANE_INACTIVE;
	lw_count(t->counters, LW_CTR_EXPRESSLANE_UNANSWERED);
}

static void resend(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	struct lw_lane *l = t->lane;

	if (l->resends == RESENDS_MAX) {
		give_up(t);
		return;
	}
	l->resends++;
	l->resend_at = at + RESEND_US * (1 + l->resends);
	send_config(t, at, k);
}

void lw_lane_tick(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	struct lw_lane *l = t->lane;

	if (l == NULL)
		return;
	if (at >= l->resend_at)
		resend(t, at, k);
	if (at >= l->old_until) {
		drop_key(l, &l->old);
		l->old_until = LW_NEVER;
	}
}

uint64_t lw_lane_deadline(const struct lw_lane *l)
{
	if (l == NULL)
		return LW_NEVER;
	return l->resend_at < l->old_until ? l->resend_at : l->old_until;
}

/* --- the peer's --- */

/* After the first packet under a version the peer counts on it. */
static void negotiate(struct lw_tunnel *t, uint8_t theirs)
{
	struct lw_lane *l = t->lane;
	uint8_t version = theirs == 1 ? 1 : VERSION;

	if (version == l->version)
		return;
	if (l->sent > 0)
		lw_count(t->counters, LW_CTR_EXPRESSLANE_VERSION_KEPT);
	else
		l->version = version;
}

static void activate(struct lw_lane *l)
{
	if (l->state != LW_LANE_DEGRADED && !l->peer_off && l->tx.handle != NULL &&
	    l->rx.handle != NULL)
		l->state = LW_LANE_ACTIVE;
}

static void on_ack(struct lw_tunnel *t, const struct lw_frame_expresslane *f, uint64_t at)
{
	struct lw_lane *l = t->lane;

	if (l->offer == 0 || f->counter != l->offer)
		return;
	if (l->next.handle != NULL) {
		move_key(l, &l->tx, &l->next);
		lw_wipe(l->tx.bytes, sizeof(l->tx.bytes)); /* the cipher has it */
		l->key_packets = 0;
		/* the next would push out the key before this one, whose packets are still under
		 * way, if it came at once because this one took long */
		l->offered_us = at;
		lw_count(t->counters, LW_CTR_EXPRESSLANE_KEYS_TX);
	}
	l->offering = false;
	l->resends = 0;
	l->resend_at = LW_NEVER;
	activate(l);
}

/*
 * The key of an offer that came again is in place already, and the one before it must not be lost
 * to it: the peer may still seal with that one (wire.md 7.4). The one before is kept whether or not
 * the present one has opened a packet: a peer that was silent for an interval seals its first
 * packet with a key that we have not seen at work, right behind the offer that replaces it.
 */
static bool install(struct lw_tunnel *t, const uint8_t *bytes)
{
	struct lw_lane *l = t->lane;
	struct lw_lane_key key;

	if (l->peer_offer > 0 && lw_equal_ct(bytes, l->rx.bytes, sizeof(l->rx.bytes)))
		return true;
	if (make_key(l, bytes, &key) < 0) {
		lw_count(t->counters, LW_CTR_EXPRESSLANE_KEY_FAILED);
		return false;
	}
	move_key(l, &l->old, &l->rx);
	move_key(l, &l->rx, &key);
	if (l->rx.handle == NULL) /* the sentinel: nothing is opened, with no key */
		drop_key(l, &l->old);
	l->rx_by_old = l->rx_worked; /* the one before is in use still, if it was */
	l->rx_worked = false;
	l->old_until = LW_NEVER;
	lw_count(t->counters, LW_CTR_EXPRESSLANE_KEYS_RX);
	return true;
}

static void send_ack(struct lw_tunnel *t, const struct lw_frame_expresslane *f, uint64_t at,
                     struct lw_sink *k)
{
	struct lw_frame ack = { .type = LW_FRAME_EXPRESSLANE_CONFIG, .expresslane = *f };

	ack.expresslane.ack = true;
	if (t->lane != NULL)
		ack.expresslane.version = t->lane->version;
	else if (f->version != 1)
		ack.expresslane.version = VERSION;
	lw_send_frame(t, &ack, at, k);
}

static void on_offer(struct lw_tunnel *t, const struct lw_frame_expresslane *f, uint64_t at,
                     struct lw_sink *k)
{
	struct lw_lane *l = t->lane;

	if (f->enabled) {
		if (!install(t, f->key))
			return; /* without an answer it comes again */
		l->peer_off = false;
		activate(l);
	} else {
		l->peer_off = true;
		l->state = LW_LANE_INACTIVE;
		lw_count(t->counters, LW_CTR_EXPRESSLANE_REFUSED);
	}
	l->peer_offer = f->counter;
	send_ack(t, f, at, k);
	lw_lane_rotate(t, at, k);
}

/* Of two offers under way the later one counts, in whatever order they come. */
static bool is_stale(const struct lw_lane *l, const struct lw_frame_expresslane *f)
{
	return !f->ack && f->counter < l->peer_offer;
}

void lw_lane_config(struct lw_tunnel *t, const struct lw_frame_expresslane *f, uint64_t at,
                    struct lw_sink *k)
{
	if (!f->ack)
		lw_count(t->counters, LW_CTR_EXPRESSLANE_OFFERS_RX);
	if (t->lane == NULL && !f->ack && may_have_lane(t)) {
		t->lane = open_lane(t);
		if (t->lane == NULL)
			return; /* without an answer it comes again */
	}
	if (t->lane == NULL) {
		/* so that the peer stops asking: it never gets a key of ours and sends nothing */
		if (!f->ack)
			send_ack(t, f, at, k);
		return;
	}
	if (is_stale(t->lane, f)) {
		lw_count(t->counters, LW_CTR_EXPRESSLANE_STALE);
		return;
	}
	negotiate(t, f->version);
	if (f->ack)
		on_ack(t, f, at);
	else if (t->lane->state == LW_LANE_DEGRADED)
		lw_count(t->counters, LW_CTR_EXPRESSLANE_STALE);
	else
		on_offer(t, f, at, k);
}

void lw_lane_opened(struct lw_lane *l, bool by_old, uint64_t at)
{
	l->received++;
	l->rx_by_old = by_old;
	if (by_old || l->rx_worked)
		return;
	l->rx_worked = true;
	if (l->old.handle != NULL)
		l->old_until = at + GRACE_US;
}

/* --- the end of it --- */

void lw_lane_degrade(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	struct lw_lane *l = t->lane;

	if (l->state == LW_LANE_DEGRADED)
		return;
	l->state = LW_LANE_DEGRADED;
	drop_key(l, &l->next); /* leaves the sentinel, which is what the notice carries */
	drop_key(l, &l->tx);
	lw_count(t->counters, LW_CTR_EXPRESSLANE_DEGRADED);
	offer_next(t, at, k);
}

void lw_lane_broken(struct lw_tunnel *t, uint32_t n, uint64_t at, struct lw_sink *k)
{
	lw_count_n(t->counters, LW_CTR_EXPRESSLANE_CIPHER_FAILED, n);
	t->lane->env->broken = true;
	lw_lane_degrade(t, at, k);
}

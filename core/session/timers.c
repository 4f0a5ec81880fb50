/* SPDX-License-Identifier: MIT */
/* Every timer of a tunnel: wire.md 4.6, 4.7, 5.2. */
#include <errno.h>

#include "session/tunnel_priv.h"

/* how long a session lives that the server seems not to know, and how often it is asked */
#define DOUBT_US       (5 * LW_S)
#define DOUBT_EVERY_US (1 * LW_S)

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * The library's clock runs during the handshake and while a key update of ours is unanswered. Once
 * armed a tick fires whatever comes meanwhile.
 */
void lw_tunnel_arm_tls(struct lw_tunnel *t, uint64_t at)
{
	uint64_t interval_us = lw_tls_timeout_us(t->tls);

	if (interval_us == 0)
		t->tls_tick_at = LW_NEVER;
	else
		t->tls_tick_at = earlier(t->tls_tick_at, at + interval_us);
}

/* Something authentic came: the peer lives. The Ping timer looks at last_rx_us when it fires. */
void lw_tunnel_heard(struct lw_tunnel *t, uint64_t at)
{
	t->last_rx_us = at;
	t->dead_at = LW_NEVER;
}

/* A keepalive that wants its answer; the round trip is measured. */
void lw_tunnel_ping(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	t->keepalive_due = true;
	t->ping_sent_us = at;
	lw_count(t->counters, LW_CTR_PINGS_TX);
	lw_send_keepalive(t, LW_FRAME_PING, 0, at, k);
}

void lw_tunnel_pong(struct lw_tunnel *t, uint64_t at)
{
	if (t->keepalive_due) {
		t->rtt_us = at - t->ping_sent_us;
		__atomic_store_n(&t->counters->rtt_us, t->rtt_us, __ATOMIC_RELAXED);
		t->keepalive_due = false;
	}
}

/*
 * The server says that it has no such session, as after a restart. Anybody can say that: a server
 * that has it answers a Ping, and only if nothing authentic comes the session ends early. A reject
 * shortly after a Ping asks for nothing, for the answer may have come already.
 */
void lw_tunnel_doubt(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	if (t->conf->role != LW_ROLE_CLIENT || t->state != LW_TUNNEL_ONLINE ||
	    at - t->ping_sent_us < DOUBT_EVERY_US)
		return;
	t->dead_at = earlier(t->dead_at, at + DOUBT_US);
	lw_tunnel_ping(t, at, k);
}

/* wire.md 4.7: the server's clock is looked at after it has processed the peer's frames. */
void lw_tunnel_key_update(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	struct lw_out o = { .t = t, .k = k };
	struct lw_tls_io io = lw_out_io(&o, NULL, 0);

	if (t->key_updating && !lw_tls_key_update_pending(t->tls)) {
		t->key_updating = false;
		if (t->conf->key_update_us > 0)
			t->key_update_at = at + t->conf->key_update_us;
	}
	if (t->key_updating || at < t->key_update_at || !lw_out_room(t, k, 64, true))
		return;
	if (lw_tls_update_keys(t->tls, &io) < 0) {
		lw_tunnel_break(t, at);
		return;
	}
	lw_count(t->counters, LW_CTR_KEY_UPDATES);
	t->key_updating = true;
	t->key_update_at = LW_NEVER;
	lw_tunnel_arm_tls(t, at);
	if (!t->is_stream)
		lw_tunnel_event(k, LW_EVENT_KEY_UPDATE, 0);
}

static int tick_tls(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	struct lw_out o = { .t = t, .k = k };
	struct lw_tls_io io = lw_out_io(&o, NULL, 0);
	uint64_t next_us = 0;
	int r = lw_tls_tick(t->tls, &io, &next_us);

	if (r < 0)
		return lw_tunnel_fail(t, r == -ETIMEDOUT ? LW_CLOSE_TIMEOUT : LW_CLOSE_HANDSHAKE,
		                      at, k);
	t->tls_tick_at = next_us > 0 ? at + next_us : LW_NEVER;
	return 0;
}

static int tick_login(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	const struct lw_auth_answer late = { .size = sizeof(late), .verdict = LW_AUTH_NO };

	if (t->conf->role == LW_ROLE_SERVER)
		return lw_tunnel_auth(t, &late, at, k);
	t->auth_wait_us = earlier(2 * t->auth_wait_us, LW_LOGIN_RESEND_MAX_US);
	t->auth_at = t->is_stream ? LW_NEVER : at + t->auth_wait_us;
	lw_tunnel_send_login(t, at, k);
	return 0;
}

/* wire.md 5.2, "Client keepalive machine" */
static void tick_keepalive(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	uint64_t quiet_until = t->last_rx_us + t->conf->keepalive_us;

	if (at < quiet_until) {
		t->ping_at = quiet_until;
		return;
	}
	t->ping_at = at + t->conf->keepalive_us;
	if (t->dead_at == LW_NEVER)
		t->dead_at = at + t->conf->keepalive_timeout_us;
	lw_tunnel_ping(t, at, k);
}

static int tick_idle(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	if (at - t->last_rx_us >= t->conf->idle_us)
		return lw_tunnel_fail(t, LW_CLOSE_IDLE, at, k);
	t->idle_at = t->last_rx_us + t->conf->idle_us;
	return 0;
}

uint64_t lw_tunnel_deadline(const struct lw_tunnel *t)
{
	uint64_t d = earlier(t->tls_tick_at, t->auth_at);

	if (t->state == LW_TUNNEL_CLOSED)
		return LW_NEVER;
	d = earlier(d, earlier(t->auth_until, t->stale_at));
	d = earlier(d, earlier(t->idle_at, t->ping_at));
	d = earlier(d, lw_lane_deadline(t->lane));
	return earlier(d, t->dead_at);
}

int lw_tunnel_tick(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	int r = 0;

	if (t->state == LW_TUNNEL_CLOSED)
		return -ESHUTDOWN;
	if (at >= t->dead_at || at >= t->auth_until)
		return lw_tunnel_fail(t, LW_CLOSE_TIMEOUT, at, k);
	if (at >= t->stale_at)
		return lw_tunnel_fail(t, t->broken ? LW_CLOSE_HANDSHAKE : LW_CLOSE_STALE, at, k);
	if (at >= t->tls_tick_at)
		r = tick_tls(t, at, k);
	if (r == 0 && at >= t->auth_at)
		r = tick_login(t, at, k);
	if (r == 0 && at >= t->ping_at)
		tick_keepalive(t, at, k);
	if (r == 0)
		lw_lane_tick(t, at, k);
	if (r == 0 && at >= t->idle_at)
		r = tick_idle(t, at, k);
	return r;
}

/* SPDX-License-Identifier: MIT */
/* Begin, states and end of a tunnel: wire.md 4.8, 5.1. */
#include "session/tunnel.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"
#include "session/reassembly.h"
#include "session/tunnel_priv.h"
#include "wire/success.h"

const char *const lw_counter_names[LW_CTR_MAX] = {
#define X(id, text) text,
	LW_COUNTERS(X)
#undef X
};

static const struct {
	const char *text;
	enum lw_counter counter;
	int error;
} reasons[] = {
	[LW_CLOSE_NONE] = { "still open", LW_CTR_SESSIONS_CLOSED, -EINVAL },
	[LW_CLOSE_LOCAL] = { "closed by us", LW_CTR_SESSIONS_CLOSED, -ESHUTDOWN },
	[LW_CLOSE_PEER] = { "closed by the peer", LW_CTR_CLOSED_BY_PEER, -ECONNRESET },
	[LW_CLOSE_AUTH] = { "login refused", LW_CTR_CLOSED_AUTH, -EACCES },
	[LW_CLOSE_HANDSHAKE] = { "TLS failed", LW_CTR_CLOSED_HANDSHAKE, -EPROTO },
	[LW_CLOSE_TIMEOUT] = { "the peer does not answer", LW_CTR_CLOSED_TIMEOUT, -ETIMEDOUT },
	[LW_CLOSE_STALE] = { "not online in time", LW_CTR_CLOSED_STALE, -ETIMEDOUT },
	[LW_CLOSE_IDLE] = { "idle for too long", LW_CTR_CLOSED_IDLE, -ETIMEDOUT },
	[LW_CLOSE_LOST] = { "the connection is gone", LW_CTR_CLOSED_LOST, -ECONNABORTED },
	[LW_CLOSE_PROTOCOL] = { "the peer broke the protocol", LW_CTR_CLOSED_PROTOCOL, -EPROTO },
};

const char *lw_close_reason_text(enum lw_close_reason reason)
{
	return reasons[reason].text;
}

void lw_tunnel_event(struct lw_sink *k, enum lw_event_type type, uint32_t arg)
{
	assert(k->n_events < LW_SINK_EVENTS);
	k->events[k->n_events++] = (struct lw_event){ .type = type, .arg = arg };
}

int lw_tunnel_create(const struct lw_tunnel_conf *conf, const struct lw_tunnel_start *start,
                     uint64_t at, struct lw_tunnel **ret)
{
	struct lw_tunnel *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		lw_tls_destroy(start->tls);
		return -ENOMEM;
	}
	*t = (struct lw_tunnel){
		.s = { .serial = start->serial, .user = t->user },
		.conf = conf,
		.counters = start->counters,
		.tls = start->tls,
		.lane_env = start->lane,
		.endpoint = start->endpoint,
		.is_stream = start->stream,
		.lends = start->lends,
		.aggressive = conf->role == LW_ROLE_CLIENT && !start->stream,
		.minor = start->minor,
		.tls_tick_at = LW_NEVER,
		.auth_at = LW_NEVER,
		.auth_until = LW_NEVER,
		.stale_at = LW_NEVER,
		.idle_at = LW_NEVER,
		.ping_at = LW_NEVER,
		.dead_at = LW_NEVER,
		.key_update_at = LW_NEVER,
		.last_rx_us = at,
	};
	t->endpoint.tos = 0; /* what the peer's packets were marked with is not an order to us */
	if (conf->role == LW_ROLE_SERVER || start->stream)
		t->stale_at = at + conf->stale_us;
	t->id = start->id;
	lw_stream_init(&t->stream, start->pool);
	lw_burst_init(&t->burst, 0);
	if (conf->state_bytes > 0)
		t->s.state = calloc(1, conf->state_bytes);
	if (conf->state_bytes > 0 && t->s.state == NULL) {
		lw_tunnel_destroy(t);
		return -ENOMEM;
	}
	lw_count(t->counters, LW_CTR_SESSIONS_OPENED);
	*ret = t;
	return 0;
}

static void drop_login(struct lw_tunnel *t)
{
	if (t->login == NULL)
		return;
	lw_wipe(t->login, sizeof(*t->login));
	free(t->login);
	t->login = NULL;
}

void lw_tunnel_destroy(struct lw_tunnel *t)
{
	if (t == NULL)
		return;
	drop_login(t);
	lw_pieces_fini(&t->waiting);
	lw_tls_destroy(t->tls);
	lw_stream_fini(&t->stream);
	lw_reassembly_destroy(t->reassembly);
	lw_lane_destroy(t->lane);
	free(t->carry);
	free(t->s.state);
	free(t);
}

/* Goodbye and close_notify where TLS stands; without an answer: wire.md 4.8. */
static void say_goodbye(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	const struct lw_frame goodbye = { .type = LW_FRAME_GOODBYE };
	struct lw_out o = { .t = t, .k = k };
	struct lw_tls_io io = lw_out_io(&o, NULL, 0);

	if (!t->handshake_done || t->broken)
		return;
	lw_send_frame(t, &goodbye, at, k);
	if (lw_out_room(t, k, 0, true))
		(void)lw_tls_close(t->tls, &io);
}

static void end(struct lw_tunnel *t, enum lw_close_reason reason, uint64_t at, struct lw_sink *k)
{
	if (reason != LW_CLOSE_HANDSHAKE)
		say_goodbye(t, at, k);
	t->state = LW_TUNNEL_CLOSED;
	t->reason = reason;
	lw_count(t->counters, LW_CTR_SESSIONS_CLOSED);
	if (reasons[reason].counter != LW_CTR_SESSIONS_CLOSED)
		lw_count(t->counters, reasons[reason].counter);
}

int lw_tunnel_fail(struct lw_tunnel *t, enum lw_close_reason reason, uint64_t at, struct lw_sink *k)
{
	end(t, reason, at, k);
	lw_tunnel_event(k, LW_EVENT_CLOSED, (uint32_t)reason);
	return reasons[reason].error;
}

/* Nothing can be sent any more; the next tick, which is due now, ends it. */
void lw_tunnel_break(struct lw_tunnel *t, uint64_t at)
{
	t->broken = true;
	t->stale_at = at;
}

void lw_tunnel_close(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	if (t->state != LW_TUNNEL_CLOSED)
		end(t, LW_CLOSE_LOCAL, at, k);
}

void lw_tunnel_drop(struct lw_tunnel *t)
{
	if (t->state == LW_TUNNEL_CLOSED)
		return;
	t->state = LW_TUNNEL_CLOSED;
	t->reason = LW_CLOSE_LOST;
	lw_count(t->counters, LW_CTR_SESSIONS_CLOSED);
	lw_count(t->counters, LW_CTR_CLOSED_LOST);
}

void lw_tunnel_send_login(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	const struct lw_frame f = {
		.type = LW_FRAME_AUTH_REQUEST,
		.auth = { .method = LW_AUTH_METHOD_PASSWORD,
		          .user = { (const uint8_t *)t->conf->user, strlen(t->conf->user) },
		          .secret = { (const uint8_t *)t->conf->password,
		                      strlen(t->conf->password) } },
	};

	lw_send_frame(t, &f, at, k);
}

static void handshake_done(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	t->handshake_done = true;
	t->tls_tick_at = LW_NEVER;
	if (t->conf->role == LW_ROLE_SERVER) {
		t->state = LW_TUNNEL_LINK_UP;
		if (!t->is_stream && at + LW_LOGIN_WAIT_US < t->stale_at)
			t->stale_at = at + LW_LOGIN_WAIT_US;
		return;
	}
	t->state = LW_TUNNEL_AUTHENTICATING;
	t->auth_wait_us = LW_LOGIN_RESEND_US;
	t->auth_at = t->is_stream ? LW_NEVER : at + t->auth_wait_us;
	t->auth_until = at + LW_LOGIN_GIVE_UP_US;
	lw_tunnel_send_login(t, at, k);
}

void lw_tunnel_go_online(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	t->state = LW_TUNNEL_ONLINE;
	t->aggressive = false;
	t->auth_at = LW_NEVER;
	t->auth_until = LW_NEVER;
	t->stale_at = LW_NEVER;
	t->last_rx_us = at;
	if (t->conf->role == LW_ROLE_SERVER) {
		t->idle_at = at + t->conf->idle_us;
		if (t->conf->key_update_us > 0)
			t->key_update_at = at + t->conf->key_update_us;
	} else {
		t->ping_at = at + t->conf->keepalive_us;
	}
	lw_count(t->counters, LW_CTR_SESSIONS_ONLINE);
	lw_tunnel_event(k, LW_EVENT_ONLINE, 0);
	lw_lane_online(t, at, k);
}

int lw_tunnel_after_step(struct lw_tunnel *t, int result, uint64_t at, struct lw_sink *k)
{
	if (result < 0)
		return lw_tunnel_fail(t, LW_CLOSE_HANDSHAKE, at, k);
	if (result == 1)
		handshake_done(t, at, k);
	else
		lw_tunnel_arm_tls(t, at);
	return 0;
}

int lw_tunnel_begin(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	struct lw_out o = { .t = t, .k = k };
	struct lw_tls_io io = lw_out_io(&o, NULL, 0);

	if (!t->lends)
		return lw_tunnel_after_step(t, lw_tls_step(t->tls, &io), at, k);
	lw_tunnel_arm_tls(t, at);
	lw_tunnel_event(k, LW_EVENT_STEP, 0);
	return 0;
}

struct lw_login *lw_tunnel_take_login(struct lw_tunnel *t)
{
	struct lw_login *l = t->login;

	t->login = NULL;
	return l;
}

static void send_success(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	const struct lw_success success = { .local = t->conf->client_address,
		                            .peer = t->conf->server_address,
		                            .dns = t->conf->dns,
		                            .mtu = t->conf->inside_mtu,
		                            .session = t->id };
	uint8_t buf[LW_FRAME_SUCCESS_LEN];
	int len = lw_success_write(buf, sizeof(buf), &success);

	if (len < 0)
		lw_tunnel_break(t, at);
	else if (!lw_out_room(t, k, (size_t)len, true))
		lw_count(t->counters, LW_CTR_SINK_FULL); /* the client asks again */
	else
		(void)lw_send_plain(t, buf, (size_t)len, at, k);
}

int lw_tunnel_auth(struct lw_tunnel *t, const struct lw_auth_answer *a, uint64_t at,
                   struct lw_sink *k)
{
	const struct lw_frame failure = { .type = LW_FRAME_AUTH_FAILURE };

	if (t->state == LW_TUNNEL_CLOSED || !t->auth_pending)
		return 0; /* a late answer */
	t->auth_pending = false;
	t->auth_at = LW_NEVER;
	drop_login(t);
	if (a->verdict != LW_AUTH_YES) {
		lw_send_frame(t, &failure, at, k);
		return lw_tunnel_fail(t, LW_CLOSE_AUTH, at, k);
	}
	if (t->state == LW_TUNNEL_LINK_UP) {
		(void)snprintf(t->user, sizeof(t->user), "%s", a->user);
		t->s.told = t->conf->client_address;
		lw_tunnel_go_online(t, at, k);
	}
	send_success(t, at, k);
	return 0;
}

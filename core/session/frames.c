/* SPDX-License-Identifier: MIT */
/* What a tunnel does with each frame: wire.md 2.1, "Reaction matrix", and the sections it names. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "session/reassembly.h"
#include "session/tunnel_priv.h"
#include "wire/success.h"

enum reaction {
	IGNORE,  /* silently */
	ACCEPT,  /* handle it */
	STATE,   /* not now: ends a TCP session, counted on UDP */
	MODE,    /* not from this role: ends the session */
	REFUSED, /* the peer refused the login */
	GOODBYE
};

/* the four columns of the matrix */
enum column { CLIENT_AUTHENTICATING, CLIENT_ONLINE, SERVER_LINK_UP, SERVER_ONLINE };

/* EncodingResponse without a codec ends the session, EncodingRequest without one is ignored:
 * wire.md 2.12. */
static const uint8_t reactions[LW_FRAME_TYPES][4] = {
	[LW_FRAME_NOOP] = { IGNORE, IGNORE, IGNORE, IGNORE },
	[LW_FRAME_PING] = { STATE, ACCEPT, STATE, ACCEPT },
	[LW_FRAME_PONG] = { STATE, ACCEPT, STATE, ACCEPT },
	[LW_FRAME_AUTH_REQUEST] = { MODE, MODE, ACCEPT, ACCEPT },
	[LW_FRAME_DATA] = { STATE, ACCEPT, STATE, ACCEPT },
	[LW_FRAME_AUTH_SUCCESS] = { ACCEPT, IGNORE, MODE, IGNORE },
	[LW_FRAME_AUTH_FAILURE] = { REFUSED, REFUSED, REFUSED, REFUSED },
	[LW_FRAME_GOODBYE] = { GOODBYE, GOODBYE, GOODBYE, GOODBYE },
	[LW_FRAME_SERVER_CONFIG] = { IGNORE, IGNORE, IGNORE, IGNORE },
	[LW_FRAME_DATA_FRAG] = { STATE, ACCEPT, STATE, ACCEPT },
	[LW_FRAME_ENCODED_DATA] = { STATE, MODE, STATE, MODE },
	[LW_FRAME_ENCODED_DATA_FRAG] = { STATE, ACCEPT, STATE, ACCEPT },
	[LW_FRAME_ENCODING_REQUEST] = { IGNORE, IGNORE, IGNORE, IGNORE },
	[LW_FRAME_ENCODING_RESPONSE] = { MODE, MODE, MODE, MODE },
	[LW_FRAME_EXPRESSLANE_CONFIG] = { STATE, ACCEPT, STATE, ACCEPT },
};

static enum column column_of(const struct lw_tunnel *t)
{
	bool online = t->state == LW_TUNNEL_ONLINE;

	if (t->conf->role == LW_ROLE_CLIENT)
		return online ? CLIENT_ONLINE : CLIENT_AUTHENTICATING;
	return online ? SERVER_ONLINE : SERVER_LINK_UP;
}

static void on_ping(struct lw_tunnel *t, const struct lw_frame *f, uint64_t at, struct lw_sink *k)
{
	lw_send_keepalive(t, LW_FRAME_PONG, f->ping.id, at, k);
}

static void on_pong(struct lw_tunnel *t, const struct lw_frame *f, uint64_t at, struct lw_sink *k)
{
	if (f->ping.id != 0)
		return; /* answers a probe */
	lw_tunnel_pong(t, at);
	lw_lane_pong(t, &f->ping, at, k);
}

/* Copies what the frame's views show: they point into the datagram. */
static struct lw_login *copy_login(const struct lw_frame *f)
{
	struct lw_login *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	assert(f->auth.user.len < sizeof(l->user) && f->auth.secret.len <= sizeof(l->secret));
	l->method = f->auth.method;
	l->secret_len = (uint32_t)f->auth.secret.len;
	if (f->auth.user.len > 0)
		memcpy(l->user, f->auth.user.p, f->auth.user.len);
	if (l->secret_len > 0)
		memcpy(l->secret, f->auth.secret.p, l->secret_len);
	return l;
}

/*
 * wire.md 2.4. A repeated request means that our answer was lost: online it is verified again, but
 * at most once a second, and not while one is being verified.
 */
static void on_auth_request(struct lw_tunnel *t, const struct lw_frame *f, uint64_t at,
                            struct lw_sink *k)
{
	if (t->auth_pending ||
	    (t->last_login_us != 0 && at - t->last_login_us < LW_LOGIN_REPEAT_US)) {
		lw_count(t->counters, LW_CTR_AUTH_REPEATED);
		return;
	}
	t->login = copy_login(f);
	if (t->login == NULL)
		return; /* the peer asks again */
	t->auth_pending = true;
	t->last_login_us = at;
	t->auth_at = at + LW_AUTH_ANSWER_US;
	lw_tunnel_event(k, LW_EVENT_AUTH_WANTED, 0);
}

static int on_auth_success(struct lw_tunnel *t, const struct lw_frame *f, uint64_t at,
                           struct lw_sink *k)
{
	struct lw_success success;

	if (lw_success_read(&f->success, &success) < 0) {
		lw_count(t->counters, LW_CTR_FRAME_MALFORMED);
		return lw_tunnel_fail(t, LW_CLOSE_PROTOCOL, at, k);
	}
	t->s.told = success.local;
	t->told_server = success.peer;
	t->told_dns = success.dns;
	lw_tunnel_go_online(t, at, k);
	return 0;
}

static int on_fragment(struct lw_tunnel *t, const struct lw_frame *f, uint64_t at,
                       struct lw_sink *k)
{
	const uint8_t *packet = NULL;
	size_t len = 0;
	int r;

	lw_count(t->counters, LW_CTR_FRAGMENTS_RX);
	if (t->reassembly == NULL)
		t->reassembly = lw_reassembly_create();
	if (t->reassembly == NULL)
		return 0;
	r = lw_reassembly_add(t->reassembly, &f->frag, &packet, &len);
	if (r < 0) {
		lw_count(t->counters, LW_CTR_FRAGMENTS_BAD);
		return 0;
	}
	if (r == 0)
		return 0; /* more to come */
	/* the type of the completing fragment decides: wire.md 2.8 */
	if (f->type == LW_FRAME_ENCODED_DATA_FRAG)
		return lw_tunnel_fail(t, LW_CLOSE_PROTOCOL, at, k);
	lw_deliver(t, NULL, packet, len, k);
	return 0;
}

static int accept_frame(struct lw_tunnel *t, const struct lw_frame *f, struct lw_packet *from,
                        uint64_t at, struct lw_sink *k)
{
	switch (f->type) {
	case LW_FRAME_PING:
		on_ping(t, f, at, k);
		return 0;
	case LW_FRAME_PONG:
		on_pong(t, f, at, k);
		return 0;
	case LW_FRAME_AUTH_REQUEST:
		on_auth_request(t, f, at, k);
		return 0;
	case LW_FRAME_AUTH_SUCCESS:
		return on_auth_success(t, f, at, k);
	case LW_FRAME_DATA:
		lw_deliver(t, from, f->data.p, f->data.len, k);
		return 0;
	case LW_FRAME_DATA_FRAG:
	case LW_FRAME_ENCODED_DATA_FRAG:
		return on_fragment(t, f, at, k);
	case LW_FRAME_EXPRESSLANE_CONFIG:
		lw_lane_config(t, &f->expresslane, at, k);
		return 0;
	default:
		return 0;
	}
}

/* 1: accepted, 0: not; negative: the session has ended */
int lw_tunnel_frame(struct lw_tunnel *t, const struct lw_frame *f, struct lw_packet *from,
                    uint64_t at, struct lw_sink *k)
{
	int r;

	lw_count(t->counters, LW_CTR_FRAMES_RX);
	switch (reactions[f->type][column_of(t)]) {
	case IGNORE:
		return 1;
	case STATE:
		lw_count(t->counters, LW_CTR_FRAME_BAD_STATE);
		return t->is_stream ? lw_tunnel_fail(t, LW_CLOSE_PROTOCOL, at, k) : 0;
	case MODE:
		lw_count(t->counters, LW_CTR_FRAME_BAD_MODE);
		return lw_tunnel_fail(t, LW_CLOSE_PROTOCOL, at, k);
	case REFUSED:
		return lw_tunnel_fail(t, LW_CLOSE_AUTH, at, k);
	case GOODBYE:
		return lw_tunnel_fail(t, LW_CLOSE_PEER, at, k);
	default:
		r = accept_frame(t, f, from, at, k);
		return r < 0 ? r : 1;
	}
}

/* SPDX-License-Identifier: MIT */
#include "tls/listener.h"

#include "tls/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/wipe.h"

/* DTLS plaintext record header, then handshake header: RFC 6347, sections 4.1 and 4.2.2 */
#define RECORD_HANDSHAKE 22
#define RECORD_HEADER    13
#define HANDSHAKE_HEADER 12
#define CLIENT_HELLO     1

/* one secret, and the object that takes hellos under it until it becomes a session */
struct door {
	struct lw_tls *fresh; /* NULL after it has, until the next hello */
	uint8_t secret[LW_TLS_SECRET_SIZE];
};

struct lw_tls_listener {
	struct lw_tls_ctx *ctx;
	struct door now;
	struct door old;
	uint64_t old_until; /* UINT64_MAX: no old secret */
	/* of the datagram in hand */
	struct lw_tls_io *io;
	size_t room;   /* bytes that a reply may have */
	bool answered; /* the library had an answer, sent or not */
};

#ifdef HAVE_WOLFDTLS_ACCEPT_STATELESS
/*
 * At most one reply per datagram and never more bytes than came in: nobody can use us to multiply
 * traffic to a victim. Alerts are not sent: under the wrong one of two secrets a good cookie looks
 * bad, and an alert would end that client's attempt.
 */
static int send_reply(WOLFSSL *ssl, char *buf, int len, void *arg)
{
	struct lw_tls_listener *l = arg;

	(void)ssl;
	if (len <= 0 || buf[0] != RECORD_HANDSHAKE)
		return len;
	l->answered = true;
	if ((size_t)len > l->room)
		return len;
	l->room = 0;
	(void)l->io->out(l->io->arg, (const uint8_t *)buf, (size_t)len);
	return len;
}

static int open_door(struct lw_tls_listener *l, struct door *d)
{
	struct lw_tls *t;
	int r;

	if (d->fresh != NULL)
		return 0;
	r = lw_tls_alloc(l->ctx, LW_TLS_DGRAM, DGRAM_MAX, &t);
	if (r < 0)
		return r;
	wolfSSL_SSLSetIOSend(t->ssl, send_reply);
	wolfSSL_SetIOWriteCtx(t->ssl, l);
#ifdef HAVE_WOLFSSL_DTLS13_ALLOW_CH_FRAG
	(void)wolfSSL_dtls13_allow_ch_frag(t->ssl, 1);
#endif
	if (wolfSSL_send_hrr_cookie(t->ssl, d->secret, sizeof(d->secret)) != WOLFSSL_SUCCESS) {
		lw_tls_destroy(t);
		return -ENOMEM;
	}
	d->fresh = t;
	return 0;
}

static struct lw_tls *take_session(struct door *d)
{
	struct lw_tls *t = d->fresh;

	d->fresh = NULL;
	lw_tls_begin(t);
	lw_tls_use_io(t);
	return t;
}

static int knock(struct lw_tls_listener *l, struct door *d, struct sockaddr_storage *peer,
                 socklen_t peer_len, struct lw_tls **ret)
{
	int r = open_door(l, d);

	if (r < 0)
		return r;
	/* without a peer the library binds the cookie to nothing and takes it from anywhere */
	if (wolfSSL_dtls_set_peer(d->fresh->ssl, peer, peer_len) != WOLFSSL_SUCCESS)
		return -ENOMEM;
	d->fresh->io = l->io;
	d->fresh->reads = true;
	r = wolfDTLS_accept_stateless(d->fresh->ssl);
	d->fresh->io = NULL;
	if (r == WOLFSSL_FAILURE)
		return 0;
	if (r == WOLFSSL_SUCCESS) {
		*ret = take_session(d);
		return 1;
	}
	lw_tls_destroy(d->fresh);
	d->fresh = NULL;
	return -EPROTO;
}

/* all else that a stranger may send would be dropped by the library, after more work */
static bool starts_hello(const uint8_t *p, size_t len)
{
	static const uint8_t first_fragment[3] = { 0 };

	return len >= RECORD_HEADER + HANDSHAKE_HEADER && p[0] == RECORD_HANDSHAKE &&
	       p[RECORD_HEADER] == CLIENT_HELLO &&
	       memcmp(p + RECORD_HEADER + 6, first_fragment, sizeof(first_fragment)) == 0;
}

int lw_tls_listen(struct lw_tls_listener *l, const struct lw_endpoint *from, struct lw_tls_io *io,
                  struct lw_tls **ret)
{
	struct sockaddr_storage peer;
	socklen_t peer_len = lw_addr_to_sockaddr(&from->remote, &peer);
	const uint8_t *in = io->in;
	size_t in_len = io->in_len;
	int r = 0;

	if (peer_len > 0 && starts_hello(in, in_len)) {
		l->io = io;
		l->room = in_len;
		l->answered = false;
		r = knock(l, &l->now, &peer, peer_len, ret);
		if (r == 0 && !l->answered && l->old_until != UINT64_MAX) {
			io->in = in;
			io->in_len = in_len;
			r = knock(l, &l->old, &peer, peer_len, ret);
		}
		l->io = NULL;
	}
	io->in_len = 0;
	return r;
}

static void close_door(struct door *d)
{
	lw_tls_destroy(d->fresh);
	lw_wipe(d, sizeof(*d));
}

int lw_tls_listener_create(struct lw_tls_ctx *ctx, const uint8_t secret[LW_TLS_SECRET_SIZE],
                           const uint8_t *old_secret, uint64_t now_us,
                           struct lw_tls_listener **ret_listener, struct lw_err *err)
{
	struct lw_tls_listener *l;

	if (!ctx->server)
		return lw_err_set(err, -EINVAL, "a client takes no sessions");
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	l->ctx = ctx;
	l->old_until = UINT64_MAX;
	memcpy(l->now.secret, secret, sizeof(l->now.secret));
	if (old_secret != NULL) {
		memcpy(l->old.secret, old_secret, sizeof(l->old.secret));
		l->old_until = now_us + LW_TLS_OLD_SECRET_US;
	}
	if (open_door(l, &l->now) < 0) {
		lw_tls_listener_destroy(l);
		return lw_err_set(err, -ENOMEM, "out of memory");
	}
	*ret_listener = l;
	return 0;
}

int lw_tls_listener_rekey(struct lw_tls_listener *l, const uint8_t secret[LW_TLS_SECRET_SIZE],
                          uint64_t now_us)
{
	struct door next = { .fresh = NULL };
	int r;

	memcpy(next.secret, secret, sizeof(next.secret));
	r = open_door(l, &next);
	if (r < 0) {
		lw_wipe(&next, sizeof(next));
		return r;
	}
	close_door(&l->old);
	l->old = l->now;
	l->now = next;
	l->old_until = now_us + LW_TLS_OLD_SECRET_US;
	lw_wipe(&next, sizeof(next));
	return 0;
}

uint64_t lw_tls_listener_expire(struct lw_tls_listener *l, uint64_t now_us)
{
	if (now_us < l->old_until)
		return l->old_until;
	close_door(&l->old);
	l->old_until = UINT64_MAX;
	return UINT64_MAX;
}

void lw_tls_listener_destroy(struct lw_tls_listener *l)
{
	if (l == NULL)
		return;
	close_door(&l->now);
	close_door(&l->old);
	lw_wipe(l, sizeof(*l));
	free(l);
}
#else
int lw_tls_listener_create(struct lw_tls_ctx *ctx, const uint8_t secret[LW_TLS_SECRET_SIZE],
                           const uint8_t *old_secret, uint64_t now_us,
                           struct lw_tls_listener **ret_listener, struct lw_err *err)
{
	(void)ctx;
	(void)secret;
	(void)old_secret;
	(void)now_us;
	(void)ret_listener;
	return lw_err_set(err, -EOPNOTSUPP,
	                  "this wolfSSL cannot check cookies without keeping state, "
	                  "so UDP is refused: wolfSSL 5.8 or newer can");
}

void lw_tls_listener_destroy(struct lw_tls_listener *l)
{
	free(l);
}

int lw_tls_listener_rekey(struct lw_tls_listener *l, const uint8_t secret[LW_TLS_SECRET_SIZE],
                          uint64_t now_us)
{
	(void)l;
	(void)secret;
	(void)now_us;
	return -EOPNOTSUPP;
}

uint64_t lw_tls_listener_expire(struct lw_tls_listener *l, uint64_t now_us)
{
	(void)l;
	(void)now_us;
	return UINT64_MAX;
}

int lw_tls_listen(struct lw_tls_listener *l, const struct lw_endpoint *from, struct lw_tls_io *io,
                  struct lw_tls **ret)
{
	(void)l;
	(void)from;
	(void)io;
	(void)ret;
	return -EOPNOTSUPP;
}
#endif

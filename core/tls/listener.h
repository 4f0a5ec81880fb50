/* SPDX-License-Identifier: MIT */
/*
 * First datagrams of unknown peers, answered without keeping anything until a cookie has come back
 * from their address. One listener per worker; the secrets are the same for all of them.
 */
#ifndef LW_TLS_LISTENER_H
#define LW_TLS_LISTENER_H

#include <stddef.h>
#include <stdint.h>

#include <laneway/addr.h>
#include <laneway/err.h>

#include "tls/tls.h"

#define LW_TLS_SECRET_SIZE 32
/* how long cookies of the secret before the last change are taken */
#define LW_TLS_OLD_SECRET_US 15000000ull

struct lw_tls_listener;

/**
 * lw_tls_listener_create() - begin to check cookies
 *
 * @ctx:          a server's; must outlive the listener and its sessions
 * @secret:       LW_TLS_SECRET_SIZE random bytes; copied
 * @old_secret:   the one before, whose cookies are taken until LW_TLS_OLD_SECRET_US from now;
 *                NULL for none; copied
 * @now_us:       the time, of any clock that lw_tls_listener_rekey() is given too
 * @ret_listener: set on success; free with lw_tls_listener_destroy()
 * @err:          filled with a sentence on failure; may be NULL
 *
 * Context: any thread; afterwards a listener belongs to one thread.
 * Return:  0, -EINVAL (a client's context), -ENOMEM, -EOPNOTSUPP (this wolfSSL keeps state before
 *          the cookie, which strangers could use up: no UDP listeners).
 */
int lw_tls_listener_create(struct lw_tls_ctx *ctx, const uint8_t secret[LW_TLS_SECRET_SIZE],
                           const uint8_t *old_secret, uint64_t now_us,
                           struct lw_tls_listener **ret_listener, struct lw_err *err);

/* lw_tls_listener_destroy() - wipe and free; its sessions live on; NULL is fine */
void lw_tls_listener_destroy(struct lw_tls_listener *l);

/**
 * lw_tls_listener_rekey() - use a new secret; the one so far is good for 15 s more
 *
 * Do it every few minutes: a cookie carries no time and is good as long as its secret.
 *
 * Context: the listener's thread.
 * Return:  0, or -ENOMEM: nothing has changed.
 */
int lw_tls_listener_rekey(struct lw_tls_listener *l, const uint8_t secret[LW_TLS_SECRET_SIZE],
                          uint64_t now_us);

/**
 * lw_tls_listener_expire() - forget the old secret when its time is over
 *
 * Context: the listener's thread.
 * Return:  when to call again, UINT64_MAX while there is no old secret.
 */
uint64_t lw_tls_listener_expire(struct lw_tls_listener *l, uint64_t now_us);

/**
 * lw_tls_listen() - one datagram from an address that no session owns
 *
 * @l:    the listener
 * @from: remote address and port are what the cookie is bound to
 * @io:   in: the datagram without its Lightway header; always taken. out is called at most once,
 *        with a handshake record no longer than the datagram was; its result is ignored
 * @ret:  set when 1 is returned: the caller's from then on, free with lw_tls_destroy(). It holds
 *        the hello already: call lw_tls_step() without input to send the first flight
 *
 * Only what has a session's address or id already, or the Expresslane flag, must not come here.
 *
 * Context: the listener's thread. Allocates for a session only; 1 to 3 us otherwise.
 * Return:  1 a session, 0 nothing kept, -EPROTO (a hello so broken that the library gave up; the
 *          listener goes on), -ENOMEM.
 */
int lw_tls_listen(struct lw_tls_listener *l, const struct lw_endpoint *from, struct lw_tls_io *io,
                  struct lw_tls **ret);

#endif

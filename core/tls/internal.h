/* SPDX-License-Identifier: MIT */
/* What the files of core/tls share; nobody else includes this. */
#ifndef LW_TLS_INTERNAL_H
#define LW_TLS_INTERNAL_H

#include "config.h"

/* the library's headers must follow its options, and do not meet our warnings */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wredundant-decls"
/* clang-format off */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
/* clang-format on */
#pragma GCC diagnostic pop

#include "tls/tls.h"

/* bytes of the largest DTLS datagram that any peer builds */
#define DGRAM_MAX (LW_TLS_OUTSIDE_MTU_MAX - LW_TLS_OUTSIDE_OVERHEAD)

struct lw_tls_ctx {
	WOLFSSL_CTX *wolf[2]; /* by enum lw_tls_transport */
	char *server_name;    /* NULL: not checked */
	bool server;
	bool rsa;
};

struct lw_tls {
	WOLFSSL *ssl;
	struct lw_tls_io *io; /* the caller's, during a call only */
	unsigned mtu;         /* bytes of the largest DTLS datagram that we build */
	int failed;           /* the fatal error, 0 so far */
	int out_error;        /* what io->out ended the session with */
	bool server;
	bool dgram;
	bool reads; /* the call may take input */
	bool started;
	bool done;
	bool closed;
	bool unacked; /* a message of ours was, when we last looked, not acknowledged */
	char error[LW_TLS_ERROR_MAX];
};

/* lw_tls_alloc() - an object for one session, with groups, MTU and callbacks set */
int lw_tls_alloc(struct lw_tls_ctx *ctx, enum lw_tls_transport transport, unsigned mtu,
                 struct lw_tls **ret_tls);

/* lw_tls_use_io() - make the session its own reader and writer */
void lw_tls_use_io(struct lw_tls *t);

/* lw_tls_fail() - keep the library's error code as the fatal error of the session; returns it */
int lw_tls_fail(struct lw_tls *t, int code);

/* lw_tls_fail_timeout() - the same for a peer that does not answer */
int lw_tls_fail_timeout(struct lw_tls *t);

/* lw_tls_library_text() - the library's words for its error code */
const char *lw_tls_library_text(int code, char buf[static WOLFSSL_MAX_ERROR_SZ]);

#endif

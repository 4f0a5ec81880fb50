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

#include "tls/records.h"
#include "tls/tls.h"

/* bytes of the largest DTLS datagram that any peer builds */
#define DGRAM_MAX (LW_TLS_OUTSIDE_MTU_MAX - LW_TLS_OUTSIDE_OVERHEAD)

struct lw_tls_ctx {
	WOLFSSL_CTX *wolf[2]; /* by enum lw_tls_transport */
	char *server_name;    /* NULL: not checked */
	bool server;
	bool rsa;
};

#define LW_TLS_KEY_LEN 32u

/* what the library calls our callback by: any number that it does not use itself */
#define LW_TLS_DEVICE 0x4c57

/*
 * Records of a key before a thread's cipher gets it. A session that idles, or whose packets go in
 * Expresslane, asks for a sign of life every 10 s and has a new key every 15 min: it never gets so
 * far, and is spared the time and about 2 KiB. Nor do the keys of a handshake, and those that
 * alternate while datagrams from before and after a key update overtake each other.
 */
#define LW_TLS_RECORDS_BEFORE 128u

/* one direction's present key, for as long as a thread's cipher is asked about it */
struct lw_tls_key {
	struct lw_tls_records *owner; /* whose @state is */
	void *state;                  /* the cipher's; NULL: not set up there */
	uint32_t records;             /* so far; only the first are counted */
	uint8_t bytes[LW_TLS_KEY_LEN];
};

struct lw_tls_keys {
	struct lw_tls_key seal;
	struct lw_tls_key open;
};

struct lw_tls {
	WOLFSSL *ssl;
	struct lw_tls_keys keys;
	struct lw_tls_io *io; /* the caller's, during a call only */
	unsigned mtu;         /* bytes of the largest DTLS datagram that we build */
	int failed;           /* the fatal error, 0 so far */
	int out_error;        /* what io->out ended the session with */
	bool server;
	bool dgram;
	bool reads; /* the call may take input */
	bool started;
	bool answered; /* a server's has sent something sealed */
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

/* lw_tls_begin() - what comes next is the handshake */
void lw_tls_begin(struct lw_tls *t);

/* lw_tls_library_start() - once for all threads; 0, or -EOPNOTSUPP with a sentence */
int lw_tls_library_start(struct lw_err *err);

/* lw_tls_records_begin() - let the library ask who seals and opens the records of this session */
void lw_tls_records_begin(WOLFSSL *ssl);

/* lw_tls_records_hold() - the session whose records this thread has in hand; NULL: none */
void lw_tls_records_hold(struct lw_tls_keys *keys);

/* lw_tls_keys_fini() - free and wipe; on the thread that used them, or after it has ended */
void lw_tls_keys_fini(struct lw_tls_keys *keys);

/* lw_tls_fail() - keep the library's error code as the fatal error of the session; returns it */
int lw_tls_fail(struct lw_tls *t, int code);

/* lw_tls_fail_timeout() - the same for a peer that does not answer */
int lw_tls_fail_timeout(struct lw_tls *t);

/* lw_tls_library_text() - the library's words for its error code */
const char *lw_tls_library_text(int code, char buf[static WOLFSSL_MAX_ERROR_SZ]);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * TLS 1.3 on byte streams and DTLS 1.3 on datagrams, without sockets, clocks or threads of its own:
 * a caller hands in what came from the peer and is called back with what must go out. The only
 * folder that knows wolfSSL.
 */
#ifndef LW_TLS_TLS_H
#define LW_TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <laneway/err.h>

/* bytes of IPv4, UDP and Lightway headers: what remains of the outside MTU is the DTLS MTU */
#define LW_TLS_OUTSIDE_OVERHEAD 44
/* what one DTLS record adds to its plaintext: unified header, content type, AEAD tag */
#define LW_TLS_RECORD_OVERHEAD 22
/* a ClientHello must fit one datagram, so a smaller outside MTU cannot carry a handshake */
#define LW_TLS_OUTSIDE_MTU_MIN 256
#define LW_TLS_OUTSIDE_MTU_MAX 1500
/* the longest plaintext of one record on a stream */
#define LW_TLS_STREAM_RECORD_MAX 16384
#define LW_TLS_ERROR_MAX         160

struct lw_tls;
struct lw_tls_ctx;

enum lw_tls_transport { LW_TLS_STREAM, LW_TLS_DGRAM };
enum lw_tls_cipher { LW_TLS_AES256, LW_TLS_CHACHA20 };

/**
 * struct lw_tls_io - what one call may read and where it sends
 *
 * @in:     bytes from the peer: on DGRAM exactly one datagram (Lightway header removed), on STREAM
 *          what is there. A call moves @in and @in_len past what it took; on DGRAM it takes the
 *          whole datagram, and one longer than any peer may send is dropped unread
 * @in_len: 0 for none; @in may then be NULL
 * @out:    called once per datagram (DGRAM) or per run of ciphertext (STREAM), any number of times
 *          within a call; @p dies with the return. 0: taken. Negative on DGRAM: the datagram counts
 *          as lost. On STREAM -EAGAIN: nothing of it was taken, the library keeps it and the call
 *          returns -EAGAIN; any other negative errno ends the session
 * @arg:    handed to @out
 */
struct lw_tls_io {
	const uint8_t *in;
	size_t in_len;
	int (*out)(void *arg, const uint8_t *p, size_t len);
	void *arg;
};

/* what lw_tls_info() tells about a finished handshake; the texts are constants */
struct lw_tls_info {
	const char *version;
	const char *cipher;
	const char *group;
};

/**
 * struct lw_tls_server_config - who a server is
 *
 * @cert_pem: certificate, then any intermediates; borrowed for the call, as is @key_pem
 * @key_pem:  its private key, not encrypted; the caller wipes its copy
 */
struct lw_tls_server_config {
	const uint8_t *cert_pem;
	size_t cert_len;
	const uint8_t *key_pem;
	size_t key_len;
};

/**
 * struct lw_tls_client_config - whom a client trusts
 *
 * @ca_pem:      one or more CA certificates, the only ones trusted; borrowed for the call
 * @server_name: DNS name that the server's certificate must carry; NULL or "": any certificate of
 *               that CA will do. Copied. Not sent to the server
 * @cipher:      the one suite that is offered: servers differ in what they prefer
 */
struct lw_tls_client_config {
	const uint8_t *ca_pem;
	size_t ca_len;
	const char *server_name;
	enum lw_tls_cipher cipher;
};

/**
 * lw_tls_ctx_create_server() - what all sessions of a server share, for both transports
 *
 * @cfg:     borrowed for the call
 * @ret_ctx: set on success; free with lw_tls_ctx_destroy()
 * @err:     filled with a sentence on failure; may be NULL
 *
 * Suites: AES-256-GCM, then ChaCha20-Poly1305. Groups: X25519MLKEM768 (where the library has it),
 * secp256r1, x25519.
 *
 * Context: control thread. The result may be used by all threads at once.
 * Return:  0, -EINVAL (certificate or key not readable), -EKEYREJECTED (the key is not that of the
 *          certificate), -EOPNOTSUPP (the library lacks something), -ENOMEM.
 */
int lw_tls_ctx_create_server(const struct lw_tls_server_config *cfg, struct lw_tls_ctx **ret_ctx,
                             struct lw_err *err);

/**
 * lw_tls_ctx_create_client() - what all attempts of a client share, for both transports
 *
 * @cfg:     borrowed for the call
 * @ret_ctx: set on success; free with lw_tls_ctx_destroy()
 * @err:     filled with a sentence on failure; may be NULL
 *
 * The first ClientHello carries a share of X25519MLKEM768, or of x25519 on DGRAM with an outside
 * MTU that the larger share would not fit.
 *
 * Context: control thread. The result may be used by all threads at once.
 * Return:  0, -EINVAL (CA not readable, expired), -EOPNOTSUPP, -ENOMEM.
 */
int lw_tls_ctx_create_client(const struct lw_tls_client_config *cfg, struct lw_tls_ctx **ret_ctx,
                             struct lw_err *err);

/**
 * lw_tls_ctx_destroy() - let go of a context; NULL is fine
 *
 * Sessions and listeners must be destroyed before it.
 *
 * Context: control thread.
 */
void lw_tls_ctx_destroy(struct lw_tls_ctx *ctx);

/* lw_tls_ctx_uses_rsa() - true when the server's key is RSA, whose signatures cost about ten times
 * those of P-256: worth a warning */
bool lw_tls_ctx_uses_rsa(const struct lw_tls_ctx *ctx);

/**
 * lw_tls_create() - a session of its own: a client's, or a server's on a stream
 *
 * @ctx:         its role is the session's; must outlive it
 * @transport:   a server's DGRAM sessions come from lw_tls_listen(), which checks cookies first
 * @outside_mtu: for DGRAM: bytes of the largest IPv4 packet that may be sent, 256..1500; ignored
 *               on STREAM. It limits what is sent, not what is accepted
 * @ret_tls:     set on success; free with lw_tls_destroy()
 *
 * Context: any thread. A session belongs to one thread at a time.
 * Return:  0, -EINVAL (MTU, a DGRAM server, or a server name that is not fully qualified), -ENOMEM.
 */
int lw_tls_create(struct lw_tls_ctx *ctx, enum lw_tls_transport transport, unsigned outside_mtu,
                  struct lw_tls **ret_tls);

/* lw_tls_destroy() - wipe and free; sends nothing; NULL is fine. Where lw_tls_records_use() was in
 * force for its records, on that thread, or after it has ended */
void lw_tls_destroy(struct lw_tls *t);

/**
 * lw_tls_step() - go on with the handshake
 *
 * @io: lent for the call; a client's first step, and the first one after lw_tls_listen(), need no
 *      input and send the first flight
 *
 * After 1, call lw_tls_read() until -EAGAIN: application data may have come with the last flight.
 * Once it has returned 1 it returns 1 again and does nothing.
 *
 * Context: the session's thread, or a helper that it was lent to. Public key cryptography: up to
 *          a few hundred microseconds.
 * Return:  1 done, 0 wants input (all of io->in was taken), -EAGAIN (STREAM: @out had no room, call
 *          again without input), or a fatal error (below); then the alert is out already.
 *
 * Fatal errors, after which every call returns the same one and lw_tls_error() has the sentence:
 *   -EKEYREJECTED  the peer's certificate was refused: name, issuer, dates, signature
 *   -ECONNRESET    the peer sent a fatal alert
 *   -ESHUTDOWN     the peer closed (close_notify)
 *   -EPROTO        anything else that the peer did wrong
 *   -ETIMEDOUT     12.7 s without an answer (lw_tls_tick())
 *   -ENOMEM, or what @out returned
 */
int lw_tls_step(struct lw_tls *t, struct lw_tls_io *io);

/**
 * lw_tls_write() - send one frame
 *
 * @p:   at most lw_tls_write_max() bytes on DGRAM, any number on STREAM, where each started 16 KiB
 *       makes a record
 * @len: 0 does nothing
 * @io:  only out and arg are used
 *
 * One write may call out twice: the library adds a KeyUpdate when a key has been used up.
 *
 * Context: the session's thread, after lw_tls_step() has returned 1.
 * Return:  0, -EMSGSIZE (nothing was done), -EAGAIN (STREAM: @out had no room; call again with the
 *          same bytes, a part may be out), -ENOTCONN (handshake not done), or a fatal error.
 */
int lw_tls_write(struct lw_tls *t, const uint8_t *p, size_t len, struct lw_tls_io *io);

/**
 * lw_tls_read() - take in what came and give decrypted bytes
 *
 * @dst:     may be io->in's own memory on DGRAM: the library has copied the datagram
 * @cap:     1 or more; a record that does not fit comes in pieces, call by call
 * @ret_len: set on success, to 1 or more
 * @io:      call again with the same one until -EAGAIN. out is used for ACKs and key updates
 *
 * On DGRAM one call gives the bytes of one record; a datagram may hold several. What cannot be
 * decrypted is dropped without a word.
 *
 * Context: the session's thread, after lw_tls_step() has returned 1.
 * Return:  0, -EAGAIN (io->in is used up), -ENOTCONN (handshake not done), -EINVAL (no room at
 *          all; nothing was done), or a fatal error.
 */
int lw_tls_read(struct lw_tls *t, uint8_t *dst, size_t cap, size_t *ret_len, struct lw_tls_io *io);

/**
 * lw_tls_tick() - the retransmission timer has fired
 *
 * @io:          only out and arg are used: ACKs, the current flight
 * @ret_next_us: set on success to the interval until the next tick, counted from this one; 0: none
 *               is needed now (handshake done, nothing unacknowledged; STREAM)
 *
 * The timer runs from creation: arm it with lw_tls_timeout_us() after the first step, and let it
 * fire whether or not there was traffic. Intervals are 100 ms, doubled with each resend, and start
 * anew with each valid handshake message; a quarter while ACKs are due. It ends after 12.7 s
 * without progress.
 *
 * Context: the session's thread.
 * Return:  0, -ETIMEDOUT or another fatal error.
 */
int lw_tls_tick(struct lw_tls *t, struct lw_tls_io *io, uint64_t *ret_next_us);

/**
 * lw_tls_timeout_us() - interval of the next tick as things stand, 0 for none
 *
 * Ask when no tick is armed: after the first step, and after any write, read or key update of a
 * finished session, since either side may start a key update at any time.
 *
 * Context: the session's thread. Cheap.
 */
uint64_t lw_tls_timeout_us(const struct lw_tls *t);

/**
 * lw_tls_update_keys() - send a KeyUpdate that asks for one in return
 *
 * @io: only out and arg are used
 *
 * On DGRAM the new key is used from the peer's ACK on; ticks repair losses.
 *
 * Context: the session's thread, after the handshake.
 * Return:  0 (also when one is already pending: nothing is sent), -ENOTCONN, -EAGAIN (STREAM: @out
 *          had no room, the message goes out with the next write), or a fatal error.
 */
int lw_tls_update_keys(struct lw_tls *t, struct lw_tls_io *io);

/**
 * lw_tls_key_update_pending() - a KeyUpdate of ours has not been answered
 *
 * DGRAM: not acknowledged, whoever began (the library begins one itself after 23.7 million records
 * of AES-GCM). STREAM: the peer's has not come.
 *
 * Context: the session's thread. Cheap.
 */
bool lw_tls_key_update_pending(const struct lw_tls *t);

/**
 * lw_tls_close() - send close_notify, once; nothing before the handshake is done or after an error
 *
 * @io: only out and arg are used
 *
 * Context: the session's thread. lw_tls_destroy() follows.
 */
void lw_tls_close(struct lw_tls *t, struct lw_tls_io *io);

/* lw_tls_write_max() - longest lw_tls_write() that makes one record */
size_t lw_tls_write_max(const struct lw_tls *t);

/* lw_tls_done() - lw_tls_step() has returned 1 */
bool lw_tls_done(const struct lw_tls *t);

/* lw_tls_answered() - a server's handshake has come so far that it has agreed on keys and signed:
 * what is left of it costs little */
bool lw_tls_answered(const struct lw_tls *t);

/* lw_tls_error() - one sentence about the fatal error, "" when there was none; lives as long as @t
 */
const char *lw_tls_error(const struct lw_tls *t);

/* lw_tls_info() - version, suite and group for the log; "unknown" before the handshake is done */
void lw_tls_info(const struct lw_tls *t, struct lw_tls_info *ret);

#endif

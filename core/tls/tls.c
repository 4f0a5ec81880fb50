/* SPDX-License-Identifier: MIT */
#include "tls/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"

/* the library counts in units of 1 to 64; one is 100 ms in this protocol */
#define TICK_US     UINT64_C(100000)
#define COUNTER_MAX 64
#define QUICK_PART  4

/* what is not sealed begins with its content type, 20 to 22; what is sealed with 23 on a stream and
 * with more in a datagram: RFC 8446, section 5.2, and RFC 9147, section 4 */
#define SEALED_FIRST  23
#define STREAM_HEADER 5

#define SUITE_AES256_GCM 0x1302
#define SUITE_CHACHA20   0x1303

/* DTLS MTU from which on our first ClientHello has room for a share of X25519MLKEM768 */
#define MLKEM_MTU_MIN 1400

/* application data that the library may announce in a row before it wants input again */
#define READS_MAX 16

static int recv_bytes(WOLFSSL *ssl, char *buf, int cap, void *arg)
{
	struct lw_tls *t = arg;
	struct lw_tls_io *io = t->io;
	size_t len = io->in_len;
	const uint8_t *in = io->in;

	if (!t->reads || len == 0 || cap <= 0)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	if (t->dgram) {
		io->in += len;
		io->in_len = 0;
		(void)wolfSSL_dtls_set_mtu(ssl, (unsigned short)t->mtu);
		if (len > (size_t)cap)
			return WOLFSSL_CBIO_ERR_WANT_READ;
	} else {
		len = len < (size_t)cap ? len : (size_t)cap;
		io->in += len;
		io->in_len -= len;
	}
	memcpy(buf, in, len);
	return (int)len;
}

/* On a stream the library sends several records at once, whole ones. */
static bool has_sealed(const struct lw_tls *t, const uint8_t *p, size_t len)
{
	size_t at = 0;

	if (t->dgram)
		return p[0] >= SEALED_FIRST;
	while (len - at > STREAM_HEADER) {
		size_t record = STREAM_HEADER + ((size_t)p[at + 3] << 8 | p[at + 4]);

		if (p[at] >= SEALED_FIRST)
			return true;
		if (record >= len - at)
			return false;
		at += record;
	}
	return false;
}

static int send_bytes(WOLFSSL *ssl, char *buf, int len, void *arg)
{
	struct lw_tls *t = arg;
	int r;

	(void)ssl;
	if (t->server && !t->answered && len > 0)
		t->answered = has_sealed(t, (const uint8_t *)buf, (size_t)len);
	r = t->io->out(t->io->arg, (const uint8_t *)buf, (size_t)len);
	if (r == 0 || t->dgram)
		return len;
	if (r == -EAGAIN)
		return WOLFSSL_CBIO_ERR_WANT_WRITE;
	t->out_error = r;
	return WOLFSSL_CBIO_ERR_GENERAL;
}

void lw_tls_use_io(struct lw_tls *t)
{
	wolfSSL_SSLSetIORecv(t->ssl, recv_bytes);
	wolfSSL_SetIOReadCtx(t->ssl, t);
	wolfSSL_SSLSetIOSend(t->ssl, send_bytes);
	wolfSSL_SetIOWriteCtx(t->ssl, t);
}

/* a client shares the first group of the list, or x25519 where the first would not fit */
static int set_share(struct lw_tls *t)
{
#ifdef HAVE_X25519MLKEM768
	if (!t->dgram || t->mtu >= MLKEM_MTU_MIN)
		return wolfSSL_UseKeyShare(t->ssl, WOLFSSL_X25519MLKEM768);
#endif
	return wolfSSL_UseKeyShare(t->ssl, WOLFSSL_ECC_X25519);
}

static int prepare_client(struct lw_tls *t, const char *server_name)
{
	if (set_share(t) != WOLFSSL_SUCCESS)
		return -ENOMEM;
	if (server_name == NULL)
		return 0;
	return wolfSSL_check_domain_name(t->ssl, server_name) == WOLFSSL_SUCCESS ? 0 : -EINVAL;
}

int lw_tls_alloc(struct lw_tls_ctx *ctx, enum lw_tls_transport transport, unsigned mtu,
                 struct lw_tls **ret_tls)
{
	struct lw_tls *t = calloc(1, sizeof(*t));
	int r = -ENOMEM;

	if (t == NULL)
		return r;
	t->ssl = wolfSSL_new(ctx->wolf[transport]);
	if (t->ssl == NULL)
		goto fail;
	t->server = ctx->server;
	t->dgram = transport == LW_TLS_DGRAM;
	t->mtu = mtu;
	lw_tls_use_io(t);
	if (t->dgram) {
		wolfSSL_dtls_set_using_nonblock(t->ssl, 1);
		(void)wolfSSL_dtls_set_mtu(t->ssl, (unsigned short)mtu);
	}
	r = t->server ? 0 : prepare_client(t, ctx->server_name);
	if (r < 0)
		goto fail;
	*ret_tls = t;
	return 0;
fail:
	lw_tls_destroy(t);
	return r;
}

int lw_tls_create(struct lw_tls_ctx *ctx, enum lw_tls_transport transport, unsigned outside_mtu,
                  struct lw_tls **ret_tls)
{
	if (transport == LW_TLS_STREAM)
		return lw_tls_alloc(ctx, transport, DGRAM_MAX, ret_tls);
	if (ctx->server || outside_mtu < LW_TLS_OUTSIDE_MTU_MIN ||
	    outside_mtu > LW_TLS_OUTSIDE_MTU_MAX)
		return -EINVAL;
	return lw_tls_alloc(ctx, transport, outside_mtu - LW_TLS_OUTSIDE_OVERHEAD, ret_tls);
}

void lw_tls_destroy(struct lw_tls *t)
{
	if (t == NULL)
		return;
	wolfSSL_free(t->ssl);
	lw_tls_keys_fini(&t->keys);
	lw_wipe(t, sizeof(*t));
	free(t);
}

/*
 * The library reads no datagram longer than about its own MTU, but a peer need not keep to ours:
 * while it reads, its MTU is the largest of any peer; recv_bytes() sets it back before it can send.
 */
static int enter(struct lw_tls *t, struct lw_tls_io *io, bool reads)
{
	if (t->failed != 0)
		return t->failed;
	t->io = io;
	t->reads = reads;
	lw_tls_records_hold(&t->keys);
	if (reads && t->dgram && t->started && io->in_len > 0)
		(void)wolfSSL_dtls_set_mtu(t->ssl, DGRAM_MAX);
	return 0;
}

/* the counter is as the last loss left it: a message that begins a new wait starts from 100 ms */
static void watch_unacked(struct lw_tls *t)
{
	bool unacked = wolfSSL_dtls13_has_pending_msg(t->ssl) != 0;

	if (unacked && !t->unacked)
		(void)wolfSSL_dtls_set_timeout_init(t->ssl, 1);
	t->unacked = unacked;
}

static int leave(struct lw_tls *t, int r)
{
	t->io = NULL;
	lw_tls_records_hold(NULL);
	if (!t->dgram)
		return r;
	(void)wolfSSL_dtls_set_mtu(t->ssl, (unsigned short)t->mtu);
	if (t->done)
		watch_unacked(t);
	return r;
}

/* data that overtook the ACK of our Finished; nobody has asked for any yet */
static void discard_early(struct lw_tls *t)
{
	uint8_t buf[DGRAM_MAX];

	while (wolfSSL_pending(t->ssl) > 0 && wolfSSL_read(t->ssl, buf, sizeof(buf)) > 0)
		continue;
	lw_wipe(buf, sizeof(buf));
}

/* Not before: what a listener has for strangers is the library's alone. */
void lw_tls_begin(struct lw_tls *t)
{
	t->started = true;
	lw_tls_records_begin(t->ssl);
}

static int shake(struct lw_tls *t)
{
	if (!t->started)
		lw_tls_begin(t);
	for (int i = 0; i < READS_MAX; i++) {
		int r = t->server ? wolfSSL_accept(t->ssl) : wolfSSL_connect(t->ssl);
		int code;

		if (r == WOLFSSL_SUCCESS) {
			t->done = true;
			return 1;
		}
		code = wolfSSL_get_error(t->ssl, r);
		if (code == WOLFSSL_ERROR_WANT_READ)
			return 0;
		if (code == WOLFSSL_ERROR_WANT_WRITE)
			return -EAGAIN;
		if (code != APP_DATA_READY)
			return lw_tls_fail(t, code);
		discard_early(t);
	}
	return 0;
}

int lw_tls_step(struct lw_tls *t, struct lw_tls_io *io)
{
	int r = enter(t, io, true);

	if (r < 0)
		return r;
	return leave(t, t->done ? 1 : shake(t));
}

int lw_tls_write(struct lw_tls *t, const uint8_t *p, size_t len, struct lw_tls_io *io)
{
	int r = enter(t, io, false);

	if (r < 0)
		return r;
	if (!t->done)
		r = -ENOTCONN;
	else if (len > (t->dgram ? lw_tls_write_max(t) : INT32_MAX))
		r = -EMSGSIZE;
	if (r < 0 || len == 0)
		return leave(t, r);
	r = wolfSSL_write(t->ssl, p, (int)len);
	if (r == (int)len)
		return leave(t, 0);
	r = wolfSSL_get_error(t->ssl, r);
	return leave(t, r == WOLFSSL_ERROR_WANT_WRITE ? -EAGAIN : lw_tls_fail(t, r));
}

static int read_record(struct lw_tls *t, uint8_t *dst, size_t cap, size_t *ret_len)
{
	int n = cap < INT32_MAX ? (int)cap : INT32_MAX;

	for (int i = 0; i < READS_MAX; i++) {
		int r = wolfSSL_read(t->ssl, dst, n);
		int code;

		if (r > 0) {
			*ret_len = (size_t)r;
			return 0;
		}
		code = wolfSSL_get_error(t->ssl, r);
		if (code == WOLFSSL_ERROR_WANT_READ || code == WOLFSSL_ERROR_WANT_WRITE)
			return -EAGAIN;
		if (code != APP_DATA_READY)
			return lw_tls_fail(t, code);
	}
	return -EAGAIN;
}

int lw_tls_read(struct lw_tls *t, uint8_t *dst, size_t cap, size_t *ret_len, struct lw_tls_io *io)
{
	int r = enter(t, io, true);

	if (r < 0)
		return r;
	if (!t->done)
		return leave(t, -ENOTCONN);
	return leave(t, cap > 0 ? read_record(t, dst, cap, ret_len) : -EINVAL);
}

uint64_t lw_tls_timeout_us(const struct lw_tls *t)
{
	bool quick;
	uint64_t us;

	if (!t->dgram || t->failed != 0)
		return 0;
	quick = wolfSSL_dtls13_use_quick_timeout(t->ssl) != 0;
	if (t->done && !quick && wolfSSL_dtls13_has_pending_msg(t->ssl) == 0)
		return 0;
	us = (unsigned)wolfSSL_dtls_get_current_timeout(t->ssl) * TICK_US;
	return quick ? us / QUICK_PART : us;
}

static int tick(struct lw_tls *t)
{
	bool last = !wolfSSL_dtls13_use_quick_timeout(t->ssl) &&
	            wolfSSL_dtls_get_current_timeout(t->ssl) >= COUNTER_MAX;

	if (wolfSSL_dtls_got_timeout(t->ssl) == WOLFSSL_SUCCESS)
		return 0;
	return last ? lw_tls_fail_timeout(t) : lw_tls_fail(t, wolfSSL_get_error(t->ssl, -1));
}

int lw_tls_tick(struct lw_tls *t, struct lw_tls_io *io, uint64_t *ret_next_us)
{
	int r = enter(t, io, false);

	if (r < 0)
		return r;
	if (lw_tls_timeout_us(t) > 0)
		r = tick(t);
	r = leave(t, r);
	if (r == 0)
		*ret_next_us = lw_tls_timeout_us(t);
	return r;
}

bool lw_tls_key_update_pending(const struct lw_tls *t)
{
	int required = 0;

	if (!t->done || t->failed != 0)
		return false;
	if (t->dgram)
		return wolfSSL_dtls13_has_pending_msg(t->ssl) != 0;
	return wolfSSL_key_update_response(t->ssl, &required) == 0 && required != 0;
}

int lw_tls_update_keys(struct lw_tls *t, struct lw_tls_io *io)
{
	int r = enter(t, io, false);

	if (r < 0)
		return r;
	if (!t->done)
		return leave(t, -ENOTCONN);
	if (lw_tls_key_update_pending(t))
		return leave(t, 0);
	r = wolfSSL_update_keys(t->ssl);
	if (r == WOLFSSL_SUCCESS)
		return leave(t, 0);
	return leave(t, r == WOLFSSL_ERROR_WANT_WRITE ? -EAGAIN : lw_tls_fail(t, r));
}

void lw_tls_close(struct lw_tls *t, struct lw_tls_io *io)
{

	if (!t->done || t->closed || enter(t, io, false) < 0)
		return;
	t->closed = true;
	(void)wolfSSL_shutdown(t->ssl);
	(void)leave(t, 0);
}

size_t lw_tls_write_max(const struct lw_tls *t)
{
	return t->dgram ? t->mtu - LW_TLS_RECORD_OVERHEAD : LW_TLS_STREAM_RECORD_MAX;
}

bool lw_tls_done(const struct lw_tls *t)
{
	return t->done;
}

bool lw_tls_answered(const struct lw_tls *t)
{
	return t->answered;
}

const char *lw_tls_error(const struct lw_tls *t)
{
	return t->error;
}

/* the registered names; the library has names of its own */
static const char *suite_name(int suite)
{
	switch (suite) {
	case SUITE_AES256_GCM:
		return "TLS_AES_256_GCM_SHA384";
	case SUITE_CHACHA20:
		return "TLS_CHACHA20_POLY1305_SHA256";
	default:
		return "unknown";
	}
}

static const char *text_or_unknown(const char *text)
{
	return text != NULL ? text : "unknown";
}

void lw_tls_info(const struct lw_tls *t, struct lw_tls_info *ret)
{
	*ret = (struct lw_tls_info){ .version = "unknown",
		                     .cipher = "unknown",
		                     .group = "unknown" };
	if (!t->done)
		return;
	ret->version = text_or_unknown(wolfSSL_get_version(t->ssl));
	ret->cipher = suite_name(wolfSSL_get_current_cipher_suite(t->ssl));
	ret->group = text_or_unknown(wolfSSL_get_curve_name(t->ssl));
}

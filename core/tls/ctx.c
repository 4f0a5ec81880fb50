/* SPDX-License-Identifier: MIT */
#include "tls/internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/rsa.h>
#pragma GCC diagnostic pop

#include "base/wipe.h"

#define SUITE_AES256   "TLS13-AES256-GCM-SHA384"
#define SUITE_CHACHA20 "TLS13-CHACHA20-POLY1305-SHA256"

#define MIN_RSA_BITS 2048
#define MIN_ECC_BITS 256

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_result;

static void library_init(void)
{
	library_result = wolfSSL_Init();
}

int lw_tls_library_start(struct lw_err *err)
{
	char buf[WOLFSSL_MAX_ERROR_SZ];

	(void)pthread_once(&library_once, library_init);
	if (library_result == WOLFSSL_SUCCESS)
		return 0;
	return lw_err_set(err, -EOPNOTSUPP, "wolfSSL does not start: %s",
	                  lw_tls_library_text(library_result, buf));
}

static WOLFSSL_METHOD *method(bool server, enum lw_tls_transport transport)
{
	if (transport == LW_TLS_DGRAM)
		return server ? wolfDTLSv1_3_server_method() : wolfDTLSv1_3_client_method();
	return server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method();
}

static int set_groups(WOLFSSL_CTX *wolf, struct lw_err *err)
{
	int groups[] = {
#ifdef HAVE_X25519MLKEM768
		WOLFSSL_X25519MLKEM768,
#endif
		WOLFSSL_ECC_SECP256R1,
		WOLFSSL_ECC_X25519,
	};

	if (wolfSSL_CTX_set_groups(wolf, groups, sizeof(groups) / sizeof(*groups)) ==
	    WOLFSSL_SUCCESS)
		return 0;
	return lw_err_set(err, -EOPNOTSUPP, "this wolfSSL lacks secp256r1 or x25519");
}

static int create_one(struct lw_tls_ctx *ctx, enum lw_tls_transport transport, const char *suites,
                      struct lw_err *err)
{
	WOLFSSL_CTX *wolf = wolfSSL_CTX_new(method(ctx->server, transport));

	if (wolf == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	ctx->wolf[transport] = wolf;
	if (wolfSSL_CTX_set_cipher_list(wolf, suites) != WOLFSSL_SUCCESS)
		return lw_err_set(err, -EOPNOTSUPP, "this wolfSSL lacks the cipher suites %s",
		                  suites);
	(void)wolfSSL_CTX_set_session_cache_mode(wolf, WOLFSSL_SESS_CACHE_OFF);
#ifdef HAVE_SESSION_TICKET
	if (ctx->server)
		(void)wolfSSL_CTX_no_ticket_TLSv13(wolf);
#endif
	(void)wolfSSL_CTX_SetMinRsaKey_Sz(wolf, MIN_RSA_BITS);
	(void)wolfSSL_CTX_SetMinEccKey_Sz(wolf, MIN_ECC_BITS);
	/*
	 * A flight in one write. Not on datagrams: the library drops a whole datagram that begins
	 * with a plaintext ServerHello it has seen, and with it what was sent again behind that.
	 */
	if (transport == LW_TLS_STREAM)
		(void)wolfSSL_CTX_set_group_messages(wolf);
	return set_groups(wolf, err);
}

static int load_identity(WOLFSSL_CTX *wolf, const struct lw_tls_server_config *cfg,
                         struct lw_err *err)
{
	char buf[WOLFSSL_MAX_ERROR_SZ];
	int r = wolfSSL_CTX_use_certificate_chain_buffer(wolf, cfg->cert_pem, (long)cfg->cert_len);

	if (r != WOLFSSL_SUCCESS)
		return lw_err_set(err, -EINVAL, "the certificate cannot be used: %s",
		                  lw_tls_library_text(r, buf));
	r = wolfSSL_CTX_use_PrivateKey_buffer(wolf, cfg->key_pem, (long)cfg->key_len,
	                                      WOLFSSL_FILETYPE_PEM);
	if (r != WOLFSSL_SUCCESS)
		return lw_err_set(err, -EINVAL, "the private key cannot be used: %s",
		                  lw_tls_library_text(r, buf));
	if (wolfSSL_CTX_check_private_key(wolf) != WOLFSSL_SUCCESS)
		return lw_err_set(err, -EKEYREJECTED,
		                  "the private key is not that of the certificate");
	wolfSSL_CTX_set_verify(wolf, WOLFSSL_VERIFY_NONE, NULL);
	return 0;
}

static int load_trust(WOLFSSL_CTX *wolf, const struct lw_tls_client_config *cfg, struct lw_err *err)
{
	char buf[WOLFSSL_MAX_ERROR_SZ];
	int r = wolfSSL_CTX_load_verify_buffer(wolf, cfg->ca_pem, (long)cfg->ca_len,
	                                       WOLFSSL_FILETYPE_PEM);

	if (r != WOLFSSL_SUCCESS)
		return lw_err_set(err, -EINVAL, "the CA certificate cannot be used: %s",
		                  lw_tls_library_text(r, buf));
	wolfSSL_CTX_set_verify(wolf, WOLFSSL_VERIFY_PEER, NULL);
	return 0;
}

static bool der_is_rsa(const uint8_t *der, int len)
{
	RsaKey key;
	word32 at = 0;
	bool rsa;

	if (wc_InitRsaKey(&key, NULL) != 0)
		return false;
	rsa = wc_RsaPrivateKeyDecode(der, &at, &key, (word32)len) == 0;
	(void)wc_FreeRsaKey(&key);
	return rsa;
}

static bool pem_is_rsa(const uint8_t *pem, size_t len)
{
	uint8_t *der = malloc(len);
	int n;
	bool rsa;

	if (der == NULL)
		return false;
	n = wc_KeyPemToDer(pem, (int)len, der, (int)len, NULL);
	rsa = n > 0 && der_is_rsa(der, n);
	lw_wipe(der, len);
	free(der);
	return rsa;
}

int lw_tls_ctx_create_server(const struct lw_tls_server_config *cfg, struct lw_tls_ctx **ret_ctx,
                             struct lw_err *err)
{
	struct lw_tls_ctx *ctx;
	int r = lw_tls_library_start(err);

	if (r < 0)
		return r;
	if (cfg->cert_len == 0 || cfg->key_len == 0)
		return lw_err_set(err, -EINVAL, "the %s is empty",
		                  cfg->cert_len == 0 ? "certificate" : "private key");
	ctx = calloc(1, sizeof(*ctx));
	if (ctx == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	ctx->server = true;
	for (int i = 0; i < 2 && r == 0; i++) {
		r = create_one(ctx, i == 0 ? LW_TLS_STREAM : LW_TLS_DGRAM,
		               SUITE_AES256 ":" SUITE_CHACHA20, err);
		if (r == 0)
			r = load_identity(ctx->wolf[i], cfg, err);
	}
	if (r < 0) {
		lw_tls_ctx_destroy(ctx);
		return r;
	}
	ctx->rsa = pem_is_rsa(cfg->key_pem, cfg->key_len);
	*ret_ctx = ctx;
	return 0;
}

static int copy_name(struct lw_tls_ctx *ctx, const char *name, struct lw_err *err)
{
	if (name == NULL || *name == '\0')
		return 0;
	ctx->server_name = strdup(name);
	return ctx->server_name != NULL ? 0 : lw_err_set(err, -ENOMEM, "out of memory");
}

int lw_tls_ctx_create_client(const struct lw_tls_client_config *cfg, struct lw_tls_ctx **ret_ctx,
                             struct lw_err *err)
{
	struct lw_tls_ctx *ctx;
	int r = lw_tls_library_start(err);

	if (r < 0)
		return r;
	if (cfg->ca_len == 0)
		return lw_err_set(err, -EINVAL, "the CA certificate is empty");
	ctx = calloc(1, sizeof(*ctx));
	if (ctx == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	r = copy_name(ctx, cfg->server_name, err);
	for (int i = 0; i < 2 && r == 0; i++) {
		r = create_one(ctx, i == 0 ? LW_TLS_STREAM : LW_TLS_DGRAM,
		               cfg->cipher == LW_TLS_CHACHA20 ? SUITE_CHACHA20 : SUITE_AES256, err);
		if (r == 0)
			r = load_trust(ctx->wolf[i], cfg, err);
	}
	if (r < 0) {
		lw_tls_ctx_destroy(ctx);
		return r;
	}
	*ret_ctx = ctx;
	return 0;
}

void lw_tls_ctx_destroy(struct lw_tls_ctx *ctx)
{
	if (ctx == NULL)
		return;
	wolfSSL_CTX_free(ctx->wolf[LW_TLS_STREAM]);
	wolfSSL_CTX_free(ctx->wolf[LW_TLS_DGRAM]);
	free(ctx->server_name);
	free(ctx);
}

bool lw_tls_ctx_uses_rsa(const struct lw_tls_ctx *ctx)
{
	return ctx->rsa;
}

/* SPDX-License-Identifier: MIT */
#include "tls/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unit/test.h"
#include "unit/test_tls_pair.h"

#define DGRAM_FRAME_MAX 1434

static const enum lw_tls_transport transports[] = { LW_TLS_STREAM, LW_TLS_DGRAM };

static void check_info(struct pair *p, const char *cipher, const char *group)
{
	for (int side = 0; side < 2; side++) {
		struct lw_tls_info info;

		lw_tls_info(p->end[side].tls, &info);
		assert_string_equal(info.version,
		                    p->transport == LW_TLS_DGRAM ? "DTLSv1.3" : "TLSv1.3");
		assert_string_equal(info.cipher, cipher);
		assert_string_equal(info.group, group);
	}
}

static void handshake__every_suite__negotiated(void **state)
{
	static const char *const names[] = { "TLS_AES_256_GCM_SHA384",
		                             "TLS_CHACHA20_POLY1305_SHA256" };

	(void)state;
	for (int c = 0; c < 2; c++) {
		for (int i = 0; i < 2; i++) {
			struct pair_ctxs f;
			struct pair *p;

			pair_ctxs_open(&f, "server", "ca.crt", "server.test",
			               c == 0 ? LW_TLS_AES256 : LW_TLS_CHACHA20);
			p = pair_open(transports[i], f.server, f.client, 1500);
			pair_connect(p);
			pair_exchange(p);
#ifdef HAVE_X25519MLKEM768
			check_info(p, names[c], "X25519MLKEM768");
#else
			check_info(p, names[c], "SECP256R1");
#endif
			pair_close(p);
			pair_ctxs_close(&f);
		}
	}
}

/* a client that shares one group only, as others do */
static void handshake__every_group__negotiated(void **state)
{
	static const struct {
		int group;
		const char *name;
	} cases[] = {
#ifdef HAVE_X25519MLKEM768
		{ WOLFSSL_X25519MLKEM768, "X25519MLKEM768" },
#endif
		{ WOLFSSL_ECC_SECP256R1, "SECP256R1" },
		{ WOLFSSL_ECC_X25519, "X25519" },
	};

	(void)state;
	for (size_t g = 0; g < sizeof(cases) / sizeof(*cases); g++) {
		for (int i = 0; i < 4; i++) {
			struct pair_ctxs f;
			struct pair *p;
			int group = cases[g].group;

			pair_ctxs_open(&f, "server", "ca.crt", NULL,
			               i / 2 == 0 ? LW_TLS_AES256 : LW_TLS_CHACHA20);
			p = pair_open(transports[i % 2], f.server, f.client, 1500);
			lw_tls_destroy(p->end[PAIR_CLIENT].tls);
			assert_int_equal(wolfSSL_CTX_set_groups(f.client->wolf[transports[i % 2]],
			                                        &group, 1),
			                 WOLFSSL_SUCCESS);
			p->end[PAIR_CLIENT].tls = calloc(1, sizeof(struct lw_tls));
			*p->end[PAIR_CLIENT].tls = (struct lw_tls){
				.ssl = wolfSSL_new(f.client->wolf[transports[i % 2]]),
				.dgram = transports[i % 2] == LW_TLS_DGRAM,
				.mtu = DGRAM_MAX,
			};
			lw_tls_use_io(p->end[PAIR_CLIENT].tls);
			wolfSSL_dtls_set_using_nonblock(p->end[PAIR_CLIENT].tls->ssl, i % 2);
			assert_int_equal(
				wolfSSL_UseKeyShare(p->end[PAIR_CLIENT].tls->ssl, (word16)group),
				WOLFSSL_SUCCESS);
			pair_connect(p);
			pair_exchange(p);
			check_info(p,
			           i / 2 == 0 ? "TLS_AES_256_GCM_SHA384"
			                      : "TLS_CHACHA20_POLY1305_SHA256",
			           cases[g].name);
			pair_close(p);
			pair_ctxs_close(&f);
		}
	}
}

static void handshake__empty_key_share__group_by_retry_request(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		static const char filler[] =
			"a-name-that-makes-the-hello-as-long-as-the-answer.test";
		struct pair_ctxs f;
		struct pair *p;

		pair_ctxs_open(&f, "server", "ca.crt", "server.test", LW_TLS_AES256);
		p = pair_open(transports[i], f.server, f.client, 1500);
		assert_int_equal(wolfSSL_NoKeyShares(p->end[PAIR_CLIENT].tls->ssl),
		                 WOLFSSL_SUCCESS);
		assert_int_equal(wolfSSL_UseSNI(p->end[PAIR_CLIENT].tls->ssl, WOLFSSL_SNI_HOST_NAME,
		                                filler, sizeof(filler) - 1),
		                 WOLFSSL_SUCCESS);
		pair_connect(p);
		pair_exchange(p);
		pair_close(p);
		pair_ctxs_close(&f);
	}
}

/* What a server asks for once more costs it nothing yet. */
static void answered__retry_request__only_after_the_hello_that_follows(void **state)
{
	struct pair_ctxs f;
	struct pair *p;

	(void)state;
	pair_ctxs_open(&f, "server", "ca.crt", "server.test", LW_TLS_AES256);
	p = pair_open(LW_TLS_STREAM, f.server, f.client, 1500);
	assert_int_equal(wolfSSL_NoKeyShares(p->end[PAIR_CLIENT].tls->ssl), WOLFSSL_SUCCESS);
	pair_start(p);
	while (p->end[PAIR_SERVER].n_sent == 0)
		pair_run(p, p->now_us + 100);
	assert_false(lw_tls_answered(p->end[PAIR_SERVER].tls));
	pair_run(p, UINT64_MAX);
	assert_true(p->end[PAIR_SERVER].done);
	assert_true(lw_tls_answered(p->end[PAIR_SERVER].tls));
	assert_false(lw_tls_answered(p->end[PAIR_CLIENT].tls));
	pair_close(p);
	pair_ctxs_close(&f);
}

/* On datagrams the listener has asked; what it hands over has not answered. */
static void answered__datagrams__when_the_flight_is_out(void **state)
{
	struct pair_ctxs f;
	struct pair *p;

	(void)state;
	pair_ctxs_open(&f, "server", "ca.crt", "server.test", LW_TLS_AES256);
	p = pair_open(LW_TLS_DGRAM, f.server, f.client, 1500);
	pair_connect(p);
	assert_true(lw_tls_answered(p->end[PAIR_SERVER].tls));
	pair_close(p);
	pair_ctxs_close(&f);
}

static void handshake__chain_and_rsa__verified(void **state)
{
	static const char *const names[] = { "chain", "rsa" };

	(void)state;
	for (int n = 0; n < 2; n++) {
		for (int i = 0; i < 2; i++) {
			struct pair_ctxs f;
			struct pair *p;

			pair_ctxs_open(&f, names[n], "ca.crt", "server.test", LW_TLS_AES256);
			assert_int_equal(lw_tls_ctx_uses_rsa(f.server), n);
			p = pair_open(transports[i], f.server, f.client, 1500);
			pair_connect(p);
			pair_exchange(p);
			pair_close(p);
			pair_ctxs_close(&f);
		}
	}
}

static void handshake__any_outside_mtu__hello_answered_and_datagrams_fit(void **state)
{
	struct pair_ctxs f;

	(void)state;
	pair_ctxs_open(&f, "rsa", "ca.crt", "server.test", LW_TLS_AES256);
	for (unsigned mtu = LW_TLS_OUTSIDE_MTU_MIN; mtu <= LW_TLS_OUTSIDE_MTU_MAX; mtu += 4) {
		struct pair *p = pair_open(LW_TLS_DGRAM, f.server, f.client, mtu);
		struct pair_end *c = &p->end[PAIR_CLIENT];
		static const uint8_t data[LW_TLS_OUTSIDE_MTU_MAX];

		pair_connect(p);
		/* nothing had to be sent again */
		assert_in_range(c->sent_us[c->n_sent - 1], 1000000, 1050000);
		assert_int_equal(pair_send(p, PAIR_CLIENT, data, lw_tls_write_max(c->tls)), 0);
		assert_int_equal(pair_send(p, PAIR_CLIENT, data, lw_tls_write_max(c->tls) + 1),
		                 -EMSGSIZE);
		assert_int_equal(pair_send(p, PAIR_SERVER, data, DGRAM_FRAME_MAX), 0);
		pair_run(p, UINT64_MAX);
		assert_int_equal(p->end[PAIR_SERVER].got_len, mtu - 44 - 22);
		assert_int_equal(c->got_len, DGRAM_FRAME_MAX);
		for (size_t i = 0; i < c->n_sent; i++)
			assert_in_range(c->sent_len[i], 1, mtu - 44);
		pair_close(p);
	}
	pair_ctxs_close(&f);
}

static void create__bad_arguments__refused(void **state)
{
	struct pair_ctxs f;
	struct lw_tls *t = NULL;

	(void)state;
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
	assert_int_equal(lw_tls_create(f.client, LW_TLS_DGRAM, 255, &t), -EINVAL);
	assert_int_equal(lw_tls_create(f.client, LW_TLS_DGRAM, 1501, &t), -EINVAL);
	assert_int_equal(lw_tls_create(f.server, LW_TLS_DGRAM, 1500, &t), -EINVAL);
	assert_null(t);
	lw_tls_destroy(NULL);
	lw_tls_ctx_destroy(NULL);
	pair_ctxs_close(&f);
}

static void certificate__refused__distinct_sentences(void **state)
{
	static const struct {
		const char *server;
		const char *ca;
		const char *name;
		const char *text;
		const char *alert;
	} cases[] = {
		{ "server", "other-ca.crt", NULL, "it was not issued by the configured CA",
		  "unknown_ca" },
		{ "server", "ca.crt", "another.test", "it is for another domain name",
		  "bad_certificate" },
		{ "expired", "ca.crt", NULL, "it has expired", "certificate_expired" },
		{ "future", "ca.crt", NULL, "it is not valid yet", "certificate_expired" },
	};

	(void)state;
	for (size_t n = 0; n < sizeof(cases) / sizeof(*cases); n++) {
		for (int i = 0; i < 2; i++) {
			struct pair_ctxs f;
			struct pair *p;

			pair_ctxs_open(&f, cases[n].server, cases[n].ca, cases[n].name,
			               LW_TLS_AES256);
			p = pair_open(transports[i], f.server, f.client, 1500);
			pair_start(p);
			pair_run(p, 2000000);
			assert_int_equal(p->end[PAIR_CLIENT].error, -EKEYREJECTED);
			assert_non_null(
				strstr(lw_tls_error(p->end[PAIR_CLIENT].tls), cases[n].text));
			assert_int_equal(p->end[PAIR_SERVER].error, -ECONNRESET);
			assert_non_null(
				strstr(lw_tls_error(p->end[PAIR_SERVER].tls), cases[n].alert));
			pair_close(p);
			pair_ctxs_close(&f);
		}
	}
}

static int make_server(const char *crt, const char *key, struct lw_err *err)
{
	struct lw_tls_server_config cfg = { .cert_pem = NULL };
	struct lw_tls_ctx *ctx = NULL;
	uint8_t *cert = pair_file(crt, &cfg.cert_len);
	uint8_t *priv = pair_file(key, &cfg.key_len);
	int r;

	cfg.cert_pem = cert;
	cfg.key_pem = priv;
	r = lw_tls_ctx_create_server(&cfg, &ctx, err);
	lw_tls_ctx_destroy(ctx);
	free(cert);
	free(priv);
	return r;
}

static void ctx__bad_files__one_sentence(void **state)
{
	struct lw_err err = { .text = "" };
	struct lw_tls_client_config cfg = { .ca_pem = (const uint8_t *)"junk", .ca_len = 4 };
	struct lw_tls_ctx *ctx = NULL;

	(void)state;
	assert_int_equal(make_server("server.crt", "server.key", &err), 0);
	assert_int_equal(make_server("server.crt", "expired.key", &err), -EKEYREJECTED);
	assert_string_equal(err.text, "the private key is not that of the certificate");
	assert_int_equal(make_server("server.crt", "rsa.key", &err), -EKEYREJECTED);
	assert_int_equal(make_server("server.key", "server.key", &err), -EINVAL);
	assert_non_null(strstr(err.text, "the certificate cannot be used: "));
	assert_int_equal(make_server("server.crt", "server.crt", &err), -EINVAL);
	assert_non_null(strstr(err.text, "the private key cannot be used: "));
	assert_int_equal(lw_tls_ctx_create_client(&cfg, &ctx, &err), -EINVAL);
	assert_non_null(strstr(err.text, "the CA certificate cannot be used: "));
	cfg.ca_len = 0;
	assert_int_equal(lw_tls_ctx_create_client(&cfg, &ctx, &err), -EINVAL);
	assert_string_equal(err.text, "the CA certificate is empty");
	assert_null(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake__every_suite__negotiated),
		cmocka_unit_test(handshake__every_group__negotiated),
		cmocka_unit_test(handshake__empty_key_share__group_by_retry_request),
		cmocka_unit_test(answered__retry_request__only_after_the_hello_that_follows),
		cmocka_unit_test(answered__datagrams__when_the_flight_is_out),
		cmocka_unit_test(handshake__chain_and_rsa__verified),
		cmocka_unit_test(handshake__any_outside_mtu__hello_answered_and_datagrams_fit),
		cmocka_unit_test(create__bad_arguments__refused),
		cmocka_unit_test(certificate__refused__distinct_sentences),
		cmocka_unit_test(ctx__bad_files__one_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

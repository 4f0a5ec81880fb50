/* SPDX-License-Identifier: MIT */
#include "fuzz/tls_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/addr.h"

#define PEM_MAX 4096

const uint8_t fixture_secret[LW_TLS_SECRET_SIZE] = { 1, 2, 3, 4, 5, 6, 7, 8 };
const uint8_t fixture_old_secret[LW_TLS_SECRET_SIZE] = { 8, 7, 6, 5, 4, 3, 2, 1 };

static size_t read_pem(const char *name, uint8_t *buf)
{
	const char *top = getenv("top_srcdir");
	char path[512];
	size_t len = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/tests/data/tls/%s", top != NULL ? top : ".", name);
	f = fopen(path, "rb");
	if (f != NULL) {
		len = fread(buf, 1, PEM_MAX, f);
		(void)fclose(f);
	}
	if (len == 0) {
		(void)fprintf(stderr, "cannot read %s: set top_srcdir\n", path);
		exit(1);
	}
	return len;
}

struct lw_tls_ctx *fixture_server(void)
{
	static struct lw_tls_ctx *ctx;
	uint8_t cert[PEM_MAX];
	uint8_t key[PEM_MAX];
	struct lw_tls_server_config cfg = { .cert_pem = cert, .key_pem = key };

	if (ctx != NULL)
		return ctx;
	cfg.cert_len = read_pem("server.crt", cert);
	cfg.key_len = read_pem("server.key", key);
	if (lw_tls_ctx_create_server(&cfg, &ctx, NULL) != 0)
		exit(1);
	return ctx;
}

struct lw_tls_ctx *fixture_client(void)
{
	static struct lw_tls_ctx *ctx;
	uint8_t ca[PEM_MAX];
	struct lw_tls_client_config cfg = { .ca_pem = ca, .server_name = "server.test" };

	if (ctx != NULL)
		return ctx;
	cfg.ca_len = read_pem("ca.crt", ca);
	if (lw_tls_ctx_create_client(&cfg, &ctx, NULL) != 0)
		exit(1);
	return ctx;
}

struct lw_endpoint fixture_endpoint(void)
{
	return (struct lw_endpoint){ .remote = lw_addr_ipv4(0xc0000201, 40000) };
}

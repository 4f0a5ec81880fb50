/* SPDX-License-Identifier: MIT */
/*
 * First datagrams of strangers: never more than one reply, never longer than what came, and a
 * session only for a cookie. Seeds are hellos of the stock client and of ours, the second ones with
 * a cookie that fits secret and address here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/tls_fixture.h"

static size_t replies;
static size_t reply_bytes;

static int count_reply(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)p;
	replies++;
	reply_bytes += len;
	return 0;
}

static int ignore(void *arg, const uint8_t *p, size_t len)
{
	(void)arg;
	(void)p;
	(void)len;
	return 0;
}

static struct lw_tls_listener *listener(void)
{
	static struct lw_tls_listener *l;

	if (l == NULL && lw_tls_listener_create(fixture_server(), fixture_secret,
	                                        fixture_old_secret, 0, &l, NULL) != 0) {
		puts("SKIP: this wolfSSL has no stateless cookies");
		exit(77);
	}
	return l;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lw_tls_listener *l = listener();
	struct lw_endpoint from = fixture_endpoint();
	struct lw_tls_io io = { .in = data, .in_len = size, .out = count_reply };
	struct lw_tls *t = NULL;
	int r;

	replies = 0;
	reply_bytes = 0;
	r = lw_tls_listen(l, &from, &io, &t);
	if (replies > 1 || reply_bytes > size || io.in_len != 0 || (r == 1) != (t != NULL))
		abort();
	if (r == 1) {
		io.out = ignore;
		(void)lw_tls_step(t, &io);
	}
	lw_tls_destroy(t);
	return 0;
}

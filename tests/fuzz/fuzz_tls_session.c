/* SPDX-License-Identifier: MIT */
/*
 * Bytes of a hostile peer, during a handshake and after it. The first byte chooses who reads: bit 0
 * the server, bit 1 datagrams, bit 2 an established session. Then datagrams, or pieces of a stream,
 * each behind its length in two bytes. An established session has done a true handshake in memory.
 * Seeds are recorded flights, records, a KeyUpdate and a close_notify.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "fuzz/tls_fixture.h"

#define PIPE_MAX 65536
#define FRAMES   32

#define READER_SERVER 1
#define ON_DGRAM      2
#define ESTABLISHED   4

/* what one end has sent and the other has not read yet */
struct pipe {
	size_t n;
	size_t len[FRAMES];
	size_t used;
	uint8_t bytes[PIPE_MAX];
};

static struct pipe pipes[2];

static int into_pipe(void *arg, const uint8_t *p, size_t len)
{
	struct pipe *pipe = arg;

	if (pipe->n == FRAMES || len > PIPE_MAX - pipe->used)
		return 0;
	memcpy(pipe->bytes + pipe->used, p, len);
	pipe->used += len;
	pipe->len[pipe->n++] = len;
	return 0;
}

/* one end reads all that the other sent; true once its handshake is done */
static bool take_in(struct lw_tls *t, struct pipe *from, struct pipe *to)
{
	static struct pipe in;
	size_t at = 0;
	bool done = lw_tls_done(t);

	in = *from;
	from->n = 0;
	from->used = 0;
	for (size_t i = 0; i < in.n && !done; i++) {
		struct lw_tls_io io = {
			.in = in.bytes + at, .in_len = in.len[i], .out = into_pipe, .arg = to
		};

		done = lw_tls_step(t, &io) == 1;
		at += in.len[i];
	}
	return done;
}

static struct lw_tls *accept_dgram(void)
{
	static struct lw_tls_listener *l;
	struct lw_endpoint from = fixture_endpoint();
	struct lw_tls_io io = { .in = pipes[0].bytes,
		                .in_len = pipes[0].n > 0 ? pipes[0].len[0] : 0,
		                .out = into_pipe,
		                .arg = &pipes[1] };
	struct lw_tls *t = NULL;

	if (l == NULL &&
	    lw_tls_listener_create(fixture_server(), fixture_secret, NULL, 0, &l, NULL) != 0) {
		puts("SKIP: this wolfSSL has no stateless cookies");
		exit(77);
	}
	if (lw_tls_listen(l, &from, &io, &t) == 1)
		(void)lw_tls_step(t, &io);
	pipes[0].n = 0;
	pipes[0].used = 0;
	return t;
}

static void start(enum lw_tls_transport transport, struct lw_tls *ends[2])
{
	struct lw_tls_io io = { .out = into_pipe, .arg = &pipes[0] };

	memset(pipes, 0, sizeof(pipes));
	ends[0] = NULL;
	ends[1] = NULL;
	if (lw_tls_create(fixture_client(), transport, 1500, &ends[0]) != 0)
		exit(1);
	(void)lw_tls_step(ends[0], &io);
	if (transport == LW_TLS_STREAM) {
		if (lw_tls_create(fixture_server(), transport, 0, &ends[1]) != 0)
			exit(1);
		return;
	}
	(void)accept_dgram();
	(void)take_in(ends[0], &pipes[1], &pipes[0]);
	ends[1] = accept_dgram();
	if (ends[1] == NULL)
		abort();
}

static void finish(struct lw_tls *ends[2])
{
	for (int i = 0; i < 8; i++) {
		(void)take_in(ends[1], &pipes[0], &pipes[1]);
		(void)take_in(ends[0], &pipes[1], &pipes[0]);
	}
	if (!lw_tls_done(ends[0]) || !lw_tls_done(ends[1]))
		abort();
}

/* true while the session goes on */
static bool feed(struct lw_tls *t, const uint8_t *p, size_t len)
{
	static uint8_t dst[1 << 15];
	struct lw_tls_io io = { .in = p, .in_len = len, .out = into_pipe, .arg = &pipes[0] };
	uint64_t next = 0;
	size_t n;
	int r = lw_tls_step(t, &io);

	while (r >= 0 && lw_tls_done(t)) {
		r = lw_tls_read(t, dst, sizeof(dst), &n, &io);
		if (r == 0 && (n == 0 || n > sizeof(dst)))
			abort();
	}
	if (r < 0 && r != -EAGAIN) {
		if (*lw_tls_error(t) == '\0')
			abort();
		return false;
	}
	if (io.in_len != 0)
		abort();
	return lw_tls_tick(t, &io, &next) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lw_reader r = lw_reader_init(data, size);
	uint8_t mode = lw_read_u8(&r);
	struct lw_tls *ends[2];
	bool alive = true;

	start(mode & ON_DGRAM ? LW_TLS_DGRAM : LW_TLS_STREAM, ends);
	if (mode & ESTABLISHED)
		finish(ends);
	while (alive && lw_reader_left(&r) > 2) {
		size_t len = lw_read_u16(&r);
		const uint8_t *p;

		len = len < lw_reader_left(&r) ? len : lw_reader_left(&r);
		p = lw_read_bytes(&r, len);
		if (len > 0)
			alive = feed(ends[mode & READER_SERVER], p, len);
	}
	lw_tls_destroy(ends[0]);
	lw_tls_destroy(ends[1]);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "unit/test.h"
#include "unit/test_tls_pair.h"

#define DGRAM_FRAME_MAX 1434

static const enum lw_tls_transport transports[] = { LW_TLS_STREAM, LW_TLS_DGRAM };

static void data__every_dgram_size__arrives(void **state)
{
	struct pair_ctxs f;
	struct pair *p;
	uint8_t data[DGRAM_FRAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
	p = pair_open(LW_TLS_DGRAM, f.server, f.client, 1500);
	pair_connect(p);
	assert_int_equal(lw_tls_write_max(p->end[PAIR_SERVER].tls), DGRAM_FRAME_MAX);
	for (size_t len = 0; len <= DGRAM_FRAME_MAX; len++) {
		for (int side = 0; side < 2; side++) {
			struct pair_end *peer = &p->end[!side];

			peer->got_len = 0;
			p->end[side].n_sent = 0;
			assert_int_equal(pair_send(p, side, data, len), 0);
			pair_run(p, UINT64_MAX);
			assert_int_equal(p->end[side].n_sent, len > 0);
			if (len > 0)
				assert_int_equal(p->end[side].sent_len[0],
				                 len + LW_TLS_RECORD_OVERHEAD);
			assert_int_equal(peer->got_len, len);
			assert_memory_equal(peer->got, data, len);
		}
	}
	assert_int_equal(pair_send(p, 0, data, DGRAM_FRAME_MAX + 1), -EMSGSIZE);
	pair_exchange(p);
	pair_close(p);
	pair_ctxs_close(&f);
}

static void data__stream_sizes__arrive(void **state)
{
	static const size_t sizes[] = { 1, 2, 1434, 1435, 16383, 16384, 16385, 60000 };
	static uint8_t data[60000];
	struct pair_ctxs f;
	struct pair *p;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13);
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
	p = pair_open(LW_TLS_STREAM, f.server, f.client, 0);
	pair_connect(p);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (int side = 0; side < 2; side++) {
			struct pair_end *peer = &p->end[!side];

			peer->got_len = 0;
			assert_int_equal(pair_send(p, side, data, sizes[i]), 0);
			pair_run(p, UINT64_MAX);
			assert_int_equal(peer->got_len, sizes[i]);
			assert_memory_equal(peer->got, data, sizes[i]);
		}
	}
	pair_close(p);
	pair_ctxs_close(&f);
}

struct wire {
	uint8_t bytes[40000];
	size_t len;
	bool full;
};

static int collect(void *arg, const uint8_t *bytes, size_t len)
{
	struct wire *w = arg;

	if (w->full)
		return -EAGAIN;
	assert_true(len <= sizeof(w->bytes) - w->len);
	memcpy(w->bytes + w->len, bytes, len);
	w->len += len;
	return 0;
}

/* a stream has no boundaries: what one end sends arrives in bytes */
static void data__stream_byte_by_byte__handshake_and_data(void **state)
{
	static struct wire wires[2];
	struct pair_ctxs f;
	struct lw_tls *t[2];
	bool done[2] = { false, false };
	uint8_t got[64];
	size_t len = 0;

	(void)state;
	memset(wires, 0, sizeof(wires));
	pair_ctxs_open(&f, "server", "ca.crt", "server.test", LW_TLS_AES256);
	assert_int_equal(lw_tls_create(f.client, LW_TLS_STREAM, 0, &t[0]), 0);
	assert_int_equal(lw_tls_create(f.server, LW_TLS_STREAM, 0, &t[1]), 0);
	for (int round = 0; round < 6; round++) {
		struct lw_tls_io io = { .out = collect, .arg = &wires[0] };

		if (round == 0)
			assert_int_equal(lw_tls_step(t[0], &io), 0);
		for (int side = 0; side < 2; side++) {
			struct wire in = wires[!side];

			wires[!side].len = 0;
			io.arg = &wires[side];
			for (size_t i = 0; i < in.len; i++) {
				io.in = in.bytes + i;
				io.in_len = 1;
				if (!done[side])
					done[side] = lw_tls_step(t[side], &io) == 1;
				assert_int_equal(io.in_len, 0);
			}
		}
	}
	assert_true(done[0] && done[1]);
	assert_int_equal(wires[0].len + wires[1].len, 0);
	struct lw_tls_io io = { .out = collect, .arg = &wires[0] };
	assert_int_equal(lw_tls_write(t[0], (const uint8_t *)"abc", 3, &io), 0);
	for (size_t i = 0; i < wires[0].len; i++) {
		struct lw_tls_io in = {
			.in = wires[0].bytes + i, .in_len = 1, .out = collect, .arg = &wires[1]
		};

		assert_int_equal(lw_tls_read(t[1], got, sizeof(got), &len, &in),
		                 i + 1 < wires[0].len ? -EAGAIN : 0);
	}
	assert_int_equal(len, 3);
	assert_memory_equal(got, "abc", 3);
	lw_tls_destroy(t[0]);
	lw_tls_destroy(t[1]);
	pair_ctxs_close(&f);
}

static void write__stream_without_room__goes_on_with_same_bytes(void **state)
{
	static uint8_t data[40000];
	struct pair_ctxs f;
	struct pair *p;

	(void)state;
	memset(data, 0x5a, sizeof(data));
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
	p = pair_open(LW_TLS_STREAM, f.server, f.client, 0);
	pair_connect(p);
	p->end[0].refuse = true;
	assert_int_equal(pair_send(p, 0, data, sizeof(data)), -EAGAIN);
	assert_int_equal(pair_send(p, 0, data, sizeof(data)), -EAGAIN);
	p->end[0].refuse = false;
	assert_int_equal(pair_send(p, 0, data, sizeof(data)), 0);
	pair_run(p, UINT64_MAX);
	assert_int_equal(p->end[1].got_len, sizeof(data));
	assert_memory_equal(p->end[1].got, data, sizeof(data));
	pair_close(p);
	pair_ctxs_close(&f);
}

static int broken_pipe(void *arg, const uint8_t *bytes, size_t len)
{
	(void)arg;
	(void)bytes;
	(void)len;
	return -EPIPE;
}

static void write__transport_gone__its_error_stays(void **state)
{
	struct pair_ctxs f;
	struct pair *p;
	struct lw_tls_io io = { .out = broken_pipe };

	(void)state;
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
	p = pair_open(LW_TLS_STREAM, f.server, f.client, 0);
	pair_connect(p);
	assert_int_equal(lw_tls_write(p->end[0].tls, (const uint8_t *)"x", 1, &io), -EPIPE);
	assert_int_equal(pair_send(p, 0, "x", 1), -EPIPE);
	assert_string_equal(lw_tls_error(p->end[0].tls), "the transport is gone");
	pair_close(p);
	pair_ctxs_close(&f);
}

static void write__before_the_handshake__refused(void **state)
{
	struct pair_ctxs f;
	struct pair *p;
	size_t len;
	uint8_t buf[8];

	(void)state;
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
	p = pair_open(LW_TLS_STREAM, f.server, f.client, 0);
	assert_int_equal(pair_send(p, 0, "x", 1), -ENOTCONN);
	assert_int_equal(lw_tls_read(p->end[0].tls, buf, sizeof(buf), &len, &p->end[0].io),
	                 -ENOTCONN);
	assert_int_equal(lw_tls_update_keys(p->end[0].tls, &p->end[0].io), -ENOTCONN);
	assert_false(lw_tls_done(p->end[0].tls));
	lw_tls_close(p->end[0].tls, &p->end[0].io);
	assert_int_equal(p->end[0].n_sent, 0);
	pair_close(p);
	pair_ctxs_close(&f);
}

static void close__either_side__other_is_told(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair_ctxs f;
		struct pair *p;
		struct pair_end *e;
		struct pair_end *peer;

		pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
		p = pair_open(transports[i % 2], f.server, f.client, 1500);
		e = &p->end[i / 2];
		peer = &p->end[!(i / 2)];
		pair_connect(p);
		e->n_sent = 0;
		lw_tls_close(e->tls, &e->io);
		lw_tls_close(e->tls, &e->io);
		assert_int_equal(e->n_sent, 1);
		pair_run(p, UINT64_MAX);
		assert_int_equal(peer->error, -ESHUTDOWN);
		assert_string_equal(lw_tls_error(peer->tls), "the peer closed the session");
		assert_int_equal(pair_send(p, !(i / 2), "x", 1), -ESHUTDOWN);
		pair_close(p);
		pair_ctxs_close(&f);
	}
}

/* anybody can send plaintext from the right address: on datagrams it must not end a session */
static void dgram__forged_plaintext_alert__ignored(void **state)
{
	static const uint8_t alert[] = { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40 };
	struct pair_ctxs f;
	struct pair *p;

	(void)state;
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
	p = pair_open(LW_TLS_DGRAM, f.server, f.client, 1500);
	pair_connect(p);
	for (int side = 0; side < 2; side++) {
		struct lw_tls_io io = p->end[side].io;
		uint8_t buf[64];
		size_t len;

		io.in = alert;
		io.in_len = sizeof(alert);
		assert_int_equal(lw_tls_read(p->end[side].tls, buf, sizeof(buf), &len, &io),
		                 -EAGAIN);
	}
	pair_exchange(p);
	pair_close(p);
	pair_ctxs_close(&f);
}

/* the caller may decrypt over what it received, and one datagram may hold several records */
static void dgram__several_records_in_place__all_read(void **state)
{
	static struct wire w;
	struct pair_ctxs f;
	struct pair *p;
	struct lw_tls_io io = { .out = collect, .arg = &w };
	size_t len = 0;

	(void)state;
	memset(&w, 0, sizeof(w));
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
	p = pair_open(LW_TLS_DGRAM, f.server, f.client, 1500);
	pair_connect(p);
	assert_int_equal(lw_tls_write(p->end[0].tls, (const uint8_t *)"first", 5, &io), 0);
	assert_int_equal(lw_tls_write(p->end[0].tls, (const uint8_t *)"second", 6, &io), 0);
	io.in = w.bytes;
	io.in_len = w.len;
	assert_int_equal(lw_tls_read(p->end[1].tls, w.bytes, sizeof(w.bytes), &len, &io), 0);
	assert_int_equal(len, 5);
	assert_memory_equal(w.bytes, "first", 5);
	assert_int_equal(lw_tls_read(p->end[1].tls, w.bytes, 2, &len, &io), 0);
	assert_int_equal(len, 2);
	assert_int_equal(lw_tls_read(p->end[1].tls, w.bytes + 2, sizeof(w.bytes) - 2, &len, &io),
	                 0);
	assert_memory_equal(w.bytes, "second", 6);
	assert_int_equal(lw_tls_read(p->end[1].tls, w.bytes, sizeof(w.bytes), &len, &io), -EAGAIN);
	pair_close(p);
	pair_ctxs_close(&f);
}

/* longer than any peer may send, and than the library asks for */
static void dgram__too_long__dropped_unread(void **state)
{
	static uint8_t junk[65507];
	struct pair_ctxs f;
	struct pair *p;
	struct lw_tls *t;
	uint8_t buf[64];
	size_t len;

	(void)state;
	memset(junk, 0x2f, sizeof(junk));
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
	p = pair_open(LW_TLS_DGRAM, f.server, f.client, 256);
	t = p->end[PAIR_CLIENT].tls;
	pair_start(p);
	for (size_t n = 1000; n <= sizeof(junk); n += 1000) {
		struct lw_tls_io io = p->end[PAIR_CLIENT].io;

		io.in = junk;
		io.in_len = n;
		assert_int_equal(lw_tls_step(t, &io), 0);
		assert_int_equal(io.in_len, 0);
	}
	pair_run(p, UINT64_MAX);
	assert_true(lw_tls_done(t));
	for (size_t n = 1000; n <= sizeof(junk); n += 1000) {
		struct lw_tls_io io = p->end[PAIR_CLIENT].io;

		io.in = junk;
		io.in_len = n;
		assert_int_equal(lw_tls_read(t, buf, sizeof(buf), &len, &io), -EAGAIN);
		assert_int_equal(io.in_len, 0);
	}
	assert_int_equal(lw_tls_read(t, buf, 0, &len, &p->end[PAIR_CLIENT].io), -EINVAL);
	pair_exchange(p);
	pair_close(p);
	pair_ctxs_close(&f);
}

static void session__mutated_records__dropped_or_fatal(void **state)
{
	struct pair_ctxs f;
	static const char data[] = "0123456789abcdef";
	unsigned failed = 0;

	(void)state;
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_AES256);
	for (int round = 0; round < 40; round++) {
		struct pair *p = pair_open(transports[round % 2], f.server, f.client, 1500);

		p->net.seed = (uint64_t)round + 1;
		pair_connect(p);
		for (int n = 0; n < 100 && p->end[1].error == 0; n++) {
			struct pair_dgram *d;

			assert_int_equal(pair_send(p, 0, data, 16), 0);
			d = p->queue[p->n - 1];
			for (uint32_t k = pair_random(p, 4); k > 0; k--)
				d->bytes[pair_random(p, (uint32_t)d->len)] ^=
					(uint8_t)(1u << pair_random(p, 8));
			if (pair_random(p, 4) == 0)
				d->len = 1 + pair_random(p, (uint32_t)d->len);
			pair_run(p, UINT64_MAX);
		}
		failed += p->end[1].error != 0;
		for (size_t i = 0; i < p->end[1].got_len; i++)
			assert_int_equal(p->end[1].got[i], data[i % 16]);
		if (p->transport == LW_TLS_DGRAM) {
			assert_int_equal(p->end[1].error, 0);
			pair_exchange(p);
		}
		pair_close(p);
	}
	assert_in_range(failed, 10, 20); /* a stream ends, or waits for what a false length told */
	pair_ctxs_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data__every_dgram_size__arrives),
		cmocka_unit_test(data__stream_sizes__arrive),
		cmocka_unit_test(data__stream_byte_by_byte__handshake_and_data),
		cmocka_unit_test(write__stream_without_room__goes_on_with_same_bytes),
		cmocka_unit_test(write__transport_gone__its_error_stays),
		cmocka_unit_test(write__before_the_handshake__refused),
		cmocka_unit_test(close__either_side__other_is_told),
		cmocka_unit_test(dgram__forged_plaintext_alert__ignored),
		cmocka_unit_test(dgram__several_records_in_place__all_read),
		cmocka_unit_test(dgram__too_long__dropped_unread),
		cmocka_unit_test(session__mutated_records__dropped_or_fatal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

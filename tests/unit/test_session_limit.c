/* SPDX-License-Identifier: MIT */
/*
 * A key that is used up: wire.md 4.7. The library begins a key update by itself with record number
 * 23,726,566 (2^24.5) of AES-GCM, so that many are really written here, which takes some seconds.
 */
#include "session/tunnel_priv.h"
#include "unit/session_pair.h"
#include "unit/test.h"
#include "wire/header.h"

#define LIMIT UINT64_C(23726566)
/* the receiver sees 16 bits of a record's number and must not lose count */
#define SEEN_EACH  16384
#define EPOCH_BITS 3

/* Keep no stack of each of the library's allocations, which takes AddressSanitizer minutes here. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the sanitizer's name */
const char *__asan_default_options(void);

/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): as above */
const char *__asan_default_options(void)
{
	return "malloc_context_size=0";
}

/* Write records, most of which are lost, until one call gives two datagrams: a KeyUpdate too. */
static uint64_t write_until_update(struct pair *p, struct pair_side *s)
{
	for (uint64_t n = 1; n <= LIMIT; n++) {
		struct lw_sink k = { .wire = s->wire, .inside = s->inside };
		int r = lw_send_plain(s->t, (const uint8_t *)"\x01", 1, p->now_us, &k);

		if (r < 0)
			return 0;
		if (s->wire->n == 2)
			return n;
		if (n % SEEN_EACH == 0) {
			pair_flush(p, s);
			pair_run(p, 3 * LW_MS, false);
		}
		lw_batch_reset(s->wire);
	}
	return 0;
}

static void exchange(struct pair *p, struct pair_side *s, uint32_t n)
{
	const uint8_t packet[40] = { 0x45 };

	p->client.n_got = 0;
	p->server.n_got = 0;
	for (uint32_t i = 0; i < n; i++) {
		pair_send(p, s, packet, sizeof(packet));
		pair_send(p, pair_peer(p, s), packet, sizeof(packet));
		pair_run(p, 5 * LW_MS, false);
	}
	assert_int_equal(p->client.n_got, n);
	assert_int_equal(p->server.n_got, n);
}

static uint8_t epoch_of(struct pair *p, struct pair_side *s)
{
	uint8_t d[PAIR_PACKET];

	pair_inject(p, s, "\x01", 1);
	(void)pair_take(p, d);
	return d[LW_WIRE_HEADER_LEN] & EPOCH_BITS;
}

/* The client's tick runs from that write on and brings the KeyUpdate again, which is lost here. */
static void key_used_up__update_lost__clients_tick_resends_it(void **state)
{
	struct pair *p = pair_prepare(false, 1);
	struct pair_side *s = &p->client;
	uint64_t written;

	(void)state;
	s->conf.keepalive_us = 86400 * LW_S;
	p->server.conf.key_update_us = 0;
	pair_open(p);
	pair_connect(p);
	written = write_until_update(p, s);
	if (written == 0) {
		print_message("this wolfSSL begins no key update by itself: before 5.9.2\n");
		pair_destroy(p);
		skip();
	}
	assert_in_range(written, LIMIT - 10, LIMIT); /* some records were of the login */
	assert_int_equal(s->counters.n[LW_CTR_KEY_UPDATES], 1);
	assert_true(lw_tls_key_update_pending(s->t->tls));
	assert_int_equal(s->t->tls_tick_at, p->now_us + 100 * LW_MS);
	lw_batch_reset(s->wire); /* lost */
	exchange(p, s, 10);      /* under the old key, meanwhile */
	assert_int_equal(epoch_of(p, s), 3);
	pair_run(p, 1 * LW_S, false);
	assert_false(lw_tls_key_update_pending(s->t->tls));
	assert_true(s->t->tls_tick_at == LW_NEVER);
	assert_int_equal(epoch_of(p, s), 4 & EPOCH_BITS);
	assert_int_equal(epoch_of(p, &p->server), 4 & EPOCH_BITS); /* its answer */
	exchange(p, s, 20);
	pair_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_used_up__update_lost__clients_tick_resends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

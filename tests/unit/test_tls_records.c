/* SPDX-License-Identifier: MIT */
/* Sessions whose records a cipher module seals and opens, at one end or both. */
#include <errno.h>

#include "tls/internal.h"
#include "unit/records_bed.h"
#include "unit/test.h"
#include "unit/test_tls_pair.h"

#define BEFORE   LW_TLS_RECORDS_BEFORE
#define SESSIONS 300u

static const enum lw_tls_transport transports[] = { LW_TLS_STREAM, LW_TLS_DGRAM };

static struct pair_ctxs ctxs;
static struct records_bed bed[2]; /* of the client and of the server */

static int setup(void **state)
{
	(void)state;
	pair_ctxs_open(&ctxs, "server", "ca.crt", NULL, LW_TLS_AES256);
	records_bed_open(&bed[0]);
	records_bed_open(&bed[1]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	records_bed_close(&bed[0]);
	records_bed_close(&bed[1]);
	pair_ctxs_close(&ctxs);
	return 0;
}

/* `users`: a bit for each side that has a module */
static struct pair *connected(enum lw_tls_transport transport, unsigned users)
{
	struct pair *p = pair_open(transport, ctxs.server, ctxs.client, 1500);

	for (int side = 0; side < 2; side++)
		p->end[side].records = (users & 1u << side) != 0 ? bed[side].records : NULL;
	pair_connect(p);
	return p;
}

static struct lw_tls_records_counts counts(int side)
{
	struct lw_tls_records_counts c = { 0 };

	lw_tls_records_counts(bed[side].records, &c);
	return c;
}

/* n records of this length, each looked at */
static void send_records(struct pair *p, int side, size_t len, unsigned n)
{
	static uint8_t data[LW_TLS_STREAM_RECORD_MAX];
	struct pair_end *peer = &p->end[!side];

	for (unsigned i = 0; i < n; i++) {
		for (size_t k = 0; k < len; k++)
			data[k] = (uint8_t)(k * 7 + i);
		peer->got_len = 0;
		assert_int_equal(pair_send(p, side, data, len), 0);
		pair_run(p, p->now_us + 2000);
		assert_int_equal(peer->got_len, len);
		assert_memory_equal(peer->got, data, len);
	}
}

/* until the keys of both directions have been used often enough */
static void warm_up(struct pair *p)
{
	for (int side = 0; side < 2; side++)
		send_records(p, side, 16, BEFORE + 1);
}

static void update_keys(struct pair *p, int side)
{
	struct pair_end *e = &p->end[side];

	lw_tls_records_use(e->records);
	assert_int_equal(lw_tls_update_keys(e->tls, &e->io), 0);
	pair_arm(e);
}

static void data__module_at_either_end__every_size_arrives(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 1350, 1434, 16383, 16384 };

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		unsigned users = i / 2;
		struct pair *p = connected(transports[i % 2], users);
		struct lw_tls_records_counts before[2];
		uint64_t n = 0;

		warm_up(p);
		for (int side = 0; side < 2; side++)
			before[side] = counts(side);
		for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
			if (sizes[k] > lw_tls_write_max(p->end[0].tls))
				continue;
			n += sizes[k] > 0;
			for (int side = 0; side < 2; side++)
				send_records(p, side, sizes[k], 1);
		}
		for (int side = 0; side < 2; side++) {
			uint64_t expected = (users & 1u << side) != 0 ? n : 0;

			assert_int_equal(counts(side).sealed - before[side].sealed, expected);
			assert_int_equal(counts(side).opened - before[side].opened, expected);
			assert_int_equal(bed[side].alive, expected != 0 ? 2 : 0);
		}
		pair_close(p);
		assert_int_equal(bed[0].alive + bed[1].alive, 0);
	}
	assert_int_equal(counts(0).refused + counts(1).refused, 0);
}

/* A session that hardly has any has no key set up, nor has a handshake. */
static void data__few_records__left_to_the_library(void **state)
{
	struct pair *p = connected(LW_TLS_DGRAM, 3);

	(void)state;
	send_records(p, PAIR_CLIENT, 100, BEFORE - 10);
	assert_int_equal(counts(0).keys + counts(1).keys, 0);
	send_records(p, PAIR_CLIENT, 100, 11);
	assert_int_equal(counts(PAIR_CLIENT).keys, 1);
	assert_int_equal(counts(PAIR_SERVER).keys, 1);
	assert_true(counts(PAIR_CLIENT).sealed > 0);
	pair_close(p);
}

/* With a callback the library keeps every message of a handshake before it reads it. */
static void handshake__lossy_network__every_seed_completes(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 60; seed++) {
		struct pair *p =
			pair_open(LW_TLS_DGRAM, ctxs.server, ctxs.client, seed % 2 ? 1500 : 576);
		uint64_t end = p->now_us + 13000000;

		p->end[0].records = bed[0].records;
		p->end[1].records = bed[1].records;
		p->net = (struct pair_net){ .seed = seed,
			                    .loss_percent = 35,
			                    .dup_percent = 10,
			                    .copies = 3,
			                    .jitter_us = 5000 };
		pair_start(p);
		while (!(p->end[0].done && p->end[1].done) && p->now_us < end)
			pair_run(p, p->now_us + 1000);
		if (!p->end[0].done || !p->end[1].done)
			fail_msg("seed %u: errors %d %d", seed, p->end[0].error, p->end[1].error);
		p->net = (struct pair_net){ .seed = seed };
		pair_run(p, p->now_us + 1000000);
		warm_up(p);
		send_records(p, PAIR_SERVER, 100, 1);
		pair_close(p);
	}
	assert_true(counts(PAIR_SERVER).sealed >= 60);
}

/* each side begins one, and the other's module must find the new key too */
static void key_update__either_side__old_keys_go(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = connected(transports[i % 2], 3);

		for (unsigned round = 1; round <= 5; round++) {
			struct lw_tls_records_counts before;

			warm_up(p);
			for (int side = 0; side < 2; side++)
				assert_int_equal(bed[side].alive, 2);
			before = counts(PAIR_SERVER);
			update_keys(p, i / 2);
			pair_run(p, p->now_us + 1000000);
			send_records(p, PAIR_CLIENT, 1350, 10);
			send_records(p, PAIR_SERVER, 1350, 10);
			/* at once, though the new ones are not set up yet */
			for (int side = 0; side < 2; side++)
				assert_int_equal(bed[side].alive, 0);
			/* nothing but the update itself went by the old ones */
			assert_in_range(counts(PAIR_SERVER).opened - before.opened, 0, 2);
			warm_up(p);
			assert_int_equal(counts(PAIR_SERVER).keys - before.keys, 2);
		}
		for (int side = 0; side < 2; side++)
			assert_int_equal(p->end[side].error, 0);
		pair_close(p);
	}
	assert_int_equal(counts(0).refused + counts(1).refused, 0);
}

/* Datagrams overtake each other across many updates; what a run with the library receives. */
static size_t send_amid_updates(unsigned users, uint64_t seed, int updater)
{
	struct pair *p = connected(LW_TLS_DGRAM, users);
	uint8_t data[64];
	size_t n;

	warm_up(p);
	p->rng = seed;
	p->net.jitter_us = 6000;
	for (int side = 0; side < 2; side++)
		p->end[side].got_len = 0;
	for (unsigned i = 0; i < 1500; i++) {
		memset(data, (int)(i % 251), sizeof(data));
		for (int side = 0; side < 2; side++)
			assert_int_equal(pair_send(p, side, data, sizeof(data)), 0);
		if (i % 300 == 150)
			update_keys(p, updater);
		pair_run(p, p->now_us + 200);
	}
	pair_run(p, p->now_us + 1000000);
	for (int side = 0; side < 2; side++) {
		const struct pair_end *e = &p->end[side];

		assert_int_equal(e->error, 0);
		for (size_t at = 0; at < e->got_len; at++)
			assert_int_equal(e->got[at], e->got[at - at % sizeof(data)]);
	}
	n = p->end[0].got_len + p->end[1].got_len;
	pair_close(p);
	return n;
}

static void key_update__datagrams_out_of_order__as_many_arrive(void **state)
{
	(void)state;
	for (int updater = 0; updater < 2; updater++) {
		for (unsigned users = 1; users <= 3; users++) {
			struct lw_tls_records_counts before = counts(users != 2 ? 0 : 1);
			size_t n = send_amid_updates(users, 77, updater);

			assert_int_equal(n, send_amid_updates(0, 77, updater));
			assert_true(n > (size_t)2 * 1400 * 64);
			assert_true(counts(users != 2 ? 0 : 1).keys - before.keys >= 4);
		}
	}
}

static void sessions__hundreds_alternately__each_has_its_keys(void **state)
{
	static struct pair *p[SESSIONS];

	(void)state;
	for (unsigned i = 0; i < SESSIONS; i++) {
		p[i] = connected(transports[i % 2], 3);
		warm_up(p[i]);
	}
	for (int side = 0; side < 2; side++) {
		assert_int_equal(bed[side].alive, 2 * SESSIONS);
		assert_int_equal(counts(side).keys, 2 * SESSIONS);
	}
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < SESSIONS; i++) {
			send_records(p[i], PAIR_CLIENT, 1350, 1);
			send_records(p[SESSIONS - 1 - i], PAIR_SERVER, 64, 1);
		}
	}
	for (int side = 0; side < 2; side++) {
		assert_int_equal(counts(side).keys, 2 * SESSIONS);
		assert_true(counts(side).sealed >= 5ul * SESSIONS);
	}
	for (unsigned i = 0; i < SESSIONS; i++)
		pair_close(p[i]);
}

static void forged__dgram__dropped_and_the_next_read(void **state)
{
	struct pair *p = connected(LW_TLS_DGRAM, 1u << PAIR_SERVER);

	(void)state;
	warm_up(p);
	for (size_t bit = 0; bit < 8; bit++) {
		struct pair_dgram *d;
		size_t before = p->end[PAIR_SERVER].n_got;

		assert_int_equal(pair_send(p, PAIR_CLIENT, "0123456789", 10), 0);
		d = p->queue[p->n - 1];
		d->bytes[d->len - 1 - 3 * bit] ^= (uint8_t)(1u << bit); /* tag, then content */
		pair_run(p, p->now_us + 2000);
		assert_int_equal(p->end[PAIR_SERVER].n_got, before);
		assert_int_equal(counts(PAIR_SERVER).refused, bit + 1);
		send_records(p, PAIR_CLIENT, 50, 1);
	}
	pair_close(p);
}

static void forged__stream__ends_the_session(void **state)
{
	struct pair *p = connected(LW_TLS_STREAM, 1u << PAIR_SERVER);
	struct pair_dgram *d;

	(void)state;
	warm_up(p);
	p->end[PAIR_SERVER].got_len = 0;
	assert_int_equal(pair_send(p, PAIR_CLIENT, "0123456789", 10), 0);
	d = p->queue[p->n - 1];
	d->bytes[d->len - 1] ^= 1;
	pair_run(p, UINT64_MAX);
	assert_int_equal(p->end[PAIR_SERVER].error, -EPROTO);
	assert_int_equal(p->end[PAIR_SERVER].got_len, 0);
	assert_int_equal(counts(PAIR_SERVER).refused, 1);
	pair_close(p);
}

/* --- threads --- */

static void *send_elsewhere(void *arg)
{
	struct pair *p = arg;

	send_records(p, PAIR_CLIENT, 100, 2 * BEFORE);
	send_records(p, PAIR_SERVER, 100, 2 * BEFORE);
	return NULL;
}

/* of a session that a helper, or another worker, has for a while; the bed checks the rest */
static void session__on_another_thread__left_to_the_library(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct pair *p = connected(transports[i % 2], 3);
		struct records_bed other;
		struct lw_tls_records_counts before;
		pthread_t t;

		warm_up(p);
		records_bed_open(&other);
		before = counts(PAIR_SERVER);
		p->end[PAIR_SERVER].records = i < 2 ? NULL : other.records;
		p->end[PAIR_CLIENT].records = NULL;
		assert_int_equal(pthread_create(&t, NULL, send_elsewhere, p), 0);
		assert_int_equal(pthread_join(t, NULL), 0);
		assert_int_equal(counts(PAIR_SERVER).sealed, before.sealed);
		assert_int_equal(counts(PAIR_SERVER).opened, before.opened);
		assert_int_equal(other.alive, 0);
		p->end[PAIR_SERVER].records = bed[PAIR_SERVER].records;
		p->end[PAIR_CLIENT].records = bed[PAIR_CLIENT].records;
		send_records(p, PAIR_SERVER, 100, 1);
		assert_int_equal(counts(PAIR_SERVER).sealed, before.sealed + 1);
		pair_close(p);
		records_bed_close(&other);
	}
}

static void *write_elsewhere(void *arg)
{
	struct pair_end *e = arg;

	assert_int_equal(lw_tls_write(e->tls, (const uint8_t *)"abc", 3, &e->io), 0);
	return NULL;
}

/* what one thread uses another does not */
static void thread__has_set_nothing__left_to_the_library(void **state)
{
	struct pair *p = connected(LW_TLS_DGRAM, 3);
	struct lw_tls_records_counts before;
	pthread_t t;

	(void)state;
	warm_up(p);
	before = counts(PAIR_SERVER);
	lw_tls_records_use(bed[PAIR_SERVER].records);
	assert_int_equal(pthread_create(&t, NULL, write_elsewhere, &p->end[PAIR_SERVER]), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(counts(PAIR_SERVER).sealed, before.sealed);
	write_elsewhere(&p->end[PAIR_SERVER]);
	assert_int_equal(counts(PAIR_SERVER).sealed, before.sealed + 1);
	pair_close(p);
}

static void *shake_hands(void *arg)
{
	*(struct pair **)arg = connected(LW_TLS_DGRAM, 0);
	return NULL;
}

static void session__begun_on_another_thread__module_takes_over(void **state)
{
	struct pair *p = NULL;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, shake_hands, &p), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	p->end[PAIR_SERVER].records = bed[PAIR_SERVER].records;
	warm_up(p);
	send_records(p, PAIR_SERVER, 1350, 5);
	assert_in_range(counts(PAIR_SERVER).sealed, 5, 7);
	pair_close(p);
}

/* --- what can go wrong --- */

static void key__cannot_be_set_up__left_to_the_library(void **state)
{
	struct pair *p = connected(LW_TLS_STREAM, 3);

	(void)state;
	bed[PAIR_SERVER].no_key = -ENOMEM;
	warm_up(p);
	send_records(p, PAIR_SERVER, 1350, 5);
	assert_int_equal(counts(PAIR_SERVER).sealed + counts(PAIR_SERVER).keys, 0);
	bed[PAIR_SERVER].no_key = 0;
	send_records(p, PAIR_SERVER, 1350, 5);
	assert_int_equal(counts(PAIR_SERVER).sealed, 5);
	pair_close(p);
}

static void module__broken__nothing_is_sent_or_read(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		int side = i / 2;
		struct pair *p = connected(transports[i % 2], 1u << side);

		warm_up(p);
		bed[side].broken = -EIO;
		p->end[side].n_sent = 0;
		p->end[side].got_len = 0;
		assert_int_equal(pair_send(p, !side, "abc", 3), 0);
		pair_run(p, p->now_us + 2000);
		assert_int_equal(p->end[side].got_len, 0);
		assert_int_equal(pair_send(p, side, "abc", 3), -EPROTO);
		assert_int_equal(p->end[side].n_sent, 0);
		bed[side].broken = 0;
		pair_close(p);
	}
}

static void chacha__module__is_not_asked(void **state)
{
	struct pair_ctxs f;
	struct pair *p;

	(void)state;
	pair_ctxs_open(&f, "server", "ca.crt", NULL, LW_TLS_CHACHA20);
	p = pair_open(LW_TLS_DGRAM, f.server, f.client, 1500);
	p->end[0].records = bed[0].records;
	p->end[1].records = bed[1].records;
	pair_connect(p);
	warm_up(p);
	assert_int_equal(counts(0).keys + counts(1).keys, 0);
	pair_close(p);
	pair_ctxs_close(&f);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(data__module_at_either_end__every_size_arrives),
		CASE(data__few_records__left_to_the_library),
		CASE(handshake__lossy_network__every_seed_completes),
		CASE(key_update__either_side__old_keys_go),
		CASE(key_update__datagrams_out_of_order__as_many_arrive),
		CASE(sessions__hundreds_alternately__each_has_its_keys),
		CASE(forged__dgram__dropped_and_the_next_read),
		CASE(forged__stream__ends_the_session),
		CASE(session__on_another_thread__left_to_the_library),
		CASE(thread__has_set_nothing__left_to_the_library),
		CASE(session__begun_on_another_thread__module_takes_over),
		CASE(key__cannot_be_set_up__left_to_the_library),
		CASE(module__broken__nothing_is_sent_or_read),
		CASE(chacha__module__is_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

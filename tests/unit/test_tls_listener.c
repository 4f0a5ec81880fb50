/* SPDX-License-Identifier: MIT */
#include "tls/internal.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <time.h>

#include "unit/test.h"
#include "unit/test_tls_pair.h"

#define SPOOFED   100000
#define HELLO_MAX 2000
#define START_US  1000000

#define TYPE_HANDSHAKE    22
#define TYPE_ALERT        21
#define RECORD_HEADER     13
#define MSG_SERVER_HELLO  2
#define RANDOM_AT         (RECORD_HEADER + 12 + 2)
#define CLIENT_RANDOM_LEN 32

static const uint8_t secret_1[] = "0123456789abcdef0123456789abcdef";
static const uint8_t secret_2[] = "another secret of thirty-two byte";
static const uint8_t secret_3[] = "the third secret, also of 32 byte";

static struct lw_tls_ctx *server;
static struct lw_tls_ctx *client;

/* what the library has allocated */
static long live_blocks;

static void *count_malloc(size_t len)
{
	void *p = malloc(len);

	live_blocks += p != NULL;
	return p;
}

static void count_free(void *p)
{
	live_blocks -= p != NULL;
	free(p);
}

static void *count_realloc(void *p, size_t len)
{
	void *q = realloc(p, len);

	live_blocks += p == NULL && q != NULL;
	return q;
}

static int open_contexts(void **state)
{
	(void)state;
	assert_int_equal(wolfSSL_SetAllocators(count_malloc, count_free, count_realloc), 0);
	server = pair_server_ctx("server");
	client = pair_client_ctx("ca.crt", "server.test", LW_TLS_AES256);
	return 0;
}

static int close_contexts(void **state)
{
	(void)state;
	lw_tls_ctx_destroy(server);
	lw_tls_ctx_destroy(client);
	return 0;
}

/* the last datagrams that went out */
struct outbox {
	size_t n;
	size_t len[16];
	uint8_t bytes[16][HELLO_MAX];
};

static int keep(void *arg, const uint8_t *bytes, size_t len)
{
	struct outbox *o = arg;

	assert_true(len <= HELLO_MAX);
	assert_true(o->n < 16);
	memcpy(o->bytes[o->n], bytes, len);
	o->len[o->n++] = len;
	return 0;
}

static struct lw_tls_listener *make_listener(const uint8_t *secret, const uint8_t *old)
{
	struct lw_tls_listener *l = NULL;
	struct lw_err err = { .text = "" };

	if (lw_tls_listener_create(server, secret, old, START_US, &l, &err) != 0)
		fail_msg("%s", err.text);
	return l;
}

static int listen_from(struct lw_tls_listener *l, uint32_t who, const uint8_t *p, size_t len,
                       struct outbox *o, struct lw_tls **ret)
{
	struct lw_endpoint from = pair_endpoint(who);
	struct lw_tls_io io = { .in = p, .in_len = len, .out = keep, .arg = o };
	int r;

	o->n = 0;
	r = lw_tls_listen(l, &from, &io, ret);
	assert_int_equal(io.in_len, 0);
	assert_in_range(o->n, 0, 1);
	if (o->n == 1) {
		assert_in_range(o->len[0], 1, len);
		assert_int_equal(o->bytes[0][0], TYPE_HANDSHAKE);
	}
	return r;
}

/* a refusal: no session and not a byte */
static void check_silent(struct lw_tls_listener *l, uint32_t who, const uint8_t *p, size_t len)
{
	static struct outbox o;
	struct lw_tls *t = NULL;

	assert_int_equal(listen_from(l, who, p, len, &o, &t), 0);
	assert_null(t);
	assert_int_equal(o.n, 0);
}

static void client_step(struct lw_tls *t, const uint8_t *p, size_t len, struct outbox *o)
{
	struct lw_tls_io io = { .in = p, .in_len = len, .out = keep, .arg = o };

	o->n = 0;
	assert_int_equal(lw_tls_step(t, &io), 0);
}

/* a client up to its second hello, whose cookie was made for `who` by this listener */
static struct lw_tls *client_with_cookie(struct lw_tls_listener *l, uint32_t who, unsigned mtu,
                                         struct outbox *hello)
{
	struct outbox reply;
	struct lw_tls *none = NULL;
	struct lw_tls *t;

	assert_int_equal(lw_tls_create(client, LW_TLS_DGRAM, mtu, &t), 0);
	client_step(t, NULL, 0, hello);
	assert_int_equal(hello->n, 1);
	assert_int_equal(listen_from(l, who, hello->bytes[0], hello->len[0], &reply, &none), 0);
	assert_int_equal(reply.n, 1);
	client_step(t, reply.bytes[0], reply.len[0], hello);
	assert_in_range(hello->n, 1, 3);
	return t;
}

/* from the second hello to the end, both sides */
static void finish(struct lw_tls_listener *l, uint32_t who, struct lw_tls *c, struct outbox *hello)
{
	struct outbox from_client = *hello;
	struct outbox from_server = { .n = 0 };
	struct lw_tls *s = NULL;
	int done = 0;

	assert_int_equal(listen_from(l, who, hello->bytes[0], hello->len[0], &from_server, &s), 1);
	assert_non_null(s);
	for (int round = 0; round < 4; round++) {
		from_server.n = 0;
		for (size_t i = 0; i < from_client.n; i++) {
			struct lw_tls_io io = { .out = keep, .arg = &from_server };

			if (round > 0 || i > 0) {
				io.in = from_client.bytes[i];
				io.in_len = from_client.len[i];
			}
			assert_in_range(lw_tls_step(s, &io), 0, 1);
		}
		from_client.n = 0;
		for (size_t i = 0; i < from_server.n; i++) {
			struct lw_tls_io io = { .in = from_server.bytes[i],
				                .in_len = from_server.len[i],
				                .out = keep,
				                .arg = &from_client };

			done = lw_tls_step(c, &io);
			assert_in_range(done, 0, 1);
		}
	}
	assert_int_equal(done, 1);
	assert_true(lw_tls_done(s));
	lw_tls_destroy(s);
}

static void genuine(struct lw_tls_listener *l, uint32_t who)
{
	struct outbox hello;
	struct lw_tls *c = client_with_cookie(l, who, 1500, &hello);

	finish(l, who, c, &hello);
	lw_tls_destroy(c);
}

static void first_hello(struct outbox *o, unsigned mtu)
{
	struct lw_tls *t;

	assert_int_equal(lw_tls_create(client, LW_TLS_DGRAM, mtu, &t), 0);
	client_step(t, NULL, 0, o);
	assert_int_equal(o->n, 1);
	lw_tls_destroy(t);
}

static void hello__first_of_stock_client__retry_request(void **state)
{
	/* wire.md 13.8 without its Lightway header */
	static const char hex[] = "16fefd000000000000000000a1010000950000000000000095fefdcb10e011c6"
				  "dedba75413c991076c4a392d6c1c2c1f7fb99667337154662c76220000000413"
				  "02c03001000067002b000302fefc000d001c001a0603050304030806080b0805"
				  "080a080408090601050104010301000a0032003011ec11ed11eb001900180017"
				  "001d00152f4d2f492f4c2f482f4b2f472fb6023d2f3d023c2f3c639a6399023a"
				  "2f3a2f3900160000003300020000";
	static const uint8_t retry_random[] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11 };
	struct lw_tls_listener *l = make_listener(secret_1, NULL);
	struct outbox o;
	struct lw_tls *t = NULL;
	uint8_t p[sizeof(hex) / 2];

	(void)state;
	for (size_t i = 0; i < sizeof(p); i++) {
		char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		p[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	assert_int_equal(sizeof(p), 174);
	assert_int_equal(listen_from(l, 1, p, sizeof(p), &o, &t), 0);
	assert_null(t);
	assert_int_equal(o.n, 1);
	assert_int_equal(o.bytes[0][RECORD_HEADER], MSG_SERVER_HELLO);
	assert_memory_equal(o.bytes[0] + RANDOM_AT, retry_random, sizeof(retry_random));
	lw_tls_listener_destroy(l);
}

static void spoofed(struct lw_tls_listener *l, const struct outbox *hello, uint32_t from,
                    uint32_t until)
{
	struct outbox o;
	struct lw_tls *t = NULL;
	uint8_t p[HELLO_MAX];

	memcpy(p, hello->bytes[0], hello->len[0]);
	for (uint32_t n = from; n < until; n++) {
		memcpy(p + RANDOM_AT, &n, sizeof(n));
		assert_int_equal(listen_from(l, n, p, hello->len[0], &o, &t), 0);
		assert_null(t);
		assert_int_equal(o.n, 1);
	}
}

static void hello__many_spoofed__no_memory_no_amplification(void **state)
{
	static const unsigned mtus[] = { 1500, 576 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct lw_tls_listener *l = make_listener(secret_1, NULL);
		struct outbox hello;
		struct mallinfo2 before;
		long blocks;
		clock_t start;

		first_hello(&hello, mtus[i]);
		spoofed(l, &hello, 1, 3);
		before = mallinfo2();
		blocks = live_blocks;
		start = clock();
		spoofed(l, &hello, 3, SPOOFED / 2);
		assert_int_equal(live_blocks, blocks);
		assert_int_equal(mallinfo2().uordblks, before.uordblks);
		genuine(l, 7);
		spoofed(l, &hello, SPOOFED / 2, SPOOFED);
		print_message("%d spoofed hellos of %zu bytes: %.2f us each\n", SPOOFED,
		              hello.len[0],
		              (double)(clock() - start) * 1e6 / CLOCKS_PER_SEC / SPOOFED);
		genuine(l, SPOOFED + 1);
		lw_tls_listener_destroy(l);
	}
}

static void cookie__from_elsewhere__nothing(void **state)
{
	struct lw_tls_listener *l = make_listener(secret_1, NULL);
	struct lw_tls_listener *stranger = make_listener(secret_2, NULL);
	struct lw_tls_listener *twin = make_listener(secret_1, NULL);
	struct outbox hello;
	struct lw_tls *c = client_with_cookie(l, 0x40, 1500, &hello);

	(void)state;
	check_silent(l, 0x41, hello.bytes[0], hello.len[0]);  /* another port */
	check_silent(l, 0x140, hello.bytes[0], hello.len[0]); /* another address */
	check_silent(stranger, 0x40, hello.bytes[0], hello.len[0]);
	finish(twin, 0x40, c, &hello);
	lw_tls_destroy(c);
	lw_tls_listener_destroy(l);
	lw_tls_listener_destroy(stranger);
	lw_tls_listener_destroy(twin);
}

static void cookie__in_first_fragment__session(void **state)
{
	struct lw_tls_listener *l = make_listener(secret_1, NULL);
	struct outbox hello;
	struct lw_tls *c = client_with_cookie(l, 9, 256, &hello);

	(void)state;
	assert_int_equal(hello.n, 2);
	check_silent(l, 9, hello.bytes[1], hello.len[1]);
	check_silent(l, 10, hello.bytes[0], hello.len[0]);
	finish(l, 9, c, &hello);
	lw_tls_destroy(c);
	lw_tls_listener_destroy(l);
}

static void rekey__old_secret__good_for_15_s(void **state)
{
	struct lw_tls_listener *l = make_listener(secret_1, NULL);
	uint64_t now = START_US + 100;
	struct outbox hello[3];
	struct lw_tls *c[3];

	(void)state;
	assert_true(lw_tls_listener_expire(l, now) == UINT64_MAX);
	for (uint32_t i = 0; i < 3; i++)
		c[i] = client_with_cookie(l, 20 + i, 1500, &hello[i]);
	assert_int_equal(lw_tls_listener_rekey(l, secret_2, now), 0);
	genuine(l, 30);
	finish(l, 20, c[0], &hello[0]);
	check_silent(l, 20, hello[1].bytes[0], hello[1].len[0]);
	assert_true(lw_tls_listener_expire(l, now + 14999999) == now + 15000000);
	finish(l, 21, c[1], &hello[1]);
	genuine(l, 31);
	assert_true(lw_tls_listener_expire(l, now + 15000000) == UINT64_MAX);
	check_silent(l, 22, hello[2].bytes[0], hello[2].len[0]);
	genuine(l, 32);
	for (int i = 0; i < 3; i++)
		lw_tls_destroy(c[i]);
	lw_tls_listener_destroy(l);
}

static void rekey__twice__oldest_secret_is_gone(void **state)
{
	struct lw_tls_listener *l = make_listener(secret_1, NULL);
	struct outbox hello;
	struct lw_tls *c = client_with_cookie(l, 5, 1500, &hello);

	(void)state;
	assert_int_equal(lw_tls_listener_rekey(l, secret_2, START_US + 1), 0);
	assert_int_equal(lw_tls_listener_rekey(l, secret_3, START_US + 2), 0);
	check_silent(l, 5, hello.bytes[0], hello.len[0]);
	genuine(l, 6);
	lw_tls_destroy(c);
	lw_tls_listener_destroy(l);
}

static void create__with_old_secret__takes_both(void **state)
{
	struct lw_tls_listener *before = make_listener(secret_1, NULL);
	struct lw_tls_listener *l = make_listener(secret_2, secret_1);
	struct outbox hello;
	struct lw_tls *c = client_with_cookie(before, 5, 1500, &hello);

	(void)state;
	assert_true(lw_tls_listener_expire(l, START_US) == START_US + LW_TLS_OLD_SECRET_US);
	finish(l, 5, c, &hello);
	genuine(l, 6);
	lw_tls_destroy(c);
	lw_tls_listener_destroy(before);
	lw_tls_listener_destroy(l);
}

static void create__client_context__refused(void **state)
{
	struct lw_tls_listener *l = NULL;
	struct lw_err err;

	(void)state;
	assert_int_equal(lw_tls_listener_create(client, secret_1, NULL, 0, &l, &err), -EINVAL);
	assert_null(l);
	lw_tls_listener_destroy(NULL);
}

/* anything but a whole first hello */
static void datagram__not_a_hello__silent(void **state)
{
	static const uint8_t alert[] = { 21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40 };
	struct lw_tls_listener *l = make_listener(secret_1, secret_2);
	struct outbox hello;
	uint8_t p[HELLO_MAX];
	uint64_t rng = 42;

	(void)state;
	first_hello(&hello, 1500);
	for (size_t len = 0; len < hello.len[0]; len++)
		check_silent(l, 3, hello.bytes[0], len);
	check_silent(l, 3, alert, sizeof(alert));
	for (int type = 0; type < 256; type++) {
		memcpy(p, hello.bytes[0], hello.len[0]);
		p[0] = (uint8_t)type;
		if (type != TYPE_HANDSHAKE)
			check_silent(l, 3, p, hello.len[0]);
		p[0] = TYPE_HANDSHAKE;
		p[RECORD_HEADER] = (uint8_t)type;
		if (type != 1)
			check_silent(l, 3, p, hello.len[0]);
	}
	memcpy(p, hello.bytes[0], hello.len[0]);
	p[RECORD_HEADER + 8] = 1; /* fragment offset */
	check_silent(l, 3, p, hello.len[0]);
	for (int n = 0; n < 20000; n++) {
		size_t len = test_random(&rng) % 1400;

		for (size_t i = 0; i < len; i++)
			p[i] = (uint8_t)test_random(&rng);
		check_silent(l, 3, p, len);
	}
	genuine(l, 3);
	lw_tls_listener_destroy(l);
}

/* the library answers each hello of a datagram; one reply is what we allow */
static void datagram__two_hellos__one_reply(void **state)
{
	struct lw_tls_listener *l = make_listener(secret_1, NULL);
	struct outbox hello;
	struct outbox o;
	struct lw_tls *t = NULL;
	uint8_t p[HELLO_MAX];

	(void)state;
	first_hello(&hello, 576);
	memcpy(p, hello.bytes[0], hello.len[0]);
	memcpy(p + hello.len[0], hello.bytes[0], hello.len[0]);
	p[hello.len[0] + 10] = 1; /* record sequence number */
	assert_int_equal(listen_from(l, 3, p, 2 * hello.len[0], &o, &t), 0);
	assert_int_equal(o.n, 1);
	genuine(l, 3);
	lw_tls_listener_destroy(l);
}

/* an empty list of shares makes a hello that is shorter than the answer */
static void hello__shorter_than_the_reply__silent(void **state)
{
	struct lw_tls_listener *l = make_listener(secret_1, NULL);
	struct outbox hello;
	struct lw_tls *c;

	(void)state;
	assert_int_equal(lw_tls_create(client, LW_TLS_DGRAM, 1500, &c), 0);
	assert_int_equal(wolfSSL_NoKeyShares(c->ssl), WOLFSSL_SUCCESS);
	client_step(c, NULL, 0, &hello);
	assert_in_range(hello.len[0], 100, 160);
	check_silent(l, 1, hello.bytes[0], hello.len[0]);
	lw_tls_destroy(c);
	lw_tls_listener_destroy(l);
}

static void hello__mutated__listener_survives(void **state)
{
	struct lw_tls_listener *l = make_listener(secret_1, secret_2);
	struct outbox hello[2];
	struct outbox o;
	struct lw_tls *c;
	uint64_t rng = 7;
	unsigned broken = 0;
	unsigned sessions = 0;

	(void)state;
	first_hello(&hello[0], 1500);
	c = client_with_cookie(l, 4, 1500, &hello[1]);
	for (unsigned n = 0; n < 20000; n++) {
		const struct outbox *h = &hello[n & 1];
		struct lw_tls *t = NULL;
		uint8_t p[HELLO_MAX];
		int r;

		memcpy(p, h->bytes[0], h->len[0]);
		for (uint64_t k = test_random(&rng) % 4; k < 4; k++)
			p[test_random(&rng) % h->len[0]] = (uint8_t)test_random(&rng);
		r = listen_from(l, 4, p, h->len[0], &o, &t);
		assert_true(r == 0 || r == 1 || r == -EPROTO);
		broken += r == -EPROTO;
		if (r == 1) {
			struct lw_tls_io io = { .out = keep, .arg = &o };

			o.n = 0;
			(void)lw_tls_step(t, &io);
			sessions++;
		}
		lw_tls_destroy(t);
		if (n % 500 == 0)
			genuine(l, 4);
	}
	print_message("20000 mutated hellos: %u malformed, %u sessions\n", broken, sessions);
	assert_true(broken > 0);
	finish(l, 4, c, &hello[1]);
	lw_tls_destroy(c);
	lw_tls_listener_destroy(l);
}

/* the n-th allocation of the library fails, each n in turn */
static long fail_at;

static void *failing_malloc(size_t len)
{
	return --fail_at == 0 ? NULL : count_malloc(len);
}

static void *failing_realloc(void *p, size_t len)
{
	return --fail_at == 0 ? NULL : count_realloc(p, len);
}

static int create_all(void)
{
	struct lw_tls_ctx *ctxs[2] = { NULL, NULL };
	struct lw_tls_listener *l = NULL;
	struct lw_tls *t = NULL;
	size_t len;
	uint8_t *ca = pair_file("ca.crt", &len);
	struct lw_tls_client_config cc = { .ca_pem = ca, .ca_len = len, .server_name = "a.test" };
	struct lw_tls_server_config sc = { .cert_pem = NULL };
	uint8_t *cert = pair_file("server.crt", &sc.cert_len);
	uint8_t *key = pair_file("server.key", &sc.key_len);
	int r;

	sc.cert_pem = cert;
	sc.key_pem = key;
	r = lw_tls_ctx_create_server(&sc, &ctxs[0], NULL);
	if (r == 0)
		r = lw_tls_ctx_create_client(&cc, &ctxs[1], NULL);
	if (r == 0)
		r = lw_tls_create(ctxs[1], LW_TLS_DGRAM, 1500, &t);
	if (r == 0)
		r = lw_tls_listener_create(ctxs[0], secret_1, NULL, 0, &l, NULL);
	if (r == 0)
		r = lw_tls_listener_rekey(l, secret_2, 0);
	lw_tls_listener_destroy(l);
	lw_tls_destroy(t);
	lw_tls_ctx_destroy(ctxs[0]);
	lw_tls_ctx_destroy(ctxs[1]);
	free(ca);
	free(cert);
	free(key);
	return r;
}

static void create__any_allocation_fails__nothing_leaks(void **state)
{
	long blocks = live_blocks;
	long n = 0;
	int r;

	(void)state;
	assert_int_equal(wolfSSL_SetAllocators(failing_malloc, count_free, failing_realloc), 0);
	do {
		fail_at = ++n;
		r = create_all();
		assert_int_equal(live_blocks, blocks);
	} while (fail_at <= 0);
	assert_int_equal(r, 0);
	assert_true(n > 50);
	assert_int_equal(wolfSSL_SetAllocators(count_malloc, count_free, count_realloc), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello__first_of_stock_client__retry_request),
		cmocka_unit_test(hello__many_spoofed__no_memory_no_amplification),
		cmocka_unit_test(cookie__from_elsewhere__nothing),
		cmocka_unit_test(cookie__in_first_fragment__session),
		cmocka_unit_test(rekey__old_secret__good_for_15_s),
		cmocka_unit_test(rekey__twice__oldest_secret_is_gone),
		cmocka_unit_test(create__with_old_secret__takes_both),
		cmocka_unit_test(create__client_context__refused),
		cmocka_unit_test(datagram__not_a_hello__silent),
		cmocka_unit_test(datagram__two_hellos__one_reply),
		cmocka_unit_test(hello__shorter_than_the_reply__silent),
		cmocka_unit_test(hello__mutated__listener_survives),
		cmocka_unit_test(create__any_allocation_fails__nothing_leaks),
	};

#ifndef HAVE_WOLFDTLS_ACCEPT_STATELESS
	puts("SKIP: this wolfSSL has no stateless cookies");
	return 77;
#endif
	return cmocka_run_group_tests(tests, open_contexts, close_contexts);
}

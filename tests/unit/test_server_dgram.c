/* SPDX-License-Identifier: MIT */
/* What a server does with one datagram: wire.md 1.5, steps 1 to 8. */
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/bed_server.h"
#include "unit/test.h"
#include "wire/header.h"

#define STRANGER 0xcb007107u /* 203.0.113.7 */

/* a sender of raw datagrams, and what it was answered */
struct stranger {
	struct bed *bed;
	struct net_node node;
};

static void stranger_open(struct stranger *s, struct bed *b, uint16_t port)
{
	struct lw_addr addr = lw_addr_ipv4(STRANGER, port);

	s->bed = b;
	net_node_add(b->net, &s->node, &addr, -1);
}

static void stranger_send(struct stranger *s, const uint8_t *p, size_t len)
{
	net_send(s->bed->net, &s->node.addr, &s->bed->addr, p, len);
	bed_settle(s->bed, NULL, 0);
}

/* the one answer to a datagram, to free(); NULL: none */
static struct net_dgram *stranger_ask(struct stranger *s, const uint8_t *p, size_t len)
{
	stranger_send(s, p, len);
	assert_in_range(s->node.n, 0, 1);
	return net_take(&s->node);
}

static void stranger_close(struct stranger *s)
{
	net_node_remove(s->bed->net, &s->node);
}

/* the first hello of a client, as a datagram */
struct hello {
	uint32_t len;
	uint8_t bytes[2048];
};

static bool keep_and_lose(void *arg, struct net_dgram *d)
{
	struct hello *h = arg;

	h->len = d->len;
	memcpy(h->bytes, d->bytes, d->len);
	return false;
}

static struct hello make_hello(struct bed *b)
{
	struct peer *p = peer_create(b, 0xc0000202u, 999, false);
	struct hello h = { 0 };

	b->net->pass = keep_and_lose;
	b->net->arg = &h;
	peer_begin(p);
	b->net->pass = NULL;
	peer_destroy(p);
	assert_true(h.len > LW_WIRE_HEADER_LEN);
	return h;
}

/*
 * The first hello of the stock client (wire.md 13.8) with two groups only: 126 bytes, for which the
 * library has an answer of 168. None is better than that one.
 */
static struct hello short_hello(void)
{
	static const uint8_t head[] = { 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0,   0,    0x71, 1,
		                        0,  0,    101,  0, 0, 0, 0, 0, 0, 0, 101, 0xfe, 0xfd };
	static const uint8_t tail[] = {
		0, 0,  0,  4,  0x13, 2,    0xc0, 0x30, 1, 0,  0, 55, /* session id to extensions */
		0, 43, 0,  3,  2,    0xfe, 0xfc,                     /* supported_versions */
		0, 13, 0,  28, 0,    26,   6,    3,    5, 3,  4, 3,  8, 6, 8, 11, 8,
		5, 8,  10, 8,  4,    8,    9,    6,    1, 5,  1, 4,  1, 3, 1, /* signature_algorithms
		                                                               */
		0, 10, 0,  6,  0,    4,    0,    23,   0, 29,                 /* supported_groups */
		0, 51, 0,  2,  0,    0                                        /* key_share, empty */
	};
	const struct lw_wire_header header = { .major = 1, .minor = 3 };
	struct hello h = { .len = LW_WIRE_HEADER_LEN + sizeof(head) + 32 + sizeof(tail) };

	lw_wire_header_write(h.bytes, &header);
	memcpy(h.bytes + LW_WIRE_HEADER_LEN, head, sizeof(head));
	memset(h.bytes + LW_WIRE_HEADER_LEN + sizeof(head), 0x5a, 32);
	memcpy(h.bytes + LW_WIRE_HEADER_LEN + sizeof(head) + 32, tail, sizeof(tail));
	return h;
}

static const uint8_t ipv4_packet[28] = { 0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17,
	                                 0,    0, 10, 1,  1, 1, 8, 8, 8,  8 };
static const uint8_t ping[] = { 2, 0, 7, 0, 0 };

static void dgram__bad_header__dropped_without_reply(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct hello h = make_hello(b);
	static const uint8_t versions[][2] = { { 1, 0 }, { 1, 4 }, { 2, 1 }, { 0, 3 } };
	uint64_t bad = 0;
	struct stranger s;

	(void)state;
	stranger_open(&s, b, 1000);
	for (size_t len = 0; len < LW_WIRE_HEADER_LEN; len++, bad++)
		assert_null(stranger_ask(&s, h.bytes, len));
	h.bytes[0] ^= 1;
	assert_null(stranger_ask(&s, h.bytes, h.len));
	h.bytes[0] ^= 1;
	bad++;
	for (size_t i = 0; i < 4; i++, bad++) {
		h.bytes[2] = versions[i][0];
		h.bytes[3] = versions[i][1];
		assert_null(stranger_ask(&s, h.bytes, h.len));
	}
	assert_int_equal(bed_tunnels(b, LW_CTR_HEADER_BAD), bad);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), 0);
	assert_int_equal(bed_counter(b, LW_SRV_UNKNOWN_DATAGRAMS), 0);
	stranger_close(&s);
	bed_destroy(b);
}

static void dgram__empty_id_of_stranger__cookie_under_its_version(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct hello h = make_hello(b);
	struct stranger s;

	(void)state;
	stranger_open(&s, b, 1000);
	for (uint8_t minor = 1; minor <= 3; minor++) {
		struct lw_wire_header got;
		struct net_dgram *d;

		h.bytes[3] = minor;
		d = stranger_ask(&s, h.bytes, h.len);
		assert_non_null(d);
		assert_int_equal(lw_wire_header_parse(d->bytes, d->len, &got), 0);
		assert_int_equal(got.minor, minor);
		assert_true(got.session == LW_WIRE_ID_EMPTY);
		assert_int_equal(d->bytes[LW_WIRE_HEADER_LEN], 22); /* a handshake record */
		assert_in_range(d->len, LW_WIRE_HEADER_LEN + 1, h.len);
		assert_true(lw_addr_equal(&d->from, &b->addr));
		free(d);
	}
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), 3);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_SENT), 3);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_GOOD), 0);
	assert_int_equal(b->s.n, 0);
	stranger_close(&s);
	bed_destroy(b);
}

/* One that is not a session's: it has ended, or was not learned yet. */
static void dgram__known_address__its_session_whatever_the_id(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *one = bed_online(b, 0xc0000201u, 1000, false);
	struct peer *two = bed_online(b, 0xc0000201u, 1001, false);
	const uint64_t own = one->t->id;
	const uint64_t ids[] = { own ^ 1, own ^ 2, LW_WIRE_ID_EMPTY };
	uint32_t got = b->inside.n_got;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		one->t->id = ids[i];
		peer_send(one, ipv4_packet, sizeof(ipv4_packet));
		bed_settle(b, &one, 1);
		assert_int_equal(b->inside.n_got, got + i + 1);
		/* the packet came from the first one's session: it has its inside address */
		assert_memory_equal(b->inside.got[got + i] + 12, b->inside.got[got] + 12, 4);
	}
	assert_int_equal(bed_tunnels(b, LW_CTR_SESSION_ID_MISMATCH), 2);
	assert_int_equal(bed_counter(b, LW_SRV_UNKNOWN_DATAGRAMS), 0);
	peer_send(two, ipv4_packet, sizeof(ipv4_packet));
	bed_settle(b, &two, 1);
	assert_memory_not_equal(b->inside.got[got + 3] + 12, b->inside.got[got] + 12, 4);
	peer_destroy(one);
	peer_destroy(two);
	bed_destroy(b);
}

/* The id of another session is that one's matter: it would open nothing, so it moves nothing. */
static void dgram__known_address_id_of_another__neither_is_touched(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p[2] = { bed_online(b, 0xc0000201u, 1000, false),
		              bed_online(b, 0xc0000201u, 1001, false) };
	const uint64_t own = p[0]->t->id;
	const uint64_t answers[2] = { p[0]->n_got, p[1]->n_got };

	(void)state;
	p[0]->t->id = p[1]->t->id;
	peer_send(p[0], ipv4_packet, sizeof(ipv4_packet));
	bed_settle(b, p, 2);
	assert_int_equal(b->inside.n_got, 0);
	assert_int_equal(bed_counter(b, LW_SRV_MOVES_REFUSED), 1);
	p[0]->t->id = own;
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(p[i]->n_got, answers[i]);
		peer_send(p[i], ipv4_packet, sizeof(ipv4_packet));
		bed_settle(b, p, 2);
		assert_int_equal(b->inside.n_got, i + 1);
	}
	assert_int_equal(bed_counter(b, LW_SRV_MOVES), 0);
	for (int i = 0; i < 2; i++)
		peer_destroy(p[i]);
	bed_destroy(b);
}

static void dgram__known_address_rejected_or_other_version__ignored(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = bed_online(b, 0xc0000201u, 1000, false);
	const uint64_t id = p->t->id;
	const uint64_t answers = p->n_got;
	uint32_t got = b->inside.n_got;

	(void)state;
	p->t->id = LW_WIRE_ID_REJECTED;
	peer_send(p, ipv4_packet, sizeof(ipv4_packet));
	bed_settle(b, &p, 1);
	p->t->id = id;
	p->t->minor = 2;
	peer_send(p, ipv4_packet, sizeof(ipv4_packet));
	bed_settle(b, &p, 1);
	assert_int_equal(b->inside.n_got, got);
	assert_int_equal(p->n_got, answers);
	assert_int_equal(bed_tunnels(b, LW_CTR_HEADER_REJECTED), 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_HEADER_VERSION), 1);
	p->t->minor = 3;
	peer_send(p, ipv4_packet, sizeof(ipv4_packet));
	bed_settle(b, &p, 1);
	assert_int_equal(b->inside.n_got, got + 1);
	peer_destroy(p);
	bed_destroy(b);
}

/* The whole datagram of wire.md 1.2, for as little as 16 bytes. */
static void dgram__unknown_id__reject_of_16_bytes(void **state)
{
	static const uint8_t reject[16] = { 'H', 'e', 1,    1,    0,    0,    0,    0,
		                            255, 255, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	const struct lw_wire_header header = { .session = 0x1122334455667788,
		                               .major = 1,
		                               .minor = 3 };
	uint8_t p[100] = { 0 };
	struct stranger s;

	(void)state;
	stranger_open(&s, b, 1000);
	lw_wire_header_write(p, &header);
	for (size_t len = 16; len <= sizeof(p); len += 42) {
		struct net_dgram *d = stranger_ask(&s, p, len);

		assert_non_null(d);
		assert_int_equal(d->len, sizeof(reject));
		assert_memory_equal(d->bytes, reject, sizeof(reject));
		assert_true(lw_addr_equal(&d->from, &b->addr));
		free(d);
	}
	assert_int_equal(bed_counter(b, LW_SRV_REJECTS_SENT), 3);
	assert_int_equal(bed_counter(b, LW_SRV_UNKNOWN_DATAGRAMS), 3);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), 0);
	stranger_close(&s);
	bed_destroy(b);
}

/* A thousand a second, whoever asks. */
static void dgram__many_unknown_ids__a_second_has_so_many_rejects(void **state)
{
	const struct lw_wire_header header = { .session = 1, .major = 1, .minor = 3 };
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct lw_addr from = lw_addr_ipv4(STRANGER, 1000);
	uint8_t p[LW_WIRE_HEADER_LEN];

	(void)state;
	lw_wire_header_write(p, &header);
	for (uint64_t second = 1; second <= 3; second++) {
		for (uint32_t i = 0; i < 1500; i++) {
			net_send(&net, &from, &b->addr, p, sizeof(p));
			if (i % 32 == 0)
				bed_settle(b, NULL, 0);
		}
		bed_settle(b, NULL, 0);
		assert_int_equal(bed_counter(b, LW_SRV_REJECTS_SENT), 1000 * second);
		assert_int_equal(bed_counter(b, LW_SRV_REJECTS_DROPPED), 500 * second);
		assert_int_equal(net.nowhere, 1000 * second);
		net_clock_us += LW_US_PER_S;
	}
	assert_int_equal(bed_counter(b, LW_SRV_UNKNOWN_DATAGRAMS), 4500);
	bed_destroy(b);
}

/* Two servers that rejected each other's rejects would never stop. */
static void dgram__reject_from_stranger__no_answer(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct lw_wire_header header = { .session = LW_WIRE_ID_REJECTED, .major = 1, .minor = 1 };
	uint8_t p[64] = { 0 };
	struct stranger s;

	(void)state;
	stranger_open(&s, b, 1000);
	lw_wire_header_write(p, &header);
	assert_null(stranger_ask(&s, p, 16));
	assert_null(stranger_ask(&s, p, sizeof(p)));
	header.expresslane = true;
	lw_wire_header_write(p, &header);
	assert_null(stranger_ask(&s, p, sizeof(p)));
	assert_int_equal(bed_counter(b, LW_SRV_UNKNOWN_DATAGRAMS), 3);
	assert_int_equal(bed_counter(b, LW_SRV_REJECTS_SENT), 0);
	stranger_close(&s);
	bed_destroy(b);
}

static void dgram__expresslane_with_empty_id__not_to_the_listener(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct hello h = make_hello(b);
	struct net_dgram *d;
	struct stranger s;

	(void)state;
	stranger_open(&s, b, 1000);
	h.bytes[5] = 1;
	d = stranger_ask(&s, h.bytes, h.len);
	assert_non_null(d);
	assert_int_equal(d->len, LW_WIRE_HEADER_LEN);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), 0);
	assert_int_equal(bed_counter(b, LW_SRV_REJECTS_SENT), 1);
	free(d);
	stranger_close(&s);
	bed_destroy(b);
}

/* Roaming is not there yet: an id alone opens nothing, and disturbs nobody. */
static void dgram__id_of_a_session_from_elsewhere__no_answer(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = bed_online(b, 0xc0000201u, 1000, false);
	const struct lw_wire_header header = { .session = p->t->id, .major = 1, .minor = 3 };
	uint8_t bytes[64] = { 0 };
	struct stranger s;

	(void)state;
	stranger_open(&s, b, 1000);
	lw_wire_header_write(bytes, &header);
	assert_null(stranger_ask(&s, bytes, sizeof(bytes)));
	assert_int_equal(bed_counter(b, LW_SRV_MOVES_REFUSED), 1);
	peer_frame(p, ping, sizeof(ping));
	bed_settle(b, &p, 1);
	assert_int_equal(b->s.n_online, 1);
	stranger_close(&s);
	peer_destroy(p);
	bed_destroy(b);
}

/* Nobody may use the server to send a victim more than was sent to the server. */
static void dgram__any_from_stranger__answer_is_never_larger(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	const struct hello hellos[2] = { make_hello(b), short_hello() };
	uint64_t seed = 20261125;
	uint64_t answers = 0;
	struct stranger s;

	(void)state;
	stranger_open(&s, b, 1000);
	for (int i = 0; i < 20000; i++) {
		struct hello m = hellos[i % 2];
		const struct hello h = m;
		struct net_dgram *d;

		m.len = test_random(&seed) % 4 != 0 ? h.len
		                                    : (uint32_t)(test_random(&seed) % (h.len + 1));
		for (uint64_t n = test_random(&seed) % 3; n > 0; n--)
			m.bytes[test_random(&seed) % h.len] = (uint8_t)test_random(&seed);
		if (test_random(&seed) % 4 == 0) /* of headers more than of the rest */
			m.bytes[test_random(&seed) % 16] = (uint8_t)test_random(&seed);
		d = stranger_ask(&s, m.bytes, m.len);
		answers += d != NULL;
		assert_true(d == NULL || d->len <= m.len);
		free(d);
	}
	assert_in_range(answers, 2000, 19999);
	assert_int_equal(b->s.n, 0);
	stranger_close(&s);
	bed_destroy(b);
}

static void dgram__hello_shorter_than_its_answer__none(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	const struct hello h = short_hello();
	struct stranger s;

	(void)state;
	stranger_open(&s, b, 1000);
	assert_null(stranger_ask(&s, h.bytes, h.len));
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), 1);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS_BAD), 0);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_SENT), 0);
	stranger_close(&s);
	bed_destroy(b);
}

static void dgram__while_closing__nobody_new(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct hello h = make_hello(b);
	struct peer *late = peer_create(b, 0xc0000201u, 1000, true);
	struct stranger s;

	(void)state;
	stranger_open(&s, b, 1000);
	lw_sessions_close_all(&b->s);
	assert_null(stranger_ask(&s, h.bytes, h.len));
	h.bytes[8] = 1; /* an id that nobody has */
	assert_null(stranger_ask(&s, h.bytes, h.len));
	peer_begin(late);
	bed_settle(b, &late, 1);
	assert_true(late->closed);
	assert_int_equal(bed_counter(b, LW_SRV_SESSIONS_LIMITED), 3);
	assert_int_equal(b->s.n, 0);
	stranger_close(&s);
	peer_destroy(late);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dgram__bad_header__dropped_without_reply),
		cmocka_unit_test(dgram__empty_id_of_stranger__cookie_under_its_version),
		cmocka_unit_test(dgram__known_address__its_session_whatever_the_id),
		cmocka_unit_test(dgram__known_address_id_of_another__neither_is_touched),
		cmocka_unit_test(dgram__known_address_rejected_or_other_version__ignored),
		cmocka_unit_test(dgram__unknown_id__reject_of_16_bytes),
		cmocka_unit_test(dgram__many_unknown_ids__a_second_has_so_many_rejects),
		cmocka_unit_test(dgram__reject_from_stranger__no_answer),
		cmocka_unit_test(dgram__expresslane_with_empty_id__not_to_the_listener),
		cmocka_unit_test(dgram__id_of_a_session_from_elsewhere__no_answer),
		cmocka_unit_test(dgram__any_from_stranger__answer_is_never_larger),
		cmocka_unit_test(dgram__hello_shorter_than_its_answer__none),
		cmocka_unit_test(dgram__while_closing__nobody_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

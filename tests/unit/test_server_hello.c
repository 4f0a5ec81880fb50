/* SPDX-License-Identifier: MIT */
/* How a session begins on UDP: hellos in fragments, in another order, and in copies. */
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/bed_server.h"
#include "unit/test.h"
#include "wire/header.h"

#define HOME 0xc0000200u

/* offsets in a datagram: Lightway header, record header, then the handshake header */
#define RECORD_TYPE   LW_WIRE_HEADER_LEN
#define HANDSHAKE     (LW_WIRE_HEADER_LEN + 13)
#define MESSAGE_SEQ   (HANDSHAKE + 5)
#define FRAGMENT_AT   (HANDSHAKE + 6)
#define CLIENT_HELLO  1
#define HANDSHAKE_REC 22

/* an outside MTU at which our second hello takes two datagrams, as the stock client's does */
#define MTU_OF_TWO 1450

static bool is_second_hello(const struct net_dgram *d)
{
	return d->bytes[RECORD_TYPE] == HANDSHAKE_REC && d->bytes[HANDSHAKE] == CLIENT_HELLO &&
	       d->bytes[MESSAGE_SEQ] == 1;
}

static bool is_first_fragment(const struct net_dgram *d)
{
	static const uint8_t zero[3] = { 0 };

	return memcmp(d->bytes + FRAGMENT_AT, zero, sizeof(zero)) == 0;
}

/* what a network that plays with second hellos has seen */
struct game {
	uint32_t first; /* fragments of second hellos, by kind */
	uint32_t second;
	struct net *net;
	struct net_dgram *held[16];
	uint32_t n_held;
	uint32_t hold;   /* first fragments that wait until as many second ones have come */
	uint32_t copies; /* further ones are lost; 0: none is */
};

static void release(struct game *g)
{
	uint32_t n = g->n_held;

	g->n_held = 0;
	g->hold = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct net_dgram *d = g->held[i];

		net_send(g->net, &d->from, &d->to, d->bytes, d->len);
		free(g->held[i]);
	}
}

static bool play(void *arg, struct net_dgram *d)
{
	struct game *g = arg;

	if (!is_second_hello(d))
		return true;
	if (is_first_fragment(d)) {
		struct net_dgram *copy;

		if (g->hold == 0)
			return ++g->first <= g->copies || g->copies == 0;
		copy = malloc(sizeof(*copy));
		assert_non_null(copy);
		assert_true(g->n_held < 16);
		*copy = *d;
		g->held[g->n_held++] = copy;
		return false;
	}
	return ++g->second <= g->copies || g->copies == 0;
}

static struct peer *fragmenting_peer(struct bed *b)
{
	struct lw_addr addr = lw_addr_ipv4(HOME + 1, 1000);

	return peer_create_at(b, &addr, false, MTU_OF_TWO);
}

/* All copies of both fragments may come in one batch: no resend is needed. */
static void hello__second_in_two_fragments__online_at_once(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = fragmenting_peer(b);
	struct game g = { .net = &net };

	(void)state;
	net.pass = play;
	net.arg = &g;
	peer_begin(p);
	bed_settle(b, &p, 1);
	assert_int_equal(g.first, 3);
	assert_int_equal(g.second, 3);
	assert_true(p->online);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_GOOD), 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_OPENED), 1);
	peer_destroy(p);
	bed_destroy(b);
}

static void hello__one_copy_of_each_fragment__online_at_once(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = fragmenting_peer(b);
	struct game g = { .net = &net, .copies = 1 };

	(void)state;
	net.pass = play;
	net.arg = &g;
	peer_begin(p);
	bed_settle(b, &p, 1);
	assert_int_equal(g.first, 3);
	assert_true(p->online);
	peer_destroy(p);
	bed_destroy(b);
}

/* The second fragment alone says nothing of a cookie: it is lost, and the client's resend repairs
 * it. */
static void hello__second_fragment_first__online_after_a_resend(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = fragmenting_peer(b);
	struct game g = { .net = &net, .hold = 3 };
	uint64_t began = net_clock_us;

	(void)state;
	net.pass = play;
	net.arg = &g;
	peer_begin(p);
	bed_settle(b, &p, 1);
	assert_int_equal(g.second, 3);
	assert_int_equal(g.n_held, 3);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_GOOD), 0);
	release(&g);
	bed_settle(b, &p, 1);
	assert_int_equal(b->s.n, 1);
	assert_false(p->online);
	while (!p->online && net_clock_us < began + LW_US_PER_S)
		bed_run(b, &p, 1, 10 * LW_US_PER_MS);
	assert_true(p->online);
	assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_OPENED), 1);
	peer_destroy(p);
	bed_destroy(b);
}

static void hello__three_copies_of_all__one_session(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = peer_create(b, HOME + 1, 1000, false);

	(void)state;
	peer_begin(p);
	assert_int_equal(p->n_sent, 3);
	bed_settle(b, &p, 1);
	assert_true(p->online);
	assert_int_equal(b->s.n, 1);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_SENT), 3);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_GOOD), 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_OPENED), 1);
	assert_int_equal(bed_counter(b, LW_SRV_LOGINS), 1);
	peer_destroy(p);
	bed_destroy(b);
}

/* A cookie is bound to its address: elsewhere the same second hello is nothing. */
static void hello__cookie_of_another_address__nothing(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = peer_create(b, HOME + 1, 1000, false);
	struct game g = { .net = &net, .hold = 3 };
	struct lw_addr elsewhere = lw_addr_ipv4(HOME + 1, 1001);

	(void)state;
	net.pass = play;
	net.arg = &g;
	peer_begin(p);
	bed_settle(b, &p, 1);
	assert_int_equal(g.n_held, 3);
	net.pass = NULL;
	net_send(&net, &elsewhere, &b->addr, g.held[0]->bytes, g.held[0]->len);
	bed_settle(b, NULL, 0);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(net.nowhere, 0);
	release(&g);
	bed_settle(b, &p, 1);
	assert_true(p->online);
	peer_destroy(p);
	bed_destroy(b);
}

/* TCP sessions of one address, and UDP ones of one address by way of two listeners, are apart. */
static void hello__one_address_on_all_listeners__a_session_each(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		p[i] = peer_create(b, HOME + 1, (uint16_t)(i == 3 ? 1001 : 1000), i >= 2);
		if (i == 1) {
			p[i]->server = b->udp.listen[1];
			net_node_remove(&net, &p[0]->node); /* both have one address */
		}
		bed_connect(b, p[i]);
	}
	assert_int_equal(b->s.n_online, 4);
	for (int i = 0; i < 4; i++)
		peer_destroy(p[i]);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello__second_in_two_fragments__online_at_once),
		cmocka_unit_test(hello__one_copy_of_each_fragment__online_at_once),
		cmocka_unit_test(hello__second_fragment_first__online_after_a_resend),
		cmocka_unit_test(hello__three_copies_of_all__one_session),
		cmocka_unit_test(hello__cookie_of_another_address__nothing),
		cmocka_unit_test(hello__one_address_on_all_listeners__a_session_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

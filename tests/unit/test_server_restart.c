/* SPDX-License-Identifier: MIT */
/*
 * A peer that begins anew on the address and port of a live session, or that got them from a NAT
 * after somebody else: the quirk of wire.md 1.5. And those who only pretend to.
 */
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/bed_server.h"
#include "unit/test.h"
#include "wire/header.h"

#define HOME 0xc0000201u
#define PORT 1000

static const uint8_t ipv4_packet[28] = { 0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17,
	                                 0,    0, 10, 1,  1, 1, 8, 8, 8,  8 };

/* whether a packet of this peer comes out of the server's inside; the source is its address */
static bool works(struct bed *b, struct peer *p, uint8_t ret_source[4])
{
	uint32_t got = b->inside.n_got;

	peer_send(p, ipv4_packet, sizeof(ipv4_packet));
	bed_settle(b, &p, 1);
	if (b->inside.n_got != got + 1)
		return false;
	memcpy(ret_source, b->inside.got[got] + 12, 4);
	b->inside.n_got = 0;
	return true;
}

/* a packet from the inside to an address of a session */
static void to_inside(struct bed *b, const uint8_t dest[4], struct peer *p)
{
	uint8_t packet[sizeof(ipv4_packet)];

	memcpy(packet, ipv4_packet, sizeof(packet));
	memcpy(packet + 16, dest, 4);
	net_inside_put(&b->inside, packet, sizeof(packet));
	bed_settle(b, &p, 1);
}

/* a session that has learned its id, and the address of its peer set free for another */
static struct peer *live_session(struct bed *b, uint8_t ret_source[4])
{
	struct peer *p = bed_online(b, HOME, PORT, false);

	assert_true(works(b, p, ret_source));
	return p;
}

/* the peer of an address is from now on this one */
static void move_in(struct net *net, struct peer *p, struct peer *out)
{
	net_node_remove(net, &out->node);
	net_node_remove(net, &p->node);
	net_node_add(net, &p->node, &p->addr, -1);
}

static struct peer *newcomer(struct bed *b, struct peer *old)
{
	struct peer *p = peer_create(b, HOME, PORT, false);

	move_in(b->net, p, old);
	return p;
}

static void restart__same_port__new_session_takes_the_place(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	uint8_t before[4];
	uint8_t after[4];
	struct peer *old = live_session(b, before);
	struct peer *new = newcomer(b, old);

	(void)state;
	peer_begin(new);
	bed_settle(b, &new, 1);
	assert_true(new->online);
	assert_int_equal(b->s.n, 1);
	assert_int_equal(b->s.n_online, 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_LOST), 1);
	assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap - 1);
	assert_true(works(b, new, after));
	assert_memory_not_equal(before, after, 4);
	/* what still comes for the old one's address goes nowhere */
	to_inside(b, before, new);
	assert_int_equal(new->n_inside, 0);
	to_inside(b, after, new);
	assert_int_equal(new->n_inside, 1);
	peer_destroy(old);
	peer_destroy(new);
	bed_destroy(b);
}

static void restart__pool_of_one__the_address_passes_on(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ .pool = "10.125.0.4" });
	uint8_t before[4];
	uint8_t after[4];
	struct peer *old = live_session(b, before);
	struct peer *new = newcomer(b, old);

	(void)state;
	assert_int_equal(b->common.pool.cap, 1);
	peer_begin(new);
	bed_settle(b, &new, 1);
	assert_true(new->online);
	assert_true(works(b, new, after));
	assert_memory_equal(before, after, 4);
	peer_destroy(old);
	peer_destroy(new);
	bed_destroy(b);
}

/* Only who may log in can take a place: until then both work side by side. */
static void restart__login_refused__old_session_lives(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	uint8_t before[4];
	uint8_t after[4];
	struct peer *old = live_session(b, before);
	struct peer *new = newcomer(b, old);

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	peer_begin(new);
	bed_settle(b, &new, 1);
	assert_int_equal(b->s.n, 2);
	assert_int_equal(bed_jobs(b), 1);
	assert_true(works(b, old, after));
	assert_memory_equal(before, after, 4);
	bed_answer(b, 0, 0, LW_AUTH_NO);
	bed_settle(b, &new, 1);
	assert_true(new->closed);
	assert_false(new->online);
	assert_int_equal(b->s.n, 1);
	move_in(&net, old, new);
	assert_true(works(b, old, after));
	to_inside(b, before, old);
	assert_int_equal(old->n_inside, 1);
	peer_destroy(old);
	peer_destroy(new);
	bed_destroy(b);
}

static void restart__newcomer_falls_silent__old_session_lives(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	uint8_t before[4];
	uint8_t after[4];
	struct peer *old = live_session(b, before);
	struct peer *new = newcomer(b, old);

	(void)state;
	peer_begin(new);
	(void)bed_round(b);
	(void)peer_round(new); /* its second hello */
	(void)bed_round(b);
	assert_int_equal(b->s.n, 2);
	move_in(&net, old, new);
	assert_true(works(b, old, after));
	bed_run(b, &old, 1, 61 * LW_US_PER_S);
	assert_int_equal(b->s.n, 1);
	assert_int_equal(b->s.n_online, 1);
	assert_true(works(b, old, after));
	assert_memory_equal(before, after, 4);
	/* and the next one may try again */
	move_in(&net, new, old);
	peer_destroy(new);
	new = newcomer(b, old);
	peer_begin(new);
	bed_settle(b, &new, 1);
	assert_true(new->online);
	assert_int_equal(b->s.n, 1);
	peer_destroy(old);
	peer_destroy(new);
	bed_destroy(b);
}

static void restart__old_session_ends_meanwhile__newcomer_goes_on(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	uint8_t source[4];
	struct peer *old = live_session(b, source);
	struct peer *new = newcomer(b, old);

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	peer_begin(new);
	bed_settle(b, &new, 1);
	assert_int_equal(b->s.n, 2);
	peer_close(old);
	bed_settle(b, &new, 1);
	assert_int_equal(b->s.n, 1);
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, &new, 1);
	assert_true(new->online);
	assert_true(works(b, new, source));
	peer_destroy(old);
	peer_destroy(new);
	bed_destroy(b);
}

static void restart__both_there__close_all_ends_both(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	uint8_t source[4];
	struct peer *old = live_session(b, source);
	struct peer *new = newcomer(b, old);

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	peer_begin(new);
	bed_settle(b, &new, 1);
	assert_int_equal(b->s.n, 2);
	lw_sessions_close_all(&b->s);
	assert_int_equal(b->s.n, 0);
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, &new, 1);
	assert_int_equal(b->s.n, 0);
	peer_destroy(old);
	peer_destroy(new);
	bed_destroy(b);
}

/* Who never heard the answer to its login sends the empty id: no hello, and none is made of it. */
static void restart__id_not_learned__hello_only_after_silence(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *old = bed_online(b, HOME, PORT, false);
	struct peer *new = newcomer(b, old);
	uint64_t began = net_clock_us;
	uint64_t handled = bed_counter(b, LW_SRV_HELLOS);

	(void)state;
	peer_begin(new);
	bed_settle(b, &new, 1);
	assert_int_equal(bed_counter(b, LW_SRV_HELLOS), handled);
	assert_int_equal(b->s.n_online, 1);
	while (!new->online && !new->closed)
		bed_run(b, &new, 1, LW_US_PER_S);
	if (new->closed) { /* its handshake gave up: the next attempt */
		struct peer *again = newcomer(b, new);

		bed_run(b, NULL, 0, 20 * LW_US_PER_S);
		peer_destroy(new);
		new = again;
		peer_begin(new);
		bed_settle(b, &new, 1);
	}
	assert_true(new->online);
	assert_true(net_clock_us - began >= 30 * LW_US_PER_S);
	assert_int_equal(b->s.n, 1);
	peer_destroy(old);
	peer_destroy(new);
	bed_destroy(b);
}

/* --- who only pretends --- */

#define KEPT 64

struct recording {
	struct net_dgram dgrams[KEPT];
	uint32_t n;
	struct lw_addr server;
};

static bool record(void *arg, struct net_dgram *d)
{
	struct recording *r = arg;

	if (lw_addr_equal(&d->to, &r->server) && r->n < KEPT)
		r->dgrams[r->n++] = *d;
	return true;
}

/* All that a peer sent to come online, hello with cookie included, is sent again. */
static void replay__whole_handshake__session_unharmed(void **state)
{
	struct recording *r = calloc(1, sizeof(*r));
	struct net net = { .pass = record, .arg = r };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	uint8_t before[4];
	uint8_t after[4];
	struct peer *p;

	(void)state;
	assert_non_null(r);
	r->server = b->addr;
	p = live_session(b, before);
	net.pass = NULL;
	assert_in_range(r->n, 10, KEPT - 1);
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < r->n; i++) {
			const struct net_dgram *d = &r->dgrams[i];

			net_send(&net, &d->from, &d->to, d->bytes, d->len);
			bed_settle(b, &p, 1);
		}
		assert_true(works(b, p, after));
		assert_memory_equal(before, after, 4);
		assert_in_range(b->s.n, 1, 2);
	}
	assert_int_equal(bed_counter(b, LW_SRV_LOGINS), 1);
	bed_run(b, &p, 1, 61 * LW_US_PER_S);
	assert_int_equal(b->s.n, 1);
	assert_false(p->closed);
	assert_true(works(b, p, after));
	peer_destroy(p);
	bed_destroy(b);
	free(r);
}

/* Plaintext records in a session's name: anybody can make them. */
static void send_plain(struct bed *b, struct peer *p, uint64_t id, uint8_t type, uint16_t epoch,
                       const uint8_t *body, uint16_t len)
{
	const struct lw_wire_header h = { .session = id, .major = 1, .minor = 3 };
	uint8_t d[LW_WIRE_HEADER_LEN + 13 + 64] = { 0 };
	uint8_t *rec = d + LW_WIRE_HEADER_LEN;

	lw_wire_header_write(d, &h);
	rec[0] = type;
	rec[1] = 0xfe;
	rec[2] = 0xfd;
	rec[4] = (uint8_t)epoch;
	rec[9] = 9; /* a sequence number that was not there yet */
	rec[11] = (uint8_t)(len >> 8);
	rec[12] = (uint8_t)len;
	memcpy(rec + 13, body, len);
	net_send(b->net, &p->addr, &b->addr, d, (size_t)LW_WIRE_HEADER_LEN + 13 + len);
	bed_settle(b, &p, 1);
}

static void pretend__plaintext_records__session_unharmed(void **state)
{
	static const uint8_t fatal_alert[] = { 2, 40 };
	static const uint8_t close_notify[] = { 1, 0 };
	static const uint8_t finished[] = { 20, 0, 0, 4, 0, 9, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4 };
	static const uint8_t hello[] = { 1, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4 };
	static const uint8_t goodbye[] = { 12 };
	static const struct {
		uint8_t type;
		const uint8_t *body;
		uint16_t len;
	} records[] = {
		{ 21, fatal_alert, sizeof(fatal_alert) },
		{ 21, close_notify, sizeof(close_notify) },
		{ 22, finished, sizeof(finished) },
		{ 22, hello, sizeof(hello) },
		{ 23, goodbye, sizeof(goodbye) },
		{ 26, goodbye, sizeof(goodbye) },
		{ 20, goodbye, sizeof(goodbye) },
		{ 99, goodbye, sizeof(goodbye) },
	};
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = bed_online(b, HOME, PORT, false);
	uint8_t source[4];

	(void)state;
	for (int learned = 0; learned < 2; learned++) {
		for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
			for (uint16_t epoch = 0; epoch < 4; epoch += 3) {
				send_plain(b, p, p->t->id, records[i].type, epoch, records[i].body,
				           records[i].len);
				send_plain(b, p, LW_WIRE_ID_EMPTY, records[i].type, epoch,
				           records[i].body, records[i].len);
			}
		}
		assert_int_equal(b->s.n_online, 1);
		assert_true(works(b, p, source));
	}
	assert_false(p->closed);
	peer_destroy(p);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restart__same_port__new_session_takes_the_place),
		cmocka_unit_test(restart__pool_of_one__the_address_passes_on),
		cmocka_unit_test(restart__login_refused__old_session_lives),
		cmocka_unit_test(restart__newcomer_falls_silent__old_session_lives),
		cmocka_unit_test(restart__old_session_ends_meanwhile__newcomer_goes_on),
		cmocka_unit_test(restart__both_there__close_all_ends_both),
		cmocka_unit_test(restart__id_not_learned__hello_only_after_silence),
		cmocka_unit_test(replay__whole_handshake__session_unharmed),
		cmocka_unit_test(pretend__plaintext_records__session_unharmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

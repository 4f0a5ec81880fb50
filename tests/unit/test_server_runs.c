/* SPDX-License-Identifier: MIT */
/* A server whose datagrams come in runs, as receive offload joins them. */
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/bed_server.h"
#include "unit/test.h"
#include "wire/header.h"

#define HOME 0xc0000300u
#define PORT 1000

/* offsets in a datagram: Lightway header, record header, then the handshake header */
#define RECORD_TYPE   LW_WIRE_HEADER_LEN
#define HANDSHAKE     (LW_WIRE_HEADER_LEN + 13)
#define MESSAGE_SEQ   (HANDSHAKE + 5)
#define CLIENT_HELLO  1
#define HANDSHAKE_REC 22

/* an outside MTU at which our second hello takes two datagrams, as the stock client's does */
#define MTU_OF_TWO 1450

static const uint8_t ipv4_packet[28] = { 0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17,
	                                 0,    0, 10, 1,  1, 1, 8, 8, 8,  8 };

/* --- the module of datagrams, with receive offload --- */

static uint32_t n_runs;   /* that came so far */
static uint32_t n_joined; /* datagrams in them */

static bool can_join(const struct lw_packet *run, const struct lw_packet *p)
{
	uint32_t stride = run->gso_size > 0 ? run->gso_size : run->len;

	return memcmp(run->endpoint, p->endpoint, sizeof(*p->endpoint)) == 0 &&
	       run->len % stride == 0 && p->len <= stride;
}

static void join(struct lw_packet *run, const struct lw_packet *p)
{
	if (run->gso_size == 0) {
		run->gso_size = (uint16_t)run->len;
		run->gso_type = LW_GSO_RUN;
		n_runs++;
		n_joined++;
	}
	/* it lies behind the run in the same arena */
	memmove(lw_packet_data(run) + run->len, lw_packet_data(p), p->len);
	run->len += p->len;
	run->cap = run->off + run->len;
	n_joined++;
}

static int gro_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b)
{
	int r = net_udp_module.ops.udp->recv(inst, w, tag, b);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		if (kept > 0 && can_join(&b->pkt[kept - 1], &b->pkt[i]))
			join(&b->pkt[kept - 1], &b->pkt[i]);
		else
			b->pkt[kept++] = b->pkt[i];
	}
	b->n = kept;
	return r;
}

static struct bed *gro_bed(struct net *net)
{
	static struct lw_outside_udp_ops ops;
	static struct lw_module module;
	struct bed *b = bed_create(net, &(struct bed_plan){ 0 });
	struct lw_path *path = &b->engine.cores->path;

	ops = *net_udp_module.ops.udp;
	ops.recv = gro_recv;
	module = net_udp_module;
	module.ops.udp = &ops;
	for (uint32_t i = 0; i < path->n_ports; i++) {
		if (!path->ports[i].tcp)
			path->ports[i].module = &module;
	}
	n_runs = n_joined = 0;
	return b;
}

/* --- hellos --- */

static void hello__three_copies_in_one_run__one_session(void **state)
{
	struct net net = { 0 };
	struct bed *b = gro_bed(&net);
	struct peer *p = peer_create(b, HOME + 1, PORT, false);

	(void)state;
	peer_begin(p);
	assert_int_equal(p->n_sent, 3);
	(void)bed_round(b);
	assert_int_equal(n_runs, 1);
	assert_int_equal(n_joined, 3);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_SENT), 3);
	bed_settle(b, &p, 1);
	assert_true(n_runs > 1); /* the second hello too */
	assert_true(p->online);
	assert_int_equal(b->s.n, 1);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_SENT), 3);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_GOOD), 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_OPENED), 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_HEADER_BAD), 0);
	assert_int_equal(bed_counter(b, LW_SRV_LOGINS), 1);
	peer_destroy(p);
	bed_destroy(b);
}

/* a network that lets so many copies of each fragment of a second hello pass */
struct game {
	uint32_t copies;
	uint32_t seen[2];
	uint32_t first_len;
};

static bool play(void *arg, struct net_dgram *d)
{
	struct game *g = arg;
	bool second_part;

	if (d->bytes[RECORD_TYPE] != HANDSHAKE_REC || d->bytes[HANDSHAKE] != CLIENT_HELLO ||
	    d->bytes[MESSAGE_SEQ] != 1)
		return true;
	second_part = memcmp(d->bytes + MESSAGE_SEQ + 1, "\0\0\0", 3) != 0;
	return ++g->seen[second_part] <= g->copies;
}

/* A shorter second part ends the run of the first ones. */
static void hello__fragments_of_the_second_in_one_run__online_at_once(void **state)
{
	static const struct {
		uint32_t runs;
		uint32_t joined;
	} come[] = { { 1, 2 }, { 1, 3 }, { 2, 6 } };

	(void)state;
	for (uint32_t copies = 1; copies <= 3; copies++) {
		struct lw_addr addr = lw_addr_ipv4(HOME + 1, PORT);
		struct net net = { 0 };
		struct bed *b = gro_bed(&net);
		struct peer *p = peer_create_at(b, &addr, false, MTU_OF_TWO);
		struct game g = { .copies = copies };
		uint32_t runs;
		uint32_t joined;

		net.pass = play;
		net.arg = &g;
		peer_begin(p);
		(void)bed_round(b);
		runs = n_runs;
		joined = n_joined;
		while (peer_round(p) && g.seen[1] < 3)
			;
		(void)bed_round(b);
		assert_int_equal(g.seen[0], 3);
		assert_int_equal(g.seen[1], 3);
		assert_int_equal(n_runs - runs, come[copies - 1].runs);
		assert_int_equal(n_joined - joined, come[copies - 1].joined);
		assert_int_equal(b->s.n, 1);
		bed_settle(b, &p, 1);
		assert_true(p->online);
		assert_int_equal(bed_counter(b, LW_SRV_COOKIES_GOOD), 1);
		assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_OPENED), 1);
		peer_destroy(p);
		bed_destroy(b);
	}
}

/* --- known peers --- */

static void send_packets(struct peer *p, uint8_t first, uint32_t n, uint32_t last)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t packet[100] = { 0 };

		memcpy(packet, ipv4_packet, sizeof(ipv4_packet));
		packet[5] = (uint8_t)(first + i);
		peer_send(p, packet, i + 1 < n ? sizeof(packet) : last);
	}
}

/* So many packets have come out of the inside, in order; returns the source of the last. */
static const uint8_t *check_inside(struct bed *b, uint8_t first, uint32_t n)
{
	assert_int_equal(b->inside.n_got, n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(b->inside.got[i][5], first + i);
	b->inside.n_got = 0;
	return b->inside.got[n - 1] + 12;
}

static void known_peer__run__every_packet_comes_out(void **state)
{
	static const struct {
		uint32_t n;
		uint32_t last;
	} runs[] = { { 2, 100 }, { 5, 30 }, { 16, 100 }, { 40, 99 } };
	struct net net = { 0 };
	struct bed *b = gro_bed(&net);
	struct peer *p = bed_online(b, HOME + 1, PORT, false);

	(void)state;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		n_runs = n_joined = 0;
		send_packets(p, 7, runs[i].n, runs[i].last);
		bed_settle(b, &p, 1);
		assert_int_equal(n_runs, 1);
		assert_int_equal(n_joined, runs[i].n);
		(void)check_inside(b, 7, runs[i].n);
	}
	assert_int_equal(bed_tunnels(b, LW_CTR_HEADER_BAD), 0);
	assert_int_equal(b->engine.cores->path.ports[0].pieces->n, 0);
	peer_destroy(p);
	bed_destroy(b);
}

/* Two peers in one batch: runs of each, one behind the other. */
static void known_peers__runs_in_turn__each_to_its_session(void **state)
{
	struct net net = { 0 };
	struct bed *b = gro_bed(&net);
	struct peer *p[2];
	uint8_t source[2][4];

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		p[i] = bed_online(b, HOME + 1 + i, PORT, false);
		send_packets(p[i], 0, 1, 100);
		bed_settle(b, p, i + 1);
		memcpy(source[i], check_inside(b, 0, 1), 4);
	}
	n_runs = n_joined = 0;
	for (uint8_t i = 0; i < 4; i++)
		send_packets(p[i % 2], (uint8_t)(3 * i), 3, 100);
	bed_settle(b, p, 2);
	assert_int_equal(n_runs, 4);
	for (uint32_t i = 0; i < 12; i++)
		assert_memory_equal(b->inside.got[i] + 12, source[i / 3 % 2], 4);
	(void)check_inside(b, 0, 12);
	for (int i = 0; i < 2; i++)
		peer_destroy(p[i]);
	bed_destroy(b);
}

/* The first datagram of a run moves the session, so the rest of it and the next ones are its. */
static void known_peer__runs_from_another_address__every_packet_comes_out(void **state)
{
	struct net net = { 0 };
	struct bed *b = gro_bed(&net);
	struct peer *p = bed_online(b, HOME + 1, PORT, false);

	(void)state;
	send_packets(p, 0, 1, 100);
	bed_settle(b, &p, 1);
	(void)check_inside(b, 0, 1);
	for (uint32_t i = 0; i < 3; i++) {
		peer_move(p, HOME + 50 + i, PORT);
		n_runs = n_joined = 0;
		send_packets(p, 0, 20, 60);
		send_packets(p, 20, 20, 60);
		bed_settle(b, &p, 1);
		assert_int_equal(n_runs, 2);
		assert_int_equal(n_joined, 40);
		(void)check_inside(b, 0, 40);
		assert_int_equal(bed_counter(b, LW_SRV_MOVES), i + 1);
		assert_int_equal(bed_counter(b, LW_SRV_MOVES_REFUSED), 0);
	}
	peer_destroy(p);
	bed_destroy(b);
}

/* --- a peer that begins anew --- */

/* a session that has learned its id, and one that comes to its address */
static struct peer *newcomer(struct bed *b, struct peer *old)
{
	struct peer *p;

	send_packets(old, 0, 1, 100);
	bed_settle(b, &old, 1);
	(void)check_inside(b, 0, 1);
	p = peer_create(b, HOME + 1, PORT, false);
	net_node_remove(b->net, &old->node);
	net_node_remove(b->net, &p->node);
	net_node_add(b->net, &p->node, &p->addr, -1);
	return p;
}

static void restart__hellos_in_one_run__new_session_takes_the_place(void **state)
{
	struct net net = { 0 };
	struct bed *b = gro_bed(&net);
	struct peer *old = bed_online(b, HOME + 1, PORT, false);
	struct peer *new = newcomer(b, old);
	uint64_t cookies = bed_counter(b, LW_SRV_COOKIES_SENT);

	(void)state;
	n_runs = n_joined = 0;
	peer_begin(new);
	(void)bed_round(b);
	assert_int_equal(n_runs, 1);
	assert_int_equal(n_joined, 3);
	assert_int_equal(bed_counter(b, LW_SRV_COOKIES_SENT), cookies + 3);
	bed_settle(b, &new, 1);
	assert_true(new->online);
	assert_int_equal(b->s.n, 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_LOST), 1);
	send_packets(new, 9, 4, 100);
	bed_settle(b, &new, 1);
	(void)check_inside(b, 9, 4);
	peer_destroy(old);
	peer_destroy(new);
	bed_destroy(b);
}

/* While the new one's login is on its way the old one's runs are its own. */
static void restart__old_ones_run_meanwhile__goes_to_the_old_session(void **state)
{
	struct net net = { 0 };
	struct bed *b = gro_bed(&net);
	struct peer *old = bed_online(b, HOME + 1, PORT, false);
	struct peer *new = newcomer(b, old);

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	peer_begin(new);
	bed_settle(b, &new, 1);
	assert_int_equal(b->s.n, 2);
	n_runs = n_joined = 0;
	send_packets(old, 20, 6, 50);
	bed_settle(b, &new, 1);
	assert_int_equal(n_runs, 1);
	assert_int_equal(n_joined, 6);
	(void)check_inside(b, 20, 6);
	assert_int_equal(b->s.n, 2);
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, &new, 1);
	assert_true(new->online);
	assert_int_equal(b->s.n, 1);
	peer_destroy(old);
	peer_destroy(new);
	bed_destroy(b);
}

/* Datagrams of the session and hellos of the next one in one batch. */
static void restart__data_and_hellos_in_one_batch__both_are_served(void **state)
{
	struct net net = { 0 };
	struct bed *b = gro_bed(&net);
	struct peer *old = bed_online(b, HOME + 1, PORT, false);
	struct peer *new = newcomer(b, old);

	(void)state;
	n_runs = n_joined = 0;
	send_packets(old, 30, 3, 100);
	peer_begin(new);
	bed_settle(b, &new, 1);
	assert_true(n_runs > 2);
	(void)check_inside(b, 30, 3);
	assert_true(new->online);
	assert_int_equal(b->s.n, 1);
	peer_destroy(old);
	peer_destroy(new);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello__three_copies_in_one_run__one_session),
		cmocka_unit_test(hello__fragments_of_the_second_in_one_run__online_at_once),
		cmocka_unit_test(known_peer__run__every_packet_comes_out),
		cmocka_unit_test(known_peers__runs_in_turn__each_to_its_session),
		cmocka_unit_test(known_peer__runs_from_another_address__every_packet_comes_out),
		cmocka_unit_test(restart__hellos_in_one_run__new_session_takes_the_place),
		cmocka_unit_test(restart__old_ones_run_meanwhile__goes_to_the_old_session),
		cmocka_unit_test(restart__data_and_hellos_in_one_batch__both_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

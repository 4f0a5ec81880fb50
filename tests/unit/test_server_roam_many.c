/* SPDX-License-Identifier: MIT */
/*
 * A thousand sessions whose peers move, change places and come to addresses that others had, over a
 * network that loses, reorders and doubles, with key updates, Expresslane for half of them, and
 * somebody who sends again from elsewhere what he has seen, at once or late. In virtual time, from
 * a seed.
 */
#include <malloc.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "fake/fake_cipher.h"
#include "fake/fake_host.h"
#include "server/record.h"
#include "session/tunnel_priv.h"
#include "unit/bed_server.h"
#include "unit/test.h"
#include "wire/header.h"

#define CLIENTS   1000u
#define PLACES    1400u /* addresses; the last ones are where the adversary sends from */
#define ADVERSARY 1380u
#define BASE      0xcb000000u
#define STEP_US   (5 * LW_US_PER_MS)
#define SLOTS     128u /* steps that a datagram may be under way */
#define NOBODY    UINT32_MAX

struct flight {
	struct flight *next;
	uint32_t from; /* places */
	uint32_t to;   /* NOBODY: the server */
	uint32_t len;
	uint8_t bytes[400];
};

struct client {
	struct lw_tunnel *t;
	struct lw_counters counters;
	uint32_t place;
	uint32_t inside; /* its address there */
	uint64_t send_at;
	uint64_t sent;
	uint64_t got;
	uint64_t moves;
};

struct sim {
	struct net net;
	struct bed *b;
	struct lw_tls_ctx *tls;
	struct lw_tunnel_conf conf;
	struct lw_chunk_pool chunks;
	struct lw_batch *wire;
	struct lw_batch *in;
	struct lw_fake_cipher ciphers[2];
	struct lw_random random;
	struct lw_worker w;
	struct lw_lane_env lane;
	struct client clients[CLIENTS];
	struct net_node nodes[PLACES];
	uint32_t owner[PLACES];
	struct flight *slots[SLOTS];
	uint64_t step;
	uint64_t seed;
	uint64_t adverse_bytes[2]; /* that he sent, that he got */
	uint64_t delivered;        /* packets that came out of the inside */
	bool calm;                 /* nothing is lost, nobody moves */
};

static struct sim sim;

static uint32_t chance(uint32_t n)
{
	return (uint32_t)(test_random(&sim.seed) % n);
}

static struct lw_addr place_addr(uint32_t place)
{
	return lw_addr_ipv4(BASE + place, 4000);
}

/* --- the network --- */

static void launch(const struct flight *f, uint32_t steps)
{
	struct flight *copy = malloc(sizeof(*copy));
	struct flight **at = &sim.slots[(sim.step + steps) % SLOTS];

	assert_non_null(copy);
	*copy = *f;
	copy->next = *at; /* the last comes first: order within a step is no order */
	*at = copy;
}

/* What was seen on the way goes out again from a place of the adversary, or, as if it were his own,
 * from where another client is. */
static void adverse(const struct flight *seen)
{
	struct flight f = *seen;

	if (chance(100) >= 4)
		return;
	f.from = ADVERSARY + chance(PLACES - ADVERSARY);
	if (chance(2) == 0)
		f.from = sim.clients[chance(CLIENTS)].place;
	launch(&f, chance(3) == 0 ? 1 : 1 + chance(100)); /* some overtake what they copy */
}

static void travel(const struct flight *f)
{
	adverse(f);
	if (chance(100) < 5)
		return;
	launch(f, 1 + chance(10));
	if (chance(100) < 5)
		launch(f, 1 + chance(20));
}

static void send_on(uint32_t from, uint32_t to, const uint8_t *p, uint32_t len)
{
	struct flight f = { .from = from, .to = to, .len = len };

	assert_true(len <= sizeof(f.bytes));
	memcpy(f.bytes, p, len);
	if (sim.calm)
		launch(&f, 1);
	else
		travel(&f);
}

/* what the server sends */
static bool from_server(void *arg, struct net_dgram *d)
{
	uint32_t place = (uint32_t)(lw_addr_u32(&d->to) - BASE);

	(void)arg;
	if (place >= PLACES)
		return true; /* to the server: the bed's own way */
	if (place >= ADVERSARY)
		sim.adverse_bytes[1] += d->len;
	else
		send_on(NOBODY, place, d->bytes, d->len);
	return false;
}

/* --- clients --- */

static struct lw_sink sink_of_all(void)
{
	return (struct lw_sink){ .wire = sim.wire, .inside = sim.in };
}

/* Nobody gets what is another's, at either end. */
static void absorb(struct client *c)
{
	LW_BATCH_FOREACH (pkt, sim.in) {
		assert_int_equal(pkt->len, 60);
		assert_memory_equal(lw_packet_data(pkt) + 20, &c->inside, 4);
		c->got++;
	}
	lw_batch_reset(sim.in);
	LW_BATCH_FOREACH (pkt, sim.wire)
		send_on(c->place, NOBODY, lw_packet_data(pkt), pkt->len);
	lw_batch_reset(sim.wire);
	assert_int_not_equal(c->t->state, LW_TUNNEL_CLOSED);
}

static void arrive(struct client *c, struct flight *f)
{
	struct lw_packet pkt = { .buf = f->bytes, .cap = sizeof(f->bytes), .len = f->len };
	struct lw_sink k = sink_of_all();

	(void)lw_tunnel_rx(c->t, &pkt, net_clock_us, &k);
	absorb(c);
}

/* Its payload is who it belongs to: the inside address of its session. */
static void make_packet(uint8_t p[60], uint32_t destination, uint32_t belongs_to)
{
	const struct lw_addr to = lw_addr_ipv4(destination, 0);

	memset(p, 0, 60);
	p[0] = 0x45;
	p[3] = 60;
	p[8] = 64;
	p[9] = 253;
	memcpy(p + 12, "\x64\x40\x00\x06", 4);
	memcpy(p + 16, to.ip, 4);
	memcpy(p + 20, &belongs_to, 4);
}

static void send_up(struct client *c)
{
	uint8_t buf[512];
	struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .off = 64, .len = 60 };
	struct lw_sink k = sink_of_all();
	struct lw_seg seg;

	make_packet(buf + 64, 0x08080808, c->inside);
	assert_int_equal(lw_seg_init(&seg, &pkt), 0);
	assert_int_equal(lw_tunnel_tx(c->t, &seg, net_clock_us, &k), 0);
	c->sent++;
	absorb(c);
}

static void send_down(const struct client *c)
{
	uint8_t p[60];

	make_packet(p, c->inside, c->inside);
	net_inside_put(&sim.b->inside, p, sizeof(p));
}

/* A free place, as often as not one that another has just left, or another's, who takes ours. */
static void move(struct client *c, uint32_t self)
{
	uint32_t to = chance(ADVERSARY);
	uint32_t other = sim.owner[to];

	sim.owner[c->place] = other;
	if (other != NOBODY) {
		sim.clients[other].place = c->place;
		sim.clients[other].moves++;
	}
	c->place = to;
	c->moves++;
	sim.owner[to] = self;
}

/* --- the server --- */

static void drain_inside(void)
{
	struct net_inside *in = &sim.b->inside;

	for (uint32_t i = 0; i < in->n_got; i++) {
		uint32_t belongs_to;
		struct lw_addr source;

		assert_int_equal(in->got_len[i], 60);
		memcpy(&belongs_to, in->got[i] + 20, 4);
		source = lw_addr_ipv4(belongs_to, 0);
		assert_memory_equal(in->got[i] + 12, source.ip, 4);
		sim.delivered++;
	}
	in->n_got = 0;
}

static void serve(void)
{
	while (bed_round(sim.b))
		drain_inside();
	drain_inside();
}

static void step_datagrams(void)
{
	struct flight **slot = &sim.slots[sim.step % SLOTS];
	struct flight *f = *slot;
	uint32_t n = 0;

	*slot = NULL;
	while (f != NULL) {
		struct flight *next = f->next;
		struct lw_addr from = place_addr(f->from == NOBODY ? 0 : f->from);

		if (f->to == NOBODY) {
			if (f->from >= ADVERSARY)
				sim.adverse_bytes[0] += f->len;
			net_send(&sim.net, &from, &sim.b->addr, f->bytes, f->len);
			if (++n % 32 == 0)
				serve();
		} else if (sim.owner[f->to] != NOBODY) {
			arrive(&sim.clients[sim.owner[f->to]], f);
		}
		free(f);
		f = next;
	}
	serve();
}

static void step_clients(uint32_t every_steps)
{
	for (uint32_t i = 0; i < CLIENTS; i++) {
		struct client *c = &sim.clients[i];
		struct lw_sink k = sink_of_all();

		if (lw_tunnel_deadline(c->t) <= net_clock_us) {
			(void)lw_tunnel_tick(c->t, net_clock_us, &k);
			absorb(c);
		}
		if (sim.step < c->send_at)
			continue;
		c->send_at = sim.step + 1 + chance(2 * every_steps);
		if (!sim.calm && chance(4) == 0)
			move(c, i);
		send_up(c);
		send_down(c);
		if (sim.b->inside.n_in >= 8)
			serve();
	}
	serve();
}

static void run(uint32_t steps, uint32_t every_steps)
{
	for (uint32_t i = 0; i < steps; i++) {
		sim.step++;
		net_clock_us += STEP_US;
		step_datagrams();
		step_clients(every_steps);
	}
}

/* --- invariants --- */

/* All that have one address, each in its place; returns how many. */
static uint32_t check_chain(const struct lw_record *first)
{
	uint32_t n = 0;

	assert_null(first->ahead);
	for (const struct lw_record *r = first; r != NULL; r = r->behind) {
		assert_memory_equal(&r->addr, &first->addr, sizeof(r->addr));
		assert_true(r->behind == NULL || r->behind->ahead == r);
		assert_true(lw_addr_equal(&r->timed.tunnel->endpoint.remote, &r->addr.remote));
		assert_true(r->listed && r->online);
		assert_int_equal(r->rotating, r->timed.tunnel->old_id != LW_WIRE_ID_EMPTY);
		assert_true(r->id.id == r->timed.tunnel->id && r->id.id >> 56 == 0);
		assert_ptr_equal(lw_record_of_id(&sim.b->s, r->id.id), r);
		if (r->rotating)
			assert_ptr_equal(lw_record_of_id(&sim.b->s, r->old_id.id), r);
		n++;
	}
	return n;
}

static void check_tables(void)
{
	const struct lw_sessions *s = &sim.b->s;
	uint32_t n = 0;

	assert_int_equal(s->n, CLIENTS);
	assert_int_equal(s->n_online, CLIENTS);
	assert_int_equal(s->by_id.n, CLIENTS + s->n_rotating);
	for (size_t i = 0; i <= s->by_addr.mask; i++) {
		for (struct lw_hash_node *at = s->by_addr.slots[i]; at != NULL; at = at->next)
			n += check_chain(lw_hash_owner(at, struct lw_record, addr_node));
	}
	assert_int_equal(n, CLIENTS);
	assert_true(sim.adverse_bytes[1] <= sim.adverse_bytes[0]);
}

/* With a network that works everyone is reached, and within two datagrams each way knows one id. */
static void check_all_reachable(void)
{
	uint64_t got[CLIENTS];
	uint64_t delivered;

	sim.calm = true;
	run(SLOTS, 40);
	run(300, 20); /* what was on its way has come; all have said where they are */
	check_tables();
	for (uint32_t i = 0; i < CLIENTS; i++)
		sim.clients[i].send_at = UINT64_MAX;
	run(3, 1);
	delivered = sim.delivered;
	for (uint32_t i = 0; i < CLIENTS; i++) {
		got[i] = sim.clients[i].got;
		sim.clients[i].send_at = sim.step + 1;
	}
	run(1, 100000);
	run(3, 100000);
	assert_int_equal(sim.delivered - delivered, CLIENTS);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		const struct client *c = &sim.clients[i];
		const struct lw_record *rec = lw_record_of_id(&sim.b->s, c->t->id);
		const struct lw_addr at = place_addr(c->place);

		assert_int_equal(c->got, got[i] + 1);
		assert_non_null(rec);
		assert_true(lw_addr_equal(&rec->addr.remote, &at));
		assert_int_equal(lw_addr_u32(&rec->timed.tunnel->s.inside), c->inside);
	}
	sim.calm = false;
	for (uint32_t i = 0; i < CLIENTS; i++)
		sim.clients[i].send_at = sim.step + 1 + chance(20);
}

/* --- beginning and end --- */

static void connect_client(uint32_t i)
{
	struct client *c = &sim.clients[i];
	const struct lw_record *rec;
	struct lw_tunnel_start start = { .endpoint = { .remote = sim.b->addr },
		                         .minor = i % 2 != 0 ? 3 : 2, /* 2: no Expresslane */
		                         .pool = &sim.chunks,
		                         .lane = &sim.lane,
		                         .counters = &c->counters,
		                         .serial = i + 1 };
	struct lw_sink k = sink_of_all();

	c->place = i;
	sim.owner[i] = i;
	assert_int_equal(lw_tls_create(sim.tls, LW_TLS_DGRAM, 1500, &start.tls), 0);
	assert_int_equal(lw_tunnel_create(&sim.conf, &start, net_clock_us, &c->t), 0);
	(void)lw_tunnel_begin(c->t, net_clock_us, &k);
	for (int n = 0; n < 400 && c->t->state != LW_TUNNEL_ONLINE; n++) {
		LW_BATCH_FOREACH (pkt, sim.wire) {
			struct lw_addr from = place_addr(i);

			net_send(&sim.net, &from, &sim.b->addr, lw_packet_data(pkt), pkt->len);
		}
		lw_batch_reset(sim.wire);
		bed_settle(sim.b, NULL, 0);
		for (struct net_dgram *d; (d = net_take(&sim.nodes[i])) != NULL; free(d)) {
			struct lw_packet pkt = { .buf = d->bytes,
				                 .cap = sizeof(d->bytes),
				                 .len = d->len };

			(void)lw_tunnel_rx(c->t, &pkt, net_clock_us, &k);
		}
		net_clock_us += 100;
	}
	assert_int_equal(c->t->state, LW_TUNNEL_ONLINE);
	absorb(c);
	rec = lw_record_of_id(&sim.b->s, c->t->id);
	assert_non_null(rec);
	c->inside = lw_addr_u32(&rec->timed.tunnel->s.inside);
	c->send_at = 1 + chance(40);
}

static void begin_server(void)
{
	sim.b = bed_create(&sim.net, &(struct bed_plan){ .handshakes_per_s = 1000000 });
	lw_lane_env_init(&sim.b->engine.cores->path.lane, &lw_fake_cipher_ops, &sim.ciphers[0],
	                 NULL, &sim.b->engine.cores->random);
	sim.b->conf.lane_rotate_us = 900 * LW_US_PER_S;
	sim.b->conf.key_update_us = 3 * LW_US_PER_S;
}

static void begin_clients(void)
{
	sim.tls = bed_client_ctx("ca.crt");
	lw_lane_env_init(&sim.lane, &lw_fake_cipher_ops, &sim.ciphers[1], &sim.w, &sim.random);
	sim.conf = (struct lw_tunnel_conf){ .role = LW_ROLE_CLIENT,
		                            .outside_mtu = 1500,
		                            .inside_mtu = 1350,
		                            .lane_rotate_us = 900 * LW_US_PER_S,
		                            .stale_us = 60 * LW_US_PER_S,
		                            .user = "me",
		                            .password = "secret",
		                            .keepalive_us = 10 * LW_US_PER_S,
		                            .keepalive_timeout_us = 60 * LW_US_PER_S };
	sim.wire = lw_fake_batch_create(64, 1 << 17, true);
	sim.in = lw_fake_batch_create(64, 1 << 17, false);
	assert_int_equal(lw_chunk_pool_init(&sim.chunks, 8), 0);
	for (uint32_t i = 0; i < PLACES; i++) {
		const struct lw_addr addr = place_addr(i);

		sim.owner[i] = NOBODY;
		net_node_add(&sim.net, &sim.nodes[i], &addr, -1);
	}
	for (uint32_t i = 0; i < CLIENTS; i++)
		connect_client(i);
	sim.net.pass = from_server;
}

static void end_all(void)
{
	sim.net.pass = NULL;
	for (uint32_t i = 0; i < SLOTS; i++) {
		for (struct flight *f = sim.slots[i], *next; f != NULL; f = next) {
			next = f->next;
			free(f);
		}
	}
	bed_destroy(sim.b);
	for (uint32_t i = 0; i < CLIENTS; i++)
		lw_tunnel_destroy(sim.clients[i].t);
	for (uint32_t i = 0; i < PLACES; i++)
		net_node_remove(&sim.net, &sim.nodes[i]);
	assert_int_equal(sim.ciphers[0].alive, 0);
	assert_int_equal(sim.ciphers[1].alive, 0);
	lw_lane_env_fini(&sim.lane);
	lw_fake_batch_destroy(sim.wire);
	lw_fake_batch_destroy(sim.in);
	lw_chunk_pool_fini(&sim.chunks);
	lw_tls_ctx_destroy(sim.tls);
}

static void check_that_much_happened(void)
{
	uint64_t moves = 0;

	for (uint32_t i = 0; i < CLIENTS; i++) {
		moves += sim.clients[i].moves;
		assert_true(sim.clients[i].moves > 0);
	}
	assert_true(moves > 5 * (uint64_t)CLIENTS);
	assert_true(bed_counter(sim.b, LW_SRV_MOVES) > moves / 2);
	assert_true(bed_counter(sim.b, LW_SRV_MOVES_REFUSED) > CLIENTS);
	assert_true(bed_counter(sim.b, LW_SRV_ROTATIONS_DONE) > 2 * (uint64_t)CLIENTS);
	assert_true(bed_tunnels(sim.b, LW_CTR_KEY_UPDATES) >= CLIENTS);
	assert_true(bed_tunnels(sim.b, LW_CTR_EXPRESSLANE_RX) > 5 * (uint64_t)CLIENTS);
	assert_true(bed_tunnels(sim.b, LW_CTR_EXPRESSLANE_REPLAYED) > 0);
	assert_true(sim.adverse_bytes[0] > 0);
	assert_int_equal(bed_tunnels(sim.b, LW_CTR_SESSIONS_CLOSED), 0);
}

static void many__roam_rotate_lose_reorder_double__each_keeps_its_session(void **state)
{
	size_t used[2] = { 0 };

	(void)state;
	sim.seed = 20261125;
	begin_server();
	begin_clients();
	check_tables();
	for (uint32_t round = 0; round < 4; round++) {
		for (int i = 0; i < 4; i++) {
			run(60, 25);
			check_tables();
		}
		check_all_reachable();
		used[round > 0] = mallinfo2().uordblks;
		/* after the first round every session has all that it ever needs */
		if (round > 1)
			assert_true(used[1] < used[0] + (64ul << 10) * round);
	}
	check_that_much_happened();
	end_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many__roam_rotate_lose_reorder_double__each_keeps_its_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

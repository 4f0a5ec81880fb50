/* SPDX-License-Identifier: MIT */
/* What several workers of a server share, and what each has to itself. */
#include <assert.h>
#include <string.h>

#include "base/addr.h"
#include "unit/bed_workers.h"
#include "unit/test.h"
#include "wire/header.h"

#define HOME  0xc0000200u /* 192.0.2.0 */
#define PEERS 5u          /* of each worker */

static void session__each_worker__id_names_it_and_serial_is_unique(void **state)
{
	struct bw *b = bw_create(&(struct bw_plan){ .workers = 3 });
	struct peer *peers[3 * PEERS];
	uint64_t serials[3 * PEERS];

	(void)state;
	for (uint32_t i = 0; i < 3 * PEERS; i++) {
		const struct lw_tunnel *t;

		peers[i] = bw_online(b, i % 3, HOME + i);
		t = bw_tunnel(b, i % 3, peers[i]);
		assert_non_null(t);
		assert_int_equal(t->id >> 56, i % 3);
		assert_int_equal(peers[i]->t->id, t->id);
		assert_int_equal(lw_addr_u32(&t->s.inside) % 3, i % 3);
		serials[i] = t->s.serial;
		assert_true(serials[i] > 0);
		for (uint32_t k = 0; k < i; k++)
			assert_int_not_equal(serials[i], serials[k]);
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(b->ends[i].s.n, PEERS);
		assert_int_equal(b->ends[i].s.n_online, PEERS);
	}
	assert_int_equal(b->common.n, 3 * PEERS);
	for (uint32_t i = 0; i < 3 * PEERS; i++)
		peer_destroy(peers[i]);
	bw_destroy(b); /* all are told to go, and every address comes back */
}

static void close_all__one_worker__the_others_go_on(void **state)
{
	struct bw *b = bw_create(&(struct bw_plan){ .workers = 2 });
	struct peer *peers[2];

	(void)state;
	for (uint32_t i = 0; i < 2; i++)
		peers[i] = bw_online(b, i, HOME + i);
	lw_sessions_close_all(&b->ends[0].s);
	bw_settle(b, peers, 2);
	assert_true(peers[0]->closed);
	assert_false(peers[1]->closed);
	assert_int_equal(b->common.n, 1);
	assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap - 1);
	for (uint32_t i = 0; i < 2; i++)
		peer_destroy(peers[i]);
	bw_destroy(b);
}

/* --- logins --- */

static uint32_t jobs_of(struct bw *b, uint32_t worker)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < LW_AUTH_JOBS; i++)
		n += b->ends[worker].s.auth.jobs[i].busy != 0;
	return n;
}

/* Every worker's table is asked, with a token and with such that only look like it. */
static void offer_wrong(struct bw *b, uint64_t token)
{
	const struct lw_auth_answer yes = { .size = sizeof(yes), .verdict = LW_AUTH_YES };
	const uint64_t wrong[] = {
		token ^ 1,
		token + LW_AUTH_JOBS,
		token ^ 0x8000,
		token ^ 0x70000,
		token ^ UINT64_C(0x80000000),
		token + (UINT64_C(1) << 32),
		0,
		UINT64_MAX,
	};

	for (uint32_t i = 0; i < b->n; i++) {
		struct lw_auth *a = &b->ends[i].s.auth;

		if (i != lw_auth_worker(token))
			lw_auth_answer(a, token, &yes);
		for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++)
			lw_auth_answer(a, wrong[k], &yes);
	}
}

static void login__token__is_of_its_worker_only(void **state)
{
	const struct lw_auth_answer yes = { .size = sizeof(yes), .verdict = LW_AUTH_YES };
	struct bw *b = bw_create(&(struct bw_plan){ .workers = 3, .hold = true });
	struct peer *peers[3];

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		peers[i] = bw_begin(b, i, HOME + i);
		assert_int_equal(b->n_tokens, i + 1);
		assert_int_equal(lw_auth_worker(b->tokens[i]), i);
	}
	for (uint32_t i = 0; i < 3; i++)
		offer_wrong(b, b->tokens[i]);
	bw_settle(b, peers, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(jobs_of(b, i), 1);
		assert_false(peers[i]->online);
	}
	for (uint32_t i = 3; i-- > 0;) {
		b->host->answer(b->host, b->tokens[i], &yes);
		bw_settle(b, peers, 3);
		assert_int_equal(jobs_of(b, i), 0);
		for (uint32_t k = 0; k < 3; k++)
			assert_int_equal(peers[k]->online, k >= i);
		b->host->answer(b->host, b->tokens[i], &yes); /* once more: late */
	}
	for (uint32_t i = 0; i < 3; i++)
		peer_destroy(peers[i]);
	bw_destroy(b);
}

/* what lies behind a table of logins must not be taken for one of them */
struct guarded {
	struct lw_auth auth;
	struct lw_auth_job behind;
};

static_assert(offsetof(struct guarded, behind) ==
                      offsetof(struct lw_auth, jobs) + LW_AUTH_JOBS * sizeof(struct lw_auth_job),
              "as if it were the next");

static void login__token_behind_the_last_job__is_ignored(void **state)
{
	const struct lw_auth_answer yes = { .size = sizeof(yes), .verdict = LW_AUTH_YES };
	struct guarded *g = calloc(1, sizeof(*g));
	struct lw_mailbox mail;

	(void)state;
	assert_non_null(g);
	assert_int_equal(lw_mailbox_init(&mail), 0);
	lw_auth_init(&g->auth, 1, NULL, &mail, NULL, NULL);
	g->behind =
		(struct lw_auth_job){ .auth = &g->auth, .generation = 5, .busy = 1 /* asked */ };
	lw_auth_answer(&g->auth, UINT64_C(5) << 32 | 1u << 16 | LW_AUTH_JOBS, &yes);
	assert_int_equal(g->behind.busy, 1);
	assert_null(mail.head);
	lw_auth_fini(&g->auth);
	lw_mailbox_fini(&mail);
	free(g);
}

/* --- limits --- */

static void limit__sessions__counts_those_of_all_workers(void **state)
{
	struct bw *b = bw_create(&(struct bw_plan){ .workers = 2, .sessions = 3 });
	struct peer *peers[3];

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		peers[i] = bw_online(b, i / 2, HOME + i);
	for (uint32_t i = 0; i < 2; i++) {
		struct peer *late = bw_begin(b, i, HOME + 10 + i);

		assert_null(bw_tunnel(b, i, late));
		assert_true(bw_counter(b, i, LW_SRV_SESSIONS_LIMITED) > 0);
		peer_destroy(late);
	}
	assert_int_equal(b->common.n, 3);
	peer_close(peers[0]); /* of worker 0: that makes room at worker 1 */
	bw_settle(b, peers, 3);
	assert_int_equal(b->common.n, 2);
	peer_destroy(peers[0]);
	peers[0] = bw_online(b, 1, HOME + 20);
	for (uint32_t i = 0; i < 3; i++)
		peer_destroy(peers[i]);
	bw_destroy(b);
}

static void limit__handshakes__each_worker_has_its_part(void **state)
{
	struct bw *b =
		bw_create(&(struct bw_plan){ .workers = 3, .handshakes_per_s = 10, .hold = true });
	struct peer *peers[12];

	(void)state;
	for (uint32_t i = 0; i < 3; i++) { /* a part that is none is no part: it is rounded up */
		for (uint32_t k = 0; k < 4; k++)
			peers[4 * i + k] = bw_begin(b, i, HOME + 4 * i + k);
		assert_int_equal(b->ends[i].s.n, 4);
		assert_int_equal(bw_counter(b, i, LW_SRV_HANDSHAKES_LIMITED), 0);
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct peer *late = bw_begin(b, i, HOME + 20 + i);

		assert_int_equal(b->ends[i].s.n, 4);
		assert_true(bw_counter(b, i, LW_SRV_HANDSHAKES_LIMITED) > 0);
		peer_destroy(late);
	}
	for (uint32_t i = 0; i < 12; i++)
		peer_destroy(peers[i]);
	bw_destroy(b);
}

/* --- addresses of another's slice --- */

#define LEN 100u

static void put_inside(struct bw *b, uint32_t worker, uint32_t dst, uint8_t mark)
{
	uint8_t p[LEN];

	memset(p, mark, sizeof(p));
	memset(p, 0, 20);
	p[0] = 0x45;
	p[3] = LEN;
	p[8] = 64;
	p[9] = 17;
	for (int i = 0; i < 4; i++)
		p[16 + i] = (uint8_t)(dst >> (24 - 8 * i));
	net_inside_put(&b->ends[worker].inside, p, sizeof(p));
}

/* More peers of worker 0 than its slice has addresses; the last has one of worker 1's. */
struct crowd {
	struct bw *bw;
	struct peer *peers[4];
	uint32_t addresses[4];
};

static struct crowd make_crowd(void)
{
	struct crowd c = { .bw = bw_create(&(struct bw_plan){ .workers = 2, .prefix = 29 }) };

	assert_int_equal(c.bw->common.pool.slices[0].cap, 3);
	for (uint32_t i = 0; i < 4; i++) {
		c.peers[i] = bw_online(c.bw, 0, HOME + i);
		c.addresses[i] = lw_addr_u32(&bw_tunnel(c.bw, 0, c.peers[i])->s.inside);
		assert_int_equal(c.addresses[i] % 2, i == 3);
	}
	return c;
}

static void end_crowd(struct crowd *c)
{
	for (uint32_t i = 0; i < 4; i++)
		peer_destroy(c->peers[i]);
	bw_destroy(c->bw);
}

static void inside__address_of_another_slice__is_handed_over(void **state)
{
	struct crowd c = make_crowd();
	struct peer *p = c.peers[3];

	(void)state;
	put_inside(c.bw, 1, c.addresses[3], 'a'); /* where the kernel brings it */
	bw_settle(c.bw, c.peers, 4);
	assert_int_equal(p->n_inside, 1);
	assert_int_equal(p->last_len, LEN);
	assert_int_equal(p->last[LEN - 1], 'a');
	assert_int_equal(bw_path(c.bw, 1)->handed_over, 1);
	put_inside(c.bw, 0, c.addresses[3], 'b'); /* a kernel that does not steer */
	put_inside(c.bw, 1, c.addresses[0], 'c');
	bw_settle(c.bw, c.peers, 4);
	assert_int_equal(p->n_inside, 2);
	assert_int_equal(p->last[LEN - 1], 'b');
	assert_int_equal(c.peers[0]->n_inside, 1);
	assert_int_equal(c.peers[0]->last[LEN - 1], 'c');
	assert_int_equal(bw_path(c.bw, 1)->handed_over, 2);
	assert_int_equal(bw_path(c.bw, 0)->handed_over, 0);
	assert_int_equal(bw_path(c.bw, 1)->inside_no_session, 0);
	end_crowd(&c);
}

static void inside__address_of_nobody__goes_nowhere(void **state)
{
	struct crowd c = make_crowd();
	static const uint32_t nobodys[] = { BW_BASE, BW_BASE + 7, BW_BASE + 8, 0x08080808 };

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		put_inside(c.bw, 0, nobodys[i], 'a');
		put_inside(c.bw, 1, nobodys[i], 'b');
	}
	bw_settle(c.bw, c.peers, 4);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(bw_path(c.bw, i)->inside_no_session, 4);
		assert_int_equal(bw_path(c.bw, i)->handed_over, 0);
	}
	end_crowd(&c);
}

/* The address has changed hands while the packet was on its way: it must not go back. */
static void inside__owner_changes_on_the_way__ends_there(void **state)
{
	struct crowd c = make_crowd();
	struct lw_pool *pool = &c.bw->common.pool;
	uint8_t *owner = &pool->slices[1].workers[(c.addresses[3] - pool->base) / 2];

	(void)state;
	put_inside(c.bw, 1, c.addresses[3], 'a');
	assert_int_equal(lw_core_round(bw_core(c.bw, 1), 0), 0);
	assert_int_equal(bw_path(c.bw, 1)->handed_over, 1);
	assert_int_equal(*owner, 0);
	*owner = 1;
	bw_settle(c.bw, c.peers, 4);
	assert_int_equal(bw_path(c.bw, 0)->handed_over, 0);
	assert_int_equal(bw_path(c.bw, 0)->inside_no_session, 1);
	assert_int_equal(c.peers[3]->n_inside, 0);
	*owner = 0;
	end_crowd(&c);
}

/*
 * The socket fills up amid a superpacket that was handed over. What is left of it goes out when
 * there is room, although nothing comes from the worker's own inside.
 */
static void inside__socket_full_amid_what_was_handed_over__the_rest_follows(void **state)
{
	struct crowd c = make_crowd();
	struct lw_port *port = &bw_core(c.bw, 0)->path.ports[0];
	struct lw_packet super = { .cap = 1040,
		                   .len = 1040,
		                   .gso_type = LW_GSO_TCP4,
		                   .gso_size = 10,
		                   .flags = LW_PKT_CSUM_PARTIAL,
		                   .csum_start = 20,
		                   .csum_off = 16 };
	uint8_t bytes[1040] = { 0x45, 0, 1040 >> 8, 1040 & 255, [8] = 64, [9] = 6, [32] = 0x50 };

	(void)state;
	for (int i = 0; i < 4; i++)
		bytes[16 + i] = (uint8_t)(c.addresses[3] >> (24 - 8 * i));
	super.buf = bytes;
	port->wire->cap = 8; /* not as large as what comes */
	c.bw->ends[0].udp.busy = true;
	lw_core_hand_over(bw_core(c.bw, 1), 0, LW_PARCEL_INSIDE, &super);
	bw_settle(c.bw, c.peers, 4);
	assert_true(lw_path_paused(&bw_core(c.bw, 0)->path));
	assert_int_equal(c.peers[3]->n_inside, 0);
	c.bw->ends[0].udp.busy = false;
	lw_sender_unblock(&port->sender, 0);
	lw_path_flush(&bw_core(c.bw, 0)->path, net_clock_us);
	bw_settle(c.bw, c.peers, 4);
	assert_int_equal(c.peers[3]->n_inside, 100);
	put_inside(c.bw, 1, c.addresses[3], 'z'); /* and there is room for more */
	bw_settle(c.bw, c.peers, 4);
	assert_int_equal(c.peers[3]->n_inside, 101);
	assert_int_equal(bw_path(c.bw, 0)->handed_dropped, 0);
	end_crowd(&c);
}

/* --- datagrams --- */

/* A sender of raw datagrams, which are answered or not. */
static struct net_dgram *ask(struct bw *b, uint32_t worker, uint64_t id, bool lane)
{
	const struct lw_wire_header h = {
		.session = id, .major = LW_WIRE_MAJOR, .minor = 3, .expresslane = lane
	};
	struct lw_addr from = lw_addr_ipv4(HOME + 99, 7);
	struct net_node node;
	struct net_dgram *answer;
	uint8_t p[100] = { 0 };

	net_node_add(&b->net, &node, &from, -1);
	lw_wire_header_write(p, &h);
	net_send(&b->net, &from, &b->ends[worker].face.addr, p, sizeof(p));
	bw_settle(b, NULL, 0);
	assert_in_range(node.n, 0, 1);
	answer = net_take(&node);
	net_node_remove(&b->net, &node);
	return answer;
}

static void assert_rejected(struct net_dgram *d)
{
	struct lw_wire_header h;

	assert_non_null(d);
	assert_int_equal(lw_wire_header_parse(d->bytes, d->len, &h), 0);
	assert_int_equal(h.session, LW_WIRE_ID_REJECTED);
	assert_int_equal(d->len, LW_WIRE_HEADER_LEN);
	free(d);
}

static void datagram__at_the_wrong_worker__is_handed_over(void **state)
{
	struct bw *b = bw_create(&(struct bw_plan){ .workers = 3 });
	struct peer *p = bw_online(b, 0, HOME);
	uint8_t packet[LEN] = { 0x45, 0, 0, LEN, [8] = 64, [9] = 17, [16] = 8, [LEN - 1] = 'm' };

	(void)state;
	for (uint32_t i = 1; i < 3; i++) {
		p->server = b->ends[i].face.addr;
		peer_send(p, packet, sizeof(packet));
		bw_settle(b, &p, 1);
		assert_int_equal(bw_path(b, i)->handed_over, 1);
		assert_int_equal(bw_counter(b, i, LW_SRV_UNKNOWN_DATAGRAMS), 0);
		assert_int_equal(b->ends[i].inside.n_got, 0);
		assert_int_equal(b->ends[0].inside.n_got, i);
		assert_int_equal(b->ends[0].inside.got[i - 1][LEN - 1], 'm');
	}
	assert_int_equal(b->ends[0].s.n, 1);
	peer_destroy(p);
	bw_destroy(b);
}

static void datagram__id_unknown_to_its_worker__rejected_once_from_there(void **state)
{
	struct bw *b = bw_create(&(struct bw_plan){ .workers = 3 });

	(void)state;
	for (uint64_t lane = 0; lane < 2; lane++) {
		for (uint64_t i = 0; i < 9; i++) {
			uint64_t owner = i % 3;
			uint64_t before = bw_counter(b, (uint32_t)owner, LW_SRV_REJECTS_SENT);

			assert_rejected(ask(b, (uint32_t)(i / 3), owner << 56 | (i + 1), lane));
			assert_int_equal(bw_counter(b, (uint32_t)owner, LW_SRV_REJECTS_SENT),
			                 before + 1);
		}
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(bw_path(b, i)->handed_over, 4);
		assert_int_equal(bw_counter(b, i, LW_SRV_UNKNOWN_DATAGRAMS), 6);
	}
	bw_destroy(b);
}

/* Else each datagram of it would need a parcel, and there are 64. */
static void run__of_another_worker__is_handed_over_whole(void **state)
{
	const struct {
		uint64_t id;
		bool whole;
	} cases[] = { { UINT64_C(1) << 56 | 5, true },
		      { UINT64_C(2) << 56 | 5, false }, /* of no worker */
		      { 5, false },                     /* of nobody here */
		      { LW_WIRE_ID_EMPTY, false },
		      { LW_WIRE_ID_REJECTED, false } };
	struct bw *b = bw_create(&(struct bw_plan){ .workers = 2 });
	struct lw_path *path = &bw_core(b, 0)->path;
	uint8_t bytes[LW_WIRE_HEADER_LEN];
	const struct lw_packet run = { .buf = bytes, .cap = sizeof(bytes), .len = sizeof(bytes) };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct lw_wire_header h = { .session = cases[i].id,
			                          .major = LW_WIRE_MAJOR,
			                          .minor = 3 };

		lw_wire_header_write(bytes, &h);
		assert_int_equal(path->ops->knows(path->role, &path->ports[0], &run),
		                 cases[i].whole);
		path->handed = true; /* it comes from another worker: no farther */
		assert_false(path->ops->knows(path->role, &path->ports[0], &run));
		path->handed = false;
	}
	bw_destroy(b);
}

static void datagram__id_of_no_worker__is_unknown_where_it_came(void **state)
{
	struct bw *b = bw_create(&(struct bw_plan){ .workers = 3 });

	(void)state;
	for (uint64_t byte = 3; byte < 256; byte++)
		assert_rejected(ask(b, 1, byte << 56 | 77, false));
	assert_null(ask(b, 1, LW_WIRE_ID_REJECTED, false)); /* it would go on for ever */
	assert_int_equal(bw_counter(b, 1, LW_SRV_UNKNOWN_DATAGRAMS), 254);
	assert_int_equal(bw_counter(b, 1, LW_SRV_REJECTS_SENT), 253);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(bw_path(b, i)->handed_over, 0);
	bw_destroy(b);
}

/* A hello is served where it arrives: there the session will live. */
static void datagram__without_an_id__stays_where_it_came(void **state)
{
	struct bw *b = bw_create(&(struct bw_plan){ .workers = 3 });

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		struct net_dgram *d = ask(b, i, LW_WIRE_ID_EMPTY, false);

		free(d);
		assert_int_equal(bw_counter(b, i, LW_SRV_HELLOS), 1);
		assert_rejected(ask(b, i, LW_WIRE_ID_EMPTY, true)); /* no hello is of that kind */
		assert_int_equal(bw_path(b, i)->handed_over, 0);
	}
	bw_destroy(b);
}

/* A worker that ends takes nothing new, and gives the others nothing either. */
static void datagram__worker_is_closing__is_not_handed_over(void **state)
{
	struct bw *b = bw_create(&(struct bw_plan){ .workers = 2 });

	(void)state;
	lw_sessions_close_all(&b->ends[0].s);
	assert_null(ask(b, 0, UINT64_C(1) << 56 | 5, false));
	assert_int_equal(bw_path(b, 0)->handed_over, 0);
	assert_null(ask(b, 1, 5, false)); /* to the one that ends */
	assert_int_equal(bw_path(b, 1)->handed_over, 1);
	assert_int_equal(bw_counter(b, 0, LW_SRV_SESSIONS_LIMITED), 2);
	bw_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(session__each_worker__id_names_it_and_serial_is_unique),
		cmocka_unit_test(close_all__one_worker__the_others_go_on),
		cmocka_unit_test(login__token__is_of_its_worker_only),
		cmocka_unit_test(login__token_behind_the_last_job__is_ignored),
		cmocka_unit_test(limit__sessions__counts_those_of_all_workers),
		cmocka_unit_test(limit__handshakes__each_worker_has_its_part),
		cmocka_unit_test(inside__address_of_another_slice__is_handed_over),
		cmocka_unit_test(inside__address_of_nobody__goes_nowhere),
		cmocka_unit_test(inside__owner_changes_on_the_way__ends_there),
		cmocka_unit_test(inside__socket_full_amid_what_was_handed_over__the_rest_follows),
		cmocka_unit_test(datagram__at_the_wrong_worker__is_handed_over),
		cmocka_unit_test(run__of_another_worker__is_handed_over_whole),
		cmocka_unit_test(datagram__id_unknown_to_its_worker__rejected_once_from_there),
		cmocka_unit_test(datagram__id_of_no_worker__is_unknown_where_it_came),
		cmocka_unit_test(datagram__without_an_id__stays_where_it_came),
		cmocka_unit_test(datagram__worker_is_closing__is_not_handed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

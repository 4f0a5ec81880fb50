/* SPDX-License-Identifier: MIT */
/* outside-udp between network namespaces, where paths have an MTU and devices refuse. */
#include <errno.h>
#include <poll.h>

#include "test_outside_udp_bed.h"
#include "test_outside_udp_net.h"
#include "unit/test.h"

#define BOTH      ((uint64_t)LW_CAP_GSO | LW_CAP_GRO)
#define NARROW    1400
#define FULL_SIZE 1435 /* an inside packet of 1350 bytes and what a tunnel puts around it */

static void set_far_mtu(int mtu)
{
	net_go(NET_MIDDLE);
	net_set_mtu("mright", mtu);
	net_go(NET_RIGHT);
	net_set_mtu("right0", mtu);
	net_go(NET_LEFT);
}

/* a client on the left, whose server is a plain socket on the right */
static struct lw_endpoint start_across(struct bed *bed, const char *right, uint64_t wanted)
{
	struct lw_addr server;

	net_go(NET_RIGHT);
	bed_start_client_runs(bed, right, wanted);
	server = bed_name(bed->peer);
	net_go(NET_LEFT);
	return bed_connect(bed, &server);
}

static void send_one(struct bed *bed, struct lw_endpoint *ep, uint8_t number, uint32_t len)
{
	static uint8_t bytes[65536];
	uint32_t done;

	bytes[0] = number;
	lw_batch_reset(bed->b);
	lw_fake_batch_add(bed->b, bytes, len)->endpoint = ep;
	assert_int_equal(bed_send_batch(bed, &done), 0);
}

/* sends it until it comes; answers how often it was lost */
static unsigned send_until_heard(struct bed *bed, struct lw_endpoint *ep)
{
	struct pollfd p = { .fd = bed->peer, .events = POLLIN };
	uint8_t got[FULL_SIZE + 1];
	unsigned lost = 0;

	send_one(bed, ep, 0, FULL_SIZE);
	while (poll(&p, 1, 50) == 0) {
		assert_true(++lost < 100);
		send_one(bed, ep, 0, FULL_SIZE);
	}
	while (recv(bed->peer, got, sizeof(got), MSG_DONTWAIT) >= 0)
		;
	return lost;
}

/* Datagrams that fit our own link, but not the one behind the router. */
static unsigned across_narrow_link(const char *right)
{
	struct bed bed;
	struct lw_endpoint ep;
	uint8_t got[FULL_SIZE + 1];
	unsigned lost;

	set_far_mtu(NARROW);
	ep = start_across(&bed, right, 0);
	lost = send_until_heard(&bed, &ep);
	for (uint8_t i = 1; i < 10; i++) {
		send_one(&bed, &ep, i, FULL_SIZE);
		do {
			assert_int_equal(bed_receive(bed.peer, got, sizeof(got), NULL), FULL_SIZE);
		} while (got[0] == 0);
		assert_int_equal(got[0], i);
	}
	bed_stop(&bed);
	set_far_mtu(1500);
	return lost;
}

static void narrow_path__v4__the_router_cuts(void **state)
{
	(void)state;
	if (net_skips(false))
		skip();
	assert_int_equal(across_narrow_link(NET_RIGHT4), 0);
}

/* Routers of IPv6 never cut, so the kernel must believe them and cut what comes next. */
static void narrow_path__v6__we_cut_once_the_router_said_so(void **state)
{
	(void)state;
	if (net_skips(true))
		skip();
	assert_true(across_narrow_link(NET_RIGHT6) > 0);
}

/* both ends ours: a client on the left that sends runs, a listener on the right that takes them */
struct pair {
	struct bed client;
	struct bed server;
	struct lw_endpoint ep;
	uint64_t at; /* of the next byte */
};

static void pair_start(struct pair *pr, const char *listen, const char *right)
{
	struct lw_addr to = bed_addr(right);

	pr->at = 0;
	net_go(NET_RIGHT);
	bed_start_runs(&pr->server, listen, BOTH);
	to.port = pr->server.listen[0].port;
	bed_start_client_runs(&pr->client, to.family == 4 ? "127.0.0.1" : "::1", BOTH);
	net_go(NET_LEFT);
	pr->ep = bed_connect(&pr->client, &to);
}

static void pair_stop(struct pair *pr)
{
	bed_stop(&pr->client);
	bed_stop(&pr->server);
}

/* sends a run, answers what send() says */
static int pair_send(struct pair *pr, uint32_t len, uint16_t stride)
{
	uint32_t done;

	lw_batch_reset(pr->client.b);
	bed_add_run(&pr->client, &pr->ep, pr->at, len, stride);
	return bed_send_batch(&pr->client, &done);
}

/* The datagrams of what pair_send() sent must be all there, in order; answers in how many packets.
 */
static uint32_t pair_expect(struct pair *pr, uint32_t len, uint16_t stride)
{
	static uint8_t want[65536];
	struct bed *s = &pr->server;
	uint32_t seen = 0;
	uint32_t packets = 0;

	bed_bytes(want, pr->at, len);
	while (seen < len) {
		lw_batch_reset(s->b);
		bed_collect_any(s, 0);
		LW_BATCH_FOREACH (p, s->b) {
			bool last = seen + p->len == len;

			assert_true(p->len <= len - seen);
			/* cut exactly: at the stride, and only the very last may be shorter */
			if (p->gso_size > 0)
				assert_int_equal(p->gso_size, stride);
			assert_true(p->gso_size > 0 || p->len <= stride);
			assert_true(last || p->len % stride == 0);
			assert_memory_equal(lw_packet_data(p), want + seen, p->len);
			seen += p->len;
			packets++;
		}
	}
	pr->at += len;
	return packets;
}

/* Through a router and over two links each run arrives in one piece, as long as it is large. */
static void runs_across(const char *listen, const char *right)
{
	static const struct {
		uint32_t len;
		uint16_t stride;
	} rows[] = { { 45 * 1448, 1448 }, { 44 * 1448 + 1, 1448 }, { 63 * 1000, 1000 },
		     { 63, 1 },           { 1453, 1452 },          { 45 * 1452 - 1, 1452 },
		     { 1452, 1452 },      { 63 * 37, 37 } };
	struct pair pr;

	pair_start(&pr, listen, right);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pair_send(&pr, rows[i].len, rows[i].stride), 0);
		assert_int_equal(pair_expect(&pr, rows[i].len, rows[i].stride), 1);
	}
	pair_stop(&pr);
}

static void runs__v4_through_a_router__arrive_whole(void **state)
{
	(void)state;
	if (net_skips(false))
		skip();
	runs_across(NET_RIGHT4, NET_RIGHT4);
	runs_across("0.0.0.0", NET_RIGHT4);
}

static void runs__v6_through_a_router__arrive_whole(void **state)
{
	(void)state;
	if (net_skips(true))
		skip();
	runs_across(NET_RIGHT6, NET_RIGHT6);
	runs_across("::", NET_RIGHT6);
}

static void runs__every_stride_over_veth__cut_exactly(void **state)
{
	uint64_t seed = 1815;
	struct pair pr;

	(void)state;
	if (net_skips(false))
		skip();
	pair_start(&pr, "0.0.0.0", NET_RIGHT4);
	for (uint16_t stride = 1; stride <= 1472; stride++) {
		uint32_t n = 1 + (uint32_t)(test_random(&seed) % 63);
		uint32_t len = (n - 1) * stride + 1 + (uint32_t)(test_random(&seed) % stride);

		len = len < UDP_RUN_MAX ? len : UDP_RUN_MAX;
		assert_int_equal(pair_send(&pr, len, stride), 0);
		(void)pair_expect(&pr, len, stride);
	}
	pair_stop(&pr);
}

/* Datagrams too large for the device: the run is refused whole, with nothing of it sent; one by one
 * they go in fragments; and smaller ones go in runs as before. */
static void too_large_for_the_device(const char *right, uint16_t fits)
{
	struct pair pr;
	uint32_t len = 10u * (fits + 1u);
	int r;

	pair_start(&pr, right, right);
	r = pair_send(&pr, len, fits + 1);
	/* EINVAL before Linux 6.14 */
	assert_true(r == -EMSGSIZE || r == -EOPNOTSUPP);
	assert_int_equal(bed_counter(&pr.client, "send_runs_refused"), 1);
	lw_batch_reset(pr.client.b);
	for (uint32_t i = 0; i < 10; i++)
		bed_add_run(&pr.client, &pr.ep, pr.at + (size_t)i * (fits + 1u), fits + 1u, 0);
	assert_int_equal(bed_send_batch(&pr.client, &(uint32_t){ 0 }), 0);
	assert_int_equal(pair_expect(&pr, len, fits + 1), 10);
	assert_int_equal(pair_send(&pr, 10u * fits, fits), 0);
	assert_int_equal(pair_expect(&pr, 10u * fits, fits), 1);
	pair_stop(&pr);
}

static void runs__larger_than_the_mtu__refused_and_pass_one_by_one(void **state)
{
	(void)state;
	if (net_skips(true))
		skip();
	too_large_for_the_device(NET_RIGHT4, 1472);
	too_large_for_the_device(NET_RIGHT6, 1452);
	net_set_mtu("left0", 1300);
	too_large_for_the_device(NET_RIGHT4, 1272);
	too_large_for_the_device(NET_RIGHT6, 1252);
	net_set_mtu("left0", 1500);
}

/* the router cuts a run, and its datagrams */
static void narrow_path__v4__runs_pass(void **state)
{
	struct pair pr;

	(void)state;
	if (net_skips(false))
		skip();
	set_far_mtu(NARROW);
	pair_start(&pr, NET_RIGHT4, NET_RIGHT4);
	assert_int_equal(pair_send(&pr, 10 * FULL_SIZE, FULL_SIZE), 0);
	assert_int_equal(pair_expect(&pr, 10 * FULL_SIZE, FULL_SIZE), 10);
	pair_stop(&pr);
	set_far_mtu(1500);
}

/* Runs are lost until the router was heard, and refused from then on, so that the core cuts them; a
 * run that fits the path still goes. */
static void narrow_path__v6__runs_are_refused_once_the_router_said_so(void **state)
{
	struct pair pr;
	int r = 0;

	(void)state;
	if (net_skips(true))
		skip();
	set_far_mtu(NARROW);
	pair_start(&pr, NET_RIGHT6, NET_RIGHT6);
	for (int i = 0; i < 100 && r == 0; i++) {
		r = pair_send(&pr, 10 * FULL_SIZE, FULL_SIZE);
		(void)poll(NULL, 0, 10);
	}
	assert_true(r == -EMSGSIZE || r == -EOPNOTSUPP);
	assert_int_equal(pair_send(&pr, 10 * 1352, 1352), 0);
	assert_int_equal(pair_expect(&pr, 10 * 1352, 1352), 1);
	pair_stop(&pr);
	set_far_mtu(1500);
}

static int enter(void **state)
{
	(void)state;
	(void)net_enter();
	return 0;
}

static int leave(void **state)
{
	(void)state;
	net_leave();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs__v4_through_a_router__arrive_whole),
		cmocka_unit_test(runs__v6_through_a_router__arrive_whole),
		cmocka_unit_test(runs__every_stride_over_veth__cut_exactly),
		cmocka_unit_test(runs__larger_than_the_mtu__refused_and_pass_one_by_one),
		cmocka_unit_test(narrow_path__v4__runs_pass),
		/* last: the kernel remembers what the router said */
		cmocka_unit_test(narrow_path__v4__the_router_cuts),
		cmocka_unit_test(narrow_path__v6__we_cut_once_the_router_said_so),
		cmocka_unit_test(narrow_path__v6__runs_are_refused_once_the_router_said_so),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}

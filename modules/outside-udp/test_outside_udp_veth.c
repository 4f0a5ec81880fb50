/* SPDX-License-Identifier: MIT */
/* outside-udp between network namespaces, where paths have an MTU and devices refuse. */
#include <errno.h>
#include <poll.h>

#include "test_outside_udp_bed.h"
#include "test_outside_udp_net.h"
#include "unit/test.h"

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
static void start_across(struct bed *bed, const char *right, struct lw_endpoint *ret_ep)
{
	struct lw_addr server;

	net_go(NET_RIGHT);
	bed_start_client(bed, right);
	server = bed_name(bed->peer);
	net_go(NET_LEFT);
	assert_int_equal(
		laneway_module.ops.udp->connect(bed->inst, bed_worker(bed, 0), &server, ret_ep), 0);
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
	start_across(&bed, right, &ep);
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
		cmocka_unit_test(narrow_path__v4__the_router_cuts),
		cmocka_unit_test(narrow_path__v6__we_cut_once_the_router_said_so),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}

/* SPDX-License-Identifier: MIT */
/* The routes that a client makes, in each mode, and what it refuses. */
#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/rtnl.h"
#include "unit/netconf_bed.h"
#include "unit/test.h"

static void apply__default__leads_all_but_the_server_into_the_tunnel(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);

	(void)state;
	f->plan.dns = nb_addr("10.125.0.1");
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_true(nb_has(FIRST_HALF));
	assert_true(nb_has(SECOND_HALF));
	assert_true(nb_has(SERVER));
	assert_true(nb_has("10.125.0.1/255.255.255.255 0.0.0.0 lw0\n"));
	assert_false(nb_has("10.0.0.0/"));
	/* again, as after a reconnect: the same table */
	(void)nb_table(f->after);
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_true(nb_has(SERVER));
	assert_string_equal(nb_table((char[NB_TABLE_MAX]){ 0 }), f->after);
	nb_end(f);
}

static void apply__lan__keeps_private_networks_outside(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_LAN);

	(void)state;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_true(nb_has(FIRST_HALF));
	assert_true(nb_has(SECOND_HALF));
	assert_true(nb_has(SERVER));
	assert_true(nb_has("192.168.0.0/255.255.0.0 192.0.2.1 phys0\n"));
	assert_true(nb_has("172.16.0.0/255.240.0.0 192.0.2.1 phys0\n"));
	assert_true(nb_has("10.0.0.0/255.0.0.0 192.0.2.1 phys0\n"));
	assert_true(nb_has("169.254.0.0/255.255.0.0 192.0.2.1 phys0\n"));
	assert_true(nb_has("224.0.0.0/255.255.255.0 192.0.2.1 phys0\n"));
	nb_end(f);
}

static void apply__none__changes_nothing(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_NONE);

	(void)state;
	f->plan.tun = "absent";
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	nb_assert_as_before(f);
	nb_end(f);
}

static void apply__list__leads_only_that_into_the_tunnel(void **state)
{
	const struct lw_addr list[] = { nb_prefix("10.0.0.0", 8), nb_prefix("203.0.113.4", 32) };
	const struct lw_addr all[] = { { .family = 4 } };
	struct nb_fixture *f = nb_begin(LW_NETCONF_LIST);

	(void)state;
	f->plan.prefixes = list;
	f->plan.n_prefixes = 2;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_true(nb_has("10.0.0.0/255.0.0.0 0.0.0.0 lw0\n"));
	assert_true(nb_has("203.0.113.4/255.255.255.255 0.0.0.0 lw0\n"));
	assert_true(nb_has(SERVER));
	assert_false(nb_has(FIRST_HALF));
	f->plan.prefixes = all;
	f->plan.n_prefixes = 1;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_false(nb_has("10.0.0.0/255.0.0.0 0.0.0.0 lw0\n"));
	assert_true(nb_has(FIRST_HALF));
	assert_true(nb_has(SECOND_HALF));
	nb_end(f);
}

static void apply__bad_list__is_refused_before_anything_changes(void **state)
{
	const struct lw_addr v6 = nb_prefix("2001:db8::", 32);
	const struct lw_addr bits = nb_prefix("10.1.0.0", 8);
	struct nb_fixture *f = nb_begin(LW_NETCONF_LIST);

	(void)state;
	f->plan.n_prefixes = 1;
	f->plan.prefixes = &v6;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -EINVAL);
	assert_string_equal(f->err.text, "the tunnel carries IPv4 only, so 2001:db8::/32 cannot be "
	                                 "routed into it");
	f->plan.prefixes = &bits;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -EINVAL);
	assert_string_equal(f->err.text, "10.1.0.0/8 has bits behind its prefix length");
	nb_assert_as_before(f);
	nb_end(f);
}

static void apply__several_servers__each_keeps_its_way(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);

	(void)state;
	f->server[0] = nb_addr("127.0.0.1:1"); /* this machine's own */
	f->server[1] = nb_addr("192.0.2.9:1"); /* directly attached */
	f->server[2] = nb_addr("[2001:db8:1::7]:1");
	f->plan.n_servers = 3;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_false(nb_has("127.0.0.1/"));
	assert_true(nb_has("192.0.2.9/255.255.255.255 0.0.0.0 phys0\n"));
	/* IPv6 has no way here: passed over, since another server has one */
	assert_false(nb_has("20010db8000100000000000000000007/"));
	nb_end(f);
}

static void apply__no_server_reached__is_refused(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);

	(void)state;
	f->server[0] = nb_addr("[2001:db8:1::7]:1");
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -ENETUNREACH);
	assert_string_equal(f->err.text, "there is no way to any server; is the network up?");
	f->server[0] = nb_addr("127.0.0.1:1");
	f->plan.mode = LW_NETCONF_LAN;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -ENETUNREACH);
	nb_assert_as_before(f);
	nb_end(f);
}

static void apply__no_tun_device__is_refused(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);

	(void)state;
	f->plan.tun = "absent";
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -ENODEV);
	assert_string_equal(f->err.text, "there is no device 'absent'");
	nb_assert_as_before(f);
	nb_end(f);
}

static void apply__server_behind_the_tunnel__is_refused(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);

	(void)state;
	assert_int_equal(nb_user_route(SIOCADDRT, "198.51.100.0", "255.255.255.0", NULL, "lw0"), 0);
	(void)nb_table(f->before);
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -ELOOP);
	nb_end(f);
	assert_int_equal(nb_user_route(SIOCDELRT, "198.51.100.0", "255.255.255.0", NULL, "lw0"), 0);
}

static void apply__other_vpn__is_refused_and_undone(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);

	(void)state;
	assert_int_equal(nb_user_route(SIOCADDRT, "128.0.0.0", "128.0.0.0", "192.0.2.1", NULL), 0);
	(void)nb_table(f->before);
	f->server[0] = nb_addr("192.0.2.9:1");
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -EEXIST);
	assert_string_equal(f->err.text,
	                    "there is another route for 128.0.0.0/1 already; is another VPN up?");
	nb_assert_as_before(f);
	nb_end(f);
	assert_int_equal(nb_user_route(SIOCDELRT, "128.0.0.0", "128.0.0.0", "192.0.2.1", NULL), 0);
}

static void rtnl__ipv6_route__comes_and_goes(void **state)
{
	struct lw_route route = { .dst = nb_prefix("2001:db8:2::", 64) };
	struct lw_route host = { .dst = nb_prefix("2001:db8:3::7", 128),
		                 .gateway = nb_addr("2001:db8:2::1") };
	struct lw_route way;
	struct lw_addr to = nb_addr("2001:db8:3::7");
	struct lw_rtnl *r;

	(void)state;
	nb_need_namespace();
	if (access("/proc/self/net/ipv6_route", F_OK) != 0)
		skip(); /* a kernel without IPv6 */
	route.ifindex = host.ifindex = if_nametoindex("phys0");
	assert_int_equal(lw_rtnl_open(&r), 0);
	assert_int_equal(lw_rtnl_lookup(r, &to, &way), -ENETUNREACH);
	assert_int_equal(lw_rtnl_add(r, &route), 0);
	assert_int_equal(lw_rtnl_add(r, &route), -EEXIST);
	assert_int_equal(lw_rtnl_add(r, &host), 0);
	assert_int_equal(lw_rtnl_has(r, &host), 1);
	assert_int_equal(lw_rtnl_lookup(r, &to, &way), 0);
	assert_int_equal(way.ifindex, host.ifindex);
	assert_memory_equal(&way.gateway, &host.gateway, sizeof(way.gateway));
	assert_int_equal(lw_rtnl_remove(r, &host), 0);
	assert_int_equal(lw_rtnl_has(r, &host), 0);
	assert_int_equal(lw_rtnl_remove(r, &host), -ESRCH);
	assert_int_equal(lw_rtnl_remove(r, &route), 0);
	lw_rtnl_close(r);
	lw_rtnl_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(apply__default__leads_all_but_the_server_into_the_tunnel),
		cmocka_unit_test(apply__lan__keeps_private_networks_outside),
		cmocka_unit_test(apply__none__changes_nothing),
		cmocka_unit_test(apply__list__leads_only_that_into_the_tunnel),
		cmocka_unit_test(apply__bad_list__is_refused_before_anything_changes),
		cmocka_unit_test(apply__several_servers__each_keeps_its_way),
		cmocka_unit_test(apply__no_server_reached__is_refused),
		cmocka_unit_test(apply__no_tun_device__is_refused),
		cmocka_unit_test(apply__server_behind_the_tunnel__is_refused),
		cmocka_unit_test(apply__other_vpn__is_refused_and_undone),
		cmocka_unit_test(rtnl__ipv6_route__comes_and_goes),
	};

	return cmocka_run_group_tests(tests, nb_set_up, nb_tear_down);
}

/* SPDX-License-Identifier: MIT */
/* outside-udp: what prepare() opens, and who else may have the port. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <unistd.h>

#include "test_outside_udp_bed.h"
#include "unit/test.h"

static void need_ipv6(void)
{
	if (!bed_has_ipv6()) {
		print_message("no IPv6 on this machine\n");
		skip();
	}
}

/* a program has the port already, in the given way; prepare() must say so and name the port */
static void taken(const char *by, bool reuseport, uint32_t workers)
{
	uint16_t port = bed_free_port();
	int one = 1;
	char text[32];
	struct bed bed;
	unsigned fds;
	int other;

	(void)snprintf(text, sizeof(text), "127.0.0.1:%u ", port);
	bed_create(&bed, "127.0.0.1", NULL, port);
	other = bed_socket(by, port);
	if (reuseport)
		assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	fds = bed_fds();
	assert_int_equal(bed_prepare(&bed, workers, LW_ROLE_SERVER), -EADDRINUSE);
	assert_non_null(strstr(bed.err.text, text));
	assert_string_equal(bed.err.option, "listen");
	assert_int_equal(bed_fds(), fds);
	(void)close(other);
	bed_stop(&bed);
}

static void prepare__port_taken_by_a_program__is_refused(void **state)
{
	(void)state;
	for (uint32_t workers = 1; workers <= 2; workers++) {
		taken("127.0.0.1", false, workers);
		taken("127.0.0.1", true, workers);
		taken("0.0.0.0", false, workers);
		taken("0.0.0.0", true, workers);
	}
}

static void prepare__port_taken_by_our_like__is_refused(void **state)
{
	struct bed first;
	struct bed second;

	(void)state;
	for (uint32_t ours = 1; ours <= 3; ours++) {
		for (uint32_t theirs = 1; theirs <= 3; theirs++) {
			bed_start(&first, "127.0.0.1", ours);
			bed_create(&second, "127.0.0.1", NULL, first.listen[0].port);
			assert_int_equal(bed_prepare(&second, theirs, LW_ROLE_SERVER), -EADDRINUSE);
			assert_non_null(strstr(second.err.text, "in use"));
			bed_stop(&second);
			if (ours == 1) {
				bed_send(first.peer, &first.listen[0], "x", 1);
				bed_collect(&first, 0, 0, 1);
			}
			bed_stop(&first);
		}
	}
}

static void prepare__several_workers__bind_order_is_worker_order(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 3);
	for (uint32_t want = 0; want < 3; want++) {
		struct sock_filter insn = { .code = BPF_RET | BPF_K, .k = want };
		struct sock_fprog prog = { .len = 1, .filter = &insn };
		const struct udp_worker *uw = bed_worker(&bed, 0)->state;

		assert_int_equal(setsockopt(uw->socks[0].fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF,
		                            &prog, sizeof(prog)),
		                 0);
		bed_send(bed.peer, &bed.listen[0], "x", 1);
		bed_collect(&bed, want, 0, 1);
		lw_batch_reset(bed.b);
	}
	bed_stop(&bed);
}

static void prepare__both_families_on_one_port__both_serve(void **state)
{
	struct lw_addr to;
	struct bed bed;
	int peer;
	int r = -EADDRINUSE;

	(void)state;
	need_ipv6();
	for (int i = 0; i < 20 && r == -EADDRINUSE; i++) {
		if (i > 0)
			bed_stop(&bed);
		bed_create(&bed, "0.0.0.0", "::", bed_free_port());
		r = bed_prepare(&bed, 1, LW_ROLE_SERVER);
	}
	assert_int_equal(r, 0);
	lw_fake_worker_init(&bed.workers[0], &bed.host, &laneway_module, 0);
	assert_int_equal(laneway_module.life->worker_start(bed.inst, bed_worker(&bed, 0),
	                                                   &bed.workers[0].w.state, &bed.err),
	                 0);
	bed.n_workers = 1;
	to = bed_addr("::1");
	to.port = bed.listen[0].port;
	peer = bed_socket("::1", 0);
	bed_send(peer, &to, "x", 1);
	bed_collect(&bed, 0, 1, 1);
	assert_int_equal(bed.b->ep[0].local.family, 6);
	(void)close(peer);
	peer = bed_socket("127.0.0.1", 0);
	to = bed_addr("127.0.0.1");
	to.port = bed.listen[0].port;
	bed_send(peer, &to, "x", 1);
	bed_collect(&bed, 0, 0, 2);
	assert_int_equal(bed.b->ep[1].remote.family, 4);
	(void)close(peer);
	bed_stop(&bed);
}

static void assert_option(int fd, int level, int name, int want)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	assert_int_equal(value, want);
}

static void prepare__sockets__have_our_options(void **state)
{
	struct bed bed;
	const struct udp_worker *uw;

	(void)state;
	bed_start(&bed, "0.0.0.0", 1);
	uw = bed_worker(&bed, 0)->state;
	assert_option(uw->socks[0].fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
	assert_option(uw->socks[0].fd, SOL_SOCKET, SO_REUSEPORT, 0);
	assert_true((fcntl(uw->socks[0].fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_true((fcntl(uw->socks[0].fd, F_GETFL) & O_NONBLOCK) != 0);
	bed_stop(&bed);
	need_ipv6();
	bed_start(&bed, "::", 1);
	uw = bed_worker(&bed, 0)->state;
	assert_option(uw->socks[0].fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	assert_option(uw->socks[0].fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	bed_stop(&bed);
}

static void prepare__no_such_address__says_so(void **state)
{
	struct bed bed;

	(void)state;
	bed_create(&bed, "192.0.2.77", NULL, 4000);
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), -EADDRNOTAVAIL);
	assert_non_null(strstr(bed.err.text, "192.0.2.77:4000"));
	bed_stop(&bed);
}

static void prepare__server_without_listen__is_refused(void **state)
{
	struct bed bed;

	(void)state;
	bed_create(&bed, NULL, NULL, 0);
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), -EINVAL);
	assert_string_equal(bed.err.option, "listen");
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_CLIENT), 0);
	bed_stop(&bed);
}

static void check__addresses_that_exclude_each_other__are_refused(void **state)
{
	static const struct {
		const char *a;
		const char *b;
		int want;
	} rows[] = {
		{ "127.0.0.1:7", "127.0.0.2:7", 0 },       { "127.0.0.1:7", "127.0.0.1:8", 0 },
		{ "127.0.0.1:7", "127.0.0.1:7", -EINVAL }, { "0.0.0.0:7", "127.0.0.1:7", -EINVAL },
		{ "127.0.0.1:7", "0.0.0.0:7", -EINVAL },   { "0.0.0.0:7", "[::]:7", 0 },
		{ "[::]:7", "[::1]:7", -EINVAL },          { "127.0.0.1:7", "127.0.0.1", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lw_addr list[2] = { bed_addr(rows[i].a), bed_addr(rows[i].b) };
		struct udp_options o = { .listen = { .items = list, .n = 2 }, .buffer = 65536 };
		struct lw_err err = { .code = 0 };

		assert_int_equal(laneway_module.life->check(&o, &err), rows[i].want);
		assert_int_equal(err.text[0] != '\0', rows[i].want != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prepare__port_taken_by_a_program__is_refused),
		cmocka_unit_test(prepare__port_taken_by_our_like__is_refused),
		cmocka_unit_test(prepare__several_workers__bind_order_is_worker_order),
		cmocka_unit_test(prepare__both_families_on_one_port__both_serve),
		cmocka_unit_test(prepare__sockets__have_our_options),
		cmocka_unit_test(prepare__no_such_address__says_so),
		cmocka_unit_test(prepare__server_without_listen__is_refused),
		cmocka_unit_test(check__addresses_that_exclude_each_other__are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

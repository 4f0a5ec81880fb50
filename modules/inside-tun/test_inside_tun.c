/* SPDX-License-Identifier: MIT */
/* inside-tun on a device of its own: options, set-up, packets both ways, what goes wrong later */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/test.h"

#include "module/value.h"
#include "test_inside_tun_bed.h"

static const struct lw_option *option(const char *name)
{
	const struct lw_option *o = laneway_module.options;

	while (o->name != NULL && strcmp(o->name, name) != 0)
		o++;
	return o;
}

static void options__defaults_and_values__reach_their_members(void **state)
{
	struct lw_tun_options o = { .name = NULL };
	struct lw_err err;

	(void)state;
	assert_int_equal(laneway_module.options_size, sizeof(o));
	assert_int_equal(lw_values_init(laneway_module.options, &o, &err), 0);
	assert_string_equal(o.name, "lw0");
	assert_string_equal(o.device, "/dev/net/tun");
	assert_int_equal(o.queue_length, 0);
	assert_int_equal(o.offload, BED_AUTO);
	assert_int_equal(o.tso, BED_AUTO);
	assert_int_equal(o.uso, BED_AUTO);
	assert_int_equal(o.checksum, BED_AUTO);
	assert_int_equal(o.coalesce, BED_AUTO);
	assert_int_equal(o.mtu, 0);
	assert_int_equal(o.address.family, 0);
	assert_int_equal(o.peer.family, 0);
	assert_int_equal(lw_value_parse(option("address"), "10.1.2.3/24", &o, &err), 0);
	assert_int_equal(o.address.prefix, 24);
	assert_int_equal(o.address.ip[3], 3);
	assert_int_equal(lw_value_parse(option("peer"), "10.1.2.4", &o, &err), 0);
	assert_int_equal(o.peer.ip[3], 4);
	assert_int_equal(lw_value_parse(option("mtu"), "1280", &o, &err), 0);
	assert_int_equal(o.mtu, 1280);
	assert_int_equal(lw_value_parse(option("mtu"), "575", &o, &err), -ERANGE);
	assert_int_equal(lw_value_parse(option("queue_length"), "70000", &o, &err), -ERANGE);
	assert_int_equal(lw_value_parse(option("offload"), "off", &o, &err), 0);
	assert_int_equal(o.offload, BED_OFF);
	assert_int_equal(lw_value_parse(option("tso"), "on", &o, &err), 0);
	assert_int_equal(o.tso, BED_ON);
	assert_int_equal(lw_value_parse(option("uso"), "off", &o, &err), 0);
	assert_int_equal(o.uso, BED_OFF);
	assert_int_equal(lw_value_parse(option("checksum"), "on", &o, &err), 0);
	assert_int_equal(o.checksum, BED_ON);
	assert_int_equal(lw_value_parse(option("coalesce"), "off", &o, &err), 0);
	assert_int_equal(o.coalesce, BED_OFF);
	lw_values_fini(laneway_module.options, &o);
}

static int check(const struct bed *b, struct lw_err *err)
{
	return laneway_module.life->check(&b->opts, err);
}

static void check__names__only_what_kernel_and_tools_take(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", "lw%d", "a/b", "a b", "a:b", "a\nb", "sixteen-bytes-16", "\xc3\xa4"
	};
	static const char *const good[] = { "a", "lw0", "fifteen-bytes15", "x.y_z-1" };
	struct lw_err err;
	struct bed b;

	(void)state;
	bed_init(&b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		b.opts.name = bad[i];
		assert_int_equal(check(&b, &err), -EINVAL);
		assert_string_equal(err.option, "name");
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		b.opts.name = good[i];
		assert_int_equal(check(&b, &err), 0);
	}
}

static void check__addresses__must_be_ipv4_with_a_fitting_prefix(void **state)
{
	struct lw_err err;
	struct bed b;

	(void)state;
	bed_init(&b);
	b.opts.address = (struct lw_addr){ .family = 6, .prefix = 64 };
	assert_int_equal(check(&b, &err), -EINVAL);
	assert_string_equal(err.option, "address");
	b.opts.address = (struct lw_addr){ .family = 4, .ip = { 10, 0, 0, 1 } };
	assert_int_equal(check(&b, &err), -EINVAL);
	assert_string_equal(err.option, "address");
	b.opts.address.prefix = 24;
	assert_int_equal(check(&b, &err), 0);
	b.opts.peer = (struct lw_addr){ .family = 4, .ip = { 10, 0, 0, 2 } };
	assert_int_equal(check(&b, &err), -EINVAL);
	assert_string_equal(err.option, "peer");
	b.opts.address.prefix = 32;
	assert_int_equal(check(&b, &err), 0);
	b.opts.peer.family = 6;
	assert_int_equal(check(&b, &err), -EINVAL);
	assert_string_equal(err.option, "peer");
}

static void prepare__mtu_above_the_tunnels__is_refused(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	b.opts.mtu = BED_MTU + 1;
	assert_int_equal(bed_prepare(&b), -EINVAL);
	assert_string_equal(b.err.option, "mtu");
	assert_string_equal(b.err.text, "1351 is more than the tunnel takes, which is 1350");
}

static void prepare__no_clone_device__says_what_to_do(void **state)
{
	unsigned fds = bed_fds();
	struct bed b;

	(void)state;
	bed_init(&b);
	b.opts.device = "/nonexistent/tun";
	assert_int_equal(bed_prepare(&b), -ENODEV);
	assert_string_equal(b.err.text, "/nonexistent/tun is missing: load the kernel module with "
	                                "\"modprobe tun\", or give this container the device");
	b.opts.device = "/dev/null";
	assert_int_equal(bed_prepare(&b), -ENODEV);
	assert_string_equal(b.err.text, "/dev/null is not the kernel's TUN device");
	assert_int_equal(bed_fds(), fds);
}

/* in a child, since there is no way back from another user */
static void prepare__no_privileges__is_not_permitted(void **state)
{
	struct bed b;
	int status;
	pid_t pid;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	pid = fork();
	if (pid == 0) {
		if (setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		_exit(bed_prepare(&b) == -EPERM && b.err.text[0] != 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2) {
		print_message("SKIP: this namespace has no second user\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void prepare__server__sets_the_device_up_and_destroy_removes_it(void **state)
{
	unsigned fds = bed_fds();
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	b.opts.address = (struct lw_addr){ .family = 4, .prefix = 20, .ip = { 10, 9, 0, 3 } };
	b.opts.mtu = 1280;
	b.opts.queue_length = 777;
	bed_start(&b);
	assert_int_equal(bed_mtu("lw0"), 1280);
	assert_int_equal(bed_queue_len("lw0"), 777);
	assert_true(bed_is_up("lw0"));
	assert_int_equal(bed_address("lw0"), 0x0a090003);
	assert_int_equal(bed_netmask("lw0"), 0xfffff000);
	assert_true(b.caps.flags == 0);
	assert_string_equal(b.host.last_log, "device lw0: 10.9.0.3/20, MTU 1280, 1 queue");
	bed_stop(&b);
	assert_false(bed_exists("lw0"));
	assert_int_equal(bed_fds(), fds);
}

static void prepare__no_address__takes_that_of_the_role(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	bed_start(&b);
	assert_int_equal(bed_mtu("lw0"), BED_MTU);
	assert_int_equal(bed_address("lw0"), BED_SERVER);
	assert_int_equal(bed_netmask("lw0"), 0xffff0000);
	bed_stop(&b);
	b.env.role = LW_ROLE_CLIENT;
	bed_start(&b);
	assert_int_equal(bed_address("lw0"), 0x64400006);
	assert_int_equal(bed_netmask("lw0"), 0xffffffff);
	assert_int_equal(bed_far_end("lw0"), 0x64400005);
	bed_stop(&b);
}

static void prepare__no_queue_length__takes_that_of_the_role(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	b.opts.queue_length = 0;
	bed_start(&b);
	assert_int_equal(bed_queue_len("lw0"), 10000);
	bed_stop(&b);
	b.env.role = LW_ROLE_CLIENT;
	bed_start(&b);
	assert_int_equal(bed_queue_len("lw0"), 4000);
	bed_stop(&b);
	if (bed_lacks_offload())
		return;
	b.env.caps_wanted = LW_TUN_CAPS_SEND; /* read one by one all the same */
	bed_start(&b);
	assert_int_equal(bed_queue_len("lw0"), 4000);
	bed_stop(&b);
	b.env.caps_wanted = BED_CAPS;
	bed_start(&b);
	assert_int_equal(bed_queue_len("lw0"), 2000);
	bed_stop(&b);
}

static void worker_start__host_cannot_watch__fails_with_a_sentence(void **state)
{
	struct bed b;
	void *ws = NULL;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	assert_int_equal(bed_prepare(&b), 0);
	lw_fake_worker_init(&b.workers[0], &b.host, &laneway_module, 0);
	b.host.n_watches = LW_FAKE_WATCHES;
	assert_int_equal(laneway_module.life->worker_start(b.inst, &b.workers[0].w, &ws, &b.err),
	                 -ENOSPC);
	assert_non_null(strstr(b.err.text, "cannot watch device lw0"));
	b.workers[0].w.index = 1;
	assert_int_equal(laneway_module.life->worker_start(b.inst, &b.workers[0].w, &ws, &b.err),
	                 -EINVAL);
	assert_null(ws);
	laneway_module.life->destroy(b.inst);
}

static void recv__packets_sent_to_the_device__come_out_whole(void **state)
{
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	bed_start(&b);
	b.batch->headroom = 64;
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 0);
	fd = bed_udp(&port);
	bed_udp_send(fd, 1);
	bed_udp_send(fd, BED_MTU - 28);
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 2);
	assert_int_equal(b.batch->pkt[0].len, 29);
	assert_int_equal(b.batch->pkt[0].off, 64);
	assert_int_equal(lw_packet_data(&b.batch->pkt[0])[0], 0x45);
	assert_int_equal(b.batch->pkt[1].len, BED_MTU);
	assert_int_equal(bed_counter(&b, "rx_packets"), 2);
	assert_int_equal(bed_counter(&b, "rx_bytes"), 29 + BED_MTU);
	(void)close(fd);
	bed_stop(&b);
}

static void recv__more_than_the_batch_holds__stays_ready_and_loses_none(void **state)
{
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	bed_start(&b);
	fd = bed_udp(&port);
	for (uint32_t i = 0; i < BED_PACKETS + 3; i++)
		bed_udp_send(fd, i);
	assert_int_equal(bed_recv(&b), 0);
	assert_int_equal(b.batch->n, BED_PACKETS);
	assert_int_equal(bed_recv(&b), 0);
	assert_int_equal(b.batch->n, BED_PACKETS);
	lw_batch_reset(b.batch);
	b.batch->arena_cap = BED_MTU + 1 + 64; /* small ones take 64 */
	assert_int_equal(bed_recv(&b), 0);
	assert_int_equal(b.batch->n, 2);
	b.batch->arena_cap = 65536;
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(b.batch->pkt[i].len, 28 + BED_PACKETS + i);
	(void)close(fd);
	bed_stop(&b);
}

static void recv__mtu_raised_behind_our_back__drops_what_was_cut(void **state)
{
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	bed_start(&b);
	bed_set_mtu("lw0", 1500);
	fd = bed_udp(&port);
	bed_udp_send(fd, 1500 - 28);
	bed_udp_send(fd, BED_MTU + 1 - 28);
	bed_udp_send(fd, BED_MTU - 28);
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 1);
	assert_int_equal(b.batch->pkt[0].len, BED_MTU);
	assert_int_equal(bed_counter(&b, "rx_too_long"), 2);
	/* nothing but packets too long: the call must end all the same */
	lw_batch_reset(b.batch);
	for (uint32_t i = 0; i < BED_PACKETS + 1; i++)
		bed_udp_send(fd, 1500 - 28);
	assert_int_equal(bed_recv(&b), 0);
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 0);
	(void)close(fd);
	bed_stop(&b);
}

static void send__batch__reaches_a_socket(void **state)
{
	uint8_t packet[BED_MTU];
	uint8_t got[BED_MTU];
	uint32_t done = 0;
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	bed_start(&b);
	fd = bed_udp(&port);
	(void)lw_fake_batch_add(b.batch, packet, bed_packet(packet, port, 5));
	(void)lw_fake_batch_add(b.batch, packet, bed_packet(packet, port, BED_MTU - 28));
	assert_int_equal(bed_send(&b, &done), 0);
	assert_int_equal(done, 2);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 5);
	assert_int_equal(got[4], 0x5a);
	assert_int_equal(recv(fd, got, sizeof(got), 0), BED_MTU - 28);
	assert_int_equal(bed_counter(&b, "tx_packets"), 2);
	assert_int_equal(bed_counter(&b, "tx_bytes"), 33 + BED_MTU);
	(void)close(fd);
	bed_stop(&b);
}

static void send__bad_packet__stops_there_and_tells_why(void **state)
{
	uint8_t packet[64];
	uint32_t len = bed_packet(packet, 9, 4);
	uint32_t done = 9;
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	bed_start(&b);
	(void)lw_fake_batch_add(b.batch, packet, len);
	lw_packet_data(lw_fake_batch_add(b.batch, packet, len))[0] = 0x05;
	(void)lw_fake_batch_add(b.batch, packet, len);
	assert_int_equal(bed_send(&b, &done), -EINVAL);
	assert_int_equal(done, 1);
	assert_int_equal(bed_counter(&b, "tx_packets"), 1);
	assert_int_equal(bed_counter(&b, "tx_invalid"), 1);
	bed_set_up("lw0", false);
	assert_int_equal(bed_send(&b, &done), -EIO);
	assert_int_equal(done, 0);
	assert_int_equal(bed_counter(&b, "tx_down"), 1);
	bed_stop(&b);
}

static void send__superpacket__is_refused_as_such(void **state)
{
	uint8_t packet[64];
	uint32_t done = 9;
	struct lw_packet *p;
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	bed_start(&b);
	p = lw_fake_batch_add(b.batch, packet, bed_packet(packet, 9, 4));
	p->gso_size = 2;
	p->gso_type = LW_GSO_UDP;
	assert_int_equal(bed_send(&b, &done), -EOPNOTSUPP);
	assert_int_equal(done, 0);
	bed_stop(&b);
}

/* the worker hears of it too: an edge comes, and then recv tells that the tag is dead */
static void recv__device_deleted__wakes_the_worker_and_is_dead(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	uint8_t packet[64];
	uint32_t done = 9;
	struct bed b;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	int r;

	(void)state;
	if (bed_skips()) {
		(void)close(ep);
		skip();
	}
	bed_init(&b);
	bed_start(&b);
	assert_int_equal(b.host.n_watches, 1);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, b.host.watches[0].fd, &ev), 0);
	assert_int_equal(epoll_wait(ep, &ev, 1, 0), 0);
	bed_delete("lw0");
	assert_int_equal(epoll_wait(ep, &ev, 1, 5000), 1);
	r = bed_recv(&b);
	assert_true(r < 0 && r != -EAGAIN);
	assert_int_equal(bed_counter(&b, "rx_errors"), 1);
	(void)lw_fake_batch_add(b.batch, packet, bed_packet(packet, 9, 4));
	r = bed_send(&b, &done);
	assert_true(r < 0 && r != -EAGAIN && r != -ENOBUFS && r != -EOPNOTSUPP && r != -EMSGSIZE);
	assert_int_equal(done, 0);
	assert_int_equal(bed_counter(&b, "tx_errors"), 1);
	(void)close(ep);
	bed_stop(&b);
}

static void prepare__two_workers__each_has_a_queue(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	b.env.workers = 2;
	bed_start(&b);
	assert_int_equal(b.host.n_watches, 2);
	assert_int_not_equal(b.host.watches[0].fd, b.host.watches[1].fd);
	assert_ptr_equal(b.host.watches[1].worker, &b.workers[1].w);
	assert_int_equal(laneway_module.ops.inside->recv(b.inst, &b.workers[1].w, 1, b.batch),
	                 -EAGAIN);
	bed_stop(&b);
	assert_false(bed_exists("lw0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options__defaults_and_values__reach_their_members),
		cmocka_unit_test(check__names__only_what_kernel_and_tools_take),
		cmocka_unit_test(check__addresses__must_be_ipv4_with_a_fitting_prefix),
		cmocka_unit_test(prepare__mtu_above_the_tunnels__is_refused),
		cmocka_unit_test(prepare__no_clone_device__says_what_to_do),
		cmocka_unit_test(prepare__no_privileges__is_not_permitted),
		cmocka_unit_test(prepare__server__sets_the_device_up_and_destroy_removes_it),
		cmocka_unit_test(prepare__no_address__takes_that_of_the_role),
		cmocka_unit_test(prepare__no_queue_length__takes_that_of_the_role),
		cmocka_unit_test(prepare__two_workers__each_has_a_queue),
		cmocka_unit_test(worker_start__host_cannot_watch__fails_with_a_sentence),
		cmocka_unit_test(recv__packets_sent_to_the_device__come_out_whole),
		cmocka_unit_test(recv__more_than_the_batch_holds__stays_ready_and_loses_none),
		cmocka_unit_test(recv__mtu_raised_behind_our_back__drops_what_was_cut),
		cmocka_unit_test(recv__device_deleted__wakes_the_worker_and_is_dead),
		cmocka_unit_test(send__batch__reaches_a_socket),
		cmocka_unit_test(send__bad_packet__stops_there_and_tells_why),
		cmocka_unit_test(send__superpacket__is_refused_as_such),
	};

	(void)bed_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

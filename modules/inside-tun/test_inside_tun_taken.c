/* SPDX-License-Identifier: MIT */
/* inside-tun where the name exists already, and where any call of its set-up fails */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/test.h"

#include "test_inside_tun_bed.h"

/* more calls than any set-up makes */
#define FAULTS_MAX 100

/* calls left until one fails; negative: none fails */
static int calls_left = -1;

static bool fails_now(void)
{
	return calls_left >= 0 && calls_left-- == 0;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
ssize_t __real_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len);
ssize_t __wrap_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len);

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	if (fails_now()) {
		errno = EINVAL;
		return -1;
	}
	return __real_ioctl(fd, request, arg);
}

int __wrap_socket(int domain, int type, int protocol)
{
	if (fails_now()) {
		errno = EMFILE;
		return -1;
	}
	return __real_socket(domain, type, protocol);
}

ssize_t __wrap_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len)
{
	if (fails_now()) {
		errno = ENOBUFS;
		return -1;
	}
	return __real_sendto(fd, buf, len, flags, to, to_len);
}

/*
 * Fail each call of prepare in turn, with and without offload; @undone looks whether all is as
 * before. Not every failure stops the start: what only offload needs is done without.
 */
static void each_call_fails(struct bed *b, void (*undone)(void))
{
	unsigned fds = bed_fds();
	int stopped = 0;
	int fault = -1;
	bool reached;
	int r;

	do {
		memset(&b->err, 0, sizeof(b->err));
		calls_left = ++fault;
		r = bed_prepare(b);
		reached = calls_left < 0;
		calls_left = -1;
		if (r == 0)
			laneway_module.life->destroy(b->inst);
		else
			assert_true(b->err.code == r && b->err.text[0] != 0);
		stopped += r < 0;
		undone();
		assert_int_equal(bed_fds(), fds);
	} while (reached && fault < FAULTS_MAX);
	assert_int_equal(r, 0);
	assert_false(reached);
	assert_true(stopped >= 8);
	if (b->env.caps_wanted == 0)
		assert_in_range(fault - stopped, 0, 4); /* what a persistent device had before */
}

static void no_device(void)
{
	assert_false(bed_exists("lw0"));
}

static void as_operator_made_it(void)
{
	assert_int_equal(bed_mtu("lw0"), 1500);
	assert_int_equal(bed_queue_len("lw0"), 500);
	assert_false(bed_is_up("lw0"));
	assert_int_equal(bed_address("lw0"), 0);
	assert_int_equal(bed_mask("lw0"), 0);
}

static void prepare__any_call_fails__undoes_itself(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	b.env.workers = 2;
	each_call_fails(&b, no_device);
	b.env.caps_wanted = BED_CAPS;
	each_call_fails(&b, no_device);
}

static void prepare__any_call_fails_on_a_persistent_device__undoes_itself(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_persist("lw0", 0);
	bed_init(&b);
	each_call_fails(&b, as_operator_made_it);
	b.env.caps_wanted = BED_CAPS;
	each_call_fails(&b, as_operator_made_it);
	bed_unpersist("lw0", 0);
}

static void assert_in_use(struct bed *b)
{
	unsigned fds = bed_fds();

	assert_int_equal(bed_prepare(b), -EBUSY);
	assert_string_equal(b->err.option, "name");
	assert_string_equal(b->err.text,
	                    "device \"lw0\" is in use by another program or another lanewayd");
	assert_int_equal(bed_fds(), fds);
}

static void prepare__name_of_another_daemon__is_refused(void **state)
{
	struct bed first;
	struct bed second;

	(void)state;
	NEEDS_BED();
	for (uint32_t workers = 1; workers <= 2; workers++) {
		bed_init(&first);
		bed_init(&second);
		first.env.workers = workers;
		bed_start(&first);
		for (second.env.workers = 1; second.env.workers <= 2; second.env.workers++)
			assert_in_use(&second);
		assert_int_equal(bed_address("lw0"), BED_SERVER);
		bed_stop(&first);
	}
}

static void prepare__name_of_another_kind_of_device__is_refused(void **state)
{
	struct bed b;
	int tap;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	b.opts.name = "lo";
	assert_int_equal(bed_prepare(&b), -EBUSY);
	assert_string_equal(b.err.text, "the name \"lo\" is taken by a device of another kind: "
	                                "choose another one");
	/* a TAP device has the same driver, and is another kind */
	tap = bed_attach_tap("tap0");
	b.opts.name = "tap0";
	assert_int_equal(bed_prepare(&b), -EBUSY);
	assert_non_null(strstr(b.err.text, "another kind"));
	(void)close(tap);
	assert_false(bed_is_up("lo"));
}

static void prepare__persistent_device_in_use__is_refused(void **state)
{
	static const unsigned modes[] = { 0, IFF_MULTI_QUEUE };
	struct bed b;
	int other;

	(void)state;
	NEEDS_BED();
	for (size_t i = 0; i < 2; i++) {
		bed_persist("lw0", modes[i]);
		other = bed_attach("lw0", modes[i]);
		assert_true(other >= 0);
		bed_init(&b);
		assert_in_use(&b);
		(void)close(other);
		as_operator_made_it();
		bed_unpersist("lw0", modes[i]);
	}
}

static void prepare__persistent_device__is_used_and_left_as_it_was(void **state)
{
	static const unsigned modes[] = { 0, IFF_MULTI_QUEUE };
	struct bed b;

	(void)state;
	NEEDS_BED();
	for (size_t i = 0; i < 2; i++) {
		bed_persist("lw0", modes[i]);
		bed_init(&b);
		b.env.workers = (uint32_t)i + 1;
		bed_start(&b);
		assert_int_equal(bed_mtu("lw0"), BED_MTU);
		assert_int_equal(bed_queue_len("lw0"), 1000);
		assert_true(bed_is_up("lw0"));
		assert_int_equal(bed_address("lw0"), BED_SERVER);
		bed_stop(&b);
		as_operator_made_it();
		bed_unpersist("lw0", modes[i]);
	}
}

/* a queue of the operator's that is longer than ours stays, where none is asked for */
static void prepare__persistent_device_with_a_long_queue__keeps_it(void **state)
{
	static const struct {
		uint32_t had;
		int64_t asked;
		int gets;
	} rows[] = { { 30000, 0, 30000 }, { 9999, 0, 10000 }, { 30000, 700, 700 } };
	struct lw_tun_link link;
	struct bed b;

	(void)state;
	NEEDS_BED();
	for (size_t i = 0; i < 3; i++) {
		bed_persist("lw0", 0);
		assert_int_equal(lw_tun_link_get("lw0", &link), 0);
		link.queue_len = rows[i].had;
		assert_int_equal(lw_tun_link_set(&link), 0);
		bed_init(&b);
		b.opts.queue_length = rows[i].asked;
		bed_start(&b);
		assert_int_equal(bed_queue_len("lw0"), rows[i].gets);
		bed_stop(&b);
		assert_int_equal(bed_queue_len("lw0"), rows[i].had);
		bed_unpersist("lw0", 0);
	}
}

static void prepare__persistent_device_with_one_queue__is_refused_for_two(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_persist("lw0", 0);
	bed_init(&b);
	b.env.workers = 2;
	assert_int_equal(bed_prepare(&b), -EUSERS);
	assert_string_equal(b.err.text, "device \"lw0\" has one queue, but each of 2 workers needs "
	                                "one: make it with multi_queue");
	bed_unpersist("lw0", 0);
}

/* the address was there before: it stays, and nothing that is right is set again */
static void prepare__persistent_device_set_up_by_the_operator__is_left_alone(void **state)
{
	struct lw_addr address = { .family = 4, .prefix = 16, .ip = { 10, 125, 0, 1 } };
	struct lw_addr none = { .family = 0 };
	struct lw_tun_link link;
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_persist("lw0", 0);
	assert_int_equal(lw_tun_link_get("lw0", &link), 0);
	link.mtu = BED_MTU;
	link.queue_len = 1000;
	link.up = true;
	assert_int_equal(lw_tun_link_set(&link), 0);
	assert_int_equal(lw_tun_addr_add(link.index, &address, &none), 0);
	bed_init(&b);
	bed_start(&b);
	bed_stop(&b);
	assert_int_equal(bed_address("lw0"), BED_SERVER);
	assert_int_equal(bed_mtu("lw0"), BED_MTU);
	assert_true(bed_is_up("lw0"));
	/* another prefix is another address: ours comes and goes, the operator's stays */
	b.opts.address = address;
	b.opts.address.prefix = 24;
	bed_start(&b);
	assert_true(lw_tun_addr_present("lw0", &b.opts.address, &none));
	bed_stop(&b);
	assert_false(lw_tun_addr_present("lw0", &b.opts.address, &none));
	assert_true(lw_tun_addr_present("lw0", &address, &none));
	bed_unpersist("lw0", 0);
}

/* what another program left on the device: 12 bytes in front of each packet, and superpackets */
static void prepare__persistent_device_with_old_offload__gives_bare_packets(void **state)
{
	int hdr = 12;
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_BED();
	bed_persist("lw0", IFF_VNET_HDR);
	fd = bed_attach("lw0", IFF_VNET_HDR);
	assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &hdr), 0);
	assert_int_equal(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), 0);
	(void)close(fd);
	assert_true(bed_has_tso("lw0"));
	bed_init(&b);
	bed_start(&b);
	assert_false(bed_has_tso("lw0"));
	fd = bed_udp(&port);
	bed_udp_send(fd, 10);
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 1);
	assert_int_equal(b.batch->pkt[0].len, 38);
	assert_int_equal(lw_packet_data(&b.batch->pkt[0])[0], 0x45);
	(void)close(fd);
	fd = b.host.watches[0].fd;
	assert_int_equal(ioctl(fd, TUNGETVNETHDRSZ, &hdr), 0);
	assert_int_equal(hdr, 10);
	bed_stop(&b);
	bed_unpersist("lw0", 0);
}

static void destroy__persistent_device_deleted_meanwhile__is_quiet(void **state)
{
	unsigned fds = bed_fds();
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_persist("lw0", 0);
	bed_init(&b);
	bed_start(&b);
	bed_delete("lw0");
	bed_stop(&b);
	assert_int_equal(b.host.n_logs[LW_LOG_WARN], 0);
	assert_int_equal(bed_fds(), fds);
}

/* a socket and a sendto each: to look at the link, to take the address away, to set the link */
static void destroy__cannot_undo__warns(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	for (int fault = 0; fault < 6; fault++) {
		bed_persist("lw0", 0);
		bed_init(&b);
		bed_start(&b);
		calls_left = fault;
		bed_stop(&b);
		calls_left = -1;
		assert_int_equal(b.host.n_logs[LW_LOG_WARN], 1);
		assert_non_null(
			strstr(b.host.last_log, "cannot undo what was set on device \"lw0\""));
		bed_unpersist("lw0", 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prepare__any_call_fails__undoes_itself),
		cmocka_unit_test(prepare__any_call_fails_on_a_persistent_device__undoes_itself),
		cmocka_unit_test(prepare__name_of_another_daemon__is_refused),
		cmocka_unit_test(prepare__name_of_another_kind_of_device__is_refused),
		cmocka_unit_test(prepare__persistent_device_in_use__is_refused),
		cmocka_unit_test(prepare__persistent_device__is_used_and_left_as_it_was),
		cmocka_unit_test(prepare__persistent_device_with_a_long_queue__keeps_it),
		cmocka_unit_test(prepare__persistent_device_with_one_queue__is_refused_for_two),
		cmocka_unit_test(prepare__persistent_device_set_up_by_the_operator__is_left_alone),
		cmocka_unit_test(prepare__persistent_device_with_old_offload__gives_bare_packets),
		cmocka_unit_test(destroy__persistent_device_deleted_meanwhile__is_quiet),
		cmocka_unit_test(destroy__cannot_undo__warns),
	};

	(void)bed_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

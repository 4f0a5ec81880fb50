/* SPDX-License-Identifier: MIT */
/* inside-tun and offload: who may ask for it, kernels that refuse it, what a device is left with */
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/test.h"

#include "test_inside_tun_bed.h"
#include "test_inside_tun_kernel.h"

#define RECV_TSO (LW_CAP_CSUM | LW_CAP_TSO)
#define RECV_USO (LW_CAP_CSUM | LW_CAP_USO)
#define ALL_MASK 0x6fu /* all that TUNSETOFFLOAD knows, but UFO and tunnels */

static void destroy(struct bed *b)
{
	laneway_module.life->destroy(b->inst);
	b->inst = NULL;
}

static void prepare__program_that_asks_for_nothing__gets_bare_packets(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	bed_init(&b);
	bed_start(&b);
	assert_int_equal(b.caps.flags, 0);
	assert_int_equal(bed_mask("lw0"), 0);
	assert_int_equal(bed_flags(b.host.watches[0].fd) & IFF_VNET_HDR, 0);
	bed_stop(&b);
	/* a host of ABI 0.1 has no such member: what stands there is not its word */
	b.env.size = 16;
	b.env.caps_wanted = BED_CAPS;
	bed_start(&b);
	assert_int_equal(b.caps.flags, 0);
	assert_int_equal(bed_mask("lw0"), 0);
	assert_int_equal(bed_flags(b.host.watches[0].fd) & IFF_VNET_HDR, 0);
	bed_stop(&b);
}

static void prepare__program_that_asks_for_all__gets_it(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_OFFLOAD();
	bed_init(&b);
	b.env.caps_wanted = ~0ull;
	b.env.workers = 2;
	bed_start(&b);
	assert_int_equal(b.caps.flags, BED_CAPS);
	assert_int_equal(b.caps.max_segs, 64);
	assert_int_equal(b.caps.max_bytes, 65535);
	assert_int_equal(bed_mask("lw0"), ALL_MASK);
	for (int i = 0; i < 2; i++) {
		assert_int_not_equal(bed_flags(b.host.watches[i].fd) & IFF_VNET_HDR, 0);
		assert_int_equal(bed_hdr(b.host.watches[i].fd), 10);
	}
	assert_string_equal(b.host.last_log, "device lw0: 10.125.0.1/16, MTU 1350, 2 queues");
	assert_int_equal(b.host.n_logs[LW_LOG_WARN], 0);
	bed_stop(&b);
}

/* offload, tso, uso, checksum, coalesce; what the program asks for; what it gets */
static const struct {
	int32_t o[5];
	uint64_t wanted;
	uint64_t granted;
} choices[] = {
	{ { 2, 2, 2, 2, 2 }, BED_CAPS, BED_CAPS },
	{ { 0, 2, 2, 2, 2 }, BED_CAPS, 0 },
	{ { 1, 2, 2, 2, 2 }, BED_CAPS, BED_CAPS },
	{ { 2, 0, 2, 2, 2 }, BED_CAPS, RECV_USO | LW_CAP_SEND_USO },
	{ { 2, 2, 0, 2, 2 }, BED_CAPS, RECV_TSO | LW_CAP_SEND_TSO },
	{ { 2, 2, 2, 0, 2 }, BED_CAPS, LW_TUN_CAPS_SEND },
	{ { 2, 2, 2, 2, 0 }, BED_CAPS, LW_TUN_CAPS_RECV },
	{ { 0, 1, 2, 2, 2 }, BED_CAPS, RECV_TSO },
	{ { 0, 2, 1, 2, 2 }, BED_CAPS, RECV_USO },
	{ { 0, 2, 2, 1, 2 }, BED_CAPS, LW_CAP_CSUM },
	{ { 0, 2, 2, 2, 1 }, BED_CAPS, LW_TUN_CAPS_SEND },
	{ { 0, 0, 2, 2, 1 }, BED_CAPS, LW_CAP_SEND_USO },
	{ { 1, 2, 0, 2, 2 }, BED_CAPS, RECV_TSO | LW_CAP_SEND_TSO },
	{ { 1, 2, 2, 0, 2 }, BED_CAPS, LW_TUN_CAPS_SEND },
	{ { 2, 0, 0, 2, 2 }, BED_CAPS, LW_CAP_CSUM },
	{ { 2, 2, 2, 2, 2 }, LW_CAP_CSUM, LW_CAP_CSUM },
	{ { 2, 2, 2, 2, 2 }, RECV_TSO, RECV_TSO },
	{ { 2, 2, 2, 2, 2 }, RECV_USO, RECV_USO },
	{ { 2, 2, 2, 2, 2 }, LW_CAP_TSO | LW_CAP_USO, 0 }, /* without CSUM: no use */
	{ { 2, 2, 2, 2, 2 }, LW_CAP_SEND_TSO, LW_CAP_SEND_TSO },
	{ { 2, 2, 2, 2, 2 }, LW_CAP_GSO | LW_CAP_GRO | LW_CAP_SUPER, 0 },
};

static void choose(struct bed *b, const int32_t o[5])
{
	b->opts.offload = o[0];
	b->opts.tso = o[1];
	b->opts.uso = o[2];
	b->opts.checksum = o[3];
	b->opts.coalesce = o[4];
}

static const uint64_t each_cap[] = { LW_CAP_CSUM, LW_CAP_TSO, LW_CAP_USO, LW_CAP_SEND_TSO,
	                             LW_CAP_SEND_USO };

/* All that is granted, and nothing else, goes without a reason. */
static void assert_reasons(struct bed *b, uint64_t granted)
{
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(lw_fake_why(&b->host, each_cap[i])[0] == '\0',
		                 (granted & each_cap[i]) != 0);
}

static void prepare__switches__grant_what_they_say(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_OFFLOAD();
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		uint64_t granted = choices[i].granted;
		uint32_t mask;

		bed_init(&b);
		choose(&b, choices[i].o);
		b.env.caps_wanted = choices[i].wanted;
		assert_int_equal(bed_prepare(&b), 0);
		assert_int_equal(b.caps.flags, granted);
		mask = bed_mask("lw0");
		assert_int_equal((mask & TUN_F_CSUM) != 0, (granted & LW_CAP_CSUM) != 0);
		assert_int_equal((mask & (TUN_F_TSO4 | TUN_F_TSO6)) != 0,
		                 (granted & LW_CAP_TSO) != 0);
		assert_int_equal((mask & (TUN_F_USO4 | TUN_F_USO6)) != 0,
		                 (granted & LW_CAP_USO) != 0);
		assert_int_equal(b.host.n_logs[LW_LOG_WARN], 0);
		if (choices[i].wanted == BED_CAPS)
			assert_reasons(&b, granted);
		destroy(&b);
	}
}

/* the option that switches each of each_cap off; "": it is granted, or the program's to explain */
static const struct {
	int32_t o[5];
	uint64_t wanted;
	const char *off_by[5];
} offs[] = {
	{ { 0, 2, 2, 2, 2 }, BED_CAPS, { "offload", "offload", "offload", "offload", "offload" } },
	{ { 2, 0, 2, 2, 2 }, BED_CAPS, { "", "tso", "", "tso", "" } },
	{ { 2, 2, 0, 2, 2 }, BED_CAPS, { "", "", "uso", "", "uso" } },
	{ { 2, 2, 2, 0, 2 }, BED_CAPS, { "checksum", "checksum", "checksum", "", "" } },
	{ { 2, 0, 2, 0, 2 }, BED_CAPS, { "checksum", "tso", "checksum", "tso", "" } },
	{ { 2, 2, 2, 2, 0 }, BED_CAPS, { "", "", "", "coalesce", "coalesce" } },
	{ { 0, 1, 2, 2, 2 }, BED_CAPS, { "", "", "offload", "offload", "offload" } },
	{ { 0, 2, 2, 1, 2 }, BED_CAPS, { "", "offload", "offload", "offload", "offload" } },
	{ { 0, 0, 2, 2, 1 }, BED_CAPS, { "offload", "tso", "offload", "tso", "" } },
	{ { 2, 2, 2, 2, 2 }, LW_TUN_CAPS_SEND, { "", "", "", "", "" } },
	{ { 2, 0, 2, 2, 2 }, LW_TUN_CAPS_SEND, { "", "tso", "", "tso", "" } },
};

static void prepare__switched_off__says_by_which_option(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_OFFLOAD();
	for (size_t i = 0; i < sizeof(offs) / sizeof(offs[0]); i++) {
		bed_init(&b);
		choose(&b, offs[i].o);
		b.env.caps_wanted = offs[i].wanted;
		assert_int_equal(bed_prepare(&b), 0);
		for (size_t c = 0; c < 5; c++) {
			const char *by = offs[i].off_by[c];
			char why[64];

			(void)snprintf(why, sizeof(why), "%s%s", by,
			               *by != '\0' ? " is off in the configuration" : "");
			assert_string_equal(lw_fake_why(&b.host, each_cap[c]), why);
		}
		destroy(&b);
	}
}

static void check__switches_that_contradict__are_refused(void **state)
{
	static const struct {
		int32_t o[5];
		const char *option;
	} bad[] = {
		{ { 2, 1, 2, 0, 2 }, "checksum" },
		{ { 2, 2, 1, 0, 2 }, "checksum" },
		{ { 2, 0, 0, 2, 1 }, "coalesce" },
	};
	struct bed b;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		bed_init(&b);
		choose(&b, bad[i].o);
		assert_int_equal(laneway_module.life->check(&b.opts, &b.err), -EINVAL);
		assert_string_equal(b.err.option, bad[i].option);
	}
}

/* kernels that lack something: auto takes the rest and says so */
static const struct {
	uint64_t granted;
	const char *last;
	uint32_t lacks;
	int refuses_tcp;
	int refuses_udp;
	unsigned warnings;
} lesser[] = {
	{ RECV_TSO | LW_CAP_SEND_TSO,
	  "device lw0: the kernel takes no UDP superpackets before Linux 6.2, writing single ones",
	  TUN_F_USO4 | TUN_F_USO6, 0, EINVAL, 2 },
	{ RECV_TSO | LW_TUN_CAPS_SEND,
	  "device lw0: the kernel gives no UDP superpackets before Linux 6.2, reading single ones",
	  TUN_F_USO6, 0, 0, 1 },
	{ BED_CAPS, NULL, TUN_F_TSO_ECN, 0, 0, 0 },
	{ BED_CAPS, NULL, TUN_F_TSO6, 0, 0, 0 }, /* the inside is IPv4 */
	{ RECV_USO | LW_TUN_CAPS_SEND,
	  "device lw0: the kernel gives no TCP superpackets, reading single packets", TUN_F_TSO4, 0,
	  0, 1 },
	{ LW_TUN_CAPS_SEND, NULL, ~0u, 0, 0, 3 },
	{ LW_TUN_CAPS_RECV | LW_CAP_SEND_USO,
	  "device lw0: the kernel takes no TCP superpackets, writing single packets", 0, EINVAL, 0,
	  1 },
	{ 0, NULL, ~0u, EINVAL, EIO, 5 },
};

static void prepare__lesser_kernels__give_what_they_have(void **state)
{
	char seen[512];
	struct bed b;

	(void)state;
	NEEDS_OFFLOAD();
	for (size_t i = 0; i < sizeof(lesser) / sizeof(lesser[0]); i++) {
		(void)new_kernel(NULL);
		kernel.lacks = lesser[i].lacks;
		kernel.refuses[VIRTIO_NET_HDR_GSO_TCPV4] = lesser[i].refuses_tcp;
		kernel.refuses[VIRTIO_NET_HDR_GSO_UDP_L4] = lesser[i].refuses_udp;
		bed_init(&b);
		b.env.caps_wanted = BED_CAPS;
		assert_int_equal(bed_prepare(&b), 0);
		assert_int_equal(b.caps.flags, lesser[i].granted);
		assert_int_equal(b.host.n_logs[LW_LOG_WARN], lesser[i].warnings);
		assert_int_equal(b.host.n_logs[LW_LOG_INFO], 1);
		assert_reasons(&b, lesser[i].granted);
		destroy(&b);
		if (lesser[i].last == NULL)
			continue;
		/* the warning comes before the line of the device, which ends the log */
		assert_int_equal(lw_tun_offload_judge(&(struct lw_tun_wish){ .want = BED_CAPS },
		                                      lesser[i].granted, "lw0", &b.host.host, NULL),
		                 0);
		(void)snprintf(seen, sizeof(seen), "%s", b.host.last_log);
		assert_string_equal(seen, lesser[i].last);
	}
	assert_string_equal(lw_fake_why(&b.host, LW_CAP_CSUM),
	                    "the kernel gives no partial checksums");
	assert_string_equal(lw_fake_why(&b.host, LW_CAP_USO),
	                    "the kernel gives no UDP superpackets before Linux 6.2");
	assert_string_equal(lw_fake_why(&b.host, LW_CAP_SEND_TSO),
	                    "the kernel takes no TCP superpackets");
}

/* what TUNSETOFFLOAD says is not the whole truth: ethtool tells what is in force */
static void prepare__kernel_that_only_pretends__is_looked_through(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	kernel.pretends = true;
	bed_init(&b);
	b.env.caps_wanted = LW_TUN_CAPS_RECV;
	assert_int_equal(bed_prepare(&b), 0);
	assert_int_equal(b.caps.flags, 0);
	assert_int_equal(b.host.n_logs[LW_LOG_WARN], 3);
	destroy(&b);
}

static void prepare__driver_without_headers__gives_bare_packets(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	kernel.hides = IFF_VNET_HDR;
	bed_init(&b);
	b.env.caps_wanted = BED_CAPS;
	bed_start(&b);
	assert_int_equal(b.caps.flags, 0);
	assert_int_equal(b.host.n_logs[LW_LOG_WARN], 5);
	assert_int_equal(bed_flags(b.host.watches[0].fd) & IFF_VNET_HDR, 0);
	bed_stop(&b);
}

static void prepare__device_that_keeps_other_headers__is_refused(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_BED();
	for (int wanted = 0; wanted < 2; wanted++) {
		kernel.flips = IFF_VNET_HDR;
		bed_init(&b);
		b.env.caps_wanted = wanted ? BED_CAPS : 0;
		assert_int_equal(bed_prepare(&b), -EINVAL);
		assert_non_null(strstr(b.err.text, "keeps packet headers of another program"));
		assert_false(bed_exists("lw0"));
	}
}

/* --- on: what is missing stops the start, in one sentence --- */

static const struct {
	uint64_t wanted;
	const char *option;
	const char *text;
	int32_t o[5];
	uint32_t lacks;
} demands[] = {
	{ BED_CAPS,
	  "offload",
	  "the kernel gives no UDP superpackets: set offload to auto or off",
	  { 1, 2, 2, 2, 2 },
	  TUN_F_USO4 | TUN_F_USO6 },
	{ BED_CAPS,
	  "uso",
	  "the kernel gives no UDP superpackets: set uso to auto or off",
	  { 2, 2, 1, 2, 2 },
	  TUN_F_USO4 },
	{ BED_CAPS,
	  "tso",
	  "the kernel gives no TCP superpackets: set tso to auto or off",
	  { 0, 1, 2, 2, 2 },
	  TUN_F_TSO4 },
	{ BED_CAPS,
	  "tso",
	  "the kernel gives no TCP superpackets: set tso to auto or off",
	  { 2, 1, 2, 2, 2 },
	  TUN_F_CSUM },
	{ BED_CAPS,
	  "checksum",
	  "the kernel gives no partial checksums: set checksum to auto or off",
	  { 2, 2, 2, 1, 2 },
	  TUN_F_CSUM },
	{ BED_CAPS,
	  "coalesce",
	  "the kernel takes no TCP superpackets: set coalesce to auto or off",
	  { 2, 2, 2, 2, 1 },
	  0 },
	{ 0,
	  "offload",
	  "this version reads no partial checksums: set offload to auto or off",
	  { 1, 2, 2, 2, 2 },
	  0 },
	{ LW_CAP_CSUM,
	  "tso",
	  "this version reads no TCP superpackets: set tso to auto or off",
	  { 2, 1, 2, 2, 2 },
	  0 },
	{ LW_TUN_CAPS_RECV,
	  "coalesce",
	  "this version writes no TCP superpackets: set coalesce to auto or off",
	  { 2, 2, 2, 2, 1 },
	  0 },
};

static void prepare__demands_that_are_refused__stop_the_start(void **state)
{
	unsigned fds = bed_fds();
	struct bed b;

	(void)state;
	NEEDS_OFFLOAD();
	for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++) {
		kernel.lacks = demands[i].lacks;
		kernel.refuses[VIRTIO_NET_HDR_GSO_TCPV4] = EINVAL;
		bed_init(&b);
		choose(&b, demands[i].o);
		b.env.caps_wanted = demands[i].wanted;
		assert_int_equal(bed_prepare(&b), -EOPNOTSUPP);
		assert_int_equal(b.err.code, -EOPNOTSUPP);
		assert_string_equal(b.err.option, demands[i].option);
		assert_string_equal(b.err.text, demands[i].text);
		assert_false(bed_exists("lw0"));
		assert_int_equal(bed_fds(), fds);
	}
}

/* --- devices of the operator's --- */

static void destroy__persistent_device__gets_back_what_it_had(void **state)
{
	static const uint32_t masks[] = { 0, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, ALL_MASK };
	struct bed b;

	(void)state;
	NEEDS_OFFLOAD();
	for (unsigned i = 0; i < 3 * 2 * 3; i++) {
		unsigned mode = i % 2 != 0 ? IFF_MULTI_QUEUE : 0u;
		uint32_t mask = masks[i / 2 % 3];
		int hdr = i < 6 ? 10 : 12;
		int fd;

		bed_persist("lw0", mode | IFF_VNET_HDR);
		fd = bed_attach("lw0", mode | IFF_VNET_HDR);
		assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &hdr), 0);
		assert_int_equal(ioctl(fd, TUNSETOFFLOAD, (unsigned long)mask), 0);
		(void)close(fd);
		bed_init(&b);
		b.env.workers = 1 + i % 2;
		b.env.caps_wanted = i < 12 ? BED_CAPS : 0;
		bed_start(&b);
		assert_int_equal(bed_mask("lw0"), i < 12 ? ALL_MASK : 0);
		assert_int_equal(bed_hdr(b.host.watches[0].fd), 10);
		bed_stop(&b);
		assert_int_equal(bed_mask("lw0"), mask);
		fd = bed_attach("lw0", mode | IFF_VNET_HDR);
		assert_int_equal(bed_hdr(fd), hdr);
		(void)close(fd);
		assert_int_equal(b.host.n_logs[LW_LOG_WARN], 0);
		bed_unpersist("lw0", mode);
	}
}

/* with no capability, as the user that it was made for; the operator has set what link says */
static int run_unprivileged(const struct lw_tun_link *link, int64_t queue_length)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { .effective = 0 } };
	struct bed b;
	int r;

	if (syscall(SYS_capset, &head, none) < 0 || lw_tun_link_set(link) != -EPERM)
		return 2;
	bed_init(&b);
	b.env.caps_wanted = BED_CAPS;
	b.opts.queue_length = queue_length;
	r = bed_prepare(&b);
	if (r < 0) /* nothing was set, so there is nothing that cannot be undone */
		return r == -EPERM && b.host.n_logs[LW_LOG_WARN] == 0 ? 3 : 4;
	if (b.caps.flags != BED_CAPS || bed_mask("lw0") != ALL_MASK)
		return 5;
	if (b.host.n_logs[LW_LOG_WARN] != (link->queue_len < 2000 && queue_length == 0))
		return 6;
	destroy(&b);
	return bed_mask("lw0") == 0 ? 0 : 7;
}

static int in_child(const struct lw_tun_link *link, int64_t queue_length)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(run_unprivileged(link, queue_length));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void prepare__persistent_device_of_a_user__needs_no_privileges(void **state)
{
	struct lw_addr address = { .family = 4, .prefix = 16, .ip = { 10, 125, 0, 1 } };
	struct lw_addr none = { .family = 0 };
	struct lw_tun_link link;
	int fd;

	(void)state;
	NEEDS_OFFLOAD();
	bed_persist("lw0", 0);
	fd = bed_attach("lw0", 0);
	assert_int_equal(ioctl(fd, TUNSETOWNER, (unsigned long)geteuid()), 0);
	(void)close(fd);
	assert_int_equal(lw_tun_link_get("lw0", &link), 0);
	link.mtu = BED_MTU;
	link.up = true;
	assert_int_equal(lw_tun_addr_add(link.index, &address, &none), 0);
	for (link.queue_len = 1000; link.queue_len <= 2000; link.queue_len += 1000) {
		assert_int_equal(lw_tun_link_set(&link), 0);
		assert_int_equal(in_child(&link, link.queue_len), 0);
		assert_int_equal(in_child(&link, 0), 0); /* a short queue is only a pity */
		assert_int_equal(in_child(&link, 500), 3);
	}
	link.mtu = 1500; /* what must be set and cannot be */
	assert_int_equal(lw_tun_link_set(&link), 0);
	assert_int_equal(in_child(&link, 0), 3);
	bed_unpersist("lw0", 0);
}

#define TEST(f) cmocka_unit_test_setup(f, new_kernel)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(prepare__program_that_asks_for_nothing__gets_bare_packets),
		TEST(prepare__program_that_asks_for_all__gets_it),
		TEST(prepare__switches__grant_what_they_say),
		TEST(prepare__switched_off__says_by_which_option),
		TEST(check__switches_that_contradict__are_refused),
		TEST(prepare__lesser_kernels__give_what_they_have),
		TEST(prepare__kernel_that_only_pretends__is_looked_through),
		TEST(prepare__driver_without_headers__gives_bare_packets),
		TEST(prepare__device_that_keeps_other_headers__is_refused),
		TEST(prepare__demands_that_are_refused__stop_the_start),
		TEST(destroy__persistent_device__gets_back_what_it_had),
		TEST(prepare__persistent_device_of_a_user__needs_no_privileges),
	};

	(void)bed_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* outside-udp: which of runs is used, as the operator, the host and the kernel agree. */
#include <errno.h>

#include "test_outside_udp_bed.h"
#include "test_outside_udp_wrap.h"
#include "unit/test.h"

#define BOTH ((uint64_t)LW_CAP_GSO | LW_CAP_GRO)

/* whether an option of the module's sockets is set */
static bool is_set(struct bed *bed, uint32_t tag, int name)
{
	const struct udp_worker *uw = bed_worker(bed, 0)->state;
	int value = 0;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(uw->socks[tag].fd, SOL_UDP, name, &value, &len), 0);
	return value != 0;
}

/* prepares with options and a host's wishes; answers what prepare() says */
static int prepare_with(struct bed *bed, int32_t gso, int32_t gro, uint64_t wanted)
{
	bed_create(bed, NULL, NULL, 0);
	bed->opts.gso = gso;
	bed->opts.gro = gro;
	bed->wanted = wanted;
	return bed_prepare(bed, 1, LW_ROLE_CLIENT);
}

/* What the module says of a capability that it does not grant; "": nothing. */
static void assert_why(const struct bed *bed, uint64_t cap, const char *why)
{
	assert_string_equal(lw_fake_why(&bed->host, cap), why);
}

static void prepare__options__grant_what_all_agree_on(void **state)
{
	static const struct {
		int32_t gso;
		int32_t gro;
		uint64_t wanted;
		uint64_t granted;
	} table[] = {
		{ UDP_AUTO, UDP_AUTO, BOTH, BOTH },
		{ UDP_ON, UDP_ON, BOTH, BOTH },
		{ UDP_OFF, UDP_AUTO, BOTH, LW_CAP_GRO },
		{ UDP_ON, UDP_OFF, BOTH, LW_CAP_GSO },
		{ UDP_OFF, UDP_OFF, BOTH, 0 },
		{ UDP_AUTO, UDP_AUTO, 0, 0 },
		{ UDP_AUTO, UDP_AUTO, LW_CAP_GSO, LW_CAP_GSO },
		{ UDP_AUTO, UDP_ON, LW_CAP_GRO, LW_CAP_GRO },
	};
	struct bed bed;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(prepare_with(&bed, table[i].gso, table[i].gro, table[i].wanted),
		                 0);
		assert_int_equal(bed.caps.flags, table[i].granted);
		assert_int_equal(bed.caps.max_segs, (table[i].granted & LW_CAP_GSO) != 0 ? 63 : 1);
		assert_int_equal(bed.host.n_logs[LW_LOG_NOTICE], 0);
		assert_why(&bed, LW_CAP_GSO,
		           table[i].gso == UDP_OFF ? "gso is off in the configuration" : "");
		assert_why(&bed, LW_CAP_GRO,
		           table[i].gro == UDP_OFF ? "gro is off in the configuration" : "");
		bed_stop(&bed);
	}
}

/* No socket that carries datagrams has a stride of its own, which would cut single ones. */
static void prepare__probe__leaves_no_stride_on_any_socket(void **state)
{
	struct lw_endpoint ep;
	struct lw_addr server;
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", BOTH);
	assert_false(is_set(&bed, 0, UDP_SEGMENT));
	assert_true(is_set(&bed, 0, UDP_GRO));
	bed_stop(&bed);
	bed_start_client_runs(&bed, "127.0.0.1", BOTH);
	server = bed_name(bed.peer);
	ep = bed_connect(&bed, &server);
	assert_false(is_set(&bed, ep.tag, UDP_SEGMENT));
	assert_true(is_set(&bed, ep.tag, UDP_GRO));
	bed_stop(&bed);
	bed_start(&bed, "127.0.0.1", 1);
	assert_false(is_set(&bed, 0, UDP_GRO));
	bed_stop(&bed);
}

/* a kernel without the option: auto goes on and says why, on does not start */
static void kernel_lacks(int name, uint64_t cap, const char *option)
{
	bool gso = cap == LW_CAP_GSO;
	struct bed bed;

	wrap_lacks = name;
	assert_int_equal(prepare_with(&bed, UDP_AUTO, UDP_AUTO, BOTH), 0);
	assert_int_equal(bed.caps.flags, BOTH & ~cap);
	assert_int_equal(bed.host.n_logs[LW_LOG_NOTICE], 1);
	assert_why(
		&bed, cap,
		gso ? "this kernel refuses UDP_SEGMENT, which Linux 4.18 has (Protocol not "
		      "available)"
		    : "this kernel refuses UDP_GRO, which Linux 5.0 has (Protocol not available)");
	assert_why(&bed, BOTH & ~cap, "");
	bed_stop(&bed);
	assert_int_equal(prepare_with(&bed, gso ? UDP_ON : UDP_AUTO, gso ? UDP_AUTO : UDP_ON, BOTH),
	                 -EOPNOTSUPP);
	assert_string_equal(bed.err.option, option);
	assert_non_null(strstr(bed.err.text, gso ? "UDP_SEGMENT" : "UDP_GRO"));
	assert_non_null(strstr(bed.err.text, "Protocol not available"));
	bed_stop(&bed);
	assert_int_equal(prepare_with(&bed, UDP_OFF, UDP_OFF, BOTH), 0);
	assert_int_equal(bed.host.n_logs[LW_LOG_NOTICE], 0);
	bed_stop(&bed);
	wrap_lacks = 0;
}

static void prepare__kernel_lacks_it__auto_says_why_and_on_is_refused(void **state)
{
	(void)state;
	kernel_lacks(UDP_SEGMENT, LW_CAP_GSO, "gso");
	kernel_lacks(UDP_GRO, LW_CAP_GRO, "gro");
}

static void prepare__host_lacks_it__on_is_refused(void **state)
{
	struct bed bed;

	(void)state;
	assert_int_equal(prepare_with(&bed, UDP_ON, UDP_AUTO, LW_CAP_GRO), -EOPNOTSUPP);
	assert_string_equal(bed.err.option, "gso");
	bed_stop(&bed);
	assert_int_equal(prepare_with(&bed, UDP_AUTO, UDP_ON, 0), -EOPNOTSUPP);
	assert_string_equal(bed.err.option, "gro");
	bed_stop(&bed);
}

/* a host before ABI 0.2 says nothing of capabilities: there are none */
static void prepare__older_host__gets_nothing(void **state)
{
	struct lw_env env = { .size = offsetof(struct lw_env, caps_wanted),
		              .role = LW_ROLE_CLIENT,
		              .workers = 1,
		              .inside_mtu = 1350,
		              .caps_wanted = BOTH };
	struct bed bed;

	(void)state;
	bed_create(&bed, NULL, NULL, 0);
	bed.opts.gso = UDP_AUTO;
	bed.opts.gro = UDP_AUTO;
	assert_int_equal(laneway_module.life->prepare(bed.inst, &env, &bed.caps, &bed.err), 0);
	assert_int_equal(bed.caps.flags, 0);
	bed_stop(&bed);
}

/* kernels that are known to damage runs: auto sends none, on takes the operator at their word */
static void prepare__kernel_damages_runs__auto_sends_none(void **state)
{
	static const struct {
		const char *release;
		bool damaged;
	} table[] = { { "6.18.44", false },       { "7.0.0-rc1", true }, { "7.0", true },
		      { "7.0.99-generic", true }, { "7.1-rc4", true },   { "7.1.4-1-pve", true },
		      { "7.1.5", false },         { "7.1.10", false },   { "7.2.0", false },
		      { "17.0.1", false },        { "4.19.0-7", false }, { "", false } };
	struct bed bed;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		bool bad = table[i].damaged;
		char why[96];

		(void)snprintf(why, sizeof(why), "Linux %s may damage runs of datagrams",
		               table[i].release);
		wrap_release = table[i].release;
		assert_int_equal(prepare_with(&bed, UDP_AUTO, UDP_AUTO, BOTH), 0);
		assert_int_equal(bed.caps.flags, bad ? LW_CAP_GRO : BOTH);
		assert_int_equal(bed.host.n_logs[LW_LOG_NOTICE], bad);
		assert_why(&bed, LW_CAP_GSO, bad ? why : "");
		bed_stop(&bed);
		assert_int_equal(prepare_with(&bed, UDP_ON, UDP_AUTO, BOTH), 0);
		assert_int_equal(bed.caps.flags, BOTH);
		bed_stop(&bed);
	}
}

/* The core is told of a limit where runs are sent. */
static void prepare__burst__is_granted_with_runs(void **state)
{
	static const struct {
		int32_t gso;
		int64_t burst;
		uint32_t granted;
	} table[] = { { UDP_ON, 0, 0 }, { UDP_ON, 1, 1 }, { UDP_AUTO, 63, 63 }, { UDP_OFF, 8, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct bed bed;

		bed_create(&bed, NULL, NULL, 0);
		bed.opts.gso = table[i].gso;
		bed.opts.burst = table[i].burst;
		bed.wanted = BOTH;
		assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_CLIENT), 0);
		assert_int_equal(bed.caps.burst, table[i].granted);
		bed_stop(&bed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(prepare__options__grant_what_all_agree_on, wrap_reset),
		cmocka_unit_test_setup(prepare__probe__leaves_no_stride_on_any_socket, wrap_reset),
		cmocka_unit_test_setup(prepare__kernel_lacks_it__auto_says_why_and_on_is_refused,
		                       wrap_reset),
		cmocka_unit_test_setup(prepare__host_lacks_it__on_is_refused, wrap_reset),
		cmocka_unit_test_setup(prepare__burst__is_granted_with_runs, wrap_reset),
		cmocka_unit_test_setup(prepare__older_host__gets_nothing, wrap_reset),
		cmocka_unit_test_setup(prepare__kernel_damages_runs__auto_sends_none, wrap_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

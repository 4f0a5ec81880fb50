/* SPDX-License-Identifier: MIT */
/* A program says which worker's socket gets a datagram, at one listener at a time. */
#include <errno.h>
#include <linux/filter.h>

#include "test_outside_udp_bed.h"
#include "unit/test.h"

#define WORKERS 4u

/* the first byte of the datagram is the number of the worker */
static const struct sock_filter by_first_byte[] = {
	{ .code = BPF_LD | BPF_B | BPF_ABS, .k = 0 },
	{ .code = BPF_RET | BPF_A },
};
static const struct sock_filter always_the_second[] = {
	{ .code = BPF_RET | BPF_K, .k = 1 },
};

static int steer(struct bed *bed, uint32_t tag, const struct sock_filter *insns, uint32_t n)
{
	const struct lw_steer s = { .insns = insns, .n = n, .prog_fd = -1 };

	return laneway_module.ops.udp->steer(bed->inst, tag, &s);
}

/* A datagram to a listener arrives at this worker. */
static void assert_arrives(struct bed *bed, uint32_t tag, uint8_t byte, uint32_t worker)
{
	const uint8_t dgram[4] = { byte, 1, 2, 3 };

	bed_send(bed->peer, &bed->listen[tag], dgram, sizeof(dgram));
	bed_collect(bed, worker, tag, 1);
	assert_memory_equal(lw_packet_data(bed->b->pkt), dgram, sizeof(dgram));
	assert_int_equal(bed->b->pkt->endpoint->tag, tag);
	lw_batch_reset(bed->b);
}

static void start_two_listeners(struct bed *bed)
{
	int r = -EADDRINUSE;

	for (int i = 0; i < 20 && r == -EADDRINUSE; i++) {
		if (i > 0)
			bed_stop(bed);
		bed_create(bed, "127.0.0.1", "127.0.0.2", bed_free_port());
		r = bed_prepare(bed, WORKERS, LW_ROLE_SERVER);
	}
	assert_int_equal(r, 0);
	for (; bed->n_workers < WORKERS; bed->n_workers++) {
		struct lw_fake_worker *fw = &bed->workers[bed->n_workers];

		lw_fake_worker_init(fw, &bed->host, &laneway_module, bed->n_workers);
		assert_int_equal(laneway_module.life->worker_start(bed->inst, &fw->w, &fw->w.state,
		                                                   &bed->err),
		                 0);
	}
	bed->peer = bed_socket("127.0.0.1", 0);
}

static void steer__each_family__worker_order_is_socket_order(void **state)
{
	static const char *const listen[] = { "127.0.0.1", "::1", "0.0.0.0" };

	(void)state;
	for (size_t i = 0; i < sizeof(listen) / sizeof(listen[0]); i++) {
		struct bed bed;

		if (i == 1 && !bed_has_ipv6())
			continue;
		bed_start(&bed, listen[i], WORKERS);
		if (i == 2) {
			uint16_t port = bed.listen[0].port;

			bed.listen[0] = bed_addr("127.0.0.1");
			bed.listen[0].port = port;
		}
		assert_int_equal(steer(&bed, 0, by_first_byte, 2), 0);
		for (uint8_t k = 0; k < 4 * WORKERS; k++)
			assert_arrives(&bed, 0, (uint8_t)(k * 3 % WORKERS), k * 3 % WORKERS);
		bed_stop(&bed);
	}
}

static void steer__two_listeners__each_has_a_program_of_its_own(void **state)
{
	struct bed bed;

	(void)state;
	start_two_listeners(&bed);
	assert_int_equal(steer(&bed, 0, by_first_byte, 2), 0);
	assert_int_equal(steer(&bed, 1, always_the_second, 1), 0);
	for (uint8_t k = 0; k < WORKERS; k++) {
		assert_arrives(&bed, 0, k, k);
		assert_arrives(&bed, 1, k, 1);
	}
	assert_int_equal(steer(&bed, 0, always_the_second, 1), 0); /* in the place of the first */
	assert_arrives(&bed, 0, 3, 1);
	bed_stop(&bed);
}

static void steer__behind_the_last_listener__there_is_no_such(void **state)
{
	struct bed bed;

	(void)state;
	start_two_listeners(&bed);
	assert_int_equal(steer(&bed, 2, by_first_byte, 2), -ENOENT);
	assert_int_equal(steer(&bed, UINT32_MAX, by_first_byte, 2), -ENOENT);
	bed_stop(&bed);
	bed_start(&bed, "127.0.0.1", 2);
	assert_int_equal(steer(&bed, 1, by_first_byte, 2), -ENOENT);
	bed_stop(&bed);
	bed_start_client(&bed, "127.0.0.1");
	assert_int_equal(steer(&bed, 0, by_first_byte, 2), -ENOENT);
	bed_stop(&bed);
}

static void steer__no_program__says_so(void **state)
{
	static const struct sock_filter no_end[] = { { .code = BPF_LD | BPF_B | BPF_ABS } };
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 2);
	assert_int_equal(steer(&bed, 0, no_end, 1), -EINVAL);
	assert_int_equal(steer(&bed, 0, by_first_byte, 0), -EINVAL);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steer__each_family__worker_order_is_socket_order),
		cmocka_unit_test(steer__two_listeners__each_has_a_program_of_its_own),
		cmocka_unit_test(steer__behind_the_last_listener__there_is_no_such),
		cmocka_unit_test(steer__no_program__says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * A program says which worker's socket gets a datagram, at one listener at a time; with it each
 * worker gets a second one, for strangers. */
#include <errno.h>
#include <linux/filter.h>

#include "test_outside_udp_bed.h"
#include "unit/test.h"

#define WORKERS 4u

/* the first byte of the datagram is the number of the socket: behind those of the workers come
 * those for strangers */
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

/* A datagram to a listener arrives at this worker, under this name of the socket. */
static void assert_arrives_as(struct bed *bed, uint32_t tag, uint8_t byte, uint32_t worker,
                              uint32_t bit)
{
	const uint8_t dgram[4] = { byte, 1, 2, 3 };

	bed_send(bed->peer, &bed->listen[tag], dgram, sizeof(dgram));
	bed_collect(bed, worker, tag | bit, 1);
	assert_memory_equal(lw_packet_data(bed->b->pkt), dgram, sizeof(dgram));
	assert_int_equal(bed->b->pkt->endpoint->tag, tag); /* where the answer leaves from */
	lw_batch_reset(bed->b);
}

static void assert_arrives(struct bed *bed, uint32_t tag, uint8_t byte, uint32_t worker)
{
	assert_arrives_as(bed, tag, byte, worker, 0);
}

/* A server on free ports of these addresses, which awaits a program. */
static void prepare_listeners(struct bed *bed, const char *listen0, const char *listen1,
                              uint32_t workers)
{
	int r = -EADDRINUSE;

	for (int i = 0; i < 20 && r == -EADDRINUSE; i++) {
		if (i > 0)
			bed_stop(bed);
		bed_create(bed, listen0, listen1, bed_free_port());
		r = bed_prepare(bed, workers, LW_ROLE_SERVER);
	}
	assert_int_equal(r, 0);
}

static void start(struct bed *bed, uint32_t workers)
{
	for (; bed->n_workers < workers; bed->n_workers++) {
		struct lw_fake_worker *fw = &bed->workers[bed->n_workers];

		lw_fake_worker_init(fw, &bed->host, &laneway_module, bed->n_workers);
		assert_int_equal(laneway_module.life->worker_start(bed->inst, &fw->w, &fw->w.state,
		                                                   &bed->err),
		                 0);
	}
	bed->peer = bed_socket(bed->listen[0].family == 6 ? "::1" : "127.0.0.1", 0);
	for (uint32_t i = 0; i < bed->opts.listen.n; i++) {
		uint16_t port = bed->listen[i].port;

		if (bed->listen[i].ip[0] == 0 && bed->listen[i].family == 4)
			bed->listen[i] = bed_addr("127.0.0.1");
		bed->listen[i].port = port;
	}
}

static void steer__each_family__worker_order_is_socket_order(void **state)
{
	static const char *const listen[] = { "127.0.0.1", "::1", "0.0.0.0" };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(listen) / sizeof(listen[0]); i++) {
		uint32_t workers = i % 2 == 0 ? WORKERS : 1;
		struct bed bed;

		if (i / 2 == 1 && !bed_has_ipv6())
			continue;
		prepare_listeners(&bed, listen[i / 2], NULL, workers);
		assert_int_equal(steer(&bed, 0, by_first_byte, 2), 0);
		start(&bed, workers);
		for (uint8_t k = 0; k < 4 * WORKERS; k++) {
			uint8_t worker = (uint8_t)(k * 3 % workers);

			assert_arrives(&bed, 0, worker, worker);
			assert_arrives_as(&bed, 0, (uint8_t)(workers + worker), worker,
			                  LW_TAG_STRANGERS);
		}
		bed_stop(&bed);
	}
}

static void steer__two_listeners__each_has_a_program_of_its_own(void **state)
{
	struct bed bed;

	(void)state;
	prepare_listeners(&bed, "127.0.0.1", "127.0.0.2", WORKERS);
	assert_int_equal(steer(&bed, 0, by_first_byte, 2), 0);
	assert_int_equal(steer(&bed, 1, always_the_second, 1), 0);
	start(&bed, WORKERS);
	for (uint8_t k = 0; k < WORKERS; k++) {
		assert_arrives(&bed, 0, k, k);
		assert_arrives_as(&bed, 0, (uint8_t)(WORKERS + k), k, LW_TAG_STRANGERS);
		assert_arrives(&bed, 1, k, 1);
	}
	bed_stop(&bed);
}

static void steer__twice__the_second_program_holds(void **state)
{
	struct bed bed;

	(void)state;
	prepare_listeners(&bed, "127.0.0.1", NULL, WORKERS);
	assert_int_equal(steer(&bed, 0, by_first_byte, 2), 0);
	assert_int_equal(steer(&bed, 0, always_the_second, 1), 0);
	start(&bed, WORKERS);
	assert_arrives(&bed, 0, 3, 1);
	bed_stop(&bed);
}

/* Strangers fill their own queue, and no more of the kernel's memory than that. */
static void steer__strangers_flood__sessions_queue_is_free(void **state)
{
	uint8_t dgram[1400] = { 1 };
	struct bed bed;
	uint32_t n = 0;

	(void)state;
	prepare_listeners(&bed, "127.0.0.1", NULL, 1);
	bed.opts.buffer = 16 << 20;
	assert_int_equal(steer(&bed, 0, by_first_byte, 2), 0);
	start(&bed, 1);
	for (uint32_t i = 0; i < 20000; i++)
		bed_send(bed.peer, &bed.listen[0], dgram, sizeof(dgram));
	assert_arrives(&bed, 0, 0, 0);
	do {
		lw_batch_reset(bed.b);
		(void)bed_recv(&bed, LW_TAG_STRANGERS);
		n += bed.b->n;
	} while (bed.b->n > 0);
	assert_in_range(n, 300, 2000);
	bed_stop(&bed);
}

static void steer__behind_the_last_listener__there_is_no_such(void **state)
{
	struct bed bed;

	(void)state;
	prepare_listeners(&bed, "127.0.0.1", "127.0.0.2", 2);
	assert_int_equal(steer(&bed, 2, by_first_byte, 2), -ENOENT);
	assert_int_equal(steer(&bed, UINT32_MAX, by_first_byte, 2), -ENOENT);
	bed_stop(&bed);
	bed_start_client(&bed, "127.0.0.1");
	assert_int_equal(steer(&bed, 0, by_first_byte, 2), -ENOENT);
	bed_stop(&bed);
}

/* Refused, all comes to the sockets that there are without it. */
static void steer__program_is_refused__says_so_and_nobody_listens_for_strangers(void **state)
{
	static const struct sock_filter no_end[] = { { .code = BPF_LD | BPF_B | BPF_ABS } };

	(void)state;
	for (uint32_t workers = 1; workers <= 2; workers++) {
		struct bed bed;
		unsigned before;

		prepare_listeners(&bed, "127.0.0.1", NULL, workers);
		before = bed_fds();
		assert_int_equal(steer(&bed, 0, no_end, 1), -EINVAL);
		assert_int_equal(steer(&bed, 0, by_first_byte, 0), -EINVAL);
		assert_int_equal(bed_fds(), before);
		start(&bed, workers);
		assert_int_equal(bed.host.n_watches, workers);
		if (workers == 1)
			assert_arrives(&bed, 0, 1, 0);
		bed_stop(&bed);
	}
}

static void worker_start__cannot_watch_strangers__undoes_all(void **state)
{
	struct bed bed;
	struct lw_fake_worker *fw = &bed.workers[0];

	(void)state;
	prepare_listeners(&bed, "127.0.0.1", "127.0.0.2", 1);
	assert_int_equal(steer(&bed, 0, by_first_byte, 2), 0);
	assert_int_equal(steer(&bed, 1, by_first_byte, 2), 0);
	for (uint32_t room = 0; room < 4; room++) {
		lw_fake_worker_init(fw, &bed.host, &laneway_module, 0);
		for (bed.host.n_watches = 0; bed.host.n_watches < LW_FAKE_WATCHES - room;)
			bed.host.watches[bed.host.n_watches++] = (struct lw_fake_watch){ .fd = -1 };
		assert_true(laneway_module.life->worker_start(bed.inst, &fw->w, &fw->w.state,
		                                              &bed.err) < 0);
		assert_int_equal(bed.host.n_watches, LW_FAKE_WATCHES - room);
		bed.host.n_watches = 0;
	}
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steer__each_family__worker_order_is_socket_order),
		cmocka_unit_test(steer__two_listeners__each_has_a_program_of_its_own),
		cmocka_unit_test(steer__twice__the_second_program_holds),
		cmocka_unit_test(steer__strangers_flood__sessions_queue_is_free),
		cmocka_unit_test(steer__behind_the_last_listener__there_is_no_such),
		cmocka_unit_test(
			steer__program_is_refused__says_so_and_nobody_listens_for_strangers),
		cmocka_unit_test(worker_start__cannot_watch_strangers__undoes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* outside-udp when the kernel refuses: each system call of it is wrapped by the linker. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "test_outside_udp_bed.h"
#include "test_outside_udp_wrap.h"
#include "unit/test.h"

static void fill(struct bed *bed, uint32_t n)
{
	struct lw_addr to = bed_name(bed->peer);

	lw_batch_reset(bed->b);
	for (uint32_t i = 0; i < n; i++)
		lw_fake_batch_add(bed->b, &i, sizeof(i))->endpoint->remote = to;
}

/* Sends the batch as path/ does: what is kept goes again, what is refused is dropped. Answers the
 * number of the dropped packet, or n; *ret_waits: how often it had to wait. */
static uint32_t drive(struct bed *bed, uint32_t n, int *ret_error, uint32_t *ret_waits)
{
	struct lw_batch rest = *bed->b;
	uint32_t dropped = n;

	*ret_waits = 0;
	*ret_error = 0;
	while (rest.n > 0) {
		uint32_t done = UINT32_MAX;
		int r = laneway_module.ops.udp->send(bed->inst, bed_worker(bed, 0), &rest, &done);

		assert_true(done <= rest.n);
		assert_int_equal(r == 0, done == rest.n);
		rest.pkt += done;
		rest.n -= done;
		if (r == -EAGAIN || r == -ENOBUFS) {
			++*ret_waits;
		} else if (r < 0) {
			assert_int_equal(dropped, n);
			assert_int_equal(rest.pkt->status, r);
			*ret_error = r;
			dropped = n - rest.n;
			rest.pkt++;
			rest.n--;
		}
	}
	return dropped;
}

/* the peer must have each of the n numbers once and in order, but not the dropped one */
static void assert_arrived(struct bed *bed, uint32_t n, uint32_t dropped)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t got = UINT32_MAX;

		if (i == dropped)
			continue;
		assert_int_equal(bed_receive(bed->peer, &got, sizeof(got), NULL), sizeof(got));
		assert_int_equal(got, i);
	}
	assert_true(bed_silent(bed->peer));
}

/* what the caller hears of an error that comes once, and of one that stays */
static const struct {
	int error;
	int once;
	int stays;
} rows[] = {
	{ EAGAIN, -EAGAIN, -EAGAIN },       { ENOBUFS, -ENOBUFS, -ENOBUFS },
	{ ENOMEM, -ENOBUFS, -ENOBUFS },     { EINTR, 0, 0 },
	{ EMSGSIZE, -EMSGSIZE, -EMSGSIZE }, { EPERM, -EPERM, -EPERM },
	{ EINVAL, -EINVAL, -EINVAL },       { EIO, -EIO, -EIO },
	{ EOPNOTSUPP, -EIO, -EIO },         { ECONNREFUSED, 0, -ECONNREFUSED },
	{ ENETUNREACH, 0, -ENETUNREACH },   { EHOSTUNREACH, 0, -EHOSTUNREACH },
};

#define STAYS 2 /* twice is as good as for ever: the module tries a message at most twice */

static void one_error(struct bed *bed, size_t row, uint32_t k, uint32_t n, unsigned times)
{
	int want = times == STAYS ? rows[row].stays : rows[row].once;
	bool waits = want == -EAGAIN || want == -ENOBUFS;
	uint32_t waited;
	uint32_t dropped;
	int error;

	(void)wrap_reset(NULL);
	wrap_tx.at = k;
	wrap_tx.times = times;
	wrap_tx.error = rows[row].error;
	fill(bed, n);
	/* a packet that was refused for good leaves the script, and what follows takes its number
	 */
	if (want < 0 && !waits && times == STAYS && rows[row].once < 0)
		wrap_tx.times = 1;
	dropped = drive(bed, n, &error, &waited);
	assert_int_equal(error, waits ? 0 : want);
	assert_int_equal(waited, waits ? times : 0);
	assert_int_equal(dropped, want < 0 && !waits ? k : n);
	assert_arrived(bed, n, dropped);
}

static void send__error_at_any_message__nothing_lost_or_sent_twice(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 63, 64, 65, 100 };
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			for (uint32_t k = 0; k < sizes[s]; k += k < 2 ? 1 : 31) {
				one_error(&bed, row, k, sizes[s], 1);
				one_error(&bed, row, k, sizes[s], STAYS);
			}
			one_error(&bed, row, sizes[s] - 1, sizes[s], 1);
			one_error(&bed, row, sizes[s] - 1, sizes[s], STAYS);
		}
	}
	bed_stop(&bed);
}

static void send__short_counts__every_packet_once_and_in_order(void **state)
{
	struct bed bed;
	uint32_t waits;
	int error;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (uint64_t seed = 1; seed <= 200; seed++) {
		uint64_t random = seed;
		uint32_t n = 1 + (uint32_t)(test_random(&random) % 100);

		(void)wrap_reset(NULL);
		wrap_tx.seed = seed;
		wrap_tx.at = (unsigned)(test_random(&random) % n);
		wrap_tx.times = (unsigned)(test_random(&random) % 4);
		wrap_tx.error = seed % 2 == 0 ? EAGAIN : ENOBUFS;
		fill(&bed, n);
		assert_int_equal(drive(&bed, n, &error, &waits), n);
		assert_arrived(&bed, n, n);
	}
	bed_stop(&bed);
}

static void send__full_batch__is_few_calls(void **state)
{
	struct bed bed;
	uint32_t waits;
	int error;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	fill(&bed, 128);
	(void)drive(&bed, 128, &error, &waits);
	assert_int_equal(wrap_tx.calls, 128 / UDP_TX_BURST);
	assert_arrived(&bed, 128, 128);
	bed_stop(&bed);
}

/* packets of two sockets in turn: order is kept over both, and an error stops both */
static void send__two_sockets_in_turn__order_is_kept(void **state)
{
	struct bed bed;
	struct lw_addr server;
	struct lw_endpoint ep[2];
	uint32_t waits;
	int error;

	(void)state;
	bed_start_client(&bed, "127.0.0.1");
	server = bed_name(bed.peer);
	for (int i = 0; i < 2; i++)
		assert_int_equal(laneway_module.ops.udp->connect(bed.inst, bed_worker(&bed, 0),
		                                                 &server, &ep[i]),
		                 0);
	for (uint32_t k = 0; k < 20; k++) {
		(void)wrap_reset(NULL);
		wrap_tx.at = k;
		wrap_tx.times = 1;
		wrap_tx.error = EAGAIN;
		lw_batch_reset(bed.b);
		for (uint32_t i = 0; i < 20; i++)
			lw_fake_batch_add(bed.b, &i, sizeof(i))->endpoint = &ep[i / 3 % 2];
		assert_int_equal(drive(&bed, 20, &error, &waits), 20);
		assert_int_equal(waits, 1);
		assert_arrived(&bed, 20, 20);
	}
	bed_stop(&bed);
}

static void recv__error_of_an_earlier_packet__costs_no_datagram(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	bed_send(bed.peer, &bed.listen[0], "a", 1);
	bed_send(bed.peer, &bed.listen[0], "b", 1);
	wrap_rx.error = ECONNREFUSED;
	wrap_rx.times = 3;
	bed_collect(&bed, 0, 0, 2);
	assert_int_equal(lw_packet_data(&bed.b->pkt[0])[0], 'a');
	assert_int_equal(lw_packet_data(&bed.b->pkt[1])[0], 'b');
	assert_int_equal(lw_fake_counter(&bed.workers[0], &laneway_module, "recv_errors"), 3);
	bed_stop(&bed);
}

/* Not -EAGAIN: a datagram may wait for which no edge will come. Not for ever either. */
static void recv__errors_without_end__left_to_the_next_round(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	wrap_rx.error = EHOSTUNREACH;
	wrap_rx.times = 1000;
	assert_int_equal(bed_recv(&bed, 0), 0);
	assert_true(wrap_rx.calls < 20);
	assert_int_equal(bed.b->n, 0);
	assert_int_equal(bed.b->arena_used, 0);
	bed_stop(&bed);
}

static void recv__broken_descriptor__is_dead(void **state)
{
	static const int errors[] = { EBADF, ENOTSOCK, EINVAL, EFAULT };
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		wrap_rx.error = errors[i];
		wrap_rx.times = 1;
		assert_int_equal(bed_recv(&bed, 0), -errors[i]);
	}
	bed_stop(&bed);
}

static void recv__drained__saves_the_call_that_would_say_so(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (int i = 0; i < 40; i++)
		bed_send(bed.peer, &bed.listen[0], "x", 1);
	assert_int_equal(bed_recv(&bed, 0), -EAGAIN);
	assert_int_equal(bed.b->n, 40);
	assert_int_equal(wrap_rx.calls, 2);
	bed_stop(&bed);
}

/* Fails the nth call that opens or allocates, for every n there is. What must work without it (the
 * size of a buffer) does; anything else leaves no descriptor and says why. */
static void prepare__each_step_failing__leaves_nothing_open(void **state)
{
	unsigned fds = bed_fds();
	unsigned failed = 0;
	struct bed bed;
	int r;

	(void)state;
	for (unsigned n = 1;; n++) {
		bool reached;

		bed_create(&bed, "0.0.0.0", bed_has_ipv6() ? "::" : NULL, bed_free_port());
		wrap_fail_calls = 0;
		wrap_fail_at = n;
		r = bed_prepare(&bed, 3, LW_ROLE_SERVER);
		reached = wrap_fail_calls >= n;
		wrap_fail_at = 0;
		if (r < 0) {
			failed++;
			assert_true(bed.err.text[0] != '\0');
			assert_int_equal(bed_fds(), fds);
		}
		bed_stop(&bed);
		assert_int_equal(bed_fds(), fds);
		if (!reached)
			break;
	}
	assert_int_equal(r, 0);
	assert_true(failed > 15);
}

static void create__no_memory__fails(void **state)
{
	struct udp_options o = { .buffer = 65536 };
	struct lw_fake_host host;
	struct lw_err err;
	const void *conf;
	void *inst;

	(void)state;
	lw_fake_host_init(&host);
	wrap_fail_at = 1;
	assert_int_equal(laneway_module.life->create(&host.host, &o, &inst, &conf, &err), -ENOMEM);
	laneway_module.life->destroy(NULL);
}

static int watches_left;
static int (*real_watch)(const struct lw_host *h, struct lw_worker *w, int fd, uint32_t tag);

static int failing_watch(const struct lw_host *h, struct lw_worker *w, int fd, uint32_t tag)
{
	return watches_left-- > 0 ? real_watch(h, w, fd, tag) : -ENOSPC;
}

static void worker_start__each_step_failing__watches_nothing(void **state)
{
	struct bed bed;
	void *ws = NULL;

	(void)state;
	if (!bed_has_ipv6())
		skip();
	bed_create(&bed, "0.0.0.0", "::", bed_free_port());
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), 0);
	lw_fake_worker_init(&bed.workers[0], &bed.host, &laneway_module, 0);
	real_watch = bed.host.host.watch;
	bed.host.host.watch = failing_watch;
	for (watches_left = 0; watches_left < 2;) {
		int left = watches_left;

		assert_int_equal(laneway_module.life->worker_start(bed.inst, bed_worker(&bed, 0),
		                                                   &ws, &bed.err),
		                 -ENOSPC);
		assert_int_equal(bed.host.n_watches, 0);
		watches_left = left + 1;
	}
	for (wrap_fail_at = 1; wrap_fail_at <= 2; wrap_fail_at++) {
		wrap_fail_calls = 0;
		assert_int_equal(laneway_module.life->worker_start(bed.inst, bed_worker(&bed, 0),
		                                                   &ws, &bed.err),
		                 -ENOMEM);
	}
	assert_null(ws);
	bed_stop(&bed);
}

static void connect__each_step_failing__leaves_nothing_open(void **state)
{
	struct bed bed;
	struct lw_addr server;
	struct lw_endpoint ep;
	unsigned fds;
	unsigned n;

	(void)state;
	bed_start_client(&bed, "127.0.0.1");
	server = bed_name(bed.peer);
	fds = bed_fds();
	for (n = 1;; n++) {
		wrap_fail_calls = 0;
		wrap_fail_at = n;
		if (laneway_module.ops.udp->connect(bed.inst, bed_worker(&bed, 0), &server, &ep) ==
		    0)
			break;
		assert_int_equal(bed_fds(), fds);
		assert_int_equal(bed.host.n_watches, 0);
	}
	/* socket, two options, bind; the table grew at the second try, buffers may stay small */
	assert_int_equal(n, 5);
	laneway_module.ops.udp->close(bed.inst, bed_worker(&bed, 0), ep.tag);
	wrap_fail_at = 0;
	real_watch = bed.host.host.watch;
	bed.host.host.watch = failing_watch;
	watches_left = 0;
	assert_int_equal(
		laneway_module.ops.udp->connect(bed.inst, bed_worker(&bed, 0), &server, &ep),
		-ENOSPC);
	assert_int_equal(bed_fds(), fds);
	bed_stop(&bed);
}

/* Without privilege the kernel gives net.core.rmem_max at most, silently; we say it, once. */
static void prepare__small_buffers__one_warning_with_the_knob(void **state)
{
	struct bed bed;

	(void)state;
	bed_create(&bed, "127.0.0.1", "127.0.0.2", bed_free_port());
	bed.opts.buffer = 1 << 30;
	wrap_no_force = true;
	assert_int_equal(bed_prepare(&bed, 2, LW_ROLE_SERVER), 0);
	assert_int_equal(bed.host.n_logs[LW_LOG_WARN], 1);
	assert_non_null(strstr(bed.host.last_log, "net.core.rmem_max"));
	bed_stop(&bed);
	bed_create(&bed, "127.0.0.1", NULL, bed_free_port());
	bed.opts.buffer = 65536;
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), 0);
	assert_int_equal(bed.host.n_logs[LW_LOG_WARN], 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(send__error_at_any_message__nothing_lost_or_sent_twice,
		                       wrap_reset),
		cmocka_unit_test_setup(send__short_counts__every_packet_once_and_in_order,
		                       wrap_reset),
		cmocka_unit_test_setup(send__full_batch__is_few_calls, wrap_reset),
		cmocka_unit_test_setup(send__two_sockets_in_turn__order_is_kept, wrap_reset),
		cmocka_unit_test_setup(recv__error_of_an_earlier_packet__costs_no_datagram,
		                       wrap_reset),
		cmocka_unit_test_setup(recv__errors_without_end__left_to_the_next_round,
		                       wrap_reset),
		cmocka_unit_test_setup(recv__broken_descriptor__is_dead, wrap_reset),
		cmocka_unit_test_setup(recv__drained__saves_the_call_that_would_say_so, wrap_reset),
		cmocka_unit_test_setup(prepare__each_step_failing__leaves_nothing_open, wrap_reset),
		cmocka_unit_test_setup(create__no_memory__fails, wrap_reset),
		cmocka_unit_test_setup(worker_start__each_step_failing__watches_nothing,
		                       wrap_reset),
		cmocka_unit_test_setup(connect__each_step_failing__leaves_nothing_open, wrap_reset),
		cmocka_unit_test_setup(prepare__small_buffers__one_warning_with_the_knob,
		                       wrap_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

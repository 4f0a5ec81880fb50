/* SPDX-License-Identifier: MIT */
/* outside-udp when kernel, device or path refuse runs: nothing is lost that was not said to be. */
#include <errno.h>
#include <unistd.h>

#include "test_outside_udp_bed.h"
#include "test_outside_udp_wrap.h"
#include "unit/test.h"

#define BOTH   ((uint64_t)LW_CAP_GSO | LW_CAP_GRO)
#define STRIDE 100

/* one datagram that must arrive, unless send() said otherwise */
struct dgram {
	uint64_t at;
	uint32_t len;
	bool dropped;
};

static struct dgram dgrams[1024];
static uint32_t n_dgrams;

/* what a batch went through */
static struct outcome {
	uint32_t waits;
	uint32_t cut;
	uint32_t dropped;
	int error; /* the last that dropped something */
} out;

static struct lw_endpoint peer;
static struct lw_batch *singles; /* a run that was cut: views */

static void begin(struct bed *bed)
{
	lw_batch_reset(bed->b);
	n_dgrams = 0;
	out = (struct outcome){ .waits = 0 };
	peer = (struct lw_endpoint){ .remote = bed_name(bed->peer) };
}

/* n datagrams of the stride, the last one shorter; n 1: a single one */
static void add(struct bed *bed, uint32_t n)
{
	uint64_t at = n_dgrams == 0 ? 0 : dgrams[n_dgrams - 1].at + dgrams[n_dgrams - 1].len;
	uint32_t len = n * STRIDE - n;

	bed_add_run(bed, &peer, at, len, n > 1 ? STRIDE : 0)->core[0] = n_dgrams;
	for (; len > 0; n_dgrams++) {
		uint32_t piece = len < STRIDE ? len : STRIDE;

		dgrams[n_dgrams] = (struct dgram){ .at = at, .len = piece };
		at += piece;
		len -= piece;
	}
}

static void drop(const struct lw_packet *p, int r)
{
	uint32_t first = (uint32_t)p->core[0];
	uint32_t n = p->gso_size > 0 ? (p->len + p->gso_size - 1u) / p->gso_size : 1;

	assert_int_equal(p->status, r);
	for (uint32_t i = first; i < first + n; i++) {
		assert_false(dgrams[i].dropped);
		dgrams[i].dropped = true;
		out.dropped++;
	}
	out.error = r;
}

/* views of a run's datagrams */
static void cut(const struct lw_packet *run)
{
	uint32_t n = 0;

	lw_batch_reset(singles);
	for (uint32_t at = 0; at < run->len; at += run->gso_size) {
		struct lw_packet *p = &singles->pkt[singles->n++];
		uint32_t left = run->len - at;

		assert_true(singles->n <= singles->cap);
		*p = *run;
		p->off += at;
		p->len = left < run->gso_size ? left : run->gso_size;
		p->gso_size = 0;
		p->gso_type = LW_GSO_NONE;
		p->core[0] = run->core[0] + n++;
	}
}

/* Sends as the core does: what is kept goes again, a run that was refused goes one by one, a single
 * packet that was refused is dropped. */
static void drive(struct bed *bed, struct lw_batch rest)
{
	while (rest.n > 0) {
		uint32_t done = UINT32_MAX;
		int r = laneway_module.ops.udp->send(bed->inst, bed_worker(bed, 0), &rest, &done);
		bool run;

		assert_true(done <= rest.n);
		assert_int_equal(r == 0, done == rest.n);
		rest.pkt += done;
		rest.n -= done;
		if (r == 0)
			return;
		if (r == -EAGAIN || r == -ENOBUFS) {
			out.waits++;
			continue;
		}
		run = rest.pkt->gso_size > 0;
		assert_true(run || r != -EOPNOTSUPP);
		if (run && (r == -EOPNOTSUPP || r == -EMSGSIZE)) {
			out.cut++;
			cut(rest.pkt);
			drive(bed, *singles);
		} else {
			drop(rest.pkt, r);
		}
		rest.pkt++;
		rest.n--;
	}
}

static void assert_arrived(struct bed *bed)
{
	for (uint32_t i = 0; i < n_dgrams; i++) {
		if (!dgrams[i].dropped)
			bed_expect(bed->peer, dgrams[i].at, dgrams[i].len, 0);
	}
	assert_true(bed_silent(bed->peer));
}

/* what a run that meets an error once, and twice, is told, and what counts that; 0: it went at the
 * second try */
static const struct row {
	int error;
	int once;
	int twice;
	const char *counter;
} rows[] = {
	{ EIO, -EOPNOTSUPP, -EOPNOTSUPP, "send_runs_refused" },
	{ EINVAL, -EOPNOTSUPP, -EOPNOTSUPP, "send_runs_refused" },
	{ EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP, "send_runs_refused" },
	{ ENOPROTOOPT, 0, -EOPNOTSUPP, "send_runs_refused" },
	{ EMSGSIZE, -EMSGSIZE, -EMSGSIZE, "send_runs_refused" },
	{ ENOBUFS, -ENOBUFS, -ENOBUFS, "send_nobufs" },
	{ ENOMEM, -ENOBUFS, -ENOBUFS, "send_nobufs" },
	{ EAGAIN, -EAGAIN, -EAGAIN, "send_blocked" },
	{ EPERM, -EPERM, -EPERM, "send_errors" },
	{ ECONNREFUSED, 0, -ECONNREFUSED, "send_errors" },
	{ EHOSTUNREACH, 0, -EHOSTUNREACH, "send_errors" },
	{ ENETUNREACH, 0, -ENETUNREACH, "send_errors" },
	{ EINTR, 0, 0, "send_errors" },
};

/* before runs, a run, and more behind it: the run fails */
static void one_row(struct bed *bed, const struct row *row, uint32_t before, unsigned times)
{
	int want = times == 1 ? row->once : row->twice;
	uint64_t counted = bed_counter(bed, row->counter);
	uint32_t done = UINT32_MAX;
	struct lw_batch rest;

	(void)wrap_reset(NULL);
	begin(bed);
	for (uint32_t i = 0; i < before; i++)
		add(bed, 1 + i % 3);
	add(bed, 20);
	add(bed, 1);
	add(bed, 20);
	wrap_tx.at = before;
	wrap_tx.error = row->error;
	wrap_tx.times = times;
	assert_int_equal(bed_send_batch(bed, &done), want);
	assert_int_equal(done, want == 0 ? before + 3 : before);
	assert_int_equal(bed->b->pkt[before].status, want == -EOPNOTSUPP ? -row->error : want);
	assert_int_equal(bed_counter(bed, row->counter), counted + (want != 0));
	rest = *bed->b;
	rest.pkt += done;
	rest.n -= done;
	/* the error is over now, so that the core's second try passes */
	wrap_tx.times = 0;
	if (want == -EOPNOTSUPP || want == -EMSGSIZE) {
		cut(rest.pkt);
		drive(bed, *singles);
	} else if (want != 0 && want != -EAGAIN && want != -ENOBUFS) {
		drop(rest.pkt, want);
	} else {
		rest.pkt--;
		rest.n++;
	}
	rest.pkt++;
	rest.n--;
	if (done < bed->b->n)
		drive(bed, rest);
	assert_arrived(bed);
}

static void send__error_of_a_run__says_what_it_is(void **state)
{
	static const uint32_t places[] = { 0, 1, 2, 62, 63, 64, 65, 100 };
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", BOTH);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			one_row(&bed, &rows[i], places[k], 1);
			one_row(&bed, &rows[i], places[k], 2);
		}
	}
	bed_stop(&bed);
}

/* a batch of anything; answers how many messages it is */
static uint32_t add_any(struct bed *bed, uint64_t *seed)
{
	uint32_t n = 0;

	while (n < 100 && n_dgrams < 200) {
		uint64_t r = test_random(seed);

		add(bed, r % 3 == 0 ? 1 : 2 + (uint32_t)(r >> 8) % 30);
		n++;
	}
	return n;
}

/* Whatever fails, wherever, and however short the counts are: each datagram arrives once and in
 * order, or was said to be refused. */
static void send__any_error_anywhere__each_datagram_once_or_reported(void **state)
{
	uint64_t seed = 1789;
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", BOTH);
	for (int round = 0; round < 3000; round++) {
		const struct row *row =
			&rows[test_random(&seed) % (sizeof(rows) / sizeof(rows[0]))];
		uint32_t n;

		(void)wrap_reset(NULL);
		begin(&bed);
		n = add_any(&bed, &seed);
		wrap_tx.at = (unsigned)(test_random(&seed) % (n + 1));
		wrap_tx.times = (unsigned)(test_random(&seed) % 4);
		wrap_tx.error = row->error;
		wrap_tx.seed = test_random(&seed) % 2 == 0 ? test_random(&seed) : 0;
		if (test_random(&seed) % 4 == 0)
			wrap_tx.run_error = EIO;
		drive(&bed, *bed.b);
		assert_arrived(&bed);
		/* only errors of a packet of its own cost one, and one message at most at a time */
		if (row->once == -EAGAIN || row->once == -ENOBUFS || row->error == EINTR)
			assert_int_equal(out.dropped, 0);
	}
	bed_stop(&bed);
}

/* a device that takes no run at all */
static void send__every_run_refused__all_arrives_one_by_one(void **state)
{
	static const int errors[] = { EIO, EINVAL, EOPNOTSUPP, ENOPROTOOPT, EMSGSIZE };
	uint64_t seed = 1848;
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", BOTH);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		uint64_t refused = bed_counter(&bed, "send_runs_refused");
		uint32_t runs = 0;

		(void)wrap_reset(NULL);
		begin(&bed);
		(void)add_any(&bed, &seed);
		wrap_tx.run_error = errors[i];
		LW_BATCH_FOREACH (p, bed.b)
			runs += p->gso_size > 0;
		drive(&bed, *bed.b);
		assert_int_equal(out.cut, runs);
		assert_int_equal(out.dropped, 0);
		assert_int_equal(bed_counter(&bed, "send_runs_refused"), refused + runs);
		assert_arrived(&bed);
	}
	assert_int_equal(bed_counter(&bed, "send_errors"), 0);
	assert_int_equal(bed_counter(&bed, "send_runs"), 0);
	bed_stop(&bed);
}

/* -EOPNOTSUPP asks for cutting: of a single packet, and of a run of one, it must not be said */
static void send__single_refused__is_not_asked_to_be_cut(void **state)
{
	static const int errors[] = { EIO, EINVAL, EOPNOTSUPP, ENOPROTOOPT };
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", BOTH);
	for (size_t i = 0; i < 2 * sizeof(errors) / sizeof(errors[0]); i++) {
		int error = errors[i / 2];
		uint32_t done;

		(void)wrap_reset(NULL);
		begin(&bed);
		add(&bed, 1);
		bed.b->pkt[0].gso_type = i % 2 == 0 ? LW_GSO_NONE : LW_GSO_RUN;
		bed.b->pkt[0].gso_size = i % 2 == 0 ? 0 : STRIDE;
		wrap_tx.times = 2;
		wrap_tx.error = error;
		assert_int_equal(bed_send_batch(&bed, &done), error == EOPNOTSUPP ? -EIO : -error);
		assert_int_equal(done, 0);
	}
	assert_int_equal(bed_counter(&bed, "send_runs_refused"), 0);
	assert_int_equal(bed_counter(&bed, "send_errors"), 8);
	bed_stop(&bed);
}

/* all runs of a batch leave in one call, whatever their destinations and strides are */
static void send__runs_of_a_batch__leave_in_one_call(void **state)
{
	struct lw_endpoint eps[4];
	struct bed bed;
	uint32_t done;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", BOTH);
	begin(&bed);
	for (uint32_t i = 0; i < UDP_TX_BURST; i++) {
		eps[i % 4] = peer;
		eps[i % 4].tos = (uint8_t)(i % 4 * 4);
		bed_add_run(&bed, &eps[i % 4], (uint64_t)i * 300, 300, (uint16_t)(100 + i / 4 % 3));
	}
	assert_int_equal(bed_send_batch(&bed, &done), 0);
	assert_int_equal(wrap_tx.calls, 1);
	for (uint32_t i = 0; i < UDP_TX_BURST; i++)
		bed_expect(bed.peer, (uint64_t)i * 300, 300, (uint16_t)(100 + i / 4 % 3));
	bed_stop(&bed);
}

/* what a message of a receiving call becomes; each changes one thing in all of them */
static int spoiled_stride;

static void set_stride(struct mmsghdr *msg, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct msghdr *h = &msg[i].msg_hdr;

		for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
			if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
				memcpy(CMSG_DATA(c), &spoiled_stride, sizeof(spoiled_stride));
		}
	}
}

static void lose_control(struct mmsghdr *msg, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		msg[i].msg_hdr.msg_controllen = 0;
		msg[i].msg_hdr.msg_flags |= MSG_CTRUNC;
	}
}

/* the kernel had room for the first byte of the stride only */
static void lose_stride(struct mmsghdr *msg, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct msghdr *h = &msg[i].msg_hdr;

		for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
			if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
				h->msg_controllen -= 3;
				c->cmsg_len -= 3;
			}
		}
		h->msg_flags |= MSG_CTRUNC;
	}
}

static void cut_data(struct mmsghdr *msg, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		msg[i].msg_hdr.msg_flags |= MSG_TRUNC;
}

/* a run of 10 datagrams of 100 bytes to a listener; answers how many packets it became */
static uint32_t receive_spoiled(struct bed *bed, void (*spoil)(struct mmsghdr *msg, unsigned n))
{
	uint32_t done;

	lw_batch_reset(bed->b);
	peer = (struct lw_endpoint){ .remote = bed->listen[0] };
	bed_add_run(bed, &peer, 0, 1000, STRIDE);
	assert_int_equal(bed_send_batch(bed, &done), 0);
	lw_batch_reset(bed->b);
	wrap_rx.spoil = spoil;
	assert_int_equal(bed_recv(bed, 0), -EAGAIN);
	wrap_rx.spoil = NULL;
	return bed->b->n;
}

static void recv__stride_without_sense__dropped_and_counted(void **state)
{
	static const int bad[] = { 0, -1, -100, 1001, 65536, 65636, INT32_MIN, INT32_MAX };
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", BOTH);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		spoiled_stride = bad[i];
		assert_int_equal(receive_spoiled(&bed, set_stride), 0);
		assert_int_equal(bed_counter(&bed, "recv_run_invalid"), i + 1);
	}
	spoiled_stride = 1000; /* all of it: one datagram */
	assert_int_equal(receive_spoiled(&bed, set_stride), 1);
	assert_int_equal(bed.b->pkt[0].gso_size, 0);
	assert_int_equal(bed.b->pkt[0].len, 1000);
	spoiled_stride = 999;
	assert_int_equal(receive_spoiled(&bed, set_stride), 1);
	assert_int_equal(bed.b->pkt[0].gso_size, 999);
	assert_int_equal(receive_spoiled(&bed, NULL), 1);
	assert_int_equal(bed.b->pkt[0].gso_size, STRIDE);
	bed_stop(&bed);
}

/* Where the stride may have been in what did not fit, the message cannot be cut. */
static void recv__control_data_cut__dropped_and_counted(void **state)
{
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", BOTH);
	assert_int_equal(receive_spoiled(&bed, lose_control), 0);
	assert_int_equal(receive_spoiled(&bed, lose_stride), 0);
	assert_int_equal(bed_counter(&bed, "recv_run_invalid"), 2);
	assert_int_equal(receive_spoiled(&bed, cut_data), 0);
	assert_int_equal(bed_counter(&bed, "recv_truncated"), 1);
	assert_int_equal(bed_counter(&bed, "recv_datagrams"), 0);
	bed_stop(&bed);
}

/* Strangers cannot hold a worker: a call ends before all of it is read, and says that there may be
 * more. */
static void recv__flood_of_what_is_dropped__left_to_the_next_round(void **state)
{
	struct lw_addr from;
	struct lw_addr server;
	struct lw_endpoint ep;
	struct bed bed;
	uint32_t done;
	int stranger;
	int r;

	(void)state;
	bed_start_client_runs(&bed, "127.0.0.1", BOTH);
	server = bed_name(bed.peer);
	ep = bed_connect(&bed, &server);
	bed_add_run(&bed, &ep, 0, 1, 0);
	assert_int_equal(bed_send_batch(&bed, &done), 0);
	assert_int_equal(bed_receive(bed.peer, &done, 1, &from), 1);
	stranger = bed_socket("127.0.0.1", 0);
	for (int i = 0; i < 200; i++)
		bed_send(stranger, &from, "x", 1);
	bed_send(bed.peer, &from, "y", 1);
	lw_batch_reset(bed.b);
	assert_int_equal(bed_recv(&bed, ep.tag), 0);
	assert_int_equal(bed.b->n, 0);
	assert_int_equal(bed.b->arena_used, 0);
	assert_true(wrap_rx.calls <= 8);
	r = bed_recv(&bed, ep.tag);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(bed.b->n, 1);
	assert_int_equal(bed_counter(&bed, "recv_foreign"), 200);
	(void)close(stranger);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(send__error_of_a_run__says_what_it_is, wrap_reset),
		cmocka_unit_test_setup(send__any_error_anywhere__each_datagram_once_or_reported,
		                       wrap_reset),
		cmocka_unit_test_setup(send__every_run_refused__all_arrives_one_by_one, wrap_reset),
		cmocka_unit_test_setup(send__single_refused__is_not_asked_to_be_cut, wrap_reset),
		cmocka_unit_test_setup(send__runs_of_a_batch__leave_in_one_call, wrap_reset),
		cmocka_unit_test_setup(recv__stride_without_sense__dropped_and_counted, wrap_reset),
		cmocka_unit_test_setup(recv__control_data_cut__dropped_and_counted, wrap_reset),
		cmocka_unit_test_setup(recv__flood_of_what_is_dropped__left_to_the_next_round,
		                       wrap_reset),
	};
	int failed;

	singles = lw_fake_batch_create(64, 64, true);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	lw_fake_batch_destroy(singles);
	return failed;
}

/* SPDX-License-Identifier: MIT */
/* outside-udp on loopback: runs of datagrams, out and in. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/addr.h"
#include "test_outside_udp_bed.h"
#include "unit/test.h"

#define BOTH           ((uint64_t)LW_CAP_GSO | LW_CAP_GRO)
#define ROUNDS         300
#define PIECES_PACKETS 30 /* what a socket with the usual buffer holds */

static void need_ipv6(void)
{
	if (!bed_has_ipv6()) {
		print_message("no IPv6 on this machine\n");
		skip();
	}
}

static void assert_addr(const struct lw_addr *got, const struct lw_addr *want)
{
	char a[LW_ADDR_TEXT_MAX];
	char b[LW_ADDR_TEXT_MAX];

	assert_string_equal(lw_addr_format(got, a), lw_addr_format(want, b));
}

static void send_all(struct bed *bed)
{
	uint32_t done = 0;

	assert_int_equal(bed_send_batch(bed, &done), 0);
	assert_int_equal(done, bed->b->n);
}

/* bytes of a run of up to `most` datagrams of a stride, the last one of any length */
static uint32_t random_run(uint64_t *seed, uint16_t stride, uint32_t most)
{
	uint32_t n = 1 + (uint32_t)(test_random(seed) % most);
	uint32_t last = 1 + (uint32_t)(test_random(seed) % stride);
	uint32_t len = (n - 1u) * stride + last;

	return len <= UDP_RUN_MAX ? len : UDP_RUN_MAX / stride * stride;
}

static void every_stride(const char *listen0)
{
	struct lw_endpoint ep = { .tag = 0 };
	uint64_t seed = 4711;
	uint64_t at = 0;
	struct bed bed;

	bed_start_runs(&bed, listen0, LW_CAP_GSO);
	assert_int_equal(bed.caps.max_segs, 63);
	assert_int_equal(bed.caps.max_bytes, 65456);
	ep.remote = bed_name(bed.peer);
	for (uint16_t stride = 1; stride <= 1472; stride++) {
		uint32_t len = random_run(&seed, stride, 63);

		lw_batch_reset(bed.b);
		bed_add_run(&bed, &ep, at, len, stride);
		send_all(&bed);
		bed_expect(bed.peer, at, len, stride);
		at += len;
	}
	assert_true(bed_silent(bed.peer));
	bed_stop(&bed);
}

static void send__strides_of_1_to_1472__cut_exactly_v4(void **state)
{
	(void)state;
	every_stride("127.0.0.1");
}

static void send__strides_of_1_to_1472__cut_exactly_v6(void **state)
{
	(void)state;
	need_ipv6();
	every_stride("::1");
}

/* the longest runs there are: 63 datagrams, and 65,507 bytes */
static void send__largest_runs__pass(void **state)
{
	static const struct {
		uint32_t len;
		uint16_t stride;
	} rows[] = { { 63, 1 },        { 63 * 1039, 1039 }, { 62 * 1039 + 1, 1039 },
		     { 65507, 1472 },  { 45 * 1448, 1448 }, { 65507, 65506 },
		     { 65507, 32754 }, { 65506, 32753 },    { 2, 1 } };
	struct lw_endpoint ep = { .tag = 0 };
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", LW_CAP_GSO);
	ep.remote = bed_name(bed.peer);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		lw_batch_reset(bed.b);
		bed_add_run(&bed, &ep, i, rows[i].len, rows[i].stride);
		send_all(&bed);
		bed_expect(bed.peer, i, rows[i].len, rows[i].stride);
	}
	assert_true(bed_silent(bed.peer));
	assert_int_equal(bed_counter(&bed, "send_runs"), 9);
	assert_int_equal(bed_counter(&bed, "send_datagrams"), 63 * 3 + 45 + 45 + 2 * 4);
	assert_int_equal(bed_counter(&bed, "send_run_datagrams"), 63 * 3 + 45 + 45 + 2 * 4);
	bed_stop(&bed);
}

/* a run of one datagram, and one that is shorter than its stride, are single datagrams */
static void send__run_of_one__is_a_single(void **state)
{
	struct lw_endpoint ep = { .tag = 0 };
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", LW_CAP_GSO);
	ep.remote = bed_name(bed.peer);
	bed_add_run(&bed, &ep, 0, 700, 700);
	bed_add_run(&bed, &ep, 700, 600, 700);
	bed_add_run(&bed, &ep, 1300, 0, 700);
	bed_add_run(&bed, &ep, 1300, 3000, 0)->gso_type = LW_GSO_RUN;
	send_all(&bed);
	bed_expect(bed.peer, 0, 700, 0);
	bed_expect(bed.peer, 700, 600, 0);
	assert_int_equal(bed_receive(bed.peer, &ep, sizeof(ep), NULL), 0);
	bed_expect(bed.peer, 1300, 3000, 0);
	assert_int_equal(bed_counter(&bed, "send_runs"), 0);
	assert_int_equal(bed_counter(&bed, "send_datagrams"), 4);
	bed_stop(&bed);
}

/* A packet whose bytes are a view, in up to 8 pieces. */
static void add_pieces(struct bed *bed, struct lw_endpoint *ep, uint8_t *bytes, uint32_t len,
                       uint16_t stride, uint32_t parts, struct iovec *more)
{
	struct lw_packet *p = lw_batch_reserve(bed->b, 0);
	uint32_t piece = len / (parts + 1);

	assert_non_null(p);
	(void)lw_batch_commit(bed->b, 0);
	p->buf = bytes;
	p->off = 0;
	p->len = parts > 0 ? piece : len;
	p->endpoint = ep;
	p->gso_size = stride;
	p->gso_type = stride > 0 ? LW_GSO_RUN : LW_GSO_NONE;
	p->more = more;
	p->more_len = len - p->len;
	for (p->n_more = 0; p->n_more < parts; p->n_more++) {
		uint32_t at = piece * (p->n_more + 1u);
		uint32_t n = p->n_more + 1u == parts ? len - at : piece;

		more[p->n_more] = (struct iovec){ .iov_base = bytes + at, .iov_len = n };
	}
}

/* Two sessions with runs of several strides and single datagrams among them, their bytes in pieces:
 * each session's datagrams in order, and all of a session's bytes. */
static void send__runs_of_two_sessions_in_pieces__each_in_order(void **state)
{
	static uint8_t bytes[65536];
	static struct iovec more[PIECES_PACKETS][8];
	struct lw_endpoint ep[2] = { { .tag = 0 }, { .tag = 0 } };
	uint32_t at[2] = { 0, 0 };
	uint64_t seed = 815;
	struct bed bed;
	int other;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", LW_CAP_GSO);
	other = bed_socket("127.0.0.2", 0);
	ep[0].remote = bed_name(bed.peer);
	ep[1].remote = bed_name(other);
	bed_bytes(bytes, 0, sizeof(bytes));
	for (uint32_t i = 0; i < PIECES_PACKETS; i++) {
		uint32_t who = test_random(&seed) % 3 == 0;
		uint32_t parts = (uint32_t)(test_random(&seed) % 8);
		uint16_t stride = (uint16_t)(100 + test_random(&seed) % 3);
		uint32_t len = random_run(&seed, stride, 10);

		if (test_random(&seed) % 4 == 0)
			stride = 0;
		add_pieces(&bed, &ep[who], bytes + at[who], len, stride, parts, more[i]);
		at[who] += len;
	}
	send_all(&bed);
	LW_BATCH_FOREACH (p, bed.b)
		bed_expect(p->endpoint == ep ? bed.peer : other, (uint64_t)(p->buf - bytes),
		           p->len + p->more_len, p->gso_size);
	assert_true(bed_silent(bed.peer));
	assert_true(bed_silent(other));
	(void)close(other);
	bed_stop(&bed);
}

/* one datagram at a plain socket: who sent it, and its traffic class */
static void expect_from(int fd, const struct lw_addr *want, uint8_t tos)
{
	union udp_control control;
	union udp_name name;
	uint8_t bytes[2048];
	struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	struct msghdr h = { .msg_name = &name,
		            .msg_namelen = sizeof(name),
		            .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = &control,
		            .msg_controllen = sizeof(control) };
	struct lw_addr from;

	assert_true(recvmsg(fd, &h, 0) > 0);
	assert_true(lw_udp_name_get(&name, &from));
	assert_addr(&from, want);
	assert_true(h.msg_controllen > CMSG_LEN(0));
	assert_int_equal(control.bytes[CMSG_LEN(0)], tos);
}

/* source address, traffic class and stride at once, of a listener on the unspecified address; a run
 * between two single datagrams of the same endpoint */
static void wildcard(const char *listen0, const char *called, int level, int name)
{
	struct lw_addr to = bed_addr(called);
	int one = 1;
	struct bed bed;

	bed_start_runs(&bed, listen0, LW_CAP_GSO);
	assert_int_equal(setsockopt(bed.peer, level, name, &one, sizeof(one)), 0);
	to.port = bed.listen[0].port;
	bed_send(bed.peer, &to, "x", 1);
	bed_collect(&bed, 0, 0, 1);
	assert_addr(&bed.b->ep[0].local, &to);
	bed.b->ep[0].tos = 0xb8;
	for (int i = 0; i < 3; i++)
		bed_add_run(&bed, &bed.b->ep[0], 0, 1000, i == 1 ? 100 : 0);
	send_all(&bed);
	for (int i = 0; i < 1 + 1 + 10 + 1; i++)
		expect_from(bed.peer, &to, 0xb8);
	assert_true(bed_silent(bed.peer));
	bed_stop(&bed);
}

static void wildcard__v4__runs_leave_from_the_address_called(void **state)
{
	(void)state;
	wildcard("0.0.0.0", "127.0.0.2", IPPROTO_IP, IP_RECVTOS);
	wildcard("0.0.0.0", "127.9.8.7", IPPROTO_IP, IP_RECVTOS);
}

static void wildcard__v6__runs_leave_from_the_address_called(void **state)
{
	(void)state;
	need_ipv6();
	wildcard("::", "::1", IPPROTO_IPV6, IPV6_RECVTCLASS);
}

/* a plain socket that sends n datagrams of one stride in one piece, last bytes short of the last */
static void plain_run(int fd, const struct lw_addr *to, uint64_t at, uint32_t len, uint16_t stride)
{
	static uint8_t bytes[65536];
	union udp_name name;
	union udp_control control = { .align = 0 };
	struct iovec iov = { .iov_base = bytes, .iov_len = len };
	struct msghdr h = { .msg_name = &name,
		            .msg_namelen = lw_udp_name_set(&name, to),
		            .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = &control,
		            .msg_controllen = CMSG_SPACE(sizeof(stride)) };
	struct cmsghdr c = { .cmsg_level = SOL_UDP,
		             .cmsg_type = UDP_SEGMENT,
		             .cmsg_len = CMSG_LEN(sizeof(stride)) };

	bed_bytes(bytes, at, len);
	memcpy(control.bytes, &c, sizeof(c));
	memcpy(control.bytes + CMSG_LEN(0), &stride, sizeof(stride));
	if (stride == 0)
		h.msg_controllen = 0;
	assert_int_equal(sendmsg(fd, &h, 0), len);
}

static void assert_packet(const struct lw_packet *p, uint64_t at, uint32_t len, uint16_t stride)
{
	static uint8_t want[65536];

	assert_int_equal(p->len, len);
	assert_int_equal(p->gso_size, stride < len ? stride : 0);
	assert_int_equal(p->gso_type, p->gso_size > 0 ? LW_GSO_RUN : LW_GSO_NONE);
	assert_true(p->off + p->len <= p->cap);
	bed_bytes(want, at, len);
	assert_memory_equal(lw_packet_data(p), want, len);
}

static void whole_runs(const char *listen0)
{
	static const struct {
		uint32_t len;
		uint16_t stride;
	} rows[] = { { 64000, 500 }, { 128, 1 },     { UDP_RUN_MAX, 1472 }, { UDP_RUN_MAX, 32728 },
		     { 1401, 1400 }, { 1400, 1400 }, { 63 * 100, 100 },     { 2, 1 } };
	const size_t n = sizeof(rows) / sizeof(rows[0]);
	uint64_t datagrams = 0;
	struct bed bed;

	bed_start_runs(&bed, listen0, LW_CAP_GRO);
	assert_int_equal(bed.caps.max_segs, 1);
	for (size_t i = 0; i < n; i++)
		plain_run(bed.peer, &bed.listen[0], i, rows[i].len, rows[i].stride);
	bed_collect(&bed, 0, 0, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		assert_packet(&bed.b->pkt[i], i, rows[i].len, rows[i].stride);
		assert_int_equal(bed.b->ep[i].remote.port, bed_name(bed.peer).port);
		datagrams += (rows[i].len + rows[i].stride - 1u) / rows[i].stride;
	}
	assert_int_equal(bed_counter(&bed, "recv_runs"), n - 1);
	assert_int_equal(bed_counter(&bed, "recv_datagrams"), datagrams);
	assert_int_equal(bed_counter(&bed, "recv_run_datagrams"), datagrams - 1);
	bed_stop(&bed);
}

/* the sender's runs arrive uncut here, up to 128 datagrams in one */
static void recv__runs__arrive_whole_v4(void **state)
{
	(void)state;
	whole_runs("127.0.0.1");
}

static void recv__runs__arrive_whole_v6(void **state)
{
	(void)state;
	need_ipv6();
	whole_runs("::1");
}

/* A datagram gets 64 KiB to arrive in and must not keep them: 100 in a batch for 16 runs. */
static void recv__small_datagrams__take_the_room_they_need(void **state)
{
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", LW_CAP_GRO);
	bed.b->headroom = 64;
	bed.b->tailroom = 32;
	for (uint32_t i = 0; i < 100; i++)
		plain_run(bed.peer, &bed.listen[0], i, 40 + i * 14, 0);
	assert_int_equal(bed_recv(&bed, 0), -EAGAIN);
	assert_int_equal(bed.b->n, 100);
	for (uint32_t i = 0; i < 100; i++) {
		assert_packet(&bed.b->pkt[i], i, 40 + i * 14, 0);
		assert_int_equal(bed.b->pkt[i].off, 64);
	}
	assert_true(bed.b->arena_used <= 100 * (64 + 1426 + 32 + 63));
	bed_stop(&bed);
}

/* no two packets of a batch share a byte, headroom and tailroom included */
static void assert_disjoint(const struct lw_batch *b)
{
	const uint8_t *end = b->arena;

	LW_BATCH_FOREACH (p, b) {
		assert_int_equal(p->off, b->headroom);
		assert_true(p->cap >= p->off + p->len + b->tailroom);
		assert_true(p->buf >= end);
		end = p->buf + p->cap;
	}
	assert_true(end <= b->arena + b->arena_used);
	assert_true(b->arena_used <= b->arena_cap);
}

/* what a round sends: runs and single datagrams, and what room the batch has for them */
struct mix {
	uint32_t len[40];
	uint16_t stride[40];
	uint32_t n;
};

static void random_mix(struct mix *m, uint64_t *seed)
{
	uint32_t bytes = 0;

	for (m->n = 0; m->n < 40 && bytes < 200000; m->n++) {
		uint16_t stride = (uint16_t)(1 + test_random(seed) % 1472);
		bool single = test_random(seed) % 2 == 0;

		m->len[m->n] = single ? stride : random_run(seed, stride, 63);
		m->stride[m->n] = stride;
		bytes += m->len[m->n];
	}
}

/* reads as path/ does, one batch after the other, until all of it was there, in order */
static void expect_mix(struct bed *bed, const struct mix *m)
{
	uint32_t seen = 0;
	int r = 0;

	while (seen < m->n) {
		lw_batch_reset(bed->b);
		r = bed_recv(bed, 0);
		assert_true(r == 0 || r == -EAGAIN);
		assert_true(bed->b->n > 0 && bed->b->n <= m->n - seen);
		assert_disjoint(bed->b);
		LW_BATCH_FOREACH (p, bed->b) {
			assert_packet(p, seen, m->len[seen], m->stride[seen]);
			seen++;
		}
	}
	if (r == 0) {
		lw_batch_reset(bed->b);
		assert_int_equal(bed_recv(bed, 0), -EAGAIN);
		assert_int_equal(bed->b->n, 0);
	}
}

static void recv__any_mix_in_any_room__nothing_lost_or_shared(void **state)
{
	uint64_t seed = 20260901;
	struct bed bed;
	struct mix m;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", LW_CAP_GRO);
	for (int round = 0; round < ROUNDS; round++) {
		random_mix(&m, &seed);
		bed.b->headroom = (uint32_t)(test_random(&seed) % 3 * 50);
		bed.b->tailroom = (uint32_t)(test_random(&seed) % 3 * 33);
		bed.b->cap = 1 + (uint32_t)(test_random(&seed) % 128);
		bed.b->arena_cap = UDP_SLOT_RUN + 200 +
		                   (uint32_t)(test_random(&seed) % (15 * UDP_SLOT_RUN - 200));
		for (uint32_t i = 0; i < m.n; i++)
			plain_run(bed.peer, &bed.listen[0], i, m.len[i], m.stride[i]);
		expect_mix(&bed, &m);
	}
	bed_stop(&bed);
}

/* a full run stays where the kernel wrote it */
static void recv__full_runs__are_not_copied(void **state)
{
	struct bed bed;

	(void)state;
	bed_start_runs(&bed, "127.0.0.1", LW_CAP_GRO);
	for (uint32_t i = 0; i < 4; i++)
		plain_run(bed.peer, &bed.listen[0], i, i == 0 ? 300 : 60000, i == 0 ? 0 : 1000);
	bed_collect(&bed, 0, 0, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_ptr_equal(bed.b->pkt[i].buf, bed.b->arena + (size_t)i * UDP_SLOT_RUN);
	bed_stop(&bed);
}

static void assert_runs(struct bed *bed, uint32_t tag)
{
	lw_batch_reset(bed->b);
	bed_collect(bed, 0, tag, 5);
	for (uint32_t i = 0; i < 5; i++)
		assert_packet(&bed->b->pkt[i], i, 45 * 1448 - i, 1448);
}

/* what one sends in a run the other gets as one, both being ours, and sends back as it came */
static void client_and_server__runs__arrive_as_they_left(void **state)
{
	struct lw_endpoint ep;
	struct lw_addr to;
	struct bed client;
	struct bed server;

	(void)state;
	bed_start_runs(&server, "0.0.0.0", BOTH);
	bed_start_client_runs(&client, "127.0.0.1", BOTH);
	to = bed_addr("127.3.2.1");
	to.port = server.listen[0].port;
	ep = bed_connect(&client, &to);
	for (uint32_t i = 0; i < 5; i++)
		bed_add_run(&client, &ep, i, 45 * 1448 - i, 1448);
	send_all(&client);
	assert_runs(&server, 0);
	assert_addr(&server.b->ep[4].local, &to);
	send_all(&server);
	assert_runs(&client, ep.tag);
	bed_stop(&server);
	bed_stop(&client);
}

/* what a host does not ask for it does not get, nor its sockets */
static void prepare__host_wants_nothing__nothing_is_granted(void **state)
{
	struct lw_endpoint ep = { .tag = 0 };
	uint32_t done = 9;
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	ep.remote = bed_name(bed.peer);
	plain_run(bed.peer, &bed.listen[0], 0, 10000, 1000);
	bed_collect(&bed, 0, 0, 10);
	lw_batch_reset(bed.b);
	bed_add_run(&bed, &ep, 0, 10000, 1000);
	assert_int_equal(bed_send_batch(&bed, &done), -EOPNOTSUPP);
	assert_int_equal(done, 0);
	assert_int_equal(bed.host.n_logs[LW_LOG_INFO], 0);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(send__strides_of_1_to_1472__cut_exactly_v4),
		cmocka_unit_test(send__strides_of_1_to_1472__cut_exactly_v6),
		cmocka_unit_test(send__largest_runs__pass),
		cmocka_unit_test(send__run_of_one__is_a_single),
		cmocka_unit_test(send__runs_of_two_sessions_in_pieces__each_in_order),
		cmocka_unit_test(wildcard__v4__runs_leave_from_the_address_called),
		cmocka_unit_test(wildcard__v6__runs_leave_from_the_address_called),
		cmocka_unit_test(recv__runs__arrive_whole_v4),
		cmocka_unit_test(recv__runs__arrive_whole_v6),
		cmocka_unit_test(recv__small_datagrams__take_the_room_they_need),
		cmocka_unit_test(recv__any_mix_in_any_room__nothing_lost_or_shared),
		cmocka_unit_test(recv__full_runs__are_not_copied),
		cmocka_unit_test(client_and_server__runs__arrive_as_they_left),
		cmocka_unit_test(prepare__host_wants_nothing__nothing_is_granted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* outside-udp on loopback: what travels, from where to where. */
#include <errno.h>
#include <unistd.h>

#include "base/addr.h"
#include "test_outside_udp_bed.h"
#include "unit/test.h"

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

/* n numbered datagrams to the module, looked at, and back to the peer in one batch */
static void echo(struct bed *bed, uint32_t n)
{
	struct lw_addr peer = bed_name(bed->peer);
	char text[BED_DATAGRAM];
	uint32_t done = 0;

	for (uint32_t i = 0; i < n; i++) {
		int len = snprintf(text, sizeof(text), "%u of %u", i, n);

		bed_send(bed->peer, &bed->listen[0], text, (size_t)len);
	}
	bed_collect(bed, 0, 0, n);
	LW_BATCH_FOREACH (p, bed->b) {
		assert_addr(&p->endpoint->remote, &peer);
		assert_addr(&p->endpoint->local, &bed->listen[0]);
		assert_int_equal(p->endpoint->tag, 0);
		lw_packet_data(p)[p->len - 1] = '!';
	}
	assert_int_equal(bed_send_batch(bed, &done), 0);
	assert_int_equal(done, n);
	for (uint32_t i = 0; i < n; i++) {
		char want[BED_DATAGRAM];
		int len = snprintf(want, sizeof(want), "%u of %u", i, n);
		struct lw_addr from;

		want[len - 1] = '!';
		assert_int_equal(bed_receive(bed->peer, text, sizeof(text), &from), len);
		assert_memory_equal(text, want, (size_t)len);
		assert_addr(&from, &bed->listen[0]);
	}
	lw_batch_reset(bed->b);
}

static void echo__batches_of_1_to_64__all_in_order_v4(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (uint32_t n = 1; n <= 64; n++)
		echo(&bed, n);
	bed_stop(&bed);
}

static void echo__batches_of_1_to_64__all_in_order_v6(void **state)
{
	struct bed bed;

	(void)state;
	need_ipv6();
	bed_start(&bed, "::1", 1);
	for (uint32_t n = 1; n <= 64; n++)
		echo(&bed, n);
	bed_stop(&bed);
}

/* one datagram to `called` of a wildcard listener must be answered from there */
static void answer_from(struct bed *bed, const char *called)
{
	struct lw_addr to = bed_addr(called);
	struct lw_addr from;
	uint32_t done = 0;
	char byte;

	to.port = bed->listen[0].port;
	bed_send(bed->peer, &to, "x", 1);
	bed_collect(bed, 0, 0, 1);
	assert_addr(&bed->b->ep[0].local, &to);
	assert_int_equal(bed_send_batch(bed, &done), 0);
	assert_int_equal(bed_receive(bed->peer, &byte, 1, &from), 1);
	assert_addr(&from, &to);
	lw_batch_reset(bed->b);
}

static void wildcard__v4__replies_leave_from_the_address_called(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "0.0.0.0", 1);
	answer_from(&bed, "127.0.0.2");
	answer_from(&bed, "127.0.0.1");
	answer_from(&bed, "127.9.8.7");
	bed_stop(&bed);
}

static void wildcard__v6__replies_leave_from_the_address_called(void **state)
{
	struct bed bed;

	(void)state;
	need_ipv6();
	bed_start(&bed, "::", 1);
	answer_from(&bed, "::1");
	bed_stop(&bed);
}

/* two sessions in one batch, one that came to .1 and one that came to .2 */
static void wildcard__mixed_batch__each_packet_from_its_own_address(void **state)
{
	static const char *const called[] = { "127.0.0.1", "127.0.0.2" };
	struct bed bed;
	uint32_t done = 0;

	(void)state;
	bed_start(&bed, "0.0.0.0", 1);
	for (uint32_t i = 0; i < 20; i++) {
		struct lw_addr to = bed_addr(called[i % 2]);

		to.port = bed.listen[0].port;
		bed_send(bed.peer, &to, "x", 1);
	}
	bed_collect(&bed, 0, 0, 20);
	assert_int_equal(bed_send_batch(&bed, &done), 0);
	for (uint32_t i = 0; i < 20; i++) {
		struct lw_addr want = bed_addr(called[i % 2]);
		struct lw_addr from;
		char byte;

		want.port = bed.listen[0].port;
		assert_int_equal(bed_receive(bed.peer, &byte, 1, &from), 1);
		assert_addr(&from, &want);
	}
	bed_stop(&bed);
}

static void recv__small_batch__says_full_and_goes_on(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (uint8_t i = 0; i < 50; i++)
		bed_send(bed.peer, &bed.listen[0], &i, 1);
	bed.b->cap = 20;
	for (uint8_t i = 0; i < 50; i++) {
		if (i % 20 == 0) {
			lw_batch_reset(bed.b);
			assert_int_equal(bed_recv(&bed, 0), i < 40 ? 0 : -EAGAIN);
		}
		assert_int_equal(lw_packet_data(&bed.b->pkt[i % 20])[0], i);
	}
	assert_int_equal(bed.b->n, 10);
	bed_stop(&bed);
}

static void recv__arena_full__says_full_and_loses_nothing(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (uint8_t i = 0; i < 10; i++)
		bed_send(bed.peer, &bed.listen[0], &i, 1);
	bed.b->headroom = 64;
	bed.b->arena_cap = 4 * (64 + UDP_SLOT_MIN) + 100;
	for (uint8_t i = 0; i < 10; i++) {
		if (i % 4 == 0) {
			lw_batch_reset(bed.b);
			assert_int_equal(bed_recv(&bed, 0), i < 8 ? 0 : -EAGAIN);
		}
		assert_int_equal(bed.b->pkt[i % 4].off, 64);
		assert_int_equal(lw_packet_data(&bed.b->pkt[i % 4])[0], i);
	}
	bed_stop(&bed);
}

static void recv__too_long_among_good_ones__only_it_is_dropped(void **state)
{
	static uint8_t big[UDP_SLOT_MIN + 1];
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (uint8_t i = 0; i < 9; i++) {
		big[0] = i;
		bed_send(bed.peer, &bed.listen[0], big, i % 3 == 1 ? sizeof(big) : UDP_SLOT_MIN);
	}
	bed_collect(&bed, 0, 0, 6);
	for (uint8_t i = 0; i < 6; i++) {
		assert_int_equal(lw_packet_data(&bed.b->pkt[i])[0], i / 2 * 3 + i % 2 * 2);
		assert_int_equal(bed.b->pkt[i].len, UDP_SLOT_MIN);
		assert_ptr_equal(bed.b->pkt[i].endpoint, &bed.b->ep[i]);
		assert_int_equal(bed.b->ep[i].remote.port, bed_name(bed.peer).port);
	}
	assert_int_equal(lw_fake_counter(&bed.workers[0], &laneway_module, "recv_truncated"), 3);
	bed_stop(&bed);
}

static void recv__empty_datagram__is_a_packet_of_no_bytes(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	bed_send(bed.peer, &bed.listen[0], "", 0);
	bed_collect(&bed, 0, 0, 1);
	assert_int_equal(bed.b->pkt[0].len, 0);
	bed_stop(&bed);
}

static void recv__unknown_tag__is_dead(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	assert_int_equal(bed_recv(&bed, 1), -EBADF);
	assert_int_equal(bed_recv(&bed, UINT32_MAX), -EBADF);
	bed_stop(&bed);
}

/* the traffic class of the datagram that waits on a plain socket, -1 when the kernel told none */
static int received_class(int fd)
{
	union udp_control control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr h = { .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = &control,
		            .msg_controllen = sizeof(control) };
	const struct cmsghdr *c;

	assert_int_equal(recvmsg(fd, &h, 0), 1);
	c = CMSG_FIRSTHDR(&h);
	return c == NULL ? -1 : CMSG_DATA(c)[0];
}

static void traffic_class(const char *at, int level, int send_name, int recv_name)
{
	struct bed bed;
	int value = 0x28;
	uint32_t done;

	bed_start(&bed, at, 1);
	assert_int_equal(setsockopt(bed.peer, level, send_name, &value, sizeof(value)), 0);
	value = 1;
	assert_int_equal(setsockopt(bed.peer, level, recv_name, &value, sizeof(value)), 0);
	bed_send(bed.peer, &bed.listen[0], "x", 1);
	bed_collect(&bed, 0, 0, 1);
	assert_int_equal(bed.b->ep[0].tos, 0x28);
	bed.b->ep[0].tos = 0xb8;
	assert_int_equal(bed_send_batch(&bed, &done), 0);
	assert_int_equal(received_class(bed.peer), 0xb8);
	bed_stop(&bed);
}

static void traffic_class__both_ways__kept_v4(void **state)
{
	(void)state;
	traffic_class("127.0.0.1", IPPROTO_IP, IP_TOS, IP_RECVTOS);
}

static void traffic_class__both_ways__kept_v6(void **state)
{
	(void)state;
	need_ipv6();
	traffic_class("::", IPPROTO_IPV6, IPV6_TCLASS, IPV6_RECVTCLASS);
}

static void send__payload_in_pieces__arrives_as_one_datagram(void **state)
{
	struct bed bed;
	char out[3][4] = { "abc", "def", "ghi" };
	struct iovec more[2] = { { .iov_base = out[1], .iov_len = 3 },
		                 { .iov_base = out[2], .iov_len = 3 } };
	char got[16];
	uint32_t done;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (int i = 0; i < 3; i++) {
		struct lw_packet *p = lw_fake_batch_add(bed.b, out[0], 3);

		p->endpoint->remote = bed_name(bed.peer);
		p->more = more;
		p->n_more = (uint16_t)(i % 3);
	}
	assert_int_equal(bed_send_batch(&bed, &done), 0);
	assert_int_equal(bed_receive(bed.peer, got, sizeof(got), NULL), 3);
	assert_int_equal(bed_receive(bed.peer, got, sizeof(got), NULL), 6);
	assert_int_equal(bed_receive(bed.peer, got, sizeof(got), NULL), 9);
	assert_memory_equal(got, "abcdefghi", 9);
	bed_stop(&bed);
}

/* more pieces than the arrays of one call hold: several calls, and too many for one message */
static void send__many_pieces__no_packet_overruns_the_arrays(void **state)
{
	static struct iovec more[UDP_MSG_IOVS];
	static char got[UDP_MSG_IOVS];
	struct bed bed;
	uint32_t done;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (uint32_t i = 0; i < UDP_MSG_IOVS; i++)
		more[i] = (struct iovec){ .iov_base = &got[i], .iov_len = 1 };
	for (int i = 0; i < 6; i++) {
		struct lw_packet *p = lw_fake_batch_add(bed.b, "x", 1);

		p->endpoint->remote = bed_name(bed.peer);
		p->more = more;
		p->n_more = i == 5 ? UDP_MSG_IOVS : UDP_MSG_IOVS - 1;
	}
	assert_int_equal(bed_send_batch(&bed, &done), -EMSGSIZE);
	assert_int_equal(done, 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(bed_receive(bed.peer, got, sizeof(got), NULL), UDP_MSG_IOVS);
	assert_true(bed_silent(bed.peer));
	bed_stop(&bed);
}

static void send__run__refused_after_the_packets_before_it(void **state)
{
	struct bed bed;
	uint32_t done;
	char byte;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (int i = 0; i < 4; i++) {
		struct lw_packet *p = lw_fake_batch_add(bed.b, "xx", 2);

		p->endpoint->remote = bed_name(bed.peer);
		if (i == 2) {
			p->gso_type = LW_GSO_RUN;
			p->gso_size = 1;
		}
	}
	assert_int_equal(bed_send_batch(&bed, &done), -EOPNOTSUPP);
	assert_int_equal(done, 2);
	assert_int_equal(bed.b->pkt[2].status, -EOPNOTSUPP);
	assert_int_equal(bed_receive(bed.peer, &byte, 1, NULL), 1);
	assert_int_equal(bed_receive(bed.peer, &byte, 1, NULL), 1);
	assert_true(bed_silent(bed.peer));
	bed_stop(&bed);
}

static void send__wrong_endpoint__is_that_packets_error(void **state)
{
	struct bed bed;
	uint32_t done = 9;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	lw_fake_batch_add(bed.b, "x", 1)->endpoint->remote = bed_addr("[::1]:9");
	assert_int_equal(bed_send_batch(&bed, &done), -EAFNOSUPPORT);
	assert_int_equal(done, 0);
	bed.b->ep[0].remote = bed_name(bed.peer);
	bed.b->ep[0].tag = 7;
	assert_int_equal(bed_send_batch(&bed, &done), -ENOTCONN);
	assert_true(bed_silent(bed.peer));
	bed_stop(&bed);
}

static void send__larger_than_udp_carries__is_emsgsize(void **state)
{
	static uint8_t big[65508];
	struct bed bed;
	uint32_t done;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	lw_fake_batch_add(bed.b, big, sizeof(big))->endpoint->remote = bed_name(bed.peer);
	assert_int_equal(bed_send_batch(&bed, &done), -EMSGSIZE);
	assert_int_equal(done, 0);
	bed_stop(&bed);
}

static void client__two_sockets__each_hears_its_own_server_only(void **state)
{
	const struct lw_outside_udp_ops *ops = laneway_module.ops.udp;
	struct lw_endpoint ep[2];
	struct bed bed;
	struct lw_addr servers[2];
	struct lw_addr from;
	uint32_t done;
	int other;
	char byte;

	(void)state;
	bed_start_client(&bed, "127.0.0.1");
	other = bed_socket("127.0.0.2", 0);
	servers[0] = bed_name(bed.peer);
	servers[1] = bed_name(other);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ops->connect(bed.inst, bed_worker(&bed, 0), &servers[i], &ep[i]),
		                 0);
		assert_addr(&ep[i].remote, &servers[i]);
		lw_fake_batch_add(bed.b, "x", 1);
		*bed.b->pkt[i].endpoint = ep[i];
	}
	assert_int_not_equal(ep[0].tag, ep[1].tag);
	assert_int_equal(bed.host.n_watches, 2);
	assert_int_equal(bed_send_batch(&bed, &done), 0);
	assert_int_equal(bed_receive(other, &byte, 1, &from), 1);
	assert_int_equal(bed_receive(bed.peer, &byte, 1, &from), 1);
	/* the second server writes to the first one's socket, then the right one does */
	bed_send(other, &from, "f", 1);
	bed_send(bed.peer, &from, "g", 1);
	lw_batch_reset(bed.b);
	bed_collect(&bed, 0, ep[0].tag, 1);
	assert_int_equal(lw_packet_data(&bed.b->pkt[0])[0], 'g');
	assert_int_equal(bed.b->ep[0].local.family, 0);
	assert_int_equal(lw_fake_counter(&bed.workers[0], &laneway_module, "recv_foreign"), 1);
	(void)close(other);
	bed_stop(&bed);
}

static void client__close__frees_the_tag_and_the_descriptor(void **state)
{
	const struct lw_outside_udp_ops *ops = laneway_module.ops.udp;
	struct lw_addr server;
	struct lw_endpoint a;
	struct lw_endpoint b;
	struct bed bed;
	unsigned fds;

	(void)state;
	bed_start_client(&bed, "127.0.0.1");
	server = bed_name(bed.peer);
	fds = bed_fds();
	assert_int_equal(ops->connect(bed.inst, bed_worker(&bed, 0), &server, &a), 0);
	ops->close(bed.inst, bed_worker(&bed, 0), a.tag);
	ops->close(bed.inst, bed_worker(&bed, 0), a.tag);
	assert_int_equal(bed.host.n_watches, 0);
	assert_int_equal(bed_fds(), fds);
	assert_int_equal(bed_recv(&bed, a.tag), -EBADF);
	assert_int_equal(ops->connect(bed.inst, bed_worker(&bed, 0), &server, &b), 0);
	assert_int_equal(b.tag, a.tag);
	server.port = 0;
	assert_int_equal(ops->connect(bed.inst, bed_worker(&bed, 0), &server, &b), -EINVAL);
	bed_stop(&bed);
}

static void close__listener__stays(void **state)
{
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	laneway_module.ops.udp->close(bed.inst, bed_worker(&bed, 0), 0);
	echo(&bed, 1);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo__batches_of_1_to_64__all_in_order_v4),
		cmocka_unit_test(echo__batches_of_1_to_64__all_in_order_v6),
		cmocka_unit_test(wildcard__v4__replies_leave_from_the_address_called),
		cmocka_unit_test(wildcard__v6__replies_leave_from_the_address_called),
		cmocka_unit_test(wildcard__mixed_batch__each_packet_from_its_own_address),
		cmocka_unit_test(recv__small_batch__says_full_and_goes_on),
		cmocka_unit_test(recv__arena_full__says_full_and_loses_nothing),
		cmocka_unit_test(recv__too_long_among_good_ones__only_it_is_dropped),
		cmocka_unit_test(recv__empty_datagram__is_a_packet_of_no_bytes),
		cmocka_unit_test(recv__unknown_tag__is_dead),
		cmocka_unit_test(traffic_class__both_ways__kept_v4),
		cmocka_unit_test(traffic_class__both_ways__kept_v6),
		cmocka_unit_test(send__payload_in_pieces__arrives_as_one_datagram),
		cmocka_unit_test(send__many_pieces__no_packet_overruns_the_arrays),
		cmocka_unit_test(send__run__refused_after_the_packets_before_it),
		cmocka_unit_test(send__wrong_endpoint__is_that_packets_error),
		cmocka_unit_test(send__larger_than_udp_carries__is_emsgsize),
		cmocka_unit_test(client__two_sockets__each_hears_its_own_server_only),
		cmocka_unit_test(client__close__frees_the_tag_and_the_descriptor),
		cmocka_unit_test(close__listener__stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* outside-tcp on loopback: connections made, used and ended. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "test_outside_tcp_bed.h"
#include "unit/test.h"

static const struct lw_outside_tcp_ops *ops;

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

static int send_text(struct bed *bed, uint32_t tag, const char *text)
{
	char copy[64];
	struct iovec iov = { .iov_base = copy, .iov_len = strlen(text) };
	uint32_t sent = 0;
	int r;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	r = ops->send(bed->inst, bed_worker(bed, 0), tag, &iov, 1, &sent);
	assert_int_equal(sent, r == 0 ? iov.iov_len : 0);
	return r;
}

static int recv_some(struct bed *bed, uint32_t tag, char text[64])
{
	uint32_t len = UINT32_MAX;
	int r = ops->recv(bed->inst, bed_worker(bed, 0), tag, text, 63, &len);

	text[r == 0 ? len : 0] = '\0';
	return r;
}

static void assert_recv(struct bed *bed, uint32_t tag, const char *want)
{
	char text[64];

	bed_wait(bed_fd(bed, tag), POLLIN);
	assert_int_equal(recv_some(bed, tag, text), 0);
	assert_string_equal(text, want);
}

static void assert_peer_reads(int fd, const char *want)
{
	char text[64] = "";

	assert_int_equal(recv(fd, text, strlen(want), MSG_WAITALL), strlen(want));
	assert_string_equal(text, want);
}

static void accept_on(const char *listen, const char *called)
{
	struct lw_addr want = bed_addr(called);
	struct lw_addr remote;
	struct lw_endpoint ep;
	struct bed bed;
	int peer;

	bed_start(&bed, listen, 1);
	assert_int_equal(bed_try_accept(&bed, &ep), -EAGAIN);
	peer = bed_call(&bed, called);
	assert_int_equal(bed_event(2000), 0);
	ep = bed_accept(&bed);
	want.port = bed.listen.port;
	remote = bed_name(peer);
	assert_addr(&ep.local, &want);
	assert_addr(&ep.remote, &remote);
	assert_int_equal(send(peer, "hello", 5, 0), 5);
	assert_int_equal(bed_event(2000), ep.tag);
	assert_recv(&bed, ep.tag, "hello");
	assert_int_equal(send_text(&bed, ep.tag, "welcome"), 0);
	assert_peer_reads(peer, "welcome");
	(void)close(peer);
	bed_stop(&bed);
}

static void accept__any_kind_of_listener__both_ends_known(void **state)
{
	(void)state;
	accept_on("127.0.0.1", "127.0.0.1");
	accept_on("0.0.0.0", "127.0.0.1");
	accept_on("0.0.0.0", "127.0.0.2");
	need_ipv6();
	accept_on("::1", "::1");
	accept_on("::", "::1");
}

static void accept__many_waiting__all_taken_with_tags_of_their_own(void **state)
{
	enum { N = 200 };
	struct lw_endpoint ep[N];
	struct bed bed;
	char text[64];
	int peer[N];

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (int i = 0; i < N; i++) {
		peer[i] = bed_call(&bed, "127.0.0.1");
		assert_int_equal(send(peer[i], &i, sizeof(i), 0), sizeof(i));
	}
	for (int i = 0; i < N; i++)
		ep[i] = bed_accept(&bed);
	assert_int_equal(bed_try_accept(&bed, &ep[0]), -EAGAIN);
	for (int i = 0; i < N; i++) {
		int got;

		assert_true(ep[i].tag >= 1);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(ep[i].tag, ep[j].tag);
		bed_wait(bed_fd(&bed, ep[i].tag), POLLIN);
		assert_int_equal(recv_some(&bed, ep[i].tag, text), 0);
		memcpy(&got, text, sizeof(got));
		assert_int_equal(got, i);
	}
	for (int i = 0; i < N; i++)
		(void)close(peer[i]);
	bed_stop(&bed);
}

static void assert_option(int fd, int level, int name, int want)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	assert_int_equal(value, want);
}

static void assert_our_options(int fd)
{
	char name[16] = "";
	socklen_t len = sizeof(name);

	assert_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	assert_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	assert_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
	assert_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 60000);
	assert_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 128 << 10);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
	assert_string_equal(name, "reno");
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
}

static void options__both_roles__on_every_connection(void **state)
{
	struct lw_endpoint ep;
	struct lw_addr at;
	struct bed bed;
	int other;

	(void)state;
	bed_create(&bed, "127.0.0.1", bed_free_port());
	bed.opts.congestion = "reno";
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), 0);
	bed_start_workers(&bed, 1);
	other = bed_call(&bed, "127.0.0.1");
	ep = bed_accept(&bed);
	assert_our_options(bed_fd(&bed, ep.tag));
	(void)close(other);
	bed_stop(&bed);
	bed_start(&bed, NULL, 1);
	bed.opts.congestion = "reno";
	other = bed_listener(4, &at);
	assert_int_equal(ops->connect(bed.inst, bed_worker(&bed, 0), &at, &ep), 0);
	assert_our_options(bed_fd(&bed, ep.tag));
	(void)close(other);
	bed_stop(&bed);
}

static void congestion__unknown__names_the_option(void **state)
{
	struct bed bed;

	(void)state;
	for (uint32_t role = LW_ROLE_SERVER; role <= LW_ROLE_CLIENT; role++) {
		unsigned fds = bed_fds();

		bed_create(&bed, role == LW_ROLE_SERVER ? "127.0.0.1" : NULL, bed_free_port());
		bed.opts.congestion = "nonesuch";
		assert_int_equal(bed_prepare(&bed, 1, role), -ENOENT);
		assert_string_equal(bed.err.option, "congestion");
		assert_non_null(strstr(bed.err.text, "nonesuch"));
		bed_stop(&bed);
		assert_true(bed_fds() <= fds + 1); /* the bed's own epoll */
	}
}

/* until the connection stands or fails; what send of no bytes says */
static int wait_connected(struct bed *bed, uint32_t tag)
{
	uint32_t sent;
	int r;

	bed_wait(bed_fd(bed, tag), POLLOUT);
	r = ops->send(bed->inst, bed_worker(bed, 0), tag, NULL, 0, &sent);
	assert_int_equal(sent, 0);
	return r;
}

static void connect__somebody_listens__bytes_go_both_ways(void **state)
{
	struct lw_endpoint ep;
	struct lw_addr at;
	struct bed bed;
	int listener;
	int peer;

	(void)state;
	bed_start(&bed, NULL, 1);
	listener = bed_listener(4, &at);
	assert_int_equal(ops->connect(bed.inst, bed_worker(&bed, 0), &at, &ep), 0);
	assert_addr(&ep.remote, &at);
	assert_int_equal(wait_connected(&bed, ep.tag), 0);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(send_text(&bed, ep.tag, "hi"), 0);
	assert_peer_reads(peer, "hi");
	assert_int_equal(send(peer, "ho", 2, 0), 2);
	assert_recv(&bed, ep.tag, "ho");
	(void)close(peer);
	(void)close(listener);
	bed_stop(&bed);
}

static void connect__nobody_listens__refused(void **state)
{
	struct lw_endpoint ep;
	struct lw_addr at;
	struct bed bed;
	char text[64];
	unsigned fds;
	int r;

	(void)state;
	bed_start(&bed, NULL, 1);
	fds = bed_fds();
	(void)close(bed_listener(1, &at));
	r = ops->connect(bed.inst, bed_worker(&bed, 0), &at, &ep);
	if (r == 0) {
		bed_wait(bed_fd(&bed, ep.tag), POLLOUT);
		r = recv_some(&bed, ep.tag, text);
		ops->close(bed.inst, bed_worker(&bed, 0), ep.tag);
	}
	assert_int_equal(r, -ECONNREFUSED);
	assert_int_equal(bed_fds(), fds);
	at.port = 0;
	assert_int_equal(ops->connect(bed.inst, bed_worker(&bed, 0), &at, &ep), -EINVAL);
	bed_stop(&bed);
}

/* A listener whose queue is full leaves a SYN unanswered; when it goes, the next SYN is refused. */
static void connect__answer_is_late__in_progress_until_refused(void **state)
{
	struct lw_endpoint ep[3];
	struct lw_addr at;
	struct bed bed;
	char text[64];
	int listener;

	(void)state;
	bed_start(&bed, NULL, 1);
	listener = bed_listener(0, &at);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ops->connect(bed.inst, bed_worker(&bed, 0), &at, &ep[i]), 0);
	assert_int_equal(send_text(&bed, ep[2].tag, "x"), -EINPROGRESS);
	assert_int_equal(recv_some(&bed, ep[2].tag, text), -EINPROGRESS);
	(void)close(listener);
	bed_wait(bed_fd(&bed, ep[2].tag), POLLOUT);
	assert_int_equal(recv_some(&bed, ep[2].tag, text), -ECONNREFUSED);
	bed_stop(&bed);
}

static void half_close__by_the_peer__end_is_orderly_and_we_may_go_on(void **state)
{
	struct lw_endpoint ep;
	struct bed bed;
	char text[64];
	int peer;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	peer = bed_call(&bed, "127.0.0.1");
	ep = bed_accept(&bed);
	assert_int_equal(recv_some(&bed, ep.tag, text), -EAGAIN);
	assert_int_equal(send(peer, "last", 4, 0), 4);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	assert_recv(&bed, ep.tag, "last");
	assert_recv(&bed, ep.tag, "");
	assert_recv(&bed, ep.tag, "");
	assert_int_equal(send_text(&bed, ep.tag, "bye"), 0);
	assert_peer_reads(peer, "bye");
	(void)close(peer);
	bed_stop(&bed);
}

static void reset__by_the_peer__is_an_error_and_no_signal(void **state)
{
	struct linger now = { .l_onoff = 1 };
	struct lw_endpoint ep;
	struct bed bed;
	char text[64];
	int peer;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	peer = bed_call(&bed, "127.0.0.1");
	ep = bed_accept(&bed);
	assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	(void)close(peer);
	bed_wait(bed_fd(&bed, ep.tag), POLLIN);
	assert_int_equal(recv_some(&bed, ep.tag, text), -ECONNRESET);
	assert_int_equal(send_text(&bed, ep.tag, "x"), -EPIPE);
	assert_int_equal(lw_fake_counter(&bed.workers[0], &laneway_module, "recv_errors"), 1);
	assert_int_equal(lw_fake_counter(&bed.workers[0], &laneway_module, "send_errors"), 1);
	bed_stop(&bed);
}

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 31 + at / 251);
}

/* More than both buffers hold, in pieces; the peer reads only when we are blocked. */
static void send__peer_is_slow__short_counts_and_every_byte_once(void **state)
{
	enum { TOTAL = 16 * 1024 * 1024, PIECE = 70001 };
	static uint8_t out[TOTAL];
	static uint8_t in[256 * 1024];
	struct lw_endpoint ep;
	struct bed bed;
	size_t sent = 0;
	size_t got = 0;
	unsigned blocked = 0;
	unsigned cut = 0;
	int peer;

	(void)state;
	for (size_t i = 0; i < TOTAL; i++)
		out[i] = pattern(i);
	bed_start(&bed, "127.0.0.1", 1);
	peer = bed_call(&bed, "127.0.0.1");
	ep = bed_accept(&bed);
	while (got < TOTAL) {
		size_t left = TOTAL - sent;
		size_t first = left < PIECE ? left : PIECE;
		struct iovec iov[2] = { { .iov_base = out + sent, .iov_len = first },
			                { .iov_base = out + sent + first,
			                  .iov_len = left - first } };
		uint32_t n = 0;
		int r = left == 0 ? -EAGAIN
		                  : ops->send(bed.inst, bed_worker(&bed, 0), ep.tag, iov, 2, &n);
		ssize_t took;

		sent += n;
		if (r == 0) {
			cut += n < left;
			continue;
		}
		assert_int_equal(r, -EAGAIN);
		blocked++;
		took = recv(peer, in, sizeof(in), 0);
		assert_true(took > 0);
		for (ssize_t i = 0; i < took; i++)
			assert_int_equal(in[i], pattern(got + (size_t)i));
		got += (size_t)took;
	}
	assert_int_equal(sent, TOTAL);
	assert_true(blocked > 0 && cut > 0);
	(void)close(peer);
	bed_stop(&bed);
}

static void close__any_tag__frees_it_once(void **state)
{
	struct lw_endpoint ep;
	struct bed bed;
	char text[64];
	unsigned fds;
	int peer;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	peer = bed_call(&bed, "127.0.0.1");
	fds = bed_fds();
	ep = bed_accept(&bed);
	ops->close(bed.inst, bed_worker(&bed, 0), ep.tag);
	ops->close(bed.inst, bed_worker(&bed, 0), ep.tag);
	ops->close(bed.inst, bed_worker(&bed, 0), UINT32_MAX);
	ops->close(bed.inst, bed_worker(&bed, 0), 0);
	assert_int_equal(bed_fds(), fds);
	assert_int_equal(bed.host.n_watches, 1);
	assert_int_equal(recv_some(&bed, ep.tag, text), -ENOTCONN);
	assert_int_equal(send_text(&bed, ep.tag, "x"), -ENOTCONN);
	assert_int_equal(recv(peer, text, 1, 0), 0);
	(void)close(peer);
	peer = bed_call(&bed, "127.0.0.1");
	assert_int_equal(bed_accept(&bed).tag, ep.tag);
	(void)close(peer);
	bed_stop(&bed);
}

/* as many as are allowed, ended in every order: the slots of all of them come back */
static void close__in_any_order__every_slot_is_used_again(void **state)
{
	static const int orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 }, { 1, 2, 0 } };
	struct bed bed;

	(void)state;
	bed_create(&bed, "127.0.0.1", bed_free_port());
	bed.opts.connections = 3;
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), 0);
	bed_start_workers(&bed, 1);
	for (size_t round = 0; round < 4; round++) {
		struct lw_endpoint ep[3];
		int peer[3];

		for (int i = 0; i < 3; i++) {
			peer[i] = bed_call(&bed, "127.0.0.1");
			ep[i] = bed_accept(&bed);
			assert_in_range(ep[i].tag, 1, 3);
			for (int j = 0; j < i; j++)
				assert_int_not_equal(ep[i].tag, ep[j].tag);
		}
		for (int i = 0; i < 3; i++) {
			ops->close(bed.inst, bed_worker(&bed, 0), ep[orders[round][i]].tag);
			(void)close(peer[i]);
		}
	}
	bed_stop(&bed);
}

static void recv__no_room__is_no_end(void **state)
{
	struct lw_endpoint ep;
	struct bed bed;
	uint32_t len;
	char byte;
	int peer;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	peer = bed_call(&bed, "127.0.0.1");
	ep = bed_accept(&bed);
	assert_int_equal(ops->recv(bed.inst, bed_worker(&bed, 0), ep.tag, &byte, 0, &len), -EINVAL);
	(void)close(peer);
	bed_stop(&bed);
}

static void worker_stop__open_connections__all_closed(void **state)
{
	unsigned fds = bed_fds();
	struct bed bed;
	int peer[3];
	char byte;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (int i = 0; i < 3; i++) {
		peer[i] = bed_call(&bed, "127.0.0.1");
		(void)bed_accept(&bed);
	}
	bed_stop(&bed);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(recv(peer[i], &byte, 1, 0), 0);
		(void)close(peer[i]);
	}
	assert_int_equal(bed_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accept__any_kind_of_listener__both_ends_known),
		cmocka_unit_test(accept__many_waiting__all_taken_with_tags_of_their_own),
		cmocka_unit_test(options__both_roles__on_every_connection),
		cmocka_unit_test(congestion__unknown__names_the_option),
		cmocka_unit_test(connect__somebody_listens__bytes_go_both_ways),
		cmocka_unit_test(connect__nobody_listens__refused),
		cmocka_unit_test(connect__answer_is_late__in_progress_until_refused),
		cmocka_unit_test(half_close__by_the_peer__end_is_orderly_and_we_may_go_on),
		cmocka_unit_test(reset__by_the_peer__is_an_error_and_no_signal),
		cmocka_unit_test(send__peer_is_slow__short_counts_and_every_byte_once),
		cmocka_unit_test(close__any_tag__frees_it_once),
		cmocka_unit_test(close__in_any_order__every_slot_is_used_again),
		cmocka_unit_test(recv__no_room__is_no_end),
		cmocka_unit_test(worker_stop__open_connections__all_closed),
	};

	ops = laneway_module.ops.tcp;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

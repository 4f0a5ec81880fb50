/* SPDX-License-Identifier: MIT */
/* outside-tcp when the kernel refuses: its system calls are wrapped by the linker. */
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test_outside_tcp_bed.h"
#include "unit/test.h"

int __real_accept4(int fd, struct sockaddr *name, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *name, socklen_t *len, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *h, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *h, int flags);
int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __real_bind(int fd, const struct sockaddr *name, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *name, socklen_t len);
int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog);
int __real_connect(int fd, const struct sockaddr *name, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *name, socklen_t len);
int __real_getsockname(int fd, struct sockaddr *name, socklen_t *len);
int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *len);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static struct {
	unsigned times; /* so many calls fail with error */
	int error;
	unsigned calls;
} acc;

static struct {
	uint64_t seed; /* not 0: calls take a few bytes, and some say one of the errors of the list
	                */
	unsigned calls;
} tx;

/* call number `fail_at` of those that open, set up or allocate fails; 0: none does */
static unsigned fail_at;
static unsigned fail_calls;

static const struct lw_outside_tcp_ops *ops;

int __wrap_accept4(int fd, struct sockaddr *name, socklen_t *len, int flags)
{
	acc.calls++;
	if (acc.times == 0)
		return __real_accept4(fd, name, len, flags);
	acc.times--;
	errno = acc.error;
	return -1;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *h, int flags)
{
	static const int errors[] = { EAGAIN, EINTR, ENOBUFS, ENOMEM };
	struct iovec iov;
	struct msghdr few = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint64_t random;

	assert_true((flags & MSG_NOSIGNAL) != 0);
	tx.calls++;
	if (tx.seed == 0)
		return __real_sendmsg(fd, h, flags);
	random = test_random(&tx.seed);
	if (random % 3 == 0) {
		errno = errors[random / 3 % 4];
		return -1;
	}
	iov = h->msg_iov[0];
	if (iov.iov_len > random % 7 + 1)
		iov.iov_len = random % 7 + 1;
	return __real_sendmsg(fd, &few, flags);
}

static bool fails_now(int error)
{
	if (fail_at == 0 || ++fail_calls != fail_at)
		return false;
	errno = error;
	return true;
}

int __wrap_socket(int domain, int type, int protocol)
{
	return fails_now(EMFILE) ? -1 : __real_socket(domain, type, protocol);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return fails_now(ENOPROTOOPT) ? -1 : __real_setsockopt(fd, level, name, value, len);
}

int __wrap_bind(int fd, const struct sockaddr *name, socklen_t len)
{
	return fails_now(EADDRINUSE) ? -1 : __real_bind(fd, name, len);
}

int __wrap_listen(int fd, int backlog)
{
	return fails_now(EADDRINUSE) ? -1 : __real_listen(fd, backlog);
}

int __wrap_connect(int fd, const struct sockaddr *name, socklen_t len)
{
	return fails_now(ENETUNREACH) ? -1 : __real_connect(fd, name, len);
}

int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *len)
{
	return fails_now(ENOBUFS) ? -1 : __real_getsockname(fd, name, len);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now(ENOMEM) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now(ENOMEM) ? NULL : __real_realloc(old, size);
}

static int reset(void **state)
{
	(void)state;
	memset(&acc, 0, sizeof(acc));
	memset(&tx, 0, sizeof(tx));
	fail_at = 0;
	fail_calls = 0;
	return 0;
}

/* Three callers, of whom the module has room for two. The third is not lost: it is told of when one
 * of the others ends, and until then nothing is. */
static void accept__no_free_slot__third_waits_for_the_end_of_one(void **state)
{
	struct lw_endpoint ep[3];
	struct bed bed;
	int peer[3];

	(void)state;
	bed_create(&bed, "127.0.0.1", bed_free_port());
	bed.opts.connections = 2;
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), 0);
	bed_start_workers(&bed, 1);
	for (int i = 0; i < 3; i++)
		peer[i] = bed_call(&bed, "127.0.0.1");
	assert_int_equal(bed_event(2000), 0);
	ep[0] = bed_accept(&bed);
	ep[1] = bed_accept(&bed);
	assert_int_equal(bed_try_accept(&bed, &ep[2]), -EAGAIN);
	assert_int_equal(acc.calls, 2);
	assert_int_equal(lw_fake_counter(&bed.workers[0], &laneway_module, "accept_paused"), 1);
	assert_int_equal(bed_event(0), BED_NOBODY);
	ops->close(bed.inst, bed_worker(&bed, 0), ep[0].tag);
	assert_int_equal(bed_event(2000), 0);
	assert_int_equal(bed_try_accept(&bed, &ep[2]), 0);
	assert_int_equal(ep[2].tag, ep[0].tag);
	ops->close(bed.inst, bed_worker(&bed, 0), ep[1].tag);
	assert_int_equal(bed_event(0), BED_NOBODY);
	for (int i = 0; i < 3; i++)
		(void)close(peer[i]);
	bed_stop(&bed);
}

/* The same by the kernel's own limit: one failing call per edge, no more until something ends. */
static void accept__out_of_descriptors__paused_not_repeated(void **state)
{
	const char *preload = getenv("LD_PRELOAD");
	struct rlimit was;
	struct rlimit low;
	struct lw_endpoint ep[2];
	struct bed bed;
	int peer[2];
	int next;

	(void)state;
	if (preload != NULL && strstr(preload, "vgpreload") != NULL) {
		print_message("valgrind has a limit of its own, which closes what was accepted\n");
		skip();
	}
	bed_start(&bed, "127.0.0.1", 1);
	peer[0] = bed_call(&bed, "127.0.0.1");
	assert_int_equal(bed_event(2000), 0);
	ep[0] = bed_accept(&bed);
	peer[1] = bed_call(&bed, "127.0.0.1");
	assert_int_equal(bed_event(2000), 0);
	next = dup(0);
	(void)close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	low = (struct rlimit){ .rlim_cur = (rlim_t)next, .rlim_max = was.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	acc.calls = 0;
	assert_int_equal(bed_try_accept(&bed, &ep[1]), -EAGAIN);
	assert_int_equal(acc.calls, 1);
	assert_int_equal(bed_event(0), BED_NOBODY);
	ops->close(bed.inst, bed_worker(&bed, 0), ep[0].tag);
	assert_int_equal(bed_event(2000), 0);
	assert_int_equal(bed_try_accept(&bed, &ep[1]), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(lw_fake_counter(&bed.workers[0], &laneway_module, "accept_paused"), 1);
	(void)close(peer[0]);
	(void)close(peer[1]);
	bed_stop(&bed);
}

/* A listener that cannot be armed again stays known as paused, and the next end tries it again. */
static void accept__arming_fails_too__next_end_arms_it(void **state)
{
	struct lw_endpoint ep[4];
	struct bed bed;
	int peer[4];

	(void)state;
	bed_create(&bed, "127.0.0.1", bed_free_port());
	bed.opts.connections = 3;
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), 0);
	bed_start_workers(&bed, 1);
	for (int i = 0; i < 4; i++)
		peer[i] = bed_call(&bed, "127.0.0.1");
	for (int i = 0; i < 3; i++)
		ep[i] = bed_accept(&bed);
	assert_int_equal(bed_event(2000), 0);
	assert_int_equal(bed_try_accept(&bed, &ep[3]), -EAGAIN);
	bed.watches_left = 0;
	ops->close(bed.inst, bed_worker(&bed, 0), ep[0].tag);
	assert_int_equal(bed_event(0), BED_NOBODY);
	bed.watches_left = 10;
	ops->close(bed.inst, bed_worker(&bed, 0), ep[1].tag);
	assert_int_equal(bed_event(2000), 0);
	assert_int_equal(bed_try_accept(&bed, &ep[3]), 0);
	for (int i = 0; i < 4; i++)
		(void)close(peer[i]);
	bed_stop(&bed);
}

static void accept__shortage_of_any_kind__is_a_pause(void **state)
{
	static const int errors[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };
	struct lw_endpoint ep;
	struct bed bed;
	int peer;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	peer = bed_call(&bed, "127.0.0.1");
	bed_wait(bed_fd(&bed, 0), POLLIN);
	fail_at = 1; /* the memory of the table of connections */
	assert_int_equal(bed_try_accept(&bed, &ep), -EAGAIN);
	assert_int_equal(acc.calls, 0);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		acc.error = errors[i];
		acc.times = 1;
		acc.calls = 0;
		assert_int_equal(bed_try_accept(&bed, &ep), -EAGAIN);
		assert_int_equal(acc.calls, 1);
	}
	assert_int_equal(bed_try_accept(&bed, &ep), 0);
	(void)close(peer);
	bed_stop(&bed);
}

static void accept__connections_that_died_waiting__passed_over(void **state)
{
	static const int errors[] = { ECONNABORTED, EPROTO, EINTR, EPERM, ENETDOWN, EHOSTUNREACH };
	struct lw_endpoint ep;
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		int peer = bed_call(&bed, "127.0.0.1");

		bed_wait(bed_fd(&bed, 0), POLLIN);
		acc.error = errors[i];
		acc.times = 3;
		assert_int_equal(bed_try_accept(&bed, &ep), 0);
		(void)close(peer);
	}
	assert_int_equal(lw_fake_counter(&bed.workers[0], &laneway_module, "accept_errors"),
	                 3 * sizeof(errors) / sizeof(errors[0]));
	bed_stop(&bed);
}

/* However many they are, one call ends, and what waits behind them is an edge again. */
static void accept__a_flood_of_dead_ones__other_work_gets_its_turn(void **state)
{
	struct lw_endpoint ep;
	struct bed bed;
	int peer;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	peer = bed_call(&bed, "127.0.0.1");
	assert_int_equal(bed_event(2000), 0);
	acc.error = ECONNABORTED;
	acc.times = 1000;
	assert_int_equal(bed_try_accept(&bed, &ep), -EAGAIN);
	assert_true(acc.calls <= 64);
	acc.times = 0;
	assert_int_equal(bed_event(2000), 0);
	assert_int_equal(bed_try_accept(&bed, &ep), 0);
	(void)close(peer);
	bed_stop(&bed);
}

static void accept__broken_listener__is_dead(void **state)
{
	static const int errors[] = { EBADF, ENOTSOCK, EINVAL, EOPNOTSUPP };
	struct lw_endpoint ep;
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		acc.error = errors[i];
		acc.times = 1;
		assert_int_equal(bed_try_accept(&bed, &ep), -errors[i]);
	}
	assert_int_equal(ops->accept(bed.inst, bed_worker(&bed, 0), 1, &ep), -EBADF);
	bed_stop(&bed);
}

/* A connection that cannot be admitted is closed, and the one behind it is not its victim. */
static void accept__admission_fails__only_that_one_is_closed(void **state)
{
	struct lw_endpoint ep;
	struct bed bed;
	unsigned fds;
	int peer[3];
	char byte;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	for (int i = 0; i < 3; i++)
		peer[i] = bed_call(&bed, "127.0.0.1");
	fds = bed_fds();
	fail_at = 2; /* the table's memory is the first call */
	assert_int_equal(bed_try_accept(&bed, &ep), 0);
	assert_int_equal(bed_fds(), fds + 1);
	assert_int_equal(recv(peer[0], &byte, 1, 0), 0);
	bed.watches_left = 0;
	assert_int_equal(bed_try_accept(&bed, &ep), -EAGAIN);
	assert_int_equal(bed_fds(), fds + 1);
	assert_int_equal(recv(peer[2], &byte, 1, 0), 0);
	for (int i = 0; i < 3; i++)
		(void)close(peer[i]);
	bed_stop(&bed);
}

static void send__few_bytes_a_call_and_errors__every_byte_once(void **state)
{
	struct lw_endpoint ep;
	struct bed bed;
	int peer;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	peer = bed_call(&bed, "127.0.0.1");
	ep = bed_accept(&bed);
	for (uint64_t seed = 1; seed <= 100; seed++) {
		char text[] = "the quick brown fox jumps over the lazy dog";
		char got[sizeof(text)] = "";
		size_t at = 0;

		tx.seed = seed;
		while (at < sizeof(text)) {
			size_t half = (sizeof(text) - at) / 2;
			struct iovec iov[2] = { { .iov_base = text + at, .iov_len = half },
				                { .iov_base = text + at + half,
				                  .iov_len = sizeof(text) - at - half } };
			uint32_t first = half == 0 ? 1 : 0;
			uint32_t n = UINT32_MAX;
			int r = ops->send(bed.inst, bed_worker(&bed, 0), ep.tag, iov + first,
			                  2 - first, &n);

			assert_true(r == 0 || r == -EAGAIN || r == -ENOBUFS);
			assert_int_equal(n == 0, r != 0);
			at += n;
		}
		assert_int_equal(recv(peer, got, sizeof(got), MSG_WAITALL), sizeof(got));
		assert_string_equal(got, text);
	}
	(void)close(peer);
	bed_stop(&bed);
}

static void prepare__each_step_failing__leaves_nothing_open(void **state)
{
	unsigned failed = 0;
	unsigned fds;
	struct bed bed;
	int r;

	(void)state;
	bed_create(&bed, NULL, 0);
	bed_stop(&bed);
	fds = bed_fds();
	for (unsigned n = 1;; n++) {
		bed_create(&bed, bed_has_ipv6() ? "::1" : "127.0.0.1", bed_free_port());
		bed.opts.congestion = "reno";
		fail_calls = 0;
		fail_at = n;
		r = bed_prepare(&bed, 2, LW_ROLE_SERVER);
		fail_at = 0;
		if (r < 0) {
			failed++;
			assert_true(bed.err.text[0] != '\0');
			assert_int_equal(bed_fds(), fds);
		}
		bed_stop(&bed);
		assert_int_equal(bed_fds(), fds);
		if (r == 0)
			break;
	}
	assert_true(failed > 20);
}

static void worker_start__each_step_failing__watches_nothing(void **state)
{
	struct bed bed;
	void *ws = NULL;

	(void)state;
	bed_create(&bed, "127.0.0.1", bed_free_port());
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), 0);
	lw_fake_worker_init(&bed.workers[0], &bed.host, &laneway_module, 0);
	bed.watches_left = 0;
	assert_int_equal(
		laneway_module.life->worker_start(bed.inst, bed_worker(&bed, 0), &ws, &bed.err),
		-ENOSPC);
	for (fail_at = 1; fail_at <= 2; fail_at++) {
		fail_calls = 0;
		assert_int_equal(laneway_module.life->worker_start(bed.inst, bed_worker(&bed, 0),
		                                                   &ws, &bed.err),
		                 -ENOMEM);
	}
	assert_null(ws);
	bed_stop(&bed);
	fail_at = 1;
	fail_calls = 0;
	assert_int_equal(laneway_module.life->create(&bed.host.host, &bed.opts, &ws, NULL, NULL),
	                 -ENOMEM);
	laneway_module.life->destroy(NULL);
}

static void connect__each_step_failing__leaves_nothing_open(void **state)
{
	struct lw_endpoint ep;
	struct lw_addr at;
	struct bed bed;
	unsigned fds;
	unsigned n;
	int listener;

	(void)state;
	bed_start(&bed, NULL, 1);
	bed.opts.congestion = "reno";
	listener = bed_listener(10, &at);
	fds = bed_fds();
	for (n = 1;; n++) {
		fail_calls = 0;
		fail_at = n;
		if (ops->connect(bed.inst, bed_worker(&bed, 0), &at, &ep) == 0)
			break;
		assert_int_equal(bed_fds(), fds);
		assert_int_equal(bed.host.n_watches, 0);
	}
	assert_true(n > 8);
	fail_at = 0;
	ops->close(bed.inst, bed_worker(&bed, 0), ep.tag);
	bed.watches_left = 0;
	assert_int_equal(ops->connect(bed.inst, bed_worker(&bed, 0), &at, &ep), -ENOSPC);
	assert_int_equal(bed_fds(), fds);
	(void)close(listener);
	bed_stop(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(accept__no_free_slot__third_waits_for_the_end_of_one, reset),
		cmocka_unit_test_setup(accept__out_of_descriptors__paused_not_repeated, reset),
		cmocka_unit_test_setup(accept__arming_fails_too__next_end_arms_it, reset),
		cmocka_unit_test_setup(accept__shortage_of_any_kind__is_a_pause, reset),
		cmocka_unit_test_setup(accept__connections_that_died_waiting__passed_over, reset),
		cmocka_unit_test_setup(accept__a_flood_of_dead_ones__other_work_gets_its_turn,
		                       reset),
		cmocka_unit_test_setup(accept__broken_listener__is_dead, reset),
		cmocka_unit_test_setup(accept__admission_fails__only_that_one_is_closed, reset),
		cmocka_unit_test_setup(send__few_bytes_a_call_and_errors__every_byte_once, reset),
		cmocka_unit_test_setup(prepare__each_step_failing__leaves_nothing_open, reset),
		cmocka_unit_test_setup(worker_start__each_step_failing__watches_nothing, reset),
		cmocka_unit_test_setup(connect__each_step_failing__leaves_nothing_open, reset),
	};

	ops = laneway_module.ops.tcp;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

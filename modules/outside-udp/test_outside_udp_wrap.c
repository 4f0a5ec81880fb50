/* SPDX-License-Identifier: MIT */
#include "test_outside_udp_wrap.h"

#include <errno.h>

#include "unit/test.h"

struct wrap_tx wrap_tx;
struct wrap_rx wrap_rx;
unsigned wrap_fail_at;
unsigned wrap_fail_calls;
bool wrap_no_force;

int __real_sendmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags);
int __real_recvmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags, struct timespec *t);
int __wrap_recvmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags, struct timespec *t);
int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __real_bind(int fd, const struct sockaddr *name, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *name, socklen_t len);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static unsigned most_now(unsigned n)
{
	unsigned most = wrap_tx.most > 0 && wrap_tx.most < n ? wrap_tx.most : n;

	if (wrap_tx.seed != 0)
		most = 1 + (unsigned)(test_random(&wrap_tx.seed) % most);
	return most;
}

/* what message number i of a call fails with, 0: nothing */
static int error_of(unsigned i)
{
	return wrap_tx.times > 0 && wrap_tx.sent + i == wrap_tx.at ? wrap_tx.error : 0;
}

/* As the kernel does: messages before the bad one are sent and counted, and only a call that begins
 * with the bad one tells the error. */
int __wrap_sendmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags)
{
	unsigned most = most_now(n);
	int took;

	assert_true((flags & MSG_NOSIGNAL) != 0);
	wrap_tx.calls++;
	for (unsigned i = 0; i < n; i++) {
		int error = error_of(i);

		if (error == 0 || i >= most)
			continue;
		if (i > 0) {
			most = i;
			continue;
		}
		if (wrap_tx.times > 0 && wrap_tx.sent == wrap_tx.at)
			wrap_tx.times--;
		errno = error;
		return -1;
	}
	took = __real_sendmmsg(fd, msg, most, flags);
	if (took > 0)
		wrap_tx.sent += (unsigned)took;
	return took;
}

int __wrap_recvmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags, struct timespec *t)
{
	wrap_rx.calls++;
	if (wrap_rx.times > 0) {
		wrap_rx.times--;
		errno = wrap_rx.error;
		return -1;
	}
	return __real_recvmmsg(fd, msg, n, flags, t);
}

static bool fails_now(int error)
{
	if (wrap_fail_at == 0 || ++wrap_fail_calls != wrap_fail_at)
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
	if (wrap_no_force && level == SOL_SOCKET &&
	    (name == SO_RCVBUFFORCE || name == SO_SNDBUFFORCE)) {
		errno = EPERM;
		return -1;
	}
	return fails_now(ENOPROTOOPT) ? -1 : __real_setsockopt(fd, level, name, value, len);
}

int __wrap_bind(int fd, const struct sockaddr *name, socklen_t len)
{
	return fails_now(EADDRINUSE) ? -1 : __real_bind(fd, name, len);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now(ENOMEM) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now(ENOMEM) ? NULL : __real_realloc(old, size);
}

int wrap_reset(void **state)
{
	(void)state;
	wrap_tx = (struct wrap_tx){ .at = 0 };
	wrap_rx = (struct wrap_rx){ .times = 0 };
	wrap_fail_at = 0;
	wrap_fail_calls = 0;
	wrap_no_force = false;
	return 0;
}

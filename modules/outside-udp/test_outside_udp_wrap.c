/* SPDX-License-Identifier: MIT */
#include "test_outside_udp_wrap.h"

#include <errno.h>
#include <sys/utsname.h>

#include "unit/test.h"

struct wrap_tx wrap_tx;
struct wrap_rx wrap_rx;
unsigned wrap_fail_at;
unsigned wrap_fail_calls;
bool wrap_no_force;
int wrap_lacks;
const char *wrap_release;

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
int __real_uname(struct utsname *name);
int __wrap_uname(struct utsname *name);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static size_t bytes_of(const struct msghdr *h)
{
	size_t sum = 0;

	for (size_t i = 0; i < h->msg_iovlen; i++)
		sum += h->msg_iov[i].iov_len;
	return sum;
}

/* What each message must be: control data without a gap or padding, and a stride, as 16 bits, only
 * where there is more than one datagram. Answers whether it has one. */
static bool check_message(struct msghdr *h)
{
	bool has_stride = false;
	size_t sum = 0;

	assert_true(h->msg_iovlen <= UDP_MSG_IOVS);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		uint16_t stride = 0;

		sum += CMSG_SPACE(c->cmsg_len - CMSG_LEN(0));
		if (c->cmsg_level != SOL_UDP)
			continue;
		assert_int_equal(c->cmsg_type, UDP_SEGMENT);
		assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(stride)));
		assert_false(has_stride);
		memcpy(&stride, CMSG_DATA(c), sizeof(stride));
		assert_true(stride > 0 && stride < bytes_of(h));
		has_stride = true;
	}
	assert_int_equal(h->msg_controllen, sum);
	return has_stride;
}

static unsigned most_now(unsigned n)
{
	unsigned most = wrap_tx.most > 0 && wrap_tx.most < n ? wrap_tx.most : n;

	if (wrap_tx.seed != 0)
		most = 1 + (unsigned)(test_random(&wrap_tx.seed) % most);
	return most;
}

/* what message number i of a call fails with, 0: nothing */
static int error_of(unsigned i, bool has_stride)
{
	if (wrap_tx.times > 0 && wrap_tx.sent + i == wrap_tx.at)
		return wrap_tx.error;
	return has_stride ? wrap_tx.run_error : 0;
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
		int error = error_of(i, check_message(&msg[i].msg_hdr));

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
	int got;

	wrap_rx.calls++;
	if (wrap_rx.times > 0) {
		wrap_rx.times--;
		errno = wrap_rx.error;
		return -1;
	}
	got = __real_recvmmsg(fd, msg, n, flags, t);
	if (got > 0 && wrap_rx.spoil != NULL)
		wrap_rx.spoil(msg, (unsigned)got);
	return got;
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
	if (wrap_lacks != 0 && level == SOL_UDP && name == wrap_lacks) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return fails_now(ENOPROTOOPT) ? -1 : __real_setsockopt(fd, level, name, value, len);
}

int __wrap_bind(int fd, const struct sockaddr *name, socklen_t len)
{
	return fails_now(EADDRINUSE) ? -1 : __real_bind(fd, name, len);
}

int __wrap_uname(struct utsname *name)
{
	int r = __real_uname(name);

	if (wrap_release != NULL)
		(void)snprintf(name->release, sizeof(name->release), "%s", wrap_release);
	return r;
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
	wrap_lacks = 0;
	wrap_release = NULL;
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "test_inside_tun_kernel.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "unit/test.h"

struct kernel kernel;

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
ssize_t __real_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);
ssize_t __real_read(int fd, void *buf, size_t n);
ssize_t __wrap_read(int fd, void *buf, size_t n);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	uint32_t mask = request == TUNSETOFFLOAD ? (uint32_t)(uintptr_t)arg : 0;
	struct ifreq *ifr = arg;
	unsigned *features = arg;
	int r;

	if ((mask & kernel.lacks) != 0) {
		errno = EINVAL;
		return -1;
	}
	if (kernel.pretends && mask != 0)
		return 0;
	r = __real_ioctl(fd, request, arg);
	if (request == TUNGETFEATURES && r == 0)
		*features &= ~kernel.hides;
	if (request == TUNGETIFF && r == 0)
		ifr->ifr_flags = (short)((unsigned short)ifr->ifr_flags ^ kernel.flips);
	return r;
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
	const struct virtio_net_hdr *h = iov[0].iov_base;
	int code = 0;

	if (iov[0].iov_len == sizeof(*h))
		code = h->gso_type != 0 ? kernel.refuses[h->gso_type & 7] : kernel.single;
	if (code == 0)
		return __real_writev(fd, iov, n);
	errno = code;
	return -1;
}

ssize_t __wrap_read(int fd, void *buf, size_t n)
{
	const void *gives = kernel.gives;

	if (gives == NULL)
		return __real_read(fd, buf, n);
	kernel.gives = NULL;
	assert_true(kernel.n_gives <= n);
	memcpy(buf, gives, kernel.n_gives);
	return (ssize_t)kernel.n_gives;
}

int new_kernel(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	return 0;
}

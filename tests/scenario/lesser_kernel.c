/* SPDX-License-Identifier: MIT */
/*
 * A kernel that can do less, for LD_PRELOAD: what the real one would refuse on other machines or in
 * other years. What is refused is named by files in the folder $LW_LESSER, which a scenario makes
 * and removes while the program runs:
 *
 *   uso           TUNSETOFFLOAD with UDP superpackets
 *   gso, gro      the socket options of runs
 *   reuseport     programs for sockets that share an address
 *   bpf           to load eBPF programs
 *   steering      to give one to a TUN device
 *   runs          to send a run, EIO: nothing of it is sent
 *   superpackets  to write one to a TUN device, EINVAL
 */
#include "config.h" /* first: it asks for sendmmsg() and RTLD_NEXT */

#include <dlfcn.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* both bits of UDP superpackets, newer than the headers of Debian 12 */
#define USO 0x60ul
/* the same of sockets, newer than those of some C libraries */
#define SEGMENT 103
#define GRO     104

typedef void any_fn(void);

/* dlsym() gives an object pointer, and ISO C has no way from there to a function's */
static any_fn *real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);
	any_fn *fn;

	if (p == NULL)
		abort();
	memcpy(&fn, &p, sizeof(fn));
	return fn;
}

static bool lacks(const char *what)
{
	const char *folder = getenv("LW_LESSER");
	char path[256];

	if (folder == NULL)
		return false;
	(void)snprintf(path, sizeof(path), "%s/%s", folder, what);
	return access(path, F_OK) == 0;
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == TUNSETOFFLOAD && ((unsigned long)arg & USO) != 0 && lacks("uso"))
		return refuse(EINVAL);
	if (request == TUNSETSTEERINGEBPF && lacks("steering"))
		return refuse(EINVAL);
	return ((int (*)(int, unsigned long, ...))real("ioctl"))(fd, request, arg);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == IPPROTO_UDP &&
	    ((name == SEGMENT && lacks("gso")) || (name == GRO && lacks("gro"))))
		return refuse(ENOPROTOOPT);
	if (level == SOL_SOCKET && name == SO_ATTACH_REUSEPORT_CBPF && lacks("reuseport"))
		return refuse(ENOPROTOOPT);
	return ((int (*)(int, int, int, const void *, socklen_t))real("setsockopt"))(
		fd, level, name, value, len);
}

/* as many as any call has; those that it does not have are not looked at */
long syscall(long number, ...)
{
	va_list ap;
	long a[6];

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_bpf && lacks("bpf"))
		return refuse(EPERM);
	return ((long (*)(long, ...))real("syscall"))(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static bool is_run(struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == SEGMENT)
			return true;
	}
	return false;
}

int sendmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags)
{
	if (lacks("runs")) {
		unsigned singles = 0;

		while (singles < n && !is_run(&msg[singles].msg_hdr))
			singles++;
		if (n > 0 && singles == 0)
			return refuse(EIO);
		n = singles;
	}
	return ((int (*)(int, struct mmsghdr *, unsigned, int))real("sendmmsg"))(fd, msg, n, flags);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	const struct virtio_net_hdr *h = iov[0].iov_base;

	if (n > 1 && iov[0].iov_len == sizeof(*h) && h->gso_type != VIRTIO_NET_HDR_GSO_NONE &&
	    lacks("superpackets"))
		return refuse(EINVAL);
	return ((ssize_t(*)(int, const struct iovec *, int))real("writev"))(fd, iov, n);
}

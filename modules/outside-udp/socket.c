/* SPDX-License-Identifier: MIT */
#include "outside-udp.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <unistd.h>

struct sockopt {
	int level;
	int name;
	int value;
};

/*
 * A path that is narrower than a datagram gets fragments. With DF (PROBE, DO) it would get nothing
 * at all, as long as neither end looks for the path MTU. On IPv4 routers cut, so no ICMP message is
 * believed, and a forged one shrinks nothing. On IPv6 only the sender cuts, so it must believe.
 * Runs leave without DF too, as single datagrams do, and a receiver's GRO merges them all the same.
 */
static const struct sockopt options4[] = {
	{ IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT },
	{ IPPROTO_IP, IP_RECVTOS, 1 },
};

static const struct sockopt options6[] = {
	{ IPPROTO_IPV6, IPV6_V6ONLY, 1 },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, 1 },
};

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_options(int fd, const struct sockopt *o, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = set_option(fd, o[i].level, o[i].name, o[i].value);
	return r;
}

/* Asks with privilege first, for that is not bounded by net.core.*mem_max. What is granted is read
 * back: neither call says that it gave less. Answers that, 0 when it cannot be known. */
static int64_t set_buffer(int fd, int forced, int plain, int64_t bytes)
{
	int value = bytes > INT_MAX / 2 ? INT_MAX / 2 : (int)bytes;
	socklen_t len = sizeof(value);

	if (set_option(fd, SOL_SOCKET, forced, value) < 0)
		(void)set_option(fd, SOL_SOCKET, plain, value);
	if (getsockopt(fd, SOL_SOCKET, plain, &value, &len) < 0)
		return 0;
	return value / 2; /* the kernel doubles what it is asked, for its own overhead */
}

static int64_t set_buffers(int fd, int64_t bytes)
{
	int64_t rx = set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
	int64_t tx = set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, bytes);

	return rx < tx ? rx : tx;
}

static int set_up(int fd, uint8_t family, unsigned flags)
{
	int r = 0;

	if ((flags & UDP_OPEN_REUSEPORT) != 0)
		r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && family == 4)
		r = set_options(fd, options4, sizeof(options4) / sizeof(options4[0]));
	if (r == 0 && family == 6)
		r = set_options(fd, options6, sizeof(options6) / sizeof(options6[0]));
	if (r == 0 && (flags & UDP_OPEN_GRO) != 0)
		r = set_option(fd, SOL_UDP, UDP_GRO, 1);
	if (r < 0 || (flags & UDP_OPEN_PKTINFO) == 0)
		return r;
	if (family == 6)
		return set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	return set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

int lw_udp_socket_open(const struct lw_addr *at, unsigned flags, int64_t buffer,
                       struct udp_opened *ret)
{
	union udp_name name;
	socklen_t len = lw_udp_name_set(&name, at);
	int fd;
	int r;

	ret->step = "open";
	fd = socket(name.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret->step = "set up";
	r = set_up(fd, at->family, flags);
	if (r < 0)
		goto fail;
	ret->step = "bind";
	if (bind(fd, &name.sa, len) < 0) {
		r = -errno;
		goto fail;
	}
	ret->fd = fd;
	ret->buffer = set_buffers(fd, buffer);
	return 0;
fail:
	(void)close(fd);
	return r;
}

int lw_udp_socket_share(int fd)
{
	return set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

int lw_udp_socket_steer(int fd, const struct lw_steer *s)
{
	union {
		const void *in;
		struct sock_filter *out; /* which the kernel only reads */
	} insns = { .in = s->insns };
	const struct sock_fprog program = { .len = (unsigned short)s->n, .filter = insns.out };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0
	               ? -errno
	               : 0;
}

void lw_udp_warn_small(const struct lw_host *h, int64_t asked, int64_t granted, bool *told)
{
	if (granted >= asked || *told)
		return;
	*told = true;
	lw_log(h, LW_LOG_WARN,
	       "udp socket buffers are %lld bytes instead of %lld, bursts may be lost: raise "
	       "sysctl "
	       "net.core.rmem_max and net.core.wmem_max to %lld",
	       (long long)granted, (long long)asked, (long long)asked);
}

/* SPDX-License-Identifier: MIT */
#include "outside-tcp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

struct sockopt {
	int level;
	int name;
	int value;
};

/*
 * A tunnel's records must not wait for more (NODELAY). A peer that vanished is noticed after a
 * minute, with data under way (USER_TIMEOUT, ms) or without (keepalive: 30 s idle, then 3 probes
 * 10 s apart), which is also how long a session may stay silent before it counts as stale. What
 * waits in a socket's own queue delays all inside packets behind it: little may (NOTSENT_LOWAT,
 * bytes).
 */
static const struct sockopt options[] = {
	{ IPPROTO_TCP, TCP_NODELAY, 1 },
	{ SOL_SOCKET, SO_KEEPALIVE, 1 },
	{ IPPROTO_TCP, TCP_KEEPIDLE, 30 },
	{ IPPROTO_TCP, TCP_KEEPINTVL, 10 },
	{ IPPROTO_TCP, TCP_KEEPCNT, 3 },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, 60000 },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, 128 << 10 },
};

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

int lw_tcp_socket_open(uint8_t family, const char **ret_step)
{
	int domain = family == 6 ? AF_INET6 : AF_INET;
	int fd;
	int r = 0;

	*ret_step = "open";
	fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	*ret_step = "set up";
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]) && r == 0; i++)
		r = set_option(fd, options[i].level, options[i].name, options[i].value);
	if (r == 0)
		return fd;
	(void)close(fd);
	return r;
}

int lw_tcp_socket_congestion(int fd, const char *name)
{
	if (name == NULL || strcmp(name, "auto") == 0)
		return 0;
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) < 0)
		return -errno;
	return 0;
}

int lw_tcp_socket_listen(int fd, const struct lw_addr *at, int backlog, bool reuseport,
                         const char **ret_step)
{
	union tcp_name name;
	socklen_t len = lw_tcp_name_set(&name, at);
	int r;

	*ret_step = "set up";
	/* the connections of a daemon that just ended do not keep the next one from its port */
	r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && reuseport)
		r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && at->family == 6)
		r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (r < 0)
		return r;
	*ret_step = "bind";
	if (bind(fd, &name.sa, len) < 0)
		return -errno;
	*ret_step = "listen on";
	return listen(fd, backlog) < 0 ? -errno : 0;
}

int lw_tcp_socket_share(int fd)
{
	return set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

/* SPDX-License-Identifier: MIT */
#include "test_outside_tcp_bed.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/addr.h"
#include "unit/test.h"

static int epfd = -1;
static int (*record_watch)(const struct lw_host *h, struct lw_worker *w, int fd, uint32_t tag);
static void (*record_unwatch)(const struct lw_host *h, struct lw_worker *w, int fd);
static struct bed *current;

static int real_watch(const struct lw_host *h, struct lw_worker *w, int fd, uint32_t tag)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET, .data = { .u32 = tag } };

	if (current->watches_left-- <= 0)
		return -ENOSPC;
	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e), 0);
	return record_watch(h, w, fd, tag);
}

static void real_unwatch(const struct lw_host *h, struct lw_worker *w, int fd)
{
	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
	record_unwatch(h, w, fd);
}

uint32_t bed_event(int timeout_ms)
{
	struct epoll_event e;

	return epoll_wait(epfd, &e, 1, timeout_ms) == 1 ? e.data.u32 : BED_NOBODY;
}

struct lw_addr bed_addr(const char *text)
{
	struct lw_addr a;

	assert_int_equal(lw_addr_parse(text, &a), 0);
	return a;
}

static int try_socket(const struct lw_addr *at)
{
	struct sockaddr_storage ss;
	socklen_t len = lw_addr_to_sockaddr(at, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (bind(fd, (const struct sockaddr *)&ss, len) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

bool bed_has_ipv6(void)
{
	struct lw_addr a = bed_addr("::1");
	int fd = try_socket(&a);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

uint16_t bed_free_port(void)
{
	struct lw_addr any = bed_addr(bed_has_ipv6() ? "::" : "0.0.0.0");
	int fd = try_socket(&any);
	uint16_t port;

	assert_true(fd >= 0);
	port = bed_name(fd).port;
	(void)close(fd);
	return port;
}

void bed_create(struct bed *bed, const char *listen, uint16_t port)
{
	const void *conf;

	*bed = (struct bed){ .opts = { .backlog = 256, .connections = 1024 } };
	bed->watches_left = 100000;
	lw_fake_host_init(&bed->host);
	record_watch = bed->host.host.watch;
	record_unwatch = bed->host.host.unwatch;
	bed->host.host.watch = real_watch;
	bed->host.host.unwatch = real_unwatch;
	if (epfd < 0)
		epfd = epoll_create1(EPOLL_CLOEXEC);
	current = bed;
	if (listen != NULL) {
		bed->listen = bed_addr(listen);
		bed->listen.port = port;
		bed->opts.listen.items = &bed->listen;
		bed->opts.listen.n = 1;
	}
	assert_int_equal(laneway_module.life->create(&bed->host.host, &bed->opts, &bed->inst, &conf,
	                                             &bed->err),
	                 0);
}

int bed_prepare(struct bed *bed, uint32_t workers, uint32_t role)
{
	struct lw_env env = {
		.size = sizeof(env), .role = role, .workers = workers, .inside_mtu = 1350
	};
	struct lw_caps caps = { .flags = ~0u };
	int r = laneway_module.life->prepare(bed->inst, &env, &caps, &bed->err);

	if (r == 0)
		assert_int_equal(caps.flags, 0);
	return r;
}

void bed_start_workers(struct bed *bed, uint32_t n)
{
	for (bed->n_workers = 0; bed->n_workers < n; bed->n_workers++) {
		struct lw_fake_worker *fw = &bed->workers[bed->n_workers];

		lw_fake_worker_init(fw, &bed->host, &laneway_module, bed->n_workers);
		assert_int_equal(laneway_module.life->worker_start(bed->inst, &fw->w, &fw->w.state,
		                                                   &bed->err),
		                 0);
	}
}

void bed_start(struct bed *bed, const char *listen, uint32_t workers)
{
	int r = -EADDRINUSE;

	/* somebody else may take the port between our look and prepare() */
	for (int i = 0; i < 20 && r == -EADDRINUSE; i++) {
		if (i > 0)
			bed_stop(bed);
		bed_create(bed, listen, bed_free_port());
		r = bed_prepare(bed, workers, listen != NULL ? LW_ROLE_SERVER : LW_ROLE_CLIENT);
	}
	if (r != 0)
		fail_msg("prepare: %d, %s", r, bed->err.text);
	bed_start_workers(bed, workers);
}

void bed_stop(struct bed *bed)
{
	while (bed->n_workers > 0)
		laneway_module.life->worker_stop(bed->inst, bed_worker(bed, --bed->n_workers));
	laneway_module.life->destroy(bed->inst);
	assert_int_equal(bed->host.n_watches, 0);
}

static void limit_wait(int fd)
{
	struct timeval two = { .tv_sec = 2 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &two, sizeof(two)), 0);
}

int bed_call(const struct bed *bed, const char *called)
{
	struct lw_addr to = bed_addr(called);
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	to.port = bed->listen.port;
	len = lw_addr_to_sockaddr(&to, &ss);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	limit_wait(fd);
	assert_int_equal(connect(fd, (const struct sockaddr *)&ss, len), 0);
	return fd;
}

int bed_listener(int backlog, struct lw_addr *ret_at)
{
	struct lw_addr a = bed_addr("127.0.0.1");
	int fd = try_socket(&a);

	assert_true(fd >= 0);
	assert_int_equal(listen(fd, backlog), 0);
	limit_wait(fd);
	*ret_at = bed_name(fd);
	return fd;
}

struct lw_addr bed_name(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct lw_addr a;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(lw_addr_from_sockaddr(&ss, &a), 0);
	return a;
}

int bed_try_accept(struct bed *bed, struct lw_endpoint *ep)
{
	return laneway_module.ops.tcp->accept(bed->inst, bed_worker(bed, 0), 0, ep);
}

struct lw_endpoint bed_accept(struct bed *bed)
{
	struct lw_endpoint ep = { .tag = 0 };
	int r = bed_try_accept(bed, &ep);

	if (r == -EAGAIN) {
		bed_wait(bed_fd(bed, 0), POLLIN);
		r = bed_try_accept(bed, &ep);
	}
	assert_int_equal(r, 0);
	return ep;
}

int bed_fd(struct bed *bed, uint32_t tag)
{
	const struct tcp_worker *tw = bed_worker(bed, 0)->state;

	return tag < tw->n_listen ? tw->listeners[tag].fd : tw->conns[tag - tw->n_listen].fd;
}

void bed_wait(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	assert_int_equal(poll(&p, 1, 5000), 1);
}

unsigned bed_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

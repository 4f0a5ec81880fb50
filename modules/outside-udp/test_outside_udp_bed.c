/* SPDX-License-Identifier: MIT */
#include "test_outside_udp_bed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/addr.h"
#include "unit/test.h"

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
	int one = 1;
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (at->family == 6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
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
	struct lw_addr any4 = bed_addr("0.0.0.0");
	struct lw_addr any6 = bed_addr("::");

	for (int i = 0; i < 100; i++) {
		int fd4 = try_socket(&any4);
		int fd6;

		assert_true(fd4 >= 0);
		any6.port = bed_name(fd4).port;
		fd6 = try_socket(&any6);
		(void)close(fd4);
		if (fd6 >= 0)
			(void)close(fd6);
		if (fd6 >= 0 || !bed_has_ipv6())
			return any6.port;
	}
	fail_msg("no free port");
	return 0;
}

void bed_create(struct bed *bed, const char *listen0, const char *listen1, uint16_t port)
{
	const char *texts[BED_LISTEN_MAX] = { listen0, listen1 };
	const void *conf;

	*bed = (struct bed){ .peer = -1 };
	lw_fake_host_init(&bed->host);
	for (; bed->opts.listen.n < BED_LISTEN_MAX && texts[bed->opts.listen.n] != NULL;
	     bed->opts.listen.n++) {
		bed->listen[bed->opts.listen.n] = bed_addr(texts[bed->opts.listen.n]);
		bed->listen[bed->opts.listen.n].port = port;
	}
	bed->opts.listen.items = bed->listen;
	bed->opts.listen.item_size = sizeof(struct lw_addr);
	bed->opts.buffer = 1 << 20;
	bed->b = lw_fake_batch_create(128, 512 * 1024, true);
	assert_int_equal(laneway_module.life->create(&bed->host.host, &bed->opts, &bed->inst, &conf,
	                                             &bed->err),
	                 0);
	assert_ptr_equal(conf, &bed->opts);
}

int bed_prepare(struct bed *bed, uint32_t workers, uint32_t role)
{
	struct lw_env env = { .size = sizeof(env),
		              .role = role,
		              .workers = workers,
		              .inside_mtu = 1350,
		              .caps_wanted = bed->wanted };

	int r = laneway_module.life->prepare(bed->inst, &env, &bed->caps, &bed->err);

	/* nothing that the host cannot deal with */
	if (r == 0)
		assert_int_equal(bed->caps.flags & ~bed->wanted, 0);
	return r;
}

static void start_workers(struct bed *bed, uint32_t n)
{
	for (bed->n_workers = 0; bed->n_workers < n; bed->n_workers++) {
		struct lw_fake_worker *fw = &bed->workers[bed->n_workers];

		lw_fake_worker_init(fw, &bed->host, &laneway_module, bed->n_workers);
		assert_int_equal(laneway_module.life->worker_start(bed->inst, &fw->w, &fw->w.state,
		                                                   &bed->err),
		                 0);
	}
}

/* room for full runs, which a host that wants them has */
static void want(struct bed *bed, uint64_t wanted)
{
	bed->wanted = wanted;
	bed->opts.gso = UDP_AUTO;
	bed->opts.gro = UDP_AUTO;
	if (wanted != 0) {
		lw_fake_batch_destroy(bed->b);
		bed->b = lw_fake_batch_create(128, 16 * UDP_SLOT_RUN, true);
	}
}

static void start(struct bed *bed, const char *listen0, uint32_t workers, uint64_t wanted)
{
	int r = -EADDRINUSE;

	/* somebody else may take the port between our look and prepare() */
	for (int i = 0; i < 20 && r == -EADDRINUSE; i++) {
		if (i > 0)
			bed_stop(bed);
		bed_create(bed, listen0, NULL, bed_free_port());
		want(bed, wanted);
		r = bed_prepare(bed, workers, LW_ROLE_SERVER);
	}
	if (r != 0)
		fail_msg("prepare: %d, %s", r, bed->err.text);
	assert_int_equal(bed->caps.flags, wanted);
	start_workers(bed, workers);
	bed->peer = bed_socket(bed->listen[0].family == 4 ? "127.0.0.1" : "::1", 0);
}

void bed_start(struct bed *bed, const char *listen0, uint32_t workers)
{
	start(bed, listen0, workers, 0);
}

void bed_start_runs(struct bed *bed, const char *listen0, uint64_t wanted)
{
	start(bed, listen0, 1, wanted);
}

void bed_start_client_runs(struct bed *bed, const char *peer, uint64_t wanted)
{
	bed_create(bed, NULL, NULL, 0);
	want(bed, wanted);
	assert_int_equal(bed_prepare(bed, 1, LW_ROLE_CLIENT), 0);
	assert_int_equal(bed->caps.flags, wanted);
	start_workers(bed, 1);
	bed->peer = bed_socket(peer, 0);
}

void bed_start_client(struct bed *bed, const char *peer)
{
	bed_start_client_runs(bed, peer, 0);
}

struct lw_endpoint bed_connect(struct bed *bed, const struct lw_addr *server)
{
	struct lw_endpoint ep;

	assert_int_equal(
		laneway_module.ops.udp->connect(bed->inst, bed_worker(bed, 0), server, &ep), 0);
	return ep;
}

void bed_stop(struct bed *bed)
{
	while (bed->n_workers > 0)
		laneway_module.life->worker_stop(bed->inst, bed_worker(bed, --bed->n_workers));
	laneway_module.life->destroy(bed->inst);
	lw_fake_batch_destroy(bed->b);
	if (bed->peer >= 0)
		(void)close(bed->peer);
	assert_int_equal(bed->host.n_watches, 0);
}

int bed_socket(const char *at, uint16_t port)
{
	struct timeval two = { .tv_sec = 2 };
	struct lw_addr a = bed_addr(at);
	int fd;

	a.port = port;
	fd = try_socket(&a);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &two, sizeof(two)), 0);
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

void bed_send(int fd, const struct lw_addr *to, const void *data, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = lw_addr_to_sockaddr(to, &ss);

	assert_int_equal(sendto(fd, data, len, 0, (const struct sockaddr *)&ss, ss_len), len);
}

ssize_t bed_receive(int fd, void *data, size_t cap, struct lw_addr *ret_from)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	ssize_t n = recvfrom(fd, data, cap, 0, (struct sockaddr *)&ss, &len);

	if (n >= 0 && ret_from != NULL)
		assert_int_equal(lw_addr_from_sockaddr(&ss, ret_from), 0);
	return n;
}

bool bed_silent(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void collect(struct bed *bed, uint32_t worker, uint32_t tag, uint32_t n)
{
	struct lw_worker *w = bed_worker(bed, worker);
	struct udp_worker *uw = w->state;
	const struct udp_sock *s = &uw->socks[tag & ~LW_TAG_STRANGERS];
	struct pollfd p = { .fd = (tag & LW_TAG_STRANGERS) != 0 ? s->strangers_fd : s->fd,
		            .events = POLLIN };

	while (bed->b->n < n) {
		if (poll(&p, 1, 2000) != 1)
			fail_msg("only %u of %u datagrams came", bed->b->n, n);
		assert_int_equal(laneway_module.ops.udp->recv(bed->inst, w, tag, bed->b), -EAGAIN);
	}
}

void bed_collect(struct bed *bed, uint32_t worker, uint32_t tag, uint32_t n)
{
	collect(bed, worker, tag, n);
	assert_int_equal(bed->b->n, n);
}

void bed_collect_any(struct bed *bed, uint32_t tag)
{
	collect(bed, 0, tag, 1);
}

void bed_bytes(uint8_t *dst, uint64_t at, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		uint64_t x = (at + i) * 0x9e3779b97f4a7c15u;

		dst[i] = (uint8_t)(x >> 56 ^ x >> 40);
	}
}

struct lw_packet *bed_add_run(struct bed *bed, struct lw_endpoint *ep, uint64_t at, uint32_t len,
                              uint16_t stride)
{
	static uint8_t bytes[65536];
	struct lw_packet *p;

	bed_bytes(bytes, at, len);
	p = lw_fake_batch_add(bed->b, bytes, len);
	p->endpoint = ep;
	p->gso_type = stride > 0 ? LW_GSO_RUN : LW_GSO_NONE;
	p->gso_size = stride;
	return p;
}

void bed_expect(int fd, uint64_t at, uint32_t len, uint16_t stride)
{
	static uint8_t got[65536];
	static uint8_t want_bytes[65536];

	if (stride == 0)
		stride = 65535;
	while (len > 0) {
		uint32_t n = len < stride ? len : stride;

		assert_int_equal(bed_receive(fd, got, sizeof(got), NULL), n);
		bed_bytes(want_bytes, at, n);
		assert_memory_equal(got, want_bytes, n);
		at += n;
		len -= n;
	}
}

uint64_t bed_counter(const struct bed *bed, const char *name)
{
	return lw_fake_counter(&bed->workers[0], &laneway_module, name);
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

/* SPDX-License-Identifier: MIT */
/* inside-fake: packets of unix sockets in a folder of the test's own */
#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit/test.h"

#include "fake/fake_host.h"
#include "module/value.h"

#define MTU     100
#define PACKETS 4
#define OPTIONS 64

extern const struct lw_module laneway_module;

struct bed {
	char dir[32];
	char socket[48];
	char peer[48];
	uint64_t opts[OPTIONS / 8];
	struct lw_fake_host host;
	struct lw_fake_worker workers[2];
	struct lw_batch *batch;
	struct lw_err err;
	void *inst;
	int peer_fd;
};

static unsigned fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

static struct sockaddr_un name_of(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	return un;
}

static int bound(const char *path)
{
	struct sockaddr_un un = name_of(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void set(struct bed *b, const char *key, const char *text)
{
	for (const struct lw_option *o = laneway_module.options; o->name != NULL; o++) {
		if (strcmp(o->name, key) == 0) {
			assert_int_equal(lw_value_parse(o, text, b->opts, &b->err), 0);
			return;
		}
	}
	fail_msg("no option %s", key);
}

static void bed_init(struct bed *b)
{
	memset(b, 0, sizeof(*b));
	lw_fake_host_init(&b->host);
	strcpy(b->dir, "/tmp/lw-inside-fake-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	(void)snprintf(b->socket, sizeof(b->socket), "%s/tun", b->dir);
	(void)snprintf(b->peer, sizeof(b->peer), "%s/peer", b->dir);
	b->peer_fd = bound(b->peer);
	assert_true(laneway_module.options_size <= sizeof(b->opts));
	assert_int_equal(lw_values_init(laneway_module.options, b->opts, &b->err), 0);
	set(b, "socket", b->socket);
	set(b, "peer", b->peer);
}

static int prepare(struct bed *b, uint32_t workers)
{
	struct lw_env env = { .size = sizeof(env), .workers = workers, .inside_mtu = MTU };
	const struct lw_life_ops *life = laneway_module.life;
	struct lw_caps caps;
	const void *conf;
	int r = life->check(b->opts, &b->err);

	if (r < 0)
		return r;
	assert_int_equal(life->create(&b->host.host, b->opts, &b->inst, &conf, &b->err), 0);
	r = life->prepare(b->inst, &env, &caps, &b->err);
	if (r < 0)
		life->destroy(b->inst);
	else
		assert_true(caps.flags == 0);
	return r;
}

static void start(struct bed *b, uint32_t workers)
{
	assert_int_equal(prepare(b, workers), 0);
	b->batch = lw_fake_batch_create(PACKETS, 4096, false);
	for (uint32_t i = 0; i < workers; i++) {
		lw_fake_worker_init(&b->workers[i], &b->host, &laneway_module, i);
		assert_int_equal(laneway_module.life->worker_start(b->inst, &b->workers[i].w,
		                                                   &b->workers[i].w.state, &b->err),
		                 0);
	}
}

static void stop(struct bed *b, uint32_t workers)
{
	while (workers-- > 0)
		laneway_module.life->worker_stop(b->inst, &b->workers[workers].w);
	assert_int_equal(b->host.n_watches, 0);
	laneway_module.life->destroy(b->inst);
	lw_fake_batch_destroy(b->batch);
}

/* the folder is empty now, or the module has left something */
static void bed_fini(struct bed *b)
{
	(void)close(b->peer_fd);
	assert_int_equal(unlink(b->peer), 0);
	assert_int_equal(rmdir(b->dir), 0);
	lw_values_fini(laneway_module.options, b->opts);
}

static void give(struct bed *b, const char *path, const void *data, size_t n)
{
	struct sockaddr_un un = name_of(path);

	assert_int_equal(sendto(b->peer_fd, data, n, 0, (struct sockaddr *)&un, sizeof(un)), n);
}

static int fake_recv(struct bed *b, uint32_t worker)
{
	return laneway_module.ops.inside->recv(b->inst, &b->workers[worker].w, worker, b->batch);
}

static int fake_send(struct bed *b, uint32_t *ret_done)
{
	return laneway_module.ops.inside->send(b->inst, &b->workers[0].w, b->batch, ret_done);
}

static uint64_t counter(const struct bed *b, const char *name)
{
	return lw_fake_counter(&b->workers[0], &laneway_module, name);
}

static void recv__datagrams__are_packets_until_the_batch_is_full(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	start(&b, 1);
	assert_int_equal(fake_recv(&b, 0), -EAGAIN);
	for (int i = 0; i < PACKETS; i++)
		give(&b, b.socket, &(char){ (char)('a' + i) }, 1);
	give(&b, b.socket, "", 0);
	assert_int_equal(fake_recv(&b, 0), 0);
	assert_int_equal(b.batch->n, PACKETS);
	assert_int_equal(lw_packet_data(&b.batch->pkt[0])[0], 'a');
	assert_int_equal(lw_packet_data(&b.batch->pkt[PACKETS - 1])[0], 'a' + PACKETS - 1);
	lw_batch_reset(b.batch);
	assert_int_equal(fake_recv(&b, 0), -EAGAIN);
	assert_int_equal(b.batch->n, 1);
	assert_int_equal(b.batch->pkt[0].len, 0);
	assert_int_equal(counter(&b, "rx_packets"), PACKETS + 1);
	stop(&b, 1);
	bed_fini(&b);
}

static void recv__longer_than_the_mtu__is_dropped(void **state)
{
	uint8_t data[MTU + 1] = { 0 };
	struct bed b;

	(void)state;
	bed_init(&b);
	start(&b, 1);
	give(&b, b.socket, data, MTU + 1);
	give(&b, b.socket, data, MTU);
	assert_int_equal(fake_recv(&b, 0), -EAGAIN);
	assert_int_equal(b.batch->n, 1);
	assert_int_equal(b.batch->pkt[0].len, MTU);
	assert_int_equal(counter(&b, "rx_too_long"), 1);
	stop(&b, 1);
	bed_fini(&b);
}

static void recv__two_workers__each_has_a_socket(void **state)
{
	struct bed b;
	char second[64];

	(void)state;
	bed_init(&b);
	(void)snprintf(second, sizeof(second), "%s.1", b.socket);
	start(&b, 2);
	give(&b, second, "x", 1);
	assert_int_equal(fake_recv(&b, 0), -EAGAIN);
	assert_int_equal(b.batch->n, 0);
	assert_int_equal(fake_recv(&b, 1), -EAGAIN);
	assert_int_equal(b.batch->n, 1);
	stop(&b, 2);
	bed_fini(&b);
}

static void send__packets__reach_the_peer_in_order(void **state)
{
	char got[8];
	uint32_t done = 0;
	struct bed b;

	(void)state;
	bed_init(&b);
	start(&b, 1);
	(void)lw_fake_batch_add(b.batch, "one", 3);
	(void)lw_fake_batch_add(b.batch, "four", 4);
	assert_int_equal(fake_send(&b, &done), 0);
	assert_int_equal(done, 2);
	assert_int_equal(recv(b.peer_fd, got, sizeof(got), 0), 3);
	assert_memory_equal(got, "one", 3);
	assert_int_equal(recv(b.peer_fd, got, sizeof(got), 0), 4);
	assert_int_equal(counter(&b, "tx_packets"), 2);
	stop(&b, 1);
	bed_fini(&b);
}

static void send__peer_full_or_gone_or_superpacket__says_so(void **state)
{
	char got[8];
	uint32_t done = 9;
	struct bed b;
	int r = 0;

	(void)state;
	bed_init(&b);
	start(&b, 1);
	(void)lw_fake_batch_add(b.batch, "one", 3);
	for (int i = 0; i < 100000 && r == 0; i++)
		r = fake_send(&b, &done);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(done, 0);
	assert_int_equal(counter(&b, "tx_busy"), 1);
	assert_int_equal(recv(b.peer_fd, got, sizeof(got), 0), 3);
	assert_int_equal(fake_send(&b, &done), 0);
	(void)close(b.peer_fd);
	assert_int_equal(fake_send(&b, &done), -ECONNREFUSED);
	assert_int_equal(unlink(b.peer), 0);
	assert_int_equal(fake_send(&b, &done), -ENOENT);
	assert_int_equal(counter(&b, "tx_no_peer"), 2);
	b.batch->pkt[0].gso_size = 1;
	assert_int_equal(fake_send(&b, &done), -EOPNOTSUPP);
	b.peer_fd = bound(b.peer);
	stop(&b, 1);
	bed_fini(&b);
}

static void prepare__name_taken__is_refused_and_undone(void **state)
{
	struct bed b;
	char second[64];
	unsigned before;
	int other;

	(void)state;
	bed_init(&b);
	(void)snprintf(second, sizeof(second), "%s.1", b.socket);
	other = bound(second);
	before = fds();
	assert_int_equal(prepare(&b, 2), -EADDRINUSE);
	assert_string_equal(b.err.option, "socket");
	assert_int_equal(fds(), before);
	assert_int_equal(access(b.socket, F_OK), -1);
	(void)close(other);
	assert_int_equal(unlink(second), 0);
	bed_fini(&b);
}

static void check__path_too_long__is_refused(void **state)
{
	char path[200];
	struct bed b;

	(void)state;
	bed_init(&b);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	set(&b, "peer", path);
	assert_int_equal(prepare(&b, 1), -EINVAL);
	assert_string_equal(b.err.option, "peer");
	path[105] = 0; /* fits alone, but not with the number of a worker */
	set(&b, "socket", path);
	assert_int_equal(prepare(&b, 1), -EINVAL);
	assert_string_equal(b.err.option, "socket");
	bed_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recv__datagrams__are_packets_until_the_batch_is_full),
		cmocka_unit_test(recv__longer_than_the_mtu__is_dropped),
		cmocka_unit_test(recv__two_workers__each_has_a_socket),
		cmocka_unit_test(send__packets__reach_the_peer_in_order),
		cmocka_unit_test(send__peer_full_or_gone_or_superpacket__says_so),
		cmocka_unit_test(prepare__name_taken__is_refused_and_undone),
		cmocka_unit_test(check__path_too_long__is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

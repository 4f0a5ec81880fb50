/* SPDX-License-Identifier: MIT */
/* outside-fake: two ends on a fake network of this process's own name. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/addr.h"
#include "fake/fake_host.h"
#include "unit/test.h"

extern const struct lw_module laneway_module;

/* as the module has it: its option table tells size and offsets */
struct end_options {
	struct lw_list listen;
	struct lw_addr source;
	const char *net;
	int64_t loss;
	int64_t duplicate;
	int64_t reorder;
	int64_t seed;
};

struct end {
	struct lw_fake_host host;
	struct end_options opts;
	struct lw_addr listen;
	struct lw_fake_worker worker;
	struct lw_err err;
	struct lw_batch *b;
	void *inst;
	bool started;
};

static const struct lw_outside_udp_ops *ops;
static char net[32];

static struct lw_addr addr(const char *text)
{
	struct lw_addr a;

	assert_int_equal(lw_addr_parse(text, &a), 0);
	return a;
}

static void end_create(struct end *e, const char *listen)
{
	const void *conf;

	*e = (struct end){ .opts = { .net = net, .source = addr("192.0.2.2"), .seed = 7 } };
	lw_fake_host_init(&e->host);
	if (listen != NULL) {
		e->listen = addr(listen);
		e->opts.listen = (struct lw_list){ .items = &e->listen, .n = 1 };
	}
	e->b = lw_fake_batch_create(128, 512 * 1024, true);
	assert_int_equal(laneway_module.life->check(&e->opts, &e->err), 0);
	assert_int_equal(
		laneway_module.life->create(&e->host.host, &e->opts, &e->inst, &conf, &e->err), 0);
}

static int end_prepare(struct end *e, uint32_t workers)
{
	struct lw_env env = { .size = sizeof(env), .workers = workers, .inside_mtu = 1350 };
	struct lw_caps caps;

	return laneway_module.life->prepare(e->inst, &env, &caps, &e->err);
}

static void end_start(struct end *e, const char *listen)
{
	end_create(e, listen);
	assert_int_equal(end_prepare(e, 1), 0);
	lw_fake_worker_init(&e->worker, &e->host, &laneway_module, 0);
	assert_int_equal(laneway_module.life->worker_start(e->inst, &e->worker.w,
	                                                   &e->worker.w.state, &e->err),
	                 0);
	e->started = true;
}

static void end_stop(struct end *e)
{
	if (e->started)
		laneway_module.life->worker_stop(e->inst, &e->worker.w);
	laneway_module.life->destroy(e->inst);
	lw_fake_batch_destroy(e->b);
	assert_int_equal(e->host.n_watches, 0);
}

static struct lw_endpoint dial(struct end *client, const struct end *server)
{
	struct lw_endpoint ep;

	assert_int_equal(ops->connect(client->inst, &client->worker.w, &server->listen, &ep), 0);
	return ep;
}

/* the numbers first to first + n - 1, in one batch */
static void fill(struct end *e, const struct lw_endpoint *ep, uint32_t first, uint32_t n)
{
	lw_batch_reset(e->b);
	for (uint32_t i = first; i < first + n; i++)
		*lw_fake_batch_add(e->b, &i, sizeof(i))->endpoint = *ep;
}

static int send_all(struct end *e, uint32_t *ret_done)
{
	return ops->send(e->inst, &e->worker.w, e->b, ret_done);
}

/* what waits at a tag now, as a list of numbers */
static uint32_t drain(struct end *e, uint32_t tag, uint32_t *numbers, uint32_t cap)
{
	lw_batch_reset(e->b);
	assert_int_equal(ops->recv(e->inst, &e->worker.w, tag, e->b), -EAGAIN);
	assert_true(e->b->n <= cap);
	for (uint32_t i = 0; i < e->b->n; i++) {
		assert_int_equal(e->b->pkt[i].len, sizeof(*numbers));
		memcpy(&numbers[i], lw_packet_data(&e->b->pkt[i]), sizeof(*numbers));
	}
	return e->b->n;
}

/* Sends n numbers one by one, each read before the next, so that no queue fills. */
static uint32_t pass(struct end *client, struct end *server, uint32_t n, uint32_t *numbers)
{
	struct lw_endpoint ep = dial(client, server);
	uint32_t got = 0;
	uint32_t done;

	for (uint32_t i = 0; i < n; i++) {
		fill(client, &ep, i, 1);
		assert_int_equal(send_all(client, &done), 0);
		got += drain(server, 0, numbers + got, 3 * n - got);
	}
	ops->close(client->inst, &client->worker.w, ep.tag);
	return got;
}

static uint64_t count(const struct end *e, const char *name)
{
	return lw_fake_counter(&e->worker, &laneway_module, name);
}

static void good_network__both_ways__addresses_and_order_kept(void **state)
{
	struct end server;
	struct end client;
	struct lw_endpoint ep;
	uint32_t numbers[8];
	uint32_t done;

	(void)state;
	end_start(&server, "198.51.100.1:27690");
	end_start(&client, NULL);
	ep = dial(&client, &server);
	fill(&client, &ep, 0, 8);
	assert_int_equal(send_all(&client, &done), 0);
	assert_int_equal(done, 8);
	assert_int_equal(drain(&server, 0, numbers, 8), 8);
	for (uint32_t i = 0; i < 8; i++) {
		struct lw_addr from = server.b->ep[i].remote;

		assert_int_equal(numbers[i], i);
		assert_memory_equal(from.ip, client.opts.source.ip, 16);
		assert_true(from.port != 0);
		assert_true(lw_addr_equal(&server.b->ep[i].local, &server.listen));
	}
	assert_int_equal(send_all(&server, &done), 0);
	assert_int_equal(drain(&client, ep.tag, numbers, 8), 8);
	assert_true(lw_addr_equal(&client.b->ep[0].remote, &server.listen));
	end_stop(&client);
	end_stop(&server);
}

static void two_clients__same_source__each_has_its_own_port(void **state)
{
	struct end server;
	struct end client[2];
	struct lw_endpoint ep[2];
	uint32_t numbers[2];
	uint32_t done;

	(void)state;
	end_start(&server, "[2001:db8::1]:27690");
	for (uint32_t i = 0; i < 2; i++) {
		end_start(&client[i], NULL);
		ep[i] = dial(&client[i], &server);
		fill(&client[i], &ep[i], i, 1);
		assert_int_equal(send_all(&client[i], &done), 0);
	}
	assert_int_equal(drain(&server, 0, numbers, 2), 2);
	assert_false(lw_addr_equal(&server.b->ep[0].remote, &server.b->ep[1].remote));
	assert_int_equal(send_all(&server, &done), 0);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(drain(&client[i], ep[i].tag, numbers, 2), 1);
		assert_int_equal(numbers[0], i);
		end_stop(&client[i]);
	}
	end_stop(&server);
}

/* the queue of a unix socket is short; nothing is lost by that */
static void full_queue__more_than_it_holds__said_and_gone_on(void **state)
{
	struct end server;
	struct end client;
	struct lw_endpoint ep;
	uint32_t numbers[1000];
	uint32_t got = 0;
	uint32_t sent = 0;
	bool was_full = false;

	(void)state;
	end_start(&server, "198.51.100.1:27690");
	end_start(&client, NULL);
	ep = dial(&client, &server);
	while (sent < 1000) {
		uint32_t n = 1000 - sent < 100 ? 1000 - sent : 100;
		uint32_t done;
		int r;

		fill(&client, &ep, sent, n);
		r = send_all(&client, &done);
		assert_true(r == 0 || r == -ENOBUFS);
		assert_int_equal(r == 0, done == n);
		was_full = was_full || r != 0;
		sent += done;
		got += drain(&server, 0, numbers + got, 1000 - got);
	}
	assert_true(was_full);
	assert_int_equal(got, 1000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(numbers[i], i);
	end_stop(&client);
	end_stop(&server);
}

/* one run over a bad network; answers what arrived */
static uint32_t bad_run(int64_t loss, int64_t duplicate, int64_t reorder, int64_t seed,
                        uint32_t *numbers, uint32_t n)
{
	struct end server;
	struct end client;
	uint32_t got;

	end_start(&server, "198.51.100.1:27690");
	end_start(&client, NULL);
	client.opts.loss = loss;
	client.opts.duplicate = duplicate;
	client.opts.reorder = reorder;
	client.opts.seed = seed;
	got = pass(&client, &server, n, numbers);
	if (duplicate == 0 && reorder == 0)
		assert_int_equal(count(&client, "lost"), n - got);
	end_stop(&client);
	end_stop(&server);
	return got;
}

static void loss__some_percent__near_it_and_the_same_again(void **state)
{
	static uint32_t a[3000];
	static uint32_t b[3000];
	uint32_t got;

	(void)state;
	assert_int_equal(bad_run(100, 0, 0, 1, a, 50), 0);
	assert_int_equal(bad_run(0, 0, 0, 1, a, 50), 50);
	got = bad_run(30, 0, 0, 1, a, 1000);
	assert_in_range(got, 620, 780);
	assert_int_equal(bad_run(30, 0, 0, 1, b, 1000), got);
	assert_memory_equal(a, b, got * sizeof(*a));
	(void)bad_run(30, 0, 0, 2, b, 1000);
	assert_memory_not_equal(a, b, 600 * sizeof(*a));
}

static void duplicate__always__each_twice(void **state)
{
	uint32_t numbers[60];

	(void)state;
	assert_int_equal(bad_run(0, 100, 0, 1, numbers, 20), 40);
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(numbers[i], i / 2);
}

static void reorder__always__pairs_change_places(void **state)
{
	uint32_t numbers[60];

	(void)state;
	assert_int_equal(bad_run(0, 0, 100, 1, numbers, 20), 20);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(numbers[i], i ^ 1);
}

/* nobody sends after it: what is held goes out when the worker reads, not never */
static void reorder__last_datagram__is_not_kept(void **state)
{
	struct end server;
	struct end client;
	struct lw_endpoint ep;
	uint32_t numbers[2];
	uint32_t done;

	(void)state;
	end_start(&server, "198.51.100.1:27690");
	end_start(&client, NULL);
	client.opts.reorder = 100;
	ep = dial(&client, &server);
	fill(&client, &ep, 5, 1);
	assert_int_equal(send_all(&client, &done), 0);
	assert_int_equal(drain(&server, 0, numbers, 2), 0);
	assert_int_equal(drain(&client, ep.tag, numbers, 2), 0);
	assert_int_equal(drain(&server, 0, numbers, 2), 1);
	assert_int_equal(numbers[0], 5);
	end_stop(&client);
	end_stop(&server);
}

static void send__nobody_there__silent_like_a_network(void **state)
{
	struct end server;
	struct end client;
	struct lw_endpoint ep;
	uint32_t done;

	(void)state;
	end_start(&server, "198.51.100.1:27690");
	end_start(&client, NULL);
	ep = dial(&client, &server);
	end_stop(&server);
	fill(&client, &ep, 0, 3);
	assert_int_equal(send_all(&client, &done), 0);
	assert_int_equal(done, 3);
	assert_int_equal(count(&client, "unreachable"), 3);
	end_stop(&client);
}

static void send__what_it_cannot_carry__is_said(void **state)
{
	static uint8_t big[2049];
	struct end client;
	struct lw_endpoint ep = { .remote = addr("198.51.100.1:9") };
	uint32_t done;

	(void)state;
	end_start(&client, NULL);
	fill(&client, &ep, 0, 1);
	assert_int_equal(send_all(&client, &done), -ENOTCONN);
	assert_int_equal(ops->connect(client.inst, &client.worker.w, &ep.remote, &ep), 0);
	fill(&client, &ep, 0, 2);
	client.b->pkt[1].gso_type = LW_GSO_RUN;
	client.b->pkt[1].gso_size = 2;
	assert_int_equal(send_all(&client, &done), -EOPNOTSUPP);
	assert_int_equal(done, 1);
	lw_batch_reset(client.b);
	*lw_fake_batch_add(client.b, big, sizeof(big))->endpoint = ep;
	assert_int_equal(send_all(&client, &done), -EMSGSIZE);
	assert_int_equal(done, 0);
	end_stop(&client);
}

/* a socket without a name of this network, and one that sends too much */
static void recv__strangers_and_giants__dropped_and_counted(void **state)
{
	static char big[4096];
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	struct end server;
	uint32_t numbers[2];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	end_start(&server, "198.51.100.1:27690");
	assert_int_equal(getsockname(server.host.watches[0].fd, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&name, len), 1);
	assert_int_equal(sendto(fd, big, sizeof(big), 0, (struct sockaddr *)&name, len), 4096);
	assert_int_equal(drain(&server, 0, numbers, 2), 0);
	assert_int_equal(count(&server, "recv_foreign"), 1);
	assert_int_equal(count(&server, "recv_truncated"), 1);
	(void)close(fd);
	end_stop(&server);
}

static void prepare__name_taken_or_two_workers__is_refused(void **state)
{
	struct end first;
	struct end second;

	(void)state;
	end_start(&first, "198.51.100.1:27690");
	end_create(&second, "198.51.100.1:27690");
	assert_int_equal(end_prepare(&second, 1), -EADDRINUSE);
	assert_string_equal(second.err.option, "listen");
	assert_int_equal(end_prepare(&second, 2), -EUSERS);
	end_stop(&second);
	end_stop(&first);
}

static void check__bad_options__are_refused(void **state)
{
	struct lw_addr bare = addr("198.51.100.1");
	struct end_options o = { .net = net };
	struct lw_err err;

	(void)state;
	assert_int_equal(laneway_module.options_size, sizeof(o));
	assert_int_equal(laneway_module.life->check(&o, &err), 0);
	o.listen = (struct lw_list){ .items = &bare, .n = 1 };
	assert_int_equal(laneway_module.life->check(&o, &err), -EINVAL);
	o.listen.n = 0;
	o.net = "a name that is longer than what a unix socket's name leaves";
	assert_int_equal(laneway_module.life->check(&o, &err), -EINVAL);
	assert_string_equal(err.option, "net");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_network__both_ways__addresses_and_order_kept),
		cmocka_unit_test(two_clients__same_source__each_has_its_own_port),
		cmocka_unit_test(full_queue__more_than_it_holds__said_and_gone_on),
		cmocka_unit_test(loss__some_percent__near_it_and_the_same_again),
		cmocka_unit_test(duplicate__always__each_twice),
		cmocka_unit_test(reorder__always__pairs_change_places),
		cmocka_unit_test(reorder__last_datagram__is_not_kept),
		cmocka_unit_test(send__nobody_there__silent_like_a_network),
		cmocka_unit_test(send__what_it_cannot_carry__is_said),
		cmocka_unit_test(recv__strangers_and_giants__dropped_and_counted),
		cmocka_unit_test(prepare__name_taken_or_two_workers__is_refused),
		cmocka_unit_test(check__bad_options__are_refused),
	};

	ops = laneway_module.ops.udp;
	(void)snprintf(net, sizeof(net), "test-%ld", (long)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}

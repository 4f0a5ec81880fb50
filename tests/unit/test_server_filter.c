/* SPDX-License-Identifier: MIT */
/* A server's sessions on a worker, over one TCP connection, and a filter that has a say. */
#include <errno.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/clock.h"
#include "server/sessions.h"
#include "unit/test.h"
#include "unit/worker_bed.h"
#include "worker/helper.h"

struct server_bed {
	struct worker_bed *wb;
	struct lw_sessions *s;
	struct lw_sessions_common common;
	struct lw_tunnel_conf conf;
	struct lw_tunnel *client;
	struct lw_batch *inside;
	struct lw_chunk_pool chunks;
	struct lw_counters counters;
	struct pair *pair;
	uint32_t tag;
	int open_r; /* what the filter says */
};

static int filter_open(void *inst, struct lw_worker *w, struct lw_session *s)
{
	const struct server_bed *b = inst;

	(void)w;
	(void)s;
	return b->open_r;
}

static const struct lw_filter_ops filter_ops = { .size = sizeof(filter_ops),
	                                         .session_open = filter_open };

static int say_yes(void *inst, const struct lw_auth_request *rq)
{
	const struct lw_auth_answer yes = { .size = sizeof(yes), .verdict = LW_AUTH_YES };
	struct server_bed *b = inst;

	lw_auth_answer(&b->s->auth, rq->token, &yes);
	return 0;
}

static const struct lw_auth_ops auth_ops = { .size = sizeof(auth_ops), .submit = say_yes };

static void start_client(struct server_bed *b)
{
	struct lw_tunnel_start start = {
		.stream = true, .minor = 3, .pool = &b->chunks, .counters = &b->counters
	};
	struct lw_sink k = { .inside = b->inside };

	assert_int_equal(lw_chunk_pool_init(&b->chunks, 16), 0);
	b->inside = b->pair->client.inside;
	assert_int_equal(lw_tls_create(b->pair->client_ctx, LW_TLS_STREAM, 0, &start.tls), 0);
	assert_int_equal(lw_tunnel_create(&b->pair->client.conf, &start, lw_clock_us(), &b->client),
	                 0);
	assert_int_equal(lw_tunnel_begin(b->client, lw_clock_us(), &k), 0);
}

static void bed_init(struct server_bed *b, int open_r)
{
	const struct lw_addr prefix = { .family = 4, .prefix = 24, .ip = { 10, 9, 8, 0 } };
	struct lw_path *p;
	struct lw_endpoint ep = { .remote = lw_addr_ipv4(0x7f000001, 1234) };

	*b = (struct server_bed){ .wb = wb_create(), .open_r = open_r };
	b->pair = pair_create(true, 1);
	b->conf = b->pair->server.conf;
	b->s = calloc(1, sizeof(*b->s));
	assert_non_null(b->s);
	b->common =
		(struct lw_sessions_common){ .tls = b->pair->server_ctx,
		                             .conf = &b->conf,
		                             .limits = { .sessions = 4, .handshakes_per_s = 1000 },
		                             .n_workers = 1 };
	assert_int_equal(lw_helpers_create(1, 8, &b->common.helpers), 0);
	assert_int_equal(lw_pool_init(&b->common.pool, &prefix, NULL, 0, 1), 0);
	p = &b->wb->core.path;
	p->chain.links[p->chain.n++] =
		(struct lw_link){ .ops = &filter_ops, .inst = b, .w = &b->wb->w[3] };
	assert_int_equal(lw_sessions_init(b->s, 0, &b->wb->core, &b->common, NULL), 0);
	b->s->auth.backends[0].ops = &auth_ops;
	b->s->auth.backends[b->s->auth.n_backends++].inst = b;
	b->tag = wb_open(b->wb, b->wb->tcp);
	ep.tag = b->tag;
	(void)wb_round(b->wb); /* takes the time */
	assert_int_equal(p->ops->accepted(p->role, &p->ports[1], &ep), 0);
	start_client(b);
}

static void bed_fini(struct server_bed *b)
{
	lw_sessions_close_all(b->s);
	lw_helpers_destroy(b->common.helpers);
	lw_mailbox_deliver(&b->wb->core.mail);
	lw_sessions_fini(b->s);
	lw_pool_fini(&b->common.pool);
	free(b->s);
	lw_tunnel_destroy(b->client);
	lw_chunk_pool_fini(&b->chunks);
	wb_destroy(b->wb);
	pair_destroy(b->pair);
}

/* What the client has to say, and what it is told. */
static void pump(struct server_bed *b)
{
	int fd = b->wb->socks[b->tag].far;
	uint8_t buf[4096];
	struct iovec iov;
	ssize_t n;

	while (lw_stream_peek(&b->client->stream, &iov, 1) == 1) {
		n = send(fd, iov.iov_base, iov.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			break;
		lw_stream_consume(&b->client->stream, (size_t)n);
	}
	n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n > 0) {
		struct lw_sink k = { .inside = b->inside };
		size_t used = 0;

		(void)lw_tunnel_rx_bytes(b->client, buf, (size_t)n, &used, lw_clock_us(), &k);
	}
}

static bool client_is(void *arg, enum lw_tunnel_state wanted)
{
	struct server_bed *b = arg;

	pump(b);
	return b->client->state == wanted;
}

static bool is_online(void *arg)
{
	return client_is(arg, LW_TUNNEL_ONLINE);
}

static bool is_closed(void *arg)
{
	const struct server_bed *b = arg;

	pump(arg);
	return b->s->n == 0;
}

static void sessions__filter_agrees__counted_online_until_it_ends(void **state)
{
	struct server_bed b;

	(void)state;
	bed_init(&b, 0);
	wb_rounds_until(b.wb, is_online, &b);
	assert_int_equal(b.s->n_online, 1);
	assert_int_equal(b.s->n, 1);
	lw_sessions_close_all(b.s);
	assert_int_equal(b.s->n_online, 0);
	assert_int_equal(b.s->n, 0);
	assert_int_equal(lw_pool_free(&b.s->common->pool), b.s->common->pool.cap);
	bed_fini(&b);
}

static void sessions__filter_refuses__never_counted_online(void **state)
{
	struct server_bed b;

	(void)state;
	bed_init(&b, -EPERM);
	wb_rounds_until(b.wb, is_closed, &b);
	assert_int_equal(b.s->n_online, 0);
	assert_int_equal(lw_pool_free(&b.s->common->pool), b.s->common->pool.cap);
	bed_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions__filter_agrees__counted_online_until_it_ends),
		cmocka_unit_test(sessions__filter_refuses__never_counted_online),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

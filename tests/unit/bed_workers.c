/* SPDX-License-Identifier: MIT */
#include "unit/bed_workers.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/record.h"
#include "unit/test.h"

/* real time that helpers have for what they were given */
#define HELPERS_S 20

/* --- modules: each worker's part of them is one of bed_net.h --- */

static int create(const struct lw_host *h, const void *opts, void **ret_inst, const void **ret_conf,
                  struct lw_err *err)
{
	struct bw *b = *(struct bw *const *)opts;

	(void)err;
	if (b->host == NULL) /* the first is the authenticator */
		b->host = h;
	*ret_inst = b;
	*ret_conf = opts;
	return 0;
}

static void destroy(void *inst)
{
	(void)inst;
}

static struct net_udp *udp_of(void *inst, const struct lw_worker *w)
{
	return &((struct bw *)inst)->ends[w->index].udp;
}

static struct net_inside *inside_of(void *inst, const struct lw_worker *w)
{
	return &((struct bw *)inst)->ends[w->index].inside;
}

static int udp_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	udp_of(inst, w)->host = w->host;
	return net_udp_module.life->worker_start(udp_of(inst, w), w, ret_state, err);
}

static void udp_stop(void *inst, struct lw_worker *w)
{
	net_udp_module.life->worker_stop(udp_of(inst, w), w);
}

static int udp_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *batch)
{
	return net_udp_module.ops.udp->recv(udp_of(inst, w), w, tag, batch);
}

static int udp_send(void *inst, struct lw_worker *w, struct lw_batch *batch, uint32_t *ret_done)
{
	return net_udp_module.ops.udp->send(udp_of(inst, w), w, batch, ret_done);
}

static int inside_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	inside_of(inst, w)->host = w->host;
	return net_inside_module.life->worker_start(inside_of(inst, w), w, ret_state, err);
}

static void inside_stop(void *inst, struct lw_worker *w)
{
	net_inside_module.life->worker_stop(inside_of(inst, w), w);
}

static int inside_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *batch)
{
	return net_inside_module.ops.inside->recv(inside_of(inst, w), w, tag, batch);
}

static int inside_send(void *inst, struct lw_worker *w, struct lw_batch *batch, uint32_t *ret_done)
{
	return net_inside_module.ops.inside->send(inside_of(inst, w), w, batch, ret_done);
}

/* On a helper: keeps the login, or says yes. */
static int submit(void *inst, const struct lw_auth_request *rq)
{
	const struct lw_auth_answer yes = { .size = sizeof(yes),
		                            .verdict = LW_AUTH_YES,
		                            .user = "me" };
	struct bw *b = inst;
	bool hold;

	(void)pthread_mutex_lock(&b->lock);
	hold = b->hold;
	if (hold && b->n_tokens < sizeof(b->tokens) / sizeof(b->tokens[0]))
		b->tokens[b->n_tokens++] = rq->token;
	(void)pthread_mutex_unlock(&b->lock);
	if (!hold)
		b->host->answer(b->host, rq->token, &yes);
	return 0;
}

static const struct lw_life_ops udp_life = { .size = sizeof(udp_life),
	                                     .create = create,
	                                     .worker_start = udp_start,
	                                     .worker_stop = udp_stop,
	                                     .destroy = destroy };
static const struct lw_life_ops inside_life = { .size = sizeof(inside_life),
	                                        .create = create,
	                                        .worker_start = inside_start,
	                                        .worker_stop = inside_stop,
	                                        .destroy = destroy };
static const struct lw_life_ops auth_life = { .size = sizeof(auth_life),
	                                      .create = create,
	                                      .destroy = destroy };
static const struct lw_outside_udp_ops udp_ops = { .size = sizeof(udp_ops),
	                                           .recv = udp_recv,
	                                           .send = udp_send };
static const struct lw_inside_ops inside_ops = { .size = sizeof(inside_ops),
	                                         .recv = inside_recv,
	                                         .send = inside_send };
static const struct lw_auth_ops auth_ops = { .size = sizeof(auth_ops), .submit = submit };

#define MODULES 3

static const struct lw_module modules[MODULES] = {
	{ .kind = LW_KIND_AUTH, .name = "auth", .life = &auth_life, .ops.auth = &auth_ops },
	{ .kind = LW_KIND_OUTSIDE_UDP, .name = "udp", .life = &udp_life, .ops.udp = &udp_ops },
	{ .kind = LW_KIND_INSIDE,
	  .name = "inside",
	  .life = &inside_life,
	  .ops.inside = &inside_ops },
};

/* --- life --- */

static void must(int r, const struct lw_err *err)
{
	if (r < 0)
		fail_msg("%s", err->text);
}

/* As the server does it. */
static void on_answer(void *arg, uint64_t token, const struct lw_auth_answer *a)
{
	struct bw *b = arg;
	uint32_t worker = lw_auth_worker(token);

	if (worker < b->n)
		lw_auth_answer(&b->ends[worker].s.auth, token, a);
}

static void make_engine(struct bw *b)
{
	struct lw_instance *in = NULL;
	struct lw_err err = { 0 };

	must(lw_engine_init(&b->engine, b->n, &err), &err);
	for (int i = 0; i < MODULES; i++)
		must(lw_engine_add(&b->engine, &modules[i], &b, &in, &err), &err);
	must(lw_engine_attach(&b->engine, in, 1350, &err), &err);
	b->engine.answer = on_answer;
	b->engine.answer_arg = b;
}

static void make_common(struct bw *b, const struct bw_plan *plan)
{
	struct lw_addr pool = lw_addr_ipv4(BW_BASE, 0);

	pool.prefix = plan->prefix > 0 ? plan->prefix : 16;
	b->conf = (struct lw_tunnel_conf){ .role = LW_ROLE_SERVER,
		                           .outside_mtu = 1500,
		                           .inside_mtu = 1350,
		                           .state_bytes = b->engine.state_bytes,
		                           .client_address = lw_addr_ipv4(0x0a7e0005, 0),
		                           .server_address = lw_addr_ipv4(0x0a7e0006, 0),
		                           .dns = lw_addr_ipv4(0x0a7e0001, 0),
		                           .key_update_us = 900 * LW_US_PER_S,
		                           .stale_us = 60 * LW_US_PER_S,
		                           .idle_us = 86400 * LW_US_PER_S };
	b->tls = bed_server_ctx("server");
	b->common = (struct lw_sessions_common){
		.tls = b->tls,
		.conf = &b->conf,
		.limits = { .sessions = plan->sessions > 0 ? plan->sessions : 50000,
		            .handshakes_per_s =
		                    plan->handshakes_per_s > 0 ? plan->handshakes_per_s : 1000 },
		.helpers = b->engine.helpers,
		.n_workers = b->n,
		.udp = true
	};
	assert_int_equal(lw_pool_init(&b->common.pool, &pool, NULL, 0, b->n), 0);
}

static void make_end(struct bw *b, uint32_t i)
{
	struct bw_end *e = &b->ends[i];
	struct lw_err err = { 0 };

	e->face.net = e->udp.net = e->inside.net = &b->net;
	e->face.addr = e->udp.listen[0] = lw_addr_ipv4(BED_SERVER + i, BED_PORT);
	e->udp.n_listen = 1;
	must(lw_sessions_init(&e->s, i, bw_core(b, i), &b->common, &err), &err);
	/* the same sources share each time */
	memset(e->s.limits.key, 0, sizeof(e->s.limits.key));
	e->s.auth.backends[0].ops = &auth_ops;
	e->s.auth.backends[0].inst = b;
	e->s.auth.n_backends = 1;
	for (uint32_t k = 0; k < b->engine.n_instances; k++)
		must(lw_instance_start(b->engine.instances[k], i, &err), &err);
}

struct bw *bw_create(const struct bw_plan *plan)
{
	struct bw *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	lw_log_open(LW_LOG_ERROR);
	b->n = plan->workers;
	b->hold = plan->hold;
	(void)pthread_mutex_init(&b->lock, NULL);
	make_engine(b);
	make_common(b, plan);
	for (uint32_t i = 0; i < b->n; i++)
		make_end(b, i);
	return b;
}

static void check_nothing_left(const struct bw *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		assert_int_equal(b->ends[i].s.n, 0);
		assert_int_equal(b->ends[i].s.n_online, 0);
		assert_int_equal(b->ends[i].s.by_id.n, 0);
		assert_int_equal(b->engine.cores[i].wheel.n, 0);
		assert_int_equal(b->common.pool.slices[i].n_free, b->common.pool.slices[i].cap);
	}
	assert_int_equal(b->common.n, 0);
}

void bw_destroy(struct bw *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		lw_sessions_close_all(&b->ends[i].s);
	for (uint32_t i = 0; i < b->n; i++)
		assert_int_equal(lw_core_round(bw_core(b, i), 0), 0);
	check_nothing_left(b);
	lw_engine_fini(&b->engine);
	for (uint32_t i = 0; i < b->n; i++)
		lw_sessions_fini(&b->ends[i].s);
	lw_pool_fini(&b->common.pool);
	lw_tls_ctx_destroy(b->tls);
	(void)pthread_mutex_destroy(&b->lock);
	free(b);
}

/* --- rounds --- */

static bool has_mail(struct lw_mailbox *mb)
{
	bool has;

	(void)pthread_mutex_lock(&mb->lock);
	has = mb->head != NULL;
	(void)pthread_mutex_unlock(&mb->lock);
	return has;
}

/* The inside is, but waits for a socket. */
static bool is_ready(const struct lw_core *c)
{
	return c->ready.first != NULL && !lw_path_paused(&c->path);
}

static bool waits(struct bw *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		if (is_ready(bw_core(b, i)) || b->ends[i].udp.socks[0].n > 0 ||
		    b->ends[i].inside.n_in > 0 || has_mail(&bw_core(b, i)->mail))
			return true;
	}
	return false;
}

/* Logins that a helper has not yet looked at. */
static bool helpers_work(struct bw *b)
{
	uint32_t busy = 0;
	uint32_t held;

	for (uint32_t i = 0; i < b->n; i++) {
		struct lw_auth *a = &b->ends[i].s.auth;

		(void)pthread_mutex_lock(&a->lock);
		for (uint32_t k = 0; k < LW_AUTH_JOBS; k++)
			busy += a->jobs[k].busy != 0;
		(void)pthread_mutex_unlock(&a->lock);
	}
	(void)pthread_mutex_lock(&b->lock);
	held = b->n_tokens;
	(void)pthread_mutex_unlock(&b->lock);
	return busy > held;
}

void bw_settle(struct bw *b, struct peer *const *peers, uint32_t n)
{
	time_t until = time(NULL) + HELPERS_S;

	for (;;) {
		bool moved = false;

		for (uint32_t i = 0; i < b->n; i++)
			assert_int_equal(lw_core_round(bw_core(b, i), 0), 0);
		for (uint32_t i = 0; i < n; i++)
			moved |= peer_round(peers[i]);
		if (moved || waits(b))
			continue;
		if (!helpers_work(b) && !waits(b))
			return;
		assert_true(time(NULL) < until);
		(void)sched_yield();
	}
}

struct peer *bw_begin(struct bw *b, uint32_t worker, uint32_t ip)
{
	struct peer *p = peer_create(&b->ends[worker].face, ip, 1000, false);

	peer_begin(p);
	bw_settle(b, &p, 1);
	return p;
}

struct peer *bw_online(struct bw *b, uint32_t worker, uint32_t ip)
{
	struct peer *p = bw_begin(b, worker, ip);

	for (int i = 0; i < 100 && !p->online; i++) {
		net_clock_us += 20 * LW_US_PER_MS;
		bw_settle(b, &p, 1);
	}
	assert_true(p->online);
	return p;
}

struct lw_core *bw_core(struct bw *b, uint32_t worker)
{
	return &b->engine.cores[worker];
}

struct lw_tunnel *bw_tunnel(struct bw *b, uint32_t worker, const struct peer *p)
{
	const struct lw_endpoint ep = { .remote = p->addr };
	struct lw_sessions *s = &b->ends[worker].s;
	struct lw_record *rec = lw_record_find(s, &s->core->path.ports[0], &ep);

	return rec != NULL ? rec->timed.tunnel : NULL;
}

uint64_t bw_counter(const struct bw *b, uint32_t worker, enum lw_server_counter i)
{
	return b->ends[worker].s.counters[i];
}

const struct lw_path_counters *bw_path(const struct bw *b, uint32_t worker)
{
	return &b->engine.cores[worker].path.counters;
}

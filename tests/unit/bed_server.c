/* SPDX-License-Identifier: MIT */
#include "unit/bed_server.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/steps.h"
#include "unit/test.h"

/* real time that helpers have for what they were given */
#define HELPERS_S 20

static uint8_t *slurp(const char *name, size_t *ret_len)
{
	const char *top = getenv("top_srcdir");
	char path[512];
	uint8_t *buf = malloc(1 << 16);
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/tests/data/tls/%s", top != NULL ? top : ".", name);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_non_null(buf);
	*ret_len = fread(buf, 1, 1 << 16, f);
	fclose(f);
	return buf;
}

struct lw_tls_ctx *bed_server_ctx(const char *name)
{
	struct lw_tls_server_config cfg = { 0 };
	struct lw_tls_ctx *ctx = NULL;
	struct lw_err err = { 0 };
	char file[64];
	uint8_t *cert;
	uint8_t *key;

	(void)snprintf(file, sizeof(file), "%s.crt", name);
	cert = slurp(file, &cfg.cert_len);
	(void)snprintf(file, sizeof(file), "%s.key", name);
	key = slurp(file, &cfg.key_len);
	cfg.cert_pem = cert;
	cfg.key_pem = key;
	if (lw_tls_ctx_create_server(&cfg, &ctx, &err) < 0)
		fail_msg("%s", err.text);
	free(cert);
	free(key);
	return ctx;
}

struct lw_tls_ctx *bed_client_ctx(const char *ca)
{
	struct lw_tls_client_config cfg = { .cipher = LW_TLS_AES256 };
	struct lw_tls_ctx *ctx = NULL;
	struct lw_err err = { 0 };
	uint8_t *pem = slurp(ca, &cfg.ca_len);

	cfg.ca_pem = pem;
	if (lw_tls_ctx_create_client(&cfg, &ctx, &err) < 0)
		fail_msg("%s", err.text);
	free(pem);
	return ctx;
}

/* --- authenticators --- */

static int backend_create(const struct lw_host *h, const void *opts, void **ret_inst,
                          const void **ret_conf, struct lw_err *err)
{
	const struct net_use *use = opts;

	(void)err;
	((struct bed_backend *)use->inst)->host = h;
	*ret_inst = use->inst;
	*ret_conf = opts;
	return 0;
}

static void destroy_nothing(void *inst)
{
	(void)inst;
}

/* On a helper. */
static int backend_submit(void *inst, const struct lw_auth_request *rq)
{
	struct bed_backend *be = inst;
	struct lw_auth_answer a = { .size = sizeof(a) };
	enum bed_verdict verdict;

	(void)pthread_mutex_lock(&be->lock);
	verdict = be->verdict;
	be->n_asked++;
	(void)snprintf(be->user, sizeof(be->user), "%s", rq->user);
	(void)snprintf(be->secret, sizeof(be->secret), "%.*s", (int)rq->secret_len,
	               (const char *)rq->secret);
	if (verdict == BED_HOLD && be->n_held < sizeof(be->tokens) / sizeof(be->tokens[0]))
		be->tokens[be->n_held++] = rq->token;
	if (verdict == BED_BLOCK) {
		be->n_blocked++;
		(void)pthread_cond_broadcast(&be->changed);
		while (!be->released)
			(void)pthread_cond_wait(&be->changed, &be->lock);
		be->n_blocked--;
		verdict = BED_YES;
	}
	(void)pthread_mutex_unlock(&be->lock);
	if (verdict == BED_REFUSE)
		return -EIO;
	if (verdict == BED_HOLD)
		return 0;
	a.verdict = (uint32_t)verdict;
	(void)snprintf(a.user, sizeof(a.user), "%s", rq->user);
	be->host->answer(be->host, rq->token, &a);
	return 0;
}

void bed_answer(struct bed *b, uint32_t backend, uint32_t i, uint32_t verdict)
{
	struct bed_backend *be = &b->backends[backend];
	struct lw_auth_answer a = { .size = sizeof(a), .verdict = verdict, .user = "answered" };
	uint64_t token;

	(void)pthread_mutex_lock(&be->lock);
	assert_true(i < be->n_held);
	token = be->tokens[i];
	(void)pthread_mutex_unlock(&be->lock);
	be->host->answer(be->host, token, &a);
}

void bed_verdict(struct bed *b, uint32_t backend, enum bed_verdict v)
{
	(void)pthread_mutex_lock(&b->backends[backend].lock);
	b->backends[backend].verdict = v;
	(void)pthread_mutex_unlock(&b->backends[backend].lock);
}

void bed_wait_blocked(struct bed *b, uint32_t backend, uint32_t n)
{
	struct bed_backend *be = &b->backends[backend];
	struct timespec until = { .tv_sec = time(NULL) + HELPERS_S };
	int r = 0;

	(void)pthread_mutex_lock(&be->lock);
	while (be->n_blocked < n && r == 0)
		r = pthread_cond_timedwait(&be->changed, &be->lock, &until);
	(void)pthread_mutex_unlock(&be->lock);
	assert_int_equal(r, 0);
}

void bed_release(struct bed *b, uint32_t backend)
{
	struct bed_backend *be = &b->backends[backend];

	(void)pthread_mutex_lock(&be->lock);
	be->released = true;
	(void)pthread_cond_broadcast(&be->changed);
	(void)pthread_mutex_unlock(&be->lock);
}

/* On each helper of steps. */
static void wait_at_gate(void *arg)
{
	struct bed_gate *g = arg;

	(void)pthread_mutex_lock(&g->lock);
	g->n_waiting++;
	(void)pthread_cond_broadcast(&g->changed);
	while (g->held)
		(void)pthread_cond_wait(&g->changed, &g->lock);
	g->n_waiting--;
	(void)pthread_cond_broadcast(&g->changed);
	(void)pthread_mutex_unlock(&g->lock);
}

void bed_hold_steps(struct bed *b)
{
	struct bed_gate *g = &b->gate;

	g->held = true;
	for (uint32_t i = 0; i < b->helpers; i++)
		assert_int_equal(lw_helpers_call(b->common.steps, wait_at_gate, g), 0);
	(void)pthread_mutex_lock(&g->lock);
	while (g->n_waiting < b->helpers)
		(void)pthread_cond_wait(&g->changed, &g->lock);
	(void)pthread_mutex_unlock(&g->lock);
}

void bed_release_steps(struct bed *b)
{
	struct bed_gate *g = &b->gate;

	(void)pthread_mutex_lock(&g->lock);
	g->held = false;
	(void)pthread_cond_broadcast(&g->changed);
	while (g->n_waiting > 0)
		(void)pthread_cond_wait(&g->changed, &g->lock);
	(void)pthread_mutex_unlock(&g->lock);
}

uint32_t bed_asked(struct bed *b, uint32_t backend)
{
	uint32_t n;

	(void)pthread_mutex_lock(&b->backends[backend].lock);
	n = b->backends[backend].n_asked;
	(void)pthread_mutex_unlock(&b->backends[backend].lock);
	return n;
}

static const struct lw_life_ops backend_life = { .size = sizeof(backend_life),
	                                         .create = backend_create,
	                                         .destroy = destroy_nothing };
static const struct lw_auth_ops backend_ops = { .size = sizeof(backend_ops),
	                                        .submit = backend_submit };
static const struct lw_module backend_module = { .magic = LW_ABI_MAGIC,
	                                         .abi_major = LW_ABI_MAJOR,
	                                         .abi_minor = LW_ABI_MINOR,
	                                         .size = sizeof(struct lw_module),
	                                         .kind = LW_KIND_AUTH,
	                                         .name = "bed-auth",
	                                         .version = "0",
	                                         .life = &backend_life,
	                                         .ops.auth = &backend_ops };

/* --- a filter --- */

static int filter_create(const struct lw_host *h, const void *opts, void **ret_inst,
                         const void **ret_conf, struct lw_err *err)
{
	const struct net_use *use = opts;

	(void)err;
	((struct bed_filter *)use->inst)->host = h;
	*ret_inst = use->inst;
	*ret_conf = opts;
	return 0;
}

static int filter_open(void *inst, struct lw_worker *w, struct lw_session *s)
{
	struct bed_filter *f = inst;

	(void)w;
	(void)s;
	if (f->result == 0)
		f->n_open++;
	return f->result;
}

static void filter_close(void *inst, struct lw_worker *w, struct lw_session *s)
{
	(void)w;
	(void)s;
	((struct bed_filter *)inst)->n_close++;
}

static const struct lw_life_ops filter_life = { .size = sizeof(filter_life),
	                                        .create = filter_create,
	                                        .destroy = destroy_nothing };
static const struct lw_filter_ops filter_ops = { .size = sizeof(filter_ops),
	                                         .session_open = filter_open,
	                                         .session_close = filter_close };
static const struct lw_module filter_module = { .magic = LW_ABI_MAGIC,
	                                        .abi_major = LW_ABI_MAJOR,
	                                        .abi_minor = LW_ABI_MINOR,
	                                        .size = sizeof(struct lw_module),
	                                        .kind = LW_KIND_FILTER,
	                                        .name = "bed-filter",
	                                        .version = "0",
	                                        .life = &filter_life,
	                                        .ops.filter = &filter_ops };

/* --- the server --- */

static struct lw_instance *use_module(struct bed *b, const struct lw_module *m,
                                      const struct net_use *use)
{
	struct lw_instance *in = NULL;
	struct lw_err err = { 0 };

	if (lw_engine_add(&b->engine, m, use, &in, &err) < 0 ||
	    lw_engine_prepare(in, LW_ROLE_SERVER, 1350, &err) < 0)
		fail_msg("%s: %s", m->name, err.text);
	return in;
}

static void on_auth_answer(void *arg, uint64_t token, const struct lw_auth_answer *a)
{
	struct bed *b = arg;

	lw_auth_answer(&b->s.auth, token, a);
}

static void use_backends(struct bed *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct bed_backend *be = &b->backends[i];

		(void)pthread_mutex_init(&be->lock, NULL);
		(void)pthread_cond_init(&be->changed, NULL);
		be->use.inst = be;
		(void)use_module(b, &backend_module, &be->use);
	}
}

static struct lw_instance *use_modules(struct bed *b, const struct bed_plan *plan)
{
	b->udp.net = b->tcp.net = b->inside.net = b->net;
	b->udp.listen[0] = b->tcp.listen = b->addr;
	b->udp.listen[1] = b->addr;
	b->udp.listen[1].port++;
	b->udp.n_listen = 2;
	b->use[0].inst = &b->udp;
	b->use[1].inst = &b->tcp;
	b->use[2].inst = &b->inside;
	b->use[3].inst = &b->filter;
	use_backends(b, plan->n_backends > 0 ? plan->n_backends : 1);
	if (!plan->no_udp)
		(void)use_module(b, &net_udp_module, &b->use[0]);
	(void)use_module(b, &net_tcp_module, &b->use[1]);
	if (plan->filter)
		(void)use_module(b, &filter_module, &b->use[3]);
	return use_module(b, &net_inside_module, &b->use[2]);
}

static void make_common(struct bed *b, const struct bed_plan *plan)
{
	struct lw_addr pool = lw_addr_ipv4(0x0a7d0000, 0);

	if (plan->pool != NULL)
		assert_int_equal(lw_addr_parse(plan->pool, &pool), 0);
	pool.prefix = plan->pool != NULL ? 30 : 16;
	b->common = (struct lw_sessions_common){
		.tls = b->tls,
		.conf = &b->conf,
		.limits = { .sessions = plan->sessions > 0 ? plan->sessions : 50000,
		            .handshakes_per_s =
		                    plan->handshakes_per_s > 0 ? plan->handshakes_per_s : 1000 },
		.helpers = b->engine.helpers,
		.n_workers = 1,
		.udp = !plan->no_udp
	};
	assert_int_equal(lw_pool_init(&b->common.pool, &pool, &b->conf.client_address, 1, 1), 0);
	(void)pthread_mutex_init(&b->gate.lock, NULL);
	(void)pthread_cond_init(&b->gate.changed, NULL);
	b->helpers = plan->helpers;
	if (plan->helpers > 0)
		assert_int_equal(lw_helpers_create(plan->helpers, LW_STEPS_MAX, &b->common.steps),
		                 0);
}

static void make_sessions(struct bed *b, const struct bed_plan *plan)
{
	struct lw_err err = { 0 };

	b->conf = (struct lw_tunnel_conf){ .role = LW_ROLE_SERVER,
		                           .outside_mtu = 1500,
		                           .inside_mtu = 1350,
		                           .state_bytes = b->engine.state_bytes,
		                           .client_address = lw_addr_ipv4(0x0a7d0005, 0),
		                           .server_address = lw_addr_ipv4(0x0a7d0006, 0),
		                           .dns = lw_addr_ipv4(0x0a7d0001, 0),
		                           .key_update_us = 900 * LW_US_PER_S,
		                           .stale_us = 60 * LW_US_PER_S,
		                           .idle_us = plan->idle_us > 0 ? plan->idle_us
		                                                        : 86400 * LW_US_PER_S };
	make_common(b, plan);
	if (lw_sessions_init(&b->s, 0, b->engine.cores, &b->common, &err) < 0)
		fail_msg("%s", err.text);
	memset(b->s.limits.key, 0, sizeof(b->s.limits.key)); /* the same sources share each time */
	for (uint32_t i = 0; i < BED_BACKENDS && b->backends[i].use.inst != NULL; i++) {
		b->s.auth.backends[i].ops = &backend_ops;
		b->s.auth.backends[i].inst = &b->backends[i];
		b->s.auth.n_backends = i + 1;
	}
}

struct bed *bed_create(struct net *net, const struct bed_plan *plan)
{
	struct bed *b = calloc(1, sizeof(*b));
	struct lw_instance *inside;
	struct lw_err err = { 0 };

	assert_non_null(b);
	lw_log_open(LW_LOG_ERROR);
	b->net = net;
	b->addr = lw_addr_ipv4(plan->ip != 0 ? plan->ip : BED_SERVER, BED_PORT);
	b->tls = bed_server_ctx(plan->cert != NULL ? plan->cert : "server");
	if (lw_engine_init(&b->engine, 1, &err) < 0)
		fail_msg("%s", err.text);
	inside = use_modules(b, plan);
	if (lw_engine_attach(&b->engine, inside, 1350, &err) < 0)
		fail_msg("%s", err.text);
	make_sessions(b, plan);
	b->engine.answer = on_auth_answer;
	b->engine.answer_arg = b;
	for (uint32_t i = 0; i < b->engine.n_instances; i++) {
		if (lw_instance_start(b->engine.instances[i], 0, &err) < 0)
			fail_msg("%s", err.text);
	}
	return b;
}

static void check_nothing_left(const struct bed *b)
{
	assert_int_equal(b->s.n, 0);
	assert_int_equal(b->s.n_online, 0);
	assert_int_equal(b->s.by_addr.n, 0);
	assert_int_equal(b->s.by_id.n, 0);
	assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap);
	assert_int_equal(b->engine.cores->wheel.n, 0);
	assert_int_equal(b->tcp.n_open, 0);
	assert_int_equal(b->filter.n_open, b->filter.n_close);
	for (uint32_t i = 0; i < LW_PENDING_BUCKETS; i++)
		assert_int_equal(b->s.limits.sources[i].pending, 0);
}

void bed_destroy(struct bed *b)
{
	lw_sessions_close_all(&b->s);
	(void)bed_round(b);
	check_nothing_left(b);
	bed_release_steps(b);
	lw_helpers_destroy(b->common.steps);
	lw_engine_fini(&b->engine);
	lw_sessions_fini(&b->s);
	assert_int_equal(b->s.n_lent, 0);
	assert_null(b->s.lent);
	lw_pool_fini(&b->common.pool);
	lw_tls_ctx_destroy(b->tls);
	free(b);
}

bool bed_waits(const struct bed *b)
{
	if (b->engine.cores->ready.first != NULL)
		return true;
	for (uint32_t i = 0; i < NET_SOCKS; i++) {
		if (b->udp.open[i] && b->udp.socks[i].n > 0)
			return true;
	}
	return false;
}

bool bed_round(struct bed *b)
{
	assert_int_equal(lw_core_round(b->engine.cores, 0), 0);
	return bed_waits(b);
}

uint64_t bed_counter(const struct bed *b, enum lw_server_counter i)
{
	return b->s.counters[i];
}

uint64_t bed_tunnels(const struct bed *b, enum lw_counter i)
{
	return b->engine.cores->path.sessions.n[i];
}

uint32_t bed_jobs(struct bed *b)
{
	uint32_t n = 0;

	(void)pthread_mutex_lock(&b->s.auth.lock);
	for (uint32_t i = 0; i < LW_AUTH_JOBS; i++)
		n += b->s.auth.jobs[i].busy != 0;
	(void)pthread_mutex_unlock(&b->s.auth.lock);
	return n;
}

static bool is_held(struct bed *b, uint64_t token)
{
	bool found = false;

	for (uint32_t k = 0; k < BED_BACKENDS && b->backends[k].use.inst != NULL; k++) {
		struct bed_backend *be = &b->backends[k];

		(void)pthread_mutex_lock(&be->lock);
		for (uint32_t i = 0; i < be->n_held; i++)
			found |= be->tokens[i] == token;
		(void)pthread_mutex_unlock(&be->lock);
	}
	return found;
}

/* Whether all logins that are on their way lie with a backend that keeps them. */
static bool helpers_rest(struct bed *b)
{
	bool rest = b->s.n_lent == 0 || b->gate.held;

	(void)pthread_mutex_lock(&b->s.auth.lock);
	for (uint32_t i = 0; i < LW_AUTH_JOBS; i++) {
		const struct lw_auth_job *job = &b->s.auth.jobs[i];

		if (job->busy != 0 && !(job->busy == 1 && is_held(b, job->rq.token)))
			rest = false;
	}
	(void)pthread_mutex_unlock(&b->s.auth.lock);
	return rest;
}

/* --- time --- */

void bed_settle(struct bed *b, struct peer *const *peers, uint32_t n)
{
	time_t until = time(NULL) + HELPERS_S;

	for (;;) {
		bool moved = bed_round(b);

		for (uint32_t i = 0; i < n; i++)
			moved |= peer_round(peers[i]);
		if (moved)
			continue;
		if (helpers_rest(b))
			break;
		assert_true(time(NULL) < until);
		assert_int_equal(lw_core_round(b->engine.cores, 5 * LW_US_PER_MS), 0);
	}
}

static uint64_t next_time(const struct bed *b, struct peer *const *peers, uint32_t n, uint64_t end)
{
	uint64_t next = lw_wheel_next_us(&b->engine.cores->wheel);
	uint64_t blocked = lw_path_deadline(&b->engine.cores->path);

	next = blocked < next ? blocked : next;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t d = peers[i]->closed ? UINT64_MAX : lw_tunnel_deadline(peers[i]->t);

		next = d < next ? d : next;
	}
	if (next <= net_clock_us)
		next = net_clock_us + LW_US_PER_MS;
	return next < end ? next : end;
}

void bed_run(struct bed *b, struct peer *const *peers, uint32_t n, uint64_t us)
{
	uint64_t end = net_clock_us + us;

	bed_settle(b, peers, n);
	while (net_clock_us < end) {
		net_clock_us = next_time(b, peers, n, end);
		bed_settle(b, peers, n);
	}
}

void bed_connect(struct bed *b, struct peer *p)
{
	uint64_t end = net_clock_us + 30 * LW_US_PER_S;

	peer_begin(p);
	bed_settle(b, &p, 1);
	while (!p->online && !p->closed && net_clock_us < end)
		bed_run(b, &p, 1, 20 * LW_US_PER_MS);
	assert_true(p->online);
}

struct peer *bed_online(struct bed *b, uint32_t ip, uint16_t port, bool stream)
{
	struct peer *p = peer_create(b, ip, port, stream);

	bed_connect(b, p);
	return p;
}

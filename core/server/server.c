/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"
#include "module/value.h"
#include "server/drain.h"
#include "server/sessions.h"
#include "server/steps.h"
#include "server/survey.h"
#include "worker/engine.h"
#include "worker/records.h"
#include "worker/status.h"
#include "worker/steer.h"

#define WHO "server"
/* between looks at the load of workers */
#define LOOK_US (5 * LW_US_PER_S)
/* wire.md 5.2 */
#define STALE_US      (60 * LW_US_PER_S)
#define KEY_UPDATE_US (900 * LW_US_PER_S)
#define OUTSIDE_MTU   1500
/* the server's own inside address unless the inside module is told otherwise: wire.md 8.4 */
#define TUN_ADDRESS 0x0a7d0001u

/* one worker's */
struct part {
	struct lw_sessions sessions; /* its core is NULL until they are made */
	struct lw_mail stop;
	uint64_t cpu_us; /* at the last look */
	uint32_t busy_percent;
} __attribute__((aligned(64)));

struct server {
	const struct lw_server_plan *plan;
	struct lw_engine engine;
	struct part *parts; /* as many as the engine has workers */
	struct lw_sessions_common common;
	struct lw_tunnel_conf conf;
	struct lw_tls_ctx *tls;
	uint64_t lane_rotate_us;
	struct lw_addr tun_address; /* the system's own inside */
	struct lw_control *control;
	struct lw_surveys surveys;
	struct lw_drain drain;
	uint64_t started_us;
	uint64_t looked_us;
};

/* --- status --- */

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* Of all workers: a member that others may read. */
static uint64_t sum(const struct server *s, size_t offset)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < s->engine.n_workers; i++)
		n += load((const uint64_t *)(const void *)((const char *)&s->parts[i].sessions +
		                                           offset));
	return n;
}

static void write_counters(const void *arg, struct lw_json *out)
{
	for (int c = 0; c < LW_SRV_MAX; c++)
		lw_json_uint(out, lw_server_counter_names[c],
		             sum(arg, offsetof(struct lw_sessions, counters) +
		                              (size_t)c * sizeof(uint64_t)));
}

/* The longest that a step of a handshake was with its helper. */
static uint64_t longest_step(const struct server *s)
{
	uint64_t longest = 0;

	for (uint32_t i = 0; i < s->engine.n_workers; i++) {
		uint64_t us = load(&s->parts[i].sessions.lent_max_us);

		longest = us > longest ? us : longest;
	}
	return longest;
}

static void write_load(const struct server *s, struct lw_json *out)
{
	lw_json_array(out, "load");
	for (uint32_t i = 0; i < s->engine.n_workers; i++) {
		const struct part *p = &s->parts[i];

		lw_json_object(out, NULL);
		lw_json_uint(out, "worker", i);
		lw_json_uint(out, "busy_percent", p->busy_percent);
		lw_json_uint(out, "sessions", load(&p->sessions.n));
		lw_json_uint(out, "sessions_online", load(&p->sessions.n_online));
		lw_json_end(out);
	}
	lw_json_end(out);
}

static void write_status(const struct server *s, struct lw_json *out)
{
	lw_json_string(out, "role", "server");
	lw_json_uint(out, "pid", (uint64_t)getpid());
	lw_json_uint(out, "uptime_s", (lw_clock_us() - s->started_us) / LW_US_PER_S);
	lw_json_uint(out, "workers", s->engine.n_workers);
	lw_json_uint(out, "sessions", load(&s->common.n));
	lw_json_uint(out, "sessions_online", sum(s, offsetof(struct lw_sessions, n_online)));
	lw_json_uint(out, "rotations_pending", sum(s, offsetof(struct lw_sessions, n_rotating)));
	lw_json_uint(out, "handshake_longest_us", longest_step(s));
	lw_json_string(out, "expresslane", lw_cipher_name(&s->engine));
	lw_json_string(out, "records", lw_records_name(&s->engine));
	lw_json_uint(out, "addresses_free", lw_pool_free(&s->common.pool));
	lw_drain_status(&s->drain, lw_clock_us(), out);
	write_load(s, out);
	lw_engine_status(&s->engine, out, write_counters, s);
}

/* --- commands --- */

static int on_command(void *arg, const char *command, struct lw_json *out,
                      struct lw_control_late **ret_late, struct lw_err *err)
{
	struct server *s = arg;
	int r;

	if (strcmp(command, "status") == 0) {
		write_status(s, out);
		return 0;
	}
	r = lw_drain_command(&s->drain, command, lw_clock_us(), out, err);
	if (r != -ENOSYS) {
		s->engine.wake = true;
		return r;
	}
	return lw_survey_command(&s->surveys, command, out, ret_late, err);
}

static void on_control(void *arg)
{
	struct server *s = arg;

	(void)lw_control_step(s->control); /* level-triggered: what is left comes again */
}

/* --- start --- */

static int use_modules(struct server *s, const struct lw_uses *uses, struct lw_err *err)
{
	for (uint32_t i = 0; i < uses->n; i++) {
		struct lw_instance *in;
		int r = lw_engine_add(&s->engine, uses->use[i].module, uses->use[i].opts, &in, err);

		if (r == 0)
			r = lw_engine_prepare(in, LW_ROLE_SERVER, s->plan->mtu, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What the system has inside no client may get. */
static void learn_address(struct server *s, const struct lw_use *u)
{
	const struct lw_addr *a =
		lw_value_member(u->module->options, u->opts, "address", LW_OPT_PREFIX);

	s->tun_address = a != NULL && a->family == 4 ? *a : lw_addr_ipv4(TUN_ADDRESS, 0);
}

/* The first that the system can do wins; only -EOPNOTSUPP moves on. */
static int use_inside(struct server *s, struct lw_instance **ret, struct lw_err *err)
{
	int r = lw_err_set(err, -EINVAL, "no inside module is configured");

	for (uint32_t i = 0; i < s->plan->inside.n; i++) {
		const struct lw_use *u = &s->plan->inside.use[i];

		r = lw_engine_add(&s->engine, u->module, u->opts, ret, err);
		if (r < 0)
			return r;
		r = lw_engine_prepare(*ret, LW_ROLE_SERVER, s->plan->mtu, err);
		learn_address(s, u);
		if (r != -EOPNOTSUPP)
			return r;
		lw_log_write(LW_LOG_WARN, WHO, "%s cannot be used: %s", u->module->name, err->text);
		lw_engine_remove(&s->engine, *ret);
	}
	return r;
}

static void add_backends(const struct lw_engine *e, struct lw_auth *a)
{
	for (uint32_t i = 0; i < e->n_instances; i++) {
		const struct lw_instance *in = e->instances[i];

		if (in->module->kind != LW_KIND_AUTH || a->n_backends == LW_AUTH_BACKENDS)
			continue;
		a->backends[a->n_backends].ops = in->module->ops.auth;
		a->backends[a->n_backends++].inst = in->inst;
	}
}

static void on_auth_answer(void *arg, uint64_t token, const struct lw_auth_answer *a)
{
	struct server *s = arg;
	uint32_t worker = lw_auth_worker(token);

	if (worker < s->engine.n_workers)
		lw_auth_answer(&s->parts[worker].sessions.auth, token, a);
}

static int make_tls(struct server *s, struct lw_err *err)
{
	const struct lw_tls_server_config cfg = { .cert_pem = s->plan->cert_pem,
		                                  .cert_len = s->plan->cert_len,
		                                  .key_pem = s->plan->key_pem,
		                                  .key_len = s->plan->key_len };
	int r = lw_tls_ctx_create_server(&cfg, &s->tls, err);

	if (r == 0 && lw_tls_ctx_uses_rsa(s->tls))
		lw_log_write(LW_LOG_WARN, WHO,
		             "the server's key is RSA, which costs about ten times the processor "
		             "time of ECDSA P-256 at each handshake; make a P-256 key");
	return r;
}

static bool has_udp(const struct lw_uses *uses)
{
	for (uint32_t i = 0; i < uses->n; i++) {
		if (uses->use[i].module->kind == LW_KIND_OUTSIDE_UDP)
			return true;
	}
	return false;
}

static int make_pool(struct server *s, struct lw_err *err)
{
	const struct lw_server_plan *plan = s->plan;
	const struct lw_addr reserved[] = { plan->client_address, plan->server_address, plan->dns,
		                            s->tun_address };
	int r = lw_pool_init(&s->common.pool, &plan->pool, reserved, 4, s->engine.n_workers);

	if (r < 0)
		return lw_err_set(err, r, "cannot make the address pool: %s", strerror(-r));
	if (s->common.pool.cap == 0)
		return lw_err_set(err, -EINVAL,
		                  "network.pool has no address for a client besides those that "
		                  "are told or used here; make it larger");
	return 0;
}

/* As many helpers as workers: with nothing but handshakes to do they can use every processor. */
static int make_steps(struct server *s, struct lw_err *err)
{
	uint32_t n = s->engine.n_workers;
	int r = lw_helpers_create(n, n * LW_STEPS_MAX, &s->common.steps);

	return r < 0 ? lw_err_set(err, r, "cannot start helpers: %s", strerror(-r)) : 0;
}

static int make_sessions(struct server *s, struct lw_err *err)
{
	const struct lw_server_plan *plan = s->plan;
	int r = make_steps(s, err);

	s->conf = (struct lw_tunnel_conf){ .role = LW_ROLE_SERVER,
		                           .outside_mtu = OUTSIDE_MTU,
		                           .inside_mtu = plan->mtu,
		                           .state_bytes = s->engine.state_bytes,
		                           .client_address = plan->client_address,
		                           .server_address = plan->server_address,
		                           .dns = plan->dns,
		                           .lane_rotate_us = s->lane_rotate_us,
		                           .key_update_us = KEY_UPDATE_US,
		                           .stale_us = STALE_US,
		                           .idle_us = plan->idle_us };
	s->engine.answer = on_auth_answer;
	s->engine.answer_arg = s;
	s->common.tls = s->tls;
	s->common.conf = &s->conf;
	s->common.limits = (struct lw_server_limits){ .sessions = plan->max_sessions,
		                                      .handshakes_per_s = plan->handshakes_per_s };
	s->common.helpers = s->engine.helpers;
	s->common.n_workers = s->engine.n_workers;
	s->common.udp = has_udp(&plan->outside);
	for (uint32_t i = 0; r == 0 && i < s->engine.n_workers; i++) {
		struct lw_sessions *sessions = &s->parts[i].sessions;

		r = lw_sessions_init(sessions, i, &s->engine.cores[i], &s->common, err);
		add_backends(&s->engine, &sessions->auth);
	}
	return r;
}

static int open_control(struct server *s, struct lw_err *err)
{
	int r;

	if (s->plan->control_socket == NULL)
		return 0;
	r = lw_control_open(s->plan->control_socket, s->plan->control_group, on_command, s,
	                    &s->control, err);
	if (r < 0)
		return r;
	return lw_engine_watch(&s->engine, lw_control_fd(s->control), on_control, s);
}

/* On the worker: Goodbye to all its sessions, then the loop ends. */
static void stop_worker(struct lw_mail *m)
{
	struct part *p = (struct part *)(void *)((char *)m - offsetof(struct part, stop));

	lw_sessions_close_all(&p->sessions);
	p->sessions.core->stop = true;
}

static int make_parts(struct server *s, struct lw_err *err)
{
	uint32_t n = s->engine.n_workers;

	s->parts = aligned_alloc(_Alignof(struct part), n * sizeof(*s->parts));
	if (s->parts == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	memset(s->parts, 0, n * sizeof(*s->parts));
	for (uint32_t i = 0; i < n; i++)
		s->parts[i].stop.deliver = stop_worker;
	return 0;
}

static int start(struct server *s, uint32_t workers, struct lw_err *err)
{
	struct lw_instance *inside = NULL;
	int r = lw_engine_init(&s->engine, workers, err);

	if (r == 0)
		r = make_parts(s, err);
	if (r == 0)
		r = make_tls(s, err);
	if (r == 0)
		r = use_modules(s, &s->plan->auth, err);
	if (r == 0)
		r = use_modules(s, &s->plan->outside, err);
	if (r == 0)
		r = use_modules(s, &s->plan->chain, err);
	if (r == 0)
		r = lw_cipher_use(&s->engine, &s->plan->cipher, LW_ROLE_SERVER, s->plan->mtu,
		                  &s->lane_rotate_us, err);
	if (r == 0)
		r = open_control(s, err);
	if (r == 0)
		r = use_inside(s, &inside, err);
	if (r == 0)
		r = lw_engine_attach(&s->engine, inside, s->plan->mtu, err);
	if (r == 0)
		r = make_pool(s, err);
	if (r == 0)
		r = make_sessions(s, err);
	if (r == 0)
		r = lw_engine_start(&s->engine, err);
	return r;
}

/* A worker that ended by itself, or never began, has told nobody. */
static void end_sessions(struct server *s)
{
	for (uint32_t i = 0; s->parts != NULL && i < s->engine.n_workers; i++) {
		struct lw_sessions *sessions = &s->parts[i].sessions;

		if (sessions->core != NULL && !sessions->closing)
			lw_sessions_close_all(sessions);
	}
}

/* why a worker had ended by itself, negative errno; 0: none had */
static int finish(struct server *s)
{
	uint32_t n = s->parts != NULL ? s->engine.n_workers : 0;
	int failed;

	for (uint32_t i = 0; s->engine.running && i < n; i++)
		lw_engine_call(&s->engine, i, &s->parts[i].stop);
	lw_engine_join(&s->engine);
	lw_helpers_destroy(s->common.steps); /* before the mailboxes go that they post to */
	failed = lw_engine_failed(&s->engine);
	end_sessions(s);
	lw_surveys_end(&s->surveys); /* until now the sessions know of their walks */
	lw_control_close(s->control);
	/* helpers may still hold logins: they end before the tables of logins go */
	lw_engine_fini(&s->engine);
	for (uint32_t i = 0; i < n; i++) {
		if (s->parts[i].sessions.core != NULL)
			lw_sessions_fini(&s->parts[i].sessions);
	}
	free(s->parts);
	lw_pool_fini(&s->common.pool);
	lw_tls_ctx_destroy(s->tls);
	return failed;
}

/* How busy each worker was since the last look. */
static void look_at_load(struct server *s, uint64_t now)
{
	for (uint32_t i = 0; i < s->engine.n_workers; i++) {
		struct part *p = &s->parts[i];
		uint64_t cpu = lw_core_cpu_us(&s->engine.cores[i]);

		if (now > s->looked_us)
			p->busy_percent =
				(uint32_t)((cpu - p->cpu_us) * 100 / (now - s->looked_us));
		p->cpu_us = cpu;
	}
	s->looked_us = now;
}

static void serve(struct server *s)
{
	uint64_t now = lw_clock_us();

	s->looked_us = now;
	while (!s->engine.stop && !lw_drain_done(&s->drain, now)) {
		uint64_t look = s->looked_us + LOOK_US - now;
		uint64_t drain = lw_drain_look_us(&s->drain, now);

		lw_engine_run(&s->engine, drain < look ? drain : look);
		now = lw_clock_us();
		if (now - s->looked_us >= LOOK_US)
			look_at_load(s, now);
	}
}

static void tell_start(const struct server *s)
{
	char pool[LW_ADDR_TEXT_MAX];

	lw_log_write(LW_LOG_NOTICE, WHO, "pool %s, %u addresses; at most %u sessions; %u worker%s",
	             lw_addr_format(&s->plan->pool, pool), s->common.pool.cap,
	             s->plan->max_sessions, s->engine.n_workers,
	             s->engine.n_workers == 1 ? "" : "s");
	lw_log_write(LW_LOG_NOTICE, WHO, "ready");
}

static int run_with(const struct lw_server_plan *plan, uint32_t workers, struct lw_err *err)
{
	struct server *s = calloc(1, sizeof(*s));
	int failed;
	int r;

	if (s == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	s->plan = plan;
	s->surveys.engine = &s->engine;
	s->drain.common = &s->common;
	s->started_us = lw_clock_us();
	r = start(s, workers, err);
	if (r == 0) {
		tell_start(s);
		serve(s);
		lw_log_write(LW_LOG_NOTICE, WHO, "stopping");
	}
	failed = finish(s);
	if (r == 0 && failed != 0)
		r = lw_err_set(err, failed, "the inside device is gone: %s", strerror(-failed));
	free(s);
	return r;
}

/* --- how many workers --- */

static uint32_t count_processors(void)
{
	cpu_set_t set;
	int n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n < LW_SERVER_WORKERS ? (uint32_t)n : LW_SERVER_WORKERS;
}

/* Several need the kernel's help: without it every second packet would be handed over. */
static uint32_t choose_workers(const struct lw_server_plan *plan)
{
	uint32_t n = plan->workers != 0 ? plan->workers : count_processors();
	struct lw_err why = { 0 };

	if (n == 1 || lw_steer_probe(&why) == 0)
		return n;
	lw_log_write(LW_LOG_WARN, WHO, "one worker instead of %u: %s", n, why.text);
	return 1;
}

int lw_server_run(const struct lw_server_plan *plan, struct lw_err *err)
{
	uint32_t workers = choose_workers(plan);
	int r = run_with(plan, workers, err);

	if (r == -EUSERS && plan->workers == 0 && workers > 1) {
		lw_log_write(LW_LOG_WARN, WHO, "one worker instead of %u: %s", workers, err->text);
		r = run_with(plan, 1, err);
	}
	return r;
}

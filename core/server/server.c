/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"
#include "module/value.h"
#include "server/sessions.h"
#include "worker/engine.h"
#include "worker/status.h"

#define WHO "server"
/* wire.md 5.2 */
#define STALE_US      (60 * LW_US_PER_S)
#define KEY_UPDATE_US (900 * LW_US_PER_S)
#define OUTSIDE_MTU   1500
/* the server's own inside address unless the inside module is told otherwise: wire.md 8.4 */
#define TUN_ADDRESS 0x0a7d0001u

struct server {
	const struct lw_server_plan *plan;
	struct lw_engine engine;
	struct lw_sessions sessions;
	struct lw_tunnel_conf conf;
	struct lw_tls_ctx *tls;
	uint64_t lane_rotate_us;
	struct lw_addr tun_address; /* the system's own inside */
	struct lw_control *control;
	struct lw_mail stop;
	uint64_t started_us;
};

/* --- status --- */

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void write_counters(const void *arg, struct lw_json *out)
{
	const struct server *s = arg;

	for (int i = 0; i < LW_SRV_MAX; i++)
		lw_json_uint(out, lw_server_counter_names[i], load(&s->sessions.counters[i]));
}

static int on_command(void *arg, const char *command, struct lw_json *out, struct lw_err *err)
{
	struct server *s = arg;

	(void)err;
	if (strcmp(command, "status") != 0)
		return -ENOSYS;
	lw_json_string(out, "role", "server");
	lw_json_uint(out, "pid", (uint64_t)getpid());
	lw_json_uint(out, "uptime_s", (lw_clock_us() - s->started_us) / LW_US_PER_S);
	lw_json_uint(out, "workers", 1);
	lw_json_uint(out, "sessions", load(&s->sessions.n));
	lw_json_uint(out, "sessions_online", load(&s->sessions.n_online));
	lw_json_uint(out, "rotations_pending", load(&s->sessions.n_rotating));
	lw_json_string(out, "expresslane", lw_cipher_name(&s->engine));
	lw_json_uint(out, "addresses_free", lw_pool_free(&s->sessions.pool));
	lw_engine_status(&s->engine, out, write_counters, s);
	return 0;
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

static void add_backends(struct server *s)
{
	const struct lw_engine *e = &s->engine;

	for (uint32_t i = 0; i < e->n_instances; i++) {
		if (e->instances[i]->module->kind != LW_KIND_AUTH ||
		    s->sessions.auth.n_backends == LW_AUTH_BACKENDS)
			continue;
		s->sessions.auth.backends[s->sessions.auth.n_backends].ops =
			e->instances[i]->module->ops.auth;
		s->sessions.auth.backends[s->sessions.auth.n_backends++].inst =
			e->instances[i]->inst;
	}
}

static void on_auth_answer(void *arg, uint64_t token, const struct lw_auth_answer *a)
{
	struct server *s = arg;

	lw_auth_answer(&s->sessions.auth, token, a);
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

static int make_sessions(struct server *s, struct lw_err *err)
{
	const struct lw_server_plan *plan = s->plan;
	const struct lw_server_limits limits = { .sessions = plan->max_sessions,
		                                 .handshakes_per_s = plan->handshakes_per_s };
	const struct lw_addr reserved[] = { plan->client_address, plan->server_address, plan->dns,
		                            s->tun_address };

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
	return lw_sessions_init(&s->sessions, &s->engine.core, s->tls, &s->conf, &limits,
	                        &plan->pool, reserved, 4, s->engine.helpers,
	                        has_udp(&plan->outside), err);
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

/* On the worker: Goodbye to all, then the loop ends. */
static void stop_worker(struct lw_mail *m)
{
	struct server *s = (struct server *)(void *)((char *)m - offsetof(struct server, stop));

	lw_sessions_close_all(&s->sessions);
	s->engine.core.stop = true;
}

static int start(struct server *s, struct lw_err *err)
{
	struct lw_instance *inside = NULL;
	int r = lw_engine_init(&s->engine, err);

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
		r = make_sessions(s, err);
	if (r == 0) {
		add_backends(s);
		r = lw_engine_start(&s->engine, err);
	}
	return r;
}

static void finish(struct server *s)
{
	if (s->engine.core.started)
		lw_engine_stop(&s->engine, &s->stop);
	/* a worker that ended by itself has told nobody */
	if (s->sessions.core != NULL && !s->sessions.closing)
		lw_sessions_close_all(&s->sessions);
	lw_control_close(s->control);
	/* helpers may still hold logins: they end before the table of logins goes */
	lw_engine_fini(&s->engine);
	if (s->sessions.core != NULL)
		lw_sessions_fini(&s->sessions);
	lw_tls_ctx_destroy(s->tls);
}

int lw_server_run(const struct lw_server_plan *plan, struct lw_err *err)
{
	struct server *s = calloc(1, sizeof(*s));
	char pool[LW_ADDR_TEXT_MAX];
	int r;

	if (s == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	s->plan = plan;
	s->stop.deliver = stop_worker;
	s->started_us = lw_clock_us();
	r = start(s, err);
	if (r == 0) {
		lw_log_write(LW_LOG_NOTICE, WHO, "pool %s, %u addresses; at most %u sessions",
		             lw_addr_format(&plan->pool, pool), s->sessions.pool.cap,
		             plan->max_sessions);
		lw_log_write(LW_LOG_NOTICE, WHO, "ready");
		lw_engine_run(&s->engine, UINT64_MAX);
		lw_log_write(LW_LOG_NOTICE, WHO, "stopping");
	}
	finish(s);
	if (r == 0 && s->engine.core.failed != 0)
		r = lw_err_set(err, s->engine.core.failed, "the inside device is gone: %s",
		               strerror(-s->engine.core.failed));
	free(s);
	return r;
}

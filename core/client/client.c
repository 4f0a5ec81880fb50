/* SPDX-License-Identifier: MIT */
#include "client/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "client/resolve.h"
#include "control/control.h"
#include "module/value.h"
#include "worker/engine.h"
#include "worker/records.h"
#include "worker/status.h"

#define WHO           "client"
#define STALE_US      (60 * LW_US_PER_S)
#define LINE_EVERY_US (1 * LW_US_PER_S)
/* what the system uses inside unless the inside module is told otherwise: wire.md 8.4 */
#define TUN_ADDRESS 0x64400006u

struct client {
	const struct lw_client_plan *plan;
	struct lw_engine engine;
	struct lw_attempts attempts;
	struct lw_tunnel_conf conf;
	struct lw_tls_ctx *tls;
	struct lw_netconf *netconf;
	struct lw_control *control;
	struct lw_resolve *resolve; /* NULL: no name is being looked up */
	struct lw_err *err;
	uint64_t lane_rotate_us;
	int result;
	const char *tun_name; /* NULL: the inside is no device */
	struct lw_target targets[LW_CLIENT_SERVERS];
	uint32_t n_targets;
	struct lw_addr routed[LW_CLIENT_SERVERS]; /* servers that have their host route */
	uint32_t n_routed;
	/* to the worker */
	struct lw_mail begin;
	struct lw_mail stop;
	/* to the control thread, with what the worker wrote before it sent them */
	struct lw_mail online;
	struct lw_mail lost;
	struct lw_target online_target;
	struct lw_tls_info online_tls;
	enum lw_close_reason lost_reason;
	char lost_text[192];
	bool connected;
	bool was_connected;
	bool terminal;
	uint64_t began_us;
	uint64_t retry_at_us; /* UINT64_MAX: not waiting */
	uint64_t backoff_us;
	uint64_t connects;
	/* of the live line */
	uint64_t line_us;
	uint64_t line_rx;
	uint64_t line_tx;
};

#define CLIENT_OF(m, member)                                                                       \
	((struct client *)(void *)((char *)(m)-offsetof(struct client, member)))

/* --- on the worker --- */

static void worker_begin(struct lw_mail *m)
{
	struct client *c = CLIENT_OF(m, begin);

	lw_attempts_begin(&c->attempts, c->targets, c->n_targets);
}

static void worker_stop(struct lw_mail *m)
{
	struct client *c = CLIENT_OF(m, stop);

	lw_attempts_end(&c->attempts);
	c->engine.cores->stop = true;
}

static void worker_online(void *arg, const struct lw_attempt *a)
{
	struct client *c = arg;

	c->online_target = a->target;
	lw_tls_info(a->timed.tunnel->tls, &c->online_tls);
	lw_mailbox_post(&c->engine.mail, &c->online);
}

static void worker_lost(void *arg, enum lw_close_reason reason, const char *text)
{
	struct client *c = arg;

	c->lost_reason = reason;
	(void)snprintf(c->lost_text, sizeof(c->lost_text), "%s", text);
	lw_mailbox_post(&c->engine.mail, &c->lost);
}

static const struct lw_attempts_ops attempts_ops = { .online = worker_online, .lost = worker_lost };

/* --- connecting, on the control thread --- */

static void give_up(struct client *c, int error)
{
	c->result = error;
	c->engine.stop = true;
}

static void wait_and_retry(struct client *c)
{
	c->retry_at_us = lw_clock_us() + c->backoff_us;
	c->engine.wake = true;
	lw_log_write(LW_LOG_NOTICE, WHO, "trying again in %llu s",
	             (unsigned long long)((c->backoff_us + LW_US_PER_S - 1) / LW_US_PER_S));
	c->backoff_us *= 2;
	if (c->backoff_us > c->plan->reconnect_max_us)
		c->backoff_us = c->plan->reconnect_max_us;
}

static bool is_routed(const struct client *c, const struct lw_addr *server)
{
	for (uint32_t i = 0; i < c->n_routed; i++) {
		if (lw_addr_equal(&c->routed[i], server))
			return true;
	}
	return false;
}

/* Names give their addresses in any order, and not all of them each time. */
static bool routes_fit(const struct client *c)
{
	for (uint32_t i = 0; i < c->n_targets; i++) {
		if (!is_routed(c, &c->targets[i].addr))
			return false;
	}
	return c->n_routed > 0;
}

/* The servers' own host routes come first, so that the tunnel does not carry itself. */
static int make_routes(struct client *c)
{
	struct lw_netconf_plan plan = { .mode = c->plan->routes,
		                        .tun = c->tun_name,
		                        .servers = c->routed,
		                        .n_servers = c->n_targets,
		                        .prefixes = c->plan->prefixes,
		                        .n_prefixes = c->plan->n_prefixes };
	int r;

	if (c->netconf == NULL || c->plan->routes == LW_NETCONF_NONE || routes_fit(c))
		return 0;
	c->n_routed = c->n_targets;
	for (uint32_t i = 0; i < c->n_targets; i++)
		c->routed[i] = c->targets[i].addr;
	r = lw_netconf_apply(c->netconf, &plan, c->err);
	if (r < 0)
		c->n_routed = 0; /* nothing is left of them */
	return r;
}

static void connect_all(struct client *c)
{
	/* the routes in force would lead a server's new address into the tunnel that was lost */
	if (c->n_routed > 0 && make_routes(c) < 0)
		lw_log_write(LW_LOG_WARN, WHO, "%s; no routes until connected", c->err->text);
	for (uint32_t i = 0; i < c->n_targets; i++) {
		char text[LW_ADDR_TEXT_MAX];

		lw_log_write(LW_LOG_NOTICE, WHO, "connecting to %s://%s",
		             c->targets[i].tcp ? "tcp" : "udp",
		             lw_addr_format(&c->targets[i].addr, text));
	}
	lw_engine_call(&c->engine, 0, &c->begin);
}

/* The addresses of before are taken when there are none now: the resolver may itself be behind the
 * tunnel that was lost. */
static void on_resolved(void *arg, const struct lw_resolved *found)
{
	struct client *c = arg;

	if (found->n > 0) {
		memcpy(c->targets, found->targets, sizeof(c->targets));
		c->n_targets = found->n;
	}
	if (c->n_targets > 0) {
		connect_all(c);
	} else if (c->was_connected) {
		wait_and_retry(c);
	} else {
		give_up(c, lw_err_set(c->err, -EHOSTUNREACH, "no server has an address: %s",
		                      found->why));
	}
	lw_resolve_drop(c->resolve);
	c->resolve = NULL;
}

static void begin(struct client *c)
{
	struct lw_resolved found = { .n = 0 };
	int r;

	c->retry_at_us = UINT64_MAX;
	c->began_us = lw_clock_us();
	if (lw_resolve_numeric(c->plan->servers, c->plan->n_servers, &found)) {
		on_resolved(c, &found);
		return;
	}
	r = lw_resolve_start(c->plan->servers, c->plan->n_servers, &c->engine.mail, on_resolved, c,
	                     &c->resolve);
	if (r < 0) {
		(void)snprintf(found.why, sizeof(found.why), "%s", strerror(-r));
		on_resolved(c, &found);
	}
}

static void on_online(struct lw_mail *m)
{
	struct client *c = CLIENT_OF(m, online);
	char text[LW_ADDR_TEXT_MAX];
	int r;

	c->connected = true;
	c->was_connected = true;
	c->connects++;
	c->backoff_us = c->plan->reconnect_min_us;
	r = make_routes(c);
	if (r < 0) {
		give_up(c, r);
		return;
	}
	lw_log_write(LW_LOG_NOTICE, WHO, "connected to %s://%s in %llu ms, %s %s %s",
	             c->online_target.tcp ? "tcp" : "udp",
	             lw_addr_format(&c->online_target.addr, text),
	             (unsigned long long)((lw_clock_us() - c->began_us) / LW_US_PER_MS),
	             c->online_tls.version, c->online_tls.cipher, c->online_tls.group);
}

static void on_lost(struct lw_mail *m)
{
	struct client *c = CLIENT_OF(m, lost);

	c->connected = false;
	if (c->engine.stop)
		return;
	if (c->lost_reason == LW_CLOSE_AUTH) {
		(void)lw_err_set(c->err, -EACCES, "%s; check user and password", c->lost_text);
		give_up(c, -EACCES);
		return;
	}
	if (!c->was_connected) {
		(void)lw_err_set(c->err, -EHOSTUNREACH, "cannot connect: %s", c->lost_text);
		give_up(c, -EHOSTUNREACH);
		return;
	}
	lw_log_write(LW_LOG_WARN, WHO, "connection lost: %s", c->lost_text);
	wait_and_retry(c);
}

/* --- what people see --- */

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static double mbit_per_s(uint64_t bytes, uint64_t us)
{
	return us > 0 ? (double)bytes * 8.0 / (double)us : 0.0;
}

static void live_line(struct client *c)
{
	const struct lw_path *p = &c->engine.cores->path;
	uint64_t now = lw_clock_us();
	uint64_t rx = load(&p->counters.inside_tx_bytes);
	uint64_t tx = load(&p->counters.inside_rx_bytes);
	uint64_t us = now - c->line_us;

	if (!c->terminal || us < LINE_EVERY_US)
		return;
	(void)fprintf(stderr, "\r\033[Kdown %.1f Mbit/s, up %.1f Mbit/s, round trip %.1f ms%s",
	              mbit_per_s(rx - c->line_rx, us), mbit_per_s(tx - c->line_tx, us),
	              (double)load(&p->sessions.rtt_us) / 1000.0,
	              c->connected ? "" : ", not connected");
	c->line_us = now;
	c->line_rx = rx;
	c->line_tx = tx;
}

/* ChaCha20 is wolfSSL's affair */
static const char *records_name(const struct client *c)
{
	return c->plan->cipher == LW_TLS_CHACHA20 ? "wolfssl" : lw_records_name(&c->engine);
}

static void write_status(const struct client *c, struct lw_json *out)
{
	char text[LW_ADDR_TEXT_MAX];

	lw_json_string(out, "role", "client");
	lw_json_uint(out, "pid", (uint64_t)getpid());
	lw_json_string(out, "state", c->connected ? "online" : "connecting");
	if (c->connected) {
		lw_json_string(out, "server", lw_addr_format(&c->online_target.addr, text));
		lw_json_string(out, "transport", c->online_target.tcp ? "tcp" : "udp");
		lw_json_string(out, "cipher", c->online_tls.cipher);
		lw_json_string(out, "group", c->online_tls.group);
	}
	lw_json_string(out, "expresslane", lw_cipher_name(&c->engine));
	lw_json_string(out, "records", records_name(c));
	lw_json_uint(out, "connects", c->connects);
	lw_json_uint(out, "rtt_us", load(&c->engine.cores->path.sessions.rtt_us));
	lw_engine_status(&c->engine, out, NULL, NULL);
}

static bool is_of_server(const char *command)
{
	static const char *const commands[] = { "sessions", "kick", "kick-user", "drain" };
	size_t len = strcspn(command, " ");

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strlen(commands[i]) == len && strncmp(command, commands[i], len) == 0)
			return true;
	}
	return false;
}

static int on_command(void *arg, const char *command, struct lw_json *out,
                      struct lw_control_late **ret_late, struct lw_err *err)
{
	(void)ret_late;
	if (strcmp(command, "status") == 0) {
		write_status(arg, out);
		return 0;
	}
	if (is_of_server(command))
		return lw_err_set(err, -EOPNOTSUPP,
		                  "this is the client; only the server, lanewayd, does that");
	return -ENOSYS;
}

static void on_control(void *arg)
{
	struct client *c = arg;

	(void)lw_control_step(c->control);
}

/* --- start and end --- */

static void learn_device(struct client *c, const struct lw_module *m, const void *opts)
{
	const struct lw_addr *address = lw_value_member(m->options, opts, "address", LW_OPT_PREFIX);
	const char *const *name = lw_value_member(m->options, opts, "name", LW_OPT_STRING);

	c->tun_name = name != NULL ? *name : NULL;
	c->engine.cores->path.tun_address =
		address != NULL && address->family == 4 ? *address : lw_addr_ipv4(TUN_ADDRESS, 0);
}

static int use(struct client *c, const struct lw_module *m, const void *opts,
               struct lw_instance **ret)
{
	int r = lw_engine_add(&c->engine, m, opts, ret, c->err);

	if (r < 0)
		return r;
	r = lw_engine_prepare(*ret, LW_ROLE_CLIENT, c->plan->mtu, c->err);
	if (r < 0)
		lw_engine_remove(&c->engine, *ret);
	return r;
}

static int use_inside(struct client *c, struct lw_instance **ret)
{
	int r = lw_err_set(c->err, -EINVAL, "no inside module is configured");

	for (uint32_t i = 0; i < c->plan->n_inside; i++) {
		r = use(c, c->plan->inside[i].module, c->plan->inside[i].opts, ret);
		if (r == 0)
			learn_device(c, c->plan->inside[i].module, c->plan->inside[i].opts);
		if (r != -EOPNOTSUPP)
			return r;
		lw_log_write(LW_LOG_WARN, WHO, "%s cannot be used: %s",
		             c->plan->inside[i].module->name, c->err->text);
	}
	return r;
}

static int use_outside(struct client *c)
{
	struct lw_instance *in;
	int r = 0;

	if (c->plan->udp.module != NULL)
		r = use(c, c->plan->udp.module, c->plan->udp.opts, &in);
	if (r == 0 && c->plan->tcp.module != NULL)
		r = use(c, c->plan->tcp.module, c->plan->tcp.opts, &in);
	return r;
}

static int make_tls(struct client *c)
{
	const struct lw_tls_client_config cfg = { .ca_pem = c->plan->ca_pem,
		                                  .ca_len = c->plan->ca_len,
		                                  .server_name = c->plan->server_name,
		                                  .cipher = c->plan->cipher };

	return lw_tls_ctx_create_client(&cfg, &c->tls, c->err);
}

static void make_attempts(struct client *c)
{
	struct lw_path *p = &c->engine.cores->path;

	c->conf = (struct lw_tunnel_conf){ .role = LW_ROLE_CLIENT,
		                           .outside_mtu = c->plan->outside_mtu,
		                           .inside_mtu = c->plan->mtu,
		                           .state_bytes = c->engine.state_bytes,
		                           .lane_rotate_us = c->lane_rotate_us,
		                           .stale_us = STALE_US,
		                           .user = c->plan->user,
		                           .password = c->plan->password,
		                           .keepalive_us = c->plan->keepalive_us,
		                           .keepalive_timeout_us = c->plan->keepalive_timeout_us };
	lw_attempts_init(&c->attempts, c->engine.cores, c->tls, &c->conf, &attempts_ops, c);
	for (uint32_t i = 0; i < p->n_ports; i++) {
		if (p->ports[i].tcp)
			c->attempts.tcp = &p->ports[i];
		else
			c->attempts.udp = &p->ports[i];
	}
}

/* What a killed client left is undone before the device is made anew. */
static int clean_up_before(struct client *c)
{
	uint32_t undone = 0;
	const char *const *name = NULL;
	int r;

	if (c->plan->n_inside > 0)
		name = lw_value_member(c->plan->inside[0].module->options, c->plan->inside[0].opts,
		                       "name", LW_OPT_STRING);
	if (name == NULL || *name == NULL)
		return 0;
	r = lw_netconf_create(c->plan->state_dir, *name, &c->netconf, c->err);
	if (r == 0)
		r = lw_netconf_recover(c->netconf, &undone, c->err);
	if (r == 0 && undone > 0)
		lw_log_write(LW_LOG_NOTICE, WHO, "removed %u routes that an earlier client left",
		             undone);
	return r;
}

static int open_control(struct client *c)
{
	int r;

	if (c->plan->control_socket == NULL)
		return 0;
	r = lw_control_open(c->plan->control_socket, c->plan->control_group, on_command, c,
	                    &c->control, c->err);
	if (r < 0)
		return r;
	return lw_engine_watch(&c->engine, lw_control_fd(c->control), on_control, c);
}

static int start(struct client *c)
{
	struct lw_instance *inside = NULL;
	int r = lw_engine_init(&c->engine, 1, c->err);

	if (r == 0)
		r = make_tls(c);
	if (r == 0)
		r = clean_up_before(c);
	if (r == 0)
		r = open_control(c);
	if (r == 0)
		r = use_outside(c);
	if (r == 0)
		r = lw_cipher_use(&c->engine, &c->plan->lane, LW_ROLE_CLIENT, c->plan->mtu,
		                  &c->lane_rotate_us, c->err);
	if (r == 0)
		r = use_inside(c, &inside);
	if (r == 0)
		r = lw_engine_attach(&c->engine, inside, c->plan->mtu, c->err);
	if (r < 0)
		return r;
	make_attempts(c);
	return lw_engine_start(&c->engine, c->err);
}

static void serve(struct client *c)
{
	begin(c);
	while (!c->engine.stop) {
		uint64_t now = lw_clock_us();
		uint64_t wait = c->terminal ? LINE_EVERY_US : UINT64_MAX;

		if (c->retry_at_us != UINT64_MAX && c->retry_at_us <= now) {
			begin(c);
			continue;
		}
		if (c->retry_at_us != UINT64_MAX && c->retry_at_us - now < wait)
			wait = c->retry_at_us - now;
		lw_engine_run(&c->engine, wait);
		live_line(c);
	}
	if (c->terminal)
		(void)fprintf(stderr, "\r\033[K");
}

static void finish(struct client *c)
{
	struct lw_err ignored;

	if (c->netconf != NULL && lw_netconf_restore(c->netconf, &ignored) < 0)
		lw_log_write(LW_LOG_WARN, WHO, "%s", ignored.text);
	if (c->engine.running)
		lw_engine_call(&c->engine, 0, &c->stop);
	lw_engine_join(&c->engine);
	/* a worker that ended by itself has told nobody */
	if (c->attempts.core != NULL)
		lw_attempts_end(&c->attempts);
	lw_control_close(c->control);
	lw_resolve_drop(c->resolve);
	lw_engine_fini(&c->engine);
	lw_netconf_destroy(c->netconf);
	lw_tls_ctx_destroy(c->tls);
}

int lw_client_run(const struct lw_client_plan *plan, struct lw_err *err)
{
	struct client *c = calloc(1, sizeof(*c));
	struct lw_err own;
	int r;

	if (c == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	c->plan = plan;
	c->err = err != NULL ? err : &own;
	c->begin.deliver = worker_begin;
	c->stop.deliver = worker_stop;
	c->online.deliver = on_online;
	c->lost.deliver = on_lost;
	c->retry_at_us = UINT64_MAX;
	c->backoff_us = plan->reconnect_min_us;
	c->terminal = isatty(STDERR_FILENO) == 1;
	r = start(c);
	if (r == 0) {
		serve(c);
		r = c->result;
	}
	if (r == 0 && lw_engine_failed(&c->engine) != 0)
		r = lw_err_set(err, lw_engine_failed(&c->engine), "the inside device is gone: %s",
		               strerror(-lw_engine_failed(&c->engine)));
	finish(c);
	free(c);
	return r;
}

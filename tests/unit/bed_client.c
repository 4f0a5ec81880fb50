/* SPDX-License-Identifier: MIT */
#include "unit/bed_client.h"

#include "base/addr.h"
#include "base/clock.h"
#include "unit/test.h"

#define HOME 0xc0000201u

static void on_online(void *arg, const struct lw_attempt *a)
{
	struct bed_client *c = arg;

	c->n_online++;
	c->online = a->target;
}

static void on_lost(void *arg, enum lw_close_reason reason, const char *text)
{
	struct bed_client *c = arg;

	c->n_lost++;
	c->reason = reason;
	(void)snprintf(c->text, sizeof(c->text), "%s", text);
}

static const struct lw_attempts_ops ops = { .online = on_online, .lost = on_lost };

static struct lw_instance *use_module(struct bed_client *c, const struct lw_module *m, int i,
                                      void *inst)
{
	struct lw_instance *in = NULL;
	struct lw_err err = { 0 };

	c->use[i].inst = inst;
	if (lw_engine_add(&c->engine, m, &c->use[i], &in, &err) < 0 ||
	    lw_engine_prepare(in, LW_ROLE_CLIENT, 1350, &err) < 0)
		fail_msg("%s", err.text);
	return in;
}

static void make_attempts(struct bed_client *c)
{
	struct lw_path *p = &c->engine.cores->path;

	c->conf = (struct lw_tunnel_conf){ .role = LW_ROLE_CLIENT,
		                           .outside_mtu = 1500,
		                           .inside_mtu = 1350,
		                           .stale_us = 60 * LW_US_PER_S,
		                           .user = "me",
		                           .password = "secret",
		                           .keepalive_us = 10 * LW_US_PER_S,
		                           .keepalive_timeout_us = 60 * LW_US_PER_S };
	lw_attempts_init(&c->attempts, c->engine.cores, c->tls, &c->conf, &ops, c);
	c->attempts.udp = &p->ports[0];
	c->attempts.tcp = &p->ports[1];
	p->tun_address = lw_addr_ipv4(0x64400006, 0);
}

struct bed_client *bed_client_create(void)
{
	struct bed_client *c = calloc(1, sizeof(*c));
	struct lw_instance *inside;
	struct lw_err err = { 0 };

	assert_non_null(c);
	c->udp.net = c->tcp.net = c->inside.net = &c->net;
	c->udp.source = c->tcp.source = lw_addr_ipv4(HOME, 0);
	c->tls = bed_client_ctx("ca.crt");
	if (lw_engine_init(&c->engine, 1, &err) < 0)
		fail_msg("%s", err.text);
	(void)use_module(c, &net_udp_module, 0, &c->udp);
	(void)use_module(c, &net_tcp_module, 1, &c->tcp);
	inside = use_module(c, &net_inside_module, 2, &c->inside);
	if (lw_engine_attach(&c->engine, inside, 1350, &err) < 0)
		fail_msg("%s", err.text);
	make_attempts(c);
	for (uint32_t i = 0; i < c->engine.n_instances; i++) {
		if (lw_instance_start(c->engine.instances[i], 0, &err) < 0)
			fail_msg("%s", err.text);
	}
	return c;
}

struct bed *bed_client_server(struct bed_client *c, enum bed_verdict verdict, const char *cert)
{
	struct bed *b = bed_create(
		&c->net, &(struct bed_plan){ .ip = BED_SERVER + c->n_servers, .cert = cert });

	bed_verdict(b, 0, verdict);
	c->server[c->n_servers++] = b;
	return b;
}

static bool client_waits(const struct bed_client *c)
{
	if (c->engine.cores->ready.first != NULL)
		return true;
	for (uint32_t i = 0; i < NET_SOCKS; i++) {
		if (c->udp.open[i] && c->udp.socks[i].n > 0)
			return true;
	}
	return false;
}

static bool somebody_waits(const struct bed_client *c)
{
	for (uint32_t i = 0; i < c->n_servers; i++) {
		if (bed_waits(c->server[i]))
			return true;
	}
	return client_waits(c);
}

/* Of TCP an eventfd tells, which no look from here sees. */
void bed_client_settle(struct bed_client *c)
{
	for (int still = 0; still < 3; still++) {
		for (uint32_t i = 0; i < c->n_servers; i++)
			bed_settle(c->server[i], NULL, 0);
		assert_int_equal(lw_core_round(c->engine.cores, 0), 0);
		if (somebody_waits(c))
			still = -1;
	}
}

void bed_client_run(struct bed_client *c, uint64_t us)
{
	uint64_t end = net_clock_us + us;

	bed_client_settle(c);
	while (net_clock_us < end) {
		uint64_t next = lw_wheel_next_us(&c->engine.cores->wheel);

		for (uint32_t i = 0; i < c->n_servers; i++) {
			uint64_t d = lw_wheel_next_us(&c->server[i]->engine.cores->wheel);

			next = d < next ? d : next;
		}
		if (next <= net_clock_us)
			next = net_clock_us + LW_US_PER_MS;
		net_clock_us = next < end ? next : end;
		bed_client_settle(c);
	}
}

struct lw_target bed_client_target(uint32_t server, bool tcp)
{
	return (struct lw_target){ .addr = lw_addr_ipv4(BED_SERVER + server, BED_PORT),
		                   .server = server,
		                   .tcp = tcp };
}

void bed_client_begin(struct bed_client *c, const struct lw_target *t, uint32_t n)
{
	lw_attempts_begin(&c->attempts, t, n);
	bed_client_settle(c);
}

void bed_client_check_idle(const struct bed_client *c)
{
	assert_int_equal(c->attempts.n_live, 0);
	assert_null(c->attempts.winner);
	assert_int_equal(c->udp.n_open, 0);
	assert_int_equal(c->tcp.n_open, 0);
	assert_int_equal(c->engine.cores->wheel.n, 0);
}

void bed_client_destroy(struct bed_client *c)
{
	lw_attempts_end(&c->attempts);
	bed_client_settle(c);
	bed_client_check_idle(c);
	lw_engine_fini(&c->engine);
	lw_tls_ctx_destroy(c->tls);
	for (uint32_t i = 0; i < c->n_servers; i++)
		bed_destroy(c->server[i]);
	free(c);
}

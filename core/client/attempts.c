/* SPDX-License-Identifier: MIT */
#include "client/attempts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "wire/header.h"

#define WHO "client"

static struct lw_attempt *attempt_of(const struct lw_tunnel *t)
{
	return t->owner;
}

/* A refused login tells more than a certificate, that more than silence. */
static int weight(enum lw_close_reason r)
{
	if (r == LW_CLOSE_AUTH)
		return 3;
	if (r == LW_CLOSE_HANDSHAKE)
		return 2;
	return r == LW_CLOSE_NONE ? 0 : 1;
}

static void remember(struct lw_attempts *a, enum lw_close_reason reason, const char *text)
{
	if (weight(reason) < weight(a->worst))
		return;
	a->worst = reason;
	(void)snprintf(a->text, sizeof(a->text), "%s", text);
}

static const char *describe(const struct lw_attempt *at, char buf[LW_ADDR_TEXT_MAX + 8])
{
	char addr[LW_ADDR_TEXT_MAX];

	(void)snprintf(buf, LW_ADDR_TEXT_MAX + 8, "%s://%s", at->target.tcp ? "tcp" : "udp",
	               lw_addr_format(&at->target.addr, addr));
	return buf;
}

/* --- look-ups of the path --- */

static struct lw_tunnel *by_inside(void *role, const struct lw_packet *p)
{
	const struct lw_attempts *a = role;

	(void)p;
	return a->winner != NULL ? a->winner->timed.tunnel : NULL;
}

/* A socket hears its server only. */
static bool knows(void *role, const struct lw_port *port, const struct lw_packet *dgram)
{
	(void)role;
	(void)port;
	(void)dgram;
	return true;
}

/* Each attempt has a socket of its own. */
static struct lw_tunnel *by_dgram(void *role, struct lw_port *port, struct lw_packet *dgram)
{
	struct lw_attempts *a = role;

	for (uint32_t i = 0; i < LW_CLIENT_SERVERS; i++) {
		struct lw_attempt *at = &a->attempts[i];

		if (at->live && at->timed.tunnel->port == port &&
		    at->timed.tunnel->endpoint.tag == dgram->endpoint->tag)
			return at->timed.tunnel;
	}
	return NULL;
}

/* A socket hears its server only, which does not move. */
static void heard(void *role, struct lw_port *port, struct lw_tunnel *t,
                  const struct lw_packet *dgram, int frames)
{
	(void)role;
	(void)port;
	(void)t;
	(void)dgram;
	(void)frames;
}

static void after_dgrams(void *role, struct lw_port *port)
{
	(void)role;
	(void)port;
}

/* --- events --- */

static void end_losers(struct lw_attempts *a)
{
	for (uint32_t i = 0; i < LW_CLIENT_SERVERS; i++) {
		struct lw_attempt *at = &a->attempts[i];

		if (at->live && at != a->winner)
			lw_path_close(&a->core->path, at->timed.tunnel, a->core->now_us);
	}
}

static void on_online(struct lw_attempts *a, struct lw_tunnel *t)
{
	if (a->winner != NULL) {
		lw_path_close(&a->core->path, t, a->core->now_us);
		return;
	}
	a->winner = attempt_of(t);
	t->s.inside = t->s.told;
	a->ops->online(a->arg, a->winner);
	end_losers(a);
}

static void on_closed(struct lw_attempts *a, struct lw_tunnel *t)
{
	struct lw_attempt *at = attempt_of(t);
	const char *detail = t->reason == LW_CLOSE_HANDSHAKE ? lw_tls_error(t->tls) : "";
	char name[LW_ADDR_TEXT_MAX + 8];
	char text[192];

	if (!at->live)
		return;
	at->live = false;
	a->n_live--;
	lw_core_untimed(a->core, &at->timed);
	(void)snprintf(text, sizeof(text), "%s: %s%s%s", describe(at, name),
	               lw_close_reason_text(t->reason), *detail != '\0' ? ": " : "", detail);
	if (at == a->winner) {
		a->winner = NULL;
		a->worst = LW_CLOSE_NONE; /* what the others said is not why this one ended */
	} else if (a->winner != NULL) {
		return;
	}
	if (t->reason != LW_CLOSE_LOCAL)
		remember(a, t->reason, text);
	if (a->n_live == 0)
		a->ops->lost(a->arg, a->worst, a->text);
}

static void on_event(void *role, struct lw_tunnel *t, const struct lw_event *e)
{
	if (e->type == LW_EVENT_ONLINE)
		on_online(role, t);
	else if (e->type == LW_EVENT_CLOSED)
		on_closed(role, t);
}

static void gone(void *role, struct lw_tunnel *t)
{
	struct lw_port *port = t->port;

	(void)role;
	if (!t->is_stream)
		port->module->ops.udp->close(port->inst, port->w, t->endpoint.tag);
}

static int accepted(void *role, struct lw_port *port, const struct lw_endpoint *ep)
{
	(void)role;
	(void)port;
	(void)ep;
	return -EOPNOTSUPP; /* a client has no listeners */
}

static void port_dead(void *role, struct lw_port *port, uint32_t tag, int error)
{
	struct lw_attempts *a = role;

	lw_log_write(LW_LOG_WARN, WHO, "the socket of %s broke: %s", port->module->name,
	             strerror(-error));
	for (uint32_t i = 0; i < LW_CLIENT_SERVERS; i++) {
		struct lw_attempt *at = &a->attempts[i];

		if (at->live && at->timed.tunnel->port == port &&
		    at->timed.tunnel->endpoint.tag == tag)
			lw_path_drop(&a->core->path, at->timed.tunnel);
	}
}

static const struct lw_role_ops role_ops = {
	.by_inside = by_inside,
	.knows = knows,
	.by_dgram = by_dgram,
	.heard = heard,
	.after_dgrams = after_dgrams,
	.event = on_event,
	.gone = gone,
	.accepted = accepted,
	.port_dead = port_dead,
};

/* --- begin --- */

static int open_tunnel(struct lw_attempts *a, struct lw_attempt *at, struct lw_port *port,
                       const struct lw_endpoint *ep)
{
	struct lw_tunnel_start start = { .endpoint = *ep,
		                         .stream = port->tcp,
		                         .minor = LW_WIRE_MINOR_MAX,
		                         .pool = &a->core->path.chunks,
		                         .lane = &a->core->path.lane,
		                         .counters = &a->core->path.sessions,
		                         .serial = ++a->serial };
	struct lw_tunnel *t;
	int r = lw_tls_create(a->tls, port->tcp ? LW_TLS_STREAM : LW_TLS_DGRAM,
	                      a->conf->outside_mtu, &start.tls);

	if (r == 0)
		r = lw_tunnel_create(a->conf, &start, a->core->now_us, &t);
	if (r != 0)
		return r;
	lw_core_timed(&at->timed, t);
	t->port = port;
	at->live = true;
	a->n_live++;
	if (port->tcp)
		(void)lw_core_bind(a->core, port, ep->tag, t);
	return 0;
}

static int begin(struct lw_attempts *a, struct lw_attempt *at)
{
	struct lw_port *port = at->target.tcp ? a->tcp : a->udp;
	struct lw_endpoint ep = { 0 };
	int r;

	if (port->tcp)
		r = port->module->ops.tcp->connect(port->inst, port->w, &at->target.addr, &ep);
	else
		r = port->module->ops.udp->connect(port->inst, port->w, &at->target.addr, &ep);
	if (r < 0 && r != -EINPROGRESS)
		return r;
	r = open_tunnel(a, at, port, &ep);
	if (r < 0) {
		if (port->tcp)
			port->module->ops.tcp->close(port->inst, port->w, ep.tag);
		else
			port->module->ops.udp->close(port->inst, port->w, ep.tag);
		return r;
	}

	struct lw_sink k = lw_path_sink(&a->core->path, at->timed.tunnel);

	(void)lw_tunnel_begin(at->timed.tunnel, a->core->now_us, &k);
	lw_path_after(&a->core->path, at->timed.tunnel, &k);
	return 0;
}

void lw_attempts_init(struct lw_attempts *a, struct lw_core *core, struct lw_tls_ctx *tls,
                      const struct lw_tunnel_conf *conf, const struct lw_attempts_ops *ops,
                      void *arg)
{
	*a = (struct lw_attempts){ .core = core, .tls = tls, .conf = conf, .ops = ops, .arg = arg };
	core->path.ops = &role_ops;
	core->path.role = a;
	core->path.role_kind = LW_ROLE_CLIENT;
}

void lw_attempts_begin(struct lw_attempts *a, const struct lw_target *targets, uint32_t n)
{
	a->worst = LW_CLOSE_NONE;
	a->text[0] = '\0';
	a->n_live++; /* so that a failure in the middle is not the end of all */
	for (uint32_t i = 0; i < n && i < LW_CLIENT_SERVERS; i++) {
		struct lw_attempt *at = &a->attempts[i];
		char name[LW_ADDR_TEXT_MAX + 8];
		char text[192];
		int r;

		at->target = targets[i];
		r = begin(a, at);
		if (r < 0) {
			(void)snprintf(text, sizeof(text), "%s: %s", describe(at, name),
			               strerror(-r));
			remember(a, LW_CLOSE_LOST, text);
		}
	}
	lw_path_flush(&a->core->path, a->core->now_us);
	a->n_live--;
	if (a->n_live == 0 && a->winner == NULL)
		a->ops->lost(a->arg, a->worst, a->text);
}

void lw_attempts_end(struct lw_attempts *a)
{
	a->n_live++; /* nobody is told */
	for (uint32_t i = 0; i < LW_CLIENT_SERVERS; i++) {
		if (a->attempts[i].live)
			lw_path_close(&a->core->path, a->attempts[i].timed.tunnel, a->core->now_us);
	}
	lw_path_flush(&a->core->path, a->core->now_us);
	a->n_live--;
}

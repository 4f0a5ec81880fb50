/* SPDX-License-Identifier: MIT */
/*
 * outside-tcp: byte streams to and from peers over TCP connections.
 */
#include "outside-tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct lw_addr *listen_at(const struct tcp_options *o, uint32_t i)
{
	const struct lw_addr *a = o->listen.items;

	return &a[i];
}

/* whether the kernel would refuse one of both because of the other */
static bool collide(const struct lw_addr *a, const struct lw_addr *b)
{
	if (a->family != b->family || a->port != b->port)
		return false;
	return lw_tcp_name_any(a) || lw_tcp_name_any(b) ||
	       (a->scope == b->scope && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0);
}

static int tcp_check(const void *opts, struct lw_err *err)
{
	const struct tcp_options *o = opts;
	char a[TCP_NAME_TEXT_MAX];
	char b[TCP_NAME_TEXT_MAX];

	for (uint32_t i = 0; i < o->listen.n; i++) {
		const struct lw_addr *at = listen_at(o, i);

		if (at->port == 0)
			return lw_err_set_at(err, -EINVAL, "listen", "%s lacks a port",
			                     lw_tcp_name_format(at, a));
		for (uint32_t j = 0; j < i; j++) {
			if (collide(at, listen_at(o, j)))
				return lw_err_set_at(err, -EINVAL, "listen",
				                     "%s and %s exclude each other",
				                     lw_tcp_name_format(listen_at(o, j), a),
				                     lw_tcp_name_format(at, b));
		}
	}
	return 0;
}

static int tcp_create(const struct lw_host *h, const void *opts, void **ret_inst,
                      const void **ret_conf, struct lw_err *err)
{
	struct tcp *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	t->host = h;
	t->opts = opts;
	*ret_inst = t;
	*ret_conf = opts;
	return 0;
}

static void close_listeners(struct tcp *t)
{
	for (uint32_t i = 0; i < t->n_workers * t->n_listen; i++) {
		if (t->fds[i] >= 0)
			(void)close(t->fds[i]);
	}
	free(t->fds);
	t->fds = NULL;
	t->n_listen = 0;
	t->n_workers = 0;
}

static int congestion_error(const struct tcp *t, int r, struct lw_err *err)
{
	if (r == -ENOENT)
		return lw_err_set_at(err, r, "congestion",
		                     "this kernel has no congestion control '%s': see sysctl "
		                     "net.ipv4.tcp_available_congestion_control",
		                     t->opts->congestion);
	return lw_err_set_at(err, r, "congestion", "cannot use congestion control '%s': %s",
	                     t->opts->congestion, strerror(-r));
}

static int open_error(const struct lw_addr *at, const char *step, int r, struct lw_err *err)
{
	char name[TCP_NAME_TEXT_MAX];

	(void)lw_tcp_name_format(at, name);
	if (r == -EADDRINUSE)
		return lw_err_set_at(err, r, "listen",
		                     "tcp %s is in use, by another program or another lanewayd",
		                     name);
	if (r == -EADDRNOTAVAIL)
		return lw_err_set_at(err, r, "listen",
		                     "cannot bind tcp %s: this machine has no such address", name);
	if (r == -EACCES)
		return lw_err_set_at(err, r, "listen",
		                     "cannot bind tcp %s: ports below 1024 need root or "
		                     "CAP_NET_BIND_SERVICE",
		                     name);
	return lw_err_set_at(err, r, "listen", "cannot %s tcp %s: %s", step, name, strerror(-r));
}

/*
 * The first worker's listener is made without SO_REUSEPORT, which fails when anybody, a second
 * lanewayd of the same user too, listens already. With one worker it stays so; with more it is
 * opened for the others afterwards.
 */
static int open_listener(struct tcp *t, uint32_t worker, uint32_t i, struct lw_err *err)
{
	int *fd = &t->fds[worker * t->n_listen + i];
	const struct lw_addr *at = listen_at(t->opts, i);
	const char *step;
	int r;

	*fd = lw_tcp_socket_open(at->family, &step);
	if (*fd < 0)
		return open_error(at, step, *fd, err);
	r = lw_tcp_socket_congestion(*fd, t->opts->congestion);
	if (r < 0)
		return congestion_error(t, r, err);
	r = lw_tcp_socket_listen(*fd, at, (int)t->opts->backlog, worker > 0, &step);
	if (r == 0 && worker == 0 && t->n_workers > 1) {
		step = "share";
		r = lw_tcp_socket_share(*fd);
	}
	return r < 0 ? open_error(at, step, r, err) : 0;
}

/* Without a listener, a client learns here whether its connections can have what they need. */
static int probe_congestion(const struct tcp *t, struct lw_err *err)
{
	const char *step;
	int fd;
	int r;

	if (t->n_listen > 0 || t->opts->congestion == NULL)
		return 0;
	fd = lw_tcp_socket_open(4, &step);
	if (fd < 0)
		return lw_err_set(err, fd, "cannot %s a tcp socket: %s", step, strerror(-fd));
	r = lw_tcp_socket_congestion(fd, t->opts->congestion);
	(void)close(fd);
	return r < 0 ? congestion_error(t, r, err) : 0;
}

static int alloc_listeners(struct tcp *t, const struct lw_env *env, struct lw_err *err)
{
	size_t n = (size_t)env->workers * t->opts->listen.n;

	t->fds = calloc(n > 0 ? n : 1, sizeof(*t->fds));
	if (t->fds == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		t->fds[i] = -1;
	t->n_workers = env->workers;
	t->n_listen = t->opts->listen.n;
	return 0;
}

static int tcp_prepare(void *inst, const struct lw_env *env, struct lw_caps *ret_caps,
                       struct lw_err *err)
{
	struct tcp *t = inst;
	int r;

	if (env->role == LW_ROLE_SERVER && t->opts->listen.n == 0)
		return lw_err_set_at(err, -EINVAL, "listen",
		                     "a server needs an address to listen on");
	r = alloc_listeners(t, env, err);
	if (r == 0)
		r = probe_congestion(t, err);
	for (uint32_t worker = 0; worker < t->n_workers && r == 0; worker++) {
		for (uint32_t i = 0; i < t->n_listen && r == 0; i++)
			r = open_listener(t, worker, i, err);
	}
	if (r < 0) {
		close_listeners(t);
		return r;
	}
	*ret_caps = (struct lw_caps){ .flags = 0 };
	return 0;
}

static void worker_free(struct tcp_worker *tw)
{
	if (tw == NULL)
		return;
	free(tw->listeners);
	free(tw->conns);
	free(tw);
}

static struct tcp_worker *worker_create(const struct tcp *t, uint32_t index)
{
	struct tcp_worker *tw = calloc(1, sizeof(*tw));

	if (tw == NULL)
		return NULL;
	tw->listeners = calloc(t->n_listen > 0 ? t->n_listen : 1, sizeof(*tw->listeners));
	if (tw->listeners == NULL) {
		worker_free(tw);
		return NULL;
	}
	for (uint32_t i = 0; i < t->n_listen; i++)
		tw->listeners[i].fd = t->fds[index * t->n_listen + i];
	tw->n_listen = t->n_listen;
	/* the option is the instance's; workers share nothing, so each has its part */
	tw->max_conns = ((uint32_t)t->opts->connections + t->n_workers - 1) / t->n_workers;
	return tw;
}

static int tcp_worker_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	const struct tcp *t = inst;
	struct tcp_worker *tw = worker_create(t, w->index);
	uint32_t watched = 0;
	int r = 0;

	if (tw == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	while (watched < tw->n_listen) {
		r = t->host->watch(t->host, w, tw->listeners[watched].fd, watched);
		if (r < 0)
			goto fail;
		tw->listeners[watched++].watched = true;
	}
	*ret_state = tw;
	return 0;
fail:
	while (watched > 0)
		t->host->unwatch(t->host, w, tw->listeners[--watched].fd);
	worker_free(tw);
	return lw_err_set(err, r, "cannot watch a tcp listener: %s", strerror(-r));
}

static void tcp_worker_stop(void *inst, struct lw_worker *w)
{
	const struct tcp *t = inst;
	struct tcp_worker *tw = w->state;

	if (tw == NULL)
		return;
	tw->n_paused = 0; /* closing must not arm a listener again */
	for (uint32_t slot = 0; slot < tw->n_conns; slot++)
		lw_tcp_close(inst, w, tw->n_listen + slot);
	for (uint32_t tag = 0; tag < tw->n_listen; tag++) {
		if (tw->listeners[tag].watched)
			t->host->unwatch(t->host, w, tw->listeners[tag].fd);
	}
	worker_free(tw);
}

static void tcp_destroy(void *inst)
{
	struct tcp *t = inst;

	if (t == NULL)
		return;
	close_listeners(t);
	free(t);
}

static const struct lw_option options[] = {
	{ .name = "listen",
	  .doc = "addresses with port to listen on, IPv4 and IPv6; empty for a client",
	  .type = LW_OPT_ADDR,
	  .flags = LW_OPTF_LIST,
	  LW_OPTION_AT(struct tcp_options, listen) },
	{ .name = "backlog",
	  .def = "1024",
	  .doc = "connections that may wait to be accepted; sysctl net.core.somaxconn bounds it",
	  .type = LW_OPT_INT,
	  LW_OPTION_AT(struct tcp_options, backlog),
	  .min = 1,
	  .max = 65535 },
	{ .name = "connections",
	  .def = "65536",
	  .doc = "connections at a time; more wait in the backlog",
	  .type = LW_OPT_INT,
	  LW_OPTION_AT(struct tcp_options, connections),
	  .min = 1,
	  .max = 1 << 20 },
	{ .name = "congestion",
	  .def = "auto",
	  .doc = "name of the kernel's congestion control, as bbr; auto: the system's",
	  .type = LW_OPT_STRING,
	  LW_OPTION_AT(struct tcp_options, congestion) },
	{ .name = NULL },
};

static const char *const counters[] = {
	[TCP_CTR_ACCEPT_PAUSED] = "accept_paused", [TCP_CTR_ACCEPT_ERRORS] = "accept_errors",
	[TCP_CTR_RECV_ERRORS] = "recv_errors",     [TCP_CTR_SEND_BLOCKED] = "send_blocked",
	[TCP_CTR_SEND_ERRORS] = "send_errors",     NULL,
};

static const struct lw_life_ops life = {
	.size = sizeof(life),
	.check = tcp_check,
	.create = tcp_create,
	.prepare = tcp_prepare,
	.worker_start = tcp_worker_start,
	.worker_stop = tcp_worker_stop,
	.destroy = tcp_destroy,
};

static const struct lw_outside_tcp_ops ops = {
	.size = sizeof(ops),
	.accept = lw_tcp_accept,
	.connect = lw_tcp_connect,
	.recv = lw_tcp_recv,
	.send = lw_tcp_send,
	.close = lw_tcp_close,
};

LW_MODULE(LW_KIND_OUTSIDE_TCP, "outside-tcp", "0.1.0", "byte streams over TCP connections", options,
          sizeof(struct tcp_options), counters, &life, &ops, 0);

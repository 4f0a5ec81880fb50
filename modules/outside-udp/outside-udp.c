/* SPDX-License-Identifier: MIT */
/*
 * outside-udp: datagrams to and from peers over UDP sockets, one per listener and worker, and one
 * of its own for each server that a client tries.
 */
#include "outside-udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* a client tries a handful of servers at once; more is a leak of the caller */
#define UDP_CLIENT_SOCKS_MAX 1024

/* the largest frame around an inside packet: IPv6-sized Expresslane or DTLS overhead and some */
#define UDP_OVERHEAD_MAX 256

static const struct lw_addr *listen_at(const struct udp_options *o, uint32_t i)
{
	const struct lw_addr *a = o->listen.items;

	return &a[i];
}

/* whether the kernel would refuse one of both because of the other */
static bool collide(const struct lw_addr *a, const struct lw_addr *b)
{
	if (a->family != b->family || a->port != b->port)
		return false;
	return lw_udp_name_any(a) || lw_udp_name_any(b) ||
	       (a->scope == b->scope && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0);
}

static int udp_check(const void *opts, struct lw_err *err)
{
	const struct udp_options *o = opts;
	char a[UDP_NAME_TEXT_MAX];
	char b[UDP_NAME_TEXT_MAX];

	for (uint32_t i = 0; i < o->listen.n; i++) {
		const struct lw_addr *at = listen_at(o, i);

		if (at->port == 0)
			return lw_err_set_at(err, -EINVAL, "listen", "%s lacks a port",
			                     lw_udp_name_format(at, a));
		for (uint32_t j = 0; j < i; j++) {
			if (collide(at, listen_at(o, j)))
				return lw_err_set_at(err, -EINVAL, "listen",
				                     "%s and %s exclude each other",
				                     lw_udp_name_format(listen_at(o, j), a),
				                     lw_udp_name_format(at, b));
		}
	}
	return 0;
}

static int udp_create(const struct lw_host *h, const void *opts, void **ret_inst,
                      const void **ret_conf, struct lw_err *err)
{
	struct udp *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	u->host = h;
	u->opts = opts;
	*ret_inst = u;
	*ret_conf = opts;
	return 0;
}

static void close_strangers(struct udp_sock *s)
{
	if (s->strangers_fd >= 0)
		(void)close(s->strangers_fd);
	s->strangers_fd = -1;
}

static void close_listeners(struct udp *u)
{
	for (uint32_t i = 0; i < u->n_workers * u->n_listen; i++) {
		close_strangers(&u->socks[i]);
		if (u->socks[i].fd >= 0)
			(void)close(u->socks[i].fd);
	}
	free(u->socks);
	u->socks = NULL;
	u->n_listen = 0;
	u->n_workers = 0;
}

static int open_error(const struct lw_addr *at, const char *step, int r, struct lw_err *err)
{
	char name[UDP_NAME_TEXT_MAX];

	(void)lw_udp_name_format(at, name);
	if (r == -EADDRINUSE)
		return lw_err_set_at(err, r, "listen",
		                     "udp %s is in use, by another program or another lanewayd",
		                     name);
	if (r == -EADDRNOTAVAIL)
		return lw_err_set_at(err, r, "listen",
		                     "cannot bind udp %s: this machine has no such address", name);
	if (r == -EACCES)
		return lw_err_set_at(err, r, "listen",
		                     "cannot bind udp %s: ports below 1024 need root or "
		                     "CAP_NET_BIND_SERVICE",
		                     name);
	return lw_err_set_at(err, r, "listen", "cannot %s udp %s: %s", step, name, strerror(-r));
}

static unsigned gro_flag(const struct udp *u)
{
	return (u->caps & LW_CAP_GRO) != 0 ? UDP_OPEN_GRO : 0;
}

static unsigned listener_flags(const struct udp *u, const struct udp_sock *s)
{
	return gro_flag(u) | (s->any ? UDP_OPEN_PKTINFO : 0u);
}

/*
 * The first worker's socket is bound without SO_REUSEPORT, which fails when anybody, a second
 * lanewayd of the same user too, is there already. With one worker it stays so, until udp_steer():
 * nobody can join later. With more it is opened for the others afterwards, so no moment is left in
 * between.
 */
static int open_listener(struct udp *u, uint32_t worker, uint32_t i, struct lw_err *err)
{
	struct udp_sock *s = &u->socks[worker * u->n_listen + i];
	unsigned flags = worker > 0 ? UDP_OPEN_REUSEPORT : 0;
	struct udp_opened o;
	int r;

	s->local = *listen_at(u->opts, i);
	s->family = s->local.family;
	s->any = lw_udp_name_any(&s->local);
	flags |= listener_flags(u, s);
	r = lw_udp_socket_open(&s->local, flags, u->opts->buffer, &o);
	if (r == 0) {
		s->fd = o.fd;
		lw_udp_warn_small(u->host, u->opts->buffer, o.buffer, &u->told_small);
	}
	if (r == 0 && worker == 0 && u->n_workers > 1) {
		o.step = "share";
		r = lw_udp_socket_share(s->fd);
	}
	return r < 0 ? open_error(&s->local, o.step, r, err) : 0;
}

static int alloc_listeners(struct udp *u, const struct lw_env *env, struct lw_err *err)
{
	size_t n = (size_t)env->workers * u->opts->listen.n;

	u->socks = calloc(n > 0 ? n : 1, sizeof(*u->socks));
	if (u->socks == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		u->socks[i] = (struct udp_sock){ .fd = -1, .strangers_fd = -1 };
	u->n_workers = env->workers;
	u->n_listen = u->opts->listen.n;
	return 0;
}

static uint32_t slot_bytes(const struct udp *u, uint32_t inside_mtu)
{
	uint32_t want = (inside_mtu + UDP_OVERHEAD_MAX + 63u) & ~63u;

	if ((u->caps & LW_CAP_GRO) != 0)
		return UDP_SLOT_RUN;
	return want > UDP_SLOT_MIN ? want : UDP_SLOT_MIN;
}

static struct lw_caps caps_of(const struct udp *u)
{
	struct lw_caps caps = { .flags = u->caps, .max_segs = 1 };

	if ((u->caps & LW_CAP_GSO) != 0) {
		caps.max_segs = UDP_RUN_SEGS;
		caps.max_bytes = UDP_RUN_MAX;
		caps.burst = (uint32_t)u->opts->burst;
	}
	return caps;
}

static int udp_prepare(void *inst, const struct lw_env *env, struct lw_caps *ret_caps,
                       struct lw_err *err)
{
	struct udp *u = inst;
	int r;

	if (env->role == LW_ROLE_SERVER && u->opts->listen.n == 0)
		return lw_err_set_at(err, -EINVAL, "listen",
		                     "a server needs an address to listen on");
	r = lw_udp_offload_decide(u, lw_env_caps_wanted(env), err);
	if (r == 0)
		r = alloc_listeners(u, env, err);
	for (uint32_t worker = 0; worker < u->n_workers && r == 0; worker++) {
		for (uint32_t i = 0; i < u->n_listen && r == 0; i++)
			r = open_listener(u, worker, i, err);
	}
	if (r < 0) {
		close_listeners(u);
		return r;
	}
	u->slot_bytes = slot_bytes(u, env->inside_mtu);
	*ret_caps = caps_of(u);
	return 0;
}

struct udp_sock *lw_udp_sock_get(struct udp_worker *uw, uint32_t tag)
{
	if (tag >= uw->n_socks || uw->socks[tag].fd < 0)
		return NULL;
	return &uw->socks[tag];
}

static struct udp_worker *worker_create(const struct udp *u, uint32_t index)
{
	struct udp_worker *uw = calloc(1, sizeof(*uw));

	if (uw == NULL)
		return NULL;
	uw->socks = calloc(u->n_listen > 0 ? u->n_listen : 1, sizeof(*uw->socks));
	if (uw->socks == NULL) {
		free(uw);
		return NULL;
	}
	if (u->n_listen > 0)
		memcpy(uw->socks, u->socks + (size_t)index * u->n_listen,
		       u->n_listen * sizeof(*uw->socks));
	uw->n_socks = u->n_listen;
	uw->told_small = u->told_small;
	return uw;
}

static int watch(const struct udp *u, struct lw_worker *w, uint32_t tag)
{
	const struct udp_sock *s = &u->socks[w->index * u->n_listen + tag];
	int r = u->host->watch(u->host, w, s->fd, tag);

	if (r < 0 || s->strangers_fd < 0)
		return r;
	r = u->host->watch(u->host, w, s->strangers_fd, tag | LW_TAG_STRANGERS);
	if (r < 0)
		u->host->unwatch(u->host, w, s->fd);
	return r;
}

static void unwatch(const struct udp *u, struct lw_worker *w, uint32_t tag)
{
	const struct udp_sock *s = &u->socks[w->index * u->n_listen + tag];

	u->host->unwatch(u->host, w, s->fd);
	if (s->strangers_fd >= 0)
		u->host->unwatch(u->host, w, s->strangers_fd);
}

static int udp_worker_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	const struct udp *u = inst;
	struct udp_worker *uw = worker_create(u, w->index);
	uint32_t watched = 0;
	int r = 0;

	if (uw == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	while (watched < u->n_listen) {
		r = watch(u, w, watched);
		if (r < 0)
			goto fail;
		watched++;
	}
	*ret_state = uw;
	return 0;
fail:
	while (watched > 0)
		unwatch(u, w, --watched);
	free(uw->socks);
	free(uw);
	return lw_err_set(err, r, "cannot watch a udp socket: %s", strerror(-r));
}

static void udp_worker_stop(void *inst, struct lw_worker *w)
{
	const struct udp *u = inst;
	struct udp_worker *uw = w->state;

	if (uw == NULL)
		return;
	for (uint32_t tag = 0; tag < u->n_listen; tag++)
		unwatch(u, w, tag);
	for (uint32_t tag = u->n_listen; tag < uw->n_socks; tag++)
		lw_udp_close(inst, w, tag);
	free(uw->socks);
	free(uw);
}

static void udp_destroy(void *inst)
{
	struct udp *u = inst;

	if (u == NULL)
		return;
	close_listeners(u);
	free(u);
}

/* a free tag behind those of the listeners; the table grows here only */
static int reserve_tag(const struct udp *u, struct udp_worker *uw, uint32_t *ret_tag)
{
	struct udp_sock *grown;
	uint32_t tag = u->n_listen;

	while (tag < uw->n_socks && uw->socks[tag].fd >= 0)
		tag++;
	if (tag == uw->n_socks) {
		if (tag - u->n_listen >= UDP_CLIENT_SOCKS_MAX)
			return -EMFILE;
		grown = realloc(uw->socks, (tag + 1u) * sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		uw->socks = grown;
		uw->socks[tag] = (struct udp_sock){ .fd = -1, .strangers_fd = -1 };
		uw->n_socks = tag + 1u;
	}
	*ret_tag = tag;
	return 0;
}

/*
 * The socket is bound but not connected: a connected one keeps the source address of its first
 * moment, and the tunnel would die when the machine moves to another network, instead of roaming.
 * What a connected one gives for it, silence from strangers, recv() does itself, and counts.
 */
int lw_udp_connect(void *inst, struct lw_worker *w, const struct lw_addr *remote,
                   struct lw_endpoint *ret_ep)
{
	const struct udp *u = inst;
	struct udp_worker *uw = w->state;
	struct lw_addr any = { .family = remote->family };
	struct udp_opened o;
	uint32_t tag;
	int r;

	if (remote->family == 0 || remote->port == 0)
		return -EINVAL;
	r = reserve_tag(u, uw, &tag);
	if (r < 0)
		return r;
	r = lw_udp_socket_open(&any, gro_flag(u), u->opts->buffer, &o);
	if (r < 0)
		return r;
	r = u->host->watch(u->host, w, o.fd, tag);
	if (r < 0) {
		(void)close(o.fd);
		return r;
	}
	lw_udp_warn_small(u->host, u->opts->buffer, o.buffer, &uw->told_small);
	uw->socks[tag] = (struct udp_sock){
		.fd = o.fd, .strangers_fd = -1, .family = remote->family, .peer = *remote
	};
	*ret_ep = (struct lw_endpoint){ .remote = *remote, .tag = tag };
	return 0;
}

void lw_udp_close(void *inst, struct lw_worker *w, uint32_t tag)
{
	const struct udp *u = inst;
	struct udp_worker *uw = w->state;
	struct udp_sock *s = lw_udp_sock_get(uw, tag);

	/* a listener lives as long as the instance */
	if (s == NULL || tag < u->n_listen)
		return;
	u->host->unwatch(u->host, w, s->fd);
	(void)close(s->fd);
	*s = (struct udp_sock){ .fd = -1, .strangers_fd = -1 };
}

/* Joins the sockets of its address behind the last one. */
static int open_strangers(const struct udp *u, struct udp_sock *s)
{
	int64_t buffer =
		u->opts->buffer < UDP_STRANGERS_BUFFER ? u->opts->buffer : UDP_STRANGERS_BUFFER;
	struct udp_opened o;
	int r = lw_udp_socket_open(&s->local, UDP_OPEN_REUSEPORT | listener_flags(u, s), buffer,
	                           &o);

	if (r == 0)
		s->strangers_fd = o.fd;
	return r;
}

/*
 * On one socket of an address it serves all of them. Without it the kernel would spread sessions
 * over those of strangers too, so these go when it is refused. They come before it, for the kernel
 * takes none for a socket that is alone.
 */
static int udp_steer(void *inst, uint32_t tag, const struct lw_steer *s)
{
	const struct udp *u = inst;
	const uint32_t n = u->n_workers * u->n_listen;
	int r;

	if (tag >= u->n_listen)
		return -ENOENT;
	r = lw_udp_socket_share(u->socks[tag].fd);
	for (uint32_t i = tag; i < n && r == 0; i += u->n_listen) {
		if (u->socks[i].strangers_fd < 0)
			r = open_strangers(u, &u->socks[i]);
	}
	if (r == 0)
		r = lw_udp_socket_steer(u->socks[tag].fd, s);
	for (uint32_t i = tag; i < n && r < 0; i += u->n_listen)
		close_strangers(&u->socks[i]);
	return r;
}

static const struct lw_option options[] = {
	{ .name = "listen",
	  .doc = "addresses with port to listen on, IPv4 and IPv6; empty for a client",
	  .type = LW_OPT_ADDR,
	  .flags = LW_OPTF_LIST,
	  LW_OPTION_AT(struct udp_options, listen) },
	{ .name = "buffer",
	  .def = "15 MiB",
	  .doc = "bytes that the kernel holds for each socket and direction",
	  .type = LW_OPT_SIZE,
	  LW_OPTION_AT(struct udp_options, buffer),
	  .min = 65536,
	  .max = 1 << 30 },
	{ .name = "gso",
	  .def = "auto",
	  .doc = "send runs of datagrams in one piece, for the kernel or the device to cut",
	  .type = LW_OPT_TRI,
	  LW_OPTION_AT(struct udp_options, gso) },
	{ .name = "gro",
	  .def = "auto",
	  .doc = "take runs of datagrams in one piece, as the kernel or the device joined them",
	  .type = LW_OPT_TRI,
	  LW_OPTION_AT(struct udp_options, gro) },
	{ .name = "burst",
	  .def = "auto",
	  .doc = "most datagrams of one session that leave at once, where runs are sent; auto: "
	         "fewer "
	         "where that loses less",
	  .type = LW_OPT_INT,
	  .flags = LW_OPTF_AUTO,
	  LW_OPTION_AT(struct udp_options, burst),
	  .min = 1,
	  .max = UDP_RUN_SEGS },
	{ .name = NULL },
};

static const char *const counters[] = {
	[UDP_CTR_RECV_TRUNCATED] = "recv_truncated",
	[UDP_CTR_RECV_FOREIGN] = "recv_foreign",
	[UDP_CTR_RECV_ERRORS] = "recv_errors",
	[UDP_CTR_SEND_BLOCKED] = "send_blocked",
	[UDP_CTR_SEND_NOBUFS] = "send_nobufs",
	[UDP_CTR_SEND_RETRIED] = "send_retried",
	[UDP_CTR_SEND_ERRORS] = "send_errors",
	[UDP_CTR_SEND_DATAGRAMS] = "send_datagrams",
	[UDP_CTR_SEND_RUNS] = "send_runs",
	[UDP_CTR_SEND_RUN_DATAGRAMS] = "send_run_datagrams",
	[UDP_CTR_SEND_RUNS_REFUSED] = "send_runs_refused",
	[UDP_CTR_RECV_DATAGRAMS] = "recv_datagrams",
	[UDP_CTR_RECV_RUNS] = "recv_runs",
	[UDP_CTR_RECV_RUN_DATAGRAMS] = "recv_run_datagrams",
	[UDP_CTR_RECV_RUN_INVALID] = "recv_run_invalid",
	NULL,
};

static const struct lw_life_ops life = {
	.size = sizeof(life),
	.check = udp_check,
	.create = udp_create,
	.prepare = udp_prepare,
	.worker_start = udp_worker_start,
	.worker_stop = udp_worker_stop,
	.destroy = udp_destroy,
};

static const struct lw_outside_udp_ops ops = {
	.size = sizeof(ops),
	.recv = lw_udp_recv,
	.send = lw_udp_send,
	.connect = lw_udp_connect,
	.close = lw_udp_close,
	.steer = udp_steer,
};

LW_MODULE(LW_KIND_OUTSIDE_UDP, "outside-udp", "0.1.0", "datagrams over UDP sockets", options,
          sizeof(struct udp_options), counters, &life, &ops, 0);

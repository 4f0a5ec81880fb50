/* SPDX-License-Identifier: MIT */
/*
 * outside-fake: datagrams between processes of one machine over unix sockets, for tests without
 * network. An address of the configuration is only a name here: the abstract unix socket name
 * ends with its bytes. Loss, duplicates and reordering come from a generator with a seed, so a
 * run can be repeated.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <laneway/module.h>

#define FAKE_PREFIX     "laneway-outside-fake/"
#define FAKE_NET_MAX    48
#define FAKE_ADDR_BYTES 19   /* family, port, address */
#define FAKE_SOCKS_MAX  64   /* a listener and the clients of one worker */
#define FAKE_SLOT       2048 /* room for a datagram */

enum {
	FAKE_CTR_LOST,
	FAKE_CTR_DUPLICATED,
	FAKE_CTR_REORDERED,
	FAKE_CTR_UNREACHABLE,
	FAKE_CTR_RECV_TRUNCATED,
	FAKE_CTR_RECV_FOREIGN
};

/* what is decided by chance for each datagram */
enum { DRAW_LOSS, DRAW_REORDER, DRAW_DUPLICATE, DRAWS };

struct fake_options {
	struct lw_list listen; /* of struct lw_addr */
	struct lw_addr source;
	const char *net;
	int64_t loss;
	int64_t duplicate;
	int64_t reorder;
	int64_t seed;
};

struct fake_name {
	struct sockaddr_un sun;
	socklen_t len;
};

struct fake_sock {
	int fd; /* -1: free */
	struct lw_addr local;
	struct lw_addr peer; /* client: nobody else is heard; listener: none */
};

/* a datagram that lets the next one overtake it */
struct fake_held {
	uint32_t tag;
	uint32_t len; /* 0: none */
	struct fake_name to;
	uint8_t bytes[FAKE_SLOT];
};

struct fake_worker {
	struct fake_sock socks[FAKE_SOCKS_MAX]; /* by tag */
	uint64_t n_sent; /* datagrams taken; each has its own draws, however often it was tried */
	struct fake_held held;
};

struct fake {
	const struct lw_host *host;
	const struct fake_options *opts;
	uint32_t n_listen;
	int fds[FAKE_SOCKS_MAX]; /* of the listeners */
};

/* Draw number draw of the datagram that is sent now, by splitmix64's steps: the same for the same
 * seed, also when a full queue made it be tried twice. */
static uint64_t draw_random(const struct fake_options *o, const struct fake_worker *fw,
                            uint64_t draw)
{
	uint64_t z = (uint64_t)o->seed + (fw->n_sent * DRAWS + draw + 1) * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static bool happens(const struct fake_options *o, const struct fake_worker *fw, uint64_t draw,
                    int64_t percent)
{
	return draw_random(o, fw, draw) % 100 < (uint64_t)percent;
}

static const struct lw_addr *listen_at(const struct fake_options *o, uint32_t i)
{
	const struct lw_addr *a = o->listen.items;

	return &a[i];
}

/* An abstract name begins with a zero, needs no file and goes with its socket. */
static size_t put_prefix(const struct fake_options *o, char path[108])
{
	size_t net = strlen(o->net);

	path[0] = '\0';
	memcpy(path + 1, FAKE_PREFIX, sizeof(FAKE_PREFIX) - 1);
	memcpy(path + sizeof(FAKE_PREFIX), o->net, net);
	return sizeof(FAKE_PREFIX) + net;
}

static void name_set(struct fake_name *name, const struct fake_options *o, const struct lw_addr *a)
{
	size_t at;

	*name = (struct fake_name){ .sun = { .sun_family = AF_UNIX } };
	at = put_prefix(o, name->sun.sun_path);
	name->sun.sun_path[at] = (char)a->family;
	name->sun.sun_path[at + 1] = (char)(a->port >> 8);
	name->sun.sun_path[at + 2] = (char)(a->port & 0xff);
	memcpy(name->sun.sun_path + at + 3, a->ip, sizeof(a->ip));
	name->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + at + FAKE_ADDR_BYTES);
}

static bool name_get(const struct fake_name *name, const struct fake_options *o,
                     struct lw_addr *ret)
{
	char prefix[sizeof(name->sun.sun_path)];
	size_t at = put_prefix(o, prefix);
	const char *p = name->sun.sun_path + at;

	if (name->len != offsetof(struct sockaddr_un, sun_path) + at + FAKE_ADDR_BYTES ||
	    memcmp(name->sun.sun_path, prefix, at) != 0)
		return false;
	*ret = (struct lw_addr){ .family = (uint8_t)p[0] };
	ret->port = (uint16_t)((uint8_t)p[1] << 8 | (uint8_t)p[2]);
	memcpy(ret->ip, p + 3, sizeof(ret->ip));
	return true;
}

static int open_at(const struct fake_options *o, const struct lw_addr *a)
{
	struct fake_name name;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	name_set(&name, o, a);
	if (bind(fd, (const struct sockaddr *)&name.sun, name.len) == 0)
		return fd;
	r = -errno;
	(void)close(fd);
	return r;
}

static int fake_check(const void *opts, struct lw_err *err)
{
	const struct fake_options *o = opts;

	if (o->net == NULL || strlen(o->net) > FAKE_NET_MAX)
		return lw_err_set_at(err, -EINVAL, "net", "net has 1 to %d bytes", FAKE_NET_MAX);
	if (o->listen.n >= FAKE_SOCKS_MAX)
		return lw_err_set_at(err, -EINVAL, "listen", "at most %d addresses",
		                     FAKE_SOCKS_MAX - 1);
	for (uint32_t i = 0; i < o->listen.n; i++) {
		if (listen_at(o, i)->port == 0)
			return lw_err_set_at(err, -EINVAL, "listen", "an address lacks a port");
	}
	return 0;
}

static int fake_create(const struct lw_host *h, const void *opts, void **ret_inst,
                       const void **ret_conf, struct lw_err *err)
{
	struct fake *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	f->host = h;
	f->opts = opts;
	*ret_inst = f;
	*ret_conf = opts;
	return 0;
}

static void close_listeners(struct fake *f)
{
	while (f->n_listen > 0)
		(void)close(f->fds[--f->n_listen]);
}

static int fake_prepare(void *inst, const struct lw_env *env, struct lw_caps *ret_caps,
                        struct lw_err *err)
{
	struct fake *f = inst;

	if (env->workers != 1)
		return lw_err_set(err, -EUSERS, "outside-fake serves one worker, not %u",
		                  env->workers);
	while (f->n_listen < f->opts->listen.n) {
		int fd = open_at(f->opts, listen_at(f->opts, f->n_listen));

		if (fd < 0) {
			close_listeners(f);
			return lw_err_set_at(err, fd, "listen", "cannot open a unix socket: %s",
			                     strerror(-fd));
		}
		f->fds[f->n_listen++] = fd;
	}
	*ret_caps = (struct lw_caps){ .flags = 0, .max_segs = 1 };
	return 0;
}

static void stop_watching(struct fake *f, struct lw_worker *w, uint32_t n)
{
	while (n > 0)
		f->host->unwatch(f->host, w, f->fds[--n]);
}

static int fake_worker_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	struct fake *f = inst;
	struct fake_worker *fw = calloc(1, sizeof(*fw));

	if (fw == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	for (uint32_t tag = 0; tag < FAKE_SOCKS_MAX; tag++)
		fw->socks[tag].fd = -1;
	for (uint32_t tag = 0; tag < f->n_listen; tag++) {
		int r = f->host->watch(f->host, w, f->fds[tag], tag);

		if (r < 0) {
			stop_watching(f, w, tag);
			free(fw);
			return lw_err_set(err, r, "cannot watch a unix socket: %s", strerror(-r));
		}
		fw->socks[tag] =
			(struct fake_sock){ .fd = f->fds[tag], .local = *listen_at(f->opts, tag) };
	}
	*ret_state = fw;
	return 0;
}

static struct fake_sock *sock_get(struct fake_worker *fw, uint32_t tag)
{
	return tag < FAKE_SOCKS_MAX && fw->socks[tag].fd >= 0 ? &fw->socks[tag] : NULL;
}

static void fake_close(void *inst, struct lw_worker *w, uint32_t tag)
{
	struct fake *f = inst;
	struct fake_sock *s = sock_get(w->state, tag);

	if (s == NULL || tag < f->n_listen)
		return;
	f->host->unwatch(f->host, w, s->fd);
	(void)close(s->fd);
	s->fd = -1;
}

static void fake_worker_stop(void *inst, struct lw_worker *w)
{
	struct fake *f = inst;

	if (w->state == NULL)
		return;
	stop_watching(f, w, f->n_listen);
	for (uint32_t tag = f->n_listen; tag < FAKE_SOCKS_MAX; tag++)
		fake_close(inst, w, tag);
	free(w->state);
}

static void fake_destroy(void *inst)
{
	struct fake *f = inst;

	if (f == NULL)
		return;
	close_listeners(f);
	free(f);
}

/* 0, also when nobody is there: a network does not tell either. A full queue is worth another try;
 * no edge will come for it, so it must not be called -EAGAIN. */
static int put(struct lw_worker *w, int fd, const struct fake_name *to, const struct iovec *iov,
               size_t n)
{
	struct fake_name name = *to;
	struct iovec copy[2] = { iov[0], n > 1 ? iov[1] : (struct iovec){ .iov_len = 0 } };
	struct msghdr h = {
		.msg_name = &name.sun, .msg_namelen = name.len, .msg_iov = copy, .msg_iovlen = n
	};

	if (sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
		return -ENOBUFS;
	if (errno == EMSGSIZE)
		return -EMSGSIZE;
	lw_worker_count(w, FAKE_CTR_UNREACHABLE, 1);
	return 0;
}

/* What is held leaves after the datagram that overtook it, or when the worker is here again. */
static void release(struct lw_worker *w)
{
	struct fake_worker *fw = w->state;
	struct fake_held *held = &fw->held;
	struct iovec iov = { .iov_base = held->bytes, .iov_len = held->len };
	struct fake_sock *s = sock_get(fw, held->tag);

	if (held->len == 0)
		return;
	held->len = 0;
	if (s == NULL || put(w, s->fd, &held->to, &iov, 1) < 0)
		lw_worker_count(w, FAKE_CTR_LOST, 1);
}

static void hold(struct fake_worker *fw, const struct lw_packet *p, const struct fake_name *to)
{
	fw->held.tag = p->endpoint->tag;
	fw->held.to = *to;
	fw->held.len = p->len;
	memcpy(fw->held.bytes, lw_packet_data(p), p->len);
}

/* Sends one datagram the way a bad network would. */
static int send_one(struct fake *f, struct lw_worker *w, const struct lw_packet *p,
                    const struct fake_sock *s)
{
	const struct fake_options *o = f->opts;
	struct fake_worker *fw = w->state;
	struct iovec iov = { .iov_base = lw_packet_data(p), .iov_len = p->len };
	struct fake_name to;
	int r;

	name_set(&to, o, &p->endpoint->remote);
	if (happens(o, fw, DRAW_LOSS, o->loss)) {
		lw_worker_count(w, FAKE_CTR_LOST, 1);
		return 0;
	}
	if (fw->held.len == 0 && p->len > 0 && happens(o, fw, DRAW_REORDER, o->reorder)) {
		lw_worker_count(w, FAKE_CTR_REORDERED, 1);
		hold(fw, p, &to);
		return 0;
	}
	r = put(w, s->fd, &to, &iov, 1);
	if (r == 0 && happens(o, fw, DRAW_DUPLICATE, o->duplicate) &&
	    put(w, s->fd, &to, &iov, 1) == 0)
		lw_worker_count(w, FAKE_CTR_DUPLICATED, 1);
	if (r == 0)
		release(w);
	return r;
}

static int fake_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	struct fake_worker *fw = w->state;
	uint32_t done = 0;
	int r = 0;

	while (done < b->n && r == 0) {
		const struct lw_packet *p = &b->pkt[done];
		const struct fake_sock *s = sock_get(fw, p->endpoint->tag);

		if (s == NULL)
			r = -ENOTCONN;
		else if (p->gso_type == LW_GSO_RUN && p->gso_size > 0)
			r = -EOPNOTSUPP;
		else if (p->len > FAKE_SLOT || p->n_more > 0)
			r = -EMSGSIZE;
		else
			r = send_one(inst, w, p, s);
		if (r < 0)
			break;
		fw->n_sent++;
		done++;
	}
	*ret_done = done;
	return r;
}

/* Answers the length; 0 for what must be dropped. */
static uint32_t take(struct fake *f, struct lw_worker *w, const struct fake_sock *s,
                     const struct fake_name *from, size_t len, struct lw_endpoint *ep)
{
	*ep = (struct lw_endpoint){ .tag = 0 };
	if (len > FAKE_SLOT) {
		lw_worker_count(w, FAKE_CTR_RECV_TRUNCATED, 1);
		return 0;
	}
	if (!name_get(from, f->opts, &ep->remote) ||
	    (s->peer.family != 0 && memcmp(&s->peer, &ep->remote, sizeof(s->peer)) != 0)) {
		lw_worker_count(w, FAKE_CTR_RECV_FOREIGN, 1);
		return 0;
	}
	if (s->peer.family == 0)
		ep->local = s->local;
	return (uint32_t)len;
}

static int fake_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b)
{
	const struct fake_sock *s = sock_get(w->state, tag);
	struct lw_packet *p;

	if (s == NULL)
		return -EBADF;
	release(w);
	while ((p = lw_batch_reserve(b, FAKE_SLOT)) != NULL) {
		struct fake_name from = { .len = sizeof(from.sun) };
		uint32_t keep;
		ssize_t len =
			recvfrom(s->fd, lw_packet_data(p), FAKE_SLOT, MSG_DONTWAIT | MSG_TRUNC,
		                 (struct sockaddr *)&from.sun, &from.len);

		if (len < 0)
			return errno == EAGAIN ? -EAGAIN : -errno;
		keep = take(inst, w, s, &from, (size_t)len, p->endpoint);
		p->endpoint->tag = tag;
		if (keep > 0)
			(void)lw_batch_commit(b, keep);
	}
	return 0;
}

/* The client's address is the option's; its port is the first free one of the dynamic range. */
static int open_client(const struct fake_options *o, struct lw_addr *ret_local)
{
	struct lw_addr local = o->source;

	for (uint32_t port = 49152; port <= UINT16_MAX; port++) {
		int fd;

		local.port = (uint16_t)port;
		fd = open_at(o, &local);
		if (fd == -EADDRINUSE)
			continue;
		*ret_local = local;
		return fd;
	}
	return -EADDRINUSE;
}

static int fake_connect(void *inst, struct lw_worker *w, const struct lw_addr *remote,
                        struct lw_endpoint *ret_ep)
{
	struct fake *f = inst;
	struct fake_worker *fw = w->state;
	struct fake_sock s = { .peer = *remote };
	uint32_t tag = f->n_listen;
	int r;

	while (tag < FAKE_SOCKS_MAX && fw->socks[tag].fd >= 0)
		tag++;
	if (tag == FAKE_SOCKS_MAX)
		return -EMFILE;
	s.fd = open_client(f->opts, &s.local);
	if (s.fd < 0)
		return s.fd;
	r = f->host->watch(f->host, w, s.fd, tag);
	if (r < 0) {
		(void)close(s.fd);
		return r;
	}
	fw->socks[tag] = s;
	*ret_ep = (struct lw_endpoint){ .remote = *remote, .tag = tag };
	return 0;
}

static const struct lw_option options[] = {
	{ .name = "listen",
	  .doc = "addresses with port under which this end can be reached; empty for a client",
	  .type = LW_OPT_ADDR,
	  .flags = LW_OPTF_LIST,
	  LW_OPTION_AT(struct fake_options, listen) },
	{ .name = "source",
	  .def = "192.0.2.2",
	  .doc = "address that a client comes from",
	  .type = LW_OPT_ADDR,
	  LW_OPTION_AT(struct fake_options, source) },
	{ .name = "net",
	  .def = "default",
	  .doc = "name of the fake network; ends on different ones never meet",
	  .type = LW_OPT_STRING,
	  LW_OPTION_AT(struct fake_options, net) },
	{ .name = "loss",
	  .unit = "percent",
	  .def = "0",
	  .doc = "datagrams sent that never arrive",
	  .type = LW_OPT_INT,
	  LW_OPTION_AT(struct fake_options, loss),
	  .min = 0,
	  .max = 100 },
	{ .name = "duplicate",
	  .unit = "percent",
	  .def = "0",
	  .doc = "datagrams sent that arrive twice",
	  .type = LW_OPT_INT,
	  LW_OPTION_AT(struct fake_options, duplicate),
	  .min = 0,
	  .max = 100 },
	{ .name = "reorder",
	  .unit = "percent",
	  .def = "0",
	  .doc = "datagrams sent that the next one overtakes",
	  .type = LW_OPT_INT,
	  LW_OPTION_AT(struct fake_options, reorder),
	  .min = 0,
	  .max = 100 },
	{ .name = "seed",
	  .def = "1",
	  .doc = "start of the generator that decides about loss, duplicates and order",
	  .type = LW_OPT_INT,
	  LW_OPTION_AT(struct fake_options, seed),
	  .min = 0,
	  .max = INT64_MAX },
	{ .name = NULL },
};

static const char *const counters[] = {
	[FAKE_CTR_LOST] = "lost",
	[FAKE_CTR_DUPLICATED] = "duplicated",
	[FAKE_CTR_REORDERED] = "reordered",
	[FAKE_CTR_UNREACHABLE] = "unreachable",
	[FAKE_CTR_RECV_TRUNCATED] = "recv_truncated",
	[FAKE_CTR_RECV_FOREIGN] = "recv_foreign",
	NULL,
};

static const struct lw_life_ops life = {
	.size = sizeof(life),
	.check = fake_check,
	.create = fake_create,
	.prepare = fake_prepare,
	.worker_start = fake_worker_start,
	.worker_stop = fake_worker_stop,
	.destroy = fake_destroy,
};

static const struct lw_outside_udp_ops ops = {
	.size = sizeof(ops),
	.recv = fake_recv,
	.send = fake_send,
	.connect = fake_connect,
	.close = fake_close,
};

LW_MODULE(LW_KIND_OUTSIDE_UDP, "outside-fake", "0.1.0", "datagrams over unix sockets, for tests",
          options, sizeof(struct fake_options), counters, &life, &ops, 0);

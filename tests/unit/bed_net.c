/* SPDX-License-Identifier: MIT */
#include "unit/bed_net.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/test.h"

uint64_t net_clock_us = 1000 * LW_US_PER_S;

/* The monotonic clock is the test's; all else is the kernel's. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = (time_t)(net_clock_us / LW_US_PER_S);
	ts->tv_nsec = (long)(net_clock_us % LW_US_PER_S) * 1000;
	return 0;
}

/* The TLS library keeps retransmissions apart by the clock of the wall. */
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	(void)tz;
	tv->tv_sec = (time_t)(1700000000 + net_clock_us / LW_US_PER_S);
	tv->tv_usec = (suseconds_t)(net_clock_us % LW_US_PER_S);
	return 0;
}

static void *must(void *p)
{
	return p != NULL ? p : (abort(), NULL);
}

static int make_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

void net_wake(int fd)
{
	const uint64_t one = 1;

	if (fd >= 0)
		assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* --- datagrams --- */

void net_node_add(struct net *net, struct net_node *node, const struct lw_addr *addr, int fd)
{
	assert_true(net->n_nodes < NET_NODES);
	*node = (struct net_node){ .addr = *addr, .fd = fd };
	net->nodes[net->n_nodes++] = node;
}

void net_node_remove(struct net *net, struct net_node *node)
{
	struct net_dgram *d;

	while ((d = net_take(node)) != NULL)
		free(d);
	for (uint32_t i = 0; i < net->n_nodes; i++) {
		if (net->nodes[i] == node) {
			net->nodes[i] = net->nodes[--net->n_nodes];
			return;
		}
	}
}

static struct net_node *node_at(const struct net *net, const struct lw_addr *addr)
{
	for (uint32_t i = 0; i < net->n_nodes; i++) {
		if (lw_addr_equal(&net->nodes[i]->addr, addr))
			return net->nodes[i];
	}
	return NULL;
}

static void append(struct net_node *node, struct net_dgram *d)
{
	if (node->tail != NULL)
		node->tail->next = d;
	else
		node->head = d;
	node->tail = d;
	node->n++;
	net_wake(node->fd);
}

void net_send(struct net *net, const struct lw_addr *from, const struct lw_addr *to,
              const uint8_t *p, size_t len)
{
	struct net_node *node = node_at(net, to);
	struct net_dgram *d;

	if (node == NULL) {
		net->nowhere++;
		net->nowhere_bytes += len;
		net->nowhere_longest = len > net->nowhere_longest ? len : net->nowhere_longest;
		return;
	}
	d = must(malloc(sizeof(*d))); /* not calloc(), which a test may let fail */
	d->next = NULL;
	assert_true(len <= sizeof(d->bytes));
	d->from = *from;
	d->to = *to;
	d->len = (uint32_t)len;
	memcpy(d->bytes, p, len);
	if (net->pass != NULL && !net->pass(net->arg, d)) {
		free(d);
		return;
	}
	append(node, d);
}

struct net_dgram *net_take(struct net_node *node)
{
	struct net_dgram *d = node->head;

	if (d == NULL)
		return NULL;
	node->head = d->next;
	if (node->head == NULL)
		node->tail = NULL;
	node->n--;
	return d;
}

/* --- the module of datagrams --- */

static int use_create(const struct lw_host *h, const void *opts, void **ret_inst,
                      const void **ret_conf, struct lw_err *err)
{
	const struct net_use *use = opts;

	(void)err;
	/* all three begin with net and host */
	((struct net_udp *)use->inst)->host = h;
	*ret_inst = use->inst;
	*ret_conf = opts;
	return 0;
}

static_assert(offsetof(struct net_udp, host) == offsetof(struct net_tcp, host) &&
                      offsetof(struct net_udp, host) == offsetof(struct net_inside, host),
              "use_create()");

static void use_destroy(void *inst)
{
	(void)inst; /* the test's */
}

static void open_sock(struct net_udp *u, struct lw_worker *w, uint32_t tag,
                      const struct lw_addr *addr)
{
	int fd = make_eventfd();

	assert_int_equal(u->host->watch(u->host, w, fd, tag), 0);
	net_node_add(u->net, &u->socks[tag], addr, fd);
	u->open[tag] = true;
	u->n_open++;
}

static void udp_close(void *inst, struct lw_worker *w, uint32_t tag)
{
	struct net_udp *u = inst;

	if (tag >= NET_SOCKS || !u->open[tag])
		return;
	u->open[tag] = false;
	u->n_open--;
	u->host->unwatch(u->host, w, u->socks[tag].fd);
	close(u->socks[tag].fd);
	net_node_remove(u->net, &u->socks[tag]);
}

static int udp_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	struct net_udp *u = inst;

	(void)err;
	for (uint32_t i = 0; i < u->n_listen; i++)
		open_sock(u, w, i, &u->listen[i]);
	*ret_state = u;
	return 0;
}

static void udp_stop(void *inst, struct lw_worker *w)
{
	for (uint32_t i = 0; i < NET_SOCKS; i++)
		udp_close(inst, w, i);
}

static int udp_connect(void *inst, struct lw_worker *w, const struct lw_addr *remote,
                       struct lw_endpoint *ret_ep)
{
	struct net_udp *u = inst;
	struct lw_addr local = u->source;
	uint32_t tag = u->n_listen;

	if (u->connect_error != 0)
		return u->connect_error;
	while (tag < NET_SOCKS && u->open[tag])
		tag++;
	assert_true(tag < NET_SOCKS);
	local.port = (uint16_t)(40000 + u->net->next_port++);
	open_sock(u, w, tag, &local);
	*ret_ep = (struct lw_endpoint){ .remote = *remote, .tag = tag };
	return 0;
}

static int udp_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b)
{
	struct net_udp *u = inst;
	struct net_node *s = &u->socks[tag];
	int r = u->recv_error;

	(void)w;
	u->recv_error = 0;
	if (r != 0)
		return r;
	while (s->head != NULL) {
		struct lw_packet *p = lw_batch_reserve(b, sizeof(s->head->bytes));
		struct net_dgram *d;

		if (p == NULL)
			return 0;
		d = must(net_take(s));
		*p->endpoint =
			(struct lw_endpoint){ .remote = d->from, .local = d->to, .tag = tag };
		memcpy(lw_packet_data(p), d->bytes, d->len);
		(void)lw_batch_commit(b, d->len);
		free(d);
	}
	return -EAGAIN;
}

static int udp_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	struct net_udp *u = inst;

	(void)w;
	*ret_done = 0;
	if (u->busy)
		return -EAGAIN;
	LW_BATCH_FOREACH (p, b) {
		const struct lw_endpoint *ep = p->endpoint;

		if (u->send_error != 0)
			return u->send_error;
		if (ep->tag >= NET_SOCKS || !u->open[ep->tag])
			return -ENOTCONN;
		net_send(u->net, ep->local.family != 0 ? &ep->local : &u->socks[ep->tag].addr,
		         &ep->remote, lw_packet_data(p), p->len);
		(*ret_done)++;
	}
	return 0;
}

/* --- connections --- */

static struct net_tcp *listener_at(const struct net *net, const struct lw_addr *addr)
{
	for (uint32_t i = 0; i < net->n_listeners; i++) {
		if (lw_addr_equal(&net->listeners[i]->listen, addr))
			return net->listeners[i];
	}
	return NULL;
}

static struct net_conn *free_conn(struct net_tcp *t, uint32_t *ret_tag)
{
	for (uint32_t i = 0; i < NET_CONNS; i++) {
		if (!t->conns[i].open) {
			*ret_tag = i + 1;
			return &t->conns[i];
		}
	}
	return NULL;
}

static void open_conn(struct net_conn *c, const struct lw_addr *local, const struct lw_addr *remote,
                      int fd)
{
	*c = (struct net_conn){ .local = *local, .remote = *remote, .fd = fd, .open = true };
	c->in = must(malloc(NET_STREAM));
}

int net_connect(struct net *net, struct net_conn *c, const struct lw_addr *from,
                const struct lw_addr *to)
{
	struct net_tcp *t = listener_at(net, to);
	struct net_conn *other;
	uint32_t tag;

	if (t == NULL)
		return -ECONNREFUSED;
	other = must(free_conn(t, &tag));
	open_conn(other, to, from, make_eventfd());
	t->n_open++;
	other->twin = c;
	c->twin = other;
	t->waiting[t->n_waiting++] = tag;
	net_wake(t->listen_fd);
	return 0;
}

size_t net_conn_write(struct net_conn *c, const void *p, size_t len)
{
	struct net_conn *to = c->twin;
	size_t n;

	if (to == NULL)
		return 0;
	n = NET_STREAM - to->in_len;
	n = len < n ? len : n;
	memcpy(to->in + to->in_len, p, n);
	to->in_len += n;
	net_wake(to->fd);
	return n;
}

void net_conn_close(struct net_conn *c)
{
	if (!c->open)
		return;
	c->open = false;
	if (c->twin != NULL) {
		c->twin->twin = NULL;
		net_wake(c->twin->fd);
	}
	c->twin = NULL;
	free(c->in);
	c->in = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static struct net_conn *conn_of(struct net_tcp *t, uint32_t tag)
{
	return tag > 0 && tag <= NET_CONNS && t->conns[tag - 1].open ? &t->conns[tag - 1] : NULL;
}

static int tcp_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	struct net_tcp *t = inst;

	(void)err;
	t->listen_fd = -1;
	if (t->listen.family != 0) {
		t->listen_fd = make_eventfd();
		assert_int_equal(t->host->watch(t->host, w, t->listen_fd, 0), 0);
		t->net->listeners[t->net->n_listeners++] = t;
	}
	*ret_state = t;
	return 0;
}

static void tcp_close(void *inst, struct lw_worker *w, uint32_t tag)
{
	struct net_tcp *t = inst;
	struct net_conn *c = conn_of(t, tag);

	if (c == NULL)
		return;
	t->n_open--;
	t->host->unwatch(t->host, w, c->fd);
	net_conn_close(c);
}

static void tcp_stop(void *inst, struct lw_worker *w)
{
	struct net_tcp *t = inst;

	for (uint32_t tag = 1; tag <= NET_CONNS; tag++)
		tcp_close(inst, w, tag);
	if (t->listen_fd < 0)
		return;
	t->host->unwatch(t->host, w, t->listen_fd);
	close(t->listen_fd);
	for (uint32_t i = 0; i < t->net->n_listeners; i++) {
		if (t->net->listeners[i] == t)
			t->net->listeners[i] = t->net->listeners[--t->net->n_listeners];
	}
}

static int tcp_accept(void *inst, struct lw_worker *w, uint32_t tag, struct lw_endpoint *ret_ep)
{
	struct net_tcp *t = inst;
	struct net_conn *c;

	(void)tag;
	if (t->n_waiting == 0)
		return -EAGAIN;
	tag = t->waiting[0];
	memmove(t->waiting, t->waiting + 1, --t->n_waiting * sizeof(t->waiting[0]));
	c = must(conn_of(t, tag));
	if (t->host->watch(t->host, w, c->fd, tag) < 0) {
		t->n_open--;
		net_conn_close(c);
		return -EAGAIN;
	}
	*ret_ep = (struct lw_endpoint){ .remote = c->remote, .local = c->local, .tag = tag };
	return 0;
}

static int tcp_connect(void *inst, struct lw_worker *w, const struct lw_addr *remote,
                       struct lw_endpoint *ret_ep)
{
	struct net_tcp *t = inst;
	struct lw_addr local = t->source;
	struct net_conn *c;
	uint32_t tag;

	if (t->connect_error != 0)
		return t->connect_error;
	c = must(free_conn(t, &tag));
	local.port = (uint16_t)(40000 + t->net->next_port++);
	open_conn(c, &local, remote, make_eventfd());
	t->n_open++;
	c->connecting = t->deaf;
	if (!t->deaf)
		c->error = net_connect(t->net, c, &local, remote);
	assert_int_equal(t->host->watch(t->host, w, c->fd, tag), 0);
	net_wake(c->fd);
	*ret_ep = (struct lw_endpoint){ .remote = *remote, .tag = tag };
	return t->deaf ? -EINPROGRESS : 0;
}

static int tcp_recv(void *inst, struct lw_worker *w, uint32_t tag, void *buf, uint32_t cap,
                    uint32_t *ret_len)
{
	struct net_conn *c = conn_of(inst, tag);
	size_t n;

	(void)w;
	if (c == NULL)
		return -ENOTCONN;
	if (c->error != 0)
		return c->error;
	if (c->connecting)
		return -EINPROGRESS;
	if (c->in_len == 0 && c->twin != NULL)
		return -EAGAIN;
	n = c->in_len < cap ? c->in_len : cap;
	memcpy(buf, c->in, n);
	c->in_len -= n;
	memmove(c->in, c->in + n, c->in_len);
	*ret_len = (uint32_t)n;
	return 0;
}

static int tcp_send(void *inst, struct lw_worker *w, uint32_t tag, const struct iovec *iov,
                    uint32_t n, uint32_t *ret_sent)
{
	struct net_conn *c = conn_of(inst, tag);

	(void)w;
	*ret_sent = 0;
	if (c == NULL)
		return -ENOTCONN;
	if (c->error != 0)
		return c->error;
	if (c->connecting)
		return -EINPROGRESS;
	if (c->twin == NULL)
		return -EPIPE;
	for (uint32_t i = 0; i < n; i++) {
		size_t sent = net_conn_write(c, iov[i].iov_base, iov[i].iov_len);

		*ret_sent += (uint32_t)sent;
		if (sent < iov[i].iov_len)
			break;
	}
	return *ret_sent > 0 ? 0 : -EAGAIN;
}

/* --- the inside --- */

static int inside_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	struct net_inside *i = inst;

	(void)err;
	i->fd = make_eventfd();
	assert_int_equal(i->host->watch(i->host, w, i->fd, 0), 0);
	*ret_state = i;
	return 0;
}

static void inside_stop(void *inst, struct lw_worker *w)
{
	struct net_inside *i = inst;

	i->host->unwatch(i->host, w, i->fd);
	close(i->fd);
}

void net_inside_put(struct net_inside *i, const void *p, uint32_t len)
{
	assert_true(i->n_in < 16 && len <= sizeof(i->in[0]));
	memcpy(i->in[i->n_in], p, len);
	i->in_len[i->n_in++] = len;
	net_wake(i->fd);
}

static int inside_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b)
{
	struct net_inside *i = inst;
	int r = i->recv_error;

	(void)w;
	(void)tag;
	i->recv_error = 0;
	if (r != 0)
		return r;
	for (uint32_t k = 0; k < i->n_in; k++) {
		struct lw_packet *p = must(lw_batch_reserve(b, i->in_len[k]));

		memcpy(lw_packet_data(p), i->in[k], i->in_len[k]);
		(void)lw_batch_commit(b, i->in_len[k]);
	}
	i->n_in = 0;
	return -EAGAIN;
}

static int inside_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	struct net_inside *i = inst;

	(void)w;
	LW_BATCH_FOREACH (p, b) {
		assert_true(i->n_got < 64 && p->len <= sizeof(i->got[0]));
		memcpy(i->got[i->n_got], lw_packet_data(p), p->len);
		i->got_len[i->n_got++] = p->len;
	}
	*ret_done = b->n;
	return 0;
}

/* --- descriptors --- */

#define MODULE(kind_, name_, life_, member, ops_)                                                  \
	{                                                                                          \
		.magic = LW_ABI_MAGIC, .abi_major = LW_ABI_MAJOR, .abi_minor = LW_ABI_MINOR,       \
		.size = sizeof(struct lw_module), .kind = (kind_), .name = (name_),                \
		.version = "0", .summary = "for tests", .life = &(life_), .ops.member = &(ops_),   \
		.options_size = sizeof(struct net_use)                                             \
	}

static const struct lw_life_ops udp_life = { .size = sizeof(udp_life),
	                                     .create = use_create,
	                                     .worker_start = udp_start,
	                                     .worker_stop = udp_stop,
	                                     .destroy = use_destroy };
static const struct lw_outside_udp_ops udp_ops = { .size = sizeof(udp_ops),
	                                           .recv = udp_recv,
	                                           .send = udp_send,
	                                           .connect = udp_connect,
	                                           .close = udp_close };
const struct lw_module net_udp_module =
	MODULE(LW_KIND_OUTSIDE_UDP, "net-udp", udp_life, udp, udp_ops);

static const struct lw_life_ops tcp_life = { .size = sizeof(tcp_life),
	                                     .create = use_create,
	                                     .worker_start = tcp_start,
	                                     .worker_stop = tcp_stop,
	                                     .destroy = use_destroy };
static const struct lw_outside_tcp_ops tcp_ops = { .size = sizeof(tcp_ops),
	                                           .accept = tcp_accept,
	                                           .connect = tcp_connect,
	                                           .recv = tcp_recv,
	                                           .send = tcp_send,
	                                           .close = tcp_close };
const struct lw_module net_tcp_module =
	MODULE(LW_KIND_OUTSIDE_TCP, "net-tcp", tcp_life, tcp, tcp_ops);

static const struct lw_life_ops inside_life = { .size = sizeof(inside_life),
	                                        .create = use_create,
	                                        .worker_start = inside_start,
	                                        .worker_stop = inside_stop,
	                                        .destroy = use_destroy };
static const struct lw_inside_ops inside_ops = { .size = sizeof(inside_ops),
	                                         .recv = inside_recv,
	                                         .send = inside_send };
const struct lw_module net_inside_module =
	MODULE(LW_KIND_INSIDE, "net-inside", inside_life, inside, inside_ops);

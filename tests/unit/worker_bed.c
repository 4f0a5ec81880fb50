/* SPDX-License-Identifier: MIT */
#include "config.h" /* first: it asks for epoll_pwait2() */

#include "unit/worker_bed.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake/fake_host.h"
#include "unit/test.h"

/* --- wrapped calls --- */

struct wb_calls wb_calls;

int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int __real_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout);
#ifdef HAVE_EPOLL_PWAIT2
int __real_epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *t,
                        const sigset_t *mask);
int __wrap_epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *t,
                        const sigset_t *mask);
#endif
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	int r;

	if (wb_calls.ctl_error != 0) {
		errno = wb_calls.ctl_error;
		wb_calls.ctl_error = 0;
		return -1;
	}
	r = __real_epoll_ctl(epfd, op, fd, ev);
	if (r == 0 && fd < 1024)
		wb_calls.events[fd] = op == EPOLL_CTL_DEL ? 0 : ev->events;
	return r;
}

/* false: it is to fail */
static bool note_wait(int64_t us)
{
	wb_calls.timeout_us = us;
	wb_calls.timeout_ms = (int)(us < 0 ? -1 : (us + 999) / 1000);
	if (wb_calls.wait_error != 0) {
		errno = wb_calls.wait_error;
		wb_calls.wait_error = 0;
		return false;
	}
	(void)__atomic_add_fetch(&wb_calls.waits, 1, __ATOMIC_RELAXED);
	return true;
}

int __wrap_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	if (!note_wait(timeout < 0 ? -1 : (int64_t)timeout * 1000))
		return -1;
	wb_calls.n_events = __real_epoll_wait(epfd, events, max, timeout);
	return wb_calls.n_events;
}

#ifdef HAVE_EPOLL_PWAIT2
int __wrap_epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *t,
                        const sigset_t *mask)
{
	if (!note_wait((int64_t)t->tv_sec * 1000000 + t->tv_nsec / 1000))
		return -1;
	wb_calls.n_events = __real_epoll_pwait2(epfd, events, max, t, mask);
	return wb_calls.n_events;
}
#endif

void *__wrap_calloc(size_t n, size_t size)
{
	if (wb_calls.fail_calloc > 0 && --wb_calls.fail_calloc == 0)
		return NULL;
	return __real_calloc(n, size);
}

bool wb_writing(const struct worker_bed *b, uint32_t tag)
{
	return (wb_calls.events[b->socks[tag].fd] & EPOLLOUT) != 0;
}

static void note(struct worker_bed *b, const char *what, uint32_t n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%s%u ", what, (unsigned)n);
	assert_true(strlen(b->log) + strlen(text) < sizeof(b->log));
	strcat(b->log, text);
}

/* --- modules --- */

/* One message a call: whoever has more waits for its next turn. */
static int take_one(struct worker_bed *b, const char *what, uint32_t tag)
{
	struct wb_sock *s = &b->socks[tag];
	char byte[16];

	assert_true(tag < b->n_socks);
	note(b, what, tag);
	s->served++;
	if (s->on_serve != NULL)
		s->on_serve(b, tag);
	if (s->answer != 0)
		return s->answer == WB_MORE ? 0 : s->answer;
	return recv(s->fd, byte, sizeof(byte), MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int inside_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *batch)
{
	(void)w;
	(void)batch;
	return take_one(inst, "i", tag);
}

static int inside_send(void *inst, struct lw_worker *w, struct lw_batch *batch, uint32_t *ret_done)
{
	(void)inst;
	(void)w;
	*ret_done = batch->n;
	return 0;
}

static const struct lw_inside_ops inside_ops = { .size = sizeof(inside_ops),
	                                         .recv = inside_recv,
	                                         .send = inside_send };

static int udp_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *batch)
{
	(void)w;
	(void)batch;
	if ((tag & LW_TAG_STRANGERS) != 0)
		return take_one(inst, "?", tag & ~LW_TAG_STRANGERS);
	return take_one(inst, "u", tag);
}

static int udp_send(void *inst, struct lw_worker *w, struct lw_batch *batch, uint32_t *ret_done)
{
	struct worker_bed *b = inst;

	(void)w;
	for (*ret_done = 0; *ret_done < batch->n; (*ret_done)++) {
		const struct lw_packet *p = &batch->pkt[*ret_done];

		if (send(b->socks[p->endpoint->tag].fd, lw_packet_data(p), p->len, MSG_DONTWAIT) <
		    0)
			return -errno;
	}
	return 0;
}

static const struct lw_outside_udp_ops udp_ops = { .size = sizeof(udp_ops),
	                                           .recv = udp_recv,
	                                           .send = udp_send };

static int tcp_accept(void *inst, struct lw_worker *w, uint32_t tag, struct lw_endpoint *ret_ep)
{
	struct worker_bed *b = inst;

	(void)w;
	note(b, "a", tag);
	if (b->socks[tag].answer != 0)
		return b->socks[tag].answer;
	if (b->waiting == 0)
		return -EAGAIN;
	b->waiting--;
	*ret_ep = (struct lw_endpoint){ .tag = wb_open(b, b->tcp) };
	return 0;
}

static int tcp_recv(void *inst, struct lw_worker *w, uint32_t tag, void *buf, uint32_t cap,
                    uint32_t *ret_len)
{
	struct worker_bed *b = inst;
	struct wb_sock *s = &b->socks[tag];
	ssize_t n;

	(void)w;
	note(b, "t", tag);
	s->served++;
	if (s->on_serve != NULL)
		s->on_serve(b, tag);
	n = recv(s->fd, buf, cap, MSG_DONTWAIT);
	*ret_len = n > 0 ? (uint32_t)n : 0;
	return n < 0 ? -errno : 0;
}

static int tcp_send(void *inst, struct lw_worker *w, uint32_t tag, const struct iovec *iov,
                    uint32_t n, uint32_t *ret_sent)
{
	struct worker_bed *b = inst;
	ssize_t sent = send(b->socks[tag].fd, iov[0].iov_base, iov[0].iov_len,
	                    MSG_DONTWAIT | MSG_NOSIGNAL);

	(void)w;
	assert_true(n > 0);
	note(b, "s", tag);
	*ret_sent = sent > 0 ? (uint32_t)sent : 0;
	return sent < 0 ? -errno : 0;
}

static void tcp_close(void *inst, struct lw_worker *w, uint32_t tag)
{
	(void)w;
	note(inst, "x", tag);
	wb_shut(inst, tag);
}

static const struct lw_outside_tcp_ops tcp_ops = { .size = sizeof(tcp_ops),
	                                           .accept = tcp_accept,
	                                           .recv = tcp_recv,
	                                           .send = tcp_send,
	                                           .close = tcp_close };
static const struct lw_module udp_module = { .kind = LW_KIND_OUTSIDE_UDP,
	                                     .name = "udp",
	                                     .ops = { .udp = &udp_ops } };
static const struct lw_module tcp_module = { .kind = LW_KIND_OUTSIDE_TCP,
	                                     .name = "tcp",
	                                     .ops = { .tcp = &tcp_ops } };

/* --- the role --- */

static struct lw_tunnel *by_inside(void *role, const struct lw_packet *p)
{
	(void)role;
	(void)p;
	return NULL;
}

static struct lw_tunnel *by_dgram(void *role, struct lw_port *port, struct lw_packet *dgram)
{
	(void)role;
	(void)port;
	(void)dgram;
	return NULL;
}

static void heard(void *role, struct lw_port *port, struct lw_tunnel *t,
                  const struct lw_packet *dgram, int frames)
{
	(void)role;
	(void)port;
	(void)dgram;
	fail_msg("tunnel %u of nobody, %d frames", t->endpoint.tag, frames);
}

static void after_dgrams(void *role, struct lw_port *port)
{
	(void)role;
	(void)port;
}

static void on_event(void *role, struct lw_tunnel *t, const struct lw_event *e)
{
	struct worker_bed *b = role;
	struct wb_tunnel *wt = t->owner;

	if (e->type != LW_EVENT_CLOSED)
		return;
	note(b, "closed", t->endpoint.tag);
	wt->reason = t->reason;
	lw_core_untimed(&b->core, &wt->timed);
	if (b->on_closed != NULL)
		b->on_closed(b, wt);
}

static void gone(void *role, struct lw_tunnel *t)
{
	struct wb_tunnel *wt = t->owner;

	note(role, "gone", t->endpoint.tag);
	wt->t = NULL;
}

static int accepted(void *role, struct lw_port *port, const struct lw_endpoint *ep)
{
	struct worker_bed *b = role;

	assert_ptr_equal(port, &b->core.path.ports[1]);
	note(b, "new", ep->tag);
	return b->accepted_r;
}

static void port_dead(void *role, struct lw_port *port, uint32_t tag, int error)
{
	struct worker_bed *b = role;

	(void)port;
	note(b, "dead", tag);
	b->dead_error = error;
}

static const struct lw_role_ops role_ops = { .by_inside = by_inside,
	                                     .by_dgram = by_dgram,
	                                     .heard = heard,
	                                     .after_dgrams = after_dgrams,
	                                     .event = on_event,
	                                     .gone = gone,
	                                     .accepted = accepted,
	                                     .port_dead = port_dead };

/* --- life --- */

struct worker_bed *wb_create(void)
{
	struct worker_bed *b = calloc(1, sizeof(*b));
	struct lw_path *p;

	assert_non_null(b);
	wb_calls = (struct wb_calls){ 0 };
	assert_int_equal(lw_core_init(&b->core), 0);
	p = &b->core.path;
	p->ops = &role_ops;
	p->role = b;
	p->role_kind = LW_ROLE_SERVER;
	p->inside_mtu = 1350;
	p->inside = &inside_ops;
	p->inside_inst = b;
	p->inside_w = &b->w[0];
	p->n_ports = 2;
	p->ports[0] = (struct lw_port){ .module = &udp_module, .inst = b, .w = &b->w[1] };
	p->ports[1] = (struct lw_port){
		.module = &tcp_module, .inst = b, .w = &b->w[2], .index = 1, .tcp = true
	};
	b->inside = lw_core_attach(&b->core, LW_ATTACH_INSIDE, 0, &b->w[0]);
	b->udp = lw_core_attach(&b->core, LW_ATTACH_PORT, 0, &b->w[1]);
	b->tcp = lw_core_attach(&b->core, LW_ATTACH_PORT, 1, &b->w[2]);
	b->other = lw_core_attach(&b->core, LW_ATTACH_OTHER, 0, &b->w[3]);
	assert_int_equal(lw_path_init(p, 64), 0);
	return b;
}

void wb_destroy(struct worker_bed *b)
{
	for (uint32_t i = 0; i < b->n_tunnels; i++) {
		if (b->tunnels[i].t != NULL)
			lw_path_drop(&b->core.path, b->tunnels[i].t);
	}
	b->on_closed = NULL;
	lw_path_flush(&b->core.path, b->core.now_us);
	for (uint32_t i = 0; i < b->n_socks; i++)
		wb_shut(b, i);
	if (b->pair != NULL)
		pair_destroy(b->pair);
	lw_core_fini(&b->core);
	free(b);
}

static uint32_t open_sock(struct worker_bed *b, struct lw_attach *a, uint32_t bit)
{
	uint32_t tag = b->n_socks++;
	struct wb_sock *s = &b->socks[tag];
	int fds[2];

	assert_true(tag < WB_SOCKS);
	assert_int_equal(socketpair(AF_UNIX, a == b->tcp ? SOCK_STREAM : SOCK_DGRAM, 0, fds), 0);
	*s = (struct wb_sock){ .fd = fds[0], .far = fds[1], .attach = a };
	assert_int_equal(lw_core_watch(a, s->fd, tag | bit), 0);
	return tag;
}

uint32_t wb_open(struct worker_bed *b, struct lw_attach *a)
{
	return open_sock(b, a, 0);
}

uint32_t wb_open_strangers(struct worker_bed *b)
{
	return open_sock(b, b->udp, LW_TAG_STRANGERS);
}

void wb_shut(struct worker_bed *b, uint32_t tag)
{
	struct wb_sock *s = &b->socks[tag];

	if (s->fd < 0)
		return;
	lw_core_unwatch(s->attach, s->fd);
	(void)close(s->fd);
	(void)close(s->far);
	s->fd = -1;
	s->far = -1;
}

void wb_write(struct worker_bed *b, uint32_t tag, uint32_t n)
{
	while (n-- > 0)
		assert_int_equal(send(b->socks[tag].far, "x", 1, MSG_DONTWAIT), 1);
}

const char *wb_round(struct worker_bed *b)
{
	b->log[0] = '\0';
	assert_int_equal(lw_core_round(&b->core, 0), 0);
	return b->log;
}

void wb_rounds_until(struct worker_bed *b, bool (*cond)(void *arg), void *arg)
{
	uint64_t end = lw_clock_us() + WB_WAIT_S * LW_US_PER_S;

	while (!cond(arg)) {
		assert_true(lw_clock_us() < end);
		assert_int_equal(lw_core_round(&b->core, LW_US_PER_S), 0);
	}
}

struct wb_tunnel *wb_tunnel(struct worker_bed *b, uint32_t tag, uint64_t stale_us)
{
	struct wb_tunnel *wt = &b->tunnels[b->n_tunnels++];
	struct lw_path *p = &b->core.path;
	struct lw_tunnel_start start = { .endpoint = { .tag = tag },
		                         .stream = true,
		                         .minor = 1,
		                         .pool = &p->chunks,
		                         .counters = &p->sessions,
		                         .serial = tag };
	struct lw_sink k;

	if (b->pair == NULL)
		b->pair = pair_create(true, 1);
	b->conf = b->pair->client.conf;
	b->conf.stale_us = stale_us;
	assert_int_equal(lw_tls_create(b->pair->client_ctx, LW_TLS_STREAM, 0, &start.tls), 0);
	assert_int_equal(lw_tunnel_create(&b->conf, &start, lw_clock_us(), &wt->t), 0);
	lw_core_timed(&wt->timed, wt->t);
	wt->bed = b;
	wt->t->port = &p->ports[1];
	assert_int_equal(lw_core_bind(&b->core, &p->ports[1], tag, wt->t), 0);
	k = lw_path_sink(p, wt->t);
	lw_path_after(p, wt->t, &k); /* arms the timer */
	return wt;
}

void wb_queue(struct worker_bed *b, uint32_t tag)
{
	static const char bytes[100];

	lw_fake_batch_add(b->core.path.ports[0].wire, bytes, sizeof(bytes))->endpoint->tag = tag;
}

void wb_fill(struct worker_bed *b, uint32_t tag)
{
	static const char junk[256];

	while (send(b->socks[tag].fd, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

uint32_t wb_drain(struct worker_bed *b, uint32_t tag)
{
	char buf[4096];
	uint32_t n = 0;

	while (recv(b->socks[tag].far, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		n++;
	return n;
}

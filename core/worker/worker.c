/* SPDX-License-Identifier: MIT */
#include "config.h" /* first: it asks for epoll_pwait2() */

#include "worker/worker.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tls/records.h"
#include "worker/thread.h"
#include "worker/watch.h"

#define EVENTS_PER_ROUND 64
/* connections taken from one listener in one round */
#define ACCEPTS_PER_ROUND 32
/* longest wait of a round */
#define WAIT_MAX_US (60 * LW_US_PER_S)
/* how many times as long as strangers took they wait for the next turn of a busy worker */
#define STRANGERS_WAIT 19
/* A worker is busy for so long after it has served anybody else. What it does between two batches
 * of a session is not free: peers and the rest of the system may wait for the processor. */
#define BUSY_US (10 * LW_US_PER_MS)

/* --- the driver's part of the path --- */

static void on_deadline(void *driver, struct lw_tunnel *t)
{
	struct lw_core *c = driver;
	struct lw_timed *rec = t->owner;
	uint64_t deadline = lw_tunnel_deadline(t);

	if (rec == NULL || deadline == rec->armed_us)
		return;
	rec->armed_us = deadline;
	if (deadline == UINT64_MAX)
		lw_wheel_cancel(&c->wheel, &rec->timer);
	else
		lw_wheel_set(&c->wheel, &rec->timer, deadline);
}

static void on_want_write(void *driver, struct lw_port *port, uint32_t tag)
{
	struct lw_core *c = driver;
	struct lw_watch *w = lw_watch_find(c, port, tag);

	if (w != NULL && !w->writing)
		(void)lw_watch_arm(c, w, true);
}

static const struct lw_driver_ops driver_ops = { .deadline = on_deadline,
	                                         .want_write = on_want_write };

void lw_core_timed(struct lw_timed *rec, struct lw_tunnel *t)
{
	*rec = (struct lw_timed){ .tunnel = t };
	t->owner = rec;
}

void lw_core_untimed(struct lw_core *c, struct lw_timed *rec)
{
	lw_wheel_cancel(&c->wheel, &rec->timer);
}

/* --- one round --- */

static struct lw_port *port_of(struct lw_core *c, const struct lw_watch *w)
{
	return &c->path.ports[w->attach->port];
}

static void writable(struct lw_core *c, struct lw_watch *w)
{
	struct lw_port *port;

	(void)lw_watch_arm(c, w, false);
	if (w->attach->kind != LW_ATTACH_PORT)
		return;
	port = port_of(c, w);
	if (!port->tcp) {
		lw_sender_unblock(&port->sender, w->key.tag);
	} else if (w->tunnel != NULL) {
		struct lw_sink k = lw_path_sink(&c->path, w->tunnel);

		lw_path_after(&c->path, w->tunnel, &k); /* what waits is sent with the flush */
	}
	lw_path_flush(&c->path, c->now_us);
}

static int accept_some(struct lw_core *c, struct lw_port *port, uint32_t tag)
{
	const struct lw_outside_tcp_ops *tcp = port->module->ops.tcp;

	for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
		struct lw_endpoint ep = { 0 };
		int r = tcp->accept(port->inst, port->w, tag, &ep);

		if (r < 0)
			return r;
		if (c->path.ops->accepted(c->path.role, port, &ep) < 0)
			tcp->close(port->inst, port->w, ep.tag);
	}
	return 0;
}

static int serve_port(struct lw_core *c, struct lw_watch *w)
{
	struct lw_port *port = port_of(c, w);
	uint32_t tag = w->key.tag;
	int r;

	if (port->tcp && w->tunnel != NULL)
		return lw_path_from_tcp(&c->path, port, w->tunnel, c->now_us);
	r = port->tcp ? accept_some(c, port, tag)
	              : lw_path_from_udp(&c->path, port, tag, c->now_us);
	if (r < 0 && r != -EAGAIN)
		c->path.ops->port_dead(c->path.role, port, tag, r);
	lw_path_flush(&c->path, c->now_us);
	return r;
}

/* true: it may have more */
static bool serve(struct lw_core *c, struct lw_watch *w)
{
	int r;

	switch (w->attach->kind) {
	case LW_ATTACH_INSIDE:
		r = lw_path_from_inside(&c->path, w->key.tag, c->now_us);
		if (r == -EBUSY)
			return true;
		if (r < 0 && r != -EAGAIN) {
			c->failed = r;
			c->stop = true;
		}
		return r == 0;
	case LW_ATTACH_PORT:
		return serve_port(c, w) == 0;
	case LW_ATTACH_OTHER:
	default:
		return false;
	}
}

/* Each that is ready now, once: what becomes so meanwhile waits for the next round. False: there
 * was none. */
static bool serve_list(struct lw_core *c, struct lw_ready *list)
{
	bool any = false;

	while (list->first != NULL && list->first->round != c->round) {
		struct lw_watch *w = lw_watch_pop(list);
		bool more = serve(c, w);

		any = true;
		if (w->gone)
			continue;
		if (more)
			lw_watch_ready(c, w);
		else if (lw_watch_has_strangers(w))
			(void)lw_watch_arm(c, w, false);
	}
	return any;
}

/* Of all workers: one that is idle may share its processor with those who wait for a busy one. */
static uint64_t busy_until(const struct lw_core *c)
{
	uint64_t until = c->busy_until_us;

	for (uint32_t i = 0; i < c->n_peers; i++) {
		uint64_t us = __atomic_load_n(&c->peers[i].busy_until_us, __ATOMIC_RELAXED);

		until = us > until ? us : until;
	}
	return until;
}

/* When strangers are served next, if there are any. */
static uint64_t strangers_turn(const struct lw_core *c)
{
	uint64_t until;

	if (c->strangers.first == NULL)
		return UINT64_MAX;
	until = busy_until(c);
	return c->strangers_at_us < until ? c->strangers_at_us : until;
}

static void serve_strangers(struct lw_core *c)
{
	uint64_t now = lw_clock_us();
	uint64_t until = busy_until(c);
	uint64_t spent;

	if (now < until && now < c->strangers_at_us)
		return;
	/* of the processor's time: they do not wait for what others took from us meanwhile */
	spent = lw_clock_read(CLOCK_THREAD_CPUTIME_ID);
	c->few_strangers = now < until;
	c->strangers_welcome = false;
	(void)serve_list(c, &c->strangers);
	c->few_strangers = false;
	spent = lw_clock_read(CLOCK_THREAD_CPUTIME_ID) - spent;
	if (c->strangers_welcome)
		spent = 0; /* there are peers among them, whose number is limited elsewhere */
	c->strangers_at_us = lw_clock_us() + STRANGERS_WAIT * spent;
}

static void serve_ready(struct lw_core *c)
{
	c->round++;
	if (serve_list(c, &c->ready))
		__atomic_store_n(&c->busy_until_us, c->now_us + BUSY_US, __ATOMIC_RELAXED);
	if (c->strangers.first != NULL)
		serve_strangers(c);
}

static void expire_timers(struct lw_core *c)
{
	struct lw_timer *timer;

	while ((timer = lw_wheel_expire(&c->wheel, c->now_us)) != NULL) {
		struct lw_timed *rec = (struct lw_timed *)(void *)timer;
		struct lw_tunnel *t = rec->tunnel;
		struct lw_sink k = lw_path_sink(&c->path, t);

		rec->armed_us = 0;
		(void)lw_tunnel_tick(t, c->now_us, &k);
		lw_path_after(&c->path, t, &k);
	}
	lw_path_flush(&c->path, c->now_us);
}

static bool something_ready(const struct lw_core *c)
{
	for (const struct lw_watch *w = c->ready.first; w != NULL; w = w->next) {
		/* the inside, paused, is no reason to hurry */
		if (w->attach->kind != LW_ATTACH_INSIDE || !lw_path_paused(&c->path))
			return true;
	}
	return false;
}

/* In whole milliseconds, but for what a sender of the path waits for. */
static uint64_t wait_us(struct lw_core *c, uint64_t max_wait_us)
{
	uint64_t now = lw_clock_us();
	uint64_t next = lw_wheel_next_us(&c->wheel);
	uint64_t strangers = strangers_turn(c);
	uint64_t blocked = lw_path_deadline(&c->path);
	uint64_t wait = max_wait_us < WAIT_MAX_US ? max_wait_us : WAIT_MAX_US;

	if (something_ready(c))
		return 0;
	if (strangers < next)
		next = strangers;
	if (blocked <= now || next <= now)
		return 0;
	if (next - now < wait)
		wait = next - now;
	wait = (wait + LW_US_PER_MS - 1) / LW_US_PER_MS * LW_US_PER_MS;
	return blocked - now < wait ? blocked - now : wait;
}

static void set_now(struct lw_core *c)
{
	c->now_us = lw_clock_us();
	for (uint32_t i = 0; i < c->n_attach; i++)
		c->attach[i].w->now_us = c->now_us;
}

#ifdef HAVE_EPOLL_PWAIT2
/* Linux has it since 5.11 */
static int wait_exactly(struct lw_core *c, struct epoll_event events[EVENTS_PER_ROUND], uint64_t us)
{
	const struct timespec t = { .tv_sec = (time_t)(us / LW_US_PER_S),
		                    .tv_nsec = (long)(us % LW_US_PER_S) * 1000 };
	int n = epoll_pwait2(c->epfd, events, EVENTS_PER_ROUND, &t, NULL);

	if (n >= 0 || errno != ENOSYS)
		return n;
	c->waits_in_ms = true;
	return 0; /* the next round waits */
}
#else
static int wait_exactly(struct lw_core *c, struct epoll_event events[EVENTS_PER_ROUND], uint64_t us)
{
	(void)events;
	(void)us;
	c->waits_in_ms = true;
	return 0;
}
#endif

static int wait_for_events(struct lw_core *c, struct epoll_event events[EVENTS_PER_ROUND],
                           uint64_t us)
{
	if (us % LW_US_PER_MS != 0 && !c->waits_in_ms)
		return wait_exactly(c, events, us);
	return epoll_wait(c->epfd, events, EVENTS_PER_ROUND,
	                  (int)((us + LW_US_PER_MS - 1) / LW_US_PER_MS));
}

int lw_core_round(struct lw_core *c, uint64_t max_wait_us)
{
	struct epoll_event events[EVENTS_PER_ROUND];
	int n = wait_for_events(c, events, wait_us(c, max_wait_us));

	if (n < 0 && errno != EINTR)
		return -errno;
	set_now(c);
	for (int i = 0; i < n; i++) {
		struct lw_watch *w = events[i].data.ptr;

		if (w == NULL) {
			lw_mailbox_deliver(&c->mail);
			continue;
		}
		if (!w->gone && (events[i].events & ~(uint32_t)EPOLLOUT))
			lw_watch_ready(c, w);
	}
	for (int i = 0; i < n; i++) {
		struct lw_watch *w = events[i].data.ptr;

		if (w != NULL && !w->gone && w->writing && (events[i].events & EPOLLOUT))
			writable(c, w);
	}
	if (c->path.n_ports > 0 && lw_path_deadline(&c->path) <= c->now_us)
		lw_path_flush(&c->path, c->now_us);
	serve_ready(c);
	expire_timers(c);
	lw_watch_free_gone(c);
	return 0;
}

void lw_core_hand_over(struct lw_core *c, uint32_t worker, uint32_t port, const struct lw_packet *p)
{
	struct lw_path_counters *counters = &c->path.counters;
	int r = lw_handover_send(&c->handover, &c->peers[worker], port, p);
	uint64_t *counter = r < 0 ? &counters->handed_over_dropped : &counters->handed_over;

	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

void lw_core_handed_inside(struct lw_core *c, const struct lw_packet *p)
{
	if (lw_path_handed_inside(&c->path, p, c->now_us))
		lw_watch_ready_inside(c);
}

/* --- life --- */

int lw_core_init(struct lw_core *c)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int r;

	*c = (struct lw_core){ .epfd = -1, .mail = { .fd = -1 } };
	c->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (c->epfd < 0)
		return -errno;
	r = lw_mailbox_init(&c->mail);
	if (r < 0)
		return r;
	if (epoll_ctl(c->epfd, EPOLL_CTL_ADD, c->mail.fd, &ev) < 0)
		return -errno;
	r = lw_watches_init(c);
	if (r < 0)
		return r;
	set_now(c);
	lw_wheel_init(&c->wheel, c->now_us);
	c->path.driver_ops = &driver_ops;
	c->path.driver = c;
	return 0;
}

void lw_core_fini(struct lw_core *c)
{
	lw_watches_fini(c);
	lw_path_fini(&c->path);
	lw_mailbox_fini(&c->mail);
	lw_handover_fini(&c->handover);
	if (c->epfd >= 0)
		(void)close(c->epfd);
	c->epfd = -1;
}

struct lw_attach *lw_core_attach(struct lw_core *c, enum lw_attach_kind kind, uint32_t port,
                                 struct lw_worker *w)
{
	struct lw_attach *a;

	if (c->n_attach == LW_ATTACH_MAX)
		return NULL;
	a = &c->attach[c->n_attach++];
	*a = (struct lw_attach){
		.core = c, .kind = kind, .index = c->n_attach - 1, .port = port, .w = w
	};
	w->core = a;
	w->now_us = c->now_us;
	return a;
}

static void *core_main(void *arg)
{
	struct lw_core *c = arg;

	lw_tls_records_use(c->records);
	while (!c->stop) {
		int r = lw_core_round(c, WAIT_MAX_US);

		if (r < 0) {
			c->failed = r;
			break;
		}
	}
	lw_tls_records_use(NULL);
	if (c->failed != 0 && c->ended_to != NULL)
		lw_mailbox_post(c->ended_to, &c->ended);
	return NULL;
}

int lw_core_start(struct lw_core *c)
{
	int r = lw_thread_start(&c->thread, core_main, c);

	c->started = r == 0;
	return r;
}

uint64_t lw_core_cpu_us(const struct lw_core *c)
{
	struct timespec t;
	clockid_t clock;

	if (!c->started || pthread_getcpuclockid(c->thread, &clock) != 0 ||
	    clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * LW_US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

void lw_core_join(struct lw_core *c)
{
	if (!c->started)
		return;
	(void)pthread_join(c->thread, NULL);
	c->started = false;
}

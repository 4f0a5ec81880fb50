/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load/load.h"
#include "wire/frame.h"
#include "wire/header.h"

/* datagrams, or runs, that one client may read before others have their turn */
#define READS_MAX 16
/* datagrams and bytes that the kernel takes as one run */
#define RUN_SEGS  63u
#define RUN_BYTES 65507u

static struct lw_sink sink_of(struct load *l, const struct load_client *c)
{
	struct lw_sink k = {
		.wire = &l->wire, .inside = &l->inside, .run_segs = RUN_SEGS, .run_bytes = RUN_BYTES
	};

	if (c->tunnel->is_stream)
		k.record = &l->record;
	return k;
}

/* --- the end --- */

static void let_go(struct load *l, struct load_client *c)
{
	lw_wheel_cancel(&l->wheel, &c->deadline.timer);
	lw_wheel_cancel(&l->wheel, &c->work.timer);
	lw_tunnel_destroy(c->tunnel);
	c->tunnel = NULL;
	(void)close(c->fd);
	c->fd = -1;
}

/* Whoever is not online yet has failed, whoever is online and did not want to go is lost. */
static void count_end(struct load *l, struct load_client *c, enum lw_close_reason reason)
{
	struct load_counts *n = &l->counts;

	if (c->state == LOAD_ON_ITS_WAY) {
		n->on_their_way--;
		n->failed++;
		n->failed_for[reason]++;
	} else if (reason == LW_CLOSE_LOCAL) {
		n->closed++;
	} else {
		n->lost++;
		n->lost_for[reason]++;
	}
	if (reason == LW_CLOSE_HANDSHAKE)
		(void)snprintf(n->sentence, sizeof(n->sentence), "%s",
		               lw_tls_error(c->tunnel->tls));
	c->state = LOAD_ENDED;
}

/* --- after each call of the engine --- */

static void came_online(struct load *l, struct load_client *c)
{
	struct lw_tls_info info;

	lw_tls_info(c->tunnel->tls, &info);
	l->group = info.group;
	c->state = LOAD_ONLINE;
	l->counts.on_their_way--;
	l->counts.online++;
	l->last_online_us = l->now_us;
	load_hist_add(&l->connect_us, l->now_us - c->began_us);
}

static void watch_writing(const struct load *l, struct load_client *c, bool writing)
{
	struct epoll_event ev = { .events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c };

	if (writing == c->writing)
		return;
	c->writing = writing;
	(void)epoll_ctl(l->epfd, EPOLL_CTL_MOD, c->fd, &ev);
}

static void flush(struct load *l, struct load_client *c)
{
	int r;

	if (!c->tunnel->is_stream) {
		load_outside_send(c->fd, &l->wire, &l->traffic);
	} else {
		r = load_outside_flush(c->fd, &c->tunnel->stream, &l->traffic);
		if (r < 0)
			lw_tunnel_drop(c->tunnel);
		else
			watch_writing(l, c, r > 0);
	}
	lw_batch_reset(&l->wire);
}

static void arm(struct load *l, struct load_client *c)
{
	uint64_t at = lw_tunnel_deadline(c->tunnel);

	if (at == UINT64_MAX)
		lw_wheel_cancel(&l->wheel, &c->deadline.timer);
	else
		lw_wheel_set(&l->wheel, &c->deadline.timer, at);
}

/* What the call left behind: packets, events, its end. True: an answer may have made room. */
static bool settle(struct load *l, struct load_client *c, struct lw_sink *k)
{
	bool work = false;

	LW_BATCH_FOREACH (p, &l->inside)
		work |= load_work_arrived(l, c, lw_packet_data(p), p->len);
	lw_batch_reset(&l->inside);
	flush(l, c);
	for (uint32_t i = 0; i < k->n_events; i++) {
		if (k->events[i].type == LW_EVENT_ONLINE && c->state == LOAD_ON_ITS_WAY)
			came_online(l, c);
	}
	k->n_events = 0;
	if (c->tunnel->state == LW_TUNNEL_CLOSED) {
		count_end(l, c, c->tunnel->reason);
		let_go(l, c);
		return false;
	}
	arm(l, c);
	return work;
}

/* --- begin --- */

static int open_tunnel(struct load *l, struct load_client *c)
{
	struct lw_tunnel_start start = { .stream = l->o->tcp,
		                         .minor = LW_WIRE_MINOR_MAX,
		                         .pool = &l->chunks,
		                         .lane = l->o->no_expresslane ? NULL : &l->lane,
		                         .counters = &l->counters,
		                         .serial = c->index + 1 };
	int r = lw_tls_create(l->tls, l->o->tcp ? LW_TLS_STREAM : LW_TLS_DGRAM, l->conf.outside_mtu,
	                      &start.tls);

	start.endpoint.remote = l->o->server;
	return r < 0 ? r : lw_tunnel_create(&l->conf, &start, l->now_us, &c->tunnel);
}

static int open_client(struct load *l, struct load_client *c)
{
	uint32_t from = l->o->source.n > 0 ? load_range_at(&l->o->source, c->index) : 0;
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int r;

	c->fd = load_outside_open(l->o->tcp, from, &l->o->server);
	if (c->fd < 0)
		return c->fd;
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		r = -errno;
	else
		r = open_tunnel(l, c);
	if (r < 0) {
		(void)close(c->fd);
		c->fd = -1;
	}
	return r;
}

void load_client_begin(struct load *l, struct load_client *c)
{
	struct lw_sink k;
	int r = open_client(l, c);

	l->counts.tried++;
	c->began_us = l->now_us;
	if (r < 0) {
		c->state = LOAD_ENDED;
		l->counts.failed++;
		l->counts.no_socket++;
		(void)snprintf(l->counts.sentence, sizeof(l->counts.sentence), "%s", strerror(-r));
		return;
	}
	c->state = LOAD_ON_ITS_WAY;
	l->counts.on_their_way++;
	k = sink_of(l, c);
	(void)lw_tunnel_begin(c->tunnel, l->now_us, &k);
	(void)settle(l, c, &k);
}

/* --- what comes --- */

/* Errors of ICMP are what a real client lives with too: its keepalive decides. */
static bool read_datagram(struct load *l, struct load_client *c)
{
	uint16_t stride = 0;
	int n = load_outside_recv(c->fd, l->read, &stride, &l->traffic);
	struct lw_packet p = { .buf = l->read, .gso_size = stride };
	struct lw_sink k = sink_of(l, c);

	if (n <= 0)
		return false;
	p.len = (uint32_t)n;
	p.cap = (uint32_t)n;
	p.gso_type = stride > 0 ? LW_GSO_RUN : LW_GSO_NONE;
	(void)lw_tunnel_rx(c->tunnel, &p, l->now_us, &k);
	if (settle(l, c, &k))
		load_work_do(l, c, false);
	return c->tunnel != NULL;
}

static void rx_bytes(struct load *l, struct load_client *c, const uint8_t *p, size_t len)
{
	int r = -EAGAIN;

	while (r == -EAGAIN && c->tunnel != NULL) {
		struct lw_sink k = sink_of(l, c);
		size_t used = 0;

		r = lw_tunnel_rx_bytes(c->tunnel, p, len, &used, l->now_us, &k);
		p += used;
		len -= used;
		if (settle(l, c, &k))
			load_work_do(l, c, false);
	}
}

static bool read_stream(struct load *l, struct load_client *c)
{
	struct lw_sink k = sink_of(l, c);
	int n = load_outside_read(c->fd, l->read, LOAD_READ_MAX, &l->traffic);

	if (n == -EAGAIN)
		return false;
	if (n > 0) {
		rx_bytes(l, c, l->read, (size_t)n);
		return c->tunnel != NULL && n == (int)LOAD_READ_MAX;
	}
	lw_tunnel_drop(c->tunnel);
	(void)settle(l, c, &k);
	return false;
}

void load_client_ready(struct load *l, struct load_client *c, uint32_t events)
{
	struct lw_sink k;

	if (c->tunnel == NULL)
		return;
	for (int i = 0; i < READS_MAX && (events & ~(uint32_t)EPOLLOUT) != 0; i++) {
		if (!(c->tunnel->is_stream ? read_stream(l, c) : read_datagram(l, c)))
			break;
	}
	if (c->tunnel == NULL || !c->writing || (events & EPOLLOUT) == 0)
		return;
	k = sink_of(l, c);
	(void)settle(l, c, &k);
	if (c->state == LOAD_ONLINE)
		load_work_do(l, c, false);
}

void load_client_tick(struct load *l, struct load_client *c)
{
	struct lw_sink k = sink_of(l, c);

	(void)lw_tunnel_tick(c->tunnel, l->now_us, &k);
	(void)settle(l, c, &k);
}

/* --- what goes --- */

bool load_client_send(struct load *l, struct load_client *c, uint8_t *p, uint32_t len)
{
	struct lw_sink k = sink_of(l, c);
	struct lw_packet packet = { .buf = p - LW_FRAME_DATA_HEADER,
		                    .off = LW_FRAME_DATA_HEADER,
		                    .len = len,
		                    .cap = LW_FRAME_DATA_HEADER + len };
	struct lw_seg g;
	int r;

	if (lw_seg_init(&g, &packet) < 0)
		return false;
	r = lw_tunnel_tx(c->tunnel, &g, l->now_us, &k);
	if (r == -EAGAIN && !c->tunnel->is_stream) { /* the batch is full: empty it */
		flush(l, c);
		r = lw_tunnel_tx(c->tunnel, &g, l->now_us, &k);
	}
	return r == 0;
}

void load_client_sent(struct load *l, struct load_client *c)
{
	struct lw_sink k = sink_of(l, c);

	lw_tunnel_tx_end(c->tunnel, l->now_us, &k);
	(void)settle(l, c, &k);
}

void load_client_close(struct load *l, struct load_client *c)
{
	struct lw_sink k;

	if (c->tunnel == NULL)
		return;
	k = sink_of(l, c);
	lw_tunnel_close(c->tunnel, l->now_us, &k);
	(void)settle(l, c, &k);
}

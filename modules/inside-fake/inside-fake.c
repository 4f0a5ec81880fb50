/* SPDX-License-Identifier: MIT */
/*
 * inside-fake: inside packets are datagrams of a unix socket, for tests without TUN and without
 * privileges. A test sends packets to the socket and gets those of the tunnel on its own one, the
 * peer. Each worker has a socket; that of worker N > 0 is named like the first with ".N" behind.
 *
 * Pathnames, since abstract ones do not reach from one network namespace into another.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <laneway/module.h>

enum {
	FAKE_CTR_RX_PACKETS,
	FAKE_CTR_RX_TOO_LONG,
	FAKE_CTR_TX_PACKETS,
	FAKE_CTR_TX_BUSY,
	FAKE_CTR_TX_NO_PEER,
	FAKE_CTR_TX_ERRORS
};

struct fake_options {
	const char *socket;
	const char *peer;
};

struct fake_queue {
	int fd;
	struct sockaddr_un name;
};

struct fake {
	const struct lw_host *host;
	const struct fake_options *opts;
	struct fake_queue *queues;
	uint32_t n_queues;
	uint32_t mtu;
	struct sockaddr_un peer;
};

/* worker 0: the path alone */
static int make_name(struct sockaddr_un *ret, const char *path, uint32_t worker)
{
	char text[sizeof(ret->sun_path) + 1];
	int n;

	if (worker == 0)
		n = snprintf(text, sizeof(text), "%s", path);
	else
		n = snprintf(text, sizeof(text), "%s.%u", path, worker);
	if (n <= 0 || (size_t)n >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, text, (size_t)n);
	return 0;
}

static int fake_check(const void *opts, struct lw_err *err)
{
	const struct fake_options *o = opts;
	struct sockaddr_un name;

	/* 255: no worker has a longer number */
	if (make_name(&name, o->socket, 255) < 0)
		return lw_err_set_at(err, -EINVAL, "socket", "the path is empty or too long");
	if (make_name(&name, o->peer, 0) < 0)
		return lw_err_set_at(err, -EINVAL, "peer", "the path is empty or too long");
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

static void close_queues(struct fake *f)
{
	for (uint32_t i = 0; i < f->n_queues; i++) {
		(void)unlink(f->queues[i].name.sun_path);
		(void)close(f->queues[i].fd);
	}
	free(f->queues);
	f->queues = NULL;
	f->n_queues = 0;
}

static int open_queue(struct fake *f, struct lw_err *err)
{
	struct fake_queue *q = &f->queues[f->n_queues];
	int r = make_name(&q->name, f->opts->socket, f->n_queues);

	if (r < 0)
		return lw_err_set_at(err, r, "socket", "the path is empty or too long");
	q->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (q->fd < 0) {
		r = -errno;
		return lw_err_set(err, r, "cannot make a socket: %s", strerror(-r));
	}
	if (bind(q->fd, (const struct sockaddr *)&q->name, sizeof(q->name)) < 0) {
		r = -errno;
		(void)close(q->fd);
		return lw_err_set_at(err, r, "socket", "cannot bind \"%s\": %s", q->name.sun_path,
		                     strerror(-r));
	}
	f->n_queues++;
	return 0;
}

static int fake_prepare(void *inst, const struct lw_env *env, struct lw_caps *ret_caps,
                        struct lw_err *err)
{
	struct fake *f = inst;
	int r = 0;

	f->mtu = env->inside_mtu;
	if (make_name(&f->peer, f->opts->peer, 0) < 0)
		return lw_err_set_at(err, -EINVAL, "peer", "the path is empty or too long");
	f->queues = calloc(env->workers, sizeof(*f->queues));
	if (f->queues == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	while (r == 0 && f->n_queues < env->workers)
		r = open_queue(f, err);
	if (r < 0) {
		close_queues(f);
		return r;
	}
	*ret_caps = (struct lw_caps){ .flags = 0 };
	return 0;
}

static int fake_worker_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	struct fake *f = inst;
	int r;

	if (w->index >= f->n_queues)
		return lw_err_set(err, -EINVAL, "no socket for worker %u", w->index);
	r = f->host->watch(f->host, w, f->queues[w->index].fd, w->index);
	if (r < 0)
		return lw_err_set(err, r, "cannot watch a socket: %s", strerror(-r));
	*ret_state = &f->queues[w->index];
	return 0;
}

static void fake_worker_stop(void *inst, struct lw_worker *w)
{
	const struct fake *f = inst;

	f->host->unwatch(f->host, w, f->queues[w->index].fd);
}

static void fake_destroy(void *inst)
{
	struct fake *f = inst;

	if (f == NULL)
		return;
	close_queues(f);
	free(f);
}

/* a datagram that does not fit tells its whole length */
static ssize_t read_packet(int fd, void *buf, size_t cap)
{
	ssize_t n;

	do {
		n = recv(fd, buf, cap, MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int fake_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b)
{
	const struct fake *f = inst;
	const struct fake_queue *q = w->state;
	uint64_t packets = 0, too_long = 0;
	int r = 0;

	(void)tag;
	for (uint32_t reads = 0; reads < b->cap; reads++) {
		struct lw_packet *p = lw_batch_reserve(b, f->mtu);
		ssize_t n;

		if (p == NULL)
			break;
		n = read_packet(q->fd, lw_packet_data(p), f->mtu);
		if (n < 0) {
			r = (int)n;
			break;
		}
		if ((size_t)n > f->mtu) {
			too_long++;
			continue;
		}
		lw_batch_commit(b, (uint32_t)n);
		packets++;
	}
	lw_worker_count(w, FAKE_CTR_RX_PACKETS, packets);
	lw_worker_count(w, FAKE_CTR_RX_TOO_LONG, too_long);
	return r;
}

static int write_packet(const struct fake *f, int fd, const struct lw_packet *p)
{
	ssize_t n;

	if (p->gso_size > 0 || p->n_more > 0)
		return -EOPNOTSUPP;
	do {
		n = sendto(fd, lw_packet_data(p), p->len, MSG_NOSIGNAL,
		           (const struct sockaddr *)&f->peer, sizeof(f->peer));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static uint32_t cause_of(int r)
{
	switch (r) {
	case -EAGAIN:
	case -ENOBUFS:
		return FAKE_CTR_TX_BUSY;
	case -ENOENT:
	case -ECONNREFUSED:
		return FAKE_CTR_TX_NO_PEER;
	default:
		return FAKE_CTR_TX_ERRORS;
	}
}

static int fake_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	const struct fake *f = inst;
	const struct fake_queue *q = w->state;
	uint32_t done = 0;
	int r = 0;

	while (done < b->n) {
		r = write_packet(f, q->fd, &b->pkt[done]);
		if (r < 0)
			break;
		done++;
	}
	if (r < 0)
		lw_worker_count(w, cause_of(r), 1);
	lw_worker_count(w, FAKE_CTR_TX_PACKETS, done);
	*ret_done = done;
	return r;
}

static const struct lw_option options[] = {
	{ .name = "socket",
	  .doc = "path of the socket that takes packets for the tunnel",
	  .type = LW_OPT_PATH,
	  .flags = LW_OPTF_REQUIRED,
	  LW_OPTION_AT(struct fake_options, socket) },
	{ .name = "peer",
	  .doc = "path of the socket that gets the packets of the tunnel",
	  .type = LW_OPT_PATH,
	  .flags = LW_OPTF_REQUIRED,
	  LW_OPTION_AT(struct fake_options, peer) },
	{ .name = NULL },
};

static const char *const counters[] = {
	[FAKE_CTR_RX_PACKETS] = "rx_packets",
	[FAKE_CTR_RX_TOO_LONG] = "rx_too_long",
	[FAKE_CTR_TX_PACKETS] = "tx_packets",
	[FAKE_CTR_TX_BUSY] = "tx_busy",
	[FAKE_CTR_TX_NO_PEER] = "tx_no_peer",
	[FAKE_CTR_TX_ERRORS] = "tx_errors",
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

static const struct lw_inside_ops ops = {
	.size = sizeof(ops),
	.recv = fake_recv,
	.send = fake_send,
};

LW_MODULE(LW_KIND_INSIDE, "inside-fake", "0.1.0", "packets of a unix socket, for tests", options,
          sizeof(struct fake_options), counters, &life, &ops, 0);

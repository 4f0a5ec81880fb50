/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "load/load.h"
#include "wire/header.h"

#define WIRE_PACKETS   256u
#define WIRE_BYTES     (512u << 10)
#define INSIDE_PACKETS 1024u
#define INSIDE_BYTES   (256u << 10)
#define ROTATE_US      (900 * LW_US_PER_S)
/* a TCP client's own, and some for all */
#define CHUNKS_EACH 2u
#define CHUNKS_MORE 256u
#define CA_MAX      (1 << 20)

/* cipher-wolfcrypt, linked in under the name that a static build gives it */
extern const struct lw_module lw_module_cipher_wolfcrypt;

static int make_batch(struct lw_batch *b, uint32_t packets, uint32_t bytes, bool outside)
{
	*b = (struct lw_batch){ .cap = packets, .arena_cap = bytes };
	b->pkt = calloc(packets, sizeof(*b->pkt));
	b->arena = aligned_alloc(64, bytes);
	if (outside)
		b->ep = calloc(packets, sizeof(*b->ep));
	return b->pkt != NULL && b->arena != NULL && (!outside || b->ep != NULL) ? 0 : -ENOMEM;
}

static void free_batch(struct lw_batch *b)
{
	free(b->pkt);
	free(b->ep);
	free(b->arena);
}

static int read_file(const char *path, uint8_t *buf, size_t cap, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, cap) : -1;
	int error = n < 0 ? -errno : 0;

	if (fd >= 0)
		(void)close(fd);
	*ret_len = n > 0 ? (size_t)n : 0;
	return error;
}

static int make_tls(struct load *l, struct lw_err *err)
{
	uint8_t *pem = malloc(CA_MAX);
	struct lw_tls_client_config cfg = { .ca_pem = pem, .server_name = l->o->server_name };
	int r;

	if (pem == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	r = read_file(l->o->ca, pem, CA_MAX, &cfg.ca_len);
	if (r < 0)
		(void)lw_err_set(err, r, "%s: %s", l->o->ca, strerror(-r));
	else
		r = lw_tls_ctx_create_client(&cfg, &l->tls, err);
	free(pem);
	return r;
}

static int make_lane(struct load *l)
{
	const struct lw_module *m = &lw_module_cipher_wolfcrypt;
	const void *conf;
	void *inst;
	int r = m->life->create(NULL, NULL, &inst, &conf, NULL);

	if (r == 0)
		lw_lane_env_init(&l->lane, m->ops.cipher, inst, &l->worker, &l->random);
	return r;
}

static int make_memory(struct load *l)
{
	const struct load_options *o = l->o;
	uint32_t chunks = (uint32_t)o->concurrent * CHUNKS_EACH + CHUNKS_MORE;

	l->clients = calloc(o->clients > 0 ? o->clients : 1, sizeof(*l->clients));
	l->read = malloc(LOAD_READ_MAX);
	if (l->clients == NULL || l->read == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < o->clients; i++) {
		struct load_client *c = &l->clients[i];

		c->index = i;
		c->fd = -1;
		c->deadline.client = c;
		c->work.client = c;
		c->work.work = true;
	}
	if (make_batch(&l->wire, WIRE_PACKETS, WIRE_BYTES, true) < 0 ||
	    make_batch(&l->inside, INSIDE_PACKETS, INSIDE_BYTES, false) < 0)
		return -ENOMEM;
	return lw_chunk_pool_init(&l->chunks, chunks);
}

int load_init(struct load *l, const struct load_options *o, struct lw_err *err)
{
	int r;

	*l = (struct load){ .o = o, .epfd = -1 };
	l->conf = (struct lw_tunnel_conf){ .role = LW_ROLE_CLIENT,
		                           .outside_mtu = (uint32_t)o->outside_mtu,
		                           .inside_mtu = 1350,
		                           .lane_rotate_us = o->no_expresslane ? 0 : ROTATE_US,
		                           .stale_us = 60 * LW_US_PER_S,
		                           .user = o->user,
		                           .password = o->password,
		                           .keepalive_us = o->keepalive_s * LW_US_PER_S,
		                           .keepalive_timeout_us =
		                                   o->keepalive_timeout_s * LW_US_PER_S };
	l->now_us = lw_clock_us();
	lw_wheel_init(&l->wheel, l->now_us);
	r = make_memory(l);
	if (r == 0 && !o->no_expresslane)
		r = make_lane(l);
	if (r < 0)
		return lw_err_set(err, r, "out of memory");
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0)
		return lw_err_set(err, -errno, "epoll: %s", strerror(errno));
	return o->ca != NULL ? make_tls(l, err) : 0;
}

void load_fini(struct load *l)
{
	for (uint32_t i = 0; l->clients != NULL && i < l->o->clients; i++) {
		lw_tunnel_destroy(l->clients[i].tunnel);
		if (l->clients[i].fd >= 0)
			(void)close(l->clients[i].fd);
	}
	lw_tls_ctx_destroy(l->tls);
	lw_lane_env_fini(&l->lane);
	lw_chunk_pool_fini(&l->chunks);
	free_batch(&l->wire);
	free_batch(&l->inside);
	free(l->clients);
	free(l->read);
	if (l->epfd >= 0)
		(void)close(l->epfd);
}

int load_hello(struct load *l, uint8_t *buf, uint32_t cap)
{
	struct lw_tunnel_start start = { .minor = LW_WIRE_MINOR_MAX,
		                         .pool = &l->chunks,
		                         .counters = &l->counters };
	struct lw_sink k = { .wire = &l->wire, .inside = &l->inside };
	struct lw_tunnel *t;
	int r = lw_tls_create(l->tls, LW_TLS_DGRAM, l->conf.outside_mtu, &start.tls);

	if (r == 0)
		r = lw_tunnel_create(&l->conf, &start, l->now_us, &t);
	if (r != 0)
		return r;
	r = lw_tunnel_begin(t, l->now_us, &k);
	if (r == 0 && (l->wire.n == 0 || l->wire.pkt[0].len > cap))
		r = -EMSGSIZE;
	if (r == 0) {
		r = (int)l->wire.pkt[0].len;
		memcpy(buf, lw_packet_data(&l->wire.pkt[0]), l->wire.pkt[0].len);
	}
	lw_batch_reset(&l->wire);
	lw_tunnel_destroy(t);
	return r;
}

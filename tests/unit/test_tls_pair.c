/* SPDX-License-Identifier: MIT */
#include "unit/test_tls_pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/addr.h"
#include "unit/test.h"

#define HOP_US   1000
#define EPOCH_S  1800000000
#define SECRET_1 "0123456789abcdef0123456789abcdef"

static uint64_t pair_clock_us;

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	(void)tz;
	tv->tv_sec = (time_t)(EPOCH_S + pair_clock_us / 1000000);
	tv->tv_usec = (suseconds_t)(pair_clock_us % 1000000);
	return 0;
}

uint8_t *pair_file(const char *name, size_t *ret_len)
{
	const char *top = getenv("top_srcdir");
	char path[512];
	uint8_t *buf = malloc(PAIR_DGRAM);
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/tests/data/tls/%s", top != NULL ? top : ".", name);
	f = fopen(path, "rb");
	if (f == NULL || buf == NULL)
		fail_msg("cannot read %s", path);
	*ret_len = fread(buf, 1, PAIR_DGRAM, f);
	(void)fclose(f);
	return buf;
}

struct lw_tls_ctx *pair_server_ctx(const char *name)
{
	char file[64];
	struct lw_tls_server_config cfg = { .cert_pem = NULL };
	struct lw_tls_ctx *ctx = NULL;
	struct lw_err err = { .text = "" };
	uint8_t *cert;
	uint8_t *key;

	(void)snprintf(file, sizeof(file), "%s.crt", name);
	cert = pair_file(file, &cfg.cert_len);
	(void)snprintf(file, sizeof(file), "%s.key", name);
	key = pair_file(file, &cfg.key_len);
	cfg.cert_pem = cert;
	cfg.key_pem = key;
	if (lw_tls_ctx_create_server(&cfg, &ctx, &err) != 0)
		fail_msg("%s", err.text);
	free(cert);
	free(key);
	return ctx;
}

struct lw_tls_ctx *pair_client_ctx(const char *ca, const char *name, enum lw_tls_cipher cipher)
{
	struct lw_tls_client_config cfg = { .server_name = name, .cipher = cipher };
	struct lw_tls_ctx *ctx = NULL;
	struct lw_err err = { .text = "" };
	uint8_t *pem = pair_file(ca, &cfg.ca_len);

	cfg.ca_pem = pem;
	if (lw_tls_ctx_create_client(&cfg, &ctx, &err) != 0)
		fail_msg("%s", err.text);
	free(pem);
	return ctx;
}

/* xorshift64* */
uint32_t pair_random(struct pair *p, uint32_t below)
{
	p->rng ^= p->rng >> 12;
	p->rng ^= p->rng << 25;
	p->rng ^= p->rng >> 27;
	return (uint32_t)((p->rng * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

static void enqueue(struct pair *p, int to, const uint8_t *bytes, size_t len)
{
	struct pair_dgram *d = malloc(sizeof(*d));

	assert_non_null(d);
	assert_true(p->n < PAIR_QUEUE);
	assert_true(len <= sizeof(d->bytes));
	d->at_us = p->now_us + HOP_US;
	if (p->net.jitter_us > 0)
		d->at_us += pair_random(p, p->net.jitter_us);
	d->len = len;
	d->to = to;
	memcpy(d->bytes, bytes, len);
	p->queue[p->n++] = d;
}

static bool lost(struct pair_end *e)
{
	struct pair *p = e->pair;

	if (e->drop_next > 0) {
		e->drop_next--;
		return true;
	}
	return e->mute || (p->net.loss_percent > 0 && pair_random(p, 100) < p->net.loss_percent);
}

static void send_copy(struct pair_end *e, const uint8_t *bytes, size_t len)
{
	struct pair *p = e->pair;

	if (p->transport == LW_TLS_DGRAM && lost(e))
		return;
	enqueue(p, !e->side, bytes, len);
	if (p->net.dup_percent > 0 && pair_random(p, 100) < p->net.dup_percent)
		enqueue(p, !e->side, bytes, len);
}

static int out(void *arg, const uint8_t *bytes, size_t len)
{
	struct pair_end *e = arg;
	struct pair *p = e->pair;

	if (e->refuse)
		return -EAGAIN;
	if (e->n_sent < PAIR_SENT) {
		e->sent_us[e->n_sent] = p->now_us;
		e->sent_len[e->n_sent] = len;
	}
	e->n_sent++;
	e->sent_first = bytes[0];
	for (unsigned i = 0; i == 0 || (e->side == PAIR_CLIENT && i < p->net.copies); i++)
		send_copy(e, bytes, len);
	return 0;
}

struct lw_endpoint pair_endpoint(uint32_t n)
{
	struct lw_endpoint e = { .tag = 1 };

	e.remote = lw_addr_ipv4(0x0a000000u | n >> 4, (uint16_t)(1024 + (n & 15)));
	return e;
}

struct pair *pair_open(enum lw_tls_transport transport, struct lw_tls_ctx *server,
                       struct lw_tls_ctx *client, unsigned outside_mtu)
{
	static const uint8_t secret[] = SECRET_1;
	struct pair *p = calloc(1, sizeof(*p));
	struct lw_err err = { .text = "" };

	assert_non_null(p);
	p->transport = transport;
	p->now_us = 1000000;
	p->rng = 1;
	p->from = pair_endpoint(1);
	for (int side = 0; side < 2; side++) {
		p->end[side].pair = p;
		p->end[side].side = side;
		p->end[side].io = (struct lw_tls_io){ .out = out, .arg = &p->end[side] };
	}
	assert_int_equal(lw_tls_create(client, transport, outside_mtu, &p->end[PAIR_CLIENT].tls),
	                 0);
	if (transport == LW_TLS_STREAM)
		assert_int_equal(lw_tls_create(server, transport, 0, &p->end[PAIR_SERVER].tls), 0);
	else if (lw_tls_listener_create(server, secret, NULL, p->now_us, &p->listener, &err) != 0)
		fail_msg("%s", err.text);
	return p;
}

void pair_close(struct pair *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->queue[i]);
	lw_tls_destroy(p->end[PAIR_CLIENT].tls);
	lw_tls_destroy(p->end[PAIR_SERVER].tls);
	lw_tls_listener_destroy(p->listener);
	free(p);
}

void pair_arm(struct pair_end *e)
{
	uint64_t us;

	if (e->tls == NULL || e->tick_us != 0 || e->error != 0)
		return;
	us = lw_tls_timeout_us(e->tls);
	if (us > 0)
		e->tick_us = e->pair->now_us + us;
}

static void step(struct pair_end *e)
{
	int r;

	lw_tls_records_use(e->records);
	r = lw_tls_step(e->tls, &e->io);
	if (r == 1)
		e->done = true;
	else if (r < 0 && r != -EAGAIN)
		e->error = r;
}

static void read_all(struct pair_end *e)
{
	lw_tls_records_use(e->records);
	while (e->error == 0) {
		size_t len = 0;
		int r = lw_tls_read(e->tls, e->got + e->got_len, PAIR_GOT - e->got_len, &len,
		                    &e->io);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			e->error = r;
			return;
		}
		assert_true(len > 0);
		e->got_len += len;
		e->got_last = len;
		e->n_got++;
	}
}

static void deliver(struct pair_end *e, const struct pair_dgram *d)
{
	struct pair *p = e->pair;

	e->io.in = d->bytes;
	e->io.in_len = d->len;
	if (e->tls == NULL && lw_tls_listen(p->listener, &p->from, &e->io, &e->tls) != 1)
		return;
	if (!e->done)
		step(e);
	if (e->done)
		read_all(e);
	if (e->error == 0)
		assert_int_equal(e->io.in_len, 0);
	e->io.in_len = 0;
	pair_arm(e);
}

static void fire(struct pair_end *e)
{
	uint64_t next = 0;
	int r;

	e->tick_us = 0;
	lw_tls_records_use(e->records);
	r = lw_tls_tick(e->tls, &e->io, &next);
	if (r < 0)
		e->error = r;
	else if (next > 0)
		e->tick_us = e->pair->now_us + next;
}

static size_t earliest(const struct pair *p)
{
	size_t best = 0;

	for (size_t i = 1; i < p->n; i++) {
		if (p->queue[i]->at_us < p->queue[best]->at_us)
			best = i;
	}
	return best;
}

static void move_clock(struct pair *p, uint64_t at_us)
{
	p->now_us = at_us;
	pair_clock_us = at_us;
}

/* the next thing that happens, if it happens before the time */
static bool happen(struct pair *p, uint64_t until_us)
{
	size_t i = earliest(p);
	uint64_t at = p->n > 0 ? p->queue[i]->at_us : UINT64_MAX;
	struct pair_end *ticking = NULL;

	for (int side = 0; side < 2; side++) {
		struct pair_end *e = &p->end[side];

		if (e->tick_us != 0 && e->error == 0 && e->tick_us < at) {
			at = e->tick_us;
			ticking = e;
		}
	}
	if (at > until_us || at == UINT64_MAX)
		return false;
	move_clock(p, at);
	if (ticking != NULL) {
		fire(ticking);
	} else {
		struct pair_dgram *d = p->queue[i];

		/* NOLINTNEXTLINE(bugprone-sizeof-expression): the queue is one of pointers */
		memmove(&p->queue[i], &p->queue[i + 1], (p->n - i - 1) * sizeof(*p->queue));
		p->n--;
		if (p->end[d->to].error == 0)
			deliver(&p->end[d->to], d);
		free(d);
	}
	return true;
}

void pair_run(struct pair *p, uint64_t until_us)
{
	while (happen(p, until_us))
		continue;
	if (until_us != UINT64_MAX)
		move_clock(p, until_us);
}

void pair_start(struct pair *p)
{
	if (p->net.seed != 0)
		p->rng = p->net.seed * UINT64_C(0x9e3779b97f4a7c15);
	move_clock(p, p->now_us);
	step(&p->end[PAIR_CLIENT]);
	pair_arm(&p->end[PAIR_CLIENT]);
}

void pair_connect(struct pair *p)
{
	pair_start(p);
	pair_run(p, UINT64_MAX);
	for (int side = 0; side < 2; side++) {
		struct pair_end *e = &p->end[side];

		if (!e->done)
			fail_msg("side %d: not done, error %d: %s", side, e->error,
			         e->tls != NULL ? lw_tls_error(e->tls) : "no session");
	}
}

int pair_send(struct pair *p, int side, const void *data, size_t len)
{
	int r;

	lw_tls_records_use(p->end[side].records);
	r = lw_tls_write(p->end[side].tls, data, len, &p->end[side].io);
	pair_arm(&p->end[side]);
	return r;
}

void pair_ctxs_open(struct pair_ctxs *f, const char *server, const char *ca, const char *name,
                    enum lw_tls_cipher cipher)
{
	f->server = pair_server_ctx(server);
	f->client = pair_client_ctx(ca, name, cipher);
}

void pair_ctxs_close(struct pair_ctxs *f)
{
	lw_tls_ctx_destroy(f->server);
	lw_tls_ctx_destroy(f->client);
}

void pair_exchange(struct pair *p)
{
	for (int side = 0; side < 2; side++) {
		struct pair_end *peer = &p->end[!side];
		size_t before = peer->got_len;

		assert_int_equal(pair_send(p, side, "seven!!", 7), 0);
		pair_run(p, UINT64_MAX);
		assert_int_equal(peer->got_len, before + 7);
		assert_memory_equal(peer->got + before, "seven!!", 7);
	}
}

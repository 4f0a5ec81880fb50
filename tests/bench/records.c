/* SPDX-License-Identifier: MIT */
/*
 * What a record of DTLS and of TLS costs: nanoseconds to write and to read one, in memory, by
 * wolfSSL itself and by each cipher module that is there. All take turns in each round; figures are
 * medians of the rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "module/instance.h"
#include "module/linked.h"
#include "module/loader.h"
#include "tls/listener.h"
#include "tls/records.h"
#include "tls/tls.h"

#define ROUNDS      15u
#define ROUND_NS    6e6 /* writing and reading together */
#define PIECES_MAX  64u
#define WIRE_BYTES  ((size_t)PIECES_MAX * 17000)
#define WARM_UP     256u /* records, until a module has the keys */
#define ENGINES_MAX 8u

static const struct {
	const char *name;
	enum lw_tls_transport transport;
	uint32_t bytes;
	uint32_t batch; /* records written before they are read */
} kinds[] = {
	{ "dtls", LW_TLS_DGRAM, 1350, 64 },
	{ "tls", LW_TLS_STREAM, 1350, 64 },
	{ "tls", LW_TLS_STREAM, 16384, 8 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* what one end has sent: datagrams, or pieces of a stream, behind each other */
struct wire {
	uint8_t *bytes;
	size_t len;
	size_t piece[PIECES_MAX];
	uint32_t n;
};

/* two ends of one session */
struct session {
	struct lw_tls *end[2]; /* client, server */
	struct wire wire[2];
	struct lw_tls_listener *listener;
	double write_ns[ROUNDS];
	double read_ns[ROUNDS];
};

struct engine {
	const char *name;
	struct lw_instance *in; /* NULL: wolfSSL */
	struct lw_tls_records *records;
	struct session session[KINDS];
};

static struct engine engines[ENGINES_MAX];
static uint32_t n_engines;
static struct lw_tls_ctx *server;
static struct lw_tls_ctx *client;

static double now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static _Noreturn void give_up(const char *what, const char *why)
{
	(void)fprintf(stderr, "%s: %s\n", what, why);
	exit(70);
}

/* --- sessions --- */

static int out(void *arg, const uint8_t *p, size_t len)
{
	struct wire *w = arg;

	if (w->n == PIECES_MAX || len > WIRE_BYTES - w->len)
		give_up("wire", "full");
	memcpy(w->bytes + w->len, p, len);
	w->len += len;
	w->piece[w->n++] = len;
	return 0;
}

/* one piece of what the client has sent, where there is no server's end yet */
static void knock(struct session *s, struct lw_tls_io *io)
{
	const struct lw_endpoint from = { .remote = lw_addr_ipv4(0x0a000001u, 1024), .tag = 1 };

	if (s->listener != NULL && s->end[1] == NULL &&
	    lw_tls_listen(s->listener, &from, io, &s->end[1]) < 0)
		give_up("listener", "refuses");
}

/* what the other end has sent */
static void take_step(struct session *s, int side)
{
	struct wire *in = &s->wire[!side];
	const uint8_t *at = in->bytes;
	struct lw_tls_io io = { .out = out, .arg = &s->wire[side] };
	uint32_t n = in->n;

	in->len = 0;
	in->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		io.in = at;
		io.in_len = in->piece[i];
		at += in->piece[i];
		if (side == 1)
			knock(s, &io);
		if (s->end[side] != NULL && lw_tls_step(s->end[side], &io) < 0)
			give_up("handshake", lw_tls_error(s->end[side]));
	}
}

static void shake_hands(struct session *s)
{
	struct lw_tls_io io = { .out = out, .arg = &s->wire[0] };

	(void)lw_tls_step(s->end[0], &io);
	for (int i = 0; i < 10; i++) {
		take_step(s, 1);
		take_step(s, 0);
	}
	if (s->end[1] == NULL || !lw_tls_done(s->end[0]) || !lw_tls_done(s->end[1]))
		give_up("handshake", "not finished");
}

static void open_session(struct session *s, enum lw_tls_transport transport)
{
	static const uint8_t secret[LW_TLS_SECRET_SIZE] = { 1 };
	struct lw_err err = { 0 };

	for (int side = 0; side < 2; side++) {
		s->wire[side].bytes = malloc(WIRE_BYTES);
		if (s->wire[side].bytes == NULL)
			give_up("wire", "out of memory");
	}
	if (lw_tls_create(client, transport, 1500, &s->end[0]) < 0)
		give_up("session", "out of memory");
	if (transport == LW_TLS_DGRAM
	            ? lw_tls_listener_create(server, secret, NULL, 0, &s->listener, &err) < 0
	            : lw_tls_create(server, transport, 1500, &s->end[1]) < 0)
		give_up("session", err.text);
	shake_hands(s);
}

static void close_session(struct session *s)
{
	for (int side = 0; side < 2; side++) {
		lw_tls_destroy(s->end[side]);
		free(s->wire[side].bytes);
	}
	lw_tls_listener_destroy(s->listener);
}

/* --- measuring --- */

static double write_batch(struct session *s, uint32_t bytes, uint32_t n)
{
	static const uint8_t data[LW_TLS_STREAM_RECORD_MAX];
	struct lw_tls_io io = { .out = out, .arg = &s->wire[0] };
	double began = now_ns();

	for (uint32_t i = 0; i < n; i++) {
		if (lw_tls_write(s->end[0], data, bytes, &io) < 0)
			give_up("write", lw_tls_error(s->end[0]));
	}
	return now_ns() - began;
}

static double read_batch(struct session *s, uint32_t bytes, uint32_t n)
{
	static uint8_t data[LW_TLS_STREAM_RECORD_MAX];
	struct wire *w = &s->wire[0];
	const uint8_t *at = w->bytes;
	uint32_t got = 0;
	double began = now_ns();

	for (uint32_t i = 0; i < w->n; i++) {
		struct lw_tls_io io = {
			.in = at, .in_len = w->piece[i], .out = out, .arg = &s->wire[1]
		};
		size_t len;

		at += w->piece[i];
		while (lw_tls_read(s->end[1], data, sizeof(data), &len, &io) == 0)
			got += len == bytes;
	}
	began = now_ns() - began;
	w->len = 0;
	w->n = 0;
	if (got != n)
		give_up("read", lw_tls_error(s->end[1]));
	return began;
}

static void measure(struct engine *e, size_t kind, uint32_t round)
{
	struct session *s = &e->session[kind];
	uint32_t batch = kinds[kind].batch;
	double written = 0;
	double read = 0;
	double n = 0;

	lw_tls_records_use(e->records);
	(void)write_batch(s, kinds[kind].bytes, batch); /* into the cache */
	(void)read_batch(s, kinds[kind].bytes, batch);
	while (written + read < ROUND_NS) {
		written += write_batch(s, kinds[kind].bytes, batch);
		read += read_batch(s, kinds[kind].bytes, batch);
		n += batch;
	}
	s->write_ns[round] = written / n;
	s->read_ns[round] = read / n;
}

static void measure_all(void)
{
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (size_t kind = 0; kind < KINDS; kind++) {
			for (uint32_t i = 0; i < n_engines; i++)
				measure(&engines[i], kind, round);
		}
	}
}

/* --- who takes part --- */

static void open_sessions(struct engine *e)
{
	lw_tls_records_use(e->records);
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct session *s = &e->session[kind];

		open_session(s, kinds[kind].transport);
		for (uint32_t i = 0; i < WARM_UP; i++) {
			(void)write_batch(s, kinds[kind].bytes, 1);
			(void)read_batch(s, kinds[kind].bytes, 1);
		}
	}
}

static int enter(struct engine *e, struct lw_loader *loader, const char *name, struct lw_err *err)
{
	static const struct lw_hooks hooks = { .arg = NULL };
	const struct lw_env env = { .size = sizeof(env), .workers = 1, .inside_mtu = 1350 };
	const struct lw_module *m = NULL;
	int r = lw_loader_get(loader, name, NULL, &m, err);

	if (r == 0)
		r = lw_instance_create(m, NULL, &hooks, 1, &e->in, err);
	if (r == 0)
		r = lw_instance_prepare(e->in, &env, err);
	if (r == 0)
		r = lw_instance_start(e->in, 0, err);
	if (r == 0)
		r = lw_tls_records_create(m->ops.cipher, e->in->inst, &e->in->workers[0],
		                          &e->records, err);
	if (r == 0)
		e->name = m->name + strlen("cipher-");
	return r;
}

static void enter_module(void *arg, const char *name)
{
	struct lw_err err = { 0 };

	/* the one for tests does nothing, and only when its worker runs */
	if (strcmp(name, "cipher-null") == 0 || n_engines == ENGINES_MAX)
		return;
	if (enter(&engines[n_engines++], arg, name, &err) == 0)
		return;
	(void)fprintf(stderr, "no rows of %s: %s\n", name, err.text);
	lw_instance_destroy(engines[--n_engines].in);
	memset(&engines[n_engines], 0, sizeof(engines[0]));
}

static void leave(struct engine *e)
{
	lw_tls_records_use(e->records);
	for (size_t kind = 0; kind < KINDS; kind++)
		close_session(&e->session[kind]);
	lw_tls_records_use(NULL);
	lw_tls_records_destroy(e->records);
	if (e->in != NULL)
		lw_instance_destroy(e->in);
}

static uint8_t *file(const char *name, size_t *ret_len)
{
	const char *top = getenv("top_srcdir");
	uint8_t *buf = malloc(16384);
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/tests/data/tls/%s", top != NULL ? top : ".", name);
	f = fopen(path, "rb");
	if (f == NULL || buf == NULL)
		give_up(path, "cannot be read");
	*ret_len = fread(buf, 1, 16384, f);
	(void)fclose(f);
	return buf;
}

static void make_contexts(void)
{
	struct lw_tls_server_config s = { .cert_pem = NULL };
	struct lw_tls_client_config c = { .cipher = LW_TLS_AES256 };
	struct lw_err err = { 0 };
	uint8_t *cert = file("server.crt", &s.cert_len);
	uint8_t *key = file("server.key", &s.key_len);
	uint8_t *ca = file("ca.crt", &c.ca_len);

	s.cert_pem = cert;
	s.key_pem = key;
	c.ca_pem = ca;
	if (lw_tls_ctx_create_server(&s, &server, &err) < 0 ||
	    lw_tls_ctx_create_client(&c, &client, &err) < 0)
		give_up("context", err.text);
	free(cert);
	free(key);
	free(ca);
}

/* --- what is said --- */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* sorts them */
static double median(double v[ROUNDS])
{
	qsort(v, ROUNDS, sizeof(*v), by_size);
	return v[ROUNDS / 2];
}

static void print_row(struct engine *e, size_t kind, bool json)
{
	double bytes = kinds[kind].bytes;
	double w = median(e->session[kind].write_ns);
	double r = median(e->session[kind].read_ns);

	if (json)
		printf("{\"engine\":\"%s\",\"record\":\"%s\",\"bytes\":%.0f,\"write_ns\":%.1f,"
		       "\"read_ns\":%.1f,\"write_gb_per_s\":%.2f,\"read_gb_per_s\":%.2f}",
		       e->name, kinds[kind].name, bytes, w, r, bytes / w, bytes / r);
	else
		printf("%-10s %-6s %6.0f %9.1f %9.1f %10.2f %10.2f\n", e->name, kinds[kind].name,
		       bytes, w, r, bytes / w, bytes / r);
}

static void print_all(bool json)
{
	struct utsname u;
	const char *comma = "";

	(void)uname(&u);
	if (json)
		printf("{\"machine\":{\"kernel\":\"%s\",\"processors\":%ld},\"rows\":[", u.release,
		       sysconf(_SC_NPROCESSORS_ONLN));
	else
		printf("%-10s %-6s %6s %9s %9s %10s %10s\n", "engine", "record", "bytes",
		       "write ns", "read ns", "write GB/s", "read GB/s");
	for (size_t kind = 0; kind < KINDS; kind++) {
		for (uint32_t i = 0; i < n_engines; i++) {
			if (json)
				printf("%s", comma);
			print_row(&engines[i], kind, json);
			comma = ",";
		}
	}
	if (json)
		printf("]}\n");
}

int main(int argc, char **argv)
{
	const char *dir = getenv("LW_TEST_MODULES");
	struct lw_loader *loader = NULL;
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;

	if (argc > 2 || (argc == 2 && !json)) {
		(void)fprintf(stderr, "usage: %s [--json]\n", argv[0]);
		return 64;
	}
	if (lw_loader_create(dir != NULL ? dir : "modules/.libs", LW_LINKED_MODULES, &loader) < 0)
		return 71;
	make_contexts();
	engines[n_engines++].name = "wolfssl";
	open_sessions(&engines[0]); /* before there is a module: these never ask for one */
	lw_loader_each(loader, "cipher", enter_module, loader);
	for (uint32_t i = 1; i < n_engines; i++)
		open_sessions(&engines[i]);
	measure_all();
	print_all(json);
	while (n_engines > 0)
		leave(&engines[--n_engines]);
	lw_tls_ctx_destroy(server);
	lw_tls_ctx_destroy(client);
	lw_loader_destroy(loader);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * What a cipher of Expresslane costs: nanoseconds for a packet, sealed and opened in place, one by
 * one and in arrays, for each module that is there; beside it a bare loop over the engine's own
 * calls. All take turns in each round; figures are medians of the rounds. Packets lie behind each
 * other as in a run, and all stay in the second cache.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/cipher_bare.h"
#include "module/instance.h"
#include "module/linked.h"
#include "module/loader.h"

#define ROUNDS      15u
#define ROUND_NS    3e6 /* sealing and opening together */
#define BUFFERS     64u
#define BYTES_MAX   8192u
#define BETWEEN     66u /* headers and tag of a datagram */
#define AAD         19u
#define ENGINES_MAX 8u

static const uint32_t sizes[] = { 64, 512, 1350, 8192 };
static const uint32_t arrays[] = { 1, 32 };

#define SIZES  (sizeof(sizes) / sizeof(sizes[0]))
#define ARRAYS (sizeof(arrays) / sizeof(arrays[0]))

/* what is timed: a module's operations, or bare ones */
struct subject {
	const struct lw_cipher_ops *ops; /* NULL: there is none */
	void *inst;
	struct lw_worker *w;
	void *key;
	double seal_ns[SIZES][ARRAYS][ROUNDS];
	double open_ns[SIZES][ARRAYS][ROUNDS];
};

struct engine {
	const char *name;
	struct lw_instance *in;
	struct subject module;
	struct subject bare;
};

static const struct {
	const char *name;
	const struct lw_cipher_ops *ops;
} bares[] = {
#ifdef BENCH_IPSECMB
	{ "ipsecmb", &bare_ipsecmb },
#endif
#ifdef BENCH_OPENSSL
	{ "openssl", &bare_openssl },
#endif
	{ "wolfcrypt", &bare_wolfcrypt },
};

static struct engine engines[ENGINES_MAX];
static uint32_t n_engines;

static struct {
	uint8_t bytes[BUFFERS * (BYTES_MAX + BETWEEN)];
	uint8_t iv[BUFFERS][12];
	uint8_t aad[BUFFERS][AAD];
	uint8_t tag[BUFFERS][16];
	struct lw_cipher_op ops[BUFFERS];
} data;

static double now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* --- measuring --- */

static void lay_out(void *key, uint32_t bytes)
{
	for (uint32_t i = 0; i < BUFFERS; i++) {
		uint8_t *at = data.bytes + (size_t)i * (bytes + BETWEEN);

		data.iv[i][0] = (uint8_t)i;
		data.ops[i] = (struct lw_cipher_op){ .key = key,
			                             .dst = at,
			                             .src = at,
			                             .iv = data.iv[i],
			                             .aad = data.aad[i],
			                             .tag = data.tag[i],
			                             .len = bytes,
			                             .aad_len = AAD };
	}
}

/* all packets once; the time that it takes */
static double run(const struct subject *s, bool seal, uint32_t array)
{
	double began = now_ns();
	int r = 0;

	for (uint32_t i = 0; i < BUFFERS; i += array)
		r |= (seal ? s->ops->seal : s->ops->open)(s->inst, s->w, &data.ops[i], array);
	began = now_ns() - began;
	for (uint32_t i = 0; i < BUFFERS; i++)
		r |= data.ops[i].status;
	if (r != 0)
		abort(); /* what was sealed must open */
	return began;
}

/* What is sealed is opened, and then the same bytes lie there as before. */
static void measure(struct subject *s, size_t size, size_t array, uint32_t round)
{
	double seal = 0;
	double open = 0;
	double packets = 0;

	if (s->ops == NULL)
		return;
	lay_out(s->key, sizes[size]);
	(void)run(s, true, arrays[array]); /* into the cache */
	(void)run(s, false, arrays[array]);
	while (seal + open < ROUND_NS) {
		seal += run(s, true, arrays[array]);
		open += run(s, false, arrays[array]);
		packets += BUFFERS;
	}
	s->seal_ns[size][array][round] = seal / packets;
	s->open_ns[size][array][round] = open / packets;
}

static void measure_all(void)
{
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (size_t size = 0; size < SIZES; size++) {
			for (size_t array = 0; array < ARRAYS; array++) {
				for (uint32_t i = 0; i < n_engines; i++) {
					measure(&engines[i].module, size, array, round);
					measure(&engines[i].bare, size, array, round);
				}
			}
		}
	}
}

/* --- who takes part --- */

static int make_key(struct subject *s)
{
	static const uint8_t key32[32] = { 1, 2, 3 };

	return s->ops != NULL ? s->ops->key_create(s->inst, s->w, key32, &s->key) : 0;
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
	if (r < 0)
		return r;
	e->name = m->name + strlen("cipher-");
	e->module.ops = m->ops.cipher;
	e->module.inst = e->in->inst;
	e->module.w = &e->in->workers[0];
	for (size_t i = 0; i < sizeof(bares) / sizeof(bares[0]); i++) {
		if (strcmp(bares[i].name, e->name) == 0)
			e->bare.ops = bares[i].ops;
	}
	r = make_key(&e->module);
	return r == 0 ? make_key(&e->bare) : r;
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
	e->module.ops->key_destroy(e->module.inst, e->module.w, e->module.key);
	if (e->bare.ops != NULL)
		e->bare.ops->key_destroy(NULL, NULL, e->bare.key);
	lw_instance_destroy(e->in);
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

static void print_row(struct engine *e, size_t size, size_t array, bool json)
{
	double bytes = sizes[size];
	double seal = median(e->module.seal_ns[size][array]);
	double open = median(e->module.open_ns[size][array]);
	double bare_seal = median(e->bare.seal_ns[size][array]);
	double bare_open = median(e->bare.open_ns[size][array]);

	if (json) {
		printf("{\"engine\":\"%s\",\"bytes\":%.0f,\"array\":%u,\"seal_ns\":%.1f,"
		       "\"open_ns\":%.1f,\"seal_gb_per_s\":%.2f,\"open_gb_per_s\":%.2f",
		       e->name, bytes, arrays[array], seal, open, bytes / seal, bytes / open);
		if (e->bare.ops != NULL)
			printf(",\"bare_seal_ns\":%.1f,\"bare_open_ns\":%.1f", bare_seal,
			       bare_open);
		printf("}");
		return;
	}
	printf("%-10s %6.0f %6u %9.1f %9.1f %10.2f %10.2f", e->name, bytes, arrays[array], seal,
	       open, bytes / seal, bytes / open);
	if (e->bare.ops != NULL)
		printf(" %9.1f %9.1f %7.0f%% %7.0f%%", bare_seal, bare_open, 100 * bare_seal / seal,
		       100 * bare_open / open);
	printf("\n");
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
		printf("%-10s %6s %6s %9s %9s %10s %10s %9s %9s %8s %8s\n", "engine", "bytes",
		       "array", "seal ns", "open ns", "seal GB/s", "open GB/s", "bare seal",
		       "bare open", "of bare", "of bare");
	for (size_t size = 0; size < SIZES; size++) {
		for (size_t array = 0; array < ARRAYS; array++) {
			for (uint32_t i = 0; i < n_engines; i++) {
				if (json)
					printf("%s", comma);
				print_row(&engines[i], size, array, json);
				comma = ",";
			}
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
	lw_loader_each(loader, "cipher", enter_module, loader);
	measure_all();
	print_all(json);
	while (n_engines > 0)
		leave(&engines[--n_engines]);
	lw_loader_destroy(loader);
	return 0;
}

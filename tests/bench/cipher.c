/* SPDX-License-Identifier: MIT */
/*
 * What a cipher of Expresslane costs: nanoseconds for a packet, sealed in place and opened out of
 * place, one by one and in arrays, for each module that is there; beside it a bare loop over the
 * calls of wolfCrypt. Best of several rounds; 48 buffers in turn, which stay in the second cache.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wredundant-decls"
/* clang-format off */
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
/* clang-format on */
#pragma GCC diagnostic pop

#include "module/instance.h"
#include "module/linked.h"
#include "module/loader.h"

#define ROUNDS   15
#define ROUND_NS 4e6
#define BUFFERS  48u
#define BYTES    8192u
#define AAD      18

static bool json;
static bool any_row;

/* a cipher to be measured, through its module or bare */
struct engine {
	const char *name;
	const struct lw_cipher_ops *ops;
	void *inst;
	struct lw_worker *w;
};

static const uint8_t key32[32] = { 1, 2, 3 };

static double now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void print_row(const char *engine, uint32_t bytes, uint32_t array, double seal, double open)
{
	if (json)
		printf("%s{\"engine\":\"%s\",\"bytes\":%u,\"array\":%u,\"seal_ns\":%.1f,"
		       "\"open_ns\":%.1f}",
		       any_row ? "," : "", engine, bytes, array, seal, open);
	else
		printf("%-16s %6u %6u %9.1f %9.1f %10.2f %10.2f\n", engine, bytes, array, seal,
		       open, bytes / seal, bytes / open);
	any_row = true;
}

static void print_head(void)
{
	struct utsname u;

	if (!json) {
		printf("%-16s %6s %6s %9s %9s %10s %10s\n", "engine", "bytes", "array", "seal ns",
		       "open ns", "seal GB/s", "open GB/s");
		return;
	}
	(void)uname(&u);
	printf("{\"machine\":{\"kernel\":\"%s\",\"processors\":%ld},\"rows\":[", u.release,
	       sysconf(_SC_NPROCESSORS_ONLN));
}

/* --- the bare loop --- */

static int bare_create(void *inst, struct lw_worker *w, const uint8_t *key, void **ret)
{
	static Aes aes; /* aligned as the library wants it */

	(void)inst;
	(void)w;
	*ret = &aes;
	return wc_AesInit(&aes, NULL, INVALID_DEVID) == 0 && wc_AesGcmSetKey(&aes, key, 32) == 0
	               ? 0
	               : -EIO;
}

static void bare_destroy(void *inst, struct lw_worker *w, void *key)
{
	(void)inst;
	(void)w;
	wc_AesFree(key);
}

static int bare_seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	int r = 0;

	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++)
		r |= wc_AesGcmEncrypt(ops[i].key, ops[i].dst, ops[i].src, ops[i].len, ops[i].iv, 12,
		                      ops[i].tag, 16, ops[i].aad, AAD);
	return r;
}

static int bare_open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	int r = 0;

	(void)inst;
	(void)w;
	for (uint32_t i = 0; i < n; i++)
		r |= wc_AesGcmDecrypt(ops[i].key, ops[i].dst, ops[i].src, ops[i].len, ops[i].iv, 12,
		                      ops[i].tag, 16, ops[i].aad, AAD);
	return r;
}

static const struct lw_cipher_ops bare = { .size = sizeof(bare),
	                                   .key_create = bare_create,
	                                   .key_destroy = bare_destroy,
	                                   .seal = bare_seal,
	                                   .open = bare_open };

/* --- measuring --- */

static struct {
	uint8_t in[BUFFERS][BYTES];
	uint8_t out[BUFFERS][BYTES];
	uint8_t iv[BUFFERS][12];
	uint8_t aad[BUFFERS][AAD];
	uint8_t tag[BUFFERS][16];
	struct lw_cipher_op ops[BUFFERS];
} data;

static void make_ops(void *key, uint32_t bytes, bool in_place)
{
	for (uint32_t i = 0; i < BUFFERS; i++) {
		data.iv[i][0] = (uint8_t)i;
		data.ops[i] = (struct lw_cipher_op){ .key = key,
			                             .dst = in_place ? data.in[i] : data.out[i],
			                             .src = data.in[i],
			                             .iv = data.iv[i],
			                             .aad = data.aad[i],
			                             .tag = data.tag[i],
			                             .len = bytes,
			                             .aad_len = AAD };
	}
}

static double time_ops(const struct engine *e, bool seal, uint32_t array)
{
	int (*run)(void *, struct lw_worker *, struct lw_cipher_op *, uint32_t) =
		seal ? e->ops->seal : e->ops->open;
	double best = 1e18;

	for (int r = 0; r < ROUNDS; r++) {
		double began = now_ns();
		double took;
		uint64_t n = 0;

		do {
			for (uint32_t i = 0; i + array <= BUFFERS; i += array)
				if (run(e->inst, e->w, &data.ops[i], array) != 0)
					abort();
			n += BUFFERS - BUFFERS % array;
			took = now_ns() - began;
		} while (took < ROUND_NS);
		best = took / (double)n < best ? took / (double)n : best;
	}
	return best;
}

static void bench_engine(const struct engine *e)
{
	static const uint32_t sizes[] = { 64, 512, 1350, 8192 };
	static const uint32_t arrays[] = { 1, 32 };
	void *key = NULL;

	if (e->ops->key_create(e->inst, e->w, key32, &key) < 0)
		abort();
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (size_t a = 0; a < sizeof(arrays) / sizeof(arrays[0]); a++) {
			double seal, open;

			make_ops(key, sizes[s], true);
			seal = time_ops(e, true, arrays[a]);
			/* what is opened has been sealed once, all of it */
			if (e->ops->seal(e->inst, e->w, data.ops, BUFFERS) != 0)
				abort();
			make_ops(key, sizes[s], false);
			open = time_ops(e, false, arrays[a]);
			for (uint32_t i = 0; i < BUFFERS; i++) {
				if (e->ops != &bare && data.ops[i].status != 0 &&
				    i < BUFFERS - BUFFERS % arrays[a])
					abort();
			}
			print_row(e->name, sizes[s], arrays[a], seal, open);
		}
	}
	e->ops->key_destroy(e->inst, e->w, key);
}

static void bench_module(void *arg, const char *name)
{
	struct lw_loader *loader = arg;
	const struct lw_hooks hooks = { .arg = NULL };
	const struct lw_env env = { .size = sizeof(env), .workers = 1, .inside_mtu = 1350 };
	const struct lw_module *m = NULL;
	struct lw_instance *in = NULL;
	struct lw_err err = { 0 };
	int r = lw_loader_get(loader, name, NULL, &m, &err);

	if (r == 0)
		r = lw_instance_create(m, NULL, &hooks, 1, &in, &err);
	if (r == 0)
		r = lw_instance_prepare(in, &env, &err);
	if (r == 0)
		r = lw_instance_start(in, 0, &err);
	if (r < 0 || in == NULL) {
		(void)fprintf(stderr, "no row of %s: %s\n", name, err.text);
	} else {
		const struct engine e = { .name = name + strlen("cipher-"),
			                  .ops = m->ops.cipher,
			                  .inst = in->inst,
			                  .w = &in->workers[0] };

		bench_engine(&e);
	}
	lw_instance_destroy(in);
}

int main(int argc, char **argv)
{
	const char *dir = getenv("LW_TEST_MODULES");
	const struct engine loop = { .name = "wolfcrypt, bare", .ops = &bare };
	struct lw_loader *loader = NULL;

	json = argc > 1 && strcmp(argv[1], "--json") == 0;
	if (argc > 2 || (argc == 2 && !json)) {
		(void)fprintf(stderr, "usage: %s [--json]\n", argv[0]);
		return 64;
	}
	if (lw_loader_create(dir != NULL ? dir : "modules/.libs", LW_LINKED_MODULES, &loader) < 0)
		return 71;
	print_head();
	lw_loader_each(loader, "cipher", bench_module, loader);
	bench_engine(&loop);
	if (json)
		printf("]}\n");
	lw_loader_destroy(loader);
	return 0;
}

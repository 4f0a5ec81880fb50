/* SPDX-License-Identifier: MIT */
/*
 * What core/packet costs: checksums, segments, coalescing. Each figure is the best of several
 * rounds, since whatever else runs on the machine only makes it worse. Data is in the cache, as it
 * is behind a read or a decryption.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "packet/checksum_impl.h"
#include "packet/coalesce.h"
#include "packet/segment.h"
#include "ref/packet_ref.h"

#define ROUNDS    15
#define ROUND_NS  5e6
#define BATCH_MAX 64

static bool json;
static bool any_row;
static volatile uint32_t sink; /* so that no work is left out */

static double now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* one operation on `bytes` bytes, or per packet of so many */
static void print_row(const char *operation, const char *variant, size_t bytes, double ns)
{
	if (json)
		printf("%s{\"operation\":\"%s\",\"variant\":\"%s\",\"bytes\":%zu,\"ns\":%.2f,"
		       "\"gb_per_s\":%.2f}",
		       any_row ? "," : "", operation, variant, bytes, ns, (double)bytes / ns);
	else
		printf("%-16s %-22s %7zu %9.1f %8.1f\n", operation, variant, bytes, ns,
		       (double)bytes / ns);
	any_row = true;
}

static void print_head(void)
{
	struct utsname u;

	if (!json) {
		printf("%-16s %-22s %7s %9s %8s\n", "operation", "variant", "bytes", "ns", "GB/s");
		return;
	}
	(void)uname(&u);
	printf("{\"machine\":{\"kernel\":\"%s\",\"processors\":%ld},\"rows\":[", u.release,
	       sysconf(_SC_NPROCESSORS_ONLN));
}

/* --- checksums --- */

struct block {
	const struct lw_csum_impl *impl; /* NULL: memcpy */
	uint8_t *dst;                    /* NULL: sum only */
	const uint8_t *src;
	size_t len;
};

static void run_block(const struct block *b)
{
	if (b->impl == NULL)
		memcpy(b->dst, b->src, b->len);
	else if (b->dst != NULL)
		sink = b->impl->copy(b->dst, b->src, b->len);
	else
		sink = b->impl->sum(b->src, b->len);
	__asm__ volatile("" ::: "memory");
}

static double time_block(const struct block *b)
{
	uint32_t times = (uint32_t)(ROUND_NS / (20 + (double)b->len / 20));
	double best = 1e18;

	for (int r = 0; r < ROUNDS; r++) {
		double began = now_ns();

		for (uint32_t i = 0; i < times; i++)
			run_block(b);
		began = (now_ns() - began) / times;
		best = began < best ? began : best;
	}
	return best;
}

static void bench_checksum(void)
{
	static const size_t lengths[] = { 40, 576, 1348, 65535 };
	static uint8_t src[65664] __attribute__((aligned(64)));
	static uint8_t dst[65664] __attribute__((aligned(64)));

	memset(src, 0x5a, sizeof(src));
	for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
		/* aligned as payloads are, behind 56 bytes of headroom and 40 of headers */
		struct block b = { .src = src + 96, .dst = dst + 96, .len = lengths[l] };

		print_row("copy", "memcpy", b.len, time_block(&b));
		for (size_t i = 0; (b.impl = lw_csum_impl_get(i)) != NULL; i++) {
			b.dst = NULL;
			print_row("checksum", b.impl->name, b.len, time_block(&b));
			b.dst = dst + 96;
			print_row("checksum+copy", b.impl->name, b.len, time_block(&b));
		}
	}
}

/* --- segments --- */

/* ns for each segment; stride: where the next begins, 0: exposed in place */
static double time_segments(struct lw_packet *p, const uint8_t *original, uint32_t stride)
{
	static uint8_t out[BATCH_MAX * 2048];
	double best = 1e18;

	for (int r = 0; r < ROUNDS * 20; r++) {
		struct lw_seg g;
		double took;
		uint32_t len = 0;

		memcpy(p->buf, original, p->len);
		took = now_ns();
		if (lw_seg_init(&g, p) < 0)
			abort();
		while (g.next < g.count) {
			if (stride == 0)
				sink = *lw_seg_expose(&g, &len);
			else
				sink = lw_seg_copy(&g, out + (size_t)g.next * stride + 56, stride);
		}
		took = (now_ns() - took) / g.count;
		best = took < best ? took : best;
	}
	return best;
}

static void bench_segment(void)
{
	static const struct {
		const char *name;
		struct ref_super super;
	} kinds[] = {
		{ "tcp4", { LW_GSO_TCP4, .tcp_options = 12, .gso_size = 1348, .payload = 64704 } },
		{ "tcp6",
		  { LW_GSO_TCP6, true, .tcp_options = 12, .gso_size = 1328, .payload = 63744 } },
		{ "udp4", { LW_GSO_UDP, .gso_size = 1372, .payload = 64484 } },
		{ "tcp4, 100 bytes", { LW_GSO_TCP4, .gso_size = 100, .payload = 6000 } },
	};
	static uint8_t bytes[REF_SUPER_MAX];
	static uint8_t original[REF_SUPER_MAX];
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint32_t size = kinds[i].super.gso_size;
		struct lw_packet p;

		ref_make_super(&seed, &kinds[i].super, bytes, &p);
		memcpy(original, bytes, p.len);
		print_row("segment copy", kinds[i].name, size, time_segments(&p, original, 1472));
		print_row("segment expose", kinds[i].name, size, time_segments(&p, original, 0));
	}
}

/* --- coalescing --- */

struct load {
	const char *name;
	struct ref_packet packet;
	uint32_t flows;
	uint16_t flags;
	bool apart; /* nothing is merged */
};

static uint8_t blocks[BATCH_MAX][2048];
static uint8_t pristine[BATCH_MAX][128];

static void make_batch(const struct load *l, struct lw_packet *pkt, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct ref_packet p = l->packet;

		p.flow = (uint8_t)(i % l->flows);
		p.id = (uint16_t)(i / l->flows);
		p.seq = i / l->flows * (p.payload + l->apart);
		pkt[i] = (struct lw_packet){
			.buf = blocks[i], .cap = 2048, .off = 56, .flags = l->flags
		};
		pkt[i].len = ref_make_packet(&p, blocks[i] + 56);
		memcpy(pristine[i], blocks[i] + 56, sizeof(pristine[i]));
	}
}

static double time_coalesce(struct lw_coalesce *c, const struct load *l)
{
	static struct lw_packet before[BATCH_MAX];
	static struct lw_packet pkt[BATCH_MAX];
	uint32_t n = 48;
	double best = 1e18;

	make_batch(l, before, n);
	for (int r = 0; r < ROUNDS * 20; r++) {
		struct lw_batch b = { .pkt = pkt, .cap = n, .n = n };
		double took;

		memcpy(pkt, before, sizeof(pkt));
		for (uint32_t i = 0; i < n; i++)
			memcpy(blocks[i] + 56, pristine[i], sizeof(pristine[i]));
		took = now_ns();
		lw_coalesce_batch(c, &b, LW_COALESCE_TCP4 | LW_COALESCE_TCP6 | LW_COALESCE_UDP);
		took = (now_ns() - took) / n;
		best = took < best ? took : best;
		assert(b.n == (l->apart ? n : l->flows));
	}
	return best;
}

static void bench_coalesce(void)
{
	static const struct ref_packet tcp4 = {
		.ttl = 64, .flags = 0x10, .fragment = 0x4000, .stamp = 7, .payload = 1348
	};
	static const struct ref_packet tcp6 = {
		.v6 = true, .ttl = 64, .flags = 0x10, .stamp = 7, .payload = 1328
	};
	static const struct ref_packet udp4 = { .udp = true, .ttl = 64, .payload = 1350 };
	static const struct ref_packet small = { .ttl = 64, .flags = 0x10, .payload = 100 };
	const struct load loads[] = {
		{ "tcp4", tcp4, 1, 0, false },
		{ "tcp4, 16 flows", tcp4, 16, 0, false },
		{ "tcp4, known good", tcp4, 1, LW_PKT_CSUM_GOOD, false },
		{ "tcp4, nothing merges", tcp4, 1, 0, true },
		{ "tcp6", tcp6, 1, 0, false },
		{ "udp4", udp4, 1, 0, false },
		{ "tcp4, 100 bytes", small, 1, 0, false },
	};
	const struct lw_coalesce_conf conf = { .packets = BATCH_MAX };
	struct lw_coalesce *c = NULL;

	if (lw_coalesce_create(&conf, &c) < 0)
		abort();
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		print_row("coalesce", loads[i].name, loads[i].packet.payload,
		          time_coalesce(c, &loads[i]));
	lw_coalesce_destroy(c);
}

int main(int argc, char **argv)
{
	json = argc > 1 && strcmp(argv[1], "--json") == 0;
	if (argc > 2 || (argc == 2 && !json)) {
		(void)fprintf(stderr, "usage: %s [--json]\n", argv[0]);
		return 64;
	}
	print_head();
	bench_checksum();
	bench_segment();
	bench_coalesce();
	if (json)
		printf("]}\n");
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Random streams through the coalescer: whatever goes in comes out, and clean streams get merged.
 */
#include "test.h"

#include "packet/segment.h"
#include "ref/coalesce_case.h"
#include "ref/packet_stream.h"

static uint64_t seed = 0x636f616c;
static struct lw_coalesce *plain;
static struct coalesce_case t;

static int create_plain(void **state)
{
	const struct lw_coalesce_conf conf = { .packets = COALESCE_MAX };

	(void)state;
	return lw_coalesce_create(&conf, &plain);
}

static int destroy_plain(void **state)
{
	(void)state;
	lw_coalesce_destroy(plain);
	return 0;
}

static uint32_t run_stream(struct lw_coalesce *c, uint32_t max_segs, uint32_t max_bytes)
{
	const struct ref_stream stream = {
		.flows = 1 + ref_below(&seed, REF_STREAM_FLOWS),
		.packets = 1 + ref_below(&seed, 150),
		.trouble = ref_below(&seed, 3) == 0 ? 500 : 5 + ref_below(&seed, 50),
		.tcp = true,
		.udp = true,
	};
	uint32_t saved;

	coalesce_empty(&t);
	ref_stream_fill(&stream, &seed, &t);
	lw_coalesce_batch(c, &t.b, COALESCE_ALL);
	saved = t.n_in - t.b.n;
	coalesce_check(&t, max_segs, max_bytes);
	coalesce_undone(&t);
	coalesce_free(&t);
	return saved;
}

static void streams__random_troubles__lose_nothing(void **state)
{
	uint64_t saved = 0;

	(void)state;
	for (int i = 0; i < 2000; i++)
		saved += run_stream(plain, LW_COALESCE_SEGS, LW_COALESCE_BYTES_MAX);
	assert_true(saved > 50000); /* of about 150,000 */
}

static void streams__random_limits__are_kept(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++) {
		const struct lw_coalesce_conf conf = {
			.packets = 200,
			.max_segs = 1 + ref_below(&seed, 100),
			.max_bytes = 1500 + ref_below(&seed, 64036),
		};
		struct lw_coalesce *c = NULL;

		assert_int_equal(lw_coalesce_create(&conf, &c), 0);
		(void)run_stream(c, conf.max_segs, conf.max_bytes);
		lw_coalesce_destroy(c);
	}
}

static void streams__interleaved_flows__are_merged_whole(void **state)
{
	struct ref_packet flows[48];
	uint32_t groups[49] = { 0 };

	(void)state;
	coalesce_empty(&t);
	for (uint8_t i = 0; i < 48; i++) {
		flows[i] = ref_stream_flow(&seed, coalesce_kinds[i % COALESCE_KINDS], i);
		flows[i].payload = 500;
		groups[i] = 20;
	}
	for (uint32_t i = 0; i < 48 * 20; i++) {
		(void)coalesce_make(&t, &flows[i % 48]);
		flows[i % 48] = coalesce_next(&flows[i % 48]);
	}
	coalesce_expect(&t, plain, COALESCE_ALL, groups);
}

/* more flows than the table holds, each twice: some are merged, none is mixed up */
static void streams__more_flows_than_fit__stay_whole(void **state)
{
	(void)state;
	coalesce_empty(&t);
	for (uint32_t pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < COALESCE_MAX / 2; i++) {
			struct ref_packet p = *coalesce_kinds[(i + i / 256) % COALESCE_KINDS];

			p.flow = (uint8_t)i;
			if (pass > 0)
				p = coalesce_next(&p);
			(void)coalesce_make(&t, &p);
		}
	}
	lw_coalesce_batch(plain, &t.b, COALESCE_ALL);
	assert_in_range(t.b.n, COALESCE_MAX / 2, COALESCE_MAX - 100);
	coalesce_check(&t, LW_COALESCE_SEGS, LW_COALESCE_BYTES_MAX);
	coalesce_undone(&t);
	coalesce_free(&t);
}

/* --- the segmenter backwards --- */

/* whether the coalescer would have made it */
static bool is_of_ours(const struct ref_super *s, uint8_t *bytes, struct lw_packet *p)
{
	uint32_t l4 = p->csum_start;

	if (s->ip_options > 0)
		return false;
	if (s->gso_type != LW_GSO_UDP) {
		bytes[l4 + 12] &= 0xf0;
		bytes[l4 + 13] = (uint8_t)(0x10 | (bytes[l4 + 13] & 0x49));
	}
	ref_finish(bytes, p->len, true);
	return true;
}

static void split__then_merged__is_the_superpacket(void **state)
{
	static uint8_t bytes[REF_SUPER_MAX];
	static uint8_t merged[REF_SUPER_MAX];
	uint32_t done = 0;

	(void)state;
	while (done < 1000) {
		struct ref_super s = ref_draw_super(&seed, LW_COALESCE_SEGS);
		struct lw_packet p;
		struct lw_seg g;

		ref_make_super(&seed, &s, bytes, &p);
		if (!is_of_ours(&s, bytes, &p) || lw_seg_init(&g, &p) < 0 || g.count == 1)
			continue;
		coalesce_empty(&t);
		while (g.next < g.count) {
			uint8_t segment[2048];

			(void)coalesce_add(&t, segment, lw_seg_copy(&g, segment, sizeof(segment)));
		}
		lw_coalesce_batch(plain, &t.b, COALESCE_ALL);
		assert_int_equal(t.b.n, 1);
		assert_int_equal(coalesce_linear(&t.pkt[0], merged), p.len);
		assert_memory_equal(merged, bytes, p.len);
		assert_int_equal(t.pkt[0].gso_size, p.gso_size);
		assert_int_equal(t.pkt[0].gso_type, p.gso_type);
		assert_int_equal(t.pkt[0].csum_start, p.csum_start);
		assert_int_equal(t.pkt[0].csum_off, p.csum_off);
		coalesce_free(&t);
		done++;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams__random_troubles__lose_nothing),
		cmocka_unit_test(streams__random_limits__are_kept),
		cmocka_unit_test(streams__interleaved_flows__are_merged_whole),
		cmocka_unit_test(streams__more_flows_than_fit__stay_whole),
		cmocka_unit_test(split__then_merged__is_the_superpacket),
	};

	return cmocka_run_group_tests(tests, create_plain, destroy_plain);
}

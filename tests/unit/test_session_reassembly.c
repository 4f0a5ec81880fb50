/* SPDX-License-Identifier: MIT */
/* core/session/reassembly.c alone: wire.md 2.8, "Reassembly". */
#include "session/reassembly.h"

#include <errno.h>

#include "unit/test.h"

#define MORE true
#define LAST false

/* byte n of packet id */
static uint8_t byte_of(uint16_t id, size_t n)
{
	return (uint8_t)(id + n * 13 + n / 256);
}

static int add_len(struct lw_reassembly *r, uint16_t id, size_t offset, size_t len, bool more,
                   size_t *ret_len)
{
	static uint8_t data[UINT16_MAX];
	const struct lw_frame_frag f = {
		.id = id, .offset = (uint16_t)offset, .more = more, .data = { data, len }
	};
	const uint8_t *packet = NULL;
	size_t total = 0;
	int ret;

	for (size_t i = 0; i < len; i++)
		data[i] = byte_of(id, offset + i);
	ret = lw_reassembly_add(r, &f, &packet, &total);
	if (ret == 1) {
		for (size_t i = 0; i < total; i++) {
			if (packet[i] != byte_of(id, i))
				fail_msg("id %u, byte %zu of %zu", id, i, total);
		}
	}
	if (ret_len != NULL)
		*ret_len = total;
	return ret;
}

static int add(struct lw_reassembly *r, uint16_t id, size_t offset, size_t len, bool more)
{
	return add_len(r, id, offset, len, more, NULL);
}

static struct lw_reassembly *create(void)
{
	struct lw_reassembly *r = lw_reassembly_create();

	assert_non_null(r);
	return r;
}

/* The packet is forgotten: what was there before and what follows is not enough for it. */
static void check_forgotten(struct lw_reassembly *r, uint16_t id)
{
	size_t len;

	assert_int_equal(add(r, id, 800, 8, LAST), 0);
	assert_int_equal(add_len(r, id, 0, 800, MORE, &len), 1);
	assert_int_equal(len, 808);
}

static void complete__one_fragment__at_once(void **state)
{
	static const size_t sizes[] = {
		1, 7, 8, 9, 1240, LW_REASSEMBLY_BYTES - 1, LW_REASSEMBLY_BYTES
	};
	struct lw_reassembly *r = create();

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t len;

		assert_int_equal(add_len(r, (uint16_t)i, 0, sizes[i], LAST, &len), 1);
		assert_int_equal(len, sizes[i]);
	}
	lw_reassembly_destroy(r);
}

/* the example of wire.md 2.8: 1400 bytes at PLPMTU 1250 */
static void complete__two_fragments__in_either_order(void **state)
{
	struct lw_reassembly *r = create();
	size_t len;

	(void)state;
	assert_int_equal(add(r, 1, 0, 1240, MORE), 0);
	assert_int_equal(add_len(r, 1, 1240, 160, LAST, &len), 1);
	assert_int_equal(len, 1400);
	assert_int_equal(add(r, 2, 1240, 160, LAST), 0);
	assert_int_equal(add_len(r, 2, 0, 1240, MORE, &len), 1);
	assert_int_equal(len, 1400);
	/* the same id again is another packet */
	assert_int_equal(add(r, 2, 0, 8, MORE), 0);
	assert_int_equal(add_len(r, 2, 8, 1, LAST, &len), 1);
	assert_int_equal(len, 9);
	lw_reassembly_destroy(r);
}

/* all 720 orders of six fragments of different sizes */
static void complete__every_order__same_packet(void **state)
{
	static const size_t starts[] = { 0, 8, 256, 264, 1264, 9000, 9216 };
	struct lw_reassembly *r = create();
	unsigned orders = 0;

	(void)state;
	for (unsigned code = 0; code < 6 * 6 * 6 * 6 * 6 * 6; code++) {
		unsigned digits = code;
		unsigned seen = 0;
		int order[6];
		size_t len = 0;

		for (int i = 0; i < 6; i++, digits /= 6) {
			order[i] = (int)(digits % 6);
			seen |= 1u << order[i];
		}
		if (seen != 0x3f)
			continue;
		orders++;
		for (int i = 0; i < 6; i++) {
			int f = order[i];

			assert_int_equal(add_len(r, (uint16_t)orders, starts[f],
			                         starts[f + 1] - starts[f], f < 5, &len),
			                 i == 5);
		}
		assert_int_equal(len, 9216);
	}
	assert_int_equal(orders, 720);
	lw_reassembly_destroy(r);
}

static void complete__four_packets_interleaved__each_its_own(void **state)
{
	struct lw_reassembly *r = create();

	(void)state;
	for (uint16_t id = 0; id < 4; id++)
		assert_int_equal(add(r, (uint16_t)(0xfffe + id), 16, 5, LAST), 0);
	for (uint16_t id = 0; id < 4; id++)
		assert_int_equal(add(r, (uint16_t)(0xfffe + id), 8, 8, MORE), 0);
	for (uint16_t id = 4; id-- > 0;) {
		size_t len;

		assert_int_equal(add_len(r, (uint16_t)(0xfffe + id), 0, 8, MORE, &len), 1);
		assert_int_equal(len, 21);
	}
	lw_reassembly_destroy(r);
}

/* --- what drops the whole packet --- */

struct piece {
	uint16_t offset;
	uint16_t len;
	bool more;
};

static const struct {
	const char *what;
	struct piece good[3]; /* up to one of no bytes */
	struct piece bad;
} rejected[] = {
	{ "empty, first", { { 0 } }, { 0, 0, MORE } },
	{ "empty, last", { { 0, 8, MORE } }, { 8, 0, LAST } },
	{ "duplicate of the first", { { 0, 16, MORE } }, { 0, 16, MORE } },
	{ "duplicate of the last", { { 800, 5, LAST } }, { 800, 5, LAST } },
	{ "overlap, left", { { 16, 16, MORE } }, { 8, 16, MORE } },
	{ "overlap, right", { { 16, 16, MORE } }, { 24, 16, MORE } },
	{ "overlap, inside", { { 0, 64, MORE } }, { 16, 8, MORE } },
	{ "overlap, around", { { 16, 8, MORE } }, { 0, 64, MORE } },
	{ "overlap, one unit in two", { { 0, 8, MORE }, { 16, 8, MORE } }, { 8, 16, MORE } },
	{ "overlap of a ragged last one", { { 16, 3, LAST } }, { 8, 16, MORE } },
	{ "data after the last", { { 16, 8, LAST } }, { 24, 8, MORE } },
	{ "data after the last, far", { { 16, 8, LAST } }, { 4000, 8, MORE } },
	{ "data beyond a ragged last", { { 16, 3, LAST } }, { 0, 24, MORE } },
	{ "second last, behind", { { 16, 8, LAST } }, { 24, 8, LAST } },
	{ "second last, before", { { 16, 8, LAST } }, { 0, 8, LAST } },
	{ "last directly before data", { { 16, 8, MORE } }, { 8, 8, LAST } },
	{ "last far before data", { { 800, 8, MORE } }, { 0, 8, LAST } },
	{ "last before data that is not the newest",
	  { { 16, 8, MORE }, { 0, 8, MORE } },
	  { 8, 8, LAST } },
	{ "last as long as the data", { { 8, 8, MORE } }, { 0, 16, LAST } },
	{ "ragged and not last", { { 0 } }, { 0, 9, MORE } },
	{ "ragged and not last, second", { { 0, 8, MORE } }, { 8, 7, MORE } },
	{ "beyond what is put together", { { 0, 8, MORE } }, { LW_REASSEMBLY_BYTES, 8, LAST } },
	{ "end beyond it", { { 0, 8, MORE } }, { LW_REASSEMBLY_BYTES - 8, 9, LAST } },
	{ "end beyond it, more", { { 0, 8, MORE } }, { LW_REASSEMBLY_BYTES - 8, 16, MORE } },
	{ "highest offset", { { 0, 8, MORE } }, { 65528, 8, LAST } },
	{ "longest fragment", { { 0, 8, MORE } }, { 8, 65535, LAST } },
};

static void reject__every_kind__packet_forgotten(void **state)
{
	struct lw_reassembly *r = create();

	(void)state;
	for (size_t i = 0; i < sizeof(rejected) / sizeof(rejected[0]); i++) {
		const struct piece *bad = &rejected[i].bad;
		uint16_t id = (uint16_t)(i + 1);

		print_message("%s\n", rejected[i].what);
		for (int j = 0; j < 3 && rejected[i].good[j].len > 0; j++) {
			const struct piece *g = &rejected[i].good[j];

			assert_int_equal(add(r, id, g->offset, g->len, g->more), 0);
		}
		assert_int_equal(add(r, id, bad->offset, bad->len, bad->more), -EBADMSG);
		check_forgotten(r, id);
	}
	lw_reassembly_destroy(r);
}

static void reject__one_packet__others_stay(void **state)
{
	struct lw_reassembly *r = create();

	(void)state;
	for (uint16_t id = 1; id <= 4; id++)
		assert_int_equal(add(r, id, 0, 8, MORE), 0);
	assert_int_equal(add(r, 3, 0, 8, MORE), -EBADMSG);
	assert_int_equal(add(r, 1, 8, 8, LAST), 1);
	assert_int_equal(add(r, 2, 8, 8, LAST), 1);
	assert_int_equal(add(r, 4, 8, 8, LAST), 1);
	assert_int_equal(add(r, 3, 8, 8, LAST), 0); /* its first part is gone */
	lw_reassembly_destroy(r);
}

/* --- more packets than slots --- */

static void evict__fifth_packet__pushes_out_the_least_recently_touched(void **state)
{
	(void)state;
	for (uint16_t oldest = 1; oldest <= 4; oldest++) {
		struct lw_reassembly *r = create();

		for (uint16_t id = 1; id <= 4; id++)
			assert_int_equal(add(r, id, 0, 8, MORE), 0);
		for (uint16_t id = 1; id <= 4; id++) {
			if (id != oldest)
				assert_int_equal(add(r, id, 8, 8, MORE), 0);
		}
		assert_int_equal(add(r, 5, 0, 8, MORE), 0);
		for (uint16_t id = 1; id <= 4; id++) {
			if (id != oldest)
				assert_int_equal(add(r, id, 16, 1, LAST), 1);
		}
		assert_int_equal(add(r, 5, 8, 1, LAST), 1);
		assert_int_equal(add(r, oldest, 8, 1, LAST), 0);
		lw_reassembly_destroy(r);
	}
}

/* in order of use, whatever the time: a batch of datagrams has but one */
static void evict__ten_packets__newest_four_stay(void **state)
{
	struct lw_reassembly *r = create();

	(void)state;
	for (uint16_t id = 1; id <= 10; id++)
		assert_int_equal(add(r, id, 0, 8, MORE), 0);
	for (uint16_t id = 7; id <= 10; id++)
		assert_int_equal(add(r, id, 8, 8, LAST), 1);
	for (uint16_t id = 1; id <= 6; id++)
		assert_int_equal(add(r, id, 8, 8, LAST), 0);
	lw_reassembly_destroy(r);
}

/* a place that is free is taken first, however old its content */
static void evict__free_slot__nobody_pushed_out(void **state)
{
	struct lw_reassembly *r = create();

	(void)state;
	for (uint16_t id = 1; id <= 4; id++)
		assert_int_equal(add(r, id, 0, 8, MORE), 0);
	assert_int_equal(add(r, 4, 8, 8, LAST), 1); /* free, touched last */
	assert_int_equal(add(r, 5, 0, 8, MORE), 0);
	for (uint16_t id = 1; id <= 3; id++)
		assert_int_equal(add(r, id, 8, 8, LAST), 1);
	assert_int_equal(add(r, 5, 8, 8, LAST), 1);
	lw_reassembly_destroy(r);
}

/* what an earlier packet left in its place is not seen in the next */
static void evict__reused_slot__starts_empty(void **state)
{
	struct lw_reassembly *r = create();

	(void)state;
	for (uint16_t id = 0; id < 400; id++) {
		assert_int_equal(add(r, id, (size_t)8 * (id % 100u), 8, MORE), 0);
		if (id % 3 == 0)
			assert_int_equal(add(r, id, 808, 3, LAST), 0);
	}
	for (uint16_t id = 500; id < 504; id++) {
		assert_int_equal(add(r, id, 0, 800, MORE), 0);
		assert_int_equal(add(r, id, 800, 3, LAST), 1);
	}
	lw_reassembly_destroy(r);
}

/* cut at random multiples of 8, and shuffled */
static void complete__random_cuts__same_packet(void **state)
{
	uint64_t rng = 88172645463325252u;
	struct lw_reassembly *r = create();

	(void)state;
	for (uint16_t id = 1; id < 2000; id++) {
		size_t total = 1 + test_random(&rng) % LW_REASSEMBLY_BYTES;
		struct piece p[64];
		uint32_t n = 0;
		size_t at = 0;
		size_t len = 0;

		while (at < total) {
			size_t piece = 8 * (1 + test_random(&rng) % 100);

			if (n == 63 || piece >= total - at)
				piece = total - at;
			p[n++] =
				(struct piece){ (uint16_t)at, (uint16_t)piece, piece < total - at };
			at += piece;
		}
		for (uint32_t i = n; i-- > 1;) {
			uint32_t j = (uint32_t)(test_random(&rng) % (i + 1));
			struct piece swap = p[i];

			p[i] = p[j];
			p[j] = swap;
		}
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(add_len(r, id, p[i].offset, p[i].len, p[i].more, &len),
			                 i + 1 == n);
		assert_int_equal(len, total);
	}
	lw_reassembly_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complete__one_fragment__at_once),
		cmocka_unit_test(complete__two_fragments__in_either_order),
		cmocka_unit_test(complete__every_order__same_packet),
		cmocka_unit_test(complete__four_packets_interleaved__each_its_own),
		cmocka_unit_test(complete__random_cuts__same_packet),
		cmocka_unit_test(reject__every_kind__packet_forgotten),
		cmocka_unit_test(reject__one_packet__others_stay),
		cmocka_unit_test(evict__fifth_packet__pushes_out_the_least_recently_touched),
		cmocka_unit_test(evict__ten_packets__newest_four_stay),
		cmocka_unit_test(evict__free_slot__nobody_pushed_out),
		cmocka_unit_test(evict__reused_slot__starts_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

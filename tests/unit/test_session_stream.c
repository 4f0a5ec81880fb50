/* SPDX-License-Identifier: MIT */
/* core/session/stream.c alone. */
#include "session/stream.h"

#include <errno.h>

#include "unit/test.h"

#define CHUNK_DATA ((size_t)LW_CHUNK_BYTES - 24)
#define QUEUE_MAX  ((size_t)LW_STREAM_MAX - LW_STREAM_CONTROL)

struct fixture {
	struct lw_chunk_pool pool;
	struct lw_stream s;
};

static void open_fixture(struct fixture *f, uint32_t chunks)
{
	assert_int_equal(lw_chunk_pool_init(&f->pool, chunks), 0);
	lw_stream_init(&f->s, &f->pool);
}

static void close_fixture(struct fixture *f)
{
	lw_stream_fini(&f->s);
	assert_int_equal(f->pool.n_free, f->pool.n);
	lw_chunk_pool_fini(&f->pool);
}

/* byte number n of the endless stream that all tests send */
static uint8_t byte_of(size_t n)
{
	return (uint8_t)(n * 31 + n / 251);
}

static int append(struct lw_stream *s, size_t from, size_t len)
{
	static uint8_t buf[LW_STREAM_MAX + 1];

	assert_in_range(len, 0, sizeof(buf));
	for (size_t i = 0; i < len; i++)
		buf[i] = byte_of(from + i);
	return lw_stream_append(s, buf, len);
}

/* What is in it, from the first byte on, is this part of the stream. */
static void check_content(const struct lw_stream *s, size_t from, size_t len)
{
	struct iovec iov[32];
	uint32_t n = lw_stream_peek(s, iov, 32);
	size_t at = 0;

	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *p = iov[i].iov_base;

		assert_true(iov[i].iov_len > 0);
		for (size_t j = 0; j < iov[i].iov_len; j++) {
			if (p[j] != byte_of(from + at + j))
				fail_msg("byte %zu of %zu", at + j, len);
		}
		at += iov[i].iov_len;
	}
	assert_int_equal(at, len);
	assert_int_equal(s->used, len);
}

static void pool__fresh__all_free(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, 5);
	assert_int_equal(f.pool.n, 5);
	assert_int_equal(f.pool.n_free, 5);
	assert_int_equal((uintptr_t)f.pool.all % 64, 0);
	assert_int_equal(f.s.used, 0);
	assert_null(f.s.head);
	close_fixture(&f);
}

static void append__one_chunk_and_its_neighbours__all_there(void **state)
{
	static const size_t sizes[] = {
		1, 2, CHUNK_DATA - 1, CHUNK_DATA, CHUNK_DATA + 1, 2 * CHUNK_DATA, 2 * CHUNK_DATA + 1
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fixture f;
		size_t chunks = (sizes[i] + CHUNK_DATA - 1) / CHUNK_DATA;

		open_fixture(&f, 4);
		assert_int_equal(append(&f.s, 0, sizes[i]), 0);
		assert_int_equal(f.pool.n_free, 4 - chunks);
		check_content(&f.s, 0, sizes[i]);
		assert_int_equal(append(&f.s, sizes[i], 3), 0);
		check_content(&f.s, 0, sizes[i] + 3);
		close_fixture(&f);
	}
}

static void append__nothing__takes_no_chunk(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, 1);
	assert_int_equal(append(&f.s, 0, 0), 0);
	assert_int_equal(f.pool.n_free, 1);
	close_fixture(&f);
}

static void append__no_room__nothing_appended(void **state)
{
	struct fixture f;
	struct fixture empty;

	(void)state;
	open_fixture(&f, 2);
	assert_int_equal(append(&f.s, 0, 100), 0);
	assert_int_equal(append(&f.s, 100, 2 * CHUNK_DATA - 99), -ENOSPC);
	check_content(&f.s, 0, 100);
	assert_int_equal(f.pool.n_free, 1);
	assert_int_equal(append(&f.s, 100, 2 * CHUNK_DATA - 100), 0);
	check_content(&f.s, 0, 2 * CHUNK_DATA);
	assert_int_equal(append(&f.s, 0, 1), -ENOSPC);
	close_fixture(&f);
	/* a pool that others have emptied */
	open_fixture(&empty, 1);
	empty.pool.n_free = 0;
	assert_int_equal(lw_stream_room(&empty.s, true), 0);
	assert_int_equal(append(&empty.s, 0, 1), -ENOSPC);
	empty.pool.n_free = 1;
	close_fixture(&empty);
}

/* data leaves a reserve for control frames, and memory is the other limit */
static void room__data_and_control__differ_by_the_reserve(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, 32);
	assert_int_equal(lw_stream_room(&f.s, false), LW_STREAM_MAX - LW_STREAM_CONTROL);
	assert_int_equal(lw_stream_room(&f.s, true), LW_STREAM_MAX);
	assert_int_equal(append(&f.s, 0, LW_STREAM_MAX - LW_STREAM_CONTROL - 1), 0);
	assert_int_equal(lw_stream_room(&f.s, false), 1);
	assert_int_equal(lw_stream_room(&f.s, true), LW_STREAM_CONTROL + 1);
	assert_int_equal(append(&f.s, 0, 1), 0);
	assert_int_equal(lw_stream_room(&f.s, false), 0);
	assert_int_equal(append(&f.s, 0, 1000), 0); /* into the reserve */
	assert_int_equal(lw_stream_room(&f.s, false), 0);
	assert_int_equal(lw_stream_room(&f.s, true), LW_STREAM_CONTROL - 1000);
	assert_int_equal(append(&f.s, 0, LW_STREAM_CONTROL - 1000), 0);
	assert_int_equal(lw_stream_room(&f.s, true), 0);
	assert_int_equal(append(&f.s, 0, 1), -ENOSPC);
	close_fixture(&f);
}

/* 1 MiB at a time of 100, and what is left of it later */
static void open_burst(struct fixture *f)
{
	open_fixture(f, 600);
	lw_stream_tell_time(&f->s, 100);
	assert_int_equal(lw_stream_room(&f->s, false), LW_STREAM_BURST);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(append(&f->s, i << 18, 1 << 18), 0);
}

static void burst__first_byte_waits_shortly__more_than_a_queue(void **state)
{
	struct fixture f;

	(void)state;
	open_burst(&f);
	lw_stream_tell_time(&f.s, 100 + LW_STREAM_WAIT_US - 1);
	assert_int_equal(lw_stream_room(&f.s, false), LW_STREAM_BURST - (1 << 20));
	assert_int_equal(lw_stream_room(&f.s, true),
	                 LW_STREAM_BURST - (1 << 20) + LW_STREAM_CONTROL);
	close_fixture(&f);
}

/* It drains to what a queue may be, and the reserve for control frames stays the same until then.
 */
static void burst__first_byte_waits_long__not_larger_any_more(void **state)
{
	struct fixture f;

	(void)state;
	open_burst(&f);
	lw_stream_tell_time(&f.s, 100 + LW_STREAM_WAIT_US);
	assert_int_equal(lw_stream_room(&f.s, false), 0);
	assert_int_equal(lw_stream_room(&f.s, true), LW_STREAM_CONTROL);
	assert_int_equal(append(&f.s, 0, 1000), 0); /* a control frame does not make it larger */
	lw_stream_tell_time(&f.s, 200 + LW_STREAM_WAIT_US);
	assert_int_equal(lw_stream_room(&f.s, true), LW_STREAM_CONTROL - 1000);
	lw_stream_consume(&f.s, 1 << 19);
	lw_stream_tell_time(&f.s, 300 + LW_STREAM_WAIT_US);
	assert_int_equal(lw_stream_room(&f.s, false), 0);
	assert_int_equal(lw_stream_room(&f.s, true), LW_STREAM_CONTROL);
	lw_stream_consume(&f.s, f.s.used - QUEUE_MAX + 10);
	lw_stream_tell_time(&f.s, 400 + LW_STREAM_WAIT_US);
	assert_int_equal(lw_stream_room(&f.s, false), 10);
	assert_int_equal(lw_stream_room(&f.s, true), 10 + LW_STREAM_CONTROL);
	close_fixture(&f);
}

/* What counts is the byte that is first now. */
static void burst__old_bytes_sent__may_grow_again(void **state)
{
	struct fixture f;

	(void)state;
	open_burst(&f);
	lw_stream_tell_time(&f.s, 100 + LW_STREAM_WAIT_US / 2);
	assert_int_equal(append(&f.s, 0, 1 << 18), 0);
	lw_stream_tell_time(&f.s, 100 + LW_STREAM_WAIT_US);
	assert_int_equal(lw_stream_room(&f.s, false), 0);
	lw_stream_consume(&f.s, (1 << 20) + CHUNK_DATA); /* the chunk that holds both, too */
	lw_stream_tell_time(&f.s, 100 + LW_STREAM_WAIT_US);
	assert_int_equal(lw_stream_room(&f.s, false), LW_STREAM_BURST - f.s.used);
	close_fixture(&f);
}

static void burst__pool_half_used__no_larger_than_a_queue(void **state)
{
	struct fixture f;
	struct lw_stream other;

	(void)state;
	open_fixture(&f, 40);
	lw_stream_tell_time(&f.s, 100);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(append(&f.s, 0, CHUNK_DATA), 0);
	assert_int_equal(lw_stream_room(&f.s, false), 0);
	assert_int_equal(lw_stream_room(&f.s, true), (20 - 40 / 8) * CHUNK_DATA);
	lw_stream_init(&other, &f.pool);
	lw_stream_tell_time(&other, 100);
	assert_int_equal(lw_stream_room(&other, false), 20 * CHUNK_DATA);
	assert_int_equal(append(&other, 0, LW_STREAM_CONTROL), 0);
	assert_int_equal(lw_stream_room(&other, false),
	                 (17 - 40 / 8 + 1) * CHUNK_DATA - LW_STREAM_CONTROL % CHUNK_DATA);
	lw_stream_fini(&other);
	close_fixture(&f);
}

static void room__few_chunks__what_memory_has(void **state)
{
	struct fixture f;
	struct lw_stream other;

	(void)state;
	open_fixture(&f, 3);
	lw_stream_init(&other, &f.pool);
	assert_int_equal(lw_stream_room(&f.s, false), 3 * CHUNK_DATA);
	assert_int_equal(append(&other, 0, CHUNK_DATA + 1), 0); /* takes two */
	assert_int_equal(lw_stream_room(&f.s, true), CHUNK_DATA);
	assert_int_equal(lw_stream_room(&other, true), CHUNK_DATA - 1 + CHUNK_DATA);
	assert_int_equal(append(&f.s, 0, 10), 0);
	assert_int_equal(lw_stream_room(&f.s, true), CHUNK_DATA - 10);
	assert_int_equal(lw_stream_room(&other, true), CHUNK_DATA - 1);
	lw_stream_fini(&other);
	assert_int_equal(lw_stream_room(&f.s, true), CHUNK_DATA - 10 + 2 * CHUNK_DATA);
	close_fixture(&f);
}

static void peek__fewer_pieces_than_chunks__the_first_ones(void **state)
{
	struct fixture f;
	struct iovec iov[4] = { { 0 } };

	(void)state;
	open_fixture(&f, 4);
	assert_int_equal(lw_stream_peek(&f.s, iov, 4), 0);
	assert_int_equal(append(&f.s, 0, 3 * CHUNK_DATA + 5), 0);
	assert_int_equal(lw_stream_peek(&f.s, iov, 0), 0);
	assert_int_equal(lw_stream_peek(&f.s, iov, 2), 2);
	assert_int_equal(iov[0].iov_len, CHUNK_DATA);
	assert_ptr_equal(iov[0].iov_base, f.s.head->data);
	assert_null(iov[2].iov_base);
	assert_int_equal(lw_stream_peek(&f.s, iov, 4), 4);
	assert_int_equal(iov[3].iov_len, 5);
	close_fixture(&f);
}

static void consume__part_and_all__chunks_given_back(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, 4);
	lw_stream_consume(&f.s, 0);
	assert_int_equal(append(&f.s, 0, 2 * CHUNK_DATA + 10), 0);
	lw_stream_consume(&f.s, 0);
	lw_stream_consume(&f.s, 1);
	assert_int_equal(f.pool.n_free, 1);
	check_content(&f.s, 1, 2 * CHUNK_DATA + 9);
	lw_stream_consume(&f.s, CHUNK_DATA - 1);
	assert_int_equal(f.pool.n_free, 2);
	check_content(&f.s, CHUNK_DATA, CHUNK_DATA + 10);
	lw_stream_consume(&f.s, CHUNK_DATA + 3);
	assert_int_equal(f.pool.n_free, 3);
	check_content(&f.s, 2 * CHUNK_DATA + 3, 7);
	lw_stream_consume(&f.s, 7);
	assert_int_equal(f.pool.n_free, 4);
	assert_null(f.s.head);
	assert_null(f.s.tail);
	assert_int_equal(append(&f.s, 5, 20), 0);
	check_content(&f.s, 5, 20);
	close_fixture(&f);
}

static void fini__full_stream__chunks_given_back(void **state)
{
	struct fixture f;
	struct lw_stream none;

	(void)state;
	open_fixture(&f, 4);
	assert_int_equal(append(&f.s, 0, 4 * CHUNK_DATA), 0);
	assert_int_equal(f.pool.n_free, 0);
	close_fixture(&f);           /* checks it */
	lw_stream_init(&none, NULL); /* a tunnel over UDP */
	lw_stream_fini(&none);
	assert_null(none.head);
}

/* against a model that only counts: two streams, one pool, whatever order */
static void stream__random_use__as_the_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		uint64_t rng = seed * UINT64_C(0x9e3779b97f4a7c15);
		size_t from[2] = { 0 };
		size_t len[2] = { 0 };
		struct fixture f;
		struct lw_stream other;

		open_fixture(&f, 7);
		lw_stream_init(&other, &f.pool);
		for (int i = 0; i < 300; i++) {
			int which = (int)(test_random(&rng) % 2);
			struct lw_stream *s = which == 0 ? &f.s : &other;
			size_t n = test_random(&rng) % (2 * CHUNK_DATA);

			if (test_random(&rng) % 2 == 0) {
				bool fits = n <= lw_stream_room(s, true);

				assert_int_equal(append(s, from[which] + len[which], n),
				                 fits ? 0 : -ENOSPC);
				len[which] += fits ? n : 0;
			} else {
				n = n < len[which] ? n : len[which];
				lw_stream_consume(s, n);
				from[which] += n;
				len[which] -= n;
			}
			check_content(s, from[which], len[which]);
		}
		lw_stream_fini(&other);
		close_fixture(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool__fresh__all_free),
		cmocka_unit_test(append__one_chunk_and_its_neighbours__all_there),
		cmocka_unit_test(append__nothing__takes_no_chunk),
		cmocka_unit_test(append__no_room__nothing_appended),
		cmocka_unit_test(room__data_and_control__differ_by_the_reserve),
		cmocka_unit_test(burst__first_byte_waits_shortly__more_than_a_queue),
		cmocka_unit_test(burst__first_byte_waits_long__not_larger_any_more),
		cmocka_unit_test(burst__old_bytes_sent__may_grow_again),
		cmocka_unit_test(burst__pool_half_used__no_larger_than_a_queue),
		cmocka_unit_test(room__few_chunks__what_memory_has),
		cmocka_unit_test(peek__fewer_pieces_than_chunks__the_first_ones),
		cmocka_unit_test(consume__part_and_all__chunks_given_back),
		cmocka_unit_test(fini__full_stream__chunks_given_back),
		cmocka_unit_test(stream__random_use__as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

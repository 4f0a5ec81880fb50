/* SPDX-License-Identifier: MIT */
#include "session/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* data that may wait for as long as it takes */
#define QUEUE_MAX ((size_t)LW_STREAM_MAX - LW_STREAM_CONTROL)

static_assert(sizeof(struct lw_chunk) == LW_CHUNK_BYTES, "a chunk is a power of two");

static struct lw_chunk *take_chunk(struct lw_chunk_pool *pool, uint64_t now_us)
{
	struct lw_chunk *c = pool->free;

	pool->free = c->next;
	pool->n_free--;
	c->next = NULL;
	c->since_us = now_us;
	c->start = 0;
	c->end = 0;
	return c;
}

static void give_chunk(struct lw_chunk_pool *pool, struct lw_chunk *c)
{
	c->next = pool->free;
	pool->free = c;
	pool->n_free++;
}

static size_t tail_room(const struct lw_stream *s)
{
	return s->tail != NULL ? sizeof(s->tail->data) - s->tail->end : 0;
}

int lw_chunk_pool_init(struct lw_chunk_pool *pool, uint32_t n)
{
	*pool = (struct lw_chunk_pool){ .n = n };
	pool->all = aligned_alloc(64, (size_t)n * sizeof(*pool->all));
	if (pool->all == NULL)
		return -ENOMEM;
	for (uint32_t i = n; i-- > 0;)
		give_chunk(pool, &pool->all[i]);
	return 0;
}

void lw_chunk_pool_fini(struct lw_chunk_pool *pool)
{
	free(pool->all);
	*pool = (struct lw_chunk_pool){ 0 };
}

void lw_stream_init(struct lw_stream *s, struct lw_chunk_pool *pool)
{
	*s = (struct lw_stream){ .pool = pool, .limit = QUEUE_MAX };
}

/* A burst that has waited too long may not grow any more; what is sent of it does not come back. */
void lw_stream_tell_time(struct lw_stream *s, uint64_t now_us)
{
	size_t held = s->used > QUEUE_MAX ? s->used : QUEUE_MAX;

	s->now_us = now_us;
	if (s->head == NULL || now_us - s->head->since_us < LW_STREAM_WAIT_US)
		s->limit = LW_STREAM_BURST;
	else if (s->limit > held)
		s->limit = held;
}

void lw_stream_fini(struct lw_stream *s)
{
	if (s->pool != NULL)
		lw_stream_consume(s, s->used);
}

/* The last eighth of a pool is for streams that hold little: peers that do not read cannot keep it
 * from those that do, or that log in. Nor do bursts keep half of it from everybody's queues. */
static size_t free_chunks(const struct lw_stream *s, bool control)
{
	const struct lw_chunk_pool *pool = s->pool;
	uint32_t reserve = s->used < LW_STREAM_CONTROL ? 0 : pool->n / 8;

	if (s->used >= QUEUE_MAX && !control)
		reserve = pool->n / 2;
	return pool->n_free > reserve ? pool->n_free - reserve : 0;
}

size_t lw_stream_room(const struct lw_stream *s, bool control)
{
	size_t limit = control ? s->limit + LW_STREAM_CONTROL : s->limit;
	size_t left = s->used < limit ? limit - s->used : 0;
	size_t memory = tail_room(s) + free_chunks(s, control) * sizeof(s->tail->data);

	return left < memory ? left : memory;
}

int lw_stream_append(struct lw_stream *s, const uint8_t *p, size_t len)
{
	if (len > lw_stream_room(s, true))
		return -ENOSPC;
	while (len > 0) {
		size_t n = tail_room(s);

		if (n == 0) {
			struct lw_chunk *c = take_chunk(s->pool, s->now_us);

			if (s->tail != NULL)
				s->tail->next = c;
			else
				s->head = c;
			s->tail = c;
			continue;
		}
		n = n < len ? n : len;
		memcpy(s->tail->data + s->tail->end, p, n);
		s->tail->end += (uint32_t)n;
		s->used += n;
		p += n;
		len -= n;
	}
	return 0;
}

uint32_t lw_stream_peek(const struct lw_stream *s, struct iovec *iov, uint32_t cap)
{
	uint32_t n = 0;

	for (struct lw_chunk *c = s->head; c != NULL && n < cap; c = c->next) {
		iov[n].iov_base = c->data + c->start;
		iov[n++].iov_len = c->end - c->start;
	}
	return n;
}

void lw_stream_consume(struct lw_stream *s, size_t len)
{
	assert(len <= s->used);
	s->used -= len;
	while (len > 0) {
		struct lw_chunk *c = s->head;
		size_t n;

		assert(c != NULL); /* no chunk is empty, and `used` is what they hold */
		n = c->end - c->start;
		n = n < len ? n : len;
		c->start += (uint32_t)n;
		len -= n;
		if (c->start < c->end)
			break;
		s->head = c->next;
		if (s->head == NULL)
			s->tail = NULL;
		give_chunk(s->pool, c);
	}
}

/* SPDX-License-Identifier: MIT */
#ifndef LW_SESSION_STREAM_H
#define LW_SESSION_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* memory of one chunk, its own header included */
#define LW_CHUNK_BYTES 16384u
/* most ciphertext that waits for one peer, and the part of it that data may not use */
#define LW_STREAM_MAX     262144u
#define LW_STREAM_CONTROL 32768u
/*
 * A burst may be larger, while its first byte waits for less than this time. A fast path takes
 * 4 MiB, the most that Linux lets one TCP flow inside have under way by default, in less: its
 * bursts lose nothing. A slow one does not, and who waits behind them would notice: 4 MiB are
 * 160 ms of 200 Mbit/s, and LW_STREAM_MAX is 10.
 */
#define LW_STREAM_BURST   (4u << 20)
#define LW_STREAM_WAIT_US 10000u

struct lw_chunk {
	struct lw_chunk *next;
	uint64_t since_us; /* when its first byte came */
	uint32_t start;    /* first byte that is not sent */
	uint32_t end;      /* first byte that is free */
	uint8_t data[LW_CHUNK_BYTES - 24];
};

/* all chunks of one worker, allocated at its start; pages are touched when first used */
struct lw_chunk_pool {
	struct lw_chunk *all;
	struct lw_chunk *free;
	uint32_t n_free;
	uint32_t n;
};

/*
 * Ciphertext of one TCP session that the socket has not taken yet: a list of chunks, none when
 * idle. Room is asked for before a record is made, so that the TLS library never has to wait.
 */
struct lw_stream {
	struct lw_chunk_pool *pool;
	struct lw_chunk *head;
	struct lw_chunk *tail;
	size_t used;
	size_t limit; /* of data, for now */
	uint64_t now_us;
};

/**
 * lw_chunk_pool_init() - allocate n chunks
 *
 * Context: control thread, before the worker runs.
 * Return:  0 or -ENOMEM.
 */
int lw_chunk_pool_init(struct lw_chunk_pool *pool, uint32_t n);
void lw_chunk_pool_fini(struct lw_chunk_pool *pool);

/* lw_stream_init() - an empty stream on a pool, which must outlive it; worker's thread, as all here
 */
void lw_stream_init(struct lw_stream *s, struct lw_chunk_pool *pool);

/* lw_stream_fini() - give all chunks back */
void lw_stream_fini(struct lw_stream *s);

/* lw_stream_tell_time() - before data: how much of it may wait depends on how long it has */
void lw_stream_tell_time(struct lw_stream *s, uint64_t now_us);

/* lw_stream_room() - bytes that may be appended now; control frames may use the reserve. When the
 * pool runs low, streams that hold LW_STREAM_CONTROL or more get nothing of its last eighth, and
 * bursts nothing of its second half */
size_t lw_stream_room(const struct lw_stream *s, bool control);

/**
 * lw_stream_append() - copy bytes to the end
 *
 * Return: 0, or -ENOSPC with nothing appended.
 */
int lw_stream_append(struct lw_stream *s, const uint8_t *p, size_t len);

/* lw_stream_peek() - describe the first bytes in at most cap pieces; returns how many */
uint32_t lw_stream_peek(const struct lw_stream *s, struct iovec *iov, uint32_t cap);

/* lw_stream_consume() - the first len bytes were sent; len must not exceed what is used */
void lw_stream_consume(struct lw_stream *s, size_t len);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Checked, big-endian reading and writing of bytes that come from or go to a peer. A read or write
 * that does not fit moves nothing, yields zero and sets `bad`, which stays set: a parser may read
 * a whole structure and look at `bad` once.
 */
#ifndef LW_BASE_CURSOR_H
#define LW_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lw_reader {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

struct lw_writer {
	uint8_t *p;
	uint8_t *end;
	bool bad;
};

static inline struct lw_reader lw_reader_init(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return (struct lw_reader){ .p = p, .end = len > 0 ? p + len : p };
}

static inline size_t lw_reader_left(const struct lw_reader *r)
{
	return (size_t)(r->end - r->p);
}

/* lw_read_bytes() - a view of the next len bytes, NULL when there are fewer */
static inline const uint8_t *lw_read_bytes(struct lw_reader *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || len > lw_reader_left(r)) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	return p;
}

static inline uint64_t lw_read_uint(struct lw_reader *r, size_t len)
{
	const uint8_t *p = lw_read_bytes(r, len);
	uint64_t v = 0;

	for (size_t i = 0; p != NULL && i < len; i++)
		v = v << 8 | p[i];
	return v;
}

static inline uint8_t lw_read_u8(struct lw_reader *r)
{
	return (uint8_t)lw_read_uint(r, 1);
}

static inline uint16_t lw_read_u16(struct lw_reader *r)
{
	return (uint16_t)lw_read_uint(r, 2);
}

static inline uint32_t lw_read_u32(struct lw_reader *r)
{
	return (uint32_t)lw_read_uint(r, 4);
}

static inline uint64_t lw_read_u64(struct lw_reader *r)
{
	return lw_read_uint(r, 8);
}

static inline struct lw_writer lw_writer_init(void *buf, size_t cap)
{
	uint8_t *p = buf;

	return (struct lw_writer){ .p = p, .end = cap > 0 ? p + cap : p };
}

static inline size_t lw_writer_left(const struct lw_writer *w)
{
	return (size_t)(w->end - w->p);
}

/* lw_write_room() - the next len bytes, for the caller to fill; NULL when there are fewer */
static inline uint8_t *lw_write_room(struct lw_writer *w, size_t len)
{
	uint8_t *p = w->p;

	if (w->bad || len > lw_writer_left(w)) {
		w->bad = true;
		return NULL;
	}
	w->p += len;
	return p;
}

static inline void lw_write_uint(struct lw_writer *w, uint64_t v, size_t len)
{
	uint8_t *p = lw_write_room(w, len);

	for (size_t i = 0; p != NULL && i < len; i++)
		p[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
}

static inline void lw_write_u8(struct lw_writer *w, uint8_t v)
{
	lw_write_uint(w, v, 1);
}

static inline void lw_write_u16(struct lw_writer *w, uint16_t v)
{
	lw_write_uint(w, v, 2);
}

static inline void lw_write_u32(struct lw_writer *w, uint32_t v)
{
	lw_write_uint(w, v, 4);
}

static inline void lw_write_u64(struct lw_writer *w, uint64_t v)
{
	lw_write_uint(w, v, 8);
}

static inline void lw_write_bytes(struct lw_writer *w, const void *src, size_t len)
{
	uint8_t *p = lw_write_room(w, len);

	if (p != NULL && len > 0)
		memcpy(p, src, len);
}

static inline void lw_write_zeros(struct lw_writer *w, size_t len)
{
	uint8_t *p = lw_write_room(w, len);

	if (p != NULL && len > 0)
		memset(p, 0, len);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Runs of sessions whose bursts are limited leave with gaps between them. What must wait is copied
 * out of the wire batch, and back into it when its time has come; the order within a session is
 * kept, and nothing is lost here: where too much waits, it leaves at once.
 */
#ifndef LW_PATH_PACE_H
#define LW_PATH_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

/* sessions that are spaced at the same time; others are not */
#define LW_PACE_SESSIONS 32u
/* pieces that can wait, and bytes of each; memory that was never used is not resident */
#define LW_PACE_SLOTS      512u
#define LW_PACE_SLOT_BYTES (48u << 10)
/* a run is not cut into less: it bounds the slots that a wire batch may take */
#define LW_PACE_PIECE_MIN 4096u
/* with fewer free slots all leave at once: what one wire batch may add */
#define LW_PACE_RESERVE 384u
/* what waits is spread over so long at most */
#define LW_PACE_SPREAD_US 10000u

/* in core[2] of a packet of the wire batch: it has waited, or need not */
#define LW_PACE_PASSED UINT64_MAX

struct lw_pace;

/*
 * In core[2] of a packet of the wire batch: how its session is spaced, 0: not at all.
 * @segs: datagrams that may leave at once
 * @rate: bytes per millisecond of what follows
 */
static inline uint64_t lw_pace_mark(uint32_t segs, uint32_t rate)
{
	return (uint64_t)segs << 32 | rate;
}

/* lw_pace_create() - 0 or -ENOMEM */
int lw_pace_create(struct lw_pace **ret);
void lw_pace_destroy(struct lw_pace *p);

/**
 * lw_pace_take() - what must wait leaves the batch
 *
 * @wire: the packets from `first` on are looked at; those that stay are moved to its end
 *
 * Return: index of the first that stays; wire->n when none does.
 */
uint32_t lw_pace_take(struct lw_pace *p, struct lw_batch *wire, uint32_t first, uint64_t at);

/* lw_pace_give() - append to the batch what may leave now, as far as there is room */
void lw_pace_give(struct lw_pace *p, struct lw_batch *wire, uint64_t at);

/* lw_pace_deadline() - when the next may leave, UINT64_MAX: nothing waits */
uint64_t lw_pace_deadline(const struct lw_pace *p);

/* lw_pace_bytes() - what waits; lw_pace_held() - pieces that ever did */
uint64_t lw_pace_bytes(const struct lw_pace *p);
uint64_t lw_pace_held(const struct lw_pace *p);

#endif

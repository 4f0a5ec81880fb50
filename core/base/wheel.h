/* SPDX-License-Identifier: MIT */
#ifndef LW_BASE_WHEEL_H
#define LW_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define LW_WHEEL_LEVELS  5
#define LW_WHEEL_SLOTS   64
#define LW_WHEEL_TICK_US 1000

/* lives in its owner; zeroed: not armed */
struct lw_timer {
	struct lw_timer *next;
	struct lw_timer **at; /* the pointer that points here, NULL: not armed */
	uint64_t tick;
};

/*
 * Timers of one thread in a hierarchy of wheels: level 0 has a slot a millisecond, each level above
 * is 64 times coarser, so all five reach 12 days; what is later waits in the last one. Arming and
 * cancelling take constant time. No timer expires early; each expires within the round that sees
 * its millisecond.
 */
struct lw_wheel {
	struct lw_timer *slots[LW_WHEEL_LEVELS][LW_WHEEL_SLOTS];
	struct lw_timer *due;
	uint64_t tick; /* all before it have been seen */
	uint64_t n;
};

/* lw_wheel_init() - no timers, time starts at now_us */
void lw_wheel_init(struct lw_wheel *w, uint64_t now_us);

/* lw_wheel_set() - arm, or move, a timer; the owner must not move or free it before it expires */
void lw_wheel_set(struct lw_wheel *w, struct lw_timer *t, uint64_t deadline_us);

/* lw_wheel_cancel() - disarm; a timer that is not armed is left alone */
void lw_wheel_cancel(struct lw_wheel *w, struct lw_timer *t);

/* lw_wheel_expire() - disarm one timer that is due and return it, NULL when none is left */
struct lw_timer *lw_wheel_expire(struct lw_wheel *w, uint64_t now_us);

/**
 * lw_wheel_next_us() - when to look at the wheel again
 *
 * Return: a time not after the earliest deadline, UINT64_MAX without timers. It may be before the
 *         deadline where timers have to move to a finer level.
 */
uint64_t lw_wheel_next_us(const struct lw_wheel *w);

#endif

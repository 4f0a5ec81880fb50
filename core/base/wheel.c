/* SPDX-License-Identifier: MIT */
#include "base/wheel.h"

#include <stddef.h>
#include <string.h>

#define LEVEL_BITS 6

static unsigned slot_at(uint64_t tick, unsigned level)
{
	return (unsigned)(tick >> (LEVEL_BITS * level)) & (LW_WHEEL_SLOTS - 1);
}

static void push(struct lw_timer **head, struct lw_timer *t)
{
	t->next = *head;
	if (t->next != NULL)
		t->next->at = &t->next;
	t->at = head;
	*head = t;
}

static void unlink_timer(struct lw_timer *t)
{
	*t->at = t->next;
	if (t->next != NULL)
		t->next->at = t->at;
	t->next = NULL;
	t->at = NULL;
}

/* The level whose slots are just fine enough to tell this tick from the present one. */
static void insert(struct lw_wheel *w, struct lw_timer *t)
{
	uint64_t span = LW_WHEEL_SLOTS;
	unsigned level = 0;
	uint64_t tick = t->tick;

	if (tick < w->tick) {
		push(&w->due, t);
		return;
	}
	while (level < LW_WHEEL_LEVELS - 1 && tick - w->tick >= span) {
		span <<= LEVEL_BITS;
		level++;
	}
	if (tick - w->tick >= span)
		tick = w->tick + span -
		       1; /* beyond the last level: sorted again when it comes round */
	push(&w->slots[level][slot_at(tick, level)], t);
}

static void move_all(struct lw_wheel *w, struct lw_timer **head)
{
	struct lw_timer *list = *head;

	*head = NULL;
	while (list != NULL) {
		struct lw_timer *next = list->next;

		list->next = NULL;
		list->at = NULL;
		insert(w, list);
		list = next;
	}
}

/* One millisecond on: coarser slots that begin now are spread over the finer ones. */
static void step(struct lw_wheel *w)
{
	unsigned slot = slot_at(w->tick, 0);

	for (unsigned level = 1; level < LW_WHEEL_LEVELS; level++) {
		if (slot_at(w->tick, level - 1) != 0)
			break;
		move_all(w, &w->slots[level][slot_at(w->tick, level)]);
	}
	w->tick++;
	move_all(w, &w->slots[0][slot]);
}

static bool level_empty(const struct lw_wheel *w, unsigned level)
{
	for (unsigned i = 0; i < LW_WHEEL_SLOTS; i++) {
		if (w->slots[level][i] != NULL)
			return false;
	}
	return true;
}

/* First tick from w->tick on at which this level has something to do. */
static uint64_t level_next(const struct lw_wheel *w, unsigned level)
{
	unsigned shift = LEVEL_BITS * level;
	uint64_t base = w->tick >> shift;

	/* a coarse slot whose start has passed is due when its level comes round */
	if (level > 0 && (w->tick & ((1ull << shift) - 1)) != 0)
		base++;
	for (uint64_t i = 0; i < LW_WHEEL_SLOTS; i++) {
		if (w->slots[level][(base + i) & (LW_WHEEL_SLOTS - 1)] != NULL)
			return (base + i) << shift;
	}
	return UINT64_MAX;
}

static uint64_t next_tick(const struct lw_wheel *w)
{
	uint64_t best = UINT64_MAX;

	for (unsigned level = 0; level < LW_WHEEL_LEVELS; level++) {
		uint64_t tick = level_empty(w, level) ? UINT64_MAX : level_next(w, level);

		if (tick < best)
			best = tick;
	}
	return best;
}

void lw_wheel_init(struct lw_wheel *w, uint64_t now_us)
{
	memset(w, 0, sizeof(*w));
	w->tick = now_us / LW_WHEEL_TICK_US;
}

void lw_wheel_set(struct lw_wheel *w, struct lw_timer *t, uint64_t deadline_us)
{
	lw_wheel_cancel(w, t);
	/* rounded up: never early */
	t->tick = deadline_us / LW_WHEEL_TICK_US + (deadline_us % LW_WHEEL_TICK_US != 0);
	w->n++;
	insert(w, t);
}

void lw_wheel_cancel(struct lw_wheel *w, struct lw_timer *t)
{
	if (t->at == NULL)
		return;
	unlink_timer(t);
	w->n--;
}

struct lw_timer *lw_wheel_expire(struct lw_wheel *w, uint64_t now_us)
{
	uint64_t now = now_us / LW_WHEEL_TICK_US;

	while (w->due == NULL && w->tick <= now) {
		uint64_t next = next_tick(w);

		if (next > now) {
			w->tick = now + 1; /* nothing to do up to now: skip it all */
			return NULL;
		}
		if (next > w->tick)
			w->tick = next;
		step(w);
	}
	if (w->due != NULL) {
		struct lw_timer *t = w->due;

		unlink_timer(t);
		w->n--;
		return t;
	}
	return NULL;
}

uint64_t lw_wheel_next_us(const struct lw_wheel *w)
{
	uint64_t tick;

	if (w->due != NULL)
		return 0;
	if (w->n == 0)
		return UINT64_MAX;
	tick = next_tick(w);
	return tick == UINT64_MAX ? UINT64_MAX : tick * LW_WHEEL_TICK_US;
}

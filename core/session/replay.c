/* SPDX-License-Identifier: MIT */
#include "session/replay.h"

#include <string.h>

static uint64_t *word_of(struct lw_replay *r, uint64_t counter)
{
	return &r->seen[counter % LW_REPLAY_WINDOW / 64];
}

static uint64_t bit_of(uint64_t counter)
{
	return UINT64_C(1) << (counter % 64);
}

bool lw_replay_check(const struct lw_replay *r, uint64_t counter)
{
	if (counter == 0)
		return false;
	if (counter > r->highest)
		return true;
	if (r->highest - counter >= LW_REPLAY_WINDOW)
		return false;
	return (r->seen[counter % LW_REPLAY_WINDOW / 64] & bit_of(counter)) == 0;
}

/* Counters between the highest one and a new one have not come: what stands in their places is of
 * those a window earlier. */
static void forget_between(struct lw_replay *r, uint64_t counter)
{
	if (counter - r->highest >= LW_REPLAY_WINDOW) {
		memset(r->seen, 0, sizeof(r->seen));
		return;
	}
	for (uint64_t c = r->highest + 1; c < counter;) {
		if (c % 64 == 0 && counter - c >= 64) {
			*word_of(r, c) = 0;
			c += 64;
		} else {
			*word_of(r, c) &= ~bit_of(c);
			c++;
		}
	}
}

bool lw_replay_commit(struct lw_replay *r, uint64_t counter)
{
	if (!lw_replay_check(r, counter))
		return false;
	if (counter > r->highest) {
		forget_between(r, counter);
		r->highest = counter;
	}
	*word_of(r, counter) |= bit_of(counter);
	return true;
}

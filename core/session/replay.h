/* SPDX-License-Identifier: MIT */
/*
 * Which of the last 8192 counters have come (wire.md 7.7). Asked before a packet is opened and told
 * after it was: a forged counter moves nothing.
 */
#ifndef LW_SESSION_REPLAY_H
#define LW_SESSION_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define LW_REPLAY_WINDOW 8192u

struct lw_replay {
	uint64_t highest; /* 0: none has come */
	uint64_t seen[LW_REPLAY_WINDOW / 64];
};

/* lw_replay_check() - may this counter still come? */
bool lw_replay_check(const struct lw_replay *r, uint64_t counter);

/* lw_replay_commit() - it came, in a packet that is authentic; false: it had come before */
bool lw_replay_commit(struct lw_replay *r, uint64_t counter);

#endif

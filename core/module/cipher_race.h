/* SPDX-License-Identifier: MIT */
#ifndef LW_MODULE_CIPHER_RACE_H
#define LW_MODULE_CIPHER_RACE_H

#include <stdint.h>

#include <laneway/err.h>
#include <laneway/module.h>

/* what is timed: full packets, in arrays as the path makes them */
#define LW_CIPHER_RACE_BYTES 1350u
#define LW_CIPHER_RACE_ARRAY 32u

/* a cipher that takes part; the last three are results */
struct lw_cipher_racer {
	const struct lw_cipher_ops *ops;
	void *inst;
	struct lw_worker *w; /* started */
	int result;          /* 0, or the negative errno with which it failed; then no times */
	uint32_t seal_ns;    /* of a packet; the best of all rounds */
	uint32_t open_ns;
};

/**
 * lw_cipher_race() - time ciphers by turns
 *
 * By turns, and the best of many rounds: whatever else runs on the machine, and a processor that
 * is only speeding up, then slow all of them down or none. Takes about 2 ms for each.
 *
 * Context: control thread before the worker's thread runs.
 * Return:  0, or -ENOMEM with a sentence. One that fails does not stop the others.
 */
int lw_cipher_race(struct lw_cipher_racer *list, uint32_t n, struct lw_err *err);

#endif

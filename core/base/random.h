/* SPDX-License-Identifier: MIT */
#ifndef LW_BASE_RANDOM_H
#define LW_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define LW_RANDOM_POOL 4096

/*
 * Bytes of the kernel's generator, fetched a page at a time. What was handed out is wiped from the
 * pool, so that a later look at our memory tells nothing of earlier keys.
 */
struct lw_random {
	uint32_t left;
	uint8_t pool[LW_RANDOM_POOL];
};

/**
 * lw_random_take() - bytes fit for keys, through a pool
 *
 * @r:   zeroed before the first use; belongs to one thread
 *
 * Context: the pool's thread. Makes one system call every LW_RANDOM_POOL bytes.
 * A kernel without getrandom() ends the process: nothing safe can be done without it.
 */
void lw_random_take(struct lw_random *r, void *buf, size_t len);

/**
 * lw_random_bytes() - bytes fit for keys, straight from the kernel
 *
 * Context: any thread, not the data path: one system call.
 */
void lw_random_bytes(void *buf, size_t len);

#endif

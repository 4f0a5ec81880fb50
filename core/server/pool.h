/* SPDX-License-Identifier: MIT */
#ifndef LW_SERVER_POOL_H
#define LW_SERVER_POOL_H

#include <stdint.h>

#include <laneway/addr.h>

/* shortest prefix that is taken: 4 million addresses, 48 MB of tables */
#define LW_POOL_PREFIX_MIN 10

/*
 * Inside addresses of one worker's sessions: taken from the front of a shuffled queue, given back
 * to its end, so that an address rests as long as possible before someone else gets it.
 */
struct lw_pool {
	uint32_t base; /* first address of the prefix, host order */
	uint32_t size; /* of the prefix */
	uint32_t *queue;
	uint32_t cap; /* addresses that may be handed out */
	uint32_t first;
	uint32_t n_free; /* one writer, relaxed readers: lw_pool_free() */
	void **owners;   /* by address - base */
};

/**
 * lw_pool_init() - all host addresses of a prefix but the reserved ones
 *
 * @prefix:   IPv4, length LW_POOL_PREFIX_MIN..30
 * @reserved: addresses that are never handed out; those outside the prefix do not matter
 *
 * Context: control thread; afterwards the worker's.
 * Return:  0, -EINVAL (prefix) or -ENOMEM.
 */
int lw_pool_init(struct lw_pool *p, const struct lw_addr *prefix, const struct lw_addr *reserved,
                 uint32_t n_reserved);
void lw_pool_fini(struct lw_pool *p);

/* lw_pool_take() - an address for an owner, 0: none is left */
uint32_t lw_pool_take(struct lw_pool *p, void *owner);

/* lw_pool_give() - back into the queue */
void lw_pool_give(struct lw_pool *p, uint32_t address);

/* lw_pool_free() - how many addresses are left; any thread */
static inline uint32_t lw_pool_free(const struct lw_pool *p)
{
	return __atomic_load_n(&p->n_free, __ATOMIC_RELAXED);
}

/* lw_pool_owner() - who has this address, or NULL */
static inline void *lw_pool_owner(const struct lw_pool *p, uint32_t address)
{
	uint32_t i = address - p->base;

	return i < p->size ? p->owners[i] : 0;
}

#endif

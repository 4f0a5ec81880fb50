/* SPDX-License-Identifier: MIT */
#ifndef LW_SERVER_POOL_H
#define LW_SERVER_POOL_H

#include <pthread.h>
#include <stdint.h>

#include <laneway/addr.h>

/* shortest prefix that is taken: 4 million addresses, 56 MB of tables */
#define LW_POOL_PREFIX_MIN 10
/* instead of a worker's number: nobody has this address */
#define LW_POOL_NOBODY 255u

/*
 * The addresses whose number is that of the slice, modulo the number of slices: those whose packets
 * the system brings to that worker. They are taken from the front of a shuffled queue and given
 * back to its end, so that an address rests as long as possible before someone else gets it.
 */
struct lw_pool_slice {
	uint32_t *queue;
	uint32_t cap; /* addresses that may be handed out */
	uint32_t first;
	uint32_t n_free;  /* written under the lock, relaxed readers */
	void **owners;    /* by place in the slice; of the worker that has the address */
	uint8_t *workers; /* the same: who that is, or LW_POOL_NOBODY; relaxed */
} __attribute__((aligned(64)));

/*
 * Inside addresses of all workers' sessions. A worker whose slice is empty takes from another's, so
 * that none is refused while there are any; the packets of such an address arrive at the wrong
 * worker. Only taking and giving lock.
 */
struct lw_pool {
	uint32_t base; /* first address of the prefix, host order */
	uint32_t size; /* of the prefix */
	uint32_t cap;  /* addresses that may be handed out */
	uint32_t n_slices;
	struct lw_pool_slice *slices;
	pthread_mutex_t lock;
};

/**
 * lw_pool_init() - all host addresses of a prefix but the reserved ones
 *
 * @prefix:   IPv4, length LW_POOL_PREFIX_MIN..30
 * @reserved: addresses that are never handed out; those outside the prefix do not matter
 * @workers:  1..LW_POOL_NOBODY
 *
 * Context: control thread.
 * Return:  0, -EINVAL (prefix) or -ENOMEM.
 */
int lw_pool_init(struct lw_pool *p, const struct lw_addr *prefix, const struct lw_addr *reserved,
                 uint32_t n_reserved, uint32_t workers);

/* lw_pool_fini() - takes one that is zeroed */
void lw_pool_fini(struct lw_pool *p);

/* lw_pool_take() - an address for an owner of that worker, of its own slice while there are any;
 * 0: none is left. That worker's thread */
uint32_t lw_pool_take(struct lw_pool *p, uint32_t worker, void *owner);

/* lw_pool_give() - back into its queue; the thread of the worker that took it */
void lw_pool_give(struct lw_pool *p, uint32_t address);

/* lw_pool_free() - how many addresses are left; any thread */
uint32_t lw_pool_free(const struct lw_pool *p);

/* lw_pool_worker() - whose session has this address, or LW_POOL_NOBODY; any thread */
static inline uint32_t lw_pool_worker(const struct lw_pool *p, uint32_t address)
{
	uint32_t i = address - p->base;

	if (i >= p->size)
		return LW_POOL_NOBODY;
	return __atomic_load_n(&p->slices[address % p->n_slices].workers[i / p->n_slices],
	                       __ATOMIC_RELAXED);
}

/* lw_pool_owner() - which of this worker's sessions has this address, or NULL; that worker */
static inline void *lw_pool_owner(const struct lw_pool *p, uint32_t worker, uint32_t address)
{
	if (lw_pool_worker(p, address) != worker)
		return NULL;
	return p->slices[address % p->n_slices].owners[(address - p->base) / p->n_slices];
}

#endif

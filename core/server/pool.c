/* SPDX-License-Identifier: MIT */
#include "server/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/random.h"

static bool is_reserved(uint32_t address, const struct lw_addr *reserved, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (lw_addr_u32(&reserved[i]) == address)
			return true;
	}
	return false;
}

/* Fisher and Yates; the small bias of the remainder does no harm to an order of addresses. */
static void shuffle(uint32_t *queue, uint32_t n)
{
	struct lw_random random = { 0 };

	for (uint32_t i = n; i > 1; i--) {
		uint32_t j;
		uint32_t swap;

		lw_random_take(&random, &j, sizeof(j));
		j %= i;
		swap = queue[i - 1];
		queue[i - 1] = queue[j];
		queue[j] = swap;
	}
}

static struct lw_pool_slice *slice_of(const struct lw_pool *p, uint32_t address)
{
	return &p->slices[address % p->n_slices];
}

static int make_slice(struct lw_pool_slice *slice, uint32_t places)
{
	*slice = (struct lw_pool_slice){ .queue = calloc(places, sizeof(*slice->queue)),
		                         .owners = calloc(places, sizeof(*slice->owners)),
		                         .workers = malloc(places) };
	if (slice->queue == NULL || slice->owners == NULL || slice->workers == NULL)
		return -ENOMEM;
	memset(slice->workers, (int)LW_POOL_NOBODY, places);
	return 0;
}

static int make_slices(struct lw_pool *p, uint32_t n)
{
	int r = 0;

	p->slices = aligned_alloc(_Alignof(struct lw_pool_slice), n * sizeof(*p->slices));
	if (p->slices == NULL)
		return -ENOMEM;
	while (r == 0 && p->n_slices < n)
		r = make_slice(&p->slices[p->n_slices++], p->size / n + 1);
	return r;
}

int lw_pool_init(struct lw_pool *p, const struct lw_addr *prefix, const struct lw_addr *reserved,
                 uint32_t n_reserved, uint32_t workers)
{
	*p = (struct lw_pool){ 0 };
	if (prefix->family != 4 || prefix->prefix < LW_POOL_PREFIX_MIN || prefix->prefix > 30)
		return -EINVAL;
	p->size = 1u << (32 - prefix->prefix);
	p->base = lw_addr_u32(prefix) & ~(p->size - 1);
	(void)pthread_mutex_init(&p->lock, NULL);
	if (make_slices(p, workers) < 0) {
		lw_pool_fini(p);
		return -ENOMEM;
	}
	for (uint32_t i = 1; i < p->size - 1; i++) { /* not the network, not the broadcast */
		struct lw_pool_slice *slice = slice_of(p, p->base + i);

		if (!is_reserved(p->base + i, reserved, n_reserved))
			slice->queue[slice->cap++] = p->base + i;
	}
	for (uint32_t i = 0; i < p->n_slices; i++) {
		struct lw_pool_slice *slice = &p->slices[i];

		slice->n_free = slice->cap;
		p->cap += slice->cap;
		shuffle(slice->queue, slice->cap);
	}
	return 0;
}

void lw_pool_fini(struct lw_pool *p)
{
	for (uint32_t i = 0; i < p->n_slices; i++) {
		free(p->slices[i].queue);
		free(p->slices[i].owners);
		free(p->slices[i].workers);
	}
	free(p->slices);
	if (p->size > 0)
		(void)pthread_mutex_destroy(&p->lock);
	*p = (struct lw_pool){ 0 };
}

static void set_free(struct lw_pool_slice *slice, uint32_t n)
{
	__atomic_store_n(&slice->n_free, n, __ATOMIC_RELAXED);
}

/* One's own while it lasts, then that which has most. */
static struct lw_pool_slice *choose(struct lw_pool *p, uint32_t worker)
{
	struct lw_pool_slice *best = &p->slices[worker];

	for (uint32_t i = 0; best->n_free == 0 && i < p->n_slices; i++)
		best = &p->slices[i];
	for (uint32_t i = 0; best != &p->slices[worker] && i < p->n_slices; i++) {
		if (p->slices[i].n_free > best->n_free)
			best = &p->slices[i];
	}
	return best->n_free > 0 ? best : NULL;
}

static uint32_t take(struct lw_pool *p, struct lw_pool_slice *slice, uint32_t worker, void *owner)
{
	uint32_t address = slice->queue[slice->first];
	uint32_t place = (address - p->base) / p->n_slices;

	slice->first = (slice->first + 1) % slice->cap;
	set_free(slice, slice->n_free - 1);
	slice->owners[place] = owner;
	__atomic_store_n(&slice->workers[place], (uint8_t)worker, __ATOMIC_RELAXED);
	return address;
}

uint32_t lw_pool_take(struct lw_pool *p, uint32_t worker, void *owner)
{
	struct lw_pool_slice *slice;
	uint32_t address = 0;

	(void)pthread_mutex_lock(&p->lock);
	slice = choose(p, worker);
	if (slice != NULL)
		address = take(p, slice, worker, owner);
	(void)pthread_mutex_unlock(&p->lock);
	return address;
}

void lw_pool_give(struct lw_pool *p, uint32_t address)
{
	struct lw_pool_slice *slice = slice_of(p, address);
	uint32_t place = (address - p->base) / p->n_slices;

	(void)pthread_mutex_lock(&p->lock);
	__atomic_store_n(&slice->workers[place], (uint8_t)LW_POOL_NOBODY, __ATOMIC_RELAXED);
	slice->owners[place] = NULL;
	slice->queue[(slice->first + slice->n_free) % slice->cap] = address;
	set_free(slice, slice->n_free + 1);
	(void)pthread_mutex_unlock(&p->lock);
}

uint32_t lw_pool_free(const struct lw_pool *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n_slices; i++)
		n += __atomic_load_n(&p->slices[i].n_free, __ATOMIC_RELAXED);
	return n;
}

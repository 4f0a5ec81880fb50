/* SPDX-License-Identifier: MIT */
#include "server/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

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

int lw_pool_init(struct lw_pool *p, const struct lw_addr *prefix, const struct lw_addr *reserved,
                 uint32_t n_reserved)
{
	*p = (struct lw_pool){ 0 };
	if (prefix->family != 4 || prefix->prefix < LW_POOL_PREFIX_MIN || prefix->prefix > 30)
		return -EINVAL;
	p->size = 1u << (32 - prefix->prefix);
	p->base = lw_addr_u32(prefix) & ~(p->size - 1);
	p->queue = calloc(p->size, sizeof(*p->queue));
	p->owners = calloc(p->size, sizeof(*p->owners));
	if (p->queue == NULL || p->owners == NULL) {
		lw_pool_fini(p);
		return -ENOMEM;
	}
	for (uint32_t i = 1; i < p->size - 1; i++) { /* not the network, not the broadcast */
		if (!is_reserved(p->base + i, reserved, n_reserved))
			p->queue[p->cap++] = p->base + i;
	}
	p->n_free = p->cap;
	shuffle(p->queue, p->cap);
	return 0;
}

void lw_pool_fini(struct lw_pool *p)
{
	free(p->queue);
	free(p->owners);
	*p = (struct lw_pool){ 0 };
}

static void set_free(struct lw_pool *p, uint32_t n)
{
	__atomic_store_n(&p->n_free, n, __ATOMIC_RELAXED);
}

uint32_t lw_pool_take(struct lw_pool *p, void *owner)
{
	uint32_t address;

	if (p->n_free == 0)
		return 0;
	address = p->queue[p->first];
	p->first = (p->first + 1) % p->cap;
	set_free(p, p->n_free - 1);
	p->owners[address - p->base] = owner;
	return address;
}

void lw_pool_give(struct lw_pool *p, uint32_t address)
{
	p->owners[address - p->base] = NULL;
	p->queue[(p->first + p->n_free) % p->cap] = address;
	set_free(p, p->n_free + 1);
}

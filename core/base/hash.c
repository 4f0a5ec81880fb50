/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define SLOTS_AT_START 64

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

/* inline whatever the compiler thinks: it stands in the way of every packet */
static inline __attribute__((always_inline)) void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static uint64_t little_endian(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint64_t lw_siphash(const uint64_t key[2], const void *data, size_t len)
{
	/* the constants of the paper, section 2.1 */
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
		          key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u };
	const uint8_t *p = data;
	size_t left = len;

	for (;;) {
		uint64_t m = left >= 8 ? little_endian(p, 8)
		                       : little_endian(p, left) | (uint64_t)(len & 255) << 56;

		v[3] ^= m;
		sip_round(v);
		sip_round(v);
		v[0] ^= m;
		if (left < 8)
			break;
		p += 8;
		left -= 8;
	}
	v[2] ^= 255;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static const void *key_of(const struct lw_hash *h, const struct lw_hash_node *node)
{
	return (const char *)node + h->key_off;
}

static void grow(struct lw_hash *h)
{
	size_t mask = h->mask * 2 + 1;
	struct lw_hash_node **slots = calloc(mask + 1, sizeof(struct lw_hash_node *));

	if (slots == NULL)
		return;
	for (size_t i = 0; i <= h->mask; i++) {
		struct lw_hash_node *node = h->slots[i];

		while (node != NULL) {
			struct lw_hash_node *next = node->next;

			node->next = slots[node->hash & mask];
			slots[node->hash & mask] = node;
			node = next;
		}
	}
	free((void *)h->slots);
	h->slots = slots;
	h->mask = mask;
}

int lw_hash_init(struct lw_hash *h, ptrdiff_t key_off, size_t key_len)
{
	*h = (struct lw_hash){ .mask = SLOTS_AT_START - 1, .key_off = key_off, .key_len = key_len };
	h->slots = calloc(SLOTS_AT_START, sizeof(struct lw_hash_node *));
	if (h->slots == NULL)
		return -ENOMEM;
	lw_random_bytes(h->key, sizeof(h->key));
	return 0;
}

void lw_hash_fini(struct lw_hash *h)
{
	free((void *)h->slots);
	h->slots = NULL;
	h->n = 0;
}

struct lw_hash_node *lw_hash_find(const struct lw_hash *h, const void *key)
{
	uint64_t hash = lw_siphash(h->key, key, h->key_len);

	for (struct lw_hash_node *node = h->slots[hash & h->mask]; node != NULL;
	     node = node->next) {
		if (node->hash == hash && memcmp(key_of(h, node), key, h->key_len) == 0)
			return node;
	}
	return NULL;
}

void lw_hash_add(struct lw_hash *h, struct lw_hash_node *node)
{
	if (h->n > h->mask)
		grow(h);
	node->hash = lw_siphash(h->key, key_of(h, node), h->key_len);
	node->next = h->slots[node->hash & h->mask];
	h->slots[node->hash & h->mask] = node;
	h->n++;
}

void lw_hash_remove(struct lw_hash *h, struct lw_hash_node *node)
{
	struct lw_hash_node **at = &h->slots[node->hash & h->mask];

	for (; *at != NULL; at = &(*at)->next) {
		if (*at == node) {
			*at = node->next;
			node->next = NULL;
			h->n--;
			return;
		}
	}
}

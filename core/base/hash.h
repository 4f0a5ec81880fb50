/* SPDX-License-Identifier: MIT */
#ifndef LW_BASE_HASH_H
#define LW_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* a member of what the table holds; the key lies at a fixed distance from it */
struct lw_hash_node {
	struct lw_hash_node *next;
	uint64_t hash;
};

/*
 * Table of nodes that live in their owners. Peers choose keys (source addresses, session ids), so
 * the hash is keyed (SipHash-2-4) and collisions cannot be prepared from outside.
 */
struct lw_hash {
	struct lw_hash_node **slots;
	uint64_t key[2];
	size_t n;
	size_t mask;
	ptrdiff_t key_off;
	size_t key_len;
};

/* lw_siphash() - SipHash-2-4 of Aumasson and Bernstein, 2012 */
uint64_t lw_siphash(const uint64_t key[2], const void *data, size_t len);

/**
 * lw_hash_init() - an empty table
 *
 * @h:       the caller's
 * @key_off: bytes from a node to its key: offsetof(owner, key) - offsetof(owner, node)
 * @key_len: bytes of a key
 *
 * Context: the table's thread, as for all calls here.
 * Return:  0 or -ENOMEM.
 */
int lw_hash_init(struct lw_hash *h, ptrdiff_t key_off, size_t key_len);

/* lw_hash_fini() - free the slots; the nodes are their owners' */
void lw_hash_fini(struct lw_hash *h);

/* lw_hash_find() - the node with this key, or NULL */
struct lw_hash_node *lw_hash_find(const struct lw_hash *h, const void *key);

/**
 * lw_hash_add() - add a node whose key is set and not yet in the table
 *
 * Growing can fail, adding cannot: the chains get longer instead.
 */
void lw_hash_add(struct lw_hash *h, struct lw_hash_node *node);

/* lw_hash_remove() - take a node out; one that is not in the table is left alone */
void lw_hash_remove(struct lw_hash *h, struct lw_hash_node *node);

/* lw_hash_owner() - from a node to the struct it is a member of */
#define lw_hash_owner(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif

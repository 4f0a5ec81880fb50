/* SPDX-License-Identifier: MIT */
/*
 * The descriptors that a worker watches for its modules, and those of them that may have something:
 * its worker's alone. Each is known by its number, and by the tag that its module gave it.
 */
#ifndef LW_WORKER_WATCH_H
#define LW_WORKER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "worker/worker.h"

/* how a module names what it watches */
struct lw_watch_key {
	uint32_t attach;
	uint32_t tag;
};

/* a watched descriptor */
struct lw_watch {
	struct lw_hash_node fd_node;
	struct lw_hash_node tag_node;
	struct lw_watch_key key;
	int fd;
	bool ready;
	uint64_t round;        /* in which it became ready */
	bool writing;          /* EPOLLOUT is armed */
	bool gone;             /* unwatched in this round */
	struct lw_watch *next; /* ready, or gone */
	struct lw_attach *attach;
	struct lw_tunnel *tunnel; /* TCP connections */
};

/* lw_watches_init() - none are watched; 0 or -ENOMEM */
int lw_watches_init(struct lw_core *c);
void lw_watches_fini(struct lw_core *c);

/* lw_watch_find() - what an outside has watched under a tag, or NULL */
struct lw_watch *lw_watch_find(struct lw_core *c, const struct lw_port *port, uint32_t tag);

/* lw_watch_has_strangers() - do peers without a session arrive there? */
static inline bool lw_watch_has_strangers(const struct lw_watch *w)
{
	return (w->key.tag & LW_TAG_STRANGERS) != 0 && w->attach->kind == LW_ATTACH_PORT;
}

/* lw_watch_arm() - be told of it by epoll from now on, also of room to write; 0 or a negative errno
 */
int lw_watch_arm(struct lw_core *c, struct lw_watch *w, bool writing);

/* lw_watch_ready() - it may have something: it stands behind all others of its list, once */
void lw_watch_ready(struct lw_core *c, struct lw_watch *w);

/* lw_watch_ready_inside() - the same of the inside */
void lw_watch_ready_inside(struct lw_core *c);

/* lw_watch_pop() - the first of a list that is not empty */
struct lw_watch *lw_watch_pop(struct lw_ready *list);

/* lw_watch_free_gone() - the round is over: no event names any more what was unwatched in it */
void lw_watch_free_gone(struct lw_core *c);

#endif

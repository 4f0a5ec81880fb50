/* SPDX-License-Identifier: MIT */
#include "worker/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define KEY_OFFSET(key, node)                                                                      \
	((ptrdiff_t)offsetof(struct lw_watch, key) - (ptrdiff_t)offsetof(struct lw_watch, node))

/* --- who is ready --- */

static struct lw_ready *ready_of(struct lw_core *c, const struct lw_watch *w)
{
	return lw_watch_has_strangers(w) ? &c->strangers : &c->ready;
}

void lw_watch_ready(struct lw_core *c, struct lw_watch *w)
{
	struct lw_ready *list = ready_of(c, w);

	if (w->ready)
		return;
	w->ready = true;
	w->round = c->round;
	w->next = NULL;
	if (list->last != NULL)
		list->last->next = w;
	else
		list->first = w;
	list->last = w;
}

struct lw_watch *lw_watch_pop(struct lw_ready *list)
{
	struct lw_watch *w = list->first;

	list->first = w->next;
	if (list->first == NULL)
		list->last = NULL;
	w->ready = false;
	return w;
}

static void forget_ready(struct lw_core *c, struct lw_watch *gone)
{
	struct lw_ready *list = ready_of(c, gone);
	struct lw_watch *before = NULL;

	for (struct lw_watch *w = list->first; w != gone; w = w->next)
		before = w;
	if (before != NULL)
		before->next = gone->next;
	else
		list->first = gone->next;
	if (list->last == gone)
		list->last = before;
	gone->ready = false;
}

void lw_watch_ready_inside(struct lw_core *c)
{
	for (size_t i = 0; i <= c->by_fd.mask; i++) {
		for (struct lw_hash_node *n = c->by_fd.slots[i]; n != NULL; n = n->next) {
			struct lw_watch *w = lw_hash_owner(n, struct lw_watch, fd_node);

			if (w->attach->kind == LW_ATTACH_INSIDE)
				lw_watch_ready(c, w);
		}
	}
}

/* --- watches --- */

/* While strangers wait for their turn more of them wake nobody: they are armed again when it is
 * over. */
static int arm(struct lw_core *c, struct lw_watch *w, int op, bool writing)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET };

	if (lw_watch_has_strangers(w))
		ev.events |= EPOLLONESHOT;
	if (writing)
		ev.events |= EPOLLOUT;
	ev.data.ptr = w;
	w->writing = writing;
	return epoll_ctl(c->epfd, op, w->fd, &ev) == 0 ? 0 : -errno;
}

int lw_watch_arm(struct lw_core *c, struct lw_watch *w, bool writing)
{
	return arm(c, w, EPOLL_CTL_MOD, writing);
}

int lw_core_watch(struct lw_attach *a, int fd, uint32_t tag)
{
	struct lw_core *c = a->core;
	struct lw_watch *w;
	int r;

	if (lw_hash_find(&c->by_fd, &fd) != NULL)
		return -EEXIST;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->attach = a;
	w->fd = fd;
	w->key = (struct lw_watch_key){ .attach = a->index, .tag = tag };
	r = arm(c, w, EPOLL_CTL_ADD, false);
	if (r < 0) {
		free(w);
		return r;
	}
	lw_hash_add(&c->by_fd, &w->fd_node);
	lw_hash_add(&c->by_tag, &w->tag_node);
	return 0;
}

void lw_core_unwatch(struct lw_attach *a, int fd)
{
	struct lw_core *c = a->core;
	struct lw_hash_node *node = lw_hash_find(&c->by_fd, &fd);
	struct lw_watch *w;

	if (node == NULL)
		return;
	w = lw_hash_owner(node, struct lw_watch, fd_node);
	(void)epoll_ctl(c->epfd, EPOLL_CTL_DEL, fd, NULL);
	lw_hash_remove(&c->by_fd, &w->fd_node);
	lw_hash_remove(&c->by_tag, &w->tag_node);
	if (w->ready)
		forget_ready(c, w);
	w->gone = true;
	w->next = c->gone;
	c->gone = w;
}

void lw_watch_free_gone(struct lw_core *c)
{
	while (c->gone != NULL) {
		struct lw_watch *w = c->gone;

		c->gone = w->next;
		free(w);
	}
}

struct lw_watch *lw_watch_find(struct lw_core *c, const struct lw_port *port, uint32_t tag)
{
	const struct lw_attach *a = port->w->core;
	struct lw_watch_key key = { .attach = a->index, .tag = tag };
	struct lw_hash_node *node = lw_hash_find(&c->by_tag, &key);

	return node != NULL ? lw_hash_owner(node, struct lw_watch, tag_node) : NULL;
}

int lw_core_bind(struct lw_core *c, struct lw_port *port, uint32_t tag, struct lw_tunnel *t)
{
	struct lw_watch *w = lw_watch_find(c, port, tag);

	if (w == NULL)
		return -ENOENT;
	w->tunnel = t;
	lw_watch_ready(c, w); /* its first bytes may be there already */
	return 0;
}

void lw_core_look_again(struct lw_core *c, const struct lw_port *port, uint32_t tag)
{
	struct lw_watch *w = lw_watch_find(c, port, tag);

	if (w != NULL)
		lw_watch_ready(c, w);
}

/* --- life --- */

int lw_watches_init(struct lw_core *c)
{
	int r = lw_hash_init(&c->by_fd, KEY_OFFSET(fd, fd_node), sizeof(int));

	if (r == 0)
		r = lw_hash_init(&c->by_tag, KEY_OFFSET(key, tag_node),
		                 sizeof(struct lw_watch_key));
	return r;
}

void lw_watches_fini(struct lw_core *c)
{
	lw_watch_free_gone(c);
	lw_hash_fini(&c->by_fd);
	lw_hash_fini(&c->by_tag);
}

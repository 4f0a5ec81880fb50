/* SPDX-License-Identifier: MIT */
#ifndef LW_WORKER_MAILBOX_H
#define LW_WORKER_MAILBOX_H

#include <pthread.h>

/* a message, inside what it is about; sent again only after it was delivered */
struct lw_mail {
	struct lw_mail *next;
	void (*deliver)(struct lw_mail *m);
};

/*
 * How a thread hears the others: a list under a lock and an eventfd for its epoll. It needs no
 * bound of its own, since each message lives in an object whose number is bounded.
 */
struct lw_mailbox {
	pthread_mutex_t lock;
	struct lw_mail *head;
	struct lw_mail *tail;
	int fd;
};

/* lw_mailbox_init() - 0 or a negative errno */
int lw_mailbox_init(struct lw_mailbox *mb);
void lw_mailbox_fini(struct lw_mailbox *mb);

/* lw_mailbox_post() - any thread; the owner's thread will call m->deliver(m) */
void lw_mailbox_post(struct lw_mailbox *mb, struct lw_mail *m);

/* lw_mailbox_deliver() - the owner's thread: deliver all that is there */
void lw_mailbox_deliver(struct lw_mailbox *mb);

#endif

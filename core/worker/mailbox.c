/* SPDX-License-Identifier: MIT */
#include "worker/mailbox.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int lw_mailbox_init(struct lw_mailbox *mb)
{
	*mb = (struct lw_mailbox){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	if (mb->fd < 0)
		return -errno;
	return -pthread_mutex_init(&mb->lock, NULL);
}

void lw_mailbox_fini(struct lw_mailbox *mb)
{
	if (mb->fd < 0)
		return;
	(void)close(mb->fd);
	(void)pthread_mutex_destroy(&mb->lock);
	mb->fd = -1;
}

void lw_mailbox_post(struct lw_mailbox *mb, struct lw_mail *m)
{
	const uint64_t one = 1;

	m->next = NULL;
	(void)pthread_mutex_lock(&mb->lock);
	if (mb->tail != NULL)
		mb->tail->next = m;
	else
		mb->head = m;
	mb->tail = m;
	(void)pthread_mutex_unlock(&mb->lock);
	(void)!write(mb->fd, &one, sizeof(one));
}

void lw_mailbox_deliver(struct lw_mailbox *mb)
{
	struct lw_mail *list;
	uint64_t count;

	(void)!read(mb->fd, &count, sizeof(count));
	(void)pthread_mutex_lock(&mb->lock);
	list = mb->head;
	mb->head = NULL;
	mb->tail = NULL;
	(void)pthread_mutex_unlock(&mb->lock);
	while (list != NULL) {
		struct lw_mail *m = list;

		list = m->next;
		m->deliver(m); /* may free or send m again */
	}
}

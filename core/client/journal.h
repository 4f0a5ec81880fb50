/* SPDX-License-Identifier: MIT */
/*
 * What a client has changed, in a file that outlives it: one line a route, on disk before the
 * route is made. The file is locked while its client lives, by the kernel, so a killed one leaves
 * no lock.
 */
#ifndef LW_CLIENT_JOURNAL_H
#define LW_CLIENT_JOURNAL_H

#include <net/if.h>

#include <laneway/err.h>

#include "client/rtnl.h"

struct lw_journal_entry {
	struct lw_route route;
	char device[IF_NAMESIZE]; /* a number may belong to another device by now */
};

/**
 * struct lw_journal - the file, and what is in it
 *
 * @fd:    -1 until open
 * @path:  of the file
 * @entry: in the order they were added
 * @n:     how many
 * @cap:   how many there is room for
 */
struct lw_journal {
	int fd;
	char *path;
	struct lw_journal_entry *entry;
	uint32_t n;
	uint32_t cap;
};

/**
 * lw_journal_open() - take the file over, with what a killed client left in it
 *
 * @dir:  made (0755) when it is missing
 * @name: of the client: letters, digits, dot, dash, underscore
 *
 * Lines that cannot be read are left out: what was cut by a crash was never done.
 *
 * Context: control thread.
 * Return:  0, -EBUSY (a client of this name runs), -EINVAL (bad name), -EPERM, ...
 */
int lw_journal_open(struct lw_journal *j, const char *dir, const char *name, struct lw_err *err);

/* lw_journal_add() - write an entry down; it is on disk when this answers 0 */
int lw_journal_add(struct lw_journal *j, const struct lw_journal_entry *e);

/* lw_journal_drop_last() - forget what lw_journal_add() added last, here and in the file */
int lw_journal_drop_last(struct lw_journal *j);

/* lw_journal_clear() - forget all, lines that could not be read included */
int lw_journal_clear(struct lw_journal *j);

/* lw_journal_close() - also removes the file if nothing is in it */
void lw_journal_close(struct lw_journal *j);

#endif

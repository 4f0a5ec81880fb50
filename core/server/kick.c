/* SPDX-License-Identifier: MIT */
#include "server/kick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/record.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* How many, at most @cap; 0: it is no list of serials. */
static uint32_t read_list(const char *list, uint64_t *serials, uint32_t cap)
{
	for (uint32_t n = 0; n < cap; list++) {
		char *end;

		if (*list < '0' || *list > '9')
			return 0;
		errno = 0;
		serials[n++] = strtoull(list, &end, 10);
		list = end;
		if (errno != 0 || (*list != ' ' && *list != '\0'))
			return 0;
		if (*list == '\0')
			return n;
	}
	return 0;
}

static uint32_t drop_repeated(uint64_t *serials, uint32_t n)
{
	uint32_t kept = 0;

	qsort(serials, n, sizeof(*serials), compare);
	for (uint32_t i = 0; i < n; i++) {
		if (kept == 0 || serials[kept - 1] != serials[i])
			serials[kept++] = serials[i];
	}
	return kept;
}

int lw_kick_serials(struct lw_kick *k, const char *list)
{
	uint32_t cap = (uint32_t)strlen(list) / 2 + 1; /* a digit and a space each */

	k->serials = calloc(cap, sizeof(*k->serials));
	k->found = calloc(cap, sizeof(*k->found));
	if (k->serials == NULL || k->found == NULL)
		return -ENOMEM;
	k->n_serials = drop_repeated(k->serials, read_list(list, k->serials, cap));
	return k->n_serials > 0 ? 0 : -EINVAL;
}

int lw_kick_user(struct lw_kick *k, const char *user)
{
	size_t len = strlen(user);

	if (len == 0 || len >= sizeof(k->user))
		return -EINVAL;
	memcpy(k->user, user, len + 1);
	return 0;
}

void lw_kick_fini(struct lw_kick *k)
{
	free(k->serials);
	free(k->found);
	*k = (struct lw_kick){ .serials = NULL };
}

bool lw_kick_complete(const struct lw_kick *k)
{
	return k->n_serials > 0 && k->n_found == k->n_serials;
}

static bool is_meant(struct lw_kick *k, const struct lw_tunnel *t)
{
	const uint64_t *at;

	if (k->n_serials == 0)
		return strcmp(t->user, k->user) == 0;
	at = bsearch(&t->s.serial, k->serials, k->n_serials, sizeof(*at), compare);
	if (at == NULL)
		return false;
	k->found[at - k->serials] = true;
	k->n_found++;
	return true;
}

bool lw_kick_round(struct lw_sessions *s, struct lw_walk *w, struct lw_kick *k)
{
	uint32_t left = LW_WALK_ROUND;
	uint32_t ended = 0;

	while (left > 0 && ended < LW_KICK_ROUND && !lw_kick_complete(k)) {
		struct lw_record *rec = lw_walk_next(w);

		if (rec == NULL)
			break;
		left--;
		if (!is_meant(k, rec->timed.tunnel))
			continue;
		ended++;
		lw_path_close(&s->core->path, rec->timed.tunnel, s->core->now_us);
	}
	if (ended > 0)
		lw_path_flush(&s->core->path, s->core->now_us);
	k->n_ended += ended;
	return w->at != NULL && !lw_kick_complete(k);
}

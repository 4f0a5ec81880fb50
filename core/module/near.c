/* SPDX-License-Identifier: MIT */
#include "module/near.h"

#include <string.h>

/* longer words are never keys of ours */
#define WORD_MAX 64

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* edits that turn a into b: insert, delete, replace, or swap two neighbours */
static size_t edits(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][WORD_MAX + 1] = { 0 };
	size_t *before = rows[0];
	size_t *last = rows[1];
	size_t *row = rows[2];

	for (size_t j = 0; j <= nb; j++)
		last[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *old = before;

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			row[j] = smallest(last[j] + 1, row[j - 1] + 1,
			                  last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		before = last;
		last = row;
		row = old;
	}
	return last[nb];
}

void lw_near_init(struct lw_near *n, const char *word)
{
	size_t len = strlen(word);

	/* one slip in a short word, three at most; what is further off is another word */
	*n = (struct lw_near){ .word = word, .distance = len < 4 ? 2 : len < 8 ? 3 : 4 };
}

void lw_near_offer(struct lw_near *n, const char *candidate)
{
	size_t na = strlen(n->word);
	size_t nb = strlen(candidate);
	size_t d;

	if (na == 0 || na > WORD_MAX || nb > WORD_MAX)
		return;
	d = edits(n->word, na, candidate, nb);
	if (d < n->distance && d < nb) {
		n->best = candidate;
		n->distance = d;
	}
}

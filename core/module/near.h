/* SPDX-License-Identifier: MIT */
#ifndef LW_MODULE_NEAR_H
#define LW_MODULE_NEAR_H

#include <stddef.h>

/* the word that a misspelt one was probably meant to be, out of those offered */
struct lw_near {
	const char *word;
	const char *best; /* NULL: nothing offered is near enough */
	size_t distance;
};

/* lw_near_init() - look for what is near @word, which is borrowed */
void lw_near_init(struct lw_near *n, const char *word);

/* lw_near_offer() - compare one candidate; it is borrowed, the first of equals wins */
void lw_near_offer(struct lw_near *n, const char *candidate);

#endif

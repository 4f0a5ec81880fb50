/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/wipe.h"

void lw_random_bytes(void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			perror("getrandom");
			abort();
		}
		p += n;
		len -= (size_t)n;
	}
}

void lw_random_take(struct lw_random *r, void *buf, size_t len)
{
	uint8_t *out = buf;

	while (len > 0) {
		size_t n = len < r->left ? len : r->left;
		uint8_t *src = r->pool + LW_RANDOM_POOL - r->left;

		if (r->left == 0) {
			lw_random_bytes(r->pool, sizeof(r->pool));
			r->left = LW_RANDOM_POOL;
			continue;
		}
		memcpy(out, src, n);
		lw_wipe(src, n);
		r->left -= (uint32_t)n;
		out += n;
		len -= n;
	}
}

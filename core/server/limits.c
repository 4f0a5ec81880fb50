/* SPDX-License-Identifier: MIT */
#include "server/limits.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"

/* the address alone: a peer has as many ports as it likes, and of IPv6 as many hosts */
static uint32_t bucket_of(const struct lw_limits *l, const struct lw_addr *remote)
{
	return (uint32_t)(lw_siphash(l->key, remote->ip, remote->family == 6 ? 8 : 4) %
	                  LW_PENDING_BUCKETS);
}

static void save_up(struct lw_limits *l, uint64_t now_us)
{
	uint64_t full = l->max.handshakes_per_s * LW_US_PER_S;
	uint64_t us = now_us > l->credit_at_us ? now_us - l->credit_at_us : 0;

	l->credit_at_us = now_us;
	if (us >= LW_US_PER_S || l->credit + us * l->max.handshakes_per_s > full)
		l->credit = full;
	else
		l->credit += us * l->max.handshakes_per_s;
}

/* Microseconds in which one source may begin one session, after those of a second at once. */
static uint64_t share_us(const struct lw_limits *l)
{
	uint64_t share = (l->max.handshakes_per_s + LW_SOURCE_SHARE - 1) / LW_SOURCE_SHARE;

	return LW_US_PER_S / share;
}

/* How much of its share a source has taken, as the time in which that comes back. */
static uint64_t taken_us(const struct lw_source *s, uint64_t now_us)
{
	uint64_t us = s->share_at_us - now_us;

	return us <= LW_US_PER_S ? us : 0; /* in the past, or set before the clock went back */
}

void lw_limits_init(struct lw_limits *l, const struct lw_server_limits *max, uint64_t now_us)
{
	*l = (struct lw_limits){ .max = *max,
		                 .credit = max->handshakes_per_s * LW_US_PER_S,
		                 .credit_at_us = now_us };
	lw_random_bytes(l->key, sizeof(l->key));
}

enum lw_limit lw_limits_admit(struct lw_limits *l, uint64_t n, const struct lw_addr *remote,
                              uint64_t now_us)
{
	struct lw_source *source = &l->sources[bucket_of(l, remote)];
	uint64_t taken = taken_us(source, now_us);

	if (n >= l->max.sessions)
		return LW_LIMIT_SESSIONS;
	if (source->pending >= LW_PENDING_PER_SOURCE || taken > LW_US_PER_S - share_us(l))
		return LW_LIMIT_SOURCE;
	save_up(l, now_us);
	if (l->credit < LW_US_PER_S)
		return LW_LIMIT_HANDSHAKES;
	l->credit -= LW_US_PER_S;
	source->share_at_us = now_us + taken + share_us(l);
	return LW_LIMIT_NONE;
}

uint32_t lw_limits_begin(struct lw_limits *l, const struct lw_addr *remote)
{
	uint32_t bucket = bucket_of(l, remote);

	l->sources[bucket].pending++;
	return bucket;
}

void lw_limits_end(struct lw_limits *l, uint32_t bucket)
{
	l->sources[bucket].pending--;
}

/* SPDX-License-Identifier: MIT */
/*
 * How many datagrams of one session may leave at once, and at which rate what follows them.
 *
 * Loss behind us shows in the inside TCP streams that pass: bytes that are sent again were lost.
 * The share of such bytes with the present limit is compared with that of the limit before, so
 * loss that has nothing to do with bursts does not keep them small. The manual of outside-udp says
 * the rules in ten lines; burst.c has the numbers.
 *
 * Pure: no clock, no allocation. What passes inside can at most shrink its own session's bursts.
 */
#ifndef LW_SESSION_BURST_H
#define LW_SESSION_BURST_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/packet.h>

#define LW_BURST_MAX   63u /* datagrams: no limit but that of a run */
#define LW_BURST_FLOOR 8u  /* less costs more than it gains: offload.md 1.10 */
/* TCP connections that are watched, of a session; others are not while these are in use */
#define LW_BURST_FLOWS 8u

/* one inside TCP connection, in one direction */
struct lw_burst_flow {
	uint32_t id;      /* hash of addresses and ports; 0: free */
	uint32_t next;    /* sequence number behind the highest that passed */
	uint32_t missing; /* bytes below it that never came here: lost before us */
	uint32_t epoch;   /* the last in which it sent */
};

enum lw_burst_trial { LW_BURST_NO_TRIAL, LW_BURST_TRY_LESS, LW_BURST_TRY_MORE };

/* all times in us */
struct lw_burst {
	uint32_t limit; /* datagrams */
	bool fixed;
	enum lw_burst_trial trial;
	/* bytes per ms, all that is sent, smoothed */
	uint32_t rate;
	uint32_t rate_bytes;
	uint64_t rate_since;
	/* this epoch, of the connections watched, in bytes */
	uint64_t since;
	uint32_t sent;
	uint32_t lost;
	uint32_t epoch;
	/* lost bytes of a million with the present limit, and over how many epochs */
	uint32_t share;
	uint32_t share_last; /* in the last of them alone */
	uint32_t epochs;
	uint32_t share_before; /* the same before the trial, with that limit */
	uint32_t limit_before;
	/* not before; and what is added to it when a trial has gained nothing */
	uint64_t less_at;
	uint64_t more_at;
	uint64_t less_wait;
	uint64_t more_wait;
	struct lw_burst_flow flows[LW_BURST_FLOWS];
};

/**
 * lw_burst_init() - begin
 *
 * @datagrams: the limit, for good; 0: what is best, LW_BURST_MAX at first
 */
void lw_burst_init(struct lw_burst *b, uint32_t datagrams);

/**
 * lw_burst_sent() - a packet or superpacket of the inside is about to be sent
 *
 * Return: -1: the limit has shrunk, 1: it has grown, 0: neither.
 */
int lw_burst_sent(struct lw_burst *b, const struct lw_packet *p, uint64_t at);

/* lw_burst_refused() - the kernel had no memory for so many bytes: as good as lost */
void lw_burst_refused(struct lw_burst *b, uint32_t bytes);

/* lw_burst_limited() - less than what a run may have: then what follows is spaced */
static inline bool lw_burst_limited(const struct lw_burst *b)
{
	return b->limit < LW_BURST_MAX;
}

/* lw_burst_rate() - bytes per ms at which what follows may leave, more than what comes in on
 * average */
uint32_t lw_burst_rate(const struct lw_burst *b);

#endif

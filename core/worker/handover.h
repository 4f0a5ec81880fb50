/* SPDX-License-Identifier: MIT */
/*
 * What arrives at a worker that has not its session, on its way to the one that has. The kernel
 * brings packets to the right worker; this is for where it cannot: an address of another worker's
 * slice, a kernel without such programs. Packets are copied; what finds no room is counted.
 */
#ifndef LW_WORKER_HANDOVER_H
#define LW_WORKER_HANDOVER_H

#include <stdint.h>

#include <laneway/packet.h>

#include "worker/mailbox.h"

/* packets of one worker that may be on their way, 66 KiB each when used */
#define LW_HANDOVER_PARCELS 64u
#define LW_HANDOVER_BYTES   65536u

struct lw_core;

struct lw_parcel {
	struct lw_mail mail; /* first */
	struct lw_core *to;
	uint32_t port; /* index of the outside it came from, or LW_PARCEL_INSIDE */
	uint32_t busy; /* atomic: the receiver has it */
	struct lw_packet pkt;
	struct lw_endpoint ep;
	uint8_t bytes[LW_HANDOVER_BYTES];
};

#define LW_PARCEL_INSIDE UINT32_MAX

/* one worker's parcels */
struct lw_handover {
	struct lw_parcel *parcels; /* NULL: there is nobody else */
	uint32_t next;
};

/* lw_handover_init() - 0 or -ENOMEM; control thread */
int lw_handover_init(struct lw_handover *h);
void lw_handover_fini(struct lw_handover *h);

/**
 * lw_handover_send() - give a packet to another worker
 *
 * @port: index of the outside it came from, or LW_PARCEL_INSIDE
 * @p:    copied, with its endpoint; neither has pieces in `more`
 *
 * Context: the worker whose parcels these are.
 * Return:  0, or -ENOBUFS: all parcels are under way, or it is too large.
 */
int lw_handover_send(struct lw_handover *h, struct lw_core *to, uint32_t port,
                     const struct lw_packet *p);

#endif

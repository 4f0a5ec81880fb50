/* SPDX-License-Identifier: MIT */
/*
 * Packets on their way to the inside become superpackets: the reverse of segment.h, after
 * offload.md 3. Segmenting a superpacket gives back the packets of which it was made, except the
 * IPv4 identification of packets with DF, where it has no meaning (RFC 6864).
 *
 * A batch is the window: nothing is held back when a call returns. Nothing is copied: the payloads
 * of all but the first packet hang in `more`.
 */
#ifndef LW_PACKET_COALESCE_H
#define LW_PACKET_COALESCE_H

#include <stdint.h>

#include <laneway/packet.h>

#define LW_COALESCE_SEGS      64   /* usual limit of a superpacket */
#define LW_COALESCE_SEGS_MAX  1000 /* Linux writes at most 1,024 pieces at once */
#define LW_COALESCE_UDP_SEGS  64   /* Linux before 6.9 takes no more of UDP */
#define LW_COALESCE_BYTES_MAX 65535

/* a bit for each kind of superpacket that may be made */
#define LW_COALESCE_TCP4 (1u << LW_GSO_TCP4)
#define LW_COALESCE_TCP6 (1u << LW_GSO_TCP6)
#define LW_COALESCE_UDP  (1u << LW_GSO_UDP)

/* one worker's */
struct lw_coalesce;

/**
 * struct lw_coalesce_conf - limits
 *
 * @packets:   most packets in a batch
 * @max_segs:  most segments of a superpacket; 0: LW_COALESCE_SEGS; more than LW_COALESCE_SEGS_MAX,
 *             and of UDP more than LW_COALESCE_UDP_SEGS, counts as that
 * @max_bytes: most bytes of a superpacket; 0, or more than it: LW_COALESCE_BYTES_MAX
 */
struct lw_coalesce_conf {
	uint32_t packets;
	uint32_t max_segs;
	uint32_t max_bytes;
};

/**
 * lw_coalesce_create() - allocate what a worker needs
 *
 * @conf: copied
 *
 * Context: control thread.
 * Return:  0 or -ENOMEM.
 */
int lw_coalesce_create(const struct lw_coalesce_conf *conf, struct lw_coalesce **ret);

/* lw_coalesce_destroy() - free it; takes NULL */
void lw_coalesce_destroy(struct lw_coalesce *c);

/**
 * lw_coalesce_batch() - merge what can be merged
 *
 * @c:     the worker's
 * @b:     complete single packets, at most conf.packets. Afterwards it holds superpackets and what
 *         was not merged, in the order of their first packets, so that no flow is out of order
 * @types: LW_COALESCE_* that the inside takes. Leave UDP out where the kernel is older than 6.8.5,
 *         which loses tunnels in it (offload.md 3.6)
 *
 * A superpacket has its first packet's descriptor, with gso_*, csum_*, l4_off, hdr_len and
 * LW_PKT_CSUM_PARTIAL set, core[0] used, and its header changed in place. What `more` points to
 * lives until the next call.
 *
 * Only packets of one session are merged, and only with a checksum that is right: it is verified
 * unless LW_PKT_CSUM_GOOD is set. All others come out as they are, byte for byte.
 *
 * Context: the packets' worker.
 */
void lw_coalesce_batch(struct lw_coalesce *c, struct lw_batch *b, uint32_t types);

/**
 * lw_coalesce_bad_sums() - what the last lw_coalesce_batch() found damaged
 *
 * Context: the packets' worker.
 * Return:  packets of kinds to be merged that came out as they went in because a checksum, of IPv4
 *          or transport, is wrong. 0 before the first batch.
 */
uint32_t lw_coalesce_bad_sums(const struct lw_coalesce *c);

/**
 * lw_coalesce_undo() - the packets of which a superpacket was made
 *
 * @p:   as lw_coalesce_batch() left it, and no longer to be used: its header is restored in place
 * @ret: p->n_more + 1 single packets are appended: views into where they came from
 *
 * Context: the packets' worker.
 * Return:  0, -ENOSPC (no room for all; nothing was done).
 */
int lw_coalesce_undo(const struct lw_packet *p, struct lw_batch *ret);

#endif

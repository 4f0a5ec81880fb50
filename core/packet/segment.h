/* SPDX-License-Identifier: MIT */
/*
 * One superpacket becomes segments, one after the other; it can stop after any of them and go on.
 * A single packet, and a codec's unit, is a superpacket of one.
 *
 * Segments equal those that the kernel makes (offload.md 2). The number of segments has no limit
 * but the packet's length.
 */
#ifndef LW_PACKET_SEGMENT_H
#define LW_PACKET_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/packet.h>

#define LW_SEG_HEADER_MAX 256

/**
 * struct lw_seg - where in a superpacket the segmenter is
 *
 * @super:   the superpacket, borrowed until the last segment is gone
 * @next:    index of the segment that comes next
 * @count:   segments in all; the members below are set when there are several
 * @payload: bytes behind the header, all segments together
 * @ip_sum:  sum of the IPv4 header without the words that differ
 * @l4_sum:  the same of the pseudo header and the transport header
 * @seq:     TCP: sequence number of the first segment
 * @id:      IPv4: identification of the first segment
 * @l4:      offset of the transport header
 * @hl:      bytes of the header that every segment repeats; 0 when there is but one segment
 * @tcp:     TCP, else UDP
 * @flags:   TCP: all flags
 * @hdr:     that header, zero where segments differ
 */
struct lw_seg {
	struct lw_packet *super;
	uint32_t next;
	uint32_t count;
	uint32_t payload;
	uint32_t ip_sum;
	uint32_t l4_sum;
	uint32_t seq;
	uint16_t id;
	uint16_t l4;
	uint16_t hl;
	bool tcp;
	uint8_t flags;
	uint8_t hdr[LW_SEG_HEADER_MAX];
};

/**
 * lw_seg_init() - begin with a packet
 *
 * @g: the caller's; undefined on failure
 * @p: the packet; its checksum is completed when LW_PKT_CSUM_PARTIAL asks for it and it is not
 *     LW_PKT_ENCODED. Bytes of a superpacket behind the end that its IP header gives are cut off
 *
 * A superpacket must be whole, of the kind that gso_type says, with csum_start and csum_off where
 * they belong; one of UDP must have a partial checksum. One whose payload fits into a segment is a
 * single packet. The size of a segment is not compared with an MTU.
 *
 * Context: the packet's worker.
 * Return:  0, -EBADMSG (empty, a checksum field outside the packet, a superpacket without a
 *          gso_size, whose headers lie, or whose payload is elsewhere, in `more`): drop and count.
 */
int lw_seg_init(struct lw_seg *g, struct lw_packet *p);

/* lw_seg_len_max() - bytes of the longest segment that is still to come, or more */
static inline uint32_t lw_seg_len_max(const struct lw_seg *g)
{
	return g->count > 1 ? (uint32_t)g->hl + g->super->gso_size : g->super->len;
}

/* lw_seg_len_next() - bytes of the next segment; there must be one */
static inline uint32_t lw_seg_len_next(const struct lw_seg *g)
{
	uint32_t left;

	if (g->count == 1)
		return g->super->len;
	left = g->payload - g->next * g->super->gso_size;
	return g->hl + (left < g->super->gso_size ? left : g->super->gso_size);
}

/**
 * lw_seg_copy() - write the next segment somewhere else
 *
 * @g:   as left by the call before; moves on only when a segment was written
 * @dst: where to, disjoint from the packet
 * @cap: bytes at dst
 *
 * The packet is not changed. All segments but the last have the same length.
 *
 * Context: the packet's worker.
 * Return:  bytes written; 0: cap is too small, or there is no more.
 */
uint32_t lw_seg_copy(struct lw_seg *g, uint8_t *dst, uint32_t cap);

/**
 * lw_seg_expose() - make the next segment where it lies
 *
 * @g:       as left by the call before; moves on
 * @ret_len: set to the segment's bytes
 *
 * Overwrites the tail of the segment before, which must be gone. A packet of one segment has its
 * checksum complete afterwards and loses LW_PKT_CSUM_PARTIAL. The headroom of the packet is in
 * front of its first segment.
 *
 * Context: the packet's worker.
 * Return:  the first byte of the segment, NULL when there is no more.
 */
uint8_t *lw_seg_expose(struct lw_seg *g, uint32_t *ret_len);

#endif

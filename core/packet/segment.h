/* SPDX-License-Identifier: MIT */
/*
 * One superpacket becomes segments, one after the other; it can stop after any of them and go on.
 * A single packet, and a codec's unit, is a superpacket of one.
 */
#ifndef LW_PACKET_SEGMENT_H
#define LW_PACKET_SEGMENT_H

#include <stdint.h>

#include <laneway/packet.h>

/**
 * struct lw_seg - where in a superpacket the segmenter is
 *
 * @super: the superpacket, borrowed until the last segment is gone
 * @next:  index of the segment that comes next
 * @count: segments in all
 * @hl:    bytes of the header that every segment repeats; 0 when there is but one segment
 * @hdr:   that header as it came
 */
struct lw_seg {
	struct lw_packet *super;
	uint32_t next;
	uint32_t count;
	uint16_t hl;
	uint8_t hdr[256];
};

/**
 * lw_seg_init() - begin with a packet
 *
 * @g: the caller's; undefined on failure
 * @p: the packet; its checksum is completed when LW_PKT_CSUM_PARTIAL asks for it and it is not
 *     LW_PKT_ENCODED
 *
 * Context: the packet's worker.
 * Return:  0, -EBADMSG (empty, a checksum field outside the packet, or a superpacket: no module is
 *          granted the capability that makes them): drop and count.
 */
int lw_seg_init(struct lw_seg *g, struct lw_packet *p);

/**
 * lw_seg_copy() - write the next segment somewhere else
 *
 * @g:   as left by the call before; moves on only when a segment was written
 * @dst: where to, disjoint from the packet
 * @cap: bytes at dst
 *
 * The packet is not changed.
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

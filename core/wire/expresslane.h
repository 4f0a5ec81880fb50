/* SPDX-License-Identifier: MIT */
/*
 * One Expresslane packet: what stands behind the header of a datagram that carries one (wire.md
 * 7.5), and what its tag covers beside the ciphertext.
 *
 *   0 counter (8) · 8 IV (12) · 20 tag (16) · 36 length (2) · 38 flags (2) · 40 ciphertext
 */
#ifndef LW_WIRE_EXPRESSLANE_H
#define LW_WIRE_EXPRESSLANE_H

#include <stddef.h>
#include <stdint.h>

#define LW_LANE_FRAME_HEADER 40
#define LW_LANE_IV           8
#define LW_LANE_IV_LEN       12
#define LW_LANE_TAG          20
#define LW_LANE_TAG_LEN      16
/* the payload is a codec's unit; the other bits are sent as 0 and ignored */
#define LW_LANE_ENCODED 0x8000
/* bytes of the associated data, version 2; version 1 has no flags in it */
#define LW_LANE_AAD_MAX 18
#define LW_LANE_AAD_V1  16

/* struct lw_lane_frame - what a packet says of itself; the rest lies at its fixed places */
struct lw_lane_frame {
	uint64_t counter;
	uint16_t len; /* bytes of the ciphertext, and of the plaintext */
	uint16_t flags;
};

/**
 * lw_lane_frame_read() - read what stands in front of the ciphertext
 *
 * @p:   the payload of a datagram; bytes behind the ciphertext are fine
 * @len: its bytes
 * @ret: set on success
 *
 * Context: any; no state.
 * Return:  0, or -ENODATA: it is not all there.
 */
int lw_lane_frame_read(const uint8_t *p, size_t len, struct lw_lane_frame *ret);

/* lw_lane_frame_write() - write all of it but IV and tag; p has room for LW_LANE_FRAME_HEADER */
void lw_lane_frame_write(uint8_t *p, const struct lw_lane_frame *f);

/* lw_lane_aad() - the associated data of a packet in a session; returns its length */
uint16_t lw_lane_aad(uint8_t dst[LW_LANE_AAD_MAX], uint8_t version, uint64_t session,
                     const struct lw_lane_frame *f);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef LW_SESSION_REASSEMBLY_H
#define LW_SESSION_REASSEMBLY_H

#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

/* largest inside packet that is put together; the largest Ethernet jumbo frame in use */
#define LW_REASSEMBLY_BYTES 9216u
/* packets that may be incomplete at a time; a further one pushes out the one not touched longest */
#define LW_REASSEMBLY_SLOTS 4u

/*
 * Inside packets that came in DataFrag frames: wire.md 2.8. A session that never gets one has
 * none; with one its memory is fixed.
 */
struct lw_reassembly;

/* lw_reassembly_create() - NULL when memory is short */
struct lw_reassembly *lw_reassembly_create(void);
void lw_reassembly_destroy(struct lw_reassembly *r);

/**
 * lw_reassembly_add() - one fragment
 *
 * @ret_packet: the whole packet when it is complete; valid until the next call
 *
 * Return: 1: complete, 0: more to come, -EBADMSG: empty, overlapping, ragged or too large; its
 *         packet is forgotten.
 */
int lw_reassembly_add(struct lw_reassembly *r, const struct lw_frame_frag *f,
                      const uint8_t **ret_packet, size_t *ret_len);

#endif

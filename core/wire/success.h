/* SPDX-License-Identifier: MIT */
/*
 * The network settings that a server sends with AuthSuccessWithConfigV4: text on the wire, values
 * here.
 */
#ifndef LW_WIRE_SUCCESS_H
#define LW_WIRE_SUCCESS_H

#include <laneway/addr.h>

#include "wire/frame.h"

/**
 * struct lw_success - settings for a client
 *
 * @local:   the client's inside address; all three addresses have family 4 and only ip is used
 * @peer:    the server's inside address
 * @dns:     DNS server
 * @mtu:     MTU of the server's inside interface; 0: not known
 * @session: id of the session
 */
struct lw_success {
	struct lw_addr local;
	struct lw_addr peer;
	struct lw_addr dns;
	uint32_t mtu;
	uint64_t session;
};

/**
 * lw_success_write() - write a whole AuthSuccessWithConfigV4 frame
 *
 * @dst: room for cap bytes; LW_FRAME_SUCCESS_LEN is enough
 * @cap: bytes at dst
 * @s:   the settings
 *
 * Context: any; no state.
 * Return:  bytes written, -EAFNOSUPPORT (an address is not IPv4), LW_FRAME_NO_ROOM.
 */
int lw_success_write(uint8_t *dst, size_t cap, const struct lw_success *s);

/**
 * lw_success_read() - turn the texts of a decoded frame into values
 *
 * @f:     the frame's member
 * @ret_s: set on success, untouched on failure; mtu is 0 when its text is no number of 1..65535
 *
 * Context: any; no state.
 * Return:  0, -EINVAL (an address is not IPv4 text; fatal for a client).
 */
int lw_success_read(const struct lw_frame_success *f, struct lw_success *ret_s);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The 16 bytes in front of every UDP datagram, in both directions. TCP has none.
 */
#ifndef LW_WIRE_HEADER_H
#define LW_WIRE_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LW_WIRE_HEADER_LEN 16

/* its first two bytes, read as one big-endian number */
#define LW_WIRE_MAGIC 0x4865

/* versions that exist; they share the major */
#define LW_WIRE_MAJOR     1
#define LW_WIRE_MINOR_MIN 1
#define LW_WIRE_MINOR_MAX 3

/* session ids are opaque on the wire; here they are its 8 bytes read as one big-endian number */
#define LW_WIRE_ID_EMPTY    UINT64_C(0)
#define LW_WIRE_ID_REJECTED UINT64_MAX

/**
 * struct lw_wire_header - what a datagram says in front of its payload
 *
 * @session:     session id, or one of LW_WIRE_ID_*
 * @major:       1
 * @minor:       1, 2 or 3
 * @aggressive:  nobody acts on it, a sender leaves it false
 * @expresslane: the payload is one Expresslane packet, else DTLS records
 */
struct lw_wire_header {
	uint64_t session;
	uint8_t major;
	uint8_t minor;
	bool aggressive;
	bool expresslane;
};

/* lw_wire_version_ok() - whether this version exists */
static inline bool lw_wire_version_ok(uint8_t major, uint8_t minor)
{
	return major == LW_WIRE_MAJOR && minor >= LW_WIRE_MINOR_MIN && minor <= LW_WIRE_MINOR_MAX;
}

/* lw_wire_id_reserved() - whether this id means something and so is never a session's */
static inline bool lw_wire_id_reserved(uint64_t id)
{
	return id == LW_WIRE_ID_EMPTY || id == LW_WIRE_ID_REJECTED;
}

/**
 * lw_wire_header_parse() - read the header of one datagram
 *
 * @buf:   the datagram, header first; may be NULL when len is 0
 * @len:   its bytes; the payload is what follows the first LW_WIRE_HEADER_LEN
 * @ret_h: set on success, untouched on failure
 *
 * Context: any; no state.
 * Return:  0, -ENODATA (fewer than 16 bytes), -EBADMSG (another magic),
 *          -EPROTONOSUPPORT (a version that does not exist). Whether this end wants to speak the
 *          version, and what a reserved id means, is for the caller.
 */
int lw_wire_header_parse(const uint8_t *buf, size_t len, struct lw_wire_header *ret_h);

/**
 * lw_wire_header_write() - write a header in front of a payload
 *
 * @dst: room for LW_WIRE_HEADER_LEN bytes, all of which are written
 * @h:   the header
 *
 * Context: any; no state.
 */
void lw_wire_header_write(uint8_t *dst, const struct lw_wire_header *h);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Frames: the plaintext of TLS and DTLS application data. Byte 0 is the type, each type has its
 * own size; there is no outer length. Nothing here keeps state, allocates or reads past its input.
 */
#ifndef LW_WIRE_FRAME_H
#define LW_WIRE_FRAME_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <laneway/module.h> /* LW_AUTH_METHOD_* */

/* types; 0, 8 to 11, 13 and 21 to 255 are unknown */
enum {
	LW_FRAME_NOOP = 1,
	LW_FRAME_PING = 2,
	LW_FRAME_PONG = 3,
	LW_FRAME_AUTH_REQUEST = 4,
	LW_FRAME_DATA = 5,
	LW_FRAME_AUTH_SUCCESS = 6,
	LW_FRAME_AUTH_FAILURE = 7,
	LW_FRAME_GOODBYE = 12,
	LW_FRAME_SERVER_CONFIG = 14,
	LW_FRAME_DATA_FRAG = 15,
	LW_FRAME_ENCODED_DATA = 16,
	LW_FRAME_ENCODED_DATA_FRAG = 17,
	LW_FRAME_ENCODING_REQUEST = 18,
	LW_FRAME_ENCODING_RESPONSE = 19,
	LW_FRAME_EXPRESSLANE_CONFIG = 20,
	LW_FRAME_TYPES /* one more than the highest */
};

/* what decoding and encoding can find wrong; each value means one thing only */
enum {
	LW_FRAME_MORE = -EAGAIN,                 /* decode: not all bytes are here, none consumed */
	LW_FRAME_UNKNOWN = -EOPNOTSUPP,          /* no such type */
	LW_FRAME_TOO_LARGE = -E2BIG,             /* a field is longer than its limit */
	LW_FRAME_BAD_ENUM = -EINVAL,             /* no such auth method */
	LW_FRAME_BAD_TEXT = -EILSEQ,             /* not UTF-8 */
	LW_FRAME_BAD_VERSION = -EPROTONOSUPPORT, /* a versioned token of a version that is none */
	LW_FRAME_BAD_BOOL = -EDOM,               /* neither 0 nor 1 */
	LW_FRAME_BAD_OFFSET = -ERANGE,           /* encode: not a multiple of 8, or above 65528 */
	LW_FRAME_NO_ROOM = -ENOSPC               /* encode: the buffer is too small */
};

#define LW_FRAME_DATA_HEADER     3     /* in front of a packet */
#define LW_FRAME_FRAG_HEADER     7     /* in front of a fragment */
#define LW_FRAME_PING_HEADER     5     /* in front of a ping's or a pong's payload */
#define LW_FRAME_COUNTERS_LEN    16    /* payload of a keepalive while Expresslane is ready */
#define LW_FRAME_KEY_LEN         32    /* Expresslane key */
#define LW_FRAME_MAX             65542 /* the longest frame: a fragment of 65535 bytes */
#define LW_FRAG_OFFSET_MAX       65528
#define LW_AUTH_FIELD_MAX        50   /* user, password */
#define LW_AUTH_TOKEN_MAX        1347 /* token, callback data */
#define LW_AUTH_VERSIONED_MAX    1345
#define LW_AUTH_REQUEST_MAX      1351
#define LW_SERVER_CONFIG_MAX     1348
#define LW_SUCCESS_TEXT_MAX      23
#define LW_FRAME_SUCCESS_LEN     105
#define LW_FRAME_FAILURE_LEN     53
#define LW_FRAME_ENCODING_LEN    10
#define LW_FRAME_EXPRESSLANE_LEN 45

/* struct lw_bytes - bytes that belong to somebody else */
struct lw_bytes {
	const uint8_t *p;
	size_t len;
};

/* struct lw_frame_ping - LW_FRAME_PING, LW_FRAME_PONG; id 0: keepalive, else PMTU probe */
struct lw_frame_ping {
	uint16_t id;
	struct lw_bytes payload;
};

/**
 * struct lw_frame_auth - LW_FRAME_AUTH_REQUEST
 *
 * @method: LW_AUTH_METHOD_*
 * @major:  versioned token only, else 0
 * @minor:  as major
 * @user:   user name, method PASSWORD only, else empty; valid UTF-8
 * @secret: password, token (both valid UTF-8) or callback data (anything)
 */
struct lw_frame_auth {
	uint8_t method;
	uint8_t major;
	uint8_t minor;
	struct lw_bytes user;
	struct lw_bytes secret;
};

/**
 * struct lw_frame_success - LW_FRAME_AUTH_SUCCESS
 *
 * Texts without terminator, at most LW_SUCCESS_TEXT_MAX bytes of UTF-8; "wire/success.h" makes
 * values of them and the other way round.
 *
 * @local:   the client's inside address
 * @peer:    the server's inside address
 * @dns:     DNS server
 * @mtu:     MTU of the server's inside interface
 * @session: the id of the session; not used by receivers
 */
struct lw_frame_success {
	struct lw_bytes local;
	struct lw_bytes peer;
	struct lw_bytes dns;
	struct lw_bytes mtu;
	uint64_t session;
};

/* struct lw_frame_frag - LW_FRAME_DATA_FRAG, LW_FRAME_ENCODED_DATA_FRAG; offset in bytes */
struct lw_frame_frag {
	uint16_t id;
	uint16_t offset;
	bool more;
	struct lw_bytes data;
};

/* struct lw_frame_encoding - LW_FRAME_ENCODING_REQUEST, LW_FRAME_ENCODING_RESPONSE */
struct lw_frame_encoding {
	uint64_t id;
	bool enable;
};

/**
 * struct lw_frame_expresslane - LW_FRAME_EXPRESSLANE_CONFIG
 *
 * @version: 1 or 2; 0 stands for every version that we do not know
 * @enabled: false: a degrade notice
 * @ack:     an acknowledgement
 * @counter: names the request that an acknowledgement belongs to
 * @key:     LW_FRAME_KEY_LEN bytes, a view; when encoding, NULL means zeros
 */
struct lw_frame_expresslane {
	uint8_t version;
	bool enabled;
	bool ack;
	uint64_t counter;
	const uint8_t *key;
};

/**
 * struct lw_frame - any frame
 *
 * @type: LW_FRAME_*, says which member is in use; NOOP, GOODBYE and AUTH_FAILURE have none
 * @data: DATA, ENCODED_DATA, SERVER_CONFIG
 *
 * After decoding every pointer is a view into the input and lives as long as that.
 */
struct lw_frame {
	uint8_t type;
	union {
		struct lw_frame_ping ping;
		struct lw_frame_auth auth;
		struct lw_bytes data;
		struct lw_frame_success success;
		struct lw_frame_frag frag;
		struct lw_frame_encoding encoding;
		struct lw_frame_expresslane expresslane;
	};
};

/* struct lw_frame_counters - Expresslane packets since the start, as the sender of them sees it */
struct lw_frame_counters {
	uint64_t sent;
	uint64_t received;
};

/**
 * lw_frame_decode() - read the frame at the head of a buffer
 *
 * @buf:       bytes; may be NULL when len is 0
 * @len:       how many; more than one frame is fine
 * @ret_frame: set on success, untouched otherwise
 *
 * Whether the frame is legal now, from this peer, is for the caller.
 *
 * Context: any; no state.
 * Return:  bytes consumed (> 0), LW_FRAME_MORE, or another negative LW_FRAME_*; an error consumes
 *          nothing. An error may show before all bytes of the frame are here.
 */
int lw_frame_decode(const uint8_t *buf, size_t len, struct lw_frame *ret_frame);

/**
 * lw_frame_encode() - write one frame
 *
 * @dst: room for cap bytes, disjoint from what the frame points to; undefined after an error
 * @cap: bytes at dst; LW_FRAME_MAX is always enough
 * @f:   the frame
 *
 * Refuses what lw_frame_decode() would refuse.
 *
 * Context: any; no state.
 * Return:  bytes written (> 0), LW_FRAME_NO_ROOM, or another negative LW_FRAME_*.
 */
int lw_frame_encode(uint8_t *dst, size_t cap, const struct lw_frame *f);

/**
 * lw_frame_name() - the name of a type, for logs
 *
 * @type: the first byte of a frame
 *
 * Context: any.
 * Return:  a constant, "unknown" for a type that is none.
 */
const char *lw_frame_name(uint8_t type);

/**
 * lw_frame_min_len() - the bytes that the shortest frame of a type has, type byte included
 *
 * @type: the first byte of a frame
 *
 * Context: any.
 * Return:  bytes, 0 for a type that is none.
 */
size_t lw_frame_min_len(uint8_t type);

/**
 * lw_frame_put_data() - make a frame of a packet where it lies
 *
 * @packet: the packet, with LW_FRAME_DATA_HEADER bytes of room in front
 * @type:   LW_FRAME_DATA or LW_FRAME_ENCODED_DATA
 * @len:    bytes of the packet
 *
 * Context: any; no state.
 * Return:  the first byte of the frame, which is LW_FRAME_DATA_HEADER + len long.
 */
uint8_t *lw_frame_put_data(uint8_t *packet, uint8_t type, uint16_t len);

/**
 * lw_frame_put_frag() - make a frame of a fragment where it lies
 *
 * @data: the fragment, with LW_FRAME_FRAG_HEADER bytes of room in front, which are overwritten
 * @len:  bytes of the fragment
 * @type: LW_FRAME_DATA_FRAG or LW_FRAME_ENCODED_DATA_FRAG
 * @f:    id, offset (a multiple of 8, at most LW_FRAG_OFFSET_MAX) and more; data is not read
 *
 * Context: any; no state.
 * Return:  the first byte of the frame, which is LW_FRAME_FRAG_HEADER + len long.
 */
uint8_t *lw_frame_put_frag(uint8_t *data, uint16_t len, uint8_t type,
                           const struct lw_frame_frag *f);

/**
 * lw_frame_write_ping() - write a ping or a pong
 *
 * @dst:  room for cap bytes; LW_FRAME_PING_HEADER + LW_FRAME_COUNTERS_LEN is enough
 * @cap:  bytes at dst
 * @type: LW_FRAME_PING or LW_FRAME_PONG
 * @id:   0 for a keepalive; a pong repeats its ping's
 * @c:    the counters to carry, NULL for an empty payload
 *
 * Context: any; no state.
 * Return:  bytes written, or LW_FRAME_NO_ROOM.
 */
int lw_frame_write_ping(uint8_t *dst, size_t cap, uint8_t type, uint16_t id,
                        const struct lw_frame_counters *c);

/**
 * lw_frame_read_counters() - the counters that a keepalive carries
 *
 * @f:     a decoded ping or pong
 * @ret_c: set when there are any
 *
 * Context: any; no state.
 * Return:  whether the payload is one of counters: 16 bytes.
 */
bool lw_frame_read_counters(const struct lw_frame_ping *f, struct lw_frame_counters *ret_c);

/* lw_frame_data_room() - the longest packet that a frame of `plpmtu` bytes carries whole */
static inline uint32_t lw_frame_data_room(uint32_t plpmtu)
{
	return plpmtu > LW_FRAME_DATA_HEADER ? plpmtu - LW_FRAME_DATA_HEADER : 0;
}

/* lw_frame_frag_room() - bytes of each fragment but the last in frames of `plpmtu` bytes */
static inline uint32_t lw_frame_frag_room(uint32_t plpmtu)
{
	return plpmtu > LW_FRAME_FRAG_HEADER ? (plpmtu - LW_FRAME_FRAG_HEADER) & ~7u : 0;
}

#endif

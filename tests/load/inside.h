/* SPDX-License-Identifier: MIT */
/* The packets that a client sends through the tunnel, and what it makes of those that come back. */
#ifndef LW_LOAD_INSIDE_H
#define LW_LOAD_INSIDE_H

#include <stddef.h>
#include <stdint.h>

#include <laneway/addr.h>

#define LOAD_MARK_MAGIC 0x4c6f6164u

/* what each payload begins with; both ends are this program on this machine */
struct load_mark {
	uint32_t magic;
	uint32_t client;
	uint64_t seq; /* from 1 */
	uint64_t sent_us;
	uint64_t received; /* in an answer: bytes of payload that have come from this client */
	uint16_t want;     /* bytes of each answer */
	uint16_t copies;   /* how many answers */
	uint32_t reserved;
};

enum load_inside_kind { LOAD_INSIDE_OTHER, LOAD_INSIDE_ECHO_REPLY, LOAD_INSIDE_UDP };

/* the two ends of what is sent inside, in host order */
struct load_path {
	uint32_t from;
	uint32_t to;
	uint16_t from_port;
	uint16_t to_port;
};

/**
 * load_inside_echo() - an ICMP echo request with a mark
 *
 * @p: room for 20 + 8 + sizeof(*m) bytes
 *
 * Return: its bytes.
 */
uint32_t load_inside_echo(uint8_t *p, const struct load_path *path, const struct load_mark *m);

/**
 * load_inside_udp() - a UDP packet with a mark
 *
 * @p:     room for 20 + 8 + bytes
 * @bytes: of its payload, sizeof(*m) or more; what is behind the mark is taken as it is
 *
 * Return: its bytes.
 */
uint32_t load_inside_udp(uint8_t *p, const struct load_path *path, const struct load_mark *m,
                         uint32_t bytes);

/**
 * load_inside_read() - what a packet is
 *
 * @ret_m:     set unless it is LOAD_INSIDE_OTHER
 * @ret_bytes: of its payload, mark included
 */
enum load_inside_kind load_inside_read(const uint8_t *p, size_t len, struct load_mark *ret_m,
                                       uint32_t *ret_bytes);

#endif

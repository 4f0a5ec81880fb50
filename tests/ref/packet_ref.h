/* SPDX-License-Identifier: MIT */
/*
 * What superpackets and their segments must be, written down a second time: byte by byte, every
 * checksum from nothing, no look at speed. Also makes random packets of every kind that the core
 * segments and coalesces. Well-formed packets only; it stops the program at others.
 */
#ifndef LW_TESTS_REF_PACKET_REF_H
#define LW_TESTS_REF_PACKET_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <laneway/packet.h>

#define REF_SUPER_MAX (40 + 65535)

/* a small generator with a seed (xorshift64) */
uint64_t ref_random(uint64_t *seed);
uint32_t ref_below(uint64_t *seed, uint32_t n);

uint16_t ref_get16(const uint8_t *p);
void ref_put16(uint8_t *p, uint16_t v);
void ref_put32(uint8_t *p, uint32_t v);

/* ref_fold(), ref_words() - add 16-bit words, one after the other, and bring the sum to 16 bits */
uint32_t ref_words(uint32_t total, const uint8_t *p, size_t len);
uint16_t ref_fold(uint32_t total);

/* where things are in a TCP or UDP packet */
struct ref_layout {
	bool v6;
	uint8_t proto;
	uint32_t l4;
	uint32_t hl;
	uint32_t check; /* of the transport checksum, from the packet's start */
};
struct ref_layout ref_layout(const uint8_t *p);

/* ref_finish() - set the lengths of a packet of len bytes, then all its checksums; with `partial`
 * the transport one is the sum of the pseudo header only */
void ref_finish(uint8_t *p, uint32_t len, bool partial);

/* ref_good() - whether the checksums of a complete packet are right */
bool ref_good(const uint8_t *p, uint32_t len);

/* ref_segment() - write segment i of a superpacket, return its length; 0: there is none */
uint32_t ref_segment(const uint8_t *super, uint32_t len, uint32_t gso_size, uint32_t i,
                     uint8_t *out);

/* what ref_make_packet() makes: one complete packet, its payload drawn from `pattern` */
struct ref_packet {
	bool v6;
	bool udp;
	uint8_t flow; /* in the port; the upper half in an address too */
	uint8_t tos;  /* or traffic class */
	uint8_t ttl;
	uint8_t flags;     /* TCP */
	uint16_t id;       /* IPv4 */
	uint16_t fragment; /* IPv4: the word with DF */
	uint16_t window;
	uint32_t seq;
	uint32_t ack;
	uint32_t stamp; /* TCP: 12 bytes of options with this timestamp, 0: none */
	uint32_t payload;
	uint8_t pattern;
};

/* ref_make_packet() - write it, return its length */
uint32_t ref_make_packet(const struct ref_packet *s, uint8_t *out);

/* what ref_make_super() makes; zero: drawn at random where that is possible */
struct ref_super {
	uint8_t gso_type;     /* LW_GSO_TCP4, TCP6, UDP */
	bool v6;              /* of UDP */
	uint32_t ip_options;  /* IPv4: bytes of options, IPv6: of extension headers */
	uint32_t tcp_options; /* bytes */
	uint32_t gso_size;
	uint32_t payload;
};

/* ref_draw_super() - draw all of it, at most max_segs segments */
struct ref_super ref_draw_super(uint64_t *seed, uint32_t max_segs);

/**
 * ref_make_super() - make a superpacket with a partial checksum
 *
 * @buf: REF_SUPER_MAX bytes
 * @p:   its descriptor; buf, cap, len, gso_*, csum_* and flags are set
 */
void ref_make_super(uint64_t *seed, const struct ref_super *s, uint8_t *buf, struct lw_packet *p);

#endif

/* SPDX-License-Identifier: MIT */
/* Superpackets for a path in memory: TCP over IPv4, in the form that a device gives them. */
#ifndef LW_TESTS_PATH_SUPER_H
#define LW_TESTS_PATH_SUPER_H

#include "unit/path_bed.h"

#define HEADERS 40u
#define MSS     1000u
#define SEQ     0xfffffc00u /* it wraps */
#define MOST    62u

/* how the module describes the superpackets of the test that runs; super_bed() sets TCP and MSS */
struct super_form {
	uint16_t gso_size;
	uint8_t gso_type;
};

extern struct super_form form;

/* how superpackets leave: each role, over each kind of outside */
struct way {
	const char *name;
	uint32_t role;
	bool stream;
	uint32_t run_segs;
};

#define SUPER_WAYS 7
extern const struct way ways[SUPER_WAYS];

/* super_bed() - a path whose inside describes all TCP packets as `form` says; runs of so many
 * datagrams outside, 0: none */
struct path_bed *super_bed(uint32_t role, uint32_t run_segs);

/* make_super() - what that inside does to each packet */
void make_super(struct lw_packet *p);

/* push_super() - a superpacket of n segments for a peer, the last one with so many bytes; each has
 * a mark of its own */
void push_super(struct path_bed *b, const struct bed_peer *to, uint32_t n, uint32_t last);

/* check_segments() - the segments from the i-th to before the end-th of n have come, and nothing
 * in front of them; takes them out */
void check_segments(struct path_bed *b, struct bed_peer *peer, uint32_t i, uint32_t end, uint32_t n,
                    uint32_t last);

/* check_all() - all of them have come, and nothing else */
void check_all(struct path_bed *b, struct bed_peer *peer, uint32_t n, uint32_t last);

#endif

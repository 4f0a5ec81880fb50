/* SPDX-License-Identifier: MIT */
/*
 * A batch of packets before and after the coalescer, and what must hold between the two. For unit
 * tests and a fuzzer: it stops the program where something does not hold.
 */
#ifndef LW_TESTS_REF_COALESCE_CASE_H
#define LW_TESTS_REF_COALESCE_CASE_H

#include <stdint.h>

#include "packet/coalesce.h"
#include "ref/packet_ref.h"

#define COALESCE_MAX 1024
#define COALESCE_ALL (LW_COALESCE_TCP4 | LW_COALESCE_TCP6 | LW_COALESCE_UDP)

/* a packet as it was, and the block in which it lies, exactly of its size */
struct coalesce_in {
	uint8_t *before;
	uint8_t *block;
	uint32_t len;
};

/* one packet of each kind, 100 bytes of payload; the second one of TCP is seq 1100, id 8 */
extern const struct ref_packet coalesce_tcp4;
extern const struct ref_packet coalesce_tcp6;
extern const struct ref_packet coalesce_udp4;
extern const struct ref_packet coalesce_udp6;
#define COALESCE_KINDS 4
extern const struct ref_packet *const coalesce_kinds[COALESCE_KINDS];

struct coalesce_case {
	struct coalesce_in in[COALESCE_MAX];
	uint32_t n_in;
	struct lw_packet pkt[COALESCE_MAX];
	struct lw_batch b;
};

/* coalesce_empty() - before the first packet */
void coalesce_empty(struct coalesce_case *t);

/* coalesce_add() - one more packet; its descriptor may be changed before the batch is run */
struct lw_packet *coalesce_add(struct coalesce_case *t, const uint8_t *bytes, uint32_t len);
struct lw_packet *coalesce_make(struct coalesce_case *t, const struct ref_packet *s);

/* coalesce_linear() - write all bytes of a packet, return how many */
uint32_t coalesce_linear(const struct lw_packet *p, uint8_t *out);

/**
 * coalesce_check() - all that must hold of t->b, whatever went in
 *
 * Segmenting what came out gives the packets that went in: each flow in order, packets that may be
 * of any flow not overtaken by one; identifications of packets with DF are not compared. Each
 * superpacket is within the limits.
 */
void coalesce_check(const struct coalesce_case *t, uint32_t max_segs, uint32_t max_bytes);

/* coalesce_groups() - how many packets are in each of those that came out: 0 ends the list */
void coalesce_groups(const struct coalesce_case *t, const uint32_t *want);

/* coalesce_undone() - undo all that came out: what went in must be there, as it was */
void coalesce_undone(const struct coalesce_case *t);

void coalesce_free(struct coalesce_case *t);

/* coalesce_next() - the packet that follows s */
struct ref_packet coalesce_next(const struct ref_packet *s);

/* coalesce_row() - add n packets in order, the last with these TCP flags; returns what follows */
struct ref_packet coalesce_row(struct coalesce_case *t, const struct ref_packet *s, uint32_t n,
                               uint8_t last_flags);

/* coalesce_expect() - run the batch: these groups come out, and all holds that always must */
void coalesce_expect(struct coalesce_case *t, struct lw_coalesce *c, uint32_t types,
                     const uint32_t *groups);
#define COALESCE_GROUPS(...) ((const uint32_t[]){ __VA_ARGS__, 0 })

#endif

/* SPDX-License-Identifier: MIT */
#ifndef LW_LANEWAY_PACKET_H
#define LW_LANEWAY_PACKET_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include <laneway/abi.h>
#include <laneway/addr.h>

/**
 * struct lw_session - what a module sees of one tunnel
 *
 * @serial: unique in the life of the daemon
 * @user:   name that authenticated, "" before; lives as long as the session
 * @inside: address of the peer in our pool; family 0 before it has one
 * @told:   address that the client was told to use
 * @state:  all modules' bytes of this session, zeroed at its start: lw_session_state()
 *
 * The core owns it; a module may keep the pointer from session_open to session_close.
 * Context: its worker only.
 * Since:   ABI 0.1
 */
struct lw_session {
	uint64_t serial;
	const char *user;
	struct lw_addr inside;
	struct lw_addr told;
	uint8_t *state;
};

/* what a filter decides; any other value counts as drop */
enum { LW_VERDICT_PASS, LW_VERDICT_DROP, LW_VERDICT_REPLY };

/* what a packet with gso_size > 0 stands for; RUN: outer datagrams of gso_size bytes, the last may
 * be shorter */
enum { LW_GSO_NONE, LW_GSO_TCP4, LW_GSO_TCP6, LW_GSO_UDP, LW_GSO_RUN };

/* flags of a packet */
enum {
	LW_PKT_CSUM_PARTIAL = 1, /* the L4 checksum field holds the pseudo-header sum only */
	LW_PKT_CSUM_GOOD = 2,    /* the L4 checksum is known to be right */
	LW_PKT_ENCODED = 4,      /* a codec's unit, not an IP packet */
	LW_PKT_ECN = 8           /* TCP superpacket whose first segment carries CWR */
};

/**
 * struct lw_packet - a packet, a superpacket, a datagram or a run of datagrams
 *
 * Its bytes are buf[off, off + len), then more[0..n_more).
 *
 * @buf:        in the arena of its batch, or a view into another batch's
 * @more:       payload that is not adjacent; only on the way into send(), n_more is 0 elsewhere
 * @session:    NULL before the look-up
 * @endpoint:   outside only: recv points it at batch.ep[i]; on send it is the session's
 * @cap:        bytes of buf
 * @off:        headroom; cap - off - len is the tailroom
 * @len:        bytes at buf + off
 * @more_len:   bytes in more; the total is len + more_len
 * @n_more:     entries of more
 * @gso_size:   0: single. Inside: L4 payload bytes per segment. RUN: the stride in bytes
 * @gso_type:   LW_GSO_*
 * @verdict:    LW_VERDICT_*, set by filters
 * @flags:      LW_PKT_*
 * @l4_off:     offset of the L4 header from off; 0: not parsed
 * @hdr_len:    IP and L4 header bytes, found by our parser; never what a kernel claims
 * @csum_start: with CSUM_PARTIAL: offset from off where summing starts
 * @csum_off:   with CSUM_PARTIAL: offset of the checksum field from csum_start
 * @status:     negative errno of the last operation on this packet, 0 for none
 * @core:       the core's own
 * @reserved:   zero
 *
 * One owner at a time: who gets the batch.
 * Since: ABI 0.1
 */
struct lw_packet {
	uint8_t *buf;
	struct iovec *more;
	struct lw_session *session;
	struct lw_endpoint *endpoint;
	uint32_t cap;
	uint32_t off;
	uint32_t len;
	uint32_t more_len;
	uint16_t n_more;
	uint16_t gso_size;
	uint8_t gso_type;
	uint8_t verdict;
	uint16_t flags;
	uint16_t l4_off;
	uint16_t hdr_len;
	uint16_t csum_start;
	uint16_t csum_off;
	int32_t status;
	uint32_t reserved32;
	uint64_t core[3];
	uint64_t reserved[4];
};
LW_ASSERT_SIZE(lw_packet, 128);

/**
 * struct lw_batch - descriptors and the memory behind them; reset as a whole
 *
 * @pkt:        cap descriptors, the first n in use
 * @ep:         cap endpoints, NULL for an inside batch
 * @arena:      arena_cap bytes, aligned to 64, the first arena_used in use
 * @headroom:   bytes that lw_batch_reserve() leaves in front of each packet
 * @tailroom:   bytes that lw_batch_reserve() leaves behind each packet
 *
 * Belongs to one worker, which allocates it at its start.
 * Since: ABI 0.1
 */
struct lw_batch {
	struct lw_packet *pkt;
	struct lw_endpoint *ep;
	uint8_t *arena;
	uint32_t cap;
	uint32_t n;
	uint32_t arena_cap;
	uint32_t arena_used;
	uint32_t headroom;
	uint32_t tailroom;
	uint64_t reserved;
};
LW_ASSERT_SIZE(lw_batch, 56);

/* NOLINTNEXTLINE(bugprone-macro-parentheses): p is the name that the loop declares */
#define LW_BATCH_FOREACH(p, b) for (struct lw_packet *p = (b)->pkt; p < (b)->pkt + (b)->n; p++)

/**
 * lw_packet_data() - the first byte of a packet
 *
 * @p: the packet; borrowed
 *
 * Context: the packet's worker.
 * Return:  buf + off, with len bytes behind it.
 * Since:   ABI 0.1
 */
static inline uint8_t *lw_packet_data(const struct lw_packet *p)
{
	return p->buf + p->off;
}

/**
 * lw_batch_reserve() - prepare the next descriptor of a batch
 *
 * @b:    the batch
 * @room: bytes that the packet may need, headroom and tailroom not counted
 *
 * The descriptor is zeroed, its data starts at the batch's headroom; it does not count before
 * lw_batch_commit(). Calling it again without a commit gives the same one.
 *
 * Context: the batch's worker.
 * Return:  the descriptor, or NULL when descriptors or arena are used up.
 * Since:   ABI 0.1
 */
static inline struct lw_packet *lw_batch_reserve(struct lw_batch *b, uint32_t room)
{
	uint32_t left = b->arena_cap - b->arena_used;
	struct lw_packet *p;

	if (b->n == b->cap || b->headroom > left || b->tailroom > left - b->headroom ||
	    room > left - b->headroom - b->tailroom)
		return NULL;
	p = &b->pkt[b->n];
	memset(p, 0, sizeof(*p));
	p->buf = b->arena + b->arena_used;
	p->cap = b->headroom + room + b->tailroom;
	p->off = b->headroom;
	if (b->ep != NULL)
		p->endpoint = &b->ep[b->n];
	return p;
}

/**
 * lw_batch_commit() - count the reserved descriptor as a packet of len bytes
 *
 * @b:   the batch, of which lw_batch_reserve() was the last call
 * @len: bytes written at the packet's data, at most the room reserved
 *
 * Context: the batch's worker.
 * Return:  the packet.
 * Since:   ABI 0.1
 */
static inline struct lw_packet *lw_batch_commit(struct lw_batch *b, uint32_t len)
{
	struct lw_packet *p = &b->pkt[b->n++];
	uint32_t used;

	p->len = len;
	p->cap = p->off + len + b->tailroom;
	used = (p->cap + 63u) & ~63u; /* the next packet starts on a cache line */
	b->arena_used = used < b->arena_cap - b->arena_used ? b->arena_used + used : b->arena_cap;
	return p;
}

/**
 * lw_batch_reset() - forget all packets of a batch
 *
 * @b: the batch; no view into its arena may be alive
 *
 * Context: the batch's worker.
 * Since:   ABI 0.1
 */
static inline void lw_batch_reset(struct lw_batch *b)
{
	b->n = 0;
	b->arena_used = 0;
}

#endif

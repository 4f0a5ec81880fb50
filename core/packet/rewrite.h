/* SPDX-License-Identifier: MIT */
/*
 * Change an address of an inside packet and correct its checksums. A wrong checksum stays as
 * wrong as it was.
 */
#ifndef LW_PACKET_REWRITE_H
#define LW_PACKET_REWRITE_H

#include <stdint.h>

#include <laneway/packet.h>

/**
 * lw_rewrite_src() - replace the source address
 *
 * @p:    an IPv4 packet or superpacket; with LW_PKT_CSUM_PARTIAL the field that csum_start and
 *        csum_off name holds the sum and is changed as a sum
 * @addr: the address, host order
 *
 * Corrected: the IPv4 header checksum; in a packet that is no later fragment the checksum of TCP,
 * and of UDP unless it is 0 (none). A transport header that is not whole is left alone.
 *
 * Context: the packet's worker.
 * Return:  0, -EBADMSG (no IPv4 packet; nothing is changed).
 */
int lw_rewrite_src(struct lw_packet *p, uint32_t addr);

/* lw_rewrite_dst() - replace the destination address; the contract of lw_rewrite_src() */
int lw_rewrite_dst(struct lw_packet *p, uint32_t addr);

#endif

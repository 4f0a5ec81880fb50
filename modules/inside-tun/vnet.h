/* SPDX-License-Identifier: MIT */
/*
 * The virtio header that stands in front of each packet of a device with IFF_VNET_HDR: what the
 * kernel says of a packet that we read, and what we say of one that we write.
 */
#ifndef LW_INSIDE_TUN_VNET_H
#define LW_INSIDE_TUN_VNET_H

#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdint.h>

#include <laneway/packet.h>

/* older than what a kernel may know: Debian 12's headers are of 6.1 */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#endif
#ifndef TUN_F_USO6
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* legacy header without the count of buffers: the kernel's own default */
#define LW_TUN_VNET_BYTES 10

/* the largest packets that a length field can tell: IPv6 does not count its own header */
#define LW_TUN_PACKET4_MAX 65535u
#define LW_TUN_PACKET_MAX  (40u + 65535u)

/**
 * lw_tun_vnet_parse() - say of a packet what its header says
 *
 * @hdr:          LW_TUN_VNET_BYTES as read, any alignment
 * @mask:         TUN_F_* that the device was granted: anything else is a lie
 * @mtu:          bytes of the largest packet or segment
 * @len:          bytes at the data of @p, at least 1
 * @p:            fresh from lw_batch_reserve(), not committed yet; undefined on failure
 * @ret_segments: set to the packets that it stands for; 1 for a single one
 *
 * The kernel's hdr_len is not looked at: it is not the length of the headers. A superpacket of one
 * segment becomes a single packet.
 *
 * Context: the packet's worker.
 * Return:  0; -EBADMSG: the header cannot be true; -EMSGSIZE: a packet or segment above @mtu.
 */
int lw_tun_vnet_parse(const uint8_t *hdr, uint32_t mask, uint32_t mtu, uint32_t len,
                      struct lw_packet *p, uint32_t *ret_segments);

/**
 * lw_tun_vnet_make() - the header for a packet that is to be written
 *
 * @p:            single or superpacket; its headers are in the first part
 * @ret_hdr:      written on success
 * @ret_segments: set to the packets that it stands for
 *
 * Context: the packet's worker.
 * Return:  0; -EINVAL: a superpacket that is none (type, checksum, headers, fewer than two
 *          segments), or too long for its length field: the kernel would send junk.
 */
int lw_tun_vnet_make(const struct lw_packet *p, struct virtio_net_hdr *ret_hdr,
                     uint32_t *ret_segments);

#endif

/* SPDX-License-Identifier: MIT */
#include "vnet.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>

#define IPV4_HEADER_MIN 20u
#define IPV6_HEADER     40u
#define TCP_HEADER_MIN  20u
#define UDP_HEADER      8u
#define TCP_CSUM_OFF    16u
#define UDP_CSUM_OFF    6u

static_assert(sizeof(struct virtio_net_hdr) == LW_TUN_VNET_BYTES, "the kernel's legacy header");

/* what a superpacket of one kind must be */
struct kind {
	uint8_t gso_type; /* LW_GSO_* */
	uint8_t protocol;
	uint8_t csum_off;
	uint8_t version;  /* 0: any */
	uint32_t granted; /* TUN_F_* of which one must be */
};

/* by the kernel's gso_type; a protocol of 0: no superpacket of ours */
static const struct kind kinds[] = {
	[VIRTIO_NET_HDR_GSO_TCPV4] = { .gso_type = LW_GSO_TCP4,
	                               .protocol = IPPROTO_TCP,
	                               .csum_off = TCP_CSUM_OFF,
	                               .version = 4,
	                               .granted = TUN_F_TSO4 },
	[VIRTIO_NET_HDR_GSO_TCPV6] = { .gso_type = LW_GSO_TCP6,
	                               .protocol = IPPROTO_TCP,
	                               .csum_off = TCP_CSUM_OFF,
	                               .version = 6,
	                               .granted = TUN_F_TSO6 },
	[VIRTIO_NET_HDR_GSO_UDP_L4] = { .gso_type = LW_GSO_UDP,
	                                .protocol = IPPROTO_UDP,
	                                .csum_off = UDP_CSUM_OFF,
	                                .granted = TUN_F_USO4 | TUN_F_USO6 },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* where the transport header is; 0: no IP packet, or not of this kind. Behind extension headers of
 * IPv6 only csum_start tells */
static uint32_t l4_offset(const struct kind *k, const uint8_t *ip, uint32_t len)
{
	uint8_t version = ip[0] >> 4;
	uint32_t l4 = version == 4 ? 4u * (ip[0] & 15u) : IPV6_HEADER;

	if ((k->version != 0 && k->version != version) || len <= l4)
		return 0;
	if (version == 4)
		return l4 >= IPV4_HEADER_MIN && ip[9] == k->protocol ? l4 : 0;
	return version == 6 ? l4 : 0;
}

/* bytes of all headers, which each segment repeats; 0: they do not fit into len */
static uint32_t header_len(const struct kind *k, const uint8_t *ip, uint32_t len, uint32_t l4)
{
	uint32_t hl = l4 + UDP_HEADER;

	if (k->protocol == IPPROTO_TCP) {
		if (len < TCP_HEADER_MIN || l4 > len - TCP_HEADER_MIN)
			return 0;
		hl = l4 + 4u * (ip[l4 + 12] >> 4);
		if (hl < l4 + TCP_HEADER_MIN)
			return 0;
	}
	return hl <= len ? hl : 0;
}

/* the same with the checksum's place, where it is given: it must be that of the kind */
static uint32_t checked_header_len(const struct kind *k, const struct lw_packet *p, uint32_t len)
{
	const uint8_t *ip = lw_packet_data(p);
	uint32_t l4 = l4_offset(k, ip, len);

	if (l4 == 0)
		return 0;
	if ((p->flags & LW_PKT_CSUM_PARTIAL) != 0) {
		bool extended = ip[0] >> 4 == 6 && p->csum_start > l4;

		if (p->csum_off != k->csum_off || (p->csum_start != l4 && !extended))
			return 0;
		l4 = p->csum_start;
	}
	return header_len(k, ip, len, l4);
}

static uint32_t segments(uint32_t payload, uint32_t gso_size)
{
	return (payload + gso_size - 1) / gso_size;
}

static int parse_checksum(const struct virtio_net_hdr *h, uint32_t mask, uint32_t len,
                          struct lw_packet *p)
{
	if ((h->flags & ~(VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0)
		return -EBADMSG;
	if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0) {
		p->flags = h->flags != 0 ? LW_PKT_CSUM_GOOD : 0;
		return 0;
	}
	if ((mask & TUN_F_CSUM) == 0 || h->csum_start < IPV4_HEADER_MIN ||
	    (uint32_t)h->csum_start + h->csum_offset + 2u > len)
		return -EBADMSG;
	p->flags = LW_PKT_CSUM_PARTIAL;
	p->csum_start = h->csum_start;
	p->csum_off = h->csum_offset;
	return 0;
}

static int parse_gso(const struct virtio_net_hdr *h, uint32_t mask, uint32_t mtu, uint32_t len,
                     struct lw_packet *p, uint32_t *ret_segments)
{
	uint8_t type = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	const struct kind *k = type < N_KINDS ? &kinds[type] : &kinds[0];
	bool ecn = h->gso_type != type;
	uint32_t hl;

	if ((mask & k->granted) == 0 || h->gso_size == 0 || (ecn && k->protocol != IPPROTO_TCP))
		return -EBADMSG;
	hl = checked_header_len(k, p, len);
	if (hl == 0)
		return -EBADMSG;
	if (hl > mtu || h->gso_size > mtu - hl)
		return -EMSGSIZE;
	if (len - hl <= h->gso_size)
		return 0;
	*ret_segments = segments(len - hl, h->gso_size);
	p->gso_type = k->gso_type;
	p->gso_size = h->gso_size;
	if (ecn)
		p->flags |= LW_PKT_ECN;
	return 0;
}

int lw_tun_vnet_parse(const uint8_t *hdr, uint32_t mask, uint32_t mtu, uint32_t len,
                      struct lw_packet *p, uint32_t *ret_segments)
{
	struct virtio_net_hdr h;
	int r;

	memcpy(&h, hdr, sizeof(h));
	*ret_segments = 1;
	if (len > LW_TUN_PACKET_MAX)
		return -EMSGSIZE;
	r = parse_checksum(&h, mask, len, p);
	if (r == 0 && h.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return parse_gso(&h, mask, mtu, len, p, ret_segments);
	return r == 0 && len > mtu ? -EMSGSIZE : r;
}

static const struct kind *kind_of(const struct lw_packet *p, uint8_t *ret_type)
{
	for (size_t type = 0; type < N_KINDS; type++) {
		if (kinds[type].protocol != 0 && kinds[type].gso_type == p->gso_type) {
			*ret_type = (uint8_t)type;
			return &kinds[type];
		}
	}
	return NULL;
}

static int make_gso(const struct lw_packet *p, struct virtio_net_hdr *h, uint32_t *ret_segments)
{
	const struct kind *k = kind_of(p, &h->gso_type);
	uint32_t hl;
	uint32_t total;

	if (k == NULL || (p->flags & LW_PKT_CSUM_PARTIAL) == 0 || p->len == 0)
		return -EINVAL;
	hl = checked_header_len(k, p, p->len);
	if (hl == 0 || p->len > LW_TUN_PACKET_MAX || p->more_len > LW_TUN_PACKET_MAX)
		return -EINVAL;
	total = p->len + p->more_len;
	if (total > (lw_packet_data(p)[0] >> 4 == 4 ? LW_TUN_PACKET4_MAX : LW_TUN_PACKET_MAX) ||
	    total - hl <= p->gso_size)
		return -EINVAL;
	if ((p->flags & LW_PKT_ECN) != 0)
		h->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	h->hdr_len = (uint16_t)hl; /* a hint how much to keep in one piece */
	h->gso_size = p->gso_size;
	*ret_segments = segments(total - hl, p->gso_size);
	return 0;
}

int lw_tun_vnet_make(const struct lw_packet *p, struct virtio_net_hdr *ret_hdr,
                     uint32_t *ret_segments)
{
	struct virtio_net_hdr h = { .flags = 0 };
	int r = 0;

	*ret_segments = 1;
	if ((p->flags & LW_PKT_CSUM_PARTIAL) != 0) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = p->csum_start;
		h.csum_offset = p->csum_off;
	}
	if (p->gso_size > 0)
		r = make_gso(p, &h, ret_segments);
	if (r == 0)
		*ret_hdr = h;
	return r;
}

/* SPDX-License-Identifier: MIT */
/*
 * What a TUN device gives: a virtio header and a packet, of which neither is trusted. The input
 * begins with the mask that was granted (1 byte) and the MTU (2 bytes).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* what was believed of a superpacket can be said again, in the same words but hdr_len */
static void check_round_trip(const struct lw_packet *p, const uint8_t *hdr, uint32_t segments)
{
	struct virtio_net_hdr before;
	struct virtio_net_hdr after;
	uint32_t n;

	memcpy(&before, hdr, sizeof(before));
	assert(p->gso_size > 0 && segments >= 2 && segments <= p->len);
	if ((p->flags & LW_PKT_CSUM_PARTIAL) == 0)
		return;
	/* the kernel gives no IPv4 packet that is longer than its length field can tell */
	if (p->len > LW_TUN_PACKET4_MAX)
		return;
	assert(lw_tun_vnet_make(p, &after, &n) == 0 && n == segments);
	assert(after.hdr_len < p->len && after.hdr_len >= 28);
	before.hdr_len = after.hdr_len;
	before.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	assert(memcmp(&before, &after, sizeof(before)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lw_packet p = { .buf = NULL };
	uint32_t mask;
	uint32_t mtu;
	uint32_t segments;
	int r;

	if (size <= 3 + LW_TUN_VNET_BYTES)
		return 0;
	mask = data[0];
	mtu = (uint32_t)(data[1] << 8 | data[2]);
	p.len = p.cap = (uint32_t)size - 3 - LW_TUN_VNET_BYTES;
	p.buf = malloc(p.len);
	assert(p.buf != NULL);
	memcpy(p.buf, data + 3 + LW_TUN_VNET_BYTES, p.len);
	r = lw_tun_vnet_parse(data + 3, mask, mtu, p.len, &p, &segments);
	assert(r == 0 || r == -EBADMSG || r == -EMSGSIZE);
	if (r == 0 && p.gso_type != LW_GSO_NONE)
		check_round_trip(&p, data + 3, segments);
	else if (r == 0)
		assert(p.len <= mtu && segments == 1 && p.gso_size == 0);
	if (r == 0 && (p.flags & LW_PKT_CSUM_PARTIAL) != 0)
		assert(p.csum_start + p.csum_off + 2u <= p.len);
	free(p.buf);
	return 0;
}

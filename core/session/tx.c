/* SPDX-License-Identifier: MIT */
/* From the chain to the peer: inside packets -> frames -> TLS. */
#include <errno.h>

#include "session/tunnel_priv.h"

static bool too_big(const struct lw_tunnel *t, size_t len)
{
	if (t->is_stream)
		return len > UINT16_MAX;
	return len + LW_FRAME_DATA_HEADER > lw_tls_write_max(t->tls);
}

/* A Data frame around a packet, in place: the three bytes in front of it are its headroom. */
static int send_data(struct lw_tunnel *t, uint8_t *p, uint32_t len, uint64_t at, struct lw_sink *k)
{
	const uint8_t *frame = lw_frame_put_data(p, LW_FRAME_DATA, (uint16_t)len);

	return lw_send_plain(t, frame, len + LW_FRAME_DATA_HEADER, at, k);
}

/* Where a stream is full a client's inside waits; a server's serves others and must not. */
static int no_room(struct lw_tunnel *t)
{
	if (!t->is_stream || t->conf->role == LW_ROLE_CLIENT)
		return -EAGAIN;
	lw_count(t->counters, LW_CTR_STREAM_FULL);
	return 0;
}

int lw_tunnel_tx(struct lw_tunnel *t, struct lw_seg *g, uint64_t at, struct lw_sink *k)
{
	uint32_t bytes = lw_seg_len_max(g);

	if (t->state != LW_TUNNEL_ONLINE || t->broken)
		return 0;
	lw_lane_rotate(t, at, k);
	if (lw_lane_takes(t, bytes) && lw_lane_tx(t, g, at, k) == -EAGAIN)
		return -EAGAIN;
	while (g->next < g->count) {
		uint32_t len = 0;
		uint8_t *p;

		if (!lw_out_room(t, k, bytes, false))
			return no_room(t);
		p = lw_seg_expose(g, &len);
		if (p == NULL)
			break;
		if (too_big(t, len)) {
			lw_count(t->counters, LW_CTR_INSIDE_TOO_BIG);
			continue;
		}
		if (send_data(t, p, len, at, k) < 0)
			break;
		t->tx_packets++;
		t->tx_bytes += len;
	}
	return 0;
}

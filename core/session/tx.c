/* SPDX-License-Identifier: MIT */
/* From the chain to the peer: inside packets -> frames -> TLS. */
#include <errno.h>

#include "session/tunnel_priv.h"

static void count_packet(struct lw_tunnel *t, uint32_t len)
{
	t->tx_packets++;
	t->tx_bytes += len;
}

/* --- a record for each frame --- */

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

static int send_each(struct lw_tunnel *t, struct lw_seg *g, uint64_t at, struct lw_sink *k)
{
	uint32_t bytes = lw_seg_len_max(g);

	while (g->next < g->count) {
		uint32_t len = 0;
		uint8_t *p;

		if (!lw_out_room(t, k, bytes, false))
			return -EAGAIN;
		p = lw_seg_expose(g, &len);
		if (p == NULL)
			break;
		if (too_big(t, len)) {
			lw_count(t->counters, LW_CTR_INSIDE_TOO_BIG);
			continue;
		}
		if (send_data(t, p, len, at, k) < 0)
			break;
		count_packet(t, len);
	}
	return 0;
}

/* --- frames gather in a record; none crosses its end --- */

void lw_tunnel_tx_end(struct lw_tunnel *t, uint64_t at, struct lw_sink *k)
{
	struct lw_out_record *r = k->record;

	if (r == NULL || r->len == 0)
		return;
	if (t->state == LW_TUNNEL_ONLINE && !t->broken &&
	    lw_send_plain(t, r->data, r->len, at, k) == 0)
		lw_count_n(t->counters, LW_CTR_FRAMES_TX, r->frames - 1); /* one is counted */
	r->len = 0;
	r->frames = 0;
}

static int gather(struct lw_tunnel *t, struct lw_seg *g, uint64_t at, struct lw_sink *k)
{
	uint32_t frame = LW_FRAME_DATA_HEADER + lw_seg_len_max(g);
	struct lw_out_record *r = k->record;

	while (g->next < g->count && !t->broken) {
		uint8_t *p;
		uint32_t len;

		if (r->len + frame > sizeof(r->data))
			lw_tunnel_tx_end(t, at, k);
		if (!lw_out_room(t, k, r->len + frame, false)) {
			lw_tunnel_tx_end(t, at, k);
			return -EAGAIN;
		}
		p = r->data + r->len + LW_FRAME_DATA_HEADER;
		len = lw_seg_copy(g, p, frame - LW_FRAME_DATA_HEADER);
		if (len == 0)
			break;
		(void)lw_frame_put_data(p, LW_FRAME_DATA, (uint16_t)len);
		r->len += LW_FRAME_DATA_HEADER + len;
		r->frames++;
		count_packet(t, len);
	}
	return 0;
}

/* A packet that is larger than a record is spread over several: send_each() does that. */
static bool fits_record(const struct lw_seg *g)
{
	return LW_FRAME_DATA_HEADER + lw_seg_len_max(g) <= LW_TLS_STREAM_RECORD_MAX;
}

int lw_tunnel_tx(struct lw_tunnel *t, struct lw_seg *g, uint64_t at, struct lw_sink *k)
{
	if (t->state != LW_TUNNEL_ONLINE || t->broken)
		return 0;
	if (t->is_stream) {
		lw_stream_tell_time(&t->stream, at);
	} else {
		lw_lane_rotate(t, at, k);
		if (lw_lane_takes(t, lw_seg_len_max(g)) && lw_lane_tx(t, g, at, k) == -EAGAIN)
			return -EAGAIN;
	}
	if (!t->is_stream || k->record == NULL)
		return send_each(t, g, at, k);
	if (fits_record(g))
		return gather(t, g, at, k);
	lw_tunnel_tx_end(t, at, k);
	return send_each(t, g, at, k);
}

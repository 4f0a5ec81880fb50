/* SPDX-License-Identifier: MIT */
/* From plaintext to datagrams and stream bytes. */
#include <errno.h>
#include <string.h>

#include "base/wipe.h"
#include "session/tunnel_priv.h"
#include "wire/header.h"

#define COPIES_AGGRESSIVE 3

/* The library gives one DTLS datagram a call; the header goes in front of it. */
static int out_datagram(void *arg, const uint8_t *p, size_t len)
{
	struct lw_out *o = arg;
	struct lw_tunnel *t = o->t;
	const struct lw_wire_header h = { .session = t->id,
		                          .major = LW_WIRE_MAJOR,
		                          .minor = t->minor };

	o->calls++;
	for (int i = 0; i < (t->aggressive ? COPIES_AGGRESSIVE : 1); i++) {
		struct lw_packet *pkt =
			lw_batch_reserve(o->k->wire, (uint32_t)(LW_WIRE_HEADER_LEN + len));

		if (pkt == NULL) {
			lw_count(t->counters, LW_CTR_SINK_FULL);
			return 0; /* lost, as on a network: DTLS repairs it */
		}
		lw_wire_header_write(lw_packet_data(pkt), &h);
		memcpy(lw_packet_data(pkt) + LW_WIRE_HEADER_LEN, p, len);
		/* a copy, for the packet may outlive the session in the driver's queue */
		*pkt->endpoint = t->endpoint;
		(void)lw_batch_commit(o->k->wire, (uint32_t)(LW_WIRE_HEADER_LEN + len));
	}
	return 0;
}

static int out_stream(void *arg, const uint8_t *p, size_t len)
{
	struct lw_out *o = arg;

	o->calls++;
	if (lw_stream_append(&o->t->stream, p, len) == 0)
		return 0;
	lw_count(o->t->counters, LW_CTR_STREAM_FULL);
	return -ENOSPC; /* a gap in a TLS stream ends it */
}

struct lw_tls_io lw_out_io(struct lw_out *o, const uint8_t *in, size_t in_len)
{
	return (struct lw_tls_io){ .in = in,
		                   .in_len = in_len,
		                   .out = o->t->is_stream ? out_stream : out_datagram,
		                   .arg = o };
}

/*
 * Room for one record of that much plaintext and for a KeyUpdate that the library may add. A
 * stream's answer does not depend on the sink.
 */
bool lw_out_room(const struct lw_tunnel *t, const struct lw_sink *k, size_t plaintext, bool control)
{
	size_t record = plaintext + LW_TLS_RECORD_OVERHEAD;
	size_t update = 64;
	const struct lw_batch *b = k->wire;

	if (t->is_stream)
		return lw_stream_room(&t->stream, control) >= record + update;
	record += LW_WIRE_HEADER_LEN + b->headroom + b->tailroom + 64;
	update += LW_WIRE_HEADER_LEN + b->headroom + b->tailroom + 64;
	return b->cap - b->n >= 2 && b->arena_cap - b->arena_used >= record + update;
}

int lw_send_plain(struct lw_tunnel *t, const uint8_t *p, size_t len, uint64_t at, struct lw_sink *k)
{
	struct lw_out o = { .t = t, .k = k };
	struct lw_tls_io io = lw_out_io(&o, NULL, 0);
	int r = lw_tls_write(t->tls, p, len, &io);

	/* the library may begin a key update by itself: wire.md 4.7 */
	if (o.calls > 1)
		lw_tunnel_arm_tls(t, at);
	if (r == 0)
		lw_count(t->counters, LW_CTR_FRAMES_TX);
	else
		lw_tunnel_break(t, at);
	return r;
}

/* A control frame; one that finds no room is dropped and counted. */
void lw_send_frame(struct lw_tunnel *t, const struct lw_frame *f, uint64_t at, struct lw_sink *k)
{
	uint8_t buf[LW_CONTROL_MAX];
	int len = lw_frame_encode(buf, sizeof(buf), f);

	if (len < 0)
		lw_tunnel_break(t, at);
	else if (!lw_out_room(t, k, (size_t)len, true))
		lw_count(t->counters, LW_CTR_SINK_FULL);
	else
		(void)lw_send_plain(t, buf, (size_t)len, at, k);
	lw_wipe(buf, sizeof(buf)); /* it may have been a login */
}

/* SPDX-License-Identifier: MIT */
/* From plaintext to datagrams and stream bytes. */
#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/wipe.h"
#include "session/tunnel_priv.h"
#include "wire/header.h"

#define COPIES_AGGRESSIVE 3

/* marks a packet of the wire batch that others of its session may join */
#define JOINABLE 1

/*
 * Room for one datagram more at the end of the last packet, which becomes a run, or NULL. All
 * datagrams of a run but the last are as long as the first. What ends a run, an ACK amid data, is
 * shorter than it and may be its last; what begins one is data of the same session.
 */
static uint8_t *join_run(const struct lw_out *o, uint32_t len)
{
	struct lw_batch *b = o->k->wire;
	struct lw_packet *p = b->n > 0 ? &b->pkt[b->n - 1] : NULL;
	uint32_t at, end, stride;

	if (o->k->run_segs == 0 || p == NULL || p->core[0] != o->t->s.serial ||
	    p->core[1] != JOINABLE ||
	    memcmp(p->endpoint, &o->t->endpoint, sizeof(*p->endpoint)) != 0)
		return NULL;
	stride = p->gso_size > 0 ? p->gso_size : p->len;
	if (len > stride || stride > UINT16_MAX || p->len % stride != 0 ||
	    p->len / stride >= o->k->run_segs || p->len + len > o->k->run_bytes)
		return NULL;
	/* the packet must be the last in the arena too */
	at = (uint32_t)(p->buf - b->arena);
	if (at + ((p->cap + 63u) & ~63u) != b->arena_used || len > b->arena_cap - b->arena_used)
		return NULL;
	p->gso_type = LW_GSO_RUN;
	p->gso_size = (uint16_t)stride;
	end = p->off + p->len;
	p->len += len;
	p->cap += len;
	b->arena_used = at + ((p->cap + 63u) & ~63u);
	if (b->arena_used > b->arena_cap)
		b->arena_used = b->arena_cap;
	return p->buf + end;
}

/* A packet of its own for one datagram, or NULL. */
static uint8_t *begin_datagram(const struct lw_out *o, uint32_t len)
{
	struct lw_packet *p = lw_batch_reserve(o->k->wire, len);

	if (p == NULL)
		return NULL;
	/* a copy, for the packet may outlive the session in the driver's queue */
	*p->endpoint = o->t->endpoint;
	p->core[0] = o->t->s.serial;
	p->core[1] = o->t->aggressive ? 0 : JOINABLE;
	return lw_packet_data(lw_batch_commit(o->k->wire, len));
}

uint8_t *lw_out_datagram(const struct lw_out *o, uint32_t len)
{
	uint8_t *to = join_run(o, len);

	return to != NULL ? to : begin_datagram(o, len);
}

/* The library gives one DTLS datagram a call; the header goes in front of it. */
static int out_datagram(void *arg, const uint8_t *p, size_t len)
{
	struct lw_out *o = arg;
	struct lw_tunnel *t = o->t;
	const struct lw_wire_header h = { .session = t->id,
		                          .major = LW_WIRE_MAJOR,
		                          .minor = t->minor };
	uint32_t total = (uint32_t)(LW_WIRE_HEADER_LEN + len);

	o->calls++;
	for (int i = 0; i < (t->aggressive ? COPIES_AGGRESSIVE : 1); i++) {
		uint8_t *to = t->aggressive ? NULL : join_run(o, total);

		if (to == NULL)
			to = begin_datagram(o, total);
		if (to == NULL) {
			lw_count(t->counters, LW_CTR_SINK_FULL);
			return 0; /* lost, as on a network: DTLS repairs it */
		}
		lw_wire_header_write(to, &h);
		memcpy(to + LW_WIRE_HEADER_LEN, p, len);
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

/* One frame, or several as one record. */
int lw_send_plain(struct lw_tunnel *t, const uint8_t *p, size_t len, uint64_t at, struct lw_sink *k)
{
	struct lw_out o = { .t = t, .k = k };
	struct lw_tls_io io = lw_out_io(&o, NULL, 0);
	int r = lw_tls_write(t->tls, p, len, &io);

	/* the library has begun a key update by itself: wire.md 4.7 */
	if (o.calls > 1) {
		lw_count(t->counters, LW_CTR_KEY_UPDATES);
		lw_tunnel_arm_tls(t, at);
	}
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

/* A Ping or a Pong, with the totals of Expresslane in a keepalive while it is ready: wire.md 2.3.
 */
void lw_send_keepalive(struct lw_tunnel *t, uint8_t type, uint16_t id, uint64_t at,
                       struct lw_sink *k)
{
	uint8_t totals[LW_FRAME_COUNTERS_LEN];
	struct lw_writer w = lw_writer_init(totals, sizeof(totals));
	struct lw_frame f = { .type = type, .ping = { .id = id } };
	struct lw_frame_counters c;

	if (id == 0 && lw_lane_totals(t->lane, &c)) {
		lw_write_u64(&w, c.sent);
		lw_write_u64(&w, c.received);
		f.ping.payload = (struct lw_bytes){ totals, sizeof(totals) };
	}
	lw_send_frame(t, &f, at, k);
}

/* SPDX-License-Identifier: MIT */
/* From the peer: datagrams or stream bytes -> TLS -> frames -> inside packets and events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"
#include "packet/ipv4.h"
#include "session/tunnel_priv.h"
#include "wire/header.h"

/* largest TLS record */
#define RECORD_MAX 16384u
/* descriptors that one TLS record of the smallest packets may need, the first of them begun in the
 * record before */
#define RECORD_PACKETS (RECORD_MAX / (LW_FRAME_DATA_HEADER + LW_IPV4_HEADER_MIN) + 1)

/*
 * One inside packet into the sink: a view into `from`, or, where the bytes will not stay, a copy
 * into the sink's arena.
 */
bool lw_deliver(struct lw_tunnel *t, struct lw_packet *from, const uint8_t *p, size_t len,
                struct lw_sink *k)
{
	struct lw_packet *pkt;

	if (!lw_ipv4_valid(p, len)) {
		lw_count(t->counters, LW_CTR_INSIDE_INVALID);
		return false;
	}
	pkt = lw_batch_reserve(k->inside, from == NULL ? LW_FRAME_DATA_HEADER + (uint32_t)len : 0);
	if (pkt == NULL) {
		lw_count(t->counters, LW_CTR_SINK_FULL);
		return false;
	}
	if (from == NULL) {
		/* as in front of all others, lest a filter's answer find no room for its frame */
		pkt->off += LW_FRAME_DATA_HEADER;
		memcpy(lw_packet_data(pkt), p, len);
		(void)lw_batch_commit(k->inside, (uint32_t)len);
	} else {
		pkt->buf = from->buf;
		pkt->off = (uint32_t)(p - from->buf);
		pkt->len = (uint32_t)len;
		pkt->cap = pkt->off + pkt->len;
		k->inside->n++;
	}
	pkt->session = &t->s;
	t->rx_packets++;
	t->rx_bytes += len;
	return true;
}

/* Section 11: which decoding errors end a session. On TCP all do. */
static int bad_frame(struct lw_tunnel *t, int error, uint64_t at, struct lw_sink *k)
{
	bool fatal = t->is_stream;

	if (error == LW_FRAME_UNKNOWN)
		lw_count(t->counters, LW_CTR_FRAME_UNKNOWN);
	else
		lw_count(t->counters, LW_CTR_FRAME_MALFORMED);
	if (error != LW_FRAME_UNKNOWN && error != LW_FRAME_BAD_VERSION)
		fatal = true;
	return fatal ? lw_tunnel_fail(t, LW_CLOSE_PROTOCOL, at, k) : 0;
}

/* A key stays nowhere but in its place. */
static void wipe_key(const struct lw_packet *from, const struct lw_frame *f)
{
	if (f->type == LW_FRAME_EXPRESSLANE_CONFIG)
		lw_wipe(from->buf + (f->expresslane.key - from->buf), LW_FRAME_KEY_LEN);
}

/*
 * All frames of some plaintext. *ret_left: bytes at the end that are the head of a frame. After an
 * unknown frame on UDP the rest of the record is left out (wire.md 2.1, REC).
 */
static int rx_frames(struct lw_tunnel *t, struct lw_packet *from, const uint8_t *p, size_t len,
                     size_t *ret_left, uint64_t at, struct lw_sink *k)
{
	int frames = 0;

	*ret_left = 0;
	while (len > 0) {
		struct lw_frame f;
		int n = lw_frame_decode(p, len, &f);
		int r;

		if (n == LW_FRAME_MORE) {
			*ret_left = len;
			break;
		}
		if (n < 0) {
			r = bad_frame(t, n, at, k);
			return r < 0 ? r : frames;
		}
		p += n;
		len -= (size_t)n;
		r = lw_tunnel_frame(t, &f, from, at, k);
		wipe_key(from, &f);
		if (r < 0)
			return r;
		frames += r;
	}
	return frames;
}

/* What the library could drop it has dropped; this is the end. */
static int read_failed(struct lw_tunnel *t, int error, uint64_t at, struct lw_sink *k)
{
	if (error == -ESHUTDOWN)
		return lw_tunnel_fail(t, LW_CLOSE_PEER, at, k);
	return lw_tunnel_fail(t, LW_CLOSE_HANDSHAKE, at, k);
}

/* The payload of one datagram; plaintext is written back over it, for it is always shorter. */
static int rx_tls(struct lw_tunnel *t, struct lw_packet *dgram, uint8_t *p, size_t len, uint64_t at,
                  struct lw_sink *k)
{
	struct lw_out o = { .t = t, .k = k };
	struct lw_tls_io io = lw_out_io(&o, p, len);
	size_t cap = len;
	int frames = 0;

	if (t->lends) {
		(void)lw_step_keep(t, p, len);
		return 0;
	}
	if (!t->handshake_done) {
		int r = lw_tunnel_after_step(t, lw_tls_step(t->tls, &io), at, k);

		if (r < 0 || !t->handshake_done)
			return r;
	}
	while (cap > 0) { /* anybody can send a header with nothing behind it */
		size_t n = 0;
		size_t left = 0;
		int r = lw_tls_read(t->tls, p, cap, &n, &io);

		if (r == -EAGAIN)
			break;
		if (r < 0)
			return read_failed(t, r, at, k);
		r = rx_frames(t, dgram, p, n, &left, at, k);
		if (r < 0)
			return r;
		frames += r;
		if (left > 0) /* a frame never spans datagrams: wire.md 3, REC */
			lw_count(t->counters, LW_CTR_FRAME_TRUNCATED);
		p += n;
		cap -= n;
	}
	lw_tunnel_arm_tls(t, at);
	lw_tunnel_key_update(t, at, k);
	return frames;
}

static int rx_piece(struct lw_tunnel *t, struct lw_packet *dgram, uint8_t *p, size_t len,
                    uint64_t at, struct lw_sink *k)
{
	struct lw_wire_header h;
	int before = 0;
	int frames;

	if (lw_wire_header_parse(p, len, &h) < 0) {
		lw_count(t->counters, LW_CTR_HEADER_BAD);
		return 0;
	}
	if (t->conf->role == LW_ROLE_SERVER && h.minor != t->minor) {
		lw_count(t->counters, LW_CTR_HEADER_VERSION);
		return 0;
	}
	if (h.session == LW_WIRE_ID_REJECTED) {
		lw_count(t->counters, LW_CTR_HEADER_REJECTED);
		lw_tunnel_doubt(t, at, k);
		return 0;
	}
	p += LW_WIRE_HEADER_LEN;
	len -= LW_WIRE_HEADER_LEN;
	if (h.expresslane)
		return lw_lane_rx(t, dgram, p, len, h.session, at, k);
	if (lw_lane_waits(t))
		before = lw_lane_rx_run(t, dgram, at, k);
	if (before < 0)
		return before;
	frames = rx_tls(t, dgram, p, len, at, k);
	if (frames > 0)
		lw_tunnel_accepted(t, h.session, at, k);
	return frames < 0 ? frames : before + frames;
}

int lw_tunnel_rx(struct lw_tunnel *t, struct lw_packet *dgram, uint64_t at, struct lw_sink *k)
{
	uint8_t *p = lw_packet_data(dgram);
	size_t left = dgram->len;
	size_t stride = dgram->gso_size > 0 ? dgram->gso_size : left;
	int frames = 0;
	int r;

	if (t->state == LW_TUNNEL_CLOSED)
		return -ESHUTDOWN;
	while (left > 0) {
		size_t n = left < stride ? left : stride;

		r = rx_piece(t, dgram, p, n, at, k);
		if (r < 0)
			return r;
		frames += r;
		p += n;
		left -= n;
	}
	if (t->lends)
		lw_step_want(t, k);
	r = lw_lane_waits(t) ? lw_lane_rx_run(t, dgram, at, k) : 0;
	return r < 0 ? r : frames + r;
}

/* What is left of the plaintext waits for the rest of its frame. */
static int keep_carry(struct lw_tunnel *t, const uint8_t *p, size_t len)
{
	if (len > t->carry_cap) {
		uint8_t *bigger = realloc(t->carry, len);

		if (bigger == NULL)
			return -ENOMEM;
		t->carry = bigger;
		t->carry_cap = (uint32_t)len;
	}
	if (len > 0)
		memcpy(t->carry, p, len);
	t->carry_len = (uint32_t)len;
	if (len == 0) {
		free(t->carry);
		t->carry = NULL;
		t->carry_cap = 0;
	}
	return 0;
}

/* One record into the sink's arena, behind what was carried over. */
static int rx_record(struct lw_tunnel *t, struct lw_tls_io *io, uint64_t at, struct lw_sink *k)
{
	struct lw_batch *b = k->inside;
	uint8_t *base = b->arena + b->arena_used;
	struct lw_packet from = { .buf = base };
	size_t left = 0;
	size_t n = 0;
	size_t carried = t->carry_len;
	int frames;
	int r;

	if (b->arena_cap - b->arena_used < carried + RECORD_MAX || b->cap - b->n < RECORD_PACKETS)
		return -ENOBUFS;
	r = lw_tls_read(t->tls, base + carried, RECORD_MAX, &n, io);
	if (r < 0)
		return r == -EAGAIN ? r : read_failed(t, r, at, k);
	if (carried > 0)
		memcpy(base, t->carry, carried);
	t->carry_len = 0;
	b->arena_used += (uint32_t)((carried + n + 63) & ~(size_t)63);
	if (b->arena_used > b->arena_cap)
		b->arena_used = b->arena_cap;
	frames = rx_frames(t, &from, base, carried + n, &left, at, k);
	if (frames < 0)
		return frames;
	if (left > LW_FRAME_MAX || keep_carry(t, base + carried + n - left, left) < 0)
		return lw_tunnel_fail(t, LW_CLOSE_PROTOCOL, at, k);
	return frames;
}

int lw_tunnel_rx_bytes(struct lw_tunnel *t, const uint8_t *p, size_t len, size_t *ret_used,
                       uint64_t at, struct lw_sink *k)
{
	struct lw_out o = { .t = t, .k = k };
	struct lw_tls_io io = lw_out_io(&o, p, len);
	int frames = 0;
	int r = 0;

	*ret_used = len;
	if (t->state == LW_TUNNEL_CLOSED)
		return -ESHUTDOWN;
	if (t->lends) {
		if (!lw_step_keep(t, p, len))
			return lw_tunnel_fail(t, LW_CLOSE_PROTOCOL, at, k);
		lw_step_want(t, k);
		return 0;
	}
	if (!t->handshake_done) {
		r = lw_tunnel_after_step(t, lw_tls_step(t->tls, &io), at, k);
		if (r < 0 || !t->handshake_done)
			return r;
	}
	while (r >= 0) {
		r = rx_record(t, &io, at, k);
		if (r > 0)
			frames += r;
	}
	*ret_used = len - io.in_len;
	if (t->state == LW_TUNNEL_CLOSED)
		return r;
	if (frames > 0)
		lw_tunnel_heard(t, at);
	lw_tunnel_key_update(t, at, k);
	if (r == -ENOBUFS)
		return -EAGAIN;
	return frames;
}

/* SPDX-License-Identifier: MIT */
/* What a tunnel does when there is no room: in its stream, its chunk pool or the sink. */
#include <errno.h>

#include "session/tunnel_priv.h"
#include "unit/frame_examples.h"
#include "unit/session_pair.h"
#include "unit/test.h"

#define PACKET     1350u
#define HEADROOM   64u
#define DATA_MAX   (LW_STREAM_MAX - LW_STREAM_CONTROL)
#define RECORD     (PACKET + LW_FRAME_DATA_HEADER + LW_TLS_RECORD_OVERHEAD)
#define SMALLEST   20u
#define PER_FRAME  ((size_t)SMALLEST + LW_FRAME_DATA_HEADER)
#define RECORD_MAX 16384u

struct outgoing {
	uint8_t buf[HEADROOM + PACKET];
	struct lw_packet pkt;
	struct lw_seg seg;
};

static void make_outgoing(struct outgoing *o, uint32_t len, uint8_t mark)
{
	o->pkt = (struct lw_packet){
		.buf = o->buf, .cap = sizeof(o->buf), .off = HEADROOM, .len = len
	};
	memset(o->buf + HEADROOM, mark, len);
	o->buf[HEADROOM] = 0x45;
	assert_int_equal(lw_seg_init(&o->seg, &o->pkt), 0);
}

static struct lw_sink sink_of(struct pair_side *s)
{
	return (struct lw_sink){ .wire = s->wire, .inside = s->inside };
}

static int tx(struct pair *p, struct pair_side *s, struct outgoing *o)
{
	struct lw_sink k = sink_of(s);
	int r = lw_tunnel_tx(s->t, &o->seg, p->now_us, &k);

	assert_int_equal(k.n_events, 0);
	return r;
}

/* Packets into a stream that nobody empties, too slowly for a burst, until one does not go; returns
 * how many went. */
static uint32_t fill_stream(struct pair *p, struct pair_side *s, struct outgoing *o)
{
	uint32_t n = 0;

	for (;;) {
		make_outgoing(o, PACKET, (uint8_t)n);
		if (tx(p, s, o) == -EAGAIN)
			return n;
		if (n++ == 0)
			p->now_us += LW_STREAM_WAIT_US;
	}
}

/* What was sent arrives, and nothing else; only 64 packets are looked at one by one. */
static void check_arrives(struct pair *p, struct pair_side *from, uint32_t n)
{
	struct pair_side *to = pair_peer(p, from);

	pair_flush(p, from);
	pair_run(p, 10 * LW_MS, false);
	assert_int_equal(to->t->rx_packets, n);
	assert_int_equal(to->t->rx_bytes, (uint64_t)n * PACKET);
	for (uint32_t i = 0; i < to->n_got; i++) {
		assert_int_equal(to->got_len[i], PACKET);
		assert_int_equal(to->got[i][1], i);
	}
	pair_check_lives(p, to);
}

/* --- streams --- */

static void stream_full__tx__refused_until_there_is_room(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(true);
		struct pair_side *s = pair_end(p, side);
		struct outgoing o;
		uint32_t n = fill_stream(p, s, &o);
		size_t used = s->t->stream.used;

		assert_int_equal(used, n * RECORD);
		assert_in_range(used, DATA_MAX - 2 * RECORD, DATA_MAX);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(tx(p, s, &o), -EAGAIN);
			assert_int_equal(o.seg.next, 0);
			assert_int_equal(s->t->stream.used, used);
		}
		assert_int_equal(s->t->tx_packets, n);
		assert_int_equal(s->counters.n[LW_CTR_STREAM_FULL], 0);
		pair_flush(p, s);
		assert_int_equal(tx(p, s, &o), 0); /* the same packet, now */
		assert_int_equal(s->t->tx_packets, n + 1);
		check_arrives(p, s, n + 1);
		pair_destroy(p);
	}
}

/* Let one side receive a Ping while its stream is as full as data can make it. */
static void ping(struct pair *p, struct pair_side *s)
{
	struct lw_sink k = sink_of(s);
	struct pair_packet *q;
	size_t used = 0;

	pair_inject(p, pair_peer(p, s), "\x02\0\0\0\0", 5);
	assert_int_equal(p->n_flight, 1);
	q = p->flight[--p->n_flight];
	assert_int_equal(lw_tunnel_rx_bytes(s->t, q->data, q->len, &used, p->now_us, &k), 1);
	assert_int_equal(used, q->len);
	assert_int_equal(k.n_events, 0);
}

/* data leaves a reserve that control frames may use; when that is gone too they are dropped */
static void stream_full__control_frames__use_the_reserve(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(true);
		struct pair_side *s = pair_end(p, side);
		struct outgoing o;
		uint32_t n = fill_stream(p, s, &o);
		uint64_t sent = s->counters.n[LW_CTR_FRAMES_TX];
		uint32_t pongs = 0;

		while (s->counters.n[LW_CTR_SINK_FULL] == 0) {
			ping(p, s);
			assert_in_range(++pongs, 1, 2000);
		}
		pongs--;
		assert_int_equal(s->counters.n[LW_CTR_FRAMES_TX], sent + pongs);
		assert_in_range(s->t->stream.used, LW_STREAM_MAX - 200, LW_STREAM_MAX);
		assert_true(pongs > LW_STREAM_CONTROL / 40);
		assert_false(pair_closed(s));
		check_arrives(p, s, n);
		pair_destroy(p);
	}
}

static void stream_full__destroyed__chunks_given_back(void **state)
{
	struct pair *p = pair_online(true);
	struct outgoing o;

	(void)state;
	(void)fill_stream(p, &p->server, &o);
	assert_true(p->server.chunks.n_free < p->server.chunks.n);
	lw_tunnel_destroy(p->server.t);
	p->server.t = NULL;
	assert_int_equal(p->server.chunks.n_free, p->server.chunks.n);
	pair_destroy(p);
}

/* the memory of all streams of a worker together is another limit */
static void pool_empty__tx__as_a_full_stream(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(true);
		struct pair_side *s = pair_end(p, side);
		uint32_t kept = s->chunks.n_free;
		struct outgoing o;

		s->chunks.n_free = 0; /* others have them */
		make_outgoing(&o, PACKET, 0);
		assert_int_equal(tx(p, s, &o), -EAGAIN);
		assert_int_equal(s->t->tx_packets, 0);
		ping(p, s);
		assert_int_equal(s->counters.n[LW_CTR_SINK_FULL], 1);
		s->chunks.n_free = kept;
		make_outgoing(&o, PACKET, 0);
		assert_int_equal(tx(p, s, &o), 0);
		check_arrives(p, s, 1);
		pair_destroy(p);
	}
}

/* a flight of the handshake cannot wait: without memory the session ends */
static void pool_empty__handshake__ends(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_create(true, 1);
		struct pair_side *s = pair_end(p, side);

		s->chunks.n_free = 0;
		pair_begin(p);
		pair_run(p, 10 * LW_MS, false);
		assert_true(pair_closed(s));
		assert_int_equal(s->t->reason, LW_CLOSE_HANDSHAKE);
		assert_int_equal(s->result, -EPROTO);
		assert_int_equal(s->n_closed, 1);
		assert_int_equal(s->counters.n[LW_CTR_STREAM_FULL], 1);
		s->chunks.n_free = s->chunks.n;
		pair_destroy(p);
	}
}

/* --- a sink without room, UDP --- */

static void wire_full__tx__continued_with_the_same_packet(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(false);
		struct pair_side *s = pair_end(p, i % 2);
		struct lw_batch kept = *s->wire;
		struct outgoing o;

		if (i / 2 == 0)
			s->wire->cap = 1;
		else
			s->wire->arena_cap = PACKET;
		make_outgoing(&o, PACKET, 0);
		assert_int_equal(tx(p, s, &o), -EAGAIN);
		assert_int_equal(tx(p, s, &o), -EAGAIN);
		assert_int_equal(o.seg.next, 0);
		assert_int_equal(s->wire->n, 0);
		assert_int_equal(s->t->tx_packets, 0);
		*s->wire = kept;
		assert_int_equal(tx(p, s, &o), 0);
		check_arrives(p, s, 1);
		pair_destroy(p);
	}
}

static void wire_full__answer__dropped_and_counted(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(false);
		struct pair_side *s = pair_end(p, side);
		uint32_t cap = s->wire->cap;
		uint64_t frames = s->counters.n[LW_CTR_FRAMES_TX];

		s->wire->cap = 1;
		pair_inject_hex(p, pair_peer(p, s), "02 0000 0000");
		assert_int_equal(s->counters.n[LW_CTR_SINK_FULL], 1);
		assert_int_equal(s->counters.n[LW_CTR_FRAMES_TX], frames);
		s->wire->cap = cap;
		pair_check_lives(p, s);
		pair_destroy(p);
	}
}

/* the client asks again */
static void wire_full__auth_success__repaired_by_the_next_login(void **state)
{
	struct pair *p = pair_at_login(false);
	uint32_t cap = p->server.wire->cap;

	(void)state;
	p->server.wire->cap = 1;
	pair_auth(p, LW_AUTH_YES);
	assert_int_equal(p->server.counters.n[LW_CTR_SINK_FULL], 1);
	assert_int_equal(p->server.n_online, 1);
	p->server.wire->cap = cap;
	p->answer_at_once = true;
	pair_run(p, 3 * LW_S, true);
	assert_int_equal(p->client.n_online, 1);
	pair_destroy(p);
}

/* copies of a datagram that find no place are lost, the first is not */
static void wire_full__copies__lost_and_counted(void **state)
{
	struct pair *p = pair_create(false, 1);
	uint32_t cap = p->client.wire->cap;

	(void)state;
	p->client.wire->cap = 1;
	pair_begin(p);
	assert_int_equal(p->datagrams[0], 1);
	assert_int_equal(p->client.counters.n[LW_CTR_SINK_FULL], 1);
	p->client.wire->cap = cap;
	pair_run(p, 1 * LW_S, true);
	assert_int_equal(p->client.n_online, 1);
	pair_destroy(p);
}

static void inside_full__udp__packet_lost_and_counted(void **state)
{
	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair *p = pair_online(false);
		struct pair_side *s = pair_end(p, side);
		struct lw_batch kept = *s->inside;
		uint8_t packet[SMALLEST] = { 0x45 };

		s->inside->cap = 0;
		pair_send(p, pair_peer(p, s), packet, sizeof(packet));
		pair_run(p, 5 * LW_MS, false);
		assert_int_equal(s->counters.n[LW_CTR_SINK_FULL], 1);
		assert_int_equal(s->t->rx_packets, 0);
		s->inside->cap = kept.cap;
		/* put together from fragments it is copied, which takes room in the arena */
		s->inside->arena_cap = 8;
		pair_inject_hex(p, pair_peer(p, s),
		                "0f 0014 0001 0000 4500001400010000400100000a7d00050a7d0006");
		assert_int_equal(s->counters.n[LW_CTR_SINK_FULL], 2);
		*s->inside = kept;
		pair_send(p, pair_peer(p, s), packet, sizeof(packet));
		pair_run(p, 5 * LW_MS, false);
		assert_int_equal(s->t->rx_packets, 1);
		pair_destroy(p);
	}
}

/* --- a sink without room, TCP --- */

/* All that a side's stream holds; returns its length. */
static size_t take_stream(struct lw_stream *s, uint8_t *bytes, size_t cap)
{
	size_t len = 0;

	while (s->used > 0) {
		struct iovec iov;

		assert_int_equal(lw_stream_peek(s, &iov, 1), 1);
		assert_true(iov.iov_len <= cap - len);
		memcpy(bytes + len, iov.iov_base, iov.iov_len);
		len += iov.iov_len;
		lw_stream_consume(s, iov.iov_len);
	}
	return len;
}

/* Records of three small packets and half a fourth, as bytes. */
static size_t make_records(struct pair *p, struct pair_side *from, uint32_t records, uint8_t *bytes,
                           size_t cap)
{
	uint8_t frames[8 * PER_FRAME];
	uint32_t mark = 0;
	size_t half = 0;

	for (uint32_t i = 0; i < records; i++) {
		struct lw_sink k = sink_of(from);
		size_t n = half;
		size_t cut;

		for (int j = 0; j < 4; j++, n += PER_FRAME) {
			memset(frames + n, 0, PER_FRAME);
			frames[n] = LW_FRAME_DATA;
			frames[n + 2] = SMALLEST;
			frames[n + 3] = 0x45;
			frames[n + 4] = (uint8_t)mark++;
		}
		cut = i + 1 < records ? n - PER_FRAME / 2 : n;
		assert_int_equal(lw_send_plain(from->t, frames, cut, p->now_us, &k), 0);
		half = n - cut;
		memmove(frames, frames + cut, half);
	}
	return take_stream(&from->t->stream, bytes, cap);
}

/* Feed it all, emptying the sink whenever that is asked for; returns how often it was. */
static uint32_t feed_all(struct pair *p, struct pair_side *s, const uint8_t *bytes, size_t len)
{
	uint32_t again = 0;
	uint32_t mark = 0;
	size_t done = 0;
	int r;

	do {
		struct lw_sink k = sink_of(s);
		size_t used = 0;

		r = lw_tunnel_rx_bytes(s->t, bytes + done, len - done, &used, p->now_us, &k);
		done += used;
		LW_BATCH_FOREACH (pkt, s->inside)
			assert_int_equal(lw_packet_data(pkt)[1], (uint8_t)mark++);
		lw_batch_reset(s->inside);
		again += r == -EAGAIN;
	} while (r == -EAGAIN);
	assert_true(r >= 0);
	assert_int_equal(done, len);
	return again;
}

static void inside_full__tcp__continued_without_loss(void **state)
{
	/* room for one record's bytes, for the packets of two, for those of a hundred */
	static const struct {
		uint32_t arena;
		uint32_t cap;
		uint32_t at_least;
	} rooms[] = { { RECORD_MAX + 64, 1024, 90 }, { 1 << 18, 720, 90 }, { 1 << 18, 1024, 1 } };
	static uint8_t bytes[1 << 16];

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct pair *p = pair_online(true);
		struct pair_side *s = pair_end(p, i % 2);
		struct lw_batch kept = *s->inside;
		size_t len = make_records(p, pair_peer(p, s), 200, bytes, sizeof(bytes));

		s->inside->arena_cap = rooms[i / 2].arena;
		s->inside->cap = rooms[i / 2].cap;
		assert_in_range(feed_all(p, s, bytes, len), rooms[i / 2].at_least, 200);
		*s->inside = kept;
		assert_int_equal(s->t->rx_packets, 800);
		assert_int_equal(s->counters.n[LW_CTR_SINK_FULL], 0);
		pair_check_lives(p, s);
		pair_destroy(p);
	}
}

/* nothing is decrypted that has no place */
static void inside_full__tcp_nothing_fits__input_is_not_taken(void **state)
{
	static uint8_t bytes[1 << 16];
	struct pair *p = pair_online(true);
	struct lw_sink k = sink_of(&p->server);
	size_t len = make_records(p, &p->client, 3, bytes, sizeof(bytes));
	size_t used = 0;
	int r;

	(void)state;
	p->server.inside->n = p->server.inside->cap; /* nothing at all fits */
	r = lw_tunnel_rx_bytes(p->server.t, bytes, len, &used, p->now_us, &k);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(used, 0);
	assert_int_equal(p->server.t->rx_packets, 0);
	lw_batch_reset(p->server.inside);
	assert_int_equal(feed_all(p, &p->server, bytes, len), 0);
	assert_int_equal(lw_tunnel_rx_bytes(p->server.t, NULL, 0, &used, p->now_us, &k), 0);
	assert_int_equal(p->server.t->rx_packets, 12);
	pair_destroy(p);
}

/* the last byte of the arena may be used, and none behind it */
static void inside_exact__tcp_record_fills_it__next_one_waits(void **state)
{
	static const uint8_t head[] = { LW_FRAME_DATA, RECORD_MAX >> 8, 0 };
	static uint8_t packet[RECORD_MAX];
	static uint8_t bytes[2 * RECORD_MAX];
	struct pair *p = pair_online(true);
	struct pair_side *s = &p->server;
	struct lw_sink c = sink_of(&p->client);
	struct lw_sink k = sink_of(s);
	uint64_t frames = s->counters.n[LW_CTR_FRAMES_RX];
	size_t used = 0;
	size_t more = 0;
	size_t len;

	(void)state;
	memset(packet, 0x45, sizeof(packet));
	pair_inject(p, &p->client, head, sizeof(head));
	pair_run(p, 5 * LW_MS, false);
	assert_int_equal(s->t->carry_len, sizeof(head));
	assert_int_equal(lw_send_plain(p->client.t, packet, RECORD_MAX, p->now_us, &c), 0);
	assert_int_equal(lw_send_plain(p->client.t, (const uint8_t *)"\x01", 1, p->now_us, &c), 0);
	len = take_stream(&p->client.t->stream, bytes, sizeof(bytes));
	s->inside->arena_cap = RECORD_MAX + sizeof(head);
	assert_int_equal(lw_tunnel_rx_bytes(s->t, bytes, len, &used, p->now_us, &k), -EAGAIN);
	assert_int_equal(s->t->rx_packets, 1);
	assert_int_equal(s->t->rx_bytes, RECORD_MAX);
	assert_int_equal(s->counters.n[LW_CTR_FRAMES_RX], frames + 1);
	assert_int_equal(s->inside->arena_used, s->inside->arena_cap);
	lw_batch_reset(s->inside);
	assert_int_equal(lw_tunnel_rx_bytes(s->t, bytes + used, len - used, &more, p->now_us, &k),
	                 -EAGAIN);
	assert_int_equal(used + more, len);
	assert_int_equal(s->counters.n[LW_CTR_FRAMES_RX], frames + 2);
	pair_destroy(p);
}

/* as many packets as one record can bring find a place or the record waits */
static void inside_nearly_full__record_of_smallest_packets__none_lost(void **state)
{
	static uint8_t frames[RECORD_MAX];
	static uint8_t bytes[2 * RECORD_MAX];
	const size_t n = RECORD_MAX / PER_FRAME;

	(void)state;
	for (uint32_t i = 0; i < n; i++) {
		frames[i * PER_FRAME] = LW_FRAME_DATA;
		frames[i * PER_FRAME + 2] = SMALLEST;
		frames[i * PER_FRAME + 3] = 0x45;
	}
	for (uint32_t before = 0; before <= 1024; before += 64) {
		struct pair *p = pair_online(true);
		struct lw_sink k = sink_of(&p->server);
		struct lw_sink c = sink_of(&p->client);
		size_t len;
		size_t used = 0;
		int r;

		assert_int_equal(p->server.inside->cap, 1024);
		assert_int_equal(lw_send_plain(p->client.t, frames, n * PER_FRAME, p->now_us, &c),
		                 0);
		len = take_stream(&p->client.t->stream, bytes, sizeof(bytes));
		p->server.inside->n = before; /* of other tunnels */
		r = lw_tunnel_rx_bytes(p->server.t, bytes, len, &used, p->now_us, &k);
		if (r == -EAGAIN) {
			size_t more = 0;

			lw_batch_reset(p->server.inside);
			(void)lw_tunnel_rx_bytes(p->server.t, bytes + used, len - used, &more,
			                         p->now_us, &k);
		}
		assert_int_equal(p->server.t->rx_packets, n);
		assert_int_equal(p->server.counters.n[LW_CTR_SINK_FULL], 0);
		pair_destroy(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stream_full__tx__refused_until_there_is_room),
		cmocka_unit_test(stream_full__control_frames__use_the_reserve),
		cmocka_unit_test(stream_full__destroyed__chunks_given_back),
		cmocka_unit_test(pool_empty__tx__as_a_full_stream),
		cmocka_unit_test(pool_empty__handshake__ends),
		cmocka_unit_test(wire_full__tx__continued_with_the_same_packet),
		cmocka_unit_test(wire_full__answer__dropped_and_counted),
		cmocka_unit_test(wire_full__auth_success__repaired_by_the_next_login),
		cmocka_unit_test(wire_full__copies__lost_and_counted),
		cmocka_unit_test(inside_full__udp__packet_lost_and_counted),
		cmocka_unit_test(inside_full__tcp__continued_without_loss),
		cmocka_unit_test(inside_full__tcp_nothing_fits__input_is_not_taken),
		cmocka_unit_test(inside_exact__tcp_record_fills_it__next_one_waits),
		cmocka_unit_test(inside_nearly_full__record_of_smallest_packets__none_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

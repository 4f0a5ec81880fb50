/* SPDX-License-Identifier: MIT */
/* Frames that share the TLS records of a stream. */
#include <errno.h>
#include <stdlib.h>

#include "session/tunnel_priv.h"
#include "unit/session_pair.h"
#include "unit/test.h"

#define HEADROOM 64u
#define HEADERS  40u
#define MSS      1360u
#define PACKET   (HEADERS + MSS)
#define FRAME    (PACKET + LW_FRAME_DATA_HEADER)
#define FITS     (LW_TLS_STREAM_RECORD_MAX / FRAME)
/* header, content type and tag of a TLS 1.3 record */
#define TLS_EXTRA 22u
#define RECORDS   64u

struct bed {
	struct pair *p;
	struct pair_side *from;
	struct pair_side *to;
	struct lw_out_record record;
	struct lw_sink k;
	uint8_t buf[HEADROOM + (1 << 16)];
	struct lw_packet pkt;
	struct lw_seg seg;
	/* what waits in the stream, by records: bytes of plaintext */
	uint32_t plain[RECORDS];
	uint32_t n_plain;
};

static struct bed *bed_create(bool from_server)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->p = pair_online(true);
	b->from = pair_end(b->p, from_server);
	b->to = pair_peer(b->p, b->from);
	b->p->piece = PAIR_PACKET;
	b->k = (struct lw_sink){ .wire = b->from->wire,
		                 .inside = b->from->inside,
		                 .record = &b->record };
	return b;
}

static void bed_destroy(struct bed *b)
{
	pair_destroy(b->p);
	free(b);
}

/* an inside packet, with a mark behind its first byte */
static void make_packet(struct bed *b, uint32_t len, uint8_t mark)
{
	memset(b->buf, mark, sizeof(b->buf));
	b->buf[HEADROOM] = 0x45;
	b->pkt = (struct lw_packet){
		.buf = b->buf, .cap = sizeof(b->buf), .off = HEADROOM, .len = len
	};
	assert_int_equal(lw_seg_init(&b->seg, &b->pkt), 0);
}

/* n segments; the kernel's form of a superpacket of TCP */
static void make_super(struct bed *b, uint32_t n)
{
	static const uint8_t head[HEADERS] = { 0x45, 0, 0, 0, 0, 1, 0, 0, 64,   6,    0,    0,
		                               10,   0, 0, 1, 8, 8, 8, 8, 4,    0,    0,    80,
		                               0,    0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff };
	uint32_t len = HEADERS + n * MSS;

	make_packet(b, len, 'x');
	memcpy(b->buf + HEADROOM, head, HEADERS);
	b->buf[HEADROOM + 2] = (uint8_t)(len >> 8);
	b->buf[HEADROOM + 3] = (uint8_t)len;
	b->pkt.gso_type = LW_GSO_TCP4;
	b->pkt.gso_size = MSS;
	b->pkt.flags = LW_PKT_CSUM_PARTIAL;
	b->pkt.csum_start = 20;
	b->pkt.csum_off = 16;
	assert_int_equal(lw_seg_init(&b->seg, &b->pkt), 0);
	assert_int_equal(b->seg.count, n);
}

static int tx(struct bed *b)
{
	return lw_tunnel_tx(b->from->t, &b->seg, b->p->now_us, &b->k);
}

static void tx_end(struct bed *b)
{
	lw_tunnel_tx_end(b->from->t, b->p->now_us, &b->k);
	assert_int_equal(b->k.n_events, 0);
}

/* Looks at the headers of the records that wait; nothing is taken out. */
static void look(struct bed *b)
{
	uint8_t flat[LW_STREAM_MAX];
	struct iovec iov[20];
	uint32_t n = lw_stream_peek(&b->from->t->stream, iov, 20);
	size_t len = 0;

	for (uint32_t i = 0; i < n; i++) {
		memcpy(flat + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	assert_int_equal(len, b->from->t->stream.used);
	b->n_plain = 0;
	for (size_t at = 0; at < len;) {
		size_t body = (size_t)flat[at + 3] << 8 | flat[at + 4];

		assert_int_equal(flat[at], 23); /* application data */
		assert_true(b->n_plain < RECORDS);
		b->plain[b->n_plain++] = (uint32_t)(body + 5 - TLS_EXTRA);
		at += body + 5;
		assert_true(at <= len);
	}
}

static void deliver(struct bed *b)
{
	pair_flush(b->p, b->from);
	pair_run(b->p, 10 * LW_MS, false);
}

/* All that was sent arrives. */
static void check_arrives(struct bed *b, uint32_t packets)
{
	uint64_t before = b->to->t->rx_packets;

	deliver(b);
	assert_int_equal(b->to->t->rx_packets - before, packets);
	pair_check_lives(b->p, b->to);
}

static void superpacket__either_end__shares_few_records_none_is_crossed(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		struct bed *b = bed_create(server);
		uint64_t frames = b->from->counters.n[LW_CTR_FRAMES_TX];
		uint64_t begun = b->to->counters.n[LW_CTR_FRAMES_RX];

		make_super(b, 4 * FITS + 3);
		assert_int_equal(tx(b), 0);
		tx_end(b);
		look(b);
		assert_int_equal(b->n_plain, 5);
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(b->plain[i], FITS * FRAME);
		assert_int_equal(b->plain[4], 3 * FRAME);
		assert_int_equal(b->from->counters.n[LW_CTR_FRAMES_TX] - frames, 4 * FITS + 3);
		assert_int_equal(b->from->t->tx_packets, 4 * FITS + 3);
		assert_int_equal(b->from->t->tx_bytes, (4 * FITS + 3) * PACKET);
		check_arrives(b, 4 * FITS + 3);
		assert_true(b->to->counters.n[LW_CTR_FRAMES_RX] - begun >= 4 * FITS + 3);
		assert_int_equal(b->to->got_len[0], PACKET);
		for (uint32_t i = 0; i < 4 * FITS + 3; i++)
			assert_int_equal(b->to->got_len[i], PACKET);
		bed_destroy(b);
	}
}

static void singles__of_one_round__share_a_record_in_order(void **state)
{
	struct bed *b = bed_create(false);

	(void)state;
	for (uint8_t i = 0; i < 40; i++) {
		make_packet(b, 60u + i, i);
		assert_int_equal(tx(b), 0);
		assert_int_equal(b->from->t->stream.used, 0);
	}
	assert_int_equal(b->record.frames, 40);
	tx_end(b);
	look(b);
	assert_int_equal(b->n_plain, 1);
	assert_int_equal(b->record.len, 0);
	tx_end(b); /* nothing has gathered: nothing is sent */
	look(b);
	assert_int_equal(b->n_plain, 1);
	check_arrives(b, 40);
	for (uint8_t i = 0; i < 40; i++) {
		assert_int_equal(b->to->got_len[i], 60u + i);
		assert_int_equal(b->to->got[i][1], i);
		assert_int_equal(b->to->got[i][59 + i], i);
	}
	bed_destroy(b);
}

/* A record that is exactly full, and one byte more. */
static void last_frame__fits_to_the_byte__closes_none_too_early(void **state)
{
	const uint32_t rest = LW_TLS_STREAM_RECORD_MAX - FITS * FRAME - LW_FRAME_DATA_HEADER;

	(void)state;
	for (uint32_t more = 0; more < 2; more++) {
		struct bed *b = bed_create(true);

		for (uint32_t i = 0; i < FITS; i++) {
			make_packet(b, PACKET, (uint8_t)i);
			assert_int_equal(tx(b), 0);
		}
		make_packet(b, rest + more, 'r');
		assert_int_equal(tx(b), 0);
		tx_end(b);
		look(b);
		assert_int_equal(b->n_plain, 1 + more);
		assert_int_equal(b->plain[0],
		                 more ? FITS * FRAME : (uint32_t)LW_TLS_STREAM_RECORD_MAX);
		check_arrives(b, FITS + 1);
		assert_int_equal(b->to->got_len[FITS], rest + more);
		bed_destroy(b);
	}
}

/* Larger than a record: what has gathered goes first, then several records for the one packet. */
static void packet__larger_than_a_record__is_spread_behind_the_others(void **state)
{
	struct bed *b = bed_create(false);

	(void)state;
	make_packet(b, 100, 'a');
	assert_int_equal(tx(b), 0);
	make_packet(b, 20000, 'b');
	assert_int_equal(tx(b), 0);
	make_packet(b, 100, 'c');
	assert_int_equal(tx(b), 0);
	tx_end(b);
	look(b);
	assert_int_equal(b->n_plain, 4);
	assert_int_equal(b->plain[0], 103);
	assert_int_equal(b->plain[1] + b->plain[2], 20003);
	assert_int_equal(b->plain[3], 103);
	deliver(b);
	pair_check_lives(b->p, b->to);
	bed_destroy(b);
}

/* At every fill of the stream: nothing stays behind in the record, and the rest follows whole. */
static void no_room__tx__nothing_gathered_and_nothing_lost(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		struct bed *b = bed_create(server);
		uint32_t sent = 0;
		uint32_t waits = 0;

		while (waits < 3) {
			int r;

			make_super(b, 40);
			b->p->now_us += LW_STREAM_WAIT_US; /* for more than a burst */
			while ((r = tx(b)) == -EAGAIN) {
				uint32_t next = b->seg.next;

				waits++;
				assert_int_equal(b->record.len, 0);
				assert_int_equal(tx(b), -EAGAIN);
				assert_int_equal(b->seg.next, next);
				look(b);
				for (uint32_t i = 0; i < b->n_plain; i++)
					assert_int_equal(b->plain[i] % FRAME, 0);
				deliver(b);
			}
			assert_int_equal(r, 0);
			sent += 40;
		}
		tx_end(b);
		deliver(b);
		assert_int_equal(b->from->t->tx_packets, sent);
		assert_int_equal(b->to->t->rx_packets, sent);
		assert_int_equal(b->from->counters.n[LW_CTR_STREAM_FULL], 0);
		bed_destroy(b);
	}
}

/* The connection dies while frames wait to be a record. */
static void tunnel__ends_with_frames_gathered__they_are_forgotten(void **state)
{
	(void)state;
	for (int broken = 0; broken < 2; broken++) {
		struct bed *b = bed_create(false);

		make_packet(b, 100, 'a');
		assert_int_equal(tx(b), 0);
		if (broken)
			b->from->t->broken = true;
		else
			lw_tunnel_drop(b->from->t);
		tx_end(b);
		assert_int_equal(b->record.len, 0);
		assert_int_equal(b->record.frames, 0);
		assert_int_equal(b->from->t->stream.used, 0);
		bed_destroy(b);
	}
}

static void sink__without_a_record__each_frame_has_its_own(void **state)
{
	struct bed *b = bed_create(false);

	(void)state;
	b->k.record = NULL;
	make_super(b, 5);
	assert_int_equal(tx(b), 0);
	tx_end(b);
	look(b);
	assert_int_equal(b->n_plain, 5);
	check_arrives(b, 5);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(superpacket__either_end__shares_few_records_none_is_crossed),
		cmocka_unit_test(singles__of_one_round__share_a_record_in_order),
		cmocka_unit_test(last_frame__fits_to_the_byte__closes_none_too_early),
		cmocka_unit_test(packet__larger_than_a_record__is_spread_behind_the_others),
		cmocka_unit_test(no_room__tx__nothing_gathered_and_nothing_lost),
		cmocka_unit_test(tunnel__ends_with_frames_gathered__they_are_forgotten),
		cmocka_unit_test(sink__without_a_record__each_frame_has_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

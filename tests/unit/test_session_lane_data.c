/* SPDX-License-Identifier: MIT */
/* wire.md 7.5: packets that leave on Expresslane. */
#include <errno.h>

#include "fake/fake_host.h"
#include "unit/lane_bed.h"
#include "unit/test.h"
#include "wire/header.h"

#define HEADERS  (LW_WIRE_HEADER_LEN + LW_LANE_FRAME_HEADER)
#define HEADROOM 64u
#define SEGS     63u
#define BYTES    65507u

/* --- from us: a pair, and a wire batch of the client that nobody empties --- */

struct bed {
	struct lane_bed b;
	struct lw_batch *wire;
	uint32_t sent;
};

static void bed_init(struct bed *x)
{
	lane_bed_init_pair(&x->b, 1, 900 * LW_S);
	x->wire = lw_fake_batch_create(256, 1 << 18, true);
	x->sent = 0;
	assert_true(lw_lane_ready(lane_of(&x->b)));
}

static void bed_fini(struct bed *x)
{
	lw_fake_batch_destroy(x->wire);
	lane_bed_fini(&x->b);
}

static struct lw_sink sink_of(struct bed *x)
{
	return (struct lw_sink){
		.wire = x->wire, .inside = x->b.side->inside, .run_segs = SEGS, .run_bytes = BYTES
	};
}

static int send_packet(struct bed *x, uint32_t len)
{
	uint8_t buf[HEADROOM + 2048] = { 0 };
	struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .off = HEADROOM, .len = len };
	struct lw_sink k = sink_of(x);
	struct lw_seg seg;
	int r;

	buf[HEADROOM] = 0x45;
	buf[HEADROOM + 1] = (uint8_t)x->sent;
	assert_int_equal(lw_seg_init(&seg, &pkt), 0);
	r = lw_tunnel_tx(x->b.side->t, &seg, x->b.p->now_us, &k);
	x->sent += r == 0;
	return r;
}

/* a TCP superpacket of so many segments of `mss` bytes, the last of `last` */
struct super {
	uint8_t buf[HEADROOM + 70000];
	struct lw_packet pkt;
	struct lw_seg seg;
};

static void make_super(struct super *s, uint32_t segs, uint16_t mss, uint32_t last)
{
	static const uint8_t header[40] = {
		0x45, [8] = 64, [9] = 6, [12] = 10, [16] = 10, [32] = 0x50, [33] = 0x10
	};
	uint32_t total = (uint32_t)sizeof(header) + (segs - 1) * mss + last;

	memset(s, 0, sizeof(*s));
	memcpy(s->buf + HEADROOM, header, sizeof(header));
	s->buf[HEADROOM + 2] = (uint8_t)(total >> 8);
	s->buf[HEADROOM + 3] = (uint8_t)total;
	for (uint32_t i = sizeof(header); i < total; i++)
		s->buf[HEADROOM + i] = (uint8_t)(i * 13);
	s->pkt = (struct lw_packet){ .buf = s->buf,
		                     .cap = sizeof(s->buf),
		                     .off = HEADROOM,
		                     .len = total,
		                     .gso_type = LW_GSO_TCP4,
		                     .gso_size = mss,
		                     .flags = LW_PKT_CSUM_PARTIAL,
		                     .csum_start = 20,
		                     .csum_off = 16 };
	assert_int_equal(lw_seg_init(&s->seg, &s->pkt), 0);
	assert_int_equal(s->seg.count, segs);
}

static int send_super(struct bed *x, struct super *s)
{
	struct lw_sink k = sink_of(x);

	return lw_tunnel_tx(x->b.side->t, &s->seg, x->b.p->now_us, &k);
}

/* Feeds the other end what lies there; how many packets came out. */
static uint32_t arrive(struct bed *x)
{
	struct pair_side *to = x->b.hand;
	uint32_t n = 0;

	LW_BATCH_FOREACH (p, x->wire) {
		struct lw_sink k = { .wire = to->wire, .inside = to->inside };

		assert_true(lw_tunnel_rx(to->t, p, x->b.p->now_us, &k) >= 0);
		n += to->inside->n;
		lw_batch_reset(to->inside);
	}
	lw_batch_reset(x->wire);
	return n;
}

static void tx__superpacket__one_array_and_one_run(void **state)
{
	static struct super s, copy;
	const struct lw_packet *run;
	struct bed x;

	(void)state;
	bed_init(&x);
	make_super(&s, 46, 1310, 500);
	make_super(&copy, 46, 1310, 500);
	x.b.own->cipher.calls = 0;
	assert_int_equal(send_super(&x, &s), 0);
	assert_int_equal(x.wire->n, 1);
	assert_int_equal(x.b.own->cipher.longest, 46);
	assert_int_equal(x.b.own->cipher.calls, 2); /* one for the IVs */
	run = &x.wire->pkt[0];
	assert_int_equal(run->gso_type, LW_GSO_RUN);
	assert_int_equal(run->gso_size, HEADERS + 40 + 1310);
	for (uint32_t i = 0; i < 46; i++) {
		uint8_t *d = lw_packet_data(run) + (size_t)i * run->gso_size;
		uint32_t len = i < 45 ? run->gso_size : run->len - 45 * run->gso_size;
		uint8_t plain[2048];
		struct lw_wire_header h;
		struct lw_lane_frame f;

		assert_int_equal(lw_wire_header_parse(d, len, &h), 0);
		assert_true(h.expresslane);
		assert_int_equal(h.session, x.b.side->t->id);
		assert_int_equal(h.minor, 3);
		assert_int_equal(
			lw_lane_frame_read(d + LW_WIRE_HEADER_LEN, len - LW_WIRE_HEADER_LEN, &f),
			0);
		assert_int_equal(f.counter, i + 1);
		assert_int_equal(f.flags, 0);
		assert_int_equal(f.len, len - HEADERS);
		assert_int_equal(lw_seg_copy(&copy.seg, plain, sizeof(plain)), f.len);
		assert_int_equal(pair_feed(x.b.p, x.b.hand, d, len), 1);
		assert_int_equal(x.b.hand->got_len[i], f.len);
		assert_memory_equal(x.b.hand->got[i], plain, f.len);
	}
	assert_int_equal(lane_of(&x.b)->sent, 46);
	assert_int_equal(lane_count(&x.b, LW_CTR_EXPRESSLANE_TX), 46);
	assert_int_equal(x.b.hand->counters.n[LW_CTR_EXPRESSLANE_RX], 46);
	assert_int_equal(x.b.hand->t->lane->received, 46);
	bed_fini(&x);
}

/* Both kinds of datagrams in one run, each with its own header: they come out in order. */
static void tx__frames_between__joined_and_in_order(void **state)
{
	struct bed x;

	(void)state;
	bed_init(&x);
	for (int i = 0; i < 3; i++) {
		struct lw_sink k = sink_of(&x);

		assert_int_equal(send_packet(&x, 600), 0);
		assert_int_equal(
			lw_send_plain(x.b.side->t, (const uint8_t *)"\x01", 1, x.b.p->now_us, &k),
			0);
	}
	assert_int_equal(x.wire->n, 3);
	assert_int_equal(x.wire->pkt[0].gso_size, HEADERS + 600);
	assert_int_equal(arrive(&x), 3);
	bed_fini(&x);
}

/* Where it ends the rest waits, and goes on there. */
static void tx__no_room__goes_on_where_it_stopped(void **state)
{
	(void)state;
	for (uint32_t cap = 2000; cap < 80000; cap += 3001) {
		static struct super s;
		struct bed x;
		uint32_t came = 0;
		int r;

		bed_init(&x);
		x.wire->arena_cap = cap;
		make_super(&s, 40, 1300, 1300);
		do {
			uint8_t *end = x.wire->arena + cap;

			memset(end, 0x5a, 64);
			r = send_super(&x, &s);
			for (int i = 0; i < 64; i++)
				assert_int_equal(end[i], 0x5a);
			came += arrive(&x);
		} while (r == -EAGAIN);
		assert_int_equal(r, 0);
		assert_int_equal(came, 40);
		assert_int_equal(x.b.hand->t->lane->received, 40);
		assert_int_equal(lane_of(&x.b)->sent, 40);
		bed_fini(&x);
	}
}

/* 9.1: 84 bytes around a packet, where DTLS adds 69: what is larger than the path goes there. */
static void tx__too_large_for_it__goes_as_a_frame(void **state)
{
	struct bed x;

	(void)state;
	bed_init(&x);
	assert_int_equal(send_packet(&x, 1416), 0);
	assert_int_equal(x.wire->pkt[0].len + 28, 1500);
	assert_int_equal(lane_of(&x.b)->sent, 1);
	assert_int_equal(send_packet(&x, 1417), 0);
	assert_int_equal(lane_of(&x.b)->sent, 1);
	/* behind the first, which is longer all the same */
	assert_int_equal(x.wire->n, 1);
	assert_int_equal(lw_packet_data(&x.wire->pkt[0])[x.wire->pkt[0].gso_size + 5], 0);
	assert_int_equal(arrive(&x), 2);
	bed_fini(&x);
}

/* A key that has sealed as much as it may, and the peer does not answer. */
static void tx__key_worn_out__the_rest_goes_as_frames(void **state)
{
	static struct super s;
	struct bed x;

	(void)state;
	bed_init(&x);
	x.b.own->env.rotate_packets = 100;
	x.b.own->env.max_packets = 110;
	x.b.side->mute = true;
	for (int i = 0; i < 3; i++) {
		make_super(&s, 50, 1000, 1000);
		assert_int_equal(send_super(&x, &s), 0);
	}
	assert_int_equal(lane_of(&x.b)->sent, 110);
	assert_int_equal(lane_of(&x.b)->offer, 2); /* asked for by the third */
	assert_int_equal(arrive(&x), 150);
	assert_int_equal(x.b.hand->t->lane->received, 110);
	/* the keepalive says what the lane has carried all the same */
	assert_true(lw_lane_ready(lane_of(&x.b)));
	bed_fini(&x);
}

/* What could not be sealed does not leave as it was, and the session goes on without the lane. */
static void tx__cipher_fails__nothing_leaves_in_clear(void **state)
{
	(void)state;
	for (int how = 0; how < 2; how++) {
		static struct super s;
		struct bed x;

		bed_init(&x);
		assert_int_equal(send_packet(&x, 600), 0);
		assert_int_equal(send_packet(&x, 600), 0);
		if (how == 0)
			x.b.own->cipher.fail = -EIO;
		else
			x.b.own->cipher.fail_op = 7;
		make_super(&s, 64 + 5, 560, 560);
		assert_int_equal(send_super(&x, &s), 0);
		assert_int_equal(lane_of(&x.b)->state, LW_LANE_DEGRADED);
		assert_int_equal(lane_count(&x.b, LW_CTR_EXPRESSLANE_CIPHER_FAILED), 64);
		assert_true(x.b.own->env.broken);
		assert_in_range(x.wire->arena_used, 1, 8 * 700);
		for (uint32_t i = 0; i < x.wire->n; i++) {
			const struct lw_packet *p = &x.wire->pkt[i];

			for (uint32_t at = 0; at + 16 < p->len; at++)
				assert_memory_not_equal(lw_packet_data(p) + at, s.buf + 4096, 16);
		}
		assert_int_equal(arrive(&x), 2 + 5);
		assert_int_equal(send_packet(&x, 600), 0);
		assert_int_equal(arrive(&x), 1);
		assert_int_equal(lane_of(&x.b)->sent, 2 + 64);
		bed_fini(&x);
	}
}

/* The server gets another id, as in a rotation: header and associated data carry it at once. */
static void tx__id_changed__in_header_and_associated_data(void **state)
{
	uint8_t packet[100] = { 0x45 };
	struct lane_bed b;

	(void)state;
	lane_bed_init_pair(&b, 1, 900 * LW_S);
	b.p->server.t->id = 0xabcdef;
	pair_send(b.p, &b.p->server, packet, sizeof(packet));
	lane_wait(&b, 10 * LW_MS);
	assert_int_equal(b.p->client.n_got, 1);
	assert_int_equal(b.p->client.t->id, 0xabcdef);
	pair_send(b.p, &b.p->client, packet, sizeof(packet));
	lane_wait(&b, 10 * LW_MS);
	assert_int_equal(b.p->server.n_got, 1);
	assert_int_equal(b.p->server.t->lane->received, 1);
	lane_bed_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tx__superpacket__one_array_and_one_run),
		cmocka_unit_test(tx__frames_between__joined_and_in_order),
		cmocka_unit_test(tx__no_room__goes_on_where_it_stopped),
		cmocka_unit_test(tx__too_large_for_it__goes_as_a_frame),
		cmocka_unit_test(tx__key_worn_out__the_rest_goes_as_frames),
		cmocka_unit_test(tx__cipher_fails__nothing_leaves_in_clear),
		cmocka_unit_test(tx__id_changed__in_header_and_associated_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

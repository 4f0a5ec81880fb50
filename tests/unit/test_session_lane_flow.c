/* SPDX-License-Identifier: MIT */
/* Expresslane while keys change, in runs, through a bad network, and under fire. */
#include "unit/lane_bed.h"
#include "unit/test.h"
#include "wire/header.h"

#define HEADERS (LW_WIRE_HEADER_LEN + LW_LANE_FRAME_HEADER)
/* inside bytes of a packet that is as long on the wire as the datagram of a config */
#define ALIKE (LW_FRAME_EXPRESSLANE_LEN + LW_TLS_RECORD_OVERHEAD - LW_LANE_FRAME_HEADER)

static const struct lane_packet genuine = {
	.key = 0xa1, .version = 2, .session = 0x1122334455667788, .counter = 1
};

/* --- runs --- */

struct run {
	uint8_t buf[200000];
	uint32_t len;
	uint32_t stride;
};

static void add(struct run *r, const uint8_t *d, size_t len)
{
	if (r->len == 0)
		r->stride = (uint32_t)len;
	assert_true(len <= r->stride && r->len % r->stride == 0);
	assert_true(r->len + len <= sizeof(r->buf));
	memcpy(r->buf + r->len, d, len);
	r->len += (uint32_t)len;
}

static void add_packet(struct run *r, uint8_t key, uint64_t counter, uint32_t len)
{
	struct lane_packet k = genuine;
	uint8_t d[PAIR_PACKET];

	k.key = key;
	k.counter = counter;
	add(r, d, lane_seal(d, &k, len, (uint8_t)counter));
}

/* Hands it over as it came; the marks of the packets that came out, in order. */
static int feed_run(struct lane_bed *b, struct run *r, char *marks, size_t cap)
{
	struct lw_packet pkt = { .buf = r->buf,
		                 .cap = sizeof(r->buf),
		                 .len = r->len,
		                 .gso_type = LW_GSO_RUN,
		                 .gso_size = (uint16_t)r->stride };
	struct lw_sink k = { .wire = b->side->wire, .inside = b->side->inside };
	int n = lw_tunnel_rx(b->side->t, &pkt, b->p->now_us, &k);

	marks[0] = '\0';
	LW_BATCH_FOREACH (p, b->side->inside) {
		size_t used = strlen(marks);

		(void)snprintf(marks + used, cap - used, "%u ", lw_packet_data(p)[1]);
	}
	r->len = 0;
	lw_batch_reset(b->side->inside);
	pair_flush(b->p, b->side);
	return n;
}

static void open_bed(struct lane_bed *b)
{
	lane_bed_init(b, false);
	lane_up(b);
	b->own->cipher.calls = 0;
}

static void run__alike__one_array_in_order(void **state)
{
	static struct run r;
	struct lane_bed b;
	char marks[1024];

	(void)state;
	open_bed(&b);
	for (uint64_t c = 1; c <= 20; c++)
		add_packet(&r, 0xa1, c, 500);
	add_packet(&r, 0xa1, 21, 40);
	assert_int_equal(feed_run(&b, &r, marks, sizeof(marks)), 21);
	assert_string_equal(marks, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 ");
	assert_int_equal(b.own->cipher.calls, 1);
	assert_int_equal(b.own->cipher.longest, 21);
	lane_bed_fini(&b);
}

static void run__same_packet_twice__delivered_once(void **state)
{
	static struct run r;
	struct lane_bed b;
	char marks[64];

	(void)state;
	open_bed(&b);
	add_packet(&r, 0xa1, 1, 500);
	add_packet(&r, 0xa1, 2, 500);
	add_packet(&r, 0xa1, 1, 500);
	add_packet(&r, 0xa1, 3, 500);
	assert_int_equal(feed_run(&b, &r, marks, sizeof(marks)), 3);
	assert_string_equal(marks, "1 2 3 ");
	assert_int_equal(b.own->cipher.calls, 1); /* neither had been seen when it was filled */
	assert_int_equal(lane_count(&b, LW_CTR_EXPRESSLANE_REPLAYED), 1);
	assert_int_equal(lane_of(&b)->received, 3);
	lane_bed_fini(&b);
}

/* A config amid them is a barrier: what stands before it goes with the keys of before. */
static void run__new_key_amid_it__each_under_its_key(void **state)
{
	static struct run r;
	uint8_t frame[LW_FRAME_EXPRESSLANE_LEN] = { LW_FRAME_EXPRESSLANE_CONFIG, 2,
		                                    0x80, [12] = 2 };
	uint8_t d[PAIR_PACKET];
	struct lane_bed b;
	char marks[64];

	(void)state;
	open_bed(&b);
	add_packet(&r, 0xa1, 1, ALIKE);
	add_packet(&r, 0xa1, 2, ALIKE);
	for (uint8_t key = 2; key <= 3; key++) { /* the second takes the first one's place */
		frame[12] = key;
		memset(frame + 13, 0xa0 + key, 32);
		pair_inject(b.p, b.hand, frame, sizeof(frame));
		add(&r, d, pair_take(b.p, d));
	}
	add_packet(&r, 0xa3, 4, ALIKE);
	add_packet(&r, 0xa2, 3, ALIKE); /* overtaken */
	add_packet(&r, 0xa3, 5, ALIKE);
	add_packet(&r, 0xa2, 6, ALIKE);
	assert_int_equal(feed_run(&b, &r, marks, sizeof(marks)), 8);
	assert_string_equal(marks, "1 2 4 3 5 6 ");
	assert_int_equal(lane_count(&b, LW_CTR_EXPRESSLANE_AUTH_FAILED), 0);
	(void)lane_expect(&b, true, true, 2);
	(void)lane_expect(&b, true, true, 3);
	lane_bed_fini(&b);
}

/* With two keys a failed try must not destroy what the other would have opened; a forgery amid
 * them costs itself. */
static void run__two_keys_and_a_forgery__the_others_come(void **state)
{
	(void)state;
	for (int old_first = 0; old_first < 2; old_first++) {
		static struct run r;
		struct lane_bed b;
		char marks[64];

		open_bed(&b);
		if (old_first)
			lw_lane_opened(lane_of(&b), false, b.p->now_us);
		lane_offer(&b, 2, 0xa2);
		for (uint64_t c = 1; c <= 9; c++)
			add_packet(&r, c % 3 == 0 ? 0xa2 : 0xa1, c, 1300);
		r.buf[4 * r.stride + HEADERS + 7] ^= 1;
		b.own->cipher.opened = 0;
		assert_int_equal(feed_run(&b, &r, marks, sizeof(marks)), 8);
		assert_string_equal(marks, "1 2 3 4 6 7 8 9 ");
		/* each once with the key that worked last, and again what that one did not open */
		assert_int_equal(b.own->cipher.opened, 9 + (old_first ? 3 + 1 : 6));
		assert_int_equal(lane_count(&b, LW_CTR_EXPRESSLANE_AUTH_FAILED), 1);
		lane_bed_fini(&b);
	}
}

static void run__longer_than_an_array__several(void **state)
{
	static const struct {
		uint32_t n, len;
		bool two_keys;
	} cases[] = { { 200, 40, false },
		      { 200, 40, true },
		      { 64, 500, false },
		      { 65, 500, false },
		      { 100, 1444, true } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct run r;
		struct lane_bed b;
		char marks[4096];

		open_bed(&b);
		if (cases[i].two_keys)
			lane_offer(&b, 2, 0xa2);
		for (uint64_t c = 1; c <= cases[i].n; c++)
			add_packet(&r, 0xa1, c, cases[i].len);
		assert_int_equal(feed_run(&b, &r, marks, sizeof(marks)), cases[i].n);
		assert_in_range(b.own->cipher.longest, 1, LW_LANE_ARRAY);
		assert_int_equal(b.own->env.n_ops, 0);
		lane_bed_fini(&b);
	}
}

/* --- keys that change --- */

static void key__before_within_its_grace__opens(void **state)
{
	struct lane_packet k = genuine;
	uint8_t d[PAIR_PACKET];
	struct lane_bed b;
	size_t len;

	(void)state;
	open_bed(&b);
	len = lane_seal(d, &k, 100, 1);
	assert_int_equal(lane_feed(&b, d, len), 1);
	lane_offer(&b, 2, 0xa2);
	lane_wait(&b, 300 * LW_S); /* the peer has not switched yet */
	k.counter = 2;
	len = lane_seal(d, &k, 100, 1);
	assert_int_equal(lane_feed(&b, d, len), 1);
	lane_wait(&b, 100 * LW_S);
	k.counter = 10;
	len = lane_seal(d, &k, 100, 1);
	assert_int_equal(lane_feed(&b, d, len), 1);
	k = (struct lane_packet){ .key = 0xa2, .version = 2, .session = k.session, .counter = 4 };
	len = lane_seal(d, &k, 100, 1);
	assert_int_equal(lane_feed(&b, d, len), 1);
	lane_wait(&b, 60 * LW_S - 1);
	k.key = 0xa1;
	k.counter = 3;
	len = lane_seal(d, &k, 100, 1);
	assert_int_equal(lane_feed(&b, d, len), 1); /* under way for long */
	lane_wait(&b, 1);
	k.counter = 5;
	len = lane_seal(d, &k, 100, 1);
	assert_int_equal(lane_feed(&b, d, len), 0);
	assert_int_equal(lane_count(&b, LW_CTR_EXPRESSLANE_AUTH_FAILED), 1);
	lane_bed_fini(&b);
}

/* A peer that was silent for an interval: the packet that makes it offer the next key is sealed
 * with one that we have never seen at work. */
static void key__never_used_then_replaced__opens(void **state)
{
	struct lane_packet k = genuine;
	uint8_t d[PAIR_PACKET];
	struct lane_bed b;
	size_t len;

	(void)state;
	open_bed(&b);
	lane_wait(&b, 1000 * LW_S);
	lane_offer(&b, 2, 0xa2);
	lane_wait(&b, 1000 * LW_S);
	lane_offer(&b, 3, 0xa3);
	k.key = 0xa2;
	len = lane_seal(d, &k, 100, 1);
	assert_int_equal(lane_feed(&b, d, len), 1);
	lane_bed_fini(&b);
}

/* --- a bad network, and a new key every second --- */

#define FLOW_PACKETS 6000 /* each way */

struct flow {
	uint32_t sent[2];
	uint8_t came[2][FLOW_PACKETS]; /* to the client, to the server */
};

static void send_numbered(struct lane_bed *b, struct flow *f, bool server)
{
	uint8_t packet[64] = { 0x45 };
	uint32_t n = f->sent[server]++;

	memcpy(packet + 20, &n, sizeof(n));
	pair_send(b->p, pair_end(b->p, server), packet, sizeof(packet));
}

static void collect(struct lane_bed *b, struct flow *f)
{
	for (int server = 0; server < 2; server++) {
		struct pair_side *s = pair_end(b->p, server);

		assert_in_range(s->n_got, 0, 63);
		for (uint32_t i = 0; i < s->n_got; i++) {
			uint32_t n;

			memcpy(&n, s->got[i] + 20, sizeof(n));
			assert_true(n < FLOW_PACKETS);
			f->came[server][n]++;
		}
		s->n_got = 0;
	}
}

static uint64_t both(const struct lane_bed *b, enum lw_counter i)
{
	return b->p->client.counters.n[i] + b->p->server.counters.n[i];
}

/* datagrams on the lane that reached an end: all of them, and all but the copies */
struct reached {
	struct lane_bed *b;
	uint64_t lane;
};

static void note_lane(void *arg, bool from_client, const uint8_t *dgram, size_t len)
{
	struct reached *r = arg;

	(void)from_client;
	(void)len;
	r->lane += dgram[5] != 0;
}

/*
 * A minute of traffic both ways. Without loss nothing is lost or refused although keys change every
 * second and packets overtake each other; with it, nothing is refused but copies.
 */
static void flow__bad_network_and_rotation__none_refused_none_twice(void **state)
{
	static struct flow f;

	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct reached reached;
		struct lane_bed b;
		uint64_t came = 0;

		memset(&f, 0, sizeof(f));
		lane_bed_init_pair(&b, seed, 1 * LW_S);
		b.p->reorder = true;
		b.p->delay_us = 40 * LW_MS;
		b.p->twice_percent = 10;
		b.p->loss_percent = seed % 2 ? 0 : 5;
		reached = (struct reached){ .b = &b };
		b.p->tap = note_lane;
		b.p->tap_arg = &reached;
		for (int i = 0; i < FLOW_PACKETS; i++) {
			send_numbered(&b, &f, false);
			send_numbered(&b, &f, true);
			lane_wait(&b, 10 * LW_MS);
			collect(&b, &f);
		}
		b.p->loss_percent = 0;
		lane_wait(&b, 1 * LW_S);
		collect(&b, &f);
		for (int side = 0; side < 2; side++) {
			for (uint32_t n = 0; n < FLOW_PACKETS; n++) {
				assert_in_range(f.came[side][n], 0, 1);
				came += f.came[side][n];
			}
		}
		if (seed % 2) {
			assert_int_equal(came, 2 * FLOW_PACKETS);
			assert_int_equal(both(&b, LW_CTR_EXPRESSLANE_RX), reached.lane);
			/* retransmissions apart the lane was never left */
			assert_in_range(reached.lane, 2 * FLOW_PACKETS - 20, 2 * FLOW_PACKETS);
		}
		assert_int_equal(both(&b, LW_CTR_EXPRESSLANE_AUTH_FAILED), 0);
		assert_int_equal(both(&b, LW_CTR_EXPRESSLANE_NO_KEY), 0);
		assert_int_equal(both(&b, LW_CTR_EXPRESSLANE_TRUNCATED), 0);
		assert_true(both(&b, LW_CTR_EXPRESSLANE_REPLAYED) > 500);
		assert_in_range(both(&b, LW_CTR_EXPRESSLANE_KEYS_RX), 80, 130);
		lane_bed_fini(&b);
	}
}

/* --- under fire --- */

static uint64_t refused(const struct lane_bed *b)
{
	return lane_count(b, LW_CTR_EXPRESSLANE_AUTH_FAILED) +
	       lane_count(b, LW_CTR_EXPRESSLANE_TRUNCATED) +
	       lane_count(b, LW_CTR_EXPRESSLANE_REPLAYED) + lane_count(b, LW_CTR_HEADER_BAD) +
	       lane_count(b, LW_CTR_HEADER_REJECTED) + lane_count(b, LW_CTR_HEADER_VERSION);
}

/* what can be made of a packet that was seen on its way */
static size_t spoil(uint8_t *d, size_t len, uint64_t *random)
{
	uint64_t how = test_random(random);

	switch (how % 5) {
	case 0: /* as it was */
		return len;
	case 1:
		return LW_WIRE_HEADER_LEN + how / 5 % (len - LW_WIRE_HEADER_LEN);
	case 2:
		d[8 + how / 5 % (len - 8)] ^= (uint8_t)(1 + how / 5000 % 255);
		return len;
	case 3: /* another counter */
		for (int i = 0; i < 8; i++)
			d[LW_WIRE_HEADER_LEN + i] = (uint8_t)(test_random(random) >> how / 5 % 56);
		return len;
	default: /* nothing of it */
		for (size_t i = LW_WIRE_HEADER_LEN; i < len; i++)
			d[i] = (uint8_t)test_random(random);
		return len;
	}
}

static void fire__forged_truncated_replayed__all_counted_none_let_in(void **state)
{
	enum { ROUNDS = 300000 };
	struct lane_packet k = genuine;
	uint64_t random = 4711;
	struct lane_bed b;
	uint8_t d[PAIR_PACKET];
	uint64_t good = 0;
	size_t len = 0;

	(void)state;
	open_bed(&b);
	lane_offer(&b, 2, 0xa2); /* both keys are tried */
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t copy[PAIR_PACKET];
		size_t n;

		if (i % 100 == 0) {
			k.key = i % 200 ? 0xa1 : 0xa2;
			len = lane_seal(d, &k, 60, 0);
			k.counter++;
			assert_int_equal(lane_feed(&b, d, len), 1);
			good++;
		}
		memcpy(copy, d, len);
		n = spoil(copy, len, &random);
		assert_int_equal(lane_feed(&b, copy, n), 0);
		b.side->n_got = 0;
	}
	assert_int_equal(lane_of(&b)->received, good);
	assert_int_equal(lane_count(&b, LW_CTR_EXPRESSLANE_RX), good);
	assert_int_equal(refused(&b), ROUNDS);
	assert_int_equal(lane_of(&b)->replay.highest, good);
	assert_int_equal(b.own->cipher.alive, 3);
	assert_true(lw_lane_ready(lane_of(&b)));
	lane_bed_fini(&b);
}

/* Every byte of a config at random, the session goes on and holds no more keys than it has places.
 */
static void fire__configs__no_more_keys_than_places(void **state)
{
	uint64_t random = 42;

	(void)state;
	for (int server = 0; server < 2; server++) {
		struct lane_bed b;

		lane_bed_init(&b, server);
		b.deaf = true;
		for (int i = 0; i < 20000; i++) {
			uint8_t frame[LW_FRAME_EXPRESSLANE_LEN] = { LW_FRAME_EXPRESSLANE_CONFIG };
			uint64_t r = test_random(&random);

			frame[1] = (uint8_t)(r % 4);
			frame[2] = (uint8_t)(r >> 8 & 0xc0);
			frame[11] = (uint8_t)(i >> 12);
			frame[12] = (uint8_t)(r >> 16 & 3);
			memset(frame + 13, (int)(r >> 32 & 3), 32);
			pair_inject(b.p, b.hand, frame, sizeof(frame));
			lane_wait(&b, 2 * LW_MS + (r % 100 == 0 ? 600 * LW_MS : 0));
			if (r % 7 == 0)
				lane_packet(&b);
			assert_in_range(b.own->cipher.alive, 0, 4);
		}
		assert_false(pair_closed(b.side));
		lane_bed_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run__alike__one_array_in_order),
		cmocka_unit_test(run__same_packet_twice__delivered_once),
		cmocka_unit_test(run__new_key_amid_it__each_under_its_key),
		cmocka_unit_test(run__two_keys_and_a_forgery__the_others_come),
		cmocka_unit_test(run__longer_than_an_array__several),
		cmocka_unit_test(key__before_within_its_grace__opens),
		cmocka_unit_test(key__never_used_then_replaced__opens),
		cmocka_unit_test(flow__bad_network_and_rotation__none_refused_none_twice),
		cmocka_unit_test(fire__forged_truncated_replayed__all_counted_none_let_in),
		cmocka_unit_test(fire__configs__no_more_keys_than_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

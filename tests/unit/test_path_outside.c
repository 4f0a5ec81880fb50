/* SPDX-License-Identifier: MIT */
/* Outside -> inside over datagrams: batches, runs, the addresses, and an inside that refuses. */
#include <errno.h>

#include "unit/path_bed.h"
#include "unit/test.h"

static void from_udp__server__source_becomes_the_sessions_own(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peers[3];

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		peers[i] = bed_join(b, false);
		bed_remote(b, peers[i], 100 + i, (uint8_t)('a' + i));
	}
	assert_int_equal(bed_udp(b), -EAGAIN);
	assert_int_equal(b->path.counters.outside_rx, 3);
	assert_int_equal(b->path.counters.inside_tx, 3);
	assert_int_equal(b->path.counters.inside_tx_bytes, 303);
	for (uint32_t i = 0; i < 3; i++) {
		struct bed_item *item = bed_pop(&b->inside_out);

		assert_non_null(item);
		assert_int_equal(item->len, 100 + i);
		assert_true(bed_packet_ok(item));
		assert_int_equal(bed_packet_src(item), peers[i]->address);
		assert_int_equal(bed_packet_dst(item), BED_HOST);
		assert_int_equal(item->data[item->len - 1], 'a' + i);
		free(item);
	}
	bed_destroy(b);
}

static void from_udp__client__destination_becomes_the_systems(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_CLIENT, 16);
	struct bed_peer *peer = bed_join(b, false);
	struct bed_item *item;

	(void)state;
	bed_remote(b, peer, 1350, 'a');
	assert_int_equal(bed_udp(b), -EAGAIN);
	item = bed_pop(&b->inside_out);
	assert_non_null(item);
	assert_true(bed_packet_ok(item));
	assert_int_equal(bed_packet_src(item), BED_HOST);
	assert_int_equal(bed_packet_dst(item), BED_TUN);
	free(item);
	bed_destroy(b);
}

static void from_udp__module_answers__say_whether_more_waits(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	b->udp_burst = 2;
	bed_remote_all(b, peer, 100, "abcd");
	assert_int_equal(bed_udp(b), 0);
	bed_assert_marks(&b->inside_out, "ab");
	b->udp_end = -EBADF;
	assert_int_equal(bed_udp(b), -EBADF); /* what came before it is not lost */
	bed_assert_marks(&b->inside_out, "cd");
	bed_destroy(b);
}

static void from_udp__nobodys_datagram__the_others_are_served(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_remote(b, peer, 100, 'a');
	bed_push(&b->udp_in, "stranger", 8)->tag = BED_UDP_TAG + 7;
	bed_remote(b, peer, 100, 'b');
	assert_int_equal(bed_udp(b), -EAGAIN);
	bed_assert_marks(&b->inside_out, "ab");
	assert_int_equal(b->path.counters.outside_rx, 3);
	bed_destroy(b);
}

static void from_udp__run__each_datagram_in_it_counts(void **state)
{
	static const struct {
		uint32_t n;
		uint32_t last;
	} runs[] = { { 1, 600 }, { 2, 600 }, { 2, 60 }, { 40, 599 }, { 60, 600 } };

	(void)state;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
		struct bed_peer *peer = bed_join(b, false);
		char marks[80] = { 0 };

		for (uint32_t n = 0; n < runs[i].n; n++) {
			marks[n] = (char)('0' + n);
			bed_remote(b, peer, n + 1 == runs[i].n ? runs[i].last : 600,
			           (uint8_t)marks[n]);
		}
		bed_make_run(b, runs[i].n);
		bed_remote(b, peer, 100, 'z');
		marks[runs[i].n] = 'z';
		assert_int_equal(bed_udp(b), -EAGAIN);
		assert_int_equal(b->path.counters.outside_rx, 2);
		bed_assert_marks(&b->inside_out, marks);
		bed_destroy(b);
	}
}

struct inside_case {
	const char *name;
	struct bed_step steps[BED_STEPS];
	const char *taken; /* of "abcd" */
	uint64_t dropped;
};

static const struct inside_case inside_answers[] = {
	{ "all", { { 0, 0 } }, "abcd", 0 },
	{ "full at once", { { -EAGAIN, 0 }, { 0, 0 } }, "bcd", 1 },
	{ "no buffers after two", { { -ENOBUFS, 2 }, { 0, 0 } }, "abd", 1 },
	{ "refuses the last", { { -EINVAL, 3 }, { 0, 0 } }, "abc", 1 },
	{ "full behind the last", { { -EAGAIN, 4 }, { 0, 0 } }, "abcd", 0 },
	{ "device is down",
	  { { -EIO, 0 }, { -EIO, 0 }, { -EIO, 0 }, { -EIO, 0 }, { 0, 0 } },
	  "",
	  4 },
	{ "more than there were", { { -EIO, 9 }, { 0, 0 } }, "abcd", 0 },
	{ "far more", { { -EAGAIN, UINT32_MAX }, { 0, 0 } }, "abcd", 0 },
	{ "two bad ones", { { -EINVAL, 1 }, { -EINVAL, 1 }, { 0, 0 } }, "ac", 2 },
};

static void inside_send__each_answer__never_waits(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	for (size_t i = 0; i < sizeof(inside_answers) / sizeof(inside_answers[0]); i++) {
		const struct inside_case *c = &inside_answers[i];

		print_message("  %s\n", c->name);
		b->path.counters = (struct lw_path_counters){ 0 };
		bed_script_set(&b->inside_script, c->steps);
		bed_remote_all(b, peer, 100, "abcd");
		assert_int_equal(bed_udp(b), -EAGAIN);
		bed_assert_marks(&b->inside_out, c->taken);
		assert_int_equal(b->path.counters.inside_tx, strlen(c->taken));
		assert_int_equal(b->path.counters.inside_tx_bytes, 100 * strlen(c->taken));
		assert_int_equal(b->path.counters.inside_tx_dropped, c->dropped);
		assert_int_equal(b->path.tx->n, 0);
	}
	bed_destroy(b);
}

/* A session's own answers go out with the batch that caused them. */
static void from_udp__ping__is_answered_at_once(void **state)
{
	static const uint8_t ping[] = { 2, 0, 9, 0, 0 }; /* wire.md 2.3: type, id, no payload */
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_remote_frames(b, peer, ping, sizeof(ping));
	assert_int_equal(bed_udp(b), -EAGAIN);
	assert_int_equal(b->udp_out.n, 1);
	assert_int_equal(b->udp_out.head->tag, peer->tag);
	assert_true(peer->deadlines > 0); /* every call may move it */
	bed_destroy(b);
}

/* An answer: source and destination change places, which no checksum minds. */
static void turn_around(struct lw_packet *p)
{
	uint8_t *ip = lw_packet_data(p);
	uint8_t src[4];

	memcpy(src, ip + 12, 4);
	memcpy(ip + 12, ip + 16, 4);
	memcpy(ip + 16, src, 4);
	p->verdict = LW_VERDICT_REPLY;
}

/* The same packet in two DataFrag frames: wire.md 2.8 */
static void send_in_fragments(struct path_bed *b, struct bed_peer *from, uint8_t mark)
{
	uint8_t packet[200];
	uint8_t frame[7 + sizeof(packet)] = { 15, 0, 0, 0, 1 };

	bed_packet(packet, sizeof(packet), BED_TOLD, BED_HOST, mark);
	frame[2] = 104;
	frame[5] = 0x20; /* more follows */
	memcpy(frame + 7, packet, 104);
	bed_remote_frames(b, from, frame, 7 + 104);
	frame[2] = 96;
	frame[5] = 0;
	frame[6] = 104 / 8;
	memcpy(frame + 7, packet + 104, 96);
	bed_remote_frames(b, from, frame, 7 + 96);
}

static void read_all(struct path_bed *b, struct bed_peer *peer)
{
	int r;

	do {
		r = peer->t->is_stream ? bed_tcp(b, peer) : bed_udp(b);
	} while (r == 0);
	assert_int_equal(r, -EAGAIN);
}

static void reply_outside__however_it_came__reaches_the_peer(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
		struct bed_peer *peer;
		struct bed_item *item;

		bed_add_filter(b)->egress = turn_around;
		peer = bed_join(b, i % 2 == 1);
		if (i < 2)
			bed_remote(b, peer, 200, 'a');
		else
			send_in_fragments(b, peer, 'a');
		peer->deadlines = 0;
		read_all(b, peer);
		assert_int_equal(b->inside_out.n, 0);
		/* each datagram or chunk may move it, and the answer */
		assert_int_equal(peer->deadlines, i == 2 ? 3 : 2);
		bed_deliver(b);
		item = peer->got.head;
		assert_non_null(item);
		assert_int_equal(item->len, 200);
		assert_true(bed_packet_ok(item));
		assert_int_equal(bed_packet_src(item), BED_HOST);
		assert_int_equal(bed_packet_dst(item), BED_TOLD);
		bed_assert_marks(&peer->got, "a");
		bed_destroy(b);
	}
}

static void reply_outside__too_long_or_no_room__dropped_and_counted(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 0 }, { 0 } };

	(void)state;
	for (int no_room = 0; no_room < 2; no_room++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
		struct bed_peer *peer;

		bed_add_filter(b)->egress = turn_around;
		peer = bed_join(b, false);
		bed_script_set(&b->udp_script, full);
		if (no_room) {
			bed_udp_port(b)->wire->cap = 2;
			bed_remote(b, peer, 100, 'a');
			bed_remote(b, peer, 100, 'b');
			bed_remote(b, peer, 100, 'c');
		} else {
			bed_remote(b, peer, BED_MTU, 'a');
			bed_remote(b, peer, BED_MTU + 1, 'b');
		}
		assert_int_equal(bed_udp(b), -EAGAIN);
		assert_int_equal(b->path.chain.dropped, no_room ? 2 : 1);
		assert_int_equal(bed_udp_port(b)->wire->n, 1);
		assert_int_equal(b->path.reply->n, 0);
		bed_destroy(b);
	}
}

/* One peer's datagrams of tiny packets must not use up the batch in which others' packets go. */
static void from_udp__many_small_packets__nobody_loses_any(void **state)
{
	enum { FRAMES = 50, DATAGRAMS = 60 };
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *flood = bed_join(b, false);
	struct bed_peer *other = bed_join(b, false);
	uint8_t frames[FRAMES][23] = { { 0 } };

	(void)state;
	for (int i = 0; i < FRAMES; i++) {
		frames[i][0] = 5; /* Data, 20 bytes */
		frames[i][2] = 20;
		frames[i][3] = 0x45;
	}
	for (int i = 0; i < DATAGRAMS; i++)
		bed_remote_frames(b, flood, frames, sizeof(frames));
	bed_remote_all(b, other, 100, "abcd");
	assert_int_equal(bed_udp(b), -EAGAIN);
	assert_int_equal(b->path.sessions.n[LW_CTR_SINK_FULL], 0);
	assert_int_equal(b->path.counters.inside_tx, FRAMES * DATAGRAMS + 4);
	assert_int_equal(b->inside_out.tail->data[99], 'd');
	bed_destroy(b);
}

/* Answers are sent when little room is left for more, not when it is used up. */
static void from_udp__many_answers__none_is_lost(void **state)
{
	enum { PINGS = 10, DATAGRAMS = 60 };
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);
	uint8_t pings[PINGS][5] = { { 0 } };

	(void)state;
	for (int i = 0; i < PINGS; i++)
		pings[i][0] = 2;
	for (int i = 0; i < DATAGRAMS; i++)
		bed_remote_frames(b, peer, pings, sizeof(pings));
	assert_int_equal(bed_udp(b), -EAGAIN);
	assert_int_equal(b->path.sessions.n[LW_CTR_SINK_FULL], 0);
	assert_int_equal(b->udp_out.n, PINGS * DATAGRAMS);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_udp__server__source_becomes_the_sessions_own),
		cmocka_unit_test(from_udp__client__destination_becomes_the_systems),
		cmocka_unit_test(from_udp__module_answers__say_whether_more_waits),
		cmocka_unit_test(from_udp__nobodys_datagram__the_others_are_served),
		cmocka_unit_test(from_udp__run__each_datagram_in_it_counts),
		cmocka_unit_test(inside_send__each_answer__never_waits),
		cmocka_unit_test(from_udp__ping__is_answered_at_once),
		cmocka_unit_test(reply_outside__however_it_came__reaches_the_peer),
		cmocka_unit_test(reply_outside__too_long_or_no_room__dropped_and_counted),
		cmocka_unit_test(from_udp__many_small_packets__nobody_loses_any),
		cmocka_unit_test(from_udp__many_answers__none_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

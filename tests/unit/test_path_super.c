/* SPDX-License-Identifier: MIT */
/* Superpackets from the inside: to the peer as segments, and what happens when there is no room. */
#include <errno.h>

#include "path/path_priv.h"
#include "unit/path_super.h"
#include "unit/test.h"

static void from_inside__superpacket__arrives_as_segments(void **state)
{
	static const struct {
		uint32_t n;
		uint32_t last;
	} supers[] = { { 1, 10 }, { 2, MSS }, { 2, 1 }, { 3, 500 }, { 40, 999 }, { MOST, 7 } };

	(void)state;
	for (size_t w = 0; w < SUPER_WAYS; w++) {
		struct path_bed *b = super_bed(ways[w].role, ways[w].run_segs);
		struct bed_filter *f = bed_add_filter(b);
		struct bed_peer *peer = bed_join(b, ways[w].stream);

		print_message("  %s\n", ways[w].name);
		for (size_t i = 0; i < sizeof(supers) / sizeof(supers[0]); i++) {
			push_super(b, peer, supers[i].n, supers[i].last);
			assert_int_equal(bed_from_inside(b), -EAGAIN);
			bed_deliver(b);
			check_all(b, peer, supers[i].n, supers[i].last);
			assert_int_equal(f->packets, i + 1); /* it sees it whole */
		}
		assert_int_equal(b->path.counters.inside_rx, 6);
		assert_int_equal(b->path.counters.inside_invalid, 0);
		bed_destroy(b);
	}
}

/* One datagram of a run each, in as few runs as the module's limit allows. */
static void from_inside__superpacket__leaves_as_runs(void **state)
{
	static const struct {
		uint32_t run_segs;
		uint32_t runs;
	} limits[] = { { 0, 1 }, { 63, 1 }, { 64, 1 }, { 20, 3 }, { 7, 8 }, { 1, 50 } };

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct path_bed *b =
			bed_create_with(LW_ROLE_SERVER, 16, LW_CAP_GSO, limits[i].run_segs);
		struct bed_peer *peer = bed_join(b, false);

		print_message("  at most %u\n", limits[i].run_segs);
		form.gso_type = LW_GSO_TCP4;
		form.gso_size = MSS;
		b->inside_act = make_super;
		push_super(b, peer, 50, 10);
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		assert_int_equal(b->udp_out.n, limits[i].runs);
		assert_int_equal(b->udp_script.calls, 1);
		for (const struct bed_item *item = b->udp_out.head; item != NULL; item = item->next)
			assert_true(item->len <= 65507);
		bed_deliver(b);
		check_all(b, peer, 50, 10);
		bed_destroy(b);
	}
}

struct size_case {
	const char *name;
	uint16_t gso_size;
	uint8_t gso_type;
	uint32_t len;
	uint32_t segments; /* 0: dropped and counted */
};

static const struct size_case sizes[] = {
	{ "as large as the tunnel carries", BED_MTU - HEADERS, LW_GSO_TCP4, 5000, 4 },
	{ "a byte more", BED_MTU - HEADERS + 1, LW_GSO_TCP4, 5000, 0 },
	{ "far more", 9000, LW_GSO_TCP4, 20000, 0 },
	{ "one segment that is too long", 9000, LW_GSO_TCP4, BED_MTU + 1, 0 },
	{ "one segment that is not", 9000, LW_GSO_TCP4, BED_MTU, 1 },
	{ "another kind", MSS, LW_GSO_TCP6, 5000, 0 },
	{ "a run", MSS, LW_GSO_RUN, 5000, 0 },
	{ "no kind", MSS, LW_GSO_NONE, 5000, 0 },
};

static void from_inside__superpacket_too_large_or_odd__dropped_and_counted(void **state)
{
	static uint8_t buf[1 << 16];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct size_case *c = &sizes[i];
		struct path_bed *b = super_bed(LW_ROLE_SERVER, 63);
		struct bed_peer *peer = bed_join(b, false);

		print_message("  %s\n", c->name);
		form.gso_size = c->gso_size;
		form.gso_type = c->gso_type;
		bed_inside(b, peer, 100, 'a');
		bed_tcp_packet(buf, c->len, BED_HOST, peer->address, SEQ, 's');
		(void)bed_push(&b->inside_in, buf, c->len);
		bed_inside(b, peer, 100, 'b');
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		assert_int_equal(b->path.counters.inside_invalid, c->segments == 0);
		assert_int_equal(b->path.sessions.n[LW_CTR_INSIDE_TOO_BIG], 0);
		bed_deliver(b);
		assert_int_equal(peer->got.n, 2 + c->segments);
		assert_int_equal(peer->got.tail->data[99], 'b');
		bed_destroy(b);
	}
}

static void from_inside__socket_full_amid_a_superpacket__goes_on_there(void **state)
{
	static const uint32_t takes[] = { 0, 1, 3, 6 };

	(void)state;
	for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
		const struct bed_step full[] = { { -EAGAIN, takes[i] }, { 0 } };
		struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
		struct bed_peer *peer = bed_join(b, false);

		bed_udp_port(b)->wire->cap = 8;
		bed_script_set(&b->udp_script, full);
		push_super(b, peer, 30, 10);
		bed_inside(b, peer, 100, 'b');
		assert_int_equal(bed_from_inside(b), -EBUSY);
		assert_true(lw_path_paused(&b->path));
		assert_true(b->path.seg_open);
		assert_int_equal(bed_from_inside(b), -EBUSY);
		lw_sender_unblock(&bed_udp_port(b)->sender, peer->tag);
		lw_path_flush(&b->path, b->now);
		assert_int_equal(bed_from_inside(b), 0);
		assert_false(b->path.seg_open);
		bed_deliver(b);
		check_segments(b, peer, 0, 30, 30, 10);
		bed_assert_marks(&peer->got, "b");
		assert_int_equal(b->path.sessions.n[LW_CTR_SINK_FULL], 0);
		bed_destroy(b);
	}
}

/* What waited outside is lost; the segments that had no room yet are not. */
static void from_inside__socket_stays_full_amid_a_superpacket__rest_follows(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 2 }, { 0 } };
	struct path_bed *b = super_bed(LW_ROLE_CLIENT, 0);
	struct bed_peer *peer = bed_join(b, false);
	uint32_t made;

	(void)state;
	bed_udp_port(b)->wire->cap = 8;
	bed_script_set(&b->udp_script, full);
	push_super(b, peer, 30, 10);
	assert_int_equal(bed_from_inside(b), -EBUSY);
	made = b->path.seg.next;
	assert_in_range(made, 3, 8);
	b->now = b->w.now_us = lw_path_deadline(&b->path);
	lw_path_flush(&b->path, b->now);
	assert_int_equal(bed_from_inside(b), 0);
	bed_deliver(b);
	check_segments(b, peer, 0, 2, 30, 10);
	check_segments(b, peer, made, 30, 30, 10);
	assert_int_equal(peer->got.n, 0);
	assert_int_equal(bed_udp_port(b)->sender.dropped, made - 2);
	bed_destroy(b);
}

/* A run that the kernel refuses amid a superpacket: the same segments, singly, and no more runs. */
static void from_inside__runs_refused__segments_go_singly(void **state)
{
	static const struct bed_step refused[] = { { -EOPNOTSUPP, 0 }, { 0 } };
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 63);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_script_set(&b->udp_script, refused);
	b->udp_script.status = -EINVAL;
	assert_int_equal(lw_sender_refusal(&bed_udp_port(b)->sender).until_us, 0);
	for (int i = 0; i < 3; i++) {
		push_super(b, peer, 20, 10);
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		assert_int_equal(b->udp_out.n, i < 2 ? 20 : 1);
		bed_deliver(b);
		check_all(b, peer, 20, 10);
		if (i == 1)
			b->now = b->w.now_us = b->now + LW_SEND_RUNS_OFF_US;
	}
	assert_int_equal(bed_counter(b, "outside_tx_cut"), 1);
	assert_int_equal(bed_counter(b, "outside_tx_fallbacks"), 1);
	assert_int_equal(lw_sender_refusal(&bed_udp_port(b)->sender).until_us, b->now);
	assert_int_equal(lw_sender_refusal(&bed_udp_port(b)->sender).error, -EINVAL);
	assert_false(bed_udp_port(b)->sender.runs_refused);
	bed_destroy(b);
}

/* What a session says meanwhile hangs on to its run that waits, and goes with it, cut or not. */
static void from_udp__answer_while_a_run_waits__joins_it(void **state)
{
	static const struct {
		const char *name;
		struct bed_step steps[BED_STEPS];
		uint32_t out; /* packets that leave */
	} cases[] = {
		{ "not yet sent", { { -EAGAIN, 0 }, { 0 } }, 1 },
		{ "then refused", { { -EAGAIN, 0 }, { -EOPNOTSUPP, 0 }, { 0 } }, 11 },
		{ "amid its cut", { { -EOPNOTSUPP, 0 }, { -EAGAIN, 4 }, { 0 } }, 11 },
	};
	static const uint8_t ping[] = { 2, 0, 9, 0, 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path_bed *b = super_bed(LW_ROLE_SERVER, 63);
		struct bed_peer *peer = bed_join(b, false);
		uint64_t pongs = peer->side->counters.n[LW_CTR_FRAMES_RX];

		print_message("  %s\n", cases[i].name);
		bed_script_set(&b->udp_script, cases[i].steps);
		push_super(b, peer, 10, MSS);
		(void)bed_from_inside(b);
		assert_true(lw_path_paused(&b->path));
		bed_remote_frames(b, peer, ping, sizeof(ping));
		assert_int_equal(bed_udp(b), -EAGAIN);
		assert_int_equal(bed_udp_port(b)->wire->n, 1);
		lw_sender_unblock(&bed_udp_port(b)->sender, peer->tag);
		lw_path_flush(&b->path, b->now);
		assert_int_equal(b->udp_out.n, cases[i].out);
		bed_deliver(b);
		check_all(b, peer, 10, MSS);
		assert_int_equal(peer->side->counters.n[LW_CTR_FRAMES_RX], pongs + 11);
		bed_destroy(b);
	}
}

/* More than a stream holds, in one batch, for a socket that takes it all. */
static void from_inside__superpackets_beyond_a_stream__written_between(void **state)
{
	enum { SUPERS = 7 };

	(void)state;
	for (uint32_t n = 44; n <= MOST; n++) {
		struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
		struct bed_peer *peer = bed_join(b, true);

		for (int i = 0; i < SUPERS; i++)
			push_super(b, peer, n, 10);
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		assert_int_equal(b->path.sessions.n[LW_CTR_STREAM_FULL], 0);
		bed_deliver(b);
		for (int i = 0; i < SUPERS; i++)
			check_segments(b, peer, 0, n, n, 10);
		bed_destroy(b);
	}
}

/* Others are served meanwhile: the rest of the superpacket that finds no room is lost. */
static void from_inside__stream_full_amid_a_superpacket__rest_is_dropped(void **state)
{
	enum { SUPERS = 5 };
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *slow = bed_join(b, true);
	struct bed_peer *other = bed_join(b, false);
	struct bed_conn *c = bed_conn_of(b, slow);
	uint32_t whole, rest;

	(void)state;
	c->send_room = 0;
	push_super(b, slow, MOST, 10);
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	b->now += LW_STREAM_WAIT_US; /* for more than a burst */
	for (int i = 1; i < SUPERS; i++)
		push_super(b, slow, MOST, 10);
	push_super(b, other, 4, 10);
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_false(lw_path_paused(&b->path));
	assert_int_equal(b->path.seg_open, false);
	assert_true(b->path.sessions.n[LW_CTR_STREAM_FULL] >= 1);
	bed_deliver(b);
	check_all(b, other, 4, 10);
	c->send_room = UINT64_MAX;
	lw_path_mark_dirty(&b->path, slow->t);
	lw_path_flush(&b->path, b->now);
	bed_deliver(b);
	whole = slow->got.n / MOST;
	rest = slow->got.n % MOST;
	assert_in_range(whole, 1, SUPERS - 1);
	assert_true(rest > 0);
	for (uint32_t i = 0; i < whole; i++)
		check_segments(b, slow, 0, MOST, MOST, 10);
	check_segments(b, slow, 0, rest, MOST, 10);
	push_super(b, slow, 3, 10); /* and then it works again */
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	bed_deliver(b);
	check_all(b, slow, 3, 10);
	bed_destroy(b);
}

/* A filter that answers a superpacket with one complete packet, and leaves the form as it was. */
static void answer(struct lw_packet *p)
{
	if (lw_packet_data(p)[9] != 6)
		return;
	bed_tcp_packet(lw_packet_data(p), 100, BED_TOLD, BED_HOST, 1, 'r');
	p->len = 100;
	p->verdict = LW_VERDICT_REPLY;
}

static void from_inside__filter_answers_a_superpacket__one_single_packet(void **state)
{
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *peer;
	struct bed_item *item;

	(void)state;
	bed_add_filter(b)->ingress = answer;
	peer = bed_join(b, false);
	push_super(b, peer, 5, 10);
	bed_inside(b, peer, 100, 'a');
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	item = b->inside_out.head;
	assert_non_null(item);
	assert_int_equal(item->len, 100);
	assert_int_equal(item->gso_size, 0);
	assert_true(bed_packet_ok(item));
	assert_int_equal(bed_packet_src(item), peer->address);
	bed_assert_marks(&b->inside_out, "r");
	assert_int_equal(b->path.counters.inside_tx, 1);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "a");
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_inside__superpacket__arrives_as_segments),
		cmocka_unit_test(from_inside__superpacket__leaves_as_runs),
		cmocka_unit_test(from_inside__superpacket_too_large_or_odd__dropped_and_counted),
		cmocka_unit_test(from_inside__socket_full_amid_a_superpacket__goes_on_there),
		cmocka_unit_test(from_inside__socket_stays_full_amid_a_superpacket__rest_follows),
		cmocka_unit_test(from_inside__runs_refused__segments_go_singly),
		cmocka_unit_test(from_udp__answer_while_a_run_waits__joins_it),
		cmocka_unit_test(from_inside__superpackets_beyond_a_stream__written_between),
		cmocka_unit_test(from_inside__stream_full_amid_a_superpacket__rest_is_dropped),
		cmocka_unit_test(from_inside__filter_answers_a_superpacket__one_single_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

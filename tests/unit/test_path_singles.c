/* SPDX-License-Identifier: MIT */
/* Filters that take no superpackets: what they see, what the others see, and what arrives. */
#include <errno.h>
#include <stdlib.h>

#include "path/path_priv.h"
#include "unit/path_super.h"
#include "unit/test.h"
#include "wire/frame.h"

/* three filters, of which the second takes single packets only */
struct filters {
	struct bed_filter *before;
	struct bed_filter *single;
	struct bed_filter *behind;
};

static uint32_t not_single; /* packets that it saw in another form */

static void look(struct lw_packet *p)
{
	struct bed_queue copy = { .n = 0 };

	if (p->gso_size != 0 || p->gso_type != LW_GSO_NONE ||
	    !bed_packet_ok(bed_push(&copy, lw_packet_data(p), p->len)) ||
	    (p->flags & LW_PKT_CSUM_PARTIAL) != 0 || p->off < LW_FRAME_DATA_HEADER)
		not_single++;
	bed_clear(&copy);
}

static struct filters add_filters(struct path_bed *b)
{
	struct filters f;

	f.before = bed_add_filter(b);
	f.single = bed_add_filter(b);
	f.behind = bed_add_filter(b);
	b->path.chain.links[1].single = true;
	f.single->ingress = look;
	not_single = 0;
	return f;
}

/* Until the inside is drained; returns how often that took. */
static uint32_t drain(struct path_bed *b)
{
	for (uint32_t n = 1; n < 100; n++) {
		int r = bed_from_inside(b);

		if (r == -EAGAIN)
			return n;
		assert_int_equal(r, 0);
	}
	fail_msg("it never ends");
	return 0;
}

static void superpacket__filter_of_each_kind__sees_its_form(void **state)
{
	(void)state;
	for (size_t w = 0; w < SUPER_WAYS; w++) {
		struct path_bed *b = super_bed(ways[w].role, ways[w].run_segs);
		struct filters f = add_filters(b);
		struct bed_peer *peer = bed_join(b, ways[w].stream);

		print_message("  %s\n", ways[w].name);
		push_super(b, peer, 40, 10);
		bed_inside(b, peer, 100, 'a');
		push_super(b, peer, 1, 10);
		assert_int_equal(drain(b), 1);
		assert_int_equal(f.before->packets, 3);
		assert_int_equal(f.single->packets, 42);
		assert_int_equal(f.behind->packets, 42);
		assert_int_equal(not_single, 0);
		if (ways[w].run_segs > 40) /* they leave as runs all the same */
			assert_in_range(b->udp_out.n, 1, 3);
		bed_deliver(b);
		check_segments(b, peer, 0, 40, 40, 10);
		free(bed_pop(&peer->got));
		check_all(b, peer, 1, 10);
		bed_destroy(b);
	}
}

/* More segments than the batch of single packets holds, several times over. */
static void superpackets__more_than_the_batch_holds__all_in_order(void **state)
{
	(void)state;
	for (size_t w = 0; w < SUPER_WAYS; w++) {
		struct path_bed *b = super_bed(ways[w].role, ways[w].run_segs);
		struct filters f = add_filters(b);
		struct bed_peer *peer = bed_join(b, ways[w].stream);
		uint32_t segments = 0;

		form.gso_size = 30;
		for (uint8_t i = 0; i < 5; i++) {
			bed_inside(b, peer, 1000, i);
			push_super(b, peer, 10, 10);
			segments += (9 * MSS + 10 + 29) / 30;
		}
		bed_inside(b, peer, 1000, 5);
		assert_int_equal(drain(b), (segments + 6) / LW_SINGLES_PACKETS + 2);
		assert_int_equal(f.before->packets, 11);
		assert_int_equal(f.single->packets, segments + 6);
		assert_int_equal(not_single, 0);
		bed_deliver(b);
		assert_int_equal(peer->got.n, segments + 6);
		for (uint8_t i = 0; i < 6; i++) {
			struct bed_item *item = bed_pop(&peer->got);

			assert_int_equal(item->len, 1000);
			assert_int_equal(item->data[999], i);
			free(item);
			for (uint32_t n = 0; i < 5 && n < segments / 5; n++) {
				item = bed_pop(&peer->got);
				assert_true(item->len <= HEADERS + 30);
				assert_true(bed_packet_ok(item));
				free(item);
			}
		}
		bed_destroy(b);
	}
}

/* Where a tunnel has no room the rest waits: in the batch of single packets and behind it. */
static void superpackets__socket_full__nothing_lost_or_twice(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 3 }, { 0 } };
	struct path_bed *b = super_bed(LW_ROLE_CLIENT, 0);
	struct filters f = add_filters(b);
	struct bed_peer *peer = bed_join(b, false);
	uint32_t waits = 0;
	int r;

	(void)state;
	for (int i = 0; i < 7; i++)
		push_super(b, peer, MOST, 10);
	bed_script_set(&b->udp_script, full);
	while ((r = bed_from_inside(b)) != -EAGAIN) {
		if (r == 0)
			continue;
		assert_int_equal(r, -EBUSY);
		assert_int_equal(bed_from_inside(b), -EBUSY);
		if (++waits < 3)
			bed_script_set(&b->udp_script, full);
		lw_sender_unblock(&bed_udp_port(b)->sender, peer->tag);
		lw_path_flush(&b->path, b->now);
	}
	assert_int_equal(waits, 3);
	assert_int_equal(f.single->packets, 7 * MOST);
	bed_deliver(b);
	for (int i = 0; i < 7; i++)
		check_segments(b, peer, 0, MOST, MOST, 10);
	assert_int_equal(peer->got.n, 0);
	bed_destroy(b);
}

/* The session goes while some of its packets wait cut up, and some not yet. */
static void superpackets__session_ends_amid__the_others_packets_go(void **state)
{
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *goes, *stays;

	(void)state;
	(void)add_filters(b);
	goes = bed_join(b, false);
	stays = bed_join(b, false);
	form.gso_size = 30;
	push_super(b, goes, 20, 10); /* 634 segments */
	push_super(b, stays, 2, 10);
	assert_int_equal(bed_from_inside(b), 0);
	assert_int_equal(b->path.rx_cut, 0);
	assert_true(b->path.cutter_open);
	lw_path_close(&b->path, goes->t, b->now);
	lw_path_flush(&b->path, b->now);
	assert_null(goes->t);
	assert_false(b->path.cutter_open);
	assert_int_equal(drain(b), 2); /* what is left, and nothing */
	bed_deliver(b);
	assert_int_equal(stays->got.n, (MSS + 10 + 29) / 30);
	bed_destroy(b);
}

/* The same while the socket is full: the cut ones wait too. */
static void superpackets__session_ends_while_full__forgotten_whole(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 0 }, { 0 } };
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *goes, *stays;

	(void)state;
	(void)add_filters(b);
	goes = bed_join(b, false);
	stays = bed_join(b, false);
	bed_udp_port(b)->wire->cap = 8;
	bed_script_set(&b->udp_script, full);
	form.gso_size = 30;
	push_super(b, goes, 20, 10);
	push_super(b, stays, 2, 10);
	assert_int_equal(bed_from_inside(b), -EBUSY);
	lw_path_drop(&b->path, goes->t);
	lw_path_flush(&b->path, b->now);
	assert_int_equal(b->path.rx->n - b->path.rx_cut, 1);
	lw_sender_unblock(&bed_udp_port(b)->sender, goes->tag);
	lw_path_flush(&b->path, b->now);
	(void)drain(b);
	bed_deliver(b);
	assert_int_equal(stays->got.n, (MSS + 10 + 29) / 30);
	bed_destroy(b);
}

static void break_form(struct lw_packet *p)
{
	make_super(p);
	if (lw_packet_data(p)[9] == 6 && p->len > 3000)
		p->gso_size = BED_MTU; /* no room for headers */
}

static void superpacket__invalid_amid__counted_and_the_others_go(void **state)
{
	struct path_bed *b = super_bed(LW_ROLE_CLIENT, 0);
	struct filters f = add_filters(b);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	b->inside_act = break_form;
	bed_inside(b, peer, 100, 'a');
	push_super(b, peer, 4, 10);
	push_super(b, peer, 3, 10);
	assert_int_equal(drain(b), 1);
	assert_int_equal(b->path.counters.inside_invalid, 1);
	assert_int_equal(f.before->packets, 3);
	assert_int_equal(f.single->packets, 4);
	bed_deliver(b);
	free(bed_pop(&peer->got));
	check_all(b, peer, 3, 10);
	bed_destroy(b);
}

static uint32_t nth;

static void drop_odd(struct lw_packet *p)
{
	look(p);
	p->verdict = nth++ % 2 ? LW_VERDICT_DROP : LW_VERDICT_PASS;
}

/* Each segment of a superpacket is the filter's to drop; the others go. */
static void superpacket__filter_drops_segments__the_others_go(void **state)
{
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 63);
	struct filters f = add_filters(b);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	nth = 0;
	f.single->ingress = drop_odd;
	push_super(b, peer, 9, MSS);
	assert_int_equal(drain(b), 1);
	assert_int_equal(f.behind->packets, 5);
	assert_int_equal(b->path.chain.dropped, 4);
	bed_deliver(b);
	for (uint32_t i = 0; i < 9; i += 2)
		check_segments(b, peer, i, i + 1, 9, MSS);
	assert_int_equal(peer->got.n, 0);
	bed_destroy(b);
}

static void answer(struct lw_packet *p)
{
	p->verdict = LW_VERDICT_REPLY;
}

/* An answer to each of hundreds. */
static void superpacket__filter_answers_segments__all_reach_the_inside(void **state)
{
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct filters f = add_filters(b);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	f.single->ingress = answer;
	form.gso_size = 30;
	push_super(b, peer, 10, 10);
	assert_int_equal(drain(b), 1);
	assert_int_equal(b->inside_out.n, (9 * MSS + 10 + 29) / 30);
	assert_int_equal(b->path.chain.dropped, 0);
	assert_int_equal(b->udp_out.n, 0);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(superpacket__filter_of_each_kind__sees_its_form),
		cmocka_unit_test(superpackets__more_than_the_batch_holds__all_in_order),
		cmocka_unit_test(superpackets__socket_full__nothing_lost_or_twice),
		cmocka_unit_test(superpackets__session_ends_amid__the_others_packets_go),
		cmocka_unit_test(superpackets__session_ends_while_full__forgotten_whole),
		cmocka_unit_test(superpacket__invalid_amid__counted_and_the_others_go),
		cmocka_unit_test(superpacket__filter_drops_segments__the_others_go),
		cmocka_unit_test(superpacket__filter_answers_segments__all_reach_the_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

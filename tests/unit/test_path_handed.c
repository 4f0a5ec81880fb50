/* SPDX-License-Identifier: MIT */
/* What another worker has read: it goes on here as if it had been read here, or is counted. */
#include <errno.h>
#include <stdlib.h>

#include "unit/path_super.h"
#include "unit/test.h"

/* --- from the inside --- */

/* The other worker hands over the first packet that waits, and uses its bytes again. True: some of
 * it waits here. */
static bool hand_inside(struct path_bed *b)
{
	struct bed_item *item = bed_pop(&b->inside_in);
	struct lw_packet pkt = { .buf = item->data, .cap = item->len, .len = item->len };
	bool waits;

	if (b->inside_act != NULL)
		b->inside_act(&pkt);
	waits = lw_path_handed_inside(&b->path, &pkt, b->now);
	assert_false(b->path.handed);
	memset(item->data, 0xee, item->len);
	free(item);
	return waits;
}

static void handed_inside__single_or_superpacket__leaves_as_if_read_here(void **state)
{
	(void)state;
	for (size_t w = 0; w < SUPER_WAYS; w++) {
		struct path_bed *b = super_bed(ways[w].role, ways[w].run_segs);
		struct bed_filter *f = bed_add_filter(b);
		struct bed_peer *peer = bed_join(b, ways[w].stream);

		print_message("  %s\n", ways[w].name);
		push_super(b, peer, MOST, 10);
		bed_inside(b, peer, 100, 'a');
		push_super(b, peer, 2, MSS);
		bed_inside(b, peer, 1350, 'b');
		for (int i = 0; i < 4; i++)
			assert_false(hand_inside(b));
		bed_deliver(b);
		check_segments(b, peer, 0, MOST, MOST, 10);
		free(bed_pop(&peer->got));
		check_segments(b, peer, 0, 2, 2, MSS);
		bed_assert_marks(&peer->got, "b");
		assert_int_equal(f->packets, 4);
		assert_int_equal(b->looked_handed, 4);
		assert_int_equal(b->inside_recvs, 0);
		assert_int_equal(b->path.counters.inside_rx, 0); /* who read it has counted it */
		assert_int_equal(bed_counter(b, "handed_dropped"), 0);
		bed_destroy(b);
	}
}

/* Not all that has a checksum to be completed is a superpacket. */
static void handed_inside__single_with_partial_checksum__is_completed(void **state)
{
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	form.gso_size = 0;
	form.gso_type = LW_GSO_NONE;
	push_super(b, peer, 1, 10);
	assert_false(hand_inside(b));
	bed_deliver(b);
	check_all(b, peer, 1, 10);
	bed_destroy(b);
}

static uint32_t not_single; /* packets that a filter saw in another form */

static void look(struct lw_packet *p)
{
	if (p->gso_size != 0 || (p->flags & LW_PKT_CSUM_PARTIAL) != 0)
		not_single++;
}

/* More segments than the batch of single packets holds, several times over. */
static void handed_inside__filter_that_takes_singles__gets_all_segments(void **state)
{
	const uint32_t segments = (9 * MSS + 10 + 9) / 10;

	(void)state;
	for (size_t w = 0; w < SUPER_WAYS; w++) {
		struct path_bed *b = super_bed(ways[w].role, ways[w].run_segs);
		struct bed_filter *f = bed_add_filter(b);
		struct bed_peer *peer = bed_join(b, ways[w].stream);

		assert_true(segments > LW_SINGLES_PACKETS);
		b->path.chain.links[0].single = true;
		f->ingress = look;
		not_single = 0;
		form.gso_size = 10;
		for (int i = 0; i < 2; i++) {
			push_super(b, peer, 10, 10);
			assert_false(hand_inside(b));
		}
		bed_deliver(b);
		assert_int_equal(f->packets, 2 * segments);
		assert_int_equal(not_single, 0);
		assert_int_equal(peer->got.n, 2 * segments);
		for (uint32_t i = 0; i < 2 * segments; i++) {
			struct bed_item *item = bed_pop(&peer->got);

			assert_int_equal(item->len, HEADERS + 10);
			assert_int_equal(item->data[item->len - 1], '0' + i % segments / 100);
			free(item);
		}
		bed_destroy(b);
	}
}

/* The socket fills up amid what was handed over: the rest waits here, not in the other's memory. */
static void handed_inside__socket_full_amid_it__rest_follows(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 3 }, { 0 } };

	(void)state;
	for (int single = 0; single < 2; single++) {
		struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
		struct bed_peer *peer;

		(void)bed_add_filter(b);
		b->path.chain.links[0].single = single;
		peer = bed_join(b, false);
		bed_udp_port(b)->wire->cap = 8;
		bed_script_set(&b->udp_script, full);
		push_super(b, peer, 30, 10);
		assert_true(hand_inside(b));
		assert_true(lw_path_paused(&b->path));
		assert_int_equal(bed_from_inside(b), -EBUSY);
		lw_sender_unblock(&bed_udp_port(b)->sender, peer->tag);
		lw_path_flush(&b->path, b->now);
		assert_int_equal(bed_from_inside(b), 0); /* it had not to be read */
		assert_int_equal(b->inside_recvs, 0);
		bed_deliver(b);
		check_all(b, peer, 30, 10);
		bed_destroy(b);
	}
}

/* What is read here waits for its socket, in the batch that a packet from elsewhere would need. */
static void handed_inside__batch_is_in_use__dropped_and_counted(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 2 }, { 0 } };
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *peer = bed_join(b, false);
	struct bed_peer *other = bed_join(b, false);

	(void)state;
	bed_udp_port(b)->wire->cap = 8;
	bed_script_set(&b->udp_script, full);
	push_super(b, peer, 30, 10);
	bed_inside(b, peer, 100, 'b');
	assert_int_equal(bed_from_inside(b), -EBUSY);
	bed_inside(b, other, 100, 'x');
	assert_false(hand_inside(b)); /* paused */
	assert_int_equal(bed_counter(b, "handed_dropped"), 1);
	lw_sender_unblock(&bed_udp_port(b)->sender, peer->tag);
	lw_path_flush(&b->path, b->now);
	assert_false(lw_path_paused(&b->path));
	push_super(b, other, 3, 10);
	assert_false(hand_inside(b)); /* half sent */
	assert_int_equal(bed_counter(b, "handed_dropped"), 2);
	assert_int_equal(bed_from_inside(b), 0);
	bed_inside(b, other, 100, 'y');
	assert_false(hand_inside(b)); /* all gone */
	assert_int_equal(bed_counter(b, "handed_dropped"), 2);
	bed_deliver(b);
	check_segments(b, peer, 0, 30, 30, 10);
	bed_assert_marks(&peer->got, "b");
	bed_assert_marks(&other->got, "y");
	bed_destroy(b);
}

/* Nothing is in the batch, but no socket would take what comes. */
static void handed_inside__socket_is_full__dropped_and_counted(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 0 }, { 0 } };
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_script_set(&b->udp_script, full);
	bed_inside_all(b, peer, 100, "ax");
	assert_false(hand_inside(b));
	assert_true(lw_path_paused(&b->path));
	assert_int_equal(b->path.next, b->path.out->n);
	assert_int_equal(bed_counter(b, "handed_dropped"), 0); /* it waits outside */
	assert_false(hand_inside(b));
	assert_int_equal(bed_counter(b, "handed_dropped"), 1);
	lw_sender_unblock(&bed_udp_port(b)->sender, peer->tag);
	lw_path_flush(&b->path, b->now);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "a");
	bed_destroy(b);
}

/* The same where the batch was sent as far as it was cut up: the rest of it is not yet. */
static void handed_inside__batch_is_half_cut_up__dropped_and_counted(void **state)
{
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *peer;

	(void)state;
	(void)bed_add_filter(b);
	b->path.chain.links[0].single = true;
	peer = bed_join(b, false);
	form.gso_size = 10;
	push_super(b, peer, 10, 10);
	assert_int_equal(bed_from_inside(b), 0);
	assert_int_equal(b->path.next, b->path.out->n);
	bed_inside(b, peer, 100, 'x');
	assert_false(hand_inside(b));
	assert_int_equal(bed_counter(b, "handed_dropped"), 1);
	while (bed_from_inside(b) == 0)
		;
	bed_deliver(b);
	assert_int_equal(peer->got.n, (9 * MSS + 10 + 9) / 10);
	bed_destroy(b);
}

static uint32_t asked; /* elsewhere() */

static bool not_handed(struct path_bed *b, const struct lw_packet *p)
{
	asked++;
	assert_true(p->len > 20);
	return !b->path.handed; /* as the server does it */
}

/* Its session has gone meanwhile, or was never there: it must not go round. */
static void handed_inside__no_session_here__not_handed_on(void **state)
{
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	asked = 0;
	b->elsewhere = not_handed;
	peer->address++;
	bed_inside(b, peer, 100, 'a'); /* nobody's */
	assert_false(hand_inside(b));
	assert_int_equal(asked, 1);
	assert_int_equal(bed_counter(b, "inside_no_session"), 1);
	bed_inside(b, peer, 100, 'b');
	assert_int_equal(bed_from_inside(b), -EAGAIN); /* read here, it goes to the other */
	assert_int_equal(asked, 2);
	assert_int_equal(bed_counter(b, "inside_no_session"), 1);
	assert_int_equal(b->looked_handed, 1);
	peer->address--;
	bed_inside(b, peer, 100, 'c');
	assert_false(hand_inside(b));
	assert_int_equal(asked, 2);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "c");
	bed_destroy(b);
}

static void handed_inside__invalid__counted(void **state)
{
	struct path_bed *b = super_bed(LW_ROLE_SERVER, 0);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_inside(b, peer, BED_MTU + 1, 'a');
	assert_false(hand_inside(b));
	bed_inside(b, peer, 100, 'b');
	b->inside_in.head->data[0] = 0x60;
	assert_false(hand_inside(b));
	assert_int_equal(b->path.counters.inside_invalid, 2);
	bed_deliver(b);
	assert_int_equal(peer->got.n, 0);
	bed_destroy(b);
}

/* --- from the outside --- */

static void hand_dgram(struct path_bed *b)
{
	struct bed_item *item = bed_pop(&b->udp_in);
	struct lw_endpoint ep = { .tag = item->tag };
	struct lw_packet pkt = { .buf = item->data,
		                 .cap = item->len,
		                 .len = item->len,
		                 .endpoint = &ep,
		                 .gso_type = item->gso_size > 0 ? LW_GSO_RUN : LW_GSO_NONE,
		                 .gso_size = item->gso_size };

	lw_path_handed_dgram(&b->path, bed_udp_port(b), &pkt, b->now);
	assert_false(b->path.handed);
	memset(item->data, 0xee, item->len);
	free(item);
}

static void handed_dgram__known_peer__its_run_as_a_whole(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 0);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_remote_all(b, peer, 500, "abcd");
	bed_make_run(b, 4);
	bed_remote(b, peer, 600, 'e');
	hand_dgram(b);
	assert_int_equal(b->looked, 1);
	bed_assert_marks(&b->inside_out, "abcd"); /* at once */
	hand_dgram(b);
	assert_int_equal(b->looked, 2);
	assert_int_equal(b->looked_handed, 2);
	assert_int_equal(b->afters_handed, 2);
	bed_assert_marks(&b->inside_out, "e");
	assert_int_equal(bed_counter(b, "outside_rx"), 0); /* who read it has counted it */
	bed_destroy(b);
}

static void handed_dgram__strangers_run__looked_at_one_by_one(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 0);
	struct bed_peer *peer = bed_join(b, false);
	uint8_t run[200 * 16 - 1] = { 0 };

	(void)state;
	bed_push(&b->udp_in, run, 5 * 16 - 1)->gso_size = 16;
	bed_push(&b->udp_in, run, sizeof(run))->gso_size = 16;
	hand_dgram(b);
	assert_int_equal(b->looked, 5);
	assert_int_equal(b->afters, 1); /* for all of them */
	hand_dgram(b);
	assert_int_equal(b->looked, 5 + LW_UDP_RX_PIECES); /* no more are served at a time */
	assert_int_equal(b->afters, 2);
	assert_int_equal(b->looked_handed, b->looked);
	bed_push(&b->udp_in, run, 3 * 16)->gso_size = 16;
	assert_int_equal(bed_udp(b), -EAGAIN); /* what is read here was not handed over */
	assert_int_equal(b->looked, b->looked_handed + 3);
	assert_int_equal(b->afters, b->afters_handed + 1);
	assert_int_equal(peer->got.n, 0);
	bed_destroy(b);
}

/* What it made goes out at once: no other datagram need come for that. */
static void handed_dgram__answered__the_answer_is_sent(void **state)
{
	static const uint8_t ping[] = { 2, 0, 9, 0, 0 };
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 0);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_remote_frames(b, peer, ping, sizeof(ping));
	hand_dgram(b);
	assert_int_equal(b->udp_out.n, 1);
	assert_int_equal(b->udp_out.head->tag, peer->tag);
	assert_int_equal(bed_udp_port(b)->wire->n, 0);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handed_inside__single_or_superpacket__leaves_as_if_read_here),
		cmocka_unit_test(handed_inside__single_with_partial_checksum__is_completed),
		cmocka_unit_test(handed_inside__filter_that_takes_singles__gets_all_segments),
		cmocka_unit_test(handed_inside__socket_full_amid_it__rest_follows),
		cmocka_unit_test(handed_inside__batch_is_in_use__dropped_and_counted),
		cmocka_unit_test(handed_inside__socket_is_full__dropped_and_counted),
		cmocka_unit_test(handed_inside__batch_is_half_cut_up__dropped_and_counted),
		cmocka_unit_test(handed_inside__no_session_here__not_handed_on),
		cmocka_unit_test(handed_inside__invalid__counted),
		cmocka_unit_test(handed_dgram__known_peer__its_run_as_a_whole),
		cmocka_unit_test(handed_dgram__strangers_run__looked_at_one_by_one),
		cmocka_unit_test(handed_dgram__answered__the_answer_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

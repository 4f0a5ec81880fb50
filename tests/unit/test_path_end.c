/* SPDX-License-Identifier: MIT */
/* How tunnels come and go: events, filters' sessions, and the order in which one is taken apart. */
#include <errno.h>

#include "unit/path_bed.h"
#include "unit/test.h"

#define CHUNKS 64

static const uint8_t goodbye[] = { 12 };

static void online__login_accepted__filters_first_then_the_role(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer;

		(void)bed_add_filter(b);
		(void)bed_add_filter(b);
		peer = bed_join_pending(b, stream == 1);
		bed_answer(b, peer, LW_AUTH_YES);
		assert_string_equal(b->log, "A+1 B+1 online1 ");
		assert_true(peer->t->in_chain);
		assert_true(peer->deadlines > 0);
		bed_deliver(b);
		assert_int_equal(peer->remote->state, LW_TUNNEL_ONLINE);
		bed_destroy(b);
	}
}

static void online__login_refused__filters_never_hear_of_it(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer;

		(void)bed_add_filter(b);
		peer = bed_join_pending(b, stream == 1);
		bed_answer(b, peer, LW_AUTH_NO);
		assert_string_equal(b->log,
		                    stream ? "closed1 tcp-close1 gone1 " : "closed1 gone1 ");
		assert_null(peer->t);
		bed_deliver(b); /* and the peer is told */
		assert_int_equal(peer->remote->reason, LW_CLOSE_AUTH);
		bed_destroy(b);
	}
}

static void end__goodbye_of_the_peer__in_this_order(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *peer;

	(void)state;
	(void)bed_add_filter(b);
	(void)bed_add_filter(b);
	peer = bed_join(b, false);
	bed_remote(b, peer, 100, 'a');
	bed_remote_frames(b, peer, goodbye, 1);
	bed_remote(b, peer, 100, 'b'); /* nobody's any more */
	assert_int_equal(bed_udp(b), -EAGAIN);
	assert_string_equal(b->log, "closed1 B-1 A-1 gone1 ");
	bed_assert_marks(&b->inside_out, "a");
	assert_int_equal(b->filters[0].packets, 1);
	assert_int_equal(b->path.sessions.n[LW_CTR_CLOSED_BY_PEER], 1);
	bed_destroy(b);
}

static void end__ours__says_goodbye_once(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct path_bed *b = bed_create(LW_ROLE_CLIENT, CHUNKS);
		struct bed_peer *peer = bed_join(b, stream == 1);

		lw_path_close(&b->path, peer->t, b->now);
		lw_path_close(&b->path, peer->t, b->now);
		lw_path_drop(&b->path, peer->t);
		lw_path_flush(&b->path, b->now);
		assert_string_equal(b->log,
		                    stream ? "closed1 tcp-close1 gone1 " : "closed1 gone1 ");
		assert_null(peer->t);
		bed_deliver(b);
		assert_int_equal(peer->remote->reason, LW_CLOSE_PEER);
		assert_int_equal(b->path.sessions.n[LW_CTR_SESSIONS_CLOSED], 1);
		bed_destroy(b);
	}
}

static void end__connection_gone__says_nothing(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	lw_path_drop(&b->path, peer->t);
	lw_path_close(&b->path, peer->t, b->now);
	lw_path_flush(&b->path, b->now);
	assert_string_equal(b->log, "closed1 gone1 ");
	assert_int_equal(b->udp_out.n, 0);
	assert_int_equal(b->path.sessions.n[LW_CTR_CLOSED_LOST], 1);
	bed_destroy(b);
}

static void end__several_in_one_batch__each_once(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *peers[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		peers[i] = bed_join(b, false);
	for (int i = 0; i < 3; i++) {
		bed_remote(b, peers[i], 100, (uint8_t)('a' + i));
		bed_remote_frames(b, peers[i], goodbye, 1);
	}
	bed_remote(b, peers[3], 100, 'd');
	assert_int_equal(bed_udp(b), -EAGAIN);
	assert_string_equal(b->log, "closed1 closed2 closed3 gone3 gone2 gone1 ");
	bed_assert_marks(&b->inside_out, "abcd");
	assert_non_null(peers[3]->t);
	bed_destroy(b);
}

struct waiting_case {
	uint32_t dead; /* bit i: peer i */
	const char *got;
};

/* a to i belong to three sessions in turn; a, b and c are sealed already, d is the one that waits
 */
static const struct waiting_case waiting[] = {
	{ 0, "abcdefghi" }, { 1, "abcefhi" }, { 2, "abcdfgi" },
	{ 3, "abcfi" },     { 6, "abcdg" },   { 7, "abc" },
};

static void end__packets_wait_in_rx__only_its_own_are_forgotten(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 0 }, { 0 } };

	(void)state;
	for (size_t n = 0; n < sizeof(waiting) / sizeof(waiting[0]); n++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peers[3];
		char got[16] = { 0 };

		for (int i = 0; i < 3; i++)
			peers[i] = bed_join(b, false);
		bed_udp_port(b)->wire->cap = 4;
		bed_script_set(&b->udp_script, full);
		for (int i = 0; i < 9; i++)
			bed_inside(b, peers[i % 3], 200, (uint8_t)('a' + i));
		assert_int_equal(bed_from_inside(b), -EBUSY);
		assert_true(b->path.seg_open);
		for (uint32_t i = 0; i < 3; i++) {
			if (waiting[n].dead & 1u << i)
				lw_path_drop(&b->path, peers[i]->t);
		}
		lw_path_flush(&b->path, b->now); /* they are destroyed here */
		assert_int_equal(b->path.seg_open, (waiting[n].dead & 1) == 0); /* d's */
		lw_sender_unblock(&bed_udp_port(b)->sender, peers[0]->tag);
		lw_path_flush(&b->path, b->now);
		assert_int_equal(bed_from_inside(b), waiting[n].dead == 7 ? -EAGAIN : 0);
		bed_deliver(b);
		for (int i = 0; i < 9; i++) {
			struct bed_item *item = bed_pop(&peers[i % 3]->got);

			if (item != NULL)
				got[strlen(got)] = (char)item->data[item->len - 1];
			free(item);
		}
		assert_string_equal(got, waiting[n].got);
		bed_destroy(b);
	}
}

/* As a client that has a winner, the third, closes the others. */
static void close_others(struct path_bed *b, struct bed_peer *peer, const struct lw_event *e)
{
	if (peer->t->s.serial != 3 || (e->type != LW_EVENT_ONLINE && e->type != LW_EVENT_CLOSED))
		return;
	for (uint32_t i = 0; i < b->n_peers; i++) {
		if (&b->peers[i] != peer && b->peers[i].listed)
			lw_path_close(&b->path, b->peers[i].t, b->now);
	}
}

static void end__from_within_an_event__each_once(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer;

		(void)bed_join(b, stream == 1);
		(void)bed_join(b, stream == 0);
		peer = bed_join_pending(b, stream == 1);
		b->log[0] = '\0';
		b->on_event = close_others;
		bed_answer(b, peer, LW_AUTH_YES);
		assert_string_equal(b->log,
		                    stream ? "online3 closed1 closed2 gone2 tcp-close1 gone1 "
		                           : "online3 closed1 closed2 tcp-close2 gone2 gone1 ");
		assert_non_null(peer->t);
		bed_deliver(b);
		assert_int_equal(b->peers[0].remote->reason, LW_CLOSE_PEER);
		assert_int_equal(b->peers[1].remote->reason, LW_CLOSE_PEER);
		bed_destroy(b);
	}
}

static void close_itself(struct path_bed *b, struct bed_peer *peer, const struct lw_event *e)
{
	if (e->type == LW_EVENT_ONLINE)
		lw_path_close(&b->path, peer->t, b->now);
}

static void end__itself_within_its_event__once(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer;

		(void)bed_add_filter(b);
		peer = bed_join_pending(b, stream == 1);
		b->on_event = close_itself;
		bed_answer(b, peer, LW_AUTH_YES);
		assert_string_equal(b->log, stream ? "A+1 online1 closed1 A-1 tcp-close1 gone1 "
		                                   : "A+1 online1 closed1 A-1 gone1 ");
		assert_null(peer->t);
		bed_destroy(b);
	}
}

/* One dead connection makes the role close others whose streams are to be flushed in the same go.
 */
static void end__while_streams_are_flushed__each_once(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *peers[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		peers[i] = bed_join(b, true);
		bed_inside(b, peers[i], 500, 'a');
	}
	b->on_event = close_others;
	bed_conn_of(b, peers[2])->send_error = -EPIPE; /* the first in the list */
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	for (int i = 0; i < 3; i++) {
		assert_null(peers[i]->t);
		assert_int_equal(bed_conn_of(b, peers[i])->closed, 1);
	}
	assert_string_equal(b->log, "closed3 closed1 closed2 "
	                            "tcp-close3 gone3 tcp-close2 gone2 tcp-close1 gone1 ");
	bed_deliver(b); /* the others got their packet and the Goodbye */
	bed_assert_marks(&peers[0]->got, "a");
	assert_int_equal(peers[1]->remote->reason, LW_CLOSE_PEER);
	assert_null(b->path.dirty);
	bed_destroy(b);
}

static void online__filter_refuses__closed_and_the_peer_is_told(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer;

		(void)bed_add_filter(b);
		bed_add_filter(b)->open_r = -EPERM;
		peer = bed_join_pending(b, stream == 1);
		bed_answer(b, peer, LW_AUTH_YES);
		assert_string_equal(b->log, stream ? "A+1 B+1 A-1 closed1 tcp-close1 gone1 "
		                                   : "A+1 B+1 A-1 closed1 gone1 ");
		assert_null(peer->t);
		bed_deliver(b);
		assert_int_equal(peer->remote->reason, LW_CLOSE_PEER);
		bed_destroy(b);
	}
}

/* What a client gets with its AuthSuccess, in one run or chunk. */
static struct path_bed *join_with(bool stream, bool with_goodbye, int open_r)
{
	struct path_bed *b = bed_create(LW_ROLE_CLIENT, CHUNKS);
	struct bed_peer *peer;

	bed_add_filter(b)->open_r = open_r;
	peer = bed_join_pending(b, stream);
	bed_remote_auth(b, peer);
	if (with_goodbye)
		bed_remote_frames(b, peer, goodbye, 1);
	else
		bed_remote(b, peer, 40, 'a');
	if (stream) {
		(void)bed_tcp(b, peer);
		assert_null(bed_conn_of(b, peer)->in.head);
	} else {
		bed_make_run(b, b->udp_in.n);
		assert_int_equal(bed_udp(b), -EAGAIN);
	}
	return b;
}

static void online__packet_in_the_same_run__filters_hear_of_the_session_first(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct path_bed *b = join_with(stream == 1, false, 0);

		assert_string_equal(b->log, "A+1 online1 ");
		assert_int_equal(b->filters[0].packets, 1);
		bed_assert_marks(&b->inside_out, "a");
		bed_destroy(b);

		b = join_with(stream == 1, false, -EPERM);
		assert_string_equal(b->log, stream ? "A+1 closed1 tcp-close1 gone1 "
		                                   : "A+1 closed1 gone1 ");
		assert_int_equal(b->filters[0].packets, 0); /* it does not know that session */
		assert_int_equal(b->inside_out.n, 0);
		bed_destroy(b);
	}
}

static void online__goodbye_in_the_same_run__closed_once_whatever_filters_say(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		bool stream = i % 2 == 1;
		struct path_bed *b = join_with(stream, true, i < 2 ? 0 : -EPERM);

		if (i < 2)
			assert_string_equal(b->log,
			                    stream ? "A+1 online1 closed1 A-1 tcp-close1 gone1 "
			                           : "A+1 online1 closed1 A-1 gone1 ");
		else
			assert_string_equal(b->log, stream ? "A+1 closed1 tcp-close1 gone1 "
			                                   : "A+1 closed1 gone1 ");
		assert_null(b->peers[0].t);
		bed_destroy(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(online__login_accepted__filters_first_then_the_role),
		cmocka_unit_test(online__login_refused__filters_never_hear_of_it),
		cmocka_unit_test(end__goodbye_of_the_peer__in_this_order),
		cmocka_unit_test(end__ours__says_goodbye_once),
		cmocka_unit_test(end__connection_gone__says_nothing),
		cmocka_unit_test(end__several_in_one_batch__each_once),
		cmocka_unit_test(end__packets_wait_in_rx__only_its_own_are_forgotten),
		cmocka_unit_test(end__from_within_an_event__each_once),
		cmocka_unit_test(end__itself_within_its_event__once),
		cmocka_unit_test(end__while_streams_are_flushed__each_once),
		cmocka_unit_test(online__filter_refuses__closed_and_the_peer_is_told),
		cmocka_unit_test(online__packet_in_the_same_run__filters_hear_of_the_session_first),
		cmocka_unit_test(online__goodbye_in_the_same_run__closed_once_whatever_filters_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Sessions over TCP: chunks of every size, full streams, and connections that end. */
#include <errno.h>

#include "unit/path_bed.h"
#include "unit/test.h"

#define CHUNKS 64

static void from_tcp__chunks_of_all_sizes__same_packets(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 3, 5, 7, 64, 100, 1000, 1449, 16384, 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer = bed_join(b, true);
		struct bed_conn *c = bed_conn_of(b, peer);

		c->chunk = sizes[i];
		for (uint32_t n = 0; n < 5; n++)
			bed_remote(b, peer, 29 + 300 * n, (uint8_t)('a' + n));
		while (c->in.head != NULL)
			assert_int_equal(bed_tcp(b, peer), 0);
		assert_int_equal(bed_tcp(b, peer), -EAGAIN);
		assert_int_equal(b->inside_out.n, 5);
		assert_true(bed_packet_ok(b->inside_out.tail));
		assert_int_equal(bed_packet_src(b->inside_out.tail), peer->address);
		bed_assert_marks(&b->inside_out, "abcde");
		assert_string_equal(b->log, "");
		bed_destroy(b);
	}
}

static void from_tcp__connect_under_way__is_asked_again_later(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_CLIENT, CHUNKS);
	struct bed_peer *peer = bed_join(b, true);
	struct bed_conn *c = bed_conn_of(b, peer);

	(void)state;
	c->recv_end = -EINPROGRESS;
	assert_int_equal(bed_tcp(b, peer), -EAGAIN);
	c->send_error = -EINPROGRESS;
	bed_inside(b, peer, 100, 'a');
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_true(peer->wants > 0);
	assert_string_equal(b->log, ""); /* nobody took it for a dead connection */
	c->send_error = 0;
	bed_inside(b, peer, 100, 'b');
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "ab");
	bed_destroy(b);
}

static void to_tcp__short_writes__arrive_whole_and_in_order(void **state)
{
	static const uint32_t sizes[] = { 1, 13, 999, 5000, 20000 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer = bed_join(b, true);
		struct bed_conn *c = bed_conn_of(b, peer);

		c->send_chunk = sizes[i];
		bed_inside_all(b, peer, 1300, "abcdefghijklmnop");
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		assert_int_equal(peer->t->stream.used, 0);
		assert_true(c->out.n >= 16 * 1300 / sizes[i]);
		assert_int_equal(b->path.chunks.n_free, CHUNKS);
		bed_deliver(b);
		bed_assert_marks(&peer->got, "abcdefghijklmnop");
		assert_int_equal(peer->wants, 0);
		bed_destroy(b);
	}
}

static void edge(struct path_bed *b, const struct bed_peer *peer)
{
	struct lw_sink k = lw_path_sink(&b->path, peer->t); /* as the worker does */

	lw_path_after(&b->path, peer->t, &k);
	lw_path_flush(&b->path, b->now);
}

static int read_inside(struct path_bed *b)
{
	int r;

	do {
		r = bed_from_inside(b);
	} while (r == 0);
	return r;
}

static void to_tcp__socket_full__waits_for_the_edge(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *peer = bed_join(b, true);
	struct bed_conn *c = bed_conn_of(b, peer);

	(void)state;
	c->send_room = 1000;
	bed_inside_all(b, peer, 1300, "abc");
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_int_equal(peer->wants, 1);
	assert_true(peer->t->stream.used > 2900);
	assert_int_equal(c->send_calls, 2); /* and is not asked again without an edge */
	lw_path_flush(&b->path, b->now);
	assert_int_equal(c->send_calls, 2);
	c->send_room = UINT64_MAX;
	edge(b, peer);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "abc");
	bed_destroy(b);
}

static void fill(struct path_bed *b, const struct bed_peer *peer, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		bed_inside(b, peer, 1300, 'x');
}

/* A socket that has taken nothing for longer than a burst may wait. */
static void stick(struct path_bed *b, const struct bed_peer *peer)
{
	bed_conn_of(b, peer)->send_room = 0;
	bed_inside(b, peer, 1300, 'x');
	assert_int_equal(read_inside(b), -EAGAIN);
	b->now += LW_STREAM_WAIT_US;
}

/* More than a queue may hold, for a socket that is full for a moment only. */
static void to_tcp__burst__nothing_lost(void **state)
{
	(void)state;
	for (int client = 0; client < 2; client++) {
		struct path_bed *b = bed_create(client ? LW_ROLE_CLIENT : LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer = bed_join(b, true);

		bed_conn_of(b, peer)->send_room = 0;
		for (int i = 0; i < 3; i++) {
			fill(b, peer, 100);
			assert_int_equal(read_inside(b), -EAGAIN);
			b->now += LW_STREAM_WAIT_US / 4;
		}
		assert_true(peer->t->stream.used > LW_STREAM_MAX);
		bed_conn_of(b, peer)->send_room = UINT64_MAX;
		edge(b, peer);
		bed_deliver(b);
		assert_int_equal(peer->got.n, 300);
		assert_int_equal(b->path.sessions.n[LW_CTR_STREAM_FULL], 0);
		bed_destroy(b);
	}
}

/* The inside serves others, and who waits there waits longer than in the stream. */
static void to_tcp__stream_full__drops_counts_and_serves_others(void **state)
{
	(void)state;
	for (int client = 0; client < 2; client++) {
		struct path_bed *b = bed_create(client ? LW_ROLE_CLIENT : LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *stuck = bed_join(b, true);
		struct bed_peer *other = bed_join(b, true);
		uint64_t kept;

		stick(b, stuck);
		fill(b, stuck, 299);
		assert_int_equal(read_inside(b), -EAGAIN); /* never -EBUSY */
		assert_false(lw_path_paused(&b->path));
		assert_true(stuck->t->stream.used <= LW_STREAM_MAX - LW_STREAM_CONTROL);
		kept = stuck->t->tx_packets;
		assert_int_equal(b->path.sessions.n[LW_CTR_STREAM_FULL], 300 - kept);
		assert_in_range(kept, 170, 176);
		stuck->listed = false; /* a client has one tunnel: now it is the other */
		bed_inside(b, other, 1300, 'a');
		assert_int_equal(read_inside(b), -EAGAIN);
		stuck->listed = true;
		bed_conn_of(b, stuck)->send_room = UINT64_MAX;
		edge(b, stuck);
		bed_deliver(b);
		bed_assert_marks(&other->got, "a");
		assert_int_equal(stuck->got.n, kept);
		bed_destroy(b);
	}
}

/* What does not go need not be tried with every packet. */
static void to_tcp__stream_full__socket_is_asked_twice_a_round(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *peer = bed_join(b, true);
	struct bed_conn *c = bed_conn_of(b, peer);
	uint32_t before;

	(void)state;
	stick(b, peer);
	fill(b, peer, 200);
	assert_int_equal(read_inside(b), -EAGAIN);
	before = c->send_calls;
	fill(b, peer, 60); /* fewer than a batch */
	assert_int_equal(read_inside(b), -EAGAIN);
	assert_in_range(c->send_calls, before, before + 2);
	bed_destroy(b);
}

struct end_case {
	const char *name;
	int recv_end;
	int send_error;
	const char *log;
};

static const struct end_case ends[] = {
	{ "orderly end", 0, 0, "closed1 A-1 tcp-close1 gone1 " },
	{ "reset while reading", -ECONNRESET, 0, "closed1 A-1 tcp-close1 gone1 " },
	{ "reset while writing", -EAGAIN, -EPIPE, "closed1 A-1 tcp-close1 gone1 " },
	{ "both", -ECONNRESET, -ECONNRESET, "closed1 A-1 tcp-close1 gone1 " },
};

static void connection_ends__each_way__tunnel_and_tag_close_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(ends) / sizeof(ends[0]); i++) {
		const struct end_case *c = &ends[i / 2];
		struct path_bed *b = bed_create(i % 2 ? LW_ROLE_CLIENT : LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer;
		struct bed_conn *conn;

		print_message("  %s\n", c->name);
		(void)bed_add_filter(b);
		peer = bed_join(b, true);
		conn = bed_conn_of(b, peer);
		bed_remote(b, peer, 100, 'a'); /* what came before the end is delivered */
		assert_int_equal(bed_tcp(b, peer), 0);
		conn->recv_end = c->recv_end;
		conn->send_error = c->send_error;
		if (c->send_error != 0) {
			bed_inside(b, peer, 100, 'b');
			assert_int_equal(bed_from_inside(b), -EAGAIN);
		}
		if (peer->t != NULL)
			assert_int_equal(bed_tcp(b, peer), -EAGAIN);
		bed_assert_marks(&b->inside_out, "a");
		assert_null(peer->t);
		assert_int_equal(conn->closed, 1);
		assert_string_equal(b->log, c->log);
		assert_int_equal(b->path.sessions.n[LW_CTR_CLOSED_LOST], 1);
		assert_int_equal(b->path.chunks.n_free, CHUNKS);
		bed_destroy(b);
	}
}

/* The peer's Goodbye, or nonsense, in a chunk with packets before it. */
static void from_tcp__tunnel_closes_within_a_chunk__rest_is_left(void **state)
{
	static const uint8_t goodbye[] = { 12 };
	static const uint8_t nonsense[] = { 99, 0, 0, 0 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer = bed_join(b, true);

		bed_remote(b, peer, 100, 'a');
		bed_remote_frames(b, peer, i == 0 ? goodbye : nonsense, i == 0 ? 1 : 4);
		bed_remote(b, peer, 100, 'b');
		assert_int_equal(bed_tcp(b, peer), -EAGAIN);
		assert_null(peer->t);
		assert_int_equal(bed_conn_of(b, peer)->recv_calls, 1);
		bed_assert_marks(&b->inside_out, "a");
		assert_string_equal(b->log, "closed1 tcp-close1 gone1 ");
		assert_int_equal(
			b->path.sessions.n[i == 0 ? LW_CTR_CLOSED_BY_PEER : LW_CTR_CLOSED_PROTOCOL],
			1);
		bed_destroy(b);
	}
}

static void from_tcp__one_never_stops__gives_the_turn_away(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *peer = bed_join(b, true);
	struct bed_conn *c = bed_conn_of(b, peer);
	uint32_t before;

	(void)state;
	for (uint32_t i = 0; i < 1200; i++) /* 1.6 MB */
		bed_remote(b, peer, 1300, 'a');
	before = c->in.n;
	assert_int_equal(bed_tcp(b, peer), 0); /* more waits */
	assert_true(c->in.n > before / 3);
	assert_in_range(b->inside_out.n, 300, 700); /* 512 KiB and not much more */
	while (bed_tcp(b, peer) == 0)
		;
	assert_int_equal(b->inside_out.n, 1200);
	bed_destroy(b);
}

/* A module that says it moved more bytes than there were costs its connection, not the daemon. */
static void tcp_module__takes_more_than_there_is__ends_that_connection(void **state)
{
	(void)state;
	for (int sending = 0; sending < 2; sending++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
		struct bed_peer *peer = bed_join(b, true);
		struct bed_peer *other = bed_join(b, true);

		if (sending) {
			bed_conn_of(b, peer)->send_lie = 1000000;
			bed_inside(b, peer, 100, 'a');
			assert_int_equal(bed_from_inside(b), -EAGAIN);
		} else {
			bed_conn_of(b, peer)->recv_lie = LW_TCP_RX_BYTES + 1;
			bed_remote(b, peer, 100, 'a');
			assert_int_equal(bed_tcp(b, peer), -EAGAIN);
		}
		assert_null(peer->t);
		assert_string_equal(b->log, "closed1 tcp-close1 gone1 ");
		assert_int_equal(b->path.chunks.n_free, CHUNKS);
		bed_remote(b, other, 100, 'b');
		assert_int_equal(bed_tcp(b, other), 0);
		bed_assert_marks(&b->inside_out, "b");
		bed_destroy(b);
	}
}

/* The pool is dry long before the stream is full: its socket must give chunks back first. */
static void to_tcp__pool_dry__socket_gives_back_and_nothing_is_lost(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_CLIENT, 4);
	struct bed_peer *peer = bed_join(b, true);

	(void)state;
	fill(b, peer, 80);
	assert_int_equal(read_inside(b), -EAGAIN);
	bed_deliver(b);
	assert_int_equal(peer->got.n, 80);
	assert_int_equal(b->path.sessions.n[LW_CTR_STREAM_FULL], 0);
	bed_destroy(b);
}

/* Others hold all chunks and no edge of this one's will come: its packets are lost, as on a
 * network.
 */
static void to_tcp__pool_held_by_another__drops_and_goes_on(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_CLIENT, 4);
	struct bed_peer *stuck = bed_join(b, true);
	struct bed_peer *other = bed_join(b, true);
	uint64_t lost;

	(void)state;
	bed_conn_of(b, stuck)->send_room = 0;
	fill(b, stuck, 64);
	assert_int_equal(read_inside(b), -EAGAIN);
	lost = b->path.sessions.n[LW_CTR_STREAM_FULL];
	assert_in_range(lost, 1, 63);
	stuck->listed = false;
	fill(b, other, 3);
	assert_int_equal(read_inside(b), -EAGAIN);
	assert_int_equal(b->path.sessions.n[LW_CTR_STREAM_FULL], lost + 3);
	assert_false(lw_path_paused(&b->path));
	stuck->listed = true;
	bed_destroy(b);
}

/* A tunnel that dies while its stream is full takes nobody with it. */
static void to_tcp__connection_dies_while_full__inside_is_read_on(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct path_bed *b = bed_create(LW_ROLE_CLIENT, CHUNKS);
		struct bed_peer *peer = bed_join(b, true);
		struct bed_peer *next = bed_join(b, false);

		stick(b, peer);
		fill(b, peer, 250);
		if (how == 0) /* in the third batch, when the stream is full: two ended before */
			bed_conn_of(b, peer)->dies_at = 3;
		assert_int_equal(read_inside(b), -EAGAIN);
		if (how == 1) /* as the keepalive does */
			lw_path_close(&b->path, peer->t, b->now);
		if (how == 2)
			lw_path_drop(&b->path, peer->t);
		lw_path_flush(&b->path, b->now);
		assert_null(peer->t);
		bed_inside(b, next, 100, 'a');
		assert_int_equal(read_inside(b), -EAGAIN);
		assert_int_equal(b->inside_in.n, 0);
		bed_deliver(b);
		assert_true(next->got.n > 0);
		bed_destroy(b);
	}
}

/* A moment without memory in the kernel is no reason to end sessions. */
static void to_tcp__no_buffers__tries_again_in_a_millisecond(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *peer = bed_join(b, true);
	struct bed_peer *dies = bed_join(b, true);
	struct bed_conn *c = bed_conn_of(b, peer);

	(void)state;
	c->send_error = -ENOBUFS;
	bed_conn_of(b, dies)->send_error = -ENOBUFS;
	bed_inside(b, peer, 100, 'a');
	bed_inside(b, dies, 100, 'x');
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_string_equal(b->log, "");
	assert_int_equal(peer->wants, 0); /* it is writable, so an edge would come at once */
	assert_int_equal(lw_path_deadline(&b->path), b->now + LW_SEND_RETRY_US);
	bed_inside(b, peer, 100, 'b');
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_int_equal(c->send_calls, 1);
	lw_path_drop(&b->path, dies->t); /* while it waits */
	lw_path_flush(&b->path, b->now);
	assert_null(dies->t);
	b->now = lw_path_deadline(&b->path);
	lw_path_flush(&b->path, b->now);
	assert_int_equal(c->send_calls, 2);
	assert_int_equal(lw_path_deadline(&b->path), b->now + LW_SEND_RETRY_US);
	c->send_error = 0;
	b->now = lw_path_deadline(&b->path);
	lw_path_flush(&b->path, b->now);
	assert_true(lw_path_deadline(&b->path) == UINT64_MAX);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "ab");
	bed_destroy(b);
}

/* Peers that do not read hold the pool; who reads, or logs in, must not notice. */
static void to_tcp__pool_held_by_peers_that_do_not_read__others_go_on(void **state)
{
	static const uint8_t ping[] = { 2, 0, 9, 0, 0 };
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 32);
	struct bed_peer *stuck[3];
	struct bed_peer *other;
	struct bed_peer *login;

	(void)state;
	for (int i = 0; i < 3; i++) {
		stuck[i] = bed_join(b, true);
		bed_conn_of(b, stuck[i])->send_room = 0;
	}
	other = bed_join(b, true);
	login = bed_join_pending(b, true);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 3; i++)
			fill(b, stuck[i], 60);
		assert_int_equal(read_inside(b), -EAGAIN);
	}
	assert_true(b->path.chunks.n_free <= 32 / 8);
	for (int i = 0; i < 3; i++) /* pings of one that does not read are answered to nobody */
		bed_remote_frames(b, stuck[i], ping, sizeof(ping));
	for (int i = 0; i < 3; i++)
		assert_int_equal(bed_tcp(b, stuck[i]), 0);
	assert_true(b->path.chunks.n_free > 0);

	bed_answer(b, login, LW_AUTH_YES);
	bed_inside(b, other, 1300, 'a');
	bed_inside(b, login, 1300, 'b');
	assert_int_equal(read_inside(b), -EAGAIN);
	bed_deliver(b);
	bed_assert_marks(&other->got, "a");
	bed_assert_marks(&login->got, "b");
	assert_int_equal(login->remote->state, LW_TUNNEL_ONLINE);
	for (int i = 0; i < 3; i++)
		assert_non_null(stuck[i]->t);
	bed_destroy(b);
}

/* One chunk of tiny packets is more than the inside batch holds: it is emptied in between. */
static void from_tcp__more_packets_than_the_batch_holds__all_arrive(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *peer = bed_join(b, true);

	(void)state;
	for (uint32_t i = 0; i < 4000; i++)
		bed_remote(b, peer, 29, 'a');
	assert_int_equal(bed_tcp(b, peer), -EAGAIN);
	assert_int_equal(bed_conn_of(b, peer)->recv_calls, 2); /* the second finds nothing */
	assert_int_equal(b->inside_out.n, 4000);
	assert_int_equal(b->path.sessions.n[LW_CTR_SINK_FULL], 0);
	bed_destroy(b);
}

/* The inside does not wait for a stream, not even when its packet comes to stand first. */
static void to_tcp__stream_full_packet_comes_first__nobody_waits(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 0 }, { 0 } };
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *stuck = bed_join(b, true);
	struct bed_peer *udp = bed_join(b, false);
	struct bed_peer *other = bed_join(b, true);

	(void)state;
	stick(b, stuck);
	fill(b, stuck, 200);
	assert_int_equal(read_inside(b), -EAGAIN);
	bed_udp_port(b)->wire->cap = 3;
	bed_script_set(&b->udp_script, full);
	fill(b, udp, 4);
	fill(b, stuck, 1);
	fill(b, other, 1);
	assert_int_equal(read_inside(b), -EBUSY); /* for the datagrams' socket */
	lw_path_drop(&b->path, udp->t);
	b->now += LW_SEND_WAIT_US;
	lw_path_flush(&b->path, b->now);
	assert_false(lw_path_paused(&b->path));
	assert_int_equal(read_inside(b), -EAGAIN);
	bed_deliver(b);
	bed_assert_marks(&other->got, "x");
	bed_destroy(b);
}

/* Making room for a stream finds out that the datagrams' socket is full: that is no reason either.
 */
static void to_tcp__stream_full_datagrams_blocked__only_they_wait(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 0 }, { 0 } };
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *stuck = bed_join(b, true);
	struct bed_peer *udp = bed_join(b, false);
	struct bed_peer *other = bed_join(b, true);

	(void)state;
	stick(b, stuck);
	fill(b, stuck, 200);
	assert_int_equal(read_inside(b), -EAGAIN);
	bed_script_set(&b->udp_script, full);
	bed_inside(b, udp, 100, 'u');
	fill(b, stuck, 1);
	bed_inside(b, other, 100, 'a');
	assert_int_equal(bed_from_inside(b), -EAGAIN); /* the round ends */
	assert_true(lw_path_paused(&b->path));
	bed_deliver(b);
	bed_assert_marks(&other->got, "a");
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_tcp__chunks_of_all_sizes__same_packets),
		cmocka_unit_test(from_tcp__connect_under_way__is_asked_again_later),
		cmocka_unit_test(to_tcp__short_writes__arrive_whole_and_in_order),
		cmocka_unit_test(to_tcp__socket_full__waits_for_the_edge),
		cmocka_unit_test(to_tcp__burst__nothing_lost),
		cmocka_unit_test(to_tcp__stream_full__drops_counts_and_serves_others),
		cmocka_unit_test(to_tcp__stream_full__socket_is_asked_twice_a_round),
		cmocka_unit_test(connection_ends__each_way__tunnel_and_tag_close_once),
		cmocka_unit_test(from_tcp__tunnel_closes_within_a_chunk__rest_is_left),
		cmocka_unit_test(from_tcp__one_never_stops__gives_the_turn_away),
		cmocka_unit_test(tcp_module__takes_more_than_there_is__ends_that_connection),
		cmocka_unit_test(to_tcp__pool_dry__socket_gives_back_and_nothing_is_lost),
		cmocka_unit_test(to_tcp__pool_held_by_another__drops_and_goes_on),
		cmocka_unit_test(to_tcp__connection_dies_while_full__inside_is_read_on),
		cmocka_unit_test(to_tcp__no_buffers__tries_again_in_a_millisecond),
		cmocka_unit_test(to_tcp__pool_held_by_peers_that_do_not_read__others_go_on),
		cmocka_unit_test(from_tcp__more_packets_than_the_batch_holds__all_arrive),
		cmocka_unit_test(to_tcp__stream_full_packet_comes_first__nobody_waits),
		cmocka_unit_test(to_tcp__stream_full_datagrams_blocked__only_they_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

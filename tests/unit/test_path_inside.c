/* SPDX-License-Identifier: MIT */
/* Inside -> outside over datagrams: which packets go where, and what waits when a socket is full.
 */
#include <errno.h>

#include "unit/path_bed.h"
#include "unit/test.h"

static void from_inside__server__goes_to_its_owner_rewritten(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peers[3];

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		peers[i] = bed_join(b, i == 2);
	for (uint32_t i = 0; i < 3; i++) {
		bed_inside(b, peers[i], 100 + i, (uint8_t)('a' + i));
		bed_inside(b, peers[i], 1350, (uint8_t)('A' + i));
	}
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	bed_deliver(b);
	for (uint32_t i = 0; i < 3; i++) {
		struct bed_item *item = peers[i]->got.head;

		assert_int_equal(peers[i]->got.n, 2);
		assert_int_equal(item->len, 100 + i);
		assert_true(bed_packet_ok(item));
		assert_int_equal(bed_packet_src(item), BED_HOST);
		assert_int_equal(bed_packet_dst(item), BED_TOLD);
		bed_assert_marks(&peers[i]->got,
		                 (const char[]){ (char)('a' + i), (char)('A' + i), '\0' });
	}
	assert_int_equal(b->path.counters.inside_rx, 6);
	assert_int_equal(b->path.counters.inside_rx_bytes, 303 + 3 * 1350);
	bed_destroy(b);
}

static void from_inside__client__leaves_under_the_told_address(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct path_bed *b = bed_create(LW_ROLE_CLIENT, 32);
		struct bed_peer *peer = bed_join(b, stream == 1);
		struct bed_item *item;

		bed_inside(b, peer, 200, 'a');
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		bed_deliver(b);
		item = peer->got.head;
		assert_non_null(item);
		assert_true(bed_packet_ok(item));
		assert_int_equal(bed_packet_src(item), BED_TOLD);
		assert_int_equal(bed_packet_dst(item), BED_HOST);
		bed_assert_marks(&peer->got, "a");
		bed_destroy(b);
	}
}

struct refused_case {
	const char *name;
	uint32_t len;
	uint8_t version;
	enum { ONLINE, CONNECTING, NOBODY } to;
	uint64_t invalid;
	uint64_t no_session;
};

static const struct refused_case refused[] = {
	{ "as large as allowed", BED_MTU, 0x45, ONLINE, 0, 0 },
	{ "too long", BED_MTU + 1, 0x45, ONLINE, 1, 0 },
	{ "IPv6", 100, 0x60, ONLINE, 1, 0 },
	{ "cut header", 19, 0x45, ONLINE, 1, 0 },
	{ "header only", 20, 0x45, ONLINE, 0, 0 },
	{ "no such address", 100, 0x45, NOBODY, 0, 1 },
	{ "session not online", 100, 0x45, CONNECTING, 0, 1 },
};

static void from_inside__each_refused__counted_and_the_others_go(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);
	struct bed_peer *connecting = bed_join_pending(b, false);

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const struct refused_case *c = &refused[i];
		const struct bed_peer *to = c->to == CONNECTING ? connecting : peer;
		uint8_t buf[2048];

		print_message("  %s\n", c->name);
		b->path.counters = (struct lw_path_counters){ 0 };
		bed_packet(buf, 1400, BED_HOST, c->to == NOBODY ? BED_HOST : to->address, 'x');
		buf[0] = c->version;
		bed_inside(b, peer, 100, 'a');
		(void)bed_push(&b->inside_in, buf, c->len);
		bed_inside(b, peer, 100, 'b');
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		bed_deliver(b);
		assert_int_equal(b->path.counters.inside_invalid, c->invalid);
		assert_int_equal(b->path.counters.inside_no_session, c->no_session);
		assert_int_equal(b->path.counters.inside_rx, 3);
		assert_int_equal(peer->got.n, 3 - c->invalid - c->no_session);
		assert_int_equal(connecting->got.n, 0);
		bed_clear(&peer->got);
	}
	bed_destroy(b);
}

static void from_inside__module_answers__say_whether_more_waits(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	b->inside_burst = 2;
	bed_inside_all(b, peer, 100, "abcd");
	assert_int_equal(bed_from_inside(b), 0);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "ab");
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "cd");
	/* what came before the device died is not lost */
	bed_inside(b, peer, 100, 'e');
	b->inside_end = -ENODEV;
	assert_int_equal(bed_from_inside(b), -ENODEV);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "e");
	bed_destroy(b);
}

/* More than a wire batch holds: the path sends in between and goes on. */
static void from_inside__wire_full_in_the_middle__loses_nothing(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);
	struct lw_batch *wire = bed_udp_port(b)->wire;
	char marks[65] = { 0 };

	(void)state;
	wire->cap = 10;
	for (uint32_t i = 0; i < 64; i++) {
		marks[i] = (char)('0' + i);
		bed_inside(b, peer, 1350, (uint8_t)marks[i]);
	}
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_int_equal(b->udp_out.n, 64);
	assert_true(b->udp_script.calls > 6);
	bed_deliver(b);
	bed_assert_marks(&peer->got, marks);
	assert_int_equal(wire->n, 0);
	bed_destroy(b);
}

static void from_inside__socket_full__packet_waits_and_goes_first(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 3 }, { 0 } };
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);
	uint64_t recvs;

	(void)state;
	bed_udp_port(b)->wire->cap = 6;
	bed_script_set(&b->udp_script, full);
	bed_inside_all(b, peer, 500, "abcdefghij");
	assert_int_equal(bed_from_inside(b), -EBUSY);
	assert_true(lw_path_paused(&b->path));
	assert_true(peer->wants > 0);
	assert_int_equal(lw_path_deadline(&b->path), b->now + LW_SEND_WAIT_US);
	recvs = b->inside_recvs;
	bed_inside(b, peer, 500, 'k');
	assert_int_equal(bed_from_inside(b), -EBUSY); /* and is not read meanwhile */
	assert_int_equal(b->inside_recvs, recvs);
	lw_sender_unblock(&bed_udp_port(b)->sender, peer->tag);
	lw_path_flush(&b->path, b->now);
	assert_false(lw_path_paused(&b->path));
	assert_true(lw_path_deadline(&b->path) == UINT64_MAX);
	assert_int_equal(bed_from_inside(b), 0); /* the rest of that batch */
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "abcdefghijk");
	bed_destroy(b);
}

static void from_inside__socket_stays_full__drops_after_20_ms_and_goes_on(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 1 }, { 0 } };
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_udp_port(b)->wire->cap = 4;
	bed_script_set(&b->udp_script, full);
	bed_inside_all(b, peer, 500, "abcdefg");
	assert_int_equal(bed_from_inside(b), -EBUSY);
	b->now = lw_path_deadline(&b->path);
	lw_path_flush(&b->path, b->now);
	assert_false(lw_path_paused(&b->path));
	assert_int_equal(bed_from_inside(b), 0);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "adefg"); /* b and c waited in the wire batch, d outside */
	assert_int_equal(bed_udp_port(b)->sender.dropped, 2);
	bed_destroy(b);
}

static void from_inside__no_buffers__tries_again_without_an_edge(void **state)
{
	static const struct bed_step busy[] = { { -ENOBUFS, 1 }, { 0 } };
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_script_set(&b->udp_script, busy);
	bed_inside(b, peer, 500, 'a');
	bed_inside(b, peer, 500, 'b');
	(void)bed_from_inside(b);
	assert_int_equal(peer->wants, 0);
	assert_int_equal(lw_path_deadline(&b->path), b->now + LW_SEND_RETRY_US);
	b->now = lw_path_deadline(&b->path);
	lw_path_flush(&b->path, b->now);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "ab");
	bed_destroy(b);
}

static void from_inside__too_large_for_the_path__that_one_is_lost(void **state)
{
	static const struct bed_step large[] = { { -EMSGSIZE, 1 }, { 0 } };
	struct path_bed *b = bed_create(LW_ROLE_CLIENT, 16);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_script_set(&b->udp_script, large);
	bed_inside_all(b, peer, 500, "abcd");
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "acd");
	assert_int_equal(bed_udp_port(b)->sender.dropped, 1);
	bed_destroy(b);
}

/* An answer: source and destination change places, which no checksum minds. */
static void turn_around(struct lw_packet *p)
{
	uint8_t *ip = lw_packet_data(p);
	uint8_t src[4];

	if (ip[p->len - 1] != 'r')
		return;
	memcpy(src, ip + 12, 4);
	memcpy(ip + 12, ip + 16, 4);
	memcpy(ip + 16, src, 4);
	p->verdict = LW_VERDICT_REPLY;
}

/* Filters see the addresses of the tunnel; the system must get its own back. */
static void from_inside__filter_answers__inside_gets_it_rewritten(void **state)
{
	(void)state;
	for (uint32_t role = LW_ROLE_SERVER; role <= LW_ROLE_CLIENT; role++) {
		struct path_bed *b = bed_create(role, 16);
		struct bed_peer *peer;
		struct bed_item *item;

		bed_add_filter(b)->ingress = turn_around;
		peer = bed_join(b, false);
		bed_inside(b, peer, 100, 'a');
		bed_inside(b, peer, 100, 'r');
		bed_inside(b, peer, 100, 'b');
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		item = b->inside_out.head;
		assert_non_null(item);
		assert_true(bed_packet_ok(item));
		if (role == LW_ROLE_SERVER) {
			assert_int_equal(bed_packet_src(item), peer->address);
			assert_int_equal(bed_packet_dst(item), BED_HOST);
		} else {
			assert_int_equal(bed_packet_src(item), BED_HOST);
			assert_int_equal(bed_packet_dst(item), BED_TUN);
		}
		bed_assert_marks(&b->inside_out, "r");
		assert_int_equal(b->path.counters.inside_tx, 1);
		bed_inside(b, peer, 100, 'c'); /* and that only once */
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		assert_int_equal(b->inside_out.n, 0);
		bed_deliver(b);
		bed_assert_marks(&peer->got, "abc");
		bed_destroy(b);
	}
}

static void no_headroom(struct lw_packet *p)
{
	if (lw_packet_data(p)[p->len - 1] == 'x') {
		memmove(p->buf + 2, lw_packet_data(p), p->len);
		p->off = 2;
	}
}

static void past_its_end(struct lw_packet *p)
{
	if (lw_packet_data(p)[p->len - 1] == 'x')
		p->len = p->cap - p->off + 1;
}

/* A frame's header is written in front of the packet, where another one's memory may be. */
static void from_inside__module_breaks_bounds__packet_is_invalid(void **state)
{
	static void (*const acts[])(struct lw_packet *) = { no_headroom, past_its_end };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
		struct bed_peer *peer = bed_join(b, false);

		b->inside_act = acts[i];
		bed_inside(b, peer, 100, 'x');
		bed_inside(b, peer, 100, 'a');
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		bed_deliver(b);
		bed_assert_marks(&peer->got, "a");
		assert_int_equal(b->path.counters.inside_invalid, 1);
		bed_destroy(b);
	}
}

/* interfaces.md, "Back-pressure": a full socket stops the reading at once, not when memory ends. */
static void from_inside__socket_full__nothing_is_read(void **state)
{
	static const struct bed_step full[] = { { -EAGAIN, 1 }, { 0 } };
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 16);
	struct bed_peer *peer = bed_join(b, false);

	(void)state;
	bed_script_set(&b->udp_script, full);
	bed_inside(b, peer, 500, 'a');
	bed_inside(b, peer, 500, 'b');
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_true(lw_path_paused(&b->path));
	bed_inside(b, peer, 500, 'c');
	assert_int_equal(bed_from_inside(b), -EBUSY);
	assert_int_equal(b->inside_recvs, 1);
	lw_sender_unblock(&bed_udp_port(b)->sender, peer->tag);
	lw_path_flush(&b->path, b->now);
	assert_false(lw_path_paused(&b->path));
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "abc");
	bed_destroy(b);
}

/* As a device with checksum offload gives it: the field holds the sum of the pseudo header. */
static void make_partial(struct lw_packet *p)
{
	uint8_t *ip = lw_packet_data(p);
	uint32_t sum = 17 + (p->len - 20);

	for (int i = 12; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	ip[26] = (uint8_t)(sum >> 8);
	ip[27] = (uint8_t)sum;
	p->flags = LW_PKT_CSUM_PARTIAL;
	p->csum_start = 20;
	p->csum_off = 6;
}

static void from_inside__partial_checksum__is_whole_at_the_peer(void **state)
{
	(void)state;
	for (uint32_t role = LW_ROLE_SERVER; role <= LW_ROLE_CLIENT; role++) {
		struct path_bed *b = bed_create(role, 16);
		struct bed_peer *peer = bed_join(b, false);

		b->inside_act = make_partial;
		bed_inside(b, peer, 301, 'a');
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		bed_deliver(b);
		assert_non_null(peer->got.head);
		assert_true(bed_packet_ok(peer->got.head));
		bed_assert_marks(&peer->got, "a");
		bed_destroy(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_inside__server__goes_to_its_owner_rewritten),
		cmocka_unit_test(from_inside__client__leaves_under_the_told_address),
		cmocka_unit_test(from_inside__each_refused__counted_and_the_others_go),
		cmocka_unit_test(from_inside__module_answers__say_whether_more_waits),
		cmocka_unit_test(from_inside__wire_full_in_the_middle__loses_nothing),
		cmocka_unit_test(from_inside__socket_full__packet_waits_and_goes_first),
		cmocka_unit_test(from_inside__socket_stays_full__drops_after_20_ms_and_goes_on),
		cmocka_unit_test(from_inside__no_buffers__tries_again_without_an_edge),
		cmocka_unit_test(from_inside__too_large_for_the_path__that_one_is_lost),
		cmocka_unit_test(from_inside__filter_answers__inside_gets_it_rewritten),
		cmocka_unit_test(from_inside__module_breaks_bounds__packet_is_invalid),
		cmocka_unit_test(from_inside__socket_full__nothing_is_read),
		cmocka_unit_test(from_inside__partial_checksum__is_whole_at_the_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

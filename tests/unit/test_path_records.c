/* SPDX-License-Identifier: MIT */
/* What becomes one TLS record on its way from the inside: whose frames, and what parts them. */
#include <errno.h>

#include "unit/path_bed.h"
#include "unit/test.h"

#define CHUNKS  64
#define SIZE    200u
#define HEADER  5u /* of a TLS record */
#define BYTES   (1u << 18)
#define PER_ONE 12u /* frames of 1303 bytes in a record */

/* records among what a connection has sent */
static uint32_t records(const struct bed_conn *c)
{
	static uint8_t flat[BYTES];
	uint32_t len = 0;
	uint32_t n = 0;

	for (const struct bed_item *item = c->out.head; item != NULL; item = item->next) {
		assert_true(len + item->len <= sizeof(flat));
		memcpy(flat + len, item->data, item->len);
		len += item->len;
	}
	for (uint32_t at = 0; at < len; n++) {
		assert_true(at + HEADER <= len);
		at += HEADER + ((uint32_t)flat[at + 3] << 8 | flat[at + 4]);
		assert_true(at <= len);
	}
	return n;
}

static void one_round__of_one_tunnel__one_record_one_send(void **state)
{
	static const uint32_t roles[] = { LW_ROLE_SERVER, LW_ROLE_CLIENT };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct path_bed *b = bed_create(roles[i], CHUNKS);
		struct bed_peer *peer = bed_join(b, true);
		struct bed_conn *c = bed_conn_of(b, peer);

		bed_inside_all(b, peer, SIZE, "abcdefgh");
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		assert_int_equal(records(c), 1);
		assert_int_equal(c->send_calls, 1);
		bed_deliver(b);
		bed_assert_marks(&peer->got, "abcdefgh");
		bed_destroy(b);
	}
}

static void one_round__more_than_a_record__one_send(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *peer = bed_join(b, true);
	struct bed_conn *c = bed_conn_of(b, peer);

	(void)state;
	for (uint32_t i = 0; i < 4 * PER_ONE + 1; i++)
		bed_inside(b, peer, 1300, 'x');
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_int_equal(records(c), 5);
	assert_int_equal(c->send_calls, 1);
	bed_deliver(b);
	assert_int_equal(peer->got.n, 4 * PER_ONE + 1);
	bed_destroy(b);
}

/* Packets of several peers in turn: each gets its own and nothing of another's. */
static void one_round__peers_in_turn__no_record_is_shared(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_peer *one = bed_join(b, true);
	struct bed_peer *two = bed_join(b, true);
	struct bed_peer *udp = bed_join(b, false);

	(void)state;
	bed_inside_all(b, one, SIZE, "ab");
	bed_inside_all(b, two, SIZE, "cd");
	bed_inside_all(b, udp, SIZE, "e");
	bed_inside_all(b, one, SIZE, "f");
	bed_inside_all(b, two, SIZE, "g");
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_int_equal(records(bed_conn_of(b, one)), 2);
	assert_int_equal(records(bed_conn_of(b, two)), 2);
	bed_deliver(b);
	bed_assert_marks(&one->got, "abf");
	bed_assert_marks(&two->got, "cdg");
	bed_assert_marks(&udp->got, "e");
	bed_destroy(b);
}

static void break_third(struct lw_packet *p)
{
	if (lw_packet_data(p)[p->len - 1] == 'c') { /* a superpacket of no kind */
		p->gso_size = 100;
		p->gso_type = LW_GSO_NONE;
	}
}

static void one_round__invalid_packet_amid__the_others_go(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_CLIENT, CHUNKS);
	struct bed_peer *peer = bed_join(b, true);

	(void)state;
	b->inside_act = break_third;
	bed_inside_all(b, peer, SIZE, "abcd");
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_int_equal(b->path.counters.inside_invalid, 1);
	assert_int_equal(records(bed_conn_of(b, peer)), 1);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "abd");
	bed_destroy(b);
}

/* The connection breaks in the middle of a round, with frames of it gathered. */
static void one_round__connection_dies_amid__the_next_peer_gets_none_of_it(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, 4);
	struct bed_peer *dies = bed_join(b, true);
	struct bed_peer *other = bed_join(b, true);

	(void)state;
	bed_conn_of(b, dies)->dies_at = 1;
	for (uint32_t i = 0; i < 60; i++) /* more than 4 chunks hold: written amid the round */
		bed_inside(b, dies, 1300, 'x');
	bed_inside_all(b, other, SIZE, "ab");
	assert_int_equal(bed_from_inside(b), -EAGAIN);
	assert_null(dies->t);
	assert_int_equal(records(bed_conn_of(b, other)), 1);
	bed_deliver(b);
	bed_assert_marks(&other->got, "ab");
	bed_destroy(b);
}

static void answer(struct lw_packet *p)
{
	p->verdict = LW_VERDICT_REPLY;
}

/* A filter's answers to what came in are sent at once. */
static void filter__answers_a_stream__each_is_sent(void **state)
{
	struct path_bed *b = bed_create(LW_ROLE_SERVER, CHUNKS);
	struct bed_filter *f = bed_add_filter(b);
	struct bed_peer *peer = bed_join(b, true);

	(void)state;
	f->egress = answer;
	bed_remote_all(b, peer, SIZE, "abc");
	(void)bed_tcp(b, peer);
	assert_int_equal(b->inside_out.n, 0);
	bed_deliver(b);
	bed_assert_marks(&peer->got, "abc");
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_round__of_one_tunnel__one_record_one_send),
		cmocka_unit_test(one_round__more_than_a_record__one_send),
		cmocka_unit_test(one_round__peers_in_turn__no_record_is_shared),
		cmocka_unit_test(one_round__invalid_packet_amid__the_others_go),
		cmocka_unit_test(one_round__connection_dies_amid__the_next_peer_gets_none_of_it),
		cmocka_unit_test(filter__answers_a_stream__each_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

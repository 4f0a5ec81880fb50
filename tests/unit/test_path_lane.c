/* SPDX-License-Identifier: MIT */
/* Expresslane from the inside to the outside and back, superpackets and runs at the ends. */
#include <errno.h>

#include "path/path_priv.h"
#include "unit/path_bed.h"
#include "unit/test.h"

#define HEADERS 40u
#define MSS     1000u
#define SEGS    40u
#define CAPS    ((uint64_t)(LW_CAP_GSO | LW_CAP_GRO | LW_CAP_SEND_TSO))

static void make_super(struct lw_packet *p)
{
	uint8_t *ip = lw_packet_data(p);
	uint32_t sum = 6 + (p->len - 20);

	for (int i = 12; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	ip[36] = (uint8_t)(sum >> 8);
	ip[37] = (uint8_t)sum;
	p->flags = LW_PKT_CSUM_PARTIAL;
	p->csum_start = 20;
	p->csum_off = 16;
	p->gso_type = LW_GSO_TCP4;
	p->gso_size = MSS;
}

static void push_super(struct path_bed *b, const struct bed_peer *to)
{
	static uint8_t buf[HEADERS + SEGS * MSS];
	bool server = b->path.role_kind == LW_ROLE_SERVER;

	bed_tcp_packet(buf, sizeof(buf), server ? BED_HOST : BED_TUN,
	               server ? to->address : BED_HOST, 1, 'x');
	for (uint32_t i = 0; i < SEGS; i++)
		memset(buf + HEADERS + (size_t)i * MSS, (int)(i + 1), MSS);
	(void)bed_push(&b->inside_in, buf, sizeof(buf));
}

static struct path_bed *lane_bed(uint32_t role, struct bed_peer **ret)
{
	struct path_bed *b = bed_create_with(role, 64, CAPS, 63);

	b->inside_act = make_super;
	*ret = bed_join_lane(b);
	return b;
}

static void check_segment(struct bed_item *item, uint32_t i)
{
	assert_non_null(item);
	assert_int_equal(item->len, HEADERS + MSS);
	assert_true(bed_packet_ok(item));
	assert_int_equal(item->data[HEADERS], i + 1);
	assert_int_equal(item->data[HEADERS + MSS - 1], i + 1);
	free(item);
}

static void lane__superpacket_from_inside__one_run_and_all_of_it(void **state)
{
	(void)state;
	for (uint32_t role = 0; role < 2; role++) {
		struct bed_peer *peer;
		struct path_bed *b = lane_bed(role, &peer);

		push_super(b, peer);
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		assert_int_equal(b->udp_out.n, 1);
		assert_int_equal(b->udp_out.head->gso_size, 16 + 40 + HEADERS + MSS);
		assert_int_equal(b->udp_out.head->data[5], 1);
		assert_int_equal(b->path.sessions.n[LW_CTR_EXPRESSLANE_TX], SEGS);
		bed_deliver(b);
		for (uint32_t i = 0; i < SEGS; i++)
			check_segment(bed_pop(&peer->got), i);
		assert_int_equal(peer->remote->lane->received, SEGS);
		bed_destroy(b);
	}
}

/* A run of it comes out as one superpacket, opened in one call. */
static void lane__run_from_outside__one_array_and_merged(void **state)
{
	(void)state;
	for (uint32_t role = 0; role < 2; role++) {
		struct bed_peer *peer;
		struct path_bed *b = lane_bed(role, &peer);
		uint8_t packet[HEADERS + MSS];
		uint32_t calls = b->ciphers[0].calls;

		for (uint32_t i = 0; i < SEGS; i++) {
			bed_tcp_packet(packet, sizeof(packet), role == 0 ? BED_TOLD : BED_HOST,
			               role == 0 ? BED_HOST : BED_TOLD, 1 + i * MSS,
			               (uint8_t)('A' + i));
			bed_remote_packet(b, peer, packet, sizeof(packet));
		}
		assert_int_equal(b->udp_in.n, SEGS);
		bed_make_run(b, SEGS);
		assert_int_equal(bed_udp(b), -EAGAIN);
		assert_int_equal(b->ciphers[0].calls, calls + 1);
		assert_int_equal(b->path.sessions.n[LW_CTR_EXPRESSLANE_RX], SEGS);
		assert_int_equal(b->inside_out.n, 1);
		assert_int_equal(b->inside_out.head->len, HEADERS + SEGS * MSS);
		for (uint32_t i = 0; i < SEGS; i++)
			assert_int_equal(b->inside_out.head->data[HEADERS + i * MSS], 'A' + i);
		bed_destroy(b);
	}
}

/* Said once, however many sessions and packets find out; they go on in DTLS. */
static void lane__cipher_broken__told_and_left(void **state)
{
	struct bed_peer *peer;
	struct path_bed *b = lane_bed(LW_ROLE_SERVER, &peer);

	(void)state;
	b->ciphers[0].fail = -EIO;
	for (int i = 0; i < 3; i++) {
		push_super(b, peer);
		assert_int_equal(bed_from_inside(b), -EAGAIN);
		assert_true(b->path.lane_told);
		assert_false(b->path.lane.broken);
	}
	assert_int_equal(b->path.sessions.n[LW_CTR_EXPRESSLANE_CIPHER_FAILED], SEGS);
	assert_int_equal(b->path.sessions.n[LW_CTR_EXPRESSLANE_DEGRADED], 1);
	bed_deliver(b);
	assert_int_equal(peer->got.n, 2 * SEGS);
	assert_int_equal(peer->remote->lane->received, 0);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lane__superpacket_from_inside__one_run_and_all_of_it),
		cmocka_unit_test(lane__run_from_outside__one_array_and_merged),
		cmocka_unit_test(lane__cipher_broken__told_and_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

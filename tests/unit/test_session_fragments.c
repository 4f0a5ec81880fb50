/* SPDX-License-Identifier: MIT */
/* DataFrag and EncodedDataFrag through a tunnel: wire.md 2.8. What may be put together with what is
 * tested in test_session_reassembly.c. */
#include <errno.h>

#include "session/reassembly.h"
#include "session/tunnel_priv.h"
#include "unit/session_pair.h"
#include "unit/test.h"

#define PACKET 1400u

static uint8_t byte_of(uint16_t id, size_t n)
{
	return n == 0 ? 0x45 : (uint8_t)(id + n * 13 + n / 256);
}

static void send_frag(struct pair *p, struct pair_side *from, uint8_t type, uint16_t id,
                      size_t offset, size_t len, bool more)
{
	uint8_t buf[LW_FRAME_FRAG_HEADER + 4096];
	const struct lw_frame_frag f = { .id = id, .offset = (uint16_t)offset, .more = more };
	const uint8_t *frame;

	for (size_t i = 0; i < len; i++)
		buf[LW_FRAME_FRAG_HEADER + i] = byte_of(id, offset + i);
	frame = lw_frame_put_frag(buf + LW_FRAME_FRAG_HEADER, (uint16_t)len, type, &f);
	pair_inject(p, from, frame, LW_FRAME_FRAG_HEADER + len);
	pair_run(p, 3 * LW_MS, false);
}

static void check_got(const struct pair_side *s, uint32_t n, uint16_t id, size_t len)
{
	assert_int_equal(s->n_got, n);
	assert_int_equal(s->got_len[n - 1], len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(s->got[n - 1][i], byte_of(id, i));
}

static void fragments__any_order__packet_delivered(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *from = pair_end(p, i % 2);
		struct pair_side *to = pair_peer(p, from);

		assert_null(to->t->reassembly);
		send_frag(p, from, LW_FRAME_DATA_FRAG, 1, 0, 1240, true);
		assert_int_equal(to->n_got, 0);
		send_frag(p, from, LW_FRAME_DATA_FRAG, 1, 1240, PACKET - 1240, false);
		check_got(to, 1, 1, PACKET);
		send_frag(p, from, LW_FRAME_DATA_FRAG, 2, 1240, PACKET - 1240, false);
		send_frag(p, from, LW_FRAME_DATA_FRAG, 2, 0, 1240, true);
		check_got(to, 2, 2, PACKET);
		assert_int_equal(to->counters.n[LW_CTR_FRAGMENTS_RX], 4);
		assert_int_equal(to->counters.n[LW_CTR_FRAGMENTS_BAD], 0);
		assert_int_equal(to->t->rx_packets, 2);
		assert_int_equal(to->t->rx_bytes, 2 * PACKET);
		pair_destroy(p);
	}
}

/* all of them in one TLS record, as a reference server takes them too */
static void fragments__in_one_record__packet_delivered(void **state)
{
	struct pair *p = pair_online(true);
	uint8_t record[2048];
	size_t len = 0;

	(void)state;
	for (uint16_t at = 0; at < 400; at = (uint16_t)(at + 80)) {
		const struct lw_frame_frag f = { .id = 9, .offset = at, .more = at < 320 };
		uint8_t *data = record + len + LW_FRAME_FRAG_HEADER;

		for (size_t i = 0; i < 80; i++)
			data[i] = byte_of(9, at + i);
		(void)lw_frame_put_frag(data, 80, LW_FRAME_DATA_FRAG, &f);
		len += LW_FRAME_FRAG_HEADER + 80;
	}
	pair_inject(p, &p->client, record, len);
	pair_run(p, 5 * LW_MS, false);
	check_got(&p->server, 1, 9, 400);
	pair_destroy(p);
}

/* non-fatal on UDP, and here on TCP: the packet is lost, the session is not */
static void fragments__bad_one__counted_and_packet_lost(void **state)
{
	static const struct {
		size_t offset;
		size_t len;
		bool more;
	} bad[] = { { 0, 0, true },    { 0, 1240, true },  { 8, 8, true },
		    { 1240, 7, true }, { 9216, 8, false }, { 0, 8, false } };

	(void)state;
	for (size_t i = 0; i < 4 * sizeof(bad) / sizeof(bad[0]); i++) {
		struct pair *p = pair_online(i % 2 == 1);
		struct pair_side *from = pair_end(p, i / 2 % 2);
		struct pair_side *to = pair_peer(p, from);

		send_frag(p, from, LW_FRAME_DATA_FRAG, 1, 0, 1240, true);
		send_frag(p, from, LW_FRAME_DATA_FRAG, 1, bad[i / 4].offset, bad[i / 4].len,
		          bad[i / 4].more);
		assert_int_equal(to->counters.n[LW_CTR_FRAGMENTS_BAD], 1);
		send_frag(p, from, LW_FRAME_DATA_FRAG, 1, 1240, 160, false);
		assert_int_equal(to->n_got, 0);
		pair_check_lives(p, to);
		/* that last one begins another packet */
		send_frag(p, from, LW_FRAME_DATA_FRAG, 1, 0, 1240, true);
		check_got(to, 1, 1, PACKET);
		pair_destroy(p);
	}
}

/* types 15 and 17 share one map, the one that completes the packet says what it is */
static void fragments__both_types__completing_one_decides(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *from = pair_end(p, i % 2);
		struct pair_side *to = pair_peer(p, from);

		send_frag(p, from, LW_FRAME_ENCODED_DATA_FRAG, 1, 0, 1240, true);
		send_frag(p, from, LW_FRAME_DATA_FRAG, 1, 1240, 160, false);
		check_got(to, 1, 1, PACKET);
		send_frag(p, from, LW_FRAME_DATA_FRAG, 2, 0, 1240, true);
		assert_false(pair_closed(to));
		/* encoded, and there is no codec: fatal on UDP too */
		send_frag(p, from, LW_FRAME_ENCODED_DATA_FRAG, 2, 1240, 160, false);
		assert_true(pair_closed(to));
		assert_int_equal(to->t->reason, LW_CLOSE_PROTOCOL);
		assert_int_equal(to->result, -EPROTO);
		assert_int_equal(to->n_got, 1);
		pair_destroy(p);
	}
}

static void fragments__not_ipv4__counted(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct pair *p = pair_online(stream);

		/* from its second byte on: the first is not version 4 */
		pair_inject_hex(p, &p->client, "0f 0008 0001 2000 6000000000000000");
		pair_inject_hex(p, &p->client,
		                "0f 0010 0001 0001 00000000000000000000000000000000");
		assert_int_equal(p->server.counters.n[LW_CTR_INSIDE_INVALID], 1);
		pair_inject_hex(p, &p->client, "0f 0008 0002 0000 4500000000000000"); /* short */
		assert_int_equal(p->server.counters.n[LW_CTR_INSIDE_INVALID], 2);
		assert_int_equal(p->server.n_got, 0);
		pair_check_lives(p, &p->server);
		pair_destroy(p);
	}
}

/* the longest that is put together, and the memory for it */
static void fragments__longest_packet__delivered(void **state)
{
	struct pair *p = pair_online(false);

	(void)state;
	for (size_t at = 0; at < LW_REASSEMBLY_BYTES; at += 1024)
		send_frag(p, &p->client, LW_FRAME_DATA_FRAG, 7, at, 1024,
		          at + 1024 < LW_REASSEMBLY_BYTES);
	assert_int_equal(p->server.t->rx_packets, 1);
	assert_int_equal(p->server.t->rx_bytes, LW_REASSEMBLY_BYTES);
	pair_destroy(p);
}

/* as on a network that reorders: four packets at a time are put together */
static void fragments__interleaved_packets__all_delivered(void **state)
{
	struct pair *p = pair_online(false);

	(void)state;
	for (uint16_t round = 0; round < 10; round++) {
		for (uint16_t id = 0; id < LW_REASSEMBLY_SLOTS; id++)
			send_frag(p, &p->client, LW_FRAME_DATA_FRAG, (uint16_t)(4 * round + id), 0,
			          1240, true);
		for (uint16_t id = 0; id < LW_REASSEMBLY_SLOTS; id++)
			send_frag(p, &p->client, LW_FRAME_DATA_FRAG, (uint16_t)(4 * round + id),
			          1240, 160, false);
	}
	assert_int_equal(p->server.t->rx_packets, 40);
	assert_int_equal(p->server.counters.n[LW_CTR_FRAGMENTS_RX], 80);
	pair_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fragments__any_order__packet_delivered),
		cmocka_unit_test(fragments__in_one_record__packet_delivered),
		cmocka_unit_test(fragments__bad_one__counted_and_packet_lost),
		cmocka_unit_test(fragments__both_types__completing_one_decides),
		cmocka_unit_test(fragments__not_ipv4__counted),
		cmocka_unit_test(fragments__longest_packet__delivered),
		cmocka_unit_test(fragments__interleaved_packets__all_delivered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

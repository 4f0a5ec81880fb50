/* SPDX-License-Identifier: MIT */
/* Frames against records and datagrams (wire.md 3), malformed ones (section 11), sizes. */
#include <errno.h>

#include "base/addr.h"
#include "session/tunnel_priv.h"
#include "unit/frame_examples.h"
#include "unit/hex.h"
#include "unit/session_pair.h"
#include "unit/test.h"

#define HEX_PACKET "4500001400010000400100000a7d00050a7d0006"
#define HEX_DATA   "05 0014" HEX_PACKET

/* largest frame and packet of a datagram: wire.md 9.2 */
#define FRAME_MAX_UDP  1434u
#define PACKET_MAX_UDP (FRAME_MAX_UDP - LW_FRAME_DATA_HEADER)

static void check_protocol_error(struct pair *p, struct pair_side *s)
{
	assert_true(pair_closed(s));
	assert_int_equal(s->t->reason, LW_CLOSE_PROTOCOL);
	assert_int_equal(s->result, -EPROTO);
	assert_int_equal(s->n_closed, 1);
	assert_int_equal(s->counters.n[LW_CTR_CLOSED_PROTOCOL], 1);
	pair_run(p, 10 * LW_MS, false);
	assert_int_equal(pair_peer(p, s)->t->reason, LW_CLOSE_PEER);
}

/* --- section 11 --- */

enum class { UNKNOWN, VERSION, FATAL };

static const struct {
	const char *hex;
	enum class class;
} malformed[] = {
	{ "00", UNKNOWN },
	{ "08", UNKNOWN },
	{ "09", UNKNOWN },
	{ "0a", UNKNOWN },
	{ "0b", UNKNOWN },
	{ "0d", UNKNOWN },
	{ "15", UNKNOWN },
	{ "7f 0000 0000", UNKNOWN },
	{ "ff", UNKNOWN },
	{ "04 03 01 00 0005 746f6b656e", VERSION },
	{ "04 03 01 04 0005 746f6b656e", VERSION },
	{ "04 03 02 00 0005 746f6b656e", VERSION },
	{ "04 00 0000", FATAL }, /* no such method */
	{ "04 04 0000", FATAL }, /* */
	{ "04 6f 0000", FATAL }, /* */
	{ "04 01 33 02" HEX_ZEROS_32 HEX_ZEROS_32 HEX_ZEROS_32 "00000000", FATAL },  /* user */
	{ "04 01 02 33" HEX_ZEROS_32 HEX_ZEROS_32 HEX_ZEROS_32 "00000000", FATAL },  /* password */
	{ "04 01 02 00 c328" HEX_ZEROS_32 HEX_ZEROS_32 HEX_ZEROS_32 "0000", FATAL }, /* UTF-8 */
	{ "04 02 0002 c328", FATAL },                                                /* UTF-8 */
	{ "04 03 01 03 0002 c328", FATAL },                                          /* */
	{ "04 02 0544", FATAL },                                                     /* too large */
	{ "04 03 01 03 0542", FATAL },                                               /* */
	{ "04 17 0544", FATAL },                                                     /* */
	{ "0e 0545", FATAL },                                                        /* */
	{ "12 0000000000000201 02", FATAL }, /* neither 0 nor 1 */
	{ "13 0000000000000201 ff", FATAL }, /* */
	{ "06 c328" HEX_ZEROS_32 HEX_ZEROS_32 HEX_ZEROS_32 "000000000000", FATAL }, /* UTF-8 */
};

static void check_malformed(size_t i, bool stream, bool online, int side)
{
	struct pair *p = online ? pair_online(stream) : pair_at_login(stream);
	struct pair_side *s = pair_end(p, side);
	bool fatal = stream || malformed[i].class == FATAL;
	uint64_t heard = s->t->last_rx_us;

	pair_inject_hex(p, pair_peer(p, s), malformed[i].hex);
	assert_int_equal(s->counters.n[LW_CTR_FRAME_UNKNOWN], malformed[i].class == UNKNOWN);
	assert_int_equal(s->counters.n[LW_CTR_FRAME_MALFORMED], malformed[i].class != UNKNOWN);
	assert_int_equal(s->counters.n[LW_CTR_FRAME_BAD_MODE], 0);
	if (fatal) {
		check_protocol_error(p, s);
	} else {
		assert_int_equal(s->t->last_rx_us, heard);
		pair_check_lives(p, s);
	}
	pair_destroy(p);
}

static void malformed__udp__fatal_by_class(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		for (int side = 0; side < 4; side++) {
			print_message("%s, side %d\n", malformed[i].hex, side);
			check_malformed(i, false, side / 2 == 1, side % 2);
		}
	}
}

static void malformed__tcp__always_fatal(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		for (int side = 0; side < 4; side++) {
			print_message("%s, side %d\n", malformed[i].hex, side);
			check_malformed(i, true, side / 2 == 1, side % 2);
		}
	}
}

/* what is in front of the bad frame has been handled */
static void malformed__behind_a_good_frame__good_one_counts(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *s = pair_end(p, i % 2);
		uint64_t heard = s->t->last_rx_us;

		pair_inject_hex(p, pair_peer(p, s), HEX_DATA "ff" HEX_DATA);
		assert_int_equal(s->n_got, 1);
		assert_int_equal(s->counters.n[LW_CTR_FRAME_UNKNOWN], 1);
		if (p->stream) {
			check_protocol_error(p, s);
		} else {
			assert_true(s->t->last_rx_us > heard);
			pair_check_lives(p, s);
		}
		pair_destroy(p);
	}
}

/* wire.md 2.5: addresses must be ones, the MTU need not be a number, the id is not used */
static void auth_success__contents__checked(void **state)
{
	static const struct {
		size_t at;
		const char *text;
		bool fatal;
	} changes[] = {
		{ 1, "10.125.0", true },       { 1, "", true },
		{ 25, "fd00::1", true },       { 25, "10.125.0.256", true },
		{ 49, "dns.example", true },   { 49, "010.1.1.1.1", true },
		{ 73, "many", false },         { 73, "", false },
		{ 73, "999999999999", false }, { 97, "\x01", false },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(changes) / sizeof(changes[0]); i++) {
		struct pair *p = pair_at_login(i % 2 == 1);
		uint8_t frame[LW_FRAME_SUCCESS_LEN];
		size_t len = hex_read(HEX_SUCCESS, frame, sizeof(frame));
		size_t room = changes[i / 2].at == 97 ? 8 : 24;

		memset(frame + changes[i / 2].at, 0, room);
		memcpy(frame + changes[i / 2].at, changes[i / 2].text, strlen(changes[i / 2].text));
		pair_inject(p, &p->server, frame, len);
		pair_run(p, 5 * LW_MS, false);
		assert_int_equal(p->client.n_online, !changes[i / 2].fatal);
		assert_int_equal(p->client.counters.n[LW_CTR_FRAME_MALFORMED],
		                 changes[i / 2].fatal);
		if (changes[i / 2].fatal)
			check_protocol_error(p, &p->client);
		else
			pair_check_lives(p, &p->client);
		pair_destroy(p);
	}
}

static void auth_success__addresses__told_to_the_client(void **state)
{
	struct pair *p = pair_at_login(false);
	const struct lw_addr local = lw_addr_ipv4(0x0a7d0005, 0);
	const struct lw_addr server = lw_addr_ipv4(0x0a7d0006, 0);
	const struct lw_addr dns = lw_addr_ipv4(0x0a7d0001, 0);

	(void)state;
	pair_inject_hex(p, &p->server, HEX_SUCCESS);
	assert_memory_equal(&p->client.t->s.told, &local, sizeof(local));
	assert_memory_equal(&p->client.t->told_server, &server, sizeof(server));
	assert_memory_equal(&p->client.t->told_dns, &dns, sizeof(dns));
	pair_destroy(p);
}

/* --- section 3 --- */

static void truncated__udp__dropped_with_its_record(void **state)
{
	static const char *const heads[] = { "02",         "02 0000 00", "02 0000 0001",
		                             "05 0014 45", "04",         "0f 0008 1234 2000 45",
		                             "06 31" };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(heads) / sizeof(heads[0]); i++) {
		struct pair *p = pair_online(false);
		struct pair_side *s = pair_end(p, i % 2);

		pair_inject_hex(p, pair_peer(p, s), heads[i / 2]);
		assert_int_equal(s->counters.n[LW_CTR_FRAME_TRUNCATED], 1);
		pair_inject_hex(p, pair_peer(p, s), HEX_DATA);
		assert_int_equal(s->n_got, 1);
		pair_inject_hex(p, pair_peer(p, s), HEX_DATA "05 0014 45");
		assert_int_equal(s->n_got, 2);
		assert_int_equal(s->counters.n[LW_CTR_FRAME_TRUNCATED], 2);
		pair_check_lives(p, s);
		pair_destroy(p);
	}
}

static void record__several_frames__all_handled(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_online(i / 2 == 1);
		struct pair_side *s = pair_end(p, i % 2);
		uint64_t frames = s->counters.n[LW_CTR_FRAMES_RX];
		uint64_t pongs = pair_peer(p, s)->counters.n[LW_CTR_FRAMES_RX];

		pair_inject_hex(p, pair_peer(p, s),
		                HEX_DATA "01" HEX_DATA "02 0000 0000" HEX_DATA "02 0007 0002 0000"
		                         "0e 0001 00" HEX_DATA);
		assert_int_equal(s->n_got, 4);
		assert_int_equal(s->counters.n[LW_CTR_FRAMES_RX], frames + 8);
		assert_int_equal(pair_peer(p, s)->counters.n[LW_CTR_FRAMES_RX], pongs + 2);
		pair_destroy(p);
	}
}

/* A stream of frames, cut into records of `piece` bytes, the first of which has `first`. */
static void check_cut(struct pair *p, struct pair_side *s, size_t first, size_t piece)
{
	static const char hex[] =
		HEX_DATA "02 0007 0003 000102" HEX_DATA "0e 0002 0000" HEX_DATA "01" HEX_DATA;
	uint8_t frames[256];
	size_t len = hex_read(hex, frames, sizeof(frames));
	uint64_t before = s->counters.n[LW_CTR_FRAMES_RX];

	s->n_got = 0;
	for (size_t off = 0; off < len;) {
		size_t n = off == 0 ? first : piece;

		n = n < len - off ? n : len - off;
		pair_inject(p, pair_peer(p, s), frames + off, n);
		pair_run(p, 3 * LW_MS, false);
		off += n;
	}
	assert_int_equal(s->n_got, 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(s->got_len[i], 20);
		assert_memory_equal(s->got[i], frames + 3, 20);
	}
	assert_int_equal(s->counters.n[LW_CTR_FRAMES_RX], before + 7);
	assert_int_equal(s->t->carry_len, 0);
	assert_null(s->t->carry);
}

static void tcp__frames_cut_anywhere__all_arrive(void **state)
{
	struct pair *p = pair_online(true);

	(void)state;
	for (int side = 0; side < 2; side++) {
		for (size_t cut = 1; cut < 110; cut++)
			check_cut(p, pair_end(p, side), cut, 256);
		for (size_t piece = 1; piece < 9; piece++)
			check_cut(p, pair_end(p, side), piece, piece);
	}
	pair_destroy(p);
}

/* a stream has no boundaries: whatever comes at a time, down to single bytes */
static void tcp__ciphertext_in_pieces__online_and_data(void **state)
{
	static const uint32_t pieces[] = { 11, 64, 1000, PAIR_PACKET };

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct pair *p = pair_create(true, 1);

		p->piece = pieces[i];
		pair_connect(p);
		p->piece = i == 0 ? 1 : pieces[i];
		for (int side = 0; side < 2; side++)
			check_cut(p, pair_end(p, side), 50, 256);
		pair_destroy(p);
	}
}

/* the longest frames there are, in records of 16 KiB and in small ones */
static void tcp__longest_frames__arrive(void **state)
{
	static uint8_t frame[LW_FRAME_DATA_HEADER + UINT16_MAX];
	static const size_t pieces[] = { sizeof(frame), 16384, 16383, 1000 };

	(void)state;
	memset(frame, 0x45, sizeof(frame));
	frame[0] = LW_FRAME_DATA;
	frame[1] = frame[2] = 0xff;
	for (size_t i = 0; i < 8; i++) {
		struct pair *p = pair_online(true);
		struct pair_side *s = pair_end(p, i % 2);
		size_t piece = pieces[i / 2];

		for (size_t off = 0; off < sizeof(frame); off += piece) {
			size_t left = sizeof(frame) - off;

			pair_inject(p, pair_peer(p, s), frame + off, left < piece ? left : piece);
			pair_run(p, 3 * LW_MS, false);
		}
		assert_int_equal(s->t->rx_packets, 1);
		assert_int_equal(s->t->rx_bytes, UINT16_MAX);
		pair_check_lives(p, s);
		pair_destroy(p);
	}
}

/* --- inside packets --- */

/* wire.md 8.3. The reference ends a TCP session for it, which nobody gains from. */
static void data__not_ipv4__counted_on_both_transports(void **state)
{
	static const char *const frames[] = {
		"05 0000", "05 0003 febeaa",
		"05 0014 6500001400010000400100000a7d00050a7d0006", /* version 6 */
		"05 0013 4500001400010000400100000a7d00050a7d00",   /* 19 bytes */
	};

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		struct pair *p = pair_online(i / 8 == 1);
		struct pair_side *s = pair_end(p, i % 2);
		uint64_t heard = s->t->last_rx_us;

		pair_inject_hex(p, pair_peer(p, s), frames[i / 2 % 4]);
		assert_int_equal(s->counters.n[LW_CTR_INSIDE_INVALID], 1);
		assert_int_equal(s->n_got, 0);
		assert_int_equal(s->t->rx_packets, 0);
		assert_true(s->t->last_rx_us > heard); /* it is a frame all the same */
		pair_check_lives(p, s);
		pair_destroy(p);
	}
}

static int send_packet(struct pair *p, struct pair_side *s, uint32_t len)
{
	static uint8_t buf[64 + UINT16_MAX + 64];
	struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .off = 64, .len = len };
	struct lw_sink k = { .wire = s->wire, .inside = s->inside };
	struct lw_seg seg;
	int r;

	memset(buf + 64, 0x45, len);
	assert_int_equal(lw_seg_init(&seg, &pkt), 0);
	r = lw_tunnel_tx(s->t, &seg, p->now_us, &k);
	assert_int_equal(k.n_events, 0);
	pair_flush(p, s);
	pair_run(p, 5 * LW_MS, false);
	return r;
}

static void data__sizes_on_udp__up_to_one_datagram(void **state)
{
	struct pair *p = pair_online(false);

	(void)state;
	assert_int_equal(lw_tls_write_max(p->client.t->tls), FRAME_MAX_UDP);
	for (int side = 0; side < 2; side++) {
		struct pair_side *s = pair_end(p, side);
		struct pair_side *peer = pair_peer(p, s);

		for (uint32_t len = 20; len <= PACKET_MAX_UDP; len += len < 30 ? 1 : 53) {
			peer->n_got = 0;
			assert_int_equal(send_packet(p, s, len), 0);
			assert_int_equal(peer->n_got, 1);
			assert_int_equal(peer->got_len[0], len);
		}
		peer->n_got = 0;
		assert_int_equal(send_packet(p, s, PACKET_MAX_UDP), 0);
		assert_int_equal(peer->got_len[0], PACKET_MAX_UDP);
		assert_int_equal(s->counters.n[LW_CTR_INSIDE_TOO_BIG], 0);
		assert_int_equal(send_packet(p, s, PACKET_MAX_UDP + 1), 0);
		assert_int_equal(send_packet(p, s, UINT16_MAX), 0);
		assert_int_equal(s->counters.n[LW_CTR_INSIDE_TOO_BIG], 2);
		assert_int_equal(peer->n_got, 1);
		pair_check_lives(p, peer);
	}
	pair_destroy(p);
}

/* a smaller outside MTU is the sender's limit only */
static void data__small_outside_mtu__limits_what_is_sent(void **state)
{
	const uint32_t max = 576 - LW_TLS_OUTSIDE_OVERHEAD - LW_TLS_RECORD_OVERHEAD - 3;
	struct pair *p = pair_prepare(false, 1);

	(void)state;
	p->client.conf.outside_mtu = 576;
	pair_open(p);
	pair_connect(p);
	assert_int_equal(send_packet(p, &p->client, max), 0);
	assert_int_equal(p->server.got_len[0], max);
	assert_int_equal(send_packet(p, &p->client, max + 1), 0);
	assert_int_equal(p->client.counters.n[LW_CTR_INSIDE_TOO_BIG], 1);
	assert_int_equal(send_packet(p, &p->server, PACKET_MAX_UDP), 0);
	assert_int_equal(p->client.n_got, 1);
	assert_int_equal(p->client.got_len[0], PACKET_MAX_UDP);
	pair_destroy(p);
}

static void data__sizes_on_tcp__up_to_the_length_field(void **state)
{
	static const uint32_t sizes[] = { 20,    1431,  1432,  9000,  16380, 16381,
		                          16382, 16384, 32768, 40000, 65535 };
	struct pair *p = pair_online(true);

	(void)state;
	for (int side = 0; side < 2; side++) {
		struct pair_side *s = pair_end(p, side);
		struct pair_side *peer = pair_peer(p, s);

		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			uint64_t before = peer->t->rx_bytes;

			assert_int_equal(send_packet(p, s, sizes[i]), 0);
			assert_int_equal(peer->t->rx_bytes - before, sizes[i]);
			assert_int_equal(peer->t->rx_packets, i + 1);
			assert_int_equal(s->t->tx_packets, i + 1);
		}
		assert_int_equal(peer->t->rx_bytes, s->t->tx_bytes);
	}
	pair_destroy(p);
}

static void data__not_online__nothing_sent(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair *p = pair_at_login(i / 2 == 1);
		struct pair_side *s = pair_end(p, i % 2);
		uint64_t frames = s->counters.n[LW_CTR_FRAMES_TX];

		assert_int_equal(send_packet(p, s, 100), 0);
		assert_int_equal(s->counters.n[LW_CTR_FRAMES_TX], frames);
		assert_int_equal(s->t->tx_packets, 0);
		pair_destroy(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malformed__udp__fatal_by_class),
		cmocka_unit_test(malformed__tcp__always_fatal),
		cmocka_unit_test(malformed__behind_a_good_frame__good_one_counts),
		cmocka_unit_test(auth_success__contents__checked),
		cmocka_unit_test(auth_success__addresses__told_to_the_client),
		cmocka_unit_test(truncated__udp__dropped_with_its_record),
		cmocka_unit_test(record__several_frames__all_handled),
		cmocka_unit_test(tcp__frames_cut_anywhere__all_arrive),
		cmocka_unit_test(tcp__ciphertext_in_pieces__online_and_data),
		cmocka_unit_test(tcp__longest_frames__arrive),
		cmocka_unit_test(data__not_ipv4__counted_on_both_transports),
		cmocka_unit_test(data__sizes_on_udp__up_to_one_datagram),
		cmocka_unit_test(data__small_outside_mtu__limits_what_is_sent),
		cmocka_unit_test(data__sizes_on_tcp__up_to_the_length_field),
		cmocka_unit_test(data__not_online__nothing_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

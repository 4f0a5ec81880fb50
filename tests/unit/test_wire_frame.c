/* SPDX-License-Identifier: MIT */
#include "hex.h"

#include "frame_examples.h"
#include "wire/frame.h"

#define BUF 1600

/* Decodes a block of just these bytes; views of the frame point into `bytes`, not into the block.
 */
static int decode_hex(const char *hex, uint8_t *bytes, struct lw_frame *ret_frame)
{
	size_t len = hex_read(hex, bytes, BUF);
	uint8_t *copy = exact_copy(bytes, len);
	struct lw_frame ignored;
	int r = lw_frame_decode(copy, len, &ignored);

	free(copy);
	assert_int_equal(lw_frame_decode(bytes, len, ret_frame), r);
	return r;
}

static int result_of(const char *hex)
{
	uint8_t bytes[BUF];
	struct lw_frame f;

	return decode_hex(hex, bytes, &f);
}

static void assert_text(struct lw_bytes got, const char *want)
{
	assert_int_equal(got.len, strlen(want));
	assert_memory_equal(got.p, want, got.len);
}

static void decode__each_example__consumes_it_and_encodes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < FRAME_EXAMPLES; i++) {
		uint8_t bytes[BUF];
		uint8_t out[BUF];
		struct lw_frame f;
		size_t len = hex_read(frame_examples[i], bytes, BUF);

		assert_int_equal(decode_hex(frame_examples[i], bytes, &f), len);
		assert_int_equal(f.type, bytes[0]);
		assert_true(len >= lw_frame_min_len(f.type));
		assert_int_equal(lw_frame_encode(out, sizeof(out), &f), len);
		assert_memory_equal(out, bytes, len);
	}
}

static void decode__each_truncation__needs_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < FRAME_EXAMPLES; i++) {
		uint8_t bytes[BUF];
		size_t len = hex_read(frame_examples[i], bytes, BUF);

		for (size_t cut = 0; cut < len; cut++) {
			uint8_t *copy = exact_copy(bytes, cut);
			struct lw_frame f = { .type = 99 };

			assert_int_equal(lw_frame_decode(copy, cut, &f), LW_FRAME_MORE);
			assert_int_equal(f.type, 99);
			free(copy);
		}
	}
}

static void encode__each_smaller_buffer__has_no_room(void **state)
{
	(void)state;
	for (size_t i = 0; i < FRAME_EXAMPLES; i++) {
		uint8_t bytes[BUF];
		struct lw_frame f;
		size_t len = (size_t)decode_hex(frame_examples[i], bytes, &f);

		for (size_t cap = 0; cap < len; cap++) {
			uint8_t *out = cap > 0 ? malloc(cap) : NULL;

			assert_int_equal(lw_frame_encode(out, cap, &f), LW_FRAME_NO_ROOM);
			free(out);
		}
	}
}

static void decode__two_frames__consumes_the_first(void **state)
{
	uint8_t bytes[BUF];
	struct lw_frame f;

	(void)state;
	assert_int_equal(decode_hex("02 f00b", bytes, &f), LW_FRAME_MORE);
	assert_int_equal(decode_hex("02 f00b 0000 01", bytes, &f), 5);
	assert_int_equal(f.type, LW_FRAME_PING);
	assert_int_equal(f.ping.id, 0xf00b);
	assert_int_equal(f.ping.payload.len, 0);
	assert_int_equal(lw_frame_decode(bytes + 5, 1, &f), 1);
	assert_int_equal(f.type, LW_FRAME_NOOP);
}

static void decode__each_first_byte__is_known_or_not(void **state)
{
	static const uint8_t known[] = { 1, 2, 3, 4, 5, 6, 7, 12, 14, 15, 16, 17, 18, 19, 20 };
	struct lw_frame f;

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		uint8_t byte = (uint8_t)type;
		bool is_known = memchr(known, (int)type, sizeof(known)) != NULL;
		int want = type == 1 || type == 12 ? 1 : LW_FRAME_MORE;

		assert_int_equal(lw_frame_decode(&byte, 1, &f), is_known ? want : LW_FRAME_UNKNOWN);
		assert_int_equal(lw_frame_min_len(byte) > 0, is_known);
		assert_int_equal(strcmp(lw_frame_name(byte), "unknown") != 0, is_known);
		f = (struct lw_frame){ .type = byte };
		if (!is_known)
			assert_int_equal(lw_frame_encode(&byte, 1, &f), LW_FRAME_UNKNOWN);
	}
	assert_int_equal(lw_frame_decode(NULL, 0, &f), LW_FRAME_MORE);
	assert_string_equal(lw_frame_name(LW_FRAME_DATA_FRAG), "data fragment");
}

static void ping__payload__is_a_view(void **state)
{
	uint8_t bytes[BUF];
	struct lw_frame f;

	(void)state;
	assert_int_equal(result_of("02 0000 0300 0102"), LW_FRAME_MORE);
	assert_int_equal(decode_hex("02 1234 0010 000102030405060708090a0b0c0d0e0f", bytes, &f),
	                 21);
	assert_int_equal(f.ping.id, 0x1234);
	assert_int_equal(f.ping.payload.len, 16);
	assert_ptr_equal(f.ping.payload.p, bytes + 5);
}

static void ping__counters__are_written_and_read(void **state)
{
	struct lw_frame_counters c = { .sent = 985, .received = 1000 };
	struct lw_frame_counters got = { 0 };
	uint8_t want[BUF];
	uint8_t out[LW_FRAME_PING_HEADER + LW_FRAME_COUNTERS_LEN];
	struct lw_frame f;

	(void)state;
	(void)hex_read("03 0000 0010 00000000000003d9 00000000000003e8", want, BUF);
	assert_int_equal(lw_frame_write_ping(out, sizeof(out), LW_FRAME_PONG, 0, &c), 21);
	assert_memory_equal(out, want, 21);
	assert_int_equal(lw_frame_decode(out, 21, &f), 21);
	assert_true(lw_frame_read_counters(&f.ping, &got));
	assert_true(got.sent == 985 && got.received == 1000);
	assert_int_equal(lw_frame_write_ping(out, 20, LW_FRAME_PONG, 0, &c), LW_FRAME_NO_ROOM);
	assert_int_equal(lw_frame_write_ping(out, 5, LW_FRAME_PING, 0xabcd, NULL), 5);
	assert_memory_equal(out, "\x02\xab\xcd\0\0", 5);
	assert_int_equal(lw_frame_decode(out, 5, &f), 5);
	assert_false(lw_frame_read_counters(&f.ping, &got));
}

static void ping__pmtu_probe__is_a_frame_of_1250_bytes(void **state)
{
	uint8_t zeros[1245] = { 0 };
	uint8_t out[1250];
	struct lw_frame f = { .type = LW_FRAME_PING, .ping = { 1, { zeros, sizeof(zeros) } } };

	(void)state;
	assert_int_equal(lw_frame_encode(out, sizeof(out), &f), 1250);
	assert_memory_equal(out, "\x02\x00\x01\x04\xdd\x00", 6);
}

static void auth__password__views_user_and_secret(void **state)
{
	uint8_t bytes[BUF];
	struct lw_frame f;

	(void)state;
	assert_int_equal(decode_hex(HEX_PASSWORD, bytes, &f), 104);
	assert_int_equal(f.auth.method, LW_AUTH_METHOD_PASSWORD);
	assert_text(f.auth.user, "me");
	assert_text(f.auth.secret, "secret");
	bytes[4 + 2] = 0xff; /* padding is not looked at */
	bytes[54 + 49] = 0xff;
	assert_int_equal(lw_frame_decode(bytes, 104, &f), 104);
}

static void auth__password_fields__have_50_bytes_of_utf8(void **state)
{
	uint8_t bytes[104] = { 4, 1 };
	struct lw_frame f;

	(void)state;
	memset(bytes + 4, 'x', 100);
	memcpy(bytes + 2, "\x32\x32", 2);
	assert_int_equal(lw_frame_decode(bytes, 104, &f), 104);
	assert_int_equal(f.auth.user.len + f.auth.secret.len, 100);
	memcpy(bytes + 2, "\x33\x32", 2);
	assert_int_equal(lw_frame_decode(bytes, 104, &f), LW_FRAME_TOO_LARGE);
	assert_int_equal(lw_frame_decode(bytes, 103, &f), LW_FRAME_MORE);
	memcpy(bytes + 2, "\x32\x33", 2);
	assert_int_equal(lw_frame_decode(bytes, 104, &f), LW_FRAME_TOO_LARGE);
	memcpy(bytes + 2, "\x02\x02\xc3\x28", 4);
	assert_int_equal(lw_frame_decode(bytes, 104, &f), LW_FRAME_BAD_TEXT);
	memcpy(bytes + 2, "\x01\x02yy", 4);
	memcpy(bytes + 54, "\xc3\x28", 2);
	assert_int_equal(lw_frame_decode(bytes, 104, &f), LW_FRAME_BAD_TEXT);
	/* exactly the announced bytes count: the next one would complete the sequence */
	memcpy(bytes + 54, "\xc3\xa9", 2);
	assert_int_equal(lw_frame_decode(bytes, 104, &f), 104);
	bytes[3] = 1;
	assert_int_equal(lw_frame_decode(bytes, 104, &f), LW_FRAME_BAD_TEXT);
}

static void auth__tokens_and_callback__are_views(void **state)
{
	uint8_t bytes[BUF];
	struct lw_frame f;

	(void)state;
	assert_int_equal(decode_hex("04 02 0005 746f6b656e", bytes, &f), 9);
	assert_int_equal(f.auth.method, LW_AUTH_METHOD_TOKEN);
	assert_text(f.auth.secret, "token");
	assert_int_equal(decode_hex("04 03 01 03 0005 746f6b656e", bytes, &f), 11);
	assert_int_equal(f.auth.method, LW_AUTH_METHOD_VERSIONED_TOKEN);
	assert_int_equal(f.auth.major, 1);
	assert_int_equal(f.auth.minor, 3);
	assert_text(f.auth.secret, "token");
	assert_int_equal(decode_hex("04 17 0004 01020304", bytes, &f), 8);
	assert_int_equal(f.auth.method, LW_AUTH_METHOD_CALLBACK);
	assert_text(f.auth.secret, "\1\2\3\4");
}

static void auth__wrong__each_error_has_its_value(void **state)
{
	(void)state;
	assert_int_equal(result_of("04 6f"), LW_FRAME_BAD_ENUM);
	assert_int_equal(result_of("04 00"), LW_FRAME_BAD_ENUM);
	assert_int_equal(result_of("04 04"), LW_FRAME_BAD_ENUM);
	assert_int_equal(result_of("04 02 3300"), LW_FRAME_TOO_LARGE);
	assert_int_equal(result_of("04 02 0544"), LW_FRAME_TOO_LARGE);
	assert_int_equal(result_of("04 02 0002 c328"), LW_FRAME_BAD_TEXT);
	assert_int_equal(result_of("04 03 02 00 0005 746f6b656e"), LW_FRAME_BAD_VERSION);
	assert_int_equal(result_of("04 03 01 00 0005"), LW_FRAME_BAD_VERSION);
	assert_int_equal(result_of("04 03 01 04 ffff"), LW_FRAME_BAD_VERSION);
	assert_int_equal(result_of("04 03 02 00 00"), LW_FRAME_MORE);
	assert_int_equal(result_of("04 03 01 03 0542"), LW_FRAME_TOO_LARGE);
	assert_int_equal(result_of("04 03 01 02 0002 c328"), LW_FRAME_BAD_TEXT);
	assert_int_equal(result_of("04 17 0544"), LW_FRAME_TOO_LARGE);
}

static void auth__largest__is_taken_both_ways(void **state)
{
	static const struct {
		uint8_t method;
		size_t header;
		size_t max;
	} cases[] = { { 2, 4, 1347 }, { 3, 6, 1345 }, { 23, 4, 1347 } };
	uint8_t secret[1348];
	uint8_t out[BUF];
	struct lw_frame got;

	(void)state;
	memset(secret, 't', sizeof(secret));
	for (size_t i = 0; i < 3; i++) {
		struct lw_frame f = { .type = LW_FRAME_AUTH_REQUEST };
		size_t len = cases[i].header + cases[i].max;

		f.auth.method = cases[i].method;
		f.auth.major = cases[i].method == 3;
		f.auth.minor = cases[i].method == 3;
		f.auth.secret = (struct lw_bytes){ secret, cases[i].max };
		assert_int_equal(lw_frame_encode(out, BUF, &f), len);
		assert_true(len <= LW_AUTH_REQUEST_MAX);
		assert_int_equal(lw_frame_decode(out, len, &got), len);
		assert_int_equal(got.auth.secret.len, cases[i].max);
		f.auth.secret.len++;
		assert_int_equal(lw_frame_encode(out, BUF, &f), LW_FRAME_TOO_LARGE);
	}
}

static void data__views_the_packet(void **state)
{
	uint8_t bytes[BUF];
	struct lw_frame f;

	(void)state;
	assert_int_equal(decode_hex("05 0003 febeaa", bytes, &f), 6);
	assert_ptr_equal(f.data.p, bytes + 3);
	assert_int_equal(f.data.len, 3);
	assert_int_equal(decode_hex("05 0000", bytes, &f), 3);
	assert_int_equal(f.data.len, 0);
}

static void put__data_and_fragment__match_the_encoder(void **state)
{
	uint8_t buf[LW_FRAME_FRAG_HEADER + 11] = { 0 };
	uint8_t want[BUF];
	struct lw_frame_frag place = { .id = 0x1234, .offset = 0x5678, .more = true };
	uint8_t *data = buf + LW_FRAME_FRAG_HEADER;
	size_t len;

	(void)state;
	memcpy(data, "fragmentary", 11);
	assert_ptr_equal(lw_frame_put_data(data, LW_FRAME_DATA, 11), data - 3);
	assert_memory_equal(data - 3,
	                    "\x05\x00\x0b"
	                    "frag",
	                    7);
	(void)lw_frame_put_data(data, LW_FRAME_ENCODED_DATA, 0x1ff);
	assert_memory_equal(data - 3,
	                    "\x10\x01\xff"
	                    "frag",
	                    7);
	len = hex_read("0f 000b 1234 2acf 667261676d656e74617279", want, BUF);
	assert_ptr_equal(lw_frame_put_frag(data, 11, LW_FRAME_DATA_FRAG, &place), buf);
	assert_memory_equal(buf, want, len);
}

static void frag__offset_word__has_flag_and_offset(void **state)
{
	static const struct {
		const char *hex;
		uint16_t offset;
		bool more;
	} cases[] = {
		{ "0f 0000 0007 0000", 0, false },      { "0f 0000 0007 2000", 0, true },
		{ "0f 0000 0007 0001", 8, false },      { "0f 0000 0007 2001", 8, true },
		{ "0f 0000 0007 0200", 0x1000, false }, { "0f 0000 0007 2200", 0x1000, true },
		{ "0f 0000 0007 1fff", 0xfff8, false }, { "0f 0000 0007 3fff", 0xfff8, true },
		{ "0f 0000 0007 c001", 8, false },      { "11 0000 0007 ffff", 0xfff8, true },
	};
	uint8_t bytes[BUF];
	struct lw_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(decode_hex(cases[i].hex, bytes, &f), 7);
		assert_int_equal(f.frag.id, 7);
		assert_int_equal(f.frag.offset, cases[i].offset);
		assert_int_equal(f.frag.more, cases[i].more);
	}
	f.frag.offset = 12;
	assert_int_equal(lw_frame_encode(bytes, BUF, &f), LW_FRAME_BAD_OFFSET);
}

static void frag__1400_bytes_at_1250__become_two(void **state)
{
	uint8_t packet[1400] = { 0 };
	uint8_t out[BUF];
	uint32_t room = lw_frame_frag_room(1250);
	struct lw_frame f = { .type = LW_FRAME_DATA_FRAG };

	(void)state;
	f.frag = (struct lw_frame_frag){ .id = 1, .more = true, .data = { packet, room } };
	assert_int_equal(lw_frame_encode(out, BUF, &f), 1247);
	assert_memory_equal(out, "\x0f\x04\xd8\x00\x01\x20\x00", 7);
	f.frag = (struct lw_frame_frag){ .id = 1,
		                         .offset = (uint16_t)room,
		                         .data = { packet + room, 1400 - room } };
	assert_int_equal(lw_frame_encode(out, BUF, &f), 167);
	assert_memory_equal(out, "\x0f\x00\xa0\x00\x01\x00\x9b", 7);
}

static void room__each_plpmtu__as_the_table_says(void **state)
{
	static const uint32_t data[][2] = { { 4, 1 },       { 1200, 1197 }, { 1300, 1297 },
		                            { 1500, 1497 }, { 1250, 1247 }, { 3, 0 },
		                            { 0, 0 } };
	static const uint32_t frag[][2] = { { 23, 16 },     { 1200, 1192 }, { 1300, 1288 },
		                            { 1500, 1488 }, { 1250, 1240 }, { 1419, 1408 },
		                            { 14, 0 },      { 7, 0 },       { 0, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++)
		assert_int_equal(lw_frame_data_room(data[i][0]), data[i][1]);
	for (size_t i = 0; i < sizeof(frag) / sizeof(frag[0]); i++)
		assert_int_equal(lw_frame_frag_room(frag[i][0]), frag[i][1]);
	for (uint32_t plpmtu = 15; plpmtu <= 22; plpmtu++)
		assert_int_equal(lw_frame_frag_room(plpmtu), 8);
}

static void server_config__1348_bytes__is_the_most(void **state)
{
	uint8_t content[1349] = { 0 };
	uint8_t out[BUF];
	struct lw_frame f = { .type = LW_FRAME_SERVER_CONFIG, .data = { content, 1348 } };

	(void)state;
	assert_int_equal(lw_frame_encode(out, BUF, &f), 1351);
	assert_int_equal(lw_frame_decode(out, 1351, &f), 1351);
	f.data.len = 1349;
	assert_int_equal(lw_frame_encode(out, BUF, &f), LW_FRAME_TOO_LARGE);
	assert_int_equal(result_of("0e 0545"), LW_FRAME_TOO_LARGE);
	assert_int_equal(result_of("0e 05"), LW_FRAME_MORE);
}

static void encoding__enable__is_0_or_1(void **state)
{
	uint8_t bytes[BUF];
	struct lw_frame f;

	(void)state;
	assert_int_equal(decode_hex("12 0000000000000201 01", bytes, &f), 10);
	assert_true(f.encoding.id == 513 && f.encoding.enable);
	assert_int_equal(decode_hex("13 0000000000000202 00", bytes, &f), 10);
	assert_true(f.encoding.id == 514 && !f.encoding.enable);
	assert_int_equal(result_of("12 0000000000000201 02"), LW_FRAME_BAD_BOOL);
	assert_int_equal(result_of("13 0000000000000201 ff"), LW_FRAME_BAD_BOOL);
}

static void expresslane__flags_counter_key__are_read(void **state)
{
	uint8_t bytes[BUF];
	struct lw_frame f;

	(void)state;
	assert_int_equal(decode_hex("14 01 c0 0000 123456789abcdef0" HEX_KEY_32, bytes, &f), 45);
	assert_int_equal(f.expresslane.version, 1);
	assert_true(f.expresslane.enabled && f.expresslane.ack);
	assert_true(f.expresslane.counter == UINT64_C(0x123456789abcdef0));
	assert_ptr_equal(f.expresslane.key, bytes + 13);
	assert_int_equal(decode_hex("14 02 3f abcd 0000000000000001" HEX_KEY_32, bytes, &f), 45);
	assert_int_equal(f.expresslane.version, 2);
	assert_false(f.expresslane.enabled || f.expresslane.ack);
}

static void expresslane__other_versions__read_as_unknown(void **state)
{
	uint8_t bytes[BUF];
	struct lw_frame f;

	(void)state;
	(void)decode_hex("14 00 80 0000 0000000000000001" HEX_KEY_32, bytes, &f);
	for (unsigned version = 0; version < 256; version++) {
		bytes[1] = (uint8_t)version;
		assert_int_equal(lw_frame_decode(bytes, 45, &f), 45);
		assert_int_equal(f.expresslane.version, version <= 2 ? version : 0);
	}
	f.expresslane.version = 3;
	assert_int_equal(lw_frame_encode(bytes, BUF, &f), LW_FRAME_BAD_VERSION);
	f.expresslane = (struct lw_frame_expresslane){ .version = 2, .counter = 2 };
	assert_int_equal(lw_frame_encode(bytes, BUF, &f), 45);
	for (size_t i = 13; i < 45; i++)
		assert_int_equal(bytes[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode__each_example__consumes_it_and_encodes_back),
		cmocka_unit_test(decode__each_truncation__needs_more),
		cmocka_unit_test(encode__each_smaller_buffer__has_no_room),
		cmocka_unit_test(decode__two_frames__consumes_the_first),
		cmocka_unit_test(decode__each_first_byte__is_known_or_not),
		cmocka_unit_test(ping__payload__is_a_view),
		cmocka_unit_test(ping__counters__are_written_and_read),
		cmocka_unit_test(ping__pmtu_probe__is_a_frame_of_1250_bytes),
		cmocka_unit_test(auth__password__views_user_and_secret),
		cmocka_unit_test(auth__password_fields__have_50_bytes_of_utf8),
		cmocka_unit_test(auth__tokens_and_callback__are_views),
		cmocka_unit_test(auth__wrong__each_error_has_its_value),
		cmocka_unit_test(auth__largest__is_taken_both_ways),
		cmocka_unit_test(data__views_the_packet),
		cmocka_unit_test(put__data_and_fragment__match_the_encoder),
		cmocka_unit_test(frag__offset_word__has_flag_and_offset),
		cmocka_unit_test(frag__1400_bytes_at_1250__become_two),
		cmocka_unit_test(room__each_plpmtu__as_the_table_says),
		cmocka_unit_test(server_config__1348_bytes__is_the_most),
		cmocka_unit_test(encoding__enable__is_0_or_1),
		cmocka_unit_test(expresslane__flags_counter_key__are_read),
		cmocka_unit_test(expresslane__other_versions__read_as_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

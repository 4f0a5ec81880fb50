/* SPDX-License-Identifier: MIT */
/* wire.md 7.5 and the vectors of 13.1 and 13.2, sealed and opened with the real cipher. */
#include "unit/test.h"

#include <errno.h>

#include <laneway/module.h>

#include "unit/hex.h"
#include "wire/expresslane.h"

extern const struct lw_module laneway_module; /* cipher-wolfcrypt */

#define KEY_13_1     "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
#define SESSION_13_1 UINT64_C(0xa1a1a1a1a1a1a1a1)
#define PLAIN_13_1   "657870726573736c616e6520676f6c64656e20766563746f72207061796c6f6164"
#define SEALED_13_1  "1de0df19db6aa733e1f77938999b312f5310ecc610332f6a94234f38a17987cac8"
#define HEAD_13_1    "00000000000000012b2b2b2b2b2b2b2b2b2b2b2b"

static const struct golden {
	const char *name;
	uint8_t version;
	uint16_t flags;
	uint64_t session;
	uint64_t counter;
	const char *key;
	const char *plain;
	const char *packet;
} goldens[] = {
	{ "version 1, encoded", 1, 0x8000, SESSION_13_1, 1, KEY_13_1, PLAIN_13_1,
	  HEAD_13_1 "f8cf6559479de62e9b6bf8cda32be127 0021 8000" SEALED_13_1 },
	{ "version 1", 1, 0, SESSION_13_1, 1, KEY_13_1, PLAIN_13_1,
	  HEAD_13_1 "f8cf6559479de62e9b6bf8cda32be127 0021 0000" SEALED_13_1 },
	{ "version 2, encoded", 2, 0x8000, SESSION_13_1, 1, KEY_13_1, PLAIN_13_1,
	  HEAD_13_1 "99729ab5a6261acd578ce423075905ed 0021 8000" SEALED_13_1 },
	{ "version 2", 2, 0, SESSION_13_1, 1, KEY_13_1, PLAIN_13_1,
	  HEAD_13_1 "2d5ee0b75c9d1319e0aed5f386808b97 0021 0000" SEALED_13_1 },
	{ "13.2", 2, 0, UINT64_C(0x1122334455667788), 7,
	  "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
	  "4500001c00010000400165dc0a7d00050a7d00060800f7fd00010001",
	  "0000000000000007a0a1a2a3a4a5a6a7a8a9aaabede3d7d67e4d5b6e759a885165f74313001c0000"
	  "fcd13d7afdb45a043f0fc7b7fbf820815daab01f50689779275ad5fc" },
};

#define GOLDENS (sizeof(goldens) / sizeof(goldens[0]))

static const struct lw_cipher_ops *cipher(void)
{
	return laneway_module.ops.cipher;
}

static void *make_key(const char *hex)
{
	uint8_t bytes[32];
	void *key = NULL;

	assert_int_equal(hex_read(hex, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(cipher()->key_create(NULL, NULL, bytes, &key), 0);
	return key;
}

static struct lw_cipher_op make_op(void *key, uint8_t *p, uint8_t *aad, const struct golden *g,
                                   const struct lw_lane_frame *f)
{
	return (struct lw_cipher_op){ .key = key,
		                      .dst = p + LW_LANE_FRAME_HEADER,
		                      .src = p + LW_LANE_FRAME_HEADER,
		                      .iv = p + LW_LANE_IV,
		                      .aad = aad,
		                      .tag = p + LW_LANE_TAG,
		                      .len = f->len,
		                      .aad_len = lw_lane_aad(aad, g->version, g->session, f) };
}

static void golden__sealed__is_the_packet(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOLDENS; i++) {
		const struct golden *g = &goldens[i];
		uint8_t packet[128], made[128], aad[LW_LANE_AAD_MAX];
		size_t len = hex_read(g->packet, packet, sizeof(packet));
		struct lw_lane_frame f = { .counter = g->counter, .flags = g->flags };
		struct lw_cipher_op op;
		void *key = make_key(g->key);

		print_message("  %s\n", g->name);
		f.len = (uint16_t)hex_read(g->plain, made + LW_LANE_FRAME_HEADER,
		                           sizeof(made) - LW_LANE_FRAME_HEADER);
		lw_lane_frame_write(made, &f);
		memcpy(made + LW_LANE_IV, packet + LW_LANE_IV, LW_LANE_IV_LEN);
		op = make_op(key, made, aad, g, &f);
		assert_int_equal(op.aad_len, g->version == 1 ? 16 : 18);
		assert_int_equal(cipher()->seal(NULL, NULL, &op, 1), 0);
		assert_int_equal(len, (size_t)LW_LANE_FRAME_HEADER + f.len);
		assert_memory_equal(made, packet, len);
		cipher()->key_destroy(NULL, NULL, key);
	}
}

static void golden__opened__is_the_plaintext(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * GOLDENS; i++) {
		const struct golden *g = &goldens[i / 2];
		uint8_t packet[128], plain[128], aad[LW_LANE_AAD_MAX];
		size_t len = hex_read(g->packet, packet, sizeof(packet));
		size_t plain_len = hex_read(g->plain, plain, sizeof(plain));
		struct lw_lane_frame f;
		struct lw_cipher_op op;
		void *key = make_key(g->key);

		assert_int_equal(lw_lane_frame_read(packet, len, &f), 0);
		assert_int_equal(f.counter, g->counter);
		assert_int_equal(f.flags, g->flags);
		assert_int_equal(f.len, plain_len);
		if (i % 2) /* the flag turned over: version 2 notices */
			f.flags ^= LW_LANE_ENCODED;
		op = make_op(key, packet, aad, g, &f);
		assert_int_equal(cipher()->open(NULL, NULL, &op, 1), 0);
		assert_int_equal(op.status, i % 2 && g->version == 2 ? -EBADMSG : 0);
		if (op.status == 0)
			assert_memory_equal(packet + LW_LANE_FRAME_HEADER, plain, plain_len);
		cipher()->key_destroy(NULL, NULL, key);
	}
}

static void read__each_length__all_or_nothing(void **state)
{
	uint8_t p[LW_LANE_FRAME_HEADER + 300] = {
		[36] = 0x01, [37] = 0x04, [38] = 0x7f, [39] = 0xff
	};
	struct lw_lane_frame f;

	(void)state;
	memset(p, 0xff, 8);
	for (size_t len = 0; len <= sizeof(p); len++) {
		uint8_t *copy = exact_copy(p, len);
		int r = lw_lane_frame_read(copy, len, &f);

		assert_int_equal(r, len < LW_LANE_FRAME_HEADER + 260 ? -ENODATA : 0);
		free(copy);
	}
	assert_true(f.counter == UINT64_MAX);
	assert_int_equal(f.len, 260);
	assert_int_equal(f.flags, 0x7fff);
	/* 7.6.1: 39 bytes, and a length of 65,535 */
	assert_int_equal(lw_lane_frame_read(p, 39, &f), -ENODATA);
	p[36] = p[37] = 0xff;
	assert_int_equal(lw_lane_frame_read(p, sizeof(p), &f), -ENODATA);
}

static void write__fields__at_their_places_and_no_more(void **state)
{
	const struct lw_lane_frame f = { .counter = 0x0102030405060708,
		                         .len = 0x1112,
		                         .flags = 0x8000 };
	uint8_t p[LW_LANE_FRAME_HEADER + 8];
	uint8_t expected[LW_LANE_FRAME_HEADER + 8];

	(void)state;
	memset(p, 0xee, sizeof(p));
	memset(expected, 0xee, sizeof(expected));
	(void)hex_read("0102030405060708", expected, 8);
	(void)hex_read("11128000", expected + 36, 4);
	lw_lane_frame_write(p, &f);
	assert_memory_equal(p, expected, sizeof(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden__sealed__is_the_packet),
		cmocka_unit_test(golden__opened__is_the_plaintext),
		cmocka_unit_test(read__each_length__all_or_nothing),
		cmocka_unit_test(write__fields__at_their_places_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

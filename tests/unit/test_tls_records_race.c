/* SPDX-License-Identifier: MIT */
/* The callback as the library calls it, and how a module is timed against the library. */
#include <errno.h>

#include "tls/internal.h"
#include "unit/records_bed.h"
#include "unit/test.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/sha256.h>
#pragma GCC diagnostic pop

#define LEN 100u

/* a key that has had its first records, so that the next is the module's */
static struct {
	struct records_bed bed;
	struct lw_tls_keys keys;
	Aes asked; /* by way of the callback */
	Aes plain; /* the library's own code */
} s;

static void set_key(Aes *aes, int device, const uint8_t *key, uint32_t len)
{
	assert_int_equal(wc_AesInit(aes, NULL, device), 0);
	assert_int_equal(wc_AesGcmSetKey(aes, key, len), 0);
}

static int setup(void **state)
{
	static const uint8_t key[LW_TLS_KEY_LEN];

	(void)state;
	memset(&s, 0, sizeof(s));
	records_bed_open(&s.bed);
	set_key(&s.asked, LW_TLS_DEVICE, key, sizeof(key));
	set_key(&s.plain, INVALID_DEVID, key, sizeof(key));
	s.keys.seal.records = LW_TLS_RECORDS_BEFORE;
	s.keys.open.records = LW_TLS_RECORDS_BEFORE;
	lw_tls_records_use(s.bed.records);
	lw_tls_records_hold(&s.keys);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lw_tls_records_hold(NULL);
	lw_tls_keys_fini(&s.keys);
	wc_AesFree(&s.asked);
	wc_AesFree(&s.plain);
	records_bed_close(&s.bed);
	return 0;
}

static struct lw_tls_records_counts counts(void)
{
	struct lw_tls_records_counts c = { 0 };

	lw_tls_records_counts(s.bed.records, &c);
	return c;
}

struct record {
	uint8_t bytes[LEN];
	uint8_t iv[16];
	uint8_t aad[5];
	uint8_t tag[16];
};

static int seal(Aes *aes, struct record *r, uint8_t *to, uint32_t len, uint32_t iv, uint32_t tag)
{
	return wc_AesGcmEncrypt(aes, to, r->bytes, len, r->iv, iv, r->tag, tag, r->aad,
	                        sizeof(r->aad));
}

static int open_record(Aes *aes, struct record *r, uint8_t *to)
{
	return wc_AesGcmDecrypt(aes, to, r->bytes, LEN, r->iv, 12, r->tag, 16, r->aad,
	                        sizeof(r->aad));
}

static struct record example(void)
{
	struct record r = { .iv = "an iv of 12", .aad = { 23, 3, 3, 0, 116 } };

	for (uint8_t i = 0; i < LEN; i++)
		r.bytes[i] = i;
	return r;
}

static void seal__both_places__as_the_library(void **state)
{
	(void)state;
	for (int place = 0; place < 2; place++) {
		struct record a = example();
		struct record b = example();
		uint8_t other[LEN];
		uint8_t *to = place == 0 ? a.bytes : other;

		assert_int_equal(seal(&s.asked, &a, to, LEN, 12, 16), 0);
		assert_int_equal(seal(&s.plain, &b, b.bytes, LEN, 12, 16), 0);
		assert_memory_equal(to, b.bytes, LEN);
		assert_memory_equal(a.tag, b.tag, sizeof(a.tag));
	}
	assert_int_equal(counts().sealed, 2);
}

static void open__both_places__as_the_library(void **state)
{
	const struct record plain = example();

	(void)state;
	for (int place = 0; place < 2; place++) {
		struct record a = example();
		uint8_t other[LEN];
		uint8_t *to = place == 0 ? a.bytes : other;

		assert_int_equal(seal(&s.plain, &a, a.bytes, LEN, 12, 16), 0);
		assert_int_equal(open_record(&s.asked, &a, to), 0);
		assert_memory_equal(to, plain.bytes, LEN);
	}
	assert_int_equal(counts().opened, 2);
	assert_int_equal(counts().refused, 0);
}

static void open__any_bit_wrong__no_plaintext_is_left(void **state)
{
	static const uint8_t nothing[LEN];

	(void)state;
	for (unsigned bit = 0; bit < (16 + 5 + 12 + LEN) * 8; bit++) {
		struct record a = example();
		uint8_t to[LEN];
		unsigned at = bit / 8;

		memset(to, 0xa5, sizeof(to));
		assert_int_equal(seal(&s.plain, &a, a.bytes, LEN, 12, 16), 0);
		if (at < 16)
			a.tag[at] ^= (uint8_t)(1u << bit % 8);
		else if (at < 21)
			a.aad[at - 16] ^= (uint8_t)(1u << bit % 8);
		else if (at < 33)
			a.iv[at - 21] ^= (uint8_t)(1u << bit % 8);
		else
			a.bytes[at - 33] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(open_record(&s.asked, &a, to), AES_GCM_AUTH_E);
		assert_memory_equal(to, nothing, LEN);
		assert_int_equal(counts().refused, bit + 1);
	}
}

static void open__module_broken__fails_and_leaves_nothing(void **state)
{
	static const uint8_t nothing[LEN];
	struct record a = example();
	uint8_t to[LEN] = { 1 };

	(void)state;
	assert_int_equal(seal(&s.plain, &a, a.bytes, LEN, 12, 16), 0);
	s.bed.broken = -EIO;
	assert_int_equal(open_record(&s.asked, &a, to), AES_GCM_AUTH_E);
	assert_memory_equal(to, nothing, LEN);
}

/* what no record has */
static void other_uses__left_to_the_library(void **state)
{
	static const struct {
		uint32_t len;
		uint32_t iv;
		uint32_t tag;
	} odd[] = { { LEN, 16, 16 }, { LEN, 12, 12 }, { 0, 12, 16 } };
	static const uint8_t key[16];

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		struct record a = example();
		struct record b = example();

		assert_int_equal(seal(&s.asked, &a, a.bytes, odd[i].len, odd[i].iv, odd[i].tag), 0);
		assert_int_equal(seal(&s.plain, &b, b.bytes, odd[i].len, odd[i].iv, odd[i].tag), 0);
		assert_memory_equal(&a, &b, sizeof(a));
	}
	struct record a = example();
	Aes shorter;

	set_key(&shorter, LW_TLS_DEVICE, key, sizeof(key));
	assert_int_equal(seal(&shorter, &a, a.bytes, LEN, 12, 16), 0);
	wc_AesFree(&shorter);
	assert_int_equal(counts().sealed + counts().keys, 0);
}

/* nor is everything AES-GCM that the library asks about */
static void other_algorithms__left_to_the_library(void **state)
{
	uint8_t asked[32] = { 1 };
	uint8_t plain[32] = { 1 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		Aes *aes = i == 0 ? &s.asked : &s.plain;
		uint8_t *to = i == 0 ? asked : plain;
		wc_Sha256 sha;

		assert_int_equal(wc_AesCtrEncrypt(aes, to, to, 32), 0);
		assert_int_equal(wc_InitSha256_ex(&sha, NULL, aes->devId), 0);
		assert_int_equal(wc_Sha256Update(&sha, to, 32), 0);
		assert_int_equal(wc_Sha256Final(&sha, to), 0);
		wc_Sha256Free(&sha);
	}
	assert_memory_equal(asked, plain, sizeof(asked));
	assert_int_equal(counts().sealed + counts().opened + counts().keys, 0);
}

static void no_session_in_hand__left_to_the_library(void **state)
{
	struct record a = example();

	(void)state;
	lw_tls_records_hold(NULL);
	assert_int_equal(seal(&s.asked, &a, a.bytes, LEN, 12, 16), 0);
	lw_tls_records_hold(&s.keys);
	lw_tls_records_use(NULL);
	assert_int_equal(seal(&s.asked, &a, a.bytes, LEN, 12, 16), 0);
	assert_int_equal(counts().sealed, 0);
	lw_tls_records_use(s.bed.records);
	assert_int_equal(seal(&s.asked, &a, a.bytes, LEN, 12, 16), 0);
	assert_int_equal(counts().sealed, 1);
}

/* the same object of the library, as after a key update of other versions of it */
static void key__changes_in_place__is_noticed(void **state)
{
	uint8_t key[LW_TLS_KEY_LEN] = { 0 };

	(void)state;
	for (unsigned round = 0; round < LW_TLS_KEY_LEN * 8; round++) {
		struct record a = example();
		struct record b = example();

		assert_int_equal(seal(&s.asked, &a, a.bytes, LEN, 12, 16), 0);
		key[round / 8] ^= (uint8_t)(1u << round % 8);
		assert_int_equal(wc_AesGcmSetKey(&s.asked, key, sizeof(key)), 0);
		assert_int_equal(wc_AesGcmSetKey(&s.plain, key, sizeof(key)), 0);
		for (unsigned i = 0; i < LW_TLS_RECORDS_BEFORE + 2; i++) {
			a = example();
			b = example();
			assert_int_equal(seal(&s.asked, &a, a.bytes, LEN, 12, 16), 0);
			assert_int_equal(seal(&s.plain, &b, b.bytes, LEN, 12, 16), 0);
			assert_memory_equal(&a, &b, sizeof(a));
			assert_int_equal(s.bed.alive, i < LW_TLS_RECORDS_BEFORE ? 0 : 1);
		}
	}
	assert_int_equal(counts().keys, LW_TLS_KEY_LEN * 8 + 1);
}

static void race__slow_module__is_seen_to_be(void **state)
{
	struct lw_tls_race race = { 0 };

	(void)state;
	s.bed.slow_us = 200;
	assert_int_equal(lw_tls_records_race(s.bed.records, &race), 0);
	/* of one record, and not of an array of them, however busy the machine is */
	assert_in_range(race.seal_ns, 200000, 3000000);
	assert_in_range(race.open_ns, 200000, 3000000);
	assert_in_range(race.library_seal_ns, 50, race.seal_ns / 2);
	assert_in_range(race.library_open_ns, 50, race.open_ns / 2);
	assert_int_equal(s.bed.alive, 0);
	assert_int_equal(counts().sealed + counts().opened + counts().keys, 0);
}

static void race__broken_module__fails(void **state)
{
	struct lw_tls_race race = { 0 };

	(void)state;
	s.bed.broken = -EIO;
	assert_int_equal(lw_tls_records_race(s.bed.records, &race), -EIO);
	assert_int_equal(s.bed.alive, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(seal__both_places__as_the_library),
		CASE(open__both_places__as_the_library),
		CASE(open__any_bit_wrong__no_plaintext_is_left),
		CASE(open__module_broken__fails_and_leaves_nothing),
		CASE(other_uses__left_to_the_library),
		CASE(other_algorithms__left_to_the_library),
		CASE(no_session_in_hand__left_to_the_library),
		CASE(key__changes_in_place__is_noticed),
		CASE(race__slow_module__is_seen_to_be),
		CASE(race__broken_module__fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

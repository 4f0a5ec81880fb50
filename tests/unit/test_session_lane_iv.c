/* SPDX-License-Identifier: MIT */
/* The IVs of Expresslane packets: lane_iv.h has the argument why none comes twice. */
#include "fake/fake_cipher.h"
#include "session/expresslane.h"
#include "unit/test.h"

#define MANY (1u << 20)

extern const struct lw_module laneway_module; /* cipher-wolfcrypt */

struct worker {
	struct lw_fake_cipher fake;
	struct lw_random random;
	struct lw_lane_env env;
};

static void begin(struct worker *w, bool fake)
{
	memset(w, 0, sizeof(*w));
	lw_lane_env_init(&w->env, fake ? &lw_fake_cipher_ops : laneway_module.ops.cipher, &w->fake,
	                 NULL, &w->random);
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, LW_LANE_IV_LEN);
}

static void check_distinct(uint8_t (*ivs)[LW_LANE_IV_LEN], size_t n)
{
	qsort(ivs, n, sizeof(ivs[0]), compare);
	for (size_t i = 1; i < n; i++)
		assert_memory_not_equal(ivs[i - 1], ivs[i], sizeof(ivs[0]));
}

/* 2^20 in all: workers, each begun several times, each time with counters that begin anew, as with
 * each session; rotation changes the key and not the counter. */
static void iv__workers_and_restarts__all_differ(void **state)
{
	static uint8_t ivs[MANY][LW_LANE_IV_LEN];
	enum { WORKERS = 4, STARTS = 4, EACH = MANY / WORKERS / STARTS };
	static struct worker workers[WORKERS];
	size_t n = 0;

	(void)state;
	for (int start = 0; start < STARTS; start++) {
		for (int w = 0; w < WORKERS; w++)
			begin(&workers[w], false);
		for (uint64_t c = 1; c <= EACH; c++) {
			for (int w = 0; w < WORKERS; w++)
				lw_lane_iv_take(&workers[w].env, c, ivs[n++]);
		}
	}
	assert_int_equal(n, MANY);
	assert_memory_not_equal(workers[0].env.iv.mask, workers[1].env.iv.mask, 16);
	check_distinct(ivs, MANY);
	for (int w = 0; w < WORKERS; w++)
		lw_lane_env_fini(&workers[w].env);
}

/* However bad the keystream is: two packets of one key never have the same. */
static void iv__keystream_stands_still__all_differ(void **state)
{
	static uint8_t ivs[MANY][LW_LANE_IV_LEN];
	static struct worker w;

	(void)state;
	begin(&w, false);
	for (uint32_t i = 0; i < MANY; i++) {
		memset(w.env.iv.pool, (int)(i / 512 % 3), sizeof(w.env.iv.pool));
		w.env.iv.left = 8;
		/* the counters of a key: 2^30 of them at most, so these are far apart */
		lw_lane_iv_take(&w.env, UINT64_C(0xfffffff0) + i * (LW_LANE_MAX_PACKETS / MANY),
		                ivs[i]);
	}
	check_distinct(ivs, MANY);
	lw_lane_env_fini(&w.env);
}

/* Every bit of it is one in about half of them, and changes in about half of the steps. */
static void iv__each_bit__looks_like_chance(void **state)
{
	enum { N = 1 << 16, OFF = 4 * 128 }; /* four standard deviations of 2^16 coins */
	uint32_t ones[LW_LANE_IV_LEN * 8] = { 0 };
	uint32_t turns[LW_LANE_IV_LEN * 8] = { 0 };
	uint8_t before[LW_LANE_IV_LEN] = { 0 };
	static struct worker w;
	uint32_t out = 0;

	(void)state;
	begin(&w, false);
	for (uint64_t c = 1; c <= N; c++) {
		uint8_t iv[LW_LANE_IV_LEN];

		lw_lane_iv_take(&w.env, c, iv);
		for (uint32_t bit = 0; bit < LW_LANE_IV_LEN * 8; bit++) {
			uint8_t now = iv[bit / 8] >> bit % 8 & 1;

			ones[bit] += now;
			turns[bit] += now != (before[bit / 8] >> bit % 8 & 1);
		}
		memcpy(before, iv, sizeof(iv));
	}
	for (uint32_t bit = 0; bit < LW_LANE_IV_LEN * 8; bit++) {
		out += abs((int)ones[bit] - N / 2) > OFF;
		out += abs((int)turns[bit] - N / 2) > OFF;
	}
	assert_in_range(out, 0, 1); /* of 192, each with a chance of 1 in 16,000 */
	lw_lane_env_fini(&w.env);
}

static void iv__cipher_without_keys__comes_from_the_kernel(void **state)
{
	static uint8_t ivs[4096][LW_LANE_IV_LEN];
	static struct worker w;

	(void)state;
	begin(&w, true);
	w.fake.fail_keys = UINT32_MAX;
	for (uint32_t i = 0; i < 2048; i++)
		lw_lane_iv_take(&w.env, i, ivs[i]);
	w.fake.fail_keys = 0;
	w.fake.fail = -5;
	for (uint32_t i = 2048; i < 4096; i++)
		lw_lane_iv_take(&w.env, i, ivs[i]);
	assert_int_equal(w.fake.sealed, 0);
	assert_int_equal(w.fake.alive, 0);
	check_distinct(ivs, 4096);
	lw_lane_env_fini(&w.env);
}

/* One key for one pool, and neither it nor what was handed out from it can be found afterwards. */
static void iv__pool__has_a_key_of_its_own(void **state)
{
	static struct worker w;
	uint8_t key[32], first[32];
	uint8_t iv[LW_LANE_IV_LEN];
	static const uint8_t zeros[32];

	(void)state;
	begin(&w, true);
	lw_lane_iv_take(&w.env, 1, iv);
	memcpy(first, w.env.iv.key, sizeof(first));
	assert_memory_equal(w.env.iv.pool, zeros, sizeof(zeros));
	for (uint32_t i = 0; i < (LW_LANE_IV_POOL - 32) / 8; i++) {
		memcpy(key, w.env.iv.key, sizeof(key));
		assert_memory_equal(key, first, sizeof(key));
		lw_lane_iv_take(&w.env, 1, iv);
	}
	assert_memory_not_equal(w.env.iv.key, first, sizeof(first));
	assert_int_equal(w.fake.created, 2);
	lw_lane_env_fini(&w.env);
	assert_memory_equal(w.env.iv.key, zeros, sizeof(zeros));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iv__workers_and_restarts__all_differ),
		cmocka_unit_test(iv__keystream_stands_still__all_differ),
		cmocka_unit_test(iv__each_bit__looks_like_chance),
		cmocka_unit_test(iv__cipher_without_keys__comes_from_the_kernel),
		cmocka_unit_test(iv__pool__has_a_key_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "base/hash.h"
#include "unit/test.h"

struct item {
	uint64_t key;
	struct lw_hash_node node;
	int live;
};

#define N 5000

/* vectors of the paper's appendix A and of its authors' table: key 00..0f, input 00, 01, ... */
static void siphash__paper_vectors__match(void **state)
{
	const uint64_t key[2] = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };
	uint8_t in[15];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	assert_true(lw_siphash(key, in, 15) == 0xa129ca6149be45e5u);
	assert_true(lw_siphash(key, in, 0) == 0x726fdb47dd0e0e31u);
}

static void hash__random_work__agrees_with_an_array(void **state)
{
	struct item *items = calloc(N, sizeof(*items));
	uint64_t seed = 42;
	struct lw_hash h;
	size_t live = 0;

	(void)state;
	assert_non_null(items);
	assert_int_equal(lw_hash_init(&h,
	                              (ptrdiff_t)offsetof(struct item, key) -
	                                      (ptrdiff_t)offsetof(struct item, node),
	                              sizeof(uint64_t)),
	                 0);
	for (uint64_t i = 0; i < N; i++)
		items[i].key = i * 64;
	for (int i = 0; i < 20 * N; i++) {
		struct item *it = &items[test_random(&seed) % N];

		if (it->live)
			lw_hash_remove(&h, &it->node);
		else
			lw_hash_add(&h, &it->node);
		live += it->live ? (size_t)-1 : 1;
		it->live = !it->live;
		assert_int_equal(h.n, live);
	}
	for (int i = 0; i < N; i++) {
		struct lw_hash_node *found = lw_hash_find(&h, &items[i].key);

		assert_ptr_equal(found, items[i].live ? &items[i].node : NULL);
		if (found != NULL)
			assert_ptr_equal(lw_hash_owner(found, struct item, node), &items[i]);
	}
	lw_hash_fini(&h);
	free(items);
}

static void hash_remove__not_in_table__left_alone(void **state)
{
	struct item a = { .key = 1 };
	struct lw_hash h;

	(void)state;
	assert_int_equal(lw_hash_init(&h, -8, 8), 0);
	lw_hash_remove(&h, &a.node);
	assert_int_equal(h.n, 0);
	lw_hash_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash__paper_vectors__match),
		cmocka_unit_test(hash__random_work__agrees_with_an_array),
		cmocka_unit_test(hash_remove__not_in_table__left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

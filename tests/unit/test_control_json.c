/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "control/json.h"
#include "control/json_read.h"
#include "unit/test.h"

static void json__object_and_array__are_written_with_commas(void **state)
{
	struct lw_json j = { .text = NULL };

	(void)state;
	lw_json_object(&j, NULL);
	lw_json_string(&j, "a", "x");
	lw_json_array(&j, "b");
	lw_json_uint(&j, NULL, 18446744073709551615u);
	lw_json_object(&j, NULL);
	lw_json_end(&j);
	lw_json_bool(&j, NULL, true);
	lw_json_end(&j);
	lw_json_bool(&j, "c", false);
	lw_json_string(&j, "d", NULL);
	lw_json_end(&j);
	assert_false(j.failed);
	assert_string_equal(j.text, "{\"a\":\"x\",\"b\":[18446744073709551615,{},true],"
	                            "\"c\":false,\"d\":null}");
	lw_json_fini(&j);
}

static void json_string__special_bytes__are_escaped(void **state)
{
	struct lw_json j = { .text = NULL };

	(void)state;
	lw_json_array(&j, NULL);
	lw_json_string(&j, NULL, "\"\\\n\x01\x7f/");
	lw_json_string(&j, NULL, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	lw_json_string(&j, NULL, "\xff\xc0\xaf\xed\xa0\x80\xe2\x82");
	lw_json_end(&j);
	assert_string_equal(j.text,
	                    "[\"\\\"\\\\\\u000a\\u0001\\u007f/\","
	                    "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\","
	                    "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"]");
	lw_json_fini(&j);
}

static void json__over_the_limit__fails_and_stays_failed(void **state)
{
	static char big[LW_JSON_SIZE_MAX];
	struct lw_json j = { .text = NULL };

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	lw_json_array(&j, NULL);
	lw_json_string(&j, NULL, big);
	assert_true(j.failed);
	lw_json_string(&j, NULL, "small");
	lw_json_end(&j);
	assert_true(j.failed);
	assert_true(j.cap <= 4 * LW_JSON_SIZE_MAX);
	lw_json_fini(&j);
	assert_false(j.failed);
}

static void json_read__what_was_written__comes_back(void **state)
{
	static const char tricky[] = "\"\\\n\t\x01 \xc3\xa9\xe2\x82\xac";
	struct lw_json j = { .text = NULL };
	struct lw_json_node *root;
	const struct lw_json_node *list;

	(void)state;
	lw_json_object(&j, NULL);
	lw_json_string(&j, tricky, tricky);
	lw_json_array(&j, "list");
	lw_json_uint(&j, NULL, 0);
	lw_json_uint(&j, NULL, 12345);
	lw_json_array(&j, NULL);
	lw_json_end(&j);
	lw_json_end(&j);
	lw_json_bool(&j, "yes", true);
	lw_json_string(&j, "none", NULL);
	lw_json_end(&j);
	assert_int_equal(lw_json_read(j.text, &root), 0);
	assert_string_equal(lw_json_get(root, tricky)->text, tricky);
	list = lw_json_get(root, "list");
	assert_int_equal(list->type, LW_JSON_ARRAY);
	assert_string_equal(list->child->text, "0");
	assert_string_equal(list->child->next->text, "12345");
	assert_int_equal(list->child->next->next->type, LW_JSON_ARRAY);
	assert_null(list->child->next->next->child);
	assert_null(list->child->next->next->next);
	assert_int_equal(lw_json_get(root, "yes")->type, LW_JSON_TRUE);
	assert_int_equal(lw_json_get(root, "none")->type, LW_JSON_NULL);
	assert_null(lw_json_get(root, "absent"));
	assert_null(lw_json_get(NULL, "absent"));
	lw_json_free(root);
	lw_json_fini(&j);
}

static void json_read__spaces__are_passed_over(void **state)
{
	char text[] = " { \"a\" : [ 1 , -2.5e3 ] ,\r\n\"b\":{}\t} \n";
	struct lw_json_node *root;

	(void)state;
	assert_int_equal(lw_json_read(text, &root), 0);
	assert_string_equal(lw_json_get(root, "a")->child->next->text, "-2.5e3");
	assert_int_equal(lw_json_get(root, "b")->type, LW_JSON_OBJECT);
	lw_json_free(root);
}

static void json_read__no_json__is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"[]",
		"1",
		"{",
		"{\"a\"",
		"{\"a\":",
		"{\"a\":1",
		"{\"a\":1,",
		"{\"a\":1,}",
		"{\"a\":1}x",
		"{\"a\":1 \"b\":2}",
		"{a:1}",
		"{1:1}",
		"{\"a\":[1,]}",
		"{\"a\":[1}",
		"{\"a\":[}]",
		"{\"a\":tru}",
		"{\"a\":\"",
		"{\"a\":\"\\",
		"{\"a\":\"\\q\"}",
		"{\"a\":\"\\u12\"}",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":\"\\ud800\"}",
		"{\"a\":\"\n\"}",
		"{\"a\" 1}",
		"{,\"a\":1}",
		"{\"a\":truefalse}",
		"{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *copy = strdup(bad[i]); /* exactly as long, so that a read beyond is seen */
		struct lw_json_node *root = NULL;

		assert_non_null(copy);
		assert_int_equal(lw_json_read(copy, &root), -EBADMSG);
		assert_null(root);
		free(copy);
	}
}

static void json_read__mutated_documents__never_read_beyond(void **state)
{
	static const char seed[] =
		"{\"a\":[1,{\"b\":\"\\u00e9\\n\"},true],\"c\":null,\"d\":{\"e\":-1}}";
	uint64_t rng = 0x9e3779b97f4a7c15u;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char *copy = strdup(seed);
		struct lw_json_node *root = NULL;

		assert_non_null(copy);
		for (uint64_t k = test_random(&rng) % 4; k > 0; k--) {
			size_t at = test_random(&rng) % (sizeof(seed) - 1);

			copy[at] = "{}[],:\"\\u0 1tn\xff"[test_random(&rng) % 16];
		}
		if (lw_json_read(copy, &root) == 0) {
			assert_int_equal(root->type, LW_JSON_OBJECT);
			lw_json_free(root);
		}
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json__object_and_array__are_written_with_commas),
		cmocka_unit_test(json_string__special_bytes__are_escaped),
		cmocka_unit_test(json__over_the_limit__fails_and_stays_failed),
		cmocka_unit_test(json_read__what_was_written__comes_back),
		cmocka_unit_test(json_read__spaces__are_passed_over),
		cmocka_unit_test(json_read__no_json__is_refused),
		cmocka_unit_test(json_read__mutated_documents__never_read_beyond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

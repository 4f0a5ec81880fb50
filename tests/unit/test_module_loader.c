/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "abi/abi.h"
#include "module/check.h"
#include "module/loader.h"

/* where make check leaves the shared objects of tests/abi */
#define DIR_OF_OBJECTS "tests/abi/.libs"

static const struct lw_module good = ABI_GOOD;
static const struct lw_module wrong_magic = ABI_WRONG_MAGIC;
static const struct lw_module other_major = ABI_OTHER_MAJOR;
static const struct lw_module newer_minor = ABI_NEWER_MINOR;
static const struct lw_module missing_op = ABI_MISSING_OP;
static const struct lw_module *const linked[] = { &good,        &wrong_magic, &other_major,
	                                          &newer_minor, &missing_op,  NULL };

/* names of descriptors, and why each is refused; NULL: it is not */
static const struct {
	const char *name, *why;
} cases[] = {
	{ "filter-good", NULL },
	{ "filter-wrong-magic", "no Laneway module: magic is 4e414c45, not 4c414e45" },
	{ "filter-other-major", "built for ABI 1.0, this host has 0.5; rebuild it" },
	{ "filter-newer-minor", "needs ABI 0.6, this host has 0.5; update Laneway" },
	{ "filter-missing-op", "operation 'egress' is missing" },
};

static void expect_refusals(struct lw_loader *l, const char *before, const char *behind)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct lw_module *m = NULL;
		struct lw_err err = { 0 };
		char sentence[208];
		int r = lw_loader_get(l, cases[i].name, NULL, &m, &err);

		if (cases[i].why == NULL) {
			assert_int_equal(r, 0);
			assert_string_equal(m->name, cases[i].name);
			continue;
		}
		(void)snprintf(sentence, sizeof(sentence), "%s%s%s: %s", before, cases[i].name,
		               behind, cases[i].why);
		assert_int_equal(r, -ENOEXEC);
		assert_string_equal(err.text, sentence);
		assert_null(m);
	}
}

static void loader__linked_descriptors__are_taken_or_refused_in_a_sentence(void **state)
{
	struct lw_loader *l = NULL;

	(void)state;
	assert_int_equal(lw_loader_create(NULL, linked, &l), 0);
	expect_refusals(l, "(linked in) ", "");
	lw_loader_destroy(l);
}

static void count_name(void *arg, const char *name)
{
	size_t *n = arg;

	assert_non_null(name);
	(*n)++;
}

static void loader__each__names_those_of_a_kind(void **state)
{
	struct lw_loader *l = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(lw_loader_create(NULL, linked, &l), 0);
	lw_loader_each(l, "filter", count_name, &n);
	assert_int_equal(n, 5);
	lw_loader_each(l, "inside", count_name, &n);
	assert_int_equal(n, 5);
	lw_loader_destroy(l);
}

static void loader__unknown_name__names_the_near_one(void **state)
{
	const struct lw_module *m = NULL;
	struct lw_loader *l = NULL;
	struct lw_err err = { 0 };

	(void)state;
	assert_int_equal(lw_loader_create("/nowhere", linked, &l), 0);
	assert_int_equal(lw_loader_get(l, "filter-goof", NULL, &m, &err), -ENOENT);
	assert_string_equal(err.text,
	                    "no module filter-goof in this program; did you mean filter-good");
	assert_int_equal(lw_loader_get(l, "../filter-good", NULL, &m, &err), -ENOENT);
	assert_string_equal(err.text, "a module's name has only a-z, 0-9 and -");
	lw_loader_destroy(l);
}

#ifdef LW_STATIC_MODULES
static void loader__file_in_a_static_build__is_refused(void **state)
{
	const struct lw_module *m = NULL;
	struct lw_loader *l = NULL;
	struct lw_err err = { 0 };

	(void)state;
	assert_int_equal(lw_loader_create(NULL, linked, &l), 0);
	assert_int_equal(lw_loader_get(l, "filter-x", "/proc/self/exe", &m, &err), -ENOEXEC);
	assert_string_equal(err.text, "/proc/self/exe: this build has its modules linked in and "
	                              "loads no others");
	lw_loader_destroy(l);
}
#else
static void loader__shared_objects__are_taken_or_refused_in_a_sentence(void **state)
{
	struct lw_loader *l = NULL;

	(void)state;
	assert_int_equal(lw_loader_create(DIR_OF_OBJECTS, NULL, &l), 0);
	expect_refusals(l, DIR_OF_OBJECTS "/", ".so");
	lw_loader_destroy(l);
}

static void loader__same_object_twice__gives_one_descriptor(void **state)
{
	const struct lw_module *a = NULL;
	const struct lw_module *b = NULL;
	struct lw_loader *l = NULL;

	(void)state;
	assert_int_equal(lw_loader_create(DIR_OF_OBJECTS, NULL, &l), 0);
	assert_int_equal(lw_loader_get(l, "filter-good", NULL, &a, NULL), 0);
	assert_int_equal(
		lw_loader_get(l, "filter-good", DIR_OF_OBJECTS "/filter-good.so", &b, NULL), 0);
	assert_ptr_equal(a, b);
	lw_loader_destroy(l);
}

/* dlopen() takes a word without a slash for a library of the system. */
static void loader__file_in_this_folder__is_found(void **state)
{
	const struct lw_module *m = NULL;
	struct lw_loader *l = NULL;
	char *before = get_current_dir_name();

	(void)state;
	assert_non_null(before);
	assert_int_equal(chdir(DIR_OF_OBJECTS), 0);
	assert_int_equal(lw_loader_create("/nowhere", NULL, &l), 0);
	assert_int_equal(lw_loader_get(l, "filter-good", "filter-good.so", &m, NULL), 0);
	assert_string_equal(m->name, "filter-good");
	lw_loader_destroy(l);
	assert_int_equal(chdir(before), 0);
	free(before);
}

static void loader__object_that_is_no_such_module__is_refused(void **state)
{
	const struct lw_module *m = NULL;
	struct lw_loader *l = NULL;
	struct lw_err err = { 0 };

	(void)state;
	assert_int_equal(lw_loader_create(DIR_OF_OBJECTS, NULL, &l), 0);
	assert_int_equal(lw_loader_get(l, "filter-other-name", NULL, &m, &err), -ENOEXEC);
	assert_string_equal(err.text, DIR_OF_OBJECTS "/filter-other-name.so: holds module "
	                                             "filter-somebody, not filter-other-name");
	assert_int_equal(lw_loader_get(l, "filter-no-symbol", NULL, &m, &err), -ENOEXEC);
	assert_string_equal(err.text, DIR_OF_OBJECTS "/filter-no-symbol.so: no Laneway module: no "
	                                             "symbol laneway_module");
	assert_int_equal(lw_loader_get(l, "filter-x", "Makefile", &m, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "cannot load "));
	assert_non_null(strstr(err.text, "Makefile"));
	assert_int_equal(lw_loader_get(l, "filter-x", "no/such.so", &m, &err), -ENOENT);
	assert_string_equal(err.text, "no/such.so: no such file");
	assert_int_equal(lw_loader_get(l, "filter-god", NULL, &m, &err), -ENOENT);
	assert_string_equal(err.text,
	                    "no module filter-god in " DIR_OF_OBJECTS "; did you mean filter-good");
	lw_loader_destroy(l);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loader__linked_descriptors__are_taken_or_refused_in_a_sentence),
		cmocka_unit_test(loader__each__names_those_of_a_kind),
		cmocka_unit_test(loader__unknown_name__names_the_near_one),
#ifdef LW_STATIC_MODULES
		cmocka_unit_test(loader__file_in_a_static_build__is_refused),
#else
		cmocka_unit_test(loader__shared_objects__are_taken_or_refused_in_a_sentence),
		cmocka_unit_test(loader__same_object_twice__gives_one_descriptor),
		cmocka_unit_test(loader__file_in_this_folder__is_found),
		cmocka_unit_test(loader__object_that_is_no_such_module__is_refused),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

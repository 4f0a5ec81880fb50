/* SPDX-License-Identifier: MIT */
/* The configuration against a small table of every kind of row, and two linked-in filters. */
#include "unit/test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "unit/conf_table.h"

/* a folder of its own, so that messages begin with a name of known length */
static char dir[] = "/tmp/laneway-conf-XXXXXX";
static char conf_file[64];

struct bed {
	struct lw_loader *loader;
	struct lw_conf *conf;
	struct options options;
	char *said;
	size_t said_len;
};

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void bed_open(struct bed *b, const char *text)
{
	*b = (struct bed){ .said = NULL };
	write_file(conf_file, text, 0600);
	assert_int_equal(lw_loader_create(NULL, linked, &b->loader), 0);
	assert_int_equal(lw_conf_create(&program, &b->options, b->loader, &b->conf), 0);
	lw_conf_load(b->conf, conf_file);
}

/* what is wrong, the folder cut off each line that has it */
static const char *bed_finish(struct bed *b)
{
	FILE *f = open_memstream(&b->said, &b->said_len);
	char *in;
	char *out;

	assert_non_null(f);
	lw_conf_finish(b->conf);
	lw_conf_report(b->conf, f);
	assert_int_equal(fclose(f), 0);
	for (in = out = b->said; *in != '\0';) {
		if (strncmp(in, dir, strlen(dir)) == 0 && in[strlen(dir)] == '/')
			in += strlen(dir) + 1;
		else
			*out++ = *in++;
	}
	*out = '\0';
	return b->said;
}

static void bed_close(struct bed *b)
{
	lw_conf_destroy(b->conf);
	lw_loader_destroy(b->loader);
	free(b->said);
}

static void expect_said(const char *text, const char *said)
{
	struct bed b;

	bed_open(&b, text);
	assert_string_equal(bed_finish(&b), said);
	bed_close(&b);
}

static void conf_load__short_file__gives_values_and_defaults(void **state)
{
	const struct lw_conf_use *use;
	const struct abi_options *o;
	struct bed b;

	(void)state;
	bed_open(&b, "names: [a, b]\nnetwork: { pool: 10.0.0.0/8 }\npause: 1m\nfile: x/y\n"
	             "chain: [{ module: other, count: 9 }, { module: other }]\n");
	assert_string_equal(bed_finish(&b), "");
	assert_int_equal(b.options.network.mtu, 1350);
	assert_int_equal(b.options.network.pool.prefix, 8);
	assert_int_equal(b.options.pause, 60000000);
	assert_int_equal(b.options.names.n, 2);
	assert_memory_equal(b.options.file, dir, strlen(dir));
	assert_string_equal(b.options.file + strlen(dir), "/x/y");
	assert_memory_equal(b.options.login.key, dir, strlen(dir));
	assert_int_equal(b.options.one.n, 1);
	assert_int_equal(b.options.chain.n, 2);
	use = b.options.chain.items;
	assert_ptr_equal(use[0].module, &other);
	o = use[0].opts;
	assert_int_equal(o->count, 9);
	o = use[1].opts;
	assert_int_equal(o->count, 7);
	assert_int_equal(o->span, 5000000);
	bed_close(&b);
}

static void conf_load__scalar_for_a_list__is_a_list_of_one(void **state)
{
	struct bed b;

	(void)state;
	bed_open(&b, "names: a\n");
	assert_string_equal(bed_finish(&b), "");
	assert_int_equal(b.options.names.n, 1);
	bed_close(&b);
}

static void conf_load__modules_in_order_of_preference__are_all_kept(void **state)
{
	static const char *const texts[] = {
		"names: a\none: { module: [other, good], count: 3 }\n",
		"names: a\none: [{ module: other, count: 3 }, { module: good, count: 3 }]\n",
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct lw_conf_use *use;
		const struct abi_options *o;
		struct bed b;

		bed_open(&b, texts[i]);
		assert_string_equal(bed_finish(&b), "");
		assert_int_equal(b.options.one.n, 2);
		use = b.options.one.items;
		assert_ptr_equal(use[0].module, &other);
		assert_ptr_equal(use[1].module, &good);
		o = use[1].opts;
		assert_int_equal(o->count, 3);
		bed_close(&b);
	}
}

/* a mistake alone, and what is said: its place and what to do */
struct mistake {
	const char *text, *said;
};

static void conf_load__mistake__is_told_with_line_and_column(void **state)
{
	static const struct mistake cases[] = {
		{ "names: a\nnetwrok: {}\n",
		  "c.yaml:2:1: unknown key 'netwrok'; did you mean 'network'?\n" },
		{ "names: a\nnetwork:\n  mtuu: 1400\n",
		  "c.yaml:3:3: unknown key 'mtuu' in network; did you mean 'mtu'?\n" },
		{ "names: a\nxyzzyx: 1\n",
		  "c.yaml:2:1: unknown key 'xyzzyx'; --help lists all keys\n" },
		{ "names: a\ncolour: red\ncolour: green\n",
		  "c.yaml:3:1: key 'colour' stands here again; it was first in line 2\n" },
		{ "names: a\ncolour: blue\n",
		  "c.yaml:2:9: colour: 'blue' is not a choice here; use red or green\n" },
		{ "names: a\nnetwork: { mtu: 9 }\n",
		  "c.yaml:2:17: mtu: '9' is too small; allowed is 576 to 1500 bytes\n" },
		{ "names: a\npause: 5\n",
		  "c.yaml:2:8: pause: '5' lacks a unit; write a duration like 15m or 1h30m\n" },
		{ "names: a\npause: [1s]\n",
		  "c.yaml:2:8: pause: needs a single value: duration\n" },
		{ "names: a\npause:\n", "c.yaml:2:7: pause: needs a single value: duration\n" },
		{ "names: a\npause: ~\n", "c.yaml:2:8: pause: needs a single value: duration\n" },
		{ "names: a\nnetwork: 1400\n",
		  "c.yaml:2:10: network needs keys and values here\n" },
		{ "names: a\n? [x]\n: y\n", "c.yaml:2:3: a key must be a word\n" },
		{ "colour: red\n", "c.yaml:1:1: names is missing: name them\n" },
		{ "", "c.yaml:1:1: names is missing: name them\n" },
		{ "- a\n", "c.yaml:1:1: the file needs keys and values here\n"
		           "c.yaml:1:1: names is missing: name them\n" },
		{ "names: a\n---\nnames: b\n",
		  "c.yaml:3:1: a second document; remove the line '---' before it\n" },
		{ "names: a\nnetwork: { mtu: 1350\n",
		  "c.yaml:3:1: not YAML: did not find expected ',' or '}', while parsing a flow "
		  "mapping; look at indentation and quotes\n" },
		{ "names: a\n\"\\e[31m\": 1\n",
		  "c.yaml:2:1: unknown key '\\x1b[31m'; --help lists all keys\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_said(cases[i].text, cases[i].said);
}

static void conf_load__module_for_a_newer_laneway__is_told(void **state)
{
	char said[160];

	(void)state;
	(void)snprintf(said, sizeof(said),
	               "c.yaml:3:5: chain: (linked in) filter-newer-minor: needs ABI %d.%d, this "
	               "host has %d.%d; update Laneway\n",
	               LW_ABI_MAJOR, LW_ABI_MINOR + 1, LW_ABI_MAJOR, LW_ABI_MINOR);
	expect_said("names: a\nchain:\n  - module: newer-minor\n", said);
}

static void conf_load__mistake_where_a_module_is_used__is_told_with_line_and_column(void **state)
{
	static const struct mistake cases[] = {
		{ "names: a\nchain: [{ count: 3 }]\n",
		  "c.yaml:2:9: chain: needs 'module: NAME'\n" },
		{ "names: a\nchain: [good]\n",
		  "c.yaml:2:9: chain: needs keys, such as 'module: NAME'\n" },
		{ "names: a\nchain:\n  - module: goood\n",
		  "c.yaml:3:5: chain: no module filter-goood in this program; did you mean "
		  "filter-good\n" },
		{ "names: a\nchain:\n  - module: good\n    cuont: 3\n",
		  "c.yaml:4:5: unknown key 'cuont' in filter-good; did you mean 'count'?\n" },
		{ "names: a\nchain:\n  - module: good\n    count: 101\n",
		  "c.yaml:4:12: count: '101' is too large; allowed is 1 to 100 packets\n" },
		{ "names: a\nchain:\n  - module: good\n    count: 13\n",
		  "c.yaml:4:12: count: 13 brings bad luck; choose another\n" },
		{ "names: a\nchain:\n  - { module: good, module: other }\n",
		  "c.yaml:3:21: key 'module' stands here again; it was first in line 3\n" },
		{ "names: a\nchain: [{ module: good, path: [] }]\n",
		  "c.yaml:2:31: path: needs the file of a module\n" },
		{ "names: a\nchain: [{ module: good }, { module: good }, { module: good }, "
		  "{ module: good }]\n",
		  "c.yaml:2:63: chain: at most 3 modules; remove some\n" },
		{ "names: a\none: []\n", "c.yaml:2:6: one: the list is empty; name a module, or "
		                         "remove the key for the default\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_said(cases[i].text, cases[i].said);
}

static void conf_load__many_mistakes__are_all_told_in_one_run(void **state)
{
	(void)state;
	expect_said("colour: blue\n"
	            "network:\n"
	            "  mtu: 9\n"
	            "  mtuu: 9\n"
	            "pause: 61s\n"
	            "chain:\n"
	            "  - module: good\n"
	            "    count: 0\n"
	            "    words: [[]]\n",
	            "c.yaml:1:9: colour: 'blue' is not a choice here; use red or green\n"
	            "c.yaml:3:8: mtu: '9' is too small; allowed is 576 to 1500 bytes\n"
	            "c.yaml:4:3: unknown key 'mtuu' in network; did you mean 'mtu'?\n"
	            "c.yaml:5:8: pause: '61s' is too large; allowed is 0s to 1m\n"
	            "c.yaml:8:12: count: '0' is too small; allowed is 1 to 100 packets\n"
	            "c.yaml:9:13: words: needs a single value: text\n"
	            "c.yaml:1:1: names is missing: name them\n");
}

static void conf_load__no_file__says_only_that(void **state)
{
	struct bed b;

	(void)state;
	bed_open(&b, "");
	lw_conf_destroy(b.conf);
	assert_int_equal(lw_conf_create(&program, &b.options, b.loader, &b.conf), 0);
	lw_conf_load(b.conf, "/nowhere/at/all.yaml");
	assert_string_equal(bed_finish(&b), "/nowhere/at/all.yaml: cannot read the configuration: "
	                                    "No such file or directory\n");
	bed_close(&b);
}

/* more mistakes than are told, and more keys than are compared, in bounded time */
static void conf_load__endless_nonsense__ends(void **state)
{
	char *text = malloc(200000);
	size_t n = 0;
	struct bed b;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < 900; i++)
		n += (size_t)sprintf(text + n, "k%d: 1\n", i);
	bed_open(&b, text);
	assert_non_null(strstr(bed_finish(&b), "c.yaml: no more than 100 mistakes are told\n"));
	bed_close(&b);
	for (n = 0; n < 190000;)
		n += (size_t)sprintf(text + n, "k%zu: 1\n", n);
	expect_said(text, "c.yaml:1:1: more than 1000 keys in one place\n"
	                  "c.yaml:1:1: names is missing: name them\n");
	free(text);
}

static void conf_load__secret_in_a_file_that_others_read__is_refused(void **state)
{
	struct bed b;

	(void)state;
	bed_open(&b, "names: a\nlogin: { password: hunter2 }\n");
	assert_int_equal(chmod(conf_file, 0644), 0);
	assert_string_equal(
		bed_finish(&b),
		"c.yaml:2:20: a secret stands in this file, but others may read it "
		"(mode 0644); run chmod 600, or keep the secret in a file of its own\n");
	bed_close(&b);
}

static void conf_load__secret_file_that_others_read__is_refused(void **state)
{
	char path[80];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/open.key", dir);
	write_file(path, "x", 0640);
	expect_said("names: a\nlogin: { key: open.key }\n",
	            "c.yaml:2:15: key: others may read 'open.key' (mode 0640); run chmod 600 "
	            "'open.key'\n");
	expect_said("names: a\nlogin: { key: gone.key }\n",
	            "c.yaml:2:15: key: cannot read 'gone.key': No such file or directory\n");
	expect_said("names: a\nlogin: { key: . }\n",
	            "c.yaml:2:15: key: '.' is not a regular file\n");
	(void)unlink(path);
}

/* the default is a path too */
static void conf_load__default_secret_file_missing__is_told(void **state)
{
	char path[80];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/own.key", dir);
	assert_int_equal(unlink(path), 0);
	expect_said("names: a\n",
	            "c.yaml: key: cannot read 'own.key': No such file or directory\n");
	write_file(path, "x", 0600);
}

static void conf_set__file_environment_and_command_line__win_in_this_order(void **state)
{
	char near[LW_CONF_NEAR_MAX];
	struct bed b;

	(void)state;
	assert_int_equal(setenv("LANEWAY_NETWORK_MTU", "1401", 1), 0);
	assert_int_equal(setenv("LANEWAY_COLOUR", "green", 1), 0);
	bed_open(&b, "names: a\nnetwork: { mtu: 1400 }\ncolour: red\npause: 2s\n");
	assert_int_equal(unsetenv("LANEWAY_NETWORK_MTU"), 0);
	assert_int_equal(unsetenv("LANEWAY_COLOUR"), 0);
	assert_int_equal(b.options.network.mtu, 1401);
	assert_int_equal(b.options.colour, 1);
	assert_int_equal(b.options.pause, 2000000);
	assert_true(lw_conf_set(b.conf, "network-mtu", "1402", near));
	assert_int_equal(b.options.network.mtu, 1402);
	assert_true(lw_conf_set(b.conf, "file", "here", near));
	assert_string_equal(b.options.file, "here"); /* relative to the shell, not to the file */
	assert_string_equal(bed_finish(&b), "");
	bed_close(&b);
}

static void conf_set__wrong_value__names_the_variable_or_the_argument(void **state)
{
	char near[LW_CONF_NEAR_MAX];
	struct bed b;

	(void)state;
	assert_int_equal(setenv("LANEWAY_NETWORK_MTU", "9", 1), 0);
	bed_open(&b, "names: a\n");
	assert_int_equal(unsetenv("LANEWAY_NETWORK_MTU"), 0);
	assert_false(lw_conf_usage(b.conf));
	assert_true(lw_conf_set(b.conf, "pause", "never", near));
	assert_true(lw_conf_set(b.conf, "login-password", "hunter2", near));
	assert_true(lw_conf_set(b.conf, "names", "b", near));
	assert_true(lw_conf_usage(b.conf));
	assert_string_equal(
		bed_finish(&b),
		"LANEWAY_NETWORK_MTU: '9' is too small; allowed is 576 to 1500 bytes\n"
		"--pause: 'never' is not a duration; write one like 15m or 1h30m\n"
		"--login-password: a secret is not taken from the command line; write it into the "
		"file\n"
		"--names: a list is not taken from the command line; write it into the file\n");
	assert_null(b.options.login.password);
	assert_int_equal(b.options.names.n, 1);
	bed_close(&b);
}

static void conf_set__unknown_key__names_the_near_one(void **state)
{
	char near[LW_CONF_NEAR_MAX];
	struct bed b;

	(void)state;
	bed_open(&b, "names: a\n");
	assert_false(lw_conf_set(b.conf, "network-mut", "1400", near));
	assert_string_equal(near, "network-mtu");
	assert_false(lw_conf_set(b.conf, "xyzzy", "1400", near));
	assert_string_equal(near, "");
	bed_close(&b);
}

static void conf_error_item__item_of_a_list__has_its_own_place(void **state)
{
	struct bed b;

	(void)state;
	bed_open(&b, "names:\n  - a\n  - b\n  - c\n");
	lw_conf_error_item(b.conf, &b.options.names, 1, "names: 'b' is wrong");
	assert_string_equal(bed_finish(&b), "c.yaml:3:5: names: 'b' is wrong\n");
	bed_close(&b);
}

/* without what stands behind the values: places change, values must not */
static char *print(const struct lw_conf *c, bool places)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	char *out;

	assert_non_null(f);
	lw_conf_print(c, f);
	assert_int_equal(fclose(f), 0);
	out = text;
	for (const char *in = text; *in != '\0' && !places;) {
		const char *comment = strstr(in, "  #");

		if (comment == in)
			in += strcspn(in, "\n");
		*out++ = *in++;
	}
	if (!places)
		*out = '\0';
	return text;
}

static void conf_print__values__carry_their_origin_and_no_secret(void **state)
{
	char *text;
	struct bed b;
	char said[1200];

	(void)state;
	assert_int_equal(setenv("LANEWAY_COLOUR", "green", 1), 0);
	bed_open(&b, "names: [a, \"b\\\"\\n\\x01\"]\nnetwork: { pool: 10.0.0.0/8 }\n"
	             "login: { password: hunter2 }\nchain: [{ module: other, words: [x] }]\n");
	assert_int_equal(unsetenv("LANEWAY_COLOUR"), 0);
	assert_string_equal(bed_finish(&b), "");
	text = print(b.conf, true);
	(void)snprintf(said, sizeof(said),
	               "network:\n"
	               "  mtu: 1350  # default\n"
	               "  pool: 10.0.0.0/8  # %s:2:18\n"
	               "login:\n"
	               "  password: '***'  # %s:3:20\n"
	               "  key: \"%s/own.key\"  # default\n"
	               "colour: green  # environment\n"
	               "pause: 1s  # default\n"
	               "names: [\"a\", \"b\\\"\\n\\x01\"]  # %s:1:12\n"
	               "one:\n"
	               "  module: good\n"
	               "  count: 7  # default\n"
	               "  span: 5s  # default\n"
	               "chain:\n"
	               "  - module: other\n"
	               "    count: 7  # default\n"
	               "    words: [\"x\"]  # %s:4:34\n"
	               "    span: 5s  # default\n",
	               conf_file, conf_file, dir, conf_file, conf_file);
	assert_string_equal(text, said);
	free(text);
	bed_close(&b);
}

/* what was printed is a configuration with the same values */
static void conf_print__read_again__prints_the_same(void **state)
{
	static const char *const texts[] = {
		"names: a\n",
		"names: ['', 'a: b', '#', '[', \"\\t\", 'off', ~x]\nfile: 'a b'\n",
		"names: a\nnetwork: { mtu: 1400, pool: '::/0' }\npause: 59s\ncolour: green\n",
		"names: a\none: [{ module: other, count: 2 }, { module: good, words: [] }]\n",
		"names: a\nchain: [{ module: good, file: rules }, { module: other, span: 1ms }]\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *first;
		char *again;
		struct bed b;

		bed_open(&b, texts[i]);
		assert_string_equal(bed_finish(&b), "");
		first = print(b.conf, false);
		bed_close(&b);
		bed_open(&b, first);
		assert_string_equal(bed_finish(&b), "");
		again = print(b.conf, false);
		assert_string_equal(again, first);
		free(again);
		free(first);
		bed_close(&b);
	}
}

static int make_folder(void **state)
{
	char path[80];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(conf_file, sizeof(conf_file), "%s/c.yaml", dir);
	(void)snprintf(path, sizeof(path), "%s/own.key", dir);
	write_file(path, "x", 0600);
	return 0;
}

static int remove_folder(void **state)
{
	char path[80];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/own.key", dir);
	(void)unlink(path);
	(void)unlink(conf_file);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conf_load__short_file__gives_values_and_defaults),
		cmocka_unit_test(conf_load__scalar_for_a_list__is_a_list_of_one),
		cmocka_unit_test(conf_load__modules_in_order_of_preference__are_all_kept),
		cmocka_unit_test(conf_load__mistake__is_told_with_line_and_column),
		cmocka_unit_test(conf_load__module_for_a_newer_laneway__is_told),
		cmocka_unit_test(
			conf_load__mistake_where_a_module_is_used__is_told_with_line_and_column),
		cmocka_unit_test(conf_load__many_mistakes__are_all_told_in_one_run),
		cmocka_unit_test(conf_load__no_file__says_only_that),
		cmocka_unit_test(conf_load__endless_nonsense__ends),
		cmocka_unit_test(conf_load__secret_in_a_file_that_others_read__is_refused),
		cmocka_unit_test(conf_load__secret_file_that_others_read__is_refused),
		cmocka_unit_test(conf_load__default_secret_file_missing__is_told),
		cmocka_unit_test(conf_set__file_environment_and_command_line__win_in_this_order),
		cmocka_unit_test(conf_set__wrong_value__names_the_variable_or_the_argument),
		cmocka_unit_test(conf_set__unknown_key__names_the_near_one),
		cmocka_unit_test(conf_error_item__item_of_a_list__has_its_own_place),
		cmocka_unit_test(conf_print__values__carry_their_origin_and_no_secret),
		cmocka_unit_test(conf_print__read_again__prints_the_same),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* SPDX-License-Identifier: MIT */
/* The server's configuration as an operator writes it: values, layers, and every kind of mistake.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "module/linked.h"
#include "server/options.h"
#include "unit/test.h"

struct fixture {
	char dir[64];
	char file[96];
	struct lw_server_options o;
	struct lw_loader *loader;
	struct lw_conf *c;
	char *report;
};

static void write_file(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[160];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	const char *dir = getenv("LW_TEST_MODULES");

	assert_non_null(x);
	(void)snprintf(x->dir, sizeof(x->dir), "/tmp/laneway-conf-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	(void)snprintf(x->file, sizeof(x->file), "%s/lanewayd.yaml", x->dir);
	write_file(x->dir, "server.key", "key", 0600);
	write_file(x->dir, "users", "a:b", 0600);
	assert_int_equal(lw_loader_create(dir != NULL ? dir : "modules/.libs", LW_LINKED_MODULES,
	                                  &x->loader),
	                 0);
	assert_int_equal(lw_conf_create(&lw_server_program, &x->o, x->loader, &x->c), 0);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	static const char *const names[] = { "server.key", "users", "lanewayd.yaml",
		                             "cipher-ipsecmb.so" };
	char path[160];

	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", x->dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(x->dir);
	lw_conf_destroy(x->c);
	lw_loader_destroy(x->loader);
	free(x->report);
	free(x);
	return 0;
}

static void report(struct fixture *x)
{
	size_t size;
	FILE *f;

	f = open_memstream(&x->report, &size);
	assert_non_null(f);
	lw_conf_report(x->c, f);
	fclose(f);
}

static void load(struct fixture *x, const char *text)
{
	write_file(x->dir, "lanewayd.yaml", text, 0644);
	lw_conf_load(x->c, x->file);
	lw_conf_finish(x->c);
	report(x);
}

/* The report has a line that begins with the file and this position, and holds this text. */
static void assert_says(const struct fixture *x, const char *position, const char *text)
{
	char head[160];
	const char *at;
	const char *end;
	char line[1024];

	(void)snprintf(head, sizeof(head), "%s:%s: ", x->file, position);
	at = strstr(x->report, head);
	if (at == NULL)
		fail_msg("nothing at %s in:\n%s", position, x->report);
	end = strchr(at, '\n');
	(void)snprintf(line, sizeof(line), "%.*s", (int)(end - at), at);
	if (strstr(line, text) == NULL)
		fail_msg("'%s' lacks '%s'", line, text);
}

#define AUTH "auth: [{ module: htpasswd, file: users }]\n"

static void conf__short_file__defaults(void **state)
{
	struct fixture *x = *state;
	const struct lw_conf_use *uses;

	load(x, AUTH);
	assert_string_equal(x->report, "");
	assert_int_equal(x->o.network.mtu, 1350);
	assert_int_equal(x->o.network.pool.prefix, 16);
	assert_int_equal(x->o.limits.idle_us, 86400000000);
	assert_int_equal(x->o.outside.n, 2);
	uses = x->o.outside.items;
	assert_string_equal(uses[0].module->name, "outside-udp");
	assert_string_equal(uses[1].module->name, "outside-tcp");
	uses = x->o.inside.items;
	assert_int_equal(x->o.inside.n, 1);
	assert_string_equal(uses[0].module->name, "inside-tun");
}

static void conf__relative_paths__are_relative_to_the_file(void **state)
{
	struct fixture *x = *state;
	char expected[160];

	load(x, AUTH "identity: { certificate: sub/server.crt }\n");
	(void)snprintf(expected, sizeof(expected), "%s/sub/server.crt", x->dir);
	assert_string_equal(x->o.identity.certificate, expected);
}

static void conf__all_kinds_of_mistakes__found_in_one_run(void **state)
{
	struct fixture *x = *state;

	load(x, AUTH "netwrok: { mtu: 1350 }\n"              /* 2 */
	             "network:\n"                            /* 3 */
	             "  mtu: 9\n"                            /* 4 */
	             "  mut: 1350\n"                         /* 5 */
	             "  pool: nonsense\n"                    /* 6 */
	             "limits: { idle: 5, sessions: many }\n" /* 7 */
	             "log: 3\n"                              /* 8 */
	             "limits: { idle: 5m }\n"                /* 9 */
	             "chain: [{ module: nowhere }]\n"        /* 10 */
	             "inside: { module: tun, nmae: lw0 }\n"  /* 11 */
	             "control: { socket: [a, b] }\n");       /* 12 */
	assert_says(x, "2:1", "did you mean 'network'");
	assert_says(x, "4:8", "mtu");
	assert_says(x, "5:3", "did you mean 'mtu'");
	assert_says(x, "6:9", "pool");
	assert_says(x, "7:17", "idle");
	assert_says(x, "7:30", "sessions");
	assert_says(x, "8:6", "needs keys");
	assert_says(x, "9:1", "again");
	assert_says(x, "10:9", "nowhere");
	assert_says(x, "11:24", "did you mean 'name'");
	assert_says(x, "12:20", "socket");
}

static void conf__option_of_a_module_out_of_range__named_with_its_place(void **state)
{
	struct fixture *x = *state;

	load(x, AUTH "outside:\n  - module: udp\n    listen: [\"127.0.0.1:1\"]\n    buffer: 1 B\n");
	assert_says(x, "5:13", "buffer");
}

static void conf__no_auth__said(void **state)
{
	struct fixture *x = *state;

	load(x, "log: { level: warn }\n");
	assert_non_null(strstr(x->report, "auth is missing"));
}

static void conf__not_yaml__line_and_column(void **state)
{
	struct fixture *x = *state;

	load(x, "auth: [\n");
	assert_says(x, "2:1", "not YAML");
}

static void conf__secret_readable_by_others__refused(void **state)
{
	struct fixture *x = *state;

	write_file(x->dir, "users", "a:b", 0640);
	load(x, AUTH);
	assert_says(x, "1:34", "chmod 600");
}

static void conf__environment_and_command_line__win_in_this_order(void **state)
{
	struct fixture *x = *state;
	char near[LW_CONF_NEAR_MAX];

	assert_int_equal(setenv("LANEWAY_NETWORK_MTU", "1300", 1), 0);
	assert_int_equal(setenv("LANEWAY_LIMITS_SESSIONS", "7", 1), 0);
	load(x, AUTH "network: { mtu: 1200 }\nlimits: { sessions: 5 }\n");
	(void)unsetenv("LANEWAY_NETWORK_MTU");
	(void)unsetenv("LANEWAY_LIMITS_SESSIONS");
	assert_int_equal(x->o.network.mtu, 1300);
	assert_int_equal(x->o.limits.sessions, 7);
	assert_true(lw_conf_set(x->c, "network-mtu", "1250", near));
	assert_int_equal(x->o.network.mtu, 1250);
	assert_false(lw_conf_set(x->c, "network-mut", "1250", near));
	assert_string_equal(near, "network-mtu");
	assert_int_equal(lw_conf_errors(x->c), 0);
}

static void conf__expresslane_not_named__on_with_what_is_there(void **state)
{
	struct fixture *x = *state;
	uint32_t wolfcrypt = 0;

	load(x, AUTH);
	lw_expresslane_find(x->c, &x->o.expresslane);
	assert_int_equal(lw_conf_errors(x->c), 0);
	assert_int_equal(x->o.expresslane.enabled, 1);
	assert_int_equal(x->o.expresslane.rotate_us, 900000000);
	assert_true(x->o.expresslane.fastest);
	for (uint32_t i = 0; i < x->o.expresslane.n_modules; i++)
		wolfcrypt += strcmp(x->o.expresslane.modules[i]->name, "cipher-wolfcrypt") == 0;
	assert_int_equal(wolfcrypt, 1); /* the others may not have been built */
}

/* from the one file to the other ciphers */
static void conf__expresslane_ciphers__in_order_or_refused(void **state)
{
	static const struct {
		const char *text, *position, *says;
		uint32_t n;
	} cases[] = {
		{ "{ cipher: wolfcrypt }", NULL, NULL, 1 },
		{ "{ cipher: [wolfcrypt, wolfcrypt], enabled: off }", NULL, NULL, 2 },
		{ "{ cipher: [wolfcrypt, wolfcrpyt] }", "2:36", "cipher-wolfcrypt", 1 },
		{ "{ cipher: [wolfcrypt, auto] }", "2:36", "stands alone", 1 },
		{ "{ cipher: [] }", "2:24", "the list is empty", 0 },
		{ "{ cipher: [wolfcrypt, wolfcrypt, wolfcrypt, wolfcrypt, wolfcrypt, wolfcrypt,\n"
		  "  wolfcrypt, wolfcrypt, wolfcrypt] }",
		  "3:25", "more than 8", 8 },
		{ "{ rotate: 999ms }", "2:24", "rotate", 0 },
		{ "{ rotate: 25h }", "2:24", "rotate", 0 },
		{ "{ enabled: maybe }", "2:25", "enabled", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[256];
		struct fixture *x = *state;

		(void)snprintf(text, sizeof(text), AUTH "expresslane: %s\n", cases[i].text);
		load(x, text);
		lw_expresslane_find(x->c, &x->o.expresslane);
		if (strstr(cases[i].text, "cipher") != NULL)
			assert_int_equal(x->o.expresslane.n_modules, cases[i].n);
		assert_int_equal(x->o.expresslane.fastest, strstr(cases[i].text, "cipher") == NULL);
		free(x->report);
		report(x);
		if (cases[i].says == NULL)
			assert_string_equal(x->report, "");
		else
			assert_says(x, cases[i].position, cases[i].says);
		teardown(state);
		setup(state);
	}
}

static void conf__no_cipher_installed__auto_is_no_mistake(void **state)
{
	struct fixture *x = *state;

	lw_conf_destroy(x->c);
	lw_loader_destroy(x->loader);
	memset(&x->o, 0, sizeof(x->o));
	assert_int_equal(lw_loader_create(x->dir, NULL, &x->loader), 0);
	assert_int_equal(lw_conf_create(&lw_server_program, &x->o, x->loader, &x->c), 0);
	lw_expresslane_find(x->c, &x->o.expresslane);
	assert_int_equal(lw_conf_errors(x->c), 0);
	assert_int_equal(x->o.expresslane.n_modules, 0);
	/* nor is one whose library is gone, which dlopen() refuses like this */
	write_file(x->dir, "cipher-ipsecmb.so", "no module", 0644);
	lw_expresslane_find(x->c, &x->o.expresslane);
	assert_int_equal(lw_conf_errors(x->c), 0);
	assert_int_equal(x->o.expresslane.n_modules, 0);
}

static void conf_print__read_again__the_same(void **state)
{
	struct fixture *x = *state;
	char *first = NULL;
	size_t size;
	FILE *f;

	load(x, AUTH "network: { mtu: 1300 }\nlimits: { handshakes: 50/s, idle: 90m }\n");
	assert_string_equal(x->report, "");
	f = open_memstream(&first, &size);
	lw_conf_print(x->c, f);
	fclose(f);
	assert_non_null(strstr(first, "mtu: 1300  # "));
	assert_non_null(strstr(first, "lanewayd.yaml:2:"));
	assert_non_null(strstr(first, "dns: 10.125.0.1  # default"));
	lw_conf_destroy(x->c);
	memset(&x->o, 0, sizeof(x->o));
	free(x->report);
	assert_int_equal(lw_conf_create(&lw_server_program, &x->o, x->loader, &x->c), 0);
	load(x, first);
	assert_string_equal(x->report, "");
	assert_int_equal(x->o.network.mtu, 1300);
	assert_int_equal(x->o.limits.handshakes, 50);
	assert_int_equal(x->o.limits.idle_us, 90 * 60000000LL);
	assert_int_equal(x->o.outside.n, 2);
	free(first);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(conf__short_file__defaults),
		CASE(conf__relative_paths__are_relative_to_the_file),
		CASE(conf__all_kinds_of_mistakes__found_in_one_run),
		CASE(conf__option_of_a_module_out_of_range__named_with_its_place),
		CASE(conf__no_auth__said),
		CASE(conf__not_yaml__line_and_column),
		CASE(conf__secret_readable_by_others__refused),
		CASE(conf__environment_and_command_line__win_in_this_order),
		CASE(conf__expresslane_not_named__on_with_what_is_there),
		CASE(conf__expresslane_ciphers__in_order_or_refused),
		CASE(conf__no_cipher_installed__auto_is_no_mistake),
		CASE(conf_print__read_again__the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <errno.h>

#include "base/addr.h"
#include "load/options.h"

#define WORDS_MAX 32

/* the words of a line, and how they are read */
static int read_line(const char *line, struct load_options *ret, struct lw_err *err)
{
	static char words[512];
	char *argv[WORDS_MAX] = { words };
	int argc = 1;

	(void)snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " ")) {
		assert_true(argc < WORDS_MAX);
		argv[argc++] = w;
	}
	return load_options_parse(argc, argv, ret, err);
}

static struct load_options good(const char *line)
{
	struct load_options o;
	struct lw_err err;

	if (read_line(line, &o, &err) < 0)
		fail_msg("%s", err.text);
	return o;
}

static void bad(const char *line, const char *sentence)
{
	struct load_options o = { .clients = 77 };
	struct lw_err err = { 0 };

	assert_int_equal(read_line(line, &o, &err), -EINVAL);
	assert_string_equal(err.text, sentence);
	assert_int_equal(o.clients, 77);
}

static void parse__least_words__rest_as_help_says(void **state)
{
	struct load_options o = good("--server 192.0.2.1:27690 --clients 5 --ca ca.crt");
	char text[LW_ADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(lw_addr_format(&o.server, text), "192.0.2.1:27690");
	assert_int_equal(o.clients, 5);
	assert_string_equal(o.ca, "ca.crt");
	assert_null(o.server_name);
	assert_string_equal(o.user, "load");
	assert_false(o.tcp);
	assert_int_equal(o.source.n, 0);
	assert_int_equal(o.rate, 0);
	assert_int_equal(o.concurrent, 64);
	assert_int_equal(o.seconds, 60);
	assert_int_equal(o.outside_mtu, 1500);
	assert_string_equal(lw_addr_format(&o.inside, text), "10.125.0.1");
	assert_int_equal(o.bulk, LOAD_BULK_NONE);
	assert_int_equal(o.answer.family, 0);
	assert_false(o.help);
}

static void parse__all_kinds_of_values__are_taken(void **state)
{
	struct load_options o =
		good("--server 192.0.2.1:1 --tcp --clients 1 --ca c --source 10.1.0.0/24 "
	             "--bulk down --bulk-mbit 7 --hold 3 --no-expresslane --user me");

	(void)state;
	assert_true(o.tcp);
	assert_true(o.no_expresslane);
	assert_int_equal(o.source.first, 0x0a010001);
	assert_int_equal(o.source.n, 254);
	assert_int_equal(o.bulk, LOAD_BULK_DOWN);
	assert_int_equal(o.bulk_mbit, 7);
	assert_string_equal(o.user, "me");
	o = good("--server 192.0.2.1:1 --ca c --spoof 9 --spoof-source 10.1.0.1 --hold 1 "
	         "--spoof-kind unknown");
	assert_int_equal(o.spoof_kind, LOAD_SPOOF_UNKNOWN);
	o = good("--answer 10.125.0.1:5201");
	assert_int_equal(o.answer.port, 5201);
	assert_true(good("--help").help);
}

static void parse__mistakes__are_told(void **state)
{
	(void)state;
	bad("", "--server must be given");
	bad("now", "unknown word 'now'");
	bad("--now", "unknown word '--now'");
	bad("-server 192.0.2.1:1", "unknown word '-server'");
	bad("--server", "--server wants ADDR:PORT");
	bad("--server 192.0.2.1", "--server takes an IPv4 address with a port, not '192.0.2.1'");
	bad("--server [::1]:80", "--server takes an IPv4 address with a port, not '[::1]:80'");
	bad("--inside 10.0.0.1:3",
	    "--inside takes an IPv4 address without a port, not '10.0.0.1:3'");
	bad("--clients 1000001", "--clients takes a number from 0 to 1000000, not '1000001'");
	bad("--clients -1", "--clients takes a number from 0 to 1000000, not '-1'");
	bad("--clients 5k", "--clients takes a number from 0 to 1000000, not '5k'");
	bad("--rate 99999999999999999999",
	    "--rate takes a number from 0 to 1000000, not '99999999999999999999'");
	bad("--outside-mtu 255", "--outside-mtu takes a number from 256 to 1500, not '255'");
	bad("--bulk sideways", "--bulk takes none|up|down, not 'sideways'");
	bad("--bulk u", "--bulk takes none|up|down, not 'u'");
	bad("--source 10.1.0.0/40", "--source takes 192.0.2.1, 192.0.2.1-192.0.2.9 or "
	                            "192.0.2.0/24, not '10.1.0.0/40'");
}

static void parse__what_does_not_fit_together__is_told(void **state)
{
	(void)state;
	bad("--server 192.0.2.1:1", "--clients or --spoof must be given");
	bad("--server 192.0.2.1:1 --clients 1", "--clients wants --ca");
	bad("--server 192.0.2.1:1 --spoof 1 --probe 5", "--probe and --bulk want --clients");
	bad("--server 192.0.2.1:1 --clients 1 --ca c --bulk up", "--probe and --bulk want --hold");
	bad("--server 192.0.2.1:1 --spoof 1 --tcp", "--spoof is for UDP, without --tcp");
	bad("--server 192.0.2.1:1 --spoof 1 --hold 1", "--spoof wants --spoof-source");
	bad("--server 192.0.2.1:1 --spoof 1 --spoof-source 10.1.0.1", "--spoof wants --hold");
	bad("--server 192.0.2.1:1 --spoof 1 --spoof-source 10.1.0.1 --hold 1",
	    "--spoof-kind hello wants --ca");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__least_words__rest_as_help_says),
		cmocka_unit_test(parse__all_kinds_of_values__are_taken),
		cmocka_unit_test(parse__mistakes__are_told),
		cmocka_unit_test(parse__what_does_not_fit_together__is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

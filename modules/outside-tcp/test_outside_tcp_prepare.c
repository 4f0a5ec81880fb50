/* SPDX-License-Identifier: MIT */
/* outside-tcp: what prepare() opens, and who else may have the port. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test_outside_tcp_bed.h"
#include "unit/test.h"

static const struct lw_outside_tcp_ops *ops;

/* We closed first, so the old connections wait out their time on our port. */
static void prepare__right_after_an_end__port_is_free(void **state)
{
	struct bed bed;
	uint16_t port;
	char byte;
	int peer;

	(void)state;
	bed_start(&bed, "127.0.0.1", 1);
	port = bed.listen.port;
	peer = bed_call(&bed, "127.0.0.1");
	(void)bed_accept(&bed);
	bed_stop(&bed);
	assert_int_equal(recv(peer, &byte, 1, 0), 0);
	(void)close(peer);
	bed_create(&bed, "127.0.0.1", port);
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), 0);
	bed_stop(&bed);
}

static void prepare__port_taken_by_a_program__is_refused(void **state)
{
	struct lw_addr at;
	char text[32];
	struct bed bed;
	int one = 1;
	int other = bed_listener(1, &at);

	(void)state;
	assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	(void)snprintf(text, sizeof(text), "127.0.0.1:%u ", at.port);
	for (uint32_t workers = 1; workers <= 2; workers++) {
		unsigned fds = bed_fds();

		bed_create(&bed, "127.0.0.1", at.port);
		assert_int_equal(bed_prepare(&bed, workers, LW_ROLE_SERVER), -EADDRINUSE);
		assert_non_null(strstr(bed.err.text, text));
		assert_string_equal(bed.err.option, "listen");
		assert_int_equal(bed_fds(), fds);
		bed_stop(&bed);
	}
	(void)close(other);
}

static void prepare__port_taken_by_our_like__is_refused(void **state)
{
	struct bed first;
	struct bed second;

	(void)state;
	for (uint32_t ours = 1; ours <= 3; ours++) {
		for (uint32_t theirs = 1; theirs <= 3; theirs++) {
			bed_start(&first, "127.0.0.1", ours);
			bed_create(&second, "127.0.0.1", first.listen.port);
			assert_int_equal(bed_prepare(&second, theirs, LW_ROLE_SERVER), -EADDRINUSE);
			assert_non_null(strstr(second.err.text, "in use"));
			bed_stop(&second);
			bed_stop(&first);
		}
	}
}

static void prepare__several_workers__all_of_them_serve(void **state)
{
	unsigned served[3] = { 0 };
	int peer[60];
	struct bed bed;

	(void)state;
	bed_start(&bed, "127.0.0.1", 3);
	for (int i = 0; i < 60; i++)
		peer[i] = bed_call(&bed, "127.0.0.1");
	for (uint32_t i = 0; i < 3; i++) {
		struct lw_endpoint ep;

		while (ops->accept(bed.inst, bed_worker(&bed, i), 0, &ep) == 0)
			served[i]++;
	}
	assert_int_equal(served[0] + served[1] + served[2], 60);
	assert_true(served[0] > 0 && served[1] > 0 && served[2] > 0);
	for (int i = 0; i < 60; i++)
		(void)close(peer[i]);
	bed_stop(&bed);
}

static void prepare__no_such_address__says_so(void **state)
{
	struct bed bed;

	(void)state;
	bed_create(&bed, "192.0.2.77", 4000);
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), -EADDRNOTAVAIL);
	assert_non_null(strstr(bed.err.text, "192.0.2.77:4000"));
	bed_stop(&bed);
	bed_create(&bed, NULL, 0);
	assert_int_equal(bed_prepare(&bed, 1, LW_ROLE_SERVER), -EINVAL);
	assert_string_equal(bed.err.option, "listen");
	bed_stop(&bed);
}

static void check__addresses_that_exclude_each_other__are_refused(void **state)
{
	static const struct {
		const char *a;
		const char *b;
		int want;
	} rows[] = {
		{ "127.0.0.1:7", "127.0.0.2:7", 0 },       { "127.0.0.1:7", "127.0.0.1:8", 0 },
		{ "127.0.0.1:7", "127.0.0.1:7", -EINVAL }, { "0.0.0.0:7", "127.0.0.1:7", -EINVAL },
		{ "[::]:7", "[::1]:7", -EINVAL },          { "0.0.0.0:7", "[::]:7", 0 },
		{ "127.0.0.1:7", "127.0.0.1", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lw_addr list[2] = { bed_addr(rows[i].a), bed_addr(rows[i].b) };
		struct tcp_options o = { .listen = { .items = list, .n = 2 } };
		struct lw_err err = { .code = 0 };

		assert_int_equal(laneway_module.life->check(&o, &err), rows[i].want);
		assert_int_equal(err.text[0] != '\0', rows[i].want != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prepare__right_after_an_end__port_is_free),
		cmocka_unit_test(prepare__port_taken_by_a_program__is_refused),
		cmocka_unit_test(prepare__port_taken_by_our_like__is_refused),
		cmocka_unit_test(prepare__several_workers__all_of_them_serve),
		cmocka_unit_test(prepare__no_such_address__says_so),
		cmocka_unit_test(check__addresses_that_exclude_each_other__are_refused),
	};

	ops = laneway_module.ops.tcp;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

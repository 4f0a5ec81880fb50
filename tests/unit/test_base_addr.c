/* SPDX-License-Identifier: MIT */
#include <netinet/in.h>

#include "base/addr.h"
#include "unit/test.h"

static void addr_parse__valid__formats_back(void **state)
{
	static const char *const texts[] = { "192.0.2.1",   "192.0.2.1:80",         "0.0.0.0:27690",
		                             "2001:db8::1", "[2001:db8::1]:443",    "[::]:27690",
		                             "::1",         "255.255.255.255:65535" };
	char buf[LW_ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct lw_addr a;

		assert_int_equal(lw_addr_parse(texts[i], &a), 0);
		assert_string_equal(lw_addr_format(&a, buf), texts[i]);
	}
}

static void addr_parse__invalid__refused(void **state)
{
	static const char *const texts[] = { "",          "1.2.3",
		                             "1.2.3.4:",  "1.2.3.4:65536",
		                             "1.2.3.4:x", "[::1",
		                             "[::1]x",    "[::1]:",
		                             "::g",       "1.2.3.4.5",
		                             "host:80",   "1.2.3.4:080808",
		                             "[1.2.3.4]", "fe80::1%nosuchif" };
	struct lw_addr a = { .family = 9 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_not_equal(lw_addr_parse(texts[i], &a), 0);
	assert_int_equal(a.family, 9);
}

static void addr_sockaddr__round_trip__equal(void **state)
{
	struct sockaddr_storage ss;
	struct lw_addr a;
	struct lw_addr b;

	(void)state;
	assert_int_equal(lw_addr_parse("[2001:db8::7]:443", &a), 0);
	assert_int_equal(lw_addr_to_sockaddr(&a, &ss), sizeof(struct sockaddr_in6));
	assert_int_equal(lw_addr_from_sockaddr(&ss, &b), 0);
	assert_true(lw_addr_equal(&a, &b));
	assert_int_equal(lw_addr_parse("192.0.2.9:1", &a), 0);
	assert_int_equal(lw_addr_to_sockaddr(&a, &ss), sizeof(struct sockaddr_in));
	assert_int_equal(lw_addr_from_sockaddr(&ss, &b), 0);
	assert_true(lw_addr_equal(&a, &b));
	assert_int_equal(lw_addr_u32(&a), 0xc0000209);
}

static void addr_from_sockaddr__v4_mapped__becomes_ipv4(void **state)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(5) };
	struct sockaddr_storage ss = { 0 };
	struct lw_addr expected = lw_addr_ipv4(0x0a000001, 5);
	struct lw_addr a;

	(void)state;
	in6.sin6_addr.s6_addr[10] = 0xff;
	in6.sin6_addr.s6_addr[11] = 0xff;
	in6.sin6_addr.s6_addr[12] = 10;
	in6.sin6_addr.s6_addr[15] = 1;
	memcpy(&ss, &in6, sizeof(in6));
	assert_int_equal(lw_addr_from_sockaddr(&ss, &a), 0);
	assert_true(lw_addr_equal(&a, &expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addr_parse__valid__formats_back),
		cmocka_unit_test(addr_parse__invalid__refused),
		cmocka_unit_test(addr_sockaddr__round_trip__equal),
		cmocka_unit_test(addr_from_sockaddr__v4_mapped__becomes_ipv4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

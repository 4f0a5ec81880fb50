/* SPDX-License-Identifier: MIT */
#include "hex.h"

#include <errno.h>
#include <netinet/in.h>

#include "packet/headers.h"

/* IPv4 without options, 20 bytes; IPv6, 40 bytes; what follows them is the caller's */
#define IP4_TCP "4500002c 0001 4000 40060000 0a000001 0a000002"
#define IP4_UDP "45000021 0001 0000 40110000 0a000001 0a000002"
#define IP6     "60012345 0000 0040 20010db8000000000000000000000001 20010db8000000000000000000000002"
#define TCP     "9c4001bb 11223344 00000000 6002 2000 0000 0000 020405b4"
#define UDP     "9c400035 000d 0000 68656c6c6f"

static struct lw_headers h;

/* parses a block of exactly these bytes */
static int parse(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = exact_copy(bytes, len);
	int r = lw_headers_parse(copy, len, &h);

	free(copy);
	return r;
}

static size_t read_packet(const char *hex, uint8_t *bytes, size_t cap)
{
	size_t len = hex_read(hex, bytes, cap);

	memset(bytes + len, 0, cap - len);
	return len;
}

/* an IPv6 packet of these headers, its payload length set, the first one's number put in */
static size_t read_ipv6(uint8_t first, const char *rest, uint8_t *bytes, size_t cap)
{
	size_t len = read_packet(IP6, bytes, cap);

	len += hex_read(rest, bytes + len, cap - len);
	bytes[4] = (uint8_t)((len - 40) >> 8);
	bytes[5] = (uint8_t)(len - 40);
	bytes[6] = first;
	return len;
}

static void ipv4__tcp_and_udp__end_where_the_payload_begins(void **state)
{
	uint8_t bytes[64];
	size_t len = read_packet(IP4_TCP TCP, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(parse(bytes, len), 0);
	assert_int_equal(h.total, 44);
	assert_int_equal(h.version, 4);
	assert_int_equal(h.proto, IPPROTO_TCP);
	assert_int_equal(h.l4, 20);
	assert_int_equal(h.hl, 44);
	assert_false(h.fragment);
	assert_int_equal(lw_headers_check_at(&h), 16);
	len = read_packet(IP4_UDP UDP, bytes, sizeof(bytes));
	assert_int_equal(parse(bytes, len), 0);
	assert_int_equal(h.total, 33);
	assert_int_equal(h.proto, IPPROTO_UDP);
	assert_int_equal(h.hl, 28);
	assert_int_equal(lw_headers_check_at(&h), 6);
}

static void ipv4__each_total_length__is_between_header_and_bytes(void **state)
{
	uint8_t bytes[44];
	size_t len = read_packet(IP4_TCP TCP, bytes, sizeof(bytes));

	(void)state;
	for (uint32_t total = 0; total <= 0xffff; total = total < 100 ? total + 1 : total * 2) {
		int want = total >= 20 && total <= len ? 0 : -EBADMSG;

		bytes[2] = (uint8_t)(total >> 8);
		bytes[3] = (uint8_t)total;
		assert_int_equal(parse(bytes, len), want);
		if (want == 0) {
			assert_int_equal(h.total, total);
			assert_int_equal(h.hl, total == 44 ? 44 : 0);
		}
	}
}

static void ipv4__each_header_length__is_bounded(void **state)
{
	uint8_t bytes[44];
	size_t len = read_packet(IP4_TCP TCP, bytes, sizeof(bytes));

	(void)state;
	bytes[9] = IPPROTO_UDP;
	for (unsigned words = 0; words < 16; words++) {
		bytes[0] = (uint8_t)(0x40 | words);
		if (words < 5 || words > 11) {
			assert_int_equal(parse(bytes, len), -EBADMSG);
			continue;
		}
		assert_int_equal(parse(bytes, len), 0);
		assert_int_equal(h.l4, words * 4);
		assert_int_equal(h.hl, words <= 9 ? words * 4 + 8 : 0);
	}
}

static void ipv4__fragments__have_no_transport_header(void **state)
{
	static const struct {
		uint16_t word;
		bool fragment;
	} cases[] = { { 0x0000, false }, { 0x4000, false }, { 0x8000, false },
		      { 0x2000, true },  { 0x0001, true },  { 0x1fff, true } };
	uint8_t bytes[44];
	size_t len = read_packet(IP4_TCP TCP, bytes, sizeof(bytes));

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bytes[6] = (uint8_t)(cases[i].word >> 8);
		bytes[7] = (uint8_t)cases[i].word;
		assert_int_equal(parse(bytes, len), 0);
		assert_int_equal(h.fragment, cases[i].fragment);
		assert_int_equal(h.hl, cases[i].fragment ? 0 : 44);
	}
}

static void tcp__each_data_offset__must_be_in_the_packet(void **state)
{
	uint8_t bytes[44];
	size_t len = read_packet(IP4_TCP TCP, bytes, sizeof(bytes));

	(void)state;
	for (unsigned words = 0; words < 16; words++) {
		bytes[32] = (uint8_t)(words << 4 | 0x0f);
		assert_int_equal(parse(bytes, len), 0);
		assert_int_equal(h.hl, words == 5 || words == 6 ? 20 + words * 4 : 0);
	}
}

static void other_protocols__have_no_payload_offset(void **state)
{
	static const uint8_t protocols[] = {
		0, 1, 4, 41, 43, 44, 47, 50, 58, 59, 60, 132, 136, 255
	};
	uint8_t bytes[44];
	size_t len = read_packet(IP4_TCP TCP, bytes, sizeof(bytes));

	(void)state;
	for (size_t i = 0; i < sizeof(protocols); i++) {
		bytes[9] = protocols[i];
		assert_int_equal(parse(bytes, len), 0);
		assert_int_equal(h.proto, protocols[i]);
		assert_int_equal(h.hl, 0);
		assert_false(h.fragment);
	}
}

static void ipv6__tcp_and_udp__follow_the_header(void **state)
{
	uint8_t bytes[100];
	size_t len = read_ipv6(IPPROTO_TCP, TCP, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(parse(bytes, len), 0);
	assert_int_equal(h.total, len);
	assert_int_equal(h.version, 6);
	assert_int_equal(h.proto, IPPROTO_TCP);
	assert_int_equal(h.l4, 40);
	assert_int_equal(h.hl, 64);
	len = read_ipv6(IPPROTO_UDP, UDP, bytes, sizeof(bytes));
	assert_int_equal(parse(bytes, len), 0);
	assert_int_equal(h.hl, 48);
}

static void ipv6__extension_headers__are_walked_over(void **state)
{
	uint8_t bytes[120];
	/* hop-by-hop (8), routing (16), destination options (8), UDP */
	size_t len = read_ipv6(IPPROTO_HOPOPTS,
	                       "2b00 0104 00000000"
	                       "3c01 0301 00000000 0000000000000000"
	                       "1100 0104 00000000" UDP,
	                       bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(parse(bytes, len), 0);
	assert_int_equal(h.proto, IPPROTO_UDP);
	assert_int_equal(h.l4, 72);
	assert_int_equal(h.hl, 80);
	for (size_t cut = 1; cut <= len - 40; cut++) { /* the payload length says less */
		uint32_t left = (uint32_t)(len - cut);

		bytes[5] = (uint8_t)(left - 40);
		assert_int_equal(parse(bytes, len), left < 72 ? -EBADMSG : 0);
		assert_int_equal(parse(bytes, left), left < 72 ? -EBADMSG : 0);
		if (left >= 72)
			assert_int_equal(h.hl, left >= 80 ? 80 : 0);
	}
}

static void ipv6__fragment_header__ends_the_walk(void **state)
{
	uint8_t bytes[100];
	size_t len = read_ipv6(IPPROTO_DSTOPTS, "2c00 0104 00000000 1100 0000 00000001" UDP, bytes,
	                       sizeof(bytes));

	(void)state;
	assert_int_equal(parse(bytes, len), 0);
	assert_true(h.fragment);
	assert_int_equal(h.l4, 48);
	assert_int_equal(h.hl, 0);
}

static void ipv6__many_extension_headers__are_too_many(void **state)
{
	uint8_t bytes[400];

	(void)state;
	for (unsigned n = 0; n <= 40; n++) {
		size_t len =
			read_ipv6(n > 0 ? IPPROTO_DSTOPTS : IPPROTO_UDP, "", bytes, sizeof(bytes));

		for (unsigned i = 0; i < n; i++, len += 8)
			bytes[len] = i + 1 < n ? IPPROTO_DSTOPTS : IPPROTO_UDP;
		len += 8;
		bytes[4] = (uint8_t)((len - 40) >> 8);
		bytes[5] = (uint8_t)(len - 40);
		assert_int_equal(parse(bytes, len), n <= 27 ? 0 : -EBADMSG);
		if (n <= 27)
			assert_int_equal(h.hl, 40 + n * 8 + 8);
	}
}

static void ipv6__payload_length__is_at_most_what_is_there(void **state)
{
	uint8_t bytes[100];
	size_t len = read_ipv6(IPPROTO_UDP, UDP, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(parse(bytes, len + 3), 0); /* bytes behind the packet */
	assert_int_equal(h.total, len);
	assert_int_equal(parse(bytes, len - 1), -EBADMSG);
	bytes[4] = bytes[5] = 0; /* nothing, or a jumbogram */
	assert_int_equal(parse(bytes, len), 0);
	assert_int_equal(h.hl, 0);
}

static void parse__each_truncation_and_version__is_refused_or_within(void **state)
{
	uint8_t bytes[64];
	size_t len = read_packet(IP4_TCP TCP, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(lw_headers_parse(NULL, 0, &h), -EBADMSG);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(parse(bytes, cut), -EBADMSG);
	for (unsigned version = 0; version < 16; version++) {
		bytes[0] = (uint8_t)(version << 4 | 5);
		if (version != 4 && version != 6)
			assert_int_equal(parse(bytes, len), -EBADMSG);
	}
	len = read_ipv6(IPPROTO_UDP, UDP, bytes, sizeof(bytes));
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(parse(bytes, cut), -EBADMSG);
}

static void pseudo_sum__both_versions__are_addresses_and_protocol(void **state)
{
	uint8_t bytes[100];
	size_t len = read_packet(IP4_UDP UDP, bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(parse(bytes, len), 0);
	assert_int_equal(lw_headers_pseudo_sum(bytes, &h), 0x0a00 + 1 + 0x0a00 + 2 + 17);
	len = read_ipv6(IPPROTO_TCP, TCP, bytes, sizeof(bytes));
	assert_int_equal(parse(bytes, len), 0);
	assert_int_equal(lw_headers_pseudo_sum(bytes, &h), 2 * (0x2001 + 0x0db8) + 3 + 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4__tcp_and_udp__end_where_the_payload_begins),
		cmocka_unit_test(ipv4__each_total_length__is_between_header_and_bytes),
		cmocka_unit_test(ipv4__each_header_length__is_bounded),
		cmocka_unit_test(ipv4__fragments__have_no_transport_header),
		cmocka_unit_test(tcp__each_data_offset__must_be_in_the_packet),
		cmocka_unit_test(other_protocols__have_no_payload_offset),
		cmocka_unit_test(ipv6__tcp_and_udp__follow_the_header),
		cmocka_unit_test(ipv6__extension_headers__are_walked_over),
		cmocka_unit_test(ipv6__fragment_header__ends_the_walk),
		cmocka_unit_test(ipv6__many_extension_headers__are_too_many),
		cmocka_unit_test(ipv6__payload_length__is_at_most_what_is_there),
		cmocka_unit_test(parse__each_truncation_and_version__is_refused_or_within),
		cmocka_unit_test(pseudo_sum__both_versions__are_addresses_and_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

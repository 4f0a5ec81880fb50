/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include "load/inside.h"
#include "packet/checksum.h"
#include "packet/ipv4.h"

#define IP_LEN  20u
#define L4_LEN  8u
#define PAYLOAD 1001u /* odd: the last byte counts as half a word */

static const struct load_path path = {
	.from = 0x0a7d0005, .to = 0x0a7d0001, .from_port = 5201, .to_port = 7
};
static const struct load_mark mark = { .magic = LOAD_MARK_MAGIC,
	                               .client = 4711,
	                               .seq = 65537,
	                               .sent_us = 12345678901,
	                               .received = 99,
	                               .want = 48,
	                               .copies = 3 };

static void is_ip(const uint8_t *p, uint32_t len, uint8_t protocol)
{
	assert_true(lw_ipv4_valid(p, len));
	assert_int_equal(p[9], protocol);
	assert_int_equal((uint32_t)p[2] << 8 | p[3], len);
	assert_int_equal(lw_csum_sum(p, IP_LEN), 0xffff);
	assert_int_equal(lw_ipv4_addr(p, LW_IPV4_SRC), path.from);
	assert_int_equal(lw_ipv4_addr(p, LW_IPV4_DST), path.to);
}

static void echo__request__is_valid_and_its_reply_is_read(void **state)
{
	uint8_t p[128];
	uint32_t len = load_inside_echo(p, &path, &mark);
	struct load_mark m = { 0 };
	uint32_t bytes = 0;

	(void)state;
	assert_int_equal(len, IP_LEN + L4_LEN + sizeof(mark));
	is_ip(p, len, 1);
	assert_int_equal(lw_csum_sum(p + IP_LEN, len - IP_LEN), 0xffff);
	assert_int_equal(p[IP_LEN], 8);
	assert_int_equal(load_inside_read(p, len, &m, &bytes), LOAD_INSIDE_OTHER);
	p[IP_LEN] = 0; /* what answers turns it into a reply */
	assert_int_equal(load_inside_read(p, len, &m, &bytes), LOAD_INSIDE_ECHO_REPLY);
	assert_memory_equal(&m, &mark, sizeof(m));
	assert_int_equal(bytes, sizeof(m));
}

static void udp__packet__is_valid_and_read_again(void **state)
{
	uint8_t p[2000];
	struct load_mark m = { 0 };
	uint32_t bytes = 0;
	uint32_t len;
	uint16_t sum;

	(void)state;
	memset(p, 0xa5, sizeof(p));
	len = load_inside_udp(p, &path, &mark, PAYLOAD);
	assert_int_equal(len, IP_LEN + L4_LEN + PAYLOAD);
	is_ip(p, len, 17);
	assert_int_equal((uint32_t)p[IP_LEN + 4] << 8 | p[IP_LEN + 5], L4_LEN + PAYLOAD);
	sum = lw_csum_sum(p + IP_LEN, len - IP_LEN);
	sum = lw_csum_fold((uint32_t)sum + lw_csum_sum(p + 12, 8) + 17 + L4_LEN + PAYLOAD);
	assert_int_equal(sum, 0xffff);
	assert_int_equal(load_inside_read(p, len, &m, &bytes), LOAD_INSIDE_UDP);
	assert_memory_equal(&m, &mark, sizeof(m));
	assert_int_equal(bytes, PAYLOAD);
}

/* A checksum that comes out as 0 is sent as 0xffff, for 0 would say that there is none. */
static void udp__checksum_0__is_never_sent(void **state)
{
	struct load_mark m = mark;
	uint8_t p[2000] = { 0 };
	uint32_t ones = 0;

	(void)state;
	for (uint32_t i = 0; i < 0x10000; i++) {
		m.copies = (uint16_t)i;
		(void)load_inside_udp(p, &path, &m, sizeof(m));
		assert_false(p[IP_LEN + 6] == 0 && p[IP_LEN + 7] == 0);
		ones += p[IP_LEN + 6] == 0xff && p[IP_LEN + 7] == 0xff;
	}
	assert_true(ones > 0);
}

static void read__others_packets__are_left_alone(void **state)
{
	uint8_t p[2000] = { 0 };
	struct load_mark m;
	uint32_t bytes;
	uint32_t len = load_inside_udp(p, &path, &mark, PAYLOAD);

	(void)state;
	assert_int_equal(load_inside_read(p, 0, &m, &bytes), LOAD_INSIDE_OTHER);
	assert_int_equal(load_inside_read(p, IP_LEN + L4_LEN + sizeof(m) - 1, &m, &bytes),
	                 LOAD_INSIDE_OTHER);
	p[9] = 6;
	assert_int_equal(load_inside_read(p, len, &m, &bytes), LOAD_INSIDE_OTHER);
	p[9] = 17;
	p[IP_LEN + L4_LEN] ^= 1;
	assert_int_equal(load_inside_read(p, len, &m, &bytes), LOAD_INSIDE_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo__request__is_valid_and_its_reply_is_read),
		cmocka_unit_test(udp__packet__is_valid_and_read_again),
		cmocka_unit_test(udp__checksum_0__is_never_sent),
		cmocka_unit_test(read__others_packets__are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

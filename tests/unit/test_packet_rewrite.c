/* SPDX-License-Identifier: MIT */
#include "hex.h"

#include <errno.h>
#include <stdbool.h>

#include "packet/rewrite.h"
#include "packet/segment.h"
#include "ref/packet_ref.h"

#define TUN  0x64400006u /* the client's own */
#define TOLD 0x0a7d0005u /* what the server told it */
#define POOL 0x0a7d447bu /* what the server chose */

#define UDP_TUN  "4500002100010000401112806440000601020304 9c400035000db740 68656c6c6f"
#define UDP_TOLD "450000210001000040116c440a7d000501020304 9c400035000d1105 68656c6c6f"
#define UDP_POOL "4500002100010000401127ce0a7d447b01020304 9c400035000dcc8e 68656c6c6f"
#define TCP_TUN                                                                                    \
	"4500002c0001000040061280 64400006 01020304 9c4001bb112233440000000060022000"              \
	"2d790000 020405b4"
#define TCP_TOLD                                                                                   \
	"4500002c0001000040066c44 0a7d0005 01020304 9c4001bb112233440000000060022000"              \
	"873d0000 020405b4"

static uint64_t seed = 0x7265777269;

/* a packet in a block of exactly its size */
static struct lw_packet make_packet(const uint8_t *bytes, size_t len)
{
	struct lw_packet p = { .buf = exact_copy(bytes, len), .cap = (uint32_t)len };

	p.len = p.cap;
	return p;
}

static struct lw_packet make_hex(const char *hex)
{
	uint8_t bytes[128];
	struct lw_packet p = make_packet(bytes, hex_read(hex, bytes, sizeof(bytes)));

	if (p.buf == NULL)
		abort();
	return p;
}

static void assert_hex(const struct lw_packet *p, const char *hex)
{
	uint8_t bytes[128];

	assert_int_equal(p->len, hex_read(hex, bytes, sizeof(bytes)));
	assert_memory_equal(lw_packet_data(p), bytes, p->len);
}

static void rewrite__udp_of_13_5__gives_its_lines_and_back(void **state)
{
	struct lw_packet p = make_hex(UDP_TUN);

	(void)state;
	assert_int_equal(lw_rewrite_src(&p, TOLD), 0);
	assert_hex(&p, UDP_TOLD);
	assert_int_equal(lw_rewrite_src(&p, POOL), 0);
	assert_hex(&p, UDP_POOL);
	assert_int_equal(lw_rewrite_src(&p, POOL), 0);
	assert_hex(&p, UDP_POOL);
	assert_int_equal(lw_rewrite_src(&p, TUN), 0);
	assert_hex(&p, UDP_TUN);
	free(p.buf);
}

static void rewrite__tcp_syn_of_13_5__gives_its_line(void **state)
{
	struct lw_packet p = make_hex(TCP_TUN);

	(void)state;
	assert_int_equal(lw_rewrite_src(&p, TOLD), 0);
	assert_hex(&p, TCP_TOLD);
	free(p.buf);
}

static void rewrite__behind_headroom__touches_the_packet_only(void **state)
{
	uint8_t bytes[64];
	uint8_t want[64];
	struct lw_packet p = { .buf = bytes, .cap = 64, .off = 16, .len = 33 };

	(void)state;
	memset(bytes, 0xaa, sizeof(bytes));
	memset(want, 0xaa, sizeof(want));
	(void)hex_read(UDP_TUN, bytes + 16, 33);
	(void)hex_read(UDP_TOLD, want + 16, 33);
	assert_int_equal(lw_rewrite_src(&p, TOLD), 0);
	assert_memory_equal(bytes, want, sizeof(want));
}

static void rewrite__udp_without_checksum__stays_without(void **state)
{
	struct lw_packet p = make_hex(UDP_TUN);

	(void)state;
	memset(p.buf + 26, 0, 2);
	assert_int_equal(lw_rewrite_src(&p, TOLD), 0);
	assert_memory_equal(p.buf + 26, "\0\0", 2);
	assert_memory_equal(p.buf + 10, "\x6c\x44", 2);
	free(p.buf);
}

static void rewrite__udp_checksum_becomes_0__is_sent_as_ffff(void **state)
{
	struct lw_packet p = make_hex(UDP_TUN);

	(void)state;
	/* old 6440 0006, check b740: words whose sum is 6440 + 0006 + b740 = 11b86 give check 0 */
	assert_int_equal(lw_rewrite_src(&p, 0x1b870000), 0);
	assert_memory_equal(p.buf + 26, "\xff\xff", 2);
	/* and from there to any address as if it had been 0 */
	assert_int_equal(lw_rewrite_src(&p, TUN), 0);
	assert_memory_equal(p.buf + 26, "\xb7\x40", 2);
	free(p.buf);
}

static void rewrite__later_fragment__only_the_header_changes(void **state)
{
	struct lw_packet p = make_hex(TCP_TUN);
	uint8_t payload[24];

	(void)state;
	memcpy(p.buf + 6, "\x20\x01", 2);
	memcpy(payload, p.buf + 20, sizeof(payload));
	assert_int_equal(lw_rewrite_dst(&p, TOLD), 0);
	assert_memory_equal(p.buf + 20, payload, sizeof(payload));
	assert_memory_equal(p.buf + 16, "\x0a\x7d\x00\x05", 4);
	free(p.buf);
}

static void rewrite__first_fragment__changes_the_transport_checksum(void **state)
{
	struct lw_packet p = make_hex(TCP_TUN);

	(void)state;
	memcpy(p.buf + 6, "\x20\x00", 2);
	assert_int_equal(lw_rewrite_src(&p, TOLD), 0);
	assert_memory_equal(p.buf + 36, "\x87\x3d", 2);
	free(p.buf);
}

static void rewrite__icmp_and_other_protocols__keep_their_payload(void **state)
{
	static const uint8_t protocols[] = { 1, 0, 2, 47, 132, 136 };

	(void)state;
	for (size_t i = 0; i < sizeof(protocols); i++) {
		struct lw_packet p = make_hex(TCP_TUN);
		uint8_t payload[24];

		p.buf[9] = protocols[i];
		memcpy(payload, p.buf + 20, sizeof(payload));
		assert_int_equal(lw_rewrite_src(&p, TOLD), 0);
		assert_memory_equal(p.buf + 20, payload, sizeof(payload));
		free(p.buf);
	}
}

static void rewrite__short_transport_header__is_left_alone(void **state)
{
	static const struct {
		const char *hex;
		uint32_t whole;
	} cases[] = { { UDP_TUN, 28 }, { TCP_TUN, 40 } };
	uint8_t full[64];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		(void)hex_read(cases[i].hex, full, sizeof(full));
		for (uint32_t len = 20; len <= cases[i].whole; len++) {
			struct lw_packet p = make_packet(full, len);

			assert_int_equal(lw_rewrite_src(&p, TOLD), 0);
			assert_memory_equal(p.buf + 10, "\x6c\x44", 2);
			if (len > 20)
				assert_int_equal(memcmp(p.buf + 20, full + 20, len - 20) == 0,
				                 len < cases[i].whole);
			free(p.buf);
		}
	}
}

static void rewrite__impossible_header_length__changes_the_address_only(void **state)
{
	static const uint8_t lengths[] = { 0, 4, 15 };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths); i++) {
		struct lw_packet p = make_hex(UDP_TUN);
		uint8_t payload[13];

		p.buf[0] = (uint8_t)(0x40 | lengths[i]);
		memcpy(payload, p.buf + 20, sizeof(payload));
		assert_int_equal(lw_rewrite_src(&p, TOLD), 0);
		assert_memory_equal(p.buf + 12, "\x0a\x7d\x00\x05", 4);
		assert_memory_equal(p.buf + 20, payload, sizeof(payload));
		free(p.buf);
	}
}

static void rewrite__no_ipv4_packet__is_refused_unchanged(void **state)
{
	uint8_t bytes[40] = { 0x60 };
	struct lw_packet p = make_packet(bytes, 40);

	(void)state;
	assert_int_equal(lw_rewrite_src(&p, TOLD), -EBADMSG);
	assert_int_equal(lw_rewrite_dst(&p, TOLD), -EBADMSG);
	assert_memory_equal(p.buf, bytes, 40);
	free(p.buf);
	bytes[0] = 0x45;
	for (size_t len = 0; len < 20; len++) {
		p = make_packet(bytes, len);
		assert_int_equal(lw_rewrite_src(&p, TOLD), -EBADMSG);
		free(p.buf);
	}
}

/* what follows recomputes everything from nothing, word by word */

static uint32_t add_words(uint32_t total, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		total += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	return total;
}

static uint16_t fold(uint32_t total)
{
	while (total >> 16 != 0)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t pseudo_header(const uint8_t *ip, uint32_t len, size_t l4)
{
	return add_words(ip[9] + (uint32_t)(len - l4), ip + 12, 8);
}

/* fills in all checksums; the transport one is a sum only, if partial */
static void complete(uint8_t *ip, uint32_t len, bool partial)
{
	size_t l4 = (ip[0] & 15ul) * 4;
	size_t field = l4 + (ip[9] == 6 ? 16 : 6);
	uint32_t total = pseudo_header(ip, len, l4);
	uint16_t check;

	put16(ip + 10, 0);
	put16(ip + 10, (uint16_t)~fold(add_words(0, ip, l4)));
	put16(ip + field, 0);
	check = (uint16_t)~fold(add_words(total, ip + l4, len - l4));
	if (ip[9] == 17 && check == 0)
		check = 0xffff;
	put16(ip + field, partial ? fold(total) : check);
}

static uint32_t random_packet(uint8_t *bytes)
{
	uint64_t bits = test_random(&seed);
	uint32_t words = 5 + (uint32_t)(bits & 3) * 3;
	uint32_t len = words * 4 + 20 + (uint32_t)((bits >> 8) % 100);

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)test_random(&seed);
	bytes[0] = (uint8_t)(0x40 | words);
	put16(bytes + 2, (uint16_t)len);
	put16(bytes + 6, 0x4000);
	bytes[9] = (bits & 4) != 0 ? 6 : 17;
	return len;
}

static uint32_t random_addr(void)
{
	static const uint32_t special[] = { 0, 0xffffffff, 0xffff, 0xffff0000, TOLD };
	uint64_t bits = test_random(&seed);

	return (bits & 3) == 0 ? special[(bits >> 8) % 5] : (uint32_t)(bits >> 32);
}

static void check_random_rewrite(bool partial)
{
	uint8_t bytes[200];
	uint32_t len = random_packet(bytes);
	uint32_t addr = random_addr();
	bool src = (test_random(&seed) & 1) != 0;
	struct lw_packet p;

	complete(bytes, len, partial);
	p = make_packet(bytes, len);
	if (partial) {
		p.flags = LW_PKT_CSUM_PARTIAL;
		p.csum_start = (uint16_t)((bytes[0] & 15) * 4);
		p.csum_off = bytes[9] == 6 ? 16 : 6;
	}
	assert_int_equal(src ? lw_rewrite_src(&p, addr) : lw_rewrite_dst(&p, addr), 0);
	put16(bytes + (src ? 12 : 16), (uint16_t)(addr >> 16));
	put16(bytes + (src ? 14 : 18), (uint16_t)addr);
	complete(bytes, len, partial);
	assert_memory_equal(p.buf, bytes, len);
	free(p.buf);
}

static void rewrite__random_packets__equal_recomputation(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++)
		check_random_rewrite(false);
}

static void rewrite__random_partial_packets__equal_recomputation(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++)
		check_random_rewrite(true);
}

static void rewrite__sum_of_an_inner_tunnel__is_not_ours(void **state)
{
	struct lw_packet p = make_hex(UDP_TUN);

	(void)state;
	p.flags = LW_PKT_CSUM_PARTIAL;
	p.csum_start = 28; /* behind the UDP header, whose own checksum is whole */
	p.csum_off = 2;
	assert_int_equal(lw_rewrite_src(&p, TOLD), 0);
	assert_hex(&p, UDP_TOLD);
	free(p.buf);
}

static void rewrite__superpacket__has_one_header_to_change(void **state)
{
	struct lw_packet p = make_hex(TCP_TUN);

	(void)state;
	p.gso_type = LW_GSO_TCP4;
	p.gso_size = 2;
	p.flags = LW_PKT_CSUM_PARTIAL;
	p.csum_start = 20;
	p.csum_off = 16;
	put16(p.buf + 36, 0x6440 + 6 + 0x0102 + 0x0304 + 6 + 24);
	assert_int_equal(lw_rewrite_src(&p, TOLD), 0);
	assert_memory_equal(p.buf + 10, "\x6c\x44", 2);
	assert_int_equal(p.buf[36] << 8 | p.buf[37], 0x0a7d + 5 + 0x0102 + 0x0304 + 6 + 24);
	free(p.buf);
}

static void check_segments(struct lw_packet *p, uint32_t addr, bool src)
{
	uint8_t segment[2000];
	struct lw_seg g;

	assert_int_equal(lw_seg_init(&g, p), 0);
	while (g.next < g.count) {
		uint32_t len = lw_seg_copy(&g, segment, sizeof(segment));

		assert_true(len > 0 && ref_good(segment, len));
		assert_int_equal((uint32_t)ref_get16(segment + (src ? 12 : 16)) << 16 |
		                         ref_get16(segment + (src ? 14 : 18)),
		                 addr);
	}
}

static void rewrite__random_superpackets__give_right_segments(void **state)
{
	static uint8_t bytes[REF_SUPER_MAX];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct ref_super s = ref_draw_super(&seed, 5);
		uint32_t addr = random_addr();
		bool src = (test_random(&seed) & 1) != 0;
		struct lw_packet p;

		if (s.v6)
			continue;
		ref_make_super(&seed, &s, bytes, &p);
		assert_int_equal(src ? lw_rewrite_src(&p, addr) : lw_rewrite_dst(&p, addr), 0);
		check_segments(&p, addr, src);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rewrite__udp_of_13_5__gives_its_lines_and_back),
		cmocka_unit_test(rewrite__tcp_syn_of_13_5__gives_its_line),
		cmocka_unit_test(rewrite__behind_headroom__touches_the_packet_only),
		cmocka_unit_test(rewrite__udp_without_checksum__stays_without),
		cmocka_unit_test(rewrite__udp_checksum_becomes_0__is_sent_as_ffff),
		cmocka_unit_test(rewrite__later_fragment__only_the_header_changes),
		cmocka_unit_test(rewrite__first_fragment__changes_the_transport_checksum),
		cmocka_unit_test(rewrite__icmp_and_other_protocols__keep_their_payload),
		cmocka_unit_test(rewrite__short_transport_header__is_left_alone),
		cmocka_unit_test(rewrite__impossible_header_length__changes_the_address_only),
		cmocka_unit_test(rewrite__no_ipv4_packet__is_refused_unchanged),
		cmocka_unit_test(rewrite__random_packets__equal_recomputation),
		cmocka_unit_test(rewrite__random_partial_packets__equal_recomputation),
		cmocka_unit_test(rewrite__sum_of_an_inner_tunnel__is_not_ours),
		cmocka_unit_test(rewrite__superpacket__has_one_header_to_change),
		cmocka_unit_test(rewrite__random_superpackets__give_right_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* inside-tun: superpackets from and to real sockets, and a kernel that lies or refuses */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/test.h"

#include "test_inside_tun_bed.h"
#include "test_inside_tun_kernel.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static void start(struct bed *b, uint64_t caps)
{
	bed_init(b);
	b->env.caps_wanted = caps;
	bed_start(b);
	assert_int_equal(b->caps.flags, caps);
	lw_fake_batch_destroy(b->batch);
	b->batch = lw_fake_batch_create(64, 1 << 20, false);
}

/* --- what the kernel gives --- */

/* whether a packet with a partial checksum becomes right by summing from csum_start to its end */
static bool completes(const struct lw_packet *p)
{
	const uint8_t *ip = lw_packet_data(p);
	uint32_t l4_len = p->len - p->csum_start;
	uint32_t pseudo = bed_sum(ip + 12, 8, ip[9] + l4_len);
	const uint8_t *field = ip + p->csum_start + p->csum_off;
	uint32_t seed = (uint32_t)(field[0] << 8 | field[1]);

	return p->csum_start == 20u && seed == pseudo;
}

static void recv__datagrams_of_this_machine__have_partial_checksums(void **state)
{
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, LW_CAP_CSUM);
	fd = bed_udp(&port);
	for (uint32_t headroom = 0; headroom <= 64; headroom += 8) {
		lw_batch_reset(b.batch);
		b.batch->headroom = headroom;
		bed_udp_send(fd, 1);
		bed_udp_send(fd, BED_MTU - 28);
		assert_int_equal(bed_recv(&b), -EAGAIN);
		assert_int_equal(b.batch->n, 2);
		LW_BATCH_FOREACH (p, b.batch) {
			assert_int_equal(p->flags, LW_PKT_CSUM_PARTIAL);
			assert_int_equal(p->csum_off, 6);
			assert_true(completes(p));
			assert_int_equal(p->gso_size, 0);
			assert_int_equal(p->off, headroom < 10 ? headroom + 16 : headroom);
			assert_true(p->off + p->len <= p->cap);
		}
		assert_int_equal(b.batch->pkt[0].len, 29);
		assert_int_equal(b.batch->pkt[1].len, BED_MTU);
	}
	assert_int_equal(bed_counter(&b, "rx_partial"), bed_counter(&b, "rx_packets"));
	assert_int_equal(bed_counter(&b, "rx_superpackets"), 0);
	(void)close(fd);
	bed_stop(&b);
}

static void recv__packets_passed_on__have_complete_checksums(void **state)
{
	uint8_t packet[128];
	uint32_t len = bed_packet(packet, 9, 20);
	struct bed b;
	int other;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, LW_TUN_CAPS_RECV);
	other = bed_attach("other", 0);
	bed_bring_up("other", 0x0a7e0001);
	bed_forward();
	bed_put32(packet + 12, 0x0a7e0009); /* from behind the other device to behind ours */
	bed_put32(packet + 16, BED_PEER);
	bed_put16(packet + 10, 0);
	bed_put16(packet + 10, ~bed_sum(packet, 20, 0));
	bed_put16(packet + 26, 0x1234); /* a wrong one must stay wrong */
	assert_int_equal(write(other, packet, len), len);
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 1);
	assert_int_equal(b.batch->pkt[0].flags & LW_PKT_CSUM_PARTIAL, 0);
	assert_memory_equal(lw_packet_data(&b.batch->pkt[0]) + 20, packet + 20, len - 20);
	assert_int_equal(bed_counter(&b, "rx_partial"), 0);
	(void)close(other);
	bed_stop(&b);
}

/* as QUIC does: many datagrams in one call */
static void udp_send_many(int fd, uint32_t total, int segment)
{
	assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	bed_udp_send(fd, total);
	segment = 0;
	assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
}

static void recv__udp_superpacket__comes_whole(void **state)
{
	struct lw_packet *p;
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, LW_TUN_CAPS_RECV);
	fd = bed_udp(&port);
	udp_send_many(fd, 50 * 1000 + 1, 1000);
	udp_send_many(fd, 64 * 10, 10);
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 2);
	p = &b.batch->pkt[0];
	assert_int_equal(p->len, 28 + 50001);
	assert_int_equal(p->gso_type, LW_GSO_UDP);
	assert_int_equal(p->gso_size, 1000);
	assert_int_equal(p->flags, LW_PKT_CSUM_PARTIAL);
	assert_true(completes(p));
	assert_int_equal(b.batch->pkt[1].gso_size, 10);
	assert_int_equal(bed_counter(&b, "rx_superpackets"), 2);
	assert_int_equal(bed_counter(&b, "rx_segments"), 51 + 64);
	assert_int_equal(bed_counter(&b, "rx_partial"), 2);
	(void)close(fd);
	bed_stop(&b);
}

/* without its capability a superpacket comes as what it stands for */
static void recv__udp_superpacket_not_granted__comes_in_pieces(void **state)
{
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, LW_CAP_CSUM | LW_CAP_TSO);
	fd = bed_udp(&port);
	udp_send_many(fd, 4001, 1000);
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 5);
	LW_BATCH_FOREACH (p, b.batch)
		assert_int_equal(p->gso_size, 0);
	assert_int_equal(b.batch->pkt[4].len, 29);
	(void)close(fd);
	bed_stop(&b);
}

/* no read may begin that could not take the largest packet whole */
static void recv__less_than_66_kib_left__waits(void **state)
{
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, LW_TUN_CAPS_RECV);
	fd = bed_udp(&port);
	udp_send_many(fd, 60000, 1000);
	udp_send_many(fd, 61000, 1000);
	b.batch->headroom = 64;
	b.batch->arena_cap = 64 + (66 << 10) - 1;
	assert_int_equal(bed_recv(&b), 0);
	assert_int_equal(b.batch->n, 0);
	b.batch->arena_cap++;
	assert_int_equal(bed_recv(&b), 0);
	assert_int_equal(b.batch->n, 1);
	assert_int_equal(b.batch->pkt[0].len, 60028);
	lw_batch_reset(b.batch);
	b.batch->arena_cap = 1 << 20;
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 1);
	assert_int_equal(b.batch->pkt[0].len, 61028);
	(void)close(fd);
	bed_stop(&b);
}

/* the MTU shrank while superpackets with larger segments were under way */
static void recv__segments_above_the_mtu__are_dropped(void **state)
{
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, LW_TUN_CAPS_RECV);
	bed_set_mtu("lw0", 1500);
	fd = bed_udp(&port);
	udp_send_many(fd, 10000, 1500 - 28);
	udp_send_many(fd, 10000, BED_MTU - 28);
	bed_udp_send(fd, BED_MTU - 27);
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(b.batch->n, 1);
	assert_int_equal(b.batch->pkt[0].gso_size, BED_MTU - 28);
	assert_int_equal(bed_counter(&b, "rx_too_long"), 2);
	(void)close(fd);
	bed_stop(&b);
}

/* --- a kernel, or a program on the same device, that lies --- */

static void recv__headers_that_lie__are_counted_and_dropped(void **state)
{
	uint8_t bytes[10 + 1500];
	unsigned good = 0;
	struct bed b;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, BED_CAPS);
	for (unsigned type = 0; type < 256; type++) {
		struct virtio_net_hdr h = { .flags = 1,
			                    .gso_type = (uint8_t)type,
			                    .gso_size = 500,
			                    .csum_start = 20,
			                    .csum_offset = 6 };

		memset(bytes, 0, sizeof(bytes));
		(void)bed_packet(bytes + 10, 9, 1300);
		memcpy(bytes, &h, sizeof(h));
		kernel.gives = bytes;
		kernel.n_gives = 10 + 1328;
		lw_batch_reset(b.batch);
		assert_int_equal(bed_recv(&b), -EAGAIN);
		assert_int_equal(b.batch->n, type == 0 || type == 5);
		good += b.batch->n;
	}
	assert_int_equal(bed_counter(&b, "rx_invalid"), 256 - good);
	assert_int_equal(bed_counter(&b, "rx_packets"), 2);
	assert_int_equal(bed_counter(&b, "rx_superpackets"), 1);
	assert_int_equal(bed_counter(&b, "rx_segments"), 3);
	assert_int_equal(bed_counter(&b, "rx_partial"), 2);
	for (size_t n = 0; n <= 10; n++) { /* no packet behind the header, or not even a header */
		kernel.gives = bytes;
		kernel.n_gives = n;
		assert_int_equal(bed_recv(&b), -EAGAIN);
	}
	assert_int_equal(bed_counter(&b, "rx_invalid"), 256 - good + 11);
	memset(bytes, 0, 10);
	kernel.gives = bytes;
	kernel.n_gives = 10 + BED_MTU + 1;
	assert_int_equal(bed_recv(&b), -EAGAIN);
	assert_int_equal(bed_counter(&b, "rx_too_long"), 1);
	bed_stop(&b);
}

/* --- what the kernel takes --- */

/* a single packet whose checksum is left to the kernel, as a filter may send one back */
static void send__single_packet_with_partial_checksum__is_completed(void **state)
{
	uint8_t packet[64];
	uint8_t got[64];
	uint32_t done = 9;
	struct lw_packet *p;
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, LW_CAP_CSUM);
	fd = bed_udp(&port);
	p = lw_fake_batch_add(b.batch, packet, bed_packet(packet, port, 5));
	bed_put16(lw_packet_data(p) + 26, bed_sum(packet + 12, 8, 17 + 13));
	p->flags = LW_PKT_CSUM_PARTIAL;
	p->csum_start = 20;
	p->csum_off = 6;
	assert_int_equal(bed_send(&b, &done), 0);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 5);
	p->csum_off = 60; /* outside the packet: the kernel says no, of a single one */
	assert_int_equal(bed_send(&b, &done), -EINVAL);
	assert_int_equal(bed_counter(&b, "tx_invalid"), 1);
	bed_stop(&b);
	/* bare packets have no place for it */
	bed_init(&b);
	bed_start(&b);
	p = lw_fake_batch_add(b.batch, packet, bed_packet(packet, port, 5));
	p->flags = LW_PKT_CSUM_PARTIAL;
	assert_int_equal(bed_send(&b, &done), -EINVAL);
	(void)close(fd);
	bed_stop(&b);
}

static void send__single_packet_in_pieces__arrives(void **state)
{
	static const uint32_t cuts[] = { 1, 2, 400, 512, 513, 1200 };
	uint8_t packet[BED_MTU];
	uint8_t got[BED_MTU];
	struct iovec more[8];
	struct iovec many[140];
	uint32_t done = 9;
	uint16_t port;
	struct bed b;
	int fd;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, LW_TUN_CAPS_SEND);
	fd = bed_udp(&port);
	(void)bed_packet(packet, port, BED_MTU - 28);
	for (uint32_t i = 0; i < BED_MTU - 28; i++)
		packet[28 + i] = (uint8_t)(i * 7);
	for (size_t k = 0; k < sizeof(cuts) / sizeof(cuts[0]); k++) {
		uint32_t at = 28 + cuts[k];
		struct lw_packet *p;

		lw_batch_reset(b.batch);
		p = lw_fake_batch_add(b.batch, packet, 28);
		more[0] = (struct iovec){ .iov_base = packet + 28, .iov_len = cuts[k] };
		more[1] = (struct iovec){ .iov_base = packet + at, .iov_len = BED_MTU - at };
		p->more = more;
		p->n_more = 2;
		p->more_len = BED_MTU - 28;
		assert_int_equal(bed_send(&b, &done), 0);
		assert_int_equal(recv(fd, got, sizeof(got), 0), BED_MTU - 28);
		assert_memory_equal(got, packet + 28, BED_MTU - 28);
		p->more_len--; /* its length must be that of its pieces */
		assert_int_equal(bed_send(&b, &done), -EINVAL);
		p->more_len += 2;
		assert_int_equal(bed_send(&b, &done), -EINVAL);
		p->more_len = 70000;
		assert_int_equal(bed_send(&b, &done), -EINVAL);
	}
	assert_int_equal(bed_counter(&b, "tx_bytes"), 6 * BED_MTU);
	for (size_t i = 0; i < 140; i++) /* more than any packet has, each of it to be copied */
		many[i] = (struct iovec){ .iov_base = packet, .iov_len = 512 };
	b.batch->pkt[0].more = many;
	b.batch->pkt[0].n_more = 140;
	b.batch->pkt[0].more_len = 140 * 512;
	assert_int_equal(bed_send(&b, &done), -EINVAL);
	bed_stop(&b);
	bed_init(&b); /* where no superpackets were granted, neither are pieces */
	bed_start(&b);
	lw_fake_batch_add(b.batch, packet, 28)->n_more = 1;
	assert_int_equal(bed_send(&b, &done), -EINVAL);
	(void)close(fd);
	bed_stop(&b);
}

/* many pieces, small and large, in the order that needs most of what a call takes */
static void send__very_many_pieces__are_one_superpacket(void **state)
{
	enum { MANY = 65535 };
	static uint8_t payload[600];
	static struct iovec more[MANY];
	uint8_t packet[200];
	uint32_t done = 9;
	struct lw_packet *p;
	struct bed b;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, LW_TUN_CAPS_SEND);
	(void)bed_packet(packet, 9, 100);
	packet[9] = 6;
	packet[32] = 0x50;
	p = lw_fake_batch_add(b.batch, packet, 128);
	for (uint32_t i = 0; i < MANY; i++)
		more[i] = (struct iovec){ .iov_base = payload, .iov_len = i < 65000 };
	p->more = more;
	p->n_more = MANY;
	p->more_len = 65000;
	p->gso_size = 1000;
	p->gso_type = LW_GSO_TCP4;
	p->flags = LW_PKT_CSUM_PARTIAL;
	p->csum_start = 20;
	p->csum_off = 16;
	assert_int_equal(bed_send(&b, &done), 0);
	p->more_len = 0;
	for (uint32_t i = 0; i < MANY; i++) {
		more[i].iov_len = i % 2 == 0 ? 1 : (i % 4 == 1 ? 513 : 0);
		if (p->more_len + more[i].iov_len > 65535 - 128)
			more[i].iov_len = 0;
		p->more_len += (uint32_t)more[i].iov_len;
	}
	assert_int_equal(bed_send(&b, &done), 0);
	assert_int_equal(done, 1);
	assert_int_equal(bed_counter(&b, "tx_superpackets"), 2);
	bed_stop(&b);
}

/* --- sending where the kernel refuses --- */

/* single, superpacket of two, single: all of the same bytes */
static void add_three(struct bed *b, uint8_t gso_type)
{
	uint8_t packet[200];
	uint32_t len = bed_packet(packet, 9, 100);

	packet[32] = 0x50;
	packet[9] = gso_type == LW_GSO_UDP ? 17 : 6;
	for (int i = 0; i < 3; i++) {
		struct lw_packet *p = lw_fake_batch_add(b->batch, packet, len);

		if (i != 1)
			continue;
		p->gso_type = gso_type;
		p->gso_size = 50;
		p->flags = LW_PKT_CSUM_PARTIAL;
		p->csum_start = 20;
		p->csum_off = gso_type == LW_GSO_UDP ? 6 : 16;
	}
}

static void send__superpacket_refused__says_so_and_takes_singles(void **state)
{
	static const int codes[] = { EINVAL, EIO, EOPNOTSUPP };
	uint32_t done = 9;
	struct bed b;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, BED_CAPS);
	for (int i = 0; i < 6; i++) {
		lw_batch_reset(b.batch);
		add_three(&b, i < 3 ? LW_GSO_TCP4 : LW_GSO_UDP);
		kernel.refuses[i < 3 ? 1 : 5] = codes[i % 3];
		assert_int_equal(bed_send(&b, &done), -EOPNOTSUPP);
		assert_int_equal(done, 1);
		assert_int_equal(b.batch->pkt[1].status, -codes[i % 3]);
		kernel.refuses[1] = kernel.refuses[5] = 0;
		b.batch->pkt[1].gso_size = 0; /* as the core sends it again */
		b.batch->pkt[1].flags = 0;
		assert_int_equal(bed_send(&b, &done), 0);
		assert_int_equal(done, 3);
	}
	assert_int_equal(bed_counter(&b, "tx_refused"), 6);
	assert_int_equal(bed_counter(&b, "tx_superpackets"), 0);
	assert_int_equal(bed_counter(&b, "tx_packets"), 6 * 4);
	assert_int_equal(bed_counter(&b, "tx_invalid") + bed_counter(&b, "tx_errors"), 0);
	bed_stop(&b);
}

static void send__any_other_error__keeps_its_name(void **state)
{
	static const struct {
		int code;
		int super;
		int single;
	} map[] = {
		{ ENOMEM, -ENOBUFS, -ENOBUFS },       { ENOBUFS, -ENOBUFS, -ENOBUFS },
		{ EAGAIN, -EAGAIN, -EAGAIN },         { EBADFD, -EBADFD, -EBADFD },
		{ EINVAL, -EOPNOTSUPP, -EINVAL },     { EIO, -EOPNOTSUPP, -EIO },
		{ EOPNOTSUPP, -EOPNOTSUPP, -EINVAL },
	};
	uint32_t done = 9;
	struct bed b;

	(void)state;
	NEEDS_OFFLOAD();
	start(&b, BED_CAPS);
	add_three(&b, LW_GSO_TCP4);
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		kernel.refuses[1] = map[i].code;
		assert_int_equal(bed_send(&b, &done), map[i].super);
		assert_int_equal(done, 1);
		kernel.refuses[1] = 0;
		kernel.single = map[i].code;
		assert_int_equal(bed_send(&b, &done), map[i].single);
		assert_int_equal(done, 0);
		kernel.single = 0;
	}
	bed_stop(&b);
}

#define TEST(f) cmocka_unit_test_setup(f, new_kernel)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(recv__datagrams_of_this_machine__have_partial_checksums),
		TEST(recv__packets_passed_on__have_complete_checksums),
		TEST(recv__udp_superpacket__comes_whole),
		TEST(recv__udp_superpacket_not_granted__comes_in_pieces),
		TEST(recv__less_than_66_kib_left__waits),
		TEST(recv__segments_above_the_mtu__are_dropped),
		TEST(recv__headers_that_lie__are_counted_and_dropped),
		TEST(send__single_packet_with_partial_checksum__is_completed),
		TEST(send__single_packet_in_pieces__arrives),
		TEST(send__very_many_pieces__are_one_superpacket),
		TEST(send__superpacket_refused__says_so_and_takes_singles),
		TEST(send__any_other_error__keeps_its_name),
	};

	(void)bed_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

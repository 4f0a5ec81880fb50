/* SPDX-License-Identifier: MIT */
/*
 * inside-tun in bulk: TCP between two namespaces through two devices of ours, and the kernel as the
 * judge of what we write: it cuts our superpackets, and we compare.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/test.h"

#include "test_inside_tun_bed.h"

#define NEAR       BED_SERVER
#define FAR        BED_PEER
#define BULK       (16u << 20)
#define PIECES_MAX 2048

/* --- two devices --- */

struct pair {
	struct bed near;
	struct bed far;
	int near_ns;
	int far_ns;
	int client;
	int server;
	bool scatter;
	uint64_t seed;
};

static void enter(int ns)
{
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
}

static void start_one(struct bed *b, uint32_t address, uint64_t caps)
{
	bed_init(b);
	b->opts.address = (struct lw_addr){ .family = 4, .prefix = 16 };
	bed_put32(b->opts.address.ip, address);
	b->env.caps_wanted = caps;
	bed_start(b);
	assert_int_equal(b->caps.flags, caps);
	lw_fake_batch_destroy(b->batch);
	b->batch = lw_fake_batch_create(64, 1 << 20, false);
	b->batch->headroom = 64;
}

static int tcp_socket(uint32_t address, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		                  .sin_port = htons(port),
		                  .sin_addr = { .s_addr = htonl(address) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

/* the first part keeps the headers and some payload; the rest goes in pieces of any size */
static void scatter(struct pair *p, struct lw_packet *pkt, struct iovec *more)
{
	uint32_t keep = 60 + (uint32_t)test_random(&p->seed) % 1400;
	uint8_t *at = lw_packet_data(pkt) + keep;
	uint32_t left;

	if (pkt->len <= keep)
		return;
	left = pkt->len - keep;
	pkt->len = keep;
	pkt->more_len = left;
	pkt->more = more;
	while (left > 0) {
		uint32_t n = 1 + (uint32_t)test_random(&p->seed) % PIECES_MAX;

		n = n < left ? n : left;
		more[pkt->n_more++] = (struct iovec){ .iov_base = at, .iov_len = n };
		at += n;
		left -= n;
	}
}

/* all that one device has to the other one, until it is drained */
static void carry(struct pair *p, struct bed *from, struct bed *to)
{
	static struct iovec more[64][4096];
	int r;

	do {
		uint32_t done = 0;

		lw_batch_reset(from->batch);
		r = bed_recv(from);
		assert_true(r == 0 || r == -EAGAIN);
		for (uint32_t i = 0; p->scatter && i < from->batch->n; i++)
			scatter(p, &from->batch->pkt[i], more[i]);
		assert_int_equal(laneway_module.ops.inside->send(to->inst, &to->workers[0].w,
		                                                 from->batch, &done),
		                 0);
		assert_int_equal(done, from->batch->n);
	} while (r == 0);
}

static void carry_both(struct pair *p)
{
	carry(p, &p->near, &p->far);
	carry(p, &p->far, &p->near);
}

static void pair_connect(struct pair *p)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		                  .sin_port = htons(5000),
		                  .sin_addr = { .s_addr = htonl(FAR) } };
	int listener;

	enter(p->far_ns);
	listener = tcp_socket(FAR, 5000);
	assert_int_equal(listen(listener, 1), 0);
	enter(p->near_ns);
	p->client = tcp_socket(NEAR, 0);
	assert_int_equal(connect(p->client, (struct sockaddr *)&in, sizeof(in)), -1);
	assert_int_equal(errno, EINPROGRESS);
	for (int i = 0; i < 10; i++)
		carry_both(p);
	p->server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(p->server >= 0);
	(void)close(listener);
}

static void pair_start(struct pair *p, uint64_t near_caps, uint64_t far_caps)
{
	memset(p, 0, sizeof(*p));
	p->seed = 7;
	p->near_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	p->far_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	start_one(&p->far, FAR, far_caps);
	enter(p->near_ns);
	start_one(&p->near, NEAR, near_caps);
	pair_connect(p);
}

static void pair_stop(struct pair *p)
{
	(void)close(p->client);
	(void)close(p->server);
	bed_stop(&p->near);
	enter(p->far_ns);
	bed_stop(&p->far);
	enter(p->near_ns);
	(void)close(p->far_ns);
	(void)close(p->near_ns);
}

/* bytes that no shift of the stream leaves as they are */
static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i ^ i >> 8 ^ i >> 16 ^ i >> 21);
}

static uint32_t give(struct pair *p, uint64_t sent)
{
	static uint8_t buf[256 << 10];
	uint32_t n = BULK - sent < sizeof(buf) ? (uint32_t)(BULK - sent) : (uint32_t)sizeof(buf);
	ssize_t done;

	for (uint32_t i = 0; i < n; i++)
		buf[i] = byte_at(sent + i);
	done = send(p->client, buf, n, MSG_NOSIGNAL);
	assert_true(done >= 0 || errno == EAGAIN);
	return done > 0 ? (uint32_t)done : 0;
}

static uint32_t get(struct pair *p, uint64_t got)
{
	static uint8_t buf[256 << 10];
	ssize_t n = recv(p->server, buf, sizeof(buf), 0);

	assert_true(n > 0 || (n < 0 && errno == EAGAIN));
	for (ssize_t i = 0; i < n; i++)
		assert_true(buf[i] == byte_at(got + (uint64_t)i));
	return n > 0 ? (uint32_t)n : 0;
}

/* from the client to the server, both of this thread: whoever waits is woken by our carrying */
static void transfer(struct pair *p)
{
	uint64_t sent = 0;
	uint64_t got = 0;
	unsigned idle = 0;

	while (got < BULK) {
		uint32_t n = sent < BULK ? give(p, sent) : 0;

		sent += n;
		carry_both(p);
		for (uint32_t more = get(p, got); more > 0; more = get(p, got)) {
			got += more;
			n += more;
		}
		carry_both(p); /* what the reading acknowledged */
		idle = n > 0 ? 0 : idle + 1;
		if (idle > 0)
			(void)usleep(1000); /* the kernel's timers have the word */
		assert_true(idle < 5000);
	}
}

/* TCP segments that came with a wrong checksum into this namespace */
static unsigned long sum_errors(void)
{
	FILE *f = fopen("/proc/thread-self/net/snmp", "re");
	char line[1024];
	unsigned long n = ULONG_MAX;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Tcp: ", 5) == 0)
			n = strtoul(strrchr(line, ' '), NULL, 10); /* the second such line */
	}
	(void)fclose(f);
	return n;
}

static void tell(const struct pair *p, const char *what)
{
	print_message("%s: %.0f bytes a read, %.0f segments a superpacket\n", what,
	              (double)bed_counter(&p->near, "rx_bytes") /
	                      (double)bed_counter(&p->near, "rx_packets"),
	              (double)bed_counter(&p->near, "rx_segments") /
	                      (double)(bed_counter(&p->near, "rx_superpackets") + 1));
}

static void flow__bulk_tcp__comes_in_reads_above_30000_bytes(void **state)
{
	struct pair p;

	(void)state;
	NEEDS_OFFLOAD();
	for (int scattered = 0; scattered < 2; scattered++) {
		pair_start(&p, BED_CAPS, BED_CAPS);
		p.scatter = scattered != 0;
		transfer(&p);
		tell(&p, scattered ? "in pieces" : "offload");
		assert_true(bed_counter(&p.near, "rx_bytes") >
		            30000 * bed_counter(&p.near, "rx_packets"));
		assert_true(bed_counter(&p.near, "rx_segments") >= BULK / BED_MTU);
		assert_int_equal(bed_counter(&p.far, "tx_superpackets"),
		                 bed_counter(&p.near, "rx_superpackets"));
		assert_int_equal(bed_counter(&p.far, "tx_segments"),
		                 bed_counter(&p.near, "rx_segments"));
		assert_int_equal(bed_counter(&p.near, "rx_invalid"), 0);
		assert_int_equal(bed_counter(&p.near, "rx_too_long"), 0);
		assert_int_equal(bed_counter(&p.far, "tx_refused"), 0);
		assert_int_equal(sum_errors(), 0);
		enter(p.far_ns);
		assert_int_equal(sum_errors(), 0);
		enter(p.near_ns);
		pair_stop(&p);
	}
}

static void flow__bulk_tcp_without_offload__comes_in_packets(void **state)
{
	static const uint64_t caps[] = { 0, LW_CAP_CSUM };
	struct pair p;

	(void)state;
	NEEDS_OFFLOAD();
	for (size_t i = 0; i < 2; i++) {
		pair_start(&p, caps[i], caps[i]);
		transfer(&p);
		tell(&p, i == 0 ? "nothing" : "checksum");
		assert_true(bed_counter(&p.near, "rx_bytes") <=
		            BED_MTU * bed_counter(&p.near, "rx_packets"));
		assert_int_equal(bed_counter(&p.near, "rx_superpackets"), 0);
		assert_int_equal(bed_counter(&p.near, "rx_partial") > 0, i == 1);
		assert_int_equal(bed_counter(&p.near, "rx_too_long"), 0);
		pair_stop(&p);
	}
}

/* --- the kernel as the judge --- */

/* a superpacket of ours, as one piece of memory */
struct super {
	uint8_t bytes[65536];
	uint32_t len;
	uint32_t l4;
	uint32_t hl;
	uint16_t gso_size;
	bool v6;
	bool udp;
};

static uint32_t pseudo_sum(const uint8_t *ip, bool v6, bool udp, uint32_t l4_len)
{
	return v6 ? bed_sum(ip + 8, 32, (udp ? 17u : 6u) + l4_len)
	          : bed_sum(ip + 12, 8, (udp ? 17u : 6u) + l4_len);
}

static void put_addresses(struct super *s)
{
	if (!s->v6) {
		bed_put32(s->bytes + 12, BED_PEER);
		bed_put32(s->bytes + 16, 0x0a7e0009);
		return;
	}
	memset(s->bytes + 8, 0, 32);
	s->bytes[8] = s->bytes[24] = 0xfd;
	s->bytes[11] = 1;
	s->bytes[27] = 2;
	s->bytes[23] = s->bytes[39] = 9;
}

static void put_lengths(uint8_t *p, const struct super *s, uint32_t len)
{
	if (s->v6)
		bed_put16(p + 4, len - 40);
	else
		bed_put16(p + 2, len);
	if (s->udp)
		bed_put16(p + s->l4 + 4, len - s->l4);
	if (s->v6)
		return;
	bed_put16(p + 10, 0);
	bed_put16(p + 10, ~bed_sum(p, 20, 0));
}

static void put_ip(struct super *s, uint64_t r)
{
	uint8_t *p = s->bytes;

	p[0] = s->v6 ? 0x60 : 0x45;
	p[1] = (uint8_t)(s->v6 ? r & 0xf0 : r & 0xfc); /* not CE: the kernel may look at it */
	if (s->v6) {
		p[6] = s->udp ? 17 : 6;
		p[7] = 64;
	} else {
		bed_put16(p + 4, (uint32_t)(r >> 8)); /* may wrap */
		p[6] = (r >> 24 & 1) != 0 ? 0x40 : 0;
		p[8] = 64;
		p[9] = s->udp ? 17 : 6;
	}
	put_addresses(s);
}

static void put_tcp(struct super *s, uint64_t r)
{
	static const uint8_t flags[] = { 0x10, 0x18, 0x11, 0x19, 0x50, 0xd8, 0x90 };
	uint8_t *p = s->bytes + s->l4;

	bed_put32(p + 4, 0xffffffffu - (uint32_t)(r % 30000)); /* sequence: wraps */
	p[12] = (uint8_t)((s->hl - s->l4) / 4 << 4);
	p[13] = flags[r % 7];
	memset(p + 20, 1, s->hl - s->l4 - 20); /* options: no operation */
}

/* random fields, of 2 to some hundred segments */
static void make_super(struct super *s, uint64_t *seed)
{
	uint64_t r = test_random(seed);
	uint32_t payload;

	memset(s->bytes, 0, 120);
	s->v6 = (r & 1) != 0;
	s->udp = (r & 2) != 0;
	s->l4 = s->v6 ? 40 : 20;
	s->hl = s->l4 + (s->udp ? 8 : 20 + (uint32_t)(r >> 2) % 11 * 4);
	s->gso_size = (uint16_t)(1 + (r >> 8) % (BED_MTU - s->hl));
	payload = s->gso_size + 1 + (uint32_t)(r >> 24) % (63u * s->gso_size);
	if (payload > 65535 - s->hl)
		payload = 65535 - s->hl;
	s->len = s->hl + payload;
	put_ip(s, test_random(seed));
	bed_put16(s->bytes + s->l4, 1000);
	bed_put16(s->bytes + s->l4 + 2, 2000);
	if (!s->udp)
		put_tcp(s, test_random(seed));
	for (uint32_t i = s->hl; i < s->len; i++)
		s->bytes[i] = (uint8_t)test_random(seed);
	put_lengths(s->bytes, s, s->len);
	bed_put16(s->bytes + s->l4 + (s->udp ? 6 : 16),
	          pseudo_sum(s->bytes, s->v6, s->udp, s->len - s->l4));
}

/* offload.md 2.2, written down once more: segment i, as it leaves after one hop */
static uint32_t expect(const struct super *s, uint32_t i, uint8_t *p)
{
	uint32_t at = s->hl + i * s->gso_size;
	uint32_t n = s->len - at < s->gso_size ? s->len - at : s->gso_size;
	bool last = at + n == s->len;
	uint8_t *l4 = p + s->l4;
	uint32_t seq = (uint32_t)s->bytes[s->l4 + 4] << 24 | (uint32_t)s->bytes[s->l4 + 5] << 16 |
	               (uint32_t)s->bytes[s->l4 + 6] << 8 | s->bytes[s->l4 + 7];
	uint32_t sum;

	memcpy(p, s->bytes, s->hl);
	memcpy(p + s->hl, s->bytes + at, n);
	p[s->v6 ? 7 : 8]--;
	if (!s->v6)
		bed_put16(p + 4, ((uint32_t)p[4] << 8 | p[5]) + i);
	put_lengths(p, s, s->hl + n);
	if (!s->udp) {
		bed_put32(l4 + 4, seq + i * s->gso_size);
		if (!last)
			l4[13] &= (uint8_t)~0x09; /* FIN, PSH */
		if (i > 0)
			l4[13] &= (uint8_t)~0x80; /* CWR */
	}
	bed_put16(l4 + (s->udp ? 6 : 16), 0);
	sum = ~bed_sum(l4, s->hl - s->l4 + n, pseudo_sum(p, s->v6, s->udp, s->hl - s->l4 + n)) &
	      0xffff;
	bed_put16(l4 + (s->udp ? 6 : 16), s->udp && sum == 0 ? 0xffff : sum);
	return s->hl + n;
}

/* the next packet of the flow: the kernel's own IPv6 chatter is none */
static uint32_t read_segment(int fd, const struct super *s, uint8_t *p)
{
	for (;;) {
		ssize_t n = read(fd, p, 2048);

		assert_true(n > 0);
		if (p[0] >> 4 == (s->v6 ? 6 : 4) && p[s->v6 ? 6 : 9] == (s->udp ? 17 : 6))
			return (uint32_t)n;
	}
}

static void write_super(struct pair *p, struct super *s, struct bed *b)
{
	static struct iovec more[4096];
	struct lw_packet *pkt;
	uint32_t done = 0;

	lw_batch_reset(b->batch);
	pkt = lw_fake_batch_add(b->batch, s->bytes, s->len);
	pkt->flags = LW_PKT_CSUM_PARTIAL;
	if (!s->udp && (s->bytes[s->l4 + 13] & 0x80) != 0 && (s->gso_size & 1) != 0)
		pkt->flags |= LW_PKT_ECN; /* with or without: CWR is only on the first */
	pkt->gso_size = s->gso_size;
	pkt->gso_type = s->udp ? LW_GSO_UDP : (s->v6 ? LW_GSO_TCP6 : LW_GSO_TCP4);
	pkt->csum_start = (uint16_t)s->l4;
	pkt->csum_off = s->udp ? 6 : 16;
	scatter(p, pkt, more);
	if (pkt->len < s->hl) { /* headers are never scattered */
		pkt->len = s->len;
		pkt->n_more = 0;
		pkt->more_len = 0;
	}
	assert_int_equal(bed_send(b, &done), 0);
}

static void send__superpackets__leave_as_the_segments_they_stand_for(void **state)
{
	static struct super s;
	uint8_t expected[2048];
	uint8_t got[2048];
	struct pair p = { .seed = 99 };
	uint64_t segments = 0;
	uint64_t seed = 4711;
	struct bed b;
	int out;

	(void)state;
	NEEDS_OFFLOAD();
	start_one(&b, NEAR, LW_TUN_CAPS_SEND);
	out = bed_attach("out", 0);
	bed_bring_up("out", 0x0a7e0001);
	bed_forward();
	bed_bring_up6("lw0", 1);
	bed_bring_up6("out", 2);
	for (int round = 0; round < 400; round++) {
		uint32_t count;

		make_super(&s, &seed);
		count = (s.len - s.hl + s.gso_size - 1) / s.gso_size;
		write_super(&p, &s, &b);
		for (uint32_t i = 0; i < count; i++) {
			uint32_t len = expect(&s, i, expected);

			assert_int_equal(read_segment(out, &s, got), len);
			assert_memory_equal(got, expected, len);
		}
		segments += count;
	}
	assert_int_equal(bed_counter(&b, "tx_superpackets"), 400);
	assert_int_equal(bed_counter(&b, "tx_segments"), segments);
	print_message("%u superpackets, %u segments, all as expected\n", 400, (unsigned)segments);
	(void)close(out);
	bed_stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow__bulk_tcp__comes_in_reads_above_30000_bytes),
		cmocka_unit_test(flow__bulk_tcp_without_offload__comes_in_packets),
		cmocka_unit_test(send__superpackets__leave_as_the_segments_they_stand_for),
	};

	(void)bed_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

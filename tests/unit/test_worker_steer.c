/* SPDX-License-Identifier: MIT */
/* Both programs in the kernel of this machine: what is sent comes out where its worker is. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/test.h"
#include "worker/steer.h"

#define MOST      8u
#define MOST_FDS  (2 * MOST)
#define WAIT_MS   10000
#define PEERS     64u
#define MAX_DGRAM 1400u

static const uint32_t counts[] = { 1, 2, 3, 5, MOST };

#define COUNTS (sizeof(counts) / sizeof(counts[0]))

/* sockets of one address, or queues of one device, in the order of their workers */
struct group {
	int fds[MOST_FDS];
	uint32_t n;
	int packets; /* to send into the device; to close it takes the kernel a while */
};

/* The one that has something, which it takes out; UINT32_MAX: none in time. */
static uint32_t find(const struct group *g, uint8_t *buf, size_t cap, size_t *ret_len)
{
	struct pollfd p[MOST_FDS];

	for (uint32_t i = 0; i < g->n; i++)
		p[i] = (struct pollfd){ .fd = g->fds[i], .events = POLLIN };
	if (poll(p, g->n, WAIT_MS) <= 0)
		return UINT32_MAX;
	for (uint32_t i = 0; i < g->n; i++) {
		ssize_t n = read(g->fds[i], buf, cap);

		if (n < 0)
			continue;
		*ret_len = (size_t)n;
		return i;
	}
	return UINT32_MAX;
}

static void close_group(struct group *g)
{
	while (g->n > 0)
		(void)close(g->fds[--g->n]);
}

static void random_bytes(uint64_t *seed, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(test_random(seed) >> 33);
}

/* --- outside --- */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct listeners {
	struct group group; /* of sessions, and behind them as many of strangers, or none */
	uint32_t workers;
	union address at;
	socklen_t len;
};

static union address loopback(int family)
{
	union address a = { .sa = { .sa_family = (sa_family_t)family } };

	if (family == AF_INET)
		a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		a.in6.sin6_addr = in6addr_loopback;
	return a;
}

static int bound(union address *a, socklen_t len, bool shared)
{
	int fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	assert_true(fd >= 0);
	if (shared)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, &a->sa, len), 0);
	assert_int_equal(getsockname(fd, &a->sa, &len), 0);
	return fd;
}

static void listen_with_program(struct listeners *l, int family, uint32_t n, bool strangers)
{
	struct sock_filter insns[LW_STEER_OUTSIDE_INSNS];
	const struct sock_fprog program = { .len = LW_STEER_OUTSIDE_INSNS, .filter = insns };

	*l = (struct listeners){ .at = loopback(family), .workers = n };
	l->len = family == AF_INET ? sizeof(l->at.in) : sizeof(l->at.in6);
	while (l->group.n < (strangers ? 2 * n : n))
		l->group.fds[l->group.n++] = bound(&l->at, l->len, true);
	lw_steer_outside(n, insns);
	assert_int_equal(setsockopt(l->group.fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
	                            sizeof(program)),
	                 0);
}

static int peer_of(const struct listeners *l)
{
	union address a = loopback(l->at.sa.sa_family);
	int fd = bound(&a, l->len, false);

	assert_int_equal(connect(fd, &l->at.sa, l->len), 0);
	return fd;
}

/* Where a datagram arrives. */
static uint32_t arrives(const struct listeners *l, int peer, const uint8_t *p, size_t len)
{
	uint8_t got[MAX_DGRAM];
	size_t got_len = 0;
	uint32_t where;

	assert_int_equal(send(peer, p, len, 0), len);
	where = find(&l->group, got, sizeof(got), &got_len);
	assert_true(where < l->group.n);
	assert_int_equal(got_len, len);
	assert_memory_equal(got, p, len);
	return where;
}

static bool has_family(int family)
{
	union address a = loopback(family);
	int fd = socket(family, SOCK_DGRAM, 0);
	bool has =
		fd >= 0 && bind(fd, &a.sa, family == AF_INET ? sizeof(a.in) : sizeof(a.in6)) == 0;

	if (fd >= 0)
		(void)close(fd);
	if (!has)
		print_message("  without IPv6, which this machine has not\n");
	return has;
}

static bool has_strangers(const struct listeners *l)
{
	return l->group.n > l->workers;
}

/* Each family that there is, with each number of workers, without and with sockets of strangers. */
static void each_group(void (*test)(const struct listeners *l))
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 4 * COUNTS; i++) {
		struct listeners l;

		if (!has_family(families[i / COUNTS / 2]))
			break;
		listen_with_program(&l, families[i / COUNTS / 2], counts[i % COUNTS],
		                    i / COUNTS % 2 == 1);
		test(&l);
		close_group(&l.group);
	}
}

static void check_ids(const struct listeners *l)
{
	uint64_t seed = 6;
	int peer = peer_of(l);

	for (uint32_t byte = 0; byte < 256; byte++) {
		uint8_t dgram[MAX_DGRAM];
		uint32_t where;

		random_bytes(&seed, dgram, sizeof(dgram));
		memcpy(dgram, "He", 2);
		dgram[8] = (uint8_t)byte;
		where = arrives(l, peer, dgram, 16 + test_random(&seed) % (sizeof(dgram) - 15));
		if (byte < l->workers)
			assert_int_equal(where, byte);
		else if (has_strangers(l))
			assert_in_range(where, l->workers, l->group.n - 1);
		assert_int_equal(arrives(l, peer, dgram, 16), where); /* the shortest */
	}
	(void)close(peer);
}

static void steer_outside__id_of_a_worker__is_at_its_socket(void **state)
{
	(void)state;
	each_group(check_ids);
}

/* Only all 8 bytes of nothing are no id: each bit alone makes one. */
static void check_single_bits(const struct listeners *l)
{
	int peer = peer_of(l);

	for (uint32_t bit = 0; bit < 64; bit++) {
		uint8_t dgram[16] = { 'H', 'e', 1, 3, 0, 0, 0, 0 };
		uint32_t byte = bit < 8 ? 1u << bit : 0;
		uint32_t where;

		dgram[8 + bit / 8] = (uint8_t)(1u << bit % 8);
		where = arrives(l, peer, dgram, sizeof(dgram));
		if (byte < l->workers)
			assert_int_equal(where, byte);
	}
	(void)close(peer);
}

static void steer_outside__id_of_one_bit__is_an_id(void **state)
{
	(void)state;
	each_group(check_single_bits);
}

/* What names no worker of l: without an id, too short for one, with one of somebody else's, or in a
 * datagram that is not ours. */
static size_t make_nobodys(const struct listeners *l, uint32_t i, uint64_t *seed, uint8_t *dgram)
{
	random_bytes(seed, dgram, MAX_DGRAM);
	memcpy(dgram, "He", 2);
	dgram[8] = 0;
	if (i < 16)
		return i;
	if (i == 16)
		memset(dgram + 8, 0, 8);
	else if (i == 17)
		memset(dgram + 8, 0xff, 8);
	else if (i == 18)
		dgram[8] = (uint8_t)l->workers;
	else if (i == 19 && has_strangers(l))
		dgram[i % 2] ^= 1;
	else
		dgram[8] = (uint8_t)(l->workers + test_random(seed) % (256 - l->workers));
	return i % 2 == 0 ? 16 : 16 + test_random(seed) % (MAX_DGRAM - 15);
}

static void check_nobodys(const struct listeners *l)
{
	uint32_t peers[MOST_FDS] = { 0 };
	uint64_t seed = 7;
	uint32_t used = 0;

	for (uint32_t k = 0; k < PEERS; k++) {
		int peer = peer_of(l);
		uint32_t first = UINT32_MAX;

		for (uint32_t i = 0; i < 24; i++) {
			uint8_t dgram[MAX_DGRAM];
			size_t len = make_nobodys(l, i, &seed, dgram);
			uint32_t where = arrives(l, peer, dgram, len);

			first = i == 0 ? where : first;
			assert_int_equal(where, first);
			if (has_strangers(l))
				assert_in_range(where, l->workers, l->group.n - 1);
		}
		peers[first]++;
		(void)close(peer);
	}
	for (uint32_t i = 0; i < l->group.n; i++)
		used += peers[i] > 0;
	assert_true(used >= (l->workers + 1) / 2);
}

static void steer_outside__id_of_nobody__stays_with_the_peer_and_spreads(void **state)
{
	(void)state;
	each_group(check_nobodys);
}

/* --- inside --- */

static const char *no_device; /* why there is none, or NULL */

/* This program moves into a network namespace of its own, which goes with it. */
static int enter(void **state)
{
	int fd;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0) {
		no_device = "no network namespace can be made";
		return 0;
	}
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		no_device = "/dev/net/tun cannot be opened";
	else
		(void)close(fd);
	return 0;
}

static void close_device(struct group *g)
{
	close_group(g);
	(void)close(g->packets);
}

static void request(unsigned long what, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(ioctl(fd, what, ifr), 0);
	(void)close(fd);
}

static int open_queue(void)
{
	struct ifreq ifr = { .ifr_name = "lw0",
		             .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

static void open_device(struct group *g, uint32_t n)
{
	struct ifreq ifr = { .ifr_name = "lw0", .ifr_flags = IFF_UP };
	struct lw_err err = { 0 };
	int program;

	*g = (struct group){ .packets = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
	assert_true(g->packets >= 0);
	while (g->n < n)
		g->fds[g->n++] = open_queue();
	program = lw_steer_inside(n, &err);
	if (program < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ioctl(g->fds[0], TUNSETSTEERINGEBPF, &program), 0);
	(void)close(program);
	request(SIOCSIFFLAGS, &ifr);
}

/* Sends whatever there is in a packet, as a route through the device would. */
static void inject(const struct group *g, const uint8_t *p, size_t len, uint16_t protocol)
{
	const struct sockaddr_ll to = { .sll_family = AF_PACKET,
		                        .sll_protocol = htons(protocol),
		                        .sll_ifindex = (int)if_nametoindex("lw0") };

	assert_int_equal(sendto(g->packets, p, len, 0, (const struct sockaddr *)&to, sizeof(to)),
	                 len);
}

/* The queue at which it arrives; the kernel's own packets of a new device are passed over. */
static uint32_t queue_of(const struct group *g, const uint8_t *p, size_t len, uint16_t protocol)
{
	uint8_t got[2048];
	size_t got_len;
	uint32_t where;

	inject(g, p, len, protocol);
	do
		where = find(g, got, sizeof(got), &got_len);
	while (where < g->n && (got_len != len || memcmp(got, p, len) != 0));
	assert_true(where < g->n);
	return where;
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, sizeof(v));
}

/* low 32 bits of a destination: those at the edges of signed and unsigned, then any */
static uint32_t destination(uint32_t i, uint64_t *seed)
{
	static const uint32_t edges[] = { 0,          1,          0x7fffffff, 0x80000000,
		                          0x80000001, 0xfffffffe, 0xffffffff, 0x0a7d0001 };

	return i < 8 ? edges[i] : (uint32_t)(test_random(seed) >> 21);
}

static void check_addresses(const struct group *g, int version)
{
	uint64_t seed = 8;

	for (uint32_t i = 0; i < 500; i++) {
		uint32_t dst = destination(i, &seed);
		uint8_t packet[200];
		size_t len = 40 + test_random(&seed) % (sizeof(packet) - 39);

		random_bytes(&seed, packet, sizeof(packet));
		packet[0] = (uint8_t)(version << 4 | (packet[0] & 15)); /* options, or a class */
		put32(packet + (version == 4 ? 16 : 36), dst);
		assert_int_equal(queue_of(g, packet, len, version == 4 ? ETH_P_IP : ETH_P_IPV6),
		                 dst % g->n);
	}
}

#define NEEDS_DEVICE()                                                                             \
	do {                                                                                       \
		if (no_device != NULL) {                                                           \
			print_message("SKIP: %s\n", no_device);                                    \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

static void steer_inside__any_address__is_at_the_queue_of_its_remainder(void **state)
{
	(void)state;
	NEEDS_DEVICE();
	for (size_t i = 0; i < COUNTS; i++) {
		struct group g;

		open_device(&g, counts[i]);
		check_addresses(&g, 4);
		check_addresses(&g, 6);
		close_device(&g);
	}
}

/* A packet that ends in front of its destination is still one that somebody gets. */
static void steer_inside__packet_cut_short__is_not_lost(void **state)
{
	static const struct {
		uint8_t version;
		uint8_t whole;
	} kinds[] = { { 4, 20 }, { 6, 40 } };
	struct group g;

	(void)state;
	NEEDS_DEVICE();
	open_device(&g, 5);
	for (size_t i = 0; i < 2; i++) {
		uint8_t packet[40] = { (uint8_t)(kinds[i].version << 4) };

		for (uint8_t len = 1; len < kinds[i].whole; len++)
			(void)queue_of(&g, packet, len, ETH_P_IP);
	}
	close_device(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steer_outside__id_of_a_worker__is_at_its_socket),
		cmocka_unit_test(steer_outside__id_of_one_bit__is_an_id),
		cmocka_unit_test(steer_outside__id_of_nobody__stays_with_the_peer_and_spreads),
		cmocka_unit_test_setup(steer_inside__any_address__is_at_the_queue_of_its_remainder,
		                       enter),
		cmocka_unit_test(steer_inside__packet_cut_short__is_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

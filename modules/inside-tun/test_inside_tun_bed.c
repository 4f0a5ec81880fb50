/* SPDX-License-Identifier: MIT */
#include "test_inside_tun_bed.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/test.h"

#include "ethtool.h"

static char no_bed[160] = "bed_enter() was not called";

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		(void)close(fd);
	return ok;
}

/* root of a namespace of its own, where this user may not make a network namespace as it is */
static int unshare_as_user(void)
{
	char map[64];
	unsigned uid = geteuid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	(void)snprintf(map, sizeof(map), "0 %u 1\n", uid);
	return write_text("/proc/self/uid_map", map) ? 0 : -EPERM;
}

static const char *give_up(const char *what, int r)
{
	(void)snprintf(no_bed, sizeof(no_bed), "%s: %s", what, strerror(-r));
	return no_bed;
}

const char *bed_enter(void)
{
	const char *v6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
	int r = unshare(CLONE_NEWNET) < 0 ? unshare_as_user() : 0;
	int fd;

	if (r < 0)
		return give_up("no network namespace can be made", r);
	/* else the kernel's router solicitations come out of every new device */
	if (access(v6, F_OK) == 0 && !write_text(v6, "1"))
		return give_up("IPv6 cannot be switched off", -errno);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return give_up("/dev/net/tun cannot be opened", -errno);
	(void)close(fd);
	fd = bed_attach("probe", 0);
	if (fd < 0)
		return give_up("no TUN device can be made", fd);
	(void)close(fd);
	no_bed[0] = 0;
	return NULL;
}

bool bed_skips(void)
{
	if (no_bed[0] != 0)
		print_message("SKIP: %s\n", no_bed);
	return no_bed[0] != 0;
}

bool bed_lacks_offload(void)
{
	int fd = bed_attach("probe", IFF_VNET_HDR);
	bool lacks = fd < 0 || ioctl(fd, TUNSETOFFLOAD, 0x6ful) < 0;

	if (lacks)
		print_message("SKIP: this kernel has no UDP superpackets on TUN devices\n");
	if (fd >= 0)
		(void)close(fd);
	return lacks;
}

void bed_init(struct bed *b)
{
	memset(b, 0, sizeof(*b));
	lw_fake_host_init(&b->host);
	b->opts = (struct lw_tun_options){ .name = "lw0",
		                           .device = "/dev/net/tun",
		                           .queue_length = 1000,
		                           .offload = BED_AUTO,
		                           .tso = BED_AUTO,
		                           .uso = BED_AUTO,
		                           .checksum = BED_AUTO,
		                           .coalesce = BED_AUTO };
	b->env = (struct lw_env){
		.size = sizeof(b->env), .role = LW_ROLE_SERVER, .workers = 1, .inside_mtu = BED_MTU
	};
}

int bed_prepare(struct bed *b)
{
	const struct lw_life_ops *life = laneway_module.life;
	const void *conf;
	int r = life->check(&b->opts, &b->err);

	b->inst = NULL;
	if (r == 0)
		r = life->create(&b->host.host, &b->opts, &b->inst, &conf, &b->err);
	if (r == 0)
		r = life->prepare(b->inst, &b->env, &b->caps, &b->err);
	if (r < 0) {
		life->destroy(b->inst);
		b->inst = NULL;
	}
	return r;
}

void bed_start(struct bed *b)
{
	int r = bed_prepare(b);

	if (r < 0)
		fail_msg("prepare: %s", b->err.text);
	b->batch = lw_fake_batch_create(BED_PACKETS, 65536, false);
	for (uint32_t i = 0; i < b->env.workers; i++) {
		lw_fake_worker_init(&b->workers[i], &b->host, &laneway_module, i);
		assert_int_equal(laneway_module.life->worker_start(b->inst, &b->workers[i].w,
		                                                   &b->workers[i].w.state, &b->err),
		                 0);
		b->started++;
	}
}

void bed_stop(struct bed *b)
{
	while (b->started > 0) {
		b->started--;
		laneway_module.life->worker_stop(b->inst, &b->workers[b->started].w);
	}
	assert_int_equal(b->host.n_watches, 0);
	laneway_module.life->destroy(b->inst);
	lw_fake_batch_destroy(b->batch);
	b->inst = NULL;
	b->batch = NULL;
}

int bed_recv(struct bed *b)
{
	return laneway_module.ops.inside->recv(b->inst, &b->workers[0].w, 0, b->batch);
}

int bed_send(struct bed *b, uint32_t *ret_done)
{
	return laneway_module.ops.inside->send(b->inst, &b->workers[0].w, b->batch, ret_done);
}

uint64_t bed_counter(const struct bed *b, const char *name)
{
	return lw_fake_counter(&b->workers[0], &laneway_module, name);
}

/* one of the kernel's old interface requests; -errno */
static int if_request(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	(void)snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	if (ioctl(fd, request, ifr) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

bool bed_exists(const char *name)
{
	return if_nametoindex(name) != 0;
}

int bed_mtu(const char *name)
{
	struct ifreq ifr = { .ifr_mtu = 0 };

	return if_request(name, SIOCGIFMTU, &ifr) < 0 ? -1 : ifr.ifr_mtu;
}

int bed_queue_len(const char *name)
{
	struct ifreq ifr = { .ifr_qlen = 0 };

	return if_request(name, SIOCGIFTXQLEN, &ifr) < 0 ? -1 : ifr.ifr_qlen;
}

bool bed_is_up(const char *name)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	return if_request(name, SIOCGIFFLAGS, &ifr) == 0 && (ifr.ifr_flags & IFF_UP) != 0;
}

bool bed_has_tso(const char *name)
{
	struct ethtool_value tso = { .cmd = ETHTOOL_GTSO };
	struct ifreq ifr = { .ifr_data = (char *)&tso };

	assert_int_equal(if_request(name, SIOCETHTOOL, &ifr), 0);
	return tso.data != 0;
}

uint32_t bed_mask(const char *name)
{
	uint32_t mask = 0;

	assert_int_equal(lw_tun_ethtool_get(name, &mask), 0);
	return mask;
}

unsigned bed_flags(int fd)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	assert_int_equal(ioctl(fd, TUNGETIFF, &ifr), 0);
	return (unsigned short)ifr.ifr_flags;
}

int bed_hdr(int fd)
{
	int bytes = 0;

	assert_int_equal(ioctl(fd, TUNGETVNETHDRSZ, &bytes), 0);
	return bytes;
}

void bed_set_mtu(const char *name, int mtu)
{
	struct ifreq ifr = { .ifr_mtu = mtu };

	assert_int_equal(if_request(name, SIOCSIFMTU, &ifr), 0);
}

void bed_set_up(const char *name, bool up)
{
	struct ifreq ifr = { .ifr_flags = up ? IFF_UP : 0 };

	assert_int_equal(if_request(name, SIOCSIFFLAGS, &ifr), 0);
}

static uint32_t if_address(const char *name, unsigned long request)
{
	struct ifreq ifr = { .ifr_flags = 0 };
	struct sockaddr_in in;

	if (if_request(name, request, &ifr) < 0)
		return 0;
	memcpy(&in, &ifr.ifr_addr, sizeof(in));
	return ntohl(in.sin_addr.s_addr);
}

uint32_t bed_address(const char *name)
{
	return if_address(name, SIOCGIFADDR);
}

uint32_t bed_netmask(const char *name)
{
	return if_address(name, SIOCGIFNETMASK);
}

uint32_t bed_far_end(const char *name)
{
	return if_address(name, SIOCGIFDSTADDR);
}

void bed_bring_up(const char *name, uint32_t address)
{
	struct lw_addr a = { .family = 4, .prefix = 16 };
	struct lw_addr none = { .family = 0 };
	struct lw_tun_link link;

	assert_int_equal(lw_tun_link_get(name, &link), 0);
	link.mtu = BED_MTU;
	link.up = true;
	bed_put32(a.ip, address);
	assert_int_equal(lw_tun_link_set(&link), 0);
	assert_int_equal(lw_tun_addr_add(link.index, &a, &none), 0);
}

void bed_bring_up6(const char *name, uint8_t n)
{
	struct {
		struct in6_addr addr;
		uint32_t prefix;
		int index;
		uint8_t rest[sizeof(struct ifreq)]; /* valgrind takes all of it for an ifreq */
	} q = { .addr = { .s6_addr = { [0] = 0xfd, [3] = n, [15] = 1 } },
		.prefix = 64,
		.index = (int)if_nametoindex(name) };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	assert_true(write_text(path, "0"));
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &q), 0);
	(void)close(fd);
}

void bed_forward(void)
{
	assert_true(write_text("/proc/sys/net/ipv4/ip_forward", "1"));
	if (access("/proc/sys/net/ipv6", F_OK) == 0)
		assert_true(write_text("/proc/sys/net/ipv6/conf/all/forwarding", "1"));
}

void bed_delete(const char *name)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
	} q = { .head = { .nlmsg_len = sizeof(q),
		          .nlmsg_type = RTM_DELLINK,
		          .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.link = { .ifi_index = (int)if_nametoindex(name) } };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	char answer[256];

	assert_int_equal(send(fd, &q, sizeof(q), 0), sizeof(q));
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	(void)close(fd);
	assert_false(bed_exists(name));
}

static int attach(const char *name, unsigned flags)
{
	struct ifreq ifr = { .ifr_flags = (short)flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int r;

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd;
	r = -errno;
	if (fd >= 0)
		(void)close(fd);
	return r;
}

int bed_attach(const char *name, unsigned flags)
{
	return attach(name, IFF_TUN | IFF_NO_PI | flags);
}

int bed_attach_tap(const char *name)
{
	return attach(name, IFF_TAP | IFF_NO_PI);
}

void bed_persist(const char *name, unsigned flags)
{
	int fd = bed_attach(name, flags);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	(void)close(fd);
}

void bed_unpersist(const char *name, unsigned flags)
{
	int fd = bed_attach(name, flags);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 0), 0);
	(void)close(fd);
	assert_false(bed_exists(name));
}

int bed_udp(uint16_t *ret_port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		                  .sin_addr = { .s_addr = htonl(BED_SERVER) } };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*ret_port = ntohs(in.sin_port);
	return fd;
}

void bed_udp_send(int fd, uint32_t n)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		                  .sin_port = htons(7),
		                  .sin_addr = { .s_addr = htonl(BED_PEER) } };
	static const uint8_t zeros[65536];

	assert_int_equal(sendto(fd, zeros, n, 0, (struct sockaddr *)&in, sizeof(in)), n);
}

void bed_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void bed_put32(uint8_t *p, uint32_t v)
{
	bed_put16(p, v >> 16);
	bed_put16(p + 2, v);
}

uint32_t bed_sum(const uint8_t *p, uint32_t n, uint32_t sum)
{
	for (uint32_t i = 0; i < n; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

uint32_t bed_packet(uint8_t *dst, uint16_t port, uint32_t n)
{
	memset(dst, 0, 28);
	dst[0] = 0x45;
	bed_put16(dst + 2, 28 + n);
	dst[8] = 64;
	dst[9] = IPPROTO_UDP;
	bed_put32(dst + 12, BED_PEER);
	bed_put32(dst + 16, BED_SERVER);
	bed_put16(dst + 10, ~bed_sum(dst, 20, 0));
	bed_put16(dst + 20, 7);
	bed_put16(dst + 22, port);
	bed_put16(dst + 24, 8 + n);
	memset(dst + 28, 0x5a, n);
	return 28 + n;
}

unsigned bed_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

/* SPDX-License-Identifier: MIT */
#include "test_outside_udp_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test_outside_udp_bed.h"
#include "unit/test.h"

static int places[NET_PLACES] = { -1, -1, -1 };
static char why_not[160] = "net_enter() was not called";

/* one request to the kernel, with room for what we ask of it */
struct request {
	struct nlmsghdr head;
	uint8_t bytes[512];
};

static void add_bytes(struct request *q, const void *data, size_t len)
{
	size_t at = NLMSG_ALIGN(q->head.nlmsg_len);

	assert_true(at + len <= sizeof(*q));
	memcpy((uint8_t *)q + at, data, len);
	q->head.nlmsg_len = (uint32_t)(at + len);
}

/* answers where the attribute began, for close_nest() */
static size_t add_attr(struct request *q, uint16_t type, const void *data, size_t len)
{
	struct rtattr a = { .rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(len) };
	size_t at = NLMSG_ALIGN(q->head.nlmsg_len);

	add_bytes(q, &a, sizeof(a));
	if (len > 0)
		add_bytes(q, data, len);
	return at;
}

static void close_nest(struct request *q, size_t at)
{
	uint16_t len = (uint16_t)(q->head.nlmsg_len - at);

	memcpy((uint8_t *)q + at + offsetof(struct rtattr, rta_len), &len, sizeof(len));
}

static void begin(struct request *q, uint16_t type, const void *body, size_t len)
{
	*q = (struct request){ .head = { .nlmsg_len = NLMSG_HDRLEN,
		                         .nlmsg_type = type,
		                         .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE |
		                                        NLM_F_EXCL } };
	add_bytes(q, body, len);
}

static int ask(const struct request *q)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		uint8_t rest[512];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int r = -EIO;

	if (fd < 0)
		return -errno;
	if (send(fd, q, q->head.nlmsg_len, 0) < 0)
		r = -errno;
	else if (recv(fd, &answer, sizeof(answer), 0) >= (ssize_t)NLMSG_LENGTH(sizeof(int)))
		r = answer.error.error;
	(void)close(fd);
	return r;
}

/* a veth pair whose far end is born in another place */
static int make_link(const char *here, const char *there, int place)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct request q;
	size_t info;
	size_t data;
	size_t peer;

	begin(&q, RTM_NEWLINK, &link, sizeof(link));
	(void)add_attr(&q, IFLA_IFNAME, here, strlen(here) + 1);
	info = add_attr(&q, IFLA_LINKINFO, NULL, 0);
	(void)add_attr(&q, IFLA_INFO_KIND, "veth", 5);
	data = add_attr(&q, IFLA_INFO_DATA, NULL, 0);
	peer = add_attr(&q, VETH_INFO_PEER, &link, sizeof(link));
	(void)add_attr(&q, IFLA_IFNAME, there, strlen(there) + 1);
	(void)add_attr(&q, IFLA_NET_NS_FD, &place, sizeof(place));
	close_nest(&q, peer);
	close_nest(&q, data);
	close_nest(&q, info);
	return ask(&q);
}

static int set_up(const char *dev)
{
	struct ifinfomsg link = { .ifi_index = (int)if_nametoindex(dev),
		                  .ifi_flags = IFF_UP,
		                  .ifi_change = IFF_UP };
	struct request q;

	begin(&q, RTM_NEWLINK, &link, sizeof(link));
	q.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	return ask(&q);
}

static int add_address(const char *dev, const char *text, uint8_t prefix)
{
	struct lw_addr a = bed_addr(text);
	struct ifaddrmsg m = { .ifa_family = a.family == 4 ? AF_INET : AF_INET6,
		               .ifa_prefixlen = prefix,
		               .ifa_flags = IFA_F_NODAD,
		               .ifa_index = if_nametoindex(dev) };
	struct request q;

	begin(&q, RTM_NEWADDR, &m, sizeof(m));
	(void)add_attr(&q, IFA_LOCAL, a.ip, a.family == 4 ? 4 : 16);
	return ask(&q);
}

static int add_default_route(const char *via)
{
	struct lw_addr a = bed_addr(via);
	struct rtmsg m = { .rtm_family = a.family == 4 ? AF_INET : AF_INET6,
		           .rtm_table = RT_TABLE_MAIN,
		           .rtm_protocol = RTPROT_STATIC,
		           .rtm_type = RTN_UNICAST };
	struct request q;

	begin(&q, RTM_NEWROUTE, &m, sizeof(m));
	(void)add_attr(&q, RTA_GATEWAY, a.ip, a.family == 4 ? 4 : 16);
	return ask(&q);
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

static int give_device(const char *dev, const char *v4, const char *v6)
{
	int r = add_address(dev, v4, 24);

	if (r == 0)
		r = set_up(dev);
	if (r == 0 && bed_has_ipv6())
		r = add_address(dev, v6, 64);
	return r;
}

static int make_middle(void)
{
	int r = give_device("mleft", NET_MIDDLE4, NET_MIDDLE6);

	if (r == 0)
		r = make_link("mright", "right0", places[NET_RIGHT]);
	if (r == 0)
		r = give_device("mright", NET_MIDDLE4R, NET_MIDDLE6R);
	if (r == 0)
		r = write_text("/proc/sys/net/ipv4/ip_forward", "1");
	if (r == 0 && bed_has_ipv6())
		r = write_text("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	return r;
}

static int make_end(const char *dev, const char *v4, const char *v6, const char *via4,
                    const char *via6)
{
	int r = give_device(dev, v4, v6);

	if (r == 0)
		r = add_default_route(via4);
	if (r == 0 && bed_has_ipv6())
		r = add_default_route(via6);
	return r;
}

static int make_all(void)
{
	int r;

	net_go(NET_LEFT);
	r = make_link("left0", "mleft", places[NET_MIDDLE]);
	if (r == 0)
		r = make_end("left0", NET_LEFT4, NET_LEFT6, NET_MIDDLE4, NET_MIDDLE6);
	net_go(NET_MIDDLE);
	if (r == 0)
		r = make_middle();
	net_go(NET_RIGHT);
	if (r == 0)
		r = make_end("right0", NET_RIGHT4, NET_RIGHT6, NET_MIDDLE4R, NET_MIDDLE6R);
	return r;
}

/* A new link takes the kernel up to a second to use: a byte goes until it arrives. */
static int wait_for_path(const char *right)
{
	struct pollfd p = { .events = POLLIN };
	struct lw_addr to;
	int from;
	int r = 0;

	net_go(NET_RIGHT);
	p.fd = bed_socket(right, 0);
	to = bed_name(p.fd);
	net_go(NET_LEFT);
	from = bed_socket(to.family == 4 ? "0.0.0.0" : "::", 0);
	for (int i = 0; r == 0 && i < 500; i++) {
		bed_send(from, &to, "x", 1);
		r = poll(&p, 1, 20);
	}
	(void)close(from);
	(void)close(p.fd);
	return r == 1 ? 0 : -ETIMEDOUT;
}

/* root of a namespace of its own, where this user may not make a network namespace as it is */
static int unshare_as_user(void)
{
	char map[64];
	unsigned uid = geteuid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	(void)snprintf(map, sizeof(map), "0 %u 1\n", uid);
	return write_text("/proc/self/uid_map", map);
}

static int make_places(void)
{
	int r = unshare(CLONE_NEWNET) < 0 ? unshare_as_user() : 0;

	for (int i = 0; i < NET_PLACES && r == 0; i++) {
		if (i > 0 && unshare(CLONE_NEWNET) < 0)
			return -errno;
		places[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (places[i] < 0)
			return -errno;
		r = set_up("lo");
	}
	return r;
}

const char *net_enter(void)
{
	int r = make_places();

	if (r == 0)
		r = make_all();
	if (r == 0)
		r = wait_for_path(NET_RIGHT4);
	if (r == 0 && bed_has_ipv6())
		r = wait_for_path(NET_RIGHT6);
	if (r < 0)
		(void)snprintf(why_not, sizeof(why_not), "no network namespaces can be made: %s",
		               strerror(-r));
	else
		why_not[0] = '\0';
	return r < 0 ? why_not : NULL;
}

bool net_skips(bool want_ipv6)
{
	if (why_not[0] != '\0')
		print_message("SKIP: %s\n", why_not);
	else if (want_ipv6 && !bed_has_ipv6())
		print_message("SKIP: no IPv6 on this machine\n");
	return why_not[0] != '\0' || (want_ipv6 && !bed_has_ipv6());
}

void net_go(enum net_place place)
{
	assert_int_equal(setns(places[place], CLONE_NEWNET), 0);
}

void net_set_mtu(const char *dev, int mtu)
{
	struct ifreq ifr = { .ifr_mtu = mtu };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", dev);
	assert_int_equal(ioctl(fd, SIOCSIFMTU, &ifr), 0);
	(void)close(fd);
}

void net_leave(void)
{
	for (int i = 0; i < NET_PLACES; i++) {
		if (places[i] >= 0)
			(void)close(places[i]);
		places[i] = -1;
	}
}

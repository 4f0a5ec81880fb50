/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* an interface with all its attributes takes 2 KiB; virtual functions, which a TUN has not, more */
#define ANSWER_MAX 16384

/* one request; attributes are 4-byte aligned, and none of ours is longer than 16 bytes */
struct request {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		uint8_t bytes[64 + sizeof(struct ifinfomsg)];
	} body;
};

static void request_init(struct request *q, uint16_t type, uint16_t flags, uint32_t body_len)
{
	memset(q, 0, sizeof(*q));
	q->head.nlmsg_type = type;
	q->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	q->head.nlmsg_len = NLMSG_LENGTH(body_len);
}

static void request_put(struct request *q, uint16_t type, const void *value, uint16_t len)
{
	struct rtattr a = { .rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(len) };
	uint8_t *at = (uint8_t *)q + NLMSG_ALIGN(q->head.nlmsg_len);

	memcpy(at, &a, sizeof(a));
	memcpy(at + RTA_LENGTH(0), value, len);
	q->head.nlmsg_len = NLMSG_ALIGN(q->head.nlmsg_len) + (uint32_t)RTA_SPACE(len);
}

/* send one request; the answer is one datagram */
static int transact(const struct request *q, uint8_t *answer, size_t cap, size_t *ret_len)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return -errno;
	n = sendto(fd, q, q->head.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	if (n >= 0) {
		do {
			n = recv(fd, answer, cap, 0);
		} while (n < 0 && errno == EINTR);
	}
	if (n < 0)
		r = -errno;
	else
		*ret_len = (size_t)n;
	(void)close(fd);
	return r;
}

/* 0 or the negative errno of an acknowledgement; 1: the answer is something else */
static int answer_error(const uint8_t *answer, size_t len)
{
	struct nlmsghdr head;
	struct nlmsgerr e;

	if (len < sizeof(head))
		return -EBADMSG;
	memcpy(&head, answer, sizeof(head));
	if (head.nlmsg_type != NLMSG_ERROR)
		return 1;
	if (len < NLMSG_LENGTH(sizeof(e)))
		return -EBADMSG;
	memcpy(&e, answer + NLMSG_LENGTH(0), sizeof(e));
	return e.error;
}

static int change(const struct request *q)
{
	uint8_t answer[1024];
	size_t len = 0;
	int r = transact(q, answer, sizeof(answer), &len);

	if (r == 0)
		r = answer_error(answer, len);
	return r > 0 ? -EBADMSG : r;
}

struct attr {
	uint16_t type;
	uint16_t len;
	const uint8_t *value;
};

/* take the next attribute of [*p, end); false: no whole one is left */
static bool attr_next(const uint8_t **p, const uint8_t *end, struct attr *ret)
{
	struct rtattr a;
	size_t left = (size_t)(end - *p);
	size_t step;

	if (left < sizeof(a))
		return false;
	memcpy(&a, *p, sizeof(a));
	if (a.rta_len < sizeof(a) || a.rta_len > left)
		return false;
	ret->type = (uint16_t)(a.rta_type & NLA_TYPE_MASK);
	ret->len = (uint16_t)(a.rta_len - sizeof(a));
	ret->value = *p + sizeof(a);
	step = RTA_ALIGN(a.rta_len);
	*p += step < left ? step : left;
	return true;
}

static uint32_t attr_u32(const struct attr *a)
{
	uint32_t v = 0;

	if (a->len >= sizeof(v))
		memcpy(&v, a->value, sizeof(v));
	return v;
}

static bool attr_flag(const struct attr *a)
{
	return a->len >= 1 && a->value[0] != 0;
}

static void read_tun_data(const struct attr *data, struct lw_tun_link *l)
{
	const uint8_t *p = data->value;
	const uint8_t *end = p + data->len;
	struct attr a;

	while (attr_next(&p, end, &a)) {
		if (a.type == IFLA_TUN_TYPE)
			l->is_tun = a.len >= 1 && a.value[0] == IFF_TUN;
		else if (a.type == IFLA_TUN_PERSIST)
			l->persistent = attr_flag(&a);
		else if (a.type == IFLA_TUN_MULTI_QUEUE)
			l->multi_queue = attr_flag(&a);
	}
}

/* the kernel writes the kind in front of its data */
static void read_link_info(const struct attr *info, struct lw_tun_link *l)
{
	const uint8_t *p = info->value;
	const uint8_t *end = p + info->len;
	bool tun = false;
	struct attr a;

	while (attr_next(&p, end, &a)) {
		if (a.type == IFLA_INFO_KIND)
			tun = a.len >= 3 && memcmp(a.value, "tun", 3) == 0;
		else if (a.type == IFLA_INFO_DATA && tun)
			read_tun_data(&a, l);
	}
}

static void read_link(const struct attr *a, struct lw_tun_link *l)
{
	switch (a->type) {
	case IFLA_MTU:
		l->mtu = attr_u32(a);
		break;
	case IFLA_TXQLEN:
		l->queue_len = attr_u32(a);
		break;
	case IFLA_CARRIER:
		l->carrier = attr_flag(a);
		break;
	case IFLA_LINKINFO:
		read_link_info(a, l);
		break;
	default:
		break;
	}
}

int lw_tun_link_get(const char *name, struct lw_tun_link *ret)
{
	uint8_t answer[ANSWER_MAX];
	struct lw_tun_link l = { .index = (int)if_nametoindex(name) };
	struct ifinfomsg link;
	struct request q;
	const uint8_t *p = answer + NLMSG_SPACE(sizeof(link));
	struct attr a;
	size_t len = 0;
	int r;

	if (l.index == 0)
		return -errno;
	request_init(&q, RTM_GETLINK, 0, sizeof(q.body.link));
	q.body.link.ifi_index = l.index;
	r = transact(&q, answer, sizeof(answer), &len);
	if (r == 0)
		r = answer_error(answer, len);
	if (r < 0)
		return r;
	if (r == 0 || len < NLMSG_SPACE(sizeof(link)))
		return -EBADMSG;
	memcpy(&link, answer + NLMSG_LENGTH(0), sizeof(link));
	l.up = (link.ifi_flags & IFF_UP) != 0;
	while (attr_next(&p, answer + len, &a))
		read_link(&a, &l);
	*ret = l;
	return 0;
}

int lw_tun_link_set(const struct lw_tun_link *want)
{
	struct request q;

	request_init(&q, RTM_NEWLINK, NLM_F_ACK, sizeof(q.body.link));
	q.body.link.ifi_index = want->index;
	q.body.link.ifi_change = IFF_UP;
	q.body.link.ifi_flags = want->up ? IFF_UP : 0;
	request_put(&q, IFLA_MTU, &want->mtu, sizeof(want->mtu));
	request_put(&q, IFLA_TXQLEN, &want->queue_len, sizeof(want->queue_len));
	return change(&q);
}

static int addr_change(uint16_t type, uint16_t flags, int index, const struct lw_addr *local,
                       const struct lw_addr *peer)
{
	struct request q;

	request_init(&q, type, (uint16_t)(NLM_F_ACK | flags), sizeof(q.body.addr));
	q.body.addr.ifa_family = AF_INET;
	q.body.addr.ifa_prefixlen = local->prefix;
	q.body.addr.ifa_index = (uint32_t)index;
	request_put(&q, IFA_LOCAL, local->ip, 4);
	request_put(&q, IFA_ADDRESS, peer->family == 4 ? peer->ip : local->ip, 4);
	return change(&q);
}

int lw_tun_addr_add(int index, const struct lw_addr *local, const struct lw_addr *peer)
{
	return addr_change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, local, peer);
}

int lw_tun_addr_remove(int index, const struct lw_addr *local, const struct lw_addr *peer)
{
	return addr_change(RTM_DELADDR, 0, index, local, peer);
}

/* the four bytes of an IPv4 socket address, zero for another family */
static void ipv4_bytes(const struct sockaddr *sa, uint8_t ret[4])
{
	struct sockaddr_in in;

	memset(ret, 0, 4);
	if (sa == NULL || sa->sa_family != AF_INET)
		return;
	memcpy(&in, sa, sizeof(in));
	memcpy(ret, &in.sin_addr, 4);
}

static bool same_addr(const struct ifaddrs *ifa, const struct lw_addr *local,
                      const struct lw_addr *peer)
{
	uint8_t ip[4];
	uint8_t mask[4];
	uint8_t far[4];
	uint8_t bits = 0;

	if (ifa->ifa_addr == NULL || ifa->ifa_addr->sa_family != AF_INET)
		return false;
	ipv4_bytes(ifa->ifa_addr, ip);
	ipv4_bytes(ifa->ifa_netmask, mask);
	ipv4_bytes(ifa->ifa_dstaddr, far);
	while (bits < 32 && (mask[bits / 8] & (0x80u >> (bits % 8))) != 0)
		bits++;
	if (memcmp(ip, local->ip, 4) != 0 || bits != local->prefix)
		return false;
	return peer->family == 0 || memcmp(far, peer->ip, 4) == 0;
}

bool lw_tun_addr_present(const char *name, const struct lw_addr *local, const struct lw_addr *peer)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *ifa = all; ifa != NULL && !found; ifa = ifa->ifa_next)
		found = strcmp(ifa->ifa_name, name) == 0 && same_addr(ifa, local, peer);
	freeifaddrs(all);
	return found;
}

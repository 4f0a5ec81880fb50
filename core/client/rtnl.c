/* SPDX-License-Identifier: MIT */
#include "client/rtnl.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX 65536 /* the kernel fills at most 32 KiB of a larger buffer in a dump */

struct lw_rtnl {
	int fd;
	uint32_t seq;
	uint8_t answer[ANSWER_MAX];
};

struct request {
	struct nlmsghdr head;
	struct rtmsg rt;
	uint8_t attrs[96];
};

/* what comes back for a request; fn of each route, which ends the reading with anything but 0 */
struct visit {
	int (*fn)(void *arg, const struct lw_route *route);
	void *arg;
	int result;
};

static size_t ip_len(uint8_t family)
{
	return family == 4 ? 4 : 16;
}

static void put_attr(struct request *rq, uint16_t type, const void *data, size_t len)
{
	struct rtattr a = { .rta_len = (uint16_t)RTA_LENGTH(len), .rta_type = type };
	size_t at = rq->head.nlmsg_len - offsetof(struct request, attrs);

	memcpy(rq->attrs + at, &a, sizeof(a));
	memcpy(rq->attrs + at + sizeof(a), data, len);
	rq->head.nlmsg_len += (uint32_t)RTA_ALIGN(RTA_LENGTH(len));
}

static struct request make_request(uint16_t type, uint16_t flags, uint8_t family)
{
	return (struct request){
		.head = { .nlmsg_len = offsetof(struct request, attrs),
		          .nlmsg_type = type,
		          .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) },
		.rt = { .rtm_family = family == 4 ? AF_INET : AF_INET6 },
	};
}

static struct lw_addr take_addr(uint8_t family, const uint8_t *data, size_t len)
{
	struct lw_addr a = { .family = family };

	if (len != ip_len(family))
		return (struct lw_addr){ .family = 0 };
	memcpy(a.ip, data, len);
	return a;
}

static void take_attr(struct lw_route *ret, uint32_t *table, uint16_t type, const uint8_t *data,
                      size_t len)
{
	uint8_t family = ret->dst.family;
	uint8_t prefix = ret->dst.prefix;

	if (type == RTA_DST) {
		ret->dst = take_addr(family, data, len);
		ret->dst.family = family;
		ret->dst.prefix = prefix;
	} else if (type == RTA_GATEWAY) {
		ret->gateway = take_addr(family, data, len);
	} else if (type == RTA_VIA) {
		ret->gateway.family = UINT8_MAX; /* of the other family: none of ours */
	} else if (type == RTA_OIF && len == sizeof(ret->ifindex)) {
		memcpy(&ret->ifindex, data, len);
	} else if (type == RTA_TABLE && len == sizeof(*table)) {
		memcpy(table, data, len);
	}
}

/* answers the table, 0 when the message is none of a route that we understand */
static uint32_t take_route(const uint8_t *msg, size_t len, struct lw_route *ret)
{
	struct rtmsg rt;
	uint32_t table;

	if (len < sizeof(rt))
		return 0;
	memcpy(&rt, msg, sizeof(rt));
	if (rt.rtm_family != AF_INET && rt.rtm_family != AF_INET6)
		return 0;
	table = rt.rtm_table;
	*ret = (struct lw_route){ .dst = { .family = rt.rtm_family == AF_INET ? 4 : 6,
		                           .prefix = rt.rtm_dst_len },
		                  .is_local = rt.rtm_type == RTN_LOCAL };
	for (size_t at = NLMSG_ALIGN(sizeof(rt)); at < len && len - at >= sizeof(struct rtattr);) {
		struct rtattr a;

		memcpy(&a, msg + at, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > len - at)
			return 0;
		take_attr(ret, &table, a.rta_type, msg + at + sizeof(a), a.rta_len - sizeof(a));
		at += RTA_ALIGN(a.rta_len);
	}
	return table;
}

/* 1: the request is answered, with *ret_status; 0: there is more to come */
static int take_message(const struct nlmsghdr *h, const uint8_t *body, size_t len, struct visit *v,
                        int *ret_status)
{
	struct lw_route route;
	uint32_t table;
	int32_t code = 0;

	*ret_status = 0;
	if (h->nlmsg_type == NLMSG_DONE)
		return 1;
	if (h->nlmsg_type == NLMSG_ERROR) {
		if (len < sizeof(code))
			return 0;
		memcpy(&code, body, sizeof(code));
		*ret_status = code;
		return 1;
	}
	if (h->nlmsg_type != RTM_NEWROUTE || v == NULL || v->result != 0)
		return 0;
	/* a lookup may answer from any table, a dump is wanted of the main one */
	table = take_route(body, len, &route);
	if (table == RT_TABLE_MAIN || (table != 0 && !(h->nlmsg_flags & NLM_F_MULTI)))
		v->result = v->fn(v->arg, &route);
	return !(h->nlmsg_flags & NLM_F_MULTI);
}

static int take_answer(const struct lw_rtnl *r, size_t len, struct visit *v, int *ret_status)
{
	for (size_t at = 0; len - at >= sizeof(struct nlmsghdr);) {
		struct nlmsghdr h;

		memcpy(&h, r->answer + at, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len - at)
			return 0;
		if (h.nlmsg_seq == r->seq && take_message(&h, r->answer + at + sizeof(h),
		                                          h.nlmsg_len - sizeof(h), v, ret_status))
			return 1;
		if (NLMSG_ALIGN(h.nlmsg_len) > len - at)
			return 0;
		at += NLMSG_ALIGN(h.nlmsg_len);
	}
	return 0;
}

/* Netlink answers before send() returns, so that waiting here cannot take long. */
static int exchange(struct lw_rtnl *r, struct request *rq, struct visit *v)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int status = 0;

	rq->head.nlmsg_seq = ++r->seq;
	if (sendto(r->fd, rq, rq->head.nlmsg_len, 0, (const struct sockaddr *)&kernel,
	           sizeof(kernel)) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(r->fd, r->answer, sizeof(r->answer), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (take_answer(r, (size_t)n, v, &status))
			return status;
	}
}

int lw_rtnl_open(struct lw_rtnl **ret)
{
	const struct timeval wait = { .tv_sec = 5 };
	struct lw_rtnl *r = calloc(1, sizeof(*r));
	int err;

	if (r == NULL)
		return -ENOMEM;
	r->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (r->fd < 0 || setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0) {
		err = -errno;
		lw_rtnl_close(r);
		return err;
	}
	*ret = r;
	return 0;
}

void lw_rtnl_close(struct lw_rtnl *r)
{
	if (r == NULL)
		return;
	if (r->fd >= 0)
		(void)close(r->fd);
	free(r);
}

static int keep_route(void *arg, const struct lw_route *route)
{
	struct lw_route *ret = arg;

	*ret = *route;
	return 1;
}

int lw_rtnl_lookup(struct lw_rtnl *r, const struct lw_addr *to, struct lw_route *ret)
{
	struct request rq = make_request(RTM_GETROUTE, 0, to->family);
	struct lw_route found = { .ifindex = 0 };
	struct visit v = { .fn = keep_route, .arg = &found };
	int err;

	rq.rt.rtm_dst_len = (uint8_t)(8 * ip_len(to->family));
	put_attr(&rq, RTA_DST, to->ip, ip_len(to->family));
	if (to->scope != 0)
		put_attr(&rq, RTA_OIF, &to->scope, sizeof(to->scope));
	err = exchange(r, &rq, &v);
	if (err < 0)
		return err;
	if (v.result == 0 || found.ifindex == 0)
		return -ENETUNREACH;
	if (found.gateway.family != 0 && found.gateway.family != to->family)
		return -EOPNOTSUPP;
	*ret = found;
	return 0;
}

static void put_route(struct request *rq, const struct lw_route *route)
{
	rq->rt.rtm_dst_len = route->dst.prefix;
	rq->rt.rtm_table = RT_TABLE_MAIN;
	rq->rt.rtm_protocol = LW_RTNL_PROTOCOL;
	rq->rt.rtm_type = RTN_UNICAST;
	put_attr(rq, RTA_DST, route->dst.ip, ip_len(route->dst.family));
	put_attr(rq, RTA_OIF, &route->ifindex, sizeof(route->ifindex));
	if (route->gateway.family != 0)
		put_attr(rq, RTA_GATEWAY, route->gateway.ip, ip_len(route->gateway.family));
}

static int add_with(struct lw_rtnl *r, const struct lw_route *route, uint32_t flags)
{
	struct request rq = make_request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
	                                 route->dst.family);

	put_route(&rq, route);
	rq.rt.rtm_flags = flags;
	rq.rt.rtm_scope = route->gateway.family == 0 && route->dst.family == 4 ? RT_SCOPE_LINK
	                                                                       : RT_SCOPE_UNIVERSE;
	return exchange(r, &rq, NULL);
}

int lw_rtnl_add(struct lw_rtnl *r, const struct lw_route *route)
{
	int err = add_with(r, route, 0);

	/* a gateway outside the device's own prefix, as many hosters have it */
	if (route->gateway.family != 0 && (err == -ENETUNREACH || err == -EHOSTUNREACH))
		err = add_with(r, route, RTNH_F_ONLINK);
	return err;
}

int lw_rtnl_remove(struct lw_rtnl *r, const struct lw_route *route)
{
	struct request rq = make_request(RTM_DELROUTE, NLM_F_ACK, route->dst.family);

	put_route(&rq, route);
	rq.rt.rtm_scope = RT_SCOPE_NOWHERE; /* any */
	return exchange(r, &rq, NULL);
}

static int is_same_route(void *arg, const struct lw_route *route)
{
	const struct lw_route *want = arg;

	return route->dst.prefix == want->dst.prefix && route->ifindex == want->ifindex &&
	       memcmp(route->dst.ip, want->dst.ip, sizeof(want->dst.ip)) == 0 &&
	       route->gateway.family == want->gateway.family &&
	       memcmp(route->gateway.ip, want->gateway.ip, sizeof(want->gateway.ip)) == 0;
}

int lw_rtnl_has(struct lw_rtnl *r, const struct lw_route *route)
{
	struct request rq = make_request(RTM_GETROUTE, NLM_F_DUMP, route->dst.family);
	struct lw_route want = *route;
	struct visit v = { .fn = is_same_route, .arg = &want };
	int err = exchange(r, &rq, &v);

	return err < 0 ? err : v.result;
}

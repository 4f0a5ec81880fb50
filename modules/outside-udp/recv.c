/* SPDX-License-Identifier: MIT */
#include "outside-udp.h"

#include <errno.h>
#include <string.h>

/* A socket that reports errors of its own more often than this in one call is left to the next
 * round, so that it cannot hold the worker. */
#define UDP_RX_ERRORS_MAX 8

static void offer_slot(struct udp_rx *rx, uint32_t i, const struct lw_packet *p, uint32_t room)
{
	struct msghdr *h = &rx->msg[i].msg_hdr;

	rx->iov[i] = (struct iovec){ .iov_base = lw_packet_data(p), .iov_len = room };
	*h = (struct msghdr){ .msg_name = &rx->name[i],
		              .msg_namelen = sizeof(rx->name[i]),
		              .msg_iov = &rx->iov[i],
		              .msg_iovlen = 1,
		              .msg_control = rx->control[i].bytes,
		              .msg_controllen = sizeof(rx->control[i].bytes) };
}

/* The slots count in the batch until take_messages() gives back what was not filled. */
static uint32_t offer_slots(struct udp_rx *rx, struct lw_batch *b, uint32_t room)
{
	uint32_t n;

	for (n = 0; n < UDP_RX_BURST; n++) {
		const struct lw_packet *p = lw_batch_reserve(b, room);

		if (p == NULL)
			break;
		offer_slot(rx, n, p, room);
		rx->used[n] = b->arena_used;
		(void)lw_batch_commit(b, room);
	}
	return n;
}

/* Replies leave from the address that the packet came to. One that came to a group has no such
 * address; the kernel chooses then. */
static void read_pktinfo4(const struct cmsghdr *c, struct lw_addr *local)
{
	struct in_pktinfo info;

	memcpy(&info, CMSG_DATA(c), sizeof(info));
	local->family = 4;
	memcpy(local->ip, &info.ipi_spec_dst, 4);
}

static void read_pktinfo6(const struct cmsghdr *c, struct lw_addr *local)
{
	struct in6_pktinfo info;

	memcpy(&info, CMSG_DATA(c), sizeof(info));
	if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
		return;
	local->family = 6;
	memcpy(local->ip, &info.ipi6_addr, 16);
	if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
		local->scope = info.ipi6_ifindex;
}

static void read_control(struct msghdr *h, struct lw_endpoint *ep)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			read_pktinfo4(c, &ep->local);
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			read_pktinfo6(c, &ep->local);
		else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
			memcpy(&ep->tos, CMSG_DATA(c), sizeof(ep->tos));
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			int tclass;

			memcpy(&tclass, CMSG_DATA(c), sizeof(tclass));
			ep->tos = (uint8_t)tclass;
		}
	}
}

static void fill_endpoint(const struct udp_sock *s, struct msghdr *h, struct lw_endpoint *ep)
{
	read_control(h, ep);
	if (!s->any)
		ep->local = s->local;
	else if (ep->local.family != 0)
		ep->local.port = s->local.port;
}

/* Nobody can be answered on port 0, and a client hears its server only. */
static bool is_foreign(const struct udp_sock *s, const struct lw_addr *from)
{
	if (from->port == 0)
		return true;
	return s->peer.family != 0 &&
	       (from->family != s->peer.family || from->port != s->peer.port ||
	        memcmp(from->ip, s->peer.ip, sizeof(from->ip)) != 0);
}

static bool take_message(struct lw_worker *w, const struct udp_sock *s, union udp_name *name,
                         struct msghdr *h, struct lw_endpoint *ret_ep)
{
	*ret_ep = (struct lw_endpoint){ .tag = 0 };
	if ((h->msg_flags & MSG_TRUNC) != 0) {
		lw_worker_count(w, UDP_CTR_RECV_TRUNCATED, 1);
		return false;
	}
	if (!lw_udp_name_get(name, &ret_ep->remote) || is_foreign(s, &ret_ep->remote)) {
		lw_worker_count(w, UDP_CTR_RECV_FOREIGN, 1);
		return false;
	}
	fill_endpoint(s, h, ret_ep);
	return true;
}

/* Keeps the good ones of the first got slots, and no slot behind them. */
static void take_messages(struct lw_worker *w, const struct udp_sock *s, uint32_t tag,
                          struct lw_batch *b, uint32_t offered, uint32_t got)
{
	struct udp_worker *uw = w->state;
	struct udp_rx *rx = &uw->rx;
	uint32_t first = b->n - offered;
	uint32_t kept = first;

	for (uint32_t i = 0; i < got; i++) {
		struct lw_packet *p = &b->pkt[kept];
		struct lw_endpoint *ep = &b->ep[kept];

		if (!take_message(w, s, &rx->name[i], &rx->msg[i].msg_hdr, ep))
			continue;
		ep->tag = tag;
		if (kept != first + i)
			*p = b->pkt[first + i];
		p->endpoint = ep;
		p->len = rx->msg[i].msg_len;
		kept++;
	}
	/* Room of dropped ones is not given back: that bounds the loop under a flood of them. */
	if (got < offered)
		b->arena_used = rx->used[got];
	b->n = kept;
}

/* errors that say that the descriptor itself is of no use; all others were left by a packet */
static bool is_fatal(int error)
{
	return error == EBADF || error == ENOTSOCK || error == EFAULT || error == EINVAL;
}

int lw_udp_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b)
{
	const struct udp *u = inst;
	struct udp_worker *uw = w->state;
	const struct udp_sock *s = lw_udp_sock_get(uw, tag);
	uint32_t errors = 0;

	if (s == NULL)
		return -EBADF;
	while (errors < UDP_RX_ERRORS_MAX) {
		uint32_t n = offer_slots(&uw->rx, b, u->slot_bytes);
		int got;
		int error;

		if (n == 0)
			return 0;
		got = recvmmsg(s->fd, uw->rx.msg, n, MSG_DONTWAIT, NULL);
		error = got < 0 ? errno : 0;
		take_messages(w, s, tag, b, n, got < 0 ? 0 : (uint32_t)got);
		/* No error is ever pending on an unconnected socket without IP_RECVERR, so a short
		 * count means drained, and the call that would only say so is saved. */
		if (error == EAGAIN || (error == 0 && (uint32_t)got < n))
			return -EAGAIN;
		if (error == 0)
			continue;
		if (is_fatal(error))
			return -error;
		lw_worker_count(w, UDP_CTR_RECV_ERRORS, 1);
		errors++;
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "outside-udp.h"

#include <errno.h>
#include <string.h>

/* A socket that reports errors of its own more often than this in one call is left to the next
 * round, so that it cannot hold the worker. */
#define UDP_RX_ERRORS_MAX 8

/* and so is one that is flooded with what is dropped */
#define UDP_RX_DROPPED_MAX 128

/* bytes that a packet must free for each one copied to move down */
#define UDP_SETTLE_GAIN 8

/* no UDP_GRO message came with a datagram */
#define NO_STRIDE (-1)

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
	uint32_t most = room == UDP_SLOT_RUN ? UDP_RX_BURST_RUN : UDP_RX_BURST;
	uint32_t n;

	for (n = 0; n < most; n++) {
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

static int read_int(const struct cmsghdr *c)
{
	int value = 0;

	if (c->cmsg_len >= CMSG_LEN(sizeof(value)))
		memcpy(&value, CMSG_DATA(c), sizeof(value));
	return value;
}

/* 0: it makes no sense */
static int read_stride(const struct cmsghdr *c)
{
	int stride = read_int(c);

	return stride > 0 ? stride : 0;
}

/* answers the stride of a run, or NO_STRIDE */
static int read_control(struct msghdr *h, struct lw_endpoint *ep)
{
	int stride = NO_STRIDE;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			read_pktinfo4(c, &ep->local);
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			read_pktinfo6(c, &ep->local);
		else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
			memcpy(&ep->tos, CMSG_DATA(c), sizeof(ep->tos));
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
			ep->tos = (uint8_t)read_int(c);
		else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
			stride = read_stride(c);
	}
	return stride;
}

static void set_local(const struct udp_sock *s, struct lw_endpoint *ep)
{
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

/* How the bytes of a message are cut into datagrams. False when that cannot be known: control data
 * did not fit, or what it says makes no sense. */
static bool read_run(const struct msghdr *h, int stride, struct lw_packet *p)
{
	if (stride == NO_STRIDE)
		return (h->msg_flags & MSG_CTRUNC) == 0;
	if (stride == 0 || (uint32_t)stride > p->len)
		return false;
	if ((uint32_t)stride < p->len) {
		p->gso_type = LW_GSO_RUN;
		p->gso_size = (uint16_t)stride;
	}
	return true;
}

static bool take_message(struct lw_worker *w, const struct udp_sock *s, uint32_t i, bool runs,
                         struct lw_packet *p)
{
	struct udp_worker *uw = w->state;
	struct msghdr *h = &uw->rx.msg[i].msg_hdr;
	struct lw_endpoint *ep = p->endpoint;
	int stride;

	*ep = (struct lw_endpoint){ .tag = 0 };
	if ((h->msg_flags & MSG_TRUNC) != 0) {
		lw_worker_count(w, UDP_CTR_RECV_TRUNCATED, 1);
		return false;
	}
	if (!lw_udp_name_get(&uw->rx.name[i], &ep->remote) || is_foreign(s, &ep->remote)) {
		lw_worker_count(w, UDP_CTR_RECV_FOREIGN, 1);
		return false;
	}
	stride = read_control(h, ep);
	set_local(s, ep);
	p->len = uw->rx.msg[i].msg_len;
	if (runs && !read_run(h, stride, p)) {
		lw_worker_count(w, UDP_CTR_RECV_RUN_INVALID, 1);
		return false;
	}
	return true;
}

/* Gives back what a packet left of its 64 KiB. It moves down for that when one byte copied frees
 * eight, so a full run stays where it is, and a single datagram costs the room it needs. */
static void settle(struct lw_batch *b, struct lw_packet *p)
{
	uint8_t *to = b->arena + b->arena_used;
	uint32_t end;

	if ((size_t)(p->buf - to) / UDP_SETTLE_GAIN >= p->len) {
		memcpy(to + p->off, lw_packet_data(p), p->len);
		p->buf = to;
	}
	p->cap = p->off + p->len + b->tailroom;
	end = ((uint32_t)(p->buf - b->arena) + p->cap + 63u) & ~63u;
	b->arena_used = end < b->arena_cap ? end : b->arena_cap;
}

static void count_received(struct lw_worker *w, const struct lw_packet *p, uint32_t n)
{
	uint64_t in_runs = 0;
	uint64_t runs = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (p[i].gso_size > 0) {
			in_runs += (p[i].len + p[i].gso_size - 1u) / p[i].gso_size;
			runs++;
		}
	}
	lw_worker_count(w, UDP_CTR_RECV_DATAGRAMS, in_runs + n - runs);
	lw_worker_count(w, UDP_CTR_RECV_RUNS, runs);
	lw_worker_count(w, UDP_CTR_RECV_RUN_DATAGRAMS, in_runs);
}

/* Keeps the good ones of the first got slots, and no slot behind them. Answers how many were not
 * good. */
static uint32_t take_messages(const struct udp *u, struct lw_worker *w, const struct udp_sock *s,
                              struct lw_batch *b, uint32_t offered, uint32_t got)
{
	bool runs = (u->caps & LW_CAP_GRO) != 0;
	const struct udp_worker *uw = w->state;
	uint32_t first = b->n - offered;
	uint32_t kept = first;

	if (runs || got < offered)
		b->arena_used = uw->rx.used[runs ? 0 : got];
	for (uint32_t i = 0; i < got; i++) {
		struct lw_packet *p = &b->pkt[kept];

		if (kept != first + i)
			*p = b->pkt[first + i];
		p->endpoint = &b->ep[kept];
		if (!take_message(w, s, i, runs, p))
			continue;
		p->endpoint->tag = (uint32_t)(s - uw->socks);
		if (runs)
			settle(b, p);
		kept++;
	}
	b->n = kept;
	count_received(w, b->pkt + first, kept - first);
	return got - (kept - first);
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
	const struct udp_sock *s = lw_udp_sock_get(uw, tag & ~LW_TAG_STRANGERS);
	uint32_t dropped = 0;
	uint32_t errors = 0;
	int fd;

	if (s == NULL)
		return -EBADF;
	fd = (tag & LW_TAG_STRANGERS) != 0 ? s->strangers_fd : s->fd;
	while (errors < UDP_RX_ERRORS_MAX && dropped < UDP_RX_DROPPED_MAX) {
		uint32_t n = offer_slots(&uw->rx, b, u->slot_bytes);
		int got;
		int error;

		if (n == 0)
			return 0;
		got = recvmmsg(fd, uw->rx.msg, n, MSG_DONTWAIT, NULL);
		error = got < 0 ? errno : 0;
		dropped += take_messages(u, w, s, b, n, got < 0 ? 0 : (uint32_t)got);
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

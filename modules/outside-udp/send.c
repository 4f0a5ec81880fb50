/* SPDX-License-Identifier: MIT */
#include "outside-udp.h"

#include <errno.h>
#include <string.h>

static size_t put_control(union udp_control *c, size_t at, int level, int type, const void *data,
                          size_t len)
{
	struct cmsghdr h = { .cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len) };

	memcpy(c->bytes + at, &h, sizeof(h));
	memcpy(c->bytes + at + CMSG_LEN(0), data, len);
	return at + CMSG_SPACE(len);
}

static size_t put_source(union udp_control *c, size_t at, const struct lw_addr *local)
{
	if (local->family == 4) {
		struct in_pktinfo info = { .ipi_ifindex = 0 };

		memcpy(&info.ipi_spec_dst, local->ip, 4);
		return put_control(c, at, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = { .ipi6_ifindex = local->scope };

		memcpy(&info.ipi6_addr, local->ip, 16);
		return put_control(c, at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

/* The length that it answers is exact: the kernel refuses padding behind the last message. */
static size_t build_control(union udp_control *c, const struct udp_sock *s,
                            const struct lw_endpoint *ep)
{
	int tos = ep->tos;
	size_t at = 0;

	memset(c, 0, sizeof(*c));
	if (s->any && ep->local.family == s->family)
		at = put_source(c, at, &ep->local);
	if (tos != 0 && s->family == 4)
		at = put_control(c, at, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	else if (tos != 0)
		at = put_control(c, at, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	return at;
}

/* Packets of one session follow each other, so most messages use the addresses of the one before.
 */
static void load_addresses(struct udp_tx *tx, uint32_t n, const struct udp_sock *s,
                           const struct lw_endpoint *ep, const struct lw_endpoint *before)
{
	struct msghdr *h = &tx->msg[n].msg_hdr;

	if (ep == before) {
		const struct msghdr *last = &tx->msg[n - 1].msg_hdr;

		*h = (struct msghdr){ .msg_name = last->msg_name,
			              .msg_namelen = last->msg_namelen,
			              .msg_control = last->msg_control,
			              .msg_controllen = last->msg_controllen };
		return;
	}
	*h = (struct msghdr){ .msg_name = &tx->name[n] };
	h->msg_namelen = lw_udp_name_set(&tx->name[n], &ep->remote);
	h->msg_controllen = build_control(&tx->control[n], s, ep);
	h->msg_control = h->msg_controllen > 0 ? tx->control[n].bytes : NULL;
}

static void load_bytes(struct udp_tx *tx, uint32_t n, const struct lw_packet *p)
{
	struct iovec *iov = &tx->iov[tx->n_iov];
	struct msghdr *h = &tx->msg[n].msg_hdr;

	iov[0] = (struct iovec){ .iov_base = lw_packet_data(p), .iov_len = p->len };
	if (p->n_more > 0)
		memcpy(iov + 1, p->more, p->n_more * sizeof(*iov));
	h->msg_iov = iov;
	h->msg_iovlen = 1u + p->n_more;
	tx->n_iov += 1u + p->n_more;
}

/* 0, or what the caller hears of this packet */
static int check_packet(const struct lw_packet *p, const struct udp_sock *s)
{
	if (s == NULL)
		return -ENOTCONN;
	if (p->endpoint->remote.family != s->family)
		return -EAFNOSUPPORT;
	if (p->gso_type == LW_GSO_RUN && p->gso_size > 0)
		return -EOPNOTSUPP;
	if (p->n_more >= UDP_TX_IOVS)
		return -EMSGSIZE;
	return 0;
}

/* Loads packets from first on while one call can take them: one socket, room in the arrays, nothing
 * wrong with them. Answers how many; 0 with *ret_error set: the first one cannot be sent. */
static uint32_t load(struct udp_worker *uw, const struct lw_batch *b, uint32_t first,
                     const struct udp_sock *s, int *ret_error)
{
	const struct lw_endpoint *before = NULL;
	struct udp_tx *tx = &uw->tx;
	uint32_t n = 0;

	tx->n_iov = 0;
	while (n < UDP_TX_BURST && first + n < b->n) {
		const struct lw_packet *p = &b->pkt[first + n];
		int r;

		if (n > 0 && p->endpoint->tag != b->pkt[first].endpoint->tag)
			break;
		r = check_packet(p, s);
		if (r < 0 && n == 0)
			*ret_error = r;
		if (r < 0 || p->n_more >= UDP_TX_IOVS - tx->n_iov)
			break;
		load_addresses(tx, n, s, p->endpoint, before);
		load_bytes(tx, n, p);
		before = p->endpoint;
		n++;
	}
	return n;
}

/* errors that an ICMP message about an earlier packet can have left on the socket */
static bool is_stale(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
	       error == EHOSTDOWN || error == ENETDOWN || error == EPROTO || error == ENOPROTOOPT ||
	       error == EACCES;
}

static int map_error(struct lw_worker *w, int error)
{
	if (error == EAGAIN) {
		lw_worker_count(w, UDP_CTR_SEND_BLOCKED, 1);
		return -EAGAIN;
	}
	if (error == ENOBUFS || error == ENOMEM) {
		lw_worker_count(w, UDP_CTR_SEND_NOBUFS, 1);
		return -ENOBUFS;
	}
	lw_worker_count(w, UDP_CTR_SEND_ERRORS, 1);
	/* that one is said of runs only, and a single packet must not ask to be cut */
	return error == EOPNOTSUPP ? -EIO : -error;
}

/* Sends n loaded messages; *ret_sent were taken. A short count hides why the next one failed: the
 * call that starts with it says so. */
static int transmit(struct lw_worker *w, int fd, uint32_t n, uint32_t *ret_sent)
{
	struct udp_worker *uw = w->state;
	bool retried = false;
	uint32_t sent = 0;
	int r = 0;

	while (sent < n && r == 0) {
		int took = sendmmsg(fd, uw->tx.msg + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		int error = took < 0 ? errno : ENOBUFS;

		if (took > 0) {
			sent += (uint32_t)took;
			retried = false;
		} else if (error == EINTR) {
			continue;
		} else if (!retried && is_stale(error)) {
			lw_worker_count(w, UDP_CTR_SEND_RETRIED, 1);
			retried = true;
		} else {
			r = map_error(w, error);
		}
	}
	*ret_sent = sent;
	return r;
}

int lw_udp_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	struct udp_worker *uw = w->state;
	uint32_t done = 0;
	int r = 0;

	(void)inst;
	while (done < b->n && r == 0) {
		struct udp_sock *s = lw_udp_sock_get(uw, b->pkt[done].endpoint->tag);
		uint32_t n = load(uw, b, done, s, &r);
		uint32_t sent = 0;

		if (n > 0)
			r = transmit(w, s->fd, n, &sent);
		else
			lw_worker_count(w, UDP_CTR_SEND_ERRORS, 1);
		done += sent;
	}
	if (done < b->n)
		b->pkt[done].status = r;
	*ret_done = done;
	return r;
}

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

/* The length that it answers is exact: the kernel refuses padding behind the last message. A single
 * datagram must not have a stride: some kernels leave its checksum unfinished then. */
static size_t build_control(union udp_control *c, const struct udp_sock *s,
                            const struct lw_endpoint *ep, uint16_t stride)
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
	if (stride != 0)
		at = put_control(c, at, SOL_UDP, UDP_SEGMENT, &stride, sizeof(stride));
	return at;
}

/* the stride of a run, 0 for what is one datagram */
static uint16_t stride_of(const struct lw_packet *p)
{
	bool run = p->gso_type == LW_GSO_RUN && p->len + p->more_len > p->gso_size;

	return run ? p->gso_size : 0;
}

/* Packets of one session follow each other, so most messages use the addresses of the one before.
 */
static void load_addresses(struct udp_tx *tx, uint32_t n, const struct udp_sock *s,
                           const struct lw_packet *p, bool as_before)
{
	struct msghdr *h = &tx->msg[n].msg_hdr;

	if (as_before) {
		const struct msghdr *last = &tx->msg[n - 1].msg_hdr;

		*h = (struct msghdr){ .msg_name = last->msg_name,
			              .msg_namelen = last->msg_namelen,
			              .msg_control = last->msg_control,
			              .msg_controllen = last->msg_controllen };
		return;
	}
	*h = (struct msghdr){ .msg_name = &tx->name[n] };
	h->msg_namelen = lw_udp_name_set(&tx->name[n], &p->endpoint->remote);
	h->msg_controllen = build_control(&tx->control[n], s, p->endpoint, stride_of(p));
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

static uint32_t datagrams_of(const struct lw_packet *p)
{
	uint16_t stride = stride_of(p);

	return stride == 0 ? 1 : (p->len + p->more_len + stride - 1u) / stride;
}

static bool same_way(const struct lw_packet *a, const struct lw_packet *b)
{
	return a->endpoint == b->endpoint && stride_of(a) == stride_of(b);
}

/* 0, or what the caller hears of this packet */
static int check_packet(const struct lw_packet *p, const struct udp_sock *s, bool runs)
{
	if (s == NULL)
		return -ENOTCONN;
	if (p->endpoint->remote.family != s->family)
		return -EAFNOSUPPORT;
	if (stride_of(p) != 0 && !runs)
		return -EOPNOTSUPP;
	if (p->n_more >= UDP_MSG_IOVS)
		return -EMSGSIZE;
	return 0;
}

/* Loads packets from first on while one call can take them: one socket, room in the arrays, nothing
 * wrong with them. Answers how many; 0 with *ret_error set: the first one cannot be sent. */
static uint32_t load(struct udp_worker *uw, const struct lw_batch *b, uint32_t first,
                     const struct udp_sock *s, bool runs, int *ret_error)
{
	const struct lw_packet *pkt = &b->pkt[first];
	struct udp_tx *tx = &uw->tx;
	uint32_t n = 0;

	tx->n_iov = 0;
	while (n < UDP_TX_BURST && first + n < b->n) {
		const struct lw_packet *p = &pkt[n];
		int r;

		if (n > 0 && p->endpoint->tag != pkt->endpoint->tag)
			break;
		r = check_packet(p, s, runs);
		if (r < 0 && n == 0)
			*ret_error = r;
		if (r < 0 || p->n_more >= UDP_TX_IOVS - tx->n_iov)
			break;
		load_addresses(tx, n, s, p, n > 0 && same_way(p, p - 1));
		load_bytes(tx, n, p);
		tx->datagrams[n] = datagrams_of(p);
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

/* What a kernel or a device that cannot send a run in one piece says. The same datagrams may pass
 * one by one, and so may some of a run that is too large for the path. */
static bool refuses_run(int error)
{
	return error == EIO || error == EINVAL || error == EOPNOTSUPP || error == ENOPROTOOPT;
}

static int map_run_error(struct lw_worker *w, int error)
{
	bool form = refuses_run(error);

	lw_worker_count(
		w, form || error == EMSGSIZE ? UDP_CTR_SEND_RUNS_REFUSED : UDP_CTR_SEND_ERRORS, 1);
	return form ? -EOPNOTSUPP : -error;
}

static int map_error(struct lw_worker *w, int error, bool run)
{
	if (error == EAGAIN) {
		lw_worker_count(w, UDP_CTR_SEND_BLOCKED, 1);
		return -EAGAIN;
	}
	if (error == ENOBUFS || error == ENOMEM) {
		lw_worker_count(w, UDP_CTR_SEND_NOBUFS, 1);
		return -ENOBUFS;
	}
	if (run)
		return map_run_error(w, error);
	lw_worker_count(w, UDP_CTR_SEND_ERRORS, 1);
	/* that one is said of runs only, and a single packet must not ask to be cut */
	return error == EOPNOTSUPP ? -EIO : -error;
}

/* Sends n loaded messages; *ret_sent were taken. A short count hides why the next one failed: the
 * call that starts with it says so. *ret_said: the kernel's own word for what it refused */
static int transmit(struct lw_worker *w, int fd, uint32_t n, uint32_t *ret_sent, int *ret_said)
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
			r = map_error(w, error, uw->tx.datagrams[sent] > 1);
			*ret_said = -error;
		}
	}
	*ret_sent = sent;
	return r;
}

static void count_sent(struct lw_worker *w, const struct udp_tx *tx, uint32_t n)
{
	uint64_t datagrams = 0;
	uint64_t runs = 0;

	for (uint32_t i = 0; i < n; i++) {
		datagrams += tx->datagrams[i];
		runs += tx->datagrams[i] > 1;
	}
	lw_worker_count(w, UDP_CTR_SEND_DATAGRAMS, datagrams);
	lw_worker_count(w, UDP_CTR_SEND_RUNS, runs);
	lw_worker_count(w, UDP_CTR_SEND_RUN_DATAGRAMS, datagrams - (n - runs));
}

int lw_udp_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	const struct udp *u = inst;
	struct udp_worker *uw = w->state;
	bool runs = (u->caps & LW_CAP_GSO) != 0;
	uint32_t done = 0;
	int said = 0;
	int r = 0;

	while (done < b->n && r == 0) {
		struct udp_sock *s = lw_udp_sock_get(uw, b->pkt[done].endpoint->tag);
		uint32_t n = load(uw, b, done, s, runs, &r);
		uint32_t sent = 0;

		if (n > 0)
			r = transmit(w, s->fd, n, &sent, &said);
		else
			lw_worker_count(w, UDP_CTR_SEND_ERRORS, 1);
		count_sent(w, &uw->tx, sent);
		done += sent;
	}
	if (done < b->n)
		b->pkt[done].status = r == -EOPNOTSUPP && said != 0 ? said : r;
	*ret_done = done;
	return r;
}

/* SPDX-License-Identifier: MIT */
#include "load/outside.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"

#define MESSAGES 32
#define PIECES   64
/* of a socket, in bytes: the kernel's default loses bulk of a few clients */
#define BUFFER (4 << 20)

struct control {
	_Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(int))];
};

static int connect_from(int fd, uint32_t from, const struct lw_addr *server)
{
	const struct lw_addr local = lw_addr_ipv4(from, 0);
	struct sockaddr_storage ss;
	socklen_t len = lw_addr_to_sockaddr(&local, &ss);

	if (from != 0 && bind(fd, (const struct sockaddr *)&ss, len) < 0)
		return -errno;
	len = lw_addr_to_sockaddr(server, &ss);
	if (connect(fd, (const struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)
		return -errno;
	return 0;
}

int load_outside_open(bool tcp, uint32_t from, const struct lw_addr *server)
{
	int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd = socket(AF_INET, type, 0);
	const int on = 1;
	const int buffer = BUFFER;
	int r;

	if (fd < 0)
		return -errno;
	/* so that an address may have more connections than ports */
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (tcp) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	} else {
		(void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	}
	r = connect_from(fd, from, server);
	if (r == 0)
		return fd;
	(void)close(fd);
	return r;
}

/* --- datagrams --- */

static uint64_t datagrams_of(uint64_t bytes, uint64_t stride)
{
	return stride > 0 ? (bytes + stride - 1) / stride : 1;
}

static void describe(struct msghdr *m, struct iovec *iov, struct control *control,
                     const struct lw_packet *p)
{
	*iov = (struct iovec){ .iov_base = lw_packet_data(p), .iov_len = p->len };
	*m = (struct msghdr){ .msg_iov = iov, .msg_iovlen = 1 };
	if (p->gso_size == 0 || p->gso_size >= p->len)
		return;
	m->msg_control = control;
	m->msg_controllen = CMSG_SPACE(sizeof(uint16_t));
	memset(control, 0, sizeof(*control));
	*CMSG_FIRSTHDR(m) = (struct cmsghdr){ .cmsg_level = IPPROTO_UDP,
		                              .cmsg_type = UDP_SEGMENT,
		                              .cmsg_len = CMSG_LEN(sizeof(uint16_t)) };
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(m)), &p->gso_size, sizeof(p->gso_size));
}

static void count_sent(const struct lw_packet *p, struct load_traffic *tr)
{
	tr->tx_datagrams += datagrams_of(p->len, p->gso_size);
	tr->tx_bytes += p->len;
}

void load_outside_send(int fd, const struct lw_batch *wire, struct load_traffic *tr)
{
	uint32_t done = 0;

	while (done < wire->n) {
		struct mmsghdr m[MESSAGES];
		struct iovec iov[MESSAGES];
		struct control control[MESSAGES];
		uint32_t n = wire->n - done < MESSAGES ? wire->n - done : MESSAGES;
		int sent;

		for (uint32_t i = 0; i < n; i++)
			describe(&m[i].msg_hdr, &iov[i], &control[i], &wire->pkt[done + i]);
		sent = sendmmsg(fd, m, n, 0);
		for (int i = 0; i < sent; i++)
			count_sent(&wire->pkt[done + (uint32_t)i], tr);
		if (sent <= 0) { /* the first of them */
			tr->tx_refused++;
			sent = 1;
		}
		done += (uint32_t)sent;
	}
}

int load_outside_recv(int fd, uint8_t *buf, uint16_t *ret_stride, struct load_traffic *tr)
{
	struct iovec iov = { .iov_base = buf, .iov_len = LOAD_READ_MAX };
	struct control control;
	struct msghdr m = { .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = &control,
		            .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &m, 0);
	int stride = 0;

	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&stride, CMSG_DATA(c), sizeof(stride));
	}
	*ret_stride = stride > 0 && stride < n ? (uint16_t)stride : 0;
	tr->rx_datagrams += datagrams_of((uint64_t)n, *ret_stride);
	tr->rx_bytes += (uint64_t)n;
	return (int)n;
}

/* --- streams --- */

int load_outside_flush(int fd, struct lw_stream *s, struct load_traffic *tr)
{
	while (s->used > 0) {
		struct iovec iov[PIECES];
		struct msghdr m = { .msg_iov = iov };
		ssize_t n;

		m.msg_iovlen = lw_stream_peek(s, iov, PIECES);
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
			return 1;
		if (n < 0)
			return -errno;
		tr->tx_bytes += (uint64_t)n;
		lw_stream_consume(s, (size_t)n);
	}
	return 0;
}

int load_outside_read(int fd, uint8_t *buf, uint32_t cap, struct load_traffic *tr)
{
	ssize_t n = recv(fd, buf, cap, 0);

	if (n < 0)
		return -errno;
	tr->rx_bytes += (uint64_t)n;
	return (int)n;
}

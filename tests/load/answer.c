/* SPDX-License-Identifier: MIT */
/*
 * The other end of bulk: behind the server, it counts what came from each client and sends what
 * each packet asks for.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "load/load.h"

#define CLIENTS   4096u /* as many as --bulk-clients may say */
#define BATCH     64u
#define READ_MAX  2048u
#define REPLY_MAX 65000u
#define BUFFER    (16 << 20)

struct answerer {
	int fd;
	uint64_t received[CLIENTS];
	uint8_t read[BATCH][READ_MAX];
	uint8_t reply[REPLY_MAX];
};

static int open_socket(const struct lw_addr *at)
{
	const int buffer = BUFFER;
	struct sockaddr_storage ss;
	socklen_t len = lw_addr_to_sockaddr(at, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	if (bind(fd, (const struct sockaddr *)&ss, len) == 0)
		return fd;
	len = (socklen_t)errno;
	(void)close(fd);
	return -(int)len;
}

/* All copies in one write, which the kernel cuts. */
static void send_copies(struct answerer *a, const struct load_mark *m, struct msghdr *to)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
	} control = { .align = { .cmsg_level = IPPROTO_UDP,
		                 .cmsg_type = UDP_SEGMENT,
		                 .cmsg_len = CMSG_LEN(sizeof(uint16_t)) } };
	struct iovec iov = { .iov_base = a->reply };

	for (uint32_t i = 0; i < m->copies; i++)
		memcpy(a->reply + (size_t)i * m->want, m, sizeof(*m));
	iov.iov_len = (size_t)m->copies * m->want;
	memcpy(CMSG_DATA(&control.align), &m->want, sizeof(m->want));
	to->msg_iov = &iov;
	to->msg_iovlen = 1;
	to->msg_control = m->copies > 1 ? &control : NULL;
	to->msg_controllen = m->copies > 1 ? sizeof(control) : 0;
	(void)sendmsg(a->fd, to, 0); /* what does not go is bulk that is lost */
}

static void take(struct answerer *a, const uint8_t *p, size_t len, struct msghdr *from)
{
	struct load_mark m;

	if (len < sizeof(m))
		return;
	memcpy(&m, p, sizeof(m));
	if (m.magic != LOAD_MARK_MAGIC || m.client >= CLIENTS)
		return;
	if (m.seq == 1)
		a->received[m.client] = 0; /* another run */
	a->received[m.client] += len;
	m.received = a->received[m.client];
	if (m.copies > 0 && m.want >= sizeof(m) && (size_t)m.copies * m.want <= sizeof(a->reply))
		send_copies(a, &m, from);
}

static void take_batch(struct answerer *a)
{
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_storage from[BATCH];
	int n;

	for (uint32_t i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ .iov_base = a->read[i], .iov_len = READ_MAX };
		m[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
			                        .msg_namelen = sizeof(from[i]),
			                        .msg_iov = &iov[i],
			                        .msg_iovlen = 1 };
	}
	n = recvmmsg(a->fd, m, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		take(a, a->read[i], m[i].msg_len, &m[i].msg_hdr);
}

int load_answer(const struct load_options *o, struct lw_err *err)
{
	static struct answerer a;
	uint64_t until = lw_clock_us() + o->seconds * LW_US_PER_S;

	a.fd = open_socket(&o->answer);
	if (a.fd < 0)
		return lw_err_set(err, a.fd, "cannot answer: %s", strerror(-a.fd));
	(void)fprintf(stderr, "load: answers\n");
	while (!load_told_to_end && lw_clock_us() < until) {
		struct pollfd p = { .fd = a.fd, .events = POLLIN };

		if (poll(&p, 1, 100) > 0)
			take_batch(&a);
	}
	(void)close(a.fd);
	return 0;
}

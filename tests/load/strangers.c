/* SPDX-License-Identifier: MIT */
/*
 * First datagrams of strangers, each from another address. All addresses are local ones of the
 * namespace (a local route for the range), so that one socket can send from any of them and gets
 * what the server answers to any of them: what is answered is counted, not guessed.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "load/load.h"
#include "wire/header.h"

#define BATCH     64u
#define PAUSE_US  500
#define BUFFER    (16 << 20)
#define JUNK_LEN  256u
#define HELLO_MAX 1500u
/* Its first byte brings it to the first worker's socket for sessions, which is the worst that a
 * stranger can do. The chance that a server draws it is 1 in 2^56. */
#define UNKNOWN_ID UINT64_C(0x0000000000000001)

struct control {
	_Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

struct load_stranger_thread {
	struct load_strangers *counts;
	const struct load_options *o;
	struct sockaddr_storage server;
	socklen_t server_len;
	pthread_t thread;
	int fd;
	int stop; /* relaxed */
	uint32_t len;
	uint8_t datagram[HELLO_MAX];
};

static int make_datagram(struct load *l, struct load_stranger_thread *s)
{
	const struct lw_wire_header h = {
		.session = l->o->spoof_kind == LOAD_SPOOF_UNKNOWN ? UNKNOWN_ID : LW_WIRE_ID_EMPTY,
		.major = LW_WIRE_MAJOR,
		.minor = LW_WIRE_MINOR_MAX,
	};
	int r;

	if (l->o->spoof_kind == LOAD_SPOOF_HELLO) {
		r = load_hello(l, s->datagram, sizeof(s->datagram));
		s->len = r > 0 ? (uint32_t)r : 0;
		return r < 0 ? r : 0;
	}
	lw_wire_header_write(s->datagram, &h);
	s->len = LW_WIRE_HEADER_LEN;
	if (l->o->spoof_kind == LOAD_SPOOF_JUNK) {
		lw_random_bytes(s->datagram + LW_WIRE_HEADER_LEN, JUNK_LEN);
		s->len += JUNK_LEN;
	}
	return 0;
}

static int open_socket(void)
{
	const int buffer = BUFFER;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	return fd;
}

/* The rest of a batch after one that the system did not take is lost too, lest it blocks for ever.
 */
static void send_batch(struct load_stranger_thread *s, uint32_t n)
{
	struct mmsghdr m[BATCH];
	struct control control[BATCH];
	struct iovec iov = { .iov_base = s->datagram, .iov_len = s->len };
	struct load_strangers *c = s->counts;
	int sent;

	memset(control, 0, sizeof(control));
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t from = load_range_at(&s->o->spoof_source, c->sent + c->refused + i);
		const struct in_pktinfo info = { .ipi_spec_dst = { htonl(from) } };

		m[i].msg_hdr = (struct msghdr){ .msg_name = &s->server,
			                        .msg_namelen = s->server_len,
			                        .msg_iov = &iov,
			                        .msg_iovlen = 1,
			                        .msg_control = &control[i],
			                        .msg_controllen = sizeof(control[i]) };
		*CMSG_FIRSTHDR(&m[i].msg_hdr) =
			(struct cmsghdr){ .cmsg_level = IPPROTO_IP,
			                  .cmsg_type = IP_PKTINFO,
			                  .cmsg_len = CMSG_LEN(sizeof(info)) };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m[i].msg_hdr)), &info, sizeof(info));
	}
	sent = sendmmsg(s->fd, m, n, 0);
	sent = sent > 0 ? sent : 0;
	c->sent += (uint32_t)sent;
	c->sent_bytes += (uint64_t)sent * s->len;
	c->refused += n - (uint32_t)sent;
}

static void take_answers(struct load_stranger_thread *s)
{
	struct mmsghdr m[BATCH];
	struct iovec iov;
	char byte;
	int n;

	iov = (struct iovec){ .iov_base = &byte, .iov_len = 1 };
	do {
		for (uint32_t i = 0; i < BATCH; i++)
			m[i].msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
		n = recvmmsg(s->fd, m, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
		for (int i = 0; i < n; i++)
			s->counts->answered_bytes += m[i].msg_len;
		s->counts->answered += n > 0 ? (uint32_t)n : 0;
	} while (n == (int)BATCH);
}

static void *stranger_main(void *arg)
{
	struct load_stranger_thread *s = arg;
	struct load_strangers *c = s->counts;
	const struct timespec pause = { .tv_nsec = PAUSE_US * 1000L };
	uint64_t began = lw_clock_us();

	while (__atomic_load_n(&s->stop, __ATOMIC_RELAXED) == 0) {
		uint64_t due = (lw_clock_us() - began) * s->o->spoof / LW_US_PER_S;
		uint64_t done = c->sent + c->refused;

		if (due > done)
			send_batch(s, due - done < BATCH ? (uint32_t)(due - done) : BATCH);
		take_answers(s);
		if (due < done + BATCH)
			(void)nanosleep(&pause, NULL);
	}
	c->wall_us = lw_clock_us() - began;
	c->cpu_us = lw_clock_read(CLOCK_THREAD_CPUTIME_ID);
	(void)nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	take_answers(s);
	return NULL;
}

int load_strangers_start(struct load *l, struct load_stranger_thread **ret, struct lw_err *err)
{
	struct load_stranger_thread *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	s->counts = &l->strangers;
	s->o = l->o;
	s->server_len = lw_addr_to_sockaddr(&l->o->server, &s->server);
	s->fd = open_socket();
	r = s->fd < 0 ? s->fd : make_datagram(l, s);
	if (r == 0)
		r = -pthread_create(&s->thread, NULL, stranger_main, s);
	if (r == 0) {
		*ret = s;
		return 0;
	}
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s);
	return lw_err_set(err, r, "no strangers: %s", strerror(-r));
}

void load_strangers_stop(struct load_stranger_thread *s)
{
	if (s == NULL)
		return;
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	(void)pthread_join(s->thread, NULL);
	(void)close(s->fd);
	free(s);
}

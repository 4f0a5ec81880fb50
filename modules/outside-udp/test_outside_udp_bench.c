/* SPDX-License-Identifier: MIT */
/*
 * What a datagram costs in send() and recv(), as runs and one by one, over a veth pair; root. The
 * best of some rounds, for other work on the machine only adds to it.
 *
 *   make -C build modules/outside-udp/test_outside_udp_bench &&
 * build/modules/outside-udp/test_outside_udp_bench
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "test_outside_udp_bed.h"
#include "test_outside_udp_net.h"
#include "unit/test.h"

#define BOTH   ((uint64_t)LW_CAP_GSO | LW_CAP_GRO)
#define ROUNDS 400
#define SIZE   1372 /* of a datagram */

static double now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void fill(struct bed *bed, struct lw_endpoint *ep, uint32_t packets, uint32_t segs)
{
	lw_batch_reset(bed->b);
	for (uint32_t i = 0; i < packets; i++)
		bed_add_run(bed, ep, 0, segs * SIZE, segs > 1 ? SIZE : 0);
}

static double send_once(struct bed *bed)
{
	double began = now_ns();
	uint32_t done;

	assert_int_equal(bed_send_batch(bed, &done), 0);
	return now_ns() - began;
}

/* a socket that takes everything and is never read: what does not fit is dropped early */
static int sink(struct lw_addr *ret_at)
{
	int one = 1;
	int fd;

	net_go(NET_MIDDLE);
	fd = bed_socket(NET_MIDDLE4, 0);
	(void)setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof(one));
	*ret_at = bed_name(fd);
	net_go(NET_LEFT);
	return fd;
}

static void bench_send(uint32_t packets, uint32_t segs)
{
	struct lw_endpoint ep;
	struct lw_addr at;
	struct bed bed;
	double best = 1e12;
	int fd = sink(&at);

	bed_start_client_runs(&bed, "127.0.0.1", BOTH);
	ep = bed_connect(&bed, &at);
	fill(&bed, &ep, packets, segs);
	for (int i = 0; i < ROUNDS; i++) {
		double t = send_once(&bed);

		best = t < best ? t : best;
	}
	(void)printf("send  %2u packets of %2u datagrams: %6.0f ns each\n", packets, segs,
	             best / (packets * segs));
	bed_stop(&bed);
	(void)close(fd);
}

/* reads what waits, in batches as the core does */
static double drain(struct bed *bed, uint32_t *ret_datagrams)
{
	uint64_t before = bed_counter(bed, "recv_datagrams");
	double began = now_ns();
	int r;

	do {
		lw_batch_reset(bed->b);
		r = bed_recv(bed, 0);
	} while (r == 0);
	began = now_ns() - began;
	assert_int_equal(r, -EAGAIN);
	*ret_datagrams = (uint32_t)(bed_counter(bed, "recv_datagrams") - before);
	return began;
}

static void bench_recv(uint64_t wanted, uint32_t packets, uint32_t segs)
{
	struct lw_endpoint ep;
	struct bed client;
	struct bed server;
	double best = 1e12;
	uint32_t n = 0;

	net_go(NET_MIDDLE);
	bed_start_runs(&server, NET_MIDDLE4, wanted);
	net_go(NET_LEFT);
	bed_start_client_runs(&client, "127.0.0.1", BOTH);
	ep = bed_connect(&client, &server.listen[0]);
	fill(&client, &ep, packets, segs);
	for (int i = 0; i < ROUNDS; i++) {
		double t;

		(void)send_once(&client);
		t = drain(&server, &n) / n;
		best = t < best ? t : best;
	}
	assert_int_equal(n, packets * segs);
	(void)printf("recv  %2u packets of %2u datagrams, gro %-3s: %6.0f ns each\n", packets, segs,
	             (wanted & LW_CAP_GRO) != 0 ? "on" : "off", best);
	bed_stop(&client);
	bed_stop(&server);
}

int main(void)
{
	const char *why = net_enter();

	if (why != NULL) {
		(void)fprintf(stderr, "%s\n", why);
		return 77;
	}
	bench_send(64, 1);
	bench_send(1, 8);
	bench_send(8, 8);
	bench_send(1, 16);
	bench_send(1, 32);
	bench_send(1, 44);
	bench_send(8, 44);
	bench_recv(0, 64, 1);
	bench_recv(0, 8, 44);
	bench_recv(BOTH, 64, 1);
	bench_recv(BOTH, 32, 2);
	bench_recv(BOTH, 16, 8);
	bench_recv(BOTH, 8, 20);
	bench_recv(BOTH, 8, 44);
	net_leave();
	return 0;
}

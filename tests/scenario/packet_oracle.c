/* SPDX-License-Identifier: MIT */
/*
 * core/packet against the kernel, which forwards from one TUN to another and segments on the way:
 * offload.md 9.1. oracle.test makes the devices.
 *
 *   packet_oracle segment tcp|udp COUNT   so many superpackets are written; what comes out of the
 *                                         other device are our segments
 *   packet_oracle coalesce tcp|udp COUNT  so many batches of packets are coalesced and written;
 * what comes out are the packets
 *
 * Exit status 77: the kernel takes no such superpackets.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "packet/segment.h"
#include "ref/packet_list.h"
#include "ref/packet_stream.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define DEVICE_IN  "oracle_in"
#define DEVICE_OUT "oracle_out"
#define TCP_SEGS   400
#define UDP_SEGS   128 /* the kernel takes no more */
#define PACKET_MAX 2048
#define PATIENCE   2000 /* milliseconds for a packet that does not come */

struct oracle {
	int in;
	int out;
	bool udp;
	uint64_t seed;
	uint64_t supers;
	uint64_t packets;
};

static int fail(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* no offloads: only single, complete packets come out */
static int attach(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int header = sizeof(struct virtio_net_hdr);
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return fail("/dev/net/tun");
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, 0) < 0)
		return fail(name);
	return fd;
}

static uint8_t gso_type_of(const struct lw_packet *p)
{
	switch (p->gso_type) {
	case LW_GSO_TCP4:
		return VIRTIO_NET_HDR_GSO_TCPV4;
	case LW_GSO_TCP6:
		return VIRTIO_NET_HDR_GSO_TCPV6;
	case LW_GSO_UDP:
		return VIRTIO_NET_HDR_GSO_UDP_L4;
	default:
		return VIRTIO_NET_HDR_GSO_NONE;
	}
}

static void write_packet(struct oracle *o, const struct lw_packet *p)
{
	struct virtio_net_hdr h = {
		.gso_type = gso_type_of(p),
		.gso_size = p->gso_size,
		.hdr_len = p->hdr_len,
	};
	struct iovec v[2 + LW_COALESCE_SEGS] = {
		{ .iov_base = &h, .iov_len = sizeof(h) },
		{ .iov_base = lw_packet_data(p), .iov_len = p->len },
	};

	if ((p->flags & LW_PKT_CSUM_PARTIAL) != 0) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = p->csum_start;
		h.csum_offset = p->csum_off;
	}
	for (uint32_t i = 0; i < p->n_more; i++)
		v[2 + i] = p->more[i];
	if (writev(o->in, v, 2 + p->n_more) >= 0)
		return;
	if (errno == EINVAL && p->gso_size > 0 && o->supers == 0)
		exit(77);
	(void)fail("write");
}

/* what the kernel says of itself on a device that is up is not for us */
static bool is_ours(const uint8_t *p, ssize_t len)
{
	if (len >= 40 && p[0] >> 4 == 6)
		return memcmp(p + 24, "\x20\x01\x0d\xb8\x00\x0b", 6) == 0;
	return len >= 20 && p[0] >> 4 == 4 && memcmp(p + 16, "\xc6\x13", 2) == 0;
}

/* the next packet of ours that comes out; 0: none does */
static uint32_t read_packet(struct oracle *o, uint8_t *packet)
{
	uint8_t bytes[sizeof(struct virtio_net_hdr) + 65575];
	struct pollfd wait = { .fd = o->out, .events = POLLIN };
	ssize_t len;

	for (;;) {
		len = read(o->out, bytes, sizeof(bytes));
		if (len < 0 && errno == EAGAIN && poll(&wait, 1, PATIENCE) <= 0)
			return 0;
		len -= (ssize_t)sizeof(struct virtio_net_hdr);
		if (len <= PACKET_MAX && is_ours(bytes + sizeof(struct virtio_net_hdr), len))
			break;
	}
	memcpy(packet, bytes + sizeof(struct virtio_net_hdr), (size_t)len);
	return (uint32_t)len;
}

/* a device that was just attached drops packets until the kernel has noticed */
static void await_path(struct oracle *o)
{
	uint8_t bytes[PACKET_MAX];
	struct lw_packet p = { .buf = bytes };
	struct pollfd wait = { .fd = o->out, .events = POLLIN };

	p.len = ref_make_packet(&coalesce_udp4, bytes);
	for (int tries = 0; tries < PATIENCE / 10; tries++) {
		write_packet(o, &p);
		if (poll(&wait, 1, 10) > 0 && read_packet(o, bytes) > 0)
			return;
	}
	errno = ETIMEDOUT;
	(void)fail("no packet comes through");
}

/* what a router does to a packet */
static void forward(uint8_t *p)
{
	if (p[0] >> 4 == 6) {
		p[7]--;
		return;
	}
	p[8]--;
	ref_put16(p + 10, 0);
	ref_put16(p + 10, (uint16_t)~ref_fold(ref_words(0, p, (size_t)(p[0] & 15) * 4)));
}

static int differ(const struct oracle *o, const struct ref_super *s, const struct lw_seg *g)
{
	(void)fprintf(stderr,
	              "superpacket %llu, segment %u of %u: type %u, v6 %u, options %u and %u, "
	              "gso_size %u, payload %u\n",
	              (unsigned long long)o->supers, g->next - 1, g->count, s->gso_type, s->v6,
	              s->ip_options, s->tcp_options, s->gso_size, s->payload);
	return 1;
}

static struct ref_super draw_super(struct oracle *o)
{
	struct ref_super s;

	do
		s = ref_draw_super(&o->seed, o->udp ? UDP_SEGS : TCP_SEGS);
	while ((s.gso_type == LW_GSO_UDP) != o->udp);
	return s;
}

static int compare_segments(struct oracle *o, const struct ref_super *s, struct lw_packet *p)
{
	uint8_t ours[PACKET_MAX];
	uint8_t kernels[PACKET_MAX];
	struct lw_seg g;

	if (lw_seg_init(&g, p) < 0)
		return differ(o, s, &g);
	while (g.next < g.count) {
		uint32_t len = lw_seg_copy(&g, ours, sizeof(ours));

		forward(ours);
		if (len == 0 || read_packet(o, kernels) != len || memcmp(ours, kernels, len) != 0)
			return differ(o, s, &g);
		o->packets++;
	}
	return 0;
}

static int run_segment(struct oracle *o, uint64_t count)
{
	static uint8_t bytes[REF_SUPER_MAX];

	for (; o->supers < count; o->supers++) {
		struct ref_super s = draw_super(o);
		struct lw_packet p;

		ref_make_super(&o->seed, &s, bytes, &p);
		if (!o->udp && ref_below(&o->seed, 8) == 0)
			p.flags = 0;             /* and then the field says nothing */
		if (ref_below(&o->seed, 8) == 0) /* a wrong sum stays as wrong */
			ref_put16(bytes + p.csum_start + p.csum_off, (uint16_t)o->seed);
		write_packet(o, &p);
		if (compare_segments(o, &s, &p) != 0)
			return 1;
	}
	return 0;
}

static int compare_batch(struct oracle *o, const struct coalesce_case *t)
{
	static struct ref_list in;
	static struct ref_list out;
	uint8_t packet[PACKET_MAX];
	bool same;

	for (uint32_t i = 0; i < t->n_in; i++) {
		uint32_t len = read_packet(o, packet);

		if (len > 0)
			ref_list_add(&out, packet, len);
		forward(t->in[i].before);
		ref_list_add(&in, t->in[i].before, t->in[i].len);
	}
	same = ref_list_same(&in, &out);
	ref_list_clear(&in);
	ref_list_clear(&out);
	return same ? 0 : 1;
}

static int run_coalesce(struct oracle *o, uint64_t count)
{
	static struct coalesce_case t;
	const struct lw_coalesce_conf conf = { .packets = COALESCE_MAX };
	struct lw_coalesce *c = NULL;
	int r = 0;

	if (lw_coalesce_create(&conf, &c) < 0)
		return 1;
	for (uint64_t i = 0; i < count && r == 0; i++) {
		const struct ref_stream stream = {
			.flows = 1 + ref_below(&o->seed, REF_STREAM_FLOWS),
			.packets = 1 + ref_below(&o->seed, 150),
			.trouble = 5 + ref_below(&o->seed, 60),
			.tcp = !o->udp,
			.udp = o->udp,
			.forwardable = true,
		};

		coalesce_empty(&t);
		ref_stream_fill(&stream, &o->seed, &t);
		lw_coalesce_batch(c, &t.b, COALESCE_ALL);
		LW_BATCH_FOREACH (p, &t.b) {
			write_packet(o, p);
			o->supers += p->n_more > 0;
		}
		r = compare_batch(o, &t);
		o->packets += t.n_in;
		coalesce_free(&t);
	}
	lw_coalesce_destroy(c);
	return r;
}

int main(int argc, char **argv)
{
	struct oracle o = { .seed = 0x6f7261636c65 };
	bool segment = argc == 4 && strcmp(argv[1], "segment") == 0;
	uint64_t count;
	int r;

	if (argc != 4 || (!segment && strcmp(argv[1], "coalesce") != 0)) {
		(void)fprintf(stderr, "usage: packet_oracle segment|coalesce tcp|udp COUNT\n");
		return 64;
	}
	o.udp = strcmp(argv[2], "udp") == 0;
	count = strtoull(argv[3], NULL, 10);
	o.in = attach(DEVICE_IN);
	o.out = attach(DEVICE_OUT);
	await_path(&o);
	r = segment ? run_segment(&o, count) : run_coalesce(&o, count);
	printf("%s %s: %llu superpackets, %llu packets\n", argv[1], argv[2],
	       (unsigned long long)o.supers, (unsigned long long)o.packets);
	return r;
}

/* SPDX-License-Identifier: MIT */
/* Queues and packets of the tests, and the other ends of the tunnels. */
#include <errno.h>

#include "session/tunnel_priv.h"
#include "unit/path_bed.h"
#include "unit/test.h"

#define IP_HEADER  20u
#define UDP_HEADER 8u
#define TCP_HEADER 20u
#define ROOM       64u /* in front of a packet that the other end sends */

/* --- queues --- */

struct bed_item *bed_push(struct bed_queue *q, const void *data, uint32_t len)
{
	struct bed_item *item = calloc(1, sizeof(*item) + len);

	assert_non_null(item);
	item->len = len;
	memcpy(item->data, data, len);
	if (q->tail != NULL)
		q->tail->next = item;
	else
		q->head = item;
	q->tail = item;
	q->n++;
	return item;
}

struct bed_item *bed_pop(struct bed_queue *q)
{
	struct bed_item *item = q->head;

	if (item == NULL)
		return NULL;
	q->head = item->next;
	if (q->head == NULL)
		q->tail = NULL;
	q->n--;
	return item;
}

void bed_clear(struct bed_queue *q)
{
	while (q->head != NULL)
		free(bed_pop(q));
}

void bed_assert_marks(struct bed_queue *q, const char *marks)
{
	char found[1024] = { 0 };

	for (uint32_t i = 0; q->head != NULL; i++) {
		struct bed_item *item = bed_pop(q);

		assert_true(i + 1 < sizeof(found));
		found[i] = (char)item->data[item->len - 1];
		free(item);
	}
	assert_string_equal(found, marks);
}

/* --- packets --- */

/* RFC 1071, byte by byte: not the code under test */
static uint16_t sum(const uint8_t *p, uint32_t len, uint32_t start)
{
	uint32_t s = start;

	for (uint32_t i = 0; i < len; i++)
		s += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

static uint16_t l4_sum(const uint8_t *ip, uint32_t len)
{
	uint32_t pseudo = sum(ip + 12, 8, ip[9] + (len - IP_HEADER));

	return sum(ip + IP_HEADER, len - IP_HEADER, pseudo);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_ip(uint8_t *buf, uint32_t len, uint8_t proto, uint32_t src, uint32_t dst)
{
	buf[0] = 0x45;
	put16(buf + 2, len);
	buf[8] = 64;
	buf[9] = proto;
	put16(buf + 12, src >> 16);
	put16(buf + 14, src);
	put16(buf + 16, dst >> 16);
	put16(buf + 18, dst);
	put16(buf + 10, (uint16_t)~sum(buf, IP_HEADER, 0));
}

void bed_packet(uint8_t *buf, uint32_t len, uint32_t src, uint32_t dst, uint8_t mark)
{
	assert_true(len > IP_HEADER + UDP_HEADER);
	memset(buf, mark, len);
	memset(buf, 0, IP_HEADER + UDP_HEADER);
	put_ip(buf, len, 17, src, dst);
	put16(buf + 20, 1000);
	put16(buf + 22, 2000);
	put16(buf + 24, len - IP_HEADER);
	put16(buf + 26, (uint16_t)~l4_sum(buf, len));
}

void bed_tcp_packet(uint8_t *buf, uint32_t len, uint32_t src, uint32_t dst, uint32_t seq,
                    uint8_t mark)
{
	assert_true(len > IP_HEADER + TCP_HEADER);
	memset(buf, mark, len);
	memset(buf, 0, IP_HEADER + TCP_HEADER);
	buf[6] = 0x40; /* DF */
	put_ip(buf, len, 6, src, dst);
	put16(buf + 20, 1000);
	put16(buf + 22, 2000);
	put16(buf + 24, seq >> 16);
	put16(buf + 26, seq);
	buf[32] = 0x50;
	buf[33] = 0x10; /* ACK */
	put16(buf + 34, 500);
	put16(buf + 36, (uint16_t)~l4_sum(buf, len));
}

bool bed_packet_ok(const struct bed_item *item)
{
	return item->len > IP_HEADER + UDP_HEADER && sum(item->data, IP_HEADER, 0) == 0xffff &&
	       l4_sum(item->data, item->len) == 0xffff;
}

uint32_t bed_packet_src(const struct bed_item *item)
{
	return get32(item->data + 12);
}

uint32_t bed_packet_dst(const struct bed_item *item)
{
	return get32(item->data + 16);
}

/* --- the other ends --- */

static struct lw_sink sink_of(const struct bed_peer *peer)
{
	return (struct lw_sink){ .wire = peer->side->wire, .inside = peer->side->inside };
}

/* What a call to the other end's tunnel made. */
static void absorb(struct path_bed *b, struct bed_peer *peer)
{
	LW_BATCH_FOREACH (p, peer->side->inside)
		(void)bed_push(&peer->got, lw_packet_data(p), p->len);
	lw_batch_reset(peer->side->inside);
	bed_remote_flush(b, peer);
}

void bed_remote_flush(struct path_bed *b, struct bed_peer *from)
{
	struct lw_stream *s = &from->remote->stream;

	LW_BATCH_FOREACH (p, from->side->wire)
		bed_push(&b->udp_in, lw_packet_data(p), p->len)->tag = from->tag;
	lw_batch_reset(from->side->wire);
	while (s->used > 0) {
		struct iovec iov;

		assert_int_equal(lw_stream_peek(s, &iov, 1), 1);
		(void)bed_push(&bed_conn_of(b, from)->in, iov.iov_base, (uint32_t)iov.iov_len);
		lw_stream_consume(s, iov.iov_len);
	}
}

struct bed_conn *bed_conn_of(struct path_bed *b, const struct bed_peer *peer)
{
	return &b->conns[peer->tag - BED_TCP_TAG];
}

void bed_remote_packet(struct path_bed *b, struct bed_peer *from, const void *packet, uint32_t len)
{
	uint8_t buf[ROOM + 2048];
	struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .off = ROOM, .len = len };
	struct lw_sink k = sink_of(from);
	struct lw_seg seg;

	assert_true(len <= sizeof(buf) - ROOM);
	memcpy(buf + ROOM, packet, len);
	assert_int_equal(lw_seg_init(&seg, &pkt), 0);
	assert_int_equal(lw_tunnel_tx(from->remote, &seg, b->now, &k), 0);
	absorb(b, from);
}

void bed_remote(struct path_bed *b, struct bed_peer *from, uint32_t len, uint8_t mark)
{
	uint8_t buf[2048];

	assert_true(len <= sizeof(buf));
	if (b->path.role_kind == LW_ROLE_SERVER)
		bed_packet(buf, len, BED_TOLD, BED_HOST, mark);
	else
		bed_packet(buf, len, BED_HOST, BED_TOLD, mark);
	bed_remote_packet(b, from, buf, len);
}

void bed_remote_frames(struct path_bed *b, struct bed_peer *from, const void *p, size_t len)
{
	struct lw_sink k = sink_of(from);

	assert_int_equal(lw_send_plain(from->remote, p, len, b->now, &k), 0);
	absorb(b, from);
}

void bed_remote_auth(struct path_bed *b, struct bed_peer *from)
{
	const struct lw_auth_answer a = { .size = sizeof(a), .verdict = LW_AUTH_YES, .user = "me" };
	struct lw_sink k = sink_of(from);

	assert_int_equal(lw_tunnel_auth(from->remote, &a, b->now, &k), 0);
	absorb(b, from);
}

void bed_make_run(struct path_bed *b, uint32_t n)
{
	uint8_t bytes[65536] = { 0 };
	uint32_t len = 0;
	uint16_t stride = (uint16_t)b->udp_in.head->len;
	uint32_t tag = b->udp_in.head->tag;
	struct bed_queue rest = { 0 };
	struct bed_item *run;

	while (n-- > 0) {
		struct bed_item *item = bed_pop(&b->udp_in);

		assert_true(len % stride == 0 && item->len <= stride);
		memcpy(bytes + len, item->data, item->len);
		len += item->len;
		free(item);
	}
	rest = b->udp_in;
	b->udp_in = (struct bed_queue){ 0 };
	run = bed_push(&b->udp_in, bytes, len);
	run->tag = tag;
	run->gso_size = stride;
	run->next = rest.head;
	b->udp_in.tail = rest.head != NULL ? rest.tail : run;
	b->udp_in.n += rest.n;
}

static void deliver_datagrams(struct path_bed *b)
{
	struct bed_item *item;

	while ((item = bed_pop(&b->udp_out)) != NULL) {
		struct lw_packet p = { .buf = item->data,
			               .cap = item->len,
			               .len = item->len,
			               .gso_size = item->gso_size };

		for (uint32_t i = 0; i < b->n_peers; i++) {
			struct bed_peer *peer = &b->peers[i];
			struct lw_sink k = sink_of(peer);

			if (peer->tag != item->tag)
				continue;
			(void)lw_tunnel_rx(peer->remote, &p, b->now, &k);
			absorb(b, peer);
		}
		free(item);
	}
}

static void deliver_stream(struct path_bed *b, struct bed_peer *peer)
{
	struct bed_item *item;

	while ((item = bed_pop(&bed_conn_of(b, peer)->out)) != NULL) {
		size_t done = 0;
		int r;

		do {
			struct lw_sink k = sink_of(peer);
			size_t used = 0;

			r = lw_tunnel_rx_bytes(peer->remote, item->data + done, item->len - done,
			                       &used, b->now, &k);
			done += used;
			absorb(b, peer);
		} while (r == -EAGAIN);
		free(item);
	}
}

void bed_deliver(struct path_bed *b)
{
	deliver_datagrams(b);
	for (uint32_t i = 0; i < b->n_peers; i++) {
		if (b->peers[i].remote->is_stream)
			deliver_stream(b, &b->peers[i]);
	}
}

/* --- the path --- */

struct wanted_counter {
	const char *name;
	uint64_t value;
	uint32_t found;
};

static void compare_counter(void *arg, const char *name, uint64_t value)
{
	struct wanted_counter *w = arg;

	if (strcmp(name, w->name) != 0)
		return;
	w->value = value;
	w->found++;
}

uint64_t bed_counter(const struct path_bed *b, const char *name)
{
	struct wanted_counter w = { .name = name };
	const struct lw_path *path = &b->path;

	lw_path_each_counter(&path, 1, compare_counter, &w);
	assert_int_equal(w.found, 1);
	return w.value;
}

void bed_inside(struct path_bed *b, const struct bed_peer *to, uint32_t len, uint8_t mark)
{
	uint8_t buf[2048];

	if (b->path.role_kind == LW_ROLE_SERVER)
		bed_packet(buf, len, BED_HOST, to->address, mark);
	else
		bed_packet(buf, len, BED_TUN, BED_HOST, mark);
	(void)bed_push(&b->inside_in, buf, len);
}

int bed_udp(struct path_bed *b)
{
	return lw_path_from_udp(&b->path, bed_udp_port(b), BED_UDP_TAG, b->now);
}

int bed_tcp(struct path_bed *b, struct bed_peer *peer)
{
	return lw_path_from_tcp(&b->path, bed_tcp_port(b), peer->t, b->now);
}

int bed_from_inside(struct path_bed *b)
{
	return lw_path_from_inside(&b->path, 0, b->now);
}

void bed_answer(struct path_bed *b, const struct bed_peer *peer, uint32_t verdict)
{
	const struct lw_auth_answer a = { .size = sizeof(a), .verdict = verdict, .user = "me" };
	struct lw_sink k = lw_path_sink(&b->path, peer->t);

	(void)lw_tunnel_auth(peer->t, &a, b->now, &k);
	lw_path_after(&b->path, peer->t, &k);
	lw_path_flush(&b->path, b->now);
}

void bed_inside_all(struct path_bed *b, const struct bed_peer *to, uint32_t len, const char *marks)
{
	for (; *marks != '\0'; marks++)
		bed_inside(b, to, len, (uint8_t)*marks);
}

void bed_remote_all(struct path_bed *b, struct bed_peer *from, uint32_t len, const char *marks)
{
	for (; *marks != '\0'; marks++)
		bed_remote(b, from, len, (uint8_t)*marks);
}

/* SPDX-License-Identifier: MIT */
#include "unit/path_super.h"

#include <stdlib.h>

#include "unit/test.h"

struct super_form form;

const struct way ways[SUPER_WAYS] = {
	{ "server, DTLS", LW_ROLE_SERVER, false, 0 },
	{ "client, DTLS", LW_ROLE_CLIENT, false, 0 },
	{ "server, DTLS in runs", LW_ROLE_SERVER, false, 63 },
	{ "client, DTLS in runs", LW_ROLE_CLIENT, false, 63 },
	{ "server, DTLS in short runs", LW_ROLE_SERVER, false, 5 },
	{ "server, TLS", LW_ROLE_SERVER, true, 0 },
	{ "client, TLS", LW_ROLE_CLIENT, true, 0 },
};

/* As a device with segmentation offload gives it: the field holds the sum of the pseudo header. */
void make_super(struct lw_packet *p)
{
	uint8_t *ip = lw_packet_data(p);
	uint32_t sum = 6 + (p->len - 20);

	if (ip[9] != 6)
		return;
	for (int i = 12; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	ip[36] = (uint8_t)(sum >> 8);
	ip[37] = (uint8_t)sum;
	p->flags = LW_PKT_CSUM_PARTIAL;
	p->csum_start = 20;
	p->csum_off = 16;
	p->gso_type = form.gso_type;
	p->gso_size = form.gso_size;
}

struct path_bed *super_bed(uint32_t role, uint32_t run_segs)
{
	struct path_bed *b =
		bed_create_with(role, 64, run_segs > 0 ? (uint64_t)LW_CAP_GSO : 0, run_segs);

	form.gso_type = LW_GSO_TCP4;
	form.gso_size = MSS;
	b->inside_act = make_super;
	return b;
}

static uint8_t mark_of(uint32_t i)
{
	return (uint8_t)('0' + i);
}

void push_super(struct path_bed *b, const struct bed_peer *to, uint32_t n, uint32_t last)
{
	static uint8_t buf[1 << 16];
	uint32_t len = HEADERS + (n - 1) * MSS + last;
	bool server = b->path.role_kind == LW_ROLE_SERVER;

	bed_tcp_packet(buf, len, server ? BED_HOST : BED_TUN, server ? to->address : BED_HOST, SEQ,
	               'x');
	for (uint32_t i = 0; i < n; i++)
		memset(buf + HEADERS + (size_t)i * MSS, mark_of(i), i + 1 < n ? MSS : last);
	(void)bed_push(&b->inside_in, buf, len);
}

static uint32_t seq_of(const struct bed_item *item)
{
	const uint8_t *p = item->data + 24;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void check_segments(struct path_bed *b, struct bed_peer *peer, uint32_t i, uint32_t end, uint32_t n,
                    uint32_t last)
{
	bool server = b->path.role_kind == LW_ROLE_SERVER;

	for (; i < end; i++) {
		struct bed_item *item = bed_pop(&peer->got);

		assert_non_null(item);
		assert_int_equal(item->len, HEADERS + (i + 1 < n ? MSS : last));
		assert_true(bed_packet_ok(item));
		assert_int_equal(bed_packet_src(item), server ? BED_HOST : BED_TOLD);
		assert_int_equal(bed_packet_dst(item), server ? BED_TOLD : BED_HOST);
		assert_int_equal(seq_of(item), (uint32_t)(SEQ + i * MSS));
		assert_int_equal(item->data[HEADERS], mark_of(i));
		assert_int_equal(item->data[item->len - 1], mark_of(i));
		free(item);
	}
}

void check_all(struct path_bed *b, struct bed_peer *peer, uint32_t n, uint32_t last)
{
	check_segments(b, peer, 0, n, n, last);
	assert_int_equal(peer->got.n, 0);
}

/* SPDX-License-Identifier: MIT */
/* Datagrams of one session that leave as one run, what ends it, and runs that come in. */
#include "base/addr.h"
#include "fake/fake_host.h"
#include "session/tunnel_priv.h"
#include "unit/session_pair.h"
#include "unit/test.h"
#include "wire/header.h"

#define HEADROOM 64u
#define SEGS     63u
#define BYTES    65507u
#define OVERHEAD (LW_WIRE_HEADER_LEN + LW_TLS_RECORD_OVERHEAD + LW_FRAME_DATA_HEADER)
#define LONG     600u /* inside packets of that many bytes, and shorter ones */
#define MIDDLE   300u
#define SHORT    60u

/* a pair, and a wire batch of one side that nobody empties */
struct bed {
	struct pair *p;
	struct pair_side *from;
	struct pair_side *to;
	struct lw_batch *wire;
	uint32_t segs;
	uint32_t bytes;
	uint32_t sent;
};

static void bed_init(struct bed *b, bool from_server)
{
	struct pair *p = pair_online(false);

	*b = (struct bed){ .p = p, .from = pair_end(p, from_server), .segs = SEGS, .bytes = BYTES };
	b->to = pair_peer(p, b->from);
	b->wire = lw_fake_batch_create(256, 1 << 18, true);
}

static void bed_fini(struct bed *b)
{
	lw_fake_batch_destroy(b->wire);
	pair_destroy(b->p);
}

static struct lw_sink sink_of(struct bed *b)
{
	return (struct lw_sink){ .wire = b->wire,
		                 .inside = b->from->inside,
		                 .run_segs = b->segs,
		                 .run_bytes = b->bytes };
}

/* one packet that carries its number */
static int send_packet(struct bed *b, uint32_t len)
{
	uint8_t buf[HEADROOM + LONG * 3] = { 0 };
	struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .off = HEADROOM, .len = len };
	struct lw_sink k = sink_of(b);
	struct lw_seg seg;
	int r;

	buf[HEADROOM] = 0x45;
	buf[HEADROOM + 1] = (uint8_t)b->sent;
	assert_int_equal(lw_seg_init(&seg, &pkt), 0);
	r = lw_tunnel_tx(b->from->t, &seg, b->p->now_us, &k);
	b->sent += r == 0;
	return r;
}

static void send_frame(struct bed *b, const char *frame, size_t len)
{
	struct lw_sink k = sink_of(b);

	assert_int_equal(lw_send_plain(b->from->t, (const uint8_t *)frame, len, b->p->now_us, &k),
	                 0);
}

/* the key update of this side, as if its time had come */
static void send_key_update(struct bed *b)
{
	struct lw_sink k = sink_of(b);
	struct lw_out o = { .t = b->from->t, .k = &k };
	struct lw_tls_io io = lw_out_io(&o, NULL, 0);

	assert_int_equal(lw_tls_update_keys(b->from->t->tls, &io), 0);
}

/* the answer of this side to a datagram, amid what waits */
static void answer(struct bed *b, const uint8_t *dgram, size_t len)
{
	uint8_t buf[PAIR_PACKET];
	struct lw_packet pkt = { .buf = buf, .cap = sizeof(buf), .len = (uint32_t)len };
	struct lw_sink k = sink_of(b);

	memcpy(buf, dgram, len);
	assert_true(lw_tunnel_rx(b->from->t, &pkt, b->p->now_us, &k) >= 0);
}

/* The other side says something that this one answers. */
static void send_pong(struct bed *b)
{
	uint8_t dgram[PAIR_PACKET];
	size_t len;

	pair_inject(b->p, b->to, "\x02\0\0\0\0", 5);
	len = pair_take(b->p, dgram);
	answer(b, dgram, len);
}

/* An ACK of the library, for a key update of the other side. */
static void send_ack(struct bed *b)
{
	struct lw_sink k = { .wire = b->to->wire, .inside = b->to->inside };
	struct lw_out o = { .t = b->to->t, .k = &k };
	struct lw_tls_io io = lw_out_io(&o, NULL, 0);
	uint8_t dgram[PAIR_PACKET];
	size_t len;

	assert_int_equal(lw_tls_update_keys(b->to->t->tls, &io), 0);
	pair_flush(b->p, b->to);
	len = pair_take(b->p, dgram);
	answer(b, dgram, len);
}

/* "LLSk": packets by length, and k: keepalive, p: Pong, u: KeyUpdate, a: ACK */
static void send_all(struct bed *b, const char *what)
{
	for (const char *c = what; *c != '\0'; c++) {
		switch (*c) {
		case 'L':
			assert_int_equal(send_packet(b, LONG), 0);
			break;
		case 'M':
			assert_int_equal(send_packet(b, MIDDLE), 0);
			break;
		case 'S':
			assert_int_equal(send_packet(b, SHORT), 0);
			break;
		case 'k':
			send_frame(b, "\x01", 1);
			break;
		case 'p':
			send_pong(b);
			break;
		case 'u':
			send_key_update(b);
			break;
		case 'a':
			send_ack(b);
			break;
		default:
			fail();
		}
	}
}

/* "3x600 1x60": what lies in the batch: how many datagrams, and the first one's inside bytes */
static void shape_of(const struct lw_batch *wire, char *text, size_t cap)
{
	text[0] = '\0';
	LW_BATCH_FOREACH (p, wire) {
		uint32_t stride = p->gso_size > 0 ? p->gso_size : p->len;
		size_t used = strlen(text);

		assert_int_equal(p->gso_type, p->gso_size > 0 ? LW_GSO_RUN : LW_GSO_NONE);
		assert_true(p->gso_size == 0 || p->len > p->gso_size);
		assert_true(p->off >= wire->headroom);
		assert_true(p->cap - p->off - p->len >= wire->tailroom);
		assert_true(p->buf + p->cap <= wire->arena + wire->arena_cap);
		assert_true(p == wire->pkt || p->buf >= p[-1].buf + p[-1].cap);
		(void)snprintf(text + used, cap - used, "%s%ux%u", used > 0 ? " " : "",
		               (p->len + stride - 1) / stride,
		               stride < OVERHEAD ? 0 : stride - OVERHEAD);
	}
}

/* Feeds the other side what lies there as it lies there: all packets come, in order. */
static void check_arrives(struct bed *b)
{
	b->to->n_got = 0;
	LW_BATCH_FOREACH (p, b->wire) {
		struct lw_sink k = { .wire = b->to->wire, .inside = b->to->inside };

		assert_true(lw_tunnel_rx(b->to->t, p, b->p->now_us, &k) >= 0);
		LW_BATCH_FOREACH (pkt, b->to->inside)
			assert_int_equal(lw_packet_data(pkt)[1], (uint8_t)b->to->n_got++);
		lw_batch_reset(b->to->inside);
	}
	lw_batch_reset(b->wire);
	assert_int_equal(b->to->n_got, b->sent);
	pair_flush(b->p, b->to);
	pair_run(b->p, 50 * LW_MS, false);
	pair_check_lives(b->p, b->to);
	pair_check_lives(b->p, b->from);
}

struct run_case {
	const char *name;
	uint32_t segs;
	uint32_t bytes;
	const char *sent;
	const char *shape;
};

#define ONE (LONG + OVERHEAD)

static const struct run_case runs[] = {
	{ "one", SEGS, BYTES, "L", "1x600" },
	{ "two alike", SEGS, BYTES, "LL", "2x600" },
	{ "five alike", SEGS, BYTES, "LLLLL", "5x600" },
	{ "no runs", 0, BYTES, "LLL", "1x600 1x600 1x600" },
	{ "no bytes", SEGS, 0, "LL", "1x600 1x600" },
	{ "runs of one", 1, BYTES, "LL", "1x600 1x600" },
	{ "a shorter one ends it", SEGS, BYTES, "LLSL", "3x600 1x600" },
	{ "a shorter one is ended by one alike", SEGS, BYTES, "LMML", "2x600 1x300 1x600" },
	{ "a longer one begins another", SEGS, BYTES, "SSLL", "2x60 2x600" },
	{ "longer than the shorter one behind it", SEGS, BYTES, "LSM", "2x600 1x300" },
	{ "shorter than the shorter one behind it", SEGS, BYTES, "LMS", "2x600 1x60" },
	{ "down and up", SEGS, BYTES, "LMSMLL", "2x600 1x60 1x300 2x600" },
	{ "two datagrams at most", 2, BYTES, "LLLLL", "2x600 2x600 1x600" },
	{ "three at most, the last shorter", 3, BYTES, "LLSLL", "3x600 2x600" },
	{ "bytes of three", SEGS, 3 * ONE, "LLLLL", "3x600 2x600" },
	{ "a byte less than three", SEGS, 3 * ONE - 1, "LLLLL", "2x600 2x600 1x600" },
	{ "bytes of two and a short", SEGS, 2 * ONE + SHORT + OVERHEAD, "LLSL", "3x600 1x600" },
	{ "a byte less than a short", SEGS, 2 * ONE + SHORT + OVERHEAD - 1, "LLSL",
	  "2x600 1x60 1x600" },
	{ "keepalive amid data", SEGS, BYTES, "LLkLL", "3x600 2x600" },
	{ "keepalive first", SEGS, BYTES, "kLL", "1x0 2x600" },
	{ "Pong amid data", SEGS, BYTES, "LLpLL", "3x600 2x600" },
	{ "KeyUpdate amid data", SEGS, BYTES, "LLuLL", "3x600 2x600" },
	/* and a KeyUpdate of its own behind it */
	{ "ACK amid data", SEGS, BYTES, "LLaLL", "3x600 1x15 2x600" },
	{ "all of them", SEGS, BYTES, "LkLpLuL", "2x600 2x600 2x600 1x600" },
};

static void session_run__each_sequence__runs_of_one_stride(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(runs) / sizeof(runs[0]); i++) {
		const struct run_case *c = &runs[i / 2];
		char shape[256];
		struct bed b;

		print_message("  %s, %s\n", c->name, i % 2 ? "server" : "client");
		bed_init(&b, i % 2 == 1);
		b.segs = c->segs;
		b.bytes = c->bytes;
		send_all(&b, c->sent);
		shape_of(b.wire, shape, sizeof(shape));
		assert_string_equal(shape, c->shape);
		check_arrives(&b);
		bed_fini(&b);
	}
}

/* Each datagram of a run is whole: a header, and what the peer can open alone. */
static void session_run__cut_at_its_stride__each_datagram_stands_alone(void **state)
{
	struct bed b;
	const struct lw_packet *run;
	uint32_t n = 0;

	(void)state;
	bed_init(&b, false);
	send_all(&b, "LLLLS");
	assert_int_equal(b.wire->n, 1);
	run = &b.wire->pkt[0];
	for (uint32_t off = 0; off < run->len; off += run->gso_size) {
		uint32_t left = run->len - off;
		struct lw_wire_header h;

		assert_int_equal(
			lw_wire_header_parse(lw_packet_data(run) + off, LW_WIRE_HEADER_LEN, &h), 0);
		assert_int_equal(h.session, b.from->t->id);
		assert_int_equal(pair_feed(b.p, b.to, lw_packet_data(run) + off,
		                           left < run->gso_size ? left : run->gso_size),
		                 1);
		n++;
	}
	assert_int_equal(n, 5);
	assert_int_equal(b.to->n_got, 5);
	bed_fini(&b);
}

static void session_run__another_session_between__not_joined(void **state)
{
	struct bed b[2];
	struct lw_batch *own;
	char shape[64];

	(void)state;
	for (int i = 0; i < 2; i++)
		bed_init(&b[i], true);
	own = b[1].wire;
	b[1].wire = b[0].wire;
	b[1].from->t->s.serial = b[0].from->t->s.serial + 1;
	b[1].from->t->endpoint = b[0].from->t->endpoint; /* even from one address */
	send_all(&b[0], "LL");
	send_all(&b[1], "LL");
	send_all(&b[0], "L");
	shape_of(b[0].wire, shape, sizeof(shape));
	assert_string_equal(shape, "2x600 2x600 1x600");
	b[1].wire = own;
	bed_fini(&b[0]);
	bed_fini(&b[1]);
}

static void session_run__endpoint_changed__another_run(void **state)
{
	struct lw_endpoint other[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct lw_endpoint first;
		char shape[64];
		struct bed b;

		bed_init(&b, true);
		first = other[i] = b.from->t->endpoint;
		other[0].remote.port++;
		other[1].tag++;
		other[2].local = lw_addr_ipv4(0x7f000009, 0);
		send_all(&b, "LL");
		b.from->t->endpoint = other[i];
		send_all(&b, "LLL");
		shape_of(b.wire, shape, sizeof(shape));
		assert_string_equal(shape, "2x600 3x600");
		assert_memory_equal(b.wire->pkt[0].endpoint, &first, sizeof(first));
		assert_memory_equal(b.wire->pkt[1].endpoint, &other[i], sizeof(first));
		check_arrives(&b);
		bed_fini(&b);
	}
}

/* Three copies each, that a network drops one by one; and no data hangs on to them. */
static void session_run__handshake__single_datagrams(void **state)
{
	struct pair *p = pair_create(false, 1);
	struct lw_batch *wire = p->client.wire;
	struct lw_sink k = {
		.wire = wire, .inside = p->client.inside, .run_segs = SEGS, .run_bytes = BYTES
	};

	(void)state;
	assert_int_equal(lw_tunnel_begin(p->client.t, p->now_us, &k), 0);
	assert_true(p->client.t->aggressive);
	assert_int_equal(wire->n, 3);
	LW_BATCH_FOREACH (pkt, wire) {
		assert_int_equal(pkt->gso_size, 0);
		assert_int_equal(pkt->gso_type, LW_GSO_NONE);
		assert_int_equal(pkt->len, wire->pkt[0].len);
	}
	pair_flush(p, &p->client);
	pair_run(p, 1 * LW_S, false);
	assert_int_equal(p->client.t->state, LW_TUNNEL_ONLINE);
	pair_destroy(p);
}

static void session_run__data_behind_copies__not_joined(void **state)
{
	char shape[64];
	struct bed b;

	(void)state;
	bed_init(&b, false);
	b.from->t->aggressive = true;
	send_all(&b, "L");
	b.from->t->aggressive = false;
	send_all(&b, "LL");
	b.from->t->aggressive = true;
	send_all(&b, "S");
	shape_of(b.wire, shape, sizeof(shape));
	assert_string_equal(shape, "1x600 1x600 1x600 2x600 1x60 1x60 1x60");
	bed_fini(&b);
}

/* Headroom and tailroom are those of the packet, not of each datagram. */
static void session_run__head_and_tailroom__kept_around_the_run(void **state)
{
	static const uint32_t rooms[][2] = { { 0, 0 },  { 32, 0 },  { 0, 16 },
		                             { 1, 63 }, { 60, 70 }, { 128, 128 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		char shape[64];
		struct bed b;

		bed_init(&b, false);
		b.wire->headroom = rooms[i][0];
		b.wire->tailroom = rooms[i][1];
		send_all(&b, "LLLSLLMLkL");
		shape_of(b.wire, shape, sizeof(shape));
		assert_string_equal(shape, "4x600 3x600 2x600 1x600");
		check_arrives(&b);
		bed_fini(&b);
	}
}

/* The last bytes of the arena, one byte more in every round: nothing is written behind it. */
static void session_run__arena_nearly_full__says_so_and_loses_nothing(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, false);
	for (uint32_t cap = 1400; cap < 2400; cap += 7) {
		uint32_t kept = b.wire->arena_cap;
		uint8_t *end = b.wire->arena + cap;
		char shape[64];

		b.wire->arena_cap = cap;
		b.wire->tailroom = cap % 3 * 20;
		memset(end, 0x5a, 1024);
		b.sent = 0;
		while (send_packet(&b, LONG) == 0)
			assert_in_range(b.sent, 0, 4);
		assert_true(b.sent >= 1);
		shape_of(b.wire, shape, sizeof(shape));
		for (int i = 0; i < 1024; i++)
			assert_int_equal(end[i], 0x5a);
		assert_int_equal(b.from->counters.n[LW_CTR_SINK_FULL], 0);
		check_arrives(&b);
		b.wire->arena_cap = kept;
	}
	bed_fini(&b);
}

/* Without the check of lw_out_room() in front, as for what the library makes by itself. */
static void session_run__no_room_for_one_more__lost_and_counted(void **state)
{
	struct bed b;
	uint32_t used;

	(void)state;
	bed_init(&b, false);
	send_all(&b, "LL");
	used = b.wire->arena_used;
	b.wire->arena_cap = used + 20;
	send_frame(&b, "\x01", 1); /* 42 bytes */
	assert_int_equal(b.from->counters.n[LW_CTR_SINK_FULL], 1);
	assert_int_equal(b.wire->arena_used, used);
	assert_int_equal(b.wire->pkt[0].len, 2 * ONE);
	check_arrives(&b);
	bed_fini(&b);
}

struct rx_case {
	uint32_t n;
	uint32_t len;
	uint32_t last;
	bool server;
};

static const struct rx_case received[] = {
	{ 64, 500, 500, true },  { 64, 500, 60, true },   { 64, 1000, 999, false },
	{ 128, 400, 400, true }, { 128, 400, 20, false }, { 128, 20, 20, true },
};

static void tunnel_rx__long_runs__every_packet_comes_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(received) / sizeof(received[0]); i++) {
		const struct rx_case *c = &received[i];
		struct bed b;

		print_message("  %u of %u, last %u\n", c->n, c->len, c->last);
		bed_init(&b, !c->server);
		b.segs = c->n;
		b.bytes = 1 << 17;
		for (uint32_t k = 0; k < c->n; k++)
			assert_int_equal(send_packet(&b, k + 1 < c->n ? c->len : c->last), 0);
		assert_int_equal(b.wire->n, 1);
		assert_int_equal(b.wire->pkt[0].gso_size, c->len + OVERHEAD);
		check_arrives(&b);
		assert_int_equal(b.to->t->rx_packets, c->n);
		assert_int_equal(b.to->t->rx_bytes, (c->n - 1) * c->len + c->last);
		bed_fini(&b);
	}
}

/* One broken datagram costs itself, not those behind it. */
static void tunnel_rx__broken_datagram_in_a_run__the_others_come(void **state)
{
	(void)state;
	for (uint32_t broken = 0; broken < 4; broken++) {
		struct lw_packet *run;
		struct bed b;

		bed_init(&b, false);
		send_all(&b, "LLLS");
		run = &b.wire->pkt[0];
		lw_packet_data(run)[broken * run->gso_size + (broken % 2 ? 0 : ONE / 8)] ^= 0xff;
		(void)lw_tunnel_rx(b.to->t, run, b.p->now_us,
		                   &(struct lw_sink){ .wire = b.to->wire, .inside = b.to->inside });
		assert_int_equal(b.to->inside->n, 3);
		assert_int_equal(b.to->counters.n[LW_CTR_HEADER_BAD], broken % 2);
		assert_false(pair_closed(b.to));
		bed_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(session_run__each_sequence__runs_of_one_stride),
		cmocka_unit_test(session_run__cut_at_its_stride__each_datagram_stands_alone),
		cmocka_unit_test(session_run__another_session_between__not_joined),
		cmocka_unit_test(session_run__endpoint_changed__another_run),
		cmocka_unit_test(session_run__handshake__single_datagrams),
		cmocka_unit_test(session_run__data_behind_copies__not_joined),
		cmocka_unit_test(session_run__head_and_tailroom__kept_around_the_run),
		cmocka_unit_test(session_run__arena_nearly_full__says_so_and_loses_nothing),
		cmocka_unit_test(session_run__no_room_for_one_more__lost_and_counted),
		cmocka_unit_test(tunnel_rx__long_runs__every_packet_comes_out),
		cmocka_unit_test(tunnel_rx__broken_datagram_in_a_run__the_others_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

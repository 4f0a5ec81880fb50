/* SPDX-License-Identifier: MIT */
/* Outside -> inside: packets of a run become superpackets, and what an inside refuses of them. */
#include <errno.h>

#include "unit/path_bed.h"
#include "unit/test.h"

#define HEADERS 40u
#define PAYLOAD 500u
#define SEQ     0xffffff00u /* it wraps */
#define MINUTES (60u * 1000000ull)
#define TSO     ((uint64_t)LW_CAP_SEND_TSO)
#define USO     ((uint64_t)LW_CAP_SEND_USO)

/* packets of one TCP flow from the other end, one for each letter, joined as receive offload does
 */
static void remote_flow(struct path_bed *b, struct bed_peer *from, const char *letters)
{
	bool server = b->path.role_kind == LW_ROLE_SERVER;
	uint32_t n = 0;

	for (; letters[n] != '\0'; n++) {
		uint8_t buf[HEADERS + PAYLOAD];

		bed_tcp_packet(buf, sizeof(buf), server ? BED_TOLD : BED_HOST,
		               server ? BED_HOST : BED_TOLD, SEQ + n * PAYLOAD,
		               (uint8_t)letters[n]);
		bed_remote_packet(b, from, buf, sizeof(buf));
	}
	if (!from->t->is_stream)
		bed_make_run(b, n);
}

/* Takes what waits out of the outside, and puts it behind what waits then. */
static struct bed_queue detach(struct path_bed *b)
{
	struct bed_queue q = b->udp_in;

	b->udp_in = (struct bed_queue){ 0 };
	return q;
}

static void append(struct path_bed *b, const struct bed_queue *q)
{
	b->udp_in.tail->next = q->head;
	b->udp_in.tail = q->tail;
	b->udp_in.n += q->n;
}

/* The sum of the pseudo header is all that a partial checksum holds. */
static bool partial_ok(const struct bed_item *item)
{
	const uint8_t *ip = item->data;
	uint32_t sum = 6 + (item->len - 20);

	for (int i = 12; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ((uint32_t)ip[36] << 8 | ip[37]) == sum &&
	       ((uint32_t)ip[2] << 8 | ip[3]) == item->len;
}

static void note(char *text, size_t cap, char c)
{
	size_t n = strlen(text);

	assert_true(n + 1 < cap);
	text[n] = c;
	text[n + 1] = '\0';
}

static void note_item(const struct path_bed *b, const struct bed_peer *peer,
                      const struct bed_item *item, char *text, size_t cap)
{
	bool server = b->path.role_kind == LW_ROLE_SERVER;

	assert_int_equal(bed_packet_src(item), server ? peer->address : BED_HOST);
	assert_int_equal(bed_packet_dst(item), server ? BED_HOST : BED_TUN);
	if (item->gso_size == 0) {
		assert_true(bed_packet_ok(item));
		note(text, cap, (char)item->data[item->len - 1]);
		return;
	}
	assert_int_equal(item->gso_size, PAYLOAD);
	assert_int_equal((item->len - HEADERS) % PAYLOAD, 0);
	assert_true(partial_ok(item));
	note(text, cap, '[');
	for (uint32_t at = HEADERS; at < item->len; at += PAYLOAD) {
		assert_int_equal(item->data[at], item->data[at + PAYLOAD - 1]);
		note(text, cap, (char)item->data[at]);
	}
	note(text, cap, ']');
}

/* What the inside was given, by letters, superpackets in brackets; empties it. */
static void check_inside(struct path_bed *b, const struct bed_peer *peer, const char *want)
{
	char text[256] = { 0 };

	while (b->inside_out.n > 0) {
		struct bed_item *item = bed_pop(&b->inside_out);

		note_item(b, peer, item, text, sizeof(text));
		free(item);
	}
	assert_string_equal(text, want);
}

static void read_all(struct path_bed *b, struct bed_peer *peer)
{
	while ((peer->t->is_stream ? bed_tcp(b, peer) : bed_udp(b)) == 0)
		;
}

static void set_now(struct path_bed *b, uint64_t now)
{
	b->now = b->w.now_us = now;
}

struct merge_case {
	const char *name;
	uint32_t role;
	uint64_t caps;
	bool stream;
	bool merged;
};

static const struct merge_case merges[] = {
	{ "server", LW_ROLE_SERVER, TSO, false, true },
	{ "client", LW_ROLE_CLIENT, TSO, false, true },
	{ "server, TLS", LW_ROLE_SERVER, TSO, true, true },
	{ "client, TLS", LW_ROLE_CLIENT, TSO, true, true },
	{ "server, all", LW_ROLE_SERVER, TSO | USO, false, true },
	{ "server, UDP only", LW_ROLE_SERVER, USO, false, false },
	{ "server, on receive only", LW_ROLE_SERVER, LW_CAP_TSO | LW_CAP_CSUM, false, false },
	{ "server, none", LW_ROLE_SERVER, 0, false, false },
	{ "client, none", LW_ROLE_CLIENT, 0, false, false },
};

static void from_outside__flow__superpacket_where_the_inside_takes_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(merges) / sizeof(merges[0]); i++) {
		const struct merge_case *c = &merges[i];
		struct path_bed *b = bed_create_with(c->role, 64, c->caps, 0);
		struct bed_filter *f = bed_add_filter(b);
		struct bed_peer *peer = bed_join(b, c->stream);

		print_message("  %s\n", c->name);
		remote_flow(b, peer, "abcde");
		read_all(b, peer);
		assert_int_equal(f->packets, 5); /* filters see the packets */
		assert_int_equal(b->path.counters.inside_tx, 5);
		assert_int_equal(bed_counter(b, "inside_tx_merged"), c->merged);
		assert_int_equal(bed_counter(b, "inside_tx_refused"), 0);
		assert_int_equal(b->path.counters.inside_tx_dropped, 0);
		assert_int_equal(b->path.counters.inside_tx_bytes,
		                 5 * PAYLOAD + (c->merged ? 1 : 5) * HEADERS);
		check_inside(b, peer, c->merged ? "[abcde]" : "abcde");
		bed_destroy(b);
	}
}

static void from_outside__two_sessions_with_one_flow__apart(void **state)
{
	struct path_bed *b = bed_create_with(LW_ROLE_SERVER, 16, TSO, 0);
	struct bed_peer *peers[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		peers[i] = bed_join(b, false);
	remote_flow(b, peers[0], "ab");
	assert_int_equal(bed_udp(b), -EAGAIN);
	check_inside(b, peers[0], "[ab]");
	remote_flow(b, peers[1], "cd");
	assert_int_equal(bed_udp(b), -EAGAIN);
	check_inside(b, peers[1], "[cd]");
	bed_destroy(b);
}

struct refuse_case {
	const char *name;
	struct bed_step steps[BED_STEPS];
	const char *taken; /* of a superpacket of "abcd" */
	uint64_t refused;
	uint64_t dropped;
	bool off;
};

static const struct refuse_case refuses[] = {
	{ "taken", { { 0, 0 } }, "[abcd]", 0, 0, false },
	{ "the form", { { -EOPNOTSUPP, 0 }, { 0, 0 } }, "abcd", 1, 0, true },
	{ "full", { { -EAGAIN, 0 }, { 0, 0 } }, "", 0, 4, false },
	{ "down", { { -EIO, 0 }, { 0, 0 } }, "", 0, 4, false },
	{ "a packet too", { { -EOPNOTSUPP, 0 }, { -EINVAL, 1 }, { 0, 0 } }, "acd", 1, 1, false },
	{ "the last too", { { -EOPNOTSUPP, 0 }, { -EAGAIN, 3 }, { 0, 0 } }, "abc", 1, 1, false },
	{ "all of them too",
	  { { -EOPNOTSUPP, 0 }, { -EIO, 0 }, { -EIO, 0 }, { -EIO, 0 }, { -EIO, 0 }, { 0, 0 } },
	  "",
	  1,
	  4,
	  false },
	{ "more than there were", { { -EOPNOTSUPP, 9 }, { 0, 0 } }, "[abcd]", 0, 0, false },
};

static void inside_send__superpacket_refused__its_packets_one_by_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(refuses) / sizeof(refuses[0]); i++) {
		const struct refuse_case *c = &refuses[i / 2];
		struct path_bed *b = bed_create_with(i % 2, 16, TSO | USO, 0);
		struct bed_peer *peer = bed_join(b, false);
		uint64_t at = b->now;

		print_message("  %s, role %zu\n", c->name, i % 2);
		bed_script_set(&b->inside_script, c->steps);
		remote_flow(b, peer, "abcd");
		assert_int_equal(bed_udp(b), -EAGAIN);
		check_inside(b, peer, c->taken);
		assert_int_equal(b->path.counters.inside_tx, 4 - c->dropped);
		assert_int_equal(b->path.counters.inside_tx_dropped, c->dropped);
		assert_int_equal(bed_counter(b, "inside_tx_merged"), 1);
		assert_int_equal(bed_counter(b, "inside_tx_refused"), c->refused);
		assert_int_equal(bed_counter(b, "inside_tx_fallbacks"), c->off);
		assert_int_equal(b->path.merge_off_until_us[LW_GSO_TCP4],
		                 c->off ? at + 10 * MINUTES : 0);
		assert_int_equal(b->path.merge_off_until_us[LW_GSO_UDP], 0);
		b->inside_script = (struct bed_script){ 0 };
		remote_flow(b, peer, "efg");
		assert_int_equal(bed_udp(b), -EAGAIN);
		check_inside(b, peer, c->off ? "efg" : "[efg]");
		bed_destroy(b);
	}
}

static void inside_send__form_refused__tried_again_after_ten_minutes(void **state)
{
	static const struct bed_step refused[] = { { -EOPNOTSUPP, 0 }, { 0, 0 } };
	struct path_bed *b = bed_create_with(LW_ROLE_SERVER, 16, TSO, 0);
	struct bed_peer *peer = bed_join(b, false);
	uint64_t at = b->now;
	static const struct {
		uint64_t after_us;
		const char *taken;
	} times[] = { { 0, "ab" },
		      { 1 * MINUTES, "ab" },
		      { 10 * MINUTES - 1, "ab" },
		      { 10 * MINUTES, "[ab]" },
		      { 11 * MINUTES, "[ab]" } };

	(void)state;
	bed_script_set(&b->inside_script, refused);
	remote_flow(b, peer, "xyz");
	assert_int_equal(bed_udp(b), -EAGAIN);
	check_inside(b, peer, "xyz");
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		set_now(b, at + times[i].after_us);
		remote_flow(b, peer, "ab");
		assert_int_equal(bed_udp(b), -EAGAIN);
		check_inside(b, peer, times[i].taken);
	}
	assert_int_equal(lw_path_merge_refusal(&b->path, TSO).error, 0); /* it was not told */
	/* refused again: ten minutes more */
	bed_script_set(&b->inside_script, refused);
	b->inside_script.status = -EIO;
	remote_flow(b, peer, "cd");
	assert_int_equal(bed_udp(b), -EAGAIN);
	check_inside(b, peer, "cd");
	assert_int_equal(b->path.merge_off_until_us[LW_GSO_TCP4], b->now + 10 * MINUTES);
	assert_int_equal(lw_path_merge_refusal(&b->path, TSO).until_us, b->now + 10 * MINUTES);
	assert_int_equal(lw_path_merge_refusal(&b->path, TSO).error, -EIO);
	assert_int_equal(lw_path_merge_refusal(&b->path, USO).until_us, 0);
	assert_int_equal(lw_path_merge_refusal(&b->path, LW_CAP_TSO).until_us, 0);
	assert_int_equal(bed_counter(b, "inside_tx_refused"), 2);
	assert_int_equal(bed_counter(b, "inside_tx_fallbacks"), 2);
	bed_destroy(b);
}

/* Two of one batch are refused: that is one reason to stop, and said once. */
static void inside_send__two_superpackets_refused__one_fallback(void **state)
{
	static const struct bed_step refused[] = {
		{ -EOPNOTSUPP, 0 }, { 0, 2 }, { -EOPNOTSUPP, 0 }, { 0, 0 }
	};
	struct path_bed *b = bed_create_with(LW_ROLE_SERVER, 16, TSO | LW_CAP_GRO, 0);
	struct bed_peer *peer = bed_join(b, false);
	char letters[71] = { 0 };

	(void)state;
	memset(letters, 'a', 70); /* a superpacket has 64 */
	bed_script_set(&b->inside_script, refused);
	b->inside_script.steps[1].take = 64;
	remote_flow(b, peer, letters);
	assert_int_equal(bed_udp(b), -EAGAIN);
	check_inside(b, peer, letters);
	assert_int_equal(bed_counter(b, "inside_tx_merged"), 2);
	assert_int_equal(bed_counter(b, "inside_tx_refused"), 2);
	assert_int_equal(bed_counter(b, "inside_tx_fallbacks"), 1);
	bed_destroy(b);
}

/* What is damaged goes on as it is, is not merged with others, and is counted once. */
static void from_outside__wrong_checksum__is_counted_and_left_alone(void **state)
{
	struct path_bed *b = bed_create_with(LW_ROLE_SERVER, 16, TSO, 0);
	struct bed_peer *peer = bed_join(b, false);
	struct bed_item *item;

	(void)state;
	for (uint32_t n = 0; n < 5; n++) {
		uint8_t buf[HEADERS + PAYLOAD];

		bed_tcp_packet(buf, sizeof(buf), BED_TOLD, BED_HOST, SEQ + n * PAYLOAD, 'a');
		buf[sizeof(buf) - 1] ^= n == 2; /* behind the checksum */
		bed_remote_packet(b, peer, buf, sizeof(buf));
	}
	bed_make_run(b, 5);
	assert_int_equal(bed_udp(b), -EAGAIN);
	assert_int_equal(bed_counter(b, "inside_tx_bad_checksum"), 1);
	assert_int_equal(bed_counter(b, "inside_tx_merged"), 2);
	assert_int_equal(b->path.counters.inside_tx, 5);
	for (int i = 0; i < 3; i++) {
		item = bed_pop(&b->inside_out);
		assert_int_equal(item->gso_size, i == 1 ? 0 : PAYLOAD);
		assert_true(i != 1 || !bed_packet_ok(item));
		free(item);
	}
	bed_destroy(b);
}

/* What stands before and behind it goes in its place. */
static void inside_send__superpacket_refused_amid_others__order_is_kept(void **state)
{
	static const struct {
		const char *name;
		struct bed_step steps[BED_STEPS];
		const char *taken;
		uint64_t dropped;
	} cases[] = {
		{ "taken", { { 0, 0 } }, "x[abc]y", 0 },
		{ "the form", { { -EOPNOTSUPP, 1 }, { 0, 0 } }, "xabcy", 0 },
		{ "full at it", { { -EAGAIN, 1 }, { 0, 0 } }, "xy", 3 },
		{ "a single in front", { { -EOPNOTSUPP, 0 }, { 0, 0 } }, "[abc]y", 1 },
		{ "its last, then the single behind",
		  { { -EOPNOTSUPP, 1 }, { -EINVAL, 2 }, { -EINVAL, 0 }, { 0, 0 } },
		  "xab",
		  2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct path_bed *b = bed_create_with(LW_ROLE_SERVER, 16, TSO, 0);
		struct bed_peer *peer = bed_join(b, false);
		struct bed_queue flow;

		print_message("  %s\n", cases[i].name);
		remote_flow(b, peer, "abc");
		flow = detach(b);
		bed_remote(b, peer, 100, 'x');
		append(b, &flow);
		bed_remote(b, peer, 100, 'y');
		bed_script_set(&b->inside_script, cases[i].steps);
		assert_int_equal(bed_udp(b), -EAGAIN);
		check_inside(b, peer, cases[i].taken);
		assert_int_equal(b->path.counters.inside_tx_dropped, cases[i].dropped);
		assert_int_equal(b->path.counters.inside_tx, 5 - cases[i].dropped);
		bed_destroy(b);
	}
}

/* More than one superpacket holds, and all of it. */
static void from_outside__long_run__superpackets_of_64(void **state)
{
	struct path_bed *b = bed_create_with(LW_ROLE_SERVER, 16, TSO | LW_CAP_GRO, 0);
	struct bed_peer *peer = bed_join(b, false);
	char letters[101] = { 0 };
	char want[128];

	(void)state;
	memset(letters, 'a', 64);
	memset(letters + 64, 'b', 36);
	remote_flow(b, peer, letters);
	assert_int_equal(bed_udp(b), -EAGAIN);
	(void)snprintf(want, sizeof(want), "[%.64s][%s]", letters, letters + 64);
	check_inside(b, peer, want);
	assert_int_equal(bed_counter(b, "inside_tx_merged"), 2);
	assert_int_equal(b->path.counters.inside_tx, 100);
	assert_int_equal(b->looked, 1); /* a known peer's run is not cut */
	assert_true(b->frames_heard > 1);
	bed_destroy(b);
}

/* A filter's answer goes back alone, whatever came with it. */
static void turn_around(struct lw_packet *p)
{
	uint8_t *ip = lw_packet_data(p);
	uint8_t src[4];

	if (ip[p->len - 1] != 'r')
		return;
	memcpy(src, ip + 12, 4);
	memcpy(ip + 12, ip + 16, 4);
	memcpy(ip + 16, src, 4);
	p->verdict = LW_VERDICT_REPLY;
}

static void from_outside__filter_answers_amid_a_flow__the_others_are_merged(void **state)
{
	struct path_bed *b = bed_create_with(LW_ROLE_SERVER, 16, TSO, 0);
	struct bed_peer *peer;

	(void)state;
	bed_add_filter(b)->egress = turn_around;
	peer = bed_join(b, false);
	remote_flow(b, peer, "abrcd");
	assert_int_equal(bed_udp(b), -EAGAIN);
	check_inside(b, peer, "[ab][cd]");
	bed_deliver(b);
	assert_true(bed_packet_ok(peer->got.head));
	bed_assert_marks(&peer->got, "r");
	bed_destroy(b);
}

/* --- runs of strangers --- */

#define STRANGER (BED_UDP_TAG + BED_PEERS)

static void stranger_run(struct path_bed *b, uint32_t n, uint32_t stride, uint32_t last)
{
	static uint8_t bytes[1 << 16];
	struct bed_item *item = bed_push(&b->udp_in, bytes, (n - 1) * stride + last);

	item->tag = STRANGER;
	item->gso_size = (uint16_t)stride;
}

struct stranger_case {
	const char *name;
	uint32_t runs[3]; /* of so many datagrams each */
	uint32_t last;
	uint32_t looked;
};

static const struct stranger_case strangers[] = {
	{ "three copies", { 3 }, 100, 3 },
	{ "the last shorter", { 3 }, 1, 3 },
	{ "two runs", { 3, 4 }, 50, 7 },
	{ "as many as are looked at", { 64, 64 }, 100, 128 },
	{ "one more", { 64, 64, 1 }, 100, 128 },
	{ "far more", { 300, 300, 300 }, 100, 128 },
};

static void from_udp__strangers_run__each_datagram_looked_at_and_bounded(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		const struct stranger_case *c = &strangers[i];
		struct path_bed *b = bed_create_with(LW_ROLE_SERVER, 16, LW_CAP_GRO, 0);
		struct bed_peer *peer = bed_join(b, false);
		struct bed_queue known;
		uint32_t n = 0;

		print_message("  %s\n", c->name);
		bed_remote(b, peer, 100, 'a');
		bed_remote(b, peer, 100, 'b');
		bed_make_run(b, 2);
		known = detach(b);
		for (; n < 3 && c->runs[n] > 0; n++)
			stranger_run(b, c->runs[n], 100, c->last);
		append(b, &known);
		assert_int_equal(bed_udp(b), -EAGAIN);
		assert_int_equal(b->looked, c->looked + 1); /* known ones are served all the same */
		assert_int_equal(b->path.counters.outside_rx, n + 1);
		bed_assert_marks(&b->inside_out, "ab");
		stranger_run(b, 5, 100, 100); /* in the next batch there is room again */
		assert_int_equal(bed_udp(b), -EAGAIN);
		assert_int_equal(b->looked, c->looked + 6);
		bed_destroy(b);
	}
}

/* Answers that leave in runs use up bytes, not packets: they are sent before the bytes end. */
static void from_udp__many_answers_in_runs__none_is_lost(void **state)
{
	enum { PINGS = 260, DATAGRAMS = 60 };
	struct path_bed *b = bed_create_with(LW_ROLE_SERVER, 16, LW_CAP_GSO, 0);
	struct bed_peer *peer = bed_join(b, false);
	uint8_t pings[PINGS][5] = { { 0 } };
	uint32_t answers = 0;

	(void)state;
	for (int i = 0; i < PINGS; i++)
		pings[i][0] = 2;
	for (int i = 0; i < DATAGRAMS; i++)
		bed_remote_frames(b, peer, pings, sizeof(pings));
	assert_int_equal(bed_udp(b), -EAGAIN);
	assert_int_equal(b->path.sessions.n[LW_CTR_SINK_FULL], 0);
	for (const struct bed_item *item = b->udp_out.head; item != NULL; item = item->next)
		answers += item->len / (item->gso_size > 0 ? item->gso_size : item->len);
	assert_int_equal(answers, PINGS * DATAGRAMS);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_outside__flow__superpacket_where_the_inside_takes_it),
		cmocka_unit_test(from_outside__two_sessions_with_one_flow__apart),
		cmocka_unit_test(inside_send__superpacket_refused__its_packets_one_by_one),
		cmocka_unit_test(inside_send__form_refused__tried_again_after_ten_minutes),
		cmocka_unit_test(inside_send__two_superpackets_refused__one_fallback),
		cmocka_unit_test(from_outside__wrong_checksum__is_counted_and_left_alone),
		cmocka_unit_test(inside_send__superpacket_refused_amid_others__order_is_kept),
		cmocka_unit_test(from_outside__long_run__superpackets_of_64),
		cmocka_unit_test(from_outside__filter_answers_amid_a_flow__the_others_are_merged),
		cmocka_unit_test(from_udp__strangers_run__each_datagram_looked_at_and_bounded),
		cmocka_unit_test(from_udp__many_answers_in_runs__none_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The chain of filters alone: order, verdicts, and filters that break the rules. */
#include <errno.h>

#include "fake/fake_host.h"
#include "path/chain.h"
#include "unit/test.h"
#include "wire/frame.h"

#define FILTERS 3
#define BYTES   64u /* of each packet; the first is its letter */
#define ROOM    16u /* in front of it */
#define REPLIES 4

/* what a filter does to packets of one letter */
enum act {
	NOTHING,
	DROP,
	REPLY,
	ODD_VERDICT,
	LONGER,
	TOO_LONG,
	EMPTY,
	FAR,
	NEAR,
	AS_NEAR_AS_ALLOWED,
	OVERFLOWING,
	SCATTERED,
	MARK
};

struct bed;

struct filter {
	struct bed *bed;
	char name;
	char letter; /* the packets that it acts on */
	enum act act;
	int r; /* of its next call */
	int open_r;
	int grow; /* packets that it adds to the batch, or takes out of it */
};

struct bed {
	struct filter filters[FILTERS];
	struct lw_worker w[FILTERS];
	struct lw_chain chain;
	struct lw_batch *batch;
	struct lw_batch *reply;
	struct lw_session session;
	struct iovec more;
	char log[128]; /* filter and what it saw, one word a call */
};

static void note(struct bed *b, const char *text)
{
	assert_true(strlen(b->log) + strlen(text) < sizeof(b->log));
	strcat(b->log, text);
}

static void act(struct filter *f, struct lw_packet *p)
{
	uint8_t *data = lw_packet_data(p);

	switch (f->act) {
	case DROP:
	case REPLY:
		p->verdict = f->act == DROP ? LW_VERDICT_DROP : LW_VERDICT_REPLY;
		break;
	case ODD_VERDICT:
		p->verdict = 200;
		break;
	case LONGER:
		p->len = p->cap - p->off;
		break;
	case TOO_LONG:
		p->len = p->cap - p->off + 1;
		break;
	case EMPTY:
		p->len = 0;
		break;
	case FAR:
		p->off = p->cap + 1;
		break;
	case NEAR:
		p->off = LW_FRAME_DATA_HEADER - 1;
		break;
	case AS_NEAR_AS_ALLOWED:
		p->off = LW_FRAME_DATA_HEADER;
		data[LW_FRAME_DATA_HEADER - (int)ROOM] = data[0];
		break;
	case OVERFLOWING:
		p->len = UINT32_MAX - p->off + 8; /* off + len is small again */
		break;
	case SCATTERED:
		p->more = &f->bed->more;
		p->n_more = 1;
		break;
	case MARK:
		data[1] = (uint8_t)f->name;
		break;
	case NOTHING:
	default:
		break;
	}
}

static int look(struct filter *f, struct lw_worker *w, struct lw_batch *b, const char *way)
{
	char seen[16] = { 0 };

	assert_ptr_equal(w, &f->bed->w[f - f->bed->filters]);
	assert_true(b->n > 0);
	for (uint32_t i = 0; i < b->n; i++)
		seen[i] = (char)lw_packet_data(&b->pkt[i])[0];
	note(f->bed, way);
	note(f->bed, (const char[]){ f->name, ':', '\0' });
	note(f->bed, seen);
	note(f->bed, " ");
	LW_BATCH_FOREACH (p, b) {
		if (f->letter == '*' || lw_packet_data(p)[0] == (uint8_t)f->letter)
			act(f, p);
	}
	for (int i = 0; i < f->grow; i++)
		lw_fake_batch_add(b, "x", 1);
	if (f->grow < 0)
		b->n -= (uint32_t)-f->grow;
	return f->r;
}

static int ingress(void *inst, struct lw_worker *w, struct lw_batch *b)
{
	return look(inst, w, b, ">");
}

static int egress(void *inst, struct lw_worker *w, struct lw_batch *b)
{
	return look(inst, w, b, "<");
}

static int session_open(void *inst, struct lw_worker *w, struct lw_session *s)
{
	struct filter *f = inst;

	(void)w;
	assert_ptr_equal(s, &f->bed->session);
	note(f->bed, (const char[]){ '+', f->name, ' ', '\0' });
	return f->open_r;
}

static void session_close(void *inst, struct lw_worker *w, struct lw_session *s)
{
	struct filter *f = inst;

	(void)w;
	assert_ptr_equal(s, &f->bed->session);
	note(f->bed, (const char[]){ '-', f->name, ' ', '\0' });
}

static const struct lw_filter_ops all_ops = { .size = sizeof(all_ops),
	                                      .session_open = session_open,
	                                      .session_close = session_close,
	                                      .ingress = ingress,
	                                      .egress = egress };

/* filters 1, 2, 3 */
static void bed_init(struct bed *b)
{
	*b = (struct bed){ .chain = { .n = FILTERS } };
	b->batch = lw_fake_batch_create(8, 8 * 256, false);
	b->batch->headroom = ROOM;
	b->batch->tailroom = ROOM;
	b->reply = lw_fake_batch_create(REPLIES, 64, false);
	for (uint32_t i = 0; i < FILTERS; i++) {
		b->filters[i] = (struct filter){ .bed = b, .name = (char)('1' + i) };
		b->chain.links[i] =
			(struct lw_link){ .ops = &all_ops, .inst = &b->filters[i], .w = &b->w[i] };
	}
}

static void bed_fini(struct bed *b)
{
	lw_fake_batch_destroy(b->batch);
	lw_fake_batch_destroy(b->reply);
}

static void put(struct bed *b, const char *letters)
{
	for (const char *c = letters; *c != '\0'; c++) {
		uint8_t bytes[BYTES] = { (uint8_t)*c };

		lw_fake_batch_add(b->batch, bytes, sizeof(bytes))->session = &b->session;
	}
}

static void assert_holds(const struct lw_batch *b, const char *letters)
{
	assert_int_equal(b->n, strlen(letters));
	for (uint32_t i = 0; i < b->n; i++) {
		assert_int_equal(lw_packet_data(&b->pkt[i])[0], letters[i]);
		assert_int_equal(b->pkt[i].verdict, LW_VERDICT_PASS);
	}
}

static void chain__both_directions__ingress_forward_egress_backward(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	put(&b, "abc");
	lw_chain_ingress(&b.chain, 0, b.chain.n, b.batch, b.reply);
	assert_string_equal(b.log, ">1:abc >2:abc >3:abc ");
	b.log[0] = '\0';
	lw_chain_egress(&b.chain, b.batch, b.reply);
	assert_string_equal(b.log, "<3:abc <2:abc <1:abc ");
	assert_holds(b.batch, "abc");
	assert_holds(b.reply, "");
	assert_int_equal(b.chain.dropped + b.chain.broken, 0);
	bed_fini(&b);
}

struct act_case {
	const char *name;
	enum act act;
	const char *kept; /* of "abcb", after the second filter acted on b */
	const char *reply;
	uint64_t dropped;
	uint64_t broken;
};

static const struct act_case acts[] = {
	{ "pass", NOTHING, "abcb", "", 0, 0 },
	{ "drop", DROP, "ac", "", 2, 0 },
	{ "reply", REPLY, "ac", "bb", 0, 0 },
	{ "no such verdict", ODD_VERDICT, "ac", "", 2, 0 },
	{ "longer within its capacity", LONGER, "abcb", "", 0, 0 },
	{ "longer than its capacity", TOO_LONG, "ac", "", 0, 2 },
	{ "no bytes left", EMPTY, "ac", "", 0, 2 },
	{ "offset behind the end", FAR, "ac", "", 0, 2 },
	{ "no room for a frame's header", NEAR, "ac", "", 0, 2 },
	{ "just enough room", AS_NEAR_AS_ALLOWED, "abcb", "", 0, 0 },
	{ "length that overflows", OVERFLOWING, "ac", "", 0, 2 },
	{ "scattered bytes", SCATTERED, "ac", "", 0, 2 },
};

static void chain_verdict__each__keeps_drops_or_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * sizeof(acts) / sizeof(acts[0]); i++) {
		const struct act_case *c = &acts[i / 2];
		bool in = i % 2 == 0;
		char log[64];
		struct bed b;

		print_message("  %s %s\n", c->name, in ? "ingress" : "egress");
		bed_init(&b);
		b.filters[1].letter = 'b';
		b.filters[1].act = c->act;
		put(&b, "abcb");
		if (in)
			lw_chain_ingress(&b.chain, 0, b.chain.n, b.batch, b.reply);
		else
			lw_chain_egress(&b.chain, b.batch, b.reply);
		assert_holds(b.batch, c->kept);
		assert_holds(b.reply, c->reply);
		assert_int_equal(b.chain.dropped, c->dropped);
		assert_int_equal(b.chain.broken, c->broken);
		/* the filter behind sees what passed, and no reply */
		(void)snprintf(log, sizeof(log),
		               in ? ">1:abcb >2:abcb >3:%s " : "<3:abcb <2:abcb <1:%s ", c->kept);
		assert_string_equal(b.log, log);
		bed_fini(&b);
	}
}

static void chain__bytes_changed__later_filters_and_the_caller_see_them(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	b.filters[0].letter = 'b';
	b.filters[0].act = MARK;
	b.filters[2].letter = 'a';
	b.filters[2].act = DROP;
	put(&b, "abc");
	lw_chain_ingress(&b.chain, 0, b.chain.n, b.batch, b.reply);
	assert_holds(b.batch, "bc");
	assert_int_equal(lw_packet_data(&b.batch->pkt[0])[1], '1');
	assert_int_equal(lw_packet_data(&b.batch->pkt[1])[1], 0);
	bed_fini(&b);
}

static void chain_reply__more_than_the_batch_holds__drops_the_rest(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	b.filters[0].letter = '*';
	b.filters[0].act = REPLY;
	put(&b, "abcdef");
	lw_chain_ingress(&b.chain, 0, b.chain.n, b.batch, b.reply);
	assert_holds(b.batch, "");
	assert_holds(b.reply, "abcd");
	assert_int_equal(b.chain.dropped, 2);
	assert_string_equal(b.log, ">1:abcdef "); /* an empty batch is shown to nobody */
	bed_fini(&b);
}

static void chain_filter__fails__drops_all_that_it_was_given(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	b.filters[0].letter = 'a';
	b.filters[0].act = REPLY;
	b.filters[1].letter = 'c';
	b.filters[1].act = REPLY;
	b.filters[1].r = -EIO;
	put(&b, "abcd");
	lw_chain_ingress(&b.chain, 0, b.chain.n, b.batch, b.reply);
	assert_holds(b.batch, "");
	assert_holds(b.reply, "a"); /* of the filter before; of one that failed nothing counts */
	assert_int_equal(b.chain.broken, 3);
	assert_int_equal(b.chain.dropped, 0);
	assert_string_equal(b.log, ">1:abcd >2:bcd ");
	b.filters[1].r = 0; /* the next batch is another matter */
	b.log[0] = '\0';
	put(&b, "b");
	lw_chain_ingress(&b.chain, 0, b.chain.n, b.batch, b.reply);
	assert_holds(b.batch, "b");
	bed_fini(&b);
}

static void chain_filter__lacks_a_direction__is_passed_over(void **state)
{
	static const struct lw_filter_ops in_only = { .size = sizeof(in_only), .ingress = ingress };
	struct bed b;

	(void)state;
	bed_init(&b);
	b.chain.links[1].ops = &in_only;
	put(&b, "a");
	lw_chain_ingress(&b.chain, 0, b.chain.n, b.batch, b.reply);
	lw_chain_egress(&b.chain, b.batch, b.reply);
	assert_int_equal(lw_chain_open(&b.chain, &b.session), 0);
	lw_chain_close(&b.chain, &b.session);
	assert_string_equal(b.log, ">1:a >2:a >3:a <3:a <1:a +1 +3 -3 -1 ");
	assert_holds(b.batch, "a");
	bed_fini(&b);
}

static void chain_open__each_filter_refuses__closes_those_before(void **state)
{
	static const char *const logs[FILTERS + 1] = { "+1 ", "+1 +2 -1 ", "+1 +2 +3 -2 -1 ",
		                                       "+1 +2 +3 " };

	(void)state;
	for (uint32_t i = 0; i <= FILTERS; i++) {
		struct bed b;

		bed_init(&b);
		if (i < FILTERS)
			b.filters[i].open_r = -EPERM;
		assert_int_equal(lw_chain_open(&b.chain, &b.session), i < FILTERS ? -EPERM : 0);
		assert_string_equal(b.log, logs[i]);
		bed_fini(&b);
	}
}

static void chain_close__all_open__last_filter_first(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	lw_chain_close(&b.chain, &b.session);
	assert_string_equal(b.log, "-3 -2 -1 ");
	bed_fini(&b);
}

static void chain__no_filters__passes_everything(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	b.chain.n = 0;
	put(&b, "abc");
	lw_chain_ingress(&b.chain, 0, b.chain.n, b.batch, b.reply);
	lw_chain_egress(&b.chain, b.batch, b.reply);
	assert_int_equal(lw_chain_open(&b.chain, &b.session), 0);
	lw_chain_close(&b.chain, &b.session);
	assert_holds(b.batch, "abc");
	assert_string_equal(b.log, "");
	bed_fini(&b);
}

/* What a filter adds has no session, and there is no verdict that makes packets. */
static void chain_filter__changes_the_number__is_not_believed(void **state)
{
	static const struct {
		int grow;
		const char *kept;
		uint64_t broken;
	} cases[] = { { 1, "abc", 1 }, { 3, "abc", 3 }, { -1, "ab", 1 }, { -3, "", 3 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bed b;

		bed_init(&b);
		b.filters[2].grow = cases[i].grow;
		put(&b, "abc");
		lw_chain_ingress(&b.chain, 0, b.chain.n, b.batch, b.reply);
		assert_holds(b.batch, cases[i].kept);
		assert_int_equal(b.chain.broken, cases[i].broken);
		bed_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain__both_directions__ingress_forward_egress_backward),
		cmocka_unit_test(chain_verdict__each__keeps_drops_or_answers),
		cmocka_unit_test(chain__bytes_changed__later_filters_and_the_caller_see_them),
		cmocka_unit_test(chain_reply__more_than_the_batch_holds__drops_the_rest),
		cmocka_unit_test(chain_filter__fails__drops_all_that_it_was_given),
		cmocka_unit_test(chain_filter__lacks_a_direction__is_passed_over),
		cmocka_unit_test(chain_open__each_filter_refuses__closes_those_before),
		cmocka_unit_test(chain_close__all_open__last_filter_first),
		cmocka_unit_test(chain__no_filters__passes_everything),
		cmocka_unit_test(chain_filter__changes_the_number__is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

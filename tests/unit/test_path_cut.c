/* SPDX-License-Identifier: MIT */
/* Runs that do not go as one: sent again cut at their stride, and when runs are made again. */
#include <errno.h>

#include "fake/fake_host.h"
#include "path/send.h"
#include "unit/test.h"

#define MS     1000u
#define BEGAN  5000000u
#define STEPS  12
#define STRIDE 64u /* bytes of each datagram: its letter, again and again */
#define SHORT  10u /* of the last one of a run */
#define LONG   150 /* datagrams of the longest run */

/* one answer of the module: how many it takes, and what it says */
struct step {
	int r;
	uint32_t take;
};

/* a module whose answers are written down; after the last it takes everything */
struct script {
	struct step steps[STEPS];
	uint32_t n_steps;
	uint32_t n_calls;
	char taken[2 * LONG]; /* letters of datagrams, those of a run in brackets */
	uint32_t most;        /* packets in one call */
};

struct bed {
	struct script script;
	struct lw_batch *wire;
	struct lw_sender sender;
	struct lw_worker w;
};

static void note(struct script *s, char c)
{
	size_t n = strlen(s->taken);

	assert_true(n + 1 < sizeof(s->taken));
	s->taken[n] = c;
}

static void take(struct script *s, const struct lw_packet *p)
{
	const uint8_t *data = lw_packet_data(p);
	uint32_t stride = p->gso_size > 0 ? p->gso_size : p->len;

	assert_int_equal(p->gso_type, p->gso_size > 0 ? LW_GSO_RUN : LW_GSO_NONE);
	if (p->gso_size > 0)
		note(s, '[');
	else
		assert_int_equal(p->len, data[0] < 'a' ? SHORT : STRIDE);
	for (uint32_t at = 0; at < p->len; at += stride) {
		uint32_t len = p->len - at < stride ? p->len - at : stride;

		for (uint32_t i = 1; i < len; i++)
			assert_int_equal(data[at + i], data[at]);
		note(s, (char)data[at]);
	}
	if (p->gso_size > 0)
		note(s, ']');
}

static int script_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	struct script *s = inst;
	struct step step = { .r = 0, .take = b->n };

	(void)w;
	assert_true(b->n > 0);
	s->most = b->n > s->most ? b->n : s->most;
	if (s->n_calls < s->n_steps)
		step = s->steps[s->n_calls];
	s->n_calls++;
	for (uint32_t i = 0; i < step.take && i < b->n; i++)
		take(s, &b->pkt[i]);
	*ret_done = step.take;
	return step.r;
}

static const struct lw_outside_udp_ops script_ops = { .size = sizeof(script_ops),
	                                              .send = script_send };

static void bed_init(struct bed *b, const struct step *steps)
{
	*b = (struct bed){ .wire = lw_fake_batch_create(32, 32 * 64 + LONG * STRIDE, true) };
	for (uint32_t i = 0; i < STEPS && steps != NULL && steps[i].r != 0; i++)
		b->script.steps[b->script.n_steps++] = steps[i];
	lw_sender_init(&b->sender, &script_ops, &b->script, &b->w, b->wire);
	b->sender.run_segs = 63;
}

static void bed_fini(struct bed *b)
{
	lw_fake_batch_destroy(b->wire);
}

/* bytes of some letters: a capital one is a datagram that is shorter */
static uint32_t fill(uint8_t *to, const char *letters, size_t n)
{
	uint32_t len = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t one = letters[i] < 'a' ? SHORT : STRIDE;

		memset(to + len, letters[i], one);
		len += one;
	}
	return len;
}

/* single datagrams by letter, and runs in brackets, on the socket of that tag */
static void put(struct bed *b, const char *what, uint32_t tag)
{
	static uint8_t bytes[LONG * STRIDE];

	while (*what != '\0') {
		bool run = *what == '[';
		size_t n = run ? strcspn(++what, "]") : 1;
		uint32_t len = fill(bytes, what, n);
		struct lw_packet *p = lw_fake_batch_add(b->wire, bytes, len);

		p->endpoint->tag = tag;
		p->gso_type = run ? LW_GSO_RUN : LW_GSO_NONE;
		p->gso_size = run ? STRIDE : 0;
		what += run ? n + 1 : n;
	}
}

struct cut_case {
	const char *name;
	struct step steps[STEPS];
	const char *wire;
	const char *taken;
	uint32_t calls;
	uint64_t sent;
	uint64_t dropped;
	uint64_t cut;
	bool latched;
};

static const struct cut_case cuts[] = {
	{ "taken as it is", { { 0 } }, "[abcD]", "[abcD]", 1, 1, 0, 0, false },
	{ "refused", { { -EOPNOTSUPP, 0 } }, "[abcD]", "abcD", 2, 4, 0, 1, true },
	{ "refused, last as long", { { -EOPNOTSUPP, 0 } }, "[abc]", "abc", 2, 3, 0, 1, true },
	{ "refused behind a single", { { -EOPNOTSUPP, 1 } }, "x[abC]y", "xabCy", 3, 5, 0, 1, true },
	{ "too large", { { -EMSGSIZE, 0 } }, "[abC]", "abC", 2, 3, 0, 1, false },
	{ "two refused",
	  { { -EOPNOTSUPP, 0 }, { -EAGAIN, 3 }, { -EOPNOTSUPP, 1 } },
	  "[abC]x[deF]y",
	  "abCxdeFy",
	  5,
	  8,
	  0,
	  2,
	  true },
	{ "one of three refused",
	  { { -EOPNOTSUPP, 1 } },
	  "[ab][cd][ef]",
	  "[ab]cd[ef]",
	  3,
	  4,
	  0,
	  1,
	  true },
	{ "a single refused is not cut",
	  { { -EOPNOTSUPP, 0 } },
	  "a[bc]",
	  "[bc]",
	  2,
	  1,
	  1,
	  0,
	  false },
	{ "a single too large is not cut",
	  { { -EMSGSIZE, 1 } },
	  "[bc]a",
	  "[bc]",
	  1,
	  1,
	  1,
	  0,
	  false },
	{ "unreachable is not cut", { { -EHOSTUNREACH, 0 } }, "[ab]c", "c", 2, 1, 1, 0, false },
	{ "too large, and a piece too",
	  { { -EMSGSIZE, 0 }, { -EMSGSIZE, 1 } },
	  "[abcD]",
	  "acD",
	  3,
	  3,
	  1,
	  1,
	  false },
	{ "refused, a piece too large",
	  { { -EOPNOTSUPP, 0 }, { -EMSGSIZE, 1 } },
	  "[abcD]e",
	  "acDe",
	  4,
	  4,
	  1,
	  1,
	  false },
	{ "refused, the last piece too large",
	  { { -EOPNOTSUPP, 0 }, { -EMSGSIZE, 2 } },
	  "[abc]d",
	  "abd",
	  3,
	  3,
	  1,
	  1,
	  false },
	{ "refused, all pieces too large",
	  { { -EOPNOTSUPP, 0 }, { -EMSGSIZE, 0 }, { -EMSGSIZE, 0 } },
	  "[ab]",
	  "",
	  3,
	  0,
	  2,
	  1,
	  false },
	{ "refused, and no piece goes either",
	  { { -EOPNOTSUPP, 0 }, { -EINVAL, 0 }, { -EINVAL, 0 } },
	  "[ab]c",
	  "c",
	  4,
	  1,
	  2,
	  1,
	  false },
	{ "error behind the last piece",
	  { { -EOPNOTSUPP, 0 }, { -EIO, 3 } },
	  "[abC]de",
	  "abCde",
	  3,
	  5,
	  0,
	  1,
	  true },
	{ "more pieces than there were",
	  { { -EMSGSIZE, 0 }, { -EMSGSIZE, 9 } },
	  "[ab][cd]",
	  "ab[cd]",
	  3,
	  3,
	  0,
	  1,
	  false },
};

static void sender_flush__run_not_taken__its_datagrams_go_once_and_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		const struct cut_case *c = &cuts[i];
		struct bed b;

		print_message("  %s\n", c->name);
		bed_init(&b, c->steps);
		put(&b, c->wire, 7);
		while (!lw_sender_flush(&b.sender, BEGAN))
			lw_sender_unblock(&b.sender, 7);
		assert_string_equal(b.script.taken, c->taken);
		assert_int_equal(b.script.n_calls, c->calls);
		assert_int_equal(b.sender.sent, c->sent);
		assert_int_equal(b.sender.dropped, c->dropped);
		assert_int_equal(b.sender.cut, c->cut);
		assert_int_equal(b.sender.fallbacks, c->latched);
		assert_int_equal(b.sender.runs_refused, c->latched);
		assert_int_equal(lw_sender_run_segs(&b.sender, BEGAN), c->latched ? 0 : 63);
		assert_false(b.sender.cutting);
		assert_int_equal(b.wire->n, 0);
		bed_fini(&b);
	}
}

static void sender_flush__form_refused__no_runs_for_ten_minutes(void **state)
{
	const struct step steps[STEPS] = { { -EOPNOTSUPP, 0 } };
	const uint64_t again = BEGAN + LW_SEND_RUNS_OFF_US;
	struct bed b;

	(void)state;
	assert_int_equal(LW_SEND_RUNS_OFF_US, 600 * 1000 * MS);
	bed_init(&b, steps);
	put(&b, "[ab]", 7);
	assert_true(lw_sender_flush(&b.sender, BEGAN));
	assert_int_equal(lw_sender_run_segs(&b.sender, BEGAN), 0);
	assert_int_equal(lw_sender_run_segs(&b.sender, again - 1), 0);
	assert_int_equal(lw_sender_run_segs(&b.sender, again), 63);
	assert_true(b.sender.runs_refused);
	b.sender.runs_refused = false; /* somebody has logged it */
	/* one that was made before does not say it again, nor put it off */
	b.script = (struct script){ .steps = { { -EOPNOTSUPP, 0 } }, .n_steps = 1 };
	put(&b, "[cd]", 7);
	assert_true(lw_sender_flush(&b.sender, BEGAN + 5 * MS));
	assert_false(b.sender.runs_refused);
	assert_int_equal(b.sender.fallbacks, 1);
	assert_int_equal(lw_sender_run_segs(&b.sender, again), 63);
	/* refused once more: ten minutes more, and news */
	b.script.n_calls = 0;
	put(&b, "[ef]", 7);
	assert_true(lw_sender_flush(&b.sender, again));
	assert_string_equal(b.script.taken, "cdef");
	assert_true(b.sender.runs_refused);
	assert_int_equal(lw_sender_run_segs(&b.sender, again + LW_SEND_RUNS_OFF_US - 1), 0);
	assert_int_equal(b.sender.cut, 3);
	assert_int_equal(b.sender.fallbacks, 2);
	bed_fini(&b);
}

struct blocked_case {
	const char *name;
	int r;         /* in the middle of a cut */
	uint32_t take; /* pieces of "abcD" before it */
	uint64_t wait_us;
};

static const struct blocked_case blocked[] = {
	{ "full at the first", -EAGAIN, 0, LW_SEND_WAIT_US },
	{ "full after two", -EAGAIN, 2, LW_SEND_WAIT_US },
	{ "full before the last", -EAGAIN, 3, LW_SEND_WAIT_US },
	{ "no buffers at the first", -ENOBUFS, 0, LW_SEND_RETRY_US },
	{ "no buffers after one", -ENOBUFS, 1, LW_SEND_RETRY_US },
};

static void sender_flush__full_amid_a_cut__goes_on_there_and_nothing_overtakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++) {
		const struct blocked_case *c = &blocked[i];
		const struct step steps[STEPS] = { { -EOPNOTSUPP, 1 }, { c->r, c->take } };
		char before[8] = "x";
		struct bed b;

		print_message("  %s\n", c->name);
		bed_init(&b, steps);
		put(&b, "x[abcD]y", 7);
		assert_false(lw_sender_flush(&b.sender, BEGAN));
		strncat(before, "abcD", c->take);
		assert_string_equal(b.script.taken, before);
		assert_int_equal(lw_sender_deadline(&b.sender), BEGAN + c->wait_us);
		assert_int_equal(b.sender.blocked_tag, 7);
		assert_int_equal(lw_sender_run_segs(&b.sender, BEGAN), 63); /* not known yet */
		put(&b, "[zZ]", 7);
		assert_false(lw_sender_flush(&b.sender, BEGAN + 1));
		assert_int_equal(b.script.n_calls, 2);
		lw_sender_unblock(&b.sender, 7);
		assert_true(lw_sender_flush(&b.sender, BEGAN + 2 * MS));
		assert_string_equal(b.script.taken, "xabcDy[zZ]");
		assert_int_equal(lw_sender_run_segs(&b.sender, BEGAN + 2 * MS), 0);
		assert_int_equal(b.sender.sent, 7);
		assert_int_equal(b.sender.dropped, 0);
		assert_int_equal(b.sender.cut, 1);
		bed_fini(&b);
	}
}

static void sender_flush__full_for_20_ms_amid_a_cut__rest_is_dropped(void **state)
{
	const struct step steps[STEPS] = { { -EOPNOTSUPP, 0 }, { -EAGAIN, 2 } };
	struct bed b;

	(void)state;
	bed_init(&b, steps);
	put(&b, "[abcd]e", 7);
	put(&b, "[fg]", 8);
	assert_false(lw_sender_flush(&b.sender, BEGAN));
	assert_false(lw_sender_flush(&b.sender, BEGAN + LW_SEND_WAIT_US - 1));
	assert_true(lw_sender_flush(&b.sender, BEGAN + LW_SEND_WAIT_US));
	assert_string_equal(b.script.taken, "ab[fg]"); /* another socket's run is whole */
	assert_int_equal(b.sender.dropped, 2);
	assert_int_equal(lw_sender_run_segs(&b.sender, BEGAN + LW_SEND_WAIT_US), 63);
	put(&b, "[hi]", 7);
	assert_true(lw_sender_flush(&b.sender, BEGAN + LW_SEND_WAIT_US));
	assert_string_equal(b.script.taken, "ab[fg][hi]");
	bed_fini(&b);
}

/* Pieces that go one at a time are progress. */
static void sender_flush__progress_amid_a_cut__begins_the_wait_anew(void **state)
{
	const struct step steps[STEPS] = { { -EMSGSIZE, 0 }, { -EAGAIN, 1 }, { -EAGAIN, 1 } };
	struct bed b;

	(void)state;
	bed_init(&b, steps);
	put(&b, "[abcd]", 7);
	assert_false(lw_sender_flush(&b.sender, BEGAN));
	lw_sender_unblock(&b.sender, 7);
	assert_false(lw_sender_flush(&b.sender, BEGAN + 15 * MS));
	assert_int_equal(lw_sender_deadline(&b.sender), BEGAN + 15 * MS + LW_SEND_WAIT_US);
	lw_sender_unblock(&b.sender, 7);
	assert_true(lw_sender_flush(&b.sender, BEGAN + 30 * MS));
	assert_string_equal(b.script.taken, "abcd");
	bed_fini(&b);
}

/* What was built into the last run while it waited goes with it, cut or not. */
static void sender_flush__run_grows_while_it_waits__all_of_it_goes(void **state)
{
	static const struct {
		const char *name;
		struct step steps[STEPS];
		const char *taken;
	} cases[] = {
		{ "as a run", { { -EAGAIN, 0 } }, "[abcd]" },
		{ "before it is cut", { { -EAGAIN, 0 }, { -EOPNOTSUPP, 0 } }, "abcd" },
		{ "amid the cut", { { -EOPNOTSUPP, 0 }, { -EAGAIN, 1 } }, "abcd" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lw_packet *p;
		struct bed b;

		print_message("  %s\n", cases[i].name);
		bed_init(&b, cases[i].steps);
		put(&b, "[abcd]", 7);
		p = &b.wire->pkt[0];
		p->len = 2 * STRIDE;
		assert_false(lw_sender_flush(&b.sender, BEGAN));
		p->len = 4 * STRIDE;
		lw_sender_unblock(&b.sender, 7);
		assert_true(lw_sender_flush(&b.sender, BEGAN));
		assert_string_equal(b.script.taken, cases[i].taken);
		assert_int_equal(b.sender.dropped, 0);
		bed_fini(&b);
	}
}

/* A run has more datagrams than are offered at once. */
static void sender_flush__long_run_cut__offered_by_64(void **state)
{
	static const uint32_t counts[] = { 63, 64, 65, 128, LONG };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		const struct step steps[STEPS] = { { -EOPNOTSUPP, 0 } };
		char run[LONG + 3] = "[";
		uint32_t n = counts[i];
		struct bed b;

		for (uint32_t k = 0; k < n; k++)
			run[1 + k] = (char)('a' + k % 26);
		run[n] = 'Z';
		run[n + 1] = ']';
		bed_init(&b, steps);
		put(&b, run, 7);
		assert_true(lw_sender_flush(&b.sender, BEGAN));
		run[n + 1] = '\0';
		assert_string_equal(b.script.taken, run + 1);
		assert_int_equal(b.script.n_calls, 1 + (n + 63) / 64);
		assert_int_equal(b.script.most, n < 64 ? n : 64);
		assert_int_equal(b.sender.sent, n);
		assert_int_equal(b.sender.cut, 1);
		bed_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sender_flush__run_not_taken__its_datagrams_go_once_and_in_order),
		cmocka_unit_test(sender_flush__form_refused__no_runs_for_ten_minutes),
		cmocka_unit_test(
			sender_flush__full_amid_a_cut__goes_on_there_and_nothing_overtakes),
		cmocka_unit_test(sender_flush__full_for_20_ms_amid_a_cut__rest_is_dropped),
		cmocka_unit_test(sender_flush__progress_amid_a_cut__begins_the_wait_anew),
		cmocka_unit_test(sender_flush__run_grows_while_it_waits__all_of_it_goes),
		cmocka_unit_test(sender_flush__long_run_cut__offered_by_64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* What follows from each answer of an outside's send(): interfaces, "Sending". */
#include <errno.h>

#include "fake/fake_host.h"
#include "path/send.h"
#include "unit/test.h"

#define MS     1000u
#define BEGAN  5000000u
#define STEPS  6
#define LETTER 64u /* bytes of each packet: its letter, again and again */

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
	char taken[64];
	uint32_t n_taken;
};

struct bed {
	struct script script;
	struct lw_batch *wire;
	struct lw_sender sender;
	struct lw_worker w;
};

static int script_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	struct script *s = inst;
	struct step step = { .r = 0, .take = b->n };

	(void)w;
	assert_true(b->n > 0);
	if (s->n_calls < s->n_steps)
		step = s->steps[s->n_calls];
	s->n_calls++;
	for (uint32_t i = 0; i < step.take && i < b->n; i++) {
		assert_int_equal(b->pkt[i].len, LETTER);
		s->taken[s->n_taken++] = (char)lw_packet_data(&b->pkt[i])[0];
	}
	*ret_done = step.take;
	return step.r;
}

static const struct lw_outside_udp_ops script_ops = { .size = sizeof(script_ops),
	                                              .send = script_send };

static void bed_init(struct bed *b, const struct step *steps)
{
	*b = (struct bed){ .wire = lw_fake_batch_create(32, 32 * LETTER, true) };
	for (uint32_t i = 0; i < STEPS && steps != NULL && steps[i].r != 0; i++)
		b->script.steps[b->script.n_steps++] = steps[i];
	lw_sender_init(&b->sender, &script_ops, &b->script, &b->w, b->wire);
}

static void bed_fini(struct bed *b)
{
	lw_fake_batch_destroy(b->wire);
}

/* one packet for each letter, on the socket of that tag */
static void put(struct bed *b, const char *letters, uint32_t tag)
{
	for (const char *c = letters; *c != '\0'; c++) {
		uint8_t bytes[LETTER];

		memset(bytes, *c, sizeof(bytes));
		lw_fake_batch_add(b->wire, bytes, sizeof(bytes))->endpoint->tag = tag;
	}
}

struct answer_case {
	const char *name;
	struct step steps[STEPS];
	const char *taken; /* of "abcde" */
	uint64_t dropped;
	uint32_t calls;
	bool done;
	uint64_t wait_us; /* until the next try without an edge; 0: nothing waits */
};

static const struct answer_case answers[] = {
	{ "all", { { 0 } }, "abcde", 0, 1, true, 0 },
	{ "too large, first", { { -EMSGSIZE, 0 } }, "bcde", 1, 2, true, 0 },
	{ "too large, third", { { -EMSGSIZE, 2 } }, "abde", 1, 2, true, 0 },
	{ "too large, last", { { -EMSGSIZE, 4 } }, "abcd", 1, 1, true, 0 },
	{ "form refused", { { -EOPNOTSUPP, 1 } }, "acde", 1, 2, true, 0 },
	{ "unreachable twice", { { -EHOSTUNREACH, 1 }, { -ENETDOWN, 1 } }, "ace", 2, 3, true, 0 },
	{ "dead socket",
	  { { -EBADF, 0 }, { -EBADF, 0 }, { -EBADF, 0 }, { -EBADF, 0 }, { -EBADF, 0 } },
	  "",
	  5,
	  5,
	  true,
	  0 },
	{ "full at once", { { -EAGAIN, 0 } }, "", 0, 1, false, LW_SEND_WAIT_US },
	{ "full after two", { { -EAGAIN, 2 } }, "ab", 0, 1, false, LW_SEND_WAIT_US },
	{ "full behind the last", { { -EAGAIN, 5 } }, "abcde", 0, 1, true, 0 },
	{ "no buffers", { { -ENOBUFS, 0 } }, "", 0, 1, false, LW_SEND_RETRY_US },
	{ "no buffers after three", { { -ENOBUFS, 3 } }, "abc", 0, 1, false, LW_SEND_RETRY_US },
	{ "lost one, then full",
	  { { -EIO, 0 }, { -EAGAIN, 1 } },
	  "b",
	  1,
	  2,
	  false,
	  LW_SEND_WAIT_US },
};

static void sender_flush__each_answer__keeps_or_drops_as_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const struct answer_case *c = &answers[i];
		struct bed b;

		print_message("  %s\n", c->name);
		bed_init(&b, c->steps);
		put(&b, "abcde", 7);
		assert_int_equal(lw_sender_flush(&b.sender, BEGAN), c->done);
		assert_string_equal(b.script.taken, c->taken);
		assert_int_equal(b.script.n_calls, c->calls);
		assert_int_equal(b.sender.sent, strlen(c->taken));
		assert_int_equal(b.sender.dropped, c->dropped);
		assert_int_equal(b.sender.blocks, c->done ? 0 : 1);
		assert_int_equal(b.sender.blocked, !c->done);
		if (c->done) {
			assert_int_equal(b.wire->n, 0);
			assert_int_equal(b.wire->arena_used, 0);
			assert_true(lw_sender_deadline(&b.sender) == UINT64_MAX);
		} else {
			assert_int_equal(b.sender.blocked_tag, 7);
			assert_int_equal(lw_sender_deadline(&b.sender), BEGAN + c->wait_us);
		}
		bed_fini(&b);
	}
}

static void sender_flush__nothing_to_send__calls_nobody(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b, NULL);
	assert_true(lw_sender_flush(&b.sender, BEGAN));
	assert_int_equal(b.script.n_calls, 0);
	assert_true(lw_sender_deadline(&b.sender) == UINT64_MAX);
	bed_fini(&b);
}

static void sender_flush__blocked__waits_for_the_edge_and_keeps_order(void **state)
{
	const struct step steps[STEPS] = { { -EAGAIN, 1 }, { -EAGAIN, 2 } };
	struct bed b;

	(void)state;
	bed_init(&b, steps);
	put(&b, "abc", 7);
	assert_false(lw_sender_flush(&b.sender, BEGAN));
	put(&b, "de", 7); /* what comes later stands behind */
	assert_false(lw_sender_flush(&b.sender, BEGAN + 1 * MS));
	assert_int_equal(b.script.n_calls, 1);
	lw_sender_unblock(&b.sender, 8); /* another socket's edge */
	assert_false(lw_sender_flush(&b.sender, BEGAN + 2 * MS));
	assert_int_equal(b.script.n_calls, 1);
	lw_sender_unblock(&b.sender, 7);
	assert_int_equal(lw_sender_deadline(&b.sender), 0); /* at once */
	assert_false(lw_sender_flush(&b.sender, BEGAN + 3 * MS));
	assert_string_equal(b.script.taken, "abc");
	assert_int_equal(b.sender.blocks, 2);
	lw_sender_unblock(&b.sender, 7);
	assert_true(lw_sender_flush(&b.sender, BEGAN + 4 * MS));
	assert_string_equal(b.script.taken, "abcde");
	assert_int_equal(b.sender.dropped, 0);
	bed_fini(&b);
}

static void sender_unblock__nothing_blocked__is_forgotten(void **state)
{
	const struct step steps[STEPS] = { { -EAGAIN, 0 } };
	struct bed b;

	(void)state;
	bed_init(&b, steps);
	lw_sender_unblock(&b.sender, 7); /* an edge of before */
	put(&b, "a", 7);
	assert_false(lw_sender_flush(&b.sender, BEGAN));
	assert_false(lw_sender_flush(&b.sender, BEGAN));
	assert_int_equal(b.script.n_calls, 1);
	bed_fini(&b);
}

static void sender_flush__no_buffers__tries_again_after_a_millisecond(void **state)
{
	const struct step steps[STEPS] = { { -ENOBUFS, 1 }, { -ENOBUFS, 0 } };
	struct bed b;

	(void)state;
	bed_init(&b, steps);
	put(&b, "abc", 7);
	assert_false(lw_sender_flush(&b.sender, BEGAN));
	assert_false(lw_sender_flush(&b.sender, BEGAN + LW_SEND_RETRY_US - 1));
	assert_int_equal(b.script.n_calls, 1);
	assert_false(lw_sender_flush(&b.sender, BEGAN + LW_SEND_RETRY_US));
	assert_int_equal(b.script.n_calls, 2);
	assert_int_equal(lw_sender_deadline(&b.sender), BEGAN + 2 * LW_SEND_RETRY_US);
	assert_true(lw_sender_flush(&b.sender, BEGAN + 2 * LW_SEND_RETRY_US));
	assert_string_equal(b.script.taken, "abc");
	bed_fini(&b);
}

static void sender_flush__twenty_ms_without_an_edge__drops_what_waits(void **state)
{
	const struct step steps[STEPS] = { { -EAGAIN, 1 } };
	struct bed b;

	(void)state;
	bed_init(&b, steps);
	put(&b, "abc", 7);
	assert_false(lw_sender_flush(&b.sender, BEGAN));
	put(&b, "d", 7);
	assert_false(lw_sender_flush(&b.sender, BEGAN + LW_SEND_WAIT_US - 1));
	assert_int_equal(lw_sender_deadline(&b.sender), BEGAN + LW_SEND_WAIT_US);
	assert_true(lw_sender_flush(&b.sender, BEGAN + LW_SEND_WAIT_US));
	assert_int_equal(b.script.n_calls, 1);
	assert_int_equal(b.sender.dropped, 3);
	assert_int_equal(b.sender.sent, 1);
	assert_false(b.sender.blocked);
	assert_true(lw_sender_deadline(&b.sender) == UINT64_MAX);
	put(&b, "e", 7); /* and goes on */
	assert_true(lw_sender_flush(&b.sender, BEGAN + LW_SEND_WAIT_US));
	assert_string_equal(b.script.taken, "ae");
	bed_fini(&b);
}

/* A module may be wrong about what it took; the sender must not be. */
static void sender_flush__taken_out_of_range__believes_the_batch(void **state)
{
	static const struct step wrong[][STEPS] = {
		{ { -EIO, 9 } },
		{ { -EAGAIN, UINT32_MAX } },
		{ { -ENOBUFS, 6 } },
		{ { 1, 9 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct bed b;

		bed_init(&b, wrong[i]);
		put(&b, "abcde", 7);
		assert_true(lw_sender_flush(&b.sender, BEGAN));
		assert_int_equal(b.sender.sent, 5);
		assert_int_equal(b.sender.dropped, 0);
		assert_int_equal(b.wire->n, 0);
		bed_fini(&b);
	}
}

static void sender_flush__zero__all_are_gone(void **state)
{
	const struct step steps[STEPS] = { { -EAGAIN, 1 }, { 0, 1 } };
	struct bed b;

	(void)state;
	bed_init(&b, steps);
	b.script.n_steps = 2; /* the second says 0, but took one of two */
	put(&b, "abc", 7);
	assert_false(lw_sender_flush(&b.sender, BEGAN));
	lw_sender_unblock(&b.sender, 7);
	assert_true(lw_sender_flush(&b.sender, BEGAN));
	assert_int_equal(b.sender.sent, 3);
	assert_int_equal(b.wire->n, 0);
	bed_fini(&b);
}

/* A slow link takes a little at each edge: that is progress, not a dead socket. */
static void sender_flush__progress__begins_the_wait_anew(void **state)
{
	const struct step steps[STEPS] = { { -EAGAIN, 1 }, { -EAGAIN, 1 }, { -EAGAIN, 0 } };
	struct bed b;

	(void)state;
	bed_init(&b, steps);
	put(&b, "abcd", 7);
	assert_false(lw_sender_flush(&b.sender, BEGAN));
	lw_sender_unblock(&b.sender, 7);
	assert_false(lw_sender_flush(&b.sender, BEGAN + 15 * MS));
	assert_int_equal(lw_sender_deadline(&b.sender), BEGAN + 15 * MS + LW_SEND_WAIT_US);
	assert_false(lw_sender_flush(&b.sender, BEGAN + 30 * MS));
	lw_sender_unblock(&b.sender, 7); /* an edge after which nothing is taken is none */
	assert_false(lw_sender_flush(&b.sender, BEGAN + 30 * MS));
	assert_int_equal(lw_sender_deadline(&b.sender), BEGAN + 15 * MS + LW_SEND_WAIT_US);
	assert_int_equal(b.sender.dropped, 0);
	assert_true(lw_sender_flush(&b.sender, BEGAN + 35 * MS));
	assert_int_equal(b.sender.dropped, 2);
	assert_string_equal(b.script.taken, "ab");
	bed_fini(&b);
}

/* A worker that was held up finds edge and deadline in the same round. */
static void sender_flush__edge_came_in_time__tries_before_it_drops(void **state)
{
	const struct step steps[STEPS] = { { -EAGAIN, 1 }, { -EAGAIN, 0 } };
	struct bed b;

	(void)state;
	for (uint32_t still_full = 0; still_full < 2; still_full++) {
		bed_init(&b, steps);
		b.script.n_steps = 1 + still_full;
		put(&b, "abc", 7);
		assert_false(lw_sender_flush(&b.sender, BEGAN));
		lw_sender_unblock(&b.sender, 7);
		assert_true(lw_sender_flush(&b.sender, BEGAN + LW_SEND_WAIT_US + 5 * MS));
		assert_int_equal(b.script.n_calls, 2);
		assert_string_equal(b.script.taken, still_full ? "a" : "abc");
		assert_int_equal(b.sender.dropped, still_full ? 2 : 0);
		assert_false(b.sender.blocked);
		bed_fini(&b);
	}
}

/* Other sockets of the instance are not to blame: theirs is sent when the dead one's is dropped. */
static void sender_flush__given_up__drops_that_sockets_packets_only(void **state)
{
	const struct step steps[STEPS] = { { -EAGAIN, 1 }, { -EAGAIN, 1 } };
	struct bed b;

	(void)state;
	bed_init(&b, steps);
	put(&b, "ab", 7);
	put(&b, "c", 8);
	put(&b, "d", 7);
	put(&b, "ef", 9);
	assert_false(lw_sender_flush(&b.sender, BEGAN));
	assert_false(lw_sender_flush(&b.sender, BEGAN + LW_SEND_WAIT_US)); /* now 9 is full */
	assert_string_equal(b.script.taken, "ac");
	assert_int_equal(b.sender.dropped, 2);
	assert_int_equal(b.sender.blocked_tag, 9);
	assert_int_equal(lw_sender_deadline(&b.sender), BEGAN + 2 * LW_SEND_WAIT_US);
	put(&b, "gh", 7); /* into slots whose endpoints nobody else has */
	for (uint32_t i = b.sender.done; i < b.wire->n; i++)
		assert_int_equal(b.wire->pkt[i].endpoint->tag, i + 2 < b.wire->n ? 9 : 7);
	lw_sender_unblock(&b.sender, 9);
	assert_true(lw_sender_flush(&b.sender, BEGAN + LW_SEND_WAIT_US + 1));
	assert_string_equal(b.script.taken, "acefgh");
	bed_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sender_flush__each_answer__keeps_or_drops_as_it_says),
		cmocka_unit_test(sender_flush__nothing_to_send__calls_nobody),
		cmocka_unit_test(sender_flush__blocked__waits_for_the_edge_and_keeps_order),
		cmocka_unit_test(sender_unblock__nothing_blocked__is_forgotten),
		cmocka_unit_test(sender_flush__no_buffers__tries_again_after_a_millisecond),
		cmocka_unit_test(sender_flush__twenty_ms_without_an_edge__drops_what_waits),
		cmocka_unit_test(sender_flush__taken_out_of_range__believes_the_batch),
		cmocka_unit_test(sender_flush__zero__all_are_gone),
		cmocka_unit_test(sender_flush__progress__begins_the_wait_anew),
		cmocka_unit_test(sender_flush__edge_came_in_time__tries_before_it_drops),
		cmocka_unit_test(sender_flush__given_up__drops_that_sockets_packets_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

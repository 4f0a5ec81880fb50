/* SPDX-License-Identifier: MIT */
/* Logins: who is asked, which answers count, and what becomes of the rest. */
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/bed_server.h"
#include "unit/test.h"

#define HOME 0xc0000201u
#define PORT 1000

/* a peer up to the answer to its login, which a backend may keep */
static struct peer *logging_in(struct bed *b, uint32_t ip, bool stream)
{
	struct peer *p = peer_create(b, ip, PORT, stream);

	peer_begin(p);
	bed_settle(b, &p, 1);
	return p;
}

static void check_refused(struct bed *b, struct peer *p)
{
	bed_settle(b, &p, 1);
	assert_true(p->closed);
	assert_false(p->online);
	assert_int_equal(p->t->reason, LW_CLOSE_AUTH);
}

static void login__yes__online_under_the_name_answered(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct net net = { 0 };
		struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
		struct peer *p;
		const struct lw_tunnel *t;

		bed_verdict(b, 0, BED_HOLD);
		p = logging_in(b, HOME, stream);
		assert_false(p->online);
		assert_string_equal(b->backends[0].user, "me");
		assert_string_equal(b->backends[0].secret, "secret");
		assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap);
		bed_answer(b, 0, 0, LW_AUTH_YES);
		bed_settle(b, &p, 1);
		assert_true(p->online);
		assert_int_equal(bed_jobs(b), 0);
		assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap - 1);
		for (uint32_t i = 0; i < b->common.pool.size; i++) {
			t = b->common.pool.slices->owners[i];
			if (t != NULL)
				assert_string_equal(t->s.user, "answered");
		}
		peer_destroy(p);
		bed_destroy(b);
	}
}

static void login__no__refused_and_counted(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct net net = { 0 };
		struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
		struct peer *p;

		bed_verdict(b, 0, BED_NO);
		p = logging_in(b, HOME, stream);
		check_refused(b, p);
		assert_int_equal(bed_counter(b, LW_SRV_LOGINS), 1);
		assert_int_equal(bed_counter(b, LW_SRV_LOGINS_REFUSED), 1);
		assert_int_equal(bed_tunnels(b, LW_CTR_CLOSED_AUTH), 1);
		assert_int_equal(b->s.n, 0);
		peer_destroy(p);
		bed_destroy(b);
	}
}

static void backends__any_verdicts__asked_in_order_until_one_decides(void **state)
{
	static const struct {
		enum bed_verdict say[3];
		uint32_t asked[3];
		bool yes;
	} cases[] = {
		{ { BED_YES, BED_NO, BED_NO }, { 1, 0, 0 }, true },
		{ { BED_NO, BED_YES, BED_YES }, { 1, 0, 0 }, false },
		{ { BED_NOT_MINE, BED_YES, BED_NO }, { 1, 1, 0 }, true },
		{ { BED_NOT_MINE, BED_NO, BED_YES }, { 1, 1, 0 }, false },
		{ { BED_ERROR, BED_NOT_MINE, BED_YES }, { 1, 1, 1 }, true },
		{ { BED_REFUSE, BED_REFUSE, BED_YES }, { 1, 1, 1 }, true },
		{ { BED_NOT_MINE, BED_NOT_MINE, BED_NOT_MINE }, { 1, 1, 1 }, false },
		{ { BED_ERROR, BED_ERROR, BED_ERROR }, { 1, 1, 1 }, false },
		{ { BED_REFUSE, BED_REFUSE, BED_REFUSE }, { 1, 1, 1 }, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net net = { 0 };
		struct bed *b = bed_create(&net, &(struct bed_plan){ .n_backends = 3 });
		struct peer *p;

		for (uint32_t k = 0; k < 3; k++)
			bed_verdict(b, k, cases[i].say[k]);
		p = logging_in(b, HOME, false);
		for (uint32_t k = 0; k < 3; k++)
			assert_int_equal(bed_asked(b, k), cases[i].asked[k]);
		assert_int_equal(p->online, cases[i].yes);
		assert_int_equal(bed_jobs(b), 0);
		peer_destroy(p);
		bed_destroy(b);
	}
}

static void backends__none__refused(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p;

	(void)state;
	b->s.auth.n_backends = 0;
	p = logging_in(b, HOME, false);
	check_refused(b, p);
	assert_int_equal(bed_asked(b, 0), 0);
	peer_destroy(p);
	bed_destroy(b);
}

/* --- answers that do not count --- */

static void answer__session_gone__ignored(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct net net = { 0 };
		struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
		struct peer *p;

		bed_verdict(b, 0, BED_HOLD);
		p = logging_in(b, HOME, stream);
		peer_close(p);
		bed_settle(b, NULL, 0);
		assert_int_equal(b->s.n, 0);
		assert_int_equal(bed_jobs(b), 1);
		bed_answer(b, 0, 0, LW_AUTH_YES);
		bed_settle(b, NULL, 0);
		assert_int_equal(bed_jobs(b), 0);
		assert_int_equal(b->s.n_online, 0);
		assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap);
		peer_destroy(p);
		bed_destroy(b);
	}
}

/* A second answer must not be taken for one to the next login, which has the same place. */
static void answer__given_twice__next_login_unharmed(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *one;
	struct peer *two;

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	one = logging_in(b, HOME, false);
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_answer(b, 0, 0, LW_AUTH_NO);
	bed_settle(b, &one, 1);
	assert_true(one->online);
	two = logging_in(b, HOME + 1, false);
	assert_int_equal(bed_jobs(b), 1);
	assert_int_equal((uint32_t)b->backends[0].tokens[0], (uint32_t)b->backends[0].tokens[1]);
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, &two, 1);
	assert_false(two->online);
	assert_int_equal(bed_jobs(b), 1);
	bed_answer(b, 0, 1, LW_AUTH_NO);
	check_refused(b, two);
	assert_true(one->online);
	peer_destroy(one);
	peer_destroy(two);
	bed_destroy(b);
}

/* Who has passed a login on may not decide it afterwards. */
static void answer__after_not_mine__ignored(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ .n_backends = 2 });
	struct peer *p;

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	bed_verdict(b, 1, BED_HOLD);
	p = logging_in(b, HOME, false);
	bed_answer(b, 0, 0, LW_AUTH_NOT_MINE);
	bed_settle(b, &p, 1);
	assert_int_equal(bed_asked(b, 1), 1);
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, &p, 1);
	assert_false(p->online);
	assert_int_equal(bed_jobs(b), 1);
	bed_answer(b, 1, 0, LW_AUTH_NO);
	check_refused(b, p);
	peer_destroy(p);
	bed_destroy(b);
}

static void answer__tokens_of_nobody__ignored(void **state)
{
	static const uint64_t strange[] = { 0,
		                            1,
		                            LW_AUTH_JOBS,
		                            UINT32_MAX,
		                            UINT64_MAX,
		                            (uint64_t)1 << 32 | LW_AUTH_JOBS,
		                            (uint64_t)2 << 32,
		                            (uint64_t)1 << 32 | 1 };
	const struct lw_auth_answer yes = { .size = sizeof(yes), .verdict = LW_AUTH_YES };
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p;

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	p = logging_in(b, HOME, false);
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		assert_true(strange[i] != b->backends[0].tokens[0]);
		lw_auth_answer(&b->s.auth, strange[i], &yes);
		bed_settle(b, &p, 1);
		assert_false(p->online);
		assert_int_equal(bed_jobs(b), 1);
	}
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, &p, 1);
	assert_true(p->online);
	peer_destroy(p);
	bed_destroy(b);
}

static void answer__none_for_ten_seconds__refused_and_late_one_ignored(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct net net = { 0 };
		struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
		struct peer *p;

		bed_verdict(b, 0, BED_HOLD);
		p = logging_in(b, HOME, stream);
		bed_run(b, &p, 1, 9900 * LW_US_PER_MS);
		assert_false(p->closed);
		bed_run(b, &p, 1, 200 * LW_US_PER_MS);
		check_refused(b, p);
		assert_int_equal(bed_counter(b, LW_SRV_LOGINS_REFUSED), 1);
		assert_int_equal(b->s.n, 0);
		bed_answer(b, 0, 0, LW_AUTH_YES);
		bed_settle(b, NULL, 0);
		assert_int_equal(b->s.n_online, 0);
		assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap);
		assert_int_equal(bed_jobs(b), 0);
		peer_destroy(p);
		bed_destroy(b);
	}
}

/* --- want of places --- */

static struct lw_login *make_login(void)
{
	struct lw_login *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->method = LW_AUTH_METHOD_PASSWORD;
	return l;
}

static void jobs__all_taken__refused_and_counted(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct net net = { 0 };
		struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
		const struct lw_addr from = { .family = 4 };
		struct peer *p;

		bed_verdict(b, 0, BED_HOLD);
		for (uint32_t i = 0; i < LW_AUTH_JOBS; i++)
			assert_non_null(lw_auth_submit(&b->s.auth, make_login(), &from, NULL));
		assert_null(lw_auth_submit(&b->s.auth, make_login(), &from, NULL));
		bed_settle(b, NULL, 0);
		p = logging_in(b, HOME, stream);
		check_refused(b, p);
		assert_int_equal(bed_counter(b, LW_SRV_LOGINS), 1);
		assert_int_equal(bed_counter(b, LW_SRV_LOGINS_BUSY), 1);
		assert_int_equal(bed_counter(b, LW_SRV_LOGINS_REFUSED), 1);
		assert_int_equal(b->s.n, 0);
		peer_destroy(p);
		/* one place is free again */
		bed_answer(b, 0, 77, LW_AUTH_NO);
		bed_settle(b, NULL, 0);
		bed_verdict(b, 0, BED_YES);
		p = bed_online(b, HOME, PORT + 1, stream);
		assert_int_equal(bed_counter(b, LW_SRV_LOGINS_BUSY), 1);
		peer_destroy(p);
		for (uint32_t i = 0; i < LW_AUTH_JOBS; i++)
			bed_answer(b, 0, i, LW_AUTH_NO);
		bed_settle(b, NULL, 0);
		assert_int_equal(bed_jobs(b), 0);
		bed_destroy(b);
	}
}

static void do_nothing(void *arg)
{
	(void)arg;
}

/* The queue of the helpers is shared with modules, which may fill it. */
static void helpers__queue_full__refused_and_counted(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	const struct lw_addr from = { .family = 4 };
	struct peer *p;

	(void)state;
	bed_verdict(b, 0, BED_BLOCK);
	for (uint32_t i = 0; i < LW_HELPER_THREADS; i++)
		assert_non_null(lw_auth_submit(&b->s.auth, make_login(), &from, NULL));
	bed_wait_blocked(b, 0, LW_HELPER_THREADS);
	while (lw_helpers_call(b->engine.helpers, do_nothing, NULL) == 0)
		continue;
	p = peer_create(b, HOME, PORT, false);
	peer_begin(p);
	for (int i = 0; i < 100 && !p->closed; i++) {
		(void)bed_round(b);
		(void)peer_round(p);
	}
	assert_true(p->closed);
	assert_int_equal(p->t->reason, LW_CLOSE_AUTH);
	assert_int_equal(bed_counter(b, LW_SRV_LOGINS_BUSY), 1);
	assert_int_equal(bed_jobs(b), LW_HELPER_THREADS);
	bed_release(b, 0);
	bed_settle(b, NULL, 0);
	assert_int_equal(bed_jobs(b), 0);
	peer_destroy(p);
	bed_destroy(b);
}

/* A flood of logins from sessions that are gone must not keep those behind them waiting. */
static void jobs__of_gone_sessions__backends_are_not_asked(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p[10];

	(void)state;
	bed_verdict(b, 0, BED_BLOCK);
	for (uint32_t i = 0; i < 10; i++) {
		p[i] = peer_create(b, HOME + i, PORT, false);
		peer_begin(p[i]);
		for (int k = 0; k < 100 && bed_jobs(b) <= i; k++) {
			(void)bed_round(b);
			(void)peer_round(p[i]);
		}
		assert_int_equal(bed_jobs(b), i + 1);
	}
	bed_wait_blocked(b, 0, LW_HELPER_THREADS);
	for (uint32_t i = 0; i < 9; i++)
		peer_close(p[i]);
	(void)bed_round(b);
	assert_int_equal(b->s.n, 1);
	bed_release(b, 0);
	bed_settle(b, &p[9], 1);
	assert_true(p[9]->online);
	assert_int_equal(bed_asked(b, 0), LW_HELPER_THREADS + 1);
	assert_int_equal(bed_jobs(b), 0);
	for (uint32_t i = 0; i < 10; i++)
		peer_destroy(p[i]);
	bed_destroy(b);
}

static void pool__empty__refused_until_one_goes(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct net net = { 0 };
		struct bed *b = bed_create(&net, &(struct bed_plan){ .pool = "10.125.0.4" });
		struct peer *one = bed_online(b, HOME, PORT, stream);
		struct peer *two = logging_in(b, HOME + 1, stream);

		check_refused(b, two);
		assert_int_equal(bed_counter(b, LW_SRV_POOL_EMPTY), 1);
		assert_int_equal(bed_counter(b, LW_SRV_LOGINS_REFUSED), 1);
		assert_int_equal(b->s.n_online, 1);
		peer_destroy(two);
		peer_close(one);
		bed_settle(b, NULL, 0);
		two = bed_online(b, HOME + 1, PORT, stream);
		peer_destroy(one);
		peer_destroy(two);
		bed_destroy(b);
	}
}

/* --- once more while online --- */

static void repeated__yes__answered_again_with_the_same_address(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = bed_online(b, HOME, PORT, false);
	uint64_t answers = p->n_got;

	(void)state;
	peer_login(p); /* within the second */
	bed_settle(b, &p, 1);
	assert_int_equal(bed_counter(b, LW_SRV_LOGINS), 1);
	assert_int_equal(p->n_got, answers);
	assert_int_equal(bed_tunnels(b, LW_CTR_AUTH_REPEATED), 1);
	net_clock_us += 1100 * LW_US_PER_MS;
	peer_login(p);
	bed_settle(b, &p, 1);
	assert_int_equal(bed_counter(b, LW_SRV_LOGINS), 2);
	assert_int_equal(bed_asked(b, 0), 2);
	assert_int_equal(p->n_got, answers + 1);
	assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap - 1);
	assert_int_equal(b->s.n_online, 1);
	assert_int_equal(bed_tunnels(b, LW_CTR_SESSIONS_ONLINE), 1);
	peer_destroy(p);
	bed_destroy(b);
}

static void repeated__session_ends_meanwhile__late_answer_ignored(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = bed_online(b, HOME, PORT, false);

	(void)state;
	bed_verdict(b, 0, BED_HOLD);
	net_clock_us += 2 * LW_US_PER_S;
	peer_login(p);
	bed_settle(b, &p, 1);
	assert_int_equal(bed_jobs(b), 1);
	peer_close(p);
	bed_settle(b, NULL, 0);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap);
	bed_answer(b, 0, 0, LW_AUTH_YES);
	bed_settle(b, NULL, 0);
	assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap);
	assert_int_equal(bed_jobs(b), 0);
	peer_destroy(p);
	bed_destroy(b);
}

/* Login and goodbye in one datagram: the login has lost its session before it is asked about. */
static void login__with_goodbye_behind_it__nothing_left(void **state)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ 0 });
	struct peer *p = bed_online(b, HOME, PORT, false);
	uint8_t both[105] = { 4, 1, 2, 6, 'm', 'e' };

	(void)state;
	memcpy(both + 54, "secret", 6);
	both[104] = 12; /* Goodbye */
	net_clock_us += 2 * LW_US_PER_S;
	peer_frame(p, both, sizeof(both));
	bed_settle(b, NULL, 0);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(bed_counter(b, LW_SRV_LOGINS), 2);
	assert_int_equal(bed_jobs(b), 0);
	peer_destroy(p);
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(login__yes__online_under_the_name_answered),
		cmocka_unit_test(login__no__refused_and_counted),
		cmocka_unit_test(backends__any_verdicts__asked_in_order_until_one_decides),
		cmocka_unit_test(backends__none__refused),
		cmocka_unit_test(answer__session_gone__ignored),
		cmocka_unit_test(answer__given_twice__next_login_unharmed),
		cmocka_unit_test(answer__after_not_mine__ignored),
		cmocka_unit_test(answer__tokens_of_nobody__ignored),
		cmocka_unit_test(answer__none_for_ten_seconds__refused_and_late_one_ignored),
		cmocka_unit_test(jobs__all_taken__refused_and_counted),
		cmocka_unit_test(helpers__queue_full__refused_and_counted),
		cmocka_unit_test(jobs__of_gone_sessions__backends_are_not_asked),
		cmocka_unit_test(pool__empty__refused_until_one_goes),
		cmocka_unit_test(repeated__yes__answered_again_with_the_same_address),
		cmocka_unit_test(repeated__session_ends_meanwhile__late_answer_ignored),
		cmocka_unit_test(login__with_goodbye_behind_it__nothing_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

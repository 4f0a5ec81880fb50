/* SPDX-License-Identifier: MIT */
/* The life of instances in an engine: in order, and undone in reverse when a step fails. */
#include <errno.h>
#include <limits.h>

#include "unit/engine_bed.h"
#include "unit/test.h"

#define LIVES                                                                                      \
	"createA prepareA createB prepareB createC prepareC createD prepareD "                     \
	"startA startB startC startD "
#define DEATHS                                                                                     \
	"stopD retireD destroyD stopC retireC destroyC stopB retireB destroyB "                    \
	"stopA retireA destroyA "

/* Ends the engine and tells what the modules heard of that. */
static void assert_undone(struct engine_bed *b, const char *log)
{
	b->log[0] = '\0';
	lw_engine_fini(&b->engine);
	assert_string_equal(b->log, log);
	free(b);
}

static void engine__starts_and_stops__each_step_in_order_and_back(void **state)
{
	struct engine_bed *b = eb_create();

	(void)state;
	assert_int_equal(eb_start(b), 0);
	assert_string_equal(b->log, LIVES);
	assert_int_equal(b->in[0]->caps.flags, LW_CAP_SUPER);
	eb_stop(b);
	assert_int_equal(b->stops, 1);
	eb_stop(b); /* harmless: nothing runs */
	assert_int_equal(b->stops, 1);
	assert_null(b->engine.cores->mail.head);
	assert_undone(b, DEATHS);
}

struct step_case {
	enum { CREATE, PREPARE, START } step;
	int which;
	const char *log;
	const char *undone;
};

#define GONE(x) "retire" x " destroy" x " "

static const struct step_case steps[] = {
	{ CREATE, 0, "createA ", "" },
	{ CREATE, 1, "createA prepareA createB ", GONE("A") },
	{ CREATE, 3, "createA prepareA createB prepareB createC prepareC createD ",
	  GONE("C") GONE("B") GONE("A") },
	{ PREPARE, 0, "createA prepareA ", GONE("A") },
	{ PREPARE, 2, "createA prepareA createB prepareB createC prepareC ",
	  GONE("C") GONE("B") GONE("A") },
	{ START, 0, "createA prepareA createB prepareB createC prepareC createD prepareD startA ",
	  GONE("D") GONE("C") GONE("B") GONE("A") },
	{ START, 2,
	  "createA prepareA createB prepareB createC prepareC createD prepareD "
	  "startA startB startC ",
	  GONE("D") GONE("C") "stopB " GONE("B") "stopA " GONE("A") },
	{ START, 3, LIVES, GONE("D") "stopC " GONE("C") "stopB " GONE("B") "stopA " GONE("A") },
};

static void engine__each_step_fails__undoes_those_before_in_reverse(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step_case *c = &steps[i];
		struct engine_bed *b = eb_create();
		struct eb_inst *in = &b->insts[c->which];
		char text[32];

		in->create_r = c->step == CREATE ? -EIO : 0;
		in->prepare_r = c->step == PREPARE ? -EIO : 0;
		in->start_r = c->step == START ? -EIO : 0;
		assert_int_equal(eb_start(b), -EIO);
		assert_string_equal(b->log, c->log);
		(void)snprintf(text, sizeof(text), "cannot %s %c",
		               (const char *[]){ "create", "prepare", "start" }[c->step],
		               in->letter);
		assert_string_equal(b->err.text, text);
		assert_false(b->engine.cores->started);
		if (c->step == CREATE)
			assert_int_equal(b->engine.n_instances, c->which);
		assert_undone(b, c->undone);
	}
}

static void engine__each_allocation_fails__says_so_and_leaves_nothing(void **state)
{
	struct engine_bed *b = eb_create();
	int total;

	(void)state;
	eb_fail_alloc = INT_MAX;
	assert_int_equal(eb_start(b), 0);
	total = INT_MAX - eb_fail_alloc;
	assert_true(total > 30);
	eb_stop(b);
	eb_destroy(b);
	for (int n = 1; n <= total; n++) {
		b = eb_create();
		eb_fail_alloc = n;
		assert_int_equal(eb_start(b), -ENOMEM);
		assert_int_equal(eb_fail_alloc, 0);
		assert_true(strlen(b->err.text) > 0);
		eb_destroy(b);
	}
}

static void engine_remove__prepare_cannot__the_next_takes_its_place(void **state)
{
	struct engine_bed *b = eb_create();
	struct lw_engine *e = &b->engine;

	(void)state;
	assert_int_equal(lw_engine_init(e, 1, &b->err), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(lw_engine_add(e, &eb_modules[i], &b->opts[i], &b->in[i], NULL), 0);
	b->insts[1].prepare_r = -EOPNOTSUPP;
	assert_int_equal(lw_engine_prepare(b->in[1], LW_ROLE_CLIENT, EB_MTU, &b->err), -EOPNOTSUPP);
	assert_false(b->in[1]->prepared);
	lw_engine_remove(e, b->in[0]); /* not the last: left alone */
	assert_int_equal(e->n_instances, 2);
	b->log[0] = '\0';
	lw_engine_remove(e, b->in[1]);
	assert_string_equal(b->log, "retireB destroyB ");
	assert_int_equal(e->n_instances, 1);
	assert_int_equal(lw_engine_add(e, &eb_modules[2], &b->opts[2], &b->in[2], NULL), 0);
	assert_undone(b, GONE("C") GONE("A"));
}

static void engine__module_lacks_what_is_optional__nothing_is_called(void **state)
{
	struct engine_bed *b = eb_create();
	struct lw_engine *e = &b->engine;
	struct lw_instance *in = NULL;

	(void)state;
	assert_int_equal(lw_engine_init(e, 1, &b->err), 0);
	assert_int_equal(lw_engine_add(e, &eb_least, &b->opts[0], &in, &b->err), 0);
	assert_int_equal(lw_engine_prepare(in, LW_ROLE_CLIENT, EB_MTU, &b->err), 0);
	assert_int_equal(lw_instance_start(in, 0, &b->err), 0);
	lw_instance_ready(in, 7); /* behind the end of its table */
	assert_string_equal(b->log, "createA ");
	assert_undone(b, "destroyA ");
}

static void engine__too_many__says_so(void **state)
{
	struct engine_bed *b = eb_create();
	struct lw_engine *e = &b->engine;
	struct lw_instance *in = NULL;

	(void)state;
	assert_int_equal(lw_engine_init(e, 1, &b->err), 0);
	for (uint32_t i = 0; i < LW_ENGINE_INSTANCES; i++)
		assert_int_equal(lw_engine_add(e, &eb_least, &b->opts[0], &in, &b->err), 0);
	assert_int_equal(lw_engine_add(e, &eb_least, &b->opts[0], &in, &b->err), -E2BIG);
	assert_string_equal(b->err.text, "more than 48 module instances");
	eb_destroy(b);
}

static void engine_attach__more_than_the_path_has_room_for__says_so(void **state)
{
	static const struct {
		int module;
		uint32_t fit;
	} kinds[] = { { 0, LW_CHAIN_MAX }, { 1, LW_PATH_PORTS } };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct engine_bed *b = eb_create();
		struct lw_engine *e = &b->engine;
		const struct lw_module *m = &eb_modules[kinds[i / 2].module];
		struct lw_instance *in = NULL;

		assert_int_equal(lw_engine_init(e, 1, &b->err), 0);
		for (uint32_t n = 0; n < kinds[i / 2].fit + i % 2; n++) {
			b->log[0] = '\0';
			assert_int_equal(lw_engine_add(e, m, &b->opts[0], &in, &b->err), 0);
		}
		assert_int_equal(lw_engine_add(e, &eb_modules[2], &b->opts[2], &in, &b->err), 0);
		assert_int_equal(lw_engine_attach(e, in, EB_MTU, &b->err), i % 2 ? -E2BIG : 0);
		eb_destroy(b);
	}
}

static void engine_attach__session_bytes__each_its_own_place(void **state)
{
	struct engine_bed *b = eb_create();

	(void)state;
	assert_int_equal(eb_start(b), 0);
	eb_stop(b);
	assert_int_equal(b->insts[0].w->session_off, 0);  /* 13 bytes */
	assert_int_equal(b->insts[1].w->session_off, 16); /* none */
	assert_int_equal(b->insts[2].w->session_off, 16); /* 8 */
	assert_int_equal(b->insts[3].w->session_off, 24); /* 1 */
	assert_int_equal(b->engine.state_bytes, 32);
	eb_destroy(b);
}

static void engine_attach__each_kind__is_where_it_belongs(void **state)
{
	struct engine_bed *b = eb_create();
	const struct lw_core *c;

	(void)state;
	assert_int_equal(eb_start(b), 0);
	eb_stop(b);
	c = b->engine.cores;
	assert_int_equal(c->n_attach, 4);
	assert_int_equal(c->attach[0].kind, LW_ATTACH_OTHER);
	assert_int_equal(c->attach[1].kind, LW_ATTACH_PORT);
	assert_int_equal(c->attach[2].kind, LW_ATTACH_INSIDE);
	assert_int_equal(c->attach[3].kind, LW_ATTACH_OTHER);
	assert_int_equal(c->path.chain.n, 1);
	assert_ptr_equal(c->path.chain.links[0].inst, &b->insts[0]);
	assert_int_equal(c->path.n_ports, 1);
	assert_ptr_equal(c->path.ports[0].inst, &b->insts[1]);
	assert_false(c->path.ports[0].tcp);
	assert_ptr_equal(c->path.inside_inst, &b->insts[2]);
	assert_int_equal(c->path.inside_mtu, EB_MTU);
	for (int i = 0; i < 4; i++) {
		assert_ptr_equal(b->insts[i].w->core, &c->attach[i]);
		assert_ptr_equal(c->attach[i].w, b->insts[i].w);
	}
	eb_destroy(b);
}

struct listing {
	char text[256];
};

static void list_counter(void *arg, const char *name, uint64_t value)
{
	struct listing *l = arg;
	char text[64];

	(void)snprintf(text, sizeof(text), "%s=%u ", name, (unsigned)value);
	strcat(l->text, text);
}

static void engine_counters__several_instances__summed_by_module(void **state)
{
	struct engine_bed *b = eb_create();
	struct lw_engine *e = &b->engine;
	struct lw_instance *in[4];
	static const int modules[4] = { 1, 0, 3, 1 };
	struct listing l = { { 0 } };

	(void)state;
	assert_int_equal(lw_engine_init(e, 1, &b->err), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(
			lw_engine_add(e, &eb_modules[modules[i]], &b->opts[i], &in[i], NULL), 0);
	}
	lw_worker_count(&in[0]->workers[0], 0, 5);
	lw_worker_count(&in[3]->workers[0], 0, 6);
	lw_worker_count(&in[3]->workers[0], 1, 7);
	lw_worker_count(&in[2]->workers[0], 1, 8);
	lw_engine_counters(e, list_counter, &l);
	assert_string_equal(l.text, "outside-rec.hits=11 outside-rec.misses=7 "
	                            "auth-rec.hits=0 auth-rec.misses=8 ");
	eb_destroy(b);
}

/* A step answers 0 or a negative errno, and says why; one that does neither fails all the same. */
static void engine__step_answers_oddly__fails_with_a_sentence(void **state)
{
	static const struct {
		int r;
		int expected;
		const char *before;
		const char *after;
	} answers[] = { { 1, -EPROTO, "answered 1 to ", "()" },
		        { INT_MAX, -EPROTO, "answered 2147483647 to ", "()" },
		        { -EIO, -EIO, "failed in ", "(): Input/output error" } };
	static const char *const names[] = { "create", "prepare", "worker_start" };

	(void)state;
	for (size_t i = 0; i < 3 * sizeof(answers) / sizeof(answers[0]); i++) {
		struct engine_bed *b = eb_create();
		char text[64];

		b->insts[0].mute = true;
		b->insts[0].create_r = i % 3 == 0 ? answers[i / 3].r : 0;
		b->insts[0].prepare_r = i % 3 == 1 ? answers[i / 3].r : 0;
		b->insts[0].start_r = i % 3 == 2 ? answers[i / 3].r : 0;
		(void)lw_err_set(&b->err, -1, "of something before");
		assert_int_equal(eb_start(b), answers[i / 3].expected);
		(void)snprintf(text, sizeof(text), "filter-rec %s%s%s", answers[i / 3].before,
		               names[i % 3], answers[i / 3].after);
		assert_string_equal(b->err.text, text);
		assert_int_equal(b->err.code, answers[i / 3].expected);
		assert_false(b->engine.cores->started);
		assert_undone(b, i % 3 == 0   ? ""
		                 : i % 3 == 1 ? GONE("A")
		                              : GONE("D") GONE("C") GONE("B") GONE("A"));
	}
}

/* A filter that cannot read superpackets gets their segments; the inside delivers them all the
 * same.
 */
static void engine_prepare__filter_takes_superpackets_or_not__path_knows(void **state)
{
	const uint64_t all =
		LW_CAP_SEND_TSO | LW_CAP_SEND_USO | LW_CAP_CSUM | LW_CAP_TSO | LW_CAP_USO;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct engine_bed *b = eb_create();

		b->insts[0].not_super = i == 1;
		assert_int_equal(eb_start(b), 0);
		assert_int_equal(b->insts[0].wanted, 0);
		assert_int_equal(b->insts[1].wanted, LW_CAP_GSO | LW_CAP_GRO);
		assert_int_equal(b->insts[2].wanted, all);
		assert_int_equal(lw_chain_first_single(&b->engine.cores->path.chain),
		                 b->engine.cores->path.chain.n - (unsigned)i);
		assert_int_equal(b->insts[3].wanted, 0);
		eb_stop(b);
		eb_destroy(b);
	}
}

/* What a module says of what it does not grant is kept for each capability, the last word of it. */
static void engine_prepare__module_says_why__is_kept(void **state)
{
	struct engine_bed *b = eb_create();
	struct lw_host older;
	char text[200];

	(void)state;
	b->insts[1].lacks = LW_CAP_GSO | LW_CAP_GRO | 1ull << 63;
	b->insts[1].why = "it is off";
	assert_int_equal(eb_start(b), 0);
	eb_stop(b);
	assert_string_equal(lw_instance_why(b->in[1], LW_CAP_GSO), "it is off");
	assert_string_equal(lw_instance_why(b->in[1], LW_CAP_GRO), "it is off");
	assert_string_equal(lw_instance_why(b->in[1], LW_CAP_TSO), "");
	assert_string_equal(lw_instance_why(b->in[1], 1ull << 63), ""); /* none that it knows */
	assert_string_equal(lw_instance_why(b->in[2], LW_CAP_GSO), "");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	lw_host_lacks(&b->in[1]->host, LW_CAP_GRO, text);
	assert_string_equal(lw_instance_why(b->in[1], LW_CAP_GSO), "it is off");
	text[LW_WHY_MAX - 1] = '\0';
	assert_string_equal(lw_instance_why(b->in[1], LW_CAP_GRO), text);
	/* a host of before has nothing at that place */
	older = b->in[1]->host;
	older.size = offsetof(struct lw_host, lacks);
	older.lacks = NULL;
	lw_host_lacks(&older, LW_CAP_GRO, "not heard");
	eb_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engine__starts_and_stops__each_step_in_order_and_back),
		cmocka_unit_test(engine__each_step_fails__undoes_those_before_in_reverse),
		cmocka_unit_test(engine__each_allocation_fails__says_so_and_leaves_nothing),
		cmocka_unit_test(engine_remove__prepare_cannot__the_next_takes_its_place),
		cmocka_unit_test(engine__module_lacks_what_is_optional__nothing_is_called),
		cmocka_unit_test(engine__too_many__says_so),
		cmocka_unit_test(engine_attach__more_than_the_path_has_room_for__says_so),
		cmocka_unit_test(engine_attach__session_bytes__each_its_own_place),
		cmocka_unit_test(engine_attach__each_kind__is_where_it_belongs),
		cmocka_unit_test(engine_counters__several_instances__summed_by_module),
		cmocka_unit_test(engine__step_answers_oddly__fails_with_a_sentence),
		cmocka_unit_test(engine_prepare__filter_takes_superpackets_or_not__path_knows),
		cmocka_unit_test(engine_prepare__module_says_why__is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

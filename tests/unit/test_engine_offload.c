/* SPDX-License-Identifier: MIT */
/* What of offload is in force, as the log and `lanewayctl status` tell it. */
#include <errno.h>

#include "base/clock.h"
#include "unit/engine_bed.h"
#include "unit/test.h"
#include "worker/offload.h"

#define READS  ((uint64_t)LW_CAP_TSO | LW_CAP_USO | LW_CAP_CSUM)
#define WRITES ((uint64_t)LW_CAP_SEND_TSO | LW_CAP_SEND_USO)
#define RUNS   ((uint64_t)LW_CAP_GSO | LW_CAP_GRO)
#define AT     (5000 * LW_US_PER_S) /* refused then */
#define MIN    (60 * LW_US_PER_S)

struct listing {
	char text[1536];
};

static void list_offload(void *arg, const struct lw_offload *o)
{
	struct listing *l = arg;
	size_t n = strlen(l->text);

	assert_int_equal(o->on, o->reason[0] == '\0');
	(void)snprintf(l->text + n, sizeof(l->text) - n, "%s %u %s %s %s%s\n", o->module,
	               o->instance, o->direction, o->name, o->on ? "on" : "off: ", o->reason);
}

static void assert_offloads(const struct engine_bed *b, uint64_t at, const char *want)
{
	struct listing l = { { 0 } };

	lw_engine_offloads(&b->engine, at, list_offload, &l);
	assert_string_equal(l.text, want);
}

/* An engine that ran and has stopped, so that the worker's things are the test's. */
static struct engine_bed *started(uint64_t inside, uint64_t outside)
{
	struct engine_bed *b = eb_create();

	b->insts[1].grants = outside;
	b->insts[2].grants = inside;
	return b;
}

static void run(struct engine_bed *b)
{
	assert_int_equal(eb_start(b), 0);
	eb_stop(b);
}

static void assert_line(const struct engine_bed *b, int which, const char *want)
{
	char text[LW_OFFLOAD_TEXT_MAX];

	assert_string_equal(lw_offload_text(b->in[which], text), want);
}

static void offloads__all_granted__all_on(void **state)
{
	struct engine_bed *b = started(READS | WRITES, RUNS);

	(void)state;
	run(b);
	assert_offloads(b, AT,
	                "outside-rec 1 send gso on\n"
	                "outside-rec 1 receive gro on\n"
	                "inside-rec 1 read tso on\n"
	                "inside-rec 1 read uso on\n"
	                "inside-rec 1 read checksum on\n"
	                "inside-rec 1 write coalesce-tcp on\n"
	                "inside-rec 1 write coalesce-udp on\n");
	assert_line(b, 0, ""); /* a filter has none */
	assert_line(b, 1, "offload on: send gso, receive gro");
	assert_line(b, 2,
	            "offload on: read tso, read uso, read checksum, write coalesce-tcp, "
	            "write coalesce-udp");
	eb_destroy(b);
}

static void offloads__not_granted__the_module_says_why_or_not(void **state)
{
	struct engine_bed *b = started(LW_CAP_CSUM | LW_CAP_SEND_TSO, 0);

	(void)state;
	b->insts[2].lacks = LW_CAP_TSO | LW_CAP_SEND_USO | LW_CAP_CSUM; /* and grants the last */
	b->insts[2].why = "it rains";
	run(b);
	assert_offloads(b, AT,
	                "outside-rec 1 send gso off: the module does not grant it\n"
	                "outside-rec 1 receive gro off: the module does not grant it\n"
	                "inside-rec 1 read tso off: it rains\n"
	                "inside-rec 1 read uso off: the module does not grant it\n"
	                "inside-rec 1 read checksum on\n"
	                "inside-rec 1 write coalesce-tcp on\n"
	                "inside-rec 1 write coalesce-udp off: it rains\n");
	assert_line(b, 1, "offload off: send gso, receive gro (the module does not grant it)");
	assert_line(b, 2,
	            "offload on: read checksum, write coalesce-tcp; off: read tso, write "
	            "coalesce-udp (it rains), read uso (the module does not grant it)");
	eb_destroy(b);
}

/* of the ten minutes after a refusal, how the time is told */
static const struct {
	uint64_t after_us;
	const char *told;
} times[] = {
	{ 0, "0 s ago; tried again in 10 min" },
	{ LW_US_PER_S - 1, "0 s ago; tried again in 10 min" },
	{ 59 * LW_US_PER_S, "59 s ago; tried again in 10 min" },
	{ MIN, "1 min ago; tried again in 9 min" },
	{ 2 * MIN + 1, "2 min ago; tried again in 8 min" },
	{ 9 * MIN - 1, "8 min ago; tried again in 2 min" },
	{ 9 * MIN, "9 min ago; tried again in 1 min" },
	{ 9 * MIN + 1, "9 min ago; tried again in 1 min" },
	{ 9 * MIN + LW_US_PER_S, "9 min ago; tried again in 59 s" },
	{ 10 * MIN - 1, "9 min ago; tried again in 1 s" },
};

static void offloads__run_refused__off_until_it_is_tried_again(void **state)
{
	struct engine_bed *b = started(0, RUNS);
	struct lw_sender *s;
	struct listing l;

	(void)state;
	run(b);
	s = &b->engine.cores->path.ports[0].sender;
	s->runs_off_until_us = AT + LW_SEND_RUNS_OFF_US;
	s->runs_off_error = -EIO;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		char want[128];

		(void)snprintf(want, sizeof(want),
		               "outside-rec 1 send gso off: refused by the kernel (EIO) %s\n"
		               "outside-rec 1 receive gro on\n",
		               times[i].told);
		l = (struct listing){ { 0 } };
		lw_engine_offloads(&b->engine, AT + times[i].after_us, list_offload, &l);
		l.text[strlen(want)] = '\0'; /* what follows is the inside's */
		assert_string_equal(l.text, want);
	}
	l = (struct listing){ { 0 } };
	lw_engine_offloads(&b->engine, AT + LW_SEND_RUNS_OFF_US, list_offload, &l);
	assert_non_null(strstr(l.text, "outside-rec 1 send gso on\n"));
	eb_destroy(b);
}

static void offloads__superpackets_refused__each_kind_by_itself(void **state)
{
	static const struct {
		int error;
		const char *name;
	} errors[] = { { 0, "" },
		       { -EINVAL, " (EINVAL)" },
		       { -EOPNOTSUPP, " (EOPNOTSUPP)" },
		       { -ENOPROTOOPT, " (ENOPROTOOPT)" },
		       { -ENODEV, " (No such device)" } };
	struct engine_bed *b = started(WRITES, 0);
	struct lw_path *p;
	struct listing l;

	(void)state;
	run(b);
	p = &b->engine.cores->path;
	p->ports[0].sender.runs_off_until_us = AT + LW_SEND_RUNS_OFF_US;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		char want[256];

		p->merge_off_until_us[LW_GSO_UDP] = AT + LW_SEND_RUNS_OFF_US;
		p->merge_off_error[LW_GSO_UDP] = errors[i].error;
		(void)snprintf(want, sizeof(want),
		               "inside-rec 1 write coalesce-tcp on\n"
		               "inside-rec 1 write coalesce-udp off: refused by the kernel%s "
		               "0 s ago; tried again in 10 min\n",
		               errors[i].name);
		l = (struct listing){ { 0 } };
		lw_engine_offloads(&b->engine, AT, list_offload, &l);
		assert_non_null(strstr(l.text, want));
		/* what was never granted is off for another reason */
		assert_non_null(strstr(l.text, "send gso off: the module does not grant it\n"));
	}
	/* of both kinds of TCP the one that stays off for longer */
	p->merge_off_until_us[LW_GSO_TCP4] = AT + LW_SEND_RUNS_OFF_US;
	p->merge_off_error[LW_GSO_TCP4] = -EINVAL;
	p->merge_off_until_us[LW_GSO_TCP6] = AT + LW_SEND_RUNS_OFF_US + 3 * MIN;
	p->merge_off_error[LW_GSO_TCP6] = -EIO;
	l = (struct listing){ { 0 } };
	lw_engine_offloads(&b->engine, AT + 4 * MIN, list_offload, &l);
	assert_non_null(strstr(l.text, "write coalesce-tcp off: refused by the kernel (EIO) 1 min "
	                               "ago; tried again in 9 min\n"));
	p->merge_off_until_us[LW_GSO_TCP6] = AT + LW_SEND_RUNS_OFF_US - MIN;
	l = (struct listing){ { 0 } };
	lw_engine_offloads(&b->engine, AT + 4 * MIN, list_offload, &l);
	assert_non_null(strstr(l.text, "write coalesce-tcp off: refused by the kernel (EINVAL) 4 "
	                               "min ago; tried again in 6 min\n"));
	eb_destroy(b);
}

static void offloads__two_uses_of_a_module__are_numbered_and_apart(void **state)
{
	static const int modules[4] = { 1, 3, 1, 1 };
	struct engine_bed *b = eb_create();
	struct lw_engine *e = &b->engine;

	(void)state;
	assert_int_equal(lw_engine_init(e, 1, &b->err), 0);
	b->insts[0].grants = LW_CAP_GSO;
	b->insts[2].grants = LW_CAP_GRO;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(
			lw_engine_add(e, &eb_modules[modules[i]], &b->opts[i], &b->in[i], &b->err),
			0);
		if (i < 3) /* the last is not prepared yet: nothing is known */
			assert_int_equal(
				lw_engine_prepare(b->in[i], LW_ROLE_CLIENT, EB_MTU, &b->err), 0);
	}
	assert_offloads(b, AT,
	                "outside-rec 1 send gso on\n"
	                "outside-rec 1 receive gro off: the module does not grant it\n"
	                "outside-rec 2 send gso off: the module does not grant it\n"
	                "outside-rec 2 receive gro on\n");
	eb_destroy(b);
}

/* Reasons as long as they may be: the line is cut, and ends all the same. */
static void offload_text__long_reasons__are_cut(void **state)
{
	struct engine_bed *b = started(0, 0);
	char text[LW_OFFLOAD_TEXT_MAX + 1];

	(void)state;
	run(b);
	for (int bit = 0; bit < LW_INSTANCE_CAPS; bit++) {
		char *why = b->in[2]->why[bit];

		memset(why, 'a' + bit, LW_WHY_MAX);
		why[LW_WHY_MAX - 1] = '\0';
	}
	memset(text, 'y', sizeof(text));
	(void)lw_offload_text(b->in[2], text);
	assert_true(strlen(text) > 5ul * (LW_WHY_MAX - 1));
	assert_true(strlen(text) < LW_OFFLOAD_TEXT_MAX);
	assert_int_equal(text[LW_OFFLOAD_TEXT_MAX], 'y');
	assert_int_equal(text[strlen(text) - 1], ')'); /* five of them fit */
	eb_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offloads__all_granted__all_on),
		cmocka_unit_test(offloads__not_granted__the_module_says_why_or_not),
		cmocka_unit_test(offloads__run_refused__off_until_it_is_tried_again),
		cmocka_unit_test(offloads__superpackets_refused__each_kind_by_itself),
		cmocka_unit_test(offloads__two_uses_of_a_module__are_numbered_and_apart),
		cmocka_unit_test(offload_text__long_reasons__are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Packets on their way from one worker to another: whole, in time, and never lost silently. */
#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit/test.h"
#include "worker/engine.h"

#define WORKERS  3u
#define MTU      1350u
#define FLOOD    20000u /* packets of each kind that each of two workers hands over */
#define PACED    15000u /* the last of them */
#define PER_CALL 8u
#define WAIT_US  (30 * LW_US_PER_S)

enum { INSIDE, DGRAM, KINDS };

struct bed;

/* one worker's role, and what its modules have to give */
struct end {
	struct bed *bed;
	struct lw_core *core;
	uint32_t peer; /* who gets what it reads */
	uint32_t left[KINDS];
	int fds[KINDS];
	struct lw_packet last; /* the last that was handed over to it, as the role saw it */
	struct lw_endpoint last_ep;
	uint8_t bytes[LW_HANDOVER_BYTES];
	const struct lw_port *port;
	uint32_t n[KINDS]; /* of them; atomic */
	uint32_t wrong;
	uint8_t *seen[KINDS]; /* by serial */
	bool answers;
};

struct bed {
	struct lw_engine engine;
	struct end ends[WORKERS];
	struct lw_err err;
};

/* --- modules --- */

static int create(const struct lw_host *h, const void *opts, void **ret_inst, const void **ret_conf,
                  struct lw_err *err)
{
	(void)h;
	(void)err;
	*ret_conf = opts;
	*ret_inst = *(struct bed *const *)opts;
	return 0;
}

static int start_kind(struct bed *b, struct lw_worker *w, int kind)
{
	struct end *e = &b->ends[w->index];

	e->fds[kind] = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(e->fds[kind] >= 0);
	return w->host->watch(w->host, w, e->fds[kind], 0);
}

static void stop_kind(struct bed *b, struct lw_worker *w, int kind)
{
	w->host->unwatch(w->host, w, b->ends[w->index].fds[kind]);
	(void)close(b->ends[w->index].fds[kind]);
}

static int inside_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	(void)err;
	*ret_state = inst;
	return start_kind(inst, w, INSIDE);
}

static int udp_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	(void)err;
	*ret_state = inst;
	return start_kind(inst, w, DGRAM);
}

static void inside_stop(void *inst, struct lw_worker *w)
{
	stop_kind(inst, w, INSIDE);
}

static void udp_stop(void *inst, struct lw_worker *w)
{
	stop_kind(inst, w, DGRAM);
}

static void destroy(void *inst)
{
	(void)inst;
}

/* A packet that tells its own serial number, from which all of it follows. */
static uint32_t make(uint8_t *p, uint32_t serial)
{
	uint32_t len = 28 + serial % 1000;

	memset(p, (int)(serial * 7), len);
	p[0] = 0x45;
	memcpy(p + 20, &serial, sizeof(serial));
	return len;
}

static bool is_whole(const uint8_t *p, uint32_t len, uint32_t *ret_serial)
{
	uint8_t right[MTU];

	if (len < 28 || len > MTU)
		return false;
	memcpy(ret_serial, p + 20, sizeof(*ret_serial));
	return make(right, *ret_serial) == len && memcmp(right, p, len) == 0;
}

/* What the receiver has not taken yet; both count their own. */
static uint64_t under_way(const struct end *e)
{
	const struct end *to = &e->bed->ends[e->peer];
	uint64_t came = __atomic_load_n(&to->core->path.counters.handed_dropped, __ATOMIC_RELAXED);

	for (int kind = 0; kind < KINDS; kind++)
		came += __atomic_load_n(&to->n[kind], __ATOMIC_RELAXED);
	return e->core->path.counters.handed_over - came;
}

/* First as fast as it goes, which the parcels do not suffice for, then so that they do. */
static int give(struct end *e, int kind, struct lw_batch *batch)
{
	while (e->left[kind] > 0) {
		bool paced = e->left[kind] <= PACED;
		struct lw_packet *p;

		if (paced && (batch->n == PER_CALL || under_way(e) > LW_HANDOVER_PARCELS / 2))
			return 0;
		p = lw_batch_reserve(batch, MTU);
		if (p == NULL)
			return 0;
		if (kind == DGRAM)
			*p->endpoint = (struct lw_endpoint){ .tag = 7 };
		(void)lw_batch_commit(batch, make(lw_packet_data(p), --e->left[kind]));
	}
	return -EAGAIN;
}

static int inside_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *batch)
{
	(void)tag;
	return give(&((struct bed *)inst)->ends[w->index], INSIDE, batch);
}

static int udp_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *batch)
{
	(void)tag;
	return give(&((struct bed *)inst)->ends[w->index], DGRAM, batch);
}

/* Never: what waits for it waits since the time of whatever made it. */
static int udp_send(void *inst, struct lw_worker *w, struct lw_batch *batch, uint32_t *ret_done)
{
	(void)inst;
	(void)w;
	(void)batch;
	*ret_done = 0;
	return -EAGAIN;
}

static const struct lw_life_ops inside_life = { .size = sizeof(inside_life),
	                                        .create = create,
	                                        .worker_start = inside_start,
	                                        .worker_stop = inside_stop,
	                                        .destroy = destroy };
static const struct lw_life_ops udp_life = { .size = sizeof(udp_life),
	                                     .create = create,
	                                     .worker_start = udp_start,
	                                     .worker_stop = udp_stop,
	                                     .destroy = destroy };
static const struct lw_inside_ops inside_ops = { .size = sizeof(inside_ops), .recv = inside_recv };
static const struct lw_outside_udp_ops udp_ops = { .size = sizeof(udp_ops),
	                                           .recv = udp_recv,
	                                           .send = udp_send };
static const struct lw_module inside_module = { .kind = LW_KIND_INSIDE,
	                                        .name = "inside",
	                                        .life = &inside_life,
	                                        .ops = { .inside = &inside_ops } };
static const struct lw_module udp_module = {
	.kind = LW_KIND_OUTSIDE_UDP, .name = "udp", .life = &udp_life, .ops = { .udp = &udp_ops }
};

/* --- the role --- */

static void take(struct end *e, int kind, const struct lw_packet *p)
{
	uint32_t serial = 0;

	e->last = *p;
	if (p->endpoint != NULL)
		e->last_ep = *p->endpoint;
	memcpy(e->bytes, lw_packet_data(p), p->len);
	if (e->seen[kind] != NULL &&
	    (!is_whole(e->bytes, p->len, &serial) || serial >= FLOOD || e->seen[kind][serial]++))
		e->wrong++;
	(void)__atomic_add_fetch(&e->n[kind], 1, __ATOMIC_RELAXED);
}

/* What is handed over is nobody's either: to have seen it is all that is asked. */
static struct lw_tunnel *by_inside(void *role, const struct lw_packet *p)
{
	struct end *e = role;

	if (e->core->path.handed)
		take(e, INSIDE, p);
	return NULL;
}

static bool elsewhere(void *role, const struct lw_packet *p)
{
	struct end *e = role;

	if (e->core->path.handed)
		return false;
	lw_core_hand_over(e->core, e->peer, LW_PARCEL_INSIDE, p);
	return true;
}

static bool knows(void *role, const struct lw_port *port, const struct lw_packet *dgram)
{
	(void)role;
	(void)port;
	(void)dgram;
	return true;
}

static struct lw_tunnel *by_dgram(void *role, struct lw_port *port, struct lw_packet *dgram)
{
	struct end *e = role;

	e->port = port;
	if (e->core->path.handed)
		take(e, DGRAM, dgram);
	else
		lw_core_hand_over(e->core, e->peer, port->index, dgram);
	return NULL;
}

static void after_dgrams(void *role, struct lw_port *port)
{
	const struct end *e = role;

	if (e->answers && lw_batch_reserve(port->wire, 100) != NULL)
		(void)lw_batch_commit(port->wire, 100);
}

static const struct lw_role_ops role_ops = { .by_inside = by_inside,
	                                     .elsewhere = elsewhere,
	                                     .knows = knows,
	                                     .by_dgram = by_dgram,
	                                     .after_dgrams = after_dgrams };

/* --- the bed --- */

static void must(const struct bed *b, int r)
{
	if (r < 0)
		fail_msg("%s", b->err.text);
}

/* An engine with an outside and an inside, all set but its threads. */
static struct bed *bed_create(uint32_t workers)
{
	struct bed *b = calloc(1, sizeof(*b));
	const struct lw_module *modules[] = { &udp_module, &inside_module };
	struct lw_instance *in = NULL;

	assert_non_null(b);
	lw_log_open(LW_LOG_ERROR);
	must(b, lw_engine_init(&b->engine, workers, &b->err));
	for (int i = 0; i < 2; i++)
		must(b, lw_engine_add(&b->engine, modules[i], &b, &in, &b->err));
	must(b, lw_engine_attach(&b->engine, in, MTU, &b->err));
	for (uint32_t w = 0; w < workers; w++) {
		struct end *e = &b->ends[w];
		struct lw_core *c = &b->engine.cores[w];

		*e = (struct end){ .bed = b, .core = c, .peer = (w + 1) % workers };
		c->path.ops = &role_ops;
		c->path.role = e;
	}
	return b;
}

/* The same, where the test is all the workers. */
static struct bed *bed_create_started(void)
{
	struct bed *b = bed_create(WORKERS);

	for (uint32_t w = 0; w < WORKERS; w++) {
		for (uint32_t i = 0; i < b->engine.n_instances; i++)
			must(b, lw_instance_start(b->engine.instances[i], w, &b->err));
	}
	return b;
}

static void bed_destroy(struct bed *b)
{
	lw_engine_fini(&b->engine);
	for (uint32_t w = 0; w < WORKERS; w++) {
		for (int kind = 0; kind < KINDS; kind++)
			free(b->ends[w].seen[kind]);
	}
	free(b);
}

static void round_of(struct bed *b, uint32_t worker)
{
	assert_int_equal(lw_core_round(&b->engine.cores[worker], 0), 0);
}

/* bytes that are gone after the call */
static void hand(struct bed *b, uint32_t from, uint32_t to, uint32_t port,
                 const struct lw_packet *form)
{
	struct lw_packet p = *form;
	struct lw_endpoint ep = { .tag = 0 };

	p.buf = malloc(p.cap);
	assert_non_null(p.buf);
	memset(p.buf, 0xdd, p.cap);
	for (uint32_t i = 0; i < p.len; i++)
		p.buf[p.off + i] = (uint8_t)(i * 13 + p.len);
	p.buf[p.off] = 0x45;
	if (form->endpoint != NULL) {
		ep = *form->endpoint;
		p.endpoint = &ep;
	}
	lw_core_hand_over(&b->engine.cores[from], to, port, &p);
	memset(p.buf, 0xee, p.cap);
	memset(&ep, 0xee, sizeof(ep));
	free(p.buf);
}

static void assert_bytes(const struct end *e, uint32_t len)
{
	assert_int_equal(e->last.len, len);
	assert_int_equal(e->bytes[0], 0x45);
	for (uint32_t i = 1; i < len; i++)
		assert_int_equal(e->bytes[i], (uint8_t)(i * 13 + len));
}

#define COUNTER(b, w, name)                                                                        \
	__atomic_load_n(&(b)->engine.cores[w].path.counters.name, __ATOMIC_RELAXED)

/* --- parcels --- */

static void handover__datagram_or_run__arrives_whole_with_its_endpoint(void **state)
{
	static const struct lw_packet forms[] = {
		{ .cap = 2000, .off = 100, .len = 1400 },
		{ .cap = 1, .len = 1 },
		{ .cap = 65536, .len = 65000, .gso_type = LW_GSO_RUN, .gso_size = 1300 },
	};
	struct lw_endpoint ep = { .remote = { .family = 4, .port = 77, .ip = { 192, 0, 2, 9 } },
		                  .local = { .family = 4, .port = 88, .ip = { 192, 0, 2, 1 } },
		                  .tag = 3,
		                  .tos = 2 };
	struct bed *b = bed_create_started();
	struct end *e = &b->ends[2];

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		struct lw_packet form = forms[i];

		form.endpoint = &ep;
		hand(b, 0, 2, 0, &form);
		assert_int_equal(e->n[DGRAM], i);
		round_of(b, 1); /* somebody else */
		round_of(b, 2);
		assert_int_equal(e->n[DGRAM], i + 1);
		assert_bytes(e, form.len);
		assert_memory_equal(&e->last_ep, &ep, sizeof(ep));
		assert_ptr_not_equal(e->last.endpoint, &ep);
		assert_int_equal(e->last.gso_type, form.gso_type);
		assert_int_equal(e->last.gso_size, form.gso_size);
		assert_int_equal(e->last.cap - e->last.off, LW_HANDOVER_BYTES); /* its own */
		assert_ptr_equal(e->port, &e->core->path.ports[0]);
	}
	assert_int_equal(b->ends[1].n[DGRAM], 0);
	assert_int_equal(COUNTER(b, 0, handed_over), 3);
	bed_destroy(b);
}

static void handover__superpacket_of_the_inside__keeps_its_form(void **state)
{
	const struct lw_packet form = { .cap = 65600,
		                        .off = 64,
		                        .len = 65535,
		                        .gso_type = LW_GSO_TCP4,
		                        .gso_size = 1300,
		                        .flags = LW_PKT_CSUM_PARTIAL | LW_PKT_ECN,
		                        .csum_start = 20,
		                        .csum_off = 16 };
	struct bed *b = bed_create_started();
	const struct end *e = &b->ends[1];

	(void)state;
	hand(b, 0, 1, LW_PARCEL_INSIDE, &form);
	round_of(b, 1);
	assert_int_equal(e->n[INSIDE], 1);
	assert_bytes(e, form.len);
	assert_int_equal(e->last.gso_type, form.gso_type);
	assert_int_equal(e->last.gso_size, form.gso_size);
	assert_int_equal(e->last.flags, form.flags);
	assert_int_equal(e->last.csum_start, form.csum_start);
	assert_int_equal(e->last.csum_off, form.csum_off);
	assert_int_equal(COUNTER(b, 1, inside_no_session), 1); /* it went no farther */
	assert_int_equal(COUNTER(b, 1, handed_over), 0);
	bed_destroy(b);
}

static const struct lw_packet small = { .cap = 100, .len = 100 };

static void handover__all_parcels_under_way__lost_and_counted(void **state)
{
	struct bed *b = bed_create_started();

	(void)state;
	for (uint32_t i = 0; i < LW_HANDOVER_PARCELS + 10; i++)
		hand(b, 0, 1 + i % 2, LW_PARCEL_INSIDE, &small);
	assert_int_equal(COUNTER(b, 0, handed_over), LW_HANDOVER_PARCELS);
	assert_int_equal(COUNTER(b, 0, handed_over_dropped), 10);
	assert_int_equal(
		lw_handover_send(&b->engine.cores[0].handover, &b->engine.cores[1], 0, &small),
		-ENOBUFS);
	hand(b, 1, 0, LW_PARCEL_INSIDE, &small); /* another one's parcels are its own */
	assert_int_equal(COUNTER(b, 1, handed_over), 1);
	for (uint32_t w = 0; w < WORKERS; w++)
		round_of(b, w);
	assert_int_equal(b->ends[1].n[INSIDE], LW_HANDOVER_PARCELS / 2);
	assert_int_equal(b->ends[2].n[INSIDE], LW_HANDOVER_PARCELS / 2);
	assert_int_equal(b->ends[0].n[INSIDE], 1);
	bed_destroy(b);
}

/* Those of the slow receiver stay away: the others go round. */
static void handover__come_back_in_any_order__are_used_again(void **state)
{
	struct bed *b = bed_create_started();
	const uint32_t slow = 40; /* in a row */

	(void)state;
	for (uint32_t i = 0; i < LW_HANDOVER_PARCELS; i++)
		hand(b, 0, i < slow ? 1 : 2, LW_PARCEL_INSIDE, &small);
	for (uint32_t turn = 1; turn < 20; turn++) {
		uint32_t before = b->ends[2].n[INSIDE];
		uint32_t idle;

		round_of(b, 2);
		idle = b->ends[2].n[INSIDE] - before;
		assert_int_equal(idle, LW_HANDOVER_PARCELS - slow);
		for (uint32_t i = 0; i < idle; i++)
			hand(b, 0, 2, LW_PARCEL_INSIDE, &small);
		assert_int_equal(COUNTER(b, 0, handed_over_dropped), turn - 1);
		hand(b, 0, 2, LW_PARCEL_INSIDE, &small); /* that is too many */
		assert_int_equal(COUNTER(b, 0, handed_over_dropped), turn);
	}
	round_of(b, 1);
	assert_int_equal(b->ends[1].n[INSIDE], slow);
	round_of(b, 2);
	for (uint32_t i = 0; i < LW_HANDOVER_PARCELS; i++) /* all are back */
		hand(b, 0, 1, LW_PARCEL_INSIDE, &small);
	assert_int_equal(COUNTER(b, 0, handed_over_dropped), 19);
	bed_destroy(b);
}

static void handover_send__too_long__refused_and_takes_no_parcel(void **state)
{
	static const struct lw_packet longest = { .cap = 65600, .len = LW_HANDOVER_BYTES };
	static const struct lw_packet too_long = { .cap = 65600, .len = LW_HANDOVER_BYTES + 1 };
	struct bed *b = bed_create_started();

	(void)state;
	for (uint32_t i = 0; i < 2 * LW_HANDOVER_PARCELS; i++)
		hand(b, 0, 1, 0, &too_long);
	assert_int_equal(COUNTER(b, 0, handed_over_dropped), 2 * LW_HANDOVER_PARCELS);
	hand(b, 0, 1, 0, &longest);
	assert_int_equal(COUNTER(b, 0, handed_over), 1);
	round_of(b, 1);
	assert_int_equal(b->ends[1].n[DGRAM], 1);
	assert_bytes(&b->ends[1], LW_HANDOVER_BYTES);
	bed_destroy(b);
}

/* The sender's round may be older, or newer: what counts is when the receiver takes it. */
static void handover__delivered__at_the_receivers_time(void **state)
{
	struct bed *b = bed_create_started();
	struct lw_core *c = &b->engine.cores[1];
	const struct lw_sender *sender = &c->path.ports[0].sender;

	(void)state;
	b->ends[1].answers = true;
	hand(b, 0, 1, 0, &small);
	b->engine.cores[0].now_us += WAIT_US;
	round_of(b, 1);
	assert_true(sender->blocked);
	assert_int_equal(sender->blocked_since_us, c->now_us);
	bed_destroy(b);
}

/* --- threads --- */

struct stop {
	struct lw_mail mail; /* first */
	struct lw_core *core;
};

static void stop_core(struct lw_mail *m)
{
	((struct stop *)(void *)m)->core->stop = true;
}

/* What has been delivered, or counted as lost. */
static uint64_t sum(const struct bed *b)
{
	uint64_t n = 0;

	for (uint32_t w = 0; w < 2; w++) {
		for (int kind = 0; kind < KINDS; kind++)
			n += __atomic_load_n(&b->ends[w].n[kind], __ATOMIC_RELAXED);
		n += COUNTER(b, w, handed_over_dropped) + COUNTER(b, w, handed_dropped);
	}
	return n;
}

static void let_run(struct bed *b)
{
	uint64_t end = lw_clock_us() + WAIT_US;
	struct stop stops[2];

	must(b, lw_engine_start(&b->engine, &b->err));
	while (sum(b) < 2ul * KINDS * FLOOD && lw_clock_us() < end)
		(void)sched_yield();
	for (uint32_t w = 0; w < 2; w++) {
		stops[w] = (struct stop){ .mail = { .deliver = stop_core },
			                  .core = &b->engine.cores[w] };
		lw_engine_call(&b->engine, w, &stops[w].mail);
	}
	lw_engine_join(&b->engine);
}

static void engine__two_workers_flood_each_other__nothing_is_lost_silently(void **state)
{
	struct bed *b = bed_create(2);

	(void)state;
	for (uint32_t w = 0; w < 2; w++) {
		for (int kind = 0; kind < KINDS; kind++) {
			b->ends[w].left[kind] = FLOOD;
			b->ends[w].seen[kind] = calloc(FLOOD, 1);
			assert_non_null(b->ends[w].seen[kind]);
		}
	}
	let_run(b);
	assert_int_equal(sum(b), 2 * KINDS * FLOOD);
	for (uint32_t w = 0; w < 2; w++) {
		const struct end *e = &b->ends[w];

		assert_int_equal(e->wrong, 0);
		assert_int_equal(COUNTER(b, 1 - w, handed_over),
		                 e->n[INSIDE] + e->n[DGRAM] + COUNTER(b, w, handed_dropped));
		assert_int_equal(COUNTER(b, w, handed_over) + COUNTER(b, w, handed_over_dropped),
		                 2 * FLOOD);
		assert_true(COUNTER(b, w, handed_over) >= PACED);
	}
	bed_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handover__datagram_or_run__arrives_whole_with_its_endpoint),
		cmocka_unit_test(handover__superpacket_of_the_inside__keeps_its_form),
		cmocka_unit_test(handover__all_parcels_under_way__lost_and_counted),
		cmocka_unit_test(handover__come_back_in_any_order__are_used_again),
		cmocka_unit_test(handover_send__too_long__refused_and_takes_no_parcel),
		cmocka_unit_test(handover__delivered__at_the_receivers_time),
		cmocka_unit_test(engine__two_workers_flood_each_other__nothing_is_lost_silently),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

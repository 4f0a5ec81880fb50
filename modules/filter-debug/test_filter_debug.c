/* SPDX-License-Identifier: MIT */
/* filter-debug: what matches, what happens to it, snapshots, sessions */
#include <errno.h>

#include "unit/test.h"

#include "fake/fake_host.h"
#include "module/value.h"

#define OPTIONS 128
#define ICMP    1
#define UDP     17

extern const struct lw_module laneway_module;

struct bed {
	uint64_t opts[OPTIONS / 8];
	struct lw_fake_host host;
	struct lw_fake_worker worker;
	struct lw_batch *batch;
	struct lw_caps caps;
	struct lw_err err;
	void *inst;
	uint8_t session_state[16];
	struct lw_session session;
};

static int parse(uint64_t *opts, const char *key, const char *text, struct lw_err *err)
{
	for (const struct lw_option *o = laneway_module.options; o->name != NULL; o++) {
		if (strcmp(o->name, key) == 0)
			return lw_value_parse(o, text, opts, err);
	}
	fail_msg("no option %s", key);
	return -ENOENT;
}

static void set(struct bed *b, const char *key, const char *text)
{
	assert_int_equal(parse(b->opts, key, text, &b->err), 0);
}

static void bed_init(struct bed *b)
{
	memset(b, 0, sizeof(*b));
	lw_fake_host_init(&b->host);
	assert_true(laneway_module.options_size <= sizeof(b->opts));
	assert_int_equal(lw_values_init(laneway_module.options, b->opts, &b->err), 0);
	b->batch = lw_fake_batch_create(8, 4096, false);
}

static void start(struct bed *b)
{
	struct lw_env env = { .size = sizeof(env), .workers = 1, .inside_mtu = 1350 };
	const struct lw_life_ops *life = laneway_module.life;
	struct lw_worker *w = &b->worker.w;

	lw_fake_worker_init(&b->worker, &b->host, &laneway_module, 0);
	assert_int_equal(life->check(b->opts, &b->err), 0);
	assert_int_equal(life->create(&b->host.host, b->opts, &b->inst, &w->conf, &b->err), 0);
	assert_int_equal(life->prepare(b->inst, &env, &b->caps, &b->err), 0);
	assert_int_equal(life->worker_start(b->inst, w, &w->state, &b->err), 0);
	w->session_off = 8;
	b->session.state = b->session_state;
}

static void stop(struct bed *b)
{
	laneway_module.life->worker_stop(b->inst, &b->worker.w);
	laneway_module.life->destroy(b->inst);
	lw_fake_batch_destroy(b->batch);
	lw_values_fini(laneway_module.options, b->opts);
}

static int ingress(struct bed *b)
{
	return laneway_module.ops.filter->ingress(b->inst, &b->worker.w, b->batch);
}

static int egress(struct bed *b)
{
	return laneway_module.ops.filter->egress(b->inst, &b->worker.w, b->batch);
}

static uint64_t counter(const struct bed *b, const char *name)
{
	return lw_fake_counter(&b->worker, &laneway_module, name);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* the checksum of RFC 1071 */
static uint16_t checksum(const uint8_t *p, uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (n % 2 != 0)
		sum += (uint32_t)p[n - 1] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* 10.0.0.1 to 10.1.0.2, 32 bytes, an echo request if the protocol is ICMP */
static struct lw_packet *add(struct bed *b, uint8_t protocol)
{
	uint8_t ip[32] = { 0x45, 0, 0, 32, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1,
		           10,   1, 0, 2,  8, 0, 0, 0, 1,  2,        3, 4, 5,  6, 7, 8 };

	put16(ip + 10, checksum(ip, 20));
	put16(ip + 22, checksum(ip + 20, 12));
	return lw_fake_batch_add(b->batch, ip, sizeof(ip));
}

static uint32_t verdicts(const struct bed *b)
{
	uint32_t v = 0;

	LW_BATCH_FOREACH (p, b->batch)
		v = v * 10 + p->verdict;
	return v;
}

static void ingress__defaults__count_and_pass(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	start(&b);
	assert_true(b.caps.flags == LW_CAP_SUPER);
	(void)add(&b, UDP);
	add(&b, UDP)->gso_size = 4;
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(egress(&b), 0);
	assert_int_equal(verdicts(&b), 0);
	assert_int_equal(counter(&b, "ingress_packets"), 2);
	assert_int_equal(counter(&b, "egress_packets"), 2);
	assert_int_equal(counter(&b, "superpackets"), 2);
	assert_int_equal(counter(&b, "matched"), 4);
	stop(&b);
}

static void prepare__super_off__grants_no_superpackets(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	set(&b, "super", "no");
	start(&b);
	assert_true(b.caps.flags == 0);
	stop(&b);
}

static void ingress__drop_every_third__goes_on_across_batches(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	set(&b, "action", "drop");
	set(&b, "every", "3");
	start(&b);
	for (int i = 0; i < 4; i++)
		(void)add(&b, UDP);
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(verdicts(&b), 10);
	LW_BATCH_FOREACH (p, b.batch)
		p->verdict = LW_VERDICT_PASS;
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(verdicts(&b), 100);
	assert_int_equal(counter(&b, "dropped"), 2);
	stop(&b);
}

static void ingress__protocol_prefix_direction__choose_packets(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	set(&b, "action", "drop");
	set(&b, "protocol", "17");
	set(&b, "prefix", "10.1.0.0/30");
	set(&b, "direction", "ingress");
	start(&b);
	(void)add(&b, UDP);
	(void)add(&b, ICMP);
	lw_packet_data(add(&b, UDP))[19] = 4; /* to 10.1.0.4 */
	memcpy(lw_packet_data(add(&b, UDP)) + 12, "\x0a\x01\0\3\x01\x01\x01",
	       7);                              /* from 10.1.0.3 */
	lw_packet_data(add(&b, UDP))[0] = 0x65; /* no IPv4 */
	lw_packet_data(add(&b, UDP))[0] = 0x4f; /* a header longer than the packet */
	(void)lw_fake_batch_add(b.batch, "E", 1);
	assert_int_equal(egress(&b), 0);
	assert_int_equal(verdicts(&b), 0);
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(verdicts(&b), 1001000);
	stop(&b);
}

static void check__ipv6_prefix__is_refused(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	set(&b, "prefix", "fd00::/8");
	assert_int_equal(laneway_module.life->check(b.opts, &b.err), -EINVAL);
	assert_string_equal(b.err.option, "prefix");
	set(&b, "prefix", "10.0.0.0/8");
	start(&b);
	stop(&b);
}

static void ingress__reply__turns_echo_requests_around(void **state)
{
	struct bed b;
	uint8_t *ip;

	(void)state;
	bed_init(&b);
	set(&b, "action", "reply");
	start(&b);
	ip = lw_packet_data(add(&b, ICMP));
	(void)add(&b, UDP);
	lw_packet_data(add(&b, ICMP))[20] = 0;   /* an echo reply */
	lw_packet_data(add(&b, ICMP))[6] = 0x20; /* a fragment */
	add(&b, ICMP)->len = 27;
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(verdicts(&b), 20000);
	assert_memory_equal(ip + 12, "\x0a\x01\0\2\x0a\0\0\1", 8);
	assert_int_equal(ip[20], 0);
	assert_int_equal(checksum(ip, 20), 0);
	assert_int_equal(checksum(ip + 20, 12), 0);
	assert_memory_equal(ip + 24, "\1\2\3\4\5\6\7\10", 8);
	assert_int_equal(counter(&b, "replied"), 1);
	stop(&b);
}

static void ingress__corrupt__flips_one_bit(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	set(&b, "action", "corrupt");
	start(&b);
	(void)add(&b, UDP);
	(void)lw_fake_batch_add(b.batch, "", 0);
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(verdicts(&b), 0);
	assert_int_equal(lw_packet_data(&b.batch->pkt[0])[31], 9);
	assert_int_equal(lw_packet_data(&b.batch->pkt[0])[30], 7);
	stop(&b);
}

static void ingress__bad_manners__fail_or_leave_the_range(void **state)
{
	struct bed b;

	(void)state;
	bed_init(&b);
	set(&b, "action", "fail");
	set(&b, "every", "2");
	start(&b);
	(void)add(&b, UDP);
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(ingress(&b), -EIO);
	set(&b, "action", "bad_verdict");
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(ingress(&b), 0);
	assert_true(b.batch->pkt[0].verdict > LW_VERDICT_REPLY);
	set(&b, "action", "bad_length");
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(ingress(&b), 0);
	assert_true(b.batch->pkt[0].len > b.batch->pkt[0].cap - b.batch->pkt[0].off);
	stop(&b);
}

static void reload__new_options__rule_from_the_next_round_on(void **state)
{
	uint64_t next[OPTIONS / 8] = { 0 };
	const void *conf = NULL;
	struct bed b;

	(void)state;
	bed_init(&b);
	start(&b);
	assert_int_equal(lw_values_init(laneway_module.options, next, &b.err), 0);
	assert_int_equal(parse(next, "action", "drop", &b.err), 0);
	assert_int_equal(laneway_module.life->reload(b.inst, next, &conf, &b.err), 0);
	(void)add(&b, UDP);
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(verdicts(&b), 0);
	b.worker.w.conf = conf;
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(verdicts(&b), 1);
	lw_values_fini(laneway_module.options, next);
	stop(&b);
}

static void session__state__is_this_modules_and_starts_at_zero(void **state)
{
	const struct lw_filter_ops *ops = laneway_module.ops.filter;
	struct bed b;

	(void)state;
	bed_init(&b);
	start(&b);
	memset(b.session_state, 0xff, 8); /* another module's bytes */
	assert_int_equal(laneway_module.session_bytes, 8);
	assert_int_equal(ops->session_open(b.inst, &b.worker.w, &b.session), 0);
	add(&b, UDP)->session = &b.session;
	(void)add(&b, UDP);
	assert_int_equal(ingress(&b), 0);
	assert_int_equal(egress(&b), 0);
	ops->session_close(b.inst, &b.worker.w, &b.session);
	assert_int_equal(counter(&b, "sessions_opened"), 1);
	assert_int_equal(counter(&b, "sessions_closed"), 1);
	assert_int_equal(counter(&b, "session_packets"), 2);
	assert_int_equal(ops->session_open(b.inst, &b.worker.w, &b.session), -EINVAL);
	stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ingress__defaults__count_and_pass),
		cmocka_unit_test(prepare__super_off__grants_no_superpackets),
		cmocka_unit_test(ingress__drop_every_third__goes_on_across_batches),
		cmocka_unit_test(ingress__protocol_prefix_direction__choose_packets),
		cmocka_unit_test(check__ipv6_prefix__is_refused),
		cmocka_unit_test(ingress__reply__turns_echo_requests_around),
		cmocka_unit_test(ingress__corrupt__flips_one_bit),
		cmocka_unit_test(ingress__bad_manners__fail_or_leave_the_range),
		cmocka_unit_test(reload__new_options__rule_from_the_next_round_on),
		cmocka_unit_test(session__state__is_this_modules_and_starts_at_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

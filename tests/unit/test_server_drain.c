/* SPDX-License-Identifier: MIT */
/* A server that lets nobody new in, and when it has come to its end. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "server/drain.h"
#include "unit/bed_server.h"
#include "unit/test.h"

#define HOME 0xc0000200u /* 192.0.2.0 */

static struct net net;
static struct bed *b;
static struct lw_drain d;

static int make_bed(void **state)
{
	(void)state;
	net = (struct net){ 0 };
	b = bed_create(&net, &(struct bed_plan){ 0 });
	d = (struct lw_drain){ .common = &b->common };
	return 0;
}

static int remove_bed(void **state)
{
	(void)state;
	bed_destroy(b);
	return 0;
}

/* what it answers */
static const char *command(const char *text)
{
	static char answer[256];
	struct lw_json j = { .text = NULL };
	struct lw_err err = { 0 };
	int r;

	lw_json_object(&j, NULL);
	r = lw_drain_command(&d, text, net_clock_us, &j, &err);
	lw_json_end(&j);
	(void)snprintf(answer, sizeof(answer), "%s", r == 0 ? j.text : err.text);
	lw_json_fini(&j);
	if (r == -ENOSYS)
		return "ENOSYS";
	return answer;
}

static void drain__old_sessions_go_on__new_ones_are_refused(void **state)
{
	static const uint8_t packet[28] = { 0x45, 0, 0,  28, 0, 0, 0, 0, 64, 17,
		                            0,    0, 10, 1,  1, 1, 8, 8, 8,  8 };

	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct peer *old = bed_online(b, HOME + (uint32_t)stream, 1000, stream);
		struct peer *late = peer_create(b, HOME + 10 + (uint32_t)stream, 1000, stream);
		uint64_t refused = bed_counter(b, LW_SRV_SESSIONS_LIMITED);
		uint32_t inside = b->inside.n_got;

		(void)command("drain");
		peer_begin(late);
		bed_settle(b, &late, 1);
		assert_false(late->online);
		assert_true(bed_counter(b, LW_SRV_SESSIONS_LIMITED) > refused);
		assert_int_equal(b->common.n, 1);
		peer_send(old, packet, sizeof(packet));
		bed_settle(b, &old, 1);
		assert_int_equal(b->inside.n_got, inside + 1);
		peer_destroy(late);
		(void)command("drain off");
		late = bed_online(b, HOME + 20 + (uint32_t)stream, 1000, stream);
		peer_close(late);
		peer_close(old);
		bed_settle(b, NULL, 0);
		peer_destroy(late);
		peer_destroy(old);
	}
}

/* Whoever was in the middle of it when the draining began gets through. */
static void drain__handshake_under_way__comes_online(void **state)
{
	struct peer *p = peer_create(b, HOME, 1000, false);

	(void)state;
	peer_begin(p);
	(void)bed_round(b);
	(void)peer_round(p);
	(void)bed_round(b);
	assert_int_equal(b->common.n, 1);
	(void)command("drain");
	bed_settle(b, &p, 1);
	assert_true(p->online);
	assert_false(lw_drain_done(&d, net_clock_us));
	peer_close(p);
	bed_settle(b, NULL, 0);
	assert_true(lw_drain_done(&d, net_clock_us));
	peer_destroy(p);
}

static void drain_done__last_session_or_time__whichever_comes_first(void **state)
{
	struct peer *p = bed_online(b, HOME, 1000, false);

	(void)state;
	assert_false(lw_drain_done(&d, net_clock_us));
	assert_int_equal(lw_drain_look_us(&d, net_clock_us), UINT64_MAX);
	(void)command("drain 10m");
	assert_int_equal(lw_drain_look_us(&d, net_clock_us), 100 * LW_US_PER_MS);
	net_clock_us += 600 * LW_US_PER_S - 5;
	assert_false(lw_drain_done(&d, net_clock_us));
	assert_int_equal(lw_drain_look_us(&d, net_clock_us), 5);
	net_clock_us += 5;
	assert_true(lw_drain_done(&d, net_clock_us));
	assert_int_equal(lw_drain_look_us(&d, net_clock_us), 0);
	/* without a time it does not end so */
	(void)command("drain");
	net_clock_us += UINT64_C(1000) * 86400 * LW_US_PER_S;
	assert_false(lw_drain_done(&d, net_clock_us));
	lw_sessions_close_all(&b->s);
	assert_true(lw_drain_done(&d, net_clock_us));
	(void)command("drain off");
	assert_false(lw_drain_done(&d, net_clock_us));
	peer_destroy(p);
}

static void drain_command__any__says_where_it_stands(void **state)
{
	struct peer *p = bed_online(b, HOME, 1000, false);

	(void)state;
	assert_string_equal(command("drain"), "{\"draining\":true,\"sessions\":1}");
	assert_string_equal(command("drain 1h30m"),
	                    "{\"draining\":true,\"drain_left_s\":5400,\"sessions\":1}");
	net_clock_us += 5000 * LW_US_PER_S;
	assert_string_equal(command("drain x"), "'x' is no time, such as 15m or 1h30m");
	assert_string_equal(command("drain 10"), "'10' is no time, such as 15m or 1h30m");
	assert_string_equal(command("drain "), "'' is no time, such as 15m or 1h30m");
	assert_true(b->common.draining); /* as before */
	assert_string_equal(command("drain off"), "{\"draining\":false,\"sessions\":1}");
	assert_string_equal(command("drain off"), "{\"draining\":false,\"sessions\":1}");
	assert_false(b->common.draining);
	assert_string_equal(command("drains"), "ENOSYS");
	assert_string_equal(command("status"), "ENOSYS");
	peer_close(p);
	bed_settle(b, NULL, 0);
	peer_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_BED(f) cmocka_unit_test_setup_teardown(f, make_bed, remove_bed)
		WITH_BED(drain__old_sessions_go_on__new_ones_are_refused),
		WITH_BED(drain__handshake_under_way__comes_online),
		WITH_BED(drain_done__last_session_or_time__whichever_comes_first),
		WITH_BED(drain_command__any__says_where_it_stands),
#undef WITH_BED
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

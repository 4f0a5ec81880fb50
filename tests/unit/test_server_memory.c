/* SPDX-License-Identifier: MIT */
/* A server that runs out of memory: at its start, and at any point of a session. */
#include "tls/internal.h"

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "unit/bed_server.h"
#include "unit/test.h"

#define HOME 0xc0000201u

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c): the linker's names */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

/* which allocation fails: of ours, or of the TLS library; 0: none. Helpers ask too */
static struct {
	_Atomic bool armed;
	bool library;
	uint32_t at;
	uint32_t seen;
} fault;

static bool fails(bool library)
{
	if (fault.library != library || !fault.armed || fault.at == 0)
		return false;
	return ++fault.seen == fault.at;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails(false) ? NULL : __real_calloc(n, size);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c) */

static void *library_malloc(size_t len)
{
	return fails(true) ? NULL : malloc(len);
}

static void *library_realloc(void *p, size_t len)
{
	return fails(true) ? NULL : realloc(p, len);
}

static int use_allocators(void **state)
{
	(void)state;
	return wolfSSL_SetAllocators(library_malloc, free, library_realloc);
}

static void init__any_allocation_fails__error_and_nothing_left(void **state)
{
	static const struct lw_tunnel_conf conf = { .role = LW_ROLE_SERVER };
	struct lw_sessions_common common = { .conf = &conf,
		                             .limits = { .sessions = 10, .handshakes_per_s = 10 },
		                             .n_workers = 1,
		                             .udp = true };
	struct lw_core *core = malloc(sizeof(*core));
	struct lw_sessions *s = malloc(sizeof(*s));
	struct lw_addr pool = lw_addr_ipv4(0x0a7d0000, 0);
	uint32_t failed = 0;
	int r = -1;

	(void)state;
	assert_non_null(core);
	assert_non_null(s);
	assert_int_equal(lw_core_init(core), 0);
	assert_int_equal(lw_helpers_create(1, 8, &common.helpers), 0);
	common.tls = bed_server_ctx("server");
	pool.prefix = 24;
	for (int library = 0; library < 2; library++) {
		fault.library = library;
		for (fault.at = 1; r != 0 || fault.seen >= fault.at; fault.at++) {
			struct lw_err err = { .text = "" };

			memset(s, 0, sizeof(*s));
			fault.seen = 0;
			fault.armed = true;
			r = lw_pool_init(&common.pool, &pool, &pool, 1, 3);
			if (r == 0) {
				r = lw_sessions_init(s, 0, core, &common, &err);
				assert_in_range(r == 0 ? 1 : strlen(err.text), 1, sizeof(err.text));
				lw_sessions_fini(s);
			}
			fault.armed = false;
			assert_true(library || (r != 0) == (fault.seen >= fault.at));
			failed += r != 0;
			lw_pool_fini(&common.pool);
			assert_in_range(fault.at, 1, 500);
		}
		assert_int_equal(r, 0);
	}
	assert_in_range(failed, 14, 500);
	lw_helpers_destroy(common.helpers);
	lw_core_fini(core);
	lw_tls_ctx_destroy(common.tls);
	free(core);
	free(s);
}

/* Rounds of server and peer, in which only the server is short of memory, until nothing moves. */
static void settle(struct bed *b, struct peer *p)
{
	bool moved = true;

	while (moved) {
		fault.armed = true;
		moved = bed_round(b);
		fault.armed = false;
		moved |= peer_round(p);
	}
	bed_settle(b, &p, 1);
}

/* true: the fault was met */
static bool try_session(struct bed *b, bool stream, uint16_t port, uint32_t *n_online)
{
	struct peer *p = peer_create(b, HOME, port, stream);
	uint64_t end = net_clock_us + 14 * LW_US_PER_S;

	fault.seen = 0;
	peer_begin(p);
	settle(b, p);
	while (!p->online && !p->closed && net_clock_us < end) {
		net_clock_us += 20 * LW_US_PER_MS;
		settle(b, p);
	}
	*n_online += p->online;
	if (p->online)
		peer_close(p);
	peer_destroy(p);
	bed_run(b, NULL, 0, 61 * LW_US_PER_S);
	assert_int_equal(b->s.n, 0);
	assert_int_equal(bed_jobs(b), 0);
	assert_int_equal(lw_pool_free(&b->common.pool), b->common.pool.cap);
	return fault.seen >= fault.at;
}

static void break_sessions(bool library, bool stream, uint32_t helpers, uint32_t at_least)
{
	struct net net = { 0 };
	struct bed *b = bed_create(&net, &(struct bed_plan){ .helpers = helpers });
	uint32_t n_online = 0;
	uint16_t port = 1000;

	for (fault.at = 1; try_session(b, stream, port, &n_online); fault.at++, port++)
		assert_in_range(fault.at, 1, 2000);
	print_message("%u allocations %s over %s, %u of the sessions came online all the same\n",
	              fault.at - 1, library ? "of the library" : "of ours", stream ? "tcp" : "udp",
	              n_online - 1);
	assert_in_range(fault.at, at_least, 2000);
	assert_in_range(n_online, 1, fault.at);
	fault.at = 0;
	bed_destroy(b);
}

static void session__our_allocation_fails__server_goes_on(void **state)
{
	(void)state;
	fault.library = false;
	break_sessions(false, false, 0, 4);
	break_sessions(false, true, 0, 4);
	break_sessions(false, false, 1, 5);
	break_sessions(false, true, 1, 5);
}

static void session__library_allocation_fails__server_goes_on(void **state)
{
	(void)state;
	fault.library = true;
	break_sessions(true, false, 0, 50);
	break_sessions(true, true, 0, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init__any_allocation_fails__error_and_nothing_left),
		cmocka_unit_test(session__our_allocation_fails__server_goes_on),
		cmocka_unit_test(session__library_allocation_fails__server_goes_on),
	};

	return cmocka_run_group_tests(tests, use_allocators, NULL);
}

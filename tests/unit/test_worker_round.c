/* SPDX-License-Identifier: MIT */
/* The rounds of a worker: who is served when, and what is asked of epoll. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/test.h"
#include "unit/worker_bed.h"

static void round__tag_has_more__is_served_once_a_round_until_drained(void **state)
{
	struct worker_bed *b = wb_create();
	uint32_t tag = wb_open(b, b->udp);

	(void)state;
	assert_string_equal(wb_round(b), "");
	wb_write(b, tag, 3);
	for (int i = 0; i < 4; i++) { /* the fourth finds that nothing is left */
		assert_string_equal(wb_round(b), "u0 ");
		assert_int_equal(wb_calls.timeout_ms, 0);
	}
	for (int i = 0; i < 3; i++)
		assert_string_equal(wb_round(b), "");
	wb_write(b, tag, 1); /* and the next edge is seen */
	assert_string_equal(wb_round(b), "u0 ");
	wb_destroy(b);
}

static void round__many_ready__each_once_in_a_fixed_order(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	(void)wb_open(b, b->udp);
	(void)wb_open(b, b->inside);
	(void)wb_open(b, b->udp);
	(void)wb_tunnel(b, wb_open(b, b->tcp), 60 * LW_US_PER_S);
	(void)wb_round(b); /* a new connection is looked at once */
	wb_write(b, 0, 9);
	wb_write(b, 1, 2);
	wb_write(b, 2, 1);
	assert_string_equal(wb_round(b), "u0 i1 u2 ");
	assert_string_equal(wb_round(b), "u0 i1 u2 ");
	assert_string_equal(wb_round(b), "u0 i1 ");
	wb_write(b, 2, 1);
	assert_string_equal(wb_round(b), "u0 u2 "); /* behind those that wait already */
	wb_write(b, 1, 1);
	assert_string_equal(wb_round(b), "u0 u2 i1 ");
	wb_destroy(b);
}

/* More descriptors than one epoll_wait tells of: nobody is left out for ever. */
static void round__more_than_one_wait_tells_of__all_are_served(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	for (int i = 0; i < 90; i++)
		wb_write(b, wb_open(b, b->udp), 2);
	for (int i = 0; i < 4; i++)
		(void)wb_round(b);
	for (uint32_t i = 0; i < 90; i++)
		assert_in_range(b->socks[i].served, 2, 3);
	wb_destroy(b);
}

static void round__peer_hangs_up__connection_ends_and_the_tag_goes(void **state)
{
	struct worker_bed *b = wb_create();
	uint32_t tag = wb_open(b, b->tcp);
	struct wb_tunnel *wt = wb_tunnel(b, tag, 60 * LW_US_PER_S);

	(void)state;
	assert_string_equal(wb_round(b), "t0 "); /* bound: its first bytes may be there */
	assert_string_equal(wb_round(b), "");
	assert_int_equal(shutdown(b->socks[tag].far, SHUT_RDWR), 0);
	assert_string_equal(wb_round(b), "t0 closed0 x0 gone0 ");
	assert_int_equal(wt->reason, LW_CLOSE_LOST);
	assert_null(wt->t);
	assert_int_equal(b->core.wheel.n, 0); /* its timer went too */
	assert_string_equal(wb_round(b), "");
	wb_destroy(b);
}

/* --- watching and unwatching within a round --- */

static void shut_next(struct worker_bed *b, uint32_t tag)
{
	wb_shut(b, tag + 1);
}

static void shut_self(struct worker_bed *b, uint32_t tag)
{
	b->socks[tag].answer = -EAGAIN;
	wb_shut(b, tag);
}

static void shut_self_but_has_more(struct worker_bed *b, uint32_t tag)
{
	wb_shut(b, tag);
	b->socks[tag].answer = WB_MORE; /* not even that makes it ready again */
}

static void unwatch__another_ready_one__is_not_served_any_more(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	for (int i = 0; i < 4; i++)
		wb_write(b, wb_open(b, b->udp), 5);
	b->socks[1].on_serve = shut_next;
	assert_string_equal(wb_round(b), "u0 u1 u3 ");
	b->socks[1].on_serve = NULL;
	assert_string_equal(wb_round(b), "u0 u1 u3 ");
	wb_destroy(b);
}

static void unwatch__itself__is_not_served_any_more(void **state)
{
	static void (*const how[])(struct worker_bed *, uint32_t) = { shut_self,
		                                                      shut_self_but_has_more };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct worker_bed *b = wb_create();

		for (int n = 0; n < 3; n++)
			wb_write(b, wb_open(b, b->udp), 5);
		b->socks[1].on_serve = how[i];
		assert_string_equal(wb_round(b), "u0 u1 u2 ");
		assert_string_equal(wb_round(b), "u0 u2 ");
		wb_destroy(b);
	}
}

static uint32_t opened;

/* The next one's descriptor is closed and its number and tag are given to a new socket at once. */
static void replace_next(struct worker_bed *b, uint32_t tag)
{
	int fd = b->socks[tag + 1].fd;
	int fds[2];

	b->socks[tag].on_serve = NULL;
	wb_shut(b, tag + 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	if (fds[0] != fd) {
		assert_int_equal(dup2(fds[0], fd), fd);
		(void)close(fds[0]);
	}
	b->socks[tag + 1] = (struct wb_sock){ .fd = fd, .far = fds[1], .attach = b->udp };
	assert_int_equal(lw_core_watch(b->udp, fd, tag + 1), 0);
	opened++;
}

static void watch__number_and_tag_used_again__old_readiness_is_not_inherited(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	opened = 0;
	for (int i = 0; i < 3; i++)
		wb_write(b, wb_open(b, b->udp), 2);
	b->socks[0].on_serve = replace_next;
	assert_string_equal(wb_round(b), "u0 u2 ");
	assert_int_equal(opened, 1);
	assert_string_equal(wb_round(b), "u0 u2 "); /* the new one has nothing */
	wb_write(b, 1, 1);
	(void)wb_round(b);
	assert_int_equal(b->socks[1].served, 1);
	wb_destroy(b);
}

static void open_another(struct worker_bed *b, uint32_t tag)
{
	b->socks[tag].on_serve = NULL;
	wb_write(b, wb_open(b, b->udp), 1);
}

static void watch__from_within_a_round__served_in_the_next(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	wb_write(b, wb_open(b, b->udp), 1);
	b->socks[0].on_serve = open_another;
	assert_string_equal(wb_round(b), "u0 ");
	assert_string_equal(wb_round(b), "u0 u1 ");
	wb_destroy(b);
}

static void watch__cannot__says_why_and_keeps_nothing(void **state)
{
	struct worker_bed *b = wb_create();
	uint32_t tag = wb_open(b, b->udp);
	int fds[2];

	(void)state;
	assert_int_equal(lw_core_watch(b->udp, b->socks[tag].fd, 7), -EEXIST);
	assert_int_equal(lw_core_watch(b->udp, -1, 7), -EBADF);
	assert_int_equal(pipe(fds), 0);
	wb_calls.ctl_error = ENOSPC;
	assert_int_equal(lw_core_watch(b->udp, fds[0], 7), -ENOSPC);
	wb_calls.fail_calloc = 1;
	assert_int_equal(lw_core_watch(b->udp, fds[0], 7), -ENOMEM);
	assert_int_equal(wb_calls.events[fds[0]], 0);
	assert_int_equal(lw_core_watch(b->udp, fds[0], tag), 0); /* it was not taken for watched */
	lw_core_unwatch(b->udp, fds[0]);
	lw_core_unwatch(b->udp, fds[0]); /* harmless */
	assert_int_equal(dup2(fds[0], b->socks[tag].fd), b->socks[tag].fd);
	/* a module that closed without unwatch, and got the number again, is told so */
	assert_int_equal(lw_core_watch(b->udp, b->socks[tag].fd, 9), -EEXIST);
	(void)close(fds[0]);
	(void)close(fds[1]);
	wb_destroy(b);
}

/* --- writing --- */

/* false: this machine held us up for so long that the datagram was given up */
static bool fill_and_drain(void)
{
	struct worker_bed *b = wb_create();
	uint32_t tag = wb_open(b, b->udp);
	const struct lw_sender *sender = &b->core.path.ports[0].sender;
	bool in_time;

	wb_queue(b, tag);
	lw_path_flush(&b->core.path, b->core.now_us);
	assert_false(wb_writing(b, tag)); /* a send that works asks for nothing */
	assert_int_equal(wb_drain(b, tag), 1);
	wb_fill(b, tag);
	wb_queue(b, tag);
	lw_path_flush(&b->core.path, lw_clock_us());
	assert_true(wb_writing(b, tag));
	assert_true(sender->blocked);
	assert_string_equal(wb_round(b), "");
	assert_true(wb_writing(b, tag));
	assert_true(wb_drain(b, tag) > 0);
	(void)wb_round(b);
	assert_false(wb_writing(b, tag));
	assert_false(sender->blocked);
	in_time = b->core.now_us < sender->blocked_since_us + LW_SEND_WAIT_US;
	if (in_time) {
		assert_int_equal(sender->dropped, 0);
		assert_int_equal(wb_drain(b, tag), 1);
	}
	wb_destroy(b);
	return in_time;
}

static void writing__udp_full__armed_until_the_edge(void **state)
{
	int tries = 0;

	(void)state;
	while (!fill_and_drain())
		assert_true(++tries < 100);
}

static void writing__tcp_full__armed_until_the_edge(void **state)
{
	struct worker_bed *b = wb_create();
	uint32_t tag = wb_open(b, b->tcp);
	struct wb_tunnel *wt = wb_tunnel(b, tag, 60 * LW_US_PER_S);
	struct lw_sink k = lw_path_sink(&b->core.path, wt->t);

	(void)state;
	(void)wb_round(b);
	wb_fill(b, tag);
	assert_int_equal(lw_tunnel_begin(wt->t, b->core.now_us, &k), 0); /* its hello has to go */
	lw_path_after(&b->core.path, wt->t, &k);
	lw_path_flush(&b->core.path, b->core.now_us);
	assert_true(wb_writing(b, tag));
	assert_true(wt->t->stream.used > 0);
	assert_string_equal(wb_round(b), "");
	(void)wb_drain(b, tag);
	assert_string_equal(wb_round(b), "s0 ");
	assert_false(wb_writing(b, tag));
	assert_int_equal(wt->t->stream.used, 0);
	assert_true(wb_drain(b, tag) > 0);
	wb_destroy(b);
}

/* --- listeners, dead sockets, others --- */

static void accept__many_wait__some_a_round_and_refused_ones_closed(void **state)
{
	struct worker_bed *b = wb_create();
	uint32_t listener = wb_open(b, b->tcp);

	(void)state;
	b->waiting = 40;
	b->accepted_r = -EBUSY;
	wb_write(b, listener, 1);
	(void)wb_round(b);
	assert_int_equal(b->waiting, 8); /* others get their turn after 32 */
	assert_non_null(strstr(b->log, "a0 new32 x32 "));
	assert_int_equal(b->socks[1].fd, -1);
	(void)wb_round(b);
	assert_int_equal(b->waiting, 0);
	for (uint32_t i = 1; i < b->n_socks; i++)
		assert_int_equal(b->socks[i].fd, -1);
	assert_string_equal(wb_round(b), "");
	wb_destroy(b);
}

static void port__broken__role_is_told_once(void **state)
{
	(void)state;
	for (int tcp = 0; tcp < 2; tcp++) {
		struct worker_bed *b = wb_create();

		(void)wb_open(b, tcp ? b->tcp : b->udp);
		wb_write(b, wb_open(b, b->udp), 1);
		b->socks[0].answer = -EBADF;
		wb_write(b, 0, 1);
		(void)wb_round(b);
		assert_non_null(strstr(b->log, tcp ? "a0 dead0 " : "u0 dead0 "));
		assert_non_null(strstr(b->log, "u1 "));
		assert_int_equal(b->dead_error, -EBADF);
		assert_string_equal(wb_round(b), "u1 ");
		wb_destroy(b);
	}
}

static void other__has_something__is_not_served_and_does_not_spin(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	wb_write(b, wb_open(b, b->other), 1);
	assert_string_equal(wb_round(b), "");
	assert_int_equal(lw_core_round(&b->core, 3000), 0);
	assert_int_equal(wb_calls.timeout_ms, 3);
	wb_destroy(b);
}

static void inside__device_gone__loop_ends_and_says_why(void **state)
{
	struct worker_bed *b = wb_create();
	uint32_t tag = wb_open(b, b->inside);

	(void)state;
	b->socks[tag].answer = -ENODEV;
	wb_write(b, tag, 1);
	assert_string_equal(wb_round(b), "i0 ");
	assert_true(b->core.stop);
	assert_int_equal(b->core.failed, -ENODEV);
	wb_destroy(b);
}

static void shut_last(struct worker_bed *b, uint32_t tag)
{
	b->socks[tag].on_serve = NULL;
	wb_shut(b, 4);
}

static void unwatch__the_last_ready_one__the_others_keep_their_turn(void **state)
{
	(void)state;
	for (uint32_t who = 0; who < 4; who++) { /* the first finds it at the end of the ring */
		struct worker_bed *b = wb_create();

		for (int i = 0; i < 5; i++)
			wb_write(b, wb_open(b, b->udp), 5);
		b->socks[who].on_serve = shut_last;
		assert_string_equal(wb_round(b), "u0 u1 u2 u3 ");
		assert_string_equal(wb_round(b), "u0 u1 u2 u3 ");
		assert_null(b->core.gone);
		wb_destroy(b);
	}
}

/* A new edge of one that waits for its turn anyway changes nothing. */
static void round__edge_while_ready__keeps_its_place(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	for (int i = 0; i < 3; i++)
		wb_write(b, wb_open(b, b->udp), 2);
	assert_string_equal(wb_round(b), "u0 u1 u2 ");
	wb_write(b, 2, 1);
	wb_write(b, 0, 1);
	wb_write(b, 1, 1);
	assert_string_equal(wb_round(b), "u0 u1 u2 ");
	assert_string_equal(wb_round(b), "u0 u1 u2 ");
	assert_string_equal(wb_round(b), "u0 u1 u2 "); /* these find nothing left */
	assert_string_equal(wb_round(b), "");
	wb_destroy(b);
}

struct shutter {
	struct lw_mail mail; /* first */
	struct worker_bed *bed;
};

static void shut_first(struct lw_mail *m)
{
	struct shutter *s = (struct shutter *)(void *)m;

	wb_shut(s->bed, 0);
}

/* epoll has told of both before the mail is read. */
static void unwatch__from_a_mail_of_the_same_round__is_not_served(void **state)
{
	struct worker_bed *b = wb_create();
	struct shutter s = { .mail = { .deliver = shut_first }, .bed = b };

	(void)state;
	(void)wb_open(b, b->udp);
	(void)wb_open(b, b->udp);
	lw_mailbox_post(&b->core.mail, &s.mail);
	wb_write(b, 0, 1);
	wb_write(b, 1, 1);
	assert_string_equal(wb_round(b), "u1 ");
	assert_int_equal(b->socks[0].fd, -1);
	wb_destroy(b);
}

static void bind__no_such_tag__says_so(void **state)
{
	struct worker_bed *b = wb_create();
	uint32_t tag = wb_open(b, b->udp); /* a tag of another instance is another tag */

	(void)state;
	assert_int_equal(lw_core_bind(&b->core, &b->core.path.ports[1], tag, NULL), -ENOENT);
	wb_destroy(b);
}

static void attach__more_than_fit__are_refused(void **state)
{
	struct worker_bed *b = wb_create();

	(void)state;
	for (uint32_t i = b->core.n_attach; i < LW_ATTACH_MAX; i++) {
		const struct lw_attach *a = lw_core_attach(&b->core, LW_ATTACH_OTHER, 0, &b->w[3]);

		assert_non_null(a);
		assert_int_equal(a->index, i);
	}
	assert_null(lw_core_attach(&b->core, LW_ATTACH_OTHER, 0, &b->w[3]));
	wb_destroy(b);
}

/* Two instances may use the same tag: each has its own. */
static void tags__same_in_two_instances__each_its_own(void **state)
{
	struct worker_bed *b = wb_create();
	uint32_t tag = wb_open(b, b->udp);
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	assert_int_equal(lw_core_watch(b->tcp, fds[0], tag), 0);
	wb_fill(b, tag);
	wb_queue(b, tag);
	lw_path_flush(&b->core.path, b->core.now_us);
	assert_true(wb_writing(b, tag));
	assert_int_equal(wb_calls.events[fds[0]] & EPOLLOUT, 0);
	lw_core_unwatch(b->tcp, fds[0]);
	(void)close(fds[0]);
	(void)close(fds[1]);
	wb_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round__tag_has_more__is_served_once_a_round_until_drained),
		cmocka_unit_test(round__many_ready__each_once_in_a_fixed_order),
		cmocka_unit_test(round__more_than_one_wait_tells_of__all_are_served),
		cmocka_unit_test(round__peer_hangs_up__connection_ends_and_the_tag_goes),
		cmocka_unit_test(unwatch__another_ready_one__is_not_served_any_more),
		cmocka_unit_test(unwatch__itself__is_not_served_any_more),
		cmocka_unit_test(watch__number_and_tag_used_again__old_readiness_is_not_inherited),
		cmocka_unit_test(watch__from_within_a_round__served_in_the_next),
		cmocka_unit_test(watch__cannot__says_why_and_keeps_nothing),
		cmocka_unit_test(writing__udp_full__armed_until_the_edge),
		cmocka_unit_test(writing__tcp_full__armed_until_the_edge),
		cmocka_unit_test(accept__many_wait__some_a_round_and_refused_ones_closed),
		cmocka_unit_test(port__broken__role_is_told_once),
		cmocka_unit_test(other__has_something__is_not_served_and_does_not_spin),
		cmocka_unit_test(inside__device_gone__loop_ends_and_says_why),
		cmocka_unit_test(unwatch__the_last_ready_one__the_others_keep_their_turn),
		cmocka_unit_test(round__edge_while_ready__keeps_its_place),
		cmocka_unit_test(unwatch__from_a_mail_of_the_same_round__is_not_served),
		cmocka_unit_test(bind__no_such_tag__says_so),
		cmocka_unit_test(attach__more_than_fit__are_refused),
		cmocka_unit_test(tags__same_in_two_instances__each_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

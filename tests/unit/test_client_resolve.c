/* SPDX-License-Identifier: MIT */
#include "client/resolve.h"

#include <dirent.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "unit/test.h"

#define WAIT_MS 20000

/* the resolver of this program: it knows two names, and keeps one question until it is let go */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool asked;
	bool let_go;
	bool answered;
} slow = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void keep_waiting(void)
{
	(void)pthread_mutex_lock(&slow.lock);
	slow.asked = true;
	(void)pthread_cond_broadcast(&slow.changed);
	while (!slow.let_go)
		(void)pthread_cond_wait(&slow.changed, &slow.lock);
	slow.answered = true;
	(void)pthread_cond_broadcast(&slow.changed);
	(void)pthread_mutex_unlock(&slow.lock);
}

static struct addrinfo *one_address(const char *text, struct addrinfo *next)
{
	struct addrinfo *ai = calloc(1, sizeof(*ai));
	struct sockaddr_storage *ss = calloc(1, sizeof(*ss));
	struct lw_addr a;

	if (ai == NULL || ss == NULL || lw_addr_parse(text, &a) < 0)
		abort();
	ai->ai_addrlen = lw_addr_to_sockaddr(&a, ss);
	ai->ai_addr = (struct sockaddr *)ss;
	ai->ai_next = next;
	return ai;
}

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
	struct lw_addr a;

	(void)service;
	if (lw_addr_parse(node, &a) == 0) {
		*ret = one_address(node, NULL);
		return 0;
	}
	if ((hints->ai_flags & AI_NUMERICHOST) != 0)
		return EAI_NONAME;
	if (strcmp(node, "slow.test") == 0)
		keep_waiting();
	else if (strcmp(node, "two.test") != 0)
		return EAI_AGAIN;
	*ret = one_address("192.0.2.7", one_address("2001:db8::7", NULL));
	return 0;
}

void freeaddrinfo(struct addrinfo *ai)
{
	while (ai != NULL) {
		struct addrinfo *next = ai->ai_next;

		free(ai->ai_addr);
		free(ai);
		ai = next;
	}
}

struct answer {
	uint32_t n;
	struct lw_resolved found;
};

static void on_found(void *arg, const struct lw_resolved *found)
{
	struct answer *a = arg;

	a->n++;
	a->found = *found;
}

static void wait_for_mail(struct lw_mailbox *mb, const struct answer *a)
{
	struct pollfd p = { .fd = mb->fd, .events = POLLIN };

	while (a->n == 0) {
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		lw_mailbox_deliver(mb);
	}
}

static void check_target(const struct lw_target *t, const char *text, uint32_t server, bool tcp)
{
	char buf[LW_ADDR_TEXT_MAX];

	assert_string_equal(lw_addr_format(&t->addr, buf), text);
	assert_int_equal(t->server, server);
	assert_int_equal(t->tcp, tcp);
}

static void numeric__addresses_only__found_at_once(void **state)
{
	static const struct lw_client_server servers[] = {
		{ .host = "192.0.2.1", .port = 5 },
		{ .host = "2001:db8::1", .port = 6, .tcp = true }
	};
	struct lw_resolved found;

	(void)state;
	assert_true(lw_resolve_numeric(servers, 2, &found));
	assert_int_equal(found.n, 2);
	check_target(&found.targets[0], "192.0.2.1:5", 0, false);
	check_target(&found.targets[1], "[2001:db8::1]:6", 1, true);
	assert_string_equal(found.why, "");
}

static void numeric__a_name_among_them__not_answered(void **state)
{
	static const struct lw_client_server servers[] = { { .host = "192.0.2.1", .port = 5 },
		                                           { .host = "two.test", .port = 6 } };
	struct lw_resolved found = { .n = 77 };

	(void)state;
	assert_false(lw_resolve_numeric(servers, 2, &found));
	assert_int_equal(found.n, 77);
}

static void names__some_known__all_their_addresses(void **state)
{
	static const struct lw_client_server servers[] = {
		{ .host = "two.test", .port = 5 },
		{ .host = "none.test", .port = 6 },
		{ .host = "192.0.2.1", .port = 7, .tcp = true }
	};
	struct answer a = { .n = 0 };
	struct lw_resolve *r = NULL;
	struct lw_mailbox mb;

	(void)state;
	assert_int_equal(lw_mailbox_init(&mb), 0);
	assert_int_equal(lw_resolve_start(servers, 3, &mb, on_found, &a, &r), 0);
	wait_for_mail(&mb, &a);
	assert_int_equal(a.found.n, 3);
	check_target(&a.found.targets[0], "192.0.2.7:5", 0, false);
	check_target(&a.found.targets[1], "[2001:db8::7]:5", 0, false);
	check_target(&a.found.targets[2], "192.0.2.1:7", 2, true);
	assert_string_equal(a.found.why, gai_strerror(EAI_AGAIN));
	lw_resolve_drop(r);
	lw_mailbox_fini(&mb);
}

static void names__more_addresses_than_room__cut(void **state)
{
	struct lw_client_server servers[LW_CLIENT_SERVERS];
	struct answer a = { .n = 0 };
	struct lw_resolve *r = NULL;
	struct lw_mailbox mb;

	(void)state;
	for (uint32_t i = 0; i < LW_CLIENT_SERVERS; i++)
		servers[i] = (struct lw_client_server){ .host = "two.test", .port = 5 };
	assert_int_equal(lw_mailbox_init(&mb), 0);
	assert_int_equal(lw_resolve_start(servers, LW_CLIENT_SERVERS, &mb, on_found, &a, &r), 0);
	wait_for_mail(&mb, &a);
	assert_int_equal(a.found.n, LW_CLIENT_SERVERS);
	lw_resolve_drop(r);
	lw_mailbox_fini(&mb);
}

static uint32_t count_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	uint32_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* The client ends while a resolver does not answer: the mailbox is gone when it does. */
static void names__dropped_before_the_answer__nobody_waits(void **state)
{
	static const struct lw_client_server server = { .host = "slow.test", .port = 5 };
	struct timespec until = { .tv_sec = time(NULL) + WAIT_MS / 1000 };
	struct answer a = { .n = 0 };
	struct lw_resolve *r = NULL;
	struct lw_mailbox mb;
	uint32_t threads = count_threads();
	int error = 0;

	(void)state;
	assert_int_equal(lw_mailbox_init(&mb), 0);
	assert_int_equal(lw_resolve_start(&server, 1, &mb, on_found, &a, &r), 0);
	(void)pthread_mutex_lock(&slow.lock);
	while (!slow.asked && error == 0)
		error = pthread_cond_timedwait(&slow.changed, &slow.lock, &until);
	(void)pthread_mutex_unlock(&slow.lock);
	assert_int_equal(error, 0);
	lw_resolve_drop(r); /* does not wait: nobody has let the resolver go */
	lw_mailbox_fini(&mb);
	(void)pthread_mutex_lock(&slow.lock);
	assert_false(slow.answered);
	slow.let_go = true;
	(void)pthread_cond_broadcast(&slow.changed);
	while (!slow.answered && error == 0)
		error = pthread_cond_timedwait(&slow.changed, &slow.lock, &until);
	(void)pthread_mutex_unlock(&slow.lock);
	assert_int_equal(error, 0);
	while (count_threads() > threads) {
		assert_true(time(NULL) < until.tv_sec);
		(void)poll(NULL, 0, 1);
	}
	assert_null(mb.head);
	assert_int_equal(a.n, 0);
	lw_resolve_drop(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numeric__addresses_only__found_at_once),
		cmocka_unit_test(numeric__a_name_among_them__not_answered),
		cmocka_unit_test(names__some_known__all_their_addresses),
		cmocka_unit_test(names__more_addresses_than_room__cut),
		cmocka_unit_test(names__dropped_before_the_answer__nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

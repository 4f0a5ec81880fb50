/* SPDX-License-Identifier: MIT */
/* Commands that ask all workers, over a real socket; the test's thread is every thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "control/json_read.h"
#include "server/record.h"
#include "server/survey.h"
#include "server/walk.h"
#include "unit/bed_workers.h"
#include "unit/control_client.h"
#include "unit/test.h"

#define HOME 0xc0000200u /* 192.0.2.0 */
#define MANY 700u        /* of one worker: three rounds */

static struct bw *b;
static struct lw_control *control;
static struct lw_surveys surveys;
static char *answer;
static size_t answer_cap;

static int handle(void *arg, const char *command, struct lw_json *out,
                  struct lw_control_late **ret_late, struct lw_err *err)
{
	return lw_survey_command(arg, command, out, ret_late, err);
}

static void begin(uint32_t workers)
{
	struct lw_err err;

	b = bw_create(&(struct bw_plan){ .workers = workers });
	surveys = (struct lw_surveys){ .engine = &b->engine };
	assert_int_equal(lw_control_open(control_path, NULL, handle, &surveys, &control, &err), 0);
}

static void end(void)
{
	assert_null(surveys.first);
	assert_int_equal(surveys.n, 0);
	for (uint32_t i = 0; i < b->n; i++)
		assert_null(b->ends[i].s.walks);
	lw_control_close(control);
	bw_destroy(b);
}

/* what the control thread does in one turn */
static void control_turn(void)
{
	while (lw_control_step(control) == 1)
		;
	lw_mailbox_deliver(&b->engine.mail);
}

static void workers_turn(void)
{
	for (uint32_t i = 0; i < b->n; i++)
		assert_int_equal(lw_core_round(bw_core(b, i), 0), 0);
}

/* up to the end of the connection; how many turns it took */
static uint32_t read_answer(int fd)
{
	size_t len = 0;
	uint32_t turns = 0;

	for (;; turns++) {
		ssize_t n;

		assert_true(turns < 1000);
		control_turn();
		if (answer_cap - len < 65536) {
			answer_cap = 2 * answer_cap + 65536;
			answer = realloc(answer, answer_cap);
			assert_non_null(answer);
		}
		n = recv(fd, answer + len, answer_cap - len - 1, MSG_DONTWAIT);
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
		workers_turn();
	}
	answer[len] = '\0';
	assert_int_equal(close(fd), 0);
	return turns;
}

static struct lw_json_node *ask(const char *request)
{
	struct lw_json_node *root = NULL;

	(void)read_answer(control_dial(request));
	assert_int_equal(lw_json_read(answer, &root), 0);
	return root;
}

/* sessions whose peers have said nothing yet */
static void open_many(uint32_t worker, uint32_t n)
{
	struct lw_sessions *s = &b->ends[worker].s;

	for (uint32_t i = 0; i < n; i++) {
		const struct lw_endpoint ep = { .remote = lw_addr_ipv4(HOME + 250,
			                                               (uint16_t)(1 + i)) };
		struct lw_tls *tls = NULL;
		struct lw_tunnel *t;

		assert_int_equal(lw_tls_create(b->tls, LW_TLS_STREAM, 0, &tls), 0);
		assert_int_equal(lw_record_open(s, &s->core->path.ports[0], tls, &ep, 3, NULL, &t),
		                 0);
	}
}

static const char *text_of(const struct lw_json_node *row, const char *key)
{
	const struct lw_json_node *n = lw_json_get(row, key);

	assert_non_null(n);
	return n->type == LW_JSON_NULL ? "null" : n->text;
}

static void sessions__all_workers__are_listed(void **state)
{
	static const char *const keys[] = {
		"id",       "user",       "transport", "outside", "inside",
		"state",    "worker",     "age_s",     "idle_s",  "rx_packets",
		"rx_bytes", "tx_packets", "tx_bytes",  "cipher",  "expresslane",
	};
	const size_t n_keys = sizeof(keys) / sizeof(keys[0]);
	struct peer *peers[6];
	const struct lw_json_node *row;
	struct lw_json_node *root;
	uint32_t n = 0;

	(void)state;
	begin(3);
	for (uint32_t i = 0; i < 6; i++)
		peers[i] = bw_online(b, i % 3, HOME + i);
	root = ask("sessions\n");
	for (row = lw_json_get(root, "sessions")->child; row != NULL; row = row->next, n++) {
		const struct lw_json_node *member = row->child;
		const struct lw_tunnel *t;
		char text[LW_ADDR_TEXT_MAX];
		uint32_t who = n % 2 * 3 + n / 2; /* worker by worker, in order */

		for (size_t i = 0; i < n_keys; i++, member = member->next)
			assert_string_equal(member->key, keys[i]);
		assert_null(member);
		t = bw_tunnel(b, who % 3, peers[who]);
		assert_int_equal(strtoull(text_of(row, "id"), NULL, 10), t->s.serial);
		assert_int_equal(strtoul(text_of(row, "worker"), NULL, 10), who % 3);
		assert_string_equal(text_of(row, "outside"),
		                    lw_addr_format(&peers[who]->addr, text));
		assert_string_equal(text_of(row, "inside"), lw_addr_format(&t->s.inside, text));
		assert_string_equal(text_of(row, "user"), "me");
		assert_string_equal(text_of(row, "transport"), "udp");
		assert_string_equal(text_of(row, "state"), "online");
	}
	assert_int_equal(n, 6);
	lw_json_free(root);
	for (uint32_t i = 0; i < 6; i++)
		peer_destroy(peers[i]);
	end();
}

static void sessions__nobody__is_an_empty_list(void **state)
{
	struct lw_json_node *root;

	(void)state;
	begin(2);
	root = ask("sessions\n");
	assert_int_equal(lw_json_get(root, "sessions")->type, LW_JSON_ARRAY);
	assert_null(lw_json_get(root, "sessions")->child);
	lw_json_free(root);
	end();
}

static void sessions__many__come_in_bounded_rounds(void **state)
{
	struct lw_json_node *root;
	uint32_t n = 0;
	uint32_t unfinished = 0;

	(void)state;
	begin(2);
	open_many(1, MANY);
	/* one for worker 0, three for worker 1, one for the end of the connection */
	assert_int_equal(read_answer(control_dial("sessions\n")), 5);
	assert_int_equal(lw_json_read(answer, &root), 0);
	for (const struct lw_json_node *row = lw_json_get(root, "sessions")->child; row != NULL;
	     row = row->next, n++) {
		unfinished += strcmp(text_of(row, "user"), "null") == 0;
		assert_string_equal(text_of(row, "inside"), "null");
		assert_string_equal(text_of(row, "cipher"), "null");
	}
	assert_int_equal(n, MANY);
	assert_int_equal(unfinished, MANY);
	lw_json_free(root);
	end();
}

static void sessions__client_that_does_not_read__holds_up_nobody(void **state)
{
	struct lw_json_node *root;
	int slow;

	(void)state;
	begin(1);
	open_many(0, 4 * MANY); /* about 800 KiB, more than a socket takes */
	slow = control_dial("sessions\n");
	for (int i = 0; i < 50; i++) {
		control_turn();
		workers_turn();
	}
	assert_int_equal(surveys.n, 1);
	assert_non_null(b->ends[0].s.walks); /* somewhere on its way */
	root = ask("kick 1\n");
	assert_string_equal(text_of(root, "ended"), "1");
	lw_json_free(root);
	(void)read_answer(slow);
	assert_int_equal(lw_json_read(answer, &root), 0);
	lw_json_free(root);
	end();
}

/* after so many turns of both sides */
static void sessions__client_leaves__nothing_is_left(void **state)
{
	(void)state;
	for (int turns = 0; turns < 16; turns++) {
		int fd;

		begin(2);
		open_many(0, MANY);
		open_many(1, 10);
		fd = control_dial("sessions\n");
		for (int i = 0; i < turns; i++) {
			if (i % 2 == 0)
				control_turn();
			else
				workers_turn();
		}
		assert_int_equal(close(fd), 0);
		for (int i = 0; i < 4; i++) {
			control_turn();
			workers_turn();
		}
		control_turn();
		end();
	}
}

static void survey__more_than_may_be__is_refused(void **state)
{
	int fd[LW_SURVEYS_MAX];
	struct lw_json_node *root;

	(void)state;
	begin(1);
	/* whoever comes takes the place of the oldest, whose survey is still with the worker */
	for (uint32_t i = 0; i < LW_SURVEYS_MAX; i++) {
		fd[i] = control_dial("sessions\n");
		control_turn();
	}
	assert_int_equal(surveys.n, LW_SURVEYS_MAX);
	(void)read_answer(control_dial("sessions\n"));
	assert_non_null(
		strstr(answer, "\"error\":\"too many such commands are under way, try again\""));
	for (uint32_t i = 0; i < LW_SURVEYS_MAX; i++)
		assert_int_equal(close(fd[i]), 0);
	for (int i = 0; i < 4; i++) {
		control_turn();
		workers_turn();
	}
	root = ask("sessions\n");
	assert_non_null(lw_json_get(root, "sessions"));
	lw_json_free(root);
	end();
}

static void kick__serials_of_several_workers__end(void **state)
{
	struct peer *peers[6];
	char request[128];
	struct lw_json_node *root;
	const struct lw_json_node *missing;

	(void)state;
	begin(3);
	for (uint32_t i = 0; i < 6; i++)
		peers[i] = bw_online(b, i % 3, HOME + i);
	(void)snprintf(request, sizeof(request), "kick %llu 4711 %llu 12345\n",
	               (unsigned long long)bw_tunnel(b, 2, peers[5])->s.serial,
	               (unsigned long long)bw_tunnel(b, 0, peers[0])->s.serial);
	root = ask(request);
	assert_string_equal(text_of(root, "ended"), "2");
	missing = lw_json_get(root, "not_found")->child;
	assert_string_equal(missing->text, "4711");
	assert_string_equal(missing->next->text, "12345");
	assert_null(missing->next->next);
	lw_json_free(root);
	bw_settle(b, peers, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(peers[i]->closed, i == 0 || i == 5);
		if (peers[i]->closed)
			assert_int_equal(peers[i]->t->reason, LW_CLOSE_PEER);
		peer_destroy(peers[i]);
	}
	assert_int_equal(b->common.n, 4);
	end();
}

static void kick__user__all_of_them_end(void **state)
{
	struct peer *peers[3];
	struct lw_json_node *root;

	(void)state;
	begin(3);
	for (uint32_t i = 0; i < 3; i++)
		peers[i] = bw_online(b, i, HOME + i);
	root = ask("kick-user nobody\n");
	assert_string_equal(text_of(root, "ended"), "0");
	assert_string_equal(lw_json_get(root, "not_found")->child->text, "nobody");
	lw_json_free(root);
	root = ask("kick-user me\n");
	assert_string_equal(text_of(root, "ended"), "3");
	assert_null(lw_json_get(root, "not_found")->child);
	lw_json_free(root);
	assert_int_equal(b->common.n, 0);
	for (uint32_t i = 0; i < 3; i++)
		peer_destroy(peers[i]);
	end();
}

static void command__malformed__is_refused(void **state)
{
	static const struct {
		const char *request;
		const char *error;
	} cases[] = {
		{ "kick\n", "there is no such command" },
		{ "kick \n", "ids are numbers" },
		{ "kick x\n", "ids are numbers" },
		{ "kick-user \n", "1 to 63 bytes" },
		{ "sessions all\n", "there is no such command" },
		{ "session\n", "there is no such command" },
	};

	(void)state;
	begin(1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)read_answer(control_dial(cases[i].request));
		assert_non_null(strstr(answer, cases[i].error));
	}
	end();
}

/* as server.c does it */
static void daemon_ends__surveys_under_way__nothing_is_left(void **state)
{
	(void)state;
	for (int turns = 0; turns < 8; turns++) {
		int fd[3];

		begin(2);
		open_many(0, MANY);
		fd[0] = control_dial("sessions\n");
		fd[1] = control_dial("kick 999999\n");
		fd[2] = control_dial("kick-user nobody\n");
		for (int i = 0; i < turns; i++) {
			if (i % 2 == 0)
				control_turn();
			else
				workers_turn();
		}
		for (uint32_t i = 0; i < 2; i++)
			lw_sessions_close_all(&b->ends[i].s);
		lw_surveys_end(&surveys);
		for (uint32_t i = 0; i < 2; i++)
			b->ends[i].s.walks = NULL; /* they have ended too */
		b->engine.mail.head = b->engine.mail.tail = NULL;
		for (uint32_t i = 0; i < 2; i++)
			bw_core(b, i)->mail.head = bw_core(b, i)->mail.tail = NULL;
		for (int i = 0; i < 3; i++)
			assert_int_equal(close(fd[i]), 0);
		end();
	}
}

static int remove_all(void **state)
{
	free(answer);
	return control_folder_remove(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions__all_workers__are_listed),
		cmocka_unit_test(sessions__nobody__is_an_empty_list),
		cmocka_unit_test(sessions__many__come_in_bounded_rounds),
		cmocka_unit_test(sessions__client_that_does_not_read__holds_up_nobody),
		cmocka_unit_test(sessions__client_leaves__nothing_is_left),
		cmocka_unit_test(survey__more_than_may_be__is_refused),
		cmocka_unit_test(kick__serials_of_several_workers__end),
		cmocka_unit_test(kick__user__all_of_them_end),
		cmocka_unit_test(command__malformed__is_refused),
		cmocka_unit_test(daemon_ends__surveys_under_way__nothing_is_left),
	};

	return cmocka_run_group_tests(tests, control_folder_make, remove_all);
}

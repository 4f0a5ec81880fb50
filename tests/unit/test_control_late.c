/* SPDX-License-Identifier: MIT */
/* Answers that the handler makes bit by bit, after it has returned. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "control/control.h"
#include "unit/control_client.h"
#include "unit/test.h"

#define HEAD "{\"schema\":1,\"version\":\"" PACKAGE_VERSION "\""
/* more than a socket takes at once */
#define PART 300000

/* an answer under way */
struct work {
	struct lw_control_late late; /* first */
	uint32_t n_wakes;
	bool gone;
};

/* what the handler hands out, in turn */
static struct work works[LW_CONTROL_CLIENTS + 1];
static uint32_t n_works;

static void on_wake(struct lw_control_late *late)
{
	struct work *w = (struct work *)late;

	assert_false(w->gone);
	w->n_wakes++;
	w->gone = lw_control_out(late) == NULL;
}

static int handle(void *arg, const char *command, struct lw_json *out,
                  struct lw_control_late **ret_late, struct lw_err *err)
{
	struct work *w = &works[n_works];

	(void)arg;
	(void)err;
	if (strcmp(command, "late") != 0)
		return -ENOSYS;
	n_works++;
	*w = (struct work){ .late = { .wake = on_wake } };
	*ret_late = &w->late;
	lw_json_array(out, "parts");
	return -EINPROGRESS;
}

static struct lw_control *begin(void)
{
	struct lw_control *c = NULL;
	struct lw_err err;

	n_works = 0;
	assert_int_equal(lw_control_open(control_path, NULL, handle, NULL, &c, &err), 0);
	return c;
}

static void step_all(struct lw_control *c)
{
	int left = 1000;

	while (lw_control_step(c) == 1)
		assert_true(left-- > 0);
}

static bool has_work(struct lw_control *c)
{
	struct pollfd p = { .fd = lw_control_fd(c), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* a client that has sent this */
static int ask(struct lw_control *c, const char *request)
{
	int fd = control_dial(request);

	step_all(c);
	return fd;
}

/* what has come; -1: nothing, 0: the end */
static ssize_t got(int fd, char *buf, size_t cap)
{
	ssize_t n = recv(fd, buf, cap - 1, MSG_DONTWAIT);

	if (n >= 0)
		buf[n] = '\0';
	return n;
}

static void add_part(struct work *w, char byte, size_t len)
{
	char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, byte, len);
	text[len] = '\0';
	lw_json_string(lw_control_out(&w->late), NULL, text);
	free(text);
}

static void finish(struct work *w)
{
	lw_json_end(lw_control_out(&w->late));
	lw_control_finish(&w->late, 0, NULL);
}

static void late__in_parts__arrives_whole(void **state)
{
	struct lw_control *c = begin();
	int fd = ask(c, "late\nand more");
	char buf[256];

	(void)state;
	assert_int_equal(n_works, 1);
	assert_false(has_work(c)); /* what else the client has sent is no reason to wake up */
	assert_true(got(fd, buf, sizeof(buf)) < 0);
	add_part(&works[0], 'a', 1);
	lw_control_push(&works[0].late);
	assert_int_equal(works[0].n_wakes, 1);
	assert_true(got(fd, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, HEAD ",\"parts\":[\"a\"");
	add_part(&works[0], 'b', 2);
	lw_control_push(&works[0].late);
	assert_int_equal(works[0].n_wakes, 2);
	assert_true(got(fd, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, ",\"bb\"");
	add_part(&works[0], 'c', 1);
	finish(&works[0]);
	assert_true(got(fd, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, ",\"c\"]}");
	assert_int_equal(got(fd, buf, sizeof(buf)), 0);
	assert_int_equal(works[0].n_wakes, 2);
	assert_int_equal(close(fd), 0);
	lw_control_close(c);
}

/* as of a shell's pipe into nc: nothing more comes from it, and it reads on */
static void late__client_that_only_reads__is_answered(void **state)
{
	struct lw_control *c = begin();
	int fd = ask(c, "late\n");
	char buf[256];

	(void)state;
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	step_all(c);
	assert_false(works[0].gone);
	assert_false(has_work(c));
	finish(&works[0]);
	assert_true(got(fd, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, HEAD ",\"parts\":[]}");
	assert_int_equal(close(fd), 0);
	lw_control_close(c);
}

static void late__client_that_does_not_read__stops_the_making(void **state)
{
	struct lw_control *c = begin();
	int fd = ask(c, "late\n");
	static char buf[PART];
	size_t sum = 0;

	(void)state;
	add_part(&works[0], 'x', PART);
	lw_control_push(&works[0].late);
	step_all(c);
	assert_int_equal(works[0].n_wakes, 0);
	assert_int_equal(close(ask(c, "version\n")), 0); /* others are served meanwhile */
	step_all(c);
	while (works[0].n_wakes == 0) {
		ssize_t n = got(fd, buf, sizeof(buf));

		assert_true(n > 0);
		sum += (size_t)n;
		step_all(c);
	}
	assert_int_equal(works[0].n_wakes, 1);
	assert_int_equal(lw_control_out(&works[0].late)->len, 0);
	finish(&works[0]);
	for (ssize_t n; (n = got(fd, buf, sizeof(buf))) > 0;)
		sum += (size_t)n;
	assert_int_equal(sum, strlen(HEAD ",\"parts\":[\"\"]}") + PART);
	assert_int_equal(close(fd), 0);
	lw_control_close(c);
}

static void late__client_leaves__handler_is_told_once(void **state)
{
	(void)state;
	/* before the first part, behind it, and while it is being sent */
	for (size_t part = 0; part <= PART; part += PART / 2) {
		struct lw_control *c = begin();
		int fd = ask(c, "late\n");
		uint32_t before;

		if (part > 0) {
			add_part(&works[0], 'x', part == PART ? PART : 1);
			lw_control_push(&works[0].late);
		}
		assert_false(works[0].gone);
		before = works[0].n_wakes;
		assert_int_equal(close(fd), 0);
		step_all(c);
		assert_true(works[0].gone);
		assert_int_equal(works[0].n_wakes, before + 1);
		/* what comes home now finds nobody, and that is all */
		assert_null(lw_control_out(&works[0].late));
		lw_control_push(&works[0].late);
		lw_control_finish(&works[0].late, 0, NULL);
		assert_int_equal(works[0].n_wakes, before + 1);
		assert_false(has_work(c));
		lw_control_close(c);
	}
}

static void late__client_leaves_under_a_push__handler_is_told(void **state)
{
	struct lw_control *c = begin();
	int fd = ask(c, "late\n");

	(void)state;
	add_part(&works[0], 'x', 1);
	assert_int_equal(close(fd), 0);
	lw_control_push(&works[0].late); /* nobody has looked at the sockets since */
	assert_true(works[0].gone);
	assert_int_equal(works[0].n_wakes, 1);
	lw_control_close(c);
}

static void late__every_place_taken__the_oldest_is_told(void **state)
{
	struct lw_control *c = begin();
	int fd[LW_CONTROL_CLIENTS + 1];
	char buf[256];

	(void)state;
	for (int i = 0; i < LW_CONTROL_CLIENTS; i++)
		fd[i] = ask(c, "late\n");
	for (int i = 0; i < LW_CONTROL_CLIENTS; i++)
		assert_false(works[i].gone);
	fd[LW_CONTROL_CLIENTS] = ask(c, "late\n");
	assert_int_equal(n_works, LW_CONTROL_CLIENTS + 1);
	assert_true(works[0].gone);
	assert_int_equal(got(fd[0], buf, sizeof(buf)), 0);
	/* in another order than they were asked for */
	for (int i = LW_CONTROL_CLIENTS; i > 0; i--) {
		add_part(&works[i], (char)('a' + i), 1);
		finish(&works[i]);
		assert_true(got(fd[i], buf, sizeof(buf)) > 0);
		assert_int_equal(buf[strlen(HEAD ",\"parts\":[\"")], 'a' + i);
	}
	for (int i = 0; i <= LW_CONTROL_CLIENTS; i++)
		assert_int_equal(close(fd[i]), 0);
	lw_control_close(c);
}

static void late__fails__is_a_sentence_while_nothing_is_sent(void **state)
{
	struct lw_control *c = begin();
	int fd = ask(c, "late\n");
	struct lw_err err;
	char buf[256];

	(void)state;
	add_part(&works[0], 'x', 1);
	lw_control_finish(&works[0].late, lw_err_set(&err, -ESHUTDOWN, "it is ending"), &err);
	assert_true(got(fd, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, HEAD ",\"error\":\"it is ending\"}");
	assert_int_equal(got(fd, buf, sizeof(buf)), 0);
	assert_int_equal(works[0].n_wakes, 0);
	assert_int_equal(close(fd), 0);

	fd = ask(c, "late\n");
	lw_control_push(&works[1].late);
	lw_control_finish(&works[1].late, -ESHUTDOWN, &err);
	assert_true(got(fd, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, HEAD ",\"parts\":[");
	assert_int_equal(got(fd, buf, sizeof(buf)), 0);
	assert_int_equal(close(fd), 0);

	/* in the middle of the first part */
	fd = ask(c, "late\n");
	add_part(&works[2], 'x', PART);
	lw_control_push(&works[2].late);
	lw_control_finish(&works[2].late, -ESHUTDOWN, &err);
	for (bool first = true; got(fd, buf, sizeof(buf)) > 0; first = false) {
		if (!first)
			assert_null(strchr(buf, '{'));
	}
	assert_int_equal(works[2].n_wakes, 0);
	assert_int_equal(close(fd), 0);
	lw_control_close(c);
}

static void late__part_too_large__client_is_dropped(void **state)
{
	struct lw_control *c = begin();
	int fd = ask(c, "late\n");
	char buf[256];

	(void)state;
	add_part(&works[0], 'x', LW_JSON_SIZE_MAX);
	lw_control_push(&works[0].late);
	assert_true(works[0].gone);
	assert_int_equal(got(fd, buf, sizeof(buf)), 0);
	assert_int_equal(close(fd), 0);
	lw_control_close(c);
}

static void control_close__answers_under_way__all_are_told(void **state)
{
	struct lw_control *c = begin();
	int fd[3];
	char buf[256];

	(void)state;
	for (int i = 0; i < 3; i++)
		fd[i] = ask(c, "late\n");
	add_part(&works[1], 'x', PART);
	lw_control_push(&works[1].late);
	lw_control_push(&works[2].late);
	lw_control_close(c);
	for (int i = 0; i < 3; i++) {
		assert_true(works[i].gone);
		assert_null(lw_control_out(&works[i].late));
		while (got(fd[i], buf, sizeof(buf)) > 0)
			;
		assert_int_equal(close(fd[i]), 0);
	}
	assert_int_equal(works[0].n_wakes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late__in_parts__arrives_whole),
		cmocka_unit_test(late__client_that_only_reads__is_answered),
		cmocka_unit_test(late__client_that_does_not_read__stops_the_making),
		cmocka_unit_test(late__client_leaves__handler_is_told_once),
		cmocka_unit_test(late__client_leaves_under_a_push__handler_is_told),
		cmocka_unit_test(late__every_place_taken__the_oldest_is_told),
		cmocka_unit_test(late__fails__is_a_sentence_while_nothing_is_sent),
		cmocka_unit_test(late__part_too_large__client_is_dropped),
		cmocka_unit_test(control_close__answers_under_way__all_are_told),
	};

	return cmocka_run_group_tests(tests, control_folder_make, control_folder_remove);
}

/* SPDX-License-Identifier: MIT */
/* Who is asked to take a program, and what is said when somebody does not. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "unit/test.h"
#include "worker/engine.h"
#include "worker/steer.h"

/* --- a kernel that refuses --- */

static int refuses_bpf; /* errno, 0: works */
static int refuses_socket;
static int refuses_option; /* the how manyth setsockopt() from now on fails, 0: none */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

long __wrap_syscall(long number, ...)
{
	va_list ap;
	long arg[3];

	va_start(ap, number);
	for (int i = 0; i < 3; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	if (number != SYS_bpf || refuses_bpf == 0)
		return __real_syscall(number, arg[0], arg[1], arg[2]);
	errno = refuses_bpf;
	return -1;
}

int __wrap_socket(int family, int type, int protocol)
{
	if (refuses_socket == 0)
		return __real_socket(family, type, protocol);
	errno = refuses_socket;
	return -1;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (refuses_option == 0 || --refuses_option > 0)
		return __real_setsockopt(fd, level, name, value, len);
	errno = ENOPROTOOPT;
	return -1;
}

static int willing_kernel(void **state)
{
	(void)state;
	refuses_bpf = 0;
	refuses_socket = 0;
	refuses_option = 0;
	return 0;
}

static uint32_t count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint32_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

/* whether this user may load programs at all */
static bool may_load(void)
{
	int fd = lw_steer_inside(2, NULL);

	if (fd >= 0)
		(void)close(fd);
	else
		print_message("SKIP: this user may load no program\n");
	return fd >= 0;
}

static void steer_inside__kernel_refuses__says_so(void **state)
{
	struct lw_err err = { 0 };

	(void)state;
	refuses_bpf = EPERM;
	assert_int_equal(lw_steer_inside(2, &err), -EPERM);
	assert_string_equal(err.text, "cannot load a program for the inside device: Operation not "
	                              "permitted");
	assert_int_equal(err.code, -EPERM);
	refuses_bpf = ENOSYS;
	assert_int_equal(lw_steer_inside(2, NULL), -ENOSYS);
}

static void steer_probe__kernel_takes_both__leaves_nothing_open(void **state)
{
	uint32_t before = count_descriptors();
	struct lw_err err = { 0 };

	(void)state;
	if (!may_load())
		skip();
	assert_int_equal(lw_steer_probe(&err), 0);
	assert_string_equal(err.text, "");
	assert_int_equal(count_descriptors(), before);
}

static void steer_probe__each_call_fails__says_so_and_leaves_nothing_open(void **state)
{
	static const struct {
		int socket;
		int option;
		int bpf;
		int expected;
		const char *text;
	} cases[] = {
		{ EMFILE, 0, 0, -EMFILE, "cannot give sockets a program: Too many open files" },
		{ 0, 1, 0, -ENOPROTOOPT, "cannot give sockets a program: Protocol not available" },
		{ 0, 2, 0, -ENOPROTOOPT, "cannot give sockets a program: Protocol not available" },
		{ 0, 0, EPERM, -EPERM,
		  "cannot load a program for the inside device: Operation not permitted" },
	};
	uint32_t before = count_descriptors();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lw_err err = { 0 };

		refuses_socket = cases[i].socket;
		refuses_option = cases[i].option;
		refuses_bpf = cases[i].bpf;
		assert_int_equal(lw_steer_probe(&err), cases[i].expected);
		assert_string_equal(err.text, cases[i].text);
		assert_int_equal(count_descriptors(), before);
	}
}

/* --- instances that are asked --- */

/* what one was asked, and what it answers */
struct asked {
	uint32_t n;
	uint32_t listeners; /* behind them it says -ENOENT */
	uint32_t refuses_at;
	int refusal; /* 0: none */
	int prog_fd; /* of the last */
	bool open;   /* that was a descriptor */
	bool right;  /* it was the program for sockets */
	uint32_t workers;
};

static int answer(struct asked *a, uint32_t tag)
{
	assert_int_equal(tag, a->n);
	a->n++;
	if (a->refusal != 0 && tag == a->refuses_at)
		return a->refusal;
	return tag < a->listeners ? 0 : -ENOENT;
}

static int udp_steer(void *inst, uint32_t tag, const struct lw_steer *s)
{
	struct sock_filter insns[LW_STEER_OUTSIDE_INSNS];
	struct asked *a = inst;

	lw_steer_outside(a->workers, insns);
	a->prog_fd = s->prog_fd;
	a->right = s->n == LW_STEER_OUTSIDE_INSNS && memcmp(s->insns, insns, sizeof(insns)) == 0;
	return answer(a, tag);
}

static int inside_steer(void *inst, uint32_t tag, const struct lw_steer *s)
{
	struct asked *a = inst;

	a->prog_fd = s->prog_fd;
	a->open = fcntl(s->prog_fd, F_GETFD) >= 0;
	a->right = s->insns == NULL && s->n == 0;
	return answer(a, tag);
}

static const struct lw_outside_udp_ops udp_ops = { .size = sizeof(udp_ops), .steer = udp_steer };
static const struct lw_outside_udp_ops udp_without = { .size = sizeof(udp_without) };
static const struct lw_outside_udp_ops udp_old = {
	.size = offsetof(struct lw_outside_udp_ops, steer), .steer = udp_steer
};
static const struct lw_inside_ops inside_ops = { .size = sizeof(inside_ops),
	                                         .steer = inside_steer };
static const struct lw_inside_ops inside_without = { .size = sizeof(inside_without) };
static const struct lw_inside_ops inside_old = { .size = offsetof(struct lw_inside_ops, steer),
	                                         .steer = inside_steer };

#define UDP(o)                                                                                     \
	{                                                                                          \
		.kind = LW_KIND_OUTSIDE_UDP, .name = "an-outside", .ops.udp = (o)                  \
	}
#define INSIDE(o)                                                                                  \
	{                                                                                          \
		.kind = LW_KIND_INSIDE, .name = "an-inside", .ops.inside = (o)                     \
	}

static const struct lw_module udp = UDP(&udp_ops);
static const struct lw_module inside = INSIDE(&inside_ops);
static const struct lw_module tcp = { .kind = LW_KIND_OUTSIDE_TCP, .name = "tcp" };
static const struct lw_module filter = { .kind = LW_KIND_FILTER, .name = "filter" };

struct asking {
	struct lw_engine engine;
	struct lw_instance instances[5];
	struct asked asked[5];
	char log[2048]; /* what was said */
};

static struct asking *asking_create(uint32_t workers)
{
	struct asking *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	a->engine.n_workers = workers;
	lw_log_open(LW_LOG_WARN);
	return a;
}

static struct asked *add(struct asking *a, const struct lw_module *m, uint32_t listeners)
{
	uint32_t i = a->engine.n_instances++;

	a->asked[i] = (struct asked){ .listeners = listeners, .workers = a->engine.n_workers };
	a->instances[i].module = m;
	a->instances[i].inst = &a->asked[i];
	a->engine.instances[i] = &a->instances[i];
	return &a->asked[i];
}

static void ask(struct asking *a)
{
	int saved = dup(STDERR_FILENO);
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	lw_engine_steer(&a->engine);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	n = read(fds[0], a->log, sizeof(a->log) - 1);
	a->log[n > 0 ? n : 0] = '\0';
	(void)close(saved);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

#define COSTS "; workers hand them to each other, which costs\n"

/* One line, and this is its end. */
static void assert_warned(const struct asking *a, const char *who, const char *why)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
	               " warn %s: packets cannot be brought to their worker by the kernel: "
	               "%s" COSTS,
	               who, why);
	if (strstr(a->log, text) == NULL)
		fail_msg("'%s' is not in '%s'", text, a->log);
	assert_ptr_equal(strchr(a->log, '\n'), a->log + strlen(a->log) - 1);
}

/* It has no need to tell workers apart, but strangers. */
static void engine_steer__one_worker__listeners_only(void **state)
{
	struct asking *a = asking_create(1);

	(void)state;
	(void)add(a, &udp, 2);
	(void)add(a, &inside, 1);
	refuses_bpf = EPERM;
	ask(a);
	assert_int_equal(a->asked[0].n, 3); /* and the one behind them */
	assert_true(a->asked[0].right);
	assert_int_equal(a->asked[1].n, 0);
	assert_string_equal(a->log, "");
	free(a);
}

static void engine_steer__one_worker_without_steer__is_quiet(void **state)
{
	static const struct lw_module modules[] = { UDP(&udp_without), UDP(&udp_old),
		                                    INSIDE(&inside_without) };

	(void)state;
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		struct asking *a = asking_create(1);

		(void)add(a, &modules[i], 1);
		ask(a);
		assert_int_equal(a->asked[0].n, 0);
		assert_string_equal(a->log, "");
		free(a);
	}
}

static void engine_steer__one_worker_is_refused__says_what_it_means(void **state)
{
	struct asking *a = asking_create(1);

	(void)state;
	add(a, &udp, 2)->refusal = -EPERM;
	ask(a);
	assert_int_equal(a->asked[0].n, 1);
	assert_non_null(strstr(a->log, " warn an-outside: the kernel gives strangers no queue of "
	                               "their own: Operation not permitted; a flood of them takes "
	                               "from sessions\n"));
	free(a);
}

static void engine_steer__several_workers__each_listener_and_the_device(void **state)
{
	struct asking *a = asking_create(3);
	const struct asked *one = add(a, &udp, 1);
	uint32_t before = count_descriptors();
	const struct asked *in;
	const struct asked *three;

	(void)state;
	if (!may_load()) {
		free(a);
		skip();
	}
	(void)add(a, &tcp, 0);
	in = add(a, &inside, 1);
	(void)add(a, &filter, 0);
	three = add(a, &udp, 3);
	ask(a);
	assert_string_equal(a->log, "");
	assert_int_equal(one->n, 2); /* and the one behind it */
	assert_int_equal(three->n, 4);
	assert_true(one->right && three->right);
	assert_int_equal(one->prog_fd, -1);
	assert_int_equal(in->n, 1);
	assert_true(in->right && in->open);
	assert_int_equal(count_descriptors(), before); /* the device keeps the program, not we */
	free(a);
}

static void engine_steer__no_steer_or_an_older_table__warns_and_does_not_call(void **state)
{
	static const struct lw_module modules[] = { UDP(&udp_without), UDP(&udp_old),
		                                    INSIDE(&inside_without), INSIDE(&inside_old) };

	(void)state;
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		struct asking *a = asking_create(2);
		const struct asked *it = add(a, &modules[i], 1);

		ask(a);
		assert_int_equal(it->n, 0);
		assert_warned(a, modules[i].name, "Operation not supported");
		free(a);
	}
}

static void engine_steer__module_refuses__warns_once_and_asks_the_others(void **state)
{
	(void)state;
	if (!may_load())
		skip();
	for (uint32_t i = 0; i < 3; i++) {
		struct asking *a = asking_create(2);
		struct asked *it[3] = { add(a, &udp, 3), add(a, &inside, 1), add(a, &udp, 2) };

		it[i]->refusal = -EPERM;
		it[i]->refuses_at = i == 2 ? 1 : 0;
		ask(a);
		assert_warned(a, i == 1 ? "an-inside" : "an-outside", "Operation not permitted");
		assert_int_equal(it[0]->n, i == 0 ? 1 : 4);
		assert_int_equal(it[1]->n, 1);
		assert_int_equal(it[2]->n, i == 2 ? 2 : 3);
		free(a);
	}
}

/* An outside without listeners has nothing to be steered, and that is no mistake. */
static void engine_steer__no_listener__is_quiet(void **state)
{
	struct asking *a = asking_create(2);

	(void)state;
	(void)add(a, &udp, 0);
	ask(a);
	assert_int_equal(a->asked[0].n, 1);
	assert_string_equal(a->log, "");
	free(a);
}

static void engine_steer__no_program_for_the_inside__warns_and_does_not_call(void **state)
{
	struct asking *a = asking_create(2);

	(void)state;
	(void)add(a, &inside, 1);
	refuses_bpf = ENOMEM;
	ask(a);
	assert_int_equal(a->asked[0].n, 0);
	assert_warned(a, "an-inside", "Cannot allocate memory");
	free(a);
}

#define TEST(f) cmocka_unit_test_setup(f, willing_kernel)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(steer_inside__kernel_refuses__says_so),
		TEST(steer_probe__kernel_takes_both__leaves_nothing_open),
		TEST(steer_probe__each_call_fails__says_so_and_leaves_nothing_open),
		TEST(engine_steer__one_worker__listeners_only),
		TEST(engine_steer__one_worker_without_steer__is_quiet),
		TEST(engine_steer__one_worker_is_refused__says_what_it_means),
		TEST(engine_steer__several_workers__each_listener_and_the_device),
		TEST(engine_steer__no_steer_or_an_older_table__warns_and_does_not_call),
		TEST(engine_steer__module_refuses__warns_once_and_asks_the_others),
		TEST(engine_steer__no_listener__is_quiet),
		TEST(engine_steer__no_program_for_the_inside__warns_and_does_not_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

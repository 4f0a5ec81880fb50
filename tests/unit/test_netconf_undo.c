/* SPDX-License-Identifier: MIT */
/* The routes of a client go away again: at its end, and at the next start after it was killed. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/netconf_bed.h"
#include "unit/test.h"

static void restore__equal_routes_of_the_user__stay(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_LAN);

	(void)state;
	assert_int_equal(
		nb_user_route(SIOCADDRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	assert_int_equal(nb_user_route(SIOCADDRT, "10.0.0.0", "255.0.0.0", "192.0.2.1", NULL), 0);
	assert_int_equal(nb_user_route(SIOCADDRT, "172.16.0.0", "255.240.0.0", "192.0.2.77", NULL),
	                 0);
	assert_int_equal(nb_user_route(SIOCADDRT, "0.0.0.0", "128.0.0.0", NULL, "lw0"), 0);
	(void)nb_table(f->before);
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_true(nb_has(SECOND_HALF));
	nb_end(f);
	assert_int_equal(
		nb_user_route(SIOCDELRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	assert_int_equal(nb_user_route(SIOCDELRT, "10.0.0.0", "255.0.0.0", "192.0.2.1", NULL), 0);
	assert_int_equal(nb_user_route(SIOCDELRT, "172.16.0.0", "255.240.0.0", "192.0.2.77", NULL),
	                 0);
	assert_int_equal(nb_user_route(SIOCDELRT, "0.0.0.0", "128.0.0.0", NULL, "lw0"), 0);
}

static void restore__route_of_another_client__stays(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_LIST);
	struct lw_netconf *second;

	(void)state;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_int_equal(lw_netconf_create(nb_state_dir, "lw1", &second, &f->err), 0);
	assert_int_equal(lw_netconf_apply(second, &f->plan, &f->err), 0);
	assert_int_equal(lw_netconf_restore(second, &f->err), 0);
	lw_netconf_destroy(second);
	assert_true(nb_has(SERVER));
	nb_end(f);
}

static void restore__route_or_device_gone__is_no_error(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);

	(void)state;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_int_equal(
		nb_user_route(SIOCDELRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	nb_tun_goes();
	nb_end(f);
	nb_tun_comes();
}

/* a client that applies and is killed */
static void crash(struct nb_fixture *f)
{
	pid_t pid;
	int status;

	lw_netconf_destroy(f->nc);
	f->nc = NULL;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		uint32_t undone;

		if (lw_netconf_create(nb_state_dir, "lw0", &f->nc, NULL) < 0 ||
		    lw_netconf_recover(f->nc, &undone, NULL) < 0 ||
		    lw_netconf_apply(f->nc, &f->plan, NULL) < 0)
			_exit(1);
		(void)kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(lw_netconf_create(nb_state_dir, "lw0", &f->nc, &f->err), 0);
}

static void recover__after_a_crash__is_as_before(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_LAN);
	uint32_t undone = 99;

	(void)state;
	crash(f);
	assert_true(nb_has(SERVER));
	assert_true(nb_has(FIRST_HALF));
	assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
	assert_int_equal(undone, 8);
	nb_assert_as_before(f);
	assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
	assert_int_equal(undone, 0);
	nb_assert_as_before(f);
	nb_end(f);
}

static void recover__device_gone__removes_the_rest(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);
	uint32_t undone = 99;

	(void)state;
	crash(f);
	nb_tun_goes();
	assert_true(nb_has(SERVER));
	assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
	assert_int_equal(undone, 1);
	nb_end(f);
	nb_tun_comes();
}

static void recover__entries_that_do_not_fit_any_more__touch_nothing(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);
	uint32_t undone = 99;

	(void)state;
	crash(f);
	/* somebody has made the server's route anew, over the same gateway */
	assert_int_equal(
		nb_user_route(SIOCDELRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	assert_int_equal(
		nb_user_route(SIOCADDRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
	assert_int_equal(undone, 2);
	assert_true(nb_has(SERVER));
	assert_int_equal(
		nb_user_route(SIOCDELRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	nb_end(f);
}

static void write_state(const char *text)
{
	int fd = open(nb_state_file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
}

static void recover__damaged_journal__does_what_can_be_read(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);
	char text[512];
	uint32_t undone = 99;

	(void)state;
	crash(f);
	lw_netconf_destroy(f->nc);
	(void)snprintf(text, sizeof(text),
	               "nonsense\nroute 1 2 3\nroute 198.51.100.7 32 192.0.2.1 %u other0\n"
	               "route 198.51.100.7 33 192.0.2.1 %u phys0\n"
	               "route 198.51.100.7 32 192.0.2.1 %u phys0\n"
	               "route 128.0.0.0 1 - %u lw0\nroute 0.0.0.0 1 - %u lw0",
	               if_nametoindex("phys0"), if_nametoindex("phys0"), if_nametoindex("phys0"),
	               if_nametoindex("lw0"), if_nametoindex("lw0"));
	write_state(text);
	assert_int_equal(lw_netconf_create(nb_state_dir, "lw0", &f->nc, &f->err), 0);
	assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
	assert_int_equal(undone, 2);
	assert_false(nb_has(SERVER));
	assert_true(
		nb_has(FIRST_HALF)); /* its line was cut, so it was never made, as far as we know */
	assert_int_equal(nb_user_route(SIOCDELRT, "0.0.0.0", "128.0.0.0", NULL, "lw0"), 0);
	nb_end(f);
}

static void recover__number_of_another_device__touches_nothing(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_LIST);
	char text[128];
	uint32_t undone = 99;

	(void)state;
	crash(f);
	lw_netconf_destroy(f->nc);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(text, sizeof(text), "route 198.51.100.7 32 192.0.2.1 %u %s\n",
		               if_nametoindex("phys0"), i == 0 ? "other0" : "phys0");
		write_state(text);
		assert_int_equal(lw_netconf_create(nb_state_dir, "lw0", &f->nc, &f->err), 0);
		assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
		assert_int_equal(undone, i);
		assert_int_equal(nb_has(SERVER), i == 0);
		if (i == 0)
			lw_netconf_destroy(f->nc);
	}
	nb_end(f);
}

static void create__while_another_runs__is_refused(void **state)
{
	struct nb_fixture *f = nb_begin(LW_NETCONF_DEFAULT);
	struct lw_netconf *second = NULL;
	struct lw_err err;

	(void)state;
	assert_int_equal(lw_netconf_create(nb_state_dir, "lw0", &second, &err), -EBUSY);
	assert_null(second);
	assert_non_null(strstr(err.text, "a client with the name 'lw0' runs already"));
	assert_int_equal(lw_netconf_create(nb_state_dir, "lw1", &second, &err), 0);
	lw_netconf_destroy(second);
	assert_int_equal(lw_netconf_create(nb_state_dir, "../x", &second, &err), -EINVAL);
	assert_int_equal(lw_netconf_create(nb_state_dir, "", &second, &err), -EINVAL);
	nb_end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restore__equal_routes_of_the_user__stay),
		cmocka_unit_test(restore__route_of_another_client__stays),
		cmocka_unit_test(restore__route_or_device_gone__is_no_error),
		cmocka_unit_test(recover__after_a_crash__is_as_before),
		cmocka_unit_test(recover__device_gone__removes_the_rest),
		cmocka_unit_test(recover__entries_that_do_not_fit_any_more__touch_nothing),
		cmocka_unit_test(recover__damaged_journal__does_what_can_be_read),
		cmocka_unit_test(recover__number_of_another_device__touches_nothing),
		cmocka_unit_test(create__while_another_runs__is_refused),
	};

	return cmocka_run_group_tests(tests, nb_set_up, nb_tear_down);
}

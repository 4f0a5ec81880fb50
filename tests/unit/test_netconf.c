/* SPDX-License-Identifier: MIT */
/*
 * In a network namespace of its own: "phys0" has 192.0.2.2/24 with a default route over
 * 192.0.2.1, "lw0" is the TUN device. Tables are compared as /proc shows them.
 */
#include "config.h" /* first: it asks for unshare() */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/addr.h"
#include "client/netconf.h"
#include "client/rtnl.h"
#include "unit/test.h"

#define TABLE_MAX 16384

static char dir[] = "/tmp/lw-netconf-XXXXXX";
static char state_dir[64];
static char state_file[128];
static int tun_fd = -1;
static int phys_fd = -1;
static const char *why_not; /* NULL: the namespace is ready */

/* a device that lives as long as its descriptor */
static int make_device(const char *name, short flags)
{
	struct ifreq ifr = { .ifr_flags = (short)(flags | IFF_NO_PI) };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int ioctl_up(const char *name, const char *address)
{
	struct ifreq ifr = { .ifr_flags = 0 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (address != NULL) {
		(void)inet_pton(AF_INET, address, &sin.sin_addr);
		memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
		r |= ioctl(fd, SIOCSIFADDR, &ifr);
		(void)inet_pton(AF_INET, "255.255.255.0", &sin.sin_addr);
		memcpy(&ifr.ifr_netmask, &sin, sizeof(sin));
		r |= ioctl(fd, SIOCSIFNETMASK, &ifr);
	}
	ifr.ifr_flags = IFF_UP;
	r |= ioctl(fd, SIOCSIFFLAGS, &ifr);
	(void)close(fd);
	return r;
}

/* a route as another program would make it */
static int user_route(unsigned long request, const char *dst, const char *mask, const char *gateway,
                      const char *device)
{
	char name[IF_NAMESIZE];
	struct rtentry rt = { .rt_flags = RTF_UP };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	(void)inet_pton(AF_INET, dst, &sin.sin_addr);
	memcpy(&rt.rt_dst, &sin, sizeof(sin));
	(void)inet_pton(AF_INET, mask, &sin.sin_addr);
	memcpy(&rt.rt_genmask, &sin, sizeof(sin));
	if (gateway != NULL) {
		(void)inet_pton(AF_INET, gateway, &sin.sin_addr);
		memcpy(&rt.rt_gateway, &sin, sizeof(sin));
		rt.rt_flags |= RTF_GATEWAY;
	}
	if (device != NULL) {
		(void)snprintf(name, sizeof(name), "%s", device);
		rt.rt_dev = name;
	}
	r = ioctl(fd, request, &rt);
	(void)close(fd);
	return r;
}

static size_t read_file(const char *file, char *dst, size_t cap)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = read(fd, dst + len, cap - 1 - len)) > 0)
		len += (size_t)n;
	dst[len] = '\0';
	(void)close(fd);
	return len;
}

static const char *hex_ipv4(const char *hex, char *dst)
{
	struct in_addr a = { .s_addr = (uint32_t)strtoul(hex, NULL, 16) };

	return inet_ntop(AF_INET, &a, dst, INET_ADDRSTRLEN);
}

/* both tables, one "dst/mask gateway device" a line; IPv6 without counters, and host routes only */
static const char *table(char *dst)
{
	static char raw[TABLE_MAX];
	char *save = NULL;
	size_t len = 0;

	dst[0] = '\0';
	(void)read_file("/proc/self/net/route", raw, sizeof(raw));
	for (char *l = strtok_r(raw, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
		char dev[32], d[16], g[16], m[16], a[INET_ADDRSTRLEN], b[INET_ADDRSTRLEN],
			c[INET_ADDRSTRLEN];

		if (sscanf(l, "%31s %15s %15s %*s %*s %*s %*s %15s", dev, d, g, m) == 4 &&
		    strcmp(dev, "Iface") != 0)
			len += (size_t)snprintf(dst + len, TABLE_MAX - len, "%s/%s %s %s\n",
			                        hex_ipv4(d, a), hex_ipv4(m, b), hex_ipv4(g, c),
			                        dev);
	}
	(void)read_file("/proc/self/net/ipv6_route", raw, sizeof(raw));
	for (char *l = strtok_r(raw, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
		char d[40], p[8], g[40], dev[32];

		if (sscanf(l, "%39s %7s %*s %*s %39s %*s %*s %*s %*s %31s", d, p, g, dev) == 4 &&
		    strncmp(d, "20010db8", 8) == 0)
			len += (size_t)snprintf(dst + len, TABLE_MAX - len, "%s/%s %s %s\n", d, p,
			                        g, dev);
	}
	return dst;
}

static bool has(const char *line)
{
	static char now[TABLE_MAX];

	return strstr(table(now), line) != NULL;
}

#define FIRST_HALF  "0.0.0.0/128.0.0.0 0.0.0.0 lw0\n"
#define SECOND_HALF "128.0.0.0/128.0.0.0 0.0.0.0 lw0\n"
#define SERVER      "198.51.100.7/255.255.255.255 192.0.2.1 phys0\n"

struct fixture {
	char before[TABLE_MAX];
	char after[TABLE_MAX];
	struct lw_addr server[3];
	struct lw_netconf_plan plan;
	struct lw_netconf *nc;
	struct lw_err err;
};

static struct lw_addr addr(const char *text)
{
	struct lw_addr a;

	assert_int_equal(lw_addr_parse(text, &a), 0);
	return a;
}

static struct lw_addr prefix(const char *text, uint8_t len)
{
	struct lw_addr a = addr(text);

	a.prefix = len;
	return a;
}

static void need_namespace(void)
{
	if (why_not != NULL) {
		(void)fprintf(stderr, "skipped: %s\n", why_not);
		skip();
	}
}

static struct fixture *begin(enum lw_netconf_mode mode)
{
	static struct fixture f;

	need_namespace();
	memset(&f, 0, sizeof(f));
	f.server[0] = addr("198.51.100.7:27690");
	f.plan = (struct lw_netconf_plan){
		.mode = mode, .tun = "lw0", .servers = f.server, .n_servers = 1
	};
	(void)table(f.before);
	assert_int_equal(lw_netconf_create(state_dir, "lw0", &f.nc, &f.err), 0);
	return &f;
}

static void assert_as_before(struct fixture *f)
{
	assert_string_equal(table(f->after), f->before);
}

static void end(struct fixture *f)
{
	assert_int_equal(lw_netconf_restore(f->nc, &f->err), 0);
	assert_as_before(f);
	assert_int_equal(lw_netconf_restore(f->nc, &f->err), 0);
	lw_netconf_destroy(f->nc);
	assert_int_equal(access(state_file, F_OK), -1);
}

static void apply__default__leads_all_but_the_server_into_the_tunnel(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);

	(void)state;
	f->plan.dns = addr("10.125.0.1");
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_true(has(FIRST_HALF));
	assert_true(has(SECOND_HALF));
	assert_true(has(SERVER));
	assert_true(has("10.125.0.1/255.255.255.255 0.0.0.0 lw0\n"));
	assert_false(has("10.0.0.0/"));
	/* again, as after a reconnect: the same table */
	(void)table(f->after);
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_true(has(SERVER));
	assert_string_equal(table((char[TABLE_MAX]){ 0 }), f->after);
	end(f);
}

static void apply__lan__keeps_private_networks_outside(void **state)
{
	struct fixture *f = begin(LW_NETCONF_LAN);

	(void)state;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_true(has(FIRST_HALF));
	assert_true(has(SECOND_HALF));
	assert_true(has(SERVER));
	assert_true(has("192.168.0.0/255.255.0.0 192.0.2.1 phys0\n"));
	assert_true(has("172.16.0.0/255.240.0.0 192.0.2.1 phys0\n"));
	assert_true(has("10.0.0.0/255.0.0.0 192.0.2.1 phys0\n"));
	assert_true(has("169.254.0.0/255.255.0.0 192.0.2.1 phys0\n"));
	assert_true(has("224.0.0.0/255.255.255.0 192.0.2.1 phys0\n"));
	end(f);
}

static void apply__none__changes_nothing(void **state)
{
	struct fixture *f = begin(LW_NETCONF_NONE);

	(void)state;
	f->plan.tun = "absent";
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_as_before(f);
	end(f);
}

static void apply__list__leads_only_that_into_the_tunnel(void **state)
{
	const struct lw_addr list[] = { prefix("10.0.0.0", 8), prefix("203.0.113.4", 32) };
	const struct lw_addr all[] = { { .family = 4 } };
	struct fixture *f = begin(LW_NETCONF_LIST);

	(void)state;
	f->plan.prefixes = list;
	f->plan.n_prefixes = 2;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_true(has("10.0.0.0/255.0.0.0 0.0.0.0 lw0\n"));
	assert_true(has("203.0.113.4/255.255.255.255 0.0.0.0 lw0\n"));
	assert_true(has(SERVER));
	assert_false(has(FIRST_HALF));
	f->plan.prefixes = all;
	f->plan.n_prefixes = 1;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_false(has("10.0.0.0/255.0.0.0 0.0.0.0 lw0\n"));
	assert_true(has(FIRST_HALF));
	assert_true(has(SECOND_HALF));
	end(f);
}

static void apply__bad_list__is_refused_before_anything_changes(void **state)
{
	const struct lw_addr v6 = prefix("2001:db8::", 32);
	const struct lw_addr bits = prefix("10.1.0.0", 8);
	struct fixture *f = begin(LW_NETCONF_LIST);

	(void)state;
	f->plan.n_prefixes = 1;
	f->plan.prefixes = &v6;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -EINVAL);
	assert_string_equal(f->err.text, "the tunnel carries IPv4 only, so 2001:db8::/32 cannot be "
	                                 "routed into it");
	f->plan.prefixes = &bits;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -EINVAL);
	assert_string_equal(f->err.text, "10.1.0.0/8 has bits behind its prefix length");
	assert_as_before(f);
	end(f);
}

static void apply__several_servers__each_keeps_its_way(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);

	(void)state;
	f->server[0] = addr("127.0.0.1:1"); /* this machine's own */
	f->server[1] = addr("192.0.2.9:1"); /* directly attached */
	f->server[2] = addr("[2001:db8:1::7]:1");
	f->plan.n_servers = 3;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_false(has("127.0.0.1/"));
	assert_true(has("192.0.2.9/255.255.255.255 0.0.0.0 phys0\n"));
	/* IPv6 has no way here: passed over, since another server has one */
	assert_false(has("20010db8000100000000000000000007/"));
	end(f);
}

static void apply__no_server_reached__is_refused(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);

	(void)state;
	f->server[0] = addr("[2001:db8:1::7]:1");
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -ENETUNREACH);
	assert_string_equal(f->err.text, "there is no way to any server; is the network up?");
	f->server[0] = addr("127.0.0.1:1");
	f->plan.mode = LW_NETCONF_LAN;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -ENETUNREACH);
	assert_as_before(f);
	end(f);
}

static void apply__no_tun_device__is_refused(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);

	(void)state;
	f->plan.tun = "absent";
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -ENODEV);
	assert_string_equal(f->err.text, "there is no device 'absent'");
	assert_as_before(f);
	end(f);
}

static void apply__server_behind_the_tunnel__is_refused(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);

	(void)state;
	assert_int_equal(user_route(SIOCADDRT, "198.51.100.0", "255.255.255.0", NULL, "lw0"), 0);
	(void)table(f->before);
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -ELOOP);
	end(f);
	assert_int_equal(user_route(SIOCDELRT, "198.51.100.0", "255.255.255.0", NULL, "lw0"), 0);
}

static void apply__other_vpn__is_refused_and_undone(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);

	(void)state;
	assert_int_equal(user_route(SIOCADDRT, "128.0.0.0", "128.0.0.0", "192.0.2.1", NULL), 0);
	(void)table(f->before);
	f->server[0] = addr("192.0.2.9:1");
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), -EEXIST);
	assert_string_equal(f->err.text,
	                    "there is another route for 128.0.0.0/1 already; is another VPN up?");
	assert_as_before(f);
	end(f);
	assert_int_equal(user_route(SIOCDELRT, "128.0.0.0", "128.0.0.0", "192.0.2.1", NULL), 0);
}

static void restore__equal_routes_of_the_user__stay(void **state)
{
	struct fixture *f = begin(LW_NETCONF_LAN);

	(void)state;
	assert_int_equal(
		user_route(SIOCADDRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	assert_int_equal(user_route(SIOCADDRT, "10.0.0.0", "255.0.0.0", "192.0.2.1", NULL), 0);
	assert_int_equal(user_route(SIOCADDRT, "172.16.0.0", "255.240.0.0", "192.0.2.77", NULL), 0);
	assert_int_equal(user_route(SIOCADDRT, "0.0.0.0", "128.0.0.0", NULL, "lw0"), 0);
	(void)table(f->before);
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_true(has(SECOND_HALF));
	end(f);
	assert_int_equal(
		user_route(SIOCDELRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	assert_int_equal(user_route(SIOCDELRT, "10.0.0.0", "255.0.0.0", "192.0.2.1", NULL), 0);
	assert_int_equal(user_route(SIOCDELRT, "172.16.0.0", "255.240.0.0", "192.0.2.77", NULL), 0);
	assert_int_equal(user_route(SIOCDELRT, "0.0.0.0", "128.0.0.0", NULL, "lw0"), 0);
}

static void restore__route_of_another_client__stays(void **state)
{
	struct fixture *f = begin(LW_NETCONF_LIST);
	struct lw_netconf *second;

	(void)state;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_int_equal(lw_netconf_create(state_dir, "lw1", &second, &f->err), 0);
	assert_int_equal(lw_netconf_apply(second, &f->plan, &f->err), 0);
	assert_int_equal(lw_netconf_restore(second, &f->err), 0);
	lw_netconf_destroy(second);
	assert_true(has(SERVER));
	end(f);
}

static void restore__route_or_device_gone__is_no_error(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);

	(void)state;
	assert_int_equal(lw_netconf_apply(f->nc, &f->plan, &f->err), 0);
	assert_int_equal(
		user_route(SIOCDELRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	assert_int_equal(close(tun_fd), 0);
	end(f);
	tun_fd = make_device("lw0", IFF_TUN);
	assert_true(tun_fd >= 0);
	assert_int_equal(ioctl_up("lw0", NULL), 0);
}

/* a client that applies and is killed */
static void crash(struct fixture *f)
{
	pid_t pid;
	int status;

	lw_netconf_destroy(f->nc);
	f->nc = NULL;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		uint32_t undone;

		if (lw_netconf_create(state_dir, "lw0", &f->nc, NULL) < 0 ||
		    lw_netconf_recover(f->nc, &undone, NULL) < 0 ||
		    lw_netconf_apply(f->nc, &f->plan, NULL) < 0)
			_exit(1);
		(void)kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(lw_netconf_create(state_dir, "lw0", &f->nc, &f->err), 0);
}

static void recover__after_a_crash__is_as_before(void **state)
{
	struct fixture *f = begin(LW_NETCONF_LAN);
	uint32_t undone = 99;

	(void)state;
	crash(f);
	assert_true(has(SERVER));
	assert_true(has(FIRST_HALF));
	assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
	assert_int_equal(undone, 8);
	assert_as_before(f);
	assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
	assert_int_equal(undone, 0);
	assert_as_before(f);
	end(f);
}

static void recover__device_gone__removes_the_rest(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);
	uint32_t undone = 99;

	(void)state;
	crash(f);
	assert_int_equal(close(tun_fd), 0);
	assert_true(has(SERVER));
	assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
	assert_int_equal(undone, 1);
	end(f);
	tun_fd = make_device("lw0", IFF_TUN);
	assert_true(tun_fd >= 0);
	assert_int_equal(ioctl_up("lw0", NULL), 0);
}

static void recover__entries_that_do_not_fit_any_more__touch_nothing(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);
	uint32_t undone = 99;

	(void)state;
	crash(f);
	/* somebody has made the server's route anew, over the same gateway */
	assert_int_equal(
		user_route(SIOCDELRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	assert_int_equal(
		user_route(SIOCADDRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
	assert_int_equal(undone, 2);
	assert_true(has(SERVER));
	assert_int_equal(
		user_route(SIOCDELRT, "198.51.100.7", "255.255.255.255", "192.0.2.1", NULL), 0);
	end(f);
}

static void write_state(const char *text)
{
	int fd = open(state_file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
}

static void recover__damaged_journal__does_what_can_be_read(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);
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
	assert_int_equal(lw_netconf_create(state_dir, "lw0", &f->nc, &f->err), 0);
	assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
	assert_int_equal(undone, 2);
	assert_false(has(SERVER));
	assert_true(
		has(FIRST_HALF)); /* its line was cut, so it was never made, as far as we know */
	assert_int_equal(user_route(SIOCDELRT, "0.0.0.0", "128.0.0.0", NULL, "lw0"), 0);
	end(f);
}

static void recover__number_of_another_device__touches_nothing(void **state)
{
	struct fixture *f = begin(LW_NETCONF_LIST);
	char text[128];
	uint32_t undone = 99;

	(void)state;
	crash(f);
	lw_netconf_destroy(f->nc);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(text, sizeof(text), "route 198.51.100.7 32 192.0.2.1 %u %s\n",
		               if_nametoindex("phys0"), i == 0 ? "other0" : "phys0");
		write_state(text);
		assert_int_equal(lw_netconf_create(state_dir, "lw0", &f->nc, &f->err), 0);
		assert_int_equal(lw_netconf_recover(f->nc, &undone, &f->err), 0);
		assert_int_equal(undone, i);
		assert_int_equal(has(SERVER), i == 0);
		if (i == 0)
			lw_netconf_destroy(f->nc);
	}
	end(f);
}

static void create__while_another_runs__is_refused(void **state)
{
	struct fixture *f = begin(LW_NETCONF_DEFAULT);
	struct lw_netconf *second = NULL;
	struct lw_err err;

	(void)state;
	assert_int_equal(lw_netconf_create(state_dir, "lw0", &second, &err), -EBUSY);
	assert_null(second);
	assert_non_null(strstr(err.text, "a client with the name 'lw0' runs already"));
	assert_int_equal(lw_netconf_create(state_dir, "lw1", &second, &err), 0);
	lw_netconf_destroy(second);
	assert_int_equal(lw_netconf_create(state_dir, "../x", &second, &err), -EINVAL);
	assert_int_equal(lw_netconf_create(state_dir, "", &second, &err), -EINVAL);
	end(f);
}

static void rtnl__ipv6_route__comes_and_goes(void **state)
{
	struct lw_route route = { .dst = prefix("2001:db8:2::", 64) };
	struct lw_route host = { .dst = prefix("2001:db8:3::7", 128),
		                 .gateway = addr("2001:db8:2::1") };
	struct lw_route way;
	struct lw_addr to = addr("2001:db8:3::7");
	struct lw_rtnl *r;

	(void)state;
	need_namespace();
	if (access("/proc/self/net/ipv6_route", F_OK) != 0)
		skip(); /* a kernel without IPv6 */
	route.ifindex = host.ifindex = if_nametoindex("phys0");
	assert_int_equal(lw_rtnl_open(&r), 0);
	assert_int_equal(lw_rtnl_lookup(r, &to, &way), -ENETUNREACH);
	assert_int_equal(lw_rtnl_add(r, &route), 0);
	assert_int_equal(lw_rtnl_add(r, &route), -EEXIST);
	assert_int_equal(lw_rtnl_add(r, &host), 0);
	assert_int_equal(lw_rtnl_has(r, &host), 1);
	assert_int_equal(lw_rtnl_lookup(r, &to, &way), 0);
	assert_int_equal(way.ifindex, host.ifindex);
	assert_memory_equal(&way.gateway, &host.gateway, sizeof(way.gateway));
	assert_int_equal(lw_rtnl_remove(r, &host), 0);
	assert_int_equal(lw_rtnl_has(r, &host), 0);
	assert_int_equal(lw_rtnl_remove(r, &host), -ESRCH);
	assert_int_equal(lw_rtnl_remove(r, &route), 0);
	lw_rtnl_close(r);
	lw_rtnl_close(NULL);
}

static const char *enter_namespace(void)
{
	/* with a user namespace no privileges are needed; where those are forbidden root can do */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 && unshare(CLONE_NEWNET) < 0)
		return "no network namespace can be made here";
	phys_fd = make_device("phys0", IFF_TAP);
	tun_fd = make_device("lw0", IFF_TUN);
	if (phys_fd < 0 || tun_fd < 0)
		return "/dev/net/tun cannot be used here";
	if (ioctl_up("lo", NULL) < 0 || ioctl_up("phys0", "192.0.2.2") < 0 ||
	    ioctl_up("lw0", NULL) < 0 ||
	    user_route(SIOCADDRT, "0.0.0.0", "0.0.0.0", "192.0.2.1", NULL) < 0)
		return "addresses cannot be set in the namespace";
	return NULL;
}

static int set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	(void)snprintf(state_file, sizeof(state_file), "%s/lw0.state", state_dir);
	why_not = enter_namespace();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)rmdir(state_dir);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(apply__default__leads_all_but_the_server_into_the_tunnel),
		cmocka_unit_test(apply__lan__keeps_private_networks_outside),
		cmocka_unit_test(apply__none__changes_nothing),
		cmocka_unit_test(apply__list__leads_only_that_into_the_tunnel),
		cmocka_unit_test(apply__bad_list__is_refused_before_anything_changes),
		cmocka_unit_test(apply__several_servers__each_keeps_its_way),
		cmocka_unit_test(apply__no_server_reached__is_refused),
		cmocka_unit_test(apply__no_tun_device__is_refused),
		cmocka_unit_test(apply__server_behind_the_tunnel__is_refused),
		cmocka_unit_test(apply__other_vpn__is_refused_and_undone),
		cmocka_unit_test(restore__equal_routes_of_the_user__stay),
		cmocka_unit_test(restore__route_of_another_client__stays),
		cmocka_unit_test(restore__route_or_device_gone__is_no_error),
		cmocka_unit_test(recover__after_a_crash__is_as_before),
		cmocka_unit_test(recover__device_gone__removes_the_rest),
		cmocka_unit_test(recover__entries_that_do_not_fit_any_more__touch_nothing),
		cmocka_unit_test(recover__damaged_journal__does_what_can_be_read),
		cmocka_unit_test(recover__number_of_another_device__touches_nothing),
		cmocka_unit_test(create__while_another_runs__is_refused),
		cmocka_unit_test(rtnl__ipv6_route__comes_and_goes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

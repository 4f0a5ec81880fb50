/* SPDX-License-Identifier: MIT */
#include "config.h" /* first: it asks for unshare() */

#include "unit/netconf_bed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "unit/test.h"

static char dir[] = "/tmp/lw-netconf-XXXXXX";
char nb_state_dir[64];
char nb_state_file[128];
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

int nb_user_route(unsigned long request, const char *dst, const char *mask, const char *gateway,
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

const char *nb_table(char *dst)
{
	static char raw[NB_TABLE_MAX];
	char *save = NULL;
	size_t len = 0;

	dst[0] = '\0';
	(void)read_file("/proc/self/net/route", raw, sizeof(raw));
	for (char *l = strtok_r(raw, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
		char dev[32], d[16], g[16], m[16], a[INET_ADDRSTRLEN], b[INET_ADDRSTRLEN],
			c[INET_ADDRSTRLEN];

		if (sscanf(l, "%31s %15s %15s %*s %*s %*s %*s %15s", dev, d, g, m) == 4 &&
		    strcmp(dev, "Iface") != 0)
			len += (size_t)snprintf(dst + len, NB_TABLE_MAX - len, "%s/%s %s %s\n",
			                        hex_ipv4(d, a), hex_ipv4(m, b), hex_ipv4(g, c),
			                        dev);
	}
	(void)read_file("/proc/self/net/ipv6_route", raw, sizeof(raw));
	for (char *l = strtok_r(raw, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
		char d[40], p[8], g[40], dev[32];

		if (sscanf(l, "%39s %7s %*s %*s %39s %*s %*s %*s %*s %31s", d, p, g, dev) == 4 &&
		    strncmp(d, "20010db8", 8) == 0)
			len += (size_t)snprintf(dst + len, NB_TABLE_MAX - len, "%s/%s %s %s\n", d,
			                        p, g, dev);
	}
	return dst;
}

bool nb_has(const char *line)
{
	static char now[NB_TABLE_MAX];

	return strstr(nb_table(now), line) != NULL;
}

struct lw_addr nb_addr(const char *text)
{
	struct lw_addr a;

	assert_int_equal(lw_addr_parse(text, &a), 0);
	return a;
}

struct lw_addr nb_prefix(const char *text, uint8_t len)
{
	struct lw_addr a = nb_addr(text);

	a.prefix = len;
	return a;
}

void nb_need_namespace(void)
{
	if (why_not != NULL) {
		(void)fprintf(stderr, "skipped: %s\n", why_not);
		skip();
	}
}

struct nb_fixture *nb_begin(enum lw_netconf_mode mode)
{
	static struct nb_fixture f;

	nb_need_namespace();
	memset(&f, 0, sizeof(f));
	f.server[0] = nb_addr("198.51.100.7:27690");
	f.plan = (struct lw_netconf_plan){
		.mode = mode, .tun = "lw0", .servers = f.server, .n_servers = 1
	};
	(void)nb_table(f.before);
	assert_int_equal(lw_netconf_create(nb_state_dir, "lw0", &f.nc, &f.err), 0);
	return &f;
}

void nb_assert_as_before(struct nb_fixture *f)
{
	assert_string_equal(nb_table(f->after), f->before);
}

void nb_end(struct nb_fixture *f)
{
	assert_int_equal(lw_netconf_restore(f->nc, &f->err), 0);
	nb_assert_as_before(f);
	assert_int_equal(lw_netconf_restore(f->nc, &f->err), 0);
	lw_netconf_destroy(f->nc);
	assert_int_equal(access(nb_state_file, F_OK), -1);
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
	    nb_user_route(SIOCADDRT, "0.0.0.0", "0.0.0.0", "192.0.2.1", NULL) < 0)
		return "addresses cannot be set in the namespace";
	return NULL;
}

int nb_set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(nb_state_dir, sizeof(nb_state_dir), "%s/state", dir);
	(void)snprintf(nb_state_file, sizeof(nb_state_file), "%s/lw0.state", nb_state_dir);
	why_not = enter_namespace();
	return 0;
}

int nb_tear_down(void **state)
{
	(void)state;
	(void)rmdir(nb_state_dir);
	return rmdir(dir);
}

void nb_tun_goes(void)
{
	assert_int_equal(close(tun_fd), 0);
}

void nb_tun_comes(void)
{
	tun_fd = make_device("lw0", IFF_TUN);
	assert_true(tun_fd >= 0);
	assert_int_equal(ioctl_up("lw0", NULL), 0);
}

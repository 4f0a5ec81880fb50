/* SPDX-License-Identifier: MIT */
/* What of runs is used: as the operator, the host and the kernel agree. */
#include "outside-udp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* what a datagram of usual size has */
#define PROBE_STRIDE 1400

/* of a kernel's name, for a sentence */
#define UDP_RELEASE_MAX 40

static const struct feature {
	uint64_t cap;
	const char *option;
	int name;
	int value;
	const char *symbol;
	const char *since;
	const char *verb;
	const char *instead;
} features[] = {
	{ LW_CAP_GSO, "gso", UDP_SEGMENT, PROBE_STRIDE, "UDP_SEGMENT", "4.18", "sends",
	  "sending each datagram by itself" },
	{ LW_CAP_GRO, "gro", UDP_GRO, 1, "UDP_GRO", "5.0", "receives",
	  "receiving each datagram by itself" },
};

#define N_FEATURES (sizeof(features) / sizeof(features[0]))

static int32_t option_of(const struct udp_options *o, const struct feature *f)
{
	return f->cap == LW_CAP_GSO ? o->gso : o->gro;
}

/*
 * Asked for, not tried: a kernel that does not know the control message sends a run as one large
 * datagram and says nothing. On a socket of its own: what stays set there would cut single
 * datagrams.
 */
static int probe(const struct feature *f)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_UDP, f->name, &f->value, sizeof(f->value)) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

/*
 * From 7.0 on the headers and checksums of runs whose datagrams are all of one size were damaged on
 * many devices, until 7.1.5 (tailscale#19777, kernel commits 78effd8 and 5f17ae0). Nothing here can
 * see that: it shows on the way.
 */
static bool damages_runs(char text[UDP_RELEASE_MAX])
{
	unsigned long v[3] = { 0 };
	struct utsname name;
	char *at = name.release;

	if (uname(&name) < 0)
		return false;
	(void)snprintf(text, UDP_RELEASE_MAX, "%.*s", UDP_RELEASE_MAX - 1, name.release);
	for (int i = 0; i < 3 && *at >= '0' && *at <= '9'; i++) {
		v[i] = strtoul(at, &at, 10);
		at += *at == '.';
	}
	return v[0] == 7 && (v[1] == 0 || (v[1] == 1 && v[2] < 5));
}

/* Nobody demands it, so it is only a pity. */
static void go_without(const struct udp *u, const struct feature *f, const char *why,
                       const char *advice)
{
	lw_host_lacks(u->host, f->cap, why);
	lw_log(u->host, LW_LOG_NOTICE, "%s, %s%s", why, f->instead, advice);
}

static int decide(struct udp *u, const struct feature *f, uint64_t wanted, struct lw_err *err)
{
	int32_t option = option_of(u->opts, f);
	char release[UDP_RELEASE_MAX];
	char why[LW_WHY_MAX];
	int r;

	if (option == UDP_ON && (wanted & f->cap) == 0)
		return lw_err_set_at(err, -EOPNOTSUPP, f->option,
		                     "this version %s no runs of datagrams: set %s to auto or off",
		                     f->verb, f->option);
	if (option == UDP_OFF) {
		(void)snprintf(why, sizeof(why), "%s is off in the configuration", f->option);
		lw_host_lacks(u->host, f->cap, why);
	}
	if (option == UDP_OFF || (wanted & f->cap) == 0)
		return 0;
	if (f->cap == LW_CAP_GSO && option == UDP_AUTO && damages_runs(release)) {
		(void)snprintf(why, sizeof(why), "Linux %s may damage runs of datagrams", release);
		go_without(u, f, why, ": 7.1.5 is good, or set gso to on");
		return 0;
	}
	r = probe(f);
	if (r == 0) {
		u->caps |= f->cap;
		return 0;
	}
	(void)snprintf(why, sizeof(why), "this kernel refuses %s, which Linux %s has (%s)",
	               f->symbol, f->since, strerror(-r));
	if (option == UDP_ON)
		return lw_err_set_at(err, -EOPNOTSUPP, f->option, "%s: set %s to auto or off", why,
		                     f->option);
	go_without(u, f, why, "");
	return 0;
}

int lw_udp_offload_decide(struct udp *u, uint64_t wanted, struct lw_err *err)
{
	int r = 0;

	u->caps = 0;
	for (size_t i = 0; i < N_FEATURES && r == 0; i++)
		r = decide(u, &features[i], wanted, err);
	return r;
}

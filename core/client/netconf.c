/* SPDX-License-Identifier: MIT */
#include "client/netconf.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "client/journal.h"
#include "client/rtnl.h"

#define IPV4(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

struct lw_netconf {
	struct lw_rtnl *rtnl;
	struct lw_journal journal;
};

/* what may stand where we want a route: the same one, or any for that prefix */
enum conflict { ACCEPT_SAME, ACCEPT_ANY };

struct apply {
	struct lw_netconf *nc;
	const struct lw_netconf_plan *plan;
	uint32_t tun;
	struct lw_route outside; /* towards the first server that is reached over a device */
	struct lw_err *err;
};

static struct lw_addr ipv4_prefix(uint32_t ip, uint8_t prefix)
{
	struct lw_addr a = lw_addr_ipv4(ip, 0);

	a.prefix = prefix;
	return a;
}

/* lw_addr_format() with a length of 0 written too */
static const char *format_prefix(const struct lw_addr *a, char buf[LW_ADDR_TEXT_MAX])
{
	(void)lw_addr_format(a, buf);
	return a->prefix == 0 ? "0.0.0.0/0" : buf;
}

static int fail_route(const struct apply *a, int r, const struct lw_addr *dst)
{
	char text[LW_ADDR_TEXT_MAX];

	if (r == -EPERM)
		return lw_err_set(a->err, r,
		                  "not permitted to change routes; run as root or with "
		                  "CAP_NET_ADMIN");
	if (r == -EEXIST)
		return lw_err_set(a->err, r,
		                  "there is another route for %s already; is another VPN up?",
		                  format_prefix(dst, text));
	return lw_err_set(a->err, r, "cannot add a route for %s: %s", format_prefix(dst, text),
	                  strerror(-r));
}

/* the journal first: a crash between the two leaves a line too much, which hurts nobody */
static int add_route(struct lw_netconf *nc, const struct lw_route *route)
{
	struct lw_journal_entry e = { .route = *route };
	int r;

	if (if_indextoname(route->ifindex, e.device) == NULL)
		return -ENODEV;
	r = lw_journal_add(&nc->journal, &e);
	if (r < 0)
		return r;
	r = lw_rtnl_add(nc->rtnl, route);
	if (r < 0)
		(void)lw_journal_drop_last(&nc->journal);
	return r;
}

static int add_or_accept(const struct apply *a, const struct lw_route *route, enum conflict ok)
{
	int r = add_route(a->nc, route);

	if (r == -EEXIST && (ok == ACCEPT_ANY || lw_rtnl_has(a->nc->rtnl, route) == 1))
		return 0;
	return r < 0 ? fail_route(a, r, &route->dst) : 0;
}

static int add_tunnel(const struct apply *a, const struct lw_addr *prefix)
{
	const struct lw_route route = { .dst = *prefix, .ifindex = a->tun };

	return add_or_accept(a, &route, ACCEPT_SAME);
}

/* Two halves win over every default route, and that one need not be touched. */
static int add_tunnel_all(const struct apply *a)
{
	const struct lw_addr low = ipv4_prefix(0, 1);
	const struct lw_addr high = ipv4_prefix(IPV4(128, 0, 0, 0), 1);
	int r = add_tunnel(a, &low);

	return r < 0 ? r : add_tunnel(a, &high);
}

/* 1: it has a way, 0: it has none */
static int add_server(struct apply *a, const struct lw_addr *server)
{
	char text[LW_ADDR_TEXT_MAX];
	struct lw_route way;
	int r = lw_rtnl_lookup(a->nc->rtnl, server, &way);

	if (r == -ENETUNREACH || r == -EHOSTUNREACH)
		return 0;
	if (r < 0)
		return lw_err_set(a->err, r, "cannot find the way to server %s: %s",
		                  lw_addr_format(server, text), strerror(-r));
	if (way.is_local)
		return 1;
	if (way.ifindex == a->tun)
		return lw_err_set(a->err, -ELOOP,
		                  "server %s would be reached through the tunnel itself",
		                  lw_addr_format(server, text));
	if (a->outside.ifindex == 0)
		a->outside = way;
	way.dst = *server;
	way.dst.port = 0;
	way.dst.scope = 0;
	way.dst.prefix = server->family == 4 ? 32 : 128;
	r = add_or_accept(a, &way, ACCEPT_ANY);
	return r < 0 ? r : 1;
}

static int add_servers(struct apply *a)
{
	uint32_t reached = 0;

	for (uint32_t i = 0; i < a->plan->n_servers; i++) {
		int r = add_server(a, &a->plan->servers[i]);

		if (r < 0)
			return r;
		reached += (uint32_t)r;
	}
	if (reached == 0 && a->plan->n_servers > 0)
		return lw_err_set(a->err, -ENETUNREACH,
		                  "there is no way to any server; is the network up?");
	return 0;
}

/* private networks (RFC 1918), link-local (RFC 3927) and local multicast (RFC 5771) */
static int add_lan(const struct apply *a)
{
	const struct lw_addr lan[] = {
		ipv4_prefix(IPV4(192, 168, 0, 0), 16), ipv4_prefix(IPV4(172, 16, 0, 0), 12),
		ipv4_prefix(IPV4(10, 0, 0, 0), 8),     ipv4_prefix(IPV4(169, 254, 0, 0), 16),
		ipv4_prefix(IPV4(224, 0, 0, 0), 24),
	};

	if (a->outside.ifindex == 0)
		return lw_err_set(a->err, -ENETUNREACH,
		                  "routes: lan needs a server that is not on this machine");
	for (size_t i = 0; i < sizeof(lan) / sizeof(lan[0]); i++) {
		struct lw_route route = { .dst = lan[i], .ifindex = a->outside.ifindex };
		int r;

		if (a->outside.gateway.family == 4)
			route.gateway = a->outside.gateway;
		r = add_or_accept(a, &route, ACCEPT_ANY);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_list(const struct apply *a)
{
	for (uint32_t i = 0; i < a->plan->n_prefixes; i++) {
		const struct lw_addr *prefix = &a->plan->prefixes[i];
		int r = prefix->prefix == 0 ? add_tunnel_all(a) : add_tunnel(a, prefix);

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_dns(const struct apply *a)
{
	struct lw_addr dns = a->plan->dns;

	if (dns.family != 4)
		return 0;
	dns.port = 0;
	dns.prefix = 32;
	return add_tunnel(a, &dns);
}

static int add_all(struct apply *a)
{
	int r = add_servers(a);

	if (r == 0 && a->plan->mode == LW_NETCONF_LAN)
		r = add_lan(a);
	if (r == 0)
		r = a->plan->mode == LW_NETCONF_LIST ? add_list(a) : add_tunnel_all(a);
	return r < 0 ? r : add_dns(a);
}

static int check_list(const struct lw_netconf_plan *plan, struct lw_err *err)
{
	char text[LW_ADDR_TEXT_MAX];

	for (uint32_t i = 0; plan->mode == LW_NETCONF_LIST && i < plan->n_prefixes; i++) {
		const struct lw_addr *p = &plan->prefixes[i];

		if (p->family != 4)
			return lw_err_set(err, -EINVAL,
			                  "the tunnel carries IPv4 only, so %s cannot "
			                  "be routed into it",
			                  lw_addr_format(p, text));
		if (p->prefix > 32 || (p->prefix < 32 && lw_addr_u32(p) << p->prefix != 0))
			return lw_err_set(err, -EINVAL, "%s has bits behind its prefix length",
			                  format_prefix(p, text));
	}
	return 0;
}

int lw_netconf_create(const char *state_dir, const char *name, struct lw_netconf **ret,
                      struct lw_err *err)
{
	struct lw_netconf *nc = calloc(1, sizeof(*nc));
	int r;

	if (nc == NULL)
		return lw_err_set(err, -ENOMEM, "no memory for the routes");
	nc->journal.fd = -1;
	r = lw_rtnl_open(&nc->rtnl);
	if (r < 0)
		(void)lw_err_set(err, r, "cannot talk to the kernel about routes: %s",
		                 strerror(-r));
	else
		r = lw_journal_open(&nc->journal, state_dir, name, err);
	if (r < 0) {
		lw_netconf_destroy(nc);
		return r;
	}
	*ret = nc;
	return 0;
}

static int is_gone(int r)
{
	return r == -ESRCH || r == -ENODEV || r == -ENOENT;
}

/* 1: it was there, 0: it was not, or its device's number is another device's now */
static int undo(struct lw_netconf *nc, const struct lw_journal_entry *e)
{
	char device[IF_NAMESIZE];
	int r;

	if (if_indextoname(e->route.ifindex, device) == NULL || strcmp(device, e->device) != 0)
		return 0;
	r = lw_rtnl_remove(nc->rtnl, &e->route);
	if (is_gone(r))
		return 0;
	return r < 0 ? r : 1;
}

int lw_netconf_recover(struct lw_netconf *nc, uint32_t *ret_undone, struct lw_err *err)
{
	char text[LW_ADDR_TEXT_MAX];
	uint32_t undone = 0;
	int first = 0;

	for (uint32_t i = nc->journal.n; i-- > 0;) {
		const struct lw_journal_entry *e = &nc->journal.entry[i];
		int r = undo(nc, e);

		if (r >= 0)
			undone += (uint32_t)r;
		else if (first == 0)
			first = lw_err_set(err, r, "cannot remove the route for %s: %s",
			                   format_prefix(&e->route.dst, text), strerror(-r));
	}
	*ret_undone = undone;
	if (first < 0)
		return first;
	first = lw_journal_clear(&nc->journal);
	if (first < 0)
		return lw_err_set(err, first, "cannot empty the state file: %s", strerror(-first));
	return 0;
}

int lw_netconf_restore(struct lw_netconf *nc, struct lw_err *err)
{
	uint32_t undone;

	return lw_netconf_recover(nc, &undone, err);
}

int lw_netconf_apply(struct lw_netconf *nc, const struct lw_netconf_plan *plan, struct lw_err *err)
{
	struct apply a = { .nc = nc, .plan = plan, .err = err };
	int r = lw_netconf_restore(nc, err);

	if (r < 0 || plan->mode == LW_NETCONF_NONE)
		return r;
	r = check_list(plan, err);
	if (r < 0)
		return r;
	a.tun = if_nametoindex(plan->tun);
	if (a.tun == 0)
		return lw_err_set(err, -ENODEV, "there is no device '%s'", plan->tun);
	r = add_all(&a);
	if (r < 0)
		(void)lw_netconf_restore(nc, NULL);
	return r;
}

void lw_netconf_destroy(struct lw_netconf *nc)
{
	if (nc == NULL)
		return;
	lw_rtnl_close(nc->rtnl);
	lw_journal_close(&nc->journal);
	free(nc);
}

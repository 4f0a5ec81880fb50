/* SPDX-License-Identifier: MIT */
#ifndef LW_CLIENT_RTNL_H
#define LW_CLIENT_RTNL_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/addr.h>

/*
 * Every route of ours carries this number (RTA protocol, see rt_protos of iproute2, where it is
 * free). The kernel deletes a route only if the number fits too, so nobody else's is ever hit.
 */
#define LW_RTNL_PROTOCOL 76

/**
 * struct lw_route - a route of the main table
 *
 * @dst:      prefix; its length counts, 0 included
 * @gateway:  family 0: directly attached
 * @ifindex:  device
 * @is_local: only from lw_rtnl_lookup(): the address is this machine's own
 */
struct lw_route {
	struct lw_addr dst;
	struct lw_addr gateway;
	uint32_t ifindex;
	bool is_local;
};

struct lw_rtnl;

/* lw_rtnl_open() - a socket to the kernel's routing tables; 0 or a negative errno */
int lw_rtnl_open(struct lw_rtnl **ret);
void lw_rtnl_close(struct lw_rtnl *r);

/**
 * lw_rtnl_lookup() - how the kernel would reach an address now
 *
 * Return: 0, -ENETUNREACH or -EHOSTUNREACH, -EOPNOTSUPP (a gateway of the other family), ...
 */
int lw_rtnl_lookup(struct lw_rtnl *r, const struct lw_addr *to, struct lw_route *ret);

/* lw_rtnl_add() - 0, -EEXIST (there is a route for this prefix), -EPERM, ... */
int lw_rtnl_add(struct lw_rtnl *r, const struct lw_route *route);

/* lw_rtnl_remove() - 0, -ESRCH or -ENODEV (there is no such route of ours), -EPERM, ... */
int lw_rtnl_remove(struct lw_rtnl *r, const struct lw_route *route);

/* lw_rtnl_has() - 1: the main table has this very route, whoever made it; 0: not; or an errno */
int lw_rtnl_has(struct lw_rtnl *r, const struct lw_route *route);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The routes of a client, and how all of them go away again.
 *
 * Only what was added here is ever removed: a route that was there before stays. What a killed
 * client left is undone by the next one of the same name, from a journal.
 *
 * What this does not do: IPv6 is neither led into the tunnel nor blocked, so IPv6 traffic goes
 * beside it. Rules, other tables, firewall and resolver are not touched, and the host routes of
 * the servers do not follow a later change of the default route. The address and the MTU of the
 * TUN device are its module's.
 */
#ifndef LW_CLIENT_NETCONF_H
#define LW_CLIENT_NETCONF_H

#include <stdint.h>

#include <laneway/addr.h>
#include <laneway/err.h>

/*
 * NONE     nothing
 * DEFAULT  all IPv4 into the tunnel, as two halves, which win over any default route
 * LAN      the same, but private and link-local networks stay outside
 * LIST     some prefixes into the tunnel
 */
enum lw_netconf_mode { LW_NETCONF_NONE, LW_NETCONF_DEFAULT, LW_NETCONF_LAN, LW_NETCONF_LIST };

/**
 * struct lw_netconf_plan - which routes a client wants
 *
 * @mode:       what goes into the tunnel
 * @tun:        name of the TUN device, which is up
 * @servers:    addresses that stay outside the tunnel, each over the way it has now; those that
 *              are this machine's own need nothing, those without a way are passed over
 * @n_servers:  how many
 * @dns:        an address that goes into the tunnel in any mode but NONE, family 0: none
 * @prefixes:   LIST: IPv4 prefixes
 * @n_prefixes: how many
 */
struct lw_netconf_plan {
	enum lw_netconf_mode mode;
	const char *tun;
	const struct lw_addr *servers;
	uint32_t n_servers;
	struct lw_addr dns;
	const struct lw_addr *prefixes;
	uint32_t n_prefixes;
};

struct lw_netconf;

/**
 * lw_netconf_create() - get ready to change routes
 *
 * @state_dir: where the journal NAME.state is kept; made when it is missing
 * @name:      of this client, such as its TUN device's
 * @ret:       set on success; free with lw_netconf_destroy()
 * @err:       a sentence on failure
 *
 * Context: control thread, with CAP_NET_ADMIN from here on.
 * Return:  0, -EBUSY (a client of this name runs), -EINVAL, -ENOMEM, ...
 */
int lw_netconf_create(const char *state_dir, const char *name, struct lw_netconf **ret,
                      struct lw_err *err);

/**
 * lw_netconf_recover() - undo what a killed client of this name left behind
 *
 * @ret_undone: how many routes were still there and are gone now
 *
 * To be called before lw_netconf_apply(). A route that no longer fits in prefix, gateway, device
 * or origin is not touched. Again: does nothing.
 *
 * Return: 0, or the first error; what could not be undone stays in the journal.
 */
int lw_netconf_recover(struct lw_netconf *nc, uint32_t *ret_undone, struct lw_err *err);

/**
 * lw_netconf_apply() - make the routes; what an earlier call made is undone first
 *
 * Return: 0; -ENODEV (no TUN device), -ENETUNREACH (no way to any server), -EEXIST (another
 *         program leads the same traffic elsewhere), -ELOOP (a server is behind the tunnel),
 *         -EINVAL, -EPERM, ...; then nothing is left of it.
 */
int lw_netconf_apply(struct lw_netconf *nc, const struct lw_netconf_plan *plan, struct lw_err *err);

/**
 * lw_netconf_restore() - take the routes away again, the last one first
 *
 * A device or route that has gone already is no error. Again: does nothing.
 *
 * Return: 0, or the first error; all others are tried.
 */
int lw_netconf_restore(struct lw_netconf *nc, struct lw_err *err);

/* lw_netconf_destroy() - free; routes that were not restored stay, with their journal; takes NULL
 */
void lw_netconf_destroy(struct lw_netconf *nc);

#endif

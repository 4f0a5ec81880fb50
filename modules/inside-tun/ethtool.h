/* SPDX-License-Identifier: MIT */
/* What offload of a TUN device is in force: no request of the TUN driver itself tells. */
#ifndef LW_INSIDE_TUN_ETHTOOL_H
#define LW_INSIDE_TUN_ETHTOOL_H

#include <stdint.h>

/**
 * lw_tun_ethtool_get() - the mask that TUNSETOFFLOAD would have to set to get what there is
 *
 * @name:     of the interface; borrowed
 * @ret_mask: TUN_F_*, written on success
 *
 * Context: control thread; needs no privileges.
 * Return:  0, or the negative errno of a failing call.
 */
int lw_tun_ethtool_get(const char *name, uint32_t *ret_mask);

#endif

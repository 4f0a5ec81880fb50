/* SPDX-License-Identifier: MIT */
/*
 * Three network namespaces in a row, of which the middle one forwards. A socket belongs to the
 * place where the program was when it opened it.
 *
 *   LEFT left0 ---- mleft MIDDLE mright ---- right0 RIGHT
 */
#ifndef LW_TEST_OUTSIDE_UDP_NET_H
#define LW_TEST_OUTSIDE_UDP_NET_H

#include <stdbool.h>
#include <stdint.h>

enum net_place { NET_LEFT, NET_MIDDLE, NET_RIGHT, NET_PLACES };

#define NET_LEFT4    "10.125.1.1"
#define NET_MIDDLE4  "10.125.1.2" /* on the link to the left */
#define NET_MIDDLE4R "10.125.2.2"
#define NET_RIGHT4   "10.125.2.1"
#define NET_LEFT6    "fd00:125:1::1"
#define NET_MIDDLE6  "fd00:125:1::2"
#define NET_MIDDLE6R "fd00:125:2::2"
#define NET_RIGHT6   "fd00:125:2::1"

/* net_enter() - make it all and be LEFT; NULL, or why this machine cannot */
const char *net_enter(void);

/* net_skips() - whether net_enter() could not, or this kernel lacks IPv6 and a test wants it; says
 * so */
bool net_skips(bool want_ipv6);

/* net_go() - be there from now on */
void net_go(enum net_place place);

/* net_set_mtu() - of a device at the place where we are */
void net_set_mtu(const char *dev, int mtu);

/* net_leave() - the namespaces end with their last socket */
void net_leave(void);

#endif

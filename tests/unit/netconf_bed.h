/* SPDX-License-Identifier: MIT */
/*
 * A network namespace of its own: "phys0" has 192.0.2.2/24 with a default route over 192.0.2.1,
 * "lw0" is the TUN device. Tables are compared as /proc shows them.
 */
#ifndef LW_TESTS_NETCONF_BED_H
#define LW_TESTS_NETCONF_BED_H

#include <net/route.h>
#include <stdbool.h>

#include "client/netconf.h"

#define NB_TABLE_MAX 16384

/* lines of the table, for nb_has() */
#define FIRST_HALF  "0.0.0.0/128.0.0.0 0.0.0.0 lw0\n"
#define SECOND_HALF "128.0.0.0/128.0.0.0 0.0.0.0 lw0\n"
#define SERVER      "198.51.100.7/255.255.255.255 192.0.2.1 phys0\n"

/* one test: a plan with a server at 198.51.100.7, and the table as it was */
struct nb_fixture {
	char before[NB_TABLE_MAX];
	char after[NB_TABLE_MAX];
	struct lw_addr server[3];
	struct lw_netconf_plan plan;
	struct lw_netconf *nc;
	struct lw_err err;
};

/* where journals are, and the one of client "lw0" */
extern char nb_state_dir[64];
extern char nb_state_file[128];

/* of the group of tests: enter the namespace, or note why that cannot be */
int nb_set_up(void **state);
int nb_tear_down(void **state);

/* nb_need_namespace() - skip the test where there is none */
void nb_need_namespace(void);

/* nb_begin() - the fixture, with a netconf of client "lw0" */
struct nb_fixture *nb_begin(enum lw_netconf_mode mode);
/* nb_end() - restore, twice: the table is as before and no journal is left */
void nb_end(struct nb_fixture *f);
void nb_assert_as_before(struct nb_fixture *f);

/* nb_user_route() - a route as another program would make it: SIOCADDRT or SIOCDELRT; 0 or -1 */
int nb_user_route(unsigned long request, const char *dst, const char *mask, const char *gateway,
                  const char *device);

/* nb_table() - both tables, one "dst/mask gateway device" a line; IPv6 without counters, and host
 * routes only */
const char *nb_table(char *dst);
bool nb_has(const char *line);

/* nb_tun_goes(), nb_tun_comes() - the TUN device with its routes, and it alone */
void nb_tun_goes(void);
void nb_tun_comes(void);

struct lw_addr nb_addr(const char *text);
struct lw_addr nb_prefix(const char *text, uint8_t len);

#endif

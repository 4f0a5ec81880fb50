/* SPDX-License-Identifier: MIT */
/* A client's worker and the servers that it tries, on one network in memory. */
#ifndef LW_TESTS_BED_CLIENT_H
#define LW_TESTS_BED_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "client/attempts.h"
#include "unit/bed_server.h"

#define BED_SERVERS_MAX 3

struct bed_client {
	struct net net;
	struct lw_engine engine;
	struct lw_attempts attempts;
	struct lw_tunnel_conf conf;
	struct lw_tls_ctx *tls;
	struct net_udp udp;
	struct net_tcp tcp;
	struct net_inside inside;
	struct net_use use[3];
	struct bed *server[BED_SERVERS_MAX];
	uint32_t n_servers;
	/* what the control thread was told */
	uint32_t n_online;
	struct lw_target online;
	uint32_t n_lost;
	enum lw_close_reason reason;
	char text[192];
};

struct bed_client *bed_client_create(void);

/* bed_client_destroy() - its servers too; fails the test when something is left */
void bed_client_destroy(struct bed_client *c);

/* bed_client_server() - one more server, at BED_SERVER + its number */
struct bed *bed_client_server(struct bed_client *c, enum bed_verdict verdict, const char *cert);

/* bed_client_target() - a server's listener, whether there is one or not */
struct lw_target bed_client_target(uint32_t server, bool tcp);

/* bed_client_begin() - try them, and settle */
void bed_client_begin(struct bed_client *c, const struct lw_target *t, uint32_t n);

/* bed_client_settle() - rounds of all until nothing moves; bed_client_run() - with time */
void bed_client_settle(struct bed_client *c);
void bed_client_run(struct bed_client *c, uint64_t us);

/* bed_client_check_idle() - nothing of the attempts is left: no socket, no timer */
void bed_client_check_idle(const struct bed_client *c);

#endif

/* SPDX-License-Identifier: MIT */
#include "server/options.h"

#include <stdio.h>

#include "base/log.h"
#include "server/server.h"

#define AT(member) LW_OPTION_AT(struct lw_server_options, member)
/* a member of a section, counted from the section's own start */
/* NOLINTBEGIN(bugprone-macro-parentheses): the names of members take none */
#define IN(section, member)                                                                        \
	.offset = (uint32_t)(offsetof(struct lw_server_options, section.member) -                  \
	                     offsetof(struct lw_server_options, section)),                         \
	.size = (uint32_t)sizeof(((struct lw_server_options *)0)->section.member)
/* NOLINTEND(bugprone-macro-parentheses) */

static const char *const kind_inside[] = { "inside", NULL };
static const char *const kind_outside[] = { "outside", NULL };
static const char *const kind_filter[] = { "filter", NULL };
static const char *const kind_auth[] = { "auth", NULL };

static const struct lw_option identity[] = {
	{ .name = "certificate",
	  .def = "server.crt",
	  .doc = "PEM certificate of the server, then any intermediates",
	  .type = LW_OPT_PATH,
	  IN(identity, certificate) },
	{ .name = "key",
	  .def = "server.key",
	  .doc = "its private key, PEM, its owner's only",
	  .type = LW_OPT_SECRET_PATH,
	  IN(identity, key) },
	{ .name = NULL },
};

static const struct lw_option network[] = {
	{ .name = "pool",
	  .def = "10.125.0.0/16",
	  .doc = "inside addresses, one a session, never seen by clients",
	  .type = LW_OPT_PREFIX,
	  IN(network, pool) },
	{ .name = "client_address",
	  .def = "10.125.0.5",
	  .doc = "what every client is told as its own inside address",
	  .type = LW_OPT_ADDR,
	  IN(network, client_address) },
	{ .name = "server_address",
	  .def = "10.125.0.6",
	  .doc = "what every client is told as the server's inside address",
	  .type = LW_OPT_ADDR,
	  IN(network, server_address) },
	{ .name = "dns",
	  .def = "10.125.0.1",
	  .doc = "name server that clients are told; none runs here",
	  .type = LW_OPT_ADDR,
	  IN(network, dns) },
	{ .name = "mtu",
	  .unit = "bytes",
	  .def = "1350",
	  .doc = "largest inside packet",
	  .type = LW_OPT_INT,
	  IN(network, mtu),
	  .min = 576,
	  .max = 1419 },
	{ .name = NULL },
};

static const struct lw_option limits[] = {
	{ .name = "sessions",
	  .def = "50000",
	  .doc = "sessions at a time, those on their way included",
	  .type = LW_OPT_INT,
	  IN(limits, sessions),
	  .min = 1,
	  .max = 4000000 },
	{ .name = "handshakes",
	  .def = "1000/s",
	  .doc = "sessions that may begin, each of which costs a signature",
	  .type = LW_OPT_RATE,
	  IN(limits, handshakes),
	  .min = 1,
	  .max = 1000000 },
	{ .name = "idle",
	  .def = "24h",
	  .doc = "a session from which nothing came for so long ends",
	  .type = LW_OPT_DURATION,
	  IN(limits, idle_us),
	  .min = 10 * 1000000LL,
	  .max = 365LL * 86400 * 1000000 },
	{ .name = NULL },
};

static const struct lw_option log_options[] = {
	{ .name = "level",
	  .def = "info",
	  .doc = "how much is logged",
	  .choices = lw_log_level_names,
	  .type = LW_OPT_ENUM,
	  IN(log, level) },
	{ .name = NULL },
};

static const struct lw_option control[] = {
	{ .name = "socket",
	  .def = "/run/laneway/lanewayd.sock",
	  .doc = "where lanewayctl finds the server",
	  .type = LW_OPT_PATH,
	  IN(control, socket) },
	{ .name = "group",
	  .doc = "members may ask too; without one the owner only",
	  .type = LW_OPT_STRING,
	  IN(control, group) },
	{ .name = NULL },
};

static const struct lw_option table[] = {
	{ .name = "workers",
	  .def = "auto",
	  .doc = "threads that carry sessions; auto: one for each processor that we may use",
	  .type = LW_OPT_INT,
	  .flags = LW_OPTF_AUTO,
	  AT(workers),
	  .min = 1,
	  .max = LW_SERVER_WORKERS },
	{ .name = "identity",
	  .doc = "who the server is",
	  .section = identity,
	  .type = LW_OPT_SECTION,
	  AT(identity) },
	{ .name = "network",
	  .doc = "addresses and sizes inside",
	  .section = network,
	  .type = LW_OPT_SECTION,
	  AT(network) },
	{ .name = "inside",
	  .unit = "tun",
	  .def = "{ module: tun }",
	  .doc = "where the tunnel's own packets come from and go to",
	  .choices = kind_inside,
	  .type = LW_OPT_MODULE,
	  AT(inside),
	  .max = LW_SERVER_USES },
	{ .name = "outside",
	  .def = "[{ module: udp, listen: ['0.0.0.0:27690'] },"
	         " { module: tcp, listen: ['0.0.0.0:27690'] }]",
	  .doc = "listeners, any number of each kind",
	  .choices = kind_outside,
	  .type = LW_OPT_MODULE,
	  .flags = LW_OPTF_LIST,
	  AT(outside),
	  .max = LW_SERVER_USES },
	{ .name = "expresslane",
	  .doc = "the short way for data",
	  .section = lw_expresslane_table,
	  .type = LW_OPT_SECTION,
	  AT(expresslane) },
	{ .name = "chain",
	  .doc = "filters from the inside to the outside; the way back runs in reverse order",
	  .choices = kind_filter,
	  .type = LW_OPT_MODULE,
	  .flags = LW_OPTF_LIST,
	  AT(chain),
	  .max = LW_SERVER_USES },
	{ .name = "auth",
	  .doc = "who may log in: modules asked in order; nobody said yes means no",
	  .choices = kind_auth,
	  .type = LW_OPT_MODULE,
	  .flags = LW_OPTF_LIST | LW_OPTF_REQUIRED,
	  AT(auth),
	  .max = LW_SERVER_USES },
	{ .name = "limits",
	  .doc = "what the server grants at most",
	  .section = limits,
	  .type = LW_OPT_SECTION,
	  AT(limits) },
	{ .name = "log",
	  .doc = "what is logged",
	  .section = log_options,
	  .type = LW_OPT_SECTION,
	  AT(log) },
	{ .name = "control",
	  .doc = "lanewayctl",
	  .section = control,
	  .type = LW_OPT_SECTION,
	  AT(control) },
	{ .name = NULL },
};

const struct lw_conf_program lw_server_program = {
	.name = "lanewayd",
	.summary = "lanewayd: server of the Laneway VPN, which speaks the Lightway protocol",
	.default_file = "/etc/laneway/lanewayd.yaml",
	.table = table,
	.options_size = sizeof(struct lw_server_options),
};

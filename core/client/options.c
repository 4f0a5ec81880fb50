/* SPDX-License-Identifier: MIT */
#include "client/options.h"

#include <stdio.h>

#include "base/log.h"
#include "client/client.h"

#define AT(member) LW_OPTION_AT(struct lw_client_options, member)
/* a member of a section, counted from the section's own start */
/* NOLINTBEGIN(bugprone-macro-parentheses): the names of members take none */
#define IN(section, member)                                                                        \
	.offset = (uint32_t)(offsetof(struct lw_client_options, section.member) -                  \
	                     offsetof(struct lw_client_options, section)),                         \
	.size = (uint32_t)sizeof(((struct lw_client_options *)0)->section.member)
/* NOLINTEND(bugprone-macro-parentheses) */

#define SECOND 1000000LL

static const char *const kind_inside[] = { "inside", NULL };
static const char *const kind_outside[] = { "outside", NULL };
static const char *const ciphers[] = { "aes256", "chacha20", NULL };

static const struct lw_option identity[] = {
	{ .name = "ca",
	  .def = "ca.crt",
	  .doc = "PEM certificate of the CA, the only one trusted: a path, or the text itself",
	  .type = LW_OPT_STRING,
	  IN(identity, ca) },
	{ .name = "server_name",
	  .doc = "name that the server's certificate must carry; without one any of that CA will "
	         "do",
	  .type = LW_OPT_STRING,
	  IN(identity, server_name) },
	{ .name = NULL },
};

static const struct lw_option login[] = {
	{ .name = "user",
	  .doc = "user name, at most 50 bytes",
	  .type = LW_OPT_STRING,
	  .flags = LW_OPTF_REQUIRED,
	  IN(login, user) },
	{ .name = "password",
	  .doc = "password, at most 50 bytes; this file must then be its owner's only",
	  .type = LW_OPT_STRING,
	  .flags = LW_OPTF_SECRET,
	  IN(login, password) },
	{ .name = "password_file",
	  .doc = "file with the password in its first line, its owner's only",
	  .type = LW_OPT_SECRET_PATH,
	  IN(login, password_file) },
	{ .name = NULL },
};

static const struct lw_option network[] = {
	{ .name = "mtu",
	  .unit = "bytes",
	  .def = "1350",
	  .doc = "largest inside packet",
	  .type = LW_OPT_INT,
	  IN(network, mtu),
	  .min = 576,
	  .max = 1419 },
	{ .name = "outside_mtu",
	  .unit = "bytes",
	  .def = "1500",
	  .doc = "largest outside IP packet",
	  .type = LW_OPT_INT,
	  IN(network, outside_mtu),
	  .min = 256,
	  .max = 1500 },
	{ .name = NULL },
};

static const struct lw_option reconnect[] = {
	{ .name = "min",
	  .def = "1s",
	  .doc = "wait before the first new attempt after a loss; doubled each time",
	  .type = LW_OPT_DURATION,
	  IN(reconnect, min_us),
	  .min = SECOND / 10,
	  .max = 3600 * SECOND },
	{ .name = "max",
	  .def = "30s",
	  .doc = "longest wait between attempts",
	  .type = LW_OPT_DURATION,
	  IN(reconnect, max_us),
	  .min = SECOND / 10,
	  .max = 86400 * SECOND },
	{ .name = NULL },
};

static const struct lw_option keepalive[] = {
	{ .name = "interval",
	  .def = "10s",
	  .doc = "silence after which the server is asked for a sign of life",
	  .type = LW_OPT_DURATION,
	  IN(keepalive, interval_us),
	  .min = SECOND,
	  .max = 3600 * SECOND },
	{ .name = "timeout",
	  .def = "60s",
	  .doc = "the connection is given up so long after the first unanswered question",
	  .type = LW_OPT_DURATION,
	  IN(keepalive, timeout_us),
	  .min = SECOND,
	  .max = 3600 * SECOND },
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
	  .def = "/run/laneway/laneway.sock",
	  .doc = "where lanewayctl finds the client",
	  .type = LW_OPT_PATH,
	  IN(control, socket) },
	{ .name = "group",
	  .doc = "members may ask too; without one the owner only",
	  .type = LW_OPT_STRING,
	  IN(control, group) },
	{ .name = NULL },
};

static const struct lw_option table[] = {
	{ .name = "servers",
	  .doc = "udp://HOST:PORT or tcp://HOST:PORT, tried together; the first that answers wins",
	  .type = LW_OPT_STRING,
	  .flags = LW_OPTF_LIST | LW_OPTF_REQUIRED,
	  AT(servers) },
	{ .name = "identity",
	  .doc = "whom to trust",
	  .section = identity,
	  .type = LW_OPT_SECTION,
	  AT(identity) },
	{ .name = "login",
	  .doc = "who we are",
	  .section = login,
	  .type = LW_OPT_SECTION,
	  AT(login) },
	{ .name = "network",
	  .doc = "sizes",
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
	  .max = LW_CLIENT_INSIDES },
	{ .name = "outside",
	  .def = "[{ module: udp }, { module: tcp }]",
	  .doc = "how servers are reached: a module for each of udp:// and tcp://",
	  .choices = kind_outside,
	  .type = LW_OPT_MODULE,
	  .flags = LW_OPTF_LIST,
	  AT(outside),
	  .max = 2 },
	{ .name = "expresslane",
	  .doc = "the short way for data",
	  .section = lw_expresslane_table,
	  .type = LW_OPT_SECTION,
	  AT(expresslane) },
	{ .name = "routes",
	  .def = "default",
	  .doc = "what goes into the tunnel: default (all IPv4), lan (all but private networks), "
	         "none, or a list of prefixes",
	  .type = LW_OPT_STRING,
	  .flags = LW_OPTF_LIST,
	  AT(routes) },
	{ .name = "cipher",
	  .def = "aes256",
	  .doc = "the suite that is offered; chacha20 where the processor has no AES",
	  .choices = ciphers,
	  .type = LW_OPT_ENUM,
	  AT(cipher) },
	{ .name = "reconnect",
	  .doc = "after a loss",
	  .section = reconnect,
	  .type = LW_OPT_SECTION,
	  AT(reconnect) },
	{ .name = "keepalive",
	  .doc = "signs of life",
	  .section = keepalive,
	  .type = LW_OPT_SECTION,
	  AT(keepalive) },
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

const struct lw_conf_program lw_client_program = {
	.name = "laneway",
	.summary = "laneway: client of the Laneway VPN, which speaks the Lightway protocol",
	.default_file = "/etc/laneway/laneway.yaml",
	.table = table,
	.options_size = sizeof(struct lw_client_options),
};

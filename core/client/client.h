/* SPDX-License-Identifier: MIT */
#ifndef LW_CLIENT_CLIENT_H
#define LW_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <laneway/module.h>

#include "client/attempts.h"
#include "client/netconf.h"
#include "worker/cipher.h"

#define LW_CLIENT_INSIDES 4u

/* one server as configured: a name or an address, and a port */
struct lw_client_server {
	const char *host;
	uint16_t port;
	bool tcp;
};

/* a module with its options, which outlive the run */
struct lw_client_use {
	const struct lw_module *module;
	const void *opts;
};

/* what a client is to be; lives while it runs */
struct lw_client_plan {
	struct lw_client_server servers[LW_CLIENT_SERVERS];
	uint32_t n_servers;
	struct lw_client_use inside[LW_CLIENT_INSIDES];
	struct lw_client_use udp; /* module NULL where no server needs it, as of tcp */
	struct lw_client_use tcp;
	uint32_t n_inside;
	struct lw_cipher_plan lane; /* Expresslane */
	const uint8_t *ca_pem;
	size_t ca_len;
	const char *server_name;
	enum lw_tls_cipher cipher;
	const char *user;
	const char *password;
	uint32_t mtu;
	uint32_t outside_mtu;
	enum lw_netconf_mode routes;
	const struct lw_addr *prefixes;
	uint32_t n_prefixes;
	const char *state_dir;
	uint64_t reconnect_min_us;
	uint64_t reconnect_max_us;
	uint64_t keepalive_us;
	uint64_t keepalive_timeout_us;
	const char *control_socket; /* NULL: none */
	const char *control_group;
};

/**
 * lw_client_run() - connect, and stay connected until SIGINT or SIGTERM
 *
 * @err: one sentence when it could not connect or had to end
 *
 * Context: control thread.
 * Return:  0; -EACCES (login refused), -EHOSTUNREACH (no server answered), or another negative
 *          errno: lw_exit_code() tells the exit code.
 */
int lw_client_run(const struct lw_client_plan *plan, struct lw_err *err);

#endif

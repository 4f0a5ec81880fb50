/* SPDX-License-Identifier: MIT */
#ifndef LW_SERVER_SERVER_H
#define LW_SERVER_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include <laneway/module.h>

#include "worker/cipher.h"

#define LW_SERVER_USES 16u
/* a byte of a session's id names the worker, and one value of it is none */
#define LW_SERVER_WORKERS 255

/* one use of a module, as configured */
struct lw_use {
	const struct lw_module *module;
	const void *opts;
};

struct lw_uses {
	struct lw_use use[LW_SERVER_USES];
	uint32_t n;
};

/* what a server is to be; lives while it runs */
struct lw_server_plan {
	uint32_t workers;      /* 0: as many as there are processors for us */
	struct lw_uses inside; /* in order of preference */
	struct lw_uses outside;
	struct lw_uses chain;
	struct lw_uses auth;
	struct lw_cipher_plan cipher;
	const uint8_t *cert_pem;
	size_t cert_len;
	const uint8_t *key_pem;
	size_t key_len;
	struct lw_addr pool;
	struct lw_addr client_address;
	struct lw_addr server_address;
	struct lw_addr dns;
	uint32_t mtu;
	uint32_t max_sessions;
	uint64_t handshakes_per_s;
	uint64_t idle_us;
	const char *control_socket; /* NULL: none */
	const char *control_group;
};

/**
 * lw_server_run() - serve until SIGINT or SIGTERM, then say goodbye to all
 *
 * @err: one sentence when it could not start or had to end
 *
 * Context: control thread.
 * Return:  0, or a negative errno: lw_exit_code() tells the exit code.
 */
int lw_server_run(const struct lw_server_plan *plan, struct lw_err *err);

#endif

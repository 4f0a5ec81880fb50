/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/process.h"
#include "base/wipe.h"
#include "conf/command.h"
#include "conf/file.h"
#include "module/linked.h"
#include "server/options.h"
#include "server/server.h"

/* files that the plan points into */
struct files {
	uint8_t *certificate;
	size_t certificate_len;
	uint8_t *key;
	size_t key_len;
};

/* Rules across options, and what only a look at a file can tell. */
static void check(struct lw_conf *c, void *options)
{
	struct lw_server_options *o = options;
	uint8_t *bytes = NULL;
	size_t len = 0;
	int r = lw_file_read(o->identity.certificate, &bytes, &len);

	free(bytes);
	lw_expresslane_find(c, &o->expresslane);
	if (r < 0)
		lw_conf_error(c, &o->identity.certificate,
		              "certificate: cannot read '%s': %s; ./run makes one",
		              o->identity.certificate, strerror(-r));
	if (o->network.pool.family != 4 || o->network.pool.prefix < 10 ||
	    o->network.pool.prefix > 30)
		lw_conf_error(c, &o->network.pool,
		              "pool: needs an IPv4 prefix of length 10 to 30, as 10.125.0.0/16");
	if (o->network.client_address.family != 4 || o->network.server_address.family != 4 ||
	    o->network.dns.family != 4)
		lw_conf_error(c, &o->network.client_address,
		              "client_address, server_address and dns must be IPv4 addresses");
}

static int read_files(const struct lw_server_options *o, struct files *f, struct lw_err *err)
{
	int r = lw_file_read(o->identity.certificate, &f->certificate, &f->certificate_len);

	if (r < 0)
		return lw_err_set(err, r, "cannot read '%s': %s", o->identity.certificate,
		                  strerror(-r));
	r = lw_file_read(o->identity.key, &f->key, &f->key_len);
	if (r < 0)
		return lw_err_set(err, r, "cannot read '%s': %s", o->identity.key, strerror(-r));
	return 0;
}

static void use_list(const struct lw_list *list, struct lw_uses *ret)
{
	const struct lw_conf_use *uses = list->items;

	for (uint32_t i = 0; i < list->n && ret->n < LW_SERVER_USES; i++)
		ret->use[ret->n++] =
			(struct lw_use){ .module = uses[i].module, .opts = uses[i].opts };
}

static struct lw_server_plan make_plan(const struct lw_server_options *o, const struct files *f)
{
	struct lw_server_plan plan = {
		.cert_pem = f->certificate,
		.cert_len = f->certificate_len,
		.key_pem = f->key,
		.key_len = f->key_len,
		.pool = o->network.pool,
		.client_address = o->network.client_address,
		.server_address = o->network.server_address,
		.dns = o->network.dns,
		.mtu = (uint32_t)o->network.mtu,
		.workers = (uint32_t)o->workers,
		.max_sessions = (uint32_t)o->limits.sessions,
		.handshakes_per_s = (uint64_t)o->limits.handshakes,
		.idle_us = (uint64_t)o->limits.idle_us,
		.cipher = { .modules = o->expresslane.modules,
		            .n = o->expresslane.n_modules,
		            .fastest = o->expresslane.fastest,
		            .rotate_us = lw_expresslane_rotate_us(&o->expresslane) },
		.control_socket = o->control.socket,
		.control_group = o->control.group,
	};

	use_list(&o->inside, &plan.inside);
	use_list(&o->outside, &plan.outside);
	use_list(&o->chain, &plan.chain);
	use_list(&o->auth, &plan.auth);
	return plan;
}

static int serve(const struct lw_server_options *o)
{
	struct files f = { 0 };
	struct lw_err err = { 0 };
	int r = read_files(o, &f, &err);

	if (r == 0) {
		struct lw_server_plan plan = make_plan(o, &f);

		r = lw_server_run(&plan, &err);
	}
	lw_wipe(f.key, f.key_len);
	free(f.key);
	free(f.certificate);
	if (r < 0)
		lw_log_write(LW_LOG_ERROR, "lanewayd", "%s", err.text);
	return lw_exit_code(r);
}

int main(int argc, char **argv)
{
	struct lw_server_options options;
	struct lw_loader *loader = NULL;
	struct lw_conf *conf = NULL;
	int code;

	lw_process_guard();
	memset(&options, 0, sizeof(options));
	if (lw_loader_create(NULL, LW_LINKED_MODULES, &loader) < 0) {
		(void)fprintf(stderr, "lanewayd: out of memory\n");
		return LW_EXIT_SYSTEM;
	}
	code = lw_command_read(&lw_server_program, argc, argv, &options, loader, check, &conf);
	if (code < 0) {
		lw_log_open(options.log.level);
		code = serve(&options);
		lw_conf_destroy(conf);
	}
	lw_loader_destroy(loader);
	return code;
}

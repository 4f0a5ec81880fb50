/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/process.h"
#include "base/wipe.h"
#include "client/client.h"
#include "client/options.h"
#include "conf/command.h"
#include "conf/file.h"
#include "module/linked.h"
#include "module/value.h"

#define STATE_DIR    "/run/laneway"
#define FIELD_MAX    50 /* bytes of a user name or password: wire.md 2.4 */
#define HOST_MAX     256
#define PREFIXES_MAX 64

/* what the options come to; the plan points into it */
struct material {
	struct lw_client_plan plan;
	char hosts[LW_CLIENT_SERVERS][HOST_MAX];
	struct lw_addr prefixes[PREFIXES_MAX];
	uint8_t *ca;
	size_t ca_len;
	char password[FIELD_MAX + 2];
	struct lw_conf *conf;
	struct lw_loader *loader;
};

static const char *item(const struct lw_list *list, uint32_t i)
{
	return ((const char *const *)list->items)[i];
}

/* udp://host:port, host a name, an IPv4 address, or an IPv6 address in brackets */
static int parse_server(const char *text, char host[HOST_MAX], struct lw_client_server *ret)
{
	const char *p = text + 6;
	const char *colon = strrchr(text, ':');
	size_t len;
	char *end;
	unsigned long port;

	if (strncmp(text, "udp://", 6) != 0 && strncmp(text, "tcp://", 6) != 0)
		return -1;
	if (colon == NULL || colon < p || colon[1] == '\0')
		return -1;
	port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port == 0 || port > 65535)
		return -1;
	len = (size_t)(colon - p);
	if (len >= 2 && p[0] == '[' && p[len - 1] == ']') {
		p++;
		len -= 2;
	} else if (memchr(p, ':', len) != NULL) {
		return -1;
	}
	if (len == 0 || len >= HOST_MAX)
		return -1;
	memcpy(host, p, len);
	host[len] = '\0';
	*ret = (struct lw_client_server){ .host = host,
		                          .port = (uint16_t)port,
		                          .tcp = text[0] == 't' };
	return 0;
}

static void make_servers(struct material *m, const struct lw_client_options *o)
{
	for (uint32_t i = 0; i < o->servers.n; i++) {
		uint32_t n = m->plan.n_servers;

		if (n == LW_CLIENT_SERVERS) {
			lw_conf_error(m->conf, &o->servers, "servers: more than %u",
			              LW_CLIENT_SERVERS);
			return;
		}
		if (parse_server(item(&o->servers, i), m->hosts[n], &m->plan.servers[n]) < 0)
			lw_conf_error_item(
				m->conf, &o->servers, i,
				"servers: '%s' is not udp://HOST:PORT or tcp://HOST:PORT, with "
				"an IPv6 address in brackets",
				item(&o->servers, i));
		else
			m->plan.n_servers++;
	}
}

static void make_ca(struct material *m, const struct lw_client_options *o)
{
	char *path;
	int r;

	if (strncmp(o->identity.ca, "-----BEGIN", 10) == 0) {
		m->ca = (uint8_t *)strdup(o->identity.ca);
		m->ca_len = m->ca != NULL ? strlen(o->identity.ca) : 0;
		return;
	}
	path = lw_conf_path(m->conf, o->identity.ca);
	if (path == NULL)
		return;
	r = lw_file_read(path, &m->ca, &m->ca_len);
	if (r < 0)
		lw_conf_error(m->conf, &o->identity.ca, "ca: cannot read '%s': %s", path,
		              strerror(-r));
	free(path);
}

/* The TLS library compares full names only: at least two labels of letters, digits and dashes. */
static bool is_full_name(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL && dot != name && dot[1] != '\0' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") ==
	               strlen(name);
}

static void check_name(struct material *m, const struct lw_client_options *o)
{
	const char *name = o->identity.server_name;

	if (name != NULL && *name != '\0' && !is_full_name(name))
		lw_conf_error(m->conf, &o->identity.server_name,
		              "server_name: '%s' is not a full domain name, as vpn.example.net",
		              name);
}

static void make_password(struct material *m, const struct lw_client_options *o)
{
	uint8_t *text = NULL;
	size_t len = 0;

	if ((o->login.password == NULL) == (o->login.password_file == NULL)) {
		lw_conf_error(m->conf, &o->login.password,
		              "login needs either password_file or password");
		return;
	}
	if (o->login.password != NULL) {
		(void)snprintf(m->password, sizeof(m->password), "%s", o->login.password);
	} else if (lw_file_read(o->login.password_file, &text, &len) == 0) {
		(void)snprintf(m->password, sizeof(m->password), "%.*s",
		               (int)strcspn((const char *)text, "\r\n"), (const char *)text);
		lw_wipe(text, len);
		free(text);
	}
	if (*m->password == '\0' || strlen(m->password) > FIELD_MAX)
		lw_conf_error(m->conf, &o->login.password_file, "a password has 1 to %d bytes",
		              FIELD_MAX);
	if (*o->login.user == '\0' || strlen(o->login.user) > FIELD_MAX)
		lw_conf_error(m->conf, &o->login.user, "a user name has 1 to %d bytes", FIELD_MAX);
}

static void make_prefixes(struct material *m, const struct lw_client_options *o)
{
	const struct lw_option row = {
		.name = "routes", .doc = "", .type = LW_OPT_PREFIX, .size = sizeof(struct lw_addr)
	};

	m->plan.routes = LW_NETCONF_LIST;
	for (uint32_t i = 0; i < o->routes.n && i < PREFIXES_MAX; i++) {
		struct lw_err err = { 0 };

		if (lw_value_parse(&row, item(&o->routes, i), &m->prefixes[i], &err) < 0)
			lw_conf_error_item(m->conf, &o->routes, i, "routes: %s", err.text);
		else if (m->prefixes[i].family != 4)
			lw_conf_error_item(m->conf, &o->routes, i,
			                   "routes: the inside is IPv4 only; write an IPv4 prefix");
		m->plan.n_prefixes++;
	}
	if (o->routes.n > PREFIXES_MAX)
		lw_conf_error_item(m->conf, &o->routes, PREFIXES_MAX,
		                   "routes: more than %d prefixes; remove some", PREFIXES_MAX);
	m->plan.prefixes = m->prefixes;
}

static void make_routes(struct material *m, const struct lw_client_options *o)
{
	static const struct {
		const char *word;
		enum lw_netconf_mode mode;
	} words[] = { { "default", LW_NETCONF_DEFAULT },
		      { "lan", LW_NETCONF_LAN },
		      { "none", LW_NETCONF_NONE } };

	for (size_t i = 0; o->routes.n == 1 && i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(item(&o->routes, 0), words[i].word) == 0) {
			m->plan.routes = words[i].mode;
			return;
		}
	}
	make_prefixes(m, o);
}

/* The modules that the servers need, one for each kind of transport. */
static void make_outside(struct material *m, const struct lw_client_options *o)
{
	const struct lw_conf_use *uses = o->outside.items;
	struct lw_client_use found[2] = { { .module = NULL } }; /* udp, tcp */

	for (uint32_t i = 0; i < o->outside.n; i++) {
		struct lw_client_use *use = &found[uses[i].module->kind == LW_KIND_OUTSIDE_TCP];

		if (use->module != NULL)
			lw_conf_error_use(m->conf, &uses[i],
			                  "outside: a second module of this kind; one carries all "
			                  "servers");
		*use = (struct lw_client_use){ .module = uses[i].module, .opts = uses[i].opts };
	}
	for (uint32_t i = 0; i < o->servers.n; i++) {
		bool tcp = item(&o->servers, i)[0] == 't';

		if (found[tcp].module == NULL)
			lw_conf_error_item(m->conf, &o->servers, i,
			                   "servers: '%s' needs a module for %s in outside",
			                   item(&o->servers, i), tcp ? "TCP" : "UDP");
		*(tcp ? &m->plan.tcp : &m->plan.udp) = found[tcp];
	}
}

/* main() has one client, and the hook of the command line has no place for a pointer to it */
static struct material material;

static void check(struct lw_conf *c, void *options)
{
	struct material *m = &material;
	struct lw_client_options *o = options;

	m->conf = c;
	make_servers(m, o);
	check_name(m, o);
	make_ca(m, o);
	make_password(m, o);
	make_routes(m, o);
	make_outside(m, o);
	lw_expresslane_find(c, &o->expresslane);
	if (o->reconnect.min_us > o->reconnect.max_us)
		lw_conf_error(c, &o->reconnect.min_us, "reconnect: min is above max");
	if (o->network.mtu + 81 > o->network.outside_mtu)
		lw_conf_error(c, &o->network.mtu,
		              "mtu: a tunnel needs 81 bytes on top, but outside_mtu is %lld",
		              (long long)o->network.outside_mtu);
}

static void make_plan(struct material *m, const struct lw_client_options *o)
{
	const struct lw_conf_use *uses = o->inside.items;
	struct lw_client_plan *p = &m->plan;

	for (uint32_t i = 0; i < o->inside.n && i < LW_CLIENT_INSIDES; i++) {
		p->inside[p->n_inside].module = uses[i].module;
		p->inside[p->n_inside++].opts = uses[i].opts;
	}
	p->lane = (struct lw_cipher_plan){
		.modules = o->expresslane.modules,
		.n = o->expresslane.n_modules,
		.fastest = o->expresslane.fastest,
		.rotate_us = lw_expresslane_rotate_us(&o->expresslane),
	};
	p->ca_pem = m->ca;
	p->ca_len = m->ca_len;
	p->server_name = o->identity.server_name;
	p->cipher = o->cipher == 0 ? LW_TLS_AES256 : LW_TLS_CHACHA20;
	p->user = o->login.user;
	p->password = m->password;
	p->mtu = (uint32_t)o->network.mtu;
	p->outside_mtu = (uint32_t)o->network.outside_mtu;
	p->state_dir = STATE_DIR;
	p->reconnect_min_us = (uint64_t)o->reconnect.min_us;
	p->reconnect_max_us = (uint64_t)o->reconnect.max_us;
	p->keepalive_us = (uint64_t)o->keepalive.interval_us;
	p->keepalive_timeout_us = (uint64_t)o->keepalive.timeout_us;
	p->control_socket = o->control.socket;
	p->control_group = o->control.group;
}

static int run(const struct lw_client_options *o)
{
	struct lw_err err = { 0 };
	int r;

	lw_log_open(o->log.level);
	make_plan(&material, o);
	r = lw_client_run(&material.plan, &err);
	if (r < 0)
		lw_log_write(LW_LOG_ERROR, "laneway", "%s", err.text);
	return lw_exit_code(r);
}

static void clean_up(struct material *m)
{
	free(m->ca);
	lw_wipe(m->password, sizeof(m->password));
}

int main(int argc, char **argv)
{
	struct lw_client_options options;
	struct lw_conf *conf = NULL;
	int code;

	lw_process_guard();
	memset(&options, 0, sizeof(options));
	if (lw_loader_create(NULL, LW_LINKED_MODULES, &material.loader) < 0) {
		(void)fprintf(stderr, "laneway: out of memory\n");
		return LW_EXIT_SYSTEM;
	}
	code = lw_command_read(&lw_client_program, argc, argv, &options, material.loader, check,
	                       &conf);
	if (code < 0) {
		code = run(&options);
		lw_conf_destroy(conf);
	}
	clean_up(&material);
	lw_loader_destroy(material.loader);
	return code;
}

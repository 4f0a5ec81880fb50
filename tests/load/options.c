/* SPDX-License-Identifier: MIT */
#include "load/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

enum type { FLAG, NUMBER, TEXT, ADDRESS, ADDRESS_PORT, RANGE, CHOICE };

struct option {
	const char *name;
	enum type type;
	size_t offset;
	const char *value; /* how the help names it, and the choices */
	const char *def;   /* NULL: nothing */
	uint64_t min;
	uint64_t max;
	const char *doc;
};

#define AT(member) offsetof(struct load_options, member)

static const struct option table[] = {
	{ "server", ADDRESS_PORT, AT(server), "ADDR:PORT", NULL, 0, 0, "the server outside" },
	{ "tcp", FLAG, AT(tcp), "", NULL, 0, 0, "over TCP, else over UDP" },
	{ "ca", TEXT, AT(ca), "FILE", NULL, 0, 0, "PEM of the CA that the server is trusted by" },
	{ "server-name", TEXT, AT(server_name), "NAME", NULL, 0, 0,
	  "that its certificate must carry" },
	{ "user", TEXT, AT(user), "NAME", "load", 0, 0, "the login of all clients" },
	{ "password", TEXT, AT(password), "WORD", "load", 0, 0, "and its password" },
	{ "clients", NUMBER, AT(clients), "N", "0", 0, 1000000, "how many connect" },
	{ "source", RANGE, AT(source), "RANGE", NULL, 0, 0,
	  "their addresses, as 10.1.0.0/16, by turns; they must be local" },
	{ "rate", NUMBER, AT(rate), "N", "0", 0, 1000000,
	  "clients that begin in a second, 0: no limit" },
	{ "concurrent", NUMBER, AT(concurrent), "N", "64", 1, 1000000, "on their way at once" },
	{ "wait", NUMBER, AT(wait_ms), "MS", "0", 0, 60000,
	  "when all are there, before they and strangers send" },
	{ "hold", NUMBER, AT(hold_s), "SECONDS", "0", 0, 86400,
	  "how long they stay when all are there, and how long strangers send" },
	{ "seconds", NUMBER, AT(seconds), "SECONDS", "60", 1, 86400,
	  "after so many it ends in any case" },
	{ "keepalive", NUMBER, AT(keepalive_s), "SECONDS", "10", 1, 3600,
	  "silence after which a client asks" },
	{ "keepalive-timeout", NUMBER, AT(keepalive_timeout_s), "SECONDS", "30", 1, 3600,
	  "silence after which it gives up" },
	{ "outside-mtu", NUMBER, AT(outside_mtu), "BYTES", "1500", 256, 1500,
	  "largest packet outside" },
	{ "no-expresslane", FLAG, AT(no_expresslane), "", NULL, 0, 0, "all data in DTLS" },
	{ "inside", ADDRESS, AT(inside), "ADDR", "10.125.0.1", 0, 0,
	  "who answers probes and bulk in the tunnel" },
	{ "probe", NUMBER, AT(probe_ms), "MS", "0", 0, 60000,
	  "between two ICMP echoes of a client, 0: none" },
	{ "probe-clients", NUMBER, AT(probe_clients), "N", "1", 1, 1000000, "that send them" },
	{ "bulk", CHOICE, AT(bulk), "none|up|down", "none", 0, 0, "UDP through the tunnel" },
	{ "bulk-clients", NUMBER, AT(bulk_clients), "N", "1", 1, 4096, "that send or get it" },
	{ "bulk-mbit", NUMBER, AT(bulk_mbit), "N", "0", 0, 100000,
	  "Mbit/s of each, 0: as fast as it goes" },
	{ "bulk-bytes", NUMBER, AT(bulk_bytes), "N", "1300", 64, 1391, "of a UDP payload" },
	{ "bulk-port", NUMBER, AT(bulk_port), "PORT", "5201", 1, 65535, "of --answer" },
	{ "spoof", NUMBER, AT(spoof), "N", "0", 0, 10000000,
	  "first datagrams of strangers in a second" },
	{ "spoof-source", RANGE, AT(spoof_source), "RANGE", NULL, 0, 0,
	  "their addresses, by turns; they must be local" },
	{ "spoof-kind", CHOICE, AT(spoof_kind), "hello|unknown|junk", "hello", 0, 0,
	  "a ClientHello, a session id that nobody has, or no sense" },
	{ "answer", ADDRESS_PORT, AT(answer), "ADDR:PORT", NULL, 0, 0,
	  "be the other end of bulk, nothing else" },
	{ "help", FLAG, AT(help), "", NULL, 0, 0, "this" },
};

#define N_OPTIONS (sizeof(table) / sizeof(table[0]))

static int take_number(const struct option *o, const char *text, uint64_t *ret, struct lw_err *err)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || v < o->min || v > o->max)
		return lw_err_set(err, -EINVAL,
		                  "--%s takes a number from %llu to %llu, not '%.40s'", o->name,
		                  (unsigned long long)o->min, (unsigned long long)o->max, text);
	*ret = v;
	return 0;
}

static int take_address(const struct option *o, const char *text, struct lw_addr *ret,
                        struct lw_err *err)
{
	bool port = o->type == ADDRESS_PORT;
	struct lw_addr a;

	if (lw_addr_parse(text, &a) < 0 || a.family != 4 || (a.port != 0) != port)
		return lw_err_set(err, -EINVAL, "--%s takes an IPv4 address %s port, not '%.40s'",
		                  o->name, port ? "with a" : "without a", text);
	*ret = a;
	return 0;
}

static int take_range(const struct option *o, const char *text, struct load_range *ret,
                      struct lw_err *err)
{
	struct lw_err why;
	int r = load_range_parse(text, ret, &why);

	return r < 0 ? lw_err_set(err, r, "--%s %s", o->name, why.text) : 0;
}

static int take_choice(const struct option *o, const char *text, uint32_t *ret, struct lw_err *err)
{
	const char *choice = o->value;
	size_t len = strlen(text);

	for (uint32_t i = 0; choice != NULL; i++) {
		if (strcspn(choice, "|") == len && strncmp(choice, text, len) == 0) {
			*ret = i;
			return 0;
		}
		choice = strchr(choice, '|');
		choice = choice != NULL ? choice + 1 : NULL;
	}
	return lw_err_set(err, -EINVAL, "--%s takes %s, not '%.40s'", o->name, o->value, text);
}

static int take(const struct option *o, const char *text, struct load_options *to,
                struct lw_err *err)
{
	void *at = (char *)to + o->offset;

	switch (o->type) {
	case FLAG:
		*(bool *)at = true;
		return 0;
	case NUMBER:
		return take_number(o, text, at, err);
	case TEXT:
		*(const char **)at = text;
		return 0;
	case ADDRESS:
	case ADDRESS_PORT:
		return take_address(o, text, at, err);
	case RANGE:
		return take_range(o, text, at, err);
	case CHOICE:
		return take_choice(o, text, at, err);
	default:
		return -EINVAL;
	}
}

static const struct option *find(const char *word)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, table[i].name) == 0)
			return &table[i];
	}
	return NULL;
}

static int check_clients(const struct load_options *o, struct lw_err *err)
{
	if (o->clients > 0 && o->ca == NULL)
		return lw_err_set(err, -EINVAL, "--clients wants --ca");
	if (o->clients == 0 && (o->probe_ms > 0 || o->bulk != LOAD_BULK_NONE))
		return lw_err_set(err, -EINVAL, "--probe and --bulk want --clients");
	if ((o->probe_ms > 0 || o->bulk != LOAD_BULK_NONE) && o->hold_s == 0)
		return lw_err_set(err, -EINVAL, "--probe and --bulk want --hold");
	return 0;
}

static int check_spoof(const struct load_options *o, struct lw_err *err)
{
	if (o->spoof == 0)
		return 0;
	if (o->tcp)
		return lw_err_set(err, -EINVAL, "--spoof is for UDP, without --tcp");
	if (o->spoof_source.n == 0)
		return lw_err_set(err, -EINVAL, "--spoof wants --spoof-source");
	if (o->hold_s == 0)
		return lw_err_set(err, -EINVAL, "--spoof wants --hold");
	if (o->spoof_kind == LOAD_SPOOF_HELLO && o->ca == NULL)
		return lw_err_set(err, -EINVAL, "--spoof-kind hello wants --ca");
	return 0;
}

static int check(const struct load_options *o, struct lw_err *err)
{
	int r;

	if (o->answer.family != 0 || o->help)
		return 0;
	if (o->server.family == 0)
		return lw_err_set(err, -EINVAL, "--server must be given");
	if (o->clients == 0 && o->spoof == 0)
		return lw_err_set(err, -EINVAL, "--clients or --spoof must be given");
	r = check_clients(o, err);
	return r < 0 ? r : check_spoof(o, err);
}

int load_options_parse(int argc, char *const *argv, struct load_options *ret, struct lw_err *err)
{
	struct load_options o = { 0 };
	int r = 0;

	for (size_t i = 0; i < N_OPTIONS && r == 0; i++) {
		if (table[i].def != NULL)
			r = take(&table[i], table[i].def, &o, err);
	}
	for (int i = 1; i < argc && r == 0; i++) {
		const struct option *opt = find(argv[i]);

		if (opt == NULL)
			return lw_err_set(err, -EINVAL, "unknown word '%.40s'", argv[i]);
		if (opt->type != FLAG && ++i == argc)
			return lw_err_set(err, -EINVAL, "--%s wants %s", opt->name, opt->value);
		r = take(opt, argv[i], &o, err);
	}
	if (r == 0)
		r = check(&o, err);
	if (r == 0)
		*ret = o;
	return r;
}

void load_options_help(FILE *to)
{
	(void)fputs(
		"usage: load --server ADDR:PORT [OPTION...]: many clients of one server, without "
		"devices;\n       then one line of JSON on stdout, and a table on stderr\n",
		to);
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option *o = &table[i];

		(void)fprintf(to, "  --%-18s%-19s %s%s%s%s\n", o->name, o->value, o->doc,
		              o->def != NULL ? " (" : "", o->def != NULL ? o->def : "",
		              o->def != NULL ? ")" : "");
	}
}

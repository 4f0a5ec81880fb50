/* SPDX-License-Identifier: MIT */
/* lanewayctl: asks a running lanewayd or laneway over its unix socket. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "control/json_read.h"
#include "ctl/ask.h"
#include "ctl/print.h"

/* as in sysexits.h, named in lanewayctl(1) */
enum { EXIT_USAGE = 64, EXIT_NO_DAEMON = 69, EXIT_NOT_PERMITTED = 77 };

static const char *const default_sockets[] = { "/run/laneway/lanewayd.sock",
	                                       "/run/laneway/laneway.sock", NULL };

static const char usage_text[] =
	"Usage: lanewayctl [--socket PATH] [--json] status\n"
	"\n"
	"Asks a running lanewayd or laneway.\n"
	"\n"
	"  status         what the daemon does\n"
	"\n"
	"  --socket PATH  the daemon's socket; without it /run/laneway/lanewayd.sock,\n"
	"                 then /run/laneway/laneway.sock\n"
	"  --json         the answer as the daemon gives it\n"
	"  --version      print the version\n"
	"  --help         print this\n";

struct request {
	const char *socket;
	bool json;
	const char *command;
};

static int complain(int status, const char *text)
{
	(void)fprintf(stderr, "lanewayctl: %s\n", text);
	return status;
}

/* -1: go on, else the exit status */
static int parse_options(int argc, char **argv, struct request *rq)
{
	static const struct option options[] = { { "socket", required_argument, NULL, 's' },
		                                 { "json", no_argument, NULL, 'j' },
		                                 { "version", no_argument, NULL, 'V' },
		                                 { "help", no_argument, NULL, 'h' },
		                                 { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's') {
			rq->socket = optarg;
		} else if (c == 'j') {
			rq->json = true;
		} else if (c == 'V') {
			(void)puts("lanewayctl " PACKAGE_VERSION);
			return 0;
		} else if (c == 'h') {
			(void)fputs(usage_text, stdout);
			return 0;
		} else {
			return EXIT_USAGE; /* getopt has said why */
		}
	}
	if (optind + 1 != argc || strcmp(argv[optind], "status") != 0)
		return complain(EXIT_USAGE, "give one command: status; --help tells more");
	rq->command = argv[optind];
	return -1;
}

static bool is_nobody(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED;
}

static int ask_default(const char *command, char **ret, struct lw_err *err)
{
	int r = -ENOENT;

	for (size_t i = 0; default_sockets[i] != NULL; i++) {
		r = lw_ctl_ask(default_sockets[i], command, ret, err);
		if (!is_nobody(r))
			return r;
	}
	return lw_err_set(err, r,
	                  "no daemon answers at %s or %s; start one, or name its socket "
	                  "with --socket",
	                  default_sockets[0], default_sockets[1]);
}

static int show(const struct request *rq, char *answer)
{
	struct lw_json_node *root = NULL;
	const struct lw_json_node *error;
	int status = 0;

	if (rq->json) {
		(void)puts(answer);
		return 0;
	}
	if (lw_json_read(answer, &root) < 0)
		return complain(EXIT_NO_DAEMON, "the answer makes no sense; is this a daemon of "
		                                "another version?");
	error = lw_json_get(root, "error");
	if (error != NULL && error->type == LW_JSON_STRING)
		status = complain(EXIT_NO_DAEMON, error->text);
	else
		lw_ctl_print(stdout, root);
	lw_json_free(root);
	return status;
}

int main(int argc, char **argv)
{
	struct request rq = { .command = NULL };
	struct lw_err err = { .code = 0 };
	char *answer = NULL;
	int status = parse_options(argc, argv, &rq);
	int r;

	if (status >= 0)
		return status;
	r = rq.socket != NULL ? lw_ctl_ask(rq.socket, rq.command, &answer, &err)
	                      : ask_default(rq.command, &answer, &err);
	if (r < 0)
		return complain(r == -EACCES || r == -EPERM ? EXIT_NOT_PERMITTED : EXIT_NO_DAEMON,
		                err.text);
	status = show(&rq, answer);
	free(answer);
	return status;
}

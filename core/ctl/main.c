/* SPDX-License-Identifier: MIT */
/* lanewayctl: asks a running lanewayd or laneway over its unix socket. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config.h"
#include "control/json_read.h"
#include "ctl/ask.h"
#include "ctl/command.h"
#include "ctl/print.h"

/* as in sysexits.h, named in lanewayctl(1) */
enum { EXIT_USAGE = 64, EXIT_NOT_FOUND = 67, EXIT_NO_DAEMON = 69, EXIT_NOT_PERMITTED = 77 };

static const char *const default_sockets[] = { "/run/laneway/lanewayd.sock",
	                                       "/run/laneway/laneway.sock", NULL };

static const char usage_text[] =
	"Usage: lanewayctl [--socket PATH] [--json] COMMAND\n"
	"\n"
	"Asks a running lanewayd or laneway.\n"
	"\n"
	"  status                  what the daemon does\n"
	"\n"
	"Of lanewayd:\n"
	"  sessions                its sessions, one a line\n"
	"  kick ID...              end sessions: those of these ids,\n"
	"  kick --user NAME        or all of a user\n"
	"  drain [--timeout TIME]  let no new sessions in, and end with the last one,\n"
	"                          or after TIME, such as 15m\n"
	"  drain --off             let new sessions in again\n"
	"\n"
	"  --socket PATH  the daemon's socket; without it /run/laneway/lanewayd.sock,\n"
	"                 then /run/laneway/laneway.sock\n"
	"  --json         the answer as the daemon gives it\n"
	"  --version      print the version\n"
	"  --help         print this\n";

struct request {
	const char *socket;
	bool json;
	struct lw_ctl_words words;
	char line[LW_CONTROL_REQUEST_MAX];
};

static int complain(int status, const char *text)
{
	(void)fprintf(stderr, "lanewayctl: %s\n", text);
	return status;
}

static void take_option(int c, struct request *rq)
{
	if (c == 's')
		rq->socket = optarg;
	else if (c == 'j')
		rq->json = true;
	else if (c == 'u')
		rq->words.user = optarg;
	else if (c == 't')
		rq->words.timeout = optarg;
	else
		rq->words.off = true;
}

/* -1: go on, else the exit status */
static int parse_options(int argc, char **argv, struct request *rq)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "user", required_argument, NULL, 'u' },
		{ "timeout", required_argument, NULL, 't' },
		{ "off", no_argument, NULL, 'o' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct lw_err err = { .code = 0 };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'V') {
			(void)puts("lanewayctl " PACKAGE_VERSION);
			return 0;
		}
		if (c == 'h') {
			(void)fputs(usage_text, stdout);
			return 0;
		}
		if (c == '?')
			return EXIT_USAGE; /* getopt has said why */
		take_option(c, rq);
	}
	rq->words.word = (const char *const *)argv + optind;
	rq->words.n = (uint32_t)(argc - optind);
	return lw_ctl_command(&rq->words, rq->line, &err) == 0 ? -1
	                                                       : complain(EXIT_USAGE, err.text);
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

/* who was to be kicked and is not there */
static int complain_of_missing(const struct request *rq, const struct lw_json_node *missing)
{
	char text[512];

	(void)fputs(rq->words.user != NULL ? "lanewayctl: there is no session of"
	                                   : "lanewayctl: there is no session",
	            stderr);
	for (const struct lw_json_node *n = missing->child; n != NULL; n = n->next) {
		if (n->type != LW_JSON_STRING)
			continue;
		(void)lw_log_escape(text, sizeof(text), n->text);
		(void)fprintf(stderr, "%s %s", n == missing->child ? "" : ",", text);
	}
	(void)fputc('\n', stderr);
	return EXIT_NOT_FOUND;
}

static int judge(const struct request *rq, const struct lw_json_node *root)
{
	const struct lw_json_node *error = lw_json_get(root, "error");
	const struct lw_json_node *missing = lw_json_get(root, "not_found");

	if (error != NULL && error->type == LW_JSON_STRING)
		return rq->json ? EXIT_NO_DAEMON : complain(EXIT_NO_DAEMON, error->text);
	if (!rq->json)
		lw_ctl_print(stdout, root);
	if (missing != NULL && missing->type == LW_JSON_ARRAY && missing->child != NULL)
		return complain_of_missing(rq, missing);
	return 0;
}

static int show(const struct request *rq, char *answer)
{
	struct lw_json_node *root = NULL;
	int status;

	if (rq->json)
		(void)puts(answer);
	if (lw_json_read(answer, &root) < 0)
		return complain(EXIT_NO_DAEMON,
		                "the answer makes no sense; has the daemon ended, or "
		                "is it of another version?");
	status = judge(rq, root);
	lw_json_free(root);
	return status;
}

int main(int argc, char **argv)
{
	struct request rq = { .socket = NULL };
	struct lw_err err = { .code = 0 };
	char *answer = NULL;
	int status = parse_options(argc, argv, &rq);
	int r;

	if (status >= 0)
		return status;
	r = rq.socket != NULL ? lw_ctl_ask(rq.socket, rq.line, &answer, &err)
	                      : ask_default(rq.line, &answer, &err);
	if (r < 0)
		return complain(r == -EACCES || r == -EPERM ? EXIT_NOT_PERMITTED : EXIT_NO_DAEMON,
		                err.text);
	status = show(&rq, answer);
	free(answer);
	return status;
}

/* SPDX-License-Identifier: MIT */
/*
 * A load for lanewayd: thousands of clients from one process, and strangers who send first
 * datagrams. Ends by itself, with status 0 when all clients came online and were closed by us.
 */
#include "load/load.h"

#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/process.h"

static void end_soon(int sig)
{
	(void)sig;
	load_told_to_end = 1;
}

static int run(const struct load_options *o, struct lw_err *err)
{
	struct load *l = calloc(1, sizeof(*l));
	bool well = false;
	int r;

	if (l == NULL)
		return lw_err_set(err, -1, "out of memory");
	r = load_init(l, o, err);
	if (r == 0) {
		load_run(l);
		well = load_report(l);
	}
	load_fini(l);
	free(l);
	if (r == 0 && !well)
		return lw_err_set(err, -1, "not all clients came online and stayed");
	return r;
}

int main(int argc, char **argv)
{
	const struct sigaction sa = { .sa_handler = end_soon };
	struct load_options o;
	struct lw_err err;
	int r;

	if (load_options_parse(argc, argv, &o, &err) < 0) {
		(void)fprintf(stderr, "load: %s; --help tells more\n", err.text);
		return 64;
	}
	if (o.help) {
		load_options_help(stdout);
		return 0;
	}
	lw_process_guard();
	lw_log_open(LW_LOG_WARN);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	r = o.answer.family != 0 ? load_answer(&o, &err) : run(&o, &err);
	if (r < 0)
		(void)fprintf(stderr, "load: %s\n", err.text);
	return r < 0 ? 1 : 0;
}

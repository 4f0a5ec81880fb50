/* SPDX-License-Identifier: MIT */
#include "base/process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void lw_process_guard(void)
{
	struct rlimit files;

	/* a limit of the size alone does not count where cores are piped to a program: core(5) */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

/* SPDX-License-Identifier: MIT */
#include "base/process.h"

#include <signal.h>
#include <sys/prctl.h>

void lw_process_guard(void)
{
	/* a limit of the size alone does not count where cores are piped to a program: core(5) */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)signal(SIGPIPE, SIG_IGN);
}

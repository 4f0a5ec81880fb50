/* SPDX-License-Identifier: MIT */
#include "worker/thread.h"

#include <signal.h>
#include <stddef.h>

int lw_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
	sigset_t set;
	sigset_t old;
	int r;

	(void)sigfillset(&set);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		(void)sigdelset(&set, faults[i]);
	(void)pthread_sigmask(SIG_SETMASK, &set, &old);
	r = -pthread_create(ret, NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

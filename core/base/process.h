/* SPDX-License-Identifier: MIT */
#ifndef LW_BASE_PROCESS_H
#define LW_BASE_PROCESS_H

/**
 * lw_process_guard() - what both daemons do before anything else
 *
 * No core file, and no other process of the same user looks into our memory: keys and passwords
 * are in it. A log whose reader has gone ends nothing: SIGPIPE is ignored. As many descriptors as
 * the system allows: the usual soft limit of 1024 is for programs that use select().
 *
 * Context: main(), before there are threads.
 */
void lw_process_guard(void);

#endif

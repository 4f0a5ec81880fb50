/* SPDX-License-Identifier: MIT */
#ifndef LW_WORKER_THREAD_H
#define LW_WORKER_THREAD_H

#include <pthread.h>

/**
 * lw_thread_start() - pthread_create() for a thread that leaves signals to the control thread
 *
 * Those that tell of a fault of the thread itself stay as they are, so that crash reporters work.
 *
 * Return: 0 or a negative errno.
 */
int lw_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef LW_CONTROL_SOCKET_H
#define LW_CONTROL_SOCKET_H

#include <laneway/err.h>

/**
 * lw_control_socket_open() - make the listening socket; contract as lw_control_open()
 *
 * Return: the descriptor, non-blocking, or a negative errno.
 */
int lw_control_socket_open(const char *path, const char *group, struct lw_err *err);

#endif

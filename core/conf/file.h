/* SPDX-License-Identifier: MIT */
#ifndef LW_CONF_FILE_H
#define LW_CONF_FILE_H

#include <stddef.h>
#include <stdint.h>

/**
 * lw_file_read() - all bytes of a small file, with a zero behind them
 *
 * @ret: free() it, after wiping where it is secret
 *
 * Return: 0, -EFBIG (more than 1 MiB), or the negative errno of the failing call.
 */
int lw_file_read(const char *path, uint8_t **ret, size_t *ret_len);

#endif

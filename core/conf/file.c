/* SPDX-License-Identifier: MIT */
#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)

int lw_file_read(const char *path, uint8_t **ret, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *buf;
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	buf = malloc(FILE_MAX + 1);
	while (buf != NULL && len < FILE_MAX && (n = read(fd, buf + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	n = n < 0 ? -errno : 0;
	(void)close(fd);
	if (buf == NULL)
		return -ENOMEM;
	if (n < 0 || len == FILE_MAX) {
		explicit_bzero(buf, len);
		free(buf);
		return n < 0 ? (int)n : -EFBIG;
	}
	buf[len] = '\0';
	*ret = buf;
	*ret_len = len;
	return 0;
}

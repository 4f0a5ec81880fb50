/* SPDX-License-Identifier: MIT */
#include "unit/control_client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit/test.h"

char control_path[64];
char control_folder[] = "/tmp/lw-control-XXXXXX";

int control_folder_make(void **state)
{
	(void)state;
	if (mkdtemp(control_folder) == NULL)
		return -1;
	(void)snprintf(control_path, sizeof(control_path), "%s/x.sock", control_folder);
	return 0;
}

int control_folder_remove(void **state)
{
	(void)state;
	return rmdir(control_folder);
}

int control_dial(const char *request)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", control_path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL),
	                 (ssize_t)strlen(request));
	return fd;
}

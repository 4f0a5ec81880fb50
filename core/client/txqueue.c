/* SPDX-License-Identifier: MIT */
#include "client/txqueue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Asks for the length, or sets it: netdevice(7). */
static int queue_ioctl(unsigned long request, const char *device, int *len)
{
	struct ifreq ifr = { .ifr_qlen = *len };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", device);
	if (ioctl(fd, request, &ifr) < 0)
		r = -errno;
	(void)close(fd);
	*len = ifr.ifr_qlen;
	return r;
}

int lw_txqueue_shorten(struct lw_txqueue *q, const char *device, uint32_t packets)
{
	int want = (int)packets;
	int before = 0;
	int r;

	if (q->before != 0)
		return 0;
	r = queue_ioctl(SIOCGIFTXQLEN, device, &before);
	if (r < 0 || before <= want)
		return r;
	r = queue_ioctl(SIOCSIFTXQLEN, device, &want);
	if (r < 0)
		return r;
	(void)snprintf(q->device, sizeof(q->device), "%s", device);
	q->before = (uint32_t)before;
	return 0;
}

int lw_txqueue_restore(struct lw_txqueue *q)
{
	int before = (int)q->before;
	int r;

	if (before == 0)
		return 0;
	q->before = 0;
	r = queue_ioctl(SIOCSIFTXQLEN, q->device, &before);
	return r == -ENODEV ? 0 : r;
}

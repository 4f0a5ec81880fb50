/* SPDX-License-Identifier: MIT */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "inside-tun.h"

/* legacy virtio header without the count of buffers: the kernel's own default */
#define VNET_HDR_BYTES 10

static int open_clone(const char *path, struct lw_err *err)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int r = -errno;

	if (fd >= 0)
		return fd;
	if (r == -ENOENT || r == -ENXIO || r == -ENODEV)
		return lw_err_set(err, -ENODEV,
		                  "%s is missing: load the kernel module with \"modprobe tun\", or "
		                  "give this container the device",
		                  path);
	if (r == -EACCES || r == -EPERM)
		return lw_err_set(err, -EPERM, "no permission to open %s: %s", path, strerror(-r));
	return lw_err_set(err, r, "cannot open %s: %s", path, strerror(-r));
}

static int attach(int fd, const char *name, unsigned flags)
{
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, name, strlen(name));
	ifr.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | flags);
	return ioctl(fd, TUNSETIFF, &ifr) < 0 ? -errno : 0;
}

static int attach_error(const struct lw_tun_setup *s, int r, struct lw_err *err)
{
	switch (r) {
	case -EBUSY:
		return lw_err_set_at(err, r, "name",
		                     "device \"%s\" is in use by another program or another "
		                     "lanewayd",
		                     s->name);
	case -EPERM:
		return lw_err_set(err, r, "the TUN device \"%s\" needs root or CAP_NET_ADMIN",
		                  s->name);
	case -ENOTTY:
		return lw_err_set_at(err, -ENODEV, "device", "%s is not the kernel's TUN device",
		                     s->path);
	default:
		return lw_err_set_at(err, r, "name", "cannot make the TUN device \"%s\": %s",
		                     s->name, strerror(-r));
	}
}

/*
 * A name that exists may be a persistent device which the operator made for us. The kernel refuses
 * a second program on a device with one queue, but lets anybody join one with several: there the
 * carrier tells whether somebody is attached.
 */
static int judge_existing(const struct lw_tun_setup *s, struct lw_tun_link *ret_link,
                          struct lw_err *err)
{
	int r = lw_tun_link_get(s->name, ret_link);

	if (r < 0)
		return attach_error(s, r, err);
	if (!ret_link->is_tun)
		return lw_err_set_at(err, -EBUSY, "name",
		                     "the name \"%s\" is taken by a device of another kind: choose "
		                     "another one",
		                     s->name);
	if (!ret_link->persistent || ret_link->carrier)
		return attach_error(s, -EBUSY, err);
	if (s->queues > 1 && !ret_link->multi_queue)
		return lw_err_set_at(err, -EINVAL, "name",
		                     "device \"%s\" has one queue, but each of %u workers needs "
		                     "one: make it with multi_queue",
		                     s->name, s->queues);
	return 0;
}

/*
 * What earlier programs asked for stays with a persistent device: superpackets, and a header in
 * front of each packet. Ask for neither, and look whether the kernel agrees.
 */
static int reset_offload(int fd, const struct lw_tun_setup *s, struct lw_err *err)
{
	int hdr = VNET_HDR_BYTES;
	struct ifreq ifr;
	unsigned flags;

	memset(&ifr, 0, sizeof(ifr));
	if (ioctl(fd, TUNSETOFFLOAD, 0) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &hdr) < 0 ||
	    ioctl(fd, TUNGETIFF, &ifr) < 0) {
		int r = -errno;

		return lw_err_set(err, r, "cannot reset the offload of device \"%s\": %s", s->name,
		                  strerror(-r));
	}
	flags = (unsigned short)ifr.ifr_flags;
	if ((flags & (IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)) == (IFF_TUN | IFF_NO_PI))
		return 0;
	return lw_err_set_at(err, -EINVAL, "name",
	                     "device \"%s\" keeps packet headers of another program (flags "
	                     "0x%x): delete it and make it again",
	                     s->name, flags);
}

static int add_queue(struct lw_tun_device *d, const struct lw_tun_setup *s, struct lw_err *err)
{
	int fd = open_clone(s->path, err);

	if (fd < 0)
		return fd;
	d->queues[d->n_queues++] = (struct lw_tun_queue){ .fd = fd, .mtu = s->mtu };
	return fd;
}

/* the first queue decides whether the device is ours; *ret_flags are for the others */
static int open_first(struct lw_tun_device *d, const struct lw_tun_setup *s, unsigned *ret_flags,
                      struct lw_err *err)
{
	int fd = add_queue(d, s, err);
	int r;

	if (fd < 0)
		return fd;
	*ret_flags = s->queues > 1 ? IFF_MULTI_QUEUE : 0;
	r = attach(fd, s->name, *ret_flags | IFF_TUN_EXCL);
	if (r == -EBUSY) {
		struct lw_tun_link link;

		r = judge_existing(s, &link, err);
		if (r < 0)
			return r;
		*ret_flags = link.multi_queue ? IFF_MULTI_QUEUE : 0;
		d->persistent = true;
		r = attach(fd, s->name, *ret_flags);
	}
	return r < 0 ? attach_error(s, r, err) : reset_offload(fd, s, err);
}

static int open_queues(struct lw_tun_device *d, const struct lw_tun_setup *s, struct lw_err *err)
{
	unsigned flags;
	int r;

	d->queues = calloc(s->queues, sizeof(*d->queues));
	if (d->queues == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	r = open_first(d, s, &flags, err);
	while (r >= 0 && d->n_queues < s->queues) {
		r = add_queue(d, s, err);
		if (r < 0)
			break;
		r = attach(r, s->name, flags);
		if (r < 0)
			return attach_error(s, r, err);
	}
	return r < 0 ? r : 0;
}

static int set_error(const struct lw_tun_setup *s, const char *option, const char *what, int r,
                     struct lw_err *err)
{
	if (r == -EPERM)
		return lw_err_set(err, r, "setting %s of device \"%s\" needs root or CAP_NET_ADMIN",
		                  what, s->name);
	return lw_err_set_at(err, r, option, "cannot set %s of device \"%s\": %s", what, s->name,
	                     strerror(-r));
}

/* what is right already is left alone: then a prepared device needs no privileges */
static int set_link(struct lw_tun_device *d, const struct lw_tun_setup *s, struct lw_err *err)
{
	struct lw_tun_link want;
	int r = lw_tun_link_get(s->name, &d->before);

	if (r < 0)
		return set_error(s, "name", "the state", r, err);
	want = d->before;
	want.mtu = s->mtu;
	want.queue_len = s->queue_len;
	want.up = true;
	if (d->before.mtu == want.mtu && d->before.queue_len == want.queue_len && d->before.up)
		return 0;
	d->changed = true;
	r = lw_tun_link_set(&want);
	if (r < 0)
		return set_error(s, "mtu", "MTU and queue length", r, err);
	return 0;
}

static int set_address(struct lw_tun_device *d, const struct lw_tun_setup *s, struct lw_err *err)
{
	int r;

	d->address = s->address;
	d->peer = s->peer;
	if (d->persistent && lw_tun_addr_present(s->name, &s->address, &s->peer))
		return 0;
	r = lw_tun_addr_add(d->before.index, &s->address, &s->peer);
	if (r < 0)
		return set_error(s, "address", "the address", r, err);
	d->added = true;
	return 0;
}

int lw_tun_device_open(const struct lw_tun_setup *s, struct lw_tun_device *ret,
                       const struct lw_host *h, struct lw_err *err)
{
	int r;

	memcpy(ret->name, s->name, strlen(s->name) + 1);
	r = open_queues(ret, s, err);
	if (r == 0)
		r = set_link(ret, s, err);
	if (r == 0)
		r = set_address(ret, s, err);
	if (r < 0)
		lw_tun_device_close(ret, h);
	return r;
}

/* a device that somebody deleted needs no undoing */
static void restore(const struct lw_tun_device *d, const struct lw_host *h)
{
	struct lw_tun_link now;
	int r = lw_tun_link_get(d->name, &now);

	if (r == -ENODEV || (r == 0 && now.index != d->before.index))
		return;
	if (d->added && r == 0)
		r = lw_tun_addr_remove(d->before.index, &d->address, &d->peer);
	if (d->changed && r == 0)
		r = lw_tun_link_set(&d->before);
	if (r < 0)
		lw_log(h, LW_LOG_WARN, "cannot undo what was set on device \"%s\": %s", d->name,
		       strerror(-r));
}

void lw_tun_device_close(struct lw_tun_device *d, const struct lw_host *h)
{
	if (d->persistent && (d->added || d->changed))
		restore(d, h);
	for (uint32_t i = 0; i < d->n_queues; i++)
		(void)close(d->queues[i].fd);
	free(d->queues);
	*d = (struct lw_tun_device){ .queues = NULL };
}

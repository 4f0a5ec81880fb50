/* SPDX-License-Identifier: MIT */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "inside-tun.h"
#include "vnet.h"

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
		return lw_err_set_at(err, -EUSERS, "name",
		                     "device \"%s\" has one queue, but each of %u workers needs "
		                     "one: make it with multi_queue",
		                     s->name, s->queues);
	return 0;
}

static int add_queue(struct lw_tun_device *d, const struct lw_tun_setup *s, struct lw_err *err)
{
	int fd = open_clone(s->path, err);

	if (fd < 0)
		return fd;
	d->queues[d->n_queues++] = (struct lw_tun_queue){ .fd = fd };
	return fd;
}

/* an existing device that nobody uses: ours until we close it */
static int take_over(struct lw_tun_device *d, const struct lw_tun_setup *s, int fd, unsigned framed,
                     unsigned *ret_flags, struct lw_err *err)
{
	struct lw_tun_link link;
	int r = judge_existing(s, &link, err);

	if (r < 0)
		return r;
	*ret_flags = framed | (link.multi_queue ? IFF_MULTI_QUEUE : 0u);
	d->persistent = true;
	d->before = link;
	lw_tun_offload_remember(&d->offload, s->name);
	r = attach(fd, s->name, *ret_flags);
	return r < 0 ? attach_error(s, r, err) : 0;
}

/* the first queue decides whether the device is ours; *ret_flags are for the others */
static int open_first(struct lw_tun_device *d, const struct lw_tun_setup *s, unsigned *ret_flags,
                      struct lw_err *err)
{
	int fd = add_queue(d, s, err);
	unsigned framed;
	int r = 0;

	if (fd < 0)
		return fd;
	if (s->wish.want != 0)
		r = lw_tun_offload_can_frame(fd);
	if (r < 0)
		return attach_error(s, r, err);
	d->offload.framed = r > 0;
	framed = r > 0 ? IFF_VNET_HDR : 0;
	*ret_flags = framed | (s->queues > 1 ? IFF_MULTI_QUEUE : 0u);
	r = attach(fd, s->name, *ret_flags | IFF_TUN_EXCL);
	if (r == -EBUSY)
		r = take_over(d, s, fd, framed, ret_flags, err);
	else if (r < 0)
		r = attach_error(s, r, err);
	return r < 0 ? r : lw_tun_offload_set(fd, s->name, s->wish.want, &d->offload, err);
}

static int open_queues(struct lw_tun_device *d, const struct lw_tun_setup *s, struct lw_err *err)
{
	unsigned flags = 0;
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

/*
 * The queue overflows without a word. With 500, the kernel's default, one TCP flow through the
 * tunnel lost 16,000 packets in 4 s, with 4,000 none; 32 flows lost 63,000 at 0.8 Gbit/s, with
 * 10,000 none at 1.2. Superpackets are up to 64 KiB each, in memory that nobody is billed for.
 */
#define QUEUE_LEN_SERVER 10000u
#define QUEUE_LEN_CLIENT 4000u
#define QUEUE_LEN_SUPER  2000u

static uint32_t queue_len(const struct lw_tun_device *d, const struct lw_tun_setup *s)
{
	uint32_t len = s->role == LW_ROLE_CLIENT ? QUEUE_LEN_CLIENT : QUEUE_LEN_SERVER;

	if (s->queue_len != 0)
		return s->queue_len;
	if ((d->offload.caps & (LW_CAP_TSO | LW_CAP_USO)) != 0)
		len = QUEUE_LEN_SUPER;
	return d->persistent && d->before.queue_len > len ? d->before.queue_len : len;
}

/* what is right already is left alone: then a prepared device needs no privileges */
static int set_link(struct lw_tun_device *d, const struct lw_tun_setup *s, const struct lw_host *h,
                    struct lw_err *err)
{
	struct lw_tun_link want;
	bool only_queue;
	int r = lw_tun_link_get(s->name, &d->before);

	if (r < 0)
		return set_error(s, "name", "the state", r, err);
	want = d->before;
	want.mtu = s->mtu;
	want.queue_len = queue_len(d, s);
	want.up = true;
	only_queue = d->before.mtu == want.mtu && d->before.up;
	if (only_queue && d->before.queue_len == want.queue_len)
		return 0;
	r = lw_tun_link_set(&want);
	d->changed = r != -EPERM; /* any other failure may have set a part */
	if (r == -EPERM && only_queue && s->queue_len == 0) {
		lw_log(h, LW_LOG_WARN,
		       "device %s keeps a queue of %u packets, since to make it %u needs root or "
		       "CAP_NET_ADMIN",
		       s->name, d->before.queue_len, want.queue_len);
		return 0;
	}
	return r < 0 ? set_error(s, "mtu", "MTU and queue length", r, err) : 0;
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

/* what only a device that is up tells, and then what each queue needs to know */
static int set_offload(struct lw_tun_device *d, const struct lw_tun_setup *s,
                       const struct lw_host *h, struct lw_err *err)
{
	struct lw_tun_offload *o = &d->offload;
	bool super = (o->mask & ~(uint32_t)TUN_F_CSUM) != 0;
	struct lw_tun_queue proto = { .mtu = s->mtu,
		                      .room = super ? LW_TUN_ROOM : s->mtu + 1,
		                      .hdr = o->framed ? LW_TUN_VNET_BYTES : 0,
		                      .mask = o->mask };
	int r;

	proto.fd = d->queues[0].fd;
	if (o->framed)
		o->caps |= lw_tun_offload_probe(&proto, s->wish.want & LW_TUN_CAPS_SEND);
	r = lw_tun_offload_judge(&s->wish, o->caps, s->name, h, err);
	if (r < 0)
		return r;
	proto.caps = o->caps;
	for (uint32_t i = 0; i < d->n_queues; i++) {
		proto.fd = d->queues[i].fd;
		if ((o->caps & LW_TUN_CAPS_SEND) != 0) {
			proto.scratch = calloc(1, sizeof(*proto.scratch));
			if (proto.scratch == NULL)
				return lw_err_set(err, -ENOMEM, "out of memory");
		}
		d->queues[i] = proto;
	}
	return 0;
}

int lw_tun_device_open(const struct lw_tun_setup *s, struct lw_tun_device *ret,
                       const struct lw_host *h, struct lw_err *err)
{
	int r;

	memcpy(ret->name, s->name, strlen(s->name) + 1);
	r = open_queues(ret, s, err);
	if (r == 0)
		r = set_link(ret, s, h, err);
	if (r == 0)
		r = set_address(ret, s, err);
	if (r == 0)
		r = set_offload(ret, s, h, err);
	if (r < 0)
		lw_tun_device_close(ret, h);
	return r;
}

static bool offload_differs(const struct lw_tun_offload *o)
{
	return o->touched && (o->mask != o->mask_before || o->hdr_before != LW_TUN_VNET_BYTES);
}

static int first_error(int r, int other)
{
	return r < 0 ? r : other;
}

/* a device that somebody deleted needs no undoing; one thing that fails leaves the others */
static void restore(const struct lw_tun_device *d, const struct lw_host *h)
{
	struct lw_tun_link now;
	int r = lw_tun_link_get(d->name, &now);

	if (r == -ENODEV || (r == 0 && now.index != d->before.index))
		return;
	if (offload_differs(&d->offload))
		r = first_error(r, lw_tun_offload_restore(d->queues[0].fd, &d->offload));
	if (d->added)
		r = first_error(r, lw_tun_addr_remove(d->before.index, &d->address, &d->peer));
	if (d->changed)
		r = first_error(r, lw_tun_link_set(&d->before));
	if (r < 0)
		lw_log(h, LW_LOG_WARN, "cannot undo what was set on device \"%s\": %s", d->name,
		       strerror(-r));
}

int lw_tun_device_steer(struct lw_tun_device *d, int prog_fd)
{
	if (ioctl(d->queues[0].fd, TUNSETSTEERINGEBPF, &prog_fd) < 0)
		return -errno;
	d->steered = prog_fd >= 0;
	return 0;
}

void lw_tun_device_close(struct lw_tun_device *d, const struct lw_host *h)
{
	if (d->persistent && d->steered)
		(void)lw_tun_device_steer(d, -1); /* takes it off */
	if (d->persistent && (d->added || d->changed || offload_differs(&d->offload)))
		restore(d, h);
	for (uint32_t i = 0; i < d->n_queues; i++) {
		(void)close(d->queues[i].fd);
		free(d->queues[i].scratch);
	}
	free(d->queues);
	*d = (struct lw_tun_device){ .queues = NULL };
}

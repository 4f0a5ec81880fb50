/* SPDX-License-Identifier: MIT */
#ifndef LW_INSIDE_TUN_DEVICE_H
#define LW_INSIDE_TUN_DEVICE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <laneway/addr.h>
#include <laneway/err.h>
#include <laneway/host.h>

#include "link.h"
#include "offload.h"

struct lw_tun_queue;

/**
 * struct lw_tun_setup - what a device should be
 *
 * @name:      of the interface, shorter than IFNAMSIZ
 * @path:      of the kernel's clone device
 * @address:   IPv4 address with prefix
 * @peer:      the other end, family 0 for none
 * @mtu:       bytes
 * @queue_len: packets that wait for us; 0: as many as the role and superpackets ask for
 * @role:      LW_ROLE_*
 * @queues:    one for each worker
 * @wish:      what to ask for of offload
 */
struct lw_tun_setup {
	const char *name;
	const char *path;
	struct lw_addr address;
	struct lw_addr peer;
	uint32_t mtu;
	uint32_t queue_len;
	uint32_t role;
	uint32_t queues;
	struct lw_tun_wish wish;
};

/**
 * struct lw_tun_device - an open device; all zero: none
 *
 * @queues:    n_queues of them, each with a descriptor
 * @before:    what the link was when we came; index 0: we have not looked yet
 * @persistent: the operator's: what we change is undone, the device stays
 * @changed:   the link of a persistent device was changed
 * @added:     our address is on it
 * @steered:   it has a program of ours
 * @offload:   what was granted, and what a persistent device had before
 */
struct lw_tun_device {
	char name[IFNAMSIZ];
	struct lw_tun_queue *queues;
	uint32_t n_queues;
	struct lw_tun_link before;
	struct lw_addr address;
	struct lw_addr peer;
	bool persistent;
	bool changed;
	bool added;
	bool steered;
	struct lw_tun_offload offload;
};

/**
 * lw_tun_device_open() - make the device, or attach to a persistent one, and set it up
 *
 * @s:   what it should be; borrowed for the call
 * @ret: all zero before; on failure again, with everything undone
 * @h:   for what cannot be undone
 * @err: a sentence for the operator on failure
 *
 * Context: control thread, with privileges.
 * Return:  0; -ENODEV: the system has no TUN; -EPERM; -EBUSY: the name is taken;
 *          -EUSERS: a persistent device has too few queues; -EOPNOTSUPP: offload that was demanded
 * is refused; or the negative errno of a failing call.
 */
int lw_tun_device_open(const struct lw_tun_setup *s, struct lw_tun_device *ret,
                       const struct lw_host *h, struct lw_err *err);

/* lw_tun_device_steer() - which queue a packet goes to is for this program to say; -1: for none. 0
 * or a negative errno */
int lw_tun_device_steer(struct lw_tun_device *d, int prog_fd);

/* lw_tun_device_close() - detach; a device of ours goes, a persistent one is as it was before */
void lw_tun_device_close(struct lw_tun_device *d, const struct lw_host *h);

#endif

/* SPDX-License-Identifier: MIT */
/* A network interface and its addresses, by rtnetlink. */
#ifndef LW_INSIDE_TUN_LINK_H
#define LW_INSIDE_TUN_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/addr.h>

/**
 * struct lw_tun_link - what the kernel tells about an interface
 *
 * @index:       interface index
 * @mtu:         bytes
 * @queue_len:   packets that wait for a reader
 * @up:          administratively up
 * @carrier:     of a TUN device: a program is attached
 * @is_tun:      a TUN device, neither TAP nor anything else
 * @persistent:  stays when the last program detaches
 * @multi_queue: made for several queues, which every attach must say too
 */
struct lw_tun_link {
	int index;
	uint32_t mtu;
	uint32_t queue_len;
	bool up;
	bool carrier;
	bool is_tun;
	bool persistent;
	bool multi_queue;
};

/**
 * lw_tun_link_get() - ask for an interface by its name
 *
 * @name: borrowed
 * @ret:  written on success
 *
 * Context: control thread.
 * Return:  0, -ENODEV, or the negative errno of a failing call.
 */
int lw_tun_link_get(const char *name, struct lw_tun_link *ret);

/**
 * lw_tun_link_set() - set MTU, queue length and up or down of an interface
 *
 * @want: index, mtu, queue_len and up are used
 *
 * Context: control thread, CAP_NET_ADMIN.
 * Return:  0, or the kernel's negative errno; what was set before the failure stays.
 */
int lw_tun_link_set(const struct lw_tun_link *want);

/**
 * lw_tun_addr_add() - give an IPv4 address to an interface
 *
 * @index: of the interface
 * @local: address with prefix
 * @peer:  the other end of a point-to-point link, family 0 for none
 *
 * Context: control thread, CAP_NET_ADMIN.
 * Return:  0, -EEXIST when it has that address, or the kernel's negative errno.
 */
int lw_tun_addr_add(int index, const struct lw_addr *local, const struct lw_addr *peer);

/* lw_tun_addr_remove() - undo lw_tun_addr_add() */
int lw_tun_addr_remove(int index, const struct lw_addr *local, const struct lw_addr *peer);

/* lw_tun_addr_present() - whether the interface has this address with this prefix and peer */
bool lw_tun_addr_present(const char *name, const struct lw_addr *local, const struct lw_addr *peer);

#endif

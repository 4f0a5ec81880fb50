/* SPDX-License-Identifier: MIT */
/*
 * The kernel's queue in front of the TUN device while the session runs over TCP.
 *
 * A full connection stops the reading of the device, and then packets wait in this queue, each of
 * which may be a superpacket of 64 KiB: 2,000 of them are 5 s of 200 Mbit/s.
 */
#ifndef LW_CLIENT_TXQUEUE_H
#define LW_CLIENT_TXQUEUE_H

#include <net/if.h>
#include <stdint.h>

/**
 * struct lw_txqueue - what was changed; all zero: nothing
 *
 * @device: whose queue
 * @before: its length in packets
 */
struct lw_txqueue {
	char device[IF_NAMESIZE];
	uint32_t before;
};

/**
 * lw_txqueue_shorten() - at most so many packets, until lw_txqueue_restore()
 *
 * Context: control thread, with CAP_NET_ADMIN. A queue that is short enough is left alone.
 * Return:  0, -ENODEV, -EPERM, ...: nothing was changed.
 */
int lw_txqueue_shorten(struct lw_txqueue *q, const char *device, uint32_t packets);

/* lw_txqueue_restore() - as long as before; a device that has gone is no error. Again: nothing */
int lw_txqueue_restore(struct lw_txqueue *q);

#endif

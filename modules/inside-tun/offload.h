/* SPDX-License-Identifier: MIT */
/*
 * Offload of a device: what the operator and the program want, what the kernel grants, and what was
 * there before. Everything is said in LW_CAP_*; only here it becomes TUN_F_*.
 */
#ifndef LW_INSIDE_TUN_OFFLOAD_H
#define LW_INSIDE_TUN_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/err.h>
#include <laneway/host.h>

struct lw_tun_options;
struct lw_tun_queue;

/* all that this module can grant */
#define LW_TUN_CAPS_RECV (LW_CAP_CSUM | LW_CAP_TSO | LW_CAP_USO)
#define LW_TUN_CAPS_SEND (LW_CAP_SEND_TSO | LW_CAP_SEND_USO)

/* that many: the table in offload.c */
#define LW_TUN_FACILITIES 5

/**
 * struct lw_tun_wish - what to ask the kernel for, LW_CAP_*
 *
 * @want:       allowed by the operator and dealt with by the program
 * @must:       without these the start fails
 * @by_offload: of must: demanded by the option `offload`, not by one of their own
 * @off_by:     for each facility the option that switches it off, NULL: none
 */
struct lw_tun_wish {
	uint64_t want;
	uint64_t must;
	uint64_t by_offload;
	const char *off_by[LW_TUN_FACILITIES];
};

/**
 * struct lw_tun_offload - the offload of an open device; all zero: none
 *
 * @framed:      a virtio header stands in front of each packet
 * @touched:     it was set, so a persistent device must get back what it had
 * @hdr_before:  bytes of its header before
 * @mask:        TUN_F_* that the kernel accepted: what read() may return
 * @mask_before: the same before us
 * @caps:        LW_CAP_* granted
 */
struct lw_tun_offload {
	bool framed;
	bool touched;
	int hdr_before;
	uint32_t mask;
	uint32_t mask_before;
	uint64_t caps;
};

/* lw_tun_offload_check() - rules across the options of offload: 0 or -EINVAL */
int lw_tun_offload_check(const struct lw_tun_options *o, struct lw_err *err);

/**
 * lw_tun_offload_wish() - what the options and the program together ask for
 *
 * @o:      options that lw_tun_offload_check() accepts
 * @wanted: LW_CAP_* of the program
 * @ret:    written on success
 * @err:    a sentence for the operator on failure
 *
 * Context: control thread.
 * Return:  0; -EOPNOTSUPP: the operator demands what the program does not deal with.
 */
int lw_tun_offload_wish(const struct lw_tun_options *o, uint64_t wanted, struct lw_tun_wish *ret,
                        struct lw_err *err);

/**
 * lw_tun_offload_remember() - note what a persistent device has, before we attach
 *
 * @o:    mask_before is set; where the kernel does not tell, to none, which is safe for all
 * @name: of the device
 */
void lw_tun_offload_remember(struct lw_tun_offload *o, const char *name);

/* lw_tun_offload_can_frame() - whether this kernel's driver has virtio headers; 1, 0, or a negative
 * errno. For a descriptor that is not attached yet */
int lw_tun_offload_can_frame(int fd);

/**
 * lw_tun_offload_set() - ask for what is wanted on receive, and look what came of it
 *
 * @fd:   first queue of the device, attached
 * @name: of the device
 * @want: LW_CAP_*
 * @o:    framed says how the device was attached; the rest is set, touched also on failure
 * @err:  a sentence for the operator on failure
 *
 * Context: control thread; needs no privileges.
 * Return:  0, also when nothing was granted; -EINVAL: the device keeps what others set; or the
 *          negative errno of a failing call.
 */
int lw_tun_offload_set(int fd, const char *name, uint64_t want, struct lw_tun_offload *o,
                       struct lw_err *err);

/**
 * lw_tun_offload_probe() - whether the kernel takes superpackets
 *
 * @q:    a queue of the device, which is up
 * @want: LW_CAP_SEND_* to try
 *
 * Only the write itself tells. It writes a packet of each kind whose IPv4 header has a wrong
 * checksum, so that it is dropped right behind the driver, without an answer.
 *
 * Context: control thread.
 * Return:  those of @want that work.
 */
uint64_t lw_tun_offload_probe(const struct lw_tun_queue *q, uint64_t want);

/**
 * lw_tun_offload_judge() - say what is not granted, and why
 *
 * @w:    the wish
 * @caps: LW_CAP_* granted
 * @name: of the device
 * @h:    is told the reason of each: what is off, and what is only a pity, which is logged too
 * @err:  for what was demanded
 *
 * Context: control thread.
 * Return:  0, or -EOPNOTSUPP: something that was demanded is missing.
 */
int lw_tun_offload_judge(const struct lw_tun_wish *w, uint64_t caps, const char *name,
                         const struct lw_host *h, struct lw_err *err);

/* lw_tun_offload_restore() - give a persistent device back what it had; 0 or a negative errno */
int lw_tun_offload_restore(int fd, const struct lw_tun_offload *o);

#endif

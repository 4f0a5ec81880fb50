/* SPDX-License-Identifier: MIT */
/* The kernel as a test wants it: for programs linked with --wrap=ioctl, read and writev. */
#ifndef LW_TEST_INSIDE_TUN_KERNEL_H
#define LW_TEST_INSIDE_TUN_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct kernel - what is worse than in the kernel below
 *
 * @lacks:    TUN_F_* that TUNSETOFFLOAD refuses
 * @pretends: TUNSETOFFLOAD says yes and does nothing
 * @hides:    IFF_* that the driver does not have
 * @flips:    IFF_* that TUNGETIFF gets wrong
 * @refuses:  errno of writing a superpacket, by gso_type
 * @single:   errno of writing a single packet
 * @gives:    what the next read gives, in the place of a packet
 * @n_gives:  bytes of it
 */
struct kernel {
	uint32_t lacks;
	bool pretends;
	unsigned hides;
	unsigned flips;
	int refuses[6];
	int single;
	const void *gives;
	size_t n_gives;
};

extern struct kernel kernel;

/* new_kernel() - nothing is worse; the set-up of each test */
int new_kernel(void **state);

#endif

/* SPDX-License-Identifier: MIT */
/* The system calls of outside-udp, wrapped by the linker: they refuse what a test tells them to. */
#ifndef LW_TEST_OUTSIDE_UDP_WRAP_H
#define LW_TEST_OUTSIDE_UDP_WRAP_H

#include <stdbool.h>
#include <stdint.h>

#include "test_outside_udp_bed.h"

/* what sendmmsg does: message number `at` of the test fails `times` times, and no call takes more
 * than `most` */
struct wrap_tx {
	unsigned at;
	unsigned times;
	int error;
	unsigned most;
	unsigned sent;
	unsigned calls;
	uint64_t seed; /* not 0: each call takes a random number of messages */
	int run_error; /* not 0: what a message with a stride fails with, always */
};

/* what recvmmsg does: the first `times` calls fail; `spoil` may change what one got */
struct wrap_rx {
	unsigned times;
	int error;
	unsigned calls;
	void (*spoil)(struct mmsghdr *msg, unsigned n);
};

extern struct wrap_tx wrap_tx;
extern struct wrap_rx wrap_rx;

/* call number `wrap_fail_at` of those that open or allocate fails; 0: none does */
extern unsigned wrap_fail_at;
extern unsigned wrap_fail_calls;
extern bool wrap_no_force;
/* an option of SOL_UDP that the kernel does not have; 0: it has all */
extern int wrap_lacks;
/* the kernel's version, NULL: the real one */
extern const char *wrap_release;

/* wrap_reset() - all calls are the kernel's; a cmocka set-up function */
int wrap_reset(void **state);

#endif

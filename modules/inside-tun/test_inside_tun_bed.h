/* SPDX-License-Identifier: MIT */
/* A network namespace, an instance of inside-tun in it, and a look at the device from outside. */
#ifndef LW_TEST_INSIDE_TUN_BED_H
#define LW_TEST_INSIDE_TUN_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "fake/fake_host.h"

#include "inside-tun.h"

#define BED_WORKERS 2
#define BED_MTU     1350
#define BED_PACKETS 8
#define BED_CAPS    (LW_TUN_CAPS_RECV | LW_TUN_CAPS_SEND)
#define BED_SERVER  0x0a7d0001u /* 10.125.0.1 */
#define BED_PEER    0x0a7d0009u /* 10.125.0.9, behind the device */

/* values of a switch with auto */
enum { BED_OFF, BED_ON, BED_AUTO };

extern const struct lw_module laneway_module;

struct bed {
	struct lw_fake_host host;
	struct lw_fake_worker workers[BED_WORKERS];
	struct lw_tun_options opts;
	struct lw_env env;
	struct lw_caps caps;
	struct lw_err err;
	void *inst;
	struct lw_batch *batch; /* BED_PACKETS descriptors */
	uint32_t started;
};

/* bed_enter() - move this program into a network namespace of its own; NULL, or why not */
const char *bed_enter(void);

/* bed_skips() - whether bed_enter() failed; then says why. For the top of a test that needs it */
bool bed_skips(void);

#define NEEDS_BED()                                                                                \
	do {                                                                                       \
		if (bed_skips())                                                                   \
			skip();                                                                    \
	} while (0)

/* bed_lacks_offload() - whether this kernel cannot do all that is tested; then says what */
bool bed_lacks_offload(void);

#define NEEDS_OFFLOAD()                                                                            \
	do {                                                                                       \
		if (bed_skips() || bed_lacks_offload())                                            \
			skip();                                                                    \
	} while (0)

/* bed_init() - options as their table has them by default, one worker */
void bed_init(struct bed *b);

/* bed_prepare() - check, create and prepare an instance; on failure it is destroyed again */
int bed_prepare(struct bed *b);

/* bed_start() - the same, which must work, and all workers started */
void bed_start(struct bed *b);
void bed_stop(struct bed *b);

int bed_recv(struct bed *b);
int bed_send(struct bed *b, uint32_t *ret_done);
uint64_t bed_counter(const struct bed *b, const char *name);

/* the device as the kernel shows it; -1 where there is none */
bool bed_exists(const char *name);
int bed_mtu(const char *name);
int bed_queue_len(const char *name);
bool bed_is_up(const char *name);
/* whether it would give us TCP superpackets */
bool bed_has_tso(const char *name);
/* TUN_F_* in force */
uint32_t bed_mask(const char *name);
/* IFF_* of the device behind a descriptor, and bytes of its packet header */
unsigned bed_flags(int fd);
int bed_hdr(int fd);
void bed_set_mtu(const char *name, int mtu);
void bed_set_up(const char *name, bool up);
/* the first IPv4 address, netmask, and far end, 0 for none */
uint32_t bed_address(const char *name);
uint32_t bed_netmask(const char *name);
uint32_t bed_far_end(const char *name);
void bed_delete(const char *name);

/* bed_attach() - another program: open a device with these flags beside IFF_TUN and IFF_NO_PI */
int bed_attach(const char *name, unsigned flags);
/* bed_attach_tap() - another program with a TAP device */
int bed_attach_tap(const char *name);
/* bed_persist() - a device of the operator's, made with these flags; nobody is attached */
void bed_persist(const char *name, unsigned flags);
/* bed_unpersist() - the end of it */
void bed_unpersist(const char *name, unsigned flags);

/* bed_udp() - a UDP socket on the device's address; *ret_port in host order */
int bed_udp(uint16_t *ret_port);
/* bed_udp_send() - send n bytes to the peer behind the device */
void bed_udp_send(int fd, uint32_t n);
/* bed_packet() - write an IPv4 UDP packet with n bytes of payload from the peer; its length */
uint32_t bed_packet(uint8_t *dst, uint16_t port, uint32_t n);

/* bed_bring_up() - give a device an address, a.b.c.d/16, and bring it up with BED_MTU */
void bed_bring_up(const char *name, uint32_t address);
/* bed_bring_up6() - the same with fd00:N::1/64; IPv6 is off where this was not called */
void bed_bring_up6(const char *name, uint8_t n);
/* bed_forward() - pass packets on between the devices of this namespace */
void bed_forward(void);

/* the Internet checksum's sum, not complemented, continued from another one */
uint32_t bed_sum(const uint8_t *p, uint32_t n, uint32_t sum);
void bed_put16(uint8_t *p, uint32_t v);
void bed_put32(uint8_t *p, uint32_t v);

/* descriptors that this program has open */
unsigned bed_fds(void);

#endif

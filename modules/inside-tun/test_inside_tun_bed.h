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
#define BED_SERVER  0x0a7d0001u /* 10.125.0.1 */
#define BED_PEER    0x0a7d0009u /* 10.125.0.9, behind the device */

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

/* descriptors that this program has open */
unsigned bed_fds(void);

#endif

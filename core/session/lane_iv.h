/* SPDX-License-Identifier: MIT */
/*
 * The IVs that Expresslane packets carry: 12 bytes, R ‖ (c xor F(R)), where R is 8 bytes of a
 * keystream that nobody else knows, c the low 32 bits of the packet's counter, and F a keyed
 * function, SipHash with a key drawn when the worker begins.
 *
 * Proof obligation. No IV comes twice under one key: take two packets of one key. If their R
 * differ, so do the IVs. If they are equal, so are F(R), for the key of F never changes in the
 * life of a worker, and a session and its keys live on one worker; then the last four bytes differ
 * exactly when c differs. The counter goes up by one a packet and never back, and at most
 * LW_LANE_MAX_PACKETS = 2^30 packets in a row are sealed with one key, less than the 2^32 after
 * which c comes again. So it is certain, as RFC 5116, 3.2 asks, and not only likely: of n IVs of 12
 * random bytes two are alike with probability n^2 / 2^97. Nothing has to be remembered across a
 * restart, for no key outlives the worker. An IV is as hard to foretell as its R, 64 bits of
 * AES-256 output under a key that is used for one pool and then overwritten.
 */
#ifndef LW_SESSION_LANE_IV_H
#define LW_SESSION_LANE_IV_H

#include <stdint.h>

#define LW_LANE_IV_POOL 4096u /* bytes of keystream at a time: 508 packets */

struct lw_lane_env;

struct lw_lane_iv {
	uint64_t mask[2]; /* key of F */
	uint32_t left;    /* bytes of the pool */
	uint32_t refills;
	uint8_t key[32]; /* of the next pool */
	uint8_t pool[LW_LANE_IV_POOL];
};

/* lw_lane_iv_init() - draw the keys; the environment has its cipher and its random bytes already */
void lw_lane_iv_init(struct lw_lane_env *env);

/* lw_lane_iv_take() - the IV of the packet with this counter; no system call, but one in a million
 * packets */
void lw_lane_iv_take(struct lw_lane_env *env, uint64_t counter, uint8_t iv[12]);

/* lw_lane_iv_fini() - wipe */
void lw_lane_iv_fini(struct lw_lane_env *env);

#endif

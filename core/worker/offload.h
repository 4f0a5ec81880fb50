/* SPDX-License-Identifier: MIT */
/*
 * What of offload is in force, with the reason where it is not, for the log and `lanewayctl
 * status`. Nothing is decided here: modules decide in prepare(), and their instances keep it; the
 * path gives up for a while what the kernel refuses.
 */
#ifndef LW_WORKER_OFFLOAD_H
#define LW_WORKER_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "module/instance.h"

struct lw_engine;

#define LW_OFFLOAD_REASON_MAX 128 /* a module's, or one that is made here */
#define LW_OFFLOAD_TEXT_MAX   960 /* a line of the log has 1,000 bytes */

/**
 * struct lw_offload - one kind of offload of one instance
 *
 * @module:    its name
 * @direction: "read" or "write" of an inside, "send" or "receive" of an outside
 * @name:      "tso", "uso", "checksum", "coalesce-tcp", "coalesce-udp", "gso" or "gro"
 * @instance:  which use of that module, from 1, in the order in which they were made
 * @on:        in force
 * @reason:    why it is not, "" when it is
 */
struct lw_offload {
	const char *module;
	const char *direction;
	const char *name;
	uint32_t instance;
	bool on;
	char reason[LW_OFFLOAD_REASON_MAX];
};

/**
 * lw_engine_offloads() - fn(arg, o) for each kind of offload of each instance that is prepared
 *
 * @at: now in microseconds, by the monotonic clock
 * @fn: gets a description that is lent for the call
 *
 * Context: control thread.
 */
void lw_engine_offloads(const struct lw_engine *e, uint64_t at,
                        void (*fn)(void *arg, const struct lw_offload *o), void *arg);

/**
 * lw_offload_text() - what prepare() came to, in a line for the log
 *
 * @text: "offload on: ...; off: ... (reason), ...", cut to fit; "" for an instance without any
 *
 * Context: control thread.
 * Return:  @text
 */
const char *lw_offload_text(const struct lw_instance *in, char text[LW_OFFLOAD_TEXT_MAX]);

#endif

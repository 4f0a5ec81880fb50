/* SPDX-License-Identifier: MIT */
/*
 * Programs that the kernel runs to bring packets to the worker that has their session: datagrams by
 * the first byte of their session id, packets of the inside by their destination address.
 */
#ifndef LW_WORKER_STEER_H
#define LW_WORKER_STEER_H

#include <stdint.h>

#include <linux/filter.h>

#include <laneway/err.h>

#define LW_STEER_OUTSIDE_INSNS 27u

/**
 * lw_steer_outside() - classic BPF for the sockets of one address, in the order of their workers
 *
 * A datagram with an id goes to the socket of the worker that the id names. One without, or with
 * one that is no worker's, or that is no datagram of ours, is a stranger's: it goes to one of
 * @workers sockets behind those, by address and port of its sender, always the same for one peer.
 * Where there are no such sockets the kernel's own hash says.
 */
void lw_steer_outside(uint32_t workers, struct sock_filter insns[LW_STEER_OUTSIDE_INSNS]);

/**
 * lw_steer_inside() - load an eBPF program for the queues of a device, in the order of their
 * workers
 *
 * It answers the low 32 bits of the destination address modulo @workers, the rule by which a pool
 * is sliced.
 *
 * Context: control thread; needs CAP_BPF, or root.
 * Return:  a descriptor, the caller's to close; or a negative errno with a sentence.
 */
int lw_steer_inside(uint32_t workers, struct lw_err *err);

/**
 * lw_steer_probe() - would the kernel take both, from us?
 *
 * Return: 0, or a negative errno with a sentence.
 */
int lw_steer_probe(struct lw_err *err);

struct lw_engine;

/**
 * lw_engine_steer() - give these programs to all outsides and to the inside
 *
 * One that does not take it is a warning: what then comes to the wrong worker is handed over, which
 * costs, and strangers share a queue with sessions.
 *
 * Context: control thread, before the instances are started.
 */
void lw_engine_steer(const struct lw_engine *e);

#endif

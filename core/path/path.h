/* SPDX-License-Identifier: MIT */
/*
 * The two directions of one worker, on batches: inside -> filters -> tunnel -> outside, and back.
 * It makes no system call but through modules' operations, so a simulator can drive it with modules
 * in memory. A codec has its place between filters and tunnel.
 */
#ifndef LW_PATH_PATH_H
#define LW_PATH_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

#include "packet/coalesce.h"
#include "path/chain.h"
#include "path/send.h"
#include "session/expresslane.h"
#include "session/tunnel.h"

#define LW_PATH_PORTS 32u

/* sizes of a worker's batches; interfaces.md 3, "Memory" */
#define LW_INSIDE_RX_PACKETS 64u
#define LW_INSIDE_RX_BYTES   (512u << 10)
#define LW_SINGLES_PACKETS   512u
#define LW_SINGLES_BYTES     (512u << 10)
#define LW_INSIDE_TX_PACKETS 2048u
#define LW_INSIDE_TX_BYTES   (512u << 10)
#define LW_UDP_RX_PACKETS    64u
#define LW_UDP_RX_BYTES      (256u << 10)
#define LW_UDP_RX_RUN_BYTES  (16u * (66u << 10)) /* where datagrams come in runs */
#define LW_UDP_RX_PIECES     128u                /* datagrams of strangers that came in runs */
#define LW_WIRE_PACKETS      256u
#define LW_WIRE_BYTES        (512u << 10)
#define LW_TCP_RX_BYTES      (256u << 10)
#define LW_INSIDE_HEADROOM   64u

/* one outside instance on this worker */
struct lw_port {
	const struct lw_module *module;
	void *inst;
	struct lw_worker *w;
	uint32_t index;
	bool tcp;
	struct lw_caps caps; /* what prepare() granted */
	/* UDP */
	struct lw_batch *rx;
	struct lw_batch *pieces; /* of runs whose sender is unknown: views into rx */
	struct lw_batch *wire;
	struct lw_sender sender;
	uint32_t bursts[LW_BURST_MAX +
	                1]; /* sessions with this limit; one writer, relaxed readers */
};

/* the sessions of a port whose bursts are limited */
struct lw_port_bursts {
	uint32_t limited; /* how many */
	uint32_t least;   /* the smallest limit, in datagrams; LW_BURST_MAX: none has one */
};

/* what a role supplies: server: tables and pool, client: its one tunnel */
struct lw_role_ops {
	/* the tunnel of an inside packet, or NULL */
	struct lw_tunnel *(*by_inside)(void *role, const struct lw_packet *p);
	/* by_inside() knows none: is it another worker's, and was it given to that one, or counted
	 * as lost? May be NULL */
	bool (*elsewhere)(void *role, const struct lw_packet *p);
	/* does this come from a peer of a tunnel? Then a run of datagrams is its as a whole */
	bool (*knows)(void *role, const struct lw_port *port, const struct lw_packet *dgram);
	/* the tunnel of a datagram, or of a run from a known peer; NULL: dropped, or kept for the
	 * listener until after_dgrams */
	struct lw_tunnel *(*by_dgram)(void *role, struct lw_port *port, struct lw_packet *dgram);
	/* after each datagram or run that by_dgram gave to a tunnel: what lw_tunnel_rx() made of it
	 */
	void (*heard)(void *role, struct lw_port *port, struct lw_tunnel *t,
	              const struct lw_packet *dgram, int frames);
	/* after each batch of datagrams: serve what by_dgram kept */
	void (*after_dgrams)(void *role, struct lw_port *port);
	/* something happened to a tunnel; after CLOSED it must not be found any more */
	void (*event)(void *role, struct lw_tunnel *t, const struct lw_event *e);
	/* last call for a tunnel, before it is destroyed */
	void (*gone)(void *role, struct lw_tunnel *t);
	/* a TCP connection came in; 0, or a negative errno: it is closed */
	int (*accepted)(void *role, struct lw_port *port, const struct lw_endpoint *ep);
	/* an outside socket of ours broke */
	void (*port_dead)(void *role, struct lw_port *port, uint32_t tag, int error);
};

/* what drives the path supplies */
struct lw_driver_ops {
	/* the tunnel's deadline may have moved */
	void (*deadline)(void *driver, struct lw_tunnel *t);
	/* tell when this socket can be written again */
	void (*want_write)(void *driver, struct lw_port *port, uint32_t tag);
};

struct lw_path_counters {
	uint64_t inside_rx;
	uint64_t inside_rx_bytes;
	uint64_t inside_tx;
	uint64_t inside_tx_bytes;
	uint64_t inside_tx_dropped;
	uint64_t inside_no_session;
	uint64_t inside_invalid;
	uint64_t inside_tx_merged;    /* superpackets to the inside */
	uint64_t inside_tx_refused;   /* of these, such that it did not take */
	uint64_t inside_tx_fallbacks; /* times that a kind of them was given up for a while */
	uint64_t inside_tx_bad_sums;  /* packets not merged since their checksum is wrong */
	uint64_t outside_rx;
	uint64_t handed_over;         /* to other workers, whose sessions they are of */
	uint64_t handed_over_dropped; /* the same, but there was no room on the way */
	uint64_t handed_dropped;      /* from other workers, but there was no room here */
};

struct lw_path {
	const struct lw_role_ops *ops;
	void *role;
	const struct lw_driver_ops *driver_ops;
	void *driver;
	uint32_t role_kind; /* LW_ROLE_* */
	uint32_t inside_mtu;
	struct lw_addr tun_address; /* client: what the system uses inside */
	const struct lw_inside_ops *inside;
	void *inside_inst;
	struct lw_worker *inside_w;
	struct lw_caps inside_caps;
	struct lw_chain chain;
	struct lw_port ports[LW_PATH_PORTS];
	uint32_t n_ports;
	struct lw_batch *rx;         /* from the inside */
	struct lw_batch *tx;         /* to the inside: what sinks get */
	struct lw_batch *reply;      /* answers of filters: views */
	struct lw_batch *undone;     /* packets of a superpacket that the inside refused: views */
	struct lw_coalesce *merging; /* NULL: the inside takes no superpackets */
	uint64_t merge_off_until_us[LW_GSO_RUN]; /* for each kind; relaxed readers, as of error */
	int32_t merge_off_error[LW_GSO_RUN];     /* what the inside said, negative errno */
	struct lw_batch *singles; /* single packets of rx, for filters that take no others */
	struct lw_seg cutter;     /* of rx->pkt[rx_cut], where singles had no room */
	uint32_t rx_cut;          /* packets of rx that were cut up */
	bool cutter_open;
	bool seg_open;
	bool handed; /* what is looked at came from another worker: it goes no farther */
	bool lane_told;
	struct lw_batch *out; /* what is on its way to tunnels: rx, or singles */
	struct lw_seg seg;    /* of out->pkt[next], where a tunnel had no room */
	uint32_t next;        /* packets of out that are gone */
	uint8_t *tcp_buf;
	struct lw_out_record *record; /* lent to the sinks of streams */
	struct lw_tunnel *dirty;      /* streams to flush */
	struct lw_tunnel *again;      /* the same, but not before again_at_us */
	uint64_t again_at_us;
	struct lw_tunnel *dead;
	struct lw_chunk_pool chunks;
	struct lw_counters sessions;
	struct lw_path_counters counters;
	struct lw_lane_env lane; /* for the sessions; without a cipher there is no Expresslane */
};

/**
 * lw_path_init() - allocate the batches; the caller has set ops, role, inside and ports
 *
 * Context: control thread, before the worker runs.
 * Return:  0 or -ENOMEM; lw_path_fini() also after a failure.
 */
int lw_path_init(struct lw_path *p, uint32_t chunks);
void lw_path_fini(struct lw_path *p);

/**
 * lw_path_from_inside() - one batch from the inside to tunnels
 *
 * Return: 0: more may wait; -EAGAIN: drained; -EBUSY: an outside is full, call again when
 *         lw_path_paused() says no; any other: the inside is gone.
 */
int lw_path_from_inside(struct lw_path *p, uint32_t tag, uint64_t at);

/* lw_path_from_udp() - one batch of datagrams; 0: more may wait, -EAGAIN: drained, other: dead */
int lw_path_from_udp(struct lw_path *p, struct lw_port *port, uint32_t tag, uint64_t at);

/* lw_path_from_tcp() - what one connection has; 0: more may wait, -EAGAIN: drained, or its tunnel
 * is lent and it is not read meanwhile. A connection that ended closes its tunnel */
int lw_path_from_tcp(struct lw_path *p, struct lw_port *port, struct lw_tunnel *t, uint64_t at);

/**
 * lw_path_handed_inside() - another worker has read this packet of a session that is here
 *
 * @pkt: what it points to may go after the call
 *
 * Return: true: some of it found no room; lw_path_from_inside() sends that when lw_path_paused()
 *         says no, although the inside has nothing.
 */
bool lw_path_handed_inside(struct lw_path *p, const struct lw_packet *pkt, uint64_t at);

/* lw_path_handed_dgram() - the same of a datagram, or run; an outside of ours has the same sockets
 */
void lw_path_handed_dgram(struct lw_path *p, struct lw_port *port, struct lw_packet *dgram,
                          uint64_t at);

/* lw_path_each_counter() - names and sums of all that is counted by these paths; any thread */
void lw_path_each_counter(const struct lw_path *const *paths, uint32_t n,
                          void (*fn)(void *arg, const char *name, uint64_t value), void *arg);

/* lw_path_rehome() - a tunnel whose peer is heard at another outside sends there from now on */
void lw_path_rehome(struct lw_tunnel *t, struct lw_port *port);

/* lw_port_bursts() - as they are now; any thread */
struct lw_port_bursts lw_port_bursts(const struct lw_port *port);

/**
 * lw_path_merge_refusal() - the last refusal of superpackets by the inside
 *
 * @cap: LW_CAP_SEND_TSO or LW_CAP_SEND_USO; any other was never refused
 *
 * Context: any thread.
 * Return:  of the kinds that belong to @cap that which is not used for the longest time.
 */
struct lw_refusal lw_path_merge_refusal(const struct lw_path *p, uint64_t cap);

/* lw_path_sink() - a sink for calls to a tunnel; followed by lw_path_after() */
struct lw_sink lw_path_sink(struct lw_path *p, struct lw_tunnel *t);

/* lw_path_after() - hand over events, note what must be flushed or destroyed */
void lw_path_after(struct lw_path *p, struct lw_tunnel *t, struct lw_sink *k);

/* lw_path_close() - end a tunnel from our side */
void lw_path_close(struct lw_path *p, struct lw_tunnel *t, uint64_t at);

/* lw_path_drop() - end a tunnel whose connection is gone: nothing can be said */
void lw_path_drop(struct lw_path *p, struct lw_tunnel *t);

/* lw_path_flush() - send what the last calls made, then destroy what they closed */
void lw_path_flush(struct lw_path *p, uint64_t at);

/* lw_path_paused() - a socket for datagrams is full: the inside is not read until it has taken
 * something, or what waits for it was dropped */
bool lw_path_paused(const struct lw_path *p);

/* lw_path_deadline() - when to flush again although no edge came */
uint64_t lw_path_deadline(const struct lw_path *p);

#endif

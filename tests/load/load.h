/* SPDX-License-Identifier: MIT */
/*
 * Many clients in one thread, each with a tunnel of core/session and a socket, and no device: what
 * it sends inside is made here. Batches and buffers are shared, for each call empties them.
 */
#ifndef LW_LOAD_LOAD_H
#define LW_LOAD_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

#include "base/wheel.h"
#include "load/hist.h"
#include "load/inside.h"
#include "load/options.h"
#include "load/outside.h"
#include "session/expresslane.h"
#include "session/tunnel.h"

#define LOAD_REASONS (LW_CLOSE_PROTOCOL + 1)

enum load_client_state { LOAD_WAITS, LOAD_ON_ITS_WAY, LOAD_ONLINE, LOAD_ENDED };

struct load_client;

struct load_timer {
	struct lw_timer timer; /* first */
	struct load_client *client;
	bool work; /* probes and bulk; else the tunnel's own deadline */
};

/* bulk counts packets of data: sent, or asked for, and known to have arrived */
struct load_flow {
	uint64_t sent;
	uint64_t done;
	uint64_t seq;
	uint64_t looked_at; /* `done` when it was looked at last */
	uint64_t stall_us;  /* when that was */
	uint64_t bytes;     /* that arrived */
	uint64_t tokens;    /* of the rate, in bytes */
	uint64_t tokens_us;
};

struct load_client {
	struct load_timer deadline;
	struct load_timer work;
	struct lw_tunnel *tunnel;
	uint64_t began_us;
	uint64_t probe_seq;
	uint64_t probe_at;
	struct load_flow flow;
	enum load_client_state state;
	uint32_t index;
	int fd;
	bool writing; /* waits for room in its socket */
};

/* who ended how; the reasons are those of the session engine */
struct load_counts {
	uint64_t tried;
	uint64_t online;
	uint64_t on_their_way;
	uint64_t failed;
	uint64_t failed_for[LOAD_REASONS];
	uint64_t no_socket;
	uint64_t lost; /* while they were online */
	uint64_t lost_for[LOAD_REASONS];
	uint64_t closed; /* by us, at the end */
	uint64_t probes_sent;
	uint64_t probes_answered;
	uint64_t bulk_sent;              /* packets of data, sent or asked for */
	char sentence[LW_TLS_ERROR_MAX]; /* of the last failure */
};

/* of strangers; their thread writes, who waits for its end reads */
struct load_strangers {
	uint64_t sent;
	uint64_t sent_bytes;
	uint64_t refused; /* by the system */
	uint64_t answered;
	uint64_t answered_bytes;
	uint64_t wall_us;
	uint64_t cpu_us;
};

/* of one phase */
struct load_span {
	uint64_t wall_us;
	uint64_t cpu_us; /* of this thread */
};

struct load {
	const struct load_options *o;
	struct lw_tls_ctx *tls;
	struct lw_tunnel_conf conf;
	struct lw_counters counters;
	struct lw_chunk_pool chunks;
	struct lw_lane_env lane;
	struct lw_worker worker; /* as whom the cipher is called */
	struct lw_random random;
	struct lw_batch wire;
	struct lw_batch inside;
	struct lw_out_record record;
	uint8_t *read; /* LOAD_READ_MAX bytes */
	struct lw_wheel wheel;
	int epfd;
	uint64_t now_us;
	struct load_client *clients;
	uint32_t next; /* client to begin */
	bool holding;
	struct load_counts counts;
	struct load_traffic traffic;
	struct load_hist connect_us;
	struct load_hist probe_us;
	struct load_strangers strangers;
	struct load_span connecting;
	struct load_span held;
	uint64_t last_online_us;
	const char *group; /* of the last that came online, NULL: none has */
	uint64_t began_us;
};

/* set by SIGINT and SIGTERM */
extern volatile int load_told_to_end;

/* --- setup.c --- */

/* load_init() - everything that clients share; 0, or a negative errno with a sentence.
 * load_fini() also after a failure */
int load_init(struct load *l, const struct load_options *o, struct lw_err *err);
void load_fini(struct load *l);

/* load_hello() - the first datagram of a client of this kind, header included; returns its bytes,
 * or a negative errno */
int load_hello(struct load *l, uint8_t *buf, uint32_t cap);

/* --- client.c --- */

/* load_client_begin() - a socket, a tunnel and the first flight */
void load_client_begin(struct load *l, struct load_client *c);

/* load_client_ready() - epoll says that its socket is */
void load_client_ready(struct load *l, struct load_client *c, uint32_t events);

/* load_client_tick() - its deadline has come */
void load_client_tick(struct load *l, struct load_client *c);

/* load_client_send() - one packet inside; its data has LW_FRAME_DATA_HEADER bytes in front of it.
 * What gathers is gone after load_client_sent(). False: there is no room now */
bool load_client_send(struct load *l, struct load_client *c, uint8_t *p, uint32_t len);
void load_client_sent(struct load *l, struct load_client *c);

/* load_client_close() - Goodbye; counted as closed by us */
void load_client_close(struct load *l, struct load_client *c);

/* --- work.c --- */

/* load_work_begin() - from now on probes and bulk are sent */
void load_work_begin(struct load *l);

/* load_work_do() - what is due of this client; its timer has come, or an answer */
void load_work_do(struct load *l, struct load_client *c, bool timer);

/* load_work_arrived() - a packet came through the tunnel; true: load_work_do() may have work */
bool load_work_arrived(struct load *l, struct load_client *c, const uint8_t *p, size_t len);

/* --- loop.c --- */

/* load_run() - connect, hold, close */
void load_run(struct load *l);

/* --- strangers.c --- */

struct load_stranger_thread;

/* load_strangers_start() - a thread of theirs; 0, or a negative errno with a sentence */
int load_strangers_start(struct load *l, struct load_stranger_thread **ret, struct lw_err *err);

/* load_strangers_stop() - wait for its end; their numbers are in l->strangers then; takes NULL */
void load_strangers_stop(struct load_stranger_thread *s);

/* --- answer.c --- */

/* load_answer() - be the other end of bulk until told to end; 0, or a negative errno */
int load_answer(const struct load_options *o, struct lw_err *err);

/* --- report.c --- */

/* load_report() - the line of JSON on stdout, the table on stderr; true: all went well */
bool load_report(const struct load *l);

#endif

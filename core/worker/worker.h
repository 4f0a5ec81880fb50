/* SPDX-License-Identifier: MIT */
/*
 * One worker: a thread with an epoll loop, its timers, and its path. A round is: wait, take the
 * time, read the mailbox, one batch of each ready descriptor, of strangers too if it is their turn,
 * due timers.
 *
 * Strangers cost much and may be many, so they come after sessions and get a twentieth of a
 * worker's time while any worker has had sessions to serve lately, else all of it.
 */
#ifndef LW_WORKER_WORKER_H
#define LW_WORKER_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <laneway/module.h>

#include "base/hash.h"
#include "base/random.h"
#include "base/wheel.h"
#include "path/path.h"
#include "worker/handover.h"
#include "worker/mailbox.h"

struct lw_tls_records;
struct lw_watch;

/* the tunnel's record in its role: begins with this */
struct lw_timed {
	struct lw_timer timer;
	struct lw_tunnel *tunnel;
	uint64_t armed_us; /* 0: not armed */
};

/* an instance on this worker: w->core of its lw_worker */
enum lw_attach_kind { LW_ATTACH_INSIDE, LW_ATTACH_PORT, LW_ATTACH_OTHER };

struct lw_core;

struct lw_attach {
	struct lw_core *core;
	enum lw_attach_kind kind;
	uint32_t index;      /* in core->attach */
	uint32_t port;       /* index in path.ports */
	struct lw_worker *w; /* now_us is set once a round */
};

#define LW_ATTACH_MAX 64u

/* watched descriptors that may have something to read */
struct lw_ready {
	struct lw_watch *first;
	struct lw_watch *last;
};

struct lw_core {
	struct lw_path path;
	struct lw_wheel wheel;
	struct lw_mailbox mail;
	struct lw_random random;
	struct lw_attach attach[LW_ATTACH_MAX];
	uint32_t n_attach;
	uint64_t now_us;
	struct lw_hash by_fd;  /* watches by descriptor */
	struct lw_hash by_tag; /* watches by attachment and tag */
	struct lw_watch *gone; /* unwatched in this round: events may still name them */
	struct lw_ready ready;
	struct lw_ready strangers; /* the same where LW_TAG_STRANGERS is set */
	uint64_t strangers_at_us;  /* not before, while busy */
	uint64_t busy_until_us;    /* others were served lately; other workers read it, relaxed */
	uint64_t round;            /* number of the present one */
	int epfd;
	int failed; /* why the loop ended by itself, negative errno */
	bool stop;
	bool few_strangers;     /* it is their turn, and to be a short one; on its thread */
	bool strangers_welcome; /* set by the role: one of this turn may begin a session */
	bool started;
	bool waits_in_ms;      /* the kernel cannot do better */
	struct lw_core *peers; /* all workers, this one too; NULL: it is alone */
	uint32_t n_peers;
	struct lw_handover handover;
	struct lw_tls_records *records; /* what its thread uses; NULL: nothing. The engine's */
	struct lw_mailbox *ended_to;    /* told when the loop ends by itself; NULL: nobody */
	struct lw_mail ended;
	pthread_t thread;
};

/**
 * lw_core_init() - an empty worker; instances are attached next, then lw_path_init()
 *
 * Context: control thread, as all calls here but where said.
 * Return:  0 or a negative errno; lw_core_fini() also after a failure.
 */
int lw_core_init(struct lw_core *c);
void lw_core_fini(struct lw_core *c);

/* lw_core_attach() - prepare the worker's view of an instance; NULL: too many */
struct lw_attach *lw_core_attach(struct lw_core *c, enum lw_attach_kind kind, uint32_t port,
                                 struct lw_worker *w);

/* lw_core_start() - run the loop on a thread of its own; 0 or a negative errno */
int lw_core_start(struct lw_core *c);

/* lw_core_join() - wait for the loop to end: after the round in which `stop` was set on its thread
 */
void lw_core_join(struct lw_core *c);

/* lw_core_cpu_us() - processor time that its thread has used, in us; control thread */
uint64_t lw_core_cpu_us(const struct lw_core *c);

/* lw_core_watch() - lw_host.watch() for workers; before the start, or on the worker's thread */
int lw_core_watch(struct lw_attach *a, int fd, uint32_t tag);
void lw_core_unwatch(struct lw_attach *a, int fd);

/* lw_core_bind() - worker's thread: this connection's bytes are for that tunnel from now on */
int lw_core_bind(struct lw_core *c, struct lw_port *port, uint32_t tag, struct lw_tunnel *t);

/* lw_core_look_again() - worker's thread: this connection may have bytes that nobody took although
 * it was ready */
void lw_core_look_again(struct lw_core *c, const struct lw_port *port, uint32_t tag);

/* lw_core_timed() - worker's thread: the tunnel's record, whose timer follows its deadline */
void lw_core_timed(struct lw_timed *rec, struct lw_tunnel *t);
void lw_core_untimed(struct lw_core *c, struct lw_timed *rec);

/**
 * lw_core_hand_over() - a packet is of another worker's session: give it to that one
 *
 * @worker: another one
 * @port:   index of the outside that it came from, or LW_PARCEL_INSIDE
 *
 * What finds no room is lost; both are counted.
 *
 * Context: this worker's thread.
 */
void lw_core_hand_over(struct lw_core *c, uint32_t worker, uint32_t port,
                       const struct lw_packet *p);

/* lw_core_handed_inside() - worker's thread: another one has read this packet for a session here;
 * what of it finds no room is sent as what the inside gave */
void lw_core_handed_inside(struct lw_core *c, const struct lw_packet *p);

/* lw_core_round() - one round, waiting at most max_wait_us, and a minute; for the thread and tests
 */
int lw_core_round(struct lw_core *c, uint64_t max_wait_us);

#endif

/* SPDX-License-Identifier: MIT */
/* An instance of outside-tcp on loopback whose watches are real, edge-triggered ones. */
#ifndef LW_TEST_OUTSIDE_TCP_BED_H
#define LW_TEST_OUTSIDE_TCP_BED_H

#include "fake/fake_host.h"
#include "outside-tcp.h"

#define BED_WORKERS_MAX 4
#define BED_NOBODY      UINT32_MAX

extern const struct lw_module laneway_module;

struct bed {
	struct lw_fake_host host;
	struct lw_addr listen;
	struct tcp_options opts;
	struct lw_err err;
	void *inst;
	struct lw_fake_worker workers[BED_WORKERS_MAX];
	uint32_t n_workers;
	int watches_left; /* after so many, watch() says -ENOSPC */
};

/* bed_addr() - an address from its text; a wrong one ends the test program */
struct lw_addr bed_addr(const char *text);

/* bed_has_ipv6() - whether this kernel has ::1 */
bool bed_has_ipv6(void);

/* bed_free_port() - a port on which nobody listens */
uint16_t bed_free_port(void);

/* bed_create() - an instance that would listen there, NULL: nowhere; not yet prepared */
void bed_create(struct bed *bed, const char *listen, uint16_t port);

/* bed_prepare() - call prepare(); answers what it answers, err is in the bed */
int bed_prepare(struct bed *bed, uint32_t workers, uint32_t role);

/* bed_start_workers() - the step after it */
void bed_start_workers(struct bed *bed, uint32_t n);

/* bed_start() - all of that, on a free port; listen NULL: a client */
void bed_start(struct bed *bed, const char *listen, uint32_t workers);

/* bed_stop() - all the way down; what is left watched fails the test */
void bed_stop(struct bed *bed);

/* bed_event() - the tag of the next edge, BED_NOBODY when none comes within timeout_ms */
uint32_t bed_event(int timeout_ms);

/* bed_call() - a plain, blocking connection to the instance, by this address of ours */
int bed_call(const struct bed *bed, const char *called);

/* bed_listener() - a plain listener on 127.0.0.1 with this backlog */
int bed_listener(int backlog, struct lw_addr *ret_at);

/* bed_name() - what a socket is bound to */
struct lw_addr bed_name(int fd);

/* bed_accept() - accept() of worker 0's first listener, waiting up to two seconds for it */
struct lw_endpoint bed_accept(struct bed *bed);

/* bed_try_accept() - one call of it; fills ep */
int bed_try_accept(struct bed *bed, struct lw_endpoint *ep);

/* bed_fd() - the descriptor behind a tag of worker 0 */
int bed_fd(struct bed *bed, uint32_t tag);

/* bed_wait() - until a descriptor is ready for poll's events */
void bed_wait(int fd, short events);

/* bed_fds() - how many descriptors this process has */
unsigned bed_fds(void);

static inline struct lw_worker *bed_worker(struct bed *bed, uint32_t i)
{
	return &bed->workers[i].w;
}

#endif

/* SPDX-License-Identifier: MIT */
#ifndef LW_LANEWAY_HOST_H
#define LW_LANEWAY_HOST_H

#include <stddef.h>
#include <stdint.h>

#include <laneway/abi.h>
#include <laneway/addr.h>
#include <laneway/packet.h>

struct lw_host;

/*
 * A bit of the tag under which an outside has a descriptor watched where peers arrive that have no
 * session: it is served when all others were, and for a bounded share of the time. recv() gets the
 * tag with it, endpoints have the listener's tag without it. Since ABI 0.5.
 */
#define LW_TAG_STRANGERS 0x80000000u

/**
 * struct lw_worker - one instance's view of one worker: the `w` of every data-path call
 *
 * @size:        sizeof(struct lw_worker) of the host
 * @index:       number of the worker, from 0
 * @now_us:      monotonic clock in microseconds, set once a round
 * @state:       what worker_start answered: this instance's, this worker's, no locks
 * @conf:        this instance's snapshot; changes between rounds only
 * @counters:    one per name in lw_module.counters: lw_worker_count()
 * @host:        the instance's host table
 * @session_off: where this instance's bytes start in lw_session.state
 * @core:        the core's own
 *
 * Context: its worker only.
 * Since:   ABI 0.1
 */
struct lw_worker {
	uint32_t size;
	uint32_t index;
	uint64_t now_us;
	void *state;
	const void *conf;
	uint64_t *counters;
	const struct lw_host *host;
	uint32_t session_off;
	uint32_t reserved;
	void *core;
};
LW_ASSERT_SIZE(lw_worker, 64);

/* verdicts of an authenticator; NOT_MINE asks the next one */
enum { LW_AUTH_YES, LW_AUTH_NO, LW_AUTH_NOT_MINE, LW_AUTH_ERROR };

/**
 * struct lw_auth_answer - what an authenticator decided
 *
 * @size:            sizeof(struct lw_auth_answer) of the module
 * @verdict:         LW_AUTH_*
 * @expires_wall_us: wall clock in microseconds since 1970 when the session must end, 0: never
 * @address:         inside address that this user must get, family 0: any of the pool
 * @user:            name for logs and policy, ends with a zero
 *
 * Since: ABI 0.1
 */
struct lw_auth_answer {
	uint32_t size;
	uint32_t verdict;
	uint64_t expires_wall_us;
	struct lw_addr address;
	char user[64];
};

/* levels of log lines: work asked for is not done; done in a lesser way; a change of state that an
 * operator acts on; sessions; the rest */
enum { LW_LOG_ERROR, LW_LOG_WARN, LW_LOG_NOTICE, LW_LOG_INFO, LW_LOG_DEBUG };

/**
 * struct lw_host - the core's services, one table per instance
 *
 * A module calls nothing else of the core, so it has no undefined core symbols and its test needs
 * a table of fakes only. Members behind @size bytes do not exist in this host.
 *
 * @size:      sizeof(struct lw_host) of the host
 * @abi_minor: LW_ABI_MINOR of the host
 * @log:       write one line; the core adds time, module and instance. Any thread, not the path
 * @watch:     tell when @fd is readable (edge-triggered) under the name @tag; the core arms
 *             writing by itself after a send said -EAGAIN. @w NULL: the control thread calls the
 *             module's ready(). 0 or a negative errno
 * @unwatch:   undo watch, before the descriptor is closed
 * @random:    bytes fit for keys; buffered, key-erasing, cannot fail. @w NULL: control thread
 * @defer:     run @fn on a helper thread; it may block. Any thread. 0, or -EAGAIN: queue full
 * @answer:    answer an authentication by its token, exactly once. Any thread; a late one is
 *             ignored
 * @lacks:     say why capabilities are not granted. Call it through lw_host_lacks(); since ABI 0.3
 *
 * Since: ABI 0.1
 */
struct lw_host {
	uint32_t size;
	uint32_t abi_minor;
	void (*log)(const struct lw_host *h, int level, const char *fmt, ...)
		__attribute__((format(printf, 3, 4)));
	int (*watch)(const struct lw_host *h, struct lw_worker *w, int fd, uint32_t tag);
	void (*unwatch)(const struct lw_host *h, struct lw_worker *w, int fd);
	void (*random)(struct lw_worker *w, void *buf, uint32_t len);
	int (*defer)(const struct lw_host *h, void (*fn)(void *arg), void *arg);
	void (*answer)(const struct lw_host *h, uint64_t token, const struct lw_auth_answer *a);
	void (*lacks)(const struct lw_host *h, uint64_t caps, const char *why);
};

/* lw_log() - write one line through a host table */
#define lw_log(h, level, ...) ((h)->log((h), (level), __VA_ARGS__))

/* bytes of a reason for lw_host_lacks(), its end included */
#define LW_WHY_MAX 112

/**
 * lw_host_lacks() - say why capabilities are not granted, where prepare() decides that
 *
 * @h:    the instance's host table
 * @caps: LW_CAP_*
 * @why:  a few words for the operator, as "gso is off in the configuration"; copied, and cut to
 *        LW_WHY_MAX
 *
 * The log and `lanewayctl status` show it for those that prepare() then does not grant. The last
 * word on a capability counts. Does nothing in a host before ABI 0.3.
 *
 * Context: control thread, in prepare().
 * Since:   ABI 0.3
 */
static inline void lw_host_lacks(const struct lw_host *h, uint64_t caps, const char *why)
{
	const uint32_t needed = offsetof(struct lw_host, lacks) + sizeof(h->lacks);

	if (h->size >= needed)
		h->lacks(h, caps, why);
}

/**
 * lw_worker_count() - add to one of the instance's counters
 *
 * @w: the worker
 * @i: index of the counter's name in lw_module.counters
 * @n: what to add
 *
 * One thread writes, others may read at any time: no lock prefix is needed.
 *
 * Context: the worker's thread.
 * Since:   ABI 0.1
 */
static inline void lw_worker_count(struct lw_worker *w, uint32_t i, uint64_t n)
{
	__atomic_store_n(&w->counters[i], w->counters[i] + n, __ATOMIC_RELAXED);
}

/**
 * lw_session_state() - this instance's bytes of a session
 *
 * @s: the session
 * @w: the worker that calls
 *
 * Context: the session's worker.
 * Return:  lw_module.session_bytes bytes, zeroed when the session began.
 * Since:   ABI 0.1
 */
static inline void *lw_session_state(const struct lw_session *s, const struct lw_worker *w)
{
	return s->state + w->session_off;
}

#endif

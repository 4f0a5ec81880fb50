/* SPDX-License-Identifier: MIT */
#include "server/sessions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "packet/ipv4.h"
#include "server/record.h"
#include "server/roam.h"
#include "server/steps.h"
#include "server/strangers.h"
#include "wire/header.h"

#define WHO "session"
/* lines of a kind in a second */
#define TOLD_PER_S 10
/* between two lines about what lasts */
#define COMPLAIN_US (60 * LW_US_PER_S)
/* tunnel protocol version of a TCP session: wire.md 1.7 */
#define STREAM_MINOR 1
/* who is not online after so long makes room when all sessions are taken: a login needs less */
#define MAKES_ROOM_US (2 * LW_US_PER_S)

const char *const lw_server_counter_names[LW_SRV_MAX] = {
#define X(id, text) text,
	LW_SERVER_COUNTERS(X)
#undef X
};

/* Workers that admit at the same moment may go beyond the limit by one each. */
static uint64_t all_sessions(const struct lw_sessions *s)
{
	return __atomic_load_n(&s->common->n, __ATOMIC_RELAXED);
}

/* for good, or until a drain is called off */
static bool lets_nobody_in(const struct lw_sessions *s)
{
	return s->closing || __atomic_load_n(&s->common->draining, __ATOMIC_RELAXED);
}

static enum lw_limit ask_limits(struct lw_sessions *s, const struct lw_addr *remote)
{
	return lw_limits_admit(&s->limits, all_sessions(s), remote, s->core->now_us);
}

/* So those who never log in cannot keep the others out; one who is online is never displaced. */
static bool make_room(struct lw_sessions *s)
{
	struct lw_record *rec = s->first_pending;

	if (rec == NULL || s->core->now_us - rec->began_us < MAKES_ROOM_US)
		return false;
	lw_sessions_count(s, LW_SRV_SESSIONS_DISPLACED, 1);
	lw_path_drop(&s->core->path, rec->timed.tunnel);
	return true;
}

bool lw_sessions_admit(struct lw_sessions *s, const struct lw_addr *remote)
{
	static const enum lw_server_counter counters[] = {
		[LW_LIMIT_SESSIONS] = LW_SRV_SESSIONS_LIMITED,
		[LW_LIMIT_SOURCE] = LW_SRV_SOURCES_LIMITED,
		[LW_LIMIT_HANDSHAKES] = LW_SRV_HANDSHAKES_LIMITED,
	};
	enum lw_limit limit = LW_LIMIT_SESSIONS;

	if (!lets_nobody_in(s)) {
		limit = ask_limits(s, remote);
		if (limit == LW_LIMIT_SESSIONS && make_room(s))
			limit = ask_limits(s, remote);
	}
	if (limit == LW_LIMIT_NONE)
		return true;
	lw_sessions_count(s, counters[limit], 1);
	return false;
}

/* --- datagrams --- */

static uint32_t worker_of(uint64_t id)
{
	return (uint32_t)(id >> 56);
}

/* The kernel brings these to their worker, but where it cannot. */
static bool is_of_another(const struct lw_sessions *s, const struct lw_wire_header *h)
{
	return h->session != LW_WIRE_ID_EMPTY && worker_of(h->session) != s->worker &&
	       worker_of(h->session) < s->common->n_workers && !s->core->path.handed && !s->closing;
}

/* Under an id, so that a peer that begins anew on this address is told apart by by_dgram(). */
static bool knows(void *role, const struct lw_port *port, const struct lw_packet *dgram)
{
	struct lw_wire_header h;

	(void)port;
	return lw_wire_header_parse(lw_packet_data(dgram), dgram->len, &h) == 0 &&
	       (lw_record_of_id(role, h.session) != NULL || is_of_another(role, &h));
}

/* wire.md 1.5, steps 1 to 7, with the id before the address. */
static struct lw_tunnel *by_dgram(void *role, struct lw_port *port, struct lw_packet *dgram)
{
	struct lw_sessions *s = role;
	const struct lw_record *rec;
	struct lw_wire_header h;

	if (lw_wire_header_parse(lw_packet_data(dgram), dgram->len, &h) < 0) {
		lw_count(&s->core->path.sessions, LW_CTR_HEADER_BAD);
		return NULL;
	}
	if (is_of_another(s, &h)) {
		lw_core_hand_over(s->core, worker_of(h.session), port->index, dgram);
		return NULL;
	}
	rec = lw_record_of_dgram(s, port, dgram, &h);
	if (rec != NULL)
		return rec->timed.tunnel;
	if (s->closing) {
		lw_sessions_count(s, LW_SRV_SESSIONS_LIMITED, 1);
		return NULL;
	}
	if (h.session == LW_WIRE_ID_EMPTY && !h.expresslane) {
		lw_strangers_keep(s, dgram);
		return NULL;
	}
	lw_sessions_count(s, LW_SRV_UNKNOWN_DATAGRAMS, 1);
	if (h.session != LW_WIRE_ID_REJECTED)
		lw_strangers_reject(s, port, dgram);
	return NULL;
}

static void heard(void *role, struct lw_port *port, struct lw_tunnel *t,
                  const struct lw_packet *dgram, int frames)
{
	lw_roam_heard(role, port, t, dgram, frames);
}

static void after_dgrams(void *role, struct lw_port *port)
{
	lw_strangers_serve(role, port);
}

/* --- TCP --- */

static int accepted(void *role, struct lw_port *port, const struct lw_endpoint *ep)
{
	struct lw_sessions *s = role;
	struct lw_tls *tls;
	struct lw_tunnel *t;
	int r;

	if (!lw_sessions_admit(s, &ep->remote))
		return -EBUSY;
	r = lw_tls_create(s->tls, LW_TLS_STREAM, 0, &tls);
	if (r == 0)
		r = lw_record_open(s, port, tls, ep, STREAM_MINOR, NULL, &t);
	if (r != 0)
		return r;
	r = lw_core_bind(s->core, port, ep->tag, t);
	if (r < 0) {
		lw_record_unlist(s, lw_record_of(t));
		free(lw_record_of(t));
		lw_tunnel_destroy(t);
		return r;
	}

	struct lw_sink k = lw_path_sink(&s->core->path, t);

	lw_path_after(&s->core->path, t, &k); /* arms its timer */
	return 0;
}

/* --- the inside --- */

static struct lw_tunnel *by_inside(void *role, const struct lw_packet *p)
{
	const struct lw_sessions *s = role;

	return lw_pool_owner(&s->common->pool, s->worker,
	                     lw_ipv4_addr(lw_packet_data(p), LW_IPV4_DST));
}

/* Addresses of a slice are given to other workers' sessions when those have none left. */
static bool elsewhere(void *role, const struct lw_packet *p)
{
	struct lw_sessions *s = role;
	uint32_t worker =
		lw_pool_worker(&s->common->pool, lw_ipv4_addr(lw_packet_data(p), LW_IPV4_DST));

	if (worker == LW_POOL_NOBODY || worker == s->worker || s->core->path.handed)
		return false;
	lw_core_hand_over(s->core, worker, LW_PARCEL_INSIDE, p);
	return true;
}

/* --- events --- */

static void refuse(struct lw_sessions *s, struct lw_tunnel *t)
{
	const struct lw_auth_answer no = { .size = sizeof(no), .verdict = LW_AUTH_NO };
	struct lw_sink k = lw_path_sink(&s->core->path, t);

	(void)lw_tunnel_auth(t, &no, s->core->now_us, &k);
	lw_path_after(&s->core->path, t, &k);
}

static void tell_logins_busy(struct lw_sessions *s)
{
	if (lw_sessions_may_complain(s, &s->busy_told))
		lw_log_write(LW_LOG_WARN, WHO,
		             "logins are refused, since %u wait for an answer already: lower "
		             "limits.handshakes, or the cost of the password hashes",
		             LW_AUTH_JOBS);
}

static void on_auth_wanted(struct lw_sessions *s, struct lw_tunnel *t)
{
	struct lw_login *login = lw_tunnel_take_login(t);
	struct lw_record *rec = lw_record_of(t);

	if (login == NULL)
		return;
	lw_sessions_count(s, LW_SRV_LOGINS, 1);
	rec->job = lw_auth_submit(&s->auth, login, &t->endpoint.remote, rec);
	if (rec->job == NULL) {
		lw_sessions_count(s, LW_SRV_LOGINS_BUSY, 1);
		lw_sessions_count(s, LW_SRV_LOGINS_REFUSED, 1);
		tell_logins_busy(s);
		refuse(s, t);
	}
}

/* The peer of an address has shown that it is not the one that began there before. One that has
 * moved there is left alone: it is not bound to any address. */
static void drop_older(struct lw_sessions *s, const struct lw_record *rec)
{
	struct lw_record *next;

	for (struct lw_record *r = rec->behind; r != NULL; r = next) {
		next = r->behind;
		if (r->moved)
			continue;
		lw_log_write(LW_LOG_INFO, WHO,
		             "%llu has taken the place of %llu, whose address it has",
		             (unsigned long long)rec->timed.tunnel->s.serial,
		             (unsigned long long)r->timed.tunnel->s.serial);
		lw_path_drop(&s->core->path, r->timed.tunnel);
	}
}

/* The worker has the backends' answer. */
static void on_answer(void *arg, struct lw_auth_job *job)
{
	struct lw_sessions *s = arg;
	struct lw_record *rec = job->session;
	struct lw_auth_answer answer = job->answer;
	struct lw_tunnel *t;

	lw_auth_done(job);
	if (rec == NULL)
		return;
	rec->job = NULL;
	t = rec->timed.tunnel;
	if (answer.verdict == LW_AUTH_YES)
		drop_older(s, rec);
	if (answer.verdict == LW_AUTH_YES && t->s.inside.family == 0) {
		uint32_t address = lw_pool_take(&s->common->pool, s->worker, t);

		if (address == 0) {
			lw_sessions_count(s, LW_SRV_POOL_EMPTY, 1);
			lw_log_write(LW_LOG_WARN, WHO, "no inside address is left, login refused");
			answer.verdict = LW_AUTH_NO;
		} else {
			t->s.inside = lw_addr_ipv4(address, 0);
		}
	}
	if (answer.verdict != LW_AUTH_YES)
		lw_sessions_count(s, LW_SRV_LOGINS_REFUSED, 1);

	struct lw_sink k = lw_path_sink(&s->core->path, t);

	(void)lw_tunnel_auth(t, &answer, s->core->now_us, &k);
	lw_path_after(&s->core->path, t, &k);
	lw_path_flush(&s->core->path, s->core->now_us);
}

static void on_online(struct lw_sessions *s, struct lw_tunnel *t)
{
	struct lw_tls_info info;
	char from[LW_ADDR_TEXT_MAX];
	char inside[LW_ADDR_TEXT_MAX];

	lw_record_arrived(s, lw_record_of(t));
	lw_sessions_set(&s->n_online, s->n_online + 1);
	lw_tls_info(t->tls, &info);
	lw_log_write(LW_LOG_INFO, WHO, "%llu online: user '%s' from %s %s, inside %s, %s %s",
	             (unsigned long long)t->s.serial, t->s.user, t->is_stream ? "tcp" : "udp",
	             lw_addr_format(&t->endpoint.remote, from),
	             lw_addr_format(&t->s.inside, inside), info.cipher, info.group);
}

bool lw_sessions_may(const struct lw_sessions *s, struct lw_told *told, uint32_t most,
                     uint64_t period_us)
{
	if (s->core->now_us - told->since_us >= period_us)
		*told = (struct lw_told){ .since_us = s->core->now_us };
	if (told->n >= most)
		return false;
	told->n++;
	return true;
}

/* Nobody can fill the log. */
bool lw_sessions_may_tell(const struct lw_sessions *s, struct lw_told *told)
{
	return lw_sessions_may(s, told, TOLD_PER_S, LW_US_PER_S);
}

bool lw_sessions_may_complain(const struct lw_sessions *s, struct lw_told *told)
{
	return lw_sessions_may(s, told, 1, COMPLAIN_US);
}

static int closed_level(struct lw_sessions *s, const struct lw_tunnel *t, bool was_online)
{
	if (was_online)
		return LW_LOG_INFO;
	return t->reason == LW_CLOSE_AUTH && lw_sessions_may_tell(s, &s->refusals_told)
	               ? LW_LOG_INFO
	               : LW_LOG_DEBUG;
}

static void on_closed(struct lw_sessions *s, struct lw_tunnel *t)
{
	const char *detail = t->reason == LW_CLOSE_HANDSHAKE ? lw_tls_error(t->tls) : "";
	const bool was_online = lw_record_of(t)->online;
	char from[LW_ADDR_TEXT_MAX];

	if (t->reason == LW_CLOSE_AUTH && lw_record_of(t)->job != NULL)
		lw_sessions_count(s, LW_SRV_LOGINS_REFUSED, 1); /* not answered in time */
	lw_record_unlist(s, lw_record_of(t));
	if (t->s.inside.family != 0)
		lw_pool_give(&s->common->pool, lw_addr_u32(&t->s.inside));
	if (was_online)
		lw_sessions_set(&s->n_online, s->n_online - 1);
	lw_log_write(closed_level(s, t, was_online), WHO, "%llu closed: %s from %s: %s%s%s",
	             (unsigned long long)t->s.serial, was_online ? t->s.user : "peer",
	             lw_addr_format(&t->endpoint.remote, from), lw_close_reason_text(t->reason),
	             *detail != '\0' ? ": " : "", detail);
}

static void on_event(void *role, struct lw_tunnel *t, const struct lw_event *e)
{
	switch (e->type) {
	case LW_EVENT_STEP:
		lw_steps_lend(role, t);
		break;
	case LW_EVENT_AUTH_WANTED:
		on_auth_wanted(role, t);
		break;
	case LW_EVENT_ONLINE:
		on_online(role, t);
		break;
	case LW_EVENT_KEY_UPDATE:
		lw_roam_rotate(role, t);
		break;
	case LW_EVENT_ROTATED:
		lw_roam_rotated(role, t);
		break;
	case LW_EVENT_CLOSED:
		on_closed(role, t);
		break;
	default:
		break;
	}
}

static void gone(void *role, struct lw_tunnel *t)
{
	(void)role;
	free(lw_record_of(t));
}

static void port_dead(void *role, struct lw_port *port, uint32_t tag, int error)
{
	(void)role;
	(void)tag;
	lw_log_write(LW_LOG_ERROR, WHO, "a socket of %s broke: %s", port->module->name,
	             strerror(-error));
}

static const struct lw_role_ops role_ops = {
	.by_inside = by_inside,
	.elsewhere = elsewhere,
	.knows = knows,
	.by_dgram = by_dgram,
	.heard = heard,
	.after_dgrams = after_dgrams,
	.event = on_event,
	.gone = gone,
	.accepted = accepted,
	.port_dead = port_dead,
};

/* --- life --- */

int lw_sessions_init(struct lw_sessions *s, uint32_t worker, struct lw_core *core,
                     struct lw_sessions_common *common, struct lw_err *err)
{
	struct lw_server_limits limits = common->limits;
	int r;

	s->common = common;
	s->worker = worker;
	s->core = core;
	s->tls = common->tls;
	s->conf = common->conf;
	s->serial = worker;
	limits.handshakes_per_s =
		(limits.handshakes_per_s + common->n_workers - 1) / common->n_workers;
	lw_limits_init(&s->limits, &limits, core->now_us);
	lw_auth_init(&s->auth, worker, common->helpers, &core->mail, on_answer, s);
	core->path.ops = &role_ops;
	core->path.role = s;
	core->path.role_kind = LW_ROLE_SERVER;
	r = lw_record_tables(s);
	if (r < 0)
		return lw_err_set(err, r, "out of memory");
	return common->udp ? lw_strangers_init(s, err) : 0;
}

void lw_sessions_fini(struct lw_sessions *s)
{
	lw_steps_fini(s);
	lw_tls_listener_destroy(s->listener);
	lw_hash_fini(&s->by_addr);
	lw_hash_fini(&s->by_id);
	lw_auth_fini(&s->auth);
}

void lw_sessions_close_all(struct lw_sessions *s)
{
	s->closing = true;
	for (size_t i = 0; s->by_addr.n > 0 && i <= s->by_addr.mask; i++) {
		while (s->by_addr.slots[i] != NULL) {
			struct lw_record *rec =
				lw_hash_owner(s->by_addr.slots[i], struct lw_record, addr_node);

			lw_path_close(&s->core->path, rec->timed.tunnel, s->core->now_us);
			lw_path_flush(&s->core->path, s->core->now_us);
		}
	}
}

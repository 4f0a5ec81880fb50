/* SPDX-License-Identifier: MIT */
#include "server/sessions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "packet/ipv4.h"
#include "wire/header.h"

#define WHO "session"
/* a cookie carries no time, so its secret changes: wire.md 4.9.2 */
#define REKEY_US (120 * LW_US_PER_S)
/* tunnel protocol version of a TCP session: wire.md 1.7 */
#define STREAM_MINOR 1

const char *const lw_server_counter_names[LW_SRV_MAX] = {
#define X(id, text) text,
	LW_SERVER_COUNTERS(X)
#undef X
};

/* where a peer is: all of it zeroed, for it is hashed and compared as bytes */
struct addr_key {
	struct lw_addr remote;
	uint32_t port;
	uint32_t tag;
};

struct record {
	struct lw_timed timed; /* first */
	struct lw_hash_node addr_node;
	struct lw_hash_node id_node;
	struct addr_key addr;
	uint64_t id;
	uint32_t bucket; /* of the limits, while pending */
	bool pending;    /* not yet online */
	bool online;     /* counted so: a filter may refuse one that was accepted */
	bool listed;     /* in the tables */
	struct lw_auth_job *job;
};

#define KEY_OFFSET(key, node)                                                                      \
	((ptrdiff_t)offsetof(struct record, key) - (ptrdiff_t)offsetof(struct record, node))

static void count(struct lw_sessions *s, enum lw_server_counter i, uint64_t n)
{
	__atomic_store_n(&s->counters[i], s->counters[i] + n, __ATOMIC_RELAXED);
}

static void set(uint64_t *gauge, uint64_t n)
{
	__atomic_store_n(gauge, n, __ATOMIC_RELAXED);
}

static struct record *record_of(const struct lw_tunnel *t)
{
	return t->owner;
}

static struct addr_key key_of(const struct lw_port *port, const struct lw_endpoint *ep)
{
	return (struct addr_key){ .remote = ep->remote, .port = port->index, .tag = ep->tag };
}

/* May this peer begin a session? */
static bool admit(struct lw_sessions *s, const struct lw_addr *remote)
{
	static const enum lw_server_counter counters[] = {
		[LW_LIMIT_SESSIONS] = LW_SRV_SESSIONS_LIMITED,
		[LW_LIMIT_SOURCE] = LW_SRV_SOURCES_LIMITED,
		[LW_LIMIT_HANDSHAKES] = LW_SRV_HANDSHAKES_LIMITED,
	};
	enum lw_limit limit = s->closing
	                              ? LW_LIMIT_SESSIONS
	                              : lw_limits_admit(&s->limits, s->n, remote, s->core->now_us);

	if (limit == LW_LIMIT_NONE)
		return true;
	count(s, counters[limit], 1);
	return false;
}

static void no_longer_pending(struct lw_sessions *s, struct record *rec)
{
	if (!rec->pending)
		return;
	rec->pending = false;
	lw_limits_end(&s->limits, rec->bucket);
}

/* --- begin and end --- */

static uint64_t draw_id(struct lw_sessions *s)
{
	uint64_t id;

	do {
		lw_random_take(&s->core->random, &id, sizeof(id));
		id &= UINT64_MAX >> 8; /* byte 0 is the worker: the first, of one */
	} while (lw_wire_id_reserved(id) || lw_hash_find(&s->by_id, &id) != NULL);
	return id;
}

static int open_session(struct lw_sessions *s, struct lw_port *port, struct lw_tls *tls,
                        const struct lw_endpoint *ep, uint8_t minor, struct lw_tunnel **ret)
{
	struct lw_tunnel_start start = { .tls = tls,
		                         .endpoint = *ep,
		                         .stream = port->tcp,
		                         .minor = minor,
		                         .pool = &s->core->path.chunks,
		                         .counters = &s->core->path.sessions,
		                         .serial = ++s->serial };
	struct record *rec = calloc(1, sizeof(*rec));
	struct lw_tunnel *t;

	if (rec == NULL) {
		lw_tls_destroy(tls);
		return -ENOMEM;
	}
	if (!port->tcp)
		start.id = draw_id(s);
	if (lw_tunnel_create(s->conf, &start, s->core->now_us, &t) < 0) {
		free(rec);
		return -ENOMEM;
	}
	lw_core_timed(&rec->timed, t);
	t->port = port;
	rec->addr = key_of(port, ep);
	rec->id = start.id;
	rec->bucket = lw_limits_begin(&s->limits, &ep->remote);
	rec->pending = true;
	rec->listed = true;
	lw_hash_add(&s->by_addr, &rec->addr_node);
	if (!port->tcp)
		lw_hash_add(&s->by_id, &rec->id_node);
	set(&s->n, s->n + 1);
	*ret = t;
	return 0;
}

static void unlist(struct lw_sessions *s, struct record *rec)
{
	struct lw_tunnel *t = rec->timed.tunnel;

	if (!rec->listed)
		return;
	rec->listed = false;
	lw_hash_remove(&s->by_addr, &rec->addr_node);
	if (!t->is_stream)
		lw_hash_remove(&s->by_id, &rec->id_node);
	no_longer_pending(s, rec);
	lw_core_untimed(s->core, &rec->timed);
	if (rec->job != NULL)
		rec->job->session = NULL;
	rec->job = NULL;
	set(&s->n, s->n - 1);
}

/* --- strangers on UDP --- */

struct reply {
	struct lw_port *port;
	const struct lw_packet *dgram;
	uint8_t minor;
	bool sent;
};

/* One answer of the cookie listener; it goes out under no session id. */
static int out_reply(void *arg, const uint8_t *p, size_t len)
{
	struct reply *r = arg;
	const struct lw_wire_header h = { .major = LW_WIRE_MAJOR, .minor = r->minor };
	struct lw_packet *pkt =
		lw_batch_reserve(r->port->wire, (uint32_t)(LW_WIRE_HEADER_LEN + len));

	if (pkt == NULL)
		return 0;
	lw_wire_header_write(lw_packet_data(pkt), &h);
	memcpy(lw_packet_data(pkt) + LW_WIRE_HEADER_LEN, p, len);
	*pkt->endpoint = *r->dgram->endpoint;
	pkt->endpoint->tos = 0;
	(void)lw_batch_commit(r->port->wire, (uint32_t)(LW_WIRE_HEADER_LEN + len));
	r->sent = true;
	return 0;
}

static void begin_udp(struct lw_sessions *s, struct lw_port *port, struct lw_tls *tls,
                      const struct lw_packet *dgram, uint8_t minor)
{
	struct lw_tunnel *t;

	count(s, LW_SRV_COOKIES_GOOD, 1);
	if (!admit(s, &dgram->endpoint->remote)) {
		lw_tls_destroy(tls);
		return;
	}
	if (open_session(s, port, tls, dgram->endpoint, minor, &t) < 0)
		return;

	struct lw_sink k = lw_path_sink(&s->core->path, t);

	(void)lw_tunnel_begin(t, s->core->now_us, &k);
	lw_path_after(&s->core->path, t, &k);
}

static void serve_stranger(struct lw_sessions *s, struct lw_port *port, struct lw_packet *dgram)
{
	struct reply reply = { .port = port, .dgram = dgram };
	struct lw_tls_io io = { .in = lw_packet_data(dgram) + LW_WIRE_HEADER_LEN,
		                .in_len = dgram->len - LW_WIRE_HEADER_LEN,
		                .out = out_reply,
		                .arg = &reply };
	struct addr_key key = key_of(port, dgram->endpoint);
	struct lw_wire_header h;
	struct lw_tls *tls = NULL;
	int r;

	if (lw_wire_header_parse(lw_packet_data(dgram), dgram->len, &h) < 0)
		return;
	/* an earlier one of this batch, a copy of it most likely, may have begun the session */
	if (lw_hash_find(&s->by_addr, &key) != NULL)
		return;
	reply.minor = h.minor;
	r = lw_tls_listen(s->listener, dgram->endpoint, &io, &tls);
	count(s, LW_SRV_HELLOS, 1);
	if (reply.sent)
		count(s, LW_SRV_COOKIES_SENT, 1);
	if (r < 0)
		count(s, LW_SRV_HELLOS_BAD, 1);
	if (r == 1)
		begin_udp(s, port, tls, dgram, h.minor);
}

static void rekey(struct lw_sessions *s)
{
	uint8_t secret[LW_TLS_SECRET_SIZE];

	(void)lw_tls_listener_expire(s->listener, s->core->now_us);
	if (s->core->now_us < s->rekey_at_us)
		return;
	lw_random_take(&s->core->random, secret, sizeof(secret));
	if (lw_tls_listener_rekey(s->listener, secret, s->core->now_us) == 0)
		s->rekey_at_us = s->core->now_us + REKEY_US;
	explicit_bzero(secret, sizeof(secret));
}

static void after_dgrams(void *role, struct lw_port *port)
{
	struct lw_sessions *s = role;

	if (s->n_strangers == 0)
		return;
	rekey(s);
	for (uint32_t i = 0; i < s->n_strangers; i++)
		serve_stranger(s, port, s->strangers[i]);
	s->n_strangers = 0;
}

/* wire.md 1.5, step 7: 16 bytes for at least 16; never for a reject, or two servers would talk on
 */
static void send_reject(struct lw_sessions *s, struct lw_port *port, const struct lw_packet *dgram)
{
	const struct lw_wire_header h = { .session = LW_WIRE_ID_REJECTED,
		                          .major = LW_WIRE_MAJOR,
		                          .minor = LW_WIRE_MINOR_MIN };
	struct lw_packet *pkt = lw_batch_reserve(port->wire, LW_WIRE_HEADER_LEN);

	if (pkt == NULL)
		return;
	lw_wire_header_write(lw_packet_data(pkt), &h);
	*pkt->endpoint = *dgram->endpoint;
	pkt->endpoint->tos = 0;
	(void)lw_batch_commit(port->wire, LW_WIRE_HEADER_LEN);
	count(s, LW_SRV_REJECTS_SENT, 1);
}

/* wire.md 1.5, steps 1 to 7. Roaming finds its place where an id is known and the address is not.
 */
static struct lw_tunnel *by_dgram(void *role, struct lw_port *port, struct lw_packet *dgram)
{
	struct lw_sessions *s = role;
	struct addr_key key = key_of(port, dgram->endpoint);
	struct lw_hash_node *node = lw_hash_find(&s->by_addr, &key);
	struct lw_wire_header h;

	if (node != NULL)
		return lw_hash_owner(node, struct record, addr_node)->timed.tunnel;
	if (lw_wire_header_parse(lw_packet_data(dgram), dgram->len, &h) < 0) {
		lw_count(&s->core->path.sessions, LW_CTR_HEADER_BAD);
		return NULL;
	}
	if (s->closing) {
		count(s, LW_SRV_SESSIONS_LIMITED, 1);
		return NULL;
	}
	if (h.session == LW_WIRE_ID_EMPTY && !h.expresslane) {
		if (s->n_strangers < LW_STRANGERS_PER_BATCH)
			s->strangers[s->n_strangers++] = dgram;
		else
			count(s, LW_SRV_HELLOS_DROPPED, 1);
		return NULL;
	}
	count(s, LW_SRV_UNKNOWN_DATAGRAMS, 1);
	if (h.session != LW_WIRE_ID_REJECTED)
		send_reject(s, port, dgram);
	return NULL;
}

/* --- TCP --- */

static int accepted(void *role, struct lw_port *port, const struct lw_endpoint *ep)
{
	struct lw_sessions *s = role;
	struct lw_tls *tls;
	struct lw_tunnel *t;
	int r;

	if (!admit(s, &ep->remote))
		return -EBUSY;
	r = lw_tls_create(s->tls, LW_TLS_STREAM, 0, &tls);
	if (r == 0)
		r = open_session(s, port, tls, ep, STREAM_MINOR, &t);
	if (r < 0)
		return r;
	r = lw_core_bind(s->core, port, ep->tag, t);
	if (r < 0) {
		unlist(s, record_of(t));
		free(record_of(t));
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

	return lw_pool_owner(&s->pool, lw_ipv4_addr(lw_packet_data(p), LW_IPV4_DST));
}

/* --- events --- */

static void refuse(struct lw_sessions *s, struct lw_tunnel *t)
{
	const struct lw_auth_answer no = { .size = sizeof(no), .verdict = LW_AUTH_NO };
	struct lw_sink k = lw_path_sink(&s->core->path, t);

	(void)lw_tunnel_auth(t, &no, s->core->now_us, &k);
	lw_path_after(&s->core->path, t, &k);
}

static void on_auth_wanted(struct lw_sessions *s, struct lw_tunnel *t)
{
	struct lw_login *login = lw_tunnel_take_login(t);
	struct record *rec = record_of(t);

	if (login == NULL)
		return;
	count(s, LW_SRV_LOGINS, 1);
	rec->job = lw_auth_submit(&s->auth, login, &t->endpoint.remote, rec);
	if (rec->job == NULL)
		refuse(s, t);
}

/* The worker has the backends' answer. */
static void on_answer(void *arg, struct lw_auth_job *job)
{
	struct lw_sessions *s = arg;
	struct record *rec = job->session;
	struct lw_auth_answer answer = job->answer;
	struct lw_tunnel *t;

	lw_auth_done(job);
	if (rec == NULL)
		return;
	rec->job = NULL;
	t = rec->timed.tunnel;
	if (answer.verdict == LW_AUTH_YES && t->s.inside.family == 0) {
		uint32_t address = lw_pool_take(&s->pool, t);

		if (address == 0) {
			count(s, LW_SRV_POOL_EMPTY, 1);
			lw_log_write(LW_LOG_WARN, WHO, "no inside address is left, login refused");
			answer.verdict = LW_AUTH_NO;
		} else {
			t->s.inside = lw_addr_ipv4(address, 0);
		}
	}
	if (answer.verdict != LW_AUTH_YES)
		count(s, LW_SRV_LOGINS_REFUSED, 1);

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

	no_longer_pending(s, record_of(t));
	record_of(t)->online = true;
	set(&s->n_online, s->n_online + 1);
	lw_tls_info(t->tls, &info);
	lw_log_write(LW_LOG_INFO, WHO, "%llu online: user '%s' from %s %s, inside %s, %s %s",
	             (unsigned long long)t->s.serial, t->s.user, t->is_stream ? "tcp" : "udp",
	             lw_addr_format(&t->endpoint.remote, from),
	             lw_addr_format(&t->s.inside, inside), info.cipher, info.group);
}

static void on_closed(struct lw_sessions *s, struct lw_tunnel *t)
{
	const bool was_online = record_of(t)->online;
	const char *detail = t->reason == LW_CLOSE_HANDSHAKE ? lw_tls_error(t->tls) : "";
	char from[LW_ADDR_TEXT_MAX];

	unlist(s, record_of(t));
	if (t->s.inside.family != 0)
		lw_pool_give(&s->pool, lw_addr_u32(&t->s.inside));
	if (was_online)
		set(&s->n_online, s->n_online - 1);
	lw_log_write(was_online ? LW_LOG_INFO : LW_LOG_DEBUG, WHO,
	             "%llu closed: %s from %s: %s%s%s", (unsigned long long)t->s.serial,
	             was_online ? t->s.user : "peer", lw_addr_format(&t->endpoint.remote, from),
	             lw_close_reason_text(t->reason), *detail != '\0' ? ": " : "", detail);
}

static void on_event(void *role, struct lw_tunnel *t, const struct lw_event *e)
{
	switch (e->type) {
	case LW_EVENT_AUTH_WANTED:
		on_auth_wanted(role, t);
		break;
	case LW_EVENT_ONLINE:
		on_online(role, t);
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
	free(record_of(t));
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
	.by_dgram = by_dgram,
	.after_dgrams = after_dgrams,
	.event = on_event,
	.gone = gone,
	.accepted = accepted,
	.port_dead = port_dead,
};

/* --- life --- */

static int make_listener(struct lw_sessions *s, struct lw_err *err)
{
	uint8_t secret[LW_TLS_SECRET_SIZE];
	int r;

	lw_random_bytes(secret, sizeof(secret));
	r = lw_tls_listener_create(s->tls, secret, NULL, s->core->now_us, &s->listener, err);
	explicit_bzero(secret, sizeof(secret));
	s->rekey_at_us = s->core->now_us + REKEY_US;
	return r;
}

int lw_sessions_init(struct lw_sessions *s, struct lw_core *core, struct lw_tls_ctx *tls,
                     const struct lw_tunnel_conf *conf, const struct lw_server_limits *limits,
                     const struct lw_addr *pool, const struct lw_addr *reserved,
                     uint32_t n_reserved, struct lw_helpers *helpers, bool udp, struct lw_err *err)
{
	int r;

	s->core = core;
	s->tls = tls;
	s->conf = conf;
	lw_limits_init(&s->limits, limits, core->now_us);
	lw_auth_init(&s->auth, helpers, &core->mail, on_answer, s);
	core->path.ops = &role_ops;
	core->path.role = s;
	core->path.role_kind = LW_ROLE_SERVER;
	r = lw_pool_init(&s->pool, pool, reserved, n_reserved);
	if (r < 0)
		return lw_err_set(err, r, "cannot make the address pool: %s", strerror(-r));
	r = lw_hash_init(&s->by_addr, KEY_OFFSET(addr, addr_node), sizeof(struct addr_key));
	if (r == 0)
		r = lw_hash_init(&s->by_id, KEY_OFFSET(id, id_node), sizeof(uint64_t));
	if (r < 0)
		return lw_err_set(err, r, "out of memory");
	return udp ? make_listener(s, err) : 0;
}

void lw_sessions_fini(struct lw_sessions *s)
{
	lw_tls_listener_destroy(s->listener);
	lw_hash_fini(&s->by_addr);
	lw_hash_fini(&s->by_id);
	lw_pool_fini(&s->pool);
	lw_auth_fini(&s->auth);
}

void lw_sessions_close_all(struct lw_sessions *s)
{
	s->closing = true;
	for (size_t i = 0; i <= s->by_addr.mask; i++) {
		while (s->by_addr.slots[i] != NULL) {
			struct record *rec =
				lw_hash_owner(s->by_addr.slots[i], struct record, addr_node);

			lw_path_close(&s->core->path, rec->timed.tunnel, s->core->now_us);
			lw_path_flush(&s->core->path, s->core->now_us);
		}
	}
}

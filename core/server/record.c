/* SPDX-License-Identifier: MIT */
#include "server/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "server/steps.h"
#include "server/walk.h"
#include "wire/header.h"

/* a client that has heard nothing for so long has given up its login */
#define FORGOTTEN_US (30 * LW_US_PER_S)
/* content type of a DTLS record: RFC 9147, section 4 */
#define RECORD_HANDSHAKE 22

#define KEY_OFFSET(type, key, node)                                                                \
	((ptrdiff_t)offsetof(type, key) - (ptrdiff_t)offsetof(type, node))

int lw_record_tables(struct lw_sessions *s)
{
	int r = lw_hash_init(&s->by_addr, KEY_OFFSET(struct lw_record, addr, addr_node),
	                     sizeof(struct lw_record_key));

	if (r == 0)
		r = lw_hash_init(&s->by_id, KEY_OFFSET(struct lw_record_id, id, node),
		                 sizeof(uint64_t));
	return r;
}

static struct lw_record_key key_of(const struct lw_port *port, const struct lw_endpoint *ep)
{
	return (struct lw_record_key){ .remote = ep->remote, .port = port->index, .tag = ep->tag };
}

struct lw_record *lw_record_find(const struct lw_sessions *s, const struct lw_port *port,
                                 const struct lw_endpoint *ep)
{
	const struct lw_record_key key = key_of(port, ep);
	struct lw_hash_node *node = lw_hash_find(&s->by_addr, &key);

	return node != NULL ? lw_hash_owner(node, struct lw_record, addr_node) : NULL;
}

struct lw_record *lw_record_of_id(const struct lw_sessions *s, uint64_t id)
{
	struct lw_hash_node *node = lw_hash_find(&s->by_id, &id);

	return node != NULL ? lw_hash_owner(node, struct lw_record_id, node)->rec : NULL;
}

bool lw_record_is_at(const struct lw_record *rec, const struct lw_port *port,
                     const struct lw_endpoint *ep)
{
	const struct lw_record_key key = key_of(port, ep);

	return memcmp(&rec->addr, &key, sizeof(key)) == 0;
}

bool lw_record_forgotten(const struct lw_sessions *s, const struct lw_record *rec)
{
	const struct lw_tunnel *t = rec->timed.tunnel;

	return t->state == LW_TUNNEL_ONLINE &&
	       (rec->id_used || s->core->now_us - t->last_rx_us >= FORGOTTEN_US);
}

static bool is_plain_hello(const struct lw_packet *dgram, const struct lw_wire_header *h)
{
	return h->session == LW_WIRE_ID_EMPTY && !h->expresslane &&
	       dgram->len > LW_WIRE_HEADER_LEN &&
	       lw_packet_data(dgram)[LW_WIRE_HEADER_LEN] == RECORD_HANDSHAKE;
}

/*
 * The id comes first: an address may have been somebody else's before (a NAT hands them out again),
 * and a datagram under a wrong id would open nowhere. The address tells whose a datagram without an
 * id is, or with one that has ended, which comes late.
 */
struct lw_record *lw_record_of_dgram(const struct lw_sessions *s, const struct lw_port *port,
                                     const struct lw_packet *dgram, const struct lw_wire_header *h)
{
	struct lw_record *rec = lw_record_of_id(s, h->session);

	if (rec != NULL) {
		rec->id_used = true;
		return rec;
	}
	rec = lw_record_find(s, port, dgram->endpoint);
	if (rec != NULL && is_plain_hello(dgram, h) && lw_record_forgotten(s, rec))
		return NULL;
	return rec;
}

static void now_pending(struct lw_sessions *s, struct lw_record *rec)
{
	rec->pending = true;
	rec->began_us = s->core->now_us;
	rec->earlier = s->last_pending;
	*(rec->earlier != NULL ? &rec->earlier->later : &s->first_pending) = rec;
	s->last_pending = rec;
}

static void no_longer_pending(struct lw_sessions *s, struct lw_record *rec)
{
	if (!rec->pending)
		return;
	rec->pending = false;
	*(rec->earlier != NULL ? &rec->earlier->later : &s->first_pending) = rec->later;
	*(rec->later != NULL ? &rec->later->earlier : &s->last_pending) = rec->earlier;
	lw_limits_end(&s->limits, rec->bucket);
}

static uint64_t draw_id(struct lw_sessions *s)
{
	uint64_t id;

	do {
		lw_random_take(&s->core->random, &id, sizeof(id));
		id = (id & UINT64_MAX >> 8) | (uint64_t)s->worker << 56; /* byte 0 */
	} while (lw_wire_id_reserved(id) || lw_hash_find(&s->by_id, &id) != NULL);
	return id;
}

/* --- who has an address --- */

static void go_ahead_of(struct lw_sessions *s, struct lw_record *rec, struct lw_record *other)
{
	if (other != NULL) {
		lw_hash_remove(&s->by_addr, &other->addr_node);
		other->ahead = rec;
	}
	rec->behind = other;
	lw_hash_add(&s->by_addr, &rec->addr_node);
}

static void go_behind(struct lw_record *rec, struct lw_record *other)
{
	rec->ahead = other;
	rec->behind = other->behind;
	if (rec->behind != NULL)
		rec->behind->ahead = rec;
	other->behind = rec;
}

static void leave_address(struct lw_sessions *s, struct lw_record *rec)
{
	if (rec->behind != NULL)
		rec->behind->ahead = rec->ahead;
	if (rec->ahead != NULL) {
		rec->ahead->behind = rec->behind;
	} else {
		lw_hash_remove(&s->by_addr, &rec->addr_node);
		if (rec->behind != NULL)
			lw_hash_add(&s->by_addr, &rec->behind->addr_node);
	}
	rec->ahead = NULL;
	rec->behind = NULL;
}

void lw_record_move(struct lw_sessions *s, struct lw_record *rec, const struct lw_port *port,
                    const struct lw_endpoint *ep)
{
	struct lw_record *there = lw_record_find(s, port, ep);

	leave_address(s, rec);
	rec->addr = key_of(port, ep);
	rec->moved = true;
	/* who has not learned an id is found by the address alone */
	if (there != NULL && !there->id_used)
		go_behind(rec, there);
	else
		go_ahead_of(s, rec, there);
}

/* --- ids --- */

static void list_id(struct lw_sessions *s, struct lw_record *rec, struct lw_record_id *place,
                    uint64_t id)
{
	place->id = id;
	place->rec = rec;
	lw_hash_add(&s->by_id, &place->node);
}

uint64_t lw_record_rotate(struct lw_sessions *s, struct lw_record *rec)
{
	uint64_t old = rec->id.id;

	assert(!rec->rotating);
	lw_hash_remove(&s->by_id, &rec->id.node);
	list_id(s, rec, &rec->old_id, old);
	list_id(s, rec, &rec->id, draw_id(s));
	rec->rotating = true;
	lw_sessions_count(s, LW_SRV_ROTATIONS, 1);
	lw_sessions_set(&s->n_rotating, s->n_rotating + 1);
	return rec->id.id;
}

static void end_rotation(struct lw_sessions *s, struct lw_record *rec)
{
	if (!rec->rotating)
		return;
	rec->rotating = false;
	lw_hash_remove(&s->by_id, &rec->old_id.node);
	lw_sessions_set(&s->n_rotating, s->n_rotating - 1);
}

void lw_record_rotated(struct lw_sessions *s, struct lw_record *rec)
{
	end_rotation(s, rec);
	lw_sessions_count(s, LW_SRV_ROTATIONS_DONE, 1);
}

/* --- life --- */

static void append(struct lw_sessions *s, struct lw_record *rec)
{
	rec->prev = s->last;
	if (s->last != NULL)
		s->last->next = rec;
	else
		s->first = rec;
	s->last = rec;
}

static void take_out(struct lw_sessions *s, struct lw_record *rec)
{
	lw_walk_pass(s, rec);
	if (rec->prev != NULL)
		rec->prev->next = rec->next;
	else
		s->first = rec->next;
	if (rec->next != NULL)
		rec->next->prev = rec->prev;
	else
		s->last = rec->prev;
}

static void list(struct lw_sessions *s, struct lw_record *rec, struct lw_record *older, uint64_t id)
{
	rec->listed = true;
	append(s, rec);
	go_ahead_of(s, rec, older);
	if (!rec->timed.tunnel->is_stream)
		list_id(s, rec, &rec->id, id);
	lw_sessions_set(&s->n, s->n + 1);
	(void)__atomic_add_fetch(&s->common->n, 1, __ATOMIC_RELAXED);
}

int lw_record_open(struct lw_sessions *s, struct lw_port *port, struct lw_tls *tls,
                   const struct lw_endpoint *ep, uint8_t minor, struct lw_record *older,
                   struct lw_tunnel **ret)
{
	struct lw_tunnel_start start = { .tls = tls,
		                         .endpoint = *ep,
		                         .stream = port->tcp,
		                         .lends = s->common->steps != NULL,
		                         .minor = minor,
		                         .pool = &s->core->path.chunks,
		                         .lane = &s->core->path.lane,
		                         .counters = &s->core->path.sessions,
		                         .serial = s->serial += s->common->n_workers };
	struct lw_record *rec = calloc(1, sizeof(*rec));
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
	rec->bucket = lw_limits_begin(&s->limits, &ep->remote);
	now_pending(s, rec);
	list(s, rec, older, start.id);
	*ret = t;
	return 0;
}

void lw_record_unlist(struct lw_sessions *s, struct lw_record *rec)
{
	struct lw_tunnel *t = rec->timed.tunnel;

	if (!rec->listed)
		return;
	rec->listed = false;
	take_out(s, rec);
	leave_address(s, rec);
	end_rotation(s, rec);
	if (!t->is_stream)
		lw_hash_remove(&s->by_id, &rec->id.node);
	no_longer_pending(s, rec);
	lw_core_untimed(s->core, &rec->timed);
	if (rec->job != NULL)
		lw_auth_abandon(rec->job);
	rec->job = NULL;
	lw_steps_abandon(rec->lent);
	rec->lent = NULL;
	lw_sessions_set(&s->n, s->n - 1);
	(void)__atomic_sub_fetch(&s->common->n, 1, __ATOMIC_RELAXED);
}

void lw_record_arrived(struct lw_sessions *s, struct lw_record *rec)
{
	no_longer_pending(s, rec);
	rec->online = true;
}

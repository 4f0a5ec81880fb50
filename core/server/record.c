/* SPDX-License-Identifier: MIT */
#include "server/record.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "wire/header.h"

/* a client that has heard nothing for so long has given up its login */
#define FORGOTTEN_US (30 * LW_US_PER_S)
/* content type of a DTLS record: RFC 9147, section 4 */
#define RECORD_HANDSHAKE 22

#define KEY_OFFSET(key, node)                                                                      \
	((ptrdiff_t)offsetof(struct lw_record, key) - (ptrdiff_t)offsetof(struct lw_record, node))

int lw_record_tables(struct lw_sessions *s)
{
	int r = lw_hash_init(&s->by_addr, KEY_OFFSET(addr, addr_node),
	                     sizeof(struct lw_record_key));

	if (r == 0)
		r = lw_hash_init(&s->by_id, KEY_OFFSET(id, id_node), sizeof(uint64_t));
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

struct lw_record *lw_record_choose(const struct lw_sessions *s, struct lw_record *rec,
                                   const struct lw_packet *dgram)
{
	struct lw_wire_header h;

	if (lw_wire_header_parse(lw_packet_data(dgram), dgram->len, &h) < 0)
		return rec;
	if (rec->older != NULL && h.session == rec->older->id)
		return rec->older;
	if (is_plain_hello(dgram, &h) && lw_record_forgotten(s, rec))
		return NULL;
	rec->id_used |= h.session == rec->id;
	return rec;
}

static void no_longer_pending(struct lw_sessions *s, struct lw_record *rec)
{
	if (!rec->pending)
		return;
	rec->pending = false;
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

static void list(struct lw_sessions *s, struct lw_record *rec, struct lw_record *older)
{
	if (older != NULL) {
		lw_hash_remove(&s->by_addr, &older->addr_node);
		older->newer = rec;
	}
	rec->older = older;
	rec->listed = true;
	lw_hash_add(&s->by_addr, &rec->addr_node);
	if (!rec->timed.tunnel->is_stream)
		lw_hash_add(&s->by_id, &rec->id_node);
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
	rec->id = start.id;
	rec->bucket = lw_limits_begin(&s->limits, &ep->remote);
	rec->pending = true;
	list(s, rec, older);
	*ret = t;
	return 0;
}

void lw_record_unlist(struct lw_sessions *s, struct lw_record *rec)
{
	struct lw_tunnel *t = rec->timed.tunnel;

	if (!rec->listed)
		return;
	rec->listed = false;
	if (rec->newer != NULL) {
		rec->newer->older = NULL;
	} else {
		lw_hash_remove(&s->by_addr, &rec->addr_node);
		if (rec->older != NULL) {
			rec->older->newer = NULL;
			lw_hash_add(&s->by_addr, &rec->older->addr_node);
		}
	}
	rec->newer = NULL;
	rec->older = NULL;
	if (!t->is_stream)
		lw_hash_remove(&s->by_id, &rec->id_node);
	no_longer_pending(s, rec);
	lw_core_untimed(s->core, &rec->timed);
	if (rec->job != NULL)
		lw_auth_abandon(rec->job);
	rec->job = NULL;
	lw_sessions_set(&s->n, s->n - 1);
	(void)__atomic_sub_fetch(&s->common->n, 1, __ATOMIC_RELAXED);
}

void lw_record_arrived(struct lw_sessions *s, struct lw_record *rec)
{
	no_longer_pending(s, rec);
	rec->online = true;
}

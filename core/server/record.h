/* SPDX-License-Identifier: MIT */
/*
 * What the server knows of a session beside its tunnel, and the tables that find it. Only the files
 * of core/server that serve the worker include this.
 */
#ifndef LW_SERVER_RECORD_H
#define LW_SERVER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "server/sessions.h"

struct lw_wire_header;

/* where a peer is: all of it zeroed, for it is hashed and compared as bytes */
struct lw_record_key {
	struct lw_addr remote;
	uint32_t port;
	uint32_t tag;
};

/* an id that finds a session; it has two while a rotation is under way */
struct lw_record_id {
	struct lw_hash_node node;
	uint64_t id;
	struct lw_record *rec;
};

/*
 * A peer may begin anew on the address of a session that it no longer knows, and one that moves may
 * come to the address that another had. Then one of them has the address, which matters to
 * datagrams without a known id, and the others stand behind it and are found by their ids only.
 */
struct lw_record {
	struct lw_timed timed; /* first */
	struct lw_hash_node addr_node;
	struct lw_record_key addr;
	struct lw_record_id id;     /* sent to the peer; UDP only, as the other */
	struct lw_record_id old_id; /* listed while rotating */
	uint32_t bucket;            /* of the limits, while pending */
	uint64_t began_us;
	struct lw_record *earlier; /* of those that are pending */
	struct lw_record *later;
	bool pending; /* not yet online */
	bool online;
	bool listed;   /* in the tables */
	bool rotating; /* the peer may still use the old id */
	bool moved;    /* it did not begin on its address */
	bool id_used;  /* the peer has learned its id: it never sends the empty one again */
	struct lw_auth_job *job; /* its login, on its way */
	struct lw_record *next;  /* began after it */
	struct lw_record *prev;
	struct lw_lent *lent;    /* its TLS object, with a helper */
	struct lw_record *ahead; /* at the same address */
	struct lw_record *behind;
};

/* lw_record_tables() - make the tables empty; 0 or -ENOMEM */
int lw_record_tables(struct lw_sessions *s);

static inline struct lw_record *lw_record_of(const struct lw_tunnel *t)
{
	return t->owner;
}

/* lw_record_find() - the session that has a peer's address, or NULL */
struct lw_record *lw_record_find(const struct lw_sessions *s, const struct lw_port *port,
                                 const struct lw_endpoint *ep);

/* lw_record_of_id() - the session of an id, present or old, wherever its peer is, or NULL */
struct lw_record *lw_record_of_id(const struct lw_sessions *s, uint64_t id);

/* lw_record_of_dgram() - the session of a datagram, by its id or else by its address; NULL: it has
 * none, or begins one. @h: its header */
struct lw_record *lw_record_of_dgram(const struct lw_sessions *s, const struct lw_port *port,
                                     const struct lw_packet *dgram, const struct lw_wire_header *h);

/* lw_record_is_at() - is this where its peer was last? */
bool lw_record_is_at(const struct lw_record *rec, const struct lw_port *port,
                     const struct lw_endpoint *ep);

/**
 * lw_record_forgotten() - would the peer of this session never send a hello from its address again?
 *
 * A client that has adopted the id of its session puts it into all it sends (wire.md 6.1), and one
 * that is silent for so long has given up its login. A hello then comes from one that has forgotten
 * the session, or that got the address from a NAT after it.
 */
bool lw_record_forgotten(const struct lw_sessions *s, const struct lw_record *rec);

/**
 * lw_record_open() - a session, in the tables; the limits have been asked
 *
 * @tls:   taken, also on failure
 * @older: the session that has the address, NULL: none; it stands behind this one from now on
 *
 * Return: 0 or -ENOMEM.
 */
int lw_record_open(struct lw_sessions *s, struct lw_port *port, struct lw_tls *tls,
                   const struct lw_endpoint *ep, uint8_t minor, struct lw_record *older,
                   struct lw_tunnel **ret);

/* lw_record_move() - its peer is there from now on, which nobody else loses anything by */
void lw_record_move(struct lw_sessions *s, struct lw_record *rec, const struct lw_port *port,
                    const struct lw_endpoint *ep);

/* lw_record_rotate() - another id finds it too, which this returns; only while it is not rotating
 */
uint64_t lw_record_rotate(struct lw_sessions *s, struct lw_record *rec);

/* lw_record_rotated() - its old id finds it no longer */
void lw_record_rotated(struct lw_sessions *s, struct lw_record *rec);

/* lw_record_unlist() - out of the tables and timers, its login is no longer waited for; the record
 * itself is freed with its tunnel */
void lw_record_unlist(struct lw_sessions *s, struct lw_record *rec);

/* lw_record_arrived() - it is online, and no longer on its way */
void lw_record_arrived(struct lw_sessions *s, struct lw_record *rec);

#endif

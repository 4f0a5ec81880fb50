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

/* where a peer is: all of it zeroed, for it is hashed and compared as bytes */
struct lw_record_key {
	struct lw_addr remote;
	uint32_t port;
	uint32_t tag;
};

/*
 * A peer may begin anew on the address of a session that it no longer knows. Then the older one is
 * found by its id only, until one of them ends or the newer one is let in.
 */
struct lw_record {
	struct lw_timed timed; /* first */
	struct lw_hash_node addr_node;
	struct lw_hash_node id_node;
	struct lw_record_key addr;
	uint64_t id;
	uint32_t bucket; /* of the limits, while pending */
	bool pending;    /* not yet online */
	bool online;
	bool listed;  /* in the tables */
	bool id_used; /* the peer has learned its id: it never sends the empty one again */
	struct lw_auth_job *job; /* its login, on its way */
	struct lw_record *older;
	struct lw_record *newer;
};

/* lw_record_tables() - make the tables empty; 0 or -ENOMEM */
int lw_record_tables(struct lw_sessions *s);

static inline struct lw_record *lw_record_of(const struct lw_tunnel *t)
{
	return t->owner;
}

/* lw_record_find() - the session of a peer's address, of two the newer one, or NULL */
struct lw_record *lw_record_find(const struct lw_sessions *s, const struct lw_port *port,
                                 const struct lw_endpoint *ep);

/* lw_record_choose() - of the sessions that an address has, the one that a datagram is for, given
 * what lw_record_find() found; NULL: a new one */
struct lw_record *lw_record_choose(const struct lw_sessions *s, struct lw_record *rec,
                                   const struct lw_packet *dgram);

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
 * @older: the session that the address has already, NULL: none
 *
 * Return: 0 or -ENOMEM.
 */
int lw_record_open(struct lw_sessions *s, struct lw_port *port, struct lw_tls *tls,
                   const struct lw_endpoint *ep, uint8_t minor, struct lw_record *older,
                   struct lw_tunnel **ret);

/* lw_record_unlist() - out of the tables and timers, its login is no longer waited for; the record
 * itself is freed with its tunnel */
void lw_record_unlist(struct lw_sessions *s, struct lw_record *rec);

/* lw_record_arrived() - it is online, and no longer on its way */
void lw_record_arrived(struct lw_sessions *s, struct lw_record *rec);

#endif

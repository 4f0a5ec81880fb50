/* SPDX-License-Identifier: MIT */
/*
 * Two passes over a batch. The first links each packet to the one that it continues; the second
 * makes superpackets of these chains. A superpacket takes the place of its first packet, so a flow
 * stays in order as long as nothing is appended after something of the flow was not.
 */
#include "packet/coalesce.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/ipv4.h"

#define FLOWS_BITS 8
#define FLOWS      (1u << FLOWS_BITS)
#define PROBES     16u /* a batch with more flows than fit merges less, and takes no longer */

#define KEY_WORDS 6

/*
 * What packets of one flow have in common: addresses, ports and protocol, session. Whole words: to
 * write it byte by byte and read it word by word would stall the processor (11 ns a packet).
 */
struct key {
	uint64_t word[KEY_WORDS];
};

/*
 * A flow of this batch, and the chain of packets that can still grow
 *
 * epoch: the entry is free when this is not the coalescer's
 * first: index of the chain's first packet, last: of its last
 * count: packets in it
 * total: bytes of the superpacket so far
 * seq:   TCP: what comes next
 */
struct flow {
	struct key key;
	uint64_t epoch;
	uint32_t first;
	uint32_t last;
	uint32_t count;
	uint32_t total;
	uint32_t seq;
	bool open;
};

/* of each packet: the next of its chain, 0: none; whether it is not the first */
struct link {
	uint32_t next;
	bool joined;
};

/*
 * hash_key: secret, for peers choose ports and must not choose which flows collide
 * link:     of each packet of the batch
 * iov:      for the second pass
 * bad_sums: packets of the last batch that were left alone since a checksum is wrong
 */
struct lw_coalesce {
	uint64_t epoch;
	uint64_t hash_key[KEY_WORDS];
	uint32_t packets;
	uint32_t max_segs;
	uint32_t max_bytes;
	uint32_t n_iov;
	uint32_t bad_sums;
	struct link *link;
	struct iovec *iov;
	struct flow flows[FLOWS];
};

static uint32_t limit(uint32_t asked, uint32_t usual, uint32_t most)
{
	if (asked == 0)
		return usual;
	return asked < most ? asked : most;
}

int lw_coalesce_create(const struct lw_coalesce_conf *conf, struct lw_coalesce **ret)
{
	size_t per_packet = sizeof(struct link) + sizeof(struct iovec);
	struct lw_coalesce *c = calloc(1, sizeof(*c) + conf->packets * per_packet);

	if (c == NULL)
		return -ENOMEM;
	c->packets = conf->packets;
	c->max_segs = limit(conf->max_segs, LW_COALESCE_SEGS, LW_COALESCE_SEGS_MAX);
	c->max_bytes = limit(conf->max_bytes, LW_COALESCE_BYTES_MAX, LW_COALESCE_BYTES_MAX);
	c->iov = (struct iovec *)(c + 1);
	c->link = (struct link *)(c->iov + c->packets);
	lw_random_bytes(c->hash_key, sizeof(c->hash_key));
	*ret = c;
	return 0;
}

void lw_coalesce_destroy(struct lw_coalesce *c)
{
	free(c);
}

/* --- flows --- */

static struct key key_of(const struct lw_packet *p, const struct lw_headers *h)
{
	const uint8_t *data = lw_packet_data(p);
	struct key k = { { 0 } };

	if (h->version == 4)
		memcpy(&k.word[0], data + LW_IPV4_SRC, 8);
	else
		memcpy(&k.word[0], data + LW_IPV6_SRC, 32);
	k.word[4] = (uint64_t)lw_load32(data + h->l4) << 32 | (uint32_t)h->proto << 8 | h->version;
	k.word[5] = (uintptr_t)p->session;
	return k;
}

static bool same_key(const struct key *a, const struct key *b)
{
	uint64_t differ = 0;

	for (size_t i = 0; i < KEY_WORDS; i++)
		differ |= a->word[i] ^ b->word[i];
	return differ == 0;
}

/* multilinear: with keys that nobody knows, two flows collide as rarely as by chance */
static uint32_t hash_of(const struct lw_coalesce *c, const struct key *k)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < KEY_WORDS; i++)
		sum += c->hash_key[i] * k->word[i];
	return (uint32_t)(sum >> (64 - FLOWS_BITS));
}

/* the flow's entry, or a free one for it; NULL: no room */
static struct flow *find_flow(struct lw_coalesce *c, const struct key *k)
{
	uint32_t at = hash_of(c, k);

	for (uint32_t i = 0; i < PROBES; i++) {
		struct flow *f = &c->flows[(at + i) % FLOWS];

		if (f->epoch != c->epoch || same_key(&f->key, k))
			return f;
	}
	return NULL;
}

static void forget_flows(struct lw_coalesce *c)
{
	c->epoch++;
}

static bool is_open(const struct lw_coalesce *c, const struct flow *f)
{
	return f->epoch == c->epoch && f->open;
}

/* --- which packets may be merged at all (offload.md 3.1) --- */

static uint8_t type_of(const struct lw_headers *h)
{
	if (h->proto == IPPROTO_UDP)
		return LW_GSO_UDP;
	return h->version == 4 ? LW_GSO_TCP4 : LW_GSO_TCP6;
}

/* whether the packet can be told to belong to this flow or that one, or to none of TCP or UDP */
static bool is_readable(const struct lw_packet *p, struct lw_headers *h)
{
	if ((p->flags & LW_PKT_ENCODED) != 0 || p->n_more > 0)
		return false;
	if (lw_headers_parse(lw_packet_data(p), p->len, h) < 0 || h->fragment)
		return false;
	return h->hl > 0 || (h->proto != IPPROTO_TCP && h->proto != IPPROTO_UDP);
}

static bool is_mergeable_tcp(const uint8_t *tcp)
{
	uint8_t flags = tcp[LW_TCP_FLAGS] & (uint8_t) ~(LW_TCP_PSH | LW_TCP_FIN | LW_TCP_ECE);

	return flags == LW_TCP_ACK && (tcp[LW_TCP_OFFSET] & 0x0f) == 0;
}

static bool is_mergeable_udp(const uint8_t *udp, uint32_t len)
{
	return lw_load16(udp + LW_UDP_CHECK) != 0 && lw_load16(udp + LW_UDP_LEN) == len;
}

/* the addresses lie directly in front of the transport header, so that one pass sums both */
static bool has_right_checksums(const struct lw_packet *p, const struct lw_headers *h)
{
	const uint8_t *data = lw_packet_data(p);
	uint32_t from = h->version == 4 ? LW_IPV4_SRC : LW_IPV6_SRC;
	uint32_t total;

	if (h->version == 4 && lw_csum_sum(data, LW_IPV4_HEADER_MIN) != 0xffff)
		return false;
	if ((p->flags & LW_PKT_CSUM_GOOD) != 0)
		return true;
	total = h->proto + h->total - h->l4 + lw_csum_sum(data + from, h->total - from);
	return lw_csum_fold(total) == 0xffff;
}

/* but for its checksums, which are verified last: it is the longest look */
static bool is_mergeable(const struct lw_packet *p, const struct lw_headers *h, uint32_t types)
{
	const uint8_t *l4 = lw_packet_data(p) + h->l4;
	uint32_t ip = h->version == 4 ? LW_IPV4_HEADER_MIN : LW_IPV6_HEADER;

	if (p->gso_size > 0 || p->gso_type != LW_GSO_NONE || (p->flags & LW_PKT_CSUM_PARTIAL) != 0)
		return false;
	if ((types & (1u << type_of(h))) == 0)
		return false;
	if (h->total != p->len || h->l4 != ip || h->total == h->hl)
		return false;
	return h->proto == IPPROTO_TCP ? is_mergeable_tcp(l4)
	                               : is_mergeable_udp(l4, h->total - h->l4);
}

/* --- which packet may follow which (offload.md 3.2, 3.3) --- */

/* all but total length, identification and checksum; addresses are the flow's. Where fragments are
 * impossible the identification says nothing, elsewhere segmenting must give the same one */
static bool continues_ipv4(const uint8_t *first, const uint8_t *p, uint32_t count)
{
	if (memcmp(first, p, 2) != 0 || memcmp(first + 6, p + 6, 4) != 0)
		return false;
	if ((lw_load16(p + LW_IPV4_FRAGMENT) & LW_IPV4_DF) != 0)
		return true;
	return (uint16_t)(lw_load16(first + LW_IPV4_ID) + count) == lw_load16(p + LW_IPV4_ID);
}

/* all but the payload length */
static bool continues_ipv6(const uint8_t *first, const uint8_t *p)
{
	return memcmp(first, p, 4) == 0 && memcmp(first + 6, p + 6, 2) == 0;
}

/* all but sequence number, PSH, FIN and checksum */
static bool continues_tcp(const uint8_t *first, const uint8_t *p, size_t len)
{
	uint8_t flags = first[LW_TCP_FLAGS] ^ p[LW_TCP_FLAGS];

	return memcmp(first + 8, p + 8, 5) == 0 && (flags & ~(LW_TCP_PSH | LW_TCP_FIN)) == 0 &&
	       memcmp(first + 14, p + 14, 2) == 0 && memcmp(first + 18, p + 18, len - 18) == 0;
}

static bool continues(const struct flow *f, const struct lw_packet *first,
                      const struct lw_packet *p, const struct lw_headers *h)
{
	const uint8_t *a = lw_packet_data(first);
	const uint8_t *b = lw_packet_data(p);

	if (h->version == 4 ? !continues_ipv4(a, b, f->count) : !continues_ipv6(a, b))
		return false;
	if (h->proto == IPPROTO_UDP)
		return true;
	return lw_load32(b + h->l4 + LW_TCP_SEQ) == f->seq &&
	       continues_tcp(a + h->l4, b + h->l4, (size_t)(h->hl - h->l4));
}

static bool fits(const struct lw_coalesce *c, const struct flow *f, const struct lw_packet *first,
                 const struct lw_headers *h)
{
	uint32_t payload = h->total - h->hl;

	return payload <= first->len - first->hdr_len && f->total <= c->max_bytes &&
	       payload <= c->max_bytes - f->total;
}

/* PSH and FIN of TCP, which are for the end of a superpacket */
static uint8_t end_flags(const struct lw_packet *p)
{
	const uint8_t *tcp = lw_packet_data(p) + p->l4_off;

	return tcp[LW_TCP_FLAGS] & (LW_TCP_PSH | LW_TCP_FIN);
}

static bool is_end(const struct lw_packet *p, const struct lw_headers *h)
{
	return h->proto == IPPROTO_TCP && end_flags(p) != 0;
}

static uint32_t max_segs(const struct lw_coalesce *c, const struct lw_headers *h)
{
	if (h->proto == IPPROTO_UDP && c->max_segs > LW_COALESCE_UDP_SEGS)
		return LW_COALESCE_UDP_SEGS;
	return c->max_segs;
}

/* --- first pass --- */

static void append(struct lw_coalesce *c, struct flow *f, const struct lw_batch *b, uint32_t i,
                   const struct lw_headers *h)
{
	const struct lw_packet *first = &b->pkt[f->first];
	uint32_t payload = h->total - h->hl;

	c->link[f->last].next = i;
	c->link[i].joined = true;
	f->last = i;
	f->count++;
	f->total += payload;
	f->seq += payload;
	f->open = payload == first->len - first->hdr_len && !is_end(&b->pkt[i], h) &&
	          f->count < max_segs(c, h);
}

static void begin(struct lw_coalesce *c, struct flow *f, const struct key *k,
                  const struct lw_packet *p, uint32_t i, const struct lw_headers *h)
{
	f->key = *k;
	f->epoch = c->epoch;
	f->first = i;
	f->last = i;
	f->count = 1;
	f->total = h->total;
	if (h->proto == IPPROTO_TCP)
		f->seq = lw_load32(lw_packet_data(p) + h->l4 + LW_TCP_SEQ) + h->total - h->hl;
	f->open = !is_end(p, h) && max_segs(c, h) > 1;
}

static void look_at(struct lw_coalesce *c, struct lw_batch *b, uint32_t i, uint32_t types)
{
	struct lw_packet *p = &b->pkt[i];
	struct lw_headers h;
	struct flow *f;
	struct key k;

	if (!is_readable(p, &h)) {
		forget_flows(c); /* it may be of any: nothing overtakes it */
		return;
	}
	if (h.hl == 0)
		return;
	p->l4_off = h.l4;
	p->hdr_len = h.hl;
	k = key_of(p, &h);
	f = find_flow(c, &k);
	if (f == NULL)
		return;
	if (!is_mergeable(p, &h, types)) {
		f->open = false;
		return;
	}
	if (!has_right_checksums(p, &h)) {
		c->bad_sums++;
		f->open = false;
		return;
	}
	if (is_open(c, f) && fits(c, f, &b->pkt[f->first], &h) &&
	    continues(f, &b->pkt[f->first], p, &h))
		append(c, f, b, i, &h);
	else
		begin(c, f, &k, p, i, &h);
}

/* --- second pass --- */

/* what of the first packet's header is written over; kept in core[0] */
struct saved {
	uint16_t ip_len;
	uint16_t ip_check; /* IPv4 */
	uint16_t l4_check;
	uint16_t other; /* TCP: the word with the flags, UDP: length */
};
static_assert(sizeof(struct saved) == sizeof(uint64_t), "it fits core[0]");

static bool is_ipv4(const uint8_t *ip)
{
	return ip[0] >> 4 == 4;
}

static size_t ip_len_at(const uint8_t *ip)
{
	return is_ipv4(ip) ? LW_IPV4_TOTAL : LW_IPV6_PAYLOAD;
}

static size_t other_at(const struct lw_packet *p)
{
	return p->gso_type == LW_GSO_UDP ? LW_UDP_LEN : LW_TCP_OFFSET;
}

static void save_header(struct lw_packet *p)
{
	const uint8_t *ip = lw_packet_data(p);
	const uint8_t *l4 = ip + p->l4_off;
	struct saved s = {
		.ip_len = lw_load16(ip + ip_len_at(ip)),
		.ip_check = is_ipv4(ip) ? lw_load16(ip + LW_IPV4_CHECK) : 0,
		.l4_check = lw_load16(l4 + p->csum_off),
		.other = lw_load16(l4 + other_at(p)),
	};

	memcpy(&p->core[0], &s, sizeof(s));
}

static void restore_header(const struct lw_packet *p)
{
	uint8_t *ip = lw_packet_data(p);
	uint8_t *l4 = ip + p->l4_off;
	struct saved s;

	memcpy(&s, &p->core[0], sizeof(s));
	lw_store16(ip + ip_len_at(ip), s.ip_len);
	if (is_ipv4(ip))
		lw_store16(ip + LW_IPV4_CHECK, s.ip_check);
	lw_store16(l4 + p->csum_off, s.l4_check);
	lw_store16(l4 + other_at(p), s.other);
}

/* the header for all bytes (offload.md 3.4) */
static void write_header(const struct lw_packet *p, const struct lw_headers *h,
                         const struct lw_packet *last)
{
	uint8_t *ip = lw_packet_data(p);
	uint8_t *l4 = ip + h->l4;
	uint32_t total = p->len + p->more_len;
	uint32_t len = total - h->l4;

	if (h->version == 4) {
		lw_store16(ip + LW_IPV4_TOTAL, (uint16_t)total);
		lw_store16(ip + LW_IPV4_CHECK, 0);
		lw_store16(ip + LW_IPV4_CHECK, (uint16_t)~lw_csum_sum(ip, LW_IPV4_HEADER_MIN));
	} else {
		lw_store16(ip + LW_IPV6_PAYLOAD, (uint16_t)(total - LW_IPV6_HEADER));
	}
	if (h->proto == IPPROTO_TCP)
		l4[LW_TCP_FLAGS] |= end_flags(last);
	else
		lw_store16(l4 + LW_UDP_LEN, (uint16_t)len);
	lw_store16(l4 + p->csum_off, lw_csum_fold(lw_headers_pseudo_sum(ip, h) + len));
}

static void make_super(struct lw_packet *p, const struct lw_packet *last)
{
	struct lw_headers h;

	(void)lw_headers_parse(lw_packet_data(p), p->len, &h); /* as in the first pass */
	p->gso_size = (uint16_t)(p->len - h.hl);
	p->gso_type = type_of(&h);
	p->csum_start = h.l4;
	p->csum_off = lw_headers_check_at(&h);
	p->flags &= (uint16_t)~LW_PKT_CSUM_GOOD;
	p->flags |= LW_PKT_CSUM_PARTIAL;
	save_header(p);
	write_header(p, &h, last);
}

/* the payloads of the chain that begins at i */
static void gather(struct lw_coalesce *c, const struct lw_batch *b, uint32_t i)
{
	struct lw_packet *p = &b->pkt[i];
	const struct lw_packet *last = p;

	p->more = &c->iov[c->n_iov];
	for (i = c->link[i].next; i != 0; i = c->link[i].next) {
		last = &b->pkt[i];
		p->more[p->n_more++] = (struct iovec){
			.iov_base = lw_packet_data(last) + last->hdr_len,
			.iov_len = last->len - last->hdr_len,
		};
		p->more_len += last->len - last->hdr_len;
	}
	c->n_iov += p->n_more;
	make_super(p, last);
}

void lw_coalesce_batch(struct lw_coalesce *c, struct lw_batch *b, uint32_t types)
{
	uint32_t kept = 0;

	assert(b->n <= c->packets);
	forget_flows(c);
	c->n_iov = 0;
	c->bad_sums = 0;
	memset(c->link, 0, b->n * sizeof(*c->link));
	for (uint32_t i = 0; i < b->n; i++)
		look_at(c, b, i, types);
	for (uint32_t i = 0; i < b->n; i++) {
		if (c->link[i].joined)
			continue;
		if (c->link[i].next != 0)
			gather(c, b, i);
		if (kept < i)
			b->pkt[kept] = b->pkt[i]; /* all of the chains of those before are used */
		kept++;
	}
	b->n = kept;
}

uint32_t lw_coalesce_bad_sums(const struct lw_coalesce *c)
{
	return c->bad_sums;
}

/* --- and back --- */

int lw_coalesce_undo(const struct lw_packet *p, struct lw_batch *ret)
{
	struct lw_packet single = *p;

	if (p->n_more >= ret->cap - ret->n)
		return -ENOSPC;
	if (p->n_more > 0) {
		restore_header(p);
		single.flags &= (uint16_t)~LW_PKT_CSUM_PARTIAL;
		single.gso_type = LW_GSO_NONE;
		single.gso_size = single.csum_start = single.csum_off = 0;
		single.more = NULL;
		single.more_len = single.n_more = 0;
		single.core[0] = 0;
	}
	ret->pkt[ret->n++] = single;
	for (uint32_t i = 0; i < p->n_more; i++) {
		single.buf = (uint8_t *)p->more[i].iov_base - p->hdr_len;
		single.off = 0;
		single.len = single.cap = p->hdr_len + (uint32_t)p->more[i].iov_len;
		ret->pkt[ret->n++] = single;
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "ref/packet_stream.h"

static bool one_in(uint64_t *seed, uint32_t n)
{
	return ref_below(seed, n) == 0;
}

struct ref_packet ref_stream_flow(uint64_t *seed, const struct ref_packet *kind, uint8_t number)
{
	static const uint16_t sizes[] = { 1, 50, 536, 1348 };
	struct ref_packet p = *kind;

	p.flow = number;
	p.seq = (uint32_t)ref_random(seed);
	p.id = (uint16_t)ref_random(seed);
	p.fragment = one_in(seed, 2) ? 0x4000 : 0;
	p.stamp = one_in(seed, 2) ? (uint32_t)ref_random(seed) : 0;
	p.payload = sizes[ref_below(seed, 4)];
	return p;
}

static const struct ref_packet *draw_kind(const struct ref_stream *s, uint64_t *seed)
{
	const struct ref_packet *kind;

	do
		kind = coalesce_kinds[ref_below(seed, COALESCE_KINDS)];
	while (kind->udp ? !s->udp : !s->tcp);
	return kind;
}

/* something about this packet only */
static void draw_oddity(uint64_t *seed, struct ref_packet *p)
{
	switch (ref_below(seed, 10)) {
	case 0:
		p->payload = ref_below(seed, p->payload + 1);
		break;
	case 1:
		p->payload += 1 + ref_below(seed, 9);
		break;
	case 2:
		p->flags |= 0x08;
		break;
	case 3:
		p->flags |= 0x01;
		break;
	case 4:
		p->flags = (uint8_t)ref_random(seed);
		break;
	case 5:
		p->seq += 1 + ref_below(seed, 2000);
		break;
	case 6:
		p->id = (uint16_t)ref_random(seed);
		break;
	case 7:
		p->tos ^= 3;
		break;
	case 8:
		p->fragment = one_in(seed, 4) ? 0x2000 : 0;
		break;
	default:
		p->window++;
		break;
	}
}

/* something that lasts */
static void draw_change(uint64_t *seed, struct ref_packet *p)
{
	switch (ref_below(seed, 5)) {
	case 0:
		p->ttl = (uint8_t)(2 + ref_below(seed, 254));
		break;
	case 1:
		p->ack += 100;
		break;
	case 2:
		p->stamp += p->stamp != 0;
		break;
	case 3:
		p->tos ^= 1;
		break;
	default:
		p->window++;
		break;
	}
}

static void damage(const struct ref_stream *s, uint64_t *seed, struct coalesce_in *in,
                   struct lw_packet *p)
{
	uint32_t from = !s->forwardable ? 0 : in->block[0] >> 4 == 4 ? 20 : 40;
	uint32_t at = from + ref_below(seed, in->len - from);
	uint8_t flip = (uint8_t)(1u << ref_below(seed, 8));

	if (!s->forwardable && one_in(seed, 6)) {
		p->len = in->len = at;
		return;
	}
	in->block[at] ^= flip;
	in->before[at] ^= flip;
}

static void exchange(struct coalesce_case *t, uint32_t a, uint32_t b)
{
	struct coalesce_in in = t->in[a];
	struct lw_packet p = t->pkt[a];

	t->in[a] = t->in[b];
	t->pkt[a] = t->pkt[b];
	t->in[b] = in;
	t->pkt[b] = p;
}

static void go_on(struct ref_packet *flow, uint32_t sent)
{
	flow->seq += sent < flow->payload ? sent : flow->payload;
	flow->id++;
	flow->pattern++;
}

void ref_stream_fill(const struct ref_stream *s, uint64_t *seed, struct coalesce_case *t)
{
	struct ref_packet flows[REF_STREAM_FLOWS] = { { 0 } };
	uint32_t at = 0;

	for (uint32_t i = 0; i < s->flows; i++)
		flows[i] = ref_stream_flow(seed, draw_kind(s, seed), (uint8_t)i);
	for (uint32_t i = 0; i < s->packets; i++) {
		struct ref_packet p;

		if (one_in(seed, 4))
			at = ref_below(seed, s->flows);
		if (one_in(seed, s->trouble))
			draw_change(seed, &flows[at]);
		p = flows[at];
		if (one_in(seed, s->trouble))
			draw_oddity(seed, &p);
		(void)coalesce_make(t, &p);
		if (!one_in(seed, s->trouble)) /* else the next is a duplicate */
			go_on(&flows[at], p.payload);
		if (one_in(seed, s->trouble))
			damage(s, seed, &t->in[i], &t->pkt[i]);
		if (i > 0 && one_in(seed, s->trouble))
			exchange(t, i - 1, i);
	}
}

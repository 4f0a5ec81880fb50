/* SPDX-License-Identifier: MIT */
#include "session/burst.h"

#include "packet/bytes.h"
#include "packet/headers.h"
#include "packet/ipv4.h"

#define SECOND 1000000ull

/* a share of loss is that of so long and so many bytes; what takes longer is too slow to matter */
#define EPOCH_US     (SECOND / 2)
#define EPOCH_BYTES  (4u << 20)
#define EPOCH_MAX_US (5 * SECOND)
/* epochs that must agree before something is done, and those of a trial */
#define EPOCHS 2u
/* of a million bytes: with less lost there is nothing to gain */
#define LOSSY 1000u
/* first pause between trials; it doubles with each that gained nothing */
#define WAIT_US     (5 * SECOND)
#define WAIT_MAX_US (160 * SECOND)
/* the rate is that of so long; it rises by half of the difference, and falls by a quarter */
#define RATE_US 20000u
/* at which what follows leaves, in percent of what comes: 125 leave a fifth of it to the buffer of
 * the path, more would leave more, less would let too much wait here */
#define RATE_PERCENT 125u
/* bytes per ms, until more is known: 4 Mbit/s */
#define RATE_MIN 500u
/* a sequence number farther away than this is another connection's, or a lie */
#define WINDOW_MAX (16u << 20)

#define LW_TCP_SYN 0x02

void lw_burst_init(struct lw_burst *b, uint32_t datagrams)
{
	bool fixed = datagrams > 0;

	*b = (struct lw_burst){ .limit = fixed && datagrams < LW_BURST_MAX ? datagrams
		                                                           : LW_BURST_MAX,
		                .fixed = fixed,
		                .less_wait = WAIT_US,
		                .more_wait = WAIT_US };
}

/* --- what the inside TCP streams tell --- */

struct tcp {
	uint32_t id;
	uint32_t seq;
	uint32_t len;
	bool syn;
};

static uint32_t mix(uint32_t a, uint32_t b)
{
	return (uint32_t)(((uint64_t)(a ^ b) * 0x9e3779b97f4a7c15u) >> 32);
}

static uint32_t id_of(const uint8_t *p, const struct lw_headers *h)
{
	uint32_t at = h->version == 4 ? LW_IPV4_SRC : LW_IPV6_SRC;
	uint32_t end = at + (h->version == 4 ? 8u : 32u);
	uint32_t id = mix(lw_load32(p + h->l4), 1);

	for (; at < end; at += 4)
		id = mix(id, lw_load32(p + at));
	return id != 0 ? id : 1;
}

static bool parse_tcp(const struct lw_packet *pkt, struct tcp *ret)
{
	const uint8_t *p = lw_packet_data(pkt);
	struct lw_headers h;

	if (lw_headers_parse(p, pkt->len, &h) < 0 || h.proto != IPPROTO_TCP || h.hl == 0)
		return false;
	ret->len = h.total - h.hl;
	ret->syn = (p[h.l4 + LW_TCP_FLAGS] & LW_TCP_SYN) != 0;
	if (ret->len == 0 || ret->syn)
		return false;
	ret->seq = lw_load32(p + h.l4 + LW_TCP_SEQ);
	ret->id = id_of(p, &h);
	return true;
}

/* Its place, taken from one that has become silent; NULL: others have it. */
static struct lw_burst_flow *flow_of(struct lw_burst *b, const struct tcp *tcp)
{
	struct lw_burst_flow *f = &b->flows[tcp->id % LW_BURST_FLOWS];

	if (f->id != tcp->id && f->id != 0 && b->epoch - f->epoch < EPOCHS)
		return NULL;
	if (f->id != tcp->id)
		*f = (struct lw_burst_flow){ .id = tcp->id, .next = tcp->seq };
	f->epoch = b->epoch;
	return f;
}

/* How many bytes of this were sent before; what never came here before was not lost behind us. */
static uint32_t again(struct lw_burst_flow *f, const struct tcp *tcp)
{
	uint32_t ahead = tcp->seq - f->next;
	uint32_t behind = f->next - tcp->seq;
	uint32_t old;

	if (ahead <= WINDOW_MAX) {
		f->missing = f->missing + ahead < WINDOW_MAX ? f->missing + ahead : WINDOW_MAX;
		f->next = tcp->seq + tcp->len;
		return 0;
	}
	if (behind > WINDOW_MAX) {
		f->next = tcp->seq + tcp->len;
		f->missing = 0;
		return 0;
	}
	if (tcp->len > behind)
		f->next = tcp->seq + tcp->len;
	old = tcp->len < behind ? tcp->len : behind;
	ahead = old < f->missing ? old : f->missing;
	f->missing -= ahead;
	return old - ahead;
}

static void add(uint32_t *sum, uint32_t n)
{
	*sum = *sum < UINT32_MAX - n ? *sum + n : UINT32_MAX;
}

static void watch(struct lw_burst *b, const struct lw_packet *pkt)
{
	struct lw_burst_flow *f;
	struct tcp tcp;

	if (!parse_tcp(pkt, &tcp))
		return;
	f = flow_of(b, &tcp);
	if (f == NULL)
		return;
	add(&b->sent, tcp.len);
	add(&b->lost, again(f, &tcp));
}

void lw_burst_refused(struct lw_burst *b, uint32_t bytes)
{
	add(&b->sent, bytes);
	add(&b->lost, bytes);
}

/* --- what follows from it --- */

/* What was measured with one limit says nothing about another. */
static int set_limit(struct lw_burst *b, uint32_t limit, enum lw_burst_trial trial)
{
	int step = limit < b->limit ? -1 : 1;

	b->share_before = b->share;
	b->limit_before = b->limit;
	b->limit = limit;
	b->trial = trial;
	b->share = 0;
	b->epochs = 0;
	return step;
}

/* All the way: less of it is still more than some paths take, and would show no difference. */
static int try_less(struct lw_burst *b)
{
	return set_limit(b, LW_BURST_FLOOR, LW_BURST_TRY_LESS);
}

static int try_more(struct lw_burst *b)
{
	uint32_t limit = b->limit * 2;

	return set_limit(b, limit < LW_BURST_MAX ? limit : LW_BURST_MAX, LW_BURST_TRY_MORE);
}

static int return_to(struct lw_burst *b, uint32_t limit)
{
	return set_limit(b, limit, LW_BURST_NO_TRIAL);
}

static uint64_t longer(uint64_t wait)
{
	return wait < WAIT_MAX_US ? wait * 2 : wait;
}

/* Half, for a few dozen losses are no exact measure; where bursts are lost it is a fifth. */
static bool is_clearly_less(uint32_t share, uint32_t other)
{
	return share <= other / 2;
}

/* Smaller bursts gain nothing on this path. */
static void put_off_less(struct lw_burst *b, uint64_t at)
{
	b->less_at = at + b->less_wait;
	b->less_wait = longer(b->less_wait);
}

/* A smaller limit was tried: it stays if it has lost clearly less. */
static int judge_less(struct lw_burst *b, uint64_t at)
{
	b->trial = LW_BURST_NO_TRIAL;
	if (is_clearly_less(b->share, b->share_before)) {
		b->more_at = at + b->more_wait;
		return 0;
	}
	put_off_less(b, at);
	return return_to(b, b->limit_before);
}

/* A larger one was tried: it stays unless it has lost clearly more. */
static int judge_more(struct lw_burst *b, uint64_t at)
{
	b->trial = LW_BURST_NO_TRIAL;
	if (b->share < LOSSY || !is_clearly_less(b->share_before, b->share)) {
		b->more_wait = WAIT_US;
		b->more_at = at + b->more_wait;
		put_off_less(b, at);
		return 0;
	}
	b->more_at = at + b->more_wait;
	b->more_wait = longer(b->more_wait);
	return return_to(b, b->limit_before);
}

static int judge(struct lw_burst *b, uint64_t at)
{
	if (b->trial == LW_BURST_TRY_LESS)
		return judge_less(b, at);
	if (b->trial == LW_BURST_TRY_MORE)
		return judge_more(b, at);
	if (b->share < LOSSY / 4)
		b->less_wait = WAIT_US; /* whatever it was, it is over */
	/* lasting loss, not that of a stream which has just found its rate */
	if (b->share >= LOSSY && b->share_last >= LOSSY && b->limit > LW_BURST_FLOOR &&
	    at >= b->less_at)
		return try_less(b);
	if (b->limit < LW_BURST_MAX && at >= b->more_at)
		return try_more(b);
	return 0;
}

static void begin_epoch(struct lw_burst *b, uint64_t at)
{
	b->since = at;
	b->sent = 0;
	b->lost = 0;
	b->epoch++;
}

static int end_epoch(struct lw_burst *b, uint64_t at)
{
	uint32_t share = (uint32_t)((uint64_t)b->lost * 1000000u / b->sent);

	b->share_last = share;
	b->epochs++;
	/* an average first, then one that forgets */
	if (b->epochs <= EPOCHS * 2)
		b->share += (uint32_t)(((int64_t)share - b->share) / (int32_t)b->epochs);
	else
		b->share += (uint32_t)(((int64_t)share - b->share) / (int32_t)(EPOCHS * 2));
	begin_epoch(b, at);
	return b->epochs >= EPOCHS ? judge(b, at) : 0;
}

/* --- what is sent --- */

static void measure(struct lw_burst *b, uint32_t bytes, uint64_t at)
{
	uint64_t took = at - b->rate_since;
	uint64_t weight;
	uint64_t now;

	add(&b->rate_bytes, bytes);
	if (took < RATE_US)
		return;
	now = b->rate_bytes * 1000ull / took;
	weight = now > b->rate ? 2 : 4;
	b->rate = (uint32_t)((b->rate * (weight - 1) + now) / weight);
	b->rate_bytes = 0;
	b->rate_since = at;
}

uint32_t lw_burst_rate(const struct lw_burst *b)
{
	uint64_t rate = (uint64_t)b->rate * RATE_PERCENT / 100;

	return rate < RATE_MIN ? RATE_MIN : rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate;
}

int lw_burst_sent(struct lw_burst *b, const struct lw_packet *p, uint64_t at)
{
	measure(b, p->len, at);
	if (b->fixed)
		return 0;
	watch(b, p);
	if (at - b->since < EPOCH_US)
		return 0;
	if (b->sent >= EPOCH_BYTES)
		return end_epoch(b, at);
	if (at - b->since >= EPOCH_MAX_US)
		begin_epoch(b, at);
	return 0;
}

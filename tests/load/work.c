/* SPDX-License-Identifier: MIT */
/* Probes and bulk of the clients that are online. */
#include "base/addr.h"
#include "base/clock.h"
#include "load/load.h"
#include "wire/frame.h"

/* packets of bulk that may be on their way, and asked for at once */
#define WINDOW 256u
#define ASK    16u
/* of bulk up, every so many the other end says what it has */
#define RECEIPT_EVERY 16u
/* what is on its way for so long without any news is lost */
#define STALL_US (20 * LW_US_PER_MS)
/* between two looks at a rate, and the most that is saved up for later */
#define PACE_US (1 * LW_US_PER_MS)
#define SAVE_US (10 * LW_US_PER_MS)

static bool probes(const struct load *l, const struct load_client *c)
{
	return l->o->probe_ms > 0 && c->index < l->o->probe_clients;
}

static bool bulks(const struct load *l, const struct load_client *c)
{
	return l->o->bulk != LOAD_BULK_NONE && c->index < l->o->bulk_clients;
}

static struct load_path path_of(const struct load *l, const struct load_client *c)
{
	return (struct load_path){ .from = lw_addr_u32(&c->tunnel->s.told),
		                   .to = lw_addr_u32(&l->o->inside),
		                   .from_port = (uint16_t)l->o->bulk_port,
		                   .to_port = (uint16_t)l->o->bulk_port };
}

/* --- probes --- */

static void send_probe(struct load *l, struct load_client *c)
{
	uint8_t buf[128];
	const struct load_path path = path_of(l, c);
	const struct load_mark m = { .magic = LOAD_MARK_MAGIC,
		                     .client = c->index,
		                     .seq = ++c->probe_seq,
		                     .sent_us = lw_clock_us() };
	uint32_t len = load_inside_echo(buf + LW_FRAME_DATA_HEADER, &path, &m);

	l->counts.probes_sent++;
	(void)load_client_send(l, c, buf + LW_FRAME_DATA_HEADER, len);
	load_client_sent(l, c);
}

/* --- bulk --- */

static bool may_send(const struct load *l, const struct load_client *c)
{
	const struct load_flow *f = &c->flow;
	uint64_t step = l->o->bulk == LOAD_BULK_DOWN ? ASK : 1;

	return f->sent - f->done + step <= WINDOW &&
	       (l->o->bulk_mbit == 0 || f->tokens >= step * l->o->bulk_bytes);
}

static void save_tokens(const struct load *l, struct load_flow *f)
{
	uint64_t us = l->now_us - f->tokens_us;
	uint64_t most = SAVE_US * l->o->bulk_mbit / 8 + ASK * l->o->bulk_bytes;

	f->tokens += us * l->o->bulk_mbit / 8;
	f->tokens_us += us;
	if (f->tokens > most)
		f->tokens = most;
}

/* One packet up, or one that asks for some down. */
static bool send_bulk(struct load *l, struct load_client *c)
{
	static uint8_t buf[2048]; /* what is behind the mark does not matter */
	const struct load_path path = path_of(l, c);
	struct load_flow *f = &c->flow;
	bool down = l->o->bulk == LOAD_BULK_DOWN;
	uint64_t step = down ? ASK : 1;
	struct load_mark m = { .magic = LOAD_MARK_MAGIC, .client = c->index, .seq = f->seq + 1 };
	uint32_t len = down ? (uint32_t)sizeof(m) : (uint32_t)l->o->bulk_bytes;

	m.want = (uint16_t)(down ? l->o->bulk_bytes : sizeof(m));
	m.copies = (uint16_t)(down ? ASK : m.seq % RECEIPT_EVERY == 0);
	len = load_inside_udp(buf + LW_FRAME_DATA_HEADER, &path, &m, len);
	if (!load_client_send(l, c, buf + LW_FRAME_DATA_HEADER, len))
		return false;
	f->seq++;
	f->sent += step;
	l->counts.bulk_sent += step;
	if (l->o->bulk_mbit > 0)
		f->tokens -= step * l->o->bulk_bytes;
	return true;
}

static void look_for_stall(struct load_flow *f)
{
	if (f->done == f->looked_at)
		f->done = f->sent;
	f->looked_at = f->done;
}

static void do_bulk(struct load *l, struct load_client *c)
{
	bool some = false;

	save_tokens(l, &c->flow);
	while (may_send(l, c) && send_bulk(l, c))
		some = true;
	if (some)
		load_client_sent(l, c);
}

/* --- both --- */

void load_work_do(struct load *l, struct load_client *c, bool timer)
{
	uint64_t next = UINT64_MAX;

	if (!l->holding || c->state != LOAD_ONLINE)
		return;
	if (probes(l, c) && l->now_us >= c->probe_at) {
		c->probe_at += l->o->probe_ms * LW_US_PER_MS;
		send_probe(l, c);
	}
	if (c->state == LOAD_ONLINE && bulks(l, c)) {
		if (timer && (l->o->bulk_mbit == 0 || l->now_us - c->flow.stall_us >= STALL_US)) {
			c->flow.stall_us = l->now_us;
			look_for_stall(&c->flow);
		}
		do_bulk(l, c);
		next = l->now_us + (l->o->bulk_mbit > 0 ? PACE_US : STALL_US);
	}
	if (probes(l, c) && c->probe_at < next)
		next = c->probe_at;
	if (c->state == LOAD_ONLINE && timer && next != UINT64_MAX)
		lw_wheel_set(&l->wheel, &c->work.timer, next);
}

void load_work_begin(struct load *l)
{
	uint64_t interval = l->o->probe_ms * LW_US_PER_MS;

	l->holding = true;
	for (uint32_t i = 0; i < l->o->clients; i++) {
		struct load_client *c = &l->clients[i];

		if (c->state != LOAD_ONLINE || !(probes(l, c) || bulks(l, c)))
			continue;
		/* spread, for real clients do not send all at once */
		c->probe_at = l->now_us + interval * i / l->o->clients;
		c->flow.tokens_us = l->now_us;
		load_work_do(l, c, true);
	}
}

bool load_work_arrived(struct load *l, struct load_client *c, const uint8_t *p, size_t len)
{
	struct load_flow *f = &c->flow;
	struct load_mark m;
	uint32_t bytes;
	enum load_inside_kind kind = load_inside_read(p, len, &m, &bytes);

	if (kind == LOAD_INSIDE_OTHER || m.client != c->index)
		return false;
	if (kind == LOAD_INSIDE_ECHO_REPLY) {
		l->counts.probes_answered++;
		load_hist_add(&l->probe_us, lw_clock_us() - m.sent_us);
		return false;
	}
	if (!l->holding)
		return false;
	if (l->o->bulk == LOAD_BULK_DOWN) {
		f->done++;
		f->bytes += bytes;
	} else if (m.seq > f->done) {
		f->done = m.seq;
		f->bytes = m.received;
	}
	if (f->done > f->sent)
		f->done = f->sent;
	return true;
}

/* SPDX-License-Identifier: MIT */
/* What a path counts, by name. */
#include "path/path.h"

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* Of all senders: `offset` is that of the member. */
static uint64_t senders(const struct lw_path *p, size_t offset)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < p->n_ports; i++)
		sum += load((const uint64_t *)(const void *)((const char *)&p->ports[i].sender +
		                                             offset));
	return sum;
}

void lw_path_each_counter(const struct lw_path *p,
                          void (*fn)(void *arg, const char *name, uint64_t value), void *arg)
{
	const struct lw_path_counters *c = &p->counters;

	for (int i = 0; i < LW_CTR_MAX; i++)
		fn(arg, lw_counter_names[i], load(&p->sessions.n[i]));
	fn(arg, "inside_rx", load(&c->inside_rx));
	fn(arg, "inside_rx_bytes", load(&c->inside_rx_bytes));
	fn(arg, "inside_tx", load(&c->inside_tx));
	fn(arg, "inside_tx_bytes", load(&c->inside_tx_bytes));
	fn(arg, "inside_tx_dropped", load(&c->inside_tx_dropped));
	fn(arg, "inside_tx_merged", load(&c->inside_tx_merged));
	fn(arg, "inside_tx_refused", load(&c->inside_tx_refused));
	fn(arg, "inside_tx_fallbacks", load(&c->inside_tx_fallbacks));
	fn(arg, "inside_tx_bad_checksum", load(&c->inside_tx_bad_sums));
	fn(arg, "inside_no_session", load(&c->inside_no_session));
	fn(arg, "inside_packets_invalid", load(&c->inside_invalid));
	fn(arg, "filters_dropped", load(&p->chain.dropped));
	fn(arg, "filters_broken", load(&p->chain.broken));
	fn(arg, "outside_rx", load(&c->outside_rx));
	fn(arg, "outside_tx", senders(p, offsetof(struct lw_sender, sent)));
	fn(arg, "outside_tx_dropped", senders(p, offsetof(struct lw_sender, dropped)));
	fn(arg, "outside_tx_blocked", senders(p, offsetof(struct lw_sender, blocks)));
	fn(arg, "outside_tx_spaced", senders(p, offsetof(struct lw_sender, spaced)));
	fn(arg, "outside_tx_cut", senders(p, offsetof(struct lw_sender, cut)));
	fn(arg, "outside_tx_fallbacks", senders(p, offsetof(struct lw_sender, fallbacks)));
}

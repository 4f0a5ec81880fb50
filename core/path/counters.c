/* SPDX-License-Identifier: MIT */
/* What paths count, by name. */
#include "path/path.h"

struct place {
	const char *name;
	size_t offset;
};

#define OWN(name, member)                                                                          \
	{                                                                                          \
		name, offsetof(struct lw_path, member)                                             \
	}

static const struct place own[] = {
	OWN("inside_rx", counters.inside_rx),
	OWN("inside_rx_bytes", counters.inside_rx_bytes),
	OWN("inside_tx", counters.inside_tx),
	OWN("inside_tx_bytes", counters.inside_tx_bytes),
	OWN("inside_tx_dropped", counters.inside_tx_dropped),
	OWN("inside_tx_merged", counters.inside_tx_merged),
	OWN("inside_tx_refused", counters.inside_tx_refused),
	OWN("inside_tx_fallbacks", counters.inside_tx_fallbacks),
	OWN("inside_tx_bad_checksum", counters.inside_tx_bad_sums),
	OWN("inside_no_session", counters.inside_no_session),
	OWN("inside_packets_invalid", counters.inside_invalid),
	OWN("filters_dropped", chain.dropped),
	OWN("filters_broken", chain.broken),
	OWN("outside_rx", counters.outside_rx),
	OWN("handed_over", counters.handed_over),
	OWN("handed_over_dropped", counters.handed_over_dropped),
	OWN("handed_dropped", counters.handed_dropped),
};

#define SENDER(name, member)                                                                       \
	{                                                                                          \
		name, offsetof(struct lw_sender, member)                                           \
	}

static const struct place of_senders[] = {
	SENDER("outside_tx", sent),           SENDER("outside_tx_dropped", dropped),
	SENDER("outside_tx_blocked", blocks), SENDER("outside_tx_spaced", spaced),
	SENDER("outside_tx_cut", cut),        SENDER("outside_tx_fallbacks", fallbacks),
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static uint64_t load(const void *base, size_t offset)
{
	return __atomic_load_n((const uint64_t *)(const void *)((const char *)base + offset),
	                       __ATOMIC_RELAXED);
}

static uint64_t senders(const struct lw_path *p, size_t offset)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < p->n_ports; i++)
		sum += load(&p->ports[i].sender, offset);
	return sum;
}

void lw_path_each_counter(const struct lw_path *const *paths, uint32_t n,
                          void (*fn)(void *arg, const char *name, uint64_t value), void *arg)
{
	for (size_t c = 0; c < LW_CTR_MAX; c++) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < n; i++)
			sum += load(&paths[i]->sessions.n[c], 0);
		fn(arg, lw_counter_names[c], sum);
	}
	for (size_t c = 0; c < COUNT(own); c++) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < n; i++)
			sum += load(paths[i], own[c].offset);
		fn(arg, own[c].name, sum);
	}
	for (size_t c = 0; c < COUNT(of_senders); c++) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < n; i++)
			sum += senders(paths[i], of_senders[c].offset);
		fn(arg, of_senders[c].name, sum);
	}
}

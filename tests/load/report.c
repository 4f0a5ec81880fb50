/* SPDX-License-Identifier: MIT */
#include <sys/resource.h>

#include "base/clock.h"
#include "load/load.h"

/* share of a core from which on this program may have been what was slow */
#define LIMIT_SHARE 0.9

static bool first = true;
static bool shown = true; /* to people: not what nobody asked for */

/* One name and value: of the line of JSON, and of the table for people. */
static void write_text(const char *name, const char *json, const char *text)
{
	(void)printf("%s\"%s\":%s", first ? "{" : ",", name, json);
	if (shown)
		(void)fprintf(stderr, "  %-22s %s\n", name, text);
	first = false;
}

static void write_word(const char *name, const char *word)
{
	char json[64];

	(void)snprintf(json, sizeof(json), "\"%s\"", word);
	write_text(name, json, word);
}

static void write_number(const char *name, double v, int decimals)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%.*f", decimals, v);
	write_text(name, text, text);
}

static void write_count(const char *name, uint64_t n)
{
	write_number(name, (double)n, 0);
}

static void write_bool(const char *name, bool yes)
{
	write_text(name, yes ? "true" : "false", yes ? "yes" : "no");
}

static void write_times(const char *name, const struct load_hist *h)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "%s_p50_ms", name);
	write_number(key, (double)load_hist_percentile(h, 50) / 1000.0, 3);
	(void)snprintf(key, sizeof(key), "%s_p99_ms", name);
	write_number(key, (double)load_hist_percentile(h, 99) / 1000.0, 3);
	(void)snprintf(key, sizeof(key), "%s_max_ms", name);
	write_number(key, (double)h->max_us / 1000.0, 3);
}

static double share(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : 0.0;
}

static void write_reasons(const char *name, const uint64_t n[LOAD_REASONS], uint64_t no_socket)
{
	char json[512] = "{";
	char text[512] = "";
	size_t at = 1;
	size_t text_at = 0;

	for (int i = 0; i <= LOAD_REASONS; i++) {
		uint64_t count = i < LOAD_REASONS ? n[i] : no_socket;
		const char *why = i < LOAD_REASONS ? lw_close_reason_text((enum lw_close_reason)i)
		                                   : "no socket";

		if (count == 0)
			continue;
		at += (size_t)snprintf(json + at, sizeof(json) - at, "%s\"%s\":%llu",
		                       at > 1 ? "," : "", why, (unsigned long long)count);
		text_at +=
			(size_t)snprintf(text + text_at, sizeof(text) - text_at, "%s%s %llu",
		                         text_at > 0 ? ", " : "", why, (unsigned long long)count);
	}
	(void)snprintf(json + at, sizeof(json) - at, "}");
	write_text(name, json, text);
}

static void write_clients(const struct load *l)
{
	const struct load_counts *n = &l->counts;
	uint64_t took_us = l->last_online_us > l->began_us ? l->last_online_us - l->began_us : 0;

	shown = l->o->clients > 0;
	write_word("transport", l->o->tcp ? "tcp" : "udp");
	write_word("group", l->group != NULL ? l->group : "none");
	write_count("clients", l->o->clients);
	write_count("tried", n->tried);
	write_count("online", n->online);
	write_count("failed", n->failed);
	write_reasons("failed_for", n->failed_for, n->no_socket);
	write_count("lost", n->lost);
	write_reasons("lost_for", n->lost_for, 0);
	write_count("closed", n->closed);
	write_number("connect_s", (double)took_us / 1e6, 3);
	write_number("handshakes_per_s", share(n->online * LW_US_PER_S, took_us), 1);
	write_times("connect", &l->connect_us);
	if (n->sentence[0] != '\0')
		(void)fprintf(stderr, "  the last that failed said: %s\n", n->sentence);
}

static void write_inside(const struct load *l)
{
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < l->o->clients; i++)
		bytes += l->clients[i].flow.bytes;
	shown = l->o->probe_ms > 0;
	write_count("probes_sent", l->counts.probes_sent);
	write_count("probes_lost", l->counts.probes_sent - l->counts.probes_answered);
	write_times("probe", &l->probe_us);
	shown = l->o->hold_s > 0;
	write_number("hold_s", (double)l->held.wall_us / 1e6, 3);
	shown = l->o->bulk != LOAD_BULK_NONE;
	write_count("bulk_packets", l->counts.bulk_sent);
	write_number("goodput_mbit", 8.0 * share(bytes, l->held.wall_us), 3);
}

static void write_outside(const struct load *l)
{
	const struct load_strangers *s = &l->strangers;

	shown = l->o->clients > 0;
	write_count("tx_datagrams", l->traffic.tx_datagrams);
	write_count("tx_bytes", l->traffic.tx_bytes);
	write_count("tx_refused", l->traffic.tx_refused);
	write_count("rx_datagrams", l->traffic.rx_datagrams);
	write_count("rx_bytes", l->traffic.rx_bytes);
	shown = l->o->spoof > 0;
	write_count("spoof_sent", s->sent);
	write_count("spoof_sent_bytes", s->sent_bytes);
	write_count("spoof_refused", s->refused);
	write_number("spoof_per_s", 1e6 * share(s->sent, s->wall_us), 0);
	write_count("spoof_answered", s->answered);
	write_count("spoof_answered_bytes", s->answered_bytes);
	write_number("bytes_out_per_byte_in", share(s->answered_bytes, s->sent_bytes), 4);
}

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static void write_own(const struct load *l)
{
	double connecting = share(l->connecting.cpu_us, l->connecting.wall_us);
	double held = share(l->held.cpu_us, l->held.wall_us);
	double strangers = share(l->strangers.cpu_us, l->strangers.wall_us);
	struct rusage ru = { 0 };

	shown = true;
	(void)getrusage(RUSAGE_SELF, &ru);
	write_number("own_user_s", seconds_of(&ru.ru_utime), 3);
	write_number("own_system_s", seconds_of(&ru.ru_stime), 3);
	write_number("own_share_connecting", connecting, 3);
	write_number("own_share_holding", held, 3);
	write_number("own_share_spoofing", strangers, 3);
	write_bool("own_limit",
	           connecting >= LIMIT_SHARE || held >= LIMIT_SHARE || strangers >= LIMIT_SHARE);
}

bool load_report(const struct load *l)
{
	const struct load_counts *n = &l->counts;

	write_clients(l);
	write_inside(l);
	write_outside(l);
	write_own(l);
	(void)printf("}\n");
	return n->online == l->o->clients && n->closed == n->online;
}

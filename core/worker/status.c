/* SPDX-License-Identifier: MIT */
#include "worker/status.h"

#include "base/clock.h"
#include "worker/engine.h"
#include "worker/offload.h"
#include "worker/records.h"

static void write_offload(void *arg, const struct lw_offload *o)
{
	struct lw_json *out = arg;

	lw_json_object(out, NULL);
	lw_json_string(out, "module", o->module);
	lw_json_uint(out, "instance", o->instance);
	lw_json_string(out, "direction", o->direction);
	lw_json_string(out, "offload", o->name);
	lw_json_string(out, "state", o->on ? "on" : "off");
	lw_json_string(out, "reason", o->on ? NULL : o->reason);
	lw_json_end(out);
}

static uint32_t instance_of(const struct lw_path *p, uint32_t i)
{
	uint32_t n = 1;

	for (uint32_t j = 0; j < i; j++)
		n += p->ports[j].module == p->ports[i].module;
	return n;
}

/* The sessions of one outside, on all workers. */
static struct lw_port_bursts bursts_of(const struct lw_engine *e, uint32_t port)
{
	struct lw_port_bursts all = lw_port_bursts(&e->cores[0].path.ports[port]);

	for (uint32_t i = 1; i < e->n_workers; i++) {
		struct lw_port_bursts b = lw_port_bursts(&e->cores[i].path.ports[port]);

		all.limited += b.limited;
		all.least = b.least < all.least ? b.least : all.least;
	}
	return all;
}

static void write_burst(const struct lw_port *port, uint32_t instance, struct lw_port_bursts b,
                        struct lw_json *out)
{
	uint32_t burst = b.least;
	const char *reason = b.limited > 0 ? "less is lost with shorter bursts" : NULL;

	if (port->sender.run_segs == 0) {
		burst = 1;
		reason = "gso is off, each datagram leaves by itself";
	} else if (port->caps.burst > 0 && port->caps.burst < LW_BURST_MAX) {
		burst = port->caps.burst;
		reason = "so the configuration says";
	}
	lw_json_object(out, NULL);
	lw_json_string(out, "module", port->module->name);
	lw_json_uint(out, "instance", instance);
	lw_json_uint(out, "burst", burst);
	lw_json_uint(out, "limited_sessions", b.limited);
	lw_json_string(out, "reason", reason);
	lw_json_end(out);
}

static void write_bursts(const struct lw_engine *e, struct lw_json *out)
{
	const struct lw_path *p = &e->cores[0].path;

	lw_json_array(out, "bursts");
	for (uint32_t i = 0; i < p->n_ports; i++) {
		if (!p->ports[i].tcp)
			write_burst(&p->ports[i], instance_of(p, i), bursts_of(e, i), out);
	}
	lw_json_end(out);
}

static void write_counter(void *arg, const char *name, uint64_t value)
{
	lw_json_uint(arg, name, value);
}

static void write_paths(const struct lw_engine *e, struct lw_json *out)
{
	const struct lw_path *paths[LW_ENGINE_WORKERS];

	for (uint32_t i = 0; i < e->n_workers; i++)
		paths[i] = &e->cores[i].path;
	lw_path_each_counter(paths, e->n_workers, write_counter, out);
}

void lw_engine_status(const struct lw_engine *e, struct lw_json *out,
                      void (*counters)(const void *arg, struct lw_json *out), const void *arg)
{
	lw_json_array(out, "offloads");
	lw_engine_offloads(e, lw_clock_us(), write_offload, out);
	lw_json_end(out);
	write_bursts(e, out);
	lw_json_object(out, "counters");
	if (counters != NULL)
		counters(arg, out);
	write_paths(e, out);
	lw_records_counters(e, write_counter, out);
	lw_engine_counters(e, write_counter, out);
	lw_json_end(out);
}

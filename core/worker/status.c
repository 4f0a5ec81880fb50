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
	lw_json_object(out, "counters");
	if (counters != NULL)
		counters(arg, out);
	write_paths(e, out);
	lw_records_counters(e, write_counter, out);
	lw_engine_counters(e, write_counter, out);
	lw_json_end(out);
}

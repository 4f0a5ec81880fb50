/* SPDX-License-Identifier: MIT */
#include "server/drain.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "module/number.h"
#include "server/sessions.h"

#define WHO "server"
/* between looks whether the last session is gone */
#define LOOK_US (100 * LW_US_PER_MS)

static uint64_t sessions(const struct lw_drain *d)
{
	return __atomic_load_n(&d->common->n, __ATOMIC_RELAXED);
}

/* only the control thread sets it */
static bool is_on(const struct lw_drain *d)
{
	return d->common->draining;
}

static void set(struct lw_drain *d, bool on, uint64_t until_us)
{
	__atomic_store_n(&d->common->draining, on, __ATOMIC_RELAXED);
	d->until_us = until_us;
}

static int begin(struct lw_drain *d, const char *time, uint64_t at, struct lw_err *err)
{
	static const struct lw_option duration = { .type = LW_OPT_DURATION };
	int64_t us = 0;

	if (time != NULL && lw_number_parse(&duration, time, &us) != LW_NUMBER_OK)
		return lw_err_set(err, -EINVAL, "'%s' is no time, such as %s", time,
		                  lw_number_example(&duration));
	set(d, true, time != NULL ? at + (uint64_t)us : UINT64_MAX);
	lw_log_write(LW_LOG_NOTICE, WHO,
	             "draining: no new sessions, the end comes with the last of %" PRIu64 "%s%s",
	             sessions(d), time != NULL ? ", at most in " : "", time != NULL ? time : "");
	return 0;
}

static void end(struct lw_drain *d)
{
	if (is_on(d))
		lw_log_write(LW_LOG_NOTICE, WHO, "no longer draining, new sessions are let in");
	set(d, false, UINT64_MAX);
}

int lw_drain_command(struct lw_drain *d, const char *command, uint64_t at, struct lw_json *out,
                     struct lw_err *err)
{
	int r = 0;

	if (strcmp(command, "drain off") == 0)
		end(d);
	else if (strcmp(command, "drain") == 0)
		r = begin(d, NULL, at, err);
	else if (strncmp(command, "drain ", 6) == 0)
		r = begin(d, command + 6, at, err);
	else
		return -ENOSYS;
	if (r < 0)
		return r;
	lw_drain_status(d, at, out);
	lw_json_uint(out, "sessions", sessions(d));
	return 0;
}

void lw_drain_status(const struct lw_drain *d, uint64_t at, struct lw_json *out)
{
	lw_json_bool(out, "draining", is_on(d));
	if (is_on(d) && d->until_us != UINT64_MAX)
		lw_json_uint(out, "drain_left_s",
		             d->until_us > at ? (d->until_us - at) / LW_US_PER_S : 0);
}

bool lw_drain_done(const struct lw_drain *d, uint64_t at)
{
	if (!is_on(d) || (sessions(d) > 0 && at < d->until_us))
		return false;
	if (sessions(d) == 0)
		lw_log_write(LW_LOG_NOTICE, WHO, "drained: no session is left");
	else
		lw_log_write(LW_LOG_NOTICE, WHO,
		             "drained in part: the time is over, sessions left: %" PRIu64,
		             sessions(d));
	return true;
}

uint64_t lw_drain_look_us(const struct lw_drain *d, uint64_t at)
{
	if (!is_on(d))
		return UINT64_MAX;
	if (at >= d->until_us)
		return 0;
	return d->until_us - at < LOOK_US ? d->until_us - at : LOOK_US;
}

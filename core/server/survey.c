/* SPDX-License-Identifier: MIT */
#include "server/survey.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/kick.h"
#include "server/walk.h"
#include "worker/engine.h"

#define WHO "server"

/*
 * It is with a worker, and then the control thread leaves it alone, or it waits for its client to
 * take what was pushed, or it is being destroyed.
 */
struct lw_survey {
	struct lw_control_late late; /* first */
	struct lw_mail there;        /* to a worker */
	struct lw_mail back;
	struct lw_surveys *all;
	struct lw_survey *next;
	bool away;    /* with the worker */
	bool walking; /* the worker knows the walk */
	bool leave;   /* all that is left to do is to end the walk */
	bool more;    /* the worker has more sessions */
	uint32_t worker;
	struct lw_walk walk;
	struct lw_row *rows; /* of the last round; NULL: it is a kick */
	uint32_t n_rows;
	struct lw_kick kick;
};

static void destroy(struct lw_survey *sv)
{
	struct lw_survey **at = &sv->all->first;

	while (*at != sv)
		at = &(*at)->next;
	*at = sv->next;
	sv->all->n--;
	free(sv->rows);
	lw_kick_fini(&sv->kick);
	free(sv);
}

/* --- on the worker --- */

static bool one_round(struct lw_survey *sv, struct lw_sessions *s)
{
	if (sv->leave)
		return false;
	if (sv->rows == NULL)
		return lw_kick_round(s, &sv->walk, &sv->kick);
	sv->n_rows = lw_walk_list(s, &sv->walk, sv->rows);
	return sv->n_rows == LW_WALK_ROUND;
}

static void at_worker(struct lw_mail *m)
{
	struct lw_survey *sv =
		(struct lw_survey *)(void *)((char *)m - offsetof(struct lw_survey, there));
	struct lw_engine *e = sv->all->engine;
	struct lw_sessions *s = e->cores[sv->worker].path.role;

	if (!sv->walking)
		lw_walk_begin(s, &sv->walk);
	sv->more = one_round(sv, s);
	if (!sv->more)
		lw_walk_end(s, &sv->walk);
	sv->walking = sv->more;
	lw_mailbox_post(&e->mail, &sv->back);
}

/* --- on the control thread --- */

static void go(struct lw_survey *sv)
{
	sv->away = true;
	lw_engine_call(sv->all->engine, sv->worker, &sv->there);
}

/* Nobody waits for it any more. */
static void leave(struct lw_survey *sv)
{
	sv->leave = true;
	if (sv->walking)
		go(sv);
	else
		destroy(sv);
}

static void on_wake(struct lw_control_late *late)
{
	struct lw_survey *sv = (struct lw_survey *)(void *)late;

	if (sv->away)
		return;
	if (lw_control_out(late) != NULL)
		go(sv);
	else
		leave(sv);
}

static void write_row(struct lw_json *out, uint32_t worker, const struct lw_row *r)
{
	char text[LW_ADDR_TEXT_MAX];

	lw_json_object(out, NULL);
	lw_json_uint(out, "id", r->serial);
	lw_json_string(out, "user", r->user[0] != '\0' ? r->user : NULL);
	lw_json_string(out, "transport", r->stream ? "tcp" : "udp");
	lw_json_string(out, "outside", lw_addr_format(&r->outside, text));
	lw_json_string(out, "inside",
	               r->inside.family != 0 ? lw_addr_format(&r->inside, text) : NULL);
	lw_json_string(out, "state", r->state);
	lw_json_uint(out, "worker", worker);
	lw_json_uint(out, "age_s", r->age_us / LW_US_PER_S);
	lw_json_uint(out, "idle_s", r->idle_us / LW_US_PER_S);
	lw_json_uint(out, "rx_packets", r->rx_packets);
	lw_json_uint(out, "rx_bytes", r->rx_bytes);
	lw_json_uint(out, "tx_packets", r->tx_packets);
	lw_json_uint(out, "tx_bytes", r->tx_bytes);
	lw_json_string(out, "cipher", r->cipher);
	lw_json_bool(out, "expresslane", r->lane);
	lw_json_end(out);
}

static void write_kick(struct lw_json *out, const struct lw_kick *k)
{
	char text[24];

	lw_json_uint(out, "ended", k->n_ended);
	lw_json_array(out, "not_found");
	for (uint32_t i = 0; i < k->n_serials; i++) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, k->serials[i]);
		if (!k->found[i])
			lw_json_string(out, NULL, text);
	}
	if (k->n_serials == 0 && k->n_ended == 0)
		lw_json_string(out, NULL, k->user);
	lw_json_end(out);
}

static void finish(struct lw_survey *sv, struct lw_json *out)
{
	uint64_t n = sv->kick.n_ended;

	if (sv->rows != NULL)
		lw_json_end(out); /* of the array */
	else
		write_kick(out, &sv->kick);
	if (n > 0)
		lw_log_write(LW_LOG_NOTICE, WHO, "ended on command: %" PRIu64 " session%s", n,
		             n == 1 ? "" : "s");
	lw_control_finish(&sv->late, 0, NULL);
	destroy(sv);
}

/* A round has been made. */
static void at_control(struct lw_mail *m)
{
	struct lw_survey *sv =
		(struct lw_survey *)(void *)((char *)m - offsetof(struct lw_survey, back));
	struct lw_json *out = lw_control_out(&sv->late);

	sv->away = false;
	if (out == NULL) {
		leave(sv);
		return;
	}
	for (uint32_t i = 0; i < sv->n_rows; i++)
		write_row(out, sv->worker, &sv->rows[i]);
	if (!sv->more)
		sv->worker++;
	if (sv->worker == sv->all->engine->n_workers || lw_kick_complete(&sv->kick))
		finish(sv, out);
	else if (sv->rows != NULL)
		lw_control_push(&sv->late); /* and wake() goes on */
	else
		go(sv);
}

static struct lw_survey *create(struct lw_surveys *all)
{
	struct lw_survey *sv = calloc(1, sizeof(*sv));

	if (sv == NULL)
		return NULL;
	sv->late.wake = on_wake;
	sv->there.deliver = at_worker;
	sv->back.deliver = at_control;
	sv->all = all;
	sv->next = all->first;
	all->first = sv;
	all->n++;
	return sv;
}

static int no_memory(struct lw_survey *sv, struct lw_err *err)
{
	if (sv != NULL)
		destroy(sv);
	return lw_err_set(err, -ENOMEM, "out of memory");
}

static int begin(struct lw_survey *sv, struct lw_control_late **ret_late)
{
	*ret_late = &sv->late;
	go(sv);
	return -EINPROGRESS;
}

/* --- commands --- */

static int command_sessions(struct lw_surveys *all, struct lw_json *out,
                            struct lw_control_late **ret_late, struct lw_err *err)
{
	struct lw_survey *sv = create(all);

	if (sv != NULL)
		sv->rows = calloc(LW_WALK_ROUND, sizeof(*sv->rows));
	if (sv == NULL || sv->rows == NULL)
		return no_memory(sv, err);
	lw_json_array(out, "sessions");
	return begin(sv, ret_late);
}

static int command_kick(struct lw_surveys *all, const char *list, struct lw_control_late **ret_late,
                        struct lw_err *err)
{
	struct lw_survey *sv = create(all);
	int r = sv != NULL ? lw_kick_serials(&sv->kick, list) : -ENOMEM;

	if (r == -ENOMEM)
		return no_memory(sv, err);
	if (r == 0)
		return begin(sv, ret_late);
	destroy(sv);
	return lw_err_set(err, r, "ids are numbers, as the list of sessions shows them");
}

static int command_kick_user(struct lw_surveys *all, const char *user,
                             struct lw_control_late **ret_late, struct lw_err *err)
{
	struct lw_survey *sv = create(all);

	if (sv == NULL)
		return no_memory(sv, err);
	if (lw_kick_user(&sv->kick, user) == 0)
		return begin(sv, ret_late);
	destroy(sv);
	return lw_err_set(err, -EINVAL, "the name of a user has 1 to %zu bytes",
	                  sizeof(sv->kick.user) - 1);
}

/* what follows the word in a command; NULL: it is another command */
static const char *after(const char *command, const char *word)
{
	size_t len = strlen(word);

	return strncmp(command, word, len) == 0 ? command + len : NULL;
}

int lw_survey_command(struct lw_surveys *all, const char *command, struct lw_json *out,
                      struct lw_control_late **ret_late, struct lw_err *err)
{
	const char *serials = after(command, "kick ");
	const char *user = after(command, "kick-user ");
	bool sessions = strcmp(command, "sessions") == 0;

	if (!sessions && serials == NULL && user == NULL)
		return -ENOSYS;
	if (all->n == LW_SURVEYS_MAX)
		return lw_err_set(err, -EBUSY, "too many such commands are under way, try again");
	if (sessions)
		return command_sessions(all, out, ret_late, err);
	if (serials != NULL)
		return command_kick(all, serials, ret_late, err);
	return command_kick_user(all, user, ret_late, err);
}

void lw_surveys_end(struct lw_surveys *all)
{
	struct lw_err err = { .code = 0 };
	int r = lw_err_set(&err, -ESHUTDOWN, "the daemon is ending");
	struct lw_survey *next;

	for (struct lw_survey *sv = all->first; sv != NULL; sv = next) {
		next = sv->next;
		lw_control_finish(&sv->late, r, &err);
		destroy(sv);
	}
}

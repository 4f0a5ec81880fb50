/* SPDX-License-Identifier: MIT */
#include "server/steps.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/record.h"

#define WHO "session"

struct lw_lent {
	struct lw_mail mail; /* first: what the worker gets */
	struct lw_sessions *sessions;
	struct lw_record *rec; /* the worker's; NULL: it has gone meanwhile */
	struct lw_lent *before;
	struct lw_lent *next;
	struct lw_step step; /* the helper's until the mail comes */
	uint64_t since_us;
	uint32_t abandoned; /* relaxed: it need not be taken any more */
};

static void list(struct lw_sessions *s, struct lw_lent *l)
{
	l->next = s->lent;
	if (l->next != NULL)
		l->next->before = l;
	s->lent = l;
	s->n_lent++;
}

static void end(struct lw_lent *l)
{
	struct lw_sessions *s = l->sessions;

	if (l->next != NULL)
		l->next->before = l->before;
	if (l->before != NULL)
		l->before->next = l->next;
	else
		s->lent = l->next;
	s->n_lent--;
	lw_step_fini(&l->step);
	free(l);
}

/* On a helper. */
static void take_step(void *arg)
{
	struct lw_lent *l = arg;

	if (__atomic_load_n(&l->abandoned, __ATOMIC_RELAXED) == 0)
		lw_step_run(&l->step);
	lw_mailbox_post(&l->sessions->core->mail, &l->mail);
}

static void go_on(struct lw_sessions *s, struct lw_lent *l)
{
	struct lw_tunnel *t = l->rec->timed.tunnel;
	struct lw_sink k = lw_path_sink(&s->core->path, t);

	l->rec->lent = NULL;
	(void)lw_tunnel_stepped(t, &l->step, s->core->now_us, &k);
	lw_path_after(&s->core->path, t, &k); /* the round ends with a flush */
	if (t->is_stream)
		lw_core_look_again(s->core, t->port, t->endpoint.tag);
}

static void come_back(struct lw_mail *m)
{
	struct lw_lent *l = (struct lw_lent *)(void *)m;
	struct lw_sessions *s = l->sessions;
	uint64_t away_us = s->core->now_us - l->since_us;

	if (away_us > s->lent_max_us)
		lw_sessions_set(&s->lent_max_us, away_us);
	if (l->rec != NULL)
		go_on(s, l);
	end(l);
}

bool lw_steps_full(const struct lw_sessions *s)
{
	return s->n_lent == LW_STEPS_MAX;
}

void lw_steps_turn_away(struct lw_sessions *s)
{
	lw_sessions_count(s, LW_SRV_HANDSHAKES_BUSY, 1);
	if (lw_sessions_may_complain(s, &s->steps_told))
		lw_log_write(LW_LOG_WARN, WHO,
		             "clients are turned away, since %u handshakes wait already: lower "
		             "limits.handshakes, or use a P-256 key if it is another",
		             LW_STEPS_MAX);
}

void lw_steps_lend(struct lw_sessions *s, struct lw_tunnel *t)
{
	struct lw_lent *l = lw_steps_full(s) ? NULL : calloc(1, sizeof(*l));
	int r;

	if (l == NULL) {
		lw_steps_turn_away(s);
		if (t->is_stream) /* what it has sent it will not send again */
			lw_path_drop(&s->core->path, t);
		return;
	}
	*l = (struct lw_lent){ .mail = { .deliver = come_back },
		               .sessions = s,
		               .rec = lw_record_of(t),
		               .since_us = s->core->now_us };
	lw_tunnel_lend(t, &l->step);
	l->rec->lent = l;
	list(s, l);
	lw_sessions_count(s, LW_SRV_HANDSHAKES_LENT, 1);
	r = lw_helpers_call(s->common->steps, take_step, l);
	assert(r == 0); /* their queue has room for the most of all workers */
}

void lw_steps_abandon(struct lw_lent *l)
{
	if (l == NULL)
		return;
	l->rec = NULL;
	__atomic_store_n(&l->abandoned, 1, __ATOMIC_RELAXED);
}

void lw_steps_fini(struct lw_sessions *s)
{
	while (s->lent != NULL)
		end(s->lent);
}

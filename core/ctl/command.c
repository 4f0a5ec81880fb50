/* SPDX-License-Identifier: MIT */
#include "ctl/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "module/number.h"

static int append(char *line, const char *word, struct lw_err *err)
{
	size_t len = strlen(line);
	const char *space = len > 0 ? " " : "";

	if (strchr(word, '\n') != NULL)
		return lw_err_set(err, -EINVAL, "a command is one line");
	if (strlen(space) + strlen(word) >= LW_CONTROL_REQUEST_MAX - len)
		return lw_err_set(err, -EINVAL, "a command has at most %d bytes, give it in parts",
		                  LW_CONTROL_REQUEST_MAX - 1);
	(void)snprintf(line + len, LW_CONTROL_REQUEST_MAX - len, "%s%s", space, word);
	return 0;
}

static bool is_number(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits < 20 && text[digits] == '\0';
}

static int kick(const struct lw_ctl_words *w, char *line, struct lw_err *err)
{
	int r;

	if ((w->user != NULL) == (w->n > 1))
		return lw_err_set(err, -EINVAL, "kick takes ids of sessions, or --user NAME");
	if (w->user != NULL) {
		r = append(line, "kick-user", err);
		return r == 0 ? append(line, w->user, err) : r;
	}
	r = append(line, "kick", err);
	for (uint32_t i = 1; r == 0 && i < w->n; i++) {
		if (!is_number(w->word[i]))
			return lw_err_set(err, -EINVAL,
			                  "'%s' is no id: they are numbers, `lanewayctl sessions` "
			                  "shows them",
			                  w->word[i]);
		r = append(line, w->word[i], err);
	}
	return r;
}

static int drain(const struct lw_ctl_words *w, char *line, struct lw_err *err)
{
	static const struct lw_option duration = { .type = LW_OPT_DURATION };
	int64_t us;
	int r = append(line, "drain", err);

	if (w->off && w->timeout != NULL)
		return lw_err_set(err, -EINVAL, "drain takes --timeout or --off, not both");
	if (w->timeout != NULL && lw_number_parse(&duration, w->timeout, &us) != LW_NUMBER_OK)
		return lw_err_set(err, -EINVAL, "--timeout takes a time such as %s, not '%s'",
		                  lw_number_example(&duration), w->timeout);
	if (r == 0 && w->off)
		r = append(line, "off", err);
	if (r == 0 && w->timeout != NULL)
		r = append(line, w->timeout, err);
	return r;
}

static int alone(const struct lw_ctl_words *w, char *line, struct lw_err *err)
{
	return append(line, w->word[0], err);
}

static const struct command {
	const char *name;
	int (*write)(const struct lw_ctl_words *w, char *line, struct lw_err *err);
	bool words; /* may follow */
	bool user;  /* these options may be given */
	bool drain;
} commands[] = {
	{ .name = "status", .write = alone },
	{ .name = "sessions", .write = alone },
	{ .name = "kick", .write = kick, .words = true, .user = true },
	{ .name = "drain", .write = drain, .drain = true },
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

int lw_ctl_command(const struct lw_ctl_words *w, char line[LW_CONTROL_REQUEST_MAX],
                   struct lw_err *err)
{
	const struct command *c = w->n > 0 ? find(w->word[0]) : NULL;

	line[0] = '\0';
	if (c == NULL)
		return lw_err_set(
			err, -EINVAL,
			"give a command: status, sessions, kick or drain; --help tells more");
	if (w->n > 1 && !c->words)
		return lw_err_set(err, -EINVAL, "%s takes no '%s'", c->name, w->word[1]);
	if (w->user != NULL && !c->user)
		return lw_err_set(err, -EINVAL, "%s takes no --user", c->name);
	if ((w->timeout != NULL || w->off) && !c->drain)
		return lw_err_set(err, -EINVAL, "%s takes no %s", c->name,
		                  w->off ? "--off" : "--timeout");
	return c->write(w, line, err);
}

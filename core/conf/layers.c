/* SPDX-License-Identifier: MIT */
/* Environment and command line over the file: scalar keys of the core only, no secrets. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/internal.h"
#include "module/near.h"

#define PREFIX         "LANEWAY_"
#define NAME_MAX_BYTES 128

struct found {
	const struct lw_option *o;
	char *base;
	char name[NAME_MAX_BYTES]; /* of the nearest key, for the warning */
	struct lw_near near;
	char candidates[64][NAME_MAX_BYTES];
	uint32_t n;
};

/* network.mtu as NETWORK_MTU or network-mtu */
static void spell(char *dst, const char *prefix, const char *name, char separator, bool upper)
{
	size_t n = 0;

	for (const char *p = prefix; *p != '\0' && n + 2 < NAME_MAX_BYTES; p++)
		dst[n++] = *p;
	if (n > 0)
		dst[n++] = separator;
	for (const char *p = name; *p != '\0' && n + 1 < NAME_MAX_BYTES; p++) {
		char ch = *p;

		if (ch == '_')
			ch = separator;
		if (upper)
			ch = (char)toupper((unsigned char)ch);
		dst[n++] = ch;
	}
	dst[n] = '\0';
}

static void search(struct found *f, const struct lw_option *table, char *base, const char *prefix,
                   const char *wanted, char separator, bool upper)
{
	for (const struct lw_option *o = table; o->name != NULL; o++) {
		char name[NAME_MAX_BYTES];

		spell(name, prefix, o->name, separator, upper);
		if (o->type == LW_OPT_SECTION) {
			search(f, o->section, base + o->offset, name, wanted, separator, upper);
			continue;
		}
		if (o->type == LW_OPT_MODULE)
			continue;
		if (strcmp(name, wanted) == 0) {
			f->o = o;
			f->base = base;
			return;
		}
		if (f->n < 64 && !(o->flags & (LW_OPTF_LIST | LW_OPTF_SECRET))) {
			memcpy(f->candidates[f->n], name, sizeof(name));
			lw_near_offer(&f->near, f->candidates[f->n++]);
		}
	}
}

static void set(struct lw_conf *c, const struct found *f, const char *prefix, const char *key,
                const char *value, const char *source)
{
	char name[NAME_MAX_BYTES + 16];
	const struct spot at = { .source = source, .name = name };

	(void)snprintf(name, sizeof(name), "%s%s", prefix, key);
	if (f->o->flags & (LW_OPTF_LIST | LW_OPTF_SECRET))
		conf_error_at(c, &at, "a %s is not taken from the %s; write it into the file",
		              f->o->flags & LW_OPTF_SECRET ? "secret" : "list", source);
	else
		conf_value(c, f->o, f->base, key, value, &at);
}

void conf_environment(struct lw_conf *c)
{
	for (char **e = environ; *e != NULL; e++) {
		const char *equals = strchr(*e, '=');
		char wanted[NAME_MAX_BYTES];
		struct found f = { 0 };
		size_t n;

		if (strncmp(*e, PREFIX, strlen(PREFIX)) != 0 || equals == NULL)
			continue;
		n = (size_t)(equals - *e) - strlen(PREFIX);
		if (n >= sizeof(wanted))
			continue;
		memcpy(wanted, *e + strlen(PREFIX), n);
		wanted[n] = '\0';
		lw_near_init(&f.near, wanted);
		search(&f, c->program->table, c->options, "", wanted, '_', true);
		if (f.o != NULL)
			set(c, &f, PREFIX, wanted, equals + 1, "environment");
		else
			lw_log_write(LW_LOG_WARN, "conf", "unknown variable " PREFIX "%s%s%s",
			             wanted, f.near.best != NULL ? "; did you mean " PREFIX : "",
			             f.near.best != NULL ? f.near.best : "");
	}
}

bool lw_conf_set(struct lw_conf *c, const char *name, const char *value,
                 char near[LW_CONF_NEAR_MAX])
{
	struct found f = { 0 };

	lw_near_init(&f.near, name);
	search(&f, c->program->table, c->options, "", name, '-', false);
	(void)snprintf(near, LW_CONF_NEAR_MAX, "%s", f.near.best != NULL ? f.near.best : "");
	if (f.o == NULL)
		return false;
	set(c, &f, "--", name, value, "command line");
	return true;
}

/* SPDX-License-Identifier: MIT */
#include "conf/expresslane.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "conf/internal.h"

#define SECOND 1000000LL
#define AUTO   "auto"

/* what `auto` chooses from */
static const char *const shipped[] = { "ipsecmb", "wolfcrypt", "openssl" };

const struct lw_option lw_expresslane_table[] = {
	{ .name = "enabled",
	  .def = "on",
	  .doc = "carry the packets of UDP sessions beside DTLS, which costs less, where the "
	         "peer does too",
	  .type = LW_OPT_BOOL,
	  LW_OPTION_AT(struct lw_expresslane_options, enabled) },
	{ .name = "cipher",
	  .def = AUTO,
	  .doc = "module that seals them, and TLS records where it is faster than wolfSSL, or "
	         "several in order of preference; auto: the fastest here",
	  .type = LW_OPT_STRING,
	  .flags = LW_OPTF_LIST,
	  LW_OPTION_AT(struct lw_expresslane_options, cipher) },
	{ .name = "rotate",
	  .def = "15m",
	  .doc = "age from which on a key is replaced, when there is traffic",
	  .type = LW_OPT_DURATION,
	  LW_OPTION_AT(struct lw_expresslane_options, rotate_us),
	  .min = SECOND,
	  .max = 86400 * SECOND },
	{ .name = NULL },
};

static int find(const struct lw_conf *c, struct lw_expresslane_options *o, const char *name,
                struct lw_err *err)
{
	char full[128];
	int r;

	(void)snprintf(full, sizeof(full), "cipher-%s", name);
	r = lw_loader_get(c->loader, full, NULL, &o->modules[o->n_modules], err);
	if (r == 0)
		o->n_modules++;
	return r;
}

/* Nobody named these: one whose library is not there is a fact about the system, no mistake. */
static void find_shipped(const struct lw_conf *c, struct lw_expresslane_options *o)
{
	for (size_t i = 0; i < sizeof(shipped) / sizeof(shipped[0]); i++) {
		struct lw_err err = { 0 };
		int r = find(c, o, shipped[i], &err);

		if (r < 0 && r != -ENOENT)
			lw_log_write(LW_LOG_WARN, "conf", "cipher-%s is left out: %s", shipped[i],
			             err.text);
	}
}

void lw_expresslane_find(struct lw_conf *c, struct lw_expresslane_options *o)
{
	const char *const *names = o->cipher.items;

	o->n_modules = 0;
	o->fastest = false;
	if (o->cipher.n == 1 && strcmp(names[0], AUTO) == 0) {
		o->fastest = true;
		find_shipped(c, o);
		return;
	}
	if (o->cipher.n == 0)
		lw_conf_error(c, &o->cipher, "cipher: the list is empty; name a module, or " AUTO);
	for (uint32_t i = 0; i < o->cipher.n; i++) {
		struct lw_err err = { 0 };

		if (i == LW_EXPRESSLANE_CIPHERS)
			lw_conf_error_item(c, &o->cipher, i, "cipher: more than %u; remove some",
			                   LW_EXPRESSLANE_CIPHERS);
		if (i >= LW_EXPRESSLANE_CIPHERS)
			return;
		if (strcmp(names[i], AUTO) == 0)
			lw_conf_error_item(c, &o->cipher, i,
			                   "cipher: " AUTO " stands alone; remove the others");
		else if (find(c, o, names[i], &err) < 0)
			lw_conf_error_item(c, &o->cipher, i, "cipher: %s", err.text);
	}
}

uint64_t lw_expresslane_rotate_us(const struct lw_expresslane_options *o)
{
	return o->enabled ? (uint64_t)o->rotate_us : 0;
}

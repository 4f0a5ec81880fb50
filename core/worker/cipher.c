/* SPDX-License-Identifier: MIT */
#include "worker/cipher.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "module/cipher_check.h"

#define WHO "expresslane"

static int use_one(struct lw_engine *e, const struct lw_module *m, uint32_t role,
                   uint32_t inside_mtu, struct lw_err *err)
{
	struct lw_instance *in;
	int r = lw_engine_add(e, m, NULL, &in, err);

	if (r < 0)
		return r;
	r = lw_engine_prepare(e, in, role, inside_mtu, err);
	if (r < 0)
		lw_engine_remove(e, in);
	return r;
}

int lw_cipher_use(struct lw_engine *e, const struct lw_cipher_plan *plan, uint32_t role,
                  uint32_t inside_mtu, uint64_t *ret_rotate_us, struct lw_err *err)
{
	*ret_rotate_us = 0;
	for (uint32_t i = 0; i < plan->n; i++) {
		const struct lw_module *m = plan->modules[i];
		int r = use_one(e, m, role, inside_mtu, err);

		if (r == 0) {
			lw_log_write(LW_LOG_NOTICE, WHO, "%s, a new key every %llu s", m->name,
			             (unsigned long long)(plan->rotate_us / LW_US_PER_S));
			*ret_rotate_us = plan->rotate_us;
			return 0;
		}
		if (r != -EOPNOTSUPP)
			return r;
		lw_log_write(LW_LOG_WARN, WHO, "%s cannot be used: %s", m->name, err->text);
	}
	lw_log_write(LW_LOG_NOTICE, WHO, "off, all data goes in DTLS");
	return 0;
}

void lw_cipher_attach(struct lw_engine *e, struct lw_instance *in)
{
	lw_lane_env_init(&e->core.path.lane, in->module->ops.cipher, in->inst, &in->workers[0],
	                 &e->core.random);
}

int lw_cipher_examine(const struct lw_engine *e, struct lw_err *err)
{
	for (uint32_t i = 0; i < e->n_instances; i++) {
		const struct lw_instance *in = e->instances[i];
		struct lw_err why = { 0 };
		int r;

		if (in->module->kind != LW_KIND_CIPHER)
			continue;
		r = lw_cipher_check(in->module->ops.cipher, in->inst, &in->workers[0], &why);
		if (r < 0)
			return lw_err_set(err, r, "%s must not be used: %s", in->module->name,
			                  why.text);
	}
	return 0;
}

const char *lw_cipher_name(const struct lw_engine *e)
{
	for (uint32_t i = 0; i < e->n_instances; i++) {
		if (e->instances[i]->module->kind == LW_KIND_CIPHER)
			return e->instances[i]->module->name;
	}
	return "off";
}

/* SPDX-License-Identifier: MIT */
/* The cipher among the instances of an engine: Expresslane's, and maybe that of TLS records. */
#ifndef LW_WORKER_CIPHER_H
#define LW_WORKER_CIPHER_H

#include <stdbool.h>

#include "worker/engine.h"

/* what a role wants of a cipher; lives while it runs */
struct lw_cipher_plan {
	const struct lw_module *const
		*modules; /* in order of preference; none: Expresslane is off */
	uint32_t n;
	bool fastest;       /* not the order decides, but which is the fastest here */
	uint64_t rotate_us; /* age of a key of Expresslane; 0: it is off, and the cipher for records
	                       only */
};

/**
 * lw_cipher_use() - add the first cipher that the system can do, or the fastest
 *
 * Logs which it is and why, or that there is none. With @plan->fastest one that cannot be made, or
 * does not know the answers, is left out with a warning: nobody asked for it by name.
 *
 * @ret_rotate_us: what the role's tunnels get: 0 where Expresslane is off
 *
 * Context: control thread, before lw_engine_attach().
 * Return:  0, or a negative errno with a sentence; of an order, only -EOPNOTSUPP moves on to the
 *          next, and of the last it is the answer: who names ciphers wants one of them.
 */
int lw_cipher_use(struct lw_engine *e, const struct lw_cipher_plan *plan, uint32_t role,
                  uint32_t inside_mtu, uint64_t *ret_rotate_us, struct lw_err *err);

/* lw_cipher_attach() - give a worker's sessions a cipher that was added */
void lw_cipher_attach(struct lw_core *c, const struct lw_instance *in, struct lw_worker *w);

/* lw_cipher_examine() - known answers, of all that were added and started; a wrong one is an error
 */
int lw_cipher_examine(const struct lw_engine *e, struct lw_err *err);

/* lw_cipher_instance() - the one that was added, or NULL */
struct lw_instance *lw_cipher_instance(const struct lw_engine *e);

/* lw_cipher_name() - for people: the module that Expresslane uses, or "off" */
const char *lw_cipher_name(const struct lw_engine *e);

#endif

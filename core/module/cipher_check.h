/* SPDX-License-Identifier: MIT */
#ifndef LW_MODULE_CIPHER_CHECK_H
#define LW_MODULE_CIPHER_CHECK_H

#include <laneway/err.h>
#include <laneway/module.h>

/**
 * lw_cipher_check() - put known questions to a cipher before it carries anything
 *
 * Cases of NIST, the golden vectors of Expresslane (wire.md 13.1) and longer packets, sealed and
 * opened in arrays, in place and elsewhere, at odd addresses; each must be refused with a bit
 * turned over anywhere. Takes a millisecond or so.
 *
 * @w: a worker that is started
 *
 * Context: control thread before the worker's thread runs, or the worker.
 * Return:  0; -EBADMSG: it gives a wrong answer, which the sentence names; another negative errno:
 *          it gives none.
 */
int lw_cipher_check(const struct lw_cipher_ops *ops, void *inst, struct lw_worker *w,
                    struct lw_err *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * AES-256-GCM of the records by a cipher module, where that is faster than the library's own. It is
 * an affair of a thread: a session whose records a worker carries is sealed and opened by what that
 * worker uses, and by the library itself on a thread that uses nothing, call by call.
 */
#ifndef LW_TLS_RECORDS_H
#define LW_TLS_RECORDS_H

#include <stdint.h>

#include <laneway/err.h>
#include <laneway/module.h>

struct lw_tls_records;

/* bytes of a record that lw_tls_records_race() times */
#define LW_TLS_RACE_BYTES 1350u

/* nanoseconds for one operation on LW_TLS_RACE_BYTES; the best of all rounds */
struct lw_tls_race {
	uint32_t seal_ns;
	uint32_t open_ns;
	uint32_t library_seal_ns;
	uint32_t library_open_ns;
};

/* what has been done so far: operations, forgeries among them, and keys that were set up */
struct lw_tls_records_counts {
	uint64_t sealed;
	uint64_t opened;
	uint64_t refused;
	uint64_t keys;
};

/**
 * lw_tls_records_create() - what one worker uses
 *
 * @ops:  of a cipher that knows the answers; it, @inst and @w outlive the result
 * @w:    handed to all operations; started
 * @ret:  set on success; free with lw_tls_records_destroy()
 * @err:  filled with a sentence on failure; may be NULL
 *
 * Sessions that begin later, on any thread, can make use of it; those before never do.
 *
 * Context: control thread.
 * Return:  0, -EOPNOTSUPP (this wolfSSL has no crypto callbacks, or does not start), -ENOMEM.
 */
int lw_tls_records_create(const struct lw_cipher_ops *ops, void *inst, struct lw_worker *w,
                          struct lw_tls_records **ret, struct lw_err *err);

/* lw_tls_records_destroy() - its sessions have been destroyed, no thread uses it; NULL is fine */
void lw_tls_records_destroy(struct lw_tls_records *r);

/**
 * lw_tls_records_race() - time it and the library's own code, by turns
 *
 * What is timed is what a session pays: the way through the library is part of it. Takes 4 ms.
 *
 * Context: control thread, before any thread uses it.
 * Return:  0, or a negative errno: it fails, and must not be used.
 */
int lw_tls_records_race(struct lw_tls_records *r, struct lw_tls_race *ret);

/**
 * lw_tls_records_use() - for records that the calling thread writes and reads from here on
 *
 * @r: used by one thread at a time; NULL: nothing. Sessions of which it has keys are destroyed on
 *     that thread, or after it has ended
 *
 * Context: any thread.
 */
void lw_tls_records_use(struct lw_tls_records *r);

/* lw_tls_records_counts() - any thread, while it lives */
void lw_tls_records_counts(const struct lw_tls_records *r, struct lw_tls_records_counts *ret);

#endif

/* SPDX-License-Identifier: MIT */
#include "worker/records.h"

#include "base/log.h"
#include "tls/records.h"
#include "worker/cipher.h"
#include "worker/engine.h"

#define WHO    "tls"
#define ITSELF "AES-256-GCM records by wolfSSL itself"

/*
 * What a module must save of the time, or it is not worth the way through the library. One that is
 * wolfSSL's own code never does: cipher-wolfcrypt, and cipher-null as long as it is examined.
 */
#define SAVED_PERCENT 10u

static bool pays(const struct lw_tls_race *t)
{
	uint64_t module = (uint64_t)t->seal_ns + t->open_ns;
	uint64_t library = (uint64_t)t->library_seal_ns + t->library_open_ns;

	return module * 100 < library * (100 - SAVED_PERCENT);
}

static int create(struct lw_instance *in, uint32_t worker, struct lw_tls_records **ret,
                  struct lw_err *err)
{
	return lw_tls_records_create(in->module->ops.cipher, in->inst, &in->workers[worker], ret,
	                             err);
}

/* The first worker's, timed. */
static int try(struct lw_instance *in, struct lw_tls_records **ret, struct lw_tls_race *race,
               struct lw_err *err)
{
	struct lw_tls_records *r;
	int result = create(in, 0, &r, err);

	if (result < 0)
		return result;
	result = lw_tls_records_race(r, race);
	if (result < 0) {
		lw_tls_records_destroy(r);
		return lw_err_set(err, result, "%s fails with records", in->module->name);
	}
	*ret = r;
	return 0;
}

void lw_records_choose(struct lw_engine *e)
{
	struct lw_instance *in = lw_cipher_instance(e);
	struct lw_tls_records *r = NULL;
	struct lw_tls_race t = { 0 };
	struct lw_err err = { 0 };

	if (in == NULL) {
		lw_log_write(LW_LOG_NOTICE, WHO, ITSELF ": there is no cipher module");
		return;
	}
	if (try(in, &r, &t, &err) < 0) {
		lw_log_write(LW_LOG_WARN, WHO, ITSELF ": %s", err.text);
		return;
	}
	lw_log_write(LW_LOG_NOTICE, WHO,
	             "%s%s; ns to seal and to open %u bytes: %s %u and %u, wolfSSL %u and %u",
	             pays(&t) ? "AES-256-GCM records by " : ITSELF,
	             pays(&t) ? in->module->name : "", LW_TLS_RACE_BYTES, in->module->name,
	             t.seal_ns, t.open_ns, t.library_seal_ns, t.library_open_ns);
	if (!pays(&t)) {
		lw_tls_records_destroy(r);
		return;
	}
	e->cores[0].records = r;
	for (uint32_t i = 1; i < e->n_workers; i++) {
		if (create(in, i, &e->cores[i].records, &err) < 0)
			lw_log_write(LW_LOG_WARN, WHO, "worker %u: " ITSELF ": %s", i, err.text);
	}
}

const char *lw_records_name(const struct lw_engine *e)
{
	return e->cores[0].records != NULL ? lw_cipher_instance(e)->module->name : "wolfssl";
}

static void add(const struct lw_tls_records *r, struct lw_tls_records_counts *sum)
{
	struct lw_tls_records_counts n;

	if (r == NULL)
		return;
	lw_tls_records_counts(r, &n);
	sum->sealed += n.sealed;
	sum->opened += n.opened;
	sum->refused += n.refused;
	sum->keys += n.keys;
}

void lw_records_counters(const struct lw_engine *e,
                         void (*fn)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct lw_tls_records_counts n = { 0 };

	for (uint32_t i = 0; i < e->n_workers; i++)
		add(e->cores[i].records, &n);
	fn(arg, "records_sealed", n.sealed);
	fn(arg, "records_opened", n.opened);
	fn(arg, "records_refused", n.refused);
	fn(arg, "records_keys", n.keys);
}

/* SPDX-License-Identifier: MIT */
#include "tls/records.h"

#include "tls/internal.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef WOLF_CRYPTO_CB
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/cryptocb.h>
#pragma GCC diagnostic pop
#endif

#include "base/wipe.h"

#define KEY_LEN LW_TLS_KEY_LEN
#define IV_LEN  12u
#define TAG_LEN 16u

#ifdef WOLF_CRYPTO_CB
struct lw_tls_records {
	const struct lw_cipher_ops *ops;
	void *inst;
	struct lw_worker *w;
	uint64_t alive; /* keys */
	struct lw_tls_records_counts counts;
};

/* of this thread */
static _Thread_local struct {
	struct lw_tls_records *records;
	struct lw_tls_keys *keys; /* of the session in hand */
} here;

static pthread_once_t device_once = PTHREAD_ONCE_INIT;
static int device_result;
static atomic_bool device_known;

/* one writer, any readers */
static void count(uint64_t *n)
{
	__atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
}

static uint64_t load(const uint64_t *n)
{
	return __atomic_load_n(n, __ATOMIC_RELAXED);
}

/* --- keys --- */

static void drop(struct lw_tls_key *k)
{
	struct lw_tls_records *r = k->owner;

	if (k->state == NULL)
		return;
	r->ops->key_destroy(r->inst, r->w, k->state);
	r->alive--;
	k->state = NULL;
}

void lw_tls_keys_fini(struct lw_tls_keys *keys)
{
	drop(&keys->seal);
	drop(&keys->open);
	lw_wipe(keys, sizeof(*keys));
}

/*
 * The library does not tell when a key changes, which either side may bring about at any time, so
 * its bytes are compared for each record. Returns NULL where the library's own code shall do it.
 */
static void *find_key(struct lw_tls_records *r, struct lw_tls_key *k, const Aes *aes)
{
	if (k->state != NULL && k->owner != r)
		return NULL; /* another thread's, who alone may free it */
	if (!lw_equal_ct(k->bytes, aes->devKey, KEY_LEN)) {
		drop(k);
		memcpy(k->bytes, aes->devKey, KEY_LEN);
		k->records = 0;
	}
	if (k->records < LW_TLS_RECORDS_BEFORE) {
		k->records++;
		return NULL;
	}
	if (k->state != NULL)
		return k->state;
	if (r->ops->key_create(r->inst, r->w, k->bytes, &k->state) < 0) {
		k->state = NULL;
		return NULL;
	}
	k->owner = r;
	r->alive++;
	count(&r->counts.keys);
	return k->state;
}

/* --- what the library asks --- */

/* Whatever else it has for AES-GCM is no record. */
static bool is_record(const Aes *aes, word32 len, word32 iv_len, word32 tag_len, word32 aad_len)
{
	return aes->keylen == (int)KEY_LEN && iv_len == IV_LEN && tag_len == TAG_LEN && len > 0 &&
	       aad_len <= UINT16_MAX;
}

static int seal(struct lw_tls_records *r, struct lw_tls_key *k, const wc_CryptoCb_AesAuthEnc *in)
{
	struct lw_cipher_op op = { .dst = in->out,
		                   .src = in->in,
		                   .iv = in->iv,
		                   .aad = in->authIn,
		                   .tag = in->authTag,
		                   .len = in->sz,
		                   .aad_len = (uint16_t)in->authInSz };

	if (!is_record(in->aes, in->sz, in->ivSz, in->authTagSz, in->authInSz))
		return CRYPTOCB_UNAVAILABLE;
	op.key = find_key(r, k, in->aes);
	if (op.key == NULL)
		return CRYPTOCB_UNAVAILABLE;
	/* in place: what is broken now cannot be left to the library any more */
	if (r->ops->seal(r->inst, r->w, &op, 1) < 0 || op.status != 0)
		return WC_HW_E;
	count(&r->counts.sealed);
	return 0;
}

/* The tag is compared by the module, in constant time. */
static int open_one(struct lw_tls_records *r, struct lw_tls_key *k,
                    const wc_CryptoCb_AesAuthDec *in)
{
	uint8_t tag[TAG_LEN];
	struct lw_cipher_op op = { .dst = in->out,
		                   .src = in->in,
		                   .iv = in->iv,
		                   .aad = in->authIn,
		                   .tag = tag,
		                   .len = in->sz,
		                   .aad_len = (uint16_t)in->authInSz };
	int result;

	if (!is_record(in->aes, in->sz, in->ivSz, in->authTagSz, in->authInSz))
		return CRYPTOCB_UNAVAILABLE;
	op.key = find_key(r, k, in->aes);
	if (op.key == NULL)
		return CRYPTOCB_UNAVAILABLE;
	memcpy(tag, in->authTag, TAG_LEN);
	result = r->ops->open(r->inst, r->w, &op, 1);
	count(&r->counts.opened);
	if (result == 0 && op.status == 0)
		return 0;
	lw_wipe(in->out, in->sz);
	count(&r->counts.refused);
	return AES_GCM_AUTH_E;
}

static int on_crypto(int device, wc_CryptoInfo *info, void *arg)
{
	(void)device;
	(void)arg;
	if (here.records == NULL || here.keys == NULL || info->algo_type != WC_ALGO_TYPE_CIPHER ||
	    info->cipher.type != WC_CIPHER_AES_GCM)
		return CRYPTOCB_UNAVAILABLE;
	if (info->cipher.enc)
		return seal(here.records, &here.keys->seal, &info->cipher.aesgcm_enc);
	return open_one(here.records, &here.keys->open, &info->cipher.aesgcm_dec);
}

void lw_tls_records_begin(WOLFSSL *ssl)
{
	if (atomic_load_explicit(&device_known, memory_order_acquire))
		(void)wolfSSL_SetDevId(ssl, LW_TLS_DEVICE);
}

void lw_tls_records_hold(struct lw_tls_keys *keys)
{
	here.keys = keys;
}

/* --- life --- */

static void register_device(void)
{
	device_result = wc_CryptoCb_RegisterDevice(LW_TLS_DEVICE, on_crypto, NULL);
	atomic_store_explicit(&device_known, device_result == 0, memory_order_release);
}

int lw_tls_records_create(const struct lw_cipher_ops *ops, void *inst, struct lw_worker *w,
                          struct lw_tls_records **ret, struct lw_err *err)
{
	struct lw_tls_records *r;
	int result = lw_tls_library_start(err);

	if (result < 0)
		return result;
	(void)pthread_once(&device_once, register_device);
	if (device_result != 0)
		return lw_err_set(err, -EOPNOTSUPP, "wolfSSL takes no more crypto callbacks");
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	r->ops = ops;
	r->inst = inst;
	r->w = w;
	*ret = r;
	return 0;
}

void lw_tls_records_destroy(struct lw_tls_records *r)
{
	if (r == NULL)
		return;
	assert(r->alive == 0);
	free(r);
}

void lw_tls_records_use(struct lw_tls_records *r)
{
	here.records = r;
}

void lw_tls_records_counts(const struct lw_tls_records *r, struct lw_tls_records_counts *ret)
{
	*ret = (struct lw_tls_records_counts){ .sealed = load(&r->counts.sealed),
		                               .opened = load(&r->counts.opened),
		                               .refused = load(&r->counts.refused),
		                               .keys = load(&r->counts.keys) };
}

/* --- the race --- */

/* rounds there are at least, however slow a cipher is, and at most, however fast */
#define ROUNDS_MIN 4u
#define ROUNDS_MAX 256u
#define RACE_NS    4000000u
#define RACE_ARRAY 32u
#define RACE_AAD   5u /* the header of a TLS record */

/* whose turn it is */
enum { LIBRARY, MODULE, RUNNERS };

struct track {
	Aes aes[RUNNERS];
	uint32_t seal_ns[RUNNERS];
	uint32_t open_ns[RUNNERS];
	struct lw_tls_keys keys;
	uint8_t iv[IV_LEN];
	uint8_t aad[RACE_AAD];
	uint8_t tag[RACE_ARRAY][TAG_LEN];
	uint8_t bytes[RACE_ARRAY][LW_TLS_RACE_BYTES];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* for one record, where that is the best so far */
static void keep_best(uint32_t *best_ns, uint64_t began_ns)
{
	uint64_t ns = (now_ns() - began_ns) / RACE_ARRAY;

	if (ns < *best_ns)
		*best_ns = (uint32_t)ns;
}

/* What one seals the other opens: the next round finds the same bytes, and both do the same. */
static int lap(struct track *t, int sealer, int opener)
{
	uint64_t began = now_ns();
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < RACE_ARRAY; i++)
		r = wc_AesGcmEncrypt(&t->aes[sealer], t->bytes[i], t->bytes[i], LW_TLS_RACE_BYTES,
		                     t->iv, IV_LEN, t->tag[i], TAG_LEN, t->aad, RACE_AAD);
	keep_best(&t->seal_ns[sealer], began);
	began = now_ns();
	for (uint32_t i = 0; r == 0 && i < RACE_ARRAY; i++)
		r = wc_AesGcmDecrypt(&t->aes[opener], t->bytes[i], t->bytes[i], LW_TLS_RACE_BYTES,
		                     t->iv, IV_LEN, t->tag[i], TAG_LEN, t->aad, RACE_AAD);
	keep_best(&t->open_ns[opener], began);
	return r == 0 ? 0 : -EIO;
}

static int prepare(struct track *t)
{
	static const uint8_t key[KEY_LEN]; /* what t->keys begins with */
	int r = 0;

	for (int i = 0; r == 0 && i < RUNNERS; i++) {
		t->seal_ns[i] = UINT32_MAX;
		t->open_ns[i] = UINT32_MAX;
		r = wc_AesInit(&t->aes[i], NULL, i == MODULE ? LW_TLS_DEVICE : INVALID_DEVID);
		if (r == 0)
			r = wc_AesGcmSetKey(&t->aes[i], key, KEY_LEN);
	}
	t->keys.seal.records = LW_TLS_RECORDS_BEFORE;
	t->keys.open.records = LW_TLS_RECORDS_BEFORE;
	return r == 0 ? 0 : -EIO;
}

int lw_tls_records_race(struct lw_tls_records *r, struct lw_tls_race *ret)
{
	struct track *t = calloc(1, sizeof(*t));
	uint64_t end = now_ns() + RACE_NS;
	int result;

	if (t == NULL)
		return -ENOMEM;
	result = prepare(t);
	lw_tls_records_use(r);
	lw_tls_records_hold(&t->keys);
	for (uint32_t k = 0; k < ROUNDS_MAX && (k < ROUNDS_MIN || now_ns() < end); k++) {
		if (result == 0)
			result = lap(t, MODULE, LIBRARY);
		if (result == 0)
			result = lap(t, LIBRARY, MODULE);
	}
	lw_tls_records_hold(NULL);
	lw_tls_records_use(NULL);
	lw_tls_keys_fini(&t->keys);
	for (int i = 0; i < RUNNERS; i++)
		wc_AesFree(&t->aes[i]);
	if (result == 0)
		*ret = (struct lw_tls_race){ .seal_ns = t->seal_ns[MODULE],
			                     .open_ns = t->open_ns[MODULE],
			                     .library_seal_ns = t->seal_ns[LIBRARY],
			                     .library_open_ns = t->open_ns[LIBRARY] };
	r->counts = (struct lw_tls_records_counts){ .keys = 0 };
	free(t);
	return result;
}
#else
void lw_tls_keys_fini(struct lw_tls_keys *keys)
{
	(void)keys;
}

void lw_tls_records_begin(WOLFSSL *ssl)
{
	(void)ssl;
}

void lw_tls_records_hold(struct lw_tls_keys *keys)
{
	(void)keys;
}

int lw_tls_records_create(const struct lw_cipher_ops *ops, void *inst, struct lw_worker *w,
                          struct lw_tls_records **ret, struct lw_err *err)
{
	(void)ops;
	(void)inst;
	(void)w;
	(void)ret;
	return lw_err_set(err, -EOPNOTSUPP, "this wolfSSL has no crypto callbacks");
}

void lw_tls_records_destroy(struct lw_tls_records *r)
{
	(void)r;
}

int lw_tls_records_race(struct lw_tls_records *r, struct lw_tls_race *ret)
{
	(void)r;
	(void)ret;
	return -EOPNOTSUPP;
}

void lw_tls_records_use(struct lw_tls_records *r)
{
	(void)r;
}

void lw_tls_records_counts(const struct lw_tls_records *r, struct lw_tls_records_counts *ret)
{
	(void)r;
	(void)ret;
}
#endif

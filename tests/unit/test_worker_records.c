/* SPDX-License-Identifier: MIT */
/* Whether an engine takes its cipher for the records of TLS too, and that its worker then does. */
#include <errno.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "tls/internal.h"
#include "unit/test.h"
#include "worker/cipher.h"
#include "worker/engine.h"
#include "worker/records.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/wolfcrypt/aes.h>
#pragma GCC diagnostic pop

extern const struct lw_module laneway_module; /* cipher-wolfcrypt */

/*
 * A cipher faster than any processor: it knows the record of the race by heart, in plain and
 * sealed, and asks wolfCrypt about all others.
 */
static struct {
	bool known;
	uint8_t sealed[LW_TLS_RACE_BYTES];
	uint8_t tag[16];
	int slow_us; /* each operation */
	int broken;  /* what its operations on that record answer */
} heart;

static const struct lw_cipher_ops *real(void)
{
	return laneway_module.ops.cipher;
}

static int key_create(void *inst, struct lw_worker *w, const uint8_t *key32, void **ret_key)
{
	return real()->key_create(inst, w, key32, ret_key);
}

static void key_destroy(void *inst, struct lw_worker *w, void *key)
{
	real()->key_destroy(inst, w, key);
}

static void spin(void)
{
	struct timespec from;
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - from.tv_sec) * 1000000 + (now.tv_nsec - from.tv_nsec) / 1000 <
	         heart.slow_us);
}

static int seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	int r;

	if (heart.slow_us > 0)
		spin();
	if (ops->len != LW_TLS_RACE_BYTES || n != 1)
		return real()->seal(inst, w, ops, n);
	if (heart.known) {
		memcpy(ops->dst, heart.sealed, ops->len);
		memcpy(ops->tag, heart.tag, sizeof(heart.tag));
		ops->status = 0;
		return heart.broken;
	}
	r = real()->seal(inst, w, ops, 1);
	memcpy(heart.sealed, ops->dst, ops->len);
	memcpy(heart.tag, ops->tag, sizeof(heart.tag));
	heart.known = true;
	return r;
}

static int open_ops(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	if (heart.slow_us > 0)
		spin();
	if (ops->len != LW_TLS_RACE_BYTES || n != 1)
		return real()->open(inst, w, ops, n);
	memset(ops->dst, 0, ops->len);
	ops->status = 0;
	return heart.broken;
}

static int create(const struct lw_host *h, const void *opts, void **ret_inst, const void **ret_conf,
                  struct lw_err *err)
{
	(void)h;
	(void)opts;
	(void)ret_conf;
	(void)err;
	*ret_inst = &heart;
	return 0;
}

static void destroy(void *inst)
{
	(void)inst;
}

static const struct lw_life_ops life = { .size = sizeof(life),
	                                 .create = create,
	                                 .destroy = destroy };
static const struct lw_cipher_ops ops = { .size = sizeof(ops),
	                                  .key_create = key_create,
	                                  .key_destroy = key_destroy,
	                                  .seal = seal,
	                                  .open = open_ops };
static const struct lw_module by_heart = { .kind = LW_KIND_CIPHER,
	                                   .size = sizeof(by_heart),
	                                   .name = "cipher-heart",
	                                   .version = "1",
	                                   .summary = "",
	                                   .life = &life,
	                                   .ops = { .cipher = &ops } };

static struct lw_engine engine;
static struct lw_err err;

static int setup(void **state)
{
	(void)state;
	memset(&heart, 0, sizeof(heart));
	memset(&err, 0, sizeof(err));
	return lw_engine_init(&engine, 1, &err);
}

static int teardown(void **state)
{
	(void)state;
	lw_engine_fini(&engine);
	return 0;
}

static void use(const struct lw_module *m)
{
	const struct lw_cipher_plan plan = { .modules = &m, .n = 1, .rotate_us = 77000000 };
	uint64_t rotate_us;

	if (lw_cipher_use(&engine, &plan, LW_ROLE_SERVER, 1350, &rotate_us, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(lw_instance_start(engine.instances[0], 0, &err), 0);
}

/* `line` gets what it logs */
static void choose(char *line, size_t size)
{
	int saved = dup(STDERR_FILENO);
	int fds[2];
	ssize_t got;

	assert_int_equal(pipe(fds), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	lw_records_choose(&engine);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	(void)close(fds[1]);
	got = read(fds[0], line, size - 1);
	(void)close(fds[0]);
	line[got > 0 ? got : 0] = '\0';
	print_message("%s", line);
}

static void assert_has(const char *line, const char *text)
{
	if (strstr(line, text) == NULL)
		fail_msg("'%s' is not in: %s", text, line);
}

static void choose__no_cipher__wolfssl(void **state)
{
	char line[1024];

	(void)state;
	choose(line, sizeof(line));
	assert_has(line, "AES-256-GCM records by wolfSSL itself: there is no cipher module");
	assert_string_equal(lw_records_name(&engine), "wolfssl");
	assert_null(engine.cores[0].records);
}

/* for tests of a module that is faster than wolfSSL */
static void skip_where_only_ours_is_slow(void)
{
#ifdef __SANITIZE_THREAD__
	print_message("ThreadSanitizer slows the module down, but not the library\n");
	skip();
#endif
}

static void choose__fast_module__taken(void **state)
{
	char line[1024];

	(void)state;
	skip_where_only_ours_is_slow();
	use(&by_heart);
	choose(line, sizeof(line));
	assert_has(line, "AES-256-GCM records by cipher-heart; ns to seal and to open 1350 bytes: "
	                 "cipher-heart ");
	assert_has(line, ", wolfSSL ");
	assert_string_equal(lw_records_name(&engine), "cipher-heart");
}

static void choose__slow_module__wolfssl(void **state)
{
	char line[1024];

	(void)state;
	heart.slow_us = 100;
	use(&by_heart);
	choose(line, sizeof(line));
	assert_has(line,
	           "AES-256-GCM records by wolfSSL itself; ns to seal and to open 1350 bytes: "
	           "cipher-heart 1");
	assert_string_equal(lw_records_name(&engine), "wolfssl");
}

/* the detour costs something and brings nothing; so cipher-null, too, never gets them */
static void choose__the_same_code__wolfssl(void **state)
{
	char line[1024];

	(void)state;
	use(&laneway_module);
	for (int i = 0; i < 20; i++) {
		choose(line, sizeof(line));
		assert_has(line, "records by wolfSSL itself; ");
		assert_null(engine.cores[0].records);
	}
}

static void choose__broken_module__wolfssl(void **state)
{
	char line[1024];

	(void)state;
	heart.broken = -EIO;
	use(&by_heart);
	choose(line, sizeof(line));
	assert_has(line, "records by wolfSSL itself: cipher-heart fails with records");
	assert_null(engine.cores[0].records);
}

/* --- on the worker --- */

struct asked {
	struct lw_mail mail;
	sem_t done;
	int r;
};

/* what a session does there */
static void seal_one(struct lw_mail *m)
{
	static const uint8_t key[LW_TLS_KEY_LEN];
	static const uint8_t iv[12];
	struct asked *a = (struct asked *)(void *)((char *)m - offsetof(struct asked, mail));
	struct lw_tls_keys keys = { .seal = { .records = LW_TLS_RECORDS_BEFORE } };
	uint8_t bytes[64] = { 0 };
	uint8_t tag[16];
	Aes aes;

	lw_tls_records_hold(&keys);
	a->r = wc_AesInit(&aes, NULL, LW_TLS_DEVICE);
	if (a->r == 0)
		a->r = wc_AesGcmSetKey(&aes, key, sizeof(key));
	if (a->r == 0)
		a->r = wc_AesGcmEncrypt(&aes, bytes, bytes, sizeof(bytes), iv, sizeof(iv), tag,
		                        sizeof(tag), NULL, 0);
	lw_tls_records_hold(NULL);
	lw_tls_keys_fini(&keys);
	wc_AesFree(&aes);
	(void)sem_post(&a->done);
}

static void end(struct lw_mail *m)
{
	(void)m;
	engine.cores[0].stop = true;
}

static void sum(void *arg, const char *name, uint64_t value)
{
	uint64_t *n = arg;

	n[0] += strcmp(name, "records_sealed") == 0 ? value : 0;
	n[1] += strcmp(name, "records_keys") == 0 ? value : 0;
	n[2]++;
}

static void engine__worker_runs__uses_what_was_chosen(void **state)
{
	struct asked a = { .mail = { .deliver = seal_one } };
	struct lw_mail stop = { .deliver = end };
	uint64_t n[3] = { 0 };

	(void)state;
	skip_where_only_ours_is_slow();
	use(&by_heart);
	assert_int_equal(sem_init(&a.done, 0, 0), 0);
	assert_int_equal(lw_path_init(&engine.cores[0].path, 16), 0);
	assert_int_equal(lw_engine_start(&engine, &err), 0);
	lw_engine_call(&engine, 0, &a.mail);
	(void)sem_wait(&a.done);
	lw_engine_call(&engine, 0, &stop);
	lw_engine_join(&engine); /* before anything fails: it would wait for the worker */
	assert_string_equal(lw_records_name(&engine), "cipher-heart");
	assert_int_equal(a.r, 0);
	lw_records_counters(&engine, sum, n);
	assert_int_equal(n[0], 1);
	assert_int_equal(n[1], 1);
	assert_int_equal(n[2], 4);
	/* the control thread uses nothing */
	seal_one(&a.mail);
	assert_int_equal(a.r, 0);
	memset(n, 0, sizeof(n));
	lw_records_counters(&engine, sum, n);
	assert_int_equal(n[0], 1);
	(void)sem_destroy(&a.done);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(choose__no_cipher__wolfssl),
		CASE(choose__fast_module__taken),
		CASE(choose__slow_module__wolfssl),
		CASE(choose__the_same_code__wolfssl),
		CASE(choose__broken_module__wolfssl),
		CASE(engine__worker_runs__uses_what_was_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

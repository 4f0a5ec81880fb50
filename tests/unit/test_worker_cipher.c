/* SPDX-License-Identifier: MIT */
/* Which cipher an engine takes for Expresslane, and that it must know the answers. */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "fake/fake_cipher.h"
#include "module/cipher_race.h"
#include "unit/test.h"
#include "worker/cipher.h"

extern const struct lw_module laneway_module; /* cipher-wolfcrypt */

/* a cipher whose answers are wrong, and what its steps say */
static struct lw_fake_cipher fake;
static int prepare_r;
static int create_r;

static int create(const struct lw_host *h, const void *opts, void **ret_inst, const void **ret_conf,
                  struct lw_err *err)
{
	(void)h;
	(void)opts;
	(void)ret_conf;
	(void)err;
	*ret_inst = &fake;
	return create_r;
}

static int prepare(void *inst, const struct lw_env *env, struct lw_caps *ret_caps,
                   struct lw_err *err)
{
	(void)inst;
	(void)env;
	(void)ret_caps;
	(void)err;
	return prepare_r;
}

static void destroy(void *inst)
{
	(void)inst;
}

static const struct lw_life_ops life = {
	.size = sizeof(life), .create = create, .prepare = prepare, .destroy = destroy
};

static const struct lw_module odd = { .kind = LW_KIND_CIPHER,
	                              .size = sizeof(odd),
	                              .name = "cipher-odd",
	                              .version = "1",
	                              .summary = "",
	                              .life = &life,
	                              .ops = { .cipher = &lw_fake_cipher_ops } };

/* wolfCrypt made slower, or broken by arrays as the race has them */
static int slow_seal_us;
static int slow_open_us;
static bool breaks;
static uint32_t broken; /* calls that failed so */
static uint32_t quick;  /* arrays of the race until it is slow */
static int started_r;   /* of worker_start */

static void spin(int us)
{
	struct timespec from;
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - from.tv_sec) * 1000000 + (now.tv_nsec - from.tv_nsec) / 1000 < us);
}

static int slow_seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	if (quick > 0 && n == LW_CIPHER_RACE_ARRAY)
		quick--;
	else
		spin(slow_seal_us);
	return laneway_module.ops.cipher->seal(inst, w, ops, n);
}

static int slow_open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	spin(slow_open_us);
	if (breaks && n == LW_CIPHER_RACE_ARRAY) {
		broken++;
		return -EIO;
	}
	return laneway_module.ops.cipher->open(inst, w, ops, n);
}

static int steady_seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	spin(100);
	return laneway_module.ops.cipher->seal(inst, w, ops, n);
}

static int steady_open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	spin(100);
	return laneway_module.ops.cipher->open(inst, w, ops, n);
}

static int slow_key_create(void *inst, struct lw_worker *w, const uint8_t *key32, void **ret_key)
{
	return laneway_module.ops.cipher->key_create(inst, w, key32, ret_key);
}

static void slow_key_destroy(void *inst, struct lw_worker *w, void *key)
{
	laneway_module.ops.cipher->key_destroy(inst, w, key);
}

/* uses the host, which has no core yet when it is tried */
static int start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *why)
{
	uint8_t bytes[8] = { 0 };

	(void)inst;
	(void)ret_state;
	(void)why;
	w->host->random(w, bytes, sizeof(bytes));
	assert_memory_not_equal(bytes, "\0\0\0\0\0\0\0", sizeof(bytes));
	assert_int_equal(w->host->watch(w->host, w, 0, 1), -EOPNOTSUPP);
	w->host->unwatch(w->host, w, 0);
	return started_r;
}

static const struct lw_life_ops slow_life = {
	.size = sizeof(slow_life), .create = create, .worker_start = start, .destroy = destroy
};
static const struct lw_cipher_ops slow_ops = { .size = sizeof(slow_ops),
	                                       .key_create = slow_key_create,
	                                       .key_destroy = slow_key_destroy,
	                                       .seal = slow_seal,
	                                       .open = slow_open };
static const struct lw_module slow = { .kind = LW_KIND_CIPHER,
	                               .size = sizeof(slow),
	                               .name = "cipher-slow",
	                               .version = "1",
	                               .summary = "",
	                               .life = &slow_life,
	                               .ops = { .cipher = &slow_ops } };

static const struct lw_cipher_ops steady_ops = { .size = sizeof(steady_ops),
	                                         .key_create = slow_key_create,
	                                         .key_destroy = slow_key_destroy,
	                                         .seal = steady_seal,
	                                         .open = steady_open };
static const struct lw_module steady = { .kind = LW_KIND_CIPHER,
	                                 .size = sizeof(steady),
	                                 .name = "cipher-steady",
	                                 .version = "1",
	                                 .summary = "",
	                                 .life = &life,
	                                 .ops = { .cipher = &steady_ops } };

static struct lw_engine engine;
static struct lw_err err;
static uint64_t rotate_us;

static int setup(void **state)
{
	(void)state;
	prepare_r = 0;
	create_r = 0;
	slow_seal_us = 0;
	slow_open_us = 0;
	breaks = false;
	broken = 0;
	quick = 0;
	started_r = 0;
	memset(&err, 0, sizeof(err));
	return lw_engine_init(&engine, 1, &err);
}

static int teardown(void **state)
{
	(void)state;
	lw_engine_fini(&engine);
	return 0;
}

static int use(const struct lw_module *const *modules, uint32_t n)
{
	const struct lw_cipher_plan plan = { .modules = modules, .n = n, .rotate_us = 77 };

	return lw_cipher_use(&engine, &plan, LW_ROLE_SERVER, 1350, &rotate_us, &err);
}

static int examine(void)
{
	lw_cipher_attach(engine.cores, engine.instances[0], engine.instances[0]->workers);
	return lw_cipher_examine(&engine, &err);
}

/* the same, the fastest of them; `line` gets what it logs */
static int use_fastest(const struct lw_module *const *modules, uint32_t n, char *line, size_t size)
{
	const struct lw_cipher_plan plan = {
		.modules = modules, .n = n, .fastest = true, .rotate_us = 77000000
	};
	int saved = dup(STDERR_FILENO);
	int fds[2];
	ssize_t got;
	int r;

	assert_int_equal(pipe(fds), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	r = lw_cipher_use(&engine, &plan, LW_ROLE_SERVER, 1350, &rotate_us, &err);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	(void)close(saved);
	(void)close(fds[1]);
	got = read(fds[0], line, size - 1);
	(void)close(fds[0]);
	line[got > 0 ? got : 0] = '\0';
	print_message("%s", line);
	return r;
}

static void assert_has(const char *line, const char *text)
{
	if (strstr(line, text) == NULL)
		fail_msg("'%s' is not in: %s", text, line);
}

static void use__none__off(void **state)
{
	(void)state;
	rotate_us = 1;
	assert_int_equal(use(NULL, 0), 0);
	assert_int_equal(rotate_us, 0);
	assert_int_equal(engine.n_instances, 0);
	assert_string_equal(lw_cipher_name(&engine), "off");
	assert_int_equal(lw_cipher_examine(&engine, &err), 0);
}

/* Expresslane is off: the cipher is there for records */
static void use__no_rotation__not_for_expresslane(void **state)
{
	const struct lw_module *const list[] = { &laneway_module };
	struct lw_cipher_plan plan = { .modules = list, .n = 1 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		plan.fastest = i == 1;
		rotate_us = 1;
		assert_int_equal(
			lw_cipher_use(&engine, &plan, LW_ROLE_SERVER, 1350, &rotate_us, &err), 0);
		assert_int_equal(rotate_us, 0);
		assert_string_equal(lw_cipher_name(&engine), "off");
		assert_ptr_equal(lw_cipher_instance(&engine)->module, &laneway_module);
		lw_engine_remove(&engine, engine.instances[0]);
	}
}

static void use__several__first_that_the_system_can_do(void **state)
{
	const struct lw_module *const list[] = { &odd, &laneway_module, &odd };

	(void)state;
	prepare_r = -EOPNOTSUPP;
	assert_int_equal(use(list, 3), 0);
	assert_int_equal(rotate_us, 77);
	assert_int_equal(engine.n_instances, 1);
	assert_string_equal(lw_cipher_name(&engine), "cipher-wolfcrypt");
	assert_int_equal(examine(), 0);
	assert_ptr_equal(engine.cores->path.lane.cipher, laneway_module.ops.cipher);
}

static void use__none_can_be_used__ends_the_start(void **state)
{
	const struct lw_module *const list[] = { &odd, &odd };

	(void)state;
	prepare_r = -EOPNOTSUPP;
	for (uint32_t n = 1; n <= 2; n++) {
		assert_int_equal(use(list, n), -EOPNOTSUPP);
		assert_non_null(strstr(err.text, "cipher-odd cannot be used: "));
		assert_int_equal(rotate_us, 0);
		assert_int_equal(engine.n_instances, 0);
	}
}

static void use__another_error__ends_the_start(void **state)
{
	const struct lw_module *const list[] = { &odd, &laneway_module };

	(void)state;
	for (int step = 0; step < 2; step++) {
		create_r = step == 0 ? -ENOMEM : 0;
		prepare_r = step == 1 ? -EIO : 0;
		assert_int_equal(use(list, 2), step == 0 ? -ENOMEM : -EIO);
		assert_int_equal(engine.n_instances, 0);
	}
}

static void examine__wrong_answers__refused_by_name(void **state)
{
	const struct lw_module *const list[] = { &odd };

	(void)state;
	assert_int_equal(use(list, 1), 0);
	assert_int_equal(examine(), -EBADMSG);
	assert_non_null(strstr(err.text, "cipher-odd must not be used: "));
	assert_int_equal(fake.alive, 0);
}

static void fastest__either_order_and_direction__the_fast_one(void **state)
{
	const struct lw_module *const lists[2][2] = { { &slow, &steady }, { &steady, &slow } };
	char line[2048];

	(void)state;
	for (int i = 0; i < 4; i++) {
		slow_seal_us = i < 2 ? 500 : 0;
		slow_open_us = i < 2 ? 0 : 500;
		assert_int_equal(use_fastest(lists[i % 2], 2, line, sizeof(line)), 0);
		assert_int_equal(rotate_us, 77000000);
		assert_int_equal(engine.n_instances, 1);
		assert_string_equal(lw_cipher_name(&engine), "cipher-steady");
		assert_has(line, "cipher-steady, a new key every 77 s: the fastest here; "
		                 "ns to seal and to open 1350 bytes: ");
		assert_has(line, i % 2 == 0 ? ": cipher-slow " : ", cipher-slow ");
		lw_engine_remove(&engine, engine.instances[0]);
	}
}

static void fastest__times__are_of_one_packet(void **state)
{
	const struct lw_module *const list[] = { &slow };
	char line[2048];
	const char *at;
	char *end = NULL;
	unsigned long seal;
	unsigned long open;

	(void)state;
	slow_seal_us = 3200;
	slow_open_us = 6400;
	assert_int_equal(use_fastest(list, 1, line, sizeof(line)), 0);
	assert_has(line, "the only one here");
	at = strstr(line, "bytes: cipher-slow ");
	assert_non_null(at);
	seal = strtoul(at + strlen("bytes: cipher-slow "), &end, 10);
	assert_int_equal(strncmp(end, " and ", 5), 0);
	open = strtoul(end + 5, NULL, 10);
	/* not less than it sleeps; more by what AES takes besides, and by what else the machine
	 * does, but not by as much as an array of packets is more than one */
	assert_in_range(seal, 100000, 1500000);
	assert_in_range(open, 200000, 3000000);
}

/* whatever else the machine does, now and then or from now on */
static void fastest__disturbed__best_round_counts(void **state)
{
	const struct lw_module *const list[] = { &steady, &slow };
	char line[2048];

	(void)state;
	quick = 2;
	slow_seal_us = 500;
	assert_int_equal(use_fastest(list, 2, line, sizeof(line)), 0);
	assert_string_equal(lw_cipher_name(&engine), "cipher-slow");
}

static void fastest__wrong_answers__left_out(void **state)
{
	const struct lw_module *const list[] = { &odd, &laneway_module, &odd };
	char line[2048];

	(void)state;
	assert_int_equal(use_fastest(list, 3, line, sizeof(line)), 0);
	assert_has(line, "cipher-odd is left out: cipher-odd must not be used: the cipher gives");
	assert_has(line, "cipher-wolfcrypt, a new key every 77 s: the only one here");
	assert_int_equal(engine.n_instances, 1);
	assert_int_equal(fake.alive, 0);
}

static void fastest__any_step_fails__left_out(void **state)
{
	const struct lw_module *const list[] = { &odd, &slow };
	char line[2048];

	(void)state;
	create_r = 0;
	for (int step = 0; step < 3; step++) {
		create_r = step == 0 ? -ENOMEM : 0;
		prepare_r = step == 1 ? -EIO : 0;
		started_r = step == 2 ? -EIO : 0;
		assert_int_equal(use_fastest(list, 2, line, sizeof(line)), 0);
		assert_has(line, "cipher-odd is left out: ");
		if (step == 1) {
			assert_string_equal(lw_cipher_name(&engine), "cipher-slow");
			lw_engine_remove(&engine, engine.instances[0]);
			continue;
		}
		assert_has(line, "cipher-slow is left out: ");
		assert_has(line, "off, all data goes in DTLS");
		assert_int_equal(rotate_us, 0);
		assert_int_equal(engine.n_instances, 0);
	}
}

static void fastest__fails_in_the_race__loses(void **state)
{
	const struct lw_module *const list[] = { &slow, &laneway_module };
	char line[2048];

	(void)state;
	breaks = true;
	assert_int_equal(use_fastest(list, 2, line, sizeof(line)), 0);
	assert_has(line, "cipher-slow failed: ");
	assert_int_equal(broken, 1);
	assert_string_equal(lw_cipher_name(&engine), "cipher-wolfcrypt");
	lw_engine_remove(&engine, engine.instances[0]);
	assert_int_equal(use_fastest(list, 1, line, sizeof(line)), 0);
	assert_has(line, "off, all data goes in DTLS");
	assert_int_equal(engine.n_instances, 0);
}

/* and the engine asks before its thread runs */
static void engine__cipher_gives_wrong_answers__does_not_start(void **state)
{
	const struct lw_module *const list[] = { &odd };

	(void)state;
	assert_int_equal(use(list, 1), 0);
	assert_int_equal(lw_engine_start(&engine, &err), -EBADMSG);
	assert_false(engine.cores->started);
	assert_non_null(strstr(err.text, "must not be used"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(use__none__off),
		CASE(use__no_rotation__not_for_expresslane),
		CASE(use__several__first_that_the_system_can_do),
		CASE(use__none_can_be_used__ends_the_start),
		CASE(use__another_error__ends_the_start),
		CASE(examine__wrong_answers__refused_by_name),
		CASE(fastest__either_order_and_direction__the_fast_one),
		CASE(fastest__times__are_of_one_packet),
		CASE(fastest__disturbed__best_round_counts),
		CASE(fastest__wrong_answers__left_out),
		CASE(fastest__any_step_fails__left_out),
		CASE(fastest__fails_in_the_race__loses),
		CASE(engine__cipher_gives_wrong_answers__does_not_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

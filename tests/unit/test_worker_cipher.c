/* SPDX-License-Identifier: MIT */
/* Which cipher an engine takes for Expresslane, and that it must know the answers. */
#include <errno.h>

#include "fake/fake_cipher.h"
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

static struct lw_engine engine;
static struct lw_err err;
static uint64_t rotate_us;

static int setup(void **state)
{
	(void)state;
	prepare_r = 0;
	create_r = 0;
	memset(&err, 0, sizeof(err));
	return lw_engine_init(&engine, &err);
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
	lw_cipher_attach(&engine, engine.instances[0]);
	return lw_cipher_examine(&engine, &err);
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
	assert_ptr_equal(engine.core.path.lane.cipher, laneway_module.ops.cipher);
}

static void use__none_can_be_used__off(void **state)
{
	const struct lw_module *const list[] = { &odd };

	(void)state;
	prepare_r = -EOPNOTSUPP;
	assert_int_equal(use(list, 1), 0);
	assert_int_equal(rotate_us, 0);
	assert_int_equal(engine.n_instances, 0);
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

/* and the engine asks before its thread runs */
static void engine__cipher_gives_wrong_answers__does_not_start(void **state)
{
	const struct lw_module *const list[] = { &odd };

	(void)state;
	assert_int_equal(use(list, 1), 0);
	assert_int_equal(lw_engine_start(&engine, &err), -EBADMSG);
	assert_false(engine.core.started);
	assert_non_null(strstr(err.text, "must not be used"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(use__none__off),
		CASE(use__several__first_that_the_system_can_do),
		CASE(use__none_can_be_used__off),
		CASE(use__another_error__ends_the_start),
		CASE(examine__wrong_answers__refused_by_name),
		CASE(engine__cipher_gives_wrong_answers__does_not_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

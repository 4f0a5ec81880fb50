/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <laneway/module.h>

#include "fake/fake_host.h"

extern const struct lw_module laneway_module;

static void submit__any_login__is_yes_at_once(void **state)
{
	struct lw_fake_host f;
	const struct lw_auth_request rq = {
		.size = sizeof(rq), .method = LW_AUTH_METHOD_PASSWORD, .token = 7, .user = "whoever"
	};
	const void *conf;
	void *inst;

	(void)state;
	lw_fake_host_init(&f);
	assert_int_equal(laneway_module.kind, LW_KIND_AUTH);
	assert_int_equal(laneway_module.life->create(&f.host, NULL, &inst, &conf, NULL), 0);
	assert_int_equal(laneway_module.ops.auth->submit(inst, &rq), 0);
	assert_int_equal(f.n_answers, 1);
	assert_int_equal(f.answers[0].token, 7);
	assert_int_equal(f.answers[0].answer.verdict, LW_AUTH_YES);
	assert_string_equal(f.answers[0].answer.user, "whoever");
	laneway_module.life->destroy(inst);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(submit__any_login__is_yes_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

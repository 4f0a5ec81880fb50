/* SPDX-License-Identifier: MIT */
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include <laneway/module.h>

#include "fake/fake_host.h"
#include "unit/test.h"

/* all of "open sesame", made with the lowest cost of each kind */
#define BCRYPT   "$2b$04$WUHhXETkX0fnYkrqZU3ta.zwoU3NOuzYB7by401ZrGRFKs239bMTy"
#define BCRYPT_Y "$2y$04$WUHhXETkX0fnYkrqZU3ta.zwoU3NOuzYB7by401ZrGRFKs239bMTy"
#define SHA256   "$5$rounds=1000$V7qMYJaNbVKOeh4P$pUiEt8yyPJ239vlfZvAyCaQZ9eHHVkjb7H0nMyom6V3"
#define SHA512                                                                                     \
	"$6$rounds=1000$V7qMYJaNbVKOeh4P$F8QBCryb8xB8a8Zn4APMqS5qlJmnY86P9EUQaqE.0NAx2."           \
	"PtvUjs86Gam"                                                                              \
	".ylFeWNgnxz8uOm.su1.3bhX5S8C0"
#define YESCRYPT                                                                                   \
	"$y$j75$V7qMYJaNbVKOeh4PhtqPk3bQnFLRqR5StdLAmA1BpM1$"                                      \
	"hm4BBK6om1j80u/ZMyg9orkfMJk.CiwT4TxHjpMhIQC"
#define MD5      "$1$V7qMYJaN$pUpidN7D9Q5hLb4kE6cdb."
#define DES      "VWTUGPOakCLhU"
#define PASSWORD "open sesame"
/* htpasswd without -B */
#define APR1 "$apr1$1.f7Y5Jq$qv2jmhvkzBRIhPRTnqIUM/"

extern const struct lw_module laneway_module;

static char dir[] = "/tmp/lw-htpasswd-XXXXXX";
static char path[64];
static uint32_t n_crypt;
static bool fail_crypt;
static long fail_alloc; /* the allocation to fail, counted down; 0: none */

char *__real_crypt_r(const char *phrase, const char *setting, struct crypt_data *data);
char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

char *__wrap_crypt_r(const char *phrase, const char *setting, struct crypt_data *data)
{
	(void)__atomic_fetch_add(&n_crypt, 1, __ATOMIC_RELAXED);
	return fail_crypt ? NULL : __real_crypt_r(phrase, setting, data);
}

static bool must_fail(void)
{
	return fail_alloc > 0 && --fail_alloc == 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return must_fail() ? NULL : __real_reallocarray(p, n, size);
}

/* the module's options struct, filled the way the core does it: by offset */
struct raw_options {
	_Alignas(16) unsigned char bytes[64];
};

struct fixture {
	struct lw_fake_host host;
	struct lw_fake_worker worker;
	struct raw_options opts;
	const char *file;
	void *inst;
	const void *conf;
	void *state;
	struct lw_err err;
};

static const struct lw_module *module(void)
{
	return &laneway_module;
}

static void write_bytes(const void *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static void write_users(const char *text)
{
	write_bytes(text, strlen(text));
}

static int create(struct fixture *f, const char *file)
{
	memset(f, 0, sizeof(*f));
	lw_fake_host_init(&f->host);
	lw_fake_worker_init(&f->worker, &f->host, module(), 0);
	f->file = file;
	assert_string_equal(module()->options[0].name, "file");
	assert_true(module()->options_size <= sizeof(f->opts));
	memcpy(f->opts.bytes + module()->options[0].offset, &f->file, sizeof(f->file));
	return module()->life->create(&f->host.host, &f->opts, &f->inst, &f->conf, &f->err);
}

static void start(struct fixture *f, const char *users)
{
	write_users(users);
	assert_int_equal(create(f, path), 0);
	assert_int_equal(module()->life->worker_start(f->inst, &f->worker.w, &f->state, &f->err),
	                 0);
	f->worker.w.conf = f->conf;
}

static void stop(struct fixture *f)
{
	module()->life->worker_stop(f->inst, &f->worker.w);
	module()->life->retire(f->inst, f->conf);
	module()->life->destroy(f->inst);
}

static int submit(struct fixture *f, uint32_t method, const char *user, const void *secret,
                  size_t len)
{
	struct lw_auth_request rq = { .size = sizeof(rq),
		                      .method = method,
		                      .token = 77,
		                      .user = user,
		                      .secret = secret,
		                      .secret_len = len };

	return module()->ops.auth->submit(f->inst, &rq);
}

static uint32_t login_bytes(struct fixture *f, const char *user, const void *secret, size_t len)
{
	uint32_t before = f->host.n_answers = 0;

	assert_int_equal(submit(f, LW_AUTH_METHOD_PASSWORD, user, secret, len), 0);
	assert_int_equal(f->host.n_answers, before + 1);
	assert_int_equal(f->host.answers[0].token, 77);
	assert_int_equal(f->host.answers[0].answer.size, sizeof(struct lw_auth_answer));
	return f->host.answers[0].answer.verdict;
}

static uint32_t login(struct fixture *f, const char *user, const char *password)
{
	return login_bytes(f, user, password, strlen(password));
}

static uint64_t counter(const struct fixture *f, const char *name)
{
	return lw_fake_counter(&f->worker, module(), name);
}

static void submit__each_kind_of_hash__tells_right_from_wrong(void **state)
{
	static const char *const names[] = { "bcrypt",   "bcrypt_y", "sha256", "sha512",
		                             "yescrypt", "md5",      "des" };
	struct fixture f;

	(void)state;
	start(&f, "bcrypt:" BCRYPT "\nbcrypt_y:" BCRYPT_Y "\nsha256:" SHA256 "\nsha512:" SHA512
	          "\nyescrypt:" YESCRYPT "\nmd5:" MD5 "\ndes:" DES "\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(login(&f, names[i], PASSWORD), LW_AUTH_YES);
		assert_string_equal(f.host.answers[0].answer.user, names[i]);
		assert_int_equal(f.host.answers[0].answer.expires_wall_us, 0);
		assert_int_equal(f.host.answers[0].answer.address.family, 0);
		assert_int_equal(login(&f, names[i], "Open sesame"), LW_AUTH_NO);
		assert_int_equal(login(&f, names[i], ""), LW_AUTH_NO);
	}
	assert_int_equal(counter(&f, "accepted"), 7);
	assert_int_equal(counter(&f, "wrong_password"), 14);
	assert_int_equal(f.host.n_logs[LW_LOG_WARN], 1); /* md5 and des */
	assert_non_null(strstr(f.host.last_log, "2 users"));
	stop(&f);
}

static void submit__password_with_zero_byte_or_too_long__is_no(void **state)
{
	static const char with_zero[] = PASSWORD "\0more";
	char longest[600];
	struct fixture f;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	start(&f, "alice:" SHA512 "\n");
	assert_int_equal(login_bytes(&f, "alice", with_zero, sizeof(with_zero) - 1), LW_AUTH_NO);
	assert_int_equal(login_bytes(&f, "alice", with_zero, sizeof(PASSWORD)), LW_AUTH_NO);
	assert_int_equal(login_bytes(&f, "alice", longest, sizeof(longest)), LW_AUTH_NO);
	assert_int_equal(login_bytes(&f, "alice", longest, 512), LW_AUTH_NO);
	assert_int_equal(login_bytes(&f, "alice", longest, 511), LW_AUTH_NO);
	assert_int_equal(login_bytes(&f, "alice", NULL, 0), LW_AUTH_NO);
	assert_int_equal(login(&f, "alice", PASSWORD), LW_AUTH_YES);
	stop(&f);
}

static void submit__unknown_user__is_no_and_costs_one_hash(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, "alice:" SHA512 "\n");
	n_crypt = 0;
	assert_int_equal(login(&f, "alice", "wrong"), LW_AUTH_NO);
	assert_int_equal(n_crypt, 1);
	/* the right password of the user whose hash stands in must not let anybody in */
	assert_int_equal(login(&f, "bob", PASSWORD), LW_AUTH_NO);
	assert_int_equal(n_crypt, 2);
	assert_string_equal(f.host.answers[0].answer.user, "");
	assert_int_equal(login(&f, "", PASSWORD), LW_AUTH_NO);
	assert_int_equal(login(&f, "Alice", PASSWORD), LW_AUTH_NO);
	assert_int_equal(counter(&f, "unknown_user"), 3);
	assert_int_equal(counter(&f, "wrong_password"), 1);
	stop(&f);
}

static void submit__other_method__is_not_mine(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, "alice:" SHA512 "\n");
	n_crypt = 0;
	assert_int_equal(submit(&f, LW_AUTH_METHOD_TOKEN, "alice", PASSWORD, 11), 0);
	assert_int_equal(submit(&f, LW_AUTH_METHOD_CALLBACK, "", PASSWORD, 11), 0);
	assert_int_equal(f.host.n_answers, 2);
	assert_int_equal(f.host.answers[0].answer.verdict, LW_AUTH_NOT_MINE);
	assert_int_equal(f.host.answers[1].answer.verdict, LW_AUTH_NOT_MINE);
	assert_int_equal(n_crypt, 0);
	assert_int_equal(counter(&f, "other_method"), 2);
	stop(&f);
}

static void submit__libcrypt_or_memory_fails__is_error(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, "alice:" SHA512 "\n");
	fail_crypt = true;
	assert_int_equal(login(&f, "alice", PASSWORD), LW_AUTH_ERROR);
	fail_crypt = false;
	fail_alloc = 1;
	assert_int_equal(login(&f, "alice", PASSWORD), LW_AUTH_ERROR);
	assert_int_equal(fail_alloc, 0);
	assert_int_equal(counter(&f, "failed"), 2);
	assert_int_equal(counter(&f, "accepted"), 0);
	stop(&f);
}

static void submit__without_worker__answers_and_counts_nothing(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, "alice:" SHA512 "\n");
	module()->life->worker_stop(f.inst, &f.worker.w);
	assert_int_equal(login(&f, "alice", PASSWORD), LW_AUTH_YES);
	assert_int_equal(counter(&f, "accepted"), 0);
	stop(&f);
}

static void submit__after_retire__says_that_it_will_not_answer(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, "alice:" SHA512 "\n");
	module()->life->worker_stop(f.inst, &f.worker.w);
	module()->life->retire(f.inst, f.conf);
	assert_int_equal(submit(&f, LW_AUTH_METHOD_PASSWORD, "alice", PASSWORD, 11), -ESHUTDOWN);
	assert_int_equal(f.host.n_answers, 0);
	module()->life->destroy(f.inst);
}

static void create__comments_blank_lines_crlf__are_taken(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, "# users\r\n\r\n\n#old:nonsense\nalice:" BCRYPT "\r\nb\xc3\xb6"
	          "b:" SHA256);
	assert_int_equal(login(&f, "alice", PASSWORD), LW_AUTH_YES);
	assert_int_equal(login(&f,
	                       "b\xc3\xb6"
	                       "b",
	                       PASSWORD),
	                 LW_AUTH_YES);
	assert_int_equal(login(&f, "#old", "x"), LW_AUTH_NO);
	assert_int_equal(f.host.n_logs[LW_LOG_WARN], 0);
	stop(&f);
}

static void create__user_named_twice__last_line_counts(void **state)
{
	char text[2048] = "";
	struct fixture f;

	(void)state;
	/* the second hash is of another password */
	(void)snprintf(text, sizeof(text), "bob:%s\nalice:%s\nalice:%s\ncarol:%s\n", DES, SHA512,
	               "$1$V7qMYJaN$pUpidN7D9Q5hLb4kE6cdb/", SHA512);
	start(&f, text);
	assert_int_equal(login(&f, "alice", PASSWORD), LW_AUTH_NO);
	assert_int_equal(login(&f, "bob", PASSWORD), LW_AUTH_YES);
	assert_int_equal(login(&f, "carol", PASSWORD), LW_AUTH_YES);
	stop(&f);
}

static void create__many_users__each_is_found(void **state)
{
	char *text = malloc((size_t)1000 * 32);
	size_t len = 0;
	struct fixture f;

	(void)state;
	assert_non_null(text);
	for (unsigned i = 0; i < 1000; i++)
		len += (size_t)snprintf(text + len, 32, "user%u:" DES "\n", (i * 7919) % 1000);
	start(&f, text);
	free(text);
	assert_int_equal(login(&f, "user0", PASSWORD), LW_AUTH_YES);
	assert_int_equal(login(&f, "user999", PASSWORD), LW_AUTH_YES);
	assert_int_equal(login(&f, "user500", PASSWORD), LW_AUTH_YES);
	assert_int_equal(login(&f, "user1000", PASSWORD), LW_AUTH_NO);
	stop(&f);
}

static void create__bad_line__names_file_and_line_but_not_the_hash(void **state)
{
	static const struct {
		const char *line, *place, *say;
	} cases[] = {
		{ "alice", ":1:", "no colon" },
		{ " # note", ":1:", "no colon" },
		{ ":" SHA512, ":1:", "no user name" },
		{ "alice:", ":1:", "no hash" },
		{ "# one\n\nalice:" APR1, ":3:", "htpasswd -B" },
		{ "alice:" SHA512 "\nbob:$argon2id$v=19$m=1$c2FsdA$aGFzaA", ":2:", "libcrypt" },
		{ "alice:" SHA512 ":more", ":1:", "libcrypt" },
		{ "alice:hunter2hunter2", ":1:", "length" },
		{ "alice:" DES "x", ":1:", "length" },
		{ "alice:$6$salt$short", ":1:", "length" },
		{ "alice:$6$salt", ":1:", "length" },
		{ "alice:" BCRYPT "x", ":1:", "length" },
		{ "alice:_/...V7qM", ":1:", "length" },
		{ "alice\xff:" SHA512, ":1:", "UTF-8" },
		{ "\xc0\xaf:" SHA512, ":1:", "UTF-8" },
		{ "\xed\xa0\x80:" SHA512, ":1:", "UTF-8" },
		{ "\xe2\x82:" SHA512, ":1:", "UTF-8" },
		{ "123456789012345678901234567890123456789012345678901:" SHA512,
		  ":1:", "50 bytes" },
		{ "", "", "no user in the file" },
		{ "# nobody\n\n", "", "no user in the file" },
	};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char want[128];

		write_users(cases[i].line);
		assert_int_equal(create(&f, path), -EINVAL);
		(void)snprintf(want, sizeof(want), "%s%s", path, cases[i].place);
		assert_non_null(strstr(f.err.text, want));
		assert_non_null(strstr(f.err.text, cases[i].say));
		assert_string_equal(f.err.option, "file");
		assert_null(strstr(f.err.text, "salt"));
		assert_null(strstr(f.err.text, "hunter2"));
		assert_null(strstr(f.err.text, "qv2jm"));
		assert_int_equal(f.host.n_logs[LW_LOG_WARN], 0);
	}
}

static void create__zero_byte__is_refused(void **state)
{
	static const char text[] = "alice:" SHA512 "\nbob\0:" SHA512 "\n";
	struct fixture f;

	(void)state;
	write_bytes(text, sizeof(text) - 1);
	assert_int_equal(create(&f, path), -EINVAL);
	assert_non_null(strstr(f.err.text, ":2: there is a zero byte"));
}

static void create__no_such_file_or_not_a_file__is_refused(void **state)
{
	char missing[128];
	struct fixture f;

	(void)state;
	(void)snprintf(missing, sizeof(missing), "%s/%s", dir, "missing");
	assert_int_equal(create(&f, missing), -ENOENT);
	assert_non_null(strstr(f.err.text, "missing: cannot be opened: No such file"));
	assert_int_equal(create(&f, dir), -EINVAL);
	assert_non_null(strstr(f.err.text, "not a regular file"));
	assert_int_equal(mkfifo(missing, 0600), 0);
	assert_int_equal(create(&f, missing), -EINVAL);
	assert_non_null(strstr(f.err.text, "not a regular file"));
	assert_int_equal(unlink(missing), 0);
	write_users("");
	assert_int_equal(truncate(path, 65L * 1024 * 1024), 0);
	assert_int_equal(create(&f, path), -EFBIG);
}

static void create__each_allocation_fails__leaks_nothing(void **state)
{
	struct fixture f;
	long n = 1;

	(void)state;
	write_users("alice:" SHA512 "\n");
	for (;; n++) {
		int r;

		fail_alloc = n;
		r = create(&f, path);
		if (fail_alloc > 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_true(f.err.text[0] != '\0');
	}
	fail_alloc = 0;
	assert_true(n > 4);
	module()->life->retire(f.inst, f.conf);
	module()->life->destroy(f.inst);
}

static void destroy__null__is_nothing(void **state)
{
	(void)state;
	module()->life->destroy(NULL);
}

static void reload__new_users__count_when_a_worker_takes_them(void **state)
{
	const void *next = NULL;
	struct fixture f;

	(void)state;
	start(&f, "alice:" SHA512 "\n");
	write_users("bob:" BCRYPT "\n");
	assert_int_equal(module()->life->reload(f.inst, &f.opts, &next, &f.err), 0);
	assert_int_equal(login(&f, "alice", PASSWORD), LW_AUTH_YES);
	assert_int_equal(login(&f, "bob", PASSWORD), LW_AUTH_NO);
	module()->life->worker_conf(f.inst, &f.worker.w, next);
	module()->life->retire(f.inst, f.conf);
	f.conf = next;
	assert_int_equal(login(&f, "alice", PASSWORD), LW_AUTH_NO);
	assert_int_equal(login(&f, "bob", PASSWORD), LW_AUTH_YES);
	stop(&f);
}

static void reload__refused_or_unused__old_users_stay(void **state)
{
	const void *next = NULL;
	struct fixture f;

	(void)state;
	start(&f, "alice:" SHA512 "\n");
	write_users("bob\n");
	assert_int_equal(module()->life->reload(f.inst, &f.opts, &next, &f.err), -EINVAL);
	assert_null(next);
	write_users("bob:" BCRYPT "\n");
	assert_int_equal(module()->life->reload(f.inst, &f.opts, &next, &f.err), 0);
	module()->life->retire(f.inst, next);
	assert_int_equal(login(&f, "alice", PASSWORD), LW_AUTH_YES);
	stop(&f);
}

static uint32_t n_yes;

static void counting_answer(const struct lw_host *h, uint64_t token, const struct lw_auth_answer *a)
{
	(void)h;
	(void)token;
	if (a->verdict == LW_AUTH_YES)
		(void)__atomic_fetch_add(&n_yes, 1, __ATOMIC_RELAXED);
}

static void *log_in_often(void *arg)
{
	for (int i = 0; i < 50; i++) {
		if (submit(arg, LW_AUTH_METHOD_PASSWORD, "alice", PASSWORD, 11) != 0)
			return arg;
	}
	return NULL;
}

static void submit__several_helpers_amid_reloads__all_answered(void **state)
{
	pthread_t helper[4];
	struct fixture f;

	(void)state;
	start(&f, "alice:" DES "\n");
	f.host.host.answer = counting_answer;
	n_yes = 0;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&helper[i], NULL, log_in_often, &f), 0);
	for (int i = 0; i < 50; i++) {
		const void *next;

		assert_int_equal(module()->life->reload(f.inst, &f.opts, &next, &f.err), 0);
		module()->life->worker_conf(f.inst, &f.worker.w, next);
		module()->life->retire(f.inst, f.conf);
		f.conf = next;
	}
	for (size_t i = 0; i < 4; i++) {
		void *failed;

		assert_int_equal(pthread_join(helper[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(n_yes, 200);
	assert_int_equal(counter(&f, "accepted"), 200);
	stop(&f);
}

static int make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/users", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(submit__each_kind_of_hash__tells_right_from_wrong),
		cmocka_unit_test(submit__password_with_zero_byte_or_too_long__is_no),
		cmocka_unit_test(submit__unknown_user__is_no_and_costs_one_hash),
		cmocka_unit_test(submit__other_method__is_not_mine),
		cmocka_unit_test(submit__libcrypt_or_memory_fails__is_error),
		cmocka_unit_test(submit__without_worker__answers_and_counts_nothing),
		cmocka_unit_test(submit__after_retire__says_that_it_will_not_answer),
		cmocka_unit_test(create__comments_blank_lines_crlf__are_taken),
		cmocka_unit_test(create__user_named_twice__last_line_counts),
		cmocka_unit_test(create__many_users__each_is_found),
		cmocka_unit_test(create__bad_line__names_file_and_line_but_not_the_hash),
		cmocka_unit_test(create__zero_byte__is_refused),
		cmocka_unit_test(create__no_such_file_or_not_a_file__is_refused),
		cmocka_unit_test(create__each_allocation_fails__leaks_nothing),
		cmocka_unit_test(destroy__null__is_nothing),
		cmocka_unit_test(reload__new_users__count_when_a_worker_takes_them),
		cmocka_unit_test(reload__refused_or_unused__old_users_stay),
		cmocka_unit_test(submit__several_helpers_amid_reloads__all_answered),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

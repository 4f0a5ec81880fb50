/* SPDX-License-Identifier: MIT */
/* cipher-wolfcrypt against known answers, and these against ciphers that are wrong. */
#include "unit/test.h"

#include <errno.h>

#include "fake/fake_host.h"
#include "module/check.h"
#include "module/cipher_check.h"

extern const struct lw_module laneway_module;

static bool no_memory;

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return no_memory ? NULL : __real_aligned_alloc(alignment, size);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static const struct lw_cipher_ops *good(void)
{
	return laneway_module.ops.cipher;
}

static void module__descriptor__is_in_order(void **state)
{
	struct lw_err err = { 0 };

	(void)state;
	assert_int_equal(lw_module_check(&laneway_module, "cipher-wolfcrypt", &err), 0);
	assert_int_equal(laneway_module.kind, LW_KIND_CIPHER);
	assert_string_equal(laneway_module.name, "cipher-wolfcrypt");
}

static void module__life__create_and_destroy(void **state)
{
	struct lw_fake_host host;
	struct lw_err err = { 0 };
	const void *conf = NULL;
	void *inst = NULL;

	(void)state;
	lw_fake_host_init(&host);
	assert_int_equal(laneway_module.life->create(&host.host, NULL, &inst, &conf, &err), 0);
	laneway_module.life->destroy(inst);
	laneway_module.life->destroy(NULL);
	good()->key_destroy(inst, NULL, NULL);
}

static void check__wolfcrypt__gives_all_known_answers(void **state)
{
	struct lw_err err = { 0 };
	int r = lw_cipher_check(good(), NULL, NULL, &err);

	(void)state;
	if (r < 0)
		fail_msg("%s", err.text);
}

static void check__no_memory_for_keys__says_so(void **state)
{
	struct lw_err err = { 0 };

	(void)state;
	no_memory = true;
	assert_int_equal(lw_cipher_check(good(), NULL, NULL, &err), -ENOMEM);
	no_memory = false;
	assert_non_null(strstr(err.text, "takes no key"));
}

/* --- ciphers that are wrong in one way each --- */

enum flaw {
	TAG_BIT,        /* of one case */
	CIPHERTEXT_BIT, /* of the last byte */
	LONG_ONLY,      /* of packets above 8 KiB - 1 */
	NO_TAG_CHECK,
	SHORT_TAG_CHECK, /* of 15 bytes */
	AAD_16,          /* no more of it */
	IV_8,
	NOT_IN_PLACE, /* is wrong where dst is src */
	STATUS_LEFT,  /* as it was */
	ALL_REFUSED,  /* where one is */
	OWN_TAG,      /* one of its own kind, at both ends */
	OWN_TEXT,     /* the same of the ciphertext */
	BROKEN_SEAL,
	BROKEN_OPEN,
	FLAWS
};

static enum flaw flaw;

static int flawed_seal(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	int r = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct lw_cipher_op op = ops[i];
		uint8_t iv[12] = { 0 };
		bool in_place = op.dst == op.src;

		memcpy(iv, op.iv, flaw == IV_8 ? 8 : 12);
		op.iv = iv;
		if (flaw == AAD_16 && op.aad_len > 16)
			op.aad_len = 16;
		r = good()->seal(inst, w, &op, 1);
		if (flaw != STATUS_LEFT)
			ops[i].status = op.status;
		if (flaw == TAG_BIT && i == 5)
			op.tag[15] ^= 1;
		if (flaw == CIPHERTEXT_BIT && i == 7)
			op.dst[op.len - 1] ^= 1;
		if (flaw == OWN_TAG)
			op.tag[3] ^= 0x10;
		for (uint32_t k = 0; flaw == OWN_TEXT && k < op.len; k++)
			op.dst[k] ^= 0x10;
		if ((flaw == LONG_ONLY && op.len > 8191) || (flaw == NOT_IN_PLACE && in_place))
			op.tag[0] ^= 1;
	}
	return flaw == BROKEN_SEAL ? -EIO : r;
}

/* Opens without looking at the tag: sealing is its own inverse. */
static int open_blindly(void *inst, struct lw_worker *w, struct lw_cipher_op *op, uint32_t bytes)
{
	uint8_t *kept = malloc(op->len + 1);
	uint8_t tag[16];
	uint8_t *given = op->tag;

	memcpy(kept, op->src, op->len);
	(void)good()->open(inst, w, op, 1);
	if (op->status == 0) {
		free(kept);
		return 0;
	}
	op->src = kept;
	op->tag = tag;
	(void)good()->seal(inst, w, op, 1); /* the plaintext, and a tag of no meaning */
	memcpy(kept, op->dst, op->len);
	(void)good()->seal(inst, w, op, 1); /* back, with the tag that belongs to it */
	op->status = memcmp(tag, given, bytes) == 0 ? 0 : -EBADMSG;
	memcpy(op->dst, kept, op->len);
	free(kept);
	return 0;
}

/* Understands what its own seal made, and nobody else's. */
static void open_own(void *inst, struct lw_worker *w, struct lw_cipher_op *given)
{
	struct lw_cipher_op op = *given;
	uint8_t *text = malloc(op.len + 1);
	uint8_t tag[16];

	memcpy(text, op.src, op.len);
	memcpy(tag, op.tag, sizeof(tag));
	if (flaw == OWN_TAG)
		tag[3] ^= 0x10;
	for (uint32_t k = 0; flaw == OWN_TEXT && k < op.len; k++)
		text[k] ^= 0x10;
	op.src = text;
	op.tag = tag;
	(void)good()->open(inst, w, &op, 1);
	given->status = op.status;
	free(text);
}

static int flawed_open(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n)
{
	bool refused = false;

	if (flaw == BROKEN_OPEN)
		return -EIO;
	for (uint32_t i = 0; i < n; i++) {
		if (flaw == NO_TAG_CHECK || flaw == SHORT_TAG_CHECK)
			(void)open_blindly(inst, w, &ops[i], flaw == NO_TAG_CHECK ? 0 : 15);
		else if (flaw == OWN_TAG || flaw == OWN_TEXT)
			open_own(inst, w, &ops[i]);
		else
			(void)good()->open(inst, w, &ops[i], 1);
		refused = refused || ops[i].status != 0;
	}
	for (uint32_t i = 0; flaw == ALL_REFUSED && refused && i < n; i++)
		ops[i].status = -EBADMSG;
	return 0;
}

static void check__each_flaw__refused(void **state)
{
	struct lw_cipher_ops ops = *good();

	(void)state;
	ops.seal = flawed_seal;
	ops.open = flawed_open;
	for (flaw = 0; flaw < FLAWS; flaw++) {
		struct lw_err err = { 0 };
		int r = lw_cipher_check(&ops, NULL, NULL, &err);

		print_message("  %d: %s\n", (int)flaw, err.text);
		assert_int_equal(r, flaw >= BROKEN_SEAL ? -EIO : -EBADMSG);
		assert_string_not_equal(err.text, "");
	}
	/* and without one it would pass */
	assert_int_equal(lw_cipher_check(&ops, NULL, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(module__descriptor__is_in_order),
		cmocka_unit_test(module__life__create_and_destroy),
		cmocka_unit_test(check__wolfcrypt__gives_all_known_answers),
		cmocka_unit_test(check__no_memory_for_keys__says_so),
		cmocka_unit_test(check__each_flaw__refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

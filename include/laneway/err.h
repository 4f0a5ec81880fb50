/* SPDX-License-Identifier: MIT */
#ifndef LW_LANEWAY_ERR_H
#define LW_LANEWAY_ERR_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <laneway/abi.h>

/**
 * struct lw_err - why a control call failed, in words for the operator
 *
 * @code:   negative errno, as the call returned it
 * @option: key of the option at fault, "" for none; the core adds file, line and column
 * @text:   one sentence, lower case, no full stop, no secret
 *
 * Since: ABI 0.1
 */
struct lw_err {
	int32_t code;
	char option[44];
	char text[208];
};
LW_ASSERT_SIZE(lw_err, 256);

/**
 * lw_err_set_at() - fill an error that concerns one option
 *
 * @err:    the caller's; may be NULL, then nothing is kept
 * @code:   negative errno
 * @option: key of the option at fault, NULL for none; copied
 * @fmt:    printf format of the sentence; a longer one is cut
 *
 * Context: any thread, not the data path.
 * Return:  @code, so that a caller can return it at once.
 * Since:   ABI 0.1
 */
static inline int lw_err_set_at(struct lw_err *err, int code, const char *option, const char *fmt,
                                ...) __attribute__((format(printf, 4, 5)));

static inline int lw_err_set_at(struct lw_err *err, int code, const char *option, const char *fmt,
                                ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	(void)snprintf(err->option, sizeof(err->option), "%s", option ? option : "");
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}

/* lw_err_set() - the same for an error that concerns no single option */
#define lw_err_set(err, code, ...) lw_err_set_at((err), (code), "", __VA_ARGS__)

#endif

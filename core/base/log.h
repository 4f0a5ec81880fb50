/* SPDX-License-Identifier: MIT */
#ifndef LW_BASE_LOG_H
#define LW_BASE_LOG_H

#include <stdarg.h>
#include <stddef.h>

#include <laneway/host.h>

/**
 * lw_log_open() - choose how much is logged
 *
 * @level: LW_LOG_*; what is above it is left out
 *
 * Lines go to stderr: with a time stamp, or, where stderr is the journal's, with a priority that
 * the journal understands.
 *
 * Context: control thread.
 */
void lw_log_open(int level);

/* lw_log_level_name() - "error", "warn", ...; NULL-terminated table for option tables */
extern const char *const lw_log_level_names[];

/**
 * lw_log_write() - write one line
 *
 * @level: LW_LOG_*
 * @who:   subject, such as "server" or a module's name
 * @fmt:   printf format; control characters in the result are escaped, since parts of it may come
 *         from a peer. A line over 1,000 bytes is cut
 *
 * Context: any thread, not the data path.
 */
void lw_log_write(int level, const char *who, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void lw_log_vwrite(int level, const char *who, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

/**
 * lw_log_escape() - copy text with control characters and bytes over 126 as \xNN
 *
 * Return: bytes written without the final zero; the text is cut to fit.
 */
size_t lw_log_escape(char *dst, size_t cap, const char *src);

#endif

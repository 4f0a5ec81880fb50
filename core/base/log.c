/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

const char *const lw_log_level_names[] = { "error", "warn", "notice", "info", "debug", NULL };

static struct {
	int level;
	bool journal;
} sink = { .level = LW_LOG_INFO };

/* The journal tells its own by device and inode in JOURNAL_STREAM (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
	const char *env = getenv("JOURNAL_STREAM");
	unsigned long long dev;
	unsigned long long ino;
	char *end;
	struct stat st;

	if (env == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	dev = strtoull(env, &end, 10);
	if (*end != ':')
		return false;
	ino = strtoull(end + 1, &end, 10);
	return *end == '\0' && dev == (unsigned long long)st.st_dev &&
	       ino == (unsigned long long)st.st_ino;
}

static int time_stamp(char *dst, size_t cap)
{
	struct timespec ts;
	struct tm tm;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (gmtime_r(&ts.tv_sec, &tm) == NULL)
		return 0;
	return snprintf(dst, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ ", tm.tm_year + 1900,
	                tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	                ts.tv_nsec / 1000000);
}

void lw_log_open(int level)
{
	sink.level = level;
	sink.journal = stderr_is_journal();
}

size_t lw_log_escape(char *dst, size_t cap, const char *src)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *src != '\0' && n + 5 <= cap; src++) {
		unsigned char c = (unsigned char)*src;

		if (c >= ' ' && c < 127) {
			dst[n++] = (char)c;
			continue;
		}
		dst[n++] = '\\';
		dst[n++] = 'x';
		dst[n++] = hex[c >> 4];
		dst[n++] = hex[c & 15];
	}
	if (cap > 0)
		dst[n] = '\0';
	return n;
}

void lw_log_vwrite(int level, const char *who, const char *fmt, va_list ap)
{
	static const int priority[] = { 3, 4, 5, 6, 7 }; /* of syslog(3) */
	char text[LINE_MAX_BYTES];
	char line[2 * LINE_MAX_BYTES];
	int head;
	size_t n;

	if (level < LW_LOG_ERROR || level > LW_LOG_DEBUG || level > sink.level)
		return;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	head = sink.journal ? snprintf(line, sizeof(line), "<%d>", priority[level])
	                    : time_stamp(line, sizeof(line));
	n = head > 0 ? (size_t)head : 0;
	if (sink.journal)
		head = snprintf(line + n, sizeof(line) - n, "%s: ", who);
	else
		head = snprintf(line + n, sizeof(line) - n, "%s %s: ", lw_log_level_names[level],
		                who);
	n += head > 0 ? (size_t)head : 0;
	n += lw_log_escape(line + n, sizeof(line) - n - 1, text);
	line[n++] = '\n';
	/* one write a line, so that lines of several threads do not mix */
	(void)!write(STDERR_FILENO, line, n);
}

void lw_log_write(int level, const char *who, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	lw_log_vwrite(level, who, fmt, ap);
	va_end(ap);
}

/* SPDX-License-Identifier: MIT */
/* Any bytes as a configuration: mistakes are told, and what is none prints as what reads back. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/conf_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* the seeds name it as a file with a secret, relative to the configuration: /proc/self/fd/200 */
#define KEY_FD 200

struct bed {
	struct lw_loader *loader;
	struct lw_conf *conf;
	struct options options;
};

/* a file without a folder to clean up; relative paths lead nowhere from there */
static void put_file(char path[64], const void *data, size_t size)
{
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("conf", MFD_CLOEXEC);
		assert(fd >= 0 && fchmod(fd, 0600) == 0 && dup2(fd, KEY_FD) == KEY_FD);
	}
	assert(fd >= 0 && ftruncate(fd, 0) == 0);
	assert(pwrite(fd, data, size, 0) == (ssize_t)size);
	(void)snprintf(path, 64, "/proc/self/fd/%d", fd);
}

static void bed_open(struct bed *b, const void *data, size_t size)
{
	char path[64];

	*b = (struct bed){ .conf = NULL };
	put_file(path, data, size);
	assert(lw_loader_create("/nowhere", linked, &b->loader) == 0);
	assert(lw_conf_create(&program, &b->options, b->loader, &b->conf) == 0);
	lw_conf_load(b->conf, path);
	lw_conf_finish(b->conf);
}

static void bed_close(struct bed *b)
{
	lw_conf_destroy(b->conf);
	lw_loader_destroy(b->loader);
}

static char *print(const struct lw_conf *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert(f != NULL);
	lw_conf_report(c, f);
	lw_conf_print(c, f);
	assert(fclose(f) == 0);
	return text;
}

/* lines of values, the comments with their origin cut off: two spaces and a # are quoted elsewhere
 */
static void cut_comments(char *text)
{
	char *out = text;

	for (const char *in = text; *in != '\0';) {
		if (strncmp(in, "  # ", 4) == 0)
			in += strcspn(in, "\n");
		*out++ = *in++;
	}
	*out = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bed b;
	char *first;
	char *again;
	bool fine;

	bed_open(&b, data, size);
	first = print(b.conf);
	/* a secret prints as stars, which reads back as another one */
	fine = lw_conf_errors(b.conf) == 0 && strstr(first, "  # ") != NULL;
	bed_close(&b);
	if (fine) {
		bed_open(&b, first, strlen(first));
		again = print(b.conf);
		assert(lw_conf_errors(b.conf) == 0);
		cut_comments(first);
		cut_comments(again);
		assert(strcmp(first, again) == 0);
		free(again);
		bed_close(&b);
	}
	free(first);
	return 0;
}

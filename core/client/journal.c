/* SPDX-License-Identifier: MIT */
#include "config.h" /* first: it asks for asprintf() */

#include "client/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"

#define FILE_MAX 65536
#define LINE_MAX 256
#define NAME_OK  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static int keep(struct lw_journal *j, const struct lw_journal_entry *e)
{
	if (j->n == j->cap) {
		uint32_t cap = j->cap == 0 ? 16 : j->cap * 2;
		struct lw_journal_entry *bigger = reallocarray(j->entry, cap, sizeof(*bigger));

		if (bigger == NULL)
			return -ENOMEM;
		j->entry = bigger;
		j->cap = cap;
	}
	j->entry[j->n++] = *e;
	return 0;
}

static size_t format_entry(const struct lw_journal_entry *e, char line[LINE_MAX])
{
	char dst[LW_ADDR_TEXT_MAX];
	char gateway[LW_ADDR_TEXT_MAX];
	struct lw_addr host = e->route.dst;

	host.prefix = 0; /* else it would be part of the text */
	(void)lw_addr_format(&host, dst);
	if (e->route.gateway.family == 0)
		(void)memcpy(gateway, "-", 2);
	else
		(void)lw_addr_format(&e->route.gateway, gateway);
	return (size_t)snprintf(line, LINE_MAX, "route %s %u %s %u %s\n", dst, e->route.dst.prefix,
	                        gateway, e->route.ifindex, e->device);
}

static int parse_entry(const char *line, struct lw_journal_entry *ret)
{
	char dst[LW_ADDR_TEXT_MAX];
	char gateway[LW_ADDR_TEXT_MAX];
	unsigned prefix;
	unsigned ifindex;
	struct lw_journal_entry e = { .route = { .ifindex = 0 } };

	/* NOLINTNEXTLINE(cert-err34-c): a number out of range names no device and no prefix */
	if (sscanf(line, "route %71s %u %71s %u %15s", dst, &prefix, gateway, &ifindex, e.device) !=
	            5 ||
	    lw_addr_parse(dst, &e.route.dst) < 0 || prefix > (e.route.dst.family == 4 ? 32 : 128))
		return -EINVAL;
	if (strcmp(gateway, "-") != 0 && (lw_addr_parse(gateway, &e.route.gateway) < 0 ||
	                                  e.route.gateway.family != e.route.dst.family))
		return -EINVAL;
	e.route.dst.prefix = (uint8_t)prefix;
	e.route.ifindex = ifindex;
	*ret = e;
	return 0;
}

static int parse_text(struct lw_journal *j, char *text)
{
	char *end;

	/* a last line without its end was being written when the client died */
	for (; (end = strchr(text, '\n')) != NULL; text = end + 1) {
		struct lw_journal_entry e;
		int r;

		*end = '\0';
		if (parse_entry(text, &e) < 0)
			continue;
		r = keep(j, &e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_entries(struct lw_journal *j)
{
	char *text = calloc(1, FILE_MAX + 1);
	ssize_t n;
	int r;

	if (text == NULL)
		return -ENOMEM;
	n = pread(j->fd, text, FILE_MAX, 0);
	r = n < 0 ? -errno : parse_text(j, text);
	free(text);
	return r;
}

/* the file that the path names is the one that is open: no other client has removed it meanwhile */
static int is_in_place(const struct lw_journal *j)
{
	struct stat mine;
	struct stat there;

	return fstat(j->fd, &mine) == 0 && lstat(j->path, &there) == 0 &&
	       mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

static int open_locked(struct lw_journal *j)
{
	for (;;) {
		j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (j->fd < 0)
			return -errno;
		if (flock(j->fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (is_in_place(j))
			return 0;
		(void)close(j->fd);
	}
}

static void release(struct lw_journal *j)
{
	if (j->fd >= 0)
		(void)close(j->fd);
	free(j->path);
	free(j->entry);
	*j = (struct lw_journal){ .fd = -1 };
}

static int open_file(struct lw_journal *j, const char *dir, const char *name, struct lw_err *err)
{
	int r;

	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return lw_err_set(err, -errno, "cannot make the directory '%s': %s", dir,
		                  strerror(errno));
	if (asprintf(&j->path, "%s/%s.state", dir, name) < 0) {
		j->path = NULL;
		return lw_err_set(err, -ENOMEM, "no memory for the state file");
	}
	r = open_locked(j);
	if (r == -EBUSY)
		return lw_err_set(err, r,
		                  "a client with the name '%s' runs already ('%s' is locked)", name,
		                  j->path);
	if (r == 0)
		r = read_entries(j);
	if (r < 0)
		return lw_err_set(err, r, "cannot open the state file '%s': %s", j->path,
		                  strerror(-r));
	return 0;
}

int lw_journal_open(struct lw_journal *j, const char *dir, const char *name, struct lw_err *err)
{
	int r;

	*j = (struct lw_journal){ .fd = -1 };
	if (name[0] == '\0' || name[0] == '.' || name[strspn(name, NAME_OK)] != '\0')
		return lw_err_set(err, -EINVAL, "'%s' cannot be the name of a state file", name);
	r = open_file(j, dir, name, err);
	if (r < 0)
		release(j);
	return r;
}

static int truncate_to(const struct lw_journal *j, off_t size)
{
	return ftruncate(j->fd, size) < 0 || fsync(j->fd) < 0 ? -errno : 0;
}

int lw_journal_add(struct lw_journal *j, const struct lw_journal_entry *e)
{
	char line[LINE_MAX];
	size_t len = format_entry(e, line);
	struct stat st;
	int r;

	if (fstat(j->fd, &st) < 0)
		return -errno;
	if ((size_t)st.st_size + len > FILE_MAX)
		return -EFBIG;
	r = keep(j, e);
	if (r < 0)
		return r;
	errno = EIO; /* for a write that was cut */
	if (write(j->fd, line, len) != (ssize_t)len || fsync(j->fd) < 0) {
		r = -errno;
		(void)truncate_to(j, st.st_size);
		j->n--;
	}
	return r;
}

int lw_journal_drop_last(struct lw_journal *j)
{
	char line[LINE_MAX];
	off_t len = (off_t)format_entry(&j->entry[--j->n], line);
	struct stat st;

	if (fstat(j->fd, &st) < 0)
		return -errno;
	return truncate_to(j, st.st_size > len ? st.st_size - len : 0);
}

int lw_journal_clear(struct lw_journal *j)
{
	j->n = 0;
	return truncate_to(j, 0);
}

void lw_journal_close(struct lw_journal *j)
{
	if (j->fd >= 0 && j->n == 0)
		(void)unlink(j->path);
	release(j);
}

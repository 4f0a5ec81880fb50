/* SPDX-License-Identifier: MIT */
#include "control/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG    16
#define LOCK_TRIES 200 /* of 10 ms */

static int fail(struct lw_err *err, int r, const char *what, const char *path)
{
	return lw_err_set_at(err, r, "socket", "cannot %s '%s': %s", what, path, strerror(-r));
}

static int set_address(const char *path, struct sockaddr_un *ret, struct lw_err *err)
{
	size_t len = strlen(path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len == 0 || len >= sizeof(ret->sun_path))
		return lw_err_set_at(err, -ENAMETOOLONG, "socket",
		                     "the path of a socket has 1 to %zu bytes, this one has %zu",
		                     sizeof(ret->sun_path) - 1, len);
	memcpy(ret->sun_path, path, len);
	return 0;
}

/* Opens the directory of the socket, which is made if need be. */
static int open_directory(const struct sockaddr_un *at, struct lw_err *err)
{
	char dir[sizeof(at->sun_path)];
	char *slash;
	int fd;

	memcpy(dir, at->sun_path, sizeof(dir));
	slash = strrchr(dir, '/');
	if (slash == NULL)
		(void)strcpy(dir, ".");
	else
		slash[slash == dir ? 1 : 0] = '\0';
	if (mkdir(dir, 0755) == 0) {
		if (chmod(dir, 0755) < 0) /* whatever the umask is */
			return fail(err, -errno, "set the mode of", dir);
	} else if (errno != EEXIST) {
		return fail(err, -errno, "make the directory", dir);
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : fail(err, -errno, "open the directory", dir);
}

/*
 * Between the look whether somebody answers and our bind no other daemon may do the same, or it
 * would remove our socket as a dead one. The lock is on the directory: no file stays behind.
 */
static int lock_directory(int dir, const char *path, struct lw_err *err)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(dir, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			return fail(err, -errno, "lock the directory of", path);
		(void)nanosleep(&pause, NULL);
	}
	return lw_err_set_at(err, -EADDRINUSE, "socket",
	                     "the directory of '%s' is locked by another process", path);
}

/* 1: somebody listens, 0: nobody does */
static int is_answered(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = 1;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0) {
		r = -errno;
		if (r == -ECONNREFUSED || r == -ENOENT)
			r = 0;
		else if (r == -EAGAIN) /* its queue is full: somebody is there */
			r = 1;
	}
	(void)close(fd);
	return r;
}

static int remove_stale(const struct sockaddr_un *at, struct lw_err *err)
{
	struct stat st;
	int r;

	if (lstat(at->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : fail(err, -errno, "examine", at->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return lw_err_set_at(err, -EEXIST, "socket",
		                     "'%s' is there and no socket; remove it or choose another",
		                     at->sun_path);
	r = is_answered(at);
	if (r < 0)
		return fail(err, r, "connect to", at->sun_path);
	if (r == 1)
		return lw_err_set_at(err, -EADDRINUSE, "socket",
		                     "another daemon answers on '%s'; stop it or give this one "
		                     "another socket",
		                     at->sun_path);
	if (unlink(at->sun_path) < 0 && errno != ENOENT)
		return fail(err, -errno, "remove the dead socket", at->sun_path);
	return 0;
}

static int give_to_group(const char *path, const char *group, struct lw_err *err)
{
	const struct group *g;

	if (group == NULL)
		return 0;
	errno = 0;
	g = getgrnam(group); /* control thread: nobody else looks up groups */
	if (g == NULL)
		return lw_err_set_at(err, errno != 0 ? -errno : -ENOENT, "group",
		                     "there is no group '%s'", group);
	if (lchown(path, (uid_t)-1, g->gr_gid) < 0)
		return lw_err_set_at(err, -errno, "group", "cannot give '%s' to group '%s': %s",
		                     path, group, strerror(errno));
	return chmod(path, 0660) < 0 ? fail(err, -errno, "set the mode of", path) : 0;
}

static int listen_at(int fd, const struct sockaddr_un *at, const char *group, struct lw_err *err)
{
	int r = 0;

	/* the kernel gives the file the mode that the socket has before it is bound */
	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
		return fail(err, -errno, "make the socket", at->sun_path);
	r = give_to_group(at->sun_path, group, err);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = fail(err, -errno, "listen on", at->sun_path);
	if (r < 0)
		(void)unlink(at->sun_path);
	return r;
}

static int make_socket(const struct sockaddr_un *at, const char *group, struct lw_err *err)
{
	int r = remove_stale(at, err);
	int fd;

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(err, -errno, "make a socket for", at->sun_path);
	r = listen_at(fd, at, group, err);
	if (r == 0)
		return fd;
	(void)close(fd);
	return r;
}

int lw_control_socket_open(const char *path, const char *group, struct lw_err *err)
{
	struct sockaddr_un at;
	int dir;
	int r = set_address(path, &at, err);

	if (r < 0)
		return r;
	dir = open_directory(&at, err);
	if (dir < 0)
		return dir;
	r = lock_directory(dir, path, err);
	if (r == 0)
		r = make_socket(&at, group, err);
	(void)close(dir);
	return r;
}

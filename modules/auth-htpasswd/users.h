/* SPDX-License-Identifier: MIT */
#ifndef LW_AUTH_HTPASSWD_USERS_H
#define LW_AUTH_HTPASSWD_USERS_H

#include <stdint.h>

#include <laneway/err.h>

/* what a password request carries at most on the wire: a longer name could never log in */
#define HTPASSWD_NAME_MAX 50

/* one line of the file; both strings live as long as the struct htpasswd_users */
struct htpasswd_user {
	const char *name;
	const char *hash;
	uint32_t line;
};

/**
 * struct htpasswd_users - the users of one file, sorted by name; read-only once loaded
 *
 * @text:   the file's bytes; names and hashes point into it
 * @size:   bytes of text
 * @user:   sorted, each name once
 * @n:      how many, at least 1
 * @n_weak: how many have a hash of a scheme that is out of date
 * @seed:   for htpasswd_users_decoy()
 */
struct htpasswd_users {
	char *text;
	size_t size;
	struct htpasswd_user *user;
	uint32_t n;
	uint32_t n_weak;
	uint64_t seed;
};

/**
 * htpasswd_users_load() - read a file of "user:hash" lines
 *
 * @path: borrowed for the call
 * @seed: a secret number, so that nobody can tell whose hash stands in for an unknown user's
 * @ret:  set on success; free with htpasswd_users_free()
 * @err:  names the file and the line at fault, never a hash
 *
 * Context: control thread; reads a file.
 * Return:  0, -EINVAL (a line is wrong, no user), -EFBIG, -ENOMEM, or what open() or read() said.
 */
int htpasswd_users_load(const char *path, uint64_t seed, struct htpasswd_users **ret,
                        struct lw_err *err);

/* htpasswd_users_free() - wipe and free; takes NULL */
void htpasswd_users_free(struct htpasswd_users *u);

/* htpasswd_users_find() - the user of this name, NULL when there is none; any thread */
const struct htpasswd_user *htpasswd_users_find(const struct htpasswd_users *u, const char *name);

/**
 * htpasswd_users_decoy() - the user whose hash is computed for a name that is not in the file
 *
 * The same name always gets the same one, and all users are equally likely, so that in a file of
 * several schemes the times of unknown names are spread like those of known ones.
 *
 * Context: any thread.
 */
const struct htpasswd_user *htpasswd_users_decoy(const struct htpasswd_users *u, const char *name);

#endif

/* SPDX-License-Identifier: MIT */
#include "users.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX  ((off_t)64 << 20) /* a million users of yescrypt */
#define PATH_TAIL 80                /* bytes of the path in an error text, which holds 207 */
#define DES_LEN   13
#define BSDI_LEN  20

/* what follows the last '$', where the scheme has one length only: a cut line is found at once */
static const struct scheme {
	const char *prefix;
	size_t tail;
} schemes[] = {
	{ "$y$", 43 },  { "$gy$", 43 }, { "$7$", 43 },  { "$6$", 86 },  { "$5$", 43 },
	{ "$2b$", 53 }, { "$2y$", 53 }, { "$2a$", 53 }, { "$2x$", 53 }, { "$1$", 22 },
};

struct parser {
	const char *path;
	uint32_t line;
	uint32_t cap;
	struct htpasswd_users *users;
	struct lw_err *err;
};

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static const char *path_tail(const char *path)
{
	size_t len = strlen(path);

	return len > PATH_TAIL ? path + len - PATH_TAIL : path;
}

static int refuse(const struct parser *p, const char *what)
{
	return lw_err_set_at(p->err, -EINVAL, "file", "%s:%u: %s", path_tail(p->path), p->line,
	                     what);
}

static int refuse_errno(const struct parser *p, int r, const char *what)
{
	return lw_err_set_at(p->err, r, "file", "%s: %s: %s", path_tail(p->path), what,
	                     strerror(-r));
}

/* bytes of the UTF-8 character at s, 0 when there is none: overlong forms and surrogates are not */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char lead_min, lead_max, next_min, next_max, len;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	if (s[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s[0] < forms[i].lead_min || s[0] > forms[i].lead_max)
			continue;
		if (s[1] < forms[i].next_min || s[1] > forms[i].next_max)
			return 0;
		for (size_t k = 2; k < forms[i].len; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		}
		return forms[i].len;
	}
	return 0;
}

static bool is_utf8(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len;) {
		size_t n = utf8_len((const unsigned char *)text + i);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

static int check_name(const struct parser *p, const char *name)
{
	if (name[0] == '\0')
		return refuse(p, "there is no user name in front of the colon");
	if (strlen(name) > HTPASSWD_NAME_MAX)
		return refuse(p, "the user name is longer than the 50 bytes a client can send");
	if (!is_utf8(name))
		return refuse(p, "the user name is not UTF-8");
	return 0;
}

/* also finds a password in clear text, whose first two letters libcrypt takes for the salt of DES
 */
static bool is_cut(const char *hash)
{
	const char *last = strrchr(hash, '$');

	if (last == NULL)
		return strlen(hash) != (hash[0] == '_' ? BSDI_LEN : DES_LEN);
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (starts_with(hash, schemes[i].prefix))
			return strlen(last + 1) != schemes[i].tail;
	}
	return false;
}

static int check_hash(struct parser *p, const char *hash)
{
	int salt;

	if (hash[0] == '\0')
		return refuse(p, "there is no hash behind the colon");
	if (starts_with(hash, "$apr1$"))
		return refuse(p, "hashes of Apache's own kind (apr1) are not supported; make one "
		                 "with htpasswd -B");
	salt = crypt_checksalt(hash);
	if (salt != CRYPT_SALT_OK && salt != CRYPT_SALT_METHOD_LEGACY)
		return refuse(p, "this is no hash that the system's libcrypt knows; make one with "
		                 "htpasswd -B");
	if (is_cut(hash))
		return refuse(p, "the hash has not the length of its kind");
	/* libcrypt calls SHA-256 out of date too, but nobody breaks it faster than SHA-512 */
	if (salt == CRYPT_SALT_METHOD_LEGACY && !starts_with(hash, "$5$"))
		p->users->n_weak++;
	return 0;
}

static int add_user(struct parser *p, const char *name, const char *hash)
{
	struct htpasswd_users *u = p->users;

	if (u->n == p->cap) {
		uint32_t cap = p->cap == 0 ? 64 : p->cap * 2;
		struct htpasswd_user *user = reallocarray(u->user, cap, sizeof(*user));

		if (user == NULL)
			return refuse_errno(p, -ENOMEM, "cannot keep the users");
		u->user = user;
		p->cap = cap;
	}
	u->user[u->n++] = (struct htpasswd_user){ .name = name, .hash = hash, .line = p->line };
	return 0;
}

static int parse_line(struct parser *p, char *line)
{
	char *colon = strchr(line, ':');
	int r;

	if (line[0] == '\0' || line[0] == '#')
		return 0;
	if (colon == NULL)
		return refuse(p, "there is no colon between user name and hash");
	*colon = '\0';
	r = check_name(p, line);
	if (r == 0)
		r = check_hash(p, colon + 1);
	return r == 0 ? add_user(p, line, colon + 1) : r;
}

/* by name, and of one name the last line first */
static int compare_users(const void *a, const void *b)
{
	const struct htpasswd_user *x = a;
	const struct htpasswd_user *y = b;
	int order = strcmp(x->name, y->name);

	if (order != 0)
		return order;
	return x->line < y->line ? 1 : -1;
}

static void sort_users(struct htpasswd_users *u)
{
	uint32_t kept = 0;

	qsort(u->user, u->n, sizeof(*u->user), compare_users);
	for (uint32_t i = 0; i < u->n; i++) {
		if (kept == 0 || strcmp(u->user[kept - 1].name, u->user[i].name) != 0)
			u->user[kept++] = u->user[i];
	}
	u->n = kept;
}

static int parse_text(struct parser *p)
{
	char *line = p->users->text;
	char *end = line + p->users->size;

	while (line < end) {
		char *lf = memchr(line, '\n', (size_t)(end - line));
		char *stop = lf != NULL ? lf : end;
		int r;

		p->line++;
		if (memchr(line, '\0', (size_t)(stop - line)) != NULL)
			return refuse(p, "there is a zero byte in the line");
		*stop = '\0'; /* the text has one byte more than the file */
		if (stop > line && stop[-1] == '\r')
			stop[-1] = '\0';
		r = parse_line(p, line);
		if (r < 0)
			return r;
		line = stop + 1;
	}
	if (p->users->n == 0)
		return lw_err_set_at(p->err, -EINVAL, "file",
		                     "%s: there is no user in the file; add one with htpasswd -B",
		                     path_tail(p->path));
	sort_users(p->users);
	return 0;
}

static int read_all(int fd, char *dst, size_t len)
{
	while (len > 0) {
		ssize_t got = read(fd, dst, len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ESTALE; /* somebody shortened it meanwhile */
		dst += got;
		len -= (size_t)got;
	}
	return 0;
}

static int read_fd(struct parser *p, int fd)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return refuse_errno(p, -errno, "cannot be examined");
	if (!S_ISREG(st.st_mode))
		return lw_err_set_at(p->err, -EINVAL, "file", "%s: this is not a regular file",
		                     path_tail(p->path));
	if (st.st_size > FILE_MAX)
		return lw_err_set_at(p->err, -EFBIG, "file", "%s: the file is larger than 64 MiB",
		                     path_tail(p->path));
	p->users->size = (size_t)st.st_size;
	p->users->text = calloc(1, p->users->size + 1);
	if (p->users->text == NULL)
		return refuse_errno(p, -ENOMEM, "cannot be read");
	r = read_all(fd, p->users->text, p->users->size);
	return r < 0 ? refuse_errno(p, r, "cannot be read") : 0;
}

static int read_file(struct parser *p)
{
	/* without O_NONBLOCK a fifo would hold up the start for ever */
	int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int r;

	if (fd < 0)
		return refuse_errno(p, -errno, "cannot be opened");
	r = read_fd(p, fd);
	(void)close(fd);
	return r;
}

int htpasswd_users_load(const char *path, uint64_t seed, struct htpasswd_users **ret,
                        struct lw_err *err)
{
	struct parser p = { .path = path, .err = err };
	int r;

	p.users = calloc(1, sizeof(*p.users));
	if (p.users == NULL)
		return refuse_errno(&p, -ENOMEM, "cannot be read");
	p.users->seed = seed;
	r = read_file(&p);
	if (r == 0)
		r = parse_text(&p);
	if (r < 0) {
		htpasswd_users_free(p.users);
		return r;
	}
	*ret = p.users;
	return 0;
}

void htpasswd_users_free(struct htpasswd_users *u)
{
	if (u == NULL)
		return;
	if (u->text != NULL)
		explicit_bzero(u->text, u->size);
	free(u->text);
	free(u->user);
	free(u);
}

static int compare_name(const void *name, const void *user)
{
	return strcmp(name, ((const struct htpasswd_user *)user)->name);
}

const struct htpasswd_user *htpasswd_users_find(const struct htpasswd_users *u, const char *name)
{
	return bsearch(name, u->user, u->n, sizeof(*u->user), compare_name);
}

const struct htpasswd_user *htpasswd_users_decoy(const struct htpasswd_users *u, const char *name)
{
	uint64_t h = u->seed;

	/* FNV-1a, and a shift since its low bits are the weak ones */
	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3u;
	return &u->user[(h ^ (h >> 32)) % u->n];
}

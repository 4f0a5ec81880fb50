/* SPDX-License-Identifier: MIT */
#include "control/json_read.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/json.h"

struct reader {
	char *p;
	struct lw_json_node *open[LW_JSON_DEPTH_MAX]; /* arrays and objects not yet ended */
	struct lw_json_node *last[LW_JSON_DEPTH_MAX]; /* and the last member of each */
	uint32_t depth;
};

static void skip_space(struct reader *r)
{
	r->p += strspn(r->p, " \t\r\n");
}

static int read_hex4(const char *s, uint32_t *ret)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef0123456789ABCDEF";
		const char *at = s[i] == '\0' ? NULL : strchr(digits, s[i]);

		if (at == NULL)
			return -EBADMSG;
		v = v * 16 + (uint32_t)((at - digits) % 16);
	}
	*ret = v;
	return 0;
}

static char *put_utf8(char *dst, uint32_t c)
{
	if (c < 0x80) {
		*dst++ = (char)c;
		return dst;
	}
	if (c < 0x800) {
		*dst++ = (char)(0xc0 | c >> 6);
	} else {
		*dst++ = (char)(0xe0 | c >> 12);
		*dst++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*dst++ = (char)(0x80 | (c & 0x3f));
	return dst;
}

/* what follows a backslash; what is written is never longer than what was read */
static int read_escape(struct reader *r, char **dst)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *at = *r->p == '\0' ? NULL : strchr(from, *r->p);
	uint32_t c;

	if (at != NULL) {
		*(*dst)++ = to[at - from];
		r->p++;
		return 0;
	}
	/* the writer never makes surrogates, and a zero would cut the string */
	if (*r->p != 'u' || read_hex4(r->p + 1, &c) < 0 || c == 0 || (c >= 0xd800 && c < 0xe000))
		return -EBADMSG;
	*dst = put_utf8(*dst, c);
	r->p += 5;
	return 0;
}

static int read_string(struct reader *r, const char **ret)
{
	char *dst = r->p + 1;

	*ret = dst;
	for (r->p++; *r->p != '"';) {
		if ((unsigned char)*r->p < 0x20)
			return -EBADMSG;
		if (*r->p != '\\') {
			*dst++ = *r->p++;
			continue;
		}
		r->p++;
		if (read_escape(r, &dst) < 0)
			return -EBADMSG;
	}
	r->p++;
	*dst = '\0';
	return 0;
}

static int read_word(struct reader *r, struct lw_json_node *n)
{
	static const struct {
		const char *word;
		enum lw_json_type type;
	} words[] = { { "null", LW_JSON_NULL },
		      { "true", LW_JSON_TRUE },
		      { "false", LW_JSON_FALSE } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i].word);

		if (strncmp(r->p, words[i].word, len) == 0) {
			n->type = words[i].type;
			r->p += len;
			return 0;
		}
	}
	return -EBADMSG;
}

/* The text stays where it is: the byte behind it is overwritten once that has been looked at. */
static int read_number(struct reader *r, struct lw_json_node *n)
{
	size_t len = strspn(r->p, "+-.0123456789eE");

	if (len == 0)
		return -EBADMSG;
	n->type = LW_JSON_NUMBER;
	/* one byte to the left there is always a bracket, comma, colon or space */
	memmove(r->p - 1, r->p, len);
	n->text = r->p - 1;
	r->p[len - 1] = '\0';
	r->p += len;
	return 0;
}

static int read_scalar(struct reader *r, struct lw_json_node *n)
{
	if (*r->p == '"') {
		n->type = LW_JSON_STRING;
		return read_string(r, &n->text);
	}
	if (*r->p == 't' || *r->p == 'f' || *r->p == 'n')
		return read_word(r, n);
	return read_number(r, n);
}

static int read_key(struct reader *r, struct lw_json_node *n)
{
	if (*r->p != '"' || read_string(r, &n->key) < 0)
		return -EBADMSG;
	skip_space(r);
	if (*r->p++ != ':')
		return -EBADMSG;
	skip_space(r);
	return 0;
}

static void hang_in(struct reader *r, struct lw_json_node *n)
{
	struct lw_json_node **last = &r->last[r->depth - 1];

	if (*last == NULL)
		r->open[r->depth - 1]->child = n;
	else
		(*last)->next = n;
	*last = n;
}

/* one value of the innermost array or object, and if it is one itself, its opening bracket */
static int read_member(struct reader *r)
{
	struct lw_json_node *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return -ENOMEM;
	hang_in(r, n);
	if (r->open[r->depth - 1]->type == LW_JSON_OBJECT && read_key(r, n) < 0)
		return -EBADMSG;
	if (*r->p != '{' && *r->p != '[')
		return read_scalar(r, n);
	if (r->depth == LW_JSON_DEPTH_MAX)
		return -EBADMSG;
	n->type = *r->p++ == '{' ? LW_JSON_OBJECT : LW_JSON_ARRAY;
	r->last[r->depth] = NULL;
	r->open[r->depth++] = n;
	return 0;
}

static bool at_end_of_open(const struct reader *r)
{
	return *r->p == (r->open[r->depth - 1]->type == LW_JSON_OBJECT ? '}' : ']');
}

/* members until the outermost object ends */
static int read_members(struct reader *r)
{
	while (r->depth > 0) {
		int err;

		skip_space(r);
		if (at_end_of_open(r)) {
			r->p++;
			r->depth--;
			continue;
		}
		if (r->last[r->depth - 1] != NULL && *r->p++ != ',')
			return -EBADMSG;
		skip_space(r);
		err = read_member(r);
		if (err < 0)
			return err;
	}
	skip_space(r);
	return *r->p == '\0' ? 0 : -EBADMSG;
}

int lw_json_read(char *text, struct lw_json_node **ret)
{
	struct reader r = { .p = text };
	struct lw_json_node *root;
	int err;

	skip_space(&r);
	if (*r.p++ != '{')
		return -EBADMSG;
	root = calloc(1, sizeof(*root));
	if (root == NULL)
		return -ENOMEM;
	root->type = LW_JSON_OBJECT;
	r.open[r.depth++] = root;
	err = read_members(&r);
	if (err < 0) {
		lw_json_free(root);
		return err;
	}
	*ret = root;
	return 0;
}

void lw_json_free(struct lw_json_node *n)
{
	while (n != NULL) {
		struct lw_json_node *next = n->next;

		lw_json_free(n->child); /* at most LW_JSON_DEPTH_MAX deep */
		free(n);
		n = next;
	}
}

const struct lw_json_node *lw_json_get(const struct lw_json_node *n, const char *key)
{
	for (n = n != NULL ? n->child : NULL; n != NULL; n = n->next) {
		if (n->key != NULL && strcmp(n->key, key) == 0)
			return n;
	}
	return NULL;
}

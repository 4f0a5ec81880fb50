/* SPDX-License-Identifier: MIT */
#include "control/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(struct lw_json *j, const char *text, size_t len)
{
	if (j->failed)
		return;
	if (len >= LW_JSON_SIZE_MAX - j->len) {
		j->failed = true;
		return;
	}
	if (j->cap - j->len <= len) {
		size_t cap = (j->len + len + 1024) * 2;
		char *bigger = realloc(j->text, cap);

		if (bigger == NULL) {
			j->failed = true;
			return;
		}
		j->text = bigger;
		j->cap = cap;
	}
	memcpy(j->text + j->len, text, len);
	j->len += len;
	j->text[j->len] = '\0';
}

/* bytes of the UTF-8 character at s, 0 when there is none (RFC 3629 section 4) */
static size_t utf8_len(const unsigned char *s)
{
	static const unsigned char form[][5] = {
		/* first byte from, to; second byte from, to; bytes in all */
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(form) / sizeof(form[0]); i++) {
		if (s[0] < form[i][0] || s[0] > form[i][1])
			continue;
		if (s[1] < form[i][2] || s[1] > form[i][3])
			return 0;
		for (size_t k = 2; k < form[i][4]; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		}
		return form[i][4];
	}
	return 0;
}

/* writes one character, answers how many bytes of s it was */
static size_t append_char(struct lw_json *j, const char *s)
{
	unsigned char c = (unsigned char)*s;
	char escape[8];
	size_t len;

	if (c == '"' || c == '\\') {
		(void)snprintf(escape, sizeof(escape), "\\%c", c);
		append(j, escape, 2);
		return 1;
	}
	if (c < 0x20 || c == 0x7f) {
		(void)snprintf(escape, sizeof(escape), "\\u%04x", c);
		append(j, escape, 6);
		return 1;
	}
	len = c < 0x80 ? 1 : utf8_len((const unsigned char *)s);
	if (len == 0) {
		append(j, "\\ufffd", 6);
		return 1;
	}
	append(j, s, len);
	return len;
}

static void append_quoted(struct lw_json *j, const char *s)
{
	append(j, "\"", 1);
	while (*s != '\0')
		s += append_char(j, s);
	append(j, "\"", 1);
}

static void begin_value(struct lw_json *j, const char *key)
{
	bool in_object = j->depth > 0 && j->closing[j->depth - 1] == '}';

	assert(in_object == (key != NULL));
	if (j->more)
		append(j, ",", 1);
	j->more = true;
	if (key != NULL) {
		append_quoted(j, key);
		append(j, ":", 1);
	}
}

static void open_bracket(struct lw_json *j, const char *key, const char *open, char closing)
{
	begin_value(j, key);
	assert(j->depth < LW_JSON_DEPTH_MAX);
	append(j, open, 1);
	j->closing[j->depth++] = closing;
	j->more = false;
}

void lw_json_object(struct lw_json *j, const char *key)
{
	open_bracket(j, key, "{", '}');
}

void lw_json_array(struct lw_json *j, const char *key)
{
	open_bracket(j, key, "[", ']');
}

void lw_json_end(struct lw_json *j)
{
	assert(j->depth > 0);
	append(j, &j->closing[--j->depth], 1);
	j->more = true;
}

void lw_json_string(struct lw_json *j, const char *key, const char *text)
{
	begin_value(j, key);
	if (text == NULL)
		append(j, "null", 4);
	else
		append_quoted(j, text);
}

void lw_json_uint(struct lw_json *j, const char *key, uint64_t value)
{
	char text[24];

	begin_value(j, key);
	append(j, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, value));
}

void lw_json_bool(struct lw_json *j, const char *key, bool value)
{
	begin_value(j, key);
	append(j, value ? "true" : "false", value ? 4 : 5);
}

void lw_json_forget(struct lw_json *j)
{
	j->len = 0;
	if (j->text != NULL)
		j->text[0] = '\0';
}

void lw_json_fini(struct lw_json *j)
{
	free(j->text);
	*j = (struct lw_json){ 0 };
}

/* SPDX-License-Identifier: MIT */
#ifndef LW_CONTROL_JSON_H
#define LW_CONTROL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LW_JSON_DEPTH_MAX 16
#define LW_JSON_SIZE_MAX  ((size_t)4 << 20)

/**
 * struct lw_json - a JSON document while it is written
 *
 * @text:    what is written so far, ends with a zero; NULL before the first call
 * @len:     bytes of text
 * @cap:     bytes allocated
 * @depth:   open objects and arrays
 * @closing: the bracket that ends each of them
 * @more:    the innermost has a member already
 * @failed:  no memory, or over LW_JSON_SIZE_MAX: the text is of no use, further calls do nothing
 *
 * Zeroed memory is an empty document. In an object every value has a key, in an array and at the
 * top the key is NULL.
 */
struct lw_json {
	char *text;
	size_t len;
	size_t cap;
	uint32_t depth;
	char closing[LW_JSON_DEPTH_MAX];
	bool more;
	bool failed;
};

/* lw_json_fini() - free the text; the struct is an empty document again */
void lw_json_fini(struct lw_json *j);

/* lw_json_forget() - the text so far is with its reader: the document goes on without it */
void lw_json_forget(struct lw_json *j);

/* lw_json_object(), lw_json_array() - begin one; lw_json_end() ends the innermost */
void lw_json_object(struct lw_json *j, const char *key);
void lw_json_array(struct lw_json *j, const char *key);
void lw_json_end(struct lw_json *j);

/* lw_json_string() - what is not UTF-8 becomes U+FFFD; NULL is written as null */
void lw_json_string(struct lw_json *j, const char *key, const char *text);
void lw_json_uint(struct lw_json *j, const char *key, uint64_t value);
void lw_json_bool(struct lw_json *j, const char *key, bool value);

#endif

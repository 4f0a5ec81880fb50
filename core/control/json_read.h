/* SPDX-License-Identifier: MIT */
#ifndef LW_CONTROL_JSON_READ_H
#define LW_CONTROL_JSON_READ_H

#include <stddef.h>
#include <stdint.h>

enum lw_json_type {
	LW_JSON_NULL,
	LW_JSON_FALSE,
	LW_JSON_TRUE,
	LW_JSON_NUMBER,
	LW_JSON_STRING,
	LW_JSON_ARRAY,
	LW_JSON_OBJECT
};

/**
 * struct lw_json_node - one value of a document that was read
 *
 * @type:  which of the others mean something
 * @key:   in an object: its key, else NULL
 * @text:  of a string, and of a number as it was written
 * @child: first member of an array or object, NULL for none
 * @next:  the next member of the same array or object
 */
struct lw_json_node {
	enum lw_json_type type;
	const char *key;
	const char *text;
	struct lw_json_node *child;
	struct lw_json_node *next;
};

/**
 * lw_json_read() - take a document apart
 *
 * @text: ends with a zero; it is changed, and the nodes point into it
 * @ret:  set on success; free with lw_json_free()
 *
 * Context: any thread.
 * Return:  0, -EBADMSG (no JSON, or deeper than LW_JSON_DEPTH_MAX), -ENOMEM.
 */
int lw_json_read(char *text, struct lw_json_node **ret);

/* lw_json_free() - free a value with its members and those behind it; takes NULL */
void lw_json_free(struct lw_json_node *n);

/* lw_json_get() - the member of this key; NULL when there is none or n is NULL */
const struct lw_json_node *lw_json_get(const struct lw_json_node *n, const char *key);

#endif

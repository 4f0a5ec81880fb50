/* SPDX-License-Identifier: MIT */
#ifndef LW_MODULE_NUMBER_H
#define LW_MODULE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

#include <laneway/option.h>

/* why a text is no number of its type */
enum lw_number_fault {
	LW_NUMBER_OK,
	LW_NUMBER_SYNTAX,
	LW_NUMBER_NO_UNIT,
	LW_NUMBER_BAD_UNIT,
	LW_NUMBER_UNWANTED_UNIT,
	LW_NUMBER_TOO_LARGE,
	LW_NUMBER_INEXACT /* a fraction that the member cannot hold */
};

/* "1234567h59m59s999ms999us" and any other formatted number, with the final zero */
#define LW_NUMBER_TEXT_MAX 64

/**
 * lw_number_parse() - read an INT, SIZE, DURATION or RATE without looking at its range
 *
 * @o:    type and unit; a RATE whose unit ends in "bit/s" takes bits, any other takes "1000/s"
 * @text: as an operator writes it
 * @ret:  written on success, in the units of <laneway/option.h>
 *
 * Context: any thread.
 */
enum lw_number_fault lw_number_parse(const struct lw_option *o, const char *text, int64_t *ret);

/**
 * lw_number_format() - the shortest text that lw_number_parse() reads as this value
 *
 * @buf: LW_NUMBER_TEXT_MAX bytes
 *
 * Return: buf.
 */
const char *lw_number_format(const struct lw_option *o, int64_t v, char buf[LW_NUMBER_TEXT_MAX]);

/* lw_number_units() - the units of this type in words: "B, kB, MB, ..."; "" for INT */
const char *lw_number_units(const struct lw_option *o);

/* lw_number_example() - texts that this type takes, for an error sentence or a manual */
const char *lw_number_example(const struct lw_option *o);

#endif

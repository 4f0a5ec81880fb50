/* SPDX-License-Identifier: MIT */
#ifndef LW_CTL_PRINT_H
#define LW_CTL_PRINT_H

#include <stdio.h>

#include "control/json_read.h"

/**
 * lw_ctl_print() - show an answer as lines and tables
 *
 * Knows no member by name but "schema" and "counters" (of which only those over 0 are shown), so
 * that what a newer daemon adds is shown too. The end of a key names its unit: _s, _us, _bps,
 * _bytes. Text of the daemon is printed with control characters escaped.
 */
void lw_ctl_print(FILE *out, const struct lw_json_node *root);

#endif

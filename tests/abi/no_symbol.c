/* SPDX-License-Identifier: MIT */
/* A shared object that is no module. */
extern int lw_not_a_module;
int lw_not_a_module = 1;

/* SPDX-License-Identifier: MIT */
#ifndef LW_MODULE_LINKED_H
#define LW_MODULE_LINKED_H

#include "config.h"

#include "module/loader.h"

/* what lw_loader_create() gets in a program: the modules that are linked into it */
#ifdef LW_STATIC_MODULES
#define LW_LINKED_MODULES lw_static_modules
#else
#define LW_LINKED_MODULES NULL
#endif

#endif
